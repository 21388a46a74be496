/* Fusion and packing. See lower.h.
 *
 * Three passes over the old graph: count readers; from the last node to the first, choose the
 * root of each group (a convolution with its epilogue, or a pointwise cluster) and mark what it
 * swallows; from the first to the last, write the roots and everything else into the new graph. */
#include "nn/graph/lower.h"

#include <string.h>

#include "nn/graph/ops.h"
#include "nn/kernels/few.h"
#include "nn/kernels/onednn.h"

/* A convolution and what it swallows; the root is the last of the chain. */
struct epilogue {
    tdo_node conv, bias, sum, root;
    enum tdo_activation activation;
    float low, high;
    bool narrow; /* reads bf16 */
};

/* What is written in the place of a root: a convolution, or a program over operands. */
struct group {
    struct epilogue conv; /* if program is NULL */
    const struct tdo_program *program;
    int operands;
    tdo_node operand[TDO_MAX_IN];
};

struct lowering {
    const tdo_graph *from;
    tdo_graph *to;
    bool fast, bf16;
    int size;
    int *uses;        /* how many operands are this node, outputs count too */
    tdo_node *reader; /* one reader, the reader if uses is 1 */
    bool *is_output, *prologue, *swallowed;
    bool *narrow_used;    /* is it read by a convolution in bf16? */
    int *edges;           /* readers inside the cluster that is being grown */
    struct group **group; /* of roots, else NULL; in the new graph's arena */
    tdo_node *map;
};

static struct group *new_group(struct lowering *l, tdo_node root)
{
    l->group[root] = tdo_arena_get(tdo_graph_arena(l->to), sizeof **l->group);
    return l->group[root];
}

static const struct tdo_graph_node *at(const struct lowering *l, tdo_node i)
{
    return tdo_graph_at(l->from, i);
}

static bool is_pointwise(const struct lowering *l, tdo_node i)
{
    return at(l, i)->op->flags & TDO_OP_POINTWISE;
}

/* ---- pass 1: readers --------------------------------------------------------------------- */

static void count_readers(struct lowering *l, int outputs, const tdo_node *output)
{
    for (int i = 0; i < outputs; i++) {
        l->uses[output[i]]++;
        l->is_output[output[i]] = true;
    }
    for (tdo_node i = l->size - 1; i >= 0; i--) {
        for (int k = 0; l->uses[i] > 0 && k < at(l, i)->nin; k++) {
            l->uses[at(l, i)->in[k]]++;
            l->reader[at(l, i)->in[k]] = i;
        }
    }
    for (tdo_node i = 0; i < l->size; i++) {
        const struct tdo_graph_node *n = at(l, i);
        l->prologue[i] = n->op != &tdo_row_input && n->op != &tdo_row_key;
        for (int k = 0; k < n->nin; k++) {
            l->prologue[i] = l->prologue[i] && l->prologue[n->in[k]];
        }
    }
}

/* ---- pass 2a: convolutions and their epilogues -------------------------------------------- */

/* May node i be swallowed by its only reader, an `op` that no other convolution has taken and
 * that runs as often as i does? */
static bool only_read_by(const struct lowering *l, tdo_node i, const struct tdo_op *op)
{
    if (l->uses[i] != 1 || l->is_output[i]) {
        return false;
    }
    const tdo_node reader = l->reader[i];
    return at(l, reader)->op == op && l->prologue[i] == l->prologue[reader] &&
           !l->swallowed[reader] && !l->group[reader];
}

/* The vector [K] behind a broadcast over the places of an image, or TDO_NONE. On an image of one
 * row and one place the broadcast is no node, and the vector is only reshaped. */
static tdo_node channel_vector(const struct lowering *l, tdo_node i)
{
    const struct tdo_graph_node *n = at(l, i);
    struct tdo_program_load load;
    if (n->op == &tdo_row_reshape && tdo_graph_shape(l->from, n->in[0]).rank == 1 &&
        tdo_shape_count(&n->shape) == n->shape.dim[n->shape.rank - 1]) {
        return n->in[0];
    }
    if (n->op != &tdo_row_broadcast) {
        return TDO_NONE;
    }
    tdo_shape small = tdo_graph_shape(l->from, n->in[0]);
    bool vector = tdo_pointwise_blocks(&small, &n->shape, &load) && load.repeat == 1 &&
                  load.period == n->shape.dim[n->shape.rank - 1] &&
                  tdo_shape_count(&small) == load.period;
    return vector ? n->in[0] : TDO_NONE;
}

