/* Config files: values and rows, what libconfig would get wrong, and files of random damage. */
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "nn/base/config.h"
#include "nn/base/file.h"
#include "tests/nn/base/config_fixture.h"

const char suite_name[] = "base/config_file";

static void a_file_sets_values_of_every_type(void)
{
    tdo_config *c = fresh();
    double drop[2] = {0, 0};
    ASSERT_OK_FATAL(load(c, "# a comment with 99999999999\n"
                            "run = { dir = \"a b/5000000000\"; seed = 4000000000L; };\n"
                            "train = { batch = 0x20; lr = 1; noise = \"rounded\";\n"
                            "  drop = (1, 2.5, 7); };  /* 77777777777 */\n"
                            "certify: { n = 1e6, sigma = 0.1; hash = true }\n"));
    CU_ASSERT_STRING_EQUAL(tdo_config_text(c, "run.dir"), "a b/5000000000");
    CU_ASSERT_EQUAL(tdo_config_int(c, "run.seed"), INT64_C(4000000000));
    CU_ASSERT_EQUAL(tdo_config_int(c, "train.batch"), 32);
    CU_ASSERT_EQUAL(tdo_config_real(c, "train.lr"),
                    1.0); /* an integer where a real is wanted */
    CU_ASSERT_EQUAL(tdo_config_choice(c, "train.noise"), 1);
    CU_ASSERT_EQUAL(tdo_config_reals(c, "train.drop", drop, 2),
                    3); /* more than there is room */
    CU_ASSERT_TRUE(drop[0] == 1 && drop[1] == 2.5);
    CU_ASSERT_EQUAL(tdo_config_int(c, "certify.n"), 1000000);
    CU_ASSERT_EQUAL(tdo_config_real(c, "certify.sigma"), 0.1);
    CU_ASSERT_TRUE(tdo_config_bool(c, "certify.hash"));
    CU_ASSERT_TRUE(tdo_config_given(c, "train.lr"));
    CU_ASSERT_FALSE(tdo_config_given(c, "data.file"));
    tdo_config_free(&c);
}

static void wrong_types_in_a_file_say_what_is_there_and_what_is_expected(void)
{
    CU_ASSERT_TRUE(file_refused("train = { batch = 1.5; };", 1, "is 1.5", "an integer"));
    CU_ASSERT_TRUE(
        file_refused("train = { batch = \"128\"; };", 1, "the text \"128\"", "an integer"));
    CU_ASSERT_TRUE(file_refused("train = { batch = true; };", 1, "is true", "an integer"));
    CU_ASSERT_TRUE(file_refused("train = { batch = { }; };", 1, "is a group", "an integer"));
    CU_ASSERT_TRUE(file_refused("train = { batch = (1); };", 1, "is a list", "an integer"));
    CU_ASSERT_TRUE(file_refused("run = { dir = 5; };", 1, "run.dir is 5", "a text"));
    CU_ASSERT_TRUE(file_refused("train = { drop = [\"1\"]; };", 1, "is an array", "numbers"));
    CU_ASSERT_TRUE(file_refused("train = 5;", 1, "'train' is a group", "train.batch"));
    CU_ASSERT_TRUE(file_refused("defense = 5;", 1, "defense is 5", "a list"));
    CU_ASSERT_TRUE(file_refused("defense = { name = \"brelu\"; };", 1, "a group", "a list"));
    tdo_config *c = fresh();
    ASSERT_OK(load(c, "train = { batch = 2.0; drop = 3; };"));
    double drop = 0;
    CU_ASSERT_EQUAL(tdo_config_int(c, "train.batch"), 2); /* integral reals are integers */
    CU_ASSERT_TRUE(tdo_config_reals(c, "train.drop", &drop, 1) == 1 && drop == 3);
    tdo_config_free(&c);
}

