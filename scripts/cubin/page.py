# SPDX-License-Identifier: MIT
"""The table of kernels in a page of the documentation, between two markers."""
import os
import re
import sys

import budget
import header

BEGIN = "<!-- made by scripts/ptxas_report.sh --doc with nvcc "
END = "<!-- end -->"


def _escaped(text):
    return re.sub(r"([\\|*_<\[`])", r"\\\1", text)


def _title(source):
    """What the kernels of a file do, and how the work is dealt."""
    fields = header.read(source)
    mapping = re.split(r"[.;](?:\s|$)", fields.get("Thread mapping", ""))[0]
    return f"**{os.path.basename(source)}**: {_escaped(fields.get('Formula', ''))} *{_escaped(mapping)}.*"


def _cells(values):
    """One number where all are the same."""
    return str(values[0]) if len(set(values)) == 1 else " ".join(map(str, values))


def _row(line):
    k, b = line[0].kernel, line[0].budget
    shared = " + ".join([str(k.shared)] * (k.shared > 0) + [f"{b.dynamic} dynamic"] * (b.dynamic > 0)) or "0"
    registers, blocks = ([value(row) for row in line] for value in (budget.registers, budget.blocks))
    return f"| `{k.name}` | {k.threads} | {_cells(registers)} | {shared} | {_cells(blocks)} |"


def text(nvcc, tables, archs):
    """nvcc: its version. tables: rows of budget.py by file."""
    on = ", ".join(archs)
    lines = [f"{BEGIN}{nvcc} -->", "", f"Registers and blocks on sm_{on}; one number where all are the same. nvcc {nvcc}.", "",
             "| kernel | threads | registers | shared memory, bytes | blocks |", "|---|---|---|---|---|"]
    for source, rows in tables.items():
        lines.append(f"| {_title(source)} | | | | |")
        lines += [_row(line) for line in budget.lines(rows)]
    return "\n".join([*lines, "", END])


def update(path, table, write):
    """Another compiler has other registers: a page that was made by one is left alone unless it is to be written."""
    with open(path, encoding="utf-8") as file:
        old = file.read()
    found = re.search(re.escape(BEGIN) + r"(\S+) -->.*?" + re.escape(END), old, re.S)
    if not found:
        sys.exit(f"ptxas: {path} has no place for the table")
    if write:
        with open(path, "w", encoding="utf-8") as file:
            file.write(old[:found.start()] + table + old[found.end():])
    elif not table.startswith(f"{BEGIN}{found[1]} -->"):
        print(f"ptxas: {path} was made with nvcc {found[1]} and is not compared")
    elif found[0] != table:
        sys.exit(f"ptxas: {path} is out of date; scripts/ptxas_report.sh --doc")
