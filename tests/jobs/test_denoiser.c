/* Denoisers, trained and in use. A step of training against its loss put together by hand in f64, with
 * central differences by single weights; what crops, flips and checkpointing do to pairs. In use:
 * what stands in front of a classifier, and beside it, against the parts computed apart. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "jobs/attack/ensemble.h"
#include "jobs/inference.h"
#include "jobs/job.h"
#include "jobs/network_front.h"
#include "jobs/train/trainer.h"
#include "nn/base/memory.h"
#include "tests/mpi/files.h"
#include "tests/nn/support.h"

const char suite_name[] = "denoiser";

enum { ROWS = 6, SIDE = 8, P = SIDE * SIDE, K = 4 };

static const struct tdo_network_data data = {SIDE, SIDE, 1, K};
static float pairs[ROWS * 2 * P]; /* in grey levels */
static int32_t labels[ROWS];
static int64_t ids[ROWS];

static void make_pairs(void)
{
    for (int i = 0; i < ROWS * 2 * P; i++) {
        pairs[i] = (float)(127.5 * (probe_number(7, i) + 1));
    }
    for (int i = 0; i < ROWS; i++) {
        labels[i] = 3 * i % K;
        ids[i] = 100 + 17 * i;
    }
}

/* A network from these arguments; its config keeps texts, so it is the caller's. */
static tdo_config *make_network(const char *const *argument, struct tdo_network *n)
{
    tdo_config *c = NULL;
    ASSERT_OK_FATAL(tdo_config_new(&tdo_job_schema, &c));
    for (int i = 0; argument[i]; i++) {
        ASSERT_OK_FATAL(tdo_config_set(c, argument[i]));
    }
    ASSERT_OK_FATAL(tdo_network_configure_any(c, &data, n));
    make_pairs();
    return c;
}

#define NETWORK(n, ...) make_network((const char *const[]){__VA_ARGS__, NULL}, n)

/* ---- training ------------------------------------------------------------------------------- */

enum { GUIDE, NET, NETS };

struct trained {
    struct tdo_network n[NETS];
    tdo_config *c[NETS];
};

static void make_trained(const char *loss, struct trained *t)
{
    t->c[GUIDE] = NETWORK(&t->n[GUIDE], "model.name=resnet20", "run.seed=3", "model.width=0.25",
                          "model.mean=0.4", "model.std=0.3");
    t->c[NET] =
        NETWORK(&t->n[NET], "model.name=dunet", "model.width=0.05", "run.seed=4",
                "defense=guided_denoiser", "defense.0.sets=a", "defense.0.guide=b", loss);
}

static void free_trained(struct trained *t)
{
    for (int i = 0; i < NETS; i++) {
        tdo_network_free(&t->n[i]);
        tdo_config_free(&t->c[i]);
    }
}

static struct tdo_trainer_options options_of(struct trained *t)
{
    return (struct tdo_trainer_options){.batch = ROWS,
                                        .shards = 1,
                                        .u8 = true,
                                        .wide = true,
                                        .pairs = true,
                                        .teacher = &t->n[GUIDE]};
}

static struct tdo_trainer_result take_step(struct trained *t,
                                           const struct tdo_trainer_options *o, double rate)
{
    tdo_trainer *trainer = NULL;
    struct tdo_trainer_result result = {0};
    ASSERT_OK_FATAL(tdo_trainer_new(runner_comm, &t->n[NET], o, &trainer));
    const int64_t first = tdo_trainer_rows(trainer, ROWS).first;
    const struct tdo_trainer_batch batch = {.rows = ROWS,
                                            .step = 5,
                                            .epoch = 1,
                                            .number = 1,
                                            .rate = rate,
                                            .x = pairs + first * 2 * P,
                                            .y = labels + first,
                                            .id = ids + first};
    ASSERT_OK_FATAL(tdo_trainer_step(trainer, &batch, &result));
    tdo_trainer_free(&trainer);
    return result;
}

/* What the loss is made of, in f64: the denoised image, and what the guide gives there and at the
 * clean image. */
