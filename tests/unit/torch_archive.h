/* SPDX-License-Identifier: MIT
 * Writes zip archives and pickles for tests, with anything in them wrong that a test wants wrong. */
#ifndef DD_TESTS_UNIT_TORCH_ARCHIVE_H
#define DD_TESTS_UNIT_TORCH_ARCHIVE_H

/* The including file includes cmocka.h and scratch.h first. */

/* Opcodes of protocol 2; texts of up to 255 bytes, given with their length in octal or hex. */
#define PK_BEGIN "\x80\x02"
#define PK_GLOBAL(module, name) "c" module "\n" name "\n"
#define PK_INT1(byte) "K" byte
/* Storage "0" of four floats; a tensor of shape and strides (pickled tuples) at an offset (pickled). */
#define PK_STORAGE(type, n)                                  \
    "(X\7\0\0\0storage" PK_GLOBAL("torch", type) "X\1\0\0\0" \
                                                 "0"         \
                                                 "X\3\0\0\0cpu" n "tQ"
#define PK_TENSOR_OF(storage, offset, shape, strides) \
    PK_GLOBAL("torch._utils", "_rebuild_tensor_v2") "(" storage offset shape strides "\x89}tR"
#define PK_TENSOR(offset, shape, strides) \
    PK_TENSOR_OF(PK_STORAGE("FloatStorage", PK_INT1("\4")), offset, shape, strides)
#define PK_GOOD PK_TENSOR(PK_INT1("\0"), PK_INT1("\4") "\x85", PK_INT1("\1") "\x85")
#define PK_KEY(letter) "X\1\0\0\0" letter

enum { MEMBERS_MAX = 8 };

typedef struct archive_member {
    const char *name;
    const void *data;
    size_t n;
    unsigned method, flags;
    /* what the headers say in place of the truth, as differences */
    int local_size, dir_size, dir_offset;
    const char *local_name; /* in place of name */
    bool zip64;             /* sizes and offset lie in the directory's extra field */
} archive_member;

typedef struct archive_bytes {
    unsigned char b[1 << 18];
    size_t n;
} archive_bytes;

static inline void archive_put(archive_bytes *a, uint64_t v, int n)
{
    for (int i = 0; i < n; i++) a->b[a->n++] = (unsigned char)(i < 8 ? v >> (8 * i) : 0);
}

static inline void archive_add(archive_bytes *a, const void *data, size_t n)
{
    assert_true(n <= sizeof a->b - a->n);
    if (n > 0) memcpy(a->b + a->n, data, n);
    a->n += n;
}

static inline void archive_local(archive_bytes *a, const archive_member *m)
{
    const char *name = m->local_name ? m->local_name : m->name;
    archive_put(a, 0x04034b50, 4);
    archive_put(a, 0, 2);
    archive_put(a, m->flags, 2);
    archive_put(a, m->method, 2);
    archive_put(a, 0, 8);
    for (int i = 0; i < 2; i++) archive_put(a, m->n + (size_t)m->local_size, 4);
    archive_put(a, strlen(name), 2);
    archive_put(a, 0, 2);
    archive_add(a, name, strlen(name));
    archive_add(a, m->data, m->n);
}

static inline void archive_entry(archive_bytes *a, const archive_member *m, size_t offset)
{
    archive_put(a, 0x02014b50, 4);
    archive_put(a, 0, 4);
    archive_put(a, m->flags, 2);
    archive_put(a, m->method, 2);
    archive_put(a, 0, 8);
    for (int i = 0; i < 2; i++) archive_put(a, m->zip64 ? UINT32_MAX : m->n + (size_t)m->dir_size, 4);
    archive_put(a, strlen(m->name), 2);
    archive_put(a, m->zip64 ? 28 : 0, 2);
    archive_put(a, 0, 10);
    archive_put(a, m->zip64 ? UINT32_MAX : offset + (size_t)m->dir_offset, 4);
    archive_add(a, m->name, strlen(m->name));
    if (!m->zip64) return;
    archive_put(a, 1, 2);
    archive_put(a, 24, 2);
    for (int i = 0; i < 2; i++) archive_put(a, m->n + (size_t)m->dir_size, 8);
    archive_put(a, offset + (size_t)m->dir_offset, 8);
}

static inline void archive_make(archive_bytes *a, const archive_member *members, int n)
{
    size_t offset[MEMBERS_MAX];
    a->n = 0;
    for (int i = 0; i < n; i++) {
        offset[i] = a->n;
        archive_local(a, &members[i]);
    }
    const size_t dir = a->n;
    for (int i = 0; i < n; i++) archive_entry(a, &members[i], offset[i]);
    const size_t dir_bytes = a->n - dir;
    archive_put(a, 0x06054b50, 4);
    archive_put(a, 0, 4);
    for (int i = 0; i < 2; i++) archive_put(a, (uint64_t)n, 2);
    archive_put(a, dir_bytes, 4);
    archive_put(a, dir, 4);
    archive_put(a, 0, 2);
}

/* x.pt: this pickle, and four floats as storage "0". */
static inline const char *archive_of_pickle(const void *pickle, size_t n)
{
    static archive_bytes a;
    static const float values[4] = {1, 2, 3, 4};
    const archive_member members[] = {{.name = "x/data.pkl", .data = pickle, .n = n},
                                      {.name = "x/data/0", .data = values, .n = sizeof values}};
    archive_make(&a, members, 2);
    scratch_write("x.pt", a.b, a.n);
    return scratch("x.pt");
}

#endif
