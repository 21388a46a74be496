/* Reading checkpoints. See checkpoint.h.
 *
 * The root checks the seal, then lets HDF5 open the file, compares the parts with those that are
 * wanted, and reads. A file that is not whole is passed over for the one before; a whole file
 * with other parts belongs to another run, and falling back would only hide that. */
#include <hdf5.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "mpi/checkpoint.h"
#include "mpi/mpi_impl.h"
#include "nn/base/file.h"
#include "nn/base/log.h"
#include "nn/base/memory.h"

static hid_t native(enum tdo_checkpoint_type type)
{
    const hid_t types[] = {
        [TDO_CHECKPOINT_F32] = H5T_NATIVE_FLOAT,  [TDO_CHECKPOINT_F64] = H5T_NATIVE_DOUBLE,
        [TDO_CHECKPOINT_I64] = H5T_NATIVE_INT64,  [TDO_CHECKPOINT_U8] = H5T_NATIVE_UINT8,
        [TDO_CHECKPOINT_U64] = H5T_NATIVE_UINT64, [TDO_CHECKPOINT_I32] = H5T_NATIVE_INT32};
    return types[type];
}

static const char *type_name(int type)
{
    static const char *const names[] = {
        [TDO_CHECKPOINT_F32] = "f32",    [TDO_CHECKPOINT_F64] = "f64",
        [TDO_CHECKPOINT_I64] = "int64",  [TDO_CHECKPOINT_U8] = "uint8",
        [TDO_CHECKPOINT_U64] = "uint64", [TDO_CHECKPOINT_I32] = "int32"};
    return type >= 0 && type < TDO_CHECKPOINT_TYPES ? names[type] : "another type";
}

/* The type of a dataset's elements, TDO_CHECKPOINT_TYPES if it is none of ours. */
static int type_of(hid_t dataset)
{
    int found = 0;
    hid_t stored = H5Dget_type(dataset);
    while (found < TDO_CHECKPOINT_TYPES &&
           H5Tequal(stored, native((enum tdo_checkpoint_type)found)) <= 0) {
        found++;
    }
    H5Tclose(stored);
    return found;
}

static tdo_err read_text(hid_t file, const char *path, const char *name, char *out, size_t room)
{
    hid_t a = H5Aopen(file, name, H5P_DEFAULT);
    hid_t type = a >= 0 ? H5Aget_type(a) : H5I_INVALID_HID;
    bool good = type >= 0 && H5Tget_class(type) == H5T_STRING &&
                H5Tis_variable_str(type) == 0 && H5Tget_size(type) == room &&
                H5Aget_storage_size(a) == room && H5Aread(a, type, out) >= 0;
    if (type >= 0) {
        H5Tclose(type);
    }
    if (a >= 0) {
        H5Aclose(a);
    }
    if (!good) {
        return TDO_FAIL(TDO_ERR_FORMAT, "%s: no attribute '%s' as a checkpoint has it", path,
                        name);
    }
    out[room - 1] = '\0';
    return TDO_OK;
}

/* Is what the file has under this name what is wanted? Sets a count that may be any. */
static tdo_err check_part(hid_t dataset, const char *path, struct tdo_checkpoint_part *p)
{
    hid_t space = H5Dget_space(dataset);
    int rank = H5Sget_simple_extent_ndims(space), type = type_of(dataset);
    int64_t count = (int64_t)H5Sget_simple_extent_npoints(space);
    H5Sclose(space);
    if (rank == 1 && type == (int)p->type && (p->count < 0 || p->count == count)) {
        p->count = count;
        return TDO_OK;
    }
    char wanted[32] = "any number of";
    if (p->count >= 0) {
        snprintf(wanted, sizeof wanted, "%lld", (long long)p->count);
    }
    return TDO_FAIL(TDO_ERR_SHAPE,
                    "%s: part '%s' has %lld elements of %s, %s of %s are expected: the "
                    "checkpoint of another run?",
                    path, p->name, (long long)count, type_name(type), wanted,
                    type_name((int)p->type));
}

static tdo_err open_part(hid_t file, const char *path, struct tdo_checkpoint_part *p,
                         hid_t *out)
{
    *out = H5Lexists(file, p->name, H5P_DEFAULT) > 0 ? H5Dopen2(file, p->name, H5P_DEFAULT)
                                                     : H5I_INVALID_HID;
    if (*out < 0) {
        return TDO_FAIL(TDO_ERR_SHAPE,
                        "%s: no part '%s', which is expected: the checkpoint of another run?",
                        path, p->name);
    }
    return check_part(*out, path, p);
}

