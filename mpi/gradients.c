/* The fixed-tree sum of shard gradients. See gradients.h for the idea, tree.c for the tree.
 *
 * Life of a bucket on one rank:
 *   begin .. ready   shards of this rank are added up on the slots
 *   start            receives are posted, my partial sums are sent, slice by slice
 *   finish           all partial sums of my slice are here: finish the tree, send the result
 *   drained          everything sent and every other slice received
 * Buckets start, finish and drain in order, on every rank, so one tag each is enough. */
#include "mpi/gradients.h"

#include <limits.h>
#include <string.h>

#include "mpi/mpi_impl.h"
#include "nn/base/memory.h"

struct piece {
    int rank;
    struct tdo_tree_node node; /* a complete subtree that this rank owns */
    bool present;              /* in this step */
    int slot;                  /* own pieces: where its sum lies; else which receive space */
};

/* Requests under way. */
struct pending {
    MPI_Request *request; /* [room] */
    int64_t room;
    int n;
};

struct bucket {
    int64_t begin, end;
    float *space;            /* [foreign pieces, length of my slice]: receive space */
    struct pending partials; /* receives of partial sums of my slice */
    struct pending others;   /* sends, and receives of finished slices */
};

struct tdo_gradients {
    struct tdo_comm *comm;         /* borrowed */
    int64_t count, message, bytes; /* of slots, receive space and sum */
    int shards, buckets, slots, foreign;
    struct tdo_range owned;
    struct tdo_tree_node root;
    struct tdo_tree tree;

    struct piece *pieces; /* [n_pieces], all ranks, in order of shards */
    int n_pieces;
    float **slot;     /* [slots] -> [count] */
    float **stack;    /* [n_pieces], scratch of finish */
    int *shard_slot;  /* [owned shards], of this step */
    int *shard_merge; /* [owned shards]: additions that follow */
    float *slot_block, *space_block, *sum;
    MPI_Request *requests;

    struct bucket *bucket;
    bool open;                            /* between begin and end */
    int next_shard, next_bucket;          /* what ready must announce next; shards: none left */
    int n_started, n_finished, n_drained; /* buckets */
};

/* ---- construction ---- */

static struct tdo_range slice(const struct tdo_gradients *g, int b, int rank)
{
    const struct bucket *k = &g->bucket[b];
    struct tdo_range r = tdo_shard_rows(k->end - k->begin, g->comm->size, rank);
    r.first += k->begin;
    r.end += k->begin;
    return r;
}

static int64_t length(struct tdo_range r)
{
    return r.end - r.first;
}

static int64_t messages(const struct tdo_gradients *g, int64_t elements)
{
    return (elements + g->message - 1) / g->message;
}

static tdo_err check_spec(const tdo_comm *comm, const struct tdo_gradients_spec *s)
{
    if (s->shards < 1 || s->shards >= 1 << 22) {
        return TDO_FAIL(TDO_ERR_CONFIG, "train.shards is %d: 1 to 2^22 - 1 are possible",
                        s->shards);
    }
    if (comm->size > s->shards) {
        return TDO_FAIL(
            TDO_ERR_CONFIG,
            "%d ranks but train.shards is %d: a rank needs at least one shard; start "
            "fewer ranks or raise train.shards (which changes the result)",
            comm->size, s->shards);
    }
    if (s->count < 1 || s->buckets < 1 || s->message < 0) {
        return TDO_FAIL(TDO_ERR_SHAPE, "a gradient block of %lld elements in %d buckets",
                        (long long)s->count, s->buckets);
    }
    for (int i = 0; i < s->buckets; i++) {
        int64_t end = i == 0 ? s->count : s->bucket_begin[i - 1];
        bool last = i == s->buckets - 1;
        if (s->bucket_begin[i] < 0 || s->bucket_begin[i] > end ||
            (last && s->bucket_begin[i] != 0)) {
            return TDO_FAIL(TDO_ERR_SHAPE,
                            "gradient bucket %d begins at %lld and ends at %lld: begins must "
                            "fall from %lld to 0",
                            i, (long long)s->bucket_begin[i], (long long)end,
                            (long long)s->count);
        }
    }
    return TDO_OK;
}

