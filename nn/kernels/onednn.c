/* oneDNN's convolutions behind our kernel interface. See onednn.h.
 *
 * Each prepared kernel holds one primitive and the memory objects of its arguments, whose
 * addresses are set when it runs (only if they moved: setting one may write padding). Scratch
 * memory comes from the plan, so nothing is allocated while a plan runs. */
#include "nn/kernels/onednn.h"

#include <dnnl.h>
#include <stdio.h>
#include <string.h>

#include "nn/base/memory.h"

#define CHECK(call)                                                                            \
    do {                                                                                       \
        dnnl_status_t status_ = (call);                                                        \
        if (status_ != dnnl_success) {                                                         \
            return TDO_FAIL(TDO_ERR_LIBRARY, "oneDNN refused a convolution (status %d)",       \
                            (int)status_);                                                     \
        }                                                                                      \
    } while (0)

/* One engine and one stream of the process: oneDNN's own threads, no others. */
static dnnl_engine_t engine;
static dnnl_stream_t stream;

static tdo_err start(void)
{
    if (!stream) {
        CHECK(dnnl_engine_create(&engine, dnnl_cpu, 0));
        CHECK(dnnl_stream_create(&stream, engine, dnnl_stream_default_flags));
    }
    return TDO_OK;
}

bool tdo_onednn_available(void)
{
    return true;
}

const char *tdo_onednn_version(void)
{
    static char text[32];
    const dnnl_version_t *v = dnnl_version();
    snprintf(text, sizeof text, "oneDNN %d.%d.%d", v->major, v->minor, v->patch);
    return text;
}

/* ---- instruction sets: ours to agree on before oneDNN generates its first kernel ------------- */

static const struct isa {
    const char *name;
    dnnl_cpu_isa_t id;
} isas[] = {
    {"SSE4.1", dnnl_cpu_isa_sse41},
    {"AVX", dnnl_cpu_isa_avx},
    {"AVX2", dnnl_cpu_isa_avx2},
    {"AVX-512", dnnl_cpu_isa_avx512_core},
    {"AVX-512 VNNI", dnnl_cpu_isa_avx512_core_vnni},
    {"AVX-512 BF16", dnnl_cpu_isa_avx512_core_bf16},
};
enum { ISAS = sizeof isas / sizeof *isas };

int tdo_onednn_isa(void)
{
    int isa = 0;
#if defined(__x86_64__)
    bool core = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
    isa = __builtin_cpu_supports("avx") ? 1 : isa;
    isa = __builtin_cpu_supports("avx2") ? 2 : isa;
    isa = core ? 3 : isa;
    isa = core && __builtin_cpu_supports("avx512vnni") ? 4 : isa;
    isa = isa == 4 && __builtin_cpu_supports("avx512bf16") ? 5 : isa;
#endif
    return isa;
}

tdo_err tdo_onednn_limit_isa(int isa)
{
    if (isa < tdo_onednn_isa()) {
        CHECK(dnnl_set_max_cpu_isa(isas[isa < 0 ? 0 : isa].id));
    }
    return TDO_OK;
}

bool tdo_onednn_bf16(void)
{
    return tdo_onednn_isa() == ISAS - 1 &&
           dnnl_get_effective_cpu_isa() >= dnnl_cpu_isa_avx512_core_bf16;
}

const char *tdo_onednn_isa_name(void)
{
    const dnnl_cpu_isa_t id = dnnl_get_effective_cpu_isa();
    for (int i = 0; i < ISAS; i++) {
        if (isas[i].id == id) {
            return isas[i].name;
        }
    }
    return "unnamed";
}

/* ---- descriptors ------------------------------------------------------------------------------- */

enum { MAX_ARGS = 6 };

/* A primitive with its arguments. call->in[from] (or the output, -1; or scratch, -2) is bound to
 * argument i. */
struct primitive {
    dnnl_primitive_desc_t desc;
    dnnl_primitive_t handle;
    dnnl_exec_arg_t arg[MAX_ARGS];
    int from[MAX_ARGS];
    void *bound[MAX_ARGS];
    int64_t offset[MAX_ARGS]; /* in scratch memory */
    int args;
};

enum { FROM_OUT = -1, FROM_SCRATCH = -2 };

static void drop(struct primitive *p)
{
    for (int i = 0; i < p->args; i++) {
        dnnl_memory_destroy(p->arg[i].memory);
    }
    if (p->handle) {
        dnnl_primitive_destroy(p->handle);
    }
    if (p->desc) {
        dnnl_primitive_desc_destroy(p->desc);
    }
}

