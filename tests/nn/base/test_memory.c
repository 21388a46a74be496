/* Memory: alignment, zeroing, refusal of impossible sizes, the fault injector, the arena. */
#include "nn/base/memory.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/runner.h"

const char suite_name[] = "base/memory";

/* Ranks as launchers tell them; NULL for none. */
struct launch {
    const char *mpirun, *pmix, *slurm;
};

static void set_or_unset(const char *name, const char *value)
{
    if (value) {
        setenv(name, value, 1);
    } else {
        unsetenv(name);
    }
}

/* Which allocation of a fresh process fails first under this environment; 0 for none of ten. */
static int first_failure(const char *k, const char *fail_rank, struct launch launch)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        setenv("TESTUDO_FAIL_ALLOC", k, 1);
        set_or_unset("TESTUDO_FAIL_RANK", fail_rank);
        set_or_unset("OMPI_COMM_WORLD_RANK", launch.mpirun);
        set_or_unset("PMIX_RANK", launch.pmix);
        set_or_unset("SLURM_PROCID", launch.slurm);
        for (int i = 1; i <= 10; i++) {
            char *p = NULL;
            if (tdo_memory_new(1, &p) != TDO_OK) {
                _exit(i);
            }
            tdo_memory_free(&p);
        }
        _exit(0);
    }
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Must be the first test: the environment is read at the first allocation of a process. */
static void the_environment_fails_one_allocation_of_one_rank(void)
{
    CU_ASSERT_EQUAL_FATAL(tdo_memory_count(), 0);
    CU_ASSERT_EQUAL(first_failure("1", NULL, (struct launch){NULL, NULL, NULL}), 1);
    CU_ASSERT_EQUAL(first_failure("4", NULL, (struct launch){NULL, NULL, NULL}), 4);
    CU_ASSERT_EQUAL(first_failure("0", NULL, (struct launch){NULL, NULL, NULL}), 0);
    CU_ASSERT_EQUAL(first_failure("4", NULL, (struct launch){"1", NULL, NULL}), 4);
    CU_ASSERT_EQUAL(first_failure("4", "0", (struct launch){NULL, NULL, NULL}), 0);
}

/* Also before any allocation here. */
static void the_rank_is_known_under_mpirun_and_under_srun(void)
{
    CU_ASSERT_EQUAL_FATAL(tdo_memory_count(), 0);
    CU_ASSERT_EQUAL(first_failure("4", "2", (struct launch){"2", NULL, NULL}), 4);
    CU_ASSERT_EQUAL(first_failure("4", "2", (struct launch){"1", NULL, NULL}), 0);
    CU_ASSERT_EQUAL(first_failure("4", "2", (struct launch){NULL, "2", NULL}), 4);
    CU_ASSERT_EQUAL(first_failure("4", "2", (struct launch){NULL, "1", "2"}), 0);
    CU_ASSERT_EQUAL(first_failure("4", "2", (struct launch){NULL, NULL, "2"}), 4);
    CU_ASSERT_EQUAL(first_failure("4", "2", (struct launch){NULL, NULL, "12"}), 0);
    /* mpirun in a batch script of Slurm: every rank sees the SLURM_PROCID of the script */
    CU_ASSERT_EQUAL(first_failure("4", "2", (struct launch){"2", "2", "0"}), 4);
    CU_ASSERT_EQUAL(first_failure("4", "0", (struct launch){"2", "2", "0"}), 0);
}

static bool all_zero(const void *p, size_t bytes)
{
    const unsigned char *c = p;
    for (size_t i = 0; c && i < bytes; i++) {
        if (c[i] != 0) {
            return false;
        }
    }
    return c != NULL;
}

static void fill(void *p, int byte, size_t bytes)
{
    if (p) {
        memset(p, byte, bytes);
    }
}

static void blocks_are_zeroed_and_aligned_to_a_cache_line(void)
{
    for (int64_t n = 1; n < 5000; n = 3 * n + 1) {
        double *p = NULL;
        for (int again = 0; again < 2; again++) { /* the second gets memory that was in use */
            ASSERT_OK_FATAL(tdo_memory_new(n, &p));
            CU_ASSERT_EQUAL((uintptr_t)p % 64, 0);
            CU_ASSERT_TRUE(all_zero(p, sizeof *p * (size_t)n));
            fill(p, 0xff, sizeof *p * (size_t)n);
            tdo_memory_free(&p);
            CU_ASSERT_PTR_NULL(p);
        }
    }
}

