/* The table of jobs. See job.h. */
#include "jobs/job.h"

#include <string.h>

#define JOB(name) extern const struct tdo_job tdo_job_##name;
#include "jobs/jobs.def"
#undef JOB

const struct tdo_job *const tdo_job_table[] = {
#define JOB(name) &tdo_job_##name,
#include "jobs/jobs.def"
#undef JOB
    NULL};

const char *tdo_job_name(int i)
{
    return i < TDO_JOB_NUMBERS ? tdo_job_table[i]->name : NULL;
}

const struct tdo_job *tdo_job_find(const char *name)
{
    for (int i = 0; tdo_job_table[i]; i++) {
        if (strcmp(tdo_job_table[i]->name, name) == 0) {
            return tdo_job_table[i];
        }
    }
    return NULL;
}
