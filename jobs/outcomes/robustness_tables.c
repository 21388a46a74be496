/* robustness.tsv, curve.tsv, and a table for people. See robustness.h. */
#include <inttypes.h>
#include <math.h>

#include "jobs/outcomes/robustness.h"

static const double nothing = (double)NAN;

/* ---- tables --------------------------------------------------------------------------------------- */

static const char *norm_name(enum tdo_norm norm)
{
    return norm < TDO_NORMS ? tdo_threat_norm_name(norm) : "-";
}

/* A tab and a number, `-` if there is none. */
static void field(FILE *to, double v)
{
    if (isfinite(v)) {
        fprintf(to, "\t%.9g", v);
    } else {
        fprintf(to, "\t-");
    }
}

static void share(FILE *to, int64_t part, int64_t whole)
{
    if (whole > 0) {
        fprintf(to, "\t%" PRId64 "\t%.6f", part, (double)part / (double)whole);
    } else {
        fprintf(to, "\t%" PRId64 "\t-", part);
    }
}

/* What stands in both orders: names of columns, and their values. */
static void lengths_header(FILE *to)
{
    static const char *const sets[] = {"all", "success"}, *const kinds[] = {"mean", "median"};
    for (int set = 0; set < 2; set++) {
        for (int k = 0; k < TDO_NORMS; k++) {
            for (int kind = 0; kind < 2; kind++) {
                fprintf(to, "\t%s_%s_%s", kinds[kind], norm_name((enum tdo_norm)k), sets[set]);
            }
        }
    }
}

static void lengths(FILE *to, const struct tdo_robustness_row *row)
{
    for (int set = 0; set < 2; set++) {
        for (int k = 0; k < TDO_NORMS; k++) {
            const struct tdo_robustness_length *l = set ? &row->hit[k] : &row->all[k];
            field(to, l->mean);
            field(to, l->median);
        }
    }
}

static void write_row(FILE *to, const struct tdo_robustness_row *row)
{
    const struct tdo_outcomes_attack *a = &row->attack;
    fprintf(to, "%s\t%s\t%s", a->title, a->name, norm_name(a->norm));
    field(to, a->eps);
    fprintf(to, "\t%" PRId64, row->images);
    share(to, row->clean, row->images);
    share(to, row->right, row->images);
    share(to, row->success, row->images);
    share(to, row->turned, row->clean);
    fprintf(to, "\t%" PRId64, row->fooled);
    field(to, row->random ? row->expected : nothing);
    field(to, row->lower);
    field(to, row->upper);
    field(to, row->rms_l2);
    lengths(to, row);
    field(to, row->rho2);
    field(to, row->empirical);
    field(to, row->empirical_l2);
    field(to, row->queries);
    field(to, row->gradients);
    fputc('\n', to);
}

void tdo_robustness_write_rows(FILE *to, const struct tdo_robustness *r)
{
    fprintf(to,
            "attack\tname\tnorm\teps\timages\tclean\tclean_accuracy\tright\taccuracy\tsuccess"
            "\tsuccess_rate\tturned\tturned_rate\tfooled\texpected\tlower\tupper\trms_l2");
    lengths_header(to);
    fprintf(to, "\trho2\tempirical\tempirical_l2\tqueries\tgradients\n");
    for (int a = 0; a < r->attacks; a++) {
        write_row(to, &r->row[a]);
    }
    fprintf(to, "worst\t-\t-\t-\t%" PRId64, r->images);
    share(to, r->clean, r->images);
    share(to, r->worst, r->images);
    for (int rest = 0; rest < 9 + 4 * TDO_NORMS + 5; rest++) {
        fprintf(to, "\t-");
    }
    fputc('\n', to);
}

void tdo_robustness_write_curves(FILE *to, const struct tdo_robustness *r)
{
    static const char *const kinds[] = {"ball", "minimal", "worst"};
    fprintf(to, "curve\tkind\tname\tnorm\teps\tright\taccuracy\tattack\n");
    for (int k = 0; k < r->curves; k++) {
        const struct tdo_robustness_curve *c = &r->curve[k];
        for (int i = 0; i < c->points; i++) {
            const struct tdo_robustness_point *p = &c->at[i];
            fprintf(to, "%d\t%s\t%s\t%s", k, kinds[c->kind], c->name, norm_name(c->norm));
            field(to, p->eps);
            share(to, p->right, p->images);
            fprintf(to, "\t%s\n", p->attack < 0 ? "-" : r->row[p->attack].attack.title);
        }
    }
}

/* ---- for people ----------------------------------------------------------------------------------- */

static double percent(int64_t part, int64_t whole)
{
    return whole > 0 ? 100 * (double)part / (double)whole : 0;
}

/* Characters, as a terminal counts them: bytes that do not continue a character of UTF-8. */
static int width_of(const char *text)
{
    int width = 0;
    for (; *text; text++) {
        width += ((unsigned char)*text & 0xc0) != 0x80;
    }
    return width;
}

static void print_name(FILE *to, const char *name, int width)
{
    fprintf(to, "%s%*s", name, width - width_of(name), "");
}

static void print_row(FILE *to, const struct tdo_robustness_row *row, int width)
{
    const struct tdo_outcomes_attack *a = &row->attack;
    char counts[64];
    snprintf(counts, sizeof counts, "(%" PRId64 " of %" PRId64 ")", row->right, row->images);
    print_name(to, a->title, width);
    fprintf(to, "  %6.2f %%  %-18s  %6.2f %%", percent(row->right, row->images), counts,
            percent(row->success, row->images));
    if (a->norm < TDO_NORMS && row->success > 0) {
        fprintf(to, "  %10.4g %-4s", row->hit[a->norm].median, norm_name(a->norm));
    } else {
        fprintf(to, "  %10s %-4s", "-", "");
    }
    fprintf(to, "  %9.6g  %9.6g\n", row->queries, row->gradients);
    if (row->random) {
        print_name(to, "  a fresh draw", width);
        fprintf(to, "  %6.2f %%", 100 * row->expected);
        if (isfinite(row->lower)) {
            fprintf(to, "  (%.2f to %.2f with 95 %% confidence, on these images)",
                    100 * row->lower, 100 * row->upper);
        }
        fputc('\n', to);
    }
}

void tdo_robustness_print(FILE *to, const struct tdo_robustness *r)
{
    static const char worst[] = "all of them at worst";
    char counts[64];
    int width = width_of(worst);
    for (int a = 0; a < r->attacks; a++) {
        const int own = width_of(r->row[a].attack.title);
        width = own > width ? own : width;
    }
    print_name(to, "attack", width);
    fprintf(to,
            "  accuracy under it             success  median distance    queries  gradients\n");
    for (int a = 0; a < r->attacks; a++) {
        print_row(to, &r->row[a], width);
    }
    snprintf(counts, sizeof counts, "(%" PRId64 " of %" PRId64 ")", r->worst, r->images);
    print_name(to, worst, width);
    fprintf(to, "  %6.2f %%  %s\n", percent(r->worst, r->images), counts);
    for (int k = 0; k < r->masks; k++) {
        tdo_robustness_say_mask(to, r, k, r->row[r->mask[k].black].attack.title,
                                r->row[r->mask[k].white].attack.title);
        fputc('\n', to);
    }
}
