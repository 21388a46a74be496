/* Resize and centre cut. See image.h.
 *
 * Output pixel i of a side that shrinks by `scale` sits at (i + 1/2) scale in the input, and is
 * the mean of the input under a triangle around it, as wide as two output pixels, so that no
 * input pixel is skipped. Weights are computed in double, + - * / only, and rounded to integers
 * of 22 bits; sums are integers. Two passes: columns, then rows. */
#include <stdbool.h>

#include "jobs/formats/image.h"
#include "nn/base/clones.h"
#include "nn/base/memory.h"

enum { BITS = 22, CHANNELS = 3 };

/* For each output pixel: its first input pixel, how many, and their weights. */
struct weights {
    int64_t taps; /* room of one output pixel */
    int64_t *first, *count;
    int32_t *weight; /* [size,taps] */
};

static void weights_free(struct weights *w)
{
    tdo_memory_free(&w->first);
    tdo_memory_free(&w->count);
    tdo_memory_free(&w->weight);
}

static double triangle(double x)
{
    x = x < 0.0 ? -x : x;
    return x < 1.0 ? 1.0 - x : 0.0;
}

static int64_t clamp_index(double v, int64_t n)
{
    return v < 0.0 ? 0 : v > (double)n ? n : (int64_t)v;
}

/* Weights of one output pixel, centred at `center`, from an input side of n pixels. */
static void weigh(struct weights *w, int64_t i, int64_t n, double center, double half)
{
    int64_t first = clamp_index(center - half + 0.5, n);
    int64_t count = clamp_index(center + half + 0.5, n) - first;
    double sum = 0.0, inverse = 1.0 / half;
    for (int64_t k = 0; k < count; k++) {
        sum += triangle(((double)(first + k) - center + 0.5) * inverse);
    }
    for (int64_t k = 0; k < count; k++) {
        double share = triangle(((double)(first + k) - center + 0.5) * inverse) / sum;
        w->weight[i * w->taps + k] = (int32_t)(share * (double)(1 << BITS) + 0.5);
    }
    w->first[i] = first;
    w->count[i] = count;
}

/* Output pixels [cut, cut+size) of a side that goes from n to `scaled` pixels. */
static tdo_err weights_new(int64_t n, int64_t scaled, int64_t cut, int64_t size,
                           struct weights *w)
{
    double scale = (double)n / (double)scaled, half = scale < 1.0 ? 1.0 : scale;
    w->taps = 2 * (int64_t)half + 3;
    TDO_TRY(tdo_memory_new(size, &w->first));
    TDO_TRY(tdo_memory_new(size, &w->count));
    TDO_TRY(tdo_memory_new(size * w->taps, &w->weight));
    for (int64_t i = 0; i < size; i++) {
        weigh(w, i, n, ((double)(cut + i) + 0.5) * scale, half);
    }
    return TDO_OK;
}

/* The byte of a sum of weighted values. */
static uint8_t rounded(int32_t sum)
{
    const int32_t v = sum >> BITS;
    return (uint8_t)(v > 255 ? 255 : v);
}

/* A line of pixels through the weights of its columns. A sum of 8-bit values by weights of 22 bits
 * that add up to one fits into 32 bits. */
static void mix_line(const struct weights *w, const uint8_t *in, int64_t width, uint8_t *out)
{
    for (int64_t i = 0; i < width; i++) {
        const int32_t *weight = w->weight + i * w->taps;
        const uint8_t *from = in + w->first[i] * CHANNELS;
        int32_t a = 1 << (BITS - 1), b = a, c = a;
        for (int64_t k = 0; k < w->count[i]; k++, from += CHANNELS) {
            a += weight[k] * from[0];
            b += weight[k] * from[1];
            c += weight[k] * from[2];
        }
        out[CHANNELS * i] = rounded(a);
        out[CHANNELS * i + 1] = rounded(b);
        out[CHANNELS * i + 2] = rounded(c);
    }
}

TDO_CLONES static void add_line(int64_t n, int32_t weight, const uint8_t *restrict in,
                                int32_t *restrict sum)
{
    for (int64_t i = 0; i < n; i++) {
        sum[i] += weight * in[i];
    }
}

TDO_CLONES static void round_line(int64_t n, int32_t *restrict sum, uint8_t *restrict out)
{
    for (int64_t i = 0; i < n; i++) {
        out[i] = rounded(sum[i]);
        sum[i] = 1 << (BITS - 1);
    }
}

