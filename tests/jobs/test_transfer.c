/* The transfer matrix against one written down by hand. */
#include "jobs/outcomes/transfer.h"

#include "tests/jobs/made_outcomes.h"

const char suite_name[] = "transfer";

static const char both[] = "[{\"name\":\"clean\",\"title\":\"clean\"},"
                           "{\"name\":\"pgd\",\"title\":\"pgd\"}]",
                  other[] = "[{\"name\":\"cw\",\"title\":\"cw\"},"
                            "{\"name\":\"clean\",\"title\":\"clean\"}]";
static const char *const names[] = {"runs/a", "runs/b"};

/* Four images, of which attack a leaves right[a] right. */
static struct tdo_outcomes make(const char *attacks, int first, int second)
{
    struct tdo_outcomes o = made_outcomes(2, 4, attacks);
    for (int i = 0; i < 4; i++) {
        o.of[i].predict = i >= first;
        o.of[4 + i].predict = i >= second;
    }
    return o;
}

static void test_matrix(void)
{
    struct tdo_outcomes o[] = {make(both, 4, 1), make(other, 0, 3)};
    struct tdo_transfer *t = NULL;
    char text[512] = "";
    ASSERT_OK_FATAL(tdo_transfer_new(o, names, 2, &t));
    CU_ASSERT_EQUAL(t->attacks, 3);
    FILE *to = fmemopen(text, sizeof text, "w");
    tdo_transfer_write(to, t, names);
    CU_ASSERT_EQUAL(fclose(to), 0);
    CU_ASSERT_STRING_EQUAL(text, "attack\truns/a\truns/b\n"
                                 "clean\t100.0000\t75.0000\n"
                                 "pgd\t25.0000\t-\n"
                                 "cw\t-\t0.0000\n");
    tdo_transfer_free(&t);
    tdo_outcomes_free(&o[0]);
    tdo_outcomes_free(&o[1]);
}

static void test_different(void)
{
    struct tdo_outcomes o[] = {make(both, 4, 1), made_outcomes(2, 3, both)};
    struct tdo_transfer *t = NULL;
    CU_ASSERT_EQUAL(tdo_transfer_new(o, names, 2, &t), TDO_ERR_CONFIG);
    CU_ASSERT_PTR_NULL(t);
    CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message,
                                  "runs/a and runs/b: attack.json has different \"images\""));
    tdo_json_free(&o[1].about);
    o[1].images = 4; /* of room for three; only attack.json is looked at */
    tdo_json_set_text(o[0].about, "data", "e");
    ASSERT_OK(tdo_json_parse("{\"data\":\"d\"}", 12, "made", &o[1].about));
    CU_ASSERT_EQUAL(tdo_transfer_new(o, names, 2, &t), TDO_ERR_CONFIG);
    CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, "different \"data\""));
    tdo_outcomes_free(&o[0]);
    tdo_outcomes_free(&o[1]);
}

CU_TestInfo suite_tests[] = {{"a row is an attack by its title, a column a run", test_matrix},
                             {"runs on different images are refused", test_different},
                             CU_TEST_INFO_NULL};
