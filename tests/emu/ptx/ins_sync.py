# SPDX-License-Identifier: MIT
"""What threads do together: barriers, warp collectives, matrix instructions; and control that is no branch."""
from . import tree
from .lex import PtxError
from .table import pair, row, rows

# ---- barriers ------------------------------------------------------------------------------------------------------
def _barriers(name, mark, aligned):
    """`mark`: how the form says whether a warp comes as one; bar always does. No second operand: the whole block."""
    row('%s .sync%s' % (name, mark), 'a:u32', 'bar_sync({a}, 0, %s, {site})' % aligned)
    row('%s .sync%s' % (name, mark), 'a:u32 b:u32', 'bar_sync({a}, {b}, %s, {site})' % aligned)
    row('%s .arrive%s' % (name, mark), 'a:u32 b:u32', 'bar_arrive({a}, {b}, %s, {site})' % aligned)
    for red, t in (('popc', 'u32'), ('and', 'pred'), ('or', 'pred')):
        form, call = '%s .red .%s%s .%s' % (name, red, mark, t), 'bar_red_%s({a}, %s, {p}, %s, {site})'
        row(form, 'd:%s a:u32 p:pred' % t, call % (red, '0', aligned))
        row(form, 'd:%s a:u32 b:u32 p:pred' % t, call % (red, '{b}', aligned))


for _cta in ('', ' .cta'):
    _barriers('bar' + _cta, '', 'true')
    _barriers('barrier' + _cta, ' .aligned', 'true')
    _barriers('barrier' + _cta, '', 'false')
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
    where = 'row_pointer<%d>(%s, %s)' % (n, ctx.address_value(ops['a']), ctx.site())
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

# ---- matrices of a warpgroup ---------------------------------------------------------------------------------------
row('fence .proxy .async ss=global|shared::cta|shared::cluster?', '', 'fence_proxy()')
row('wgmma .fence .sync .aligned', '', 'wgmma_fence({site})')
row('wgmma .commit_group .sync .aligned', '', 'wgmma_commit({site})')


def _accumulators(func):
    """Names of registers that may hold a result under way: those of wgmma, and copies of them."""
    found, copies, blocks = set(), [], [func.body]
    while blocks:
        for s in blocks.pop().body:
            if isinstance(s, tree.Block):
                blocks.append(s)
            elif isinstance(s, tree.Instr) and s.op.startswith('wgmma.mma_async'):
                found.update(x.text for x in s.args[0].items)
            elif isinstance(s, tree.Instr) and s.op in ('mov.f32', 'mov.b32', 'mov.u32') and isinstance(s.args[1], tree.Name):
                copies.append((s.args[0], s.args[1].text))
    size = -1
    while size != len(found):
        size = len(found)
        found.update(to.text for to, source in copies if source in found and isinstance(to, tree.Name))
    return sorted(found)


def _wgmma_wait(ctx, g, ops):
    if not hasattr(ctx.func, 'accumulators'):
        ctx.func.accumulators = _accumulators(ctx.func)
    names = [tree.Name(x) for x in ctx.func.accumulators if ctx.register(x)]  # in sight here
    puts = ' '.join(ctx.put(x, 'product_value(%s)' % ctx.val(x, 'f32')) for x in names)
    return '{ wgmma_wait(%s, %s); %s wgmma_waited(); }' % (ctx.val(ops['n'], 'u32'), ctx.site(), puts)


row('wgmma .wait_group .sync .aligned', 'n:u32', _wgmma_wait)


def _wgmma(ctx, g, ops):
    n = int(g['shape'].split('n')[1][:-3])
    if isinstance(ops['a'], tree.Vec):
        raise PtxError('an operand in registers is not supported')
    if [getattr(ops[x], 'value', None) for x in 'ijkl'] != [1, 1, 0, 0]:
        raise PtxError('operands that are negated or transposed are not supported')
    puts = ' '.join(ctx.put(x, 'd_[%d]' % i) for i, x in enumerate(ops['d'].items))
    return '{ float d_[] = %s; wgmma({%s, %s, %s, %d, mma_%s, %s}, d_); %s }' % (
        _regs(ctx, ops['d'], n // 2, 'f32'), ctx.site(), ctx.val(ops['a'], 'u64'), ctx.val(ops['b'], 'u64'), n, g['t'],
        ctx.val(ops['p'], 'pred'), puts)


for _kind in ('bf16', 'f16'):
    row('wgmma .mma_async .sync .aligned shape=%s .f32 t=%s .%s' % ('|'.join('m64n%dk16' % n for n in range(8, 257, 8)), _kind, _kind),
        'd a b p i j k l', _wgmma)
