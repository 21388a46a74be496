/* One training step over all ranks against a computation that knows nothing of ranks, trees or
 * padding: plans in f64 over exactly the rows in question. Without batch normalisation one plan
 * holds the whole batch; with it, each shard is its own population. */
#include <math.h>
#include <string.h>

#include "jobs/job.h"
#include "jobs/train/trainer.h"
#include "nn/base/memory.h"
#include "nn/graph/grad.h"
#include "nn/losses.h"
#include "tests/mpi/runner.h"
#include "tests/nn/support.h"

const char suite_name[] = "trainer";

enum { MOST_ROWS = 16, MOST_PIXELS = 28 * 28, STEP = 5 };

/* A step so long that the change of a weight shows its gradient, whatever the weight's size. */
static const double rate = 64;

/* Draws of the noise in a step. */
static int copies = 1;

/* What the step trains on; NULL: the images. */
static const struct tdo_attack_use *inner;

/* Made-up images and labels, the same on all ranks. */
struct images {
    uint8_t x[MOST_ROWS * MOST_PIXELS];
    const double *instead; /* of x, 0..255; NULL: not */
    int32_t y[MOST_ROWS];
    int64_t id[MOST_ROWS];
    int64_t pixels;
};

static struct images images;

static void make_images(const struct tdo_network *n)
{
    images.pixels = n->spec.height * n->spec.width * n->spec.channels;
    for (int64_t i = 0; i < MOST_ROWS * images.pixels; i++) {
        images.x[i] = (uint8_t)(127.5 * (probe_number(7, i) + 1));
    }
    for (int i = 0; i < MOST_ROWS; i++) {
        images.y[i] = 3 * i % 10;
        images.id[i] = 1000 + 17 * i;
    }
}

static void make_network(const char *name, int64_t side, int64_t channels,
                         struct tdo_network *n)
{
    const struct tdo_network_data data = {side, side, channels, 10};
    char model[32];
    tdo_config *c = NULL;
    ASSERT_OK_FATAL(tdo_config_new(&tdo_job_schema, &c));
    snprintf(model, sizeof model, "model.name=%s", name);
    ASSERT_OK(tdo_config_set(c, model));
    ASSERT_OK(
        tdo_config_set(c, copies > 1 ? "defense=gaussian,consistency" : "defense=gaussian"));
    if (copies > 1) { /* the mean cross entropy alone */
        char number[32];
        snprintf(number, sizeof number, "defense.1.copies=%d", copies);
        ASSERT_OK(tdo_config_set(c, number));
        ASSERT_OK(tdo_config_set(c, "defense.1.lambda=0"));
        ASSERT_OK(tdo_config_set(c, "defense.1.eta=0"));
    }
    ASSERT_OK(tdo_config_set(c, "defense.0.sigma=0.25"));
    ASSERT_OK_FATAL(tdo_network_configure(c, &data, n));
    tdo_config_free(&c);
    make_images(n);
}

/* ---- the direct way ------------------------------------------------------------------------- */

/* What a step should find: sums over the batch. */
struct expected {
    double *gradient, *running; /* as the blocks of the network */
    double loss, correct;
};

struct direct {
    tdo_graph *g;
    tdo_node raw, labels, weights, keys;
    struct tdo_build b;
    tdo_node output[256];
    int outputs;
    int64_t entry[256]; /* of each gradient */
    int gradients;
};

static void build_direct(struct tdo_network *n, int64_t rows, struct direct *d)
{
    const struct tdo_model_spec *s = &n->spec;
    tdo_node wrt[256];
    ASSERT_OK_FATAL(tdo_graph_new(&d->g));
    d->raw = tdo_op_input(d->g, "raw", TDO_SHAPE(rows, s->height, s->width, s->channels));
    d->labels = tdo_op_input(d->g, "labels", TDO_SHAPE(rows));
    d->weights = tdo_op_input(d->g, "weights", TDO_SHAPE(rows));
    d->keys = tdo_op_key(d->g, "keys", rows);
    d->b = tdo_network_build_context(n, d->g, TDO_NORM_BATCH);
    d->b.row_weights = d->weights;
    d->b.keys = d->keys;
    tdo_node pixels = tdo_defense_augment(&n->defenses, d->g, d->raw, true, d->keys);
    tdo_node logits = tdo_network_logits(n, &d->b, pixels);
    tdo_node loss = tdo_loss_cross_entropy(d->g, logits, d->labels, d->weights);
    d->gradients = 0;
    for (int64_t i = 0; i < tdo_params_entries(n->params); i++) {
        const struct tdo_param *e = tdo_params_at(n->params, i);
        if (e->kind == TDO_PARAM_WEIGHT) {
            d->entry[d->gradients] = i;
            wrt[d->gradients++] = tdo_op_param(d->g, i, e->name, e->shape);
        }
    }
    tdo_grad(d->g, loss, TDO_NONE, d->gradients, wrt, d->output);
    d->outputs = d->gradients;
    for (int k = 0; k < d->b.norms; k++) {
        d->output[d->outputs++] = d->b.stats[k].stats;
    }
    d->output[d->outputs++] = loss;
    d->output[d->outputs++] = tdo_loss_correct(d->g, logits, d->labels, d->weights);
}

