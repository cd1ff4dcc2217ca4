#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Holds machine code against the field Instructions of its source (header.py): instructions.py NVDISASM FOLDER FILE.cu...

A clause lists, between commas, what each of its kernels must have, as a beginning of the opcode: LDSM.16.M88.4, STG.E.128.
Of the families below a kernel may have only what is listed, so that a narrower copy or another type of product shows as
well, and it may not use local memory. A file needs the field if its PTX has such instructions; without the field it is not
disassembled.
Run by scripts/sass_check.sh; faults go to stderr, exit status 1."""
import concurrent.futures
import os
import re
import subprocess
import sys

import assembled
import header

LISTED_ONLY = {"HMMA", "HGMMA", "IMMA", "DMMA", "QMMA", "LDSM", "LDGSTS", "UTMALDG"}  # tensor cores and what feeds them
LOCAL = {"LDL", "STL"}
NEEDS_CLAIMS = re.compile(r"^\s*(?:@\S+\s+)?(?:mma|wgmma|wmma|ldmatrix|cp\.async)\.", re.M)  # in PTX
LABEL = re.compile(r"^\.text\.(\w+):")
OPCODE = re.compile(r"^\s+/\*[0-9a-f]+\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.x]*)")


def opcodes(nvdisasm, cubin):
    """How often each opcode is there, by symbol."""
    text = subprocess.run([nvdisasm, "-c", "-ndf", cubin], capture_output=True, text=True, check=True).stdout
    found, counts = {}, None
    for line in text.split("\n"):
        label, opcode = LABEL.match(line), OPCODE.match(line)
        if label:
            counts = found.setdefault(label[1], {})
        elif opcode:
            counts[opcode[1]] = counts.get(opcode[1], 0) + 1
    return found


def claims(clauses, kernel):
    """Beginnings of opcodes that a kernel must have."""
    return [claim.strip() for clause in clauses if clause.takes(kernel) for claim in clause.text.split(",")]


def faults(claimed, counts):
    for claim in claimed:
        if not any(begins(opcode, claim) for opcode in counts):
            yield f"{claim} is claimed and not there"
    for opcode in counts:
        family = opcode.split(".")[0]
        if family in LOCAL:
            yield f"{opcode}: local memory"
        if family in LISTED_ONLY and not any(begins(opcode, claim) for claim in claimed):
            yield f"{opcode} is there and not claimed"


def begins(opcode, claim):
    return opcode == claim or opcode.startswith(claim + ".")


def needs_claims(folder, source):
    with open(os.path.join(folder, os.path.basename(source)[:-3] + ".ptx"), encoding="utf-8") as ptx:
        return NEEDS_CLAIMS.search(ptx.read()) is not None


def check(nvdisasm, folder, source):
    """Faults of a file, and how many kernels were looked at."""
    fields = header.read(source)
    if "Instructions" not in fields:
        return (["has tensor-core instructions or asynchronous copies, and no field Instructions"]
                if needs_claims(folder, source) else []), 0
    clauses = header.clauses(fields["Instructions"])
    kernels = assembled.kernels(folder, source)
    bad = [f"the claim of {c.pattern} is for no kernel" for c in clauses if not any(c.takes(k.name) for k in kernels)]
    archs = assembled.archs(folder, source)
    cubins = [os.path.join(folder, f"{os.path.basename(source)[:-3]}.sm_{arch}.cubin") for arch in archs]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        found = dict(zip(archs, pool.map(lambda cubin: opcodes(nvdisasm, cubin), cubins)))
    for k in kernels:
        counts = found[k.arch].get(k.symbol)
        own = faults(claims(clauses, k.name), counts) if counts else ["no machine code was found"]
        bad += [f"{k.name} on sm_{k.arch}: {fault}" for fault in own]
    return bad, len(kernels)


def main(nvdisasm, folder, *sources):
    total, bad = 0, 0
    for source in sources:
        own, count = check(nvdisasm, folder, source)
        for fault in own:
            print(f"sass: {os.path.basename(source)}: {fault}", file=sys.stderr)
        total, bad = total + count, bad + len(own)
    if bad or not total:
        sys.exit(1)
    print(f"sass: {total} reports: what is claimed is there and nothing else of its kind, no local memory")


if __name__ == "__main__":
    main(*sys.argv[1:])
