/* Glyphs: drawn digits, 28x28 grey, made from nothing but a seed. For first steps and tests.
 *
 * A digit is a few pen strokes; a stroke is a quadratic B-spline given by its control points
 * (the curve runs through the middle of each side of the polygon), so that shaken points still
 * give a smooth line. Turn, slant, size, shift, pen, ink and paper are drawn at random, then
 * clutter (thin strokes, dots) and pixel noise. Each pixel is painted by its distance to the
 * pen's segment.
 *
 * Every number is a draw of tdo_rng at (seed, sample id), so sample i can be made alone, by any
 * rank. Bytes are the same on all machines: the path from seed to bytes has only + - * / and
 * sqrt of IEEE singles, which round the same everywhere; a turn is (1-t^2, 2t)/(1+t^2). */
#include <math.h>
#include <string.h>

#include "jobs/formats/formats.h"
#include "nn/base/memory.h"
#include "nn/base/rng.h"

extern const struct tdo_format tdo_format_glyphs;

enum {
    SIDE = 28,
    PIXELS = SIDE * SIDE,
    CLASSES = 10,
    TRAIN_ROWS = 10000,
    TEST_ROWS = 1000,
    MAX_POINTS = 12,  /* of a stroke */
    MAX_STROKES = 2,  /* of a digit */
    CURVE_PIECES = 5, /* segments of one span of a spline */
    MAX_CLUTTER = 4,
    MAX_DOTS = 4
};

static const uint64_t test_offset = UINT64_C(1) << 32; /* sample ids of the test split */

/* The draws of a sample, and the uniforms in the first. Stored sets depend on the order. */
enum draw { DRAW_SHAPE, DRAW_SHAKE, DRAW_CLUTTER, DRAW_NOISE };
enum shape {
    LABEL,
    STYLE,
    TURN,
    SLANT,
    WIDTH,
    HEIGHT,
    LEFT,
    TOP,
    PEN,
    INK,
    PAPER,
    GRAIN,
    SHAPES
};

/* One control point; the box of a digit is about -55..55 by -100..100, y points down. */
struct point {
    signed char x, y;
    char corner; /* the stroke bends sharply here */
};

struct stroke {
    int points;
    char closed;
    struct point point[MAX_POINTS];
};

struct digit {
    int strokes;
    struct stroke stroke[MAX_STROKES];
};

