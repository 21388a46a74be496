/* Options: what every type of value takes and refuses, the words for it, and the printed
 * help. */
#include "nn/base/options.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tests/nn/base/config_fixture.h"

const char suite_name[] = "base/options";

static void every_word_for_true_and_false_is_understood(void)
{
    static const char *const yes[] = {"true", "1", "yes", "on"}, *const no[] = {"false", "0",
                                                                                "no", "off"};
    tdo_config *c = fresh();
    char text[100];
    for (int i = 0; i < 4; i++) {
        snprintf(text, sizeof text, "certify.hash=%s", yes[i]);
        ASSERT_OK(tdo_config_set(c, text));
        CU_ASSERT_TRUE(tdo_config_bool(c, "certify.hash"));
        snprintf(text, sizeof text, "certify.hash=%s", no[i]);
        ASSERT_OK(tdo_config_set(c, text));
        CU_ASSERT_FALSE(tdo_config_bool(c, "certify.hash"));
    }
    ASSERT_OK(load(c, "certify = { hash = 1; };"));
    CU_ASSERT_TRUE(tdo_config_bool(c, "certify.hash"));
    CU_ASSERT_TRUE(argument_refused(c, "certify.hash=2", "certify.hash is 2", "true or false"));
    CU_ASSERT_TRUE(argument_refused(c, "certify.hash=TRUE", "certify.hash", "true or false"));
    tdo_config_free(&c);
}

static void integers_of_64_bits_are_exact(void)
{
    tdo_config *c = fresh();
    ASSERT_OK(tdo_config_set(c, "certify.n=9007199254740993")); /* no double */
    CU_ASSERT_EQUAL(tdo_config_int(c, "certify.n"), INT64_C(9007199254740993));
    ASSERT_OK(load(c, "certify = { n = 9007199254740993L; };"));
    CU_ASSERT_EQUAL(tdo_config_int(c, "certify.n"), INT64_C(9007199254740993));
    ASSERT_OK(tdo_config_set(c, "certify.n=9223372036854775807"));
    CU_ASSERT_EQUAL(tdo_config_int(c, "certify.n"), INT64_MAX);
    CU_ASSERT_TRUE(
        argument_refused(c, "certify.n=9223372036854775808", "certify.n", "integer"));
    CU_ASSERT_TRUE(argument_refused(c, "certify.n=1e19", "certify.n", "integer"));
    tdo_config_free(&c);
}

static void numbers_out_of_range_name_key_value_range_and_unit(void)
{
    tdo_config *c = fresh();
    ASSERT_OK(tdo_config_set(c, "train.batch=1")); /* both ends are included */
    ASSERT_OK(tdo_config_set(c, "train.batch=65536"));
    CU_ASSERT_TRUE(argument_refused(c, "train.batch=0", "train.batch is 0",
                                    "an integer from 1 to 65536 (rows)"));
    CU_ASSERT_TRUE(argument_refused(c, "train.batch=65537", "is 65537", "(rows)"));
    CU_ASSERT_TRUE(argument_refused(c, "certify.n=0", "is 0", "of at least 1 (draws)"));
    CU_ASSERT_TRUE(argument_refused(c, "certify.sigma=0", "certify.sigma is 0",
                                    "a number from 0.001 to 16 (pixels in 0..1)"));
    CU_ASSERT_TRUE(argument_refused(c, "train.drop=1,1001", "train.drop is 1,1001",
                                    "numbers from 0 to 1000 (epochs)"));
    CU_ASSERT_TRUE(file_refused("train = {\n  lr = 1;\n  batch = 70000;\n};", 3,
                                "train.batch is 70000", "from 1 to 65536 (rows)"));
    CU_ASSERT_EQUAL(tdo_config_int(c, "train.batch"), 65536); /* a refused value is not taken */
    tdo_config_free(&c);
}

static void what_is_no_finite_number_is_refused(void)
{
    static const char *const bad[] = {"nan",   "-nan", "+inf", "NaN",     "inf", "-inf",
                                      "",      " 1",   "1 ",   "1x",      "one", "1,2",
                                      "1e999", "--1",  "0x",   "infinity"};
    tdo_config *c = fresh();
    char argument[100];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        static const char *const keys[] = {"train.lr", "certify.n"};
        for (int k = 0; k < 2; k++) {
            snprintf(argument, sizeof argument, "%s=%s", keys[k], bad[i]);
            CU_ASSERT_TRUE(argument_refused(c, argument, keys[k], "expected a"));
        }
    }
    CU_ASSERT_TRUE(argument_refused(c, "certify.n=1.5", "is 1.5", "an integer"));
    CU_ASSERT_TRUE(argument_refused(c, "train.drop=1,,2", "train.drop", "numbers"));
    CU_ASSERT_TRUE(argument_refused(c, "train.drop=1,", "train.drop", "numbers"));
    CU_ASSERT_TRUE(argument_refused(c, "train.drop=1 2", "train.drop", "numbers"));
    CU_ASSERT_TRUE(argument_refused(c, "train.drop=nan", "train.drop", "numbers"));
    CU_ASSERT_TRUE(file_refused("train = { lr = 1e999; };", 1, "train.lr is inf", "a number"));
    tdo_config_free(&c);
}

static void choices_are_whole_words_and_listed_on_error(void)
{
    tdo_config *c = fresh();
    ASSERT_OK(tdo_config_set(c, "train.noise=rounded2"));
    CU_ASSERT_EQUAL(tdo_config_choice(c, "train.noise"), 2);
    ASSERT_OK(tdo_config_set(c, "train.noise=rounded"));
    CU_ASSERT_EQUAL(tdo_config_choice(c, "train.noise"), 1);
    static const char *const bad[] = {"", "round", "real|rounded", "rounded3", "|", "Real"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char argument[60];
        snprintf(argument, sizeof argument, "train.noise=%s", bad[i]);
        CU_ASSERT_TRUE(
            argument_refused(c, argument, "train.noise", "one of real, rounded, rounded2"));
    }
    tdo_config_free(&c);
}

