# SPDX-License-Identifier: MIT
"""DiT and DyDiT in PyTorch, as one would write them today: fused attention, weights from a checkpoint with the official names.

Dense: the plain DiT, routers ignored. Masked: what DyDiT's published code does at inference. Everything is computed, then head
outputs, MLP groups (before the activation) and tokens (the MLP's residual) are multiplied by masks of 0 and 1.
"""

import json
import math
import struct
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LN_EPS = 1e-6
FREQUENCIES = 128


def modulated_norm(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    normed = F.layer_norm(x, x.shape[-1:], eps=LN_EPS)
    return torch.addcmul(shift[:, None], normed, 1 + scale[:, None])


def decide(logits: Tensor) -> Tensor:
    """1 where a unit or token is on."""
    return (torch.sigmoid(logits) > 0.5).to(logits.dtype)


class UnitRouter(nn.Module):
    """Which heads or MLP groups run at this timestep; the first always does."""

    def __init__(self, width: int, units: int) -> None:
        super().__init__()
        self.router = nn.Linear(width, units - 1)

    def forward(self, time: Tensor) -> Tensor:
        return F.pad(decide(self.router(time)), (1, 0), value=1.0)


class TokenRouter(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.mlp_head = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, 1))

    def forward(self, x: Tensor) -> Tensor:
        return decide(self.mlp_head(x))


class Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        rows, tokens, width = x.shape
        qkv = self.qkv(x).view(rows, tokens, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        out = F.scaled_dot_product_attention(q, k, v)
        if mask is not None:
            out = out * mask[:, :, None, None]
        return self.proj(out.transpose(1, 2).reshape(rows, tokens, width))


class Mlp(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        h = self.fc1(x)
        if mask is not None:
            h = h * mask.repeat_interleave(h.shape[-1] // mask.shape[-1], dim=1)[:, None]
        return self.fc2(F.gelu(h, approximate="tanh"))


class Block(nn.Module):
    def __init__(self, width: int, heads: int, hidden: int, router_hidden: int) -> None:
        super().__init__()
        self.attn = Attention(width, heads)
        self.mlp = Mlp(width, hidden)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width))
        self.attn_rate = UnitRouter(width, heads)
        self.mlp_rate = UnitRouter(width, heads)
        self.token_selection = TokenRouter(width, router_hidden)

    def forward(self, x: Tensor, cond: Tensor, time: Tensor, masked: bool) -> tuple[Tensor, Tensor | None]:
        shift1, scale1, gate1, shift2, scale2, gate2 = self.adaLN_modulation(cond).chunk(6, dim=1)
        heads = self.attn_rate(time) if masked else None
        x = x + gate1[:, None] * self.attn(modulated_norm(x, shift1, scale1), heads)
        tokens = self.token_selection(x) if masked else None
        groups = self.mlp_rate(time) if masked else None
        change = gate2[:, None] * self.mlp(modulated_norm(x, shift2, scale2), groups)
        return x + (change if tokens is None else tokens * change), tokens


class TimeEmbedder(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(2 * FREQUENCIES, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, t: Tensor, dtype: torch.dtype) -> Tensor:
        steps = torch.arange(FREQUENCIES, dtype=torch.float32, device=t.device)
        angle = t[:, None].float() * torch.exp(steps * (-math.log(10000) / FREQUENCIES))
        return self.mlp(torch.cat([angle.cos(), angle.sin()], dim=1).to(dtype))


class FinalLayer(nn.Module):
    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, out)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 2 * width))

    def forward(self, x: Tensor, cond: Tensor) -> Tensor:
        shift, scale = self.adaLN_modulation(cond).chunk(2, dim=1)
        return self.linear(modulated_norm(x, shift, scale))


class DyDiT(nn.Module):
    """Geometry from the shapes of a checkpoint's tensors, as dydit does it."""

    def __init__(self, shapes: dict[str, tuple[int, ...]], heads: int) -> None:
        super().__init__()
        width, channels, self.patch, _ = shapes["x_embedder.proj.weight"]
        depth = 1 + max(int(name.split(".")[1]) for name in shapes if name.startswith("blocks."))
        hidden = shapes["blocks.0.mlp.fc1.weight"][0]
        router_hidden = shapes["blocks.0.token_selection.mlp_head.0.weight"][0]
        self.grid = math.isqrt(shapes["pos_embed"][1])
        self.classes = shapes["y_embedder.embedding_table.weight"][0] - 1
        out = shapes["final_layer.linear.weight"][0]
        self.x_embedder = nn.ModuleDict({"proj": nn.Conv2d(channels, width, self.patch, self.patch)})
        self.t_embedder = TimeEmbedder(width)
        self.y_embedder = nn.ModuleDict({"embedding_table": nn.Embedding(self.classes + 1, width)})
        self.pos_embed = nn.Parameter(torch.empty(shapes["pos_embed"]))
        self.blocks = nn.ModuleList(Block(width, heads, hidden, router_hidden) for _ in range(depth))
        self.final_layer = FinalLayer(width, out)

    def forward(self, x: Tensor, t: Tensor, y: Tensor, masked: bool = False) -> Tensor:
        return self.traced(x, t, y, masked)[0]

    def traced(self, x: Tensor, t: Tensor, y: Tensor, masked: bool) -> tuple[Tensor, list[Tensor | None]]:
        """The result, and every block's token mask."""
        time = self.t_embedder(t, self.pos_embed.dtype)
        cond = time + self.y_embedder["embedding_table"](y)
        h = self.x_embedder["proj"](x).flatten(2).transpose(1, 2) + self.pos_embed
        tokens = []
        for block in self.blocks:
            h, chosen = block(h, cond, time, masked)
            tokens.append(chosen)
        rows, grid, patch = x.shape[0], self.grid, self.patch
        out = self.final_layer(h, cond).view(rows, grid, grid, patch, patch, -1)
        return out.permute(0, 5, 1, 3, 2, 4).reshape(rows, -1, grid * patch, grid * patch), tokens


def metadata(path: Path) -> dict[str, str]:
    with path.open("rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        return json.loads(file.read(size)).get("__metadata__", {})


def load(path: Path, dtype: torch.dtype) -> DyDiT:
    from safetensors.torch import load_file  # only here: torch_dit.py works without it

    tensors = {name: value.to(dtype) for name, value in load_file(path).items()}
    shapes = {name: tuple(value.shape) for name, value in tensors.items()}
    with torch.device("meta"):
        model = DyDiT(shapes, int(metadata(path)["num_heads"]))
    model.load_state_dict(tensors, strict=True, assign=True)
    return model.eval().requires_grad_(False)


def inputs(rows: int, size: int, classes: int) -> tuple[Tensor, Tensor, Tensor]:
    """As guided sampling has them: pairs of rows with the same latent, a class and the null class."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn((rows + 1) // 2, 4, size, size, generator=generator).repeat(2, 1, 1, 1)[:rows]
    t = torch.full((rows,), 500)
    y = torch.where(torch.arange(rows) < (rows + 1) // 2, torch.tensor(207 % classes), torch.tensor(classes))
    return x.contiguous(), t, y