static tdo_err find_pieces(struct tdo_gradients *g)
{
    struct tdo_tree_node nodes[TDO_TREE_MAX_PIECES];
    int n = 0;
    for (int r = 0; r < g->comm->size; r++) {
        n += tdo_tree_pieces(g->shards, g->comm->size, r, nodes);
    }
    TDO_TRY(tdo_memory_new(n, &g->pieces));
    TDO_TRY(tdo_memory_new(n, &g->stack));
    g->n_pieces = n;
    n = 0;
    for (int r = 0; r < g->comm->size; r++) {
        int mine = tdo_tree_pieces(g->shards, g->comm->size, r, nodes);
        for (int i = 0; i < mine; i++) {
            bool foreign = r != g->comm->rank;
            g->pieces[n++] =
                (struct piece){.rank = r, .node = nodes[i], .slot = foreign ? g->foreign : 0};
            g->foreign += foreign;
        }
    }
    return TDO_OK;
}

/* Walk over my shards as a step does: which slot each one takes, how many additions follow, and
 * where the sum of each piece ends up. Returns the number of slots used. */
static int schedule(struct tdo_gradients *g)
{
    int depth = 0, most = 1, p = 0;
    while (g->pieces[p].rank != g->comm->rank) {
        p++;
    }
    for (int64_t k = g->owned.first; k < g->owned.end; k++) {
        struct tdo_tree_node leaf = {0, k};
        while (k >> g->pieces[p].node.level != g->pieces[p].node.index) {
            p++;
        }
        int at = (int)(k - g->owned.first);
        g->shard_slot[at] = -1;
        if (!tdo_tree_present(&g->tree, leaf)) {
            continue;
        }
        g->shard_slot[at] = depth++;
        most = depth > most ? depth : most;
        g->shard_merge[at] = tdo_tree_merges(&g->tree, leaf, g->pieces[p].node);
        depth -= g->shard_merge[at];
        g->pieces[p].slot = depth - 1;
    }
    return most;
}

static tdo_err allocate_slots(struct tdo_gradients *g)
{
    int64_t owned = length(g->owned);
    TDO_TRY(tdo_memory_new(owned, &g->shard_slot));
    TDO_TRY(tdo_memory_new(owned, &g->shard_merge));
    g->tree = (struct tdo_tree){.shards = g->shards, .rows = g->shards}; /* the fullest step */
    g->slots = schedule(g);
    TDO_TRY(tdo_memory_new(g->slots, &g->slot));
    int64_t stride = (g->count + 15) / 16 * 16; /* every slot on a cache line */
    if (stride > INT64_MAX / 8 / g->slots) {
        return TDO_FAIL(TDO_ERR_MEMORY, "out of memory: a gradient block of %lld elements",
                        (long long)g->count);
    }
    TDO_TRY(tdo_memory_new(stride * g->slots, &g->slot_block));
    g->bytes = stride * g->slots * (int64_t)sizeof(float);
    for (int i = 0; i < g->slots; i++) {
        g->slot[i] = g->slot_block + i * stride;
    }
    return TDO_OK;
}

/* Receive space and requests of all buckets, each as one block. */
static tdo_err allocate_messages(struct tdo_gradients *g)
{
    int64_t space = 0, requests = 0, own = g->n_pieces - g->foreign;
    for (int b = 0; b < g->buckets; b++) {
        struct bucket *k = &g->bucket[b];
        int64_t mine = length(slice(g, b, g->comm->rank)), of_others = 0;
        for (int q = 0; q < g->comm->size; q++) {
            of_others += q == g->comm->rank ? 0 : messages(g, length(slice(g, b, q)));
        }
        k->partials.room = g->foreign * messages(g, mine);
        k->others.room = (own + 1) * of_others + (g->comm->size - 1) * messages(g, mine);
        if (k->partials.room > INT_MAX || k->others.room > INT_MAX) {
            return TDO_FAIL(TDO_ERR_SHAPE, "a gradient bucket of %lld elements is too large",
                            (long long)(k->end - k->begin));
        }
        space += g->foreign * mine;
        requests += k->partials.room + k->others.room;
    }
    TDO_TRY(tdo_memory_new(space, &g->space_block));
    TDO_TRY(tdo_memory_new(requests, &g->requests)); // NOLINT(bugprone-sizeof-expression)
    TDO_TRY(tdo_memory_new(g->count, &g->sum));
    g->bytes += (space + g->count) * (int64_t)sizeof(float);
    float *at = g->space_block;
    MPI_Request *request = g->requests;
    for (int b = 0; b < g->buckets; b++) {
        struct bucket *k = &g->bucket[b];
        k->space = at;
        k->partials.request = request;
        k->others.request = request + k->partials.room;
        at += g->foreign * length(slice(g, b, g->comm->rank));
        request = k->others.request + k->others.room;
    }
    return TDO_OK;
}

