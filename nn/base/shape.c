/* Shape arithmetic. See shape.h. */
#include "nn/base/shape.h"

#include <stdio.h>

int64_t tdo_shape_count(const tdo_shape *s)
{
    int64_t n = 1;
    for (int i = 0; i < s->rank; i++) {
        n *= s->dim[i];
    }
    return n;
}

tdo_shape tdo_shape_trim(tdo_shape s)
{
    tdo_shape clean = {.rank = s.rank};
    for (int i = 0; i < s.rank; i++) {
        clean.dim[i] = s.dim[i];
    }
    return clean;
}

bool tdo_shape_equal(const tdo_shape *a, const tdo_shape *b)
{
    bool equal = a->rank == b->rank;
    for (int i = 0; equal && i < a->rank; i++) {
        equal = a->dim[i] == b->dim[i];
    }
    return equal;
}

bool tdo_shape_broadcasts(const tdo_shape *small, const tdo_shape *large)
{
    bool fits = small->rank == large->rank;
    for (int i = 0; fits && i < small->rank; i++) {
        fits = small->dim[i] == 1 || small->dim[i] == large->dim[i];
    }
    return fits;
}

struct tdo_shape_text tdo_shape_print(const tdo_shape *s)
{
    struct tdo_shape_text t = {"["};
    int n = 1;
    for (int i = 0; i < s->rank && n < (int)sizeof t.s - 24; i++) {
        n += snprintf(t.s + n, sizeof t.s - (size_t)n, "%s%lld", i ? "," : "",
                      (long long)s->dim[i]);
    }
    snprintf(t.s + n, sizeof t.s - (size_t)n, "]");
    return t;
}
