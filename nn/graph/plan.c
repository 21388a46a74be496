/* From a lowered graph to steps and places in memory. See plan.h.
 *
 * Steps are the nodes that compute something, prologue first. Each node's value lives in a
 * buffer: an alias in that of its operand, a result possibly in that of an operand that dies in
 * this very step. Buffers are placed largest first at the lowest offset that is free for their
 * whole life. */
#include "nn/graph/plan_impl.h"

#include <stdlib.h>
#include <string.h>

#include "nn/graph/ops.h"
#include "nn/graph/recompute.h"

enum { FOREVER = 1 << 30, ALIGN = 64 };

static int64_t round_up(int64_t bytes)
{
    return (bytes + ALIGN - 1) / ALIGN * ALIGN;
}

static int64_t bytes_of(const tdo_plan *p, const struct tdo_graph_node *n)
{
    int64_t each = n->dtype == TDO_KEY      ? (int64_t)sizeof(struct tdo_key)
                   : n->dtype == TDO_NARROW ? (int64_t)sizeof(uint16_t)
                   : p->options.full        ? (int64_t)sizeof(double)
                                            : (int64_t)sizeof(float);
    return tdo_shape_count(&n->shape) * each;
}

static bool computes(const struct tdo_graph_node *n)
{
    return !(n->op->flags & (TDO_OP_LEAF | TDO_OP_ALIAS));
}

/* ---- steps ------------------------------------------------------------------------------------ */

static tdo_err choose_kernel(const tdo_plan *p, const struct tdo_graph_node *n,
                             struct tdo_step *s)
{
    for (int k = 0; k < 2 && !p->options.full && p->options.fast && !s->kernel.run; k++) {
        if (n->op->fast[k]) {
            TDO_TRY(n->op->fast[k](&s->call, &s->kernel));
            s->fast = s->kernel.run != NULL;
        }
    }
    if (!s->kernel.run) {
        s->kernel.run = n->op->reference[p->options.full ? 1 : 0];
    }
    if (!s->kernel.run) {
        return TDO_FAIL(TDO_ERR_BUG, "%s has no kernel for %s", n->op->name,
                        tdo_shape_print(&n->shape).s);
    }
    return TDO_OK;
}

static tdo_err add_step(tdo_plan *p, tdo_node i)
{
    const tdo_graph *g = p->lowered.graph;
    const struct tdo_graph_node *n = tdo_graph_at(g, i);
    struct tdo_step *s = &p->step[p->steps++];
    s->node = i;
    s->output = -1;
    s->call.nin = n->nin;
    s->call.attr = &n->attr;
    s->call.out_shape = &n->shape;
    for (int k = 0; k < n->nin; k++) {
        s->call.in_shape[k] = &tdo_graph_at(g, n->in[k])->shape;
    }
    s->flops = n->op->flops ? n->op->flops(g, n) : 0;
    return choose_kernel(p, n, s);
}

static tdo_err make_steps(tdo_plan *p)
{
    TDO_TRY(tdo_memory_new(p->size, &p->step));
    for (int body = 0; body < 2; body++) {
        for (tdo_node i = 0; i < p->size; i++) {
            if (computes(tdo_graph_at(p->lowered.graph, i)) &&
                p->lowered.prologue[i] == !body) {
                TDO_TRY(add_step(p, i));
            }
        }
        p->prologue = body ? p->prologue : p->steps;
    }
    return TDO_OK;
}

/* ---- lives -------------------------------------------------------------------------------------- */

