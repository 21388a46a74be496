/* The table of attacks, options as rows see them, and what happens when memory ends. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/attacks/support.h"

const char suite_name[] = "attack";

enum { N = 2, PIXELS = 36 };

static bool says(const char *words)
{
    return strstr(tdo_error_last()->message, words) != NULL;
}

static void rows_are_found_by_their_names(void)
{
    int rows = 0;
    for (; tdo_attack_table[rows]; rows++) {
        const struct tdo_attack *row = tdo_attack_table[rows];
        CU_ASSERT_PTR_EQUAL(tdo_attack_find(row->name), row);
        CU_ASSERT_STRING_EQUAL(tdo_attack_name(rows), row->name);
        CU_ASSERT_PTR_EQUAL(tdo_attack_options(rows), row->options);
    }
    CU_ASSERT_PTR_NULL(tdo_attack_name(rows));
    CU_ASSERT_PTR_NULL(tdo_attack_find("pg"));
}

static void options_reach_the_threat_and_the_target(void)
{
    struct tdo_attack_use use;
    toy_use("pgd",
            "eps=16/255,0.25 norm=l2 units=input box=none draws=3 reduce=logits "
            "redraw=attack auxiliary=0.5 models=a,b",
            &use);
    CU_ASSERT_EQUAL(use.threat.norm, TDO_NORM_L2);
    CU_ASSERT_EQUAL(use.threat.units, TDO_UNITS_INPUT);
    CU_ASSERT_FALSE(use.threat.boxed);
    CU_ASSERT_EQUAL(use.threat.eps, 16 / 255.0);
    CU_ASSERT_EQUAL(tdo_attack_list(&use, "eps")->count, 2);
    CU_ASSERT_EQUAL(tdo_attack_list(&use, "eps")->of[1], 0.25);
    CU_ASSERT_EQUAL(use.target.draws, 3);
    CU_ASSERT_EQUAL(use.target.reduce, TDO_REDUCE_LOGITS);
    CU_ASSERT_EQUAL(use.target.redraw, TDO_REDRAW_ATTACK);
    CU_ASSERT_EQUAL(use.target.units, TDO_UNITS_INPUT);
    CU_ASSERT_EQUAL(use.target.auxiliary, 0.5);
    CU_ASSERT_EQUAL(use.target.purpose, TDO_PURPOSE_ATTACK_DRAW);
    CU_ASSERT_STRING_EQUAL(use.models, "a,b");
    CU_ASSERT_EQUAL(tdo_attack_value(&use, "theta", 42), 42);
    toy_use("jsma", "theta=-0.25", &use);
    CU_ASSERT_EQUAL(tdo_attack_value(&use, "theta", 42), -0.25);
    CU_ASSERT_EQUAL(use.threat.norm, TDO_NORM_L0);
    CU_ASSERT_EQUAL(use.threat.eps, HUGE_VAL);
    CU_ASSERT_TRUE(use.threat.boxed);
    CU_ASSERT_PTR_NULL(tdo_attack_list(&use, "eps"));
    toy_use_free();
}

static void what_cannot_be_is_refused_in_words(void)
{
    static const char *const wrong[][3] = {
        {"pgd", "eps=8", "attack.0.eps = 8 leaves the box"},
        {"pgd", "eps=0.1,2", "attack.0.eps = 2 leaves the box"},
        {"pgd", "eps=6.1 norm=l2", "than 6 in l2"},
        {"pgd", "loss=kl label=least", "attack.0.loss"},
        {"pgd", "loss=kl start=none", "attack.0.start"},
        {"ifgsm", "ladder=1,2,3 decay=1,0.5", "attack.0.decay has 2 numbers"},
        {"fgsm", "eps=0.2,0.1 eps_from=0.15",
         "attack.0.eps_from = 0.15: no more than eps = 0.1"},
        {"pgd", "eps_grid=1/255", "eps_from expected, too"},
        {"pgd", "eps=0.25 eps_from=0.22 eps_grid=0.1", "no multiple of it lies between"},
    };
    struct toy *toy = toy_new(&(struct toy_spec){.kind = TOY_LINEAR});
    for (int k = 0; k < (int)(sizeof wrong / sizeof *wrong); k++) {
        struct tdo_attack_use use;
        toy_use(wrong[k][0], wrong[k][1], &use);
        tdo_target *t = toy_target(toy, 1, &use);
        CU_ASSERT_EQUAL(tdo_attack_check(&use, t), TDO_ERR_CONFIG);
        CU_ASSERT_TRUE(says(wrong[k][2]));
        tdo_target_free(&t);
    }
    toy_use_free();
    toy_free(&toy);
}

static void only_what_needs_gradients_asks_for_them(void)
{
    struct toy *toy = toy_new(&(struct toy_spec){.kind = TOY_LINEAR});
    toy->net.gradient = false;
    for (int r = 0; tdo_attack_table[r]; r++) {
        const struct tdo_attack *row = tdo_attack_table[r];
        struct tdo_attack_use use;
        toy_use(row->name, strcmp(row->name, "transfer") == 0 ? "from=a.h5" : "", &use);
        tdo_target *t = toy_target(toy, 1, &use);
        const bool refused = tdo_attack_check(&use, t) == TDO_ERR_CONFIG && says("bf16");
        CU_ASSERT_EQUAL(refused, row->needs == TDO_NEEDS_GRADIENT);
        tdo_target_free(&t);
        toy_use_free();
    }
    toy_free(&toy);
}

static void streams_differ_by_row_layer_sample_draw_and_moment(void)
{
    struct tdo_attack_use use;
    float u[6][8];
    toy_use("pgd", "", &use);
    tdo_attack_uniforms(&use, 0, 1, 2, 8, u[0]);
    tdo_attack_uniforms(&use, 1, 1, 2, 8, u[1]);
    tdo_attack_uniforms(&use, 0, 2, 2, 8, u[2]);
    tdo_attack_uniforms(&use, 0, 1, 3, 8, u[3]);
    use.moment = 1;
    tdo_attack_uniforms(&use, 0, 1, 2, 8, u[4]);
    use.moment = 0;
    use.index = 1;
    tdo_attack_uniforms(&use, 0, 1, 2, 8, u[5]);
    for (int i = 0; i < 6; i++) {
        for (int j = 0; j < i; j++) {
            CU_ASSERT_NOT_EQUAL(memcmp(u[i], u[j], sizeof u[i]), 0);
        }
    }
    toy_use_free();
}

/* ---- the eps of a sample -------------------------------------------------------------------------- */

