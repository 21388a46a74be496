/* Reading data sets. See dataset.h for the file.
 *
 * The root walks the file's structure once through HDF5 and refuses, with one line, whatever is
 * not as it should be. What is left of that is a small plain struct (offsets and sizes) that is
 * broadcast; from then on every rank reads with pread on its own descriptor. */
#include "mpi/dataset.h"

#include <errno.h>
#include <fcntl.h>
#include <hdf5.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "mpi/mpi_impl.h"
#include "nn/base/memory.h"

/* Everything that a rank must know to read without HDF5. */
struct layout {
    struct tdo_dataset_info info;
    int64_t x_offset[TDO_SPLITS], y_offset[TDO_SPLITS]; /* bytes from the start of the file */
    int64_t offsets[TDO_SPLITS];                        /* encoded: the same of /train/offset */
    int64_t file_bytes;
};

struct tdo_dataset {
    char *path;
    int fd;
    struct layout layout;
    int64_t pixels, row_bytes;
    float *mean;             /* [pixels] */
    bool viewed, other_mean; /* encoded: has a view, of another size than the mean */
    struct tdo_dataset_view view;
};

enum { MOST_FILE = 1 << 29 }; /* bytes of one encoded image */

/* A file that is being examined by the root. */
struct source {
    const char *path;
    hid_t file;
    struct layout *layout;
};

const char *tdo_dataset_split_name(enum tdo_split split)
{
    static const char *const name[] = {"train", "val", "test"};
    return name[split];
}

/* ---- examining the file, root only ---- */

#define FORMAT_FAIL(source, ...) format_fail((source)->path, __func__, __LINE__, __VA_ARGS__)

static tdo_err format_fail(const char *path, const char *function, int line, const char *format,
                           ...) TDO_PRINTF(4, 5);

static tdo_err format_fail(const char *path, const char *function, int line, const char *format,
                           ...)
{
    char what[512];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    return tdo_error_set(TDO_ERR_FORMAT, __FILE__, line, function, "%s: %s", path, what);
}

/* What H5Aread gives for one scalar attribute, checked to be of the wanted class. */
static tdo_err open_attribute(const struct source *s, const char *name, H5T_class_t class,
                              const char *expected, hid_t *attribute)
{
    *attribute = H5I_INVALID_HID;
    if (H5Aexists(s->file, name) <= 0) {
        return FORMAT_FAIL(s, "root attribute %s is missing, expected %s", name, expected);
    }
    hid_t a = H5Aopen(s->file, name, H5P_DEFAULT);
    hid_t type = a >= 0 ? H5Aget_type(a) : H5I_INVALID_HID;
    hid_t space = a >= 0 ? H5Aget_space(a) : H5I_INVALID_HID;
    bool good = type >= 0 && H5Tget_class(type) == class && space >= 0 &&
                H5Sget_simple_extent_npoints(space) == 1;
    if (space >= 0) {
        H5Sclose(space);
    }
    if (type >= 0) {
        H5Tclose(type);
    }
    if (!good) {
        if (a >= 0) {
            H5Aclose(a);
        }
        return FORMAT_FAIL(s, "root attribute %s is of the wrong type, expected %s", name,
                           expected);
    }
    *attribute = a;
    return TDO_OK;
}

static tdo_err read_integer(const struct source *s, const char *name, const char *expected,
                            int64_t *value)
{
    hid_t a;
    TDO_TRY(open_attribute(s, name, H5T_INTEGER, expected, &a));
    herr_t status = H5Aread(a, H5T_NATIVE_INT64, value);
    H5Aclose(a);
    if (status < 0) {
        return FORMAT_FAIL(s, "root attribute %s cannot be read", name);
    }
    return TDO_OK;
}

