/* What a launch looks like, in environments as Slurm makes them. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "jobs/launch.h"
#include "tests/mpi/runner.h"

const char suite_name[] = "launch";

static void put(const char *name, const char *value)
{
    CU_ASSERT_EQUAL(value ? setenv(name, value, 1) : unsetenv(name), 0);
}

static void look(void)
{
    struct tdo_launch l;
    tdo_launch_look(runner_comm, &l);
    CU_ASSERT_EQUAL(l.ranks, tdo_comm_size(runner_comm));
    CU_ASSERT_EQUAL(l.nodes, 1);
    CU_ASSERT(l.cores >= 1);
    CU_ASSERT(l.cores <= sysconf(_SC_NPROCESSORS_CONF));
}

static void singletons(void)
{
    const bool alone = tdo_comm_size(runner_comm) == 1;
    char *by_mpirun = getenv("OMPI_COMM_WORLD_SIZE");
    put("SLURM_STEP_NUM_TASKS", "4");
    put("SLURM_PROCID", "0");
    if (by_mpirun) { /* its orted is a task of a step with one task a node */
        CU_ASSERT_EQUAL(tdo_launch_check(runner_comm), TDO_OK);
    }
    by_mpirun = by_mpirun ? strdup(by_mpirun) : NULL;
    put("OMPI_COMM_WORLD_SIZE", NULL);
    CU_ASSERT_EQUAL(tdo_launch_check(runner_comm), alone ? TDO_ERR_CONFIG : TDO_OK);
    if (alone) {
        CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, "4 programs of one rank"));
    }
    CU_ASSERT_FALSE(tdo_launch_echoes(runner_comm));
    put("SLURM_PROCID", "1");
    CU_ASSERT_EQUAL(tdo_launch_echoes(runner_comm), alone);
    put("SLURM_STEP_NUM_TASKS", "1");
    CU_ASSERT_EQUAL(tdo_launch_check(runner_comm), TDO_OK);
    put("SLURM_STEP_NUM_TASKS", NULL);
    put("SLURM_NTASKS", "4"); /* in a batch script, without srun */
    CU_ASSERT_EQUAL(tdo_launch_check(runner_comm), TDO_OK);
    put("SLURM_NTASKS", NULL);
    put("SLURM_PROCID", NULL);
    put("OMPI_COMM_WORLD_SIZE", by_mpirun);
    free(by_mpirun);
    tdo_error_clear();
}

static void end_of_time(void)
{
    static const struct {
        const char *text;
        int64_t end;
    } cases[] = {{"1700000000", 1700000000}, {NULL, 0}, {"", 0},
                 {"UNLIMITED", 0},           {"-5", 0}, {"12x", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        /* the root's word counts */
        put("SLURM_JOB_END_TIME", tdo_comm_rank(runner_comm) == 0 ? cases[i].text : "77");
        CU_ASSERT_EQUAL(tdo_launch_end(runner_comm), cases[i].end);
    }
    put("SLURM_JOB_END_TIME", NULL);
}

CU_TestInfo suite_tests[] = {
    {"ranks, nodes and cores are those of this launch", look},
    {"programs that srun started apart from each other are told from ranks", singletons},
    {"the end of the job's time is a number, or none", end_of_time},
    CU_TEST_INFO_NULL,
};
