/* What a target says, against plain loops in double: the noise of each draw is made again, the
 * networks run by the reference kernels, and losses are written out as their definitions. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "attacks/objective.h"
#include "nn/graph/grad.h"
#include "nn/graph/ops.h"
#include "nn/graph/plan.h"
#include "tests/attacks/support.h"

const char suite_name[] = "target";

enum { DRAWS = 3, CLASSES = 5, PIXELS = 36 };

/* ---- the oracle ----------------------------------------------------------------------------------- */

/* A question, for the oracle and for the target. */
struct asked {
    enum tdo_loss_kind kind;
    enum tdo_reduce reduce;
    bool targeted;
    double confidence, auxiliary;
    int label, aim;
    const double *goal; /* [K] or NULL */
    uint64_t id;
    uint32_t step;
    int draws;
};

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

static double largest_but(const double *z, int except)
{
    double most = -HUGE_VAL;
    for (int k = 0; k < CLASSES; k++) {
        most = k != except && z[k] > most ? z[k] : most;
    }
    return most;
}

static double log_sum(const double *z)
{
    const double top = largest_but(z, -1);
    double sum = 0;
    for (int k = 0; k < CLASSES; k++) {
        sum += exp(z[k] - top);
    }
    return top + log(sum);
}

/* The definitions of target.h. */
static double loss_of(const struct asked *q, const double *z)
{
    double sorted[CLASSES], ce = 0;
    memcpy(sorted, z, sizeof sorted);
    qsort(sorted, CLASSES, sizeof *sorted, by_size);
    const double gap = z[q->aim] - largest_but(z, q->aim);
    switch (q->kind) {
    case TDO_LOSS_MARGIN:
        return -fmax((q->targeted ? -gap : gap) + q->confidence, 0);
    case TDO_LOSS_DLR:
        return q->targeted
                   ? -(z[q->label] - z[q->aim]) / (sorted[0] - (sorted[2] + sorted[3]) / 2)
                   : -gap / (sorted[0] - sorted[2]);
    default:
        for (int k = 0; k < CLASSES; k++) {
            const double t = q->goal ? q->goal[k] : k == q->aim;
            ce += t * (log_sum(z) - z[k]);
        }
        return q->targeted ? -ce : ce;
    }
}

/* Draws [m,K] together. */
static double reduce(const struct asked *q, const double (*z)[CLASSES])
{
    double mean[CLASSES] = {0}, loss = 0;
    for (int d = 0; d < q->draws; d++) {
        loss += loss_of(q, z[d]) / q->draws;
        for (int k = 0; k < CLASSES; k++) {
            mean[k] +=
                (q->reduce == TDO_REDUCE_LOGITS ? z[d][k] : exp(z[d][k] - log_sum(z[d]))) /
                q->draws;
        }
    }
    if (q->reduce == TDO_REDUCE_LOSS) {
        return loss;
    }
    for (int k = 0; k < CLASSES && q->reduce == TDO_REDUCE_PROBABILITY; k++) {
        mean[k] = log(mean[k]);
    }
    return loss_of(q, mean);
}

/* The linear auxiliary head, on the noisy image. */
static void auxiliary_logits(const struct toy *toy, const double *x, double *z)
{
    const float *w = toy_values(toy, "auxiliary.weight"),
                *b = toy_values(toy, "auxiliary.bias");
    for (int k = 0; k < CLASSES; k++) {
        z[k] = (double)b[k];
        for (int p = 0; p < PIXELS; p++) {
            z[k] += (double)w[k * PIXELS + p] * x[p];
        }
    }
}

