/* Networks as attacks see them: members average, parameters keep apart, what stands in front. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "jobs/attack/ensemble.h"
#include "jobs/attack/judge.h"
#include "jobs/job.h"
#include "tests/nn/support.h"

const char suite_name[] = "ensemble";

enum { COUNT = 3, H = 8, P = H * H, K = 4 };

static void make_defended(const char *name, uint32_t seed, const char *defense,
                          struct tdo_network *n)
{
    const struct tdo_network_data data = {H, H, 1, K};
    char argument[64];
    tdo_config *c = NULL;
    ASSERT_OK_FATAL(tdo_config_new(&tdo_job_schema, &c));
    snprintf(argument, sizeof argument, "model.name=%s", name);
    ASSERT_OK_FATAL(tdo_config_set(c, argument));
    snprintf(argument, sizeof argument, "run.seed=%u", (unsigned)seed);
    ASSERT_OK_FATAL(tdo_config_set(c, argument));
    snprintf(argument, sizeof argument, "defense=%s", defense);
    ASSERT_OK_FATAL(tdo_config_set(c, argument));
    ASSERT_OK_FATAL(tdo_network_configure(c, &data, n));
    tdo_config_free(&c);
}

static void make_network(const char *name, uint32_t seed, struct tdo_network *n)
{
    make_defended(name, seed, "", n);
}

/* A batch of images that are all different. */
struct batch {
    float x[COUNT * P], found[COUNT * P];
    int32_t label[COUNT], aim[COUNT], target[COUNT];
    uint64_t id[COUNT], queries[COUNT], gradients[COUNT];
    bool done[COUNT];
    struct tdo_samples s;
};

static void fill(struct batch *b)
{
    memset(b, 0, sizeof *b);
    for (int i = 0; i < COUNT * P; i++) {
        b->x[i] = (float)(i * 37 % 101) / 101;
    }
    for (int i = 0; i < COUNT; i++) {
        b->id[i] = UINT64_C(10) + (uint64_t)i;
    }
    b->s = (struct tdo_samples){.count = COUNT,
                                .x = b->x,
                                .label = b->label,
                                .id = b->id,
                                .found = b->found,
                                .aim = b->aim,
                                .target = b->target,
                                .done = b->done,
                                .queries = b->queries,
                                .gradients = b->gradients};
}

static tdo_target *target_of(struct tdo_ensemble *e)
{
    const struct tdo_target_network n = tdo_ensemble_target(e);
    const struct tdo_target_options o = {
        .batch = COUNT, .draws = 1, .boxed = true, .purpose = TDO_PURPOSE_ATTACK_DRAW};
    tdo_target *t = NULL;
    ASSERT_OK_FATAL(tdo_target_new(&n, &o, &t));
    return t;
}

/* Logits at the images. */
static void ask(struct tdo_ensemble *e, float *logits, float *members)
{
    struct batch b;
    struct tdo_answer answer;
    fill(&b);
    tdo_target *t = target_of(e);
    ASSERT_OK_FATAL(tdo_target_logits(t, &b.s, b.x, &answer));
    memcpy(logits, answer.logits, sizeof(float) * COUNT * K);
    if (members) {
        memcpy(members, answer.members, sizeof(float) * COUNT * K * (size_t)e->members);
    }
    tdo_target_free(&t);
}

static void members_answer_for_themselves_and_the_ensemble_by_their_mean(void)
{
    static struct tdo_network n[2];
    const struct tdo_front none = {.noise = true};
    float alone[2][COUNT * K], both[COUNT * K], members[COUNT * 2 * K];
    make_network("mlp", 1, &n[0]);
    make_network("mlp", 2, &n[1]);
    for (int i = 0; i < 2; i++) {
        struct tdo_ensemble one = tdo_ensemble_one(&n[i], &none);
        ask(&one, alone[i], NULL);
    }
    struct tdo_ensemble e = {.member = {&n[0], &n[1]}, .members = 2, .front = none};
    ask(&e, both, members);
    for (int i = 0; i < COUNT; i++) {
        for (int k = 0; k < K; k++) {
            const float a = alone[0][i * K + k], b = alone[1][i * K + k];
            CU_ASSERT(members[(i * 2 + 0) * K + k] == a);
            CU_ASSERT(members[(i * 2 + 1) * K + k] == b);
            CU_ASSERT_DOUBLE_EQUAL(both[i * K + k], ((double)a + (double)b) / 2, 1e-6);
        }
    }
    CU_ASSERT(memcmp(alone[0], alone[1], sizeof alone[0]) != 0);
    tdo_network_free(&n[0]);
    tdo_network_free(&n[1]);
}

