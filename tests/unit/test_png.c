/* SPDX-License-Identifier: MIT
 * Unit tests of the PNG writer: what libpng reads back, chunk by chunk; same bytes every time; clean failures. */
#define _XOPEN_SOURCE 700
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <png.h>
#include <cmocka.h>

#include "host/io/png.h"
#include "tests/unit/scratch.h"

static int clear(void **state)
{
    (void)state;
    scratch_clear();
    return 0;
}

static uint32_t big_endian(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* The k-th chunk of this type, or NULL. */
static const unsigned char *chunk(const unsigned char *file, size_t n, const char *type, int k, size_t *length)
{
    for (size_t at = 8; at + 12 <= n;) {
        const size_t len = big_endian(file + at);
        assert_true(len <= n - at - 12);
        if (memcmp(file + at + 4, type, 4) == 0 && k-- == 0) {
            *length = len;
            return file + at + 8;
        }
        at += len + 12;
    }
    return NULL;
}

static void assert_pixels(const char *name, const uint8_t *pixels, int w, int h, int channels)
{
    png_image image = {.version = PNG_IMAGE_VERSION};
    assert_true(png_image_begin_read_from_file(&image, scratch(name)));
    assert_int_equal(image.width, w);
    assert_int_equal(image.height, h);
    assert_int_equal(image.format, channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB);
    const size_t n = (size_t)w * (size_t)h * (size_t)channels;
    uint8_t *back = malloc(n);
    assert_non_null(back);
    assert_true(png_image_finish_read(&image, NULL, back, 0, NULL));
    assert_memory_equal(back, pixels, n);
    free(back);
}

static void fill(uint8_t *pixels, size_t n)
{
    uint32_t x = 12345;
    for (size_t i = 0; i < n; i++) {
        x = x * 1664525u + 1013904223u;
        pixels[i] = (uint8_t)(x >> 24);
    }
}

static void pixels_survive(void **state)
{
    (void)state;
    static const int sizes[][3] = {{1, 1, 1}, {1, 1, 3}, {7, 5, 3}, {7, 5, 1}, {256, 3, 3}, {1, 300, 1}, {64, 64, 3}};
    static uint8_t pixels[64 * 64 * 3];
    fill(pixels, sizeof pixels);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const int *s = sizes[i];
        assert_int_equal(dd_png_write(scratch("p.png"), pixels, s[0], s[1], s[2], NULL, 0, NULL), DD_OK);
        assert_pixels("p.png", pixels, s[0], s[1], s[2]);
    }
    assert_int_equal(scratch_count(), 1);
}

static void header_is_as_promised(void **state)
{
    (void)state;
    const uint8_t pixels[2 * 3 * 3] = {0};
    size_t n, len;
    assert_int_equal(dd_png_write(scratch("p.png"), pixels, 2, 3, 3, NULL, 0, NULL), DD_OK);
    unsigned char *file = scratch_read("p.png", &n);
    const unsigned char *ihdr = chunk(file, n, "IHDR", 0, &len);
    static const unsigned char expected[13] = {0, 0, 0, 2, 0, 0, 0, 3, 8, 2, 0, 0, 0};
    assert_int_equal(len, 13);
    assert_memory_equal(ihdr, expected, 13);
    assert_null(chunk(file, n, "tIME", 0, &len));
    assert_null(chunk(file, n, "tEXt", 0, &len));
    assert_non_null(chunk(file, n, "IEND", 0, &len));
    free(file);
}

static void texts_are_written(void **state)
{
    (void)state;
    const uint8_t pixel = 9;
    const dd_png_text text[] = {
        {"Software", "dydit"}, {"parameters", "seed: 1\nlabel: caf\xc3\xa9"}, {"empty", ""}, {"Titel \xfc", "x"}};
    size_t n, len;
    assert_int_equal(dd_png_write(scratch("p.png"), &pixel, 1, 1, 1, text, 4, NULL), DD_OK);
    unsigned char *file = scratch_read("p.png", &n);
    const unsigned char *c = chunk(file, n, "tEXt", 0, &len);
    assert_int_equal(len, 14);
    assert_memory_equal(c, "Software\0dydit", 14);
    c = chunk(file, n, "tEXt", 1, &len);
    assert_int_equal(len, 6);
    assert_memory_equal(c, "empty", 6);
    c = chunk(file, n, "tEXt", 2, &len);
    assert_memory_equal(c, "Titel \xfc\0x", 9);
    /* keyword, NUL, not compressed, method 0, no language, no translated keyword, UTF-8 */
    c = chunk(file, n, "iTXt", 0, &len);
    static const char itxt[] = "parameters\0\0\0\0\0seed: 1\nlabel: caf\xc3\xa9";
    assert_non_null(c);
    assert_int_equal(len, sizeof itxt - 1);
    assert_memory_equal(c, itxt, len);
    free(file);
}