static void fill_direct(tdo_plan *p, const struct direct *d, struct tdo_range r, int64_t rows,
                        int draw)
{
    double *raw = tdo_plan_input(p, d->raw), *labels = tdo_plan_input(p, d->labels);
    double *weights = tdo_plan_input(p, d->weights);
    struct tdo_key *keys = tdo_plan_input(p, d->keys);
    for (int64_t i = 0; i < (r.end - r.first) * images.pixels; i++) {
        const int64_t at = r.first * images.pixels + i;
        raw[i] = images.instead ? images.instead[at] : (double)images.x[at];
    }
    for (int64_t i = 0; i < r.end - r.first; i++) {
        labels[i] = (double)images.y[r.first + i];
        weights[i] = 1.0 / (double)rows;
        keys[i] = (struct tdo_key){
            .sample = (uint64_t)images.id[r.first + i], .draw = (uint32_t)draw, .step = STEP};
    }
}

/* Add what a draw of the rows [r.first, r.end) of a batch of `rows` gives, as one population. */
static void add_direct(struct tdo_network *n, struct tdo_range r, int64_t rows, int draw,
                       struct expected *e)
{
    static struct direct d; /* large */
    const int64_t count = r.end - r.first;
    build_direct(n, count, &d);
    tdo_plan *p = probe_plan(d.g, d.outputs, d.output, F64, n->params);
    fill_direct(p, &d, r, rows, draw);
    ASSERT_OK_FATAL(tdo_plan_run(p));
    for (int k = 0; k < d.gradients; k++) {
        const struct tdo_param *at = tdo_params_at(n->params, d.entry[k]);
        const double *g = tdo_plan_output(p, k);
        for (int64_t i = 0; i < at->count; i++) {
            e->gradient[at->offset + i] += g[i] / copies;
        }
    }
    for (int k = 0; k < d.b.norms; k++) {
        const struct tdo_batch_stats *s = &d.b.stats[k];
        const struct tdo_param *mean = tdo_params_at(n->params, s->mean);
        const struct tdo_param *var = tdo_params_at(n->params, s->var);
        const double *stats = tdo_plan_output(p, d.gradients + k);
        const double share = (double)count / (double)rows / copies,
                     places = (double)(count * s->per);
        const double unbiased = places > 1 ? places / (places - 1) : 1;
        for (int64_t i = 0; i < mean->count; i++) {
            e->running[mean->offset + i] += share * stats[i];
            e->running[var->offset + i] += share * unbiased * stats[mean->count + i];
        }
    }
    e->loss += *(const double *)tdo_plan_output(p, d.outputs - 2) / copies;
    e->correct += draw ? 0 : *(const double *)tdo_plan_output(p, d.outputs - 1);
    tdo_plan_free(&p);
    tdo_graph_free(&d.g);
}

/* ---- the step --------------------------------------------------------------------------------- */

/* What the step did to the network, as a gradient and as sums of statistics. */
struct observed {
    double *gradient, *running;
    struct tdo_trainer_result result;
};

static struct tdo_trainer_batch batch_of(int64_t rows, int64_t first)
{
    return (struct tdo_trainer_batch){.rows = rows,
                                      .step = STEP,
                                      .epoch = 3,
                                      .number = 2,
                                      .rate = rate,
                                      .x = images.x + first * images.pixels,
                                      .y = images.y + first,
                                      .id = images.id + first};
}