static void list_rows_come_in_order_with_their_options(void)
{
    tdo_config *c = fresh();
    double w[3] = {0};
    ASSERT_OK_FATAL(load(c,
                         "defense = ( { sigma = 1; name = \"gaussian\"; },\n"
                         "  { name = \"brelu\"; },\n"
                         "  { name = \"gaussian\"; noise = \"rounded\"; },\n"
                         "  { name = \"adversarial\"; eps = 0.3; weights = [0.5, 0.25]; } );"));
    CU_ASSERT_EQUAL_FATAL(tdo_config_rows(c, "defense"), 4);
    CU_ASSERT_EQUAL(tdo_config_row_index(c, "defense", 0), 0);
    CU_ASSERT_EQUAL(tdo_config_row_index(c, "defense", 1), 1);
    CU_ASSERT_EQUAL(tdo_config_row_index(c, "defense", 2), 0);
    CU_ASSERT_EQUAL(tdo_config_row_index(c, "defense", 3), 2);
    CU_ASSERT_EQUAL(tdo_config_real(c, "defense.0.sigma"), 1.0);
    CU_ASSERT_EQUAL(tdo_config_real(c, "defense.2.sigma"), 0.25);
    CU_ASSERT_EQUAL(tdo_config_choice(c, "defense.0.noise"), 0);
    CU_ASSERT_EQUAL(tdo_config_choice(c, "defense.2.noise"), 1);
    CU_ASSERT_EQUAL(tdo_config_real(c, "defense.3.eps"), 0.3);
    CU_ASSERT_EQUAL(tdo_config_reals(c, "defense.3.weights", w, 3), 2);
    CU_ASSERT_TRUE(w[0] == 0.5 && w[1] == 0.25);
    CU_ASSERT_TRUE(tdo_config_given(c, "defense") && tdo_config_given(c, "defense.0.sigma"));
    CU_ASSERT_FALSE(tdo_config_given(c, "defense.2.sigma"));
    ASSERT_OK(tdo_config_set(c, "defense.2.sigma=2"));
    ASSERT_OK(tdo_config_set(c, "defense.2.sigma=3"));
    CU_ASSERT_EQUAL(tdo_config_real(c, "defense.2.sigma"), 3.0);
    CU_ASSERT_EQUAL(tdo_config_real(c, "defense.0.sigma"), 1.0); /* its namesake is untouched */
    tdo_config_free(&c);
}

static void wrong_rows_name_file_line_and_key(void)
{
    CU_ASSERT_TRUE(file_refused("defense = (\n { name = \"gausian\"; } );", 2,
                                "defense has no 'gausian'", "mean 'gaussian'?"));
    CU_ASSERT_TRUE(file_refused("defense = ( { name = \"zzz\"; } );", 1, "has no 'zzz'",
                                "only gaussian, brelu, adversarial"));
    CU_ASSERT_TRUE(file_refused("defense = (\n\n { sigma = 1.0; } );", 3, "defense.0", "name"));
    CU_ASSERT_TRUE(file_refused("defense = ( { name = 5; } );", 1, "defense.0", "name"));
    CU_ASSERT_TRUE(file_refused("defense = ( \"gaussian\" );", 1, "defense.0", "name"));
    CU_ASSERT_TRUE(file_refused(
        "defense = ( { name = \"brelu\"; },\n { name = \"gaussian\"; sigm = 1; } );", 2,
        "'defense.1.sigm' of 'gaussian'", "mean 'sigma'?"));
    CU_ASSERT_TRUE(file_refused("defense = ( { name = \"brelu\"; t = 1; } );", 1,
                                "'defense.0.t' of 'brelu'", ""));
    CU_ASSERT_TRUE(file_refused("defense = ( { name = \"gaussian\"; sigma = 17; } );", 1,
                                "defense.0.sigma is 17", "from 0 to 16 (pixels in 0..1)"));
}

