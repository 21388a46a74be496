/* Tanh space. See squash.h. In double: near the border 1 - tanh^2 is all rounding in single. */
#include "attacks/squash.h"

#include <math.h>

static const double guard = 0.999999;

void tdo_squash_from(const struct tdo_box *box, const float *u, float *w)
{
    for (int64_t p = 0; p < box->size; p++) {
        const double low = (double)box->low[p], range = (double)box->high[p] - low;
        w[p] = (float)atanh((2 * ((double)u[p] - low) / range - 1) * guard);
    }
}

void tdo_squash_to(const struct tdo_box *box, const float *w, float *u)
{
    for (int64_t p = 0; p < box->size; p++) {
        const double low = (double)box->low[p], range = (double)box->high[p] - low;
        u[p] = (float)(low + range * (1 + tanh((double)w[p])) / 2);
    }
    tdo_threat_clip(box, u); /* rounding */
}

void tdo_squash_chain(const struct tdo_box *box, const float *w, float *g)
{
    for (int64_t p = 0; p < box->size; p++) {
        const double t = tanh((double)w[p]);
        const double range = (double)box->high[p] - (double)box->low[p];
        g[p] = (float)((double)g[p] * range / 2 * (1 - t * t));
    }
}

tdo_err tdo_squash_check(const struct tdo_attack_use *use)
{
    if (!use->threat.boxed) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "%s.box = none: %s searches in tanh space, which is made of the box; "
                        "box = pixel",
                        use->key, use->row->name);
    }
    return TDO_OK;
}
