#ifndef TDO_TESTS_MPI_FILES_H
#define TDO_TESTS_MPI_FILES_H
/* What the suites about files share: directories of a test, whole files in and out, a limit that
 * acts like a full disk, and what was printed meanwhile. Only the root touches files. */
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/mpi/runner.h"

enum { FILES_ROOM = 1 << 16 };

static inline bool files_root(void)
{
    return tdo_comm_rank(runner_comm) == 0;
}

/* Everyone has come here. */
static inline void files_meet(void)
{
    ASSERT_OK(tdo_comm_agree(runner_comm, TDO_OK));
}

/* An empty directory, the same on all ranks, in `out`. */
static inline void files_make_dir(const char *name, char out[256])
{
    snprintf(out, 256, "%s", runner_path(name));
    CU_ASSERT(!files_root() || mkdir(out, 0777) == 0);
    files_meet();
}

/* Remove a directory of a test with all that is in it. */
static inline void files_remove_dir(const char *dir)
{
    char command[300];
    files_meet();
    snprintf(command, sizeof command, "rm -rf -- '%s'", dir);
    CU_ASSERT(!files_root() || system(command) == 0);
    files_meet();
}

static inline const char *files_join(const char *dir, const char *name)
{
    static char path[4][600];
    static int next;
    next = (next + 1) % 4;
    snprintf(path[next], sizeof path[next], "%s/%s", dir, name);
    return path[next];
}

/* Bytes of a file (at most FILES_ROOM), -1 if there is none. */
static inline int64_t files_read(const char *path, void *to)
{
    FILE *f = fopen(path, "rb");
    if (!f) {
        return -1;
    }
    int64_t n = (int64_t)fread(to, 1, FILES_ROOM, f);
    fclose(f);
    return n;
}

static inline void files_write(const char *path, const void *data, int64_t n)
{
    FILE *f = fopen(path, "wb");
    CU_ASSERT_FATAL(f != NULL);
    CU_ASSERT(fwrite(data, 1, (size_t)n, f) == (size_t)n);
    CU_ASSERT(fclose(f) == 0);
}

/* No file of this process may grow beyond `bytes`; -1 ends that. */
static inline void files_limit(int64_t bytes)
{
    struct rlimit l;
    signal(SIGXFSZ, SIG_IGN);
    CU_ASSERT(getrlimit(RLIMIT_FSIZE, &l) == 0);
    l.rlim_cur = bytes >= 0 ? (rlim_t)bytes : l.rlim_max;
    CU_ASSERT(setrlimit(RLIMIT_FSIZE, &l) == 0);
}

/* Standard error into a file, until files_said gives what came. Not nested. */
static int files_kept_error = -1;
static FILE *files_heard;

static inline void files_listen(void)
{
    fflush(stderr);
    files_heard = tmpfile();
    files_kept_error = dup(STDERR_FILENO);
    CU_ASSERT_FATAL(files_heard != NULL && files_kept_error >= 0);
    dup2(fileno(files_heard), STDERR_FILENO);
}

static inline const char *files_said(void)
{
    static char text[8192];
    fflush(stderr);
    dup2(files_kept_error, STDERR_FILENO);
    close(files_kept_error);
    rewind(files_heard);
    size_t n = fread(text, 1, sizeof text - 1, files_heard);
    text[n] = '\0';
    fclose(files_heard);
    return text;
}

static inline int files_lines(const char *text)
{
    int n = 0;
    for (; *text; text++) {
        n += *text == '\n';
    }
    return n;
}

/* Does the present error say so? */
static inline bool files_error_says(const char *what)
{
    return strstr(tdo_error_last()->message, what) != NULL;
}

#endif
