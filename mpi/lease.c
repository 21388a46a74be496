/* Work in leases. See lease.h.
 *
 * A worker always has one question under way: "I did this much, give me more" goes out when it
 * starts on a lease, and the answer arrives while it computes. The root keeps one number, the
 * next item; everything else (rates, sizes) only shapes the ranges. When a worker hears that
 * nothing is left it sends a last report, and the root's tdo_lease_end waits for these.
 *
 *   worker  --REQUEST{items, time, flags}-->  root
 *   worker  <--GRANT{first, count}----------  root      count 0: nothing is left */
#include "mpi/lease.h"

#include <math.h>
#include <time.h>

#include "mpi/mpi_impl.h"
#include "nn/base/log.h"
#include "nn/base/memory.h"

enum { REQUEST_STOP = 1, REQUEST_LAST = 2, GROWTH = 4 };

struct request {
    int64_t items, nanoseconds; /* the lease just finished; 0 items if there is none */
    int64_t flags;
};

struct grant {
    int64_t first, count;
};

/* What the root knows about a rank. */
struct worker {
    double rate;     /* items per second, 0 if not yet measured */
    int64_t size;    /* of its latest lease */
    MPI_Request out; /* the latest grant, under way */
    struct grant grant;
};

struct tdo_lease {
    struct tdo_comm *comm; /* borrowed */
    int64_t items, done;
    double seconds;
    bool stopped;   /* this rank wants no more, and none for others */
    bool exhausted; /* this rank was told that nothing is left */
    bool ended;

    struct grant current; /* what this rank works on */
    double started;       /* when it began */
    double marked;        /* when next or poll returned last */

    /* workers */
    struct request request;
    struct grant ahead;
    MPI_Request asked, answer;

    /* root */
    struct worker *workers; /* [size] */
    struct tdo_range *skip; /* [n_skip], sorted */
    int64_t n_skip, at_skip;
    int64_t next, left; /* next item; items not yet handed out */
    int last_reports;
    bool closed; /* somebody stopped: hand out nothing more */
};

/* ---- the root's side ---- */

static int64_t smaller(int64_t a, double b)
{
    return (double)a < b ? a : (int64_t)b;
}

/* How many items rank r should get: see lease.h. */
static int64_t wanted(const struct tdo_lease *l, int r)
{
    const struct worker *w = &l->workers[r];
    if (w->rate <= 0) {
        return 1;
    }
    double total = 0;
    bool all_known = true;
    for (int i = 0; i < l->comm->size; i++) {
        total += l->workers[i].rate;
        all_known = all_known && l->workers[i].rate > 0;
    }
    int64_t n = l->left / 2 / l->comm->size;
    n = smaller(n, w->rate * l->seconds);
    n = smaller(n, GROWTH * (double)w->size);
    if (all_known) {
        n = smaller(n, (double)l->left * w->rate / (2 * total));
    }
    return n < 1 ? 1 : n;
}

/* The next range for rank r, around what is to be skipped. */
static struct grant take(struct tdo_lease *l, int r)
{
    while (l->at_skip < l->n_skip && l->skip[l->at_skip].first <= l->next) {
        if (l->skip[l->at_skip].end > l->next) {
            l->next = l->skip[l->at_skip].end;
        }
        l->at_skip++;
    }
    struct grant g = {.first = l->next};
    if (l->stopped || l->closed || l->left == 0) {
        return g;
    }
    int64_t limit = l->at_skip < l->n_skip ? l->skip[l->at_skip].first : l->items;
    g.count = wanted(l, r);
    if (g.count > limit - l->next) {
        g.count = limit - l->next;
    }
    l->next += g.count;
    l->left -= g.count;
    l->workers[r].size = g.count;
    return g;
}

static void measure(struct tdo_lease *l, int r, int64_t items, int64_t nanoseconds)
{
    if (items > 0) {
        struct worker *w = &l->workers[r];
        double rate = (double)items * 1e9 / (double)(nanoseconds > 0 ? nanoseconds : 1);
        w->rate = w->rate > 0 ? (w->rate + rate) / 2 : rate;
        l->done += items;
    }
}

