/* One training step on all ranks. See trainer.h.
 *
 * The block that is summed over shards by the fixed tree:
 *
 *     [ gradients of all weights | batch statistics for the running ones | loss | correct ]
 *
 * Row weights are 1/B for a row of the batch and 0 for padding, so the sum over shards of a
 * gradient is that of the mean loss. Statistics are weighted by the shard's share of the batch.
 * Defenses form the loss (defenses/defense.h). Further forward passes, of what an inner attack made of
 * the rows or of other draws of the noise, have batch statistics of their own; running ones get the
 * mean of all. Where a denoiser is trained, rows are pairs, both cropped and flipped alike.
 * The backward pass completes the block from its end to its beginning; each bucket of it is
 * announced to the exchange as soon as its last part is there. */
#include <math.h>
#include <string.h>

#include "defenses/distillation.h"
#include "jobs/train/trainer.h"
#include "nn/graph/grad.h"
#include "nn/losses.h"

enum { BUCKET = 1 << 18 }; /* floats, about: a bucket ends where a parameter does */

/* A part of the block: output k of the plan. */
struct part {
    int64_t offset, count;
    int bucket;
};

struct tdo_trainer {
    struct tdo_network *net;
    struct tdo_trainer_options o;
    tdo_graph *g;
    tdo_plan *plan;
    tdo_gradients *gradients;
    int64_t rows_per_shard, pixels;
    tdo_node raw, labels, weights;
    tdo_node keys[TDO_DEFENSE_DRAWS];        /* of each draw; TDO_NONE: not asked for */
    tdo_node weight_keys[TDO_DEFENSE_DRAWS]; /* [1] the same for random weights, one a shard */
    tdo_node attacked; /* pixels that the inner attack made; TDO_NONE without one */
    tdo_node partner;  /* of pairs: raw, as the images are; else TDO_NONE */
    bool judged;       /* are there logits, whose class can be right? */
    tdo_crafter *crafter;
    int32_t *label; /* [rows_per_shard] as the attack wants them */
    uint64_t *id;
    struct part *part;
    int parts;
    int64_t weights_count, buffers_count, count;
    int64_t *bucket_begin;
    int buckets;
    int *waiting; /* parts of a bucket that are not there yet, in the present shard */
    int announced, shard;
    tdo_err failure; /* in a hook */
    tdo_comm *comm;
    tdo_optim *optim;
    float *image; /* one, before augmentation */
    float *rows;  /* raw, where the plan needs what an attack makes of it alone; else NULL */
};

/* ---- the graph ------------------------------------------------------------------------------------ */

enum { FORWARDS = 2 * TDO_DEFENSE_DRAWS };

/* The forward passes of a step, in the mode of training. */
struct forwards {
    tdo_trainer *t;
    struct tdo_build *build[FORWARDS];
    int count;
};

static tdo_node keys_of(tdo_trainer *t, int draw)
{
    if (t->keys[draw] == TDO_NONE) {
        char name[24];
        snprintf(name, sizeof name, "keys_%d", draw);
        t->keys[draw] = tdo_op_key(t->g, name, t->rows_per_shard);
    }
    return t->keys[draw];
}

static tdo_node weight_keys_of(tdo_trainer *t, int draw)
{
    if (t->weight_keys[draw] == TDO_NONE) {
        char name[32];
        snprintf(name, sizeof name, "weight_keys_%d", draw);
        t->weight_keys[draw] = tdo_op_key(t->g, name, 1);
    }
    return t->weight_keys[draw];
}

static tdo_node draw(void *self, bool attacked, int i)
{
    tdo_trainer *t = ((struct forwards *)self)->t;
    return tdo_defense_augment(&t->net->defenses, t->g, attacked ? t->attacked : t->raw,
                               !attacked && t->o.u8, keys_of(t, i));
}

