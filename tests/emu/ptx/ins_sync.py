# SPDX-License-Identifier: MIT
"""What threads do together: barriers, warp collectives, matrix instructions; and control that is no branch."""
from . import tree
from .lex import PtxError
from .table import pair, row, rows

# ---- barriers ------------------------------------------------------------------------------------------------------
for _b, _aligned in (('bar', 'true'), ('bar .cta', 'true'), ('barrier', None), ('barrier .cta', None)):
    _pre = _b if _aligned else _b
    for _al in ((('', 'true'),) if _aligned else ((' .aligned', 'true'), ('', 'false'))):
        row('%s .sync%s' % (_pre, _al[0]), 'a:u32 b:u32?',
            lambda ctx, g, ops, al=_al[1]: 'bar_sync(%s, %s, %s, %s);' % (
                ctx.val(ops['a'], 'u32'), ctx.val(ops['b'], 'u32') if 'b' in ops else '0', al, ctx.site()))
        row('%s .arrive%s' % (_pre, _al[0]), 'a:u32 b:u32', 'bar_arrive({a}, {b}, %s, {site})' % _al[1])
        for _red in ('popc', 'and', 'or'):
            _t = 'u32' if _red == 'popc' else 'pred'
            row('%s .red .%s%s .%s' % (_pre, _red, _al[0], _t), 'd:%s a:u32 p:pred' % _t,
                'bar_red_%s({a}, 0, {p}, %s, {site})' % (_red, _al[1]))
            row('%s .red .%s%s .%s' % (_pre, _red, _al[0], _t), 'd:%s a:u32 b:u32 p:pred' % _t,
                'bar_red_%s({a}, {b}, {p}, %s, {site})' % (_red, _al[1]))
row('bar .warp .sync', 'a:u32', 'warp_sync({a}, {site})')
row('barrier .warp .sync', 'a:u32', 'warp_sync({a}, {site})')
row('membar s=cta|gl|sys', '', 'fence()')
row('fence sem=sc|acq_rel|acquire|release? scope=cta|cluster|gpu|sys', '', 'fence()')
row('nanosleep .u32', 'a:u32', 'yield()')
rows('trap brkpt', '', '', 'trap({site})')
row('exit', '', 'thread_exit()')

# ---- warp collectives ----------------------------------------------------------------------------------------------


def _shfl(ctx, g, ops):
    call = 'shfl_%s(%s, %s, %s, %s, @, %s)' % (g['mode'], ctx.val(ops['a'], 'b32'), ctx.val(ops['b'], 'u32'),
                                               ctx.val(ops['c'], 'u32'), ctx.val(ops['m'], 'u32'), ctx.site())
    return pair(ctx, ops['d'], call)


row('shfl .sync mode=up|down|bfly|idx .b32', 'd a b c m', _shfl)
row('vote .sync mode=any|all|uni .pred', 'd:pred p:pred m:u32', 'vote_{mode}({p}, {m}, {site})')
row('vote .sync .ballot .b32', 'd:b32 p:pred m:u32', 'vote_ballot({p}, {m}, {site})')
row('activemask .b32', 'd:b32', 'active_mask()')
row('match .any .sync t=b32|b64', 'd:b32 a m:u32', 'match_any({a}, {m}, {site})')
row('match .all .sync t=b32|b64', 'd|p:b32 a m:u32', 'match_all({a}, {m}, @, {site})')
row('redux .sync op=add|min|max t=u32|s32', 'd a m:u32', 'redux_{op}({a}, {m}, {site})')
row('redux .sync op=and|or|xor t=b32', 'd a m:u32', 'redux_{op}({a}, {m}, {site})')

# ---- matrices ------------------------------------------------------------------------------------------------------


def _regs(ctx, vec, n, kind):
    if not isinstance(vec, tree.Vec) or len(vec.items) != n:
        raise PtxError('expected %d registers' % n)
    return '{%s}' % ', '.join(ctx.val(x, kind) for x in vec.items)


def _ldmatrix(ctx, g, ops):
    n = int(g['num'][1:])
    where = 'row_pointer<%d>(%s, %s)' % (
        n, ctx.address_value(ops['a']), ctx.site())
    regs = ops['d'].items if isinstance(ops['d'], tree.Vec) else [ops['d']]
    if len(regs) != n:
        raise PtxError('expected %d registers' % n)
    puts = ' '.join(ctx.put(x, 'r_[%d]' % i) for i, x in enumerate(regs))
    return '{ uint32_t r_[%d]; ldmatrix<%d, %s>(r_, %s, %s); %s }' % (n, n, g['trans'], where, ctx.site(), puts)


for _ss in ('shared', 'shared::cta'):
    row('ldmatrix .sync .aligned .m8n8 num=x1|x2|x4 .trans? .%s .b16' % _ss, 'd a', _ldmatrix)

# shape, type, registers of a and b; d and c have four of f32
_MMA = (('m16n8k16', 'bf16', 4, 2), ('m16n8k8', 'bf16', 2, 1), ('m16n8k16', 'f16', 4, 2), ('m16n8k8', 'f16', 2, 1),
        ('m16n8k8', 'tf32', 4, 2), ('m16n8k4', 'tf32', 2, 1))


def _mma(k, kind, na, nb):
    def code(ctx, g, ops):
        puts = ' '.join(ctx.put(x, 'd_[%d]' % i) for i, x in enumerate(ops['d'].items))
        return ('{ const uint32_t a_[] = %s, b_[] = %s; const float c_[] = %s; float d_[4]; mma<%d, mma_%s>(d_, a_, b_, c_, '
                '%s); %s }') % (_regs(ctx, ops['a'], na, 'b32'), _regs(ctx, ops['b'], nb, 'b32'),
                                _regs(ctx, ops['c'], 4, 'f32'), k, kind, ctx.site(), puts)
    return code


for _shape, _kind, _na, _nb in _MMA:
    row('mma .sync .aligned .%s .row .col .f32 .%s .%s .f32' % (_shape, _kind, _kind), 'd a b c',
        _mma(int(_shape.split('k')[1]), _kind, _na, _nb))
