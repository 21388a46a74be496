/* Looks, shares of alpha, their check, and the way into a file and back. */
#include "defenses/schedule.h"

#include <string.h>

#include "nn/base/memory.h"
#include "tests/runner.h"

static struct tdo_schedule_options radii(int64_t n)
{
    return (struct tdo_schedule_options){.mode = TDO_SCHEDULE_RADII,
                                         .n = n,
                                         .alpha = 0.001,
                                         .beta = 0.001,
                                         .sigma = 0.5,
                                         .slack = 1e-13,
                                         .targets = 2,
                                         .target = {0.25, 0.1 + 0.2}};
}

static struct tdo_schedule made(const struct tdo_schedule_options *o)
{
    struct tdo_schedule s;
    ASSERT_OK_FATAL(tdo_schedule_make(o, &s));
    return s;
}

static void looks_double_and_the_last_keeps_nine_tenths(void)
{
    const struct tdo_schedule_options o = radii(100000);
    const struct tdo_schedule s = made(&o);
    long double sum = 0.0L;
    CU_ASSERT_EQUAL(s.looks, 10);
    for (int j = 0; j < s.looks; j++) {
        CU_ASSERT_EQUAL(s.look[j].n, j < 9 ? 200 << j : 100000);
        sum += (long double)s.look[j].alpha;
        CU_ASSERT_DOUBLE_EQUAL(s.look[j].alpha, j < 9 ? 0.1e-3 / 9 : 0.9e-3, 1e-14);
    }
    CU_ASSERT_TRUE(sum <= (long double)0.001 && sum > 0.001L * (1.0L - 1e-11L));
    CU_ASSERT_EQUAL(s.kt_alpha, 0.0);
}

static void every_schedule_ends_at_n_and_spends_alpha(void)
{
    static const int64_t draws[] = {1,     199,   200,    201,    400,     1000,
                                    12800, 99999, 102400, 102401, 1000000, 4294967295};
    for (int i = 0; i < 12 * 8; i++) {
        struct tdo_schedule_options o = radii(draws[i % 12]);
        o.mode = (enum tdo_schedule_mode)(i / 12 % 4);
        o.test = i / 48 == 1 && o.mode != TDO_SCHEDULE_FIXED && o.mode != TDO_SCHEDULE_MILLION;
        o.targets = o.mode == TDO_SCHEDULE_RADII ? 2 : 0;
        o.tolerance = o.mode >= TDO_SCHEDULE_TOLERANCE ? 0.01 : 0.0;
        const struct tdo_schedule s = made(&o);
        long double alpha = (long double)s.kt_alpha, beta = (long double)s.kt_beta;
        for (int j = 0; j < s.looks; j++) {
            alpha += (long double)s.look[j].alpha;
            beta += (long double)s.look[j].beta;
        }
        CU_ASSERT_EQUAL(s.look[s.looks - 1].n, o.n);
        CU_ASSERT_TRUE(alpha <= (long double)0.001 && alpha > 0.001L * (1.0L - 1e-11L));
        CU_ASSERT_TRUE(beta <= (long double)0.001 && beta > 0.001L * (1.0L - 1e-11L));
    }
}

static void million_votes_look_at_a_tenth(void)
{
    struct tdo_schedule_options o = radii(1000000);
    o.mode = TDO_SCHEDULE_MILLION;
    o.targets = 0;
    o.tolerance = 0.05;
    const struct tdo_schedule s = made(&o);
    CU_ASSERT_EQUAL(s.looks, 2);
    CU_ASSERT_EQUAL(s.look[0].n, 100000);
    CU_ASSERT_EQUAL(s.look[1].n, 1000000);
}

static void schedules_that_spend_too_much_are_refused(void)
{
    const struct tdo_schedule_options o = radii(100000);
    const struct tdo_schedule good = made(&o);
    struct tdo_schedule bad = good;
    bad.look[9].alpha = 0.001; /* all of it, and the early looks on top */
    CU_ASSERT_EQUAL(tdo_schedule_check(&bad), TDO_ERR_CONFIG);
    bad = good;
    bad.kt_alpha = 1e-12;
    CU_ASSERT_EQUAL(tdo_schedule_check(&bad), TDO_ERR_CONFIG);
    bad = good;
    bad.look[0].alpha = -1e-4; /* earns nothing */
    CU_ASSERT_EQUAL(tdo_schedule_check(&bad), TDO_ERR_CONFIG);
    bad = good;
    bad.look[3].beta = 0.001;
    CU_ASSERT_EQUAL(tdo_schedule_check(&bad), TDO_ERR_CONFIG);
    bad = good;
    bad.look[4].n = bad.look[3].n;
    CU_ASSERT_EQUAL(tdo_schedule_check(&bad), TDO_ERR_CONFIG);
    bad = good;
    bad.looks = 9;
    CU_ASSERT_EQUAL(tdo_schedule_check(&bad), TDO_ERR_CONFIG);
    bad = good;
    bad.o.target[1] = 0.25;
    CU_ASSERT_EQUAL(tdo_schedule_check(&bad), TDO_ERR_CONFIG);
    ASSERT_OK(tdo_schedule_check(&good));
}

