#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Translates the PTX of nvcc to C++ for the runtime of the emulator (rt/emu.h).

    ptx2c.py IN.ptx OUT.cpp     an instruction or modifier that is not known stops the translation with its text
    ptx2c.py --coverage         lists what is known"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

from ptx import emit, table  # noqa: E402
from ptx.lex import PtxError  # noqa: E402
from ptx.parse import Parser  # noqa: E402


def main(argv):
    if argv == ['--coverage']:
        for op, patterns in table.coverage().items():
            print(op, len(patterns))
        return 0
    if len(argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        with open(argv[0], encoding='utf-8') as f:
            text = emit.Emitter(Parser(f.read()).module(), argv[0]).emit()
    except (PtxError, OSError) as e:
        print('ptx2c: %s: %s' % (argv[0], e), file=sys.stderr)
        return 1
    with open(argv[1], 'w', encoding='utf-8') as f:
        f.write(text)
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
