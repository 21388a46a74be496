/* Networks that vote, over ranks: score and answers against plain loops over draws that are computed
 * one at a time, and against what the judge of attacks says of the same images. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/attack/ensemble.h"
#include "jobs/attack/judge.h"
#include "jobs/forward.h"
#include "jobs/inference.h"
#include "jobs/job.h"
#include "nn/base/memory.h"
#include "tests/mpi/runner.h"
#include "tests/nn/support.h"

const char suite_name[] = "voting";

enum { IMAGES = 37, SIDE = 6, CHANNELS = 3, P = SIDE * SIDE * CHANNELS, K = 7, DRAWS = 11 };

static const char *const rules[] = {"prediction", "soft", "logits", "weighted", "top2"};
enum { RULES = sizeof rules / sizeof *rules };

static uint8_t made[IMAGES * P];
static int32_t label[IMAGES];

static tdo_err read_made(const struct tdo_images *im, const int64_t *rows, int64_t n, void *x,
                         int32_t *y)
{
    (void)im;
    for (int64_t i = 0; i < n; i++) {
        if (x) {
            memcpy((uint8_t *)x + i * P, made + rows[i] * P, P);
        }
        if (y) {
            y[i] = label[rows[i]];
        }
    }
    return TDO_OK;
}

static struct tdo_images make_images(void)
{
    for (int64_t i = 0; i < IMAGES * P; i++) {
        made[i] = (uint8_t)(127.5 * (probe_number(3, i) + 1));
    }
    for (int i = 0; i < IMAGES; i++) {
        label[i] = i % K;
    }
    return (struct tdo_images){.rows = IMAGES,
                               .height = SIDE,
                               .width = SIDE,
                               .channels = CHANNELS,
                               .u8 = true,
                               .labelled = true,
                               .from = "made",
                               .skip = 1,
                               .count = IMAGES,
                               .read = read_made};
}

/* An mlp, and how it votes; more: settings, NULL-ended. */
static tdo_err make_voter(const char *const *more, struct tdo_network *n, struct tdo_voting *v)
{
    const struct tdo_network_data data = {SIDE, SIDE, CHANNELS, K};
    tdo_config *c = NULL;
    ASSERT_OK_FATAL(tdo_config_new(&tdo_job_schema, &c));
    ASSERT_OK(tdo_config_set(c, "model.name=mlp"));
    ASSERT_OK(tdo_config_set(c, "vote.draws=11"));
    for (; *more; more++) {
        ASSERT_OK(tdo_config_set(c, *more));
    }
    ASSERT_OK_FATAL(tdo_network_configure(c, &data, n));
    tdo_err err = tdo_voting_read(c, n, v);
    tdo_config_free(&c);
    return err;
}

/* ---- draw by draw ---------------------------------------------------------------------------------- */

/* Logits of every draw of every image, one at a time. */
static void direct_logits(struct tdo_network *n, const struct tdo_voting *v, float *z)
{
    struct tdo_inference f;
    ASSERT_OK_FATAL(tdo_inference_new(n, 1, true, &v->noise, &f));
    for (int i = 0; i < IMAGES; i++) {
        for (int j = 0; j < DRAWS; j++) {
            float *raw = tdo_plan_input(f.plan, f.raw);
            struct tdo_key *key = tdo_plan_input(f.plan, f.keys);
            for (int p = 0; p < P; p++) {
                raw[p] = made[i * P + p];
            }
            *key = (struct tdo_key){
                .sample = (uint64_t)i, .draw = (uint32_t)j, .purpose = TDO_PURPOSE_JUDGE};
            ASSERT_OK_FATAL(tdo_plan_run(f.plan));
            memcpy(z + (i * DRAWS + j) * K, tdo_plan_output(f.plan, 0), K * sizeof *z);
        }
    }
    tdo_inference_free(&f);
}

/* What one draw adds to class k, by counting the classes in front of it. */
static double value_of(int rule, const float *z, int k)
{
    double sum = 0;
    int before = 0;
    for (int c = 0; c < K; c++) {
        before += z[c] > z[k] || (c < k && z[c] == z[k]);
        sum += exp((double)z[c] - (double)z[k]);
    }
    const double of[RULES] = {before == 0, 1 / sum, (double)z[k], pow(0.5, before),
                              before == 0   ? 1
                              : before == 1 ? 0.5
                                            : 0};
    return of[rule];
}

