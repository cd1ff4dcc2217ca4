#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes tests/golden/torch_routers.*: routers of Learning-to-Cache laid out as the released ones are, and of U-ViT.

usage: python3 tests/golden/torch_routers.py [FOLDER]     (needs torch, safetensors; made with torch 2.2.2)

Values of even steps are those of a run in policy_dit_d32_h2_p2, so that its ops must come out; those of odd steps are random
normals, as in the released files, and mean nothing.
"""
import argparse
import os
import sys
import tempfile

import torch
from safetensors import safe_open

MODEL = "tests/golden/policy_dit_d32_h2_p2.safetensors"
RUN = "l2c5"


class Routers(torch.nn.Module):
    """One parameter per step under the names of the released files: "0.prob", "1.prob", ..."""

    def __init__(self, rows):
        super().__init__()
        for i, row in enumerate(rows):
            step = torch.nn.Module()
            step.prob = torch.nn.Parameter(row.clone())
            self.add_module(str(i), step)


def save(what, path, prefix):
    """torch.save names the folder within the archive after the file. Tensors are tagged as if they lay on a GPU."""
    with tempfile.TemporaryDirectory() as folder:
        made = os.path.join(folder, prefix + ".pt")
        torch.save(what, made)
        os.replace(made, path)


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else "tests/golden"
    torch.manual_seed(7)
    torch.serialization.register_package(0, lambda storage: "cuda:0", lambda storage, location: None)
    with safe_open(MODEL, "pt") as f:
        rows = f.get_tensor(f"golden.{RUN}.router").float()
    rows[1::2] = torch.randn_like(rows[1::2])
    routers = Routers(rows)
    optimizer = torch.optim.AdamW(routers.parameters(), lr=1e-3)
    sum((p.square().sum() for p in routers.parameters()), torch.zeros(())).backward()
    optimizer.step()
    for p, row in zip(routers.parameters(), rows):
        p.data.copy_(row)
    args = argparse.Namespace(model="DiT-XL/2", image_size=256, num_sampling_steps=10, l1=5e-6, lr=1e-3,
                              ste_threshold=None)
    save({"routers": routers.state_dict(), "opt": optimizer.state_dict(), "args": args}, f"{folder}/torch_routers.pt",
         "0020000")
    save({f"{i}.prob": torch.randn(58) for i in range(10)}, f"{folder}/torch_routers_uvit.pth", "dpm10_router")


main()
