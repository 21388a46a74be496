/* The parts of a report that need no ranks: curves beside plain counting, tables and scripts as
 * text, pictures read back by the decoder of the importer, run directories good and broken. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "jobs/formats/image.h"
#include "jobs/report/contact.h"
#include "jobs/report/curve.h"
#include "jobs/report/plot.h"
#include "jobs/report/results.h"
#include "jobs/report/table.h"
#include "jobs/report/tsv.h"
#include "nn/base/file.h"
#include "nn/base/memory.h"
#include "tests/runner.h"

const char suite_name[] = "report";

static char dir[64];

static const char *path_of(const char *name)
{
    static char path[160];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void write_text(const char *name, const char *text)
{
    ASSERT_OK_FATAL(tdo_file_write(path_of(name), text, (int64_t)strlen(text)));
}

static void open_scratch(void)
{
    snprintf(dir, sizeof dir, "/tmp/test-report-XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
}

static tdo_err remove_one(void *user, const char *name)
{
    (void)user;
    return remove(path_of(name)) == 0 ? TDO_OK : TDO_ERR_FILE;
}

static void close_scratch(void)
{
    ASSERT_OK(tdo_file_list(dir, remove_one, NULL));
    CU_ASSERT_EQUAL(remove(dir), 0);
}

/* The call failed, and the message has this text. */
static void must_fail(tdo_err err, tdo_err want, const char *text)
{
    CU_ASSERT_EQUAL(err, want);
    if (!strstr(tdo_error_last()->message, text)) {
        printf("\n    '%s' has no '%s'\n", tdo_error_last()->message, text);
        CU_FAIL("message");
    }
}

/* ---- curves ------------------------------------------------------------------------------------- */

enum { MANY = 1500 };

/* Limits with ties, wrong images, and images that never give way. */
static void make_limits(double *limit, int n, unsigned levels)
{
    unsigned state = 12345;
    for (int i = 0; i < n; i++) {
        state = state * 1103515245U + 12345U;
        const unsigned v = state >> 16;
        limit[i] = v % 7 == 0    ? -1
                   : v % 11 == 0 ? (double)INFINITY
                                 : (double)(v % levels) / levels;
    }
}

static int64_t count(const double *limit, int n, double x, bool holds)
{
    int64_t stand = 0;
    for (int i = 0; i < n; i++) {
        stand += holds ? limit[i] >= x : limit[i] > x;
    }
    return stand;
}

static void test_stand(void)
{
    static double limit[MANY];
    make_limits(limit, MANY, 50);
    tdo_curve_sort(limit, MANY);
    for (int k = -2; k <= 110; k++) {
        const double x = k / 100.0;
        CU_ASSERT_EQUAL(tdo_curve_stand(limit, MANY, x, false), count(limit, MANY, x, false));
        CU_ASSERT_EQUAL(tdo_curve_stand(limit, MANY, x, true), count(limit, MANY, x, true));
    }
    CU_ASSERT_EQUAL(tdo_curve_stand(limit, 0, 0, true), 0);
}

static void check_steps(unsigned levels, int64_t points)
{
    static double limit[MANY];
    struct tdo_curve c;
    make_limits(limit, MANY, levels);
    tdo_curve_sort(limit, MANY);
    ASSERT_OK_FATAL(tdo_curve_steps(limit, MANY, &c));
    CU_ASSERT_EQUAL(c.points, points);
    CU_ASSERT_EQUAL(c.x[0], 0);
    for (int64_t i = 0; i < c.points; i++) {
        CU_ASSERT_TRUE(i == 0 || c.x[i] > c.x[i - 1]);
        CU_ASSERT_EQUAL(c.y[i], (double)count(limit, MANY, c.x[i], false) / MANY);
    }
    /* Only those that never give way stand behind the last point. */
    CU_ASSERT_EQUAL(c.y[c.points - 1], (double)count(limit, MANY, 1e300, false) / MANY);
    tdo_curve_free(&c);
}

static void test_steps(void)
{
    check_steps(50, 50); /* 0, 1/50, ..., 49/50 */
    check_steps(65536, 401);
}

