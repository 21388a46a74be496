/* The saliency map attack: its search against all pairs, and the whole against a plain loop in
 * double. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "attacks/saliency.h"
#include "tests/attacks/support.h"

const char suite_name[] = "jsma";

enum { N = 6, PIXELS = 36, K = 5, MOST = 300 };

/* ---- the search -------------------------------------------------------------------------------- */

/* All pairs, first of the best. */
static bool all_pairs(int n, const int32_t *index, const double *a, const double *c,
                      int32_t pair[2])
{
    double best = 0;
    for (int i = 0; i < n; i++) {
        for (int j = i + 1; j < n; j++) {
            const double up = a[i] + a[j], down = c[i] + c[j];
            if (up > 0 && down > 0 && up * down > best) {
                best = up * down;
                pair[0] = index[i];
                pair[1] = index[j];
            }
        }
    }
    return best > 0;
}

/* Numbers of some law: smooth, with many ties, or against each other. */
static void fill(uint32_t seed, int n, int32_t *index, double *a, double *c)
{
    const double low = seed % 7 == 0 ? 2 : 1; /* none positive, at times */
    for (int i = 0; i < n; i++) {
        index[i] = 3 * i + 1;
        a[i] = 2 * toy_number(seed, i) - low;
        c[i] = 2 * toy_number(seed, 5000 + i) - 1;
        if (seed % 3 == 1) {
            a[i] = round(2 * a[i]);
            c[i] = round(2 * c[i]);
        } else if (seed % 3 == 2) {
            c[i] = -a[i] + 0.01 * c[i];
        }
    }
}

static void the_search_finds_the_best_of_all_pairs(void)
{
    int32_t index[MOST], want[2], got[2];
    double a[MOST], c[MOST];
    int found = 0;
    for (uint32_t seed = 0; seed < 600; seed++) {
        const int n = seed < 60 ? (int)seed % 6 : (int)(seed * 37 % MOST);
        fill(seed, n, index, a, c);
        const bool any = all_pairs(n, index, a, c, want);
        struct tdo_saliency s = {n, index, a, c};
        CU_ASSERT_EQUAL(tdo_saliency_pair(&s, got), any);
        CU_ASSERT_TRUE(!any || (got[0] == want[0] && got[1] == want[1]));
        found += any;
    }
    CU_ASSERT_TRUE(found > 300 && found < 600);
}

static void the_simplified_search_takes_the_two_largest(void)
{
    int32_t index[5] = {2, 3, 5, 7, 11}, pair[2];
    double a[5] = {-1, 4, -2, 4, 3};
    CU_ASSERT_TRUE(tdo_saliency_top(&(struct tdo_saliency){5, index, a, a}, pair));
    CU_ASSERT_TRUE(pair[0] == 3 && pair[1] == 7);
    CU_ASSERT_TRUE(tdo_saliency_top(&(struct tdo_saliency){3, index, a, a}, pair));
    CU_ASSERT_TRUE(pair[0] == 3 && pair[1] == 2);
    CU_ASSERT_FALSE(tdo_saliency_top(&(struct tdo_saliency){1, index, a, a}, pair));
    CU_ASSERT_FALSE(tdo_saliency_top(&(struct tdo_saliency){0, index, a, a}, pair));
}

/* ---- the attack -------------------------------------------------------------------------------- */

struct loop {
    double theta, gamma;
    bool pairs, probability;
};

/* The effects of raising each pixel on class t, and on the others. */
static void effects(const struct toy *toy, const double *x, int t, bool probability, double *up,
                    double *others)
{
    double z[K], jacobian[K * PIXELS], p[K], sum = 0;
    toy_logits(toy, 1, x, z);
    toy_jacobian(toy, 1, x, jacobian);
    for (int k = 0; k < K; k++) {
        sum += exp(z[k]);
    }
    for (int q = 0; q < PIXELS; q++) {
        double mean = 0;
        up[q] = others[q] = 0;
        for (int k = 0; k < K; k++) {
            p[k] = exp(z[k]) / sum;
            mean += p[k] * jacobian[k * PIXELS + q];
        }
        for (int k = 0; k < K; k++) {
            const double d = probability ? p[k] * (jacobian[k * PIXELS + q] - mean)
                                         : jacobian[k * PIXELS + q];
            *(k == t ? &up[q] : &others[q]) += d;
        }
    }
}

