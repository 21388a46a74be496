/* Targets: plans over networks, samples packed into them. See target.h. */
#include "attacks/target.h"

#include <math.h>
#include <string.h>

#include "attacks/objective.h"
#include "nn/graph/grad.h"
#include "nn/graph/ops.h"
#include "nn/graph/plan.h"

enum { PLANS = 96 };
enum kind { LOGITS, GRADIENT, JACOBIAN };
enum { OUT_LOGITS, OUT_GRADIENT, OUT_VALUE }; /* outputs; members come behind them */

/* A compiled question for so many samples. */
struct question {
    enum kind kind;
    struct tdo_objective objective; /* GRADIENT */
    int n;                          /* JACOBIAN: classes of a sample */
    int64_t samples;
    tdo_node points, keys, goal, label, *class; /* inputs; class [n] */
    tdo_plan *plan;
};

struct tdo_target {
    struct tdo_target_network net;
    struct tdo_target_options o;
    struct tdo_box box;
    float *low, *high;
    float *scale, *shift; /* [P] pixel = scale u + shift; NULL where units are pixels */
    tdo_plan
        *input; /* of a batch of pixels, where points lie behind the input layer; else NULL */
    tdo_node pixels;
    bool random;
    struct question question[PLANS];
    int questions;
    int64_t *active; /* [batch] samples that are not done */
    float *logits, *members, *value, *gradient;
    int64_t room; /* floats in gradient */
};

/* ---- units and box ----------------------------------------------------------------------------- */

/* A plan of the input layer: points lie behind it. */
static tdo_err make_input(tdo_target *t)
{
    const struct tdo_target_network *n = &t->net;
    const char *what = "model.contrast or model.whiten mixes pixels";
    tdo_graph *g = NULL;
    tdo_err err = TDO_OK;
    if (!n->behind) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "units = input: %s: the job attack alone can look behind that, at one "
                        "network with nothing in front of its input layer",
                        what);
    }
    if (t->o.boxed) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "units = input: %s, there is no box of pixels behind "
                        "that: box = none expected",
                        what);
    }
    TDO_GOTO(tdo_graph_new(&g));
    t->pixels =
        tdo_op_input(g, "pixels", TDO_SHAPE(t->o.batch, n->height, n->width, n->channels));
    const tdo_node x = n->input(n->self, g, t->pixels);
    const struct tdo_plan_options options = {
        .fast = true, .param = n->param, .context = n->self};
    err = tdo_plan_new(g, 1, &x, &options, &t->input);
done:
    tdo_graph_free(&g);
    return err;
}

static tdo_err make_units(tdo_target *t)
{
    const struct tdo_target_network *n = &t->net;
    if (t->o.units == TDO_UNITS_PIXEL || (n->inputs == 0 && n->image == 0)) {
        return TDO_OK;
    }
    if (n->mixed) {
        return make_input(t);
    }
    const float *image = n->image ? n->param(n->self, n->image - 1) : NULL;
    TDO_TRY(tdo_memory_new(t->box.size, &t->scale));
    TDO_TRY(tdo_memory_new(t->box.size, &t->shift));
    for (int64_t p = 0; p < t->box.size; p++) {
        const int64_t c = n->inputs == 1 ? 0 : p % n->channels;
        t->scale[p] = n->inputs ? (float)n->std[c] : 1;
        t->shift[p] = image ? image[p % n->channels * n->height * n->width + p / n->channels]
                            : (float)n->mean[c];
    }
    return TDO_OK;
}

static tdo_err make_box(tdo_target *t)
{
    TDO_TRY(tdo_memory_new(t->box.size, &t->low));
    TDO_TRY(tdo_memory_new(t->box.size, &t->high));
    for (int64_t p = 0; p < t->box.size; p++) {
        const float scale = t->scale ? t->scale[p] : 1, shift = t->shift ? t->shift[p] : 0;
        t->low[p] = t->o.boxed ? (0 - shift) / scale : -HUGE_VALF;
        t->high[p] = t->o.boxed ? (1 - shift) / scale : HUGE_VALF;
    }
    t->box.low = t->low;
    t->box.high = t->high;
    return TDO_OK;
}

