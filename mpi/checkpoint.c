/* Writing checkpoints. See checkpoint.h.
 *
 * HDF5 builds the file in memory (its core driver), and we write it: so a full disk is an error
 * of one of our own calls, with its reason, and not one inside a library that then cannot close
 * its file. The versions of all structures are fixed, since newer ones may carry times. */
#include "mpi/checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <hdf5.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "mpi/mpi_impl.h"
#include "nn/base/file.h"
#include "nn/base/memory.h"

enum { SLACK = 1 << 16, CHUNK = 1 << 20 };

/* A file in memory that is being put together. */
struct image {
    hid_t file;
    const void *bytes; /* borrowed from file */
    int64_t size;
};

/* ---- parts ---- */

int64_t tdo_checkpoint_size(enum tdo_checkpoint_type type)
{
    static const int64_t size[] = {[TDO_CHECKPOINT_F32] = 4,
                                   [TDO_CHECKPOINT_F64] = 8,
                                   [TDO_CHECKPOINT_I64] = 8,
                                   [TDO_CHECKPOINT_U8] = 1};
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

static tdo_err refuse(const char *what)
{
    return TDO_FAIL(TDO_ERR_LIBRARY, "checkpoint: HDF5 cannot make %s", what);
}

static tdo_err begin_image(int64_t bytes, struct image *m)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS), create = H5Pcreate(H5P_FILE_CREATE);
    bool good = H5Pset_fapl_core(access, (size_t)(bytes + SLACK), false) >= 0 &&
                H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_V18) >= 0 &&
                H5Pset_obj_track_times(create, false) >= 0;
    m->file = good ? H5Fcreate("checkpoint", H5F_ACC_TRUNC, create, access) : H5I_INVALID_HID;
    H5Pclose(create);
    H5Pclose(access);
    return m->file >= 0 ? TDO_OK : refuse("a file in memory");
}

static tdo_err add_text(hid_t file, const char *name, const char *text)
{
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR);
    H5Tset_size(type, strlen(text) + 1);
    hid_t a = H5Acreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    bool good = a >= 0 && H5Awrite(a, type, text) >= 0;
    good = a >= 0 && H5Aclose(a) >= 0 && good;
    H5Sclose(space);
    H5Tclose(type);
    return good ? TDO_OK : refuse(name);
}

static tdo_err add_part(hid_t file, const struct tdo_checkpoint_part *p)
{
    const hid_t types[] = {[TDO_CHECKPOINT_F32] = H5T_IEEE_F32LE,
                           [TDO_CHECKPOINT_F64] = H5T_IEEE_F64LE,
                           [TDO_CHECKPOINT_I64] = H5T_STD_I64LE,
                           [TDO_CHECKPOINT_U8] = H5T_STD_U8LE};
    const hsize_t count = (hsize_t)p->count;
    hid_t list = H5Pcreate(H5P_DATASET_CREATE), space = H5Screate_simple(1, &count, NULL);
    H5Pset_obj_track_times(list, false);
    H5Pset_layout(list, H5D_CONTIGUOUS);
    H5Pset_fill_time(list, H5D_FILL_TIME_NEVER); /* every byte is written */
    hid_t d = H5Dcreate2(file, p->name, types[p->type], space, H5P_DEFAULT, list, H5P_DEFAULT);
    bool good = d >= 0 && (p->count == 0 || H5Dwrite(d, types[p->type], H5S_ALL, H5S_ALL,
                                                     H5P_DEFAULT, p->data) >= 0);
    good = d >= 0 && H5Dclose(d) >= 0 && good;
    H5Sclose(space);
    H5Pclose(list);
    return good ? TDO_OK : refuse(p->name);
}

static tdo_err build_image(const struct tdo_checkpoint_part *parts, int n, struct image *m)
{
    int64_t bytes = 0;
    char hash[17];
    for (int i = 0; i < n; i++) {
        bytes += parts[i].count * tdo_checkpoint_size(parts[i].type);
    }
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    TDO_TRY(begin_image(bytes, m));
    TDO_TRY(add_text(m->file, "format", TDO_CHECKPOINT_FORMAT));
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)tdo_checkpoint_hash(parts, n));
    TDO_TRY(add_text(m->file, "checksum", hash));
    for (int i = 0; i < n; i++) {
        TDO_TRY(add_part(m->file, &parts[i]));
    }
    void *memory = NULL; /* where the core driver keeps its pointer */
    ssize_t size = -1;
    if (H5Fflush(m->file, H5F_SCOPE_LOCAL) >= 0 &&
        H5Fget_vfd_handle(m->file, H5P_DEFAULT, &memory) >= 0) {
        size = H5Fget_file_image(m->file, NULL, 0);
    }
    if (size <= 0 || !memory) {
        return refuse("a file in memory");
    }
    m->bytes = *(void **)memory;
    m->size = (int64_t)size;
    return TDO_OK;
}

