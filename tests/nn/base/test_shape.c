/* Shapes: counts, equality, broadcasting and their printed form, against values by hand. */
#include <string.h>

#include "nn/base/shape.h"
#include "tests/runner.h"

const char suite_name[] = "base/shape";

static void count_is_the_product(void)
{
    tdo_shape image = TDO_SHAPE(2, 28, 28, 3), scalar = {.rank = 0}, empty = TDO_SHAPE(5, 0, 7);
    tdo_shape large = TDO_SHAPE(1281167, 224, 224, 3);
    CU_ASSERT_EQUAL(image.rank, 4);
    CU_ASSERT_EQUAL(tdo_shape_count(&image), 4704);
    CU_ASSERT_EQUAL(tdo_shape_count(&scalar), 1);
    CU_ASSERT_EQUAL(tdo_shape_count(&empty), 0);
    CU_ASSERT_EQUAL(tdo_shape_count(&large), INT64_C(192851506176)); /* beyond 32 bits */
}

static void equality_looks_at_rank_and_every_dimension(void)
{
    tdo_shape a = TDO_SHAPE(2, 3, 4), last = TDO_SHAPE(2, 3, 5), first = TDO_SHAPE(1, 3, 4);
    tdo_shape longer = TDO_SHAPE(2, 3, 4, 1), b = a;
    b.dim[4] = 99; /* behind the rank */
    CU_ASSERT_TRUE(tdo_shape_equal(&a, &b));
    CU_ASSERT_FALSE(tdo_shape_equal(&a, &last));
    CU_ASSERT_FALSE(tdo_shape_equal(&a, &first));
    CU_ASSERT_FALSE(tdo_shape_equal(&a, &longer));
    CU_ASSERT_FALSE(tdo_shape_equal(&longer, &a));
}

static void broadcast_needs_ones_or_equal_dimensions_at_equal_rank(void)
{
    tdo_shape large = TDO_SHAPE(8, 4, 4, 3), channel = TDO_SHAPE(1, 1, 1, 3);
    tdo_shape wrong = TDO_SHAPE(1, 1, 1, 2), lower = TDO_SHAPE(3), one = TDO_SHAPE(1, 1, 1, 1);
    CU_ASSERT_TRUE(tdo_shape_broadcasts(&channel, &large));
    CU_ASSERT_TRUE(tdo_shape_broadcasts(&one, &large));
    CU_ASSERT_TRUE(tdo_shape_broadcasts(&large, &large));
    CU_ASSERT_FALSE(tdo_shape_broadcasts(&large, &channel)); /* not the other way round */
    CU_ASSERT_FALSE(tdo_shape_broadcasts(&wrong, &large));
    CU_ASSERT_FALSE(tdo_shape_broadcasts(&lower, &large));
}

static void a_shape_prints_between_brackets(void)
{
    tdo_shape image = TDO_SHAPE(2, 28, 28, 1), scalar = {.rank = 0}, one = TDO_SHAPE(-7);
    CU_ASSERT_STRING_EQUAL(tdo_shape_print(&image).s, "[2,28,28,1]");
    CU_ASSERT_STRING_EQUAL(tdo_shape_print(&scalar).s, "[]");
    CU_ASSERT_STRING_EQUAL(tdo_shape_print(&one).s, "[-7]");
}

static void the_widest_shape_prints_within_its_room(void)
{
    tdo_shape wide = TDO_SHAPE(INT64_MIN, INT64_MIN, INT64_MIN, INT64_MIN, INT64_MIN);
    struct tdo_shape_text t = tdo_shape_print(&wide);
    CU_ASSERT_TRUE_FATAL(memchr(t.s, '\0', sizeof t.s) != NULL);
    CU_ASSERT_EQUAL(strncmp(t.s, "[-9223372036854775808,-9223372036854775808,", 43), 0);
    CU_ASSERT_EQUAL(t.s[strlen(t.s) - 1], ']');
}

CU_TestInfo suite_tests[] = {
    {"count is the product of the dimensions", count_is_the_product},
    {"equality looks at rank and every dimension", equality_looks_at_rank_and_every_dimension},
    {"broadcast needs ones or equal dimensions at equal rank",
     broadcast_needs_ones_or_equal_dimensions_at_equal_rank},
    {"a shape prints between brackets", a_shape_prints_between_brackets},
    {"the widest shape prints within its room", the_widest_shape_prints_within_its_room},
    CU_TEST_INFO_NULL};
