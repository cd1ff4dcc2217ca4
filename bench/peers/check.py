# SPDX-License-Identifier: MIT
"""Do model.py and dydit compute the same function? One forward pass of both in float32, dense and masked, on one checkpoint.

    check.py --dydit PROGRAM --ckpt FILE

The bound: dydit promises 1e-5 of the largest value against float64, so two float32 programs may be 2e-5 apart. A token whose
decision differs would show as a far larger error; the count of such tokens is printed.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import model as dit
import torch
from safetensors.torch import load_file, save_file

BOUND = 2e-5


def compare(args: argparse.Namespace, network: dit.DyDiT, masked: bool, folder: Path) -> bool:
    size = network.grid * network.patch
    x, _, y = dit.inputs(4, size, network.classes)
    t = torch.tensor([999, 500, 500, 20])
    save_file({"x": x, "t": t, "y": y}, folder / "in.safetensors")
    command = [args.dydit, "eval", "--ckpt", args.ckpt, "--in", folder / "in.safetensors", "--out", folder / "out.safetensors"]
    subprocess.run([*command, "--quiet", *(["--trace"] if masked else ["--dense"])], check=True)
    theirs = load_file(folder / "out.safetensors")
    with torch.no_grad():
        ours, tokens = network.traced(x, t, y, masked)
    largest = theirs["out"].abs().max().item()
    error = (ours - theirs["out"]).abs().max().item() / largest
    text = f"{'masked' if masked else 'dense'}: largest error {error:.2e} of the largest value {largest:.3g}"
    if masked:
        chosen = torch.stack([m.squeeze(-1) for m in tokens if m is not None])
        differing = int((chosen != theirs["tokens"].to(chosen.dtype)).sum())
        text += f"; {differing} of {chosen.numel()} token decisions differ, {chosen.mean().item():.0%} of the tokens run"
    passed = error <= BOUND
    print(f"{text}; bound {BOUND:.0e}: {'same function' if passed else 'NOT the same'}")
    return passed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dydit", type=Path, required=True)
    parser.add_argument("--ckpt", type=Path, required=True)
    args = parser.parse_args()
    network = dit.load(args.ckpt, torch.float32)
    with tempfile.TemporaryDirectory() as name:
        results = [compare(args, network, masked, Path(name)) for masked in (False, True)]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