static tdo_err add_argument(struct primitive *p, int name, const dnnl_memory_desc_t *md,
                            int from)
{
    TDO_ASSERT(p->args < MAX_ARGS);
    dnnl_exec_arg_t *a = &p->arg[p->args];
    CHECK(dnnl_memory_create(&a->memory, md, engine, DNNL_MEMORY_NONE));
    a->arg = name;
    p->from[p->args++] = from;
    return TDO_OK;
}

static void *address(const struct tdo_call *call, const struct primitive *p, int i)
{
    if (p->from[i] == FROM_SCRATCH) {
        return (unsigned char *)call->scratch + p->offset[i];
    }
    return p->from[i] == FROM_OUT ? call->out : (void *)call->in[p->from[i]];
}

static void execute(const struct tdo_call *call, struct primitive *p)
{
    for (int i = 0; i < p->args; i++) {
        void *where = address(call, p, i);
        if (where != p->bound[i]) {
            dnnl_memory_set_data_handle(p->arg[i].memory, where);
            p->bound[i] = where;
        }
    }
    dnnl_status_t status = dnnl_primitive_execute(p->handle, stream, p->args, p->arg);
    status = status == dnnl_success ? dnnl_stream_wait(stream) : status;
    TDO_ASSERT(status == dnnl_success);
}

/* Descriptors of the three tensors; weights in any order, or in PyTorch's. */
struct tensors {
    dnnl_memory_desc_t x, w, w_plain, y, bias;
    dnnl_dims_t stride, before, after;
};

/* Images of one place (linear layers) are handed over as the places of one image: the same bytes
 * and the same sums, but oneDNN blocks over places, where it takes one image at a time. */
static void as_places(dnnl_dim_t *image)
{
    image[2] = image[0];
    image[0] = 1;
}

static bool is_linear(const struct tdo_conv_pack *p)
{
    return tdo_conv_is_linear(&p->fused.conv, (int64_t)p->x[1] * p->x[2],
                              (int64_t)p->w[2] * p->w[3]);
}

static tdo_err describe(const struct tdo_conv_pack *p, struct tensors *t)
{
    const struct tdo_conv *c = &p->fused.conv;
    const dnnl_dim_t g = c->groups, K = p->w[0], C = p->w[1], R = p->w[2], S = p->w[3];
    for (int i = 0; i < 2; i++) {
        t->stride[i] = c->stride[i];
        t->before[i] = c->pad[i];
        t->after[i] = c->pad[2 + i];
    }
    dnnl_dims_t x = {p->x[0], p->x[3], p->x[1], p->x[2]}, bias = {K};
    dnnl_dims_t y = {p->x[0], K,
                     tdo_kernel_places(p->x[1], R, c->stride[0], c->pad[0] + c->pad[2]),
                     tdo_kernel_places(p->x[2], S, c->stride[1], c->pad[1] + c->pad[3])};
    if (is_linear(p)) {
        as_places(x);
        as_places(y);
    }
    dnnl_dims_t grouped = {g, K / g, C, R, S}, single = {K, C, R, S};
    dnnl_dim_t *w = g > 1 ? grouped : single;
    const int rank = g > 1 ? 5 : 4;
    const dnnl_data_type_t in = p->narrow & TDO_NARROW_IN ? dnnl_bf16 : dnnl_f32;
    const dnnl_data_type_t out = p->narrow & TDO_NARROW_OUT ? dnnl_bf16 : dnnl_f32;
    CHECK(dnnl_memory_desc_init_by_tag(&t->x, 4, x, in, dnnl_nhwc));
    CHECK(dnnl_memory_desc_init_by_tag(&t->y, 4, y, out, dnnl_nhwc));
    CHECK(dnnl_memory_desc_init_by_tag(&t->w, rank, w, in, dnnl_format_tag_any));
    CHECK(dnnl_memory_desc_init_by_tag(&t->w_plain, rank, w, dnnl_f32,
                                       g > 1 ? dnnl_goihw : dnnl_oihw));
    CHECK(dnnl_memory_desc_init_by_tag(&t->bias, 1, bias, dnnl_f32, dnnl_a));
    return TDO_OK;
}