struct parts {
    tdo_graph *g;
    tdo_plan *plan;
    tdo_node raw, partner;
    tdo_node out[5]; /* image, features, logits; features, logits of the partner */
    int64_t features;
};

static const float *param_of(const void *context, int64_t index)
{
    const struct trained *t = context;
    const int64_t own = tdo_params_entries(t->n[NET].params);
    return index < own ? tdo_params_values(t->n[NET].params, index)
                       : tdo_params_values(t->n[GUIDE].params, index - own);
}

static void build_parts(struct trained *t, struct parts *p)
{
    struct tdo_build *b = NULL;
    ASSERT_OK_FATAL(tdo_graph_new(&p->g));
    ASSERT_OK_FATAL(tdo_memory_new(1, &b));
    p->raw = tdo_op_input(p->g, "raw", TDO_SHAPE(ROWS, SIDE, SIDE, 1));
    p->partner = tdo_op_input(p->g, "partner", TDO_SHAPE(ROWS, SIDE, SIDE, 1));
    *b = tdo_network_build_context(&t->n[NET], p->g, TDO_NORM_BATCH);
    b->row_weights = tdo_op_constant(p->g, TDO_SHAPE(ROWS), 1.0 / ROWS);
    p->out[0] = tdo_network_image(&t->n[NET], b, tdo_op_affine(p->g, p->raw, 1.0 / 255, 0));
    for (int i = 0; i < 2; i++) {
        *b = tdo_network_build_context(&t->n[GUIDE], p->g, TDO_NORM_RUNNING);
        b->first_param = tdo_params_entries(t->n[NET].params);
        p->out[2 + 2 * i] = tdo_network_logits(
            &t->n[GUIDE], b, i ? tdo_op_affine(p->g, p->partner, 1.0 / 255, 0) : p->out[0]);
        p->out[1 + 2 * i] = tdo_layer_tapped(b, "features");
    }
    p->features = probe_count(p->g, p->out[1]) / ROWS;
    tdo_memory_free(&b);
    const struct tdo_plan_options how = {.full = true, .param = param_of, .context = t};
    ASSERT_OK_FATAL(tdo_plan_new(p->g, 5, p->out, &how, &p->plan));
}

static void free_parts(struct parts *p)
{
    tdo_plan_free(&p->plan);
    tdo_graph_free(&p->g);
}

/* Mean over rows and elements of |a - b|. */
static double gap(const double *a, const double *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += fabs(a[i] - b[i]);
    }
    return sum / (double)n;
}

static double cross_entropy(const double *z)
{
    double loss = 0;
    for (int i = 0; i < ROWS; i++) {
        double sum = 0;
        for (int k = 0; k < K; k++) {
            sum += exp(z[i * K + k]);
        }
        loss += (log(sum) - z[i * K + labels[i]]) / ROWS;
    }
    return loss;
}

/* The loss with the weights as they are now. */
static double loss_by_hand(struct parts *p, int kind)
{
    double raw[ROWS * P], clean[ROWS * P];
    for (int i = 0; i < ROWS * P; i++) {
        raw[i] = (double)pairs[i / P * 2 * P + i % P];
        clean[i] = (double)pairs[(i / P * 2 + 1) * P + i % P];
    }
    tdo_plan_touch(p->plan);
    probe_set(p->plan, p->raw, F64, ROWS * P, raw);
    probe_set(p->plan, p->partner, F64, ROWS * P, clean);
    ASSERT_OK_FATAL(tdo_plan_run(p->plan));
    const double *of[5];
    for (int i = 0; i < 5; i++) {
        of[i] = tdo_plan_output(p->plan, i);
    }
    for (int i = 0; i < ROWS * P; i++) {
        clean[i] /= 255;
    }
    return kind == 0   ? gap(of[0], clean, ROWS * P)
           : kind == 1 ? gap(of[1], of[3], ROWS * p->features)
           : kind == 2 ? gap(of[2], of[4], ROWS * K)
                       : cross_entropy(of[2]);
}

