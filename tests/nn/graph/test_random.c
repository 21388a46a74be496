/* Random nodes: row n is the draw of key n and of nothing else. Oracle: nn/base/rng.h itself. */
#include <stdlib.h>
#include <string.h>

#include "tests/nn/support.h"

const char suite_name[] = "graph/random";

enum { PER = 1100 }; /* more than a run of the kernel, no multiple of 4 */

static const struct tdo_stream stream = {.seed = 5, .purpose = TDO_PURPOSE_TEST, .layer = 3};

static struct tdo_key key_of(uint64_t sample)
{
    return (struct tdo_key){.sample = sample, .draw = (uint32_t)sample * 3, .step = 9};
}

/* The rows of a random node for these keys, [n][PER]. Owner: caller, free. */
static double *draw(enum tdo_law law, const tdo_rounded *table, int n,
                    const struct tdo_key *keys, enum arithmetic how)
{
    const struct tdo_random r = {
        .stream = stream, .law = (int32_t)law, .table = table, .shape = TDO_SHAPE(n, PER)};
    tdo_graph *g = NULL;
    ASSERT_OK_FATAL(tdo_graph_new(&g));
    tdo_node key = tdo_op_key(g, "key", n), y = tdo_op_random(g, key, &r);
    tdo_plan *p = probe_plan(g, 1, &y, how, NULL);
    memcpy(tdo_plan_input(p, key), keys, (size_t)n * sizeof *keys);
    ASSERT_OK_FATAL(tdo_plan_run(p));
    double *out = calloc((size_t)n * PER, sizeof *out);
    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    probe_get(p, 0, how, (int64_t)n * PER, out);
    tdo_plan_free(&p);
    tdo_graph_free(&g);
    return out;
}

static void rows_are_the_draws_of_their_keys(void)
{
    tdo_rounded *table = NULL;
    ASSERT_OK_FATAL(tdo_rounded_new(0.25, &table));
    struct tdo_key keys[5];
    for (int n = 0; n < 5; n++) {
        keys[n] = key_of((uint64_t)(40 - 7 * n));
    }
    keys[3].purpose = TDO_PURPOSE_ESTIMATE;
    for (int law = TDO_LAW_NORMAL; law <= TDO_LAW_ROUNDED; law++) {
        for (enum arithmetic how = F64; how < ARITHMETICS; how++) {
            double *got = draw((enum tdo_law)law, table, 5, keys, how);
            for (int n = 0; n < 5; n++) {
                float want[PER];
                struct tdo_stream s = stream;
                s.purpose = keys[n].purpose ? keys[n].purpose : stream.purpose;
                if (law == TDO_LAW_NORMAL) {
                    tdo_rng_normals(&s, &keys[n], 0, PER, want);
                } else if (law == TDO_LAW_UNIFORM) {
                    tdo_rng_uniforms(&s, &keys[n], 0, PER, want);
                } else {
                    tdo_rounded_draw(table, &s, &keys[n], 0, PER, want);
                }
                int differ = 0;
                for (int i = 0; i < PER; i++) {
                    differ += got[n * PER + i] != (double)want[i];
                }
                CU_ASSERT_EQUAL(differ, 0);
            }
            free(got);
        }
    }
    tdo_rounded_free(&table);
}

static void a_row_does_not_depend_on_its_company(void)
{
    struct tdo_key alone = key_of(17), many[16];
    for (int n = 0; n < 16; n++) {
        many[n] = key_of((uint64_t)(n == 11 ? 17 : 1000 + n));
    }
    double *a = draw(TDO_LAW_NORMAL, NULL, 1, &alone, FAST);
    double *b = draw(TDO_LAW_NORMAL, NULL, 16, many, FAST);
    CU_ASSERT_EQUAL(memcmp(a, b + 11 * PER, PER * sizeof *a), 0);
    CU_ASSERT_NOT_EQUAL(memcmp(a, b, PER * sizeof *a), 0);
    free(a);
    free(b);
}

static void the_purpose_of_a_key_takes_the_place_of_the_stream_s(void)
{
    struct tdo_key keys[3] = {key_of(4), key_of(4), key_of(4)};
    keys[1].purpose = TDO_PURPOSE_SELECT;
    keys[2].purpose = stream.purpose;
    double *v = draw(TDO_LAW_UNIFORM, NULL, 3, keys, FAST);
    CU_ASSERT_NOT_EQUAL(memcmp(v, v + PER, PER * sizeof *v), 0);
    CU_ASSERT_EQUAL(memcmp(v, v + 2 * PER, PER * sizeof *v), 0);
    free(v);
}

CU_TestInfo suite_tests[] = {
    {"rows are the draws of their keys, for every law", rows_are_the_draws_of_their_keys},
    {"a row does not depend on its company", a_row_does_not_depend_on_its_company},
    {"the purpose of a key takes the place of the stream's",
     the_purpose_of_a_key_takes_the_place_of_the_stream_s},
    CU_TEST_INFO_NULL,
};
