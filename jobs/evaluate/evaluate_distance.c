/* How far fooling images are from the training set: distance.tsv.
 *
 * Of each adversarial image that changed the prediction, the nearest training image is looked for
 * among all of them (distance.h). Two numbers an attack: the mean Euclidean distance, as the paper
 * has it; and mean(squared distance / |x|_2) with x the clean image, as its published code has it.
 * Source: Zantedeschi et al. 2017, section 4, and its code of that year. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "jobs/evaluate/distance.h"
#include "jobs/evaluate/evaluate.h"
#include "jobs/page.h"

/* The fooling images of all attacks, attack by attack. */
struct fooling {
    int64_t count;
    int64_t *at;     /* [count] attack * images + image */
    int64_t *place;  /* [count] its row in adversarial.h5 */
    double *squared; /* [count] to the nearest training image */
    int64_t rows;    /* of adversarial.h5 */
};

/* Means of one attack. */
struct summary {
    int64_t fooled, ratios; /* ratios: without images of norm 0 */
    double distance, ratio;
};

/* ---- which images --------------------------------------------------------------------------------- */

static tdo_err find_fooling(const struct tdo_outcomes *o, struct fooling *f)
{
    const int64_t most = o->attacks * o->images;
    TDO_TRY(tdo_memory_new(most, &f->at));
    TDO_TRY(tdo_memory_new(most, &f->place));
    TDO_TRY(tdo_outcomes_places(o, f->place, &f->rows));
    for (int64_t k = 0; k < most; k++) {
        if (tdo_outcome_taken(&o->of[k]) && o->of[k].predict != o->of[k].clean) {
            f->place[f->count] = f->place[k];
            f->at[f->count++] = k;
        }
    }
    return tdo_memory_new(f->count + 1, &f->squared);
}

/* The only split of a stored set. */
static struct tdo_images stored_images(const tdo_dataset *d)
{
    int split = 0;
    while (split + 1 < TDO_SPLITS && tdo_dataset_info(d)->rows[split] == 0) {
        split++;
    }
    return tdo_images_split(d, (enum tdo_split)split);
}

/* The images that were attacked: the split of data.file that attack.json names. */
static tdo_err attacked_images(const struct tdo_evaluating *e, struct tdo_images *out)
{
    const tdo_json *about = e->outcomes.about;
    const char *name = "", *hash = "";
    char ours[24];
    int split = 0;
    snprintf(ours, sizeof ours, "%016" PRIx64, e->images.hash);
    if (!tdo_json_get_text(about, "data", &hash) || strcmp(hash, ours) != 0) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "%s/attack.json: attacks on the data set %s, but data.file = %s is %s",
                        e->run.dir, hash, tdo_dataset_path(e->data), ours);
    }
    if (tdo_json_get_text(about, "split", &name)) {
        while (split < TDO_SPLITS &&
               strcmp(name, tdo_dataset_split_name((enum tdo_split)split)) != 0) {
            split++;
        }
    }
    if (!name[0] || split == TDO_SPLITS) {
        return TDO_FAIL(TDO_ERR_FORMAT,
                        "%s/attack.json: \"split\": train, val or test expected", e->run.dir);
    }
    *out = tdo_images_split(e->data, (enum tdo_split)split);
    const int64_t last = tdo_outcomes_at(&e->outcomes, 0, e->outcomes.images - 1)->row;
    return last < out->rows
               ? TDO_OK
               : TDO_FAIL(TDO_ERR_FORMAT,
                          "%s/outcomes.tsv: row %" PRId64 ", but %s has %" PRId64 " of %s",
                          e->run.dir, last, out->from, out->rows, name);
}

static tdo_err check_stored(const struct tdo_evaluating *e, const struct fooling *f,
                            const struct tdo_images *stored)
{
    return stored->rows == f->rows
               ? TDO_OK
               : TDO_FAIL(TDO_ERR_FORMAT,
                          "%s: %" PRId64 " images, %d attacks on %" PRId64 " images expected",
                          stored->from, stored->rows, e->outcomes.attacks, e->outcomes.images);
}

/* ---- what they say -------------------------------------------------------------------------------- */

/* Norms of clean images, read one at a time. */
struct norms {
    const struct tdo_images *clean;
    unsigned char *raw;
    float *pixels;
};

static tdo_err add(struct norms *n, int64_t row, double squared, struct summary *s)
{
    TDO_TRY(tdo_distance_pixels(n->clean, &row, 1, n->raw, n->pixels));
    const double square = tdo_distance_square(n->pixels, tdo_images_pixels(n->clean));
    s->fooled++;
    s->distance += sqrt(squared);
    if (square > 0) {
        s->ratio += squared / sqrt(square);
        s->ratios++;
    }
    return TDO_OK;
}

