/* Operations that move or add up elements, in dual pairs. */
#include <string.h>

#include "nn/graph/ops.h"
#include "nn/kernels/permute.h"
#include "nn/kernels/reference.h"

static tdo_err target_shape(const struct tdo_graph_node *n, const tdo_shape *small,
                            const tdo_shape *large)
{
    if (!tdo_shape_broadcasts(small, large)) {
        return TDO_FAIL(TDO_ERR_SHAPE, "%s: %s is not %s with some dimensions 1", n->op->name,
                        tdo_shape_print(small).s, tdo_shape_print(large).s);
    }
    return TDO_OK;
}

static tdo_err sum_shape(const tdo_graph *g, struct tdo_graph_node *n)
{
    tdo_shape x = tdo_graph_shape(g, n->in[0]);
    n->shape = n->attr.target.shape;
    return target_shape(n, &n->shape, &x);
}

static tdo_err broadcast_shape(const tdo_graph *g, struct tdo_graph_node *n)
{
    tdo_shape x = tdo_graph_shape(g, n->in[0]);
    n->shape = n->attr.target.shape;
    return target_shape(n, &x, &n->shape);
}

static tdo_err reshape_shape(const tdo_graph *g, struct tdo_graph_node *n)
{
    tdo_shape x = tdo_graph_shape(g, n->in[0]);
    n->shape = n->attr.target.shape;
    if (tdo_shape_count(&x) != tdo_shape_count(&n->shape)) {
        return TDO_FAIL(TDO_ERR_SHAPE, "reshape: %s has not as many elements as %s",
                        tdo_shape_print(&x).s, tdo_shape_print(&n->shape).s);
    }
    return TDO_OK;
}

static tdo_err edge_shape(const tdo_graph *g, struct tdo_graph_node *n)
{
    const int64_t sign = n->op == &tdo_row_pad ? 1 : -1;
    n->shape = tdo_graph_shape(g, n->in[0]);
    for (int i = 0; i < n->shape.rank; i++) {
        const int64_t lo = n->attr.edge.lo[i], hi = n->attr.edge.hi[i];
        n->shape.dim[i] += sign * (lo + hi);
        if (lo < 0 || hi < 0 || n->shape.dim[i] < 1) {
            return TDO_FAIL(TDO_ERR_SHAPE, "%s: %lld and %lld at axis %d leave nothing",
                            n->op->name, (long long)lo, (long long)hi, i);
        }
    }
    return TDO_OK;
}

static tdo_err concat_shape(const tdo_graph *g, struct tdo_graph_node *n)
{
    const int axis = n->attr.concat.axis;
    n->shape = tdo_graph_shape(g, n->in[0]);
    if (axis < 0 || axis >= n->shape.rank) {
        return TDO_FAIL(TDO_ERR_SHAPE, "concat along axis %d of %s", axis,
                        tdo_shape_print(&n->shape).s);
    }
    for (int k = 1; k < n->nin; k++) {
        tdo_shape s = tdo_graph_shape(g, n->in[k]), want = n->shape;
        if (s.rank == want.rank) {
            want.dim[axis] = s.dim[axis];
            n->shape.dim[axis] += s.dim[axis];
        }
        if (!tdo_shape_equal(&s, &want)) {
            return TDO_FAIL(TDO_ERR_SHAPE, "concat along axis %d: %s and %s", axis,
                            tdo_shape_print(&want).s, tdo_shape_print(&s).s);
        }
    }
    return TDO_OK;
}

static tdo_err permute_shape(const tdo_graph *g, struct tdo_graph_node *n)
{
    tdo_shape x = tdo_graph_shape(g, n->in[0]);
    int seen = 0;
    n->shape = x;
    for (int i = 0; i < x.rank; i++) {
        int axis = n->attr.permute.axis[i];
        if (axis < 0 || axis >= x.rank || (seen & 1 << axis)) {
            return TDO_FAIL(TDO_ERR_SHAPE, "permute: axis %d of %s is not there or used twice",
                            axis, tdo_shape_print(&x).s);
        }
        seen |= 1 << axis;
        n->shape.dim[i] = x.dim[axis];
    }
    return TDO_OK;
}

static tdo_err like_operand(const tdo_graph *g, struct tdo_graph_node *n)
{
    n->shape = tdo_graph_shape(g, n->in[0]);
    return TDO_OK;
}

