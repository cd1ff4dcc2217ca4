// SPDX-License-Identifier: MIT
// mma.sync and ldmatrix. The layouts of fragments are those of the PTX manual, section "Matrix multiply-accumulate
// operation using mma instruction".
//
// EMU_MMA=exact: products are exact; c and the products are added in double in the order of k; one rounding to float.
//
// EMU_MMA=truncate: products are exact; a number of them (config.h) and the accumulator are cut off, towards zero, at a
// few bits below the last bit of the largest, added exactly, and cut to 24 bits; then the next ones.
#include <algorithm>

#include "collective.h"
#include "config.h"
#include "number.h"
#include "report.h"
#include "tiles.h"
#include "warp.h"

namespace emu
{

double element(uint32_t reg, int half, int type)
{
    const uint16_t bits = static_cast<uint16_t>(reg >> 16 * half);
    return type == mma_bf16 ? to_double(bf16{bits}) : to_double(f16{bits});
}

namespace
{

enum { M = TILE_M, N = TILE_N, MAX_K = TILE_K };

double tf32(uint32_t reg) { return as<float>(reg & ~0x1fffu); } // the low 13 bits are not looked at

// g: row of 4 lanes, t: lane in it, as in the manual's formulas.
void gather(Tiles &x, Share *const *s, int k, int type)
{
    for (int lane = 0; lane < 32; lane++) {
        const Share &l = *s[lane];
        const int g = lane >> 2, t = lane & 3;
        if (type == mma_tf32) {
            for (int i = 0; i < k / 2; i++) x.a[g + (i & 1) * 8][t + (i >> 1) * 4] = tf32(l.ra[i]);
            for (int i = 0; i < k / 4; i++) x.b[t + i * 4][g] = tf32(l.rb[i]);
        } else {
            for (int i = 0; i < k / 2; i++)
                x.a[g + (i >> 1 & 1) * 8][t * 2 + (i & 1) + (i >> 2) * 8] = element(l.ra[i / 2], i & 1, type);
            for (int i = 0; i < k / 4; i++) x.b[t * 2 + (i & 1) + (i >> 1) * 8][g] = element(l.rb[i / 2], i & 1, type);
        }
        for (int i = 0; i < 4; i++) x.c[g + (i >> 1) * 8][t * 2 + (i & 1)] = l.rc[i];
    }
}

void scatter(const Tiles &x, Share *const *s)
{
    for (int lane = 0; lane < 32; lane++)
        for (int i = 0; i < 4; i++) s[lane]->rd[i] = x.d[(lane >> 2) + (i >> 1) * 8][(lane & 3) * 2 + (i & 1)];
}

float canonical(float x) { return x != x ? canonical_nan(x) : x; }

void multiply_exact(Tiles &x, int k)
{
    for (int i = 0; i < M; i++) {
        double sum[N];
        for (int j = 0; j < N; j++) sum[j] = x.c[i][j];
        for (int l = 0; l < k; l++)
            for (int j = 0; j < N; j++) sum[j] += x.a[i][l] * x.b[l][j];
        for (int j = 0; j < N; j++) x.d[i][j] = canonical(static_cast<float>(sum[j]));
    }
}

// |e| < 1023; ldexp would be a sixth of the time.
double power_of_two(int e) { return as<double>(static_cast<uint64_t>(1023 + e) << 52); }

// The exponent of a finite number, -1023 for zero.
int exponent(double x) { return static_cast<int>(as<uint64_t>(x) >> 52 & 2047) - 1023; }

// terms[0] is the accumulator.
float add_truncating(const double *terms, int n, int extra_bits)
{
    int top = -1023;
    double plain = 0;
    for (int i = 0; i < n; i++) {
        plain += terms[i];
        top = std::max(top, exponent(terms[i]));
    }
    if (!isfinite(plain)) return canonical(static_cast<float>(plain));
    if (top == -1023) return static_cast<float>(plain);
    const int last = top - 23 - extra_bits;
    const double up = power_of_two(-last); // |last| < 350: products of floats
    int64_t sum = 0;
    for (int i = 0; i < n; i++) sum += static_cast<int64_t>(terms[i] * up);
    const double x = round_bits(static_cast<double>(sum) * power_of_two(last), 24, -126, rz);
    return static_cast<float>(x);
}

void multiply_truncating(Tiles &x, int k, int type)
{
    const Device &dev = config().device;
    const int step = std::min(k, type == mma_tf32 ? dev.mma_terms / 2 : dev.mma_terms);
    for (int i = 0; i < M; i++)
        for (int j = 0; j < N; j++) {
            float acc = x.c[i][j];
            for (int l = 0; l < k; l += step) {
                double terms[MAX_K + 1];
                terms[0] = acc;
                for (int m = 0; m < step; m++) terms[1 + m] = x.a[i][l + m] * x.b[l + m][j];
                acc = add_truncating(terms, step + 1, dev.mma_extra_bits);
            }
            x.d[i][j] = acc;
        }
}

void compute_mma(Share *const *s, uint32_t)
{
    Tiles x;
    const int k = s[0]->n, type = s[0]->type;
    gather(x, s, k, type);
    multiply(x, k, type);
    scatter(x, s);
    counts.mma++;
}

// ---- ldmatrix ------------------------------------------------------------------------------------------------------

// Eight rows of 16 bytes: each goes through 4 of the 32 banks. Equal addresses are read once.
void count_conflicts(Share *const *s, int first)
{
    uint32_t passes = 1;
    for (uint32_t bank = 0; bank < 8; bank++) {
        uint32_t seen[8], n = 0;
        for (int r = 0; r < 8; r++) {
            const uint32_t addr = s[first + r]->addr;
            if (addr / 16 % 8 == bank && std::find(seen, seen + n, addr) == seen + n) seen[n++] = addr;
        }
        passes = std::max(passes, n);
    }
    counts.ldmatrix_phases++;
    counts.ldmatrix_conflicts += passes - 1;
}

uint32_t half_at(const Share &row, int column) { return row.row[column / 2] >> 16 * (column & 1) & 0xffff; }

void compute_ldmatrix(Share *const *s, uint32_t)
{
    for (int m = 0; m < s[0]->n; m++) {
        count_conflicts(s, m * 8);
        Share *const *rows = s + m * 8;
        for (int lane = 0; lane < 32; lane++) {
            const int g = lane >> 2, t = lane & 3;
            s[lane]->regs[m] = s[0]->trans ? half_at(*rows[2 * t], g) | half_at(*rows[2 * t + 1], g) << 16
                                           : rows[g]->row[t];
        }
    }
}

void need_full_warp(const Site *site)
{
    if (grid.n_threads - self->warp * 32 < 32) fail(site, "the warp has fewer than 32 threads");
}

} // namespace

void multiply(Tiles &x, int k, int type)
{
    if (config().truncate) multiply_truncating(x, k, type);
    else multiply_exact(x, k);
}

void mma_sync(MmaType type, int k, float *d, const uint32_t *a, const uint32_t *b, const float *c, const Site *site)
{
    need_full_warp(site);
    Share s = {};
    s.compute = compute_mma;
    s.n = k, s.type = type;
    s.ra = a, s.rb = b, s.rc = c, s.rd = d;
    meet(~0u, s, true, false, site);
}

void ldmatrix_sync(int n, bool trans, uint32_t *regs, uint32_t addr, const uint32_t *row, const Site *site)
{
    need_full_warp(site);
    Share s = {};
    s.compute = compute_ldmatrix;
    s.n = n, s.trans = trans, s.regs = regs, s.addr = addr;
    std::copy(row, row + 4, s.row);
    meet(~0u, s, true, false, site);
}

void count_copy(uint32_t bytes) { counts.copies++, counts.copied_bytes += bytes; }

} // namespace emu
