/* Colored noise injection: the noise of a layer's weights or activations is correlated, by a trained
 * matrix of low rank.
 *
 *     v + sqrt(|std(v) a|) z_d + F z_f,   z_d ~ N(0,I_n),  z_f ~ N(0,I_R),  a [n],  F [n,R]
 *
 * for the n numbers of a convolution's weights, or of an image before or behind it: the covariance is
 * diag(|std(v) a|) + F F'. That the diagonal has the deviation, not its square, is the authors' (diagonal
 * = variance: std(v)^2 a). Linear layers have parametric noise for each element, as theirs do.
 * a and F are parameters of the network, with the authors' names (alphad_w, alphaf_w; _i, _o); their
 * code lets weight decay shrink them (decay).
 * In training the weights of a shard have one draw a step; in use every draw of an image has its own,
 * where the authors draw once a batch (option noise.share). Noise on activations, which they draw once
 * a batch too, has a draw for each image, and its deviation is that of the image.
 * Source: Nemcovsky et al. 2019, section 3; Zheltonozhskii et al. 2020. */
#include "defenses/layer_noise.h"

enum { ON, RANK, DIAGONAL_START, FACTOR_START, DIAGONAL, LINEAR, DECAY };
enum { WEIGHTS, INPUTS, OUTPUTS }; /* choices of on */
enum { DEVIATION, VARIANCE };      /* choices of diagonal */
enum { PARAMETRIC, PLAIN };        /* choices of linear */

static const double linear_start = 0.25;

static const struct tdo_option options[] = {
    [ON] = {.key = "on",
            .type = TDO_OPTION_CHOICE,
            .choices = "weights|inputs|outputs",
            .value = "weights",
            .help = "what is noisy: weights, or the input or output of convolutions"},
    [RANK] = {.key = "rank",
              .type = TDO_OPTION_INT,
              .min = 1,
              .max = 64,
              .value = "5",
              .help = "columns of F"},
    [DIAGONAL_START] = {.key = "a",
                        .type = TDO_OPTION_REAL,
                        .min = -16,
                        .max = 16,
                        .value = "0.0625",
                        .help = "where the diagonal starts"},
    [FACTOR_START] = {.key = "f",
                      .type = TDO_OPTION_REAL,
                      .min = -16,
                      .max = 16,
                      .value = "0.01",
                      .help =
                          "where F starts; networks without batch normalisation want 0.001"},
    [DIAGONAL] = {.key = "diagonal",
                  .type = TDO_OPTION_CHOICE,
                  .choices = "deviation|variance",
                  .value = "deviation",
                  .help =
                      "the diagonal of the covariance is |std a|, as the authors' code has it, "
                      "or |std^2 a|"},
    [LINEAR] = {.key = "linear",
                .type = TDO_OPTION_CHOICE,
                .choices = "pni|plain",
                .value = "pni",
                .help = "linear layers: parametric noise on each weight, or none"},
    [DECAY] = {.key = "decay",
               .type = TDO_OPTION_BOOL,
               .value = "false",
               .help = "weight decay shrinks a and F, as in the authors' code"},
    {0}};

/* |x| */
static tdo_node magnitude(tdo_graph *g, tdo_node x)
{
    return tdo_op_mul(g, x, tdo_op_sign(g, x));
}

/* Where in a layer noise goes: names of its parameters, and what keys it. */
struct place {
    const char *diagonal, *factor;
    int part, layer;
};