/* Two ways to write each digit: rows 2d and 2d+1 belong to digit d. */
/* clang-format off */
static const struct digit digits[2 * CLASSES] = {
    /* 0 */
    {1, {
        {8, 1, {{-30, -104, 0}, {30, -104, 0}, {66, -45, 0}, {66, 45, 0}, {30, 104, 0},
                {-30, 104, 0}, {-66, 45, 0}, {-66, -45, 0}}},
    }},
    {1, {
        {8, 0, {{22, -92, 0}, {-45, -112, 0}, {-72, -10, 0}, {-50, 100, 0}, {25, 112, 0},
                {70, 40, 0}, {62, -70, 0}, {-8, -100, 0}}},
    }},
    /* 1 */
    {1, {
        {2, 0, {{4, -96, 0}, {-4, 96, 0}}},
    }},
    {2, {
        {3, 0, {{-38, -56, 0}, {2, -96, 1}, {2, 94, 0}}},
        {2, 0, {{-38, 94, 0}, {42, 94, 0}}},
    }},
    /* 2 */
    {1, {
        {7, 0, {{-50, -52, 0}, {-46, -106, 0}, {40, -114, 0}, {66, -50, 0}, {20, 20, 0},
                {-54, 92, 1}, {56, 92, 0}}},
    }},
    {1, {
        {10, 0, {{-46, -66, 0}, {-20, -112, 0}, {56, -104, 0}, {50, -14, 0}, {0, 60, 0},
                 {-52, 104, 0}, {-56, 58, 0}, {-14, 62, 0}, {14, 96, 0}, {58, 82, 0}}},
    }},
    /* 3 */
    {1, {
        {9, 0, {{-48, -80, 0}, {-20, -106, 0}, {54, -108, 0}, {56, -18, 0}, {-8, -8, 1},
                {66, -4, 0}, {68, 102, 0}, {-20, 110, 0}, {-54, 74, 0}}},
    }},
    {1, {
        {7, 0, {{-48, -92, 0}, {46, -92, 1}, {-6, -18, 1}, {66, -20, 0}, {66, 98, 0},
                {-18, 112, 0}, {-54, 74, 0}}},
    }},
    /* 4 */
    {2, {
        {3, 0, {{-26, -94, 0}, {-50, 22, 1}, {58, 22, 0}}},
        {2, 0, {{30, -56, 0}, {22, 96, 0}}},
    }},
    {1, {
        {4, 0, {{26, 96, 0}, {26, -94, 1}, {-58, 36, 1}, {62, 36, 0}}},
    }},
    /* 5 */
    {1, {
        {8, 0, {{48, -92, 0}, {-36, -92, 1}, {-44, -10, 1}, {0, -42, 0}, {66, -20, 0},
                {62, 96, 0}, {-14, 110, 0}, {-54, 76, 0}}},
    }},
    {2, {
        {7, 0, {{-30, -90, 0}, {-38, -20, 1}, {14, -36, 0}, {68, 0, 0}, {50, 104, 0},
                {-16, 106, 0}, {-52, 78, 0}}},
        {2, 0, {{-30, -90, 0}, {50, -96, 0}}},
    }},
    /* 6 */
    {1, {
        {9, 0, {{40, -94, 0}, {-30, -84, 0}, {-68, 24, 0}, {-50, 108, 0}, {36, 112, 0},
                {72, 40, 0}, {26, -14, 0}, {-30, 0, 0}, {-52, 48, 0}}},
    }},
    {1, {
        {8, 0, {{4, -98, 0}, {-50, -20, 0}, {-64, 90, 0}, {20, 118, 0}, {70, 66, 0}, {40, 2, 0},
                {-24, 8, 0}, {-46, 60, 0}}},
    }},
    /* 7 */
    {1, {
        {4, 0, {{-52, -90, 0}, {54, -90, 1}, {4, 0, 0}, {-20, 96, 0}}},
    }},
    {2, {
        {4, 0, {{-52, -84, 0}, {54, -92, 1}, {16, -4, 0}, {-8, 96, 0}}},
        {2, 0, {{-30, 2, 0}, {46, -2, 0}}},
    }},
    /* 8 */
    {2, {
        {6, 1, {{0, -106, 0}, {46, -94, 0}, {46, -16, 0}, {0, -6, 0}, {-46, -16, 0},
                {-46, -94, 0}}},
        {6, 1, {{0, -10, 0}, {62, 4, 0}, {62, 96, 0}, {0, 108, 0}, {-62, 96, 0}, {-62, 4, 0}}},
    }},
    {1, {
        {8, 1, {{40, -98, 0}, {-40, -108, 0}, {-62, -30, 0}, {56, 20, 0}, {56, 104, 0},
                {-56, 104, 0}, {-56, 20, 0}, {62, -36, 0}}},
    }},
    /* 9 */
    {2, {
        {6, 1, {{0, -106, 0}, {54, -84, 0}, {50, -16, 0}, {-4, 6, 0}, {-56, -18, 0},
                {-54, -84, 0}}},
        {3, 0, {{50, -60, 0}, {48, 40, 0}, {26, 96, 0}}},
    }},
    {1, {
        {10, 0, {{48, -70, 0}, {0, -116, 0}, {-60, -84, 0}, {-54, 0, 0}, {22, 8, 0},
                 {50, -70, 1}, {52, 20, 0}, {36, 108, 0}, {-30, 112, 0}, {-46, 78, 0}}},
    }},
};
/* clang-format on */

/* From digit units to pixels: x' = a x + b y + e, y' = c x + d y + f. */
struct placement {
    float a, b, c, d, e, f;
};

struct pen {
    float radius, ink; /* pixels; 0..1 */
};

struct spot {
    float x, y;
};

static float between(float u, float low, float high)
{
    return low + (high - low) * u;
}

static int pick(float u, int n)
{
    int i = (int)(u * (float)n);
    return i < n ? i : n - 1;
}

static struct spot place(const struct placement *m, struct spot p)
{
    return (struct spot){m->a * p.x + m->b * p.y + m->e, m->c * p.x + m->d * p.y + m->f};
}

static int clamp_pixel(float v)
{
    return v < 0.0f ? 0 : v > (float)(SIDE - 1) ? SIDE - 1 : (int)v;
}

static float clamp_unit(float v)
{
    return v < 0.0f ? 0.0f : v > 1.0f ? 1.0f : v;
}

/* Paint the segment pq: a pixel gets ink * (1/2 + radius - distance), the bracket in 0..1. */
static void paint(float canvas[PIXELS], const struct pen *pen, struct spot p, struct spot q)
{
    float reach = pen->radius + 0.5f, dx = q.x - p.x, dy = q.y - p.y;
    float length2 = dx * dx + dy * dy, inverse = length2 > 1e-12f ? 1.0f / length2 : 0.0f;
    int left = clamp_pixel((p.x < q.x ? p.x : q.x) - reach);
    int right = clamp_pixel((p.x > q.x ? p.x : q.x) + reach + 1.0f);
    int top = clamp_pixel((p.y < q.y ? p.y : q.y) - reach);
    int bottom = clamp_pixel((p.y > q.y ? p.y : q.y) + reach + 1.0f);
    for (int row = top; row <= bottom; row++) {
        for (int column = left; column <= right; column++) {
            float px = (float)column - p.x, py = (float)row - p.y;
            float along = clamp_unit((px * dx + py * dy) * inverse);
            float ox = px - along * dx, oy = py - along * dy;
            float value = pen->ink * clamp_unit(reach - sqrtf(ox * ox + oy * oy));
            float *pixel = &canvas[row * SIDE + column];
            *pixel = value > *pixel ? value : *pixel;
        }
    }
}

