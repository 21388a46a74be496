/* JSON: order, types, bit-equal numbers, failures that are reported late but not lost. */
#include "nn/base/json.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "nn/base/memory.h"
#include "tests/runner.h"

const char suite_name[] = "base/json";

/* The one-line text of j equals `want`. */
static bool reads(const tdo_json *j, const char *want)
{
    char *text = NULL;
    ASSERT_OK_FATAL(tdo_json_text(j, 0, &text));
    bool same = strcmp(text, want) == 0;
    if (!same) {
        fprintf(stderr, "got  %s\nwant %s\n", text, want);
    }
    tdo_memory_free(&text);
    return same;
}

static bool same_bits(double a, double b)
{
    uint64_t bits[2];
    memcpy(&bits[0], &a, sizeof a);
    memcpy(&bits[1], &b, sizeof b);
    return bits[0] == bits[1];
}

static tdo_json *parsed(const char *text)
{
    tdo_json *j = NULL;
    ASSERT_OK_FATAL(tdo_json_parse(text, strlen(text), "test.json", &j));
    return j;
}

static tdo_json *object(void)
{
    tdo_json *j = NULL;
    ASSERT_OK_FATAL(tdo_json_object(&j));
    return j;
}

static void keys_keep_the_order_in_which_they_came(void)
{
    tdo_json *j = object(), *list = NULL;
    tdo_json_set_int(j, "zebra", -3);
    tdo_json_set_text(j, "ant", "a \"b\"\n");
    tdo_json_set_bool(j, "yes", true);
    ASSERT_OK_FATAL(tdo_json_array(&list));
    tdo_json_add_int(list, 1);
    tdo_json_add_real(list, 0.5);
    tdo_json_add_text(list, "x");
    tdo_json_set(j, "list", &list);
    CU_ASSERT_PTR_NULL(list);
    tdo_json_set_int(j, "zebra", 4); /* set again: keeps its place */
    tdo_json_set_text(j, "none", NULL);
    CU_ASSERT_TRUE(reads(j, "{\"zebra\": 4, \"ant\": \"a \\\"b\\\"\\n\", \"yes\": true, "
                            "\"list\": [1, 0.5, \"x\"], \"none\": null}"));
    tdo_json_free(&j);
    CU_ASSERT_PTR_NULL(j);
    tdo_json_free(&j);
}

static void indented_text_has_a_line_for_each_member(void)
{
    tdo_json *j = parsed("{\"a\":1,\"b\":[true,null]}");
    char *text = NULL;
    ASSERT_OK_FATAL(tdo_json_text(j, 2, &text));
    CU_ASSERT_STRING_EQUAL(text, "{\n  \"a\": 1,\n  \"b\": [\n    true,\n    null\n  ]\n}");
    tdo_memory_free(&text);
    tdo_json_free(&j);
}

static void reals_and_integers_come_back_bit_equal(void)
{
    const double reals[] = {
        0.1, 1.0 / 3, -0.0, DBL_MIN, DBL_MAX, 5e-324, 1e22, 0x1.fffffffffffffp0, 123456.0};
    const int64_t ints[] = {0, -1, INT64_MAX, INT64_MIN, (INT64_C(1) << 53) + 1};
    for (size_t i = 0; i < sizeof reals / sizeof *reals; i++) {
        tdo_json *j = object(), *back = NULL;
        char *text = NULL;
        double x = 99;
        int64_t n = 0;
        tdo_json_set_real(j, "x", reals[i]);
        ASSERT_OK_FATAL(tdo_json_text(j, 0, &text));
        ASSERT_OK_FATAL(tdo_json_parse(text, strlen(text), "back", &back));
        CU_ASSERT_TRUE(tdo_json_get_real(back, "x", &x));
        CU_ASSERT_TRUE(same_bits(x, reals[i]));
        CU_ASSERT_FALSE(tdo_json_get_int(back, "x", &n)); /* a real stays a real */
        tdo_memory_free(&text);
        tdo_json_free(&back);
        tdo_json_free(&j);
    }
    for (size_t i = 0; i < sizeof ints / sizeof *ints; i++) {
        tdo_json *j = object(), *back = NULL;
        char *text = NULL;
        int64_t n = 99;
        tdo_json_set_int(j, "n", ints[i]);
        ASSERT_OK_FATAL(tdo_json_text(j, 0, &text));
        ASSERT_OK_FATAL(tdo_json_parse(text, strlen(text), "back", &back));
        CU_ASSERT_TRUE(tdo_json_get_int(back, "n", &n));
        CU_ASSERT_EQUAL(n, ints[i]);
        tdo_memory_free(&text);
        tdo_json_free(&back);
        tdo_json_free(&j);
    }
}

