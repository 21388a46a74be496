/* Options: the file, the arguments and every way of getting them wrong, over a small schema. */
#include "nn/base/options.h"

#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nn/base/file.h"
#include "nn/base/memory.h"
#include "tests/runner.h"

const char suite_name[] = "base/options";

enum { TRAIN = 1, CERTIFY = 2, PLAN = 4 };

static const struct tdo_option options[] = {
    {"run.dir", TDO_OPTION_TEXT, 0, 0, NULL, "", NULL, "where results go", TRAIN | CERTIFY},
    {"run.seed", TDO_OPTION_INT, 0, 4294967295.0, NULL, "1", NULL, "seed of every draw",
     TRAIN | CERTIFY},
    {"data.file", TDO_OPTION_TEXT, 0, 0, NULL, NULL, NULL, "the data set", TRAIN},
    {"train.batch", TDO_OPTION_INT, 1, 65536, NULL, "128", "rows", "size of a batch", TRAIN},
    {"train.lr", TDO_OPTION_REAL, -HUGE_VAL, HUGE_VAL, NULL, "0.05", NULL, "learning rate",
     TRAIN},
    {"train.noise", TDO_OPTION_CHOICE, 0, 0, "real|rounded|rounded2", "real", NULL, "noise law",
     TRAIN},
    {"train.drop", TDO_OPTION_REALS, 0, 1000, NULL, "30,60.5", "epochs", "when lr drops",
     TRAIN},
    {"certify.n", TDO_OPTION_INT, 1, HUGE_VAL, NULL, "100000", "draws", "draws an image",
     CERTIFY},
    {"certify.sigma", TDO_OPTION_REAL, 0.001, 16, NULL, "0.5", "pixels in 0..1", "noise level",
     CERTIFY},
    {"certify.hash", TDO_OPTION_BOOL, 0, 0, NULL, "false", NULL, "hash the logits", CERTIFY},
    {NULL, TDO_OPTION_INT, 0, 0, NULL, NULL, NULL, NULL, 0}};

static const struct tdo_option gaussian_options[] = {
    {"sigma", TDO_OPTION_REAL, 0, 16, NULL, "0.25", "pixels in 0..1", "noise level", 0},
    {"noise", TDO_OPTION_CHOICE, 0, 0, "real|rounded", "real", NULL, "noise law", 0},
    {NULL, TDO_OPTION_INT, 0, 0, NULL, NULL, NULL, NULL, 0}};
static const struct tdo_option adversarial_options[] = {
    {"steps", TDO_OPTION_INT, 1, 1000, NULL, "10", "steps", "attack steps", 0},
    {"eps", TDO_OPTION_REAL, 0, 1, NULL, NULL, NULL, "radius", 0}, /* required */
    {"weights", TDO_OPTION_REALS, 0, 1, NULL, "", NULL, "weights", 0},
    {NULL, TDO_OPTION_INT, 0, 0, NULL, NULL, NULL, NULL, 0}};

static const char *defense_name(int i)
{
    static const char *const names[] = {"gaussian", "brelu", "adversarial"};
    return i < 3 ? names[i] : NULL;
}

static const struct tdo_option *defense_options(int i)
{
    return i == 0 ? gaussian_options : i == 2 ? adversarial_options : NULL;
}

static const struct tdo_option_list lists[] = {
    {"defense", "what the network is trained with", TRAIN, defense_name, defense_options},
    {"plan.steps", "a list with a dot in its key", PLAN, defense_name, defense_options},
    {NULL, NULL, 0, NULL, NULL}};

static const struct tdo_schema schema = {options, lists};

static char path[64], other_path[64]; /* of config files, made by setup */

static void make_paths(void)
{
    if (!path[0]) {
        snprintf(path, sizeof path, "/tmp/testudo-options-%ld.cfg", (long)getpid());
        snprintf(other_path, sizeof other_path, "/tmp/testudo-included-%ld.cfg",
                 (long)getpid());
    }
}

static tdo_config *fresh(void)
{
    tdo_config *c = NULL;
    make_paths();
    ASSERT_OK_FATAL(tdo_config_new(&schema, &c));
    return c;
}

static tdo_err load(tdo_config *c, const char *text)
{
    ASSERT_OK_FATAL(tdo_file_write(path, text, (int64_t)strlen(text)));
    tdo_err err = tdo_config_load(c, path);
    unlink(path);
    return err;
}

/* The text is refused with TDO_ERR_CONFIG at that line of the file, and the message holds both
 * parts. */
