#ifndef TDO_MPI_LEDGER_H
#define TDO_MPI_LEDGER_H
/* The ledger: finished work, recorded so that a killed job loses nothing of it.
 *
 * Records are appended, never changed. Every rank of every start writes a segment file of its
 * own, <dir>/ledger/segment.<start>.<rank>; a resumed job, on any number of ranks, reads all
 * segments and begins new ones. Little-endian:
 *
 *   segment:  "TDOLEDG\n" | version u32 | 0 u32 | context u64 | checksum u64 | record ...
 *   record:   "TDOR" | kind u32 | a u64 | b u64 | length u64 | payload | checksum u64
 *
 * A checksum is the XXH64 of all bytes of header or record before it; its seed is the record's
 * offset in the file, so that a record is good in one place only. A record is handed to the
 * kernel in one piece before tdo_ledger_append returns, so kill -9 takes at most the record that
 * is being written; a power failure takes at most what was appended since the last sync. What is
 * left of an unfinished record at the end of a segment is dropped when it is read. */
#include <stdint.h>

#include "mpi/comm.h"
#include "nn/base/error.h"

typedef struct tdo_ledger tdo_ledger;

/* What a record is. Never reorder: files hold the values. Payloads are little-endian.
 * VOTES:   a block of draws of one image. a: image index; b: purpose << 32 | first block;
 *          payload: u64 draws, hash, nanoseconds, counts [classes].
 * OUTCOME: what an attack did to one image (reserved).
 * IMAGE:   an adversarial image (reserved).
 * ANSWER:  what a network that votes says of one image. a: image index; b: 0; payload: struct
 *          tdo_forward_answer (jobs/forward.h). */
enum tdo_ledger_kind {
    TDO_LEDGER_VOTES = 1,
    TDO_LEDGER_OUTCOME,
    TDO_LEDGER_IMAGE,
    TDO_LEDGER_ANSWER,
    TDO_LEDGER_KINDS
};

enum { TDO_LEDGER_MAX_BYTES = 1 << 26 }; /* of a payload */

struct tdo_ledger_record {
    uint32_t kind; /* enum tdo_ledger_kind */
    uint64_t a, b; /* the key; what is unique in it is the caller's business */
    const void *payload;
    int64_t bytes; /* of the payload, 0 to TDO_LEDGER_MAX_BYTES */
};

/* Begin a segment for each rank. The directory <dir>/ledger is made; <dir> must exist. Hold the
 * lock of <dir> (lock.h).
 *
 * context: a hash of all that must match for a record to be of use (config keys that change
 *          numbers, model, data).
 * Units:   seconds: appending syncs when the last sync is that long ago.
 * Errors:  TDO_ERR_FILE, TDO_ERR_MEMORY.
 * Ranks:   collective, arguments equal on all ranks; errors are agreed.
 * Owner:   caller, tdo_ledger_free. */
TDO_MUST tdo_err tdo_ledger_open(tdo_comm *comm, const char *dir, uint64_t context,
                                 double seconds, tdo_ledger **out);

/* Append one record to this rank's segment. When it cannot be written whole (disk full) it is
 * taken back: the segment then ends with the record before, and one may try again.
 *
 * Errors:  TDO_ERR_FILE naming path and reason; after a failed sync, or when a record cannot be
 *          taken back, all further calls fail; TDO_ERR_MEMORY; TDO_ERR_BUG for an unknown kind
 *          or a payload that is too large.
 * Ranks:   not collective. */
TDO_MUST tdo_err tdo_ledger_append(tdo_ledger *l, const struct tdo_ledger_record *r);

/* Bring everything appended so far to the disk: at the end of the work, and before a pause.
 * Errors:  TDO_ERR_FILE naming path and reason.
 * Ranks:   not collective. */
TDO_MUST tdo_err tdo_ledger_sync(tdo_ledger *l);

/* Close the segment; one without records is removed. Does not sync. NULL is fine.
 * Ranks:   not collective. */
void tdo_ledger_free(tdo_ledger **out);

/* Takes one record; it is borrowed until return, the payload is aligned to 64 bytes. An error
 * ends the replay and is passed on.
 * Ranks:   called on the root. */
typedef tdo_err (*tdo_ledger_visit)(void *user, const struct tdo_ledger_record *r);

/* Read all segments of <dir>/ledger, in order of (start, rank), and hand every good record to
 * `visit`. Nothing is read twice into memory: one record at a time. A directory without ledger
 * has no records. An unfinished record at the end of a segment is dropped with a line.
 *
 * Errors:  TDO_ERR_FORMAT naming file and offset of a bad record with good ones behind it, or
 *          of a damaged header; TDO_ERR_CONFIG naming the file when there are records of another
 *          context; TDO_ERR_FILE; TDO_ERR_MEMORY; those of visit.
 * Ranks:   collective, arguments equal on all ranks; the root reads, errors are agreed. */
TDO_MUST tdo_err tdo_ledger_replay(tdo_comm *comm, const char *dir, uint64_t context,
                                   tdo_ledger_visit visit, void *user);

#endif
