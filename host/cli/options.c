/* SPDX-License-Identifier: MIT
 * Reads the words after a command by its flag table. */
#include "cli/options.h"

#include <stdio.h>
#include <string.h>

#include "cli/term.h"

#define NAME_MAX_LEN 64

/* Does `aliases` ("steps,s") hold this name of n characters? */
static bool in_list(const char *aliases, const char *name, size_t n)
{
    for (const char *p = aliases; p && *p;) {
        const size_t len = strcspn(p, ",");
        if (len == n && strncmp(p, name, n) == 0) return true;
        p += len + (p[len] == ',');
    }
    return false;
}

static int find_option(const cli_spec *spec, const char *name, size_t n)
{
    for (int i = 0; i < spec->n_options; i++) {
        const cli_option *o = &spec->options[i];
        if (o->type == CLI_GROUP) continue;
        if (strlen(o->name) == n && strncmp(o->name, name, n) == 0) return i;
        if (in_list(o->aliases, name, n)) return i;
    }
    return -1;
}

static bool takes_value(const cli_option *o)
{
    return o->type != CLI_FLAG && o->type != CLI_COUNT && o->type != CLI_ABSENT;
}

static int unknown_flag(const cli_spec *spec, const char *word, const char *name)
{
    const char *names[CLI_MAX_OPTIONS * 2];
    char aliases[CLI_MAX_OPTIONS][NAME_MAX_LEN];
    int n = 0;
    for (int i = 0; i < spec->n_options; i++) {
        const cli_option *o = &spec->options[i];
        if (o->type == CLI_GROUP || o->type == CLI_ABSENT) continue;
        names[n++] = o->name;
        const size_t len = o->aliases ? strcspn(o->aliases, ",") : 0;
        if (len < 2 || len >= NAME_MAX_LEN) continue;
        memcpy(aliases[i], o->aliases, len);
        aliases[i][len] = 0;
        names[n++] = aliases[i];
    }
    char near[256];
    cli_near(name, names, n, "--", near, sizeof near);
    if (near[0]) return cli_fail(CLI_USAGE, "unknown flag %s%s", word, near);
    return cli_fail(CLI_USAGE, "unknown flag %s (see 'dydit %s --help')", word, spec->command);
}

/* Splits "--some_name=value" or "-nvalue" into the row of the table and the value, NULL if there is none. */
static int split_flag(const cli_spec *spec, const char *word, int *row, const char **value)
{
    char name[NAME_MAX_LEN];
    *value = NULL;
    if (word[1] != '-') {
        *row = find_option(spec, word + 1, 1);
        if (*row < 0) return unknown_flag(spec, word, word + 1);
        if (word[2]) *value = word[2] == '=' ? word + 3 : word + 2;
        if (*value && !takes_value(&spec->options[*row])) return unknown_flag(spec, word, word + 1);
        return CLI_OK;
    }
    const size_t n = strcspn(word + 2, "=");
    if (n >= sizeof name) return cli_fail(CLI_USAGE, "unknown flag %s", word);
    for (size_t i = 0; i < n; i++) name[i] = word[2 + i] == '_' ? '-' : word[2 + i];
    name[n] = 0;
    *row = n >= 2 ? find_option(spec, name, n) : -1;
    if (*row < 0) {
        char shown[NAME_MAX_LEN + 2];
        snprintf(shown, sizeof shown, "--%s", name);
        return unknown_flag(spec, shown, name);
    }
    if (word[2 + n] == '=') *value = word + 3 + n;
    return CLI_OK;
}

/* Would this word be a flag rather than the value of the flag before it? Numbers such as -1 and "-" are values. */
static bool looks_like_flag(const char *word)
{
    return word[0] == '-' && word[1] && !(word[1] >= '0' && word[1] <= '9') && word[1] != '.';
}

static int read_flag(const cli_spec *spec, int n_words, char **words, int *at, void *target, cli_args *out)
{
    int row = -1;
    const char *value, *second = NULL;
    const int rc = split_flag(spec, words[*at], &row, &value);
    if (rc != CLI_OK) return rc;
    const cli_option *o = &spec->options[row];
    out->given[row] = true;
    if (o->type == CLI_ABSENT) return cli_fail(CLI_USAGE, "--%s: not in this version; %s", o->name, o->help);
    if (!takes_value(o)) {
        if (value) return cli_fail(CLI_USAGE, "--%s takes no value, but was given '%s'", o->name, value);
        return cli_value_store(o, NULL, NULL, target);
    }
    const int wanted = value ? 0 : o->type == CLI_PAIR ? 2 : 1;
    for (int i = 0; i < wanted; i++) {
        if (*at + 1 >= n_words || looks_like_flag(words[*at + 1])) {
            return cli_fail(CLI_USAGE, "--%s needs %s: %s", o->name, wanted == 2 ? "two values" : "a value", o->value);
        }
        *at += 1;
        if (i == 0) value = words[*at];
        if (i == 1) second = words[*at];
    }
    return cli_value_store(o, value, second, target);
}

static int take_argument(const cli_spec *spec, const char *word, cli_args *out)
{
    if (!spec->arg) {
        return cli_fail(CLI_USAGE, "unexpected argument '%s'; 'dydit %s' takes flags only", word, spec->command);
    }
    const char **const place = !out->arg ? &out->arg : !out->arg2 && strchr(spec->arg, ' ') ? &out->arg2 : NULL;
    if (!place)
        return cli_fail(CLI_USAGE, "unexpected argument '%s' after '%s'", word, out->arg2 ? out->arg2 : out->arg);
    *place = word;
    return CLI_OK;
}

int cli_parse(const cli_spec *spec, int n_words, char **words, void *target, size_t size, cli_args *out)
{
    memset(target, 0, size);
    memset(out, 0, sizeof *out);
    out->spec = spec;
    for (int i = 0; i < n_words && strcmp(words[i], "--") != 0; i++) {
        if (strcmp(words[i], "--help") == 0 || strcmp(words[i], "-h") == 0) out->help = true;
    }
    if (out->help) return CLI_OK;
    for (int i = 0; i < spec->n_options; i++) {
        const cli_option *o = &spec->options[i];
        if (!o->deflt) continue;
        const int rc = cli_value_store(o, o->deflt, NULL, target);
        if (rc != CLI_OK) return rc;
    }
    bool flags = true;
    for (int i = 0; i < n_words; i++) {
        int rc;
        if (flags && strcmp(words[i], "--") == 0) {
            flags = false;
            continue;
        }
        if (flags && words[i][0] == '-' && words[i][1]) {
            rc = read_flag(spec, n_words, words, &i, target, out);
        } else {
            rc = take_argument(spec, words[i], out);
        }
        if (rc != CLI_OK) return rc;
    }
    return CLI_OK;
}

bool cli_given(const cli_args *args, const char *name)
{
    const int i = find_option(args->spec, name, strlen(name));
    return i >= 0 && args->given[i];
}