static tdo_shape operand_shape(const tdo_graph *g, tdo_node y)
{
    return tdo_graph_shape(g, tdo_graph_at(g, y)->in[0]);
}

static void sum_grad(tdo_graph *g, tdo_node y, tdo_node gy, const bool *want, tdo_node *gx)
{
    (void)want;
    gx[0] = tdo_op_broadcast(g, gy, operand_shape(g, y));
}

static void broadcast_grad(tdo_graph *g, tdo_node y, tdo_node gy, const bool *want,
                           tdo_node *gx)
{
    (void)want;
    gx[0] = tdo_op_sum(g, gy, operand_shape(g, y));
}

static void reshape_grad(tdo_graph *g, tdo_node y, tdo_node gy, const bool *want, tdo_node *gx)
{
    (void)want;
    gx[0] = tdo_op_reshape(g, gy, operand_shape(g, y));
}

static void pad_grad(tdo_graph *g, tdo_node y, tdo_node gy, const bool *want, tdo_node *gx)
{
    (void)want;
    const union tdo_attr a = tdo_graph_at(g, y)->attr;
    gx[0] = tdo_op_slice(g, gy, a.edge.lo, a.edge.hi);
}

static void slice_grad(tdo_graph *g, tdo_node y, tdo_node gy, const bool *want, tdo_node *gx)
{
    (void)want;
    const union tdo_attr a = tdo_graph_at(g, y)->attr;
    gx[0] = tdo_op_pad(g, gy, a.edge.lo, a.edge.hi);
}

static void concat_grad(tdo_graph *g, tdo_node y, tdo_node gy, const bool *want, tdo_node *gx)
{
    const struct tdo_graph_node n = *tdo_graph_at(g, y);
    const int axis = n.attr.concat.axis;
    int64_t lo[TDO_MAX_RANK] = {0}, hi[TDO_MAX_RANK] = {0};
    for (int k = 0; k < n.nin; k++) {
        int64_t size = tdo_graph_shape(g, n.in[k]).dim[axis];
        hi[axis] = n.shape.dim[axis] - lo[axis] - size;
        gx[k] = want[k] ? tdo_op_slice(g, gy, lo, hi) : TDO_NONE;
        lo[axis] += size;
    }
}

static void permute_grad(tdo_graph *g, tdo_node y, tdo_node gy, const bool *want, tdo_node *gx)
{
    (void)want;
    const struct tdo_graph_node n = *tdo_graph_at(g, y);
    int inverse[TDO_MAX_RANK] = {0};
    for (int i = 0; i < n.shape.rank; i++) {
        inverse[n.attr.permute.axis[i]] = i;
    }
    gx[0] = tdo_op_permute(g, gy, inverse);
}

static void copy_grad(tdo_graph *g, tdo_node y, tdo_node gy, const bool *want, tdo_node *gx)
{
    (void)g, (void)y, (void)want;
    gx[0] = gy;
}

const struct tdo_op tdo_row_sum = {.name = "sum",
                                   .nin = 1,
                                   .shape = sum_shape,
                                   .grad = sum_grad,
                                   .reference = TDO_REFERENCE_PAIR(sum)};
const struct tdo_op tdo_row_broadcast = {.name = "broadcast",
                                         .nin = 1,
                                         .shape = broadcast_shape,
                                         .grad = broadcast_grad,
                                         .reference = TDO_REFERENCE_PAIR(broadcast)};
const struct tdo_op tdo_row_pad = {.name = "pad",
                                   .nin = 1,
                                   .shape = edge_shape,
                                   .grad = pad_grad,
                                   .reference = TDO_REFERENCE_PAIR(pad)};
const struct tdo_op tdo_row_slice = {.name = "slice",
                                     .nin = 1,
                                     .shape = edge_shape,
                                     .grad = slice_grad,
                                     .reference = TDO_REFERENCE_PAIR(slice)};
const struct tdo_op tdo_row_concat = {.name = "concat",
                                      .nin = -1,
                                      .shape = concat_shape,
                                      .grad = concat_grad,
                                      .reference = TDO_REFERENCE_PAIR(concat)};
const struct tdo_op tdo_row_reshape = {.name = "reshape",
                                       .nin = 1,
                                       .flags = TDO_OP_ALIAS,
                                       .shape = reshape_shape,
                                       .grad = reshape_grad,
                                       .reference = TDO_REFERENCE_PAIR(copy)};