/* Weights number `first`, first + stride, ... : their change by a long step is their gradient; and by
 * central differences of the loss by hand. */
static void check_gradient(struct trained *t, int kind, double *loss)
{
    enum { TRIED = 12 };
    const double h = 1e-5, rate = 1024;
    struct parts p = {0};
    float *w = tdo_params_block(t->n[NET].params, TDO_PARAM_WEIGHT);
    const int64_t count = tdo_params_count(t->n[NET].params, TDO_PARAM_WEIGHT);
    double want[TRIED], got[TRIED], before[TRIED];
    build_parts(t, &p);
    *loss = loss_by_hand(&p, kind);
    for (int i = 0; i < TRIED; i++) {
        float *x = &w[(2 * i + 1) * count / (2 * TRIED)];
        const float kept = *x, up = kept + (float)h, down = kept - (float)h;
        *x = up;
        want[i] = loss_by_hand(&p, kind);
        *x = down;
        want[i] = (want[i] - loss_by_hand(&p, kind)) / ((double)up - (double)down);
        *x = kept;
        before[i] = (double)kept;
    }
    const struct tdo_trainer_options o = options_of(t);
    const struct tdo_trainer_result r = take_step(t, &o, rate);
    CU_ASSERT_DOUBLE_EQUAL(r.loss, *loss, 1e-5 * *loss);
    CU_ASSERT_EQUAL(r.correct < 0, kind == 0);
    for (int i = 0; i < TRIED; i++) {
        got[i] = (before[i] - (double)w[(2 * i + 1) * count / (2 * TRIED)]) / rate;
    }
    CU_ASSERT_TRUE(probe_gap(TRIED, got, want) < 1e-3);
    free_parts(&p);
}

static void a_step_follows_its_loss(void)
{
    static const char *const kinds[] = {"defense.0.loss=pixel", "defense.0.loss=feature",
                                        "defense.0.loss=logits", "defense.0.loss=class"};
    double loss[4];
    for (int kind = 0; kind < 4; kind++) {
        struct trained t;
        uint64_t before, after;
        make_trained(kinds[kind], &t);
        ASSERT_OK(tdo_network_hash(&t.n[GUIDE], &before));
        check_gradient(&t, kind, &loss[kind]);
        ASSERT_OK(tdo_network_hash(&t.n[GUIDE], &after));
        CU_ASSERT_EQUAL(before, after);
        free_trained(&t);
    }
    CU_ASSERT_TRUE(loss[0] != loss[1] && loss[1] != loss[2] && loss[2] != loss[3]);
}

/* A denoiser that changes nothing, and pairs of equal images: no loss, whatever is cropped. */
static void a_pair_is_cropped_and_flipped_alike(void)
{
    struct trained t;
    make_trained("defense.0.loss=pixel", &t);
    const int64_t final = tdo_params_find(t.n[NET].params, "final.weight");
    CU_ASSERT_TRUE_FATAL(final >= 0);
    const struct tdo_param *e = tdo_params_at(t.n[NET].params, final);
    memset(tdo_params_values(t.n[NET].params, final), 0, (size_t)e->count * sizeof(float));
    struct tdo_trainer_options o = options_of(&t);
    o.augment = (struct tdo_augment){.pad = 3, .flip = true, .seed = 1};
    CU_ASSERT_TRUE(take_step(&t, &o, 0).loss > 0.1);
    for (int i = 0; i < ROWS; i++) {
        memcpy(pairs + (2 * i + 1) * P, pairs + 2 * i * P, P * sizeof *pairs);
    }
    CU_ASSERT_TRUE(take_step(&t, &o, 0).loss == 0);
    free_trained(&t);
}

