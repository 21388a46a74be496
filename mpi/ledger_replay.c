/* Reading the ledger. See ledger.h for the format.
 *
 * A segment is read from its beginning, record by record. The first record that is not good ends
 * it. Then the rest of the file is searched, at every byte, for a good record: if there is none,
 * the bad one is what a killed writer left; if there is one, the file was damaged later, and
 * that is an error. The search needs no trust in any length field, and the seed of the checksums
 * (the offset) keeps payload bytes from looking like a record. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "mpi/ledger.h"
#include "mpi/mpi_impl.h"
#include "nn/base/log.h"
#include "nn/base/memory.h"

enum { READ_AHEAD = 1 << 20 };

struct reader {
    FILE *file;
    char path[PATH_MAX];
    int64_t size;
    unsigned char *buffer; /* [room] the record that was read last: PAYLOAD bytes in all for its
                              head, which ends there, then payload and checksum */
    int64_t room;
};

enum { PAYLOAD = 64, HEAD = PAYLOAD - (int)sizeof(struct tdo_ledger_head) };

static tdo_err fail(const struct reader *r)
{
    return TDO_FAIL(TDO_ERR_FILE, "%s: cannot be read: %s", r->path,
                    errno ? strerror(errno) : "unknown reason");
}

/* Read bytes at the present position. *whole: were there that many? */
static tdo_err read_bytes(struct reader *r, void *to, size_t bytes, bool *whole)
{
    errno = 0;
    *whole = fread(to, 1, bytes, r->file) == bytes;
    return ferror(r->file) ? fail(r) : TDO_OK;
}

static tdo_err seek(struct reader *r, int64_t offset)
{
    return fseeko(r->file, (off_t)offset, SEEK_SET) == 0 ? TDO_OK : fail(r);
}

/* Read the record at an offset, which is the present position. *good: is it one? Only then are
 * head and payload of use. */
static tdo_err read_record(struct reader *r, int64_t at, struct tdo_ledger_head *head,
                           bool *good)
{
    *good = false;
    int64_t most = r->size - at - TDO_LEDGER_FRAME;
    if (most < 0) {
        return TDO_OK;
    }
    most = most < TDO_LEDGER_MAX_BYTES ? most : TDO_LEDGER_MAX_BYTES;
    TDO_TRY(read_bytes(r, head, sizeof *head, good));
    *good = *good && head->mark == TDO_LEDGER_MARK && head->length <= (uint64_t)most;
    if (!*good) {
        return TDO_OK;
    }
    int64_t bytes = (int64_t)head->length + 8;
    if (PAYLOAD + bytes > r->room) {
        int64_t room = PAYLOAD + 2 * bytes;
        TDO_TRY(tdo_memory_grow(0, room, &r->buffer));
        r->room = room;
    }
    memcpy(r->buffer + HEAD, head, sizeof *head);
    TDO_TRY(read_bytes(r, r->buffer + PAYLOAD, (size_t)bytes, good));
    if (*good) {
        uint64_t checksum = 0;
        memcpy(&checksum, r->buffer + PAYLOAD + head->length, sizeof checksum);
        *good = XXH64(r->buffer + HEAD, sizeof *head + (size_t)head->length, (uint64_t)at) ==
                checksum;
    }
    return TDO_OK;
}

/* The next offset from `at` on where a record's mark stands, or -1. */
static tdo_err find_mark(struct reader *r, int64_t at, int64_t *found)
{
    uint32_t last = 0;
    TDO_TRY(seek(r, at));
    errno = 0;
    *found = -1;
    for (int64_t n = 1;; n++) {
        int c = getc(r->file);
        if (c == EOF) {
            return ferror(r->file) ? fail(r) : TDO_OK;
        }
        last = last >> 8 | (uint32_t)c << 24;
        if (n >= 4 && last == TDO_LEDGER_MARK) {
            *found = at + n - 4;
            return TDO_OK;
        }
    }
}

/* The record at `at` is not good: an unfinished end, or damage? */
static tdo_err judge(struct reader *r, int64_t at)
{
    struct tdo_ledger_head head;
    bool good = false;
    for (int64_t next = at; !good;) {
        TDO_TRY(find_mark(r, next + 1, &next));
        if (next < 0) {
            tdo_log_root(TDO_LOG_INFO,
                         "%s: the last %lld bytes are an unfinished record and are dropped",
                         r->path, (long long)(r->size - at));
            return TDO_OK;
        }
        TDO_TRY(seek(r, next));
        TDO_TRY(read_record(r, next, &head, &good));
    }
    return TDO_FAIL(TDO_ERR_FORMAT,
                    "%s: the record at byte %lld is damaged, though good ones follow; remove "
                    "the file to do its work again",
                    r->path, (long long)at);
}

