#ifndef TDO_MPI_DATASET_H
#define TDO_MPI_DATASET_H
/* Data sets: one HDF5 file, written once, read with pread.
 *
 *     /            attributes: classes int32, format "testudo-1", hash "16 hex digits"
 *     /train/x     uint8 or f32 [n,H,W,C]      /train/y     int32 [n], 0 <= y < classes
 *     /train/mean  f32 [H,W,C], mean of /train/x in 0..1 units (uint8 is divided by 255)
 *     /val/x ...   optional                     /test/x ...  as /train, without mean
 *
 * An encoded set keeps the files of its images, JPEG or PNG of any size, in place of pixels:
 *
 *     /            attributes: encoded int32, 1; side int32, the images of the mean are [side,side,3]
 *     /train/x     uint8 [bytes], file behind file
 *     /train/offset  int64 [n+1]: row i is x[offset[i]] up to x[offset[i+1]], from 0 to bytes
 *
 * It is read as pixels too: a decoder, which the reader brings (tdo_dataset_view), makes of each file
 * an image of one size, 8-bit RGB.
 *
 * A stored set, what an attack made of the images of one split, says so by an attribute `stored`
 * (int32, 1). It has that split alone, without mean, and its floats may lie outside of 0..1; it may
 * say where its images come from (origins.h).
 *
 * `hash` is the XXH64 (seed 0) of the hashes of blocks, in the order train, val, test; a block is
 * 64 rows of a split (the last one: what is left), and its hash the XXH64 of the bytes of their
 * x, then of their y (encoded: their files, then offsets [n+1], then y); all little-endian. So ranks can hash blocks of their own.
 *
 * Datasets are contiguous, so a row lies at a known offset: the root reads or makes the headers
 * through HDF5 and tells the others, then every rank uses pread or pwrite alone. That is fast, and
 * safe in the prefetch thread (the parallel HDF5 library is not thread-safe). */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mpi/comm.h"
#include "nn/base/error.h"

typedef struct tdo_dataset tdo_dataset;
typedef struct tdo_dataset_writer tdo_dataset_writer;
typedef struct tdo_prefetch tdo_prefetch;

enum tdo_split { TDO_SPLIT_TRAIN, TDO_SPLIT_VAL, TDO_SPLIT_TEST, TDO_SPLITS };

struct tdo_dataset_info {
    int64_t height, width, channels;
    int classes;
    bool is_u8;   /* x is uint8, else f32 */
    bool stored;  /* a stored set: one split */
    bool encoded; /* files; height and width are those of what they are decoded to */
    int64_t rows[TDO_SPLITS];  /* val: 0 if there is none */
    int64_t bytes[TDO_SPLITS]; /* encoded: of all files of a split */
    uint64_t hash;             /* set by the file; ignored when creating */
};

/* "train", "val" or "test".
 * Ranks:   not collective. */
const char *tdo_dataset_split_name(enum tdo_split split);

/* ---- writing ---- */

/* Begin a file; it appears under `path` only when tdo_dataset_finish succeeds. info declares
 * sizes and row counts.
 * Errors:  TDO_ERR_FILE naming the path; TDO_ERR_SHAPE for sizes below 1; TDO_ERR_MEMORY.
 * Ranks:   collective; every rank must see the path. Errors are agreed.
 * Owner:   caller, tdo_dataset_writer_free; comm is borrowed until then. */
TDO_MUST tdo_err tdo_dataset_create(tdo_comm *comm, const char *path,
                                    const struct tdo_dataset_info *info,
                                    tdo_dataset_writer **out);

enum { TDO_DATASET_BLOCK = 64 }; /* rows */

/* Write rows [first, first + n) of a split: whole blocks, in any order, each by one rank, once.
 * Shapes:  x [n,H,W,C] uint8, or f32 in 0..1, as declared; y [n].
 * Errors:  TDO_ERR_FORMAT for a label or a float out of range, naming the row; TDO_ERR_BUG for
 *          parts of blocks or rows that were not declared; TDO_ERR_FILE.
 * Ranks:   not collective. Agree before tdo_dataset_finish. */
TDO_MUST tdo_err tdo_dataset_write(tdo_dataset_writer *w, enum tdo_split split, int64_t first,
                                   int64_t n, const void *x, const int32_t *y);

