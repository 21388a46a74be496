/* The step of Parseval networks on weights alone: against plain loops in double, and what it leaves
 * alone. The network is a convolution, two linear layers, biases and a running mean. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "defenses/defense.h"
#include "tests/nn/support.h"

const char suite_name[] = "defenses/parseval";

enum { CONV, CONV_BIAS, MEAN, HIDDEN, LAST, ENTRIES, MOST = 20 * 24, BETA = 0, ROWS = 1 };

static const struct tdo_param entries[ENTRIES] = {
    [CONV] = {.name = "conv.weight", .shape = {.rank = 4, .dim = {6, 3, 2, 2}}},
    [CONV_BIAS] = {.name = "conv.bias", .shape = {.rank = 1, .dim = {6}}},
    [MEAN] = {.name = "bn.running_mean",
              .shape = {.rank = 1, .dim = {6}},
              .kind = TDO_PARAM_BUFFER},
    [HIDDEN] = {.name = "fc1.weight", .shape = {.rank = 2, .dim = {20, 24}}},
    [LAST] = {.name = "fc2.weight", .shape = {.rank = 2, .dim = {4, 20}}},
};

static tdo_params *make_params(void)
{
    tdo_params *p = NULL;
    int64_t at = 0;
    ASSERT_OK_FATAL(tdo_params_new(&p));
    for (int i = 0; i < ENTRIES; i++) {
        ASSERT_OK_FATAL(tdo_params_add(p, &entries[i], &at));
    }
    ASSERT_OK_FATAL(tdo_params_init(p, 1));
    for (int i = 0; i < ENTRIES; i++) {
        for (int64_t k = 0; k < tdo_params_at(p, i)->count; k++) {
            tdo_params_values(p, i)[k] = (float)(0.3 * probe_number((uint32_t)i + 1, k));
        }
    }
    return p;
}

/* The row with its defaults; values are set by their place in its table. */
static struct tdo_defenses parseval(double beta, double rows)
{
    struct tdo_defenses d = {.count = 1};
    struct tdo_defense_use *use = &d.use[0];
    for (int i = 0; tdo_defense_table[i]; i++) {
        if (strcmp(tdo_defense_table[i]->name, "parseval") == 0) {
            use->row = tdo_defense_table[i];
        }
    }
    CU_ASSERT_PTR_NOT_NULL_FATAL(use->row);
    CU_ASSERT_STRING_EQUAL(use->row->options[BETA].key, "beta");
    CU_ASSERT_STRING_EQUAL(use->row->options[ROWS].key, "rows");
    use->value[BETA] = beta;
    use->value[ROWS] = rows;
    return d;
}

/* The value of a choice is its place. */
static void choose(struct tdo_defenses *d, const char *key, int place)
{
    for (int i = 0; d->use[0].row->options[i].key; i++) {
        if (strcmp(d->use[0].row->options[i].key, key) == 0) {
            d->use[0].value[i] = place;
        }
    }
}

/* (1 + beta) W - beta c W W' W of all rows, in double. */
static void by_hand(const float *w, int64_t rows, int64_t n, double beta, double c, double *out)
{
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t k = 0; k < n; k++) {
            double cubic = 0;
            for (int64_t j = 0; j < rows; j++) {
                double product = 0;
                for (int64_t l = 0; l < n; l++) {
                    product += (double)w[i * n + l] * (double)w[j * n + l];
                }
                cubic += product * (double)w[j * n + k];
            }
            out[i * n + k] = (1 + beta) * (double)w[i * n + k] - beta * c * cubic;
        }
    }
}

static void compare(int entry, double c, const struct tdo_defenses *d)
{
    const double beta = d->use[0].value[BETA];
    static double want[MOST];
    tdo_params *p = make_params();
    const struct tdo_param *e = tdo_params_at(p, entry);
    const float *w = tdo_params_values(p, entry);
    const int64_t rows = e->shape.dim[0];
    by_hand(w, rows, e->count / rows, beta, c, want);
    ASSERT_OK(tdo_defense_after_step(d, p, 0));
    for (int64_t k = 0; k < e->count; k++) {
        CU_ASSERT(fabs((double)w[k] - want[k]) <= 1e-6);
    }
    tdo_params_free(&p);
}

static void all_rows_follow_the_formula(void)
{
    struct tdo_defenses d = parseval(0.25, 1);
    compare(HIDDEN, 1, &d);
    compare(LAST, 1, &d);
    compare(CONV, 4, &d); /* a window of 2x2 */
    choose(&d, "convolution", 1);
    compare(CONV, 1, &d);
    compare(HIDDEN, 1, &d);
}

static bool row_changed(const float *a, const float *b, int64_t row, int64_t n)
{
    return memcmp(a + row * n, b + row * n, (size_t)n * sizeof *a) != 0;
}