/* Chooses a pair among the allowed; false if there is none. */
static bool choose(const struct loop *o, const bool *allowed, const double *up,
                   const double *others, int pair[2])
{
    const double sign = o->theta > 0 ? 1 : -1;
    double best = o->pairs ? 0 : -HUGE_VAL;
    bool any = false;
    for (int p = 0; p < PIXELS; p++) {
        for (int q = p + 1; q < PIXELS; q++) {
            const double a = sign * (up[p] + up[q]), b = sign * (others[p] + others[q]);
            const bool fits = allowed[p] && allowed[q] && (!o->pairs || (a > 0 && b < 0));
            const double value =
                o->pairs ? -a * b : a; /* the two largest have the largest sum */
            if (fits && value > best) {
                best = value;
                pair[0] = p;
                pair[1] = q;
                any = true;
            }
        }
    }
    return any;
}

static void oracle(const struct toy *toy, const struct loop *o, const float *image, int t,
                   double *x)
{
    bool changed[PIXELS] = {false}, allowed[PIXELS];
    int changes = 0, pair[2];
    double up[PIXELS], others[PIXELS], z[K];
    for (int p = 0; p < PIXELS; p++) {
        x[p] = (double)image[p];
    }
    for (;;) {
        int best = 0;
        toy_logits(toy, 1, x, z);
        for (int k = 1; k < K; k++) {
            best = z[k] > z[best] ? k : best;
        }
        for (int p = 0; p < PIXELS; p++) {
            allowed[p] = (o->theta > 0 ? x[p] < 1 - 0.01 : x[p] > 0.01) &&
                         (changed[p] || changes + 2 <= o->gamma * PIXELS);
        }
        effects(toy, x, t, o->probability, up, others);
        if (best == t || !choose(o, allowed, up, others, pair)) {
            return;
        }
        for (int k = 0; k < 2; k++) {
            x[pair[k]] = fmax(0, fmin(1, (double)((float)x[pair[k]] + (float)o->theta)));
            changes += !changed[pair[k]];
            changed[pair[k]] = true;
        }
    }
}

static void compare(const struct loop *o, const char *options)
{
    struct toy *toy = toy_new(&(struct toy_spec){.kind = TOY_SMOOTH});
    struct toy_batch *b = toy_batch(toy, N, 5);
    struct tdo_attack_use use;
    int moved = 0;
    toy_use("jsma", options, &use);
    toy_attack(toy, &use, b);
    for (int i = 0; i < N; i++) {
        double x[PIXELS];
        CU_ASSERT_TRUE(b->target[i] >= 0 && b->target[i] != b->label[i]);
        oracle(toy, o, b->x + i * PIXELS, b->target[i], x);
        for (int p = 0; p < PIXELS; p++) {
            const float u = b->found[i * PIXELS + p];
            CU_ASSERT_TRUE(fabs((double)u - x[p]) <= 1e-6);
            CU_ASSERT_TRUE(u >= 0 && u <= 1);
        }
        const double changes =
            tdo_threat_norms(b->found + i * PIXELS, b->x + i * PIXELS, PIXELS).of[TDO_NORM_L0];
        CU_ASSERT_TRUE(changes <= o->gamma * PIXELS);
        moved += changes > 4;
    }
    CU_ASSERT_TRUE(moved > 0);
    toy_batch_free(&b);
    toy_use_free();
    toy_free(&toy);
}

static void the_attack_is_the_plain_loop_over_all_pairs(void)
{
    compare(&(struct loop){0.1, 1, true, false}, "");
    compare(&(struct loop){1, 1, true, false}, "theta=1 label=least");
    compare(&(struct loop){-0.3, 1, true, false}, "theta=-0.3");
    compare(&(struct loop){0.1, 0.25, true, false}, "gamma=0.25 label=least");
}

static void the_simplified_form_is_its_plain_loop(void)
{
    compare(&(struct loop){0.1, 1, false, false}, "form=simplified");
    compare(&(struct loop){-1, 0.5, false, false}, "form=simplified theta=-1 gamma=0.5");
}

/* Of probabilities the best pair is that of the two largest, so both forms take the same way, as
 * long as a pair helps. */
static void the_saliency_of_probabilities_is_the_plain_loop_too(void)
{
    compare(&(struct loop){0.1, 1, true, true}, "saliency=probability");
    compare(&(struct loop){1, 0.5, false, true},
            "saliency=probability form=simplified theta=1 gamma=0.5");
}

