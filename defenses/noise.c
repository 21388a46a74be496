/* Noise on pixels. See noise.h. */
#include "defenses/noise.h"

tdo_node tdo_noise_pixels(tdo_graph *g, tdo_node raw, bool u8)
{
    return u8 ? tdo_op_affine(g, raw, 1.0 / 255, 0) : raw;
}

tdo_node tdo_noise_add(tdo_graph *g, const struct tdo_noise *n, tdo_node raw, bool u8,
                       tdo_node keys)
{
    struct tdo_random how = {.stream = n->stream, .shape = tdo_graph_shape(g, raw)};
    if (n->law == TDO_NOISE_ROUNDED) {
        if (!u8) {
            return tdo_graph_fail(
                g, TDO_ERR_CONFIG,
                "rounded noise is for 8-bit images; this data set holds floats: "
                "choose noise = real");
        }
        how.law = TDO_LAW_ROUNDED;
        how.table = n->table;
        tdo_node sum = tdo_op_add(g, raw, tdo_op_random(g, keys, &how));
        return tdo_noise_pixels(g, sum, true); /* integers until here: exact */
    }
    how.law = TDO_LAW_NORMAL;
    tdo_node noise = tdo_op_affine(g, tdo_op_random(g, keys, &how), n->sigma, 0);
    return tdo_op_add(g, tdo_noise_pixels(g, raw, u8), noise);
}
