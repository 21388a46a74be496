/* What defenses make of a training step, against the papers' formulas in double, and their gradients
 * against central differences of those formulas. The network is z = W x. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "defenses/defense.h"
#include "tests/nn/support.h"

const char suite_name[] = "defenses/losses";

enum { N = 4, P = 5, K = 3, DRAWS = 3 };

/* A step's numbers. */
struct numbers {
    double w[K * P], x[N * P], a[N * P]; /* weights, clean and attacked images */
    double draw[DRAWS][N * P];           /* noisy images; the first are x */
    double shown[DRAWS][N * P];          /* the same of a */
    double label[N];
    double teacher[K * P]; /* weights of another network; held constant */
};

static struct numbers numbers(void)
{
    struct numbers n;
    for (int i = 0; i < K * P; i++) {
        n.w[i] = probe_number(1, i);
        n.teacher[i] = 3 * n.w[i];
    }
    for (int i = 0; i < N * P; i++) {
        n.x[i] = probe_number(2, i);
        n.a[i] = n.x[i] + 0.3 * probe_number(3, i);
        for (int k = 0; k < DRAWS; k++) {
            n.draw[k][i] = n.x[i] + (k ? 0.8 * probe_number(10 + (uint32_t)k, i) : 0);
            n.shown[k][i] = n.a[i] + (k ? 0.8 * probe_number(20 + (uint32_t)k, i) : 0);
        }
    }
    for (int i = 0; i < N; i++) {
        n.label[i] = i % K;
    }
    return n;
}

/* The rows `name`, with their defaults and these overrides "key=value,key=value"; a text comes last. */
static void use_row(const char *name, const char *overrides, struct tdo_defenses *d)
{
    struct tdo_defense_use *use = &d->use[d->count++];
    for (int i = 0; tdo_defense_table[i]; i++) {
        if (strcmp(tdo_defense_table[i]->name, name) == 0) {
            use->row = tdo_defense_table[i];
        }
    }
    CU_ASSERT_PTR_NOT_NULL_FATAL(use->row);
    for (int i = 0; use->row->options[i].key; i++) {
        char key[32];
        const char *at = NULL;
        snprintf(key, sizeof key, "%s=", use->row->options[i].key);
        at = strstr(overrides, key);
        at = at ? at + strlen(key) : use->row->options[i].value;
        use->value[i] = atof(at);
        use->text[i] = use->row->options[i].type == TDO_OPTION_TEXT ? at : NULL;
    }
}

/* ---- the formulas ----------------------------------------------------------------------------------- */

static void softmax(const double *w, const double *x, double *p)
{
    double sum = 0;
    for (int k = 0; k < K; k++) {
        double z = 0;
        for (int i = 0; i < P; i++) {
            z += w[k * P + i] * x[i];
        }
        p[k] = exp(z);
        sum += p[k];
    }
    for (int k = 0; k < K; k++) {
        p[k] /= sum;
    }
}

static double kl(const double *p, const double *q)
{
    double sum = 0;
    for (int k = 0; k < K; k++) {
        sum += p[k] * log(p[k] / q[k]);
    }
    return sum;
}

typedef double formula(const struct numbers *n, int row);

static double trades(const struct numbers *n, int i)
{
    double p[K], q[K];
    softmax(n->w, n->x + i * P, p);
    softmax(n->w, n->a + i * P, q);
    return -log(p[(int)n->label[i]]) + 6 * kl(p, q);
}

static double mart(const struct numbers *n, int i)
{
    const int y = (int)n->label[i];
    double p[K], q[K], other = 0;
    softmax(n->w, n->x + i * P, p);
    softmax(n->w, n->a + i * P, q);
    for (int k = 0; k < K; k++) {
        other = k != y && q[k] > other ? q[k] : other;
    }
    return -log(q[y]) - log(1.0001 - other) + 5 * kl(p, q) * (1 - p[y]);
}

static double attacked_alone(const struct numbers *n, int i)
{
    double q[K];
    softmax(n->w, n->a + i * P, q);
    return -log(q[(int)n->label[i]]);
}

static double both_halves(const struct numbers *n, int i)
{
    double p[K];
    softmax(n->w, n->x + i * P, p);
    return 0.75 * -log(p[(int)n->label[i]]) + 0.25 * attacked_alone(n, i);
}

