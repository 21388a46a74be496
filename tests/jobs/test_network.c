/* Networks from model files: our own, which say what they hold, and PyTorch's, which do not.
 *
 * torch_resnet20.safetensors and the logits in torch_resnet20.h were written by PyTorch
 * (tests/bench/torch_models.py fixture): a resnet20 of a sixteenth of the width, so that the file
 * is small, with running statistics and batch counts. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "jobs/job.h"
#include "jobs/network.h"
#include "nn/base/file.h"
#include "nn/safetensors.h"
#include "tests/jobs/torch_resnet20.h"
#include "tests/nn/support.h"

const char suite_name[] = "network";

static const char *const torch_file = TDO_FIXTURES "/torch_resnet20.safetensors";
static char path[] = "test_network.XXXXXX.safetensors";

static void open_scratch(void)
{
    static bool done;
    if (!done) {
        int file = mkstemps(path, 12);
        CU_ASSERT_TRUE_FATAL(file >= 0);
        close(file);
        done = true;
    }
}

/* A config of these arguments, NULL-ended. */
static tdo_config *config(const char *const *argument)
{
    tdo_config *c = NULL;
    ASSERT_OK_FATAL(tdo_config_new(&tdo_job_schema, &c));
    for (int i = 0; argument[i]; i++) {
        ASSERT_OK_FATAL(tdo_config_set(c, argument[i]));
    }
    return c;
}
#define ARGUMENTS(...) ((const char *const[]){__VA_ARGS__, NULL})

typedef tdo_err opener(const tdo_config *, const char *, const struct tdo_network_data *,
                       struct tdo_network *);

static tdo_err open_with(opener *open, const char *file, const struct tdo_network_data *data,
                         const char *const *argument, struct tdo_network *n)
{
    tdo_config *c = config(argument);
    const tdo_err err = open(c, file, data, n);
    tdo_config_free(&c);
    return err;
}

/* It must fail, with this code and a message that holds both texts. */
static void must_refuse(const char *file, const struct tdo_network_data *data,
                        const char *const *argument, tdo_err code, const char *const says[2])
{
    struct tdo_network n;
    const tdo_err err = open_with(tdo_network_open, file, data, argument, &n);
    const char *said = tdo_error_last()->message;
    const bool fine = err == code && strstr(said, says[0]) && strstr(said, says[1]);
    if (!fine) {
        printf("%s ...: error %d, \"%s\"\n", argument[0] ? argument[0] : "", (int)err, said);
    }
    CU_ASSERT_TRUE(fine);
    if (err == TDO_OK) {
        tdo_network_free(&n);
    }
}

/* ---- PyTorch's file ------------------------------------------------------------------------------ */

#define NARROW "model.name=resnet20", "model.width=0.0625"
#define INPUT  "model.mean=0.4914,0.4822,0.4465", "model.std=0.2023,0.1994,0.2010"

static void pytorch_s_file_gives_its_logits(void)
{
    struct tdo_network n;
    tdo_graph *g = NULL;
    double pixels[2 * 32 * 32 * 3], got[20], worst = 0;
    ASSERT_OK_FATAL(
        open_with(tdo_network_open, torch_file, NULL, ARGUMENTS(NARROW, INPUT), &n));
    CU_ASSERT_TRUE(n.foreign);
    CU_ASSERT_EQUAL(n.spec.classes, 10);
    ASSERT_OK_FATAL(tdo_graph_new(&g));
    struct tdo_build b = tdo_network_build_context(&n, g, TDO_NORM_RUNNING);
    const tdo_node x = tdo_op_input(g, "x", TDO_SHAPE(2, 32, 32, 3));
    const tdo_node z = tdo_network_logits(&n, &b, x);
    tdo_plan *p = probe_plan(g, 1, &z, FAST, n.params);
    for (int i = 0; i < 2 * 32 * 32 * 3; i++) {
        pixels[i] = probe_number(7, i) * 0.5 + 0.5;
    }
    probe_set(p, x, FAST, 2 * 32 * 32 * 3, pixels);
    ASSERT_OK_FATAL(tdo_plan_run(p));
    probe_get(p, 0, FAST, 20, got);
    for (int i = 0; i < 20; i++) {
        worst = fmax(worst, fabs(got[i] - torch_narrow[i / 10][i % 10]));
    }
    CU_ASSERT_TRUE(worst <= 1e-5); /* of logits up to 0.3 */
    tdo_plan_free(&p);
    tdo_graph_free(&g);
    tdo_network_free(&n);
}