static void checkpointing_changes_no_bit(void)
{
    struct trained t[2];
    for (int i = 0; i < 2; i++) {
        make_trained("defense.0.loss=feature", &t[i]);
        struct tdo_trainer_options o = options_of(&t[i]);
        o.shards = 2;
        o.checkpoint = 4 * i;
        (void)take_step(&t[i], &o, 1);
    }
    const int64_t count = tdo_params_count(t[0].n[NET].params, TDO_PARAM_WEIGHT);
    CU_ASSERT_EQUAL(memcmp(tdo_params_block(t[0].n[NET].params, TDO_PARAM_WEIGHT),
                           tdo_params_block(t[1].n[NET].params, TDO_PARAM_WEIGHT),
                           (size_t)count * sizeof(float)),
                    0);
    free_trained(&t[0]);
    free_trained(&t[1]);
}

static void what_a_denoiser_lacks_is_named(void)
{
    struct trained t;
    tdo_trainer *trainer = NULL;
    make_trained("defense.0.loss=logits", &t);
    struct tdo_trainer_options o = options_of(&t);
    o.pairs = false;
    CU_ASSERT_EQUAL(tdo_trainer_new(runner_comm, &t.n[NET], &o, &trainer), TDO_ERR_CONFIG);
    CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, "trains with pairs of images"));
    o.teacher = NULL;
    CU_ASSERT_EQUAL(tdo_trainer_new(runner_comm, &t.n[NET], &o, &trainer), TDO_ERR_CONFIG);
    CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, "trains with its guide"));
    free_trained(&t);
}

/* ---- in use --------------------------------------------------------------------------------- */

enum { A, B, D, E, FILES };
static const char *const file_name[FILES] = {"a.safetensors", "b.safetensors", "d.safetensors",
                                             "e.safetensors"};
static char dir[256];

/* Two classifiers, two denoisers. */
static void write_files(void)
{
    static const char *const made[FILES][3] = {
        {"model.name=resnet20", "model.mean=0.4", "model.std=0.3"},
        {"model.name=mlp", "run.seed=6", "run.seed=7"},
        {"model.name=dunet", "run.seed=8", "model.width=0.05"},
        {"model.name=dae", "run.seed=9", "model.width=0.05"}};
    files_make_dir("denoiser", dir);
    for (int i = 0; i < FILES; i++) {
        struct tdo_network n;
        tdo_config *c = NETWORK(&n, made[i][0], made[i][1], made[i][2]);
        if (files_root()) {
            ASSERT_OK(tdo_network_save(&n, files_join(dir, file_name[i])));
        }
        tdo_network_free(&n);
        tdo_config_free(&c);
    }
    files_meet();
}

/* A network in use: settings with the directory for each @. */
static tdo_err open_front(const char *const *setting, struct tdo_network *n)
{
    tdo_config *c = NULL;
    ASSERT_OK_FATAL(tdo_config_new(&tdo_job_schema, &c));
    for (int i = 0; setting[i]; i++) {
        char text[2048] = "";
        for (const char *at = setting[i]; *at; at++) {
            const size_t used = strlen(text);
            snprintf(text + used, sizeof text - used, "%.*s", *at == '@' ? 255 : 1,
                     *at == '@' ? dir : at);
        }
        ASSERT_OK_FATAL(tdo_config_set(c, text));
    }
    tdo_err err = tdo_network_front_open(c, tdo_config_text(c, "model.file"), &data, false, n);
    tdo_config_free(&c);
    return err;
}

#define OPEN(n, ...) open_front((const char *const[]){__VA_ARGS__, NULL}, n)

/* What a network gives at pixels, in f64: logits, or the image of a denoiser. */
static void ask(struct tdo_network *n, const double *pixels, double *out)
{
    tdo_graph *g = NULL;
    tdo_plan *p = NULL;
    struct tdo_build *b = NULL;
    ASSERT_OK_FATAL(tdo_graph_new(&g));
    ASSERT_OK_FATAL(tdo_memory_new(1, &b));
    const tdo_node x = tdo_op_input(g, "x", TDO_SHAPE(ROWS, SIDE, SIDE, 1));
    *b = tdo_network_build_context(n, g, TDO_NORM_RUNNING);
    const bool image = n->model->output == TDO_MODEL_IMAGE;
    const tdo_node y = image ? tdo_network_image(n, b, x) : tdo_network_logits(n, b, x);
    const struct tdo_plan_options how = {
        .full = true, .param = tdo_network_front_param, .context = n};
    ASSERT_OK_FATAL(tdo_plan_new(g, 1, &y, &how, &p));
    probe_set(p, x, F64, ROWS * P, pixels);
    ASSERT_OK_FATAL(tdo_plan_run(p));
    probe_get(p, 0, F64, ROWS * (image ? P : K), out);
    tdo_plan_free(&p);
    tdo_graph_free(&g);
    tdo_memory_free(&b);
}

