#ifndef TDO_MPI_ARCHIVE_H
#define TDO_MPI_ARCHIVE_H
/* Archives: results that others are to check, as attributes and columns of one HDF5 file.
 *
 *     /            attributes: format, the caller's text; hash "16 hex digits"; the caller's
 *     /<column>    one dataset for each column, [rows] or [rows][width]
 *
 * The bytes of a file are a function of what is in it: no time, host, rank count or library text.
 * `hash` is the sum mod 2^64, over attributes and columns, of the XXH64 of the data with seed
 * XXH64("a" or "c", name, zero byte, type u64, count u64, width u64). Behind the HDF5 data stands
 * the seal of a checkpoint (checkpoint.h). Hash and seal show what was changed by accident, or
 * without thought; who changes a file on purpose can make both anew. So what the numbers say is
 * for the reader of an archive to check. */
#include "mpi/checkpoint.h"

enum { TDO_ARCHIVE_ITEMS = 48 };

struct tdo_archive_item {
    const char *name;
    enum tdo_checkpoint_type type; /* of an attribute: U8 is a text */
    int64_t count;                 /* elements; writing a text: 0 for its length. Reading: -1
                                    * for any number */
    int64_t width; /* of a row of a column; 1: a plain list. Reading: 0 for any */
    void *data;
};

struct tdo_archive {
    const char *format; /* name and version of what it is; borrowed */
    int attributes, columns;
    struct tdo_archive_item attribute[TDO_ARCHIVE_ITEMS], column[TDO_ARCHIVE_ITEMS];
};

/* The hash of all that is in it. Counts are set. Ranks: not collective. */
uint64_t tdo_archive_hash(const struct tdo_archive *a);

/* Write the file: beside its name, synced, renamed.
 * Errors: TDO_ERR_FILE naming path and reason; TDO_ERR_LIBRARY, TDO_ERR_BUG for a name that no item may
 *         have. Ranks: not collective, call on one. */
TDO_MUST tdo_err tdo_archive_write(const char *path, struct tdo_archive *a);

/* What the reader finds out about the file, beside its content. */
struct tdo_archive_found {
    bool sealed;   /* the bytes are those that were written */
    char why[512]; /* if they are not */
    uint64_t hash; /* as it stands in the file */
};

/* Read what is asked for: data of items with count -1 are allocated (owner: caller,
 * tdo_memory_free, also after an error), a text with a zero byte behind it. A file whose seal or hash is not right is
 * read as well; that is for the caller to judge.
 * Errors: TDO_ERR_FILE, TDO_ERR_FORMAT naming the file and what is missing, of another type or
 *         size, or not expected; TDO_ERR_MEMORY. Ranks: not collective. */
TDO_MUST tdo_err tdo_archive_read(const char *path, struct tdo_archive *a,
                                  struct tdo_archive_found *found);
#endif