/* The other operand of the add that is the only reader of e->root. */
static tdo_node other_operand(const struct lowering *l, tdo_node i)
{
    const struct tdo_graph_node *add = at(l, l->reader[i]);
    return add->in[0] == i ? add->in[1] : add->in[0];
}

static struct epilogue find_epilogue(const struct lowering *l, tdo_node conv)
{
    struct epilogue e = {.conv = conv, .bias = TDO_NONE, .sum = TDO_NONE, .root = conv};
    if (only_read_by(l, e.root, &tdo_row_add)) {
        e.bias = channel_vector(l, other_operand(l, e.root));
        e.root = e.bias != TDO_NONE ? l->reader[e.root] : e.root;
    }
    if (only_read_by(l, e.root, &tdo_row_add) &&
        channel_vector(l, other_operand(l, e.root)) == TDO_NONE) {
        e.sum = other_operand(l, e.root);
        e.root = l->reader[e.root];
    }
    if (only_read_by(l, e.root, &tdo_row_relu)) {
        e.activation = TDO_ACTIVATION_RELU;
        e.root = l->reader[e.root];
    } else if (only_read_by(l, e.root, &tdo_row_clip)) {
        e.activation = TDO_ACTIVATION_CLIP;
        e.root = l->reader[e.root];
        e.low = (float)at(l, e.root)->attr.real.a;
        e.high = (float)at(l, e.root)->attr.real.b;
    }
    return e;
}

/* The geometry of a conv or conv_dx node, without or with what it swallows. */
static void describe(const struct lowering *l, const struct epilogue *e, union tdo_attr *attr)
{
    const struct tdo_graph_node *n = at(l, e->conv);
    const bool adjoint = n->op == &tdo_row_conv_dx;
    tdo_shape x = adjoint ? n->shape : tdo_graph_shape(l->from, n->in[0]);
    tdo_shape w = tdo_graph_shape(l->from, n->in[1]);
    memset(attr, 0, sizeof *attr);
    struct tdo_conv_pack *p = &attr->pack;
    p->fused.conv = n->attr.conv;
    p->fused.conv.size[0] = p->fused.conv.size[1] = 0;
    p->fused.bias = e->bias != TDO_NONE;
    p->fused.sum = e->sum != TDO_NONE;
    p->fused.activation = (int32_t)e->activation;
    p->fused.low = e->low;
    p->fused.high = e->high;
    p->adjoint = adjoint;
    if (e->narrow) {
        p->narrow = TDO_NARROW_IN | (l->narrow_used[e->root] ? TDO_NARROW_OUT : 0);
    }
    for (int i = 0; i < 4; i++) {
        p->x[i] = (int32_t)x.dim[i];
        p->w[i] = (int32_t)w.dim[i];
    }
}

/* The input gradient of a first layer has a kernel of its own, which packs nothing. */
static bool few_channels(const struct lowering *l, tdo_node i)
{
    const struct tdo_graph_node *n = at(l, i);
    return n->op == &tdo_row_conv_dx && tdo_few_takes(&n->attr.conv, &at(l, n->in[1])->shape);
}

/* Can this convolution run in bf16, whatever its result is? Then its operands are read as such. */
static tdo_err choose_precision(struct lowering *l, struct epilogue *e)
{
    union tdo_attr attr;
    int64_t floats[2] = {0};
    describe(l, e, &attr);
    for (int k = 0; k < 2; k++) {
        attr.pack.narrow = k ? TDO_NARROW_IN | TDO_NARROW_OUT : TDO_NARROW_IN;
        TDO_TRY(tdo_onednn_pack_floats(&attr.pack, &floats[k]));
    }
    e->narrow = floats[0] > 0 && floats[1] > 0;
    if (e->narrow) {
        l->narrow_used[at(l, e->conv)->in[0]] = true;
    }
    return TDO_OK;
}