static double oracle(const struct toy *toy, const struct asked *q, const double *x)
{
    double noisy[DRAWS][PIXELS], z[DRAWS][CLASSES], side[DRAWS][CLASSES];
    float noise[PIXELS];
    const struct tdo_stream stream = {.seed = 3, .purpose = TDO_PURPOSE_TEST, .layer = 1};
    for (int d = 0; d < q->draws; d++) {
        const struct tdo_key key = {.sample = q->id,
                                    .draw = q->step * (uint32_t)q->draws + (uint32_t)d,
                                    .purpose = TDO_PURPOSE_ATTACK_DRAW};
        tdo_rng_normals(&stream, &key, 0, PIXELS, noise);
        for (int p = 0; p < PIXELS; p++) {
            noisy[d][p] = x[p] + toy->spec.sigma * (double)noise[p];
        }
        if (toy->spec.auxiliary) {
            auxiliary_logits(toy, noisy[d], side[d]);
        }
    }
    toy_logits(toy, q->draws, noisy[0], z[0]);
    const double value = reduce(q, (const double(*)[CLASSES])z);
    return toy->spec.auxiliary
               ? value + q->auxiliary * reduce(q, (const double(*)[CLASSES])side)
               : value;
}

/* ---- objectives ------------------------------------------------------------------------------------ */

/* J and its gradient at three images, asked once before (so that the step is 1). */
static void compare(const struct toy *toy, struct asked q)
{
    enum { N = 3 };
    struct toy_batch *b = toy_batch(toy, N, 21);
    tdo_target *t = NULL;
    struct tdo_answer answer;
    const struct tdo_target_options options = {.batch = N,
                                               .draws = q.draws,
                                               .reduce = q.reduce,
                                               .boxed = true,
                                               .auxiliary = q.auxiliary,
                                               .purpose = TDO_PURPOSE_ATTACK_DRAW};
    const struct tdo_objective objective = {q.kind, q.targeted, q.confidence};
    float goal[N * CLASSES];
    ASSERT_OK_FATAL(tdo_target_new(&toy->net, &options, &t));
    for (int i = 0; i < N; i++) {
        b->aim[i] = q.targeted ? (b->label[i] + 1 + i) % CLASSES : b->label[i];
        for (int k = 0; k < CLASSES && q.goal; k++) {
            goal[i * CLASSES + k] = (float)q.goal[k];
        }
    }
    b->s.question = 1;
    ASSERT_OK_FATAL(
        tdo_target_gradient(t, &objective, &b->s, b->x, q.goal ? goal : NULL, &answer));
    for (int i = 0; i < N; i++) {
        double x[PIXELS], most = 0, gap = 0;
        q.id = b->id[i];
        q.step = 1;
        q.label = b->label[i];
        q.aim = b->aim[i];
        for (int p = 0; p < PIXELS; p++) {
            x[p] = (double)b->x[i * PIXELS + p];
        }
        const double value = oracle(toy, &q, x);
        CU_ASSERT_TRUE(fabs((double)answer.value[i] - value) <= 2e-6 * (1 + fabs(value)));
        for (int p = 0; p < PIXELS; p++) {
            const double at = x[p], h = 1e-5;
            x[p] = at + h;
            double slope = oracle(toy, &q, x) / (2 * h);
            x[p] = at - h;
            slope -= oracle(toy, &q, x) / (2 * h);
            x[p] = at;
            most = fmax(most, fabs(slope));
            gap = fmax(gap, fabs(slope - (double)answer.gradient[i * PIXELS + p]));
        }
        CU_ASSERT_TRUE(most > 1e-4);
        CU_ASSERT_TRUE(gap <= 2e-5 * most);
    }
    tdo_target_free(&t);
    toy_batch_free(&b);
}

static void every_loss_and_its_gradient_agree_with_double(void)
{
    struct toy *toy = toy_new(&(struct toy_spec){.kind = TOY_SMOOTH});
    for (int k = 0; k < 6; k++) {
        compare(toy, (struct asked){.kind = (enum tdo_loss_kind)(k / 2),
                                    .targeted = k % 2,
                                    .confidence = 20,
                                    .draws = 1});
    }
    toy_free(&toy);
}

