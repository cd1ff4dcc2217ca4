/* SPDX-License-Identifier: MIT
 * The step plan: one row per step, one cell per site. Policies fill cells, the runtime executes them, nothing else
 * knows which method asked. A plan owns copies of all names; it refers to a model only by its id. */
#ifndef DD_HOST_PLAN_PLAN_H
#define DD_HOST_PLAN_PLAN_H

#include <stdint.h>

#include "host/base/status.h"
#include "host/model/model.h"

#define DD_PLAN_MAX_STEPS 1000

typedef enum dd_cell_op {
    DD_CELL_COMPUTE = 0,
    DD_CELL_COMPUTE_STORE,
    DD_CELL_REUSE_BRANCH, /* stored pre-gate output, current gate */
    DD_CELL_REUSE_DELTA,
    DD_CELL_REUSE_OUTPUT,
    DD_CELL_SKIP,
    DD_CELL_OP_COUNT
} dd_cell_op;

typedef enum dd_cell_rows {
    DD_ROWS_ALL = 0,
    DD_ROWS_ROUTED, /* computed: the rows that the token router chooses. REUSE_BRANCH: of what is stored, these */
    DD_ROWS_MASKED  /* COMPUTE_STORE: all rows are computed and stored, these get the result */
} dd_cell_rows;

typedef enum dd_cell_format {
    DD_FORMAT_DEFAULT = 0,
    DD_FORMAT_COUNT
} dd_cell_format; /* weight and activation formats */

typedef struct dd_cell {
    uint64_t units; /* bit u: unit u runs */
    uint8_t op;     /* dd_cell_op */
    uint8_t rows;   /* dd_cell_rows */
    uint8_t format; /* dd_cell_format */
    int16_t router; /* token router of ROUTED rows, -1 otherwise */
} dd_cell;

typedef struct dd_plan_row {
    float timestep; /* on the model's scale, 0..999 */
    int guided;     /* conditional and null rows run; 0: conditional only */
    int weight_set; /* whose weights run, and of which sites the row's cells are */
} dd_plan_row;

#define DD_WEIGHT_SETS 2

/* One weight set's part of the table: its sites, and cells of all rows. Only cells of its own rows mean anything, the
 * others are full. */
typedef struct dd_plan dd_plan;
struct dd_plan {
    uint64_t model_id; /* dd_model.id */
    char arch[64];
    char policy[64]; /* "dydit", "dense", or what a file says */
    int n_steps, n_sites;
    char (*site_name)[40];
    int *site_units;
    dd_plan_row *rows; /* [n_steps], in order of execution */
    dd_cell *cells;    /* [n_steps, n_sites] */
    int weight_set;
    dd_plan *other; /* of set 0: set 1 with rows equal to these, owned; NULL: all rows are of this set */
};

/* The part whose cells a row has. */
static inline const dd_plan *dd_plan_at(const dd_plan *p, int step)
{
    return p->other && p->rows[step].weight_set == p->other->weight_set ? p->other : p;
}

static inline int dd_plan_owns(const dd_plan *p, int step) { return p->rows[step].weight_set == p->weight_set; }

static inline dd_cell *dd_plan_cell(const dd_plan *p, int step, int site)
{
    return p->cells + (int64_t)step * p->n_sites + site;
}

/* The mask of a site's units, 1 .. DD_MAX_UNITS of them. */
static inline uint64_t dd_units_all(int units) { return units >= 64 ? ~(uint64_t)0 : ((uint64_t)1 << units) - 1; }

static inline int dd_cell_op_computes(int op) { return op == DD_CELL_COMPUTE || op == DD_CELL_COMPUTE_STORE; }

static inline int dd_cell_computes(const dd_cell *c) { return dd_cell_op_computes(c->op); }

/* Every cell COMPUTE, all units, ALL rows. timesteps [n_steps], guided [n_steps] or NULL (0). */
dd_status dd_plan_build(dd_plan **out, const dd_model *model, const float *timesteps, const int *guided, int n_steps,
                        dd_err *err);
void dd_plan_free(dd_plan **plan);
/* Deep copy. */
dd_status dd_plan_copy(dd_plan **out, const dd_plan *plan, dd_err *err);

/* Gives rows with timesteps below `timestep` to weight set 1, a plan of the other model with the same timesteps and
 * guidance, which `plan` owns then. Where there are none it is freed, and nothing changes. ERR_ARG where all rows are. */
dd_status dd_plan_switch(dd_plan *plan, dd_plan *other, int timestep, dd_err *err);
/* Cells of the rows of other weight sets become full again. After policies, which fill all rows. */
void dd_plan_keep_own(dd_plan *plan);

/* Checks a plan, without its other weight set, against a model: id, sites, units (at least one where computed, none beyond the site's), routers, order
 * of stores and reuses, none of them across other weights, finite timesteps 0..999. The sentence names step and site. `what` is the file or "plan". */
dd_status dd_plan_validate(const dd_plan *plan, const dd_model *model, const char *what, dd_err *err);

/* The part of it that needs no cells: id, number, names and units of the sites. */
dd_status dd_plan_check_model(const dd_plan *plan, const dd_model *model, const char *what, dd_err *err);

/* Does what a cell computes or adds reach the end of its step, or a slot that is read? Not where a later site of the step
 * replaces the tokens by a stored result: then it does not run. In a model with averages later ones are taken to read what
 * every block made, which is an upper bound. Of a plan that passed dd_plan_validate. */
int dd_plan_live(const dd_plan *plan, const dd_model *model, int step, int site);

/* JSON out and in (schema: docs/plan.md). other: of weight set 1, NULL where there is none. The caller frees the text.
 * Reading validates; a plan of one weight set is read whatever `other` is. */
dd_status dd_plan_to_json(const dd_plan *plan, const dd_model *model, const dd_model *other, char **out, dd_err *err);
dd_status dd_plan_read(dd_plan **out, const dd_model *model, const dd_model *other, const char *path, dd_err *err);

/* Hash of the whole table (of values, not of bytes in memory), for the settings kept with a picture. */
uint64_t dd_plan_hash(const dd_plan *plan);

const char *dd_cell_op_name(int op); /* "COMPUTE" */
int dd_popcount64(uint64_t x);

#endif
