/* Checking certificates: a file that is right has no defect; each edit of it is found, by its hash,
 * and, where the counts say something else, by what they say. Logs of radii that were rounded down
 * have none either; rows that claim too much are named, and no others. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "defenses/certifier.h"
#include "defenses/sequential.h"
#include "jobs/certify_tables.h"
#include "jobs/verify/verify.h"
#include "nn/base/file.h"
#include "nn/base/memory.h"
#include "tests/mpi/runner.h"

const char suite_name[] = "verify";

enum { K = 3, IMAGES = 5, BLOCK = 200, N0 = 50, N = 800, SIDE = 4 };

/* Findings of a check, as text. */
struct findings {
    struct tdo_verify v;
    char *text;
    size_t size;
};

static void begin(struct findings *f, const char *path)
{
    *f = (struct findings){.v = {.comm = runner_comm, .path = path}};
    f->v.to = open_memstream(&f->text, &f->size);
    CU_ASSERT_PTR_NOT_NULL_FATAL(f->v.to);
}

static void end(struct findings *f)
{
    fclose(f->v.to);
}

/* ---- a file ------------------------------------------------------------------------------------ */

static struct tdo_schedule make_schedule(enum tdo_schedule_mode mode)
{
    tdo_rounded *table = NULL;
    struct tdo_schedule s;
    ASSERT_OK_FATAL(tdo_rounded_new(0.25, &table));
    struct tdo_schedule_options o = {.mode = mode,
                                     .n = N,
                                     .alpha = 0.01,
                                     .beta = 0.001,
                                     .sigma = 0.25,
                                     .slack = tdo_rounded_slack(table, (int64_t)SIDE * SIDE)};
    if (mode == TDO_SCHEDULE_RADII) {
        o.targets = 2;
        o.target[0] = 0.1;
        o.target[1] = 0.3;
    }
    ASSERT_OK_FATAL(tdo_schedule_make(&o, &s));
    tdo_rounded_free(&table);
    return s;
}

/* Thresholds are made once for each mode. */
static const tdo_sequential *table_of(enum tdo_schedule_mode mode)
{
    static tdo_sequential *made[2];
    if (!made[mode]) {
        const struct tdo_schedule s = make_schedule(mode);
        ASSERT_OK_FATAL(tdo_sequential_new(&s, &made[mode]));
    }
    return made[mode];
}

static void set_texts(struct tdo_certificates *c)
{
    const struct {
        char **field;
        const char *words;
    } texts[] = {{&c->version, "1"},        {&c->generator, TDO_RNG_VERSION},
                 {&c->precision, "f32"},    {&c->instruction_set, "some"},
                 {&c->convolution, "none"}, {&c->blas_core, "core"},
                 {&c->model, "net"},        {&c->split, "test"},
                 {&c->noise, "rounded"},    {&c->certifier, "cohen"}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        ASSERT_OK_FATAL(tdo_certificates_text(texts[i].field, texts[i].words));
    }
}

/* Votes of image i after n draws: most of them for class i % K, shares as they may be. */
static void set_votes(struct tdo_certificates *c, int64_t i, int64_t n)
{
    static const double share[IMAGES] = {1, 0.95, 0.8, 0.6, 0.4};
    const int64_t most = (int64_t)(share[i] * (double)n), k = i % K;
    c->n[i] = n;
    c->count[i * K + k] = (uint64_t)most;
    c->count[i * K + (k + 1) % K] = (uint64_t)((n - most) / 2);
    c->count[i * K + (k + 2) % K] = (uint64_t)(n - most - (n - most) / 2);
    c->select[i * K + k] = N0;
}

