/* Philox4x32-10 and what is made from its words. See rng.h.
 *
 * Counters are worked off in blocks, each word of the four in an array of its own, so that the
 * compiler turns every loop into vector code. Normals are Box-Muller pairs (Box and Muller
 * 1958):
 *
 *   u = (w0 >> 8) + 1 over 2^24 in (0,1],   t = (w1 >> 8) over 2^24 in [0,1)
 *   z0 = sqrt(-2 log u) cos(2 pi t),        z1 = sqrt(-2 log u) sin(2 pi t)
 *
 * and the same from w2, w3. Logarithm, sine and cosine are polynomials of our own (Remez fits,
 * coefficients rounded to f32), evaluated by Horner in single precision: only IEEE additions,
 * multiplications and square roots occur, hence one bit stream everywhere. Against exact
 * functions of the same u and t, a normal is off by less than 1e-6. */
#include "nn/base/rng.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#include "nn/base/clones.h"

enum {
    BLOCK = 256,  /* counters in a full block */
    GRANULE = 16, /* a shorter block is rounded up to this many, to keep whole vectors */
    ROUNDS = 10,  /* of Philox */
    CIPHER = 8    /* rounds of the permutation */
};

struct point { /* the parts of key and counter that a draw has fixed */
    uint32_t k0, k1, c1, c2, c3;
};

/* One round on one counter. Source: Salmon et al. 2011, section 3.3. */
TDO_INLINE void philox_round(uint32_t *x0, uint32_t *x1, uint32_t *x2, uint32_t *x3,
                             uint32_t k0, uint32_t k1)
{
    uint64_t p0 = (uint64_t)UINT32_C(0xD2511F53) * *x0;
    uint64_t p1 = (uint64_t)UINT32_C(0xCD9E8D57) * *x2;
    *x0 = (uint32_t)(p1 >> 32) ^ *x1 ^ k0;
    *x1 = (uint32_t)p1;
    *x2 = (uint32_t)(p0 >> 32) ^ *x3 ^ k1;
    *x3 = (uint32_t)p0;
}

TDO_INLINE void next_key(uint32_t *k0, uint32_t *k1)
{
    *k0 += UINT32_C(0x9E3779B9);
    *k1 += UINT32_C(0xBB67AE85);
}

void tdo_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t x[4], k0 = key[0], k1 = key[1];
    memcpy(x, counter, sizeof x);
    for (int r = 0; r < ROUNDS; r++) {
        philox_round(&x[0], &x[1], &x[2], &x[3], k0, k1);
        next_key(&k0, &k1);
    }
    memcpy(out, x, sizeof x);
}

/* The words of counters base .. base+count-1; count is a multiple of GRANULE. */
TDO_INLINE void generate(const struct point *p, uint32_t base, int count, uint32_t (*w)[BLOCK])
{
    uint32_t *restrict w0 = w[0], *restrict w1 = w[1], *restrict w2 = w[2], *restrict w3 = w[3];
    uint32_t k0 = p->k0, k1 = p->k1;
    for (int i = 0; i < count; i++) {
        w0[i] = base + (uint32_t)i;
        w1[i] = p->c1;
        w2[i] = p->c2;
        w3[i] = p->c3;
    }
    for (int r = 0; r < ROUNDS; r++) {
        for (int i = 0; i < count; i++) {
            philox_round(&w0[i], &w1[i], &w2[i], &w3[i], k0, k1);
        }
        next_key(&k0, &k1);
    }
}

/* log x for x in [2^-24, 1]: x = 2^e (1+f) with 1+f in [sqrt(1/2), sqrt(2)), log(1+f) = f Q(f).
 * Q is within 6e-8 relative; near x = 1 the relative error stays that small, as e is 0 there.
 * */
TDO_INLINE float log_unit(float x)
{
    int32_t bits;
    memcpy(&bits, &x, sizeof bits);
    int32_t e = (bits - INT32_C(0x3F3504F3)) >> 23; /* 0x3F3504F3 is sqrt(1/2) */
    bits -= e * (INT32_C(1) << 23);
    float m;
    memcpy(&m, &bits, sizeof m);
    float f = m - 1.0F, q = 0.0872235596F;
    q = q * f - 0.143668428F;
    q = q * f + 0.149522662F;
    q = q * f - 0.165623933F;
    q = q * f + 0.199568331F;
    q = q * f - 0.250020742F;
    q = q * f + 0.333341867F;
    q = q * f - 0.499999881F;
    q = q * f + 1.0F;
    return q * f + (float)e * 0.693147182F;
}

