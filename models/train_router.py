#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Trains a Learning-to-Cache router (arXiv 2406.01733) of the complete demo model, for DDIM with 50 steps; models/README.md.

    train_router.py OUT.json [--l1 X] [--iterations N] [--letters N] [--batch N] [--lr X] [--guidance X] [--seed N] [--threads N]

The weights stay as they are. Steps are numbered from the least noisy, 0. The odd ones compute every branch; at the even step i
branch j contributes (1 - s) cached + s fresh, s = sigmoid(logit[i][j]), where `cached` is what step i + 1 of the complete
model's trajectory computed. The loss is the mean squared difference of the predicted noise from the complete model's, plus l1
times the sum of s. No even step depends on another one's logits, so each is trained when the trajectory passes it.
"""
import argparse
import json
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "bench/peers"))
import model as dit  # noqa: E402

CHECKPOINT = ROOT / "models/glyphs.safetensors"
STEPS = 50
STRIDE = 1000 // STEPS
LIMIT = 5.0  # of a logit's size, as in the paper's code


def alpha_products():
    """Of timesteps 0 to 999, DiT's linear schedule; the one before timestep 0 is 1."""
    return torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), 0).float()


def predict(model, x, t, y, use):
    """Predicted noise of pairs of rows; use(j, fresh) says what goes through the gate of branch j, given what it computes."""
    x = torch.cat([x, x])
    cond = model.t_embedder(torch.full((len(x),), t), x.dtype) + model.y_embedder["embedding_table"](y)
    h = model.x_embedder["proj"](x).flatten(2).transpose(1, 2) + model.pos_embed
    for b, block in enumerate(model.blocks):
        shift1, scale1, gate1, shift2, scale2, gate2 = block.adaLN_modulation(cond).chunk(6, dim=1)
        h = h + gate1[:, None] * use(2 * b, block.attn(dit.modulated_norm(h, shift1, scale1), None))
        h = h + gate2[:, None] * use(2 * b + 1, block.mlp(dit.modulated_norm(h, shift2, scale2), None))
    grid, patch = model.grid, model.patch
    out = model.final_layer(h, cond).view(len(x), grid, grid, patch, patch, 2)[..., 0]  # the variance is not used by DDIM
    return out.permute(0, 1, 3, 2, 4).reshape(len(x), 1, grid * patch, grid * patch)


def train_step(model, x, t, y, cached, want, args, generator):
    """The logits of one even step. y, cached and want: rows with the letter, then rows with the null class."""
    letters = len(x)
    logits = torch.zeros(len(cached), requires_grad=True)
    adam = torch.optim.Adam([logits], lr=args.lr)
    for _ in range(args.iterations):
        some = torch.randperm(letters, generator=generator)[: args.batch]
        rows = torch.cat([some, some + letters])
        s = torch.sigmoid(logits)
        got = predict(model, x[some], t, y[rows], lambda j, fresh: torch.lerp(cached[j][rows], fresh, s[j]))
        loss = (got - want[rows]).square().mean() + args.l1 * s.sum()
        adam.zero_grad()
        loss.backward()
        adam.step()
        with torch.no_grad():
            logits.clamp_(-LIMIT, LIMIT)
    return logits.detach(), loss.item()


def train(model, args):
    generator = torch.Generator().manual_seed(args.seed)
    letters = torch.arange(args.letters) % model.classes
    y = torch.cat([letters, torch.full_like(letters, model.classes)])
    size = model.grid * model.patch
    x = torch.randn(args.letters, 1, size, size, generator=generator)
    products, logits, cached = alpha_products(), [None] * STEPS, {}
    for i in reversed(range(STEPS)):
        t, fresh = i * STRIDE, {}
        with torch.no_grad():
            noise = predict(model, x, t, y, lambda j, value: fresh.setdefault(j, value))
        if i % 2 == 0:
            trained, loss = train_step(model, x, t, y, cached, noise, args, generator)
            logits[i] = [round(value, 4) for value in trained.tolist()]
            kept = sum(torch.sigmoid(trained).gt(0.1).tolist())
            print(f"step {i}: loss {loss:.3g}, {kept} of {len(trained)} branches kept at 0.1", flush=True)
        cached = fresh
        with_letter, without = noise.chunk(2)
        guided = without + args.guidance * (with_letter - without)
        at, before = products[t], products[t - STRIDE] if i else torch.tensor(1.0)
        clean = (x - (1 - at).sqrt() * guided) / at.sqrt()
        x = before.sqrt() * clean + (1 - before).sqrt() * guided
    return logits


def write(path, logits, depth):
    rows = ",\n ".join(json.dumps(row) for row in logits)
    head = f'"schema":"dydit-router", "schema_version":1, "steps":{len(logits)}, "depth":{depth}, "threshold":0.1'
    Path(path).write_text(f'{{{head},\n "logits":[{rows}]}}\n')


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out")
    parser.add_argument("--l1", type=float, default=1e-5)
    parser.add_argument("--lr", type=float, default=0.4)
    parser.add_argument("--iterations", type=int, default=16)
    parser.add_argument("--letters", type=int, default=26)
    parser.add_argument("--batch", type=int, default=2, help="letters in each iteration")
    parser.add_argument("--guidance", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model = dit.load(CHECKPOINT, torch.float32)
    write(args.out, train(model, args), len(model.blocks))


main()
