/* Agreement: the same code everywhere, printed by one rank, and never a hang. What is printed
 *            is seen by pointing standard error at a file. */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "nn/base/error.h"
#include "nn/base/memory.h"
#include "tests/mpi/runner.h"

const char suite_name[] = "mpi/comm";

static FILE *kept;
static int real_stderr;

static void capture(void)
{
    fflush(stderr);
    kept = tmpfile();
    real_stderr = dup(STDERR_FILENO);
    dup2(fileno(kept), STDERR_FILENO);
}

/* Lines printed on all ranks since capture; the text of this rank goes to `text`. */
static int64_t captured(char text[2048])
{
    fflush(stderr);
    dup2(real_stderr, STDERR_FILENO);
    close(real_stderr);
    rewind(kept);
    size_t n = fread(text, 1, 2047, kept);
    text[n] = 0;
    fclose(kept);
    uint64_t lines = 0;
    for (const char *c = text; *c; c++) {
        lines += *c == '\n';
    }
    tdo_comm_sum_u64(runner_comm, &lines, 1);
    return (int64_t)lines;
}

static int rank(void)
{
    return tdo_comm_rank(runner_comm);
}

static int size(void)
{
    return tdo_comm_size(runner_comm);
}

static void nothing_failed(void)
{
    char text[2048];
    capture();
    tdo_err err = tdo_comm_agree(runner_comm, TDO_OK);
    int64_t lines = captured(text);
    CU_ASSERT_EQUAL(err, TDO_OK);
    CU_ASSERT_EQUAL(lines, 0);
}

/* Each rank in turn fails alone. */
static void one_failed(void)
{
    for (int bad = 0; bad < size(); bad++) {
        char text[2048];
        tdo_error_clear();
        tdo_err mine = rank() == bad ? TDO_FAIL(TDO_ERR_SHAPE, "five is not six") : TDO_OK;
        capture();
        tdo_err err = tdo_comm_agree(runner_comm, mine);
        int64_t lines = captured(text);
        CU_ASSERT_EQUAL(err, TDO_ERR_SHAPE);
        CU_ASSERT_EQUAL(tdo_error_last()->code, TDO_ERR_SHAPE);
        CU_ASSERT_EQUAL(lines, 1);
        CU_ASSERT_EQUAL(strstr(text, "five is not six") != NULL, rank() == bad);
        char expected[64];
        snprintf(expected, sizeof expected, "rank %d failed: five is not six", bad);
        CU_ASSERT_STRING_EQUAL(tdo_error_last()->message,
                               rank() == bad ? "five is not six" : expected);
    }
}

static void worst_code_wins(void)
{
    char text[2048];
    tdo_err mine = TDO_FAIL(TDO_ERR_STOPPED, "told to stop");
    if (rank() == 0) {
        mine = TDO_FAIL(TDO_ERR_FILE, "no file");
    } else if (rank() == size() - 1) {
        mine = TDO_FAIL(TDO_ERR_NUMERIC, "not a number");
    }
    capture();
    tdo_err err = tdo_comm_agree(runner_comm, mine);
    int64_t lines = captured(text);
    CU_ASSERT_EQUAL(err, size() == 1 ? TDO_ERR_FILE : TDO_ERR_NUMERIC);
    CU_ASSERT_EQUAL(tdo_error_last()->code, err);
    CU_ASSERT_EQUAL(lines, size() < 3 ? size() : 3); /* three different sentences */
}

/* Every rank from `bad` on fails, later ones worse: only `bad` is heard. */
static void first_rank_counts(void)
{
    for (int bad = 0; bad < size(); bad++) {
        char text[2048], sentence[64];
        tdo_error_clear();
        snprintf(sentence, sizeof sentence, "image %d is bad", rank());
        const tdo_err code = rank() > bad ? TDO_ERR_NUMERIC : TDO_ERR_FILE;
        tdo_err mine = rank() >= bad ? TDO_FAIL(code, "%s", sentence) : TDO_OK;
        capture();
        tdo_err err = tdo_comm_agree_first(runner_comm, mine);
        int64_t lines = captured(text);
        snprintf(sentence, sizeof sentence, "image %d is bad", bad);
        CU_ASSERT_EQUAL(err, TDO_ERR_FILE);
        CU_ASSERT_EQUAL(lines, 1);
        CU_ASSERT_EQUAL(strstr(text, sentence) != NULL, rank() == bad);
    }
    CU_ASSERT_EQUAL(tdo_comm_agree_first(runner_comm, TDO_OK), TDO_OK);
}

static void same_sentence_once(void)
{
    char text[2048];
    tdo_err mine = TDO_FAIL(TDO_ERR_CONFIG, "train.epochs is -1");
    capture();
    tdo_err err = tdo_comm_agree(runner_comm, mine);
    int64_t lines = captured(text);
    CU_ASSERT_EQUAL(err, TDO_ERR_CONFIG);
    CU_ASSERT_EQUAL(lines, 1);
    CU_ASSERT_EQUAL(text[0] != 0, rank() == 0);
}

