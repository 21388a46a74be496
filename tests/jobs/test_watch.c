/* Watching a metric: epochs by hand. */
#include <math.h>
#include <string.h>

#include "jobs/train/watch.h"
#include "tests/runner.h"

const char suite_name[] = "watch";

/* One letter an epoch: k keep, s stop, b both, . neither. */
static void see(struct tdo_watch *w, int n, const double *value, const char *expected)
{
    char got[32] = "";
    for (int i = 0; i < n; i++) {
        const struct tdo_watch_verdict v = tdo_watch_see(w, value[i]);
        got[i] = ".ksb"[v.keep + 2 * v.stop];
    }
    CU_ASSERT_STRING_EQUAL(got, expected);
}

static void best_and_worst(void)
{
    static const double v[] = {.5, .7, .7, .4, .8, .3};
    struct tdo_watch w = {.keep = TDO_WATCH_BEST};
    see(&w, 6, v, "kk..k.");
    CU_ASSERT_EQUAL(w.count[TDO_WATCH_CHOICE], 5);
    w = (struct tdo_watch){.keep = TDO_WATCH_WORST};
    see(&w, 6, v, "k..k.k");
    w = (struct tdo_watch){.keep = TDO_WATCH_BEST, .lower = true};
    see(&w, 6, v, "k..k.k");
    w = (struct tdo_watch){.keep = TDO_WATCH_WORST, .lower = true};
    see(&w, 6, v, "kk..k.");
    w = (struct tdo_watch){.keep = TDO_WATCH_LAST};
    see(&w, 6, v, "......");
    CU_ASSERT_EQUAL(w.count[TDO_WATCH_CHOICE], 0);
}

static void patience(void)
{
    static const double v[] = {.5, .6, .6, .5, .7, .1, .1, .1};
    struct tdo_watch w = {.patience = 3, .keep = TDO_WATCH_BEST};
    see(&w, 8, v, "kk..k..s");
    w = (struct tdo_watch){.patience = 1, .keep = TDO_WATCH_WORST};
    see(&w, 3, v, "k.s"); /* a worse epoch is kept, and ends it all the same */
    w = (struct tdo_watch){.patience = 1, .keep = TDO_WATCH_WORST};
    see(&w, 2, (double[]){.5, .4}, "kb");
}

static void plateau(void)
{
    static const double v[] = {1, .9, .9, .9, .9, .8, .9, .9};
    static const int64_t cuts[] = {0, 0, 0, 1, 1, 1, 1, 2};
    struct tdo_watch w = {.plateau = 2, .lower = true};
    for (int i = 0; i < 8; i++) {
        (void)tdo_watch_see(&w, v[i]);
        CU_ASSERT_EQUAL(w.count[TDO_WATCH_CUTS], cuts[i]);
    }
}

static void no_number(void)
{
    const double v[] = {(double)NAN, .5, (double)NAN, HUGE_VAL, .6};
    struct tdo_watch w = {.keep = TDO_WATCH_BEST, .patience = 3};
    see(&w, 5, v, ".k..k");
    w = (struct tdo_watch){.keep = TDO_WATCH_WORST, .lower = true};
    see(&w, 5, v, ".k..k");
}

CU_TestInfo suite_tests[] = {
    {"the best or the worst epoch is kept, the first of equals", best_and_worst},
    {"patience counts epochs since the best", patience},
    {"a plateau counts epochs since the best or the latest cut", plateau},
    {"what is no number is never better and never kept", no_number},
    CU_TEST_INFO_NULL,
};