/* Paint one span of a spline: from p to q, drawn towards its control point c. */
static void paint_curve(float canvas[PIXELS], const struct pen *pen, struct spot p,
                        struct spot c, struct spot q)
{
    struct spot from = p;
    for (int i = 1; i <= CURVE_PIECES; i++) {
        float t = (float)i / (float)CURVE_PIECES, s = 1.0f - t;
        float wp = s * s, wc = 2.0f * s * t, wq = t * t;
        struct spot to = {wp * p.x + wc * c.x + wq * q.x, wp * p.y + wc * c.y + wq * q.y};
        paint(canvas, pen, from, to);
        from = to;
    }
}

static struct spot middle(struct spot p, struct spot q)
{
    return (struct spot){0.5f * (p.x + q.x), 0.5f * (p.y + q.y)};
}

/* Paint a stroke whose control points, shaken and in pixels, are `at`. */
static void paint_stroke(float canvas[PIXELS], const struct pen *pen, const struct stroke *s,
                         const struct spot at[MAX_POINTS])
{
    int n = s->points;
    if (s->closed) {
        for (int i = 0; i < n; i++) {
            struct spot before = at[(i + n - 1) % n], after = at[(i + 1) % n];
            paint_curve(canvas, pen, middle(before, at[i]), at[i], middle(at[i], after));
        }
        return;
    }
    struct spot from = at[0];
    for (int i = 1; i < n; i++) {
        if (i == n - 1 || s->point[i].corner) {
            paint(canvas, pen, from, at[i]);
            from = at[i];
        } else {
            int sharp = i + 1 == n - 1 || s->point[i + 1].corner;
            struct spot to = sharp ? at[i + 1] : middle(at[i], at[i + 1]);
            paint_curve(canvas, pen, from, at[i], to);
            from = to;
            i += sharp;
        }
    }
}

/* Turn, slant, size and shift of the digit. */
static struct placement placement_of(const float u[SHAPES])
{
    float t = between(u[TURN], -0.17f, 0.17f); /* tangent of half the angle: +-19 degrees */
    float cosine = (1.0f - t * t) / (1.0f + t * t), sine = 2.0f * t / (1.0f + t * t);
    float slant = between(u[SLANT], -0.25f, 0.45f);
    float wide = between(u[WIDTH], 0.072f, 0.125f), high = between(u[HEIGHT], 0.072f, 0.108f);
    float center = 0.5f * (float)(SIDE - 1);
    return (struct placement){
        .a = cosine * wide,
        .b = -slant * cosine * high - sine * high,
        .c = sine * wide,
        .d = cosine * high - slant * sine * high,
        .e = center + between(u[LEFT], -3.0f, 3.0f),
        .f = center + between(u[TOP], -2.5f, 2.5f),
    };
}

static void paint_digit(float canvas[PIXELS], const struct tdo_stream *stream,
                        const struct tdo_key *key, const float u[SHAPES])
{
    enum { NUMBERS = 2 * MAX_STROKES * MAX_POINTS };
    float shake[NUMBERS];
    struct tdo_key k = *key;
    k.draw = DRAW_SHAKE;
    tdo_rng_uniforms(stream, &k, 0, NUMBERS, shake);
    const struct digit *d = &digits[2 * pick(u[LABEL], CLASSES) + pick(u[STYLE], 2)];
    struct placement m = placement_of(u);
    struct pen pen = {between(u[PEN], 0.6f, 1.7f), between(u[INK], 0.6f, 1.0f)};
    for (int64_t s = 0; s < d->strokes; s++) {
        struct spot at[MAX_POINTS];
        for (int64_t i = 0; i < d->stroke[s].points; i++) {
            const float *move = &shake[2 * (s * MAX_POINTS + i)];
            struct spot p = {(float)d->stroke[s].point[i].x + between(move[0], -13.0f, 13.0f),
                             (float)d->stroke[s].point[i].y + between(move[1], -13.0f, 13.0f)};
            at[i] = place(&m, p);
        }
        paint_stroke(canvas, &pen, &d->stroke[s], at);
    }
}