tdo_err tdo_gradients_new(tdo_comm *comm, const struct tdo_gradients_spec *spec,
                          tdo_gradients **out)
{
    *out = NULL;
    TDO_TRY(check_spec(comm, spec));
    tdo_err err = TDO_OK;
    struct tdo_gradients *g = NULL;
    TDO_GOTO(tdo_memory_new(1, &g));
    g->comm = comm;
    g->count = spec->count;
    g->shards = spec->shards;
    g->buckets = spec->buckets;
    g->message =
        spec->message > 0 && spec->message < TDO_MPI_CHUNK ? spec->message : TDO_MPI_CHUNK;
    g->owned = tdo_shard_owned(spec->shards, comm->size, comm->rank);
    g->root = tdo_tree_root(spec->shards);
    TDO_GOTO(tdo_memory_new(g->buckets, &g->bucket));
    for (int i = 0; i < g->buckets; i++) {
        g->bucket[i].begin = spec->bucket_begin[i];
        g->bucket[i].end = i == 0 ? spec->count : spec->bucket_begin[i - 1];
    }
    TDO_GOTO(find_pieces(g));
    TDO_GOTO(allocate_slots(g));
    if (comm->size > 1) {
        TDO_GOTO(allocate_messages(g));
    }
    *out = g;
    g = NULL;
done:
    tdo_gradients_free(&g);
    return err;
}

/* ---- messages of one bucket ---- */

/* Send or receive n elements in messages of bounded size; the requests join `pending`. */
static tdo_err transfer(struct tdo_gradients *g, bool send, float *data, int64_t n, int peer,
                        int tag, struct pending *pending)
{
    for (int64_t at = 0; at < n; at += g->message) {
        int part = (int)(n - at < g->message ? n - at : g->message);
        MPI_Request *r = &pending->request[pending->n];
        if (send) {
            TDO_TRY(
                TDO_MPI(MPI_Isend(data + at, part, MPI_FLOAT, peer, tag, g->comm->world, r)));
        } else {
            TDO_TRY(
                TDO_MPI(MPI_Irecv(data + at, part, MPI_FLOAT, peer, tag, g->comm->world, r)));
        }
        pending->n++;
    }
    return TDO_OK;
}

/* Peers in an order that spreads the load: my right neighbour first. */
static int peer(const struct tdo_gradients *g, int i)
{
    return (g->comm->rank + i) % g->comm->size;
}

static tdo_err start_bucket(struct tdo_gradients *g, int b)
{
    struct bucket *k = &g->bucket[b];
    struct tdo_range mine = slice(g, b, g->comm->rank);
    k->partials.n = k->others.n = 0;
    for (int i = 0; i < g->n_pieces; i++) {
        const struct piece *p = &g->pieces[i];
        if (p->rank != g->comm->rank && p->present) {
            TDO_TRY(transfer(g, false, k->space + p->slot * length(mine), length(mine), p->rank,
                             TDO_TAG_PARTIAL, &k->partials));
        }
    }
    for (int i = 1; i < g->comm->size; i++) {
        struct tdo_range theirs = slice(g, b, peer(g, i));
        TDO_TRY(transfer(g, false, g->sum + theirs.first, length(theirs), peer(g, i),
                         TDO_TAG_SUM, &k->others));
    }
    for (int i = 0; i < g->n_pieces; i++) {
        const struct piece *p = &g->pieces[i];
        for (int j = 1; p->rank == g->comm->rank && p->present && j < g->comm->size; j++) {
            struct tdo_range theirs = slice(g, b, peer(g, j));
            TDO_TRY(transfer(g, true, g->slot[p->slot] + theirs.first, length(theirs),
                             peer(g, j), TDO_TAG_PARTIAL, &k->others));
        }
    }
    g->n_started++;
    return TDO_OK;
}

