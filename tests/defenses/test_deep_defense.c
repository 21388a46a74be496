/* The regulariser of Deep Defense: its value against DeepFool as a plain loop in double, its gradient
 * by the weights against central differences, through logits, input gradients and earlier steps:
 * of a small network by each weight, of LeNet and a network with batch norm along a direction in
 * each layer. And against its literal form, where the gradients of all classes are differentiated. */
#include <math.h>
#include <string.h>

#include "defenses/defense.h"
#include "nn/models/models.h"
#include "tests/nn/support.h"

const char suite_name[] = "defenses/deep_defense";

enum { N = 6, P = 5, M = 7, K = 4, WEIGHTS = M * P + K * M };

/* z = w2 relu(w1 x). */
struct network {
    tdo_graph *g;
    tdo_node w;
};

static tdo_node evaluate(void *self, tdo_node x, const char *layers)
{
    (void)layers;
    struct network *n = self;
    tdo_node w1 = tdo_op_slice(n->g, n->w, (int64_t[]){0}, (int64_t[]){K * M});
    tdo_node w2 = tdo_op_slice(n->g, n->w, (int64_t[]){M * P}, (int64_t[]){0});
    w1 = tdo_op_reshape(n->g, w1, TDO_SHAPE(M, P));
    w2 = tdo_op_reshape(n->g, w2, TDO_SHAPE(K, M));
    tdo_node h = tdo_op_matmul(n->g, tdo_op_reshape(n->g, x, TDO_SHAPE(N, P)), w1, false, true);
    return tdo_op_matmul(n->g, tdo_op_relu(n->g, h), w2, false, true);
}

static tdo_node input(void *self, tdo_node pixels)
{
    (void)self;
    return pixels;
}

static const struct tdo_defense *row(void)
{
    for (int i = 0; tdo_defense_table[i]; i++) {
        if (strcmp(tdo_defense_table[i]->name, "deep_defense") == 0) {
            return tdo_defense_table[i];
        }
    }
    return NULL;
}

/* lambda, c, d, steps, overshoot, small: as in the row's table. */
static const double value[] = {15, 3, 2, 5, 0.02, 5e-6};

static double weight(int j)
{
    return 1.5 * probe_number(1, j);
}

static double pixel(int i)
{
    return probe_number(2, i);
}

/* Labels: most are right, so that both kinds of rows are there. */
static int label_of(int i, const int *predicted)
{
    return i % 3 == 2 ? (predicted[i] + 1) % K : predicted[i];
}

/* ---- the plain loop ----------------------------------------------------------------------------------- */

/* Logits, and their gradients by x, of one image. */
static void plain(const double *w, const double *x, double *z, double (*g)[P])
{
    double h[M];
    for (int m = 0; m < M; m++) {
        h[m] = 0;
        for (int p = 0; p < P; p++) {
            h[m] += w[m * P + p] * x[p];
        }
    }
    for (int k = 0; k < K; k++) {
        z[k] = 0;
        memset(g[k], 0, sizeof g[k]);
        for (int m = 0; m < M; m++) {
            const double v = w[M * P + k * M + m];
            z[k] += h[m] > 0 ? v * h[m] : 0;
            for (int p = 0; p < P; p++) {
                g[k][p] += h[m] > 0 ? v * w[m * P + p] : 0;
            }
        }
    }
}

static int top(const double *z)
{
    int best = 0;
    for (int k = 1; k < K; k++) {
        best = z[k] > z[best] ? k : best;
    }
    return best;
}

/* |z_l - z_own| and |w_l + e|. */
static void boundary(const double *z, double (*g)[P], int l, int own, double *gap,
                     double *length)
{
    double sum = 0;
    for (int p = 0; p < P; p++) {
        const double w = g[l][p] - g[own][p] + value[5];
        sum += w * w;
    }
    *gap = fabs(z[l] - z[own]);
    *length = sqrt(sum);
}

