# SPDX-License-Identifier: MIT
"""The instruction table: rows of pattern, operands and C++ expression.

A pattern is the opcode and its modifiers in the order of the PTX manual, separated by spaces:
    .word       must be there                       .word?         may be there; {word} is true or false
    x=a|b|c     one of them, {x} is which one       x=a|b?c        may be there, {x} is c if it is not; `?` alone: ''
What no row matches in full is refused. Operands are `name:type`, the type being a PTX type or the name of a group of
the pattern (left out: t). An operand called d is the destination, `d|p` a pair of them; `?` marks one that
may be missing.
The expression is a format string over operands and groups; or a function of (context, groups, operands)."""
import re

from . import tree
from .lex import PtxError

ROWS = {}


class Row:
    def __init__(self, pattern, args, code):
        words = pattern.split()
        self.groups, text = {}, re.escape(words[0])
        for w in words[1:]:
            text += self._word(w)
        self.regex, self.code = re.compile(text), code
        self.args = [a.rstrip('?') for a in args.split()]
        self.needed = sum(not a.endswith('?') for a in args.split())

    def _word(self, w):
        if w.startswith('.'):
            key = re.sub(r'\W', '_', w.strip('.?'))
            if not w.endswith('?'):
                return re.escape(w)
            self.groups[key] = None
            return r'(?P<%s>%s)?' % (key, re.escape(w[:-1]))
        key, _, rest = w.partition('=')
        choices, optional, default = rest.partition('?')
        self.groups[key] = default if optional else None
        group = '|'.join(re.escape(c) for c in sorted(choices.split('|'), key=len, reverse=True))
        return r'(?:\.(?P<%s>%s))%s' % (key, group, '?' if optional else '')

    def match(self, op, args):
        m = self.regex.fullmatch(op)
        if not m or not self.needed <= len(args) <= len(self.args):
            return None
        out = {}
        for key, value in m.groupdict().items():
            if self.groups[key] is not None:          # x=a|b?c
                out[key] = self.groups[key] if value is None else value
            elif value is None or value.startswith('.'):  # .word?
                out[key] = 'false' if value is None else 'true'
            else:
                out[key] = value
        return out

    def emit(self, ctx, groups, args):
        """One C++ statement (several in braces)."""
        ops = {}
        for spec, arg in zip(self.args, args):
            name, _, kind = spec.partition(':')
            kind = kind or 't'
            ops[name] = (arg, groups.get(kind, kind))
        if callable(self.code):
            return self.code(ctx, groups, {k: v[0] for k, v in ops.items()})
        values = {k: ctx.ctype(v) if v in tree.SIZE else v for k, v in groups.items()}
        values.update((k, ctx.val(a, kind)) for k, (a, kind) in ops.items() if k not in ('d', 'd|p'))
        expr = self.code.format(site=ctx.site(), **values)
        if 'd|p' in ops:
            return pair(ctx, ops['d|p'][0], expr)
        return ctx.put(ops['d'][0], expr) if 'd' in ops else expr + ';'


def pair(ctx, dest, expr):
    """`d|p`: the expression is a call whose last argument, a bool, gets the second result."""
    first, second = (dest.first, dest.second) if isinstance(dest, tree.Pair) else (dest, None)
    text = 'bool q_; %s' % ctx.put(first, expr.replace('@', 'q_'))
    return '{ %s %s }' % (text, ctx.put(second, 'q_') if second else '(void)q_;')


def row(pattern, args, code):
    ROWS.setdefault(pattern.split()[0], []).append(Row(pattern, args, code))


def rows(names, pattern, args, code):
    """The same row for several opcodes; `{op}` in the code is the opcode."""
    for n in names.split():
        row('%s %s' % (n, pattern), args, code.replace('{op}', n) if isinstance(code, str) else code)


def translate(ctx, op, args):
    for r in ROWS.get(op.split('.')[0], ()):
        groups = r.match(op, args)
        if groups is not None:
            return r.emit(ctx, groups, args)
    raise PtxError('unsupported instruction')


def coverage():
    """Opcode -> patterns, for the list of the documentation."""
    return {op: [r.regex.pattern for r in rs] for op, rs in sorted(ROWS.items())}