static void add(float *restrict to, const float *restrict from, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        to[i] += from[i];
    }
}

/* Every partial sum of my slice is here: finish the tree and send the result to all. */
static tdo_err finish_bucket(struct tdo_gradients *g)
{
    struct bucket *k = &g->bucket[g->n_finished];
    struct tdo_range mine = slice(g, g->n_finished, g->comm->rank);
    int depth = 0;
    for (int i = 0; i < g->n_pieces; i++) {
        const struct piece *p = &g->pieces[i];
        if (!p->present) {
            continue;
        }
        /* Nobody else reads my slice of my slots, so they are summed in place as well. */
        g->stack[depth++] = p->rank == g->comm->rank ? g->slot[p->slot] + mine.first
                                                     : k->space + p->slot * length(mine);
        for (int m = tdo_tree_merges(&g->tree, p->node, g->root); m > 0; m--) {
            depth--;
            add(g->stack[depth - 1], g->stack[depth], length(mine));
        }
    }
    memcpy(g->sum + mine.first, g->stack[0], (size_t)length(mine) * sizeof *g->sum);
    for (int i = 1; i < g->comm->size; i++) {
        TDO_TRY(transfer(g, true, g->sum + mine.first, length(mine), peer(g, i), TDO_TAG_SUM,
                         &k->others));
    }
    g->n_finished++;
    return TDO_OK;
}

/* ---- a step ---- */

/* The first shard of mine from k on that has rows; owned.end if there is none. */
static int next_present(const struct tdo_gradients *g, int64_t k)
{
    while (k < g->owned.end && tdo_gradients_rows(g, (int)k) == 0) {
        k++;
    }
    return (int)k;
}

tdo_err tdo_gradients_begin(tdo_gradients *g, int64_t rows)
{
    if (g->open || rows < 1) {
        return TDO_FAIL(TDO_ERR_BUG, "a gradient step of %lld rows begins%s", (long long)rows,
                        g->open ? " before the last one ended" : ", at least 1 is expected");
    }
    g->open = true;
    g->tree.rows = rows;
    for (int i = 0; i < g->n_pieces; i++) {
        g->pieces[i].present = tdo_tree_present(&g->tree, g->pieces[i].node);
    }
    schedule(g);
    g->next_shard = next_present(g, g->owned.first);
    g->next_bucket = g->n_started = g->n_finished = g->n_drained = 0;
    if (g->next_shard == g->owned.end) { /* nothing of my own to wait for */
        for (int b = 0; b < g->buckets; b++) {
            TDO_TRY(start_bucket(g, b));
        }
    }
    return TDO_OK;
}

int tdo_gradients_first(const tdo_gradients *g)
{
    return (int)g->owned.first;
}

int tdo_gradients_end_shard(const tdo_gradients *g)
{
    return (int)g->owned.end;
}

int64_t tdo_gradients_rows(const tdo_gradients *g, int shard)
{
    return length(tdo_shard_rows(g->tree.rows, g->shards, shard));
}

float *tdo_gradients_slot(tdo_gradients *g, int shard)
{
    TDO_ASSERT(g->open && shard >= g->owned.first && shard < g->owned.end);
    int slot = g->shard_slot[shard - g->owned.first];
    TDO_ASSERT(slot >= 0);
    return g->slot[slot];
}

