/* Tables from outcomes, against numbers worked out by hand on five images; the interval of a random
 * target against the exact law of its draws. */
#include "jobs/outcomes/robustness.h"

#include <math.h>

#include "tests/jobs/made_outcomes.h"

const char suite_name[] = "robustness";

enum { IMAGES = 5, CLEAN = 0, PGD1, PGD2, CW, FGSM };

static const char attacks[] =
    "[{\"name\":\"clean\",\"title\":\"clean\",\"norm\":null,\"eps\":null},"
    "{\"name\":\"pgd\",\"title\":\"pgd "
    ".1\",\"norm\":\"linf\",\"eps\":0.1,\"options\":{\"eps\":[0.1],\"step\":0.01}},"
    "{\"name\":\"pgd\",\"title\":\"pgd "
    ".2\",\"norm\":\"linf\",\"eps\":0.2,\"options\":{\"eps\":[0.2],\"step\":0.02},"
    "\"share_of_eps_ref\":1},"
    "{\"name\":\"cw\",\"title\":\"cw\",\"norm\":\"l2\",\"eps\":null},"
    "{\"name\":\"fgsm\",\"title\":\"fgsm\",\"norm\":\"linf\",\"eps\":0.15}]";

static void set(struct tdo_outcomes *o, int a, int i, int predict, double l2, double linf)
{
    if (a >= o->attacks) {
        return;
    }
    struct tdo_outcome *of = tdo_outcomes_at(o, a, i);
    of->predict = predict;
    of->success = predict != of->label;
    of->wrong = of->success;
    of->l0 = 10 * l2;
    of->l2 = l2;
    of->linf = linf;
    of->queries = 4 * (uint64_t)i;
    of->gradients = 2;
}

/* Image i is of class i; the last one is wrong from the start; the second one is black. */
static struct tdo_outcomes make(int count)
{
    struct tdo_outcomes o = made_outcomes(count, IMAGES, attacks);
    for (int a = 0; a < count; a++) {
        for (int i = 0; i < IMAGES; i++) {
            struct tdo_outcome *of = tdo_outcomes_at(&o, a, i);
            of->label = i;
            of->clean = i < 4 ? i : 7;
            of->x2 = i == 1 ? 0 : 2;
            of->xinf = i == 1 ? 0 : 0.5;
            set(&o, a, i, of->clean, 0, 0);
        }
    }
    set(&o, PGD1, 0, 9, 0.3, (double)0.1F); /* a little above 0.1 */
    set(&o, PGD2, 1, 9, 0.7, 0.2);
    set(&o, PGD2, 2, 8, 0.8, 0.15);
    set(&o, PGD2, 3, 3, 0.6, 0.2);
    set(&o, CW, 0, 9, 0.5, 0.3);
    set(&o, CW, 1, 9, 1, 0.3);
    set(&o, CW, 2, 9, 2, 0.3);
    set(&o, CW, 3, 3, 0.4, 0.3); /* found nothing */
    set(&o, FGSM, 3, 9, 0.5, 0.15);
    return o;
}

static struct tdo_robustness *tables(const struct tdo_outcomes *o)
{
    struct tdo_robustness *r = NULL;
    ASSERT_OK_FATAL(tdo_robustness_new(o, &r));
    return r;
}

/* ---- rows ----------------------------------------------------------------------------------------- */

static void counts_are(const struct tdo_robustness_row *row, const int64_t want[5])
{
    CU_ASSERT_EQUAL(row->images, IMAGES);
    CU_ASSERT_EQUAL(row->clean, want[0]);
    CU_ASSERT_EQUAL(row->right, want[1]);
    CU_ASSERT_EQUAL(row->success, want[2]);
    CU_ASSERT_EQUAL(row->turned, want[3]);
    CU_ASSERT_EQUAL(row->fooled, want[4]);
}