/* Receive one request, which is there, and answer it. */
static tdo_err answer(struct tdo_lease *l, int source)
{
    struct request q;
    TDO_TRY(TDO_MPI(MPI_Recv(&q, (int)sizeof q, MPI_BYTE, source, TDO_TAG_REQUEST,
                             l->comm->world, MPI_STATUS_IGNORE)));
    measure(l, source, q.items, q.nanoseconds);
    l->closed = l->closed || (q.flags & REQUEST_STOP);
    if (q.flags & REQUEST_LAST) {
        l->last_reports++;
        return TDO_OK;
    }
    struct worker *w = &l->workers[source];
    TDO_TRY(TDO_MPI(MPI_Wait(&w->out, MPI_STATUS_IGNORE))); /* it has arrived: they ask again */
    w->grant = take(l, source);
    return TDO_MPI(MPI_Isend(&w->grant, (int)sizeof w->grant, MPI_BYTE, source, TDO_TAG_GRANT,
                             l->comm->world, &w->out));
}

static tdo_err answer_all(struct tdo_lease *l)
{
    for (int there = 1; there && l->comm->size > 1;) {
        MPI_Status status;
        TDO_TRY(TDO_MPI(
            MPI_Iprobe(MPI_ANY_SOURCE, TDO_TAG_REQUEST, l->comm->world, &there, &status)));
        if (there) {
            TDO_TRY(answer(l, status.MPI_SOURCE));
        }
    }
    return TDO_OK;
}

/* ---- the worker's side ---- */

static tdo_err ask(struct tdo_lease *l, struct request q)
{
    TDO_TRY(TDO_MPI(MPI_Wait(&l->asked, MPI_STATUS_IGNORE)));
    l->request = q;
    if (l->stopped) {
        l->request.flags |= REQUEST_STOP;
    }
    TDO_TRY(TDO_MPI(MPI_Isend(&l->request, (int)sizeof l->request, MPI_BYTE, 0, TDO_TAG_REQUEST,
                              l->comm->world, &l->asked)));
    if (l->request.flags & REQUEST_LAST) {
        return TDO_OK;
    }
    return TDO_MPI(MPI_Irecv(&l->ahead, (int)sizeof l->ahead, MPI_BYTE, 0, TDO_TAG_GRANT,
                             l->comm->world, &l->answer));
}

static tdo_err worker_next(struct tdo_lease *l, struct request report)
{
    TDO_TRY(TDO_MPI(MPI_Wait(&l->answer, MPI_STATUS_IGNORE)));
    l->current = l->ahead;
    if (l->stopped || l->current.count == 0) {
        l->current.count = 0;
        l->exhausted = true;
        report.flags = REQUEST_LAST;
    }
    return ask(l, report);
}

/* ---- a slow processor ---- */

void tdo_lease_slow(tdo_comm *comm, double factor)
{
    comm->slow = factor - 1;
}

/* Sleep for the work since the last mark. */
static void drag(const struct tdo_lease *l)
{
    if (l->comm->slow > 0 && l->current.count > 0) {
        const double nap = l->comm->slow * (tdo_log_now() - l->marked), whole = floor(nap);
        const struct timespec t = {(time_t)whole, (long)((nap - whole) * 1e9)};
        nanosleep(&t, NULL);
    }
}

/* ---- both ---- */

static bool is_root(const struct tdo_lease *l)
{
    return l->comm->rank == 0;
}

tdo_err tdo_lease_new(tdo_comm *comm, int64_t items, double seconds, tdo_lease **out)
{
    *out = NULL;
    tdo_err err = TDO_OK;
    struct tdo_lease *l = NULL;
    TDO_GOTO(tdo_memory_new(1, &l));
    l->comm = comm;
    l->items = l->left = items;
    l->seconds = seconds;
    l->asked = l->answer = MPI_REQUEST_NULL;
    if (is_root(l)) {
        TDO_GOTO(tdo_memory_new(comm->size, &l->workers));
        for (int r = 0; r < comm->size; r++) {
            l->workers[r].out = MPI_REQUEST_NULL;
        }
    } else {
        TDO_GOTO(ask(l, (struct request){0}));
    }
    *out = l;
    l = NULL;
done:
    tdo_lease_free(&l);
    return err;
}

tdo_err tdo_lease_skip(tdo_lease *l, const struct tdo_range *ranges, int64_t count)
{
    if (!is_root(l)) {
        return TDO_OK;
    }
    int64_t end = 0, skipped = 0;
    for (int64_t i = 0; i < count; i++) {
        if (ranges[i].first < end || ranges[i].end < ranges[i].first ||
            ranges[i].end > l->items) {
            return TDO_FAIL(TDO_ERR_BUG,
                            "range %lld to skip is [%lld,%lld): sorted, disjoint "
                            "ranges of 0..%lld are expected",
                            (long long)i, (long long)ranges[i].first, (long long)ranges[i].end,
                            (long long)l->items);
        }
        end = ranges[i].end;
        skipped += ranges[i].end - ranges[i].first;
    }
    if (l->next > 0 || l->n_skip > 0) {
        return TDO_FAIL(TDO_ERR_BUG,
                        "ranges to skip must be given once, before the first lease");
    }
    TDO_TRY(tdo_memory_new(count, &l->skip));
    for (int64_t i = 0; i < count; i++) {
        l->skip[i] = ranges[i];
    }
    l->n_skip = count;
    l->left -= skipped;
    l->done += skipped;
    return TDO_OK;
}

