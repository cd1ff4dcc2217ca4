/* SPDX-License-Identifier: MIT
 * Timestep embedding in float32 on the host: the same values feed the timestep routers and the conditioning. */
#ifndef DD_HOST_MODEL_TEMB_H
#define DD_HOST_MODEL_TEMB_H

#include "host/model/model.h"

#define DD_TIME_FREQS 128

/* exp(-ln(10000) i / 128) as float32 constants: C's expf differs in three of them (DESIGN, "numbers that must not
 * move"). */
extern const float dd_time_freqs[DD_TIME_FREQS];

/* 128 cosines, then 128 sines of t * freq, angles in float32. */
void dd_time_features(float *dst, float t);
/* The same with diffusers' frequencies, exp(-ln(10000) i / 127). */
void dd_time_features_diffusers(float *dst, float t);

/* dst [hidden_size] = W1 SiLU(W0 features(t) + b0) + b1. work: [hidden_size]. */
void dd_temb(const dd_model *model, float t, float *dst, float *work);

#endif
