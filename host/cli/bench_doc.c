/* SPDX-License-Identifier: MIT
 * The document of a benchmark: its head, reading one from a file, values by path. Schema: docs/bench.md. */
#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700
#endif
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#include "cli/bench.h"
#include "cli/commit.h" /* made by make */

static void put(json_t *o, const char *key, const char *text)
{
    json_t *v = json_string(text); /* NULL where it is no UTF-8 */
    json_object_set_new(o, key, v ? v : json_null());
}

/* "Intel(R) Xeon(R) …" of Linux on x86; "unknown" elsewhere. */
static void cpu_name(char *name, size_t size)
{
    char line[256];
    FILE *f = fopen("/proc/cpuinfo", "r");
    snprintf(name, size, "unknown");
    while (f && fgets(line, sizeof line, f)) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !colon) continue;
        line[strcspn(line, "\n")] = 0;
        snprintf(name, size, "%s", colon + 1 + strspn(colon + 1, " \t"));
        break;
    }
    if (f) fclose(f);
}

static json_t *machine_doc(const bench_job *job, const json_t *info)
{
    char cpu[256];
    struct utsname u;
    double read = 0;
    json_t *m = json_object();
    cpu_name(cpu, sizeof cpu);
    put(m, "cpu", cpu);
    put(m, "arch", uname(&u) == 0 ? u.machine : "unknown");
    json_object_set(m, "cpus", json_object_get(info, "cpus"));
    const bool known = dydit_measure_read(job->ctx, &read) == DYDIT_OK;
    json_object_set_new(m, "read_bytes_per_s", known ? json_real(read) : json_null());
    return m;
}

/* The device in use, or NULL. */
static json_t *device_doc(const json_t *info)
{
    static const char *const own[] = {"index", "name", "compute_capability", "memory_bytes"};
    static const char *const shared[] = {"driver", "runtime", "built"};
    char path[64], name[32];
    const json_t *devices = json_object_get(info, "devices"), *d = NULL;
    for (size_t i = 0; !d && i < json_array_size(devices); i++) {
        if (json_is_true(json_object_get(json_array_get(devices, i), "in_use"))) d = json_array_get(devices, i);
    }
    if (!d) return NULL;
    json_t *doc = json_object();
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) json_object_set(doc, own[i], json_object_get(d, own[i]));
    for (size_t i = 0; i < sizeof shared / sizeof shared[0]; i++) {
        snprintf(path, sizeof path, "plugins.%s.%s", bench_string(info, "backend", name, sizeof name), shared[i]);
        json_object_set(doc, shared[i], (json_t *)(uintptr_t)bench_get(info, path));
    }
    return doc;
}

static json_t *backend_doc(const json_t *info)
{
    char detail[128], isa[128];
    json_t *b = json_object();
    bench_string(info, "detail", detail, sizeof detail);
    snprintf(isa, sizeof isa, "%.*s", (int)strcspn(detail, ","), detail);
    json_object_set(b, "name", json_object_get(info, "backend"));
    put(b, "isa", isa); /* "avx512, 2 threads" begins with it */
    json_object_set(b, "threads", json_object_get(info, "threads"));
    json_object_set(b, "graphs", json_object_get(info, "graphs"));
    json_t *device = device_doc(info);
    if (device) json_object_set_new(b, "device", device);
    return b;
}

static json_t *model_doc(const bench_job *job)
{
    const dydit_model_info *i = &job->info;
    json_t *m = json_object();
    put(m, "arch", i->arch);
    put(m, "weights", job->a.common.ckpt ? job->a.common.ckpt : "random");
    json_object_set_new(m, "input_size", json_integer(i->input_size));
    json_object_set_new(m, "tokens", json_integer(i->tokens));
    json_object_set_new(m, "parameters", json_integer(i->parameters));
    return m;
}

static json_t *protocol_doc(const bench_args *a)
{
    json_t *p = json_object();
    char seed[32];
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)a->seed);
    json_object_set_new(p, "cfg_scale", json_real(a->cfg_scale));
    put(p, "seed", seed);
    json_object_set_new(p, "warmup", json_integer(a->warmup));
    json_object_set_new(p, "repeat", json_integer(a->repeat));
    json_object_set_new(p, "vs_dense", json_boolean(a->vs_dense));
    if (a->policy) put(p, "policy", a->policy);
    if (a->later.text) put(p, "switch", a->later.text);
    if (a->reuse_tokens) put(p, "reuse_tokens", a->reuse_tokens);
    if (a->cache_dtype) put(p, "cache_dtype", a->cache_dtype);
    return p;
}

