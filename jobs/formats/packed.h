#ifndef TDO_JOBS_FORMATS_PACKED_H
#define TDO_JOBS_FORMATS_PACKED_H
/* Packed files: records of equal length one behind the other, without a header, plain or gzip,
 * as CIFAR and STL-10 are stored. Only the length tells how many records there are: that of a
 * gzip file is found by unpacking it once, which checks its checksum as well. */
#include <stdbool.h>
#include <stdint.h>
#include <zlib.h>

#include "nn/base/error.h"

/* One open file; zero it before the first use. */
struct tdo_packed {
    char *path;
    gzFile gz;
    int64_t record, rows; /* bytes of a record; records */
};

/* Is there a file of that name in the directory, plain or .gz? */
bool tdo_packed_exists(const char *directory, const char *name);

/* Open it. Errors: TDO_ERR_FILE when it is not there or cannot be read; TDO_ERR_FORMAT when it
 * is empty, its length is no multiple of `record`, or its gzip data are corrupt.
 * Owner: caller, tdo_packed_close, also after an error. */
TDO_MUST tdo_err tdo_packed_open(const char *directory, const char *name, int64_t record,
                                 struct tdo_packed *f);

/* Can it be read from anywhere? A gzip file is one stream, from its start. */
bool tdo_packed_is_plain(const struct tdo_packed *f);

/* Records [first, first+n) into out [n * record]. Errors: TDO_ERR_FILE, TDO_ERR_FORMAT. */
TDO_MUST tdo_err tdo_packed_read(struct tdo_packed *f, int64_t first, int64_t n,
                                 unsigned char *out);

/* Close; fine if it is not open. */
void tdo_packed_close(struct tdo_packed *f);

#endif
