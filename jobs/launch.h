#ifndef TDO_JOBS_LAUNCH_H
#define TDO_JOBS_LAUNCH_H
/* How this program was launched: ranks, nodes, cores, and when its time is over; and what is wrong
 * with that.
 *
 * A launcher that does not fit the MPI library starts N programs of one rank each, which would all
 * do the whole work and fall over each other's files. */
#include <stdbool.h>
#include <stdint.h>

#include "mpi/comm.h"

struct tdo_launch {
    int ranks, nodes;
    int cores; /* that a rank may run on; the fewest of all ranks */
};

/* Ranks: collective; the same on all. */
void tdo_launch_look(tdo_comm *comm, struct tdo_launch *out);

/* TDO_ERR_CONFIG when Slurm started several tasks and this one is alone in its world. Ranks: not
 * collective. */
TDO_MUST tdo_err tdo_launch_check(const tdo_comm *comm);
/* Such a task that is not the first: what it has to say the first one says. */
bool tdo_launch_echoes(const tdo_comm *comm);

/* Warn once when a rank has more threads than cores. Ranks: collective. */
void tdo_launch_warn(tdo_comm *comm, int threads);

/* When the job's time is over, as Slurm tells it: seconds since 1970, 0 if it does not. The root's
 * answer on all. Ranks: collective. */
int64_t tdo_launch_end(tdo_comm *comm);

#endif