static void second_agreement_is_silent(void)
{
    char text[2048];
    int bad = size() - 1;
    tdo_error_clear();
    tdo_err mine = rank() == bad ? TDO_FAIL(TDO_ERR_FORMAT, "torn") : TDO_OK;
    capture();
    tdo_err first = tdo_comm_agree(runner_comm, mine);
    tdo_err second = tdo_comm_agree(runner_comm, first);
    tdo_comm_report(runner_comm, second);
    int64_t lines = captured(text);
    CU_ASSERT_EQUAL(second, TDO_ERR_FORMAT);
    CU_ASSERT_EQUAL(lines, 1);
    CU_ASSERT_PTR_NULL(strstr(tdo_error_last()->message, "failed: rank"));
    mine =
        rank() == 0 ? TDO_FAIL(TDO_ERR_FORMAT, "torn again") : TDO_OK; /* a new error prints */
    capture();
    second = tdo_comm_agree(runner_comm, mine);
    lines = captured(text);
    CU_ASSERT_EQUAL(second, TDO_ERR_FORMAT);
    CU_ASSERT_EQUAL(lines, 1);
}

static void report_prints_once(void)
{
    char text[2048];
    tdo_err mine = TDO_FAIL(TDO_ERR_FILE, "alone");
    capture();
    tdo_comm_report(runner_comm, mine);
    tdo_comm_report(runner_comm, mine);
    tdo_comm_report(runner_comm, TDO_OK);
    int64_t lines = captured(text);
    CU_ASSERT_EQUAL(lines, size());
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "alone"));
}

static void code_without_record(void)
{
    char text[2048];
    tdo_error_clear();
    capture();
    tdo_err err = tdo_comm_agree(runner_comm, rank() == 0 ? TDO_ERR_MEMORY : TDO_OK);
    int64_t lines = captured(text);
    CU_ASSERT_EQUAL(err, TDO_ERR_MEMORY);
    CU_ASSERT_EQUAL(lines, 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, "out of memory"));
}

static void memory_failure_on_one_rank(void)
{
    char text[2048];
    double *block = NULL;
    if (rank() == size() - 1) {
        tdo_memory_fail_after(1);
    }
    tdo_err mine = tdo_memory_new(10, &block);
    tdo_memory_fail_after(0);
    capture();
    tdo_err err = tdo_comm_agree(runner_comm, mine);
    int64_t lines = captured(text);
    CU_ASSERT_EQUAL(err, TDO_ERR_MEMORY);
    CU_ASSERT_EQUAL(lines, 1);
    tdo_memory_free(&block);
}

static void integers_are_reduced(void)
{
    int64_t all[16] = {0}, low[2] = {rank(), -rank()}, high[2] = {rank(), -rank()};
    uint64_t sum[2] = {1, UINT64_MAX};
    unsigned char data[5] = {0};
    if (rank() == 0) {
        memcpy(data, "abcd", 5);
    }
    tdo_comm_gather_i64(runner_comm, 100 + rank(), all);
    tdo_comm_min_i64(runner_comm, low, 2);
    tdo_comm_max_i64(runner_comm, high, 2);
    tdo_comm_sum_u64(runner_comm, sum, 2);
    tdo_comm_broadcast(runner_comm, data, 5);
    for (int r = 0; r < size(); r++) {
        CU_ASSERT_EQUAL(all[r], 100 + r);
    }
    CU_ASSERT_EQUAL(low[0], 0);
    CU_ASSERT_EQUAL(low[1], 1 - size());
    CU_ASSERT_EQUAL(high[0], size() - 1);
    CU_ASSERT_EQUAL(high[1], 0);
    CU_ASSERT_EQUAL(sum[0], (uint64_t)size());
    CU_ASSERT_EQUAL(sum[1], (uint64_t)0 - (uint64_t)size());
    CU_ASSERT_STRING_EQUAL((char *)data, "abcd");
}

CU_TestInfo suite_tests[] = {
    {"agreeing that nothing failed prints nothing", nothing_failed},
    {"if one rank fails, all return its code and it alone prints", one_failed},
    {"agree returns the worst code on every rank", worst_code_wins},
    {"of neighbouring parts only the first that failed is heard", first_rank_counts},
    {"a sentence that all ranks share is printed once, by the lowest", same_sentence_once},
    {"agreeing again on an agreed error prints nothing", second_agreement_is_silent},
    {"report prints a record that was not printed, once", report_prints_once},
    {"a code without a record gets its sentence", code_without_record},
    {"out of memory on one rank is agreed on", memory_failure_on_one_rank},
    {"broadcast, gather, minimum, maximum and sum are those of integers", integers_are_reduced},
    CU_TEST_INFO_NULL};
