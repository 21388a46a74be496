/* Pooling over windows, and bilinear resizing.
 *
 * maxpool's derivative goes through the window element that won (the first in scan order):
 * gradient = window_scatter(gy, arg), whose own derivative is window_gather, and back. */
#include "nn/graph/ops.h"
#include "nn/kernels/pool.h"
#include "nn/kernels/reference.h"
#include "nn/kernels/resize.h"

/* `x` is the unpooled image, `y` the pooled one. */
static tdo_err check(const struct tdo_graph_node *n, const tdo_shape *x, const tdo_shape *y)
{
    const struct tdo_pool *p = &n->attr.pool;
    bool fits =
        x->rank == 4 && y->rank == 4 && x->dim[0] == y->dim[0] && x->dim[3] == y->dim[3];
    for (int i = 0; fits && i < 2; i++) {
        int64_t pad = p->pad[i] + p->pad[2 + i];
        fits =
            p->stride[i] > 0 && p->window[i] > 0 && p->pad[i] < p->window[i] &&
            p->pad[2 + i] < p->window[i] && x->dim[1 + i] + pad >= p->window[i] &&
            y->dim[1 + i] == tdo_kernel_places(x->dim[1 + i], p->window[i], p->stride[i], pad);
    }
    if (!fits) {
        return TDO_FAIL(TDO_ERR_SHAPE, "%s: window %dx%d, stride %dx%d does not take %s to %s",
                        n->op->name, p->window[0], p->window[1], p->stride[0], p->stride[1],
                        tdo_shape_print(x).s, tdo_shape_print(y).s);
    }
    return TDO_OK;
}

/* The window elements, operand 1 where there is one, have the shape of the pooled side. */
static tdo_err check_elements(const tdo_graph *g, const struct tdo_graph_node *n,
                              const tdo_shape *y)
{
    tdo_shape s = n->nin == 2 ? tdo_graph_shape(g, n->in[1]) : *y;
    if (!tdo_shape_equal(&s, y)) {
        return TDO_FAIL(TDO_ERR_SHAPE, "%s: elements of shape %s for windows of %s",
                        n->op->name, tdo_shape_print(&s).s, tdo_shape_print(y).s);
    }
    return TDO_OK;
}

static tdo_err down_shape(const tdo_graph *g, struct tdo_graph_node *n)
{
    const struct tdo_pool *p = &n->attr.pool;
    tdo_shape x = tdo_graph_shape(g, n->in[0]);
    if (x.rank == 4 && p->stride[0] > 0 && p->stride[1] > 0) {
        n->shape = TDO_SHAPE(
            x.dim[0],
            tdo_kernel_places(x.dim[1], p->window[0], p->stride[0], p->pad[0] + p->pad[2]),
            tdo_kernel_places(x.dim[2], p->window[1], p->stride[1], p->pad[1] + p->pad[3]),
            x.dim[3]);
    }
    TDO_TRY(check(n, &x, &n->shape));
    return check_elements(g, n, &n->shape);
}

static tdo_err up_shape(const tdo_graph *g, struct tdo_graph_node *n)
{
    tdo_shape y = tdo_graph_shape(g, n->in[0]);
    n->shape = TDO_SHAPE(y.dim[0], n->attr.pool.size[0], n->attr.pool.size[1], y.dim[3]);
    TDO_TRY(check(n, &n->shape, &y));
    return check_elements(g, n, &y);
}

static void maxpool_grad(tdo_graph *g, tdo_node y, tdo_node gy, const bool *want, tdo_node *gx)
{
    (void)want;
    const struct tdo_graph_node n = *tdo_graph_at(g, y);
    tdo_shape x = tdo_graph_shape(g, n.in[0]);
    tdo_node arg = tdo_op_maxpool_arg(g, n.in[0], &n.attr.pool);
    gx[0] = tdo_op_window_scatter(g, gy, arg, &n.attr.pool, x.dim[1], x.dim[2]);
}

static void window_gather_grad(tdo_graph *g, tdo_node y, tdo_node gy, const bool *want,
                               tdo_node *gx)
{
    (void)want;
    const struct tdo_graph_node n = *tdo_graph_at(g, y);
    tdo_shape x = tdo_graph_shape(g, n.in[0]);
    gx[0] = tdo_op_window_scatter(g, gy, n.in[1], &n.attr.pool, x.dim[1], x.dim[2]);
    gx[1] = TDO_NONE;
}

