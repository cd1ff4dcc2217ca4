/* SPDX-License-Identifier: MIT
 * What the pickle machine holds: values, stack, marks and memo, each within its bound. Internal to pickle*.c. */
#ifndef DD_HOST_IO_PICKLE_MACHINE_H
#define DD_HOST_IO_PICKLE_MACHINE_H

#include <stdbool.h>

#include "host/io/pickle.h"

#define DD_PICKLE_MAX_MARKS 256u

struct dd_pickle {
    struct dd_pickle_block *values, *cells; /* lists of blocks */
    const dd_pickle_value *root;
};

typedef struct dd_pickle_machine {
    dd_pickle *p;
    const char *path;
    const unsigned char *data;
    size_t bytes, at, op_at;
    dd_pickle_value **stack;
    size_t n_stack, stack_room;
    size_t marks[DD_PICKLE_MAX_MARKS];
    size_t n_marks, n_values;
    dd_pickle_value **memo;
    size_t memo_room;
    dd_err *err;
} dd_pickle_machine;

/* The error of the operation at op_at. */
dd_status dd_pickle_broken(const dd_pickle_machine *m, const char *what);
dd_status dd_pickle_no_memory(const dd_pickle_machine *m);

dd_status dd_pickle_push(dd_pickle_machine *m, dd_pickle_value *v);
/* Pushes a new value. */
dd_status dd_pickle_make(dd_pickle_machine *m, dd_pickle_value v);
/* At least n values above the last mark, which operations without a mark may take. */
dd_status dd_pickle_need(const dd_pickle_machine *m, size_t n);

dd_status dd_pickle_mark(dd_pickle_machine *m);
/* *from: where the stack above that mark begins. */
dd_status dd_pickle_pop_mark(dd_pickle_machine *m, size_t *from);

/* A further item of a container. */
dd_status dd_pickle_append(dd_pickle_machine *m, dd_pickle_value *to, const dd_pickle_value *item);

/* The uppermost value becomes entry i, which is not negative; entry i is pushed. */
dd_status dd_pickle_memo_put(dd_pickle_machine *m, int64_t i);
dd_status dd_pickle_memo_get(dd_pickle_machine *m, int64_t i);

#endif
