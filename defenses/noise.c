/* Noise on pixels. See noise.h. */
#include "defenses/noise.h"

/* What makes noise of deviation sigma of a draw: a normal one; one from [0,1), whose interval is 2
 * sqrt(3) sigma wide then; or whole grey levels, which have it already. */
static void spread(enum tdo_noise_law law, double sigma, double *scale, double *shift)
{
    const double half = 1.7320508075688772 * sigma;
    const bool uniform = law == TDO_NOISE_UNIFORM;
    *scale = law == TDO_NOISE_ROUNDED ? 1 : uniform ? 2 * half : sigma;
    *shift = uniform ? -half : 0;
}

static const char not_8bit[] = "rounded noise is for 8-bit images; this data set holds floats: "
                               "choose noise = real";

tdo_node tdo_noise_pixels(tdo_graph *g, tdo_node raw, bool u8)
{
    return u8 ? tdo_op_affine(g, raw, 1.0 / 255, 0) : raw;
}

/* Noise of deviation 1 times each channel's scale. */
static tdo_node scaled(tdo_graph *g, const struct tdo_noise *n, tdo_node noise)
{
    const int rank = tdo_graph_shape(g, noise).rank;
    tdo_node part[16];
    if (n->scales <= 1) {
        return n->scales ? tdo_op_affine(g, noise, n->scale[0], 0) : noise;
    }
    for (int c = 0; c < n->scales; c++) {
        int64_t front[TDO_MAX_RANK] = {0}, behind[TDO_MAX_RANK] = {0};
        front[rank - 1] = c;
        behind[rank - 1] = n->scales - c - 1;
        part[c] = tdo_op_affine(g, tdo_op_slice(g, noise, front, behind), n->scale[c], 0);
    }
    return tdo_op_concat(g, n->scales, part, rank - 1);
}

tdo_node tdo_noise_add(tdo_graph *g, const struct tdo_noise *n, tdo_node raw, bool u8,
                       tdo_node keys)
{
    struct tdo_random how = {.stream = n->stream, .shape = tdo_graph_shape(g, raw)};
    if (n->law == TDO_NOISE_ROUNDED) {
        if (!u8) {
            return tdo_graph_fail(g, TDO_ERR_CONFIG, "%s", not_8bit);
        }
        how.law = TDO_LAW_ROUNDED;
        how.table = n->table;
        tdo_node sum = tdo_op_add(g, raw, tdo_op_random(g, keys, &how));
        return tdo_noise_pixels(g, sum, true); /* integers until here: exact */
    }
    double scale, shift;
    spread(n->law, n->sigma, &scale, &shift);
    how.law = n->law == TDO_NOISE_UNIFORM ? TDO_LAW_UNIFORM : TDO_LAW_NORMAL;
    tdo_node noise = tdo_op_affine(g, tdo_op_random(g, keys, &how), scale, shift);
    return tdo_op_add(g, tdo_noise_pixels(g, raw, u8), scaled(g, n, noise));
}

tdo_err tdo_noise_draw(const struct tdo_noise *n, const struct tdo_key *key, bool u8,
                       int64_t count, float *x)
{
    enum { RUN = 256 };
    double scale, shift;
    float draw[RUN];
    spread(n->law, n->sigma * (u8 ? 255 : 1), &scale, &shift);
    if (n->law == TDO_NOISE_ROUNDED && !u8) {
        return TDO_FAIL(TDO_ERR_CONFIG, "%s", not_8bit);
    }
    for (int64_t at = 0; at < count; at += RUN) {
        const int64_t k = count - at < RUN ? count - at : RUN;
        if (n->law == TDO_NOISE_ROUNDED) {
            tdo_rounded_draw(n->table, &n->stream, key, at, k, draw);
        } else if (n->law == TDO_NOISE_UNIFORM) {
            tdo_rng_uniforms(&n->stream, key, at, k, draw);
        } else {
            tdo_rng_normals(&n->stream, key, at, k, draw);
        }
        for (int64_t i = 0; i < k; i++) {
            const double by = n->scales ? n->scale[(at + i) % n->scales] : 1;
            x[at + i] = (float)((double)x[at + i] + by * scale * (double)draw[i] + by * shift);
        }
    }
    return TDO_OK;
}

bool tdo_noise_certifies(enum tdo_noise_law law)
{
    return law == TDO_NOISE_ROUNDED || law == TDO_NOISE_REAL;
}