struct expected {
    int answer[IMAGES];
    int64_t correct, hits;
    double loss;
};

static void expect(int rule, const float *z, struct expected *e)
{
    *e = (struct expected){.loss = 0};
    for (int i = 0; i < IMAGES; i++) {
        double score[K] = {0}, sum = 0;
        for (int j = 0; j < DRAWS; j++, z += K) {
            int own = 0;
            for (int k = 0; k < K; k++) {
                score[k] += value_of(rule, z, k);
                own = z[k] > z[own] ? k : own;
            }
            e->hits += own == label[i];
        }
        for (int k = 0; k < K; k++) {
            e->answer[i] = score[k] > score[e->answer[i]] ? k : e->answer[i];
            sum += exp(score[k] / DRAWS);
        }
        e->correct += e->answer[i] == label[i];
        e->loss -=
            rule == 1 ? log(score[label[i]] / DRAWS) : log(exp(score[label[i]] / DRAWS) / sum);
    }
    e->loss /= IMAGES;
}

static tdo_err note_answer(void *user, const struct tdo_forward_row *r)
{
    ((int *)user)[r->image] = tdo_forward_predict(r);
    return TDO_OK;
}

static void check_rule(int rule, int64_t batch)
{
    char setting[32];
    struct tdo_network n;
    struct tdo_voting v;
    const struct tdo_images im = make_images();
    static float z[IMAGES * DRAWS * K];
    struct expected want;
    int got[IMAGES];
    tdo_forward *f = NULL;
    struct tdo_score *s = NULL;
    snprintf(setting, sizeof setting, "vote.rule=%s", rules[rule]);
    const char *const more[] = {setting, "vote.sigma=0.5", NULL};
    ASSERT_OK_FATAL(make_voter(more, &n, &v));
    direct_logits(&n, &v, z);
    expect(rule, z, &want);
    CU_ASSERT_TRUE(want.hits > 0 && want.hits < IMAGES * DRAWS);
    ASSERT_OK_FATAL(tdo_forward_new_voting(&n, true, batch, &v, &f));
    ASSERT_OK_FATAL(tdo_forward_score(runner_comm, f, &im, NULL, &s));
    CU_ASSERT_EQUAL(s->rows, IMAGES);
    CU_ASSERT_EQUAL(s->draws, DRAWS);
    CU_ASSERT_EQUAL(s->correct, want.correct);
    CU_ASSERT_EQUAL(s->hits, want.hits);
    if (rule == 1 || rule == 2) {
        CU_ASSERT_DOUBLE_EQUAL(s->loss, want.loss, 1e-9);
    } else {
        CU_ASSERT_TRUE(isnan(s->loss));
    }
    ASSERT_OK(tdo_forward_rows(f, &im, (struct tdo_range){0, IMAGES}, note_answer, got));
    CU_ASSERT_EQUAL(memcmp(got, want.answer, sizeof got), 0);
    tdo_score_free(&s);
    tdo_forward_free(&f);
    tdo_network_free(&n);
}

static void every_rule_is_a_loop_over_draws_for_any_batch(void)
{
    const int64_t batch[] = {1, 4, 11, 50};
    for (int rule = 0; rule < RULES; rule++) {
        for (size_t k = 0; k < sizeof batch / sizeof *batch; k++) {
            check_rule(rule, batch[k]);
        }
    }
}

static struct tdo_score *score_of(const char *const *more, int64_t batch)
{
    struct tdo_network n;
    struct tdo_voting v;
    const struct tdo_images im = make_images();
    tdo_forward *f = NULL;
    struct tdo_score *s = NULL;
    ASSERT_OK_FATAL(make_voter(more, &n, &v));
    ASSERT_OK_FATAL(tdo_forward_new_voting(&n, true, batch, &v, &f));
    ASSERT_OK_FATAL(tdo_forward_score(runner_comm, f, &im, NULL, &s));
    tdo_forward_free(&f);
    tdo_network_free(&n);
    return s;
}