tdo_err tdo_gradients_ready(tdo_gradients *g, int shard, int bucket)
{
    if (!g->open || shard != g->next_shard || bucket != g->next_bucket) {
        return TDO_FAIL(TDO_ERR_BUG,
                        "gradient bucket %d of shard %d announced, %d of %d expected", bucket,
                        shard, g->next_bucket, g->next_shard);
    }
    const struct bucket *k = &g->bucket[bucket];
    int at = shard - (int)g->owned.first, slot = g->shard_slot[at];
    for (int m = 0; m < g->shard_merge[at]; m++, slot--) {
        add(g->slot[slot - 1] + k->begin, g->slot[slot] + k->begin, k->end - k->begin);
    }
    int next = next_present(g, shard + 1);
    if (next == g->owned.end && g->comm->size > 1) {
        TDO_TRY(start_bucket(g, bucket));
    }
    if (++g->next_bucket == g->buckets) {
        g->next_bucket = 0;
        g->next_shard = next;
    }
    return tdo_gradients_poll(g);
}

tdo_err tdo_gradients_poll(tdo_gradients *g)
{
    if (!g->open || g->n_started == 0) {
        return TDO_OK;
    }
    int there = 1;
    while (g->n_finished < g->n_started && there) {
        const struct bucket *k = &g->bucket[g->n_finished];
        TDO_TRY(TDO_MPI(
            MPI_Testall(k->partials.n, k->partials.request, &there, MPI_STATUSES_IGNORE)));
        if (there) {
            TDO_TRY(finish_bucket(g));
        }
    }
    there = 1;
    while (g->n_drained < g->n_finished && there) {
        const struct bucket *k = &g->bucket[g->n_drained];
        TDO_TRY(
            TDO_MPI(MPI_Testall(k->others.n, k->others.request, &there, MPI_STATUSES_IGNORE)));
        g->n_drained += there;
    }
    return TDO_OK;
}

tdo_err tdo_gradients_end(tdo_gradients *g, float **sum)
{
    *sum = NULL;
    if (!g->open || g->next_shard != g->owned.end) {
        return TDO_FAIL(TDO_ERR_BUG,
                        "a gradient step ends while bucket %d of shard %d is missing",
                        g->next_bucket, g->next_shard);
    }
    if (g->comm->size == 1) {
        g->open = false;
        *sum = g->slot[0];
        return TDO_OK;
    }
    while (g->n_finished < g->buckets) {
        const struct bucket *k = &g->bucket[g->n_finished];
        TDO_TRY(TDO_MPI(MPI_Waitall(k->partials.n, k->partials.request, MPI_STATUSES_IGNORE)));
        TDO_TRY(finish_bucket(g));
    }
    for (; g->n_drained < g->buckets; g->n_drained++) {
        const struct bucket *k = &g->bucket[g->n_drained];
        TDO_TRY(TDO_MPI(MPI_Waitall(k->others.n, k->others.request, MPI_STATUSES_IGNORE)));
    }
    g->open = false;
    *sum = g->sum;
    return TDO_OK;
}

/* A step was given up (the job is about to end): let go of what is under way. */
static void let_go(struct pending *pending)
{
    for (int i = 0; i < pending->n; i++) {
        MPI_Request *r = &pending->request[i];
        if (*r != MPI_REQUEST_NULL) {
            MPI_Cancel(r);
            MPI_Request_free(r);
        }
    }
}

int64_t tdo_gradients_bytes(const tdo_gradients *g)
{
    return g->bytes;
}

void tdo_gradients_free(tdo_gradients **out)
{
    struct tdo_gradients *g = *out;
    if (!g) {
        return;
    }
    for (int b = 0; g->open && b < g->n_started; b++) {
        let_go(&g->bucket[b].partials);
        let_go(&g->bucket[b].others);
    }
    tdo_memory_free(&g->bucket);
    tdo_memory_free(&g->pieces);
    tdo_memory_free(&g->stack);
    tdo_memory_free(&g->shard_slot);
    tdo_memory_free(&g->shard_merge);
    tdo_memory_free(&g->slot);
    tdo_memory_free(&g->slot_block);
    tdo_memory_free(&g->space_block);
    tdo_memory_free(&g->sum);
    tdo_memory_free(&g->requests);
    tdo_memory_free(out);
}
