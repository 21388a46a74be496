/* outcomes.tsv and attack.json: what is written is read again, byte for byte; every kind of damage
 * is found, and said with file and line. */
#include "jobs/outcomes/outcomes.h"

#include <math.h>

#include "nn/base/file.h"
#include "tests/jobs/made_outcomes.h"

const char suite_name[] = "outcomes";

static const char attacks[] = "[{\"name\":\"clean\",\"title\":\"clean\"},"
                              "{\"name\":\"pgd\",\"title\":\"pgd linf 0.1\",\"norm\":\"linf\","
                              "\"eps\":0.25,\"steps\":20}]";

/* Two attacks on three images, with awkward numbers. */
static struct tdo_outcomes make(void)
{
    struct tdo_outcomes o = made_outcomes(2, 3, attacks);
    o.of[1] = (struct tdo_outcome){.row = 3,
                                   .label = 9,
                                   .clean = 4,
                                   .predict = 9,
                                   .target = 0,
                                   .success = 1,
                                   .wrong = 7,
                                   .draws = 2147483647,
                                   .l0 = 784,
                                   .l2 = 1.0 / 3,
                                   .linf = 1e-30,
                                   .x2 = 12345678901.0,
                                   .xinf = (double)0.1F,
                                   .queries = UINT64_MAX,
                                   .gradients = 40};
    o.of[4] = o.of[1];
    o.of[4].predict = 0;
    return o;
}

/* ---- good files ----------------------------------------------------------------------------------- */

/* A whole file, zero-ended. */
static void contents(const char *dir, const char *name, char text[4096])
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "rb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    text[fread(text, 1, 4095, f)] = 0;
    CU_ASSERT_EQUAL(fclose(f), 0);
}

static void test_bytes(void)
{
    char dir[64], text[4096];
    struct tdo_outcomes o = make();
    made_dir(dir);
    ASSERT_OK(tdo_outcomes_write(&o, dir));
    contents(dir, "outcomes.tsv", text);
    CU_ASSERT_STRING_EQUAL(
        text, "attack\tidx\tlabel\tclean\tpredict\ttarget\tsuccess\tl0\tl2\tlinf\tx2\txinf\t"
              "queries\tgradients\twrong\tdraws\n"
              "0\t0\t0\t0\t0\t-1\t0\t0\t0\t0\t1\t1\t0\t0\t0\t1\n"
              "0\t3\t9\t4\t9\t0\t1\t784\t0.333333333\t1e-30\t1.23456789e+10\t0.100000001\t"
              "18446744073709551615\t40\t7\t2147483647\n"
              "0\t6\t0\t0\t0\t-1\t0\t0\t0\t0\t1\t1\t0\t0\t0\t1\n"
              "1\t0\t0\t0\t0\t-1\t0\t0\t0\t0\t1\t1\t0\t0\t0\t1\n"
              "1\t3\t9\t4\t0\t0\t1\t784\t0.333333333\t1e-30\t1.23456789e+10\t0.100000001\t"
              "18446744073709551615\t40\t7\t2147483647\n"
              "1\t6\t0\t0\t0\t-1\t0\t0\t0\t0\t1\t1\t0\t0\t0\t1\n");
    tdo_outcomes_free(&o);
    made_remove(dir);
}

static void test_round_trip(void)
{
    static const char *const files[] = {"outcomes.tsv", "attack.json"};
    char first[64], second[64];
    struct tdo_outcomes o = make(), again;
    made_dir(first);
    made_dir(second);
    ASSERT_OK(tdo_outcomes_write(&o, first));
    ASSERT_OK_FATAL(tdo_outcomes_read(first, &again));
    CU_ASSERT_EQUAL(again.images, 3);
    CU_ASSERT_EQUAL(again.attacks, 2);
    CU_ASSERT_EQUAL(again.of[4].queries, UINT64_MAX);
    CU_ASSERT_EQUAL(again.of[4].draws, 2147483647);
    CU_ASSERT_EQUAL(again.of[5].row, 6);
    CU_ASSERT_EQUAL(again.of[5].target, -1);
    CU_ASSERT_DOUBLE_EQUAL(again.of[1].l2, 1.0 / 3, 1e-9);
    ASSERT_OK(tdo_outcomes_write(&again, second));
    for (int f = 0; f < 2; f++) {
        char a[4096], b[4096];
        contents(first, files[f], a);
        contents(second, files[f], b);
        CU_ASSERT_STRING_EQUAL(a, b);
    }
    tdo_outcomes_free(&again);
    tdo_outcomes_free(&o);
    made_remove(first);
    made_remove(second);
}