static double oracle(const double *w, const double *x, int label)
{
    double z[K], g[K][P], r[P] = {0}, u[P], far = 0, size = 0;
    plain(w, x, z, g);
    const int predicted = top(z);
    int own = predicted;
    for (int step = 0; step < (int)value[3]; step++) {
        int to = label;
        double gap, length, least = HUGE_VAL;
        for (int p = 0; p < P; p++) {
            u[p] = x[p] + r[p];
        }
        plain(w, u, z, g);
        for (int l = 0; l < K && predicted == label; l++) {
            boundary(z, g, l, own, &gap, &length);
            if (l != own && gap / length < least) {
                least = gap / length;
                to = l;
            }
        }
        boundary(z, g, to, own, &gap, &length);
        for (int p = 0; p < P; p++) {
            r[p] += gap / length * (g[to][p] - g[own][p]) / length;
            u[p] = x[p] + (1 + value[4]) * r[p];
        }
        plain(w, u, z, g);
        if (predicted == label ? top(z) != predicted : top(z) == label) {
            break;
        }
        own = predicted == label ? own : top(z);
    }
    for (int p = 0; p < P; p++) {
        far += (1 + value[4]) * r[p] * (1 + value[4]) * r[p];
        size += x[p] * x[p];
    }
    const double relative = sqrt(far / size);
    return value[0] *
           (predicted == label ? exp(-value[1] * relative) : exp(value[2] * relative));
}

/* ---- the graph ------------------------------------------------------------------------------------------ */

/* The penalty of each row, and the gradient of their sum. */
static void run(const double *w, const double *labels, double *penalty, double *gradient)
{
    struct tdo_defense_use use = {.row = row()};
    struct network net = {0};
    double x[N * P];
    memcpy(use.value, value, sizeof value);
    for (int i = 0; i < N * P; i++) {
        x[i] = pixel(i);
    }
    ASSERT_OK_FATAL(tdo_graph_new(&net.g));
    net.w = tdo_op_input(net.g, "w", TDO_SHAPE(WEIGHTS));
    tdo_node pixels = tdo_op_input(net.g, "x", TDO_SHAPE(N, 1, 1, P));
    tdo_node y = tdo_op_input(net.g, "y", TDO_SHAPE(N)), out[2];
    struct tdo_defense_step step = {.g = net.g,
                                    .pixels = pixels,
                                    .labels = y,
                                    .input = input,
                                    .evaluate = evaluate,
                                    .self = &net};
    out[0] = use.row->penalty(&use, &step);
    tdo_grad(net.g, out[0], TDO_NONE, 1, &net.w, &out[1]);
    ASSERT_OK_FATAL(tdo_graph_check(net.g));
    tdo_plan *p = probe_plan(net.g, 2, out, F64, NULL);
    probe_set(p, net.w, F64, WEIGHTS, w);
    probe_set(p, pixels, F64, N * P, x);
    probe_set(p, y, F64, N, labels);
    ASSERT_OK_FATAL(tdo_plan_run(p));
    probe_get(p, 0, F64, N, penalty);
    probe_get(p, 1, F64, WEIGHTS, gradient);
    tdo_plan_free(&p);
    tdo_graph_free(&net.g);
}

static void set_up(double *w, double *labels)
{
    int predicted[N];
    for (int j = 0; j < WEIGHTS; j++) {
        w[j] = weight(j);
    }
    for (int i = 0; i < N; i++) {
        double x[P], z[K], g[K][P];
        for (int p = 0; p < P; p++) {
            x[p] = pixel(i * P + p);
        }
        plain(w, x, z, g);
        predicted[i] = top(z);
        labels[i] = label_of(i, predicted);
    }
}

