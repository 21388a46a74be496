/* Reading ahead: batches arrive in the order asked, with the rows asked, and what goes wrong in
 * the thread is seen by the caller. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "mpi/dataset.h"
#include "nn/base/memory.h"
#include "tests/mpi/runner.h"

const char suite_name[] = "mpi/prefetch";

enum { ROWS = 50, PIXELS = 6, BATCH = 8 };

static char path[256];

/* Row r of train: every pixel r, label r % 3. */
static tdo_dataset *open_data(void)
{
    const struct tdo_dataset_info info = {.height = 1,
                                          .width = 2,
                                          .channels = 3,
                                          .classes = 3,
                                          .is_u8 = true,
                                          .rows = {ROWS, 0, 1}};
    uint8_t x[ROWS * PIXELS];
    int32_t y[ROWS];
    tdo_dataset_writer *w = NULL;
    tdo_dataset *d = NULL;
    for (int i = 0; i < ROWS; i++) {
        memset(x + i * PIXELS, i, PIXELS);
        y[i] = i % 3;
    }
    snprintf(path, sizeof path, "%s", runner_path("prefetch.h5"));
    ASSERT_OK_FATAL(tdo_dataset_create(runner_comm, path, &info, &w));
    if (tdo_comm_rank(runner_comm) == 0) {
        ASSERT_OK_FATAL(tdo_dataset_write(w, TDO_SPLIT_TRAIN, 0, ROWS, x, y));
        ASSERT_OK_FATAL(tdo_dataset_write(w, TDO_SPLIT_TEST, 0, 1, x, y));
    }
    ASSERT_OK_FATAL(tdo_dataset_finish(w));
    tdo_dataset_writer_free(&w);
    ASSERT_OK_FATAL(tdo_dataset_open(runner_comm, path, &d));
    return d;
}

static void close_data(tdo_dataset **d)
{
    tdo_dataset_free(d);
    tdo_err err = tdo_comm_agree(runner_comm, TDO_OK);
    CU_ASSERT_EQUAL(err, TDO_OK);
    if (tdo_comm_rank(runner_comm) == 0) {
        unlink(path);
    }
}

/* Batch k: how many rows, and which. */
static int64_t batch(int k, int64_t rows[BATCH])
{
    int64_t n = 1 + (k * 5) % BATCH;
    for (int64_t i = 0; i < n; i++) {
        rows[i] = (k * 7 + i * 3) % ROWS;
    }
    return n;
}

static bool is_batch(int k, const uint8_t *x, const int32_t *y)
{
    int64_t rows[BATCH], n = batch(k, rows);
    bool good = x && y;
    for (int64_t i = 0; good && i < n; i++) {
        good = x[i * PIXELS] == rows[i] && x[i * PIXELS + PIXELS - 1] == rows[i] &&
               y[i] == rows[i] % 3;
    }
    return good;
}

static void batches_come_in_order(void)
{
    tdo_dataset *d = open_data();
    tdo_prefetch *p = NULL;
    int64_t rows[BATCH];
    ASSERT_OK_FATAL(tdo_prefetch_new(d, TDO_SPLIT_TRAIN, BATCH, &p));
    ASSERT_OK(tdo_prefetch_request(p, rows, batch(0, rows)));
    for (int k = 0; k < 500; k++) {
        const void *x;
        const int32_t *y;
        ASSERT_OK_FATAL(tdo_prefetch_wait(p, &x, &y));
        ASSERT_OK_FATAL(tdo_prefetch_request(p, rows, batch(k + 1, rows)));
        CU_ASSERT(is_batch(k, x, y)); /* still there while the next one is read */
    }
    tdo_prefetch_free(&p); /* with one request under way */
    CU_ASSERT_PTR_NULL(p);
    close_data(&d);
}

