/* Encoded sets: files come back whole and through a view, the same bytes for any number of ranks, and
 * what is wrong with offsets is told. A "file" here is a byte repeated; its view is that byte plus its
 * length. */
#include <hdf5.h>
#include <stdio.h>
#include <string.h>

#include "mpi/dataset.h"
#include "nn/base/memory.h"
#include "tests/mpi/files.h"

const char suite_name[] = "mpi/files";

enum { SIDE = 2, PIXELS = SIDE * SIDE * 3, ROWS = 150, TESTS = 70, MOST = 40 };

static char dir[256];

static int64_t length(int split, int64_t row)
{
    return 1 + (row * 7 + split * 3) % MOST;
}

static uint8_t content(int split, int64_t row)
{
    return (uint8_t)(row * 13 + split * 101);
}

static int64_t offset_of(int split, int64_t row)
{
    int64_t at = 0;
    for (int64_t i = 0; i < row; i++) {
        at += length(split, i);
    }
    return at;
}

static struct tdo_dataset_info info_of(void)
{
    return (struct tdo_dataset_info){
        .height = SIDE,
        .width = SIDE,
        .channels = 3,
        .classes = 5,
        .is_u8 = true,
        .encoded = true,
        .rows = {[TDO_SPLIT_TRAIN] = ROWS, [TDO_SPLIT_TEST] = TESTS},
        .bytes = {[TDO_SPLIT_TRAIN] = offset_of(TDO_SPLIT_TRAIN, ROWS),
                  [TDO_SPLIT_TEST] = offset_of(TDO_SPLIT_TEST, TESTS)}};
}

/* A block of rows, as one rank writes it. */
static tdo_err write_block(tdo_dataset_writer *w, int split, int64_t first, int64_t n)
{
    int64_t offset[TDO_DATASET_BLOCK + 1];
    uint8_t x[TDO_DATASET_BLOCK * MOST], view[TDO_DATASET_BLOCK * PIXELS];
    int32_t y[TDO_DATASET_BLOCK];
    for (int64_t i = 0; i <= n; i++) {
        offset[i] = offset_of(split, first + i);
    }
    for (int64_t i = 0; i < n; i++) {
        memset(x + offset[i] - offset[0], content(split, first + i),
               (size_t)length(split, first + i));
        memset(view + i * PIXELS, content(split, first + i), PIXELS);
        y[i] = (int32_t)((first + i) % 5);
    }
    const struct tdo_dataset_files files = {.offset = offset, .x = x, .view = view, .y = y};
    return tdo_dataset_write_files(w, (enum tdo_split)split, first, n, &files);
}

/* The whole set, blocks in turns from rank `begin` on. */
static void write_set(const char *path, int begin)
{
    const struct tdo_dataset_info info = info_of();
    const int size = tdo_comm_size(runner_comm), rank = tdo_comm_rank(runner_comm);
    tdo_dataset_writer *w = NULL;
    tdo_err err = TDO_OK;
    int turn = begin;
    ASSERT_OK_FATAL(tdo_dataset_create(runner_comm, path, &info, &w));
    for (int split = 0; split < TDO_SPLITS; split++) {
        for (int64_t at = 0; at < info.rows[split]; at += TDO_DATASET_BLOCK, turn++) {
            const int64_t left = info.rows[split] - at;
            if (err == TDO_OK && turn % size == rank) {
                err = write_block(w, split, at,
                                  left < TDO_DATASET_BLOCK ? left : TDO_DATASET_BLOCK);
            }
        }
    }
    ASSERT_OK_FATAL(tdo_comm_agree(runner_comm, err));
    ASSERT_OK_FATAL(tdo_dataset_finish(w));
    tdo_dataset_writer_free(&w);
}

static tdo_err decode(const struct tdo_dataset_view *v, const char *name, const uint8_t *file,
                      int64_t bytes, uint8_t *x)
{
    *(int *)v->self += 1;
    CU_ASSERT_PTR_NOT_NULL(strstr(name, "row"));
    if (bytes == 13) {
        return TDO_FAIL(TDO_ERR_FORMAT, "%s: thirteen bytes", name);
    }
    memset(x, (uint8_t)(file[0] + bytes), (size_t)(v->height * v->width * 3));
    return TDO_OK;
}

static void check_file(const tdo_dataset *d, int split, int64_t row)
{
    uint8_t *file = NULL;
    int64_t room = 0, bytes = 0;
    ASSERT_OK_FATAL(tdo_dataset_file(d, (enum tdo_split)split, row, &file, &room, &bytes));
    CU_ASSERT_EQUAL(bytes, length(split, row));
    for (int64_t i = 0; i < bytes; i++) {
        CU_ASSERT_EQUAL(file[i], content(split, row));
    }
    tdo_memory_free(&file);
}

