/* Tile functions and the interpreter of pointwise programs. See pointwise.h.
 *
 * The loops are plain; the compiler vectorises them, once per instruction set. None of them
 * re-associates or contracts, so every instruction set gives the same bits; exp, log and tanh
 * are libm's and scalar. NaN passes through relu and clip, as in PyTorch. */
#include "nn/kernels/pointwise.h"

#include <math.h>
#include <string.h>

#include "nn/base/clones.h"

/* Operands of one element only: d may be one of a, b, c. */
#ifdef __clang__
#pragma clang diagnostic ignored "-Wpass-failed" /* calls of libm stay scalar */
#define NO_CARRY _Pragma("clang loop vectorize(assume_safety)")
#else
#define NO_CARRY _Pragma("GCC ivdep")
#endif

/* TILE(name, f32 expression, f64 expression) with a, b, c the operands and p, q the constants. */
#define TILE(name, single, full)                                                               \
    TDO_CLONES static void name##_f32(int64_t n, float *d, const float *pa, const float *pb,   \
                                      const float *pc, double pd, double qd)                   \
    {                                                                                          \
        const float p = (float)pd, q = (float)qd;                                              \
        NO_CARRY                                                                               \
        for (int64_t i = 0; i < n; i++) {                                                      \
            const float a = pa[i], b = pb[i], c = pc[i];                                       \
            (void)a, (void)b, (void)c, (void)p, (void)q;                                       \
            d[i] = single;                                                                     \
        }                                                                                      \
    }                                                                                          \
    static void name##_f64(int64_t n, double *d, const double *pa, const double *pb,           \
                           const double *pc, double p, double q)                               \
    {                                                                                          \
        (void)p, (void)q;                                                                      \
        NO_CARRY                                                                               \
        for (int64_t i = 0; i < n; i++) {                                                      \
            const double a = pa[i], b = pb[i], c = pc[i];                                      \
            (void)a, (void)b, (void)c;                                                         \
            d[i] = full;                                                                       \
        }                                                                                      \
    }                                                                                          \
    const struct tdo_tiles tdo_tiles_##name = {name##_f32, name##_f64};

#define SAME(name, expression) TILE(name, expression, expression)

SAME(add, a + b)
SAME(mul, a *b)
SAME(div, a / b)
SAME(affine, p *a + q)
TILE(exp, expf(a), exp(a))
TILE(log, logf(a), log(a))
TILE(sqrt, sqrtf(a), sqrt(a))
TILE(tanh, tanhf(a), tanh(a))
SAME(relu, a < 0 ? 0 : a)
SAME(clip, a < p ? p : (a > q ? q : a))
SAME(select, a != 0 ? b : c)
TILE(sign, (float)((a > 0) - (a < 0)), (double)((a > 0) - (a < 0)))
TILE(greater, a > b ? 1.0F : 0.0F, a > b ? 1.0 : 0.0)
TILE(inside, a >= p && a <= q ? 1.0F : 0.0F, a >= p && a <= q ? 1.0 : 0.0)
TILE(round, rintf(a), rint(a))

bool tdo_pointwise_blocks(const tdo_shape *small, const tdo_shape *large,
                          struct tdo_program_load *load)
{
    if (!tdo_shape_broadcasts(small, large)) {
        return false;
    }
    int first = 0, last = small->rank - 1; /* the axes between are those that `small` has */
    while (first <= last && small->dim[first] == 1) {
        first++;
    }
    while (last >= first && small->dim[last] == 1) {
        last--;
    }
    load->repeat = load->period = 1;
    for (int i = last + 1; i < large->rank; i++) {
        load->repeat *= large->dim[i];
    }
    for (int i = first; i <= last; i++) {
        if (small->dim[i] != large->dim[i]) {
            return false;
        }
        load->period *= large->dim[i];
    }
    return true;
}

