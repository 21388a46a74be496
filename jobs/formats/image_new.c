/* The memory of a decoded image. See image.h. */
#include "jobs/formats/image.h"
#include "nn/base/memory.h"

enum { MAX_PIXELS = 1 << 26 };

tdo_err tdo_image_new(const char *path, int64_t width, int64_t height, struct tdo_image *out)
{
    if (width < 1 || height < 1 || width > MAX_PIXELS / height) {
        return TDO_FAIL(TDO_ERR_FORMAT,
                        "%s: an image of %lldx%lld (height x width): expected 1 to %d pixels",
                        path, (long long)height, (long long)width, MAX_PIXELS);
    }
    out->width = width;
    out->height = height;
    return tdo_memory_new(width * height * 3, &out->pixels);
}

void tdo_image_free(struct tdo_image *image)
{
    tdo_memory_free(&image->pixels);
}
