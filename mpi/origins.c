/* Where the images of a stored set come from. See origins.h. The root reads and writes these parts
 * through HDF5; they are small beside the images. */
#include "mpi/origins.h"

#include <errno.h>
#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mpi/mpi_impl.h"
#include "nn/base/memory.h"

enum { PARTS = 3, MOST_ABOUT = 65000 /* bytes of an attribute, as HDF5 has it */ };

/* One of the arrays: its name, its type in the file and in memory. */
struct part {
    const char *name;
    hid_t file, memory;
    const void *from;
    void *to;
};

static int64_t size_of(int part)
{
    return part == 1 ? 4 : 8;
}

static void list_parts(const struct tdo_origins *o, struct part of[PARTS])
{
    of[0] = (struct part){"row", H5T_STD_I64LE, H5T_NATIVE_INT64, o->row, o->row};
    of[1] = (struct part){"attack", H5T_STD_I32LE, H5T_NATIVE_INT32, o->attack, o->attack};
    of[2] = (struct part){"eps", H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, o->eps, o->eps};
}

/* The one split of a stored set. */
static const char *group_of(const struct tdo_dataset_info *info)
{
    int split = 0;
    while (split + 1 < TDO_SPLITS && info->rows[split] == 0) {
        split++;
    }
    return tdo_dataset_split_name((enum tdo_split)split);
}

/* ---- writing, by the root while the file is finished ------------------------------------------- */

static bool put_part(hid_t file, const char *group, int64_t rows, const struct part *p)
{
    char name[64];
    const hsize_t size = (hsize_t)rows;
    snprintf(name, sizeof name, "/%s/%s", group, p->name);
    hid_t list = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_obj_track_times(list, false);
    hid_t space = H5Screate_simple(1, &size, NULL);
    hid_t d = H5Dcreate2(file, name, p->file, space, H5P_DEFAULT, list, H5P_DEFAULT);
    bool good = d >= 0 && H5Dwrite(d, p->memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, p->from) >= 0;
    good = d >= 0 && H5Dclose(d) >= 0 && good;
    H5Sclose(space);
    H5Pclose(list);
    return good;
}

static bool put_text(hid_t file, const char *name, const char *text)
{
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR);
    H5Tset_size(type, strlen(text) + 1);
    hid_t a = H5Acreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    bool good = a >= 0 && H5Awrite(a, type, text) >= 0;
    good = a >= 0 && H5Aclose(a) >= 0 && good;
    H5Sclose(space);
    H5Tclose(type);
    return good;
}

tdo_err tdo_origins_put(int64_t file, const char *path, const struct tdo_dataset_info *info,
                        const struct tdo_origins *o)
{
    struct part of[PARTS];
    char text[32];
    errno = 0;
    snprintf(text, sizeof text, "%016llx", (unsigned long long)o->data);
    bool good = put_text(file, "of", text);
    for (int i = 0; good && i < o->attacks; i++) {
        snprintf(text, sizeof text, "attack %d", i);
        if (strlen(o->about[i]) >= MOST_ABOUT) {
            return TDO_FAIL(TDO_ERR_BUG, "%s: %s has %zu bytes", path, text,
                            strlen(o->about[i]));
        }
        good = put_text(file, text, o->about[i]);
    }
    list_parts(o, of);
    for (int i = 0; good && i < PARTS; i++) {
        good = put_part(file, group_of(info), o->rows, &of[i]);
    }
    return good ? TDO_OK
                : TDO_FAIL(TDO_ERR_FILE, "cannot write %s: %s", path,
                           errno ? strerror(errno) : "HDF5 refused");
}

/* ---- reading, by the root ----------------------------------------------------------------------- */

static bool get_part(hid_t file, const char *group, int64_t rows, const struct part *p)
{
    char name[64];
    hsize_t size[H5S_MAX_RANK] = {0};
    snprintf(name, sizeof name, "/%s/%s", group, p->name);
    hid_t d = H5Dopen2(file, name, H5P_DEFAULT);
    hid_t type = d >= 0 ? H5Dget_type(d) : H5I_INVALID_HID;
    hid_t space = d >= 0 ? H5Dget_space(d) : H5I_INVALID_HID;
    bool good = space >= 0 && H5Tequal(type, p->file) > 0 &&
                H5Sget_simple_extent_dims(space, size, NULL) == 1 && (int64_t)size[0] == rows;
    good = good && H5Dread(d, p->memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, p->to) >= 0;
    if (space >= 0) {
        H5Sclose(space);
    }
    if (type >= 0) {
        H5Tclose(type);
    }
    if (d >= 0) {
        H5Dclose(d);
    }
    return good;
}

/* A string of fixed length, NULL where there is no such attribute. Owner: caller. */
static tdo_err get_text(hid_t file, const char *path, const char *name, char **text)
{
    *text = NULL;
    if (H5Aexists(file, name) <= 0) {
        return TDO_OK;
    }
    hid_t a = H5Aopen(file, name, H5P_DEFAULT);
    hid_t type = a >= 0 ? H5Aget_type(a) : H5I_INVALID_HID;
    const bool string =
        type >= 0 && H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) == 0;
    const int64_t size = string ? (int64_t)H5Tget_size(type) : 0;
    tdo_err err = TDO_OK;
    if (size < 1 || size > MOST_ABOUT) {
        TDO_GOTO(
            TDO_FAIL(TDO_ERR_FORMAT, "%s: root attribute %s: a string expected", path, name));
    }
    TDO_GOTO(tdo_memory_new(size + 1, text));
    if (H5Aread(a, type, *text) < 0) {
        err = TDO_FAIL(TDO_ERR_FORMAT, "%s: root attribute %s cannot be read", path, name);
    }
