/* OpenBLAS behind our kernel interface. See blas.h.
 *
 * Of one image and one group, with P = OH OW places, T = KH KW C/groups taps, K/groups channels:
 *
 *     columns [P,T]   what each place reads, in the order (row, column, channel) of its window
 *     conv            y = columns w'      w [K/groups,T] in that order, reordered once a call
 *     conv_dx         columns = y w,      then added up where they were read
 *     conv_dw         w += y' columns     image after image; all at once for a linear layer
 *
 * An image with one place (a linear layer) has vectors for matrices, and sgemv does what sgemm
 * does; its operands are copied to scratch, as some of OpenBLAS's sgemv look at alignment. */
#include "nn/kernels/blas.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

#include "nn/base/memory.h"
#include "nn/kernels/threads.h"

/* OpenBLAS brings LAPACK along; its names follow Fortran's rules. */
extern void dsyevd_(const char *what, const char *triangle, const blasint *n, double *a,
                    const blasint *step, double *values, double *work, const blasint *works,
                    blasint *iwork, const blasint *iworks, blasint *info);

const char *tdo_blas_core(void)
{
    return openblas_get_corename();
}

/* One thread for OpenBLAS, until tdo_threads_set gives back what this returns. The OpenMP build
 * goes by the number of the runtime whatever it was told before; the other builds must be told. */
static int take_one_thread(void)
{
    static bool told;
    const int threads = tdo_threads_get();
    if (!told) {
        openblas_set_num_threads(1);
        told = true;
    }
    tdo_threads_set(1);
    return threads;
}

/* ---- geometry ---------------------------------------------------------------------------------- */

enum { LINE = 16 }; /* floats a cache line: parts of the scratch begin on one */

struct geometry {
    const struct tdo_conv *conv;
    int64_t rows, H, W, C, OH, OW, K, D, R, S; /* D = C/groups; the window is R x S */
    int64_t groups, per, places, taps;         /* per = K/groups */
    bool plain;                                /* are weights [K,D,R,S] already [K,R,S,D]? */
    bool direct;                               /* are columns the image itself? */
    int64_t columns_at, vector_at, floats;     /* scratch: weights, columns, vector */
};

static int64_t round_up(int64_t floats)
{
    return (floats + LINE - 1) / LINE * LINE;
}

static struct geometry measure(const struct tdo_conv *c, const tdo_shape *x, const tdo_shape *w,
                               const tdo_shape *y)
{
    struct geometry g = {.conv = c,
                         .rows = x->dim[0],
                         .H = x->dim[1],
                         .W = x->dim[2],
                         .C = x->dim[3],
                         .OH = y->dim[1],
                         .OW = y->dim[2],
                         .K = w->dim[0],
                         .D = w->dim[1],
                         .R = w->dim[2],
                         .S = w->dim[3],
                         .groups = c->groups};
    g.per = g.K / g.groups;
    g.places = g.OH * g.OW;
    g.taps = g.R * g.S * g.D;
    g.plain = g.R * g.S == 1 || g.D == 1;
    g.direct = g.R * g.S == 1 && g.places > 1 && g.OH == g.H && g.OW == g.W &&
               c->stride[0] == 1 && c->stride[1] == 1 && c->pad[0] == 0 && c->pad[1] == 0;
    g.columns_at = g.plain ? 0 : round_up(g.K * g.taps);
    g.vector_at = g.columns_at + (g.direct ? 0 : round_up(g.places * g.taps));
    g.floats = g.vector_at + round_up(g.per);
    return g;
}

static struct geometry of_conv(const struct tdo_call *c)
{
    return measure(&c->attr->conv, c->in_shape[0], c->in_shape[1], c->out_shape);
}

static struct geometry of_conv_dx(const struct tdo_call *c)
{
    return measure(&c->attr->conv, c->out_shape, c->in_shape[1], c->in_shape[0]);
}

/* Rows of images of one place are added up anyway: they are the places of one image. */
static struct geometry of_conv_dw(const struct tdo_call *c)
{
    tdo_shape x = *c->in_shape[0], y = *c->in_shape[1];
    const int64_t *w = c->out_shape->dim;
    if (tdo_conv_is_linear(&c->attr->conv, x.dim[1] * x.dim[2], w[2] * w[3])) {
        x.dim[1] = y.dim[1] = x.dim[0];
        x.dim[0] = y.dim[0] = 1;
    }
    return measure(&c->attr->conv, &x, c->out_shape, &y);
}