static void a_foreign_file_that_does_not_fit_is_refused_by_tensor(void)
{
    static const char *const missing[] = {"torch_resnet20.safetensors",
                                          "tensor layer1.3.conv1.weight of the model is "
                                          "missing"};
    static const char *const unexpected[] = {
        "torch_resnet20.safetensors", "tensor layer2.0.downsample.0.weight is unexpected"};
    static const char *const wide[] = {
        "torch_resnet20.safetensors",
        "tensor conv1.weight has shape [1,3,3,3], the model wants [2,3,3,3]"};
    static const char *const classes[] = {"torch_resnet20.safetensors",
                                          "fc.weight has shape [10,4], the model wants [5,4]"};
    static const char *const grey[] = {"torch_resnet20.safetensors", "conv1.weight"};
    static const char *const nameless[] = {"torch_resnet20.safetensors", "model.name"};
    const struct tdo_network_data five = {32, 32, 3, 5}, digits = {28, 28, 1, 10};
    const tdo_err bad = TDO_ERR_FORMAT;
    must_refuse(torch_file, NULL, ARGUMENTS("model.name=resnet32", "model.width=0.0625"), bad,
                missing);
    must_refuse(torch_file, NULL, ARGUMENTS(NARROW, "model.shortcut=A"), bad, unexpected);
    must_refuse(torch_file, NULL, ARGUMENTS("model.name=resnet20", "model.width=0.125"), bad,
                wide);
    must_refuse(torch_file, &five, ARGUMENTS(NARROW), bad, classes);
    must_refuse(torch_file, NULL, ARGUMENTS(NARROW, "model.classes=5"), bad, classes);
    must_refuse(torch_file, &digits, ARGUMENTS(NARROW), bad, grey);
    must_refuse(torch_file, NULL, ARGUMENTS("run.seed=1"), TDO_ERR_CONFIG, nameless);
}

/* ---- our files ------------------------------------------------------------------------------------ */

static const struct tdo_network_data toy = {1, 1, 2, 3};
static const struct tdo_network_data small_images = {8, 8, 3, 7};

/* A resnet20 (shortcut A, a sixteenth wide) for 8x8x3 images in 7 classes, with mean, std, brelu. */
static void write_ours(struct tdo_network *n)
{
    tdo_config *c =
        config(ARGUMENTS(NARROW, INPUT, "model.shortcut=A", "defense=gaussian,brelu",
                         "defense.0.sigma=0.5", "defense.1.t=1.5", "run.seed=3"));
    open_scratch();
    ASSERT_OK_FATAL(tdo_network_configure(c, &small_images, n));
    ASSERT_OK_FATAL(tdo_network_save(n, path));
    tdo_config_free(&c);
}

static bool same_values(const struct tdo_network *a, const struct tdo_network *b)
{
    bool same = tdo_params_entries(a->params) == tdo_params_entries(b->params);
    for (int64_t i = 0; same && i < tdo_params_entries(a->params); i++) {
        const struct tdo_param *e = tdo_params_at(a->params, i);
        same = strcmp(e->name, tdo_params_at(b->params, i)->name) == 0 &&
               memcmp(tdo_params_values(a->params, i), tdo_params_values(b->params, i),
                      (size_t)e->count * sizeof(float)) == 0;
    }
    return same;
}

static void a_config_that_leaves_the_network_out_takes_the_file_s(void)
{
    struct tdo_network written, n;
    uint64_t hash[2];
    write_ours(&written);
    ASSERT_OK_FATAL(
        open_with(tdo_network_open, path, &small_images, ARGUMENTS("run.seed=9"), &n));
    CU_ASSERT_FALSE(n.foreign);
    CU_ASSERT_STRING_EQUAL(n.model->name, "resnet20");
    CU_ASSERT_EQUAL(n.spec.shortcut, 'A');
    CU_ASSERT_EQUAL(n.spec.wide, 0.0625);
    CU_ASSERT_EQUAL(n.spec.classes, 7);
    CU_ASSERT_EQUAL(n.spec.inputs, 3);
    CU_ASSERT_EQUAL(n.spec.std[1], 0.1994);
    CU_ASSERT_EQUAL_FATAL(n.defenses.count, 1);
    CU_ASSERT_STRING_EQUAL(n.defenses.use[0].row->name, "brelu");
    CU_ASSERT_EQUAL(n.defenses.use[0].value[0], 1.5);
    CU_ASSERT_TRUE(same_values(&written, &n));
    ASSERT_OK(tdo_network_hash(&written, &hash[0]));
    ASSERT_OK(tdo_network_hash(&n, &hash[1]));
    CU_ASSERT_EQUAL(hash[0], hash[1]);
    tdo_network_free(&n);
    tdo_network_free(&written);
    unlink(path);
}

