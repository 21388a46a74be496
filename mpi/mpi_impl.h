#ifndef TDO_MPI_IMPL_H
#define TDO_MPI_IMPL_H
/* What the files of this folder share: the communicator's body, every message tag, the check of
 * MPI return codes, the fixed summation tree, and what files share. Not for other folders. */
#include <mpi.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mpi/checkpoint.h"
#include "mpi/comm.h"
#include "mpi/shard.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "files are little-endian");

struct tdo_comm {
    MPI_Comm world; /* our duplicate, MPI_ERRORS_RETURN */
    int rank, size;
    bool started; /* we called MPI_Init_thread, so we finalise */
    double slow;  /* leases sleep so many times what their work takes (tdo_lease_slow) */
};

/* All tags of our messages. Messages of one tag between two ranks are never overtaken. */
enum tdo_tag {
    TDO_TAG_PARTIAL = 1, /* gradients: a slice of a subtree sum, to the owner of the slice */
    TDO_TAG_SUM,         /* gradients: a finished slice, to everyone */
    TDO_TAG_REQUEST,     /* lease: what I did, and I want more; to the root */
    TDO_TAG_GRANT        /* lease: a range; from the root */
};

/* TDO_OK, or TDO_ERR_COMM with the library's words. Use through TDO_MPI. */
TDO_MUST tdo_err tdo_comm_check_(int code, const char *file, int line, const char *function);

#define TDO_MPI(call) tdo_comm_check_((call), __FILE__, __LINE__, __func__)

/* For collectives after whose failure no agreement is possible. */
#define TDO_MPI_OR_ABORT(comm, call)                                                           \
    do {                                                                                       \
        tdo_err mpi_err_ = TDO_MPI(call);                                                      \
        if (mpi_err_ != TDO_OK) {                                                              \
            tdo_comm_abort((comm), mpi_err_);                                                  \
        }                                                                                      \
    } while (0)

/* The most elements that one MPI call is given: far below INT_MAX for every type. */
enum { TDO_MPI_CHUNK = 1 << 27 };

/* ---- files that survive a crash, durable.c ---- */

/* "<dir>/<name>", or TDO_ERR_FILE when that does not fit. */
TDO_MUST tdo_err tdo_durable_path(const char *dir, const char *name, char *out, size_t room);

/* Write all of it at an offset: 0, or -1 with the reason in errno. */
int tdo_durable_write(int fd, const void *data, int64_t bytes, int64_t offset);

/* Bring a file, or the names in a directory, to the disk. Errors: TDO_ERR_FILE. */
TDO_MUST tdo_err tdo_durable_sync(const char *path);
TDO_MUST tdo_err tdo_durable_sync_directory(const char *dir);

/* ---- origins of a stored set, origins.c ---- */

struct tdo_dataset_info;
struct tdo_origins;

/* Into an open HDF5 file (a hid_t). Errors: TDO_ERR_FILE naming `path`. Ranks: root. */
TDO_MUST tdo_err tdo_origins_put(int64_t file, const char *path,
                                 const struct tdo_dataset_info *info,
                                 const struct tdo_origins *o);

/* ---- the ledger's format, ledger.c ---- */

enum { TDO_LEDGER_VERSION = 1, TDO_LEDGER_MARK = 0x524f4454 }; /* "TDOR" */

#define TDO_LEDGER_MAGIC "TDOLEDG\n"

/* How a segment begins. */
struct tdo_ledger_start {
    char magic[8];
    uint32_t version, zero;
    uint64_t context;
    uint64_t checksum; /* of the above */
};

/* How a record begins; payload and checksum (u64) follow. */
struct tdo_ledger_head {
    uint32_t mark, kind;
    uint64_t a, b, length;
};

_Static_assert(sizeof(struct tdo_ledger_start) == 32, "no padding in the format");
_Static_assert(sizeof(struct tdo_ledger_head) == 32, "no padding in the format");

enum {
    TDO_LEDGER_FRAME = (int)sizeof(struct tdo_ledger_head) + 8
}; /* record without payload */

/* A segment file's name is a function of these two. */
struct tdo_ledger_segment {
    int64_t start, rank;
};

