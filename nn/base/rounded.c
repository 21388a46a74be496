/* The sampler of rounded Gaussian noise. See rounded.h for what and why.
 *
 *   words      0 ........ t[0] ...... t[1] ...... . . . ...... t[count-1] ........ 2^64
 *   integer       -half         1-half                                    half
 *
 * t[i] belongs to the edge k + 1/2 with k = i - half; an integer is the number of thresholds
 * that are <= the word, minus half = count/2. Only the lower half is computed: as Phi(-x) = 1 -
 * Phi(x), t[count-1-i] = 2^64 - t[i]. Edges whose threshold would be 0 (or 2^64) are left out;
 * their mass is the cut tail. */
#include "nn/base/rounded.h"

#include <math.h>

#include "nn/base/clones.h"
#include "nn/base/exact.h"
#include "nn/base/memory.h"

enum {
    BLOCK = 1024,    /* words drawn at a time */
    GUIDE_BITS = 16, /* of the word that choose an entry of the guide */
    GUIDE = 1 << GUIDE_BITS
};

struct tdo_rounded {
    int32_t count, half;
    uint64_t *threshold; /* [count], not decreasing */
    /* [GUIDE] twice the number of thresholds at or below the first word of this entry, plus 1
     * if there are thresholds further inside it: then the rest of the word matters. */
    int32_t *guide;
    double slack; /* for one pixel, rounded up */
};

/* The lower half of the thresholds, from the middle outwards; *half of them are not 0. */
static tdo_err lower_half(double scale, int32_t room, uint64_t *t, int32_t *half)
{
    for (int32_t j = 0; j < room; j++) {
        TDO_TRY(tdo_exact_normal_threshold(-1 - j, scale, &t[j]));
        if (t[j] == 0) {
            *half = j;
            return TDO_OK;
        }
    }
    return TDO_FAIL(TDO_ERR_BUG, "rounded noise: more than %d thresholds at scale %.17g", room,
                    scale);
}

static void fill_guide(tdo_rounded *r)
{
    int32_t below = 0;
    for (int32_t g = 0; g < GUIDE; g++) {
        uint64_t low = (uint64_t)g << (64 - GUIDE_BITS);
        uint64_t high = low | (UINT64_MAX >> GUIDE_BITS);
        while (below < r->count && r->threshold[below] <= low) {
            below++;
        }
        int inside = below < r->count && r->threshold[below] <= high;
        r->guide[g] = 2 * below + inside;
        while (below < r->count && r->threshold[below] <= high) {
            below++;
        }
    }
}

/* count 2^-65 for the rounding of thresholds, plus both tails. Each sum is moved up one step,
 * as rounding to nearest may have gone down; count 2^-65 is exact. */
static tdo_err pixel_slack(tdo_rounded *r, double scale)
{
    double tail = 0.0;
    TDO_TRY(tdo_exact_normal_tail_up(r->half, scale, &tail));
    r->slack = nextafter(r->count * 0x1p-65 + 2.0 * tail, 1.0);
    return TDO_OK;
}

tdo_err tdo_rounded_new(double sigma, tdo_rounded **out)
{
    *out = NULL;
    if (!(sigma > 0.0 && sigma <= 16.0)) {
        return TDO_FAIL(TDO_ERR_CONFIG, "rounded noise: sigma is %.17g, want 0 < sigma <= 16",
                        sigma);
    }
    double scale = 255.0 * sigma;
    if (fma(255.0, sigma, -scale) > 0.0) {
        scale =
            nextafter(scale, 1e9); /* noise a rounding wider than sigma is on the safe side */
    }
    tdo_err err = TDO_OK;
    tdo_rounded *r = NULL;
    uint64_t *lower = NULL;
    int32_t room = (int32_t)(9.3 * scale) + 2; /* Phi(-9.3) < 2^-65 */
    TDO_GOTO(tdo_memory_new(1, &r));
    TDO_GOTO(tdo_memory_new(room, &lower));
    TDO_GOTO(lower_half(scale, room, lower, &r->half));
    r->count = 2 * r->half;
    TDO_GOTO(tdo_memory_new(r->count, &r->threshold));
    TDO_GOTO(tdo_memory_new(GUIDE, &r->guide));
    for (int32_t j = 0; j < r->half; j++) {
        r->threshold[r->half - 1 - j] = lower[j];
        r->threshold[r->half + j] = UINT64_C(0) - lower[j];
    }
    fill_guide(r);
    TDO_GOTO(pixel_slack(r, scale));
    *out = r;
    r = NULL;
done:
    tdo_memory_free(&lower);
    tdo_rounded_free(&r);
    return err;
}

void tdo_rounded_free(tdo_rounded **r)
{
    if (!*r) {
        return;
    }
    tdo_memory_free(&(*r)->threshold);
    tdo_memory_free(&(*r)->guide);
    tdo_memory_free(r);
}

/* The lower 32 bits of element e's word. */
static uint32_t low_word(const struct tdo_stream *s, const struct tdo_key *k, int64_t e)
{
    struct tdo_stream refine = *s;
    uint32_t w[4];
    refine.purpose |= TDO_PURPOSE_REFINE;
    tdo_rng_words(&refine, k, e / 4 * 4, 4, w);
    return w[e % 4];
}

/* The integer of element e, whose upper word is w, when the guide alone does not tell. */
static int32_t walk(const tdo_rounded *r, const struct tdo_stream *s, const struct tdo_key *k,
                    int64_t e, uint32_t w)
{
    int32_t i = r->guide[w >> (32 - GUIDE_BITS)] / 2;
    while (i < r->count && (uint32_t)(r->threshold[i] >> 32) < w) {
        i++;
    }
    if (i < r->count && (uint32_t)(r->threshold[i] >> 32) == w) {
        uint64_t word = (uint64_t)w << 32 | low_word(s, k, e);
        while (i < r->count && r->threshold[i] <= word) {
            i++;
        }
    }
    return i - r->half;
}

/* Look up n <= BLOCK words; the numbers of those to walk for go to `open`. Returns how many. */
TDO_CLONES static int look_up(const tdo_rounded *r, const uint32_t *w, int n, float *out,
                              int16_t *open)
{
    const int32_t *guide = r->guide, half = r->half;
    int count = 0;
    for (int i = 0; i < n; i++) {
        int32_t g = guide[w[i] >> (32 - GUIDE_BITS)];
        int32_t value = g / 2 - half;
        out[i] = (float)value;
        open[count] = (int16_t)i;
        count += g & 1;
    }
    return count;
}

void tdo_rounded_draw(const tdo_rounded *r, const struct tdo_stream *s, const struct tdo_key *k,
                      int64_t first, int64_t n, float *out)
{
    _Alignas(64) uint32_t w[BLOCK];
    int16_t open[BLOCK];
    for (int64_t at = 0; at < n; at += BLOCK) {
        int some = (int)(n - at < BLOCK ? n - at : BLOCK);
        tdo_rng_words(s, k, first + at, some, w);
        int count = look_up(r, w, some, out + at, open);
        for (int j = 0; j < count; j++) {
            int i = open[j];
            out[at + i] = (float)walk(r, s, k, first + at + i, w[i]);
        }
    }
}

const uint64_t *tdo_rounded_thresholds(const tdo_rounded *r, int64_t *count)
{
    *count = r->count;
    return r->threshold;
}

double tdo_rounded_slack(const tdo_rounded *r, int64_t pixels)
{
    return nextafter(r->slack * (double)pixels, 1e300);
}
