/* SPDX-License-Identifier: MIT
 * Reads the pickle of a torch.save file as data. Nothing is ever called or imported: the machine knows the opcodes
 * that saving tensors needs, tags what a fixed list of globals would have made of their arguments, and keeps anything
 * else (argparse.Namespace, optimizers) as an inert value that a reader can only skip. Every opcode makes at most one
 * value and nothing is copied, so memory is bounded by the size of the pickle, and a memo of at most
 * 32 MiB; nothing recurses.
 * Opcodes: CPython Lib/pickletools.py, protocol 2. */
#ifndef DD_HOST_IO_PICKLE_H
#define DD_HOST_IO_PICKLE_H

#include <stddef.h>
#include <stdint.h>

#include "host/base/status.h"
#include "kernels/dtype.h"

typedef enum dd_pickle_kind {
    DD_PICKLE_INERT, /* of no use to us */
    DD_PICKLE_INT,
    DD_PICKLE_TEXT,
    DD_PICKLE_TUPLE,
    DD_PICKLE_LIST,
    DD_PICKLE_DICT,    /* items: key, value, key, value, … */
    DD_PICKLE_GLOBAL,  /* of the list */
    DD_PICKLE_STORAGE, /* items: "storage", GLOBAL of its dtype, key, device, elements */
    DD_PICKLE_TENSOR   /* items: STORAGE, offset, sizes, strides, … as given to _rebuild_tensor_v2 */
} dd_pickle_kind;

/* What REDUCE makes of a global and its arguments. */
typedef enum dd_pickle_call { DD_CALL_NOTHING, DD_CALL_DICT, DD_CALL_TENSOR, DD_CALL_PARAMETER } dd_pickle_call;

/* Element type of a torch.*Storage. */
typedef struct dd_torch_dtype {
    const char *name; /* as safetensors spells it */
    size_t bytes;
    int known; /* dtype is valid */
    dd_dtype dtype;
} dd_torch_dtype;

typedef struct dd_pickle_cell dd_pickle_cell;

typedef struct dd_pickle_value {
    dd_pickle_kind kind;
    uint32_t n;                   /* items; bytes of TEXT */
    int64_t number;               /* of INT */
    const char *text;             /* of TEXT: in the pickle, not terminated */
    const dd_torch_dtype *dtype;  /* of a GLOBAL that is a storage type */
    dd_pickle_call call;          /* of a GLOBAL */
    dd_pickle_cell *first, *last; /* items */
} dd_pickle_value;

struct dd_pickle_cell {
    const dd_pickle_value *value;
    dd_pickle_cell *next;
};

typedef struct dd_pickle dd_pickle;

/* path: for messages. data [bytes]: stays with the caller and is pointed into. */
dd_status dd_pickle_read(dd_pickle **out, const char *path, const unsigned char *data, size_t bytes, dd_err *err);
void dd_pickle_free(dd_pickle **pickle);

const dd_pickle_value *dd_pickle_root(const dd_pickle *pickle);

/* Item i, or NULL if there are fewer. Walks, so for short lists. */
const dd_pickle_value *dd_pickle_item(const dd_pickle_value *v, uint32_t i);

#endif