static bool file_refused(const char *text, int line, const char *a, const char *b)
{
    char place[100];
    tdo_config *c = fresh();
    tdo_err err = load(c, text);
    const char *m = tdo_error_last()->message;
    snprintf(place, sizeof place, "%s:%d: ", path, line);
    bool ok = err == TDO_ERR_CONFIG && strncmp(m, place, strlen(place)) == 0 && strstr(m, a) &&
              strstr(m, b) && !strchr(m, '\n');
    if (!ok) {
        fprintf(stderr, "code %d, message '%s', wanted %d: '%s' '%s'\n", (int)err, m, line, a,
                b);
    }
    tdo_config_free(&c);
    return ok;
}

static bool argument_refused(tdo_config *c, const char *argument, const char *a, const char *b)
{
    tdo_err err = tdo_config_set(c, argument);
    const char *m = tdo_error_last()->message;
    bool ok = err == TDO_ERR_CONFIG && strncmp(m, "command line: ", 14) == 0 && strstr(m, a) &&
              strstr(m, b);
    if (!ok) {
        fprintf(stderr, "code %d, message '%s', wanted '%s' '%s'\n", (int)err, m, a, b);
    }
    return ok;
}

static void an_empty_config_has_the_defaults(void)
{
    tdo_config *c = fresh();
    double drop[3] = {-1, -1, -1};
    CU_ASSERT_STRING_EQUAL(tdo_config_text(c, "run.dir"), "");
    CU_ASSERT_EQUAL(tdo_config_int(c, "train.batch"), 128);
    CU_ASSERT_EQUAL(tdo_config_real(c, "train.lr"), 0.05);
    CU_ASSERT_EQUAL(tdo_config_choice(c, "train.noise"), 0);
    CU_ASSERT_STRING_EQUAL(tdo_config_text(c, "train.noise"), "real");
    CU_ASSERT_FALSE(tdo_config_bool(c, "certify.hash"));
    CU_ASSERT_EQUAL(tdo_config_reals(c, "train.drop", drop, 3), 2);
    CU_ASSERT_TRUE(drop[0] == 30 && drop[1] == 60.5 && drop[2] == -1);
    CU_ASSERT_EQUAL(tdo_config_rows(c, "defense"), 0);
    CU_ASSERT_FALSE(tdo_config_given(c, "train.batch") || tdo_config_given(c, "defense"));
    tdo_config_free(&c);
    CU_ASSERT_PTR_NULL(c);
    tdo_config_free(&c);
}

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

static void arguments_win_over_the_file_and_later_ones_over_earlier(void)
{
    tdo_config *c = fresh();
    double drop[4] = {0};
    ASSERT_OK_FATAL(load(c, "train = { batch = 64; lr = 0.5; drop = [1.5]; };"));
    ASSERT_OK(tdo_config_set(c, "train.batch=32"));
    ASSERT_OK(tdo_config_set(c, "train.batch=2e1"));
    ASSERT_OK(tdo_config_set(c, "data.file=a=b")); /* only the first = separates */
    ASSERT_OK(tdo_config_set(c, "train.drop=0.5, 1,2"));
    CU_ASSERT_EQUAL(tdo_config_int(c, "train.batch"), 20);
    CU_ASSERT_EQUAL(tdo_config_real(c, "train.lr"), 0.5);
    CU_ASSERT_STRING_EQUAL(tdo_config_text(c, "data.file"), "a=b");
    CU_ASSERT_EQUAL(tdo_config_reals(c, "train.drop", drop, 4), 3);
    CU_ASSERT_TRUE(drop[0] == 0.5 && drop[1] == 1 && drop[2] == 2);
    ASSERT_OK(tdo_config_set(c, "train.drop="));
    CU_ASSERT_EQUAL(tdo_config_reals(c, "train.drop", drop, 4), 0);
    ASSERT_OK(tdo_config_set(c, "run.dir="));
    CU_ASSERT_STRING_EQUAL(tdo_config_text(c, "run.dir"), "");
    tdo_config_free(&c);
}

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

