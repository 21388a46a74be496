/* DeepFool against closed forms on a linear classifier, and against the published loops written
 * out in double. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/attacks/support.h"

const char suite_name[] = "deepfool";

enum { N = 6, PIXELS = 36, K = 5 };

static double norm_of(const struct toy_batch *b, int i, enum tdo_norm norm)
{
    return tdo_threat_norms(b->found + i * PIXELS, b->x + i * PIXELS, PIXELS).of[norm];
}

/* Distance of an image from the nearest hyperplane between its class and another: f / |w|_q. */
static double nearest(const struct toy *toy, const float *image, enum tdo_norm norm)
{
    const float *w = toy_values(toy, "out.weight"), *bias = toy_values(toy, "out.bias");
    const int own = toy_class(toy, image);
    double least = HUGE_VAL;
    for (int k = 0; k < K; k++) {
        double f = (double)bias[own] - (double)bias[k], one = 0, two = 0;
        for (int p = 0; p < PIXELS; p++) {
            const double d = (double)w[own * PIXELS + p] - (double)w[k * PIXELS + p];
            f += d * (double)image[p];
            one += fabs(d);
            two += d * d;
        }
        least = k == own ? least : fmin(least, f / (norm == TDO_NORM_L2 ? sqrt(two) : one));
    }
    return least;
}

static void a_linear_classifier_is_crossed_in_one_exact_step(void)
{
    struct toy *toy = toy_new(&(struct toy_spec){.kind = TOY_LINEAR});
    for (int k = 0; k < 4; k++) {
        const enum tdo_norm norm = k % 2 ? TDO_NORM_LINF : TDO_NORM_L2;
        struct toy_batch *b = toy_batch(toy, N, 3);
        struct tdo_attack_use use;
        char options[128];
        snprintf(options, sizeof options, "norm=%s form=%s extra=0", k % 2 ? "linf" : "l2",
                 k / 2 ? "python" : "matlab");
        toy_use("deepfool", options, &use);
        toy_attack(toy, &use, b);
        for (int i = 0; i < N; i++) {
            const double want = 1.02 * nearest(toy, b->x + i * PIXELS, norm);
            CU_ASSERT_TRUE(fabs(norm_of(b, i, norm) - want) <= 1e-5 * want);
            CU_ASSERT_NOT_EQUAL(toy_class(toy, b->found + i * PIXELS), b->label[i]);
            CU_ASSERT_EQUAL(b->gradients[i], K); /* one step */
            CU_ASSERT_EQUAL(b->queries[i], 3);
        }
        toy_batch_free(&b);
    }
    toy_use_free();
    toy_free(&toy);
}

/* ---- the published loops ------------------------------------------------------------------------- */

struct loop {
    bool python;
    enum tdo_norm norm;
    int candidates, steps;
    double small;
};

static int argmax(const double *z)
{
    int best = 0;
    for (int k = 1; k < K; k++) {
        best = z[k] > z[best] ? k : best;
    }
    return best;
}

/* Is class k among the n largest of z? */
static bool ranks(const double *z, int k, int n)
{
    int before = 0;
    for (int j = 0; j < K; j++) {
        before += z[j] > z[k];
    }
    return before < n;
}

/* The nearest linearised boundary from `at`: r += that. to < 0: any candidate; else that class. */
static void oracle_step(const struct toy *toy, const struct loop *o, const double *clean,
                        const double *at, int own, int to, double *r)
{
    double z[K], jacobian[K * PIXELS], step[PIXELS] = {0}, least = HUGE_VAL;
    toy_logits(toy, 1, at, z);
    toy_jacobian(toy, 1, at, jacobian);
    for (int k = 0; k < K; k++) {
        double w[PIXELS], length = 0;
        if (k == own || (to < 0 ? !ranks(clean, k, o->candidates) : k != to)) {
            continue;
        }
        for (int p = 0; p < PIXELS; p++) {
            w[p] = jacobian[k * PIXELS + p] - jacobian[own * PIXELS + p] + o->small;
            length += o->norm == TDO_NORM_L2 ? w[p] * w[p] : fabs(w[p]);
        }
        length = o->norm == TDO_NORM_L2 ? sqrt(length) : length;
        const double far = fabs(z[k] - z[own]) / length;
        if (far < least) {
            least = far;
            for (int p = 0; p < PIXELS; p++) {
                step[p] = (far + (o->python ? 1e-4 : 0)) *
                          (o->norm == TDO_NORM_L2 ? w[p] / length : copysign(1, w[p]));
            }
        }
    }
    for (int p = 0; p < PIXELS; p++) {
        r[p] += step[p];
    }
}

