#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes tests/golden/denseformer_experiments.safetensors and denseformer_plans.safetensors: depth-weighted averages
(DenseFormer, arXiv 2402.02622) over groups of blocks, and under plans that keep, reuse and skip results in a model with
routers.

usage: python3 tests/golden/denseformer.py [FOLDER]     (needs torch, numpy, safetensors)

The model is stated here once more, in float64, and held against the goldens that it did not make before anything is
written."""
import sys

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

COMPUTE, STORE, BRANCH, DELTA, OUTPUT, SKIP = range(6)
REUSE = (BRANCH, DELTA, OUTPUT)
FOLDER = "tests/golden/"
SCALE, GUIDED, CLASSES, PATCH = 2.0, 3, 10, 2


class Model:
    """The Dynamic Diffusion Transformer (arXiv 2410.03456), one step at a time under the ops of a plan."""

    def __init__(self, weights, meta):
        self.w = {k: torch.from_numpy(v).double() for k, v in weights.items() if not k.startswith("golden.")}
        self.meta = meta
        self.depth, self.heads = int(meta["depth"]), int(meta["num_heads"])
        self.frequencies = torch.from_numpy(load_file(FOLDER + "schedule.safetensors")["time_frequencies"]).float()
        self.span = int(meta.get("increase_T_every", 2)) if "weights.0.weight" in self.w else 1
        self.dilation = int(meta["dwa_dilation"])
        self.least_logit = np.inf

    def linear(self, name, x):
        return F.linear(x, self.w[name + ".weight"], self.w[name + ".bias"])

    def mask(self, logits):
        self.least_logit = min(self.least_logit, logits.abs().min().item())
        return (logits > 0).double()

    def units(self, name, temb):
        """The first head or channel group is always on."""
        return F.pad(self.mask(self.linear(name + ".router", temb)), (1, 0), value=1.0)

    @staticmethod
    def modulate(x, shift, scale):
        return F.layer_norm(x, x.shape[-1:], eps=1e-6) * (1 + scale[:, None]) + shift[:, None]

    def attention(self, b, x, on):
        n, s, d = x.shape
        q, k, v = self.linear(b + "attn.qkv", x).view(n, s, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        heads = torch.softmax(q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5, -1) @ v
        if on is not None:
            heads = heads * on[:, :, None, None]
        return self.linear(b + "attn.proj", heads.transpose(1, 2).reshape(n, s, d))

    def mlp(self, b, x, on):
        hidden = self.linear(b + "mlp.fc1", x)
        if on is not None:
            hidden = hidden * on.repeat_interleave(hidden.shape[-1] // self.heads, 1)[:, None]
        return self.linear(b + "mlp.fc2", F.gelu(hidden, approximate="tanh"))

    def tokens(self, b, x):
        b += "token_selection.mlp_head."
        return self.mask(self.linear(b + "2", F.relu(self.linear(b + "0", x))))

    def average(self, blocks, outputs):
        """What follows so many blocks. outputs: of each unit so far, the embedded tokens first."""
        unit = blocks // self.span
        name = "weights" if "weights.0.weight" in self.w else "dwa_modules.alphas"
        alpha = self.w.get(f"{name}.{unit - 1}.weight") if blocks % self.span == 0 else None
        if alpha is None:
            return outputs[-1] if blocks % self.span == 0 else None
        sources = outputs[unit % self.dilation :: self.dilation]
        assert alpha.shape == (1, len(sources)), name
        return sum(a * x for a, x in zip(alpha[0], sources))

    def forward(self, x, t, y, ops=None, slots=None, policy="frozen", dynamic=True):
        """The output; per block heads, groups and tokens, None where nobody asked the router; outputs of the blocks."""
        n, _, size, _ = x.shape
        phase = (t.float()[:, None] * self.frequencies).double()  # float32 in the public code, too
        temb = self.linear("t_embedder.mlp.2", F.silu(self.linear("t_embedder.mlp.0", torch.cat([phase.cos(), phase.sin()], 1))))
        c = temb + self.w["y_embedder.embedding_table.weight"][y]
        x = F.conv2d(x, self.w["x_embedder.proj.weight"], self.w["x_embedder.proj.bias"], stride=PATCH)
        x = x.flatten(2).transpose(1, 2) + self.w["pos_embed"]
        outputs, hidden, masks = [x], [], []
        for i in range(self.depth):
            b = f"blocks.{i}."
            m = self.linear(b + "adaLN_modulation.1", F.silu(c)).chunk(6, 1)
            op = (COMPUTE, COMPUTE) if ops is None else ops[i].tolist()
            asked = [self.units(b + part, temb) if dynamic and op[u] in (COMPUTE, STORE) else None
                     for u, part in enumerate(("attn_rate", "mlp_rate"))]
            route = (lambda z, b=b: self.tokens(b, z)) if dynamic else None
            slot = [{} if slots is None else slots.setdefault((i, u), {}) for u in (0, 1)]
            x, _ = unit(x, m[2], op[0], slot[0], lambda z: self.attention(b, self.modulate(z, m[0], m[1]), asked[0]))
            x, tokens = unit(x, m[5], op[1], slot[1], lambda z: self.mlp(b, self.modulate(z, m[3], m[4]), asked[1]), route, policy)
            masks.append((*asked, tokens))
            hidden.append(x)
            if (i + 1) % self.span == 0:
                outputs.append(x)
            averaged = self.average(i + 1, outputs)
            x = x if averaged is None else averaged
        shift, scale = self.linear("final_layer.adaLN_modulation.1", F.silu(c)).chunk(2, 1)
        x = self.linear("final_layer.linear", self.modulate(x, shift, scale))
        grid = size // PATCH
        x = x.view(n, grid, grid, PATCH, PATCH, -1).permute(0, 5, 1, 3, 2, 4).reshape(n, -1, size, size)
        return x, masks, torch.stack(hidden)


def unit(x, gate, op, slot, branch, route=None, policy="frozen"):
    """The tokens after an attention or MLP, and the mask in what was added."""
    gate = gate[:, None]
    if op == SKIP:
        return x, None
    if op == OUTPUT:
        return slot["output"], None
    if op == DELTA:
        return x + slot["delta"], slot["mask"]
    if op == BRANCH:
        f, mask = slot["branch"], slot["mask"]
        if route and policy != "frozen":
            mask = route(x) if policy == "fresh" else mask * route(x)
    else:
        f, mask = branch(x), route(x) if route else None
    delta = gate * f if mask is None else mask * (gate * f)
    if op == STORE:
        slot.update(branch=f, delta=delta, output=x + delta, mask=mask)
    return x + delta, mask


def guided(model, x, t, y, *how):
    """The output of the conditional rows with guidance on some channels, and the masks of all rows."""
    n = len(x)
    out, masks, _ = model.forward(torch.cat([x, x]), torch.full((2 * n,), float(t)), torch.cat([y, torch.full_like(y, CLASSES)]), *how)
    mixed = out[n:, :GUIDED] + SCALE * (out[:n, :GUIDED] - out[n:, :GUIDED])
    return torch.cat([mixed, out[:n, GUIDED:]], 1), masks


def near(got, want, what):
    off = ((got - want).abs().max() / want.abs().max()).item()
    print(f"{what}: off by {off:.2g}")
    assert off < 1e-6, what


def check(name):
    """The statement above against stored values of a model: forward passes, and each step of a run under a plan."""
    path = f"{FOLDER}denseformer_d32_h2_{name}.safetensors"
    with safe_open(path, "np") as f:
        meta = f.metadata()
    w = load_file(path)
    model, g = Model(w, meta), {k[7:]: torch.from_numpy(v).double() for k, v in w.items() if k.startswith("golden.")}
    dynamic = meta.get("dynamic") == "1"
    out, _, hidden = model.forward(g["x"], g["t"], g["y"].long(), None, None, "frozen", dynamic)
    near(out, g["out"], name + ", out")
    near(hidden, g["hidden"], name + ", hidden")
    for run in meta.get("runs", "").split():
        slots, x = {}, g[run + ".start"]
        for n, t in enumerate(g[run + ".t"]):
            out, _ = guided(model, x, t, g[run + ".y"].long(), g[run + ".ops"][n].long(), slots)
            x = g[run + ".x"][n]
            near(out, g[run + ".out"][n], f"{name}, {run}, step {n}")


def random_weights(rng, depth, dim, heads, routers, alphas):
    """Values of float32; averages mostly of the newest output, some weights negative."""
    w = {}

    def linear(name, out, inputs, spread=1.0, bias=0.1):
        w[name + ".weight"] = rng.randn(out, inputs) * spread / inputs**0.5
        w[name + ".bias"] = rng.randn(out) * bias

    w["x_embedder.proj.weight"] = rng.randn(dim, 4, PATCH, PATCH) / 4
    w["x_embedder.proj.bias"] = rng.randn(dim) * 0.1
    w["pos_embed"] = rng.randn(1, 16, dim) * 0.5
    w["y_embedder.embedding_table.weight"] = rng.randn(CLASSES + 1, dim)
    linear("t_embedder.mlp.0", dim, 256)
    linear("t_embedder.mlp.2", dim, dim, 2.0)
    for i in range(depth):
        b = f"blocks.{i}."
        linear(b + "attn.qkv", 3 * dim, dim)
        linear(b + "attn.proj", dim, dim)
        linear(b + "mlp.fc1", 2 * dim, dim)
        linear(b + "mlp.fc2", dim, 2 * dim)
        linear(b + "adaLN_modulation.1", 6 * dim, dim, 0.5, 0.3)
        if routers:
            linear(b + "attn_rate.router", heads - 1, dim, 2.0)
            linear(b + "mlp_rate.router", heads - 1, dim, 2.0)
            linear(b + "token_selection.mlp_head.0", dim // 16, dim, 2.0)
            linear(b + "token_selection.mlp_head.2", 1, dim // 16, 2.0, 0.3)
    linear("final_layer.adaLN_modulation.1", 2 * dim, dim, 0.5, 0.3)
    linear("final_layer.linear", PATCH * PATCH * 8, dim)
    for name, n in alphas.items():
        w[name] = rng.randn(1, n) * 0.3
        w[name][0, -1] += 0.8
    return {k: v.astype(np.float32) for k, v in w.items()}


def metadata(depth, dim, heads, **more):
    own = dict(depth=depth, hidden_size=dim, num_heads=heads, mlp_ratio=2.0, input_size=8, patch_size=PATCH, in_channels=4,
               num_classes=CLASSES, learn_sigma=1, cfg_channels=GUIDED)
    return {k: str(v) for k, v in {**own, **more}.items()}


def experiments(folder):
    """Eight blocks in groups of two, dilation 2: a forward pass."""
    rng, depth, dim, heads = np.random.RandomState(5), 8, 16, 2
    alphas = {f"weights.{r}.weight": (r + 1) // 2 + 1 for r in range(depth // 2)}
    meta = metadata(depth, dim, heads, dwa_dilation=2)
    w = random_weights(rng, depth, dim, heads, False, alphas)
    x, t, y = rng.randn(3, 4, 8, 8).astype(np.float32), np.float32([999, 412, 0]), np.float32([3, 7, CLASSES])
    out, _, hidden = Model(w, meta).forward(torch.from_numpy(x).double(), torch.from_numpy(t), torch.from_numpy(y).long(), dynamic=False)
    w.update({"golden.x": x, "golden.t": t, "golden.y": y, "golden.out": out.float().numpy(), "golden.hidden": hidden.float().numpy()})
    del meta["dwa_dilation"]  # the shapes tell
    save_file(w, folder + "denseformer_experiments.safetensors", metadata=meta)


def fora(steps, depth, interval):
    ops = np.full((steps, depth, 2), BRANCH)
    for n in range(steps):
        if n == 0 or (steps - 1 - n) % interval == 0:
            ops[n] = STORE
    return live(ops)


def free(rng, steps, depth):
    """All six ops, and a step that skips a whole block."""
    ops = np.full((steps, depth, 2), COMPUTE)
    for block, u in np.ndindex(depth, 2):
        filled = False
        for n in range(steps):
            choices = [COMPUTE, STORE, SKIP] + list(REUSE) * filled
            op = SKIP if (n, block) == (3, 1) else rng.choice(choices)
            ops[n, block, u], filled = op, filled or op == STORE
    return live(ops)


def live(ops):
    """A store that nobody reads before the next one is none."""
    for cells in ops.reshape(len(ops), -1).T:
        read = False
        for n in reversed(range(len(cells))):
            if cells[n] == STORE:
                cells[n], read = (STORE, False) if read else (COMPUTE, False)
            read = read or cells[n] in REUSE
    return ops


def sources(ops):
    out = np.full_like(ops, -1)
    for index in np.ndindex(ops.shape[1:]):
        last = -1
        for n in range(len(ops)):
            op = ops[(n, *index)]
            last = n if op == STORE else last
            if op in REUSE:
                assert last >= 0
                out[(n, *index)] = last
    return out


def run(model, ops, policy, start, y):
    """Ten steps of DDIM: what test_golden_policy.c compares."""
    table = load_file(FOLDER + "schedule.safetensors")
    timesteps, bars = table["10.timestep_map"], table["10.alphas_cumprod"].astype(np.float64)
    x, slots, log = torch.from_numpy(start).double(), {}, {}
    labels = torch.from_numpy(y).long()
    for n, i in enumerate(reversed(range(10))):
        out, masks = guided(model, x, timesteps[i], labels, torch.from_numpy(ops[n]), slots, policy)
        a, before = bars[i], bars[i - 1] if i else 1.0
        eps = out[:, :4]
        x = before**0.5 * (x / a**0.5 - (1 / a - 1) ** 0.5 * eps) + (1 - before) ** 0.5 * eps
        zero = lambda m, *shape: torch.zeros(shape, dtype=torch.float64) if m is None else m
        rows, heads = 2 * len(y), model.heads
        record = dict(t=torch.tensor(float(timesteps[i])), out=out, x=x,
                      heads=torch.stack([zero(h, rows, heads)[0] for h, _, _ in masks]),
                      groups=torch.stack([zero(g, rows, heads)[0] for _, g, _ in masks]),
                      tokens=torch.stack([zero(k, rows, 16, 1)[..., 0] for _, _, k in masks]))
        for k, v in record.items():
            log.setdefault(k, []).append(v)
    return {k: torch.stack(v).float().numpy() for k, v in log.items()}


def plans(folder, seed):
    """Four blocks with routers, dilation 2, under plans. The smallest logit of all routers, nothing written if it is small."""
    rng, depth, dim, heads = np.random.RandomState(seed), 4, 32, 2
    alphas = {f"dwa_modules.alphas.{i}.weight": (i + 1) // 2 + 1 for i in range(depth)}
    runs = {"fora3_intersect": (fora(10, depth, 3), "intersect"), "fora3_fresh": (fora(10, depth, 3), "fresh"),
            "free": (free(rng, 10, depth), "frozen")}
    meta = metadata(depth, dim, heads, dwa_dilation=2, dwa_period=1, runs=" ".join(runs), seed=seed)
    w = random_weights(rng, depth, dim, heads, True, alphas)
    model, out = Model(w, meta), {}
    for name, (ops, policy) in runs.items():
        start, y = rng.randn(2, 4, 8, 8).astype(np.float32), np.float32([3, 8])
        log = dict(ops=ops, sources=sources(ops), start=start, y=y, **run(model, ops, policy, start, y))
        out.update({f"golden.{name}.{k}": np.ascontiguousarray(v, np.float32) for k, v in log.items()})
    assert set(runs["free"][0].flatten().tolist()) == set(range(6))
    meta["min_abs_logit"] = f"{model.least_logit:.3g}"
    if model.least_logit > 1e-3:
        save_file({**w, **out}, folder + "denseformer_plans.safetensors", metadata=meta)
    return model.least_logit


def main():
    torch.set_grad_enabled(False)
    folder = (sys.argv[1] if len(sys.argv) > 1 else FOLDER.rstrip("/")) + "/"
    check("1x1")
    check("2x3")
    experiments(folder)
    seed = 1
    while plans(folder, seed) <= 1e-3:
        seed += 1
    print(f"plans: seed {seed}")


main()