/* As the job does: looks one after the other. */
static void decide(struct tdo_certificates *c, const tdo_sequential *table, int64_t i)
{
    struct tdo_sequential_step step = {.action = TDO_SEQUENTIAL_GO_ON};
    struct tdo_sequential_report r;
    int look = -1;
    while (step.action == TDO_SEQUENTIAL_GO_ON) {
        look++;
        set_votes(c, i, c->schedule.look[look].n);
        step = tdo_sequential_look(table, look, (int64_t)c->count[i * K + i % K]);
    }
    ASSERT_OK(tdo_sequential_report(&c->schedule, look, (int64_t)c->count[i * K + i % K], &r));
    const bool certified = step.action == TDO_SEQUENTIAL_CERTIFIED, abstain = r.p_lower <= 0.5;
    c->look[i] = look;
    c->p_lower[i] = r.p_lower;
    c->radius[i] = abstain ? 0 : r.radius;
    c->predict[i] = abstain ? -1 : (int32_t)(i % K);
    c->verdict[i] = certified ? TDO_VERDICT_CERTIFIED
                    : abstain ? TDO_VERDICT_ABSTAIN
                              : TDO_VERDICT_NOT_CERTIFIED;
    c->stop[i] = (uint8_t)tdo_certificates_stop(&c->schedule, look, certified);
}

/* Blocks take the votes of their image class by class, as far as they have room. */
static void fill_blocks(struct tdo_certificates *c, const uint64_t *votes, int64_t draws)
{
    uint64_t left[K];
    memcpy(left, votes, sizeof left);
    for (int64_t first = 0; first < draws; first += c->block, c->blocks++) {
        uint64_t room = (uint64_t)(draws - first < c->block ? draws - first : c->block);
        for (int k = 0; k < K; k++) {
            const uint64_t n = left[k] < room ? left[k] : room;
            if (n > 0) {
                c->vote_class[c->entries] = k;
                c->vote_count[c->entries++] = (int32_t)n;
                c->block_entries[c->blocks]++;
            }
            left[k] -= n;
            room -= n;
        }
        c->block_hash[c->blocks] = 77 * (uint64_t)c->blocks + 5;
    }
}

static void make(enum tdo_schedule_mode mode, struct tdo_certificates *c)
{
    const tdo_sequential *table = table_of(mode);
    memset(c, 0, sizeof *c);
    ASSERT_OK_FATAL(tdo_certificates_new(IMAGES, K, tdo_sequential_schedule(table), c));
    ASSERT_OK_FATAL(tdo_memory_new(100, &c->block_hash));
    ASSERT_OK_FATAL(tdo_memory_new(100, &c->block_entries));
    ASSERT_OK_FATAL(tdo_memory_new(300, &c->vote_class));
    ASSERT_OK_FATAL(tdo_memory_new(300, &c->vote_count));
    set_texts(c);
    c->block = BLOCK;
    c->n0 = N0;
    c->skip = 2;
    c->split_images = 2 * IMAGES;
    c->seed = 1;
    c->height = c->width = SIDE;
    c->channels = 1;
    for (int64_t i = 0; i < IMAGES; i++) {
        c->idx[i] = 2 * i;
        c->label[i] = (int32_t)(i % 2);
        decide(c, table, i);
        const int64_t first = c->blocks;
        fill_blocks(c, c->select + i * K, N0);
        fill_blocks(c, c->count + i * K, c->n[i]);
        for (int64_t b = first; b < c->blocks; b++) {
            c->hash[i] += c->block_hash[b];
        }
    }
}

/* Write it, with a hash that is right, read it back, check. The hash is handed out. */
static uint64_t check(struct tdo_certificates *c, struct findings *f)
{
    struct tdo_certificates back;
    struct tdo_certificates_found found = {0};
    const char *path = runner_path("certificates.h5");
    begin(f, path);
    ASSERT_OK_FATAL(tdo_certificates_write(c, path));
    const tdo_err err = tdo_certificates_read(path, &back, &found);
    if (err == TDO_OK) {
        CU_ASSERT(found.sealed && found.hash == found.wanted);
        ASSERT_OK(tdo_verify_counts(&f->v, &back, &found));
    } else {
        f->v.defects++; /* not a file of certificates any more */
        fprintf(f->v.to, "%s", tdo_error_last()->message);
    }
    tdo_certificates_free(&back);
    unlink(path);
    end(f);
    return found.hash;
}

static void what_follows_from_the_counts_has_no_defect(void)
{
    for (int mode = TDO_SCHEDULE_FIXED; mode <= TDO_SCHEDULE_RADII; mode++) {
        struct tdo_certificates c;
        struct findings f;
        make((enum tdo_schedule_mode)mode, &c);
        CU_ASSERT(c.verdict[0] == TDO_VERDICT_CERTIFIED);
        CU_ASSERT(c.verdict[4] == TDO_VERDICT_ABSTAIN);
        check(&c, &f);
        CU_ASSERT_EQUAL(f.v.defects, 0);
        CU_ASSERT_STRING_EQUAL(f.text, "");
        free(f.text);
        tdo_certificates_free(&c);
    }
}

