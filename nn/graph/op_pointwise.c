/* Pointwise operations: shape rule, derivative, tiles. Kinks as in nn/README.md. */
#include "nn/graph/ops.h"

static tdo_err same_shape(const tdo_graph *g, struct tdo_graph_node *n)
{
    n->shape = tdo_graph_shape(g, n->in[0]);
    for (int k = 1; k < n->nin; k++) {
        tdo_shape s = tdo_graph_shape(g, n->in[k]);
        if (!tdo_shape_equal(&s, &n->shape)) {
            return TDO_FAIL(TDO_ERR_SHAPE, "%s: operands of shape %s and %s", n->op->name,
                            tdo_shape_print(&n->shape).s, tdo_shape_print(&s).s);
        }
    }
    return TDO_OK;
}

static tdo_node in(const tdo_graph *g, tdo_node y, int k)
{
    return tdo_graph_at(g, y)->in[k];
}

static void add_grad(tdo_graph *g, tdo_node y, tdo_node gy, const bool *want, tdo_node *gx)
{
    (void)g, (void)y, (void)want;
    gx[0] = gx[1] = gy;
}

static void mul_grad(tdo_graph *g, tdo_node y, tdo_node gy, const bool *want, tdo_node *gx)
{
    for (int k = 0; k < 2; k++) {
        gx[k] = want[k] ? tdo_op_mul(g, gy, in(g, y, 1 - k)) : TDO_NONE;
    }
}

static void div_grad(tdo_graph *g, tdo_node y, tdo_node gy, const bool *want, tdo_node *gx)
{
    tdo_node share = tdo_op_div(g, gy, in(g, y, 1));
    gx[0] = share;
    gx[1] = want[1] ? tdo_op_affine(g, tdo_op_mul(g, share, y), -1, 0) : TDO_NONE;
}

static void affine_grad(tdo_graph *g, tdo_node y, tdo_node gy, const bool *want, tdo_node *gx)
{
    (void)want;
    gx[0] = tdo_op_affine(g, gy, tdo_graph_at(g, y)->attr.real.a, 0);
}

static void exp_grad(tdo_graph *g, tdo_node y, tdo_node gy, const bool *want, tdo_node *gx)
{
    (void)want;
    gx[0] = tdo_op_mul(g, gy, y);
}

static void log_grad(tdo_graph *g, tdo_node y, tdo_node gy, const bool *want, tdo_node *gx)
{
    (void)want;
    gx[0] = tdo_op_div(g, gy, in(g, y, 0));
}

/* 1 / (2 sqrt x): infinite at 0, as in PyTorch; norms that can vanish add their own guard. */
static void sqrt_grad(tdo_graph *g, tdo_node y, tdo_node gy, const bool *want, tdo_node *gx)
{
    (void)want;
    gx[0] = tdo_op_affine(g, tdo_op_div(g, gy, y), 0.5, 0);
}

static void tanh_grad(tdo_graph *g, tdo_node y, tdo_node gy, const bool *want, tdo_node *gx)
{
    (void)want;
    gx[0] = tdo_op_mul(g, gy, tdo_op_affine(g, tdo_op_mul(g, y, y), -1, 1));
}

/* Inside a program a constant is one number, however large its shape (lower.h). */
static tdo_node zeros_like(tdo_graph *g, tdo_node y)
{
    return tdo_op_constant(g, tdo_graph_shape(g, y), 0);
}

/* 0 at 0. The mask is y > 0, which equals x > 0, so that x need not be kept. */
static void relu_grad(tdo_graph *g, tdo_node y, tdo_node gy, const bool *want, tdo_node *gx)
{
    (void)want;
    tdo_node zero = zeros_like(g, y);
    gx[0] = tdo_op_select(g, tdo_op_greater(g, y, zero), gy, zero);
}

