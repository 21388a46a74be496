/* Data sets: what is written comes back, hash and mean are those of the definition, and every
 * fault of a file is one line that names the place. Faulty files are made with plain HDF5
 * calls. */
#include <fcntl.h>
#include <hdf5.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "mpi/dataset.h"
#include "nn/base/memory.h"
#include "tests/mpi/runner.h"

const char suite_name[] = "mpi/dataset";

enum { H = 3, W = 2, C = 2, PIXELS = H * W * C, CLASSES = 4, ROWS = 150 };

static const struct tdo_dataset_info info_u8 = {.height = H,
                                                .width = W,
                                                .channels = C,
                                                .classes = CLASSES,
                                                .is_u8 = true,
                                                .rows = {ROWS, 3, 70}};

static bool root(void)
{
    return tdo_comm_rank(runner_comm) == 0;
}

static uint8_t pixel(int split, int64_t row, int64_t p)
{
    return (uint8_t)(split * 100 + row * 37 + p * 11);
}

static int32_t label(int split, int64_t row)
{
    return (int32_t)((row * 3 + split) % CLASSES);
}

/* Rows [first, first+n) of a split, as bytes or as floats. */
static void fill(const struct tdo_dataset_info *info, int split, int64_t first, int64_t n,
                 void *x, int32_t *y)
{
    for (int64_t i = 0; i < n; i++) {
        for (int64_t p = 0; p < PIXELS; p++) {
            uint8_t value = pixel(split, first + i, p);
            if (info->is_u8) {
                ((uint8_t *)x)[i * PIXELS + p] = value;
            } else {
                ((float *)x)[i * PIXELS + p] = (float)value / 255;
            }
        }
        y[i] = label(split, first + i);
    }
}

/* How the parts of a file are handed to the ranks. */
enum way { ROOT_ALONE, IN_TURNS, BACKWARDS };

/* Parts of `blocks` blocks. */
static tdo_err write_parts(tdo_dataset_writer *w, const struct tdo_dataset_info *info,
                           int64_t blocks, enum way way)
{
    static float x[ROWS * PIXELS];
    static int32_t y[ROWS];
    const int64_t part = blocks * TDO_DATASET_BLOCK;
    const int size = tdo_comm_size(runner_comm), me = tdo_comm_rank(runner_comm);
    int64_t turn = 0;
    for (int i = 0; i < TDO_SPLITS; i++) {
        const int s = way == BACKWARDS ? TDO_SPLITS - 1 - i : i;
        const int64_t rows = info->rows[s], parts = (rows + part - 1) / part;
        for (int64_t k = 0; k < parts; k++, turn++) {
            const int64_t at = part * (way == BACKWARDS ? parts - 1 - k : k);
            const int64_t n = rows - at < part ? rows - at : part;
            if (me == (way == ROOT_ALONE ? 0 : turn % size)) {
                fill(info, s, at, n, x, y);
                TDO_TRY(tdo_dataset_write(w, (enum tdo_split)s, at, n, x, y));
            }
        }
    }
    return TDO_OK;
}

static tdo_err write_file(const char *path, const struct tdo_dataset_info *info, int64_t blocks,
                          enum way way)
{
    tdo_dataset_writer *w = NULL;
    tdo_err err = tdo_dataset_create(runner_comm, path, info, &w);
    if (err != TDO_OK) {
        return err;
    }
    err = tdo_comm_agree(runner_comm, write_parts(w, info, blocks, way));
    if (err == TDO_OK) {
        err = tdo_dataset_finish(w);
    }
    tdo_dataset_writer_free(&w);
    return err;
}

static void remove_file(const char *path)
{
    tdo_err err = tdo_comm_agree(runner_comm, TDO_OK); /* everyone has closed it */
    CU_ASSERT_EQUAL(err, TDO_OK);
    if (root()) {
        unlink(path);
    }
}

static void check_rows(const tdo_dataset *d, int split, const int64_t *rows, int64_t n)
{
    const struct tdo_dataset_info *info = tdo_dataset_info(d);
    float x[20 * PIXELS], expected[20 * PIXELS] = {0};
    int32_t y[20], expected_y[20] = {0};
    ASSERT_OK(tdo_dataset_read(d, (enum tdo_split)split, rows, n, x, y));
    for (int64_t i = 0; i < n; i++) {
        char *to = (char *)expected + i * tdo_dataset_row_bytes(d);
        fill(info, split, rows[i], 1, to, &expected_y[i]);
    }
    CU_ASSERT_EQUAL(memcmp(x, expected, (size_t)(n * tdo_dataset_row_bytes(d))), 0);
    CU_ASSERT_EQUAL(memcmp(y, expected_y, (size_t)n * sizeof *y), 0);
}

