/* What every row of attacks.def promises, whatever it does: loops over the table.
 *
 * The rows run with their usual options against a small network that is trained here on drawn
 * digits; only counts of steps and of populations are cut, so that the slowest rows take a second.
 * A row that is added is tested without a line here. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attacks/aim.h"
#include "jobs/formats/formats.h"
#include "nn/graph/grad.h"
#include "nn/graph/plan.h"
#include "nn/losses.h"
#include "nn/optim.h"
#include "tests/attacks/support.h"

const char suite_name[] = "conformance of attacks";

enum { SIDE = 14, SIZE = SIDE * SIDE, CLASSES = 10, IMAGES = 100, FEW = 6 };
enum { TRAIN = 3000, BATCH = 50, STEPS = 400 };

/* ---- digits and a network that knows them -------------------------------------------------------- */

/* Glyphs at half their size, on grey levels. */
static void read_digits(enum tdo_source_split split, int64_t n, float *x, int32_t *y)
{
    const struct tdo_format_args args = {.seed = 5, .train = TRAIN, .test = IMAGES};
    tdo_source *s = NULL;
    uint8_t *pixels = NULL;
    ASSERT_OK_FATAL(tdo_source_open(tdo_format_find("glyphs"), &args, &s));
    ASSERT_OK_FATAL(tdo_memory_new(n * 4 * SIZE, &pixels));
    ASSERT_OK_FATAL(tdo_source_read(s, split, 0, n, pixels, y));
    for (int64_t i = 0; i < n * SIZE; i++) {
        const uint8_t *p = pixels + (i / SIDE * 2) * (2 * SIDE) + i % SIDE * 2;
        const int sum = p[0] + p[1] + p[2 * SIDE] + p[2 * SIDE + 1];
        const int grey = (sum + 2) / 4;
        x[i] = (float)grey / 255;
    }
    tdo_memory_free(&pixels);
    tdo_source_close(&s);
}

/* A graph with the loss of a batch and its gradients, [loss, gradient of each parameter]. */
struct training {
    tdo_plan *plan;
    tdo_node x, y;
    int64_t entries;
};

static void make_training(struct toy *toy, struct training *t)
{
    tdo_graph *g = NULL;
    tdo_node logits[TDO_TARGET_MEMBERS], auxiliary = TDO_NONE, wrt[8], out[9];
    const struct tdo_plan_options options = {
        .fast = true, .param = toy->net.param, .context = toy};
    ASSERT_OK_FATAL(tdo_graph_new(&g));
    t->x = tdo_op_input(g, "x", TDO_SHAPE(BATCH, SIDE, SIDE, 1));
    t->y = tdo_op_input(g, "y", TDO_SHAPE(BATCH));
    toy->net.build(toy, g, t->x, TDO_NONE, logits, &auxiliary);
    out[0] = tdo_loss_cross_entropy(g, logits[0], t->y,
                                    tdo_op_constant(g, TDO_SHAPE(BATCH), 1.0 / BATCH));
    t->entries = tdo_params_entries(toy->params);
    CU_ASSERT_FATAL(t->entries <= 8);
    for (int64_t i = 0; i < t->entries; i++) {
        const struct tdo_param *e = tdo_params_at(toy->params, i);
        wrt[i] = tdo_op_param(g, i, e->name, e->shape);
    }
    tdo_grad(g, out[0], TDO_NONE, (int)t->entries, wrt, out + 1);
    ASSERT_OK_FATAL(tdo_plan_new(g, 1 + (int)t->entries, out, &options, &t->plan));
    tdo_graph_free(&g);
}