static tdo_err add_post_ops(const struct tdo_conv_fused *f, dnnl_primitive_attr_t attr)
{
    dnnl_post_ops_t ops;
    CHECK(dnnl_post_ops_create(&ops));
    dnnl_status_t status = dnnl_success;
    if (f->sum) {
        status = dnnl_post_ops_append_sum(ops, 1.0F);
    }
    if (status == dnnl_success && f->activation == TDO_ACTIVATION_RELU) {
        status = dnnl_post_ops_append_eltwise(ops, 1.0F, dnnl_eltwise_relu, 0, 0);
    } else if (status == dnnl_success && f->activation == TDO_ACTIVATION_CLIP) {
        status = dnnl_post_ops_append_eltwise(ops, 1.0F, dnnl_eltwise_clip, f->low, f->high);
    }
    status = status == dnnl_success ? dnnl_primitive_attr_set_post_ops(attr, ops) : status;
    dnnl_post_ops_destroy(ops);
    CHECK(status);
    return TDO_OK;
}

/* Loops without vectors, which oneDNN falls back on: f32 is faster. */
static bool is_slow(dnnl_primitive_desc_t desc)
{
    const char *name = "";
    return dnnl_primitive_desc_query(desc, dnnl_query_impl_info_str, 0, (void *)&name) ==
               dnnl_success &&
           strstr(name, "ref") != NULL;
}

enum direction { FORWARD, BACKWARD_DATA, BACKWARD_WEIGHTS };

/* The primitive descriptor of a convolution; *desc stays NULL if oneDNN has none for it. */
static tdo_err find(const struct tdo_conv_pack *p, enum direction direction,
                    dnnl_primitive_desc_t *desc)
{
    struct tensors t;
    dnnl_convolution_desc_t forward, d;
    dnnl_primitive_desc_t hint = NULL;
    dnnl_primitive_attr_t attr;
    const dnnl_prop_kind_t kind =
        direction == FORWARD ? dnnl_forward_inference : dnnl_forward_training;
    *desc = NULL;
    TDO_TRY(start());
    TDO_TRY(describe(p, &t));
    CHECK(dnnl_primitive_attr_create(&attr));
    dnnl_status_t s = dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
    tdo_err err =
        s == dnnl_success && direction == FORWARD ? add_post_ops(&p->fused, attr) : TDO_OK;
    s = dnnl_convolution_forward_desc_init(&forward, kind, dnnl_convolution_direct, &t.x, &t.w,
                                           p->fused.bias ? &t.bias : NULL, &t.y, t.stride,
                                           t.before, t.after);
    if (s == dnnl_success && direction == FORWARD) {
        s = dnnl_primitive_desc_create(desc, &forward, attr, engine, NULL);
    } else if (s == dnnl_success) {
        s = dnnl_primitive_desc_create(&hint, &forward, NULL, engine, NULL);
        if (s == dnnl_success && direction == BACKWARD_DATA) {
            s = dnnl_convolution_backward_data_desc_init(
                &d, dnnl_convolution_direct, &t.x, &t.w, &t.y, t.stride, t.before, t.after);
        } else if (s == dnnl_success) {
            s = dnnl_convolution_backward_weights_desc_init(&d, dnnl_convolution_direct, &t.x,
                                                            &t.w, NULL, &t.y, t.stride,
                                                            t.before, t.after);
        }
        s = s == dnnl_success ? dnnl_primitive_desc_create(desc, &d, attr, engine, hint) : s;
    }
    if (hint) {
        dnnl_primitive_desc_destroy(hint);
    }
    dnnl_primitive_attr_destroy(attr);
    if (s != dnnl_success) {
        *desc = NULL; /* unimplemented: declined, not an error */
    }
    if (*desc && p->narrow && is_slow(*desc)) {
        dnnl_primitive_desc_destroy(*desc);
        *desc = NULL;
    }
    return err;
}

static const dnnl_memory_desc_t *part(const struct primitive *p, dnnl_query_t what)
{
    return dnnl_primitive_desc_query_md(p->desc, what, 0);
}

/* Create the primitive of p->desc and give it its scratch memory at *scratch, which grows. */
static tdo_err finish(struct primitive *p, int64_t *scratch)
{
    CHECK(dnnl_primitive_create(&p->handle, p->desc));
    const dnnl_memory_desc_t *md = part(p, dnnl_query_scratchpad_md);
    const size_t bytes = dnnl_memory_desc_get_size(md);
    if (bytes > 0) {
        TDO_TRY(add_argument(p, DNNL_ARG_SCRATCHPAD, md, FROM_SCRATCH));
        p->offset[p->args - 1] = *scratch;
        *scratch += ((int64_t)bytes + 63) / 64 * 64;
    }
    return TDO_OK;
}

