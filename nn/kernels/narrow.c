/* f32 to bf16 and back. See narrow.h. */
#include "nn/kernels/narrow.h"

#include "nn/base/clones.h"

TDO_CLONES static void narrow(int64_t n, const uint32_t *restrict x, uint16_t *restrict y)
{
    for (int64_t i = 0; i < n; i++) {
        const uint32_t bits = x[i], half = 0x7fff + (bits >> 16 & 1);
        const uint32_t quiet = (bits & 0x7fffffff) > 0x7f800000 ? 0x400000 : half;
        y[i] = (uint16_t)((quiet == half ? bits + half : bits | quiet) >> 16);
    }
}

void tdo_narrow_run(const struct tdo_call *call)
{
    narrow(tdo_shape_count(call->out_shape), call->in[0], call->out);
}

TDO_CLONES static void widen(int64_t n, const uint16_t *restrict x, uint32_t *restrict y)
{
    for (int64_t i = 0; i < n; i++) {
        y[i] = (uint32_t)x[i] << 16;
    }
}

void tdo_widen_run(const struct tdo_call *call)
{
    widen(tdo_shape_count(call->out_shape), call->in[0], call->out);
}
