/* STL-10: its four files, each a pattern that is repeated up to a length. */
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const name[] = {"train_X.bin", "train_y.bin", "test_X.bin",
                                       "test_y.bin"};
    struct fuzz f = {data, size};
    for (int i = 0; i < 4; i++) {
        fuzz_write_source(&f, name[i], 1);
    }
    fuzz_read_source("stl10");
    for (int i = 0; i < 4; i++) {
        fuzz_remove_source(name[i]);
    }
    return 0;
}