static void come_back(void)
{
    tdo_dataset *d = NULL;
    float mean[PIXELS], sum = 0;
    files_make_dir("files", dir);
    write_set(files_join(dir, "set.h5"), 0);
    ASSERT_OK_FATAL(tdo_dataset_open(runner_comm, files_join(dir, "set.h5"), &d));
    const struct tdo_dataset_info *info = tdo_dataset_info(d), want = info_of();
    CU_ASSERT(info->encoded && info->is_u8 && info->height == SIDE && info->channels == 3);
    CU_ASSERT(memcmp(info->rows, want.rows, sizeof want.rows) == 0);
    CU_ASSERT(memcmp(info->bytes, want.bytes, sizeof want.bytes) == 0);
    for (int64_t i = 0; i < ROWS; i++) {
        check_file(d, TDO_SPLIT_TRAIN, i);
        sum += (float)content(TDO_SPLIT_TRAIN, i);
    }
    for (int64_t i = 0; i < TESTS; i++) {
        check_file(d, TDO_SPLIT_TEST, i);
    }
    CU_ASSERT(tdo_dataset_mean(d, mean));
    CU_ASSERT_DOUBLE_EQUAL((double)mean[3], (double)sum / ROWS / 255, 1e-6);
    tdo_dataset_free(&d);
    files_remove_dir(dir);
}

static void same_bytes(void)
{
    static uint8_t a[FILES_ROOM], b[FILES_ROOM];
    files_make_dir("files", dir);
    write_set(files_join(dir, "a.h5"), 0);
    write_set(files_join(dir, "b.h5"), 1);
    files_meet();
    const int64_t n = files_read(files_join(dir, "a.h5"), a);
    CU_ASSERT(n > 0 && n < FILES_ROOM && files_read(files_join(dir, "b.h5"), b) == n);
    CU_ASSERT_EQUAL(memcmp(a, b, (size_t)n), 0);
    files_remove_dir(dir);
}

/* Rows through the view, of two sizes. */
static void views(void)
{
    const int64_t rows[] = {7, 3, 3, 149};
    uint8_t x[4 * 27];
    int32_t y[4];
    float mean[27];
    int calls = 0;
    tdo_dataset *d = NULL, *other = NULL;
    struct tdo_dataset_view v = {.height = 3, .width = 3, .self = &calls, .decode = decode};
    files_make_dir("files", dir);
    write_set(files_join(dir, "set.h5"), 0);
    ASSERT_OK_FATAL(tdo_dataset_open(runner_comm, files_join(dir, "set.h5"), &d));
    ASSERT_OK_FATAL(tdo_dataset_open(runner_comm, files_join(dir, "set.h5"), &other));
    const uint64_t bare = tdo_dataset_info(d)->hash;
    CU_ASSERT_EQUAL(bare, UINT64_C(0x6da575be22539a32)); /* golden: on any number of ranks */
    CU_ASSERT_EQUAL(tdo_dataset_read(d, TDO_SPLIT_TRAIN, rows, 4, x, y), TDO_ERR_BUG);
    tdo_dataset_set_view(d, &v);
    v.settings = 9;
    tdo_dataset_set_view(other, &v);
    CU_ASSERT(tdo_dataset_info(d)->height == 3 && tdo_dataset_row_bytes(d) == 27);
    CU_ASSERT(tdo_dataset_info(d)->hash != bare);
    CU_ASSERT(tdo_dataset_info(d)->hash != tdo_dataset_info(other)->hash);
    CU_ASSERT(!tdo_dataset_mean(d, mean));
    ASSERT_OK(tdo_dataset_read(d, TDO_SPLIT_TRAIN, rows, 4, x, y));
    CU_ASSERT_EQUAL(calls, 4);
    for (int i = 0; i < 4; i++) {
        CU_ASSERT_EQUAL(x[27 * i + 26], (uint8_t)(content(0, rows[i]) + length(0, rows[i])));
        CU_ASSERT_EQUAL(y[i], rows[i] % 5);
    }
    ASSERT_OK(tdo_dataset_read(d, TDO_SPLIT_TRAIN, rows, 4, NULL, y));
    CU_ASSERT_EQUAL(calls, 4);     /* labels need no decoding */
    const int64_t bad[] = {2, 36}; /* 1 + 36 * 7 % 40 = 13 */
    CU_ASSERT_EQUAL(tdo_dataset_read(d, TDO_SPLIT_TRAIN, bad, 2, x, y), TDO_ERR_FORMAT);
    CU_ASSERT(files_error_says("row 36 of train: thirteen bytes"));
    tdo_dataset_free(&d);
    tdo_dataset_free(&other);
    files_remove_dir(dir);
}

