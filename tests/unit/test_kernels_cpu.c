/* SPDX-License-Identifier: MIT
 * The GEMM of the CPU backend in float32, every instruction set that this machine has: what it promises beyond the
 * contract of ops.h, which checkkernel tests. */
#include "tests/unit/kernel_test.h"

/* Leaving out chunks of K equals zeros in their place, bit for bit: a zero times a finite weight adds nothing. */
static void sliced_equals_masked(void **state)
{
    (void)state;
    enum { M = 70, N = 104, K = 2 * 1152 + 72 };
    rnd r = rnd_open(5000);
    weight w = weight_pack(buf_random(&r, N * K, NORMAL), N, K, N);
    slices sk;
    for (dd_cpu_isa isa = DD_ISA_PORTABLE; isa <= dd_cpu_detect(); isa++)
        for (int how = SLICE_NONE; how <= SLICE_ALL; how++) {
            slices_set(&sk, (slicing)how, K, 8);
            const int active = 8 * sk.list[3];
            buf narrow = buf_random(&r, (size_t)(M * active), NORMAL), wide = buf_open(M * K);
            buf masked = buf_open(M * N), sliced = buf_open(M * N);
            memset(wide.p, 0, wide.n * sizeof(float));
            for (int i = 0; i < M; i++)
                for (int j = 0; j < active; j++)
                    wide.p[i * K + sk.list[4 + j / 8] * 8 + j % 8] = narrow.p[i * active + j];
            dd_gemm_args g = {.a = narrow.p, .w = w.cpu, .c = sliced.p, .lda = active, .ldc = N, .m = M, .k = sk.s};
            assert_int_equal(dd_cpu_ops(isa)->gemm(&runners[2].exec, &g), DD_OK);
            g.a = wide.p;
            g.lda = K;
            g.k = (dd_slices){0};
            g.c = masked.p;
            assert_int_equal(dd_cpu_ops(isa)->gemm(&runners[1].exec, &g), DD_OK);
            assert_same_bits(masked.p, sliced.p, sliced.n, "sliced and masked");
            buf_close(&narrow);
            buf_close(&wide);
            buf_close(&masked);
            buf_close(&sliced);
        }
    weight_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(sliced_equals_masked)};
    return cmocka_run_group_tests(tests, open_runners, close_runners);
}
