/* SPDX-License-Identifier: MIT
 * Zip directory reader. Layout: PKWARE APPNOTE 6.3.10, sections 4.3.7 (local header), 4.3.12 (directory), 4.3.14 to
 * 4.3.16 (its end, ZIP64 and not), 4.5.3 (ZIP64 sizes). */
#include "host/io/zip.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/sizes.h"

#define MAX_MEMBERS 262144
#define LOCAL_BYTES 30
#define ENTRY_BYTES 46
#define END_BYTES 22
#define END64_BYTES 56
#define LOCATOR_BYTES 20
#define FLAG_ENCRYPTED 1u
#define FLAG_DESCRIPTOR 8u /* sizes follow the data; the local header may leave them 0 */
#define IN_EXTRA 0xffffffffu

typedef struct reader {
    const char *path;
    const unsigned char *file;
    size_t bytes;
    size_t dir, dir_end; /* the directory */
    uint64_t n;          /* its entries */
    dd_err *err;
} reader;

/* What an entry or a local header says. */
typedef struct sizes {
    uint64_t packed, unpacked, offset;
} sizes;

static uint64_t load(const unsigned char *p, int n)
{
    uint64_t v = 0;
    for (int i = n - 1; i >= 0; i--) v = v << 8 | p[i];
    return v;
}

static bool signature(const reader *r, size_t at, size_t room, unsigned char a, unsigned char b)
{
    return at <= r->bytes && room <= r->bytes - at && r->file[at] == 'P' && r->file[at + 1] == 'K' &&
           r->file[at + 2] == a && r->file[at + 3] == b;
}

static dd_status broken(const reader *r, const char *what)
{
    return DD_FAIL(r->err, DD_ERR_FORMAT, "%s: zip archive: %s: cut off or damaged?", r->path, what);
}

/* Where the record of the directory's end is: behind it only its comment, which reaches the end of the file. */
static bool find_end(const reader *r, size_t *at)
{
    if (r->bytes < END_BYTES) return false;
    const size_t last = r->bytes - END_BYTES, first = last > 65535 ? last - 65535 : 0;
    for (size_t i = last + 1; i-- > first;) {
        if (!signature(r, i, END_BYTES, 5, 6) || load(r->file + i + 20, 2) != last - i) continue;
        *at = i;
        return true;
    }
    return false;
}

static dd_status find_directory(reader *r)
{
    size_t end;
    if (!find_end(r, &end)) return broken(r, "the end of its directory is missing");
    const unsigned char *e = r->file + end;
    uint64_t dir = load(e + 16, 4), dir_bytes = load(e + 12, 4), disks = load(e + 4, 2) | load(e + 6, 2);
    r->n = load(e + 10, 2);
    bool same = load(e + 8, 2) == r->n;
    if (end >= LOCATOR_BYTES && signature(r, end - LOCATOR_BYTES, LOCATOR_BYTES, 6, 7)) {
        const size_t locator = end - LOCATOR_BYTES;
        const uint64_t at = load(r->file + locator + 8, 8);
        if (at > locator || locator - at != END64_BYTES || !signature(r, (size_t)at, END64_BYTES, 6, 6))
            return broken(r, "the ZIP64 end of its directory is not where the locator says");
        e = r->file + at;
        disks = load(e + 16, 4) | load(e + 20, 4);
        r->n = load(e + 32, 8);
        same = load(e + 24, 8) == r->n;
        dir_bytes = load(e + 40, 8);
        dir = load(e + 48, 8);
        end = (size_t)at;
    }
    if (disks != 0 || !same)
        return DD_FAIL(r->err, DD_ERR_UNSUPPORTED, "%s: zip archive in several parts is not supported", r->path);
    if (dir > end || dir_bytes != end - dir) return broken(r, "its directory is not where its end says");
    if (r->n > MAX_MEMBERS)
        return DD_FAIL(r->err, DD_ERR_FORMAT, "%s: zip archive of %llu members, more than the limit of %d", r->path,
                       (unsigned long long)r->n, MAX_MEMBERS);
    r->dir = (size_t)dir;
    r->dir_end = end;
    return DD_OK;
}

