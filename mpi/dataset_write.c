/* Writing data sets. See dataset.h for the file.
 *
 * The root makes the file with all its places reserved, so that every row lies at a known offset;
 * then each rank writes rows of its own with pwrite. What sums them up can be put together in any
 * order: a hash for each block of rows, and the mean as a sum of integers (floats as multiples of
 * 2^-32). So the bytes of the file are a function of its contents alone: no times, no host, no
 * number of ranks. It is written beside its name, synced, and renamed. */
#include <errno.h>
#include <fcntl.h>
#include <hdf5.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "mpi/dataset.h"
#include "mpi/mpi_impl.h"
#include "mpi/origins.h"
#include "nn/base/file.h"
#include "nn/base/memory.h"

/* Where things lie, in bytes from the start of the file; the root tells the others. */
struct places {
    int64_t x[TDO_SPLITS], y[TDO_SPLITS], offset[TDO_SPLITS], mean;
};

struct tdo_dataset_writer {
    tdo_comm *comm; /* borrowed */
    struct tdo_dataset_info info;
    int64_t pixels, row_bytes;
    char *path, *part; /* where it goes; where it is written meanwhile */
    char *state;       /* where it is noted how far that is */
    hid_t file;        /* root only, while it is made and while it is finished */
    struct places at;
    int fd;
    bool made, finished; /* root only */
    bool kept;
    int64_t blocks, first_block[TDO_SPLITS];
    uint64_t *hash;                    /* [blocks], of those that this rank has written */
    uint64_t *times;                   /* [blocks], how often it has */
    uint64_t *sum;                     /* [pixels] over its rows of train */
    const struct tdo_origins *origins; /* NULL: none are written */
};

static tdo_err refuse(const struct tdo_dataset_writer *w)
{
    return TDO_FAIL(TDO_ERR_FILE, "cannot write %s: %s", w->part,
                    errno ? strerror(errno) : "HDF5 refused");
}

/* Make a dataset whose bytes are reserved now and carry no time; where they lie goes to *at. */
static tdo_err make_dataset(struct tdo_dataset_writer *w, const char *name, hid_t type,
                            int rank, const int64_t *dim, int64_t *at)
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
    haddr_t offset = dataset >= 0 ? H5Dget_offset(dataset) : HADDR_UNDEF;
    bool good = offset != HADDR_UNDEF && H5Dclose(dataset) >= 0;
    *at = (int64_t)offset;
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
    if (w->info.encoded) {
        const int64_t places = dim[0] + 1;
        TDO_TRY(make_dataset(w, name, H5T_STD_U8LE, 1, &w->info.bytes[split], &w->at.x[split]));
        snprintf(name, sizeof name, "/%s/offset", group);
        TDO_TRY(make_dataset(w, name, H5T_STD_I64LE, 1, &places, &w->at.offset[split]));
    } else {
        const hid_t type = w->info.is_u8 ? H5T_STD_U8LE : H5T_IEEE_F32LE;
        TDO_TRY(make_dataset(w, name, type, 4, dim, &w->at.x[split]));
    }
    snprintf(name, sizeof name, "/%s/y", group);
    TDO_TRY(make_dataset(w, name, H5T_STD_I32LE, 1, dim, &w->at.y[split]));
    return split == TDO_SPLIT_TRAIN && !w->info.stored
               ? make_dataset(w, "/train/mean", H5T_IEEE_F32LE, 3, dim + 1, &w->at.mean)
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
    fits = fits && (!i->encoded || (i->height == i->width && i->height <= 1 << 16 &&
                                    i->channels == 3 && i->is_u8 && !i->stored));
    int splits = 0;
    for (int s = 0; s < TDO_SPLITS; s++) {
        int64_t bytes;
        fits = fits && i->rows[s] >= (s == TDO_SPLIT_VAL || i->stored ? 0 : 1) &&
               !__builtin_mul_overflow(all, i->rows[s], &bytes);
        fits = fits && (!i->encoded || i->bytes[s] >= i->rows[s]);
        splits += i->rows[s] > 0;
    }
    if (!fits || (i->stored && splits != 1)) {
        return TDO_FAIL(
            TDO_ERR_SHAPE,
            "%s: %lld train, %lld val and %lld test images of [%lld,%lld,%lld] in %d "
            "classes: only val may be empty, sizes must be at least 1",
            path, (long long)i->rows[0], (long long)i->rows[1], (long long)i->rows[2],
            (long long)i->height, (long long)i->width, (long long)i->channels, i->classes);
    }
    return TDO_OK;
}