static void test_round(void)
{
    CU_ASSERT_EQUAL(tdo_curve_round_step(2.0, 8), 0.25);
    CU_ASSERT_EQUAL(tdo_curve_round_step(1.0, 10), 0.1);
    CU_ASSERT_EQUAL(tdo_curve_round_step(0.95, 8), 0.2);
    CU_ASSERT_EQUAL(tdo_curve_round_step(0.03, 5), 0.01);
    CU_ASSERT_EQUAL(tdo_curve_round_step(7, 10), 1);
    CU_ASSERT_EQUAL(tdo_curve_round_step(1234, 5), 250);
    CU_ASSERT_NOT_EQUAL(3 * 0.1, 0.3); /* what the next function is for */
    CU_ASSERT_EQUAL(tdo_curve_at(0.1, 3), 0.3);
    CU_ASSERT_EQUAL(tdo_curve_at(0.25, 7), 1.75);
    CU_ASSERT_EQUAL(tdo_curve_at(0.0025, 3), 0.0075);
    CU_ASSERT_EQUAL(tdo_curve_at(500, 3), 1500);
}

static void test_quantile(void)
{
    const double limit[] = {-1, -1, 1, 2, 3, 4, (double)INFINITY};
    CU_ASSERT_EQUAL(tdo_curve_quantile(limit, 7, 0.5), 2);
    CU_ASSERT_EQUAL(tdo_curve_quantile(limit, 7, 0.51), 3);
    CU_ASSERT_EQUAL(tdo_curve_quantile(limit, 7, 0.98), 4);
    CU_ASSERT_EQUAL(tdo_curve_quantile(limit, 7, 0), 1);
    CU_ASSERT_EQUAL(tdo_curve_quantile(limit, 2, 0.5), 0);
}

/* ---- tables ------------------------------------------------------------------------------------- */

static char *printed(const tdo_table *t, tdo_err (*print)(const tdo_table *t, FILE *to))
{
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    CU_ASSERT_PTR_NOT_NULL_FATAL(to);
    ASSERT_OK(print(t, to));
    CU_ASSERT_EQUAL(fclose(to), 0);
    return text;
}

static void test_table(void)
{
    tdo_table *t = NULL;
    ASSERT_OK_FATAL(tdo_table_new(&t));
    tdo_table_column(t, false, "run");
    tdo_table_column(t, true, "r = %g (%%)", 0.5);
    tdo_table_column(t, true, "nothing");
    tdo_table_cell(t, "a|b");
    tdo_table_percent(t, 1, 3);
    tdo_table_cell(t, "%s", "");
    tdo_table_cell(t, "L∞\t_x_");
    tdo_table_percent(t, 0, 0);
    tdo_table_cell(t, "-");
    CU_ASSERT_EQUAL(tdo_table_rows(t), 2);
    char *text = printed(t, tdo_table_markdown);
    CU_ASSERT_STRING_EQUAL(text, "| run    | r = 0.5 (%) |\n"
                                 "| ------ | ----------: |\n"
                                 "| a\\|b   |       33.33 |\n"
                                 "| L∞?_x_ |           - |\n\n");
    free(text);
    text = printed(t, tdo_table_tsv);
    CU_ASSERT_STRING_EQUAL(text, "run\tr = 0.5 (%)\tnothing\n"
                                 "a|b\t33.33\t-\n"
                                 "L∞\\x09_x_\t-\t-\n");
    free(text);
    tdo_table_cell(t, "half a row");
    must_fail(tdo_table_tsv(t, stdout), TDO_ERR_BUG, "not full");
    tdo_table_free(&t);
    CU_ASSERT_PTR_NULL(t);
}

