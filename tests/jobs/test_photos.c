/* Photographs: random parts are where and as large as they should be, and what is read is that part of
 * the decoded file, whatever the number of threads; in use, the middle. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/photos.h"
#include "nn/base/memory.h"
#include "tests/jpeg.h"
#include "tests/mpi/files.h"

const char suite_name[] = "photos";

enum {
    ROWS = 20,
    SIDE = 16,
    BYTES = SIDE * SIDE * 3,
    MOST = 1 << 16,
    BROKEN = 11,
    DRAWS = 20000
};

static char dir[256];
static int64_t side = SIDE; /* of the images that are read */

/* ---- parts ------------------------------------------------------------------------------------- */

static const struct tdo_photos_cut usual = {
    .least = 0.08, .most = 1, .aspect = 4.0 / 3, .seed = 1};

/* Area uniform in [.08, 1], log aspect uniform, where it fits: moments of 300,000 parts by a script of
 * that definition, to 4 deviations. */
static void parts(void)
{
    double area = 0, areas = 0, aspect = 0;
    int wide = 0, left = 0;
    for (int i = 0; i < DRAWS; i++) {
        const struct tdo_key key = {.sample = (uint64_t)i, .step = 3};
        const struct tdo_image_box b = tdo_photos_part(&usual, &key, 400, 500);
        const double share = (double)(b.height * b.width) / (400 * 500);
        const double ratio = (double)b.width / (double)b.height;
        CU_ASSERT(b.top >= 0 && b.left >= 0 && b.height > 0 && b.width > 0);
        CU_ASSERT(b.top + b.height <= 400 && b.left + b.width <= 500);
        CU_ASSERT(share > 0.079 && share <= 1);
        CU_ASSERT(ratio > 0.74 && ratio < 1.35);
        area += share;
        areas += share * share;
        aspect += log(ratio);
        wide += ratio > 1;
        left += b.left > (500 - b.width) / 2;
    }
    const double mean = area / DRAWS;
    CU_ASSERT_DOUBLE_EQUAL(mean, 0.4538, 0.0065);
    CU_ASSERT_DOUBLE_EQUAL(sqrt(areas / DRAWS - mean * mean), 0.2271, 0.005);
    CU_ASSERT_DOUBLE_EQUAL((double)wide / DRAWS, 0.5722, 0.014);
    CU_ASSERT_DOUBLE_EQUAL(aspect / DRAWS, 0.0283, 0.005);
    CU_ASSERT(abs(2 * left - DRAWS) < DRAWS / 10);
}

/* Uniform area, to 4 deviations, and its ends. */
static void areas(void)
{
    const struct tdo_photos_cut cut = {.least = 0.25, .most = 0.5, .aspect = 1, .seed = 5};
    double sum = 0, square = 0;
    for (int i = 0; i < DRAWS; i++) {
        const struct tdo_key key = {.sample = (uint64_t)i};
        const struct tdo_image_box b = tdo_photos_part(&cut, &key, 3000, 3000);
        const double share = (double)(b.height * b.width) / 9e6;
        CU_ASSERT(b.height == b.width && share > 0.2495 && share < 0.5005);
        sum += share;
        square += share * share;
    }
    const double mean = sum / DRAWS, deviation = sqrt(square / DRAWS - mean * mean);
    CU_ASSERT_DOUBLE_EQUAL(mean, 0.375, 4 * 0.25 / sqrt(12.0 * DRAWS));
    CU_ASSERT_DOUBLE_EQUAL(deviation, 0.25 / sqrt(12.0), 0.002);
}

/* log aspect is uniform: a quarter of the draws in each quarter, to 4 deviations. */
static void aspects(void)
{
    const struct tdo_photos_cut cut = {.least = 0.01, .most = 0.01, .aspect = 4, .seed = 5};
    int quarter[4] = {0};
    for (int i = 0; i < DRAWS; i++) {
        const struct tdo_key key = {.sample = (uint64_t)i};
        const struct tdo_image_box b = tdo_photos_part(&cut, &key, 40000, 40000);
        const double u = (log((double)b.width / (double)b.height) / log(4.0) + 1) / 2;
        CU_ASSERT(u > -1e-3 && u < 1 + 1e-3);
        quarter[u < 0 ? 0 : u >= 1 ? 3 : (int)(4 * u)]++;
    }
    for (int k = 0; k < 4; k++) {
        CU_ASSERT(abs(quarter[k] - DRAWS / 4) < 4 * 62);
    }
}

