/* Resize and centre cut. See image.h.
 *
 * Output pixel i of a side that shrinks by `scale` sits at (i + 1/2) scale in the input, and is
 * the mean of the input under a triangle around it, as wide as two output pixels, so that no
 * input pixel is skipped. Weights are computed in double, + - * / only, and rounded to integers
 * of 22 bits; sums are integers. Two passes: columns, then rows. */
#include <stdbool.h>

#include "jobs/formats/image.h"
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

/* Channel values at in, in + stride, ... to the CHANNELS bytes of output pixel i. */
static void mix(const struct weights *w, int64_t i, const uint8_t *in, int64_t stride,
                uint8_t *out)
{
    const int32_t *weight = w->weight + i * w->taps;
    in += w->first[i] * stride;
    int64_t sum[CHANNELS] = {1 << (BITS - 1), 1 << (BITS - 1), 1 << (BITS - 1)};
    for (int64_t k = 0; k < w->count[i]; k++, in += stride) {
        for (int c = 0; c < CHANNELS; c++) {
            sum[c] += (int64_t)weight[k] * in[c];
        }
    }
    for (int c = 0; c < CHANNELS; c++) {
        int64_t v = sum[c] >> BITS;
        out[c] = (uint8_t)(v > 255 ? 255 : v);
    }
}

/* Where the cut of `size` pixels out of `scaled` begins: the middle, half to even. */
static int64_t cut_at(int64_t scaled, int64_t size)
{
    int64_t rest = scaled - size, half = rest / 2;
    return rest % 2 != 0 && half % 2 != 0 ? half + 1 : half;
}

tdo_err tdo_image_fit(const struct tdo_image *in, int64_t height, int64_t width,
                      uint8_t *pixels)
{
    struct weights columns = {0}, rows = {0};
    uint8_t *narrow = NULL; /* [last-first,width,3] */
    const bool tall = in->height * width >= in->width * height;
    const int64_t whole_width = tall ? width : height * in->width / in->height;
    const int64_t whole_height = tall ? width * in->height / in->width : height;
    tdo_err err = TDO_OK;
    TDO_GOTO(weights_new(in->width, whole_width, cut_at(whole_width, width), width, &columns));
    TDO_GOTO(
        weights_new(in->height, whole_height, cut_at(whole_height, height), height, &rows));
    const int64_t first = rows.first[0], last = rows.first[height - 1] + rows.count[height - 1];
    TDO_GOTO(tdo_memory_new((last - first) * width * CHANNELS, &narrow));
    for (int64_t y = first; y < last; y++) {
        for (int64_t x = 0; x < width; x++) {
            mix(&columns, x, in->pixels + y * in->width * CHANNELS, CHANNELS,
                narrow + ((y - first) * width + x) * CHANNELS);
        }
    }
    for (int64_t y = 0; y < height; y++) {
        rows.first[y] -= first; /* narrow starts there */
        for (int64_t x = 0; x < width; x++) {
            mix(&rows, y, narrow + x * CHANNELS, width * CHANNELS,
                pixels + (y * width + x) * CHANNELS);
        }
    }
done:
    weights_free(&columns);
    weights_free(&rows);
    tdo_memory_free(&narrow);
    return err;
}