static void an_unknown_key_suggests_the_nearest(void)
{
    tdo_config *c = fresh();
    CU_ASSERT_TRUE(
        argument_refused(c, "train.bacth=1", "'train.bacth'", "mean 'train.batch'?"));
    CU_ASSERT_TRUE(argument_refused(c, "trian.lr=1", "'trian.lr'", "mean 'train.lr'?"));
    CU_ASSERT_TRUE(argument_refused(c, "batch=1", "'batch'", "mean 'train.batch'?"));
    CU_ASSERT_TRUE(argument_refused(c, "train.sigma=1", "'train.sigma'", "'certify.sigma'?"));
    CU_ASSERT_TRUE(argument_refused(c, "defence=brelu", "'defence'", "mean 'defense'?"));
    CU_ASSERT_TRUE(argument_refused(c, "train=1", "group of options", "train.batch"));
    CU_ASSERT_TRUE(argument_refused(c, "qqqqqqqq=1", "unknown key 'qqqqqqqq'", ""));
    CU_ASSERT_PTR_NULL(strstr(tdo_error_last()->message, "mean"));
    CU_ASSERT_TRUE(file_refused("\n\ntrain = { batches = 3; };", 3, "'train.batches'",
                                "mean 'train.batch'?"));
    CU_ASSERT_TRUE(
        file_refused("trian = {\n lr = 1.0; };", 2, "'trian.lr'", "mean 'train.lr'?"));
    CU_ASSERT_TRUE(file_refused("trian = { };", 1, "unknown key 'trian'", ""));
    CU_ASSERT_EQUAL(tdo_config_set(c, "train.batch"), TDO_ERR_USAGE);
    CU_ASSERT_EQUAL(tdo_config_set(c, "=5"), TDO_ERR_USAGE);
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

static void an_argument_replaces_or_empties_a_list(void)
{
    tdo_config *c = fresh();
    ASSERT_OK_FATAL(load(c, "defense = ( { name = \"gaussian\"; sigma = 1.0; },"
                            " { name = \"brelu\"; } );"));
    ASSERT_OK(tdo_config_set(c, "defense=gaussian"));
    CU_ASSERT_EQUAL_FATAL(tdo_config_rows(c, "defense"), 1);
    CU_ASSERT_EQUAL(tdo_config_real(c, "defense.0.sigma"), 0.25); /* a default row */
    ASSERT_OK(tdo_config_set(c, "defense.0.sigma=0.75"));
    CU_ASSERT_EQUAL(tdo_config_real(c, "defense.0.sigma"), 0.75);
    ASSERT_OK(tdo_config_set(c, "defense=brelu,gaussian"));
    CU_ASSERT_EQUAL_FATAL(tdo_config_rows(c, "defense"), 2);
    CU_ASSERT_EQUAL(tdo_config_row_index(c, "defense", 0), 1);
    CU_ASSERT_EQUAL(tdo_config_real(c, "defense.1.sigma"), 0.25);
    ASSERT_OK(tdo_config_set(c, "defense="));
    CU_ASSERT_EQUAL(tdo_config_rows(c, "defense"), 0);
    CU_ASSERT_TRUE(tdo_config_given(c, "defense"));
    ASSERT_OK(load(c, "defense = ();"));
    CU_ASSERT_EQUAL(tdo_config_rows(c, "defense"), 0);
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

static void arguments_for_rows_that_are_not_there_are_refused(void)
{
    tdo_config *c = fresh();
    CU_ASSERT_TRUE(
        argument_refused(c, "defense.0.sigma=0.5", "'defense.0.sigma'", "defense has 0 rows"));
    ASSERT_OK(tdo_config_set(c, "defense=gaussian"));
    CU_ASSERT_TRUE(
        argument_refused(c, "defense.1.sigma=0.5", "'defense.1.sigma'", "defense has 1 row,"));
    CU_ASSERT_TRUE(argument_refused(c, "defense.99999999999.sigma=1", "defense", "row"));
    CU_ASSERT_TRUE(argument_refused(c, "defense.sigma=1", "names no row", "defense.0.OPTION"));
    CU_ASSERT_TRUE(argument_refused(c, "defense.0.sgima=1", "'defense.0.sgima' of 'gaussian'",
                                    "mean 'sigma'?"));
    CU_ASSERT_TRUE(
        argument_refused(c, "defense.0.name=brelu", "name of a row", "defense=NAME"));
    CU_ASSERT_TRUE(argument_refused(c, "defense=gausian", "no 'gausian'", "mean 'gaussian'?"));
    CU_ASSERT_TRUE(argument_refused(c, "defense=brelu,", "has no ''", "brelu"));
    CU_ASSERT_TRUE(
        argument_refused(c, "defense.0.sigma=x", "defense.0.sigma is x", "a number"));
    CU_ASSERT_EQUAL(tdo_config_rows(c, "defense"), 1); /* as it was */
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

static void check_names_the_first_required_key_of_the_job(void)
{
    tdo_config *c = fresh();
    ASSERT_OK(tdo_config_check(c, CERTIFY)); /* does not read data.file */
    CU_ASSERT_EQUAL(tdo_config_check(c, TRAIN), TDO_ERR_CONFIG);
    CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, "data.file is missing"));
    CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, "the data set"));
    ASSERT_OK(tdo_config_set(c, "data.file=x.h5"));
    ASSERT_OK(tdo_config_check(c, TRAIN));
    ASSERT_OK(tdo_config_set(c, "defense=gaussian,adversarial"));
    CU_ASSERT_EQUAL(tdo_config_check(c, TRAIN), TDO_ERR_CONFIG);
    CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, "defense.1.eps is missing"));
    ASSERT_OK(tdo_config_check(c, CERTIFY)); /* does not read the list */
    ASSERT_OK(tdo_config_set(c, "defense.1.eps=0.1"));
    ASSERT_OK(tdo_config_check(c, TRAIN));
    tdo_config_free(&c);
}

