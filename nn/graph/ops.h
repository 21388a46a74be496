#ifndef TDO_GRAPH_OPS_H
#define TDO_GRAPH_OPS_H
/* Builders of the primitives and composites: one line makes one node.
 *
 * The primitives come in dual families, so that one can read off that the set is closed under
 * differentiation:
 *     conv, conv_dx, conv_dw      y = x * w is linear in x, w and a cotangent of y; the three
 *                                 name the value by what is missing; each one's gradients are
 *                                 the other two
 *     sum <-> broadcast    pad <-> slice    concat <-> slices    reshape, permute: themselves
 *     gather <-> scatter   window_gather <-> window_scatter    avgpool <-> avgpool_dx
 *     upsample <-> upsample_dx
 * Declared zero derivatives: sign, greater, inside, argmax, maxpool_arg, round, one_hot, detach,
 * random. Ties and kinks: the table in nn/README.md.
 *
 * All builders follow graph.h: TDO_NONE on a wrong shape, the reason kept in the graph. */
#include "nn/graph/graph.h"

#define OP(name) extern const struct tdo_op tdo_row_##name;
#include "nn/graph/ops.def"
#undef OP

/* The table of rows, NULL-ended, in the order of ops.def. */
extern const struct tdo_op *const tdo_op_table[];

/* Leaves. Inputs are numbered in order of creation; a parameter by its index in tdo_params. */
tdo_node tdo_op_input(tdo_graph *g, const char *name, tdo_shape shape);
tdo_node tdo_op_key(tdo_graph *g, const char *name, int64_t rows);
tdo_node tdo_op_param(tdo_graph *g, int64_t index, const char *name, tdo_shape shape);
tdo_node tdo_op_constant(tdo_graph *g, tdo_shape shape, double value);

/* Pointwise; operands of equal shape. */
tdo_node tdo_op_add(tdo_graph *g, tdo_node a, tdo_node b);
tdo_node tdo_op_sub(tdo_graph *g, tdo_node a, tdo_node b); /* a + (-1) b */
tdo_node tdo_op_mul(tdo_graph *g, tdo_node a, tdo_node b);
tdo_node tdo_op_div(tdo_graph *g, tdo_node a, tdo_node b);
tdo_node tdo_op_affine(tdo_graph *g, tdo_node x, double scale, double shift);
tdo_node tdo_op_exp(tdo_graph *g, tdo_node x);
tdo_node tdo_op_log(tdo_graph *g, tdo_node x);
tdo_node tdo_op_sqrt(tdo_graph *g, tdo_node x);
tdo_node tdo_op_tanh(tdo_graph *g, tdo_node x);
tdo_node tdo_op_relu(tdo_graph *g, tdo_node x);
tdo_node tdo_op_clip(tdo_graph *g, tdo_node x, double low, double high);
tdo_node tdo_op_select(tdo_graph *g, tdo_node mask, tdo_node a,
                       tdo_node b); /* mask != 0 ? a : b */
tdo_node tdo_op_sign(tdo_graph *g, tdo_node x);
tdo_node tdo_op_greater(tdo_graph *g, tdo_node a, tdo_node b);             /* a > b, 1 or 0 */
tdo_node tdo_op_inside(tdo_graph *g, tdo_node x, double low, double high); /* both ends in */
tdo_node tdo_op_round(tdo_graph *g, tdo_node x); /* to nearest, ties to even */

/* Linear. y[N,OH,OW,K] = conv(x[N,H,W,C], w[K,C/groups,KH,KW]); kernel.h has the geometry. */
tdo_node tdo_op_conv(tdo_graph *g, tdo_node x, tdo_node w, const struct tdo_conv *conv);
tdo_node tdo_op_conv_dx(tdo_graph *g, tdo_node gy, tdo_node w, const struct tdo_conv *conv,
                        int64_t h, int64_t w_size);
tdo_node tdo_op_conv_dw(tdo_graph *g, tdo_node x, tdo_node gy, const struct tdo_conv *conv,
                        int64_t kh, int64_t kw);
