/* SPDX-License-Identifier: MIT
 * The pickle machine. */
#include "host/io/pickle.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "host/io/pickle_globals.h"

#define MAX_BYTES (16u << 20) /* a training checkpoint of 5000 parameters with Adam takes 4 MB */
#define MAX_VALUES (2u << 20) /* and 15 values for each tensor */
#define MAX_STACK 65536u      /* torch.save batches items by 1000 */
#define MAX_MARKS 256u
#define MAX_MEMO (4u << 20)
#define MAX_TEXT 65536u
#define BLOCK 4096 /* values or cells taken at once */

typedef struct block block;
struct block {
    block *next;
    int used;
    union {
        dd_pickle_value values[BLOCK];
        dd_pickle_cell cells[BLOCK];
    } at;
};

struct dd_pickle {
    block *values, *cells;
    const dd_pickle_value *root;
};

typedef struct machine {
    dd_pickle *p;
    const char *path;
    const unsigned char *data;
    size_t bytes, at, op_at;
    dd_pickle_value **stack;
    size_t n_stack, stack_room;
    size_t marks[MAX_MARKS];
    size_t n_marks, n_values;
    dd_pickle_value **memo;
    size_t memo_room;
    dd_err *err;
} machine;

static dd_status broken(const machine *m, const char *what)
{
    return DD_FAIL(m->err, DD_ERR_FORMAT, "%s: data.pkl: byte %zu: %s", m->path, m->op_at, what);
}

static dd_status out_of_memory(const machine *m)
{
    return DD_FAIL(m->err, DD_ERR_NOMEM, "%s: out of memory for data.pkl", m->path);
}

/* A block with a free place at *list, or NULL. */
static block *place(block **list)
{
    if (*list && (*list)->used < BLOCK) return *list;
    block *b = calloc(1, sizeof *b);
    if (!b) return NULL;
    b->next = *list;
    *list = b;
    return b;
}

static dd_status push(machine *m, dd_pickle_value *v)
{
    if (m->n_stack == MAX_STACK) return broken(m, "more values are stacked than torch.save does");
    if (m->n_stack == m->stack_room) {
        const size_t room = m->stack_room ? 2 * m->stack_room : 256;
        dd_pickle_value **grown = realloc(m->stack, room * sizeof *grown);
        if (!grown) return out_of_memory(m);
        m->stack = grown;
        m->stack_room = room;
    }
    m->stack[m->n_stack++] = v;
    return DD_OK;
}

static dd_status push_new(machine *m, dd_pickle_value v)
{
    if (m->n_values == MAX_VALUES) return broken(m, "over 2097152 values");
    block *b = place(&m->p->values);
    if (!b) return out_of_memory(m);
    m->n_values++;
    dd_pickle_value *made = &b->at.values[b->used++];
    *made = v;
    return push(m, made);
}

/* The stack above the last mark: what opcodes without a mark may take from. */
static size_t available(const machine *m) { return m->n_stack - (m->n_marks ? m->marks[m->n_marks - 1] : 0); }

static dd_status need(const machine *m, size_t n)
{
    return available(m) >= n ? DD_OK : broken(m, "an operation lacks its operands");
}

static dd_status pop_mark(machine *m, size_t *from)
{
    if (m->n_marks == 0) return broken(m, "an operation lacks its mark");
    *from = m->marks[--m->n_marks];
    return DD_OK;
}

static dd_status append(machine *m, dd_pickle_value *to, const dd_pickle_value *item)
{
    block *b = place(&m->p->cells);
    if (!b) return out_of_memory(m);
    dd_pickle_cell *c = &b->at.cells[b->used++];
    *c = (dd_pickle_cell){item, NULL};
    if (to->last) to->last->next = c;
    else to->first = c;
    to->last = c;
    to->n++;
    return DD_OK;
}

/* Everything on the stack from `from` on becomes the items of a value of this kind; inert containers forget them. */
static dd_status move_items(machine *m, size_t from, dd_pickle_value *to)
{
    if (to->kind != DD_PICKLE_INERT)
        for (size_t i = from; i < m->n_stack; i++) DD_TRY(append(m, to, m->stack[i]));
    m->n_stack = from;
    return DD_OK;
}

