#ifndef TDO_GRAPH_PLAN_H
#define TDO_GRAPH_PLAN_H
/* A plan: a graph made ready to run, with all of its memory in one block.
 *
 *     tdo_plan_new(graph, outputs, options, &plan)    lower, choose kernels, place buffers
 *     memcpy(tdo_plan_input(plan, x), ...)            fill the inputs in place
 *     tdo_plan_run(plan)                              nothing is allocated here
 *     tdo_plan_output(plan, 0)
 *
 * Buffers share memory when their lives do not overlap; a result may be written over an operand
 * that dies with it. The prologue (whatever depends on parameters only) runs when
 * tdo_plan_touch said that parameters changed. A plan belongs to one thread at a time. */
#include <stdio.h>

#include "nn/graph/graph.h"

typedef struct tdo_plan tdo_plan;

struct tdo_plan_options {
    bool full; /* arithmetic in f64, reference kernels; else f32 */
    bool fast; /* f32: may kernels other than the reference be used? */
    bool bf16; /* fast: convolutions read bf16 and add up in f32; for inference */
    /* Gradient checkpointing in so many segments, for plans with a gradient: less memory, the forward
     * pass runs again in parts, the same bits (recompute.h). Fewer than 2: off. */
    int checkpoint;
    /* Where the values of parameter `index` lie (f32); read when the prologue runs. */
    const float *(*param)(const void *context, int64_t index);
    const void *context;
};

/* The graph may be freed afterwards. Errors: TDO_ERR_SHAPE and the like from building the graph,
 * TDO_ERR_MEMORY, TDO_ERR_LIBRARY; TDO_ERR_CONFIG for bf16 where the processor has none. Owner of
 * *out: caller. */
TDO_MUST tdo_err tdo_plan_new(const tdo_graph *g, int outputs, const tdo_node *output,
                              const struct tdo_plan_options *options, tdo_plan **out);
void tdo_plan_free(tdo_plan **p);

/* Memory of an input or key node of the graph, f32 or f64 as the plan (struct tdo_key for keys);
 * NULL if no output needs it. The caller writes it; it is never overwritten by a run. */
void *tdo_plan_input(tdo_plan *p, tdo_node input);
/* Result k of the latest run; borrowed. */
const void *tdo_plan_output(const tdo_plan *p, int k);
/* Let result k be written to memory of the caller from now on (NULL: to the plan's own again). */
void tdo_plan_bind(tdo_plan *p, int k, void *memory);

/* Parameters have changed: run the prologue before the next run. */
void tdo_plan_touch(tdo_plan *p);

/* Called while a plan runs; either may be NULL. */
struct tdo_plan_hooks {
    void (*between)(void *context);           /* after every node */
    void (*ready)(void *context, int output); /* result k has its final value */
    void *context;
};
void tdo_plan_set_hooks(tdo_plan *p, const struct tdo_plan_hooks *hooks);
TDO_MUST tdo_err tdo_plan_run(tdo_plan *p);

/* Measure every node from now on; tdo_plan_print then shows the times. */
void tdo_plan_time(tdo_plan *p, bool on);

int64_t tdo_plan_bytes(const tdo_plan *p); /* of the one block: peak of a run */
int64_t tdo_plan_flops(const tdo_plan *p); /* of a run: multiply-adds times two, as counted */
int tdo_plan_missed(const tdo_plan *p);    /* tdo_lower_missed */
/* One line a node: shape, kernel, place, bytes, and with timing microseconds and GFLOP/s. */
void tdo_plan_print(const tdo_plan *p, FILE *to);

#endif
