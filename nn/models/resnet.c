/* Residual networks of depth 6n+2 for 32x32 images (He et al. 2016, section 4.2).
 *
 * Parameter names are those of the cifar_resnet that Cohen et al. 2019 certify: conv1, bn1,
 * layer<stage>.<block>.{conv1,bn1,conv2,bn2}, fc; projection shortcuts downsample.0 and .1.
 * Shortcut A subsamples by 2 and appends zero channels (no parameters), B is a 1x1 convolution
 * with stride 2 and batch norm. Kaiming normal initialisation by fan-out; linear: PyTorch's. */
#include "nn/models/resnet.h"

#include <stdio.h>

static tdo_node shortcut_a(struct tdo_build *b, tdo_node x, int64_t channels, int stride)
{
    const struct tdo_pool every = {.window = {1, 1}, .stride = {stride, stride}};
    const int64_t more = channels - tdo_graph_shape(b->g, x).dim[3];
    x = tdo_op_avgpool(b->g, x, &every);
    return tdo_op_pad(b->g, x, (int64_t[]){0, 0, 0, 0}, (int64_t[]){0, 0, 0, more});
}

static tdo_node basic_block(struct tdo_build *b, const char *prefix, tdo_node x,
                            int64_t channels, int stride, char shortcut)
{
    const struct tdo_layer_conv first = tdo_layer_square(3, stride, 1, false);
    const struct tdo_layer_conv second = tdo_layer_square(3, 1, 1, false);
    const struct tdo_layer_conv one = tdo_layer_square(1, stride, 0, false);
    tdo_node y = tdo_model_norm_conv(b, prefix, "conv1", "bn1", x, channels, &first);
    y = tdo_model_norm_conv(b, prefix, "conv2", "bn2", tdo_layer_activation(b, y), channels,
                            &second);
    if (stride != 1 || tdo_graph_shape(b->g, x).dim[3] != channels) {
        x = shortcut == 'A' ? shortcut_a(b, x, channels, stride)
                            : tdo_model_norm_conv(b, prefix, "downsample.0", "downsample.1", x,
                                                  channels, &one);
    }
    return tdo_layer_activation(b, tdo_op_add(b->g, y, x));
}

tdo_node tdo_resnet_stages(struct tdo_build *b, tdo_node x, const struct tdo_model_spec *spec,
                           const struct tdo_resnet *r)
{
    for (int stage = 0; stage < r->stages; stage++) {
        const int64_t channels = tdo_model_channels(spec, r->channels << stage);
        for (int block = 0; block < r->blocks; block++) {
            char prefix[32];
            snprintf(prefix, sizeof prefix, "layer%d.%d.", stage + 1, block);
            const int stride = stage > 0 && block == 0 ? 2 : 1;
            x = basic_block(b, prefix, x, channels, stride, r->shortcut);
            tdo_model_tap_block(b, prefix, x, block + 1 == r->blocks);
        }
    }
    return tdo_layer_tap(b, "features", x);
}

tdo_node tdo_resnet_build(struct tdo_build *b, tdo_node x, const struct tdo_model_spec *spec,
                          int blocks)
{
    const struct tdo_resnet r = {
        .stages = 3, .blocks = blocks, .channels = 16, .shortcut = spec->shortcut};
    const struct tdo_layer_conv stem = tdo_layer_square(3, 1, 1, false);
    x = tdo_layer_activation(
        b, tdo_model_norm_conv(b, "", "conv1", "bn1", x, tdo_model_channels(spec, 16), &stem));
    x = tdo_resnet_stages(b, x, spec, &r);
    b->weight_init = TDO_INIT_FAN_IN_UNIFORM;
    return tdo_layer_linear(b, "fc", tdo_layer_global_mean(b, x), spec->classes);
}