static bool same_box(struct tdo_image_box a, struct tdo_image_box b)
{
    return a.top == b.top && a.left == b.left && a.height == b.height && a.width == b.width;
}

static void keyed(void)
{
    struct tdo_photos_cut other = usual;
    struct tdo_key key = {.sample = 77, .step = 4};
    const struct tdo_image_box b = tdo_photos_part(&usual, &key, 375, 500);
    CU_ASSERT(same_box(b, tdo_photos_part(&usual, &key, 375, 500)));
    key.step = 5;
    CU_ASSERT(!same_box(b, tdo_photos_part(&usual, &key, 375, 500)));
    key = (struct tdo_key){.sample = 78, .step = 4};
    CU_ASSERT(!same_box(b, tdo_photos_part(&usual, &key, 375, 500)));
    key.sample = 77;
    other.seed = 2;
    CU_ASSERT(!same_box(b, tdo_photos_part(&other, &key, 375, 500)));
    /* The bits, on all machines. */
    CU_ASSERT(same_box(b, (struct tdo_image_box){41, 215, 308, 279}));
}

/* Where no part fits: the middle, no wider than the aspect allows. */
static void no_part_fits(void)
{
    const struct tdo_photos_cut all = {.least = 1, .most = 1, .aspect = 1.25, .seed = 1};
    const struct tdo_key key = {.sample = 1};
    CU_ASSERT(same_box(tdo_photos_part(&all, &key, 100, 1000),
                       (struct tdo_image_box){0, 437, 100, 125}));
    CU_ASSERT(same_box(tdo_photos_part(&all, &key, 1000, 100),
                       (struct tdo_image_box){437, 0, 125, 100}));
    CU_ASSERT(same_box(tdo_photos_part(&all, &key, 1, 1), (struct tdo_image_box){0, 0, 1, 1}));
}

/* ---- cuts -------------------------------------------------------------------------------------- */

static void paint(struct tdo_image *image, int64_t height, int64_t width, int seed)
{
    *image = (struct tdo_image){.height = height, .width = width};
    ASSERT_OK_FATAL(tdo_memory_new(height * width * 3, &image->pixels));
    for (int64_t i = 0; i < height * width * 3; i++) {
        image->pixels[i] =
            (uint8_t)(i % 3 * 20 + i / 3 % width * 2 + i / (3 * width) * (3 + seed % 2));
    }
}

static void cuts(void)
{
    struct tdo_image image;
    uint8_t got[30 * 30 * 3], want[30 * 30 * 3];
    paint(&image, 37, 50, 5);
    const struct tdo_image_box b = {.top = 3, .left = 20, .height = 30, .width = 30};
    ASSERT_OK(tdo_image_cut(&image, &b, 30, 30, got));
    for (int64_t y = 0; y < 30; y++) { /* as large as it was: its pixels */
        CU_ASSERT_EQUAL(memcmp(got + y * 90, image.pixels + ((y + 3) * 50 + 20) * 3, 90), 0);
    }
    /* What is around a part is not seen: a part is an image of its own. */
    struct tdo_image part = {.height = 30, .width = 30, .pixels = NULL};
    ASSERT_OK_FATAL(tdo_memory_new(30 * 30 * 3, &part.pixels));
    memcpy(part.pixels, got, sizeof got);
    ASSERT_OK(tdo_image_cut(&image, &b, 11, 11, got));
    ASSERT_OK(tdo_image_fit(&part, 11, 11, want));
    CU_ASSERT_EQUAL(memcmp(got, want, 11 * 11 * 3), 0);
    /* Resize to 16, cut 12: the middle of the whole resized. */
    ASSERT_OK(tdo_image_fit(&part, 16, 16, want));
    ASSERT_OK(tdo_image_view(&part, 16, 12, 12, got));
    for (int64_t y = 0; y < 12; y++) {
        CU_ASSERT_EQUAL(memcmp(got + y * 36, want + ((y + 2) * 16 + 2) * 3, 36), 0);
    }
    CU_ASSERT_EQUAL(tdo_image_short_side(224), 256);
    tdo_image_free(&image);
    tdo_image_free(&part);
}

/* ---- sets -------------------------------------------------------------------------------------- */