static void test_attack(void)
{
    struct tdo_outcomes o = make();
    struct tdo_outcomes_attack a;
    ASSERT_OK(tdo_outcomes_attack(&o, 0, &a));
    CU_ASSERT_STRING_EQUAL(a.name, "clean");
    CU_ASSERT_EQUAL(a.norm, TDO_NORMS);
    CU_ASSERT_TRUE(isinf(a.eps));
    ASSERT_OK(tdo_outcomes_attack(&o, 1, &a));
    CU_ASSERT_STRING_EQUAL(a.title, "pgd linf 0.1");
    CU_ASSERT_EQUAL(a.norm, TDO_NORM_LINF);
    CU_ASSERT_EQUAL(a.eps, 0.25);
    CU_ASSERT_EQUAL(tdo_outcomes_attack(&o, 2, &a), TDO_ERR_FORMAT);
    tdo_outcomes_free(&o);
}

/* ---- images that were not taken ------------------------------------------------------------------- */

static const char shared[] =
    "[{\"name\":\"a\",\"title\":\"a\",\"taken\":2},{\"name\":\"b\",\"title\":\"b\",\"taken\":2}"
    ","
    "{\"name\":\"c\",\"title\":\"c\"},{\"name\":\"d\",\"title\":\"d\",\"taken\":1}]";

/* Which of five images four attacks took; the labels are those of the images. */
static const bool takes[4][4] = {{1, 0, 1, 0}, {0, 1, 0, 1}, {1, 1, 1, 1}, {0, 0, 1, 0}};

static struct tdo_outcomes make_shared(void)
{
    struct tdo_outcomes o = made_outcomes(4, 4, shared);
    for (int a = 0; a < 4; a++) {
        for (int i = 0; i < 4; i++) {
            struct tdo_outcome *of = tdo_outcomes_at(&o, a, i);
            of->label = i;
            of->clean = i + 1;
            of->predict = a;
            if (!takes[a][i]) {
                *of = (struct tdo_outcome){
                    .row = 3 * i, .label = i, .clean = i + 1, .target = -1};
            }
        }
    }
    return o;
}

static void test_absent(void)
{
    char first[64], second[64], a[4096], b[4096];
    struct tdo_outcomes o = make_shared(), again;
    made_dir(first);
    made_dir(second);
    ASSERT_OK(tdo_outcomes_write(&o, first));
    contents(first, "outcomes.tsv", a);
    int lines = 0;
    for (const char *c = a; *c; c++) {
        lines += *c == '\n';
    }
    CU_ASSERT_EQUAL(lines, 1 + 9);
    ASSERT_OK_FATAL(tdo_outcomes_read(first, &again));
    for (int64_t k = 0; k < 16; k++) {
        CU_ASSERT_EQUAL(tdo_outcome_taken(&again.of[k]), takes[k / 4][k % 4]);
        CU_ASSERT_TRUE(again.of[k].row == o.of[k].row && again.of[k].label == o.of[k].label &&
                       again.of[k].clean == o.of[k].clean &&
                       again.of[k].predict == o.of[k].predict);
    }
    ASSERT_OK(tdo_outcomes_write(&again, second));
    contents(second, "outcomes.tsv", b);
    CU_ASSERT_STRING_EQUAL(a, b);
    tdo_outcomes_free(&again);
    tdo_outcomes_free(&o);
    made_remove(first);
    made_remove(second);
}

/* Layers by hand: the first attack that took each image, then the second, then the third. */
static void test_places(void)
{
    static const int64_t want[4][4] = {
        {0, -1, 2, -1}, {-1, 1, -1, 3}, {4, 5, 6, 7}, {-1, -1, 8, -1}};
    int64_t place[16], rows = 0;
    struct tdo_outcomes o = make_shared();
    ASSERT_OK(tdo_outcomes_places(&o, place, &rows));
    CU_ASSERT_EQUAL(rows, 9);
    for (int k = 0; k < 16; k++) {
        CU_ASSERT_EQUAL(place[k], want[k / 4][k % 4]);
    }
    tdo_outcomes_free(&o);
    o = make(); /* all taken: attack by attack */
    ASSERT_OK(tdo_outcomes_places(&o, place, &rows));
    CU_ASSERT_EQUAL(rows, 6);
    for (int k = 0; k < 6; k++) {
        CU_ASSERT_EQUAL(place[k], k);
    }
    tdo_outcomes_free(&o);
}

/* ---- damage --------------------------------------------------------------------------------------- */

