#ifndef TDO_GRAPH_RECOMPUTE_H
#define TDO_GRAPH_RECOMPUTE_H
/* Memory for time: values that a backward pass needs late are not kept but computed again.
 *
 *     forward   a ─ b ─ c │ d ─ e ─ f │ g ─ h ─ loss          │ cuts between segments
 *     backward  loss ... g │ d' e' f' ... d │ a' b' c' ... a   ' computed again
 *
 * It is a rewriting of a lowered graph, in which nodes stand in the order they run in. Where most
 * bytes have to be kept is the turning point; what is computed before it falls into segments that
 * keep about as many bytes each, cut where little passes from one to the next. Kept are only values
 * that a later segment reads, small ones, and the last segment's; the rest of a segment runs again,
 * with the same kernels on the same operands, just before somebody behind the turning point reads
 * of it. So every bit of the results stays, in any graph, second derivatives included; a graph
 * without a backward pass has little to gain.
 * Source: Chen et al. 2016, "Training deep nets with sublinear memory cost", section 3. */
#include "nn/graph/lower.h"

/* Write the graph of *l again for this many segments; fewer than 2 change nothing. nodes: of the
 * graph that was lowered. */
TDO_MUST tdo_err tdo_recompute(struct tdo_lowered *l, int nodes, int outputs, int segments);

#endif