/* Takes from the ZIP64 field of extra [n] the sizes that the header left out, in their fixed order. False: missing. */
static bool read_zip64(const unsigned char *extra, size_t n, sizes *s)
{
    uint64_t *const wanted[] = {&s->unpacked, &s->packed, &s->offset};
    if (s->unpacked != IN_EXTRA && s->packed != IN_EXTRA && s->offset != IN_EXTRA) return true;
    while (n >= 4) {
        const size_t id = (size_t)load(extra, 2), bytes = (size_t)load(extra + 2, 2);
        if (bytes > n - 4) return false;
        if (id == 1) {
            size_t at = 0;
            for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
                if (*wanted[i] != IN_EXTRA) continue;
                if (at + 8 > bytes) return false;
                *wanted[i] = load(extra + 4 + at, 8);
                at += 8;
            }
            return true;
        }
        extra += 4 + bytes;
        n -= 4 + bytes;
    }
    return false;
}

static bool safe_name(const char *s, size_t n)
{
    if (n == 0 || s[0] == '/') return false;
    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f || s[i] == '\\') return false;
        const bool starts = i == 0 || s[i - 1] == '/';
        if (starts && i + 1 < n && s[i] == '.' && s[i + 1] == '.' && (i + 2 == n || s[i + 2] == '/')) return false;
    }
    return true;
}

static dd_status bad_member(const reader *r, const dd_zip_member *m, const char *what)
{
    return DD_FAIL(r->err, DD_ERR_FORMAT, "%s: zip member %.*s %s", r->path,
                   (int)(m->name_bytes < 120 ? m->name_bytes : 120), m->name, what);
}

/* Finds the data behind the local header, which must say the same as the directory. */
static dd_status read_local(const reader *r, dd_zip_member *m, const sizes *s, unsigned flags, unsigned method)
{
    if (s->offset > r->dir || r->dir - s->offset < LOCAL_BYTES || !signature(r, (size_t)s->offset, LOCAL_BYTES, 3, 4))
        return bad_member(r, m, "is not where the directory says");
    m->begin = (size_t)s->offset;
    const unsigned char *h = r->file + m->begin;
    const size_t name_bytes = (size_t)load(h + 26, 2), extra_bytes = (size_t)load(h + 28, 2);
    const size_t room = r->dir - m->begin - LOCAL_BYTES;
    if (name_bytes + extra_bytes > room) return bad_member(r, m, "reaches past the end of the data");
    if (name_bytes != m->name_bytes || memcmp(h + LOCAL_BYTES, m->name, name_bytes) != 0)
        return bad_member(r, m, "has another name in its own header than in the directory");
    sizes local = {load(h + 18, 4), load(h + 22, 4), 0};
    if (!read_zip64(h + LOCAL_BYTES + name_bytes, extra_bytes, &local))
        return bad_member(r, m, "has a header without its sizes");
    const bool later = flags & FLAG_DESCRIPTOR && local.packed == 0 && local.unpacked == 0;
    if (load(h + 8, 2) != method || (!later && (local.packed != s->packed || local.unpacked != s->unpacked)))
        return bad_member(r, m, "has another size or method in its own header than in the directory");
    if (s->packed > room - name_bytes - extra_bytes) return bad_member(r, m, "reaches past the end of the data");
    m->data = h + LOCAL_BYTES + name_bytes + extra_bytes;
    m->bytes = (size_t)s->packed;
    return DD_OK;
}