static void test_counts(void)
{
    struct tdo_outcomes o = make(4);
    struct tdo_robustness *r = tables(&o);
    CU_ASSERT_EQUAL(r->attacks, 4);
    counts_are(&r->row[CLEAN], (const int64_t[]){4, 4, 1, 0, 0});
    counts_are(&r->row[PGD1], (const int64_t[]){4, 3, 2, 1, 1});
    counts_are(&r->row[PGD2], (const int64_t[]){4, 2, 3, 2, 2});
    counts_are(&r->row[CW], (const int64_t[]){4, 1, 4, 3, 3});
    CU_ASSERT_EQUAL(r->clean, 4);
    CU_ASSERT_EQUAL(r->worst, 1);
    CU_ASSERT_DOUBLE_EQUAL(r->row[CW].queries, 8, 0);
    CU_ASSERT_DOUBLE_EQUAL(r->row[CW].gradients, 2, 0);
    tdo_robustness_free(&r);
    tdo_outcomes_free(&o);
}

/* An attack that turns a wrong image right does not make it right in the worst case. */
static void test_worst(void)
{
    struct tdo_outcomes o = make(2);
    set(&o, PGD1, 4, 4, 0.1, 0.1);
    set(&o, PGD1, 0, 0, 0, 0);
    struct tdo_robustness *r = tables(&o);
    CU_ASSERT_EQUAL(r->row[PGD1].right, 5);
    CU_ASSERT_EQUAL(r->worst, 4);
    tdo_robustness_free(&r);
    tdo_outcomes_free(&o);
}

static void test_lengths(void)
{
    struct tdo_outcomes o = make(4);
    struct tdo_robustness *r = tables(&o);
    const struct tdo_robustness_row *cw = &r->row[CW], *clean = &r->row[CLEAN];
    CU_ASSERT_DOUBLE_EQUAL(cw->rms_l2, 1.0401922899156675, 1e-15); /* sqrt(5.41 / 5) */
    CU_ASSERT_DOUBLE_EQUAL(cw->all[TDO_NORM_L2].mean, 0.78, 1e-15);
    CU_ASSERT_DOUBLE_EQUAL(cw->all[TDO_NORM_L2].median, 0.5, 0);
    CU_ASSERT_DOUBLE_EQUAL(cw->hit[TDO_NORM_L2].mean, 0.875, 1e-15);
    CU_ASSERT_DOUBLE_EQUAL(cw->hit[TDO_NORM_L2].median, 0.75, 0);
    CU_ASSERT_DOUBLE_EQUAL(cw->all[TDO_NORM_L0].mean, 7.8, 1e-14);
    CU_ASSERT_DOUBLE_EQUAL(cw->hit[TDO_NORM_L0].median, 7.5, 0);
    CU_ASSERT_DOUBLE_EQUAL(cw->all[TDO_NORM_LINF].median, 0.3, 0);
    CU_ASSERT_DOUBLE_EQUAL(cw->hit[TDO_NORM_LINF].mean, 0.225, 1e-15);
    CU_ASSERT_DOUBLE_EQUAL(clean->all[TDO_NORM_L2].mean, 0, 0);
    tdo_robustness_free(&r);
    set(&o, CLEAN, 4, 4, 0, 0);
    r = tables(&o);
    CU_ASSERT_EQUAL(r->row[CLEAN].success, 0); /* and so no success has a mean */
    CU_ASSERT_TRUE(isnan(r->row[CLEAN].hit[TDO_NORM_L2].mean));
    CU_ASSERT_TRUE(isnan(r->row[CLEAN].hit[TDO_NORM_L0].median));
    tdo_robustness_free(&r);
    tdo_outcomes_free(&o);
}