static void renew(char **field)
{
    ASSERT_OK_FATAL(tdo_certificates_text(field, "else"));
}

/* Change one thing. Returns what the check says of it, "" where counts say nothing of it (the hash
 * alone tells), NULL behind the last. */
static const char *edit_provenance(struct tdo_certificates *c, int which)
{
    switch (which) {
    case 0:
        renew(&c->version);
        return "";
    case 1:
        renew(&c->instruction_set);
        return "";
    case 2:
        renew(&c->convolution);
        return "";
    case 3:
        renew(&c->blas_core);
        return "";
    case 4:
        renew(&c->model);
        return "";
    case 5:
        c->model_hash ^= 1;
        return "";
    case 6:
        c->data_hash ^= 1;
        return "";
    case 7:
        c->seed++;
        return "";
    case 8:
        c->label[1] ^= 1;
        return "";
    case 9:
        renew(&c->generator);
        return "generator: 'else'";
    case 10:
        renew(&c->precision);
        return "precision: 'else'";
    case 11:
        renew(&c->split);
        return "split: 'else'";
    case 12:
        renew(&c->noise);
        return "noise: 'else'";
    case 13:
        renew(&c->certifier);
        return "certifier: 'else'";
    case 14:
        renew(&c->mode);
        return "mode 'else'";
    case 15:
        renew(&c->test);
        return "mode 'radii' or test 'else' is none";
    case 16:
        c->skip = 1;
        return "image 2 stands there, 1 is expected";
    case 17:
        c->split_images = 7;
        return "of 7";
    case 18:
        c->height++;
        return "slack: ";
    case 19:
        c->label[1] = K;
        return "label 3 is no class";
    default:
        return NULL;
    }
}

static const char *edit_settings(struct tdo_certificates *c, int which)
{
    struct tdo_schedule_options *o = &c->schedule.o;
    switch (which) {
    case 0:
        o->sigma *= 1.01;
        return "radius";
    case 1:
        o->slack *= 2;
        return "p_lower";
    case 2:
        o->slack = 0;
        return "slack: ";
    case 3:
        o->alpha = 0.001;
        return "schedule: ";
    case 4:
        o->beta = 1e-5;
        return "schedule: ";
    case 5:
        c->n0++;
        return "50 votes of class selection, 51 draws";
    case 6:
        o->n = 900;
        return "schedule: ";
    case 7:
        c->block = 100;
        return "'block_hash' has not as many entries";
    case 8:
        c->schedule.kt_alpha = 0.001;
        return "schedule: ";
    case 9:
        c->look_n[0] = 201;
        return "schedule has no such look";
    case 10:
        c->look_alpha[0] = 0.009;
        return "schedule: ";
    case 11:
        c->look_alpha[0] /= 2;
        return "p_lower";
    case 12:
        c->look_beta[0] = 0.1;
        return "schedule: ";
    case 13:
        c->target[0] = 0.35;
        return "schedule: ";
    default:
        return NULL;
    }
}

static const char *edit_image(struct tdo_certificates *c, int which)
{
    switch (which) {
    case 0:
        c->idx[2]++;
        return "image 5 stands there, 4 is expected";
    case 1:
        c->predict[0] = 1;
        return "class 1 stands there, the counts give 0";
    case 2:
        c->look[0]++;
        return "schedule has no such look";
    case 3:
        c->n[1] -= 1;
        return "votes of estimation";
    case 4:
        c->select[0]++;
        return "51 votes of class selection";
    case 5:
        c->count[0]++;
        return "votes of estimation";
    case 6:
        c->count[3]--, c->count[4]++;
        return "p_lower";
    case 7:
        c->p_lower[0] = nextafter(c->p_lower[0], 1);
        return "p_lower";
    case 8:
        c->radius[0] = nextafter(c->radius[0], 1);
        return "radius";
    case 9:
        c->radius[4] = 0.1;
        return "radius";
    case 10:
        c->verdict[3] = TDO_VERDICT_CERTIFIED;
        return "verdict 0 stands there";
    case 11:
        c->stop[0] = TDO_STOP_FUTILE;
        return "stop reason 2";
    case 12:
        c->hash[0]++;
        return "those of its blocks add up to";
    case 13:
        c->block_hash[3]++;
        return "those of its blocks add up to";
    case 14:
        c->block_entries[1]++, c->block_entries[2]--;
        return "blocks of";
    case 15:
        c->vote_class[1] ^= 1;
        return "do not add up";
    case 16:
        c->vote_count[1]--;
        return "blocks of estimation do not add up";
    default:
        return NULL;
    }
}

