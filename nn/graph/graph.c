/* Nodes, sharing of equal nodes, and the sticky error. See graph.h. */
#include "nn/graph/graph.h"

#include <stdarg.h>
#include <string.h>

struct tdo_graph {
    struct tdo_graph_node *node;
    int count, room;
    tdo_node *table; /* open addressing over node contents; TDO_NONE is free */
    int slots;       /* a power of two, more than twice `count` */
    tdo_arena *arena;
    struct tdo_error_record failure;
};

tdo_err tdo_graph_new(tdo_graph **out)
{
    tdo_err err = TDO_OK;
    TDO_GOTO(tdo_memory_new(1, out));
    TDO_GOTO(tdo_arena_new(&(*out)->arena));
done:
    if (err != TDO_OK) {
        tdo_memory_free(out);
    }
    return err;
}

void tdo_graph_free(tdo_graph **g)
{
    if (*g) {
        tdo_arena_free(&(*g)->arena);
        tdo_memory_free(&(*g)->node);
        tdo_memory_free(&(*g)->table);
        tdo_memory_free(g);
    }
}

static tdo_node keep_failure(tdo_graph *g)
{
    if (g->failure.code == TDO_OK) {
        g->failure = *tdo_error_last();
    }
    return TDO_NONE;
}

tdo_node tdo_graph_fail(tdo_graph *g, tdo_err code, const char *format, ...)
{
    char text[768];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    tdo_err err = TDO_FAIL(code, "%s", text);
    return err == TDO_OK ? TDO_NONE : keep_failure(g);
}

tdo_err tdo_graph_check(const tdo_graph *g)
{
    if (g->failure.code != TDO_OK) {
        tdo_error_adopt(&g->failure);
    }
    return g->failure.code;
}

static uint64_t mix(uint64_t h, const void *data, size_t bytes)
{
    const unsigned char *p = data;
    for (size_t i = 0; i < bytes; i++) {
        h = (h ^ p[i]) * UINT64_C(1099511628211);
    }
    return h;
}

static uint64_t hash_of(const struct tdo_graph_node *n)
{
    uint64_t h = mix(UINT64_C(14695981039346656037), &n->op, sizeof n->op);
    h = mix(h, n->in, (size_t)n->nin * sizeof n->in[0]);
    h = mix(h, n->attr.bytes, sizeof n->attr);
    return h ^ (h >> 29);
}

static bool same(const struct tdo_graph_node *a, const struct tdo_graph_node *b)
{
    return a->op == b->op && a->nin == b->nin &&
           memcmp(a->in, b->in, (size_t)a->nin * sizeof a->in[0]) == 0 &&
           memcmp(a->attr.bytes, b->attr.bytes, sizeof a->attr) == 0;
}

/* The slot of an equal node, or the free slot where it belongs. */
static int slot_of(const tdo_graph *g, const struct tdo_graph_node *n)
{
    int slot = (int)(hash_of(n) & (uint64_t)(g->slots - 1));
    while (g->table[slot] != TDO_NONE && !same(&g->node[g->table[slot]], n)) {
        slot = (slot + 1) & (g->slots - 1);
    }
    return slot;
}

/* Make room for one more node. */
static tdo_err reserve(tdo_graph *g)
{
    if (g->count < g->room) {
        return TDO_OK;
    }
    int room = g->room ? 2 * g->room : 64;
    tdo_node *table = NULL;
    TDO_TRY(tdo_memory_grow(g->count, room, &g->node));
    TDO_TRY(tdo_memory_new(4 * (int64_t)room, &table));
    tdo_memory_free(&g->table);
    g->table = table;
    g->slots = 4 * room;
    g->room = room;
    memset(table, 0xff, (size_t)g->slots * sizeof *table);
    for (tdo_node i = 0; i < g->count; i++) {
        const int slot = slot_of(g, &g->node[i]);
        table[slot] = table[slot] == TDO_NONE ? i : table[slot]; /* the first of equal nodes */
    }
    return TDO_OK;
}

static tdo_err check_operands(const tdo_graph *g, const struct tdo_graph_node *n)
{
    if (n->nin > TDO_MAX_IN || (n->op->nin >= 0 && n->nin != n->op->nin)) {
        return TDO_FAIL(TDO_ERR_BUG, "%s got %d operands", n->op->name, n->nin);
    }
    for (int k = 0; k < n->nin; k++) {
        if (n->in[k] < 0 || n->in[k] >= g->count) {
            return TDO_FAIL(TDO_ERR_BUG, "%s: operand %d is no node", n->op->name, k);
        }
    }
    return TDO_OK;
}

static tdo_node add(tdo_graph *g, const struct tdo_op *op, int nin, const tdo_node *in,
                    const union tdo_attr *attr, bool again)
{
    if (g->failure.code != TDO_OK) {
        return TDO_NONE; /* the first reason stands in the graph already */
    }
    if (reserve(g) != TDO_OK) {
        return keep_failure(g);
    }
    struct tdo_graph_node n = {.op = op, .nin = nin, .name = ""};
    for (int k = 0; k < nin && k < TDO_MAX_IN; k++) {
        n.in[k] = in[k];
    }
    if (attr) {
        n.attr = *attr;
    }
    if (check_operands(g, &n) != TDO_OK) {
        return keep_failure(g);
    }
    const int slot = slot_of(g, &n);
    const tdo_node equal = g->table[slot];
    if (equal != TDO_NONE && !again) {
        return equal;
    }
    if (op->shape(g, &n) != TDO_OK) {
        return keep_failure(g);
    }
    g->node[g->count] = n;
    g->table[slot] = equal != TDO_NONE ? equal : g->count;
    return g->count++;
}

tdo_node tdo_graph_add(tdo_graph *g, const struct tdo_op *op, int nin, const tdo_node *in,
                       const union tdo_attr *attr)
{
    return add(g, op, nin, in, attr, false);
}

tdo_node tdo_graph_add_again(tdo_graph *g, const struct tdo_op *op, int nin, const tdo_node *in,
                             const union tdo_attr *attr)
{
    return add(g, op, nin, in, attr, true);
}

int tdo_graph_size(const tdo_graph *g)
{
    return g->count;
}

const struct tdo_graph_node *tdo_graph_at(const tdo_graph *g, tdo_node node)
{
    TDO_ASSERT(node >= 0 && node < g->count);
    return &g->node[node];
}

tdo_shape tdo_graph_shape(const tdo_graph *g, tdo_node node)
{
    if (node == TDO_NONE) {
        return (tdo_shape){0};
    }
    return tdo_graph_at(g, node)->shape;
}

tdo_node tdo_graph_name(tdo_graph *g, tdo_node node, const char *format, ...)
{
    if (node != TDO_NONE && !g->node[node].name[0]) {
        char text[160];
        va_list args;
        va_start(args, format);
        vsnprintf(text, sizeof text, format, args);
        va_end(args);
        const char *name = tdo_arena_string(g->arena, text);
        if (!name) {
            return keep_failure(g);
        }
        g->node[node].name = name;
    }
    return node;
}

tdo_arena *tdo_graph_arena(tdo_graph *g)
{
    return g->arena;
}

void tdo_graph_print(const tdo_graph *g, FILE *to)
{
    for (tdo_node i = 0; i < g->count; i++) {
        const struct tdo_graph_node *n = &g->node[i];
        fprintf(to, "%4d %-14s %-18s", i, n->op->name, tdo_shape_print(&n->shape).s);
        for (int k = 0; k < n->nin; k++) {
            fprintf(to, " %d", n->in[k]);
        }
        fprintf(to, "%s%s\n", n->name[0] ? "  # " : "", n->name);
    }
}