static void drawn_eps_are_levels_of_the_grid_equally_often(void)
{
    enum { LEVELS = 15, EACH = 1000 };
    struct tdo_attack_use use;
    int count[LEVELS + 1] = {0};
    double squares = 0;
    toy_use("random_noise", "eps=15/255 eps_from=1/255 eps_grid=1/255", &use);
    for (uint64_t id = 0; id < LEVELS * EACH; id++) {
        const double eps = tdo_attack_eps(&use, id), level = rint(255 * eps);
        CU_ASSERT_TRUE_FATAL(fabs(255 * eps - level) < 1e-9 && level >= 1 && level <= LEVELS);
        CU_ASSERT_TRUE(eps <= use.threat.eps && eps == tdo_attack_eps(&use, id));
        count[(int)level]++;
    }
    for (int k = 1; k <= LEVELS; k++) {
        squares += (count[k] - EACH) * (double)(count[k] - EACH) / EACH;
    }
    CU_ASSERT_TRUE(squares < 42.6);        /* chi square of 14: one seed in 10^4 is beyond */
    for (uint64_t id = 0; id < 20; id++) { /* of every attack with a ball alike */
        struct tdo_attack_use other;
        const double eps = tdo_attack_eps(&use, id);
        toy_use("ifgsm", "eps=15/255 eps_from=1/255 eps_grid=1/255", &other);
        CU_ASSERT_EQUAL(tdo_attack_eps(&other, id), eps);
        CU_ASSERT_STRING_EQUAL(tdo_attack_title(&other).s,
                               "ifgsm linf 0.00392157 to 0.0588235");
    }
    use.threat.eps = 0.5 / 255; /* a smaller attack of the same row, in training */
    CU_ASSERT_EQUAL(tdo_attack_eps(&use, 3), 0.5 / 255);
    toy_use_free();
}

