/* Writing and reading archives. See archive.h; h5file.c puts the file together. */
#include "mpi/archive.h"

#include <errno.h>
#include <hdf5.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "mpi/mpi_impl.h"
#include "nn/base/file.h"
#include "nn/base/memory.h"

/* ---- hash ---- */

static uint64_t hash_of(char kind, const struct tdo_archive_item *x)
{
    const uint64_t numbers[3] = {(uint64_t)x->type, (uint64_t)x->count, (uint64_t)x->width};
    unsigned char head[1 + 64 + sizeof numbers];
    const size_t name = strlen(x->name) + 1;
    head[0] = (unsigned char)kind;
    memcpy(head + 1, x->name, name);
    memcpy(head + 1 + name, numbers, sizeof numbers);
    return XXH64(x->data, (size_t)(x->count * tdo_checkpoint_size(x->type)),
                 XXH64(head, 1 + name + sizeof numbers, 0));
}

uint64_t tdo_archive_hash(const struct tdo_archive *a)
{
    uint64_t sum = 0;
    for (int i = 0; i < a->attributes; i++) {
        sum += hash_of('a', &a->attribute[i]);
    }
    for (int i = 0; i < a->columns; i++) {
        sum += hash_of('c', &a->column[i]);
    }
    return sum;
}

/* ---- writing ---- */

static struct tdo_checkpoint_part part_of(const struct tdo_archive_item *x)
{
    return (struct tdo_checkpoint_part){
        .name = x->name, .type = x->type, .count = x->count, .data = x->data};
}

static tdo_err check_items(const struct tdo_archive_item *x, int n)
{
    for (int i = 0; i < n; i++) {
        const struct tdo_checkpoint_part p = part_of(&x[i]);
        TDO_TRY(tdo_checkpoint_check(&p, 1, 0));
        TDO_ASSERT(x[i].width >= 1 && x[i].count % x[i].width == 0);
    }
    return TDO_OK;
}

static tdo_err add_attribute(const struct tdo_h5file *m, const struct tdo_archive_item *x)
{
    const struct tdo_checkpoint_part p = part_of(x);
    return x->type == TDO_CHECKPOINT_U8 ? tdo_h5file_text(m, x->name, x->data)
                                        : tdo_h5file_numbers(m, &p);
}

static tdo_err build(const struct tdo_archive *a, struct tdo_h5file *m)
{
    int64_t bytes = 0;
    char hash[17];
    for (int i = 0; i < a->columns; i++) {
        bytes += a->column[i].count * tdo_checkpoint_size(a->column[i].type);
    }
    TDO_TRY(tdo_h5file_begin(bytes, m));
    TDO_TRY(tdo_h5file_text(m, "format", a->format));
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)tdo_archive_hash(a));
    TDO_TRY(tdo_h5file_text(m, "hash", hash));
    for (int i = 0; i < a->attributes; i++) {
        TDO_TRY(add_attribute(m, &a->attribute[i]));
    }
    for (int i = 0; i < a->columns; i++) {
        const struct tdo_checkpoint_part p = part_of(&a->column[i]);
        TDO_TRY(tdo_h5file_data(m, &p, a->column[i].width));
    }
    return tdo_h5file_end(m);
}

tdo_err tdo_archive_write(const char *path, struct tdo_archive *a)
{
    char beside[PATH_MAX];
    struct tdo_h5file m = {.file = -1};
    tdo_err err = TDO_OK;
    for (int i = 0; i < a->attributes; i++) {
        struct tdo_archive_item *x = &a->attribute[i];
        x->count = x->type == TDO_CHECKPOINT_U8 ? (int64_t)strlen(x->data) : x->count;
    }
    TDO_TRY(check_items(a->attribute, a->attributes));
    TDO_TRY(check_items(a->column, a->columns));
    if (snprintf(beside, sizeof beside, "%s.tmp", path) >= (int)sizeof beside) {
        return TDO_FAIL(TDO_ERR_FILE, "%.200s...: the path is too long", path);
    }
    TDO_GOTO(build(a, &m));
    if (tdo_h5file_write(beside, &m) != 0 || rename(beside, path) != 0) {
        err = TDO_FAIL(TDO_ERR_FILE, "%s: cannot be written: %s", path, strerror(errno));
        unlink(beside);
    }
done:
    tdo_h5file_free(&m);
    return err;
}