static tdo_node forward_draw(void *self, tdo_node pixels, int i)
{
    struct forwards *f = self;
    tdo_trainer *t = f->t;
    if (f->count == FORWARDS) {
        return tdo_graph_fail(t->g, TDO_ERR_CONFIG,
                              "defenses make more than %d forward passes in a step", FORWARDS);
    }
    struct tdo_build **b = &f->build[f->count];
    if (tdo_memory_new(1, b) != TDO_OK) {
        return tdo_graph_fail(t->g, TDO_ERR_MEMORY, "%s", tdo_error_last()->message);
    }
    f->count++;
    **b = tdo_network_build_context(t->net, t->g,
                                    t->o.optim.fixed_norms ? TDO_NORM_RUNNING : TDO_NORM_BATCH);
    (*b)->row_weights = t->weights;
    (*b)->keys = keys_of(t, i);
    (*b)->shared = true;
    (*b)->weight_keys = weight_keys_of(t, i);
    (*b)->dropout = t->o.dropout;
    (*b)->seed = t->o.seed;
    return t->net->model->output == TDO_MODEL_IMAGE ? tdo_network_image(t->net, *b, pixels)
                                                    : tdo_network_logits(t->net, *b, pixels);
}

static tdo_node forward(void *self, tdo_node pixels)
{
    return forward_draw(self, pixels, 0);
}

/* A context for a pass in the mode of use; it has no statistics to keep. */
static struct tdo_build *use_context(tdo_trainer *t, struct tdo_network *n)
{
    struct tdo_build *b = NULL;
    if (tdo_memory_new(1, &b) != TDO_OK) {
        (void)tdo_graph_fail(t->g, TDO_ERR_MEMORY, "%s", tdo_error_last()->message);
        return NULL;
    }
    *b = tdo_network_build_context(n, t->g, TDO_NORM_RUNNING);
    b->keys = keys_of(t, 0);
    b->shared = true;
    b->weight_keys = weight_keys_of(t, 0);
    return b;
}

static tdo_node input(void *self, tdo_node pixels)
{
    tdo_trainer *t = ((struct forwards *)self)->t;
    struct tdo_build *b = use_context(t, t->net);
    tdo_node x = b ? tdo_network_input(t->net, b, pixels) : TDO_NONE;
    tdo_memory_free(&b);
    return x;
}

static tdo_node evaluate(void *self, tdo_node x, const char *layers)
{
    tdo_trainer *t = ((struct forwards *)self)->t;
    struct tdo_build *b = use_context(t, t->net);
    tdo_node logits = TDO_NONE;
    if (tdo_params_check_list(t->net->params, layers) != TDO_OK) {
        (void)tdo_graph_fail(t->g, TDO_ERR_CONFIG, "%s", tdo_error_last()->message);
    } else if (b) {
        b->learns = layers;
        logits = tdo_network_behind(t->net, b, x);
    }
    tdo_memory_free(&b);
    return logits;
}

/* The teacher's parameters are numbered behind those of the network. */
static tdo_node teacher(void *self, tdo_node pixels, const char *tap, tdo_node *there)
{
    tdo_trainer *t = ((struct forwards *)self)->t;
    struct tdo_build *b = use_context(t, t->o.teacher);
    if (!b) {
        return TDO_NONE;
    }
    b->first_param = tdo_params_entries(t->net->params);
    tdo_node logits = tdo_network_logits(t->o.teacher, b, pixels);
    if (tap) {
        *there = tdo_network_tapped(t->o.teacher, b, tap);
    }
    tdo_memory_free(&b);
    return logits;
}

static const float *parameter(const void *context, int64_t index)
{
    const tdo_trainer *t = context;
    const int64_t own = tdo_params_entries(t->net->params);
    return index < own ? tdo_params_values(t->net->params, index)
                       : tdo_params_values(t->o.teacher->params, index - own);
}

