/* The attack of Carlini and Wagner: closed forms, and its steps written out. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tests/attacks/support.h"

const char suite_name[] = "cw";

enum { N = 6 };

/* Images far from the border of the box, labels as they are classified. */
static struct toy_batch *inner_batch(const struct toy *toy, int64_t count)
{
    struct toy_batch *b = toy_batch(toy, count, 5);
    for (int64_t i = 0; i < count * toy->size; i++) {
        b->x[i] = 0.3F + 0.4F * b->x[i];
    }
    for (int64_t i = 0; i < count; i++) {
        b->label[i] = toy_class(toy, b->x + i * toy->size);
    }
    return b;
}

static void it_finds_the_nearest_point_of_a_linear_classifier(void)
{
    struct toy *toy = toy_new(&(struct toy_spec){.kind = TOY_LINEAR});
    struct toy_batch *b = inner_batch(toy, N);
    struct tdo_attack_use use;
    toy_use("cw", "steps=2000 lr=0.002", &use);
    toy_attack(toy, &use, b);
    for (int i = 0; i < N; i++) {
        const float *u = b->found + i * toy->size, *x = b->x + i * toy->size;
        const double length = tdo_threat_norms(u, x, toy->size).of[TDO_NORM_L2];
        const double want = toy_plane(toy, x, b->label[i]);
        CU_ASSERT_TRUE(length >= want * (1 - 1e-4) && length <= want * 1.01);
        CU_ASSERT_TRUE(toy_margin(toy, u, b->label[i]) > -1e-5);
        CU_ASSERT_EQUAL(b->target[i], -1);
    }
    toy_batch_free(&b);
    toy_free(&toy);
    toy_use_free();
}

/* The same, with each of the other classes as target: their minimum is what leaves the class. */
static void the_best_of_all_targets_is_the_nearest_point_too(void)
{
    struct toy *toy = toy_new(&(struct toy_spec){.kind = TOY_LINEAR, .classes = 3});
    struct toy_batch *b = inner_batch(toy, 2);
    struct tdo_attack_use use;
    toy_use("cw", "label=each steps=600", &use);
    toy_attack(toy, &use, b);
    for (int i = 0; i < 2; i++) {
        const float *u = b->found + i * toy->size, *x = b->x + i * toy->size;
        const double length = tdo_threat_norms(u, x, toy->size).of[TDO_NORM_L2];
        const double want = toy_plane(toy, x, b->label[i]);
        CU_ASSERT_TRUE(length >= want * (1 - 1e-4) && length <= want * 1.01);
        CU_ASSERT_TRUE(toy_margin(toy, u, b->target[i]) < 1e-5);
    }
    toy_batch_free(&b);
    toy_free(&toy);
    toy_use_free();
}

struct by_hand {
    double c, lr;
    int steps;
    int32_t label;
};

/* Steps of Adam on |u - x|^2 + c (z_label - max_other)^+ over u = (1 + tanh w)/2, in double. */
static void run_by_hand(const struct toy *toy, const struct by_hand *h, const float *x,
                        double *u)
{
    const int64_t P = toy->size, K = toy->spec.classes;
    double w[64], m[64] = {0}, v[64] = {0}, z[16], jacobian[16 * 64];
    for (int64_t p = 0; p < P; p++) {
        w[p] = atanh((2 * (double)x[p] - 1) * 0.999999);
        u[p] = (double)x[p];
    }
    for (int k = 0; k < h->steps; k++) {
        toy_logits(toy, 1, u, z);
        toy_jacobian(toy, 1, u, jacobian);
        int other = h->label == 0 ? 1 : 0;
        for (int j = 0; j < K; j++) {
            other = j != h->label && z[j] > z[other] ? j : other;
        }
        const double on = z[h->label] > z[other];
        for (int64_t p = 0; p < P; p++) {
            const double slope = (1 - tanh(w[p]) * tanh(w[p])) / 2;
            const double f = on * (jacobian[h->label * P + p] - jacobian[other * P + p]);
            const double g = (2 * (u[p] - (double)x[p]) + h->c * f) * slope;
            m[p] = 0.9 * m[p] + 0.1 * g;
            v[p] = 0.999 * v[p] + 0.001 * g * g;
            w[p] -= h->lr * (m[p] / (1 - pow(0.9, k + 1))) /
                    (sqrt(v[p] / (1 - pow(0.999, k + 1))) + 1e-8);
        }
        for (int64_t p = 0; p < P; p++) {
            u[p] = (1 + tanh(w[p])) / 2;
        }
    }
}

