/* The trilinear form of convolution, and the matrix product.
 *
 * T(x, w, y) = sum of x[n,ih,iw,c] w[k,d,r,s] y[n,oh,ow,k] over all places that meet. conv,
 * conv_dx and conv_dw are its derivatives by y, x and w; each is linear in its two operands, so
 * the derivative of one with respect to an operand is the form with the third one filled in. */
#include <string.h>

#include "nn/graph/ops.h"
#include "nn/kernels/blas.h"
#include "nn/kernels/few.h"
#include "nn/kernels/onednn.h"
#include "nn/kernels/reference.h"

/* Do x, w and y belong together under this geometry? */
static tdo_err check(const struct tdo_graph_node *n, const tdo_shape *x, const tdo_shape *w,
                     const tdo_shape *y)
{
    const struct tdo_conv *c = &n->attr.conv;
    bool fits = x->rank == 4 && w->rank == 4 && y->rank == 4 && c->groups > 0 &&
                c->stride[0] > 0 && c->stride[1] > 0 && x->dim[3] == w->dim[1] * c->groups &&
                w->dim[0] % c->groups == 0 && y->dim[3] == w->dim[0] && y->dim[0] == x->dim[0];
    for (int i = 0; fits && i < 2; i++) {
        int64_t padded = x->dim[1 + i] + c->pad[i] + c->pad[2 + i];
        fits = padded >= w->dim[2 + i] &&
               y->dim[1 + i] == tdo_kernel_places(x->dim[1 + i], w->dim[2 + i], c->stride[i],
                                                  c->pad[i] + c->pad[2 + i]);
    }
    if (!fits) {
        return TDO_FAIL(TDO_ERR_SHAPE,
                        "%s: image %s, weights %s, stride %d, %d, groups %d and result %s do "
                        "not fit together",
                        n->op->name, tdo_shape_print(x).s, tdo_shape_print(w).s, c->stride[0],
                        c->stride[1], c->groups, tdo_shape_print(y).s);
    }
    return TDO_OK;
}

static tdo_err conv_shape(const tdo_graph *g, struct tdo_graph_node *n)
{
    const struct tdo_conv *c = &n->attr.conv;
    tdo_shape x = tdo_graph_shape(g, n->in[0]), w = tdo_graph_shape(g, n->in[1]);
    if (x.rank == 4 && w.rank == 4 && c->stride[0] > 0 && c->stride[1] > 0) {
        n->shape = TDO_SHAPE(
            x.dim[0],
            tdo_kernel_places(x.dim[1], w.dim[2], c->stride[0], c->pad[0] + c->pad[2]),
            tdo_kernel_places(x.dim[2], w.dim[3], c->stride[1], c->pad[1] + c->pad[3]),
            w.dim[0]);
    }
    return check(n, &x, &w, &n->shape);
}

static tdo_err conv_dx_shape(const tdo_graph *g, struct tdo_graph_node *n)
{
    const struct tdo_conv *c = &n->attr.conv;
    tdo_shape y = tdo_graph_shape(g, n->in[0]), w = tdo_graph_shape(g, n->in[1]);
    n->shape = TDO_SHAPE(y.dim[0], c->size[0], c->size[1], w.dim[1] * c->groups);
    return check(n, &n->shape, &w, &y);
}

static tdo_err conv_dw_shape(const tdo_graph *g, struct tdo_graph_node *n)
{
    const struct tdo_conv *c = &n->attr.conv;
    tdo_shape x = tdo_graph_shape(g, n->in[0]), y = tdo_graph_shape(g, n->in[1]);
    int64_t groups = c->groups > 0 ? c->groups : 1;
    n->shape = TDO_SHAPE(y.dim[3], x.dim[3] / groups, c->size[0], c->size[1]);
    return check(n, &x, &n->shape, &y);
}

/* The derivative of each by its operands: x, w, y stand for what fills that place. */
static void conv_grad(tdo_graph *g, tdo_node node, tdo_node gy, const bool *want, tdo_node *gx)
{
    const struct tdo_graph_node n = *tdo_graph_at(g, node);
    const struct tdo_conv *c = &n.attr.conv;
    tdo_shape x = tdo_graph_shape(g, n.in[0]), w = tdo_graph_shape(g, n.in[1]);
    gx[0] = want[0] ? tdo_op_conv_dx(g, gy, n.in[1], c, x.dim[1], x.dim[2]) : TDO_NONE;
    gx[1] = want[1] ? tdo_op_conv_dw(g, n.in[0], gy, c, w.dim[2], w.dim[3]) : TDO_NONE;
}