static tdo_err close_file(struct tdo_dataset_writer *w)
{
    hid_t file = w->file;
    w->file = H5I_INVALID_HID;
    errno = 0;
    return H5Fclose(file) < 0 ? refuse(w) : TDO_OK;
}

/* The file with all but its contents; root only. */
static tdo_err make_file(struct tdo_dataset_writer *w)
{
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    errno = 0;
    hid_t list = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_file_locking(list, false, true);
    w->file = H5Fcreate(w->part, H5F_ACC_TRUNC, H5P_DEFAULT, list);
    H5Pclose(list);
    if (w->file < 0) {
        return refuse(w);
    }
    w->made = true;
    int32_t classes = w->info.classes;
    TDO_TRY(make_attribute(w, "classes", H5T_STD_I32LE, &classes));
    TDO_TRY(make_text(w, "format", "testudo-1"));
    if (w->info.stored) {
        const int32_t stored = 1;
        TDO_TRY(make_attribute(w, "stored", H5T_STD_I32LE, &stored));
    }
    if (w->info.encoded) {
        const int32_t encoded = 1, side = (int32_t)w->info.height;
        TDO_TRY(make_attribute(w, "encoded", H5T_STD_I32LE, &encoded));
        TDO_TRY(make_attribute(w, "side", H5T_STD_I32LE, &side));
    }
    for (int s = 0; s < TDO_SPLITS; s++) {
        if (w->info.rows[s] > 0) {
            TDO_TRY(make_split(w, (enum tdo_split)s));
        }
    }
    return close_file(w);
}

static tdo_err make_room(struct tdo_dataset_writer *w, const char *path)
{
    int64_t length = (int64_t)strlen(path) + 1;
    TDO_TRY(tdo_memory_new(length, &w->path));
    TDO_TRY(tdo_memory_new(length + 5, &w->part));
    TDO_TRY(tdo_memory_new(length + 11, &w->state));
    snprintf(w->state, (size_t)length + 11, "%s.part.state", path);
    snprintf(w->path, (size_t)length, "%s", path);
    snprintf(w->part, (size_t)length + 5, "%s.part", path);
    w->pixels = w->info.height * w->info.width * w->info.channels;
    w->row_bytes = w->pixels * (w->info.is_u8 ? 1 : 4);
    for (int s = 0; s < TDO_SPLITS; s++) {
        w->first_block[s] = w->blocks;
        w->blocks += (w->info.rows[s] + TDO_DATASET_BLOCK - 1) / TDO_DATASET_BLOCK;
    }
    TDO_TRY(tdo_memory_new(w->blocks, &w->hash));
    TDO_TRY(tdo_memory_new(w->blocks, &w->times));
    return tdo_memory_new(w->pixels, &w->sum);
}

/* ---- what is noted ---- */

/* u64 numbers: a magic one, context, place, where things lie, hashes and times of blocks, the sum; the
 * XXH64 of all that. */
enum { NOTE_FIXED = 4 + (int)(sizeof(struct places) / sizeof(uint64_t)) };

static const uint64_t note_magic = UINT64_C(0x313065746f4e4f44); /* "DONote01" */

static int64_t note_size(const struct tdo_dataset_writer *w)
{
    return NOTE_FIXED + 2 * w->blocks + w->pixels + 1;
}