done:
    if (type >= 0) {
        H5Tclose(type);
    }
    if (a >= 0) {
        H5Aclose(a);
    }
    return err;
}

static tdo_err get_about(hid_t file, const char *path, struct tdo_origins *o)
{
    for (;;) {
        char name[32], *text = NULL;
        snprintf(name, sizeof name, "attack %d", o->attacks);
        TDO_TRY(get_text(file, path, name, &text));
        if (!text) {
            return TDO_OK;
        }
        tdo_err err = tdo_memory_grow(o->attacks, o->attacks + 1, &o->about);
        if (err != TDO_OK) {
            tdo_memory_free(&text);
            return err;
        }
        o->about[o->attacks++] = text;
    }
}

static tdo_err check_origins(const char *path, const struct tdo_origins *o)
{
    for (int64_t i = 0; i < o->rows; i++) {
        if (o->row[i] < 0 || o->attack[i] < 0 || o->attack[i] >= o->attacks || o->eps[i] < 0) {
            return TDO_FAIL(
                TDO_ERR_FORMAT,
                "%s: the origin of image %lld: a row from 0, an attack from 0 to %d "
                "and an eps that is not negative expected",
                path, (long long)i, o->attacks - 1);
        }
    }
    return TDO_OK;
}

static tdo_err get_parts(hid_t file, const tdo_dataset *d, struct tdo_origins *o)
{
    const char *path = tdo_dataset_path(d), *group = group_of(tdo_dataset_info(d));
    const int64_t rows = tdo_dataset_info(d)->rows[0] + tdo_dataset_info(d)->rows[1] +
                         tdo_dataset_info(d)->rows[2];
    struct part of[PARTS];
    char *text = NULL;
    TDO_TRY(get_text(file, path, "of", &text));
    if (!text) {
        return TDO_OK;
    }
    o->data = strtoull(text, NULL, 16);
    tdo_memory_free(&text);
    TDO_TRY(get_about(file, path, o));
    TDO_TRY(tdo_memory_new(rows, &o->row));
    TDO_TRY(tdo_memory_new(rows, &o->attack));
    TDO_TRY(tdo_memory_new(rows, &o->eps));
    list_parts(o, of);
    for (int i = 0; i < PARTS; i++) {
        if (!get_part(file, group, rows, &of[i])) {
            return TDO_FAIL(TDO_ERR_FORMAT, "%s: /%s/%s: %s [%lld] expected", path, group,
                            of[i].name,
                            i == 0   ? "int64"
                            : i == 1 ? "int32"
                                     : "f64",
                            (long long)rows);
        }
    }
    o->rows = rows;
    return check_origins(path, o);
}

static tdo_err get_origins(const tdo_dataset *d, struct tdo_origins *o)
{
    const char *path = tdo_dataset_path(d);
    if (!tdo_dataset_info(d)->stored) {
        return TDO_OK;
    }
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    hid_t list = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_file_locking(list, false, true);
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, list);
    H5Pclose(list);
    if (file < 0) {
        return TDO_FAIL(TDO_ERR_FILE, "%s cannot be opened again", path);
    }
    tdo_err err = get_parts(file, d, o);
    H5Fclose(file);
    return err;
}

/* ---- on all ranks ------------------------------------------------------------------------------- */

/* Room for what the root has told. */
static tdo_err make_room(tdo_comm *comm, const int64_t size[3], struct tdo_origins *o)
{
    if (comm->rank == 0) {
        return TDO_OK;
    }
    o->data = (uint64_t)size[2];
    TDO_TRY(tdo_memory_new(size[0], &o->row));
    TDO_TRY(tdo_memory_new(size[0], &o->attack));
    TDO_TRY(tdo_memory_new(size[0], &o->eps));
    TDO_TRY(tdo_memory_new(size[1], &o->about));
    o->attacks = (int)size[1];
    o->rows = size[0];
    return TDO_OK;
}

static tdo_err share_about(tdo_comm *comm, char **text)
{
    int64_t bytes = *text ? (int64_t)strlen(*text) + 1 : 0;
    tdo_comm_broadcast(comm, &bytes, sizeof bytes);
    tdo_err err = comm->rank == 0 ? TDO_OK : tdo_memory_new(bytes, text);
    TDO_TRY(tdo_comm_agree(comm, err));
    tdo_comm_broadcast(comm, *text, bytes);
    return TDO_OK;
}

tdo_err tdo_origins_read(tdo_comm *comm, const tdo_dataset *d, struct tdo_origins *out)
{
    *out = (struct tdo_origins){0};
    TDO_TRY(tdo_comm_agree(comm, comm->rank == 0 ? get_origins(d, out) : TDO_OK));
    int64_t size[3] = {out->rows, out->attacks, (int64_t)out->data};
    tdo_comm_broadcast(comm, size, sizeof size);
    if (size[0] == 0) {
        return TDO_OK;
    }
    TDO_TRY(tdo_comm_agree(comm, make_room(comm, size, out)));
    tdo_comm_broadcast(comm, out->row, out->rows * size_of(0));
    tdo_comm_broadcast(comm, out->attack, out->rows * size_of(1));
    tdo_comm_broadcast(comm, out->eps, out->rows * size_of(2));
    for (int i = 0; i < out->attacks; i++) {
        TDO_TRY(share_about(comm, &out->about[i]));
    }
    return TDO_OK;
}

void tdo_origins_free(struct tdo_origins *o)
{
    for (int i = 0; o->about && i < o->attacks; i++) {
        tdo_memory_free(&o->about[i]);
    }
    tdo_memory_free(&o->about);
    tdo_memory_free(&o->row);
    tdo_memory_free(&o->attack);
    tdo_memory_free(&o->eps);
    *o = (struct tdo_origins){0};
}