static void try_edits(const char *(*edit)(struct tdo_certificates *c, int which))
{
    uint64_t before = 0;
    for (int which = -1;; which++) {
        struct tdo_certificates c;
        struct findings f;
        make(TDO_SCHEDULE_RADII, &c);
        const char *said = which < 0 ? "" : edit(&c, which);
        if (!said) {
            tdo_certificates_free(&c);
            break;
        }
        const uint64_t now = check(&c, &f);
        CU_ASSERT(now != before); /* what stands in the file as it was */
        CU_ASSERT(said[0] ? f.v.defects > 0 && strstr(f.text, said) != NULL : f.v.defects == 0);
        if (said[0] && !strstr(f.text, said)) {
            fprintf(stderr, "edit %d: '%s' expected, got: %s\n", which, said, f.text);
        }
        before = which < 0 ? now : before;
        free(f.text);
        tdo_certificates_free(&c);
    }
}

static void each_edited_field_is_found(void)
{
    try_edits(edit_provenance);
    try_edits(edit_settings);
    try_edits(edit_image);
}

/* An image that stops where the rule goes on. */
static void a_stop_that_the_rule_does_not_make_is_found(void)
{
    struct tdo_certificates c;
    struct findings f;
    struct tdo_sequential_report r;
    make(TDO_SCHEDULE_RADII, &c);
    const int64_t i = 2; /* stops later than at the first look */
    CU_ASSERT_FATAL(c.look[i] > 0);
    c.look[i] = 0;
    set_votes(&c, i, c.schedule.look[0].n);
    ASSERT_OK(tdo_sequential_report(&c.schedule, 0, (int64_t)c.count[i * K + i % K], &r));
    c.p_lower[i] = r.p_lower;
    c.radius[i] = r.radius;
    begin(&f, "made");
    ASSERT_OK(tdo_verify_counts(&f.v, &c, &(struct tdo_certificates_found){.sealed = true}));
    end(&f);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(f.text, "image 4: stopped at look 0, where the rule goes on"));
    free(f.text);
    tdo_certificates_free(&c);
}

/* A byte that was changed by accident. */
/* Found by fuzzing: sums and products of such numbers have no room. */
static void numbers_without_bounds_are_refused(void)
{
    for (int which = 0; which < 6; which++) {
        struct tdo_certificates c, back;
        struct tdo_certificates_found found;
        make(TDO_SCHEDULE_FIXED, &c);
        int64_t *const field[] = {&c.block, &c.skip, &c.n0, &c.height, &c.width, &c.channels};
        *field[which] = INT64_MAX;
        ASSERT_OK_FATAL(tdo_certificates_write(&c, runner_path("large.h5")));
        CU_ASSERT_EQUAL(tdo_certificates_read(runner_path("large.h5"), &back, &found),
                        TDO_ERR_FORMAT);
        CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, "out of range"));
        tdo_error_clear();
        tdo_certificates_free(&back);
        tdo_certificates_free(&c);
        unlink(runner_path("large.h5"));
    }
}

static void a_file_with_another_hash_or_seal_is_found(void)
{
    struct tdo_certificates c;
    struct findings f;
    make(TDO_SCHEDULE_RADII, &c);
    begin(&f, "made");
    struct tdo_certificates_found found = {.why = "damaged", .hash = 1, .wanted = 2};
    ASSERT_OK(tdo_verify_counts(&f.v, &c, &found));
    end(&f);
    CU_ASSERT_EQUAL(f.v.defects, 2);
    CU_ASSERT_STRING_EQUAL(f.text,
                           "damaged\nhash: 0000000000000001 stands in the file, what it "
                           "holds has 0000000000000002\n");
    free(f.text);
    tdo_certificates_free(&c);
}