static int64_t encode(int row, uint8_t **file)
{
    struct tdo_image image;
    paint(&image, 20 + row, 41 - row, row + 2);
    const struct test_jpeg jpeg = {.height = image.height,
                                   .width = image.width,
                                   .channels = 3,
                                   .quality = 75,
                                   .pixels = image.pixels,
                                   .stride = image.width * 3};
    const int64_t bytes = test_jpeg_encode(&jpeg, file);
    tdo_image_free(&image);
    return bytes;
}

/* A set of files, of which row BROKEN lacks its end if so wanted; or of pixels. */
static tdo_dataset *make(const char *name, bool encoded, bool broken)
{
    static uint8_t x[MOST], view[ROWS * BYTES];
    struct tdo_dataset_info info = {.height = side,
                                    .width = side,
                                    .channels = 3,
                                    .classes = 2,
                                    .is_u8 = true,
                                    .encoded = encoded,
                                    .rows = {ROWS, 0, ROWS}};
    int64_t offset[ROWS + 1] = {0};
    int32_t y[ROWS];
    tdo_dataset_writer *w = NULL;
    tdo_dataset *d = NULL;
    for (int i = 0; i < ROWS; i++) {
        uint8_t *file = NULL;
        const int64_t bytes = encode(i, &file) - (broken && i == BROKEN ? 40 : 0);
        CU_ASSERT_FATAL(offset[i] + bytes <= MOST);
        memcpy(x + offset[i], file, (size_t)bytes);
        memset(view + i * side * side * 3, 7 * i, (size_t)(side * side));
        offset[i + 1] = offset[i] + bytes;
        y[i] = i % 2;
        free(file);
    }
    info.bytes[TDO_SPLIT_TRAIN] = info.bytes[TDO_SPLIT_TEST] = encoded ? offset[ROWS] : 0;
    ASSERT_OK_FATAL(tdo_dataset_create(runner_comm, files_join(dir, name), &info, &w));
    const struct tdo_dataset_files files = {.offset = offset, .x = x, .view = view, .y = y};
    for (int k = TDO_SPLIT_TRAIN; k <= TDO_SPLIT_TEST; k += TDO_SPLIT_TEST) {
        const enum tdo_split split = (enum tdo_split)k;
        ASSERT_OK_FATAL(encoded ? tdo_dataset_write_files(w, split, 0, ROWS, &files)
                                : tdo_dataset_write(w, split, 0, ROWS, view, y));
    }
    ASSERT_OK_FATAL(tdo_dataset_finish(w));
    tdo_dataset_writer_free(&w);
    ASSERT_OK_FATAL(tdo_photos_open(runner_comm, NULL, files_join(dir, name), &d));
    return d;
}

static void all_rows(int64_t rows[ROWS])
{
    for (int i = 0; i < ROWS; i++) {
        rows[i] = (i * 7 + 3) % ROWS;
    }
}

/* Row by row: decode, cut where tdo_photos_part says. */
static void read_parts(void)
{
    static uint8_t x[ROWS * BYTES], again[ROWS * BYTES], one[BYTES];
    struct tdo_photos_reading how = {.cut = usual, .epoch = 2, .threads = 1};
    int64_t rows[ROWS];
    int32_t y[ROWS];
    files_make_dir("photos", dir);
    tdo_dataset *d = make("set.h5", true, false);
    all_rows(rows);
    ASSERT_OK_FATAL(tdo_photos_read(d, TDO_SPLIT_TRAIN, &how, rows, ROWS, x, y));
    for (int i = 0; i < ROWS; i++) {
        const struct tdo_key key = {.sample = (uint64_t)rows[i], .step = 2};
        struct tdo_image image = {0};
        uint8_t *file = NULL;
        const int64_t bytes = encode((int)rows[i], &file);
        ASSERT_OK_FATAL(tdo_image_jpeg("memory", file, bytes, 1, &image));
        const struct tdo_image_box b = tdo_photos_part(&usual, &key, image.height, image.width);
        ASSERT_OK(tdo_image_cut(&image, &b, SIDE, SIDE, one));
        CU_ASSERT_EQUAL(memcmp(one, x + i * BYTES, BYTES), 0);
        CU_ASSERT_EQUAL(y[i], rows[i] % 2);
        tdo_image_free(&image);
        free(file);
    }
    for (how.threads = 2; how.threads < 40; how.threads += 9) {
        memset(again, 0, sizeof again);
        ASSERT_OK(tdo_photos_read(d, TDO_SPLIT_TRAIN, &how, rows, ROWS, again, y));
        CU_ASSERT_EQUAL(memcmp(x, again, sizeof x), 0);
    }
    how.epoch = 3;
    ASSERT_OK(tdo_photos_read(d, TDO_SPLIT_TRAIN, &how, rows, ROWS, again, y));
    CU_ASSERT_NOT_EQUAL(memcmp(x, again, sizeof x), 0);
    tdo_dataset_free(&d);
    files_remove_dir(dir);
}

