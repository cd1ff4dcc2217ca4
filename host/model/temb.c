/* SPDX-License-Identifier: MIT
 * Timestep embedding: sinusoid features and the two-layer perceptron, float32 results. */
#include "host/model/temb.h"

#include <math.h>

/* clang-format off */
const float dd_time_freqs[DD_TIME_FREQS] = {
    0x1.000000p+0f, 0x1.dc73f0p-1f, 0x1.bb5facp-1f, 0x1.9c9758p-1f, 0x1.7ff222p-1f, 0x1.654a0cp-1f,
    0x1.4c7bc0p-1f, 0x1.356656p-1f, 0x1.1feb34p-1f, 0x1.0beddcp-1f, 0x1.f2a79cp-2f, 0x1.d008c0p-2f,
    0x1.afd134p-2f, 0x1.91d648p-2f, 0x1.75f036p-2f, 0x1.5bf9fep-2f, 0x1.43d136p-2f, 0x1.2d55d4p-2f,
    0x1.186a06p-2f, 0x1.04f210p-2f, 0x1.e5a844p-3f, 0x1.c3f06cp-3f, 0x1.a48fdap-3f, 0x1.875cf8p-3f,
    0x1.6c310ep-3f, 0x1.52e812p-3f, 0x1.3b607ep-3f, 0x1.257b20p-3f, 0x1.111aeep-3f, 0x1.fc49bep-4f,
    0x1.d8ffaap-4f, 0x1.b828c8p-4f, 0x1.999998p-4f, 0x1.7d298ep-4f, 0x1.62b2f0p-4f, 0x1.4a12aep-4f,
    0x1.33281ap-4f, 0x1.1dd4d8p-4f, 0x1.09fc98p-4f, 0x1.ef0a22p-5f, 0x1.ccab82p-5f, 0x1.acafc6p-5f,
    0x1.8eec80p-5f, 0x1.733a30p-5f, 0x1.59742cp-5f, 0x1.417836p-5f, 0x1.2b2690p-5f, 0x1.166196p-5f,
    0x1.030dc4p-5f, 0x1.e222eep-6f, 0x1.c0a9a2p-6f, 0x1.a18350p-6f, 0x1.84869cp-6f, 0x1.698d22p-6f,
    0x1.507312p-6f, 0x1.39172cp-6f, 0x1.235a72p-6f, 0x1.0f2012p-6f, 0x1.f89a60p-7f, 0x1.d591ccp-7f,
    0x1.b4f7e2p-7f, 0x1.96a16ap-7f, 0x1.7a661cp-7f, 0x1.6020a0p-7f, 0x1.47ae14p-7f, 0x1.30ee0cp-7f,
    0x1.1bc25cp-7f, 0x1.080eeep-7f, 0x1.eb735ap-8f, 0x1.c9548ap-8f, 0x1.a9942ap-8f, 0x1.8c0814p-8f,
    0x1.708934p-8f, 0x1.56f304p-8f, 0x1.3f2398p-8f, 0x1.28fb5ep-8f, 0x1.145ceap-8f, 0x1.012cf8p-8f,
    0x1.dea41ap-9f, 0x1.bd68f4p-9f, 0x1.9e7c66p-9f, 0x1.81b584p-9f, 0x1.66ee1ap-9f, 0x1.4e02a6p-9f,
    0x1.36d21ap-9f, 0x1.213db0p-9f, 0x1.0d28dap-9f, 0x1.f4f1e0p-10f, 0x1.d22a50p-10f, 0x1.b1cceap-10f,
    0x1.93aeb2p-10f, 0x1.77a7d6p-10f, 0x1.5d931cp-10f, 0x1.454deep-10f, 0x1.2eb816p-10f, 0x1.19b3b2p-10f,
    0x1.0624dcp-10f, 0x1.e7e344p-11f, 0x1.c603c6p-11f, 0x1.a67e48p-11f, 0x1.892914p-11f, 0x1.6ddd3ap-11f,
    0x1.547688p-11f, 0x1.3cd344p-11f, 0x1.26d428p-11f, 0x1.125c02p-11f, 0x1.fe9f58p-12f, 0x1.db2bc8p-12f,
    0x1.ba2e42p-12f, 0x1.9b7b26p-12f, 0x1.7ee9acp-12f, 0x1.6453f6p-12f, 0x1.4b96c2p-12f, 0x1.349140p-12f,
    0x1.1f24eap-12f, 0x1.0b3548p-12f, 0x1.f1501ap-13f, 0x1.cec918p-13f, 0x1.aea7c4p-13f, 0x1.90c180p-13f,
    0x1.74eea6p-13f, 0x1.5b0a54p-13f, 0x1.42f232p-13f, 0x1.2c864cp-13f, 0x1.17a8dap-13f, 0x1.043e50p-13f,
    0x1.e459bap-14f, 0x1.c2b91cp-14f,
};
/* clang-format on */

/* The angle is float32, its cosine correctly rounded. */
static void features_of(float *dst, int i, float angle)
{
    dst[i] = (float)cos((double)angle);
    dst[DD_TIME_FREQS + i] = (float)sin((double)angle);
}

void dd_time_features(float *dst, float t)
{
    for (int i = 0; i < DD_TIME_FREQS; i++) features_of(dst, i, t * dd_time_freqs[i]);
}

/* Exponents are rounded to float32 as PyTorch rounds them: product, then quotient. */
void dd_time_features_diffusers(float *dst, float t)
{
    const float log_period = -0x1.26bb1cp+3f; /* -ln(10000) */
    for (int i = 0; i < DD_TIME_FREQS; i++) {
        const float exponent = log_period * (float)i / (float)(DD_TIME_FREQS - 1);
        features_of(dst, i, t * (float)exp((double)exponent));
    }
}

/* Sums in double: the routers' decisions must not hang on the order of a float32 sum. */
static void linear(float *dst, const float *w, const float *b, const float *x, int n, int k)
{
    for (int i = 0; i < n; i++) {
        double s = 0;
        for (int j = 0; j < k; j++) s += (double)w[(int64_t)i * k + j] * x[j];
        dst[i] = (float)(s + b[i]);
    }
}

void dd_temb(const dd_model *m, float t, float *dst, float *work)
{
    float features[2 * DD_TIME_FREQS];
    const int d = m->cfg.hidden_size;
    if (m->cfg.diffusers) dd_time_features_diffusers(features, t);
    else dd_time_features(features, t);
    linear(work, m->temb_w0, m->temb_b0, features, d, 2 * DD_TIME_FREQS);
    for (int i = 0; i < d; i++) work[i] = (float)(work[i] / (1.0 + exp(-(double)work[i])));
    linear(dst, m->temb_w1, m->temb_b1, work, d, d);
}
