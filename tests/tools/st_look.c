/* SPDX-License-Identifier: MIT
 * Looks into files for the shell tests.
 *     st_look print FILE TENSOR                        type and shape
 *     st_look meta FILE KEY                            a value of the metadata
 *     st_look raw FILE TENSOR FIRST COUNT              bytes of these rows of the first axis, on stdout; COUNT 0: all
 *     st_look compare FILE TENSOR FILE TENSOR LIMIT    exit status 1 if they differ by more, or are not finite
 *     st_look mse FILE TENSOR FILE TENSOR              mean squared difference
 *     st_look differ FILE TENSOR FILE TENSOR           how many elements differ, and of how many
 *     st_look json FILE [KEY.KEY...]                   the value there (strings and numbers bare); FILE "-" is stdin */
#include <math.h>

#include "tests/tools/st_file.h"

static void print(const st_file *f, const char *name)
{
    const json_t *t = tensor(f, name);
    char *shape = must(json_dumps(json_object_get(t, "shape"), JSON_COMPACT));
    printf("%s %s\n", json_string_value(json_object_get(t, "dtype")), shape);
    free(shape);
}

static void meta(const st_file *f, const char *key)
{
    const char *v = json_string_value(json_object_get(json_object_get(f->header, "__metadata__"), key));
    if (!v) die("no metadata %s", key);
    puts(v);
}

static void raw(const st_file *f, const char *name, json_int_t first, json_int_t count)
{
    const json_t *t = tensor(f, name);
    const json_int_t rows = json_integer_value(json_array_get(json_object_get(t, "shape"), 0));
    if (count == 0) count = rows;
    if (first < 0 || count < 0 || rows <= 0 || first + count > rows) die("%s has %d rows", name, (int)rows);
    const size_t row = (offset(t, 1) - offset(t, 0)) / (size_t)rows;
    fwrite(f->data + offset(t, 0) + row * (size_t)first, row, (size_t)count, stdout);
}

/* The largest difference; infinity if any value is not finite. */
static double difference(const st_file *a, const json_t *x, const st_file *b, const json_t *y, size_t n)
{
    const char *dx = json_string_value(json_object_get(x, "dtype"));
    const char *dy = json_string_value(json_object_get(y, "dtype"));
    const unsigned char *px = a->data + offset(x, 0), *py = b->data + offset(y, 0);
    double worst = 0.0;
    for (size_t i = 0; i < n; i++) {
        const double d = fabs(element(px + i * dtype_size(x), dx) - element(py + i * dtype_size(y), dy));
        if (!(d <= worst)) worst = isfinite(d) ? d : (double)INFINITY;
    }
    return worst;
}

/* The number of elements of two tensors, which have to be of one shape. */
static size_t common_size(const json_t *x, const json_t *y)
{
    if (!json_equal(json_object_get(x, "shape"), json_object_get(y, "shape"))) die("the tensors differ in shape");
    return (offset(x, 1) - offset(x, 0)) / dtype_size(x);
}

static void mean_square(const st_file *a, const char *name_a, const st_file *b, const char *name_b)
{
    const json_t *x = tensor(a, name_a), *y = tensor(b, name_b);
    const char *dx = json_string_value(json_object_get(x, "dtype")),
               *dy = json_string_value(json_object_get(y, "dtype"));
    const unsigned char *px = a->data + offset(x, 0), *py = b->data + offset(y, 0);
    const size_t n = common_size(x, y);
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        const double d = element(px + i * dtype_size(x), dx) - element(py + i * dtype_size(y), dy);
        sum += d * d;
    }
    printf("%.9g\n", sum / (double)n);
}

static void differ(const st_file *a, const char *name_a, const st_file *b, const char *name_b)
{
    const json_t *x = tensor(a, name_a), *y = tensor(b, name_b);
    const size_t n = common_size(x, y);
    size_t differing = 0;
    for (size_t i = 0; i < n; i++) {
        const double p = element(a->data + offset(x, 0) + i * dtype_size(x),
                                 json_string_value(json_object_get(x, "dtype")));
        const double q = element(b->data + offset(y, 0) + i * dtype_size(y),
                                 json_string_value(json_object_get(y, "dtype")));
        differing += !(p == q);
    }
    printf("%zu of %zu\n", differing, n);
}

static int compare(const st_file *a, const char *name_a, const st_file *b, const char *name_b, double limit)
{
    const json_t *x = tensor(a, name_a), *y = tensor(b, name_b);
    const size_t n = common_size(x, y);
    const double worst = difference(a, x, b, y, n);
    printf("largest difference %.3g of %zu\n", worst, n);
    return n > 0 && worst <= limit ? 0 : 1;
}

static int json_value(const char *path, const char *keys)
{
    json_error_t error;
    json_t *doc = strcmp(path, "-") == 0 ? json_loadf(stdin, JSON_REJECT_DUPLICATES, &error)
                                         : json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (!doc) die("%s:%d: %s", path, error.line, error.text);
    const json_t *at = doc;
    for (const char *p = keys; *p;) {
        char key[64];
        const size_t n = strcspn(p, ".");
        snprintf(key, sizeof key, "%.*s", (int)n, p);
        at = json_is_array(at) ? json_array_get(at, (size_t)number(key)) : json_object_get(at, key);
        if (!at) die("no %s in %s", keys, path);
        p += n + (p[n] == '.');
    }
    char *text = must(json_dumps(at, JSON_ENCODE_ANY | JSON_COMPACT));
    puts(json_is_string(at) ? json_string_value(at) : text);
    free(text);
    json_decref(doc);
    return 0;
}

int main(int argc, char **argv)
{
    st_file a, b;
    int rc = 0;
    if (argc < 3) die("usage: st_look WHAT FILE ...");
    if (strcmp(argv[1], "json") == 0) return json_value(argv[2], argc > 3 ? argv[3] : "");
    read_file(&a, argv[2]);
    if (argc == 4 && strcmp(argv[1], "print") == 0) {
        print(&a, argv[3]);
    } else if (argc == 4 && strcmp(argv[1], "meta") == 0) {
        meta(&a, argv[3]);
    } else if (argc == 6 && strcmp(argv[1], "raw") == 0) {
        raw(&a, argv[3], number(argv[4]), number(argv[5]));
    } else if (argc == 7 && strcmp(argv[1], "compare") == 0) {
        read_file(&b, argv[4]);
        rc = compare(&a, argv[3], &b, argv[5], strtod(argv[6], NULL));
        json_decref(b.header);
        free(b.data);
    } else if (argc == 6 && (strcmp(argv[1], "differ") == 0 || strcmp(argv[1], "mse") == 0)) {
        read_file(&b, argv[4]);
        (*argv[1] == 'd' ? differ : mean_square)(&a, argv[3], &b, argv[5]);
        json_decref(b.header);
        free(b.data);
    } else {
        die("usage: st_look WHAT FILE ..., not %s with %d arguments", argv[1], argc - 2);
    }
    json_decref(a.header);
    free(a.data);
    return rc;
}
