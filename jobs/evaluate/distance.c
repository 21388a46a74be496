/* Distances to a training set. See distance.h.
 *
 *     points      blocks of up to 1024, one after the other, on every rank
 *     training    this rank's share, in blocks of up to 1024, for each block of points
 *     product     in pieces of 2048 pixels, whose f32 sums are added up in double: the bound on
 *                 the error does not grow with the size of the images */
#include "jobs/evaluate/distance.h"

#include <math.h>
#include <string.h>

#include "mpi/shard.h"
#include "nn/base/memory.h"
#include "nn/kernels/blas.h"

enum {
    PIECE = 2048,           /* pixels of one f32 sum */
    MOST_ROWS = 1024,       /* of a block */
    POINT_FLOATS = 1 << 24, /* of a block of points; 64 MB */
    TRAIN_FLOATS = 1 << 22,
    LANES = 8, /* partial sums of an exact distance */
};

/* Rows as pixels, and their norms. */
struct block {
    const struct tdo_images *from;
    int64_t most, rows;
    void *raw;
    float *pixels;         /* [most,P] */
    double *square, *norm; /* [most] |x|^2, |x| */
    int64_t *row;          /* [most] */
};

struct search {
    int64_t size; /* P */
    struct block points, train;
    float *piece;    /* [points.most,train.most] */
    double *product; /* the same, of whole rows */
};

/* ---- exact ---------------------------------------------------------------------------------------- */

static double add_lanes(const double lane[LANES])
{
    double sum = 0;
    for (int k = 0; k < LANES; k++) {
        sum += lane[k];
    }
    return sum;
}

/* sum (a - b)^2 in an order that depends on nothing but the size. */
static double exact(const float *a, const float *b, int64_t size)
{
    double lane[LANES] = {0};
    int64_t p = 0;
    for (; p + LANES <= size; p += LANES) {
        for (int k = 0; k < LANES; k++) {
            const double d = (double)a[p + k] - (double)b[p + k];
            lane[k] += d * d;
        }
    }
    for (int k = 0; p < size; p++, k++) {
        const double d = (double)a[p] - (double)b[p];
        lane[k] += d * d;
    }
    return add_lanes(lane);
}

double tdo_distance_square(const float *x, int64_t size)
{
    double sum = 0;
    for (int64_t p = 0; p < size; p++) {
        sum += (double)x[p] * (double)x[p];
    }
    return sum;
}

/* How far |a|^2 - 2 ab + |b|^2 can be from what `exact` says. */
struct error {
    double product; /* times |a| |b|: the bound of tdo_blas_products on each piece (Cauchy and
                       Schwarz over the pieces) */
    double sums;    /* times |a|^2 + |b|^2: the roundings of all sums in double */
    double small;   /* products too small for f32 */
};

static struct error error_of(int64_t size)
{
    return (struct error){.product = 2.05 * PIECE * 0x1p-24,
                          .sums = 4 * (double)(size + 16) * 0x1p-53,
                          .small = (double)size * 0x1p-120};
}

/* ---- blocks --------------------------------------------------------------------------------------- */

tdo_err tdo_distance_pixels(const struct tdo_images *im, const int64_t *row, int64_t n,
                            void *raw, float *pixels)
{
    const int64_t floats = n * tdo_images_pixels(im);
    TDO_TRY(tdo_images_read(im, row, n, raw, NULL));
    tdo_images_widen(im, raw, floats, pixels);
    for (int64_t i = 0; im->u8 && i < floats; i++) {
        pixels[i] /= 255.0F;
    }
    return TDO_OK;
}

static tdo_err new_block(const struct tdo_images *from, int64_t floats, struct block *b)
{
    const int64_t size = tdo_images_pixels(from), rows = floats / size;
    uint8_t *raw = NULL;
    b->from = from;
    b->most = rows < 1 ? 1 : rows > MOST_ROWS ? MOST_ROWS : rows;
    TDO_TRY(tdo_memory_new(b->most * tdo_images_row_bytes(from), &raw));
    b->raw = raw;
    TDO_TRY(tdo_memory_new(b->most * size, &b->pixels));
    TDO_TRY(tdo_memory_new(b->most, &b->square));
    TDO_TRY(tdo_memory_new(b->most, &b->norm));
    return tdo_memory_new(b->most, &b->row);
}

static void free_block(struct block *b)
{
    tdo_memory_free(&b->raw);
    tdo_memory_free(&b->pixels);
    tdo_memory_free(&b->square);
    tdo_memory_free(&b->norm);
    tdo_memory_free(&b->row);
}

/* Fill the block with the rows that b->row names. */
static tdo_err fill(struct block *b, int64_t rows)
{
    const int64_t size = tdo_images_pixels(b->from);
    b->rows = rows;
    TDO_TRY(tdo_distance_pixels(b->from, b->row, rows, b->raw, b->pixels));
    for (int64_t i = 0; i < rows; i++) {
        b->square[i] = tdo_distance_square(b->pixels + i * size, size);
        b->norm[i] = sqrt(b->square[i]);
    }
    return TDO_OK;
}