static void its_value_is_that_of_the_plain_loop(void)
{
    double w[WEIGHTS], labels[N], penalty[N], gradient[WEIGHTS];
    set_up(w, labels);
    run(w, labels, penalty, gradient);
    for (int i = 0; i < N; i++) {
        double x[P];
        for (int p = 0; p < P; p++) {
            x[p] = pixel(i * P + p);
        }
        const double want = oracle(w, x, (int)labels[i]);
        CU_ASSERT(fabs(penalty[i] - want) <= 1e-10 * (1 + want));
    }
}

static void its_gradient_is_that_of_central_differences(void)
{
    const double h = 1e-6;
    double w[WEIGHTS], labels[N], penalty[N], gradient[WEIGHTS], unused[WEIGHTS], most = 0;
    set_up(w, labels);
    run(w, labels, penalty, gradient);
    for (int j = 0; j < WEIGHTS; j++) {
        double sum[2] = {0}, at = w[j];
        for (int side = 0; side < 2; side++) {
            w[j] = at + (side ? h : -h);
            run(w, labels, penalty, unused);
            for (int i = 0; i < N; i++) {
                sum[side] += penalty[i];
            }
        }
        w[j] = at;
        const double slope = (sum[1] - sum[0]) / (2 * h);
        CU_ASSERT(fabs(gradient[j] - slope) <= 1e-5 * (1 + fabs(slope)));
        most = fmax(most, fabs(slope));
    }
    CU_ASSERT(most > 0.1);
}

/* ---- models ------------------------------------------------------------------------------------------- */

enum { ROWS = 3, CLASSES = 4, LAYERS = 24 };

/* A model of the table; layer k's weights are moved by t[k] along a direction. */
struct subject {
    struct network net;
    const char *model;
    struct tdo_model_spec spec;
    tdo_params *params;
    tdo_node x, y, t, direction[LAYERS];
    int layers;
    bool moves;
};

static tdo_node moved(struct tdo_build *b, const void *self, tdo_node w, int layer)
{
    struct subject *s = (struct subject *)self;
    const tdo_shape shape = tdo_graph_shape(b->g, w);
    int64_t lo[1] = {layer}, hi[1] = {LAYERS - layer - 1};
    if (!s->moves) {
        return w;
    }
    if (layer >= s->layers) {
        s->direction[layer] = tdo_op_input(b->g, "direction", shape);
        s->layers = layer + 1;
    }
    tdo_node t = tdo_op_slice(b->g, s->t, lo, hi);
    t = tdo_op_reshape(b->g, t, shape.rank == 4 ? TDO_SHAPE(1, 1, 1, 1) : TDO_SHAPE(1, 1));
    t = tdo_op_broadcast(b->g, t, shape);
    return tdo_op_add(b->g, w, tdo_op_mul(b->g, t, s->direction[layer]));
}

static tdo_node behind(void *self, tdo_node x, const char *layers)
{
    struct subject *s = self;
    struct tdo_hook hook = {.weight = moved, .self = s};
    struct tdo_build b = {.g = s->net.g,
                          .params = s->params,
                          .auxiliary = TDO_NONE,
                          .norm = TDO_NORM_RUNNING,
                          .row_weights = TDO_NONE,
                          .keys = TDO_NONE,
                          .learns = layers,
                          .hook = &hook,
                          .hooks = 1};
    return tdo_model_behind(&b, tdo_model_find(s->model), &s->spec, x);
}

static void new_subject(const char *model, int64_t side, struct subject *s)
{
    *s = (struct subject){.model = model,
                          .spec = {.height = side,
                                   .width = side,
                                   .channels = 1,
                                   .classes = CLASSES,
                                   .shortcut = 'B',
                                   .wide = 1.0 / 8}};
    ASSERT_OK_FATAL(tdo_params_new(&s->params));
    ASSERT_OK_FATAL(tdo_graph_new(&s->net.g)); /* once, for the table of parameters */
    (void)behind(s, tdo_op_input(s->net.g, "x", TDO_SHAPE(1, side, side, 1)), "");
    tdo_graph_free(&s->net.g);
}