/* Noise on v [N,n]: for each row, or of weights N = 1. */
static tdo_node colored(struct tdo_build *b, const struct tdo_defense_use *use,
                        const struct place *at, tdo_node v)
{
    tdo_graph *g = b->g;
    const tdo_shape s = tdo_graph_shape(g, v);
    const int64_t N = s.dim[0], n = s.dim[1], R = (int64_t)use->value[RANK];
    const tdo_shape wide = TDO_SHAPE(N, n, R);
    const bool decay = use->value[DECAY] != 0, weights = at->part == TDO_LAYER_NOISE_WEIGHT;
    const struct tdo_stream d = tdo_layer_noise_stream(use, at->part, at->layer);
    const struct tdo_stream f =
        tdo_layer_noise_stream(use, TDO_LAYER_NOISE_FACTOR + at->part, at->layer);
    tdo_node a = tdo_layer_parameter(b, use->row->name, at->diagonal, TDO_SHAPE(n),
                                     use->value[DIAGONAL_START], decay);
    tdo_node F = tdo_layer_parameter(b, use->row->name, at->factor, TDO_SHAPE(1, n, R),
                                     use->value[FACTOR_START], decay);
    if (!b->noise) {
        return v;
    }
    tdo_node std = tdo_layer_noise_deviation(g, v);
    std = (int)use->value[DIAGONAL] == VARIANCE ? tdo_op_mul(g, std, std) : std;
    a = tdo_op_broadcast(g, tdo_op_reshape(g, a, TDO_SHAPE(1, n)), s);
    tdo_node variance = magnitude(g, tdo_op_mul(g, tdo_op_broadcast(g, std, s), a));
    tdo_node zd = (weights ? tdo_layer_weight_normals : tdo_layer_normals)(b, &d, s);
    tdo_node zf =
        (weights ? tdo_layer_weight_normals : tdo_layer_normals)(b, &f, TDO_SHAPE(N, 1, R));
    tdo_node low = tdo_op_mul(g, tdo_op_broadcast(g, F, wide), tdo_op_broadcast(g, zf, wide));
    low = tdo_op_reshape(g, tdo_op_sum(g, low, TDO_SHAPE(N, n, 1)), s);
    tdo_node noise = tdo_op_mul(g, tdo_layer_noise_root(g, variance), zd);
    return tdo_op_add(g, v, tdo_op_add(g, noise, low));
}

static tdo_node weight(struct tdo_build *b, const void *self, tdo_node w, int layer)
{
    const struct tdo_defense_use *use = self;
    const tdo_shape s = tdo_graph_shape(b->g, w);
    const struct place at = {"alphad_w", "alphaf_w", TDO_LAYER_NOISE_WEIGHT, layer};
    if (s.rank == 2 && (int)use->value[LINEAR] == PARAMETRIC) {
        return tdo_layer_noise_weights(b, use, "alpha", TDO_GRAIN_ELEMENT, linear_start, w,
                                       layer);
    }
    if (s.rank == 2 || (int)use->value[ON] != WEIGHTS) {
        return w;
    }
    tdo_node flat = tdo_op_reshape(b->g, w, TDO_SHAPE(1, tdo_shape_count(&s)));
    return tdo_op_reshape(b->g, colored(b, use, &at, flat), s);
}

/* Noise on an image [N,H,W,C], whose numbers are counted as PyTorch does, channels first. */
static tdo_node on_image(struct tdo_build *b, const struct tdo_defense_use *use,
                         const struct place *at, tdo_node x)
{
    tdo_graph *g = b->g;
    const tdo_shape s = tdo_graph_shape(g, x);
    const tdo_shape first = TDO_SHAPE(s.dim[0], s.dim[3], s.dim[1], s.dim[2]);
    const tdo_shape flat = TDO_SHAPE(s.dim[0], s.dim[1] * s.dim[2] * s.dim[3]);
    if (!b->convolution) {
        return x;
    }
    tdo_node v = tdo_op_reshape(g, tdo_op_permute(g, x, (int[]){0, 3, 1, 2}), flat);
    v = tdo_op_reshape(g, colored(b, use, at, v), first);
    return tdo_op_permute(g, v, (int[]){0, 2, 3, 1});
}

static tdo_node before_layer(struct tdo_build *b, const void *self, tdo_node x, int layer)
{
    const struct place at = {"alphad_i", "alphaf_i", TDO_LAYER_NOISE_BEFORE, layer};
    return on_image(b, self, &at, x);
}

static tdo_node after_layer(struct tdo_build *b, const void *self, tdo_node y, int layer)
{
    const struct place at = {"alphad_o", "alphaf_o", TDO_LAYER_NOISE_AFTER, layer};
    return on_image(b, self, &at, y);
}

static void hook(struct tdo_hook *h)
{
    const struct tdo_defense_use *use = h->self;
    const int on = (int)use->value[ON];
    h->draws_weights = on == WEIGHTS || (int)use->value[LINEAR] == PARAMETRIC;
    h->weight = h->draws_weights ? weight : NULL;
    h->before_layer = on == INPUTS ? before_layer : NULL;
    h->after_layer = on == OUTPUTS ? after_layer : NULL;
}

const struct tdo_defense tdo_defense_cni = {
    .name = "cni",
    .help = "colored noise injection: trained noise of low rank on weights or activations",
    .cite = "Nemcovsky et al. 2019, section 3",
    .options = options,
    .network = true,
    .hook = hook,
};
