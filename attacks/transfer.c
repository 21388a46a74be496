/* A stored set of adversarial images, made on another model or by another program, shown to this
 * target: the images are taken as they are, without a look at ball or box.
 *
 * Whoever runs the attack reads the file `from`, and puts the pixels of the samples into
 * tdo_samples.stored.
 * Source: Papernot et al. 2016 (transferability), section 2; Liao et al. 2018, section 4.1. */
#include "attacks/attack.h"

static const struct tdo_option options[] = {
    {.key = "from",
     .type = TDO_OPTION_TEXT,
     .value = "",
     .help = "adversarial.h5 of another run of the job attack"},
    TDO_ATTACK_INT("row", 0, 65535, "0", NULL,
                   "which attack of that file, from 0; attacks that parted the images among "
                   "them count as one"),
    {0}};

static tdo_err check(const struct tdo_attack_use *use, const tdo_target *t)
{
    (void)t;
    if (use->from[0] == '\0') {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "%s.from is empty, expected the path of an adversarial.h5", use->key);
    }
    return TDO_OK;
}

static tdo_err run(const struct tdo_attack_use *use, tdo_target *t, struct tdo_samples *s)
{
    if (!s->stored) {
        return TDO_FAIL(TDO_ERR_BUG, "%s: nobody has read the images of %s", use->key,
                        use->from);
    }
    tdo_target_from_pixels(t, s->stored, s->count, s->found);
    return TDO_OK;
}

const struct tdo_attack tdo_attack_transfer = {
    .name = "transfer",
    .help = "the images of a stored adversarial set, as they are",
    .cite = "Papernot et al. 2016 (transferability), section 2; Liao et al. 2018, section 4.1",
    .options = options,
    .needs = TDO_NEEDS_NOTHING,
    .returns = TDO_RETURNS_LAST,
    .check = check,
    .run = run,
};
