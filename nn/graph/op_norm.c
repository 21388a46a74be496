/* Batch normalisation in training mode, a composite (Ioffe and Szegedy 2015, algorithm 1).
 *
 *     stats = bn_stats(x, v)                       mean and variance over rows weighted by v
 *     y     = bn_train(x, gamma, beta, v, stats)   gamma xhat + beta
 *     r     = bn_reduce(x, gy, v, stats)           (d gamma, d beta)
 *     dx    = bn_dx(x, gamma, gy, v, stats, r)
 *
 * The first derivative is made of the fused backward nodes; their own derivative, and that of
 * stats, is taken through the expansions into primitives below. stats and r are operands only so
 * that they are computed once: an expansion computes them anew from x and gy, hence all of their
 * derivative is counted with x and gy, none with stats and r. v gets no derivative. */
#include "nn/graph/ops.h"
#include "nn/kernels/norm.h"
#include "nn/kernels/reference.h"

/* [1,...,1,C] for x [N,...,C] */
static tdo_shape channels_of(const tdo_shape *x)
{
    tdo_shape s = *x;
    for (int i = 0; i + 1 < s.rank; i++) {
        s.dim[i] = 1;
    }
    return s;
}

/* [N,1,...,1] */
static tdo_shape rows_of(const tdo_shape *x)
{
    tdo_shape s = *x;
    for (int i = 1; i < s.rank; i++) {
        s.dim[i] = 1;
    }
    return s;
}

static tdo_err bn_shape(const tdo_graph *g, struct tdo_graph_node *n)
{
    tdo_shape x = tdo_graph_shape(g, n->in[0]);
    const int64_t C = x.rank > 1 ? x.dim[x.rank - 1] : 0;
    for (int k = 1; k < n->nin; k++) {
        tdo_shape s = tdo_graph_shape(g, n->in[k]);
        bool fits = (s.rank == 1 && (s.dim[0] == C || s.dim[0] == x.dim[0])) ||
                    (s.rank == 2 && s.dim[0] == 2 && s.dim[1] == C) || tdo_shape_equal(&s, &x);
        if (!fits) {
            return TDO_FAIL(TDO_ERR_SHAPE, "%s of %s: operand %d has shape %s", n->op->name,
                            tdo_shape_print(&x).s, k, tdo_shape_print(&s).s);
        }
    }
    const bool pair = n->op == &tdo_row_bn_stats || n->op == &tdo_row_bn_reduce;
    n->shape = pair ? TDO_SHAPE(2, C) : x;
    return TDO_OK;
}

/* ---- expansions ---------------------------------------------------------------------------- */

struct normal {
    tdo_node share;     /* v / W, like x: the weight of an element in the means */
    tdo_node mean, var; /* [1,...,C] */
    tdo_node scale;     /* 1 / sqrt(var + eps), [1,...,C] */
    tdo_node xhat;      /* like x */
};

static struct normal normalise(tdo_graph *g, tdo_node x, tdo_node v, double eps)
{
    tdo_shape s = tdo_graph_shape(g, x), c = channels_of(&s), one = rows_of(&s);
    int64_t per = tdo_shape_count(&s) / s.dim[0] / s.dim[s.rank - 1];
    struct normal n;
    tdo_node total = tdo_op_affine(g, tdo_op_total(g, v), (double)per, 0);
    tdo_node share = tdo_op_div(g, v, tdo_op_like(g, total, v));
    n.share = tdo_op_broadcast(g, tdo_op_reshape(g, share, one), s);
    n.mean = tdo_op_sum(g, tdo_op_mul(g, n.share, x), c);
    tdo_node centred = tdo_op_sub(g, x, tdo_op_broadcast(g, n.mean, s));
    n.var = tdo_op_sum(g, tdo_op_mul(g, n.share, tdo_op_mul(g, centred, centred)), c);
    tdo_node deviation = tdo_op_sqrt(g, tdo_op_affine(g, n.var, 1, eps));
    n.scale = tdo_op_div(g, tdo_op_constant(g, c, 1), deviation);
    n.xhat = tdo_op_mul(g, centred, tdo_op_broadcast(g, n.scale, s));
    return n;
}

/* A vector [C] spread over x. */
static tdo_node spread(tdo_graph *g, tdo_node vector, const tdo_shape *x)
{
    return tdo_op_broadcast(g, tdo_op_reshape(g, vector, channels_of(x)), *x);
}

/* Two [1,...,C] as [2,C]. */
static tdo_node stack(tdo_graph *g, tdo_node a, tdo_node b)
{
    tdo_shape s = tdo_graph_shape(g, a), row = TDO_SHAPE(1, tdo_shape_count(&s));
    tdo_node rows[2] = {tdo_op_reshape(g, a, row), tdo_op_reshape(g, b, row)};
    return tdo_op_concat(g, 2, rows, 0);
}

static tdo_node bn_stats_expand(tdo_graph *g, tdo_node y)
{
    const struct tdo_graph_node n = *tdo_graph_at(g, y);
    struct normal m = normalise(g, n.in[0], n.in[1], 0);
    return stack(g, m.mean, m.var);
}