static tdo_err new_search(const struct tdo_images *train, const struct tdo_images *points,
                          struct search *s)
{
    *s = (struct search){.size = tdo_images_pixels(train)};
    if (train->height != points->height || train->width != points->width ||
        train->channels != points->channels) {
        return TDO_FAIL(TDO_ERR_CONFIG, "%s and %s: images of one size expected", train->from,
                        points->from);
    }
    if (train->rows < 1) {
        return TDO_FAIL(TDO_ERR_CONFIG, "%s: training images expected", train->from);
    }
    TDO_TRY(new_block(points, POINT_FLOATS, &s->points));
    TDO_TRY(new_block(train, TRAIN_FLOATS, &s->train));
    TDO_TRY(tdo_memory_new(s->points.most * s->train.most, &s->piece));
    return tdo_memory_new(s->points.most * s->train.most, &s->product);
}

static void free_search(struct search *s)
{
    free_block(&s->points);
    free_block(&s->train);
    tdo_memory_free(&s->piece);
    tdo_memory_free(&s->product);
}

/* ---- one block against another -------------------------------------------------------------------- */

static void multiply(struct search *s)
{
    const int64_t pairs = s->points.rows * s->train.rows;
    memset(s->product, 0, (size_t)pairs * sizeof *s->product);
    for (int64_t p = 0; p < s->size; p += PIECE) {
        const struct tdo_blas_rows a = {s->points.pixels + p, s->points.rows, s->size};
        const struct tdo_blas_rows b = {s->train.pixels + p, s->train.rows, s->size};
        tdo_blas_products(&a, &b, s->size - p < PIECE ? s->size - p : PIECE, s->piece);
        for (int64_t i = 0; i < pairs; i++) {
            s->product[i] += (double)s->piece[i];
        }
    }
}

/* The nearest row of the training block to point i, if it is nearer than *squared. */
static void look(const struct search *s, int64_t i, double *squared)
{
    const struct error e = error_of(s->size);
    const struct block *train = &s->train;
    const double *product = s->product + i * train->rows;
    const double a = s->points.square[i], norm = e.product * s->points.norm[i];
    double bound = *squared;
    for (int64_t j = 0; j < train->rows; j++) {
        const double sum = a + train->square[j];
        const double error = norm * train->norm[j] + e.sums * sum + e.small;
        const double most = sum - 2 * product[j] + error;
        bound = most < bound ? most : bound;
    }
    for (int64_t j = 0; j < train->rows; j++) {
        const double sum = a + train->square[j];
        const double error = norm * train->norm[j] + e.sums * sum + e.small;
        if (sum - 2 * product[j] - error <= bound) {
            const double d =
                exact(s->points.pixels + i * s->size, train->pixels + j * s->size, s->size);
            *squared = d < *squared ? d : *squared;
            bound = d < bound ? d : bound;
        }
    }
}

/* The points of the block against this rank's training rows. */
static tdo_err scan(struct search *s, struct tdo_range mine, double *squared)
{
    for (int64_t first = mine.first; first < mine.end; first += s->train.most) {
        const int64_t left = mine.end - first;
        const int64_t rows = left < s->train.most ? left : s->train.most;
        for (int64_t j = 0; j < rows; j++) {
            s->train.row[j] = first + j;
        }
        TDO_TRY(fill(&s->train, rows));
        multiply(s);
        for (int64_t i = 0; i < s->points.rows; i++) {
            look(s, i, &squared[i]);
        }
    }
    return TDO_OK;
}

/* ---- all ranks ------------------------------------------------------------------------------------ */

/* The smallest over the ranks. Doubles that are not negative are ordered as their bits are. */
static tdo_err least(tdo_comm *comm, double *v, int64_t n)
{
    int64_t *bits = NULL;
    TDO_TRY(tdo_comm_agree(comm, tdo_memory_new(n, &bits)));
    memcpy(bits, v, (size_t)n * sizeof *v);
    tdo_comm_min_i64(comm, bits, n);
    memcpy(v, bits, (size_t)n * sizeof *v);
    tdo_memory_free(&bits);
    return TDO_OK;
}

static tdo_err search_block(struct search *s, const int64_t *row, int64_t n,
                            struct tdo_range mine, double *squared)
{
    memcpy(s->points.row, row, (size_t)n * sizeof *row);
    for (int64_t i = 0; i < n; i++) {
        squared[i] = HUGE_VAL;
    }
    TDO_TRY(fill(&s->points, n));
    return scan(s, mine, squared);
}

tdo_err tdo_distance_nearest(tdo_comm *comm, const struct tdo_images *train,
                             const struct tdo_images *points, const int64_t *row, int64_t n,
                             struct tdo_progress *progress, double *squared)
{
    struct search s;
    tdo_err err = TDO_OK;
    const int64_t size = tdo_comm_size(comm), rank = tdo_comm_rank(comm);
    const struct tdo_range mine = {train->rows * rank / size, train->rows * (rank + 1) / size};
    TDO_GOTO(tdo_comm_agree(comm, new_search(train, points, &s)));
    for (int64_t first = 0; first < n; first += s.points.most) {
        const int64_t rows = n - first < s.points.most ? n - first : s.points.most;
        err = search_block(&s, row + first, rows, mine, squared + first);
        TDO_GOTO(tdo_comm_agree(comm, err));
        TDO_GOTO(least(comm, squared + first, rows));
        if (progress) {
            tdo_progress_show(progress, first + rows, NULL);
        }
    }
done:
    free_search(&s);
    return err;
}
