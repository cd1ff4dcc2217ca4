/* SPDX-License-Identifier: MIT
 * Public API: conversion of checkpoints. */
#include "host/api_internal.h"
#include "host/base/str.h"
#include "host/model/convert.h"

void dydit_convert_options_init(dydit_convert_options *o, size_t size)
{
    const dydit_convert_options defaults = {.size = size};
    dd_api_defaults(o, size, &defaults, sizeof defaults);
}

dydit_status dydit_convert(dydit_ctx *ctx, const char *in, const char *out, const dydit_convert_options *options,
                           char **text)
{
    if (!ctx || !in || !out) return DYDIT_ERR_ARG;
    dd_api_begin(ctx);
    if (text) *text = NULL;
    dydit_convert_options o;
    dydit_convert_options_init(&o, sizeof o);
    dd_status st = dd_api_options(&o, sizeof o, options, "dydit_convert_options", &ctx->err);
    if (st != DD_OK) return (dydit_status)st;
    const dd_convert_spec spec = {
        .in = in, .out = out, .layout = o.layout, .preset = o.preset, .dtype = o.dtype, .choice = ctx->choice};
    dd_convert_report report;
    st = dd_convert(&spec, &report, &ctx->err);
    if (st != DD_OK || !text) return (dydit_status)st;
    dd_str s = {0};
    dd_str_addf(&s, "wrote  %s, %d tensors, %llu bytes\nsha256 %s\n", report.path, report.tensors,
                (unsigned long long)report.bytes, report.sha256);
    return (dydit_status)dd_str_take(&s, text, &ctx->err);
}
