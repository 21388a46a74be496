/* testudo bench: how fast the loops are that the time goes into, against what a core could do.
 *
 * Every rank runs the same loop at the same time; rates are added up over ranks. Images are made
 * up, weights are as training starts with them: speed depends on neither. A measurement takes
 * bench.seconds behind a warm-up. Benchmarks against PyTorch are in tests/bench. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "jobs/inference.h"
#include "jobs/measure.h"
#include "jobs/photos.h"
#include "jobs/train/train.h"
#include "nn/base/log.h"
#include "nn/graph/grad.h"
#include "nn/kernels/onednn.h"
#include "nn/kernels/peak.h"
#include "nn/kernels/threads.h"
#include "nn/losses.h"

struct benching {
    tdo_comm *comm;
    const tdo_config *config;
    struct tdo_network net;
    int64_t pixels, batch; /* of an image; of certify, gradient, noise */
    double seconds, peak;
    bool nodes;
};

/* What one benchmark found on this rank. */
struct result {
    double rate;   /* units a second */
    double gflops; /* 0: not counted */
    char note[112];
};

/* ---- timing --------------------------------------------------------------------------------- */

static tdo_err repeat(const struct benching *b, tdo_err (*step)(void *), void *context,
                      double *rate)
{
    return tdo_measure_repeat(b->comm, b->seconds, step, context, rate);
}

static tdo_err run_plan(void *plan)
{
    return tdo_plan_run(plan);
}

/* Time every node in a few more runs, and print them. */
static tdo_err show_nodes(const struct benching *b, tdo_err (*step)(void *), void *context,
                          tdo_plan *plan)
{
    enum { RUNS = 20 };
    if (!b->nodes) {
        return TDO_OK;
    }
    tdo_plan_time(plan, true);
    for (int i = 0; i < RUNS; i++) {
        TDO_TRY(step(context));
    }
    if (tdo_comm_rank(b->comm) == 0) {
        tdo_plan_print(plan, stdout);
    }
    tdo_plan_time(plan, false);
    return TDO_OK;
}

static void fill_images(const struct benching *b, float *raw, float scale)
{
    for (int64_t i = 0; i < b->batch * b->pixels; i++) {
        raw[i] = (float)(i % b->pixels % 251) * scale;
    }
}

/* ---- certify: noise, forward, argmax, count; and the same without noise on the pixels --------- */

static const double sigma = 0.25;

static struct tdo_noise rounded_noise(const tdo_rounded *table)
{
    return (struct tdo_noise){.law = TDO_NOISE_ROUNDED,
                              .sigma = sigma,
                              .stream = {.seed = 1, .purpose = TDO_PURPOSE_ESTIMATE},
                              .table = table};
}

struct voting {
    struct tdo_inference f;
    int classes;
    int64_t *votes;
    uint32_t draw;
};

static tdo_err vote(void *context)
{
    struct voting *v = context;
    struct tdo_key *key = tdo_plan_input(v->f.plan, v->f.keys);
    for (int64_t i = 0; key && i < v->f.batch; i++) { /* NULL: nothing is random */
        key[i].draw = v->draw++;
    }
    TDO_TRY(tdo_plan_run(v->f.plan));
    const float *z = tdo_plan_output(v->f.plan, 0);
    for (int64_t i = 0; i < v->f.batch; i++, z += v->classes) {
        v->votes[tdo_inference_class(z, v->classes)]++;
    }
    return TDO_OK;
}

/* noise: NULL for none. */
static tdo_err bench_votes(struct benching *b, const struct tdo_noise *noise, struct result *r)
{
    struct voting v = {.classes = b->net.spec.classes};
    tdo_err err = TDO_OK;
    TDO_GOTO(tdo_memory_new(v.classes, &v.votes));
    TDO_GOTO(tdo_inference_new(&b->net, b->batch, true, noise, &v.f));
    fill_images(b, tdo_plan_input(v.f.plan, v.f.raw), 1);
    TDO_GOTO(repeat(b, vote, &v, &r->rate));
    r->gflops = r->rate * (double)tdo_plan_flops(v.f.plan) * 1e-9;
    r->rate *= (double)b->batch;
    err = show_nodes(b, vote, &v, v.f.plan);
done:
    tdo_inference_free(&v.f);
    tdo_memory_free(&v.votes);
    return err;
}

static tdo_err bench_certify(struct benching *b, struct result *r)
{
    tdo_rounded *table = NULL;
    TDO_TRY(tdo_rounded_new(sigma, &table));
    const struct tdo_noise noise = rounded_noise(table);
    tdo_err err = bench_votes(b, &noise, r);
    tdo_rounded_free(&table);
    return err;
}

