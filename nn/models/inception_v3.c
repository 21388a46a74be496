/* Inception v3 for images of 299x299: a stem of five convolutions, then eleven blocks of parallel
 * branches whose results stand side by side.
 *
 *     299 -> 149 -> 147 -> 147 -> max pooling -> 73 -> 73 -> 71 -> max pooling -> 35, 192 channels
 *         -> Mixed_5b, 5c, 5d: 35 -> 6a: 17, 768 -> 6b to 6e -> 7a: 8 -> 7b, 7c: 8, 2048 -> mean -> fc
 *
 * Every convolution is followed by batch norm of eps 0.001 and an activation. Names are torchvision's.
 * Behind Mixed_6e hangs the auxiliary head AuxLogits, whose tensors are part of every model file and
 * whose logits attacks on ensembles use; training leaves its weights alone. Images have 75 pixels a
 * side or more; where Mixed_6e is smaller than 17x17, the head's mean is over 5x5 parts of it.
 *
 * torchvision's weights want pixels in -1..1: model.mean = model.std = 0.5. Weights start from a
 * normal law of deviation 0.1 cut off at 0.2.
 * Source: Szegedy et al. 2016, table 1 and figures 5 to 7 and 10. */
#include <stdio.h>

#include "nn/models/models.h"

struct inception {
    struct tdo_build *b;
    const struct tdo_model_spec *spec;
    const char *block; /* being built */
};

/* A convolution; with stride 1 the image keeps its size unless it is cut. */
struct unit {
    const char *name;
    int channels, down, across, stride;
    bool cut;
};

static tdo_node unit(const struct inception *n, tdo_node x, const struct unit *u)
{
    struct tdo_layer_conv conv = {.kernel = {u->down, u->across},
                                  .stride = {u->stride, u->stride}};
    char part[64];
    if (u->stride == 1 && !u->cut) {
        conv.pad[0] = conv.pad[2] = u->down / 2;
        conv.pad[1] = conv.pad[3] = u->across / 2;
    }
    const char *dot = n->block[0] ? "." : "";
    snprintf(part, sizeof part, "%s%s%s.conv", n->block, dot, u->name);
    x = tdo_layer_conv(n->b, part, x, tdo_model_channels(n->spec, u->channels), &conv);
    snprintf(part, sizeof part, "%s%s%s.bn", n->block, dot, u->name);
    return tdo_layer_activation(n->b, tdo_layer_batchnorm(n->b, part, x));
}

static tdo_node chain(const struct inception *n, tdo_node x, int units, const struct unit *u)
{
    for (int i = 0; i < units; i++) {
        x = unit(n, x, &u[i]);
    }
    return x;
}

#define CHAIN(n, x, ...)                                                                       \
    chain(n, x, (int)(sizeof((struct unit[]){__VA_ARGS__}) / sizeof(struct unit)),             \
          (struct unit[]){__VA_ARGS__})

static tdo_node beside(const struct inception *n, int parts, const tdo_node *part)
{
    return tdo_op_concat(n->b->g, parts, part, 3);
}

/* Means of 3x3, padding counted, and a convolution. */
static tdo_node pooled(const struct inception *n, tdo_node x, int channels)
{
    const struct tdo_pool pool = {
        .window = {3, 3}, .stride = {1, 1}, .pad = {1, 1, 1, 1}, .count_pad = true};
    return CHAIN(n, tdo_op_avgpool(n->b->g, x, &pool),
                 {"branch_pool", channels, 1, 1, 1, false});
}

static tdo_node block_a(const struct inception *n, tdo_node x, int pool_channels)
{
    const tdo_node part[] = {
        CHAIN(n, x, {"branch1x1", 64, 1, 1, 1, false}),
        CHAIN(n, x, {"branch5x5_1", 48, 1, 1, 1, false}, {"branch5x5_2", 64, 5, 5, 1, false}),
        CHAIN(n, x, {"branch3x3dbl_1", 64, 1, 1, 1, false},
              {"branch3x3dbl_2", 96, 3, 3, 1, false}, {"branch3x3dbl_3", 96, 3, 3, 1, false}),
        pooled(n, x, pool_channels)};
    return beside(n, 4, part);
}

/* Halves the image. */
static tdo_node block_b(const struct inception *n, tdo_node x)
{
    const tdo_node part[] = {CHAIN(n, x, {"branch3x3", 384, 3, 3, 2, false}),
                             CHAIN(n, x, {"branch3x3dbl_1", 64, 1, 1, 1, false},
                                   {"branch3x3dbl_2", 96, 3, 3, 1, false},
                                   {"branch3x3dbl_3", 96, 3, 3, 2, false}),
                             tdo_layer_maxpool(n->b, x, 3, 2)};
    return beside(n, 3, part);
}

static tdo_node block_c(const struct inception *n, tdo_node x, int c)
{
    const tdo_node part[] = {
        CHAIN(n, x, {"branch1x1", 192, 1, 1, 1, false}),
        CHAIN(n, x, {"branch7x7_1", c, 1, 1, 1, false}, {"branch7x7_2", c, 1, 7, 1, false},
              {"branch7x7_3", 192, 7, 1, 1, false}),
        CHAIN(n, x, {"branch7x7dbl_1", c, 1, 1, 1, false},
              {"branch7x7dbl_2", c, 7, 1, 1, false}, {"branch7x7dbl_3", c, 1, 7, 1, false},
              {"branch7x7dbl_4", c, 7, 1, 1, false}, {"branch7x7dbl_5", 192, 1, 7, 1, false}),
        pooled(n, x, 192)};
    return beside(n, 4, part);
}

