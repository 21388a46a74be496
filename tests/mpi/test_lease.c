/* Every item goes to exactly one rank, whoever is slow; what is skipped goes to nobody; a rank
 * that stops does not leave the others waiting. */
#include <string.h>
#include <time.h>

#include "mpi/lease.h"
#include "nn/base/memory.h"
#include "tests/mpi/runner.h"

const char suite_name[] = "mpi/lease";

enum { MAX_ITEMS = 5000, MAX_RANKS = 64, FEW_RANKS = 4 }; /* of more, processors are shared */

static uint64_t taken[MAX_ITEMS];

static void work_for(int64_t microseconds)
{
    struct timespec t = {microseconds / 1000000, microseconds % 1000000 * 1000};
    nanosleep(&t, NULL);
}

struct plan {
    int64_t items;
    double seconds;
    int64_t slow_us[4]; /* per item, by rank; 0: no wait at all */
    const struct tdo_range *skip;
    int64_t n_skip;
    bool marked;        /* skip by marks: those of `skip` */
    int64_t stop_after; /* items; 0: never. On the last rank */
};

struct outcome {
    int64_t mine, leases, largest, done;
};

static tdo_err skip_by(const struct plan *p, tdo_lease *l)
{
    static bool there[MAX_ITEMS];
    memset(there, 0, sizeof there);
    for (int64_t k = 0; k < p->n_skip; k++) {
        for (int64_t i = p->skip[k].first; i < p->skip[k].end; i++) {
            there[i] = true;
        }
    }
    return p->marked ? tdo_lease_skip_marked(l, there) : tdo_lease_skip(l, p->skip, p->n_skip);
}

/* Take leases until there are none; counts of `taken` are summed over the ranks at the end. */
static tdo_err run(const struct plan *p, struct outcome *o)
{
    int rank = tdo_comm_rank(runner_comm), size = tdo_comm_size(runner_comm);
    tdo_lease *l = NULL;
    *o = (struct outcome){0};
    memset(taken, 0, sizeof taken);
    TDO_TRY(tdo_comm_agree(runner_comm, tdo_lease_new(runner_comm, p->items, p->seconds, &l)));
    tdo_err err = skip_by(p, l);
    for (int64_t first = 0, count = 1; err == TDO_OK && count > 0;) {
        err = tdo_lease_next(l, &first, &count);
        o->leases += count > 0;
        o->largest = count > o->largest ? count : o->largest;
        for (int64_t i = first; err == TDO_OK && i < first + count; i++) {
            taken[i]++;
            o->mine++;
            if (p->slow_us[rank % 4] > 0) {
                work_for(p->slow_us[rank % 4]);
            }
            err = tdo_lease_poll(l);
            if (p->stop_after > 0 && rank == size - 1 && o->mine >= p->stop_after) {
                tdo_lease_stop(l);
            }
        }
    }
    tdo_err last = tdo_lease_end(l);
    o->done = tdo_lease_done(l);
    tdo_lease_free(&l);
    TDO_TRY(tdo_comm_agree(runner_comm, err ? err : last));
    tdo_comm_sum_u64(runner_comm, taken, MAX_ITEMS);
    return TDO_OK;
}

static int64_t not_once(int64_t first, int64_t end)
{
    int64_t wrong = 0;
    for (int64_t i = first; i < end; i++) {
        wrong += taken[i] != 1;
    }
    return wrong;
}

static void every_item_once(void)
{
    const struct plan plans[] = {
        {.items = 0, .seconds = 1},
        {.items = 1, .seconds = 1},
        {.items = 3, .seconds = 1},
        {.items = MAX_ITEMS, .seconds = 1},
        {.items = MAX_ITEMS, .seconds = 1e-9},
        {.items = 400, .seconds = 0.01, .slow_us = {300, 300, 300, 300}},
        {.items = 200, .seconds = 0.01, .slow_us = {5000, 100, 100, 100}}, /* a slow root */
        {.items = 200, .seconds = 0.01, .slow_us = {100, 5000, 100, 100}},
        {.items = 200, .seconds = 0.01, .slow_us = {100, 100, 300, 9000}},
    };
    for (size_t i = 0; i < sizeof plans / sizeof *plans; i++) {
        struct outcome o;
        ASSERT_OK_FATAL(run(&plans[i], &o));
        CU_ASSERT_EQUAL(not_once(0, plans[i].items), 0);
        if (tdo_comm_rank(runner_comm) == 0) {
            CU_ASSERT_EQUAL(o.done, plans[i].items);
        } else {
            CU_ASSERT_EQUAL(o.done, o.mine);
        }
    }
}

/* Twenty times as slow: also on a busy machine a fast rank stays ahead. */
static void fast_ranks_get_more(void)
{
    const struct plan p = {.items = 600, .seconds = 0.02, .slow_us = {200, 4000, 200, 200}};
    struct outcome o;
    int64_t mine[MAX_RANKS], largest[MAX_RANKS], leases[MAX_RANKS];
    int size = tdo_comm_size(runner_comm);
    ASSERT_OK_FATAL(run(&p, &o));
    tdo_comm_gather_i64(runner_comm, o.mine, mine);
    tdo_comm_gather_i64(runner_comm, o.largest, largest);
    tdo_comm_gather_i64(runner_comm, o.leases, leases);
    CU_ASSERT_EQUAL(not_once(0, p.items), 0);
    for (int r = 0; r < size && size <= FEW_RANKS; r++) {
        CU_ASSERT(mine[r] > 0);
        CU_ASSERT(largest[r] <= p.items / (2 * size));
        CU_ASSERT(leases[r] < mine[r]); /* not item by item */
    }
    if (size > 1 && size <= FEW_RANKS) {
        CU_ASSERT(mine[0] > mine[1]);
    }
}