static void drawn_eps_without_a_grid_fill_their_range(void)
{
    enum { IDS = 4000, PARTS = 8 };
    struct tdo_attack_use use;
    int count[PARTS] = {0};
    toy_use("pgd", "eps=0.3 eps_from=0.1", &use);
    for (uint64_t id = 0; id < IDS; id++) {
        const double part = (tdo_attack_eps(&use, id) - 0.1) / 0.2 * PARTS;
        CU_ASSERT_TRUE_FATAL(part >= 0 && part < PARTS);
        count[(int)part]++;
    }
    for (int k = 0; k < PARTS; k++) { /* 500 expected, standard deviation 21 */
        CU_ASSERT_TRUE(abs(count[k] - IDS / PARTS) < 100);
    }
    toy_use("pgd", "eps=0.3", &use);
    CU_ASSERT_EQUAL(tdo_attack_eps(&use, 5), 0.3);
    toy_use("cw", "", &use);
    CU_ASSERT_EQUAL(tdo_attack_eps(&use, 5), HUGE_VAL);
    toy_use_free();
}

/* Where a gradient is followed in one direction without a box, all of eps is used. */
static void a_sample_goes_as_far_as_its_own_eps(void)
{
    static const char *const rows[][2] = {
        {"random_noise", ""},    {"fgsm", ""},         {"fgsm", "minimal=true eps_step=0.01"},
        {"rfgsm", "alpha=0.05"}, {"ifgsm", "steps=3"}, {"pgd", "keep=last steps=4"},
        {"epgd", "steps=4"}};
    enum { MANY = 12 };
    struct toy *toy = toy_new(&(struct toy_spec){.kind = TOY_LINEAR});
    struct toy_batch *b = toy_batch(toy, MANY, 3);
    for (int r = 0; r < (int)(sizeof rows / sizeof *rows); r++) {
        char options[128];
        struct tdo_attack_use use;
        double low = 1, high = 0;
        snprintf(options, sizeof options, "eps=0.3 eps_from=0.05 eps_grid=0.05 %s%s",
                 rows[r][1], strcmp(rows[r][0], "random_noise") == 0 ? " box=none" : "");
        toy_use(rows[r][0], options, &use);
        toy_attack(toy, &use, b);
        for (int i = 0; i < MANY; i++) {
            const double eps = tdo_attack_eps(&use, b->id[i]);
            const double went =
                tdo_threat_norms(b->found + i * PIXELS, b->x + i * PIXELS, PIXELS)
                    .of[TDO_NORM_LINF];
            const bool all = r != 2 && r != 3;
            CU_ASSERT_TRUE(went <= eps + 1e-6 && (!all || went > eps - 1e-6));
            low = eps < low ? eps : low;
            high = eps > high ? eps : high;
        }
        CU_ASSERT_TRUE(low < 0.12 && high > 0.23);
        CU_ASSERT_TRUE(toy_same_in_batches(toy, &use, b, 5));
        toy_use_free();
    }
    toy_batch_free(&b);
    toy_free(&toy);
}

static void a_range_is_in_the_title(void)
{
    struct tdo_attack_use use;
    toy_use("fgsm", "eps=0.25 eps_from=0.125", &use);
    CU_ASSERT_STRING_EQUAL(tdo_attack_title(&use).s, "fgsm linf 0.125 to 0.25");
    toy_use_free();
}

