# SPDX-License-Identifier: MIT
"""Times the convolutions of Stable Diffusion's VAE decoder beside oneDNN's, by way of PyTorch.

    python bench/peers/conv.py [--rounds N] [--threads N] OUT.json     a Markdown table goes to stdout

Needs PyTorch of a CPU build or not, and build/release/tests/checkkernel (`make checkkernel`). Each round gives each shape a
turn of both, one after the other: PyTorch in this process, checkkernel in one of its own. PyTorch's convolution is the one that
torch.compile takes: channels last, weights reordered beforehand, bias in the same primitive. Where dydit repeats pixels as it
reads them, oneDNN gets the larger picture ready-made. All is float32."""

import argparse
import ctypes
import datetime
import json
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from report import compiler, cpuinfo, machine

# Those of tests/checkkernel/bench_cases.c: name, size of the output, channels in, channels out, size of the kernel.
SHAPES = [
    ("512 to 512, 32 x 32", 32, 512, 512, 3),
    ("512 to 512, 64 x 64", 64, 512, 512, 3),
    ("256 to 256, 128 x 128", 128, 256, 256, 3),
    ("128 to 128, 256 x 256", 256, 128, 128, 3),
    ("512 to 256, 128 x 128", 128, 512, 256, 3),
    ("256 to 128, 256 x 256", 256, 256, 128, 3),
    ("512 to 512, 32 x 32 to 64 x 64", 64, 512, 512, 3),
    ("512 to 512, 64 x 64 to 128 x 128", 128, 512, 512, 3),
    ("256 to 256, 128 x 128 to 256 x 256", 256, 256, 256, 3),
    ("512 to 256, 128 x 128, 1 x 1", 128, 512, 256, 1),
    ("8 to 512, 32 x 32", 32, 8, 512, 3),
    ("128 to 8, 256 x 256", 256, 128, 8, 3),
]
LEAST_RUNS, LEAST_SECONDS = 11, 0.15  # as checkkernel does


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[int(len(values) * share)]


def flops(shape: tuple[str, int, int, int, int]) -> float:
    _, size, c, n, k = shape
    return 2.0 * size * size * c * n * k * k


def onednn(shape: tuple[str, int, int, int, int]) -> list[float]:
    """Milliseconds of every run."""
    _, size, c, n, k = shape
    torch.manual_seed(1)
    pad, one = [k // 2, k // 2], [1, 1]
    x = torch.randn(1, c, size, size).to(memory_format=torch.channels_last)
    weight, bias = torch.randn(n, c, k, k) / (c * k * k) ** 0.5, torch.randn(n)
    packed = torch._C._nn.mkldnn_reorder_conv2d_weight(weight.to_mkldnn(), pad, one, one, 1, list(x.shape))

    def run() -> torch.Tensor:
        return torch.ops.mkldnn._convolution_pointwise(x, packed, bias, pad, one, one, 1, "none", [], "")

    want = torch.nn.functional.conv2d(x, weight, bias, padding=k // 2)
    if not (run() - want).abs().max() <= 1e-3:
        raise SystemExit(f"conv: {shape[0]}: the two ways of PyTorch differ")
    times: list[float] = []
    while len(times) < LEAST_RUNS or sum(times) < 1e3 * LEAST_SECONDS:
        start = time.perf_counter()
        run()
        times.append(1e3 * (time.perf_counter() - start))
    return times


def dydit(program: str, impl: str, name: str, threads: int) -> dict[str, Any]:
    """checkkernel's own record of the case."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "out.json")
        command = [program, "--bench", "--op=conv2d", f"--impl={impl}", f"--case={name}", f"--threads={threads}", f"--json={out}"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        record: dict[str, Any] = json.loads(out.read_text())["results"][0]
    return record


def measure(args: argparse.Namespace) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [{"case": s[0], "gflop": 1e-9 * flops(s), "onednn_ms": [], "dydit": []} for s in SHAPES]
    with torch.inference_mode():
        for _ in range(args.rounds):
            for shape, row in zip(SHAPES, rows):
                row["onednn_ms"].append(onednn(shape))
                row["dydit"].append(dydit(args.checkkernel, args.impl, shape[0], args.threads))
    for shape, row in zip(SHAPES, rows):
        ours = statistics.median(r["median_ms"] for r in row["dydit"])
        theirs = statistics.median(percentile(times, 0.5) for times in row["onednn_ms"])
        least = min(percentile(times, 0.1) for times in row["onednn_ms"])
        row["dydit_gflops"], row["onednn_gflops"] = 1e-6 * flops(shape) / ours, 1e-6 * flops(shape) / theirs
        row["dydit_of_peak"] = statistics.median(r["of_peak"] for r in row["dydit"])
        row["ratio"] = theirs / ours
        row["ratio_of_least"] = least / min(r["low_ms"] for r in row["dydit"])
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    lines = ["| convolution | GFLOP | dydit | of peak | oneDNN | dydit / oneDNN | of the least times |", "|---|---|---|---|---|---|---|"]
    for r in rows:
        speed = f"{r['dydit_gflops']:.0f} GFLOP/s | {100 * r['dydit_of_peak']:.0f} % | {r['onednn_gflops']:.0f} GFLOP/s"
        lines.append(f"| {r['case']} | {r['gflop']:.2f} | {speed} | {r['ratio']:.2f} | {r['ratio_of_least']:.2f} |")
    return "\n".join(lines)


def keep_memory() -> None:
    """PyTorch allocates every result. Without this the C library gets and gives back pages each time, which takes a tenth of
    the time of the larger pictures and is no part of oneDNN."""
    m_trim_threshold, m_mmap_max = -1, -4
    libc = ctypes.CDLL(None)
    libc.mallopt(m_mmap_max, 0)
    libc.mallopt(m_trim_threshold, 2**31 - 1)


def main() -> None:
    p = argparse.ArgumentParser(description="convolutions beside oneDNN's")
    p.add_argument("out", metavar="OUT.json")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    p.add_argument("--checkkernel", default="build/release/tests/checkkernel")
    p.add_argument("--impl", default="cpu_avx512")
    args = p.parse_args()
    keep_memory()
    torch.set_num_threads(args.threads)
    version = [line.strip(" -") for line in torch.__config__.show().splitlines() if "MKL-DNN" in line]
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True).stdout.strip()
    load = list(os.getloadavg())
    rows = measure(args)
    out = {"schema": "dydit-conv", "schema_version": 1, "date": str(datetime.date.today()), "commit": commit}
    out |= {"machine": machine() | {"load_average_before": load, "load_average_after": list(os.getloadavg())}}
    out |= {"versions": {"torch": torch.__version__, "onednn": version[0] if version else "", "cc": compiler("cc")}}
    out |= {"protocol": {"precision": "fp32", "rounds": args.rounds, "threads": args.threads, "impl": args.impl}}
    out |= {"results": rows}
    Path(args.out).write_text(json.dumps(out, indent=1) + "\n")
    print(f"{cpuinfo('model name')}, {args.threads} threads, load before {load[0]:.2f}; {out['versions']['onednn']}\n")
    print(table(rows))


if __name__ == "__main__":
    main()
