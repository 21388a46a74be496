/* Stored networks in training: whose images a step is attacked on, and what a teacher says, each
 * against the same thing put together by hand. */
#include <math.h>
#include <string.h>

#include "jobs/job.h"
#include "jobs/train/trainer.h"
#include "nn/base/memory.h"
#include "nn/graph/grad.h"
#include "tests/mpi/runner.h"
#include "tests/nn/support.h"

const char suite_name[] = "stored";

enum { ROWS = 8, SIDE = 8, P = SIDE * SIDE, K = 4, STEPS = 40 };

static uint8_t images[ROWS * P];
static float pixels[ROWS * P];
static int32_t labels[ROWS];
static int64_t rows_of[ROWS];
static uint64_t ids[ROWS];

static void make_images(void)
{
    for (int i = 0; i < ROWS * P; i++) {
        images[i] = (uint8_t)(127.5 * (probe_number(7, i) + 1));
        pixels[i] = (float)images[i] / 255;
    }
    for (int i = 0; i < ROWS; i++) {
        labels[i] = 3 * i % K;
        rows_of[i] = 1000 + 17 * i;
        ids[i] = (uint64_t)rows_of[i];
    }
}

/* An mlp from these arguments; its config keeps texts, so it is the caller's. */
static tdo_config *make_network(int arguments, const char *const *argument,
                                struct tdo_network *n)
{
    const struct tdo_network_data data = {SIDE, SIDE, 1, K};
    tdo_config *c = NULL;
    ASSERT_OK_FATAL(tdo_config_new(&tdo_job_schema, &c));
    ASSERT_OK_FATAL(tdo_config_set(c, "model.name=mlp"));
    for (int i = 0; i < arguments; i++) {
        ASSERT_OK_FATAL(tdo_config_set(c, argument[i]));
    }
    ASSERT_OK_FATAL(tdo_network_configure(c, &data, n));
    make_images();
    return c;
}

#define NETWORK(n, ...)                                                                        \
    make_network((int)(sizeof(const char *[]){__VA_ARGS__} / sizeof(char *)),                  \
                 (const char *[]){__VA_ARGS__}, n)

static struct tdo_trainer_batch batch_of(int64_t first, double rate)
{
    return (struct tdo_trainer_batch){.rows = ROWS,
                                      .step = 5,
                                      .epoch = 1,
                                      .number = 1,
                                      .rate = rate,
                                      .x = images + first * P,
                                      .y = labels + first,
                                      .id = rows_of + first};
}

static const struct tdo_trainer_options plain = {.batch = ROWS, .shards = 3, .u8 = true};

/* One step of training. */
static double take_step(struct tdo_network *n, const struct tdo_trainer_options *o, double rate)
{
    tdo_trainer *t = NULL;
    struct tdo_trainer_result result;
    ASSERT_OK_FATAL(tdo_trainer_new(runner_comm, n, o, &t));
    const struct tdo_trainer_batch batch = batch_of(tdo_trainer_rows(t, ROWS).first, rate);
    ASSERT_OK_FATAL(tdo_trainer_step(t, &batch, &result));
    tdo_trainer_free(&t);
    return result.loss;
}

static int64_t weights_of(const struct tdo_network *n)
{
    return tdo_params_count(n->params, TDO_PARAM_WEIGHT);
}

/* ---- sources ---------------------------------------------------------------------------------- */

/* Networks 0 and 1 are sources, 2 is trained. */
struct three {
    struct tdo_network n[3];
    tdo_config *c[3];
    struct tdo_ensemble sources;
    struct tdo_attack_use use;
};

static void make_three(const char *self, struct three *t)
{
    bool wanted = false;
    const struct tdo_front none = {.noise = true};
    t->c[0] = NETWORK(&t->n[0], "run.seed=11");
    t->c[1] = NETWORK(&t->n[1], "run.seed=12", "model.mean=0.5", "model.std=0.25");
    t->c[2] = NETWORK(&t->n[2], "run.seed=13", "defense=ensemble_adversarial",
                      "defense.0.sources=a,b", self, "inner=fgsm", "inner.0.eps=0.1");
    t->sources =
        (struct tdo_ensemble){.member = {&t->n[0], &t->n[1]}, .members = 2, .front = none};
    ASSERT_OK_FATAL(tdo_crafter_read(t->c[2], &t->n[2], &t->use, &wanted));
    CU_ASSERT_TRUE(wanted);
}

