/* Pooling, all channels of a place at once. See pool.h; ties and NaN as the reference. */
#include "nn/kernels/pool.h"

#include <string.h>

#include "nn/base/clones.h"

/* One output place: its window, clipped to the image, as offsets into the image. */
struct place {
    const struct tdo_pool *pool;
    const tdo_shape *image;
    int64_t n, h, w; /* image row, and top left corner of the window (may be negative) */
};

static struct place place_of(const struct tdo_pool *pool, const tdo_shape *image,
                             const tdo_shape *pooled, int64_t i)
{
    const int64_t ow = i % pooled->dim[2], oh = i / pooled->dim[2] % pooled->dim[1];
    return (struct place){.pool = pool,
                          .image = image,
                          .n = i / pooled->dim[2] / pooled->dim[1],
                          .h = oh * pool->stride[0] - pool->pad[0],
                          .w = ow * pool->stride[1] - pool->pad[1]};
}

/* Offset of window element e, -1 in the padding. */
static int64_t element_of(const struct place *p, int64_t e)
{
    const int64_t h = p->h + e / p->pool->window[1], w = p->w + e % p->pool->window[1];
    const tdo_shape *s = p->image;
    if (h < 0 || w < 0 || h >= s->dim[1] || w >= s->dim[2]) {
        return -1;
    }
    return ((p->n * s->dim[1] + h) * s->dim[2] + w) * s->dim[3];
}

static int64_t elements_of(const struct tdo_pool *pool)
{
    return (int64_t)pool->window[0] * pool->window[1];
}

static int64_t places_of(const tdo_shape *pooled)
{
    return pooled->dim[0] * pooled->dim[1] * pooled->dim[2];
}

TDO_CLONES static void keep_larger(int64_t C, float *restrict best, const float *restrict x)
{
    for (int64_t c = 0; c < C; c++) {
        best[c] = x[c] > best[c] || x[c] != x[c] ? x[c] : best[c];
    }
}

/* A NaN that is already best stays: nothing compares greater. */
TDO_CLONES static void keep_arg(int64_t C, float *restrict best, float *restrict arg,
                                const float *restrict x, float e)
{
    for (int64_t c = 0; c < C; c++) {
        const int take = (x[c] > best[c]) | ((x[c] != x[c]) & (best[c] == best[c]));
        arg[c] = take ? e : arg[c];
        best[c] = take ? x[c] : best[c];
    }
}

TDO_CLONES static void add_where(int64_t C, float *restrict to, const float *restrict g,
                                 const float *restrict arg, float e)
{
    for (int64_t c = 0; c < C; c++) {
        to[c] += arg[c] == e ? g[c] : 0.0F;
    }
}

static void maxpool(const struct tdo_call *call)
{
    const int64_t C = call->out_shape->dim[3];
    const float *x = call->in[0];
    float *out = call->out;
    for (int64_t i = 0; i < places_of(call->out_shape); i++, out += C) {
        const struct place p =
            place_of(&call->attr->pool, call->in_shape[0], call->out_shape, i);
        bool first = true;
        for (int64_t e = 0; e < elements_of(p.pool); e++) {
            const int64_t from = element_of(&p, e);
            if (from >= 0 && first) {
                memcpy(out, x + from, (size_t)C * sizeof *x);
                first = false;
            } else if (from >= 0) {
                keep_larger(C, out, x + from);
            }
        }
    }
}

static void maxpool_arg(const struct tdo_call *call)
{
    const int64_t C = call->out_shape->dim[3];
    const float *x = call->in[0];
    float *out = call->out, *best = call->scratch;
    for (int64_t i = 0; i < places_of(call->out_shape); i++, out += C) {
        const struct place p =
            place_of(&call->attr->pool, call->in_shape[0], call->out_shape, i);
        bool first = true;
        for (int64_t e = 0; e < elements_of(p.pool); e++) {
            const int64_t from = element_of(&p, e);
            if (from >= 0 && first) {
                memcpy(best, x + from, (size_t)C * sizeof *x);
                for (int64_t c = 0; c < C; c++) {
                    out[c] = (float)e;
                }
                first = false;
            } else if (from >= 0) {
                keep_arg(C, best, out, x + from, (float)e);
            }
        }
    }
}

