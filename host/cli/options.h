/* SPDX-License-Identifier: MIT
 * Flags as a table: each row names a flag, its aliases, its type and where its value goes in the command's struct. The
 * same table is parsed, checked, defaulted and printed as help. */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLI_MAX_OPTIONS 96
#define CLI_LIST_MAX 32

typedef enum cli_type {
    CLI_GROUP = 0, /* a heading of the help text */
    CLI_FLAG,      /* bool */
    CLI_COUNT,     /* int: how often it was given */
    CLI_TEXT,      /* const char * */
    CLI_ONCE,      /* the same, but giving it twice is an error */
    CLI_INT,       /* int */
    CLI_I64,       /* int64_t */
    CLI_U64,       /* uint64_t */
    CLI_REAL,      /* double */
    CLI_BYTES,     /* uint64_t, "512M", "1.5GiB" */
    CLI_CHOICE,    /* const char *, one of value's parts, "a|b|c" */
    CLI_PAIR,      /* int[2], as two words or "LO,HI" */
    CLI_REALS,     /* cli_list of numbers, "0.3,0.5"; repeated flags add to it */
    CLI_INTS,      /* cli_list of whole numbers */
    CLI_ABSENT     /* known from other programs; help says what to do instead. Not in the help text */
} cli_type;

typedef struct cli_option {
    cli_type type;
    const char *name;    /* without dashes */
    const char *aliases; /* "steps,s": one letter is a short flag; NULL: none */
    size_t offset;       /* of the value in the command's struct */
    const char *value;   /* as the help shows it: "FILE" */
    const char *deflt;   /* converted like a given value; NULL: the struct stays zero */
    double lo, hi;       /* bounds of numbers, both included */
    const char *help;    /* may hold line breaks */
} cli_option;

typedef struct cli_list {
    int n; /* 0: the flag was not given; a list has no default in the table */
    double v[CLI_LIST_MAX];
} cli_list;

/* One row each: of struct struct_, a heading, and a flag that is not here. */
/* clang-format off */
#define CLI_ROW(struct_, type_, name_, aliases_, field_, ...) \
    {CLI_##type_, name_, aliases_, offsetof(struct_, field_), __VA_ARGS__}
#define CLI_HEADING(name_) {CLI_GROUP, name_, 0, 0, 0, 0, 0, 0, 0}
#define CLI_NOT_HERE(name_, aliases_, help_) {CLI_ABSENT, name_, aliases_, 0, 0, 0, 0, 0, help_}
/* clang-format on */

typedef struct cli_spec {
    const char *command;
    const char *synopsis; /* after "dydit <command> " */
    const char *about;
    const cli_option *options;
    int n_options;
    const char *arg; /* "FILE": name of the argument without a flag; "IN OUT": of two; NULL: none allowed */
    const char *examples;
} cli_spec;

typedef struct cli_args {
    const cli_spec *spec;
    bool given[CLI_MAX_OPTIONS];
    const char *arg, *arg2; /* NULL: not given */
    bool help;              /* --help was among them; nothing else was read */
} cli_args;

/* Fills *target (zeroed first, size bytes) from defaults, then from the words. The last of repeated flags wins,
 * but for CLI_ONCE. 0, or
 * CLI_USAGE after printing what is wrong. */
int cli_parse(const cli_spec *spec, int n_words, char **words, void *target, size_t size, cli_args *out);
bool cli_given(const cli_args *args, const char *name);

/* Converts text for a flag and stores it; second is the other half of a CLI_PAIR. 0 or CLI_USAGE after a message. */
int cli_value_store(const cli_option *o, const char *text, const char *second, void *target);

/* Help of a command, on stdout. */
void cli_help(const cli_spec *spec);

/* Names near `word`: "; did you mean a or b?" into buf, or "" where nothing is near. */
const char *cli_near(const char *word, const char *const *names, int n, const char *dashes, char *buf, size_t size);

#endif
