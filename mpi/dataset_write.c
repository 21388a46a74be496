/* Writing data sets. See dataset.h for the file.
 *
 * The root writes, row by row in file order; hash and mean grow along, so no split is ever held
 * in memory (only its labels, because all of x is hashed before y). The mean of uint8 images is
 * an exact integer sum. The bytes of the file are a function of its contents alone: no times,
 * no host. It is written beside its name, synced, and renamed. */
#include <errno.h>
#include <hdf5.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "mpi/dataset.h"
#include "mpi/mpi_impl.h"
#include "nn/base/memory.h"

struct tdo_dataset_writer {
    tdo_comm *comm; /* borrowed */
    struct tdo_dataset_info info;
    int64_t pixels;
    /* root only */
    char *path, *part; /* where it goes; where it is written meanwhile */
    hid_t file;
    int64_t written[TDO_SPLITS];
    int32_t *labels; /* of the split that is being written */
    XXH64_state_t *hash;
    uint64_t *sum_u8; /* [pixels] over train */
    double *sum_f32;
    bool finished;
};

static tdo_err refuse(const struct tdo_dataset_writer *w)
{
    return TDO_FAIL(TDO_ERR_FILE, "cannot write %s: %s", w->part,
                    errno ? strerror(errno) : "HDF5 refused");
}

/* Make a dataset whose bytes are reserved now and carry no time. */
static tdo_err make_dataset(struct tdo_dataset_writer *w, const char *name, hid_t type,
                            int rank, const int64_t *dim)
{
    hsize_t size[4];
    for (int i = 0; i < rank; i++) {
        size[i] = (hsize_t)dim[i];
    }
    hid_t list = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_obj_track_times(list, false);
    H5Pset_layout(list, H5D_CONTIGUOUS);
    H5Pset_alloc_time(list, H5D_ALLOC_TIME_EARLY);
    H5Pset_fill_time(list, H5D_FILL_TIME_NEVER); /* every byte will be written */
    hid_t space = H5Screate_simple(rank, size, NULL);
    hid_t dataset = H5Dcreate2(w->file, name, type, space, H5P_DEFAULT, list, H5P_DEFAULT);
    bool good = dataset >= 0 && H5Dclose(dataset) >= 0;
    H5Sclose(space);
    H5Pclose(list);
    return good ? TDO_OK : refuse(w);
}

static tdo_err make_split(struct tdo_dataset_writer *w, enum tdo_split split)
{
    char name[64];
    const char *group = tdo_dataset_split_name(split);
    const int64_t dim[] = {w->info.rows[split], w->info.height, w->info.width,
                           w->info.channels};
    hid_t list = H5Pcreate(H5P_GROUP_CREATE);
    H5Pset_obj_track_times(list, false);
    hid_t g = H5Gcreate2(w->file, group, H5P_DEFAULT, list, H5P_DEFAULT);
    H5Pclose(list);
    if (g < 0 || H5Gclose(g) < 0) {
        return refuse(w);
    }
    snprintf(name, sizeof name, "/%s/x", group);
    TDO_TRY(make_dataset(w, name, w->info.is_u8 ? H5T_STD_U8LE : H5T_IEEE_F32LE, 4, dim));
    snprintf(name, sizeof name, "/%s/y", group);
    TDO_TRY(make_dataset(w, name, H5T_STD_I32LE, 1, dim));
    return split == TDO_SPLIT_TRAIN ? make_dataset(w, "/train/mean", H5T_IEEE_F32LE, 3, dim + 1)
                                    : TDO_OK;
}

static tdo_err make_attribute(struct tdo_dataset_writer *w, const char *name, hid_t type,
                              const void *value)
{
    hid_t space = H5Screate(H5S_SCALAR);
    hid_t a = H5Acreate2(w->file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    bool good = a >= 0 && H5Awrite(a, type, value) >= 0;
    good = a >= 0 && H5Aclose(a) >= 0 && good;
    H5Sclose(space);
    return good ? TDO_OK : refuse(w);
}

static tdo_err make_text(struct tdo_dataset_writer *w, const char *name, const char *text)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, strlen(text) + 1);
    tdo_err err = make_attribute(w, name, type, text);
    H5Tclose(type);
    return err;
}

static tdo_err check_info(const char *path, const struct tdo_dataset_info *i)
{
    int64_t all = 4;
    bool fits = i->height > 0 && i->width > 0 && i->channels > 0 &&
                !__builtin_mul_overflow(all, i->height, &all) &&
                !__builtin_mul_overflow(all, i->width, &all) &&
                !__builtin_mul_overflow(all, i->channels, &all) && i->classes > 0;
    for (int s = 0; s < TDO_SPLITS; s++) {
        int64_t bytes;
        fits = fits && i->rows[s] >= (s == TDO_SPLIT_VAL ? 0 : 1) &&
               !__builtin_mul_overflow(all, i->rows[s], &bytes);
    }
    if (!fits) {
        return TDO_FAIL(
            TDO_ERR_SHAPE,
            "%s: %lld train, %lld val and %lld test images of [%lld,%lld,%lld] in %d "
            "classes: only val may be empty, sizes must be at least 1",
            path, (long long)i->rows[0], (long long)i->rows[1], (long long)i->rows[2],
            (long long)i->height, (long long)i->width, (long long)i->channels, i->classes);
    }
    return TDO_OK;
}

