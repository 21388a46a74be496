/* Photographs, decoded when they are read. See photos.h. */
#include "jobs/photos.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

#include "nn/base/memory.h"

enum { TRIES = 10, THREADS = 64, CHANNELS = 3, PART_LAYER = 1 };

/* ---- in use: the middle ------------------------------------------------------------------------ */

/* `settings` is the shorter side. */
static tdo_err decode_view(const struct tdo_dataset_view *v, const char *name,
                           const uint8_t *file, int64_t bytes, uint8_t *x)
{
    struct tdo_image image = {0};
    tdo_err err = tdo_image_decode(name, file, bytes, &image);
    if (err == TDO_OK) {
        err = tdo_image_view(&image, (int64_t)v->settings, v->height, v->width, x);
    }
    tdo_image_free(&image);
    return err;
}

static tdo_err set_view(const tdo_config *c, tdo_dataset *d)
{
    const struct tdo_dataset_info *info = tdo_dataset_info(d);
    const int64_t asked = c ? tdo_config_int(c, "data.size") : 0;
    const int64_t resized = c ? tdo_config_int(c, "data.resize") : 0;
    const int64_t size = asked > 0 ? asked : info->height;
    const int64_t side = resized > 0 ? resized : tdo_image_short_side(size);
    if (!info->encoded && (asked > 0 || resized > 0)) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "data.%s is for sets of files (import.store = files): %s holds pixels",
                        asked > 0 ? "size" : "resize", tdo_dataset_path(d));
    }
    if (info->encoded && side < size) {
        return TDO_FAIL(
            TDO_ERR_CONFIG,
            "data.resize = %lld: at least data.size = %lld is expected, which is cut "
            "out of it",
            (long long)side, (long long)size);
    }
    if (info->encoded) {
        const struct tdo_dataset_view view = {
            .height = size, .width = size, .settings = (uint64_t)side, .decode = decode_view};
        tdo_dataset_set_view(d, &view);
    }
    return TDO_OK;
}

tdo_err tdo_photos_open(tdo_comm *comm, const tdo_config *c, const char *path,
                        tdo_dataset **out)
{
    TDO_TRY(tdo_dataset_open(comm, path, out));
    tdo_err err = tdo_comm_agree(comm, set_view(c, *out));
    if (err != TDO_OK) {
        tdo_dataset_free(out);
    }
    return err;
}

/* ---- to train on: random parts ------------------------------------------------------------------ */

static double unit(uint32_t word)
{
    return (double)word / 4294967296.0;
}

/* 0 .. n-1 from 32 random bits. */
static int64_t below(uint32_t word, int64_t n)
{
    return (int64_t)((uint64_t)word * (uint64_t)n >> 32);
}

static int64_t nearest(double v)
{
    return (int64_t)(v + 0.5);
}

/* base^(2u - 1), u = word / 2^32: a product of roots, which are exact to the last bit everywhere. */
static double power(double base, uint32_t word)
{
    double all = 1 / base, root = base * base;
    for (int bit = 31; bit >= 0; bit--) {
        root = sqrt(root);
        all *= word >> bit & 1 ? root : 1.0;
    }
    return all;
}

/* The largest part in the middle that is not too wide or too high. */
static struct tdo_image_box middle(double aspect, int64_t height, int64_t width)
{
    struct tdo_image_box b = {.height = height, .width = width};
    if ((double)width > (double)height * aspect) {
        b.width = nearest((double)height * aspect);
    } else if ((double)height > (double)width * aspect) {
        b.height = nearest((double)width * aspect);
    }
    b.top = (height - b.height) / 2;
    b.left = (width - b.width) / 2;
    return b;
}

struct tdo_image_box tdo_photos_part(const struct tdo_photos_cut *cut,
                                     const struct tdo_key *key, int64_t height, int64_t width)
{
    const struct tdo_stream stream = {
        .seed = cut->seed, .purpose = TDO_PURPOSE_AUGMENT, .layer = PART_LAYER};
    for (int i = 0; i < TRIES; i++) {
        uint32_t word[4];
        tdo_rng_words(&stream, key, (int64_t)4 * i, 4, word);
        const double share = cut->least + (cut->most - cut->least) * unit(word[0]);
        const double area = share * (double)height * (double)width;
        const double aspect = power(cut->aspect, word[1]);
        const struct tdo_image_box b = {.height = nearest(sqrt(area / aspect)),
                                        .width = nearest(sqrt(area * aspect))};
        if (b.height > 0 && b.width > 0 && b.height <= height && b.width <= width) {
            return (struct tdo_image_box){.top = below(word[2], height - b.height + 1),
                                          .left = below(word[3], width - b.width + 1),
                                          .height = b.height,
                                          .width = b.width};
        }
    }
    return middle(cut->aspect, height, width);
}

/* ---- reading ------------------------------------------------------------------------------------ */

/* Rows k, k + step, ... of a request, in one thread. */
struct worker {
    const tdo_dataset *d;
    const struct tdo_photos_reading *how;
    const int64_t *rows;
    int64_t k, step, n;
    uint8_t *x;
    uint8_t *file; /* of a row, or its pixels */
    int64_t room;
    pthread_t thread;
    int64_t at; /* row of the request where it failed */
    struct tdo_error_record record;
    enum tdo_split split;
    tdo_err err;
};