/* An operand that is added to a result in bf16 is read as such; readers come before operands. */
static void choose_sums(struct lowering *l)
{
    for (tdo_node i = l->size - 1; i >= 0; i--) {
        const struct group *g = l->group[i];
        if (g && g->conv.narrow && g->conv.sum != TDO_NONE && l->narrow_used[i]) {
            l->narrow_used[g->conv.sum] = true;
        }
    }
}

/* Mark the chain between a convolution and its root. */
static tdo_err choose_convolutions(struct lowering *l)
{
    for (tdo_node i = 0; l->fast && i < l->size; i++) {
        const struct tdo_op *op = at(l, i)->op;
        union tdo_attr attr;
        int64_t floats = 0;
        if (l->uses[i] == 0 || (op != &tdo_row_conv && op != &tdo_row_conv_dx) ||
            few_channels(l, i)) {
            continue;
        }
        struct epilogue e = {.conv = i, .bias = TDO_NONE, .sum = TDO_NONE, .root = i};
        if (op == &tdo_row_conv) {
            e = find_epilogue(l, i);
        }
        if (l->bf16 && op == &tdo_row_conv) {
            TDO_TRY(choose_precision(l, &e));
        }
        describe(l, &e, &attr);
        TDO_TRY(tdo_onednn_pack_floats(&attr.pack, &floats));
        if (floats > 0) {
            struct group *group = new_group(l, e.root);
            if (!group) {
                return TDO_ERR_MEMORY;
            }
            group->conv = e;
            for (tdo_node j = i; j != e.root; j = l->reader[j]) {
                l->swallowed[j] = true;
            }
        }
    }
    return TDO_OK;
}

/* ---- pass 2b: pointwise clusters ------------------------------------------------------------ */

struct cluster {
    tdo_node member[TDO_MAX_STEPS]; /* descending; the root first */
    int members;
    tdo_node operand[TDO_MAX_IN]; /* nodes of the old graph, broadcasts looked through */
    struct tdo_program_load load[TDO_MAX_IN];
    int operands;
};

/* What a program really reads for an operand: the source of a block broadcast, a number. */
static tdo_node source_of(const struct lowering *l, tdo_node i, const tdo_shape *shape,
                          struct tdo_program_load *load)
{
    const struct tdo_graph_node *n = at(l, i);
    if (n->op == &tdo_row_broadcast) {
        tdo_shape small = tdo_graph_shape(l->from, n->in[0]);
        if (at(l, n->in[0])->op == &tdo_row_constant) {
            load->repeat = load->period = 1;
            return n->in[0];
        }
        if (tdo_pointwise_blocks(&small, shape, load)) {
            return n->in[0];
        }
    }
    load->repeat = 1;
    load->period = n->op == &tdo_row_constant ? 1 : tdo_shape_count(shape);
    return i;
}

static bool in_cluster(const struct cluster *c, tdo_node i)
{
    for (int m = 0; m < c->members; m++) {
        if (c->member[m] == i) {
            return true;
        }
    }
    return false;
}

/* List the distinct operands of the cluster; false if there are too many. */
static bool list_operands(const struct lowering *l, struct cluster *c)
{
    const tdo_shape shape = at(l, c->member[0])->shape;
    c->operands = 0;
    for (int m = 0; m < c->members; m++) {
        const struct tdo_graph_node *n = at(l, c->member[m]);
        for (int k = 0; k < n->nin; k++) {
            struct tdo_program_load load;
            tdo_node from = source_of(l, n->in[k], &shape, &load);
            bool known = in_cluster(c, n->in[k]);
            for (int o = 0; o < c->operands && !known; o++) {
                known = c->operand[o] == from && c->load[o].repeat == load.repeat &&
                        c->load[o].period == load.period;
            }
            if (!known) {
                if (c->operands == TDO_MAX_IN) {
                    return false;
                }
                c->load[c->operands] = load;
                c->operand[c->operands++] = from;
            }
        }
    }
    return true;
}

