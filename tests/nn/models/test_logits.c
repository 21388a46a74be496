/* Our logits are PyTorch's: evaluation mode with running statistics that are not trivial, on
 * weights and images that both sides compute from a hash.
 * torch_logits.h was written by tests/bench/torch_models.py. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "nn/models/models.h"
#include "tests/nn/models/torch_logits.h"
#include "tests/nn/support.h"

const char suite_name[] = "models/logits";

static const double tolerance =
    1e-4; /* of logits of size 1; of larger ones relative to the largest */

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

enum { LARGEST = 96 * 96 * 3 };
static double pixels[2 * LARGEST], given[2 * LARGEST];

static void compare(const char *model, struct tdo_model_spec spec, const double want[2][10])
{
    spec.classes = 10;
    tdo_graph *g = NULL;
    tdo_params *params = NULL;
    ASSERT_OK_FATAL(tdo_graph_new(&g));
    ASSERT_OK_FATAL(tdo_params_new(&params));
    struct tdo_build b = {.g = g,
                          .params = params,
                          .norm = TDO_NORM_RUNNING,
                          .row_weights = TDO_NONE,
                          .keys = TDO_NONE};
    tdo_node x = tdo_op_input(g, "x", TDO_SHAPE(2, spec.height, spec.width, spec.channels));
    CU_ASSERT_FATAL(spec.height * spec.width * spec.channels <= LARGEST);
    tdo_node z = tdo_model_build(&b, tdo_model_find(model), &spec, x);
    set_values(params);
    for (enum arithmetic how = F64; how < ARITHMETICS; how++) {
        double worst = 0, largest = 1;
        const int64_t n = probe_count(g, x);
        for (int64_t i = 0; i < n; i++) {
            pixels[i] = probe_number(7, i) * 0.5 + 0.5;
        }
        tdo_plan *p = probe_plan(g, 1, &z, how, params);
        probe_set(p, x, how, n, pixels);
        ASSERT_OK_FATAL(tdo_plan_run(p));
        const int64_t row = probe_count(g, z) / 2;
        probe_get(p, 0, how, 2 * row, given);
        for (int i = 0; i < 20; i++) { /* of an image ten numbers, equally far apart */
            const double got = given[i / 10 * row + i % 10 * row / 10];
            worst = fmax(worst, fabs(got - want[i / 10][i % 10]));
            largest = fmax(largest, fabs(want[i / 10][i % 10]));
        }
        worst /= largest;
        if (!(worst <= (how == F64 ? 1e-9 : tolerance))) {
            printf("%s, %s: off by %.1e\n", model, arithmetic_name[how], worst);
        }
        CU_ASSERT_TRUE(worst <= (how == F64 ? 1e-9 : tolerance));
        tdo_plan_free(&p);
    }
    tdo_params_free(&params);
    tdo_graph_free(&g);
}

static const struct tdo_model_spec grey = {.height = 28, .width = 28, .channels = 1};
static const struct tdo_model_spec colour = {.height = 32, .width = 32, .channels = 3};

static void lenet_agrees(void)
{
    compare("lenet", grey, torch_lenet);
}

static void resnet20_agrees(void)
{
    struct tdo_model_spec spec = colour;
    spec.shortcut = 'A';
    compare("resnet20", spec, torch_resnet20_a);
    spec.shortcut = 'B';
    compare("resnet20", spec, torch_resnet20_b);
}

static void nets_of_deep_defense_agree(void)
{
    compare("convnet", colour, torch_convnet);
    compare("nin", colour, torch_nin);
}

static void mnist_nets_of_adversarial_training_agree(void)
{
    compare("madry_mnist", grey, torch_madry_mnist);
    compare("small_cnn", grey, torch_small_cnn);
}

static void alexnet_agrees(void)
{
    struct tdo_model_spec spec = {.height = 96, .width = 96, .channels = 3, .wide = 0.03125};
    compare("alexnet", spec, torch_alexnet);
}

static void resnet18_agrees(void)
{
    struct tdo_model_spec spec = {.height = 65, .width = 65, .channels = 3, .wide = 0.125};
    compare("resnet18", spec, torch_resnet18);
}

static void wrn_agrees(void)
{
    struct tdo_model_spec spec = colour;
    spec.depth = 16;
    spec.wide = 1; /* the first group has no shortcut */
    compare("wrn", spec, torch_wrn_16_1);
    spec.depth = 10;
    spec.wide = 2;
    compare("wrn", spec, torch_wrn_10_2);
}

static void bottlenecks_agree(void)
{
    struct tdo_model_spec spec = {.height = 65, .width = 65, .channels = 3, .wide = 0.0625};
    compare("resnet50", spec, torch_resnet50);
    compare("resnet152", spec, torch_resnet152);
    spec = colour;
    spec.wide = 0.0625;
    compare("resnext29", spec, torch_resnext29);
}

static void inception_agrees(void)
{
    const struct tdo_model_spec spec = {.height = 75, .width = 75, .channels = 3};
    compare("inception_v3", spec, torch_inception_v3);
}

static void denoisers_agree(void)
{
    struct tdo_model_spec spec = {.height = 21, .width = 21, .channels = 3, .wide = 0.0625};
    compare("dunet", spec, torch_dunet);
    spec.height = spec.width = 18;
    compare("dae", spec, torch_dae);
}

static void nets_for_stl10_agree(void)
{
    struct tdo_model_spec spec = {.height = 96, .width = 96, .channels = 3, .wide = 0.25};
    compare("model_a", spec, torch_model_a);
    spec.wide = 0.125;
    compare("aaron", spec, torch_aaron);
}

CU_TestInfo suite_tests[] = {
    {"lenet gives PyTorch's logits", lenet_agrees},
    {"resnet20 gives PyTorch's logits with both shortcuts", resnet20_agrees},
    {"convnet and nin give PyTorch's logits", nets_of_deep_defense_agree},
    {"madry_mnist and small_cnn give PyTorch's logits",
     mnist_nets_of_adversarial_training_agree},
    {"alexnet gives PyTorch's logits", alexnet_agrees},
    {"resnet18 gives PyTorch's logits", resnet18_agrees},
    {"wrn gives PyTorch's logits, with and without a shortcut in its first group", wrn_agrees},
    {"resnet50, resnet152 and resnext29 give PyTorch's logits", bottlenecks_agree},
    {"inception_v3 gives torchvision's logits", inception_agrees},
    {"dunet and dae give PyTorch's images", denoisers_agree},
    {"model_a and aaron give PyTorch's logits", nets_for_stl10_agree},
    CU_TEST_INFO_NULL,
};