/* Rows of an encoded set: their files, one behind the other. `view` is what they are decoded to, for the
 * mean.
 * Shapes:  offset [n+1], where they lie in the split; x [offset[n] - offset[0]]; view [n,H,W,3],
 *          looked at for train only; y [n]. */
struct tdo_dataset_files {
    const int64_t *offset;
    const uint8_t *x, *view;
    const int32_t *y;
};

/* The same as tdo_dataset_write for an encoded set.
 * Errors:  as above; TDO_ERR_BUG for offsets that do not rise or leave the split.
 * Ranks:   not collective. */
TDO_MUST tdo_err tdo_dataset_write_files(tdo_dataset_writer *w, enum tdo_split split,
                                         int64_t first, int64_t n,
                                         const struct tdo_dataset_files *files);

/* Write mean and hash, sync, and rename into place.
 * Errors:  TDO_ERR_BUG when rows are missing or were written twice; TDO_ERR_FILE.
 * Ranks:   collective; errors are agreed. */
TDO_MUST tdo_err tdo_dataset_finish(tdo_dataset_writer *w);

/* Note down where the writing is, beside the file: what was written so far is on the disk, and another
 * process can go on from here (tdo_dataset_resume), also if this one is killed. context is a
 * number that says what is written, place what the caller wants to know then.
 * Errors:  TDO_ERR_FILE. Ranks: collective; errors are agreed. */
TDO_MUST tdo_err tdo_dataset_save(tdo_dataset_writer *w, uint64_t context,
                                  const int64_t place[2]);

/* As tdo_dataset_create, but go on with what tdo_dataset_save left of the same context: place is that
 * of then, blocks that were written since are to be written again. *found is false, and the file
 * new, where nothing fits.
 * Ranks:   collective; context equal on the root alone. Errors are agreed. */
TDO_MUST tdo_err tdo_dataset_resume(tdo_comm *comm, const char *path,
                                    const struct tdo_dataset_info *info, uint64_t context,
                                    int64_t place[2], bool *found, tdo_dataset_writer **out);

/* Leave the unfinished file behind when w is freed.
 * Ranks:   not collective. */
void tdo_dataset_keep(tdo_dataset_writer *w);

/* NULL is fine. A file that was not finished is removed, unless it is kept.
 * Ranks:   not collective. */
void tdo_dataset_writer_free(tdo_dataset_writer **out);

/* ---- reading ---- */

/* Errors:  TDO_ERR_FILE when it cannot be opened, TDO_ERR_FORMAT when its structure is
 *          wrong; one line that names file and dataset or attribute.
 * Ranks:   collective; errors are agreed.
 * Owner:   caller, tdo_dataset_free. */
TDO_MUST tdo_err tdo_dataset_open(tdo_comm *comm, const char *path, tdo_dataset **out);

/* Ranks:   not collective. Borrowed until free. */
const struct tdo_dataset_info *tdo_dataset_info(const tdo_dataset *d);
const char *tdo_dataset_path(const tdo_dataset *d);

/* Elements of one image (H*W*C), and its bytes as it is read.
 * Ranks:   not collective. */
int64_t tdo_dataset_pixels(const tdo_dataset *d);
int64_t tdo_dataset_row_bytes(const tdo_dataset *d);

/* Read n rows of a split, in the order asked; neighbouring rows are read in one go.
 * Shapes:  rows [n], x [n,H,W,C] in the type of the file, y [n]; x or y may be NULL.
 * Errors:  TDO_ERR_BUG for a row out of range, TDO_ERR_FILE, TDO_ERR_FORMAT for a label out of
 *          range (names file, dataset, row).
 * Ranks:   not collective. */
TDO_MUST tdo_err tdo_dataset_read(const tdo_dataset *d, enum tdo_split split,
                                  const int64_t *rows, int64_t n, void *x, int32_t *y);

/* What decodes the rows of an encoded set. `settings` is a number that differs where pixels do.
 * `decode` makes one image, x [height,width,3]; name is for messages. It is called by whatever
 * thread reads. */
struct tdo_dataset_view {
    int64_t height, width;
    uint64_t settings;
    void *self; /* borrowed */
    tdo_err (*decode)(const struct tdo_dataset_view *v, const char *name, const uint8_t *file,
                      int64_t bytes, uint8_t *x);
};

