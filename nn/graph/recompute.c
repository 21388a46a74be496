/* Keep less, compute again. See recompute.h. */
#include "nn/graph/recompute.h"

#include <string.h>

struct rewriting {
    const tdo_graph *from;
    tdo_graph *to;
    int size, turn;      /* nodes [0, turn) come before the turning point */
    bool *fixed;         /* is its memory not ours to save: leaves, prologue, outputs? */
    int *early, *late;   /* the last reader on this side of the turning point; -1: none there */
    int *segment;        /* [turn] */
    bool *kept, *needed; /* does it stay for the late readers; must it run again? */
    bool *done;          /* [segments]: has the segment run again? */
    tdo_node *first, *again; /* in the new graph; TDO_NONE while it is not there */
};

static const struct tdo_graph_node *at(const struct rewriting *r, tdo_node i)
{
    return tdo_graph_at(r->from, i);
}

static bool computes(const struct rewriting *r, tdo_node i)
{
    return !(at(r, i)->op->flags & (TDO_OP_LEAF | TDO_OP_ALIAS));
}

/* The node whose memory holds the value. */
static tdo_node root_of(const struct rewriting *r, tdo_node i)
{
    while (at(r, i)->op->flags & TDO_OP_ALIAS) {
        i = at(r, i)->in[0];
    }
    return i;
}

static tdo_node operand(const struct rewriting *r, tdo_node i, int k)
{
    return root_of(r, at(r, i)->in[k]);
}

static int64_t bytes_of(const struct rewriting *r, tdo_node i)
{
    return tdo_shape_count(&at(r, i)->shape) * (at(r, i)->dtype == TDO_NARROW ? 2 : 4);
}

static int larger(int a, int b)
{
    return a > b ? a : b;
}

/* ---- what to keep ------------------------------------------------------------------------------ */

static void find_fixed(struct rewriting *r, const struct tdo_lowered *l, int outputs)
{
    for (tdo_node i = 0; i < r->size; i++) {
        r->fixed[i] = !computes(r, i) || l->prologue[i];
    }
    for (int k = 0; k < outputs; k++) {
        r->fixed[root_of(r, l->output[k])] = true;
    }
}

/* With the turning point at the very end all readers are early. */
static void find_readers(struct rewriting *r)
{
    for (tdo_node i = 0; i < r->size; i++) {
        r->early[i] = r->late[i] = -1;
    }
    for (tdo_node i = 0; i < r->size; i++) {
        for (int k = 0; computes(r, i) && k < at(r, i)->nin; k++) {
            (i < r->turn ? r->early : r->late)[operand(r, i, k)] = i;
        }
    }
}

/* width[t]: bytes that nodes before t leave for early readers at t and behind. */
static void find_widths(const struct rewriting *r, int64_t *width)
{
    memset(width, 0, ((size_t)r->size + 2) * sizeof *width);
    for (tdo_node i = 0; i < r->size; i++) {
        if (!r->fixed[i] && r->early[i] > i) {
            width[i + 1] += bytes_of(r, i);
            width[r->early[i] + 1] -= bytes_of(r, i);
        }
    }
    for (int t = 1; t <= r->size; t++) {
        width[t] += width[t - 1];
    }
}

static int find_turn(const struct rewriting *r, const int64_t *width)
{
    int turn = 0;
    for (int t = 1; t <= r->size; t++) {
        turn = width[t] > width[turn] ? t : turn;
    }
    return turn;
}

/* Bytes of early values that have a late reader. */
static int64_t waiting(const struct rewriting *r, tdo_node i)
{
    return !r->fixed[i] && r->late[i] >= 0 ? bytes_of(r, i) : 0;
}

/* Cut n of segments - 1: between two thirds of a segment before and behind its share of all that
 * waits, where least is passed on. */
static int find_cut(const struct rewriting *r, const int64_t *width, int64_t total, int n,
                    int segments)
{
    const double share = (double)total / segments;
    int64_t so_far = 0;
    int cut = -1;
    for (tdo_node t = 0; t < r->turn; t++) {
        const double off = (double)so_far - n * share;
        if (off >= -share / 3 && (cut < 0 || (off <= share / 3 && width[t] < width[cut]))) {
            cut = t;
        }
        so_far += waiting(r, t);
    }
    return cut < 0 ? r->turn : cut;
}

static int64_t cut_segments(struct rewriting *r, const int64_t *width, int segments)
{
    int64_t total = 0;
    for (tdo_node i = 0; i < r->turn; i++) {
        total += waiting(r, i);
        r->segment[i] = 0;
    }
    for (int n = 1; n < segments; n++) {
        for (tdo_node i = find_cut(r, width, total, n, segments); i < r->turn; i++) {
            r->segment[i] = larger(r->segment[i], n);
        }
    }
    return total;
}

static void choose_kept(struct rewriting *r, int64_t total, int segments)
{
    const int64_t small = total / 1000;
    for (tdo_node i = 0; i < r->turn; i++) {
        r->kept[i] = r->fixed[i] || r->segment[i] == segments - 1 ||
                     (waiting(r, i) > 0 && bytes_of(r, i) <= small);
    }
    for (tdo_node i = 0; i < r->turn; i++) {
        for (int k = 0; computes(r, i) && k < at(r, i)->nin; k++) {
            const tdo_node o = operand(r, i, k);
            r->kept[o] = r->kept[o] || (waiting(r, o) > 0 && r->segment[o] < r->segment[i]);
        }
    }
}

/* Values with late readers that are not kept, and what they come from in their segment. What a
 * later segment's second run reads stays from the first. */