static dd_status make_tuple(machine *m, size_t from)
{
    dd_pickle_value v = {.kind = DD_PICKLE_TUPLE};
    DD_TRY(move_items(m, from, &v));
    return push_new(m, v);
}

/* APPEND(S) and SETITEM(S): the items from `from` on go into the container below them. */
static dd_status fill(machine *m, size_t from, dd_pickle_kind kind)
{
    const size_t floor = m->n_marks ? m->marks[m->n_marks - 1] : 0;
    if (from <= floor) return broken(m, "items without a container");
    dd_pickle_value *to = m->stack[from - 1];
    if (to->kind != kind && to->kind != DD_PICKLE_INERT) return broken(m, "items for something that holds none");
    if (kind == DD_PICKLE_DICT && (m->n_stack - from) % 2 != 0) return broken(m, "a key without a value");
    return move_items(m, from, to);
}

static dd_status fill_marked(machine *m, dd_pickle_kind kind)
{
    size_t from = 0;
    DD_TRY(pop_mark(m, &from));
    return fill(m, from, kind);
}

static dd_status take(machine *m, size_t n, const unsigned char **p)
{
    if (n > m->bytes - m->at) return broken(m, "ends too early: cut off?");
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
    return push_new(m, v);
}

static dd_status push_long(machine *m)
{
    int64_t n = 0;
    const unsigned char *p = NULL;
    DD_TRY(take_int(m, 1, false, &n));
    if (n <= 8) return push_int(m, (size_t)n, true);
    DD_TRY(take(m, (size_t)n, &p));
    return push_new(m, (dd_pickle_value){.kind = DD_PICKLE_INERT});
}

static dd_status push_text(machine *m)
{
    int64_t n = 0;
    const unsigned char *p = NULL;
    DD_TRY(take_int(m, 4, false, &n));
    if (n > (int64_t)MAX_TEXT) return broken(m, "a text of over 65536 bytes");
    DD_TRY(take(m, (size_t)n, &p));
    return push_new(m, (dd_pickle_value){.kind = DD_PICKLE_TEXT, .n = (uint32_t)n, .text = (const char *)p});
}

/* A line of at most 256 bytes. */
static dd_status take_line(machine *m, const char **line, size_t *n)
{
    const size_t left = m->bytes - m->at, room = left < 257 ? left : 257;
    const unsigned char *end = room ? memchr(m->data + m->at, '\n', room) : NULL;
    if (!end) return broken(m, "a global without a name");
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
    return push_new(m, dd_pickle_global(module, module_bytes, name, name_bytes));
}

/* Callable and arguments are on the stack; their place takes what the call would have made. */
static dd_status reduce(machine *m)
{
    DD_TRY(need(m, 2));
    const dd_pickle_value *args = m->stack[--m->n_stack], *call = m->stack[--m->n_stack];
    dd_pickle_value v = {.kind = DD_PICKLE_INERT};
    if (call->kind != DD_PICKLE_GLOBAL || args->kind != DD_PICKLE_TUPLE) return push_new(m, v);
    if (call->call == DD_CALL_DICT && args->n == 0) v.kind = DD_PICKLE_DICT;
    if (call->call == DD_CALL_TENSOR) {
        v = *args;
        v.kind = DD_PICKLE_TENSOR;
    }
    if (call->call == DD_CALL_PARAMETER && args->n > 0 && args->first->value->kind == DD_PICKLE_TENSOR)
        v = *args->first->value;
    return push_new(m, v);
}

static dd_status push_storage(machine *m)
{
    DD_TRY(need(m, 1));
    dd_pickle_value v = *m->stack[--m->n_stack];
    if (v.kind == DD_PICKLE_TUPLE) v.kind = DD_PICKLE_STORAGE;
    else v = (dd_pickle_value){.kind = DD_PICKLE_INERT};
    return push_new(m, v);
}

