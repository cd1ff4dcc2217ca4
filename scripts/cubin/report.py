#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Holds assembled kernels against the budgets in their sources. Run by scripts/ptxas_report.sh.

    report.py FOLDER FILE.cu...                a table; faults go to stderr, and the exit status is 1 if there is any
    report.py --doc PAGE NVCC FOLDER FILE.cu...    the same, and writes the table into a page
    report.py --check-doc PAGE NVCC FOLDER FILE.cu...    the same, and it is a fault if the page has another table"""
import os
import sys

import assembled
import budget
import header
import page


def judged(folder, source):
    """Rows of a file, and its faults."""
    try:
        budgets = budget.read(header.read(source))
    except ValueError as e:
        return [], [str(e)]
    kernels = assembled.kernels(folder, source)
    if not kernels:
        return [], ["no kernel was found"]
    rows, faults = budget.judge(kernels, budgets)
    return rows, faults + [f"{row.kernel.name} on sm_{row.kernel.arch}: {fault}" for row in rows for fault in row.faults()]


def print_table(rows, archs):
    print(f"{'registers':^{4 * len(archs)}} {'blocks':^{4 * len(archs)}} threads shared dynamic  kernel")
    print(2 * ("".join(f"{arch:>4}" for arch in archs) + " "))
    for line in budget.lines(rows):
        registers, blocks = ({row.kernel.arch: value(row) for row in line} for value in (budget.registers, budget.blocks))
        first = line[0]
        print(*("".join(f"{cells.get(arch, ''):>4}" for arch in archs) for cells in (registers, blocks)),
              f"{first.kernel.threads:>7} {first.kernel.shared:>6} {first.budget.dynamic:>7}  {first.kernel.name}")


def main(folder, *sources):
    found = {source: judged(folder, source) for source in sources}
    archs = sorted({a for source in sources for a in assembled.archs(folder, source)}, key=assembled.arch_order)
    rows = [row for own, _ in found.values() for row in own]
    print_table(rows, archs)
    faults = [f"{os.path.basename(source)}: {fault}" for source, (_, own) in found.items() for fault in own]
    for fault in faults:
        print(f"ptxas: {fault}", file=sys.stderr)
    for source, (own, own_faults) in found.items():
        for note in [] if own_faults else budget.loose(own):
            print(f"ptxas: note: {os.path.basename(source)}: {note}")
    if faults or not rows:
        sys.exit(1)
    print(f"ptxas: {len(rows)} reports of {len(sources)} files, all within their budgets")
    return {source: own for source, (own, _) in found.items()}, [arch for arch in archs if arch.isdigit()]


if __name__ == "__main__":
    if sys.argv[1] in ("--doc", "--check-doc"):
        mode, path, nvcc = sys.argv[1:4]
        tables = main(*sys.argv[4:])
        page.update(path, page.text(nvcc, *tables), write=mode == "--doc")
    else:
        main(*sys.argv[1:])
