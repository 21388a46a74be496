/* Bounded ReLU: every activation of a network is cut off at t.
 *
 *     f_t(x) = 0 for x < 0, x for 0 <= x < t, t for x >= t
 *
 * Large activations can no longer carry a perturbation forward. Source: Zantedeschi et al. 2017,
 * section 4.1, eq. 3 (t = 1). */
#include "defenses/defense.h"

enum { T };

static const struct tdo_option options[] = {[T] = {.key = "t",
                                                   .type = TDO_OPTION_REAL,
                                                   .min = 1e-6,
                                                   .max = 1e6,
                                                   .value = "1",
                                                   .unit = "activation",
                                                   .help = "where activations are cut off"},
                                            {0}};

static tdo_node activation(struct tdo_build *b, const void *self, tdo_node x)
{
    const struct tdo_defense_use *use = self;
    return tdo_op_clip(b->g, x, 0, use->value[T]);
}

static void hook(struct tdo_hook *h)
{
    h->activation = activation;
}

const struct tdo_defense tdo_defense_brelu = {
    .name = "brelu",
    .help = "bounded ReLU: activations are cut off at t",
    .cite = "Zantedeschi et al. 2017, section 4.1",
    .options = options,
    .network = true,
    .hook = hook,
};