/* A part of the file that nobody asked for is a mismatch too. */
static tdo_err check_others(hid_t file, const char *path,
                            const struct tdo_checkpoint_part *parts, int n)
{
    H5G_info_t info = {.nlinks = 0};
    if (H5Gget_info(file, &info) < 0) {
        return TDO_FAIL(TDO_ERR_FORMAT, "%s: its parts cannot be listed", path);
    }
    for (hsize_t i = 0; i < info.nlinks; i++) {
        char name[80] = "";
        bool known = false;
        H5Lget_name_by_idx(file, ".", H5_INDEX_NAME, H5_ITER_INC, i, name, sizeof name,
                           H5P_DEFAULT);
        for (int k = 0; k < n && !known; k++) {
            known = strcmp(name, parts[k].name) == 0;
        }
        if (!known) {
            return TDO_FAIL(TDO_ERR_SHAPE,
                            "%s: part '%.64s' is not expected: the checkpoint of another run?",
                            path, name);
        }
    }
    return TDO_OK;
}

/* Bytes of data that there are: no more than the file has, whatever a dataset claims to keep
 * elsewhere. */
static int64_t bytes_held(hid_t file, hid_t dataset)
{
    const hsize_t claimed = H5Dget_storage_size(dataset);
    hsize_t whole = 0;
    H5Fget_filesize(file, &whole);
    return (int64_t)(claimed < whole ? claimed : whole);
}

static tdo_err read_part(hid_t file, const char *path, struct tdo_checkpoint_part *p)
{
    hid_t d = H5I_INVALID_HID;
    const bool any = p->count < 0;
    tdo_err err = open_part(file, path, p, &d);
    if (err == TDO_OK && bytes_held(file, d) / tdo_checkpoint_size(p->type) < p->count) {
        err = TDO_FAIL(TDO_ERR_FORMAT, "%s: part '%s' has no data for its %lld elements", path,
                       p->name, (long long)p->count);
    }
    if (err == TDO_OK && any) {
        err = tdo_memory_new(p->count * tdo_checkpoint_size(p->type), (char **)&p->data);
    }
    if (err == TDO_OK && p->count > 0 &&
        H5Dread(d, native(p->type), H5S_ALL, H5S_ALL, H5P_DEFAULT, p->data) < 0) {
        err = TDO_FAIL(TDO_ERR_FORMAT, "%s: part '%s' cannot be read", path, p->name);
    }
    if (d >= 0) {
        H5Dclose(d);
    }
    return err;
}

static tdo_err read_parts(hid_t file, const char *path, struct tdo_checkpoint_part *parts,
                          int n)
{
    char format[sizeof TDO_CHECKPOINT_FORMAT], stored[17], hash[17];
    TDO_TRY(read_text(file, path, "format", format, sizeof format));
    if (strcmp(format, TDO_CHECKPOINT_FORMAT) != 0) {
        return TDO_FAIL(TDO_ERR_FORMAT, "%s: format is '%s', '%s' is expected", path, format,
                        TDO_CHECKPOINT_FORMAT);
    }
    TDO_TRY(read_text(file, path, "checksum", stored, sizeof stored));
    TDO_TRY(check_others(file, path, parts, n));
    for (int i = 0; i < n; i++) {
        TDO_TRY(read_part(file, path, &parts[i]));
    }
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)tdo_checkpoint_hash(parts, n));
    if (strcmp(stored, hash) != 0) {
        return TDO_FAIL(TDO_ERR_FORMAT,
                        "%s: damaged: its parts have the checksum %s, %s is "
                        "expected",
                        path, hash, stored);
    }
    return TDO_OK;
}

/* Parts whose data we allocate: as they were given to us. */
static void reset(struct tdo_checkpoint_part *parts, int n, const bool *ours)
{
    for (int i = 0; i < n; i++) {
        if (ours[i]) {
            tdo_memory_free(&parts[i].data);
            parts[i].count = -1;
        }
    }
}

static tdo_err read_file(const char *path, struct tdo_checkpoint_part *parts, int n,
                         const bool *ours)
{
    TDO_TRY(tdo_seal_check(path));
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    hid_t list = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_file_locking(list, false, true);
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, list);
    H5Pclose(list);
    if (file < 0) {
        return TDO_FAIL(TDO_ERR_FORMAT, "%s: not an HDF5 file", path);
    }
    tdo_err err = read_parts(file, path, parts, n);
    H5Fclose(file);
    if (err != TDO_OK) {
        reset(parts, n, ours);
    }
    return err;
}

