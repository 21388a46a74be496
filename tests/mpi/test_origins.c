/* Origins of a stored set: what is written comes back on every rank; older files have none; a file
 * that contradicts itself is named. */
#include <hdf5.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "mpi/origins.h"
#include "nn/base/memory.h"
#include "tests/mpi/runner.h"

const char suite_name[] = "mpi/origins";

enum { ROWS = 70, ATTACKS = 3, PIXELS = 4 };

static const struct tdo_dataset_info info = {.height = 2,
                                             .width = 2,
                                             .channels = 1,
                                             .classes = 3,
                                             .is_u8 = true,
                                             .stored = true,
                                             .rows = {[TDO_SPLIT_TRAIN] = ROWS}};

static bool root(void)
{
    return tdo_comm_rank(runner_comm) == 0;
}

static int64_t row_of(int64_t i)
{
    return (INT64_C(1) << 35) + 3 * i;
}

/* The last attack has no ball. */
static double eps_of(int64_t i)
{
    return i % ATTACKS == 2 ? (double)NAN : (double)(1 + i) / 255;
}

static void fill(struct tdo_origins *o)
{
    static const char *const about[] = {"{\"title\":\"fgsm linf 0.1\"}", "{}",
                                        "{\"name\":\"x\"}"};
    *o = (struct tdo_origins){.data = UINT64_C(0xfedcba9876543210), .rows = ROWS};
    ASSERT_OK_FATAL(tdo_memory_new(ROWS, &o->row));
    ASSERT_OK_FATAL(tdo_memory_new(ROWS, &o->attack));
    ASSERT_OK_FATAL(tdo_memory_new(ROWS, &o->eps));
    ASSERT_OK_FATAL(tdo_memory_new(ATTACKS, &o->about));
    for (int64_t i = 0; i < ROWS; i++) {
        o->row[i] = row_of(i);
        o->attack[i] = (int32_t)(i % ATTACKS);
        o->eps[i] = eps_of(i);
    }
    for (; o->attacks < ATTACKS; o->attacks++) {
        ASSERT_OK_FATAL(tdo_memory_new(64, &o->about[o->attacks]));
        snprintf(o->about[o->attacks], 64, "%s", about[o->attacks]);
    }
}

/* A stored set, the root writes; with origins or without. */
static void write_set(const char *path, const struct tdo_origins *o)
{
    static uint8_t x[ROWS * PIXELS];
    static int32_t y[ROWS];
    tdo_dataset_writer *w = NULL;
    tdo_err err = TDO_OK;
    ASSERT_OK_FATAL(tdo_dataset_create(runner_comm, path, &info, &w));
    if (root()) {
        err = tdo_dataset_write(w, TDO_SPLIT_TRAIN, 0, ROWS, x, y);
    }
    if (o) {
        tdo_origins_write(w, o);
    }
    ASSERT_OK(tdo_comm_agree(runner_comm, err));
    ASSERT_OK(tdo_dataset_finish(w));
    tdo_dataset_writer_free(&w);
}

static tdo_err read_set(const char *path, struct tdo_origins *o)
{
    tdo_dataset *d = NULL;
    ASSERT_OK_FATAL(tdo_dataset_open(runner_comm, path, &d));
    tdo_err err = tdo_origins_read(runner_comm, d, o);
    tdo_dataset_free(&d);
    return err;
}

static void remove_set(const char *path)
{
    ASSERT_OK(tdo_comm_agree(runner_comm, TDO_OK));
    if (root()) {
        unlink(path);
    }
}

static void origins_come_back_on_every_rank(void)
{
    char path[256];
    struct tdo_origins o, back;
    snprintf(path, sizeof path, "%s", runner_path("origins.h5"));
    fill(&o);
    write_set(path, &o);
    ASSERT_OK_FATAL(read_set(path, &back));
    CU_ASSERT_EQUAL(back.data, o.data);
    CU_ASSERT_EQUAL_FATAL(back.rows, ROWS);
    CU_ASSERT_EQUAL_FATAL(back.attacks, ATTACKS);
    for (int64_t i = 0; i < ROWS; i++) {
        const double eps = eps_of(i);
        CU_ASSERT_TRUE(back.row[i] == row_of(i) && back.attack[i] == i % ATTACKS);
        CU_ASSERT_TRUE(isnan(eps) ? isnan(back.eps[i]) : back.eps[i] == eps);
    }
    for (int k = 0; k < ATTACKS; k++) {
        CU_ASSERT_STRING_EQUAL(back.about[k], o.about[k]);
    }
    tdo_origins_free(&back);
    tdo_origins_free(&o);
    remove_set(path);
}

static void a_set_without_origins_is_a_set(void)
{
    char path[256];
    struct tdo_origins o;
    snprintf(path, sizeof path, "%s", runner_path("plain.h5"));
    write_set(path, NULL);
    ASSERT_OK(read_set(path, &o));
    CU_ASSERT_TRUE(o.rows == 0 && o.attacks == 0 && !o.row);
    tdo_origins_free(&o);
    remove_set(path);
}

static void what_contradicts_itself_is_named(void)
{
    static const char *const words[] = {"the origin of image 5", "the origin of image 6",
                                        "the origin of image 7",
                                        "/train/row: int64 [70] expected"};
    char path[256];
    snprintf(path, sizeof path, "%s", runner_path("bad.h5"));
    for (int k = 0; k < 4; k++) {
        struct tdo_origins o, back;
        fill(&o);
        o.row[5] = k == 0 ? -1 : o.row[5];
        o.attack[6] = k == 1 ? ATTACKS : o.attack[6];
        o.eps[7] = k == 2 ? -0.5 : o.eps[7];
        o.rows -= k == 3;
        write_set(path, &o);
        CU_ASSERT_EQUAL(read_set(path, &back), TDO_ERR_FORMAT);
        if (root()) {
            CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, words[k]));
        }
        tdo_origins_free(&back);
        tdo_origins_free(&o);
        ASSERT_OK(tdo_comm_agree(runner_comm, TDO_OK));
    }
    remove_set(path);
}

static void memory_failures_are_agreed(void)
{
    char path[256];
    struct tdo_origins o, back;
    tdo_err err = TDO_ERR_MEMORY;
    tdo_dataset *d = NULL;
    snprintf(path, sizeof path, "%s", runner_path("memory.h5"));
    fill(&o);
    write_set(path, &o);
    ASSERT_OK_FATAL(tdo_dataset_open(runner_comm, path, &d));
    for (int k = 1; err != TDO_OK && k < 100; k++) {
        tdo_memory_fail_after(k);
        err = tdo_origins_read(runner_comm, d, &back);
        tdo_memory_fail_after(0);
        CU_ASSERT_TRUE(err == TDO_OK || err == TDO_ERR_MEMORY);
        tdo_origins_free(&back);
    }
    CU_ASSERT_EQUAL(err, TDO_OK);
    tdo_dataset_free(&d);
    tdo_origins_free(&o);
    remove_set(path);
}

CU_TestInfo suite_tests[] = {
    {"origins come back on every rank", origins_come_back_on_every_rank},
    {"a set without origins is a set", a_set_without_origins_is_a_set},
    {"what contradicts itself is named", what_contradicts_itself_is_named},
    {"memory failures are agreed", memory_failures_are_agreed},
    CU_TEST_INFO_NULL,
};