/* The same where the work is the same and the rank is slow: what tdo_lease_slow is for. */
static void a_rank_that_is_made_slow_gets_less(void)
{
    const struct plan p = {.items = 400, .seconds = 0.02, .slow_us = {300, 300, 300, 300}};
    struct outcome o;
    int64_t mine[MAX_RANKS];
    const int size = tdo_comm_size(runner_comm);
    tdo_lease_slow(runner_comm, tdo_comm_rank(runner_comm) == 1 ? 20 : 1);
    ASSERT_OK_FATAL(run(&p, &o));
    tdo_lease_slow(runner_comm, 1);
    tdo_comm_gather_i64(runner_comm, o.mine, mine);
    CU_ASSERT_EQUAL(not_once(0, p.items), 0);
    if (size > 1 && size <= FEW_RANKS) {
        CU_ASSERT(mine[1] > 0 && mine[1] < p.items / size); /* less than an even share */
    }
}

static void skipped_items_go_to_nobody(void)
{
    const struct tdo_range skip[] = {{0, 10}, {10, 12}, {50, 51}, {200, 300}, {995, 1000}};
    const struct tdo_range all[] = {{0, 500}, {500, 1000}};
    struct plan p = {.items = 1000, .seconds = 1, .skip = skip, .n_skip = 5};
    const struct plan nothing = {.items = 1000, .seconds = 1, .skip = all, .n_skip = 2};
    struct outcome o;
    for (int marked = 0; marked < 2; marked++) {
        p.marked = marked;
        ASSERT_OK_FATAL(run(&p, &o));
        for (int64_t i = 0, k = 0; i < 1000; i++) {
            k += k < 4 && i >= skip[k].end;
            bool skipped = i >= skip[k].first && i < skip[k].end;
            CU_ASSERT_EQUAL(taken[i], skipped ? 0 : 1);
        }
        CU_ASSERT(tdo_comm_rank(runner_comm) != 0 || o.done == 1000);
    }
    ASSERT_OK_FATAL(run(&nothing, &o));
    CU_ASSERT_EQUAL(o.mine, 0);
    CU_ASSERT(tdo_comm_rank(runner_comm) != 0 || o.done == 1000);
}

static void bad_skips_are_refused(void)
{
    const struct tdo_range bad[][2] = {{{5, 6}, {0, 1}}, {{0, 5}, {4, 6}}, {{0, 1}, {9, 11}}};
    for (int i = 0; i < 3; i++) {
        tdo_lease *l = NULL;
        ASSERT_OK_FATAL(tdo_lease_new(runner_comm, 10, 1, &l));
        tdo_err err = tdo_lease_skip(l, bad[i], 2);
        CU_ASSERT_EQUAL(err, tdo_comm_rank(runner_comm) == 0 ? TDO_ERR_BUG : TDO_OK);
        ASSERT_OK(tdo_lease_end(l));
        tdo_lease_free(&l);
    }
}

/* One rank stops in the middle: the others end soon, nothing is done twice. */
static void stopping_ends_all(void)
{
    const struct plan p = {.items = MAX_ITEMS,
                           .seconds = 0.005,
                           .slow_us = {500, 500, 500, 500},
                           .stop_after = 20};
    struct outcome o;
    ASSERT_OK_FATAL(run(&p, &o));
    uint64_t total = 0, twice = 0;
    for (int64_t i = 0; i < MAX_ITEMS; i++) {
        total += taken[i];
        twice += taken[i] > 1;
    }
    CU_ASSERT(total >= 20 && total < MAX_ITEMS / 2);
    CU_ASSERT_EQUAL(twice, 0);
    CU_ASSERT((uint64_t)o.done < total);
}

static void memory_failures_are_errors(void)
{
    int failures = 0;
    for (int k = 1; k < 4; k++) {
        tdo_lease *l = NULL;
        if (tdo_comm_rank(runner_comm) == 0) { /* the root; the others have asked already */
            tdo_memory_fail_after(k);
        }
        tdo_err err = tdo_lease_new(runner_comm, 10, 1, &l);
        tdo_memory_fail_after(0);
        failures += err != TDO_OK;
        CU_ASSERT((l == NULL) == (err != TDO_OK));
        if (tdo_comm_rank(runner_comm) == 0 && err != TDO_OK) {
            ASSERT_OK_FATAL(
                tdo_lease_new(runner_comm, 10, 1, &l)); /* so that they get an answer */
        }
        ASSERT_OK(tdo_lease_end(l));
        tdo_lease_free(&l);
    }
    CU_ASSERT_EQUAL(failures, tdo_comm_rank(runner_comm) == 0 ? 2 : 0);
}

CU_TestInfo suite_tests[] = {
    {"every item goes to exactly one rank, whoever is slow", every_item_once},
    {"fast ranks get more, in leases that taper off", fast_ranks_get_more},
    {"a rank that is made slow gets less", a_rank_that_is_made_slow_gets_less},
    {"skipped items go to nobody and count as done", skipped_items_go_to_nobody},
    {"ranges to skip that overlap or lie outside are refused", bad_skips_are_refused},
    {"when one rank stops, all end and nothing is done twice", stopping_ends_all},
    {"running out of memory is an error", memory_failures_are_errors},
    CU_TEST_INFO_NULL};
