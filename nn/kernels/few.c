/* Input gradients of first layers. See few.h.
 *
 * Turned lines are kept in a ring of KH, as many as one line of gx can need; line oh lies in place
 * oh % KH. The lanes of a block beyond the image compute numbers that nobody stores. */
#include "nn/kernels/few.h"

#include <stddef.h>
#include <string.h>

#include "nn/base/clones.h"

enum { LANES = 16, BLOCKS = 2, BLOCK = BLOCKS * LANES, MOST_CHANNELS = 4 };

typedef float lanes __attribute__((vector_size(LANES * sizeof(float))));
typedef float loose __attribute__((vector_size(LANES * sizeof(float)), aligned(4), may_alias));

bool tdo_few_takes(const struct tdo_conv *conv, const tdo_shape *w)
{
    return conv->groups <= 1 && w->dim[1] <= MOST_CHANNELS;
}

struct few {
    int64_t H, W, C, OH, OW, K, KH, KW;
    int64_t stride[2], pad[2];
    int64_t left, length; /* of a turned line: zeros before, floats for each k */
    float *w;             /* [KH,KW,K,C] */
    float *ring;          /* [KH,K,length] */
};

/* Weights in the order they are used in. */
static void pack(const struct few *f, const float *w)
{
    const int64_t taps = f->KH * f->KW;
    for (int64_t i = 0; i < f->K * f->C * taps; i++) {
        const int64_t t = i % taps, c = i / taps % f->C, k = i / taps / f->C;
        f->w[(t * f->K + k) * f->C + c] = w[i];
    }
}

/* Line oh of gy into its place in the ring. */
static void turn(const struct few *f, const float *gy, int64_t oh)
{
    const float *from = gy + oh * f->OW * f->K;
    float *to = f->ring + oh % f->KH * f->K * f->length + f->left;
    for (int64_t k = 0; k < f->K; k++) {
        for (int64_t ow = 0; ow < f->OW; ow++) {
            to[k * f->length + ow] = from[ow * f->K + k];
        }
    }
}

/* One tap of a block: `from` is its first lane for k = 0. */
TDO_INLINE void tap(const struct few *f, const float *from, const float *w, const int C,
                    lanes *sum)
{
    for (int64_t k = 0; k < f->K; k++) {
        for (int64_t b = 0; b < BLOCKS; b++) {
            const lanes v = *(const loose *)(from + k * f->length + b * LANES);
            for (int64_t c = 0; c < C; c++) {
                sum[c * BLOCKS + b] += v * w[k * C + c];
            }
        }
    }
}

/* Pixels r + s l, first <= l < first + BLOCK, of line h. */
TDO_INLINE void fill_block(const struct few *f, int64_t h, int64_t r, int64_t first,
                           const int C, float *gx)
{
    lanes sum[MOST_CHANNELS * BLOCKS] = {{0}};
    float values[BLOCK];
    const int64_t down = h + f->pad[0], across = r + f->pad[1];
    for (int64_t i = down % f->stride[0]; i < f->KH && i <= down; i += f->stride[0]) {
        const int64_t oh = (down - i) / f->stride[0];
        const float *line = f->ring + oh % f->KH * f->K * f->length + f->left + first;
        for (int64_t j = across % f->stride[1]; oh < f->OH && j < f->KW; j += f->stride[1]) {
            tap(f, line + (across - j) / f->stride[1], f->w + (i * f->KW + j) * f->K * C, C,
                sum);
        }
    }
    for (int c = 0; c < C; c++) {
        memcpy(values, sum + (ptrdiff_t)c * BLOCKS, sizeof values);
        for (int64_t l = 0; l < BLOCK && r + (first + l) * f->stride[1] < f->W; l++) {
            gx[(r + (first + l) * f->stride[1]) * C + c] = values[l];
        }
    }
}

TDO_INLINE void fill_line(const struct few *f, int64_t h, const int C, float *gx)
{
    for (int64_t r = 0; r < f->stride[1]; r++) {
        for (int64_t l = 0; r + l * f->stride[1] < f->W; l += BLOCK) {
            fill_block(f, h, r, l, C, gx);
        }
    }
}

TDO_CLONES static void line_of_1(const struct few *f, int64_t h, float *gx)
{
    fill_line(f, h, 1, gx);
}

TDO_CLONES static void line_of_2(const struct few *f, int64_t h, float *gx)
{
    fill_line(f, h, 2, gx);
}

TDO_CLONES static void line_of_3(const struct few *f, int64_t h, float *gx)
{
    fill_line(f, h, 3, gx);
}

TDO_CLONES static void line_of_4(const struct few *f, int64_t h, float *gx)
{
    fill_line(f, h, 4, gx);
}

static int64_t weights_of(const struct few *f)
{
    return (f->KH * f->KW * f->K * f->C + LANES - 1) / LANES * LANES;
}

/* A line is read from (pad - KW + 1) / s before its start to a block behind its last pixel. */
static struct few few_of(const struct tdo_call *call)
{
    const struct tdo_conv *c = &call->attr->conv;
    const int64_t *y = call->in_shape[0]->dim, *w = call->in_shape[1]->dim;
    const int64_t *x = call->out_shape->dim;
    struct few f = {.H = x[1],
                    .W = x[2],
                    .C = x[3],
                    .OH = y[1],
                    .OW = y[2],
                    .K = y[3],
                    .KH = w[2],
                    .KW = w[3],
                    .stride = {c->stride[0], c->stride[1]},
                    .pad = {c->pad[0], c->pad[1]},
                    .left = w[3]};
    const int64_t reach = f.W / f.stride[1] + f.pad[1] + BLOCK;
    f.length = f.left + (reach > f.OW ? reach : f.OW) + BLOCK;
    f.w = call->scratch;
    f.ring = f.w ? f.w + weights_of(&f) : NULL;
    return f;
}

static void run(const struct tdo_call *call)
{
    static void (*const line_of[])(const struct few *, int64_t,
                                   float *) = {line_of_1, line_of_2, line_of_3, line_of_4};
    const struct few f = few_of(call);
    TDO_ASSERT(f.ring);
    pack(&f, call->in[1]);
    memset(f.ring, 0, (size_t)(f.KH * f.K * f.length) * sizeof *f.ring);
    for (int64_t n = 0; n < call->out_shape->dim[0]; n++) {
        const float *gy = (const float *)call->in[0] + n * f.OH * f.OW * f.K;
        int64_t turned = 0; /* lines of gy that were */
        for (int64_t h = 0; h < f.H; h++) {
            while (turned < f.OH && turned * f.stride[0] <= h + f.pad[0]) {
                turn(&f, gy, turned++);
            }
            line_of[f.C - 1](&f, h, (float *)call->out + (n * f.H + h) * f.W * f.C);
        }
    }
}

tdo_err tdo_few_conv_dx(const struct tdo_call *call, struct tdo_kernel *kernel)
{
    if (tdo_few_takes(&call->attr->conv, call->in_shape[1])) {
        const struct few f = few_of(call);
        *kernel = (struct tdo_kernel){.run = run,
                                      .scratch = (weights_of(&f) + f.KH * f.K * f.length) *
                                                 (int64_t)sizeof(float)};
    }
    return TDO_OK;
}