/* From now on the rows of d are read through v, info has its size, and its hash becomes that of file,
 * size and settings together: what depends on the one depends on the other. Once, of an encoded
 * set; without it, reading its pixels is TDO_ERR_BUG.
 * Ranks:   not collective; the same on all. */
void tdo_dataset_set_view(tdo_dataset *d, const struct tdo_dataset_view *v);

/* A row's file, of an encoded set. *file has room for *room bytes and grows as needed.
 * Errors:  as tdo_dataset_read; TDO_ERR_FORMAT for offsets that no file can have.
 * Ranks:   not collective.
 * Owner:   caller, tdo_memory_free of *file, also after an error. */
TDO_MUST tdo_err tdo_dataset_file(const tdo_dataset *d, enum tdo_split split, int64_t row,
                                  uint8_t **file, int64_t *room, int64_t *bytes);

/* What messages call a row: "<path>: row 7 of train".
 * Ranks:   not collective. */
void tdo_dataset_row_name(const tdo_dataset *d, enum tdo_split split, int64_t row, char *name,
                          size_t room);

/* The mean image of the train split; of an encoded set as it was imported. False, and nothing
 * written, where images are not read in the size that it has.
 * Shapes:  mean [H,W,C] f32, in 0..1 units.
 * Ranks:   not collective. */
bool tdo_dataset_mean(const tdo_dataset *d, float *mean);

/* NULL is fine.
 * Ranks:   not collective. */
void tdo_dataset_free(tdo_dataset **d);

/* ---- reading ahead ---- */

/* One thread and two buffers, so that reading and computing overlap:
 *
 *     request(0)
 *     for k = 0, 1, ...:  wait -> batch k;  request(k+1);  compute batch k
 *
 * Errors:  TDO_ERR_MEMORY, TDO_ERR_LIBRARY when no thread can be started.
 * Ranks:   not collective.
 * Owner:   caller, tdo_prefetch_free; d is borrowed until then. */
TDO_MUST tdo_err tdo_prefetch_new(const tdo_dataset *d, enum tdo_split split, int64_t max_rows,
                                  tdo_prefetch **out);

/* Rows that come from elsewhere. `read` is called in the thread: no MPI, no HDF5. Its rows are those
 * asked for, in that order, and turn is theirs; x [n,row_bytes], y [n]. */
struct tdo_prefetch_source {
    void *self;       /* borrowed, as name is */
    const char *name; /* for messages */
    int64_t row_bytes;
    tdo_err (*read)(void *self, int64_t turn, const int64_t *rows, int64_t n, void *x,
                    int32_t *y);
};

/* The same as tdo_prefetch_new of such rows.
 * Ranks:   not collective.
 * Owner:   caller, tdo_prefetch_free; what `from` points to is borrowed until then. */
TDO_MUST tdo_err tdo_prefetch_from(const struct tdo_prefetch_source *from, int64_t max_rows,
                                   tdo_prefetch **out);

/* Ask for rows; returns at once.
 * Shapes:  rows [n], 1 <= n <= max_rows; copied.
 * Errors:  TDO_ERR_BUG when both buffers are taken (asked for, or handed out by the latest
 *          wait).
 * Ranks:   not collective. */
TDO_MUST tdo_err tdo_prefetch_request(tdo_prefetch *p, const int64_t *rows, int64_t n);

/* What is asked for from now on belongs to this turn (an epoch, 0 at first): a number that the source
 * is given with the rows.
 * Ranks:   not collective. */
void tdo_prefetch_turn(tdo_prefetch *p, int64_t turn);

/* Wait for the oldest request that was not yet waited for.
 * Shapes:  *x [n,H,W,C] in the type of the file, *y [n].
 * Errors:  those of reading; TDO_ERR_BUG when nothing was asked for.
 * Ranks:   not collective.
 * Owner:   borrowed until the next wait. */
TDO_MUST tdo_err tdo_prefetch_wait(tdo_prefetch *p, const void **x, const int32_t **y);

/* NULL is fine.
 * Ranks:   not collective. */
void tdo_prefetch_free(tdo_prefetch **out);

#endif