/* Reading fails with this code and a message that has `want` in it. */
static void refused(const char *dir, tdo_err code, const char *want)
{
    struct tdo_outcomes o;
    CU_ASSERT_EQUAL(tdo_outcomes_read(dir, &o), code);
    const char *said = tdo_error_last()->message;
    if (!strstr(said, want)) {
        fprintf(stderr, "said  %s\nwant  %s\n", said, want);
    }
    CU_ASSERT_PTR_NOT_NULL(strstr(said, want));
    tdo_outcomes_free(&o);
}

static void put(const char *dir, const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "wb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    fputs(text, f);
    CU_ASSERT_EQUAL(fclose(f), 0);
}

/* The good files, made once. */
static void good(char table[4096], char about[4096])
{
    static char texts[2][4096];
    if (!texts[0][0]) {
        char dir[64];
        struct tdo_outcomes o = make();
        made_dir(dir);
        ASSERT_OK(tdo_outcomes_write(&o, dir));
        contents(dir, "outcomes.tsv", texts[0]);
        contents(dir, "attack.json", texts[1]);
        tdo_outcomes_free(&o);
        made_remove(dir);
    }
    memcpy(table, texts[0], 4096);
    memcpy(about, texts[1], 4096);
}

/* The good files with the first `from` of one of them replaced by `to`. */
static void damaged(const char *name, const char *from, const char *to, const char *want)
{
    char dir[64], text[2][4096], changed[5000];
    const int which = strcmp(name, "attack.json") == 0;
    made_dir(dir);
    good(text[0], text[1]);
    const char *at = strstr(text[which], from);
    CU_ASSERT_PTR_NOT_NULL_FATAL(at);
    snprintf(changed, sizeof changed, "%.*s%s%s", (int)(at - text[which]), text[which], to,
             at + strlen(from));
    put(dir, "outcomes.tsv", which == 0 ? changed : text[0]);
    put(dir, "attack.json", which == 1 ? changed : text[1]);
    refused(dir, TDO_ERR_FORMAT, want);
    made_remove(dir);
}

static void table(const char *from, const char *to, const char *want)
{
    damaged("outcomes.tsv", from, to, want);
}

static void about(const char *from, const char *to, const char *want)
{
    damaged("attack.json", from, to, want);
}

static void test_header(void)
{
    table("idx", "row", "outcomes.tsv: line 1: column 2 is 'row', the header of 16 columns");
    table("\tdraws", "", "line 1: column 15 is 'wrong'");
    table("draws\n", "draws\tmore\n", "line 1: column 16 is 'draws'");
    table("attack\tidx", "attack\t", "line 1: column 2 is ''");
}

static void test_columns(void)
{
    table("0\t1\n0\t3", "0\n0\t3", "outcomes.tsv: line 2: 16 columns");
    table("0\t1\n0\t3", "0\t1\t1\n0\t3", "line 2: 16 columns");
    table("0\t3\t9", "\n0\t3\t9", "line 3: 16 columns");
    table("1\t6\t0\t0\t0\t-1\t0\t0\t0\t0\t1\t1\t0\t0\t0\t1\n",
          "1\t6\t0\t0\t0\t-1\t0\t0\t0\t0\t1\t1\t0\t0\t0\t1", "line 7: 16 columns");
    table("784\t", "784 ", "line 3: l0 '784 0.333333333'");
}

static void test_numbers(void)
{
    table("\t784", "\t7x4", "line 3: l0 '7x4': a number that is not negative expected");
    table("\t784", "\t", "line 3: l0 '': a number");
    table("\t784", "\t-784", "line 3: l0 '-784'");
    table("\t784", "\tnan", "line 3: l0 'nan'");
    table("\t784", "\tinf", "line 3: l0 'inf'");
    table("\t784", "\t0x10", "line 3: l0 '0x10'");
    table("\t784", "\t 784", "line 3: l0 ' 784'");
    table("\t784", "\t1e999", "line 3: l0 '1e999'");
    table("\t784", "\t1e5e5", "line 3: l0 '1e5e5'");
    table("0\t3\t9", "0\t3\t10", "line 3: label '10': a class from 0 to 9 expected");
    table("0\t3\t9", "0\t3\t-1", "line 3: label '-1': a class from 0 to 9 expected");
    table("0\t3\t9", "0\t3\t09", "line 3: label '09'");
    table("0\t3\t9", "0\t3\t+9", "line 3: label '+9'");
    table("0\t3\t9", "0\t3\t9.0", "line 3: label '9.0'");
    table("0\t-1\t0", "0\t-2\t0", "line 2: target '-2': a class from -1 to 9 expected");
    table("0\t1\t784", "0\t2\t784", "line 3: success '2': 0 or 1 expected");
    table("615\t40", "616\t40", "line 3: queries '18446744073709551616'");
    table("\t40\t7", "\t-40\t7", "line 3: gradients '-40'");
    table("\t2147483647\n", "\t2147483648\n", "line 3: draws '2147483648'");
    table("0\t0\t0\t1\n0\t3", "0\t0\t0\t0\n0\t3",
          "line 2: draws '0': a whole number from 1 on");
    table("0\t0\t0\t1\n0\t3", "0\t0\t2\t1\n0\t3", "line 2: 2 wrong of 1 draws");
}