static void test_tsv(void)
{
    struct tdo_tsv t;
    bool more = false;
    int column = -1;
    int64_t n = 0;
    double v = 0;
    open_scratch();
    write_text("t", "idx\tradius\tmore\r\n7\t0.25\t\n8\tnan\tx\n9\n");
    ASSERT_OK_FATAL(tdo_tsv_open(path_of("t"), &t));
    CU_ASSERT_EQUAL(tdo_tsv_column(&t, "more"), 2);
    CU_ASSERT_EQUAL(tdo_tsv_column(&t, "radiu"), -1);
    must_fail(tdo_tsv_need(&t, "label", &column), TDO_ERR_FORMAT, "t:1: no column `label`");
    ASSERT_OK(tdo_tsv_next(&t, &more));
    CU_ASSERT_TRUE(more);
    ASSERT_OK(tdo_tsv_int(&t, 0, 0, 10, &n));
    ASSERT_OK(tdo_tsv_real(&t, 1, 0, 1, &v));
    CU_ASSERT_EQUAL(n, 7);
    CU_ASSERT_EQUAL(v, 0.25);
    CU_ASSERT_STRING_EQUAL(t.field[2], "");
    must_fail(tdo_tsv_int(&t, 0, 8, 10, &n), TDO_ERR_FORMAT, "t:2: idx = 7: from 8 to 10");
    must_fail(tdo_tsv_int(&t, 1, 0, 9, &n), TDO_ERR_FORMAT, "t:2: radius = '0.25': an integer");
    must_fail(tdo_tsv_int(&t, 2, 0, 9, &n), TDO_ERR_FORMAT, "an integer");
    ASSERT_OK(tdo_tsv_next(&t, &more));
    must_fail(tdo_tsv_real(&t, 1, 0, 1, &v), TDO_ERR_FORMAT, "t:3: radius = 'nan': a number");
    must_fail(tdo_tsv_next(&t, &more), TDO_ERR_FORMAT, "t:4: 1 columns, the header has 3");
    tdo_tsv_free(&t);
    write_text("t", "idx\n7");
    ASSERT_OK_FATAL(tdo_tsv_open(path_of("t"), &t));
    must_fail(tdo_tsv_next(&t, &more), TDO_ERR_FORMAT, "t:2: the line has no end");
    tdo_tsv_free(&t);
    ASSERT_OK(tdo_file_write(path_of("t"), "a\0b\n", 4));
    must_fail(tdo_tsv_open(path_of("t"), &t), TDO_ERR_FORMAT, "a zero byte at offset 1");
    tdo_tsv_free(&t);
    write_text("t", "");
    must_fail(tdo_tsv_open(path_of("t"), &t), TDO_ERR_FORMAT, "empty");
    tdo_tsv_free(&t);
    close_scratch();
}

/* ---- plots -------------------------------------------------------------------------------------- */

static bool file_has(const char *name, const char *what)
{
    char *text = NULL;
    int64_t bytes = 0;
    ASSERT_OK_FATAL(tdo_file_read(path_of(name), 1 << 20, &text, &bytes));
    const bool has = strstr(text, what) != NULL;
    tdo_memory_free(&text);
    return has;
}

static void test_plot(void)
{
    const struct tdo_plot_frame frame = {
        .name = "p", .title = "it's", .x = "eps", .y = "%", .x_high = 0.5, .y_high = 100};
    const struct tdo_plot_series line = {"a_b", TDO_PLOT_LINE, 0, 0, false};
    const struct tdo_plot_series none = {"none", TDO_PLOT_LINE, 1, 0, false};
    const struct tdo_plot_series steps = {"x\ny", TDO_PLOT_STEPS, 8, 1, false};
    tdo_plot *p = NULL;
    open_scratch();
    ASSERT_OK_FATAL(tdo_plot_new(&frame, &p));
    CU_ASSERT_TRUE(tdo_plot_empty(p));
    tdo_plot_series(p, &line);
    tdo_plot_point(p, 0, 100);
    tdo_plot_point(p, 0.25, 200.0 / 3);
    tdo_plot_series(p, &none);
    CU_ASSERT_FALSE(tdo_plot_empty(p));
    tdo_plot_series(p, &steps);
    tdo_plot_point(p, 1, 2);
    ASSERT_OK(tdo_plot_write(p, dir));
    tdo_plot_free(&p);
    CU_ASSERT_TRUE(file_has("p.dat", "# a_b\n0 100\n0.25 66.6666667\n\n\n# x\\x0ay\n1 2\n"));
    CU_ASSERT_TRUE(file_has("p.gp", "set title 'it''s'\n"));
    CU_ASSERT_TRUE(file_has("p.gp", "set xrange [0:0.5]\nset yrange [0:100]\n"));
    CU_ASSERT_TRUE(file_has("p.gp", "'p.dat' index 0 using 1:2 with linespoints"));
    CU_ASSERT_TRUE(file_has("p.gp", "'p.dat' index 1 using 1:2 with steps"));
    CU_ASSERT_TRUE(file_has("p.gp", "title 'x?y'\n"));
    CU_ASSERT_FALSE(file_has("p.gp", "'none'"));
    CU_ASSERT_FALSE(file_has("p.gp", "index 2"));
    close_scratch();
}