static void comes_back(const struct tdo_dataset_info *info)
{
    const char *path = runner_path("back.h5");
    tdo_dataset *d = NULL;
    ASSERT_OK_FATAL(write_file(path, info, 1, IN_TURNS));
    ASSERT_OK_FATAL(tdo_dataset_open(runner_comm, path, &d));
    const struct tdo_dataset_info *got = tdo_dataset_info(d);
    CU_ASSERT(got->height == H && got->width == W && got->channels == C);
    CU_ASSERT(got->classes == CLASSES && got->is_u8 == info->is_u8);
    CU_ASSERT_EQUAL(memcmp(got->rows, info->rows, sizeof got->rows), 0);
    CU_ASSERT_EQUAL(tdo_dataset_pixels(d), PIXELS);
    const int64_t order[] = {4, 3, 0, 1, 2, 2, 4};
    for (int s = 0; s < TDO_SPLITS; s++) {
        for (int64_t r = 0; r < info->rows[s]; r++) {
            check_rows(d, s, &r, 1);
        }
        if (info->rows[s] >= 5) {
            check_rows(d, s, order, 7);
        }
    }
    int32_t y[2];
    ASSERT_OK(tdo_dataset_read(d, TDO_SPLIT_TEST, order, 2, NULL, y));
    CU_ASSERT(y[0] == label(2, 4) && y[1] == label(2, 3));
    tdo_dataset_free(&d);
    remove_file(path);
}

static void bytes_come_back(void)
{
    comes_back(&info_u8);
}

static void floats_come_back(void)
{
    struct tdo_dataset_info info = info_u8;
    info.is_u8 = false;
    info.rows[TDO_SPLIT_VAL] = 0;
    comes_back(&info);
}

/* The hash as dataset.h defines it, block by block. */
static uint64_t defined_hash(double sum[PIXELS])
{
    uint64_t block[16];
    int blocks = 0;
    for (int s = 0; s < TDO_SPLITS; s++) {
        for (int64_t at = 0; at < info_u8.rows[s]; at += 64) {
            uint8_t bytes[64 * (PIXELS + 4)];
            int32_t y[64];
            const int64_t left = info_u8.rows[s] - at, n = left < 64 ? left : 64;
            fill(&info_u8, s, at, n, bytes, y);
            memcpy(bytes + n * PIXELS, y, (size_t)n * sizeof *y);
            block[blocks++] = XXH64(bytes, (size_t)n * (PIXELS + 4), 0);
            for (int64_t i = 0; s == 0 && i < n * PIXELS; i++) {
                sum[i % PIXELS] += bytes[i];
            }
        }
    }
    CU_ASSERT_EQUAL(blocks, 3 + 1 + 2);
    return XXH64(block, (size_t)blocks * sizeof *block, 0);
}

static void hash_and_mean(void)
{
    const char *path = runner_path("hash.h5");
    tdo_dataset *d = NULL;
    double sum[PIXELS] = {0};
    const uint64_t hash = defined_hash(sum);
    struct tdo_dataset_info info = info_u8;
    for (int k = 0; k < 2; k++) { /* the mean of floats is that of the bytes, by 255 */
        info.is_u8 = k == 0;
        ASSERT_OK_FATAL(write_file(path, &info, 1, IN_TURNS));
        ASSERT_OK_FATAL(tdo_dataset_open(runner_comm, path, &d));
        CU_ASSERT_EQUAL(tdo_dataset_info(d)->hash == hash, info.is_u8);
        float mean[PIXELS];
        (void)tdo_dataset_mean(d, mean);
        for (int p = 0; p < PIXELS; p++) {
            CU_ASSERT_DOUBLE_EQUAL((double)mean[p], sum[p] / ROWS / 255, 1e-7);
        }
        tdo_dataset_free(&d);
        remove_file(path);
    }
}

static int64_t slurp(const char *path, char *to, int64_t room)
{
    FILE *f = fopen(path, "rb");
    int64_t n = f ? (int64_t)fread(to, 1, (size_t)room, f) : -1;
    if (f) {
        fclose(f);
    }
    return n;
}

