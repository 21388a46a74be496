/* Held-out rows: training and validation rows together are all rows, each once. */
#include <string.h>

#include "mpi/holdout.h"
#include "tests/runner.h"

const char suite_name[] = "holdout";

enum { MOST = 1000 };

static void check(const struct tdo_holdout *h)
{
    int seen[MOST] = {0};
    int64_t before = -1;
    for (int64_t j = 0; j < h->held; j++) {
        const int64_t row = tdo_holdout_validation(h, j);
        CU_ASSERT_TRUE_FATAL(row > before && row < h->rows);
        seen[row]++;
        before = row;
    }
    before = -1;
    for (int64_t j = 0; j < h->rows - h->held; j++) {
        const int64_t row = tdo_holdout_train(h, j);
        CU_ASSERT_TRUE_FATAL(row > before && row < h->rows);
        seen[row]++;
        before = row;
    }
    for (int64_t i = 0; i < h->rows; i++) {
        CU_ASSERT_EQUAL(seen[i], 1);
    }
}

static void partition(void)
{
    static const int64_t sizes[][2] = {{10, 0},   {10, 1},     {10, 9},     {1000, 100},
                                       {997, 50}, {1000, 333}, {1000, 999}, {2, 1}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (int last = 0; last < 2; last++) {
            for (uint32_t seed = 0; seed < 3; seed++) {
                check(&(struct tdo_holdout){
                    .rows = sizes[i][0], .held = sizes[i][1], .last = last, .seed = seed});
            }
        }
    }
}

static void part(void)
{
    /* 100 of 1,050 rows, in ten classes one behind the other: ten of each */
    const struct tdo_holdout whole = {.rows = 100, .held = 20, .seed = 3};
    const struct tdo_holdout h = {.rows = 100, .held = 20, .of = 1050, .seed = 3};
    int of_class[10] = {0};
    for (int64_t j = 0; j < 80; j++) {
        const int64_t row = tdo_holdout_train(&h, j);
        CU_ASSERT_EQUAL(row, tdo_holdout_train(&whole, j) * 1050 / 100);
        of_class[row / 105]++;
    }
    for (int64_t j = 0; j < 20; j++) {
        const int64_t row = tdo_holdout_validation(&h, j);
        CU_ASSERT_EQUAL(row, tdo_holdout_validation(&whole, j) * 1050 / 100);
        of_class[row / 105]++;
    }
    for (int i = 0; i < 10; i++) {
        CU_ASSERT_EQUAL(of_class[i], 10);
    }
}

static void spread(void)
{
    const struct tdo_holdout h = {.rows = 1000, .held = 100, .seed = 5};
    int places[10] = {0};
    for (int64_t j = 0; j < h.held; j++) {
        const int64_t row = tdo_holdout_validation(&h, j);
        CU_ASSERT_EQUAL(row / 10, j); /* one of each group of ten */
        places[row % 10]++;
    }
    for (int i = 0; i < 10; i++) {
        CU_ASSERT_TRUE(places[i] > 0 && places[i] < 30);
    }
}

static void large(void)
{
    const struct tdo_holdout h = {.rows = (INT64_C(1) << 40) - 1,
                                  .held = (INT64_C(1) << 31) - 1};
    const int64_t last = tdo_holdout_train(&h, h.rows - h.held - 1);
    const int64_t held = tdo_holdout_validation(&h, h.held - 1);
    CU_ASSERT_TRUE(last < h.rows && held < h.rows && last != held);
    CU_ASSERT_TRUE(last == h.rows - 1 || held == h.rows - 1);
}

CU_TestInfo suite_tests[] = {
    {"training and validation rows are all rows, each once, in order", partition},
    {"spread takes one row of each group, anywhere in it", spread},
    {"a part of the rows is spread evenly over all", part},
    {"the largest sizes do not overflow", large},
    CU_TEST_INFO_NULL,
};