static void take_step(struct tdo_network *n, int64_t rows, int shards, struct observed *o)
{
    const struct tdo_trainer_options options = {
        .batch = MOST_ROWS, .shards = shards, .u8 = true, .inner = inner};
    const int64_t weights = tdo_params_count(n->params, TDO_PARAM_WEIGHT);
    const int64_t buffers = tdo_params_count(n->params, TDO_PARAM_BUFFER);
    const float *w = tdo_params_block(n->params, TDO_PARAM_WEIGHT);
    const float *running = tdo_params_block(n->params, TDO_PARAM_BUFFER);
    tdo_trainer *t = NULL;
    for (int64_t i = 0; i < weights; i++) {
        o->gradient[i] = (double)w[i];
    }
    for (int64_t i = 0; i < buffers; i++) {
        o->running[i] = (double)running[i];
    }
    ASSERT_OK_FATAL(tdo_trainer_new(runner_comm, n, &options, &t));
    const struct tdo_range r = tdo_trainer_rows(t, rows);
    const struct tdo_trainer_batch batch = batch_of(rows, r.first);
    ASSERT_OK_FATAL(tdo_trainer_step(t, &batch, &o->result));
    for (int64_t i = 0; i < weights; i++) {
        o->gradient[i] = (o->gradient[i] - (double)w[i]) / rate;
    }
    for (int64_t i = 0; i < buffers; i++) {
        o->running[i] = ((double)running[i] - 0.9 * o->running[i]) / 0.1;
    }
    tdo_trainer_free(&t);
}

/* Largest gap over the entries of a kind, each relative to its own largest number. */
static double largest_gap(const struct tdo_network *n, enum tdo_param_kind kind,
                          const double *a, const double *b)
{
    double gap = 0;
    for (int64_t i = 0; i < tdo_params_entries(n->params); i++) {
        const struct tdo_param *e = tdo_params_at(n->params, i);
        if (e->kind == kind) {
            gap = fmax(gap, probe_gap(e->count, a + e->offset, b + e->offset));
        }
    }
    return gap;
}

/* One step of `rows` rows; populations: shards if the network normalises, else the whole. */
static void compare(const char *model, int64_t side, int64_t channels, int64_t rows, int shards,
                    double tolerance)
{
    struct tdo_network n;
    struct expected e = {0};
    struct observed o = {0};
    make_network(model, side, channels, &n);
    const int64_t buffers = tdo_params_count(n.params, TDO_PARAM_BUFFER);
    const int64_t weights = tdo_params_count(n.params, TDO_PARAM_WEIGHT);
    ASSERT_OK_FATAL(tdo_memory_new(weights, &e.gradient));
    ASSERT_OK_FATAL(tdo_memory_new(weights, &o.gradient));
    ASSERT_OK_FATAL(tdo_memory_new(buffers, &e.running));
    ASSERT_OK_FATAL(tdo_memory_new(buffers, &o.running));
    const int parts = buffers > 0 ? shards : 1;
    for (int k = 0; k < parts; k++) {
        const struct tdo_range r = {k * rows / parts, (k + 1) * rows / parts};
        for (int draw = 0; r.end > r.first && draw < copies; draw++) {
            add_direct(&n, r, rows, draw, &e);
        }
    }
    take_step(&n, rows, shards, &o);
    CU_ASSERT_DOUBLE_EQUAL(o.result.loss, e.loss, 1e-5 * e.loss);
    CU_ASSERT_EQUAL(o.result.correct, (int64_t)e.correct);
    const double gap = largest_gap(&n, TDO_PARAM_WEIGHT, o.gradient, e.gradient);
    CU_ASSERT_TRUE(gap <= tolerance);
    const double drift = largest_gap(&n, TDO_PARAM_BUFFER, o.running, e.running);
    CU_ASSERT_TRUE(drift <= tolerance);
    if (!(gap <= tolerance && drift <= tolerance)) {
        fprintf(stderr, "%s, %lld rows, %d shards: gradient off by %.1e, statistics by %.1e\n",
                model, (long long)rows, shards, gap, drift);
    }
    tdo_memory_free(&e.gradient);
    tdo_memory_free(&o.gradient);
    tdo_memory_free(&e.running);
    tdo_memory_free(&o.running);
    tdo_network_free(&n);
}

static void test_whole_batch(void)
{
    compare("zcnn", 28, 1, 16, 8, 2e-5);
}

static void test_uneven_shards(void)
{
    compare("mlp", 28, 1, 16, 7, 2e-5);
    compare("lenet", 28, 1, 13, 5, 2e-5);
}

static void test_empty_shards(void)
{
    compare("mlp", 28, 1, 3, 8, 2e-5);
    compare("lenet", 28, 1, 1, 4, 2e-5);
}

static void test_norm(void)
{
    compare("resnet20", 16, 3, 16, 4, 2e-4);
    compare("resnet20", 16, 3, 13, 3, 2e-4); /* padding in every shard */
}

static void test_norm_empty(void)
{
    compare("resnet20", 16, 3, 2, 4, 2e-4);
}

static void test_draws(void)
{
    copies = 2;
    compare("mlp", 28, 1, 5, 3, 2e-5);
    compare("resnet20", 16, 3, 5, 3, 2e-4);
    copies = 1;
}

