/* A stored set goes in as it is. */
#include <string.h>

#include "tests/attacks/support.h"

const char suite_name[] = "transfer";

enum { N = 3, PIXELS = 36 };

static void stored_images_come_back_bit_for_bit(void)
{
    struct toy *toy = toy_new(&(struct toy_spec){.kind = TOY_LINEAR, .inputs = 1});
    struct toy_batch *b = toy_batch(toy, N, 3), *other = toy_batch(toy, N, 4);
    struct tdo_attack_use use;
    other->x[5] = 1.5F; /* outside of the box: nothing is clipped */
    b->s.stored = other->x;
    toy_use("transfer", "from=set.h5 row=2", &use);
    CU_ASSERT_STRING_EQUAL(use.from, "set.h5");
    CU_ASSERT_EQUAL(tdo_attack_value(&use, "row", -1), 2);
    toy_attack(toy, &use, b);
    CU_ASSERT_EQUAL(memcmp(b->found, other->x, sizeof(float) * N * PIXELS), 0);
    CU_ASSERT_EQUAL(b->queries[1], 0);
    toy_batch_free(&b);
    toy_batch_free(&other);
    toy_use_free();
    toy_free(&toy);
}

static void a_missing_file_is_said_with_its_key(void)
{
    struct toy *toy = toy_new(&(struct toy_spec){.kind = TOY_LINEAR});
    struct toy_batch *b = toy_batch(toy, N, 3);
    struct tdo_attack_use use;
    toy_use("transfer", "", &use);
    tdo_target *t = toy_target(toy, N, &use);
    CU_ASSERT_EQUAL(tdo_attack_check(&use, t), TDO_ERR_CONFIG);
    CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, "attack.0.from is empty"));
    CU_ASSERT_EQUAL(tdo_attack_run(&use, t, &b->s), TDO_ERR_BUG); /* nobody gave the images */
    tdo_target_free(&t);
    toy_batch_free(&b);
    toy_use_free();
    toy_free(&toy);
}

CU_TestInfo suite_tests[] = {
    {"stored images come back bit for bit", stored_images_come_back_bit_for_bit},
    {"a missing file is said with its key", a_missing_file_is_said_with_its_key},
    CU_TEST_INFO_NULL,
};
