/* Crops and flips. See augment.h. */
#include "nn/augment.h"

#include <string.h>

/* 0 .. n-1 from 32 random bits. */
static int64_t below(uint32_t word, int64_t n)
{
    return (int64_t)((uint64_t)word * (uint64_t)n >> 32);
}

/* One line of the image, moved left by dx, black where there is nothing. */
static void line(const float *in, float *out, int64_t width, int64_t channels, int64_t dx,
                 bool flip)
{
    for (int64_t x = 0; x < width; x++) {
        const int64_t from = (flip ? width - 1 - x : x) + dx;
        float *to = out + x * channels;
        if (from >= 0 && from < width) {
            memcpy(to, in + from * channels, (size_t)channels * sizeof *to);
        } else {
            memset(to, 0, (size_t)channels * sizeof *to);
        }
    }
}

void tdo_augment_image(const struct tdo_augment *a, const struct tdo_key *key, int64_t height,
                       int64_t width, int64_t channels, const float *in, float *out)
{
    const struct tdo_stream stream = {.seed = a->seed, .purpose = TDO_PURPOSE_AUGMENT};
    const int64_t row = width * channels;
    uint32_t word[4];
    tdo_rng_words(&stream, key, 0, 4, word);
    const int64_t dy = below(word[0], 2 * a->pad + 1) - a->pad;
    const int64_t dx = below(word[1], 2 * a->pad + 1) - a->pad;
    const bool flip = a->flip && word[2] >> 31;
    for (int64_t y = 0; y < height; y++) {
        if (y + dy >= 0 && y + dy < height) {
            line(in + (y + dy) * row, out + y * row, width, channels, dx, flip);
        } else {
            memset(out + y * row, 0, (size_t)row * sizeof *out);
        }
    }
}