/* Lines of n bytes, the first of them line `first` of the input, through the weights of rows. */
static void mix_rows(const struct weights *w, int64_t height, int64_t n, int64_t first,
                     const uint8_t *in, int32_t *sum, uint8_t *out)
{
    for (int64_t i = 0; i < n; i++) {
        sum[i] = 1 << (BITS - 1);
    }
    for (int64_t y = 0; y < height; y++) {
        for (int64_t k = 0; k < w->count[y]; k++) {
            add_line(n, w->weight[y * w->taps + k], in + (w->first[y] - first + k) * n, sum);
        }
        round_line(n, sum, out + y * n);
    }
}

/* Where the cut of `size` pixels out of `scaled` begins: the middle, half to even. */
static int64_t cut_at(int64_t scaled, int64_t size)
{
    int64_t rest = scaled - size, half = rest / 2;
    return rest % 2 != 0 && half % 2 != 0 ? half + 1 : half;
}

/* What to make of a part of an image: its size, the size that all of it would have, and which pixels
 * of that are wanted. */
struct side {
    int64_t from, scaled, cut, size;
};

/* `in` is the first pixel of the part, `stride` bytes from line to line. */
static tdo_err resample(const uint8_t *in, int64_t stride, const struct side *down,
                        const struct side *across, uint8_t *pixels)
{
    struct weights columns = {0}, rows = {0};
    const int64_t height = down->size, line = across->size * CHANNELS;
    uint8_t *narrow = NULL; /* [last-first,width,3] */
    int32_t *sum = NULL;    /* [width,3] */
    tdo_err err = TDO_OK;
    TDO_GOTO(weights_new(across->from, across->scaled, across->cut, across->size, &columns));
    TDO_GOTO(weights_new(down->from, down->scaled, down->cut, height, &rows));
    const int64_t first = rows.first[0], last = rows.first[height - 1] + rows.count[height - 1];
    TDO_GOTO(tdo_memory_new((last - first) * line, &narrow));
    TDO_GOTO(tdo_memory_new(line, &sum));
    for (int64_t y = first; y < last; y++) {
        mix_line(&columns, in + y * stride, across->size, narrow + (y - first) * line);
    }
    mix_rows(&rows, height, line, first, narrow, sum, pixels);
done:
    weights_free(&columns);
    weights_free(&rows);
    tdo_memory_free(&narrow);
    tdo_memory_free(&sum);
    return err;
}

tdo_err tdo_image_view(const struct tdo_image *in, int64_t short_side, int64_t height,
                       int64_t width, uint8_t *pixels)
{
    const bool tall = in->height >= in->width;
    const int64_t longer =
        tall ? short_side * in->height / in->width : short_side * in->width / in->height;
    const int64_t whole_height = tall ? longer : short_side;
    const int64_t whole_width = tall ? short_side : longer;
    const struct side down = {in->height, whole_height, cut_at(whole_height, height), height};
    const struct side across = {in->width, whole_width, cut_at(whole_width, width), width};
    return resample(in->pixels, in->width * CHANNELS, &down, &across, pixels);
}

int64_t tdo_image_short_side(int64_t size)
{
    return size * 8 / 7;
}

tdo_err tdo_image_cut(const struct tdo_image *in, const struct tdo_image_box *box,
                      int64_t height, int64_t width, uint8_t *pixels)
{
    const struct side down = {box->height, height, 0, height};
    const struct side across = {box->width, width, 0, width};
    const int64_t stride = in->width * CHANNELS;
    return resample(in->pixels + box->top * stride + box->left * CHANNELS, stride, &down,
                    &across, pixels);
}

tdo_err tdo_image_fit(const struct tdo_image *in, int64_t height, int64_t width,
                      uint8_t *pixels)
{
    const bool tall = in->height * width >= in->width * height;
    const int64_t whole_width = tall ? width : height * in->width / in->height;
    const int64_t whole_height = tall ? width * in->height / in->width : height;
    const struct side down = {in->height, whole_height, cut_at(whole_height, height), height};
    const struct side across = {in->width, whole_width, cut_at(whole_width, width), width};
    return resample(in->pixels, in->width * CHANNELS, &down, &across, pixels);
}