static void test_ratios(void)
{
    struct tdo_outcomes o = make(4);
    struct tdo_robustness *r = tables(&o);
    CU_ASSERT_DOUBLE_EQUAL(r->row[CW].rho2, 0.3625, 1e-15);     /* (.25 + 1 + .2 + 0) / 4 */
    CU_ASSERT_DOUBLE_EQUAL(r->row[CW].empirical, 0.625, 1e-15); /* (.25 + 1) / 2 */
    CU_ASSERT_DOUBLE_EQUAL(r->row[CW].empirical_l2, 0.625, 1e-15);
    CU_ASSERT_DOUBLE_EQUAL(r->row[PGD2].empirical, 0.3, 1e-15); /* .15 / .5 */
    CU_ASSERT_DOUBLE_EQUAL(r->row[PGD2].empirical_l2, 0.4, 1e-15);
    CU_ASSERT_DOUBLE_EQUAL(r->row[PGD2].rho2, 0.175, 1e-15);  /* (0 + .4 + .3 + 0) / 4 */
    CU_ASSERT_DOUBLE_EQUAL(r->row[CLEAN].empirical_l2, 0, 0); /* nobody is fooled */
    CU_ASSERT_DOUBLE_EQUAL(r->row[CLEAN].empirical, 0, 0);
    tdo_robustness_free(&r);
    tdo_outcomes_free(&o);
}

/* ---- random targets ------------------------------------------------------------------------------- */

enum { DRAWS = 4, ALL = 3 * DRAWS };

/* Three images with so many right draws in all. */
static struct tdo_robustness_row drawn(int right)
{
    struct tdo_outcomes o = made_outcomes(1, 3, attacks);
    for (int i = 0; i < 3; i++) {
        const int mine = right < DRAWS ? right : DRAWS;
        o.of[i].draws = DRAWS;
        o.of[i].wrong = DRAWS - mine;
        right -= mine;
    }
    struct tdo_robustness *r = tables(&o);
    const struct tdo_robustness_row row = r->row[0];
    tdo_robustness_free(&r);
    tdo_outcomes_free(&o);
    return row;
}

static void test_expected(void)
{
    struct tdo_outcomes o = make(2);
    for (int i = 0; i < IMAGES; i++) {
        tdo_outcomes_at(&o, PGD1, i)->draws = 10;
        tdo_outcomes_at(&o, PGD1, i)->wrong = i;
    }
    struct tdo_robustness *r = tables(&o);
    CU_ASSERT_TRUE(r->row[PGD1].random);
    CU_ASSERT_DOUBLE_EQUAL(r->row[PGD1].expected, 0.8, 1e-15);
    /* 40 of 50: the tables of Clopper and Pearson, 95 % */
    CU_ASSERT_DOUBLE_EQUAL(r->row[PGD1].lower, 0.66281, 1e-5);
    CU_ASSERT_DOUBLE_EQUAL(r->row[PGD1].upper, 0.89970, 1e-5);
    CU_ASSERT_FALSE(r->row[CLEAN].random);
    CU_ASSERT_TRUE(isnan(r->row[CLEAN].lower));
    tdo_robustness_free(&r);
    tdo_outcomes_at(&o, PGD1, 0)->draws = 20; /* images no longer weigh the same */
    r = tables(&o);
    CU_ASSERT_DOUBLE_EQUAL(r->row[PGD1].expected, 0.8, 1e-15);
    CU_ASSERT_TRUE(isnan(r->row[PGD1].lower));
    tdo_robustness_free(&r);
    tdo_outcomes_free(&o);
}

/* The law of the number of right draws, by adding one draw after the other. */
static void law(const double p[3], double of[ALL + 1])
{
    memset(of, 0, (ALL + 1) * sizeof *of);
    of[0] = 1;
    for (int k = 0; k < ALL; k++) {
        for (int s = k + 1; s >= 0; s--) {
            of[s] = of[s] * (1 - p[k / DRAWS]) + (s > 0 ? of[s - 1] * p[k / DRAWS] : 0);
        }
    }
}

static void test_coverage(void)
{
    struct tdo_robustness_row row[ALL + 1];
    double least = 1;
    for (int s = 0; s <= ALL; s++) {
        row[s] = drawn(s);
        CU_ASSERT_TRUE(row[s].lower >= 0 && row[s].lower <= (double)s / ALL);
        CU_ASSERT_TRUE(row[s].upper <= 1 && row[s].upper >= (double)s / ALL);
    }
    for (int code = 0; code < 41 * 41 * 41; code++) {
        const int digit[3] = {code % 41, code / 41 % 41, code / 1681};
        const double p[3] = {digit[0] / 40.0, digit[1] / 40.0, digit[2] / 40.0};
        const double mean = (p[0] + p[1] + p[2]) / 3;
        double of[ALL + 1], covered = 0;
        law(p, of);
        for (int s = 0; s <= ALL; s++) {
            covered += row[s].lower <= mean && mean <= row[s].upper ? of[s] : 0;
        }
        least = covered < least ? covered : least;
    }
    CU_ASSERT_TRUE(least >= 0.95);
    CU_ASSERT_TRUE(least < 0.99); /* not by never saying anything */
}

