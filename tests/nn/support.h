#ifndef TDO_TESTS_NN_SUPPORT_H
#define TDO_TESTS_NN_SUPPORT_H
/* What the suites of nn share: numbers from a hash, plans in three arithmetics, comparisons. */
#include "nn/graph/grad.h"
#include "nn/graph/ops.h"
#include "nn/graph/plan.h"
#include "nn/params.h"
#include "tests/runner.h"

enum arithmetic { F64, REFERENCE, FAST, ARITHMETICS, BF16 = ARITHMETICS }; /* bf16: by name */
extern const char *const arithmetic_name[ARITHMETICS];

/* A number in [-1,1), a function of (seed, i), exact in f32. */
double probe_number(uint32_t seed, int64_t i);

/* A plan of outputs; params may be NULL. Fails the test if it cannot be made. */
tdo_plan *probe_plan(const tdo_graph *g, int outputs, const tdo_node *output,
                     enum arithmetic how, const tdo_params *params);

/* Write `n` numbers to an input of a plan, if the plan reads it; read a result. */
void probe_set(tdo_plan *p, tdo_node input, enum arithmetic how, int64_t n, const double *from);
void probe_get(const tdo_plan *p, int k, enum arithmetic how, int64_t n, double *to);
/* Fill an input with probe_number(seed, 0..). */
void probe_fill(tdo_plan *p, const tdo_graph *g, tdo_node input, enum arithmetic how,
                uint32_t seed);

/* max |a - b| / max |b|; the plain maximum if b is zero. Infinite if anything is NaN. */
double probe_gap(int64_t n, const double *a, const double *b);

/* The values of nodes [outputs] of a graph whose inputs are probe_fill-ed with seeds 1, 2, ...
 * in order of creation; the results one after the other. Owner: caller, free. */
double *probe_values(const tdo_graph *g, int outputs, const tdo_node *output,
                     enum arithmetic how, const tdo_params *params);

int64_t probe_count(const tdo_graph *g, tdo_node node);

#endif