/* The first block of train alone, then a stop: with a note or without, as a killed process leaves it. */
static void begin_set(const char *path, uint64_t context)
{
    const struct tdo_dataset_info info = info_of();
    int64_t place[2] = {0, 0};
    bool found = true;
    tdo_dataset_writer *w = NULL;
    ASSERT_OK_FATAL(tdo_dataset_resume(runner_comm, path, &info, context, place, &found, &w));
    CU_ASSERT(!found);
    tdo_err err = files_root() ? write_block(w, TDO_SPLIT_TRAIN, 0, TDO_DATASET_BLOCK) : TDO_OK;
    ASSERT_OK_FATAL(tdo_comm_agree(runner_comm, err));
    place[0] = TDO_SPLIT_TRAIN;
    place[1] = TDO_DATASET_BLOCK;
    ASSERT_OK_FATAL(tdo_dataset_save(w, context, place));
    err = files_root() ? write_block(w, TDO_SPLIT_TEST, 0, TDO_DATASET_BLOCK) : TDO_OK;
    ASSERT_OK_FATAL(
        tdo_comm_agree(runner_comm, err)); /* behind the note: will be written again */
    tdo_dataset_keep(w);
    tdo_dataset_writer_free(&w);
    files_meet();
    CU_ASSERT(access(path, F_OK) != 0);
}

/* All that begin_set has not noted down, by the last rank. */
static tdo_err write_rest(tdo_dataset_writer *w)
{
    if (tdo_comm_rank(runner_comm) != tdo_comm_size(runner_comm) - 1) {
        return TDO_OK;
    }
    TDO_TRY(write_block(w, TDO_SPLIT_TRAIN, TDO_DATASET_BLOCK, TDO_DATASET_BLOCK));
    TDO_TRY(write_block(w, TDO_SPLIT_TRAIN, 2 * TDO_DATASET_BLOCK, ROWS % TDO_DATASET_BLOCK));
    TDO_TRY(write_block(w, TDO_SPLIT_TEST, 0, TDO_DATASET_BLOCK));
    return write_block(w, TDO_SPLIT_TEST, TDO_DATASET_BLOCK, TESTS % TDO_DATASET_BLOCK);
}

static void goes_on(void)
{
    static uint8_t a[FILES_ROOM], b[FILES_ROOM];
    const struct tdo_dataset_info info = info_of();
    char path[300], whole[300];
    int64_t place[2] = {7, 7};
    bool found = false;
    tdo_dataset_writer *w = NULL;
    files_make_dir("files", dir);
    snprintf(path, sizeof path, "%s/b.h5", dir);
    snprintf(whole, sizeof whole, "%s/a.h5", dir);
    write_set(whole, 0);
    begin_set(path, 42);
    ASSERT_OK_FATAL(tdo_dataset_resume(runner_comm, path, &info, 42, place, &found, &w));
    CU_ASSERT(found && place[0] == TDO_SPLIT_TRAIN && place[1] == TDO_DATASET_BLOCK);
    ASSERT_OK_FATAL(tdo_comm_agree(runner_comm, write_rest(w)));
    ASSERT_OK_FATAL(tdo_dataset_finish(w));
    tdo_dataset_writer_free(&w);
    files_meet();
    const int64_t n = files_read(whole, a);
    CU_ASSERT(n > 0 && files_read(path, b) == n && memcmp(a, b, (size_t)n) == 0);
    CU_ASSERT(access(files_join(dir, "b.h5.part.state"), F_OK) != 0);
    files_remove_dir(dir);
}

/* Another set, or a note that is damaged: a new file, and nothing is left of the old one. */
static void begins_anew(void)
{
    const struct tdo_dataset_info info = info_of();
    char path[300], note[320];
    files_make_dir("files", dir);
    snprintf(path, sizeof path, "%s/b.h5", dir);
    snprintf(note, sizeof note, "%s.part.state", path);
    for (int k = 0; k < 4; k++) {
        static uint8_t text[FILES_ROOM];
        int64_t place[2] = {7, 7};
        bool found = true;
        tdo_dataset_writer *w = NULL;
        begin_set(path, 42);
        const int64_t n = files_root() ? files_read(note, text) : 0;
        if (files_root() && k > 0) { /* a bit, its end, something behind it */
            text[n / 2] ^= k == 1;
            files_write(note, text, k == 1 ? n : k == 2 ? n - 8 : n + 8);
        }
        files_meet();
        ASSERT_OK_FATAL(
            tdo_dataset_resume(runner_comm, path, &info, k == 0 ? 43 : 42, place, &found, &w));
        CU_ASSERT(!found && place[0] == 7 && place[1] == 7);
        CU_ASSERT(access(note, F_OK) != 0);
        tdo_dataset_writer_free(&w);
        files_meet();
        CU_ASSERT(access(files_join(dir, "b.h5.part"), F_OK) != 0);
        files_meet();
    }
    files_remove_dir(dir);
}

