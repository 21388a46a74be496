/* STL-10: 96x96 colour images, 10 classes. Four binary files without headers:
 *
 *   train_X.bin, test_X.bin   27648 bytes an image: a red, a green and a blue plane of 96x96,
 *                             each column by column (the y axis runs fastest)
 *   train_y.bin, test_y.bin   one byte an image, labels 1 to 10
 *
 * plain or .gz, in import.from itself or in stl10_binary inside it. Samples leave here as HWC
 * with labels 0 to 9; unlabelled images and folds are not read. The number of images follows
 * from the lengths, and those of X and y must agree.
 * Layout: Coates, Lee, Ng, "An analysis of single-layer networks in unsupervised feature
 * learning", AISTATS 2011, and the page of the data set. */
#include <stdio.h>
#include <string.h>

#include "jobs/formats/formats.h"
#include "jobs/formats/packed.h"
#include "nn/base/memory.h"

extern const struct tdo_format tdo_format_stl10;

enum { SIDE = 96, PLANE = SIDE * SIDE, CHANNELS = 3, IMAGE = CHANNELS * PLANE, CLASSES = 10 };

struct stl10 {
    tdo_source base;
    struct tdo_packed images[TDO_SOURCE_SPLITS], labels[TDO_SOURCE_SPLITS];
    unsigned char planes[IMAGE];
};

static const char *const image_names[TDO_SOURCE_SPLITS] = {"train_X.bin", "test_X.bin"};
static const char *const label_names[TDO_SOURCE_SPLITS] = {"train_y.bin", "test_y.bin"};

static void stl10_close(tdo_source **source)
{
    struct stl10 *s = (struct stl10 *)*source;
    for (int i = 0; i < TDO_SOURCE_SPLITS; i++) {
        tdo_packed_close(&s->images[i]);
        tdo_packed_close(&s->labels[i]);
    }
    tdo_memory_free(source);
}

static tdo_err open_files(struct stl10 *s, const char *from)
{
    char inside[4096];
    int length = snprintf(inside, sizeof inside, "%s/stl10_binary", from);
    if (length < (int)sizeof inside && tdo_packed_exists(inside, image_names[0]) &&
        !tdo_packed_exists(from, image_names[0])) {
        from = inside;
    }
    s->base.info = (struct tdo_source_info){
        .height = SIDE,
        .width = SIDE,
        .channels = CHANNELS,
        .classes = CLASSES,
        .is_u8 = true,
        .anywhere = true,
    };
    for (int i = 0; i < TDO_SOURCE_SPLITS; i++) {
        TDO_TRY(tdo_packed_open(from, image_names[i], IMAGE, &s->images[i]));
        TDO_TRY(tdo_packed_open(from, label_names[i], 1, &s->labels[i]));
        if (s->images[i].rows != s->labels[i].rows) {
            return TDO_FAIL(TDO_ERR_FORMAT, "%s has %lld images, but %s has %lld labels",
                            s->images[i].path, (long long)s->images[i].rows, s->labels[i].path,
                            (long long)s->labels[i].rows);
        }
        s->base.info.rows[i] = s->images[i].rows;
        s->base.info.anywhere = s->base.info.anywhere && tdo_packed_is_plain(&s->images[i]) &&
                                tdo_packed_is_plain(&s->labels[i]);
    }
    return TDO_OK;
}

static tdo_err stl10_open(const struct tdo_format_args *args, tdo_source **out)
{
    struct stl10 *s = NULL;
    TDO_TRY(tdo_memory_new(1, &s));
    tdo_source *source = &s->base;
    tdo_err err = open_files(s, args->from);
    if (err != TDO_OK) {
        stl10_close(&source);
        return err;
    }
    *out = source;
    return TDO_OK;
}

static tdo_err read_label(struct tdo_packed *f, int64_t row, int32_t *y)
{
    unsigned char label = 0;
    TDO_TRY(tdo_packed_read(f, row, 1, &label));
    if (label < 1 || label > CLASSES) {
        return TDO_FAIL(TDO_ERR_FORMAT,
                        "%s: label %d of row %lld, at byte %lld, is out of range: expected 1 "
                        "to %d",
                        f->path, label, (long long)row, (long long)row, CLASSES);
    }
    *y = label - 1;
    return TDO_OK;
}

static tdo_err stl10_read(tdo_source *source, enum tdo_source_split split, int64_t first,
                          int64_t n, void *x, int32_t *y)
{
    struct stl10 *s = (struct stl10 *)source;
    for (int64_t i = 0; i < n; i++) {
        TDO_TRY(read_label(&s->labels[split], first + i, &y[i]));
        TDO_TRY(tdo_packed_read(&s->images[split], first + i, 1, s->planes));
        uint8_t *image = (uint8_t *)x + i * IMAGE;
        for (int k = 0; k < PLANE; k++) {
            int row = k / SIDE, column = k % SIDE;
            for (int c = 0; c < CHANNELS; c++) {
                image[k * CHANNELS + c] = s->planes[c * PLANE + column * SIDE + row];
            }
        }
    }
    return TDO_OK;
}

const struct tdo_format tdo_format_stl10 = {
    .name = "stl10",
    .help = "STL-10, the binary version, labelled images only, plain or .gz",
    .cite = "Coates, Lee, Ng: An analysis of single-layer networks, AISTATS 2011",
    .open = stl10_open,
    .read = stl10_read,
    .close = stl10_close,
};
