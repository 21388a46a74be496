/* Random tensors: a function of the row's key and the stream, so there is no derivative, and the
 * same draw asked for twice is one node. It reads the keys of its rows, which may be a part of all. */
#include "nn/graph/ops.h"
#include "nn/kernels/reference.h"

static tdo_err random_shape(const tdo_graph *g, struct tdo_graph_node *n)
{
    const struct tdo_graph_node *key = tdo_graph_at(g, n->in[0]);
    const struct tdo_random *how = &n->attr.random;
    TDO_TRY(tdo_rng_check(&how->stream, &(struct tdo_key){0}));
    n->shape = how->shape;
    const int64_t end = how->first + (n->shape.rank > 0 ? n->shape.dim[0] : 0);
    if (n->shape.rank < 1 || key->dtype != TDO_KEY || how->first < 0 ||
        (how->part ? key->shape.dim[0] < end : how->first > 0 || key->shape.dim[0] != end)) {
        return TDO_FAIL(TDO_ERR_SHAPE, "random %s: one key for each row wanted, got %s",
                        tdo_shape_print(&n->shape).s, tdo_shape_print(&key->shape).s);
    }
    if (how->law == TDO_LAW_ROUNDED && !how->table) {
        return TDO_FAIL(TDO_ERR_BUG, "rounded noise without a table");
    }
    return TDO_OK;
}

const struct tdo_op tdo_row_random = {
    .name = "random",
    .nin = 1,
    .flags = TDO_OP_FLAT,
    .shape = random_shape,
    .reference = TDO_REFERENCE_PAIR(random),
};

tdo_node tdo_op_random(tdo_graph *g, tdo_node key, const struct tdo_random *how)
{
    union tdo_attr attr = {{0}};
    struct tdo_random *to = &attr.random; /* field by field: no stray bytes between them */
    to->stream = how->stream;
    to->law = how->law;
    to->table = how->table;
    to->shape = tdo_shape_trim(how->shape);
    to->part = how->part;
    to->first = how->first;
    to->shared = how->shared;
    return tdo_graph_add(g, &tdo_row_random, 1, &key, &attr);
}