static void same_input_same_bytes(void **state)
{
    (void)state;
    static uint8_t pixels[32 * 32 * 3];
    fill(pixels, sizeof pixels);
    const dd_png_text text = {"seed", "7"};
    size_t n[2];
    assert_int_equal(dd_png_write(scratch("a.png"), pixels, 32, 32, 3, &text, 1, NULL), DD_OK);
    assert_int_equal(dd_png_write(scratch("b.png"), pixels, 32, 32, 3, &text, 1, NULL), DD_OK);
    unsigned char *a = scratch_read("a.png", &n[0]), *b = scratch_read("b.png", &n[1]);
    assert_int_equal(n[0], n[1]);
    assert_memory_equal(a, b, n[0]);
    free(a);
    free(b);
}

static void assert_refused(int w, int h, int channels, const dd_png_text *text, int n_text, const char *reason)
{
    static const uint8_t pixels[64] = {0};
    dd_err err = {0};
    const char *path = scratch("bad.png");
    assert_int_equal(dd_png_write(path, pixels, w, h, channels, text, n_text, &err), DD_ERR_ARG);
    assert_memory_equal(err.text, path, strlen(path));
    if (!strstr(err.text, reason)) fail_msg("\"%s\" does not say \"%s\"", err.text, reason);
    assert_int_equal(scratch_count(), 0);
}

static void bad_arguments_are_refused(void **state)
{
    (void)state;
    assert_refused(0, 1, 1, NULL, 0, "0 x 1");
    assert_refused(1, -1, 1, NULL, 0, "1 x -1");
    assert_refused(1000001, 1, 1, NULL, 0, "1000001");
    assert_refused(1, 1, 2, NULL, 0, "2 channels");
    assert_refused(1, 1, 4, NULL, 0, "4 channels");
    assert_refused(1, 1, 3, NULL, 1, "text chunks");
    char key[81];
    memset(key, 'k', 80);
    key[80] = '\0';
    const char *bad_keys[] = {"", key, " a", "a ", "a  b", "a\nb", "a\x80", NULL};
    for (size_t i = 0; i < sizeof bad_keys / sizeof *bad_keys; i++) {
        const dd_png_text text[] = {{"fine", "x"}, {bad_keys[i], "x"}};
        assert_refused(1, 1, 3, text, 2, "text chunk 1");
    }
    /* cut sequence, lone continuation, overlong, surrogate, beyond U+10FFFF, five bytes, Latin-1 */
    const char *bad_values[] = {
        "a\xc3",  "\x80",        "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "\xf8\x88\x80\x80\x80",
        "\xe4 x", "\xe0\x80\xaf"};
    for (size_t i = 0; i < sizeof bad_values / sizeof *bad_values; i++) {
        const dd_png_text text = {"label", bad_values[i]};
        assert_refused(1, 1, 3, &text, 1, "label is not valid UTF-8");
    }
    dd_err err = {0};
    assert_int_equal(dd_png_write("", (const uint8_t *)"x", 1, 1, 1, NULL, 0, &err), DD_ERR_ARG);
    assert_int_equal(dd_png_write("x.png", NULL, 1, 1, 1, NULL, 0, NULL), DD_ERR_ARG);
    assert_int_equal(access("x.png", F_OK), -1);
}

static void write_errors_are_reported(void **state)
{
    (void)state;
    static uint8_t pixels[256 * 256 * 3];
    fill(pixels, sizeof pixels); /* does not compress: fails while encoding; one pixel fails at the end */
    dd_err err = {0};
    assert_int_equal(dd_png_write(scratch("none/p.png"), pixels, 1, 1, 3, NULL, 0, &err), DD_ERR_IO);
    assert_non_null(strstr(err.text, "none/p.png"));
    if (access("/dev/full", W_OK) != 0) {
        print_message("# no /dev/full here\n");
        skip();
    }
    for (int w = 1; w <= 256; w += 255) {
        dd_err_clear(&err);
        assert_int_equal(dd_png_write("/dev/full", pixels, w, w, 3, NULL, 0, &err), DD_ERR_IO);
        assert_non_null(strstr(err.text, "/dev/full"));
        assert_non_null(strstr(err.text, strerror(ENOSPC)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(pixels_survive, clear),
        cmocka_unit_test_setup(header_is_as_promised, clear),
        cmocka_unit_test_setup(texts_are_written, clear),
        cmocka_unit_test_setup(same_input_same_bytes, clear),
        cmocka_unit_test_setup(bad_arguments_are_refused, clear),
        cmocka_unit_test_setup(write_errors_are_reported, clear),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