/* ---- pictures ----------------------------------------------------------------------------------- */

static int level(const struct tdo_image *image, int64_t x, int64_t y, int channel)
{
    return image->pixels[(y * image->width + x) * 3 + channel];
}

static void test_canvas(void)
{
    const float rgb[] = {0, 0.5F, 1, 2, -1, 0.25F}; /* 1 x 2 pixels */
    const float grey[] = {0.2F};
    const struct tdo_canvas_image color = {rgb, 1, 2, 3}, plain = {grey, 1, 1, 1};
    struct tdo_canvas c;
    struct tdo_image image;
    open_scratch();
    ASSERT_OK_FATAL(tdo_canvas_new(9, 5, &c));
    tdo_canvas_put(&c, 1, 1, 3, &color);
    tdo_canvas_put(&c, 8, 4, 1, &plain);
    ASSERT_OK(tdo_canvas_save(&c, path_of("c.png")));
    ASSERT_OK_FATAL(tdo_image_read(path_of("c.png"), &image));
    CU_ASSERT_EQUAL(image.width, 9);
    CU_ASSERT_EQUAL(image.height, 5);
    static const int left[] = {0, 128, 255}, right[] = {255, 0, 64};
    for (int k = 0; k < 3; k++) {
        CU_ASSERT_EQUAL(level(&image, 1, 1, k), left[k]);
        CU_ASSERT_EQUAL(level(&image, 3, 3, k), left[k]);
        CU_ASSERT_EQUAL(level(&image, 4, 1, k), right[k]);
        CU_ASSERT_EQUAL(level(&image, 6, 3, k), right[k]);
        CU_ASSERT_EQUAL(level(&image, 0, 1, k), 255);
        CU_ASSERT_EQUAL(level(&image, 7, 3, k), 255);
        CU_ASSERT_EQUAL(level(&image, 6, 4, k), 255);
        CU_ASSERT_EQUAL(level(&image, 8, 4, k), 51);
    }
    tdo_image_free(&image);
    tdo_canvas_free(&c);
    must_fail(tdo_canvas_new(0, 5, &c), TDO_ERR_SHAPE, "0x5");
    must_fail(tdo_canvas_new(5, 40000, &c), TDO_ERR_SHAPE, "40000");
    close_scratch();
}

static double factor_of(float most)
{
    const float clean[] = {0.5F, 0.5F}, changed[] = {0.5F, 0.5F - most};
    return tdo_contact_factor(clean, changed, 2);
}

