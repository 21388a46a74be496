/* testudo info model.name=... or model.file=...: the parts of a network and its size.
 *
 * A model file without a description (someone else's) is shown as the network that model.name
 * says it is; without model.name only its tensors are listed. */
#include <inttypes.h>
#include <stdio.h>

#include "jobs/job.h"
#include "jobs/network_front.h"
#include "nn/safetensors.h"

static void print_numbers(const char *what, const double *v, int count)
{
    printf("%s ", what);
    for (int i = 0; i < count; i++) {
        printf("%s%.9g", i ? ", " : count > 1 ? "(" : "", v[i]);
    }
    printf("%s", count > 1 ? ")" : "");
}

static void print_defense(const struct tdo_defense_use *use)
{
    const struct tdo_option *o = use->row->options;
    printf("defense %s", use->row->name);
    for (int i = 0; o && o[i].key; i++) {
        printf("%s %s = ", i ? "," : ":", o[i].key);
        if (use->text[i]) {
            printf("%s", use->text[i]);
        } else {
            printf("%.9g", use->value[i]);
        }
    }
    printf("\n");
}

static void print_input(const struct tdo_model_spec *s)
{
    printf("input layer:");
    if (s->mean_image) {
        printf(" mean image%s%s", s->contrast ? ", contrast" : "",
               s->whiten ? ", whitening" : "");
    } else if (s->inputs > 0) {
        print_numbers(" mean", s->mean, s->inputs);
    } else {
        printf(" none");
    }
    if (s->inputs > 0) {
        print_numbers(", std", s->std, s->inputs);
    }
    printf("\n");
}

/* All but the tensors: what the description of a model file says. */
static void print_description(const struct tdo_network *n)
{
    const struct tdo_model_spec *s = &n->spec;
    printf("%s: %s [%s]\n", n->model->name, n->model->help, n->model->cite);
    if (n->model->shortcut) {
        printf("shortcut %c\n", s->shortcut);
    }
    if (n->model->width) {
        printf("width %g\n", s->wide);
    }
    if (n->model->depth) {
        printf("depth %d\n", s->depth);
    }
    printf("images %" PRId64 "x%" PRId64 "x%" PRId64, s->height, s->width, s->channels);
    if (n->model->output == TDO_MODEL_IMAGE) {
        printf(", gives images\n");
    } else {
        printf(", %d classes\n", s->classes);
    }
    print_input(s);
    for (int i = 0; i < n->defenses.count; i++) {
        print_defense(&n->defenses.use[i]);
    }
}

static void print_network(const struct tdo_network *n)
{
    print_description(n);
    printf("\n");
    for (int64_t i = 0; i < tdo_params_entries(n->params); i++) {
        const struct tdo_param *p = tdo_params_at(n->params, i);
        printf("%-32s %-18s %10" PRId64 "%s\n", p->name, tdo_shape_print(&p->shape).s, p->count,
               p->kind == TDO_PARAM_BUFFER  ? "  buffer"
               : p->kind == TDO_PARAM_FIXED ? "  fixed"
                                            : "");
    }
    printf("\n%" PRId64 " parameters, %" PRId64 " numbers in buffers\n",
           tdo_params_count(n->params, TDO_PARAM_WEIGHT),
           tdo_params_count(n->params, TDO_PARAM_BUFFER) +
               tdo_params_count(n->params, TDO_PARAM_FIXED));
}

/* What a row gives in the places that the model names. */
static tdo_err print_taps(struct tdo_network *n)
{
    const struct tdo_model_spec *s = &n->spec;
    struct tdo_build *b = NULL;
    tdo_graph *g = NULL;
    tdo_err err = TDO_OK;
    TDO_GOTO(tdo_graph_new(&g));
    TDO_GOTO(tdo_memory_new(1, &b));
    *b = tdo_network_build_context(n, g, TDO_NORM_RUNNING);
    b->keys = tdo_op_key(g, "keys", 1);
    tdo_node x = tdo_op_input(g, "pixels", TDO_SHAPE(1, s->height, s->width, s->channels));
    (void)(n->model->output == TDO_MODEL_IMAGE ? tdo_network_image(n, b, x)
                                               : tdo_network_logits(n, b, x));
    TDO_GOTO(tdo_graph_check(g));
    printf("\nnamed places (layers, blocks, stages) and their shapes for one image:\n");
    for (int i = 0; i < b->taps; i++) {
        const tdo_shape shape = tdo_graph_shape(g, b->tap[i].node);
        printf("%-32s %s\n", b->tap[i].name, tdo_shape_print(&shape).s);
    }
done:
    tdo_memory_free(&b);
    tdo_graph_free(&g);
    return err;
}

static void print_tensors(const tdo_safetensors *f, const char *path)
{
    int64_t numbers = 0;
    for (int64_t i = 0; i < tdo_safetensors_tensors(f); i++) {
        const struct tdo_safetensors_tensor *t = tdo_safetensors_at(f, i);
        printf("%-44s %-5s %-18s %10" PRId64 "\n", t->name, t->dtype,
               tdo_shape_print(&t->shape).s, t->count);
        numbers += t->count;
    }
    printf("\n%" PRId64 " tensors, %" PRId64 " numbers\n", tdo_safetensors_tensors(f), numbers);
    printf("%s does not say which network it is; with model.name (and model.mean, model.std, "
           "...) it can be used\n",
           path);
}

/* A file that nobody has said anything about: its tensors. *done: it was such a file. */
static tdo_err list_tensors(const char *path, bool *done)
{
    tdo_safetensors *f = NULL;
    tdo_json *description = NULL;
    TDO_TRY(tdo_safetensors_open(path, &f));
    tdo_err err = tdo_safetensors_describe(f, &description);
    *done = err == TDO_OK && !description;
    if (*done) {
        print_tensors(f, path);
    }
    tdo_json_free(&description);
    tdo_safetensors_free(&f);
    return err;
}

static tdo_err info(struct tdo_job_context *c)
{
    struct tdo_network n;
    struct tdo_network_data size;
    bool done = false;
    const char *file = tdo_config_text(c->config, "model.file");
    const char *name = tdo_config_text(c->config, "model.name");
    const bool members = tdo_config_text(c->config, "model.members")[0];
    if (file[0] && !name[0]) {
        TDO_TRY(list_tensors(file, &done));
    }
    if (done) {
        return TDO_OK;
    }
    if (file[0] || members) {
        TDO_TRY(tdo_network_front_open(c->config, file, NULL, true, &n));
    } else {
        TDO_TRY(tdo_network_size(c->config, tdo_model_find(name), &size));
        TDO_TRY(tdo_network_configure_any(c->config, &size, &n));
    }
    print_network(&n);
    tdo_err err = tdo_network_front_print(&n);
    if (err == TDO_OK) {
        err = print_taps(&n);
    }
    if (n.foreign) {
        printf("%s has no description: all but the tensors is what the config says\n", file);
    }
    tdo_network_free(&n);
    return err;
}

const struct tdo_job tdo_job_info = {
    .name = "info",
    .help = "print layers and parameter count of an architecture or a model file",
    .word = "config",
    .bit = TDO_JOB_info,
    .alone = true,
    .run = info,
};