static void every_reduction_over_draws_agrees_with_double(void)
{
    struct toy *toy = toy_new(&(struct toy_spec){.kind = TOY_SMOOTH, .sigma = 0.25});
    for (int k = 0; k < 18; k++) {
        compare(toy, (struct asked){.kind = (enum tdo_loss_kind)(k / 2 % 3),
                                    .reduce = (enum tdo_reduce)(k / 6),
                                    .targeted = k % 2,
                                    .confidence = 20,
                                    .draws = DRAWS});
    }
    toy_free(&toy);
}

static void ensembles_and_auxiliary_heads_enter_as_declared(void)
{
    struct toy *toy = toy_new(
        &(struct toy_spec){.kind = TOY_SMOOTH, .members = 3, .sigma = 0.25, .auxiliary = true});
    for (int k = 0; k < 6; k++) {
        compare(toy, (struct asked){.kind = k < 3 ? TDO_LOSS_CE : TDO_LOSS_MARGIN,
                                    .reduce = (enum tdo_reduce)(k % 3),
                                    .confidence = 20,
                                    .auxiliary = 0.375,
                                    .draws = 2});
    }
    toy_free(&toy);
}

static void a_distribution_takes_the_place_of_the_class(void)
{
    static const double goal[CLASSES] = {0.5, 0.125, 0.25, 0, 0.125};
    struct toy *toy = toy_new(&(struct toy_spec){.kind = TOY_SMOOTH, .sigma = 0.25});
    compare(toy, (struct asked){.goal = goal, .draws = 1});
    compare(toy, (struct asked){.goal = goal, .draws = DRAWS});
    compare(toy,
            (struct asked){.goal = goal, .draws = DRAWS, .reduce = TDO_REDUCE_PROBABILITY});
    toy_free(&toy);
}

/* Once the margin is beyond -confidence, nothing is climbed any more. */
static void the_margin_stops_at_its_confidence(void)
{
    struct toy *toy = toy_new(&(struct toy_spec){.kind = TOY_SMOOTH});
    struct toy_batch *b = toy_batch(toy, 1, 2);
    tdo_target *t = toy_target(toy, 1, NULL);
    struct tdo_answer answer;
    const struct tdo_objective o = {.kind = TDO_LOSS_MARGIN, .confidence = 0.0625};
    b->aim[0] = (b->label[0] + 1) % CLASSES; /* far from the largest */
    ASSERT_OK_FATAL(tdo_target_logits(t, &b->s, b->x, &answer));
    CU_ASSERT_TRUE_FATAL(tdo_target_margin(answer.logits, CLASSES, b->aim[0], false) > 0.07);
    ASSERT_OK_FATAL(tdo_target_gradient(t, &o, &b->s, b->x, NULL, &answer));
    CU_ASSERT_EQUAL(answer.value[0], 0);
    CU_ASSERT_EQUAL(tdo_threat_norms(answer.gradient, NULL, PIXELS).of[TDO_NORM_LINF], 0);
    tdo_target_free(&t);
    toy_batch_free(&b);
    toy_free(&toy);
}

/* ---- logits and Jacobians ------------------------------------------------------------------------------ */

