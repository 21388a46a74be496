#ifndef TDO_JOBS_RUN_H
#define TDO_JOBS_RUN_H
/* A run: its directory, its record run.json, and what all ranks must have in common.
 *
 * run.json holds one object for each job that wrote into the directory: config as resolved,
 * version, libraries, instruction set, ranks, threads, seed, start and end. */
#include "jobs/job.h"
#include "jobs/network.h"
#include "mpi/dataset.h"
#include "mpi/lock.h"

struct tdo_run {
    tdo_comm *comm;
    const char *job, *dir; /* borrowed from the config */
    tdo_json *record;
    const char *isa; /* of oneDNN; in a build without it, the core of OpenBLAS */
    tdo_lock *lock;
};

/* For jobs that write nothing: the first part of tdo_run_begin, instruction set and threads. dir is
 * run.dir where it is given, else the present directory. Ranks: collective; errors are agreed.
 * Owner: nothing to free. */
TDO_MUST tdo_err tdo_run_machine(struct tdo_job_context *c, const char *job,
                                 struct tdo_run *run);

/* Listen to signals and to the clock (stop.h; run.until, run.margin). Ranks: collective; errors are
 * agreed. */
TDO_MUST tdo_err tdo_run_listen(struct tdo_job_context *c);

/* tdo_run_listen. Agree on the instruction set
 * (the weakest rank's; without oneDNN all ranks must have OpenBLAS's
 * kernels for one core, else TDO_ERR_CONFIG) and the threads, make and lock the directory,
 * refuse it when it holds `result` already (the job is done), and write run.json with the start.
 * Ranks: collective; errors are agreed. */
TDO_MUST tdo_err tdo_run_begin(struct tdo_job_context *c, const char *job, unsigned bit,
                               const char *result, struct tdo_run *run);
/* Add a number to the record (images a second, final loss). Root only; others do nothing. */
void tdo_run_note(struct tdo_run *run, const char *key, double value);
/* Print the most memory that a rank of this job held so far, in bytes, and return it.
 * Ranks: collective. */
double tdo_run_memory(tdo_comm *comm);
/* Print the peak of the memory, and write run.json with it and with the end. Ranks: collective; errors are agreed. */
TDO_MUST tdo_err tdo_run_end(struct tdo_run *run);
void tdo_run_free(struct tdo_run *run);

/* A hash of what must match for saved work to be of use: lines `key=value` that change numbers,
 * and hashes of model and data. TDO_ERR_CONFIG on all ranks when ranks hold different ones.
 * Ranks: collective; errors are agreed. */
TDO_MUST tdo_err tdo_run_context(const struct tdo_run *run, const char *text,
                                 uint64_t *context);

/* The trained network that model.file names, run.dir/model.safetensors if it names none, or those of
 * model.members, with denoisers in front (network_front.h), which the record then names. data:
 * what it must fit, or NULL. Errors: those of tdo_network_front_open. Ranks: not collective, errors are
 * local. Owner: caller, tdo_network_free. */
TDO_MUST tdo_err tdo_run_network(const struct tdo_run *run, const tdo_config *config,
                                 const struct tdo_dataset_info *data, struct tdo_network *out);

/* "<dir>/<name>" in text. */
TDO_MUST tdo_err tdo_run_path(const struct tdo_run *run, const char *name, char *text,
                              size_t size);

#endif