/* Could the other file still do? Not when this one is whole and has other parts. */
static bool is_bad(tdo_err err)
{
    return err == TDO_ERR_FILE || err == TDO_ERR_FORMAT;
}

/* The root's part: the newest file, else the one before. *found as in the header. */
static tdo_err read_newest(const char *dir, struct tdo_checkpoint_part *parts, int n,
                           const bool *ours, bool *found)
{
    char newest[PATH_MAX], older[PATH_MAX], why[512];
    TDO_TRY(tdo_durable_path(dir, TDO_CHECKPOINT_NEWEST, newest, sizeof newest));
    TDO_TRY(tdo_durable_path(dir, TDO_CHECKPOINT_OLDER, older, sizeof older));
    bool there = tdo_file_exists(newest), there_older = tdo_file_exists(older);
    *found = there || there_older;
    if (!*found) {
        return TDO_OK;
    }
    tdo_err err = there ? read_file(newest, parts, n, ours)
                        : TDO_FAIL(TDO_ERR_FORMAT, "%s: missing", newest);
    if (!is_bad(err)) {
        return err;
    }
    snprintf(why, sizeof why, "%.500s", tdo_error_last()->message);
    err = there_older ? read_file(older, parts, n, ours)
                      : TDO_FAIL(TDO_ERR_FORMAT, "%s: missing", older);
    if (is_bad(err)) {
        char also[400];
        snprintf(also, sizeof also, "%.390s", tdo_error_last()->message);
        return TDO_FAIL(TDO_ERR_FORMAT, "no whole checkpoint: %s; %s", why, also);
    }
    if (err == TDO_OK) {
        tdo_error_clear();
        tdo_log_root(TDO_LOG_WARN, "%s; going on from %s", why, older);
    }
    return err;
}

/* Send what the root has read. */
static tdo_err share(tdo_comm *comm, struct tdo_checkpoint_part *parts, int n)
{
    tdo_err err = TDO_OK;
    for (int i = 0; i < n; i++) {
        const bool any = parts[i].count < 0; /* not on the root, which knows by now */
        tdo_comm_broadcast(comm, &parts[i].count, (int64_t)sizeof parts[i].count);
        if (any && err == TDO_OK) {
            err = tdo_memory_new(parts[i].count * tdo_checkpoint_size(parts[i].type),
                                 (char **)&parts[i].data);
        }
    }
    err = tdo_comm_agree(comm, err);
    for (int i = 0; i < n && err == TDO_OK; i++) {
        tdo_comm_broadcast(comm, parts[i].data,
                           parts[i].count * tdo_checkpoint_size(parts[i].type));
    }
    return err;
}

static tdo_err read_and_share(tdo_comm *comm, const char *dir,
                              struct tdo_checkpoint_part *parts, int n, const bool *ours,
                              bool *found)
{
    tdo_err err = comm->rank == 0 ? read_newest(dir, parts, n, ours, found) : TDO_OK;
    TDO_TRY(tdo_comm_agree(comm, err));
    tdo_comm_broadcast(comm, found, (int64_t)sizeof *found);
    return *found ? share(comm, parts, n) : TDO_OK;
}

/* Which parts are to be allocated? */
static tdo_err choose_ours(const struct tdo_checkpoint_part *parts, int n, bool **ours)
{
    TDO_TRY(tdo_checkpoint_check(parts, n, -1));
    TDO_TRY(tdo_memory_new(n, ours));
    for (int i = 0; i < n; i++) {
        (*ours)[i] = parts[i].count < 0;
        if ((*ours)[i] != !parts[i].data && parts[i].count != 0) {
            return TDO_FAIL(TDO_ERR_BUG, "checkpoint part '%s': data for a known count only",
                            parts[i].name);
        }
    }
    return TDO_OK;
}

tdo_err tdo_checkpoint_read(tdo_comm *comm, const char *dir, struct tdo_checkpoint_part *parts,
                            int n, bool *found)
{
    bool *ours = NULL; /* [n] whose data we allocate */
    *found = false;
    tdo_err err = tdo_comm_agree(comm, choose_ours(parts, n, &ours));
    if (err == TDO_OK) {
        TDO_ASSERT(ours != NULL);
        err = read_and_share(comm, dir, parts, n, ours, found);
        if (err != TDO_OK) {
            reset(parts, n, ours);
            *found = false;
        }
    }
    tdo_memory_free(&ours);
    return err;
}