/* ---- logs --------------------------------------------------------------------------------------- */

enum { LOG_N = 1000, LEAST = 800, ROWS = LOG_N - LEAST + 1 };
static const struct tdo_verify_log_options said_to_be = {
    .n = LOG_N, .alpha = 0.001, .sigma = 0.25};

/* The radius of LEAST + i votes of LOG_N. */
static void radii(double radius[ROWS])
{
    static double made[ROWS];
    const bool there = made[0] > 0;
    const struct tdo_schedule_options o = {
        .mode = TDO_SCHEDULE_FIXED, .n = LOG_N, .alpha = 0.001, .beta = 0.001, .sigma = 0.25};
    struct tdo_schedule s;
    ASSERT_OK_FATAL(tdo_schedule_make(&o, &s));
    for (int i = 0; i < ROWS && !there; i++) {
        struct tdo_sequential_report r;
        ASSERT_OK_FATAL(tdo_sequential_report(&s, 0, LEAST + i, &r));
        made[i] = r.radius;
    }
    memcpy(radius, made, sizeof made);
}

/* Three significant digits, as "{:.3}" of Python has them: no zeros at the end. */
static void print_general(double x, bool down, char text[32])
{
    const double unit = pow(10, floor(log10(x)) - 2);
    snprintf(text, 32, "%.3g", down ? floor(x / unit * (1 + 1e-12)) * unit : x);
}

static void print_fixed(double x, bool down, char text[32])
{
    snprintf(text, 32, "%.3f", down ? floor(x * 1000) / 1000 : x);
}

/* A log with a row for each radius; every seventh is wrong, every eleventh abstains. `extra` are
 * more lines. label and predict are such that the row is right. */
static void write_log(const char *path, const double *radius, bool down,
                      void (*print)(double, bool, char[32]), const char *extra)
{
    char *text = NULL, number[32];
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    fprintf(to, "idx\tlabel\tpredict\tradius\tcorrect\ttime\n");
    for (int i = 0; i < ROWS; i++) {
        const bool abstain = i % 11 == 5, wrong = i % 7 == 3;
        print(radius[i], down, number);
        fprintf(to, "%d\t%d\t%d\t%s\t%d\t0:00:01.5\n", i, wrong ? 8 : 4, abstain ? -1 : 4,
                abstain ? "0.0" : number, !abstain && !wrong);
    }
    fprintf(to, "%s", extra);
    fclose(to);
    ASSERT_OK_FATAL(tdo_file_write(path, text, (int64_t)size));
    free(text);
}

static void read_log(struct findings *f, const char *path)
{
    begin(f, path);
    ASSERT_OK(tdo_verify_log(&f->v, &said_to_be));
    end(f);
}

static int count(const char *text, const char *what)
{
    int n = 0;
    for (const char *at = text; (at = strstr(at, what)) != NULL; at++) {
        n++;
    }
    return n;
}

static void a_log_that_was_rounded_down_has_no_row_to_flag(void)
{
    double radius[ROWS];
    struct findings f;
    const char *path = runner_path("log.tsv");
    radii(radius);
    write_log(path, radius, true, print_general, "");
    read_log(&f, path);
    CU_ASSERT_EQUAL(f.v.defects, 0);
    free(f.text);
    write_log(path, radius, true, print_fixed, "");
    read_log(&f, path);
    CU_ASSERT_EQUAL(f.v.defects, 0);
    free(f.text);
    unlink(path);
}

/* The table of the radii themselves, and that of the log. */
static void the_table_of_a_log_is_that_of_its_radii(void)
{
    double radius[ROWS], right[ROWS];
    struct findings f;
    char *table = NULL;
    size_t size = 0;
    int64_t abstained = 0;
    const char *path = runner_path("table.tsv");
    radii(radius);
    for (int i = 0; i < ROWS; i++) {
        char number[32];
        print_general(radius[i], true, number);
        right[i] = i % 11 != 5 && i % 7 != 3 ? strtod(number, NULL) : -1;
        abstained += i % 11 == 5;
    }
    FILE *to = open_memstream(&table, &size);
    tdo_certify_tables_accuracy(to, right, ROWS, abstained);
    fclose(to);
    write_log(path, radius, true, print_general, "");
    read_log(&f, path);
    CU_ASSERT(strncmp(f.text, table, size) == 0);
    CU_ASSERT(count(table, "\n") >= 8);
    free(table);
    free(f.text);
    unlink(path);
}

