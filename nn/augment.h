#ifndef TDO_AUGMENT_H
#define TDO_AUGMENT_H
/* Random crops and flips of training images, on raw values before any noise.
 *
 * A crop with padding p puts the image into a frame of p black pixels and cuts a window of the
 * image's own size out of it; a flip mirrors left and right. What happens to a row is a function of
 * its key (image, step), so it is the same on any rank and after a resume.
 * Source: He et al. 2016, section 4.2 (p = 4); as torchvision's RandomCrop, RandomHorizontalFlip. */
#include <stdbool.h>

#include "nn/base/rng.h"

struct tdo_augment {
    int64_t pad; /* 0: no crop */
    bool flip;
    uint32_t seed;
};

/* in, out [H,W,C], apart from each other. */
void tdo_augment_image(const struct tdo_augment *a, const struct tdo_key *key, int64_t height,
                       int64_t width, int64_t channels, const float *in, float *out);

#endif