/* The last step that reads each node directly, -1 if none. */
static void last_reads(const tdo_plan *p, int *last)
{
    for (tdo_node i = 0; i < p->size; i++) {
        last[i] = -1;
    }
    for (int s = 0; s < p->steps; s++) {
        const struct tdo_graph_node *n = tdo_graph_at(p->lowered.graph, p->step[s].node);
        for (int k = 0; k < n->nin; k++) {
            last[n->in[k]] = s;
        }
    }
    for (tdo_node i = p->size - 1; i >= 0; i--) { /* an alias reads for its operand */
        const struct tdo_graph_node *n = tdo_graph_at(p->lowered.graph, i);
        if ((n->op->flags & TDO_OP_ALIAS) && last[n->in[0]] < last[i]) {
            last[n->in[0]] = last[i];
        }
    }
    for (int k = 0; k < p->outputs; k++) {
        tdo_node i = p->lowered.output[k];
        for (;; i = tdo_graph_at(p->lowered.graph, i)->in[0]) {
            last[i] = FOREVER;
            if (!(tdo_graph_at(p->lowered.graph, i)->op->flags & TDO_OP_ALIAS)) {
                break;
            }
        }
    }
}

static int new_buffer(tdo_plan *p, int64_t bytes, int birth, int death)
{
    p->buffer[p->buffers] =
        (struct tdo_buffer){.bytes = round_up(bytes), .birth = birth, .death = death};
    return p->buffers++;
}

/* Would writing over operand k destroy what another operand still has to give? */
static bool safe_to_overwrite(const tdo_plan *p, const struct tdo_graph_node *n, int k)
{
    bool safe = n->op->overwrite(n, k);
    for (int j = 0; safe && j < n->nin; j++) {
        safe = p->buffer_of[n->in[j]] != p->buffer_of[n->in[k]] || n->op->overwrite(n, j);
    }
    return safe;
}

/* A buffer that step s may write its result over, or -1. */
static int reusable(const tdo_plan *p, const struct tdo_step *s, int number)
{
    const struct tdo_graph_node *n = tdo_graph_at(p->lowered.graph, s->node);
    for (int k = n->nin - 1; k >= 0 && n->op->overwrite; k--) {
        const struct tdo_buffer *b = &p->buffer[p->buffer_of[n->in[k]]];
        if (b->death == number && b->birth >= 0 && b->bytes == round_up(bytes_of(p, n)) &&
            safe_to_overwrite(p, n, k)) {
            return p->buffer_of[n->in[k]];
        }
    }
    return -1;
}

static void leaf_buffer(tdo_plan *p, tdo_node i)
{
    const struct tdo_graph_node *n = tdo_graph_at(p->lowered.graph, i);
    p->buffer_of[i] = new_buffer(p, bytes_of(p, n), -1, FOREVER);
    if (n->op == &tdo_row_param && !p->options.full) {
        p->buffer[p->buffer_of[i]].outside =
            (void *)p->options.param(p->options.context, n->attr.leaf.index);
    }
}

/* Aliases of node i that follow it, and theirs. */
static void share_with_aliases(tdo_plan *p)
{
    for (tdo_node i = 0; i < p->size; i++) {
        const struct tdo_graph_node *n = tdo_graph_at(p->lowered.graph, i);
        if ((n->op->flags & TDO_OP_ALIAS) && p->buffer_of[n->in[0]] >= 0) {
            p->buffer_of[i] = p->buffer_of[n->in[0]];
        }
    }
}

static void make_buffers(tdo_plan *p, const int *last)
{
    for (tdo_node i = 0; i < p->size; i++) {
        p->buffer_of[i] = -1;
        if (tdo_graph_at(p->lowered.graph, i)->op->flags & TDO_OP_LEAF) {
            leaf_buffer(p, i);
        }
    }
    share_with_aliases(p);
    for (int s = 0; s < p->steps; s++) {
        const tdo_node i = p->step[s].node;
        const struct tdo_graph_node *n = tdo_graph_at(p->lowered.graph, i);
        const bool kept =
            s < p->prologue && last[i] >= p->prologue; /* for the body, every run */
        int death = kept ? FOREVER : (last[i] < s ? s : last[i]);
        int b = last[i] == FOREVER ? -1 : reusable(p, &p->step[s], s);
        if (b < 0) {
            b = new_buffer(p, bytes_of(p, n), s, death);
        }
        p->buffer[b].death = death;
        p->buffer_of[i] = b;
        for (tdo_node j = i + 1; j < p->size; j++) { /* aliases stand behind their operand */
            const struct tdo_graph_node *a = tdo_graph_at(p->lowered.graph, j);
            if ((a->op->flags & TDO_OP_ALIAS) && p->buffer_of[a->in[0]] == b &&
                p->buffer_of[j] < 0) {
                p->buffer_of[j] = b;
            }
        }
    }
}