/* A string attribute, of fixed or variable length, cut to `room` - 1 characters. */
static tdo_err read_text(const struct source *s, const char *name, const char *expected,
                         char *text, size_t room)
{
    hid_t a;
    TDO_TRY(open_attribute(s, name, H5T_STRING, expected, &a));
    hid_t type = H5Aget_type(a);
    bool good = false;
    memset(text, 0, room);
    if (H5Tis_variable_str(type) > 0) {
        char *value = NULL;
        good = H5Aread(a, type, &value) >= 0 && value;
        if (good) {
            snprintf(text, room, "%s", value);
            H5free_memory(value);
        }
    } else {
        char value[256] = {0};
        good = H5Tget_size(type) < sizeof value && H5Aread(a, type, value) >= 0;
        snprintf(text, room, "%s", value);
    }
    H5Tclose(type);
    H5Aclose(a);
    if (!good) {
        return FORMAT_FAIL(s, "root attribute %s cannot be read, expected %s", name, expected);
    }
    return TDO_OK;
}

/* The attributes of an encoded set. */
static tdo_err read_encoded(const struct source *s, struct tdo_dataset_info *info)
{
    int64_t encoded = 0, side = 0;
    TDO_TRY(read_integer(s, "encoded", "1", &encoded));
    TDO_TRY(read_integer(s, "side", "an integer", &side));
    if (encoded != 1 || side < 1 || side > 1 << 16 || info->stored) {
        return FORMAT_FAIL(s,
                           "root attributes encoded = %lld and side = %lld, 1 and 1 to 65536 "
                           "are expected, and no stored set",
                           (long long)encoded, (long long)side);
    }
    info->encoded = info->is_u8 = true;
    info->height = info->width = side;
    info->channels = 3;
    return TDO_OK;
}

static tdo_err read_attributes(struct source *s)
{
    struct tdo_dataset_info *info = &s->layout->info;
    char format[64], hash[32];
    int64_t classes = 0;
    TDO_TRY(read_text(s, "format", "the string \"testudo-1\"", format, sizeof format));
    if (strcmp(format, "testudo-1") != 0) {
        return FORMAT_FAIL(s, "root attribute format is \"%s\", \"testudo-1\" is expected",
                           format);
    }
    TDO_TRY(read_integer(s, "classes", "an integer", &classes));
    if (classes < 1 || classes > 1 << 24) {
        return FORMAT_FAIL(s, "root attribute classes is %lld, 1 to 2^24 is expected",
                           (long long)classes);
    }
    TDO_TRY(read_text(s, "hash", "16 hexadecimal digits", hash, sizeof hash));
    if (strlen(hash) != 16 || strspn(hash, "0123456789abcdefABCDEF") != 16) {
        return FORMAT_FAIL(
            s, "root attribute hash is \"%s\", 16 hexadecimal digits are expected", hash);
    }
    info->classes = (int)classes;
    info->hash = strtoull(hash, NULL, 16);
    if (H5Aexists(s->file, "stored") > 0) {
        int64_t stored = 0;
        TDO_TRY(read_integer(s, "stored", "1", &stored));
        info->stored = stored == 1;
    }
    return H5Aexists(s->file, "encoded") > 0 ? read_encoded(s, info) : TDO_OK;
}

enum kind { KIND_U8, KIND_F32, KIND_I32, KIND_I64 };

static bool has_kind(hid_t dataset, enum kind *kind)
{
    hid_t type = H5Dget_type(dataset);
    bool known = true;
    if (H5Tequal(type, H5T_STD_U8LE) > 0 || H5Tequal(type, H5T_STD_U8BE) > 0) {
        *kind = KIND_U8;
    } else if (H5Tequal(type, H5T_IEEE_F32LE) > 0) {
        *kind = KIND_F32;
    } else if (H5Tequal(type, H5T_STD_I32LE) > 0) {
        *kind = KIND_I32;
    } else if (H5Tequal(type, H5T_STD_I64LE) > 0) {
        *kind = KIND_I64;
    } else {
        known = false;
    }
    H5Tclose(type);
    return known;
}

/* One dataset as it must be: contiguous, of `rank` dimensions, at a known place in the file. */
struct found {
    enum kind kind;
    int64_t dim[4], offset;
};

