/* Reading certify.*. See certify_options.h. */
#include "jobs/certify_options.h"

#include "jobs/certify_looks.h"

tdo_err tdo_certify_options_read(const tdo_config *k, struct tdo_certify_setting *s)
{
    s->o = (struct tdo_certify_options){.sigma = tdo_config_real(k, "certify.sigma"),
                                        .alpha = tdo_config_real(k, "certify.alpha"),
                                        .n0 = tdo_config_int(k, "certify.n0"),
                                        .n = tdo_config_int(k, "certify.n")};
    if (tdo_config_choice(k, "certify.mode") == TDO_SCHEDULE_MILLION &&
        !tdo_config_given(k, "certify.n")) {
        s->o.n = 1000000;
    }
    s->sampling =
        (struct tdo_sampler_options){.what = "certify",
                                     .n0 = s->o.n0,
                                     .n = s->o.n,
                                     .batch = tdo_config_int(k, "certify.batch"),
                                     .sigma = s->o.sigma,
                                     .seed = (uint32_t)tdo_config_int(k, "run.seed"),
                                     .hash = true,
                                     .profile = tdo_config_bool(k, "certify.profile")};
    const char *name = tdo_config_text(k, "certify.certifier");
    s->certifier = tdo_certifier_find(name);
    if (!s->certifier) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "certify.certifier = '%s' is none; testudo list certifiers shows them",
                        name);
    }
    return s->certifier->check(&s->o);
}

static tdo_err choose_noise(const tdo_config *k, struct tdo_certify_setting *s)
{
    TDO_TRY(tdo_sampler_noise(&s->images, k, "certify.noise", &s->sampling, &s->table));
    s->o.slack = s->table ? tdo_rounded_slack(s->table, tdo_images_pixels(&s->images)) : 0;
    return TDO_OK;
}

/* Looks, unless the number of draws is fixed. */
static tdo_err choose_looks(const tdo_config *k, struct tdo_certify_setting *s)
{
    s->sequential = tdo_config_choice(k, "certify.mode") != TDO_SCHEDULE_FIXED;
    TDO_TRY(tdo_certify_looks_schedule(k, &s->o, &s->schedule));
    if (s->sequential) {
        s->sampling.looks = s->schedule.looks;
        s->sampling.look = s->schedule.look;
        s->sampling.block = TDO_SCHEDULE_FIRST;
    }
    return TDO_OK;
}

tdo_err tdo_certify_options_open(const tdo_config *k, tdo_dataset *data,
                                 struct tdo_certify_setting *s)
{
    s->images = tdo_images_split(data, (enum tdo_split)tdo_config_choice(k, "data.split"));
    TDO_TRY(tdo_images_take(&s->images, tdo_config_int(k, "certify.skip"),
                            tdo_config_int(k, "certify.max")));
    TDO_TRY(choose_noise(k, s));
    return choose_looks(k, s);
}

void tdo_certify_options_free(struct tdo_certify_setting *s)
{
    tdo_rounded_free(&s->table);
}