/* The first layer's statistics from its input, with no graph of ours behind the convolution. */
static void test_first_norm(void)
{
    enum { ROWS = 11, SHARDS = 3, SIDE = 16, CHANNELS = 16 };
    struct tdo_network n;
    static double sum[2][CHANNELS];
    make_network("resnet20", SIDE, 3, &n);
    const int64_t mean = tdo_params_find(n.params, "bn1.running_mean");
    const int64_t var = tdo_params_find(n.params, "bn1.running_var");
    CU_ASSERT_FATAL(mean >= 0 && var >= 0);
    memset(sum, 0, sizeof sum);
    for (int64_t k = 0; k < SHARDS; k++) {
        const struct tdo_range r = {k * ROWS / SHARDS, (k + 1) * ROWS / SHARDS};
        const int64_t rows = r.end - r.first, places = rows * SIDE * SIDE;
        struct direct d = {0};
        const struct tdo_layer_conv conv = tdo_layer_square(3, 1, 1, false);
        ASSERT_OK_FATAL(tdo_graph_new(&d.g));
        d.raw = tdo_op_input(d.g, "raw", TDO_SHAPE(rows, SIDE, SIDE, 3));
        d.keys = tdo_op_key(d.g, "keys", rows);
        d.b = tdo_network_build_context(&n, d.g, TDO_NORM_BATCH);
        tdo_node x = tdo_defense_augment(&n.defenses, d.g, d.raw, true, d.keys);
        x = tdo_layer_conv(&d.b, "conv1", x, CHANNELS, &conv);
        tdo_plan *p = probe_plan(d.g, 1, &x, F64, n.params);
        double *raw = tdo_plan_input(p, d.raw);
        struct tdo_key *keys = tdo_plan_input(p, d.keys);
        for (int64_t i = 0; i < rows * images.pixels; i++) {
            raw[i] = (double)images.x[r.first * images.pixels + i];
        }
        for (int64_t i = 0; i < rows; i++) {
            keys[i] =
                (struct tdo_key){.sample = (uint64_t)images.id[r.first + i], .step = STEP};
        }
        ASSERT_OK_FATAL(tdo_plan_run(p));
        const double *out = tdo_plan_output(p, 0);
        for (int c = 0; c < CHANNELS; c++) {
            double m = 0, v = 0;
            for (int64_t i = 0; i < places; i++) {
                m += out[i * CHANNELS + c] / (double)places;
            }
            for (int64_t i = 0; i < places; i++) {
                v += (out[i * CHANNELS + c] - m) * (out[i * CHANNELS + c] - m);
            }
            sum[0][c] += m * (double)rows / ROWS;
            sum[1][c] += v / (double)(places - 1) * (double)rows / ROWS;
        }
        tdo_plan_free(&p);
        tdo_graph_free(&d.g);
    }
    struct observed o = {0};
    ASSERT_OK_FATAL(tdo_memory_new(tdo_params_count(n.params, TDO_PARAM_WEIGHT), &o.gradient));
    ASSERT_OK_FATAL(tdo_memory_new(tdo_params_count(n.params, TDO_PARAM_BUFFER), &o.running));
    take_step(&n, ROWS, SHARDS, &o);
    const double *got_mean = o.running + tdo_params_at(n.params, mean)->offset;
    const double *got_var = o.running + tdo_params_at(n.params, var)->offset;
    CU_ASSERT_TRUE(probe_gap(CHANNELS, got_mean, sum[0]) < 1e-5);
    CU_ASSERT_TRUE(probe_gap(CHANNELS, got_var, sum[1]) < 1e-5);
    tdo_memory_free(&o.gradient);
    tdo_memory_free(&o.running);
    tdo_network_free(&n);
}

/* Cross entropy of these rows, summed with weights 1/rows, where one draw of random weights serves
 * all of them. */
static double shard_loss(struct tdo_network *n, struct tdo_range r, int64_t rows, uint32_t draw)
{
    const int64_t count = r.end - r.first;
    static struct direct d; /* large */
    d = (struct direct){0};
    const struct tdo_model_spec *s = &n->spec;
    ASSERT_OK_FATAL(tdo_graph_new(&d.g));
    d.raw = tdo_op_input(d.g, "raw", TDO_SHAPE(count, s->height, s->width, s->channels));
    d.labels = tdo_op_input(d.g, "labels", TDO_SHAPE(count));
    d.weights = tdo_op_input(d.g, "weights", TDO_SHAPE(count));
    d.keys = tdo_op_key(d.g, "keys", count);
    d.b = tdo_network_build_context(n, d.g, TDO_NORM_BATCH);
    d.b.keys = d.keys;
    d.b.shared = true;
    tdo_node pixels = tdo_noise_pixels(d.g, d.raw, true);
    tdo_node loss =
        tdo_loss_cross_entropy(d.g, tdo_network_logits(n, &d.b, pixels), d.labels, d.weights);
    tdo_plan *p = probe_plan(d.g, 1, &loss, F64, n->params);
    fill_direct(p, &d, r, rows, (int)draw);
    ASSERT_OK_FATAL(tdo_plan_run(p));
    const double sum = *(const double *)tdo_plan_output(p, 0);
    tdo_plan_free(&p);
    tdo_graph_free(&d.g);
    return sum;
}

