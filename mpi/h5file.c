/* An HDF5 file as a piece of memory, which is then written to the disk with a seal behind it.
 * Private to this folder; declared in mpi_impl.h. checkpoint.h and archive.h are made of it.
 *
 * HDF5 builds the file in memory (its core driver), and we write it: so a full disk is an error
 * of one of our own calls, with its reason, and not one inside a library that then cannot close
 * its file. The versions of all structures are fixed, since newer ones may carry times; so the
 * bytes are a function of what is put in, and of its order. */
#include <errno.h>
#include <fcntl.h>
#include <hdf5.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "mpi/mpi_impl.h"
#include "nn/base/memory.h"

enum { SLACK = 1 << 16, CHUNK = 1 << 20, MOST_ATTRIBUTES = 64 };

/* ---- putting it together ---- */

static tdo_err refuse(const char *what)
{
    return TDO_FAIL(TDO_ERR_LIBRARY, "HDF5 cannot make %s", what);
}

tdo_err tdo_h5file_begin(int64_t bytes, struct tdo_h5file *m)
{
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    hid_t access = H5Pcreate(H5P_FILE_ACCESS), create = H5Pcreate(H5P_FILE_CREATE);
    bool good = H5Pset_fapl_core(access, (size_t)(bytes + SLACK), false) >= 0 &&
                H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_V18) >= 0 &&
                H5Pset_obj_track_times(create, false) >= 0 &&
                H5Pset_attr_phase_change(create, MOST_ATTRIBUTES, 0) >= 0;
    m->file = good ? H5Fcreate("file", H5F_ACC_TRUNC, create, access) : H5I_INVALID_HID;
    H5Pclose(create);
    H5Pclose(access);
    return m->file >= 0 ? TDO_OK : refuse("a file in memory");
}

static tdo_err add_attribute(const struct tdo_h5file *m, const char *name, hid_t type,
                             hid_t space, const void *data)
{
    hid_t a = H5Acreate2(m->file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    bool good = a >= 0 && H5Awrite(a, type, data) >= 0;
    good = a >= 0 && H5Aclose(a) >= 0 && good;
    return good ? TDO_OK : refuse(name);
}

tdo_err tdo_h5file_text(const struct tdo_h5file *m, const char *name, const char *text)
{
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR);
    H5Tset_size(type, strlen(text) + 1);
    tdo_err err = add_attribute(m, name, type, space, text);
    H5Sclose(space);
    H5Tclose(type);
    return err;
}

static hid_t stored_type(enum tdo_checkpoint_type type)
{
    const hid_t types[] = {
        [TDO_CHECKPOINT_F32] = H5T_IEEE_F32LE, [TDO_CHECKPOINT_F64] = H5T_IEEE_F64LE,
        [TDO_CHECKPOINT_I64] = H5T_STD_I64LE,  [TDO_CHECKPOINT_U8] = H5T_STD_U8LE,
        [TDO_CHECKPOINT_U64] = H5T_STD_U64LE,  [TDO_CHECKPOINT_I32] = H5T_STD_I32LE};
    return types[type];
}

tdo_err tdo_h5file_numbers(const struct tdo_h5file *m, const struct tdo_checkpoint_part *p)
{
    const hsize_t count = (hsize_t)p->count;
    hid_t space = p->count == 1 ? H5Screate(H5S_SCALAR) : H5Screate_simple(1, &count, NULL);
    tdo_err err = add_attribute(m, p->name, stored_type(p->type), space, p->data);
    H5Sclose(space);
    return err;
}

tdo_err tdo_h5file_data(const struct tdo_h5file *m, const struct tdo_checkpoint_part *p,
                        int64_t width)
{
    const hsize_t size[2] = {(hsize_t)(p->count / width), (hsize_t)width};
    const hid_t type = stored_type(p->type);
    hid_t list = H5Pcreate(H5P_DATASET_CREATE);
    hid_t space = H5Screate_simple(width > 1 ? 2 : 1, size, NULL);
    H5Pset_obj_track_times(list, false);
    H5Pset_layout(list, H5D_CONTIGUOUS);
    H5Pset_fill_time(list, H5D_FILL_TIME_NEVER); /* every byte is written */
    hid_t d = H5Dcreate2(m->file, p->name, type, space, H5P_DEFAULT, list, H5P_DEFAULT);
    bool good = d >= 0 && (p->count == 0 ||
                           H5Dwrite(d, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, p->data) >= 0);
    good = d >= 0 && H5Dclose(d) >= 0 && good;
    H5Sclose(space);
    H5Pclose(list);
    return good ? TDO_OK : refuse(p->name);
}

tdo_err tdo_h5file_end(struct tdo_h5file *m)
{
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

void tdo_h5file_free(struct tdo_h5file *m)
{
    if (m->file >= 0) {
        H5Fclose(m->file);
    }
    m->file = -1;
}

/* ---- the disk ---- */

int tdo_h5file_write(const char *path, const struct tdo_h5file *m)
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

/* ---- the seal ---- */

static tdo_err check_open(int fd, const char *path, unsigned char *chunk, XXH64_state_t *state)
{
    struct tdo_seal seal;
    int64_t size = (int64_t)lseek(fd, 0, SEEK_END), left = size - (int64_t)sizeof seal;
    if (left < 0 || pread(fd, &seal, sizeof seal, (off_t)left) != (ssize_t)sizeof seal ||
        memcmp(seal.magic, TDO_SEAL_MAGIC, sizeof seal.magic) != 0 ||
        seal.bytes != (uint64_t)left) {
        return TDO_FAIL(TDO_ERR_FORMAT, "%s: not a whole file (%lld bytes, no seal)", path,
                        (long long)size);
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
