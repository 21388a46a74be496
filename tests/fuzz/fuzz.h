#ifndef TDO_TESTS_FUZZ_H
#define TDO_TESTS_FUZZ_H
/* What the fuzz targets share.
 *
 * A target is one file with LLVMFuzzerTestOneInput, for one parser of ours. It takes its input
 * apart into choices and file contents, lets the parser read them, and uses what came out; any
 * error of ours is a fine outcome, a finding of a sanitizer is not. The checksums of formats that
 * have one are made good by the target, so that what lies behind them is reached. */
#include <stddef.h>
#include <stdint.h>

#include "nn/base/error.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is left of an input. */
struct fuzz {
    const uint8_t *data;
    size_t size;
};

/* The next bytes as a little-endian number; zeros behind the end. */
uint64_t fuzz_number(struct fuzz *f, int bytes);
/* A number of 16 bits, and so many bytes, or what is left. */
struct fuzz fuzz_chunk(struct fuzz *f);

/* A file of this name in the scratch directory of the process, $TMPDIR/fuzz.<pid>: its path
 * (static, until the next call). The directory is made at the first call. */
const char *fuzz_path(const char *name);
/* Write it / remove it. */
const char *fuzz_write(const char *name, const void *data, size_t bytes);
void fuzz_remove(const char *name);

/* For what must hold for every input. */
#define FUZZ_CHECK(condition) TDO_ASSERT(condition)
/* Errors are fine. */
#define FUZZ_IGNORE(call)                                                                      \
    do {                                                                                       \
        tdo_err ignored_ = (call);                                                             \
        (void)ignored_;                                                                        \
    } while (0)

/* ---- a set in one of the formats of import: fuzz_source.c ---- */

/* Read rows of both splits of what lies in the scratch directory. */
void fuzz_read_source(const char *format);
/* One file: a byte of choices (bit 0: under the name with .gz; bit 1: compressed by us), then a
 * chunk. repeat: then a number of 16 bits, the length up to which the chunk is repeated. Removed
 * by fuzz_remove_source. */
void fuzz_write_source(struct fuzz *f, const char *name, int repeat);
void fuzz_remove_source(const char *name);

#endif
