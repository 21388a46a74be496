/* Gradient ascent in a ball against its formulas in double: rows fgsm, rfgsm, ifgsm and pgd. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "attacks/aim.h"
#include "tests/attacks/support.h"

const char suite_name[] = "ascent";

enum { N = 5, PIXELS = 36, K = 5 };

/* dCE/dx of class `label`, in double. */
static void slope(const struct toy *toy, const double *x, int label, double *g)
{
    double z[K], jacobian[K * PIXELS], sum = 0;
    toy_logits(toy, 1, x, z);
    toy_jacobian(toy, 1, x, jacobian);
    for (int k = 0; k < K; k++) {
        sum += exp(z[k]);
    }
    for (int p = 0; p < PIXELS; p++) {
        g[p] = 0;
        for (int k = 0; k < K; k++) {
            g[p] += (exp(z[k]) / sum - (k == label)) * jacobian[k * PIXELS + p];
        }
    }
}

static double clip(double x, double low, double high)
{
    return fmax(low, fmin(high, x));
}

/* What the loop is asked for. */
struct loop {
    enum tdo_norm norm;
    double eps, momentum, sign; /* sign -1: towards the class */
    int steps;
    double length[8]; /* of each step */
    bool boxed;
};

static void oracle(const struct toy *toy, const struct loop *o, const float *image, int class,
                   double *u)
{
    double g[PIXELS], m[PIXELS] = {0};
    for (int p = 0; p < PIXELS; p++) {
        u[p] = (double)image[p];
    }
    for (int k = 0; k < o->steps; k++) {
        double mean = 0, length = 0, out = 0;
        slope(toy, u, class, g);
        for (int p = 0; p < PIXELS; p++) {
            mean += fabs(g[p]) / PIXELS;
        }
        for (int p = 0; p < PIXELS; p++) {
            m[p] = o->momentum * m[p] + o->sign * g[p] / mean;
            length += m[p] * m[p];
        }
        for (int p = 0; p < PIXELS; p++) {
            u[p] += o->length[k] *
                    (o->norm == TDO_NORM_L2 ? m[p] / sqrt(length) : copysign(1, m[p]));
            out += (u[p] - (double)image[p]) * (u[p] - (double)image[p]);
        }
        for (int p = 0; p < PIXELS; p++) {
            const double x = (double)image[p], d = u[p] - x;
            u[p] = o->norm == TDO_NORM_L2 ? x + d * fmin(1, o->eps / sqrt(out))
                                          : x + clip(d, -o->eps, o->eps);
            u[p] = o->boxed ? clip(u[p], 0, 1) : u[p];
        }
    }
}

static void compare(const char *row, const char *options, const struct loop *o)
{
    struct toy *toy = toy_new(&(struct toy_spec){.kind = TOY_SMOOTH});
    struct toy_batch *b = toy_batch(toy, N, 11);
    struct tdo_attack_use use;
    toy_use(row, options, &use);
    toy_attack(toy, &use, b);
    for (int i = 0; i < N; i++) {
        const int class = b->target[i] >= 0 ? b->target[i] : b->label[i];
        double u[PIXELS], most = 0;
        CU_ASSERT_EQUAL(b->target[i] >= 0, o->sign < 0);
        oracle(toy, o, b->x + i * PIXELS, class, u);
        for (int p = 0; p < PIXELS; p++) {
            most = fmax(most, fabs((double)b->found[i * PIXELS + p] - u[p]));
        }
        CU_ASSERT_TRUE(most <= 2e-5);
    }
    toy_batch_free(&b);
    toy_use_free();
    toy_free(&toy);
}

static void fgsm_is_one_step_of_the_full_size(void)
{
    compare("fgsm", "eps=0.2", &(struct loop){TDO_NORM_LINF, 0.2, 0, 1, 1, {0.2}, true});
    compare("fgsm", "eps=0.2 box=none",
            &(struct loop){TDO_NORM_LINF, 0.2, 0, 1, 1, {0.2}, false});
    compare("fgsm", "eps=1 norm=l2", &(struct loop){TDO_NORM_L2, 1, 0, 1, 1, {1}, true});
    compare("fgsm", "eps=0.2 label=least",
            &(struct loop){TDO_NORM_LINF, 0.2, 0, -1, 1, {0.2}, true});
}