/* ---- masked gradients ----------------------------------------------------------------------------- */

enum { M_PGD_WIDE, M_PGD, M_CW, M_FGSM, M_NATTACK, M_TRANSFER, M_COPY, M_RANDOM, M_ATTACKS };

static const char box[] =
    "[{\"name\":\"pgd\",\"title\":\"pgd .2\",\"norm\":\"linf\",\"eps\":0.2},"
    "{\"name\":\"pgd\",\"title\":\"pgd .1\",\"norm\":\"linf\",\"eps\":0.1},"
    "{\"name\":\"cw\",\"title\":\"cw\",\"norm\":\"l2\",\"eps\":null},"
    "{\"name\":\"fgsm\",\"title\":\"fgsm .1\",\"norm\":\"linf\",\"eps\":0.1},"
    "{\"name\":\"nattack\",\"title\":\"nattack .1\",\"norm\":\"linf\",\"eps\":0.1},"
    "{\"name\":\"transfer\",\"title\":\"transfer\",\"norm\":null,\"eps\":null},"
    "{\"name\":\"pgd\",\"title\":\"pgd .1 on m\",\"norm\":\"linf\",\"eps\":0.1,"
    "\"options\":{\"models\":\"m\"}},"
    "{\"name\":\"random_noise\",\"title\":\"random\",\"norm\":\"linf\",\"eps\":0.15,"
    "\"units\":\"input\"}]";

/* Ten images, right when clean; attack a makes the first `wrong[a]` of them wrong, all go as far as they
 * may, cw to 1, 2, 3, ..., transfer to 0.1 and 0.5. */
static struct tdo_robustness *masked(const int wrong[M_ATTACKS], int64_t *masks)
{
    static const double far[M_ATTACKS][2] = {{0.2, 1}, {0.1, 1},   {0, 0},   {0.1, 1},
                                             {0.1, 1}, {0.1, 0.5}, {0.1, 1}, {0.15, 1}};
    struct tdo_outcomes o = made_outcomes(M_ATTACKS, 10, box);
    for (int a = 0; a < M_ATTACKS; a++) {
        for (int i = 0; i < 10; i++) {
            struct tdo_outcome *of = tdo_outcomes_at(&o, a, i);
            of->predict = of->success = i < wrong[a];
            of->linf = far[a][0];
            of->l2 = a == M_CW ? i + 1 : far[a][1];
        }
    }
    struct tdo_robustness *r = tables(&o);
    *masks = r->masks;
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    CU_ASSERT_PTR_NOT_NULL_FATAL(to);
    tdo_robustness_print(to, r);
    fclose(to);
    CU_ASSERT_EQUAL(strstr(text, "may be masked") != NULL, r->masks > 0);
    free(text);
    tdo_outcomes_free(&o);
    return r;
}

static void mask_is(const int wrong[M_ATTACKS], int black, int white, int64_t right)
{
    int64_t masks = 0;
    struct tdo_robustness *r = masked(wrong, &masks);
    CU_ASSERT_EQUAL(masks, black < 0 ? 0 : 1);
    if (black >= 0 && masks == 1) {
        CU_ASSERT_EQUAL(r->mask[0].black, black);
        CU_ASSERT_EQUAL(r->mask[0].white, white);
        CU_ASSERT_EQUAL(r->mask[0].right, right);
    }
    tdo_robustness_free(&r);
}

