/* The four losses of a guided denoiser against their formulas in f64, with central differences for
 * the gradient; and that the clean side is a constant. The denoiser scales each pixel by a weight,
 * the guide has one hidden layer. */
#include <math.h>
#include <string.h>

#include "defenses/defense.h"
#include "nn/graph/grad.h"
#include "tests/nn/support.h"

const char suite_name[] = "guided denoiser";

enum { N = 3, P = 4, H = 5, K = 3 };

struct numbers {
    double w[P]; /* of the denoiser */
    double x[N * P], clean[N * P], label[N];
    double u[H * P], v[K * H]; /* of the guide */
};

static struct numbers numbers(void)
{
    struct numbers n;
    for (int i = 0; i < P; i++) {
        n.w[i] = 1 + 0.5 * probe_number(1, i);
    }
    for (int i = 0; i < N * P; i++) {
        n.x[i] = 0.5 + 0.5 * probe_number(2, i);
        n.clean[i] = 0.5 + 0.5 * probe_number(3, i);
    }
    for (int i = 0; i < H * P; i++) {
        n.u[i] = probe_number(4, i);
    }
    for (int i = 0; i < K * H; i++) {
        n.v[i] = 2 * probe_number(5, i);
    }
    for (int i = 0; i < N; i++) {
        n.label[i] = (i + 1) % K;
    }
    return n;
}

/* ---- formulas ------------------------------------------------------------------------------- */

static void hidden(const struct numbers *n, const double *x, double h[H])
{
    for (int j = 0; j < H; j++) {
        h[j] = 0;
        for (int p = 0; p < P; p++) {
            h[j] += n->u[j * P + p] * x[p];
        }
        h[j] = tanh(h[j]);
    }
}

static void logits(const struct numbers *n, const double *x, double z[K])
{
    double h[H];
    hidden(n, x, h);
    for (int k = 0; k < K; k++) {
        z[k] = 0;
        for (int j = 0; j < H; j++) {
            z[k] += n->v[k * H + j] * h[j];
        }
    }
}

static void denoise(const struct numbers *n, int i, double y[P])
{
    for (int p = 0; p < P; p++) {
        y[p] = n->w[p] * n->x[i * P + p];
    }
}

static double mean_gap(const double *a, const double *b, int count)
{
    double sum = 0;
    for (int i = 0; i < count; i++) {
        sum += fabs(a[i] - b[i]);
    }
    return sum / count;
}

typedef double formula(const struct numbers *n, int i);

static double pixel(const struct numbers *n, int i)
{
    double y[P];
    denoise(n, i, y);
    return mean_gap(y, n->clean + i * P, P);
}

static double feature(const struct numbers *n, int i)
{
    double y[P], a[H], b[H];
    denoise(n, i, y);
    hidden(n, y, a);
    hidden(n, n->clean + i * P, b);
    return mean_gap(a, b, H);
}

static double logit(const struct numbers *n, int i)
{
    double y[P], a[K], b[K];
    denoise(n, i, y);
    logits(n, y, a);
    logits(n, n->clean + i * P, b);
    return mean_gap(a, b, K);
}

static double class(const struct numbers *n, int i)
{
    double y[P], z[K], sum = 0;
    denoise(n, i, y);
    logits(n, y, z);
    for (int k = 0; k < K; k++) {
        sum += exp(z[k]);
    }
    return log(sum) - z[(int)n->label[i]];
}

/* ---- the row -------------------------------------------------------------------------------- */

struct network {
    tdo_graph *g;
    tdo_node w, u, v;
    const char *tap; /* the latest that was asked for */
    int asked;       /* times that the guide was */
};

static tdo_node forward(void *self, tdo_node pixels)
{
    struct network *n = self;
    tdo_node w = tdo_op_reshape(n->g, n->w, TDO_SHAPE(1, 1, 1, P));
    return tdo_op_mul(n->g, pixels, tdo_op_broadcast(n->g, w, TDO_SHAPE(N, 1, 1, P)));
}

static tdo_node teacher(void *self, tdo_node pixels, const char *tap, tdo_node *there)
{
    struct network *n = self;
    tdo_node x = tdo_op_reshape(n->g, pixels, TDO_SHAPE(N, P));
    tdo_node h = tdo_op_tanh(n->g, tdo_op_matmul(n->g, x, n->u, false, true));
    n->tap = tap;
    n->asked++;
    if (tap) {
        *there = h;
    }
    return tdo_op_matmul(n->g, h, n->v, false, true);
}

/* A guided denoiser with these options in the order of its table. */
static struct tdo_defenses with_loss(int kind, const char *tap)
{
    struct tdo_defenses d = {.count = 1};
    for (int i = 0; tdo_defense_table[i]; i++) {
        if (strcmp(tdo_defense_table[i]->name, "guided_denoiser") == 0) {
            d.use[0].row = tdo_defense_table[i];
        }
    }
    CU_ASSERT_PTR_NOT_NULL_FATAL(d.use[0].row);
    for (int i = 0; d.use[0].row->options[i].key; i++) {
        const char *key = d.use[0].row->options[i].key;
        d.use[0].text[i] = strcmp(key, "tap") == 0    ? tap
                           : strcmp(key, "loss") == 0 ? NULL
                                                      : "file";
        d.use[0].value[i] = strcmp(key, "loss") == 0 ? kind : 0;
    }
    return d;
}

enum { LOSS, BY_W, BY_CLEAN, OUTPUTS };

