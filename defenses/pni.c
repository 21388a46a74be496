/* Parametric noise injection: Gaussian noise whose strength is trained.
 *
 *     v + alpha * eta,  eta ~ N(0, std(v)^2),  no derivative through the deviation
 *
 * on the weights of every layer (std over the tensor of weights), on the image, or on what goes into
 * or comes out of every layer. alpha is a parameter of the network, without weight decay: one number
 * for a layer, a channel or an element; names as in the authors' code for weights (alpha_w).
 * Active in training, under attack and in use. In training the weights of a shard have one draw a
 * step; in use every draw of an image has its own.
 * Other than the paper: the deviation of an activation is that of its image, not of the batch, so that
 * an image's result does not depend on others.
 * Source: Rakin et al. 2019, section 3. */
#include "defenses/layer_noise.h"

enum { ON, GRAIN, ALPHA };
enum { WEIGHTS, IMAGE, INPUTS, OUTPUTS }; /* choices of on */

static const struct tdo_option options[] = {
    [ON] = {.key = "on",
            .type = TDO_OPTION_CHOICE,
            .choices = "weights|image|inputs|outputs",
            .value = "weights",
            .help =
                "what is noisy: weights, the input of the first layer (PNI-I), of every layer "
                "(PNI-A-b), or the output of every layer (PNI-A-a)"},
    [GRAIN] = {.key = "grain",
               .type = TDO_OPTION_CHOICE,
               .choices = "layer|channel|element",
               .value = "layer",
               .help =
                   "what has an alpha of its own; of weights a channel is one of the output"},
    [ALPHA] = {.key = "alpha",
               .type = TDO_OPTION_REAL,
               .min = -16,
               .max = 16,
               .value = "0.25",
               .unit = "standard deviations",
               .help = "where alpha starts"},
    {0}};

static tdo_node weight(struct tdo_build *b, const void *self, tdo_node w, int layer)
{
    const struct tdo_defense_use *use = self;
    return tdo_layer_noise_weights(b, use, "alpha_w",
                                   (enum tdo_layer_noise_grain)(int)use->value[GRAIN],
                                   use->value[ALPHA], w, layer);
}

/* alpha of an image like s [N,H,W,C], in PyTorch's order of axes: spread over s. */
static tdo_node strength(struct tdo_build *b, const struct tdo_defense_use *use,
                         const char *name, tdo_shape s)
{
    const int grain = (int)use->value[GRAIN];
    const tdo_shape fine = grain == TDO_GRAIN_LAYER ? TDO_SHAPE(1)
                           : grain == TDO_GRAIN_CHANNEL
                               ? TDO_SHAPE(s.dim[3], 1, 1)
                               : TDO_SHAPE(s.dim[3], s.dim[1], s.dim[2]);
    tdo_node alpha =
        tdo_layer_parameter(b, use->row->name, name, fine, use->value[ALPHA], false);
    const tdo_shape first = fine.rank == 1
                                ? TDO_SHAPE(1, 1, 1, 1)
                                : TDO_SHAPE(1, fine.dim[0], fine.dim[1], fine.dim[2]);
    alpha = tdo_op_reshape(b->g, alpha, first);
    return tdo_op_broadcast(b->g, tdo_op_permute(b->g, alpha, (int[]){0, 2, 3, 1}), s);
}

static tdo_node on_image(struct tdo_build *b, const struct tdo_defense_use *use,
                         const char *name, int part, tdo_node x, int layer)
{
    tdo_graph *g = b->g;
    const tdo_shape s = tdo_graph_shape(g, x);
    const struct tdo_stream stream = tdo_layer_noise_stream(use, part, layer);
    tdo_node alpha = strength(b, use, name, s);
    if (!b->noise) {
        return x;
    }
    tdo_node std = tdo_layer_noise_deviation(g, tdo_op_detach(g, x));
    tdo_node noise =
        tdo_op_mul(g, tdo_op_broadcast(g, std, s), tdo_layer_normals(b, &stream, s));
    return tdo_op_add(g, x, tdo_op_mul(g, alpha, noise));
}

static tdo_node before_layer(struct tdo_build *b, const void *self, tdo_node x, int layer)
{
    const struct tdo_defense_use *use = self;
    if (layer > 0 && (int)use->value[ON] == IMAGE) {
        return x;
    }
    return on_image(b, use, "alpha_i", TDO_LAYER_NOISE_BEFORE, x, layer);
}

static tdo_node after_layer(struct tdo_build *b, const void *self, tdo_node y, int layer)
{
    return on_image(b, self, "alpha_o", TDO_LAYER_NOISE_AFTER, y, layer);
}

static void hook(struct tdo_hook *h)
{
    const struct tdo_defense_use *use = h->self;
    const int on = (int)use->value[ON];
    h->weight = on == WEIGHTS ? weight : NULL;
    h->draws_weights = on == WEIGHTS;
    h->before_layer = on == IMAGE || on == INPUTS ? before_layer : NULL;
    h->after_layer = on == OUTPUTS ? after_layer : NULL;
}

const struct tdo_defense tdo_defense_pni = {
    .name = "pni",
    .help = "parametric noise injection: noise of a strength that is trained, on weights or "
            "activations",
    .cite = "Rakin et al. 2019, section 3",
    .options = options,
    .network = true,
    .hook = hook,
};
