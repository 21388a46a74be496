/* The parameter table: names, offsets, starting values (their laws, and that they are a function
 * of seed and index), and the checks. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "nn/params.h"
#include "tests/runner.h"

const char suite_name[] = "params";

enum { MANY = 40000 };

static tdo_params *one(enum tdo_init init, uint32_t seed)
{
    tdo_params *p = NULL;
    int64_t index;
    ASSERT_OK_FATAL(tdo_params_new(&p));
    const struct tdo_param e = {
        .name = "w", .shape = TDO_SHAPE(200, 200), .init = init, .fan_in = 50, .fan_out = 100};
    ASSERT_OK_FATAL(tdo_params_add(p, &e, &index));
    ASSERT_OK_FATAL(tdo_params_init(p, seed));
    return p;
}

static void each_law_has_its_moments(void)
{
    /* half width of a uniform law, or 0; standard deviation */
    const struct {
        enum tdo_init init;
        double mean, width, deviation;
    } laws[] = {
        {TDO_INIT_ZERO, 0, 0, 0},
        {TDO_INIT_ONE, 1, 0, 0},
        {TDO_INIT_FAN_IN_UNIFORM, 0, sqrt(1.0 / 50), sqrt(1.0 / 150)},
        {TDO_INIT_GLOROT_UNIFORM, 0, sqrt(6.0 / 150), sqrt(2.0 / 150)},
        {TDO_INIT_KAIMING_NORMAL, 0, 0, sqrt(2.0 / 100)},
        {TDO_INIT_KAIMING_IN, 0, 0, sqrt(2.0 / 50)},
        /* 1 - 4 phi(2) / (2 Phi(2) - 1) is the variance of a normal law cut off at 2 */
        {TDO_INIT_TRUNCATED, 0, 0.2, 0.1 * sqrt(0.7737413)},
        {TDO_INIT_TENTH, (double)0.1F, 0, 0},
        {TDO_INIT_SMALL, 0, 0, 0.02},
        {TDO_INIT_NEAR_ONE, 1, 0, 0.02},
    };
    for (size_t k = 0; k < sizeof laws / sizeof *laws; k++) {
        tdo_params *p = one(laws[k].init, 3);
        const float *v = tdo_params_values(p, 0);
        double sum = 0, square = 0, largest = 0;
        for (int i = 0; i < MANY; i++) {
            const double d = (double)v[i] - laws[k].mean;
            sum += d;
            square += d * d;
            largest = fmax(largest, fabs(d));
        }
        const double s = laws[k].deviation;
        CU_ASSERT_TRUE(fabs(sum / MANY) <= 5 * s / sqrt(MANY));
        CU_ASSERT_TRUE(fabs(sqrt(square / MANY) - s) <= 0.02 * s);
        if (laws[k].width > 0) {
            CU_ASSERT_TRUE(largest <= laws[k].width * (1 + 1e-6));
            CU_ASSERT_TRUE(largest >= 0.999 * laws[k].width);
        }
        tdo_params_free(&p);
    }
}

static void values_are_a_function_of_seed_and_index(void)
{
    tdo_params *a = one(TDO_INIT_KAIMING_NORMAL, 3), *b = one(TDO_INIT_KAIMING_NORMAL, 3);
    tdo_params *c = one(TDO_INIT_KAIMING_NORMAL, 4), *d = NULL;
    const size_t bytes = MANY * sizeof(float);
    CU_ASSERT_EQUAL(memcmp(tdo_params_values(a, 0), tdo_params_values(b, 0), bytes), 0);
    CU_ASSERT_NOT_EQUAL(memcmp(tdo_params_values(a, 0), tdo_params_values(c, 0), bytes), 0);
    ASSERT_OK_FATAL(tdo_params_new(&d)); /* the same entry, but the second one */
    struct tdo_param e = *tdo_params_at(a, 0);
    int64_t index;
    const struct tdo_param other = {.name = "v", .shape = TDO_SHAPE(7)};
    ASSERT_OK_FATAL(tdo_params_add(d, &other, &index));
    ASSERT_OK_FATAL(tdo_params_add(d, &e, &index));
    ASSERT_OK_FATAL(tdo_params_init(d, 3));
    CU_ASSERT_EQUAL(index, 1);
    CU_ASSERT_NOT_EQUAL(memcmp(tdo_params_values(a, 0), tdo_params_values(d, 1), bytes), 0);
    ASSERT_OK_FATAL(tdo_params_init(a, 3)); /* starting again */
    CU_ASSERT_EQUAL(memcmp(tdo_params_values(a, 0), tdo_params_values(b, 0), bytes), 0);
    tdo_params_free(&a);
    tdo_params_free(&b);
    tdo_params_free(&c);
    tdo_params_free(&d);
}

