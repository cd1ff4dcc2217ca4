/* SPDX-License-Identifier: MIT
 * Unit tests of host/base: errors, log, text buffer, hash, edit distance, checked sizes, thread pool. */
#define _GNU_SOURCE /* sched_setaffinity */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "host/base/log.h"
#include "host/base/pool.h"
#include "host/base/sizes.h"
#include "host/base/status.h"
#include "host/base/str.h"

static void status_names_and_texts(void **state)
{
    (void)state;
    assert_string_equal(dd_status_name(DD_OK), "OK");
    assert_string_equal(dd_status_name(DD_ERR_FORMAT), "ERR_FORMAT");
    assert_string_equal(dd_status_text(DD_ERR_ARG), "invalid argument");
    assert_string_equal(dd_status_name((dd_status)-9999), "ERR_UNKNOWN");
    assert_string_equal(dd_status_text((dd_status)-9999), "unknown status");
}

static void first_error_is_kept(void **state)
{
    (void)state;
    dd_err err = {0};
    assert_int_equal(DD_FAIL(&err, DD_ERR_IO, "%s: %d", "a.png", 5), DD_ERR_IO);
    assert_int_equal(DD_FAIL(&err, DD_ERR_ARG, "second"), DD_ERR_ARG);
    assert_int_equal(err.status, DD_ERR_IO);
    assert_string_equal(err.text, "a.png: 5");
    assert_non_null(strstr(err.file, "test_base.c"));
    assert_true(err.line > 0);
    dd_err_clear(&err);
    assert_int_equal(err.status, DD_OK);
    assert_string_equal(err.text, "");
    assert_int_equal(DD_FAIL(NULL, DD_ERR_NOMEM, "nobody listens"), DD_ERR_NOMEM);
    dd_err_clear(NULL);
}

static void error_text_is_printable_and_bounded(void **state)
{
    (void)state;
    dd_err err = {0};
    DD_FAIL(&err, DD_ERR_FORMAT, "tensor %s",
            "a\x1b[2J\nb\x7f\xc2\x9b"
            "c\xc3\xa4");
    assert_string_equal(err.text, "tensor a?[2J?b???c\xc3\xa4");
    /* Two-byte characters throughout, so that a cut at any odd place would split one. */
    char wide[4096];
    for (size_t i = 0; i + 1 < sizeof wide; i += 2) memcpy(wide + i, "\xc3\xa4", 2);
    wide[sizeof wide - 2] = '\0';
    for (int shift = 0; shift < 2; shift++) {
        dd_err_clear(&err);
        DD_FAIL(&err, DD_ERR_FORMAT, "%s%s", shift ? "x" : "", wide);
        const size_t n = strlen(err.text);
        assert_true(n < DD_ERR_TEXT && n > DD_ERR_TEXT - 8);
        assert_string_equal(err.text + n - 3, "...");
        assert_int_equal((unsigned char)err.text[n - 4], 0xa4);
    }
}

static dd_status passes_on(dd_status st)
{
    DD_TRY(st);
    return DD_ERR_INTERNAL;
}

static dd_status jumps(dd_status arg)
{
    dd_status st;
    DD_TRY_GOTO(st, arg, done);
    return DD_ERR_INTERNAL;
done:
    return st;
}

static void try_macros(void **state)
{
    (void)state;
    assert_int_equal(passes_on(DD_ERR_IO), DD_ERR_IO);
    assert_int_equal(passes_on(DD_OK), DD_ERR_INTERNAL);
    assert_int_equal(jumps(DD_ERR_IO), DD_ERR_IO);
    assert_int_equal(jumps(DD_OK), DD_ERR_INTERNAL);
}

typedef struct sink {
    int calls, level;
    char text[4096];
} sink;

static void keep_line(void *user, int level, const char *text)
{
    sink *s = user;
    s->calls++;
    s->level = level;
    snprintf(s->text, sizeof s->text, "%s", text);
}