/* May node i, all of whose readers are in the cluster, join it? */
static bool may_join(const struct lowering *l, tdo_node root, tdo_node i)
{
    tdo_shape a = at(l, root)->shape, b = at(l, i)->shape;
    return l->edges[i] == l->uses[i] && is_pointwise(l, i) && !l->is_output[i] &&
           !l->swallowed[i] && !l->group[i] && tdo_shape_equal(&a, &b) &&
           l->prologue[i] == l->prologue[root];
}

static void count_edges(struct lowering *l, tdo_node i, int sign)
{
    for (int k = 0; k < at(l, i)->nin; k++) {
        l->edges[at(l, i)->in[k]] += sign;
    }
}

static void grow(struct lowering *l, tdo_node root, int limit, struct cluster *c)
{
    c->member[0] = root;
    c->members = 1;
    count_edges(l, root, 1);
    for (tdo_node i = root - 1; i >= 0 && c->members < limit; i--) {
        if (l->edges[i] > 0 && may_join(l, root, i)) {
            c->member[c->members++] = i;
            if (list_operands(l, c)) {
                count_edges(l, i, 1);
            } else {
                c->members--;
            }
        }
    }
    for (int m = 0; m < c->members; m++) {
        count_edges(l, c->member[m], -1);
    }
    bool fits = list_operands(l, c);
    TDO_ASSERT(fits);
}

static int operand_register(const struct lowering *l, const struct cluster *c, const int *home,
                            tdo_node i)
{
    const tdo_shape shape = at(l, c->member[0])->shape;
    struct tdo_program_load load;
    for (int m = 0; m < c->members; m++) {
        if (c->member[m] == i) {
            return home[m];
        }
    }
    tdo_node from = source_of(l, i, &shape, &load);
    for (int o = 0; o < c->operands; o++) {
        if (c->operand[o] == from && c->load[o].repeat == load.repeat &&
            c->load[o].period == load.period) {
            return o;
        }
    }
    return -1;
}

/* The last member (lowest m) that reads member `which`. */
static int last_reader(const struct lowering *l, const struct cluster *c, int which)
{
    for (int m = 0; m < c->members; m++) {
        const struct tdo_graph_node *n = at(l, c->member[m]);
        for (int k = 0; k < n->nin; k++) {
            if (n->in[k] == c->member[which]) {
                return m;
            }
        }
    }
    return 0;
}

/* Write the cluster as a program; false if it needs too many registers. */
static bool compile(const struct lowering *l, const struct cluster *c, struct tdo_program *p)
{
    int home[TDO_MAX_STEPS], until[TDO_REGISTERS]; /* register -> member that frees it */
    memset(p, 0, sizeof *p);
    p->loads = c->operands;
    memcpy(p->load, c->load, sizeof p->load);
    for (int r = 0; r < TDO_REGISTERS; r++) {
        until[r] = r < c->operands ? -1 : TDO_MAX_STEPS; /* operands stay; the rest is free */
    }
    for (int m = c->members - 1; m >= 0; m--) {
        const struct tdo_graph_node *n = at(l, c->member[m]);
        struct tdo_program_step *s = &p->step[p->steps++];
        int source[3] = {-1, -1, -1}, r = c->operands;
        for (int k = 0; k < n->nin; k++) {
            source[k] = operand_register(l, c, home, n->in[k]);
        }
        while (r < TDO_REGISTERS && until[r] <= m) {
            r++;
        }
        if (r == TDO_REGISTERS) {
            return false;
        }
        until[r] = last_reader(l, c, m) + 1; /* free for the next member after that one */
        home[m] = r;
        *s = (struct tdo_program_step){
            n->op->tiles, r, source[0], source[1], source[2], n->attr.real.a, n->attr.real.b};
    }
    return true;
}

