# SPDX-License-Identifier: MIT
"""Times PyTorch on a GPU for the shapes that `dydit bench` times there: one forward pass of a DiT or DyDiT with random weights, in
bfloat16, on guided pairs of rows. The model is that of peers/model.py, with PyTorch's fused attention.

    python3 bench/torch_dit.py [--model XL] [--batches 16,1,64] [--seconds 90] [--out FILE.json]

eager      the dense model as it is written
masked     as DyDiT's published code infers: everything is computed and multiplied by masks of 0 and 1
compiled   the dense model through torch.compile with CUDA graphs (mode reduce-overhead), fixed shapes

Before these, the rate of cuBLAS, through torch.matmul, for the GEMMs of a forward pass at the first batch size and for a large square:
what the card gives to others.

What is timed, by CUDA events, is a warm forward pass; solver, guidance and noise, which are in dydit's time of a step, are not in
it. The file is written anew after every case, so that what was measured survives a limit of time. Exit status 77: no PyTorch with a
GPU.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

try:
    import torch
except ModuleNotFoundError:
    print("PyTorch is not there")
    sys.exit(77)

sys.path.insert(0, str(Path(__file__).parent / "peers"))
from model import DyDiT, inputs  # noqa: E402

SIZES = {"S": (384, 6, 12), "B": (768, 12, 12), "L": (1024, 16, 24), "XL": (1152, 16, 28)}  # width, heads, blocks
CLASSES, CHANNELS, LATENT, PATCH = 1000, 4, 32, 2
WARMUP, AT_LEAST, FOR_SECONDS = 3, 10, 0.5
COMPILES = 45.0  # seconds that compiling is expected to take before it was seen


def shapes(width: int, blocks: int) -> dict[str, tuple[int, ...]]:
    """Of the tensors that tell a model its geometry."""
    found = {
        "x_embedder.proj.weight": (width, CHANNELS, PATCH, PATCH),
        "pos_embed": (1, (LATENT // PATCH) ** 2, width),
        "y_embedder.embedding_table.weight": (CLASSES + 1, width),
        "final_layer.linear.weight": (2 * CHANNELS * PATCH * PATCH, width),
    }
    for i in range(blocks):
        found[f"blocks.{i}.mlp.fc1.weight"] = (4 * width, width)
        found[f"blocks.{i}.token_selection.mlp_head.0.weight"] = (width // 16, width)
    return found


def random_model(size: str) -> DyDiT:
    width, heads, blocks = SIZES[size]
    with torch.device("meta"):
        model = DyDiT(shapes(width, blocks), heads)
    model = model.to_empty(device="cuda").to(torch.bfloat16).eval().requires_grad_(False)
    torch.manual_seed(0)
    for parameter in model.parameters():
        parameter.normal_(std=0.02)
    return model


def milliseconds(run: Callable[[], object]) -> list[float]:
    for _ in range(WARMUP):
        run()
    torch.cuda.synchronize()
    times: list[float] = []
    began = time.monotonic()
    while len(times) < AT_LEAST or time.monotonic() - began < FOR_SECONDS:
        start, stop = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        run()
        stop.record()
        stop.synchronize()
        times.append(start.elapsed_time(stop))
    return times


def case(name: str, batch: int, run: Callable[[], object], report: dict) -> None:
    """Adds one line; what fails is a line with its reason."""
    line = {"mode": name, "batch": batch, "rows": 2 * batch}
    began = time.monotonic()
    try:
        with torch.inference_mode():
            times = milliseconds(run)
    except Exception as error:  # noqa: BLE001: out of memory, no compiler for torch.compile: the reason is the result
        line |= {"status": "failed", "reason": f"{type(error).__name__}: {error}".splitlines()[0][:200]}
        print(f"{name:<10}{batch:>6}  failed: {line['reason']}")
    else:
        line |= {"status": "ok", "median_ms": statistics.median(times), "min_ms": min(times), "max_ms": max(times), "repeats": len(times)}
        print(f"{name:<10}{batch:>6}{line['median_ms']:>10.3f}{line['min_ms']:>10.3f}{line['max_ms']:>10.3f}")
    line["seconds_in_all"] = time.monotonic() - began
    report["cases"].append(line)


def gemms(size: str, batch: int, report: dict) -> None:
    """C[m, n] = A[m, k] W[n, k]^T, as dydit's op gemm."""
    width, m = SIZES[size][0], 2 * batch * (LATENT // PATCH) ** 2
    shapes_of = {"qkv": (m, 3 * width, width), "proj": (m, width, width), "fc1": (m, 4 * width, width), "fc2": (m, width, 4 * width)}
    for name, (rows, n, k) in (shapes_of | {"square": (8192, 8192, 8192)}).items():
        a, w = (torch.randn(shape, device="cuda", dtype=torch.bfloat16) for shape in ((rows, k), (n, k)))
        with torch.inference_mode():
            ms = statistics.median(milliseconds(lambda a=a, w=w: a @ w.T))
        report["gemms"].append({"name": name, "m": rows, "n": n, "k": k, "median_ms": ms, "tflops": 2e-9 * rows * n * k / ms})
        print(f"{'gemm':<10}{name:>6}{ms:>10.4f} ms {report['gemms'][-1]['tflops']:>8.1f} TFLOP/s   {rows} x {n} x {k}")


def measure(args: argparse.Namespace, report: dict) -> None:
    began, compiles = time.monotonic(), COMPILES
    gemms(args.model, args.batches[0], report)
    model = random_model(args.model)
    print(f"{'mode':<10}{'batch':>6}{'ms':>10}{'min':>10}{'max':>10}   a forward pass of 2 x batch rows, {args.model}/2, bf16")
    for batch in args.batches:
        x, t, y = (value.cuda() for value in inputs(2 * batch, LATENT, CLASSES))
        x = x.to(torch.bfloat16)
        compiled = torch.compile(model, mode="reduce-overhead", dynamic=False)
        runs = {"eager": lambda: model(x, t, y), "masked": lambda: model(x, t, y, masked=True), "compiled": lambda: compiled(x, t, y)}
        for name, run in runs.items():
            if time.monotonic() - began + (compiles if name == "compiled" else 5) > args.seconds:
                report["cut"].append({"mode": name, "batch": batch})
                print(f"{name:<10}{batch:>6}  cut: no time left")
            else:
                case(name, batch, run, report)
                if name == "compiled":
                    compiles = report["cases"][-1]["seconds_in_all"]
            if args.out:
                args.out.write_text(json.dumps(report, indent=1) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description="Times PyTorch on the shapes of dydit bench.")
    parser.add_argument("--model", choices=SIZES, default="XL")
    parser.add_argument("--batches", type=lambda text: [int(word) for word in text.split(",")], default=[16, 1, 64])
    parser.add_argument("--seconds", type=float, default=90)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    if not torch.cuda.is_available():
        print(f"PyTorch {torch.__version__} finds no GPU")
        return 77
    report = {"schema": "dydit-torch", "schema_version": 1, "torch": torch.__version__, "cuda": torch.version.cuda,
              "cudnn": torch.backends.cudnn.version(), "device": torch.cuda.get_device_name(), "model": f"DiT-{args.model}/2",
              "precision": "bf16", "clock": "cuda_event", "warmup": WARMUP, "gemms": [], "cases": [], "cut": []}
    measure(args, report)
    return 0 if any(line["status"] == "ok" for line in report["cases"]) else 1


if __name__ == "__main__":
    sys.exit(main())
