/* The input layer. See input.h. */
#include "nn/models/input.h"

/* -mean and 1 / std of each channel, or one for all. */
static tdo_node scale_channels(tdo_graph *g, const struct tdo_model_spec *spec, tdo_node x)
{
    if (spec->inputs == 0) {
        return x;
    }
    const tdo_shape s = tdo_graph_shape(g, x);
    if (spec->inputs == 1) {
        return tdo_op_affine(g, x, 1 / spec->std[0], -spec->mean[0] / spec->std[0]);
    }
    tdo_node scale[16], shift[16];
    for (int c = 0; c < spec->inputs; c++) {
        const tdo_shape one = TDO_SHAPE(1, 1, 1, 1);
        scale[c] = tdo_op_constant(g, one, 1 / spec->std[c]);
        shift[c] = tdo_op_constant(g, one, -spec->mean[c] / spec->std[c]);
    }
    tdo_node a = tdo_op_broadcast(g, tdo_op_concat(g, spec->inputs, scale, 3), s);
    tdo_node c = tdo_op_broadcast(g, tdo_op_concat(g, spec->inputs, shift, 3), s);
    return tdo_op_add(g, tdo_op_mul(g, x, a), c);
}

static tdo_node take_off_image(struct tdo_build *b, tdo_node x)
{
    tdo_graph *g = b->g;
    const tdo_shape s = tdo_graph_shape(g, x);
    tdo_node mean =
        tdo_layer_fixed(b, "input", "mean", TDO_SHAPE(s.dim[3], s.dim[1], s.dim[2]));
    mean = tdo_op_reshape(g, mean, TDO_SHAPE(1, s.dim[3], s.dim[1], s.dim[2]));
    mean = tdo_op_affine(g, tdo_op_permute(g, mean, (int[]){0, 2, 3, 1}), -1, 0);
    return tdo_op_add(g, x, tdo_op_broadcast(g, mean, s));
}

static tdo_node even_contrast(struct tdo_build *b, tdo_node x)
{
    tdo_graph *g = b->g;
    const tdo_shape s = tdo_graph_shape(g, x), row = TDO_SHAPE(s.dim[0], 1, 1, 1);
    const double numbers = (double)(s.dim[1] * s.dim[2] * s.dim[3]);
    const double least = TDO_INPUT_CONTRAST * TDO_INPUT_CONTRAST, most = 1e30;
    tdo_node mean = tdo_op_affine(g, tdo_op_sum(g, x, row), -1 / numbers, 0);
    tdo_node d = tdo_op_add(g, x, tdo_op_broadcast(g, mean, s));
    tdo_node var = tdo_op_sum(g, tdo_op_mul(g, d, d), row);
    var = tdo_op_affine(g, var, 1 / (numbers > 1 ? numbers - 1 : 1), 0);
    tdo_node deviation = tdo_op_sqrt(g, tdo_op_clip(g, var, least, most));
    tdo_node wanted = tdo_layer_fixed(b, "input", "contrast", TDO_SHAPE(1));
    wanted = tdo_op_reshape(g, wanted, TDO_SHAPE(1, 1, 1, 1));
    tdo_node scale = tdo_op_div(g, tdo_op_broadcast(g, wanted, row), deviation);
    return tdo_op_mul(g, d, tdo_op_broadcast(g, scale, s));
}

/* A 1x1 convolution, whose rows do not depend on the batch. */
static tdo_node whiten(struct tdo_build *b, tdo_node x)
{
    tdo_graph *g = b->g;
    const tdo_shape s = tdo_graph_shape(g, x);
    const int64_t n = s.dim[1] * s.dim[2] * s.dim[3];
    const struct tdo_conv one = {.stride = {1, 1}, .groups = 1};
    if (n > TDO_INPUT_MOST) {
        return tdo_graph_fail(g, TDO_ERR_SHAPE,
                              "model.whiten takes images of at most %d numbers",
                              TDO_INPUT_MOST);
    }
    tdo_node w = tdo_layer_fixed(b, "input", "whiten", TDO_SHAPE(n, n));
    x = tdo_op_reshape(g, tdo_layer_flatten(b, x), TDO_SHAPE(s.dim[0], 1, 1, n));
    x = tdo_op_conv(g, x, tdo_op_reshape(g, w, TDO_SHAPE(n, n, 1, 1)), &one);
    x = tdo_op_reshape(g, x, TDO_SHAPE(s.dim[0], s.dim[3], s.dim[1], s.dim[2]));
    return tdo_op_permute(g, x, (int[]){0, 2, 3, 1});
}

tdo_node tdo_input_layer(struct tdo_build *b, const struct tdo_model_spec *spec, tdo_node x)
{
    x = spec->mean_image ? take_off_image(b, x) : x;
    x = spec->contrast ? even_contrast(b, x) : x;
    x = spec->whiten ? whiten(b, x) : x;
    return scale_channels(b->g, spec, x);
}
