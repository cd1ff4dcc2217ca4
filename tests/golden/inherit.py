#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes tests/golden/inherit.safetensors: runs in which sites inherit what earlier steps computed, and which change the
model on the way.

usage: python3 tests/golden/inherit.py [OUT]     (needs torch, numpy, safetensors)

A statement of plans and of the model in float64, on the weights of other files here, whose runs it must repeat first. A plan
is ops[step, block, unit]; which steps compute is written down by hand, not derived from a rule.
"""
import sys

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

COMPUTE, STORE, BRANCH, DELTA, OUTPUT, SKIP = range(6)
FOLDER = "tests/golden/"
DYDIT, DIT, WIDE = "policy_dydit_d32_h2_p2", "policy_dit_d32_h2_p2", "model_d64_h4_p2"
ALPHA_BAR = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), 0)
STEPS = 10
GUIDANCE = 2.0

# name: models, first step of the second, per model {(block, unit): (op, steps that compute)}
RUNS = {
    # blocks.0 and blocks.1.attn are dead where blocks.1.mlp is inherited
    "output": ([DYDIT], None, [{(1, 1): (OUTPUT, [0, 3, 6, 9])}]),
    # stride 2, dense at start
    "delta": ([DYDIT], None, [{site: (DELTA, [0, 1, 2, 3, 6]) for site in [(0, 0), (0, 1), (1, 0), (1, 1), (2, 1)]}]),
    # two whole blocks, listed steps
    "block": ([DIT], None, [{(1, 1): (OUTPUT, [0, 4, 5]), (2, 1): (OUTPUT, [0, 4, 5])}]),
    # from the step at timestep 333 on the other model
    "switch": ([DIT, WIDE], 6, [{}, {}]),
    # all blocks, stride 3, dense at end; so does step 6, the first one of the other model
    "both": ([DYDIT, WIDE], 6, [{(b, 1): (OUTPUT, [0, 5]) for b in range(3)},
                                {(b, 1): (OUTPUT, [6, 8, 9]) for b in range(2)}]),
}
HIDDEN = {"block": (1, 6)}  # inheriting steps of which the tokens after every block are kept


class Model:
    def __init__(self, name):
        path = FOLDER + name + ".safetensors"
        self.w = {k: torch.from_numpy(v).double() for k, v in load_file(path).items()}
        with safe_open(path, "np") as f:
            meta = f.metadata()
        self.heads, self.patch, self.depth = (int(meta[k]) for k in ("num_heads", "patch_size", "depth"))
        self.null = int(meta["num_classes"])
        self.dynamic = "blocks.0.attn_rate.router.weight" in self.w
        self.frequencies = torch.from_numpy(load_file(FOLDER + "schedule.safetensors")["time_frequencies"]).float()
        self.least_logit = np.inf

    def linear(self, name, x):
        return F.linear(x, self.w[name + ".weight"], self.w[name + ".bias"])

    def mask(self, logits):
        self.least_logit = min(self.least_logit, logits.abs().min().item())
        return (logits > 0).double()

    def units(self, name, temb):
        """The first head or channel group is always on."""
        if not self.dynamic:
            return torch.ones(len(temb), self.heads)
        return F.pad(self.mask(self.linear(name + ".router", temb)), (1, 0), value=1.0)

    @staticmethod
    def modulate(x, shift, scale):
        return F.layer_norm(x, x.shape[-1:], eps=1e-6) * (1 + scale[:, None]) + shift[:, None]

    def attention(self, b, x, temb, m):
        n, s, d = x.shape
        q, k, v = self.linear(b + "attn.qkv", self.modulate(x, *m[:2])).view(n, s, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        heads = torch.softmax(q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5, -1) @ v
        heads = heads * self.units(b + "attn_rate", temb)[:, :, None, None]
        return self.linear(b + "attn.proj", heads.transpose(1, 2).reshape(n, s, d)), None

    def mlp(self, b, x, temb, m):
        hidden = self.linear(b + "mlp.fc1", self.modulate(x, *m[:2]))
        groups = self.units(b + "mlp_rate", temb).repeat_interleave(hidden.shape[-1] // self.heads, 1)
        branch = self.linear(b + "mlp.fc2", F.gelu(hidden * groups[:, None], approximate="tanh"))
        if not self.dynamic:
            return branch, None
        head = b + "token_selection.mlp_head."
        return branch, self.mask(self.linear(head + "2", F.relu(self.linear(head + "0", x))))

    @staticmethod
    def unit(x, gate, op, slot, run):
        """One site: x + gate F(x), or what is made of what an earlier step left in the slot."""
        if op == SKIP:
            return x
        if op == OUTPUT:
            return slot["output"]
        if op == DELTA:
            return x + slot["change"]
        if op == BRANCH:
            branch, mask = slot["branch"]
        else:
            branch, mask = run()
        change = gate[:, None] * branch * (1 if mask is None else mask)
        if op == STORE:
            slot.update(branch=(branch, mask), change=change, output=x + change)
        return x + change

    def forward(self, x, t, y, ops, slots, hidden=None):
        n, _, size, _ = x.shape
        p, grid = self.patch, size // self.patch
        phase = (np.float32(t) * self.frequencies).double()  # float32 in the public code, too
        temb = self.linear("t_embedder.mlp.2", F.silu(self.linear("t_embedder.mlp.0", torch.cat([phase.cos(), phase.sin()])[None])))
        temb = temb.expand(n, -1)
        c = temb + self.w["y_embedder.embedding_table.weight"][y]
        x = F.conv2d(x, self.w["x_embedder.proj.weight"], self.w["x_embedder.proj.bias"], stride=p)
        x = x.flatten(2).transpose(1, 2) + self.w["pos_embed"]
        for i in range(self.depth):
            b = f"blocks.{i}."
            m = self.linear(b + "adaLN_modulation.1", F.silu(c)).chunk(6, 1)
            for u, unit in enumerate((self.attention, self.mlp)):
                part = m[3 * u:3 * u + 3]
                x = self.unit(x, part[2], ops[i][u], slots.setdefault((i, u), {}), lambda: unit(b, x, temb, part))
            if hidden is not None:
                hidden.append(x)
        shift, scale = self.linear("final_layer.adaLN_modulation.1", F.silu(c)).chunk(2, 1)
        x = self.linear("final_layer.linear", self.modulate(x, shift, scale))
        return x.view(n, grid, grid, p, p, -1).permute(0, 5, 1, 3, 2, 4).reshape(n, -1, size, size)

    def predict(self, x, t, y, ops, slots, scale, hidden=None):
        """Output of the conditional rows, guided on three channels."""
        n = len(x)
        out = self.forward(torch.cat([x, x]), t, torch.cat([y, torch.full_like(y, self.null)]), ops, slots, hidden)
        return torch.cat([out[n:, :3] + scale * (out[:n, :3] - out[n:, :3]), out[:n, 3:]], 1)


def check(name, run, scale):
    """The statement above against a stored run of a plan drawn at random, step by step."""
    m, slots = Model(name), {}
    g = {k: m.w[f"golden.{run}.{k}"] for k in ("ops", "out", "x", "t", "y", "start")}
    for k in range(len(g["t"])):
        x = g["x"][k - 1] if k else g["start"]
        out = m.predict(x, g["t"][k].item(), g["y"].long(), g["ops"][k].int().tolist(), slots, scale)
        off = (out - g["out"][k]).abs().max() / g["out"][k].abs().max()
        assert off < 1e-6, f"{name}, {run}: step {k} is off by {off:g}"


def table(depth, steps, sites):
    ops = np.full((STEPS, depth, 2), COMPUTE)
    for (block, unit), (op, computes) in sites.items():
        for s in steps:
            last = s == steps[-1] or s + 1 in computes
            ops[s, block, unit] = (COMPUTE if last else STORE) if s in computes else op
    return ops


def ddim(x, out, ab, ab_next):
    eps = out[:, :4]
    x0 = (x - (1 - ab).sqrt() * eps) / ab.sqrt()
    return ab_next.sqrt() * x0 + (1 - ab_next).sqrt() * eps


def run(name, g, out):
    names, at, sites = RUNS[name]
    models = [Model(n) for n in names]
    bounds = [0, at, STEPS] if at else [0, STEPS]
    tables = [table(m.depth, range(*bounds[i:i + 2]), sites[i]) for i, m in enumerate(models)]
    x, slots, xs, outs, hidden = g["start"], [{} for _ in models], [], [], []
    t = g["t"].long()
    for s in range(STEPS):
        w = int(at is not None and s >= at)
        kept = [] if s in HIDDEN.get(name, ()) else None
        o = models[w].predict(x, t[s].item(), g["y"].long(), tables[w][s].tolist(), slots[w], GUIDANCE, kept)
        x = ddim(x, o, ALPHA_BAR[t[s]], ALPHA_BAR[t[s + 1]] if s + 1 < STEPS else torch.tensor(1.0))
        xs.append(x), outs.append(o)
        hidden += [torch.stack(kept)] if kept else []
    for i, ops in enumerate(tables):
        out[f"golden.{name}.ops{i}"] = ops
    out[f"golden.{name}.x"], out[f"golden.{name}.out"] = torch.stack(xs).numpy(), torch.stack(outs).numpy()
    if hidden:
        out[f"golden.{name}.hidden"] = torch.stack(hidden).numpy()
    return min(m.least_logit for m in models)


def main():
    torch.set_default_dtype(torch.float64)
    check(DYDIT, "free", 2.0)
    check(DIT, "free", 3.0)
    g = {k: Model(DIT).w["golden.fora4." + k] for k in ("start", "y", "t")}
    out = {"golden." + k: v.numpy() for k, v in g.items()}
    least = min(run(name, g, out) for name in RUNS)
    out = {k: v.astype(np.float32) for k, v in out.items()}
    path = sys.argv[1] if len(sys.argv) > 1 else FOLDER + "inherit.safetensors"
    save_file(out, path, metadata={"min_abs_logit": f"{least:.3g}"})
    print(f"smallest router logit: {least:.3g}; timesteps {g['t'].int().tolist()}")


main()
