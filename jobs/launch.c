/* How this program was launched. See launch.h.
 *
 * Slurm tells a task of srun the size of its step (SLURM_STEP_NUM_TASKS); a batch script has no
 * step, so a program that is started in it without srun is one rank on purpose. */
#define _GNU_SOURCE /* NOLINT(bugprone-reserved-identifier): of sched_getaffinity */
#include "jobs/launch.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "nn/base/log.h"
#include "nn/base/memory.h"

/* A whole number of the environment; 0 if it is none. */
static int64_t number_of(const char *name)
{
    const char *text = getenv(name);
    char *end = NULL;
    const long long value = text ? strtoll(text, &end, 10) : 0;
    return text && end != text && *end == '\0' ? (int64_t)value : 0;
}

static int cores_here(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) == 0) {
        return CPU_COUNT(&set);
    }
    return (int)sysconf(_SC_NPROCESSORS_ONLN); /* more cores than a cpu_set_t has bits */
}

static int count_different(const int64_t *of, int n)
{
    int different = 0;
    for (int i = 0; i < n; i++) {
        int k = 0;
        while (k < i && of[k] != of[i]) {
            k++;
        }
        different += k == i;
    }
    return different;
}

void tdo_launch_look(tdo_comm *comm, struct tdo_launch *out)
{
    char host[256] = "";
    int64_t cores = cores_here(), *hosts = NULL;
    *out = (struct tdo_launch){.ranks = tdo_comm_size(comm)};
    if (gethostname(host, sizeof host - 1) != 0 ||
        tdo_memory_new(out->ranks, &hosts) != TDO_OK) {
        tdo_comm_abort(comm, TDO_ERR_MEMORY);
    }
    tdo_comm_gather_i64(comm, (int64_t)XXH64(host, strlen(host), 0), hosts);
    out->nodes = count_different(hosts, out->ranks);
    tdo_memory_free(&hosts);
    tdo_comm_min_i64(comm, &cores, 1);
    out->cores = (int)cores;
}

tdo_err tdo_launch_check(const tdo_comm *comm)
{
    const int64_t tasks = number_of("SLURM_STEP_NUM_TASKS");
    if (tasks > 1 && tdo_comm_size(comm) == 1 && !getenv("OMPI_COMM_WORLD_SIZE")) {
        return TDO_FAIL(
            TDO_ERR_CONFIG,
            "srun started %lld programs of one rank, not one job of %lld ranks: its "
            "--mpi does not fit this MPI library (%s); srun --mpi=pmix or mpirun "
            "expected",
            (long long)tasks, (long long)tasks, tdo_comm_library());
    }
    return TDO_OK;
}

bool tdo_launch_echoes(const tdo_comm *comm)
{
    return comm && tdo_comm_size(comm) == 1 && number_of("SLURM_STEP_NUM_TASKS") > 1 &&
           number_of("SLURM_PROCID") > 0;
}

void tdo_launch_warn(tdo_comm *comm, int threads)
{
    int64_t cores = cores_here();
    tdo_comm_min_i64(comm, &cores, 1);
    if (threads > cores) {
        tdo_log_root(TDO_LOG_WARN,
                     "run.threads = %d, but the affinity mask gives a rank %lld %s: as many "
                     "cores as threads expected (srun --cpus-per-task=%d, mpirun --map-by "
                     "slot:PE=%d)",
                     threads, (long long)cores, cores == 1 ? "core" : "cores", threads,
                     threads);
    }
}

int64_t tdo_launch_end(tdo_comm *comm)
{
    int64_t end = number_of("SLURM_JOB_END_TIME");
    tdo_comm_broadcast(comm, &end, (int64_t)sizeof end);
    return end > 0 ? end : 0;
}