static void logits_agree_with_double_in_either_units(void)
{
    static const struct toy_spec specs[] = {
        {.kind = TOY_LINEAR},
        {.kind = TOY_MLP, .inputs = 1},
        {.kind = TOY_CONV, .channels = 3, .inputs = 3},
    };
    enum { N = 3 };
    for (int k = 0; k < 6; k++) {
        struct toy *toy = toy_new(&specs[k / 2]);
        struct toy_batch *b = toy_batch(toy, N, 5);
        double x[N * 108], z[N * CLASSES];
        float u[N * 108], back[N * 108];
        tdo_target *t = NULL;
        struct tdo_answer answer;
        const struct tdo_target_options o = {.batch = N,
                                             .draws = 1,
                                             .boxed = true,
                                             .units =
                                                 k % 2 ? TDO_UNITS_INPUT : TDO_UNITS_PIXEL};
        ASSERT_OK_FATAL(tdo_target_new(&toy->net, &o, &t));
        for (int64_t p = 0; p < N * toy->size; p++) {
            x[p] = (double)b->x[p];
        }
        toy_logits(toy, N, x, z);
        tdo_target_from_pixels(t, b->x, N, u);
        tdo_target_to_pixels(t, u, N, back);
        ASSERT_OK_FATAL(tdo_target_logits(t, &b->s, u, &answer));
        for (int i = 0; i < N * CLASSES; i++) {
            CU_ASSERT_TRUE(fabs((double)answer.logits[i] - z[i]) <= 1e-5);
        }
        for (int64_t p = 0; p < N * toy->size; p++) {
            const int64_t c = toy->spec.inputs > 1 ? p % toy->spec.channels : 0;
            const double want =
                k % 2 && toy->spec.inputs ? (x[p] - toy->net.mean[c]) / toy->net.std[c] : x[p];
            CU_ASSERT_TRUE(fabs((double)u[p] - want) <= 1e-6);
            CU_ASSERT_TRUE(fabsf(back[p] - b->x[p]) <= 2e-7F);
        }
        tdo_target_free(&t);
        toy_batch_free(&b);
        toy_free(&toy);
    }
}

/* In input units the derivative is std times that in pixels. */
static void jacobians_agree_with_double_in_either_units(void)
{
    enum { N = 2, WIDTH = 108, MANY = 12 };
    struct toy *toy = toy_new(&(struct toy_spec){.kind = TOY_CONV, .channels = 3, .inputs = 3});
    struct toy_batch *b = toy_batch(toy, N, 6);
    double x[N * WIDTH], jacobian[N * CLASSES * WIDTH];
    float u[N * WIDTH];
    int32_t class[N * MANY];
    for (int p = 0; p < N * WIDTH; p++) {
        x[p] = (double)b->x[p];
    }
    for (int k = 0; k < N * MANY; k++) {
        class[k] = (k * 7 + k / MANY) % CLASSES;
    }
    toy_jacobian(toy, N, x, jacobian);
    for (int units = 0; units < 2; units++) {
        tdo_target *t = NULL;
        struct tdo_answer answer;
        const struct tdo_target_options o = {
            .batch = N, .draws = 1, .units = units ? TDO_UNITS_INPUT : TDO_UNITS_PIXEL};
        ASSERT_OK_FATAL(tdo_target_new(&toy->net, &o, &t));
        tdo_target_from_pixels(t, b->x, N, u);
        ASSERT_OK_FATAL(tdo_target_jacobian(t, &b->s, u, MANY, class, &answer));
        for (int i = 0; i < N * MANY * WIDTH; i++) {
            const int row = i / WIDTH, p = i % WIDTH;
            const double want = jacobian[(row / MANY * CLASSES + class[row]) * WIDTH + p] *
                                (units ? toy->net.std[p % 3] : 1);
            CU_ASSERT_TRUE(fabs((double)answer.gradient[i] - want) <= 1e-5);
        }
        CU_ASSERT_EQUAL(b->gradients[1], (uint64_t)(MANY * (units + 1)));
        tdo_target_free(&t);
    }
    toy_batch_free(&b);
    toy_free(&toy);
}

static void members_are_shown_beside_their_mean(void)
{
    struct toy *toy = toy_new(&(struct toy_spec){.kind = TOY_LINEAR, .members = 3});
    struct toy_batch *b = toy_batch(toy, 2, 6);
    tdo_target *t = toy_target(toy, 2, NULL);
    struct tdo_answer answer;
    ASSERT_OK_FATAL(tdo_target_logits(t, &b->s, b->x, &answer));
    const float *w = toy_values(toy, "member1.out.weight");
    const float *bias = toy_values(toy, "member1.out.bias");
    for (int i = 0; i < 2 * CLASSES; i++) {
        double z = (double)bias[i % CLASSES];
        for (int p = 0; p < PIXELS; p++) {
            z += (double)w[i % CLASSES * PIXELS + p] * (double)b->x[i / CLASSES * PIXELS + p];
        }
        const float *m = answer.members + (i / CLASSES * 3) * CLASSES + i % CLASSES;
        CU_ASSERT_TRUE(fabs((double)m[CLASSES] - z) <= 1e-5);
        CU_ASSERT_TRUE(fabsf((m[0] + m[CLASSES] + m[2 * CLASSES]) / 3 - answer.logits[i]) <=
                       1e-5F);
    }
    tdo_target_free(&t);
    toy_batch_free(&b);
    toy_free(&toy);
}