/* Copy elements [at, at+n) of a block-broadcast operand into a register. */
/* NOLINTBEGIN(bugprone-macro-parentheses): REAL is a type */
#define LOAD(REAL)                                                                             \
    static void load_##REAL(REAL *r, const REAL *x, const struct tdo_program_load *how,        \
                            int64_t at, int64_t n)                                             \
    {                                                                                          \
        for (int64_t i = 0; i < n;) {                                                          \
            int64_t run, e = at + i;                                                           \
            if (how->repeat == 1) {                                                            \
                int64_t from = e % how->period;                                                \
                run = how->period - from < n - i ? how->period - from : n - i;                 \
                memcpy(r + i, x + from, (size_t)run * sizeof *r);                              \
            } else {                                                                           \
                int64_t left = how->repeat - e % how->repeat;                                  \
                REAL value = x[e / how->repeat % how->period];                                 \
                run = left < n - i ? left : n - i;                                             \
                for (int64_t j = 0; j < run; j++) {                                            \
                    r[i + j] = value;                                                          \
                }                                                                              \
            }                                                                                  \
            i += run;                                                                          \
        }                                                                                      \
    }
/* NOLINTEND(bugprone-macro-parentheses) */
LOAD(float)
LOAD(double)

/* Tiles are whole periods of short broadcast operands, so that these are loaded only once. */
static int64_t tile_of(const struct tdo_program *p, int64_t n)
{
    for (int k = 0; k < p->loads; k++) {
        int64_t period = p->load[k].period;
        if (p->load[k].repeat == 1 && period > 1 && period < n && period <= TDO_TILE) {
            return TDO_TILE / period * period;
        }
    }
    return TDO_TILE;
}

/* Does a register that holds operand k at tile 0 hold it at every tile? */
static bool constant(const struct tdo_program_load *how, int64_t tile)
{
    return (how->period == 1) || (how->repeat == 1 && tile % how->period == 0);
}

/* NOLINTBEGIN(bugprone-macro-parentheses): REAL is a type, MEMBER a name */
#define RUN(NAME, REAL, MEMBER)                                                                \
    void NAME(const struct tdo_call *call)                                                     \
    {                                                                                          \
        const struct tdo_program *program = call->attr->fused.program;                         \
        _Alignas(64) REAL file[TDO_REGISTERS][TDO_TILE];                                       \
        const int64_t n = tdo_shape_count(call->out_shape), tile = tile_of(program, n);        \
        const REAL *where[TDO_REGISTERS];                                                      \
        for (int r = 0; r < TDO_REGISTERS; r++) {                                              \
            where[r] = file[r];                                                                \
        }                                                                                      \
        for (int64_t at = 0; at < n; at += tile) {                                             \
            const int64_t run = n - at < tile ? n - at : tile;                                 \
            for (int k = 0; k < program->loads; k++) {                                         \
                const struct tdo_program_load *how = &program->load[k];                        \
                if (how->repeat == 1 && how->period >= n) {                                    \
                    where[k] = (const REAL *)call->in[k] + at;                                 \
                } else if (at == 0 || !constant(how, tile)) {                                  \
                    load_##REAL(file[k], call->in[k], how, at, run);                           \
                }                                                                              \
            }                                                                                  \
            for (int s = 0; s < program->steps; s++) {                                         \
                const struct tdo_program_step *step = &program->step[s];                       \
                REAL *d = s + 1 == program->steps ? (REAL *)call->out + at : file[step->d];    \
                const REAL *a = where[step->a];                                                \
                step->tiles->MEMBER(run, d, a, step->b < 0 ? a : where[step->b],               \
                                    step->c < 0 ? a : where[step->c], step->p, step->q);       \
            }                                                                                  \
        }                                                                                      \
    }
/* NOLINTEND(bugprone-macro-parentheses) */
RUN(tdo_pointwise_run32, float, f32)
RUN(tdo_pointwise_run64, double, f64)