static void log_goes_to_the_callback(void **state)
{
    (void)state;
    static sink s;
    const dd_log log = {keep_line, &s}, silent = {NULL, NULL};
    dd_log_write(&log, DD_LOG_INFO, "step %d of %d", 3, 250);
    assert_int_equal(s.calls, 1);
    assert_int_equal(s.level, DD_LOG_INFO);
    assert_string_equal(s.text, "step 3 of 250");
    dd_log_write(&silent, DD_LOG_WARN, "nothing");
    dd_log_write(NULL, DD_LOG_WARN, "nothing");
    dd_log_write(&log, DD_LOG_DEBUG, "%5000d", 1);
    assert_int_equal(s.calls, 2);
    assert_true(strlen(s.text) > 1000);
}

static void text_grows(void **state)
{
    (void)state;
    dd_str s = {0};
    char *text = NULL;
    for (int i = 0; i < 5000; i++) dd_str_addf(&s, "%04d,", i);
    dd_str_add(&s, "");
    assert_int_equal(s.len, 25000);
    assert_int_equal(dd_str_take(&s, &text, NULL), DD_OK);
    assert_int_equal(strlen(text), 25000);
    assert_memory_equal(text + 24990, "4998,4999,", 11);
    assert_null(s.data);
    free(text);
    assert_int_equal(dd_str_take(&s, &text, NULL), DD_OK);
    assert_string_equal(text, "");
    free(text);
    dd_str_add(&s, "dropped");
    dd_str_free(&s);
    assert_null(s.data);
    dd_str_free(&s);
}

static void text_remembers_failure(void **state)
{
    (void)state;
    dd_err err = {0};
    dd_str s = {0};
    char *text = NULL;
    dd_str_add(&s, "some");
    s.failed = 1; /* what a failed allocation leaves */
    dd_str_add(&s, "more");
    dd_str_addf(&s, "%d", 1);
    assert_string_equal(s.data, "some");
    assert_int_equal(dd_str_take(&s, &text, &err), DD_ERR_NOMEM);
    assert_null(text);
    assert_null(s.data);
    assert_int_equal(s.failed, 0);
}

static void xml_is_escaped(void **state)
{
    (void)state;
    dd_str s = {0};
    char *text = NULL;
    dd_str_add_xml(&s, "<a href=\"x\">b & 'c'\t\n\x01</a>\xc3\xa4");
    assert_int_equal(dd_str_take(&s, &text, NULL), DD_OK);
    assert_string_equal(text, "&lt;a href=&quot;x&quot;&gt;b &amp; &#39;c&#39;&#9;&#10;?&lt;/a&gt;\xc3\xa4");
    free(text);
}

