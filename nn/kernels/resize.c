/* Bilinear resizing, all channels of a place at once. See resize.h.
 *
 * A place of the large image lies between two rows and two columns of the small one; where, and how
 * near to the second of each, is tabled once. An image's bits do not depend on its batch: the
 * adjoint adds in the order of the large image's places. */
#include "nn/kernels/resize.h"

#include <string.h>

#include "nn/base/clones.h"
#include "nn/base/memory.h"

/* Between places lo and hi of the small side, t of the way. */
struct between {
    int64_t lo, hi;
    float t;
};

/* Place i of `large` along an axis. With corners, the outermost places lie on each other; without,
 * the outermost edges do. */
static struct between place(int64_t i, int64_t small, int64_t large, bool corners)
{
    const double ratio = corners ? (large > 1 ? (double)(small - 1) / (double)(large - 1) : 0)
                                 : (double)small / (double)large;
    double at = corners ? (double)i * ratio : ((double)i + 0.5) * ratio - 0.5;
    at = at < 0 ? 0 : at;
    int64_t lo = (int64_t)at;
    lo = lo > small - 1 ? small - 1 : lo;
    return (struct between){
        .lo = lo, .hi = lo + 1 < small ? lo + 1 : lo, .t = (float)(at - (double)lo)};
}

/* The table: rows of the large image, then columns. */
static void free_table(void *state)
{
    struct between *at = state;
    tdo_memory_free(&at);
}

static tdo_err prepare(const struct tdo_call *call, const tdo_shape *small,
                       const tdo_shape *large, tdo_kernel_fn *run, struct tdo_kernel *kernel)
{
    struct between *at = NULL;
    const bool corners = call->attr->resize.corners;
    TDO_TRY(tdo_memory_new(large->dim[1] + large->dim[2], &at));
    for (int64_t i = 0; i < large->dim[1]; i++) {
        at[i] = place(i, small->dim[1], large->dim[1], corners);
    }
    for (int64_t i = 0; i < large->dim[2]; i++) {
        at[large->dim[1] + i] = place(i, small->dim[2], large->dim[2], corners);
    }
    *kernel = (struct tdo_kernel){.run = run, .state = at, .free = free_table};
    return TDO_OK;
}

/* Corners of a place: offsets into the small image, and weights that add up to 1. */
struct corners {
    int64_t at[4];
    float weight[4];
};

static struct corners corners_of(const tdo_shape *small, int64_t n, const struct between *h,
                                 const struct between *w)
{
    const int64_t C = small->dim[3], row = small->dim[2] * C, image = small->dim[1] * row * n;
    return (struct corners){
        .at = {image + h->lo * row + w->lo * C, image + h->lo * row + w->hi * C,
               image + h->hi * row + w->lo * C, image + h->hi * row + w->hi * C},
        .weight = {(1 - h->t) * (1 - w->t), (1 - h->t) * w->t, h->t * (1 - w->t), h->t * w->t}};
}

TDO_CLONES static void blend(int64_t C, float *restrict to, const float *restrict small,
                             const struct corners *k)
{
    const float *a = small + k->at[0], *b = small + k->at[1];
    const float *c = small + k->at[2], *d = small + k->at[3];
    const float p = k->weight[0], q = k->weight[1], r = k->weight[2], s = k->weight[3];
    for (int64_t i = 0; i < C; i++) {
        to[i] = (p * a[i] + q * b[i]) + (r * c[i] + s * d[i]);
    }
}

TDO_CLONES static void spread(int64_t C, float *restrict small, const float *restrict from,
                              const struct corners *k)
{
    for (int corner = 0; corner < 4; corner++) { /* two of them may be one place */
        float *to = small + k->at[corner];
        const float weight = k->weight[corner];
        for (int64_t i = 0; i < C; i++) {
            to[i] += weight * from[i];
        }
    }
}

/* Both directions visit the same pairs of places. */
static void upsample(const struct tdo_call *call)
{
    const tdo_shape *small = call->in_shape[0], *large = call->out_shape;
    const struct between *rows = call->state, *columns = rows + large->dim[1];
    const float *x = call->in[0];
    float *to = call->out;
    for (int64_t i = 0; i < large->dim[0] * large->dim[1]; i++) {
        const struct between *h = &rows[i % large->dim[1]];
        for (int64_t w = 0; w < large->dim[2]; w++, to += large->dim[3]) {
            const struct corners k = corners_of(small, i / large->dim[1], h, &columns[w]);
            blend(large->dim[3], to, x, &k);
        }
    }
}

static void upsample_dx(const struct tdo_call *call)
{
    const tdo_shape *small = call->out_shape, *large = call->in_shape[0];
    const struct between *rows = call->state, *columns = rows + large->dim[1];
    const float *g = call->in[0];
    float *out = call->out;
    memset(out, 0, (size_t)tdo_shape_count(small) * sizeof *out);
    for (int64_t i = 0; i < large->dim[0] * large->dim[1]; i++) {
        const struct between *h = &rows[i % large->dim[1]];
        for (int64_t w = 0; w < large->dim[2]; w++, g += large->dim[3]) {
            const struct corners k = corners_of(small, i / large->dim[1], h, &columns[w]);
            spread(large->dim[3], out, g, &k);
        }
    }
}

tdo_err tdo_resize_upsample(const struct tdo_call *call, struct tdo_kernel *kernel)
{
    return prepare(call, call->in_shape[0], call->out_shape, upsample, kernel);
}

tdo_err tdo_resize_upsample_dx(const struct tdo_call *call, struct tdo_kernel *kernel)
{
    return prepare(call, call->out_shape, call->in_shape[0], upsample_dx, kernel);
}