/* Labels smoothed to 0.9, and 0.1 |dCE/dx|^2, which is W^T (p - t) here. */
static double smooth_and_flat(const struct numbers *n, int i)
{
    double p[K], loss = 0, square = 0;
    softmax(n->w, n->x + i * P, p);
    for (int k = 0; k < K; k++) {
        loss -= (k == (int)n->label[i] ? 0.9 : 0.1 / (K - 1)) * log(p[k]);
    }
    for (int j = 0; j < P; j++) {
        double g = 0;
        for (int k = 0; k < K; k++) {
            const double t = k == (int)n->label[i] ? 0.9 : 0.1 / (K - 1);
            g += n->w[k * P + j] * (p[k] - t);
        }
        square += g * g;
    }
    return loss + 0.1 * square;
}

/* softmax(W x / 4) */
static void warm(const double *w, const double *x, double *p)
{
    double cold[K * P];
    for (int i = 0; i < K * P; i++) {
        cold[i] = w[i] / 4;
    }
    softmax(cold, x, p);
}

static double distilled(const struct numbers *n, int i)
{
    double p[K], q[K], loss = 0;
    warm(n->teacher, n->x + i * P, p);
    warm(n->w, n->x + i * P, q);
    for (int k = 0; k < K; k++) {
        loss -= p[k] * log(q[k]);
    }
    return loss;
}

static double plain(const struct numbers *n, int i)
{
    double p[K];
    softmax(n->w, n->x + i * P, p);
    return -log(p[(int)n->label[i]]);
}

static double consistency(const struct numbers *n, int i)
{
    double p[DRAWS][K], mean[K] = {0}, loss = 0;
    for (int k = 0; k < DRAWS; k++) {
        softmax(n->w, n->draw[k] + i * P, p[k]);
        loss -= log(p[k][(int)n->label[i]]) / DRAWS;
        for (int c = 0; c < K; c++) {
            mean[c] += p[k][c] / DRAWS;
        }
    }
    for (int k = 0; k < DRAWS; k++) {
        loss += 10 * kl(mean, p[k]) / DRAWS;
    }
    for (int c = 0; c < K; c++) {
        loss -= 0.5 * mean[c] * log(mean[c]);
    }
    return loss;
}

static double attacked_draws(const struct numbers *n, int i)
{
    double p[K], loss = 0;
    for (int k = 0; k < DRAWS; k++) {
        softmax(n->w, n->shown[k] + i * P, p);
        loss -= log(p[(int)n->label[i]]) / DRAWS;
    }
    return loss;
}

static double warm_labels(const struct numbers *n, int i)
{
    double q[K];
    warm(n->w, n->x + i * P, q);
    return -log(q[(int)n->label[i]]);
}

/* ---- the graph -------------------------------------------------------------------------------------- */

struct network {
    tdo_graph *g;
    tdo_node w, draw[DRAWS], shown[DRAWS];
    int passes;
};

static tdo_node forward(void *self, tdo_node pixels)
{
    struct network *n = self;
    n->passes++;
    return tdo_op_matmul(n->g, tdo_op_reshape(n->g, pixels, TDO_SHAPE(N, P)), n->w, false,
                         true);
}

/* Three times the network's own logits: a gradient that came this way would be seen. */
static tdo_node teacher(void *self, tdo_node pixels, const char *tap, tdo_node *there)
{
    struct network *n = self;
    CU_ASSERT_PTR_NULL(tap);
    if (tap) {
        *there = TDO_NONE;
    }
    tdo_node x = tdo_op_reshape(n->g, pixels, TDO_SHAPE(N, P));
    return tdo_op_affine(n->g, tdo_op_matmul(n->g, x, n->w, false, true), 3, 0);
}

static tdo_node draw(void *self, bool attacked, int i)
{
    struct network *n = self;
    CU_ASSERT_FATAL(i > 0 && i < DRAWS);
    return attacked ? n->shown[i] : n->draw[i];
}

static tdo_node forward_draw(void *self, tdo_node pixels, int i)
{
    const struct network *n = self;
    CU_ASSERT_TRUE(pixels == n->draw[i] || pixels == n->shown[i]);
    return forward(self, pixels);
}