static tdo_err check_storage(const struct source *s, const char *name, hid_t dataset)
{
    hid_t list = H5Dget_create_plist(dataset);
    H5D_layout_t layout = H5Pget_layout(list);
    int external = H5Pget_external_count(list);
    H5Pclose(list);
    if (layout != H5D_CONTIGUOUS || external != 0) {
        return FORMAT_FAIL(s, "%s is stored %s, contiguous storage is expected", name,
                           layout == H5D_CHUNKED      ? "in chunks"
                           : layout == H5D_COMPACT    ? "in the header"
                           : layout == H5D_CONTIGUOUS ? "in another file"
                                                      : "virtually");
    }
    return TDO_OK;
}

static tdo_err check_extent(const struct source *s, const char *name, hid_t dataset, int rank,
                            struct found *f)
{
    hsize_t dim[H5S_MAX_RANK];
    hid_t space = H5Dget_space(dataset);
    int got = H5Sget_simple_extent_dims(space, dim, NULL);
    H5Sclose(space);
    if (got != rank) {
        return FORMAT_FAIL(s, "%s has %d dimensions, expected %d", name, got, rank);
    }
    int64_t bytes = f->kind == KIND_U8 ? 1 : f->kind == KIND_I64 ? 8 : 4;
    for (int i = 0; i < rank; i++) {
        if (dim[i] < 1 || dim[i] > INT64_MAX || (f->dim[i] = (int64_t)dim[i]) < 1 ||
            __builtin_mul_overflow(bytes, f->dim[i], &bytes)) {
            return FORMAT_FAIL(s, "dimension %d of %s is %llu, which is not possible", i, name,
                               (unsigned long long)dim[i]);
        }
    }
    haddr_t offset = H5Dget_offset(dataset);
    if (offset == HADDR_UNDEF || (int64_t)offset < 0 ||
        (int64_t)offset > s->layout->file_bytes - bytes) {
        return FORMAT_FAIL(s, "%s has no data or ends behind the end of the file (%lld bytes)",
                           name, (long long)s->layout->file_bytes);
    }
    f->offset = (int64_t)offset;
    return TDO_OK;
}

static tdo_err examine(const struct source *s, const char *group, const char *name, int rank,
                       const char *expected, struct found *f)
{
    char full[64];
    snprintf(full, sizeof full, "/%s/%s", group, name);
    if (H5Lexists(s->file, full, H5P_DEFAULT) <= 0) {
        return FORMAT_FAIL(s, "%s is missing, expected %s", full, expected);
    }
    hid_t dataset = H5Dopen2(s->file, full, H5P_DEFAULT);
    if (dataset < 0) {
        return FORMAT_FAIL(s, "%s is not a dataset, expected %s", full, expected);
    }
    tdo_err err = TDO_OK;
    if (!has_kind(dataset, &f->kind) ||
        (f->kind == KIND_I64) != (strcmp(name, "offset") == 0)) {
        TDO_GOTO(FORMAT_FAIL(s, "%s is of the wrong type, expected %s", full, expected));
    }
    TDO_GOTO(check_storage(s, full, dataset));
    TDO_GOTO(check_extent(s, full, dataset, rank, f));
done:
    H5Dclose(dataset);
    return err;
}

static tdo_err check_same(const struct source *s, const char *group, const struct found *x,
                          bool first)
{
    struct tdo_dataset_info *info = &s->layout->info;
    if (first) {
        info->height = x->dim[1];
        info->width = x->dim[2];
        info->channels = x->dim[3];
        info->is_u8 = x->kind == KIND_U8;
    } else if (x->dim[1] != info->height || x->dim[2] != info->width ||
               x->dim[3] != info->channels || (x->kind == KIND_U8) != info->is_u8) {
        return FORMAT_FAIL(
            s, "/%s/x holds %s [%lld,%lld,%lld] images, /train/x %s [%lld,%lld,%lld]", group,
            x->kind == KIND_U8 ? "uint8" : "f32", (long long)x->dim[1], (long long)x->dim[2],
            (long long)x->dim[3], info->is_u8 ? "uint8" : "f32", (long long)info->height,
            (long long)info->width, (long long)info->channels);
    }
    return TDO_OK;
}