/* ---- batches -------------------------------------------------------------------------------------------- */

enum { MANY = 13 };

/* Ask about samples first..first+count of b in a target of batch size `batch`, with some done. */
static void ask_part(const struct toy *toy, const struct toy_batch *b, int64_t batch,
                     int64_t first, int64_t count, float *logits, float *gradient)
{
    const struct tdo_objective o = {.kind = TDO_LOSS_CE};
    const struct tdo_target_options options = {
        .batch = batch, .draws = 2, .boxed = true, .purpose = TDO_PURPOSE_ATTACK_DRAW};
    tdo_target *t = NULL;
    struct tdo_answer answer;
    struct tdo_samples s = b->s;
    s.count = count;
    s.x += first * PIXELS;
    s.label += first;
    s.id += first;
    s.aim += first;
    s.done += first;
    s.queries += first;
    s.gradients += first;
    ASSERT_OK_FATAL(tdo_target_new(&toy->net, &options, &t));
    ASSERT_OK_FATAL(tdo_target_gradient(t, &o, &s, s.x, NULL, &answer));
    memcpy(logits + first * CLASSES, answer.logits, (size_t)(count * CLASSES) * sizeof *logits);
    memcpy(gradient + first * PIXELS, answer.gradient,
           (size_t)(count * PIXELS) * sizeof *gradient);
    tdo_target_free(&t);
}

static void check_batches(enum toy_kind kind)
{
    struct toy *toy = toy_new(&(struct toy_spec){.kind = kind, .sigma = 0.125});
    struct toy_batch *b = toy_batch(toy, MANY, 8);
    float z[MANY * CLASSES], g[MANY * PIXELS], z2[MANY * CLASSES], g2[MANY * PIXELS];
    memcpy(b->aim, b->label, sizeof(int32_t) * MANY);
    ask_part(toy, b, MANY, 0, MANY, z, g);
    for (int64_t step = 1; step <= 5; step += 2) {
        for (int64_t i = 0; i < MANY; i += step) {
            const int64_t left = MANY - i < step ? MANY - i : step;
            ask_part(toy, b, i % 2 ? 64 : step, i, left, z2, g2);
        }
        CU_ASSERT_EQUAL(memcmp(z, z2, sizeof z), 0);
        CU_ASSERT_EQUAL(memcmp(g, g2, sizeof g), 0);
    }
    for (int i = 0; i < MANY; i++) {
        b->done[i] = i % 3 == 0;
        b->queries[i] = b->gradients[i] = 0;
    }
    ask_part(toy, b, MANY, 0, MANY, z2, g2);
    for (int i = 0; i < MANY; i++) {
        const float zero[PIXELS] = {0};
        const bool done = b->done[i];
        CU_ASSERT_EQUAL(
            memcmp(done ? zero : z + i * CLASSES, z2 + i * CLASSES, sizeof(float) * CLASSES),
            0);
        CU_ASSERT_EQUAL(
            memcmp(done ? zero : g + i * PIXELS, g2 + i * PIXELS, sizeof(float) * PIXELS), 0);
        CU_ASSERT_EQUAL(b->queries[i], done ? 0 : 2);
        CU_ASSERT_EQUAL(b->gradients[i], done ? 0 : 2);
    }
    toy_batch_free(&b);
    toy_free(&toy);
}

