# SPDX-License-Identifier: MIT
"""The field Budget of a kernel file (header.py). Each of its clauses says

    at most N registers, no shared memory | B bytes of [dynamic] shared memory [and B bytes ...], at least N blocks
    [(N on 86 and 89, N on 120)]

Registers are those of a thread, the kernel's highest on all architectures. Dynamic shared memory is what the launcher asks
for, at most. Blocks are those that a multiprocessor holds at once, at least; on some architectures others. A kernel that is
launched with several amounts of shared memory has a clause for each."""
import re
from dataclasses import dataclass

import header
import occupancy

SLACK = 8  # registers: the step in which a thread gets them


@dataclass
class Budget:
    clause: header.Clause
    registers: int
    static: int
    dynamic: int
    blocks: int
    blocks_on: dict  # by architecture, where it is another number

    def blocks_for(self, arch):
        return self.blocks_on.get(re.match(r"\d+", arch)[0], self.blocks)


def _parse(clause):
    registers = re.search(r"at most (\d+) registers", clause.text)
    blocks = re.search(r"at least (\d+) blocks?(?: \(([^)]*)\))?", clause.text)
    memory = re.findall(r"(\d+) bytes of (dynamic )?shared memory", clause.text)
    if not registers or not blocks or not (memory or "no shared memory" in clause.text):
        raise ValueError(f"the budget '{clause.text}' lacks registers, shared memory or blocks (scripts/cubin/budget.py)")
    sums = {"": 0, "dynamic ": 0}
    for amount, kind in memory:
        sums[kind] += int(amount)
    others = {}
    for words in re.split(r", (?=\d+ on )", blocks[2]) if blocks[2] else []:
        exception = re.fullmatch(r"(\d+) on (\d+(?:(?:, | and )\d+)*)", words)
        archs = re.findall(r"\d+", exception[2]) if exception else [""]
        if not all(arch.isdigit() and int(arch) in occupancy.LIMITS for arch in archs):
            raise ValueError(f"'{words}' in a budget does not say how many blocks on which architectures")
        others.update({arch: int(exception[1]) for arch in archs})
    return Budget(clause, int(registers[1]), sums[""], sums["dynamic "], int(blocks[1]), others)


def read(fields):
    if "Budget" not in fields:
        raise ValueError("has kernels but no budget")
    return [_parse(clause) for clause in header.clauses(fields["Budget"])]


@dataclass
class Row:
    """A kernel on an architecture under one of its budgets."""
    kernel: object
    budget: Budget

    @property
    def blocks(self):
        return occupancy.blocks(self.kernel.arch, self.kernel.threads, self.kernel.registers,
                                self.kernel.shared + self.budget.dynamic)

    def faults(self):
        k, b, least = self.kernel, self.budget, self.budget.blocks_for(self.kernel.arch)
        if k.local:
            yield f"{k.local} bytes of stack and spills"
        if k.registers > b.registers:
            yield f"{k.registers} registers, the budget is {b.registers}"
        if k.shared > b.static:
            yield f"{k.shared} bytes of static shared memory, the budget is {b.static}"
        if self.blocks < least:
            yield f"{self.blocks} blocks, the budget is at least {least}"


def registers(row):
    return row.kernel.registers


def blocks(row):
    return row.blocks


def lines(rows):
    """Rows that differ in the architecture alone, together."""
    found = {}
    for row in rows:
        found.setdefault((row.kernel.symbol, id(row.budget)), []).append(row)
    return found.values()


def judge(kernels, budgets):
    """Rows, and what is wrong beyond them."""
    rows, faults = [], []
    for k in kernels:
        if k.threads == 0:
            faults.append(f"{k.name}: no launch bounds")
            continue
        own = [Row(k, b) for b in budgets if b.clause.takes(k.name)]
        rows += own
        if not own:
            faults.append(f"{k.name}: no budget is for it")
    for b in budgets:
        if not any(row.budget is b for row in rows):
            faults.append(f"the budget of {b.clause.pattern} is for no kernel")
    return rows, list(dict.fromkeys(faults))


def loose(rows):
    """Budgets that would not notice that a kernel has grown."""
    for b in {id(row.budget): row.budget for row in rows}.values():
        own = [row for row in rows if row.budget is b]
        most, shared = max(map(registers, own)), max(row.kernel.shared for row in own)
        if b.registers >= most + SLACK:
            yield f"{b.clause.pattern}: {b.registers} registers where {occupancy.round_up(most, SLACK)} are enough"
        if b.static > shared:
            yield f"{b.clause.pattern}: {b.static} bytes of static shared memory where {shared} are enough"
        for least in sorted({b.blocks_for(row.kernel.arch) for row in own}):
            have = min(row.blocks for row in own if b.blocks_for(row.kernel.arch) == least)
            if have > least:
                yield f"{b.clause.pattern}: at least {least} blocks where there are {have}"