/* As RSE was attacked: one c, and the point where it ends. */
static void its_steps_are_those_of_adam_in_tanh_space(void)
{
    struct toy *toy = toy_new(&(struct toy_spec){.kind = TOY_SMOOTH});
    struct toy_batch *b = toy_batch(toy, N, 3);
    struct tdo_attack_use use;
    b->x[3] = 0;
    b->x[4] = 1;
    toy_use("cw", "search=0 c=0.7 steps=12 lr=0.02 keep=last abort_early=false", &use);
    toy_attack(toy, &use, b);
    for (int i = 0; i < N; i++) {
        double u[64], moved = 0;
        const struct by_hand h = {.c = 0.7, .lr = 0.02, .steps = 12, .label = b->label[i]};
        run_by_hand(toy, &h, b->x + i * toy->size, u);
        for (int64_t p = 0; p < toy->size; p++) {
            const int64_t at = i * toy->size + p;
            CU_ASSERT_TRUE(fabs((double)b->found[at] - u[p]) <= 2e-5);
            moved = fmax(moved, fabs(u[p] - (double)b->x[at]));
        }
        CU_ASSERT_TRUE(moved > 0.01);
        CU_ASSERT_EQUAL(b->gradients[i], 12);
    }
    toy_batch_free(&b);
    toy_free(&toy);
    toy_use_free();
}

/* One run with this c for one sample: did it come, and how far is it? */
static bool run_with(const struct toy *toy, double c, struct toy_batch *one, double *length)
{
    char options[128];
    struct tdo_attack_use use;
    snprintf(options, sizeof options, "search=0 c=%.17g steps=60 lr=0.05", c);
    toy_use("cw", options, &use);
    toy_attack(toy, &use, one);
    *length = tdo_threat_norms(one->found, one->x, toy->size).of[TDO_NORM_L2];
    return one->s.done[0];
}

/* Tenfold until it comes through, then halves of what is left; with ten runs the last takes the
 * smallest c that did. */
static void it_searches_c_as_published(void)
{
    struct toy *toy = toy_new(&(struct toy_spec){.kind = TOY_SMOOTH});
    struct toy_batch *b = toy_batch(toy, 2, 3);
    for (int runs = 4; runs <= 10; runs += 6) {
        char options[128];
        struct tdo_attack_use use;
        snprintf(options, sizeof options, "search=%d c=0.003 steps=60 lr=0.05", runs);
        toy_use("cw", options, &use);
        toy_attack(toy, &use, b);
        for (int i = 0; i < 2; i++) {
            struct toy_batch *one = toy_part(toy, b, i, 1);
            double c = 0.003, low = 0, high = 1e10, best = HUGE_VAL, length;
            float *found = one->found, keep[64] = {0};
            int failed = 0;
            for (int k = 0; k < runs; k++) {
                const bool came = run_with(toy, runs >= 10 && k == 9 ? high : c, one, &length);
                if (came && length < best) {
                    best = length;
                    memcpy(keep, found, (size_t)toy->size * sizeof *keep);
                }
                failed += !came;
                high = came && c < high ? c : high;
                low = !came && c > low ? c : low;
                c = high < 1e9 ? (low + high) / 2 : came ? c : 10 * c;
            }
            CU_ASSERT_TRUE(failed > 0 && failed < runs);
            CU_ASSERT_EQUAL(memcmp(keep, b->found + i * toy->size, (size_t)toy->size * 4), 0);
            toy_batch_free(&one);
        }
        toy_use_free();
    }
    toy_batch_free(&b);
    toy_free(&toy);
}

