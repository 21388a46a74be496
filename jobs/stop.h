#ifndef TDO_JOBS_STOP_H
#define TDO_JOBS_STOP_H
/* Stopping early, so that the job can be started again and go on (exit code 3).
 *
 * Two things ask for it: a signal (SIGTERM, or SIGUSR1 as batch systems send ahead of a time
 * limit), and the clock, when the end of the job's time is near. Either only raises a flag. Work
 * that is handed out in leases looks at the flag of its own rank between two items
 * (tdo_stop_check), for what is finished is recorded; training, whose ranks must stop behind the
 * same step, agrees about once a second (tdo_stop_agreed), so that agreeing costs nothing.
 *
 * A second SIGTERM ends the process as if nobody listened. */
#include <stdbool.h>
#include <stdint.h>

#include "mpi/comm.h"

/* Raise the flag at these signals from now on, and `margin` seconds before the time `until`
 * (seconds since 1970; 0: never).
 * Errors: TDO_ERR_CONFIG when there is no time left. Ranks: not collective. */
TDO_MUST tdo_err tdo_stop_listen(int64_t until, int64_t margin);

/* Was this rank asked to stop? Ranks: not collective. */
bool tdo_stop_asked(void);
/* TDO_ERR_STOPPED if it was. Ranks: not collective. */
TDO_MUST tdo_err tdo_stop_check(void);
/* The same error, for a caller that knows. */
TDO_MUST tdo_err tdo_stop_error(void);

/* Which steps ask the others; all zero at the start. */
struct tdo_stop_pace {
    int64_t next; /* step behind which ranks agree again */
    int64_t seen; /* step behind which they last did */
    double when;  /* seconds, of the log's clock */
};
/* Behind step `step` (1, 2, ...): was any rank asked to stop? Ranks: collective, same step on all;
 * same answer on all. */
bool tdo_stop_agreed(tdo_comm *comm, struct tdo_stop_pace *pace, int64_t step);

#endif