static void a_title_calls_a_run_by_its_directory(void)
{
    static const char *const of[][2] = {{"runs/a", "a"},
                                        {"runs/a/", "a"},
                                        {"a", "a"},
                                        {"runs/a/model.safetensors", "a"},
                                        {"model.safetensors", "model.safetensors"},
                                        {"runs/a,runs/b/model.safetensors", "a+"}};
    for (int k = 0; k < (int)(sizeof of / sizeof *of); k++) {
        struct tdo_attack_use use;
        char options[64], want[64];
        snprintf(options, sizeof options, "eps=0.25 models=%s", of[k][0]);
        snprintf(want, sizeof want, "fgsm linf 0.25 on %s", of[k][1]);
        toy_use("fgsm", options, &use);
        CU_ASSERT_STRING_EQUAL(tdo_attack_title(&use).s, want);
        toy_use_free();
    }
}

/* ---- memory ------------------------------------------------------------------------------------- */

/* Few steps, whatever the row. */
static void use_briefly(const struct tdo_attack *row, struct tdo_attack_use *use)
{
    char options[128] = "";
    for (const struct tdo_option *o = row->options; o->key; o++) {
        const bool count = strcmp(o->key, "steps") == 0 || strcmp(o->key, "population") == 0 ||
                           strcmp(o->key, "search") == 0;
        if (count) {
            strcat(strcat(options, o->key), "=2 ");
        } else if (strcmp(o->key, "from") == 0) {
            strcat(options, "from=a.h5 ");
        }
    }
    toy_use(row->name, options, use);
}

/* Every allocation of a run fails once: said as that, nothing leaks (the build with asan looks),
 * and the same target can be asked again. */
static void a_row_survives_the_end_of_memory(const struct toy *toy,
                                             const struct tdo_attack *row)
{
    struct toy_batch *b = toy_batch(toy, N, 3), *again = toy_batch(toy, N, 3);
    struct tdo_attack_use use;
    tdo_err err = TDO_ERR_MEMORY;
    use_briefly(row, &use);
    b->s.stored = again->s.stored = b->x;
    toy_attack(toy, &use, b);
    for (int64_t k = 1; err == TDO_ERR_MEMORY; k++) {
        tdo_target *t = toy_target(toy, N, &use);
        tdo_memory_fail_after(k);
        err = tdo_attack_run(&use, t, &again->s);
        tdo_memory_fail_after(0);
        if (k % 5 == 0) {
            ASSERT_OK(tdo_attack_run(&use, t, &again->s));
            CU_ASSERT_EQUAL(memcmp(b->found, again->found, sizeof(float) * N * PIXELS), 0);
        }
        tdo_target_free(&t);
        CU_ASSERT_TRUE_FATAL(k < 100000);
    }
    CU_ASSERT_EQUAL(err, TDO_OK);
    toy_batch_free(&b);
    toy_batch_free(&again);
    toy_use_free();
}

static void every_row_says_that_memory_ends(void)
{
    struct toy *toy = toy_new(&(struct toy_spec){.kind = TOY_LINEAR, .members = 2});
    for (int r = 0; tdo_attack_table[r]; r++) {
        a_row_survives_the_end_of_memory(toy, tdo_attack_table[r]);
    }
    toy_free(&toy);
}

CU_TestInfo suite_tests[] = {
    {"rows are found by their names", rows_are_found_by_their_names},
    {"options reach the threat and the target", options_reach_the_threat_and_the_target},
    {"what cannot be is refused in words", what_cannot_be_is_refused_in_words},
    {"only what needs gradients asks for them", only_what_needs_gradients_asks_for_them},
    {"streams differ by row, layer, sample, draw and moment",
     streams_differ_by_row_layer_sample_draw_and_moment},
    {"drawn eps are levels of the grid, equally often",
     drawn_eps_are_levels_of_the_grid_equally_often},
    {"drawn eps without a grid fill their range", drawn_eps_without_a_grid_fill_their_range},
    {"a sample goes as far as its own eps", a_sample_goes_as_far_as_its_own_eps},
    {"a range is in the title", a_range_is_in_the_title},
    {"a title calls a run by its directory", a_title_calls_a_run_by_its_directory},
    {"every row says that memory ends", every_row_says_that_memory_ends},
    CU_TEST_INFO_NULL,
};
