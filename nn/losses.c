/* Losses. See losses.h. */
#include "nn/losses.h"

tdo_node tdo_loss_cross_entropy(tdo_graph *g, tdo_node logits, tdo_node labels,
                                tdo_node weights)
{
    const int64_t K = tdo_graph_shape(g, logits).dim[1];
    tdo_node each = tdo_op_xent(g, logits, tdo_op_one_hot(g, labels, K));
    return tdo_op_total(g, tdo_op_mul(g, weights, each));
}

tdo_node tdo_loss_correct(tdo_graph *g, tdo_node logits, tdo_node labels, tdo_node weights)
{
    const tdo_shape s = tdo_graph_shape(g, logits), rows = TDO_SHAPE(s.dim[0]);
    tdo_node hit = tdo_op_one_hot(g, tdo_op_argmax(g, logits), s.dim[1]);
    tdo_node real = tdo_op_greater(g, weights, tdo_op_constant(g, rows, 0));
    return tdo_op_total(g, tdo_op_mul(g, real, tdo_op_gather(g, hit, labels)));
}