/* n rows through the input layer, a batch at a time. */
static void through_input(const tdo_target *t, const float *pixels, int64_t n, float *u)
{
    const int64_t size = t->box.size;
    for (int64_t at = 0; at < n; at += t->o.batch) {
        const size_t rows = (size_t)(n - at < t->o.batch ? n - at : t->o.batch);
        const size_t bytes = rows * (size_t)size * sizeof *u;
        memcpy(tdo_plan_input(t->input, t->pixels), pixels + at * size, bytes);
        const tdo_err err = tdo_plan_run(t->input);
        TDO_ASSERT(err == TDO_OK); /* there are no hooks that could fail */
        memcpy(u + at * size, tdo_plan_output(t->input, 0), bytes);
    }
}

bool tdo_target_is_behind(const tdo_target *t)
{
    return t->input != NULL;
}

void tdo_target_from_pixels(const tdo_target *t, const float *pixels, int64_t n, float *u)
{
    const int64_t size = t->box.size;
    if (t->input) {
        through_input(t, pixels, n, u);
        return;
    }
    memcpy(u, pixels, (size_t)(n * size) * sizeof *u);
    for (int64_t i = 0; t->scale && i < n * size; i++) {
        const int64_t p = i % size;
        const float v = (u[i] - t->shift[p]) / t->scale[p];
        u[i] = v < t->low[p] ? t->low[p] : v > t->high[p] ? t->high[p] : v;
    }
}

void tdo_target_to_pixels(const tdo_target *t, const float *u, int64_t n, float *pixels)
{
    const int64_t size = t->box.size;
    TDO_ASSERT(!t->input);
    memcpy(pixels, u, (size_t)(n * size) * sizeof *u);
    for (int64_t i = 0; t->scale && i < n * size; i++) {
        const int64_t p = i % size;
        const float v = u[i] * t->scale[p] + t->shift[p];
        pixels[i] = !t->o.boxed ? v : v < 0 ? 0 : v > 1 ? 1 : v;
    }
}

/* points times std, plus mean. */
static tdo_node scaled(const struct tdo_target_network *n, tdo_graph *g, tdo_node points)
{
    tdo_node part[16];
    if (n->inputs <= 1) {
        return n->inputs ? tdo_op_affine(g, points, n->std[0], n->mean[0]) : points;
    }
    for (int c = 0; c < (int)n->channels; c++) {
        const int64_t front[4] = {0, 0, 0, c}, behind[4] = {0, 0, 0, n->channels - c - 1};
        part[c] =
            tdo_op_affine(g, tdo_op_slice(g, points, front, behind), n->std[c], n->mean[c]);
    }
    return tdo_op_concat(g, (int)n->channels, part, 3);
}

static tdo_node pixels_of(const tdo_target *t, tdo_graph *g, tdo_node points)
{
    const struct tdo_target_network *n = &t->net;
    if (!t->scale) {
        return points;
    }
    tdo_node x = scaled(n, g, points);
    if (n->image) {
        const tdo_shape first = TDO_SHAPE(n->channels, n->height, n->width);
        tdo_node image = tdo_op_param(g, n->image - 1, "input.mean", first);
        image = tdo_op_reshape(g, image, TDO_SHAPE(1, n->channels, n->height, n->width));
        image = tdo_op_permute(g, image, (int[]){0, 2, 3, 1});
        x = tdo_op_add(g, x, tdo_op_broadcast(g, image, tdo_graph_shape(g, x)));
    }
    return x;
}

/* ---- compiling a question ------------------------------------------------------------------------- */

/* Each point once for every draw. */
static tdo_node repeated(const tdo_target *t, tdo_graph *g, tdo_node x, int64_t B)
{
    const int64_t m = t->o.draws, P = t->box.size;
    const struct tdo_target_network *n = &t->net;
    if (m == 1) {
        return x;
    }
    tdo_node y =
        tdo_op_broadcast(g, tdo_op_reshape(g, x, TDO_SHAPE(B, 1, P)), TDO_SHAPE(B, m, P));
    return tdo_op_reshape(g, y, TDO_SHAPE(B * m, n->height, n->width, n->channels));
}

static struct tdo_objective_graph network_graph(tdo_target *t, tdo_graph *g, struct question *q)
{
    const struct tdo_target_network *n = &t->net;
    const int64_t B = q->samples;
    struct tdo_objective_graph o = {.g = g,
                                    .samples = B,
                                    .draws = t->o.draws,
                                    .members = n->members,
                                    .classes = n->classes,
                                    .reduce = t->o.reduce,
                                    .auxiliary = TDO_NONE,
                                    .auxiliary_weight = t->o.auxiliary};
    q->points = tdo_op_input(g, "points", TDO_SHAPE(B, n->height, n->width, n->channels));
    q->keys = tdo_op_key(g, "keys", B * t->o.draws);
    q->goal = o.goal = tdo_op_input(g, "goal", TDO_SHAPE(B, n->classes));
    q->label = o.label = tdo_op_input(g, "label", TDO_SHAPE(B));
    tdo_node x = repeated(t, g, pixels_of(t, g, q->points), B);
    (tdo_target_is_behind(t) ? n->behind : n->build)(n->self, g, x, q->keys, o.logits,
                                                     &o.auxiliary);
    return o;
}