static void losses_have_the_same_bits_for_any_batch_and_rank(void)
{
    const char *const more[] = {"vote.rule=soft", "vote.sigma=0.5", NULL};
    struct tdo_score *first = score_of(more, 3), *other = score_of(more, 64);
    CU_ASSERT_EQUAL(memcmp(&first->loss, &other->loss, sizeof first->loss), 0);
    double root = first->loss;
    tdo_comm_broadcast(runner_comm, &root, (int64_t)sizeof root);
    CU_ASSERT_EQUAL(memcmp(&root, &first->loss, sizeof root), 0);
    tdo_score_free(&first);
    tdo_score_free(&other);
    const char *const seed[] = {"vote.rule=soft", "vote.sigma=0.5", "run.seed=2", NULL};
    other = score_of(seed, 64);
    CU_ASSERT_NOT_EQUAL(other->loss, root); /* it does depend on the draws */
    tdo_score_free(&other);
}

static void what_is_not_random_is_asked_once(void)
{
    const char *const more[] = {"vote.rule=weighted", NULL}, *const none[] = {NULL};
    struct tdo_score *s = score_of(more, 8), *plain = score_of(none, 5);
    CU_ASSERT_EQUAL(s->draws, 0);
    CU_ASSERT_EQUAL(memcmp(&s->loss, &plain->loss, sizeof s->loss), 0);
    CU_ASSERT_EQUAL(s->correct, plain->correct);
    tdo_score_free(&s);
    tdo_score_free(&plain);
}

/* ---- kept answers --------------------------------------------------------------------------------- */

/* The same images over and over: what the ledger in `dir` holds is not asked again. */
static struct tdo_forward_answer *answers(struct tdo_network *n, const struct tdo_voting *v,
                                          const char *dir, int64_t batch, int64_t count)
{
    const struct tdo_forward_ledger where = {.dir = dir, .context = 7};
    struct tdo_images im = make_images();
    tdo_forward *f = NULL;
    struct tdo_forward_answer *a = NULL;
    im.count = count;
    ASSERT_OK_FATAL(tdo_forward_new_voting(n, true, batch, v, &f));
    ASSERT_OK_FATAL(tdo_forward_ask(runner_comm, f, &im, dir ? &where : NULL, &a));
    tdo_forward_free(&f);
    return a;
}

static void kept_answers_are_taken_as_they_are(void)
{
    enum { FEW = 11 };
    const char *const more[] = {"vote.rule=soft", "vote.sigma=0.5", NULL};
    const char *const seed[] = {"vote.rule=soft", "vote.sigma=0.5", "run.seed=2", NULL};
    char dir[64] = "/tmp/testudo-voting-XXXXXX", command[96];
    struct tdo_network n, other;
    struct tdo_voting v, w;
    ASSERT_OK_FATAL(make_voter(more, &n, &v));
    ASSERT_OK_FATAL(make_voter(seed, &other, &w));
    if (tdo_comm_rank(runner_comm) == 0) {
        CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
    }
    tdo_comm_broadcast(runner_comm, dir, (int64_t)sizeof dir);
    struct tdo_forward_answer *want = answers(&n, &v, NULL, 5, IMAGES);
    struct tdo_forward_answer *got[3] = {answers(&n, &v, dir, 4, FEW),
                                         answers(&n, &v, dir, 3, IMAGES),
                                         answers(&other, &w, dir, 8, IMAGES)};
    CU_ASSERT_EQUAL(memcmp(got[0], want, FEW * sizeof *want), 0);
    for (int k = 1; k < 3; k++) { /* the last one finds all there, or it would say otherwise */
        CU_ASSERT_EQUAL(memcmp(got[k], want, IMAGES * sizeof *want), 0);
    }
    struct tdo_forward_answer *differs = answers(&other, &w, NULL, 5, IMAGES);
    CU_ASSERT_NOT_EQUAL(memcmp(differs, want, IMAGES * sizeof *want), 0);
    tdo_memory_free(&differs);
    for (int k = 0; k < 3; k++) {
        tdo_memory_free(&got[k]);
    }
    tdo_memory_free(&want);
    tdo_network_free(&n);
    tdo_network_free(&other);
    snprintf(command, sizeof command, "rm -rf -- '%s'", dir);
    CU_ASSERT_EQUAL(tdo_comm_rank(runner_comm) == 0 ? system(command) : 0, 0);
}

/* ---- the judge -------------------------------------------------------------------------------------- */