/* Rounded to nearest: all rows that are flagged were rounded up, and near the top, where counts are
 * far from each other, all that were are. */
static void check_nearest(void (*print)(double, bool, char[32]))
{
    double radius[ROWS];
    struct findings f;
    const char *path = runner_path("nearest.tsv");
    int expected = 0;
    radii(radius);
    write_log(path, radius, false, print, "");
    read_log(&f, path);
    for (int i = 0; i < ROWS; i++) {
        char line[64], number[32];
        print(radius[i], false, number);
        snprintf(line, sizeof line, "line %d, image %d: radius", i + 2, i);
        const bool up = strtod(number, NULL) > radius[i],
                   flagged = strstr(f.text, line) != NULL;
        const bool abstain = i % 11 == 5, sparse = i >= ROWS - 40;
        CU_ASSERT(!flagged || (up && !abstain));
        CU_ASSERT(!(up && sparse && !abstain) || flagged);
        expected += flagged;
    }
    CU_ASSERT(expected > 10);
    CU_ASSERT_EQUAL(f.v.defects, expected);
    CU_ASSERT_EQUAL(count(f.text, "was rounded up from"), expected);
    free(f.text);
    unlink(path);
}

static void rows_that_were_rounded_up_are_flagged(void)
{
    check_nearest(print_general);
    check_nearest(print_fixed);
}

static void rows_that_claim_too_much_are_flagged_and_no_others(void)
{
    static const char extra[] = "9000\t4\t4\t0.616\t1\t0:00:01\n" /* 0.6158 is the largest */
                                "9001\t4\t4\t0.7\t1\t0:00:01\n"
                                "9002\t4\t4\t0.1\t0\t0:00:01\n"
                                "9003\t4\t5\t0.1\t1\t0:00:01\n"
                                "9004\t4\t4\t-0.1\t1\t0:00:01\n"
                                "9005\t4\t4\tnan\t1\t0:00:01\n"
                                "9006\t4\t-1\t0.0\t0\t0:00:01\n"
                                "9007\t4\t4\t0.615\t1\t0:00:01\n";
    double radius[ROWS];
    struct findings f;
    const char *path = runner_path("claims.tsv");
    radii(radius);
    write_log(path, radius, true, print_general, extra);
    read_log(&f, path);
    CU_ASSERT_EQUAL(f.v.defects, 6);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(f.text, "image 9000: radius 0.616 was rounded up from 0.6158"));
    CU_ASSERT_PTR_NOT_NULL(strstr(f.text, "image 9001: radius 0.7 is above 0.6158"));
    CU_ASSERT_PTR_NOT_NULL(
        strstr(f.text, "image 9002: correct is 0, but label 4 and predict 4"));
    CU_ASSERT_PTR_NOT_NULL(
        strstr(f.text, "image 9003: correct is 1, but label 4 and predict 5"));
    CU_ASSERT_PTR_NOT_NULL(strstr(f.text, "image 9004: radius -0.1"));
    CU_ASSERT_PTR_NOT_NULL(strstr(f.text, "image 9005: radius nan"));
    free(f.text);
    unlink(path);
}

CU_TestInfo suite_tests[] = {
    {"what follows from the counts has no defect", what_follows_from_the_counts_has_no_defect},
    {"each edited field is found", each_edited_field_is_found},
    {"a stop that the rule does not make is found",
     a_stop_that_the_rule_does_not_make_is_found},
    {"numbers without bounds are refused", numbers_without_bounds_are_refused},
    {"a file with another hash or seal is found", a_file_with_another_hash_or_seal_is_found},
    {"a log that was rounded down has no row to flag",
     a_log_that_was_rounded_down_has_no_row_to_flag},
    {"the table of a log is that of its radii", the_table_of_a_log_is_that_of_its_radii},
    {"rows that were rounded up are flagged", rows_that_were_rounded_up_are_flagged},
    {"rows that claim too much are flagged, and no others",
     rows_that_claim_too_much_are_flagged_and_no_others},
    CU_TEST_INFO_NULL};