static void pgd_steps_and_projects(void)
{
    compare("pgd", "eps=0.5 norm=l2 start=none steps=5 step=0.2 keep=last box=none",
            &(struct loop){TDO_NORM_L2, 0.5, 0, 1, 5, {0.2, 0.2, 0.2, 0.2, 0.2}, false});
    compare("pgd", "eps=0.5 norm=l2 start=none steps=4 keep=last",
            &(struct loop){TDO_NORM_L2, 0.5, 0, 1, 4, {0.3125, 0.3125, 0.3125, 0.3125}, true});
    compare("pgd", "eps=0.1 start=none steps=3 step=0.04 keep=last label=least",
            &(struct loop){TDO_NORM_LINF, 0.1, 0, -1, 3, {0.04, 0.04, 0.04}, true});
    compare("pgd", "eps=2 norm=l2 start=none steps=4 step=0.2 momentum=0.9 keep=last",
            &(struct loop){TDO_NORM_L2, 2, 0.9, 1, 4, {0.2, 0.2, 0.2, 0.2}, true});
}

static void steps_of_ifgsm_add_up_to_eps(void)
{
    compare("ifgsm", "eps=0.12 steps=3 box=none",
            &(struct loop){TDO_NORM_LINF, 0.12, 0, 1, 3, {0.04, 0.04, 0.04}, false});
    compare("ifgsm", "eps=0.7 norm=l2 steps=3 decay=0.5",
            &(struct loop){TDO_NORM_L2, 0.7, 0, 1, 3, {0.4, 0.2, 0.1}, true});
}

/* On a linear classifier of two classes the sign never changes. */
static void two_linear_classes_know_their_worst_case(void)
{
    static const char *const rows[][2] = {
        {"fgsm", "eps=0.2"},
        {"pgd", "eps=0.2 steps=20"},
        {"pgd", "eps=0.2 steps=20 loss=margin"},
        {"ifgsm", "eps=0.2 steps=7"},
    };
    struct toy *toy = toy_new(&(struct toy_spec){.kind = TOY_LINEAR, .classes = 2});
    const float *w = toy_values(toy, "out.weight");
    for (int k = 0; k < 4; k++) {
        struct toy_batch *b = toy_batch(toy, N, 11);
        struct tdo_attack_use use;
        toy_use(rows[k][0], rows[k][1], &use);
        toy_attack(toy, &use, b);
        for (int i = 0; i < N * PIXELS; i++) {
            const int own = b->label[i / PIXELS], p = i % PIXELS;
            const double d = (double)w[(1 - own) * PIXELS + p] - (double)w[own * PIXELS + p];
            const double want = clip((double)b->x[i] + copysign(0.2, d), 0, 1);
            CU_ASSERT_TRUE(fabs((double)b->found[i] - want) <= 1e-6);
        }
        toy_batch_free(&b);
    }
    toy_use_free();
    toy_free(&toy);
}

/* max other - z_label, in double. */
static double margin(const struct toy *toy, const float *image, int label)
{
    double x[PIXELS], z[K], other = -HUGE_VAL;
    for (int p = 0; p < PIXELS; p++) {
        x[p] = (double)image[p];
    }
    toy_logits(toy, 1, x, z);
    for (int k = 0; k < K; k++) {
        other = k == label ? other : fmax(other, z[k]);
    }
    return other - z[label];
}

/* `keep = best` returns the point of largest margin: what is misclassified if anything was, and
 * the better of two corners between which steps of twice eps jump. */
static void the_best_point_is_kept_and_early_stops_cost_less(void)
{
    struct toy *toy = toy_new(&(struct toy_spec){.kind = TOY_CONV});
    struct toy_batch *last = toy_batch(toy, N, 4), *best = toy_batch(toy, N, 4);
    struct toy_batch *early = toy_batch(toy, N, 4);
    struct tdo_attack_use use;
    int flips = 0, saved = 0, better = 0;
    toy_use("pgd", "eps=0.1 steps=6 step=0.2 keep=last", &use);
    toy_attack(toy, &use, last);
    toy_use("pgd", "eps=0.1 steps=6 step=0.2 keep=best", &use);
    toy_attack(toy, &use, best);
    toy_use("pgd", "eps=0.1 steps=6 step=0.2 early=true", &use);
    toy_attack(toy, &use, early);
    for (int i = 0; i < N; i++) {
        const bool ends = toy_class(toy, last->found + i * PIXELS) != last->label[i];
        const bool came = toy_class(toy, best->found + i * PIXELS) != best->label[i];
        const double end = margin(toy, last->found + i * PIXELS, last->label[i]);
        CU_ASSERT_TRUE(came || !ends);
        const double most = margin(toy, best->found + i * PIXELS, best->label[i]);
        CU_ASSERT_TRUE(most >= end - 1e-5);
        better += most > end + 1e-3;
        CU_ASSERT_EQUAL(toy_class(toy, early->found + i * PIXELS) != early->label[i], came);
        CU_ASSERT_TRUE(early->queries[i] <= best->queries[i]);
        CU_ASSERT_EQUAL(last->gradients[i], 6);
        flips += came;
        saved += early->gradients[i] < 6;
    }
    CU_ASSERT_TRUE(flips > 0 && saved > 0 && better > 0);
    toy_batch_free(&last);
    toy_batch_free(&best);
    toy_batch_free(&early);
    toy_use_free();
    toy_free(&toy);
}

