/* CIFAR-10 and CIFAR-100, the binary versions. No header, records of equal length:
 *
 *   CIFAR-10    label 0..9;                   1024 red, 1024 green, 1024 blue    3073 bytes
 *   CIFAR-100   coarse 0..19, fine 0..99;     1024 red, 1024 green, 1024 blue    3074 bytes
 *
 * 32x32 pixels, each plane row by row; samples leave here as HWC, with the fine label. Which of
 * the two a directory holds is told by its file names: data_batch_1.bin to data_batch_5.bin and
 * test_batch.bin, or train.bin and test.bin, plain or .gz, in import.from itself or in the
 * directory of the published archive inside it. Batches may hold any number of records.
 * Layout: Krizhevsky, "Learning multiple layers of features from tiny images", 2009. */
#include <stdio.h>
#include <string.h>

#include "jobs/formats/formats.h"
#include "jobs/formats/packed.h"
#include "nn/base/memory.h"

extern const struct tdo_format tdo_format_cifar;

enum { SIDE = 32, PLANE = SIDE * SIDE, CHANNELS = 3, WINDOW = 64, MAX_FILES = 6 };

struct variant {
    const char *name, *directory; /* of the published archive */
    int labels;                   /* bytes in front of the pixels; the last is the label */
    int limit[2];                 /* each is below */
    int train_files, files;       /* the test split is one file, the last */
    const char *file[MAX_FILES];
};

static const struct variant variants[] = {
    {"CIFAR-10",
     "cifar-10-batches-bin",
     1,
     {10},
     5,
     6,
     {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
      "data_batch_5.bin", "test_batch.bin"}},
    {"CIFAR-100", "cifar-100-binary", 2, {20, 100}, 1, 2, {"train.bin", "test.bin"}},
};

struct cifar {
    tdo_source base;
    const struct variant *variant;
    struct tdo_packed file[MAX_FILES];
    unsigned char *window; /* WINDOW records */
};

static bool holds(const char *directory, const struct variant *v)
{
    for (int i = 0; i < v->files; i++) {
        if (tdo_packed_exists(directory, v->file[i])) {
            return true;
        }
    }
    return false;
}

/* Which variant there is, and where: directory [room] is set. Finding two is an error. */
static tdo_err detect(const char *from, const struct variant **found, char *directory,
                      size_t room)
{
    for (int i = 0; i < 4; i++) {
        char place[4096];
        const struct variant *v = &variants[i / 2];
        int length = snprintf(place, sizeof place, "%s%s%s", from, i % 2 ? "/" : "",
                              i % 2 ? v->directory : "");
        if (length >= (int)sizeof place || (size_t)length >= room) {
            return TDO_FAIL(TDO_ERR_CONFIG, "import.from = %.200s... is too long a path", from);
        }
        if (!holds(place, v)) {
            continue;
        }
        if (*found) {
            return TDO_FAIL(TDO_ERR_CONFIG,
                            "%s: files of %s and %s: two data sets; import.from must name a "
                            "directory with one",
                            from, (*found)->name, v->name);
        }
        *found = v;
        memcpy(directory, place, (size_t)length + 1);
    }
    if (*found) {
        return TDO_OK;
    }
    return TDO_FAIL(TDO_ERR_FILE,
                    "%s: no file data_batch_1.bin (CIFAR-10) or train.bin (CIFAR-100) there, "
                    "plain or .gz; import.from must name a directory with the binary version",
                    from);
}

static void cifar_close(tdo_source **source)
{
    struct cifar *s = (struct cifar *)*source;
    for (int i = 0; i < MAX_FILES; i++) {
        tdo_packed_close(&s->file[i]);
    }
    tdo_memory_free(&s->window);
    tdo_memory_free(source);
}

