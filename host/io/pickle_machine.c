/* SPDX-License-Identifier: MIT
 * The pickle machine's memory. */
#include "host/io/pickle_machine.h"

#include <stdlib.h>
#include <string.h>

#define MAX_VALUES (2u << 20) /* 15 for each tensor of a training checkpoint with Adam */
#define MAX_STACK 65536u      /* torch.save batches items by 1000 */
#define MAX_MEMO (4u << 20)
#define BLOCK 4096 /* values or cells taken at once */

typedef struct dd_pickle_block block;
struct dd_pickle_block {
    block *next;
    int used;
    union {
        dd_pickle_value values[BLOCK];
        dd_pickle_cell cells[BLOCK];
    } at;
};

dd_status dd_pickle_broken(const dd_pickle_machine *m, const char *what)
{
    return DD_FAIL(m->err, DD_ERR_FORMAT, "%s: data.pkl: byte %zu: %s", m->path, m->op_at, what);
}

dd_status dd_pickle_no_memory(const dd_pickle_machine *m)
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

dd_status dd_pickle_push(dd_pickle_machine *m, dd_pickle_value *v)
{
    if (m->n_stack == MAX_STACK) return dd_pickle_broken(m, "more values are stacked than torch.save does");
    if (m->n_stack == m->stack_room) {
        const size_t room = m->stack_room ? 2 * m->stack_room : 256;
        dd_pickle_value **grown = realloc(m->stack, room * sizeof *grown);
        if (!grown) return dd_pickle_no_memory(m);
        m->stack = grown;
        m->stack_room = room;
    }
    m->stack[m->n_stack++] = v;
    return DD_OK;
}

dd_status dd_pickle_make(dd_pickle_machine *m, dd_pickle_value v)
{
    if (m->n_values == MAX_VALUES) return dd_pickle_broken(m, "over 2097152 values");
    block *b = place(&m->p->values);
    if (!b) return dd_pickle_no_memory(m);
    m->n_values++;
    dd_pickle_value *made = &b->at.values[b->used++];
    *made = v;
    return dd_pickle_push(m, made);
}

/* The stack above the last mark: what opcodes without a mark may take from. */
static size_t available(const dd_pickle_machine *m) { return m->n_stack - (m->n_marks ? m->marks[m->n_marks - 1] : 0); }

dd_status dd_pickle_need(const dd_pickle_machine *m, size_t n)
{
    return available(m) >= n ? DD_OK : dd_pickle_broken(m, "an operation lacks its operands");
}

dd_status dd_pickle_pop_mark(dd_pickle_machine *m, size_t *from)
{
    if (m->n_marks == 0) return dd_pickle_broken(m, "an operation lacks its mark");
    *from = m->marks[--m->n_marks];
    return DD_OK;
}

dd_status dd_pickle_append(dd_pickle_machine *m, dd_pickle_value *to, const dd_pickle_value *item)
{
    block *b = place(&m->p->cells);
    if (!b) return dd_pickle_no_memory(m);
    dd_pickle_cell *c = &b->at.cells[b->used++];
    *c = (dd_pickle_cell){item, NULL};
    if (to->last) to->last->next = c;
    else to->first = c;
    to->last = c;
    to->n++;
    return DD_OK;
}

dd_status dd_pickle_memo_put(dd_pickle_machine *m, int64_t i)
{
    DD_TRY(dd_pickle_need(m, 1));
    if (i >= (int64_t)MAX_MEMO) return dd_pickle_broken(m, "a memo of over 4194304 entries");
    if ((size_t)i >= m->memo_room) {
        size_t room = m->memo_room ? m->memo_room : 256;
        while (room <= (size_t)i) room *= 2;
        dd_pickle_value **grown = realloc(m->memo, room * sizeof *grown);
        if (!grown) return dd_pickle_no_memory(m);
        memset(grown + m->memo_room, 0, (room - m->memo_room) * sizeof *grown);
        m->memo = grown;
        m->memo_room = room;
    }
    m->memo[i] = m->stack[m->n_stack - 1];
    return DD_OK;
}

dd_status dd_pickle_memo_get(dd_pickle_machine *m, int64_t i)
{
    if ((size_t)i >= m->memo_room || !m->memo[i]) return dd_pickle_broken(m, "a memo entry that was never put");
    return dd_pickle_push(m, m->memo[i]);
}

dd_status dd_pickle_mark(dd_pickle_machine *m)
{
    if (m->n_marks == DD_PICKLE_MAX_MARKS) return dd_pickle_broken(m, "nested deeper than 256 levels");
    m->marks[m->n_marks++] = m->n_stack;
    return DD_OK;
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