/* Check how a segment begins. *records: does anything follow? */
static tdo_err read_start(struct reader *r, uint64_t context, bool *records)
{
    struct tdo_ledger_start s;
    bool whole = false;
    TDO_TRY(read_bytes(r, &s, sizeof s, &whole));
    *records = whole && r->size > (int64_t)sizeof s;
    if (!*records) {
        return TDO_OK; /* a start that was killed before its first record */
    }
    if (memcmp(s.magic, TDO_LEDGER_MAGIC, sizeof s.magic) != 0 ||
        s.checksum != XXH64(&s, offsetof(struct tdo_ledger_start, checksum), 0)) {
        return TDO_FAIL(
            TDO_ERR_FORMAT,
            "%s: its first %d bytes are damaged, or it is no ledger segment; remove "
            "the file to do its work again",
            r->path, (int)sizeof s);
    }
    if (s.version != TDO_LEDGER_VERSION) {
        return TDO_FAIL(TDO_ERR_FORMAT, "%s: ledger version %u, %d is expected", r->path,
                        (unsigned)s.version, TDO_LEDGER_VERSION);
    }
    if (s.context != context) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "%s: written with other settings, another model or other data (context "
                        "%016llx, %016llx is expected); choose another run.dir",
                        r->path, (unsigned long long)s.context, (unsigned long long)context);
    }
    return TDO_OK;
}

static tdo_err read_records(struct reader *r, tdo_ledger_visit visit, void *user)
{
    struct tdo_ledger_head head;
    for (int64_t at = (int64_t)sizeof(struct tdo_ledger_start); at < r->size;) {
        bool good = false;
        TDO_TRY(read_record(r, at, &head, &good));
        if (!good) {
            return judge(r, at);
        }
        if (head.kind == 0 || head.kind >= TDO_LEDGER_KINDS) {
            return TDO_FAIL(TDO_ERR_FORMAT,
                            "%s: the record at byte %lld is of kind %u: unknown", r->path,
                            (long long)at, (unsigned)head.kind);
        }
        const struct tdo_ledger_record record = {.kind = head.kind,
                                                 .a = head.a,
                                                 .b = head.b,
                                                 .payload = r->buffer + PAYLOAD,
                                                 .bytes = (int64_t)head.length};
        TDO_TRY(visit(user, &record));
        at += TDO_LEDGER_FRAME + record.bytes;
    }
    return TDO_OK;
}

static tdo_err open_segment(struct reader *r, const char *ledger_dir,
                            struct tdo_ledger_segment segment)
{
    char name[64];
    struct stat s;
    tdo_ledger_name(segment, name, sizeof name);
    TDO_TRY(tdo_durable_path(ledger_dir, name, r->path, sizeof r->path));
    r->file = fopen(r->path, "rbe");
    if (!r->file || fstat(fileno(r->file), &s) != 0) {
        return TDO_FAIL(TDO_ERR_FILE, "%s: cannot be opened: %s", r->path, strerror(errno));
    }
    setvbuf(r->file, NULL, _IOFBF, READ_AHEAD); /* only a matter of speed */
    r->size = (int64_t)s.st_size;
    return TDO_OK;
}

struct visitor {
    uint64_t context;
    tdo_ledger_visit visit;
    void *user;
};

static tdo_err read_segment(struct reader *r, const char *ledger_dir,
                            struct tdo_ledger_segment segment, const struct visitor *v)
{
    bool records = false;
    tdo_err err = open_segment(r, ledger_dir, segment);
    if (err == TDO_OK) {
        err = read_start(r, v->context, &records);
    }
    if (err == TDO_OK && records) {
        err = read_records(r, v->visit, v->user);
    }
    if (r->file) {
        fclose(r->file);
        r->file = NULL;
    }
    return err;
}

/* The root's part. */
static tdo_err replay(const char *dir, const struct visitor *v)
{
    char ledger_dir[PATH_MAX];
    struct tdo_ledger_segment *list = NULL;
    struct reader *r = NULL;
    int64_t count = 0;
    tdo_err err = TDO_OK;
    TDO_GOTO(tdo_durable_path(dir, "ledger", ledger_dir, sizeof ledger_dir));
    TDO_GOTO(tdo_ledger_list(ledger_dir, &list, &count));
    TDO_GOTO(tdo_memory_new(1, &r));
    for (int64_t i = 0; i < count; i++) {
        TDO_GOTO(read_segment(r, ledger_dir, list[i], v));
    }
done:
    if (r) {
        tdo_memory_free(&r->buffer);
    }
    tdo_memory_free(&r);
    tdo_memory_free(&list);
    return err;
}

tdo_err tdo_ledger_replay(tdo_comm *comm, const char *dir, uint64_t context,
                          tdo_ledger_visit visit, void *user)
{
    const struct visitor v = {context, visit, user};
    return tdo_comm_agree(comm, comm->rank == 0 ? replay(dir, &v) : TDO_OK);
}