static void free_three(struct three *t)
{
    for (int i = 0; i < 3; i++) {
        tdo_network_free(&t->n[i]);
        tdo_config_free(&t->c[i]);
    }
}

static void craft(tdo_crafter *c, uint32_t step, float *out)
{
    const struct tdo_crafter_rows rows = {
        .count = ROWS, .raw = pixels, .label = labels, .id = ids, .step = step};
    ASSERT_OK(tdo_crafter_run(c, &rows, out));
}

/* FGSM by its formula: x + eps sign(dCE/dx), clipped; with the gradient of a plan in f32. */
static void attack_by_hand(struct tdo_network *n, float *out)
{
    tdo_graph *g = NULL;
    tdo_node gradient = TDO_NONE;
    double x[ROWS * P], y[ROWS], slope[ROWS * P];
    ASSERT_OK_FATAL(tdo_graph_new(&g));
    tdo_node in = tdo_op_input(g, "x", TDO_SHAPE(ROWS, SIDE, SIDE, 1));
    tdo_node label = tdo_op_input(g, "y", TDO_SHAPE(ROWS));
    struct tdo_build b = tdo_network_build_context(n, g, TDO_NORM_RUNNING);
    tdo_node loss = tdo_op_xent(g, tdo_network_logits(n, &b, in), tdo_op_one_hot(g, label, K));
    tdo_grad(g, loss, TDO_NONE, 1, &in, &gradient);
    tdo_plan *p = probe_plan(g, 1, &gradient, F64, n->params);
    for (int i = 0; i < ROWS * P; i++) {
        x[i] = (double)pixels[i];
    }
    for (int i = 0; i < ROWS; i++) {
        y[i] = labels[i];
    }
    probe_set(p, in, F64, ROWS * P, x);
    probe_set(p, label, F64, ROWS, y);
    ASSERT_OK_FATAL(tdo_plan_run(p));
    probe_get(p, 0, F64, ROWS * P, slope);
    for (int i = 0; i < ROWS * P; i++) {
        const double moved = x[i] + 0.1 * ((slope[i] > 0) - (slope[i] < 0));
        out[i] = (float)fmin(fmax(moved, 0), 1);
    }
    tdo_plan_free(&p);
    tdo_graph_free(&g);
}

/* How many pixels are elsewhere: a gradient near zero may have the other sign in f32. */
static int differing(const float *a, const float *b)
{
    int count = 0;
    for (int i = 0; i < ROWS * P; i++) {
        count += fabsf(a[i] - b[i]) > 1e-5F;
    }
    return count;
}

/* What is drawn: the third of four uniforms of the step. */
static int drawn(uint32_t seed, uint32_t step, int choices)
{
    const struct tdo_stream stream = {
        .seed = seed, .purpose = TDO_PURPOSE_ATTACK, .layer = 0xffff};
    const struct tdo_key key = {.sample = TDO_SAMPLE_BATCH, .step = step};
    float u[4];
    tdo_rng_uniforms(&stream, &key, 0, 4, u);
    return (int)floor((double)u[2] * choices);
}

static void a_step_is_attacked_on_the_network_it_draws(void)
{
    static struct three t;
    static float by_hand[3][ROWS * P], found[ROWS * P];
    int64_t times[3] = {0}, low[STEPS], high[STEPS];
    tdo_crafter *c = NULL;
    make_three("defense.0.self=true", &t);
    ASSERT_OK_FATAL(tdo_crafter_new(&t.n[2], &t.sources, &t.use, ROWS, &c));
    for (int i = 0; i < 3; i++) {
        attack_by_hand(&t.n[i], by_hand[i]);
    }
    CU_ASSERT_TRUE(differing(by_hand[0], by_hand[1]) > ROWS * P / 10);
    CU_ASSERT_TRUE(differing(by_hand[0], by_hand[2]) > ROWS * P / 10);
    for (uint32_t step = 0; step < STEPS; step++) {
        const int place = drawn(13, step, 3), source = tdo_crafter_source(c, step);
        CU_ASSERT_EQUAL(source, place - 1); /* the network itself comes first */
        const int which = source < 0 ? 2 : source;
        craft(c, step, found);
        CU_ASSERT_TRUE(differing(found, by_hand[which]) <= 2);
        times[which]++;
        low[step] = high[step] = source;
    }
    for (int i = 0; i < 3; i++) {
        CU_ASSERT_TRUE(times[i] > 5);
    }
    tdo_comm_min_i64(runner_comm, low, STEPS);
    tdo_comm_max_i64(runner_comm, high, STEPS);
    CU_ASSERT_EQUAL(memcmp(low, high, sizeof low), 0);
    tdo_crafter_free(&c);
    free_three(&t);
}

