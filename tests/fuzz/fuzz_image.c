/* PNG and JPEG: what surrounds libpng and libjpeg (sizes, transforms, jumps out of errors). The
 * input is the file; a whole image must have its pixels. */
#include <string.h>

#include "jobs/formats/image.h"
#include "tests/fuzz/fuzz.h"

static void check(tdo_err err, struct tdo_image *image)
{
    volatile uint8_t sum = 0;
    if (err == TDO_OK) {
        FUZZ_CHECK(image->width > 0 && image->height > 0 && image->pixels);
        for (int64_t i = 0; i < image->width * image->height * 3; i += 4096) {
            sum = (uint8_t)(sum + image->pixels[i]);
        }
        sum = (uint8_t)(sum + image->pixels[image->width * image->height * 3 - 1]);
    }
    tdo_image_free(image);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tdo_image image;
    memset(&image, 0, sizeof image);
    if (size > 0 && data[0] == 0xff) {
        check(tdo_image_jpeg("input", data, (int64_t)size, 1, &image), &image);
    } else {
        check(tdo_image_png("input", data, (int64_t)size, &image), &image);
    }
    return 0;
}