/* The root's part of tdo_dataset_create. */
static tdo_err begin(struct tdo_dataset_writer *w, const char *path)
{
    int64_t length = (int64_t)strlen(path) + 1, most = 0;
    TDO_TRY(tdo_memory_new(length, &w->path));
    TDO_TRY(tdo_memory_new(length + 5, &w->part));
    snprintf(w->path, (size_t)length, "%s", path);
    snprintf(w->part, (size_t)length + 5, "%s.part", path);
    for (int s = 0; s < TDO_SPLITS; s++) {
        most = w->info.rows[s] > most ? w->info.rows[s] : most;
    }
    TDO_TRY(tdo_memory_new(most, &w->labels));
    TDO_TRY(w->info.is_u8 ? tdo_memory_new(w->pixels, &w->sum_u8)
                          : tdo_memory_new(w->pixels, &w->sum_f32));
    w->hash = XXH64_createState();
    if (!w->hash || XXH64_reset(w->hash, 0) != XXH_OK) {
        return TDO_FAIL(TDO_ERR_MEMORY, "out of memory: no hash state");
    }
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    errno = 0;
    hid_t list = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_file_locking(list, false, true);
    w->file = H5Fcreate(w->part, H5F_ACC_TRUNC, H5P_DEFAULT, list);
    H5Pclose(list);
    if (w->file < 0) {
        return refuse(w);
    }
    int32_t classes = w->info.classes;
    TDO_TRY(make_attribute(w, "classes", H5T_STD_I32LE, &classes));
    TDO_TRY(make_text(w, "format", "testudo-1"));
    for (int s = 0; s < TDO_SPLITS; s++) {
        if (w->info.rows[s] > 0) {
            TDO_TRY(make_split(w, (enum tdo_split)s));
        }
    }
    return TDO_OK;
}

tdo_err tdo_dataset_create(tdo_comm *comm, const char *path,
                           const struct tdo_dataset_info *info, tdo_dataset_writer **out)
{
    *out = NULL;
    struct tdo_dataset_writer *w = NULL;
    tdo_err err = check_info(path, info);
    if (err == TDO_OK) {
        err = tdo_memory_new(1, &w);
    }
    if (err == TDO_OK) {
        w->comm = comm;
        w->file = H5I_INVALID_HID;
        w->info = *info;
        w->pixels = info->height * info->width * info->channels;
        err = comm->rank == 0 ? begin(w, path) : TDO_OK;
    }
    TDO_GOTO(tdo_comm_agree(comm, err));
    *out = w;
    w = NULL;
done:
    tdo_dataset_writer_free(&w);
    return err;
}

/* Rows [first, first + n) of a dataset; `rank` 4 for x, 1 for y, as in the file. */
static tdo_err write_rows(struct tdo_dataset_writer *w, const char *name, int64_t first,
                          int64_t n, int rank, hid_t type, const void *data)
{
    const struct tdo_dataset_info *i = &w->info;
    hsize_t start[4] = {(hsize_t)first, 0, 0, 0};
    hsize_t count[4] = {(hsize_t)n, (hsize_t)i->height, (hsize_t)i->width,
                        (hsize_t)i->channels};
    errno = 0;
    hid_t dataset = H5Dopen2(w->file, name, H5P_DEFAULT);
    hid_t space = H5Dget_space(dataset), memory = H5Screate_simple(rank, count, NULL);
    bool good = H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL) >= 0 &&
                H5Dwrite(dataset, type, memory, space, H5P_DEFAULT, data) >= 0;
    tdo_err err = good ? TDO_OK : refuse(w);
    H5Sclose(memory);
    H5Sclose(space);
    H5Dclose(dataset);
    return err;
}

static tdo_err add_labels(struct tdo_dataset_writer *w, enum tdo_split split, int64_t n,
                          const int32_t *y)
{
    int64_t first = w->written[split];
    for (int64_t i = 0; i < n; i++) {
        if (y[i] < 0 || y[i] >= w->info.classes) {
            return TDO_FAIL(TDO_ERR_FORMAT,
                            "%s: label %d in row %lld of %s, 0 to %d is expected", w->path,
                            y[i], (long long)(first + i), tdo_dataset_split_name(split),
                            w->info.classes - 1);
        }
        w->labels[first + i] = y[i];
    }
    return TDO_OK;
}

static void add_to_mean(struct tdo_dataset_writer *w, int64_t n, const void *x)
{
    const uint8_t *bytes = x;
    const float *floats = x;
    for (int64_t i = 0; i < n; i++) {
        for (int64_t p = 0; p < w->pixels; p++) {
            if (w->info.is_u8) {
                w->sum_u8[p] += bytes[i * w->pixels + p];
            } else {
                w->sum_f32[p] += (double)floats[i * w->pixels + p];
            }
        }
    }
}

