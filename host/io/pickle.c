/* SPDX-License-Identifier: MIT
 * The opcodes of pickles that saving tensors needs. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "host/io/pickle_globals.h"
#include "host/io/pickle_machine.h"

#define MAX_BYTES (16u << 20) /* a training checkpoint of 5000 parameters with Adam takes 4 MB */
#define MAX_TEXT 65536u

typedef dd_pickle_machine machine;

/* Everything on the stack from `from` on becomes the items of a value of this kind; inert containers forget them. */
static dd_status move_items(machine *m, size_t from, dd_pickle_value *to)
{
    if (to->kind != DD_PICKLE_INERT)
        for (size_t i = from; i < m->n_stack; i++) DD_TRY(dd_pickle_append(m, to, m->stack[i]));
    m->n_stack = from;
    return DD_OK;
}

static dd_status make_tuple(machine *m, size_t from)
{
    dd_pickle_value v = {.kind = DD_PICKLE_TUPLE};
    DD_TRY(move_items(m, from, &v));
    return dd_pickle_make(m, v);
}

/* APPEND(S) and SETITEM(S): the items from `from` on go into the container below them. */
static dd_status fill(machine *m, size_t from, dd_pickle_kind kind)
{
    const size_t floor = m->n_marks ? m->marks[m->n_marks - 1] : 0;
    if (from <= floor) return dd_pickle_broken(m, "items without a container");
    dd_pickle_value *to = m->stack[from - 1];
    if (to->kind != kind && to->kind != DD_PICKLE_INERT)
        return dd_pickle_broken(m, "items for something that holds none");
    if (kind == DD_PICKLE_DICT && (m->n_stack - from) % 2 != 0) return dd_pickle_broken(m, "a key without a value");
    return move_items(m, from, to);
}

static dd_status fill_marked(machine *m, dd_pickle_kind kind)
{
    size_t from = 0;
    DD_TRY(dd_pickle_pop_mark(m, &from));
    return fill(m, from, kind);
}

static dd_status take(machine *m, size_t n, const unsigned char **p)
{
    if (n > m->bytes - m->at) return dd_pickle_broken(m, "ends too early: cut off?");
    *p = m->data + m->at;
    m->at += n;
    return DD_OK;
}

/* n bytes, little-endian, the top bit is the sign if is_signed. n of 0 to 8. */
static dd_status take_int(machine *m, size_t n, bool is_signed, int64_t *out)
{
    const unsigned char *p = NULL;
    DD_TRY(take(m, n, &p));
    uint64_t v = is_signed && n > 0 && p[n - 1] & 0x80 ? UINT64_MAX : 0;
    for (size_t i = n; i-- > 0;) v = v << 8 | p[i];
    memcpy(out, &v, sizeof v);
    return DD_OK;
}

static dd_status push_int(machine *m, size_t n, bool is_signed)
{
    dd_pickle_value v = {.kind = DD_PICKLE_INT};
    DD_TRY(take_int(m, n, is_signed, &v.number));
    return dd_pickle_make(m, v);
}

static dd_status push_long(machine *m)
{
    int64_t n = 0;
    const unsigned char *p = NULL;
    DD_TRY(take_int(m, 1, false, &n));
    if (n <= 8) return push_int(m, (size_t)n, true);
    DD_TRY(take(m, (size_t)n, &p));
    return dd_pickle_make(m, (dd_pickle_value){.kind = DD_PICKLE_INERT});
}

static dd_status push_text(machine *m)
{
    int64_t n = 0;
    const unsigned char *p = NULL;
    DD_TRY(take_int(m, 4, false, &n));
    if (n > (int64_t)MAX_TEXT) return dd_pickle_broken(m, "a text of over 65536 bytes");
    DD_TRY(take(m, (size_t)n, &p));
    return dd_pickle_make(m, (dd_pickle_value){.kind = DD_PICKLE_TEXT, .n = (uint32_t)n, .text = (const char *)p});
}

