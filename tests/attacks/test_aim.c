/* Which class an attack is about. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "attacks/aim.h"
#include "tests/attacks/support.h"

const char suite_name[] = "aim";

enum { N = 4000, K = 5 };

static struct toy *toy;
static struct toy_batch *b;
static struct tdo_attack_use use;

/* Samples whose labels go round, in a row that has all the aims. */
static void begin(const char *options)
{
    toy = toy_new(&(struct toy_spec){.kind = TOY_LINEAR, .height = 1, .width = 1});
    b = toy_batch(toy, N, 1);
    toy_use("pgd", options, &use);
    for (int i = 0; i < N; i++) {
        b->label[i] = i % K;
    }
}

static void end(void)
{
    toy_batch_free(&b);
    toy_use_free();
    toy_free(&toy);
}

static void random_classes_are_wrong_and_equally_likely(void)
{
    int count[K][K] = {{0}};
    int32_t first[N];
    begin("label=random");
    CU_ASSERT_EQUAL_FATAL(tdo_aim_read(&use), TDO_AIM_RANDOM);
    CU_ASSERT_TRUE(tdo_aim_targeted(TDO_AIM_RANDOM) && !tdo_aim_looks(TDO_AIM_RANDOM));
    tdo_aim_choose(&use, TDO_AIM_RANDOM, 0, NULL, K, &b->s);
    for (int i = 0; i < N; i++) {
        CU_ASSERT_TRUE_FATAL(b->target[i] >= 0 && b->target[i] < K);
        CU_ASSERT_EQUAL(b->target[i], b->aim[i]);
        count[b->label[i]][b->target[i]]++;
    }
    for (int label = 0; label < K; label++) {
        for (int k = 0; k < K; k++) { /* 200 expected, standard deviation 12 */
            CU_ASSERT_TRUE(k == label ? count[label][k] == 0 : abs(count[label][k] - 200) < 62);
        }
    }
    memcpy(first, b->target, sizeof first);
    use.seed++;
    tdo_aim_choose(&use, TDO_AIM_RANDOM, 0, NULL, K, &b->s);
    CU_ASSERT_NOT_EQUAL(memcmp(first, b->target, sizeof first), 0);
    end();
}

static void least_and_likeliest_follow_the_logits(void)
{
    static const float z[K] = {0, 3, -1, 3, 2};
    static const int least[K] = {2, 2, 0, 2, 2}; /* of the wrong ones, by label */
    static const int by_rank[K][K - 1] = {
        {1, 3, 4, 2}, {3, 4, 0, 2}, {1, 3, 4, 0}, {1, 4, 0, 2}, {1, 3, 0, 2}};
    float *logits = NULL;
    begin("label=each targets=3");
    ASSERT_OK_FATAL(tdo_memory_new(N * K, &logits));
    for (int i = 0; i < N * K; i++) {
        logits[i] = z[i % K];
    }
    CU_ASSERT_EQUAL(tdo_aim_rounds(&use, TDO_AIM_EACH, K), 3);
    CU_ASSERT_EQUAL(tdo_aim_rounds(&use, TDO_AIM_EACH, 3), 2);
    CU_ASSERT_EQUAL(tdo_aim_rounds(&use, TDO_AIM_LEAST, K), 1);
    for (int round = 0; round < K - 1; round++) {
        tdo_aim_choose(&use, TDO_AIM_EACH, round, logits, K, &b->s);
        for (int i = 0; i < K; i++) {
            CU_ASSERT_EQUAL(b->target[i], by_rank[i][round]);
        }
    }
    tdo_aim_choose(&use, TDO_AIM_LEAST, 0, logits, K, &b->s);
    for (int i = 0; i < K; i++) {
        CU_ASSERT_EQUAL(b->target[i], least[i]);
        CU_ASSERT_EQUAL(b->aim[i], least[i]);
    }
    tdo_memory_free(&logits);
    end();
}

static void leaving_needs_no_target(void)
{
    static const float z[N * K] = {0, 3, -1, 3, 2};
    begin("");
    CU_ASSERT_EQUAL(tdo_aim_read(&use), TDO_AIM_TRUE);
    CU_ASSERT_TRUE(!tdo_aim_targeted(TDO_AIM_TRUE) && !tdo_aim_targeted(TDO_AIM_PREDICTED));
    tdo_aim_choose(&use, TDO_AIM_TRUE, 0, NULL, K, &b->s);
    CU_ASSERT_TRUE(b->aim[3] == 3 && b->target[3] == -1);
    tdo_aim_choose(&use, TDO_AIM_PREDICTED, 0, z, K, &b->s);
    CU_ASSERT_TRUE(b->aim[0] == 1 && b->target[0] == -1);
    end();
}

/* One member is sure of class 0, the other sure that it is not: the mean logit says 1, the mean
 * probability 0. */
static void an_ensemble_predicts_by_the_sum_of_probabilities(void)
{
    static const float members[2 * K] = {5, 0, 0, 0, 0, -20, 1, 0, 0, 0};
    static const float mean[K] = {-7.5F, 0.5F, 0, 0, 0};
    const struct tdo_answer answer = {.logits = mean, .members = members};
    const double p = exp(5) / (exp(5) + 4), q = exp(1) / (exp(1) + 3 + exp(-20));
    float scores[K];
    struct toy *two =
        toy_new(&(struct toy_spec){.kind = TOY_LINEAR, .height = 1, .width = 1, .members = 2});
    begin("label=predicted");
    tdo_target *t = toy_target(two, 1, &use);
    tdo_aim_scores(t, TDO_AIM_PREDICTED, 1, &answer, scores);
    CU_ASSERT_DOUBLE_EQUAL(scores[0], p, 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(scores[1], (1 - p) / 4 + q, 1e-6);
    CU_ASSERT_EQUAL(tdo_target_argmax(scores, K, -1), 0);
    tdo_aim_scores(t, TDO_AIM_LEAST, 1, &answer, scores);
    CU_ASSERT_EQUAL(memcmp(scores, mean, sizeof mean), 0);
    tdo_target_free(&t);
    toy_free(&two);
    end();
}

static void a_class_is_reached_from_everywhere(void)
{
    tdo_target *t;
    begin("label=class class=2");
    t = toy_target(toy, N, &use);
    CU_ASSERT_EQUAL_FATAL(tdo_aim_read(&use), TDO_AIM_CLASS);
    CU_ASSERT_TRUE(tdo_aim_targeted(TDO_AIM_CLASS) && !tdo_aim_looks(TDO_AIM_CLASS));
    ASSERT_OK_FATAL(tdo_aim_check(&use, t));
    tdo_aim_choose(&use, TDO_AIM_CLASS, 0, NULL, K, &b->s);
    for (int i = 0; i < N; i++) {
        CU_ASSERT_TRUE(b->target[i] == 2 && b->aim[i] == 2);
    }
    toy_use_free();
    toy_use("pgd", "label=class class=5", &use); /* of 0..4 */
    CU_ASSERT_EQUAL(tdo_aim_check(&use, t), TDO_ERR_CONFIG);
    tdo_target_free(&t);
    end();
}

CU_TestInfo suite_tests[] = {
    {"random classes are wrong and equally likely",
     random_classes_are_wrong_and_equally_likely},
    {"least and likeliest follow the logits", least_and_likeliest_follow_the_logits},
    {"leaving needs no target", leaving_needs_no_target},
    {"a class is reached from everywhere", a_class_is_reached_from_everywhere},
    {"an ensemble predicts by the sum of probabilities",
     an_ensemble_predicts_by_the_sum_of_probabilities},
    CU_TEST_INFO_NULL,
};
