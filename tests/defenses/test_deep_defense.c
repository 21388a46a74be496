/* The regulariser of Deep Defense: its value against DeepFool as a plain loop in double, its gradient
 * by the weights against central differences, through logits, input gradients and earlier steps. */
#include <math.h>
#include <string.h>

#include "defenses/defense.h"
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

CU_TestInfo suite_tests[] = {
    {"its value is that of the plain loop", its_value_is_that_of_the_plain_loop},
    {"its gradient is that of central differences",
     its_gradient_is_that_of_central_differences},
    CU_TEST_INFO_NULL};