struct result {
    double loss[N], w[P], clean[N * P];
    struct network net;
    bool judged;
};

static void run(int kind, const struct numbers *n, struct result *r)
{
    struct tdo_defenses d = with_loss(kind, "there");
    tdo_node out[OUTPUTS], wrt[2];
    *r = (struct result){0};
    ASSERT_OK_FATAL(tdo_graph_new(&r->net.g));
    tdo_graph *g = r->net.g;
    r->net.w = wrt[0] = tdo_op_input(g, "w", TDO_SHAPE(P));
    tdo_node x = tdo_op_input(g, "x", TDO_SHAPE(N, 1, 1, P));
    tdo_node clean = wrt[1] = tdo_op_input(g, "clean", TDO_SHAPE(N, 1, 1, P));
    tdo_node y = tdo_op_input(g, "y", TDO_SHAPE(N));
    r->net.u = tdo_op_input(g, "u", TDO_SHAPE(H, P));
    r->net.v = tdo_op_input(g, "v", TDO_SHAPE(K, H));
    struct tdo_defense_step step = {.g = g,
                                    .pixels = x,
                                    .adversarial = TDO_NONE,
                                    .partner = clean,
                                    .labels = y,
                                    .forward = forward,
                                    .teacher = teacher,
                                    .self = &r->net,
                                    .clean_logits = TDO_NONE,
                                    .adversarial_logits = TDO_NONE};
    out[LOSS] = tdo_defense_loss(&d, &step, K);
    r->judged = step.clean_logits != TDO_NONE;
    tdo_grad(g, out[LOSS], TDO_NONE, 2, wrt, &out[BY_W]);
    ASSERT_OK_FATAL(tdo_graph_check(g));
    tdo_plan *p = probe_plan(g, OUTPUTS, out, F64, NULL);
    const struct {
        tdo_node node;
        int count;
        const double *from;
    } input[] = {{r->net.w, P, n->w}, {x, N * P, n->x},        {clean, N * P, n->clean},
                 {y, N, n->label},    {r->net.u, H * P, n->u}, {r->net.v, K * H, n->v}};
    for (size_t i = 0; i < sizeof input / sizeof *input; i++) {
        if (tdo_plan_input(p, input[i].node)) {
            probe_set(p, input[i].node, F64, input[i].count, input[i].from);
        }
    }
    ASSERT_OK_FATAL(tdo_plan_run(p));
    probe_get(p, LOSS, F64, N, r->loss);
    probe_get(p, BY_W, F64, P, r->w);
    probe_get(p, BY_CLEAN, F64, N * P, r->clean);
    tdo_plan_free(&p);
    tdo_graph_free(&r->net.g);
}

static double total(formula *f, const struct numbers *n)
{
    double sum = 0;
    for (int i = 0; i < N; i++) {
        sum += f(n, i);
    }
    return sum;
}

static void compare(int kind, formula *f, struct result *r)
{
    const double h = 1e-6;
    const struct numbers n = numbers();
    bool moves = false;
    run(kind, &n, r);
    for (int i = 0; i < N; i++) {
        CU_ASSERT_DOUBLE_EQUAL(r->loss[i], f(&n, i), 1e-12);
        CU_ASSERT_TRUE(r->loss[i] > 1e-3);
    }
    for (int p = 0; p < P; p++) {
        struct numbers up = n, down = n;
        up.w[p] += h;
        down.w[p] -= h;
        const double slope = (total(f, &up) - total(f, &down)) / (2 * h);
        CU_ASSERT_DOUBLE_EQUAL(r->w[p], slope, 1e-7);
        moves = moves || fabs(slope) > 1e-2;
    }
    CU_ASSERT_TRUE(moves);
    for (int i = 0; i < N * P; i++) {
        CU_ASSERT_TRUE(r->clean[i] == 0);
    }
}

static void pixels_are_compared_without_a_guide(void)
{
    struct result r;
    compare(0, pixel, &r);
    CU_ASSERT_EQUAL(r.net.asked, 0);
    CU_ASSERT_FALSE(r.judged);
}

static void features_are_those_of_the_place_that_is_named(void)
{
    struct result r;
    compare(1, feature, &r);
    CU_ASSERT_EQUAL(r.net.asked, 2);
    CU_ASSERT_STRING_EQUAL(r.net.tap, "there");
    CU_ASSERT_TRUE(r.judged);
}

static void logits_are_compared(void)
{
    struct result r;
    compare(2, logit, &r);
    CU_ASSERT_EQUAL(r.net.asked, 2);
    CU_ASSERT_PTR_NULL(r.net.tap);
    CU_ASSERT_TRUE(r.judged);
}

static void by_class_no_clean_image_is_shown(void)
{
    struct result r;
    compare(3, class, &r);
    CU_ASSERT_EQUAL(r.net.asked, 1);
    CU_ASSERT_TRUE(r.judged);
}

CU_TestInfo suite_tests[] = {
    {"pixel: the mean over elements of |x^ - x|, without a guide",
     pixels_are_compared_without_a_guide},
    {"feature: the same of the place that is named; the clean side is constant",
     features_are_those_of_the_place_that_is_named},
    {"logits: the same of the guide's logits; the clean side is constant", logits_are_compared},
    {"class: cross entropy with the label, and no clean image is shown",
     by_class_no_clean_image_is_shown},
    CU_TEST_INFO_NULL};