static void train(struct toy *toy)
{
    const tdo_params *p = toy->params;
    const int64_t weights = tdo_params_count(p, TDO_PARAM_WEIGHT);
    const struct tdo_optim_options adam = {
        .kind = TDO_OPTIM_ADAM, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8};
    struct training t = {0};
    tdo_optim *optim = NULL;
    float *x = NULL, *gradient = NULL;
    int32_t *y = NULL;
    ASSERT_OK_FATAL(tdo_memory_new(TRAIN * SIZE, &x));
    ASSERT_OK_FATAL(tdo_memory_new(TRAIN, &y));
    ASSERT_OK_FATAL(tdo_memory_new(weights, &gradient));
    ASSERT_OK_FATAL(tdo_optim_new(&adam, p, &optim));
    read_digits(TDO_SOURCE_TRAIN, TRAIN, x, y);
    make_training(toy, &t);
    for (int k = 0; k < STEPS; k++) {
        const int64_t first = k % (TRAIN / BATCH) * BATCH;
        float *labels = tdo_plan_input(t.plan, t.y);
        memcpy(tdo_plan_input(t.plan, t.x), x + first * SIZE, BATCH * SIZE * sizeof *x);
        for (int i = 0; i < BATCH; i++) {
            labels[i] = (float)y[first + i];
        }
        tdo_plan_touch(t.plan);
        ASSERT_OK_FATAL(tdo_plan_run(t.plan));
        for (int64_t i = 0; i < t.entries; i++) {
            const struct tdo_param *e = tdo_params_at(p, i);
            memcpy(gradient + e->offset, tdo_plan_output(t.plan, 1 + (int)i),
                   (size_t)e->count * sizeof *gradient);
        }
        tdo_optim_step(optim, 0.005, tdo_params_block(p, TDO_PARAM_WEIGHT), gradient);
    }
    tdo_plan_free(&t.plan);
    tdo_optim_free(&optim);
    tdo_memory_free(&x);
    tdo_memory_free(&y);
    tdo_memory_free(&gradient);
}

/* The network; trained once, kept until the program ends. */
static struct toy *trained(void)
{
    static struct toy *toy;
    if (!toy) {
        toy = toy_new(&(struct toy_spec){
            .kind = TOY_CONV, .height = SIDE, .width = SIDE, .classes = CLASSES, .gain = 1});
        train(toy);
    }
    return toy;
}

/* The first n digits that it was not trained on, with their true labels. */
static struct toy_batch *digits(int64_t n)
{
    struct toy_batch *b = toy_batch(trained(), n, 1);
    read_digits(TDO_SOURCE_TEST, n, b->x, b->label);
    return b;
}

/* ---- rows ------------------------------------------------------------------------------------------ */

static const struct tdo_option *option_of(const struct tdo_attack *row, const char *key)
{
    for (const struct tdo_option *o = row->options; o->key; o++) {
        if (strcmp(o->key, key) == 0) {
            return o;
        }
    }
    return NULL;
}

/* Is it one of the option's choices? */
static bool offers(const struct tdo_attack *row, const char *key, const char *choice)
{
    const struct tdo_option *o = option_of(row, key);
    const char *at = o && o->choices ? strstr(o->choices, choice) : NULL;
    return at && (at == o->choices || at[-1] == '|') && strchr("|", at[strlen(choice)]);
}

/* The row with its usual options, cut to few steps, and what is given (`key=value key=value`). */
static struct tdo_attack_use use_of(const struct tdo_attack *row, const char *given)
{
    static const struct {
        const char *key;
        int most;
    } cut[] = {{"steps", 40}, {"population", 12}};
    struct tdo_attack_use use;
    char options[512] = "";
    size_t used = 0;
    for (size_t k = 0; k < sizeof cut / sizeof *cut; k++) {
        const struct tdo_option *o = option_of(row, cut[k].key);
        if (o && o->type == TDO_OPTION_INT && atoi(o->value) > cut[k].most) {
            used += (size_t)snprintf(options + used, sizeof options - used, "%s=%d ",
                                     cut[k].key, cut[k].most);
        }
    }
    if (option_of(row, "from")) {
        used += (size_t)snprintf(options + used, sizeof options - used, "from=a.h5 ");
    }
    snprintf(options + used, sizeof options - used, "%s", given);
    toy_use_free();
    toy_use(row->name, options, &use);
    return use;
}

/* Run it; stored images are the clean ones. */
static void attack(struct toy *toy, const struct tdo_attack_use *use, struct toy_batch *b)
{
    b->s.stored = b->x;
    toy_attack(toy, use, b);
}

/* Share of images that keep their label. */
static double accuracy(const struct toy_batch *b, const float *pixels)
{
    struct tdo_samples s = b->s;
    struct tdo_answer answer;
    tdo_target *t = toy_target(trained(), s.count, NULL);
    double right = 0;
    for (int64_t i = 0; i < s.count; i++) {
        s.done[i] = false;
    }
    ASSERT_OK_FATAL(tdo_target_logits(t, &s, pixels, &answer));
    for (int64_t i = 0; i < s.count; i++) {
        right += tdo_target_argmax(answer.logits + i * CLASSES, CLASSES, -1) == s.label[i];
    }
    tdo_target_free(&t);
    return right / (double)s.count;
}

