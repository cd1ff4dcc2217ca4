# SPDX-License-Identifier: MIT
"""PTX text -> tree.Module. Only syntax: what instructions mean is known to the table and the emitter."""
import re
import struct

from . import tree as t
from .lex import PtxError, tokens

_LINKAGE = {'.visible', '.extern', '.weak', '.common'}
_SPACES = {'.global', '.const', '.shared', '.local', '.param'}
_TOOLKIT = re.compile(r'/targets/[^/]+/include/|/cuda[^/]*/include/|/crt/')


class Parser:
    def __init__(self, text):
        self.toks = tokens(text)
        self.i = 0
        self.files = {}
        self.loc = None
        for tok in self.toks:  # nvcc puts .file last
            m = re.match(r'\.file\s+(\d+)\s+"([^"]*)"', tok.text) if tok.kind == 'line' else None
            if m:
                self.files[int(m.group(1))] = m.group(2)

    # ---- tokens ----
    @property
    def tok(self):
        return self.toks[self.i]

    def fail(self, why='unexpected'):
        raise PtxError('line %d: %s: %s' % (self.tok.line, why, ' '.join(k.text for k in self.toks[self.i:self.i + 12])))

    def next(self):
        self.i += 1
        return self.toks[self.i - 1]

    def accept(self, *texts):
        if self.tok.text in texts and self.tok.kind != 'string':
            return self.next().text
        return None

    def expect(self, text):
        if not self.accept(text):
            self.fail('expected %r' % text)

    def name(self):
        if self.tok.kind != 'name':
            self.fail('expected a name')
        return self.next().text

    def integer(self):
        sign = -1 if self.accept('-') else 1
        if self.tok.kind != 'int':
            self.fail('expected an integer')
        return sign * int(self.next().text.rstrip('U'), 0)

    def sequence(self, close, item):
        """item, item, ... close"""
        out = []
        while not self.accept(close):
            if out:
                self.expect(',')
            out.append(item())
        return out

    # ---- module ----
    def module(self):
        m = t.Module()
        while self.tok.kind != 'end':
            text = self.tok.text
            if self.tok.kind == 'line':
                if text.startswith('.target'):
                    m.target = text.split()[1].rstrip(',')
                self.next()
            elif text == '.section':
                self.skip_section()
            elif text == '.pragma':
                self.skip_to(';')
            else:
                self.top_level(m)
        return m

    def top_level(self, m):
        extern = False
        while self.tok.text in _LINKAGE:
            extern |= self.next().text == '.extern'
        if self.tok.text in ('.entry', '.func'):
            m.funcs.append(self.func())
        elif self.tok.text in _SPACES:
            m.vars.append(self.variable(extern))
            self.expect(';')
        else:
            self.fail('unknown directive')

    def skip_section(self):
        while self.next().text != '{':
            pass
        depth = 1
        while depth:
            depth += {'{': 1, '}': -1}.get(self.next().text, 0)

    def skip_to(self, text):
        while self.next().text != text:
            if self.tok.kind == 'end':
                self.fail()

    def func(self):
        entry = self.next().text == '.entry'
        rets = []
        if self.accept('('):
            rets = self.sequence(')', self.variable)
        f = t.Func(self.name(), entry, rets, [])
        if self.accept('('):
            f.params = self.sequence(')', self.variable)
        while self.tok.text not in ('{', ';'):
            self.func_directive(f)
        if not self.accept(';'):
            self.loc = None
            self.expect('{')
            f.body = self.block()
        return f

    def func_directive(self, f):
        word = self.next().text
        if word in ('.maxntid', '.reqntid'):
            n = self.integer()
            while self.accept(','):
                n *= self.integer()
            f.max_threads = n
        elif word == '.minnctapersm':
            f.min_blocks = self.integer()
        elif word in ('.maxnreg', '.maxnctapersm'):
            self.integer()
        elif word == '.pragma':
            self.skip_to(';')
        elif word != '.noreturn':
            self.i -= 1
            self.fail('unknown function directive')

    def variable(self, extern=False):
        """.space [.align n] .type name[count] [= init]"""
        space = self.next().text
        if space == '.reg':
            self.fail('register parameters are not supported')
        if space not in _SPACES:
            self.fail('expected a state space')
        align = self.integer() if self.accept('.align') else 0
        kind = self.next().text[1:]
        if kind not in t.SIZE:
            self.fail('unknown type .%s' % kind)
        while self.tok.kind == 'dot':  # kernel parameters: .ptr .global .align 8
            if self.next().text == '.align':
                self.integer()
        v = t.Var(space[1:], kind, self.name(), 1, align, extern=extern)
        while self.accept('['):
            v.count *= 0 if self.tok.text == ']' else self.integer()
            self.expect(']')
        v.align = v.align or t.SIZE[kind]
        if self.accept('='):
            v.init = self.sequence('}', self.initializer) if self.accept('{') else [self.initializer()]
        return v

    def initializer(self):
        if self.tok.text == 'generic':
            self.next()
            self.expect('(')
            out = self.operand()
            self.expect(')')
            if self.accept('+'):
                out.offset += self.integer()
            return out
        return self.operand()

    # ---- statements ----
    def block(self):
        body = []
        while not self.accept('}'):
            s = self.statement()
            if s:
                body.append(s)
        return t.Block(body)

    def statement(self):
        tok = self.tok
        if tok.kind == 'line':
            self.set_loc(self.next().text)
        elif tok.kind == 'dot':
            return self.declaration()
        elif self.accept('{'):
            return self.block()
        elif tok.kind == 'name' and self.toks[self.i + 1].text == ':':
            name = self.name()
            self.next()
            return self.targets(name) if self.tok.text == '.branchtargets' else t.Label(name)
        elif not self.accept(';'):
            return self.instruction()
        return None

    def set_loc(self, text):
        """Code of the toolkit's headers is reported where it was inlined."""
        m = re.match(r'\.loc\s+(\d+)\s+(\d+)', text)
        if not m:
            return
        file, line = self.files.get(int(m.group(1)), '?'), int(m.group(2))
        at = re.search(r'inlined_at\s+(\d+)\s+(\d+)', text)
        if at and _TOOLKIT.search(file):
            outer = self.files.get(int(at.group(1)), '?')
            if not _TOOLKIT.search(outer):
                file, line = outer, int(at.group(2))
            elif self.loc:
                return
        if line > 0 or self.loc is None:
            self.loc = t.Loc(file, max(line, 1))

    def targets(self, name):
        self.next()
        return t.Targets(name, self.sequence(';', self.name))

    def declaration(self):
        if self.tok.text == '.pragma':
            self.skip_to(';')
            return None
        if self.accept('.reg'):
            kind = self.next().text[1:]
            return t.Regs(kind, self.sequence(';', self.register))
        v = self.variable()
        self.expect(';')
        return v

    def register(self):
        name, count = self.name(), None
        if self.accept('<'):
            count = self.integer()
            self.expect('>')
        return name, count

    def instruction(self):
        line, guard = self.tok.line, None
        if self.accept('@'):
            guard = t.Not(t.Name(self.name())) if self.accept('!') else t.Name(self.name())
        op = self.name()
        if op in ('call', 'call.uni'):
            return self.call(guard, line)
        return t.Instr(op, self.sequence(';', self.operand), guard, self.loc, line)

    def call(self, guard, line):
        rets = []
        if self.accept('('):
            rets = self.sequence(')', self.name)
            self.expect(',')
        target, args = self.name(), []
        if target.startswith('%'):
            self.fail('calls through pointers are not supported')
        if self.accept(','):
            self.expect('(')
            args = self.sequence(')', self.name)
        self.expect(';')
        return t.Call(target, rets, args, guard, self.loc, line)

    # ---- operands ----
    def operand(self):
        first = self.simple_operand()
        if self.accept('|'):
            return t.Pair(first, self.simple_operand())
        return first

    def simple_operand(self):
        if self.accept('{'):
            return t.Vec(self.sequence('}', self.operand))
        if self.accept('['):
            return self.address()
        if self.accept('!'):
            return t.Not(self.simple_operand())
        if self.tok.kind == 'name':
            out = t.Name(self.name())
            if self.accept('+'):
                out.offset = self.integer()
            return out
        return self.number()

    def number(self):
        sign = -1 if self.accept('-') else 1
        if self.tok.kind != 'float':
            return t.Int(sign * self.integer())
        text = self.next().text
        if text[1] in 'fF':
            bits, size = int(text[2:], 16), 4
        elif text[1] in 'dD':
            bits, size = int(text[2:], 16), 8
        else:
            bits, size = struct.unpack('<Q', struct.pack('<d', float(text)))[0], 8
        return t.Float(bits ^ (1 << (8 * size - 1)) if sign < 0 else bits, size)

    def address(self):
        base = t.Name(self.name()) if self.tok.kind == 'name' else t.Int(self.integer())
        offset = 0
        while not self.accept(']'):
            if self.accept('+') or self.tok.text == '-':
                offset += self.integer()
            else:
                self.fail('unknown address')
        return t.Addr(base, offset)
