/* Cross entropy of softmax(z) with a distribution t, per row: a composite.
 *
 *     xent(z, t) = sum_k t_k (log sum_j exp z_j - z_k)      d/dz = g (softmax(z) sum_k t_k - t)
 *
 * The derivative by z is the fused xent_dz; by t, and of xent_dz, through the expansions. */
#include "nn/graph/ops.h"
#include "nn/kernels/reference.h"

static tdo_err xent_shape(const tdo_graph *g, struct tdo_graph_node *n)
{
    tdo_shape z = tdo_graph_shape(g, n->in[0]), t = tdo_graph_shape(g, n->in[1]);
    if (z.rank != 2 || !tdo_shape_equal(&z, &t)) {
        return TDO_FAIL(TDO_ERR_SHAPE, "%s: scores %s and targets %s", n->op->name,
                        tdo_shape_print(&z).s, tdo_shape_print(&t).s);
    }
    n->shape = n->op == &tdo_row_xent ? TDO_SHAPE(z.dim[0]) : z;
    return TDO_OK;
}

/* log sum exp z - z, [N,K]: minus log softmax */
static tdo_node surprise(tdo_graph *g, tdo_node z)
{
    tdo_node all = tdo_op_log_sum_exp(g, z);
    return tdo_op_sub(g, tdo_op_like(g, all, z), z);
}

static tdo_node xent_expand(tdo_graph *g, tdo_node y)
{
    const struct tdo_graph_node n = *tdo_graph_at(g, y);
    const int64_t rows = n.shape.dim[0];
    tdo_node terms = tdo_op_mul(g, n.in[1], surprise(g, n.in[0]));
    return tdo_op_reshape(g, tdo_op_sum(g, terms, TDO_SHAPE(rows, 1)), TDO_SHAPE(rows));
}

/* A column [N] spread over [N,K]. */
static tdo_node across(tdo_graph *g, tdo_node column, tdo_node like)
{
    tdo_shape s = tdo_graph_shape(g, like);
    return tdo_op_broadcast(g, tdo_op_reshape(g, column, TDO_SHAPE(s.dim[0], 1)), s);
}

static tdo_node xent_dz_expand(tdo_graph *g, tdo_node y)
{
    const struct tdo_graph_node n = *tdo_graph_at(g, y);
    const tdo_node z = n.in[0], t = n.in[1];
    tdo_node softmax = tdo_op_exp(g, tdo_op_affine(g, surprise(g, z), -1, 0));
    tdo_node mass = tdo_op_sum(g, t, TDO_SHAPE(n.shape.dim[0], 1));
    tdo_node gap = tdo_op_sub(g, tdo_op_mul(g, softmax, tdo_op_like(g, mass, z)), t);
    return tdo_op_mul(g, across(g, n.in[2], z), gap);
}

static void xent_grad(tdo_graph *g, tdo_node y, tdo_node gy, const bool *want, tdo_node *gx)
{
    const struct tdo_graph_node n = *tdo_graph_at(g, y);
    const tdo_node z = n.in[0], t = n.in[1];
    gx[0] = gx[1] = TDO_NONE;
    if (want[0]) {
        gx[0] = tdo_graph_add(g, &tdo_row_xent_dz, 3, (tdo_node[]){z, t, gy}, NULL);
    }
    if (want[1]) {
        gx[1] = tdo_op_mul(g, across(g, gy, z), surprise(g, z));
    }
}

const struct tdo_op tdo_row_xent = {
    .name = "xent",
    .nin = 2,
    .shape = xent_shape,
    .grad = xent_grad,
    .expand = xent_expand,
    .reference = TDO_REFERENCE_PAIR(xent),
};
const struct tdo_op tdo_row_xent_dz = {
    .name = "xent_dz",
    .nin = 3,
    .shape = xent_shape,
    .expand = xent_dz_expand,
    .reference = TDO_REFERENCE_PAIR(xent_dz),
};

tdo_node tdo_op_xent(tdo_graph *g, tdo_node z, tdo_node t)
{
    return tdo_graph_add(g, &tdo_row_xent, 2, (tdo_node[]){z, t}, NULL);
}
