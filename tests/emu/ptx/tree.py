# SPDX-License-Identifier: MIT
"""What the parser builds and the emitter reads."""
from dataclasses import dataclass, field

SIZE = {'pred': 1, 'b8': 1, 'u8': 1, 's8': 1, 'b16': 2, 'u16': 2, 's16': 2, 'f16': 2, 'bf16': 2, 'b32': 4, 'u32': 4,
        's32': 4, 'f32': 4, 'tf32': 4, 'f16x2': 4, 'bf16x2': 4, 'b64': 8, 'u64': 8, 's64': 8, 'f64': 8, 'b128': 16}


# ---- operands ------------------------------------------------------------------------------------------------------

@dataclass
class Name:
    text: str          # register, label, variable or special register
    offset: int = 0    # `variable + 16`


@dataclass
class Int:
    value: int


@dataclass
class Float:
    bits: int
    size: int          # 4 or 8


@dataclass
class Vec:
    items: list        # {a, b}


@dataclass
class Addr:
    base: object       # Name or Int
    offset: int


@dataclass
class Not:
    arg: object        # !p


@dataclass
class Pair:
    first: object      # d|p
    second: object


# ---- statements ----------------------------------------------------------------------------------------------------

@dataclass
class Loc:
    file: str
    line: int


@dataclass
class Instr:
    op: str
    args: list
    guard: object = None   # Name or Not
    loc: object = None
    line: int = 0          # of the PTX text


@dataclass
class Call:
    target: str
    rets: list
    args: list
    guard: object = None
    loc: object = None
    line: int = 0


@dataclass
class Label:
    name: str


@dataclass
class Targets:
    """NAME: .branchtargets a, b, c"""
    name: str
    labels: list


@dataclass
class Regs:
    type: str
    names: list        # (name, count or None)


@dataclass
class Block:
    body: list


@dataclass
class Var:
    space: str         # shared, global, const, local, param
    type: str
    name: str
    count: int         # elements; 0: size comes with the launch
    align: int
    init: list = field(default_factory=list)  # Int, Float, Name
    extern: bool = False

    @property
    def size(self):
        return SIZE[self.type] * self.count


@dataclass
class Func:
    name: str
    entry: bool
    rets: list
    params: list
    body: Block = None     # None: declared only
    max_threads: int = 0   # .maxntid
    min_blocks: int = 0


@dataclass
class Module:
    vars: list = field(default_factory=list)
    funcs: list = field(default_factory=list)
    target: str = ''
