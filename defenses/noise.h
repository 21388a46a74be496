#ifndef TDO_DEFENSES_NOISE_H
#define TDO_DEFENSES_NOISE_H
/* Noise on pixels, by one of three laws, all of standard deviation sigma.
 *
 * real:    x + sigma N, x in [0,1], clipped nowhere.
 * rounded: (255 x + round(255 sigma N)) / 255 for 8-bit images: the integer is drawn exactly
 *          (nn/base/rounded.h), so that a certificate about it needs no floating-point argument.
 * uniform: x + U, U uniform on [-sqrt(3) sigma, sqrt(3) sigma). For training alone: certificates
 *          are about Gaussian noise. */
#include "nn/graph/ops.h"

/* As in the choices "rounded|real|uniform". */
enum tdo_noise_law { TDO_NOISE_ROUNDED, TDO_NOISE_REAL, TDO_NOISE_UNIFORM };

struct tdo_noise {
    enum tdo_noise_law law;
    double sigma; /* pixels in 0..1 */
    struct tdo_stream stream;
    const tdo_rounded *table; /* rounded; borrowed, outlives the graph and its plans */
    /* real, uniform: sigma is times scale[c] in channel c (scales = channels), or in all (scales =
     * 1): deviations of the data, where sigma is meant in units of them. 0: pixels. */
    int scales;
    double scale[16];
};

/* raw [N,...]: 8-bit values 0..255 held as reals, or (u8 false) pixels in 0..1 -> pixels in 0..1. */
tdo_node tdo_noise_pixels(tdo_graph *g, tdo_node raw, bool u8);

/* raw [N,...] and keys [N] -> noisy pixels in 0..1. Rounded noise wants 8-bit values. */
tdo_node tdo_noise_add(tdo_graph *g, const struct tdo_noise *n, tdo_node raw, bool u8,
                       tdo_node keys);

/* The same without a graph, for one row: x [count], 8-bit values or pixels, stays in its units. The
 * draw is that of tdo_noise_add for this key, and the same bytes wherever it is made.
 * Errors: TDO_ERR_CONFIG for rounded noise on what is not 8-bit. Safe in every thread. */
TDO_MUST tdo_err tdo_noise_draw(const struct tdo_noise *n, const struct tdo_key *key, bool u8,
                                int64_t count, float *x);

/* Is a certificate of Gaussian smoothing about this law? */
bool tdo_noise_certifies(enum tdo_noise_law law);

#endif
