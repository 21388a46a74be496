/* Log: who prints what on which rank and level, and the progress line in a file and on a
 * terminal. Standard error is redirected for the length of a call. */
#define _XOPEN_SOURCE 700 /* for pairs of terminals */
#include "nn/base/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/runner.h"

const char suite_name[] = "base/log";

static int saved = -1;  /* the real standard error while it is redirected */
static FILE *kept;      /* what stands in for it */
static char said[8192]; /* what was printed there */

/* From here to `heard`, standard error is an empty file. */
static void begin_listening(void)
{
    kept = tmpfile();
    CU_ASSERT_PTR_NOT_NULL_FATAL(kept);
    fflush(stderr);
    saved = dup(STDERR_FILENO);
    CU_ASSERT_TRUE_FATAL(saved >= 0 && dup2(fileno(kept), STDERR_FILENO) >= 0);
}

/* What was printed since `begin_listening`. */
static const char *heard(void)
{
    fflush(stderr);
    dup2(saved, STDERR_FILENO);
    close(saved);
    rewind(kept);
    size_t n = fread(said, 1, sizeof said - 1, kept);
    said[n] = '\0';
    fclose(kept);
    return said;
}

/* Every test starts as rank 0 of 1 at the usual level. */
static void fresh(int rank, int size)
{
    tdo_log_set_rank(rank, size);
    tdo_log_set_level(TDO_LOG_INFO);
}

static void a_line_for_the_root_is_silent_on_other_ranks(void)
{
    static const struct {
        int rank, size;
        const char *want;
    } cases[] = {{0, 1, "loaded 7 rows\n"}, {0, 3, "loaded 7 rows\n"}, {1, 3, ""}, {2, 3, ""}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fresh(cases[i].rank, cases[i].size);
        CU_ASSERT_EQUAL(tdo_log_rank(), cases[i].rank);
        begin_listening();
        tdo_log_root(TDO_LOG_INFO, "loaded %d rows", 7);
        CU_ASSERT_STRING_EQUAL(heard(), cases[i].want);
        begin_listening();
        tdo_log_root(TDO_LOG_ERROR, "too bad");
        CU_ASSERT_STRING_EQUAL(heard(), cases[i].rank ? "" : "testudo: too bad\n");
    }
    fresh(0, 1);
}

static void a_line_of_every_rank_names_rank_and_host(void)
{
    char host[64] = "?", want[200];
    gethostname(host, sizeof host - 1);
    fresh(2, 3);
    begin_listening();
    tdo_log_all(TDO_LOG_WARN, "%s is slow", "this disk");
    snprintf(want, sizeof want, "testudo: [rank 2 %s] this disk is slow\n", host);
    CU_ASSERT_STRING_EQUAL(heard(), want);
    fresh(0, 1); /* alone there is nobody to tell apart */
    begin_listening();
    tdo_log_all(TDO_LOG_WARN, "x");
    CU_ASSERT_STRING_EQUAL(heard(), "testudo: x\n");
}

static void lines_above_the_level_are_left_out(void)
{
    static const char all[] = "testudo: 0\ntestudo: 0\ntestudo: 1\ntestudo: 1\n"
                              "2\ntestudo: 2\n3\ntestudo: 3\n";
    static const size_t shown[] = {22, 44, 57, 70}; /* bytes of it, by level */
    fresh(0, 1);
    for (int level = TDO_LOG_ERROR; level <= TDO_LOG_DEBUG; level++) {
        tdo_log_set_level((enum tdo_log_level)level);
        begin_listening();
        for (int i = TDO_LOG_ERROR; i <= TDO_LOG_DEBUG; i++) {
            tdo_log_root((enum tdo_log_level)i, "%d", i);
            tdo_log_all((enum tdo_log_level)i, "%d", i);
        }
        const char *s = heard();
        CU_ASSERT_EQUAL(strlen(s), shown[level]);
        CU_ASSERT_EQUAL(strncmp(s, all, shown[level]), 0);
    }
    fresh(0, 1);
}

static void a_line_that_is_too_long_is_cut_and_still_ends(void)
{
    char text[5000];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    begin_listening();
    tdo_log_root(TDO_LOG_INFO, "%s", text);
    tdo_log_all(TDO_LOG_INFO, "next");
    const char *s = heard();
    size_t n = strspn(s, "a");
    CU_ASSERT_TRUE(n > 1100 && n < sizeof text - 1); /* an error message of 1024 bytes fits */
    CU_ASSERT_STRING_EQUAL(s + n, "\ntestudo: next\n");
}

