/* Leaves of a graph: what a plan is given (inputs, row keys, parameters) and constants. */
#include "nn/graph/ops.h"

static tdo_err leaf_shape(const tdo_graph *g, struct tdo_graph_node *n)
{
    (void)g;
    n->shape = n->attr.leaf.shape;
    for (int i = 0; i < n->shape.rank; i++) {
        if (n->shape.dim[i] < 1) {
            return TDO_FAIL(TDO_ERR_SHAPE, "%s of shape %s: every dimension must be positive",
                            n->op->name, tdo_shape_print(&n->shape).s);
        }
    }
    return TDO_OK;
}

static tdo_err key_shape(const tdo_graph *g, struct tdo_graph_node *n)
{
    n->dtype = TDO_KEY;
    return leaf_shape(g, n);
}

const struct tdo_op tdo_row_input = {
    .name = "input", .flags = TDO_OP_LEAF, .shape = leaf_shape};
const struct tdo_op tdo_row_key = {.name = "key", .flags = TDO_OP_LEAF, .shape = key_shape};
const struct tdo_op tdo_row_param = {
    .name = "param", .flags = TDO_OP_LEAF, .shape = leaf_shape};
const struct tdo_op tdo_row_constant = {
    .name = "constant", .flags = TDO_OP_LEAF, .shape = leaf_shape};

static tdo_node leaf(tdo_graph *g, const struct tdo_op *op, const char *name, tdo_shape shape,
                     int64_t index, double value)
{
    union tdo_attr attr = {{0}};
    attr.leaf.shape = tdo_shape_trim(shape);
    attr.leaf.index = index;
    attr.leaf.value = value;
    tdo_node node = tdo_graph_add(g, op, 0, NULL, &attr);
    return name ? tdo_graph_name(g, node, "%s", name) : node;
}

tdo_node tdo_op_input(tdo_graph *g, const char *name, tdo_shape shape)
{
    return leaf(g, &tdo_row_input, name, shape, tdo_graph_size(g), 0);
}

tdo_node tdo_op_key(tdo_graph *g, const char *name, int64_t rows)
{
    return leaf(g, &tdo_row_key, name, TDO_SHAPE(rows), tdo_graph_size(g), 0);
}

tdo_node tdo_op_param(tdo_graph *g, int64_t index, const char *name, tdo_shape shape)
{
    return leaf(g, &tdo_row_param, name, shape, index, 0);
}

tdo_node tdo_op_constant(tdo_graph *g, tdo_shape shape, double value)
{
    return leaf(g, &tdo_row_constant, NULL, shape, 0, value);
}
