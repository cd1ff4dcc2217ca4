#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes vae_c8_16_32.safetensors: a small AutoencoderKL of diffusers with random weights, latents, and what it makes of them;
and vae_compvis.ckpt, the same weights as CompVis' training saves them, under `state_dict`.

    tests/golden/make_vae.py [--size] OUT.safetensors

Needs torch, diffusers and safetensors (written with 2.2.2, 0.30.3, 0.4.5). Pictures are computed in float64 and rounded to
float32. With --size: the shapes of sd-vae instead, without its encoder (200 MB), latents of 32 x 32 and 64 x 64, in
float32; and beside it the same weights in the layouts `old` and `compvis`, as scripts/check_vae.sh wants it."""
import argparse
import os
import re
import sys

import torch
from diffusers import AutoencoderKL
from safetensors.torch import save_file

SCALING = 0.18215


def random_model(channels, layers, groups, sample_size):
    n = len(channels)
    vae = AutoencoderKL(block_out_channels=channels, layers_per_block=layers, norm_num_groups=groups, latent_channels=4,
                        down_block_types=["DownEncoderBlock2D"] * n, up_block_types=["UpDecoderBlock2D"] * n,
                        sample_size=sample_size, scaling_factor=SCALING).eval()
    with torch.no_grad():
        for name, p in vae.named_parameters():
            if "norm" in name:  # a norm that is not the identity shows in every channel
                p.copy_((1 if name.endswith("weight") else 0) + 0.2 * torch.randn_like(p))
    return vae


def decode(vae, x, tiled=False):
    vae.enable_tiling(tiled)
    with torch.no_grad():
        return vae.decode(x / SCALING, return_dict=False)[0]


def keep(name):
    """The decoder; of the encoder, which is ignored, one tensor that says so."""
    return not name.startswith("encoder.") or name == "encoder.conv_in.weight"


OLD = [("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn")]
COMPVIS = [(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}"), (r"mid_block\.attentions\.0", "mid.attn_1"),
           ("group_norm", "norm"), ("to_q", "q"), ("to_k", "k"), ("to_v", "v"), (r"to_out\.0", "proj_out"),
           ("conv_shortcut", "nin_shortcut"), ("conv_norm_out", "norm_out")]


def compvis(levels):
    """Up blocks are counted from the picture."""
    return COMPVIS + [(r"up_blocks\.(\d)\.resnets", lambda m: f"up.{levels - 1 - int(m[1])}.block"),
                      (r"up_blocks\.(\d)\.upsamplers\.0", lambda m: f"up.{levels - 1 - int(m[1])}.upsample")]


def save_lightning(tensors, path):
    """What PyTorch Lightning puts round a state dict; for callbacks, keys are classes."""
    callback = {"monitor": "val/rec_loss", "best_model_score": torch.tensor(0.25), "best_model_path": "last.ckpt"}
    torch.save({"epoch": 3, "global_step": 1000, "pytorch-lightning_version": "1.0.8", "state_dict": tensors,
                "callbacks": {argparse.Namespace: callback}, "optimizer_states": [], "lr_schedulers": []}, path)


def renamed(tensors, rules, prefix="", conv_attention=False):
    out = {}
    for name, t in tensors.items():
        if conv_attention and "attentions" in name and t.dim() == 2:
            t = t[:, :, None, None]
        for pattern, to in rules:
            name = re.sub(pattern, to, name)
        out[prefix + name] = t.contiguous()
    return out


def main():
    full = sys.argv[1] == "--size"
    torch.manual_seed(20261125)
    if full:
        vae = random_model((128, 256, 512, 512), 2, 32, 256)
        inputs = {"x": torch.randn(1, 4, 32, 32), "tiled_x": torch.randn(1, 4, 64, 64)}
    else:
        vae = random_model((8, 16, 32), 1, 4, 16)
        inputs = {"x": torch.randn(3, 4, 6, 5), "tiled_x": torch.randn(2, 4, 10, 9)}
    tensors = {k: v.clone() for k, v in vae.state_dict().items() if keep(k)}
    meta = {"scaling_factor": str(SCALING), "norm_num_groups": str(vae.config.norm_num_groups),
            "sample_size": str(vae.config.sample_size)}
    single = decode(vae, inputs["x"])
    if not full:
        vae, inputs = vae.double(), {k: v.double() for k, v in inputs.items()}
    golden = {"x": inputs["x"], "out": decode(vae, inputs["x"]), "tiled_x": inputs["tiled_x"],
              "tiled_out": decode(vae, inputs["tiled_x"], True)}
    if not full:
        golden["tiled_whole"] = decode(vae, inputs["tiled_x"])
    print("largest |out|", golden["out"].abs().max().item(), "float32 differs by",
          (golden["out"] - single).abs().max().item())
    if not full:
        save_lightning(renamed(tensors, compvis(3), conv_attention=True), os.path.dirname(sys.argv[-1]) + "/vae_compvis.ckpt")
    if full:
        stem = sys.argv[-1].removesuffix(".safetensors")
        save_file(renamed(tensors, OLD), stem + "-old.safetensors", meta)
        save_file(renamed(tensors, compvis(4), "first_stage_model.", True), stem + "-compvis.safetensors", meta)
    tensors.update({"golden." + k: v.float() for k, v in golden.items()})
    save_file({k: v.contiguous() for k, v in tensors.items()}, sys.argv[-1], meta)


main()
