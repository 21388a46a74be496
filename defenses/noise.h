#ifndef TDO_DEFENSES_NOISE_H
#define TDO_DEFENSES_NOISE_H
/* Noise on pixels, by one of two laws.
 *
 * real:    x + sigma N, x in [0,1], clipped nowhere.
 * rounded: (255 x + round(255 sigma N)) / 255 for 8-bit images: the integer is drawn exactly
 *          (nn/base/rounded.h), so that a certificate about it needs no floating-point argument. */
#include "nn/graph/ops.h"

enum tdo_noise_law { TDO_NOISE_ROUNDED, TDO_NOISE_REAL }; /* as in the choices "rounded|real" */

struct tdo_noise {
    enum tdo_noise_law law;
    double sigma; /* pixels in 0..1 */
    struct tdo_stream stream;
    const tdo_rounded *table; /* rounded; borrowed, outlives the graph and its plans */
};

/* raw [N,...]: 8-bit values 0..255 held as reals, or (u8 false) pixels in 0..1 -> pixels in 0..1. */
tdo_node tdo_noise_pixels(tdo_graph *g, tdo_node raw, bool u8);

/* raw [N,...] and keys [N] -> noisy pixels in 0..1. Rounded noise wants 8-bit values. */
tdo_node tdo_noise_add(tdo_graph *g, const struct tdo_noise *n, tdo_node raw, bool u8,
                       tdo_node keys);

#endif