/* The four files by themselves, what they give, and what they give behind each other. */
struct alone {
    struct tdo_network n[FILES];
    double pixels[ROWS * P], image[2][ROWS * P];
};

static void open_alone(struct alone *a)
{
    write_files();
    for (int i = 0; i < FILES; i++) {
        tdo_config *c = NULL;
        ASSERT_OK_FATAL(tdo_config_new(&tdo_job_schema, &c));
        ASSERT_OK_FATAL(
            tdo_network_open_any(c, files_join(dir, file_name[i]), &data, &a->n[i]));
        tdo_config_free(&c);
    }
    for (int i = 0; i < ROWS * P; i++) {
        a->pixels[i] = (probe_number(9, i) + 1) / 2;
    }
    ask(&a->n[D], a->pixels, a->image[0]);
    ask(&a->n[E], a->pixels, a->image[1]);
}

static void close_alone(struct alone *a)
{
    for (int i = 0; i < FILES; i++) {
        tdo_network_free(&a->n[i]);
    }
    files_remove_dir(dir);
}

/* These settings give these logits. */
static void must_give(const struct alone *a, const double *want, const char *const *setting)
{
    struct tdo_network n;
    double got[ROWS * K];
    ASSERT_OK_FATAL(open_front(setting, &n));
    ask(&n, a->pixels, got);
    CU_ASSERT_TRUE(probe_gap(ROWS * K, got, want) < 1e-12);
    tdo_network_free(&n);
}

#define MUST_GIVE(a, want, ...) must_give(a, want, (const char *const[]){__VA_ARGS__, NULL})

static void a_denoiser_stands_in_front(void)
{
    struct alone a;
    double want[ROWS * K], bare[ROWS * K], twice[ROWS * P], both[ROWS * P];
    open_alone(&a);
    ask(&a.n[A], a.pixels, bare);
    MUST_GIVE(&a, bare, "model.file=@/a.safetensors");
    ask(&a.n[A], a.image[0], want);
    CU_ASSERT_TRUE(probe_gap(ROWS * K, want, bare) > 1e-3);
    MUST_GIVE(&a, want, "model.file=@/a.safetensors", "model.denoiser=@/d.safetensors");
    MUST_GIVE(&a, want, "model.members=@/d.safetensors>@/a.safetensors");
    for (int i = 0; i < ROWS * P; i++) {
        twice[i] = a.pixels[i] + 2 * (a.image[0][i] - a.pixels[i]);
        both[i] = (a.image[0][i] + a.image[1][i]) / 2;
    }
    ask(&a.n[A], twice, want);
    MUST_GIVE(&a, want, "model.file=@/a.safetensors", "model.denoiser=@/d.safetensors",
              "model.denoise=2");
    MUST_GIVE(&a, bare, "model.file=@/a.safetensors", "model.denoiser=@/d.safetensors",
              "model.denoise=0");
    ask(&a.n[A], both, want);
    MUST_GIVE(&a, want, "model.file=@/a.safetensors",
              "model.denoiser=@/d.safetensors&@/e.safetensors");
    close_alone(&a);
}