static void free_subject(struct subject *s)
{
    tdo_params_free(&s->params);
}

/* Numbers of about the size that layers want; variances and scales around 1. */
static void set_values(const struct subject *s)
{
    ASSERT_OK_FATAL(tdo_params_init(s->params, 1));
    for (int64_t i = 0; i < tdo_params_entries(s->params); i++) {
        const struct tdo_param *e = tdo_params_at(s->params, i);
        float *v = tdo_params_values(s->params, i);
        const bool about_one = e->init == TDO_INIT_ONE;
        for (int64_t k = 0; k < e->count && e->shape.rank == 1; k++) {
            v[k] = (float)(0.3 * probe_number((uint32_t)i, k)) + (about_one ? 1.0F : 0.0F);
        }
        for (int64_t k = 0; k < e->count && e->shape.rank > 1; k++) {
            v[k] *= 2;
        }
    }
}

typedef tdo_node penalty_fn(const struct tdo_defense_use *use, struct tdo_defense_step *s);

/* The sum of the penalties over the rows. */
static tdo_node build_penalty(struct subject *s, penalty_fn *penalty, const char *layers)
{
    struct tdo_defense_use use = {.row = row()};
    const struct tdo_model_spec *m = &s->spec;
    memcpy(use.value, value, sizeof value);
    use.text[sizeof value / sizeof *value] = layers;
    ASSERT_OK_FATAL(tdo_graph_new(&s->net.g));
    s->layers = 0;
    s->t = tdo_op_input(s->net.g, "t", TDO_SHAPE(LAYERS));
    s->x = tdo_op_input(s->net.g, "x", TDO_SHAPE(ROWS, m->height, m->width, 1));
    s->y = tdo_op_input(s->net.g, "y", TDO_SHAPE(ROWS));
    struct tdo_defense_step step = {.g = s->net.g,
                                    .pixels = s->x,
                                    .labels = s->y,
                                    .input = input,
                                    .evaluate = behind,
                                    .self = s};
    return tdo_op_total(s->net.g, penalty(&use, &step));
}

static void fill_subject(const struct subject *s, tdo_plan *p, const double *t)
{
    const double labels[ROWS] = {0, 1, 2};
    probe_fill(p, s->net.g, s->x, F64, 77);
    probe_set(p, s->y, F64, ROWS, labels);
    probe_set(p, s->t, F64, LAYERS, t);
    for (int k = 0; k < s->layers; k++) {
        probe_fill(p, s->net.g, s->direction[k], F64, (uint32_t)(100 + k));
    }
}

static void agrees_along_directions(const char *model, int64_t side)
{
    const double h = 1e-6;
    double t[LAYERS] = {0}, gradient[LAYERS], most = 0;
    struct subject s;
    new_subject(model, side, &s);
    s.moves = true;
    tdo_node out[2] = {build_penalty(&s, row()->penalty, "")};
    tdo_grad(s.net.g, out[0], TDO_NONE, 1, &s.t, &out[1]);
    ASSERT_OK_FATAL(tdo_graph_check(s.net.g));
    set_values(&s);
    tdo_plan *slope = probe_plan(s.net.g, 1, &out[1], F64, s.params);
    tdo_plan *p = probe_plan(s.net.g, 1, &out[0], F64, s.params);
    fill_subject(&s, slope, t);
    ASSERT_OK_FATAL(tdo_plan_run(slope));
    probe_get(slope, 0, F64, LAYERS, gradient);
    for (int k = 0; k < s.layers; k++) {
        double side_of[2];
        for (int i = 0; i < 2; i++) {
            t[k] = i ? h : -h;
            fill_subject(&s, p, t);
            ASSERT_OK_FATAL(tdo_plan_run(p));
            probe_get(p, 0, F64, 1, &side_of[i]);
        }
        t[k] = 0;
        const double want = (side_of[1] - side_of[0]) / (2 * h);
        CU_ASSERT(fabs(gradient[k] - want) <= 2e-5 * (1 + fabs(want)));
        most = fmax(most, fabs(want));
    }
    CU_ASSERT(most > 0.1);
    tdo_plan_free(&slope);
    tdo_plan_free(&p);
    tdo_graph_free(&s.net.g);
    free_subject(&s);
}

