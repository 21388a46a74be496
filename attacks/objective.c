/* Objectives as graphs. See objective.h. */
#include "attacks/objective.h"

#include "nn/graph/ops.h"

/* ---- classes ---------------------------------------------------------------------------------- */

static tdo_node negative(tdo_graph *g, tdo_node x)
{
    return tdo_op_affine(g, x, -1, 0);
}

/* z with the classes of `mask` out of the running. */
static tdo_node without(tdo_graph *g, tdo_node z, tdo_node mask)
{
    return tdo_op_select(g, mask, tdo_op_constant(g, tdo_graph_shape(g, z), -1e30), z);
}

static tdo_node one_hot_top(tdo_graph *g, tdo_node z)
{
    return tdo_op_one_hot(g, tdo_op_argmax(g, z), tdo_graph_shape(g, z).dim[1]);
}

static tdo_node largest(tdo_graph *g, tdo_node z)
{
    return tdo_op_gather(g, z, tdo_op_argmax(g, z));
}

/* sum_k a_k b_k, [N,K] twice -> [N]. */
static tdo_node dot(tdo_graph *g, tdo_node a, tdo_node b)
{
    const int64_t n = tdo_graph_shape(g, a).dim[0];
    tdo_node s = tdo_op_sum(g, tdo_op_mul(g, a, b), TDO_SHAPE(n, 1));
    return tdo_op_reshape(g, s, TDO_SHAPE(n));
}

/* The second to fourth largest logits. */
static void runners_up(tdo_graph *g, tdo_node z, int n, tdo_node *out)
{
    tdo_node left = z;
    for (int k = 0; k < n; k++) {
        left = without(g, left, one_hot_top(g, left));
        out[k] = largest(g, left);
    }
}

/* ---- objectives of rows -------------------------------------------------------------------------- */

static tdo_node margin(tdo_graph *g, const struct tdo_objective *j, tdo_node z, tdo_node goal)
{
    tdo_node aim = dot(g, z, goal), other = largest(g, without(g, z, goal));
    tdo_node gap = j->targeted ? tdo_op_sub(g, other, aim) : tdo_op_sub(g, aim, other);
    return negative(g, tdo_op_relu(g, tdo_op_affine(g, gap, 1, j->confidence)));
}

/* Source: Croce and Hein 2020, equations 6 and 7. */
static tdo_node dlr(tdo_graph *g, const struct tdo_objective *j, tdo_node z, tdo_node goal,
                    tdo_node label)
{
    const int K = (int)tdo_graph_shape(g, z).dim[1];
    tdo_node next[3] = {TDO_NONE, TDO_NONE, TDO_NONE};
    tdo_node aim = dot(g, z, goal), first = largest(g, z);
    runners_up(g, z, j->targeted ? 3 : 2, next);
    if (!j->targeted) {
        tdo_node gap = tdo_op_sub(g, aim, largest(g, without(g, z, goal)));
        tdo_node range = tdo_op_sub(g, first, next[1]);
        return negative(g, tdo_op_div(g, gap, tdo_op_affine(g, range, 1, 1e-12)));
    }
    tdo_node own = dot(g, z, tdo_op_one_hot(g, label, K));
    tdo_node low = tdo_op_affine(g, tdo_op_add(g, next[1], next[2]), 0.5, 0);
    tdo_node range = tdo_op_affine(g, tdo_op_sub(g, first, low), 1, 1e-12);
    return negative(g, tdo_op_div(g, tdo_op_sub(g, own, aim), range));
}

static tdo_node value_of(tdo_graph *g, const struct tdo_objective *j, tdo_node z, tdo_node goal,
                         tdo_node label)
{
    switch (j->kind) {
    case TDO_LOSS_MARGIN:
        return margin(g, j, z, goal);
    case TDO_LOSS_DLR:
        return dlr(g, j, z, goal, label);
    default: {
        tdo_node loss = tdo_op_xent(g, z, goal);
        return j->targeted ? negative(g, loss) : loss;
    }
    }
}

/* ---- draws and members ------------------------------------------------------------------------------ */

