# SPDX-License-Identifier: MIT
"""Floating point arithmetic and every conversion."""
from .table import row, rows

INT = 'u8|s8|u16|s16|u32|s32|u64|s64'
HALF = 'f16|bf16|f16x2|bf16x2'
RND = 'rnd=rn|rz|rm|rp'

# ---- arithmetic ----------------------------------------------------------------------------------------------------
rows('add sub mul', RND + '?rn .ftz? .sat? t=f32', 'd a b', 'fp_{op}<{rnd}, {ftz}, {sat}>({a}, {b})')
rows('add sub mul', RND + '?rn t=f64', 'd a b', 'fp_{op}<{rnd}, false, false>({a}, {b})')
rows('fma mad', RND + ' .ftz? .sat? t=f32', 'd a b c', 'fp_fma<{rnd}, {ftz}, {sat}>({a}, {b}, {c})')
rows('fma mad', RND + ' t=f64', 'd a b c', 'fp_fma<{rnd}, false, false>({a}, {b}, {c})')
row('div ' + RND + ' .ftz? t=f32|f64', 'd a b', 'fp_div<{rnd}, {ftz}>({a}, {b})')
row('div mode=approx|full .ftz? t=f32', 'd a b', 'fp_div<rn, {ftz}>({a}, {b})')
row('rcp ' + RND + ' .ftz? t=f32|f64', 'd a', 'fp_div<{rnd}, {ftz}>({t}(1), {a})')
row('rcp .approx .ftz? t=f32', 'd a', 'fp_div<rn, {ftz}>({t}(1), {a})')
row('rcp .approx .ftz t=f64', 'd a', 'rcp_approx_f64({a})')
row('sqrt ' + RND + ' .ftz? t=f32|f64', 'd a', 'fp_sqrt<{rnd}, {ftz}>({a})')
row('sqrt .approx .ftz? t=f32', 'd a', 'fp_sqrt<rn, {ftz}>({a})')
row('rsqrt .approx .ftz? t=f32|f64', 'd a', 'fp_rsqrt<{ftz}>({a})')
rows('sin cos lg2 ex2', '.approx .ftz? t=f32', 'd a', 'fp_{op}<{ftz}>({a})')
row('tanh .approx t=f32', 'd a', 'fp_tanh<false>({a})')
rows('ex2', '.approx .ftz? t=' + HALF, 'd a', 'half_map({a}, fp_ex2<false>)')
rows('tanh', '.approx t=' + HALF, 'd a', 'half_map({a}, fp_tanh<false>)')
rows('min max', '.ftz? .NaN? .xorsign.abs? t=f32', 'd a b', 'fp_{op}<{ftz}, {NaN}, {xorsign_abs}>({a}, {b})')
rows('min max', 't=f64', 'd a b', 'fp_{op}<false, false, false>({a}, {b})')
rows('min max', '.ftz? .NaN? .xorsign.abs? t=' + HALF, 'd a b', 'half_{op}<{NaN}, {xorsign_abs}>({a}, {b})')
rows('abs neg', '.ftz? t=f32|f64', 'd a', 'fp_{op}<{ftz}>({a})')
rows('abs neg', '.ftz? t=' + HALF, 'd a', 'half_{op}({a})')
row('copysign t=f32|f64', 'd a b', 'fp_copysign({a}, {b})')
row('testp what=finite|infinite|number|notanumber|normal|subnormal t=f32|f64', 'd:pred a', 'testp_{what}({a})')
rows('add sub mul', '.rn? .ftz? .sat? t=' + HALF, 'd a b', 'half_{op}<{sat}>({a}, {b})')
row('fma .rn .ftz? .sat? .relu? t=' + HALF, 'd a b c', 'half_fma<{sat}, {relu}>({a}, {b}, {c})')

# ---- conversion ----------------------------------------------------------------------------------------------------
_TO_INT = 'rnd=rni|rzi|rmi|rpi'
row('cvt .sat? dt=%s st=%s' % (INT, INT), 'd:dt a:st', 'cvt_int<{dt}, {sat}>({a})')
row('cvt %s .ftz? .sat? dt=%s st=f16|bf16|f32|f64' % (_TO_INT, INT), 'd:dt a:st', 'cvt_to_int<{dt}, {rnd}, {ftz}>({a})')
row('cvt %s .sat? dt=f16|bf16|f32|f64 st=%s' % (RND, INT), 'd:dt a:st', 'cvt_from_int<{dt}, {rnd}, {sat}>({a})')
row('cvt %s|rni|rzi|rmi|rpi?rn .ftz? .sat? dt=f16|f32|f64 st=f16|bf16|f32|f64' % RND, 'd:dt a:st',
    'cvt_float<{dt}, {rnd}, {ftz}, {sat}>({a})')
row('cvt rnd=rn|rz .relu? .satfinite? dt=f16|bf16 st=f32', 'd:dt a:st', 'cvt_half<{dt}, {rnd}, {relu}, {satfinite}>({a})')
row('cvt rnd=rn|rz|rm|rp .relu? dt=bf16 st=f16|f64', 'd:dt a:st', 'cvt_half<{dt}, {rnd}, {relu}, false>({a})')
row('cvt rnd=rni|rzi|rmi|rpi dt=bf16 st=bf16', 'd:dt a:st', 'cvt_float<{dt}, {rnd}, false, false>({a})')
row('cvt rnd=rn|rz .relu? .satfinite? dt=f16x2|bf16x2 st=f32', 'd:dt a:st b:st',
    'cvt_pack2<{dt}, {rnd}, {relu}, {satfinite}>({a}, {b})')
row('cvt rnd=rn|rz|rna .relu? .satfinite? .tf32 .f32', 'd:b32 a:f32', 'cvt_tf32<{rnd}, {relu}, {satfinite}>({a})')
row('cvt .pack .sat dt=u8|s8|u16|s16 .s32', 'd:b32 a:s32 b:s32', 'cvt_pack_int<{dt}>({a}, {b}, 0)')
row('cvt .pack .sat dt=u8|s8 .s32 .b32', 'd:b32 a:s32 b:s32 c:b32', 'cvt_pack_int<{dt}>({a}, {b}, {c})')
