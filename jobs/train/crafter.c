/* Attacks inside of training. See crafter.h. */
#include "jobs/train/crafter.h"

#include <stdio.h>
#include <string.h>

struct tdo_crafter {
    struct tdo_attack_use use;
    struct tdo_ensemble network[1 + TDO_TARGET_MEMBERS]; /* one member each */
    tdo_target *target[1 + TDO_TARGET_MEMBERS];
    int targets;
    bool self; /* is the first of them the network that is trained? */
    /* Of the defense that asks: see its options. */
    double share, eps_from, warmup, eps_warmup;
    bool drawn;    /* is a step attacked with probability share? */
    bool smoothed; /* does the attack see the noise of the training step? */
    uint32_t seed;
    float *x, *found; /* [rows,P] in the target's units */
    int32_t *aim, *reach;
    bool *done;
    uint64_t *queries, *gradients;
};

/* Attack and loss of a smoothed row have one set of draws. */
static tdo_err share_draws(const tdo_config *c, const struct tdo_defense_use *asks,
                           struct tdo_attack_use *use)
{
    const int draws = (int)tdo_defense_value(asks, "draws", 1);
    static const char *const mine[] = {"draws", "redraw"};
    const bool same[] = {use->target.draws == draws, use->target.redraw == TDO_REDRAW_ATTACK};
    for (int i = 0; i < 2; i++) {
        char key[96];
        snprintf(key, sizeof key, "%s.%s", use->key, mine[i]);
        if (tdo_attack_has(use, mine[i]) && tdo_config_given(c, key) && !same[i]) {
            return TDO_FAIL(TDO_ERR_CONFIG,
                            "%s: defense.%d (%s) has draws = %d of the noise for all steps of "
                            "the attack and for the loss; leave it out",
                            key, asks->index, asks->row->name, draws);
        }
    }
    use->target.draws = draws;
    use->target.redraw = TDO_REDRAW_ATTACK;
    use->target.purpose = 0; /* the streams' own, as in the loss */
    return TDO_OK;
}

tdo_err tdo_crafter_read(const tdo_config *c, const struct tdo_network *n,
                         struct tdo_attack_use *out, bool *wanted)
{
    const struct tdo_defense_use *asks = tdo_defense_inner(&n->defenses);
    const uint32_t seed = (uint32_t)tdo_config_int(c, "run.seed");
    char key[32];
    *wanted = asks != NULL;
    if (!asks) {
        return TDO_OK;
    }
    const int at = (int)tdo_defense_value(asks, "inner", 0);
    if (at >= tdo_config_rows(c, "inner")) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "defense.%d (%s) trains on attack %d of the list inner, which has %d: "
                        "inner = ( { name = \"pgd\"; ... } ) expected",
                        asks->index, asks->row->name, at, tdo_config_rows(c, "inner"));
    }
    snprintf(key, sizeof key, "inner.%d", at);
    TDO_TRY(tdo_attack_read(c, key, tdo_config_row_index(c, "inner", at), seed, at, out));
    if (out->row->needs == TDO_NEEDS_NOTHING) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "%s (%s) asks no network anything: an attack that does expected for "
                        "defense.%d (%s), as fgsm or pgd",
                        key, out->row->name, asks->index, asks->row->name);
    }
    if (out->models[0] || out->from[0]) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "%s is crafted on the network that is trained: no models and no stored "
                        "set expected",
                        key);
    }
    return asks->row->smoothed ? share_draws(c, asks, out) : TDO_OK;
}

/* One more network that may be attacked. */
static tdo_err add_target(tdo_crafter *c, struct tdo_network *n, int64_t rows)
{
    const struct tdo_front front = {.augment = c->smoothed ? &n->defenses : NULL,
                                    .noise = true,
                                    .shared = c->use.target.draws == 1};
    struct tdo_ensemble *e = &c->network[c->targets];
    tdo_target **t = &c->target[c->targets++];
    *e = tdo_ensemble_one(n, &front);
    struct tdo_target_network one = tdo_ensemble_target(e);
    one.behind = NULL; /* training wants images */
    struct tdo_target_options o = c->use.target;
    o.batch = rows;
    TDO_TRY(tdo_target_new(&one, &o, t));
    return tdo_attack_check(&c->use, *t);
}

static tdo_err make(tdo_crafter *c, struct tdo_network *n, const struct tdo_ensemble *sources,
                    int64_t rows)
{
    if (c->self) {
        TDO_TRY(add_target(c, n, rows));
    }
    for (int i = 0; sources && i < sources->members; i++) {
        TDO_TRY(add_target(c, sources->member[i], rows));
    }
    const int64_t size = tdo_target_size(c->target[0]);
    TDO_TRY(tdo_memory_new(rows * size, &c->x));
    TDO_TRY(tdo_memory_new(rows * size, &c->found));
    TDO_TRY(tdo_memory_new(rows, &c->aim));
    TDO_TRY(tdo_memory_new(rows, &c->reach));
    TDO_TRY(tdo_memory_new(rows, &c->done));
    TDO_TRY(tdo_memory_new(rows, &c->queries));
    return tdo_memory_new(rows, &c->gradients);
}