static void that_of_lenet_is_that_of_central_differences(void)
{
    agrees_along_directions("lenet", 16);
}

static void that_of_batch_norm_is_that_of_central_differences(void)
{
    agrees_along_directions("resnet20", 8);
}

/* ---- gradients by the weights themselves ------------------------------------------------------------- */

/* The penalty and its gradients by all weights, one after the other. Owner of *out: caller. */
static void gradients_of(struct subject *s, penalty_fn *penalty, const char *layers,
                         double **out)
{
    enum { MOST = 128 };
    tdo_node output[MOST], wrt[MOST];
    const double t[LAYERS] = {0};
    int n = 0;
    int64_t at = 1;
    output[0] = build_penalty(s, penalty, layers);
    for (int64_t i = 0; i < tdo_params_entries(s->params); i++) {
        const struct tdo_param *e = tdo_params_at(s->params, i);
        if (e->kind == TDO_PARAM_WEIGHT) {
            CU_ASSERT_FATAL(n < MOST - 1);
            wrt[n++] = tdo_op_param(s->net.g, i, e->name, e->shape);
        }
    }
    tdo_grad(s->net.g, output[0], TDO_NONE, n, wrt, output + 1);
    ASSERT_OK_FATAL(tdo_graph_check(s->net.g));
    set_values(s);
    tdo_plan *p = probe_plan(s->net.g, n + 1, output, F64, s->params);
    fill_subject(s, p, t);
    ASSERT_OK_FATAL(tdo_plan_run(p));
    ASSERT_OK_FATAL(tdo_memory_new(1 + tdo_params_count(s->params, TDO_PARAM_WEIGHT), out));
    probe_get(p, 0, F64, 1, *out);
    for (int k = 0; k < n; k++) {
        const int64_t count = probe_count(s->net.g, output[k + 1]);
        probe_get(p, k + 1, F64, count, *out + at);
        at += count;
    }
    tdo_plan_free(&p);
    tdo_graph_free(&s->net.g);
}

static tdo_node column(tdo_graph *g, tdo_node v, tdo_shape to)
{
    return tdo_op_broadcast(g, tdo_op_reshape(g, v, TDO_SHAPE(ROWS, 1)), to);
}

static tdo_node length_of(tdo_graph *g, tdo_node w)
{
    tdo_node square = tdo_op_sum(g, tdo_op_mul(g, w, w), TDO_SHAPE(ROWS, 1));
    return tdo_op_sqrt(g, tdo_op_reshape(g, square, TDO_SHAPE(ROWS)));
}

static tdo_node size_of(tdo_graph *g, tdo_node v)
{
    return tdo_op_mul(g, v, tdo_op_sign(g, v));
}

/* r of one step, all that it is made of differentiated: each class's gradient, minus that of
 * `own`, and the one that counts taken by a mask. */
