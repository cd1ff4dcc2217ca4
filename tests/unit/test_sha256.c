/* SPDX-License-Identifier: MIT
 * SHA-256 against the examples of FIPS 180-4 (csrc.nist.gov, SHA256.pdf and SHA2_Additional.pdf), whole and in pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/base/sha256.h"

static void assert_hash(const void *data, size_t n, size_t piece, const char *want)
{
    char text[DD_SHA256_TEXT];
    dd_sha256 s;
    dd_sha256_init(&s);
    for (size_t at = 0; at < n; at += piece)
        dd_sha256_add(&s, (const char *)data + at, piece < n - at ? piece : n - at);
    dd_sha256_text(&s, text);
    assert_string_equal(text, want);
}

static void examples(void **state)
{
    static const struct {
        const char *text, *hash;
    } cases[] = {
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t piece = 1; piece < 60; piece++)
            assert_hash(cases[i].text, strlen(cases[i].text), piece, cases[i].hash);
}

/* Lengths round the end of a block, and a long message. */
static void zeros_and_letters(void **state)
{
    static const struct {
        size_t n;
        int byte;
        const char *hash;
    } cases[] = {
        {55, 0, "02779466cdec163811d078815c633f21901413081449002f24aa3e80f0b88ef7"},
        {56, 0, "d4817aa5497628e7c77e6b606107042bbba3130888c5f47a375e6179be789fbb"},
        {57, 0, "65a16cb7861335d5ace3c60718b5052e44660726da4cd13bb745381b235a1785"},
        {64, 0, "f5a5fd42d16a20302798ef6ed309979b43003d2320d9f0e8ea9831a92759fb4b"},
        {1000, 0x41, "c2e686823489ced2017f6059b8b239318b6364f6dcd835d0a519105a1eadd6e4"},
        {1000000, 0x61, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *data = malloc(cases[i].n);
        assert_non_null(data);
        memset(data, cases[i].byte, cases[i].n);
        assert_hash(data, cases[i].n, cases[i].n, cases[i].hash);
        assert_hash(data, cases[i].n, 63, cases[i].hash);
        free(data);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(examples), cmocka_unit_test(zeros_and_letters)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
