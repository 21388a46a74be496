/* Distributions over classes. See divergence.h. */
#include "defenses/divergence.h"

tdo_node tdo_divergence_rows(tdo_graph *g, tdo_node a)
{
    const int64_t n = tdo_graph_shape(g, a).dim[0];
    return tdo_op_reshape(g, tdo_op_sum(g, a, TDO_SHAPE(n, 1)), TDO_SHAPE(n));
}

tdo_node tdo_divergence_log_softmax(tdo_graph *g, tdo_node z)
{
    tdo_node lse = tdo_op_log_sum_exp(g, z);
    return tdo_op_sub(g, z, tdo_op_broadcast(g, lse, tdo_graph_shape(g, z)));
}

tdo_node tdo_divergence_kl(tdo_graph *g, tdo_node z, tdo_node w)
{
    tdo_node p = tdo_divergence_log_softmax(g, z), q = tdo_divergence_log_softmax(g, w);
    return tdo_divergence_rows(g, tdo_op_mul(g, tdo_op_exp(g, p), tdo_op_sub(g, p, q)));
}
