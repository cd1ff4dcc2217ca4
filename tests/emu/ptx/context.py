# SPDX-License-Identifier: MIT
"""One function being translated: names, registers, operands and addresses as C++ expressions."""
import re
import struct

from . import tree
from .lex import PtxError

CTYPE = {'pred': 'bool', 'b8': 'uint8_t', 'u8': 'uint8_t', 's8': 'int8_t', 'b16': 'uint16_t', 'u16': 'uint16_t',
         's16': 'int16_t', 'b32': 'uint32_t', 'u32': 'uint32_t', 's32': 'int32_t', 'b64': 'uint64_t', 'u64': 'uint64_t',
         's64': 'int64_t', 'f32': 'float', 'f64': 'double', 'f16': 'f16', 'bf16': 'bf16', 'tf32': 'uint32_t',
         'f16x2': 'f16x2', 'bf16x2': 'bf16x2', 'b128': 'u128'}
_REGISTER = dict(CTYPE, f16='uint16_t', bf16='uint16_t', f16x2='uint32_t', bf16x2='uint32_t')
_POISON = {'bool': 'true', 'float': 'poison_f32', 'double': 'poison_f64'}
_SPECIAL = {'tid': 'self->tid', 'ntid': 'grid.ntid', 'ctaid': 'grid.ctaid', 'nctaid': 'grid.nctaid'}
_SCALAR = {'%laneid': 'self->lane', '%warpid': 'self->warp', '%nwarpid': '((grid.n_threads + 31) / 32)', 'WARP_SZ': '32u',
           '%lanemask_eq': '(1u << self->lane)', '%lanemask_lt': '((1u << self->lane) - 1)',
           '%lanemask_le': '(2u * (1u << self->lane) - 1)', '%lanemask_gt': '(0u - 2u * (1u << self->lane))',
           '%lanemask_ge': '(0u - (1u << self->lane))', '%smid': '0u', '%nsmid': '1u', '%gridid': '0u',
           '%clock': '(uint32_t)clock_ticks()', '%clock64': 'clock_ticks()', '%globaltimer': 'clock_ticks()',
           '%dynamic_smem_size': 'grid.dynamic_bytes', '%total_smem_size': 'grid.shared_bytes'}


def mangle(name):
    """A C++ identifier; distinct for distinct names."""
    return re.sub(r'[^A-Za-z0-9]', lambda m: {'_': '__', '$': '_S', '%': '_R', '.': '_d'}.get(m.group(0), '_x'), name)