/* Fewest multiples of eps_step, one after the other. */
static void minimal_fgsm_takes_the_smallest_step_that_works(void)
{
    struct toy *toy = toy_new(&(struct toy_spec){.kind = TOY_LINEAR});
    struct toy_batch *b = toy_batch(toy, N, 11);
    struct tdo_attack_use use;
    int between = 0;
    toy_use("fgsm", "minimal=true eps=1 eps_step=0.02 box=none", &use);
    toy_attack(toy, &use, b);
    for (int i = 0; i < N; i++) {
        const float *x = b->x + i * PIXELS;
        double wide[PIXELS], g[PIXELS];
        float u[PIXELS];
        int k = 0;
        for (int p = 0; p < PIXELS; p++) {
            wide[p] = (double)x[p];
        }
        slope(toy, wide, b->label[i], g);
        do {
            k++;
            for (int p = 0; p < PIXELS; p++) {
                u[p] = (float)(wide[p] + 0.02 * k * copysign(1, g[p]));
            }
        } while (k < 50 && toy_class(toy, u) == b->label[i]);
        const double far = tdo_threat_norms(b->found + i * PIXELS, x, PIXELS).of[TDO_NORM_LINF];
        CU_ASSERT_TRUE(fabs(far - 0.02 * k) <= 1e-6);
        between += k > 1 && k < 50;
    }
    CU_ASSERT_TRUE(between > 0);
    toy_batch_free(&b);
    toy_use_free();
    toy_free(&toy);
}

/* alpha sign(N), then the rest along the gradient there. */
static void rfgsm_shares_eps_between_noise_and_gradient(void)
{
    struct toy *toy = toy_new(&(struct toy_spec){.kind = TOY_SMOOTH});
    for (int shifted = 0; shifted < 2; shifted++) {
        struct toy_batch *b = toy_batch(toy, N, 11);
        struct tdo_attack_use use;
        int zero = 0, both = 0;
        toy_use("rfgsm",
                shifted ? "eps=0.2 alpha=0.05 box=none at=shifted"
                        : "eps=0.2 alpha=0.05 box=none at=clean",
                &use);
        toy_attack(toy, &use, b);
        for (int i = 0; i < N; i++) {
            float noise[PIXELS];
            double at[PIXELS], g[PIXELS];
            tdo_attack_normals(&use, 0, b->id[i], 0, PIXELS, noise);
            for (int p = 0; p < PIXELS; p++) {
                at[p] = (double)b->x[i * PIXELS + p] +
                        (shifted ? copysign(0.05, (double)noise[p]) : 0);
            }
            slope(toy, at, b->label[i], g);
            for (int p = 0; p < PIXELS; p++) {
                const double d =
                    (double)b->found[i * PIXELS + p] - (double)b->x[i * PIXELS + p];
                const double want = copysign(0.05, (double)noise[p]) + copysign(0.15, g[p]);
                CU_ASSERT_TRUE(fabs(d - want) <= 1e-6);
                both += fabs(d) > 0.19;
                zero += fabs(d) < 0.11;
            }
        }
        CU_ASSERT_TRUE(both > 0 && zero > 0);
        toy_batch_free(&b);
    }
    toy_use_free();
    toy_free(&toy);
}

CU_TestInfo suite_tests[] = {
    {"fgsm is one step of the full size", fgsm_is_one_step_of_the_full_size},
    {"pgd steps and projects", pgd_steps_and_projects},
    {"steps of ifgsm add up to eps", steps_of_ifgsm_add_up_to_eps},
    {"two linear classes know their worst case", two_linear_classes_know_their_worst_case},
    {"the best point is kept, and early stops cost less",
     the_best_point_is_kept_and_early_stops_cost_less},
    {"minimal fgsm takes the smallest step that works",
     minimal_fgsm_takes_the_smallest_step_that_works},
    {"rfgsm shares eps between noise and gradient",
     rfgsm_shares_eps_between_noise_and_gradient},
    CU_TEST_INFO_NULL,
};
