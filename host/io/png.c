/* SPDX-License-Identifier: MIT
 * PNG encoder: libpng writing into a dd_outfile. libpng reports errors by longjmp; all state that must outlive a jump
 * is in one struct behind a pointer, so no local variable can be clobbered. */
#include "host/io/png.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

#include "host/base/str.h"
#include "host/io/outfile.h"

#define MAX_EXTENT 1000000 /* libpng's own default limit */
#define MAX_TEXTS 1024

typedef struct encoder {
    const char *path;
    const uint8_t *pixels;
    int w, h, channels;
    dd_outfile *file;
    png_structp png;
    png_infop info;
    png_text *texts;
    int n_texts;
    dd_err *err;
    dd_status status; /* why the jump was taken */
} encoder;

static bool is_ascii(const char *text)
{
    while (*text && (unsigned char)*text < 0x80) text++;
    return *text == '\0';
}

/* PNG 11.3.4.2: 1-79 printable Latin-1 characters, no blank at either end, no two in a row. */
static bool is_keyword(const char *key)
{
    const size_t n = strlen(key);
    if (n < 1 || n > 79 || key[0] == ' ' || key[n - 1] == ' ') return false;
    for (size_t i = 0; i < n; i++) {
        const unsigned char c = (unsigned char)key[i];
        if (c < 0x20 || (c > 0x7e && c < 0xa1)) return false;
        if (c == ' ' && key[i + 1] == ' ') return false;
    }
    return true;
}

static dd_status check(const char *path, const uint8_t *pixels, int w, int h, int channels, dd_err *err)
{
    if (!path || !*path) return DD_FAIL(err, DD_ERR_ARG, "the name of the output file is empty");
    if (w < 1 || h < 1 || w > MAX_EXTENT || h > MAX_EXTENT)
        return DD_FAIL(err, DD_ERR_ARG, "%s: a picture of %d x %d pixels cannot be written", path, w, h);
    if (channels != 1 && channels != 3)
        return DD_FAIL(err, DD_ERR_ARG, "%s: %d channels, expected 1 or 3", path, channels);
    if (!pixels) return DD_FAIL(err, DD_ERR_ARG, "%s: no pixels given", path);
    return DD_OK;
}

static dd_status set_texts(encoder *e, const dd_png_text *text, int n, dd_err *err)
{
    if (n < 0 || n > MAX_TEXTS || (n > 0 && !text))
        return DD_FAIL(err, DD_ERR_ARG, "%s: %d text chunks, expected 0 to %d", e->path, n, MAX_TEXTS);
    if (n == 0) return DD_OK;
    for (int i = 0; i < n; i++) {
        if (!text[i].key || !is_keyword(text[i].key))
            return DD_FAIL(err, DD_ERR_ARG, "%s: text chunk %d has no valid PNG keyword", e->path, i);
        if (!text[i].value || !dd_utf8_valid(text[i].value))
            return DD_FAIL(err, DD_ERR_ARG, "%s: text chunk %s is not valid UTF-8", e->path, text[i].key);
    }
    e->texts = calloc((size_t)n, sizeof *e->texts);
    if (!e->texts) return DD_FAIL(err, DD_ERR_NOMEM, "%s: out of memory", e->path);
    e->n_texts = n;
    for (int i = 0; i < n; i++) {
        const bool ascii = is_ascii(text[i].value);
        /* libpng takes pointers to non-const, but only reads. */
        e->texts[i].key = (char *)(uintptr_t)text[i].key;
        e->texts[i].text = (char *)(uintptr_t)text[i].value;
        e->texts[i].compression = ascii ? PNG_TEXT_COMPRESSION_NONE : PNG_ITXT_COMPRESSION_NONE;
        if (ascii) e->texts[i].text_length = strlen(text[i].value);
    }
    return DD_OK;
}

static void on_error(png_structp png, png_const_charp message)
{
    encoder *e = png_get_error_ptr(png);
    /* Write errors set the status before they come here and the arguments were checked: what is left is memory. */
    if (e->status == DD_OK) e->status = DD_FAIL(e->err, DD_ERR_NOMEM, "%s: PNG encoder: %s", e->path, message);
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp message)
{
    (void)png;
    (void)message;
}

static void on_write(png_structp png, png_bytep data, size_t n)
{
    encoder *e = png_get_io_ptr(png);
    e->status = dd_outfile_write(e->file, data, n, e->err);
    if (e->status != DD_OK) png_error(png, "write failed");
}

static void on_flush(png_structp png) { (void)png; /* dd_outfile_commit flushes */ }

/* Everything between setjmp and the end of the picture. No local variable is changed after setjmp. */
static dd_status encode(encoder *e)
{
    if (setjmp(png_jmpbuf(e->png))) return e->status;
    png_set_write_fn(e->png, e, on_write, on_flush);
    png_set_compression_level(e->png, 9);
    png_set_IHDR(e->png, e->info, (png_uint_32)e->w, (png_uint_32)e->h, 8,
                 e->channels == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    if (e->n_texts) png_set_text(e->png, e->info, e->texts, e->n_texts);
    png_write_info(e->png, e->info);
    const size_t stride = (size_t)e->w * (size_t)e->channels;
    for (int y = 0; y < e->h; y++) png_write_row(e->png, e->pixels + stride * (size_t)y);
    png_write_end(e->png, NULL);
    return DD_OK;
}

dd_status dd_png_write(const char *path, const uint8_t *pixels, int w, int h, int channels, const dd_png_text *text,
                       int n_text, dd_err *err)
{
    DD_TRY(check(path, pixels, w, h, channels, err));
    encoder e = {.path = path, .pixels = pixels, .w = w, .h = h, .channels = channels, .err = err};
    dd_status st;
    DD_TRY_GOTO(st, set_texts(&e, text, n_text, err), done);
    DD_TRY_GOTO(st, dd_outfile_open(&e.file, path, err), done);
    e.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &e, on_error, on_warning);
    if (e.png) e.info = png_create_info_struct(e.png);
    if (!e.info) {
        st = DD_FAIL(err, DD_ERR_NOMEM, "%s: out of memory for the PNG encoder", path);
        goto done;
    }
    DD_TRY_GOTO(st, encode(&e), done);
    st = dd_outfile_commit(&e.file, err);
done:
    png_destroy_write_struct(&e.png, &e.info);
    dd_outfile_discard(&e.file);
    free(e.texts);
    return st;
}