static void test_masks(void)
{
    /* in the order of the attacks: pgd .2, pgd .1, cw, fgsm, nattack, transfer, copy, random */
    mask_is((const int[]){9, 5, 10, 3, 5, 0, 0, 0}, -1, 0, 0); /* as good is not better */
    mask_is((const int[]){9, 5, 10, 3, 6, 0, 0, 0}, M_NATTACK, M_PGD,
            5); /* pgd .2 goes farther */
    mask_is((const int[]){9, 3, 10, 5, 6, 0, 0, 0}, M_NATTACK, M_FGSM, 5);
    mask_is((const int[]){9, 5, 10, 3, 0, 6, 0, 0}, M_TRANSFER, M_PGD, 5);
    mask_is((const int[]){9, 9, 10, 3, 0, 9, 0, 0}, -1, 0,
            0); /* better than cw up to .5 alone */
    mask_is((const int[]){9, 0, 10, 0, 0, 1, 0, 0}, M_TRANSFER, M_CW, 10);
    mask_is((const int[]){9, 5, 10, 3, 0, 0, 6, 0}, M_COPY, M_PGD, 5);
    mask_is((const int[]){0, 0, 0, 0, 0, 0, 0, 9}, -1, 0, 0); /* other units */
}

static void test_mask_in_words(void)
{
    int64_t masks = 0;
    char *text = NULL;
    size_t size = 0;
    struct tdo_robustness *r = masked((const int[]){9, 5, 10, 3, 8, 0, 0, 0}, &masks);
    FILE *to = open_memstream(&text, &size);
    CU_ASSERT_FATAL(masks == 1 && to != NULL);
    tdo_robustness_say_mask(to, r, 0, "nattack", "pgd");
    fclose(to);
    CU_ASSERT_STRING_EQUAL(text,
                           "black-box nattack leaves 20.0 %, less than every white-box attack "
                           "of no less reach (best: pgd 50.0 %): gradients may be masked");
    free(text);
    tdo_robustness_free(&r);
}

/* ---- curves --------------------------------------------------------------------------------------- */

static void point_is(const struct tdo_robustness_curve *c, int k, double eps, int64_t right,
                     int attack)
{
    CU_ASSERT_FATAL(k < c->points);
    CU_ASSERT_DOUBLE_EQUAL(c->at[k].eps, eps, 0);
    CU_ASSERT_EQUAL(c->at[k].right, right);
    CU_ASSERT_EQUAL(c->at[k].attack, attack);
}

static void test_curves(void)
{
    struct tdo_outcomes o = make(4);
    struct tdo_robustness *r = tables(&o);
    CU_ASSERT_EQUAL_FATAL(r->curves, 2);
    const struct tdo_robustness_curve *cw = &r->curve[0], *pgd = &r->curve[1];
    CU_ASSERT_EQUAL(cw->kind, TDO_ROBUSTNESS_MINIMAL);
    CU_ASSERT_EQUAL(cw->norm, TDO_NORM_L2);
    CU_ASSERT_STRING_EQUAL(cw->name, "cw");
    CU_ASSERT_EQUAL(cw->points, 21); /* 0, 0.1, ... 2 */
    point_is(cw, 0, 0, 4, -1);
    point_is(cw, 4, 0.4, 4, CW);
    point_is(cw, 5, 0.5, 3, CW);
    point_is(cw, 9, 0.9, 3, CW);
    point_is(cw, 10, 1, 2, CW);
    point_is(cw, 20, 2, 1, CW);
    CU_ASSERT_EQUAL(pgd->kind, TDO_ROBUSTNESS_BALL);
    CU_ASSERT_EQUAL(pgd->norm, TDO_NORM_LINF);
    CU_ASSERT_EQUAL(pgd->points, 3);
    point_is(pgd, 0, 0, 4, -1);
    point_is(pgd, 1, 0.1, 3, PGD1);
    point_is(pgd, 2, 0.2, 2, PGD2);
    tdo_robustness_free(&r);
    tdo_outcomes_free(&o);
}

