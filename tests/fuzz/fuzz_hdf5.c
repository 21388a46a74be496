/* HDF5 files made of choices. See fuzz_hdf5.h. */
#include "tests/fuzz/fuzz_hdf5.h"

#include <string.h>

hid_t fuzz_hdf5_create(const char *path)
{
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    return H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
}

static void put_attribute(hid_t file, const char *name, hid_t type, hsize_t n, const void *data)
{
    hid_t space = n == 1 ? H5Screate(H5S_SCALAR) : H5Screate_simple(1, &n, NULL);
    hid_t a = H5Acreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    if (a >= 0) {
        H5Awrite(a, type, data);
        H5Aclose(a);
    }
    H5Sclose(space);
}

void fuzz_hdf5_text(struct fuzz *f, hid_t file, const char *name, const char *usual)
{
    char text[600] = {0};
    const char *pointer[2] = {text, text};
    const int64_t two[2] = {(int64_t)fuzz_number(f, 1), 2};
    const unsigned how = (unsigned)fuzz_number(f, 1);
    struct fuzz given = {NULL, 0};
    if (how >= 4) {
        given = fuzz_chunk(f);
        memcpy(text, given.data ? (const char *)given.data : "",
               given.size < 599 ? given.size : 599);
    } else {
        strncpy(text, usual, sizeof text - 1);
    }
    hid_t type = H5Tcopy(H5T_C_S1);
    switch (how % 8) {
    case 1: /* absent */
        break;
    case 2:
    case 5:
        H5Tset_size(type, H5T_VARIABLE);
        put_attribute(file, name, type, how == 5 ? 2 : 1, pointer);
        break;
    case 3:
        put_attribute(file, name, H5T_NATIVE_INT64, 1, two);
        break;
    case 6: /* longer than its text, two of them */
        H5Tset_size(type, 64);
        put_attribute(file, name, type, 2, text);
        break;
    case 7: /* no zero byte at its end */
        H5Tset_size(type, strlen(text) > 0 ? strlen(text) : 1);
        H5Tset_strpad(type, H5T_STR_NULLPAD);
        put_attribute(file, name, type, 1, text);
        break;
    default:
        H5Tset_size(type, strlen(text) + 1);
        put_attribute(file, name, type, 1, text);
    }
    H5Tclose(type);
}

void fuzz_hdf5_integer(struct fuzz *f, hid_t file, const char *name, int64_t usual)
{
    const hid_t types[] = {H5T_NATIVE_INT32,  H5T_NATIVE_INT64, H5T_NATIVE_UINT8,
                           H5T_NATIVE_DOUBLE, H5T_STD_I32BE,    H5T_NATIVE_UINT64};
    const unsigned how = (unsigned)fuzz_number(f, 1);
    int64_t value[4] = {usual, usual, 0, 0};
    if (how & 8) {
        value[0] = (int64_t)fuzz_number(f, 8);
    }
    if (how != 255) {
        put_attribute(file, name, types[how % 6], how & 16 ? 2 : 1, value);
    }
}

/* Sizes as the input wants them; small, unless the data are left out. */
static int choose_extent(struct fuzz *f, unsigned how, const struct fuzz_hdf5_data *usual,
                         hsize_t dim[5])
{
    int rank = usual->rank;
    memcpy(dim, usual->dim, sizeof usual->dim);
    dim[4] = 1;
    if (how & 2) {
        rank = (int)(fuzz_number(f, 1) % 6);
        for (int i = 0; i < rank; i++) {
            dim[i] = fuzz_number(f, 1) % 6;
        }
    }
    if (how & 4) { /* one of any size; such data are never written */
        dim[fuzz_number(f, 1) % 5] = fuzz_number(f, 8);
    }
    return rank;
}

static hid_t choose_storage(struct fuzz *f, int rank)
{
    hid_t list = H5Pcreate(H5P_DATASET_CREATE);
    hsize_t chunk[5] = {1, 1, 1, 1, 1};
    switch (fuzz_number(f, 1) % 4) {
    case 1:
        if (rank > 0) {
            H5Pset_chunk(list, rank, chunk);
        }
        break;
    case 2:
        H5Pset_layout(list, H5D_COMPACT);
        break;
    case 3:
        H5Pset_external(list, "/dev/null", 0, H5F_UNLIMITED);
        break;
    default:
        break;
    }
    return list;
}

static void put_data(struct fuzz *f, hid_t file, unsigned how,
                     const struct fuzz_hdf5_data *usual)
{
    static const uint8_t nothing[1 << 16];
    const hid_t types[] = {H5T_STD_U8LE,   H5T_STD_U8BE,   H5T_IEEE_F32LE, H5T_STD_I32LE,
                           H5T_IEEE_F32BE, H5T_IEEE_F64LE, H5T_STD_I64LE,  H5T_C_S1};
    hsize_t dim[5];
    const hid_t type = how & 1 ? types[fuzz_number(f, 1) % 8] : usual->type;
    const int rank = choose_extent(f, how, usual, dim);
    hid_t list = how & 8 ? choose_storage(f, rank) : H5Pcreate(H5P_DATASET_CREATE);
    hid_t links = H5Pcreate(H5P_LINK_CREATE);
    H5Pset_create_intermediate_group(links, 1);
    hid_t space = H5Screate_simple(rank, dim, NULL);
    hid_t d = H5Dcreate2(file, usual->name, type, space, links, list, H5P_DEFAULT);
    const hssize_t count = space >= 0 ? H5Sget_simple_extent_npoints(space) : -1;
    if (d >= 0 && !(how & 16) && count >= 0 && count <= (hssize_t)sizeof nothing / 8) {
        H5Dwrite(d, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, nothing);
    }
    if (d >= 0) {
        H5Dclose(d);
    }
    if (space >= 0) {
        H5Sclose(space);
    }
    H5Pclose(links);
    H5Pclose(list);
}

void fuzz_hdf5_data(struct fuzz *f, hid_t file, const struct fuzz_hdf5_data *usual)
{
    const unsigned how = (unsigned)fuzz_number(f, 1);
    if (how < 128) {
        put_data(f, file, how, usual);
    } else if (how < 160) {
        hid_t links = H5Pcreate(H5P_LINK_CREATE);
        H5Pset_create_intermediate_group(links, 1);
        hid_t g = H5Gcreate2(file, usual->name, links, H5P_DEFAULT, H5P_DEFAULT);
        if (g >= 0) {
            H5Gclose(g);
        }
        H5Pclose(links);
    } else if (how < 192) {
        H5Lcreate_soft("/nowhere", file, usual->name, H5P_DEFAULT, H5P_DEFAULT);
    } /* else absent */
}
