/* Values inside a network. See taps.h. */
#include "jobs/evaluate/taps.h"

#include <stdio.h>

#include "jobs/network_front.h"
#include "nn/base/memory.h"
#include "nn/graph/plan.h"

struct tdo_taps {
    tdo_graph *g; /* names of places are in its memory */
    tdo_plan *plan;
    tdo_node pixels, keys;
    int64_t rows;
    int count;
    struct tdo_tap tap[TDO_MAX_TAPS];
    int64_t size[TDO_MAX_TAPS];
};

/* The places of a network that was built, each node once: by its last name, for a place may have
 * several and "logits" is one. */
static void list_taps(const struct tdo_build *b, tdo_taps *t)
{
    for (int i = 0; i < b->taps; i++) {
        int at = 0;
        while (at < t->count && t->tap[at].node != b->tap[i].node) {
            at++;
        }
        t->count += at == t->count;
        t->tap[at] = b->tap[i];
    }
}

static tdo_err make_plan(struct tdo_network *n, tdo_taps *t)
{
    tdo_node out[TDO_MAX_TAPS];
    for (int k = 0; k < t->count; k++) {
        const tdo_shape s = tdo_graph_shape(t->g, t->tap[k].node);
        t->size[k] = tdo_shape_count(&s) / t->rows;
        out[k] = t->tap[k].node;
    }
    const struct tdo_plan_options options = {
        .fast = true, .bf16 = n->bf16, .param = tdo_network_front_param, .context = n};
    return tdo_plan_new(t->g, t->count, out, &options, &t->plan);
}

static tdo_err make(struct tdo_network *n, bool noise, tdo_taps *t)
{
    const struct tdo_model_spec *s = &n->spec;
    struct tdo_build *b = NULL;
    TDO_TRY(tdo_graph_new(&t->g));
    t->pixels =
        tdo_op_input(t->g, "pixels", TDO_SHAPE(t->rows, s->height, s->width, s->channels));
    t->keys = tdo_op_key(t->g, "keys", t->rows);
    TDO_TRY(tdo_memory_new(1, &b));
    *b = tdo_network_build_context(n, t->g, TDO_NORM_RUNNING);
    b->keys = t->keys;
    b->noise = noise;
    tdo_node x = tdo_defense_preprocess(&n->defenses, t->g, t->pixels);
    (void)tdo_network_behind(n, b, tdo_model_input(b, &n->spec, x));
    list_taps(b, t);
    tdo_memory_free(&b);
    return make_plan(n, t);
}

tdo_err tdo_taps_new(struct tdo_network *n, int64_t rows, bool noise, tdo_taps **out)
{
    TDO_TRY(tdo_memory_new(1, out));
    (*out)->rows = rows;
    tdo_err err = make(n, noise, *out);
    if (err != TDO_OK) {
        tdo_taps_free(out);
    }
    return err;
}

void tdo_taps_free(tdo_taps **t)
{
    if (*t) {
        tdo_plan_free(&(*t)->plan);
        tdo_graph_free(&(*t)->g);
        tdo_memory_free(t);
    }
}

int tdo_taps_count(const tdo_taps *t)
{
    return t->count;
}

const char *tdo_taps_name(const tdo_taps *t, int k)
{
    return t->tap[k].name;
}

int64_t tdo_taps_size(const tdo_taps *t, int k)
{
    return t->size[k];
}

float *tdo_taps_pixels(tdo_taps *t)
{
    return tdo_plan_input(t->plan, t->pixels);
}

tdo_err tdo_taps_run(tdo_taps *t, const uint64_t *id)
{
    struct tdo_key *key = tdo_plan_input(t->plan, t->keys);
    for (int64_t r = 0; key && r < t->rows; r++) {
        key[r] = (struct tdo_key){.sample = id[r]};
    }
    return tdo_plan_run(t->plan);
}

const float *tdo_taps_of(const tdo_taps *t, int k, int64_t row)
{
    return (const float *)tdo_plan_output(t->plan, k) + row * t->size[k];
}
