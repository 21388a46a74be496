#ifndef TDO_KERNELS_KERNEL_H
#define TDO_KERNELS_KERNEL_H
/* What a kernel sees: spans and shapes in, one span out.
 *
 * A kernel computes one node of a graph. It never allocates and knows nothing of graphs. Four
 * sets with one meaning: reference loops (f32 and f64; the oracle and the last fallback), our own
 * fast loops, oneDNN, and OpenBLAS for what oneDNN does not do. A fast kernel is prepared once,
 * when a plan is made (prepare may allocate and may decline a case), and then run many times.
 *
 * Dimension letters: N rows, H height, W width, C channels in, K channels out. Images are
 * [N,H,W,C], convolution weights [K,C/groups,KH,KW] (PyTorch's order). */
#include <stdint.h>

#include "nn/base/error.h"
#include "nn/base/rng.h"
#include "nn/base/rounded.h"
#include "nn/base/shape.h"

enum { TDO_MAX_IN = 16 };

/* Places of a window of `window` elements that moves by `stride` over `size` elements with `pad`
 * more of padding. */
static inline int64_t tdo_kernel_places(int64_t size, int64_t window, int64_t stride,
                                        int64_t pad)
{
    return (size + pad - window) / stride + 1;
}

/* Geometry of a convolution: y[N,OH,OW,K] from x[N,H,W,C] and w[K,C/groups,KH,KW].
 * size: H,W of x for conv_dx, KH,KW of w for conv_dw, unused for conv. */
struct tdo_conv {
    int32_t stride[2]; /* down, across */
    int32_t pad[4];    /* top, left, bottom, right */
    int32_t groups;
    int32_t size[2];
};

/* Is it a linear layer: images of `places` = 1 place, windows of `window` = 1, neither stride nor
 * padding nor groups? Then rows of images and places of one image are the same thing. */
static inline bool tdo_conv_is_linear(const struct tdo_conv *c, int64_t places, int64_t window)
{
    return places == 1 && window == 1 && c->groups <= 1 && c->stride[0] == 1 &&
           c->pad[0] + c->pad[1] + c->pad[2] + c->pad[3] == 0;
}

/* Geometry of a pooling window. size: H,W of the unpooled side, for the adjoints. */
struct tdo_pool {
    int32_t window[2], stride[2], pad[4];
    int32_t count_pad; /* averages: does padding count in the divisor? */
    int32_t size[2];
};

enum tdo_law { TDO_LAW_NORMAL, TDO_LAW_UNIFORM, TDO_LAW_ROUNDED };

struct tdo_random {
    struct tdo_stream stream;
    int32_t law;
    const tdo_rounded *table; /* TDO_LAW_ROUNDED; borrowed, outlives the graph */
    tdo_shape shape;          /* rows are keys */
    int32_t part;             /* rows belong to a part of the keys, */
    int32_t first;            /* from this one on */
    int32_t shared;           /* sample TDO_SAMPLE_BATCH in place of that of a key */
};

enum tdo_activation { TDO_ACTIVATION_NONE, TDO_ACTIVATION_RELU, TDO_ACTIVATION_CLIP };

/* activation(conv(x, w) + bias + sum), the last two if present. */
struct tdo_conv_fused {
    struct tdo_conv conv;
    int32_t bias, sum, activation; /* enum tdo_activation */
    float low, high;               /* of clip */
};

/* What a convolution has in bf16 instead of f32; it always adds up in f32. */
enum tdo_narrow {
    TDO_NARROW_IN = 1, /* image and packed weights */
    TDO_NARROW_OUT = 2 /* the result, and the operand that is added to it */
};

/* One convolution of one geometry, and the weight order that its kernel wants: what a pack node
 * and the convolution that reads it have in common. */
struct tdo_conv_pack {
    struct tdo_conv_fused fused;
    int32_t adjoint;    /* for conv_dx instead of conv */
    int32_t narrow;     /* enum tdo_narrow bits */
    int32_t x[4], w[4]; /* N,H,W,C and K,C/groups,KH,KW */
};

struct tdo_program; /* a fused pointwise chain, pointwise.h */

/* Options of a node; which member counts is the operation's business. Zeroed beyond it, so that
 * two nodes can be compared by their bytes. */
union tdo_attr {
    unsigned char bytes[96];
    struct tdo_conv conv;
    struct tdo_pool pool;
    struct tdo_random random;
    struct {
        double a, b;
    } real; /* affine a x + b, clip [a, b], batch norm's epsilon a */
    struct {
        int64_t lo[TDO_MAX_RANK], hi[TDO_MAX_RANK];
    } edge; /* elements added (pad) or dropped (slice) before and behind */
    struct {
        int32_t axis[TDO_MAX_RANK];
    } permute; /* output axis i is input axis axis[i] */
    struct {
        int32_t axis;
    } concat;
    struct {
        int32_t left, right;
    } transpose; /* matmul: which operands are transposed */
    struct {
        int64_t count;
    } classes; /* one_hot, scatter */
    struct {
        int32_t size[2], corners;
    } resize; /* bilinear: H,W of the other side; are corners aligned? */
    struct {
        tdo_shape shape;
    } target; /* broadcast, sum, reshape */
    struct {
        tdo_shape shape;
        double value;  /* of a constant */
        int64_t index; /* which input, which parameter */
    } leaf;
    struct {
        const struct tdo_program *program;
        tdo_shape shape;
    } fused;
    struct tdo_conv_pack pack;
};

/* One call of a kernel. */
struct tdo_call {
    int nin;
    const void *in[TDO_MAX_IN];
    const tdo_shape *in_shape[TDO_MAX_IN];
    void *out;
    const tdo_shape *out_shape;
    const union tdo_attr *attr;
    void *scratch; /* at least the bytes that prepare asked for, aligned to 64 */
    void *state;   /* of a prepared kernel */
};

typedef void tdo_kernel_fn(const struct tdo_call *call);

/* A kernel ready to run. */
struct tdo_kernel {
    tdo_kernel_fn *run;
    void *state; /* owned by the kernel, given back to `free` */
    void (*free)(void *state);
    int64_t scratch; /* bytes */
};

/* Fill in *kernel for the shapes and attributes of `call` (its pointers are not set yet).
 * Leaves kernel->run NULL when the case is declined; fails only when the library does. */
typedef tdo_err tdo_prepare_fn(const struct tdo_call *call, struct tdo_kernel *kernel);

#endif