/* d z_class / du for n classes, as one result [B,n,P]. */
static tdo_node jacobian(tdo_target *t, const struct tdo_objective_graph *o, struct question *q)
{
    tdo_node z = tdo_objective_mean_logits(o), row[TDO_MAX_IN], all = TDO_NONE;
    const int64_t B = q->samples, P = t->box.size;
    int rows = 0;
    for (int k = 0; k < q->n; k++) {
        q->class[k] = tdo_op_input(o->g, "class", TDO_SHAPE(B));
        tdo_node picked = tdo_op_gather(o->g, z, q->class[k]), gradient = TDO_NONE;
        tdo_grad(o->g, picked, TDO_NONE, 1, &q->points, &gradient);
        row[rows++] = tdo_op_reshape(o->g, gradient, TDO_SHAPE(B, 1, P));
        if (rows == TDO_MAX_IN || k + 1 == q->n) {
            all = rows > 1 ? tdo_op_concat(o->g, rows, row, 1) : row[0];
            row[0] = all;
            rows = 1;
        }
    }
    return all;
}

static int own_outputs(enum kind kind)
{
    return kind == LOGITS ? 1 : kind == JACOBIAN ? 2 : 3;
}

static int outputs_of(tdo_target *t, tdo_graph *g, struct question *q, tdo_node *out)
{
    struct tdo_objective_graph o = network_graph(t, g, q);
    int outputs = own_outputs(q->kind);
    out[OUT_LOGITS] = tdo_objective_decision(&o, -1);
    if (q->kind == GRADIENT) {
        out[OUT_VALUE] = tdo_objective_value(&o, &q->objective);
        tdo_grad(g, out[OUT_VALUE], TDO_NONE, 1, &q->points, &out[OUT_GRADIENT]);
    } else if (q->kind == JACOBIAN) {
        out[OUT_GRADIENT] = jacobian(t, &o, q);
    }
    for (int i = 0; t->net.members > 1 && i < t->net.members; i++) {
        out[outputs++] = tdo_objective_decision(&o, i);
    }
    return outputs;
}

static tdo_err compile(tdo_target *t, struct question *q)
{
    tdo_graph *g = NULL;
    tdo_node out[3 + TDO_TARGET_MEMBERS];
    tdo_err err = TDO_OK;
    const struct tdo_plan_options options = {
        .fast = true, .bf16 = t->net.narrow, .param = t->net.param, .context = t->net.self};
    TDO_GOTO(tdo_memory_new(q->n + 1, &q->class));
    TDO_GOTO(tdo_graph_new(&g));
    const int outputs = outputs_of(t, g, q, out);
    err = tdo_plan_new(g, outputs, out, &options, &q->plan);
done:
    tdo_graph_free(&g);
    return err;
}

static bool same_question(const struct question *a, const struct question *b)
{
    const struct tdo_objective *x = &a->objective, *y = &b->objective;
    return a->kind == b->kind && a->n == b->n && a->samples == b->samples &&
           x->kind == y->kind && x->targeted == y->targeted && x->confidence == y->confidence;
}

/* The compiled form of a question. */
static tdo_err find_question(tdo_target *t, const struct question *wanted,
                             struct question **out)
{
    for (int i = 0; i < t->questions; i++) {
        if (same_question(&t->question[i], wanted)) {
            *out = &t->question[i];
            return TDO_OK;
        }
    }
    if (t->questions == PLANS) {
        return TDO_FAIL(TDO_ERR_BUG, "an attack asks more than %d kinds of questions", PLANS);
    }
    struct question *q = &t->question[t->questions];
    *q = *wanted;
    tdo_err err = compile(t, q);
    if (err != TDO_OK) {
        tdo_plan_free(&q->plan);
        tdo_memory_free(&q->class);
        return err;
    }
    t->questions++;
    *out = q;
    return TDO_OK;
}

/* ---- asking ------------------------------------------------------------------------------------------ */

/* The smallest of the halvings of the batch that holds n samples: few samples are not computed as
 * many. */
