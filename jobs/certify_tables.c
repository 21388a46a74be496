/* The files and the printed table of a certification. See certify_tables.h. */
#include "jobs/certify_tables.h"

#include <inttypes.h>

#include "defenses/multiplicity.h"
#include "defenses/statistics.h"
#include "jobs/page.h"

static tdo_err label_of(const struct tdo_certify_tables *t, int64_t i, int32_t *label)
{
    const int64_t row = tdo_images_row(t->images, i);
    return tdo_images_read(t->images, &row, 1, NULL, label);
}

/* ---- votes.tsv ------------------------------------------------------------------------------- */

static tdo_err write_votes(const struct tdo_certify_tables *t, FILE *to)
{
    const int K = tdo_votes_classes(t->votes);
    fprintf(to, "idx\tlabel\tselect\tcount\thash\n");
    for (int64_t i = 0; i < t->images->count; i++) {
        int32_t label = 0;
        TDO_TRY(label_of(t, i, &label));
        fprintf(to, "%" PRId64 "\t%" PRId32 "\t", tdo_images_row(t->images, i), label);
        tdo_page_counts(to, tdo_votes_counts(t->votes, i, TDO_VOTES_SELECT), K);
        fputc('\t', to);
        tdo_page_counts(to, tdo_votes_counts(t->votes, i, TDO_VOTES_COUNT), K);
        if (t->hash) {
            fprintf(to, "\t%016" PRIx64 "\n", tdo_votes_hash(t->votes, i));
        } else {
            fprintf(to, "\t-\n");
        }
    }
    return TDO_OK;
}

/* ---- certify.tsv -------------------------------------------------------------------------------- */

static tdo_err write_row(const struct tdo_certify_tables *t, int64_t i, FILE *to)
{
    const struct tdo_certificate *c = &t->certificate[i];
    const int64_t seconds = (int64_t)(tdo_votes_time(t->votes, i) / UINT64_C(1000000000));
    char radius[64], p_lower[64];
    int32_t label = 0;
    TDO_TRY(label_of(t, i, &label));
    TDO_TRY(tdo_statistics_format_down(c->radius, 6, radius, sizeof radius));
    TDO_TRY(tdo_statistics_format_down(c->p_lower, 10, p_lower, sizeof p_lower));
    fprintf(to,
            "%" PRId64 "\t%" PRId32 "\t%d\t%s\t%d\t%" PRId64 ":%02d:%02d\t%s\t%" PRId64
            "\t%" PRId64 "\t%s\t%.3e\t%s\n",
            tdo_images_row(t->images, i), label, c->predict, radius, c->predict == label,
            seconds / 3600, (int)(seconds / 60 % 60), (int)(seconds % 60), p_lower,
            t->options->n0, c->n, tdo_certifier_verdict(c->verdict), t->options->slack,
            tdo_network_precision(t->network));
    return TDO_OK;
}

static tdo_err write_certificates(const struct tdo_certify_tables *t, FILE *to)
{
    fprintf(to, "idx\tlabel\tpredict\tradius\tcorrect\ttime\tp_lower\tn0\tn\tverdict\tslack\t"
                "precision\n");
    for (int64_t i = 0; i < t->images->count; i++) {
        TDO_TRY(write_row(t, i, to));
    }
    return TDO_OK;
}

/* ---- the table for people --------------------------------------------------------------------------- */

void tdo_certify_tables_accuracy(FILE *to, const double *radius, int64_t images,
                                 int64_t abstained)
{
    double average = 0;
    fprintf(to, "radius (L2)  certified accuracy\n");
    for (int step = 0;; step++) {
        int64_t right = 0;
        for (int64_t i = 0; i < images; i++) {
            right += radius[i] >= 0.25 * step;
        }
        if (right == 0 && step > 6) {
            break;
        }
        fprintf(to, "%11.2f  %6.1f %%  (%" PRId64 " of %" PRId64 ")\n", 0.25 * step,
                100 * (double)right / (double)images, right, images);
    }
    for (int64_t i = 0; i < images; i++) {
        average += radius[i] > 0 ? radius[i] / (double)images : 0;
    }
    fprintf(to, "abstained %" PRId64 " of %" PRId64 "; average certified radius %.4f\n",
            abstained, images, average);
}

/* radius [images]: -1 where the class is wrong. */
static tdo_err right_radii(const struct tdo_certify_tables *t, double *radius,
                           int64_t *abstained)
{
    *abstained = 0;
    for (int64_t i = 0; i < t->images->count; i++) {
        const struct tdo_certificate *c = &t->certificate[i];
        int32_t label = 0;
        TDO_TRY(label_of(t, i, &label));
        radius[i] = c->predict == label ? c->radius : -1;
        *abstained += c->predict < 0;
    }
    return TDO_OK;
}

/* What a sequential certification spent, and how many certificates may be wrong: draws of different
 * images are independent here. */
static tdo_err print_draws(const struct tdo_certify_tables *t)
{
    const int64_t images = t->images->count;
    int64_t wrong = 0, certified = 0;
    double draws = 0;
    for (int64_t i = 0; i < images; i++) {
        draws += (double)t->certificate[i].n / (double)images;
        certified += t->certificate[i].predict >= 0;
    }
    if (t->sequential) {
        printf("mode %s, test %s: %.0f draws an image on average, of at most %" PRId64 "\n",
               tdo_schedule_mode_name(t->schedule->o.mode),
               tdo_schedule_test_name(t->schedule->o.test), draws, t->options->n);
    }
    TDO_TRY(tdo_multiplicity_wrong_independent(images, t->options->alpha, 0.001, &wrong));
    printf("at most %" PRId64 " of these %" PRId64 " certificates are wrong, at confidence "
           "99.9 %%\n",
           wrong < certified ? wrong : certified, certified);
    return TDO_OK;
}

static tdo_err print_table(const struct tdo_certify_tables *t)
{
    double *radius = NULL;
    int64_t abstained = 0;
    TDO_TRY(tdo_memory_new(t->images->count, &radius));
    tdo_err err = right_radii(t, radius, &abstained);
    if (err == TDO_OK) {
        tdo_certify_tables_accuracy(stdout, radius, t->images->count, abstained);
        err = print_draws(t);
    }
    if (err == TDO_OK) {
        printf("each certificate: %s, one-sided, wrong with probability at most %g; about the "
               "network in %s arithmetic\n",
               t->certifier->name, t->options->alpha, tdo_network_precision(t->network));
    }
    tdo_memory_free(&radius);
    return err;
}

tdo_err tdo_certify_tables_write(const struct tdo_certify_tables *t)
{
    struct tdo_page p;
    TDO_TRY(tdo_page_open(&p));
    TDO_TRY(tdo_page_save(&p, t->run, "certify.tsv", write_certificates(t, p.to)));
    TDO_TRY(tdo_page_open(&p));
    TDO_TRY(tdo_page_save(&p, t->run, "votes.tsv", write_votes(t, p.to)));
    return print_table(t);
}
