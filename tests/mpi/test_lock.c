/* The lock on a run directory, against other processes: fork gives us those, and fcntl locks are
 * not inherited. The children do nothing but file calls. */
#include <errno.h>
#include <sys/wait.h>

#include "mpi/lock.h"
#include "nn/base/memory.h"
#include "tests/mpi/files.h"

const char suite_name[] = "mpi/lock";

/* Try to lock `path` as another process would; 0 when it was free. */
static int try_from_outside(const char *path)
{
    pid_t child = fork();
    if (child == 0) {
        struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        int fd = open(path, O_RDWR);
        _exit(fd < 0 ? 2 : fcntl(fd, F_SETLK, &l) != 0);
    }
    int status = -1;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* A process that holds the lock until it is killed; returns when it has it. */
static pid_t hold_from_outside(const char *path)
{
    int ready[2];
    CU_ASSERT_FATAL(pipe(ready) == 0);
    pid_t child = fork();
    if (child == 0) {
        struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        int fd = open(path, O_RDWR | O_CREAT, 0666);
        if (fd < 0 || fcntl(fd, F_SETLK, &l) != 0 || write(fd, "node-17.x\n", 10) != 10 ||
            write(ready[1], "x", 1) != 1) {
            _exit(1);
        }
        for (;;) {
            pause();
        }
    }
    char c;
    CU_ASSERT(read(ready[0], &c, 1) == 1);
    close(ready[0]);
    close(ready[1]);
    return child;
}

static void keeps_others_out(void)
{
    char dir[256];
    tdo_lock *lock = NULL;
    files_make_dir("lock", dir);
    ASSERT_OK_FATAL(tdo_lock_take(runner_comm, dir, &lock));
    if (files_root()) {
        CU_ASSERT_EQUAL(try_from_outside(files_join(dir, "lock")), 1);
        CU_ASSERT_EQUAL(try_from_outside(files_join(dir, "lock")), 1);
    }
    tdo_lock_free(&lock);
    CU_ASSERT_PTR_NULL(lock);
    if (files_root()) {
        CU_ASSERT_EQUAL(try_from_outside(files_join(dir, "lock")), 0);
    }
    files_meet();
    ASSERT_OK(tdo_lock_take(runner_comm, dir, &lock));
    tdo_lock_free(&lock);
    tdo_lock_free(&lock);
    files_remove_dir(dir);
}

static void refused_while_the_first_lives(void)
{
    char dir[256], process[64] = "";
    tdo_lock *lock = NULL;
    pid_t child = 0;
    files_make_dir("held", dir);
    if (files_root()) {
        child = hold_from_outside(files_join(dir, "lock"));
        snprintf(process, sizeof process, "process %ld on node-17.x holds", (long)child);
    }
    for (int i = 0; i < 2; i++) {
        CU_ASSERT_EQUAL(tdo_lock_take(runner_comm, dir, &lock), TDO_ERR_FILE);
        CU_ASSERT_PTR_NULL(lock);
        CU_ASSERT(files_error_says(dir) && files_error_says(process));
    }
    if (files_root()) {
        CU_ASSERT(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
    }
    files_meet();
    ASSERT_OK(tdo_lock_take(runner_comm, dir, &lock));
    tdo_lock_free(&lock);
    files_remove_dir(dir);
}

static void failures_are_agreed(void)
{
    char dir[256];
    tdo_lock *lock = NULL;
    files_make_dir("bad", dir);
    const char *missing = files_join(dir, "missing");
    CU_ASSERT_EQUAL(tdo_lock_take(runner_comm, missing, &lock), TDO_ERR_FILE);
    CU_ASSERT(files_error_says(missing));
    if (tdo_comm_rank(runner_comm) == tdo_comm_size(runner_comm) - 1) {
        tdo_memory_fail_after(1);
    }
    CU_ASSERT_EQUAL(tdo_lock_take(runner_comm, dir, &lock), TDO_ERR_MEMORY);
    tdo_memory_fail_after(0);
    if (files_root()) { /* the root, which had it, gave it back */
        const char *path = files_join(dir, "lock");
        CU_ASSERT(access(path, F_OK) != 0 || try_from_outside(path) == 0);
    }
    files_remove_dir(dir);
}

CU_TestInfo suite_tests[] = {
    {"a lock keeps other processes out until it is given back", keeps_others_out},
    {"while another process lives the lock is refused on all ranks with its number and host, "
     "and "
     "free after kill -9",
     refused_while_the_first_lives},
    {"a missing directory and failing memory on one rank are the same error on all",
     failures_are_agreed},
    CU_TEST_INFO_NULL};
