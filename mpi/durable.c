/* What it takes for a file to survive a crash: complete writes, and syncs of files and of the
 * directories that hold their names. Private to this folder; declared in mpi_impl.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "mpi/mpi_impl.h"

tdo_err tdo_durable_path(const char *dir, const char *name, char *out, size_t room)
{
    int n = snprintf(out, room, "%s/%s", dir, name);
    if (n < 0 || (size_t)n >= room) {
        return TDO_FAIL(TDO_ERR_FILE, "%.200s...: the path is too long", dir);
    }
    return TDO_OK;
}

int tdo_durable_write(int fd, const void *data, int64_t bytes, int64_t offset)
{
    const char *at = data;
    while (bytes > 0) {
        ssize_t n = pwrite(fd, at, (size_t)bytes, (off_t)offset);
        if (n == 0) {
            errno = ENOSPC;
        }
        if (n == 0 || (n < 0 && errno != EINTR)) {
            return -1;
        }
        if (n > 0) {
            at += n;
            offset += n;
            bytes -= n;
        }
    }
    return 0;
}

/* File systems that cannot sync a directory say EINVAL; they keep their own order. */
static tdo_err sync_path(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC);
    int status = fd < 0 ? -1 : fsync(fd);
    int reason = errno;
    if (fd >= 0) {
        close(fd);
    }
    if (status != 0 && !(fd >= 0 && (flags & O_DIRECTORY) && reason == EINVAL)) {
        return TDO_FAIL(TDO_ERR_FILE, "%s: cannot be synced: %s", path, strerror(reason));
    }
    return TDO_OK;
}

tdo_err tdo_durable_sync(const char *path)
{
    return sync_path(path, O_RDWR);
}

tdo_err tdo_durable_sync_directory(const char *dir)
{
    return sync_path(dir, O_RDONLY | O_DIRECTORY);
}