static void options_out_of_range_are_refused(void)
{
    struct tdo_schedule s;
    struct tdo_schedule_options o = radii(0);
    CU_ASSERT_EQUAL(tdo_schedule_make(&o, &s), TDO_ERR_CONFIG);
    o = radii(1000);
    o.alpha = 0.6;
    CU_ASSERT_EQUAL(tdo_schedule_make(&o, &s), TDO_ERR_CONFIG);
    o = radii(1000);
    o.targets = 0;
    CU_ASSERT_EQUAL(tdo_schedule_make(&o, &s), TDO_ERR_CONFIG);
    o = radii(1000);
    o.mode = TDO_SCHEDULE_TOLERANCE;
    o.targets = 0;
    CU_ASSERT_EQUAL(tdo_schedule_make(&o, &s), TDO_ERR_CONFIG);
    o.tolerance = 0.1;
    ASSERT_OK(tdo_schedule_make(&o, &s));
    o.mode = TDO_SCHEDULE_MILLION;
    o.test = TDO_SCHEDULE_KT;
    CU_ASSERT_EQUAL(tdo_schedule_make(&o, &s), TDO_ERR_CONFIG);
}

/* What tdo_schedule_read says of the description, with `from` replaced by `to`. */
static tdo_err reread(const struct tdo_schedule *s, const char *from, const char *to,
                      struct tdo_schedule *out)
{
    static char edited[65536];
    tdo_json *j = NULL, *back = NULL;
    char *text = NULL;
    ASSERT_OK_FATAL(tdo_schedule_describe(s, &j));
    ASSERT_OK_FATAL(tdo_json_text(j, 2, &text));
    const char *at = strstr(text, from);
    CU_ASSERT_TRUE_FATAL(at != NULL && strlen(text) + strlen(to) < sizeof edited);
    memcpy(edited, text, (size_t)(at - text));
    strcpy(edited + (at - text), to);
    strcat(edited, at + strlen(from));
    ASSERT_OK_FATAL(tdo_json_parse(edited, strlen(edited), "schedule", &back));
    const tdo_err err = tdo_schedule_read(back, out);
    tdo_json_free(&j);
    tdo_json_free(&back);
    tdo_memory_free(&text);
    return err;
}

static void a_schedule_survives_json_bit_by_bit(void)
{
    struct tdo_schedule_options o = radii(100000);
    struct tdo_schedule back, s = made(&o);
    ASSERT_OK(reread(&s, "{", "{", &back));
    CU_ASSERT_EQUAL(memcmp(&s, &back, sizeof s), 0);
    o.mode = TDO_SCHEDULE_TOLERANCE;
    o.test = TDO_SCHEDULE_KT;
    o.targets = 0;
    o.target[0] = o.target[1] = 0.0;
    o.tolerance = 1.0 / 3;
    s = made(&o);
    ASSERT_OK(reread(&s, "{", "{", &back));
    CU_ASSERT_EQUAL(memcmp(&s, &back, sizeof s), 0);
    CU_ASSERT_EQUAL(reread(&s, "\"kt\"", "\"tk\"", &back), TDO_ERR_FORMAT);
    CU_ASSERT_EQUAL(reread(&s, "\"kt_alpha\"", "\"kt_alpho\"", &back), TDO_ERR_FORMAT);
    CU_ASSERT_EQUAL(reread(&s, "\"n\": 200,", "\"n\": 100001,", &back), TDO_ERR_CONFIG);
    CU_ASSERT_EQUAL(reread(&s, "\"n\": 200,", "\"n\": \"200\",", &back), TDO_ERR_FORMAT);
}

const char suite_name[] = "schedule";
CU_TestInfo suite_tests[] = {
    {"looks double and the last keeps nine tenths of alpha",
     looks_double_and_the_last_keeps_nine_tenths},
    {"every schedule ends at n and spends alpha, no more",
     every_schedule_ends_at_n_and_spends_alpha},
    {"million votes look at a tenth of them", million_votes_look_at_a_tenth},
    {"schedules that spend too much are refused", schedules_that_spend_too_much_are_refused},
    {"options out of range are refused", options_out_of_range_are_refused},
    {"a schedule survives JSON bit by bit, and edits are refused",
     a_schedule_survives_json_bit_by_bit},
    CU_TEST_INFO_NULL,
};