/* x and offset of an encoded split; x->dim[0] becomes the number of its rows. */
static tdo_err examine_files(struct source *s, enum tdo_split split, struct found *x)
{
    const char *group = tdo_dataset_split_name(split);
    struct found offset = {0};
    TDO_TRY(examine(s, group, "x", 1, "uint8 [bytes]", x));
    TDO_TRY(examine(s, group, "offset", 1, "little-endian int64 [n+1]", &offset));
    if (x->kind != KIND_U8 || offset.dim[0] < 2) {
        return FORMAT_FAIL(s,
                           "/%s/x and /%s/offset of an encoded set: uint8 [bytes] and int64 "
                           "[n+1] are expected",
                           group, group);
    }
    s->layout->info.bytes[split] = x->dim[0];
    s->layout->offsets[split] = offset.offset;
    x->dim[0] = offset.dim[0] - 1;
    return TDO_OK;
}

static tdo_err examine_pixels(const struct source *s, enum tdo_split split, struct found *x)
{
    const char *group = tdo_dataset_split_name(split);
    TDO_TRY(examine(s, group, "x", 4, "uint8 or little-endian f32 [n,H,W,C]", x));
    if (x->kind != KIND_U8 && x->kind != KIND_F32) {
        return FORMAT_FAIL(s, "/%s/x is int32, uint8 or little-endian f32 is expected", group);
    }
    return check_same(s, group, x, s->layout->info.height == 0);
}

static tdo_err examine_split(struct source *s, enum tdo_split split)
{
    const char *group = tdo_dataset_split_name(split);
    struct found x = {0}, y = {0};
    if (H5Lexists(s->file, group, H5P_DEFAULT) <= 0) {
        const bool optional = split == TDO_SPLIT_VAL || s->layout->info.stored;
        return optional ? TDO_OK : FORMAT_FAIL(s, "group /%s is missing", group);
    }
    H5O_info_t object;
    if (H5Oget_info_by_name(s->file, group, &object, H5P_DEFAULT) < 0 ||
        object.type != H5O_TYPE_GROUP) {
        return FORMAT_FAIL(s, "/%s is not a group", group);
    }
    TDO_TRY(s->layout->info.encoded ? examine_files(s, split, &x)
                                    : examine_pixels(s, split, &x));
    TDO_TRY(examine(s, group, "y", 1, "little-endian int32 [n]", &y));
    if (y.kind != KIND_I32) {
        return FORMAT_FAIL(s, "/%s/y is %s, little-endian int32 is expected", group,
                           y.kind == KIND_U8 ? "uint8" : "f32");
    }
    if (x.dim[0] != y.dim[0]) {
        return FORMAT_FAIL(s, "/%s/x has %lld rows, /%s/y has %lld", group, (long long)x.dim[0],
                           group, (long long)y.dim[0]);
    }
    s->layout->info.rows[split] = x.dim[0];
    s->layout->x_offset[split] = x.offset;
    s->layout->y_offset[split] = y.offset;
    return TDO_OK;
}

static tdo_err read_mean(const struct source *s, float **mean)
{
    const struct tdo_dataset_info *info = &s->layout->info;
    struct found f = {0};
    TDO_TRY(examine(s, "train", "mean", 3, "little-endian f32 [H,W,C]", &f));
    if (f.kind != KIND_F32 || f.dim[0] != info->height || f.dim[1] != info->width ||
        f.dim[2] != info->channels) {
        return FORMAT_FAIL(
            s, "/train/mean is [%lld,%lld,%lld], f32 [%lld,%lld,%lld] is expected",
            (long long)f.dim[0], (long long)f.dim[1], (long long)f.dim[2],
            (long long)info->height, (long long)info->width, (long long)info->channels);
    }
    int64_t n = f.dim[0] * f.dim[1] * f.dim[2];
    TDO_TRY(tdo_memory_new(n, mean));
    hid_t dataset = H5Dopen2(s->file, "/train/mean", H5P_DEFAULT);
    herr_t status = H5Dread(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, *mean);
    H5Dclose(dataset);
    for (int64_t i = 0; i < n; i++) {
        if (status < 0 || !isfinite((*mean)[i])) {
            return FORMAT_FAIL(s, "/train/mean cannot be read or is not finite");
        }
    }
    return TDO_OK;
}

