/* The attack that decouples direction and norm: closed forms, and its steps written out. */
#include <math.h>
#include <string.h>

#include "tests/attacks/support.h"

const char suite_name[] = "ddn";

enum { N = 6 };

/* Images on grey levels, far from the border of the box. */
static struct toy_batch *grey_batch(const struct toy *toy, int64_t count)
{
    struct toy_batch *b = toy_batch(toy, count, 5);
    for (int64_t i = 0; i < count * toy->size; i++) {
        b->x[i] = roundf(255 * (0.3F + 0.4F * b->x[i])) / 255;
    }
    for (int64_t i = 0; i < count; i++) {
        b->label[i] = toy_class(toy, b->x + i * toy->size);
    }
    return b;
}

static bool on_levels(const float *u, int64_t size)
{
    bool on = true;
    for (int64_t p = 0; p < size; p++) {
        on = on && fabs(255 * (double)u[p] - round(255 * (double)u[p])) < 1e-4;
    }
    return on;
}

static double length_of(const struct toy *toy, const struct toy_batch *b, int i)
{
    const int64_t P = toy->size;
    return tdo_threat_norms(b->found + i * P, b->x + i * P, P).of[TDO_NORM_L2];
}

/* The direction stays that of the nearest class only where two classes compete. */
static void it_finds_the_nearest_point_of_a_linear_classifier(void)
{
    struct toy *toy = toy_new(&(struct toy_spec){.kind = TOY_LINEAR, .classes = 2});
    struct toy_batch *b = grey_batch(toy, N);
    struct tdo_attack_use use;
    toy_use("ddn", "levels=0 steps=300 gamma=0.02", &use);
    toy_attack(toy, &use, b);
    for (int i = 0; i < N; i++) {
        const double want = toy_plane(toy, b->x + i * toy->size, b->label[i]);
        const double length = length_of(toy, b, i);
        CU_ASSERT_TRUE(length >= want * (1 - 1e-4) && length <= want * 1.03);
        CU_ASSERT_TRUE(toy_class(toy, b->found + i * toy->size) != b->label[i]);
    }
    toy_batch_free(&b);
    toy_free(&toy);
    toy_use_free();
}

static void points_lie_on_grey_levels_and_change_the_class(void)
{
    struct toy *toy = toy_new(&(struct toy_spec){.kind = TOY_LINEAR, .classes = 2});
    struct toy_batch *b = grey_batch(toy, N);
    struct tdo_attack_use use;
    toy_use("ddn", "", &use);
    toy_attack(toy, &use, b);
    for (int i = 0; i < N; i++) {
        const float *u = b->found + i * toy->size;
        const double want = toy_plane(toy, b->x + i * toy->size, b->label[i]);
        CU_ASSERT_TRUE(on_levels(u, toy->size));
        CU_ASSERT_TRUE(toy_margin(toy, u, b->label[i]) > 0);
        CU_ASSERT_TRUE(length_of(toy, b, i) >= want * (1 - 1e-4));
        CU_ASSERT_TRUE(length_of(toy, b, i) <= want * 1.1 + sqrt((double)toy->size) / 510);
    }
    toy_batch_free(&b);
    toy_free(&toy);
    toy_use_free();
}

/* Without levels and in double: d += rate g/|g|; the norm by success; d to the norm; the box. A
 * max_norm far away gives the last point of samples that never come through. */
static bool run_by_hand(const struct toy *toy, int steps, const float *x, int32_t label,
                        double *u)
{
    const int64_t P = toy->size, K = toy->spec.classes;
    double z[16], jacobian[16 * 64], norm = 0.02;
    bool ever = false;
    for (int64_t p = 0; p < P; p++) {
        u[p] = (double)x[p];
    }
    for (int k = 0; k < steps; k++) {
        double d[64], g[64] = {0}, sum = 0, length = 0, moved = 0;
        int top = 0;
        toy_logits(toy, 1, u, z);
        toy_jacobian(toy, 1, u, jacobian);
        for (int j = 0; j < K; j++) {
            top = z[j] > z[top] ? j : top;
            sum += exp(z[j]);
        }
        for (int j = 0; j < K; j++) {
            for (int64_t p = 0; p < P; p++) {
                g[p] += (exp(z[j]) / sum - (j == label)) * jacobian[j * P + p];
            }
        }
        for (int64_t p = 0; p < P; p++) {
            length += g[p] * g[p];
        }
        for (int64_t p = 0; p < P; p++) {
            const double rate = 0.01 + 0.99 * (1 + cos(3.14159265358979323846 * k / steps)) / 2;
            d[p] = u[p] - (double)x[p] + rate * g[p] / sqrt(length);
            moved += d[p] * d[p];
        }
        norm *= top != label ? 0.9 : 1.1;
        ever = ever || top != label;
        for (int64_t p = 0; p < P; p++) {
            u[p] = fmin(1, fmax(0, (double)x[p] + norm * d[p] / sqrt(moved)));
        }
    }
    return ever;
}