/* Random weights have one draw for each shard of a step. */
static void test_random_weights(void)
{
    enum { ROWS = 13, SHARDS = 4 };
    const struct tdo_network_data data = {28, 28, 1, 10};
    struct tdo_network n;
    struct observed o = {0};
    tdo_config *c = NULL;
    double want = 0, same = 0;
    ASSERT_OK_FATAL(tdo_config_new(&tdo_job_schema, &c));
    ASSERT_OK(tdo_config_set(c, "model.name=mlp"));
    ASSERT_OK(tdo_config_set(c, "defense=pni"));
    ASSERT_OK_FATAL(tdo_network_configure(c, &data, &n));
    tdo_config_free(&c);
    make_images(&n);
    ASSERT_OK_FATAL(tdo_memory_new(tdo_params_count(n.params, TDO_PARAM_WEIGHT), &o.gradient));
    ASSERT_OK_FATAL(tdo_memory_new(tdo_params_count(n.params, TDO_PARAM_BUFFER), &o.running));
    for (int64_t k = 0; k < SHARDS; k++) {
        const struct tdo_range r = {k * ROWS / SHARDS, (k + 1) * ROWS / SHARDS};
        want += shard_loss(&n, r, ROWS, (uint32_t)k * TDO_DEFENSE_DRAWS);
        same += shard_loss(&n, r, ROWS, 0);
    }
    take_step(&n, ROWS, SHARDS, &o);
    CU_ASSERT_DOUBLE_EQUAL(o.result.loss, want, 1e-5 * want);
    CU_ASSERT_TRUE(fabs(same - want) > 1e-4 * want); /* ten times the tolerance */
    tdo_memory_free(&o.gradient);
    tdo_memory_free(&o.running);
    tdo_network_free(&n);
}

/* ---- what an inner attack makes of the rows ----------------------------------------------------- */

enum { ATTACKED_ROWS = 5, ATTACKED_SHARDS = 3, ATTACK_STEPS = 2, MOST_DRAWS = 3 };

/* One image at a time, and one draw of what is random: cross entropy and its gradient. */
struct asked {
    tdo_graph *g;
    tdo_plan *p;
    tdo_node point, label, keys;
};

static void start_asking(struct tdo_network *n, bool noise, struct asked *a)
{
    const struct tdo_model_spec *s = &n->spec;
    tdo_node out[2];
    ASSERT_OK_FATAL(tdo_graph_new(&a->g));
    a->point = tdo_op_input(a->g, "point", TDO_SHAPE(1, s->height, s->width, s->channels));
    a->label = tdo_op_input(a->g, "label", TDO_SHAPE(1));
    a->keys = tdo_op_key(a->g, "keys", 1);
    struct tdo_build *b = NULL;
    ASSERT_OK_FATAL(tdo_memory_new(1, &b));
    *b = tdo_network_build_context(n, a->g, TDO_NORM_RUNNING);
    b->keys = a->keys;
    tdo_node x =
        noise ? tdo_defense_augment(&n->defenses, a->g, a->point, false, a->keys) : a->point;
    tdo_node goal = tdo_op_one_hot(a->g, a->label, s->classes);
    out[0] = tdo_op_total(a->g, tdo_op_xent(a->g, tdo_network_logits(n, b, x), goal));
    tdo_grad(a->g, out[0], TDO_NONE, 1, &a->point, &out[1]);
    a->p = probe_plan(a->g, 2, out, F64, n->params);
    tdo_memory_free(&b);
}

/* Cross entropy of image i at u, with draw `draw` for this purpose (0: the streams' own). */
static double ask(struct asked *a, int i, const double *u, int draw, uint32_t purpose)
{
    struct tdo_key *key = tdo_plan_input(a->p, a->keys);
    *key = (struct tdo_key){.sample = (uint64_t)images.id[i],
                            .draw = (uint32_t)draw,
                            .step = STEP,
                            .purpose = purpose};
    probe_set(a->p, a->point, F64, images.pixels, u);
    const double label = images.y[i];
    probe_set(a->p, a->label, F64, 1, &label);
    ASSERT_OK_FATAL(tdo_plan_run(a->p));
    return *(const double *)tdo_plan_output(a->p, 0);
}