/* ---- orders ------------------------------------------------------------------------------------ */

/* Between weights [K,D,R,S] and [K,R,S,D]. */
static void reorder_weights(const struct geometry *g, const float *from, float *to, bool back)
{
    const int64_t window = g->R * g->S;
    for (int64_t k = 0; k < g->K; k++) {
        for (int64_t rs = 0; rs < window; rs++) {
            for (int64_t d = 0; d < g->D; d++) {
                const int64_t theirs = (k * g->D + d) * window + rs;
                const int64_t ours = (k * window + rs) * g->D + d;
                to[back ? theirs : ours] = from[back ? ours : theirs];
            }
        }
    }
}

/* Where tap (r, s) of a place lies in one channel group of an image; -1 in the padding. */
static int64_t source_of(const struct geometry *g, int64_t place, int64_t rs)
{
    const int64_t h = place / g->OW * g->conv->stride[0] - g->conv->pad[0] + rs / g->S;
    const int64_t w = place % g->OW * g->conv->stride[1] - g->conv->pad[1] + rs % g->S;
    return h >= 0 && h < g->H && w >= 0 && w < g->W ? (h * g->W + w) * g->C : -1;
}

static void gather(const struct geometry *g, const float *x, float *columns)
{
    for (int64_t place = 0; place < g->places; place++) {
        for (int64_t rs = 0; rs < g->R * g->S; rs++, columns += g->D) {
            const int64_t at = source_of(g, place, rs);
            if (at < 0) {
                memset(columns, 0, (size_t)g->D * sizeof *columns);
            } else {
                memcpy(columns, x + at, (size_t)g->D * sizeof *columns);
            }
        }
    }
}

static void scatter(const struct geometry *g, const float *columns, float *x)
{
    for (int64_t place = 0; place < g->places; place++) {
        for (int64_t rs = 0; rs < g->R * g->S; rs++, columns += g->D) {
            const int64_t at = source_of(g, place, rs);
            for (int64_t d = 0; at >= 0 && d < g->D; d++) {
                x[at + d] += columns[d];
            }
        }
    }
}

/* ---- products ------------------------------------------------------------------------------------ */

/* A row-major matrix; `step` floats from row to row. */
struct matrix {
    const float *at;
    int64_t step;
    bool transposed;
};

/* out[m,n] = a[m,l] b[l,n] + beta out */
static void multiply(int64_t m, int64_t n, int64_t l, struct matrix a, struct matrix b,
                     float beta, struct matrix out)
{
    cblas_sgemm(CblasRowMajor, a.transposed ? CblasTrans : CblasNoTrans,
                b.transposed ? CblasTrans : CblasNoTrans, (blasint)m, (blasint)n, (blasint)l,
                1.0F, a.at, (blasint)a.step, b.at, (blasint)b.step, beta, (float *)out.at,
                (blasint)out.step);
}

/* The parts of an image that belong to one group, and the scratch. */
struct part {
    const float *w; /* [per,taps] */
    float *columns, *vector;
};

static struct part part_of(const struct geometry *g, const float *w, void *scratch,
                           int64_t group)
{
    float *floats = scratch;
    return (struct part){.w = w + group * g->per * g->taps,
                         .columns = floats + g->columns_at,
                         .vector = floats + g->vector_at};
}

/* Columns of one image and group: gathered, or the image itself. */
static struct matrix columns_of(const struct geometry *g, const float *x, float *columns)
{
    if (g->direct) {
        return (struct matrix){.at = x, .step = g->C};
    }
    gather(g, x, columns);
    return (struct matrix){.at = columns, .step = g->taps};
}

static const float *ordered(const struct geometry *g, const float *w, void *scratch)
{
    if (g->plain) {
        return w;
    }
    reorder_weights(g, w, scratch, false);
    return scratch;
}