static void its_steps_are_those_of_the_paper(void)
{
    struct toy *toy = toy_new(&(struct toy_spec){.kind = TOY_SMOOTH});
    struct toy_batch *b = toy_batch(toy, 12, 4);
    struct tdo_attack_use use;
    int compared = 0;
    toy_use("ddn", "levels=0 steps=7 gamma=0.1 init_norm=0.02 max_norm=100", &use);
    toy_attack(toy, &use, b);
    for (int i = 0; i < 12; i++) {
        double u[64];
        if (run_by_hand(toy, 7, b->x + i * toy->size, b->label[i], u)) {
            CU_ASSERT_TRUE(b->done[i]);
            continue;
        }
        compared++;
        CU_ASSERT_FALSE(b->done[i]);
        for (int64_t p = 0; p < toy->size; p++) {
            CU_ASSERT_TRUE(fabs((double)b->found[i * toy->size + p] - u[p]) <= 2e-6);
        }
    }
    CU_ASSERT_TRUE(compared >= 6);
    toy_batch_free(&b);
    toy_free(&toy);
    toy_use_free();
}

/* Shortened by whole levels, towards the image. */
static void a_largest_norm_is_kept_on_grey_levels(void)
{
    struct toy *toy = toy_new(&(struct toy_spec){.kind = TOY_SMOOTH});
    struct toy_batch *b = grey_batch(toy, N);
    struct tdo_attack_use use;
    toy_use("ddn", "max_norm=0.1", &use);
    toy_attack(toy, &use, b);
    double most = 0;
    for (int i = 0; i < N; i++) {
        CU_ASSERT_TRUE(on_levels(b->found + i * toy->size, toy->size));
        CU_ASSERT_TRUE(length_of(toy, b, i) <= 0.1 * (1 + 1e-5));
        most = fmax(most, length_of(toy, b, i));
    }
    CU_ASSERT_TRUE(most > 0.08);
    toy_batch_free(&b);
    toy_free(&toy);
    toy_use_free();
}

/* A network that looks at nothing: random directions, the same for a sample anywhere; nothing
 * comes through. */
static void without_a_gradient_it_walks_at_random(void)
{
    struct toy *toy = toy_new(&(struct toy_spec){.kind = TOY_LINEAR});
    memset(toy_values(toy, "out.weight"), 0, (size_t)(5 * toy->size) * sizeof(float));
    struct toy_batch *b = grey_batch(toy, 4);
    struct tdo_attack_use use;
    toy_use("ddn", "steps=5 max_norm=100", &use);
    toy_attack(toy, &use, b);
    CU_ASSERT_TRUE(length_of(toy, b, 0) > 1);
    CU_ASSERT_TRUE(toy_same_in_batches(toy, &use, b, 1));
    CU_ASSERT_TRUE(fabs((double)b->found[0] - (double)b->x[0] -
                        ((double)b->found[toy->size] - (double)b->x[toy->size])) > 0.01);
    toy_use("ddn", "steps=5", &use);
    toy_attack(toy, &use, b);
    CU_ASSERT_EQUAL(memcmp(b->found, b->x, (size_t)(4 * toy->size) * sizeof *b->x), 0);
    toy_batch_free(&b);
    toy_free(&toy);
    toy_use_free();
}

static void targets_are_reached_and_misclassified_images_stay(void)
{
    struct toy *toy = toy_new(&(struct toy_spec){.kind = TOY_LINEAR});
    struct toy_batch *b = grey_batch(toy, N);
    struct tdo_attack_use use;
    b->label[1] = (b->label[1] + 1) % 5;
    toy_use("ddn", "", &use);
    toy_attack(toy, &use, b);
    CU_ASSERT_EQUAL(memcmp(b->found + toy->size, b->x + toy->size, (size_t)toy->size * 4), 0);
    CU_ASSERT_EQUAL(b->gradients[1], 1);
    CU_ASSERT_EQUAL(b->gradients[0], 100);
    toy_use("ddn", "label=random", &use);
    toy_attack(toy, &use, b);
    int reached = 0;
    for (int i = 0; i < N; i++) {
        reached += b->done[i];
        CU_ASSERT_TRUE(!b->done[i] || toy_class(toy, b->found + i * toy->size) == b->target[i]);
    }
    CU_ASSERT_TRUE(reached >= N / 2);
    toy_batch_free(&b);
    toy_free(&toy);
    toy_use_free();
}

static void bytes_do_not_depend_on_the_batch(void)
{
    struct toy *toy = toy_new(&(struct toy_spec){.kind = TOY_CONV, .sigma = 0.1});
    struct toy_batch *b = grey_batch(toy, 5);
    struct tdo_attack_use use;
    toy_use("ddn", "steps=12 draws=3", &use);
    toy_attack(toy, &use, b);
    CU_ASSERT_TRUE(toy_same_in_batches(toy, &use, b, 1));
    CU_ASSERT_TRUE(toy_same_in_batches(toy, &use, b, 3));
    toy_batch_free(&b);
    toy_free(&toy);
    toy_use_free();
}

CU_TestInfo suite_tests[] = {
    {"it finds the nearest point of a linear classifier, within three percent",
     it_finds_the_nearest_point_of_a_linear_classifier},
    {"points lie on grey levels and change the class",
     points_lie_on_grey_levels_and_change_the_class},
    {"its steps are those of the paper, in double", its_steps_are_those_of_the_paper},
    {"a largest norm is kept, on grey levels", a_largest_norm_is_kept_on_grey_levels},
    {"without a gradient it walks at random", without_a_gradient_it_walks_at_random},
    {"targets are reached and misclassified images stay",
     targets_are_reached_and_misclassified_images_stay},
    {"bytes do not depend on the batch", bytes_do_not_depend_on_the_batch},
    CU_TEST_INFO_NULL,
};
