/* Random Self-Ensemble: a noise layer in front of every convolution, of the projection shortcuts too,
 * but not of linear layers.
 *
 *     x + e,  e ~ N(0, sigma^2) for each element, image and draw, never differentiated
 *
 * It is active in training, under attack and in use: a network is an ensemble of as many networks as
 * there are draws. sigma_init belongs to the first convolution, sigma_inner to all others. The
 * authors' code for VGG counts one too far and gives sigma_init to the second (init = second).
 * Another law is the Bernoulli-Gaussian: each element has noise with probability p, else none.
 * On pixels the first layer is Gaussian smoothing of the input, unless the law is another one.
 * Source: Liu et al. 2018, section 3. */
#include "defenses/layer_noise.h"

enum { SIGMA_INIT, SIGMA_INNER, LAW, P, INIT };
enum { GAUSSIAN, BERNOULLI_GAUSSIAN }; /* choices of law */

static const struct tdo_option options[] = {
    [SIGMA_INIT] = {.key = "sigma_init",
                    .type = TDO_OPTION_REAL,
                    .min = 0,
                    .max = 16,
                    .value = "0.2",
                    .unit = "activation",
                    .help =
                        "standard deviation of the noise in front of the first convolution"},
    [SIGMA_INNER] = {.key = "sigma_inner",
                     .type = TDO_OPTION_REAL,
                     .min = 0,
                     .max = 16,
                     .value = "0.1",
                     .unit = "activation",
                     .help = "the same in front of the others"},
    [LAW] = {.key = "law",
             .type = TDO_OPTION_CHOICE,
             .choices = "gaussian|bernoulli_gaussian",
             .value = "gaussian",
             .help = "bernoulli_gaussian: Gaussian noise with probability p, else none"},
    [P] = {.key = "p",
           .type = TDO_OPTION_REAL,
           .min = 0,
           .max = 1,
           .value = "0.5",
           .unit = "probability",
           .help = "with law = bernoulli_gaussian"},
    [INIT] = {.key = "init",
              .type = TDO_OPTION_CHOICE,
              .choices = "first|second",
              .value = "first",
              .help =
                  "the convolution that has sigma_init; second: as the authors' code for VGG"},
    {0}};

static tdo_node before_conv(struct tdo_build *b, const void *self, tdo_node x, int conv)
{
    const struct tdo_defense_use *use = self;
    const tdo_shape s = tdo_graph_shape(b->g, x);
    const double sigma = use->value[conv == (int)use->value[INIT] ? SIGMA_INIT : SIGMA_INNER];
    const struct tdo_stream stream = tdo_layer_noise_stream(use, TDO_LAYER_NOISE_BEFORE, conv);
    const struct tdo_stream coin = tdo_layer_noise_stream(use, TDO_LAYER_NOISE_MASK, conv);
    if (!b->noise || sigma <= 0 || (conv == 0 && b->outside == use)) {
        return x;
    }
    tdo_node noise = tdo_op_affine(b->g, tdo_layer_normals(b, &stream, s), sigma, 0);
    if ((int)use->value[LAW] == BERNOULLI_GAUSSIAN) {
        tdo_node u = tdo_layer_draw(b, &coin, TDO_LAW_UNIFORM, s);
        tdo_node p = tdo_op_constant(b->g, s, use->value[P]);
        noise = tdo_op_mul(b->g, noise, tdo_op_greater(b->g, p, u));
    }
    return tdo_op_add(b->g, x, noise);
}

/* init = second has sigma_inner in front of the first. */
static double input_sigma(const struct tdo_defense_use *use)
{
    return (int)use->value[LAW] != GAUSSIAN
               ? 0
               : use->value[use->value[INIT] > 0 ? SIGMA_INNER : SIGMA_INIT];
}

static void hook(struct tdo_hook *h)
{
    h->before_conv = before_conv;
}

const struct tdo_defense tdo_defense_rse = {
    .name = "rse",
    .help = "random self-ensemble: noise in front of every convolution, always",
    .cite = "Liu et al. 2018, section 3",
    .options = options,
    .network = true,
    .hook = hook,
    .input_sigma = input_sigma,
};
