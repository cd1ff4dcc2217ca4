/* SPDX-License-Identifier: MIT
 * What all fuzz targets share: inputs, mutations and a main. The including file is one target: it defines FUZZ_NAME,
 * FUZZ_TOKENS and FUZZ_SMALLEST before, and run_one, tokens, smallest and repair after. With -fsanitize=fuzzer it is an
 * ordinary libFuzzer target; with DD_FUZZ_MAIN, a program:
 *   fuzz_NAME FILE...                     runs each file once
 *   fuzz_NAME --mutate N SEED FILE...     runs N deterministic mutations of each */
#ifndef DD_TESTS_FUZZ_DRIVER_H
#define DD_TESTS_FUZZ_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct fuzz_token {
    const char *text;
    size_t n;
} fuzz_token;

#define FUZZ_TOKEN(text)      \
    {                         \
        text, sizeof text - 1 \
    }

/* True if a reader takes the bytes. */
static bool run_one(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds, const char *what)
{
    if (holds) return;
    fprintf(stderr, FUZZ_NAME ": broken promise: %s\n", what);
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    run_one(data, size);
    return 0;
}

#ifdef DD_FUZZ_MAIN

static const fuzz_token tokens[FUZZ_TOKENS];
static const char smallest[FUZZ_SMALLEST + 1]; /* what an empty input becomes */
/* Mends what nearly every change breaks, as far as it is worth it; the new size. */
static size_t repair(uint8_t *buf, size_t size);

#define MAX_BYTES (1u << 20)

static uint64_t rng_state;

/* splitmix64; below must be at least 1. */
static size_t draw(size_t below)
{
    uint64_t z = rng_state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (size_t)((z ^ (z >> 31)) % below);
}

/* Replaces `old` bytes at `at` by the n bytes of text. Room for them is the caller's care. */
static size_t splice(uint8_t *buf, size_t size, size_t at, size_t old, const void *text, size_t n)
{
    memmove(buf + at + n, buf + at + old, size - at - old);
    memcpy(buf + at, text, n);
    return size - old + n;
}

/* One change; returns the new size. buf has room for 64 more bytes per call. */
static size_t mutate(uint8_t *buf, size_t size)
{
    if (size == 0) return splice(buf, 0, 0, 0, smallest, sizeof smallest - 1);
    const size_t at = draw(size);
    uint8_t part[32];
    const fuzz_token *token;
    size_t n;
    switch (draw(8)) {
    case 0: buf[at] ^= (uint8_t)(1u << draw(8)); return size;
    case 1: buf[at] = (uint8_t)draw(256); return size;
    case 2: return at; /* cut off */
    case 3:
        token = &tokens[draw(sizeof tokens / sizeof *tokens)];
        return splice(buf, size, at, 0, token->text, token->n);
    case 4: /* overwrite a stretch by a token */
        token = &tokens[draw(sizeof tokens / sizeof *tokens)];
        n = draw(8);
        return splice(buf, size, at, n < size - at ? n : size - at, token->text, token->n);
    case 5: /* repeat a stretch elsewhere */
        n = 1 + draw(sizeof part);
        if (n > size - at) n = size - at;
        memcpy(part, buf + at, n);
        return splice(buf, size, draw(size + 1), 0, part, n);
    case 6: /* another digit */
        for (size_t i = at; i < size; i++) {
            if (buf[i] < '0' || buf[i] > '9') continue;
            buf[i] = (uint8_t)('0' + draw(10));
            break;
        }
        return size;
    default: memset(part, 0, sizeof part); return splice(buf, size, size, 0, part, 1 + draw(8));
    }
}

static void run_mutations(const char *name, const uint8_t *data, size_t size, long n, uint64_t seed)
{
    enum { CHANGES = 6, ROOM = 64 };
    uint8_t *buf = malloc(size + CHANGES * ROOM);
    require(buf, "memory for the mutations");
    long taken = 0;
    rng_state = seed;
    for (long k = 0; k < n; k++) {
        size_t now = size;
        memcpy(buf, data, size);
        for (size_t c = 1 + draw(CHANGES); c > 0; c--) now = mutate(buf, now);
        if (draw(4)) now = repair(buf, now);
        /* The exact bytes in a block of their own: the sanitizer then sees one byte too far. */
        uint8_t *exact = malloc(now + (now == 0));
        require(exact, "memory for an input");
        memcpy(exact, buf, now);
        taken += run_one(exact, now);
        free(exact);
    }
    free(buf);
    printf("%s: %ld mutations, %ld accepted\n", name, n, taken);
}

static uint8_t *load(const char *path, size_t *size)
{
    FILE *in = fopen(path, "rb");
    uint8_t *data = malloc(MAX_BYTES);
    if (!in || !data) {
        if (in) fclose(in);
        free(data);
        return NULL;
    }
    *size = fread(data, 1, MAX_BYTES, in);
    fclose(in);
    return data;
}

int main(int argc, char **argv)
{
    const bool mutating = argc > 4 && strcmp(argv[1], "--mutate") == 0;
    const long n = mutating ? strtol(argv[2], NULL, 10) : 0;
    const uint64_t seed = mutating ? strtoull(argv[3], NULL, 10) : 0;
    int i = mutating ? 4 : 1;
    if (i >= argc || (argv[i][0] == '-' && argv[i][1] == '-') || (mutating && n < 1)) {
        fprintf(stderr, "usage: " FUZZ_NAME " [--mutate N SEED] FILE...\n");
        return 2;
    }
    for (; i < argc; i++) {
        size_t size = 0;
        uint8_t *data = load(argv[i], &size);
        if (!data) {
            fprintf(stderr, FUZZ_NAME ": %s cannot be read\n", argv[i]);
            return 2;
        }
        if (mutating) run_mutations(argv[i], data, size, n, seed);
        else printf("%s: %s\n", argv[i], run_one(data, size) ? "accepted" : "refused");
        free(data);
    }
    return 0;
}

#endif

#endif