static void confidence_is_kept_and_targets_are_reached(void)
{
    struct toy *toy = toy_new(&(struct toy_spec){.kind = TOY_LINEAR});
    struct toy_batch *b = toy_batch(toy, N, 3);
    struct tdo_attack_use use;
    toy_use("cw", "search=7 c=0.1 steps=200 lr=0.05 confidence=0.5 label=random", &use);
    toy_attack(toy, &use, b);
    int reached = 0;
    for (int i = 0; i < N; i++) {
        const double margin = toy_margin(toy, b->found + i * toy->size, b->target[i]);
        CU_ASSERT_TRUE(b->target[i] >= 0 && b->target[i] != b->label[i]);
        CU_ASSERT_TRUE(!b->done[i] || margin <= -0.5 + 1e-4);
        reached += b->done[i];
    }
    CU_ASSERT_TRUE(reached >= N / 2);
    toy_batch_free(&b);
    toy_free(&toy);
    toy_use_free();
}

static void a_misclassified_image_stays_as_it_is(void)
{
    struct toy *toy = toy_new(&(struct toy_spec){.kind = TOY_SMOOTH});
    struct toy_batch *b = toy_batch(toy, 2, 3);
    struct tdo_attack_use use;
    b->label[1] = (b->label[1] + 1) % toy->spec.classes;
    toy_use("cw", "search=5 steps=100", &use);
    toy_attack(toy, &use, b);
    CU_ASSERT_EQUAL(memcmp(b->found + toy->size, b->x + toy->size, (size_t)toy->size * 4), 0);
    CU_ASSERT_EQUAL(b->gradients[1], 1);
    CU_ASSERT_TRUE(b->gradients[0] > 1);
    toy_batch_free(&b);
    toy_free(&toy);
    toy_use_free();
}

/* Runs end early for one sample and not for another, and random targets have keys by step. */
static void bytes_do_not_depend_on_the_batch(void)
{
    struct toy *toy = toy_new(&(struct toy_spec){.kind = TOY_SMOOTH, .sigma = 0.1});
    struct toy_batch *b = toy_batch(toy, 5, 6);
    struct tdo_attack_use use;
    b->label[2] = (b->label[2] + 1) % toy->spec.classes;
    toy_use("cw", "search=4 steps=100 lr=0.3 draws=2", &use);
    toy_attack(toy, &use, b);
    CU_ASSERT_TRUE(b->gradients[0] != b->gradients[1] || b->gradients[0] != b->gradients[3]);
    CU_ASSERT_TRUE(toy_same_in_batches(toy, &use, b, 1));
    CU_ASSERT_TRUE(toy_same_in_batches(toy, &use, b, 2));
    toy_batch_free(&b);
    toy_free(&toy);
    toy_use_free();
}

static void without_a_box_it_is_refused(void)
{
    struct toy *toy = toy_new(&(struct toy_spec){.kind = TOY_SMOOTH});
    struct tdo_attack_use use;
    toy_use("cw", "box=none", &use);
    tdo_target *t = toy_target(toy, 1, &use);
    CU_ASSERT_EQUAL(tdo_attack_check(&use, t), TDO_ERR_CONFIG);
    CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, "attack.0.box = none"));
    tdo_target_free(&t);
    toy_use("cw", "search=100 steps=1000000", &use);
    t = toy_target(toy, 1, &use);
    CU_ASSERT_EQUAL(tdo_attack_check(&use, t), TDO_ERR_CONFIG);
    tdo_target_free(&t);
    toy_free(&toy);
    toy_use_free();
}

CU_TestInfo suite_tests[] = {
    {"it finds the nearest point of a linear classifier, within one percent",
     it_finds_the_nearest_point_of_a_linear_classifier},
    {"the best of all targets is the nearest point too",
     the_best_of_all_targets_is_the_nearest_point_too},
    {"its steps are those of Adam in tanh space, in double",
     its_steps_are_those_of_adam_in_tanh_space},
    {"it searches c as published", it_searches_c_as_published},
    {"confidence is kept and targets are reached", confidence_is_kept_and_targets_are_reached},
    {"a misclassified image stays as it is", a_misclassified_image_stays_as_it_is},
    {"bytes do not depend on the batch", bytes_do_not_depend_on_the_batch},
    {"without a box, or with more steps than keys, it is refused", without_a_box_it_is_refused},
    CU_TEST_INFO_NULL,
};