static void choose_needed(struct rewriting *r)
{
    for (tdo_node i = r->turn - 1; i >= 0; i--) {
        r->needed[i] = !r->kept[i] && (r->needed[i] || waiting(r, i) > 0);
        for (int k = 0; r->needed[i] && k < at(r, i)->nin; k++) {
            const tdo_node o = operand(r, i, k);
            r->kept[o] = r->kept[o] || r->segment[o] < r->segment[i];
            r->needed[o] = true; /* unless kept, see above */
        }
    }
}

/* ---- the new graph ------------------------------------------------------------------------------ */

/* Where readers before or behind the turning point find a node. */
static tdo_node place(struct rewriting *r, tdo_node i, bool late)
{
    const struct tdo_graph_node *n = at(r, i);
    if (n->op->flags & TDO_OP_ALIAS) {
        const tdo_node in = place(r, n->in[0], late);
        return tdo_graph_name(r->to, tdo_graph_add(r->to, n->op, 1, &in, &n->attr), "%s",
                              n->name);
    }
    return late && r->again[i] != TDO_NONE ? r->again[i] : r->first[i];
}

static tdo_node write_node(struct rewriting *r, tdo_node i, bool late, bool again)
{
    const struct tdo_graph_node *n = at(r, i);
    tdo_node in[TDO_MAX_IN];
    for (int k = 0; k < n->nin; k++) {
        in[k] = place(r, n->in[k], late);
    }
    const tdo_node out = again ? tdo_graph_add_again(r->to, n->op, n->nin, in, &n->attr)
                               : tdo_graph_add(r->to, n->op, n->nin, in, &n->attr);
    return tdo_graph_name(r->to, out, "%s", n->name);
}

static void run_again(struct rewriting *r, int segment)
{
    for (tdo_node i = 0; i < r->turn && !r->done[segment]; i++) {
        if (r->segment[i] == segment && r->needed[i]) {
            r->again[i] = write_node(r, i, true, true);
        }
    }
    r->done[segment] = true;
}

static void write_graph(struct rewriting *r)
{
    for (tdo_node i = 0; i < r->size && tdo_graph_check(r->to) == TDO_OK; i++) {
        const bool late = i >= r->turn;
        for (int k = 0; late && computes(r, i) && k < at(r, i)->nin; k++) {
            const tdo_node o = operand(r, i, k);
            if (o < r->turn && r->needed[o]) {
                run_again(r, r->segment[o]);
            }
        }
        if (!(at(r, i)->op->flags & TDO_OP_ALIAS)) {
            r->first[i] = write_node(r, i, late, false);
        }
    }
}

static void adopt(struct rewriting *r, struct tdo_lowered *l, int nodes, int outputs)
{
    for (int i = 0; i < nodes; i++) {
        l->map[i] = l->map[i] == TDO_NONE ? TDO_NONE : place(r, l->map[i], false);
    }
    for (int k = 0; k < outputs; k++) {
        l->output[k] = place(r, l->output[k], false);
    }
    l->before = l->graph;
    l->graph = r->to;
    r->to = NULL;
}

static tdo_err rewrite(struct rewriting *r, struct tdo_lowered *l, int nodes, int outputs,
                       int segments)
{
    int64_t *width = NULL;
    tdo_err err = TDO_OK;
    TDO_TRY(tdo_memory_new(r->size, &r->fixed));
    TDO_TRY(tdo_memory_new(r->size, &r->early));
    TDO_TRY(tdo_memory_new(r->size, &r->late));
    TDO_TRY(tdo_memory_new(r->size, &r->segment));
    TDO_TRY(tdo_memory_new(r->size, &r->kept));
    TDO_TRY(tdo_memory_new(r->size, &r->needed));
    TDO_TRY(tdo_memory_new(r->size, &r->first));
    TDO_TRY(tdo_memory_new(r->size, &r->again));
    TDO_TRY(tdo_memory_new(segments, &r->done));
    memset(r->first, 0xff, (size_t)r->size * sizeof *r->first); /* TDO_NONE */
    memset(r->again, 0xff, (size_t)r->size * sizeof *r->again);
    TDO_TRY(tdo_graph_new(&r->to));
    TDO_TRY(tdo_memory_new(r->size + 2, &width));
    find_fixed(r, l, outputs);
    r->turn = r->size;
    find_readers(r);
    find_widths(r, width);
    r->turn = find_turn(r, width);
    find_readers(r);
    find_widths(r, width);
    choose_kept(r, cut_segments(r, width, segments), segments);
    choose_needed(r);
    write_graph(r);
    TDO_GOTO(tdo_graph_check(r->to));
    adopt(r, l, nodes, outputs);
    err = tdo_lower_find_prologue(l);
done:
    tdo_memory_free(&width);
    return err;
}

tdo_err tdo_recompute(struct tdo_lowered *l, int nodes, int outputs, int segments)
{
    struct rewriting r = {.from = l->graph, .size = tdo_graph_size(l->graph)};
    if (segments < 2) {
        return TDO_OK;
    }
    const tdo_err err = rewrite(&r, l, nodes, outputs, segments);
    tdo_graph_free(&r.to);
    tdo_memory_free(&r.fixed);
    tdo_memory_free(&r.early);
    tdo_memory_free(&r.late);
    tdo_memory_free(&r.segment);
    tdo_memory_free(&r.kept);
    tdo_memory_free(&r.needed);
    tdo_memory_free(&r.done);
    tdo_memory_free(&r.first);
    tdo_memory_free(&r.again);
    return err;
}
