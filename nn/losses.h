#ifndef TDO_LOSSES_H
#define TDO_LOSSES_H
/* Losses, as graphs over logits [N,K], labels [N] (integers as reals) and row weights [N].
 *
 * A row weight is 1/B for a row of a global batch of B and 0 for padding, so that the sum over
 * all shards of a batch is the mean over the batch. */
#include "nn/graph/ops.h"

/* sum_n v_n CE(softmax(z_n), y_n), shape [1]. */
tdo_node tdo_loss_cross_entropy(tdo_graph *g, tdo_node logits, tdo_node labels,
                                tdo_node weights);

/* How many rows of positive weight have their label as argmax, shape [1]. */
tdo_node tdo_loss_correct(tdo_graph *g, tdo_node logits, tdo_node labels, tdo_node weights);

#endif