/* The config of these jobs as one line. */
static bool json_is(const tdo_config *c, unsigned jobs, const char *want)
{
    tdo_json *j = NULL;
    char *text = NULL;
    ASSERT_OK_FATAL(tdo_config_json(c, jobs, &j));
    ASSERT_OK_FATAL(tdo_json_text(j, 0, &text));
    bool same = strcmp(text, want) == 0;
    if (!same) {
        fprintf(stderr, "got  %s\nwant %s\n", text, want);
    }
    tdo_memory_free(&text);
    tdo_json_free(&j);
    return same;
}

static void the_resolved_config_nests_by_dots(void)
{
    tdo_config *c = fresh();
    ASSERT_OK(tdo_config_set(c, "certify.hash=on"));
    ASSERT_OK(tdo_config_set(c, "train.lr=2"));
    ASSERT_OK(tdo_config_set(c, "run.seed=4294967295"));
    CU_ASSERT_TRUE(json_is(c, CERTIFY,
                           "{\"run\": {\"dir\": \"\", \"seed\": 4294967295}, "
                           "\"certify\": {\"n\": 100000, \"sigma\": 0.5, \"hash\": true}}"));
    ASSERT_OK(tdo_config_set(c, "defense=adversarial,brelu"));
    ASSERT_OK(tdo_config_set(c, "defense.0.eps=0.5"));
    CU_ASSERT_TRUE(
        json_is(c, TRAIN,
                "{\"run\": {\"dir\": \"\", \"seed\": 4294967295}, \"train\": {\"batch\": 128, "
                "\"lr\": 2.0, "
                "\"noise\": \"real\", \"drop\": [30.0, 60.5]}, \"defense\": [{\"name\": "
                "\"adversarial\", "
                "\"steps\": 10, \"eps\": 0.5, \"weights\": []}, {\"name\": \"brelu\"}]}"));
    ASSERT_OK(tdo_config_set(c, "plan.steps=brelu"));
    CU_ASSERT_TRUE(json_is(c, PLAN, "{\"plan\": {\"steps\": [{\"name\": \"brelu\"}]}}"));
    tdo_config_free(&c);
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
        {{"a.b", TDO_OPTION_INT, 1, 5, NULL, "6", NULL, "x", 1}, "default of a.b"},
        {{"a.b", TDO_OPTION_INT, 1, 0, NULL, "1", NULL, "x", 1}, "min above max"},
        {{"a.b", TDO_OPTION_CHOICE, 0, 0, "x|y", "z", NULL, "x", 1}, "one of x, y"},
        {{"a.b", TDO_OPTION_CHOICE, 0, 0, NULL, "z", NULL, "x", 1}, "choices"},
        {{"first", TDO_OPTION_TEXT, 0, 0, NULL, "", NULL, "x", 1}, "twice"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct tdo_option table[] = {{"first", TDO_OPTION_BOOL, 0, 0, NULL, "no", NULL, "x", 1},
                                     bad[i].row,
                                     {NULL, TDO_OPTION_INT, 0, 0, NULL, NULL, NULL, NULL, 0}};
        struct tdo_schema wrong = {table, NULL};
        tdo_config *c = NULL;
        CU_ASSERT_EQUAL(tdo_config_new(&wrong, &c), TDO_ERR_BUG);
        CU_ASSERT_PTR_NULL(c);
        CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, bad[i].part));
    }
}

/* Fetch in a child whose standard error is a pipe; the signal that ended it, 0 for none. */
static int fetch_in_child(tdo_config *c, const char *key, char *said, size_t room)
{
    int ends[2], status = 0;
    CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        struct rlimit no_core = {0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        dup2(ends[1], STDERR_FILENO);
        _exit(tdo_config_int(c, key) == 128 ? 0 : 1);
    }
    close(ends[1]);
    ssize_t n = read(ends[0], said, room - 1);
    said[n > 0 ? n : 0] = '\0';
    close(ends[0]);
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
}

