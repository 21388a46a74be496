/* Writing the ledger. See ledger.h for the format.
 *
 * A segment belongs to one rank of one start and is created exclusively, so two processes never
 * append to one file, and a torn tail is always the end of a file that nobody continues. The
 * writer knows the length of what is good; a record that fails half-way is cut off again. */
#include "mpi/ledger.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "mpi/mpi_impl.h"
#include "nn/base/file.h"
#include "nn/base/log.h"
#include "nn/base/memory.h"

struct tdo_ledger {
    char path[PATH_MAX];
    int fd;         /* -1: no file */
    int64_t length; /* bytes that are good */
    double seconds, synced;
    bool dirty;  /* something was appended since the last sync */
    bool broken; /* the file may hold what we do not know of: append no more */
    unsigned char *buffer;
    int64_t room;
};

/* ---- segments in a directory ---- */

void tdo_ledger_name(struct tdo_ledger_segment s, char *out, size_t room)
{
    snprintf(out, room, "segment.%06lld.%06lld", (long long)s.start, (long long)s.rank);
}

/* Only names that tdo_ledger_name makes: not `segment.1.2~` or a server's `.nfs...`. */
static bool parse_name(const char *name, struct tdo_ledger_segment *out)
{
    long long start = 0, rank = 0;
    char again[64];
    /* NOLINTNEXTLINE(cert-err34-c): 18 digits fit, and the name is made again to compare */
    if (sscanf(name, "segment.%18lld.%18lld", &start, &rank) != 2 || start < 0 || rank < 0) {
        return false;
    }
    *out = (struct tdo_ledger_segment){start, rank};
    tdo_ledger_name(*out, again, sizeof again);
    return strcmp(name, again) == 0;
}

static int compare_segments(const void *a, const void *b)
{
    const struct tdo_ledger_segment *x = a, *y = b;
    if (x->start != y->start) {
        return x->start < y->start ? -1 : 1;
    }
    return x->rank < y->rank ? -1 : x->rank > y->rank;
}

/* Put one more behind `count` others; room grows in powers of two. */
static tdo_err add_segment(struct tdo_ledger_segment s, struct tdo_ledger_segment **list,
                           int64_t *count)
{
    if ((*count & (*count - 1)) == 0) {
        TDO_TRY(tdo_memory_grow(*count, *count > 0 ? 2 * *count : 1, list));
    }
    (*list)[(*count)++] = s;
    return TDO_OK;
}

static tdo_err list_open(DIR *d, const char *dir, struct tdo_ledger_segment **list,
                         int64_t *count)
{
    struct tdo_ledger_segment s;
    errno = 0;
    for (const struct dirent *e = readdir(d); e; errno = 0, e = readdir(d)) {
        tdo_err err = parse_name(e->d_name, &s) ? add_segment(s, list, count) : TDO_OK;
        if (err != TDO_OK) {
            return err;
        }
    }
    if (errno != 0) {
        return TDO_FAIL(TDO_ERR_FILE, "%s: cannot be read: %s", dir, strerror(errno));
    }
    return TDO_OK;
}

tdo_err tdo_ledger_list(const char *ledger_dir, struct tdo_ledger_segment **out, int64_t *count)
{
    *out = NULL;
    *count = 0;
    DIR *d = opendir(ledger_dir);
    if (!d && errno == ENOENT) {
        return TDO_OK;
    }
    if (!d) {
        return TDO_FAIL(TDO_ERR_FILE, "%s: cannot be opened: %s", ledger_dir, strerror(errno));
    }
    tdo_err err = list_open(d, ledger_dir, out, count);
    closedir(d);
    if (err != TDO_OK) {
        tdo_memory_free(out);
        *count = 0;
    } else if (*count > 0) {
        qsort(*out, (size_t)*count, sizeof **out, compare_segments);
    }
    return err;
}

/* ---- life of a segment ---- */

/* The root's part of opening: the directory, and a start number that no segment has. */
static tdo_err choose_start(const char *dir, const char *ledger_dir, int64_t *start)
{
    struct tdo_ledger_segment *list = NULL;
    int64_t count = 0;
    TDO_TRY(tdo_file_make_dir(ledger_dir));
    TDO_TRY(tdo_durable_sync_directory(dir));
    TDO_TRY(tdo_ledger_list(ledger_dir, &list, &count));
    *start = count > 0 ? list[count - 1].start + 1 : 0;
    tdo_memory_free(&list);
    return TDO_OK;
}

static tdo_err create(struct tdo_ledger *l, const char *ledger_dir,
                      struct tdo_ledger_segment segment, uint64_t context)
{
    char name[64], path[PATH_MAX];
    struct tdo_ledger_start s = {.version = TDO_LEDGER_VERSION, .context = context};
    memcpy(s.magic, TDO_LEDGER_MAGIC, sizeof s.magic);
    s.checksum = XXH64(&s, offsetof(struct tdo_ledger_start, checksum), 0);
    tdo_ledger_name(segment, name, sizeof name);
    TDO_TRY(tdo_durable_path(ledger_dir, name, path, sizeof path));
    l->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (l->fd < 0) {
        return TDO_FAIL(TDO_ERR_FILE, "%s: cannot be created: %s", path, strerror(errno));
    }
    memcpy(l->path, path, sizeof path); /* from here on the file is ours to remove */
    if (tdo_durable_write(l->fd, &s, (int64_t)sizeof s, 0) != 0) {
        return TDO_FAIL(TDO_ERR_FILE, "%s: cannot be written: %s", path, strerror(errno));
    }
    l->length = (int64_t)sizeof s;
    l->dirty = true;
    l->synced = tdo_log_now();
    return TDO_OK;
}