static void one_gradient_is_enough_for_the_simplified_form(void)
{
    struct toy *toy = toy_new(&(struct toy_spec){.kind = TOY_CONV});
    for (int k = 0; k < 3; k++) {
        static const char *const options[] = {"form=simplified", "form=pairs",
                                              "form=simplified saliency=probability"};
        struct toy_batch *b = toy_batch(toy, 2, 5);
        struct tdo_attack_use use;
        toy_use("jsma", options[k], &use);
        toy_attack(toy, &use, b);
        CU_ASSERT_TRUE(b->queries[0] > 1);
        CU_ASSERT_EQUAL(b->gradients[0], b->queries[0] * (k == 0 ? 1 : K));
        toy_batch_free(&b);
    }
    toy_use_free();
    toy_free(&toy);
}

/* Over several classes the one that came with the fewest changed pixels is kept. */
static void of_each_class_the_cheapest_is_kept(void)
{
    struct toy *toy = toy_new(&(struct toy_spec){.kind = TOY_MLP});
    struct toy_batch *each = toy_batch(toy, N, 5), *first = toy_batch(toy, N, 5);
    struct toy_batch *least = toy_batch(toy, N, 5);
    struct tdo_attack_use use;
    toy_use("jsma", "label=each targets=4 theta=0.2", &use);
    toy_attack(toy, &use, each);
    toy_use("jsma", "label=each targets=1 theta=0.2", &use);
    toy_attack(toy, &use, first);
    toy_use("jsma", "label=least theta=0.2", &use);
    toy_attack(toy, &use, least);
    for (int i = 0; i < N; i++) {
        double changes[3];
        const struct toy_batch *all[3] = {each, first, least};
        for (int k = 0; k < 3; k++) {
            const float *u = all[k]->found + i * PIXELS;
            const bool came = toy_class(toy, u) == all[k]->target[i];
            changes[k] = came
                             ? tdo_threat_norms(u, each->x + i * PIXELS, PIXELS).of[TDO_NORM_L0]
                             : HUGE_VAL;
        }
        CU_ASSERT_TRUE(changes[0] <= changes[1] && changes[0] <= changes[2]);
        CU_ASSERT_TRUE(changes[0] < HUGE_VAL);
    }
    toy_batch_free(&each);
    toy_batch_free(&first);
    toy_batch_free(&least);
    toy_use_free();
    toy_free(&toy);
}

static void what_becomes_of_an_image_does_not_depend_on_the_others(void)
{
    struct toy *toy = toy_new(&(struct toy_spec){.kind = TOY_CONV});
    struct toy_batch *b = toy_batch(toy, N, 3);
    struct tdo_attack_use use;
    toy_use("jsma", "", &use);
    toy_attack(toy, &use, b);
    CU_ASSERT_TRUE(toy_same_in_batches(toy, &use, b, 1));
    CU_ASSERT_TRUE(toy_same_in_batches(toy, &use, b, 4));
    toy_batch_free(&b);
    toy_use_free();
    toy_free(&toy);
}

static void options_without_sense_are_refused_in_words(void)
{
    static const char *const wrong[][2] = {{"label=true", "attack.0.label"},
                                           {"label=predicted", "attack.0.label"},
                                           {"box=none", "attack.0.box"},
                                           {"theta=0", "attack.0.theta"}};
    struct toy *toy = toy_new(&(struct toy_spec){.kind = TOY_LINEAR});
    for (int k = 0; k < 4; k++) {
        struct tdo_attack_use use;
        toy_use("jsma", wrong[k][0], &use);
        tdo_target *t = toy_target(toy, 1, &use);
        CU_ASSERT_EQUAL(tdo_attack_check(&use, t), TDO_ERR_CONFIG);
        CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, wrong[k][1]));
        tdo_target_free(&t);
    }
    toy_use_free();
    toy_free(&toy);
}

CU_TestInfo suite_tests[] = {
    {"the search finds the best of all pairs", the_search_finds_the_best_of_all_pairs},
    {"the simplified search takes the two largest",
     the_simplified_search_takes_the_two_largest},
    {"the attack is the plain loop over all pairs",
     the_attack_is_the_plain_loop_over_all_pairs},
    {"the simplified form is its plain loop", the_simplified_form_is_its_plain_loop},
    {"the saliency of probabilities is the plain loop too",
     the_saliency_of_probabilities_is_the_plain_loop_too},
    {"one gradient is enough for the simplified form",
     one_gradient_is_enough_for_the_simplified_form},
    {"of each class the cheapest is kept", of_each_class_the_cheapest_is_kept},
    {"what becomes of an image does not depend on the others",
     what_becomes_of_an_image_does_not_depend_on_the_others},
    {"options without sense are refused in words", options_without_sense_are_refused_in_words},
    CU_TEST_INFO_NULL,
};