int bench_doc_new(bench_job *job)
{
    char *text = NULL, when[32];
    struct tm tm;
    const time_t now = time(NULL);
    const dydit_status st = dydit_info(job->ctx, DYDIT_JSON, &text);
    if (st != DYDIT_OK) return cli_fail_status(job->ctx, st);
    json_t *info = json_loads(text, 0, NULL), *build = json_object(), *d = json_object();
    dydit_free(text);
    json_object_set(build, "compiler", json_object_get(info, "compiler"));
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
    put(d, "schema", BENCH_SCHEMA);
    json_object_set_new(d, "schema_version", json_integer(BENCH_SCHEMA_VERSION));
    put(d, "timestamp_utc", when);
    put(d, "version", dydit_version());
    put(d, "git_commit", CLI_COMMIT);
    put(d, "command", job->command);
    json_object_set_new(d, "machine", machine_doc(job, info));
    json_object_set_new(d, "build", build);
    json_object_set_new(d, "backend", backend_doc(info));
    json_object_set_new(d, "model", model_doc(job));
    json_object_set_new(d, "protocol", protocol_doc(&job->a));
    json_object_set_new(d, "cases", json_array());
    json_decref(info);
    job->doc = d;
    return d ? CLI_OK : cli_fail(CLI_SYSTEM, "out of memory");
}

int bench_doc_read(json_t **doc, const char *flag, const char *path)
{
    json_error_t why;
    char schema[64];
    *doc = json_load_file(path, JSON_REJECT_DUPLICATES, &why);
    if (!*doc) {
        FILE *f = fopen(path, "r");
        if (f) fclose(f);
        if (!f) return cli_fail(CLI_INPUT, "%s: %s cannot be opened", flag, path);
        return cli_fail(CLI_INPUT, "%s: %s is not JSON: line %d: %s", flag, path, why.line, why.text);
    }
    bench_string(*doc, "schema", schema, sizeof schema);
    if (strcmp(schema, BENCH_SCHEMA) != 0 || !json_is_array(json_object_get(*doc, "cases"))) {
        return cli_fail(CLI_INPUT, "%s: %s is no report of dydit bench --json", flag, path);
    }
    if ((int)bench_number(*doc, "schema_version") != BENCH_SCHEMA_VERSION) {
        return cli_fail(CLI_INPUT, "%s: %s has schema_version %g, this version reads %d", flag, path,
                        bench_number(*doc, "schema_version"), BENCH_SCHEMA_VERSION);
    }
    return CLI_OK;
}

const json_t *bench_get(const json_t *obj, const char *path)
{
    while (obj) {
        char key[64];
        const size_t n = strcspn(path, ".");
        snprintf(key, sizeof key, "%.*s", (int)n, path);
        obj = json_object_get(obj, key);
        if (!path[n]) return obj;
        path += n + 1;
    }
    return NULL;
}

double bench_number(const json_t *obj, const char *path) { return json_number_value(bench_get(obj, path)); }

const char *bench_string(const json_t *obj, const char *path, char *buf, size_t size)
{
    const char *s = json_string_value(bench_get(obj, path));
    snprintf(buf, size, "%s", s ? s : "unknown");
    return buf;
}

const char *bench_case_name(const json_t *c, char *buf, size_t size)
{
    char mode[32];
    bench_string(c, "mode", mode, sizeof mode);
    const double ratio = bench_number(c, "ratio");
    if (ratio > 0) snprintf(buf, size, "%s %g", mode, ratio);
    else snprintf(buf, size, "%s", mode);
    return buf;
}

static const json_t *find_dense(const json_t *cases, const json_t *of)
{
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *c = json_array_get(cases, i);
        char mode[32];
        if (strcmp(bench_string(c, "mode", mode, sizeof mode), "dense") == 0 &&
            bench_number(c, "batch") == bench_number(of, "batch")) {
            return c;
        }
    }
    return NULL;
}

void bench_doc_finish(json_t *doc)
{
    json_t *cases = json_object_get(doc, "cases");
    for (size_t i = 0; i < json_array_size(cases); i++) {
        json_t *c = json_array_get(cases, i);
        const json_t *dense = find_dense(cases, c);
        const double s = bench_number(c, "seconds.median"), ratio = bench_number(c, "mac_ratio");
        if (dense == c) continue;
        if (!bench_get(c, "speedup") && dense && s > 0) {
            json_t *speedup = json_pack("{sfsb}", "median", bench_number(dense, "seconds.median") / s, "paired", 0);
            json_object_set_new(c, "speedup", speedup);
            if (bench_get(dense, "ops")) json_object_set(c, "dense_ops", json_object_get(dense, "ops"));
        }
        if (bench_get(c, "speedup") && ratio > 0) {
            json_object_set_new(c, "realised", json_real(bench_number(c, "speedup.median") / ratio));
        }
    }
}