static void a_config_that_says_the_same_is_fine(void)
{
    struct tdo_network written, n;
    write_ours(&written);
    ASSERT_OK_FATAL(
        open_with(tdo_network_open, path, NULL,
                  ARGUMENTS(NARROW, INPUT, "model.shortcut=A", "model.classes=7",
                            "model.input=8,8,3", "defense=brelu", "defense.0.t=1.5"),
                  &n));
    tdo_network_free(&n);
    /* a defense that only shapes training says nothing of the network */
    ASSERT_OK_FATAL(open_with(tdo_network_open, path, NULL,
                              ARGUMENTS("defense=gaussian", "defense.0.sigma=0.25"), &n));
    CU_ASSERT_EQUAL(n.defenses.count, 1);
    tdo_network_free(&n);
    tdo_network_free(&written);
    unlink(path);
}

static void a_config_that_says_something_else_is_refused(void)
{
    static const struct {
        const char *argument[3], *key;
    } other[] = {
        {{"model.name=lenet"}, "model.name = 'lenet'"},
        {{"model.shortcut=B"}, "model.shortcut = B"},
        {{"model.width=0.5"}, "model.width = 0.5"},
        {{"model.classes=10"}, "model.classes = 10"},
        {{"model.input=32,32,3"}, "model.input = (32, 32, 3)"},
        {{"model.mean=0.5", "model.std=0.25"}, "model.mean = (0.5)"},
        {{"model.mean="}, "model.mean = ()"},
        {{"model.std=0.2023,0.1994,0.2"}, "model.std = (0.2023, 0.1994, 0.2)"},
        {{"defense=brelu", "defense.0.t=2"}, "defense lists"},
    };
    struct tdo_network written;
    write_ours(&written);
    for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
        must_refuse(path, NULL, other[i].argument, TDO_ERR_CONFIG,
                    (const char *const[2]){other[i].key, path});
    }
    must_refuse(path, &toy, ARGUMENTS("run.seed=1"), TDO_ERR_CONFIG,
                (const char *const[2]){"8x8x3", path});
    tdo_network_free(&written);
    unlink(path);
}

static void training_starts_with_the_defenses_of_the_config(void)
{
    struct tdo_network written, n, again;
    write_ours(&written);
    ASSERT_OK_FATAL(open_with(tdo_network_start, path, &small_images,
                              ARGUMENTS("defense=brelu", "defense.0.t=2"), &n));
    CU_ASSERT_EQUAL(n.defenses.use[0].value[0], 2);
    CU_ASSERT_EQUAL(n.spec.inputs, 3);
    CU_ASSERT_TRUE(same_values(&written, &n));
    ASSERT_OK_FATAL(tdo_network_save(&n, path));
    ASSERT_OK_FATAL(open_with(tdo_network_open, path, NULL, ARGUMENTS("run.seed=1"), &again));
    CU_ASSERT_EQUAL(again.defenses.use[0].value[0], 2);
    tdo_network_free(&again);
    tdo_network_free(&n);
    tdo_network_free(&written);
    unlink(path);
}

/* Take the description away: the key `testudo` of the metadata gets another name. */
static void make_foreign(void)
{
    char *bytes = NULL;
    int64_t size = 0;
    ASSERT_OK_FATAL(tdo_file_read(path, 1 << 24, &bytes, &size));
    char *key = strstr(bytes + 8, "\"testudo\"");
    CU_ASSERT_PTR_NOT_NULL_FATAL(key);
    memcpy(key, "\"another\"", 9);
    ASSERT_OK_FATAL(tdo_file_write(path, bytes, size));
    tdo_memory_free(&bytes);
}

