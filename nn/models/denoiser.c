/* Denoisers of high-level representation guided denoising. See denoiser.h.
 *
 *     size      down                           up
 *     299   x ─ 2 layers,  64 ──────────────── 2 layers,  64 ─ conv 1x1 ─ + x
 *     150       3 layers, 128 ──────────────── 3 layers, 128
 *      75       3 layers, 256 ──────────────── 3 layers, 256
 *      38       3 layers, 256 ──────────────── 3 layers, 256
 *      19       3 layers, 256 ──────────────┘
 *
 * A layer is a 3x3 convolution without bias, batch norm and ReLU; on the way down the first of a
 * block has stride 2 (but in the first block). On the way up an image is brought to the size of the
 * block beside it, bilinearly with aligned corners, and put in front of what that block gave. Any
 * size of image is taken. The sum is not clipped.
 *
 * Parameter names are those of the published code, where back.0 is the last block:
 * fwd.<block>.<layer>.{conv,bn}, back.<block>.<layer>.{conv,bn}, final.
 * Source: Liao et al. 2018 (HGD), section 3.2 and figure 3. */
#include "nn/models/denoiser.h"

#include <stdio.h>

enum { DOWN = 5, UP = DOWN - 1 };

struct block {
    int layers, channels;
};

static tdo_node build_block(struct tdo_build *b, const char *name, tdo_node x,
                            const struct tdo_model_spec *spec, const struct block *k,
                            int stride)
{
    const int64_t channels = tdo_model_channels(spec, k->channels);
    for (int i = 0; i < k->layers; i++) {
        const struct tdo_layer_conv three = tdo_layer_square(3, i ? 1 : stride, 1, false);
        char part[48];
        snprintf(part, sizeof part, "%s.%d.conv", name, i);
        x = tdo_layer_conv(b, part, x, channels, &three);
        snprintf(part, sizeof part, "%s.%d.bn", name, i);
        x = tdo_layer_activation(b, tdo_layer_batchnorm(b, part, x));
    }
    return tdo_layer_tap(b, name, x);
}

tdo_node tdo_denoiser_build(struct tdo_build *b, tdo_node x, const struct tdo_model_spec *spec,
                            bool laterals)
{
    static const struct block down[DOWN] = {{2, 64}, {3, 128}, {3, 256}, {3, 256}, {3, 256}};
    static const struct block up[UP] = {{2, 64}, {3, 128}, {3, 256}, {3, 256}};
    const struct tdo_layer_conv one = tdo_layer_square(1, 1, 0, false);
    tdo_node y = x, beside[DOWN];
    char name[16];
    for (int i = 0; i < DOWN; i++) {
        snprintf(name, sizeof name, "fwd.%d", i);
        y = build_block(b, name, y, spec, &down[i], i > 0 ? 2 : 1);
        beside[i] = y;
    }
    for (int i = UP - 1; i >= 0; i--) {
        const tdo_shape s = tdo_graph_shape(b->g, beside[i]);
        y = tdo_op_upsample(b->g, y, s.dim[1], s.dim[2], true);
        y = laterals ? tdo_op_concat(b->g, 2, (tdo_node[]){y, beside[i]}, 3) : y;
        snprintf(name, sizeof name, "back.%d", i);
        y = build_block(b, name, y, spec, &up[i], 1);
    }
    tdo_layer_tap(b, "features", y);
    y = tdo_layer_conv(b, "final", y, tdo_graph_shape(b->g, x).dim[3], &one);
    return tdo_op_add(b->g, y, x);
}
