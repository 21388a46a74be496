#ifndef TDO_GRAPH_PLAN_IMPL_H
#define TDO_GRAPH_PLAN_IMPL_H
/* The inside of a plan, shared by plan.c (makes it) and exec.c (runs it). */
#include "nn/graph/lower.h"
#include "nn/graph/plan.h"

/* A piece of memory that nodes share. Times are step numbers. */
struct tdo_buffer {
    int64_t bytes, offset;
    int birth, death; /* first written, last read; persistent: death beyond the last step */
    void *where;      /* current address */
    void *outside;    /* memory of the caller or a parameter's, NULL: in the block */
};

struct tdo_step {
    tdo_node node;
    struct tdo_kernel kernel;
    struct tdo_call call;
    int in[TDO_MAX_IN], out; /* buffers */
    int output;              /* result that is complete after this step, -1 */
    int64_t flops;
    double seconds; /* of all runs while timed */
    bool fast;
};

struct tdo_plan {
    struct tdo_plan_options options;
    struct tdo_lowered lowered;
    int outputs, size; /* nodes of the lowered graph */
    int old_size;      /* of the graph that the caller knows */
    int *buffer_of;    /* [size] */
    struct tdo_buffer *buffer;
    int buffers;
    struct tdo_step *step;
    int steps, prologue; /* steps [0, prologue) are the prologue */
    unsigned char *block;
    int64_t bytes, scratch_at;
    bool stale; /* the prologue must run */
    bool timed;
    int64_t runs; /* while timed */
    struct tdo_plan_hooks hooks;
};

#endif
