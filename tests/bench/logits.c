/* Logits of a model file, for tests/bench/torch_models.py to compare with PyTorch's.
 *
 *   logits PIXELS model.file=FILE [model.name=... key=value ...]
 *
 * PIXELS holds images of the network's size, f32 in [0,1], row-major [N,H,W,C], little-endian.
 * Prints the logits, one image a line; of a denoiser the pixels that it gives. A tool, not a test. */
#include <stdio.h>

#include "jobs/job.h"
#include "jobs/network.h"
#include "nn/base/exact.h"
#include "nn/base/file.h"
#include "nn/base/log.h"
#include "nn/graph/plan.h"

static tdo_err print_logits(struct tdo_network *n, const float *pixels, int64_t rows)
{
    const struct tdo_model_spec *s = &n->spec;
    const tdo_shape shape = TDO_SHAPE(rows, s->height, s->width, s->channels);
    tdo_graph *g = NULL;
    tdo_plan *plan = NULL;
    tdo_err err = TDO_OK;
    TDO_GOTO(tdo_graph_new(&g));
    struct tdo_build b = tdo_network_build_context(n, g, TDO_NORM_RUNNING);
    b.keys = tdo_op_key(g, "keys", rows);
    const tdo_node x = tdo_op_input(g, "pixels", shape);
    const bool image = n->model->output == TDO_MODEL_IMAGE;
    const tdo_node z = image ? tdo_network_image(n, &b, x) : tdo_network_logits(n, &b, x);
    const struct tdo_plan_options options = {
        .fast = true, .param = tdo_params_for_plan, .context = n->params};
    TDO_GOTO(tdo_plan_new(g, 1, &z, &options, &plan));
    float *to = tdo_plan_input(plan, x);
    for (int64_t i = 0; i < tdo_shape_count(&shape); i++) {
        to[i] = pixels[i];
    }
    TDO_GOTO(tdo_plan_run(plan));
    const float *logits = tdo_plan_output(plan, 0);
    const int64_t row = image ? tdo_shape_count(&shape) / rows : s->classes;
    for (int64_t i = 0; i < rows * row; i++) {
        printf("%.9g%c", (double)logits[i], (i + 1) % row ? ' ' : '\n');
    }
done:
    tdo_plan_free(&plan);
    tdo_graph_free(&g);
    return err;
}

static tdo_err run(int argc, char **argv, tdo_config *c)
{
    struct tdo_network n = {0};
    char *pixels = NULL;
    int64_t bytes = 0;
    tdo_err err = TDO_OK;
    for (int i = 2; i < argc; i++) {
        TDO_TRY(tdo_config_set(c, argv[i]));
    }
    TDO_TRY(tdo_network_open_any(c, tdo_config_text(c, "model.file"), NULL, &n));
    const int64_t row = n.spec.height * n.spec.width * n.spec.channels * 4;
    TDO_GOTO(tdo_file_read(argv[1], INT64_C(1) << 30, &pixels, &bytes));
    if (bytes == 0 || bytes % row != 0) {
        TDO_GOTO(TDO_FAIL(TDO_ERR_FORMAT, "%s: %lld bytes are no images of %lld bytes", argv[1],
                          (long long)bytes, (long long)row));
    }
    err = print_logits(&n, (const float *)(const void *)pixels, bytes / row);
done:
    tdo_memory_free(&pixels);
    tdo_network_free(&n);
    return err;
}

int main(int argc, char **argv)
{
    tdo_config *c = NULL;
    tdo_err err = argc < 3 ? TDO_FAIL(TDO_ERR_USAGE, "usage: logits PIXELS model.file=FILE ...")
                           : tdo_config_new(&tdo_job_schema, &c);
    err = err == TDO_OK ? run(argc, argv, c) : err;
    if (err != TDO_OK) {
        tdo_log_error();
    }
    tdo_config_free(&c);
    tdo_exact_cleanup();
    return tdo_error_exit_code(err);
}
