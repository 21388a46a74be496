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
        const struct tdo_voting many = {.draws = 200};
        ASSERT_OK_FATAL(tdo_judge_new(&net, &like, &many, &judge));
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

/* The tensors of the input layer, which training would find. */
static void make_mixed(struct tdo_network *n)
{
    const struct tdo_network_data data = {H, H, 1, K};
    const char *set[] = {"model.name=mlp", "model.mean_image=true", "model.contrast=true",
                         "model.whiten=true", "model.std=0.25"};
    tdo_config *c = NULL;
    ASSERT_OK_FATAL(tdo_config_new(&tdo_job_schema, &c));
    for (size_t i = 0; i < sizeof set / sizeof *set; i++) {
        ASSERT_OK_FATAL(tdo_config_set(c, set[i]));
    }
    ASSERT_OK_FATAL(tdo_network_configure(c, &data, n));
    tdo_config_free(&c);
    float *mean = tdo_params_values(n->params, tdo_params_find(n->params, "input.mean"));
    float *contrast =
        tdo_params_values(n->params, tdo_params_find(n->params, "input.contrast"));
    float *whiten = tdo_params_values(n->params, tdo_params_find(n->params, "input.whiten"));
    *contrast = 0.3F;
    for (int i = 0; i < P; i++) {
        mean[i] = (float)(0.3 + 0.2 * probe_number(1, i));
        for (int k = 0; k < P; k++) {
            whiten[i * P + k] =
                (float)(0.1 * probe_number(2, i * P + k)) + (i == k ? 1.0F : 0.0F);
        }
    }
}

/* What the input layer makes of image i, by its formula. */
static void by_formula(const struct tdo_network *n, const float *x, double *out)
{
    const float *mean = tdo_params_values(n->params, tdo_params_find(n->params, "input.mean"));
    const float *whiten =
        tdo_params_values(n->params, tdo_params_find(n->params, "input.whiten"));
    double d[P], sum = 0, square = 0;
    for (int i = 0; i < P; i++) {
        d[i] = (double)x[i] - (double)mean[i];
        sum += d[i] / P;
    }
    for (int i = 0; i < P; i++) {
        d[i] -= sum;
        square += d[i] * d[i] / (P - 1);
    }
    for (int i = 0; i < P; i++) {
        out[i] = 0;
        for (int k = 0; k < P; k++) {
            out[i] += (double)whiten[i * P + k] * d[k] * 0.3 / fmax(sqrt(square), 40.0 / 255);
        }
        out[i] /= 0.25;
    }
}

static void points_may_lie_behind_an_input_layer_that_mixes_pixels(void)
{
    static struct tdo_network n;
    const struct tdo_front none = {.noise = true};
    struct tdo_target_options o = {.batch = 2, .draws = 1, .units = TDO_UNITS_INPUT};
    struct tdo_verdict_draws here[COUNT], there[COUNT];
    struct tdo_answer answer;
    float want[COUNT * K], u[COUNT * P];
    struct batch b;
    tdo_target *t = NULL;
    tdo_judge *pixels = NULL, *behind = NULL;
    make_mixed(&n);
    fill(&b);
    struct tdo_ensemble e = tdo_ensemble_one(&n, &none);
    const struct tdo_target_network net = tdo_ensemble_target(&e);
    ask(&e, want, NULL);
    ASSERT_OK_FATAL(tdo_target_new(&net, &o, &t));
    CU_ASSERT(tdo_target_is_behind(t));
    tdo_target_from_pixels(t, b.x, COUNT, u); /* more than a batch */
    for (int i = 0; i < COUNT; i++) {
        double layer[P];
        by_formula(&n, b.x + i * P, layer);
        for (int k = 0; k < P; k++) {
            CU_ASSERT_DOUBLE_EQUAL(u[i * P + k], layer[k], 1e-5);
        }
    }
    const struct tdo_voting once = {.draws = 1};
    b.s.count = 2;
    ASSERT_OK_FATAL(tdo_target_logits(t, &b.s, u, &answer));
    for (int i = 0; i < 2 * K; i++) {
        CU_ASSERT_DOUBLE_EQUAL(answer.logits[i], want[i], 1e-5);
    }
    ASSERT_OK_FATAL(
        tdo_judge_new(&net, &(struct tdo_target_options){.batch = COUNT}, &once, &pixels));
    o.batch = COUNT;
    ASSERT_OK_FATAL(tdo_judge_new(&net, &o, &once, &behind));
    ASSERT_OK(tdo_judge_points(pixels, COUNT, b.x, b.id, b.label, 0, here));
    ASSERT_OK(tdo_judge_points(behind, COUNT, u, b.id, b.label, 0, there));
    for (int i = 0; i < COUNT; i++) {
        CU_ASSERT_EQUAL(here[i].predict, there[i].predict);
    }
    tdo_judge_free(&pixels);
    tdo_judge_free(&behind);
    tdo_target_free(&t);
    tdo_network_free(&n);
}

static void behind_an_input_layer_there_is_no_box_and_nothing_in_front(void)
{
    static struct tdo_network n;
    struct tdo_target_options o = {
        .batch = COUNT, .draws = 1, .units = TDO_UNITS_INPUT, .boxed = true};
    const struct tdo_front none = {.noise = true}, levels = {.noise = true, .levels = 16};
    tdo_target *t = NULL;
    make_mixed(&n);
    struct tdo_ensemble plain = tdo_ensemble_one(&n, &none);
    struct tdo_ensemble front = tdo_ensemble_one(&n, &levels);
    struct tdo_target_network net = tdo_ensemble_target(&plain);
    CU_ASSERT_EQUAL(tdo_target_new(&net, &o, &t), TDO_ERR_CONFIG);
    CU_ASSERT(strstr(tdo_error_last()->message, "box = none expected") != NULL);
    o.boxed = false;
    net = tdo_ensemble_target(&front);
    CU_ASSERT_EQUAL(tdo_target_new(&net, &o, &t), TDO_ERR_CONFIG);
    CU_ASSERT(strstr(tdo_error_last()->message, "nothing in front") != NULL);
    tdo_network_free(&n);
}

CU_TestInfo suite_tests[] = {
    {"members answer for themselves, and the ensemble by their mean",
     members_answer_for_themselves_and_the_ensemble_by_their_mean},
    {"a quantiser in front changes values and passes gradients",
     a_quantiser_in_front_changes_values_and_passes_gradients},
    {"feature squeezing is a quantiser of the network",
     feature_squeezing_is_a_quantiser_of_the_network},
    {"only what draws is judged by many draws", only_what_draws_is_judged_by_many_draws},
    {"points may lie behind an input layer that mixes pixels",
     points_may_lie_behind_an_input_layer_that_mixes_pixels},
    {"behind an input layer there is no box, and nothing stands in front",
     behind_an_input_layer_there_is_no_box_and_nothing_in_front},
    {"model files that cannot be are named", model_files_that_cannot_be_are_named},
    CU_TEST_INFO_NULL};