static void zero_elements_are_a_block_and_null_may_be_freed(void)
{
    int *p = NULL;
    ASSERT_OK(tdo_memory_new(0, &p));
    CU_ASSERT_PTR_NOT_NULL(p);
    tdo_memory_free(&p);
    tdo_memory_free(&p);
    CU_ASSERT_PTR_NULL(p);
}

static void impossible_sizes_are_refused_with_a_message(void)
{
    double *p = NULL;
    CU_ASSERT_EQUAL(tdo_memory_new(-1, &p), TDO_ERR_MEMORY);
    /* a product that wraps around to 8 bytes */
    CU_ASSERT_EQUAL(tdo_memory_new((INT64_C(1) << 61) + 1, &p), TDO_ERR_MEMORY);
    CU_ASSERT_PTR_NULL(p);
    CU_ASSERT_TRUE(strstr(tdo_error_last()->message, "2305843009213693953") != NULL);
    CU_ASSERT_TRUE(strstr(tdo_error_last()->message, "8 bytes") != NULL);
    CU_ASSERT_EQUAL(tdo_memory_new_(INT64_MAX, 1, (void **)(void *)&p), TDO_ERR_MEMORY);
    CU_ASSERT_EQUAL(tdo_error_last()->code, TDO_ERR_MEMORY);
}

static void growing_keeps_the_old_and_zeroes_the_new(void)
{
    int *p = NULL;
    ASSERT_OK_FATAL(tdo_memory_grow(0, 3, &p)); /* from nothing */
    for (int i = 0; i < 3; i++) {
        CU_ASSERT_EQUAL(p[i], 0);
        p[i] = i + 10;
    }
    ASSERT_OK_FATAL(tdo_memory_grow(3, 1000, &p));
    CU_ASSERT_EQUAL(p[0], 10);
    CU_ASSERT_EQUAL(p[2], 12);
    CU_ASSERT_TRUE(all_zero(p + 3, 997 * sizeof *p));
    int *kept = p;
    tdo_memory_fail_after(1);
    CU_ASSERT_EQUAL(tdo_memory_grow(1000, 2000, &p), TDO_ERR_MEMORY);
    tdo_memory_fail_after(0);
    CU_ASSERT_PTR_EQUAL(p, kept);
    CU_ASSERT_EQUAL(p[2], 12);
    ASSERT_OK(tdo_memory_grow(1000, 2, &p)); /* and smaller */
    CU_ASSERT_EQUAL(p[1], 11);
    tdo_memory_free(&p);
}

static void the_injector_fails_exactly_the_kth_allocation(void)
{
    for (int k = 1; k <= 4; k++) {
        tdo_memory_fail_after(k);
        for (int i = 1; i <= 6; i++) {
            char *p = NULL;
            int64_t before = tdo_memory_count();
            tdo_err err = tdo_memory_new(1, &p);
            CU_ASSERT_EQUAL(err, i == k ? TDO_ERR_MEMORY : TDO_OK);
            CU_ASSERT_EQUAL(p == NULL, i == k);
            CU_ASSERT_EQUAL(tdo_memory_count(), before + 1);
            tdo_memory_free(&p);
        }
    }
    char *p = NULL;
    tdo_memory_fail_after(1);
    tdo_memory_fail_after(0);
    ASSERT_OK(tdo_memory_new(1, &p));
    tdo_memory_free(&p);
}

static void arena_blocks_are_zeroed_apart_and_aligned(void)
{
    enum { BLOCKS = 400 };
    unsigned char *block[BLOCKS];
    tdo_arena *a = NULL;
    ASSERT_OK_FATAL(tdo_arena_new(&a));
    for (int i = 0; i < BLOCKS; i++) { /* sizes 0 to 1596: several chunks */
        size_t bytes = (size_t)i * 4;
        block[i] = tdo_arena_get(a, bytes);
        CU_ASSERT_PTR_NOT_NULL_FATAL(block[i]);
        CU_ASSERT_EQUAL((uintptr_t)block[i] % 16, 0);
        CU_ASSERT_TRUE(all_zero(block[i], bytes));
        fill(block[i], i % 255 + 1, bytes);
    }
    for (int i = 0; i < BLOCKS; i++) {
        for (int k = 0; k < i * 4; k++) {
            CU_ASSERT_EQUAL_FATAL(block[i][k], i % 255 + 1);
        }
    }
    unsigned char *large = tdo_arena_get(a, 1 << 20); /* larger than a chunk */
    CU_ASSERT_PTR_NOT_NULL_FATAL(large);
    CU_ASSERT_TRUE(all_zero(large, 1 << 20));
    fill(large, 7, 1 << 20);
    unsigned char *next = tdo_arena_get(a, 100);
    CU_ASSERT_PTR_NOT_NULL_FATAL(next);
    CU_ASSERT_TRUE(all_zero(next, 100));
    tdo_arena_free(&a);
    CU_ASSERT_PTR_NULL(a);
    tdo_arena_free(&a);
}

