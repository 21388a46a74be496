/* IDX: the four files of MNIST, each a chunk of the input; plain, gzip, or compressed by us. */
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const name[] = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte",
                                       "t10k-images-idx3-ubyte", "t10k-labels.idx1-ubyte"};
    struct fuzz f = {data, size};
    for (int i = 0; i < 4; i++) {
        fuzz_write_source(&f, name[i], 0);
    }
    fuzz_read_source("idx");
    for (int i = 0; i < 4; i++) {
        fuzz_remove_source(name[i]);
    }
    return 0;
}