/* Running statistics of one layer from this shard: share * mean and share * unbiased variance. */
static void shard_statistics(tdo_trainer *t, const struct tdo_build *b, int k, tdo_node *mean,
                             tdo_node *var)
{
    tdo_graph *g = t->g;
    const struct tdo_batch_stats *s = &b->stats[k];
    const int64_t C = tdo_graph_shape(g, s->stats).dim[1];
    const tdo_shape row = TDO_SHAPE(1, C), one = TDO_SHAPE(1), vector = TDO_SHAPE(C);
    tdo_node zero = tdo_op_constant(g, TDO_SHAPE(t->rows_per_shard), 0);
    tdo_node rows = tdo_op_total(g, tdo_op_greater(g, t->weights, zero));
    tdo_node share = tdo_op_total(g, t->weights);
    tdo_node places = tdo_op_affine(g, rows, (double)s->per, 0);
    tdo_node least = tdo_op_constant(g, one, 1); /* a single place has no unbiased variance */
    tdo_node rest = tdo_op_affine(g, places, 1, -1);
    rest = tdo_op_select(g, tdo_op_greater(g, rest, least), rest, least);
    tdo_node unbiased = tdo_op_mul(g, share, tdo_op_div(g, places, rest));
    *mean = tdo_op_slice(g, s->stats, (int64_t[]){0, 0}, (int64_t[]){1, 0});
    *var = tdo_op_slice(g, s->stats, (int64_t[]){1, 0}, (int64_t[]){0, 0});
    share = tdo_op_broadcast(g, tdo_op_reshape(g, share, TDO_SHAPE(1, 1)), row);
    unbiased = tdo_op_broadcast(g, tdo_op_reshape(g, unbiased, TDO_SHAPE(1, 1)), row);
    *mean = tdo_op_reshape(g, tdo_op_mul(g, *mean, share), vector);
    *var = tdo_op_reshape(g, tdo_op_mul(g, *var, unbiased), vector);
}

static void add_part(tdo_trainer *t, tdo_node *output, tdo_node node, int64_t offset)
{
    const tdo_shape s = tdo_graph_shape(t->g, node);
    t->part[t->parts] = (struct part){.offset = offset, .count = tdo_shape_count(&s)};
    output[t->parts++] = node;
}

/* Statistics of layer k: the mean over the forward passes. */
static void mean_statistics(tdo_trainer *t, const struct forwards *f, int k, tdo_node *mean,
                            tdo_node *var)
{
    shard_statistics(t, f->build[0], k, mean, var);
    for (int i = 1; i < f->count; i++) {
        tdo_node m, v;
        shard_statistics(t, f->build[i], k, &m, &v);
        *mean = tdo_op_add(t->g, *mean, m);
        *var = tdo_op_add(t->g, *var, v);
    }
    if (f->count > 1) {
        *mean = tdo_op_affine(t->g, *mean, 1.0 / f->count, 0);
        *var = tdo_op_affine(t->g, *var, 1.0 / f->count, 0);
    }
}

/* Everything that the tree sums, as outputs of the plan. */
static tdo_err collect_outputs(tdo_trainer *t, const struct forwards *f, tdo_node loss,
                               tdo_node correct, tdo_node *output)
{
    const struct tdo_build *b = f->build[0];
    const tdo_params *p = t->net->params;
    tdo_node *wrt = NULL, *gradient = NULL;
    int64_t *offset = NULL, n = 0;
    bool *norm = NULL;
    tdo_err err = TDO_OK;
    TDO_GOTO(tdo_memory_new(tdo_params_entries(p) + 1, &wrt));
    TDO_GOTO(tdo_memory_new(tdo_params_entries(p) + 1, &gradient));
    TDO_GOTO(tdo_memory_new(tdo_params_entries(p) + 1, &offset));
    TDO_GOTO(tdo_memory_new(tdo_params_entries(p) + 1, &norm));
    for (int64_t i = 0; i < tdo_params_entries(p); i++) {
        const struct tdo_param *e = tdo_params_at(p, i);
        if (e->kind == TDO_PARAM_WEIGHT) {
            offset[n] = e->offset;
            norm[n] = e->norm;
            wrt[n++] = tdo_op_param(t->g, i, e->name, e->shape);
        }
    }
    tdo_grad(t->g, loss, TDO_NONE, (int)n, wrt, gradient);
    for (int64_t i = 0; i < n; i++) {
        if (t->o.optim.fixed_norms && norm[i]) { /* not part of what train.clip measures */
            gradient[i] = tdo_op_constant(t->g, tdo_graph_shape(t->g, wrt[i]), 0);
        }
        add_part(t, output, gradient[i], offset[i]);
    }
    for (int k = 0; k < b->norms; k++) {
        tdo_node mean, var;
        mean_statistics(t, f, k, &mean, &var);
        add_part(t, output, mean,
                 t->weights_count + tdo_params_at(p, b->stats[k].mean)->offset);
        add_part(t, output, var, t->weights_count + tdo_params_at(p, b->stats[k].var)->offset);
    }
    add_part(t, output, loss, t->count - 2);
    add_part(t, output, correct, t->count - 1);
    err = tdo_graph_check(t->g);
done:
    tdo_memory_free(&wrt);
    tdo_memory_free(&gradient);
    tdo_memory_free(&offset);
    tdo_memory_free(&norm);
    return err;
}

