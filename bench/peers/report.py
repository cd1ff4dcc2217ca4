# SPDX-License-Identifier: MIT
"""What peers.py measured, as JSON with every repeat and as a Markdown table, fastest peer first."""

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
from pathlib import Path
from typing import Any

FLAGS = ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16")
COMPUTES = {"dense": "everything", "masked": "everything, times masks"}


def median(values: list[float]) -> float:
    return statistics.median(values)


def seconds(value: float) -> str:
    return f"{value:.3f} s" if value < 10 else f"{value:.1f} s"


def cpuinfo(key: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")


def machine() -> dict[str, object]:
    flags = set(cpuinfo("flags").split())
    return {
        "cpu": cpuinfo("model name") or platform.machine(),
        "flags": [flag for flag in FLAGS if flag in flags],
        "flags_missing": [flag for flag in FLAGS if flag not in flags],
        "cpus": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
    }


def compiler(name: str) -> str:
    try:
        return subprocess.run([name, "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return "none"


def row(result: Any, key: str) -> dict[str, Any]:
    """`result`: peers.Result"""
    out: dict[str, Any] = {"id": key, "name": result.name, "how": result.how}
    out |= {"precision": result.precision, "computes": result.computes}
    out |= {"command": result.command, "version": result.version, "status": "failed" if result.reason else "ok"}
    if result.reason:
        out["reason"] = result.reason
    every = [value for values in result.rounds for value in values]
    if every:
        middle = median(every)
        out |= {"median": middle, "min": min(every), "max": max(every), "spread": (max(every) - min(every)) / middle}
        out |= {"repeats": len(every), "cut_short": any(len(values) < result.wanted for values in result.rounds)}
    return out | {"rounds": result.rounds} | result.extra


def fastest(rows: list[dict], computes: str) -> dict | None:
    own = [r for r in rows if r["id"].startswith("dydit-") and r["status"] == "ok" and r["computes"] == computes]
    return min(own, key=lambda r: r["median"], default=None)


def ratio(r: dict, base: dict | None) -> str:
    return f"{r['median'] / base['median']:.2f}" if base else "-"


def computes(r: dict, dense: dict | None) -> str:
    if r["computes"] == "dynamic":
        return f"{r['macs'] / dense['macs']:.0%} of the MACs" if dense else "what is on"
    return COMPUTES[r["computes"]]


def title(r: dict) -> str:
    return " ".join(filter(None, [r["name"], r["version"]])) + (f", {r['how']}" if r["how"] else "")


def markdown(doc: dict) -> str:
    rows = doc["results"]
    done = [r for r in rows if r["status"] == "ok"]
    own = sorted((r for r in done if r["id"].startswith("dydit-")), key=lambda r: r["median"])
    peers = sorted((r for r in done if not r["id"].startswith("dydit-")), key=lambda r: r["median"])
    dense, dynamic = fastest(rows, "dense"), fastest(rows, "dynamic")
    work, m = doc["workload"], doc["machine"]
    protocol = doc["protocol"]
    lines = [
        f"{m['cpu']} ({' '.join(m['flags'])}), {protocol['threads']} threads. One forward pass of {work['model']}, "
        f"{work['rows']} rows of {work['tokens']} tokens; rounds: {protocol['rounds']}; {doc['date']}, {doc['commit']}.",
        "",
        "| run | precision | computes | median | min to max | n | / dydit complete | / dydit skipping |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for r in own + peers:
        name = f"**{title(r)}**" if r in own else title(r)
        cut = "\\*" if r["cut_short"] else ""
        lines.append(
            f"| {name} | {r['precision']} | {computes(r, dense)} | {seconds(r['median'])} | {r['min']:.3f} to {r['max']:.3f} "
            f"| {r['repeats']}{cut} | {ratio(r, dense)} | {ratio(r, dynamic)} |"
        )
    for r in rows:
        if r["status"] != "ok":
            reason = r["reason"].replace("|", "/")
            lines.append(f"| {title(r)} | {r['precision']} | {computes(r, None)} | failed: {reason} | | | | |")
    lines.append("")
    if dense and dynamic:
        rows_used = f"{dense['precision']} and {dynamic['precision']}"
        lines.append(f"The last columns divide by dydit's fastest two rows, {rows_used}: above 1, dydit is faster.")
    if own:
        lines.append(f"A repeat of dydit is the mean of {own[0]['mean_of']} forward passes.")
    if any(r["cut_short"] for r in done):
        lines.append("\\* fewer repeats than the others: the time allowed for one line was used up.")
    return "\n".join(lines) + "\n"


def write(args: argparse.Namespace, results: dict, load_average: tuple[float, float, float]) -> None:
    rows = [row(result, key) for key, result in results.items()]
    doc = {
        "schema": "dydit-peers",
        "schema_version": 1,
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "commit": args.commit,
        "machine": machine() | {"load_average_before": load_average},
        "versions": {"python": platform.python_version(), "cxx": compiler(os.environ.get("CXX", "g++"))}
        | {r["id"].partition("-")[0]: r["version"] for r in rows if r["version"]},
        "workload": {"model": args.model, "rows": args.rows, "image_size": 256, "tokens": 256}
        | {"weights": "random, one file for all"},
        "protocol": {
            "timed": "one forward pass of a loaded model, inputs and outputs in memory",
            "order": args.only,
            "rounds": args.rounds,
            "repeats": args.repeats,
            "budget_seconds": args.budget,
            "threads": args.threads,
            "process": "a fresh one for every line of every round; the first forward pass is not timed",
        },
        "command": args.command,
        "results": rows,
    }
    args.json.write_text(json.dumps(doc, indent=1) + "\n")
    text = markdown(doc)
    args.markdown.write_text(text)
    print(text, end="")