static void a_quantiser_in_front_changes_values_and_passes_gradients(void)
{
    static struct tdo_network n;
    const struct tdo_front none = {.noise = true}, two = {.noise = true, .levels = 2};
    const struct tdo_objective ce = {.kind = TDO_LOSS_CE};
    struct batch b, rounded;
    struct tdo_answer answer;
    float quantised[COUNT * K], gradient[COUNT * P];
    make_network("mlp", 1, &n);
    struct tdo_ensemble e = tdo_ensemble_one(&n, &two), plain = tdo_ensemble_one(&n, &none);
    ask(&e, quantised, NULL);
    fill(&b);
    fill(&rounded);
    for (int i = 0; i < COUNT * P; i++) {
        rounded.x[i] = rintf(b.x[i]);
    }
    tdo_target *t = target_of(&e), *u = target_of(&plain);
    ASSERT_OK_FATAL(tdo_target_gradient(t, &ce, &b.s, b.x, NULL, &answer));
    memcpy(gradient, answer.gradient, sizeof gradient);
    ASSERT_OK_FATAL(tdo_target_gradient(u, &ce, &rounded.s, rounded.x, NULL, &answer));
    CU_ASSERT(memcmp(answer.logits, quantised, sizeof quantised) == 0);
    CU_ASSERT(memcmp(answer.gradient, gradient, sizeof gradient) == 0);
    double sum = 0;
    for (int i = 0; i < COUNT * P; i++) {
        sum += fabs((double)gradient[i]);
    }
    CU_ASSERT(sum > 0);
    tdo_target_free(&t);
    tdo_target_free(&u);
    tdo_network_free(&n);
}

static void feature_squeezing_is_a_quantiser_of_the_network(void)
{
    static struct tdo_network plain, squeezed;
    const struct tdo_front none = {.noise = true}, two = {.noise = true, .levels = 2};
    float want[COUNT * K], got[COUNT * K];
    make_network("mlp", 1, &plain);
    make_defended("mlp", 1, "feature_squeezing", &squeezed);
    struct tdo_ensemble a = tdo_ensemble_one(&plain, &two),
                        b = tdo_ensemble_one(&squeezed, &none);
    ask(&a, want, NULL);
    ask(&b, got, NULL);
    CU_ASSERT(memcmp(want, got, sizeof got) == 0);
    tdo_network_free(&plain);
    tdo_network_free(&squeezed);
}

static void only_what_draws_is_judged_by_many_draws(void)
{
    static struct tdo_network n;
    const struct tdo_target_options like = {.batch = COUNT};
    const double sigma[] = {0, 0.5};
    make_network("mlp", 1, &n);
    for (int i = 0; i < 2; i++) {
        const struct tdo_front front = {.noise = true, .sigma = sigma[i], .seed = 3};
        struct tdo_ensemble e = tdo_ensemble_one(&n, &front);
        const struct tdo_target_network net = tdo_ensemble_target(&e);
        struct tdo_verdict_draws first[COUNT], again[COUNT], other[COUNT];
        struct batch b;
        tdo_judge *judge = NULL;
        fill(&b);
        ASSERT_OK_FATAL(tdo_judge_new(&net, &like, 200, &judge));
        CU_ASSERT(tdo_target_random(tdo_judge_target(judge)) == (i == 1));
        ASSERT_OK(tdo_judge_points(judge, COUNT, b.x, b.id, b.label, 0, first));
        ASSERT_OK(tdo_judge_points(judge, COUNT, b.x, b.id, b.label, 0, again));
        ASSERT_OK(tdo_judge_points(judge, COUNT, b.x, b.id, b.label, 1, other));
        CU_ASSERT_EQUAL(first[0].draws, i == 1 ? 200 : 1);
        CU_ASSERT(memcmp(first, again, sizeof first) == 0);
        CU_ASSERT((memcmp(first, other, sizeof first) == 0) == (i == 0));
        /* One sample alone, and its draws: the same. */
        ASSERT_OK(tdo_judge_points(judge, 1, b.x + P, b.id + 1, b.label + 1, 0, again));
        CU_ASSERT(memcmp(&first[1], &again[0], sizeof first[0]) == 0);
        tdo_judge_free(&judge);
    }
    tdo_network_free(&n);
}

static void model_files_that_cannot_be_are_named(void)
{
    const struct tdo_network_data data = {H, H, 1, K};
    const struct tdo_front none = {.noise = true};
    struct tdo_ensemble e;
    CU_ASSERT_EQUAL(tdo_ensemble_open("attack.0.models", "no.st", &data, &none, &e),
                    TDO_ERR_FILE);
    CU_ASSERT(strstr(tdo_error_last()->message, "no.st") != NULL);
    tdo_ensemble_free(&e);
    CU_ASSERT_EQUAL(tdo_ensemble_open("attack.0.models", ",", &data, &none, &e),
                    TDO_ERR_CONFIG);
    CU_ASSERT(strstr(tdo_error_last()->message, "attack.0.models") != NULL);
    tdo_ensemble_free(&e);
}

CU_TestInfo suite_tests[] = {
    {"members answer for themselves, and the ensemble by their mean",
     members_answer_for_themselves_and_the_ensemble_by_their_mean},
    {"a quantiser in front changes values and passes gradients",
     a_quantiser_in_front_changes_values_and_passes_gradients},
    {"feature squeezing is a quantiser of the network",
     feature_squeezing_is_a_quantiser_of_the_network},
    {"only what draws is judged by many draws", only_what_draws_is_judged_by_many_draws},
    {"model files that cannot be are named", model_files_that_cannot_be_are_named},
    CU_TEST_INFO_NULL};
