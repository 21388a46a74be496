/* The image as it is: what all other rows are compared with.
 * Source: none; the identity. */
#include "attacks/attack.h"

static const struct tdo_option options[] = {{0}};

static tdo_err run(const struct tdo_attack_use *use, tdo_target *t, struct tdo_samples *s)
{
    (void)use;
    (void)t;
    (void)s;
    return TDO_OK; /* s->found is x already */
}

const struct tdo_attack tdo_attack_clean = {
    .name = "clean",
    .help = "the image as it is",
    .cite = "",
    .options = options,
    .needs = TDO_NEEDS_NOTHING,
    .returns = TDO_RETURNS_LAST,
    .run = run,
};
