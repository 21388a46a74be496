/* Two classes of noisy points in the plane, made from a seed. See toy.h. */
#include "jobs/formats/toy.h"

#include "nn/base/memory.h"
#include "nn/base/rng.h"

enum { ROWS = 1000, CLASSES = 2 };
enum draw { DRAW_PLACE, DRAW_NOISE };

static const uint64_t test_offset = UINT64_C(1) << 32; /* sample ids of the test split */

struct toy {
    tdo_source base;
    const struct tdo_toy *toy;
    uint32_t seed;
};

/* (cosine, sine) of a uniform angle: two bits choose a quarter of the circle, 24 more the angle
 * in it, -45 to 45 degrees, where the Taylor sums below are right to 1e-6. */
static void on_circle(uint32_t word, float *cosine, float *sine)
{
    float turn = (float)(word >> 6 & 0xffffffu) * (1.0f / 16777216.0f) - 0.5f;
    float a = turn * 1.57079633f, q = a * a;
    float s = a * (1.0f - q * (1.0f / 6) * (1.0f - q * (1.0f / 20) * (1.0f - q * (1.0f / 42))));
    float c = 1.0f - q * 0.5f *
                         (1.0f - q * (1.0f / 12) *
                                     (1.0f - q * (1.0f / 30) * (1.0f - q * (1.0f / 56))));
    switch (word >> 30) {
    case 0:
        *cosine = c, *sine = s;
        return;
    case 1:
        *cosine = -s, *sine = c;
        return;
    case 2:
        *cosine = -c, *sine = -s;
        return;
    default:
        *cosine = s, *sine = -c;
    }
}

static float clamp_unit(float v)
{
    return v < 0.0f ? 0.0f : v > 1.0f ? 1.0f : v;
}

/* Sample `id`: x [2]; returns the label. */
static int draw_point(const struct toy *g, uint64_t id, float x[2])
{
    const struct tdo_toy *t = g->toy;
    const struct tdo_stream stream = {
        .seed = g->seed, .purpose = TDO_PURPOSE_GLYPHS, .layer = t->layer};
    struct tdo_key key = {.sample = id, .draw = DRAW_PLACE};
    uint32_t words[4];
    float noise[4], c, s, px, py;
    tdo_rng_words(&stream, &key, 0, 4, words);
    key.draw = DRAW_NOISE;
    tdo_rng_normals(&stream, &key, 0, 4, noise);
    int label = (int)(words[0] >> 31);
    on_circle(words[1], &c, &s);
    t->place(label, c, s, &px, &py);
    x[0] = clamp_unit(0.5f + t->zoom * (px + t->noise * noise[0] - t->center_x));
    x[1] = clamp_unit(0.5f + t->zoom * (py + t->noise * noise[1] - t->center_y));
    return label;
}

tdo_err tdo_toy_open(const struct tdo_toy *toy, const struct tdo_format_args *args,
                     tdo_source **out)
{
    if ((uint64_t)args->train > test_offset || (uint64_t)args->test > test_offset) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "import.train = %lld and import.test = %lld: at most 2^32 each",
                        (long long)args->train, (long long)args->test);
    }
    struct toy *g = NULL;
    TDO_TRY(tdo_memory_new(1, &g));
    g->toy = toy;
    g->seed = args->seed;
    g->base.info = (struct tdo_source_info){
        .rows = {args->train ? args->train : ROWS, args->test ? args->test : ROWS},
        .height = 1,
        .width = 1,
        .channels = 2,
        .classes = CLASSES,
        .is_u8 = false,
        .anywhere = true,
    };
    *out = &g->base;
    return TDO_OK;
}

tdo_err tdo_toy_read(tdo_source *s, enum tdo_source_split split, int64_t first, int64_t n,
                     void *x, int32_t *y)
{
    const struct toy *g = (const struct toy *)s;
    uint64_t offset = (uint64_t)first + (split == TDO_SOURCE_TEST ? test_offset : 0);
    float *points = x;
    for (int64_t i = 0; i < n; i++) {
        y[i] = draw_point(g, offset + (uint64_t)i, points + 2 * i);
    }
    return TDO_OK;
}

void tdo_toy_close(tdo_source **s)
{
    tdo_memory_free(s);
}