tdo_err tdo_lease_skip_marked(tdo_lease *l, const bool *there)
{
    struct tdo_range *range = NULL;
    int64_t ranges = 0;
    if (!is_root(l)) {
        return TDO_OK;
    }
    TDO_TRY(tdo_memory_new(l->items + 1, &range));
    for (int64_t i = 0; i < l->items; i++) {
        if (there[i]) {
            const bool grows = ranges > 0 && range[ranges - 1].end == i;
            ranges += !grows;
            range[ranges - 1].first = grows ? range[ranges - 1].first : i;
            range[ranges - 1].end = i + 1;
        }
    }
    tdo_err err = ranges > 0 ? tdo_lease_skip(l, range, ranges) : TDO_OK;
    tdo_memory_free(&range);
    return err;
}

tdo_err tdo_lease_next(tdo_lease *l, int64_t *first, int64_t *count)
{
    *first = *count = 0;
    if (l->exhausted) {
        return TDO_OK;
    }
    drag(l);
    double now = tdo_log_now();
    struct request report = {0};
    if (l->current.count > 0 && !l->stopped) {
        report.items = l->current.count;
        report.nanoseconds = (int64_t)((now - l->started) * 1e9);
    }
    if (is_root(l)) {
        measure(l, 0, report.items, report.nanoseconds);
        TDO_TRY(answer_all(l));
        l->current = take(l, 0);
        l->exhausted = l->current.count == 0;
    } else {
        l->done += report.items;
        TDO_TRY(worker_next(l, report));
    }
    *first = l->current.first;
    *count = l->current.count;
    l->started = l->marked = tdo_log_now();
    return TDO_OK;
}

tdo_err tdo_lease_poll(tdo_lease *l)
{
    int there = 0;
    drag(l);
    TDO_TRY(is_root(l) ? answer_all(l)
                       : TDO_MPI(MPI_Test(&l->answer, &there, MPI_STATUS_IGNORE)));
    l->marked = tdo_log_now();
    return TDO_OK;
}

int64_t tdo_lease_done(const tdo_lease *l)
{
    return l->done;
}

void tdo_lease_stop(tdo_lease *l)
{
    l->stopped = true;
}

static tdo_err serve_to_the_end(struct tdo_lease *l)
{
    while (l->last_reports < l->comm->size - 1) {
        MPI_Status status;
        TDO_TRY(TDO_MPI(MPI_Probe(MPI_ANY_SOURCE, TDO_TAG_REQUEST, l->comm->world, &status)));
        TDO_TRY(answer(l, status.MPI_SOURCE));
    }
    for (int r = 0; r < l->comm->size; r++) {
        TDO_TRY(TDO_MPI(MPI_Wait(&l->workers[r].out, MPI_STATUS_IGNORE)));
    }
    return TDO_OK;
}

static tdo_err worker_end(struct tdo_lease *l)
{
    if (!l->exhausted) {
        TDO_TRY(worker_next(l, (struct request){0}));
    }
    return TDO_MPI(MPI_Wait(&l->asked, MPI_STATUS_IGNORE));
}

tdo_err tdo_lease_end(tdo_lease *l)
{
    if (l->ended) {
        return TDO_OK;
    }
    l->ended = true;
    l->stopped = l->stopped || !l->exhausted;
    TDO_TRY(is_root(l) ? serve_to_the_end(l) : worker_end(l));
    /* Requests of the next lease must not reach a root that still collects last reports. */
    return TDO_MPI(MPI_Barrier(l->comm->world));
}

void tdo_lease_free(tdo_lease **out)
{
    struct tdo_lease *l = *out;
    if (!l) {
        return;
    }
    if (!l->ended && l->answer != MPI_REQUEST_NULL) {
        MPI_Cancel(&l->answer);
        MPI_Request_free(&l->answer);
    }
    tdo_memory_free(&l->workers);
    tdo_memory_free(&l->skip);
    tdo_memory_free(out);
}
