/* testudo help [job|man|bash]: the jobs, the options of one, the manual page or the completion
 * of the shell; all printed from the tables themselves. */
#include <stdio.h>
#include <string.h>

#include "jobs/job.h"
#include "jobs/manual.h"

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
        "testudo help <job> shows the options of a job, testudo list everything else;\n"
        "testudo help man prints a manual page, testudo help bash a completion for the shell.\n"
        "Exit code: 0 done, 2 wrong command line or config, 3 start again to go on, 1 "
        "failed.\n");
}

/* What is not a job. */
static const struct page {
    const char *name;
    void (*print)(FILE *to);
} pages[] = {{"man", tdo_manual_print}, {"bash", tdo_completion_print}};
enum { PAGES = sizeof pages / sizeof *pages };

static const char *word(int i)
{
    if (i < TDO_JOB_NUMBERS) {
        return tdo_job_name(i);
    }
    return i < TDO_JOB_NUMBERS + PAGES ? pages[i - TDO_JOB_NUMBERS].name : NULL;
}

static tdo_err help(struct tdo_job_context *c)
{
    if (!c->word) {
        overview();
        return TDO_OK;
    }
    for (int i = 0; i < PAGES; i++) {
        if (strcmp(c->word, pages[i].name) == 0) {
            pages[i].print(stdout);
            return TDO_OK;
        }
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
    .help = "print the jobs, the options of one, the manual page (man) or a completion (bash)",
    .word = "job",
    .words = word,
    .bit = TDO_JOB_help,
    .alone = true,
    .run = help,
};