static void window_scatter_grad(tdo_graph *g, tdo_node y, tdo_node gy, const bool *want,
                                tdo_node *gx)
{
    (void)want;
    const struct tdo_graph_node n = *tdo_graph_at(g, y);
    gx[0] = tdo_op_window_gather(g, gy, n.in[1], &n.attr.pool);
    gx[1] = TDO_NONE;
}

static void avgpool_grad(tdo_graph *g, tdo_node y, tdo_node gy, const bool *want, tdo_node *gx)
{
    (void)want;
    const struct tdo_graph_node n = *tdo_graph_at(g, y);
    tdo_shape x = tdo_graph_shape(g, n.in[0]);
    gx[0] = tdo_op_avgpool_dx(g, gy, &n.attr.pool, x.dim[1], x.dim[2]);
}

static void avgpool_dx_grad(tdo_graph *g, tdo_node y, tdo_node gy, const bool *want,
                            tdo_node *gx)
{
    (void)want;
    const union tdo_attr a = tdo_graph_at(g, y)->attr;
    gx[0] = tdo_op_avgpool(g, gy, &a.pool);
}

const struct tdo_op tdo_row_maxpool = {.name = "maxpool",
                                       .nin = 1,
                                       .shape = down_shape,
                                       .grad = maxpool_grad,
                                       .reference = TDO_REFERENCE_PAIR(maxpool),
                                       .fast = {tdo_pool_maxpool}};
const struct tdo_op tdo_row_maxpool_arg = {.name = "maxpool_arg",
                                           .nin = 1,
                                           .flags = TDO_OP_FLAT,
                                           .shape = down_shape,
                                           .reference = TDO_REFERENCE_PAIR(maxpool_arg),
                                           .fast = {tdo_pool_maxpool_arg}};
const struct tdo_op tdo_row_window_gather = {.name = "window_gather",
                                             .nin = 2,
                                             .shape = down_shape,
                                             .grad = window_gather_grad,
                                             .reference = TDO_REFERENCE_PAIR(window_gather),
                                             .fast = {tdo_pool_window_gather}};
const struct tdo_op tdo_row_window_scatter = {.name = "window_scatter",
                                              .nin = 2,
                                              .shape = up_shape,
                                              .grad = window_scatter_grad,
                                              .reference = TDO_REFERENCE_PAIR(window_scatter),
                                              .fast = {tdo_pool_window_scatter}};
const struct tdo_op tdo_row_avgpool = {.name = "avgpool",
                                       .nin = 1,
                                       .shape = down_shape,
                                       .grad = avgpool_grad,
                                       .reference = TDO_REFERENCE_PAIR(avgpool),
                                       .fast = {tdo_pool_avgpool}};
const struct tdo_op tdo_row_avgpool_dx = {.name = "avgpool_dx",
                                          .nin = 1,
                                          .shape = up_shape,
                                          .grad = avgpool_dx_grad,
                                          .reference = TDO_REFERENCE_PAIR(avgpool_dx),
                                          .fast = {tdo_pool_avgpool_dx}};

static tdo_node windowed(tdo_graph *g, const struct tdo_op *op, int nin, const tdo_node *in,
                         const struct tdo_pool *pool, const int64_t size[2])
{
    union tdo_attr attr = {{0}};
    attr.pool = *pool;
    attr.pool.size[0] = (int32_t)size[0];
    attr.pool.size[1] = (int32_t)size[1];
    return tdo_graph_add(g, op, nin, in, &attr);
}

static const int64_t no_size[2] = {0, 0};

tdo_node tdo_op_maxpool(tdo_graph *g, tdo_node x, const struct tdo_pool *pool)
{
    return windowed(g, &tdo_row_maxpool, 1, &x, pool, no_size);
}

tdo_node tdo_op_maxpool_arg(tdo_graph *g, tdo_node x, const struct tdo_pool *pool)
{
    return windowed(g, &tdo_row_maxpool_arg, 1, &x, pool, no_size);
}