const struct tdo_op tdo_row_permute = {.name = "permute",
                                       .nin = 1,
                                       .shape = permute_shape,
                                       .grad = permute_grad,
                                       .reference = TDO_REFERENCE_PAIR(permute),
                                       .fast = {tdo_permute}};
const struct tdo_op tdo_row_detach = {.name = "detach",
                                      .nin = 1,
                                      .flags = TDO_OP_ALIAS | TDO_OP_FLAT,
                                      .shape = like_operand,
                                      .reference = TDO_REFERENCE_PAIR(copy)};
const struct tdo_op tdo_row_copy = {.name = "copy",
                                    .nin = 1,
                                    .shape = like_operand,
                                    .grad = copy_grad,
                                    .reference = TDO_REFERENCE_PAIR(copy)};

static tdo_node targeted(tdo_graph *g, const struct tdo_op *op, tdo_node x, tdo_shape to)
{
    union tdo_attr attr = {{0}};
    attr.target.shape = tdo_shape_trim(to);
    tdo_shape from = tdo_graph_shape(g, x);
    return x != TDO_NONE && tdo_shape_equal(&from, &attr.target.shape)
               ? x
               : tdo_graph_add(g, op, 1, &x, &attr);
}

tdo_node tdo_op_sum(tdo_graph *g, tdo_node x, tdo_shape to)
{
    return targeted(g, &tdo_row_sum, x, to);
}

tdo_node tdo_op_broadcast(tdo_graph *g, tdo_node x, tdo_shape to)
{
    return targeted(g, &tdo_row_broadcast, x, to);
}

tdo_node tdo_op_reshape(tdo_graph *g, tdo_node x, tdo_shape to)
{
    return targeted(g, &tdo_row_reshape, x, to);
}

static tdo_node edged(tdo_graph *g, const struct tdo_op *op, tdo_node x, const int64_t *lo,
                      const int64_t *hi)
{
    union tdo_attr attr = {{0}};
    tdo_shape s = tdo_graph_shape(g, x);
    memcpy(attr.edge.lo, lo, (size_t)s.rank * sizeof *lo);
    memcpy(attr.edge.hi, hi, (size_t)s.rank * sizeof *hi);
    return tdo_graph_add(g, op, 1, &x, &attr);
}

tdo_node tdo_op_pad(tdo_graph *g, tdo_node x, const int64_t *lo, const int64_t *hi)
{
    return edged(g, &tdo_row_pad, x, lo, hi);
}

tdo_node tdo_op_slice(tdo_graph *g, tdo_node x, const int64_t *lo, const int64_t *hi)
{
    return edged(g, &tdo_row_slice, x, lo, hi);
}

tdo_node tdo_op_concat(tdo_graph *g, int n, const tdo_node *x, int axis)
{
    union tdo_attr attr = {{0}};
    attr.concat.axis = axis;
    return tdo_graph_add(g, &tdo_row_concat, n, x, &attr);
}

/* Axes of one place may go anywhere: are the others still in order? */
static bool keeps_order(const tdo_shape *s, const int *axes)
{
    int last = -1;
    for (int i = 0; i < s->rank; i++) {
        if (axes[i] < 0 || axes[i] >= s->rank || (s->dim[axes[i]] > 1 && axes[i] < last)) {
            return false;
        }
        last = s->dim[axes[i]] > 1 ? axes[i] : last;
    }
    return true;
}

/* Without a node of its own where nothing moves: an image of one channel or one place. */
tdo_node tdo_op_permute(tdo_graph *g, tdo_node x, const int *axes)
{
    union tdo_attr attr = {{0}};
    const tdo_shape s = tdo_graph_shape(g, x);
    for (int i = 0; i < s.rank; i++) {
        attr.permute.axis[i] = axes[i];
    }
    struct tdo_graph_node n = {.op = &tdo_row_permute, .nin = 1, .in = {x}, .attr = attr};
    if (x != TDO_NONE && keeps_order(&s, axes) && permute_shape(g, &n) == TDO_OK) {
        return tdo_op_reshape(g, x, n.shape);
    }
    return tdo_graph_add(g, &tdo_row_permute, 1, &x, &attr);
}

tdo_node tdo_op_detach(tdo_graph *g, tdo_node x)
{
    return tdo_graph_add(g, &tdo_row_detach, 1, &x, NULL);
}

tdo_node tdo_op_copy(tdo_graph *g, tdo_node x)
{
    return tdo_graph_add(g, &tdo_row_copy, 1, &x, NULL);
}
