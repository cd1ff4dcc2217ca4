/* SPDX-License-Identifier: MIT
 * A safetensors file as the test tools see it: JSON header and data. Shares no code with the library that it tests. */
#ifndef TESTS_TOOLS_ST_FILE_H
#define TESTS_TOOLS_ST_FILE_H

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

typedef struct st_file {
    json_t *header;
    unsigned char *data;
    size_t n_data;
} st_file;

_Noreturn static inline void die(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fputs("test tool: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    exit(2);
}

static inline void *must(void *p)
{
    if (!p) die("out of memory");
    return p;
}

static inline json_int_t number(const char *text)
{
    char *end;
    const json_int_t v = strtoll(text, &end, 10);
    if (end == text || *end) die("%s is not a number", text);
    return v;
}

static inline json_t *tensor(const st_file *s, const char *name)
{
    json_t *t = json_object_get(s->header, name);
    if (!t) die("no tensor %s", name);
    return t;
}

static inline size_t offset(const json_t *t, size_t i)
{
    return (size_t)json_integer_value(json_array_get(json_object_get(t, "data_offsets"), i));
}

static inline size_t dtype_size(const json_t *t)
{
    const char *name = json_string_value(json_object_get(t, "dtype"));
    return strstr(name, "64") ? 8 : strstr(name, "32") ? 4 : strstr(name, "16") ? 2 : 1;
}

/* One element as a number. */
static inline double element(const unsigned char *at, const char *dtype)
{
    float f;
    double d;
    int64_t i;
    if (strcmp(dtype, "F32") == 0) return memcpy(&f, at, 4), (double)f;
    if (strcmp(dtype, "F64") == 0) return memcpy(&d, at, 8), d;
    if (strcmp(dtype, "I64") == 0) return memcpy(&i, at, 8), (double)i;
    if (strcmp(dtype, "U8") == 0) return *at;
    if (strcmp(dtype, "BF16") == 0) {
        const unsigned char wide[4] = {0, 0, at[0], at[1]};
        return memcpy(&f, wide, 4), (double)f;
    }
    die("cannot read %s", dtype);
}

static inline void read_file(st_file *s, const char *path)
{
    unsigned char head[8];
    uint64_t n = 0;
    json_error_t error;
    memset(s, 0, sizeof *s);
    FILE *f = fopen(path, "rb");
    if (!f || fread(head, 1, 8, f) != 8) die("%s: %s", path, strerror(errno));
    for (int i = 7; i >= 0; i--) n = n << 8 | head[i];
    if (n > 100000000) die("%s: header of %llu bytes", path, (unsigned long long)n);
    char *text = must(malloc(n + 1));
    if (fread(text, 1, n, f) != n) die("%s: short header", path);
    s->header = json_loadb(text, n, 0, &error);
    if (!s->header) die("%s: %s", path, error.text);
    free(text);
    const long begin = ftell(f);
    fseek(f, 0, SEEK_END);
    s->n_data = (size_t)(ftell(f) - begin);
    s->data = must(malloc(s->n_data + 1));
    fseek(f, begin, SEEK_SET);
    if (fread(s->data, 1, s->n_data, f) != s->n_data) die("%s: short data", path);
    fclose(f);
}

#endif