tdo_node tdo_op_window_gather(tdo_graph *g, tdo_node x, tdo_node arg,
                              const struct tdo_pool *pool)
{
    return windowed(g, &tdo_row_window_gather, 2, (tdo_node[]){x, arg}, pool, no_size);
}

tdo_node tdo_op_window_scatter(tdo_graph *g, tdo_node v, tdo_node arg,
                               const struct tdo_pool *pool, int64_t h, int64_t w)
{
    return windowed(g, &tdo_row_window_scatter, 2, (tdo_node[]){v, arg}, pool,
                    (int64_t[]){h, w});
}

tdo_node tdo_op_avgpool(tdo_graph *g, tdo_node x, const struct tdo_pool *pool)
{
    return windowed(g, &tdo_row_avgpool, 1, &x, pool, no_size);
}

tdo_node tdo_op_avgpool_dx(tdo_graph *g, tdo_node gy, const struct tdo_pool *pool, int64_t h,
                           int64_t w)
{
    return windowed(g, &tdo_row_avgpool_dx, 1, &gy, pool, (int64_t[]){h, w});
}

static tdo_err resize_shape(const tdo_graph *g, struct tdo_graph_node *n)
{
    tdo_shape x = tdo_graph_shape(g, n->in[0]);
    if (x.rank != 4 || n->attr.resize.size[0] < 1 || n->attr.resize.size[1] < 1) {
        return TDO_FAIL(TDO_ERR_SHAPE, "%s of %s to %dx%d", n->op->name, tdo_shape_print(&x).s,
                        n->attr.resize.size[0], n->attr.resize.size[1]);
    }
    n->shape = TDO_SHAPE(x.dim[0], n->attr.resize.size[0], n->attr.resize.size[1], x.dim[3]);
    return TDO_OK;
}

static void upsample_grad(tdo_graph *g, tdo_node y, tdo_node gy, const bool *want, tdo_node *gx)
{
    (void)want;
    const struct tdo_graph_node n = *tdo_graph_at(g, y);
    tdo_shape x = tdo_graph_shape(g, n.in[0]);
    gx[0] = tdo_op_upsample_dx(g, gy, x.dim[1], x.dim[2], n.attr.resize.corners);
}

static void upsample_dx_grad(tdo_graph *g, tdo_node y, tdo_node gy, const bool *want,
                             tdo_node *gx)
{
    (void)want;
    const struct tdo_graph_node n = *tdo_graph_at(g, y);
    tdo_shape x = tdo_graph_shape(g, n.in[0]);
    gx[0] = tdo_op_upsample(g, gy, x.dim[1], x.dim[2], n.attr.resize.corners);
}

const struct tdo_op tdo_row_upsample = {.name = "upsample",
                                        .nin = 1,
                                        .shape = resize_shape,
                                        .grad = upsample_grad,
                                        .reference = TDO_REFERENCE_PAIR(upsample),
                                        .fast = {tdo_resize_upsample}};
const struct tdo_op tdo_row_upsample_dx = {.name = "upsample_dx",
                                           .nin = 1,
                                           .shape = resize_shape,
                                           .grad = upsample_dx_grad,
                                           .reference = TDO_REFERENCE_PAIR(upsample_dx),
                                           .fast = {tdo_resize_upsample_dx}};

static tdo_node resized(tdo_graph *g, const struct tdo_op *op, tdo_node x,
                        const int64_t size[2], bool corners)
{
    union tdo_attr attr = {{0}};
    attr.resize.size[0] = (int32_t)size[0];
    attr.resize.size[1] = (int32_t)size[1];
    attr.resize.corners = corners;
    return tdo_graph_add(g, op, 1, &x, &attr);
}

tdo_node tdo_op_upsample(tdo_graph *g, tdo_node x, int64_t h, int64_t w, bool corners)
{
    return resized(g, &tdo_row_upsample, x, (int64_t[]){h, w}, corners);
}

tdo_node tdo_op_upsample_dx(tdo_graph *g, tdo_node gy, int64_t h, int64_t w, bool corners)
{
    return resized(g, &tdo_row_upsample_dx, gy, (int64_t[]){h, w}, corners);
}
