/* Operations along a class axis: pick, put, one-hot, argmax. Indices are integers held as reals;
 * nothing is differentiated with respect to them. */
#include "nn/graph/ops.h"
#include "nn/kernels/reference.h"

static tdo_err class_shape(const tdo_graph *g, struct tdo_graph_node *n)
{
    tdo_shape x = tdo_graph_shape(g, n->in[0]);
    const bool wide = n->op == &tdo_row_gather || n->op == &tdo_row_argmax;
    bool fits = x.rank == (wide ? 2 : 1) && (wide || n->attr.classes.count > 0);
    if (n->nin == 2) {
        tdo_shape index = tdo_graph_shape(g, n->in[1]);
        fits = fits && index.rank == 1 && index.dim[0] == x.dim[0];
    }
    if (!fits) {
        return TDO_FAIL(TDO_ERR_SHAPE, "%s of shape %s: rows and classes wanted", n->op->name,
                        tdo_shape_print(&x).s);
    }
    n->shape = wide ? TDO_SHAPE(x.dim[0]) : TDO_SHAPE(x.dim[0], n->attr.classes.count);
    return TDO_OK;
}

static void gather_grad(tdo_graph *g, tdo_node y, tdo_node gy, const bool *want, tdo_node *gx)
{
    (void)want;
    const struct tdo_graph_node n = *tdo_graph_at(g, y);
    gx[0] = tdo_op_scatter(g, gy, n.in[1], tdo_graph_shape(g, n.in[0]).dim[1]);
    gx[1] = TDO_NONE;
}

static void scatter_grad(tdo_graph *g, tdo_node y, tdo_node gy, const bool *want, tdo_node *gx)
{
    (void)want;
    gx[0] = tdo_op_gather(g, gy, tdo_graph_at(g, y)->in[1]);
    gx[1] = TDO_NONE;
}

const struct tdo_op tdo_row_gather = {.name = "gather",
                                      .nin = 2,
                                      .shape = class_shape,
                                      .grad = gather_grad,
                                      .reference = TDO_REFERENCE_PAIR(gather)};
const struct tdo_op tdo_row_scatter = {.name = "scatter",
                                       .nin = 2,
                                       .shape = class_shape,
                                       .grad = scatter_grad,
                                       .reference = TDO_REFERENCE_PAIR(scatter)};
const struct tdo_op tdo_row_one_hot = {.name = "one_hot",
                                       .nin = 1,
                                       .flags = TDO_OP_FLAT,
                                       .shape = class_shape,
                                       .reference = TDO_REFERENCE_PAIR(one_hot)};
const struct tdo_op tdo_row_argmax = {.name = "argmax",
                                      .nin = 1,
                                      .flags = TDO_OP_FLAT,
                                      .shape = class_shape,
                                      .reference = TDO_REFERENCE_PAIR(argmax)};

tdo_node tdo_op_gather(tdo_graph *g, tdo_node x, tdo_node index)
{
    return tdo_graph_add(g, &tdo_row_gather, 2, (tdo_node[]){x, index}, NULL);
}

tdo_node tdo_op_scatter(tdo_graph *g, tdo_node v, tdo_node index, int64_t classes)
{
    union tdo_attr attr = {{0}};
    attr.classes.count = classes;
    return tdo_graph_add(g, &tdo_row_scatter, 2, (tdo_node[]){v, index}, &attr);
}

tdo_node tdo_op_one_hot(tdo_graph *g, tdo_node index, int64_t classes)
{
    union tdo_attr attr = {{0}};
    attr.classes.count = classes;
    return tdo_graph_add(g, &tdo_row_one_hot, 1, &index, &attr);
}

tdo_node tdo_op_argmax(tdo_graph *g, tdo_node x)
{
    return tdo_graph_add(g, &tdo_row_argmax, 1, &x, NULL);
}