static double accuracy_under(const struct tdo_attack *row, const char *options)
{
    const struct tdo_attack_use use = use_of(row, options);
    struct toy_batch *b = digits(IMAGES);
    attack(trained(), &use, b);
    const double share = accuracy(b, b->found);
    toy_batch_free(&b);
    return share;
}

/* A failure names the row. */
#define HOLDS(row, condition)                                                                  \
    do {                                                                                       \
        const bool holds_ = (condition);                                                       \
        CU_ASSERT_TRUE(holds_);                                                                \
        if (!holds_) {                                                                         \
            printf("\n    %s: line %d\n", (row)->name, __LINE__);                              \
        }                                                                                      \
    } while (0)

/* ---- tests ------------------------------------------------------------------------------------------ */

static void the_network_knows_its_digits(void)
{
    struct toy_batch *b = digits(IMAGES);
    CU_ASSERT_TRUE(accuracy(b, b->x) >= 0.9);
    toy_batch_free(&b);
}

static bool in_box(const float *pixels, int64_t n)
{
    bool in = true;
    for (int64_t i = 0; i < n; i++) {
        in = in && pixels[i] >= 0 && pixels[i] <= 1;
    }
    return in;
}

static void every_row_keeps_to_its_ball_and_its_box(void)
{
    struct toy_batch *b = digits(FEW);
    for (int r = 0; tdo_attack_table[r]; r++) {
        const struct tdo_attack *row = tdo_attack_table[r];
        const struct tdo_attack_use use = use_of(row, "");
        attack(trained(), &use, b);
        HOLDS(row, !use.threat.boxed || in_box(b->found, FEW * SIZE));
        HOLDS(row, row->ball == (use.threat.eps < HUGE_VAL));
        for (int i = 0; i < FEW; i++) {
            const double far = tdo_threat_norms(b->found + i * SIZE, b->x + i * SIZE, SIZE)
                                   .of[use.threat.norm];
            HOLDS(row, far <= use.threat.eps * (1 + 1e-5));
        }
    }
    toy_batch_free(&b);
}

/* With units = input, behind an input layer of three channels. */
static void the_ball_is_measured_in_units(void)
{
    struct toy *toy = toy_new(&(struct toy_spec){.kind = TOY_CONV, .channels = 3, .inputs = 3});
    struct toy_batch *b = toy_batch(toy, FEW, 3);
    const int64_t P = toy->size;
    for (int r = 0; tdo_attack_table[r]; r++) {
        const struct tdo_attack *row = tdo_attack_table[r];
        if (!option_of(row, "units")) {
            continue;
        }
        const struct tdo_attack_use use = use_of(row, "units=input");
        attack(toy, &use, b);
        HOLDS(row, !use.threat.boxed || in_box(b->found, FEW * P));
        for (int i = 0; i < FEW; i++) {
            float d[108];
            for (int64_t p = 0; p < P; p++) {
                const double change = (double)b->found[i * P + p] - (double)b->x[i * P + p];
                d[p] = (float)(change / toy->net.std[p % 3]);
            }
            const double far = tdo_threat_norms(d, NULL, P).of[use.threat.norm];
            HOLDS(row, far <= use.threat.eps * (1 + 1e-4) + 1e-6);
        }
    }
    toy_batch_free(&b);
    toy_free(&toy);
    toy_use_free();
}

