/* One rank without a launcher. See fuzz_mpi.h. */
#include "tests/fuzz/fuzz_mpi.h"

#include <stdlib.h>

#include "nn/base/log.h"

static tdo_comm *comm;

static void stop(void)
{
    tdo_comm_free(&comm);
}

tdo_comm *fuzz_comm(void)
{
    if (!comm) {
        setenv("OMPI_MCA_ess_singleton_isolated", "1", 0);
        setenv("OMPI_MCA_btl", "self", 0);
        if (tdo_comm_new(&comm) != TDO_OK) {
            tdo_log_error();
            abort();
        }
        atexit(stop);
    }
    return comm;
}