tdo_err tdo_crafter_new(struct tdo_network *n, const struct tdo_ensemble *sources,
                        const struct tdo_attack_use *use, int64_t rows, tdo_crafter **out)
{
    const struct tdo_defense_use *asks = tdo_defense_inner(&n->defenses);
    TDO_TRY(tdo_memory_new(1, out));
    tdo_crafter *c = *out;
    c->use = *use;
    c->self = tdo_defense_value(asks, "self", 1) != 0;
    c->share = tdo_defense_value(asks, "share", 1);
    c->drawn = tdo_defense_value(asks, "mix", 0) != 0;
    c->eps_from = tdo_defense_value(asks, "eps_from", 0);
    c->warmup = tdo_defense_value(asks, "warmup", 0);
    c->eps_warmup = tdo_defense_value(asks, "eps_warmup", 0);
    c->smoothed = asks->row->smoothed;
    c->seed = use->seed;
    tdo_err err = make(c, n, sources, rows);
    if (err != TDO_OK) {
        tdo_crafter_free(out);
    }
    return err;
}

void tdo_crafter_free(tdo_crafter **crafter)
{
    tdo_crafter *c = *crafter;
    if (c) {
        for (int i = 0; i < c->targets; i++) {
            tdo_target_free(&c->target[i]);
        }
        tdo_memory_free(&c->x);
        tdo_memory_free(&c->found);
        tdo_memory_free(&c->aim);
        tdo_memory_free(&c->reach);
        tdo_memory_free(&c->done);
        tdo_memory_free(&c->queries);
        tdo_memory_free(&c->gradients);
        tdo_memory_free(crafter);
    }
}

void tdo_crafter_touch(tdo_crafter *c)
{
    if (c->self) { /* stored ones stay as they are */
        tdo_target_touch(c->target[0]);
    }
}

/* What is drawn once a step: a coin, a place between two eps, a network. */
static void draw_step(const tdo_crafter *c, uint32_t step, float u[4])
{
    const struct tdo_stream stream = {
        .seed = c->seed, .purpose = TDO_PURPOSE_ATTACK, .layer = 0xffff};
    const struct tdo_key key = {.sample = TDO_SAMPLE_BATCH, .step = step};
    tdo_rng_uniforms(&stream, &key, 0, 4, u);
}

static int choose_target(const tdo_crafter *c, const float u[4])
{
    return (int)((double)u[2] * c->targets);
}

int tdo_crafter_source(const tdo_crafter *c, uint32_t step)
{
    float u[4];
    draw_step(c, step, u);
    return choose_target(c, u) - c->self;
}

/* What is measured as eps is: lengths of steps, a first norm. */
static void scale_value(struct tdo_attack_use *use, const char *key, double by)
{
    const int at = tdo_option_at(use->row->options, key);
    if (at >= 0) {
        use->value[at] *= by;
    }
}

/* The attack of this step: its eps, its randomness. False: it is not attacked. */
static bool choose_attack(const tdo_crafter *c, const struct tdo_crafter_rows *rows,
                          const float u[4], struct tdo_attack_use *use)
{
    const double eps = c->use.threat.eps;
    *use = c->use;
    use->moment = rows->step;
    use->threat.eps = c->eps_from > 0 ? c->eps_from + (double)u[1] * (eps - c->eps_from) : eps;
    if (rows->epochs + 1 < c->eps_warmup) {
        const double part = (rows->epochs + 1) / c->eps_warmup;
        use->threat.eps *= part;
        scale_value(use, "step", part);
        scale_value(use, "init_norm", part);
    }
    return rows->count > 0 && rows->epochs >= c->warmup &&
           !(c->drawn && (double)u[0] >= c->share);
}

tdo_err tdo_crafter_run(tdo_crafter *c, const struct tdo_crafter_rows *rows, float *pixels)
{
    struct tdo_attack_use use;
    float u[4];
    draw_step(c, rows->step, u);
    tdo_target *t = c->target[choose_target(c, u)];
    for (int64_t i = 0; i < rows->count * tdo_target_size(t); i++) {
        pixels[i] = rows->u8 ? rows->raw[i] * (float)(1.0 / 255) : rows->raw[i];
    }
    if (!choose_attack(c, rows, u, &use)) {
        return TDO_OK;
    }
    tdo_target_from_pixels(t, pixels, rows->count, c->x);
    struct tdo_samples s = {.count = rows->count,
                            .x = c->x,
                            .label = rows->label,
                            .id = rows->id,
                            .found = c->found,
                            .aim = c->aim,
                            .target = c->reach,
                            .done = c->done,
                            .queries = c->queries,
                            .gradients = c->gradients};
    TDO_TRY(tdo_attack_run(&use, t, &s));
    tdo_target_to_pixels(t, c->found, rows->count, pixels);
    return TDO_OK;
}
