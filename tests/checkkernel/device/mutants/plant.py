#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Plants faults in copies of the CUDA kernels.

    plant.py jobs [FILE.def...]            the work, in parts: a line `UNIT CONFIG PART` each
    plant.py write UNIT CONFIG PART FOLDER    FOLDER/faulty.cu and FOLDER/plan, lines `NUMBER|NAME|OPS|OPTIONS|WORDS`

UNIT.def has the faults of kernels/cuda/UNIT.cu and of the headers it includes. A record is separated by empty lines:

    fault: what is wrong
    in: gemm.cuh             the file of kernels/cuda; UNIT.cu unless said otherwise
    - acc += g.bias[n]       must be there exactly once, whatever the white space; further pairs follow
    + acc += g.bias[i]
    by: FAIL .*: value       what must be printed, an extended regular expression
    op: gemm                 who looks, names between commas; UNIT unless said otherwise
    case: m1,*               a glob of cases; small ones unless said otherwise
    config: tsan             release unless said otherwise

All faults of a part are one source, a translation of CUDA being slow to start: each copy of the files is a namespace, and
every function that others call becomes a choice among the copies by the environment variable DD_FAULT; 0 is without a
fault. Loops are not unrolled, which changes no result and makes the code an eighth of the size."""
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
KERNELS = "kernels/cuda/"
PER_PART = 8
FIELDS = {"in", "by", "op", "case", "config"}


class Fault:
    def __init__(self, unit, name, line):
        self.unit, self.name, self.line = unit, name, line
        self.edits, self.fields = [], {}

    def get(self, field, otherwise=""):
        return self.fields.get(field, otherwise)

    @property
    def config(self):
        return self.get("config", "release")

    def complain(self, what):
        sys.exit(f"{self.unit}.def:{self.line}: {self.name}: {what}")


def read_faults(unit):
    faults = []
    with open(os.path.join(HERE, unit + ".def"), encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            line = line.strip()
            if not line or line.startswith("#"):
                continue
            key, _, value = line.partition(" ")
            if key == "fault:":
                faults.append(Fault(unit, value.strip(), number))
            elif key == "-":
                faults[-1].edits.append([value.strip(), ""])
            elif key == "+" and faults[-1].edits:
                faults[-1].edits[-1][1] = value.strip()
            elif key.endswith(":") and key[:-1] in FIELDS:
                faults[-1].fields[key[:-1]] = value.strip()
            else:
                sys.exit(f"{unit}.def:{number}: not understood: {line}")
    for fault in faults:
        if not fault.edits or not fault.get("by"):
            fault.complain("needs an edit and `by:`")
    return faults


def parts(unit):
    """(config, faults) of each part."""
    out = []
    for config in ("release", "tsan"):
        faults = [f for f in read_faults(unit) if f.config == config]
        n = -(-len(faults) // PER_PART)
        out += [(config, faults[i::n]) for i in range(n)]
    return out


def edited(text, path, fault):
    """The file's text with those edits of the fault that are for it."""
    if fault is None or path != KERNELS + fault.get("in", fault.unit + ".cu"):
        return text
    for old, new in fault.edits:
        pattern = re.compile(r"\s+".join(re.escape(word) for word in old.split()))
        found = pattern.findall(text)
        if len(found) != 1:
            fault.complain(f"{path} has it {len(found)} times, not once: {old}")
        text = pattern.sub(lambda _: new, text)
    return text


def flat(path, fault, outside):
    """A file with its .cuh headers in place; other includes are collected in `outside`, guards do their work."""
    with open(path, encoding="utf-8") as f:
        text = edited(f.read(), path, fault)
    out = [f'#line 1 "{path}"']
    for number, line in enumerate(text.split("\n"), 1):
        include = re.match(r'#include ([<"].*[>"])', line)
        if not include or "ops.def" in line:
            out.append(re.sub(r"^(\s*)#pragma unroll\s*$", r"\1#pragma unroll 1", line))
        elif ".cuh" in line:
            out += [flat(include[1].strip('"'), fault, outside), f'#line {number + 1} "{path}"']
        elif include[0] not in outside:
            outside.append(include[0])
    return "\n".join(out)


def functions(text):
    """(result, name, parameters) of what others call: dd_cuda_ functions at the start of a line."""
    text = re.sub(r"//.*", "", text)
    return re.findall(r"^((?!static)[\w ]+?[ *])(dd_cuda_\w+)\(([^()]*)\)\s*\{", text, re.M)


def choice(result, name, parameters, n):
    names = ", ".join(re.search(r"(\w+)$", p.strip())[1] for p in parameters.split(","))
    cases = "\n".join(f"    case {i}: return fault_{i}::{name}_{i}({names});" for i in range(1, n))
    return (f'extern "C" {result}{name}({parameters})\n{{\n    switch (fault()) {{\n{cases}\n'
            f"    default: return fault_0::{name}_0({names});\n    }}\n}}\n")


def copy(i, path, fault, outside):
    """A namespace with the files, whose names for the linker and macros do not meet those of other copies."""
    text = flat(path, fault, outside)
    names = [name for _, name, _ in functions(text)]
    macros = sorted(set(re.findall(r"^\s*#\s*define (\w+)", text, re.M)))
    lines = [f"#define {name} {name}_{i}" for name in names] + [f"namespace fault_{i}\n{{", text, "}"]
    return "\n".join(lines + [f"#undef {name}" for name in names + macros])


def source(unit, faults):
    outside, path = [], f"{KERNELS}{unit}.cu"
    copies = [copy(i, path, fault, outside) for i, fault in enumerate([None] + faults)]
    head = outside + ["#include <stdlib.h>", "static int fault(void)",
                      '{\n    const char *n = getenv("DD_FAULT");\n    return n ? atoi(n) : 0;\n}']
    choices = [choice(*f, len(copies)) for f in functions(flat(path, None, []))]
    return "\n".join(head + copies + choices)


def write(unit, config, part, folder):
    faults = [f for c, f in parts(unit) if c == config][part]
    with open(os.path.join(folder, "faulty.cu"), "w", encoding="utf-8") as f:
        f.write(source(unit, faults))
    with open(os.path.join(folder, "plan"), "w", encoding="utf-8") as f:
        for i, fault in enumerate(faults, 1):
            # The words last: they may hold the separator.
            f.write("|".join([str(i), fault.name, fault.get("op", unit), fault.get("case"), fault.get("by")]) + "\n")


def main():
    if sys.argv[1:2] == ["jobs"]:
        units = sys.argv[2:] or sorted(f[:-4] for f in os.listdir(HERE) if f.endswith(".def"))
        for unit in units:
            count = {}
            for config, _ in parts(unit):
                print(unit, config, count.setdefault(config, 0))
                count[config] += 1
    elif sys.argv[1:2] == ["write"] and len(sys.argv) == 6:
        write(sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5])
    else:
        sys.exit(__doc__)


main()
