/* SPDX-License-Identifier: MIT
 * Multistep coefficients, in float64. Letters: alpha, sigma of a step (alpha^2 + sigma^2 = 1); lambda = log(alpha/sigma); h =
 * growth of lambda over a step, r = that of the step before, in units of h. */
#include "host/sample/solver_multistep.h"

#include <math.h>

#include "kernels/ops.h"

typedef struct point {
    double alpha, sigma, lambda;
} point;

/* Where the k-th step begins; k = n: the picture. */
static point point_at(const dd_schedule *s, int k)
{
    if (k >= s->n) return (point){1.0, 0.0, INFINITY};
    const double ab = s->alpha_bar[s->n - 1 - k];
    return (point){sqrt(ab), sqrt(1.0 - ab), 0.5 * log(ab / (1.0 - ab))};
}

/* The first step has no past; the last one, to sigma 0, is of order 1 whatever the number of steps. */
static int order_at(const dd_schedule *s, int k) { return k == 0 || k == s->n - 1 ? 1 : 2; }

/* next x = (sigma_t/sigma_s) y + c (x0 + (x0 - x0_1) / (2 r)) with c = alpha_t (1 - e^-h) */
static void predictor(float *row, const dd_schedule *sch, int k)
{
    const point s = point_at(sch, k), t = point_at(sch, k + 1);
    const double h = t.lambda - s.lambda, c = -t.alpha * expm1(-h);
    double weight = 0.0; /* of the difference of two predictions */
    if (order_at(sch, k) == 2) weight = 0.5 * h / (s.lambda - point_at(sch, k - 1).lambda);
    row[DD_COEF_MXT] = (float)(t.sigma / s.sigma);
    row[DD_COEF_MX0] = (float)(c * (1.0 + weight));
    row[DD_COEF_MX1] = (float)(-c * weight);
}

/* y = (sigma_t/sigma_s) y_1 + c (x0_1 + rho (x0 - x0_1) + rho_1 (x0_2 - x0_1) / r): the step from s = k-1 to t = k once more,
 * now that x0 at t is known. r is negative. Order 1 takes rho = 1/2 as published; of order 2, rho + rho_1 = b1 and rho +
 * r rho_1 = b2, where with z = -h and phi = e^z - 1: b1 = (phi/z - 1) / phi, b2 = 2 ((phi/z - 1)/z - 1/2) / phi. */
static void corrector(float *row, const dd_schedule *sch, int k)
{
    const point s = point_at(sch, k - 1), t = point_at(sch, k);
    const double h = t.lambda - s.lambda, phi = expm1(-h), c = -t.alpha * phi;
    double rho = 0.5, past = 0.0; /* weights of the two differences */
    if (order_at(sch, k - 1) == 2) {
        const double r = (point_at(sch, k - 2).lambda - s.lambda) / h, phi_1 = phi / -h - 1.0;
        const double b1 = phi_1 / phi, b2 = 2.0 * (phi_1 / -h - 0.5) / phi, rho_1 = (b1 - b2) / (1.0 - r);
        rho = b1 - rho_1;
        past = rho_1 / r;
    }
    row[DD_COEF_CY] = (float)(t.sigma / s.sigma);
    row[DD_COEF_C0] = (float)(c * rho);
    row[DD_COEF_C1] = (float)(c * (1.0 - rho - past));
    row[DD_COEF_C2] = (float)(c * past);
}

void dd_multistep_row(float *row, const dd_schedule *sch, int k, bool corrects)
{
    predictor(row, sch, k);
    if (corrects && k > 0) corrector(row, sch, k);
}
