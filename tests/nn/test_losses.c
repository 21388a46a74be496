/* Losses against their formula, with row weights and padding rows. */
#include <math.h>

#include "nn/losses.h"
#include "tests/nn/support.h"

const char suite_name[] = "losses";

static void weighted_cross_entropy_and_hits_agree_with_the_formula(void)
{
    /* hit; miss; hit by the tie that goes to the lowest index; a tie that does not; padding */
    static const double z[5][3] = {{2, -1, 0.5}, {0, 1, 3}, {1, 1, 0}, {1, 1, 0}, {-7, 9, 9}};
    static const double labels[5] = {0, 1, 0, 1, 0}, weights[5] = {0.4, 0.3, 0.2, 0.1, 0};
    double loss = 0;
    for (int n = 0; n < 4; n++) {
        double sum = 0;
        for (int k = 0; k < 3; k++) {
            sum += exp(z[n][k]);
        }
        loss += weights[n] * (log(sum) - z[n][(int)labels[n]]);
    }
    tdo_graph *g = NULL;
    ASSERT_OK_FATAL(tdo_graph_new(&g));
    tdo_node logits = tdo_op_input(g, "z", TDO_SHAPE(5, 3));
    tdo_node y = tdo_op_input(g, "y", TDO_SHAPE(5)), v = tdo_op_input(g, "v", TDO_SHAPE(5));
    tdo_node out[2] = {tdo_loss_cross_entropy(g, logits, y, v),
                       tdo_loss_correct(g, logits, y, v)};
    for (enum arithmetic how = F64; how < ARITHMETICS; how++) {
        double got[2];
        tdo_plan *p = probe_plan(g, 2, out, how, NULL);
        probe_set(p, logits, how, 15, z[0]);
        probe_set(p, y, how, 5, labels);
        probe_set(p, v, how, 5, weights);
        ASSERT_OK_FATAL(tdo_plan_run(p));
        probe_get(p, 0, how, 1, &got[0]);
        probe_get(p, 1, how, 1, &got[1]);
        CU_ASSERT_TRUE(fabs(got[0] - loss) <= (how == F64 ? 1e-14 : 1e-6));
        CU_ASSERT_EQUAL(got[1], 2);
        tdo_plan_free(&p);
    }
    tdo_graph_free(&g);
}

CU_TestInfo suite_tests[] = {
    {"weighted cross entropy and hits agree with the formula",
     weighted_cross_entropy_and_hits_agree_with_the_formula},
    CU_TEST_INFO_NULL,
};