/* `label` >= 0: walk to it. Returns the steps that were taken. */
static int oracle(const struct toy *toy, const struct loop *o, const float *image, int label,
                  double *found)
{
    double x[PIXELS], at[PIXELS], r[PIXELS] = {0}, clean[K], z[K];
    for (int p = 0; p < PIXELS; p++) {
        x[p] = at[p] = found[p] = (double)image[p];
    }
    toy_logits(toy, 1, x, clean);
    int own = argmax(clean), steps = 0;
    for (; steps < o->steps; steps++) {
        toy_logits(toy, 1, found, z);
        if (label < 0 ? argmax(z) != own : argmax(z) == label) {
            break;
        }
        own = label < 0 ? own : argmax(z);
        oracle_step(toy, o, clean, at, own, label, r);
        for (int p = 0; p < PIXELS; p++) {
            found[p] = x[p] + 1.02 * r[p];
            at[p] = o->python ? found[p] : x[p] + r[p];
        }
    }
    return steps;
}

static void compare(const struct loop *o, const char *options, bool correct)
{
    struct toy *toy = toy_new(&(struct toy_spec){.kind = TOY_SMOOTH});
    float *hidden = toy_values(toy, "hidden.weight");
    int most = 0;
    for (int p = 0; p < 12 * PIXELS; p++) {
        hidden[p] *= 6; /* curved: more than one step */
    }
    struct toy_batch *b = toy_batch(toy, N, 5);
    struct tdo_attack_use use;
    for (int i = 0; i < N && correct; i++) { /* all but the first are misclassified */
        b->label[i] = (b->label[i] + i) % K;
    }
    toy_use("deepfool", options, &use);
    toy_attack(toy, &use, b);
    for (int i = 0; i < N; i++) {
        const bool walks = correct && toy_class(toy, b->x + i * PIXELS) != b->label[i];
        double found[PIXELS];
        const int steps = oracle(toy, o, b->x + i * PIXELS, walks ? b->label[i] : -1, found);
        for (int p = 0; p < PIXELS; p++) {
            CU_ASSERT_TRUE(fabs((double)b->found[i * PIXELS + p] - found[p]) <= 1e-4);
        }
        CU_ASSERT_EQUAL(b->gradients[i], (uint64_t)(steps * o->candidates));
        CU_ASSERT_EQUAL(b->target[i], walks ? b->label[i] : -1);
        most = steps > most ? steps : most;
    }
    CU_ASSERT_TRUE(most > 1); /* else the forms are the same */
    toy_batch_free(&b);
    toy_use_free();
    toy_free(&toy);
}

static void the_python_form_is_the_published_loop(void)
{
    compare(&(struct loop){true, TDO_NORM_L2, K, 50, 0}, "form=python", false);
    compare(&(struct loop){true, TDO_NORM_LINF, K, 50, 0}, "form=python norm=linf", false);
    compare(&(struct loop){true, TDO_NORM_L2, 3, 50, 0}, "form=python candidates=3", false);
}

static void the_matlab_form_is_the_published_loop(void)
{
    compare(&(struct loop){false, TDO_NORM_L2, K, 50, 0}, "form=matlab candidates=0", false);
    compare(&(struct loop){false, TDO_NORM_LINF, K, 50, 0}, "form=matlab norm=linf", false);
    compare(&(struct loop){false, TDO_NORM_L2, K, 2, 0.01}, "form=matlab steps=2 small=0.01",
            false);
}

static void misclassified_images_walk_to_their_label(void)
{
    compare(&(struct loop){false, TDO_NORM_L2, K, 5, 5e-6},
            "form=matlab steps=5 small=5e-6 correct=true", true);
    compare(&(struct loop){true, TDO_NORM_L2, K, 50, 0}, "form=python correct=true", true);
}

/* ---- options --------------------------------------------------------------------------------------- */

