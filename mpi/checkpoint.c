/* Writing checkpoints. See checkpoint.h; h5file.c puts the file together. */
#include "mpi/checkpoint.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "mpi/mpi_impl.h"
#include "nn/base/file.h"
#include "nn/base/memory.h"

/* ---- parts ---- */

int64_t tdo_checkpoint_size(enum tdo_checkpoint_type type)
{
    static const int64_t size[] = {
        [TDO_CHECKPOINT_F32] = 4, [TDO_CHECKPOINT_F64] = 8, [TDO_CHECKPOINT_I64] = 8,
        [TDO_CHECKPOINT_U8] = 1,  [TDO_CHECKPOINT_U64] = 8, [TDO_CHECKPOINT_I32] = 4};
    return size[type];
}

tdo_err tdo_checkpoint_check(const struct tdo_checkpoint_part *parts, int n, int64_t least)
{
    for (int i = 0; i < n; i++) {
        const struct tdo_checkpoint_part *p = &parts[i];
        size_t length = strspn(p->name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                        "0123456789._-");
        bool good = length > 0 && length < 64 && p->name[length] == '\0' &&
                    strspn(p->name, ".") < length && (unsigned)p->type < TDO_CHECKPOINT_TYPES &&
                    p->count >= least && p->count <= INT64_MAX / 16;
        for (int k = 0; k < i && good; k++) {
            good = strcmp(parts[k].name, p->name) != 0;
        }
        if (!good) {
            return TDO_FAIL(TDO_ERR_BUG, "checkpoint part %d: '%.64s', type %d, %lld elements",
                            i, p->name, (int)p->type, (long long)p->count);
        }
    }
    return TDO_OK;
}

uint64_t tdo_checkpoint_hash(const struct tdo_checkpoint_part *parts, int n)
{
    uint64_t sum = 0;
    for (int i = 0; i < n; i++) {
        const struct tdo_checkpoint_part *p = &parts[i];
        const uint64_t numbers[2] = {(uint64_t)p->type, (uint64_t)p->count};
        unsigned char head[64 + sizeof numbers];
        size_t name = strlen(p->name) + 1;
        memcpy(head, p->name, name);
        memcpy(head + name, numbers, sizeof numbers);
        sum += XXH64(p->data, (size_t)(p->count * tdo_checkpoint_size(p->type)),
                     XXH64(head, name + sizeof numbers, 0));
    }
    return sum;
}

/* ---- the file in memory ---- */

static tdo_err build_image(const struct tdo_checkpoint_part *parts, int n, struct tdo_h5file *m)
{
    int64_t bytes = 0;
    char hash[17];
    for (int i = 0; i < n; i++) {
        bytes += parts[i].count * tdo_checkpoint_size(parts[i].type);
    }
    TDO_TRY(tdo_h5file_begin(bytes, m));
    TDO_TRY(tdo_h5file_text(m, "format", TDO_CHECKPOINT_FORMAT));
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)tdo_checkpoint_hash(parts, n));
    TDO_TRY(tdo_h5file_text(m, "checksum", hash));
    for (int i = 0; i < n; i++) {
        TDO_TRY(tdo_h5file_data(m, &parts[i], 1));
    }
    return tdo_h5file_end(m);
}

/* ---- the file on the disk ---- */

static tdo_err move(const char *from, const char *to)
{
    if (rename(from, to) != 0) {
        return TDO_FAIL(TDO_ERR_FILE, "%s: cannot be renamed to %s: %s", from, to,
                        strerror(errno));
    }
    return TDO_OK;
}

/* Killed between the two moves, a job leaves the newest under the name of the one before; a
 * damaged newest must not push out the good one before. */
static tdo_err rotate(const char *part, const char *newest, const char *older)
{
    if (tdo_file_exists(newest) && tdo_seal_check(newest) == TDO_OK) {
        TDO_TRY(move(newest, older));
    }
    tdo_error_clear(); /* a bad seal was told when the file was read */
    return move(part, newest);
}

/* The root's part. */
static tdo_err write_file(const char *dir, const struct tdo_checkpoint_part *parts, int n)
{
    char part[PATH_MAX], newest[PATH_MAX], older[PATH_MAX];
    struct tdo_h5file m = {.file = -1};
    tdo_err err = TDO_OK;
    TDO_TRY(tdo_checkpoint_check(parts, n, 0));
    TDO_TRY(tdo_durable_path(dir, TDO_CHECKPOINT_NEWEST ".tmp", part, sizeof part));
    TDO_TRY(tdo_durable_path(dir, TDO_CHECKPOINT_NEWEST, newest, sizeof newest));
    TDO_TRY(tdo_durable_path(dir, TDO_CHECKPOINT_OLDER, older, sizeof older));
    TDO_GOTO(build_image(parts, n, &m));
    if (tdo_h5file_write(part, &m) != 0) {
        err = TDO_FAIL(TDO_ERR_FILE, "%s: cannot be written: %s", part, strerror(errno));
    } else {
        err = rotate(part, newest, older);
    }
    if (err != TDO_OK) {
        unlink(part);
        goto done;
    }
    err = tdo_durable_sync_directory(dir);
done:
    tdo_h5file_free(&m);
    return err;
}

tdo_err tdo_checkpoint_write(tdo_comm *comm, const char *dir,
                             const struct tdo_checkpoint_part *parts, int n)
{
    return tdo_comm_agree(comm, comm->rank == 0 ? write_file(dir, parts, n) : TDO_OK);
}
