#ifndef TDO_GRAPH_LOWER_H
#define TDO_GRAPH_LOWER_H
/* From the graph that says what to compute to the graph that says how.
 *
 * Only what the outputs need is kept. Chains of pointwise operations become one program each;
 * with fast kernels a convolution takes packed weights and, where nobody else reads the values
 * between, swallows its bias, a residual sum and an activation:
 *
 *     relu(add(add(conv(x,w), broadcast(b)), r))  ->  conv_fused(x, pack(w), b, r)
 *
 * Whatever depends on parameters and constants only is the prologue: it is never fused into the
 * body, because it runs once per parameter version and not in every run. */
#include "nn/graph/graph.h"

struct tdo_lowered {
    tdo_graph *graph;
    tdo_graph
        *before;   /* the graph that `graph` was written from once more, which its programs lie
                          in; NULL: none */
    tdo_node *map; /* [size of the old graph]: leaves and outputs; TDO_NONE for the rest */
    tdo_node *output; /* [outputs]: each a node of its own that nothing aliases */
    bool *prologue;   /* [size of the new graph] */
};

/* Reference kernels only; the fast ones too; and these with convolutions in bf16: what a convolution
 * reads is narrowed or comes as bf16 from the one before, what others read is widened. */
enum tdo_lower_kernels { TDO_LOWER_PLAIN, TDO_LOWER_FAST, TDO_LOWER_BF16 };

/* Errors: TDO_ERR_CONFIG for bf16 where the processor has none. Owner of *out: caller. */
TDO_MUST tdo_err tdo_lower(const tdo_graph *g, int outputs, const tdo_node *output,
                           enum tdo_lower_kernels kernels, struct tdo_lowered *out);
void tdo_lower_free(struct tdo_lowered *l);

/* Fill in l->prologue from l->graph. */
TDO_MUST tdo_err tdo_lower_find_prologue(struct tdo_lowered *l);

/* How many fusions were possible and are missing in a lowered graph: a program read by one
 * program of its shape only, a convolution whose only reader could be its epilogue. */
int tdo_lower_missed(const struct tdo_lowered *l, int outputs);

#endif
