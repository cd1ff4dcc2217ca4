#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checkpoints with random weights as PyTorch and diffusers write them, and what PyTorch computes with them; for check_pt.sh.

    check_pt.py write KIND WIDTH OUT.pt INPUTS    KIND: train, flat, old, dydit; WIDTH: 1152 (XL/2) or 384 (S/2)
    check_pt.py diffusers FOLDER COPY INPUTS      COPY: what diffusers saves of FOLDER, in shards
    check_pt.py compare INPUTS RESULTS            exit status 1 if `out` differs by more than 1e-5 of the largest value

INPUTS (safetensors) gets x, t, y and `out`, the forward pass in float32.
"""
import argparse
import math
import os
import struct
import sys
import zipfile
from collections import OrderedDict

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

SIZES = {1152: (28, 16), 384: (12, 6)}  # width: blocks, heads
PATCH, CHANNELS, CLASSES, SIDE = 2, 4, 1000, 16
LIMIT = 1e-5


# ---- DiT (arXiv 2212.09748); where there are routers, DyDiT (arXiv 2410.03456) with its masks ----

def linear(w, name, x):
    return F.linear(x, w[name + ".weight"], w[name + ".bias"])


def modulate(x, shift, scale):
    return F.layer_norm(x, x.shape[-1:], eps=1e-6) * (1 + scale[:, None]) + shift[:, None]


def embed_timestep(w, t):
    angle = t[:, None].float() * torch.exp(-math.log(10000) * torch.arange(128, dtype=torch.float32) / 128)
    features = torch.cat([angle.cos(), angle.sin()], 1)
    return linear(w, "t_embedder.mlp.2", F.silu(linear(w, "t_embedder.mlp.0", features)))


def units(w, name, temb):
    """The first head or channel group is always on."""
    return F.pad((linear(w, name + ".router", temb) > 0).float(), (1, 0), value=1.0)


def block(w, p, x, c, temb, heads):
    dynamic = p + "attn_rate.router.weight" in w
    b, n, d = x.shape
    shift1, scale1, gate1, shift2, scale2, gate2 = linear(w, p + "adaLN_modulation.1", F.silu(c)).chunk(6, 1)
    q, k, v = linear(w, p + "attn.qkv", modulate(x, shift1, scale1)).reshape(b, n, 3, heads, d // heads).permute(2, 0, 3, 1, 4)
    o = F.scaled_dot_product_attention(q, k, v)
    if dynamic:
        o = o * units(w, p + "attn_rate", temb)[:, :, None, None]
    x = x + gate1[:, None] * linear(w, p + "attn.proj", o.transpose(1, 2).reshape(b, n, d))
    h = linear(w, p + "mlp.fc1", modulate(x, shift2, scale2))
    tokens = 1
    if dynamic:
        h = h * units(w, p + "mlp_rate", temb).repeat_interleave(h.shape[-1] // heads, 1)[:, None]
        score = linear(w, p + "token_selection.mlp_head.2", F.relu(linear(w, p + "token_selection.mlp_head.0", x)))
        tokens = (score > 0).float()
    return x + gate2[:, None] * tokens * linear(w, p + "mlp.fc2", F.gelu(h, approximate="tanh"))


@torch.no_grad()
def forward(w, x, t, y, depth, heads):
    x = F.conv2d(x, w["x_embedder.proj.weight"], w["x_embedder.proj.bias"], stride=PATCH).flatten(2).transpose(1, 2)
    x = x + w["pos_embed"]
    temb = embed_timestep(w, t)
    c = temb + w["y_embedder.embedding_table.weight"][y]
    for i in range(depth):
        x = block(w, f"blocks.{i}.", x, c, temb, heads)
    shift, scale = linear(w, "final_layer.adaLN_modulation.1", F.silu(c)).chunk(2, 1)
    x = linear(w, "final_layer.linear", modulate(x, shift, scale))
    x = x.reshape(len(x), SIDE, SIDE, PATCH, PATCH, 2 * CHANNELS).permute(0, 5, 1, 3, 2, 4)
    return x.reshape(len(x), 2 * CHANNELS, SIDE * PATCH, SIDE * PATCH)


# ---- weights ----

def positions(width):
    """[1, tokens, width]: sines and cosines of the column, then of the row."""
    omega = 10000.0 ** (-torch.arange(width // 4, dtype=torch.float64) / (width / 4))
    at = torch.arange(SIDE, dtype=torch.float64)[:, None] * omega
    waves = torch.cat([at.sin(), at.cos()], 1)
    columns, rows = waves[None].expand(SIDE, -1, -1), waves[:, None].expand(-1, SIDE, -1)
    return torch.cat([columns, rows], 2).reshape(1, SIDE * SIDE, width).float()


def weights(width, dynamic):
    """Spreads that keep every part of the network visible in the result, as they are not in a network before training."""
    depth, heads = SIZES[width]
    w = OrderedDict()

    def add(name, out, inputs, share=1.0):
        w[name + ".weight"] = torch.randn(out, inputs) * share / math.sqrt(inputs)
        w[name + ".bias"] = torch.randn(out) * 0.02

    w["pos_embed"] = positions(width)
    w["x_embedder.proj.weight"] = torch.randn(width, CHANNELS, PATCH, PATCH) / 4
    w["x_embedder.proj.bias"] = torch.randn(width) * 0.02
    add("t_embedder.mlp.0", width, 256)
    add("t_embedder.mlp.2", width, width)
    w["y_embedder.embedding_table.weight"] = torch.randn(CLASSES + 1, width)
    for i in range(depth):
        p = f"blocks.{i}."
        add(p + "attn.qkv", 3 * width, width)
        add(p + "attn.proj", width, width)
        add(p + "mlp.fc1", 4 * width, width)
        add(p + "mlp.fc2", width, 4 * width)
        add(p + "adaLN_modulation.1", 6 * width, width, 0.3)
        if dynamic:
            add(p + "attn_rate.router", heads - 1, width)
            add(p + "mlp_rate.router", heads - 1, width)
            add(p + "token_selection.mlp_head.0", width // 16, width)
            add(p + "token_selection.mlp_head.2", 1, width // 16)
    add("final_layer.linear", PATCH * PATCH * 2 * CHANNELS, width)
    add("final_layer.adaLN_modulation.1", 2 * width, width, 0.3)
    return w


# ---- files ----

def save_train(w, path):
    """As DiT's train.py saves; `model` in bfloat16, and room for an optimizer that takes XL/2 beyond 4 GiB."""
    model = OrderedDict((k, v.bfloat16()) for k, v in w.items())
    opt = {"state": {0: {"step": 7, "exp_avg": torch.zeros(300_000_000 if len(w["blocks.0.attn.proj.bias"]) == 1152 else 1000)}}, "param_groups": []}
    torch.save({"model": model, "ema": w, "opt": opt, "args": argparse.Namespace(model="DiT-XL/2", cfg=None)}, path)