/* Who writes what, in which order, and the second at which a file is made leave no trace. */
static void bytes_are_a_function_of_contents(void)
{
    enum { ROOM = 1 << 16 };
    char path[256], *a = malloc(ROOM), *b = malloc(ROOM);
    struct tdo_dataset_info info = info_u8;
    CU_ASSERT_FATAL(a && b);
    snprintf(path, sizeof path, "%s", runner_path("same.h5"));
    for (int k = 0; k < 2; k++) {
        info.is_u8 = k == 0;
        ASSERT_OK_FATAL(write_file(path, &info, 1, ROOT_ALONE));
        int64_t n = slurp(path, a, ROOM);
        CU_ASSERT(n > 1000 && n < ROOM);
        ASSERT_OK(tdo_comm_agree(runner_comm, TDO_OK));
        if (k == 0) {
            sleep(1);
        }
        for (enum way way = ROOT_ALONE; way <= BACKWARDS; way++) {
            ASSERT_OK_FATAL(write_file(path, &info, way == ROOT_ALONE ? 3 : 1, way));
            CU_ASSERT(slurp(path, b, ROOM) == n && memcmp(a, b, (size_t)n) == 0);
            ASSERT_OK(tdo_comm_agree(runner_comm, TDO_OK));
        }
    }
    free(a);
    free(b);
    remove_file(path);
}

/* An unfinished file leaves the old one as it was, and nothing beside it. */
static void unfinished_leaves_no_trace(void)
{
    char path[256], part[300];
    static uint8_t x[ROWS * PIXELS];
    static int32_t y[ROWS];
    tdo_dataset_writer *w = NULL;
    tdo_dataset *d = NULL;
    snprintf(path, sizeof path, "%s", runner_path("old.h5"));
    snprintf(part, sizeof part, "%s.part", path);
    ASSERT_OK_FATAL(write_file(path, &info_u8, 3, IN_TURNS));
    ASSERT_OK_FATAL(tdo_dataset_create(runner_comm, path, &info_u8, &w));
    y[7] = CLASSES;
    CU_ASSERT_EQUAL(tdo_dataset_write(w, TDO_SPLIT_TRAIN, 64, 64, x, y), TDO_ERR_FORMAT);
    CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, "label 4 in row 71 of train"));
    y[7] = 0;
    static const int64_t bad[][2] = {/* no whole blocks, or not all there */
                                     {0, 63},   {1, 64},   {64, 65}, {128, 64},
                                     {-64, 64}, {192, 22}, {0, 0},   {0, 151}};
    for (int k = 0; k < 8; k++) {
        CU_ASSERT_EQUAL(tdo_dataset_write(w, TDO_SPLIT_TRAIN, bad[k][0], bad[k][1], x, y),
                        TDO_ERR_BUG);
    }
    tdo_error_clear();
    ASSERT_OK(tdo_dataset_write(w, TDO_SPLIT_VAL, 0, 3, x, y)); /* by every rank */
    tdo_err err = tdo_dataset_finish(w);
    CU_ASSERT_EQUAL(err, TDO_ERR_BUG);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(tdo_error_last()->message, "block 0 of 6 was written 0 times"));
    tdo_dataset_writer_free(&w);
    err = tdo_comm_agree(runner_comm, TDO_OK);
    CU_ASSERT_EQUAL(err, TDO_OK);
    CU_ASSERT(access(part, F_OK) != 0);
    ASSERT_OK(tdo_dataset_open(runner_comm, path, &d));
    tdo_dataset_free(&d);
    remove_file(path);
    CU_ASSERT_EQUAL(tdo_dataset_create(runner_comm, "no/such/folder/a.h5", &info_u8, &w),
                    TDO_ERR_FILE);
    CU_ASSERT_PTR_NULL(w);
    CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, "no/such/folder/a.h5"));
    struct tdo_dataset_info empty = info_u8;
    empty.rows[TDO_SPLIT_TEST] = 0;
    CU_ASSERT_EQUAL(tdo_dataset_create(runner_comm, path, &empty, &w), TDO_ERR_SHAPE);
}