/* Between the arrays of w and the numbers of a note. */
static void copy_note(struct tdo_dataset_writer *w, uint64_t *note, bool to_note)
{
    struct {
        void *data;
        int64_t count;
    } const part[] = {{&w->at, NOTE_FIXED - 4},
                      {w->hash, w->blocks},
                      {w->times, w->blocks},
                      {w->sum, w->pixels}};
    uint64_t *at = note + 4;
    for (size_t i = 0; i < sizeof part / sizeof *part; i++) {
        const size_t bytes = (size_t)part[i].count * sizeof *at;
        memcpy(to_note ? (void *)at : part[i].data, to_note ? part[i].data : (void *)at, bytes);
        at += part[i].count;
    }
}

static uint64_t note_hash(const uint64_t *note, int64_t size)
{
    return XXH64(note, (size_t)(size - 1) * sizeof *note, 0);
}

tdo_err tdo_dataset_save(tdo_dataset_writer *w, uint64_t context, const int64_t place[2])
{
    const int64_t size = note_size(w);
    uint64_t *note = NULL;
    tdo_err err = tdo_memory_new(size, &note);
    errno = 0;
    if (err == TDO_OK && fsync(w->fd) != 0) {
        err = refuse(w);
    }
    TDO_GOTO(tdo_comm_agree(w->comm, err));
    copy_note(w, note, true);
    tdo_comm_sum_u64(w->comm, note + NOTE_FIXED, size - NOTE_FIXED);
    note[0] = note_magic;
    note[1] = context;
    memcpy(note + 2, place, 2 * sizeof *place);
    note[size - 1] = note_hash(note, size);
    if (w->comm->rank == 0) {
        err = tdo_file_write(w->state, note, size * (int64_t)sizeof *note);
    }
    err = tdo_comm_agree(w->comm, err);
done:
    tdo_memory_free(&note);
    return err;
}

void tdo_dataset_keep(tdo_dataset_writer *w)
{
    w->kept = true;
}

/* Is there a note that fits, and a file? What does not fit is no error: then all is written anew. */
static tdo_err find_note(struct tdo_dataset_writer *w, uint64_t context, int64_t place[2],
                         bool *found)
{
    const int64_t size = note_size(w);
    char *data = NULL;
    int64_t bytes = 0;
    *found = false;
    if (!tdo_file_exists(w->state) || !tdo_file_exists(w->part)) {
        return TDO_OK;
    }
    tdo_err err = tdo_file_read(w->state, size * (int64_t)sizeof(uint64_t), &data, &bytes);
    if (err == TDO_ERR_FILE) { /* longer: of another set */
        return TDO_OK;
    }
    uint64_t *note = (uint64_t *)(void *)data;
    if (err == TDO_OK && bytes == size * (int64_t)sizeof *note && note[0] == note_magic &&
        note[1] == context && note[size - 1] == note_hash(note, size)) {
        copy_note(w, note, false);
        memcpy(place, note + 2, 2 * sizeof *place);
        *found = true;
    }
    tdo_memory_free(&data);
    return err;
}

/* A new file; a note of another one must not outlive it. Root. */
static tdo_err make_anew(struct tdo_dataset_writer *w)
{
    if (unlink(w->state) != 0 && errno != ENOENT) {
        return TDO_FAIL(TDO_ERR_FILE, "cannot remove %s: %s", w->state, strerror(errno));
    }
    return make_file(w);
}

/* ---- beginning ---- */

/* What a writer goes on with. */
struct resuming {
    uint64_t context;
    int64_t *place; /* NULL: a new file is wanted */
    bool *found;
};

static tdo_err begin(struct tdo_dataset_writer *w, const char *path, const struct resuming *r)
{
    TDO_TRY(make_room(w, path));
    if (w->comm->rank != 0) {
        return TDO_OK;
    }
    if (r->place) {
        TDO_TRY(find_note(w, r->context, r->place, r->found));
        w->made = *r->found;
    }
    return w->made ? TDO_OK : make_anew(w);
}

static tdo_err open_part(struct tdo_dataset_writer *w)
{
    w->fd = open(w->part, O_WRONLY | O_CLOEXEC);
    return w->fd < 0 ? refuse(w) : TDO_OK;
}