/* One entry of the directory at *at, which moves on. */
static dd_status read_entry(const reader *r, size_t *at, dd_zip_member *m)
{
    const size_t left = r->dir_end - *at;
    if (left < ENTRY_BYTES || !signature(r, *at, ENTRY_BYTES, 1, 2)) return broken(r, "its directory ends too early");
    const unsigned char *e = r->file + *at;
    const unsigned flags = (unsigned)load(e + 8, 2), method = (unsigned)load(e + 10, 2);
    const size_t extra_bytes = (size_t)load(e + 30, 2), comment_bytes = (size_t)load(e + 32, 2);
    sizes s = {load(e + 20, 4), load(e + 24, 4), load(e + 42, 4)};
    *m = (dd_zip_member){.name = (const char *)e + ENTRY_BYTES, .name_bytes = (size_t)load(e + 28, 2)};
    if (m->name_bytes + extra_bytes + comment_bytes > left - ENTRY_BYTES)
        return broken(r, "its directory ends too early");
    *at += ENTRY_BYTES + m->name_bytes + extra_bytes + comment_bytes;
    if (!safe_name(m->name, m->name_bytes))
        return DD_FAIL(r->err, DD_ERR_FORMAT, "%s: zip archive: a member's name is empty, absolute, or not plain",
                       r->path);
    if (flags & FLAG_ENCRYPTED) return bad_member(r, m, "is encrypted");
    if (!read_zip64(e + ENTRY_BYTES + m->name_bytes, extra_bytes, &s))
        return bad_member(r, m, "has an entry without its sizes");
    m->compressed = method != 0;
    if (!m->compressed && s.packed != s.unpacked) return bad_member(r, m, "is not compressed, but two sizes are given");
    return read_local(r, m, &s, flags, method);
}

static int by_place(const void *a, const void *b)
{
    const dd_zip_member *x = a, *y = b;
    return (x->begin > y->begin) - (x->begin < y->begin);
}

static int by_name(const void *a, const void *b)
{
    const dd_zip_member *x = a, *y = b;
    const size_t n = x->name_bytes < y->name_bytes ? x->name_bytes : y->name_bytes;
    const int c = n ? memcmp(x->name, y->name, n) : 0;
    return c ? c : (x->name_bytes > y->name_bytes) - (x->name_bytes < y->name_bytes);
}

static dd_status check_members(const reader *r, dd_zip *z)
{
    qsort(z->members, (size_t)z->n, sizeof *z->members, by_place);
    for (int i = 1; i < z->n; i++) {
        const dd_zip_member *m = &z->members[i - 1];
        if (z->members[i].begin < (size_t)(m->data - r->file) + m->bytes)
            return bad_member(r, &z->members[i], "overlaps the member before it");
    }
    qsort(z->members, (size_t)z->n, sizeof *z->members, by_name);
    for (int i = 1; i < z->n; i++)
        if (by_name(&z->members[i - 1], &z->members[i]) == 0) return bad_member(r, &z->members[i], "is there twice");
    return DD_OK;
}

dd_status dd_zip_read(dd_zip *zip, const char *path, const unsigned char *file, size_t bytes, dd_err *err)
{
    reader r = {.path = path, .file = file, .bytes = bytes, .err = err};
    *zip = (dd_zip){0};
    DD_TRY(find_directory(&r));
    /* The count is believed only as far as the directory has room for it. */
    if (r.n > (r.dir_end - r.dir) / ENTRY_BYTES) return broken(&r, "its directory ends too early");
    zip->members = calloc((size_t)r.n + 1, sizeof *zip->members);
    if (!zip->members) return DD_FAIL(err, DD_ERR_NOMEM, "%s: out of memory for the zip directory", path);
    size_t at = r.dir;
    dd_status st = DD_OK;
    for (; zip->n < (int)r.n && st == DD_OK; zip->n++) st = read_entry(&r, &at, &zip->members[zip->n]);
    if (st == DD_OK && at != r.dir_end) st = broken(&r, "its directory holds more than it says");
    if (st == DD_OK) st = check_members(&r, zip);
    if (st != DD_OK) dd_zip_fini(zip);
    return st;
}

void dd_zip_fini(dd_zip *zip)
{
    free(zip->members);
    *zip = (dd_zip){0};
}

const dd_zip_member *dd_zip_find(const dd_zip *zip, const char *name, size_t name_bytes)
{
    const dd_zip_member key = {.name = name, .name_bytes = name_bytes};
    return zip->n ? bsearch(&key, zip->members, (size_t)zip->n, sizeof key, by_name) : NULL;
}
