/* The table of operations, and builders that are made of others. See ops.h. */
#include "nn/graph/ops.h"

const struct tdo_op *const tdo_op_table[] = {
#define OP(name) &tdo_row_##name,
#include "nn/graph/ops.def"
#undef OP
    NULL};

tdo_node tdo_op_sub(tdo_graph *g, tdo_node a, tdo_node b)
{
    return tdo_op_add(g, a, tdo_op_affine(g, b, -1, 0));
}

tdo_node tdo_op_like(tdo_graph *g, tdo_node small, tdo_node large)
{
    return tdo_op_broadcast(g, small, tdo_graph_shape(g, large));
}

tdo_node tdo_op_total(tdo_graph *g, tdo_node x)
{
    tdo_shape s = tdo_graph_shape(g, x);
    tdo_node flat = tdo_op_reshape(g, x, TDO_SHAPE(tdo_shape_count(&s)));
    return tdo_op_sum(g, flat, TDO_SHAPE(1));
}

/* m + log sum exp(z - m) with m the row maximum, held constant: the value and every derivative
 * are those of log sum exp, for which m cancels. */
tdo_node tdo_op_log_sum_exp(tdo_graph *g, tdo_node z)
{
    tdo_shape s = tdo_graph_shape(g, z);
    tdo_shape column = TDO_SHAPE(s.dim[0], 1);
    tdo_node top = tdo_op_detach(g, tdo_op_gather(g, z, tdo_op_argmax(g, z)));
    top = tdo_op_reshape(g, top, column);
    tdo_node e = tdo_op_exp(g, tdo_op_sub(g, z, tdo_op_broadcast(g, top, s)));
    return tdo_op_add(g, top, tdo_op_log(g, tdo_op_sum(g, e, column)));
}