/* ---- packing --------------------------------------------------------------------------------------- */

static tdo_err packed_md(const struct tdo_conv_pack *pack, dnnl_memory_desc_t *md, bool *found)
{
    struct primitive p = {0};
    TDO_TRY(find(pack, pack->adjoint ? BACKWARD_DATA : FORWARD, &p.desc));
    *found = p.desc != NULL;
    if (p.desc) {
        *md = *part(&p, dnnl_query_weights_md);
        drop(&p);
    }
    return TDO_OK;
}

tdo_err tdo_onednn_pack_floats(const struct tdo_conv_pack *pack, int64_t *floats)
{
    dnnl_memory_desc_t md;
    bool found = false;
    *floats = 0;
    TDO_TRY(packed_md(pack, &md, &found));
    if (found) {
        *floats =
            (int64_t)((dnnl_memory_desc_get_size(&md) + sizeof(float) - 1) / sizeof(float));
    }
    return TDO_OK;
}

tdo_err tdo_onednn_pack_share(struct tdo_conv_pack *pack)
{
    struct tdo_conv_pack bare = *pack;
    dnnl_memory_desc_t md[2];
    bool found[2] = {false, false};
    bare.fused = (struct tdo_conv_fused){.conv = pack->fused.conv};
    TDO_TRY(packed_md(pack, &md[0], &found[0]));
    TDO_TRY(packed_md(&bare, &md[1], &found[1]));
    if (found[0] && found[1] && dnnl_memory_desc_equal(&md[0], &md[1])) {
        *pack = bare;
    }
    return TDO_OK;
}

static void run_one(const struct tdo_call *call)
{
    execute(call, call->state);
}

static void free_one(void *state)
{
    drop(state);
    tdo_memory_free_(&state);
}

/* Reorder between two weight orders: argument names, and where they come from. */
static tdo_err make_reorder(struct primitive *p, const dnnl_memory_desc_t *from,
                            const dnnl_memory_desc_t *to, const int source[2])
{
    CHECK(dnnl_reorder_primitive_desc_create(&p->desc, from, engine, to, engine, NULL));
    CHECK(dnnl_primitive_create(&p->handle, p->desc));
    TDO_TRY(add_argument(p, DNNL_ARG_FROM, from, source[0]));
    return add_argument(p, DNNL_ARG_TO, to, source[1]);
}

tdo_err tdo_onednn_pack(const struct tdo_call *call, struct tdo_kernel *kernel)
{
    struct tensors t;
    dnnl_memory_desc_t md;
    bool found = false;
    struct primitive *p = NULL;
    TDO_TRY(packed_md(&call->attr->pack, &md, &found));
    TDO_TRY(describe(&call->attr->pack, &t));
    TDO_TRY(tdo_memory_new(1, &p));
    *kernel = (struct tdo_kernel){.run = run_one, .state = p, .free = free_one};
    return make_reorder(p, &t.w_plain, &md, (int[]){0, FROM_OUT});
}

/* ---- convolution and its gradients -------------------------------------------------------------------- */

/* The operand that is added must lie where the result goes. */
static void run_conv(const struct tdo_call *call)
{
    const int last = call->nin - 1;
    const size_t each =
        call->attr->pack.narrow & TDO_NARROW_OUT ? sizeof(uint16_t) : sizeof(float);
    if (call->attr->pack.fused.sum && call->in[last] != call->out) {
        memcpy(call->out, call->in[last], (size_t)tdo_shape_count(call->out_shape) * each);
    }
    execute(call, call->state);
}

tdo_err tdo_onednn_conv(const struct tdo_call *call, struct tdo_kernel *kernel)
{
    struct primitive *p = NULL;
    TDO_TRY(tdo_memory_new(1, &p));
    *kernel = (struct tdo_kernel){.run = run_conv, .state = p, .free = free_one};
    TDO_TRY(find(&call->attr->pack, FORWARD, &p->desc));
    TDO_ASSERT(p->desc != NULL);
    TDO_TRY(add_argument(p, DNNL_ARG_SRC, part(p, dnnl_query_src_md), 0));
    TDO_TRY(add_argument(p, DNNL_ARG_WEIGHTS, part(p, dnnl_query_weights_md), 1));
    if (call->attr->pack.fused.bias) {
        struct tensors t;
        TDO_TRY(describe(&call->attr->pack, &t));
        TDO_TRY(add_argument(p, DNNL_ARG_BIAS, &t.bias, 2));
    }
    TDO_TRY(add_argument(p, DNNL_ARG_DST, part(p, dnnl_query_dst_md), FROM_OUT));
    return finish(p, &kernel->scratch);
}

