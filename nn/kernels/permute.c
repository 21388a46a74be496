/* Permuting axes. See permute.h.
 *
 * Axes that stay together are one; of the rest the last is the inner loop, which reads with a
 * stride and writes without:  NHWC -> NCHW  is  [N,HW,C] -> [N,C,HW]. */
#include "nn/kernels/permute.h"

/* The result's axes: so many places, and how far apart they lie in the operand. */
struct axes {
    int rank;
    int64_t dim[TDO_MAX_RANK], step[TDO_MAX_RANK];
};

/* Add an axis behind the others. */
static void append(struct axes *a, int64_t dim, int64_t step)
{
    const int last = a->rank - 1;
    if (last >= 0 && a->step[last] == step * dim) {
        a->dim[last] *= dim;
        a->step[last] = step;
    } else if (dim > 1) {
        a->dim[a->rank] = dim;
        a->step[a->rank++] = step;
    }
}

static struct axes axes_of(const struct tdo_call *call)
{
    const tdo_shape *in = call->in_shape[0];
    int64_t stride[TDO_MAX_RANK] = {0}, n = 1;
    struct axes a = {0};
    for (int i = in->rank - 1; i >= 0; i--) {
        stride[i] = n;
        n *= in->dim[i];
    }
    for (int i = 0; i < in->rank; i++) {
        append(&a, call->out_shape->dim[i], stride[call->attr->permute.axis[i]]);
    }
    return a;
}

static void run(const struct tdo_call *call)
{
    const struct axes a = axes_of(call);
    const int last = a.rank - 1;
    const int64_t n = last < 0 ? 1 : a.dim[last], step = last < 0 ? 1 : a.step[last];
    const int64_t count = tdo_shape_count(call->out_shape);
    int64_t at[TDO_MAX_RANK] = {0}, from = 0;
    const float *in = call->in[0];
    float *out = call->out;
    for (int64_t done = 0; done < count; done += n, out += n) {
        for (int64_t i = 0; i < n; i++) {
            out[i] = in[from + i * step];
        }
        for (int k = last - 1; k >= 0; k--) { /* the odometer */
            from += a.step[k];
            if (++at[k] < a.dim[k]) {
                break;
            }
            from -= at[k] * a.step[k];
            at[k] = 0;
        }
    }
}

tdo_err tdo_permute(const struct tdo_call *call, struct tdo_kernel *kernel)
{
    (void)call;
    *kernel = (struct tdo_kernel){.run = run};
    return TDO_OK;
}