static void members_are_averaged_as_they_are_apart(void)
{
    struct alone a;
    double z[4][ROWS * K], want[ROWS * K];
    open_alone(&a);
    ask(&a.n[A], a.image[0], z[0]);
    ask(&a.n[B], a.image[1], z[1]);
    ask(&a.n[B], a.image[0], z[2]);
    ask(&a.n[A], a.image[1], z[3]);
    for (int i = 0; i < ROWS * K; i++) {
        want[i] = (z[0][i] + z[1][i]) / 2;
    }
    MUST_GIVE(&a, want,
              "model.members=@/d.safetensors>@/a.safetensors,@/e.safetensors>@/b.safetensors");
    for (int i = 0; i < ROWS * K; i++) {
        want[i] = (z[0][i] + z[1][i] + z[2][i] + z[3][i]) / 4;
    }
    MUST_GIVE(&a, want,
              "model.members=@/d.safetensors>@/a.safetensors,@/d.safetensors>@/b.safetensors,"
              "@/e.safetensors>@/a.safetensors,@/e.safetensors>@/b.safetensors");
    close_alone(&a);
}

/* The adaptive attack: cross entropy by pixels, through a pair and a bare network. */
static void attacks_see_through_all_of_it(void)
{
    enum { TRIED = 12 };
    const double h = 1e-6;
    struct alone a;
    struct tdo_network n;
    double got[ROWS * P], z[ROWS * K], pixels[ROWS * P], want[TRIED], part[TRIED];
    tdo_graph *g = NULL;
    tdo_plan *p = NULL;
    open_alone(&a);
    ASSERT_OK_FATAL(OPEN(&n, "model.members=@/d.safetensors>@/a.safetensors,@/b.safetensors",
                         "model.denoise=1.5"));
    struct tdo_front front = {.noise = true};
    struct tdo_ensemble e = tdo_ensemble_one(&n, &front);
    const struct tdo_target_network t = tdo_ensemble_target(&e);
    ASSERT_OK_FATAL(tdo_graph_new(&g));
    tdo_node x = tdo_op_input(g, "x", TDO_SHAPE(ROWS, SIDE, SIDE, 1)), logits = TDO_NONE;
    tdo_node keys = tdo_op_key(g, "keys", ROWS), heads = TDO_NONE, gradient = TDO_NONE;
    tdo_node label = tdo_op_input(g, "y", TDO_SHAPE(ROWS));
    t.build(t.self, g, x, keys, &logits, &heads);
    const tdo_node loss = tdo_op_xent(g, logits, tdo_op_one_hot(g, label, K));
    tdo_grad(g, loss, TDO_NONE, 1, &x, &gradient);
    const struct tdo_plan_options how = {.full = true, .param = t.param, .context = t.self};
    ASSERT_OK_FATAL(tdo_plan_new(g, 1, &gradient, &how, &p));
    for (int i = 0; i < ROWS; i++) {
        z[i] = labels[i];
    }
    probe_set(p, label, F64, ROWS, z);
    probe_set(p, x, F64, ROWS * P, a.pixels);
    ASSERT_OK_FATAL(tdo_plan_run(p));
    probe_get(p, 0, F64, ROWS * P, got);
    for (int i = 0; i < TRIED; i++) {
        const int at = (2 * i + 1) * ROWS * P / (2 * TRIED);
        double side[2];
        for (int s = 0; s < 2; s++) {
            memcpy(pixels, a.pixels, sizeof pixels);
            pixels[at] += s ? h : -h;
            ask(&n, pixels, z);
            side[s] = ROWS * cross_entropy(z);
        }
        want[i] = (side[1] - side[0]) / (2 * h);
        part[i] = got[at];
    }
    CU_ASSERT_TRUE(probe_gap(TRIED, part, want) < 1e-5);
    tdo_plan_free(&p);
    tdo_graph_free(&g);
    tdo_network_free(&n);
    close_alone(&a);
}

static uint64_t hash_of(const char *const *setting)
{
    struct tdo_network n;
    uint64_t hash = 0;
    ASSERT_OK_FATAL(open_front(setting, &n));
    ASSERT_OK(tdo_network_hash(&n, &hash));
    tdo_network_free(&n);
    return hash;
}