static void numbers_that_are_not_finite_become_null(void)
{
    tdo_json *j = object(), *list = NULL;
    ASSERT_OK_FATAL(tdo_json_array(&list));
    tdo_json_set_real(j, "a", (double)NAN);
    tdo_json_set_real(j, "b", -(double)INFINITY);
    tdo_json_add_real(list, (double)NAN);
    tdo_json_set(j, "c", &list);
    CU_ASSERT_TRUE(reads(j, "{\"a\": null, \"b\": null, \"c\": [null]}"));
    tdo_json_free(&j);
}

static void look_ups_demand_the_type_and_leave_the_rest_alone(void)
{
    tdo_json *j = parsed("{\"t\":\"x\",\"i\":7,\"r\":2.0,\"b\":false,\"n\":null,\"o\":{}}");
    const char *t = "before";
    int64_t i = 11;
    double r = 12;
    bool b = true;
    CU_ASSERT_FALSE(tdo_json_get_text(j, "i", &t) || tdo_json_get_text(j, "n", &t));
    CU_ASSERT_FALSE(tdo_json_get_int(j, "t", &i) || tdo_json_get_int(j, "none", &i));
    CU_ASSERT_FALSE(tdo_json_get_int(j, "r", &i) || tdo_json_get_int(j, "b", &i));
    CU_ASSERT_FALSE(tdo_json_get_real(j, "t", &r) || tdo_json_get_real(j, "o", &r));
    CU_ASSERT_FALSE(tdo_json_get_bool(j, "i", &b) || tdo_json_get_bool(j, "none", &b));
    CU_ASSERT_STRING_EQUAL(t, "before");
    CU_ASSERT_TRUE(i == 11 && r == 12 && b);
    CU_ASSERT_TRUE(tdo_json_get_text(j, "t", &t) && strcmp(t, "x") == 0);
    CU_ASSERT_TRUE(tdo_json_get_int(j, "i", &i) && i == 7);
    CU_ASSERT_TRUE(tdo_json_get_real(j, "i", &r) && r == 7); /* an integer is a real */
    CU_ASSERT_TRUE(tdo_json_get_real(j, "r", &r) && r == 2);
    CU_ASSERT_TRUE(tdo_json_get_bool(j, "b", &b) && !b);
    CU_ASSERT_FALSE(tdo_json_get_int(NULL, "i", &i));
    CU_ASSERT_TRUE(tdo_json_has(j, "n") && tdo_json_has(j, "o"));
    CU_ASSERT_FALSE(tdo_json_has(j, "none") || tdo_json_has(NULL, "n"));
    tdo_json_free(&j);
}

static void members_can_be_walked_in_order(void)
{
    tdo_json *j = parsed("{\"z\":[10,2.5,\"t\"],\"a\":1}"), *list = NULL, *item = NULL;
    const char *key = NULL, *text = NULL;
    int64_t n = 0;
    double x = 0;
    CU_ASSERT_EQUAL(tdo_json_size(j), 2);
    CU_ASSERT_TRUE(tdo_json_key(j, 0, &key) && strcmp(key, "z") == 0);
    CU_ASSERT_TRUE(tdo_json_key(j, 1, &key) && strcmp(key, "a") == 0);
    CU_ASSERT_FALSE(tdo_json_key(j, 2, &key) || tdo_json_key(j, -1, &key));
    CU_ASSERT_TRUE_FATAL(tdo_json_get(j, "z", &list));
    CU_ASSERT_EQUAL(tdo_json_size(list), 3);
    CU_ASSERT_TRUE(tdo_json_is_array(list) && !tdo_json_is_object(list));
    CU_ASSERT_TRUE(tdo_json_is_object(j) && !tdo_json_is_array(j));
    CU_ASSERT_TRUE(tdo_json_at(list, 0, &item) && tdo_json_int(item, &n) && n == 10);
    CU_ASSERT_EQUAL(tdo_json_size(item), 0);
    CU_ASSERT_FALSE(tdo_json_text_of(item, &text));
    tdo_json_free(&item);
    CU_ASSERT_TRUE(tdo_json_at(list, 1, &item) && tdo_json_real(item, &x) && x == 2.5);
    CU_ASSERT_FALSE(tdo_json_int(item, &n));
    tdo_json_free(&item);
    CU_ASSERT_TRUE(tdo_json_at(list, 2, &item) && tdo_json_text_of(item, &text));
    CU_ASSERT_STRING_EQUAL(text, "t");
    tdo_json_free(&item);
    CU_ASSERT_FALSE(tdo_json_at(list, 3, &item) || tdo_json_at(list, -1, &item));
    CU_ASSERT_FALSE(tdo_json_at(j, 0, &item));
    tdo_json_free(&list);
    tdo_json_free(&j);
}