static tdo_err choose_clusters(struct lowering *l)
{
    struct cluster c;
    for (tdo_node i = l->size - 1; i >= 0; i--) {
        if (l->uses[i] == 0 || !is_pointwise(l, i) || l->swallowed[i] || l->group[i]) {
            continue;
        }
        struct tdo_program *p = tdo_arena_get(tdo_graph_arena(l->to), sizeof *p);
        struct group *group = new_group(l, i);
        if (!p || !group) {
            return TDO_ERR_MEMORY;
        }
        int limit = TDO_MAX_STEPS;
        do {
            grow(l, i, limit, &c);
            limit = c.members / 2;
        } while (!compile(l, &c, p) && limit > 0);
        group->program = p;
        group->operands = c.operands;
        memcpy(group->operand, c.operand, sizeof c.operand);
        for (int m = 1; m < c.members; m++) {
            l->swallowed[c.member[m]] = true;
        }
    }
    return TDO_OK;
}

/* ---- pass 3: write the new graph ------------------------------------------------------------ */

static tdo_node emit(struct lowering *l, tdo_node i);

/* A new node as f32 (or a key), as bf16. */
static tdo_node convert(struct lowering *l, tdo_node i, bool narrow)
{
    if (i == TDO_NONE || (tdo_graph_at(l->to, i)->dtype == TDO_NARROW) == narrow) {
        return i;
    }
    return tdo_graph_add(l->to, narrow ? &tdo_row_narrow : &tdo_row_widen, 1, &i, NULL);
}

static tdo_node emit_wide(struct lowering *l, tdo_node i)
{
    return convert(l, emit(l, i), false);
}

static tdo_node emit_convolution(struct lowering *l, const struct epilogue *e)
{
    const struct tdo_graph_node *n = at(l, e->conv);
    const bool adjoint = n->op == &tdo_row_conv_dx;
    union tdo_attr attr, order;
    describe(l, e, &attr);
    order = attr;
    if (tdo_onednn_pack_share(&order.pack) != TDO_OK) {
        return tdo_graph_fail(l->to, tdo_error_last()->code, "%s", tdo_error_last()->message);
    }
    tdo_node w = emit(l, n->in[1]);
    tdo_node x = convert(l, emit(l, n->in[0]), e->narrow);
    tdo_node in[4] = {x, tdo_graph_add(l->to, &tdo_row_pack, 1, &w, &order)};
    int nin = 2;
    if (e->bias != TDO_NONE) {
        in[nin++] = tdo_op_reshape(l->to, emit(l, e->bias), TDO_SHAPE(attr.pack.w[0]));
    }
    if (e->sum != TDO_NONE) {
        in[nin++] = convert(l, emit(l, e->sum), attr.pack.narrow & TDO_NARROW_OUT);
    }
    return tdo_graph_add(l->to, adjoint ? &tdo_row_conv_dx_packed : &tdo_row_conv_fused, nin,
                         in, &attr);
}

static tdo_node emit_program(struct lowering *l, tdo_node root, const struct group *group)
{
    tdo_node in[TDO_MAX_IN];
    for (int k = 0; k < group->operands; k++) {
        const struct tdo_graph_node *n = at(l, group->operand[k]);
        in[k] = n->op == &tdo_row_constant
                    ? tdo_op_constant(l->to, TDO_SHAPE(1), n->attr.leaf.value)
                    : emit_wide(l, group->operand[k]);
    }
    union tdo_attr attr = {{0}};
    attr.fused.program = group->program;
    attr.fused.shape = tdo_shape_trim(at(l, root)->shape);
    return tdo_graph_add(l->to, &tdo_row_program, group->operands, in, &attr);
}

/* The new node of an old one, written when it is first asked for. */
static tdo_node emit(struct lowering *l, tdo_node i)
{
    if (l->map[i] != TDO_NONE || tdo_graph_check(l->to) != TDO_OK) {
        return l->map[i];
    }
    const struct tdo_graph_node *n = at(l, i);
    if (l->group[i]) {
        l->map[i] = l->group[i]->program ? emit_program(l, i, l->group[i])
                                         : emit_convolution(l, &l->group[i]->conv);
    } else {
        tdo_node in[TDO_MAX_IN];
        for (int k = 0; k < n->nin; k++) {
            in[k] = emit_wide(l, n->in[k]);
        }
        l->map[i] = tdo_graph_add(l->to, n->op, n->nin, in, &n->attr);
    }
    return tdo_graph_name(l->to, l->map[i], "%s", n->name);
}