static void stop_asking(struct asked *a)
{
    tdo_plan_free(&a->p);
    tdo_graph_free(&a->g);
}

/* An attack by hand, in the L2 ball. */
struct by_hand {
    double eps, step;
    int draws;
    bool redraw;      /* step k has draws k m, k m + 1, ..., else all have 0, 1, ... */
    bool probability; /* climb the loss of the mean probability, not the mean loss */
    uint32_t purpose;
};

/* The direction of image i at u: sum of w_d grad CE_d, w_d = 1/m or p_d / sum p. */
static void direction(struct asked *a, const struct by_hand *how, int i, int k, const double *u,
                      double *g)
{
    double weight = 0;
    memset(g, 0, (size_t)images.pixels * sizeof *g);
    for (int d = 0; d < how->draws; d++) {
        const double ce = ask(a, i, u, how->redraw ? k * how->draws + d : d, how->purpose);
        const double w = how->probability ? exp(-ce) : 1;
        const double *part = tdo_plan_output(a->p, 1);
        for (int64_t j = 0; j < images.pixels; j++) {
            g[j] += w * part[j];
        }
        weight += w;
    }
    for (int64_t j = 0; j < images.pixels; j++) {
        g[j] /= weight;
    }
}

static double norm_of(const double *v)
{
    double square = 0;
    for (int64_t j = 0; j < images.pixels; j++) {
        square += v[j] * v[j];
    }
    return sqrt(square);
}

/* What becomes of image i, from the image itself: u [pixels]. */
static void climb(struct asked *a, const struct by_hand *how, int i, double *u)
{
    static double g[MOST_PIXELS], d[MOST_PIXELS];
    const uint8_t *x = images.x + i * images.pixels;
    for (int64_t j = 0; j < images.pixels; j++) {
        u[j] = x[j] / 255.0;
    }
    for (int k = 0; k < ATTACK_STEPS; k++) {
        direction(a, how, i, k, u, g);
        const double length = norm_of(g);
        for (int64_t j = 0; j < images.pixels; j++) {
            d[j] = u[j] + how->step * g[j] / length - x[j] / 255.0;
        }
        const double far = norm_of(d), part = far > how->eps ? how->eps / far : 1;
        for (int64_t j = 0; j < images.pixels; j++) {
            u[j] = fmin(1, fmax(0, x[j] / 255.0 + part * d[j]));
        }
    }
}

/* The loss of a step of a network with these options, which has an inner attack. */
static double attacked_step(const char *const *options, struct tdo_network *n)
{
    const struct tdo_network_data data = {28, 28, 1, 10};
    struct tdo_attack_use use;
    struct observed o = {0};
    tdo_config *c = NULL;
    bool wanted = false;
    ASSERT_OK_FATAL(tdo_config_new(&tdo_job_schema, &c));
    ASSERT_OK_FATAL(tdo_config_set(c, "model.name=mlp"));
    for (int i = 0; options[i]; i++) {
        ASSERT_OK_FATAL(tdo_config_set(c, options[i]));
    }
    ASSERT_OK_FATAL(tdo_network_configure(c, &data, n));
    ASSERT_OK_FATAL(tdo_crafter_read(c, n, &use, &wanted));
    CU_ASSERT_TRUE_FATAL(wanted);
    make_images(n);
    const int64_t weights = tdo_params_count(n->params, TDO_PARAM_WEIGHT);
    float *kept = NULL, *w = tdo_params_block(n->params, TDO_PARAM_WEIGHT);
    ASSERT_OK_FATAL(tdo_memory_new(weights, &kept));
    ASSERT_OK_FATAL(tdo_memory_new(weights, &o.gradient));
    ASSERT_OK_FATAL(tdo_memory_new(1, &o.running));
    memcpy(kept, w, (size_t)weights * sizeof *w);
    inner = &use;
    take_step(n, ATTACKED_ROWS, ATTACKED_SHARDS, &o);
    inner = NULL;
    memcpy(w, kept, (size_t)weights * sizeof *w); /* what the attack and the loss saw */
    tdo_config_free(&c);
    tdo_memory_free(&kept);
    tdo_memory_free(&o.gradient);
    tdo_memory_free(&o.running);
    return o.result.loss;
}

/* The mean over images and draws [first, first + count) of the cross entropy behind the noise, of what
 * the attack makes of an image. */
static double smooth_loss(struct tdo_network *n, const struct by_hand *how, int first,
                          int count)
{
    static double u[MOST_PIXELS];
    struct asked a;
    double sum = 0;
    start_asking(n, true, &a);
    for (int i = 0; i < ATTACKED_ROWS; i++) {
        climb(&a, how, i, u);
        for (int d = first; d < first + count; d++) {
            sum += ask(&a, i, u, d, 0);
        }
    }
    stop_asking(&a);
    return sum / (ATTACKED_ROWS * count);
}