static void a_view_shares_the_tree_and_outlives_its_parent(void)
{
    tdo_json *j = parsed("{\"in\":{\"x\":1}}"), *in = NULL;
    int64_t n = 0;
    CU_ASSERT_TRUE_FATAL(tdo_json_get(j, "in", &in));
    tdo_json_set_int(in, "y", 2);
    CU_ASSERT_TRUE(reads(j, "{\"in\": {\"x\": 1, \"y\": 2}}"));
    tdo_json_free(&j);
    CU_ASSERT_TRUE(tdo_json_get_int(in, "x", &n) && n == 1);
    CU_ASSERT_TRUE(reads(in, "{\"x\": 1, \"y\": 2}"));
    tdo_json_free(&in);
}

/* tdo_json_text fails with this code and a message that names `part`. */
static bool refuses(const tdo_json *j, tdo_err code, const char *part)
{
    char *text = NULL;
    bool refused = tdo_json_text(j, 0, &text) == code && text == NULL &&
                   strstr(tdo_error_last()->message, part) != NULL;
    tdo_memory_free(&text);
    return refused;
}

static void failures_of_setters_are_reported_by_the_text(void)
{
    tdo_json *j = object(), *list = NULL, *in = NULL;
    tdo_json_set_text(j, "latin", "caf\xe9"); /* not UTF-8 */
    tdo_json_set_int(j, "later", 1);
    CU_ASSERT_TRUE(refuses(j, TDO_ERR_FORMAT, "latin"));
    CU_ASSERT_EQUAL(tdo_json_size(j), 0); /* a failed value takes nothing more */
    tdo_json_free(&j);
    j = object();
    ASSERT_OK_FATAL(tdo_json_array(&list));
    tdo_json_set_int(list, "wrong", 1); /* a key on an array */
    tdo_json_set(j, "list", &list);     /* hands its failure on */
    CU_ASSERT_TRUE(refuses(j, TDO_ERR_FORMAT, "wrong"));
    tdo_json_free(&j);
    j = object();
    tdo_json_add_int(j, 1); /* an item of an object */
    CU_ASSERT_TRUE(refuses(j, TDO_ERR_FORMAT, "item"));
    tdo_json_free(&j);
    j = parsed("{\"in\":{}}");
    CU_ASSERT_TRUE_FATAL(tdo_json_get(j, "in", &in));
    tdo_json_set_text(in, "deep", "\xff"); /* through a view */
    CU_ASSERT_TRUE(refuses(j, TDO_ERR_FORMAT, "deep"));
    tdo_json_free(&in);
    tdo_json_free(&j);
}

static void setters_take_null_and_hand_a_missing_value_on(void)
{
    tdo_json *none = NULL, *child = object(), *j = object();
    tdo_json_set_int(NULL, "a", 1);
    tdo_json_set_text(NULL, "a", "x");
    tdo_json_set_real(NULL, "a", 1);
    tdo_json_add_text(NULL, "x");
    tdo_json_set(NULL, "a", &child); /* frees what it cannot keep */
    CU_ASSERT_PTR_NULL(child);
    CU_ASSERT_TRUE(refuses(NULL, TDO_ERR_MEMORY, "JSON"));
    tdo_json_set(j, "child", &none);
    CU_ASSERT_TRUE(refuses(j, TDO_ERR_MEMORY, "child"));
    CU_ASSERT_EQUAL(tdo_json_size(NULL), 0);
    tdo_json_free(&j);
}