/* ---- the file on the disk ---- */

/* Image and seal, on the disk. Leaves errno for the message. */
static int write_synced(const char *path, const struct image *m)
{
    struct tdo_seal seal = {.bytes = (uint64_t)m->size,
                            .hash = XXH64(m->bytes, (size_t)m->size, 0)};
    memcpy(seal.magic, TDO_SEAL_MAGIC, sizeof seal.magic);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) {
        return -1;
    }
    if (tdo_durable_write(fd, m->bytes, m->size, 0) != 0 ||
        tdo_durable_write(fd, &seal, (int64_t)sizeof seal, m->size) != 0 || fsync(fd) != 0) {
        int reason = errno;
        close(fd);
        errno = reason;
        return -1;
    }
    return close(fd);
}

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
    struct image m = {.file = H5I_INVALID_HID};
    tdo_err err = TDO_OK;
    TDO_TRY(tdo_checkpoint_check(parts, n, 0));
    TDO_TRY(tdo_durable_path(dir, TDO_CHECKPOINT_NEWEST ".tmp", part, sizeof part));
    TDO_TRY(tdo_durable_path(dir, TDO_CHECKPOINT_NEWEST, newest, sizeof newest));
    TDO_TRY(tdo_durable_path(dir, TDO_CHECKPOINT_OLDER, older, sizeof older));
    TDO_GOTO(build_image(parts, n, &m));
    if (write_synced(part, &m) != 0) {
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
    if (m.file >= 0) {
        H5Fclose(m.file);
    }
    return err;
}

tdo_err tdo_checkpoint_write(tdo_comm *comm, const char *dir,
                             const struct tdo_checkpoint_part *parts, int n)
{
    return tdo_comm_agree(comm, comm->rank == 0 ? write_file(dir, parts, n) : TDO_OK);
}

/* ---- the seal ---- */

static tdo_err check_open(int fd, const char *path, unsigned char *chunk, XXH64_state_t *state)
{
    struct tdo_seal seal;
    int64_t size = (int64_t)lseek(fd, 0, SEEK_END), left = size - (int64_t)sizeof seal;
    if (left < 0 || pread(fd, &seal, sizeof seal, (off_t)left) != (ssize_t)sizeof seal ||
        memcmp(seal.magic, TDO_SEAL_MAGIC, sizeof seal.magic) != 0 ||
        seal.bytes != (uint64_t)left) {
        return TDO_FAIL(TDO_ERR_FORMAT, "%s: not a whole checkpoint (%lld bytes, no seal)",
                        path, (long long)size);
    }
    XXH64_reset(state, 0);
    for (int64_t at = 0; at < left;) {
        ssize_t n =
            pread(fd, chunk, (size_t)(left - at < CHUNK ? left - at : CHUNK), (off_t)at);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return TDO_FAIL(TDO_ERR_FILE, "%s: cannot be read: %s", path,
                            n < 0 ? strerror(errno) : "it became shorter");
        }
        XXH64_update(state, chunk, (size_t)n);
        at += n;
    }
    if (XXH64_digest(state) != seal.hash) {
        return TDO_FAIL(TDO_ERR_FORMAT,
                        "%s: damaged: its checksum is %016llx, %016llx is "
                        "expected",
                        path, (unsigned long long)XXH64_digest(state),
                        (unsigned long long)seal.hash);
    }
    return TDO_OK;
}

tdo_err tdo_seal_check(const char *path)
{
    unsigned char *chunk = NULL;
    XXH64_state_t *state = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return TDO_FAIL(TDO_ERR_FILE, "%s: cannot be opened: %s", path, strerror(errno));
    }
    tdo_err err = tdo_memory_new(CHUNK, &chunk);
    if (err == TDO_OK) {
        state = XXH64_createState();
        err = state ? check_open(fd, path, chunk, state)
                    : TDO_FAIL(TDO_ERR_MEMORY, "out of memory: no hash state");
    }
    XXH64_freeState(state);
    tdo_memory_free(&chunk);
    close(fd);
    return err;
}
