#ifndef TDO_MPI_LOCK_H
#define TDO_MPI_LOCK_H
/* A lock on a run directory that dies with its owner.
 *
 * The root holds an fcntl record lock on <dir>/lock. The kernel (on NFS the server) drops it
 * when the process ends, however it ends, so no stale lock is ever left; the file itself stays
 * and means nothing. It also says who took the lock last, for the message to those who come
 * second. */
#include "mpi/comm.h"
#include "nn/base/error.h"

typedef struct tdo_lock tdo_lock;

/* Take the lock, or fail at once. The directory must exist. A file system that has no locks at
 * all (Lustre mounted without flock) gets a warning and is used without one.
 *
 * fcntl locks belong to the process: one lock for a directory in a process, and nobody else in
 * it may open and close <dir>/lock, since closing any descriptor of the file drops the lock.
 *
 * Errors:  TDO_ERR_FILE naming the directory, and the process that holds it.
 * Ranks:   collective; errors are agreed.
 * Owner:   caller, tdo_lock_free. */
TDO_MUST tdo_err tdo_lock_take(tdo_comm *comm, const char *dir, tdo_lock **out);

/* Give it back; NULL is fine.
 * Ranks:   not collective; the root's call counts. */
void tdo_lock_free(tdo_lock **out);

#endif