class Context:
    def __init__(self, module, func):
        self.module, self.func = module, func
        self.scopes, self.n_scopes = [{}], 0
        self.declared, self.used_labels = {}, set()
        self.instr = None

    # ---- names ----
    def push(self):
        self.n_scopes += 1
        self.scopes.append({'': self.n_scopes})

    def pop(self):
        self.scopes.pop()

    def suffix(self):
        n = self.scopes[-1].get('', 0)
        return '_%d' % n if n else ''

    def define(self, name, kind, value):
        self.scopes[-1][name] = (kind, value)

    def define_registers(self, regs):
        for name, count in regs.names:
            self.define(name if count is None else (name, count), 'range' if count else 'reg', (regs.type, self.suffix()))

    def lookup(self, name):
        """(kind, value): reg (type, C++ name), var, shared, local, param, label"""
        m = re.fullmatch(r'(.*?)(\d+)', name)
        for scope in reversed(self.scopes):
            if name in scope:
                kind, value = scope[name]
                return (kind, (value[0], 'R' + mangle(name) + value[1])) if kind == 'reg' else (kind, value)
            for key in scope if m else ():
                if isinstance(key, tuple) and key[0] == m.group(1) and int(m.group(2)) < key[1]:
                    kind, suffix = scope[key][1]
                    return 'reg', (kind, 'R' + mangle(name) + suffix)
        return self.module.lookup(name)

    def register(self, name):
        found = self.lookup(name)
        if not found or found[0] != 'reg':
            return None
        kind, cname = found[1]
        ctype = _REGISTER[kind]
        self.declared[cname] = '%s %s = %s;' % (ctype, cname, _POISON.get(ctype, 'static_cast<%s>(~0ull)' % ctype))
        return kind, cname

    def label(self, name):
        found = self.lookup(name)
        if not found or found[0] != 'label':
            raise PtxError('no label %s' % name)
        self.used_labels.add(found[1])
        return found[1]

    # ---- operands ----
    def ctype(self, kind):
        return CTYPE[kind]

    def site(self):
        return self.module.site(self.instr)

    def val(self, arg, kind):
        """An expression of C++ type CTYPE[kind]."""
        ctype = CTYPE[kind]
        if isinstance(arg, tree.Int):
            return self.int_literal(arg.value, kind)
        if isinstance(arg, tree.Float):
            return self.float_literal(arg, kind)
        if isinstance(arg, tree.Not):
            return '!' + self.val(arg.arg, 'pred')
        if isinstance(arg, tree.Vec):
            part = 'b%d' % (tree.SIZE[kind] * 8 // len(arg.items))
            return 'pack<%s>(%s)' % (ctype, ', '.join(self.val(x, part) for x in arg.items))
        if not isinstance(arg, tree.Name):
            raise PtxError('operand is no value')
        reg = self.register(arg.text)
        if reg:
            return reg[1] if _REGISTER[reg[0]] == ctype else 'as<%s>(%s)' % (ctype, reg[1])
        return 'static_cast<%s>(%s)' % (ctype, self.symbol(arg))

    def int_literal(self, value, kind):
        if kind == 'pred':
            return 'true' if value else 'false'
        if kind in ('f32', 'f64'):
            return self.float_literal(tree.Float(struct.unpack('<Q', struct.pack('<d', value))[0], 8), kind)
        if kind in ('f16', 'bf16', 'f16x2', 'bf16x2'):
            return 'as<%s>(%s)' % (CTYPE[kind], self.int_literal(value, 'b%d' % (8 * tree.SIZE[kind])))
        bits = min(8 * tree.SIZE[kind], 64)
        value &= (1 << bits) - 1
        if kind[0] == 's' and value >> (bits - 1):
            return 'static_cast<%s>(%dull)' % (CTYPE[kind], value)
        return '%s(%d%s)' % (CTYPE[kind], value, 'ull' if bits == 64 else 'u' if kind[0] != 's' else '')

    def float_literal(self, arg, kind):
        bits, size = arg.bits, arg.size
        if size == 8 and kind == 'f32':
            bits, size = struct.unpack('<I', struct.pack('<f', struct.unpack('<d', struct.pack('<Q', bits))[0]))[0], 4
        text = '0x%x%s' % (bits, 'u' if size == 4 else 'ull')
        if size != tree.SIZE[kind]:
            raise PtxError('literal of %d bytes for .%s' % (size, kind))
        return 'as<%s>(%s)' % (CTYPE[kind], text) if kind[0] != 'b' and kind[0] != 'u' else text

    def symbol(self, arg):
        """Special register or address of a variable."""
        m = re.fullmatch(r'%(\w+)\.([xyzw])', arg.text)
        if m and m.group(1) in _SPECIAL:
            return '0u' if m.group(2) == 'w' else '%s.%s' % (_SPECIAL[m.group(1)], m.group(2))
        if arg.text in _SCALAR:
            return _SCALAR[arg.text]
        return self.address_value(tree.Addr(arg, arg.offset))

    def put(self, arg, expr):
        """The statement that stores an expression in a destination."""
        if isinstance(arg, tree.Name):
            if arg.text == '_':
                return '(void)(%s);' % expr
            reg = self.register(arg.text)
            if reg:
                return 'put(%s, %s);' % (reg[1], expr)
        raise PtxError('destination is no register')

    # ---- addresses ----
    def address_value(self, arg):
        """An address as a number, as an instruction sees it (shared: 32 bits from the start of the window)."""
        base = arg.base
        if isinstance(base, tree.Int):
            return '%du' % (base.value + arg.offset)
        reg = self.register(base.text)
        off = ' + %d' % arg.offset if arg.offset > 0 else ' - %d' % -arg.offset if arg.offset else ''
        if reg:
            return '(as_bits(%s)%s)' % (reg[1], off)
        found = self.lookup(base.text)
        if not found:
            raise PtxError('unknown name %s' % base.text)
        kind, value = found
        if kind in ('var', 'shared'):
            return '(%s%s)' % (value, off)
        if kind in ('local', 'param'):
            return '((uint64_t)%s%s)' % (value, off)
        raise PtxError('%s is no address' % base.text)

    def address(self, arg, space, size, write=False):
        """A checked pointer to host memory."""
        if not isinstance(arg, tree.Addr):
            raise PtxError('operand is no address')
        found = self.lookup(arg.base.text) if isinstance(arg.base, tree.Name) else None
        if space == 'param' and found and found[0] == 'param':
            return '(%s + %d)' % (found[1], arg.offset)
        return '%s_ptr<%d, %s>(%s, %s)' % (space, size, 'true' if write else 'false', self.address_value(arg), self.site())