static void test_order(void)
{
    table("\n0\t3\t", "\n0\t6\t", "outcomes.tsv: line 3: idx '6', but 3 expected");
    table("\n0\t3\t", "\n0\t0\t", "line 3: idx '0', but 3 expected");
    table("\n0\t3\t", "\n1\t3\t", "line 3: attack '1', but 0 expected");
    table("\n1\t0\t", "\n2\t0\t", "line 5: attack '2', but 1 expected");
    table("\n0\t3\t", "\n0\t03\t", "line 3: idx '03', but 3 expected");
    table("\n1\t3\t9", "\n1\t3\t8", "line 6: label 8, but 9 for the same image in attack 0");
}

static void test_lines(void)
{
    static const char last[] = "1\t6\t0\t0\t0\t-1\t0\t0\t0\t0\t1\t1\t0\t0\t0\t1\n";
    char twice[2 * sizeof last];
    snprintf(twice, sizeof twice, "%s%s", last, last);
    table(last, "", "outcomes.tsv: line 7 is missing: 2 attacks on 3 images expected");
    table(last, twice, "line 8: no more than 2 attacks on 3 images expected");
    table(last, "1\t6\t0\t0\t0\t-1\t0\t0\t0\t0\t1\t1\t0\t0\t0\t1\n\n", "line 8: no more than");
}

static void test_about(void)
{
    about("\"images\": 3", "\"images\": 2", "line 4: attack '0', but 1 expected");
    about("\"images\": 3", "\"images\": 4", "line 5: attack '1', but 0 expected");
    about("\"images\": 3", "\"images\": 1099511627776", "\"images\": a whole number from 1 to");
    about("\"images\": 3", "\"images\": 300000000000",
          "too short for 2 attacks on 300000000000");
    about("\"images\": 3", "\"images\": 0", "attack.json: \"images\": a whole number from 1");
    about("\"images\": 3", "\"images\": 3.5", "\"images\": a whole number");
    about("\"skip\": 3", "\"skip\": 2", "line 3: idx '3', but 2 expected");
    about("\"skip\": 3", "\"skp\": 3", "attack.json: \"skip\": a whole number");
    about("\"classes\": 10", "\"classes\": 9", "line 3: label '9': a class from 0 to 8");
    about("\"attacks\":", "\"attack\":", "attack.json: \"attacks\": a list");
    about("\"name\": \"pgd\"", "\"nome\": \"pgd\"", "attack 1: \"name\": a text expected");
    about("pgd linf 0.1", "clean", "attacks 0 and 1 have the title 'clean'");
    about("pgd linf 0.1", "pgd\\tlinf", "attack 1: \"title\": a text on one line");
    about("pgd linf 0.1", "", "attack 1: \"title\": a text on one line");
    about("\"norm\": \"linf\"", "\"norm\": \"l3\"",
          "attack 1: \"norm\": l0, l2 or linf expected");
    about("\"eps\": 0.25", "\"eps\": -0.25", "attack 1: \"eps\": a number");
    about("\"eps\": 0.25", "\"eps\": \"0.1\"", "attack 1: \"eps\": a number");
    about("\"steps\": 20", "\"steps\": ", "attack.json: line ");
    about("\"eps\": 0.25", "\"eps\": [0.1]", "attack 1: \"eps\": a number");
}

static void test_missing(void)
{
    char dir[64], path[128];
    struct tdo_outcomes o = make();
    made_dir(dir);
    refused(dir, TDO_ERR_FILE, "attack.json");
    ASSERT_OK(tdo_outcomes_write(&o, dir));
    snprintf(path, sizeof path, "%s/outcomes.tsv", dir);
    CU_ASSERT_EQUAL(unlink(path), 0);
    refused(dir, TDO_ERR_FILE, "outcomes.tsv");
    tdo_outcomes_free(&o);
    made_remove(dir);
}