static tdo_err summarise(const struct tdo_outcomes *o, const struct fooling *f,
                         const struct tdo_images *clean, struct summary *of)
{
    struct norms n = {.clean = clean};
    tdo_err err = TDO_OK;
    TDO_GOTO(tdo_memory_new(tdo_images_row_bytes(clean), &n.raw));
    TDO_GOTO(tdo_memory_new(tdo_images_pixels(clean), &n.pixels));
    for (int64_t k = 0; k < f->count; k++) {
        const int64_t at = f->at[k];
        TDO_GOTO(add(&n, o->of[at].row, f->squared[k], &of[at / o->images]));
    }
    for (int a = 0; a < o->attacks; a++) {
        of[a].distance /= (double)of[a].fooled;
        of[a].ratio /= (double)of[a].ratios;
    }
done:
    tdo_memory_free(&n.raw);
    tdo_memory_free(&n.pixels);
    return err;
}

static void write_mean(FILE *to, int64_t of, double mean)
{
    if (of > 0) {
        fprintf(to, "\t%.9g", mean);
    } else {
        fprintf(to, "\t-");
    }
}

static tdo_err write_rows(FILE *to, const struct tdo_outcomes *o, const struct summary *of)
{
    fprintf(to, "attack\timages\tfooled\tdistance\tsquared_ratio\n");
    for (int a = 0; a < o->attacks; a++) {
        struct tdo_outcomes_attack attack;
        TDO_TRY(tdo_outcomes_attack(o, a, &attack));
        fprintf(to, "%s\t%" PRId64 "\t%" PRId64, attack.title, attack.taken, of[a].fooled);
        write_mean(to, of[a].fooled, of[a].distance);
        write_mean(to, of[a].ratios, of[a].ratio);
        fputc('\n', to);
    }
    return TDO_OK;
}

static tdo_err print_rows(const struct tdo_outcomes *o, const struct summary *of)
{
    printf("\nfooling images, distance to the training set\n");
    for (int a = 0; a < o->attacks; a++) {
        struct tdo_outcomes_attack attack;
        TDO_TRY(tdo_outcomes_attack(o, a, &attack));
        if (of[a].fooled > 0) {
            printf("  %-24s  %8.4f  (mean of %" PRId64 ")\n", attack.title, of[a].distance,
                   of[a].fooled);
        }
    }
    return TDO_OK;
}

/* Root only. */
static tdo_err write_results(const struct tdo_evaluating *e, const struct fooling *f,
                             const struct tdo_images *clean)
{
    struct summary *of = NULL;
    struct tdo_page page;
    tdo_err err = TDO_OK;
    TDO_TRY(tdo_memory_new(e->outcomes.attacks, &of));
    TDO_GOTO(summarise(&e->outcomes, f, clean, of));
    TDO_GOTO(tdo_page_open(&page));
    TDO_GOTO(
        tdo_page_save(&page, &e->run, "distance.tsv", write_rows(page.to, &e->outcomes, of)));
    err = print_rows(&e->outcomes, of);
done:
    tdo_memory_free(&of);
    return err;
}

/* ---- the part ------------------------------------------------------------------------------------- */

static tdo_err measure(struct tdo_evaluating *e, const tdo_dataset *stored, struct fooling *f)
{
    tdo_comm *comm = e->run.comm;
    const struct tdo_images points = stored_images(stored);
    const struct tdo_images train = tdo_images_split(e->data, TDO_SPLIT_TRAIN);
    struct tdo_images clean;
    struct tdo_progress progress;
    TDO_TRY(tdo_comm_agree(comm, find_fooling(&e->outcomes, f)));
    TDO_TRY(tdo_comm_agree(comm, check_stored(e, f, &points)));
    TDO_TRY(tdo_comm_agree(comm, attacked_images(e, &clean)));
    tdo_progress_start(&progress, "distance", "images", f->count, 0);
    TDO_TRY(
        tdo_distance_nearest(comm, &train, &points, f->place, f->count, &progress, f->squared));
    tdo_progress_end(&progress, f->count, NULL);
    const bool root = tdo_comm_rank(comm) == 0;
    return tdo_comm_agree(comm, root ? write_results(e, f, &clean) : TDO_OK);
}

tdo_err tdo_evaluate_distance(struct tdo_evaluating *e)
{
    char path[1024];
    tdo_dataset *stored = NULL;
    struct fooling f = {0};
    tdo_err err = tdo_run_path(&e->run, "adversarial.h5", path, sizeof path);
    TDO_GOTO(tdo_comm_agree(e->run.comm, err));
    TDO_GOTO(tdo_dataset_open(e->run.comm, path, &stored));
    err = measure(e, stored, &f);
done:
    tdo_dataset_free(&stored);
    tdo_memory_free(&f.at);
    tdo_memory_free(&f.place);
    tdo_memory_free(&f.squared);
    return err;
}
