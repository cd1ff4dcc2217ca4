/* SPDX-License-Identifier: MIT
 * The table's errors from those that were measured. What was not measured is interpolated: errors of reuse vary over orders of
 * magnitude, smoothly from step to step and like a power of the age, so that logarithms are, over steps linearly, over
 * ages over their logarithm.
 *
 * Of one site, errors of the steps after a refresh point the same way, as its branch drifts: their magnitudes add up. Those
 * of several sites do not, nor those of several refreshes: their squares do. So a step adds what the square of the sum since
 * the refresh grows by. The squares of all sites are scaled to what was measured where all of them reuse. */
#include <math.h>

#include "host/plan/search.h"

#define LEAST 1e-30 /* for no error at all, which has no logarithm */

/* v [n], `apart` elements from one to the next; negative: not known. All become known, those beyond the ends as the nearest; 0
 * where none was. */
static void fill_steps(double *v, int n, size_t apart)
{
    int last = -1; /* known */
    for (int i = 0; i < n; i++) {
        const double known = v[(size_t)i * apart];
        if (known < 0) continue;
        const double now = log(fmax(known, LEAST)), before = last < 0 ? now : log(fmax(v[(size_t)last * apart], LEAST));
        for (int k = last + 1; k < i; k++)
            v[(size_t)k * apart] = exp(before + (now - before) * (double)(k - last) / (i - last));
        last = i;
    }
    const double rest = last < 0 ? 0 : v[(size_t)last * apart];
    for (int k = last + 1; k < n; k++) v[(size_t)k * apart] = rest;
}

/* At any age; beyond the oldest that was measured with the slope of the last two, but never less. */
static double at_age(const dd_search_measured *m, const double *error, int age)
{
    int k = 0;
    if (m->n_ages == 1 || age <= m->age[0]) return error[0];
    while (k < m->n_ages - 2 && m->age[k + 1] < age) k++;
    const double a = log(m->age[k]), b = log(m->age[k + 1]);
    const double low = log(fmax(error[k], LEAST)), high = log(fmax(error[k + 1], LEAST)),
                 slope = (high - low) / (b - a);
    return exp(age > m->age[k + 1] ? high + fmax(slope, 0) * (log(age) - b) : low + slope * (log(age) - a));
}

static void scale_to_joint(const dd_search_table *t, const dd_search_measured *m)
{
    const size_t sites = (size_t)t->n_sites, ages = (size_t)m->n_ages;
    for (size_t s = 0; s < (size_t)t->n_steps; s++)
        for (size_t a = 0; a < ages; a++) {
            double sum = 0;
            for (size_t i = 0; i < sites; i++) sum += m->error[(s * sites + i) * ages + a];
            if (!(sum > 0)) continue;
            for (size_t i = 0; i < sites; i++) m->error[(s * sites + i) * ages + a] *= m->joint[s * ages + a] / sum;
        }
}

static void fill_run(dd_search_table *t, const dd_search_measured *m, int refresh, int site)
{
    const size_t sites = (size_t)t->n_sites;
    double sum = 0;
    for (int age = 1; age <= DD_SEARCH_MAX_AGE && refresh + age < t->n_steps; age++) {
        const size_t s = (size_t)(refresh + age), cell = s * sites + (size_t)site;
        const double next = sum + sqrt(m->sensitivity[s] * at_age(m, m->error + cell * (size_t)m->n_ages, age));
        t->error[cell * DD_SEARCH_MAX_AGE + (size_t)(age - 1)] = next * next - sum * sum;
        sum = next;
    }
}

void dd_search_errors(dd_search_table *t, const dd_search_measured *m)
{
    const size_t sites = (size_t)t->n_sites, ages = (size_t)m->n_ages;
    fill_steps(m->sensitivity, t->n_steps, 1);
    for (size_t a = 0; a < ages; a++) fill_steps(m->joint + a, t->n_steps, ages);
    for (size_t c = 0; c < sites * ages; c++) fill_steps(m->error + c, t->n_steps, sites * ages);
    scale_to_joint(t, m);
    for (int s = 0; s < t->n_steps; s++)
        for (int i = 0; i < t->n_sites; i++) fill_run(t, m, s, i);
}