/* ---- places --------------------------------------------------------------------------------------- */

static int by_size(const void *a, const void *b)
{
    const struct tdo_buffer *x = *(const struct tdo_buffer *const *)a;
    const struct tdo_buffer *y = *(const struct tdo_buffer *const *)b;
    if (x->bytes != y->bytes) {
        return x->bytes < y->bytes ? 1 : -1;
    }
    return x < y ? -1 : x > y;
}

/* The lowest offset at which b meets none of the `placed` buffers that live with it. */
static int64_t lowest_place(struct tdo_buffer *const *order, int placed,
                            const struct tdo_buffer *b)
{
    int64_t offset = 0;
    for (int again = 1; again;) {
        again = 0;
        for (int k = 0; k < placed; k++) {
            const struct tdo_buffer *o = order[k];
            bool together = !o->outside && o->birth <= b->death && b->birth <= o->death;
            if (together && offset < o->offset + o->bytes && o->offset < offset + b->bytes) {
                offset = o->offset + o->bytes;
                again = 1;
            }
        }
    }
    return offset;
}

static tdo_err place_buffers(tdo_plan *p)
{
    struct tdo_buffer **order = NULL;
    TDO_TRY(tdo_memory_new(p->buffers, &order));
    for (int k = 0; k < p->buffers; k++) {
        order[k] = &p->buffer[k];
    }
    qsort(order, (size_t)p->buffers, sizeof *order, by_size);
    for (int k = 0; k < p->buffers; k++) {
        if (!order[k]->outside) {
            order[k]->offset = lowest_place(order, k, order[k]);
            int64_t end = order[k]->offset + order[k]->bytes;
            p->bytes = end > p->bytes ? end : p->bytes;
        }
    }
    tdo_memory_free(&order);
    p->scratch_at = p->bytes;
    int64_t scratch = 0;
    for (int s = 0; s < p->steps; s++) {
        scratch = p->step[s].kernel.scratch > scratch ? p->step[s].kernel.scratch : scratch;
    }
    p->bytes += round_up(scratch);
    TDO_TRY(tdo_memory_new(p->bytes, &p->block));
    for (int k = 0; k < p->buffers; k++) {
        struct tdo_buffer *b = &p->buffer[k];
        b->where = b->outside ? b->outside : p->block + b->offset;
    }
    return TDO_OK;
}

static void fill_constant(const tdo_plan *p, tdo_node i)
{
    const struct tdo_graph_node *n = tdo_graph_at(p->lowered.graph, i);
    void *to = p->buffer[p->buffer_of[i]].where;
    for (int64_t e = 0; e < tdo_shape_count(&n->shape); e++) {
        if (p->options.full) {
            ((double *)to)[e] = n->attr.leaf.value;
        } else {
            ((float *)to)[e] = (float)n->attr.leaf.value;
        }
    }
}

static void link_steps(tdo_plan *p)
{
    for (int s = 0; s < p->steps; s++) {
        struct tdo_step *step = &p->step[s];
        const struct tdo_graph_node *n = tdo_graph_at(p->lowered.graph, step->node);
        for (int k = 0; k < n->nin; k++) {
            step->in[k] = p->buffer_of[n->in[k]];
        }
        step->out = p->buffer_of[step->node];
        step->call.scratch = p->block + p->scratch_at;
        step->call.state = step->kernel.state;
        for (int k = 0; k < p->outputs; k++) {
            if (p->buffer_of[p->lowered.output[k]] == step->out && s >= p->prologue) {
                step->output = k;
            }
        }
    }
    for (tdo_node i = 0; i < p->size; i++) {
        if (tdo_graph_at(p->lowered.graph, i)->op == &tdo_row_constant) {
            fill_constant(p, i);
        }
    }
}

