/* A data set: a file whose attributes, groups and datasets are as the input chooses; whatever opens
 * gives its first and last rows. */
#include "mpi/dataset.h"
#include "nn/base/memory.h"
#include "tests/fuzz/fuzz_hdf5.h"
#include "tests/fuzz/fuzz_mpi.h"

enum { ROWS = 3, H = 2, W = 2, C = 3, CLASSES = 4, MAX_BYTES = 1 << 20 };

static void make(struct fuzz *f, const char *path)
{
    hid_t file = fuzz_hdf5_create(path);
    const hid_t pixels = fuzz_number(f, 1) & 1 ? H5T_IEEE_F32LE : H5T_STD_U8LE;
    const struct fuzz_hdf5_data usual[] = {
        {"train/x", pixels, 4, {ROWS, H, W, C}},      {"train/y", H5T_STD_I32LE, 1, {ROWS}},
        {"train/mean", H5T_IEEE_F32LE, 3, {H, W, C}}, {"test/x", pixels, 4, {ROWS, H, W, C}},
        {"test/y", H5T_STD_I32LE, 1, {ROWS}},         {"val/x", pixels, 4, {ROWS, H, W, C}},
        {"val/y", H5T_STD_I32LE, 1, {ROWS}}};
    fuzz_hdf5_text(f, file, "format", "testudo-1");
    fuzz_hdf5_text(f, file, "hash", "0123456789abcdef");
    fuzz_hdf5_integer(f, file, "classes", CLASSES);
    const int parts = fuzz_number(f, 1) & 1 ? 7 : 5;
    for (int i = 0; i < parts; i++) {
        fuzz_hdf5_data(f, file, &usual[i]);
    }
    H5Fclose(file);
}

static void read_rows(const tdo_dataset *d)
{
    const struct tdo_dataset_info *info = tdo_dataset_info(d);
    char *x = NULL;
    float *mean = NULL;
    const int64_t bytes = tdo_dataset_row_bytes(d);
    FUZZ_CHECK(bytes > 0 && info->classes > 0 && info->rows[TDO_SPLIT_TRAIN] > 0);
    if (bytes > MAX_BYTES || tdo_memory_new(2 * bytes, &x) != TDO_OK ||
        tdo_memory_new(tdo_dataset_pixels(d), &mean) != TDO_OK) {
        tdo_memory_free(&x);
        return;
    }
    (void)tdo_dataset_mean(d, mean);
    for (int s = 0; s < TDO_SPLITS; s++) {
        int32_t y[2];
        const int64_t rows[2] = {info->rows[s] - 1, 0};
        if (info->rows[s] > 0 &&
            tdo_dataset_read(d, (enum tdo_split)s, rows, 2, x, y) == TDO_OK) {
            FUZZ_CHECK(y[0] >= 0 && y[0] < info->classes && y[1] >= 0 && y[1] < info->classes);
        }
    }
    tdo_memory_free(&mean);
    tdo_memory_free(&x);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tdo_dataset *d = NULL;
    struct fuzz f = {data, size};
    tdo_comm *comm = fuzz_comm();
    const char *path = fuzz_path("data.h5");
    make(&f, path);
    if (tdo_dataset_open(comm, path, &d) == TDO_OK) {
        read_rows(d);
    }
    tdo_dataset_free(&d);
    fuzz_remove("data.h5");
    return 0;
}