static tdo_err fail_here(int *line)
{
    *line = __LINE__ + 1;
    return TDO_FAIL(TDO_ERR_CONFIG, "train.batch is %d, expected at least 1", 0);
}

static void the_error_line_names_message_file_and_line(void)
{
    char want[200];
    int line = 0;
    CU_ASSERT_EQUAL_FATAL(fail_here(&line), TDO_ERR_CONFIG);
    fresh(0, 1);
    begin_listening();
    tdo_log_error();
    snprintf(want, sizeof want,
             "testudo: train.batch is 0, expected at least 1 (test_log.c:%d)\n", line);
    CU_ASSERT_STRING_EQUAL(heard(), want); /* the name of the file without its folders */
    fresh(1, 2);                           /* the failing rank prints, whichever it is */
    begin_listening();
    tdo_log_error();
    const char *s = heard();
    CU_ASSERT_EQUAL(strncmp(s, "testudo: [rank 1 ", 17), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(s, "expected at least 1 (test_log.c:"));
    fresh(0, 1);
}

static void an_error_without_a_message_prints_the_sentence_of_its_code(void)
{
    const struct tdo_error_record bare = {
        .code = TDO_ERR_SHAPE, .file = "nn/graph/plan.c", .line = 12};
    tdo_error_adopt(&bare);
    fresh(0, 1);
    begin_listening();
    tdo_log_error();
    CU_ASSERT_STRING_EQUAL(heard(), "testudo: shapes do not agree (plan.c:12)\n");
    tdo_error_clear();
    begin_listening();
    tdo_log_error();
    CU_ASSERT_STRING_EQUAL(heard(), "testudo: success (?:0)\n");
}

static void the_clock_runs_forward_in_seconds(void)
{
    const struct timespec pause = {.tv_nsec = 20000000};
    double before = tdo_log_now();
    nanosleep(&pause, NULL);
    double spent = tdo_log_now() - before;
    CU_ASSERT_TRUE(spent >= 0.02 && spent < 20);
}

/* Pretend that the work began so many seconds ago, and was last shown then. */
static void long_ago(struct tdo_progress *p, double seconds)
{
    p->started -= seconds;
    p->shown -= seconds;
}

static void a_progress_line_carries_rate_and_time_left(void)
{
    struct tdo_progress p;
    fresh(0, 1);
    tdo_progress_start(&p, "certify", "samples", 50000, 0);
    long_ago(&p, 100); /* 20000 in 100 s: 200/s, 30000 left take 150 s */
    begin_listening();
    tdo_progress_show(&p, 20000, NULL);
    CU_ASSERT_STRING_EQUAL(heard(), "certify 20000/50000 samples, 200/s, left 150 s\n");
    long_ago(&p, 100);
    begin_listening();
    tdo_progress_end(&p, 50000, "accuracy 0.75");
    CU_ASSERT_STRING_EQUAL(heard(),
                           "certify 50000/50000 samples, 250/s, took 200 s, accuracy 0.75\n");
}

static void a_resumed_job_counts_only_what_it_did_itself(void)
{
    struct tdo_progress p;
    tdo_progress_start(&p, "train", "steps", 1000, 400);
    long_ago(&p, 100); /* 100 steps in 100 s, though 500 are done */
    begin_listening();
    tdo_progress_show(&p, 500, "loss 1.5");
    CU_ASSERT_STRING_EQUAL(heard(), "train 500/1000 steps, 1.00/s, left 500 s, loss 1.5\n");
    tdo_progress_start(&p, "train", "steps", 1000, 400);
    long_ago(&p, 100);
    begin_listening();
    tdo_progress_show(&p, 400, NULL); /* nothing yet: no rate, so no time */
    CU_ASSERT_STRING_EQUAL(heard(), "train 400/1000 steps, 0.00/s, left unknown\n");
}

static void a_batch_log_gets_a_plain_line_every_ten_seconds(void)
{
    struct tdo_progress p;
    tdo_progress_start(&p, "train", "steps", 1000, 0);
    begin_listening();
    tdo_progress_show(&p, 1, NULL); /* too early */
    long_ago(&p, 9);
    tdo_progress_show(&p, 90, NULL);
    CU_ASSERT_STRING_EQUAL(heard(), "");
    long_ago(&p, 1);
    begin_listening();
    tdo_progress_show(&p, 100, NULL);
    tdo_progress_show(&p, 101, NULL); /* it was just shown */
    const char *s = heard();
    CU_ASSERT_EQUAL(strncmp(s, "train 100/1000 steps, ", 22), 0);
    CU_ASSERT_PTR_EQUAL(strchr(s, '\n'), s + strlen(s) - 1);  /* one line */
    CU_ASSERT_PTR_NULL(strpbrk(s, "\r\033\b"));               /* nothing is redrawn */
    CU_ASSERT_TRUE(strlen(s) > 1 && s[strlen(s) - 2] != ' '); /* and nothing padded */
}

