/* Outcomes: two chunks, attack.json and outcomes.tsv. What is read is written, and read again, and
 * written again: the second writing is the first, byte by byte. Tables are made of it as well. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/outcomes/robustness.h"
#include "nn/base/file.h"
#include "nn/base/memory.h"
#include "tests/fuzz/fuzz.h"

static const char *const names[] = {"attack.json", "outcomes.tsv"};

/* What lies in the scratch directory under both names, in one text. */
static char *contents(void)
{
    char *all = NULL, *text = NULL;
    size_t size = 0;
    int64_t bytes = 0;
    FILE *to = open_memstream(&all, &size);
    FUZZ_CHECK(to);
    for (int f = 0; f < 2; f++) {
        tdo_err err = tdo_file_read(fuzz_path(names[f]), 1 << 28, &text, &bytes);
        FUZZ_CHECK(err == TDO_OK);
        fwrite(text, 1, (size_t)bytes, to);
        tdo_memory_free(&text);
    }
    fclose(to);
    return all;
}

static void use(const struct tdo_outcomes *o)
{
    struct tdo_robustness *r = NULL;
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    FUZZ_CHECK(to);
    if (o->attacks < 30 && tdo_robustness_new(o, &r) == TDO_OK) {
        tdo_robustness_write_rows(to, r);
        tdo_robustness_write_curves(to, r);
        tdo_robustness_print(to, r);
    }
    tdo_robustness_free(&r);
    fclose(to);
    free(text);
}

/* Write what was read, and read it again. */
static char *round_trip(struct tdo_outcomes *o)
{
    tdo_err err = tdo_outcomes_write(o, fuzz_path(""));
    FUZZ_CHECK(err == TDO_OK);
    char *text = contents();
    tdo_outcomes_free(o);
    err = tdo_outcomes_read(fuzz_path(""), o);
    FUZZ_CHECK(err == TDO_OK);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz in = {data, size};
    struct tdo_outcomes o;
    for (int f = 0; f < 2; f++) {
        const struct fuzz chunk = fuzz_chunk(&in);
        fuzz_write(names[f], chunk.data, chunk.size);
    }
    if (tdo_outcomes_read(fuzz_path(""), &o) == TDO_OK) {
        use(&o);
        char *first = round_trip(&o), *second = round_trip(&o);
        FUZZ_CHECK(strcmp(first, second) == 0);
        free(first);
        free(second);
    }
    tdo_outcomes_free(&o);
    fuzz_remove(names[0]);
    fuzz_remove(names[1]);
    return 0;
}