static dd_status put(machine *m, size_t width)
{
    int64_t i = 0;
    DD_TRY(take_int(m, width, false, &i));
    DD_TRY(need(m, 1));
    if (i >= (int64_t)MAX_MEMO) return broken(m, "a memo of over 4194304 entries");
    if ((size_t)i >= m->memo_room) {
        size_t room = m->memo_room ? m->memo_room : 256;
        while (room <= (size_t)i) room *= 2;
        dd_pickle_value **grown = realloc(m->memo, room * sizeof *grown);
        if (!grown) return out_of_memory(m);
        memset(grown + m->memo_room, 0, (room - m->memo_room) * sizeof *grown);
        m->memo = grown;
        m->memo_room = room;
    }
    m->memo[i] = m->stack[m->n_stack - 1];
    return DD_OK;
}

static dd_status get(machine *m, size_t width)
{
    int64_t i = 0;
    DD_TRY(take_int(m, width, false, &i));
    if ((size_t)i >= m->memo_room || !m->memo[i]) return broken(m, "a memo entry that was never put");
    return push(m, m->memo[i]);
}

static dd_status mark(machine *m)
{
    if (m->n_marks == MAX_MARKS) return broken(m, "nested deeper than 256 levels");
    m->marks[m->n_marks++] = m->n_stack;
    return DD_OK;
}

static dd_status tuple_marked(machine *m)
{
    size_t from = 0;
    DD_TRY(pop_mark(m, &from));
    return make_tuple(m, from);
}

static dd_status tuple_of(machine *m, size_t n)
{
    DD_TRY(need(m, n));
    return make_tuple(m, m->n_stack - n);
}

/* NEWOBJ makes an object, BUILD sets its state: neither is looked into. */
static dd_status drop(machine *m, size_t n, bool push_inert)
{
    DD_TRY(need(m, 2));
    m->n_stack -= n;
    return push_inert ? push_new(m, (dd_pickle_value){.kind = DD_PICKLE_INERT}) : DD_OK;
}

static dd_status append_one(machine *m, size_t n, dd_pickle_kind kind)
{
    DD_TRY(need(m, n + 1));
    return fill(m, m->n_stack - n, kind);
}

static dd_status skip_and_push(machine *m, size_t n)
{
    const unsigned char *p = NULL;
    DD_TRY(take(m, n, &p));
    return push_new(m, (dd_pickle_value){.kind = DD_PICKLE_INERT});
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
    case '(': return mark(m);
    case 't': return tuple_marked(m);
    case ')': return make_tuple(m, m->n_stack);
    case 0x85: return tuple_of(m, 1);
    case 0x86: return tuple_of(m, 2);
    case 0x87: return tuple_of(m, 3);
    case '}': return push_new(m, (dd_pickle_value){.kind = DD_PICKLE_DICT});
    case ']': return push_new(m, (dd_pickle_value){.kind = DD_PICKLE_LIST});
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
    if (m->n_stack != 1 || m->n_marks != 0 || m->at != m->bytes) return broken(m, "the end is not where it should be");
    m->p->root = m->stack[0];
    return DD_OK;
}

dd_status dd_pickle_read(dd_pickle **out, const char *path, const unsigned char *data, size_t bytes, dd_err *err)
{
    *out = NULL;
    if (bytes > MAX_BYTES)
        return DD_FAIL(err, DD_ERR_FORMAT, "%s: data.pkl has %zu bytes, the limit is %u", path, bytes, MAX_BYTES);
    machine m = {.p = calloc(1, sizeof *m.p), .path = path, .data = data, .bytes = bytes, .err = err};
    if (!m.p) return out_of_memory(&m);
    const dd_status st = run(&m);
    free(m.stack);
    free(m.memo);
    if (st != DD_OK) dd_pickle_free(&m.p);
    *out = m.p;
    return st;
}

static void free_blocks(block *b)
{
    while (b) {
        block *next = b->next;
        free(b);
        b = next;
    }
}

void dd_pickle_free(dd_pickle **pickle)
{
    dd_pickle *p = *pickle;
    if (!p) return;
    free_blocks(p->values);
    free_blocks(p->cells);
    free(p);
    *pickle = NULL;
}

const dd_pickle_value *dd_pickle_root(const dd_pickle *pickle) { return pickle->root; }

const dd_pickle_value *dd_pickle_item(const dd_pickle_value *v, uint32_t i)
{
    if (i >= v->n || v->kind == DD_PICKLE_TEXT) return NULL;
    const dd_pickle_cell *c = v->first;
    while (i-- > 0) c = c->next;
    return c->value;
}
