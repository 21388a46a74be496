/* Reading certify.*. See certify_options.h. */
#include "jobs/certify_options.h"

#include "defenses/schedule.h"

tdo_err tdo_certify_options_read(const tdo_config *k, struct tdo_certify_options *o,
                                 struct tdo_sampler_options *sampling,
                                 const struct tdo_certifier **certifier)
{
    *o = (struct tdo_certify_options){.sigma = tdo_config_real(k, "certify.sigma"),
                                      .alpha = tdo_config_real(k, "certify.alpha"),
                                      .n0 = tdo_config_int(k, "certify.n0"),
                                      .n = tdo_config_int(k, "certify.n")};
    *sampling = (struct tdo_sampler_options){.what = "certify",
                                             .n0 = o->n0,
                                             .n = o->n,
                                             .batch = tdo_config_int(k, "certify.batch"),
                                             .sigma = o->sigma,
                                             .seed = (uint32_t)tdo_config_int(k, "run.seed"),
                                             .hash = true,
                                             .profile = tdo_config_bool(k, "certify.profile")};
    if (tdo_config_choice(k, "certify.mode") == TDO_SCHEDULE_MILLION &&
        !tdo_config_given(k, "certify.n")) {
        o->n = sampling->n = 1000000;
    }
    const char *name = tdo_config_text(k, "certify.certifier");
    *certifier = tdo_certifier_find(name);
    if (!*certifier) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "certify.certifier = '%s' is none; testudo list certifiers shows them",
                        name);
    }
    return (*certifier)->check(o);
}
