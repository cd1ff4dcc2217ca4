# SPDX-License-Identifier: MIT
"""Tokens of PTX text. An opcode with its modifiers (`ld.global.L1::no_allocate.v2.u32`) and a special register
(`%tid.x`) are one token; `.loc`, `.file` and the module header end with their line and are one token too."""
import re
from collections import namedtuple

Token = namedtuple('Token', 'kind text line')

_TOKEN = re.compile(r'''
    (?P<skip>\s+|//[^\n]*|/\*.*?\*/)
  | (?P<line>\.(?:loc|file|version|target|address_size)\b[^\n]*)
  | (?P<string>"[^"\n]*")
  | (?P<float>0[fF][0-9a-fA-F]{8}|0[dD][0-9a-fA-F]{16}|\d+\.\d+(?:[eE][-+]?\d+)?)
  | (?P<int>0[xX][0-9a-fA-F]+U?|0[bB][01]+U?|\d+U?)
  | (?P<name>[%$_A-Za-z][\w$]*(?:(?:\.|::)[\w]+)*)
  | (?P<dot>\.\w+(?:::\w+)*)
  | (?P<punct>[{}()\[\],;:|@!+\-=<>])
''', re.X | re.S)


class PtxError(Exception):
    """The translation stops: something is not understood. The text of it is part of the message."""


def tokens(text):
    """All tokens of a module, closed by one of kind 'end'."""
    out, pos, line = [], 0, 1
    while pos < len(text):
        m = _TOKEN.match(text, pos)
        if not m:
            raise PtxError('line %d: cannot read: %s' % (line, text[pos:pos + 60].split('\n')[0]))
        kind, word = m.lastgroup, m.group(0)
        if kind != 'skip':
            out.append(Token(kind, word, line))
        line += word.count('\n')
        pos = m.end()
    out.append(Token('end', '', line))
    return out
