/* Whole files, read and written. See file.h.
 *
 * The order of writing is what makes a file survive a crash: data first (fsync of the file),
 * then the name (rename, which replaces in one step), then the directory that holds the name
 * (fsync of the directory). Errors of close count: some file systems report a full disk only
 * there. */
#include "nn/base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nn/base/memory.h"

enum { FIRST_ROOM = 65536 };

/* What a growing buffer holds; `room` counts the zero byte behind it. */
struct buffer {
    char *data;
    int64_t used, room;
};

/* One step of reading. *end is set at the end of the file. */
static tdo_err read_some(int fd, const char *path, struct buffer *b, bool *end)
{
    if (b->used + 1 >= b->room) {
        TDO_TRY(tdo_memory_grow(b->used, 2 * b->room, &b->data));
        b->room *= 2;
    }
    ssize_t n = read(fd, b->data + b->used, (size_t)(b->room - 1 - b->used));
    if (n < 0 && errno != EINTR) {
        return TDO_FAIL(TDO_ERR_FILE, "%s: cannot be read: %s", path, strerror(errno));
    }
    *end = n == 0;
    b->used += n > 0 ? n : 0;
    return TDO_OK;
}

static tdo_err read_all(int fd, const char *path, int64_t limit, struct buffer *b)
{
    struct stat s;
    if (fstat(fd, &s) != 0) {
        return TDO_FAIL(TDO_ERR_FILE, "%s: cannot be read: %s", path, strerror(errno));
    }
    b->room = FIRST_ROOM;
    if (S_ISREG(s.st_mode) && s.st_size <= limit) {
        b->room = s.st_size + 2; /* room to notice that the file has grown */
    }
    TDO_TRY(tdo_memory_new(b->room, &b->data));
    for (bool end = false; !end;) {
        TDO_TRY(read_some(fd, path, b, &end));
        if (b->used > limit) {
            return TDO_FAIL(TDO_ERR_FILE, "%s: more than the %lld bytes that are allowed here",
                            path, (long long)limit);
        }
    }
    b->data[b->used] = '\0';
    return TDO_OK;
}

tdo_err tdo_file_read(const char *path, int64_t limit, char **data, int64_t *bytes)
{
    *data = NULL;
    *bytes = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return TDO_FAIL(TDO_ERR_FILE, "%s: cannot be opened: %s", path, strerror(errno));
    }
    struct buffer b = {NULL, 0, 0};
    tdo_err err = read_all(fd, path, limit, &b);
    close(fd);
    if (err != TDO_OK) {
        tdo_memory_free(&b.data);
        return err;
    }
    *data = b.data;
    *bytes = b.used;
    return TDO_OK;
}

static int write_all(int fd, const char *data, int64_t bytes)
{
    while (bytes > 0) {
        ssize_t n = write(fd, data, (size_t)bytes);
        if (n < 0 && errno != EINTR) {
            return -1;
        }
        if (n > 0) {
            data += n;
            bytes -= n;
        }
    }
    return 0;
}

/* Data on the disk under a name of its own. Leaves errno for the message. */
static int write_synced(const char *path, const void *data, int64_t bytes)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) {
        return -1;
    }
    if (write_all(fd, data, bytes) != 0 || fsync(fd) != 0) {
        int reason = errno;
        close(fd);
        errno = reason;
        return -1;
    }
    return close(fd);
}

/* The directory entry of `path` on the disk. File systems that cannot sync a directory say
 * EINVAL; they keep their own order. */
static int sync_directory_of(const char *path)
{
    char directory[PATH_MAX];
    const char *slash = strrchr(path, '/');
    snprintf(directory, sizeof directory, "%.*s", slash ? (int)(slash - path) + 1 : 1,
             slash ? path : ".");
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return -1;
    }
    int failed = fsync(fd) != 0 && errno != EINVAL ? -1 : 0;
    int reason = errno;
    close(fd);
    errno = reason;
    return failed;
}

tdo_err tdo_file_write(const char *path, const void *data, int64_t bytes)
{
    char beside[PATH_MAX];
    int n = snprintf(beside, sizeof beside, "%s.tmp.%ld", path, (long)getpid());
    if (n < 0 || (size_t)n >= sizeof beside) {
        return TDO_FAIL(TDO_ERR_FILE, "%.200s...: cannot be written: the path is too long",
                        path);
    }
    if (write_synced(beside, data, bytes) != 0 || rename(beside, path) != 0) {
        int reason = errno;
        unlink(beside);
        return TDO_FAIL(TDO_ERR_FILE, "%s: cannot be written: %s", path, strerror(reason));
    }
    if (sync_directory_of(path) != 0) {
        return TDO_FAIL(TDO_ERR_FILE, "%s: its directory cannot be synced: %s", path,
                        strerror(errno));
    }
    return TDO_OK;
}

static bool is_directory(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0 && S_ISDIR(s.st_mode);
}

tdo_err tdo_file_make_dir(const char *path)
{
    char part[PATH_MAX];
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof part) {
        return TDO_FAIL(TDO_ERR_FILE, "'%.200s': %s", path,
                        length ? "the path is too long" : "a directory needs a name");
    }
    for (size_t i = 1; i <= length; i++) {
        if (path[i] != '/' && path[i] != '\0') {
            continue;
        }
        memcpy(part, path, i);
        part[i] = '\0';
        int reason = mkdir(part, 0777) == 0 ? 0 : errno;
        if (reason == 0 || is_directory(part)) {
            continue;
        }
        return TDO_FAIL(TDO_ERR_FILE, "%s: the directory cannot be created: %s: %s", path, part,
                        reason == EEXIST ? "exists and is no directory" : strerror(reason));
    }
    return TDO_OK;
}

bool tdo_file_exists(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0;
}

bool tdo_file_is_dir(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0 && S_ISDIR(s.st_mode);
}

tdo_err tdo_file_list(const char *path, tdo_err (*visit)(void *user, const char *name),
                      void *user)
{
    tdo_err err = TDO_OK;
    DIR *directory = opendir(path);
    if (!directory) {
        return TDO_FAIL(TDO_ERR_FILE, "%s: cannot be read as a folder: %s", path,
                        strerror(errno));
    }
    while (err == TDO_OK) {
        errno = 0;
        const struct dirent *entry = readdir(directory);
        if (!entry) {
            err = errno
                      ? TDO_FAIL(TDO_ERR_FILE, "%s: cannot be read: %s", path, strerror(errno))
                      : TDO_OK;
            break;
        }
        err = entry->d_name[0] != '.' ? visit(user, entry->d_name) : TDO_OK;
    }
    closedir(directory);
    return err;
}
