/* testudo info model.name=... or model.file=...: the parts of a network and its size. */
#include <inttypes.h>
#include <stdio.h>

#include "jobs/job.h"
#include "jobs/network.h"

/* The image size asked for, else the usual one of the model. */
static tdo_err choose_size(const tdo_config *c, struct tdo_network_data *d)
{
    double size[3] = {0};
    const struct tdo_model *m = tdo_model_find(tdo_config_text(c, "model.name"));
    const int given = tdo_config_reals(c, "model.input", size, 3);
    if (given != 0 && given != 3) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "model.input has %d numbers, expected height, width, "
                        "channels",
                        given);
    }
    for (int i = 0; m && given == 0 && i < 3; i++) {
        size[i] = (double)m->usual[i];
    }
    *d = (struct tdo_network_data){.height = (int64_t)size[0],
                                   .width = (int64_t)size[1],
                                   .channels = (int64_t)size[2],
                                   .classes = (int)tdo_config_int(c, "model.classes")};
    return TDO_OK;
}

static void print_network(const struct tdo_network *n)
{
    const struct tdo_model_spec *s = &n->spec;
    printf("%s: %s [%s]\n", n->model->name, n->model->help, n->model->cite);
    printf("images %" PRId64 "x%" PRId64 "x%" PRId64 ", %d classes\n\n", s->height, s->width,
           s->channels, s->classes);
    for (int64_t i = 0; i < tdo_params_entries(n->params); i++) {
        const struct tdo_param *p = tdo_params_at(n->params, i);
        printf("%-32s %-18s %10" PRId64 "%s\n", p->name, tdo_shape_print(&p->shape).s, p->count,
               p->kind == TDO_PARAM_BUFFER ? "  buffer" : "");
    }
    for (int i = 0; i < n->defenses.count; i++) {
        printf("defense %s\n", n->defenses.use[i].row->name);
    }
    printf("\n%" PRId64 " parameters, %" PRId64 " numbers in buffers\n",
           tdo_params_count(n->params, TDO_PARAM_WEIGHT),
           tdo_params_count(n->params, TDO_PARAM_BUFFER));
}

static tdo_err info(struct tdo_job_context *c)
{
    struct tdo_network n;
    struct tdo_network_data size;
    const char *file = tdo_config_text(c->config, "model.file");
    if (file[0]) {
        TDO_TRY(tdo_network_load(file, NULL, &n));
    } else {
        TDO_TRY(choose_size(c->config, &size));
        TDO_TRY(tdo_network_configure(c->config, &size, &n));
    }
    print_network(&n);
    tdo_network_free(&n);
    return TDO_OK;
}

const struct tdo_job tdo_job_info = {
    .name = "info",
    .help = "print layers and parameter count of an architecture or a model file",
    .word = "config",
    .bit = TDO_JOB_info,
    .alone = true,
    .run = info,
};