/* Loss of each row, and the gradient of their sum by W, of these defenses. */
static void run(const struct tdo_defenses *d, const struct numbers *n, int passes,
                double loss[N], double gradient[K * P])
{
    struct network net = {0};
    ASSERT_OK_FATAL(tdo_graph_new(&net.g));
    net.w = tdo_op_input(net.g, "w", TDO_SHAPE(K, P));
    tdo_node x = tdo_op_input(net.g, "x", TDO_SHAPE(N, 1, 1, P));
    tdo_node a = tdo_op_input(net.g, "a", TDO_SHAPE(N, 1, 1, P));
    tdo_node y = tdo_op_input(net.g, "y", TDO_SHAPE(N)), out[2];
    for (int k = 1; k < DRAWS; k++) {
        net.draw[k] = tdo_op_input(net.g, "draw", TDO_SHAPE(N, 1, 1, P));
        net.shown[k] = tdo_op_input(net.g, "shown", TDO_SHAPE(N, 1, 1, P));
    }
    struct tdo_defense_step step = {.g = net.g,
                                    .pixels = x,
                                    .adversarial = a,
                                    .labels = y,
                                    .forward = forward,
                                    .teacher = teacher,
                                    .draw = draw,
                                    .forward_draw = forward_draw,
                                    .self = &net,
                                    .clean_logits = TDO_NONE,
                                    .adversarial_logits = TDO_NONE};
    out[0] = tdo_defense_loss(d, &step, K);
    tdo_grad(net.g, out[0], TDO_NONE, 1, &net.w, &out[1]);
    ASSERT_OK_FATAL(tdo_graph_check(net.g));
    CU_ASSERT_EQUAL(net.passes, passes);
    tdo_plan *p = probe_plan(net.g, 2, out, F64, NULL);
    probe_set(p, net.w, F64, K * P, n->w);
    probe_set(p, x, F64, N * P, n->x);
    probe_set(p, a, F64, N * P, n->a);
    probe_set(p, y, F64, N, n->label);
    for (int k = 1; k < DRAWS; k++) {
        probe_set(p, net.draw[k], F64, N * P, n->draw[k]);
        probe_set(p, net.shown[k], F64, N * P, n->shown[k]);
    }
    ASSERT_OK_FATAL(tdo_plan_run(p));
    probe_get(p, 0, F64, N, loss);
    probe_get(p, 1, F64, K * P, gradient);
    tdo_plan_free(&p);
    tdo_graph_free(&net.g);
}

static double total(formula *f, const struct numbers *n)
{
    double sum = 0;
    for (int i = 0; i < N; i++) {
        sum += f(n, i);
    }
    return sum;
}

static void compare(const struct tdo_defenses *d, formula *f, int passes)
{
    const double h = 1e-5;
    struct numbers n = numbers();
    double loss[N], gradient[K * P];
    run(d, &n, passes, loss, gradient);
    for (int i = 0; i < N; i++) {
        CU_ASSERT(fabs(loss[i] - f(&n, i)) <= 1e-12 * (1 + fabs(loss[i])));
    }
    for (int j = 0; j < K * P; j++) {
        struct numbers up = n, down = n;
        up.w[j] += h;
        down.w[j] -= h;
        const double slope = (total(f, &up) - total(f, &down)) / (2 * h);
        CU_ASSERT(fabs(gradient[j] - slope) <= 1e-7 * (1 + fabs(slope)));
    }
}

static void trades_is_equation_5(void)
{
    struct tdo_defenses d = {.count = 0};
    use_row("trades", "", &d);
    compare(&d, trades, 2);
}

static void mart_is_equations_8_and_9(void)
{
    struct tdo_defenses d = {.count = 0};
    use_row("mart", "", &d);
    compare(&d, mart, 2);
}

static void adversarial_training_weighs_what_it_runs(void)
{
    struct tdo_defenses alone = {.count = 0}, both = {.count = 0}, drawn = {.count = 0};
    use_row("adversarial", "", &alone);
    compare(&alone, attacked_alone, 1);
    use_row("adversarial", "share=0.25", &both);
    compare(&both, both_halves, 2);
    use_row("adversarial", "share=0.25,mix=1", &drawn);
    compare(&drawn, attacked_alone, 1);
}

static void ensemble_adversarial_training_weighs_the_same_way(void)
{
    struct tdo_defenses d = {.count = 0};
    use_row("ensemble_adversarial", "share=0.25,sources=a", &d);
    compare(&d, both_halves, 2);
}

static void a_student_learns_the_teacher_s_word_as_a_constant(void)
{
    struct tdo_defenses d = {.count = 0};
    use_row("distillation", "temperature=4,teacher=file", &d);
    compare(&d, distilled, 1);
}

