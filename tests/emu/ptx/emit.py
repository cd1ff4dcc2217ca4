# SPDX-License-Identifier: MIT
"""tree.Module -> C++: variables, functions, and a description of each kernel for the runtime."""
from . import table, tree
from . import ins_float, ins_int, ins_mem, ins_sync  # noqa: F401  fill the table
from .context import Context, mangle
from .lex import PtxError

GUARD = 64                     # bytes round every shared array
BUILTIN = {'vprintf': 1, '__assertfail': 0}


def align_up(n, a):
    return (n + a - 1) // a * a


def minimal(n, a):
    """The next address that is aligned to a, and no better."""
    at = align_up(n, a)
    return at + a if at % (2 * a) == 0 else at


class Shared:
    """Places shared arrays with guard zones between them; `real` is what hardware would use."""

    def __init__(self, base=None):
        self.end = base.end if base else GUARD
        self.vars = []

    def place(self, v):
        at = minimal(self.end + GUARD, v.align)
        self.vars.append((v, at))
        self.end = at + v.size
        return at


class Emitter:
    def __init__(self, module, source):
        self.m, self.source = module, source
        self.names, self.sites, self.out = {}, [], []
        self.dynamic_align = 16
        self.shared = Shared()

    def lookup(self, name):
        return self.names.get(name)

    def site(self, instr):
        """Index of a place in the source; errors name it."""
        loc = instr.loc or tree.Loc(self.source, instr.line)
        key = (loc.file, loc.line, instr.op)
        if not self.sites or self.sites[-1] != (key, instr.line):
            self.sites.append((key, instr.line))
        return '&sites[%d]' % (len(self.sites) - 1)

    # ---- module ----
    def emit(self):
        for v in self.m.vars:
            self.module_var(v)
        bodies = [self.function(f) for f in self.m.funcs if f.body]
        count = max(len(self.sites), 1)
        head = ['#include "emu.h"', 'using namespace emu;', 'namespace {', 'extern const Site sites[%d];' % count]
        head += self.out
        head += [self.prototype(f) + ';' for f in self.m.funcs if f.body and not f.entry]
        tail = ['const Site sites[%d] = {' % count]
        tail += ['    {"%s", %d, "%s"},' % (k[0].replace('\\', '/'), k[1], k[2]) for k, _ in self.sites] or ['    {"", 0, ""},']
        return '\n'.join(head + bodies + ['#line 1 "generated"'] + tail + ['};', self.descriptions(), '} // namespace', ''])

    def module_var(self, v):
        if v.space == 'shared':
            if v.count:
                self.names[v.name] = ('shared', '%du' % self.shared.place(v))
            else:
                self.names[v.name] = ('shared', 'grid.dynamic_at')
                self.dynamic_align = max(self.dynamic_align, v.align)
            return
        if v.extern:
            raise PtxError('variable %s lives in another module' % v.name)
        cname = 'v' + mangle(v.name)
        data, relocs = self.initial(v)
        if any(data):
            self.out.append('const uint8_t %s_init[] = {%s};' % (cname, ', '.join(map(str, data))))
        if relocs:
            self.out.append('const Reloc %s_reloc[] = {%s};' % (
                cname, ', '.join('{%d, &%s, %d}' % (at, sym, off) for at, sym, off in relocs)))
        self.out.append('Var %s = {"%s", %d, %d, %s, %d, %s, %d, %s, 0, nullptr};' % (
            cname, v.name, max(v.size, 1), v.align, cname + '_init' if any(data) else 'nullptr', len(data) if any(data) else 0,
            cname + '_reloc' if relocs else 'nullptr', len(relocs), 'true' if v.space == 'const' else 'false'))
        self.out.append('const Register %s_reg(&%s);' % (cname, cname))
        self.names[v.name] = ('var', cname + '.addr')

    def initial(self, v):
        """Bytes of an initializer, and the places that hold addresses."""
        data, relocs, size = bytearray(), [], tree.SIZE[v.type]
        for x in v.init:
            value = 0
            if isinstance(x, tree.Int):
                value = x.value
            elif isinstance(x, tree.Float) and x.size == size:
                value = x.bits
            elif isinstance(x, tree.Name) and size == 8 and self.names.get(x.text, ('',))[0] == 'var':
                relocs.append((len(data), self.names[x.text][1].split('.')[0], x.offset))
            else:
                raise PtxError('initializer of %s' % v.name)
            data += (value & ((1 << 8 * size) - 1)).to_bytes(size, 'little')
        return data, relocs

    def descriptions(self):
        out = []
        for f in self.m.funcs:
            if not f.entry or not f.body:
                continue
            c, offset, params = mangle(f.name), 0, []
            for p in f.params:
                offset = align_up(offset, p.align)
                params.append('{%d, %d}' % (offset, p.size))
                offset += p.size
            used = f.shared.vars
            real = 0
            for v, _ in used:
                real = align_up(real, v.align) + v.size
            at = minimal(f.shared.end + GUARD, self.dynamic_align)
            out.append('const Extent p%s[] = {%s};' % (c, ', '.join(params) or '{0, 0}'))
            out.append('const Extent s%s[] = {%s};' % (c, ', '.join('{%d, %d}' % (o, v.size) for v, o in used) or '{0, 0}'))
            out.append('Kernel d%s = {"%s", k%s, p%s, %d, %d, s%s, %d, %d, %d, %d, %d, nullptr};' % (
                c, f.name, c, c, len(params), offset, c, len(used), real, at, f.max_threads, f.local))
            out.append('const Register r%s(&d%s);' % (c, c))
        return '\n'.join(out)

    # ---- functions ----
    def prototype(self, f):
        if f.entry:
            return 'void k%s(const uint8_t *prm)' % mangle(f.name)
        args = ['uint8_t *P' + mangle(v.name) for v in f.rets + f.params]
        return 'void f%s(%s)' % (mangle(f.name), ', '.join(args))

    def function(self, f):
        ctx = Context(self, f)
        f.shared = Shared(self.shared)
        f.shared.vars = list(self.shared.vars) if f.entry else []
        f.local, offset = 0, 0
        for v in f.params + f.rets:
            offset = align_up(offset, v.align)
            ctx.define(v.name, 'param', '(prm + %d)' % offset if f.entry else 'P' + mangle(v.name))
            offset += v.size
        lines = []
        self.block(ctx, f.body, lines)
        regs = ['uint32_t CC = 0; (void)CC;'] + sorted(set(ctx.declared.values()))
        lines = [x for x in lines if not (isinstance(x, tuple) and x[0] not in ctx.used_labels)]
        body = [x[0] + ': ;' if isinstance(x, tuple) else x for x in lines]
        unused = '(void)prm;' if f.entry else ' '.join('(void)P%s;' % mangle(v.name) for v in f.rets + f.params)
        return '#line 1 "generated"\n%s\n{\n%s\n%s\n}' % (self.prototype(f), unused, '\n'.join(regs + body))

    def block(self, ctx, block, lines):
        ctx.push()
        for s in block.body:  # names first: code may jump ahead
            if isinstance(s, tree.Label):
                ctx.define(s.name, 'label', 'L' + mangle(s.name) + ctx.suffix())
            elif isinstance(s, tree.Targets):
                ctx.define(s.name, 'targets', s.labels)
        for s in block.body:
            self.statement(ctx, s, lines)
        ctx.pop()

    def statement(self, ctx, s, lines):
        if isinstance(s, tree.Block):
            self.block(ctx, s, lines)
        elif isinstance(s, tree.Regs):
            ctx.define_registers(s)
        elif isinstance(s, tree.Var):
            self.local_var(ctx, s)
        elif isinstance(s, tree.Label):
            lines.append((ctx.lookup(s.name)[1],))
        elif isinstance(s, (tree.Instr, tree.Call)):
            self.instruction(ctx, s, lines)

    def local_var(self, ctx, v):
        if v.space == 'shared':
            ctx.define(v.name, 'shared', '%du' % ctx.func.shared.place(v))
            if not ctx.func.entry:  # a function's own arrays keep their place in every kernel
                self.shared.end, self.shared.vars = ctx.func.shared.end, self.shared.vars + [ctx.func.shared.vars[-1]]
        elif v.space in ('local', 'param'):
            cname = 'M' + mangle(v.name) + ctx.suffix()
            ctx.declared[cname] = 'alignas(%d) uint8_t %s[%d];%s' % (
                max(v.align, 8), cname, max(v.size, 1), ' poison_local(%s, sizeof %s);' % (cname, cname) if v.space == 'local' else '')
            ctx.define(v.name, v.space, cname)
            ctx.func.local += v.size if v.space == 'local' else 0
        else:
            raise PtxError('.%s variable %s in a function' % (v.space, v.name))

    def instruction(self, ctx, s, lines):
        if isinstance(s, tree.Call):
            s.op = 'call ' + s.target
        ctx.instr = s
        try:
            text = self.call(ctx, s) if isinstance(s, tree.Call) else self.control(ctx, s) or table.translate(ctx, s.op, s.args)
            if s.guard:
                text = 'if (%s) { %s }' % (ctx.val(s.guard, 'pred'), text)
        except PtxError as e:
            where = '%s:%d: ' % (s.loc.file, s.loc.line) if s.loc else ''
            raise PtxError('%sPTX line %d: %s: %s' % (where, s.line, e, show(s))) from None
        if s.loc:
            lines.append('#line %d "%s"' % (s.loc.line, s.loc.file))
        lines.append('    ' + text)

    def control(self, ctx, s):
        if s.op in ('bra', 'bra.uni') and len(s.args) == 1:
            return 'goto %s;' % ctx.label(s.args[0].text)
        if s.op in ('brx.idx', 'brx.idx.uni'):
            kind, labels = ctx.lookup(s.args[1].text) or ('', [])
            if kind != 'targets':
                raise PtxError('no .branchtargets')
            cases = ' '.join('case %d: goto %s;' % (i, ctx.label(x)) for i, x in enumerate(labels))
            return 'switch (%s) { %s default: trap(%s); }' % (ctx.val(s.args[0], 'u32'), cases, ctx.site())
        if s.op in ('ret', 'ret.uni') or s.op == 'exit' and ctx.func.entry:
            return 'return;'
        return None

    def call(self, ctx, s):
        args = []
        for name in s.rets + s.args:
            kind, value = ctx.lookup(name) or ('', '')
            if kind != 'param':
                raise PtxError('argument %s is no .param' % name)
            args.append(value)
        if s.target in BUILTIN:
            return 'builtin_%s(%s);' % (s.target.strip('_'), ', '.join(args + ([ctx.site()] if s.target != 'vprintf' else [])))
        if not any(f.name == s.target and f.body for f in self.m.funcs):
            raise PtxError('function %s has no body here' % s.target)
        return 'f%s(%s);' % (mangle(s.target), ', '.join(args))


def show(s):
    """An instruction in words, for messages."""
    def text(a):
        if isinstance(a, tree.Name):
            return a.text
        if isinstance(a, tree.Vec):
            return '{%s}' % ', '.join(map(text, a.items))
        if isinstance(a, tree.Addr):
            return '[%s%+d]' % (text(a.base), a.offset)
        return str(getattr(a, 'value', a))
    return '%s %s' % (s.op, ', '.join(map(text, s.args)))