static void entries_lie_one_after_the_other(void)
{
    tdo_params *p = NULL;
    int64_t index;
    ASSERT_OK_FATAL(tdo_params_new(&p));
    for (int i = 0; i < 100; i++) {
        char name[16];
        snprintf(name, sizeof name, "p%d", i);
        const struct tdo_param e = {.name = name,
                                    .shape = TDO_SHAPE(i + 1, 2),
                                    .kind = (enum tdo_param_kind)(i % TDO_PARAM_KINDS)};
        ASSERT_OK_FATAL(tdo_params_add(p, &e, &index));
        CU_ASSERT_EQUAL(index, i);
        ASSERT_OK_FATAL(tdo_params_add(p, &e, &index)); /* found again */
        CU_ASSERT_EQUAL(index, i);
    }
    CU_ASSERT_PTR_NULL(tdo_params_values(p, 0));
    ASSERT_OK_FATAL(tdo_params_init(p, 1));
    int64_t at[TDO_PARAM_KINDS] = {0};
    for (int i = 0; i < 100; i++) {
        const struct tdo_param *e = tdo_params_at(p, i);
        CU_ASSERT_EQUAL(e->offset, at[e->kind]);
        CU_ASSERT_PTR_EQUAL(tdo_params_values(p, i), tdo_params_block(p, e->kind) + e->offset);
        CU_ASSERT_PTR_EQUAL(tdo_params_for_plan(p, i), tdo_params_values(p, i));
        at[e->kind] += 2 * (i + 1);
    }
    CU_ASSERT_EQUAL(tdo_params_entries(p), 100);
    CU_ASSERT_EQUAL(tdo_params_count(p, TDO_PARAM_WEIGHT), at[TDO_PARAM_WEIGHT]);
    CU_ASSERT_EQUAL(tdo_params_count(p, TDO_PARAM_BUFFER), at[TDO_PARAM_BUFFER]);
    CU_ASSERT_EQUAL(tdo_params_count(p, TDO_PARAM_FIXED), at[TDO_PARAM_FIXED]);
    CU_ASSERT_EQUAL(tdo_params_find(p, "p57"), 57);
    CU_ASSERT_EQUAL(tdo_params_find(p, "p100"), -1);
    tdo_params_free(&p);
}

static void another_shape_or_a_late_entry_is_refused(void)
{
    tdo_params *p = one(TDO_INIT_ONE, 1);
    int64_t index;
    const struct tdo_param shape = {.name = "w", .shape = TDO_SHAPE(200, 100)};
    const struct tdo_param late = {.name = "v", .shape = TDO_SHAPE(2)};
    CU_ASSERT_EQUAL(tdo_params_add(p, &shape, &index), TDO_ERR_SHAPE);
    CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, "[200,100]"));
    CU_ASSERT_EQUAL(tdo_params_add(p, &late, &index), TDO_ERR_BUG);
    CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, "v"));
    tdo_params_free(&p);
}

static void a_value_that_is_not_finite_is_named(void)
{
    tdo_params *p = one(TDO_INIT_ONE, 1);
    ASSERT_OK(tdo_params_check_finite(p));
    tdo_params_values(p, 0)[777] = NAN;
    CU_ASSERT_EQUAL(tdo_params_check_finite(p), TDO_ERR_NUMERIC);
    CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, "777"));
    tdo_params_values(p, 0)[777] = -INFINITY;
    CU_ASSERT_EQUAL(tdo_params_check_finite(p), TDO_ERR_NUMERIC);
    tdo_params_free(&p);
}

static void a_small_start_is_for_weights_and_scales(void)
{
    const struct {
        struct tdo_param entry;
        enum tdo_init want;
    } cases[] = {
        {{.name = "conv", .shape = TDO_SHAPE(2, 2, 3, 3), .init = TDO_INIT_KAIMING_NORMAL},
         TDO_INIT_SMALL},
        {{.name = "fc", .shape = TDO_SHAPE(2, 2), .init = TDO_INIT_TRUNCATED}, TDO_INIT_SMALL},
        {{.name = "fc.bias", .shape = TDO_SHAPE(2), .init = TDO_INIT_FAN_IN_UNIFORM},
         TDO_INIT_FAN_IN_UNIFORM},
        {{.name = "scale", .shape = TDO_SHAPE(2), .init = TDO_INIT_ONE, .norm = true},
         TDO_INIT_NEAR_ONE},
        {{.name = "shift", .shape = TDO_SHAPE(2), .norm = true}, TDO_INIT_ZERO},
        {{.name = "var", .shape = TDO_SHAPE(2), .kind = TDO_PARAM_BUFFER, .init = TDO_INIT_ONE},
         TDO_INIT_ONE},
        {{.name = "alpha", .shape = TDO_SHAPE(2, 2), .init = TDO_INIT_VALUE, .owner = "pni"},
         TDO_INIT_VALUE}};
    tdo_params *p = NULL;
    int64_t index;
    ASSERT_OK_FATAL(tdo_params_new(&p));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ASSERT_OK_FATAL(tdo_params_add(p, &cases[i].entry, &index));
    }
    tdo_params_start_small(p);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CU_ASSERT_EQUAL(tdo_params_at(p, (int64_t)i)->init, cases[i].want);
    }
    tdo_params_free(&p);
}

CU_TestInfo suite_tests[] = {
    {"each law of initialisation has its moments", each_law_has_its_moments},
    {"a small start is for weights and scales", a_small_start_is_for_weights_and_scales},
    {"starting values are a function of seed and index",
     values_are_a_function_of_seed_and_index},
    {"entries lie one after the other", entries_lie_one_after_the_other},
    {"another shape or a late entry is refused", another_shape_or_a_late_entry_is_refused},
    {"a value that is not finite is named", a_value_that_is_not_finite_is_named},
    CU_TEST_INFO_NULL,
};
