/* JSON: the input is parsed, walked over, printed, and parsed again; the two prints are equal. */
#include <stdbool.h>
#include <string.h>

#include "nn/base/json.h"
#include "nn/base/memory.h"
#include "tests/fuzz/fuzz.h"

/* All values below j, by every kind of look-up. */
static void walk(const tdo_json *j, int depth)
{
    const char *key = NULL, *text = NULL;
    tdo_json *child = NULL;
    int64_t integer = 0;
    double real = 0;
    bool truth = false;
    for (int64_t i = 0; i < tdo_json_size(j) && depth < 40; i++) {
        const bool member = tdo_json_key(j, i, &key);
        if (member) {
            FUZZ_CHECK(tdo_json_has(j, key));
            (void)tdo_json_get_text(j, key, &text);
            (void)tdo_json_get_int(j, key, &integer);
            (void)tdo_json_get_real(j, key, &real);
            (void)tdo_json_get_bool(j, key, &truth);
        }
        FUZZ_CHECK(member ? tdo_json_get(j, key, &child) : tdo_json_at(j, i, &child));
        (void)tdo_json_int(child, &integer);
        (void)tdo_json_real(child, &real);
        (void)tdo_json_text_of(child, &text);
        walk(child, depth + 1);
        tdo_json_free(&child);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tdo_json *j = NULL, *again = NULL;
    char *first = NULL, *second = NULL;
    if (size > 16384 || tdo_json_parse((const char *)data, size, "input", &j) != TDO_OK) {
        return 0;
    }
    walk(j, 0);
    FUZZ_CHECK(tdo_json_check(j) == TDO_OK);
    FUZZ_CHECK(tdo_json_text(j, size % 3 == 0 ? 2 : 0, &first) == TDO_OK);
    FUZZ_CHECK(tdo_json_parse(first, strlen(first), "again", &again) == TDO_OK);
    FUZZ_CHECK(tdo_json_text(again, size % 3 == 0 ? 2 : 0, &second) == TDO_OK);
    FUZZ_CHECK(strcmp(first, second) == 0);
    tdo_memory_free(&first);
    tdo_memory_free(&second);
    tdo_json_free(&again);
    tdo_json_free(&j);
    return 0;
}
