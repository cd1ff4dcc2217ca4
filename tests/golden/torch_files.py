#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes tests/golden/torch_*: checkpoints as PyTorch itself writes them, of tensors that safetensors files hold as well.

usage: python3 tests/golden/torch_files.py [FOLDER]     (needs torch, safetensors; made with torch 2.2.2)
"""
import argparse
import sys
from collections import OrderedDict

import torch
from safetensors.torch import load_file, save_file

MODEL = "tests/golden/sampling_d32_h2_p2.safetensors"


def train(folder, weights):
    """As DiT's train.py saves: ema in float32, model (here in bfloat16, to tell them apart), optimizer, arguments."""
    module = torch.nn.Linear(3, 2)
    torch.manual_seed(5)
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-4)
    module(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    args = argparse.Namespace(model="DyDiT", image_size=8, ema_decay=0.9999, results_dir="results", cfg=None, many=2**80)
    model = OrderedDict((k, v.bfloat16()) for k, v in weights.items())
    torch.save({"model": model, "ema": weights, "opt": optimizer.state_dict(), "args": args}, f"{folder}/torch_train.pt")


def flat(folder, weights):
    """A bare state dict with the prefix of DistributedDataParallel; some tensors are views or parameters."""
    state = OrderedDict()
    for k, v in weights.items():
        if k.endswith("qkv.weight"):
            v = v.t().contiguous().t()  # columns first
        elif k.endswith("fc1.bias"):
            v = torch.cat([torch.full((5,), 7.0), v])[5:]  # begins later
        elif k.endswith("proj.bias"):
            v = torch.nn.Parameter(v)
        state["module." + k] = v
    torch.save(state, f"{folder}/torch_flat.pt")


def kinds(folder):
    """Every element type; views of one storage; extents of 0 and 1; no extents at all."""
    base = torch.arange(24, dtype=torch.float32).reshape(2, 3, 4) - 11.5
    state = {
        "f32": base, "f16": base.half(), "bf16": base.bfloat16(), "f64": base.double(), "i64": base.long() - 2**40,
        "i32": base.int(), "u8": (base + 12).byte(), "permuted": base.permute(2, 0, 1), "column": base[:, 1, :],
        "one": base[:, :1, 2:3], "scalar": torch.tensor(-2.5), "empty": torch.zeros(3, 0, 2), "tied": base,
        "flipped.bf16": base.bfloat16().transpose(0, 2),
    }
    torch.save(dict(state, note="not a tensor", number=3), f"{folder}/torch_kinds.pt")
    save_file({k: v.clone().contiguous() for k, v in state.items()}, f"{folder}/torch_kinds.safetensors")
    torch.save({"x": base}, f"{folder}/torch_before_1_6.pt", _use_new_zipfile_serialization=False)
    torch.jit.save(torch.jit.script(torch.nn.Identity()), f"{folder}/torch_script.pt")


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else "tests/golden"
    weights = OrderedDict((k, v) for k, v in load_file(MODEL).items() if not k.startswith("golden."))
    train(folder, weights)
    flat(folder, weights)
    kinds(folder)


main()