/* Cosine and sine of 2 pi a / 2^24, 0 <= a < 2^24. The nearest quarter turn is split off in
 * integers; for the rest, y in [-1/2, 1/2] quarters and without rounding error, sin(pi y / 2) /
 * y and cos(pi y / 2) are polynomials in y^2, within 3.5e-8 and 1e-8. */
TDO_INLINE void turn(uint32_t a, float *cosine, float *sine)
{
    uint32_t quarter = (a + (UINT32_C(1) << 21)) >> 22;
    float y = (float)((int32_t)a - (int32_t)(quarter << 22)) * 0x1p-22F, y2 = y * y;
    float s = -0.00460165786F;
    s = s * y2 + 0.079680033F;
    s = s * y2 - 0.64596349F;
    s = (s * y2 + 1.57079637F) * y;
    float c = 0.00090336299F;
    c = c * y2 - 0.0208599363F;
    c = c * y2 + 0.253669173F;
    c = c * y2 - 1.23370051F;
    c = c * y2 + 1.0F;
    float odd_c = quarter & 1 ? s : c, odd_s = quarter & 1 ? c : s;
    *cosine = (quarter + 1) & 2 ? -odd_c : odd_c;
    *sine = quarter & 2 ? -odd_s : odd_s;
}

TDO_INLINE void normal_pair(uint32_t w0, uint32_t w1, float *z0, float *z1)
{
    float u = (float)(int32_t)((w0 >> 8) + 1) * 0x1p-24F, c, s;
    float radius = sqrtf(-2.0F * log_unit(u));
    turn(w1 >> 8, &c, &s);
    *z0 = radius * c;
    *z1 = radius * s;
}

TDO_INLINE float uniform(uint32_t w)
{
    return (float)(int32_t)(w >> 8) * 0x1p-24F;
}

/* The three kinds of block: `count` counters give 4 count elements of 4 bytes each. */
TDO_CLONES static void block_words(const struct point *p, uint32_t base, int count, void *to)
{
    _Alignas(64) uint32_t w[4][BLOCK];
    generate(p, base, count, w);
    uint32_t *restrict out = to;
    for (ptrdiff_t i = 0; i < count; i++) {
        out[4 * i] = w[0][i];
        out[4 * i + 1] = w[1][i];
        out[4 * i + 2] = w[2][i];
        out[4 * i + 3] = w[3][i];
    }
}

TDO_CLONES static void block_uniforms(const struct point *p, uint32_t base, int count, void *to)
{
    _Alignas(64) uint32_t w[4][BLOCK];
    generate(p, base, count, w);
    float *restrict out = to;
    for (ptrdiff_t i = 0; i < count; i++) {
        out[4 * i] = uniform(w[0][i]);
        out[4 * i + 1] = uniform(w[1][i]);
        out[4 * i + 2] = uniform(w[2][i]);
        out[4 * i + 3] = uniform(w[3][i]);
    }
}

TDO_CLONES static void block_normals(const struct point *p, uint32_t base, int count, void *to)
{
    _Alignas(64) uint32_t w[4][BLOCK];
    generate(p, base, count, w);
    float *restrict out = to;
    for (ptrdiff_t i = 0; i < count; i++) {
        float z0, z1, z2, z3;
        normal_pair(w[0][i], w[1][i], &z0, &z1);
        normal_pair(w[2][i], w[3][i], &z2, &z3);
        out[4 * i] = z0;
        out[4 * i + 1] = z1;
        out[4 * i + 2] = z2;
        out[4 * i + 3] = z3;
    }
}

/* That of the key, if it has one; the flag of the stream stays. */
static uint32_t purpose_of(const struct tdo_stream *s, const struct tdo_key *k)
{
    return k->purpose ? k->purpose | (s->purpose & TDO_PURPOSE_REFINE) : s->purpose;
}

