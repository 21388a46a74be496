#ifndef TDO_GRAPH_GRAD_H
#define TDO_GRAPH_GRAD_H
/* The gradient as a graph transform: it appends nodes of the same primitives, so a gradient can
 * be differentiated again.
 *
 * Reverse accumulation: from y down, each node hands its gradient on to its operands by the rule
 * in its row. A composite without a rule of its own is differentiated through its expansion. */
#include "nn/graph/graph.h"

/* out[i] = sum over elements of gy * dy/d wrt[i]; gy has y's shape, TDO_NONE stands for ones.
 * The nodes in wrt are taken as independent: the gradient does not go on below them. Where y
 * does not depend on wrt[i], out[i] is a constant zero. Errors stay in the graph. */
void tdo_grad(tdo_graph *g, tdo_node y, tdo_node gy, int n, const tdo_node *wrt, tdo_node *out);

#endif