static void compare_smooth(const char *const *options, const struct by_hand *how, int count)
{
    struct tdo_network n;
    const double loss = attacked_step(options, &n);
    const double want = smooth_loss(&n, how, 0, count);
    CU_ASSERT_DOUBLE_EQUAL(loss, want, 1e-5 * want);
    /* Other draws of the noise in the loss, or in the attack, would be seen. */
    struct by_hand other = *how;
    other.purpose = TDO_PURPOSE_ATTACK_DRAW;
    CU_ASSERT_TRUE(fabs(smooth_loss(&n, how, MOST_DRAWS, count) - want) > 1e-4 * want);
    CU_ASSERT_TRUE(fabs(smooth_loss(&n, &other, 0, count) - want) > 1e-4 * want);
    tdo_network_free(&n);
}

#define SMOOTH(inner)                                                                          \
    "defense=gaussian,smooth_adversarial", "defense.0.sigma=0.5", inner, "inner.0.steps=2"

static void test_smooth(void)
{
    struct by_hand how = {.eps = 1, .step = 1, .draws = 1};
    const char *const one[] = {SMOOTH("inner=smoothadv"), "inner.0.eps=1", "defense.1.draws=1",
                               NULL};
    compare_smooth(one, &how, 1);
    how.draws = 3;
    how.probability = true;
    const char *const three[] = {SMOOTH("inner=smoothadv"), "inner.0.eps=1",
                                 "defense.1.draws=3", NULL};
    compare_smooth(three, &how, 3);
    const char *const first[] = {SMOOTH("inner=smoothadv"), "inner.0.eps=1",
                                 "defense.1.draws=3", "defense.1.train=first", NULL};
    compare_smooth(first, &how, 1);
    how.probability = false;
    how.step = 0.75;
    const char *const mean[] = {
        SMOOTH("inner=pgd"), "inner.0.eps=1",     "inner.0.norm=l2",   "inner.0.start=none",
        "inner.0.keep=last", "inner.0.step=0.75", "defense.1.draws=3", NULL};
    compare_smooth(mean, &how, 3);
}

/* The third epoch of six has half of eps, and of the steps. */
static void test_eps_warmup(void)
{
    struct by_hand how = {.eps = 1, .step = 1, .draws = 2, .probability = true};
    const char *const rising[] = {SMOOTH("inner=smoothadv"), "inner.0.eps=2",
                                  "defense.1.eps_warmup=6", NULL};
    compare_smooth(rising, &how, 2);
    const char *const risen[] = {SMOOTH("inner=smoothadv"), "inner.0.eps=1",
                                 "defense.1.eps_warmup=3", NULL};
    compare_smooth(risen, &how, 2);
    how.step = 0.75;
    how.probability = false;
    const char *const steps[] = {
        SMOOTH("inner=pgd"), "inner.0.eps=2",    "inner.0.norm=l2",        "inner.0.start=none",
        "inner.0.keep=last", "inner.0.step=1.5", "defense.1.eps_warmup=6", NULL};
    compare_smooth(steps, &how, 2);
}

/* The loss with one draw of random weights a shard, of what the attack makes of the images. */
static double shards_loss(struct tdo_network *n, const struct by_hand *how)
{
    static double u[ATTACKED_ROWS * MOST_PIXELS];
    struct asked a;
    double sum = 0;
    start_asking(n, false, &a);
    for (int i = 0; i < ATTACKED_ROWS; i++) {
        climb(&a, how, i, u + i * images.pixels);
        for (int64_t j = 0; j < images.pixels; j++) {
            u[i * images.pixels + j] *= 255;
        }
    }
    stop_asking(&a);
    images.instead = u;
    for (int64_t k = 0; k < ATTACKED_SHARDS; k++) {
        const struct tdo_range r = {k * ATTACKED_ROWS / ATTACKED_SHARDS,
                                    (k + 1) * ATTACKED_ROWS / ATTACKED_SHARDS};
        sum += shard_loss(n, r, ATTACKED_ROWS, (uint32_t)k * TDO_DEFENSE_DRAWS);
    }
    images.instead = NULL;
    return sum;
}

