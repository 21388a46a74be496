/* Running a plan, timing it, printing it. See plan.h. */
#include <inttypes.h>

#include "nn/base/log.h"
#include "nn/graph/ops.h"
#include "nn/graph/plan_impl.h"

void tdo_plan_touch(tdo_plan *p)
{
    p->stale = true;
}

void tdo_plan_set_hooks(tdo_plan *p, const struct tdo_plan_hooks *hooks)
{
    p->hooks = *hooks;
}

void tdo_plan_time(tdo_plan *p, bool on)
{
    p->timed = on;
    p->runs = 0;
    for (int s = 0; s < p->steps; s++) {
        p->step[s].seconds = 0;
    }
}

/* A plan in f64 has its own copy of the parameters. */
static void widen_parameters(tdo_plan *p)
{
    for (tdo_node i = 0; p->options.full && i < p->size; i++) {
        const struct tdo_graph_node *n = tdo_graph_at(p->lowered.graph, i);
        if (n->op == &tdo_row_param) {
            const float *from = p->options.param(p->options.context, n->attr.leaf.index);
            double *to = p->buffer[p->buffer_of[i]].where;
            for (int64_t e = 0; e < tdo_shape_count(&n->shape); e++) {
                to[e] = (double)from[e];
            }
        }
    }
}

static void run_step(tdo_plan *p, struct tdo_step *s)
{
    for (int k = 0; k < s->call.nin; k++) {
        s->call.in[k] = p->buffer[s->in[k]].where;
    }
    s->call.out = p->buffer[s->out].where;
    const double begin = p->timed ? tdo_log_now() : 0;
    s->kernel.run(&s->call);
    s->seconds += p->timed ? tdo_log_now() - begin : 0;
}

tdo_err tdo_plan_run(tdo_plan *p)
{
    if (p->stale) {
        widen_parameters(p);
        for (int s = 0; s < p->prologue; s++) {
            run_step(p, &p->step[s]);
        }
        p->stale = false;
    }
    for (int s = p->prologue; s < p->steps; s++) {
        run_step(p, &p->step[s]);
        if (p->hooks.ready && p->step[s].output >= 0) {
            p->hooks.ready(p->hooks.context, p->step[s].output);
        }
        if (p->hooks.between) {
            p->hooks.between(p->hooks.context);
        }
    }
    p->runs += p->timed;
    return TDO_OK;
}

static void print_step(const tdo_plan *p, int number, FILE *to)
{
    const struct tdo_step *s = &p->step[number];
    const struct tdo_graph_node *n = tdo_graph_at(p->lowered.graph, s->node);
    const struct tdo_buffer *b = &p->buffer[s->out];
    fprintf(to, "%4d%c %-14s %-20s %s %10" PRId64 " +%-10" PRId64, number,
            number < p->prologue ? 'p' : ' ', n->op->name, tdo_shape_print(&n->shape).s,
            s->fast ? "fast" : "ref ", b->offset, b->bytes);
    if (p->timed && p->runs > 0) {
        double each = s->seconds / (double)(number < p->prologue ? 1 : p->runs);
        fprintf(to, " %9.1f us", each * 1e6);
        if (s->flops > 0 && each > 0) {
            fprintf(to, " %7.1f GFLOP/s", (double)s->flops / each * 1e-9);
        }
    }
    fprintf(to, "  %s\n", n->name);
}

void tdo_plan_print(const tdo_plan *p, FILE *to)
{
    fprintf(to, "plan of %d steps (%d in the prologue), %d buffers, %.3f MB\n", p->steps,
            p->prologue, p->buffers, (double)p->bytes * 1e-6);
    for (int s = 0; s < p->steps; s++) {
        print_step(p, s, to);
    }
}
