#ifndef TDO_TESTS_FUZZ_HDF5_H
#define TDO_TESTS_FUZZ_HDF5_H
/* HDF5 files made of choices in the input: the structure is fuzzed, not the bytes, since what the
 * library does with a file of damaged bytes is not ours to test (checkpoints have a seal for it). */
#include <hdf5.h>

#include "tests/fuzz/fuzz.h"

/* A string attribute of the root: absent, of fixed or variable length, an integer, or two
 * elements; the usual text, or one from the input. */
void fuzz_hdf5_text(struct fuzz *f, hid_t file, const char *name, const char *usual);
void fuzz_hdf5_integer(struct fuzz *f, hid_t file, const char *name, int64_t usual);

/* A dataset: absent, a group or a link instead, of another type, number of dimensions, sizes,
 * storage, with or without its data; or, when the byte of choices is 0, as usual. */
struct fuzz_hdf5_data {
    const char *name;
    hid_t type;
    int rank;
    hsize_t dim[4];
};
void fuzz_hdf5_data(struct fuzz *f, hid_t file, const struct fuzz_hdf5_data *usual);

/* Begin a file; the handlers of the library are silent. */
hid_t fuzz_hdf5_create(const char *path);

#endif
