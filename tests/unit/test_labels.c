/* SPDX-License-Identifier: MIT
 * Label lists: what they mean and how refusals read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/model/labels.h"

static char *letters[26], text[26][2];
static char *things[] = {"cat", "T-shirt", "ankle-boot", "golden retriever", "7", "Dog", "3-5", "9"};
static const dd_config letter_model = {.num_classes = 26, .labels = letters};
static const dd_config thing_model = {.num_classes = 8, .labels = things};
static const dd_config nameless = {.num_classes = 1000};

static int fill(void **state)
{
    (void)state;
    for (int i = 0; i < 26; i++) {
        text[i][0] = (char)('A' + i);
        letters[i] = text[i];
    }
    return 0;
}

/* want ends with -1 */
static void means(const dd_config *cfg, const char *spec, const int *want)
{
    int *got = NULL;
    int64_t n = -1;
    dd_err err = {0};
    if (dd_labels_parse(cfg, spec, &got, &n, &err) != DD_OK) fail_msg("\"%s\": %s", spec, err.text);
    int64_t i = 0;
    for (; want[i] >= 0; i++)
        if (i >= n || got[i] != want[i]) fail_msg("\"%s\": entry %d is not %d", spec, (int)i, want[i]);
    if (n != i) fail_msg("\"%s\": %d labels, expected %d", spec, (int)n, (int)i);
    free(got);
}

#define MEANS(cfg, spec, ...) means((cfg), (spec), (const int[]){__VA_ARGS__, -1})

static void refused(const dd_config *cfg, const char *spec, const char *part)
{
    int *got = (int *)(void *)&got;
    int64_t n = 77;
    dd_err err = {0};
    assert_int_equal(dd_labels_parse(cfg, spec, &got, &n, &err), DD_ERR_ARG);
    assert_null(got);
    assert_int_equal(n, 77);
    if (!strstr(err.text, part)) fail_msg("\"%s\" is not in: %s", part, err.text);
}

static void names_numbers_and_ranges(void **state)
{
    (void)state;
    MEANS(&letter_model, "A", 0);
    MEANS(&letter_model, "Z,A", 25, 0);
    MEANS(&letter_model, "0,25,007", 0, 25, 7);
    MEANS(&letter_model, "A,C-F,12", 0, 2, 3, 4, 5, 12);
    MEANS(&letter_model, "3-5", 3, 4, 5);
    MEANS(&letter_model, "X-25", 23, 24, 25);
    MEANS(&letter_model, "24-Z", 24, 25);
    MEANS(&letter_model, "D-D", 3);
    MEANS(&letter_model, "A,A,A-B,0", 0, 0, 0, 1, 0); /* repeats are kept, in order */
    MEANS(&letter_model, " A , B-C ,  2", 0, 1, 2, 2);
    MEANS(&nameless, "0,999,207-209", 0, 999, 207, 208, 209);
}

static void names_with_dashes(void **state)
{
    (void)state;
    MEANS(&thing_model, "T-shirt", 1);
    MEANS(&thing_model, "ankle-boot,cat", 2, 0);
    MEANS(&thing_model, "golden retriever", 3);
    MEANS(&thing_model, "cat-Dog", 0, 1, 2, 3, 4, 5);
    MEANS(&thing_model, "T-shirt-ankle-boot", 1, 2); /* the dash that leaves two names */
    MEANS(&thing_model, "1-ankle-boot", 1, 2);
    MEANS(&thing_model, "T-shirt-3", 1, 2, 3);
    MEANS(&thing_model, "3-5", 6); /* a name comes before a range, */
    MEANS(&thing_model, "7", 4);   /* and before a number */
    MEANS(&thing_model, "9", 7);   /* also where the number would be out of range */
    MEANS(&thing_model, "2-4", 2, 3, 4);
}

static void long_lists(void **state)
{
    (void)state;
    int *got;
    int64_t n;
    assert_int_equal(dd_labels_parse(&nameless, "0-999,0-999,5", &got, &n, NULL), DD_OK);
    assert_int_equal(n, 2001);
    for (int i = 0; i < 2000; i++) assert_int_equal(got[i], i % 1000);
    assert_int_equal(got[2000], 5);
    free(got);
    /* 20 million labels are more than any run: refused, not allocated for ever */
    const dd_config large = {.num_classes = 1000000};
    char spec[256] = "0-999999";
    for (int i = 1; i < 20; i++) strcat(spec, ",0-999999");
    refused(&large, spec, "more than 16777216");
}

static void refusals(void **state)
{
    (void)state;
    refused(&letter_model, "", "an entry is empty");
    refused(&letter_model, "A,,B", "class labels 'A,,B': an entry is empty");
    refused(&letter_model, "A,", "an entry is empty");
    refused(&letter_model, ",A", "an entry is empty");
    refused(&letter_model, "A, ,B", "an entry is empty");
    refused(&letter_model, "F-C", "class labels 'F-C': the range runs backwards");
    refused(&letter_model, "9-3", "class labels '9-3': the range runs backwards");
    refused(&letter_model, "26", "class label 26 is out of range: 0 to 25");
    refused(&letter_model, "20-26", "class label 26 is out of range: 0 to 25");
    refused(&nameless, "1000", "class label 1000 is out of range: 0 to 999");
    refused(&nameless, "99999999999999999999999999", "99999999999999999999999999 is out of range");
    refused(&letter_model, "-1", "class label '-1' is not known");
    refused(&letter_model, "3-", "class label '3-' is not known");
    refused(&letter_model, "-", "class label '-' is not known");
    refused(&nameless, "1.5", "class label '1.5' is no number, and the model carries no names (labels are 0 to 999)");
    refused(&nameless, "cat", "class label 'cat' is no number, and the model carries no names");
    refused(&nameless, "1-cat", "class label 'cat' is no number");
    refused(&nameless, "0x10", "'0x10' is no number");
}

static void near_matches(void **state)
{
    (void)state;
    refused(&letter_model, "q", "class label 'q' is not known; near matches: Q");
    refused(&thing_model, "dog", "near matches: Dog");
    refused(&thing_model, "T-shrit", "class label 'T' is not known"); /* taken for a range */
    refused(&thing_model, "gulden retriever", "near matches: golden retriever");
    refused(&thing_model, "cad", "near matches: cat");
    refused(&thing_model, "elephant-house",
            "class label 'elephant' is not known; the model has 8 classes from cat to 9");
    refused(&letter_model, "AB", "near matches: A, B");
    char spec[400], want[96];
    memset(spec, 'x', sizeof spec);
    spec[399] = 0;
    snprintf(want, sizeof want, "class label '%.64s' is not known", spec);
    refused(&letter_model, spec, want);
    /* A name too long to be shown hides no other. */
    static char huge[300];
    memset(huge, 'h', sizeof huge - 1);
    char *names[] = {huge, "robin"};
    const dd_config birds = {.num_classes = 2, .labels = names};
    refused(&birds, "robim", "near matches: robin");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_numbers_and_ranges),
        cmocka_unit_test(names_with_dashes),
        cmocka_unit_test(long_lists),
        cmocka_unit_test(refusals),
        cmocka_unit_test(near_matches),
    };
    return cmocka_run_group_tests_name("labels", tests, fill, NULL);
}
