/* Input gradient regularisation: the loss should not change much when a pixel does.
 *
 *     L + lambda |d CE / dx|_2^2        pixels in 0..1, by double backpropagation
 *
 * With batch normalisation the gradient of a row goes through the statistics of its shard.
 * Source: Ross and Doshi-Velez 2018, equation 7; Drucker and Le Cun 1992. */
#include "defenses/defense.h"
#include "defenses/divergence.h"
#include "nn/graph/grad.h"

enum { LAMBDA };

static const struct tdo_option options[] = {[LAMBDA] = {.key = "lambda",
                                                        .type = TDO_OPTION_REAL,
                                                        .min = 0,
                                                        .max = 1e9,
                                                        .value = "0.1",
                                                        .help = "weight of the penalty"},
                                            {0}};

static tdo_node penalty(const struct tdo_defense_use *use, struct tdo_defense_step *s)
{
    tdo_graph *g = s->g;
    tdo_node each = tdo_op_xent(g, tdo_defense_clean_logits(s), s->goal), gradient = TDO_NONE;
    const tdo_shape x = tdo_graph_shape(g, s->pixels);
    tdo_grad(g, each, TDO_NONE, 1, &s->pixels, &gradient);
    const int64_t size = x.rank == 4 ? x.dim[1] * x.dim[2] * x.dim[3] : 1;
    tdo_node flat = tdo_op_reshape(g, gradient, TDO_SHAPE(x.dim[0], size));
    tdo_node square = tdo_divergence_rows(g, tdo_op_mul(g, flat, flat));
    return tdo_op_affine(g, square, use->value[LAMBDA], 0);
}

const struct tdo_defense tdo_defense_input_gradient = {
    .name = "input_gradient",
    .help = "penalty on the gradient of the loss with respect to the image",
    .cite = "Ross and Doshi-Velez 2018, equation 7",
    .options = options,
    .penalty = penalty,
};
