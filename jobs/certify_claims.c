/* Claims of certificates, one by one and together. See certify_claims.h. */
#include "jobs/certify_claims.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "defenses/multiplicity.h"
#include "defenses/statistics.h"
#include "jobs/certificates.h"
#include "jobs/page.h"
#include "nn/base/exact.h"

enum { RADII = 64, BINS = 64 };

/* Right images with a certificate at one radius, and what follows. */
struct claim {
    double radius;
    uint64_t right, bonferroni, holm; /* images */
    uint64_t any, independent;        /* of the split, at least */
    uint64_t lower, upper;            /* of the split, by the choice of images */
};

struct claiming {
    const struct tdo_certify_tables *t;
    double rho;
    int32_t *label;             /* [images] */
    struct tdo_evidence *given; /* [images] votes at the look where each stopped */
    int radii;
    struct claim claim[RADII];
};

/* ---- each for itself --------------------------------------------------------------------------- */

static tdo_err write_guarantee(const struct tdo_certify_tables *t,
                               const struct tdo_certificate *c, const char *linf, FILE *to)
{
    const bool rounded = t->sampling->law == TDO_NOISE_ROUNDED;
    char radius[64];
    TDO_TRY(tdo_statistics_format_down(c->radius, 6, radius, sizeof radius));
    if (c->verdict == TDO_VERDICT_ABSTAIN) {
        fprintf(to, "none: no class is shown to have more than half of the votes\n");
        return TDO_OK;
    }
    fprintf(to,
            "%sthe smoothed network says %d for every image within L2 distance %s (no pixel "
            "value off by more than %s suffices), pixels in 0..1; wrong with probability at "
            "most %g for this image, by exact binomial%s bounds on %" PRId64
            " draws; Gaussian noise of deviation %g%s; network in %s arithmetic\n",
            c->verdict == TDO_VERDICT_NOT_CERTIFIED ? "no target radius, but " : "", c->predict,
            radius, linf, t->options->alpha,
            t->schedule->kt_alpha > 0 ? " and confidence-sequence" : "", c->n,
            t->options->sigma,
            rounded ? ", rounded to grey levels and drawn exactly"
                    : " in floating point, taken to be exact",
            tdo_network_precision(t->network));
    return TDO_OK;
}

static tdo_err write_verdicts(const struct tdo_certify_tables *t, FILE *to)
{
    const int64_t pixels = tdo_images_pixels(t->images);
    fprintf(to, "idx\tverdict\tstop\tlook\tlinf\tguarantee\n");
    for (int64_t i = 0; i < t->images->count; i++) {
        const struct tdo_certificate *c = &t->certificate[i];
        const int look = tdo_certificates_look(t->schedule, c->n);
        const bool certified = c->verdict == TDO_VERDICT_CERTIFIED;
        char linf[64];
        double r = 0;
        TDO_TRY(tdo_multiplicity_linf(c->radius, pixels, &r));
        TDO_TRY(tdo_statistics_format_down(r, 8, linf, sizeof linf));
        fprintf(to, "%" PRId64 "\t%s\t%s\t%d\t%s\t", tdo_images_row(t->images, i),
                tdo_certifier_verdict(c->verdict),
                tdo_certificates_stop_name(
                    (int)tdo_certificates_stop(t->schedule, look, certified)),
                look, linf);
        TDO_TRY(write_guarantee(t, c, linf, to));
    }
    return TDO_OK;
}

/* ---- all of them ------------------------------------------------------------------------------- */

static bool is_right(const struct claiming *x, int64_t i)
{
    return x->t->certificate[i].predict == x->label[i];
}

/* Root: labels and votes. An image that stopped by the confidence sequence has no p-value. */
static tdo_err fill(struct claiming *x)
{
    const struct tdo_certify_tables *t = x->t;
    const struct tdo_schedule *s = t->schedule;
    for (int64_t i = 0; i < t->images->count; i++) {
        const int64_t row = tdo_images_row(t->images, i);
        const int class = tdo_certifier_class(tdo_votes_counts(t->votes, i, TDO_VOTES_SELECT),
                                              tdo_votes_classes(t->votes));
        const double alpha = s->look[tdo_certificates_look(s, t->certificate[i].n)].alpha;
        TDO_TRY(tdo_images_read(t->images, &row, 1, NULL, &x->label[i]));
        x->given[i] = (struct tdo_evidence){
            .k = (int64_t)tdo_votes_counts(t->votes, i, TDO_VOTES_COUNT)[class],
            .n = t->certificate[i].n,
            .share = nextafter(alpha / s->o.alpha, 0)};
        if (!(alpha > 0)) {
            x->given[i] = (struct tdo_evidence){.k = 0, .n = 1, .share = 1};
        }
    }
    return TDO_OK;
}

/* Votes of all images, on every rank. */
static tdo_err share(struct claiming *x)
{
    const int64_t m = x->t->images->count;
    tdo_comm *comm = x->t->run->comm;
    TDO_TRY(tdo_comm_agree(comm, tdo_comm_rank(comm) == 0 ? fill(x) : TDO_OK));
    tdo_comm_broadcast(comm, x->label, m * (int64_t)sizeof *x->label);
    tdo_comm_broadcast(comm, x->given, m * (int64_t)sizeof *x->given);
    return TDO_OK;
}