/* Open for reading; a file system without locks is fine. */
static tdo_err open_source(struct source *s)
{
    struct stat status;
    if (stat(s->path, &status) != 0) {
        return TDO_FAIL(TDO_ERR_FILE, "cannot open %s: %s", s->path, strerror(errno));
    }
    s->layout->file_bytes = status.st_size;
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    hid_t list = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_file_locking(list, false, true);
    htri_t known = H5Fis_hdf5(s->path);
    s->file = known > 0 ? H5Fopen(s->path, H5F_ACC_RDONLY, list) : H5I_INVALID_HID;
    H5Pclose(list);
    if (known <= 0) {
        return FORMAT_FAIL(s, "not an HDF5 file");
    }
    if (s->file < 0) {
        return FORMAT_FAIL(s, "HDF5 cannot open it: it is truncated, damaged or being written");
    }
    return TDO_OK;
}

/* A stored set has one split. */
static tdo_err check_stored(const struct source *s)
{
    int splits = 0;
    for (int split = 0; split < TDO_SPLITS; split++) {
        splits += s->layout->info.rows[split] > 0;
    }
    return splits == 1 ? TDO_OK
                       : FORMAT_FAIL(s, "a stored set with %d splits, one is expected", splits);
}

static tdo_err examine_file(const char *path, struct layout *layout, float **mean)
{
    struct source s = {.path = path, .file = H5I_INVALID_HID, .layout = layout};
    tdo_err err = TDO_OK;
    TDO_GOTO(open_source(&s));
    TDO_GOTO(read_attributes(&s));
    for (int split = 0; split < TDO_SPLITS; split++) {
        TDO_GOTO(examine_split(&s, (enum tdo_split)split));
    }
    TDO_GOTO(layout->info.stored ? check_stored(&s) : read_mean(&s, mean));
done:
    if (s.file >= 0) {
        H5Fclose(s.file);
    }
    return err;
}

/* ---- opening, all ranks ---- */

/* Each rank's own descriptor; every rank must see the file that the root examined. */
static tdo_err open_descriptor(struct tdo_dataset *d)
{
    struct stat status;
    d->fd = open(d->path, O_RDONLY | O_CLOEXEC);
    if (d->fd < 0 || fstat(d->fd, &status) != 0) {
        return TDO_FAIL(TDO_ERR_FILE, "cannot open %s: %s", d->path, strerror(errno));
    }
    if (status.st_size != d->layout.file_bytes) {
        return TDO_FAIL(TDO_ERR_FILE, "%s has %lld bytes here, %lld on the root rank", d->path,
                        (long long)status.st_size, (long long)d->layout.file_bytes);
    }
    return TDO_OK;
}

static tdo_err make_room(struct tdo_dataset *d, const char *path, const float *mean)
{
    const struct tdo_dataset_info *info = &d->layout.info;
    d->pixels = info->height * info->width * info->channels;
    d->row_bytes = d->pixels * (info->is_u8 ? 1 : 4);
    int64_t n = (int64_t)strlen(path) + 1;
    TDO_TRY(tdo_memory_new(n, &d->path));
    memcpy(d->path, path, (size_t)n);
    TDO_TRY(tdo_memory_new(d->pixels, &d->mean));
    if (mean) { /* on the root */
        memcpy(d->mean, mean, (size_t)d->pixels * sizeof *mean);
    }
    return open_descriptor(d);
}

