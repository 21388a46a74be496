/* A config file: the input is its text; `@include "more"` finds a second file, which is what stands
 * behind the first zero byte. What is read without an error has a resolved form. */
#include <string.h>
#include <unistd.h>

#include "jobs/job.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    return chdir(fuzz_path("")); /* includes are found from here */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tdo_config *c = NULL;
    tdo_json *resolved = NULL;
    const uint8_t *zero = size > 0 ? memchr(data, 0, size) : NULL;
    const size_t first = zero ? (size_t)(zero - data) : size;
    if (zero) {
        fuzz_write("more", zero + 1, size - first - 1);
    }
    const char *path = fuzz_write("test.cfg", data, first);
    if (tdo_config_new(&tdo_job_schema, &c) == TDO_OK && tdo_config_load(c, path) == TDO_OK) {
        FUZZ_IGNORE(tdo_config_check(c, TDO_JOB_ALL));
        tdo_err err = tdo_config_json(c, TDO_JOB_ALL, &resolved);
        err = err == TDO_OK ? tdo_json_check(resolved) : err;
        FUZZ_CHECK(err == TDO_OK);
    }
    tdo_json_free(&resolved);
    tdo_config_free(&c);
    fuzz_remove("test.cfg");
    fuzz_remove("more");
    return 0;
}