/* ---- what is not written -------------------------------------------------------------------------- */

static void test_unwritten(void)
{
    char dir[64], path[128];
    made_dir(dir);
    for (int k = 0; k < 7; k++) {
        struct tdo_outcomes o = make();
        o.of[2].l2 = k == 0 ? (double)NAN : 0;
        o.of[2].linf = k == 1 ? HUGE_VAL : 0;
        o.of[2].label = k == 2 ? 10 : 0;
        o.of[2].row = k == 3 ? 7 : 6;
        o.of[2].wrong = k == 4 ? 2 : 0;
        o.of[5].label = k == 5; /* not that of attack 0 */
        o.images -= k == 6;
        CU_ASSERT_EQUAL(tdo_outcomes_write(&o, dir), TDO_ERR_BUG);
        tdo_outcomes_free(&o);
    }
    snprintf(path, sizeof path, "%s/attack.json", dir);
    CU_ASSERT_FALSE(tdo_file_exists(path));
    made_remove(dir);
}

/* So many images were taken, and so many lines are there. */
static void test_taken(void)
{
    char dir[64], text[4096];
    struct tdo_outcomes o = make_shared();
    made_dir(dir);
    ASSERT_OK(tdo_outcomes_write(&o, dir));
    contents(dir, "outcomes.tsv", text);
    char *line = strstr(text, "\n1\t3"), *next = strstr(text, "\n1\t9");
    CU_ASSERT_FATAL(line && next);
    memmove(line, next, strlen(next) + 1); /* attack 1 has one line now */
    put(dir, "outcomes.tsv", text);
    refused(dir, TDO_ERR_FORMAT, "line 4: idx '9', but 6 expected");
    ASSERT_OK(tdo_outcomes_write(&o, dir));
    contents(dir, "outcomes.tsv", text);
    line = strstr(text, "\n3\t6");
    CU_ASSERT_FATAL(line != NULL);
    line[1] = 0; /* and so none of attack 3 */
    put(dir, "outcomes.tsv", text);
    refused(dir, TDO_ERR_FORMAT, "line 10 is missing");
    contents(dir, "attack.json", text);
    char *number = strstr(text, "\"taken\": 1");
    CU_ASSERT_FATAL(number != NULL);
    number[9] = '5';
    put(dir, "attack.json", text);
    refused(dir, TDO_ERR_FORMAT, "attack 3: \"taken\": a whole number from 0 to that");
    *tdo_outcomes_at(&o, 0, 1) = o.of[0]; /* one more than attack.json says */
    o.of[1].row = 3;
    o.of[1].label = 1;
    CU_ASSERT_EQUAL(tdo_outcomes_write(&o, dir), TDO_ERR_BUG);
    tdo_outcomes_free(&o);
    made_remove(dir);
}

static void test_memory(void)
{
    char dir[64];
    struct tdo_outcomes o = make(), again;
    made_dir(dir);
    ASSERT_OK(tdo_outcomes_write(&o, dir));
    int64_t k = 0;
    for (tdo_err err = TDO_ERR_MEMORY; err != TDO_OK; k++) {
        tdo_memory_fail_after(k + 1);
        err = tdo_outcomes_read(dir, &again);
        tdo_memory_fail_after(0);
        CU_ASSERT_TRUE_FATAL(err == TDO_OK || err == TDO_ERR_MEMORY);
        tdo_outcomes_free(&again);
    }
    CU_ASSERT_TRUE(k > 5);
    tdo_outcomes_free(&o);
    made_remove(dir);
}

CU_TestInfo suite_tests[] = {
    {"outcomes are written in this form", test_bytes},
    {"what is read and written again is the same, byte for byte", test_round_trip},
    {"attack.json says name, title, norm and eps of an attack", test_attack},
    {"images that were not taken have no line, and are read as such", test_absent},
    {"the stored set lies layer by layer", test_places},
    {"lines that do not fit the number of images taken are refused", test_taken},
    {"a wrong header is refused, naming the column", test_header},
    {"a wrong number of columns is refused, naming the line", test_columns},
    {"bad numbers are refused, naming line and column", test_numbers},
    {"lines out of order are refused", test_order},
    {"missing and surplus lines are refused", test_lines},
    {"an attack.json that is damaged or fits another table is refused", test_about},
    {"a missing file is named", test_missing},
    {"what could not be read again is not written", test_unwritten},
    {"reading without enough memory fails cleanly", test_memory},
    CU_TEST_INFO_NULL};
