/* Residual networks of bottleneck blocks. See bottleneck.h.
 *
 *     block:  y = norm(conv 1x1 to `out`(ReLU(norm(conv 3x3, stride, groups(
 *                 ReLU(norm(conv 1x1 to `inner`(x)))))))
 *             ReLU(y + x), or, where channels or size change, ReLU(y + norm(conv 1x1, stride(x)))
 *
 * The stride sits in the 3x3 convolution, as in torchvision and in ResNeXt. */
#include "nn/models/bottleneck.h"

#include <stdio.h>

/* What differs from block to block. */
struct block {
    char prefix[32];
    int64_t inner, out;
    int stride, groups;
};

static tdo_node bottleneck(struct tdo_build *b, tdo_node x, const struct block *k)
{
    const struct tdo_layer_conv one = tdo_layer_square(1, 1, 0, false);
    const struct tdo_layer_conv project = tdo_layer_square(1, k->stride, 0, false);
    struct tdo_layer_conv three = tdo_layer_square(3, k->stride, 1, false);
    three.groups = k->groups;
    tdo_node y = tdo_model_norm_conv(b, k->prefix, "conv1", "bn1", x, k->inner, &one);
    y = tdo_model_norm_conv(b, k->prefix, "conv2", "bn2", tdo_layer_activation(b, y), k->inner,
                            &three);
    y = tdo_model_norm_conv(b, k->prefix, "conv3", "bn3", tdo_layer_activation(b, y), k->out,
                            &one);
    if (k->stride != 1 || tdo_graph_shape(b->g, x).dim[3] != k->out) {
        x = tdo_model_norm_conv(b, k->prefix, "downsample.0", "downsample.1", x, k->out,
                                &project);
    }
    return tdo_layer_activation(b, tdo_op_add(b->g, y, x));
}

tdo_node tdo_bottleneck_stages(struct tdo_build *b, tdo_node x,
                               const struct tdo_model_spec *spec,
                               const struct tdo_bottleneck *r)
{
    for (int stage = 0; stage < r->stages; stage++) {
        struct block k = {.groups = r->groups};
        k.inner = r->groups * tdo_model_channels(spec, r->channels << stage);
        k.out = k.inner * r->expansion;
        for (int block = 0; block < r->blocks[stage]; block++) {
            snprintf(k.prefix, sizeof k.prefix, "layer%d.%d.", stage + 1, block);
            k.stride = stage > 0 && block == 0 ? 2 : 1;
            x = bottleneck(b, x, &k);
            tdo_model_tap_block(b, k.prefix, x, block + 1 == r->blocks[stage]);
        }
    }
    tdo_layer_tap(b, "features", x);
    b->weight_init = TDO_INIT_FAN_IN_UNIFORM;
    return tdo_layer_linear(b, "fc", tdo_layer_global_mean(b, x), spec->classes);
}

tdo_node tdo_bottleneck_large(struct tdo_build *b, tdo_node x,
                              const struct tdo_model_spec *spec, const int blocks[4])
{
    const struct tdo_layer_conv seven = tdo_layer_square(7, 2, 3, false);
    const struct tdo_pool pool = {.window = {3, 3}, .stride = {2, 2}, .pad = {1, 1, 1, 1}};
    const struct tdo_bottleneck stages = {
        .stages = 4,
        .blocks = {blocks[0], blocks[1], blocks[2], blocks[3]},
        .groups = 1,
        .channels = 64,
        .expansion = 4};
    x = tdo_layer_conv(b, "conv1", x, tdo_model_channels(spec, 64), &seven);
    x = tdo_layer_activation(b, tdo_layer_batchnorm(b, "bn1", x));
    return tdo_bottleneck_stages(b, tdo_op_maxpool(b->g, x, &pool), spec, &stages);
}