static void test_contact(void)
{
    CU_ASSERT_EQUAL(factor_of(0), 1000);
    CU_ASSERT_EQUAL(factor_of(0.0625F), 5);
    CU_ASSERT_EQUAL(factor_of(0.25F), 2);
    CU_ASSERT_EQUAL(factor_of(0.5F), 1);
    CU_ASSERT_EQUAL(factor_of(1), 0.5);
    /* Two images of 48 x 48, so of scale 2, and two attacks; one touches a corner. */
    enum { SIDE = 48, PIXELS = SIDE * SIDE };
    static float clean[2 * PIXELS], changed[4 * PIXELS];
    double factor[2];
    struct tdo_canvas c;
    for (int i = 0; i < PIXELS; i++) {
        clean[i] = 0.2F;
        clean[PIXELS + i] = 0.6F;
    }
    memcpy(changed, clean, sizeof clean);
    memcpy(changed + 2 * PIXELS, clean, sizeof clean);
    changed[3 * PIXELS] = 0.85F; /* second attack, second image */
    const struct tdo_contact sheet = {SIDE, SIDE, 1, 2, 2, clean, changed};
    ASSERT_OK_FATAL(tdo_contact_draw(&sheet, factor, &c));
    CU_ASSERT_EQUAL(factor[0], 1000);
    CU_ASSERT_EQUAL(factor[1], 2);
    const int64_t cell = 2 * SIDE + 4, block = 3 * cell + 16, second = 4 + cell;
    CU_ASSERT_EQUAL(c.width, 4 + 2 * cell);
    CU_ASSERT_EQUAL(c.height, 4 + 2 * block - 16);
    const struct tdo_image image = {c.width, c.height, c.pixels};
    CU_ASSERT_EQUAL(level(&image, 3, 4, 0), 255); /* the gap */
    CU_ASSERT_EQUAL(level(&image, 4, 4, 0), 51);
    CU_ASSERT_EQUAL(level(&image, second, 4, 0), 153);
    CU_ASSERT_EQUAL(level(&image, 4, 4 + 2 * cell, 0), 128); /* no difference */
    CU_ASSERT_EQUAL(level(&image, second + 1, 4 + block + cell + 1, 0), 217); /* .85 */
    CU_ASSERT_EQUAL(level(&image, second + 2, 4 + block + cell, 0), 153);
    CU_ASSERT_EQUAL(level(&image, second, 4 + block + 2 * cell, 0), 255); /* .5 + 2 * .25 */
    CU_ASSERT_EQUAL(level(&image, second + 2, 4 + block + 2 * cell, 0), 128);
    tdo_canvas_free(&c);
}

/* ---- run directories ---------------------------------------------------------------------------- */

static const char certify_header[] = "idx\tlabel\tpredict\tradius\tcorrect\ttime\n";
static const char certify_rows[] = "0\t3\t3\t0.5\t1\t0:00:01\n"
                                   "1\t4\t3\t0.75\t0\t0:00:01\n"
                                   "2\t4\t-1\t0\t0\t0:00:01\n"
                                   "3\t1\t1\t0.25\t1\t0:00:01\n";

static void test_results(void)
{
    struct tdo_results r;
    char text[1024];
    open_scratch();
    snprintf(text, sizeof text, "%s%s", certify_header, certify_rows);
    write_text("certify.tsv", text); /* as others write it, with six columns */
    write_text("votes.tsv", "idx\tlabel\tselect\tcount\thash\n"
                            "0\t3\t0,0,0,1\t0,1,0,9\t-\n1\t4\t0,0,0,1\t0,1,0,9\t-\n"
                            "2\t4\t1,0,0,0\t5,5,0,0\t-\n3\t1\t1,0,0,0\t5,5,0,0\t-\n");
    write_text("metrics.jsonl", "{\"epoch\": 1, \"step\": 5, \"rate\": 0.1, \"loss\": 2.5}\n"
                                "{\"epoch\": 2, \"loss\": 1.5, \"val_accuracy\": 1}\n");
    write_text("evaluate.json", "{\"images\": 8, \"correct\": 6, \"loss\": 0.5}");
    write_text("run.json",
               "{\"certify\": {\"config\": {\"certify\": {\"sigma\": 0.25, \"alpha\": 0.001, "
               "\"certifier\": \"cohen\"}, \"model\": {\"name\": \"zcnn\"}}}}");
    ASSERT_OK_FATAL(tdo_results_read(dir, "it", &r));
    CU_ASSERT_EQUAL(r.certificates.images, 4);
    CU_ASSERT_EQUAL(r.certificates.abstained, 1);
    CU_ASSERT_EQUAL(r.certificates.correct, 2);
    CU_ASSERT_EQUAL(r.certificates.average, 0.75 / 4);
    CU_ASSERT_EQUAL(r.certificates.majority, 1); /* ties go to the lowest: only the first */
    CU_ASSERT_EQUAL(r.certificates.limit[0], -1);
    CU_ASSERT_EQUAL(r.certificates.limit[3], 0.5);
    CU_ASSERT_EQUAL(r.certificates.sigma, 0.25);
    CU_ASSERT_STRING_EQUAL(r.certificates.certifier, "cohen");
    CU_ASSERT_STRING_EQUAL(r.certificates.n, "-");
    CU_ASSERT_STRING_EQUAL(r.model, "zcnn");
    CU_ASSERT_EQUAL(r.epochs, 2);
    CU_ASSERT_EQUAL(r.epoch[0].metric[TDO_RESULTS_LOSS], 2.5);
    CU_ASSERT_TRUE(isnan(r.epoch[0].metric[TDO_RESULTS_VAL_ACCURACY]));
    CU_ASSERT_EQUAL(r.epoch[1].metric[TDO_RESULTS_VAL_ACCURACY], 1);
    CU_ASSERT_EQUAL(r.clean.correct, 6);
    CU_ASSERT_EQUAL(r.clean.top5, -1);
    CU_ASSERT_STRING_EQUAL(r.clean.split, "-");
    tdo_results_free(&r);
    close_scratch();
}