static tdo_node literal_step(struct tdo_defense_step *s, tdo_node point, tdo_node own,
                             tdo_node wrong)
{
    tdo_graph *g = s->g;
    const tdo_shape image = tdo_graph_shape(g, point), all = TDO_SHAPE(ROWS, CLASSES);
    const tdo_shape flat = TDO_SHAPE(ROWS, tdo_shape_count(&image) / ROWS);
    tdo_node z = s->evaluate(s->self, point, ""), w[CLASSES], mine = TDO_NONE, to, r = TDO_NONE;
    tdo_node far = tdo_op_constant(g, all, 0), is[CLASSES];
    for (int l = 0; l < CLASSES; l++) {
        tdo_node index = tdo_op_constant(g, TDO_SHAPE(ROWS), l);
        tdo_grad(g, tdo_op_gather(g, z, index), TDO_NONE, 1, &point, &w[l]);
        w[l] = tdo_op_reshape(g, w[l], flat);
        tdo_node here = tdo_op_gather(g, tdo_op_one_hot(g, own, CLASSES), index);
        tdo_node part = tdo_op_mul(g, w[l], column(g, here, flat));
        mine = l ? tdo_op_add(g, mine, part) : part;
    }
    tdo_node own_z = tdo_op_gather(g, z, own), step[CLASSES];
    for (int l = 0; l < CLASSES; l++) {
        tdo_node index = tdo_op_constant(g, TDO_SHAPE(ROWS), l);
        tdo_node way = tdo_op_sub(g, w[l], mine);
        tdo_node length = length_of(g, tdo_op_affine(g, way, 1, value[5]));
        tdo_node gap = size_of(g, tdo_op_sub(g, tdo_op_gather(g, z, index), own_z));
        tdo_node distance = tdo_op_div(g, gap, length);
        far = tdo_op_add(g, far, tdo_op_scatter(g, distance, index, CLASSES));
        step[l] = tdo_op_mul(g, way, column(g, tdo_op_div(g, distance, length), flat));
        is[l] = index;
    }
    far = tdo_op_select(g, tdo_op_one_hot(g, own, CLASSES), tdo_op_constant(g, all, 1e9), far);
    to = tdo_op_select(g, wrong, s->labels, tdo_op_argmax(g, tdo_op_affine(g, far, -1, 0)));
    for (int l = 0; l < CLASSES; l++) {
        tdo_node here = tdo_op_gather(g, tdo_op_one_hot(g, to, CLASSES), is[l]);
        tdo_node part =
            tdo_op_select(g, column(g, here, flat), step[l], tdo_op_constant(g, flat, 0));
        r = l ? tdo_op_add(g, r, part) : part;
    }
    return tdo_op_reshape(g, r, image);
}

static tdo_node literal(const struct tdo_defense_use *use, struct tdo_defense_step *s)
{
    tdo_graph *g = s->g;
    const tdo_shape image = tdo_graph_shape(g, s->pixels), rows = TDO_SHAPE(ROWS);
    const tdo_shape flat = TDO_SHAPE(ROWS, tdo_shape_count(&image) / ROWS);
    tdo_node first = tdo_op_argmax(g, s->evaluate(s->self, s->pixels, "")), own = first;
    tdo_node wrong = size_of(g, tdo_op_sign(g, tdo_op_sub(g, first, s->labels)));
    tdo_node r = tdo_op_constant(g, image, 0), open = tdo_op_constant(g, rows, 1);
    for (int k = 0; k < (int)use->value[3]; k++) {
        tdo_node step = literal_step(s, tdo_op_add(g, s->pixels, r), own, wrong);
        step = tdo_op_mul(g, tdo_op_reshape(g, step, flat), column(g, open, flat));
        r = tdo_op_add(g, r, tdo_op_reshape(g, step, image));
        tdo_node at = tdo_op_add(g, s->pixels, tdo_op_affine(g, r, 1 + use->value[4], 0));
        tdo_node now = tdo_op_argmax(g, s->evaluate(s->self, at, ""));
        tdo_node left = size_of(g, tdo_op_sign(g, tdo_op_sub(g, now, first)));
        tdo_node missed = size_of(g, tdo_op_sign(g, tdo_op_sub(g, now, s->labels)));
        left = tdo_op_affine(g, left, -1, 1); /* 1: still there */
        open = tdo_op_mul(g, open, tdo_op_select(g, wrong, missed, left));
        own = tdo_op_select(g, wrong, now, first);
    }
    tdo_node share = tdo_op_div(g, length_of(g, tdo_op_reshape(g, r, flat)),
                                length_of(g, tdo_op_reshape(g, s->pixels, flat)));
    share = tdo_op_affine(g, share, 1 + use->value[4], 0);
    tdo_node far = tdo_op_exp(g, tdo_op_affine(g, share, -use->value[1], 0));
    tdo_node near = tdo_op_exp(g, tdo_op_affine(g, share, use->value[2], 0));
    return tdo_op_affine(g, tdo_op_select(g, wrong, near, far), use->value[0], 0);
}