static void two_are_the_limit(void)
{
    tdo_dataset *d = open_data();
    tdo_prefetch *p = NULL;
    int64_t rows[BATCH + 1] = {0};
    const void *x;
    const int32_t *y;
    ASSERT_OK_FATAL(tdo_prefetch_new(d, TDO_SPLIT_TRAIN, BATCH, &p));
    CU_ASSERT_EQUAL(tdo_prefetch_wait(p, &x, &y), TDO_ERR_BUG);
    CU_ASSERT_EQUAL(tdo_prefetch_request(p, rows, BATCH + 1), TDO_ERR_BUG);
    CU_ASSERT_EQUAL(tdo_prefetch_request(p, rows, 0), TDO_ERR_BUG);
    ASSERT_OK(tdo_prefetch_request(p, rows, batch(0, rows)));
    ASSERT_OK(tdo_prefetch_request(p, rows, batch(1, rows)));
    CU_ASSERT_EQUAL(tdo_prefetch_request(p, rows, 1), TDO_ERR_BUG);
    usleep(20000); /* both are read by now */
    ASSERT_OK(tdo_prefetch_wait(p, &x, &y));
    CU_ASSERT(is_batch(0, x, y));
    CU_ASSERT_EQUAL(tdo_prefetch_request(p, rows, 1), TDO_ERR_BUG); /* one held, one asked */
    ASSERT_OK(tdo_prefetch_wait(p, &x, &y));
    CU_ASSERT(is_batch(1, x, y));
    ASSERT_OK(tdo_prefetch_request(p, rows, batch(2, rows)));
    ASSERT_OK(tdo_prefetch_wait(p, &x, &y));
    CU_ASSERT(is_batch(2, x, y));
    tdo_prefetch_free(&p);
    close_data(&d);
}

static void errors_of_the_thread_arrive(void)
{
    tdo_dataset *d = open_data();
    tdo_prefetch *p = NULL;
    const int64_t bad = ROWS;
    int64_t rows[BATCH];
    const void *x;
    const int32_t *y;
    ASSERT_OK_FATAL(tdo_prefetch_new(d, TDO_SPLIT_TRAIN, BATCH, &p));
    ASSERT_OK(tdo_prefetch_request(p, &bad, 1));
    ASSERT_OK(tdo_prefetch_request(p, rows, batch(4, rows)));
    tdo_error_clear();
    CU_ASSERT_EQUAL(tdo_prefetch_wait(p, &x, &y), TDO_ERR_BUG);
    CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, "row 50 of /train"));
    CU_ASSERT(x == NULL && y == NULL);
    ASSERT_OK(tdo_prefetch_wait(p, &x, &y)); /* the next batch is not touched by it */
    CU_ASSERT(is_batch(4, x, y));
    tdo_prefetch_free(&p);
    close_data(&d);
}

/* A source that answers with the turn. */
static tdo_err read_turn(void *self, int64_t turn, const int64_t *rows, int64_t n, void *x,
                         int32_t *y)
{
    (void)self;
    for (int64_t i = 0; i < n; i++) {
        ((uint8_t *)x)[i] = (uint8_t)turn;
        y[i] = (int32_t)rows[i];
    }
    return TDO_OK;
}

static void turns_come_with_their_rows(void)
{
    const struct tdo_prefetch_source from = {
        .name = "turns", .row_bytes = 1, .read = read_turn};
    const int64_t rows[] = {8, 9};
    const void *x;
    const int32_t *y;
    tdo_prefetch *p = NULL;
    ASSERT_OK_FATAL(tdo_prefetch_from(&from, 2, &p));
    ASSERT_OK(tdo_prefetch_request(p, rows, 2));
    for (int k = 0; k < 20; k++) {
        tdo_prefetch_turn(p, 3 * (k + 1)); /* while rows of the turn before are read */
        ASSERT_OK_FATAL(tdo_prefetch_wait(p, &x, &y));
        CU_ASSERT(*(const uint8_t *)x == 3 * k && y[0] == 8);
        ASSERT_OK(tdo_prefetch_request(p, rows, 1));
    }
    tdo_prefetch_free(&p);
}

static void memory_failures_are_errors(void)
{
    tdo_dataset *d = open_data();
    for (int k = 1; k <= 7; k++) {
        tdo_prefetch *p = NULL;
        tdo_memory_fail_after(k);
        CU_ASSERT_EQUAL(tdo_prefetch_new(d, TDO_SPLIT_TRAIN, BATCH, &p), TDO_ERR_MEMORY);
        tdo_memory_fail_after(0);
        CU_ASSERT_PTR_NULL(p);
    }
    close_data(&d);
}

CU_TestInfo suite_tests[] = {
    {"batches come in the order asked and stay while the next is read", batches_come_in_order},
    {"two batches are the limit, whether asked for or held", two_are_the_limit},
    {"a turn comes with the rows that were asked for in it", turns_come_with_their_rows},
    {"an error of the reading thread is seen by the caller", errors_of_the_thread_arrive},
    {"running out of memory is an error", memory_failures_are_errors},
    CU_TEST_INFO_NULL};
