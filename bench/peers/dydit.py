# SPDX-License-Identifier: MIT
"""dydit's side: which command is timed, and what its report says of one forward pass.

`dydit bench --vs-dense` runs the complete and the dynamic model in turn; a time is that of a run of STEPS steps divided by
STEPS.
"""

import argparse
from dataclasses import dataclass
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


def command(args: argparse.Namespace, line: str) -> list[str]:
    guided = args.rows % 2 == 0
    images = str(args.rows // 2 if guided else args.rows)
    common = ["--ckpt", str(args.ckpt), "--precision", LINES[line], "--threads", str(args.threads)]
    common += ["--steps", f"ddim{STEPS}", "--cfg-scale", "1.5" if guided else "1", "--batch-size", images, "--json"]
    return [str(args.dydit), "bench", *common, "--mode", "own", "--vs-dense", "--warmup", "1", "--repeat", "1"]


def read(report: dict[str, Any]) -> Reading:
    (figures,) = report["cases"]
    dense, dynamic = figures["dense_seconds"]["raw"], figures["seconds"]["raw"]
    backend = f"{report['backend']['name']} ({report['backend']['isa']}, {report['backend']['threads']} threads)"
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