/* How much smaller an image may be decoded that a part of it is still as large as it will be. */
static int shrink_of(const struct tdo_image_box *b, int64_t height, int64_t width)
{
    int shrink = 8;
    while (shrink > 1 && (b->height < shrink * height || b->width < shrink * width)) {
        shrink /= 2;
    }
    return shrink;
}

/* The same part of an image that is 1/shrink as large, rounded up. */
static void shrink_side(int64_t side, int shrink, int64_t *first, int64_t *size)
{
    *first /= shrink;
    *size = (*size + shrink / 2) / shrink;
    *first = *first + *size > side ? side - *size : *first;
}

/* The part of a row's file that is its turn. */
static tdo_err cut_file(struct worker *w, int64_t row, const struct tdo_key *key, uint8_t *x)
{
    const struct tdo_dataset_info *info = tdo_dataset_info(w->d);
    struct tdo_image image = {0};
    int64_t bytes = 0, height = 0, width = 0;
    char name[1200];
    TDO_TRY(tdo_dataset_file(w->d, w->split, row, &w->file, &w->room, &bytes));
    tdo_dataset_row_name(w->d, w->split, row, name, sizeof name);
    TDO_TRY(tdo_image_size(name, w->file, bytes, &height, &width));
    struct tdo_image_box box = tdo_photos_part(&w->how->cut, key, height, width);
    const int shrink = shrink_of(&box, info->height, info->width);
    tdo_err err = tdo_image_decode_at(name, w->file, bytes, shrink, &image);
    if (err == TDO_OK) {
        if (image.width != width || image.height != height) { /* a PNG is as it was */
            shrink_side(image.height, shrink, &box.top, &box.height);
            shrink_side(image.width, shrink, &box.left, &box.width);
        }
        err = tdo_image_cut(&image, &box, info->height, info->width, x);
    }
    tdo_image_free(&image);
    return err;
}

static tdo_err cut_pixels(struct worker *w, int64_t row, const struct tdo_key *key, uint8_t *x)
{
    const struct tdo_dataset_info *info = tdo_dataset_info(w->d);
    if (!w->file) {
        TDO_TRY(tdo_memory_new(tdo_dataset_row_bytes(w->d), &w->file));
    }
    TDO_TRY(tdo_dataset_read(w->d, w->split, &row, 1, w->file, NULL));
    const struct tdo_image image = {
        .width = info->width, .height = info->height, .pixels = w->file};
    const struct tdo_image_box box =
        tdo_photos_part(&w->how->cut, key, image.height, image.width);
    return tdo_image_cut(&image, &box, info->height, info->width, x);
}

static tdo_err cut_row(struct worker *w, int64_t row, uint8_t *x)
{
    const struct tdo_key key = {.sample = (uint64_t)row, .step = (uint32_t)w->how->epoch};
    return tdo_dataset_info(w->d)->encoded ? cut_file(w, row, &key, x)
                                           : cut_pixels(w, row, &key, x);
}

static void *work(void *context)
{
    struct worker *w = context;
    const int64_t bytes = tdo_dataset_row_bytes(w->d);
    for (int64_t i = w->k; i < w->n && w->err == TDO_OK; i += w->step) {
        uint8_t *x = w->x + i * bytes;
        w->at = i;
        w->err = w->how->cut.most > 0
                     ? cut_row(w, w->rows[i], x)
                     : tdo_dataset_read(w->d, w->split, w->rows + i, 1, x, NULL);
    }
    if (w->err != TDO_OK) {
        w->record = *tdo_error_last();
    }
    tdo_memory_free(&w->file);
    return NULL;
}

/* Of those that failed, the one with the first row: the same with any number of threads. */
static tdo_err verdict(const struct worker *w, int threads)
{
    const struct worker *first = NULL;
    for (int k = 0; k < threads; k++) {
        if (w[k].err != TDO_OK && (!first || w[k].at < first->at)) {
            first = &w[k];
        }
    }
    if (first) {
        tdo_error_adopt(&first->record);
    }
    return first ? first->err : TDO_OK;
}

tdo_err tdo_photos_read(const tdo_dataset *d, enum tdo_split split,
                        const struct tdo_photos_reading *how, const int64_t *rows, int64_t n,
                        void *x, int32_t *y)
{
    struct worker w[THREADS];
    int64_t threads = how->threads < THREADS ? how->threads : THREADS;
    threads = threads < n ? threads : n;
    int started = 1;
    if (n < 1) {
        return TDO_OK;
    }
    TDO_ASSERT(threads > 0);
    TDO_TRY(tdo_dataset_read(d, split, rows, n, NULL, y)); /* are there such rows? */
    for (int k = 0; k < threads; k++) {
        w[k] = (struct worker){.d = d,
                               .split = split,
                               .how = how,
                               .rows = rows,
                               .k = k,
                               .step = threads,
                               .n = n,
                               .x = x};
    }
    while (started < threads &&
           pthread_create(&w[started].thread, NULL, work, &w[started]) == 0) {
        started++;
    }
    if (started == threads) {
        (void)work(&w[0]);
    }
    for (int k = 1; k < started; k++) {
        pthread_join(w[k].thread, NULL);
    }
    if (started < threads) {
        return TDO_FAIL(TDO_ERR_LIBRARY, "cannot start %d threads that decode %s",
                        how->threads - 1, tdo_dataset_path(d));
    }
    return verdict(w, started);
}