static tdo_err open_files(struct cifar *s, const char *from)
{
    char directory[4096];
    TDO_TRY(detect(from, &s->variant, directory, sizeof directory));
    const struct variant *v = s->variant;
    const int64_t record = v->labels + CHANNELS * PLANE;
    s->base.info = (struct tdo_source_info){
        .height = SIDE,
        .width = SIDE,
        .channels = CHANNELS,
        .classes = v->limit[v->labels - 1],
        .is_u8 = true,
        .anywhere = true,
    };
    for (int i = 0; i < v->files; i++) {
        TDO_TRY(tdo_packed_open(directory, v->file[i], record, &s->file[i]));
        s->base.info.rows[i < v->train_files ? TDO_SOURCE_TRAIN : TDO_SOURCE_TEST] +=
            s->file[i].rows;
        s->base.info.anywhere = s->base.info.anywhere && tdo_packed_is_plain(&s->file[i]);
    }
    return tdo_memory_new(WINDOW * record, &s->window);
}

static tdo_err cifar_open(const struct tdo_format_args *args, tdo_source **out)
{
    struct cifar *s = NULL;
    TDO_TRY(tdo_memory_new(1, &s));
    tdo_source *source = &s->base;
    tdo_err err = open_files(s, args->from);
    if (err != TDO_OK) {
        cifar_close(&source);
        return err;
    }
    *out = source;
    return TDO_OK;
}

/* One record, row `row` of file f, to HWC and label. */
static tdo_err unpack(const struct variant *v, const struct tdo_packed *f, int64_t row,
                      const unsigned char *record, uint8_t *x, int32_t *y)
{
    for (int i = 0; i < v->labels; i++) {
        if (record[i] >= v->limit[i]) {
            return TDO_FAIL(TDO_ERR_FORMAT,
                            "%s: %slabel %d of row %lld, at byte %lld%s, is out of range: "
                            "expected 0 to %d",
                            f->path,
                            v->labels == 1 ? ""
                            : i            ? "fine "
                                           : "coarse ",
                            record[i], (long long)row, (long long)(row * f->record + i),
                            gzdirect(f->gz) ? "" : " (unpacked)", v->limit[i] - 1);
        }
    }
    *y = record[v->labels - 1];
    const unsigned char *planes = record + v->labels;
    for (int i = 0; i < PLANE; i++) {
        for (int c = 0; c < CHANNELS; c++) {
            x[i * CHANNELS + c] = planes[c * PLANE + i];
        }
    }
    return TDO_OK;
}

/* Rows [first, first+n) of one file, through the window. */
static tdo_err read_file(struct cifar *s, struct tdo_packed *f, int64_t first, int64_t n,
                         uint8_t *x, int32_t *y)
{
    for (int64_t i = 0; i < n; i += WINDOW) {
        int64_t part = n - i < WINDOW ? n - i : WINDOW;
        TDO_TRY(tdo_packed_read(f, first + i, part, s->window));
        for (int64_t j = 0; j < part; j++) {
            TDO_TRY(unpack(s->variant, f, first + i + j, s->window + j * f->record,
                           x + (i + j) * CHANNELS * PLANE, &y[i + j]));
        }
    }
    return TDO_OK;
}

static tdo_err cifar_read(tdo_source *source, enum tdo_source_split split, int64_t first,
                          int64_t n, void *x, int32_t *y)
{
    struct cifar *s = (struct cifar *)source;
    const struct variant *v = s->variant;
    uint8_t *pixels = x;
    int from = split == TDO_SOURCE_TRAIN ? 0 : v->train_files;
    int to = split == TDO_SOURCE_TRAIN ? v->train_files : v->files;
    for (int i = from; i < to && n > 0; i++) {
        struct tdo_packed *f = &s->file[i];
        int64_t part = f->rows - first < n ? f->rows - first : n;
        if (part > 0) {
            TDO_TRY(read_file(s, f, first, part, pixels, y));
            pixels += part * CHANNELS * PLANE;
            y += part;
            n -= part;
            first += part;
        }
        first -= f->rows;
    }
    return TDO_OK;
}

const struct tdo_format tdo_format_cifar = {
    .name = "cifar",
    .help = "CIFAR-10 or CIFAR-100, binary version, plain or .gz; file names tell which",
    .cite = "Krizhevsky: Learning multiple layers of features from tiny images, 2009",
    .open = cifar_open,
    .read = cifar_read,
    .close = cifar_close,
};
