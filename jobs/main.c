/* testudo <job> [config] [key=value ...]: find the job, read its configuration, run it.
 *
 * Exit code: 0 done, 2 wrong command line or configuration, 1 anything else that fails, 3 stopped
 * early, start again to go on. It is the same on all ranks. */
#include <signal.h>
#include <string.h>

#include "jobs/job.h"
#include "jobs/launch.h"
#include "nn/base/exact.h"
#include "nn/base/log.h"

static const char *job_name(const void *context, int i)
{
    (void)context;
    return tdo_job_name(i);
}

static tdo_err choose_job(int argc, char **argv, const struct tdo_job **job)
{
    if (argc < 2) {
        return TDO_FAIL(TDO_ERR_USAGE, "usage: testudo <job> [config] [key=value ...]; testudo "
                                       "help lists the jobs");
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        name = "help";
    }
    *job = tdo_job_find(name);
    if (*job) {
        return TDO_OK;
    }
    const char *near = tdo_option_nearest(name, job_name, NULL, TDO_JOB_NUMBERS);
    return TDO_FAIL(TDO_ERR_USAGE, "no job is called '%s'%s%s%s; testudo help lists them", name,
                    near ? ", did you mean '" : "", near ? near : "", near ? "'" : "");
}

/* The first argument without `=` is the word; all others are settings. */
static tdo_err read_arguments(int argc, char **argv, const struct tdo_job *job,
                              struct tdo_job_context *context)
{
    for (int i = 2; i < argc; i++) {
        if (strchr(argv[i], '=')) {
            continue;
        }
        if (context->word || !job->word) {
            return TDO_FAIL(TDO_ERR_USAGE, "testudo %s: '%s' is one argument too many",
                            job->name, argv[i]);
        }
        context->word = argv[i];
    }
    TDO_TRY(tdo_config_new(&tdo_job_schema, &context->config));
    if (context->word && strcmp(job->word, "config") == 0) {
        TDO_TRY(tdo_config_load(context->config, context->word));
    }
    for (int i = 2; i < argc; i++) {
        if (strchr(argv[i], '=')) {
            TDO_TRY(tdo_config_set(context->config, argv[i]));
        }
    }
    return tdo_config_check(context->config, job->bit);
}

/* A job without MPI says what it has to say once in a launch: on the rank that the launcher calls
 * the first. */
static tdo_err run_alone(int argc, char **argv, const struct tdo_job *job,
                         struct tdo_job_context *context)
{
    if (tdo_log_launched_rank() > 0) {
        return TDO_OK;
    }
    TDO_TRY(read_arguments(argc, argv, job, context));
    return job->run(context);
}

/* Every rank comes out with the same error. */
static tdo_err run(int argc, char **argv, struct tdo_job_context *context)
{
    const struct tdo_job *job = NULL;
    tdo_err err = choose_job(argc, argv, &job);
    if (err == TDO_OK && job->alone) {
        return run_alone(argc, argv, job, context);
    }
    TDO_TRY(tdo_comm_new(&context->comm));
    TDO_TRY(tdo_launch_check(context->comm)); /* fails in worlds of one rank */
    if (err == TDO_OK) {
        err = read_arguments(argc, argv, job, context);
    }
    TDO_TRY(tdo_comm_agree(context->comm, err));
    return tdo_comm_agree(context->comm, job->run(context));
}

int main(int argc, char **argv)
{
    struct tdo_job_context context = {0};
    signal(SIGXFSZ,
           SIG_IGN); /* a file that may not grow is an error of write(2), not the end */
    tdo_err err = run(argc, argv, &context);
    if (!tdo_launch_echoes(context.comm)) {
        tdo_comm_report(context.comm, err);
    }
    tdo_config_free(&context.config);
    tdo_comm_free(&context.comm);
    tdo_exact_cleanup();
    return tdo_error_exit_code(err);
}