static struct point pack(const struct tdo_stream *s, const struct tdo_key *k)
{
    return (struct point){
        .k0 = s->seed,
        .k1 = purpose_of(s, k) | s->layer << 8,
        .c1 = (uint32_t)k->sample,
        .c2 = (uint32_t)(k->sample >> 32 & 0xFF) | k->draw << 8,
        .c3 = k->draw >> 24 | k->step << 8,
    };
}

/* Cut [first, first+n) into blocks; a block that is not whole goes through a buffer. */
static void fill(const struct tdo_stream *s, const struct tdo_key *k, int64_t first, int64_t n,
                 void (*block)(const struct point *, uint32_t, int, void *), void *out)
{
    const int64_t full = INT64_C(4) * BLOCK;
    struct point p = pack(s, k);
    uint32_t base = (uint32_t)(first / 4);
    unsigned char *to = out;
    for (; n >= full; n -= full, base += BLOCK, to += 4 * full) {
        block(&p, base, BLOCK, to);
    }
    if (n > 0) {
        _Alignas(64) uint32_t rest[4 * BLOCK];
        int counters = (int)((n + 3) / 4);
        block(&p, base, (counters + GRANULE - 1) / GRANULE * GRANULE, rest);
        memcpy(to, rest, 4 * (size_t)n);
    }
}

void tdo_rng_words(const struct tdo_stream *s, const struct tdo_key *k, int64_t first,
                   int64_t n, uint32_t *out)
{
    fill(s, k, first, n, block_words, out);
}

void tdo_rng_uniforms(const struct tdo_stream *s, const struct tdo_key *k, int64_t first,
                      int64_t n, float *out)
{
    fill(s, k, first, n, block_uniforms, out);
}

void tdo_rng_normals(const struct tdo_stream *s, const struct tdo_key *k, int64_t first,
                     int64_t n, float *out)
{
    fill(s, k, first, n, block_normals, out);
}

tdo_err tdo_rng_check(const struct tdo_stream *s, const struct tdo_key *k)
{
    const struct {
        const char *name;
        uint64_t value;
        int bits;
    } field[] = {
        {"purpose", s->purpose, 8}, {"purpose of the key", k->purpose, 8},
        {"layer", s->layer, 24},    {"sample id", k->sample, 40},
        {"step", k->step, 24},
    };
    for (size_t i = 0; i < sizeof field / sizeof field[0]; i++) {
        if (field[i].value >> field[i].bits) {
            return TDO_FAIL(TDO_ERR_CONFIG,
                            "random stream: %s is %llu, it must be less than 2^%d",
                            field[i].name, (unsigned long long)field[i].value, field[i].bits);
        }
    }
    return TDO_OK;
}

/* One pass of the Feistel network on two halves of `half` bits each. Any round function makes
 * it a bijection (Luby and Rackoff 1988). */
static uint64_t encipher(uint32_t seed, uint32_t epoch, unsigned half, uint64_t x)
{
    const uint32_t key[2] = {seed, TDO_PURPOSE_SHUFFLE};
    const uint32_t mask = (UINT32_C(1) << half) - 1;
    uint32_t left = (uint32_t)(x >> half), right = (uint32_t)x & mask;
    for (uint32_t r = 0; r < CIPHER; r++) {
        const uint32_t counter[4] = {right, r, half, epoch};
        uint32_t word[4];
        tdo_philox(counter, key, word);
        uint32_t next = left ^ (word[0] & mask);
        left = right;
        right = next;
    }
    return (uint64_t)left << half | right;
}

/* Walk the cycle until it comes back into 0..n-1: the permutation of the larger set then
 * induces one of the smaller (Black and Rogaway 2002). Fewer than four steps on average. */
uint64_t tdo_rng_permute(uint32_t seed, uint32_t epoch, uint64_t n, uint64_t i)
{
    TDO_ASSERT(n >= 1 && n < UINT64_C(1) << 40 && i < n);
    unsigned half = 0;
    while (UINT64_C(1) << (2 * half) < n) {
        half++;
    }
    do {
        i = encipher(seed, epoch, half, i);
    } while (i >= n);
    return i;
}