static tdo_err bench_forward(struct benching *b, struct result *r)
{
    return bench_votes(b, NULL, r);
}

/* ---- noise alone ---------------------------------------------------------------------------- */

static tdo_err bench_noise(struct benching *b, struct result *r)
{
    const struct tdo_model_spec *s = &b->net.spec;
    tdo_rounded *table = NULL;
    tdo_graph *g = NULL;
    tdo_plan *plan = NULL;
    tdo_err err = TDO_OK;
    TDO_GOTO(tdo_rounded_new(sigma, &table));
    TDO_GOTO(tdo_graph_new(&g));
    const struct tdo_noise noise = rounded_noise(table);
    tdo_node raw =
        tdo_op_input(g, "raw", TDO_SHAPE(b->batch, s->height, s->width, s->channels));
    tdo_node noisy = tdo_noise_add(g, &noise, raw, true, tdo_op_key(g, "keys", b->batch));
    const struct tdo_plan_options options = {.fast = true};
    TDO_GOTO(tdo_plan_new(g, 1, &noisy, &options, &plan));
    fill_images(b, tdo_plan_input(plan, raw), 1);
    TDO_GOTO(repeat(b, run_plan, plan, &r->rate));
    r->rate *= (double)(b->batch * b->pixels) * 1e-6;
done:
    tdo_plan_free(&plan);
    tdo_graph_free(&g);
    tdo_rounded_free(&table);
    return err;
}

/* ---- the gradient of the loss by the input, as attacks take it ------------------------------ */

static tdo_err gradient_plan(struct benching *b, tdo_graph *g, tdo_plan **plan)
{
    const struct tdo_model_spec *s = &b->net.spec;
    struct tdo_build *build = NULL;
    tdo_node gradient = TDO_NONE;
    TDO_TRY(tdo_memory_new(1, &build));
    tdo_node x =
        tdo_op_input(g, "pixels", TDO_SHAPE(b->batch, s->height, s->width, s->channels));
    tdo_node labels = tdo_op_input(g, "labels", TDO_SHAPE(b->batch));
    *build = tdo_network_build_context(&b->net, g, TDO_NORM_RUNNING);
    build->keys = tdo_op_key(g, "keys", b->batch);
    tdo_node ones = tdo_op_constant(g, TDO_SHAPE(b->batch), 1);
    tdo_node logits = tdo_network_logits(&b->net, build, x);
    tdo_memory_free(&build);
    tdo_node loss = tdo_loss_cross_entropy(g, logits, labels, ones);
    tdo_grad(g, loss, TDO_NONE, 1, &x, &gradient);
    const struct tdo_plan_options options = {
        .fast = true, .param = tdo_params_for_plan, .context = b->net.params};
    TDO_TRY(tdo_plan_new(g, 1, &gradient, &options, plan));
    fill_images(b, tdo_plan_input(*plan, x), 1.0F / 255);
    return TDO_OK;
}

static tdo_err bench_gradient(struct benching *b, struct result *r)
{
    tdo_graph *g = NULL;
    tdo_plan *plan = NULL;
    tdo_err err = TDO_OK;
    TDO_GOTO(tdo_graph_new(&g));
    TDO_GOTO(gradient_plan(b, g, &plan));
    TDO_GOTO(repeat(b, run_plan, plan, &r->rate));
    r->gflops = r->rate * (double)tdo_plan_flops(plan) * 1e-9;
    r->rate *= (double)b->batch;
    err = show_nodes(b, run_plan, plan, plan);
done:
    tdo_plan_free(&plan);
    tdo_graph_free(&g);
    return err;
}

/* ---- a step of training --------------------------------------------------------------------- */

struct stepping {
    tdo_trainer *trainer;
    struct tdo_trainer_batch batch;
    uint8_t *x;
    int32_t *y;
    int64_t *id;
};

static tdo_err train_step(void *context)
{
    struct stepping *s = context;
    struct tdo_trainer_result result;
    s->batch.step++;
    return tdo_trainer_step(s->trainer, &s->batch, &result);
}

static tdo_err make_rows(const struct benching *b, int64_t rows, struct stepping *s)
{
    TDO_TRY(tdo_memory_new(rows * b->pixels, &s->x));
    TDO_TRY(tdo_memory_new(rows, &s->y));
    TDO_TRY(tdo_memory_new(rows, &s->id));
    for (int64_t i = 0; i < rows; i++) {
        s->y[i] = (int32_t)(i % b->net.spec.classes);
        s->id[i] = i;
        for (int64_t k = 0; k < b->pixels; k++) {
            s->x[i * b->pixels + k] = (uint8_t)((i + 3) * (k + 7) % 251);
        }
    }
    s->batch = (struct tdo_trainer_batch){
        .rows = rows, .epoch = 1, .rate = 1e-6, .x = s->x, .y = s->y, .id = s->id};
    return TDO_OK;
}