static void the_last_layer_tells_the_classes_of_a_foreign_file(void)
{
    struct tdo_network written, n;
    write_ours(&written);
    make_foreign();
    ASSERT_OK_FATAL(open_with(tdo_network_open, path, NULL,
                              ARGUMENTS(NARROW, "model.shortcut=A", "defense=brelu"), &n));
    CU_ASSERT_TRUE(n.foreign);
    CU_ASSERT_EQUAL(n.spec.classes, 7);
    CU_ASSERT_EQUAL(n.defenses.count, 1);
    CU_ASSERT_TRUE(same_values(&written, &n));
    tdo_network_free(&n);
    must_refuse(path, &small_images, ARGUMENTS(NARROW, "model.shortcut=A", "model.classes=5"),
                TDO_ERR_CONFIG, (const char *const[2]){"model.classes = 5", "7 classes"});
    tdo_network_free(&written);
    unlink(path);
}

/* A file that holds the network of these arguments, for 8x8x3 images in 7 classes. */
static void write_network(const char *const *argument, struct tdo_network *n)
{
    tdo_config *c = config(argument);
    open_scratch();
    ASSERT_OK_FATAL(tdo_network_configure(c, &small_images, n));
    for (int64_t i = 0; i < tdo_params_entries(n->params); i++) {
        const struct tdo_param *e = tdo_params_at(n->params, i);
        for (int64_t k = 0; e->kind == TDO_PARAM_FIXED && k < e->count; k++) {
            tdo_params_values(n->params, i)[k] = (float)probe_number((uint32_t)i, k);
        }
    }
    ASSERT_OK_FATAL(tdo_network_save(n, path));
    tdo_config_free(&c);
}

static void must_come_back(const struct tdo_network *written, const char *const *argument)
{
    struct tdo_network n;
    uint64_t hash[2];
    ASSERT_OK_FATAL(open_with(tdo_network_open, path, NULL, argument, &n));
    CU_ASSERT_TRUE(same_values(written, &n));
    CU_ASSERT_EQUAL(n.spec.depth, written->spec.depth);
    CU_ASSERT_EQUAL(n.spec.inputs, written->spec.inputs);
    CU_ASSERT_EQUAL(n.spec.mean_image, written->spec.mean_image);
    CU_ASSERT_EQUAL(n.spec.contrast, written->spec.contrast);
    CU_ASSERT_EQUAL(n.spec.whiten, written->spec.whiten);
    ASSERT_OK(tdo_network_hash(written, &hash[0]));
    ASSERT_OK(tdo_network_hash(&n, &hash[1]));
    CU_ASSERT_EQUAL(hash[0], hash[1]);
    tdo_network_free(&n);
}

#define LEARNT "model.mean_image=true", "model.contrast=true", "model.whiten=true"

static void a_learnt_input_layer_travels_in_the_file(void)
{
    struct tdo_network written;
    uint64_t hash[2];
    write_network(ARGUMENTS(NARROW, LEARNT, "model.std=0.5"), &written);
    CU_ASSERT_STRING_EQUAL(tdo_params_at(written.params, 0)->name, "input.mean");
    must_come_back(&written, ARGUMENTS("run.seed=1"));
    must_come_back(&written, ARGUMENTS(NARROW, LEARNT, "model.std=0.5"));
    must_refuse(path, NULL, ARGUMENTS("model.contrast=false"), TDO_ERR_CONFIG,
                (const char *const[2]){"model.contrast = false", path});
    must_refuse(path, NULL, ARGUMENTS("model.mean=0.5", "model.std=0.5"), TDO_ERR_CONFIG,
                (const char *const[2]){"model.mean = (0.5)", path});
    ASSERT_OK(tdo_network_hash(&written, &hash[0]));
    tdo_params_values(written.params, 0)[0] += 1;
    ASSERT_OK(tdo_network_hash(&written, &hash[1]));
    CU_ASSERT_NOT_EQUAL(hash[0], hash[1]);
    make_foreign();
    must_refuse(path, &small_images, ARGUMENTS(NARROW), TDO_ERR_FORMAT,
                (const char *const[2]){path, "tensor input.mean is unexpected"});
    tdo_params_values(written.params, 0)[0] -= 1;
    must_come_back(&written, ARGUMENTS(NARROW, LEARNT, "model.std=0.5", "model.input=8,8,3"));
    tdo_network_free(&written);
    unlink(path);
}