/* ---- reading ---- */

static hid_t native(enum tdo_checkpoint_type type)
{
    const hid_t types[] = {
        [TDO_CHECKPOINT_F32] = H5T_NATIVE_FLOAT,  [TDO_CHECKPOINT_F64] = H5T_NATIVE_DOUBLE,
        [TDO_CHECKPOINT_I64] = H5T_NATIVE_INT64,  [TDO_CHECKPOINT_U8] = H5T_NATIVE_UINT8,
        [TDO_CHECKPOINT_U64] = H5T_NATIVE_UINT64, [TDO_CHECKPOINT_I32] = H5T_NATIVE_INT32};
    return types[type];
}

static tdo_err odd(const char *path, const char *what, const char *name)
{
    return TDO_FAIL(TDO_ERR_FORMAT, "%s: %s '%s' is missing, or not as it must be", path, what,
                    name);
}

/* Room for what there is; one byte more for the end of a text. */
static tdo_err make_room(const char *path, const char *what, struct tdo_archive_item *x,
                         int64_t count, int64_t most)
{
    const int64_t size = tdo_checkpoint_size(x->type);
    if (count < 0 || count > most / size || (x->count >= 0 && count != x->count) ||
        count % x->width != 0) {
        return odd(path, what, x->name);
    }
    x->count = count;
    if (x->data) {
        return TDO_OK;
    }
    return tdo_memory_new(count * size + 1, (char **)&x->data);
}

static tdo_err read_text(hid_t a, hid_t type, const char *path, struct tdo_archive_item *x)
{
    if (H5Tget_class(type) != H5T_STRING || H5Tis_variable_str(type) != 0) {
        return odd(path, "attribute", x->name);
    }
    TDO_TRY(make_room(path, "attribute", x, (int64_t)H5Tget_size(type) - 1, 1 << 16));
    if (H5Aread(a, type, x->data) < 0) {
        return odd(path, "attribute", x->name);
    }
    ((char *)x->data)[x->count] = '\0';
    x->count = (int64_t)strlen(x->data);
    return TDO_OK;
}

static tdo_err read_numbers(hid_t a, hid_t type, const char *path, struct tdo_archive_item *x)
{
    hid_t space = H5Aget_space(a);
    const int64_t count = (int64_t)H5Sget_simple_extent_npoints(space);
    H5Sclose(space);
    if (H5Tequal(type, native(x->type)) <= 0) {
        return odd(path, "attribute", x->name);
    }
    TDO_TRY(make_room(path, "attribute", x, count, 1 << 16));
    return H5Aread(a, native(x->type), x->data) >= 0 ? TDO_OK : odd(path, "attribute", x->name);
}

static tdo_err read_attribute(hid_t file, const char *path, struct tdo_archive_item *x)
{
    hid_t a = H5Aopen(file, x->name, H5P_DEFAULT);
    hid_t type = a >= 0 ? H5Aget_type(a) : H5I_INVALID_HID;
    tdo_err err = type < 0                       ? odd(path, "attribute", x->name)
                  : x->type == TDO_CHECKPOINT_U8 ? read_text(a, type, path, x)
                                                 : read_numbers(a, type, path, x);
    if (type >= 0) {
        H5Tclose(type);
    }
    if (a >= 0) {
        H5Aclose(a);
    }
    return err;
}

/* Its type and shape are those of the column; *count: elements. Sets a width that may be any. */
static bool fits(hid_t d, struct tdo_archive_item *x, int64_t *count)
{
    hid_t space = H5Dget_space(d), type = H5Dget_type(d);
    hsize_t size[2] = {0, 1};
    const int rank = H5Sget_simple_extent_ndims(space);
    bool good = (rank == 1 || rank == 2) && H5Sget_simple_extent_dims(space, size, NULL) >= 0 &&
                size[0] < (hsize_t)1 << 40 && size[1] > 0 && size[1] < 1 << 20;
    x->width = good && x->width == 0 ? (int64_t)size[1] : x->width;
    good = good && size[1] == (hsize_t)x->width && H5Tequal(type, native(x->type)) > 0;
    *count = (int64_t)(size[0] * size[1]);
    H5Tclose(type);
    H5Sclose(space);
    return good;
}

