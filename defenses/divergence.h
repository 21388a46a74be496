#ifndef TDO_DEFENSES_DIVERGENCE_H
#define TDO_DEFENSES_DIVERGENCE_H
/* Distributions over classes, as graphs over logits [N,K]; gradients flow through all of it. */
#include "nn/graph/ops.h"

/* log softmax(z), [N,K]. */
tdo_node tdo_divergence_log_softmax(tdo_graph *g, tdo_node z);
/* KL(softmax(z) || softmax(w)) of each row, [N]. */
tdo_node tdo_divergence_kl(tdo_graph *g, tdo_node z, tdo_node w);
/* sum_k a_k of each row, [N,K] -> [N]. */
tdo_node tdo_divergence_rows(tdo_graph *g, tdo_node a);

#endif