static uint64_t count_right(const struct claiming *x, double radius)
{
    uint64_t right = 0;
    for (int64_t i = 0; i < x->t->images->count; i++) {
        right += is_right(x, i) && x->t->certificate[i].radius >= radius;
    }
    return right;
}

/* The targets, if there are any; else as the table of certified accuracy has them. */
static void choose_radii(struct claiming *x)
{
    const struct tdo_schedule_options *o = &x->t->schedule->o;
    for (int i = 0; i < o->targets; i++) {
        x->claim[x->radii++].radius = o->target[i];
    }
    while (o->targets == 0 && x->radii < RADII &&
           (x->radii == 0 || count_right(x, 0.25 * x->radii) > 0)) {
        x->claim[x->radii].radius = 0.25 * x->radii;
        x->radii++;
    }
}

static tdo_err count_above(const struct claiming *x, enum tdo_multiplicity_method method,
                           double radius, const struct tdo_evidence *e, bool *above,
                           uint64_t *count)
{
    const struct tdo_certify_options *o = x->t->options;
    const int64_t m = x->t->images->count;
    double p = 0;
    *count = 0;
    TDO_TRY(tdo_exact_normal_cdf_up(radius, o->sigma, o->slack, &p));
    TDO_TRY(tdo_multiplicity_above(method, m, e, fmin(p, 1), x->rho, above));
    for (int64_t i = 0; i < m; i++) {
        *count += above[i] && is_right(x, i);
    }
    return TDO_OK;
}

/* Images without a certificate at this radius have p-values above alpha; if rho is no larger they
 * are not found, and need not be looked at. */
static tdo_err count_named(const struct claiming *x, struct claim *c)
{
    const int64_t m = x->t->images->count;
    struct tdo_evidence *e = NULL;
    bool *above = NULL;
    tdo_err err = TDO_OK;
    TDO_GOTO(tdo_memory_new(m, &e));
    TDO_GOTO(tdo_memory_new(m, &above));
    for (int64_t i = 0; i < m; i++) {
        const bool look =
            x->t->certificate[i].radius >= c->radius || x->rho > x->t->options->alpha;
        e[i] = look ? x->given[i] : (struct tdo_evidence){.k = 0, .n = 1, .share = 1};
    }
    TDO_GOTO(count_above(x, TDO_MULTIPLICITY_BONFERRONI, c->radius, e, above, &c->bonferroni));
    err = count_above(x, TDO_MULTIPLICITY_HOLM, c->radius, e, above, &c->holm);
done:
    tdo_memory_free(&e);
    tdo_memory_free(&above);
    return err;
}

static tdo_err make_claim(const struct claiming *x, struct claim *c)
{
    const struct tdo_images *im = x->t->images;
    const struct tdo_subset s = {.total = im->rows, .drawn = im->count};
    const double alpha = x->t->options->alpha;
    int64_t any = 0, independent = 0, lower = 0, upper = 0;
    c->right = count_right(x, c->radius);
    const int64_t right = (int64_t)c->right;
    TDO_TRY(count_named(x, c));
    TDO_TRY(tdo_multiplicity_dataset(&s, right, alpha, x->rho, false, &any));
    TDO_TRY(tdo_multiplicity_dataset(&s, right, alpha, x->rho, true, &independent));
    TDO_TRY(tdo_multiplicity_subset(&s, right, 0.5 * x->rho, &lower, &upper));
    c->any = (uint64_t)any;
    c->independent = (uint64_t)independent;
    c->lower = (uint64_t)lower;
    c->upper = (uint64_t)upper;
    return TDO_OK;
}

/* Each rank takes every so-manieth radius; the results meet as sums with zeros. */
static tdo_err make_claims(struct claiming *x)
{
    tdo_comm *comm = x->t->run->comm;
    tdo_err err = TDO_OK;
    choose_radii(x);
    for (int i = tdo_comm_rank(comm); err == TDO_OK && i < x->radii; i += tdo_comm_size(comm)) {
        err = make_claim(x, &x->claim[i]);
    }
    TDO_TRY(tdo_comm_agree(comm, err));
    for (int i = 0; i < x->radii; i++) {
        struct claim *c = &x->claim[i];
        uint64_t sum[7] = {c->right,       c->bonferroni, c->holm, c->any,
                           c->independent, c->lower,      c->upper};
        tdo_comm_sum_u64(comm, sum, 7);
        *c = (struct claim){c->radius, sum[0], sum[1], sum[2], sum[3], sum[4], sum[5], sum[6]};
    }
    return TDO_OK;
}

static void write_claims(const struct claiming *x, FILE *to)
{
    fprintf(to, "radius\tright\tbonferroni\tholm\tat_least\tindependent\tlower\tupper\n");
    for (int i = 0; i < x->radii; i++) {
        const struct claim *c = &x->claim[i];
        fprintf(to,
                "%.10g\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64
                "\t%" PRIu64 "\t%" PRIu64 "\n",
                c->radius, c->right, c->bonferroni, c->holm, c->any, c->independent, c->lower,
                c->upper);
    }
}

