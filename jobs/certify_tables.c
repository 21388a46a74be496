/* The files and the printed table of a certification. See certify_tables.h. */
#include "jobs/certify_tables.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "defenses/statistics.h"
#include "nn/base/file.h"

/* Text that grows; its memory is the C library's. */
struct page {
    FILE *to;
    char *text;
    size_t size;
};

static tdo_err open_page(struct page *p)
{
    *p = (struct page){0};
    p->to = open_memstream(&p->text, &p->size);
    return p->to ? TDO_OK : TDO_FAIL(TDO_ERR_MEMORY, "out of memory for a table");
}

static tdo_err save_page(const struct tdo_certify_tables *t, struct page *p, const char *name,
                         tdo_err err)
{
    char path[1024];
    const bool whole = fclose(p->to) == 0;
    if (err == TDO_OK && !whole) {
        err = TDO_FAIL(TDO_ERR_MEMORY, "out of memory for %s", name);
    }
    if (err == TDO_OK) {
        err = tdo_run_path(t->run, name, path, sizeof path);
    }
    if (err == TDO_OK) {
        err = tdo_file_write(path, p->text, (int64_t)p->size);
    }
    free(p->text);
    return err;
}

static tdo_err label_of(const struct tdo_certify_tables *t, int64_t i, int32_t *label)
{
    const int64_t row = i * t->sampling->skip;
    return tdo_dataset_read(t->data, t->sampling->split, &row, 1, NULL, label);
}

/* ---- votes.tsv ------------------------------------------------------------------------------- */

static void write_counts(FILE *to, const uint64_t *counts, int classes)
{
    for (int k = 0; k < classes; k++) {
        fprintf(to, "%s%" PRIu64, k ? "," : "", counts[k]);
    }
    fputc('\t', to);
}

static tdo_err write_votes(const struct tdo_certify_tables *t, FILE *to)
{
    const int K = tdo_votes_classes(t->votes);
    fprintf(to, "idx\tlabel\tselect\tcount\thash\n");
    for (int64_t i = 0; i < t->sampling->images; i++) {
        int32_t label = 0;
        TDO_TRY(label_of(t, i, &label));
        fprintf(to, "%" PRId64 "\t%" PRId32 "\t", i * t->sampling->skip, label);
        write_counts(to, tdo_votes_counts(t->votes, i, TDO_VOTES_SELECT), K);
        write_counts(to, tdo_votes_counts(t->votes, i, TDO_VOTES_COUNT), K);
        if (t->sampling->hash) {
            fprintf(to, "%016" PRIx64 "\n", tdo_votes_hash(t->votes, i));
        } else {
            fprintf(to, "-\n");
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
            "\t%" PRId64 "\t%s\t%.3e\n",
            i * t->sampling->skip, label, c->predict, radius, c->predict == label,
            seconds / 3600, (int)(seconds / 60 % 60), (int)(seconds % 60), p_lower,
            t->options->n0, t->options->n, tdo_certifier_verdict(c->verdict),
            t->options->slack);
    return TDO_OK;
}

static tdo_err write_certificates(const struct tdo_certify_tables *t, FILE *to)
{
    fprintf(to, "idx\tlabel\tpredict\tradius\tcorrect\ttime\tp_lower\tn0\tn\tverdict\tslack\n");
    for (int64_t i = 0; i < t->sampling->images; i++) {
        TDO_TRY(write_row(t, i, to));
    }
    return TDO_OK;
}

/* ---- the table for people --------------------------------------------------------------------------- */

struct summary {
    int64_t abstained;
    double average; /* radius, 0 where wrong or abstaining */
};

static tdo_err summarise(const struct tdo_certify_tables *t, double *radius, struct summary *s)
{
    *s = (struct summary){0};
    for (int64_t i = 0; i < t->sampling->images; i++) {
        const struct tdo_certificate *c = &t->certificate[i];
        int32_t label = 0;
        TDO_TRY(label_of(t, i, &label));
        radius[i] = c->predict == label ? c->radius : -1;
        s->average += radius[i] > 0 ? radius[i] / (double)t->sampling->images : 0;
        s->abstained += c->predict < 0;
    }
    return TDO_OK;
}

static tdo_err print_table(const struct tdo_certify_tables *t)
{
    const int64_t images = t->sampling->images;
    double *radius = NULL;
    struct summary s;
    TDO_TRY(tdo_memory_new(images, &radius));
    tdo_err err = summarise(t, radius, &s);
    printf("radius (L2)  certified accuracy\n");
    for (int step = 0; err == TDO_OK; step++) {
        int64_t right = 0;
        for (int64_t i = 0; i < images; i++) {
            right += radius[i] >= 0.25 * step;
        }
        if (right == 0 && step > 6) {
            break;
        }
        printf("%11.2f  %6.1f %%  (%" PRId64 " of %" PRId64 ")\n", 0.25 * step,
               100 * (double)right / (double)images, right, images);
    }
    if (err == TDO_OK) {
        printf("abstained %" PRId64 " of %" PRId64 "; average certified radius %.4f\n",
               s.abstained, images, s.average);
        printf("each certificate: %s, one-sided, wrong with probability at most %g\n",
               t->certifier->name, t->options->alpha);
    }
    tdo_memory_free(&radius);
    return err;
}

tdo_err tdo_certify_tables_write(const struct tdo_certify_tables *t)
{
    struct page p;
    TDO_TRY(open_page(&p));
    TDO_TRY(save_page(t, &p, "certify.tsv", write_certificates(t, p.to)));
    TDO_TRY(open_page(&p));
    TDO_TRY(save_page(t, &p, "votes.tsv", write_votes(t, p.to)));
    return print_table(t);
}