static void wrong_text_is_refused_with_line_and_column(void)
{
    static const struct {
        const char *text, *part;
    } bad[] = {
        {"{\"a\": 1,\n \"b\" 2}", "line 2"},
        {"{\"a\": 1, \"a\": 2}", "duplicate"},
        {"{\"a\": 99999999999999999999}", "big"},
        {"{\"a\": 1e999}", "overflow"},
        {"{\"a\": \"\xff\"}", "byte 0xff"},
        {"{} x", "end of file"},
        {"", "line 1"},
        {"7", "line 1"},
        {"{\"a\": [1, 2}", "column"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        tdo_json *j = NULL;
        CU_ASSERT_EQUAL(tdo_json_parse(bad[i].text, strlen(bad[i].text), "f.json", &j),
                        TDO_ERR_FORMAT);
        CU_ASSERT_PTR_NULL(j);
        CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, "f.json: line "));
        CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, bad[i].part));
        tdo_json_free(&j);
    }
}

static void only_length_bytes_are_parsed(void)
{
    tdo_json *j = NULL;
    ASSERT_OK_FATAL(tdo_json_parse("{\"a\":1}   garbage", 10, "f", &j));
    CU_ASSERT_TRUE(reads(j, "{\"a\": 1}"));
    tdo_json_free(&j);
}

static void deep_nesting_is_refused_not_overrun(void)
{
    static char deep[200001];
    tdo_json *j = NULL;
    memset(deep, '[', sizeof deep - 1);
    CU_ASSERT_EQUAL(tdo_json_parse(deep, sizeof deep - 1, "deep", &j), TDO_ERR_FORMAT);
    CU_ASSERT_PTR_NULL(j);
}

/* Build, parse and print; with any allocation failing this must fail cleanly. */
static tdo_err round_trip(void)
{
    tdo_json *j = NULL, *child = NULL, *view = NULL;
    char *text = NULL;
    tdo_err err = TDO_OK;
    TDO_GOTO(tdo_json_object(&j));
    TDO_GOTO(tdo_json_array(&child));
    tdo_json_add_int(child, 1);
    tdo_json_set(j, "list", &child);
    if (!tdo_json_get(j, "list", &view)) {
        TDO_GOTO(TDO_ERR_MEMORY);
    }
    TDO_GOTO(tdo_json_text(j, 2, &text));
    tdo_json_free(&j);
    TDO_GOTO(tdo_json_parse(text, strlen(text), "x", &j));
done:
    tdo_memory_free(&text);
    tdo_json_free(&view);
    tdo_json_free(&child);
    tdo_json_free(&j);
    return err;
}

static void every_failing_allocation_is_an_error(void)
{
    int64_t before = tdo_memory_count();
    ASSERT_OK_FATAL(round_trip());
    int64_t count = tdo_memory_count() - before;
    CU_ASSERT_TRUE(count >= 7);
    for (int64_t k = 1; k <= count; k++) {
        tdo_memory_fail_after(k);
        CU_ASSERT_EQUAL(round_trip(), TDO_ERR_MEMORY);
    }
    tdo_memory_fail_after(0);
}

CU_TestInfo suite_tests[] = {
    {"keys keep the order in which they came", keys_keep_the_order_in_which_they_came},
    {"indented text has a line for each member", indented_text_has_a_line_for_each_member},
    {"reals and integers come back bit-equal", reals_and_integers_come_back_bit_equal},
    {"numbers that are not finite become null", numbers_that_are_not_finite_become_null},
    {"look-ups demand the type and leave the rest alone",
     look_ups_demand_the_type_and_leave_the_rest_alone},
    {"members can be walked in order", members_can_be_walked_in_order},
    {"a view shares the tree and outlives its parent",
     a_view_shares_the_tree_and_outlives_its_parent},
    {"failures of setters are reported by the text",
     failures_of_setters_are_reported_by_the_text},
    {"setters take NULL and hand a missing value on",
     setters_take_null_and_hand_a_missing_value_on},
    {"wrong text is refused with line and column", wrong_text_is_refused_with_line_and_column},
    {"only `length` bytes are parsed", only_length_bytes_are_parsed},
    {"deep nesting is refused, not overrun", deep_nesting_is_refused_not_overrun},
    {"every failing allocation is an error, none a leak", every_failing_allocation_is_an_error},
    CU_TEST_INFO_NULL};
