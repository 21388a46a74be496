/* NAttack: its step written out, and what it does with scores alone. */
#include <math.h>
#include <string.h>

#include "tests/attacks/support.h"

const char suite_name[] = "nattack";

enum { N = 4 };

static const char small[] = "eps=0.1 steps=30 population=40 lr=0.1";

/* z_label - max_other of sample i at u, its k-th question; from a target of one sample. */
static double lead_at(tdo_target *t, struct toy_batch *b, int64_t i, int k, const float *u)
{
    struct tdo_samples s = {.count = 1,
                            .x = u,
                            .label = b->label + i,
                            .id = b->id + i,
                            .aim = b->label + i,
                            .done = &(bool){false},
                            .queries = &(uint64_t){0},
                            .gradients = &(uint64_t){0},
                            .question = (uint32_t)k};
    struct tdo_answer answer;
    ASSERT_OK_FATAL(tdo_target_logits(t, &s, u, &answer));
    return -tdo_target_margin(answer.logits, tdo_target_classes(t), b->label[i], false);
}

/* The point of w [P], in the L-inf ball. */
static void place(const float *x, const double *w, int64_t P, double eps, float *u)
{
    for (int64_t p = 0; p < P; p++) {
        const double v = (1 + tanh(w[p])) / 2;
        u[p] = (float)fmin(fmax(v, (double)x[p] - eps), (double)x[p] + eps);
    }
}

/* One step with four members: standardised rewards times directions. */
static void step_by_hand(const struct tdo_attack_use *use, tdo_target *t, struct toy_batch *b,
                         int i, float *u)
{
    enum { M = 4 };
    const int64_t P = tdo_target_size(t);
    const float *x = b->x + i * P;
    float start[64], e[M][64];
    double mu[64], w[64], r[M], mean = 0, variance = 0;
    tdo_attack_normals(use, 1, b->id[i], 0, P, start);
    for (int64_t p = 0; p < P; p++) {
        mu[p] = atanh((2 * (double)x[p] - 1) * 0.999999) + 0.001 * (double)start[p];
    }
    for (int j = 0; j < M; j++) {
        tdo_attack_normals(use, 0, b->id[i], (uint32_t)j, P, e[j]);
        for (int64_t p = 0; p < P; p++) {
            w[p] = mu[p] + 0.1 * (double)e[j][p];
        }
        place(x, w, P, 0.05, u);
        r[j] = -0.5 * fmax(0, lead_at(t, b, i, 1 + j, u)); /* question 0 is about mu */
        mean += r[j] / M;
    }
    for (int j = 0; j < M; j++) {
        variance += (r[j] - mean) * (r[j] - mean) / M;
    }
    for (int64_t p = 0; p < P; p++) {
        double sum = 0;
        for (int j = 0; j < M; j++) {
            sum += (r[j] - mean) / (sqrt(variance) + 1e-7) * (double)e[j][p];
        }
        mu[p] += 0.02 / (M * 0.1) * sum;
    }
    place(x, mu, P, 0.05, u);
}

/* Also over a random target: each member has noise of its own. */
static void its_step_is_that_of_the_paper(void)
{
    for (int noisy = 0; noisy < 2; noisy++) {
        struct toy *toy =
            toy_new(&(struct toy_spec){.kind = TOY_SMOOTH, .sigma = noisy ? 0.1 : 0});
        struct toy_batch *b = toy_batch(toy, N, 3);
        struct tdo_attack_use use;
        int compared = 0;
        toy_use("nattack", "eps=0.05 steps=1 population=4", &use);
        toy_attack(toy, &use, b);
        tdo_target *t = toy_target(toy, 1, &use);
        for (int i = 0; i < N; i++) {
            float u[64];
            step_by_hand(&use, t, b, i, u);
            for (int64_t p = 0; p < toy->size && b->queries[i] == 6; p++) {
                const double found = (double)b->found[i * toy->size + p];
                CU_ASSERT_TRUE(fabs((double)u[p] - found) <= 2e-6);
            }
            compared += b->queries[i] == 6;
        }
        CU_ASSERT_TRUE(compared >= 2);
        tdo_target_free(&t);
        toy_batch_free(&b);
        toy_free(&toy);
        toy_use_free();
    }
}

/* In an L-inf ball around a linear classifier the best is eps |w_other - w_label|_1. */
static void it_comes_near_the_best_of_a_linear_classifier(void)
{
    struct toy *toy = toy_new(&(struct toy_spec){.kind = TOY_LINEAR, .classes = 2});
    struct toy_batch *b = toy_batch(toy, N, 3);
    struct tdo_attack_use use;
    float *bias = toy_values(toy, "out.bias");
    bias[0] += 50; /* too far to change the class */
    for (int64_t i = 0; i < N * toy->size; i++) {
        b->x[i] = 0.2F + 0.6F * b->x[i];
    }
    for (int i = 0; i < N; i++) {
        b->label[i] = 0;
    }
    toy_use("nattack", "eps=0.05 steps=60 population=60 lr=0.1", &use);
    toy_attack(toy, &use, b);
    const float *w = toy_values(toy, "out.weight");
    double most = 0;
    for (int64_t p = 0; p < toy->size; p++) {
        most += 0.05 * fabs((double)w[toy->size + p] - (double)w[p]);
    }
    for (int i = 0; i < N; i++) {
        const double gain = toy_margin(toy, b->found + i * toy->size, 0) -
                            toy_margin(toy, b->x + i * toy->size, 0);
        CU_ASSERT_TRUE(gain >= 0.8 * most && gain <= most * (1 + 1e-4));
        CU_ASSERT_EQUAL(b->gradients[i], 0);
        CU_ASSERT_EQUAL(b->queries[i], 60 * 60 + 6 + 1);
    }
    toy_batch_free(&b);
    toy_free(&toy);
    toy_use_free();
}

