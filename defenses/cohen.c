/* CERTIFY of Cohen et al. 2019: randomized smoothing with Gaussian noise.
 *
 *     c = the class with most votes among n0 draws (the lowest, if several have most)
 *     p = one-sided Clopper-Pearson lower bound for its count among n other draws
 *     radius = sigma Phi^-1(p) if p > 1/2, else abstain
 *
 * With probability at least 1 - alpha over the draws, no perturbation of smaller L2 norm changes
 * the class of the smoothed network. The noise's distance from its law is taken off p.
 * Source: Cohen et al. 2019, section 3.2.2 and theorem 1. */
#include <math.h>

#include "defenses/certifier.h"
#include "defenses/statistics.h"

static tdo_err check(const struct tdo_certify_options *o)
{
    const int64_t least = tdo_statistics_min_samples(o->alpha);
    if (o->n < least) {
        return TDO_FAIL(
            TDO_ERR_CONFIG,
            "certify.n = %lld can certify nothing at certify.alpha = %g: the smallest "
            "n that can is %lld",
            (long long)o->n, o->alpha, (long long)least);
    }
    return TDO_OK;
}

static tdo_err decide(const struct tdo_certify_options *o, const uint64_t *select,
                      const uint64_t *count, int classes, struct tdo_certificate *out)
{
    const int c = tdo_certifier_class(select, classes);
    double p = 0;
    *out = (struct tdo_certificate){.verdict = TDO_VERDICT_ABSTAIN, .predict = -1, .n = o->n};
    TDO_TRY(tdo_statistics_lower_bound((int64_t)count[c], o->n, o->alpha, &p));
    if (o->slack > 0) {
        p = nextafter(p - o->slack, -1);
    }
    out->p_lower = p > 0 ? p : 0;
    if (p > 0.5) {
        TDO_TRY(tdo_statistics_radius(p, o->sigma, &out->radius));
        out->verdict = TDO_VERDICT_CERTIFIED;
        out->predict = c;
    }
    return TDO_OK;
}

const struct tdo_certifier tdo_certifier_cohen = {
    .name = "cohen",
    .help = "L2 radius of Gaussian smoothing, fixed number of draws, one-sided Clopper-Pearson "
            "bound",
    .cite = "Cohen et al. 2019, section 3.2.2",
    .check = check,
    .decide = decide,
};