static void window_scatter(const struct tdo_call *call)
{
    const int64_t C = call->out_shape->dim[3];
    const float *g = call->in[0], *arg = call->in[1];
    float *out = call->out;
    memset(out, 0, (size_t)tdo_shape_count(call->out_shape) * sizeof *out);
    for (int64_t i = 0; i < places_of(call->in_shape[0]); i++, g += C, arg += C) {
        const struct place p =
            place_of(&call->attr->pool, call->out_shape, call->in_shape[0], i);
        for (int64_t e = 0; e < elements_of(p.pool); e++) {
            const int64_t to = element_of(&p, e);
            if (to >= 0) {
                add_where(C, out + to, g, arg, (float)e);
            }
        }
    }
}

TDO_CLONES static void take_where(int64_t C, float *restrict to, const float *restrict x,
                                  const float *restrict arg, float e)
{
    for (int64_t c = 0; c < C; c++) {
        to[c] = arg[c] == e ? x[c] : to[c];
    }
}

static void window_gather(const struct tdo_call *call)
{
    const int64_t C = call->out_shape->dim[3];
    const float *x = call->in[0], *arg = call->in[1];
    float *out = call->out;
    memset(out, 0, (size_t)tdo_shape_count(call->out_shape) * sizeof *out);
    for (int64_t i = 0; i < places_of(call->out_shape); i++, out += C, arg += C) {
        const struct place p =
            place_of(&call->attr->pool, call->in_shape[0], call->out_shape, i);
        for (int64_t e = 0; e < elements_of(p.pool); e++) {
            const int64_t from = element_of(&p, e);
            if (from >= 0) {
                take_where(C, out, x + from, arg, (float)e);
            }
        }
    }
}

TDO_CLONES static void add_scaled(int64_t C, float *restrict to, const float *restrict x,
                                  float scale)
{
    for (int64_t c = 0; c < C; c++) {
        to[c] += x[c] * scale;
    }
}

/* 1 / how many elements the average of a place counts */
static float share_of(const struct place *p)
{
    int64_t counted = 0;
    for (int64_t e = 0; e < elements_of(p->pool); e++) {
        counted += p->pool->count_pad || element_of(p, e) >= 0;
    }
    return 1.0F / (float)counted;
}

/* Both directions visit the same pairs: x [N,H,W,C] and window means y [N,OH,OW,C]. */
static void average(const struct tdo_call *call, bool adjoint)
{
    const tdo_shape *image = adjoint ? call->out_shape : call->in_shape[0];
    const tdo_shape *pooled = adjoint ? call->in_shape[0] : call->out_shape;
    const int64_t C = image->dim[3];
    const float *in = call->in[0];
    float *out = call->out;
    memset(out, 0, (size_t)tdo_shape_count(call->out_shape) * sizeof *out);
    for (int64_t i = 0; i < places_of(pooled); i++) {
        const struct place p = place_of(&call->attr->pool, image, pooled, i);
        const float share = share_of(&p);
        for (int64_t e = 0; e < elements_of(p.pool); e++) {
            const int64_t at = element_of(&p, e);
            if (at >= 0) {
                add_scaled(C, out + (adjoint ? at : i * C), in + (adjoint ? i * C : at), share);
            }
        }
    }
}

static void avgpool(const struct tdo_call *call)
{
    average(call, false);
}

static void avgpool_dx(const struct tdo_call *call)
{
    average(call, true);
}

tdo_err tdo_pool_avgpool(const struct tdo_call *call, struct tdo_kernel *kernel)
{
    (void)call;
    *kernel = (struct tdo_kernel){.run = avgpool};
    return TDO_OK;
}

tdo_err tdo_pool_avgpool_dx(const struct tdo_call *call, struct tdo_kernel *kernel)
{
    (void)call;
    *kernel = (struct tdo_kernel){.run = avgpool_dx};
    return TDO_OK;
}

tdo_err tdo_pool_maxpool(const struct tdo_call *call, struct tdo_kernel *kernel)
{
    (void)call;
    *kernel = (struct tdo_kernel){.run = maxpool};
    return TDO_OK;
}

tdo_err tdo_pool_maxpool_arg(const struct tdo_call *call, struct tdo_kernel *kernel)
{
    const int64_t bytes = call->out_shape->dim[3] * (int64_t)sizeof(float);
    *kernel = (struct tdo_kernel){.run = maxpool_arg, .scratch = bytes};
    return TDO_OK;
}

tdo_err tdo_pool_window_gather(const struct tdo_call *call, struct tdo_kernel *kernel)
{
    (void)call;
    *kernel = (struct tdo_kernel){.run = window_gather};
    return TDO_OK;
}

tdo_err tdo_pool_window_scatter(const struct tdo_call *call, struct tdo_kernel *kernel)
{
    (void)call;
    *kernel = (struct tdo_kernel){.run = window_scatter};
    return TDO_OK;
}
