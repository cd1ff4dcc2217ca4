# SPDX-License-Identifier: MIT
"""Integer arithmetic, logic, shifts, comparison and selection."""
from . import tree
from .table import row, rows

I16, I32, I64 = 'u16|s16', 'u32|s32', 'u64|s64'
INT = '|'.join((I16, I32, I64))
WIDE = {'u16': 'u32', 's16': 's32', 'u32': 'u64', 's32': 's64'}
BITS = 'b16|b32|b64'

# ---- arithmetic ----------------------------------------------------------------------------------------------------
rows('add sub', 't=' + INT, 'd a b', 'i{op}({a}, {b})')
rows('add sub', '.sat t=s32', 'd a b', 'i{op}_sat({a}, {b})')
rows('add sub', '.cc t=%s|%s' % (I32, I64), 'd a b', 'i{op}_cc<{t}>({a}, {b}, false, CC)')
rows('addc subc', '.cc? t=%s|%s' % (I32, I64), 'd a b', 'i{op}<{t}, {cc}>({a}, {b}, CC)')
row('mul .lo t=' + INT, 'd a b', 'imul({a}, {b})')
row('mul .hi t=' + INT, 'd a b', 'imul_hi({a}, {b})')
row('mad .lo t=' + INT, 'd a b c', 'imad({a}, {b}, {c})')
row('mad .hi t=' + INT, 'd a b c', 'iadd(imul_hi({a}, {b}), {c})')
row('mad .hi .sat t=s32', 'd a b c', 'iadd_sat(imul_hi({a}, {b}), {c})')
row('mad .lo .cc t=%s|%s' % (I32, I64), 'd a b c', 'iadd_cc<{t}>(imul({a}, {b}), {c}, false, CC)')
row('mad .hi .cc t=%s|%s' % (I32, I64), 'd a b c', 'iadd_cc<{t}>(imul_hi({a}, {b}), {c}, false, CC)')
row('madc .lo .cc? t=%s|%s' % (I32, I64), 'd a b c', 'iaddc<{t}, {cc}>(imul({a}, {b}), {c}, CC)')
row('madc .hi .cc? t=%s|%s' % (I32, I64), 'd a b c', 'iaddc<{t}, {cc}>(imul_hi({a}, {b}), {c}, CC)')
for _t, _w in WIDE.items():
    row('mul .wide t=' + _t, 'd a b', 'imul_wide({a}, {b})')
    row('mad .wide t=' + _t, 'd a b c:' + _w, 'iadd(imul_wide({a}, {b}), {c})')
row('mul24 part=lo|hi t=' + I32, 'd a b', 'imul24_{part}({a}, {b})')
row('mad24 part=lo|hi t=' + I32, 'd a b c', 'iadd(imul24_{part}({a}, {b}), {c})')
row('sad t=' + INT, 'd a b c', 'isad({a}, {b}, {c})')
row('div t=' + INT, 'd a b', 'idiv({a}, {b})')
row('rem t=' + INT, 'd a b', 'irem({a}, {b})')
rows('abs neg', 't=s16|s32|s64', 'd a', 'i{op}({a})')
rows('min max', 't=' + INT, 'd a b', 'i{op}({a}, {b})')
rows('popc clz', 't=b32|b64', 'd a', '{op}({a})')
row('bfind .shiftamt? t=%s|%s' % (I32, I64), 'd a', 'bfind<{shiftamt}>({a})')
row('brev t=b32|b64', 'd a', 'brev({a})')
row('bfe t=%s|%s' % (I32, I64), 'd a b:u32 c:u32', 'bfe({a}, {b}, {c})')
row('bfi t=b32|b64', 'd a b c:u32 e:u32', 'bfi({a}, {b}, {c}, {e})')
row('dp4a at=%s bt=%s' % (I32, I32), 'd:b32 a:at b:bt c:b32', 'dp4a({a}, {b}, {c})')
row('dp2a part=lo|hi at=%s bt=%s' % (I32, I32), 'd:b32 a:at b:bt c:b32', 'dp2a_{part}({a}, {b}, {c})')

# ---- logic and shifts ----------------------------------------------------------------------------------------------
for _op, _c in (('and', '&'), ('or', '|'), ('xor', '^')):
    row(_op + ' t=pred|' + BITS, 'd a b', '({t})({a} %s {b})' % _c)
