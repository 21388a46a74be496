/* The virtual adversarial direction against the power method in double. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/attacks/support.h"

const char suite_name[] = "vat";

enum { N = 4, PIXELS = 36, MOST = 5 };

/* H v = J' (diag p - p p') J v, with the Jacobian and p of one image. */
static void times_hessian(int classes, const double *jacobian, const double *p, const double *v,
                          double *out)
{
    double jv[MOST], mean = 0;
    for (int k = 0; k < classes; k++) {
        jv[k] = 0;
        for (int q = 0; q < PIXELS; q++) {
            jv[k] += jacobian[k * PIXELS + q] * v[q];
        }
        mean += p[k] * jv[k];
    }
    for (int q = 0; q < PIXELS; q++) {
        out[q] = 0;
        for (int k = 0; k < classes; k++) {
            out[q] += p[k] * (jv[k] - mean) * jacobian[k * PIXELS + q];
        }
    }
}

static double dot(const double *a, const double *b)
{
    double sum = 0;
    for (int q = 0; q < PIXELS; q++) {
        sum += a[q] * b[q];
    }
    return sum;
}

/* |cosine| of the perturbation of image i with H^steps of `start`. */
static double agreement(const struct toy *toy, const struct toy_batch *b, int i,
                        const float *start, int steps)
{
    const int K = toy->spec.classes;
    double x[PIXELS], z[MOST], p[MOST], jacobian[MOST * PIXELS], v[PIXELS], w[PIXELS], sum = 0;
    for (int q = 0; q < PIXELS; q++) {
        x[q] = (double)b->x[i * PIXELS + q];
        v[q] = (double)start[q];
    }
    toy_logits(toy, 1, x, z);
    toy_jacobian(toy, 1, x, jacobian);
    for (int k = 0; k < K; k++) {
        sum += exp(z[k]);
    }
    for (int k = 0; k < K; k++) {
        p[k] = exp(z[k]) / sum;
    }
    for (int k = 0; k < steps; k++) {
        times_hessian(K, jacobian, p, v, w);
        const double length = sqrt(dot(w, w));
        for (int q = 0; q < PIXELS; q++) {
            v[q] = w[q] / length;
        }
    }
    for (int q = 0; q < PIXELS; q++) {
        w[q] = (double)b->found[i * PIXELS + q] - x[q];
    }
    return fabs(dot(v, w)) / sqrt(dot(v, v) * dot(w, w));
}

/* The least agreement over the images. */
static double run_and_compare(const struct toy *toy, const char *options, int steps)
{
    struct toy_batch *b = toy_batch(toy, N, 3);
    struct tdo_attack_use use;
    float start[PIXELS];
    double least = 1;
    toy_use("vat", options, &use);
    toy_attack(toy, &use, b);
    for (int i = 0; i < N; i++) {
        tdo_attack_normals(&use, 0, b->id[i], 0, PIXELS, start);
        least = fmin(least, agreement(toy, b, i, start, steps));
        CU_ASSERT_EQUAL(b->target[i], -1);
    }
    toy_batch_free(&b);
    toy_use_free();
    return least;
}

static void one_step_multiplies_by_the_hessian(void)
{
    struct toy *toy = toy_new(&(struct toy_spec){.kind = TOY_SMOOTH});
    CU_ASSERT_TRUE(run_and_compare(toy, "box=none eps=1 power=1", 1) > 0.9999);
    CU_ASSERT_TRUE(run_and_compare(toy, "box=none eps=1 power=0", 0) > 0.9999);
    toy_free(&toy);
}

static void many_steps_reach_the_dominant_eigenvector(void)
{
    struct toy *toy = toy_new(&(struct toy_spec){.kind = TOY_SMOOTH});
    CU_ASSERT_TRUE(run_and_compare(toy, "box=none eps=1 power=60", 3000) > 0.999);
    toy_free(&toy);
}

/* With two classes H has rank one. */
static void two_classes_need_one_step(void)
{
    struct toy *toy = toy_new(&(struct toy_spec){.kind = TOY_SMOOTH, .classes = 2});
    CU_ASSERT_TRUE(run_and_compare(toy, "box=none eps=1 power=1", 50) > 0.9999);
    toy_free(&toy);
}

/* The reason for the default: the published length is no difference in f32. */
static void the_published_xi_is_lost_in_single_precision(void)
{
    struct toy *toy = toy_new(&(struct toy_spec){.kind = TOY_SMOOTH});
    CU_ASSERT_TRUE(run_and_compare(toy, "box=none eps=1 power=1 xi=1e-6", 1) < 0.99);
    toy_free(&toy);
}

static void the_perturbation_is_as_long_as_eps_and_stays_in_the_box(void)
{
    struct toy *toy = toy_new(&(struct toy_spec){.kind = TOY_CONV});
    for (int boxed = 0; boxed < 2; boxed++) {
        struct toy_batch *b = toy_batch(toy, N, 3);
        struct tdo_attack_use use;
        toy_use("vat", boxed ? "eps=1.5" : "eps=1.5 box=none", &use);
        toy_attack(toy, &use, b);
        for (int i = 0; i < N; i++) {
            const double length =
                tdo_threat_norms(b->found + i * PIXELS, b->x + i * PIXELS, PIXELS)
                    .of[TDO_NORM_L2];
            CU_ASSERT_TRUE(boxed ? length <= 1.5 + 1e-6 && length > 0.1
                                 : fabs(length - 1.5) <= 1e-5);
            for (int q = 0; q < PIXELS && boxed; q++) {
                const float u = b->found[i * PIXELS + q];
                CU_ASSERT_TRUE(u >= 0 && u <= 1);
            }
            CU_ASSERT_EQUAL(b->queries[i], 6);
            CU_ASSERT_EQUAL(b->gradients[i], 5);
        }
        toy_batch_free(&b);
    }
    toy_use_free();
    toy_free(&toy);
}

static void labels_are_not_looked_at(void)
{
    struct toy *toy = toy_new(&(struct toy_spec){.kind = TOY_MLP});
    struct toy_batch *a = toy_batch(toy, N, 3), *b = toy_batch(toy, N, 3);
    struct tdo_attack_use use;
    for (int i = 0; i < N; i++) {
        b->label[i] = (b->label[i] + 1) % toy->spec.classes;
    }
    toy_use("vat", "", &use);
    toy_attack(toy, &use, a);
    toy_attack(toy, &use, b);
    CU_ASSERT_EQUAL(memcmp(a->found, b->found, sizeof(float) * N * PIXELS), 0);
    CU_ASSERT_NOT_EQUAL(memcmp(a->found, a->x, sizeof(float) * N * PIXELS), 0);
    toy_batch_free(&a);
    toy_batch_free(&b);
    toy_use_free();
    toy_free(&toy);
}

CU_TestInfo suite_tests[] = {
    {"one step multiplies by the Hessian", one_step_multiplies_by_the_hessian},
    {"many steps reach the dominant eigenvector", many_steps_reach_the_dominant_eigenvector},
    {"two classes need one step", two_classes_need_one_step},
    {"the published xi is lost in single precision",
     the_published_xi_is_lost_in_single_precision},
    {"the perturbation is as long as eps and stays in the box",
     the_perturbation_is_as_long_as_eps_and_stays_in_the_box},
    {"labels are not looked at", labels_are_not_looked_at},
    CU_TEST_INFO_NULL,
};
