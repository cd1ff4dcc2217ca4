# SPDX-License-Identifier: MIT
"""Times one way of running the forward pass, in a process of its own, and prints one JSON object.

    worker.py LINE --ckpt FILE --ir FILE --rows N --threads N --repeats N --budget SECONDS

LINE is a key of LINES. What is timed: one call of the ready model, from inputs in memory to outputs in memory. Loading,
compiling and one untimed call come before. Repeats end early when `budget` is used up; one is always made.
"""

import argparse
import importlib.metadata
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

Call = Callable[[], object]


@dataclass(frozen=True)
class Line:
    runtime: str  # torch or openvino
    precision: str  # fp32 or bf16
    how: str = ""
    masked: bool = False
    compiled: bool = False
    autocast: bool = False


PRODUCTS = {"torch": "PyTorch", "openvino": "OpenVINO"}
LINES = {
    "openvino-fp32": Line("openvino", "fp32"),
    "openvino-bf16": Line("openvino", "bf16"),
    "torch-fp32": Line("torch", "fp32", "eager"),
    "torch-bf16": Line("torch", "bf16", "eager, bf16 weights"),
    "torch-compile-fp32": Line("torch", "fp32", "torch.compile, frozen", compiled=True),
    "torch-compile-bf16": Line("torch", "bf16", "torch.compile, frozen, bf16 weights", compiled=True),
    "torch-autocast-bf16": Line("torch", "bf16", "eager, autocast", autocast=True),
    "torch-masked-fp32": Line("torch", "fp32", "eager, the released masked way", masked=True),
    "torch-masked-bf16": Line("torch", "bf16", "eager, the released masked way, bf16 weights", masked=True),
}


def torch_call(line: Line, args: argparse.Namespace) -> Call:
    import model as dit
    import torch

    torch.set_num_threads(args.threads)
    dtype = torch.bfloat16 if line.precision == "bf16" and not line.autocast else torch.float32
    network = dit.load(args.ckpt, dtype)
    x, t, y = dit.inputs(args.rows, network.grid * network.patch, network.classes)
    x = x.to(dtype)
    if line.compiled:
        import torch._inductor.config

        torch._inductor.config.freezing = True
    forward = torch.compile(network) if line.compiled else network

    def call() -> object:
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=line.autocast):
            return forward(x, t, y, masked=line.masked)

    return call


def openvino_call(line: Line, args: argparse.Namespace) -> Call:
    import numpy as np
    import openvino

    core = openvino.Core()
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": args.threads,
        "INFERENCE_PRECISION_HINT": {"fp32": "f32", "bf16": "bf16"}[line.precision],
    }
    compiled = core.compile_model(core.read_model(args.ir), "CPU", settings)
    got = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
    if got != settings["INFERENCE_PRECISION_HINT"]:
        raise RuntimeError(f"OpenVINO runs {got} on this CPU where {line.precision} was asked for")
    stored = np.load(args.ir.with_suffix(".npz"))
    values = [stored[name] for name in ("x", "t", "y")]
    request = compiled.create_infer_request()
    return lambda: request.infer(values, share_inputs=True, share_outputs=True)


def measure(call: Call, repeats: int, budget: float) -> dict[str, object]:
    def seconds() -> float:
        start = time.perf_counter()
        call()
        return time.perf_counter() - start

    first = seconds()  # compiles, packs weights, touches memory
    began = time.perf_counter()
    times = [seconds()]
    # The next one must fit as well.
    while len(times) < repeats and time.perf_counter() - began + times[-1] <= budget:
        times.append(seconds())
    return {"first": first, "seconds": times}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("line", choices=LINES)
    parser.add_argument("--ckpt", type=Path, required=True)
    parser.add_argument("--ir", type=Path, required=True, help="the model as OpenVINO reads it (export.py)")
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--repeats", type=int, required=True)
    parser.add_argument("--budget", type=float, required=True)
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(args.threads)
    line = LINES[args.line]
    began = time.perf_counter()
    call = {"torch": torch_call, "openvino": openvino_call}[line.runtime](line, args)
    ready = time.perf_counter() - began
    result = {"line": asdict(line), "version": importlib.metadata.version(line.runtime), "load": ready}
    result |= measure(call, args.repeats, args.budget)
    result["peak_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