/* A line of at most 256 bytes. */
static dd_status take_line(machine *m, const char **line, size_t *n)
{
    const size_t left = m->bytes - m->at, room = left < 257 ? left : 257;
    const unsigned char *end = room ? memchr(m->data + m->at, '\n', room) : NULL;
    if (!end) return dd_pickle_broken(m, "a global without a name");
    *line = (const char *)m->data + m->at;
    *n = (size_t)(end - (m->data + m->at));
    m->at += *n + 1;
    return DD_OK;
}

static dd_status push_global(machine *m)
{
    const char *module = "", *name = "";
    size_t module_bytes = 0, name_bytes = 0;
    DD_TRY(take_line(m, &module, &module_bytes));
    DD_TRY(take_line(m, &name, &name_bytes));
    return dd_pickle_make(m, dd_pickle_global(module, module_bytes, name, name_bytes));
}

/* Callable and arguments are on the stack; their place takes what the call would have made. */
static dd_status reduce(machine *m)
{
    DD_TRY(dd_pickle_need(m, 2));
    const dd_pickle_value *args = m->stack[--m->n_stack], *call = m->stack[--m->n_stack];
    dd_pickle_value v = {.kind = DD_PICKLE_INERT};
    if (call->kind != DD_PICKLE_GLOBAL || args->kind != DD_PICKLE_TUPLE) return dd_pickle_make(m, v);
    if (call->call == DD_CALL_DICT && args->n == 0) v.kind = DD_PICKLE_DICT;
    if (call->call == DD_CALL_TENSOR) {
        v = *args;
        v.kind = DD_PICKLE_TENSOR;
    }
    if (call->call == DD_CALL_PARAMETER && args->n > 0 && args->first->value->kind == DD_PICKLE_TENSOR)
        v = *args->first->value;
    return dd_pickle_make(m, v);
}

static dd_status push_storage(machine *m)
{
    DD_TRY(dd_pickle_need(m, 1));
    dd_pickle_value v = *m->stack[--m->n_stack];
    if (v.kind == DD_PICKLE_TUPLE) v.kind = DD_PICKLE_STORAGE;
    else v = (dd_pickle_value){.kind = DD_PICKLE_INERT};
    return dd_pickle_make(m, v);
}

static dd_status put(machine *m, size_t width)
{
    int64_t i = 0;
    DD_TRY(take_int(m, width, false, &i));
    return dd_pickle_memo_put(m, i);
}

static dd_status get(machine *m, size_t width)
{
    int64_t i = 0;
    DD_TRY(take_int(m, width, false, &i));
    return dd_pickle_memo_get(m, i);
}

static dd_status tuple_marked(machine *m)
{
    size_t from = 0;
    DD_TRY(dd_pickle_pop_mark(m, &from));
    return make_tuple(m, from);
}

static dd_status tuple_of(machine *m, size_t n)
{
    DD_TRY(dd_pickle_need(m, n));
    return make_tuple(m, m->n_stack - n);
}

/* NEWOBJ makes an object, BUILD sets its state: neither is looked into. */
static dd_status drop(machine *m, size_t n, bool push_inert)
{
    DD_TRY(dd_pickle_need(m, 2));
    m->n_stack -= n;
    return push_inert ? dd_pickle_make(m, (dd_pickle_value){.kind = DD_PICKLE_INERT}) : DD_OK;
}

static dd_status append_one(machine *m, size_t n, dd_pickle_kind kind)
{
    DD_TRY(dd_pickle_need(m, n + 1));
    return fill(m, m->n_stack - n, kind);
}

static dd_status skip_and_push(machine *m, size_t n)
{
    const unsigned char *p = NULL;
    DD_TRY(take(m, n, &p));
    return dd_pickle_make(m, (dd_pickle_value){.kind = DD_PICKLE_INERT});
}

