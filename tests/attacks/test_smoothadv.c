/* SmoothAdv against loops written out over the same random target, and EPGD beside it: what they
 * share is the loop, where they differ is what is averaged and when noise is drawn. */
#include <math.h>
#include <string.h>

#include "tests/attacks/support.h"

const char suite_name[] = "smoothadv";

enum { N = 4 };

static struct toy *noisy_toy(void)
{
    return toy_new(&(struct toy_spec){.kind = TOY_SMOOTH, .sigma = 0.2});
}

/* A target with these options, whatever the row says. */
static tdo_target *target_with(const struct toy *toy, enum tdo_reduce reduce,
                               enum tdo_redraw redraw)
{
    tdo_target *t = NULL;
    const struct tdo_target_options o = {.batch = 1,
                                         .draws = 8,
                                         .reduce = reduce,
                                         .redraw = redraw,
                                         .boxed = true,
                                         .purpose = TDO_PURPOSE_ATTACK_DRAW};
    ASSERT_OK_FATAL(tdo_target_new(&toy->net, &o, &t));
    return t;
}

/* dCE/du of sample i of b at u, its k-th question. */
static const float *gradient_at(tdo_target *t, struct toy_batch *b, int64_t i, int k,
                                const float *u)
{
    static const struct tdo_objective ce = {.kind = TDO_LOSS_CE};
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
    ASSERT_OK_FATAL(tdo_target_gradient(t, &ce, &s, u, NULL, &answer));
    return answer.gradient;
}

static double clip(double x, double low, double high)
{
    return x < low ? low : x > high ? high : x;
}

/* Ten L2 steps of eps/5 from the image, over fixed draws and their mean probability. */
static void its_steps_are_those_of_projected_ascent_over_fixed_draws(void)
{
    struct toy *toy = noisy_toy();
    struct toy_batch *b = toy_batch(toy, N, 3);
    struct tdo_attack_use use;
    const double eps = 0.4;
    toy_use("smoothadv", "eps=0.4", &use);
    toy_attack(toy, &use, b);
    tdo_target *t = target_with(toy, TDO_REDUCE_PROBABILITY, TDO_REDRAW_ATTACK);
    for (int i = 0; i < N; i++) {
        const float *x = b->x + i * toy->size;
        float u[64];
        memcpy(u, x, (size_t)toy->size * sizeof *u);
        for (int k = 0; k < 10; k++) {
            const float *g = gradient_at(t, b, i, k, u);
            const double size = tdo_threat_norms(g, NULL, toy->size).of[TDO_NORM_L2];
            for (int64_t p = 0; p < toy->size; p++) {
                u[p] += (float)(eps / 5 * (double)g[p] / size);
            }
            const double far = tdo_threat_norms(u, x, toy->size).of[TDO_NORM_L2];
            for (int64_t p = 0; p < toy->size; p++) {
                const double d = (double)u[p] - (double)x[p];
                u[p] = (float)clip((double)x[p] + d * fmin(1, eps / far), 0, 1);
            }
        }
        for (int64_t p = 0; p < toy->size; p++) {
            CU_ASSERT_TRUE(fabs((double)u[p] - (double)b->found[i * toy->size + p]) <= 1e-5);
        }
        CU_ASSERT_TRUE(tdo_threat_norms(u, x, toy->size).of[TDO_NORM_L2] > 0.3);
        CU_ASSERT_EQUAL(b->gradients[i], 80);
    }
    tdo_target_free(&t);
    toy_batch_free(&b);
    toy_free(&toy);
    toy_use_free();
}

/* Sign steps of eps/4 from a random point; gradients of the mean loss over new draws, or all of
 * them so far. */
static void run_epgd(const struct tdo_attack_use *use, tdo_target *t, struct toy_batch *b,
                     int i, bool accumulate, float *u)
{
    const int64_t P = tdo_target_size(t);
    const double eps = 0.1;
    const float *x = b->x + i * P;
    float start[64];
    double sum[64] = {0};
    tdo_attack_uniforms(use, 0, b->id[i], 0, P, start);
    for (int64_t p = 0; p < P; p++) {
        u[p] = (float)clip((double)x[p] + (2 * (double)start[p] - 1) * eps, 0, 1);
    }
    for (int k = 0; k < 7; k++) {
        const float *g = gradient_at(t, b, i, k, u);
        for (int64_t p = 0; p < P; p++) {
            sum[p] = (accumulate ? sum[p] : 0) + (double)g[p];
            const double v = (double)u[p] + eps / 4 * ((sum[p] > 0) - (sum[p] < 0));
            u[p] = (float)clip(clip(v, (double)x[p] - eps, (double)x[p] + eps), 0, 1);
        }
    }
}

