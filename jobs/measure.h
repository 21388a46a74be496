#ifndef TDO_JOBS_MEASURE_H
#define TDO_JOBS_MEASURE_H
/* Timing a loop on all ranks at once, as bench and plan do. */
#include "mpi/comm.h"

/* Run `step` as often as fits into the time behind a warm-up, the same number of times on every rank
 * (steps may be collective), and give the calls a second of this rank. Errors: those of step, not
 * agreed. Ranks: collective. */
TDO_MUST tdo_err tdo_measure_repeat(tdo_comm *comm, double seconds, tdo_err (*step)(void *),
                                    void *context, double *rate);

#endif