/* Rows that two ranks wrote, or one twice. */
static void twice_is_an_error(void)
{
    static uint8_t x[ROWS * PIXELS];
    static int32_t y[ROWS];
    char path[256];
    tdo_dataset_writer *w = NULL;
    snprintf(path, sizeof path, "%s", runner_path("twice.h5"));
    ASSERT_OK_FATAL(tdo_dataset_create(runner_comm, path, &info_u8, &w));
    ASSERT_OK(write_parts(w, &info_u8, 1, IN_TURNS));
    if (tdo_comm_rank(runner_comm) == tdo_comm_size(runner_comm) - 1) {
        ASSERT_OK(tdo_dataset_write(w, TDO_SPLIT_TRAIN, 64, 64, x, y));
    }
    CU_ASSERT_EQUAL(tdo_dataset_finish(w), TDO_ERR_BUG);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(tdo_error_last()->message, "block 1 of 6 was written 2 times"));
    tdo_dataset_writer_free(&w);
    ASSERT_OK(tdo_comm_agree(runner_comm, TDO_OK));
    CU_ASSERT(access(path, F_OK) != 0);
}

/* A float out of 0..1 is named by its row; NaN is one. */
static void floats_are_checked(void)
{
    static const float bad[] = {-0.001F, 1.001F, NAN, INFINITY};
    static float x[ROWS * PIXELS];
    static int32_t y[ROWS];
    char path[256];
    struct tdo_dataset_info info = info_u8;
    tdo_dataset_writer *w = NULL;
    snprintf(path, sizeof path, "%s", runner_path("floats.h5"));
    info.is_u8 = false;
    ASSERT_OK_FATAL(tdo_dataset_create(runner_comm, path, &info, &w));
    x[0] = 1.0F;
    for (int k = 0; k < 4; k++) {
        x[3 * PIXELS] = bad[k];
        CU_ASSERT_EQUAL(tdo_dataset_write(w, TDO_SPLIT_TRAIN, 64, 64, x, y), TDO_ERR_FORMAT);
        CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, "in row 67 of train"));
    }
    x[3 * PIXELS] = 0.0F;
    ASSERT_OK(tdo_dataset_write(w, TDO_SPLIT_TRAIN, 64, 64, x, y));
    ASSERT_OK(tdo_comm_agree(runner_comm, TDO_OK));
    tdo_dataset_writer_free(&w);
}

/* ---- faulty files ---- */

enum fault {
    GOOD,
    NO_FORMAT,
    OTHER_FORMAT,
    FORMAT_IS_NUMBER,
    NO_CLASSES,
    ZERO_CLASSES,
    CLASSES_IS_TEXT,
    NO_HASH,
    SHORT_HASH,
    NO_TRAIN,
    TRAIN_IS_DATASET,
    NO_TEST,
    NO_X,
    NO_Y,
    X_IS_GROUP,
    X_IS_F64,
    X_BIG_ENDIAN,
    X_IS_I32,
    Y_IS_I64,
    Y_BIG_ENDIAN,
    Y_IS_U8,
    X_THREE_DIMENSIONS,
    Y_TWO_DIMENSIONS,
    X_CHUNKED,
    Y_COMPACT,
    X_EXTERNAL,
    X_NO_ROWS,
    ROWS_DIFFER,
    TEST_IS_LARGER,
    TEST_IS_FLOAT,
    NO_MEAN,
    MEAN_WRONG_SIZE,
    MEAN_IS_NAN,
    LABEL_TOO_LARGE,
    LABEL_NEGATIVE,
    FAULTS
};

static hid_t make_array(hid_t file, const char *name, hid_t type, int rank, const hsize_t *dim,
                        H5D_layout_t layout)
{
    hid_t list = H5Pcreate(H5P_DATASET_CREATE), space = H5Screate_simple(rank, dim, NULL);
    H5Pset_layout(list, layout);
    if (layout == H5D_CHUNKED) {
        H5Pset_chunk(list, rank, dim);
    }
    H5Pset_alloc_time(list, layout == H5D_CHUNKED ? H5D_ALLOC_TIME_INCR : H5D_ALLOC_TIME_EARLY);
    hid_t d = H5Dcreate2(file, name, type, space, H5P_DEFAULT, list, H5P_DEFAULT);
    H5Sclose(space);
    H5Pclose(list);
    return d;
}

static void make_external(hid_t file, const char *name, const hsize_t *dim)
{
    hid_t list = H5Pcreate(H5P_DATASET_CREATE), space = H5Screate_simple(4, dim, NULL);
    H5Pset_external(list, "elsewhere.raw", 0, 1000);
    H5Dclose(H5Dcreate2(file, name, H5T_STD_U8LE, space, H5P_DEFAULT, list, H5P_DEFAULT));
    H5Sclose(space);
    H5Pclose(list);
}