static void answers_have_the_same_bits_in_any_batch_and_place(void)
{
    check_batches(TOY_LINEAR);
    check_batches(TOY_MLP);
    check_batches(TOY_CONV);
}

static void noise_is_new_in_each_step_or_stays(void)
{
    struct toy *toy = toy_new(&(struct toy_spec){.kind = TOY_MLP, .sigma = 0.25});
    struct toy_batch *b = toy_batch(toy, 1, 8);
    for (enum tdo_redraw redraw = TDO_REDRAW_STEP; redraw <= TDO_REDRAW_ATTACK; redraw++) {
        const struct tdo_target_options o = {
            .batch = 1, .draws = 2, .redraw = redraw, .purpose = TDO_PURPOSE_ATTACK_DRAW};
        tdo_target *t = NULL;
        struct tdo_answer answer;
        float first[CLASSES];
        b->s.question = 0;
        ASSERT_OK_FATAL(tdo_target_new(&toy->net, &o, &t));
        ASSERT_OK_FATAL(tdo_target_logits(t, &b->s, b->x, &answer));
        memcpy(first, answer.logits, sizeof first);
        ASSERT_OK_FATAL(tdo_target_logits(t, &b->s, b->x, &answer));
        CU_ASSERT_EQUAL(b->s.question, 2);
        CU_ASSERT_EQUAL(memcmp(first, answer.logits, sizeof first) == 0,
                        redraw == TDO_REDRAW_ATTACK);
        b->s.question = 0;
        b->s.moment = 1; /* another step of a training: new in any case */
        ASSERT_OK_FATAL(tdo_target_logits(t, &b->s, b->x, &answer));
        CU_ASSERT_NOT_EQUAL(memcmp(first, answer.logits, sizeof first), 0);
        b->s.moment = 0;
        tdo_target_free(&t);
    }
    toy_batch_free(&b);
    toy_free(&toy);
}

/* ---- refusals --------------------------------------------------------------------------------------------- */

static void impossible_questions_are_refused_in_words(void)
{
    struct toy *toy = toy_new(&(struct toy_spec){.kind = TOY_LINEAR, .classes = 3});
    struct toy_batch *b = toy_batch(toy, 2, 8);
    tdo_target *t = toy_target(toy, 2, NULL);
    struct tdo_answer answer;
    const struct tdo_objective dlr = {.kind = TDO_LOSS_DLR, .targeted = true};
    CU_ASSERT_EQUAL(tdo_target_gradient(t, &dlr, &b->s, b->x, NULL, &answer), TDO_ERR_CONFIG);
    CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, "4 classes"));
    b->x[PIXELS] = NAN;
    CU_ASSERT_EQUAL(tdo_target_logits(t, &b->s, b->x, &answer), TDO_ERR_NUMERIC);
    CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, "101"));
    tdo_target_free(&t);
    toy->net.gradient = false;
    t = toy_target(toy, 2, NULL);
    const struct tdo_objective ce = {.kind = TDO_LOSS_CE};
    CU_ASSERT_EQUAL(tdo_target_gradient(t, &ce, &b->s, b->x, NULL, &answer), TDO_ERR_CONFIG);
    CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, "bf16"));
    tdo_target_free(&t);
    toy_batch_free(&b);
    toy_free(&toy);
}

/* ---- helpers ---------------------------------------------------------------------------------------------- */

static void ties_go_to_the_lowest_class(void)
{
    const float z[4] = {1, 3, 3, 2};
    CU_ASSERT_EQUAL(tdo_target_argmax(z, 4, -1), 1);
    CU_ASSERT_EQUAL(tdo_target_argmax(z, 4, 1), 2);
    CU_ASSERT_EQUAL(tdo_target_argmax(z, 4, 0), 1);
    CU_ASSERT_EQUAL(tdo_target_margin(z, 4, 1, false), 0);
    CU_ASSERT_EQUAL(tdo_target_margin(z, 4, 0, false), 2);
    CU_ASSERT_EQUAL(tdo_target_margin(z, 4, 0, true), -2);
    const float first[3] = {5, 1, 2};
    CU_ASSERT_EQUAL(tdo_target_argmax(first, 3, 0), 2);
}

