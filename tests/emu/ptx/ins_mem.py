# SPDX-License-Identifier: MIT
"""Data movement: mov, loads and stores, atomics, addresses, asynchronous copies."""
from . import tree
from .lex import PtxError
from .table import row

TYPES = 'b8|u8|s8|b16|u16|s16|b32|u32|s32|f32|b64|u64|s64|f64|b128'
SCOPE = 'cta|cluster|gpu|sys'
SPACE = 'ss=global|shared|shared::cta|const|local|param|param::entry|param::func?generic'
CACHE = ('cop=ca|cg|cs|lu|cv|wb|wt? e1=L1::evict_normal|L1::evict_unchanged|L1::evict_first|L1::evict_last|L1::no_allocate? '
         'e2=L2::evict_normal|L2::evict_first|L2::evict_last? pf=L2::64B|L2::128B|L2::256B?')


def _mov(ctx, g, ops):
    kind, d, a = g['t'], ops['d'], ops['a']
    if isinstance(d, tree.Vec):
        part = 'b%d' % (tree.SIZE[kind] * 8 // len(d.items))
        puts = [ctx.put(x, 'part<%s>(v_, %d)' % (ctx.ctype(part), i)) for i, x in enumerate(d.items)]
        return '{ const %s v_ = %s; %s }' % (ctx.ctype(kind), ctx.val(a, kind), ' '.join(puts))
    return ctx.put(d, ctx.val(a, kind))


row('mov t=pred|b16|u16|s16|b32|u32|s32|f32|b64|u64|s64|f64|b128|f16|bf16|f16x2|bf16x2', 'd a', _mov)


def _space(g):
    return g['ss'].split('::')[0]


def _vector(arg, g):
    n = {'': 1, 'v2': 2, 'v4': 4, 'v8': 8}[g['vec']]
    items = arg.items if isinstance(arg, tree.Vec) else [arg]
    if len(items) != n:
        raise PtxError('%d operands for %s' % (len(items), g['vec'] or 'a scalar'))
    return n, items


def _ld(ctx, g, ops):
    n, items = _vector(ops['d'], g)
    kind, order = ctx.ctype(g['t']), g.get('order', '')
    where = ctx.address(ops['a'], _space(g), tree.SIZE[g['t']] * n)
    read = 'load_atomic' if order in ('relaxed', 'acquire') else 'load'
    reads = ['const %s v%d_ = %s<%s>(p_, %d);' % (kind, i, read, kind, i) for i in range(n)]
    puts = [ctx.put(x, 'v%d_' % i) for i, x in enumerate(items)]
    return '{ const uint8_t *p_ = %s; %s %s }' % (where, ' '.join(reads), ' '.join(puts))


def _st(ctx, g, ops):
    n, items = _vector(ops['d'], g)
    kind, order = ctx.ctype(g['t']), g.get('order', '')
    where = ctx.address(ops['a'], _space(g), tree.SIZE[g['t']] * n, True)
    write = 'store_atomic' if order in ('relaxed', 'release') else 'store'
    writes = ['%s<%s>(p_, %d, %s);' % (write, kind, i, ctx.val(x, g['t'])) for i, x in enumerate(items)]
    return '{ uint8_t *p_ = %s; %s }' % (where, ' '.join(writes))


for _order in ('order=weak|volatile?', 'order=relaxed|acquire scope=' + SCOPE):
    row('ld %s %s %s vec=v2|v4|v8? t=%s' % (_order, SPACE, CACHE, TYPES), 'd a', _ld)
for _order in ('order=weak|volatile?', 'order=relaxed|release scope=' + SCOPE):
    row('st %s %s %s vec=v2|v4|v8? t=%s' % (_order, SPACE, CACHE, TYPES), 'a d', _st)
row('ld ss=global %s .nc %s vec=v2|v4|v8? t=%s' % (CACHE.split()[0], ' '.join(CACHE.split()[1:]), TYPES), 'd a', _ld)
row('ldu ss=global vec=v2|v4? t=' + TYPES, 'd a', _ld)

# ---- addresses -----------------------------------------------------------------------------------------------------
for _ss in ('global', 'shared', 'const', 'local', 'param', 'shared::cta'):
    _n = _ss.split('::')[0]
    row('cvta .%s t=u32|u64' % _ss, 'd:u64 a:u64', 'cvta_%s({a})' % _n)
    row('cvta .to .%s t=u32|u64' % _ss, 'd:u64 a:u64', 'cvta_to_%s({a}, {site})' % _n)
    row('isspacep .' + _ss, 'd:pred a:u64', 'is_%s({a})' % _n)

# ---- atomics -------------------------------------------------------------------------------------------------------
_SEM = 'sem=relaxed|acquire|release|acq_rel? scope=%s? ss=global|shared|shared::cta?generic' % SCOPE
_OPS = (('add', 'u32|s32|u64|s64|f32|f64'), ('min', 'u32|s32|u64|s64'), ('max', 'u32|s32|u64|s64'), ('inc', 'u32'),
        ('dec', 'u32'), ('and', 'b32|b64'), ('or', 'b32|b64'), ('xor', 'b32|b64'), ('exch', 'b32|b64'))


def _atom(op, args):
    def code(ctx, g, ops):
        where = ctx.address(ops['a'], _space(g), tree.SIZE[g['t']], True)
        values = ', '.join(ctx.val(ops[x], g['t']) for x in args)
        call = 'atom_%s<%s>(%s, %s)' % (op, ctx.ctype(g['t']), where, values)
        return ctx.put(ops['d'], call) if 'd' in ops else call + ';'
    return code


for _op, _types in _OPS:
    row('atom %s .%s t=%s' % (_SEM, _op, _types), 'd a b', _atom(_op, 'b'))
    row('red %s .%s t=%s' % (_SEM, _op, _types), 'a b', _atom(_op, 'b'))
row('atom %s .cas t=b16|b32|b64' % _SEM, 'd a b c', _atom('cas', 'bc'))
for _ins, _args in (('atom', 'd a b'), ('red', 'a b')):
    row('%s %s .add .noftz t=f16|bf16|f16x2|bf16x2' % (_ins, _SEM), _args, _atom('add', 'b'))


# ---- cp.async ------------------------------------------------------------------------------------------------------
def _cp_async(ctx, g, ops):
    size = ops['n'].value
    if size not in ((16,) if g['c'] == 'cg' else (4, 8, 16)):
        raise PtxError('copy of %d bytes' % size)
    to = ctx.address(ops['a'], 'shared', size, True)
    src = ops.get('m')
    live = ctx.val(src, 'u32') if src is not None else str(size)
    return 'cp_async<%d>(%s, %s, %s, %s);' % (size, to, ctx.address_value(ops['b']), live, ctx.site())


row('cp .async c=ca|cg s1=shared::cta.global|shared.global pf=L2::64B|L2::128B|L2::256B?', 'a b n m?', _cp_async)
row('cp .async .commit_group', '', 'cp_commit()')
row('cp .async .wait_group', 'n:u32', 'cp_wait({n})')
row('cp .async .wait_all', '', 'cp_wait_all()')
row('prefetch s=global|local? level=L1|L2', 'a:b64', '(void)0')
row('prefetchu .L1', 'a:b64', '(void)0')
row('discard s=global? .L2', 'a:b64 n:u32', '(void)0')