static void test_worst_curve(void)
{
    struct tdo_outcomes o = make(5);
    struct tdo_robustness *r = tables(&o);
    CU_ASSERT_EQUAL_FATAL(r->curves, 4);
    const struct tdo_robustness_curve *fgsm = &r->curve[2], *worst = &r->curve[3];
    CU_ASSERT_STRING_EQUAL(fgsm->name, "fgsm");
    CU_ASSERT_EQUAL(fgsm->points, 2);
    CU_ASSERT_EQUAL(worst->kind, TDO_ROBUSTNESS_WORST);
    CU_ASSERT_EQUAL(worst->norm, TDO_NORM_LINF);
    CU_ASSERT_EQUAL(worst->points, 4);
    point_is(worst, 0, 0, 4, -1);
    point_is(worst, 1, 0.1, 3, -1); /* the first image, at what f32 makes of 0.1 */
    point_is(worst, 2, 0.15, 1, -1);
    point_is(worst, 3, 0.2, 0, -1);
    tdo_robustness_free(&r);
    tdo_outcomes_free(&o);
}

static void test_within(void)
{
    struct tdo_outcomes o = make(4);
    int64_t right = 0;
    ASSERT_OK(tdo_robustness_within(&o, CW, TDO_NORM_L2, 0.99, &right));
    CU_ASSERT_EQUAL(right, 3);
    ASSERT_OK(tdo_robustness_within(&o, CW, TDO_NORM_LINF, 0.3, &right));
    CU_ASSERT_EQUAL(right, 1);
    ASSERT_OK(tdo_robustness_within(&o, PGD1, TDO_NORM_LINF, 0.1, &right));
    CU_ASSERT_EQUAL(right, 3);
    ASSERT_OK(tdo_robustness_within(&o, PGD1, TDO_NORM_LINF, 0.09, &right));
    CU_ASSERT_EQUAL(right, 4);
    tdo_outcomes_free(&o);
}

/* ---- tables --------------------------------------------------------------------------------------- */

enum { ROOM = 1 << 14 };

/* Fields of each line; all lines must have as many. */
static int fields(const char *text)
{
    int first = 0, n = 1;
    for (const char *c = text; *c; c++) {
        n += *c == '\t';
        if (*c == '\n') {
            CU_ASSERT_TRUE(first == 0 || n == first);
            first = n;
            n = 1;
        }
    }
    return first;
}

