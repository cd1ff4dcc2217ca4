/* SPDX-License-Identifier: MIT
 * Runs of two models: which two may follow each other, and what of a run is whose. */
#include <inttypes.h>
#include <stdio.h>

#include "host/api_internal.h"

/* May b go on with the latents of a? Everything else of them may differ. */
static dd_status check_shapes(const dd_model *a, const dd_model *b, dd_err *err)
{
    const dd_config *x = &a->cfg, *y = &b->cfg;
    if (x->in_channels != y->in_channels || x->input_size != y->input_size)
        return DD_FAIL(err, DD_ERR_ARG, "switch to %s: its latents are %d x %d x %d, those of %s %d x %d x %d", b->path,
                       y->in_channels, y->input_size, y->input_size, a->path, x->in_channels, x->input_size,
                       x->input_size);
    if (x->num_classes != y->num_classes)
        return DD_FAIL(err, DD_ERR_ARG, "switch to %s: it has %d classes, %s has %d", b->path, y->num_classes, a->path,
                       x->num_classes);
    return DD_OK;
}

dd_status dd_settings_switch(dd_settings *s, const dydit_model *model, const dydit_sample_options *o, dd_err *err)
{
    dd_schedule sch;
    if (o->switch_timestep < 0 || o->switch_timestep > DD_TRAIN_STEPS)
        return DD_FAIL(err, DD_ERR_ARG, "switch timestep %d is out of range: 0 to %d", o->switch_timestep,
                       DD_TRAIN_STEPS);
    if (o->switch_timestep > 0 && !o->switch_model)
        return DD_FAIL(err, DD_ERR_ARG, "switch timestep %d, but no model to switch to", o->switch_timestep);
    s->later = o->switch_model ? o->switch_model : o->plan ? o->plan->later : NULL;
    s->switch_timestep = o->switch_timestep;
    if (!s->later) return DD_OK;
    if (s->later->ctx != model->ctx)
        return DD_FAIL(err, DD_ERR_ARG, "switch to %s: it was opened with another context", s->later->m->path);
    DD_TRY(check_shapes(model->m, s->later->m, err));
    if (!o->switch_model) return DD_OK;
    DD_TRY(dd_settings_schedule(&sch, s, err));
    if (sch.timestep[0] >= s->switch_timestep) s->later = NULL; /* no step is below it */
    return DD_OK;
}

static dd_status check_rows(const dd_plan *given, const dd_settings *set, dd_err *err)
{
    for (int i = 0; i < given->n_steps && set->switch_timestep > 0; i++) {
        const int wanted = given->rows[i].timestep < (float)set->switch_timestep;
        if (given->rows[i].weight_set != wanted)
            return DD_FAIL(err, DD_ERR_FORMAT, "plan: step %d (timestep %g) has weight set %d, but the switch is at %d",
                           i, (double)given->rows[i].timestep, given->rows[i].weight_set, set->switch_timestep);
    }
    return DD_OK;
}

dd_status dd_settings_check_sets(const dd_plan *given, const dd_settings *set, dd_err *err)
{
    if (!given->other && !set->later) return DD_OK;
    if (!given->other)
        return DD_FAIL(err, DD_ERR_FORMAT, "plan: all its steps are of one model, but the switch is at timestep %d",
                       set->switch_timestep);
    if (!set->later)
        return DD_FAIL(err, DD_ERR_FORMAT, "plan: it changes to another model (%s), but no step is to have one",
                       given->other->arch);
    DD_TRY(dd_plan_validate(given->other, set->later->m, "plan", err));
    return check_rows(given, set, err);
}

int dd_settings_legs(dd_leg leg[DD_WEIGHT_SETS], const dd_settings *set, const dydit_model *model, const dd_plan *plan,
                     float *const *coefs, int batch)
{
    leg[0] = (dd_leg){dd_settings_spec(set, model->m, plan, coefs ? coefs[0] : NULL, batch), model->weights};
    if (!plan->other) return 1;
    const dydit_model *later = set->later;
    leg[1] = (dd_leg){dd_settings_spec(set, later->m, plan->other, coefs ? coefs[1] : NULL, batch), later->weights};
    return 2;
}

dd_status dd_settings_weights(const dd_settings *set, dydit_model *model, const dd_plan *plan, dd_err *err)
{
    DD_TRY(dd_api_weights(model, err));
    return plan->other ? dd_api_weights(set->later, err) : DD_OK;
}

dd_status dd_settings_trajectory(const dd_settings *set, const dydit_model *model, const dd_plan *plan, dd_err *err)
{
    if (!plan->other) return DD_OK;
    const dd_model *a = model->m, *b = set->later->m;
    if (a->n_sites == b->n_sites && a->n_routers == b->n_routers && a->cfg.num_heads == b->cfg.num_heads &&
        a->cfg.tokens == b->cfg.tokens)
        return DD_OK;
    return DD_FAIL(err, DD_ERR_UNSUPPORTED, "a trajectory of two models has one shape, but those of %s and %s differ",
                   a->cfg.arch, b->cfg.arch);
}

json_t *dd_switch_doc(const dd_settings *set)
{
    char id[32];
    json_t *o = json_object();
    snprintf(id, sizeof id, "%016" PRIx64, set->later->m->id);
    if (set->switch_timestep > 0) json_object_set_new(o, "timestep", json_integer(set->switch_timestep));
    json_object_set_new(o, "arch", json_string(set->later->m->cfg.arch));
    json_object_set_new(o, "model", json_string(id));
    return o;
}

const char *dd_switch_text(const dd_settings *set, char text[DD_SWITCH_TEXT])
{
    if (set->switch_timestep > 0) snprintf(text, DD_SWITCH_TEXT, "below timestep %d", set->switch_timestep);
    else snprintf(text, DD_SWITCH_TEXT, "where the plan says");
    return text;
}