static void without_self_sources_alone_are_attacked(void)
{
    static struct three t;
    static float by_hand[ROWS * P], found[ROWS * P];
    tdo_crafter *c = NULL;
    make_three("defense.0.self=false", &t);
    ASSERT_OK_FATAL(tdo_crafter_new(&t.n[2], &t.sources, &t.use, ROWS, &c));
    for (uint32_t step = 0; step < STEPS / 4; step++) {
        const int source = tdo_crafter_source(c, step);
        CU_ASSERT_EQUAL_FATAL(source, drawn(13, step, 2));
        craft(c, step, found);
        attack_by_hand(&t.n[source], by_hand);
        CU_ASSERT_TRUE(differing(found, by_hand) <= 2);
    }
    tdo_crafter_free(&c);
    free_three(&t);
}

static void training_changes_the_network_and_no_source(void)
{
    static struct three t;
    static float by_hand[ROWS * P], first[ROWS * P], found[ROWS * P];
    uint64_t before[3], after[3];
    tdo_crafter *c = NULL;
    uint32_t own = 0;
    make_three("defense.0.self=true", &t);
    ASSERT_OK_FATAL(tdo_crafter_new(&t.n[2], &t.sources, &t.use, ROWS, &c));
    struct tdo_trainer_options o = plain;
    o.inner = &t.use;
    o.sources = &t.sources;
    while (tdo_crafter_source(c, own) >= 0) {
        own++;
    }
    craft(c, own, first);
    for (int i = 0; i < 3; i++) {
        ASSERT_OK(tdo_network_hash(&t.n[i], &before[i]));
    }
    (void)take_step(&t.n[2], &o, 0.5);
    for (int i = 0; i < 3; i++) {
        ASSERT_OK(tdo_network_hash(&t.n[i], &after[i]));
        CU_ASSERT_EQUAL(before[i] == after[i], i < 2);
    }
    tdo_crafter_touch(c);
    craft(c, own, found);
    attack_by_hand(&t.n[2], by_hand);
    CU_ASSERT_TRUE(differing(found, by_hand) <= 2);
    CU_ASSERT_TRUE(differing(found, first) > 2);
    tdo_crafter_free(&c);
    free_three(&t);
}

static void attacks_that_ask_nothing_are_refused(void)
{
    static const char *const names[] = {"inner=clean", "inner=random_noise", "inner=transfer"};
    for (int i = 0; i < 3; i++) {
        struct tdo_network n;
        struct tdo_attack_use use;
        bool wanted = false;
        tdo_config *c = NETWORK(&n, "defense=trades", names[i]);
        CU_ASSERT_EQUAL(tdo_crafter_read(c, &n, &use, &wanted), TDO_ERR_CONFIG);
        CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, names[i] + 6));
        CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, "inner.0"));
        tdo_network_free(&n);
        tdo_config_free(&c);
    }
}

static void a_source_without_gradients_is_refused(void)
{
    static struct three t;
    tdo_crafter *c = NULL;
    make_three("defense.0.self=true", &t);
    t.n[1].bf16 = true;
    CU_ASSERT_EQUAL(tdo_crafter_new(&t.n[2], &t.sources, &t.use, ROWS, &c), TDO_ERR_CONFIG);
    CU_ASSERT_PTR_NULL(c);
    CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, "inner.0: fgsm needs gradients"));
    free_three(&t);
}