/* The graph of a step as defenses see it. */
static struct tdo_defense_step make_step(tdo_trainer *t, struct forwards *f)
{
    const struct tdo_model_spec *s = &t->net->spec;
    const int64_t rows = t->rows_per_shard;
    const tdo_shape images = TDO_SHAPE(rows, s->height, s->width, s->channels);
    t->raw = tdo_op_input(t->g, "raw", images);
    t->labels = tdo_op_input(t->g, "labels", TDO_SHAPE(rows));
    t->weights = tdo_op_input(t->g, "weights", TDO_SHAPE(rows));
    for (int i = 0; i < TDO_DEFENSE_DRAWS; i++) {
        t->keys[i] = t->weight_keys[i] = TDO_NONE;
    }
    t->attacked = t->partner = TDO_NONE;
    struct tdo_defense_step step = {.g = t->g,
                                    .adversarial = TDO_NONE,
                                    .partner = TDO_NONE,
                                    .labels = t->labels,
                                    .forward = forward,
                                    .input = input,
                                    .evaluate = evaluate,
                                    .teacher = t->o.teacher ? teacher : NULL,
                                    .draw = draw,
                                    .forward_draw = forward_draw,
                                    .self = f,
                                    .clean_logits = TDO_NONE,
                                    .adversarial_logits = TDO_NONE};
    step.pixels = draw(f, false, 0);
    if (t->o.inner) {
        t->attacked = tdo_op_input(t->g, "attacked", images);
        step.adversarial = draw(f, true, 0);
    }
    if (t->o.pairs) {
        t->partner = tdo_op_input(t->g, "partner", images);
        step.partner = tdo_noise_pixels(t->g, t->partner, t->o.u8);
    }
    return step;
}

/* Of a denoiser: those of its guide; without one nothing reads them. */
static int classes_of(const tdo_trainer *t)
{
    return t->net->model->output == TDO_MODEL_LOGITS ? t->net->spec.classes
           : t->o.teacher                            ? t->o.teacher->spec.classes
                                                     : 1;
}

static tdo_err make_plan(tdo_trainer *t)
{
    struct forwards f = {.t = t};
    tdo_node *output = NULL;
    tdo_err err = TDO_OK;
    TDO_GOTO(tdo_graph_new(&t->g));
    struct tdo_defense_step step = make_step(t, &f);
    tdo_node each = tdo_defense_loss(&t->net->defenses, &step, classes_of(t));
    tdo_node loss = tdo_op_total(t->g, tdo_op_mul(t->g, t->weights, each));
    tdo_node seen = step.clean_logits != TDO_NONE ? step.clean_logits : step.adversarial_logits;
    t->judged = seen != TDO_NONE;
    tdo_node correct = t->judged ? tdo_loss_correct(t->g, seen, t->labels, t->weights)
                                 : tdo_op_constant(t->g, TDO_SHAPE(1), 0);
    TDO_GOTO(tdo_graph_check(t->g));
    const int64_t most =
        tdo_params_entries(t->net->params) + 2 * (int64_t)f.build[0]->norms + 2;
    TDO_GOTO(tdo_memory_new(most, &t->part));
    TDO_GOTO(tdo_memory_new(most, &output));
    TDO_GOTO(collect_outputs(t, &f, loss, correct, output));
    const struct tdo_plan_options options = {
        .fast = true, .checkpoint = t->o.checkpoint, .param = parameter, .context = t};
    err = tdo_plan_new(t->g, t->parts, output, &options, &t->plan);
done:
    for (int i = 0; i < FORWARDS; i++) {
        tdo_memory_free(&f.build[i]);
    }
    tdo_memory_free(&output);
    return err;
}

