/* Which images attacks with shares take. */
#include <math.h>

#include "jobs/attack/shares.h"
#include "tests/runner.h"

const char suite_name[] = "shares";

enum { IDS = 10000, MOST = 16 };

/* The parts of a list of attacks. */
static void parts_of(int n, const double *share, struct tdo_share out[MOST])
{
    struct tdo_shares s = {0};
    for (int k = 0; k < n; k++) {
        out[k] = tdo_shares_next(&s, share[k]);
    }
}

/* How many of n attacks take the image; who is the last of them. */
static int takers(int n, const struct tdo_share *part, uint64_t id, int *who)
{
    int count = 0;
    for (int k = 0; k < n; k++) {
        if (tdo_share_takes(&part[k], tdo_share_place(7, id))) {
            count++;
            *who = k;
        }
    }
    return count;
}

static double place_of(uint64_t id)
{
    return (double)tdo_share_place(7, id) / 4294967296.0;
}

/* Sums of these are exact in double, so the borders are known. */
static void an_attack_takes_its_interval(void)
{
    static const double share[] = {0.5, 0.25, 0.125, 0.125}, border[] = {0.5, 0.75, 0.875, 1};
    struct tdo_share part[MOST];
    int64_t count[4] = {0};
    parts_of(4, share, part);
    for (uint64_t id = 0; id < IDS; id++) {
        int who = -1, want = 0;
        while (place_of(id) >= border[want]) {
            want++;
        }
        CU_ASSERT_EQUAL(takers(4, part, id, &who), 1);
        CU_ASSERT_EQUAL(who, want);
        count[want]++;
    }
    for (int k = 0; k < 4; k++) { /* five standard deviations */
        const double sd = sqrt(IDS * share[k] * (1 - share[k]));
        CU_ASSERT_TRUE(fabs((double)count[k] - IDS * share[k]) < 5 * sd);
    }
}

static void shares_that_add_up_to_one_part_all_images(void)
{
    static const double lists[][MOST] = {
        {0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1},
        {1.0 / 3, 1.0 / 3, 1.0 / 3},
        {0.7, 0.2, 0.1},
        {1.0 / 7, 2.0 / 7, 3.0 / 7, 1.0 / 7},
    };
    static const int length[] = {10, 3, 3, 4};
    for (int l = 0; l < 4; l++) {
        struct tdo_share part[MOST];
        parts_of(length[l], lists[l], part);
        CU_ASSERT_EQUAL(part[length[l] - 1].end, UINT64_C(1) << 32); /* no place is left out */
        for (uint64_t id = 0; id < IDS; id++) {
            int who;
            CU_ASSERT_EQUAL_FATAL(takers(length[l], part, id, &who), 1);
        }
    }
}

static void a_whole_share_takes_all_and_moves_no_other(void)
{
    static const double with[] = {0.25, 1, 0.75, 1}, without[] = {0.25, 0.75};
    struct tdo_share part[MOST], plain[MOST];
    parts_of(4, with, part);
    parts_of(2, without, plain);
    for (uint64_t id = 0; id < IDS; id++) {
        const uint32_t place = tdo_share_place(7, id);
        CU_ASSERT_TRUE(tdo_share_takes(&part[1], place) && tdo_share_takes(&part[3], place));
        CU_ASSERT_EQUAL(tdo_share_takes(&part[0], place), tdo_share_takes(&plain[0], place));
        CU_ASSERT_EQUAL(tdo_share_takes(&part[2], place), tdo_share_takes(&plain[1], place));
        CU_ASSERT_EQUAL(tdo_share_takes(&part[0], place), place_of(id) < 0.25);
    }
}

/* 0.625 + 0.75 + 0.625: the second begins at 0.625 and goes on to 0.375 of the next round. */
static void a_part_goes_on_around_the_circle(void)
{
    static const double share[] = {0.625, 0.75, 0.625};
    struct tdo_share part[MOST];
    parts_of(3, share, part);
    for (uint64_t id = 0; id < IDS; id++) {
        const uint32_t place = tdo_share_place(7, id);
        const double u = place_of(id);
        int who;
        CU_ASSERT_EQUAL(tdo_share_takes(&part[0], place), u < 0.625);
        CU_ASSERT_EQUAL(tdo_share_takes(&part[1], place), u >= 0.625 || u < 0.375);
        CU_ASSERT_EQUAL(tdo_share_takes(&part[2], place), u >= 0.375);
        CU_ASSERT_EQUAL(takers(3, part, id, &who), 2);
    }
}

static void a_place_belongs_to_seed_and_image(void)
{
    int same = 0;
    for (uint64_t id = 0; id < 100; id++) {
        CU_ASSERT_EQUAL(tdo_share_place(7, id), tdo_share_place(7, id));
        same += tdo_share_place(7, id) == tdo_share_place(8, id);
        same += tdo_share_place(7, id) == tdo_share_place(7, id + 1);
    }
    CU_ASSERT_EQUAL(same, 0);
}

CU_TestInfo suite_tests[] = {
    {"an attack takes the images within its interval", an_attack_takes_its_interval},
    {"shares that add up to one part all images, each once",
     shares_that_add_up_to_one_part_all_images},
    {"a whole share takes all and moves no other", a_whole_share_takes_all_and_moves_no_other},
    {"a part goes on around the circle", a_part_goes_on_around_the_circle},
    {"a place belongs to seed and image", a_place_belongs_to_seed_and_image},
    CU_TEST_INFO_NULL,
};