void tdo_ledger_name(struct tdo_ledger_segment s, char *out, size_t room);

/* The segments in a ledger's directory, sorted; none if there is no directory. Owner: caller,
 * tdo_memory_free. */
TDO_MUST tdo_err tdo_ledger_list(const char *ledger_dir, struct tdo_ledger_segment **out,
                                 int64_t *count);

/* ---- an HDF5 file that is put together in memory, h5file.c ---- */

struct tdo_h5file {
    int64_t file;      /* HDF5's number for it; -1: none */
    const void *bytes; /* borrowed from the file, after tdo_h5file_end */
    int64_t size;
};

/* Begin, add, end; then write it, with a seal, and free it. `bytes`: about how large it gets. An
 * attribute of the file: a text, or numbers; data as a dataset, [count] or [count/width][width].
 * Errors: TDO_ERR_LIBRARY. */
TDO_MUST tdo_err tdo_h5file_begin(int64_t bytes, struct tdo_h5file *m);
TDO_MUST tdo_err tdo_h5file_text(const struct tdo_h5file *m, const char *name,
                                 const char *text);
TDO_MUST tdo_err tdo_h5file_numbers(const struct tdo_h5file *m,
                                    const struct tdo_checkpoint_part *p);
TDO_MUST tdo_err tdo_h5file_data(const struct tdo_h5file *m,
                                 const struct tdo_checkpoint_part *p, int64_t width);
TDO_MUST tdo_err tdo_h5file_end(struct tdo_h5file *m);
/* 0, or -1 with the reason in errno; synced. */
int tdo_h5file_write(const char *path, const struct tdo_h5file *m);
void tdo_h5file_free(struct tdo_h5file *m);

/* ---- the checkpoint's format, checkpoint.c ---- */

#define TDO_CHECKPOINT_NEWEST "checkpoint.h5"
#define TDO_CHECKPOINT_OLDER  "checkpoint.1.h5"
#define TDO_CHECKPOINT_FORMAT "testudo-checkpoint-1"
#define TDO_SEAL_MAGIC        "TDOSEAL\n"

/* The end of a file: how long it is without the seal, and the XXH64 of that. */
struct tdo_seal {
    char magic[8];
    uint64_t bytes, hash;
};

/* TDO_OK if the file is whole and as it was written, whatever it holds; else TDO_ERR_FILE or
 * TDO_ERR_FORMAT naming it. */
TDO_MUST tdo_err tdo_seal_check(const char *path);

/* TDO_ERR_BUG for a name, type or count that no part may have; counts are at least `least`. */
TDO_MUST tdo_err tdo_checkpoint_check(const struct tdo_checkpoint_part *parts, int n,
                                      int64_t least);

/* Bytes of an element; the checksum of checkpoint.h. */
int64_t tdo_checkpoint_size(enum tdo_checkpoint_type type);
uint64_t tdo_checkpoint_hash(const struct tdo_checkpoint_part *parts, int n);

/* ---- the fixed tree over shards, tree.c ---- */

enum { TDO_TREE_MAX_PIECES = 64 };

/* Node `index` of level `level` covers shards [index << level, (index + 1) << level). */
struct tdo_tree_node {
    int level;
    int64_t index;
};

struct tdo_tree {
    int shards;
    int64_t rows; /* of this step; shards without rows are absent */
};

/* The root: the smallest complete tree that holds all shards. */
struct tdo_tree_node tdo_tree_root(int shards);

/* Has any shard below this node rows? */
bool tdo_tree_present(const struct tdo_tree *t, struct tdo_tree_node node);

/* Cut the shards of a rank into the largest complete subtrees, in order; returns how many. The
 * last rank also takes the absent shards up to the next power of two. */
int tdo_tree_pieces(int shards, int size, int rank,
                    struct tdo_tree_node out[TDO_TREE_MAX_PIECES]);

/* Nodes are pushed on a stack in order of their shards. When `node` (present, complete) has
 * been pushed: how many times must the two topmost values be added, until nothing more is
 * complete below `top`? Absent children cost no addition: their sibling is the parent. */
int tdo_tree_merges(const struct tdo_tree *t, struct tdo_tree_node node,
                    struct tdo_tree_node top);

#endif