/* ---- buckets ------------------------------------------------------------------------------------------ */

/* Cut the block from its end at boundaries of parts, a bucket being about BUCKET floats. */
static tdo_err make_buckets(tdo_trainer *t)
{
    TDO_TRY(tdo_memory_new(t->parts, &t->bucket_begin));
    TDO_TRY(tdo_memory_new(t->parts, &t->waiting));
    int64_t end = t->count;
    for (int64_t at = t->count; at > 0;) {
        int64_t begin = 0; /* of the part that ends at `at` */
        for (int k = 0; k < t->parts; k++) {
            begin =
                t->part[k].offset < at && t->part[k].offset > begin ? t->part[k].offset : begin;
        }
        at = begin;
        if (end - at >= BUCKET || at == 0) {
            t->bucket_begin[t->buckets++] = at;
            end = at;
        }
    }
    for (int k = 0; k < t->parts; k++) {
        while (t->part[k].offset < t->bucket_begin[t->part[k].bucket]) {
            t->part[k].bucket++;
        }
    }
    return TDO_OK;
}

/* Result k of the present shard is there. */
static void part_ready(void *context, int k)
{
    tdo_trainer *t = context;
    t->waiting[t->part[k].bucket]--;
    while (t->failure == TDO_OK && t->announced < t->buckets && t->waiting[t->announced] == 0) {
        t->failure = tdo_gradients_ready(t->gradients, t->shard, t->announced++);
    }
}

static void between_nodes(void *context)
{
    tdo_trainer *t = context;
    if (t->failure == TDO_OK) {
        t->failure = tdo_gradients_poll(t->gradients);
    }
}

/* ---- life ------------------------------------------------------------------------------------------------ */

/* Is all there that the defenses train with? */
static tdo_err check_needs(const tdo_trainer *t)
{
    const struct tdo_defenses *d = &t->net->defenses;
    const int sources = t->o.sources ? t->o.sources->members : 0;
    for (int i = 0; i < d->count; i++) {
        const struct tdo_defense_use *use = &d->use[i];
        const char *lacks = NULL;
        if (use->row->inner && !t->o.inner) {
            lacks = "an inner attack";
        } else if (tdo_defense_text(use, "sources")[0] && sources == 0) {
            lacks = "its sources";
        } else if (tdo_distillation_teacher(use)[0] && !t->o.teacher) {
            lacks = "its teacher";
        } else if (tdo_defense_text(use, "guide")[0] && !t->o.teacher) {
            lacks = "its guide";
        } else if (use->row->denoises && !t->o.pairs) {
            lacks = "pairs of images";
        }
        if (lacks) {
            return TDO_FAIL(TDO_ERR_CONFIG,
                            "defense.%d (%s) trains with %s, which only the job train makes "
                            "ready",
                            i, use->row->name, lacks);
        }
    }
    return TDO_OK;
}