static tdo_err create(tdo_comm *comm, const char *path, const struct tdo_dataset_info *info,
                      const struct resuming *r, tdo_dataset_writer **out)
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
        w->fd = -1;
        w->info = *info;
        err = begin(w, path, r);
    }
    TDO_GOTO(tdo_comm_agree(comm, err));
    tdo_comm_broadcast(comm, &w->at, (int64_t)sizeof w->at);
    TDO_GOTO(tdo_comm_agree(comm, open_part(w)));
    *out = w;
    w = NULL;
done:
    tdo_dataset_writer_free(&w);
    return err;
}

tdo_err tdo_dataset_create(tdo_comm *comm, const char *path,
                           const struct tdo_dataset_info *info, tdo_dataset_writer **out)
{
    const struct resuming anew = {0};
    return create(comm, path, info, &anew, out);
}

tdo_err tdo_dataset_resume(tdo_comm *comm, const char *path,
                           const struct tdo_dataset_info *info, uint64_t context,
                           int64_t place[2], bool *found, tdo_dataset_writer **out)
{
    const struct resuming old = {.context = context, .place = place, .found = found};
    *found = false;
    TDO_TRY(create(comm, path, info, &old, out));
    tdo_comm_broadcast(comm, found, (int64_t)sizeof *found);
    tdo_comm_broadcast(comm, place, 2 * (int64_t)sizeof *place);
    return TDO_OK;
}

/* ---- rows ---- */

static tdo_err check_range(const struct tdo_dataset_writer *w, enum tdo_split split,
                           int64_t first, int64_t n)
{
    const int64_t rows = w->info.rows[split];
    if (first >= 0 && n > 0 && first <= rows - n && first % TDO_DATASET_BLOCK == 0 &&
        (n % TDO_DATASET_BLOCK == 0 || first + n == rows)) {
        return TDO_OK;
    }
    return TDO_FAIL(TDO_ERR_BUG,
                    "%s: rows %lld to %lld of %s are no whole blocks of %d out of %lld rows",
                    w->path, (long long)first, (long long)(first + n - 1),
                    tdo_dataset_split_name(split), TDO_DATASET_BLOCK, (long long)rows);
}

static tdo_err check_labels(const struct tdo_dataset_writer *w, enum tdo_split split,
                            int64_t first, int64_t n, const int32_t *y)
{
    for (int64_t i = 0; i < n; i++) {
        if (y[i] < 0 || y[i] >= w->info.classes) {
            return TDO_FAIL(TDO_ERR_FORMAT,
                            "%s: label %d in row %lld of %s, 0 to %d is expected", w->path,
                            y[i], (long long)(first + i), tdo_dataset_split_name(split),
                            w->info.classes - 1);
        }
    }
    return TDO_OK;
}

/* Also what keeps the sum below in its range. */
static tdo_err check_floats(const struct tdo_dataset_writer *w, enum tdo_split split,
                            int64_t first, int64_t n, const float *x)
{
    for (int64_t i = 0; i < n * w->pixels; i++) {
        if (w->info.stored ? !isfinite(x[i]) : !(x[i] >= 0.0F && x[i] <= 1.0F)) {
            return TDO_FAIL(TDO_ERR_FORMAT, "%s: pixel %g in row %lld of %s, %s is expected",
                            w->path, (double)x[i], (long long)(first + i / w->pixels),
                            tdo_dataset_split_name(split),
                            w->info.stored ? "a finite number" : "0 to 1");
        }
    }
    return TDO_OK;
}

static void add_to_sum(struct tdo_dataset_writer *w, int64_t n, const void *x)
{
    const uint8_t *bytes = x;
    const float *floats = x;
    for (int64_t i = 0; i < n; i++) {
        for (int64_t p = 0; p < w->pixels; p++) {
            const int64_t k = i * w->pixels + p;
            w->sum[p] +=
                w->info.is_u8 ? bytes[k] : (uint64_t)((double)floats[k] * 4294967296.0 + 0.5);
        }
    }
}

/* The place of the block of row `first`, which is about to be written. */
static int64_t block_of(const struct tdo_dataset_writer *w, enum tdo_split split, int64_t first)
{
    return w->first_block[split] + first / TDO_DATASET_BLOCK;
}

/* Hashes of blocks: their images, of files where they lie, then labels. Without files (offset is NULL)
 * images have row_bytes each. */