static tdo_err read_column(hid_t file, const char *path, struct tdo_archive_item *x)
{
    hid_t d = H5Lexists(file, x->name, H5P_DEFAULT) > 0 ? H5Dopen2(file, x->name, H5P_DEFAULT)
                                                        : H5I_INVALID_HID;
    hsize_t whole = 0;
    int64_t count = 0;
    H5Fget_filesize(file, &whole);
    if (d < 0) {
        return odd(path, "column", x->name);
    }
    tdo_err err = fits(d, x, &count) ? make_room(path, "column", x, count, (int64_t)whole)
                                     : odd(path, "column", x->name);
    if (err == TDO_OK && count > 0 &&
        H5Dread(d, native(x->type), H5S_ALL, H5S_ALL, H5P_DEFAULT, x->data) < 0) {
        err = odd(path, "column", x->name);
    }
    H5Dclose(d);
    return err;
}

/* Nothing else is in the file: what is not looked at must not look as if it were certified. */
static tdo_err check_numbers(hid_t file, const char *path, const struct tdo_archive *a)
{
    H5G_info_t info = {.nlinks = 0};
    hid_t root = H5Gopen2(file, "/", H5P_DEFAULT);
    const int attributes = root >= 0 ? H5Aget_num_attrs(root) : -1;
    if (root >= 0) {
        H5Gclose(root);
    }
    if (H5Gget_info(file, &info) < 0 || info.nlinks != (hsize_t)a->columns ||
        attributes != a->attributes + 2) {
        return TDO_FAIL(TDO_ERR_FORMAT,
                        "%s: %d attributes and %d columns expected, there are %d and %d", path,
                        a->attributes + 2, a->columns, attributes, (int)info.nlinks);
    }
    return TDO_OK;
}

static tdo_err check_format(hid_t file, const char *path, const char *format)
{
    struct tdo_archive_item x = {
        .name = "format", .type = TDO_CHECKPOINT_U8, .count = -1, .width = 1};
    tdo_err err = read_attribute(file, path, &x);
    if (err == TDO_OK && (!x.data || strcmp(x.data, format) != 0)) {
        err = TDO_FAIL(TDO_ERR_FORMAT, "%s: format is '%.64s', '%s' is expected", path,
                       x.data ? (const char *)x.data : "", format);
    }
    tdo_memory_free(&x.data);
    return err;
}

static tdo_err read_hash(hid_t file, const char *path, uint64_t *hash)
{
    struct tdo_archive_item x = {
        .name = "hash", .type = TDO_CHECKPOINT_U8, .count = -1, .width = 1};
    char *end = NULL;
    tdo_err err = read_attribute(file, path, &x);
    if (err == TDO_OK && (!x.data || x.count != 16)) {
        err = odd(path, "attribute", "hash");
    }
    if (err == TDO_OK) {
        *hash = strtoull(x.data, &end, 16);
        err = *end ? odd(path, "attribute", "hash") : TDO_OK;
    }
    tdo_memory_free(&x.data);
    return err;
}

static tdo_err read_all(hid_t file, const char *path, struct tdo_archive *a,
                        struct tdo_archive_found *found)
{
    TDO_TRY(check_format(file, path, a->format));
    TDO_TRY(read_hash(file, path, &found->hash));
    TDO_TRY(check_numbers(file, path, a));
    for (int i = 0; i < a->attributes; i++) {
        TDO_TRY(read_attribute(file, path, &a->attribute[i]));
    }
    for (int i = 0; i < a->columns; i++) {
        TDO_TRY(read_column(file, path, &a->column[i]));
    }
    return TDO_OK;
}

tdo_err tdo_archive_read(const char *path, struct tdo_archive *a,
                         struct tdo_archive_found *found)
{
    *found = (struct tdo_archive_found){.sealed = tdo_seal_check(path) == TDO_OK};
    if (!found->sealed) {
        snprintf(found->why, sizeof found->why, "%.500s", tdo_error_last()->message);
    }
    if (!found->sealed && tdo_error_last()->code == TDO_ERR_FILE) {
        return TDO_ERR_FILE;
    }
    tdo_error_clear();
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    hid_t list = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_file_locking(list, false, true);
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, list);
    H5Pclose(list);
    if (file < 0) {
        return TDO_FAIL(TDO_ERR_FORMAT, "%s: not an HDF5 file%s%s", path,
                        found->sealed ? "" : "; ", found->why);
    }
    tdo_err err = read_all(file, path, a, found);
    H5Fclose(file);
    return err;
}