static double farthest(const float *a, const float *b, int64_t n)
{
    double most = 0;
    for (int64_t p = 0; p < n; p++) {
        most = fmax(most, fabs((double)a[p] - (double)b[p]));
    }
    return most;
}

static void epgd_steps_along_the_mean_gradient_of_new_draws(void)
{
    struct toy *toy = noisy_toy();
    struct toy_batch *b = toy_batch(toy, N, 3);
    tdo_target *t = target_with(toy, TDO_REDUCE_LOSS, TDO_REDRAW_STEP);
    for (int accumulate = 0; accumulate < 2; accumulate++) {
        double apart = 0;
        struct tdo_attack_use use;
        toy_use("epgd", accumulate ? "eps=0.1 accumulate=true" : "eps=0.1", &use);
        toy_attack(toy, &use, b);
        for (int i = 0; i < N; i++) {
            const float *found = b->found + i * toy->size;
            float u[64], other[64];
            run_epgd(&use, t, b, i, accumulate, u);
            run_epgd(&use, t, b, i, !accumulate, other);
            CU_ASSERT_TRUE(farthest(u, found, toy->size) <= 1e-6);
            apart = fmax(apart, farthest(other, found, toy->size));
            CU_ASSERT_EQUAL(b->gradients[i], 56);
        }
        CU_ASSERT_TRUE(apart > 0.01);
    }
    tdo_target_free(&t);
    toy_batch_free(&b);
    toy_free(&toy);
    toy_use_free();
}

/* As DDN with the ball's radius as largest and as first norm. */
static void the_form_ddn_is_ddn_inside_the_ball(void)
{
    struct toy *toy = noisy_toy();
    struct toy_batch *b = toy_batch(toy, N, 3), *c = toy_batch(toy, N, 3);
    struct tdo_attack_use use;
    toy_use("smoothadv", "form=ddn eps=0.3", &use);
    toy_attack(toy, &use, b);
    toy_use("ddn",
            "steps=10 max_norm=0.3 init_norm=0.3 draws=8 reduce=probability redraw=attack",
            &use);
    toy_attack(toy, &use, c);
    CU_ASSERT_EQUAL(memcmp(b->found, c->found, (size_t)(N * toy->size) * 4), 0);
    double most = 0;
    for (int i = 0; i < N; i++) {
        const double length =
            tdo_threat_norms(b->found + i * toy->size, b->x + i * toy->size, toy->size)
                .of[TDO_NORM_L2];
        CU_ASSERT_TRUE(length <= 0.3 * (1 + 1e-5));
        most = fmax(most, length);
    }
    CU_ASSERT_TRUE(most > 0.1);
    toy_batch_free(&b);
    toy_batch_free(&c);
    toy_free(&toy);
    toy_use_free();
}

static void bytes_do_not_depend_on_the_batch(void)
{
    static const char *const rows[] = {"smoothadv", "smoothadv", "epgd"};
    static const char *const options[] = {"", "form=ddn", "accumulate=true keep=best"};
    struct toy *toy = noisy_toy();
    struct toy_batch *b = toy_batch(toy, 5, 3);
    for (int k = 0; k < 3; k++) {
        struct tdo_attack_use use;
        toy_use(rows[k], options[k], &use);
        toy_attack(toy, &use, b);
        CU_ASSERT_TRUE(toy_same_in_batches(toy, &use, b, 1));
        CU_ASSERT_TRUE(toy_same_in_batches(toy, &use, b, 3));
    }
    toy_batch_free(&b);
    toy_free(&toy);
    toy_use_free();
}

CU_TestInfo suite_tests[] = {
    {"its steps are those of projected ascent over fixed draws",
     its_steps_are_those_of_projected_ascent_over_fixed_draws},
    {"EPGD steps along the mean gradient of new draws, or along all so far",
     epgd_steps_along_the_mean_gradient_of_new_draws},
    {"the form ddn is DDN inside the ball", the_form_ddn_is_ddn_inside_the_ball},
    {"bytes do not depend on the batch", bytes_do_not_depend_on_the_batch},
    CU_TEST_INFO_NULL,
};
