/* Training-mode batch normalisation, one pass over memory for each node. See norm.h.
 *
 * x is [rows, per, C]. Sums run over runs of 16 places in single precision and then in double, so
 * that their order is fixed and their error small. The affine maps are folded into two or three
 * channel vectors first; the loops over places are then a multiply and an add. */
#include "nn/kernels/norm.h"

#include <math.h>
#include <stddef.h>

#include "nn/base/clones.h"

enum { CHUNK = 64, RUN = 16 };

struct view {
    int64_t rows, per, C;
    double total; /* sum of row weights times places; v may be NULL */
};

static struct view view_of(const struct tdo_call *call, const float *v)
{
    const tdo_shape *x = call->in_shape[0];
    struct view w = {.rows = x->dim[0], .C = x->dim[x->rank - 1]};
    w.per = tdo_shape_count(x) / w.rows / w.C;
    for (int64_t n = 0; v && n < w.rows; n++) {
        w.total += (double)v[n];
    }
    w.total *= (double)w.per;
    return w;
}

/* acc[j] += scale * sum over `places` of x[place C + j] (and its like), j < width */
TDO_CLONES static void add_places(const float *restrict x, int64_t places, int64_t C,
                                  int64_t width, double scale, double *restrict acc)
{
    for (int64_t from = 0; from < places; from += RUN) {
        const int64_t end = from + RUN < places ? from + RUN : places;
        float part[CHUNK] = {0};
        for (int64_t i = from; i < end; i++) {
            for (int64_t j = 0; j < width; j++) {
                part[j] += x[i * C + j];
            }
        }
        for (int64_t j = 0; j < width; j++) {
            acc[j] += scale * (double)part[j];
        }
    }
}

TDO_CLONES static void add_squares(const float *restrict x, const float *restrict mean,
                                   int64_t places, int64_t C, int64_t width, double scale,
                                   double *restrict acc)
{
    for (int64_t from = 0; from < places; from += RUN) {
        const int64_t end = from + RUN < places ? from + RUN : places;
        float part[CHUNK] = {0};
        for (int64_t i = from; i < end; i++) {
            for (int64_t j = 0; j < width; j++) {
                const float d = x[i * C + j] - mean[j];
                part[j] += d * d;
            }
        }
        for (int64_t j = 0; j < width; j++) {
            acc[j] += scale * (double)part[j];
        }
    }
}

/* Both reductions of the backward pass: acc[0] of g (x - mean), acc[1] of g. */
TDO_CLONES static void add_products(const float *restrict x, const float *restrict g,
                                    const float *restrict mean, int64_t places, int64_t C,
                                    int64_t width, double acc[2][CHUNK])
{
    for (int64_t from = 0; from < places; from += RUN) {
        const int64_t end = from + RUN < places ? from + RUN : places;
        float product[CHUNK] = {0}, plain[CHUNK] = {0};
        for (int64_t i = from; i < end; i++) {
            for (int64_t j = 0; j < width; j++) {
                product[j] += g[i * C + j] * (x[i * C + j] - mean[j]);
                plain[j] += g[i * C + j];
            }
        }
        for (int64_t j = 0; j < width; j++) {
            acc[0][j] += (double)product[j];
            acc[1][j] += (double)plain[j];
        }
    }
}

/* x, v -> [2,C] mean and variance */
static void stats(const struct tdo_call *call)
{
    const float *x = call->in[0], *v = call->in[1];
    float *mean = call->out;
    const struct view w = view_of(call, v);
    float *var = mean + w.C;
    for (int64_t c = 0; c < w.C; c += CHUNK) {
        const int64_t width = w.C - c < CHUNK ? w.C - c : CHUNK;
        double sum[CHUNK] = {0}, square[CHUNK] = {0};
        for (int64_t n = 0; n < w.rows; n++) {
            if (v[n] != 0.0F) {
                add_places(x + n * w.per * w.C + c, w.per, w.C, width, (double)v[n], sum);
            }
        }
        for (int64_t j = 0; j < width; j++) {
            mean[c + j] = (float)(sum[j] / w.total);
        }
        for (int64_t n = 0; n < w.rows; n++) {
            if (v[n] != 0.0F) {
                add_squares(x + n * w.per * w.C + c, mean + c, w.per, w.C, width, (double)v[n],
                            square);
            }
        }
        for (int64_t j = 0; j < width; j++) {
            var[c + j] = (float)(square[j] / w.total);
        }
    }
}

