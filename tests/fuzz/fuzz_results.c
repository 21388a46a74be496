/* What jobs left in a run directory, in chunks: evaluate.json, metrics.jsonl, certify.tsv,
 * votes.tsv, run.json; an empty one is no file. What is read becomes a report, without pictures. */
#include <stdio.h>
#include <stdlib.h>

#include "jobs/report/curve.h"
#include "jobs/report/report.h"
#include "tests/fuzz/fuzz.h"

static const char *const names[] = {"evaluate.json", "metrics.jsonl", "certify.tsv",
                                    "votes.tsv", "run.json"};
enum { FILES = sizeof names / sizeof *names };

static void make_report(struct tdo_results *results, const char *dir)
{
    struct tdo_report r = {.out = dir, .title = "t", .runs = 1, .run = results};
    char *text = NULL;
    size_t size = 0;
    r.page = open_memstream(&text, &size);
    FUZZ_CHECK(r.page);
    FUZZ_IGNORE(tdo_report_summary(&r));
    FUZZ_IGNORE(tdo_report_clean(&r));
    FUZZ_IGNORE(tdo_report_certified(&r));
    FUZZ_IGNORE(tdo_report_training(&r));
    fclose(r.page);
    free(text);
}

/* Certified accuracy never rises, and is that of the right images at 0. */
static void check_curve(const struct tdo_results_certificates *c)
{
    int64_t before = c->images;
    for (int i = 0; i < 10 && c->images > 0; i++) {
        const int64_t stand = tdo_curve_stand(c->limit, c->images, 0.1 * i, true);
        FUZZ_CHECK(stand <= before && (i > 0 || stand == c->correct));
        before = stand;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz in = {data, size};
    struct tdo_results r;
    char dir[1024];
    snprintf(dir, sizeof dir, "%s", fuzz_path(""));
    for (int f = 0; f < FILES; f++) {
        const struct fuzz chunk = fuzz_chunk(&in);
        if (chunk.size > 0) {
            fuzz_write(names[f], chunk.data, chunk.size);
        }
    }
    if (tdo_results_read(dir, "run", &r) == TDO_OK) {
        check_curve(&r.certificates);
        make_report(&r, dir);
    }
    tdo_results_free(&r);
    for (int f = 0; f < FILES; f++) {
        fuzz_remove(names[f]);
    }
    return 0;
}
