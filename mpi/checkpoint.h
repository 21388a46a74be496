#ifndef TDO_MPI_CHECKPOINT_H
#define TDO_MPI_CHECKPOINT_H
/* Checkpoints: the state of a training run, as named flat arrays in an HDF5 file.
 *
 *     <dir>/checkpoint.h5      the newest        <dir>/checkpoint.1.h5      the one before
 *         attributes: format "testudo-checkpoint-1", checksum "16 hex digits"
 *         /<name>     one dataset [count] for each part: f32, f64, int64, uint8, uint64 or int32
 *
 * The bytes of a file are a function of its parts alone: no time, host, rank count or library
 * text is in it. `checksum` is the sum mod 2^64, over the parts, of the XXH64 of the data with
 * seed XXH64(name, zero byte, type u64, count u64); it names a training state. Behind the HDF5
 * data stands a seal of 24 bytes, "TDOSEAL\n" | bytes before it u64 | XXH64 of these u64: a
 * file is known to be what was written before the HDF5 library looks at it. HDF5 tools ignore
 * the seal.
 *
 * A file is written beside its name, synced, and only then do the names move: first
 * checkpoint.h5 becomes checkpoint.1.h5, unless it is damaged, then the new file becomes
 * checkpoint.h5. At every moment one of the two names holds a whole checkpoint. */
#include <stdbool.h>
#include <stdint.h>

#include "mpi/comm.h"
#include "nn/base/error.h"

/* Never reorder: the checksum holds the values. */
enum tdo_checkpoint_type {
    TDO_CHECKPOINT_F32,
    TDO_CHECKPOINT_F64,
    TDO_CHECKPOINT_I64,
    TDO_CHECKPOINT_U8, /* bytes or text */
    TDO_CHECKPOINT_U64,
    TDO_CHECKPOINT_I32,
    TDO_CHECKPOINT_TYPES
};

struct tdo_checkpoint_part {
    const char *name; /* 1 to 63 letters, digits, '.', '_', '-'; unique */
    enum tdo_checkpoint_type type;
    int64_t count; /* elements; 0 is fine. Reading: -1 for any */
    void *data;    /* [count] */
};

/* Write a checkpoint. The file is put together in memory first: the root needs as much again as
 * the parts have.
 *
 * Errors:  TDO_ERR_FILE naming path and reason (disk full): what was written is removed, older
 *          checkpoints are as they were; TDO_ERR_MEMORY, TDO_ERR_LIBRARY, TDO_ERR_BUG.
 * Ranks:   collective, dir equal on all ranks; the root's parts are written, those of other
 *          ranks are not looked at; errors are agreed. */
TDO_MUST tdo_err tdo_checkpoint_write(tdo_comm *comm, const char *dir,
                                      const struct tdo_checkpoint_part *parts, int n);

/* Read the newest whole checkpoint, into the data of the parts on every rank. A part with count
 * -1 takes what there is: its data, NULL before, is allocated, and its count set (owner: caller,
 * tdo_memory_free). When checkpoint.h5 is missing or damaged, checkpoint.1.h5 is read and one
 * warning line says why. *found: false when there is neither. After an error the data of the
 * parts are undefined, and those to be allocated are NULL.
 *
 * Errors:  TDO_ERR_FORMAT naming both files when no whole checkpoint is left; TDO_ERR_SHAPE
 *          naming file and part when a whole file holds other parts than these;
 *          TDO_ERR_MEMORY; TDO_ERR_BUG.
 * Ranks:   collective, dir and parts but for their data equal on all ranks; the root reads and
 *          sends; errors are agreed. */
TDO_MUST tdo_err tdo_checkpoint_read(tdo_comm *comm, const char *dir,
                                     struct tdo_checkpoint_part *parts, int n, bool *found);

#endif