/* Every split before `split` must be complete. */
static tdo_err check_complete(const struct tdo_dataset_writer *w, int split)
{
    for (int s = 0; s < split; s++) {
        if (w->written[s] != w->info.rows[s]) {
            return TDO_FAIL(TDO_ERR_BUG, "%s: only %lld of %lld rows of %s were written",
                            w->path, (long long)w->written[s], (long long)w->info.rows[s],
                            tdo_dataset_split_name((enum tdo_split)s));
        }
    }
    return TDO_OK;
}

tdo_err tdo_dataset_append(tdo_dataset_writer *w, enum tdo_split split, int64_t n,
                           const void *x, const int32_t *y)
{
    if (w->comm->rank != 0) {
        return TDO_OK;
    }
    TDO_TRY(check_complete(w, (int)split));
    if (n < 0 || n > w->info.rows[split] - w->written[split]) {
        return TDO_FAIL(TDO_ERR_BUG, "%s: %lld rows of %s appended to %lld, %lld were declared",
                        w->path, (long long)n, tdo_dataset_split_name(split),
                        (long long)w->written[split], (long long)w->info.rows[split]);
    }
    if (n == 0) {
        return TDO_OK;
    }
    TDO_TRY(add_labels(w, split, n, y));
    char name[64];
    const char *group = tdo_dataset_split_name(split);
    size_t bytes = (size_t)(n * w->pixels) * (w->info.is_u8 ? 1 : sizeof(float));
    snprintf(name, sizeof name, "/%s/x", group);
    TDO_TRY(write_rows(w, name, w->written[split], n, 4,
                       w->info.is_u8 ? H5T_NATIVE_UINT8 : H5T_NATIVE_FLOAT, x));
    XXH64_update(w->hash, x, bytes);
    if (split == TDO_SPLIT_TRAIN) {
        add_to_mean(w, n, x);
    }
    w->written[split] += n;
    if (w->written[split] == w->info.rows[split]) {
        snprintf(name, sizeof name, "/%s/y", group);
        TDO_TRY(write_rows(w, name, 0, w->written[split], 1, H5T_NATIVE_INT32, w->labels));
        XXH64_update(w->hash, w->labels, (size_t)w->written[split] * sizeof *w->labels);
    }
    return TDO_OK;
}

static tdo_err write_mean(struct tdo_dataset_writer *w)
{
    float *mean = NULL;
    double n = (double)w->info.rows[TDO_SPLIT_TRAIN];
    TDO_TRY(tdo_memory_new(w->pixels, &mean));
    for (int64_t p = 0; p < w->pixels; p++) {
        mean[p] = w->info.is_u8 ? (float)((double)w->sum_u8[p] / (255 * n))
                                : (float)(w->sum_f32[p] / n);
    }
    errno = 0;
    hid_t dataset = H5Dopen2(w->file, "/train/mean", H5P_DEFAULT);
    bool good = H5Dwrite(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, mean) >= 0;
    tdo_err err = good ? TDO_OK : refuse(w);
    H5Dclose(dataset);
    tdo_memory_free(&mean);
    return err;
}

static tdo_err sync_directory_of(char *path)
{
    char *slash = strrchr(path, '/');
    if (!slash) {
        return tdo_durable_sync_directory(".");
    }
    char kept = slash[1];
    slash[1] = 0;
    tdo_err err = tdo_durable_sync_directory(path);
    slash[1] = kept;
    return err;
}

/* The root's part of tdo_dataset_finish. */
static tdo_err finish(struct tdo_dataset_writer *w)
{
    TDO_TRY(check_complete(w, TDO_SPLITS));
    TDO_TRY(write_mean(w));
    char hash[17];
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)XXH64_digest(w->hash));
    TDO_TRY(make_text(w, "hash", hash));
    hid_t file = w->file;
    w->file = H5I_INVALID_HID;
    errno = 0;
    if (H5Fclose(file) < 0) {
        return refuse(w);
    }
    TDO_TRY(tdo_durable_sync(w->part));
    if (rename(w->part, w->path) != 0) {
        return TDO_FAIL(TDO_ERR_FILE, "cannot rename %s to %s: %s", w->part, w->path,
                        strerror(errno));
    }
    w->finished = true;
    return sync_directory_of(w->path);
}

tdo_err tdo_dataset_finish(tdo_dataset_writer *w)
{
    return tdo_comm_agree(w->comm, w->comm->rank == 0 ? finish(w) : TDO_OK);
}

void tdo_dataset_writer_free(tdo_dataset_writer **out)
{
    struct tdo_dataset_writer *w = *out;
    if (!w) {
        return;
    }
    if (w->file >= 0) {
        H5Fclose(w->file);
    }
    if (w->part && !w->finished) {
        unlink(w->part);
    }
    if (w->hash) {
        XXH64_freeState(w->hash);
    }
    tdo_memory_free(&w->path);
    tdo_memory_free(&w->part);
    tdo_memory_free(&w->labels);
    tdo_memory_free(&w->sum_u8);
    tdo_memory_free(&w->sum_f32);
    tdo_memory_free(out);
}