static void fetching_what_the_schema_does_not_hold_is_a_bug(void)
{
    static const char *const bad[] = {"train.bacth", "train.lr", "defense.0.steps", "defense"};
    tdo_config *c = fresh();
    char said[500];
    CU_ASSERT_EQUAL(fetch_in_child(c, "train.batch", said, sizeof said), 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CU_ASSERT_EQUAL(fetch_in_child(c, bad[i], said, sizeof said), SIGABRT);
        CU_ASSERT_PTR_NOT_NULL(strstr(said, bad[i]));
    }
    tdo_config_free(&c);
}

/* Everything that a job does with a config. */
static tdo_err use_config(void)
{
    tdo_config *c = NULL;
    tdo_json *j = NULL;
    char *text = NULL;
    tdo_err err = TDO_OK;
    TDO_GOTO(tdo_config_new(&schema, &c));
    TDO_GOTO(tdo_config_load(c, path));
    TDO_GOTO(tdo_config_set(c, "defense=gaussian"));
    TDO_GOTO(tdo_config_set(c, "train.drop=1,2"));
    TDO_GOTO(tdo_config_json(c, TRAIN, &j));
    TDO_GOTO(tdo_json_text(j, 0, &text));
done:
    tdo_memory_free(&text);
    tdo_json_free(&j);
    tdo_config_free(&c);
    return err;
}

static void every_failing_allocation_is_an_error(void)
{
    static const char file[] = "train = { drop = (1, 2); };\n"
                               "defense = ( { name = \"gaussian\"; sigma = 1; } );\n";
    make_paths();
    ASSERT_OK_FATAL(tdo_file_write(path, file, sizeof file - 1));
    int64_t before = tdo_memory_count();
    ASSERT_OK_FATAL(use_config());
    int64_t count = tdo_memory_count() - before;
    CU_ASSERT_TRUE(count > 10);
    for (int64_t k = 1; k <= count; k++) {
        tdo_memory_fail_after(k);
        CU_ASSERT_EQUAL(use_config(), TDO_ERR_MEMORY);
    }
    tdo_memory_fail_after(0);
    unlink(path);
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

CU_TestInfo suite_tests[] = {
    {"an empty config has the defaults", an_empty_config_has_the_defaults},
    {"a file sets values of every type", a_file_sets_values_of_every_type},
    {"arguments win over the file, and later ones over earlier",
     arguments_win_over_the_file_and_later_ones_over_earlier},
    {"every word for true and false is understood",
     every_word_for_true_and_false_is_understood},
    {"integers of 64 bits are exact", integers_of_64_bits_are_exact},
    {"an integer that libconfig would cut is refused",
     an_integer_that_libconfig_would_cut_is_refused},
    {"numbers out of range name key, value, range and unit",
     numbers_out_of_range_name_key_value_range_and_unit},
    {"what is no finite number is refused", what_is_no_finite_number_is_refused},
    {"wrong types in a file say what is there and what is expected",
     wrong_types_in_a_file_say_what_is_there_and_what_is_expected},
    {"choices are whole words, and listed on error",
     choices_are_whole_words_and_listed_on_error},
    {"an unknown key suggests the nearest", an_unknown_key_suggests_the_nearest},
    {"the nearest word is the one with fewest edits",
     the_nearest_word_is_the_one_with_fewest_edits},
    {"list rows come in order with their options", list_rows_come_in_order_with_their_options},
    {"an argument replaces or empties a list", an_argument_replaces_or_empties_a_list},
    {"wrong rows name file, line and key", wrong_rows_name_file_line_and_key},
    {"arguments for rows that are not there are refused",
     arguments_for_rows_that_are_not_there_are_refused},
    {"files that cannot be parsed name file, line and reason",
     files_that_cannot_be_parsed_name_file_line_and_reason},
    {"included files are read and checked like the outer one",
     included_files_are_read_and_checked_like_the_outer_one},
    {"check names the first required key of the job",
     check_names_the_first_required_key_of_the_job},
    {"the resolved config nests by dots", the_resolved_config_nests_by_dots},
    {"the table prints sections in columns", the_table_prints_sections_in_columns},
    {"tables that contradict themselves are refused",
     tables_that_contradict_themselves_are_refused},
    {"fetching what the schema does not hold is a bug",
     fetching_what_the_schema_does_not_hold_is_a_bug},
    {"every failing allocation is an error, none a leak", every_failing_allocation_is_an_error},
    {"mutated files are taken, or refused with a message",
     mutated_files_are_taken_or_refused_with_a_message},
    CU_TEST_INFO_NULL};
