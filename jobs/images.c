/* Images from a data set. See images.h; folders are in folder_images.c. */
#include "jobs/images.h"

static tdo_err read_split(const struct tdo_images *im, const int64_t *rows, int64_t n, void *x,
                          int32_t *y)
{
    return tdo_dataset_read(im->self, im->split, rows, n, x, y);
}

struct tdo_images tdo_images_split(const tdo_dataset *d, enum tdo_split split)
{
    const struct tdo_dataset_info *info = tdo_dataset_info(d);
    return (struct tdo_images){.rows = info->rows[split],
                               .height = info->height,
                               .width = info->width,
                               .channels = info->channels,
                               .u8 = info->is_u8,
                               .labelled = true,
                               .hash = info->hash,
                               .from = tdo_dataset_path(d),
                               .skip = 1,
                               .count = info->rows[split],
                               .self = d,
                               .split = split,
                               .read = read_split};
}

tdo_err tdo_images_take(struct tdo_images *im, int64_t skip, int64_t max)
{
    if (im->rows == 0) {
        return TDO_FAIL(TDO_ERR_CONFIG, "data.split = %s: %s has no such images",
                        tdo_dataset_split_name(im->split), im->from);
    }
    const int64_t images = (im->rows + skip - 1) / skip;
    im->skip = skip;
    im->count = max > 0 && max < images ? max : images;
    return TDO_OK;
}

int64_t tdo_images_row(const struct tdo_images *im, int64_t i)
{
    return i * im->skip;
}

tdo_err tdo_images_read(const struct tdo_images *im, const int64_t *rows, int64_t n, void *x,
                        int32_t *y)
{
    return im->read(im, rows, n, x, y);
}

int64_t tdo_images_pixels(const struct tdo_images *im)
{
    return im->height * im->width * im->channels;
}

int64_t tdo_images_row_bytes(const struct tdo_images *im)
{
    return tdo_images_pixels(im) * (int64_t)(im->u8 ? sizeof(uint8_t) : sizeof(float));
}

void tdo_images_widen(const struct tdo_images *im, const void *x, int64_t n, float *to)
{
    for (int64_t i = 0; i < n; i++) {
        to[i] = im->u8 ? (float)((const uint8_t *)x)[i] : ((const float *)x)[i];
    }
}
