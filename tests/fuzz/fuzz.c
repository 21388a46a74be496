/* What the fuzz targets share. See fuzz.h. */
#include "tests/fuzz/fuzz.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nn/base/log.h"

uint64_t fuzz_number(struct fuzz *f, int bytes)
{
    uint64_t v = 0;
    for (int i = 0; i < bytes; i++) {
        if (f->size > 0) {
            v |= (uint64_t)*f->data << (8 * i);
            f->data++;
            f->size--;
        }
    }
    return v;
}

struct fuzz fuzz_chunk(struct fuzz *f)
{
    const size_t wanted = (size_t)fuzz_number(f, 2);
    struct fuzz chunk = {f->data, wanted < f->size ? wanted : f->size};
    f->data += chunk.size;
    f->size -= chunk.size;
    return chunk;
}

static char directory[PATH_MAX];

static void remove_directory(void)
{
    rmdir(directory);
}

/* Also where every target starts: quiet, and without a child's standard input. */
static void make_directory(void)
{
    const char *parent = getenv("TMPDIR");
    snprintf(directory, sizeof directory, "%s/fuzz.%ld", parent ? parent : "/dev/shm",
             (long)getpid());
    mkdir(directory, 0700);
    atexit(remove_directory);
    tdo_log_set_level(TDO_LOG_ERROR);
}

const char *fuzz_path(const char *name)
{
    static char path[PATH_MAX + 256];
    if (!directory[0]) {
        make_directory();
    }
    snprintf(path, sizeof path, "%s%s%s", directory, name[0] ? "/" : "", name);
    return path;
}

const char *fuzz_write(const char *name, const void *data, size_t bytes)
{
    const char *path = fuzz_path(name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    const ssize_t written = fd >= 0 && bytes > 0 ? write(fd, data, bytes) : 0;
    if (fd < 0 || written != (ssize_t)bytes) {
        perror(path);
        abort(); /* no room in the scratch directory: nothing would be tested */
    }
    close(fd);
    return path;
}

void fuzz_remove(const char *name)
{
    unlink(fuzz_path(name));
}
