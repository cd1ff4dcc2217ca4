/* SPDX-License-Identifier: MIT
 * A session runs one plan of one model on a backend, batch by batch, and of a plan the rows of its own weight set: it owns the arena, the parameter tables and the
 * programs. Everything is allocated when it opens, but what the backend records of programs: a batch of another size
 * lowers and records anew. Stepping allocates nothing. */
#ifndef DD_HOST_EXEC_SESSION_H
#define DD_HOST_EXEC_SESSION_H

#include "host/exec/backend.h"
#include "host/exec/run_spec.h"
#include "host/exec/weights.h"

typedef struct dd_session dd_session;

/* Bytes by purpose, known before anything is allocated. */
typedef struct dd_footprint {
    size_t activations, cond, tables, latents, scratch;
    size_t slots;  /* what steps keep for later steps */
    size_t graphs; /* an assumption per op, DD_GRAPH_NODE_BYTES; 0 where nothing is recorded */
    int programs, graph_ops;
} dd_footprint;

dd_status dd_footprint_compute(dd_footprint *out, const dd_run_spec *spec, dd_backend *be, dd_err *err);

/* spec is copied; what it points to, the backend and the weights are borrowed for the session's life. */
dd_status dd_session_open(dd_session **out, const dd_run_spec *spec, dd_backend *be, const dd_weight_store *weights,
                          dd_err *err);
void dd_session_close(dd_session **s);
size_t dd_session_bytes(const dd_session *s);

/* Starts a batch of 1..max_images images with these labels (0..num_classes) and clears hits and kept counts. */
dd_status dd_session_batch(dd_session *s, int images, const int *labels, dd_err *err);

/* Of a spec that draws: after dd_session_batch, places the streams of its images, of which `first` is the first of the
 * run, and draws their latents if the spec wants that. */
dd_status dd_session_seed(dd_session *s, int64_t first, dd_err *err);

/* Arrays of the current batch, host side. rows = images, doubled at guided steps. */
typedef enum dd_io {
    DD_IO_LATENTS, /* [images, latents] f32 */
    DD_IO_NOISE,   /* [images, latents] f32 */
    DD_IO_X0,      /* [images, latents] f32 */
    DD_IO_KEPT_X,  /* [dd_spec_kept, images, latents] f32, of the solver */
    DD_IO_OUT,     /* [rows, out] f32 */
    DD_IO_MASK,    /* [token routers, rows, S] u8 */
    DD_IO_FORCED,  /* [token routers, rows, S] u8 */
    DD_IO_HITS,    /* [rows, S] i32 */
    DD_IO_KEPT,    /* [token routers, steps] i32 */
    DD_IO_HIDDEN,  /* [depth, rows, S, D] f32 */
    DD_IO_COUNT
} dd_io;

size_t dd_session_io_bytes(const dd_session *s, dd_io what, int rows);
/* Where the array lies on the backend; NULL: it is not there. */
void *dd_session_io(const dd_session *s, dd_io what);
dd_status dd_session_put(dd_session *s, dd_io what, int rows, const void *src, dd_err *err);
dd_status dd_session_get(dd_session *s, dd_io what, int rows, void *dst, dd_err *err);

/* Runs one step of the plan, and the conditioning of its chunk of steps where that is not there yet. */
dd_status dd_session_step(dd_session *s, int step, dd_err *err);

/* Programs of the steps, one for every structure of the plan, in the form that they have for the current batch. */
typedef struct dd_graphs {
    int programs;
    int live, nodes; /* of them that the backend has recorded, and their nodes */
    int recorded;    /* since the session opened: once more where batches change their size */
} dd_graphs;
dd_graphs dd_session_graphs(const dd_session *s);

/* The programs that dd_session_step would run now, for those who run them op by op: part [DD_MAX_PARTS], returns how
 * many. The caller must run all of them. Borrowed until the next batch. */
#define DD_MAX_PARTS 2
typedef struct dd_part {
    const dd_program *program;
    int step; /* where the step counter stands */
} dd_part;
int dd_session_parts(dd_session *s, int step, dd_part *part);
/* Does the token router of a site run at this step? Not where nobody reads what it decides. */
bool dd_session_routes(const dd_session *s, int step, int site);
dd_backend *dd_session_backend(const dd_session *s);
const dd_weight_store *dd_session_weights(const dd_session *s);
const dd_run_spec *dd_session_spec(const dd_session *s);

#endif