static const char *word(const void *ctx, int i)
{
    const char *const *words = ctx;
    return words[i];
}

static void the_nearest_word_is_the_one_with_fewest_edits(void)
{
    static const char *const words[] = {"pgd",    "fgsm",         "deepfool",
                                        "square", "attack.steps", "t"};
    static const struct {
        const char *word, *want;
    } cases[] = {
        {"pdg", "pgd"},           /* swapped */
        {"fgs", "fgsm"},          /* one missing */
        {"fggsm", "fgsm"},        /* one more */
        {"deepfoul", "deepfool"}, /* one replaced */
        {"depfol", "deepfool"},   /* two missing */
        {"squareattack", NULL},   /* six more: too far */
        {"steps", "attack.steps"},
        {"k", NULL}, /* a letter is not near another letter */
        {"", NULL},
        {"zzzzzz", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *got = tdo_option_nearest(cases[i].word, word, words, 6);
        CU_ASSERT_TRUE(got == cases[i].want ||
                       (got && cases[i].want && strcmp(got, cases[i].want) == 0));
    }
    static const char *const swap[] = {"abxy", "bacd"}; /* a swap is one edit, not two */
    CU_ASSERT_PTR_EQUAL(tdo_option_nearest("abcd", word, swap, 2), swap[1]);
    char longer[500];
    memset(longer, 'p', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    CU_ASSERT_PTR_NULL(tdo_option_nearest(longer, word, words, 6));
    CU_ASSERT_PTR_NULL(tdo_option_nearest("pgd", word, words, 0));
}

/* What a printing function wrote, in `text`. */
static void printed(char *text, size_t room, unsigned jobs, bool rows)
{
    FILE *f = tmpfile();
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    if (rows) {
        tdo_option_print_rows(f, adversarial_options, "    ");
    } else {
        tdo_option_print(f, &schema, jobs);
    }
    rewind(f);
    size_t n = fread(text, 1, room - 1, f);
    text[n] = '\0';
    fclose(f);
}

static void the_table_prints_sections_in_columns(void)
{
    char text[8000];
    printed(text, sizeof text, CERTIFY, false);
    CU_ASSERT_STRING_EQUAL(
        text,
        "run\n"
        "  run.dir        -       a text                                      where results "
        "go\n"
        "  run.seed       1       an integer from 0 to 4294967295             seed of every "
        "draw\n"
        "\n"
        "certify\n"
        "  certify.n      100000  an integer of at least 1 (draws)            draws an image\n"
        "  certify.sigma  0.5     a number from 0.001 to 16 (pixels in 0..1)  noise level\n"
        "  certify.hash   false   true or false                               hash the "
        "logits\n");
    printed(text, sizeof text, TRAIN, false);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "data.file    required  a text"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "one of real, rounded, rounded2"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\ndefense = ("));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "names: gaussian, brelu, adversarial\n"));
    CU_ASSERT_PTR_NULL(strstr(text, "certify"));
    printed(text, sizeof text, 0, true);
    CU_ASSERT_STRING_EQUAL(
        text, "    steps    10        an integer from 1 to 1000 (steps)  attack steps\n"
              "    eps      required  a number from 0 to 1               radius\n"
              "    weights  -         a list of numbers from 0 to 1      weights\n");
}

static void tables_that_contradict_themselves_are_refused(void)
{
    static const struct {
        struct tdo_option row;
        const char *part;
    } bad[] = {
        {{"a.b", TDO_OPTION_INT, 1, 5, NULL, "6", NULL, "x", 1, 0}, "default of a.b"},
        {{"a.b", TDO_OPTION_INT, 1, 0, NULL, "1", NULL, "x", 1, 0}, "min above max"},
        {{"a.b", TDO_OPTION_CHOICE, 0, 0, "x|y", "z", NULL, "x", 1, 0}, "one of x, y"},
        {{"a.b", TDO_OPTION_CHOICE, 0, 0, NULL, "z", NULL, "x", 1, 0}, "choices"},
        {{"first", TDO_OPTION_TEXT, 0, 0, NULL, "", NULL, "x", 1, 0}, "twice"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct tdo_option table[] = {
            {"first", TDO_OPTION_BOOL, 0, 0, NULL, "no", NULL, "x", 1, 0},
            bad[i].row,
            {NULL, TDO_OPTION_INT, 0, 0, NULL, NULL, NULL, NULL, 0, 0}};
        struct tdo_schema wrong = {table, NULL};
        tdo_config *c = NULL;
        CU_ASSERT_EQUAL(tdo_config_new(&wrong, &c), TDO_ERR_BUG);
        CU_ASSERT_PTR_NULL(c);
        CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, bad[i].part));
    }
}

CU_TestInfo suite_tests[] = {
    {"every word for true and false is understood",
     every_word_for_true_and_false_is_understood},
    {"integers of 64 bits are exact", integers_of_64_bits_are_exact},
    {"numbers out of range name key, value, range and unit",
     numbers_out_of_range_name_key_value_range_and_unit},
    {"what is no finite number is refused", what_is_no_finite_number_is_refused},
    {"choices are whole words, and listed on error",
     choices_are_whole_words_and_listed_on_error},
    {"the nearest word is the one with fewest edits",
     the_nearest_word_is_the_one_with_fewest_edits},
    {"the table prints sections in columns", the_table_prints_sections_in_columns},
    {"tables that contradict themselves are refused",
     tables_that_contradict_themselves_are_refused},
    CU_TEST_INFO_NULL};