static void input_layers_that_contradict_themselves_are_refused(void)
{
    static const struct {
        const char *argument[5], *says;
    } bad[] = {
        {{"model.name=mlp", "model.contrast=true"}, "model.contrast wants model.mean_image"},
        {{"model.name=mlp", "model.whiten=true"}, "model.whiten wants model.mean_image"},
        {{"model.name=mlp", "model.mean_image=true", "model.mean=0.5", "model.std=1"},
         "model.mean and model.mean_image"},
        {{"model.name=mlp", "model.std=1"}, "model.mean has 0 numbers"},
        {{"model.name=mlp", "model.mean_image=true", "model.std=1,2"},
         "model.std has 2 numbers"},
        {{"model.name=wrn", "model.depth=30"}, "model.depth = 30: wrn comes in depths 6n + 4"},
        {{"model.name=mlp", "model.depth=28"}, "model.depth = 28: mlp comes in one depth"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct tdo_network n;
        tdo_config *c = config(bad[i].argument);
        CU_ASSERT_EQUAL(tdo_network_configure(c, &small_images, &n), TDO_ERR_CONFIG);
        CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, bad[i].says));
        tdo_config_free(&c);
    }
}

static void the_depth_travels_in_the_file(void)
{
    struct tdo_network written;
    write_network(ARGUMENTS("model.name=wrn", "model.width=0.0625", "model.depth=16"),
                  &written);
    CU_ASSERT_EQUAL(written.spec.depth, 16);
    must_come_back(&written, ARGUMENTS("run.seed=1"));
    must_come_back(&written, ARGUMENTS("model.depth=16"));
    must_refuse(path, NULL, ARGUMENTS("model.depth=28"), TDO_ERR_CONFIG,
                (const char *const[2]){"model.depth = 28", "has depth 16"});
    tdo_json *model = NULL;
    CU_ASSERT_TRUE_FATAL(tdo_json_get(written.description, "model", &model));
    static const int64_t bad[] = {17, 4, 520, -2, INT64_MAX - 3};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        tdo_json_set_int(model, "depth", bad[i]);
        ASSERT_OK(tdo_network_save(&written, path));
        must_refuse(path, NULL, ARGUMENTS("run.seed=1"), TDO_ERR_FORMAT,
                    (const char *const[2]){path, "no depth of wrn"});
    }
    tdo_json_remove(model, "depth");
    ASSERT_OK(tdo_network_save(&written, path));
    must_refuse(path, NULL, ARGUMENTS("run.seed=1"), TDO_ERR_FORMAT,
                (const char *const[2]){path, "no depth of wrn"});
    tdo_json_free(&model);
    tdo_network_free(&written);
    unlink(path);
}

/* nin ends with a convolution. */
static void a_convolution_at_the_end_tells_the_classes_too(void)
{
    struct tdo_network written, n;
    write_network(ARGUMENTS("model.name=nin"), &written);
    make_foreign();
    ASSERT_OK_FATAL(open_with(tdo_network_open, path, NULL, ARGUMENTS("model.name=nin"), &n));
    CU_ASSERT_EQUAL(n.spec.classes, 7);
    CU_ASSERT_TRUE(same_values(&written, &n));
    tdo_network_free(&n);
    tdo_network_free(&written);
    unlink(path);
}

static void a_value_that_is_not_finite_is_refused(void)
{
    struct tdo_network written;
    write_ours(&written);
    tdo_params_values(written.params, 1)[0] = NAN;
    ASSERT_OK_FATAL(tdo_network_save(&written, path));
    must_refuse(path, NULL, ARGUMENTS("run.seed=1"), TDO_ERR_NUMERIC,
                (const char *const[2]){path, tdo_params_at(written.params, 1)->name});
    tdo_network_free(&written);
    unlink(path);
}

/* ---- networks that give images --------------------------------------------------------------- */

#define DENOISER "model.name=dunet", "model.width=0.03125"

static void a_denoiser_is_no_classifier(void)
{
    struct tdo_network n;
    tdo_config *c = config(ARGUMENTS(DENOISER));
    CU_ASSERT_EQUAL(tdo_network_configure(c, &small_images, &n), TDO_ERR_CONFIG);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(tdo_error_last()->message, "model.name = dunet gives images, not classes"));
    ASSERT_OK_FATAL(tdo_network_configure_any(c, &small_images, &n));
    CU_ASSERT_EQUAL(n.spec.classes, 0);
    open_scratch();
    ASSERT_OK_FATAL(tdo_network_save(&n, path));
    tdo_network_free(&n);
    tdo_config_free(&c);
    const char *const says[2] = {"gives images, not classes", "a classifier is expected"};
    must_refuse(path, NULL, ARGUMENTS("run.seed=1"), TDO_ERR_CONFIG, says);
    must_refuse(path, &small_images, ARGUMENTS("run.seed=1"), TDO_ERR_CONFIG, says);
    CU_ASSERT_EQUAL(
        open_with(tdo_network_start, path, &small_images, ARGUMENTS("run.seed=1"), &n),
        TDO_ERR_CONFIG);
}

