/* Reverse accumulation over a graph. See grad.h. */
#include "nn/graph/grad.h"

#include "nn/graph/ops.h"

/* What is known of the nodes 0..y while the gradient is taken. */
struct sweep {
    tdo_graph *g;
    bool *depends;   /* on one of wrt */
    bool *leaf;      /* is one of wrt */
    tdo_node *total; /* gradient gathered so far, TDO_NONE for none */
};

static void differentiate(tdo_graph *g, tdo_node y, tdo_node gy, int n, const tdo_node *wrt,
                          tdo_node *out);

static bool operand_wanted(const struct sweep *s, const struct tdo_graph_node *n, int k)
{
    return n->in[k] != TDO_NONE && s->depends[n->in[k]];
}

static void find_dependence(struct sweep *s, tdo_node y, int n, const tdo_node *wrt)
{
    for (int i = 0; i < n; i++) {
        if (wrt[i] <= y) {
            s->depends[wrt[i]] = s->leaf[wrt[i]] = true;
        }
    }
    for (tdo_node i = 0; i <= y; i++) {
        const struct tdo_graph_node *node = tdo_graph_at(s->g, i);
        for (int k = 0; k < node->nin && !(node->op->flags & TDO_OP_FLAT); k++) {
            s->depends[i] = s->depends[i] || s->depends[node->in[k]];
        }
    }
}

static tdo_node sum_of(tdo_graph *g, tdo_node a, tdo_node b)
{
    const struct tdo_op *op = tdo_graph_at(g, a)->op;
    tdo_node sum = TDO_NONE;
    if (op->merge && op == tdo_graph_at(g, b)->op) {
        sum = op->merge(g, a, b);
    }
    return sum != TDO_NONE ? sum : tdo_op_add(g, a, b);
}

static void gather(struct sweep *s, tdo_node operand, tdo_node gradient)
{
    if (gradient != TDO_NONE) {
        tdo_node *t = &s->total[operand];
        *t = *t == TDO_NONE ? gradient : sum_of(s->g, *t, gradient);
    }
}

/* Through the expansion of a composite, its operands taken as independent. */
static void through_expansion(struct sweep *s, tdo_node y, const bool *want, tdo_node *gx)
{
    const struct tdo_graph_node node = *tdo_graph_at(s->g, y);
    tdo_node inner = node.op->expand(s->g, y), wrt[TDO_MAX_IN], found[TDO_MAX_IN];
    int which[TDO_MAX_IN], n = 0;
    for (int k = 0; k < node.nin; k++) {
        bool again = false; /* an operand that appears twice is one variable */
        for (int j = 0; j < n; j++) {
            again = again || wrt[j] == node.in[k];
        }
        gx[k] = TDO_NONE;
        if (want[k] && !again) {
            which[n] = k;
            wrt[n++] = node.in[k];
        }
    }
    differentiate(s->g, inner, s->total[y], n, wrt, found);
    for (int j = 0; j < n; j++) {
        gx[which[j]] = found[j];
    }
}

static void step(struct sweep *s, tdo_node y)
{
    const struct tdo_graph_node node =
        *tdo_graph_at(s->g, y); /* a copy: building moves nodes */
    bool want[TDO_MAX_IN] = {false};
    tdo_node gx[TDO_MAX_IN];
    for (int k = 0; k < node.nin; k++) {
        want[k] = operand_wanted(s, &node, k);
        gx[k] = TDO_NONE;
    }
    if (node.op->grad) {
        node.op->grad(s->g, y, s->total[y], want, gx);
    } else if (node.op->expand) {
        through_expansion(s, y, want, gx);
    } else {
        tdo_graph_fail(s->g, TDO_ERR_BUG, "%s has no derivative", node.op->name);
    }
    for (int k = 0; k < node.nin; k++) {
        if (want[k]) {
            gather(s, node.in[k], gx[k]);
        }
    }
}

/* out[i] stays TDO_NONE where y does not depend on wrt[i]. */
static tdo_err sweep_down(struct sweep *s, tdo_node y, tdo_node gy, int n, const tdo_node *wrt,
                          tdo_node *out)
{
    tdo_graph *g = s->g;
    TDO_TRY(tdo_memory_new(y + 1, &s->depends));
    TDO_TRY(tdo_memory_new(y + 1, &s->leaf));
    TDO_TRY(tdo_memory_new(y + 1, &s->total));
    find_dependence(s, y, n, wrt);
    for (tdo_node i = 0; i <= y; i++) {
        s->total[i] = TDO_NONE;
    }
    s->total[y] = gy != TDO_NONE ? gy : tdo_op_constant(g, tdo_graph_shape(g, y), 1);
    for (tdo_node i = y; i >= 0 && tdo_graph_check(g) == TDO_OK; i--) {
        if (s->total[i] != TDO_NONE && s->depends[i] && !s->leaf[i]) {
            step(s, i);
        }
    }
    for (int i = 0; i < n; i++) {
        out[i] = wrt[i] <= y ? s->total[wrt[i]] : TDO_NONE;
    }
    return tdo_graph_check(g);
}

static void differentiate(tdo_graph *g, tdo_node y, tdo_node gy, int n, const tdo_node *wrt,
                          tdo_node *out)
{
    for (int i = 0; i < n; i++) {
        out[i] = TDO_NONE;
    }
    if (y == TDO_NONE || tdo_graph_check(g) != TDO_OK) {
        return; /* TDO_NONE comes from a graph that failed */
    }
    struct sweep s = {.g = g};
    tdo_err err = sweep_down(&s, y, gy, n, wrt, out);
    if (err != TDO_OK && tdo_graph_check(g) == TDO_OK) {
        tdo_graph_fail(g, err, "%s", tdo_error_last()->message);
    }
    tdo_memory_free(&s.depends);
    tdo_memory_free(&s.leaf);
    tdo_memory_free(&s.total);
}

void tdo_grad(tdo_graph *g, tdo_node y, tdo_node gy, int n, const tdo_node *wrt, tdo_node *out)
{
    differentiate(g, y, gy, n, wrt, out);
    for (int i = 0; i < n; i++) {
        if (out[i] == TDO_NONE && tdo_graph_check(g) == TDO_OK) {
            out[i] = tdo_op_constant(g, tdo_graph_shape(g, wrt[i]), 0);
        }
    }
}
