#ifndef TDO_JOBS_FORMATS_FORMATS_H
#define TDO_JOBS_FORMATS_FORMATS_H
/* Formats: where `testudo import` takes its images from.
 *
 * A format opens a source, a set of labelled images in two splits, and hands out decoded
 * samples; it knows nothing of the file that they are written to. Sources stream: they hold a
 * window of bounded size, never the whole set. Reading forwards is cheap; a source may have to
 * start from the beginning of a compressed file to go backwards.
 *
 * A format is a const row in its own file, listed in formats.def. Nothing here is collective. How
 * several ranks read one set is up to the caller: when info.anywhere, each opens a source of its
 * own and reads other rows; else (a gzip file must be unpacked from its start, by everyone who
 * wants a part of it) one rank reads all. A source that is long to open, and that every rank must
 * see alike, is opened by one and joined by the others. */
#include <stdbool.h>
#include <stdint.h>

#include "nn/base/error.h"

enum tdo_source_split { TDO_SOURCE_TRAIN, TDO_SOURCE_TEST, TDO_SOURCE_SPLITS };

struct tdo_format_args {
    const char *from;    /* import.from: a directory, or NULL */
    uint32_t seed;       /* of procedural sets */
    int64_t train, test; /* rows of procedural sets; 0 for the default of the format */
    int64_t size;        /* pixels, of folders: cut all images to size x size; 0: as they are */
};

struct tdo_source_info {
    int64_t rows[TDO_SOURCE_SPLITS]; /* train, test */
    int64_t height, width, channels;
    int classes;   /* labels are 0 .. classes-1 */
    bool is_u8;    /* pixels are uint8 0..255, else f32 in [0,1] */
    bool anywhere; /* rows can be read in any order without extra work */
};

/* An open source. A format puts this first in its own struct and fills `info` when it opens. */
typedef struct tdo_source {
    const struct tdo_format *format;
    struct tdo_source_info info;
} tdo_source;

/* A row. The functions are called through tdo_source_*, which check the arguments. */
struct tdo_format {
    const char *name;
    const char *help; /* one sentence */
    const char *cite;
    bool procedural; /* made from seed and sizes; import.from is not read */
    tdo_err (*open)(const struct tdo_format_args *args, tdo_source **out);
    tdo_err (*read)(tdo_source *s, enum tdo_source_split split, int64_t first, int64_t n,
                    void *x, int32_t *y);
    void (*close)(tdo_source **s);
    /* Both or none, of formats whose rows are files: how long one is; its bytes as they are, and
     * what they show, cut to the size of the set. */
    tdo_err (*size)(tdo_source *s, enum tdo_source_split split, int64_t row, int64_t *bytes);
    tdo_err (*file)(tdo_source *s, enum tdo_source_split split, int64_t row, int64_t bytes,
                    void *x, uint8_t *view, int32_t *y);
    /* Both or none: what `open` found out, as bytes; a source from such bytes. */
    void (*share)(const tdo_source *s, const char **bytes, int64_t *count);
    tdo_err (*join)(const struct tdo_format_args *args, const char *bytes, int64_t count,
                    tdo_source **out);
};

/* Row i of the table, NULL past its end; the row of that name, NULL if there is none. */
const struct tdo_format *tdo_format_at(int i);
const struct tdo_format *tdo_format_find(const char *name);

/* Open a source. Headers are checked here, contents while they are read.
 * Errors: TDO_ERR_CONFIG (import.from is missing), TDO_ERR_FILE, TDO_ERR_FORMAT naming file and
 *         place. Owner: caller, tdo_source_close. args is borrowed for the call. */
TDO_MUST tdo_err tdo_source_open(const struct tdo_format *format,
                                 const struct tdo_format_args *args, tdo_source **out);

/* What another rank needs to open this source as it was opened here; borrowed from it. No bytes:
 * it opens it as this one was. */
void tdo_source_share(const tdo_source *s, const char **bytes, int64_t *count);

/* A source from the info and the bytes of another rank's, and the args that it was opened with.
 * Errors: those of tdo_source_open. Owner: caller, tdo_source_close. bytes are copied. */
TDO_MUST tdo_err tdo_source_join(const struct tdo_format *format,
                                 const struct tdo_format_args *args,
                                 const struct tdo_source_info *info, const char *bytes,
                                 int64_t count, tdo_source **out);

/* Samples [first, first+n) of a split.
 * Shapes:  x [n,H,W,C], uint8 or f32 as info says; y [n].
 * Errors:  TDO_ERR_SHAPE when the range leaves the split; TDO_ERR_FILE, TDO_ERR_FORMAT. */
TDO_MUST tdo_err tdo_source_read(tdo_source *s, enum tdo_source_split split, int64_t first,
                                 int64_t n, void *x, int32_t *y);

/* Can its rows be taken as files? */
bool tdo_source_has_files(const tdo_source *s);

/* How long the file of a row is, in bytes, at least 1.
 * Errors:  TDO_ERR_FILE, TDO_ERR_FORMAT naming it. */
TDO_MUST tdo_err tdo_source_size(tdo_source *s, enum tdo_source_split split, int64_t row,
                                 int64_t *bytes);

/* The file of a row, decoded once to see that it is whole.
 * Shapes:  x [bytes], as tdo_source_size has told; view [H,W,3], as tdo_image_view makes it of tdo_image_short_side
 *          and cut; y [1].
 * Errors:  TDO_ERR_FILE, also for a file that has another length now; TDO_ERR_FORMAT naming it. */
TDO_MUST tdo_err tdo_source_file(tdo_source *s, enum tdo_source_split split, int64_t row,
                                 int64_t bytes, void *x, uint8_t *view, int32_t *y);

/* Close and set to NULL; NULL is fine. */
void tdo_source_close(tdo_source **s);

#endif