static void refused_writes(void)
{
    struct tdo_dataset_info info = info_of();
    tdo_dataset_writer *w = NULL;
    int64_t offset[TDO_DATASET_BLOCK + 1];
    uint8_t x[TDO_DATASET_BLOCK * MOST] = {0}, view[TDO_DATASET_BLOCK * PIXELS] = {0};
    int32_t y[TDO_DATASET_BLOCK] = {0};
    const struct tdo_dataset_files files = {.offset = offset, .x = x, .view = view, .y = y};
    files_make_dir("files", dir);
    for (int64_t i = 0; i <= TDO_DATASET_BLOCK; i++) {
        offset[i] = offset_of(TDO_SPLIT_TRAIN, i);
    }
    ASSERT_OK_FATAL(tdo_dataset_create(runner_comm, files_join(dir, "set.h5"), &info, &w));
    const int64_t kept = offset[5];
    offset[5] = offset[6];
    CU_ASSERT_EQUAL(tdo_dataset_write_files(w, TDO_SPLIT_TRAIN, 0, TDO_DATASET_BLOCK, &files),
                    TDO_ERR_BUG);
    offset[5] = kept;
    offset[0] = 1;
    CU_ASSERT_EQUAL(tdo_dataset_write_files(w, TDO_SPLIT_TRAIN, 0, TDO_DATASET_BLOCK, &files),
                    TDO_ERR_BUG);
    CU_ASSERT_EQUAL(tdo_dataset_write(w, TDO_SPLIT_TRAIN, 0, TDO_DATASET_BLOCK, view, y),
                    TDO_ERR_BUG);
    tdo_dataset_writer_free(&w);
    info.channels = 1;
    CU_ASSERT_EQUAL(tdo_dataset_create(runner_comm, files_join(dir, "set.h5"), &info, &w),
                    TDO_ERR_SHAPE);
    info = info_of();
    info.bytes[TDO_SPLIT_TEST] = TESTS - 1;
    CU_ASSERT_EQUAL(tdo_dataset_create(runner_comm, files_join(dir, "set.h5"), &info, &w),
                    TDO_ERR_SHAPE);
    files_remove_dir(dir);
}

/* A number in /train/offset, put there by HDF5; or the whole dataset taken away (at < 0). */
static void spoil(const char *path, int64_t at, int64_t value)
{
    if (files_root()) {
        hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
        if (at < 0) {
            CU_ASSERT(H5Ldelete(file, "/train/offset", H5P_DEFAULT) >= 0);
        } else {
            int64_t all[ROWS + 1];
            hid_t set = H5Dopen2(file, "/train/offset", H5P_DEFAULT);
            CU_ASSERT(H5Dread(set, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, all) >= 0);
            all[at] = value;
            CU_ASSERT(H5Dwrite(set, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, all) >= 0);
            H5Dclose(set);
        }
        H5Fclose(file);
    }
    files_meet();
}

static void refused_files(void)
{
    static const int64_t bad[] = {-1, 0, INT64_C(1) << 40, INT64_MIN};
    const char *path;
    uint8_t *file = NULL;
    int64_t room = 0, bytes = 0;
    tdo_dataset *d = NULL;
    files_make_dir("files", dir);
    path = files_join(dir, "set.h5");
    write_set(path, 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        spoil(path, 8, bad[i]);
        ASSERT_OK_FATAL(tdo_dataset_open(runner_comm, path, &d));
        CU_ASSERT_EQUAL(tdo_dataset_file(d, TDO_SPLIT_TRAIN, 7, &file, &room, &bytes),
                        TDO_ERR_FORMAT);
        CU_ASSERT(files_error_says("/train/offset") && files_error_says("rows 7 and 8"));
        tdo_dataset_free(&d);
        files_meet();
    }
    tdo_memory_free(&file);
    spoil(path, -1, 0);
    CU_ASSERT_EQUAL(tdo_dataset_open(runner_comm, path, &d), TDO_ERR_FORMAT);
    CU_ASSERT(!files_root() || files_error_says("/train/offset is missing"));
    files_remove_dir(dir);
}

CU_TestInfo suite_tests[] = {
    {"files, labels and the mean come back", come_back},
    {"the bytes of an encoded set are the same for any number of ranks", same_bytes},
    {"rows are read through a view, whose settings are part of the hash", views},
    {"writing goes on where it was noted down, to the same bytes", goes_on},
    {"without a note that fits, writing begins anew", begins_anew},
    {"offsets that do not rise, and pixels, are not written", refused_writes},
    {"offsets that no file can have are told with their rows", refused_files},
    CU_TEST_INFO_NULL,
};