static void an_arena_refuses_sizes_that_would_wrap(void)
{
    static const size_t impossible[] = {SIZE_MAX,      SIZE_MAX - 1,     SIZE_MAX - 14,
                                        SIZE_MAX - 15, SIZE_MAX - 64,    SIZE_MAX - 200,
                                        SIZE_MAX / 2,  SIZE_MAX / 2 + 1, SIZE_MAX / 2 - 100};
    tdo_arena *a = NULL;
    ASSERT_OK_FATAL(tdo_arena_new(&a));
    for (int used = 0; used < 2; used++) { /* with no chunk yet, and with room in one */
        for (size_t i = 0; i < sizeof impossible / sizeof *impossible; i++) {
            tdo_error_clear();
            CU_ASSERT_PTR_NULL(tdo_arena_get(a, impossible[i]));
            CU_ASSERT_EQUAL(tdo_error_last()->code, TDO_ERR_MEMORY);
        }
        char *p = tdo_arena_get(a, 40);
        CU_ASSERT_TRUE(all_zero(p, 40));
        fill(p, 1, 40);
    }
    tdo_arena_free(&a);
}

static void arena_strings_are_copies(void)
{
    tdo_arena *a = NULL;
    char word[] = "shield";
    ASSERT_OK_FATAL(tdo_arena_new(&a));
    char *copy = tdo_arena_string(a, word), *made = tdo_arena_printf(a, "%s-%04d", word, 17);
    CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
    CU_ASSERT_PTR_NOT_NULL_FATAL(made);
    word[0] = 'x';
    CU_ASSERT_TRUE(copy && strcmp(copy, "shield") == 0);
    CU_ASSERT_TRUE(made && strcmp(made, "shield-0017") == 0);
    CU_ASSERT_STRING_EQUAL(tdo_arena_string(a, ""), "");
    tdo_arena_free(&a);
}

static void an_arena_without_memory_says_so_and_stays_usable(void)
{
    tdo_arena *a = NULL;
    tdo_memory_fail_after(1);
    CU_ASSERT_EQUAL(tdo_arena_new(&a), TDO_ERR_MEMORY);
    CU_ASSERT_PTR_NULL(a);
    tdo_memory_fail_after(0);
    ASSERT_OK_FATAL(tdo_arena_new(&a));
    tdo_error_clear();
    tdo_memory_fail_after(1);
    CU_ASSERT_PTR_NULL(tdo_arena_string(a, "x"));
    CU_ASSERT_EQUAL(tdo_error_last()->code, TDO_ERR_MEMORY);
    tdo_memory_fail_after(1);
    CU_ASSERT_PTR_NULL(tdo_arena_printf(a, "%d", 1));
    tdo_memory_fail_after(0);
    CU_ASSERT_PTR_NOT_NULL(tdo_arena_string(a, "x"));
    tdo_arena_free(&a);
}

CU_TestInfo suite_tests[] = {
    {"the environment fails one allocation of one rank",
     the_environment_fails_one_allocation_of_one_rank},
    {"the rank is known under mpirun and under srun",
     the_rank_is_known_under_mpirun_and_under_srun},
    {"blocks are zeroed and aligned to a cache line",
     blocks_are_zeroed_and_aligned_to_a_cache_line},
    {"zero elements are a block, and NULL may be freed",
     zero_elements_are_a_block_and_null_may_be_freed},
    {"impossible sizes are refused with a message",
     impossible_sizes_are_refused_with_a_message},
    {"growing keeps the old and zeroes the new", growing_keeps_the_old_and_zeroes_the_new},
    {"the injector fails exactly the k-th allocation",
     the_injector_fails_exactly_the_kth_allocation},
    {"arena blocks are zeroed, apart and aligned", arena_blocks_are_zeroed_apart_and_aligned},
    {"an arena refuses sizes that would wrap", an_arena_refuses_sizes_that_would_wrap},
    {"arena strings are copies", arena_strings_are_copies},
    {"an arena without memory says so and stays usable",
     an_arena_without_memory_says_so_and_stays_usable},
    CU_TEST_INFO_NULL};
