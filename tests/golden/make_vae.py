#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes vae_c8_16_32.safetensors: a small AutoencoderKL of diffusers with random weights, latents, and what it makes of them.

    tests/golden/make_vae.py [--size] OUT.safetensors

Needs torch, diffusers and safetensors (written with 2.2.2, 0.30.3, 0.4.5). Pictures are computed in float64 and rounded to
float32. With --size: the shapes of sd-vae instead (335 MB), latents of 32 x 32 and 64 x 64, in float32, as
scripts/check_vae.sh wants it."""
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


def keep(name, full):
    """The decoder; of the encoder, which is ignored, two tensors that say so."""
    return full or not name.startswith("encoder.") or name == "encoder.conv_in.weight"


def main():
    full = sys.argv[1] == "--size"
    torch.manual_seed(20261125)
    if full:
        vae = random_model((128, 256, 512, 512), 2, 32, 256)
        inputs = {"x": torch.randn(1, 4, 32, 32), "tiled_x": torch.randn(1, 4, 64, 64)}
    else:
        vae = random_model((8, 16, 32), 1, 4, 16)
        inputs = {"x": torch.randn(3, 4, 6, 5), "tiled_x": torch.randn(2, 4, 10, 9)}
    tensors = {k: v.clone() for k, v in vae.state_dict().items() if keep(k, full)}
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
    tensors.update({"golden." + k: v.float() for k, v in golden.items()})
    save_file({k: v.contiguous() for k, v in tensors.items()}, sys.argv[-1], meta)


main()