/* At any size an image has the same light in the same place. */
static void shrunk(void)
{
    struct tdo_image big = {0}, small = {0};
    uint8_t *file = NULL, one[BYTES], other[BYTES];
    int64_t height = 0, width = 0;
    const int64_t bytes = encode(1, &file);
    ASSERT_OK(tdo_image_size("memory", file, bytes, &height, &width));
    CU_ASSERT(height == 21 && width == 40);
    ASSERT_OK_FATAL(tdo_image_decode_at("memory", file, bytes, 1, &big));
    for (int shrink = 2; shrink <= 8; shrink *= 2) {
        ASSERT_OK_FATAL(tdo_image_decode_at("memory", file, bytes, shrink, &small));
        CU_ASSERT(small.height == (21 + shrink - 1) / shrink);
        CU_ASSERT(small.width == 40 / shrink);
        ASSERT_OK(tdo_image_fit(&big, 2, 4, one));
        ASSERT_OK(tdo_image_fit(&small, 2, 4, other));
        for (int i = 0; i < 2 * 4 * 3; i++) {
            CU_ASSERT(abs(one[i] - other[i]) < 25);
        }
        tdo_image_free(&small);
    }
    CU_ASSERT_EQUAL(tdo_image_size("memory", file, 30, &height, &width), TDO_ERR_FORMAT);
    CU_ASSERT_EQUAL(tdo_image_size("memory", (const uint8_t *)"no", 2, &height, &width),
                    TDO_ERR_FORMAT);
    tdo_image_free(&big);
    free(file);
}

/* Where parts are decoded smaller, they are the parts of before, but for a pixel of the smaller image. */
static void shrunk_parts(void)
{
    static uint8_t x[ROWS * BYTES], one[BYTES];
    const struct tdo_photos_reading how = {
        .cut = {.least = 0.5, .most = 0.9, .aspect = 1.2, .seed = 3}, .threads = 1};
    int64_t rows[ROWS], shrunk = 0;
    int32_t y[ROWS];
    files_make_dir("photos", dir);
    side = 4;
    tdo_dataset *d = make("set.h5", true, false);
    all_rows(rows);
    ASSERT_OK_FATAL(tdo_photos_read(d, TDO_SPLIT_TRAIN, &how, rows, ROWS, x, y));
    for (int i = 0; i < ROWS; i++) {
        const struct tdo_key key = {.sample = (uint64_t)rows[i]};
        struct tdo_image image = {0};
        uint8_t *file = NULL;
        const int64_t bytes = encode((int)rows[i], &file);
        ASSERT_OK_FATAL(tdo_image_jpeg("memory", file, bytes, 1, &image));
        const struct tdo_image_box b =
            tdo_photos_part(&how.cut, &key, image.height, image.width);
        ASSERT_OK(tdo_image_cut(&image, &b, side, side, one));
        for (int64_t k = 0; k < side * side * 3; k++) {
            CU_ASSERT(abs(x[i * side * side * 3 + k] - one[k]) <= 24);
        }
        shrunk += memcmp(x + i * side * side * 3, one, (size_t)(side * side * 3)) != 0;
        tdo_image_free(&image);
        free(file);
    }
    CU_ASSERT_EQUAL(shrunk, ROWS); /* all were: no part is as small as 8x8 */
    side = SIDE;
    tdo_dataset_free(&d);
    files_remove_dir(dir);
}