static int64_t plan_size(const tdo_target *t, int64_t n)
{
    int64_t size = t->o.batch;
    while (size > 1 && (size + 1) / 2 >= n) {
        size = (size + 1) / 2;
    }
    return size;
}

static int64_t find_active(tdo_target *t, const struct tdo_samples *s)
{
    int64_t n = 0;
    for (int64_t i = 0; i < s->count; i++) {
        if (!s->done[i]) {
            t->active[n++] = i;
        }
    }
    return n;
}

static void fill_keys(const tdo_target *t, const struct tdo_samples *s, int64_t n,
                      struct tdo_key *key)
{
    const uint32_t m = (uint32_t)t->o.draws;
    const uint32_t first = t->o.redraw == TDO_REDRAW_STEP ? s->question * m : 0;
    for (int64_t a = 0; a < n * m; a++) {
        key[a] = (struct tdo_key){.sample = s->id[t->active[a / m]],
                                  .draw = first + (uint32_t)(a % m),
                                  .step = s->moment,
                                  .purpose = t->o.purpose};
    }
}

static void fill_goal(const tdo_target *t, const struct tdo_samples *s, int64_t n,
                      const float *goal, float *to)
{
    const int K = t->net.classes;
    for (int64_t a = 0; a < n; a++) {
        const int64_t i = t->active[a];
        for (int k = 0; k < K; k++) {
            to[a * K + k] = goal ? goal[i * K + k] : (float)(k == s->aim[i]);
        }
    }
}

static void fill(tdo_target *t, struct question *q, const struct tdo_samples *s, int64_t n,
                 const float *u, const float *goal)
{
    const int64_t P = t->box.size;
    float *points = tdo_plan_input(q->plan, q->points);
    struct tdo_key *keys = tdo_plan_input(q->plan, q->keys);
    float *to = tdo_plan_input(q->plan, q->goal), *label = tdo_plan_input(q->plan, q->label);
    for (int64_t a = 0; a < n; a++) {
        memcpy(points + a * P, u + t->active[a] * P, (size_t)P * sizeof *points);
        if (label) {
            label[a] = (float)s->label[t->active[a]];
        }
    }
    if (keys) {
        fill_keys(t, s, n, keys);
    }
    if (to) {
        fill_goal(t, s, n, goal, to);
    }
}

/* Packed rows of result k to their samples in `to` [count,width]; the others get zeros. */
static void spread(const tdo_target *t, const struct question *q, const struct tdo_samples *s,
                   int64_t n, int k, int64_t width, float *to)
{
    const float *from = tdo_plan_output(q->plan, k);
    const size_t bytes = (size_t)width * sizeof *to;
    int64_t a = 0;
    for (int64_t i = 0; i < s->count; i++) {
        if (a < n && t->active[a] == i) {
            memcpy(to + i * width, from + a++ * width, bytes);
        } else {
            memset(to + i * width, 0, bytes);
        }
    }
}

static tdo_err check_logits(const tdo_target *t, const struct tdo_samples *s)
{
    const int K = t->net.classes;
    for (int64_t i = 0; i < s->count * K; i++) {
        if (isnan(t->logits[i])) {
            return TDO_FAIL(TDO_ERR_NUMERIC,
                            "image %llu, question %u of an attack: logit %d is not a number",
                            (unsigned long long)s->id[i / K], (unsigned)s->question,
                            (int)(i % K));
        }
    }
    return TDO_OK;
}

/* Members side by side: [count,members,K]. */
static void spread_members(tdo_target *t, const struct question *q, const struct tdo_samples *s,
                           int64_t n)
{
    const int64_t K = t->net.classes, M = t->net.members;
    const int first = own_outputs(q->kind);
    memset(t->members, 0, (size_t)(s->count * M * K) * sizeof *t->members);
    for (int64_t a = 0; a < n; a++) {
        for (int64_t i = 0; i < M; i++) {
            const float *from = tdo_plan_output(q->plan, first + (int)i);
            memcpy(t->members + (t->active[a] * M + i) * K, from + a * K,
                   (size_t)K * sizeof *from);
        }
    }
}

static tdo_err room_for(tdo_target *t, int64_t floats)
{
    if (floats > t->room) {
        tdo_memory_free(&t->gradient);
        t->room = 0;
        TDO_TRY(tdo_memory_new(floats, &t->gradient));
        t->room = floats;
    }
    return TDO_OK;
}