static dd_status unknown(const machine *m, unsigned char op)
{
    return DD_FAIL(m->err, DD_ERR_FORMAT,
                   "%s: data.pkl: byte %zu: opcode 0x%02x%s%c%s is none that saving tensors needs; save the state dict "
                   "again with torch.save",
                   m->path, m->op_at, op, isgraph(op) ? " ('" : "", isgraph(op) ? op : ' ', isgraph(op) ? "')" : "");
}

static dd_status execute(machine *m, unsigned char op)
{
    switch (op) {
    case '(': return dd_pickle_mark(m);
    case 't': return tuple_marked(m);
    case ')': return make_tuple(m, m->n_stack);
    case 0x85: return tuple_of(m, 1);
    case 0x86: return tuple_of(m, 2);
    case 0x87: return tuple_of(m, 3);
    case '}': return dd_pickle_make(m, (dd_pickle_value){.kind = DD_PICKLE_DICT});
    case ']': return dd_pickle_make(m, (dd_pickle_value){.kind = DD_PICKLE_LIST});
    case 's': return append_one(m, 2, DD_PICKLE_DICT);
    case 'u': return fill_marked(m, DD_PICKLE_DICT);
    case 'a': return append_one(m, 1, DD_PICKLE_LIST);
    case 'e': return fill_marked(m, DD_PICKLE_LIST);
    case 'c': return push_global(m);
    case 'R': return reduce(m);
    case 'Q': return push_storage(m);
    case 0x81: return drop(m, 2, true);
    case 'b': return drop(m, 1, false);
    case 'q': return put(m, 1);
    case 'r': return put(m, 4);
    case 'h': return get(m, 1);
    case 'j': return get(m, 4);
    case 'X': return push_text(m);
    case 'J': return push_int(m, 4, true);
    case 'K': return push_int(m, 1, false);
    case 'M': return push_int(m, 2, false);
    case 0x8a: return push_long(m);
    case 'N':
    case 0x88:
    case 0x89: return skip_and_push(m, 0);
    case 'G': return skip_and_push(m, 8);
    default: return unknown(m, op);
    }
}

static dd_status run(machine *m)
{
    const unsigned char *p = NULL;
    DD_TRY(take(m, 2, &p));
    if (p[0] != 0x80 || p[1] != 2)
        return DD_FAIL(m->err, DD_ERR_FORMAT,
                       "%s: data.pkl is no pickle of protocol 2; save the state dict again with torch.save", m->path);
    for (;;) {
        m->op_at = m->at;
        DD_TRY(take(m, 1, &p));
        if (p[0] == '.') break;
        DD_TRY(execute(m, p[0]));
    }
    if (m->n_stack != 1 || m->n_marks != 0 || m->at != m->bytes)
        return dd_pickle_broken(m, "the end is not where it should be");
    m->p->root = m->stack[0];
    return DD_OK;
}

dd_status dd_pickle_read(dd_pickle **out, const char *path, const unsigned char *data, size_t bytes, dd_err *err)
{
    *out = NULL;
    if (bytes > MAX_BYTES)
        return DD_FAIL(err, DD_ERR_FORMAT, "%s: data.pkl has %zu bytes, the limit is %u", path, bytes, MAX_BYTES);
    machine m = {.p = calloc(1, sizeof *m.p), .path = path, .data = data, .bytes = bytes, .err = err};
    if (!m.p) return dd_pickle_no_memory(&m);
    const dd_status st = run(&m);
    free(m.stack);
    free(m.memo);
    if (st != DD_OK) dd_pickle_free(&m.p);
    *out = m.p;
    return st;
}

const dd_pickle_value *dd_pickle_root(const dd_pickle *pickle) { return pickle->root; }

const dd_pickle_value *dd_pickle_item(const dd_pickle_value *v, uint32_t i)
{
    if (i >= v->n || v->kind == DD_PICKLE_TEXT) return NULL;
    const dd_pickle_cell *c = v->first;
    while (i-- > 0) c = c->next;
    return c->value;
}