static void utf8_is_checked(void **state)
{
    (void)state;
    assert_true(dd_utf8_valid(""));
    assert_true(
        dd_utf8_valid("a\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"));
    static const char *const bad[] = {
        "\x80", "\xc3",     "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80",
        "\xff", "\xe2\x82", "\xc3\xc3"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_false(dd_utf8_valid(bad[i]));
}

static void hash_is_fnv1a(void **state)
{
    (void)state;
    /* Published test vectors of FNV-1a, 64 bits. */
    assert_true(dd_hash(DD_HASH_INIT, "", 0) == 0xcbf29ce484222325u);
    assert_true(dd_hash(DD_HASH_INIT, "a", 1) == 0xaf63dc4c8601ec8cu);
    assert_true(dd_hash(DD_HASH_INIT, "foobar", 6) == 0x85944171f73967e8u);
    assert_true(dd_hash(dd_hash(DD_HASH_INIT, "foo", 3), "bar", 3) == 0x85944171f73967e8u);
}

static void edit_distances(void **state)
{
    (void)state;
    char longest[66];
    memset(longest, 'a', 65);
    longest[65] = '\0';
    assert_int_equal(dd_edit_distance("", ""), 0);
    assert_int_equal(dd_edit_distance("abc", ""), 3);
    assert_int_equal(dd_edit_distance("kitten", "sitting"), 3);
    assert_int_equal(dd_edit_distance("Saturday", "sUNDAY"), 3);
    assert_int_equal(dd_edit_distance("--STEPS", "--steps"), 0);
    assert_int_equal(dd_edit_distance(longest, "a"), 64);
    assert_int_equal(dd_edit_distance(longest + 1, ""), 64);
    assert_int_equal(dd_edit_distance(longest + 1, longest + 1), 0);
}

static void sizes_are_checked(void **state)
{
    (void)state;
    size_t r = 7;
    assert_true(dd_mul_size(SIZE_MAX, 0, &r) && r == 0);
    assert_true(dd_mul_size(SIZE_MAX, 1, &r) && r == SIZE_MAX);
    assert_false(dd_mul_size(SIZE_MAX / 2 + 1, 2, &r));
    assert_true(dd_add_size(SIZE_MAX - 1, 1, &r) && r == SIZE_MAX);
    assert_false(dd_add_size(SIZE_MAX, 1, &r));
    assert_true(dd_align_size(65, 64, &r) && r == 128);
    assert_true(dd_align_size(0, 64, &r) && r == 0);
    assert_false(dd_align_size(SIZE_MAX - 3, 64, &r));
}

enum { MAX_ITEMS = 4096, MAX_TEST_THREADS = 64 };

/* Plain arrays on purpose: the pool itself must order the accesses, which the thread sanitizer checks. */
typedef struct job {
    int n_threads;
    int runs[MAX_ITEMS];
    int64_t per_thread[MAX_TEST_THREADS];
    int nap_us;
    atomic_int bad_thread;
} job;

static void count_item(void *arg, int item, int thread)
{
    job *j = arg;
    if (thread < 0 || thread >= j->n_threads) {
        atomic_fetch_add(&j->bad_thread, 1);
        return;
    }
    j->runs[item]++;
    j->per_thread[thread] += item;
    if (j->nap_us) nanosleep(&(struct timespec){0, j->nap_us * 1000}, NULL);
}

static void run_and_check(dd_pool *pool, int n_items, int nap_us)
{
    static job j;
    memset(&j, 0, sizeof j);
    j.n_threads = dd_pool_threads(pool);
    j.nap_us = nap_us;
    dd_pool_for(pool, n_items, count_item, &j);
    int64_t sum = 0;
    for (int i = 0; i < n_items; i++) assert_int_equal(j.runs[i], 1);
    for (int i = 0; i < MAX_TEST_THREADS; i++) sum += j.per_thread[i];
    assert_true(sum == (int64_t)n_items * (n_items - 1) / 2);
    assert_int_equal(j.bad_thread, 0);
}

static void pool_runs_every_item_once(void **state)
{
    (void)state;
    static const int threads[] = {1, 2, 3, 8, 33};
    static const int items[] = {0, 1, 2, 3, 7, 32, 33, 1000, MAX_ITEMS};
    for (size_t t = 0; t < sizeof threads / sizeof *threads; t++) {
        dd_pool *pool = NULL;
        assert_int_equal(dd_pool_open(&pool, threads[t], NULL), DD_OK);
        assert_int_equal(dd_pool_threads(pool), threads[t]);
        for (size_t i = 0; i < sizeof items / sizeof *items; i++) run_and_check(pool, items[i], 0);
        dd_pool_close(&pool);
        assert_null(pool);
        dd_pool_close(&pool);
    }
}

/* Many short jobs of changing width: workers join, sit out, spin and sleep in every order. */
static void pool_survives_many_jobs(void **state)
{
    (void)state;
    for (int threads = 2; threads <= 5; threads++) {
        dd_pool *pool = NULL;
        assert_int_equal(dd_pool_open(&pool, threads, NULL), DD_OK);
        for (int k = 0; k < 1500; k++) {
            run_and_check(pool, k % 9, 0);
            if (k % 100 == 0) nanosleep(&(struct timespec){0, 300000}, NULL); /* long enough for workers to sleep */
        }
        run_and_check(pool, 20, 200); /* long enough for the caller to sleep */
        dd_pool_close(&pool);
    }
}

static void pool_opens_and_closes_unused(void **state)
{
    (void)state;
    for (int i = 0; i < 30; i++) {
        dd_pool *pool = NULL;
        assert_int_equal(dd_pool_open(&pool, i % 5 + 1, NULL), DD_OK);
        dd_pool_close(&pool);
    }
}

static void pool_chooses_and_refuses(void **state)
{
    (void)state;
    dd_err err = {0};
    dd_pool *pool = NULL;
    assert_true(dd_cpu_count() >= 1);
    assert_int_equal(dd_pool_open(&pool, 0, &err), DD_OK);
    assert_int_equal(dd_pool_threads(pool), dd_cpu_count());
    dd_pool_close(&pool);
    assert_int_equal(dd_pool_open(&pool, -1, &err), DD_ERR_ARG);
    assert_non_null(strstr(err.text, "-1 threads"));
    assert_null(pool);
    assert_int_equal(dd_pool_open(&pool, 1000000, NULL), DD_ERR_ARG);
}

typedef struct affinity_job {
    atomic_int pinned, caller_moved;
    int n_allowed;
} affinity_job;

static void look_at_affinity(void *arg, int item, int thread)
{
    affinity_job *j = arg;
    (void)item;
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return;
    if (thread > 0 && CPU_COUNT(&set) == 1) atomic_fetch_add(&j->pinned, 1);
    if (thread == 0 && CPU_COUNT(&set) != j->n_allowed) atomic_fetch_add(&j->caller_moved, 1);
    nanosleep(&(struct timespec){0, 2000000}, NULL); /* lets every thread take an item */
}

static void pool_pins_workers_only(void **state)
{
    (void)state;
    cpu_set_t before;
    if (sched_getaffinity(0, sizeof before, &before) != 0 || CPU_COUNT(&before) < 2) {
        print_message("# needs two CPUs\n");
        skip();
    }
    affinity_job j = {.n_allowed = CPU_COUNT(&before)};
    dd_pool *pool = NULL;
    assert_int_equal(dd_pool_open(&pool, 2, NULL), DD_OK);
    for (int k = 0; k < 50 && j.pinned == 0; k++) dd_pool_for(pool, 4, look_at_affinity, &j);
    dd_pool_close(&pool);
    assert_true(j.pinned > 0);
    assert_int_equal(j.caller_moved, 0);
}

static void add_item(void *arg, int item, int thread)
{
    (void)thread;
    atomic_fetch_add((atomic_int *)arg, item);
}

/* No assertion here: cmocka's jump must stay in the thread that runs the test. Returns arg on failure. */
static void *use_own_pool(void *arg)
{
    dd_pool *pool = NULL;
    atomic_int sum;
    atomic_init(&sum, 0);
    if (dd_pool_open(&pool, 3, NULL) != DD_OK) return arg;
    for (int k = 0; k < 100; k++) dd_pool_for(pool, 10, add_item, &sum);
    dd_pool_close(&pool);
    return atomic_load(&sum) == 4500 ? NULL : arg;
}

static void pools_are_independent(void **state)
{
    (void)state;
    pthread_t t[3];
    for (int i = 0; i < 3; i++) assert_int_equal(pthread_create(&t[i], NULL, use_own_pool, t), 0);
    for (int i = 0; i < 3; i++) {
        void *failed = t;
        assert_int_equal(pthread_join(t[i], &failed), 0);
        assert_null(failed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(status_names_and_texts),
        cmocka_unit_test(first_error_is_kept),
        cmocka_unit_test(error_text_is_printable_and_bounded),
        cmocka_unit_test(try_macros),
        cmocka_unit_test(log_goes_to_the_callback),
        cmocka_unit_test(text_grows),
        cmocka_unit_test(text_remembers_failure),
        cmocka_unit_test(xml_is_escaped),
        cmocka_unit_test(utf8_is_checked),
        cmocka_unit_test(hash_is_fnv1a),
        cmocka_unit_test(edit_distances),
        cmocka_unit_test(sizes_are_checked),
        cmocka_unit_test(pool_runs_every_item_once),
        cmocka_unit_test(pool_survives_many_jobs),
        cmocka_unit_test(pool_opens_and_closes_unused),
        cmocka_unit_test(pool_chooses_and_refuses),
        cmocka_unit_test(pool_pins_workers_only),
        cmocka_unit_test(pools_are_independent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