static tdo_err bench_train(struct benching *b, struct result *r)
{
    struct tdo_trainer_options o = tdo_train_step_options(b->config, true);
    struct tdo_attack_use inner;
    bool wanted = false;
    const int ranks = tdo_comm_size(b->comm);
    const int64_t before = tdo_memory_now();
    struct stepping s = {0};
    tdo_err err = TDO_OK;
    TDO_GOTO(tdo_crafter_read(b->config, &b->net, &inner, &wanted));
    o.inner = wanted ? &inner : NULL;
    TDO_GOTO(tdo_trainer_new(b->comm, &b->net, &o, &s.trainer));
    TDO_GOTO(make_rows(b, o.batch, &s));
    TDO_GOTO(repeat(b, train_step, &s, &r->rate));
    tdo_plan *plan = tdo_trainer_plan(s.trainer);
    r->gflops = r->rate * o.shards / ranks * (double)tdo_plan_flops(plan) * 1e-9;
    r->rate *= (double)o.batch / ranks;
    snprintf(r->note, sizeof r->note,
             "batch %lld, %d shards, %u steps; a step takes %.1f MB, the process grew by %.1f",
             (long long)o.batch, o.shards, (unsigned)s.batch.step,
             (double)tdo_trainer_bytes(s.trainer) * 1e-6,
             (double)(tdo_memory_peak() - before) * 1e-6);
    err = show_nodes(b, train_step, &s, plan);
done:
    tdo_trainer_free(&s.trainer);
    tdo_memory_free(&s.x);
    tdo_memory_free(&s.y);
    tdo_memory_free(&s.id);
    return err;
}

/* ---- gradient exchange ---------------------------------------------------------------------- */

struct exchange {
    tdo_gradients *g;
    int64_t rows, count;
};

/* Every shard's gradient is there at once. */
static tdo_err exchange(void *context)
{
    struct exchange *x = context;
    float *sum = NULL;
    TDO_TRY(tdo_gradients_begin(x->g, x->rows));
    for (int k = tdo_gradients_first(x->g); k < tdo_gradients_end_shard(x->g); k++) {
        memset(tdo_gradients_slot(x->g, k), 0, (size_t)x->count * sizeof *sum);
        TDO_TRY(tdo_gradients_ready(x->g, k, 0));
    }
    return tdo_gradients_end(x->g, &sum);
}

static tdo_err bench_exchange(struct benching *b, struct result *r)
{
    const int shards = (int)tdo_config_int(b->config, "train.shards");
    const int64_t begin = 0;
    struct exchange x = {.rows = shards,
                         .count = tdo_params_count(b->net.params, TDO_PARAM_WEIGHT)};
    const struct tdo_gradients_spec spec = {
        .count = x.count, .shards = shards, .buckets = 1, .bucket_begin = &begin};
    tdo_err err = tdo_gradients_new(b->comm, &spec, &x.g);
    if (err == TDO_OK) {
        err = repeat(b, exchange, &x, &r->rate);
    }
    r->rate /= tdo_comm_size(b->comm);
    snprintf(r->note, sizeof r->note, "%.1f MB a gradient, %d shards", (double)x.count * 4e-6,
             shards);
    tdo_gradients_free(&x.g);
    return err;
}

/* ---- reading data --------------------------------------------------------------------------- */

struct reading {
    tdo_prefetch *ahead;
    struct tdo_order order;
    int64_t at, batch, *row;
};

static tdo_err request_rows(struct reading *d)
{
    for (int64_t i = 0; i < d->batch; i++) {
        d->row[i] = tdo_shard_row(&d->order, d->at++ % d->order.rows);
    }
    return tdo_prefetch_request(d->ahead, d->row, d->batch);
}

static tdo_err read_rows(void *context)
{
    struct reading *d = context;
    const void *x = NULL;
    const int32_t *y = NULL;
    TDO_TRY(tdo_prefetch_wait(d->ahead, &x, &y));
    return request_rows(d);
}

