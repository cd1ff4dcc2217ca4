#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Plants faults in copies of the CUDA kernels, and of the host side of their backend.

    plant.py jobs [UNIT...]            the work, in parts: a line `UNIT CONFIG PART` each
    plant.py write UNIT PART FOLDER    FOLDER/faulty.cu, or files FOLDER/NUMBER/FILE of the host side, and FOLDER/plan,
                                       lines `NUMBER|NAME|PROGRAM|SETTINGS|OPTIONS|OUTCOME|WORDS`

UNIT.def has the faults of kernels/cuda/UNIT.cu and of the headers it includes. A record is separated by empty lines:

    fault: what is wrong
    in: gemm.cuh             the file of kernels/cuda; UNIT.cu unless said otherwise
    - acc += g.bias[n]       must be there exactly once, whatever the white space; further pairs follow
    + acc += g.bias[i]
    by: FAIL .*: value       what must be printed, an extended regular expression
    op: gemm                 who looks, names between commas; UNIT unless said otherwise
    case: m1,*               a glob of cases; small ones of all unless said otherwise
    impl: emu_lt             emu unless said otherwise
    program: test_tiles      instead of checkkernel, without op, case and impl
    args: waits              of such a program
    env: EMU_STATS=1         settings for the program
    passes: yes              all results are right: only what is printed shows it
    config: tsan             release unless said otherwise
    trim: float32            the edits of that trim; none: no edits; those of the first one unless said otherwise
    unroll: yes              of a trim: loops stay unrolled, for sums that must be registers all the time

A record `trim: NAME` comes before the faults and has edits for all copies, to compile less of them; its op, case, impl and env
are the faults' if they name none.

All faults of a part are one source, a translation of CUDA being slow to start: each copy of the files is a namespace, and
every function that others call becomes a choice among the copies by the environment variable DD_FAULT; 0 is without a
fault. Loops are not unrolled, unless said otherwise, which changes no result and makes the code an eighth of the size.

plugin_cuda.def has the faults of host/exec/plugin_cuda*.c, which `in:` names. Each is a file of its own and the plugin made with
it; test_plugin looks."""
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
KERNELS = "kernels/cuda/"
HOST, HOST_UNIT, HOST_PROGRAM = "host/exec/", "plugin_cuda", "test_plugin"
PER_PART = 16
FIELDS = {"in", "by", "op", "case", "impl", "program", "args", "env", "passes", "config", "trim", "unroll"}
SMALL = "--most=60000"


class Fault:
    def __init__(self, unit, name, line):
        self.unit, self.name, self.line = unit, name, line
        self.edits, self.fields, self.trim = [], {}, None

    def get(self, field, otherwise=""):
        return self.fields.get(field, otherwise)

    def inherited(self, field, otherwise=""):
        return self.get(field) or self.trim and self.trim.get(field) or otherwise

    @property
    def kind(self):
        """What faults of one program have in common."""
        return self.get("config", "release"), self.get("trim")

    @property
    def path(self):
        """Of the file with the fault."""
        if self.unit == HOST_UNIT:
            return HOST + self.get("in")
        return KERNELS + self.get("in", self.unit + ".cu")

    @property
    def program(self):
        return HOST_PROGRAM if self.unit == HOST_UNIT else self.get("program", "checkkernel")

    @property
    def options(self):
        if self.program != "checkkernel":
            return self.get("args")
        case = self.inherited("case")
        return " ".join([f"--impl={self.inherited('impl', 'emu')} --quick --op={self.inherited('op', self.unit)}"]
                        + ([f"--case={case}"] if case else [])
                        + ([] if self.get("case") else [SMALL]))

    def complain(self, what):
        sys.exit(f"{self.unit}.def:{self.line}: {self.name}: {what}")


def read_records(unit):
    records, inside = [], False
    with open(os.path.join(HERE, unit + ".def"), encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            line = line.strip()
            if line.startswith("#"):
                continue
            key, _, value = line.partition(" ")
            value = value.strip()
            if not line:
                inside = False
            elif key in ("fault:", "trim:") and not inside:
                records.append(Fault(unit, value, number))
                records[-1].is_trim = key == "trim:"
                inside = True
            elif key == "-":
                records[-1].edits.append([value, ""])
            elif key == "+" and records[-1].edits:
                records[-1].edits[-1][1] = value
            elif key.endswith(":") and key[:-1] in FIELDS:
                records[-1].fields[key[:-1]] = value
            else:
                sys.exit(f"{unit}.def:{number}: not understood: {line}")
    return records


def read_faults(unit):
    records = read_records(unit)
    trims = {r.name: r for r in records if r.is_trim}
    faults = [r for r in records if not r.is_trim]
    for fault in faults:
        if not fault.edits or not fault.get("by"):
            fault.complain("needs an edit and `by:`")
        name = fault.get("trim", next(iter(trims), "none"))
        if name != "none" and name not in trims:
            fault.complain(f"no trim {name}")
        fault.trim = trims.get(name)
    return faults


def parts(unit):
    """(config, faults) of each part."""
    out = []
    for kind in sorted({f.kind for f in read_faults(unit)}):
        faults = [f for f in read_faults(unit) if f.kind == kind]
        n = -(-len(faults) // PER_PART)
        out += [(kind[0], faults[i::n]) for i in range(n)]
    return out


def edited(text, path, record):
    """The file's text with those edits of a record that are for it."""
    if record is None or path != record.path:
        return text
    for old, new in record.edits:
        pattern = re.compile(r"\s+".join(re.escape(word) for word in old.split()))
        found = pattern.findall(text)
        if len(found) != 1:
            record.complain(f"{path} has it {len(found)} times, not once: {old}")
        text = pattern.sub(lambda _: new, text)
    return text