tdo_err tdo_ledger_open(tdo_comm *comm, const char *dir, uint64_t context, double seconds,
                        tdo_ledger **out)
{
    *out = NULL;
    char ledger_dir[PATH_MAX];
    struct tdo_ledger *l = NULL;
    int64_t start = 0;
    tdo_err err = tdo_durable_path(dir, "ledger", ledger_dir, sizeof ledger_dir);
    if (err == TDO_OK) {
        err = tdo_memory_new(1, &l);
    }
    if (err == TDO_OK) {
        l->fd = -1;
        l->seconds = seconds;
        err = comm->rank == 0 ? choose_start(dir, ledger_dir, &start) : TDO_OK;
    }
    TDO_GOTO(tdo_comm_agree(comm, err));
    TDO_ASSERT(l != NULL);
    tdo_comm_broadcast(comm, &start, (int64_t)sizeof start);
    const struct tdo_ledger_segment segment = {start, comm->rank};
    TDO_GOTO(tdo_comm_agree(comm, create(l, ledger_dir, segment, context)));
    err = comm->rank == 0 ? tdo_durable_sync_directory(ledger_dir) : TDO_OK;
    TDO_GOTO(tdo_comm_agree(comm, err));
    *out = l;
    l = NULL;
done:
    tdo_ledger_free(&l);
    return err;
}

void tdo_ledger_free(tdo_ledger **out)
{
    struct tdo_ledger *l = *out;
    if (!l) {
        return;
    }
    if (l->fd >= 0) {
        close(l->fd);
        if (l->length <= (int64_t)sizeof(struct tdo_ledger_start)) {
            unlink(l->path);
        }
    }
    tdo_memory_free(&l->buffer);
    tdo_memory_free(out);
}

/* ---- appending ---- */

static tdo_err check(const struct tdo_ledger *l, const struct tdo_ledger_record *r)
{
    if (r->kind == 0 || r->kind >= TDO_LEDGER_KINDS || r->bytes < 0 ||
        r->bytes > TDO_LEDGER_MAX_BYTES) {
        return TDO_FAIL(TDO_ERR_BUG, "%s: a record of kind %u and %lld bytes", l->path,
                        (unsigned)r->kind, (long long)r->bytes);
    }
    if (l->broken) {
        return TDO_FAIL(TDO_ERR_FILE, "%s: cannot be continued after the error before",
                        l->path);
    }
    return TDO_OK;
}

/* The record as it stands in the file. */
static tdo_err assemble(struct tdo_ledger *l, const struct tdo_ledger_record *r)
{
    const struct tdo_ledger_head head = {.mark = TDO_LEDGER_MARK,
                                         .kind = r->kind,
                                         .a = r->a,
                                         .b = r->b,
                                         .length = (uint64_t)r->bytes};
    if (r->bytes + TDO_LEDGER_FRAME > l->room) {
        int64_t room = 2 * r->bytes + 4096;
        TDO_TRY(tdo_memory_grow(0, room, &l->buffer));
        l->room = room;
    }
    size_t body = sizeof head + (size_t)r->bytes;
    memcpy(l->buffer, &head, sizeof head);
    if (r->bytes > 0) {
        memcpy(l->buffer + sizeof head, r->payload, (size_t)r->bytes);
    }
    uint64_t checksum = XXH64(l->buffer, body, (uint64_t)l->length);
    memcpy(l->buffer + body, &checksum, sizeof checksum);
    return TDO_OK;
}

/* A record could not be written: cut off what there is of it. */
static tdo_err take_back(struct tdo_ledger *l, int reason)
{
    l->broken = ftruncate(l->fd, (off_t)l->length) != 0;
    return TDO_FAIL(TDO_ERR_FILE, "%s: cannot be written: %s; the %lld bytes before are kept",
                    l->path, strerror(reason), (long long)l->length);
}

tdo_err tdo_ledger_append(tdo_ledger *l, const struct tdo_ledger_record *r)
{
    TDO_TRY(check(l, r));
    TDO_TRY(assemble(l, r));
    int64_t bytes = r->bytes + TDO_LEDGER_FRAME;
    if (tdo_durable_write(l->fd, l->buffer, bytes, l->length) != 0) {
        return take_back(l, errno);
    }
    l->length += bytes;
    l->dirty = true;
    return tdo_log_now() - l->synced >= l->seconds ? tdo_ledger_sync(l) : TDO_OK;
}

tdo_err tdo_ledger_sync(tdo_ledger *l)
{
    if (l->broken) {
        return TDO_FAIL(TDO_ERR_FILE, "%s: cannot be synced after the error before", l->path);
    }
    /* After a failed sync nobody knows which pages are on the disk, so we never try again. */
    if (l->dirty && fdatasync(l->fd) != 0) {
        l->broken = true;
        return TDO_FAIL(TDO_ERR_FILE, "%s: cannot be synced: %s", l->path, strerror(errno));
    }
    l->dirty = false;
    l->synced = tdo_log_now();
    return TDO_OK;
}
