/* Which images an attack takes. See shares.h. */
#include "jobs/attack/shares.h"

#include <math.h>

#include "nn/base/rng.h"

enum { LAYER = 0xfffe }; /* its stream, behind those of all attacks */

static const double circle = 4294967296.0;
static const double nothing =
    1e-9; /* shares such as 1/3 do not add up to 1 in floating point */

static uint64_t position(const struct tdo_shares *s)
{
    return ((uint64_t)s->rounds << 32) + (uint64_t)floor(s->part * circle + 0.5);
}

struct tdo_share tdo_shares_next(struct tdo_shares *s, double share)
{
    struct tdo_share out = {.from = position(s)};
    if (share >= 1) {
        s->rounds++;
    } else {
        s->part += share;
    }
    if (s->part > 1 - nothing) {
        s->rounds++;
        s->part = s->part - 1 > nothing ? s->part - 1 : 0;
    }
    out.end = position(s);
    return out;
}

uint32_t tdo_share_place(uint32_t seed, uint64_t id)
{
    const struct tdo_stream stream = {
        .seed = seed, .purpose = TDO_PURPOSE_ATTACK, .layer = LAYER};
    const struct tdo_key key = {.sample = id};
    uint32_t word[4];
    tdo_rng_words(&stream, &key, 0, 4, word);
    return word[0];
}

bool tdo_share_takes(const struct tdo_share *s, uint32_t place)
{
    const uint32_t ahead = place - (uint32_t)s->from; /* around the circle */
    return ahead < s->end - s->from;
}