static tdo_err build(tdo_trainer *t)
{
    TDO_TRY(check_needs(t));
    TDO_TRY(make_plan(t));
    TDO_TRY(make_buckets(t));
    TDO_TRY(tdo_optim_new(&t->o.optim, t->net->params, &t->optim));
    TDO_TRY(tdo_memory_new(t->pixels, &t->image));
    if (t->o.inner) {
        TDO_TRY(
            tdo_crafter_new(t->net, t->o.sources, t->o.inner, t->rows_per_shard, &t->crafter));
        t->o.inner = NULL; /* borrowed until here */
        if (!tdo_plan_input(t->plan, t->raw)) {
            TDO_TRY(tdo_memory_new(t->rows_per_shard * t->pixels, &t->rows));
        }
        TDO_TRY(tdo_memory_new(t->rows_per_shard, &t->label));
        TDO_TRY(tdo_memory_new(t->rows_per_shard, &t->id));
    }
    const struct tdo_gradients_spec spec = {.count = t->count,
                                            .shards = t->o.shards,
                                            .buckets = t->buckets,
                                            .bucket_begin = t->bucket_begin};
    TDO_TRY(tdo_gradients_new(t->comm, &spec, &t->gradients));
    const struct tdo_plan_hooks hooks = {
        .between = between_nodes, .ready = part_ready, .context = t};
    tdo_plan_set_hooks(t->plan, &hooks);
    return TDO_OK;
}

tdo_err tdo_trainer_new(tdo_comm *comm, struct tdo_network *n,
                        const struct tdo_trainer_options *o, tdo_trainer **out)
{
    TDO_TRY(tdo_memory_new(1, out));
    tdo_trainer *t = *out;
    t->comm = comm;
    t->net = n;
    t->o = *o;
    t->rows_per_shard = (o->batch + o->shards - 1) / o->shards;
    t->pixels = n->spec.height * n->spec.width * n->spec.channels;
    t->weights_count = tdo_params_count(n->params, TDO_PARAM_WEIGHT);
    t->buffers_count = o->optim.fixed_norms ? 0 : tdo_params_count(n->params, TDO_PARAM_BUFFER);
    t->count = t->weights_count + t->buffers_count + 2;
    tdo_err err = build(t);
    if (err != TDO_OK) {
        tdo_trainer_free(out);
    }
    return err;
}

void tdo_trainer_free(tdo_trainer **trainer)
{
    tdo_trainer *t = *trainer;
    if (t) {
        tdo_plan_free(&t->plan);
        tdo_graph_free(&t->g);
        tdo_gradients_free(&t->gradients);
        tdo_memory_free(&t->part);
        tdo_memory_free(&t->bucket_begin);
        tdo_memory_free(&t->waiting);
        tdo_optim_free(&t->optim);
        tdo_memory_free(&t->image);
        tdo_crafter_free(&t->crafter);
        tdo_memory_free(&t->rows);
        tdo_memory_free(&t->label);
        tdo_memory_free(&t->id);
        tdo_memory_free(trainer);
    }
}

tdo_optim *tdo_trainer_optim(tdo_trainer *t)
{
    return t->optim;
}

void tdo_trainer_touch(tdo_trainer *t)
{
    tdo_plan_touch(t->plan);
    if (t->crafter) {
        tdo_crafter_touch(t->crafter);
    }
}

int64_t tdo_trainer_bytes(tdo_trainer *t)
{
    int64_t moments = 0;
    (void)tdo_optim_state(t->optim, &moments);
    return tdo_plan_bytes(t->plan) + tdo_gradients_bytes(t->gradients) +
           moments * (int64_t)sizeof(float);
}

tdo_plan *tdo_trainer_plan(tdo_trainer *t)
{
    return t->plan;
}

struct tdo_range tdo_trainer_rows(const tdo_trainer *t, int64_t rows)
{
    const int first = tdo_gradients_first(t->gradients);
    const int last = tdo_gradients_end_shard(t->gradients) - 1;
    return (struct tdo_range){.first = tdo_shard_rows(rows, t->o.shards, first).first,
                              .end = tdo_shard_rows(rows, t->o.shards, last).end};
}

/* ---- a step ---------------------------------------------------------------------------------------------- */

/* Image `at` of what this rank was given, as floats; augmented if that is asked for. Of pairs an
 * even one is attacked, and its clean partner follows it. */
