#ifndef TDO_MPI_IMPL_H
#define TDO_MPI_IMPL_H
/* What the files of this folder share: the communicator's body, every message tag, the check of
 * MPI return codes, and the fixed summation tree. Not for other folders. */
#include <mpi.h>
#include <stdbool.h>
#include <stdint.h>

#include "mpi/comm.h"
#include "mpi/shard.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "files are little-endian");

struct tdo_comm {
    MPI_Comm world; /* our duplicate, MPI_ERRORS_RETURN */
    int rank, size;
    bool started; /* we called MPI_Init_thread, so we finalise */
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
int tdo_tree_pieces(int shards, int size, int rank, struct tdo_tree_node out[TDO_TREE_MAX_PIECES]);

/* Nodes are pushed on a stack in order of their shards. When `node` (present, complete) has
 * been pushed: how many times must the two topmost values be added, until nothing more is
 * complete below `top`? Absent children cost no addition: their sibling is the parent. */
int tdo_tree_merges(const struct tdo_tree *t, struct tdo_tree_node node, struct tdo_tree_node top);

#endif
