/* CIFAR-10 and CIFAR-100, binary version: a first byte chooses which files there are (both sets at
 * once too), then a pattern and a length for each. */
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const name[] = {
        "data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
        "data_batch_5.bin", "test_batch.bin",   "train.bin",        "test.bin"};
    struct fuzz f = {data, size};
    const unsigned there = (unsigned)fuzz_number(&f, 1);
    for (int i = 0; i < 8; i++) {
        if (there >> i & 1) {
            fuzz_write_source(&f, name[i], 1);
        }
    }
    fuzz_read_source("cifar");
    for (int i = 0; i < 8; i++) {
        fuzz_remove_source(name[i]);
    }
    return 0;
}