static void only_the_true_label_of_what_is_classified_well_is_left(void)
{
    struct toy *toy = toy_new(&(struct toy_spec){.kind = TOY_MLP});
    for (int truth = 0; truth < 2; truth++) {
        struct toy_batch *b = toy_batch(toy, N, 3);
        struct tdo_attack_use use;
        b->label[2] = (b->label[2] + 1) % K;
        toy_use("deepfool", truth ? "label=true" : "", &use);
        toy_attack(toy, &use, b);
        for (int i = 0; i < N; i++) {
            CU_ASSERT_EQUAL(norm_of(b, i, TDO_NORM_L0) == 0, truth && i == 2);
            CU_ASSERT_TRUE((truth && i == 2) || toy_class(toy, b->found + i * PIXELS) !=
                                                    toy_class(toy, b->x + i * PIXELS));
        }
        toy_batch_free(&b);
    }
    toy_use_free();
    toy_free(&toy);
}

static void a_box_is_kept_if_one_is_asked_for(void)
{
    struct toy *toy = toy_new(&(struct toy_spec){.kind = TOY_CONV});
    struct toy_batch *b = toy_batch(toy, N, 3), *free = toy_batch(toy, N, 3);
    struct tdo_attack_use use, open;
    bool left = false;
    for (int p = 0; p < N * PIXELS; p++) { /* near the border */
        b->x[p] = free->x[p] = p % 3 ? 0.005F : 0.995F;
    }
    toy_use("deepfool", "box=pixel", &use);
    toy_use("deepfool", "", &open);
    toy_attack(toy, &use, b);
    toy_attack(toy, &open, free);
    for (int p = 0; p < N * PIXELS; p++) {
        CU_ASSERT_TRUE(b->found[p] >= 0 && b->found[p] <= 1);
        left = left || free->found[p] < 0 || free->found[p] > 1;
    }
    CU_ASSERT_TRUE(left);
    toy_batch_free(&b);
    toy_batch_free(&free);
    toy_use_free();
    toy_free(&toy);
}

static void a_flat_network_leaves_the_image_where_it_is(void)
{
    struct toy *toy = toy_new(&(struct toy_spec){.kind = TOY_LINEAR});
    struct toy_batch *b = toy_batch(toy, N, 3);
    struct tdo_attack_use use;
    float *w = toy_values(toy, "out.weight");
    for (int p = 0; p < K * PIXELS; p++) {
        w[p] = 1;
    }
    toy_use("deepfool", "", &use);
    toy_attack(toy, &use, b);
    CU_ASSERT_EQUAL(memcmp(b->found, b->x, sizeof(float) * N * PIXELS), 0);
    CU_ASSERT_EQUAL(b->gradients[0], K);
    toy_batch_free(&b);
    toy_use_free();
    toy_free(&toy);
}

static void what_becomes_of_an_image_does_not_depend_on_the_others(void)
{
    struct toy *toy = toy_new(&(struct toy_spec){.kind = TOY_CONV});
    struct toy_batch *b = toy_batch(toy, N, 3);
    struct tdo_attack_use use;
    toy_use("deepfool", "", &use);
    toy_attack(toy, &use, b);
    CU_ASSERT_TRUE(toy_same_in_batches(toy, &use, b, 1));
    CU_ASSERT_TRUE(toy_same_in_batches(toy, &use, b, 4));
    toy_batch_free(&b);
    toy_use_free();
    toy_free(&toy);
}

static void one_candidate_is_refused(void)
{
    struct toy *toy = toy_new(&(struct toy_spec){.kind = TOY_LINEAR});
    struct tdo_attack_use use;
    toy_use("deepfool", "candidates=1", &use);
    tdo_target *t = toy_target(toy, 1, &use);
    CU_ASSERT_EQUAL(tdo_attack_check(&use, t), TDO_ERR_CONFIG);
    CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, "attack.0.candidates"));
    tdo_target_free(&t);
    toy_use_free();
    toy_free(&toy);
}

CU_TestInfo suite_tests[] = {
    {"a linear classifier is crossed in one exact step",
     a_linear_classifier_is_crossed_in_one_exact_step},
    {"the python form is the published loop", the_python_form_is_the_published_loop},
    {"the matlab form is the published loop", the_matlab_form_is_the_published_loop},
    {"misclassified images walk to their label", misclassified_images_walk_to_their_label},
    {"only the true label of what is classified well is left",
     only_the_true_label_of_what_is_classified_well_is_left},
    {"a box is kept if one is asked for", a_box_is_kept_if_one_is_asked_for},
    {"a flat network leaves the image where it is",
     a_flat_network_leaves_the_image_where_it_is},
    {"what becomes of an image does not depend on the others",
     what_becomes_of_an_image_does_not_depend_on_the_others},
    {"one candidate is refused", one_candidate_is_refused},
    CU_TEST_INFO_NULL,
};