/* Of a random target, in batches of all, four and one, and in another order. */
static void bytes_depend_on_neither_batch_nor_place(void)
{
    struct toy *toy = trained();
    struct toy_batch *b = digits(FEW), *back = toy_part(toy, b, 0, FEW);
    toy->spec.sigma = 0.1;
    for (int64_t i = 0; i < FEW; i++) {
        memcpy(back->x + i * SIZE, b->x + (FEW - 1 - i) * SIZE, SIZE * sizeof *b->x);
        back->label[i] = b->label[FEW - 1 - i];
        back->id[i] = b->id[FEW - 1 - i];
    }
    for (int r = 0; tdo_attack_table[r]; r++) {
        const struct tdo_attack *row = tdo_attack_table[r];
        const struct tdo_attack_use use = use_of(row, "");
        attack(toy, &use, b);
        attack(toy, &use, back);
        for (int64_t i = 0; i < FEW; i++) {
            HOLDS(row, memcmp(back->found + i * SIZE, b->found + (FEW - 1 - i) * SIZE,
                              SIZE * sizeof *b->found) == 0);
            HOLDS(row, back->target[i] == b->target[FEW - 1 - i]);
            HOLDS(row, back->queries[i] == b->queries[FEW - 1 - i]);
            HOLDS(row, back->gradients[i] == b->gradients[FEW - 1 - i]);
        }
        for (int64_t batch = 1; batch <= 4; batch += 3) {
            HOLDS(row, toy_same_in_batches(toy, &use, b, batch));
        }
    }
    toy->spec.sigma = 0;
    toy_batch_free(&b);
    toy_batch_free(&back);
}

/* Do the row's options go together? Its check may refuse a label, and says so. */
static bool allows(const struct tdo_attack_use *use)
{
    tdo_target *t = toy_target(trained(), 1, use);
    const bool allowed = tdo_attack_check(use, t) == TDO_OK;
    HOLDS(use->row, allowed || strstr(tdo_error_last()->message, "attack.0.label") != NULL);
    tdo_target_free(&t);
    return allowed;
}

/* Whatever `label` may be: a class that is reached for is told, and is not the label. */
static void the_class_to_reach_is_told(void)
{
    static const char *const labels[] = {"true", "predicted", "least", "random", "each"};
    struct toy_batch *b = digits(FEW);
    for (int r = 0; tdo_attack_table[r]; r++) {
        const struct tdo_attack *row = tdo_attack_table[r];
        for (int k = 0; k < 5; k++) {
            char options[64] = "";
            if (offers(row, "label", labels[k])) {
                snprintf(options, sizeof options, "label=%s", labels[k]);
            } else if (k > 0) {
                continue;
            }
            const struct tdo_attack_use use = use_of(row, options);
            const bool targeted = tdo_aim_targeted(tdo_aim_read(&use));
            if (!allows(&use)) {
                continue;
            }
            attack(trained(), &use, b);
            for (int i = 0; i < FEW; i++) {
                HOLDS(row, targeted ? b->target[i] >= 0 && b->target[i] < CLASSES &&
                                          b->target[i] != b->label[i]
                                    : b->target[i] == -1);
            }
        }
    }
    toy_batch_free(&b);
}

/* Margins [n] of logits at pixels. */
static void margins(struct toy_batch *b, const float *pixels, double *margin)
{
    struct tdo_samples s = b->s;
    struct tdo_answer answer;
    tdo_target *t = toy_target(trained(), s.count, NULL);
    for (int64_t i = 0; i < s.count; i++) {
        s.done[i] = false;
    }
    ASSERT_OK_FATAL(tdo_target_logits(t, &s, pixels, &answer));
    for (int64_t i = 0; i < s.count; i++) {
        margin[i] = tdo_target_margin(answer.logits + i * CLASSES, CLASSES, s.label[i], false);
    }
    tdo_target_free(&t);
}

static void what_is_kept_as_best_is_no_worse_than_the_start(void)
{
    struct toy_batch *b = digits(IMAGES);
    double before[IMAGES], behind[IMAGES];
    int rows = 0;
    margins(b, b->x, before);
    for (int r = 0; tdo_attack_table[r]; r++) {
        const struct tdo_attack *row = tdo_attack_table[r];
        const bool keeps = offers(row, "keep", "best");
        if (!keeps && row->returns != TDO_RETURNS_BEST) {
            continue;
        }
        const struct tdo_attack_use use = use_of(row, keeps ? "keep=best" : "");
        attack(trained(), &use, b);
        margins(b, b->found, behind);
        for (int i = 0; i < IMAGES; i++) {
            HOLDS(row, behind[i] >= before[i]);
        }
        rows++;
    }
    CU_ASSERT_TRUE(rows >= 1);
    toy_batch_free(&b);
}

static void larger_balls_are_worse_to_be_in(void)
{
    for (int r = 0; tdo_attack_table[r]; r++) {
        const struct tdo_attack *row = tdo_attack_table[r];
        char options[96];
        if (!row->iterative || !row->ball) {
            continue;
        }
        const double eps = use_of(row, "").threat.eps;
        const double once = accuracy_under(row, "");
        snprintf(options, sizeof options, "eps=%.17g", 2 * eps);
        HOLDS(row, accuracy_under(row, options) <= once + 0.02);
        HOLDS(row, once < 1);
        if (offers(row, "norm", "linf")) {
            HOLDS(row, accuracy_under(row, "norm=linf eps=0.5") < 0.05);
        }
    }
}