/* Means over groups of m neighbouring rows: [B m,...] -> [B,...]. */
static tdo_node group_mean(const struct tdo_objective_graph *o, tdo_node x)
{
    const int64_t m = o->draws, B = o->samples;
    if (m == 1) {
        return x;
    }
    const tdo_shape s = tdo_graph_shape(o->g, x);
    const int64_t K = s.rank == 2 ? s.dim[1] : 1;
    tdo_node sum =
        tdo_op_sum(o->g, tdo_op_reshape(o->g, x, TDO_SHAPE(B, m, K)), TDO_SHAPE(B, 1, K));
    tdo_node mean = tdo_op_affine(o->g, sum, 1.0 / (double)m, 0);
    return tdo_op_reshape(o->g, mean, s.rank == 2 ? TDO_SHAPE(B, K) : TDO_SHAPE(B));
}

/* The same rows for each draw: [B] or [B,K] -> [B m] or [B m,K]. */
static tdo_node each_draw(const struct tdo_objective_graph *o, tdo_node x)
{
    const int64_t m = o->draws, B = o->samples;
    const tdo_shape s = tdo_graph_shape(o->g, x);
    const int64_t K = s.rank == 2 ? s.dim[1] : 1;
    if (m == 1) {
        return x;
    }
    tdo_node y =
        tdo_op_broadcast(o->g, tdo_op_reshape(o->g, x, TDO_SHAPE(B, 1, K)), TDO_SHAPE(B, m, K));
    return tdo_op_reshape(o->g, y, s.rank == 2 ? TDO_SHAPE(B * m, K) : TDO_SHAPE(B * m));
}

static tdo_node ensemble(const struct tdo_objective_graph *o)
{
    tdo_node z = o->logits[0];
    for (int i = 1; i < o->members; i++) {
        z = tdo_op_add(o->g, z, o->logits[i]);
    }
    return o->members > 1 ? tdo_op_affine(o->g, z, 1.0 / o->members, 0) : z;
}

/* Probabilities below 1e-20 count as that, so that their logarithm stays finite. */
static tdo_node log_mean_probability(const struct tdo_objective_graph *o, tdo_node z)
{
    tdo_graph *g = o->g;
    tdo_node log_p =
        tdo_op_sub(g, z, tdo_op_broadcast(g, tdo_op_log_sum_exp(g, z), tdo_graph_shape(g, z)));
    tdo_node mean = group_mean(o, tdo_op_exp(g, log_p));
    return tdo_op_log(g, tdo_op_clip(g, mean, 1e-20, 2));
}

static tdo_node reduced(const struct tdo_objective_graph *o, tdo_node z)
{
    if (o->draws == 1) {
        return z;
    }
    return o->reduce == TDO_REDUCE_LOGITS ? group_mean(o, z) : log_mean_probability(o, z);
}

tdo_node tdo_objective_decision(const struct tdo_objective_graph *o, int member)
{
    return reduced(o, member < 0 ? ensemble(o) : o->logits[member]);
}

tdo_node tdo_objective_mean_logits(const struct tdo_objective_graph *o)
{
    return group_mean(o, ensemble(o));
}

static tdo_node value_of_draws(const struct tdo_objective_graph *o,
                               const struct tdo_objective *j, tdo_node z)
{
    if (o->reduce == TDO_REDUCE_LOSS) {
        tdo_node each = value_of(o->g, j, z, each_draw(o, o->goal), each_draw(o, o->label));
        return group_mean(o, each);
    }
    return value_of(o->g, j, reduced(o, z), o->goal, o->label);
}

tdo_node tdo_objective_value(const struct tdo_objective_graph *o, const struct tdo_objective *j)
{
    tdo_node value = value_of_draws(o, j, ensemble(o));
    if (o->auxiliary != TDO_NONE && o->auxiliary_weight > 0) {
        tdo_node side = value_of_draws(o, j, o->auxiliary);
        value = tdo_op_add(o->g, value, tdo_op_affine(o->g, side, o->auxiliary_weight, 0));
    }
    return value;
}
