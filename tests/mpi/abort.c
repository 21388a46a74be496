/* For abort.sh: the last rank gives up while the others wait for it in an agreement. */
#include <stddef.h>

#include "mpi/comm.h"
#include "nn/base/error.h"

int main(void)
{
    tdo_comm *comm = NULL;
    tdo_err err = tdo_comm_new(&comm);
    if (err != TDO_OK) {
        return 99;
    }
    if (tdo_comm_rank(comm) == tdo_comm_size(comm) - 1) {
        tdo_comm_abort(comm,
                       TDO_FAIL(TDO_ERR_CONFIG, "train.lr is -1, more than 0 is expected"));
    }
    err = tdo_comm_agree(comm, TDO_OK);
    return 98;
}