static void softmax_survives_large_logits(void)
{
    const float z[6] = {1000, 1001, -2000, 0, 0, 0};
    float p[6];
    tdo_target_softmax(z, 2, 3, p);
    CU_ASSERT_TRUE(fabs((double)p[0] - 1 / (1 + exp(1))) <= 1e-7);
    CU_ASSERT_TRUE(fabs((double)p[1] - 1 / (1 + exp(-1))) <= 1e-7);
    CU_ASSERT_EQUAL(p[2], 0);
    CU_ASSERT_TRUE(fabs((double)p[5] - 1 / 3.0) <= 1e-7);
}

/* Value of the rounded pixels; the gradient as if nothing had been rounded. */
static void a_quantiser_is_straight_through(void)
{
    enum { N = 2, LEVELS = 4 };
    tdo_graph *g = NULL;
    tdo_plan *p = NULL;
    const struct tdo_plan_options o = {.full = true};
    ASSERT_OK_FATAL(tdo_graph_new(&g));
    tdo_node x = tdo_op_input(g, "x", TDO_SHAPE(N, 5)), dx = TDO_NONE;
    tdo_node y = tdo_target_quantise(g, x, LEVELS);
    tdo_node square = tdo_op_sum(g, tdo_op_mul(g, y, y), TDO_SHAPE(N, 1));
    tdo_grad(g, tdo_op_reshape(g, square, TDO_SHAPE(N)), TDO_NONE, 1, &x, &dx);
    ASSERT_OK_FATAL(tdo_plan_new(g, 2, (tdo_node[]){y, dx}, &o, &p));
    double *in = tdo_plan_input(p, x);
    for (int i = 0; i < N * 5; i++) {
        in[i] = toy_number(4, i);
    }
    ASSERT_OK_FATAL(tdo_plan_run(p));
    const double *value = tdo_plan_output(p, 0), *slope = tdo_plan_output(p, 1);
    for (int i = 0; i < N * 5; i++) {
        const double want = floor(toy_number(4, i) * (LEVELS - 1) + 0.5) / (LEVELS - 1);
        CU_ASSERT_TRUE(fabs(value[i] - want) <= 1e-15);
        CU_ASSERT_TRUE(fabs(slope[i] - 2 * want) <= 1e-15);
    }
    tdo_plan_free(&p);
    tdo_graph_free(&g);
}

CU_TestInfo suite_tests[] = {
    {"every loss and its gradient agree with double",
     every_loss_and_its_gradient_agree_with_double},
    {"every reduction over draws agrees with double",
     every_reduction_over_draws_agrees_with_double},
    {"ensembles and auxiliary heads enter as declared",
     ensembles_and_auxiliary_heads_enter_as_declared},
    {"a distribution takes the place of the class",
     a_distribution_takes_the_place_of_the_class},
    {"the margin stops at its confidence", the_margin_stops_at_its_confidence},
    {"logits agree with double in either units", logits_agree_with_double_in_either_units},
    {"Jacobians agree with double in either units",
     jacobians_agree_with_double_in_either_units},
    {"members are shown beside their mean", members_are_shown_beside_their_mean},
    {"answers have the same bits in any batch and place",
     answers_have_the_same_bits_in_any_batch_and_place},
    {"noise is new in each step, or stays", noise_is_new_in_each_step_or_stays},
    {"impossible questions are refused in words", impossible_questions_are_refused_in_words},
    {"ties go to the lowest class", ties_go_to_the_lowest_class},
    {"softmax survives large logits", softmax_survives_large_logits},
    {"a quantiser is straight through", a_quantiser_is_straight_through},
    CU_TEST_INFO_NULL,
};