/* Which rows of an entry a step changes. */
static int64_t changed_rows(int entry, uint32_t step, bool *changed)
{
    const struct tdo_defenses d = parseval(0.25, 0.3);
    tdo_params *before = make_params(), *after = make_params();
    const struct tdo_param *e = tdo_params_at(before, entry);
    const int64_t rows = e->shape.dim[0];
    int64_t count = 0;
    ASSERT_OK(tdo_defense_after_step(&d, after, step));
    for (int64_t i = 0; i < rows; i++) {
        changed[i] = row_changed(tdo_params_values(before, entry),
                                 tdo_params_values(after, entry), i, e->count / rows);
        count += changed[i];
    }
    tdo_params_free(&before);
    tdo_params_free(&after);
    return count;
}

static void a_part_of_the_rows_is_a_matrix_of_its_own(void)
{
    enum { COLUMNS = 24, PART = 6 };
    const struct tdo_defenses d = parseval(0.25, 0.3);
    bool changed[20];
    static float old[PART * COLUMNS];
    static double want[PART * COLUMNS];
    CU_ASSERT_EQUAL_FATAL(changed_rows(HIDDEN, 7, changed), PART);
    tdo_params *p = make_params();
    const float *w = tdo_params_values(p, HIDDEN);
    for (int i = 0, at = 0; i < 20; i++) {
        if (changed[i]) {
            memcpy(old + COLUMNS * at++, w + COLUMNS * i, COLUMNS * sizeof *w);
        }
    }
    by_hand(old, PART, COLUMNS, 0.25, 1, want);
    ASSERT_OK(tdo_defense_after_step(&d, p, 7));
    for (int i = 0, at = 0; i < 20; i++) {
        for (int k = 0; changed[i] && k < COLUMNS; k++) {
            CU_ASSERT(fabs((double)w[COLUMNS * i + k] - want[COLUMNS * at + k]) <= 1e-6);
        }
        at += changed[i];
    }
    tdo_params_free(&p);
}

static void every_row_has_the_same_chance(void)
{
    enum { STEPS = 400 };
    bool changed[20];
    int often[20] = {0};
    for (uint32_t step = 0; step < STEPS; step++) {
        CU_ASSERT_EQUAL(changed_rows(HIDDEN, step, changed), 6);
        for (int i = 0; i < 20; i++) {
            often[i] += changed[i];
        }
    }
    for (int i = 0; i < 20; i++) { /* 120 of 400, within five deviations */
        CU_ASSERT(abs(often[i] - 120) <= 46);
    }
    CU_ASSERT_EQUAL(changed_rows(LAST, 1, changed), 1); /* of four rows: at least one */
}

/* The largest entry of |c W W' - I|. */
static double distance(const tdo_params *p, int entry, double c)
{
    const struct tdo_param *e = tdo_params_at(p, entry);
    const int64_t rows = e->shape.dim[0], n = e->count / rows;
    const float *w = tdo_params_values(p, entry);
    double most = 0;
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < rows; j++) {
            double product = 0;
            for (int64_t l = 0; l < n; l++) {
                product += (double)w[i * n + l] * (double)w[j * n + l];
            }
            most = fmax(most, fabs(c * product - (i == j)));
        }
    }
    return most;
}

static void rows_become_orthonormal(void)
{
    const struct tdo_defenses d = parseval(0.25, 1);
    const double taps[ENTRIES] = {[CONV] = 4, [HIDDEN] = 1, [LAST] = 1};
    const int matrices[] = {CONV, HIDDEN, LAST};
    tdo_params *p = make_params();
    double before[3];
    for (int i = 0; i < 3; i++) {
        before[i] = distance(p, matrices[i], taps[matrices[i]]);
        CU_ASSERT(before[i] > 0.1);
    }
    for (uint32_t round = 0; round < 4; round++) {
        for (uint32_t step = 0; step < 50; step++) {
            ASSERT_OK(tdo_defense_after_step(&d, p, 50 * round + step));
        }
        for (int i = 0; i < 3; i++) {
            const double now = distance(p, matrices[i], taps[matrices[i]]);
            CU_ASSERT(now < before[i] || now < 1e-5);
            before[i] = now;
        }
    }
    CU_ASSERT(before[0] < 1e-5 && before[1] < 1e-3 && before[2] < 1e-5);
    tdo_params_free(&p);
}

static void nothing_else_is_touched(void)
{
    struct tdo_defenses d = parseval(0.25, 1);
    tdo_params *before = make_params(), *after = make_params();
    choose(&d, "layers", 1);
    ASSERT_OK(tdo_defense_after_step(&d, after, 0));
    for (int i = 0; i < ENTRIES; i++) {
        const size_t bytes = (size_t)tdo_params_at(before, i)->count * sizeof(float);
        const bool same =
            memcmp(tdo_params_values(before, i), tdo_params_values(after, i), bytes) == 0;
        CU_ASSERT_EQUAL(same, i != CONV && i != HIDDEN);
    }
    tdo_params_free(&before);
    tdo_params_free(&after);
}

CU_TestInfo suite_tests[] = {
    {"all rows follow the formula", all_rows_follow_the_formula},
    {"a part of the rows is a matrix of its own", a_part_of_the_rows_is_a_matrix_of_its_own},
    {"every row has the same chance, in each step anew", every_row_has_the_same_chance},
    {"rows become orthonormal", rows_become_orthonormal},
    {"biases, statistics and, if asked, the last layer stay", nothing_else_is_touched},
    CU_TEST_INFO_NULL};