static void progress_is_silent_on_other_ranks_and_below_its_level(void)
{
    struct tdo_progress p;
    tdo_progress_start(&p, "train", "steps", 1000, 0);
    long_ago(&p, 100);
    fresh(1, 2);
    begin_listening();
    tdo_progress_show(&p, 100, NULL);
    tdo_progress_end(&p, 1000, NULL);
    CU_ASSERT_STRING_EQUAL(heard(), "");
    fresh(0, 2);
    tdo_log_set_level(TDO_LOG_WARN);
    begin_listening();
    tdo_progress_show(&p, 100, NULL);
    tdo_progress_end(&p, 1000, NULL);
    CU_ASSERT_STRING_EQUAL(heard(), "");
    fresh(0, 1);
}

/* A new terminal: *ours reads what is written to the returned end; -1 where there is none. */
static int new_terminal(int *ours)
{
    int theirs = -1;
    *ours = posix_openpt(O_RDWR | O_NOCTTY);
    if (*ours >= 0 && grantpt(*ours) == 0 && unlockpt(*ours) == 0) {
        theirs = open(ptsname(*ours), O_RDWR | O_NOCTTY);
    }
    if (theirs < 0 && *ours >= 0) {
        close(*ours);
    }
    return theirs;
}

static void on_a_terminal_the_line_is_redrawn_in_place(void)
{
    struct tdo_progress p;
    int ours = -1, theirs = new_terminal(&ours);
    if (theirs < 0) {
        printf("no terminal can be made here, skipped\n");
        return;
    }
    int real = dup(STDERR_FILENO);
    dup2(theirs, STDERR_FILENO);
    tdo_progress_start(&p, "train", "steps", 1000, 0);
    long_ago(&p, 100);
    tdo_progress_show(&p, 100, NULL);
    tdo_progress_show(&p, 101, NULL); /* within 0.2 s: not shown */
    tdo_progress_end(&p, 1000, NULL);
    dup2(real, STDERR_FILENO);
    close(real);
    ssize_t n = read(ours, said, sizeof said - 1);
    said[n > 0 ? n : 0] = '\0';
    CU_ASSERT_EQUAL(strncmp(said, "\rtrain 100/1000 steps, 1.00/s, left 900 s ", 42), 0);
    char *second = strchr(said + 1, '\r');
    CU_ASSERT_PTR_NOT_NULL_FATAL(second);
    CU_ASSERT_PTR_NULL(memchr(said, '\n', (size_t)(second - said)));
    CU_ASSERT_EQUAL(strncmp(second, "\rtrain 1000/1000 steps, 10/s, took 100 s ", 40), 0);
    CU_ASSERT_PTR_NOT_NULL(strchr(second, '\n'));
    close(theirs);
    close(ours);
}

CU_TestInfo suite_tests[] = {
    {"a line for the root is silent on other ranks",
     a_line_for_the_root_is_silent_on_other_ranks},
    {"a line of every rank names rank and host", a_line_of_every_rank_names_rank_and_host},
    {"lines above the level are left out", lines_above_the_level_are_left_out},
    {"a line that is too long is cut and still ends",
     a_line_that_is_too_long_is_cut_and_still_ends},
    {"the error line names message, file and line", the_error_line_names_message_file_and_line},
    {"an error without a message prints the sentence of its code",
     an_error_without_a_message_prints_the_sentence_of_its_code},
    {"the clock runs forward, in seconds", the_clock_runs_forward_in_seconds},
    {"a progress line carries rate and time left", a_progress_line_carries_rate_and_time_left},
    {"a resumed job counts only what it did itself",
     a_resumed_job_counts_only_what_it_did_itself},
    {"a batch log gets a plain line every ten seconds",
     a_batch_log_gets_a_plain_line_every_ten_seconds},
    {"progress is silent on other ranks, and below its level",
     progress_is_silent_on_other_ranks_and_below_its_level},
    {"on a terminal the line is redrawn in place", on_a_terminal_the_line_is_redrawn_in_place},
    CU_TEST_INFO_NULL};