/* Thin short strokes and dots, anywhere, that mean nothing. */
static void paint_clutter(float canvas[PIXELS], const struct tdo_stream *stream,
                          const struct tdo_key *key)
{
    enum { EACH = 6, NUMBERS = 4 + EACH * (MAX_CLUTTER + MAX_DOTS) };
    float u[NUMBERS], side = (float)SIDE;
    struct tdo_key k = *key;
    k.draw = DRAW_CLUTTER;
    tdo_rng_uniforms(stream, &k, 0, NUMBERS, u);
    int strokes = pick(u[0], MAX_CLUTTER + 1), dots = pick(u[1], MAX_DOTS + 1);
    for (int i = 0; i < strokes + dots; i++) {
        const float *v = &u[4 + EACH * (i < strokes ? i : MAX_CLUTTER + i - strokes)];
        struct spot p = {between(v[0], 0.0f, side), between(v[1], 0.0f, side)}, q = p;
        struct pen pen = {between(v[4], 0.3f, 0.9f), between(v[5], 0.35f, 0.9f)};
        if (i < strokes) {
            q.x += between(v[2], -8.0f, 8.0f);
            q.y += between(v[3], -8.0f, 8.0f);
        }
        paint(canvas, &pen, p, q);
    }
}

/* Ink on paper to bytes, with grain: one random byte a pixel. */
static void develop(const float canvas[PIXELS], const struct tdo_stream *stream,
                    const struct tdo_key *key, const float u[SHAPES], uint8_t *x)
{
    uint32_t words[PIXELS / 4];
    struct tdo_key k = *key;
    k.draw = DRAW_NOISE;
    tdo_rng_words(stream, &k, 0, PIXELS / 4, words);
    float paper = between(u[PAPER], 0.0f, 0.18f), grain = between(u[GRAIN], 0.0f, 60.0f);
    for (int i = 0; i < PIXELS; i++) {
        float level = 255.0f * (paper + (1.0f - paper) * canvas[i]);
        int byte = (int)(words[i / 4] >> (8 * (i % 4)) & 255u);
        float value = level + grain * ((float)byte * (1.0f / 256.0f) - 0.5f) + 0.5f;
        x[i] = (uint8_t)(value < 0.0f ? 0.0f : value > 255.0f ? 255.0f : value);
    }
}

/* Sample `id`: x [28,28] bytes; returns the label. */
static int draw_glyph(uint32_t seed, uint64_t id, uint8_t *x)
{
    const struct tdo_stream stream = {.seed = seed, .purpose = TDO_PURPOSE_GLYPHS};
    const struct tdo_key key = {.sample = id, .draw = DRAW_SHAPE};
    float u[SHAPES], canvas[PIXELS];
    memset(canvas, 0, sizeof canvas);
    tdo_rng_uniforms(&stream, &key, 0, SHAPES, u);
    paint_digit(canvas, &stream, &key, u);
    paint_clutter(canvas, &stream, &key);
    develop(canvas, &stream, &key, u, x);
    return pick(u[LABEL], CLASSES);
}

struct glyphs {
    tdo_source base;
    uint32_t seed;
};

static tdo_err glyphs_open(const struct tdo_format_args *args, tdo_source **out)
{
    if ((uint64_t)args->train > test_offset || (uint64_t)args->test > test_offset) {
        return TDO_FAIL(TDO_ERR_CONFIG, "glyphs: %lld train and %lld test images, at most 2^32",
                        (long long)args->train, (long long)args->test);
    }
    struct glyphs *g = NULL;
    TDO_TRY(tdo_memory_new(1, &g));
    g->seed = args->seed;
    g->base.info = (struct tdo_source_info){
        .rows = {args->train ? args->train : TRAIN_ROWS, args->test ? args->test : TEST_ROWS},
        .height = SIDE,
        .width = SIDE,
        .channels = 1,
        .classes = CLASSES,
        .is_u8 = true,
        .anywhere = true,
    };
    *out = &g->base;
    return TDO_OK;
}

static tdo_err glyphs_read(tdo_source *s, enum tdo_source_split split, int64_t first, int64_t n,
                           void *x, int32_t *y)
{
    const struct glyphs *g = (const struct glyphs *)s;
    uint64_t offset = (uint64_t)first + (split == TDO_SOURCE_TEST ? test_offset : 0);
    uint8_t *pixels = x;
    for (int64_t i = 0; i < n; i++) {
        y[i] = draw_glyph(g->seed, offset + (uint64_t)i, pixels + i * PIXELS);
    }
    return TDO_OK;
}

static void glyphs_close(tdo_source **s)
{
    tdo_memory_free(s);
}

const struct tdo_format tdo_format_glyphs = {
    .name = "glyphs",
    .help = "drawn digits 0-9, 28x28 grey, made from a seed; no download",
    .cite = "ours",
    .procedural = true,
    .open = glyphs_open,
    .read = glyphs_read,
    .close = glyphs_close,
};