/* 1 at both ends. */
static void clip_grad(tdo_graph *g, tdo_node y, tdo_node gy, const bool *want, tdo_node *gx)
{
    (void)want;
    const union tdo_attr attr = tdo_graph_at(g, y)->attr;
    tdo_node zero = zeros_like(g, y);
    gx[0] = tdo_op_select(g, tdo_op_inside(g, in(g, y, 0), attr.real.a, attr.real.b), gy, zero);
}

static void select_grad(tdo_graph *g, tdo_node y, tdo_node gy, const bool *want, tdo_node *gx)
{
    tdo_node zero = zeros_like(g, y), mask = in(g, y, 0);
    gx[0] = TDO_NONE; /* piecewise constant in the mask */
    gx[1] = want[1] ? tdo_op_select(g, mask, gy, zero) : TDO_NONE;
    gx[2] = want[2] ? tdo_op_select(g, mask, zero, gy) : TDO_NONE;
}

#define ROW(op, operands, derivative, more)                                                    \
    const struct tdo_op tdo_row_##op = {.name = #op,                                           \
                                        .nin = (operands),                                     \
                                        .flags = TDO_OP_POINTWISE | (more),                    \
                                        .tiles = &tdo_tiles_##op,                              \
                                        .shape = same_shape,                                   \
                                        .grad = (derivative)};
ROW(add, 2, add_grad, 0)
ROW(mul, 2, mul_grad, 0)
ROW(div, 2, div_grad, 0)
ROW(affine, 1, affine_grad, 0)
ROW(exp, 1, exp_grad, 0)
ROW(log, 1, log_grad, 0)
ROW(sqrt, 1, sqrt_grad, 0)
ROW(tanh, 1, tanh_grad, 0)
ROW(relu, 1, relu_grad, 0)
ROW(clip, 1, clip_grad, 0)
ROW(select, 3, select_grad, 0)
ROW(sign, 1, NULL, TDO_OP_FLAT)
ROW(greater, 2, NULL, TDO_OP_FLAT)
ROW(inside, 1, NULL, TDO_OP_FLAT)
ROW(round, 1, NULL, TDO_OP_FLAT)

static tdo_node unary(tdo_graph *g, const struct tdo_op *op, tdo_node x, double a, double b)
{
    union tdo_attr attr = {{0}};
    attr.real.a = a;
    attr.real.b = b;
    return tdo_graph_add(g, op, 1, &x, &attr);
}

static tdo_node binary(tdo_graph *g, const struct tdo_op *op, tdo_node a, tdo_node b)
{
    return tdo_graph_add(g, op, 2, (tdo_node[]){a, b}, NULL);
}

#define UNARY(name)                                                                            \
    tdo_node tdo_op_##name(tdo_graph *g, tdo_node x)                                           \
    {                                                                                          \
        return unary(g, &tdo_row_##name, x, 0, 0);                                             \
    }
/* NOLINTBEGIN(bugprone-macro-parentheses): a and b are names */
#define UNARY2(name, a, b)                                                                     \
    tdo_node tdo_op_##name(tdo_graph *g, tdo_node x, double a, double b)                       \
    {                                                                                          \
        return unary(g, &tdo_row_##name, x, a, b);                                             \
    }
/* NOLINTEND(bugprone-macro-parentheses) */
#define BINARY(name)                                                                           \
    tdo_node tdo_op_##name(tdo_graph *g, tdo_node a, tdo_node b)                               \
    {                                                                                          \
        return binary(g, &tdo_row_##name, a, b);                                               \
    }
UNARY(exp)
UNARY(log)
UNARY(sqrt)
UNARY(tanh)
UNARY(relu)
UNARY(sign)
UNARY(round)
UNARY2(affine, scale, shift)
UNARY2(clip, low, high)
UNARY2(inside, low, high)
BINARY(add)
BINARY(mul)
BINARY(div)
BINARY(greater)

tdo_node tdo_op_select(tdo_graph *g, tdo_node mask, tdo_node a, tdo_node b)
{
    return tdo_graph_add(g, &tdo_row_select, 3, (tdo_node[]){mask, a, b}, NULL);
}
