/* Rows of defenses in a network: one that would find nothing to do there is named. */
#include <string.h>

#include "defenses/defense.h"
#include "tests/nn/support.h"

const char suite_name[] = "defenses/defense";

static tdo_node same(struct tdo_build *b, const void *self, tdo_node x, int layer)
{
    (void)b;
    (void)self;
    (void)layer;
    return x;
}

static tdo_node same_activation(struct tdo_build *b, const void *self, tdo_node x)
{
    return same(b, self, x, 0);
}

static void hook_activation(struct tdo_hook *h)
{
    h->activation = same_activation;
}

static void hook_conv(struct tdo_hook *h)
{
    h->before_conv = same;
}

static void hook_weight(struct tdo_hook *h)
{
    h->weight = same;
}

static const struct tdo_defense activation = {.name = "row_a", .hook = hook_activation};
static const struct tdo_defense convolution = {.name = "row_c", .hook = hook_conv};
static const struct tdo_defense weight = {.name = "row_w", .hook = hook_weight};

static void add(const struct tdo_defense *row, struct tdo_defenses *d)
{
    struct tdo_defense_use *use = &d->use[d->count];
    *use = (struct tdo_defense_use){.row = row, .index = d->count++};
    d->hook[d->hooks] = (struct tdo_hook){.self = use};
    row->hook(&d->hook[d->hooks++]);
}

/* What is said of these rows in a network of one layer: 'c' a convolution, 'l' a linear one, 'a' an
 * activation, 'f' none of them. */
static tdo_err reach(const struct tdo_defenses *d, char layer)
{
    struct tdo_build b = {.row_weights = TDO_NONE, .keys = TDO_NONE};
    const struct tdo_layer_conv square = tdo_layer_square(3, 1, 1, false);
    ASSERT_OK_FATAL(tdo_graph_new(&b.g));
    ASSERT_OK_FATAL(tdo_params_new(&b.params));
    b.hook = d->hook;
    b.hooks = d->hooks;
    tdo_node image = tdo_op_input(b.g, "image", TDO_SHAPE(1, 4, 4, 1));
    tdo_node rows = tdo_layer_flatten(&b, image);
    if (layer == 'c') {
        (void)tdo_layer_conv(&b, "conv", image, 2, &square);
    } else if (layer == 'l') {
        (void)tdo_layer_linear(&b, "fc", rows, 2);
    } else if (layer == 'a') {
        (void)tdo_layer_activation(&b, rows);
    }
    ASSERT_OK(tdo_graph_check(b.g));
    const tdo_err err = tdo_defense_check_reach(d, &b, "tiny");
    tdo_graph_free(&b.g);
    tdo_params_free(&b.params);
    return err;
}

static void a_row_that_finds_nothing_to_do_is_named(void)
{
    static const struct {
        const struct tdo_defense *row;
        const char *does, *says; /* layers where it acts; what is missing elsewhere */
    } cases[] = {{&activation, "a", "activations"},
                 {&convolution, "c", "convolutions"},
                 {&weight, "cl", "layers with weights"}};
    for (int i = 0; i < 3; i++) {
        for (const char *layer = "acfl"; *layer; layer++) {
            struct tdo_defenses d = {.count = 0};
            add(cases[i].row, &d);
            const tdo_err err = reach(&d, *layer);
            CU_ASSERT_EQUAL(err, strchr(cases[i].does, *layer) ? TDO_OK : TDO_ERR_CONFIG);
            if (err != TDO_OK) {
                const char *said = tdo_error_last()->message;
                CU_ASSERT_PTR_NOT_NULL(strstr(said, "defense.0"));
                CU_ASSERT_PTR_NOT_NULL(strstr(said, cases[i].row->name));
                CU_ASSERT_PTR_NOT_NULL(strstr(said, "tiny"));
                CU_ASSERT_PTR_NOT_NULL(strstr(said, cases[i].says));
            }
        }
    }
}

static void two_rows_that_replace_activations_are_refused(void)
{
    struct tdo_defenses d = {.count = 0};
    add(&activation, &d);
    add(&weight, &d);
    add(&activation, &d);
    CU_ASSERT_EQUAL(reach(&d, 'a'), TDO_ERR_CONFIG);
    d = (struct tdo_defenses){.count = 0};
    add(&activation, &d);
    add(&activation, &d);
    CU_ASSERT_EQUAL(reach(&d, 'a'), TDO_ERR_CONFIG);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(tdo_error_last()->message, "defense.0 (row_a) and defense.1"));
    d = (struct tdo_defenses){.count = 0};
    add(&weight, &d);
    add(&weight, &d);
    CU_ASSERT_EQUAL(reach(&d, 'c'), TDO_OK);
}

CU_TestInfo suite_tests[] = {
    {"a row that finds nothing to do is named", a_row_that_finds_nothing_to_do_is_named},
    {"two rows that replace activations are refused",
     two_rows_that_replace_activations_are_refused},
    CU_TEST_INFO_NULL};
