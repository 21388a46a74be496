/* Errors: what a record holds, how it travels, and the exit codes that scripts rely on. */
#include "nn/base/error.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/runner.h"

const char suite_name[] = "base/error";

static int fail_line; /* where fail_with_numbers fails */

static tdo_err fail_with_numbers(int got, int want)
{
    fail_line = __LINE__ + 1;
    return TDO_FAIL(TDO_ERR_SHAPE, "got %d, want %d", got, want);
}

static void a_failure_records_code_place_and_sentence(void)
{
    CU_ASSERT_EQUAL(fail_with_numbers(3, 4), TDO_ERR_SHAPE);
    const struct tdo_error_record *r = tdo_error_last();
    CU_ASSERT_EQUAL(r->code, TDO_ERR_SHAPE);
    CU_ASSERT_STRING_EQUAL(r->message, "got 3, want 4");
    CU_ASSERT_STRING_EQUAL(r->function, "fail_with_numbers");
    CU_ASSERT_STRING_EQUAL(r->file, __FILE__);
    CU_ASSERT_EQUAL(r->line, fail_line);
    tdo_error_clear();
    CU_ASSERT_EQUAL(tdo_error_last()->code, TDO_OK);
    CU_ASSERT_STRING_EQUAL(tdo_error_last()->message, "");
}

static void a_long_message_is_cut_not_overrun(void)
{
    char text[3000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    CU_ASSERT_EQUAL(TDO_FAIL(TDO_ERR_FILE, "%s", text), TDO_ERR_FILE);
    CU_ASSERT_EQUAL(strlen(tdo_error_last()->message), sizeof tdo_error_last()->message - 1);
    tdo_error_clear();
}

static tdo_err pass_on(tdo_err inner, int *reached)
{
    TDO_TRY(inner);
    (*reached)++;
    return TDO_OK;
}

static tdo_err jump(tdo_err inner, int *reached, int *cleaned)
{
    tdo_err err = TDO_OK;
    TDO_GOTO(inner);
    (*reached)++;
done:
    (*cleaned)++;
    return err;
}

static void try_returns_at_the_first_failure(void)
{
    int reached = 0;
    CU_ASSERT_EQUAL(pass_on(TDO_ERR_COMM, &reached), TDO_ERR_COMM);
    CU_ASSERT_EQUAL(reached, 0);
    CU_ASSERT_EQUAL(pass_on(TDO_OK, &reached), TDO_OK);
    CU_ASSERT_EQUAL(reached, 1);
}

static void goto_cleans_up_on_both_ways(void)
{
    int reached = 0, cleaned = 0;
    CU_ASSERT_EQUAL(jump(TDO_ERR_NUMERIC, &reached, &cleaned), TDO_ERR_NUMERIC);
    CU_ASSERT_EQUAL(reached, 0);
    CU_ASSERT_EQUAL(cleaned, 1);
    CU_ASSERT_EQUAL(jump(TDO_OK, &reached, &cleaned), TDO_OK);
    CU_ASSERT_EQUAL(reached, 1);
    CU_ASSERT_EQUAL(cleaned, 2);
}

/* Fails in a thread of its own and hands its record out. */
static void *worker(void *out)
{
    struct tdo_error_record *seen = out;
    seen[0] = *tdo_error_last(); /* before */
    if (fail_with_numbers(1, 2) != TDO_OK) {
        seen[1] = *tdo_error_last(); /* after */
    }
    return NULL;
}

static void records_belong_to_threads_and_can_be_adopted(void)
{
    static struct tdo_error_record seen[2];
    pthread_t thread;
    CU_ASSERT_EQUAL(TDO_FAIL(TDO_ERR_FILE, "mine"), TDO_ERR_FILE);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, worker, seen), 0);
    CU_ASSERT_EQUAL_FATAL(pthread_join(thread, NULL), 0);
    CU_ASSERT_EQUAL(seen[0].code, TDO_OK); /* mine was not seen there */
    CU_ASSERT_STRING_EQUAL(tdo_error_last()->message, "mine");
    tdo_error_adopt(&seen[1]);
    CU_ASSERT_EQUAL(tdo_error_last()->code, TDO_ERR_SHAPE);
    CU_ASSERT_STRING_EQUAL(tdo_error_last()->message, "got 1, want 2");
    tdo_error_clear();
}

static void every_code_has_its_own_sentence(void)
{
    for (int i = 0; i < TDO_ERR_COUNT; i++) {
        CU_ASSERT_TRUE(strlen(tdo_error_text((tdo_err)i)) > 3);
        for (int k = 0; k < i; k++) {
            CU_ASSERT_STRING_NOT_EQUAL(tdo_error_text((tdo_err)i), tdo_error_text((tdo_err)k));
        }
    }
    CU_ASSERT_STRING_EQUAL(tdo_error_text(TDO_ERR_COUNT), "unknown error");
    CU_ASSERT_STRING_EQUAL(tdo_error_text((tdo_err)-1), "unknown error");
}

static void exit_codes_are_those_that_scripts_rely_on(void)
{
    for (int i = 0; i < TDO_ERR_COUNT; i++) {
        int want = i == TDO_OK                                 ? 0
                   : i == TDO_ERR_USAGE || i == TDO_ERR_CONFIG ? 2
                   : i == TDO_ERR_STOPPED                      ? 3
                                                               : 1;
        CU_ASSERT_EQUAL(tdo_error_exit_code((tdo_err)i), want);
    }
}

/* Run the assertion in a child that writes to a pipe; the signal that ended it, 0 for none. */
static int run_assertion(int value, char *said, size_t room)
{
    int ends[2], status = 0;
    if (pipe(ends) != 0) {
        return -1;
    }
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        struct rlimit no_core = {0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        signal(SIGABRT, SIG_DFL);
        dup2(ends[1], STDERR_FILENO);
        TDO_ASSERT(value == 1);
        _exit(0);
    }
    close(ends[1]);
    ssize_t n = read(ends[0], said, room - 1);
    said[n > 0 ? n : 0] = '\0';
    close(ends[0]);
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void a_broken_invariant_aborts_and_says_which(void)
{
    char said[500];
    CU_ASSERT_EQUAL(run_assertion(1, said, sizeof said), 0);
    CU_ASSERT_STRING_EQUAL(said, "");
    CU_ASSERT_EQUAL(run_assertion(2, said, sizeof said), SIGABRT);
    CU_ASSERT_TRUE(strstr(said, "value == 1") != NULL);
    CU_ASSERT_TRUE(strstr(said, "test_error.c") != NULL);
}

CU_TestInfo suite_tests[] = {
    {"a failure records code, place and sentence", a_failure_records_code_place_and_sentence},
    {"a long message is cut, not overrun", a_long_message_is_cut_not_overrun},
    {"TDO_TRY returns at the first failure", try_returns_at_the_first_failure},
    {"TDO_GOTO cleans up on both ways", goto_cleans_up_on_both_ways},
    {"records belong to threads and can be adopted",
     records_belong_to_threads_and_can_be_adopted},
    {"every code has its own sentence", every_code_has_its_own_sentence},
    {"exit codes are those that scripts rely on", exit_codes_are_those_that_scripts_rely_on},
    {"a broken invariant aborts and says which", a_broken_invariant_aborts_and_says_which},
    CU_TEST_INFO_NULL};
