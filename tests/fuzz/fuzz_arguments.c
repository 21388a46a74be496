/* Arguments: every line of the input is one `key=value`, numbers, choices and lists included. What
 * is taken without an error has a resolved form, and that form reads back as it was. */
#include <stdio.h>
#include <string.h>

#include "jobs/job.h"
#include "tests/fuzz/fuzz.h"

static bool take(tdo_config *c, const uint8_t *data, size_t size)
{
    char line[512];
    for (size_t at = 0; at < size;) {
        const uint8_t *end = memchr(data + at, '\n', size - at);
        const size_t n = end ? (size_t)(end - data) - at : size - at;
        snprintf(line, sizeof line, "%.*s", (int)(n < sizeof line ? n : sizeof line - 1),
                 (const char *)data + at);
        if (tdo_config_set(c, line) != TDO_OK) {
            return false;
        }
        at += n + 1;
    }
    return true;
}

/* Every number of the resolved form, given again as an argument, is taken. */
static void again(const tdo_json *resolved)
{
    static const char *const keys[] = {"lr", "momentum", "weight_decay"};
    tdo_json *train = NULL;
    tdo_config *c = NULL;
    double value = 0;
    FUZZ_CHECK(tdo_config_new(&tdo_job_schema, &c) == TDO_OK);
    for (int i = 0; tdo_json_get(resolved, "train", &train) && i < 3; i++) {
        char argument[96], key[64];
        if (tdo_json_get_real(train, keys[i], &value)) {
            snprintf(argument, sizeof argument, "train.%s=%.17g", keys[i], value);
            snprintf(key, sizeof key, "train.%s", keys[i]);
            FUZZ_CHECK(tdo_config_set(c, argument) == TDO_OK);
            FUZZ_CHECK(tdo_config_real(c, key) == value);
        }
        tdo_json_free(&train);
    }
    tdo_json_free(&train);
    tdo_config_free(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tdo_config *c = NULL;
    tdo_json *resolved = NULL;
    if (tdo_config_new(&tdo_job_schema, &c) == TDO_OK && take(c, data, size)) {
        FUZZ_IGNORE(tdo_config_check(c, TDO_JOB_ALL));
        if (tdo_config_json(c, TDO_JOB_ALL, &resolved) == TDO_OK) {
            again(resolved);
        }
    }
    tdo_json_free(&resolved);
    tdo_config_free(&c);
    return 0;
}
