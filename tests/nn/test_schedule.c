/* Learning rates against PyTorch 2.13 (StepLR, MultiStepLR, CosineAnnealingLR) and by hand. */
#include <math.h>
#include <stdbool.h>

#include "nn/schedule.h"
#include "tests/runner.h"

const char suite_name[] = "schedule";

static bool near(double a, double b)
{
    return fabs(a - b) <= 1e-14 + 1e-12 * fabs(b);
}

/* Rates at the first step of each epoch, three steps an epoch. */
static void compare(struct tdo_schedule s, int epochs, const double *expected)
{
    s.epoch_steps = 3;
    s.steps = 3 * epochs;
    for (int e = 0; e < epochs; e++) {
        CU_ASSERT_TRUE(near(tdo_schedule_rate(&s, 3L * e, 0), expected[e]));
        if (s.kind != TDO_SCHEDULE_COSINE) { /* the same through the epoch */
            CU_ASSERT_TRUE(near(tdo_schedule_rate(&s, 3L * e + 2, 0), expected[e]));
        }
    }
}

static void steps(void)
{
    compare(
        (struct tdo_schedule){
            .kind = TDO_SCHEDULE_STEP, .rate = 0.1, .factor = 0.5, .every = 3},
        8, (double[]){0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.025, 0.025});
    compare((struct tdo_schedule){.kind = TDO_SCHEDULE_MULTISTEP,
                                  .rate = 0.1,
                                  .factor = 0.1,
                                  .milestone = {2, 5},
                                  .milestones = 2},
            8, (double[]){0.1, 0.1, 0.01, 0.01, 0.01, 0.001, 0.001, 0.001});
}

static void cosine(void)
{
    static const double torch[] = {0.1,
                                   0.09779754323328192,
                                   0.09140576474687263,
                                   0.08145033635316129,
                                   0.06890576474687264,
                                   0.055,
                                   0.04109423525312737,
                                   0.028549663646838717,
                                   0.01859423525312737,
                                   0.012202456766718092};
    compare((struct tdo_schedule){.kind = TDO_SCHEDULE_COSINE, .rate = 0.1, .floor = 0.01}, 10,
            torch);
}

static void warmup(void)
{
    struct tdo_schedule s = {.kind = TDO_SCHEDULE_CONSTANT,
                             .rate = 0.8,
                             .warmup = 2,
                             .epoch_steps = 4,
                             .steps = 100};
    for (int k = 0; k < 8; k++) {
        CU_ASSERT_TRUE(near(tdo_schedule_rate(&s, k, 0), 0.1 * (k + 1)));
    }
    CU_ASSERT_TRUE(near(tdo_schedule_rate(&s, 8, 0), 0.8));
    s.kind = TDO_SCHEDULE_COSINE; /* half way behind the warm-up */
    CU_ASSERT_TRUE(near(tdo_schedule_rate(&s, 7, 0), 0.8));
    CU_ASSERT_TRUE(near(tdo_schedule_rate(&s, 8 + 46, 0), 0.4));
}

static void plateau(void)
{
    const struct tdo_schedule s = {.kind = TDO_SCHEDULE_PLATEAU,
                                   .rate = 1,
                                   .factor = 0.5,
                                   .floor = 0.2,
                                   .epoch_steps = 1,
                                   .steps = 100};
    CU_ASSERT_TRUE(near(tdo_schedule_rate(&s, 50, 0), 1));
    CU_ASSERT_TRUE(near(tdo_schedule_rate(&s, 50, 2), 0.25));
    CU_ASSERT_TRUE(near(tdo_schedule_rate(&s, 50, 3), 0.2));
}

static void stages(void)
{
    const struct tdo_schedule s = {
        .milestone = {1, 2.5}, .milestones = 2, .epoch_steps = 4, .steps = 100};
    CU_ASSERT_EQUAL(tdo_schedule_stage(&s, 3), 0);
    CU_ASSERT_EQUAL(tdo_schedule_stage(&s, 4), 1);
    CU_ASSERT_EQUAL(tdo_schedule_stage(&s, 9), 1);
    CU_ASSERT_EQUAL(tdo_schedule_stage(&s, 10), 2);
}

CU_TestInfo suite_tests[] = {
    {"step and multistep are PyTorch's", steps},
    {"the cosine is PyTorch's", cosine},
    {"a warm-up rises linearly to the full rate, and the cosine begins behind it", warmup},
    {"each plateau cuts the rate, down to the floor", plateau},
    {"a milestone begins a stage with its own step", stages},
    CU_TEST_INFO_NULL,
};