static void judge_and_forward_pass_agree(const char *const *more)
{
    struct tdo_network n;
    struct tdo_voting v;
    const struct tdo_images im = make_images();
    static float pixels[IMAGES * P];
    uint64_t id[IMAGES];
    int got[IMAGES];
    struct tdo_verdict_draws verdict[IMAGES];
    const struct tdo_target_options like = {.batch = IMAGES};
    tdo_forward *f = NULL;
    tdo_judge *judge = NULL;
    ASSERT_OK_FATAL(make_voter(more, &n, &v));
    struct tdo_front front = {.noise = true,
                              .sigma = v.noise.sigma,
                              .seed = v.noise.stream.seed,
                              .scales = v.noise.scales};
    memcpy(front.scale, v.noise.scale, sizeof front.scale);
    struct tdo_ensemble e = tdo_ensemble_one(&n, &front);
    const struct tdo_target_network t = tdo_ensemble_target(&e);
    for (int i = 0; i < IMAGES * P; i++) {
        pixels[i] = (float)made[i] * (float)(1.0 / 255);
    }
    for (int i = 0; i < IMAGES; i++) {
        id[i] = (uint64_t)i;
    }
    ASSERT_OK_FATAL(tdo_judge_new(&t, &like, &v, &judge));
    ASSERT_OK(tdo_judge_points(judge, IMAGES, pixels, id, label, 0, verdict));
    ASSERT_OK_FATAL(tdo_forward_new_voting(&n, true, 16, &v, &f));
    ASSERT_OK(tdo_forward_rows(f, &im, (struct tdo_range){0, IMAGES}, note_answer, got));
    for (int i = 0; i < IMAGES; i++) {
        CU_ASSERT_EQUAL(verdict[i].predict, got[i]);
        CU_ASSERT_EQUAL(verdict[i].draws, DRAWS);
    }
    tdo_judge_free(&judge);
    tdo_forward_free(&f);
    tdo_network_free(&n);
}

static void the_judge_says_what_the_forward_pass_says(void)
{
    for (int rule = 0; rule < RULES; rule++) {
        char setting[32];
        snprintf(setting, sizeof setting, "vote.rule=%s", rules[rule]);
        const char *const pixel[] = {setting, "vote.sigma=0.4", NULL};
        const char *const std[] = {setting,
                                   "vote.sigma=1.5",
                                   "vote.units=std",
                                   "model.mean=0.5,0.4,0.3",
                                   "model.std=0.25,0.2,0.3",
                                   NULL};
        judge_and_forward_pass_agree(pixel);
        judge_and_forward_pass_agree(std);
    }
}

/* ---- options ----------------------------------------------------------------------------------------- */

static void units_of_std_are_those_of_the_input_layer(void)
{
    struct tdo_network n;
    struct tdo_voting v;
    const char *const one[] = {"vote.sigma=0.5", "vote.units=std", "model.mean=0.5",
                               "model.std=0.25", NULL};
    const char *const same[] = {"vote.sigma=0.125", "model.mean=0.5", "model.std=0.25", NULL};
    const char *const none[] = {"vote.sigma=0.5", "vote.units=std", NULL};
    struct tdo_score *a = score_of(one, 8), *b = score_of(same, 8);
    CU_ASSERT_EQUAL(a->hits, b->hits); /* powers of two: the same draws in every bit */
    tdo_score_free(&a);
    tdo_score_free(&b);
    CU_ASSERT_EQUAL(make_voter(none, &n, &v), TDO_ERR_CONFIG);
    CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, "vote.units = std"));
    tdo_network_free(&n);
}

CU_TestInfo suite_tests[] = {
    {"every rule is a loop over draws, for any batch",
     every_rule_is_a_loop_over_draws_for_any_batch},
    {"losses have the same bits for any batch and rank",
     losses_have_the_same_bits_for_any_batch_and_rank},
    {"what is not random is asked once", what_is_not_random_is_asked_once},
    {"the judge says what the forward pass says", the_judge_says_what_the_forward_pass_says},
    {"units of std are those of the input layer", units_of_std_are_those_of_the_input_layer},
    {"kept answers are taken as they are", kept_answers_are_taken_as_they_are},
    CU_TEST_INFO_NULL,
};