static void an_integer_that_libconfig_would_cut_is_refused(void)
{
    CU_ASSERT_TRUE(
        file_refused("run = {\n seed = 4000000000; };", 2, "4000000000L", "too large"));
    CU_ASSERT_TRUE(
        file_refused("run = { seed = 0xFFFFFFFF; };", 1, "0xFFFFFFFFL", "too large"));
    CU_ASSERT_TRUE(
        file_refused("certify = { n = 99999999999999999999L; };", 1, "64 bits", "9999"));
    CU_ASSERT_TRUE(file_refused("train = { drop = (1, 2147483648); };", 1, "2147483648L", "L"));
    CU_ASSERT_TRUE(
        file_refused("/* \n */ run = { seed = -2147483649; };", 2, "-2147483649L", ""));
    tdo_config *c = fresh();
    ASSERT_OK(load(c, "certify = { n = 2147483647; }; // 2147483648\n"
                      "run = { dir = \"\\\" 2147483648\"; };"));
    CU_ASSERT_EQUAL(tdo_config_int(c, "certify.n"), INT_MAX);
    tdo_config_free(&c);
}

static void files_that_cannot_be_parsed_name_file_line_and_reason(void)
{
    CU_ASSERT_TRUE(file_refused("train = {\n batch = ;\n};", 2, "syntax error", ""));
    CU_ASSERT_TRUE(file_refused("train = { lr = 1; };\ntrain = { };", 2, "duplicate", ""));
    CU_ASSERT_TRUE(file_refused("train = { drop = [0, 0.5]; };", 1, "mismatched", "0.0"));
    CU_ASSERT_TRUE(file_refused("\n\"unclosed\n", 2, "text has no end", ""));
    CU_ASSERT_TRUE(file_refused("\"\\", 1, "text has no end", ""));
    CU_ASSERT_TRUE(file_refused("/* train = 5;", 1, "comment has no end", ""));
    tdo_config *c = fresh();
    CU_ASSERT_EQUAL(tdo_config_load(c, "/nonexistent/c.cfg"), TDO_ERR_FILE);
    CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, "/nonexistent/c.cfg"));
    CU_ASSERT_EQUAL(tdo_config_load(c, "/tmp"), TDO_ERR_FILE); /* a directory */
    ASSERT_OK_FATAL(tdo_file_write(path, "train\0 = 5", 10));
    CU_ASSERT_EQUAL(tdo_config_load(c, path), TDO_ERR_CONFIG);
    CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, "zero byte"));
    ASSERT_OK(load(c, "")); /* an empty file is a config without values */
    tdo_config_free(&c);
}

static void included_files_are_read_and_checked_like_the_outer_one(void)
{
    char text[200], place[100];
    tdo_config *c = fresh();
    snprintf(text, sizeof text, "train = {\n  @include \"%s\"\n lr = 0.5; };", other_path);
    ASSERT_OK_FATAL(tdo_file_write(other_path, "batch = 7;\n", 11));
    ASSERT_OK(load(c, text));
    CU_ASSERT_EQUAL(tdo_config_int(c, "train.batch"), 7);
    CU_ASSERT_EQUAL(tdo_config_real(c, "train.lr"), 0.5);
    ASSERT_OK_FATAL(tdo_file_write(other_path, "\nbacth = 7;\n", 12));
    CU_ASSERT_EQUAL(load(c, text), TDO_ERR_CONFIG);
    snprintf(place, sizeof place, "%s:2: ", other_path);
    CU_ASSERT_EQUAL(strncmp(tdo_error_last()->message, place, strlen(place)), 0);
    ASSERT_OK_FATAL(tdo_file_write(other_path, "\nbatch = 4294967297;\n", 21));
    CU_ASSERT_EQUAL(load(c, text), TDO_ERR_CONFIG); /* would be 1 */
    CU_ASSERT_EQUAL(strncmp(tdo_error_last()->message, place, strlen(place)), 0);
    unlink(other_path);
    CU_ASSERT_EQUAL(load(c, text), TDO_ERR_FILE);
    CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, other_path));
    CU_ASSERT_EQUAL(load(c, "@include \"/tmp\"\n"),
                    TDO_ERR_FILE); /* not an exit of libconfig */
    snprintf(text, sizeof text, "@include \"%s\"\n", path);
    CU_ASSERT_EQUAL(load(c, text), TDO_ERR_CONFIG); /* a file that includes itself ends */
    CU_ASSERT_TRUE(file_refused("@include nothing", 1, "@include", "path"));
    tdo_config_free(&c);
}

/* Random bytes and random mutations of a good file: never a crash, never a hang, and a refusal
 * always has a message. */
