/* The main program of an MPI suite: every rank runs it, and it fails on all ranks if an
 * assertion failed on any. Ranks other than the root are silent unless something failed there.
 * */
#include <string.h>
#include <unistd.h>

#include "nn/base/exact.h"
#include "nn/base/log.h"
#include "tests/mpi/runner.h"
#include "tests/runner_common.h"

tdo_comm *runner_comm;

const char *runner_path(const char *name)
{
    static char path[256];
    int64_t id = getpid();
    tdo_comm_broadcast(runner_comm, &id, (int64_t)sizeof id);
    snprintf(path, sizeof path, "test_%lld_%s", (long long)id, name);
    return path;
}

/* Run with standard output kept in a file; show it if there were failures. */
static unsigned run_quietly(void)
{
    FILE *kept = tmpfile();
    int out = dup(STDOUT_FILENO);
    if (!kept || out < 0) {
        return runner_run();
    }
    fflush(stdout);
    dup2(fileno(kept), STDOUT_FILENO);
    unsigned failures = runner_run();
    fflush(stdout);
    dup2(out, STDOUT_FILENO);
    close(out);
    rewind(kept);
    char line[512];
    while (failures && fgets(line, sizeof line, kept)) {
        fprintf(stderr, "[rank %d] %s", tdo_comm_rank(runner_comm), line);
    }
    fclose(kept);
    return failures;
}

int main(void)
{
    tdo_err err = tdo_comm_new(&runner_comm);
    if (err != TDO_OK) {
        tdo_log_error();
        return tdo_error_exit_code(err);
    }
    int64_t failures = tdo_comm_rank(runner_comm) == 0 ? runner_run() : run_quietly();
    tdo_comm_max_i64(runner_comm, &failures, 1);
    tdo_comm_free(&runner_comm);
    tdo_exact_cleanup();
    return failures ? 1 : 0;
}
