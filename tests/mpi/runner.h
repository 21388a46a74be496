#ifndef TDO_TESTS_MPI_RUNNER_H
#define TDO_TESTS_MPI_RUNNER_H
/* What an MPI suite gets beside tests/runner.h. Every rank runs every test; assert after
 * collectives and never leave one early. */
#include "mpi/comm.h"
#include "tests/runner.h"

/* The communicator of the suite. */
extern tdo_comm *runner_comm;

/* A file name for this run of this suite, equal on all ranks, in the working directory. */
const char *runner_path(const char *name);

#endif