tdo_err tdo_dataset_open(tdo_comm *comm, const char *path, tdo_dataset **out)
{
    *out = NULL;
    bool root = comm->rank == 0;
    struct tdo_dataset *d = NULL;
    float *mean = NULL;
    tdo_err err = tdo_memory_new(1, &d);
    if (err == TDO_OK) {
        d->fd = -1;
        if (root) {
            err = examine_file(path, &d->layout, &mean);
        }
    }
    TDO_GOTO(tdo_comm_agree(comm, err));
    tdo_comm_broadcast(comm, &d->layout, (int64_t)sizeof d->layout);
    TDO_GOTO(tdo_comm_agree(comm, make_room(d, path, mean)));
    tdo_comm_broadcast(comm, d->mean, d->pixels * (int64_t)sizeof *d->mean);
    *out = d;
    d = NULL;
done:
    tdo_memory_free(&mean);
    tdo_dataset_free(&d);
    return err;
}

const struct tdo_dataset_info *tdo_dataset_info(const tdo_dataset *d)
{
    return &d->layout.info;
}

const char *tdo_dataset_path(const tdo_dataset *d)
{
    return d->path;
}

int64_t tdo_dataset_pixels(const tdo_dataset *d)
{
    return d->pixels;
}

int64_t tdo_dataset_row_bytes(const tdo_dataset *d)
{
    return d->row_bytes;
}

bool tdo_dataset_mean(const tdo_dataset *d, float *mean)
{
    if (!d->other_mean) {
        memcpy(mean, d->mean, (size_t)d->pixels * sizeof *mean);
    }
    return !d->other_mean;
}

void tdo_dataset_set_view(tdo_dataset *d, const struct tdo_dataset_view *v)
{
    struct tdo_dataset_info *info = &d->layout.info;
    TDO_ASSERT(info->encoded && !d->viewed);
    d->other_mean = v->height != info->height || v->width != info->width;
    info->height = v->height;
    info->width = v->width;
    const uint64_t parts[] = {info->hash, (uint64_t)v->height, (uint64_t)v->width, v->settings};
    info->hash = XXH64(parts, sizeof parts, 0);
    d->pixels = d->row_bytes = v->height * v->width * info->channels;
    d->view = *v;
    d->viewed = true;
}

/* ---- reading rows; also from the prefetch thread, so neither MPI nor HDF5 below ---- */

static tdo_err read_at(const struct tdo_dataset *d, void *to, int64_t bytes, int64_t offset)
{
    char *at = to;
    while (bytes > 0) {
        ssize_t n = pread(d->fd, at, (size_t)bytes, (off_t)offset);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return TDO_FAIL(TDO_ERR_FILE, "cannot read %s at byte %lld: %s", d->path,
                            (long long)offset, n < 0 ? strerror(errno) : "the file has ended");
        }
        at += n;
        offset += n;
        bytes -= n;
    }
    return TDO_OK;
}

static tdo_err check_labels(const struct tdo_dataset *d, enum tdo_split split,
                            const int64_t *rows, int64_t n, const int32_t *y)
{
    for (int64_t i = 0; i < n; i++) {
        if (y[i] < 0 || y[i] >= d->layout.info.classes) {
            return TDO_FAIL(TDO_ERR_FORMAT, "%s: /%s/y is %d in row %lld, 0 to %d is expected",
                            d->path, tdo_dataset_split_name(split), y[i], (long long)rows[i],
                            d->layout.info.classes - 1);
        }
    }
    return TDO_OK;
}

void tdo_dataset_row_name(const tdo_dataset *d, enum tdo_split split, int64_t row, char *name,
                          size_t room)
{
    snprintf(name, room, "%s: row %lld of %s", d->path, (long long)row,
             tdo_dataset_split_name(split));
}