static void what_a_training_lacks_is_named(void)
{
    static struct three t;
    tdo_trainer *trainer = NULL;
    make_three("defense.0.self=true", &t);
    struct tdo_trainer_options o = plain;
    CU_ASSERT_EQUAL(tdo_trainer_new(runner_comm, &t.n[2], &o, &trainer), TDO_ERR_CONFIG);
    CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, "with an inner attack"));
    o.inner = &t.use;
    CU_ASSERT_EQUAL(tdo_trainer_new(runner_comm, &t.n[2], &o, &trainer), TDO_ERR_CONFIG);
    CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, "with its sources"));
    o.sources = &t.sources;
    ASSERT_OK(tdo_trainer_new(runner_comm, &t.n[2], &o, &trainer));
    tdo_trainer_free(&trainer);
    free_three(&t);
}

/* ---- teachers ---------------------------------------------------------------------------------- */

static void temperature_1_with_labels_is_plain_cross_entropy(void)
{
    struct tdo_network a, b;
    tdo_config *c[2] = {NETWORK(&a, "defense=gaussian"),
                        NETWORK(&b, "defense=gaussian,distillation", "defense.1.temperature=1",
                                "defense.1.teacher=labels")};
    const float start = *tdo_params_block(a.params, TDO_PARAM_WEIGHT);
    const double loss[2] = {take_step(&a, &plain, 1), take_step(&b, &plain, 1)};
    const float *w = tdo_params_block(a.params, TDO_PARAM_WEIGHT);
    CU_ASSERT_TRUE(loss[0] == loss[1]);
    CU_ASSERT_TRUE(w[0] != start);
    CU_ASSERT_EQUAL(memcmp(w, tdo_params_block(b.params, TDO_PARAM_WEIGHT),
                           (size_t)weights_of(&a) * sizeof *w),
                    0);
    tdo_network_free(&a);
    tdo_network_free(&b);
    tdo_config_free(&c[0]);
    tdo_config_free(&c[1]);
}

/* A plan in f64 of logits at the pixels that `sees` augments for training. */
struct half {
    tdo_graph *g;
    tdo_node raw, keys, logits;
};

static struct half build_half(struct tdo_network *n, const struct tdo_network *sees)
{
    struct half h = {0};
    ASSERT_OK_FATAL(tdo_graph_new(&h.g));
    h.raw = tdo_op_input(h.g, "raw", TDO_SHAPE(ROWS, SIDE, SIDE, 1));
    h.keys = tdo_op_key(h.g, "keys", ROWS);
    struct tdo_build b = tdo_network_build_context(n, h.g, TDO_NORM_RUNNING);
    b.keys = h.keys;
    tdo_node seen = tdo_defense_augment(&sees->defenses, h.g, h.raw, true, h.keys);
    h.logits = tdo_network_logits(n, &b, seen);
    return h;
}

static void run_half(const struct half *h, tdo_plan *p)
{
    double raw[ROWS * P];
    struct tdo_key *keys = tdo_plan_input(p, h->keys);
    for (int i = 0; i < ROWS * P; i++) {
        raw[i] = images[i];
    }
    for (int i = 0; i < ROWS; i++) {
        keys[i] = (struct tdo_key){.sample = ids[i], .step = 5};
    }
    probe_set(p, h->raw, F64, ROWS * P, raw);
    ASSERT_OK_FATAL(tdo_plan_run(p));
}

/* softmax(z / 3) of what the teacher says. */
static void goal_by_hand(struct tdo_network *teacher, const struct tdo_network *student,
                         double goal[ROWS * K])
{
    struct half h = build_half(teacher, student);
    tdo_plan *p = probe_plan(h.g, 1, &h.logits, F64, teacher->params);
    run_half(&h, p);
    probe_get(p, 0, F64, ROWS * K, goal);
    for (int i = 0; i < ROWS; i++) {
        double sum = 0;
        for (int k = 0; k < K; k++) {
            goal[i * K + k] = exp(goal[i * K + k] / 3);
            sum += goal[i * K + k];
        }
        for (int k = 0; k < K; k++) {
            goal[i * K + k] /= sum;
        }
    }
    tdo_plan_free(&p);
    tdo_graph_free(&h.g);
}