static void fill_image(tdo_trainer *t, const struct tdo_trainer_batch *b, int64_t at,
                       const struct tdo_key *key, float *raw)
{
    const struct tdo_augment *a = &t->o.augment;
    const struct tdo_model_spec *s = &t->net->spec;
    const bool change = a->pad > 0 || a->flip, bytes = t->o.u8 && !t->o.wide;
    float *to = change ? t->image : raw;
    for (int64_t i = 0; i < t->pixels; i++) {
        to[i] = bytes ? (float)((const uint8_t *)b->x)[at * t->pixels + i]
                      : ((const float *)b->x)[at * t->pixels + i];
    }
    if (change) {
        tdo_augment_image(a, key, s->height, s->width, s->channels, to, raw);
    }
}

/* Where the raw rows of a shard are put. */
static float *raw_rows(tdo_trainer *t)
{
    return t->rows ? t->rows : tdo_plan_input(t->plan, t->raw);
}

/* Row `at` of what this rank was given becomes shard row k. */
static void fill_row(tdo_trainer *t, const struct tdo_trainer_batch *b, int64_t at,
                     const struct tdo_key *key, int64_t k)
{
    const int64_t images = t->o.pairs ? 2 : 1;
    float *partner = t->o.pairs ? tdo_plan_input(t->plan, t->partner) : NULL;
    fill_image(t, b, images * at, key, raw_rows(t) + k * t->pixels);
    if (partner) { /* NULL: no clean image is looked at */
        fill_image(t, b, images * at + 1, key, partner + k * t->pixels);
    }
}

/* Black pixels in shard row k. */
static void fill_padding(tdo_trainer *t, int64_t k)
{
    float *partner = t->o.pairs ? tdo_plan_input(t->plan, t->partner) : NULL;
    memset(raw_rows(t) + k * t->pixels, 0, (size_t)t->pixels * sizeof(float));
    if (partner) {
        memset(partner + k * t->pixels, 0, (size_t)t->pixels * sizeof *partner);
    }
}

/* The keys of shard row k, one a draw. */
static void fill_keys(tdo_trainer *t, int64_t k, struct tdo_key key)
{
    for (int i = 0; i < TDO_DEFENSE_DRAWS; i++) {
        struct tdo_key *keys =
            t->keys[i] != TDO_NONE ? tdo_plan_input(t->plan, t->keys[i]) : NULL;
        if (keys) { /* NULL: nothing random in this draw */
            key.draw = (uint32_t)i;
            keys[k] = key;
        }
    }
}

/* The keys of a shard's random weights: numbers for each draw and shard of a step. */
static void fill_weight_keys(tdo_trainer *t, uint32_t step, int shard)
{
    for (int i = 0; i < TDO_DEFENSE_DRAWS; i++) {
        struct tdo_key *key =
            t->weight_keys[i] != TDO_NONE ? tdo_plan_input(t->plan, t->weight_keys[i]) : NULL;
        if (key) {
            *key = (struct tdo_key){.sample = TDO_SAMPLE_BATCH,
                                    .draw = (uint32_t)(shard * TDO_DEFENSE_DRAWS + i),
                                    .step = step};
        }
    }
}

/* Shard rows [r.first, r.end) of the batch into the plan; the rest is padding of weight 0. */
static void fill(tdo_trainer *t, const struct tdo_trainer_batch *b, struct tdo_range r)
{
    float *labels = tdo_plan_input(t->plan, t->labels);
    float *weights = tdo_plan_input(t->plan, t->weights);
    const int64_t begin = tdo_trainer_rows(t, b->rows).first; /* of what this rank has */
    for (int64_t k = 0; k < t->rows_per_shard; k++) {
        const bool real = r.first + k < r.end;
        const int64_t at = real ? r.first + k - begin : 0;
        const struct tdo_key key = {.sample = (uint64_t)b->id[at], .step = b->step};
        if (real) {
            fill_row(t, b, at, &key, k);
        } else {
            fill_padding(t, k);
        }
        if (labels) { /* NULL: no label is looked at */
            labels[k] = real ? (float)b->y[at] : 0;
        }
        weights[k] = real ? (float)(1.0 / (double)b->rows) : 0;
        fill_keys(t, k, key);
    }
}

