/* testudo help [job]: the jobs, or the options of one, printed from the tables themselves. */
#include <stdio.h>

#include "jobs/job.h"

static void overview(void)
{
    printf("testudo " TDO_VERSION "\n\n"
           "testudo <job> [config] [key=value ...]\n"
           "mpirun -n RANKS testudo <job> [config] [key=value ...]\n\n");
    for (int i = 0; tdo_job_table[i]; i++) {
        printf("  %-8s %s\n", tdo_job_table[i]->name, tdo_job_table[i]->help);
    }
    printf(
        "\nA config is a libconfig file; arguments win over it. Items of a list are written\n"
        "defense.0.sigma=0.5; defense=gaussian replaces the list by one row with defaults.\n"
        "testudo help <job> shows the options of a job, testudo list everything else.\n"
        "Exit code: 0 done, 2 wrong command line or config, 3 start again to go on, 1 "
        "failed.\n");
}

static tdo_err help(struct tdo_job_context *c)
{
    if (!c->word) {
        overview();
        return TDO_OK;
    }
    const struct tdo_job *job = tdo_job_find(c->word);
    if (!job) {
        return TDO_FAIL(TDO_ERR_USAGE, "no job is called '%s'; testudo help lists them",
                        c->word);
    }
    printf("testudo %s [%s] [key=value ...]: %s\n\n", job->name, job->word, job->help);
    tdo_option_print(stdout, &tdo_job_schema, job->bit);
    return TDO_OK;
}

const struct tdo_job tdo_job_help = {
    .name = "help",
    .help = "print the jobs, or the options of one",
    .word = "job",
    .bit = TDO_JOB_help,
    .alone = true,
    .run = help,
};
