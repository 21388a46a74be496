/* Config: defaults, arguments, look-ups, the resolved JSON, and what is said about wrong
 * keys. */
#include "nn/base/config.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nn/base/memory.h"
#include "tests/nn/base/config_fixture.h"

const char suite_name[] = "base/config";

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

static void check_names_the_first_required_key_of_the_job(void)
{
    tdo_config *c = fresh();
    ASSERT_OK(tdo_config_check(c, CERTIFY)); /* does not read data.file */
    ASSERT_OK(tdo_config_check(c, PLAN));    /* can do without it */
    CU_ASSERT_EQUAL(tdo_config_check(c, TRAIN | PLAN), TDO_ERR_CONFIG);
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

CU_TestInfo suite_tests[] = {
    {"an empty config has the defaults", an_empty_config_has_the_defaults},
    {"arguments win over the file, and later ones over earlier",
     arguments_win_over_the_file_and_later_ones_over_earlier},
    {"an unknown key suggests the nearest", an_unknown_key_suggests_the_nearest},
    {"an argument replaces or empties a list", an_argument_replaces_or_empties_a_list},
    {"arguments for rows that are not there are refused",
     arguments_for_rows_that_are_not_there_are_refused},
    {"check names the first required key of the job",
     check_names_the_first_required_key_of_the_job},
    {"the resolved config nests by dots", the_resolved_config_nests_by_dots},
    {"fetching what the schema does not hold is a bug",
     fetching_what_the_schema_does_not_hold_is_a_bug},
    {"every failing allocation is an error, none a leak", every_failing_allocation_is_an_error},
    CU_TEST_INFO_NULL};
