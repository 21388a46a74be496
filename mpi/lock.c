/* The lock on a run directory. See lock.h.
 *
 * F_SETLK never waits; when somebody else holds the lock F_GETLK tells the process. That number
 * alone means little when the holder is on another host, so the holder writes its host into the
 * file. The note is for people: nothing depends on it, and failing to write it is no error. */
#include "mpi/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "mpi/mpi_impl.h"
#include "nn/base/log.h"
#include "nn/base/memory.h"

enum { ATTEMPTS = 10, NOTE = 80 };

struct tdo_lock {
    int fd; /* -1 where nothing is held: on ranks other than the root */
};

static struct flock whole_file(void)
{
    return (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET};
}

static void write_note(int fd)
{
    char note[NOTE] = "";
    if (gethostname(note, sizeof note - 2) != 0) {
        return;
    }
    size_t length = strlen(note);
    note[length] = '\n';
    bool written = ftruncate(fd, 0) == 0 && pwrite(fd, note, length + 1, 0) > 0;
    (void)written;
}

/* " on <host>" as the holder wrote it, or nothing if that is no host name. */
static void read_note(int fd, char out[NOTE + 8])
{
    char note[NOTE + 1] = "";
    ssize_t n = pread(fd, note, NOTE, 0);
    size_t length = strspn(note, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "0123456789.-_");
    bool good = n > 0 && length > 0 && note[length] == '\n';
    snprintf(out, NOTE + 8, good ? " on %.*s" : "%.*s", good ? (int)length : 0, note);
}

static tdo_err refuse(int fd, const char *dir, const char *path, long pid)
{
    char host[NOTE + 8];
    read_note(fd, host);
    return TDO_FAIL(TDO_ERR_FILE,
                    "%s: another job works in this directory: process %ld%s holds %s", dir, pid,
                    host, path);
}

/* Lock an open file, unless another process has it. */
static tdo_err lock_file(int fd, const char *dir, const char *path)
{
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        struct flock l = whole_file();
        if (fcntl(fd, F_SETLK, &l) == 0) {
            write_note(fd);
            return TDO_OK;
        }
        int reason = errno;
        if (reason == ENOLCK || reason == ENOSYS || reason == EOPNOTSUPP) {
            tdo_log_root(TDO_LOG_WARN,
                         "%s: this file system gives no locks (%s): nothing keeps a second job "
                         "out of the directory",
                         path, strerror(reason));
            return TDO_OK;
        }
        if (reason != EACCES && reason != EAGAIN && reason != EINTR) {
            return TDO_FAIL(TDO_ERR_FILE, "%s: cannot be locked: %s", path, strerror(reason));
        }
        l = whole_file();
        if (fcntl(fd, F_GETLK, &l) == 0 && l.l_type != F_UNLCK) {
            return refuse(fd, dir, path, (long)l.l_pid);
        }
    }
    return TDO_FAIL(TDO_ERR_FILE, "%s: cannot be locked: it changes hands all the time", path);
}

/* The root's part. */
static tdo_err take(struct tdo_lock *l, const char *dir)
{
    char path[PATH_MAX];
    TDO_TRY(tdo_durable_path(dir, "lock", path, sizeof path));
    l->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (l->fd < 0) {
        return TDO_FAIL(TDO_ERR_FILE, "%s: cannot be opened: %s", path, strerror(errno));
    }
    return lock_file(l->fd, dir, path);
}

tdo_err tdo_lock_take(tdo_comm *comm, const char *dir, tdo_lock **out)
{
    *out = NULL;
    struct tdo_lock *l = NULL;
    tdo_err err = tdo_memory_new(1, &l);
    if (err == TDO_OK) {
        l->fd = -1;
        err = comm->rank == 0 ? take(l, dir) : TDO_OK;
    }
    TDO_GOTO(tdo_comm_agree(comm, err));
    *out = l;
    l = NULL;
done:
    tdo_lock_free(&l);
    return err;
}

void tdo_lock_free(tdo_lock **out)
{
    if (*out && (*out)->fd >= 0) {
        close((*out)->fd);
    }
    tdo_memory_free(out);
}