/* Its file fits images of its size in any number of classes; logits are refused by the graph. */
static void a_file_of_a_denoiser_gives_images(void)
{
    struct tdo_network n;
    struct tdo_network_data data = small_images;
    tdo_graph *g = NULL;
    data.classes = 77;
    ASSERT_OK_FATAL(open_with(tdo_network_open_any, path, &data, ARGUMENTS("run.seed=1"), &n));
    CU_ASSERT_EQUAL(n.spec.classes, 0);
    for (int k = 0; k < 2; k++) {
        ASSERT_OK_FATAL(tdo_graph_new(&g));
        struct tdo_build b = tdo_network_build_context(&n, g, TDO_NORM_RUNNING);
        const tdo_shape s = TDO_SHAPE(2, data.height, data.width, data.channels);
        const tdo_node x = tdo_op_input(g, "x", s);
        const tdo_node y = k ? tdo_network_logits(&n, &b, x) : tdo_network_image(&n, &b, x);
        const tdo_shape got = tdo_graph_shape(g, y);
        CU_ASSERT_EQUAL(tdo_graph_check(g), k ? TDO_ERR_CONFIG : TDO_OK);
        CU_ASSERT_EQUAL(tdo_shape_equal(&s, &got), !k);
        tdo_graph_free(&g);
    }
    tdo_network_free(&n);
    data.height++;
    CU_ASSERT_EQUAL(open_with(tdo_network_open_any, path, &data, ARGUMENTS("run.seed=1"), &n),
                    TDO_ERR_CONFIG);
    CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, "is for images of"));
    unlink(path);
}

/* And a classifier is no denoiser. */
static void a_classifier_gives_no_images(void)
{
    struct tdo_network n;
    tdo_graph *g = NULL;
    tdo_config *c = config(ARGUMENTS(NARROW));
    ASSERT_OK_FATAL(tdo_network_configure_any(c, &small_images, &n));
    ASSERT_OK_FATAL(tdo_graph_new(&g));
    struct tdo_build b = tdo_network_build_context(&n, g, TDO_NORM_RUNNING);
    const tdo_shape s = TDO_SHAPE(1, n.spec.height, n.spec.width, n.spec.channels);
    (void)tdo_network_image(&n, &b, tdo_op_input(g, "x", s));
    CU_ASSERT_EQUAL(tdo_graph_check(g), TDO_ERR_CONFIG);
    CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, "a denoiser is expected"));
    tdo_graph_free(&g);
    tdo_network_free(&n);
    tdo_config_free(&c);
}

CU_TestInfo suite_tests[] = {
    {"a file that PyTorch wrote gives PyTorch's logits", pytorch_s_file_gives_its_logits},
    {"a foreign file that does not fit is refused, file and tensor named",
     a_foreign_file_that_does_not_fit_is_refused_by_tensor},
    {"a config that leaves the network out takes the file's",
     a_config_that_leaves_the_network_out_takes_the_file_s},
    {"a config that says the same as the file is fine", a_config_that_says_the_same_is_fine},
    {"a config that says something else than the file is refused",
     a_config_that_says_something_else_is_refused},
    {"training starts with the defenses of the config",
     training_starts_with_the_defenses_of_the_config},
    {"the last layer tells the classes of a foreign file",
     the_last_layer_tells_the_classes_of_a_foreign_file},
    {"a learnt input layer travels in the file", a_learnt_input_layer_travels_in_the_file},
    {"input layers and depths that contradict themselves are refused",
     input_layers_that_contradict_themselves_are_refused},
    {"the depth travels in the file", the_depth_travels_in_the_file},
    {"a convolution at the end tells the classes too",
     a_convolution_at_the_end_tells_the_classes_too},
    {"a value that is not finite is refused", a_value_that_is_not_finite_is_refused},
    {"a denoiser is refused where a classifier is expected", a_denoiser_is_no_classifier},
    {"a file of a denoiser gives images, in any number of classes",
     a_file_of_a_denoiser_gives_images},
    {"a classifier gives no images", a_classifier_gives_no_images},
    CU_TEST_INFO_NULL,
};
