/* Shared by the suites of nn. See support.h. */
#include "tests/nn/support.h"

#include <math.h>
#include <stdlib.h>

const char *const arithmetic_name[ARITHMETICS] = {"f64", "reference f32", "fast f32"};

double probe_number(uint32_t seed, int64_t i)
{
    uint32_t h = seed * 2654435761U ^ (uint32_t)i * 2246822519U;
    h ^= h >> 15;
    h *= 2246822507U;
    h ^= h >> 13;
    h *= 3266489909U;
    h ^= h >> 16;
    return (double)(h >> 8) * 0x1p-23 - 1;
}

int64_t probe_count(const tdo_graph *g, tdo_node node)
{
    tdo_shape s = tdo_graph_shape(g, node);
    return tdo_shape_count(&s);
}

tdo_plan *probe_plan(const tdo_graph *g, int outputs, const tdo_node *output,
                     enum arithmetic how, const tdo_params *params)
{
    const struct tdo_plan_options options = {.full = how == F64,
                                             .fast = how >= FAST,
                                             .bf16 = how == BF16,
                                             .param = tdo_params_for_plan,
                                             .context = params};
    tdo_plan *p = NULL;
    ASSERT_OK_FATAL(tdo_graph_check(g));
    ASSERT_OK_FATAL(tdo_plan_new(g, outputs, output, &options, &p));
    return p;
}

void probe_set(tdo_plan *p, tdo_node input, enum arithmetic how, int64_t n, const double *from)
{
    void *to = tdo_plan_input(p, input);
    for (int64_t i = 0; to && i < n; i++) {
        if (how == F64) {
            ((double *)to)[i] = from[i];
        } else {
            ((float *)to)[i] = (float)from[i];
        }
    }
}

void probe_get(const tdo_plan *p, int k, enum arithmetic how, int64_t n, double *to)
{
    const void *from = tdo_plan_output(p, k);
    for (int64_t i = 0; i < n; i++) {
        to[i] = how == F64 ? ((const double *)from)[i] : (double)((const float *)from)[i];
    }
}

void probe_fill(tdo_plan *p, const tdo_graph *g, tdo_node input, enum arithmetic how,
                uint32_t seed)
{
    void *to = tdo_plan_input(p, input);
    for (int64_t i = 0; to && i < probe_count(g, input); i++) {
        const double v = probe_number(seed, i);
        if (how == F64) {
            ((double *)to)[i] = v;
        } else {
            ((float *)to)[i] = (float)v;
        }
    }
}

double probe_gap(int64_t n, const double *a, const double *b)
{
    double gap = 0, scale = 0;
    for (int64_t i = 0; i < n; i++) {
        if (isnan(a[i]) || isnan(b[i])) {
            return HUGE_VAL;
        }
        gap = fmax(gap, fabs(a[i] - b[i]));
        scale = fmax(scale, fabs(b[i]));
    }
    return scale > 0 ? gap / scale : gap;
}

double *probe_values(const tdo_graph *g, int outputs, const tdo_node *output,
                     enum arithmetic how, const tdo_params *params)
{
    tdo_plan *p = probe_plan(g, outputs, output, how, params);
    uint32_t seed = 0;
    for (tdo_node i = 0; i < tdo_graph_size(g); i++) {
        if (tdo_graph_at(g, i)->op == &tdo_row_input) {
            probe_fill(p, g, i, how, ++seed);
        }
    }
    ASSERT_OK_FATAL(tdo_plan_run(p));
    int64_t total = 0, at = 0;
    for (int k = 0; k < outputs; k++) {
        total += probe_count(g, output[k]);
    }
    double *all = calloc((size_t)total, sizeof *all);
    CU_ASSERT_PTR_NOT_NULL_FATAL(all);
    for (int k = 0; k < outputs; k++) {
        probe_get(p, k, how, probe_count(g, output[k]), all + at);
        at += probe_count(g, output[k]);
    }
    tdo_plan_free(&p);
    return all;
}
