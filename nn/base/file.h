#ifndef TDO_BASE_FILE_H
#define TDO_BASE_FILE_H
/* Files: read whole, write whole. A file that we write appears under its name only when it is
 * complete: write beside it, sync, rename. A reader, or a job that was killed, sees the old
 * file or the new one, never a half. Every error is TDO_ERR_FILE and names path and reason. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nn/base/error.h"

/* The whole file; a zero byte is added behind it. Owner: caller, tdo_memory_free.
 * Errors: TDO_ERR_FILE (also when it holds more than `limit` bytes), TDO_ERR_MEMORY. */
TDO_MUST tdo_err tdo_file_read(const char *path, int64_t limit, char **data, int64_t *bytes);

/* Replace the file: `path.tmp.<pid>` is written, synced and renamed. On failure the old file is
 * untouched and nothing is left beside it. One writer per path at a time. data may be NULL when
 * bytes is 0. */
TDO_MUST tdo_err tdo_file_write(const char *path, const void *data, int64_t bytes);

/* Create a directory and its parents; fine if it is there, or if others create it as well. */
TDO_MUST tdo_err tdo_file_make_dir(const char *path);

/* Hand the names in a directory, but the hidden ones, to `visit`, in any order. An error of visit
 * ends it and is handed on. */
TDO_MUST tdo_err tdo_file_list(const char *path, tdo_err (*visit)(void *user, const char *name),
                               void *user);

/* Is there anything under this name? */
bool tdo_file_exists(const char *path);
/* Is it a directory? */
bool tdo_file_is_dir(const char *path);

#endif
