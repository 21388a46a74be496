/* Writes test images of a data set as files, for scripts that need a folder of them:
 *
 *     paint <data.h5> <directory> <png|jpg> <first> <count> [times]
 *
 * makes <directory>/000.png, 001.png, ... with the pixels of the rows first, first+1, ...; each
 * pixel is repeated `times` (1) times in both directions. Grey images become grey files. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

#include "mpi/dataset.h"
#include "nn/base/file.h"
#include "nn/base/log.h"
#include "nn/base/memory.h"
#include "tests/jpeg.h"

struct picture {
    int64_t height, width, channels;
    uint8_t *pixels;
};

static tdo_err write_png(const char *path, const struct picture *p)
{
    png_image image = {.version = PNG_IMAGE_VERSION,
                       .width = (png_uint_32)p->width,
                       .height = (png_uint_32)p->height,
                       .format = p->channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB};
    if (!png_image_write_to_file(&image, path, 0, p->pixels, 0, NULL)) {
        return TDO_FAIL(TDO_ERR_FILE, "%s: %s", path, image.message);
    }
    return TDO_OK;
}

static tdo_err write_jpeg(const char *path, const struct picture *p)
{
    const struct test_jpeg jpeg = {.height = p->height,
                                   .width = p->width,
                                   .channels = (int)p->channels,
                                   .quality = 100,
                                   .pixels = p->pixels,
                                   .stride = p->width * p->channels};
    return test_jpeg_write(&jpeg, path) ? TDO_OK
                                        : TDO_FAIL(TDO_ERR_FILE, "%s: cannot be written", path);
}

/* Each pixel `times` times in both directions. */
static void enlarge(const struct tdo_dataset_info *d, const uint8_t *x, int64_t times,
                    struct picture *p)
{
    const int64_t C = d->channels;
    for (int64_t h = 0; h < p->height; h++) {
        for (int64_t w = 0; w < p->width; w++) {
            memcpy(p->pixels + (h * p->width + w) * C,
                   x + (h / times * d->width + w / times) * C, (size_t)C);
        }
    }
}

static tdo_err paint(const tdo_dataset *d, char **argv, int64_t times)
{
    const struct tdo_dataset_info *info = tdo_dataset_info(d);
    const int64_t first = atoll(argv[4]), count = atoll(argv[5]);
    struct picture p = {.height = info->height * times,
                        .width = info->width * times,
                        .channels = info->channels};
    uint8_t *x = NULL;
    tdo_err err = TDO_OK;
    TDO_GOTO(tdo_file_make_dir(argv[2]));
    TDO_GOTO(tdo_memory_new(tdo_dataset_row_bytes(d), &x));
    TDO_GOTO(tdo_memory_new(p.height * p.width * p.channels, &p.pixels));
    for (int64_t i = 0; i < count; i++) {
        char path[1024];
        const int64_t row = first + i;
        TDO_GOTO(tdo_dataset_read(d, TDO_SPLIT_TEST, &row, 1, x, NULL));
        enlarge(info, x, times, &p);
        snprintf(path, sizeof path, "%s/%03lld.%s", argv[2], (long long)i, argv[3]);
        TDO_GOTO(strcmp(argv[3], "png") == 0 ? write_png(path, &p) : write_jpeg(path, &p));
    }
done:
    tdo_memory_free(&x);
    tdo_memory_free(&p.pixels);
    return err;
}

int main(int argc, char **argv)
{
    tdo_comm *comm = NULL;
    tdo_dataset *d = NULL;
    tdo_err err = TDO_OK;
    if (argc < 6 || argc > 7) {
        fprintf(stderr, "paint <data.h5> <directory> <png|jpg> <first> <count> [times]\n");
        return 2;
    }
    TDO_GOTO(tdo_comm_new(&comm));
    TDO_GOTO(tdo_dataset_open(comm, argv[1], &d));
    err = paint(d, argv, argc == 7 ? atoll(argv[6]) : 1);
done:
    tdo_comm_report(comm, err);
    tdo_dataset_free(&d);
    tdo_comm_free(&comm);
    return tdo_error_exit_code(err);
}