static tdo_err add_to_hashes(struct tdo_dataset_writer *w, enum tdo_split split, int64_t first,
                             int64_t n, const struct tdo_dataset_files *f)
{
    XXH64_state_t *state = XXH64_createState();
    if (!state) {
        return TDO_FAIL(TDO_ERR_MEMORY, "out of memory: no hash state");
    }
    for (int64_t i = 0; i < n; i += TDO_DATASET_BLOCK) {
        const int64_t end = n - i < TDO_DATASET_BLOCK ? n : i + TDO_DATASET_BLOCK;
        const int64_t from = f->offset ? f->offset[i] - f->offset[0] : i * w->row_bytes;
        const int64_t to = f->offset ? f->offset[end] - f->offset[0] : end * w->row_bytes;
        const int64_t block = block_of(w, split, first + i);
        XXH64_reset(state, 0);
        XXH64_update(state, f->x + from, (size_t)(to - from));
        if (f->offset) {
            XXH64_update(state, f->offset + i, (size_t)(end - i + 1) * sizeof *f->offset);
        }
        XXH64_update(state, f->y + i, (size_t)(end - i) * sizeof *f->y);
        w->hash[block] = XXH64_digest(state);
        w->times[block]++;
    }
    XXH64_freeState(state);
    return TDO_OK;
}

tdo_err tdo_dataset_write(tdo_dataset_writer *w, enum tdo_split split, int64_t first, int64_t n,
                          const void *x, const int32_t *y)
{
    const int64_t label = (int64_t)sizeof *y;
    TDO_TRY(check_range(w, split, first, n));
    if (w->info.encoded) {
        return TDO_FAIL(TDO_ERR_BUG, "%s: pixels for an encoded set", w->path);
    }
    TDO_TRY(check_labels(w, split, first, n, y));
    if (!w->info.is_u8) {
        TDO_TRY(check_floats(w, split, first, n, x));
    }
    errno = 0;
    if (tdo_durable_write(w->fd, x, n * w->row_bytes, w->at.x[split] + first * w->row_bytes) !=
            0 ||
        tdo_durable_write(w->fd, y, n * label, w->at.y[split] + first * label) != 0) {
        return refuse(w);
    }
    if (split == TDO_SPLIT_TRAIN && !w->info.stored) {
        add_to_sum(w, n, x);
    }
    return add_to_hashes(w, split, first, n, &(struct tdo_dataset_files){.x = x, .y = y});
}

/* ---- rows of an encoded set ---- */

static tdo_err check_offsets(const struct tdo_dataset_writer *w, enum tdo_split split,
                             int64_t first, int64_t n, const int64_t *offset)
{
    bool good = w->info.encoded && offset[0] >= 0 && offset[n] <= w->info.bytes[split] &&
                (first > 0 || offset[0] == 0) &&
                (first + n < w->info.rows[split] || offset[n] == w->info.bytes[split]);
    for (int64_t i = 0; i < n; i++) {
        good = good && offset[i] < offset[i + 1];
    }
    return good ? TDO_OK
                : TDO_FAIL(TDO_ERR_BUG,
                           "%s: offsets of rows %lld to %lld of %s do not rise from 0 to %lld",
                           w->path, (long long)first, (long long)(first + n - 1),
                           tdo_dataset_split_name(split), (long long)w->info.bytes[split]);
}

tdo_err tdo_dataset_write_files(tdo_dataset_writer *w, enum tdo_split split, int64_t first,
                                int64_t n, const struct tdo_dataset_files *f)
{
    const int64_t label = (int64_t)sizeof *f->y, place = (int64_t)sizeof *f->offset;
    TDO_TRY(check_range(w, split, first, n));
    TDO_TRY(check_offsets(w, split, first, n, f->offset));
    TDO_TRY(check_labels(w, split, first, n, f->y));
    errno = 0;
    if (tdo_durable_write(w->fd, f->x, f->offset[n] - f->offset[0],
                          w->at.x[split] + f->offset[0]) != 0 ||
        tdo_durable_write(w->fd, f->offset, (n + 1) * place,
                          w->at.offset[split] + first * place) != 0 ||
        tdo_durable_write(w->fd, f->y, n * label, w->at.y[split] + first * label) != 0) {
        return refuse(w);
    }
    if (split == TDO_SPLIT_TRAIN) {
        add_to_sum(w, n, f->view);
    }
    return add_to_hashes(w, split, first, n, f);
}

