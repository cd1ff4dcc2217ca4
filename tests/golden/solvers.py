#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes tests/golden/solvers.safetensors: the multistep solvers as diffusers 0.30.3 steps them.

usage: python3 tests/golden/solvers.py [OUT]     (needs torch, diffusers 0.30.3, numpy, safetensors)

diffusers computes its schedule in float32. Here its schedulers are given the same schedule in float64, so that what is
compared is the method and not the rounding; how far its own float32 is from that is printed. Between two steps latents are
rounded to float32, as its DPM scheduler does anyway.
"""
import sys
import warnings

import diffusers
import numpy as np
import torch
import torch.nn.functional as F
from diffusers import DPMSolverMultistepScheduler, UniPCMultistepScheduler
from safetensors.numpy import load_file, save_file

COUNTS = (5, 10, 20, 25)
SPACINGS = ("linspace", "leading", "trailing")
MODEL = "tests/golden/sampling_d32_h2_p2.safetensors"
SCHEDULE = "tests/golden/schedule.safetensors"
SOLVERS = {
    "dpmpp2m": lambda **o: DPMSolverMultistepScheduler(beta_start=1e-4, beta_end=0.02, beta_schedule="linear", **o),
    "unipc": lambda **o: UniPCMultistepScheduler(beta_start=1e-4, beta_end=0.02, beta_schedule="linear", **o),
}
ALPHA_BAR = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), 0)


def exact(name, n):
    """A scheduler with its schedule in float64."""
    s = SOLVERS[name]()
    s.set_timesteps(n)
    a = ALPHA_BAR[s.timesteps]
    s.sigmas = torch.cat([((1 - a) / a).sqrt(), torch.zeros(1, dtype=torch.float64)])
    return s


def run(scheduler, x, predict):
    """All latents [n+1,...] and predictions [n,...]."""
    xs, outs = [x], []
    for t in scheduler.timesteps:
        outs.append(predict(xs[-1], int(t)))
        x = scheduler.step(outs[-1], t, xs[-1]).prev_sample
        xs.append(x.float().to(x.dtype))
    return torch.stack(xs), torch.stack(outs)


def fake(x, t):
    """A prediction of noise that any solver would have to follow: smooth in x and t, and of float32 values."""
    return (0.9 * torch.sin(x + 0.003 * t) + 0.1 * x).float().to(x.dtype)


class Model:
    """The Dynamic Diffusion Transformer (arXiv 2410.03456) in float64, guided."""

    def __init__(self, path):
        self.w = {k: torch.from_numpy(v).double() for k, v in load_file(path).items()}
        self.y = self.w["golden.y"].long()
        self.frequencies = torch.from_numpy(load_file(SCHEDULE)["time_frequencies"]).float()
        self.heads, self.patch, self.scale, self.null = 2, 2, 4.0, 10
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

    def block(self, b, x, temb, c):
        n, s, d = x.shape
        m = self.linear(b + "adaLN_modulation.1", F.silu(c)).chunk(6, 1)
        q, k, v = self.linear(b + "attn.qkv", self.modulate(x, m[0], m[1])).view(n, s, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        heads = torch.softmax(q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5, -1) @ v
        heads = heads * self.units(b + "attn_rate", temb)[:, :, None, None]
        x = x + m[2][:, None] * self.linear(b + "attn.proj", heads.transpose(1, 2).reshape(n, s, d))
        tokens = self.linear(b + "token_selection.mlp_head.2", F.relu(self.linear(b + "token_selection.mlp_head.0", x)))
        hidden = self.linear(b + "mlp.fc1", self.modulate(x, m[3], m[4]))
        groups = self.units(b + "mlp_rate", temb).repeat_interleave(hidden.shape[-1] // self.heads, 1)
        mlp = self.linear(b + "mlp.fc2", F.gelu(hidden * groups[:, None], approximate="tanh"))
        return x + m[5][:, None] * self.mask(tokens) * mlp

    def forward(self, x, t, y):
        n, _, size, _ = x.shape
        p, grid = self.patch, size // self.patch
        phase = (np.float32(t) * self.frequencies).double()  # float32 in the public code, too
        features = torch.cat([phase.cos(), phase.sin()])[None]
        temb = self.linear("t_embedder.mlp.2", F.silu(self.linear("t_embedder.mlp.0", features))).expand(n, -1)
        c = temb + self.w["y_embedder.embedding_table.weight"][y]
        x = F.conv2d(x, self.w["x_embedder.proj.weight"], self.w["x_embedder.proj.bias"], stride=p)
        x = x.flatten(2).transpose(1, 2) + self.w["pos_embed"]
        for i in range(2):
            x = self.block(f"blocks.{i}.", x, temb, c)
        shift, scale = self.linear("final_layer.adaLN_modulation.1", F.silu(c)).chunk(2, 1)
        x = self.linear("final_layer.linear", self.modulate(x, shift, scale))
        return x.view(n, grid, grid, p, p, -1).permute(0, 5, 1, 3, 2, 4).reshape(n, -1, size, size)

    def predict(self, x, t):
        """Noise of the conditional half; guidance on three channels."""
        n = len(x)
        out = self.forward(torch.cat([x, x]), t, torch.cat([self.y, torch.full_like(self.y, self.null)]))
        return torch.cat([out[n:, :3] + self.scale * (out[:n, :3] - out[n:, :3]), out[:n, 3:4]], 1)


def check_model(m):
    """The statement above against the stored outputs of the DDIM run."""
    want, x, t = m.w["golden.ddim.out"], m.w["golden.ddim.x"], m.w["golden.ddim.t"]
    for k in range(len(t)):
        got = m.predict(x[k - 1] if k else m.w["golden.x"], t[k].item())
        off = (got - want[k, :, :4]).abs().max() / want[k].abs().max()
        assert off < 1e-6, f"step {k} of the model is off by {off:g}"


def timesteps(out):
    """Of four counts in full; of every count a sum that no other order and no other timestep has by chance."""
    for spacing in SPACINGS:
        sums, longer = [], 0
        for n in range(2, 1000):
            both = []
            for make in SOLVERS.values():
                s = make(timestep_spacing=spacing)
                s.set_timesteps(n)
                both.append(s.timesteps.numpy())
            assert np.array_equal(*both)
            t = both[0]
            longer += len(t) != n  # numpy's arange went one too far, to timestep -1
            t = t[:n]
            sums.append(float(np.sum((np.arange(n) + 1) ** 2 * t.astype(np.int64))))
            if n in COUNTS:
                out[f"t.{spacing}{n}"] = t.astype(np.float32)
        out[f"sums.{spacing}"] = np.array(sums)
        print(f"{spacing}: diffusers takes one step too many, at -1, for {longer} of 998 counts")


def fake_runs(out):
    worst = 0.0
    for name, make in SOLVERS.items():
        for n in COUNTS:
            x = torch.from_numpy(np.random.RandomState(n).randn(32)).float().double()[None]
            xs, eps = run(exact(name, n), x, fake)
            out[f"fake.{name}.{n}.x"], out[f"fake.{name}.{n}.eps"] = xs[:, 0].numpy(), eps[:, 0].numpy()
            own = make()
            own.set_timesteps(n)
            torch.set_default_dtype(torch.float32)
            theirs, _ = run(own, x.float(), fake)
            torch.set_default_dtype(torch.float64)  # or UniPC solves its equations in float32
            worst = max(worst, ((theirs - xs).abs().amax((1, 2)) / xs.abs().amax((1, 2))).max().item())
    print(f"diffusers' own float32: latents differ by {worst:.2g} of their largest value")


def model_runs(out):
    m = Model(MODEL)
    check_model(m)
    m.least_logit = np.inf
    for name in SOLVERS:
        for n in COUNTS:
            xs, _ = run(exact(name, n), m.w["golden.x"], m.predict)
            out[f"model.{name}.{n}.x"] = xs[1:].numpy()
    print(f"smallest router logit of the runs: {m.least_logit:.3g}")
    return m.least_logit


def main():
    assert diffusers.__version__ == "0.30.3", f"diffusers {diffusers.__version__} is another version"
    warnings.filterwarnings("ignore")
    torch.set_default_dtype(torch.float64)
    out = {}
    timesteps(out)
    fake_runs(out)
    least = model_runs(out)
    out = {k: v if k.startswith("sums") else v.astype(np.float32) for k, v in out.items()}
    meta = {"source": f"diffusers {diffusers.__version__}, smallest router logit {least:.3g}"}  # several have no fixed order
    save_file(out, sys.argv[1] if len(sys.argv) > 1 else "tests/golden/solvers.safetensors", metadata=meta)


main()