static void it_stays_in_ball_and_box_and_stops_when_it_has_come_through(void)
{
    static const char *const norms[] = {"norm=linf eps=0.2", "norm=l2 eps=0.8"};
    static const double eps[] = {0.2, 0.8};
    struct toy *toy = toy_new(&(struct toy_spec){.kind = TOY_SMOOTH});
    for (int k = 0; k < 2; k++) {
        struct toy_batch *b = toy_batch(toy, N, 3);
        struct tdo_attack_use use;
        char options[128];
        int came = 0;
        strcpy(options, norms[k]);
        strcat(options, " steps=40 population=30 lr=0.2");
        toy_use("nattack", options, &use);
        toy_attack(toy, &use, b);
        for (int i = 0; i < N; i++) {
            const float *u = b->found + i * toy->size, *x = b->x + i * toy->size;
            const double far = tdo_threat_norms(u, x, toy->size).of[use.threat.norm];
            CU_ASSERT_TRUE(far <= eps[k] * (1 + 1e-5));
            for (int64_t p = 0; p < toy->size; p++) {
                CU_ASSERT_TRUE(u[p] >= 0 && u[p] <= 1);
            }
            came += b->done[i];
            CU_ASSERT_TRUE(!b->done[i] || toy_margin(toy, u, b->label[i]) > -1e-5);
            CU_ASSERT_TRUE(!b->done[i] || (b->queries[i] - 1) % 301 == 0);
        }
        CU_ASSERT_TRUE(came > 0);
        toy_batch_free(&b);
    }
    toy_free(&toy);
    toy_use_free();
}

/* What a noisy network makes of single draws ends the search too soon. */
static void it_may_go_on_where_one_draw_says_little(void)
{
    static const char *const how[] = {"eps=0.3 steps=40 population=30 lr=0.2",
                                      "eps=0.3 steps=40 population=30 lr=0.2 early=false"};
    struct toy *toy = toy_new(&(struct toy_spec){.kind = TOY_SMOOTH, .sigma = 0.5});
    struct toy_batch *b = toy_batch(toy, N, 3);
    struct tdo_attack_use use;
    double margin[2] = {0, 0};
    for (int k = 0; k < 2; k++) {
        toy_use("nattack", how[k], &use);
        toy_attack(toy, &use, b);
        for (int i = 0; i < N; i++) {
            margin[k] += toy_margin(toy, b->found + i * toy->size, b->label[i]);
            CU_ASSERT_TRUE(k == 0 ? b->done[i] : b->queries[i] == 40 * 30);
        }
    }
    CU_ASSERT_TRUE(margin[1] > margin[0] + 0.1);
    toy_batch_free(&b);
    toy_free(&toy);
    toy_use_free();
}

static void bytes_do_not_depend_on_the_batch(void)
{
    struct toy *toy = toy_new(&(struct toy_spec){.kind = TOY_SMOOTH, .sigma = 0.1});
    struct toy_batch *b = toy_batch(toy, 5, 3);
    struct tdo_attack_use use;
    b->label[3] = (b->label[3] + 1) % 5; /* done at once */
    toy_use("nattack", small, &use);
    toy_attack(toy, &use, b);
    CU_ASSERT_EQUAL(b->queries[3], 1);
    CU_ASSERT_TRUE(toy_same_in_batches(toy, &use, b, 1));
    CU_ASSERT_TRUE(toy_same_in_batches(toy, &use, b, 2));
    toy_batch_free(&b);
    toy_free(&toy);
    toy_use_free();
}

static void without_a_box_or_with_too_many_questions_it_is_refused(void)
{
    static const char *const bad[] = {"box=none", "steps=1000000 population=1000"};
    static const char *const says[] = {"attack.0.box = none", "attack.0.population"};
    struct toy *toy = toy_new(&(struct toy_spec){.kind = TOY_SMOOTH});
    for (int k = 0; k < 2; k++) {
        struct tdo_attack_use use;
        toy_use("nattack", bad[k], &use);
        tdo_target *t = toy_target(toy, 1, &use);
        CU_ASSERT_EQUAL(tdo_attack_check(&use, t), TDO_ERR_CONFIG);
        CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, says[k]));
        tdo_target_free(&t);
    }
    toy_free(&toy);
    toy_use_free();
}

CU_TestInfo suite_tests[] = {
    {"its step is that of the paper, in double", its_step_is_that_of_the_paper},
    {"it comes near the best of a linear classifier, without gradients",
     it_comes_near_the_best_of_a_linear_classifier},
    {"it stays in ball and box and stops when it has come through",
     it_stays_in_ball_and_box_and_stops_when_it_has_come_through},
    {"it may go on where one draw says little", it_may_go_on_where_one_draw_says_little},
    {"bytes do not depend on the batch", bytes_do_not_depend_on_the_batch},
    {"without a box or with too many questions it is refused",
     without_a_box_or_with_too_many_questions_it_is_refused},
    CU_TEST_INFO_NULL,
};