/* Halves the image. */
static tdo_node block_d(const struct inception *n, tdo_node x)
{
    const tdo_node part[] = {
        CHAIN(n, x, {"branch3x3_1", 192, 1, 1, 1, false}, {"branch3x3_2", 320, 3, 3, 2, false}),
        CHAIN(n, x, {"branch7x7x3_1", 192, 1, 1, 1, false},
              {"branch7x7x3_2", 192, 1, 7, 1, false}, {"branch7x7x3_3", 192, 7, 1, 1, false},
              {"branch7x7x3_4", 192, 3, 3, 2, false}),
        tdo_layer_maxpool(n->b, x, 3, 2)};
    return beside(n, 3, part);
}

static tdo_node block_e(const struct inception *n, tdo_node x)
{
    tdo_node part[6] = {CHAIN(n, x, {"branch1x1", 320, 1, 1, 1, false})};
    tdo_node y = CHAIN(n, x, {"branch3x3_1", 384, 1, 1, 1, false});
    part[1] = CHAIN(n, y, {"branch3x3_2a", 384, 1, 3, 1, false});
    part[2] = CHAIN(n, y, {"branch3x3_2b", 384, 3, 1, 1, false});
    y = CHAIN(n, x, {"branch3x3dbl_1", 448, 1, 1, 1, false},
              {"branch3x3dbl_2", 384, 3, 3, 1, false});
    part[3] = CHAIN(n, y, {"branch3x3dbl_3a", 384, 1, 3, 1, false});
    part[4] = CHAIN(n, y, {"branch3x3dbl_3b", 384, 3, 1, 1, false});
    part[5] = pooled(n, x, 192);
    return beside(n, 6, part);
}

static tdo_node stem(const struct inception *n, tdo_node x)
{
    static const struct unit units[] = {{"Conv2d_1a_3x3", 32, 3, 3, 2, false},
                                        {"Conv2d_2a_3x3", 32, 3, 3, 1, true},
                                        {"Conv2d_2b_3x3", 64, 3, 3, 1, false},
                                        {"Conv2d_3b_1x1", 80, 1, 1, 1, false},
                                        {"Conv2d_4a_3x3", 192, 3, 3, 1, true}};
    for (int i = 0; i < 5; i++) {
        x = tdo_layer_tap(n->b, units[i].name, unit(n, x, &units[i]));
        x = i == 2 || i == 4 ? tdo_layer_maxpool(n->b, x, 3, 2) : x;
    }
    return x;
}

static tdo_node auxiliary(const struct inception *n, tdo_node x)
{
    const tdo_shape s = tdo_graph_shape(n->b->g, x);
    const bool usual = s.dim[1] >= 17 && s.dim[2] >= 17;
    x = usual ? tdo_layer_avgpool(n->b, x, 5, 3) : tdo_layer_avgpool_to(n->b, x, (int[]){5, 5});
    x = CHAIN(n, x, {"conv0", 128, 1, 1, 1, false}, {"conv1", 768, 5, 5, 1, true});
    x = tdo_layer_linear(n->b, "AuxLogits.fc", tdo_layer_global_mean(n->b, x),
                         n->spec->classes);
    return tdo_layer_tap(n->b, "AuxLogits", x);
}

/* The blocks named Mixed_<which>. */
static tdo_node mixed(struct inception *n, const char *which, tdo_node x)
{
    static const int narrow[] = {32, 64, 64}, wide[] = {128, 160, 160, 192};
    const char letter = which[1];
    char name[16];
    snprintf(name, sizeof name, "Mixed_%s", which);
    n->block = name;
    x = which[0] == '5'   ? block_a(n, x, narrow[letter - 'b'])
        : which[0] == '7' ? (letter == 'a' ? block_d(n, x) : block_e(n, x))
        : letter == 'a'   ? block_b(n, x)
                          : block_c(n, x, wide[letter - 'b']);
    n->block = "";
    return tdo_layer_tap(n->b, name, x);
}

static tdo_node build(struct tdo_build *b, tdo_node x, const struct tdo_model_spec *spec)
{
    static const char *const names[] = {"5b", "5c", "5d", "6a", "6b", "6c",
                                        "6d", "6e", "7a", "7b", "7c"};
    struct inception n = {.b = b, .spec = spec, .block = ""};
    if (spec->height < 75 || spec->width < 75) {
        return tdo_graph_fail(b->g, TDO_ERR_SHAPE, "it wants 75 pixels a side or more");
    }
    x = stem(&n, x);
    for (int i = 0; i < 11; i++) {
        x = mixed(&n, names[i], x);
        if (i == 7) {
            n.block = "AuxLogits";
            b->auxiliary = auxiliary(&n, x);
        }
    }
    x = tdo_layer_global_mean(b, tdo_layer_tap(b, "features", x));
    return tdo_layer_linear(b, "fc", tdo_layer_dropout(b, x), spec->classes);
}

const struct tdo_model tdo_model_inception_v3 = {
    .name = "inception_v3",
    .help = "eleven blocks of parallel convolutions for images of 299x299, an auxiliary head",
    .cite = "Szegedy et al. 2016",
    .width = true,
    .dropout = true,
    .usual = {299, 299, 3},
    .norm_eps = 1e-3,
    .weight_init = TDO_INIT_TRUNCATED,
    .bias_init = TDO_INIT_FAN_IN_UNIFORM,
    .build = build,
};
