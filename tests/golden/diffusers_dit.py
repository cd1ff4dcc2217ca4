#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes tests/golden/diffusers_dit: a small DiTTransformer2DModel as diffusers saves it in two shards, and what it computes.

usage: python3 tests/golden/diffusers_dit.py [FOLDER]     (needs torch, diffusers, safetensors; made with 2.2.2 and 0.30.3)

FOLDER/transformer is the model, FOLDER/expected.safetensors holds x, t, y and, in float32 after a run in float64, `out`
(as diffusers computes it) and `official`: the same module with the frequencies and the epsilon of the official code.
"""
import copy
import math
import sys

import diffusers.models.embeddings as embeddings
import torch
from diffusers import DiTTransformer2DModel
from safetensors.torch import save_file

FREQUENCIES = embeddings.get_timestep_embedding


def frequencies(shift):
    """diffusers' features of a timestep with i/(128 - shift), the frequencies rounded to float32 as it does."""

    def features(timesteps, embedding_dim, **_):
        half = embedding_dim // 2
        freq = torch.exp(-math.log(10000) * torch.arange(half, dtype=torch.float32) / (half - shift))
        angle = timesteps[:, None].float() * freq[None, :]
        return torch.cat([torch.cos(angle.double()), torch.sin(angle.double())], dim=-1)

    return features


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else "tests/golden/diffusers_dit"
    torch.manual_seed(71)
    model = DiTTransformer2DModel(num_attention_heads=2, attention_head_dim=16, num_layers=2, in_channels=4, out_channels=8,
                                  sample_size=8, patch_size=2, num_embeds_ada_norm=10, norm_type="ada_norm_zero",
                                  norm_eps=0.01)  # 1e-5, as published, would not show
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.08)
    for block in model.transformer_blocks[1:]:
        block.norm1.emb.load_state_dict(model.transformer_blocks[0].norm1.emb.state_dict())
    model.eval()
    model.save_pretrained(f"{folder}/transformer", max_shard_size="150KB")
    x, t, y = torch.randn(3, 4, 8, 8), torch.tensor([999, 500, 3]), torch.tensor([1, 10, 7])
    expected = {"x": x, "t": t.float(), "y": y.float()}

    def forward(m):
        with torch.no_grad():
            return m.double()(x.double(), timestep=t, class_labels=y).sample.float()

    embeddings.get_timestep_embedding = frequencies(1)
    expected["out"] = forward(copy.deepcopy(model))
    official = copy.deepcopy(model)
    for block in official.transformer_blocks:
        block.norm3.eps = 1e-6
    with_epsilon = forward(copy.deepcopy(official))
    embeddings.get_timestep_embedding = frequencies(0)
    expected["official"] = forward(official)
    embeddings.get_timestep_embedding = FREQUENCIES
    with torch.no_grad():
        own = model(x, timestep=t, class_labels=y).sample
    largest = expected["out"].abs().max()
    print("diffusers in float32 differs by", float((own - expected["out"]).abs().max() / largest))
    print("official differs by", float((expected["official"] - expected["out"]).abs().max() / largest))
    print("epsilon alone changes", float((with_epsilon - expected["out"]).abs().max() / largest))
    save_file(expected, f"{folder}/expected.safetensors")


main()