static tdo_err collect(tdo_target *t, const struct question *q, struct tdo_samples *s,
                       int64_t n, struct tdo_answer *out)
{
    const int64_t K = t->net.classes, P = t->box.size;
    const int64_t columns = q->kind == JACOBIAN ? q->n : 1;
    *out = (struct tdo_answer){.logits = t->logits, .members = t->members};
    spread(t, q, s, n, OUT_LOGITS, K, t->logits);
    TDO_TRY(check_logits(t, s));
    if (t->net.members > 1) {
        spread_members(t, q, s, n);
    }
    if (q->kind == GRADIENT) {
        spread(t, q, s, n, OUT_VALUE, 1, t->value);
        out->value = t->value;
    }
    if (q->kind != LOGITS) {
        TDO_TRY(room_for(t, t->o.batch * columns * P));
        spread(t, q, s, n, OUT_GRADIENT, columns * P, t->gradient);
        out->gradient = t->gradient;
    }
    for (int64_t a = 0; a < n; a++) {
        s->queries[t->active[a]] += (uint64_t)t->o.draws;
        s->gradients[t->active[a]] += q->kind == LOGITS ? 0 : (uint64_t)(t->o.draws * columns);
    }
    s->question++;
    return TDO_OK;
}

static void fill_classes(const tdo_target *t, const struct question *q, int64_t n,
                         const int32_t *class)
{
    for (int k = 0; k < q->n; k++) {
        float *to = tdo_plan_input(q->plan, q->class[k]);
        for (int64_t a = 0; to && a < n; a++) {
            to[a] = (float)class[t->active[a] * q->n + k];
        }
    }
}

static tdo_err ask(tdo_target *t, struct question wanted, struct tdo_samples *s, const float *u,
                   const float *goal, const int32_t *class, struct tdo_answer *out)
{
    struct question *q = NULL;
    const int64_t n = find_active(t, s);
    if (((uint64_t)s->question + 1) * (uint64_t)t->o.draws > UINT32_MAX) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "an attack asks %u questions of %d draws each: there are keys for 2^32 "
                        "draws",
                        (unsigned)s->question + 1, t->o.draws);
    }
    if (wanted.kind != LOGITS && !t->net.gradient) {
        return TDO_FAIL(TDO_ERR_CONFIG, "model.precision = bf16 has no gradients; this attack "
                                        "needs them: model.precision = f32");
    }
    wanted.samples = plan_size(t, n);
    TDO_TRY(find_question(t, &wanted, &q));
    if (n > 0) {
        fill(t, q, s, n, u, goal);
        fill_classes(t, q, n, class);
        TDO_TRY(tdo_plan_run(q->plan));
    }
    TDO_TRY(collect(t, q, s, n, out));
    return t->o.between ? t->o.between(t->o.user) : TDO_OK;
}

tdo_err tdo_target_logits(tdo_target *t, struct tdo_samples *s, const float *u,
                          struct tdo_answer *out)
{
    return ask(t, (struct question){.kind = LOGITS}, s, u, NULL, NULL, out);
}

tdo_err tdo_target_gradient(tdo_target *t, const struct tdo_objective *o, struct tdo_samples *s,
                            const float *u, const float *goal, struct tdo_answer *out)
{
    const int least = o->kind == TDO_LOSS_DLR ? o->targeted ? 4 : 3 : 2;
    if (t->net.classes < least) {
        return TDO_FAIL(TDO_ERR_CONFIG, "loss = dlr compares %d classes, the network has %d",
                        least, t->net.classes);
    }
    return ask(t, (struct question){.kind = GRADIENT, .objective = *o}, s, u, goal, NULL, out);
}

tdo_err tdo_target_jacobian(tdo_target *t, struct tdo_samples *s, const float *u, int n,
                            const int32_t *class, struct tdo_answer *out)
{
    return ask(t, (struct question){.kind = JACOBIAN, .n = n}, s, u, NULL, class, out);
}

/* ---- logits ------------------------------------------------------------------------------------ */

int tdo_target_argmax(const float *logits, int classes, int except)
{
    int best = except == 0 ? 1 : 0;
    for (int k = best + 1; k < classes; k++) {
        best = k != except && logits[k] > logits[best] ? k : best;
    }
    return best;
}

void tdo_target_softmax(const float *z, int64_t rows, int classes, float *p)
{
    for (int64_t i = 0; i < rows * classes; i += classes) {
        const double top = (double)z[i + tdo_target_argmax(z + i, classes, -1)];
        double sum = 0;
        for (int k = 0; k < classes; k++) {
            sum += exp((double)z[i + k] - top);
        }
        for (int k = 0; k < classes; k++) {
            p[i + k] = (float)(exp((double)z[i + k] - top) / sum);
        }
    }
}

