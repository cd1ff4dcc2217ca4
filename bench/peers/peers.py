# SPDX-License-Identifier: MIT
"""Runs dydit and its peers in turn, several rounds, and writes what came out. Called by run.sh, which prepares the files.

A round runs every line once, each in a fresh process; then the next round. So a drift of the machine hits all alike, and what
differs from process to process is in the spread. A line that fails is not tried again and is reported with its reason;
one whose forward pass exceeds the budget has one turn only.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dydit
import report
import worker

HERE = Path(__file__).resolve().parent


class Failed(Exception):
    pass


@dataclass
class Result:
    """One row of the table."""

    name: str
    how: str
    precision: str
    computes: str  # dense, masked, dynamic
    command: str
    version: str = ""
    reason: str = ""  # why it failed
    rounds: list[list[float]] = field(default_factory=list)  # seconds per forward
    wanted: int = 0  # repeats asked for in a round
    extra: dict[str, Any] = field(default_factory=dict)


def run(command: list[str], limit: float, env: dict[str, str]) -> str:
    """What it printed. A command has no children left when this returns."""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env, start_new_session=True
    ) as process:
        try:
            out, err = process.communicate(timeout=limit)
        except BaseException as e:
            os.killpg(process.pid, signal.SIGKILL)
            if isinstance(e, subprocess.TimeoutExpired):
                raise Failed(f"no result within {limit:.0f} s") from None
            raise
    if process.returncode == -signal.SIGKILL:
        raise Failed("killed from outside, as happens when memory runs out")
    if process.returncode != 0:
        lines = [line.strip() for line in err.splitlines() if line.strip()]
        raise Failed(lines[-1][:300] if lines else f"exit status {process.returncode}")
    return out


def shown(command: list[str]) -> str:
    """A command for readers: file names without folders."""
    return " ".join(Path(word).name if "/" in word else word for word in command)


def ids_of(line: str) -> tuple[str, ...]:
    """Of the results that a line gives."""
    return dydit.ids(line) if line in dydit.LINES else (line,)


class Session:
    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.load_average = os.getloadavg()
        self.results: dict[str, Result] = {}
        self.env = os.environ | {"OMP_NUM_THREADS": str(args.threads), "TORCHINDUCTOR_CACHE_DIR": str(args.cache)}

    def dydit(self, line: str) -> None:
        """Complete and dynamic model, run alternately in one process."""
        command = dydit.command(self.args, line)
        dense, dynamic = (
            self.results.setdefault(i, Result("dydit", how, dydit.LINES[line], computes, shown(command), wanted=1))
            for i, how, computes in zip(dydit.ids(line), ("complete model", "skipping"), ("dense", "dynamic"), strict=True)
        )
        try:
            got = dydit.read(json.loads(run(command, self.args.limit, self.env)))
        except Failed as e:
            dense.reason = dynamic.reason = str(e).removeprefix("dydit: ")
            return
        for result, seconds in ((dense, got.dense), (dynamic, got.dynamic)):
            result.version = got.version
            result.rounds.append(seconds)
            result.extra |= {"mean_of": dydit.STEPS, "backend": got.backend, "peak_bytes": got.peak_bytes}
        dense.extra["macs"] = got.macs_dense
        dynamic.extra |= {"macs": got.macs_executed, "active": got.active}

    def convert(self) -> None:
        """The model as OpenVINO reads it."""
        lines = [line for line in self.args.only if line.startswith("openvino-")]
        command = [sys.executable, str(HERE / "export.py"), str(self.args.ir), "--ckpt", str(self.args.ckpt)]
        command += ["--rows", str(self.args.rows)]
        try:
            if lines:
                run(command, self.args.limit, self.env)
        except Failed as e:
            for line in lines:
                what = worker.LINES[line]
                self.results[line] = Result("OpenVINO", what.how, what.precision, "dense", shown(command), reason=str(e))
                print(f"{line} failed: {e}", file=sys.stderr, flush=True)

    def peer(self, line: str) -> None:
        args, what = self.args, worker.LINES[line]
        command = [sys.executable, str(HERE / "worker.py"), line, "--ckpt", str(args.ckpt), "--ir", str(args.ir)]
        command += ["--rows", str(args.rows), "--threads", str(args.threads)]
        command += ["--repeats", str(args.repeats), "--budget", str(args.budget)]
        computes = "masked" if what.masked else "dense"
        new = Result(worker.PRODUCTS[what.runtime], what.how, what.precision, computes, shown(command), wanted=args.repeats)
        result = self.results.setdefault(line, new)
        try:
            got = json.loads(run(command, args.limit, self.env).splitlines()[-1])
        except Failed as e:
            result.reason = str(e)
            return
        result.version = got["version"]
        result.rounds.append(got["seconds"])
        for key in ("load", "first", "peak_bytes"):
            result.extra[key] = [*result.extra.get(key, []), got[key]]

    def round(self, number: int, lines: list[str]) -> None:
        for line in lines:
            ids = ids_of(line)
            earlier = [self.results[i] for i in ids if i in self.results]
            if any(result.reason or result.rounds[-1][-1] > self.args.budget for result in earlier):
                continue
            (self.dydit if line in dydit.LINES else self.peer)(line)
            for i in ids:
                result = self.results[i]
                said = f"failed: {result.reason}" if result.reason else report.seconds(report.median(result.rounds[-1]))
                print(f"round {number} of {self.args.rounds}  {i:22} {said}", file=sys.stderr, flush=True)


def chosen(only: str) -> list[str]:
    """Lines in the order of a round; `torch` stands for all that begin with `torch-`."""
    every = [*dydit.LINES, *worker.LINES]
    words = [word for word in only.split(",") if word]
    for word in words:
        if not any(line == word or line.startswith(f"{word}-") for line in every):
            raise argparse.ArgumentTypeError(f"'{word}' is none of {', '.join(every)}")
    return [line for line in every if not words or any(line == w or line.startswith(f"{w}-") for w in words)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("dydit", "ckpt", "ir", "cache", "json", "markdown"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in ("model", "command", "commit"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("rows", "threads", "rounds", "repeats"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--budget", type=float, required=True, help="seconds of timing for a line in a round")
    parser.add_argument("--limit", type=float, required=True, help="seconds after which a process is ended")
    parser.add_argument("--only", type=chosen, default=chosen(""))
    args = parser.parse_args()
    session = Session(args)
    session.convert()
    for number in range(1, args.rounds + 1):
        session.round(number, args.only)
    results = {i: session.results[i] for line in args.only for i in ids_of(line)}
    report.write(args, results, session.load_average)
    broken = results.get("dydit-fp32-dense")
    if broken is not None and broken.reason:
        print(f"peers: dydit itself failed: {broken.reason}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
