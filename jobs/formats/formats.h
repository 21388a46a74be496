#ifndef TDO_JOBS_FORMATS_FORMATS_H
#define TDO_JOBS_FORMATS_FORMATS_H
/* Formats: where `testudo import` takes its images from.
 *
 * A format opens a source, a set of labelled images in two splits, and hands out decoded
 * samples; it knows nothing of the file that they are written to. Sources stream: they hold a
 * window of bounded size, never the whole set. Reading forwards is cheap; a source may have to
 * start from the beginning of a compressed file to go backwards.
 *
 * A format is a const row in its own file, listed in formats.def. Nothing here is collective:
 * each rank opens its own source. */
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
    int classes; /* labels are 0 .. classes-1 */
    bool is_u8;  /* pixels are uint8 0..255, else f32 in [0,1] */
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
};

/* Row i of the table, NULL past its end; the row of that name, NULL if there is none. */
const struct tdo_format *tdo_format_at(int i);
const struct tdo_format *tdo_format_find(const char *name);

/* Open a source. Headers are checked here, contents while they are read.
 * Errors: TDO_ERR_CONFIG (import.from is missing), TDO_ERR_FILE, TDO_ERR_FORMAT naming file and
 *         place. Owner: caller, tdo_source_close. args is borrowed for the call. */
TDO_MUST tdo_err tdo_source_open(const struct tdo_format *format,
                                 const struct tdo_format_args *args, tdo_source **out);

/* Samples [first, first+n) of a split.
 * Shapes:  x [n,H,W,C], uint8 or f32 as info says; y [n].
 * Errors:  TDO_ERR_SHAPE when the range leaves the split; TDO_ERR_FILE, TDO_ERR_FORMAT. */
TDO_MUST tdo_err tdo_source_read(tdo_source *s, enum tdo_source_split split, int64_t first,
                                 int64_t n, void *x, int32_t *y);

/* Close and set to NULL; NULL is fine. */
void tdo_source_close(tdo_source **s);

#endif