/* a[M,L] b[L,P], or their transposes as flagged. */
tdo_node tdo_op_matmul(tdo_graph *g, tdo_node a, tdo_node b, bool transpose_a,
                       bool transpose_b);

/* Shapes. sum and broadcast: equal rank, dimensions 1 or equal. */
tdo_node tdo_op_sum(tdo_graph *g, tdo_node x, tdo_shape to);
tdo_node tdo_op_broadcast(tdo_graph *g, tdo_node x, tdo_shape to);
tdo_node tdo_op_pad(tdo_graph *g, tdo_node x, const int64_t *lo, const int64_t *hi);
tdo_node tdo_op_slice(tdo_graph *g, tdo_node x, const int64_t *lo, const int64_t *hi);
tdo_node tdo_op_concat(tdo_graph *g, int n, const tdo_node *x, int axis);
tdo_node tdo_op_reshape(tdo_graph *g, tdo_node x, tdo_shape to);
tdo_node tdo_op_permute(tdo_graph *g, tdo_node x, const int *axes);
tdo_node tdo_op_detach(tdo_graph *g, tdo_node x);
tdo_node tdo_op_copy(tdo_graph *g, tdo_node x);

/* Classes. x [N,K]; index [N] holds integers as reals. */
tdo_node tdo_op_gather(tdo_graph *g, tdo_node x, tdo_node index);
tdo_node tdo_op_scatter(tdo_graph *g, tdo_node v, tdo_node index, int64_t classes);
tdo_node tdo_op_one_hot(tdo_graph *g, tdo_node index, int64_t classes);
tdo_node tdo_op_argmax(tdo_graph *g, tdo_node x);

/* Pooling over windows of [N,H,W,C], and bilinear resizing. */
tdo_node tdo_op_maxpool(tdo_graph *g, tdo_node x, const struct tdo_pool *pool);
tdo_node tdo_op_maxpool_arg(tdo_graph *g, tdo_node x, const struct tdo_pool *pool);
tdo_node tdo_op_window_gather(tdo_graph *g, tdo_node x, tdo_node arg,
                              const struct tdo_pool *pool);
tdo_node tdo_op_window_scatter(tdo_graph *g, tdo_node v, tdo_node arg,
                               const struct tdo_pool *pool, int64_t h, int64_t w);
tdo_node tdo_op_avgpool(tdo_graph *g, tdo_node x, const struct tdo_pool *pool);
tdo_node tdo_op_avgpool_dx(tdo_graph *g, tdo_node gy, const struct tdo_pool *pool, int64_t h,
                           int64_t w);
tdo_node tdo_op_upsample(tdo_graph *g, tdo_node x, int64_t h, int64_t w, bool corners);
tdo_node tdo_op_upsample_dx(tdo_graph *g, tdo_node gy, int64_t h, int64_t w, bool corners);

/* Row n is the draw of key n; how->shape[0] is the number of keys. With how->part it is the draw of
 * key how->first + n, and there may be more keys. */
tdo_node tdo_op_random(tdo_graph *g, tdo_node key, const struct tdo_random *how);

/* Composites. Batch norm in training mode over rows weighted by v [N]; stats = bn_stats(x, v) is
 * an operand so that forward and backward share it, its derivative is part of x's. */
tdo_node tdo_op_bn_stats(tdo_graph *g, tdo_node x, tdo_node v);
tdo_node tdo_op_bn_train(tdo_graph *g, tdo_node x, tdo_node gamma, tdo_node beta, tdo_node v,
                         double eps);
/* Cross entropy of softmax(z) with the distribution t, per row: z, t [N,K] -> [N]. */
tdo_node tdo_op_xent(tdo_graph *g, tdo_node z, tdo_node t);

/* Made of the above. */
tdo_node tdo_op_like(tdo_graph *g, tdo_node small, tdo_node large); /* broadcast to its shape */
tdo_node tdo_op_total(tdo_graph *g, tdo_node x);                    /* sum of all, shape [1] */
tdo_node tdo_op_log_sum_exp(tdo_graph *g, tdo_node z);              /* [N,K] -> [N,1], stable */

#endif
