/* Files of equal records, plain or gzip. zlib reads both. See packed.h. */
#include "jobs/formats/packed.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "nn/base/file.h"
#include "nn/base/memory.h"

enum {
    WINDOW = 64 * 1024,
    GZIP_WINDOW = 256 * 1024,
    MAX_READ = 1 << 24, /* bytes asked of zlib at once: its lengths are int */
    EXTRA = 8,          /* of a path: slash, .gz, end */
    PATH_ROOM = 4096
};

/* <directory>/<name>, or that with .gz; *path is NULL when neither is there. */
static tdo_err find(const char *directory, const char *name, char **path)
{
    int64_t room = (int64_t)(strlen(directory) + strlen(name)) + EXTRA;
    TDO_TRY(tdo_memory_new(room, path));
    for (int i = 0; i < 2; i++) {
        snprintf(*path, (size_t)room, "%s/%s%s", directory, name, i ? ".gz" : "");
        if (tdo_file_exists(*path)) {
            return TDO_OK;
        }
    }
    tdo_memory_free(path);
    return TDO_OK;
}

bool tdo_packed_exists(const char *directory, const char *name)
{
    char path[PATH_ROOM];
    int length = snprintf(path, sizeof path, "%s/%s.gz", directory, name);
    if (length >= PATH_ROOM) {
        return false;
    }
    bool zipped = tdo_file_exists(path);
    path[length - 3] = '\0';
    return zipped || tdo_file_exists(path);
}

static tdo_err corrupt(const struct tdo_packed *f, int64_t at)
{
    int code = Z_OK;
    const char *text = gzerror(f->gz, &code);
    if (code == Z_ERRNO) {
        return TDO_FAIL(TDO_ERR_FILE, "%s: cannot be read at byte %lld", f->path,
                        (long long)at);
    }
    if (gzdirect(f->gz)) {
        return TDO_FAIL(TDO_ERR_FORMAT, "%s: truncated while it was read: ends at byte %lld",
                        f->path, (long long)at);
    }
    return TDO_FAIL(TDO_ERR_FORMAT,
                    "%s: corrupt or truncated gzip data near byte %lld of the unpacked file%s%s"
                    "%s",
                    f->path, (long long)at, code == Z_OK ? "" : " (", code == Z_OK ? "" : text,
                    code == Z_OK ? "" : ")");
}

/* The length of the unpacked file. */
static tdo_err measure(struct tdo_packed *f, int64_t *bytes)
{
    unsigned char window[WINDOW];
    struct stat st;
    if (stat(f->path, &st) != 0 || !S_ISREG(st.st_mode)) {
        return TDO_FAIL(TDO_ERR_FILE, "%s: is no regular file", f->path);
    }
    *bytes = (int64_t)st.st_size;
    if (st.st_size == 0 || gzdirect(f->gz)) {
        return TDO_OK;
    }
    *bytes = 0;
    int r;
    while ((r = gzread(f->gz, window, WINDOW)) > 0) {
        *bytes += r;
    }
    int code = Z_OK;
    gzerror(f->gz, &code);
    if (r < 0 || (code != Z_OK && code != Z_STREAM_END)) {
        return corrupt(f, *bytes);
    }
    return TDO_OK;
}

tdo_err tdo_packed_open(const char *directory, const char *name, int64_t record,
                        struct tdo_packed *f)
{
    int64_t bytes = 0;
    f->record = record;
    TDO_TRY(find(directory, name, &f->path));
    if (!f->path) {
        return TDO_FAIL(TDO_ERR_FILE, "%s: no file %s there, plain or .gz", directory, name);
    }
    f->gz = gzopen(f->path, "rb");
    if (!f->gz || gzbuffer(f->gz, GZIP_WINDOW) != 0) {
        return TDO_FAIL(TDO_ERR_FILE, "%s: cannot be opened", f->path);
    }
    TDO_TRY(measure(f, &bytes));
    f->rows = bytes / record;
    if (f->rows == 0 || bytes % record != 0) {
        return TDO_FAIL(TDO_ERR_FORMAT,
                        "%s: truncated or too long: %lld bytes%s; expected a multiple of %lld, "
                        "the length of a record, but the last one starts at byte %lld",
                        f->path, (long long)bytes, gzdirect(f->gz) ? "" : " (unpacked)",
                        (long long)record, (long long)(f->rows * record));
    }
    return TDO_OK;
}

bool tdo_packed_is_plain(const struct tdo_packed *f)
{
    return gzdirect(f->gz);
}

tdo_err tdo_packed_read(struct tdo_packed *f, int64_t first, int64_t n, unsigned char *out)
{
    int64_t at = first * f->record, bytes = n * f->record;
    if (gztell(f->gz) != at && gzseek(f->gz, at, SEEK_SET) != at) {
        return corrupt(f, at);
    }
    for (int64_t got = 0; got < bytes;) {
        int64_t want = bytes - got < MAX_READ ? bytes - got : MAX_READ;
        int r = gzread(f->gz, out + got, (unsigned)want);
        got += r > 0 ? r : 0;
        if (r < want) {
            return corrupt(f, at + got);
        }
    }
    return TDO_OK;
}

void tdo_packed_close(struct tdo_packed *f)
{
    if (f->gz) {
        gzclose_r(f->gz);
        f->gz = NULL;
    }
    tdo_memory_free(&f->path);
}