static void print_claims(const struct claiming *x, FILE *to)
{
    const struct tdo_images *im = x->t->images;
    fprintf(
        to,
        "right at a radius: each image for itself; all that are named, at confidence %.6g %%, "
        "by two tests; of the %" PRId64 " images of the split, truly\n",
        100 * (1 - x->rho), im->rows);
    fprintf(to, "radius (L2)      each  Bonferroni      Holm  at least (*)  at least (+)\n");
    for (int i = 0; i < x->radii; i++) {
        const struct claim *c = &x->claim[i];
        fprintf(to,
                "%11.2f  %8" PRIu64 "  %10" PRIu64 "  %8" PRIu64 "  %12" PRIu64 "  %12" PRIu64
                "\n",
                c->radius, c->right, c->bonferroni, c->holm, c->any, c->independent);
    }
    fprintf(to,
            "(*) whatever images share; (+) if their draws are independent, as they are here: "
            "each has its own%s\n",
            im->count < im->rows
                ? "; both if the images that were taken are a random choice of the split"
                : "");
    if (im->count < im->rows && x->radii > 0) {
        fprintf(
            to,
            "certified at %.2f of the whole split: %.2f %% to %.2f %%, as far as the choice "
            "of %" PRId64 " images tells\n",
            x->claim[0].radius, 100 * (double)x->claim[0].lower / (double)im->rows,
            100 * (double)x->claim[0].upper / (double)im->rows, im->count);
    }
}

/* ---- how close ----------------------------------------------------------------------------------- */

static int bin_of(const struct claiming *x, int64_t i)
{
    const struct tdo_certificate *c = &x->t->certificate[i];
    const int bin = 1 + (int)(4 * c->radius / x->t->options->sigma);
    return c->verdict == TDO_VERDICT_ABSTAIN ? 0 : bin < BINS ? bin : BINS - 1;
}

static double probability(double z)
{
    return 0.5 * erfc(-z * 0.70710678118654752);
}

static void write_histogram(const struct claiming *x, FILE *to)
{
    int64_t images[BINS] = {0}, right[BINS] = {0};
    int bins = 1;
    for (int64_t i = 0; i < x->t->images->count; i++) {
        const int b = bin_of(x, i);
        images[b]++;
        right[b] += is_right(x, i);
        bins = b + 1 > bins ? b + 1 : bins;
    }
    fprintf(to, "z_from\tz_to\tp_from\tp_to\timages\tright\n");
    for (int b = 0; b < bins; b++) {
        const double from = 0.25 * (b - 1), end = 0.25 * b;
        fprintf(to, b ? "%.2f" : "-", from);
        fprintf(to, "\t%.2f\t%.8f\t%.8f\t%" PRId64 "\t%" PRId64 "\n", end,
                b ? probability(from) : 0.0, probability(end), images[b], right[b]);
    }
}

/* ---- all of it ----------------------------------------------------------------------------------- */

static tdo_err write_files(const struct claiming *x)
{
    const struct tdo_certify_tables *t = x->t;
    struct tdo_page p;
    TDO_TRY(tdo_page_open(&p));
    TDO_TRY(tdo_page_save(&p, t->run, "verdicts.tsv", write_verdicts(t, p.to)));
    TDO_TRY(tdo_page_open(&p));
    write_claims(x, p.to);
    TDO_TRY(tdo_page_save(&p, t->run, "claims.tsv", TDO_OK));
    TDO_TRY(tdo_page_open(&p));
    write_histogram(x, p.to);
    TDO_TRY(tdo_page_save(&p, t->run, "p_lower.tsv", TDO_OK));
    return TDO_OK;
}

/* A page of its own, as memory of ours. */
static tdo_err write_people(const struct claiming *x, char **people)
{
    struct tdo_page p;
    TDO_TRY(tdo_page_open(&p));
    print_claims(x, p.to);
    return tdo_page_take(&p, people);
}

static tdo_err write_root(const struct claiming *x, char **people)
{
    TDO_TRY(write_files(x));
    return write_people(x, people);
}

static tdo_err prepare(struct claiming *x)
{
    TDO_TRY(tdo_memory_new(x->t->images->count, &x->label));
    return tdo_memory_new(x->t->images->count, &x->given);
}

tdo_err tdo_certify_claims_write(const struct tdo_certify_tables *t, double rho, char **people)
{
    struct claiming x = {.t = t, .rho = rho};
    tdo_comm *comm = t->run->comm;
    tdo_err err = TDO_OK;
    TDO_GOTO(tdo_comm_agree(comm, prepare(&x)));
    TDO_GOTO(share(&x));
    TDO_GOTO(make_claims(&x));
    err = tdo_comm_agree(comm, tdo_comm_rank(comm) == 0 ? write_root(&x, people) : TDO_OK);
done:
    tdo_memory_free(&x.label);
    tdo_memory_free(&x.given);
    return err;
}
