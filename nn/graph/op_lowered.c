/* Operations that only lower.c makes: fused chains, packed weights, fused convolutions. They have
 * no derivative: gradients are taken before lowering. */
#include "nn/graph/ops.h"
#include "nn/kernels/narrow.h"
#include "nn/kernels/onednn.h"

static tdo_err program_shape(const tdo_graph *g, struct tdo_graph_node *n)
{
    (void)g;
    n->shape = n->attr.fused.shape;
    return TDO_OK;
}

/* An operand that is read in step with the result. */
static bool program_overwrite(const struct tdo_graph_node *n, int k)
{
    const struct tdo_program_load *load = &n->attr.fused.program->load[k];
    return load->repeat == 1 && load->period == tdo_shape_count(&n->shape);
}

const struct tdo_op tdo_row_program = {
    .name = "program",
    .nin = -1,
    .shape = program_shape,
    .reference = {tdo_pointwise_run32, tdo_pointwise_run64},
    .overwrite = program_overwrite,
};

static tdo_err narrow_shape(const tdo_graph *g, struct tdo_graph_node *n)
{
    n->shape = tdo_graph_shape(g, n->in[0]);
    n->dtype = TDO_NARROW;
    return TDO_OK;
}

const struct tdo_op tdo_row_narrow = {
    .name = "narrow", .nin = 1, .shape = narrow_shape, .reference = {tdo_narrow_run}};

static tdo_err widen_shape(const tdo_graph *g, struct tdo_graph_node *n)
{
    n->shape = tdo_graph_shape(g, n->in[0]);
    return TDO_OK;
}

const struct tdo_op tdo_row_widen = {
    .name = "widen", .nin = 1, .shape = widen_shape, .reference = {tdo_widen_run}};

static tdo_err pack_shape(const tdo_graph *g, struct tdo_graph_node *n)
{
    (void)g;
    int64_t floats = 0;
    TDO_TRY(tdo_onednn_pack_floats(&n->attr.pack, &floats));
    TDO_ASSERT(floats > 0);
    n->shape = TDO_SHAPE(floats);
    return TDO_OK;
}

const struct tdo_op tdo_row_pack = {
    .name = "pack", .nin = 1, .shape = pack_shape, .fast = {tdo_onednn_pack}};

/* Image size of the other side of the convolution. */
static int64_t out_size(const struct tdo_conv_pack *p, int i)
{
    const struct tdo_conv *c = &p->fused.conv;
    return tdo_kernel_places(p->x[1 + i], p->w[2 + i], c->stride[i], c->pad[i] + c->pad[2 + i]);
}

static tdo_err conv_fused_shape(const tdo_graph *g, struct tdo_graph_node *n)
{
    (void)g;
    const struct tdo_conv_pack *p = &n->attr.pack;
    n->shape = TDO_SHAPE(p->x[0], out_size(p, 0), out_size(p, 1), p->w[0]);
    n->dtype = p->narrow & TDO_NARROW_OUT ? TDO_NARROW : TDO_REAL;
    return TDO_OK;
}

static tdo_err conv_dx_packed_shape(const tdo_graph *g, struct tdo_graph_node *n)
{
    (void)g;
    const struct tdo_conv_pack *p = &n->attr.pack;
    n->shape = TDO_SHAPE(p->x[0], p->x[1], p->x[2], p->x[3]);
    return TDO_OK;
}

static int64_t packed_flops(const tdo_graph *g, const struct tdo_graph_node *n)
{
    (void)g;
    const struct tdo_conv_pack *p = &n->attr.pack;
    return INT64_C(2) * p->x[0] * out_size(p, 0) * out_size(p, 1) * p->w[0] * p->w[1] *
           p->w[2] * p->w[3];
}

/* The operand that is added to the result lies where the result will. */
static bool sum_overwrite(const struct tdo_graph_node *n, int k)
{
    return n->attr.pack.fused.sum && k == n->nin - 1;
}

const struct tdo_op tdo_row_conv_fused = {
    .name = "conv_fused",
    .nin = -1,
    .shape = conv_fused_shape,
    .fast = {tdo_onednn_conv},
    .flops = packed_flops,
    .overwrite = sum_overwrite,
};
const struct tdo_op tdo_row_conv_dx_packed = {
    .name = "conv_dx_packed",
    .nin = 2,
    .shape = conv_dx_packed_shape,
    .fast = {tdo_onednn_conv_dx},
    .flops = packed_flops,
};
