/* SPDX-License-Identifier: MIT
 * Latents as pixels: the linear preview against its published weights, pictures as they are, and what has neither. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "host/api_internal.h"
#include "host/sample/rng.h"

enum { PLANE = 64 };

static float x[5 * PLANE];

static int draw(void **state)
{
    static dd_torch_rng g;
    (void)state;
    dd_torch_seed(&g, 1);
    dd_torch_randn(&g, x, 5 * PLANE);
    return 0;
}

static dd_config config(int channels) { return (dd_config){.arch = "a-model", .in_channels = channels}; }

static dd_view choose(int channels, dydit_preview preview)
{
    const dd_config c = config(channels);
    dd_err err = {0};
    dd_view v = {0};
    if (dd_view_choose(&v, &c, preview, "x.png", &err) != DD_OK) fail_msg("%s", err.text);
    return v;
}

/* A level holds 127.5 v + 128, truncated; what float32 makes of v moves that by far less than a hundredth. */
static void check_level(uint8_t got, double v)
{
    const double p = 127.5 * v + 128, level = p < 0 ? 0 : p > 255 ? 255 : p;
    if (!(got <= level + 0.01 && level - 0.01 < got + 1)) fail_msg("%d, not %g", got, level);
}

static void linear_preview(void **state)
{
    (void)state;
    static const double map[4][3] = {
        {0.298, 0.207, 0.208}, {0.187, 0.286, 0.173}, {-0.158, 0.189, 0.264}, {-0.184, -0.271, -0.473}};
    const dd_view view = choose(4, DYDIT_PREVIEW_LINEAR);
    int inside = 0;
    assert_int_equal(view.channels, 3);
    assert_non_null(strstr(view.name, "linear"));
    for (int i = 0; i < PLANE; i++) {
        uint8_t pixel[3];
        view.pixel(x + i, PLANE, pixel);
        for (int c = 0; c < 3; c++) {
            double v = 0;
            for (int k = 0; k < 4; k++) v += map[k][c] * (double)x[k * PLANE + i];
            check_level(pixel[c], v);
            inside += pixel[c] > 0 && pixel[c] < 255;
        }
    }
    assert_in_range(inside, PLANE, 3 * PLANE);
}

static void pictures_as_they_are(void **state)
{
    (void)state;
    for (int preview = DYDIT_PREVIEW_NONE; preview <= DYDIT_PREVIEW_VAE; preview++)
        for (int channels = 1; channels <= 3; channels += 2) {
            const dd_view view = choose(channels, (dydit_preview)preview);
            assert_int_equal(view.channels, channels);
            assert_null(view.name);
            for (int i = 0; i < PLANE; i++) {
                uint8_t pixel[3];
                view.pixel(x + i, PLANE, pixel);
                for (int c = 0; c < channels; c++) check_level(pixel[c], (double)x[c * PLANE + i]);
            }
        }
}

static void neither(void **state)
{
    (void)state;
    static const struct {
        int channels, preview;
        dd_status status;
        const char *says;
    } cases[] = {
        {4, DYDIT_PREVIEW_NONE, DD_ERR_UNSUPPORTED, "x.png: a-model makes latents of 4 channels, which need a VAE"},
        {5, DYDIT_PREVIEW_LINEAR, DD_ERR_UNSUPPORTED, "x.png: a linear preview is of 4 channels"},
        {1, 3, DD_ERR_ARG, "preview 3"},
        {1, -1, DD_ERR_ARG, "preview -1"}};
    for (int i = 0; i < 4; i++) {
        const dd_config c = config(cases[i].channels);
        dd_err err = {0};
        dd_view v;
        assert_int_equal(dd_view_choose(&v, &c, (dydit_preview)cases[i].preview, "x.png", &err), cases[i].status);
        if (!strstr(err.text, cases[i].says)) fail_msg("%s", err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(linear_preview), cmocka_unit_test(pictures_as_they_are),
                                       cmocka_unit_test(neither)};
    return cmocka_run_group_tests(tests, draw, NULL);
}