/* EPGD redraws weights in each step and for each image; training then draws once a shard. */
static void test_epgd_training(void)
{
    struct by_hand how = {
        .eps = 1, .step = 0.75, .draws = 2, .redraw = true, .purpose = TDO_PURPOSE_ATTACK_DRAW};
    const char *const rows[] = {"pni", "cni"};
    for (int i = 0; i < 2; i++) {
        char defense[48];
        struct tdo_network n;
        snprintf(defense, sizeof defense, "defense=%s,adversarial", rows[i]);
        const char *const options[] = {
            defense,           "inner=epgd",         "inner.0.norm=l2",
            "inner.0.eps=1",   "inner.0.step=0.75",  "inner.0.steps=2",
            "inner.0.draws=2", "inner.0.start=none", NULL};
        const double loss = attacked_step(options, &n);
        const double want = shards_loss(&n, &how);
        CU_ASSERT_DOUBLE_EQUAL(loss, want, 1e-5 * want);
        struct by_hand fixed = how;
        fixed.redraw = false;
        CU_ASSERT_TRUE(fabs(shards_loss(&n, &fixed) - want) > 1e-4 * want);
        tdo_network_free(&n);
    }
}

static void test_diverged(void)
{
    struct tdo_network n;
    struct tdo_trainer_result result;
    tdo_trainer *t = NULL;
    make_network("mlp", 28, 1, &n);
    const struct tdo_trainer_options options = {.batch = MOST_ROWS, .shards = 4, .u8 = true};
    float *w = tdo_params_block(n.params, TDO_PARAM_WEIGHT);
    const int64_t last = tdo_params_count(n.params, TDO_PARAM_WEIGHT) - 1;
    ASSERT_OK_FATAL(tdo_trainer_new(runner_comm, &n, &options, &t));
    const struct tdo_range r = tdo_trainer_rows(t, MOST_ROWS);
    w[last] = NAN;
    const float first = w[0];
    const struct tdo_trainer_batch batch = batch_of(MOST_ROWS, r.first);
    CU_ASSERT_EQUAL(tdo_trainer_step(t, &batch, &result), TDO_ERR_NUMERIC);
    CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, "step 5 (epoch 3, batch 2)"));
    CU_ASSERT_TRUE(w[0] == first);
    tdo_trainer_free(&t);
    tdo_network_free(&n);
}

/* Two steps, so that the second begins with what the first left. */
static void test_checkpoint(void)
{
    int64_t bytes[2];
    struct tdo_network n[2];
    for (int k = 0; k < 2; k++) {
        const struct tdo_trainer_options options = {
            .batch = MOST_ROWS, .shards = 4, .u8 = true, .checkpoint = k ? 4 : 0};
        struct tdo_trainer_result result;
        tdo_trainer *t = NULL;
        make_network("resnet20", 16, 3, &n[k]);
        ASSERT_OK_FATAL(tdo_trainer_new(runner_comm, &n[k], &options, &t));
        const struct tdo_range r = tdo_trainer_rows(t, MOST_ROWS);
        const struct tdo_trainer_batch batch = batch_of(MOST_ROWS, r.first);
        for (int step = 0; step < 2; step++) {
            ASSERT_OK_FATAL(tdo_trainer_step(t, &batch, &result));
        }
        bytes[k] = tdo_trainer_bytes(t);
        tdo_trainer_free(&t);
    }
    CU_ASSERT_TRUE(bytes[1] < bytes[0]);
    for (int kind = 0; kind < TDO_PARAM_KINDS; kind++) {
        const enum tdo_param_kind of = (enum tdo_param_kind)kind;
        const size_t size = (size_t)tdo_params_count(n[0].params, of) * sizeof(float);
        CU_ASSERT_EQUAL(
            memcmp(tdo_params_block(n[0].params, of), tdo_params_block(n[1].params, of), size),
            0);
    }
    tdo_network_free(&n[0]);
    tdo_network_free(&n[1]);
}

CU_TestInfo suite_tests[] = {
    {"a step follows the gradient of the mean loss over the whole batch", test_whole_batch},
    {"shards of unequal size change nothing", test_uneven_shards},
    {"empty shards change nothing", test_empty_shards},
    {"with batch normalisation each shard is a population", test_norm},
    {"a batch smaller than the number of shards leaves whole shards out", test_norm_empty},
    {"draws of a step have noise of their own; their statistics are averaged", test_draws},
    {"running statistics are those of the layer's input, row-weighted and unbiased",
     test_first_norm},
    {"random weights have one draw for each shard of a step", test_random_weights},
    {"SmoothAdv training has the attack's draws in its loss", test_smooth},
    {"its eps rises over the first epochs", test_eps_warmup},
    {"EPGD training redraws weights in each step of the attack", test_epgd_training},
    {"a loss that is not finite is an error on all ranks and updates nothing", test_diverged},
    {"gradient checkpointing gives the same weights from less memory", test_checkpoint},
    CU_TEST_INFO_NULL,
};