static void make_x(hid_t file, enum fault f, bool train)
{
    const char *name = train ? "/train/x" : "/test/x";
    hsize_t dim[4] = {6, H, W, C};
    hid_t type = H5T_STD_U8LE;
    int rank = 4;
    H5D_layout_t layout = H5D_CONTIGUOUS;
    if (train) {
        dim[0] = f == X_NO_ROWS ? 0 : f == ROWS_DIFFER ? 7 : 6;
        type = f == X_IS_F64       ? H5T_IEEE_F64LE
               : f == X_BIG_ENDIAN ? H5T_IEEE_F32BE
               : f == X_IS_I32     ? H5T_STD_I32LE
                                   : H5T_STD_U8LE;
        rank = f == X_THREE_DIMENSIONS ? 3 : 4;
        layout = f == X_CHUNKED ? H5D_CHUNKED : H5D_CONTIGUOUS;
        if (f == X_EXTERNAL) {
            make_external(file, name, dim);
            return;
        }
        if (f == X_IS_GROUP) {
            H5Gclose(H5Gcreate2(file, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
            return;
        }
    } else {
        dim[1] = f == TEST_IS_LARGER ? H + 1 : H;
        type = f == TEST_IS_FLOAT ? H5T_IEEE_F32LE : H5T_STD_U8LE;
    }
    H5Dclose(make_array(file, name, type, rank, dim, layout));
}

static void make_y(hid_t file, enum fault f, bool train)
{
    const hsize_t dim[2] = {6, 1};
    int32_t y[6] = {0, 1, 2, 3, 0, 1};
    hid_t type = !train              ? H5T_STD_I32LE
                 : f == Y_IS_I64     ? H5T_STD_I64LE
                 : f == Y_BIG_ENDIAN ? H5T_STD_I32BE
                 : f == Y_IS_U8      ? H5T_STD_U8LE
                                     : H5T_STD_I32LE;
    y[4] = train && f == LABEL_TOO_LARGE ? CLASSES : train && f == LABEL_NEGATIVE ? -1 : 0;
    hid_t d = make_array(file, train ? "/train/y" : "/test/y", type,
                         train && f == Y_TWO_DIMENSIONS ? 2 : 1, dim,
                         train && f == Y_COMPACT ? H5D_COMPACT : H5D_CONTIGUOUS);
    H5Dwrite(d, H5T_NATIVE_INT32, H5S_ALL, H5S_ALL, H5P_DEFAULT, y);
    H5Dclose(d);
}

static void make_mean(hid_t file, enum fault f)
{
    const hsize_t dim[3] = {f == MEAN_WRONG_SIZE ? H + 1 : H, W, C};
    float mean[(H + 1) * W * C] = {0};
    uint32_t nan = 0x7fc00000;
    if (f == MEAN_IS_NAN) {
        memcpy(&mean[3], &nan, sizeof nan);
    }
    hid_t d = make_array(file, "/train/mean", H5T_IEEE_F32LE, 3, dim, H5D_CONTIGUOUS);
    H5Dwrite(d, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, mean);
    H5Dclose(d);
}

/* Variable-length text, as h5py writes it; tdo_dataset_create writes the other kind. */
static void make_text(hid_t file, const char *name, const char *text)
{
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR);
    H5Tset_size(type, H5T_VARIABLE);
    hid_t a = H5Acreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    H5Awrite(a, type, &text);
    H5Aclose(a);
    H5Sclose(space);
    H5Tclose(type);
}

static void make_number(hid_t file, const char *name, int64_t value)
{
    hid_t space = H5Screate(H5S_SCALAR);
    hid_t a = H5Acreate2(file, name, H5T_STD_I64LE, space, H5P_DEFAULT, H5P_DEFAULT);
    H5Awrite(a, H5T_NATIVE_INT64, &value);
    H5Aclose(a);
    H5Sclose(space);
}

static void make_attributes(hid_t file, enum fault f)
{
    if (f == FORMAT_IS_NUMBER) {
        make_number(file, "format", 1);
    } else if (f != NO_FORMAT) {
        make_text(file, "format", f == OTHER_FORMAT ? "testudo-2" : "testudo-1");
    }
    if (f == CLASSES_IS_TEXT) {
        make_text(file, "classes", "4");
    } else if (f != NO_CLASSES) {
        make_number(file, "classes", f == ZERO_CLASSES ? 0 : CLASSES);
    }
    if (f != NO_HASH) {
        make_text(file, "hash", f == SHORT_HASH ? "0123" : "0123456789abcdef");
    }
}

static void make_faulty(const char *path, enum fault f)
{
    const hsize_t one = 1;
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    make_attributes(file, f);
    if (f == TRAIN_IS_DATASET) {
        H5Dclose(make_array(file, "train", H5T_STD_U8LE, 1, &one, H5D_CONTIGUOUS));
    } else if (f != NO_TRAIN) {
        H5Gclose(H5Gcreate2(file, "train", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
        if (f != NO_X) {
            make_x(file, f, true);
        }
        if (f != NO_Y) {
            make_y(file, f, true);
        }
        if (f != NO_MEAN) {
            make_mean(file, f);
        }
    }
    if (f != NO_TEST) {
        H5Gclose(H5Gcreate2(file, "test", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
        make_x(file, f, false);
        make_y(file, f, false);
    }
    H5Fclose(file);
}

/* What each message must contain beside the file's name. */
static const char *const expected[FAULTS] = {
    [NO_FORMAT] = "attribute format is missing",
    [OTHER_FORMAT] = "format is \"testudo-2\"",
    [FORMAT_IS_NUMBER] = "attribute format is of the wrong type",
    [NO_CLASSES] = "attribute classes is missing",
    [ZERO_CLASSES] = "classes is 0",
    [CLASSES_IS_TEXT] = "attribute classes is of the wrong type",
    [NO_HASH] = "attribute hash is missing",
    [SHORT_HASH] = "hash is \"0123\"",
    [NO_TRAIN] = "group /train is missing",
    [TRAIN_IS_DATASET] = "/train is not a group",
    [NO_TEST] = "group /test is missing",
    [NO_X] = "/train/x is missing",
    [NO_Y] = "/train/y is missing",
    [X_IS_GROUP] = "/train/x is not a dataset",
    [X_IS_F64] = "/train/x is of the wrong type",
    [X_BIG_ENDIAN] = "/train/x is of the wrong type",
    [X_IS_I32] = "/train/x is int32",
    [Y_IS_I64] = "/train/y is of the wrong type",
    [Y_BIG_ENDIAN] = "/train/y is of the wrong type",
    [Y_IS_U8] = "/train/y is uint8",
    [X_THREE_DIMENSIONS] = "/train/x has 3 dimensions, expected 4",
    [Y_TWO_DIMENSIONS] = "/train/y has 2 dimensions, expected 1",
    [X_CHUNKED] = "/train/x is stored in chunks",
    [Y_COMPACT] = "/train/y is stored in the header",
    [X_EXTERNAL] = "/train/x is stored in another file",
    [X_NO_ROWS] = "dimension 0 of /train/x is 0",
    [ROWS_DIFFER] = "/train/x has 7 rows, /train/y has 6",
    [TEST_IS_LARGER] = "/test/x holds uint8 [4,2,2] images, /train/x uint8 [3,2,2]",
    [TEST_IS_FLOAT] = "/test/x holds f32",
    [NO_MEAN] = "/train/mean is missing",
    [MEAN_WRONG_SIZE] = "/train/mean is [4,2,2]",
    [MEAN_IS_NAN] = "/train/mean cannot be read or is not finite",
    [LABEL_TOO_LARGE] = "/train/y is 4 in row 4, 0 to 3",
    [LABEL_NEGATIVE] = "/train/y is -1 in row 4, 0 to 3",
};

static void check_message(const char *path, tdo_err got, tdo_err wanted, const char *text)
{
    const char *message = tdo_error_last()->message;
    CU_ASSERT_EQUAL(got, wanted);
    if (!strstr(message, path) || !strstr(message, text)) {
        fprintf(stderr, "expected \"%s\" in: %s\n", text, message);
        CU_FAIL("another message");
    }
    CU_ASSERT_PTR_NULL(strchr(message, '\n'));
}

static void every_fault_is_named(void)
{
    char path[256];
    snprintf(path, sizeof path, "%s", runner_path("fault.h5"));
    for (int f = GOOD; f < FAULTS; f++) {
        tdo_dataset *d = NULL;
        if (root()) {
            make_faulty(path, (enum fault)f);
        }
        tdo_error_clear();
        tdo_err err = tdo_dataset_open(runner_comm, path, &d);
        if (f == GOOD || f == LABEL_TOO_LARGE || f == LABEL_NEGATIVE) {
            ASSERT_OK_FATAL(err);
            const int64_t rows[] = {5, 3, 4, 0};
            uint8_t x[4 * PIXELS];
            int32_t y[4];
            err = tdo_dataset_read(d, TDO_SPLIT_TRAIN, rows, 4, x, y);
        }
        if (f == GOOD) {
            CU_ASSERT_EQUAL(err, TDO_OK);
            CU_ASSERT_EQUAL(tdo_dataset_info(d)->hash, UINT64_C(0x0123456789abcdef));
        } else {
            check_message(path, err, TDO_ERR_FORMAT, expected[f]);
        }
        tdo_dataset_free(&d);
        remove_file(path);
    }
}

static void not_a_file_is_named(void)
{
    char path[256];
    tdo_dataset *d = NULL;
    snprintf(path, sizeof path, "%s", runner_path("broken.h5"));
    tdo_err err = tdo_dataset_open(runner_comm, path, &d);
    check_message(path, err, TDO_ERR_FILE, "No such file");
    if (root()) {
        FILE *f = fopen(path, "w");
        CU_ASSERT_PTR_NOT_NULL_FATAL(f);
        fputs("P5 2 2 255 ....", f);
        fclose(f);
    }
    err = tdo_dataset_open(runner_comm, path, &d);
    check_message(path, err, TDO_ERR_FORMAT, "not an HDF5 file");
    ASSERT_OK_FATAL(write_file(path, &info_u8, 1, IN_TURNS));
    if (root()) {
        CU_ASSERT_EQUAL(truncate(path, 1500), 0);
    }
    err = tdo_dataset_open(runner_comm, path, &d);
    check_message(path, err, TDO_ERR_FORMAT, "truncated");
    CU_ASSERT_PTR_NULL(d);
    remove_file(path);
}

/* Cut anywhere, or all of another kind: one line with the file's name, and nothing opened. */
static void cut_or_foreign_is_named(void)
{
    enum { ROOM = 1 << 16 };
    static char bytes[ROOM];
    static const char *const foreign[] = {"",      "\x89PNG\r\n\x1a\n", "<!DOCTYPE html>",
                                          "CDF\1", "\x89HDF\r\n\x1a\n", "TDOLEDG\n"};
    char path[256];
    int64_t n = 0;
    tdo_dataset *d = NULL;
    snprintf(path, sizeof path, "%s", runner_path("cut.h5"));
    ASSERT_OK_FATAL(write_file(path, &info_u8, 1, IN_TURNS));
    if (root()) {
        n = slurp(path, bytes, ROOM);
    }
    tdo_comm_broadcast(runner_comm, &n, (int64_t)sizeof n);
    CU_ASSERT(n > 1000 && n < ROOM);
    for (int64_t cut = n - 1; cut > 0; cut -= cut > 100 ? 97 : 9) {
        CU_ASSERT(!root() || truncate(path, cut) == 0);
        tdo_error_clear();
        tdo_err err = tdo_dataset_open(runner_comm, path, &d);
        check_message(path, err, TDO_ERR_FORMAT, cut >= 8 ? "truncated" : "not an HDF5 file");
        CU_ASSERT_PTR_NULL(d);
    }
    for (int k = 0; k < 6; k++) {
        if (root()) {
            FILE *f = fopen(path, "wb");
            CU_ASSERT_PTR_NOT_NULL_FATAL(f);
            fputs(foreign[k], f);
            fclose(f);
        }
        tdo_error_clear();
        tdo_err err = tdo_dataset_open(runner_comm, path, &d);
        check_message(path, err, TDO_ERR_FORMAT, k == 4 ? "truncated" : "not an HDF5 file");
        CU_ASSERT_PTR_NULL(d);
    }
    remove_file(path);
}

/* Sizes in the header that the file does not have, up to those that do not fit 64 bits. */
static void lying_sizes_are_named(void)
{
    enum { ROOM = 1 << 16 };
    static char bytes[ROOM];
    static const uint64_t lies[] = {7, 1 << 20, UINT64_C(1) << 40, UINT64_C(1) << 62,
                                    UINT64_MAX};
    const uint64_t dims[] = {ROWS, H, W, C};
    char path[256];
    snprintf(path, sizeof path, "%s", runner_path("lie.h5"));
    for (int k = 0; k < 20; k++) { /* dimension k / 5 becomes lie k % 5 */
        tdo_dataset *d = NULL;
        ASSERT_OK_FATAL(write_file(path, &info_u8, 1, IN_TURNS));
        if (root()) {
            int64_t n = slurp(path, bytes, ROOM);
            char *at = bytes;
            while (at < bytes + n - sizeof dims && memcmp(at, dims, sizeof dims) != 0) {
                at++;
            }
            CU_ASSERT_FATAL(at < bytes + n - sizeof dims);
            memcpy(at + k / 5 * 8, &lies[k % 5], 8);
            FILE *f = fopen(path, "wb");
            CU_ASSERT_PTR_NOT_NULL_FATAL(f);
            CU_ASSERT_EQUAL(fwrite(bytes, 1, (size_t)n, f), (size_t)n);
            fclose(f);
        }
        tdo_error_clear();
        tdo_err err = tdo_dataset_open(runner_comm, path, &d);
        check_message(path, err, TDO_ERR_FORMAT, "/train/");
        CU_ASSERT_PTR_NULL(d);
        tdo_dataset_free(&d);
        remove_file(path);
    }
}

static void shrinking_file_is_an_error(void)
{
    char path[256];
    tdo_dataset *d = NULL;
    const int64_t rows[] = {4, ROWS, -1};
    uint8_t x[PIXELS];
    int32_t y;
    snprintf(path, sizeof path, "%s", runner_path("shrink.h5"));
    ASSERT_OK_FATAL(write_file(path, &info_u8, 1, IN_TURNS));
    ASSERT_OK_FATAL(tdo_dataset_open(runner_comm, path, &d));
    CU_ASSERT_EQUAL(tdo_dataset_read(d, TDO_SPLIT_TRAIN, rows + 1, 1, x, &y), TDO_ERR_BUG);
    CU_ASSERT_EQUAL(tdo_dataset_read(d, TDO_SPLIT_TRAIN, rows + 2, 1, x, &y), TDO_ERR_BUG);
    tdo_err err = tdo_comm_agree(runner_comm, TDO_OK);
    CU_ASSERT_EQUAL(err, TDO_OK);
    if (root()) {
        CU_ASSERT_EQUAL(truncate(path, 100), 0);
    }
    err = tdo_comm_agree(runner_comm, TDO_OK);
    CU_ASSERT_EQUAL(err, TDO_OK);
    err = tdo_dataset_read(d, TDO_SPLIT_TRAIN, rows, 1, x, &y);
    check_message(path, err, TDO_ERR_FILE, "the file has ended");
    tdo_dataset_free(&d);
    remove_file(path);
}

static void memory_failures_are_agreed(void)
{
    char path[256];
    int failures = 0, last = tdo_comm_size(runner_comm) - 1;
    snprintf(path, sizeof path, "%s", runner_path("memory.h5"));
    ASSERT_OK_FATAL(write_file(path, &info_u8, 1, IN_TURNS));
    for (int k = 1; k < 7; k++) {
        tdo_dataset *d = NULL;
        if (tdo_comm_rank(runner_comm) == last) {
            tdo_memory_fail_after(k);
        }
        tdo_err err = tdo_dataset_open(runner_comm, path, &d);
        tdo_memory_fail_after(0);
        CU_ASSERT(err == TDO_OK ? d != NULL : err == TDO_ERR_MEMORY && !d);
        failures += err != TDO_OK;
        tdo_dataset_free(&d);
    }
    CU_ASSERT(failures >= 3 && failures < 6);
    remove_file(path);
}

CU_TestInfo suite_tests[] = {
    {"uint8 images come back, in any order of rows", bytes_come_back},
    {"float images come back, and val may be absent", floats_come_back},
    {"hash and mean are those of the definition", hash_and_mean},
    {"the bytes of a file are a function of its contents", bytes_are_a_function_of_contents},
    {"an unfinished file leaves the old one and nothing beside it", unfinished_leaves_no_trace},
    {"rows that were written twice are an error", twice_is_an_error},
    {"a float out of range is named by its row", floats_are_checked},
    {"every fault of a file is one line that names the place", every_fault_is_named},
    {"a file that is missing, foreign or cut short is named", not_a_file_is_named},
    {"a file cut anywhere, or of another kind, is named", cut_or_foreign_is_named},
    {"sizes that the file does not have are named", lying_sizes_are_named},
    {"rows that are not there are an error", shrinking_file_is_an_error},
    {"running out of memory on one rank is agreed on", memory_failures_are_agreed},
    CU_TEST_INFO_NULL};