def save_old(w, path):
    """The archive that PyTorch 1.6 to 1.13 makes, rewritten from that of the PyTorch at hand: all members under archive/,
    neither byteorder nor serialization_id, values aligned to 64 bytes by an extra field."""
    torch.save(w, path + ".new")
    with zipfile.ZipFile(path + ".new") as new, zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as old:
        for info in new.infolist():
            name = info.filename.split("/", 1)[1]
            if name == "byteorder" or name.startswith(".data/"):
                continue
            member = zipfile.ZipInfo("archive/" + name)
            begin = old.fp.tell() + 30 + len(member.filename) + 4
            pad = -begin % 64
            member.extra = b"FB" + struct.pack("<H", pad) + b"Z" * pad
            old.writestr(member, new.read(info))
    os.remove(path + ".new")


def save_inputs(path, x, t, y, out):
    save_file({"x": x, "t": t.float(), "y": y.float(), "out": out.contiguous()}, path)


def write(kind, width, path, inputs):
    depth, heads = SIZES[width]
    torch.manual_seed(20)
    w = weights(width, kind == "dydit")
    x, t, y = torch.randn(2, CHANNELS, SIDE * PATCH, SIDE * PATCH), torch.tensor([999, 321]), torch.tensor([207, CLASSES])
    save_inputs(inputs, x, t, y, forward(w, x, t, y, depth, heads))
    if kind == "train":
        save_train(w, path)
    elif kind == "old":
        save_old(w, path)
    else:
        torch.save(w, path)


def use_diffusers(folder, copy, inputs):
    from diffusers import DiTTransformer2DModel

    model = DiTTransformer2DModel.from_pretrained(folder).eval()
    g = load_file(inputs)
    t, y = g["t"].long(), g["y"].long()
    with torch.no_grad():
        out = model(g["x"], timestep=t, class_labels=y).sample
    save_inputs(inputs, g["x"], t, y, out)
    model.save_pretrained(copy, max_shard_size="1GB" if len(model.transformer_blocks) == 28 else "50MB")


def compare(want, have):
    want, have = load_file(want)["out"].double(), load_file(have)["out"].double()
    largest, difference = want.abs().max().item(), (want - have).abs().max().item()
    near = difference <= LIMIT * largest
    print(f"largest value {largest:.4g}, largest difference {difference / largest:.2e} of it:", "ok" if near else "TOO MUCH")
    return 0 if near else 1


def main():
    command, rest = sys.argv[1], sys.argv[2:]
    if command == "write":
        write(rest[0], int(rest[1]), rest[2], rest[3])
    elif command == "diffusers":
        use_diffusers(*rest)
    else:
        sys.exit(compare(*rest))


main()
