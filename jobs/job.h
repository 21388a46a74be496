#ifndef TDO_JOBS_JOB_H
#define TDO_JOBS_JOB_H
/* Jobs: the subcommands of testudo. One job = one file + one row of jobs.def.
 *
 * A job only composes: parse, open, loop, record, close. `alone` jobs print something and never
 * start MPI; the others run on all ranks of a launch, and every rank leaves them with the same
 * error. */
#include "mpi/comm.h"
#include "nn/base/config.h"
#include "nn/base/options.h"

/* One bit a job, in the order of jobs.def: TDO_JOB_train, ... */
enum tdo_job_number {
#define JOB(name) TDO_JOB_NUMBER_##name,
#include "jobs/jobs.def"
#undef JOB
    TDO_JOB_NUMBERS
};
enum tdo_job_bit {
#define JOB(name) TDO_JOB_##name = 1 << TDO_JOB_NUMBER_##name,
#include "jobs/jobs.def"
#undef JOB
    TDO_JOB_ALL = (1 << TDO_JOB_NUMBERS) - 1
};

/* What a job is given. */
struct tdo_job_context {
    tdo_comm *comm; /* NULL for an `alone` job */
    tdo_config *config;
    const char *word; /* the argument without `=`: config file, table, job; NULL if absent */
};

struct tdo_job {
    const char *name, *help;
    const char *word; /* what the argument without `=` is: "config", "table", "job" */
    const char *(*words)(int i); /* what it can be, NULL past the end; NULL: a file */
    unsigned bit;
    bool alone;
    tdo_err (*run)(struct tdo_job_context *context);
};

extern const struct tdo_job *const tdo_job_table[];   /* NULL-ended */
const char *tdo_job_name(int i);                      /* NULL past the end */
const struct tdo_job *tdo_job_find(const char *name); /* NULL if absent */

/* Every option of testudo (jobs/options.def). */
extern const struct tdo_schema tdo_job_schema;

#endif
