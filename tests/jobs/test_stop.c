/* Stopping early: what raises the flag, and how ranks come to stop behind the same step. */
#include <signal.h>
#include <string.h>
#include <time.h>

#include "jobs/stop.h"
#include "nn/base/log.h"
#include "tests/mpi/runner.h"

const char suite_name[] = "stop";

static int64_t now(void)
{
    return (int64_t)time(NULL);
}

static void listen_for_ever(void)
{
    CU_ASSERT_EQUAL(tdo_stop_listen(0, 60), TDO_OK);
}

static void signals(void)
{
    static const int numbers[] = {SIGUSR1, SIGTERM};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        listen_for_ever();
        CU_ASSERT_FALSE(tdo_stop_asked());
        CU_ASSERT_EQUAL(tdo_stop_check(), TDO_OK);
        CU_ASSERT_EQUAL(raise(numbers[i]), 0);
        CU_ASSERT_TRUE(tdo_stop_asked());
        CU_ASSERT_EQUAL(tdo_stop_check(), TDO_ERR_STOPPED);
        CU_ASSERT_EQUAL(tdo_error_exit_code(TDO_ERR_STOPPED), 3);
    }
    struct sigaction second;
    CU_ASSERT_EQUAL(sigaction(SIGTERM, NULL, &second), 0);
    CU_ASSERT_PTR_EQUAL(second.sa_handler, SIG_DFL);
    listen_for_ever();
}

static void deadline(void)
{
    CU_ASSERT_EQUAL(tdo_stop_listen(now() + 1000, 998), TDO_OK);
    CU_ASSERT_FALSE(tdo_stop_asked());
    const struct timespec rest = {.tv_sec = 2, .tv_nsec = 100000000};
    nanosleep(&rest, NULL);
    CU_ASSERT_TRUE(tdo_stop_asked());
    listen_for_ever();
    CU_ASSERT_FALSE(tdo_stop_asked());
}

static void no_time(void)
{
    CU_ASSERT_EQUAL(tdo_stop_listen(now() + 50, 60), TDO_ERR_CONFIG);
    CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, "run.margin = 60"));
    CU_ASSERT_EQUAL(tdo_stop_listen(now() - 50, 1), TDO_ERR_CONFIG);
    tdo_error_clear();
    listen_for_ever();
}

/* The last rank is asked in the middle of the loop; the others are not. */
static void agreement(void)
{
    const bool last = tdo_comm_rank(runner_comm) == tdo_comm_size(runner_comm) - 1;
    const struct timespec rest = {.tv_nsec = 2000000};
    struct tdo_stop_pace pace = {0};
    int64_t step = 1, asked = 0, least = 0, most = 0;
    listen_for_ever();
    const double begin = tdo_log_now();
    while (!tdo_stop_agreed(runner_comm, &pace, step) && tdo_log_now() - begin < 30) {
        nanosleep(&rest, NULL);
        if (last && step == 20) {
            CU_ASSERT_EQUAL(raise(SIGUSR1), 0);
            asked = step;
        }
        step++;
    }
    CU_ASSERT(tdo_log_now() - begin < 10);
    least = most = step;
    tdo_comm_min_i64(runner_comm, &least, 1);
    tdo_comm_max_i64(runner_comm, &most, 1);
    CU_ASSERT_EQUAL(least, most);
    CU_ASSERT(step > asked);
    listen_for_ever();
}

/* Steps of a microsecond: agreements are few; steps of a second: behind each. */
static void pace(void)
{
    enum { STEPS = 100000 };
    struct tdo_stop_pace p = {0};
    int64_t before = 0, agreements = 0;
    listen_for_ever();
    for (int64_t step = 1; step <= STEPS; step++) {
        CU_ASSERT_FALSE(tdo_stop_agreed(runner_comm, &p, step));
        agreements += p.seen != before;
        before = p.seen;
    }
    CU_ASSERT(agreements >= 2);
    CU_ASSERT(agreements < STEPS / 100);
    p = (struct tdo_stop_pace){.next = 8, .seen = 7, .when = tdo_log_now() - 5};
    CU_ASSERT_FALSE(tdo_stop_agreed(runner_comm, &p, 8));
    CU_ASSERT_EQUAL(p.next, 9);
}

CU_TestInfo suite_tests[] = {
    {"SIGUSR1 and SIGTERM raise the flag, a second SIGTERM is not caught", signals},
    {"the clock raises the flag run.margin seconds before the end", deadline},
    {"a job without time left is refused, naming run.margin", no_time},
    {"all ranks stop behind the same step when one was asked to", agreement},
    {"ranks agree about once a second, however long a step is", pace},
    CU_TEST_INFO_NULL,
};
