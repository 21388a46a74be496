/* Our logits are PyTorch's: lenet and resnet20 (both shortcuts, evaluation mode with running
 * statistics that are not trivial) on weights and images that both sides compute from a hash.
 * torch_logits.h was written by tests/bench/torch_models.py. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "nn/models/models.h"
#include "tests/nn/models/torch_logits.h"
#include "tests/nn/support.h"

const char suite_name[] = "models/logits";

static const double tolerance = 1e-4; /* of logits of size 1 */

static uint32_t fnv(const char *s)
{
    uint32_t h = 2166136261U;
    for (; *s; s++) {
        h = (h ^ (unsigned char)*s) * 16777619U;
    }
    return h;
}

static bool ends_with(const char *s, const char *end)
{
    const size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

static void set_values(tdo_params *params)
{
    ASSERT_OK_FATAL(tdo_params_init(params, 1));
    for (int64_t i = 0; i < tdo_params_entries(params); i++) {
        const struct tdo_param *e = tdo_params_at(params, i);
        const bool norm = strstr(e->name, "bn") || strstr(e->name, "downsample.1");
        float *v = tdo_params_values(params, i);
        for (int64_t k = 0; k < e->count; k++) {
            const double u = probe_number(fnv(e->name), k);
            if (e->shape.rank > 1) {
                const int64_t fan_in = e->count / e->shape.dim[0];
                v[k] = (float)(u * (2 / sqrt((double)fan_in)));
            } else if (ends_with(e->name, "running_var")) {
                v[k] = (float)(1 + 0.5 * u);
            } else {
                v[k] = (float)(norm && ends_with(e->name, "weight") ? 1 + 0.25 * u : 0.125 * u);
            }
        }
    }
}

static void compare(const char *model, char shortcut, int64_t size, int64_t channels,
                    const double want[2][10])
{
    const struct tdo_model_spec spec = {.height = size,
                                        .width = size,
                                        .channels = channels,
                                        .classes = 10,
                                        .shortcut = shortcut};
    tdo_graph *g = NULL;
    tdo_params *params = NULL;
    ASSERT_OK_FATAL(tdo_graph_new(&g));
    ASSERT_OK_FATAL(tdo_params_new(&params));
    struct tdo_build b = {.g = g,
                          .params = params,
                          .norm = TDO_NORM_RUNNING,
                          .row_weights = TDO_NONE,
                          .keys = TDO_NONE};
    tdo_node x = tdo_op_input(g, "x", TDO_SHAPE(2, size, size, channels));
    tdo_node z = tdo_model_build(&b, tdo_model_find(model), &spec, x);
    set_values(params);
    for (enum arithmetic how = F64; how < ARITHMETICS; how++) {
        double got[2][10], pixels[2 * 32 * 32 * 3], worst = 0;
        const int64_t n = probe_count(g, x);
        for (int64_t i = 0; i < n; i++) {
            pixels[i] = probe_number(7, i) * 0.5 + 0.5;
        }
        tdo_plan *p = probe_plan(g, 1, &z, how, params);
        probe_set(p, x, how, n, pixels);
        ASSERT_OK_FATAL(tdo_plan_run(p));
        probe_get(p, 0, how, 20, got[0]);
        for (int i = 0; i < 20; i++) {
            worst = fmax(worst, fabs(got[i / 10][i % 10] - want[i / 10][i % 10]));
        }
        if (!(worst <= (how == F64 ? 1e-9 : tolerance))) {
            printf("%s %c, %s: off by %.1e\n", model, shortcut, arithmetic_name[how], worst);
        }
        CU_ASSERT_TRUE(worst <= (how == F64 ? 1e-9 : tolerance));
        tdo_plan_free(&p);
    }
    tdo_params_free(&params);
    tdo_graph_free(&g);
}

static void lenet_agrees(void)
{
    compare("lenet", 'A', 28, 1, torch_lenet);
}

static void resnet20_with_shortcut_a_agrees(void)
{
    compare("resnet20", 'A', 32, 3, torch_resnet20_a);
}

static void resnet20_with_shortcut_b_agrees(void)
{
    compare("resnet20", 'B', 32, 3, torch_resnet20_b);
}

CU_TestInfo suite_tests[] = {
    {"lenet gives PyTorch's logits", lenet_agrees},
    {"resnet20 with shortcut A gives PyTorch's logits", resnet20_with_shortcut_a_agrees},
    {"resnet20 with shortcut B gives PyTorch's logits", resnet20_with_shortcut_b_agrees},
    CU_TEST_INFO_NULL,
};