row('not t=' + BITS, 'd a', '({t})~{a}')
row('not .pred', 'd:pred a:pred', '!{a}')
row('cnot t=' + BITS, 'd a', '({t})({a} == 0)')
row('lop3 .b32', 'd:b32 a:b32 b:b32 c:b32 e:u32', 'lop3({a}, {b}, {c}, {e})')
row('shf dir=l|r mode=clamp|wrap .b32', 'd:b32 a:b32 b:b32 c:u32', 'shf_{dir}_{mode}({a}, {b}, {c})')
row('shl t=' + BITS, 'd a b:u32', 'shl({a}, {b})')
row('shr t=%s|%s' % (BITS, INT), 'd a b:u32', 'shr({a}, {b})')
row('prmt .b32', 'd:b32 a:b32 b:b32 c:u32', 'prmt({a}, {b}, {c})')
row('prmt .b32 mode=f4e|b4e|rc8|ecl|ecr|rc16', 'd:b32 a:b32 b:b32 c:u32', 'prmt_{mode}({a}, {b}, {c})')


def _lop3_bool(ctx, g, ops):
    value = 'lop3(%s)' % ', '.join([ctx.val(ops[k], 'b32') for k in 'abc'] + [ctx.val(ops['e'], 'u32')])
    op = {'or': '||', 'and': '&&'}[g['bop']]
    return '{ const uint32_t v_ = %s; const bool q_ = v_ != 0 %s %s; %s %s }' % (
        value, op, ctx.val(ops['q'], 'pred'), ctx.put(ops['d'].first, 'v_'), ctx.put(ops['d'].second, 'q_'))


row('lop3 bop=or|and .b32', 'd a b c e q', _lop3_bool)

# ---- comparison and selection --------------------------------------------------------------------------------------
_CMP = 'cmp=eq|ne|lt|le|gt|ge|lo|ls|hi|hs|equ|neu|ltu|leu|gtu|geu|num|nan'
_CMP_TYPES = '%s|%s|f32|f64|f16|bf16' % (BITS, INT)


def _setp(ctx, g, ops):
    """p = cmp(a, b) bop c; q = !cmp(a, b) bop c"""
    expr = 'cmp_%s<%s>(%s, %s)' % (g['cmp'], g['ftz'], ctx.val(ops['a'], g['t']), ctx.val(ops['b'], g['t']))
    tail = ''
    if 'bop' in g:
        tail = ' %s %s' % ({'and': '&', 'or': '|', 'xor': '^'}[g['bop']], ctx.val(ops['c'], 'pred'))
    d = ops['d']
    first, second = (d.first, d.second) if isinstance(d, tree.Pair) else (d, None)
    if not second:
        return ctx.put(first, '(bool)(%s%s)' % (expr, tail))
    return '{ const bool c_ = %s; const bool p_ = c_%s, q_ = !c_%s; %s %s }' % (
        expr, tail, tail, ctx.put(first, 'p_'), ctx.put(second, 'q_'))


def _setp_x2(ctx, g, ops):
    call = 'cmp2_%s<%s>(%s, %s, %%d)' % (g['cmp'], g['ftz'], ctx.val(ops['a'], g['t']), ctx.val(ops['b'], g['t']))
    return '{ const bool p_ = %s, q_ = %s; %s %s }' % (call % 0, call % 1, ctx.put(ops['d'].first, 'p_'),
                                                       ctx.put(ops['d'].second, 'q_'))


row('setp %s .ftz? t=%s' % (_CMP, _CMP_TYPES), 'd a b', _setp)
row('setp %s bop=and|or|xor .ftz? t=%s' % (_CMP, _CMP_TYPES), 'd a b c', _setp)
row('setp %s .ftz? t=f16x2|bf16x2' % _CMP, 'd a b', _setp_x2)
row('set %s .ftz? dt=u32|s32|f32|u16|s16|f16|bf16 t=%s' % (_CMP, _CMP_TYPES), 'd:dt a b',
    'set_result<{dt}>(cmp_{cmp}<{ftz}>({a}, {b}))')
row('set %s .ftz? dt=f16x2|bf16x2|u32|s32 t=f16x2|bf16x2' % _CMP, 'd:dt a b',
    'set_result2<{dt}>(cmp2_{cmp}<{ftz}>({a}, {b}, 0), cmp2_{cmp}<{ftz}>({a}, {b}, 1))')
row('selp t=%s|%s|f32|f64' % (BITS, INT), 'd a b c:pred', '{c} ? {a} : {b}')
row('slct .ftz? t=%s|%s|f32|f64 ct=s32|f32' % (BITS, INT), 'd a b c:ct', '{c} >= 0 ? {a} : {b}')
