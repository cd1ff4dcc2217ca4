/* SPDX-License-Identifier: MIT
 * Faults of the random numbers: what a misreading of the launch, of the generator or of the transform would give. */
#include <math.h>
#include <stdlib.h>

#include "kernels/philox.h"
#include "kernels/ref/ref.h"
#include "tests/checkkernel/check.h"
#include "tests/checkkernel/mutants.h"

typedef enum fault {
    FIRST_WORD,
    WORDS_IN_A_ROW,
    BLOCK_PER_TURN,
    ONE_BLOCK,
    NEXT_BLOCK,
    SINE_COSINE,
    SINE_ONLY,
    U_IN_PLACE_OF_V,
    NO_HALF,
    ONE_MINUS_U,
    STEP_ZERO,
    STRIDE_ZERO,
    WORDS_FOR_BLOCKS,
    FIRST_IGNORED,
    FIRST_STREAM,
    SHORT_SEED,
    SHORT_COUNTER,
    SHORT_ELEMENT,
    OWN_LAUNCH,
    HALVES_SWAPPED,
    LAST_MISSING
} fault;

/* Threads and turn of the element, the words of its block. */
static uint64_t words_of(const dd_noise_args *a, const dd_noise_stream *s, int64_t i, int32_t step, uint32_t *word)
{
    const uint64_t offset = s->offset + (ck_fault == STEP_ZERO ? 0 : (uint64_t)step) * a->stride +
                            (ck_fault == STRIDE_ZERO && a->stride == 0 ? 4 : 0);
    const uint64_t threads = ck_fault == OWN_LAUNCH ? (uint64_t)(a->count + 255) / 256 * 256 : a->threads;
    const int64_t first = ck_fault == FIRST_IGNORED ? 0 : s->first;
    const uint64_t e = ck_fault == SHORT_ELEMENT ? (uint32_t)(first + i) : (uint64_t)(first + i);
    const uint64_t turn = ck_fault == WORDS_IN_A_ROW ? e % 4 : e / threads;
    const uint64_t thread = ck_fault == WORDS_IN_A_ROW ? e / 4 % threads : e % threads;
    uint64_t block = ck_fault == WORDS_FOR_BLOCKS ? offset : offset / 4, key = s->seed;
    if (ck_fault == BLOCK_PER_TURN) block += turn;
    else if (ck_fault != ONE_BLOCK) block += turn / 4 + (ck_fault == NEXT_BLOCK);
    if (ck_fault == SHORT_COUNTER) block = (uint32_t)block;
    if (ck_fault == SHORT_SEED) key = (uint32_t)key;
    if (ck_fault == HALVES_SWAPPED) dd_philox4x32(block, thread, key, word);
    else dd_philox4x32(thread, block, key, word);
    return turn;
}

static double normal_of(uint64_t turn, const uint32_t *word)
{
    const int pair = ck_fault == FIRST_WORD ? 0 : (int)(turn % 4 / 2 * 2);
    const uint32_t x = word[pair], y = word[pair + 1];
    double u = (double)dd_philox_u(x);
    if (ck_fault == NO_HALF) u = (double)(float)x * 0x1p-32;
    if (ck_fault == ONE_MINUS_U) u = 1 - u + 0x1p-33;
    const double v = (double)dd_philox_v(ck_fault == U_IN_PLACE_OF_V ? x : y), s = sqrt(-2 * log(u));
    const bool sine = ck_fault == SINE_ONLY || (turn % 2 == 0) != (ck_fault == SINE_COSINE);
    return s * (sine ? sin(v) : cos(v));
}

static dd_status noise(const dd_exec *e, const dd_noise_args *a)
{
    const int64_t n = a->b * a->count;
    for (int64_t i = 0; i < n - (ck_fault == LAST_MISSING); i++) {
        uint32_t word[4];
        const dd_noise_stream *s = &a->stream[ck_fault == FIRST_STREAM ? 0 : i / a->count];
        const uint64_t turn = words_of(a, s, i % a->count, *e->step, word);
        a->dst[i] = (float)normal_of(turn, word);
    }
    return DD_OK;
}

static const ck_mutant list[] = {
    CK_MUTANT(noise, "first two words only", FIRST_WORD),
    CK_MUTANT(noise, "four words for neighbours", WORDS_IN_A_ROW),
    CK_MUTANT(noise, "a block per turn", BLOCK_PER_TURN),
    CK_MUTANT(noise, "one block for all turns", ONE_BLOCK),
    CK_MUTANT(noise, "begins with the next block", NEXT_BLOCK),
    CK_MUTANT(noise, "sine and cosine swapped", SINE_COSINE),
    CK_MUTANT(noise, "sine for both", SINE_ONLY),
    CK_MUTANT(noise, "radius and angle of one word", U_IN_PLACE_OF_V),
    CK_MUTANT(noise, "u without the half", NO_HALF),
    CK_MUTANT(noise, "1 - u", ONE_MINUS_U),
    CK_MUTANT(noise, "offset of the first step", STEP_ZERO),
    CK_MUTANT(noise, "stride of 4 in place of none", STRIDE_ZERO),
    CK_MUTANT(noise, "offset counted in blocks", WORDS_FOR_BLOCKS),
    CK_MUTANT(noise, "first element ignored", FIRST_IGNORED),
    CK_MUTANT(noise, "first stream for all images", FIRST_STREAM),
    CK_MUTANT(noise, "32 bits of the seed", SHORT_SEED),
    CK_MUTANT(noise, "32 bits of the counter", SHORT_COUNTER),
    CK_MUTANT(noise, "32 bits of the element", SHORT_ELEMENT),
    CK_MUTANT(noise, "threads of its own launch", OWN_LAUNCH),
    CK_MUTANT(noise, "halves of the counter swapped", HALVES_SWAPPED),
    CK_MUTANT(noise, "last number missing", LAST_MISSING),
};

ck_mutants ck_mutants_noise(void) { return (ck_mutants){list, CK_COUNT(list)}; }