/* Nodes that are written only where somebody asks for them: a program may have looked through. */
static bool lazy(const struct tdo_graph_node *n)
{
    return n->op == &tdo_row_broadcast || n->op == &tdo_row_constant ||
           n->op == &tdo_row_param || (n->op->flags & TDO_OP_ALIAS);
}

/* The node whose memory a node uses. */
static tdo_node root_of(const tdo_graph *g, tdo_node i)
{
    while (tdo_graph_at(g, i)->op->flags & TDO_OP_ALIAS) {
        i = tdo_graph_at(g, i)->in[0];
    }
    return i;
}

/* Does node i lie in memory that a leaf or an earlier output owns? */
static bool shares_memory(const struct lowering *l, int count, const tdo_node *before,
                          tdo_node i)
{
    tdo_node root = root_of(l->to, i);
    bool shared = (tdo_graph_at(l->to, root)->op->flags & TDO_OP_LEAF) != 0;
    for (int k = 0; k < count; k++) {
        shared = shared || root_of(l->to, before[k]) == root;
    }
    return shared;
}

/* An output must have memory of its own, written in every run. Equal nodes are one, so another
 * copy of the same value is a copy of the last copy. */
static tdo_node own_output(struct lowering *l, int count, const tdo_node *before, tdo_node i)
{
    while (i != TDO_NONE && shares_memory(l, count, before, i)) {
        i = tdo_op_copy(l->to, i);
    }
    return i;
}

tdo_err tdo_lower_find_prologue(struct tdo_lowered *l)
{
    const int size = tdo_graph_size(l->graph);
    tdo_memory_free(&l->prologue);
    TDO_TRY(tdo_memory_new(size, &l->prologue));
    for (tdo_node i = 0; i < size; i++) {
        const struct tdo_graph_node *n = tdo_graph_at(l->graph, i);
        l->prologue[i] =
            n->op != &tdo_row_input && n->op != &tdo_row_key && n->op != &tdo_row_copy;
        for (int k = 0; k < n->nin; k++) {
            l->prologue[i] = l->prologue[i] && l->prologue[n->in[k]];
        }
    }
    return TDO_OK;
}

static tdo_err write_graph(struct lowering *l, int outputs, const tdo_node *output,
                           struct tdo_lowered *out)
{
    for (tdo_node i = 0; i < l->size; i++) {
        if (l->uses[i] > 0 && !l->swallowed[i] && !lazy(at(l, i))) {
            emit(l, i);
        }
    }
    for (int k = 0; k < outputs && tdo_graph_check(l->to) == TDO_OK; k++) {
        tdo_node i = emit_wide(l, output[k]);
        if (i != TDO_NONE) {
            i = l->prologue[output[k]] ? tdo_op_copy(l->to, i) : i;
            out->output[k] = own_output(l, k, out->output, i);
        }
    }
    TDO_TRY(tdo_graph_check(l->to));
    return tdo_lower_find_prologue(out);
}

/* ---- all together ----------------------------------------------------------------------------- */

static tdo_err lower(struct lowering *l, int outputs, const tdo_node *output,
                     struct tdo_lowered *out)
{
    TDO_TRY(tdo_memory_new(l->size, &l->uses));
    TDO_TRY(tdo_memory_new(l->size, &l->reader));
    TDO_TRY(tdo_memory_new(l->size, &l->is_output));
    TDO_TRY(tdo_memory_new(l->size, &l->prologue));
    TDO_TRY(tdo_memory_new(l->size, &l->swallowed));
    TDO_TRY(tdo_memory_new(l->size, &l->narrow_used));
    TDO_TRY(tdo_memory_new(l->size, &l->edges));
    TDO_TRY(tdo_memory_new(l->size, &l->group));
    memset(l->map, 0xff, (size_t)l->size * sizeof *l->map); /* TDO_NONE */
    count_readers(l, outputs, output);
    TDO_TRY(choose_convolutions(l));
    choose_sums(l);
    TDO_TRY(choose_clusters(l));
    return write_graph(l, outputs, output, out);
}