/* ---- the end ---- */

/* After the sums over ranks: every block was written, once. */
static tdo_err check_complete(const struct tdo_dataset_writer *w)
{
    for (int64_t b = 0; b < w->blocks; b++) {
        if (w->times[b] != 1) {
            return TDO_FAIL(TDO_ERR_BUG, "%s: block %lld of %lld was written %llu times",
                            w->path, (long long)b, (long long)w->blocks,
                            (unsigned long long)w->times[b]);
        }
    }
    return TDO_OK;
}

static tdo_err write_mean(struct tdo_dataset_writer *w)
{
    float *mean = NULL;
    const double n = (double)w->info.rows[TDO_SPLIT_TRAIN];
    const double one = w->info.is_u8 ? 255.0 : 4294967296.0;
    TDO_TRY(tdo_memory_new(w->pixels, &mean));
    for (int64_t p = 0; p < w->pixels; p++) {
        mean[p] = (float)((double)w->sum[p] / (one * n));
    }
    errno = 0;
    int64_t bytes = w->pixels * (int64_t)sizeof *mean;
    bool good = tdo_durable_write(w->fd, mean, bytes, w->at.mean) == 0;
    tdo_err err = good ? TDO_OK : refuse(w);
    tdo_memory_free(&mean);
    return err;
}

/* The hash of the blocks' hashes; origins. */
static tdo_err write_rest(struct tdo_dataset_writer *w)
{
    char text[17];
    uint64_t hash = XXH64(w->hash, (size_t)w->blocks * sizeof *w->hash, 0);
    snprintf(text, sizeof text, "%016llx", (unsigned long long)hash);
    hid_t list = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_file_locking(list, false, true);
    errno = 0;
    w->file = H5Fopen(w->part, H5F_ACC_RDWR, list);
    H5Pclose(list);
    if (w->file < 0) {
        return refuse(w);
    }
    TDO_TRY(make_text(w, "hash", text));
    if (w->origins) {
        TDO_TRY(tdo_origins_put(w->file, w->part, &w->info, w->origins));
    }
    return close_file(w);
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
    TDO_TRY(check_complete(w));
    TDO_TRY(w->info.stored ? TDO_OK : write_mean(w));
    TDO_TRY(write_rest(w));
    TDO_TRY(tdo_durable_sync(w->part));
    if (rename(w->part, w->path) != 0) {
        return TDO_FAIL(TDO_ERR_FILE, "cannot rename %s to %s: %s", w->part, w->path,
                        strerror(errno));
    }
    w->finished = true;
    (void)unlink(w->state);
    return sync_directory_of(w->path);
}

void tdo_origins_write(tdo_dataset_writer *w, const struct tdo_origins *o)
{
    w->origins = w->comm->rank == 0 ? o : NULL;
}

tdo_err tdo_dataset_finish(tdo_dataset_writer *w)
{
    errno = 0;
    TDO_TRY(tdo_comm_agree(w->comm, fsync(w->fd) == 0 ? TDO_OK : refuse(w)));
    tdo_comm_sum_u64(w->comm, w->hash, w->blocks);
    tdo_comm_sum_u64(w->comm, w->times, w->blocks);
    tdo_comm_sum_u64(w->comm, w->sum, w->pixels);
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
    if (w->fd >= 0) {
        close(w->fd);
    }
    if (w->made && !w->finished && !w->kept) {
        unlink(w->state);
        unlink(w->part);
    }
    tdo_memory_free(&w->path);
    tdo_memory_free(&w->part);
    tdo_memory_free(&w->state);
    tdo_memory_free(&w->hash);
    tdo_memory_free(&w->times);
    tdo_memory_free(&w->sum);
    tdo_memory_free(out);
}