static void each_combination_has_its_own_hash(void)
{
    static const char *const settings[][4] = {
        {"model.file=@/a.safetensors"},
        {"model.file=@/a.safetensors", "model.denoiser=@/d.safetensors"},
        {"model.file=@/a.safetensors", "model.denoiser=@/d.safetensors", "model.denoise=2"},
        {"model.file=@/a.safetensors", "model.denoiser=@/e.safetensors"},
        {"model.members=@/a.safetensors,@/b.safetensors"},
        {"model.members=@/d.safetensors>@/a.safetensors,@/b.safetensors"},
        {"model.members=@/a.safetensors,@/d.safetensors>@/b.safetensors"}};
    enum { COUNT = sizeof settings / sizeof *settings };
    struct alone a;
    uint64_t hash[COUNT];
    open_alone(&a);
    for (int i = 0; i < COUNT; i++) {
        hash[i] = hash_of(settings[i]);
        for (int k = 0; k < i; k++) {
            CU_ASSERT_NOT_EQUAL(hash[i], hash[k]);
        }
    }
    CU_ASSERT_EQUAL(hash[1], hash_of((const char *const[]){
                                 "model.members=@/d.safetensors>@/a.safetensors", NULL}));
    close_alone(&a);
}

static void refuse(const char *says, const char *const *setting)
{
    struct tdo_network n;
    CU_ASSERT_EQUAL(open_front(setting, &n), TDO_ERR_CONFIG);
    CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, says));
}

#define REFUSE(says, ...) refuse(says, (const char *const[]){__VA_ARGS__, NULL})

static void what_does_not_fit_is_refused(void)
{
    static const struct tdo_network_data other = {SIDE, SIDE + 1, 1, K};
    struct alone a;
    tdo_config *c = NULL;
    struct tdo_network n;
    open_alone(&a);
    ASSERT_OK_FATAL(tdo_config_new(&tdo_job_schema, &c));
    ASSERT_OK_FATAL(tdo_config_set(c, "model.name=dae"));
    ASSERT_OK_FATAL(tdo_config_set(c, "model.width=0.05"));
    ASSERT_OK_FATAL(tdo_network_configure_any(c, &other, &n));
    if (files_root()) {
        ASSERT_OK(tdo_network_save(&n, files_join(dir, "wide.safetensors")));
    }
    files_meet();
    tdo_network_free(&n);
    tdo_config_free(&c);
    REFUSE("is for images of 8x9x1, the classifier for 8x8x1", "model.file=@/a.safetensors",
           "model.denoiser=@/wide.safetensors");
    REFUSE("holds a mlp, which gives classes: a denoiser expected",
           "model.file=@/a.safetensors", "model.denoiser=@/b.safetensors");
    REFUSE("gives images, not classes", "model.file=@/d.safetensors");
    REFUSE("gives images, not classes", "model.members=@/a.safetensors>@/d.safetensors");
    REFUSE("model.denoise = 2, but there is no denoiser", "model.file=@/a.safetensors",
           "model.denoise=2");
    REFUSE("model.members and model.file are both given", "model.file=@/a.safetensors",
           "model.members=@/b.safetensors");
    REFUSE("has an empty or long name", "model.members=>@/b.safetensors");
    close_alone(&a);
}

CU_TestInfo suite_tests[] = {
    {"a step follows its loss, by hand in f64, and leaves the guide alone",
     a_step_follows_its_loss},
    {"a pair is cropped and flipped alike", a_pair_is_cropped_and_flipped_alike},
    {"checkpointing changes no bit", checkpointing_changes_no_bit},
    {"what the training of a denoiser lacks is named", what_a_denoiser_lacks_is_named},
    {"a denoiser stands in front of a classifier, at any strength", a_denoiser_stands_in_front},
    {"members are averaged as they are apart", members_are_averaged_as_they_are_apart},
    {"attacks see through all of it", attacks_see_through_all_of_it},
    {"each combination has its own hash", each_combination_has_its_own_hash},
    {"what does not fit is refused", what_does_not_fit_is_refused},
    CU_TEST_INFO_NULL};