static tdo_err build(tdo_plan *p, const tdo_graph *g, const tdo_node *output)
{
    int *last = NULL;
    tdo_err err = TDO_OK;
    const enum tdo_lower_kernels kernels = p->options.full || !p->options.fast ? TDO_LOWER_PLAIN
                                           : p->options.bf16                   ? TDO_LOWER_BF16
                                                                               : TDO_LOWER_FAST;
    TDO_GOTO(tdo_lower(g, p->outputs, output, kernels, &p->lowered));
    TDO_GOTO(tdo_recompute(&p->lowered, p->old_size, p->outputs, p->options.checkpoint));
    p->size = tdo_graph_size(p->lowered.graph);
    TDO_GOTO(make_steps(p));
    TDO_GOTO(tdo_memory_new(p->size, &p->buffer_of));
    TDO_GOTO(tdo_memory_new(p->size, &p->buffer));
    TDO_GOTO(tdo_memory_new(p->size, &last));
    last_reads(p, last);
    make_buffers(p, last);
    TDO_GOTO(place_buffers(p));
    link_steps(p);
done:
    tdo_memory_free(&last);
    return err;
}

tdo_err tdo_plan_new(const tdo_graph *g, int outputs, const tdo_node *output,
                     const struct tdo_plan_options *options, tdo_plan **out)
{
    *out = NULL;
    TDO_TRY(tdo_graph_check(g));
    TDO_TRY(tdo_memory_new(1, out));
    tdo_plan *p = *out;
    p->options = *options;
    p->outputs = outputs;
    p->old_size = tdo_graph_size(g);
    p->stale = true;
    tdo_err err = build(p, g, output);
    if (err != TDO_OK) {
        tdo_plan_free(out);
    }
    return err;
}

void tdo_plan_free(tdo_plan **plan)
{
    tdo_plan *p = *plan;
    if (!p) {
        return;
    }
    for (int s = 0; s < p->steps; s++) {
        if (p->step[s].kernel.free) {
            p->step[s].kernel.free(p->step[s].kernel.state);
        }
    }
    tdo_lower_free(&p->lowered);
    tdo_memory_free(&p->buffer_of);
    tdo_memory_free(&p->buffer);
    tdo_memory_free(&p->step);
    tdo_memory_free(&p->block);
    tdo_memory_free(plan);
}

void *tdo_plan_input(tdo_plan *p, tdo_node input)
{
    TDO_ASSERT(input >= 0 && input < p->old_size);
    tdo_node i = p->lowered.map[input];
    return i == TDO_NONE ? NULL : p->buffer[p->buffer_of[i]].where;
}

const void *tdo_plan_output(const tdo_plan *p, int k)
{
    return p->buffer[p->buffer_of[p->lowered.output[k]]].where;
}

void tdo_plan_bind(tdo_plan *p, int k, void *memory)
{
    struct tdo_buffer *b = &p->buffer[p->buffer_of[p->lowered.output[k]]];
    b->where = memory ? memory : p->block + b->offset;
}

int64_t tdo_plan_bytes(const tdo_plan *p)
{
    return p->bytes;
}

int64_t tdo_plan_flops(const tdo_plan *p)
{
    int64_t flops = 0;
    for (int s = p->prologue; s < p->steps; s++) {
        flops += p->step[s].flops;
    }
    return flops;
}

int tdo_plan_missed(const tdo_plan *p)
{
    return tdo_lower_missed(&p->lowered, p->outputs);
}