static void image_y(const struct geometry *g, struct part p, const float *x, float *y)
{
    const struct matrix columns = columns_of(g, x, p.columns);
    if (g->places == 1) {
        cblas_sgemv(CblasRowMajor, CblasNoTrans, (blasint)g->per, (blasint)g->taps, 1.0F, p.w,
                    (blasint)g->taps, columns.at, 1, 0.0F, p.vector, 1);
        memcpy(y, p.vector, (size_t)g->per * sizeof *y);
        return;
    }
    multiply(g->places, g->per, g->taps, columns,
             (struct matrix){.at = p.w, .step = g->taps, .transposed = true}, 0,
             (struct matrix){.at = y, .step = g->K});
}

static void image_x(const struct geometry *g, struct part p, const float *y, float *x)
{
    const struct matrix out = g->direct ? (struct matrix){.at = x, .step = g->C}
                                        : (struct matrix){.at = p.columns, .step = g->taps};
    if (g->places == 1) {
        memcpy(p.vector, y, (size_t)g->per * sizeof *y);
        cblas_sgemv(CblasRowMajor, CblasTrans, (blasint)g->per, (blasint)g->taps, 1.0F, p.w,
                    (blasint)g->taps, p.vector, 1, 0.0F, p.columns, 1);
    } else {
        multiply(g->places, g->taps, g->per, (struct matrix){.at = y, .step = g->K},
                 (struct matrix){.at = p.w, .step = g->taps}, 0, out);
    }
    if (!g->direct) {
        scatter(g, p.columns, x);
    }
}

/* ---- kernels ------------------------------------------------------------------------------------- */

/* conv and conv_dx: every image and group by itself, one way or the other. */
static void run_images(const struct tdo_call *call, const struct geometry *g, bool forward)
{
    const int threads = take_one_thread();
    const float *w = ordered(g, call->in[1], call->scratch), *in = call->in[0];
    const int64_t x_floats = g->H * g->W * g->C, y_floats = g->places * g->K;
    float *out = call->out;
    for (int64_t row = 0; row < g->rows; row++) {
        for (int64_t k = 0; k < g->groups; k++) {
            const struct part p = part_of(g, w, call->scratch, k);
            if (forward) {
                image_y(g, p, in + k * g->D, out + k * g->per);
            } else {
                image_x(g, p, in + k * g->per, out + k * g->D);
            }
        }
        in += forward ? x_floats : y_floats;
        out += forward ? y_floats : x_floats;
    }
    tdo_threads_set(threads);
}

static void run_conv(const struct tdo_call *call)
{
    const struct geometry g = of_conv(call);
    run_images(call, &g, true);
}

static void run_conv_dx(const struct tdo_call *call)
{
    const struct geometry g = of_conv_dx(call);
    memset(call->out, 0, (size_t)(g.rows * g.H * g.W * g.C) * sizeof(float));
    run_images(call, &g, false);
}

static void run_conv_dw(const struct tdo_call *call)
{
    const int threads = take_one_thread();
    const struct geometry g = of_conv_dw(call);
    const float *x = call->in[0], *y = call->in[1];
    float *w = g.plain ? call->out : call->scratch;
    memset(w, 0, (size_t)(g.K * g.taps) * sizeof *w);
    for (int64_t row = 0; row < g.rows; row++) {
        for (int64_t k = 0; k < g.groups; k++) {
            const struct part p = part_of(&g, w, call->scratch, k);
            const struct matrix columns = columns_of(&g, x + k * g.D, p.columns);
            multiply(g.per, g.taps, g.places,
                     (struct matrix){.at = y + k * g.per, .step = g.K, .transposed = true},
                     columns, 1, (struct matrix){.at = p.w, .step = g.taps});
        }
        x += g.H * g.W * g.C;
        y += g.places * g.K;
    }
    if (!g.plain) {
        reorder_weights(&g, w, call->out, true);
    }
    tdo_threads_set(threads);
}

/* Declines what OpenBLAS's 32-bit sizes cannot say. */
static tdo_err prepare(const struct geometry *g, tdo_kernel_fn *run, struct tdo_kernel *kernel)
{
    if (g->places > INT32_MAX || g->taps > INT32_MAX || g->K > INT32_MAX || g->C > INT32_MAX) {
        return TDO_OK;
    }
    *kernel = (struct tdo_kernel){.run = run, .scratch = g->floats * (int64_t)sizeof(float)};
    return TDO_OK;
}