static void a_teacher_learns_labels_at_its_temperature(void)
{
    struct tdo_defenses d = {.count = 0};
    use_row("distillation", "temperature=4,teacher=labels", &d);
    compare(&d, warm_labels, 1);
}

static void goals_and_penalties_join_the_default_loss(void)
{
    struct tdo_defenses d = {.count = 0};
    use_row("label_smoothing", "", &d);
    use_row("input_gradient", "", &d);
    compare(&d, smooth_and_flat, 1);
}

static void consistency_compares_draws(void)
{
    struct tdo_defenses one = {.count = 0}, all = {.count = 0};
    use_row("consistency", "copies=1,lambda=0,eta=0", &one);
    compare(&one, plain, 1);
    use_row("consistency", "copies=3", &all);
    compare(&all, consistency, DRAWS);
}

static void smooth_adversarial_is_the_mean_over_draws(void)
{
    struct tdo_defenses one = {.count = 0}, first = {.count = 0}, all = {.count = 0};
    use_row("smooth_adversarial", "draws=1", &one);
    compare(&one, attacked_alone, 1);
    use_row("smooth_adversarial", "draws=3,train=1", &first);
    compare(&first, attacked_alone, 1);
    use_row("smooth_adversarial", "draws=3", &all);
    compare(&all, attacked_draws, DRAWS);
}

/* Logits far apart, where a probability is 0 in f64. */
static void consistency_is_finite_where_a_probability_is_0(void)
{
    struct tdo_defenses d = {.count = 0};
    struct numbers n = numbers();
    double loss[N], gradient[K * P];
    use_row("consistency", "copies=3", &d);
    for (int j = 0; j < K * P; j++) {
        n.w[j] *= 2000;
    }
    run(&d, &n, DRAWS, loss, gradient);
    for (int i = 0; i < N; i++) {
        CU_ASSERT(isfinite(loss[i]));
    }
    for (int j = 0; j < K * P; j++) {
        CU_ASSERT(isfinite(gradient[j]));
    }
}

/* Says what it was asked for. */
static tdo_node draw_number(void *self, bool attacked, int i)
{
    (void)self;
    return (attacked ? 100 : 0) + i;
}

static void draw_0_is_what_is_there(void)
{
    struct tdo_defense_step s = {
        .pixels = 41, .adversarial = 42, .clean_logits = 43, .draw = draw_number};
    CU_ASSERT_EQUAL(tdo_defense_draw(&s, 0), 41);
    CU_ASSERT_EQUAL(tdo_defense_attacked_draw(&s, 0), 42);
    CU_ASSERT_EQUAL(tdo_defense_draw_logits(&s, 0), 43);
    CU_ASSERT_EQUAL(tdo_defense_draw(&s, 2), 2);
    CU_ASSERT_EQUAL(tdo_defense_attacked_draw(&s, 15), 115);
}

static void too_many_draws_are_an_error(void)
{
    struct tdo_defense_step s = {.pixels = TDO_NONE};
    ASSERT_OK_FATAL(tdo_graph_new(&s.g));
    CU_ASSERT_EQUAL(tdo_defense_draw(&s, TDO_DEFENSE_DRAWS), TDO_NONE);
    CU_ASSERT_EQUAL(tdo_graph_check(s.g), TDO_ERR_CONFIG);
    CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, "at most 16"));
    tdo_graph_free(&s.g);
}

CU_TestInfo suite_tests[] = {
    {"TRADES is equation 5", trades_is_equation_5},
    {"MART is equations 8 and 9", mart_is_equations_8_and_9},
    {"adversarial training weighs what it runs", adversarial_training_weighs_what_it_runs},
    {"ensemble adversarial training weighs the same way",
     ensemble_adversarial_training_weighs_the_same_way},
    {"a student learns the teacher's word, as a constant",
     a_student_learns_the_teacher_s_word_as_a_constant},
    {"a teacher learns labels, at its temperature", a_teacher_learns_labels_at_its_temperature},
    {"goals and penalties join the default loss", goals_and_penalties_join_the_default_loss},
    {"consistency compares draws", consistency_compares_draws},
    {"consistency is finite where a probability is 0",
     consistency_is_finite_where_a_probability_is_0},
    {"SmoothAdv training is the mean over draws of what is attacked",
     smooth_adversarial_is_the_mean_over_draws},
    {"draw 0 is what is there", draw_0_is_what_is_there},
    {"too many draws are an error", too_many_draws_are_an_error},
    CU_TEST_INFO_NULL};