/* In the same ball, for each norm that both know. */
static void random_noise_is_weaker_than_any_gradient(void)
{
    static const char *const norms[] = {"linf", "l2"};
    const struct tdo_attack *noise = tdo_attack_find("random_noise");
    for (int r = 0; tdo_attack_table[r]; r++) {
        const struct tdo_attack *row = tdo_attack_table[r];
        if (row->needs != TDO_NEEDS_GRADIENT || !row->ball) {
            continue;
        }
        for (int n = 0; n < 2; n++) {
            char options[128];
            if (offers(row, "norm", norms[n]) && offers(noise, "norm", norms[n])) {
                const double eps = n == 0 ? 0.1 : 1.5;
                snprintf(options, sizeof options, "norm=%s eps=%g", norms[n], eps);
                const double by_row = accuracy_under(row, options);
                HOLDS(row, by_row < accuracy_under(noise, options));
            }
        }
    }
}

/* A row takes no more than it says that it needs. */
static void rows_without_gradients_do_without_them(void)
{
    struct toy *toy = trained();
    struct toy_batch *b = digits(FEW);
    for (int r = 0; tdo_attack_table[r]; r++) {
        const struct tdo_attack *row = tdo_attack_table[r];
        const struct tdo_attack_use use = use_of(row, "");
        uint64_t queries = 0, gradients = 0;
        if (row->needs == TDO_NEEDS_GRADIENT) {
            toy->net.gradient = false;
            tdo_target *t = toy_target(toy, FEW, &use);
            tdo_error_clear();
            HOLDS(row, tdo_attack_check(&use, t) == TDO_ERR_CONFIG);
            HOLDS(row, strstr(tdo_error_last()->message, "attack.0") != NULL);
            HOLDS(row, strstr(tdo_error_last()->message, row->name) != NULL);
            HOLDS(row, strchr(tdo_error_last()->message, '\n') == NULL);
            tdo_target_free(&t);
            toy->net.gradient = true;
        }
        toy->net.gradient = row->needs == TDO_NEEDS_GRADIENT;
        attack(toy, &use, b);
        toy->net.gradient = true;
        for (int i = 0; i < FEW; i++) {
            queries += b->queries[i];
            gradients += b->gradients[i];
        }
        HOLDS(row, (queries > 0) == (row->needs != TDO_NEEDS_NOTHING));
        HOLDS(row, (gradients > 0) == (row->needs == TDO_NEEDS_GRADIENT));
    }
    toy_batch_free(&b);
    toy_use_free();
}

/* For people: name, one line of help, and a source for all but the clean images. */
static void every_row_says_what_it_is(void)
{
    for (int r = 0; tdo_attack_table[r]; r++) {
        const struct tdo_attack *row = tdo_attack_table[r];
        HOLDS(row, tdo_attack_find(row->name) == row);
        HOLDS(row, row->help[0] != '\0' && strchr(row->help, '\n') == NULL);
        HOLDS(row, row->cite[0] != '\0' || strcmp(row->name, "clean") == 0);
        HOLDS(row, row->ball == (option_of(row, "eps") != NULL));
    }
}

CU_TestInfo suite_tests[] = {
    {"every row says what it is", every_row_says_what_it_is},
    {"the network knows its digits", the_network_knows_its_digits},
    {"every row keeps to its ball and its box", every_row_keeps_to_its_ball_and_its_box},
    {"the ball is measured in units", the_ball_is_measured_in_units},
    {"bytes depend on neither batch nor place", bytes_depend_on_neither_batch_nor_place},
    {"the class to reach is told", the_class_to_reach_is_told},
    {"what is kept as best is no worse than the start",
     what_is_kept_as_best_is_no_worse_than_the_start},
    {"larger balls are worse to be in", larger_balls_are_worse_to_be_in},
    {"random noise is weaker than any gradient", random_noise_is_weaker_than_any_gradient},
    {"rows without gradients do without them", rows_without_gradients_do_without_them},
    CU_TEST_INFO_NULL,
};