tdo_err tdo_blas_conv(const struct tdo_call *call, struct tdo_kernel *kernel)
{
    const struct geometry g = of_conv(call);
    return prepare(&g, run_conv, kernel);
}

tdo_err tdo_blas_conv_dx(const struct tdo_call *call, struct tdo_kernel *kernel)
{
    const struct geometry g = of_conv_dx(call);
    return prepare(&g, run_conv_dx, kernel);
}

tdo_err tdo_blas_conv_dw(const struct tdo_call *call, struct tdo_kernel *kernel)
{
    const struct geometry g = of_conv_dw(call);
    return prepare(&g, run_conv_dw, kernel);
}

static void run_matmul(const struct tdo_call *call)
{
    const int threads = take_one_thread();
    const tdo_shape *a = call->in_shape[0], *b = call->in_shape[1], *out = call->out_shape;
    const bool ta = call->attr->transpose.left, tb = call->attr->transpose.right;
    multiply(out->dim[0], out->dim[1], a->dim[!ta],
             (struct matrix){.at = call->in[0], .step = a->dim[1], .transposed = ta},
             (struct matrix){.at = call->in[1], .step = b->dim[1], .transposed = tb}, 0,
             (struct matrix){.at = call->out, .step = out->dim[1]});
    tdo_threads_set(threads);
}

/* NOLINTBEGIN(readability-non-const-parameter): out is written to, through struct matrix */
void tdo_blas_products(const struct tdo_blas_rows *a, const struct tdo_blas_rows *b, int64_t n,
                       float *out)
/* NOLINTEND(readability-non-const-parameter) */
{
    const int threads = take_one_thread();
    multiply(a->rows, b->rows, n, (struct matrix){.at = a->at, .step = a->step},
             (struct matrix){.at = b->at, .step = b->step, .transposed = true}, 0,
             (struct matrix){.at = out, .step = b->rows});
    tdo_threads_set(threads);
}

void tdo_blas_add_squares(const double *x, int64_t rows, int64_t n, double *sum)
{
    const int threads = take_one_thread();
    cblas_dsyrk(CblasRowMajor, CblasUpper, CblasTrans, (blasint)n, (blasint)rows, 1, x,
                (blasint)n, 1, sum, (blasint)n);
    tdo_threads_set(threads);
}

tdo_err tdo_blas_eigen(int64_t n, double *a, double *values)
{
    /* by columns, the upper triangle is the lower one, and a column is our row */
    const blasint size = (blasint)n, works = (blasint)(1 + 6 * n + 2 * n * n);
    const blasint iworks = (blasint)(3 + 5 * n);
    double *work = NULL;
    blasint *iwork = NULL, info = 0;
    tdo_err err = TDO_OK;
    for (int64_t i = 0; i < n * n; i++) { /* LAPACK says nothing of a NaN */
        if (i % n >= i / n && !isfinite(a[i])) {
            return TDO_FAIL(TDO_ERR_NUMERIC, "a matrix of %lld rows holds %g at [%lld,%lld]",
                            (long long)n, a[i], (long long)(i / n), (long long)(i % n));
        }
    }
    TDO_GOTO(tdo_memory_new(works, &work));
    TDO_GOTO(tdo_memory_new(iworks, &iwork));
    const int threads = take_one_thread();
    dsyevd_("V", "L", &size, a, &size, values, work, &works, iwork, &iworks, &info);
    tdo_threads_set(threads);
    if (info != 0) {
        err = TDO_FAIL(TDO_ERR_NUMERIC, "no eigenvalues of a matrix of %lld rows (LAPACK: %d)",
                       (long long)n, (int)info);
    }
done:
    tdo_memory_free(&work);
    tdo_memory_free(&iwork);
    return err;
}

tdo_err tdo_blas_matmul(const struct tdo_call *call, struct tdo_kernel *kernel)
{
    for (int k = 0; k < 2; k++) {
        for (int axis = 0; axis < 2; axis++) {
            if (call->in_shape[k]->dim[axis] > INT32_MAX) {
                return TDO_OK;
            }
        }
    }
    *kernel = (struct tdo_kernel){.run = run_matmul};
    return TDO_OK;
}