/* x, gamma, beta, v, stats -> y = scale x + shift */
TDO_CLONES static void train(const struct tdo_call *call)
{
    const float *x = call->in[0], *gamma = call->in[1], *beta = call->in[2], *s = call->in[4];
    const struct view w = view_of(call, NULL);
    float *restrict y = call->out, *restrict scale = call->scratch,
                    *restrict shift = scale + w.C;
    for (int64_t c = 0; c < w.C; c++) {
        const double a = (double)gamma[c] / sqrt((double)s[w.C + c] + call->attr->real.a);
        scale[c] = (float)a;
        shift[c] = (float)((double)beta[c] - (double)s[c] * a);
    }
    for (int64_t i = 0; i < w.rows * w.per; i++) {
        for (int64_t c = 0; c < w.C; c++) {
            y[i * w.C + c] = x[i * w.C + c] * scale[c] + shift[c];
        }
    }
}

/* x, gy, v, stats -> [2,C] (d gamma, d beta) */
static void reduce(const struct tdo_call *call)
{
    const float *x = call->in[0], *g = call->in[1], *s = call->in[3];
    const struct view w = view_of(call, NULL);
    float *out = call->out;
    for (int64_t c = 0; c < w.C; c += CHUNK) {
        const int64_t width = w.C - c < CHUNK ? w.C - c : CHUNK;
        double acc[2][CHUNK] = {{0}};
        add_products(x + c, g + c, s + c, w.rows * w.per, w.C, width, acc);
        for (int64_t j = 0; j < width; j++) {
            const double deviation = sqrt((double)s[w.C + c + j] + call->attr->real.a);
            out[c + j] = (float)(acc[0][j] / deviation);
            out[w.C + c + j] = (float)acc[1][j];
        }
    }
}

/* x, gamma, gy, v, stats, r -> slope (gy - k (base + x tilt)), k = v / W of the row */
TDO_CLONES static void dx(const struct tdo_call *call)
{
    const float *x = call->in[0], *gamma = call->in[1], *g = call->in[2], *v = call->in[3];
    const float *s = call->in[4], *r = call->in[5];
    const struct view w = view_of(call, v);
    float *restrict out = call->out, *restrict slope = call->scratch;
    float *restrict base = slope + w.C, *restrict tilt = base + w.C;
    for (int64_t c = 0; c < w.C; c++) {
        const double scale = 1 / sqrt((double)s[w.C + c] + call->attr->real.a);
        slope[c] = (float)((double)gamma[c] * scale);
        tilt[c] = (float)(scale * (double)r[c]);
        base[c] = (float)((double)r[w.C + c] - (double)s[c] * scale * (double)r[c]);
    }
    for (int64_t i = 0; i < w.rows * w.per; i++) {
        const float k = (float)((double)v[i / w.per] / w.total);
        for (int64_t c = 0; c < w.C; c++) {
            const int64_t e = i * w.C + c;
            out[e] = slope[c] * (g[e] - k * (base[c] + x[e] * tilt[c]));
        }
    }
}

static tdo_err prepare(const struct tdo_call *call, struct tdo_kernel *kernel,
                       tdo_kernel_fn *run, int vectors)
{
    const tdo_shape *x = call->in_shape[0];
    *kernel = (struct tdo_kernel){
        .run = run, .scratch = vectors * x->dim[x->rank - 1] * (int64_t)sizeof(float)};
    return TDO_OK;
}

tdo_err tdo_norm_stats(const struct tdo_call *call, struct tdo_kernel *kernel)
{
    return prepare(call, kernel, stats, 0);
}

tdo_err tdo_norm_train(const struct tdo_call *call, struct tdo_kernel *kernel)
{
    return prepare(call, kernel, train, 2);
}

tdo_err tdo_norm_reduce(const struct tdo_call *call, struct tdo_kernel *kernel)
{
    return prepare(call, kernel, reduce, 0);
}

tdo_err tdo_norm_dx(const struct tdo_call *call, struct tdo_kernel *kernel)
{
    return prepare(call, kernel, dx, 3);
}