/* Mean of CE(softmax(z / 3), goal), and its gradient by all weights as their block. */
static double student_by_hand(struct tdo_network *n, const double *goal, double *gradient)
{
    struct half h = build_half(n, n);
    tdo_node output[32], wrt[32], said = tdo_op_input(h.g, "goal", TDO_SHAPE(ROWS, K));
    const struct tdo_param *at[32];
    double loss = 0;
    int count = 0;
    tdo_node each = tdo_op_xent(h.g, tdo_op_affine(h.g, h.logits, 1.0 / 3, 0), said);
    tdo_node mean = tdo_op_affine(h.g, tdo_op_total(h.g, each), 1.0 / ROWS, 0);
    for (int64_t i = 0; i < tdo_params_entries(n->params); i++) {
        const struct tdo_param *e = tdo_params_at(n->params, i);
        if (e->kind == TDO_PARAM_WEIGHT) {
            at[count] = e;
            wrt[count++] = tdo_op_param(h.g, i, e->name, e->shape);
        }
    }
    tdo_grad(h.g, mean, TDO_NONE, count, wrt, output);
    output[count] = mean;
    tdo_plan *p = probe_plan(h.g, count + 1, output, F64, n->params);
    probe_set(p, said, F64, ROWS * K, goal);
    run_half(&h, p);
    for (int k = 0; k < count; k++) {
        probe_get(p, k, F64, at[k]->count, gradient + at[k]->offset);
    }
    probe_get(p, count, F64, 1, &loss);
    tdo_plan_free(&p);
    tdo_graph_free(&h.g);
    return loss;
}

static void a_student_learns_what_the_teacher_says_of_the_same_noise(void)
{
    struct tdo_network student, teacher;
    tdo_config *c[2] = {NETWORK(&student, "run.seed=21", "defense=gaussian,distillation",
                                "defense.0.sigma=0.25", "defense.1.temperature=3",
                                "defense.1.teacher=file"),
                        NETWORK(&teacher, "run.seed=22", "defense=brelu", "defense.0.t=0.5",
                                "model.mean=0.5", "model.std=0.1")};
    const int64_t count = weights_of(&student);
    const double rate = 64; /* so long a step that the change of a weight shows its gradient */
    double goal[ROWS * K], *want = NULL, *got = NULL;
    uint64_t before, after;
    ASSERT_OK_FATAL(tdo_memory_new(count, &want));
    ASSERT_OK_FATAL(tdo_memory_new(count, &got));
    goal_by_hand(&teacher, &student, goal);
    const double loss = student_by_hand(&student, goal, want);
    const float *w = tdo_params_block(student.params, TDO_PARAM_WEIGHT);
    for (int64_t i = 0; i < count; i++) {
        got[i] = (double)w[i];
    }
    struct tdo_trainer_options o = plain;
    o.teacher = &teacher;
    ASSERT_OK(tdo_network_hash(&teacher, &before));
    CU_ASSERT_DOUBLE_EQUAL(take_step(&student, &o, rate), loss, 1e-5 * loss);
    ASSERT_OK(tdo_network_hash(&teacher, &after));
    CU_ASSERT_EQUAL(before, after);
    for (int64_t i = 0; i < count; i++) {
        got[i] = (got[i] - (double)w[i]) / rate;
    }
    CU_ASSERT_TRUE(probe_gap(count, got, want) < 2e-5);
    tdo_memory_free(&want);
    tdo_memory_free(&got);
    tdo_network_free(&student);
    tdo_network_free(&teacher);
    tdo_config_free(&c[0]);
    tdo_config_free(&c[1]);
}

CU_TestInfo suite_tests[] = {
    {"a step is attacked on the network that it draws, the same on all ranks",
     a_step_is_attacked_on_the_network_it_draws},
    {"without self sources alone are attacked", without_self_sources_alone_are_attacked},
    {"training changes the network and no source", training_changes_the_network_and_no_source},
    {"attacks that ask nothing are refused", attacks_that_ask_nothing_are_refused},
    {"a source without gradients is refused", a_source_without_gradients_is_refused},
    {"what a training lacks is named", what_a_training_lacks_is_named},
    {"temperature 1 with labels is plain cross entropy, bit for bit",
     temperature_1_with_labels_is_plain_cross_entropy},
    {"a student learns what the teacher says of the same noise",
     a_student_learns_what_the_teacher_says_of_the_same_noise},
    CU_TEST_INFO_NULL};