static tdo_node bn_train_expand(tdo_graph *g, tdo_node y)
{
    const struct tdo_graph_node n = *tdo_graph_at(g, y);
    tdo_shape s = tdo_graph_shape(g, n.in[0]);
    struct normal m = normalise(g, n.in[0], n.in[3], n.attr.real.a);
    return tdo_op_add(g, tdo_op_mul(g, m.xhat, spread(g, n.in[1], &s)), spread(g, n.in[2], &s));
}

static tdo_node bn_reduce_expand(tdo_graph *g, tdo_node y)
{
    const struct tdo_graph_node n = *tdo_graph_at(g, y);
    tdo_shape s = tdo_graph_shape(g, n.in[0]), c = channels_of(&s);
    struct normal m = normalise(g, n.in[0], n.in[2], n.attr.real.a);
    return stack(g, tdo_op_sum(g, tdo_op_mul(g, n.in[1], m.xhat), c),
                 tdo_op_sum(g, n.in[1], c));
}

static tdo_node bn_dx_expand(tdo_graph *g, tdo_node y)
{
    const struct tdo_graph_node n = *tdo_graph_at(g, y);
    const tdo_node x = n.in[0], gamma = n.in[1], gy = n.in[2];
    tdo_shape s = tdo_graph_shape(g, x), c = channels_of(&s);
    struct normal m = normalise(g, x, n.in[3], n.attr.real.a);
    tdo_node dgamma = tdo_op_sum(g, tdo_op_mul(g, gy, m.xhat), c), dbeta = tdo_op_sum(g, gy, c);
    tdo_node pull = tdo_op_add(g, tdo_op_broadcast(g, dbeta, s),
                               tdo_op_mul(g, m.xhat, tdo_op_broadcast(g, dgamma, s)));
    tdo_node rest = tdo_op_sub(g, gy, tdo_op_mul(g, m.share, pull));
    tdo_node slope = tdo_op_mul(g, tdo_op_reshape(g, gamma, c), m.scale);
    return tdo_op_mul(g, tdo_op_broadcast(g, slope, s), rest);
}

/* ---- first derivative ------------------------------------------------------------------------ */

static tdo_node bn_node(tdo_graph *g, const struct tdo_op *op, int nin, const tdo_node *in,
                        double eps)
{
    union tdo_attr attr = {{0}};
    attr.real.a = eps;
    return tdo_graph_add(g, op, nin, in, &attr);
}

static void bn_train_grad(tdo_graph *g, tdo_node y, tdo_node gy, const bool *want, tdo_node *gx)
{
    const struct tdo_graph_node n = *tdo_graph_at(g, y);
    const tdo_node x = n.in[0], gamma = n.in[1], v = n.in[3], stats = n.in[4];
    const int64_t C = tdo_graph_shape(g, gamma).dim[0];
    const double eps = n.attr.real.a;
    tdo_node r = bn_node(g, &tdo_row_bn_reduce, 4, (tdo_node[]){x, gy, v, stats}, eps);
    for (int k = 0; k < n.nin; k++) {
        gx[k] = TDO_NONE;
    }
    if (want[0]) {
        gx[0] = bn_node(g, &tdo_row_bn_dx, 6, (tdo_node[]){x, gamma, gy, v, stats, r}, eps);
    }
    for (int k = 0; k < 2; k++) {
        if (want[1 + k]) {
            tdo_node row = tdo_op_slice(g, r, (int64_t[]){k, 0}, (int64_t[]){1 - k, 0});
            gx[1 + k] = tdo_op_reshape(g, row, TDO_SHAPE(C));
        }
    }
}

const struct tdo_op tdo_row_bn_stats = {.name = "bn_stats",
                                        .nin = 2,
                                        .shape = bn_shape,
                                        .expand = bn_stats_expand,
                                        .reference = TDO_REFERENCE_PAIR(bn_stats),
                                        .fast = {tdo_norm_stats}};
const struct tdo_op tdo_row_bn_train = {.name = "bn_train",
                                        .nin = 5,
                                        .shape = bn_shape,
                                        .grad = bn_train_grad,
                                        .expand = bn_train_expand,
                                        .reference = TDO_REFERENCE_PAIR(bn_train),
                                        .fast = {tdo_norm_train}};
const struct tdo_op tdo_row_bn_reduce = {.name = "bn_reduce",
                                         .nin = 4,
                                         .shape = bn_shape,
                                         .expand = bn_reduce_expand,
                                         .reference = TDO_REFERENCE_PAIR(bn_reduce),
                                         .fast = {tdo_norm_reduce}};
const struct tdo_op tdo_row_bn_dx = {.name = "bn_dx",
                                     .nin = 6,
                                     .shape = bn_shape,
                                     .expand = bn_dx_expand,
                                     .reference = TDO_REFERENCE_PAIR(bn_dx),
                                     .fast = {tdo_norm_dx}};

tdo_node tdo_op_bn_stats(tdo_graph *g, tdo_node x, tdo_node v)
{
    return bn_node(g, &tdo_row_bn_stats, 2, (tdo_node[]){x, v}, 0);
}

tdo_node tdo_op_bn_train(tdo_graph *g, tdo_node x, tdo_node gamma, tdo_node beta, tdo_node v,
                         double eps)
{
    tdo_node stats = tdo_op_bn_stats(g, x, v);
    return bn_node(g, &tdo_row_bn_train, 5, (tdo_node[]){x, gamma, beta, v, stats}, eps);
}
