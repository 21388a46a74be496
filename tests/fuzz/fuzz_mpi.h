#ifndef TDO_TESTS_FUZZ_MPI_H
#define TDO_TESTS_FUZZ_MPI_H
/* For targets whose parser belongs to a communicator: this process, as the only rank. */
#include "mpi/comm.h"
#include "tests/fuzz/fuzz.h"

/* Made at the first call. NULL, after a message, if MPI does not start. */
tdo_comm *fuzz_comm(void);

#endif