tdo_err tdo_dataset_file(const tdo_dataset *d, enum tdo_split split, int64_t row,
                         uint8_t **file, int64_t *room, int64_t *bytes)
{
    const int64_t size = (int64_t)sizeof(int64_t), all = d->layout.info.bytes[split];
    int64_t at[2] = {0, 0};
    TDO_TRY(read_at(d, at, 2 * size, d->layout.offsets[split] + row * size));
    if (at[0] < 0 || at[1] <= at[0] || at[1] > all || at[1] - at[0] > MOST_FILE) {
        return TDO_FAIL(
            TDO_ERR_FORMAT,
            "%s: /%s/offset has %lld and %lld in rows %lld and %lld: rising numbers "
            "up to %lld are expected",
            d->path, tdo_dataset_split_name(split), (long long)at[0], (long long)at[1],
            (long long)row, (long long)(row + 1), (long long)all);
    }
    *bytes = at[1] - at[0];
    if (*bytes > *room) {
        tdo_memory_free(file);
        *room = 0;
        TDO_TRY(tdo_memory_new(*bytes, file));
        *room = *bytes;
    }
    return read_at(d, *file, *bytes, d->layout.x_offset[split] + at[0]);
}

/* Row by row through the view. */
static tdo_err read_views(const struct tdo_dataset *d, enum tdo_split split,
                          const int64_t *rows, int64_t n, uint8_t *x)
{
    uint8_t *file = NULL;
    int64_t room = 0, bytes = 0;
    tdo_err err = TDO_OK;
    char name[1200];
    if (!d->viewed) {
        return TDO_FAIL(TDO_ERR_BUG, "%s: an encoded set is read without a decoder", d->path);
    }
    for (int64_t i = 0; i < n; i++) {
        TDO_GOTO(tdo_dataset_file(d, split, rows[i], &file, &room, &bytes));
        tdo_dataset_row_name(d, split, rows[i], name, sizeof name);
        TDO_GOTO(d->view.decode(&d->view, name, file, bytes, x + i * d->row_bytes));
    }
done:
    tdo_memory_free(&file);
    return err;
}

/* Rows [first, first + n), which lie side by side. */
static tdo_err read_run(const struct tdo_dataset *d, enum tdo_split split, int64_t first,
                        int64_t n, void *x, int32_t *y)
{
    const int64_t label = (int64_t)sizeof *y;
    if (x) {
        TDO_TRY(
            read_at(d, x, n * d->row_bytes, d->layout.x_offset[split] + first * d->row_bytes));
    }
    if (y) {
        TDO_TRY(read_at(d, y, n * label, d->layout.y_offset[split] + first * label));
    }
    return TDO_OK;
}

tdo_err tdo_dataset_read(const tdo_dataset *d, enum tdo_split split, const int64_t *rows,
                         int64_t n, void *x, int32_t *y)
{
    const int64_t *there = d->layout.info.rows;
    for (int64_t i = 0; i < n; i++) {
        if (rows[i] < 0 || rows[i] >= there[split]) {
            return TDO_FAIL(TDO_ERR_BUG, "%s: row %lld of /%s asked for, it has %lld rows",
                            d->path, (long long)rows[i], tdo_dataset_split_name(split),
                            (long long)there[split]);
        }
    }
    if (d->layout.info.encoded && x) {
        TDO_TRY(read_views(d, split, rows, n, x));
        x = NULL;
    }
    for (int64_t i = 0, run; i < n; i += run) {
        for (run = 1; i + run < n && rows[i + run] == rows[i] + run;) {
            run++;
        }
        TDO_TRY(read_run(d, split, rows[i], run, x ? (char *)x + i * d->row_bytes : NULL,
                         y ? y + i : NULL));
    }
    return y ? check_labels(d, split, rows, n, y) : TDO_OK;
}

void tdo_dataset_free(tdo_dataset **d)
{
    if (!*d) {
        return;
    }
    if ((*d)->fd >= 0) {
        close((*d)->fd);
    }
    tdo_memory_free(&(*d)->path);
    tdo_memory_free(&(*d)->mean);
    tdo_memory_free(d);
}