tdo_err tdo_onednn_conv_dx(const struct tdo_call *call, struct tdo_kernel *kernel)
{
    struct primitive *p = NULL;
    TDO_TRY(tdo_memory_new(1, &p));
    *kernel = (struct tdo_kernel){.run = run_one, .state = p, .free = free_one};
    TDO_TRY(find(&call->attr->pack, BACKWARD_DATA, &p->desc));
    TDO_ASSERT(p->desc != NULL);
    TDO_TRY(add_argument(p, DNNL_ARG_DIFF_DST, part(p, dnnl_query_diff_dst_md), 0));
    TDO_TRY(add_argument(p, DNNL_ARG_WEIGHTS, part(p, dnnl_query_weights_md), 1));
    TDO_TRY(add_argument(p, DNNL_ARG_DIFF_SRC, part(p, dnnl_query_diff_src_md), FROM_OUT));
    return finish(p, &kernel->scratch);
}

/* Weights' gradient: computed in the kernel's order into scratch, then put into PyTorch's. */
struct weights_gradient {
    struct primitive conv, back;
};

static void run_conv_dw(const struct tdo_call *call)
{
    struct weights_gradient *g = call->state;
    execute(call, &g->conv);
    if (g->back.handle) {
        execute(call, &g->back);
    }
}

static void free_conv_dw(void *state)
{
    struct weights_gradient *g = state;
    drop(&g->conv);
    drop(&g->back);
    tdo_memory_free_(&state);
}

/* The geometry of a conv_dw node in the terms of a forward convolution. */
static struct tdo_conv_pack geometry_of(const struct tdo_call *call)
{
    const tdo_shape *x = call->in_shape[0], *w = call->out_shape;
    struct tdo_conv_pack p = {.fused.conv = call->attr->conv};
    for (int i = 0; i < 4; i++) {
        p.x[i] = (int32_t)x->dim[i];
        p.w[i] = (int32_t)w->dim[i];
    }
    return p;
}

tdo_err tdo_onednn_conv_dw(const struct tdo_call *call, struct tdo_kernel *kernel)
{
    const struct tdo_conv_pack geometry = geometry_of(call);
    struct weights_gradient *g = NULL;
    struct tensors t;
    dnnl_primitive_desc_t desc = NULL;
    if (!is_linear(&geometry)) { /* one matrix product, which OpenBLAS is better at */
        TDO_TRY(find(&geometry, BACKWARD_WEIGHTS, &desc));
    }
    if (!desc) {
        return TDO_OK;
    }
    tdo_err err = tdo_memory_new(1, &g);
    if (err != TDO_OK) {
        dnnl_primitive_desc_destroy(desc);
        return err;
    }
    g->conv.desc = desc;
    *kernel = (struct tdo_kernel){.run = run_conv_dw, .state = g, .free = free_conv_dw};
    TDO_TRY(describe(&geometry, &t));
    const dnnl_memory_desc_t *md = part(&g->conv, dnnl_query_diff_weights_md);
    const bool plain = dnnl_memory_desc_equal(md, &t.w_plain);
    TDO_TRY(add_argument(&g->conv, DNNL_ARG_SRC, part(&g->conv, dnnl_query_src_md), 0));
    TDO_TRY(
        add_argument(&g->conv, DNNL_ARG_DIFF_DST, part(&g->conv, dnnl_query_diff_dst_md), 1));
    TDO_TRY(add_argument(&g->conv, DNNL_ARG_DIFF_WEIGHTS, md, plain ? FROM_OUT : FROM_SCRATCH));
    if (!plain) { /* both primitives find the packed gradient at the start of the scratch */
        kernel->scratch = ((int64_t)dnnl_memory_desc_get_size(md) + 63) / 64 * 64;
        TDO_TRY(make_reorder(&g->back, md, &t.w_plain, (int[]){FROM_SCRATCH, FROM_OUT}));
    }
    return finish(&g->conv, &kernel->scratch);
}
