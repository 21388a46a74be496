#ifndef TDO_KERNELS_POINTWISE_H
#define TDO_KERNELS_POINTWISE_H
/* Pointwise arithmetic, and chains of it in one pass over memory.
 *
 * Every pointwise operation is a pair of tile functions (f32, f64) on short contiguous runs. A
 * program is a list of such operations over registers of one tile: a chain that would read and
 * write memory at each step keeps its intermediate values in the first-level cache.
 *
 *     load x -> r0 | load scale -> r1 | r2 = r0 * r1 | r3 = relu(r2) | store r3
 *
 * An operand may be broadcast in blocks: element i of the result reads operand element
 * (i / repeat) % period. That covers a scalar, a channel vector, a row weight and a whole image. */
#include "nn/kernels/kernel.h"

enum { TDO_TILE = 512, TDO_REGISTERS = 24, TDO_MAX_STEPS = 96 };

/* n elements; b and c are NULL where the operation has fewer operands. */
typedef void tdo_tile32(int64_t n, float *d, const float *a, const float *b, const float *c,
                        double p, double q);
typedef void tdo_tile64(int64_t n, double *d, const double *a, const double *b, const double *c,
                        double p, double q);

struct tdo_tiles {
    tdo_tile32 *f32;
    tdo_tile64 *f64;
};

#define TDO_POINTWISE(X)                                                                       \
    X(add)                                                                                     \
    X(mul)                                                                                     \
    X(div)                                                                                     \
    X(affine)                                                                                  \
    X(exp)                                                                                     \
    X(log)                                                                                     \
    X(sqrt)                                                                                    \
    X(tanh)                                                                                    \
    X(relu)                                                                                    \
    X(clip)                                                                                    \
    X(select)                                                                                  \
    X(sign)                                                                                    \
    X(greater)                                                                                 \
    X(inside)                                                                                  \
    X(round)
#define X(name) extern const struct tdo_tiles tdo_tiles_##name;
TDO_POINTWISE(X)
#undef X

struct tdo_program_load {
    int64_t repeat, period; /* operand element = (i / repeat) % period */
};

struct tdo_program_step {
    const struct tdo_tiles *tiles;
    int d, a, b, c; /* registers; -1 where unused */
    double p, q;
};

struct tdo_program {
    int loads, steps; /* operand k is loaded into register k */
    struct tdo_program_load load[TDO_MAX_IN];
    struct tdo_program_step step[TDO_MAX_STEPS];
};

/* How `small` is read for each element of `large`; false if it is not a block broadcast. */
bool tdo_pointwise_blocks(const tdo_shape *small, const tdo_shape *large,
                          struct tdo_program_load *load);

/* Run attr->fused.program over the operands. */
tdo_kernel_fn tdo_pointwise_run32, tdo_pointwise_run64;

#endif