static void conv_dx_grad(tdo_graph *g, tdo_node node, tdo_node gx_, const bool *want,
                         tdo_node *gx)
{
    const struct tdo_graph_node n = *tdo_graph_at(g, node);
    const struct tdo_conv *c = &n.attr.conv;
    tdo_shape w = tdo_graph_shape(g, n.in[1]);
    gx[0] = want[0] ? tdo_op_conv(g, gx_, n.in[1], c) : TDO_NONE;
    gx[1] = want[1] ? tdo_op_conv_dw(g, gx_, n.in[0], c, w.dim[2], w.dim[3]) : TDO_NONE;
}

static void conv_dw_grad(tdo_graph *g, tdo_node node, tdo_node gw, const bool *want,
                         tdo_node *gx)
{
    const struct tdo_graph_node n = *tdo_graph_at(g, node);
    const struct tdo_conv *c = &n.attr.conv;
    tdo_shape x = tdo_graph_shape(g, n.in[0]);
    gx[0] = want[0] ? tdo_op_conv_dx(g, n.in[1], gw, c, x.dim[1], x.dim[2]) : TDO_NONE;
    gx[1] = want[1] ? tdo_op_conv(g, n.in[0], gw, c) : TDO_NONE;
}

/* a's rows, then b's. */
static tdo_node more_rows(tdo_graph *g, tdo_node a, tdo_node b)
{
    const struct tdo_graph_node n = *tdo_graph_at(g, a);
    tdo_node part[TDO_MAX_IN] = {a, b};
    int parts = 1;
    if (n.op == &tdo_row_concat && n.attr.concat.axis == 0 && n.nin < TDO_MAX_IN) {
        memcpy(part, n.in, (size_t)n.nin * sizeof *part);
        parts = n.nin;
    }
    part[parts++] = b;
    return tdo_op_concat(g, parts, part, 0);
}

/* Gradients of the weights of a linear layer that was asked more than once: x'gy + u'gv is one
 * product over the rows of both, which writes its large result once. */
static tdo_node conv_dw_merge(tdo_graph *g, tdo_node a, tdo_node b)
{
    const struct tdo_graph_node p = *tdo_graph_at(g, a), q = *tdo_graph_at(g, b);
    const struct tdo_conv *c = &p.attr.conv;
    const tdo_shape x = tdo_graph_shape(g, p.in[0]), y = tdo_graph_shape(g, q.in[0]);
    if (memcmp(c, &q.attr.conv, sizeof *c) != 0 ||
        !tdo_conv_is_linear(c, x.dim[1] * x.dim[2] * y.dim[1] * y.dim[2],
                            (int64_t)c->size[0] * c->size[1])) {
        return TDO_NONE;
    }
    return tdo_op_conv_dw(g, more_rows(g, p.in[0], q.in[0]), more_rows(g, p.in[1], q.in[1]), c,
                          c->size[0], c->size[1]);
}

/* All three do N OH OW K (C/groups) KH KW multiply-adds. */
static int64_t flops_of(const tdo_shape *w, const tdo_shape *y)
{
    return 2 * y->dim[0] * y->dim[1] * y->dim[2] * tdo_shape_count(w);
}

static int64_t conv_flops(const tdo_graph *g, const struct tdo_graph_node *n)
{
    tdo_shape w = tdo_graph_shape(g, n->in[1]);
    return flops_of(&w, &n->shape);
}

static int64_t conv_dx_flops(const tdo_graph *g, const struct tdo_graph_node *n)
{
    tdo_shape y = tdo_graph_shape(g, n->in[0]), w = tdo_graph_shape(g, n->in[1]);
    return flops_of(&w, &y);
}

static int64_t conv_dw_flops(const tdo_graph *g, const struct tdo_graph_node *n)
{
    tdo_shape y = tdo_graph_shape(g, n->in[1]);
    return flops_of(&n->shape, &y);
}