/* Without parts: the view, which is also what any job reads. */
static void read_middle(void)
{
    static uint8_t x[ROWS * BYTES], plain[ROWS * BYTES], one[BYTES];
    const struct tdo_photos_reading how = {.threads = 3};
    int64_t rows[ROWS];
    int32_t y[ROWS];
    files_make_dir("photos", dir);
    tdo_dataset *d = make("set.h5", true, false);
    all_rows(rows);
    ASSERT_OK_FATAL(tdo_photos_read(d, TDO_SPLIT_TEST, &how, rows, ROWS, x, y));
    ASSERT_OK_FATAL(tdo_dataset_read(d, TDO_SPLIT_TEST, rows, ROWS, plain, y));
    CU_ASSERT_EQUAL(memcmp(x, plain, sizeof x), 0);
    struct tdo_image image = {0};
    uint8_t *file = NULL;
    const int64_t bytes = encode((int)rows[4], &file);
    ASSERT_OK_FATAL(tdo_image_jpeg("memory", file, bytes, 1, &image));
    ASSERT_OK(tdo_image_view(&image, SIDE * 8 / 7, SIDE, SIDE, one));
    CU_ASSERT_EQUAL(memcmp(one, x + 4 * BYTES, BYTES), 0);
    tdo_image_free(&image);
    free(file);
    tdo_dataset_free(&d);
    files_remove_dir(dir);
}

/* Parts of a set of pixels. */
static void parts_of_pixels(void)
{
    static uint8_t x[ROWS * BYTES], all[ROWS * BYTES], one[BYTES];
    const struct tdo_photos_reading how = {.cut = usual, .threads = 2};
    int64_t rows[ROWS];
    int32_t y[ROWS];
    files_make_dir("photos", dir);
    tdo_dataset *d = make("set.h5", false, false);
    all_rows(rows);
    ASSERT_OK_FATAL(tdo_photos_read(d, TDO_SPLIT_TRAIN, &how, rows, ROWS, x, y));
    ASSERT_OK_FATAL(tdo_dataset_read(d, TDO_SPLIT_TRAIN, rows, ROWS, all, y));
    for (int i = 0; i < ROWS; i++) {
        const struct tdo_image image = {
            .height = SIDE, .width = SIDE, .pixels = all + i * BYTES};
        const struct tdo_key key = {.sample = (uint64_t)rows[i]};
        const struct tdo_image_box b = tdo_photos_part(&usual, &key, SIDE, SIDE);
        ASSERT_OK(tdo_image_cut(&image, &b, SIDE, SIDE, one));
        CU_ASSERT_EQUAL(memcmp(one, x + i * BYTES, BYTES), 0);
    }
    tdo_dataset_free(&d);
    files_remove_dir(dir);
}

/* One line that names file and row, the same from any thread. */
static void damage(void)
{
    static uint8_t x[ROWS * BYTES];
    struct tdo_photos_reading how = {.cut = usual, .threads = 1};
    int64_t rows[ROWS];
    int32_t y[ROWS];
    files_make_dir("photos", dir);
    tdo_dataset *d = make("set.h5", true, true);
    all_rows(rows);
    for (; how.threads < 6; how.threads += 2) {
        CU_ASSERT_EQUAL(tdo_photos_read(d, TDO_SPLIT_TRAIN, &how, rows, ROWS, x, y),
                        TDO_ERR_FORMAT);
        CU_ASSERT(files_error_says("set.h5: row 11 of train: corrupt JPEG"));
    }
    rows[1] = ROWS;
    CU_ASSERT_EQUAL(tdo_photos_read(d, TDO_SPLIT_TRAIN, &how, rows, 2, x, y), TDO_ERR_BUG);
    tdo_dataset_free(&d);
    files_remove_dir(dir);
}

CU_TestInfo suite_tests[] = {
    {"random parts lie in the image, with the shares and aspects of the definition", parts},
    {"the area of a part is uniform", areas},
    {"the logarithm of its aspect is uniform", aspects},
    {"a part is a function of seed, image and epoch", keyed},
    {"where no part fits, it is the middle", no_part_fits},
    {"a part is an image of its own, a view the middle of the resized one", cuts},
    {"rows are read as random parts, the same with any number of threads", read_parts},
    {"an image decoded smaller is the same image", shrunk},
    {"a part of an image decoded smaller is the same part", shrunk_parts},
    {"without parts, rows are read as their middle", read_middle},
    {"parts are cut out of sets of pixels, too", parts_of_pixels},
    {"a damaged file is told with its row, in any thread", damage},
    CU_TEST_INFO_NULL,
};
