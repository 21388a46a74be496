/* Feature squeezing: pixels are rounded to a few bits in front of the network, in training and
 * whenever it is used.
 *
 *     x -> round((2^b - 1) x) / (2^b - 1)
 *
 * The step has no derivative that is of use; gradients pass straight through, so attacks see through
 * it (attacks/target.h). Source: Xu et al. 2018, section 3.1; Zantedeschi et al. 2017, section 5.1
 * (b = 1 for MNIST, 3 for CIFAR-10). */
#include "attacks/target.h"
#include "defenses/defense.h"

enum { BITS };

static const struct tdo_option options[] = {[BITS] = {.key = "bits",
                                                      .type = TDO_OPTION_INT,
                                                      .min = 1,
                                                      .max = 16,
                                                      .value = "1",
                                                      .unit = "bits",
                                                      .help = "of a pixel that are left"},
                                            {0}};

static tdo_node preprocess(const struct tdo_defense_use *use, tdo_graph *g, tdo_node pixels)
{
    return tdo_target_quantise(g, pixels, INT64_C(1) << (int)use->value[BITS]);
}

const struct tdo_defense tdo_defense_feature_squeezing = {
    .name = "feature_squeezing",
    .help = "pixels are rounded to a few bits in front of the network",
    .cite = "Xu et al. 2018, section 3.1; Zantedeschi et al. 2017, section 5.1",
    .options = options,
    .network = true,
    .preprocess = preprocess,
};