const struct tdo_op tdo_row_conv = {
    .name = "conv",
    .nin = 2,
    .shape = conv_shape,
    .grad = conv_grad,
    .reference = TDO_REFERENCE_PAIR(conv),
    .fast = {NULL, tdo_blas_conv},
    .flops = conv_flops,
};
const struct tdo_op tdo_row_conv_dx = {
    .name = "conv_dx",
    .nin = 2,
    .shape = conv_dx_shape,
    .grad = conv_dx_grad,
    .reference = TDO_REFERENCE_PAIR(conv_dx),
    .fast = {tdo_few_conv_dx, tdo_blas_conv_dx},
    .flops = conv_dx_flops,
};
const struct tdo_op tdo_row_conv_dw = {
    .name = "conv_dw",
    .nin = 2,
    .shape = conv_dw_shape,
    .grad = conv_dw_grad,
    .merge = conv_dw_merge,
    .reference = TDO_REFERENCE_PAIR(conv_dw),
    .fast = {tdo_onednn_conv_dw, tdo_blas_conv_dw},
    .flops = conv_dw_flops,
};

static tdo_node linear(tdo_graph *g, const struct tdo_op *op, tdo_node a, tdo_node b,
                       const struct tdo_conv *c, int64_t h, int64_t w)
{
    union tdo_attr attr = {{0}};
    attr.conv = *c;
    attr.conv.size[0] = (int32_t)h;
    attr.conv.size[1] = (int32_t)w;
    return tdo_graph_add(g, op, 2, (tdo_node[]){a, b}, &attr);
}

tdo_node tdo_op_conv(tdo_graph *g, tdo_node x, tdo_node w, const struct tdo_conv *conv)
{
    return linear(g, &tdo_row_conv, x, w, conv, 0, 0);
}

tdo_node tdo_op_conv_dx(tdo_graph *g, tdo_node gy, tdo_node w, const struct tdo_conv *conv,
                        int64_t h, int64_t w_size)
{
    return linear(g, &tdo_row_conv_dx, gy, w, conv, h, w_size);
}

tdo_node tdo_op_conv_dw(tdo_graph *g, tdo_node x, tdo_node gy, const struct tdo_conv *conv,
                        int64_t kh, int64_t kw)
{
    return linear(g, &tdo_row_conv_dw, x, gy, conv, kh, kw);
}

static tdo_err matmul_shape(const tdo_graph *g, struct tdo_graph_node *n)
{
    tdo_shape a = tdo_graph_shape(g, n->in[0]), b = tdo_graph_shape(g, n->in[1]);
    const int ta = n->attr.transpose.left, tb = n->attr.transpose.right;
    if (a.rank != 2 || b.rank != 2 || a.dim[!ta] != b.dim[tb]) {
        return TDO_FAIL(TDO_ERR_SHAPE, "matmul: %s%s times %s%s", tdo_shape_print(&a).s,
                        ta ? " transposed" : "", tdo_shape_print(&b).s,
                        tb ? " transposed" : "");
    }
    n->shape = TDO_SHAPE(a.dim[ta], b.dim[!tb]);
    return TDO_OK;
}

/* y = a b:  ga = gy b',  gb = a' gy; with a transposed, ga = (gy b')' = b gy', and so on. */
static void matmul_grad(tdo_graph *g, tdo_node y, tdo_node gy, const bool *want, tdo_node *gx)
{
    const struct tdo_graph_node n = *tdo_graph_at(g, y);
    const bool ta = n.attr.transpose.left, tb = n.attr.transpose.right;
    const tdo_node a = n.in[0], b = n.in[1];
    gx[0] = gx[1] = TDO_NONE;
    if (want[0]) {
        gx[0] = ta ? tdo_op_matmul(g, b, gy, tb, true) : tdo_op_matmul(g, gy, b, false, !tb);
    }
    if (want[1]) {
        gx[1] = tb ? tdo_op_matmul(g, gy, a, true, ta) : tdo_op_matmul(g, a, gy, !ta, false);
    }
}

static int64_t matmul_flops(const tdo_graph *g, const struct tdo_graph_node *n)
{
    tdo_shape a = tdo_graph_shape(g, n->in[0]);
    return 2 * tdo_shape_count(&n->shape) * a.dim[!n->attr.transpose.left];
}

const struct tdo_op tdo_row_matmul = {
    .name = "matmul",
    .nin = 2,
    .shape = matmul_shape,
    .grad = matmul_grad,
    .reference = TDO_REFERENCE_PAIR(matmul),
    .fast = {NULL, tdo_blas_matmul},
    .flops = matmul_flops,
};

tdo_node tdo_op_matmul(tdo_graph *g, tdo_node a, tdo_node b, bool transpose_a, bool transpose_b)
{
    union tdo_attr attr = {{0}};
    attr.transpose.left = transpose_a;
    attr.transpose.right = transpose_b;
    return tdo_graph_add(g, &tdo_row_matmul, 2, (tdo_node[]){a, b}, &attr);
}