def flat(path, records, outside):
    """A file with its .cuh headers in place; other includes are collected in `outside`, guards do their work."""
    with open(path, encoding="utf-8") as f:
        text = f.read()
    for record in records:
        text = edited(text, path, record)
    unroll = "" if any(r and r.get("unroll") for r in records) else " 1"
    out = [f'#line 1 "{path}"']
    for number, line in enumerate(text.split("\n"), 1):
        include = re.match(r'#include ([<"].*[>"])', line)
        if not include or "ops.def" in line:
            out.append(re.sub(r"^(\s*)#pragma unroll\s*$", rf"\1#pragma unroll{unroll}", line))
        elif ".cuh" in line:
            out += [flat(include[1].strip('"'), records, outside), f'#line {number + 1} "{path}"']
        elif include[0] not in outside:
            outside.append(include[0])
    return "\n".join(out)


def functions(text):
    """(result, name, parameters) of what others call: dd_cuda_ functions at the start of a line. The second one of a name is
    that of builds without a library."""
    text = re.sub(r"//.*", "", text)
    found = re.findall(r"^((?!static)[\w ]+?[ *])(dd_cuda_\w+)\(([^()]*)\)\s*\{", text, re.M)
    return list({name: (result, name, parameters) for result, name, parameters in reversed(found)}.values())


TABLES = re.compile(r"^const [\w *]+ dd_cuda_\w+\[[^;]*;", re.M)  # what others read, the same in all copies


def choice(result, name, parameters, n):
    """The function is cast: a struct that others know by name alone is another type in each copy."""
    names = ", ".join(re.search(r"(\w+)$", p.strip())[1] for p in parameters.split(",") if p != "void")
    calls = [f"return (({result}(*)({parameters}))fault_{i}::{name}_{i})({names});" for i in range(n)]
    cases = "\n".join(f"    case {i}: {calls[i]}" for i in range(1, n))
    return (f'extern "C" {result}{name}({parameters})\n{{\n    switch (fault()) {{\n{cases}\n'
            f"    default: {calls[0]}\n    }}\n}}\n")


def declarations(text):
    """What a header says under the name before, except where a struct of the copy's own is meant."""
    own = set(re.findall(r"^struct (\w+)", text, re.M))
    return [f'extern "C" {result}{name}({parameters});' for result, name, parameters in functions(text)
            if not own.intersection(re.findall(r"\w+", parameters))]


def copy(i, path, records, outside):
    """A namespace with the files, whose names for the linker and macros do not meet those of other copies."""
    text = TABLES.sub("", flat(path, records, outside))
    names = [name for _, name, _ in functions(text)]
    macros = sorted(set(re.findall(r"^\s*#\s*define (\w+)", text, re.M)))
    lines = [f"#define {name} {name}_{i}" for name in names] + [f"namespace fault_{i}\n{{", *declarations(text), text, "}"]
    return "\n".join(lines + [f"#undef {name}" for name in names + macros])


def source(unit, faults):
    outside, path = [], f"{KERNELS}{unit}.cu"
    copies = [copy(i, path, [faults[0].trim, fault], outside) for i, fault in enumerate([None] + faults)]
    head = outside + ["#include <stdlib.h>", "static int fault(void)",
                      '{\n    const char *n = getenv("DD_FAULT");\n    return n ? atoi(n) : 0;\n}']
    whole = flat(path, [], [])
    choices = [choice(*f, len(copies)) for f in functions(whole)]
    return "\n".join(head + copies + choices + TABLES.findall(whole))


def write_host(faults, folder):
    for i, fault in enumerate(faults, 1):
        with open(fault.path, encoding="utf-8") as f:
            text = f'#line 1 "{fault.path}"\n' + edited(f.read(), fault.path, fault)
        os.mkdir(os.path.join(folder, str(i)))
        with open(os.path.join(folder, str(i), fault.get("in")), "w", encoding="utf-8") as f:
            f.write(text)


def write(unit, part, folder):
    faults = parts(unit)[part][1]
    if unit == HOST_UNIT:
        write_host(faults, folder)
    else:
        with open(os.path.join(folder, "faulty.cu"), "w", encoding="utf-8") as f:
            f.write(source(unit, faults))
    with open(os.path.join(folder, "plan"), "w", encoding="utf-8") as f:
        for i, fault in enumerate(faults, 1):
            # The words last: they may hold the separator.
            f.write("|".join([str(i), fault.name, fault.program, fault.inherited("env"), fault.options,
                              "passes" if fault.get("passes") else "fails", fault.get("by")]) + "\n")


def main():
    if sys.argv[1:2] == ["jobs"]:
        units = sys.argv[2:] or sorted(f[:-4] for f in os.listdir(HERE) if f.endswith(".def"))
        for unit in units:
            for i, (config, _) in enumerate(parts(unit)):
                print(unit, config, i)
    elif sys.argv[1:2] == ["write"] and len(sys.argv) == 5:
        write(sys.argv[2], int(sys.argv[3]), sys.argv[4])
    else:
        sys.exit(__doc__)


main()