static void mutated_files_are_taken_or_refused_with_a_message(void)
{
    static const char good[] = "run = { seed = 12L; dir = \"x\\\"y\"; }; # note\n"
                               "train = { lr = 1e-3; drop = [1.0, 2.0]; /* c */ };\n"
                               "defense = ( { name = \"gaussian\"; sigma = 0.5; } );\n";
    static const char alphabet[] = "{}()[];=\"\\/*#@,.+-0123456789eExXLab \n";
    char text[sizeof good];
    uint32_t state = 12345;
    int refused = 0;
    for (int round = 0; round < 3000; round++) {
        memcpy(text, good, sizeof good);
        for (int m = 0; m <= round % 4; m++) {
            state = state * 1664525u + 1013904223u;
            size_t at = (state >> 8) % (sizeof good - 1);
            state = state * 1664525u + 1013904223u;
            text[at] = alphabet[(state >> 8) % (sizeof alphabet - 1)];
        }
        tdo_config *c = fresh();
        FILE *f = fopen(path, "w"); /* without the sync of tdo_file_write */
        CU_ASSERT_PTR_NOT_NULL_FATAL(f);
        fputs(text, f);
        fclose(f);
        tdo_error_clear();
        if (tdo_config_load(c, path) != TDO_OK) {
            refused++;
            CU_ASSERT_EQUAL(strncmp(tdo_error_last()->message, path, strlen(path)), 0);
        }
        tdo_config_free(&c);
    }
    CU_ASSERT_TRUE(refused > 1000 && refused < 3000);
    unlink(path);
}

static void a_real_number_may_be_a_quotient(void)
{
    double drop[3] = {0};
    tdo_config *c = fresh();
    ASSERT_OK(load(c, "train = { lr = \"8/255\"; drop = (1, \"5/2\"); };"));
    CU_ASSERT(tdo_config_real(c, "train.lr") == 8.0 / 255);
    CU_ASSERT_EQUAL(tdo_config_reals(c, "train.drop", drop, 3), 2);
    CU_ASSERT(drop[0] == 1 && drop[1] == 2.5);
    ASSERT_OK(tdo_config_set(c, "train.lr=-1/4"));
    ASSERT_OK(tdo_config_set(c, "train.drop=1/2,3"));
    CU_ASSERT(tdo_config_real(c, "train.lr") == -0.25);
    CU_ASSERT_EQUAL(tdo_config_reals(c, "train.drop", drop, 3), 2);
    CU_ASSERT(drop[0] == 0.5 && drop[1] == 3);
    tdo_config_free(&c);
    static const char *const bad[] = {"1/", "/2", "1/0", "1/2/3", "1/x", "1 /2"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char argument[32];
        snprintf(argument, sizeof argument, "train.lr=%s", bad[i]);
        c = fresh();
        CU_ASSERT_EQUAL(tdo_config_set(c, argument), TDO_ERR_CONFIG);
        tdo_config_free(&c);
    }
    c = fresh();
    CU_ASSERT_EQUAL(tdo_config_set(c, "train.batch=8/2"), TDO_ERR_CONFIG); /* no whole number */
    tdo_config_free(&c);
}

CU_TestInfo suite_tests[] = {
    {"a real number may be a quotient", a_real_number_may_be_a_quotient},
    {"a file sets values of every type", a_file_sets_values_of_every_type},
    {"wrong types in a file say what is there and what is expected",
     wrong_types_in_a_file_say_what_is_there_and_what_is_expected},
    {"list rows come in order with their options", list_rows_come_in_order_with_their_options},
    {"wrong rows name file, line and key", wrong_rows_name_file_line_and_key},
    {"an integer that libconfig would cut is refused",
     an_integer_that_libconfig_would_cut_is_refused},
    {"files that cannot be parsed name file, line and reason",
     files_that_cannot_be_parsed_name_file_line_and_reason},
    {"included files are read and checked like the outer one",
     included_files_are_read_and_checked_like_the_outer_one},
    {"mutated files are taken, or refused with a message",
     mutated_files_are_taken_or_refused_with_a_message},
    CU_TEST_INFO_NULL};