static void written(void (*write)(FILE *, const struct tdo_robustness *), char text[ROOM])
{
    struct tdo_outcomes o = make(4);
    struct tdo_robustness *r = tables(&o);
    FILE *to = fmemopen(text, ROOM, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(to);
    write(to, r);
    CU_ASSERT_EQUAL(fclose(to), 0);
    tdo_robustness_free(&r);
    tdo_outcomes_free(&o);
}

static void has(const char *text, const char *want)
{
    if (!strstr(text, want)) {
        fprintf(stderr, "not found: %s\n%s\n", want, text);
    }
    CU_ASSERT_PTR_NOT_NULL(strstr(text, want));
}

static void test_tables(void)
{
    static char text[ROOM];
    written(tdo_robustness_write_rows, text);
    CU_ASSERT_EQUAL(fields(text), 35);
    has(text, "\tmedian_l2_success\t");
    has(text,
        "\npgd "
        ".1\tpgd\tlinf\t0.1\t5\t4\t0.800000\t3\t0.600000\t2\t0.400000\t1\t0.250000\t1\t-");
    has(text,
        "\ncw\tcw\tl2\t-\t5\t4\t0.800000\t1\t0.200000\t4\t0.800000\t3\t0.750000\t3\t-\t-\t-\t"
        "1.04019229\t7.8\t5\t0.78\t0.5\t");
    has(text, "\t0.3625\t0.625\t0.625\t8\t2\n");
    has(text, "\nworst\t-\t-\t-\t5\t4\t0.800000\t1\t0.200000\t-\t");
    written(tdo_robustness_write_curves, text);
    CU_ASSERT_EQUAL(fields(text), 8);
    has(text,
        "\n0\tminimal\tcw\tl2\t0\t4\t0.800000\t-\n0\tminimal\tcw\tl2\t0.1\t4\t0.800000\tcw\n");
    has(text, "\n1\tball\tpgd\tlinf\t0.2\t2\t0.400000\tpgd .2\n");
}

static void test_print(void)
{
    static char text[ROOM];
    written(tdo_robustness_print, text);
    has(text, "clean                  80.00 %  (4 of 5)");
    has(text, "pgd .1                 60.00 %  (3 of 5)             40.00 %        0.05 linf");
    has(text, "all of them at worst   20.00 %  (1 of 5)\n");
}

/* ---- images that were not taken ------------------------------------------------------------------- */

static void not_taken(struct tdo_outcomes *o, int a, int i)
{
    struct tdo_outcome *of = tdo_outcomes_at(o, a, i);
    *of = (struct tdo_outcome){
        .row = of->row, .label = of->label, .clean = of->clean, .target = -1};
}

static const struct tdo_robustness_curve *curve_of(const struct tdo_robustness *r,
                                                   const char *name)
{
    for (int k = 0; k < r->curves; k++) {
        if (strcmp(r->curve[k].name, name) == 0) {
            return &r->curve[k];
        }
    }
    return NULL;
}

/* PGD1 takes images 0, 2, 4, PGD2 the rest; nobody takes image 4 in the end, not even clean. */
static void test_absent(void)
{
    struct tdo_outcomes o = make(3);
    for (int i = 0; i < IMAGES; i++) {
        not_taken(&o, i % 2 ? PGD1 : PGD2, i);
    }
    for (int a = 0; a < 3; a++) {
        not_taken(&o, a, 4);
    }
    struct tdo_robustness *r = tables(&o);
    const struct tdo_robustness_row *one = &r->row[PGD1], *two = &r->row[PGD2];
    CU_ASSERT_TRUE(one->images == 2 && one->clean == 2 && one->right == 1 && one->fooled == 1);
    CU_ASSERT_TRUE(two->images == 2 && two->clean == 2 && two->right == 1 && two->fooled == 1);
    CU_ASSERT_DOUBLE_EQUAL(one->queries, (0 + 8) / 2.0, 0);
    CU_ASSERT_DOUBLE_EQUAL(two->queries, (4 + 12) / 2.0, 0);
    CU_ASSERT_DOUBLE_EQUAL(one->all[TDO_NORM_L2].mean, 0.3 / 2, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(one->rms_l2, sqrt(0.09 / 2), 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(one->rho2, 0.15 / 2, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(two->rho2, 0.3, 1e-12); /* image 1 is black */
    CU_ASSERT_TRUE(r->images == 4 && r->clean == 4 && r->worst == 2);
    const struct tdo_robustness_curve *worst = curve_of(r, "worst"), *ball = curve_of(r, "pgd");
    CU_ASSERT_FATAL(ball != NULL);
    CU_ASSERT_TRUE(ball->at[1].images == 2 && ball->at[1].right == 1);
    CU_ASSERT_TRUE(!worst || worst->at[worst->points - 1].images == 4);
    tdo_robustness_free(&r);
    tdo_outcomes_free(&o);
}

CU_TestInfo suite_tests[] = {
    {"images are counted by what an attack did to them", test_counts},
    {"right in the worst case is right clean and under every attack", test_worst},
    {"distances: root mean square, mean and median, of all images and of successes",
     test_lengths},
    {"rho2 is over all images, empirical robustness over fooled ones", test_ratios},
    {"the expected accuracy of a random target is that of its draws", test_expected},
    {"the interval of a random target holds for images with different probabilities",
     test_coverage},
    {"balls of one attack make a curve, an attack without a ball steps", test_curves},
    {"the worst case of a norm counts every attack within its distance", test_worst_curve},
    {"images within a distance are counted in any norm", test_within},
    {"tables have these columns and numbers", test_tables},
    {"the table for people has the numbers", test_print},
    {"a black-box attack that beats all others is named", test_masks},
    {"what masks mean is said in one sentence", test_mask_in_words},
    {"images that were not taken count for nothing", test_absent},
    CU_TEST_INFO_NULL};