double tdo_target_margin(const float *logits, int classes, int aim, bool targeted)
{
    const int other = tdo_target_argmax(logits, classes, aim);
    const double gap = (double)logits[other] - (double)logits[aim];
    return targeted ? -gap : gap;
}

/* ---- in front ------------------------------------------------------------------------------------ */

/* x - detach(x) is 0, exactly, and has x's derivative. */
tdo_node tdo_target_straight_through(tdo_graph *g, tdo_node x, tdo_node y)
{
    tdo_node zero = tdo_op_sub(g, x, tdo_op_detach(g, x));
    return tdo_op_add(g, tdo_op_detach(g, y), zero);
}

tdo_node tdo_target_quantise(tdo_graph *g, tdo_node pixels, int64_t levels)
{
    const double most = (double)(levels - 1);
    tdo_node y = tdo_op_round(g, tdo_op_affine(g, pixels, most, 0));
    return tdo_target_straight_through(g, pixels, tdo_op_affine(g, y, 1 / most, 0));
}

/* ---- life ------------------------------------------------------------------------------------------ */

/* A target is random if something in it draws. */
static tdo_err find_draws(tdo_target *t)
{
    tdo_graph *g = NULL;
    struct question one = {.kind = LOGITS, .samples = 1};
    TDO_TRY(tdo_graph_new(&g));
    t->o.draws = 1;
    (void)network_graph(t, g, &one);
    tdo_err err = tdo_graph_check(g);
    for (tdo_node i = 0; err == TDO_OK && i < tdo_graph_size(g); i++) {
        t->random = t->random || tdo_graph_at(g, i)->op == &tdo_row_random;
    }
    tdo_graph_free(&g);
    return err;
}

static tdo_err make(tdo_target *t)
{
    const int64_t B = t->o.batch, K = t->net.classes;
    const int draws = t->o.draws;
    TDO_TRY(make_units(t));
    TDO_TRY(find_draws(t));
    t->o.draws = t->random && draws > 1 ? draws : 1;
    TDO_TRY(make_box(t));
    TDO_TRY(tdo_memory_new(B, &t->active));
    TDO_TRY(tdo_memory_new(B * K, &t->logits));
    TDO_TRY(tdo_memory_new(B, &t->value));
    return t->net.members > 1 ? tdo_memory_new(B * K * t->net.members, &t->members) : TDO_OK;
}

tdo_err tdo_target_new(const struct tdo_target_network *n, const struct tdo_target_options *o,
                       tdo_target **out)
{
    TDO_TRY(tdo_memory_new(1, out));
    tdo_target *t = *out;
    t->net = *n;
    t->o = *o;
    t->box.size = n->height * n->width * n->channels;
    tdo_err err = make(t);
    if (err != TDO_OK) {
        tdo_target_free(out);
    }
    return err;
}

void tdo_target_free(tdo_target **target)
{
    tdo_target *t = *target;
    if (!t) {
        return;
    }
    for (int i = 0; i < t->questions; i++) {
        tdo_plan_free(&t->question[i].plan);
        tdo_memory_free(&t->question[i].class);
    }
    tdo_plan_free(&t->input);
    tdo_memory_free(&t->low);
    tdo_memory_free(&t->high);
    tdo_memory_free(&t->scale);
    tdo_memory_free(&t->shift);
    tdo_memory_free(&t->active);
    tdo_memory_free(&t->logits);
    tdo_memory_free(&t->members);
    tdo_memory_free(&t->value);
    tdo_memory_free(&t->gradient);
    tdo_memory_free(target);
}

void tdo_target_touch(tdo_target *t)
{
    for (int i = 0; i < t->questions; i++) {
        tdo_plan_touch(t->question[i].plan);
    }
    if (t->input) {
        tdo_plan_touch(t->input);
    }
}

int64_t tdo_target_batch(const tdo_target *t)
{
    return t->o.batch;
}

int64_t tdo_target_size(const tdo_target *t)
{
    return t->box.size;
}

int tdo_target_classes(const tdo_target *t)
{
    return t->net.classes;
}

int tdo_target_members(const tdo_target *t)
{
    return t->net.members;
}

bool tdo_target_differentiable(const tdo_target *t)
{
    return t->net.gradient;
}

bool tdo_target_random(const tdo_target *t)
{
    return t->random;
}

const struct tdo_box *tdo_target_box(const tdo_target *t)
{
    return &t->box;
}
