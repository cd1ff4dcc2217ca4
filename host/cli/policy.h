/* SPDX-License-Identifier: MIT
 * Flags about what steps reuse, of several commands. */
#ifndef CLI_POLICY_H
#define CLI_POLICY_H

#include "cli/common.h"

/* Rows of a flag table for a struct s_ that holds `policy` and `reuse_tokens`. */
#define CLI_POLICY_ROWS(s_)                                                                                          \
    CLI_ROW(s_, ONCE, "policy", 0, policy, "NAME", 0, 0, 0,                                                          \
            "fora:interval=N computes every N-th step and reuses its\nbranches in between; "                         \
            "l2c:router=FILE,threshold=X reuses at\nevery other step what a trained router says;\n"                  \
            "inherit:mode=delta,stride=N reuses what was added,\nmode=output what came out (docs/plan.md)"),         \
        CLI_ROW(s_, TEXT, "reuse-tokens", 0, reuse_tokens, "NAME", 0, 0, 0,                                          \
                "tokens that get a reused MLP: frozen (default), those of\nthen; intersect, of these those of now; " \
                "fresh, those of now")

/* The same, with `cache_dtype`. */
#define CLI_CACHE_ROW(s_)                                                  \
    CLI_ROW(s_, TEXT, "cache-dtype", 0, cache_dtype, "NAME", "auto", 0, 0, \
            "of kept branches: f32, bf16; auto: bf16 in runs in bf16 or fp16")

#endif
