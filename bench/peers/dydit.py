# SPDX-License-Identifier: MIT
"""dydit's side: which command is timed, and what its report says of one forward pass.

`dydit bench` where the program has it, else `dydit sample --compare-dense`. Both run the complete and the dynamic model in
turn; a time is that of a run of STEPS steps divided by STEPS.
"""

import argparse
import functools
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STEPS = 10
LINES = {"dydit-fp32": "fp32", "dydit-bf16": "bf16"}


@dataclass(frozen=True)
class Reading:
    """Seconds and multiply-adds of a forward pass."""

    version: str
    backend: str
    dense: list[float]
    dynamic: list[float]
    macs_dense: float
    macs_executed: float
    active: dict[str, float]
    peak_bytes: int


def ids(line: str) -> tuple[str, str]:
    return f"{line}-dense", f"{line}-dynamic"


@functools.cache
def has_bench(program: Path) -> bool:
    return subprocess.run([program, "bench", "--help"], capture_output=True, check=False).returncode == 0


def command(args: argparse.Namespace, line: str, folder: Path) -> list[str]:
    guided = args.rows % 2 == 0
    images = str(args.rows // 2 if guided else args.rows)
    common = ["--ckpt", str(args.ckpt), "--precision", LINES[line], "--threads", str(args.threads)]
    common += ["--steps", f"ddim{STEPS}", "--cfg-scale", "1.5" if guided else "1", "--batch-size", images, "--json"]
    if has_bench(args.dydit):
        return [str(args.dydit), "bench", *common, "--mode", "own", "--vs-dense", "--warmup", "1", "--repeat", "1"]
    more = ["--class-labels", "207", "--num-samples", images, "--latents-out", str(folder / "latents")]
    return [str(args.dydit), "sample", *common, *more, "--compare-dense"]


def read(report: dict[str, Any]) -> Reading:
    if report["schema"] == "dydit-bench":
        (figures,) = report["cases"]
        dense, dynamic = figures["dense_seconds"]["raw"], figures["seconds"]["raw"]
        backend = f"{report['backend']['name']} ({report['backend']['isa']}, {report['backend']['threads']} threads)"
    else:
        figures = report
        dense, dynamic = [report["dense_seconds"]], [report["seconds"]]
        backend = report["settings"]["backend"]
    return Reading(
        version=report["version"],
        backend=backend,
        dense=[seconds / STEPS for seconds in dense],
        dynamic=[seconds / STEPS for seconds in dynamic],
        macs_dense=figures["macs_dense"] / STEPS,
        macs_executed=figures["macs_executed"] / STEPS,
        active=figures["active"],
        peak_bytes=figures["peak_bytes"],
    )