static tdo_err bench_data(struct benching *b, struct result *r)
{
    struct reading d = {.batch = b->batch};
    tdo_dataset *data = NULL;
    tdo_err err = TDO_OK;
    if (!tdo_config_given(b->config, "data.file")) {
        snprintf(r->note, sizeof r->note, "skipped: data.file is not given");
        return TDO_OK;
    }
    TDO_TRY(
        tdo_photos_open(b->comm, b->config, tdo_config_text(b->config, "data.file"), &data));
    d.order =
        (struct tdo_order){.seed = 1, .rows = tdo_dataset_info(data)->rows[TDO_SPLIT_TRAIN]};
    TDO_GOTO(tdo_shard_check(&d.order));
    TDO_GOTO(tdo_memory_new(d.batch, &d.row));
    TDO_GOTO(tdo_prefetch_new(data, TDO_SPLIT_TRAIN, d.batch, &d.ahead));
    TDO_GOTO(request_rows(&d));
    TDO_GOTO(repeat(b, read_rows, &d, &r->rate));
    r->rate *= (double)d.batch;
    snprintf(r->note, sizeof r->note, "shuffled, %.1f MB/s a rank",
             r->rate * (double)tdo_dataset_row_bytes(data) * 1e-6);
done:
    tdo_prefetch_free(&d.ahead);
    tdo_dataset_free(&data);
    tdo_memory_free(&d.row);
    return err;
}

/* ---- the job -------------------------------------------------------------------------------- */

/* In the order of the choices of bench.what, behind `all`. */
static const struct bench {
    const char *name, *unit;
    tdo_err (*run)(struct benching *b, struct result *r);
} benches[] = {
    {"certify", "samples/s", bench_certify},  {"train", "images/s", bench_train},
    {"gradient", "images/s", bench_gradient}, {"noise", "Mdraws/s", bench_noise},
    {"data", "images/s", bench_data},         {"exchange", "steps/s", bench_exchange},
    {"forward", "images/s", bench_forward},
};

static void print_result(const struct benching *b, const struct bench *row,
                         const struct result *r)
{
    uint64_t sum[2] = {(uint64_t)llrint(r->rate * 1e3), (uint64_t)llrint(r->gflops * 1e3)};
    tdo_comm_sum_u64(b->comm, sum, 2);
    if (tdo_comm_rank(b->comm) == 0) {
        const double gflops = (double)sum[1] * 1e-3;
        printf("%-9s %12.1f %-9s", row->name, (double)sum[0] * 1e-3, row->unit);
        if (gflops > 0 && b->peak > 0) {
            printf(" %8.1f GFLOP/s %5.1f %%", gflops,
                   100 * gflops / (b->peak * tdo_comm_size(b->comm)));
        }
        printf("%s%s\n", r->note[0] ? "  " : "", r->note);
        fflush(stdout);
    }
}

static tdo_err open_bench(struct benching *b)
{
    const tdo_config *k = b->config;
    struct tdo_network_data size;
    const char *name = tdo_config_text(k, "model.name");
    tdo_threads_set((int)tdo_config_int(k, "run.threads"));
    TDO_TRY(tdo_network_size(k, tdo_model_find(name), &size));
    TDO_TRY(tdo_network_configure(k, &size, &b->net));
    b->net.bf16 = tdo_config_choice(k, "model.precision") == 1;
    b->pixels = size.height * size.width * size.channels;
    b->peak = tdo_peak_gflops();
    return TDO_OK;
}

static void print_head(const struct benching *b)
{
    const struct tdo_model_spec *s = &b->net.spec;
    if (tdo_comm_rank(b->comm) == 0) {
        printf("%s %lldx%lldx%lld, %s, batch %lld; FMA peak of a core %.1f GFLOP/s; %d ranks; "
               "%s, %s\n",
               b->net.model->name, (long long)s->height, (long long)s->width,
               (long long)s->channels, tdo_network_precision(&b->net), (long long)b->batch,
               b->peak, tdo_comm_size(b->comm), tdo_onednn_version(), tdo_onednn_isa_name());
    }
}

static tdo_err bench(struct tdo_job_context *c)
{
    const int what = tdo_config_choice(c->config, "bench.what"); /* 0: all */
    struct benching b = {.comm = c->comm,
                         .config = c->config,
                         .batch = tdo_config_int(c->config, "bench.batch"),
                         .seconds = tdo_config_real(c->config, "bench.seconds"),
                         .nodes = tdo_config_bool(c->config, "bench.nodes")};
    tdo_err err = tdo_comm_agree(c->comm, open_bench(&b));
    if (err == TDO_OK) {
        print_head(&b);
    }
    for (int i = 0; err == TDO_OK && i < (int)(sizeof benches / sizeof *benches); i++) {
        struct result r = {0};
        if (what == 0 || what == i + 1) {
            err = tdo_comm_agree(c->comm, benches[i].run(&b, &r));
        }
        if (err == TDO_OK && (what == 0 || what == i + 1)) {
            print_result(&b, &benches[i], &r);
        }
    }
    tdo_network_free(&b.net);
    return err;
}

const struct tdo_job tdo_job_bench = {
    .name = "bench",
    .help = "measure the inner loops against the processor's peak",
    .word = "config",
    .bit = TDO_JOB_bench,
    .run = bench,
};
