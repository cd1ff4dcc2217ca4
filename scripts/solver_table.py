#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""How far the demo letters of few steps are from those of 250 DDIM steps: mean squared difference of pixels in -1..1.

usage: scripts/solver_table.py OUT.json [DYDIT]      (run in the root of the project)
"""
import array
import json
import os
import struct
import subprocess
import sys
import tempfile

MODEL = ["--ckpt", "models/glyphs.safetensors", "--class-labels", "A-Z", "--num-samples", "104", "--cfg-scale", "2", "--seed", "0"]
COUNTS = (5, 10, 20, 25)
SAMPLERS = {"ddim": "ddim%d", "dpmpp2m": "%d", "unipc": "%d"}


def latents(program, sampler, steps, folder):
    path = os.path.join(folder, "latents")
    run = [program, "sample", *MODEL, "--backend", "cpu", "--precision", "fp32", "--sampler", sampler, "--steps", steps]
    subprocess.run([*run, "-q", "--latents-out", path], check=True)
    with open(path, "rb") as f:
        head = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
        data = f.read()
    begin, end = head["latents"]["data_offsets"]
    return array.array("f", data[begin:end])


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    program = sys.argv[2] if len(sys.argv) > 2 else "build/release/dydit"
    with tempfile.TemporaryDirectory() as folder:
        want = latents(program, "ddim", "ddim250", folder)
        rows = []
        for sampler, steps in SAMPLERS.items():
            for n in COUNTS:
                have = latents(program, sampler, steps % n, folder)
                mse = sum((a - b) ** 2 for a, b in zip(want, have)) / len(want)
                rows.append({"sampler": sampler, "steps": steps % n, "forward_passes": n, "mse": mse})
    with open(sys.argv[1], "w") as f:
        json.dump({"command": "scripts/solver_table.py", "arguments": MODEL, "reference": "ddim250", "rows": rows}, f, indent=1)
        f.write("\n")
    print("| forward passes | " + " | ".join(SAMPLERS) + " |\n|---|" + "---|" * len(SAMPLERS))
    for n in COUNTS:
        values = [next(r["mse"] for r in rows if r["sampler"] == s and r["forward_passes"] == n) for s in SAMPLERS]
        print(f"| {n} | " + " | ".join(f"{v:.2g}" for v in values) + " |")


main()