tdo_err tdo_lower(const tdo_graph *g, int outputs, const tdo_node *output,
                  enum tdo_lower_kernels kernels, struct tdo_lowered *out)
{
    tdo_err err = TDO_OK;
    struct lowering l = {.from = g,
                         .fast = kernels != TDO_LOWER_PLAIN && tdo_onednn_available(),
                         .bf16 = kernels == TDO_LOWER_BF16};
    *out = (struct tdo_lowered){0};
    TDO_TRY(tdo_graph_check(g));
    if (l.bf16 && !tdo_onednn_bf16()) {
        return TDO_FAIL(TDO_ERR_CONFIG, "bf16 needs oneDNN and a processor with AVX-512 BF16");
    }
    l.size = tdo_graph_size(g);
    TDO_GOTO(tdo_graph_new(&out->graph));
    TDO_GOTO(tdo_memory_new(l.size, &out->map));
    TDO_GOTO(tdo_memory_new(outputs, &out->output));
    l.to = out->graph;
    l.map = out->map;
    err = lower(&l, outputs, output, out);
done:
    tdo_memory_free(&l.uses);
    tdo_memory_free(&l.reader);
    tdo_memory_free(&l.is_output);
    tdo_memory_free(&l.prologue);
    tdo_memory_free(&l.swallowed);
    tdo_memory_free(&l.narrow_used);
    tdo_memory_free(&l.edges);
    tdo_memory_free(&l.group);
    if (err != TDO_OK) {
        tdo_lower_free(out);
    }
    return err;
}

void tdo_lower_free(struct tdo_lowered *l)
{
    tdo_graph_free(&l->graph);
    tdo_graph_free(&l->before);
    tdo_memory_free(&l->map);
    tdo_memory_free(&l->output);
    tdo_memory_free(&l->prologue);
}

/* ---- what was missed ---------------------------------------------------------------------------- */

/* Is this program nothing but what a convolution could swallow: add a vector, relu, clip? */
static bool is_epilogue(const struct tdo_graph_node *n)
{
    bool only = n->op == &tdo_row_program;
    for (int s = 0; only && s < n->attr.fused.program->steps; s++) {
        const struct tdo_tiles *t = n->attr.fused.program->step[s].tiles;
        only = t == &tdo_tiles_add || t == &tdo_tiles_relu || t == &tdo_tiles_clip;
    }
    return only;
}

static bool missed(const struct tdo_lowered *l, tdo_node i, tdo_node reader)
{
    const struct tdo_graph_node *a = tdo_graph_at(l->graph, i);
    const struct tdo_graph_node *b = tdo_graph_at(l->graph, reader);
    if (a->op == &tdo_row_conv_fused) {
        return a->attr.pack.fused.activation == TDO_ACTIVATION_NONE && is_epilogue(b);
    }
    return a->op == &tdo_row_program && b->op == &tdo_row_program &&
           tdo_shape_equal(&a->shape, &b->shape) && l->prologue[i] == l->prologue[reader] &&
           a->nin + b->nin - 1 <= TDO_MAX_IN &&
           a->attr.fused.program->steps + b->attr.fused.program->steps <= TDO_MAX_STEPS / 2;
}

int tdo_lower_missed(const struct tdo_lowered *l, int outputs)
{
    int count = 0;
    for (tdo_node i = 0; i < tdo_graph_size(l->graph); i++) {
        int readers = 0;
        tdo_node reader = TDO_NONE;
        for (int k = 0; k < outputs; k++) {
            readers += root_of(l->graph, l->output[k]) == i;
        }
        for (tdo_node j = i + 1; j < tdo_graph_size(l->graph); j++) {
            const struct tdo_graph_node *n = tdo_graph_at(l->graph, j);
            for (int k = 0; k < n->nin; k++) {
                readers += n->in[k] == i;
                reader = n->in[k] == i ? j : reader;
            }
        }
        count += readers == 1 && reader != TDO_NONE && missed(l, i, reader);
    }
    return count;
}