static void it_is_its_literal_form(void)
{
    struct subject s;
    double *a = NULL, *b = NULL;
    const char *model[] = {"lenet", "resnet20"};
    const int64_t side[] = {16, 8};
    for (int k = 0; k < 2; k++) {
        new_subject(model[k], side[k], &s);
        gradients_of(&s, row()->penalty, "", &a);
        gradients_of(&s, literal, "", &b);
        const int64_t n = 1 + tdo_params_count(s.params, TDO_PARAM_WEIGHT);
        CU_ASSERT(fabs(a[0] - b[0]) <= 1e-9 * fabs(b[0]));
        CU_ASSERT(probe_gap(n - 1, a + 1, b + 1) <= 1e-6);
        tdo_memory_free(&a);
        tdo_memory_free(&b);
        free_subject(&s);
    }
}

static void layers_that_are_not_listed_are_constants(void)
{
    struct subject s;
    double *all = NULL, *some = NULL;
    new_subject("lenet", 16, &s);
    gradients_of(&s, row()->penalty, "", &all);
    gradients_of(&s, row()->penalty, "conv2, fc1.weight", &some);
    CU_ASSERT(fabs(all[0] - some[0]) <= 1e-12 * fabs(all[0]));
    int listed = 0;
    for (int64_t i = 0; i < tdo_params_entries(s.params); i++) {
        const struct tdo_param *e = tdo_params_at(s.params, i);
        const bool is =
            strncmp(e->name, "conv2.", 6) == 0 || strcmp(e->name, "fc1.weight") == 0;
        double most = 0;
        for (int64_t k = 0; k < e->count; k++) {
            const double v = some[1 + e->offset + k];
            CU_ASSERT_FATAL(is ? fabs(v - all[1 + e->offset + k]) <= 1e-9 : v == 0);
            most = fmax(most, fabs(v));
        }
        CU_ASSERT((most > 0) == is);
        listed += is;
    }
    CU_ASSERT_EQUAL(listed, 3);
    tdo_memory_free(&all);
    tdo_memory_free(&some);
    free_subject(&s);
}

static void a_layer_that_is_not_there_is_named(void)
{
    struct subject s;
    new_subject("lenet", 16, &s);
    ASSERT_OK(tdo_params_check_list(s.params, ""));
    ASSERT_OK(tdo_params_check_list(s.params, "conv1,fc2.bias"));
    CU_ASSERT_EQUAL(tdo_params_check_list(s.params, "conv1, fc"), TDO_ERR_CONFIG);
    CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, "'fc'"));
    CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, "conv1, conv2, fc1, fc2"));
    free_subject(&s);
}

CU_TestInfo suite_tests[] = {
    {"its value is that of the plain loop", its_value_is_that_of_the_plain_loop},
    {"its gradient is that of central differences",
     its_gradient_is_that_of_central_differences},
    {"its gradient is that of central differences for LeNet",
     that_of_lenet_is_that_of_central_differences},
    {"its gradient is that of central differences behind batch norm",
     that_of_batch_norm_is_that_of_central_differences},
    {"it is its literal form, all classes differentiated", it_is_its_literal_form},
    {"layers that are not listed are constants", layers_that_are_not_listed_are_constants},
    {"a layer that is not there is named", a_layer_that_is_not_there_is_named},
    CU_TEST_INFO_NULL};
