#ifndef TDO_DEFENSES_LAYER_NOISE_H
#define TDO_DEFENSES_LAYER_NOISE_H
/* Noise inside a network, for rows that put it there: streams, deviations, and their spreading over
 * tensors.
 *
 * A number is keyed by (seed, row of the list, place in the network, what it is for) and by the key
 * of its image and draw, so every draw of an image has its own, in each layer. Weights have one draw
 * for each row of a batch too, where a network is built row by row, or one for all of them
 * (tdo_build.shared). */
#include "defenses/defense.h"

/* What a number in a layer is for; PARTS of one layer. */
enum tdo_layer_noise_part {
    TDO_LAYER_NOISE_WEIGHT,
    TDO_LAYER_NOISE_BEFORE,
    TDO_LAYER_NOISE_AFTER,
    TDO_LAYER_NOISE_MASK,
    TDO_LAYER_NOISE_FACTOR, /* low-rank noise; + what it is for */
    TDO_LAYER_NOISE_PARTS = 8
};

struct tdo_stream tdo_layer_noise_stream(const struct tdo_defense_use *use, int part,
                                         int layer);

/* sqrt(x) for x >= 0, with derivative 0 at 0. */
tdo_node tdo_layer_noise_root(tdo_graph *g, tdo_node x);
/* The standard deviation over all but the first axis of x, with n - 1 in the denominator (0 of a
 * single number): [N,1,...]. */
tdo_node tdo_layer_noise_deviation(tdo_graph *g, tdo_node x);

/* How fine the strength of noise is: one number for a layer, a channel or an element. */
enum tdo_layer_noise_grain { TDO_GRAIN_LAYER, TDO_GRAIN_CHANNEL, TDO_GRAIN_ELEMENT };

/* Parametric noise on weights w [K,...], of this strength `start`, which is trained:
 *
 *     w + alpha * std(w) * N(0,1),    no derivative through the deviation
 *
 * alpha is the parameter <layer>.`name`: [1], [K,1,...] or the shape of w.
 * Source: Rakin et al. 2019, section 3.1. */
tdo_node tdo_layer_noise_weights(struct tdo_build *b, const struct tdo_defense_use *use,
                                 const char *name, enum tdo_layer_noise_grain grain,
                                 double start, tdo_node w, int layer);

#endif
