/* Timing a loop. See measure.h: a call to warm up, one to learn how long it takes, then as many as
 * fill the time. */
#include "jobs/measure.h"

#include <math.h>

#include "nn/base/log.h"

tdo_err tdo_measure_repeat(tdo_comm *comm, double seconds, tdo_err (*step)(void *),
                           void *context, double *rate)
{
    TDO_TRY(step(context));
    double begin = tdo_log_now();
    TDO_TRY(step(context));
    int64_t times = (int64_t)ceil(seconds / (tdo_log_now() - begin + 1e-9));
    tdo_comm_max_i64(comm, &times, 1);
    begin = tdo_log_now();
    for (int64_t i = 0; i < times; i++) {
        TDO_TRY(step(context));
    }
    *rate = (double)times / (tdo_log_now() - begin);
    return TDO_OK;
}