/* One broken file in a directory. */
static void broken(const char *name, const char *text, const char *message)
{
    struct tdo_results r;
    open_scratch();
    write_text(name, text);
    must_fail(tdo_results_read(dir, "it", &r), TDO_ERR_FORMAT, message);
    tdo_results_free(&r);
    close_scratch();
}

static void test_broken(void)
{
    struct tdo_results r;
    char text[1024];
    broken("certify.tsv", "idx\tradius\n", "certify.tsv:1: no column `predict`");
    broken("certify.tsv", certify_header, "certify.tsv: no line behind the header");
    snprintf(text, sizeof text, "%s%s4\t1\t1\t-0.25\t1\t0:00:01\n", certify_header,
             certify_rows);
    broken("certify.tsv", text, "certify.tsv:6: radius = -0.25");
    broken("metrics.jsonl", "{\"epoch\": 1}\n{\"epoch\": }\n", "metrics.jsonl:2: line 1");
    broken("metrics.jsonl", "{\"step\": 1}\n", "metrics.jsonl:1: a number `epoch`");
    broken("metrics.jsonl", "{\"epoch\": 1}", "metrics.jsonl:1: the line has no end");
    broken("evaluate.json", "{\"images\": 3, \"correct\": 4, \"loss\": 1}", "evaluate.json");
    broken("evaluate.json", "{", "evaluate.json: line 1");
    open_scratch();
    snprintf(text, sizeof text, "%s%s", certify_header, certify_rows);
    write_text("certify.tsv", text);
    write_text("votes.tsv", "idx\tlabel\tselect\tcount\thash\n0\t3\t1\t1,,2\t-\n");
    must_fail(tdo_results_read(dir, "it", &r), TDO_ERR_FORMAT, "votes.tsv:2: count = '1,,2'");
    tdo_results_free(&r);
    write_text("votes.tsv", "idx\tlabel\tselect\tcount\thash\n0\t3\t1\t1,2\t-\n");
    must_fail(tdo_results_read(dir, "it", &r), TDO_ERR_FORMAT, "votes.tsv: 1 images, but 4");
    tdo_results_free(&r);
    close_scratch();
    open_scratch();
    must_fail(tdo_results_read(dir, "it", &r), TDO_ERR_FILE, "nothing to report in /tmp/");
    tdo_results_free(&r);
    close_scratch();
    must_fail(tdo_results_read(dir, "it", &r), TDO_ERR_FILE, "no run directory /tmp/");
    tdo_results_free(&r);
}

CU_TestInfo suite_tests[] = {
    {"as many images stand as plain counting finds", test_stand},
    {"a curve has every step, or 400 of them, with the right height", test_steps},
    {"steps of an axis are round and add up without error", test_round},
    {"a quantile leaves out what never gives way", test_quantile},
    {"a table is lined up in Markdown, complete in TSV", test_table},
    {"a broken table is said with file and line", test_tsv},
    {"data and script of a plot belong together", test_plot},
    {"a picture comes back from its PNG pixel by pixel", test_canvas},
    {"a contact sheet has images, attacks and differences in place", test_contact},
    {"a run directory is read as it was written", test_results},
    {"a broken run directory is said with file and line", test_broken},
    CU_TEST_INFO_NULL};
