#ifndef TDO_GRAPH_GRAPH_H
#define TDO_GRAPH_GRAPH_H
/* A static graph of tensor operations.
 *
 * A network, a loss, an attack step and a regulariser are all one thing: nodes, each one
 * operation on earlier nodes. A node is an index; its operation is a row of ops.def that knows
 * shape, gradient and kernels. Building computes nothing.
 *
 *     x ──► conv ──► add ──► relu ──► ...        node k only reads nodes < k
 *     w ──┘   bias ─┘
 *
 * Builders never fail loudly: a wrong shape records the error in the graph and returns TDO_NONE,
 * and so does every builder from then on; tdo_graph_check hands the first error out. So
 * formulas can be written as formulas. Equal nodes are made once: asking for the same operation
 * on the same operands returns the first one. */
#include <stdio.h>

#include "nn/base/memory.h"
#include "nn/kernels/kernel.h"
#include "nn/kernels/pointwise.h"

typedef int32_t tdo_node;
enum { TDO_NONE = -1 };

typedef struct tdo_graph tdo_graph;

/* f32 or f64 as the plan says; struct tdo_key; bf16, which only lower.c makes. */
enum tdo_dtype { TDO_REAL, TDO_KEY, TDO_NARROW };

struct tdo_graph_node {
    const struct tdo_op *op;
    int nin;
    tdo_node in[TDO_MAX_IN];
    enum tdo_dtype dtype;
    tdo_shape shape;
    union tdo_attr attr;
    const char *name; /* for people; "" if none */
};

enum tdo_op_flags {
    TDO_OP_LEAF = 1,      /* input, parameter, constant: no kernel */
    TDO_OP_POINTWISE = 2, /* has tiles; runs as (part of) a program */
    TDO_OP_ALIAS = 4,     /* same bytes as its operand: reshape, detach */
    TDO_OP_FLAT = 8       /* declared zero derivative */
};

/* A row of ops.def: all that the drivers know of an operation. */
struct tdo_op {
    const char *name;
    int nin; /* -1: any number */
    unsigned flags;
    const struct tdo_tiles *tiles; /* pointwise */
    /* Check operands and attributes, fill in node->shape (and dtype). */
    tdo_err (*shape)(const tdo_graph *g, struct tdo_graph_node *node);
    /* Given the gradient gy of node y, set gx[k] for operands with want[k]; TDO_NONE is zero. */
    void (*grad)(tdo_graph *g, tdo_node y, tdo_node gy, const bool *want, tdo_node *gx);
    /* The sum of two nodes of this operation as one of them; TDO_NONE where there is none. NULL:
     * nowhere. */
    tdo_node (*merge)(tdo_graph *g, tdo_node a, tdo_node b);
    /* The same value from primitives; for composites. Their derivative is taken through it if
     * there is no `grad`. */
    tdo_node (*expand)(tdo_graph *g, tdo_node y);
    tdo_kernel_fn *reference[2]; /* f32, f64 */
    tdo_prepare_fn *fast[2];     /* f32, tried in order; NULL: none */
    /* Multiply-adds times two of one run; NULL: not worth counting. */
    int64_t (*flops)(const tdo_graph *g, const struct tdo_graph_node *node);
    /* May the result be written over operand k? NULL: never. */
    bool (*overwrite)(const struct tdo_graph_node *node, int k);
};

TDO_MUST tdo_err tdo_graph_new(tdo_graph **out);
void tdo_graph_free(tdo_graph **g);

/* Add a node; the general form behind every builder of ops.h. */
tdo_node tdo_graph_add(tdo_graph *g, const struct tdo_op *op, int nin, const tdo_node *in,
                       const union tdo_attr *attr);
/* The same, but a new node even where there is an equal one: a value that is computed again. */
tdo_node tdo_graph_add_again(tdo_graph *g, const struct tdo_op *op, int nin, const tdo_node *in,
                             const union tdo_attr *attr);
/* Record an error in the graph; returns TDO_NONE. */
tdo_node tdo_graph_fail(tdo_graph *g, tdo_err code, const char *format, ...) TDO_PRINTF(3, 4);
/* The first error that was recorded, or TDO_OK. */
TDO_MUST tdo_err tdo_graph_check(const tdo_graph *g);

int tdo_graph_size(const tdo_graph *g);
/* Borrowed; moves when nodes are added. */
const struct tdo_graph_node *tdo_graph_at(const tdo_graph *g, tdo_node node);
/* By value, so it can be kept while building; rank 0 for TDO_NONE. */
tdo_shape tdo_graph_shape(const tdo_graph *g, tdo_node node);
/* Name a node (formatted); returns it. */
tdo_node tdo_graph_name(tdo_graph *g, tdo_node node, const char *format, ...) TDO_PRINTF(3, 4);
/* Memory that lives as long as the graph (programs, tables). */
tdo_arena *tdo_graph_arena(tdo_graph *g);
/* One line a node. */
void tdo_graph_print(const tdo_graph *g, FILE *to);

#endif