/* What the inner attack makes of shard rows [r.first, r.end), which are in the plan; padding stays
 * black. */
static tdo_err craft(tdo_trainer *t, const struct tdo_trainer_batch *b, struct tdo_range r)
{
    const int64_t begin = tdo_trainer_rows(t, b->rows).first, count = r.end - r.first;
    float *to = tdo_plan_input(t->plan, t->attacked);
    for (int64_t k = 0; k < count; k++) {
        t->label[k] = b->y[r.first + k - begin];
        t->id[k] = (uint64_t)b->id[r.first + k - begin];
    }
    memset(to, 0, (size_t)(t->rows_per_shard * t->pixels) * sizeof *to);
    const struct tdo_crafter_rows rows = {.count = count,
                                          .raw = raw_rows(t),
                                          .u8 = t->o.u8,
                                          .label = t->label,
                                          .id = t->id,
                                          .step = b->step,
                                          .epochs = (double)(b->epoch - 1)};
    return tdo_crafter_run(t->crafter, &rows, to);
}

static tdo_err run_shard(tdo_trainer *t, const struct tdo_trainer_batch *b, int shard)
{
    const struct tdo_range rows = tdo_shard_rows(b->rows, t->o.shards, shard);
    fill(t, b, rows);
    fill_weight_keys(t, b->step, shard);
    if (t->crafter) {
        TDO_TRY(craft(t, b, rows));
    }
    float *slot = tdo_gradients_slot(t->gradients, shard);
    memset(t->waiting, 0, (size_t)t->buckets * sizeof *t->waiting);
    for (int k = 0; k < t->parts; k++) {
        tdo_plan_bind(t->plan, k, slot + t->part[k].offset);
        t->waiting[t->part[k].bucket]++;
    }
    t->shard = shard;
    t->announced = 0;
    TDO_TRY(tdo_plan_run(t->plan));
    return t->failure;
}

/* New weights and running statistics from the summed block. */
static tdo_err update(tdo_trainer *t, const struct tdo_trainer_batch *b, const float *sum)
{
    const float momentum = 0.1F; /* of running statistics, PyTorch's default */
    float *w = tdo_params_block(t->net->params, TDO_PARAM_WEIGHT);
    float *running = tdo_params_block(t->net->params, TDO_PARAM_BUFFER);
    tdo_optim_step(t->optim, b->rate, w, sum);
    TDO_TRY(tdo_defense_after_step(&t->net->defenses, t->net->params, b->step));
    for (int64_t i = 0; i < t->buffers_count; i++) {
        running[i] = (1 - momentum) * running[i] + momentum * sum[t->weights_count + i];
    }
    tdo_trainer_touch(t);
    return TDO_OK;
}

tdo_err tdo_trainer_step(tdo_trainer *t, const struct tdo_trainer_batch *b,
                         struct tdo_trainer_result *result)
{
    float *sum = NULL;
    t->failure = TDO_OK;
    TDO_TRY(tdo_gradients_begin(t->gradients, b->rows));
    for (int k = tdo_gradients_first(t->gradients); k < tdo_gradients_end_shard(t->gradients);
         k++) {
        if (tdo_gradients_rows(t->gradients, k) > 0) {
            TDO_TRY(run_shard(t, b, k));
        }
    }
    TDO_TRY(tdo_gradients_end(t->gradients, &sum));
    result->loss = (double)sum[t->count - 2];
    result->correct = t->judged ? (int64_t)lrintf(sum[t->count - 1]) : -1;
    if (!isfinite(result->loss)) {
        return TDO_FAIL(
            TDO_ERR_NUMERIC,
            "the loss is %g in step %u (epoch %lld, batch %lld): a smaller train.lr "
            "or train.clip may help",
            result->loss, (unsigned)b->step, (long long)b->epoch, (long long)b->number);
    }
    return update(t, b, sum);
}
