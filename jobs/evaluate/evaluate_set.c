/* What an adversarial set does to a network, layer by layer, and what a denoiser in front of it
 * (model.denoiser) makes of it: denoising.tsv, layers.tsv, perturbation.tsv and samples.h5.
 *
 * Each image of the set is shown to the network by itself in three or four forms: as it was, as an
 * attack left it, with random noise of the same size, and denoised. Of several members it is the first.
 *
 *     denoising.tsv     an attack a line, then `all`: denoising loss before and behind the denoiser,
 *                       the line through true and predicted perturbation, images that are right
 *     layers.tsv        the level of the perturbation (perturbation.h) at each place of the network,
 *                       mean over images; depth 0: the pixels
 *     perturbation.tsv  pairs of true and predicted perturbation of a pixel, counted in bins
 *     samples.h5        some images, as they were, then attacked, then denoised (a stored set)
 *
 * Random noise adds or takes off one number at every pixel, which gives the image the denoising loss
 * that the attack gave it; pixels stay in 0..1. Numbers are in pixels of 0..1 (the paper's images are
 * in -1..1: twice as much). A random network takes one draw, the same for all forms of an image.
 * Source: Liao et al. 2018, sections 5.1 and 5.4. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "jobs/evaluate/denoise.h"
#include "jobs/evaluate/evaluate.h"
#include "jobs/evaluate/perturbation.h"
#include "jobs/evaluate/taps.h"
#include "jobs/inference.h"
#include "jobs/page.h"
#include "mpi/origins.h"
#include "nn/base/log.h"
#include "nn/base/memory.h"
#include "nn/base/rng.h"

enum { CLEAN, CHANGED, RANDOM, DENOISED, FORMS };
enum { SAMPLES = 8, NOISE_LAYER = 0xfffd };

static const char *const form_name[FORMS] = {"clean", "adversarial", "random", "denoised"};

/* Of one image; levels follow, [forms - 1, places]. Ranks add these up as bit patterns. */
struct record {
    struct tdo_perturbation sums;
    double right[FORMS];
};

struct set {
    struct tdo_evaluating *e;
    tdo_dataset *file;
    struct tdo_origins origins;
    struct tdo_images stored, clean;
    int64_t n, *at; /* [n] rows of the set that are looked at */
    tdo_taps *taps;
    tdo_denoise *denoise;  /* NULL: none */
    int64_t forms, places; /* 3 or 4; taps and the pixels */
    int64_t size, per;     /* P; images at a time */
    void *raw;
    int64_t *row;
    int32_t *label;
    uint64_t *id;         /* [per, forms] */
    float *pixels[FORMS]; /* [per,P] */
    int64_t width;        /* doubles of a record with its levels */
    double *records;      /* [n, width] */
    struct tdo_histogram *histogram;
};

static struct record *record_of(const struct set *s, int64_t i)
{
    return (struct record *)(void *)(s->records + i * s->width);
}

/* [forms - 1, places] */
static double *levels_of(const struct set *s, int64_t i)
{
    return s->records + i * s->width + (int64_t)(sizeof(struct record) / sizeof(double));
}

/* ---- which images --------------------------------------------------------------------------------- */

static tdo_err check_set(const struct set *s, const char *path)
{
    const struct tdo_origins *o = &s->origins;
    const struct tdo_images *a = &s->stored, *b = &s->clean;
    if (o->rows == 0) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "evaluate.set = %s does not say where its images come from: "
                        "adversarial.h5 of the job attack expected (of this version)",
                        path);
    }
    if (o->data != b->hash || a->height != b->height || a->width != b->width ||
        a->channels != b->channels) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "evaluate.set = %s is of the data set %016" PRIx64
                        ", but data.file = %s is %016" PRIx64,
                        path, o->data, b->from, b->hash);
    }
    for (int64_t i = 0; i < o->rows; i++) {
        if (o->row[i] >= b->rows) {
            return TDO_FAIL(TDO_ERR_FORMAT,
                            "%s: image %" PRId64 " is of row %" PRId64 ", but %s has %" PRId64,
                            path, i, o->row[i], b->from, b->rows);
        }
    }
    return TDO_OK;
}

/* evaluate.set_max of the images of evaluate.set_attack, evenly spread. */
static tdo_err choose(struct set *s)
{
    const tdo_config *k = s->e->job->config;
    const int64_t attack = tdo_config_int(k, "evaluate.set_attack");
    const int64_t most = tdo_config_int(k, "evaluate.set_max");
    int64_t found = 0;
    TDO_TRY(tdo_memory_new(s->origins.rows, &s->at));
    for (int64_t i = 0; i < s->origins.rows; i++) {
        if (attack < 0 || s->origins.attack[i] == attack) {
            s->at[found++] = i;
        }
    }
    if (found == 0) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "evaluate.set_attack = %" PRId64 ": the set holds attacks 0 to %d",
                        attack, s->origins.attacks - 1);
    }
    s->n = most > 0 && most < found ? most : found;
    for (int64_t i = 0; i < s->n; i++) {
        s->at[i] = s->at[i * found / s->n];
    }
    return TDO_OK;
}

/* ---- life ----------------------------------------------------------------------------------------- */

/* The width of a bin: the largest ball is TDO_HISTOGRAM_D of them. */
static double bin_width(const struct set *s)
{
    double most = 0;
    for (int64_t i = 0; i < s->n; i++) {
        const double eps = s->origins.eps[s->at[i]];
        most = isfinite(eps) && eps > most ? eps : most;
    }
    return (most > 0 && most < 1 ? most : 1) / TDO_HISTOGRAM_D;
}

static tdo_err make_room(struct set *s)
{
    const int64_t bytes = tdo_images_row_bytes(&s->clean) > tdo_images_row_bytes(&s->stored)
                              ? tdo_images_row_bytes(&s->clean)
                              : tdo_images_row_bytes(&s->stored);
    char *raw = NULL;
    TDO_TRY(tdo_memory_new(s->per * bytes, &raw));
    s->raw = raw;
    TDO_TRY(tdo_memory_new(s->per, &s->row));
    TDO_TRY(tdo_memory_new(s->per, &s->label));
    TDO_TRY(tdo_memory_new(s->per * s->forms, &s->id));
    for (int f = 0; f < s->forms; f++) {
        TDO_TRY(tdo_memory_new(s->per * s->size, &s->pixels[f]));
    }
    s->width = (int64_t)(sizeof(struct record) / sizeof(double)) + (s->forms - 1) * s->places;
    TDO_TRY(tdo_memory_new(s->n * s->width, &s->records));
    TDO_TRY(tdo_memory_new(1, &s->histogram));
    s->histogram->width = bin_width(s);
    return TDO_OK;
}

static tdo_err prepare(struct set *s, const char *path)
{
    const bool denoised = s->e->net.denoisers > 0;
    TDO_TRY(check_set(s, path));
    TDO_TRY(choose(s));
    s->forms = denoised ? FORMS : DENOISED;
    s->size = tdo_images_pixels(&s->clean);
    s->per = tdo_config_int(s->e->job->config, "evaluate.batch") / s->forms;
    s->per = s->per > 0 ? s->per : 1;
    if (denoised) {
        TDO_TRY(tdo_denoise_new(&s->e->net, s->per, &s->denoise));
    }
    TDO_TRY(tdo_taps_new(&s->e->net, s->per * s->forms, !s->e->voting.quiet, &s->taps));
    s->places = 1 + tdo_taps_count(s->taps);
    return make_room(s);
}

static tdo_err open_set(struct set *s)
{
    tdo_comm *comm = s->e->run.comm;
    const char *path = tdo_config_text(s->e->job->config, "evaluate.set");
    int split = 0;
    TDO_TRY(tdo_dataset_open(comm, path, &s->file));
    TDO_TRY(tdo_origins_read(comm, s->file, &s->origins));
    while (split + 1 < TDO_SPLITS && tdo_dataset_info(s->file)->rows[split] == 0) {
        split++;
    }
    s->stored = tdo_images_split(s->file, (enum tdo_split)split);
    s->clean = tdo_images_split(s->e->data, (enum tdo_split)split);
    return tdo_comm_agree(comm, prepare(s, path));
}

static void close_set(struct set *s)
{
    tdo_denoise_free(&s->denoise);
    tdo_taps_free(&s->taps);
    tdo_origins_free(&s->origins);
    tdo_dataset_free(&s->file);
    tdo_memory_free(&s->at);
    tdo_memory_free(&s->raw);
    tdo_memory_free(&s->row);
    tdo_memory_free(&s->label);
    tdo_memory_free(&s->id);
    for (int f = 0; f < FORMS; f++) {
        tdo_memory_free(&s->pixels[f]);
    }
    tdo_memory_free(&s->records);
    tdo_memory_free(&s->histogram);
}

/* ---- the forms of an image ------------------------------------------------------------------------ */

/* Grey levels become pixels by the factor that networks and attacks use: what an attack left alone
 * is equal to the image bit by bit. */
static tdo_err read_pixels(const struct set *s, const struct tdo_images *im, int64_t n,
                           float *pixels)
{
    TDO_TRY(tdo_images_read(im, s->row, n, s->raw, s->label));
    tdo_images_widen(im, s->raw, n * s->size, pixels);
    for (int64_t i = 0; im->u8 && i < n * s->size; i++) {
        pixels[i] *= (float)(1.0 / 255);
    }
    return TDO_OK;
}

/* Noise that gives image i the loss that its attack gave it. */
static tdo_err add_noise(struct set *s, int64_t i, int64_t stored)
{
    const float *clean = s->pixels[CLEAN] + i * s->size, *x = s->pixels[CHANGED] + i * s->size;
    const struct tdo_stream stream = {
        .seed = (uint32_t)tdo_config_int(s->e->job->config, "run.seed"),
        .purpose = TDO_PURPOSE_ATTACK,
        .layer = NOISE_LAYER};
    const struct tdo_key key = {.sample = (uint64_t)s->origins.row[stored],
                                .draw = (uint32_t)s->origins.attack[stored]};
    struct tdo_perturbation sums = {0};
    uint32_t *word = NULL;
    float *out = s->pixels[RANDOM] + i * s->size;
    TDO_TRY(tdo_memory_new(s->size, &word));
    tdo_rng_words(&stream, &key, 0, s->size, word);
    tdo_perturbation_add(&sums, clean, x, NULL, s->size);
    const float by = (float)(sums.before / sums.n);
    for (int64_t p = 0; p < s->size; p++) {
        out[p] = clean[p] + (word[p] >> 31 ? by : -by);
        out[p] = out[p] < 0 ? 0 : out[p] > 1 ? 1 : out[p];
    }
    tdo_memory_free(&word);
    return TDO_OK;
}

/* All forms of images at[first], ... */
static tdo_err make_forms(struct set *s, int64_t first, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        s->row[i] = s->at[first + i];
    }
    TDO_TRY(read_pixels(s, &s->stored, n, s->pixels[CHANGED]));
    for (int64_t i = 0; i < n; i++) {
        s->row[i] = s->origins.row[s->at[first + i]];
    }
    TDO_TRY(read_pixels(s, &s->clean, n, s->pixels[CLEAN]));
    for (int64_t i = 0; i < n; i++) {
        TDO_TRY(add_noise(s, i, s->at[first + i]));
    }
    return s->denoise ? tdo_denoise_run(s->denoise, s->pixels[CHANGED], n, s->pixels[DENOISED])
                      : TDO_OK;
}

/* ---- measuring ------------------------------------------------------------------------------------ */

static void measure_image(struct set *s, int64_t i, int64_t number)
{
    const int last = tdo_taps_count(s->taps) - 1;
    const int classes = s->e->net.spec.classes;
    const float *at[FORMS] = {0};
    struct record *r = record_of(s, number);
    for (int f = 0; f < s->forms; f++) {
        const float *logits = tdo_taps_of(s->taps, last, i * s->forms + f);
        at[f] = s->pixels[f] + i * s->size;
        r->right[f] = tdo_inference_class(logits, classes) == s->label[i];
    }
    tdo_perturbation_add(&r->sums, at[CLEAN], at[CHANGED], at[DENOISED], s->size);
    for (int f = CHANGED; f < s->forms; f++) {
        double *level = levels_of(s, number) + (f - 1) * s->places;
        level[0] = tdo_perturbation_level(at[CLEAN], at[f], s->size);
        for (int k = 0; k <= last; k++) {
            level[1 + k] = tdo_perturbation_level(tdo_taps_of(s->taps, k, i * s->forms),
                                                  tdo_taps_of(s->taps, k, i * s->forms + f),
                                                  tdo_taps_size(s->taps, k));
        }
    }
    if (s->denoise) {
        tdo_histogram_add(s->histogram, at[CLEAN], at[CHANGED], at[DENOISED], s->size);
    }
}

static tdo_err measure_batch(struct set *s, int64_t first, int64_t n)
{
    float *pixels = tdo_taps_pixels(s->taps);
    TDO_TRY(make_forms(s, first, n));
    for (int64_t i = 0; i < n; i++) {
        for (int f = 0; f < s->forms; f++) {
            const int64_t row = i * s->forms + f;
            s->id[row] = (uint64_t)s->row[i];
            memcpy(pixels + row * s->size, s->pixels[f] + i * s->size,
                   (size_t)s->size * sizeof *pixels);
        }
    }
    TDO_TRY(tdo_taps_run(s->taps, s->id));
    for (int64_t i = 0; i < n; i++) {
        measure_image(s, i, first + i);
    }
    return TDO_OK;
}

static tdo_err measure(struct set *s)
{
    const int64_t rank = tdo_comm_rank(s->e->run.comm), size = tdo_comm_size(s->e->run.comm);
    const int64_t begin = s->n * rank / size, end = s->n * (rank + 1) / size;
    struct tdo_progress progress;
    tdo_progress_start(&progress, "set", "images", s->n, 0);
    for (int64_t at = begin; at < end; at += s->per) {
        const int64_t n = end - at < s->per ? end - at : s->per;
        TDO_TRY(measure_batch(s, at, n));
        tdo_progress_show(&progress, (at + n - begin) * size, NULL);
    }
    tdo_progress_end(&progress, s->n, NULL);
    return TDO_OK;
}

/* Each image was measured by one rank, the others hold zeros; counts add up. */
static void gather(struct set *s)
{
    _Static_assert(sizeof(double) == sizeof(uint64_t), "a number is a word");
    tdo_comm *comm = s->e->run.comm;
    tdo_comm_sum_u64(comm, (uint64_t *)(void *)s->records, s->n * s->width);
    tdo_comm_sum_u64(comm, s->histogram->count,
                     (int64_t)(sizeof s->histogram->count / sizeof(uint64_t)));
}

/* ---- tables, by the root -------------------------------------------------------------------------- */

/* What the images of one attack say together; levels [forms - 1, places] and how many made each. */
struct total {
    char title[256];
    int64_t images;
    struct tdo_perturbation sums;
    double right[FORMS];
    double *level;
    int64_t *count;
};

static void name_total(const struct set *s, int attack, struct total *t)
{
    const char *about = attack < s->origins.attacks ? s->origins.about[attack] : "{}";
    const char *title = "";
    tdo_json *j = NULL;
    if (attack == s->origins.attacks) {
        snprintf(t->title, sizeof t->title, "all");
        return;
    }
    snprintf(t->title, sizeof t->title, "attack %d", attack);
    if (tdo_json_parse(about, strlen(about), "attack", &j) == TDO_OK &&
        tdo_json_get_text(j, "title", &title) && *title && !strpbrk(title, "\t\n")) {
        snprintf(t->title, sizeof t->title, "%s", title);
    }
    tdo_json_free(&j);
}

static void add_record(const struct set *s, int64_t i, struct total *t)
{
    const struct record *r = record_of(s, i);
    const double *level = levels_of(s, i);
    t->images++;
    tdo_perturbation_join(&t->sums, &r->sums);
    for (int f = 0; f < FORMS; f++) {
        t->right[f] += r->right[f];
    }
    for (int k = 0; k < (s->forms - 1) * s->places; k++) {
        if (isfinite(level[k])) {
            t->level[k] += level[k];
            t->count[k]++;
        }
    }
}

/* Of the images of one attack (the number behind the last: of all). Owner: caller, free_total. */
static tdo_err make_total(const struct set *s, int attack, struct total *t)
{
    *t = (struct total){0};
    TDO_TRY(tdo_memory_new((s->forms - 1) * s->places, &t->level));
    TDO_TRY(tdo_memory_new((s->forms - 1) * s->places, &t->count));
    name_total(s, attack, t);
    for (int64_t i = 0; i < s->n; i++) {
        if (attack == s->origins.attacks || s->origins.attack[s->at[i]] == attack) {
            add_record(s, i, t);
        }
    }
    return TDO_OK;
}

static void free_total(struct total *t)
{
    tdo_memory_free(&t->level);
    tdo_memory_free(&t->count);
}

static void field(FILE *to, bool there, double v)
{
    if (there && isfinite(v)) {
        fprintf(to, "\t%.9g", v);
    } else {
        fprintf(to, "\t-");
    }
}

static void write_loss(FILE *to, const struct set *s, const struct total *t)
{
    const bool denoised = s->denoise != NULL;
    fprintf(to, "%s\t%" PRId64, t->title, t->images);
    field(to, true, t->sums.before / t->sums.n);
    field(to, denoised, t->sums.after / t->sums.n);
    field(to, denoised, tdo_perturbation_slope(&t->sums));
    field(to, denoised, tdo_perturbation_offset(&t->sums));
    for (int f = 0; f < FORMS; f++) {
        field(to, f < s->forms, t->right[f]);
    }
    fputc('\n', to);
}

static void write_levels(FILE *to, const struct set *s, const struct total *t)
{
    for (int k = 0; k < s->places; k++) {
        fprintf(to, "%s\t%d\t%s", t->title, k, k ? tdo_taps_name(s->taps, k - 1) : "pixels");
        for (int f = CHANGED; f < FORMS; f++) {
            const int64_t at = (f - 1) * s->places + k;
            const bool there = f < s->forms && t->count[at] > 0;
            field(to, there, there ? t->level[at] / (double)t->count[at] : 0);
        }
        fputc('\n', to);
    }
}

static void print_total(const struct set *s, const struct total *t)
{
    const double n = (double)t->images;
    const int64_t last = s->places - 1;
    printf("  %-32s  %10.5f", t->title, t->sums.before / t->sums.n);
    if (s->denoise) {
        const double slope = tdo_perturbation_slope(&t->sums);
        printf("  %10.5f", t->sums.after / t->sums.n);
        if (isfinite(slope)) {
            printf("  %7.3f", slope);
        } else {
            printf("  %7s", "-");
        }
    }
    for (int f = 0; f < s->forms; f++) {
        printf("  %7.2f %%", 100 * t->right[f] / n);
    }
    for (int f = CHANGED; f < s->forms; f++) {
        const int64_t at = (f - 1) * s->places + last;
        printf("  %8.4f", t->count[at] ? t->level[at] / (double)t->count[at] : (double)NAN);
    }
    putchar('\n');
}

static void print_heading(const struct set *s)
{
    printf("\n%-34s  %10s", "adversarial set", "mean |d|");
    if (s->denoise) {
        printf("  %10s  %7s", "denoised", "slope");
    }
    printf("  right: %s", form_name[0]);
    for (int f = 1; f < FORMS && f < s->forms; f++) {
        printf(", %s", form_name[f]);
    }
    printf("; level at the logits: %s", form_name[1]);
    for (int f = 2; f < FORMS && f < s->forms; f++) {
        printf(", %s", form_name[f]);
    }
    putchar('\n');
}

/* denoising.tsv and layers.tsv, line by line. */
static tdo_err write_totals(const struct set *s, FILE *losses, FILE *layers)
{
    fprintf(losses, "attack\timages\tloss\tdenoised_loss\tslope\toffset\tclean\tadversarial\t"
                    "random\tdenoised\n");
    fprintf(layers, "attack\tdepth\tplace\tadversarial\trandom\tdenoised\n");
    print_heading(s);
    for (int a = 0; a <= s->origins.attacks; a++) {
        struct total t;
        tdo_err err = make_total(s, a, &t);
        if (err == TDO_OK && t.images > 0) {
            write_loss(losses, s, &t);
            write_levels(layers, s, &t);
            print_total(s, &t);
        }
        free_total(&t);
        TDO_TRY(err);
    }
    return TDO_OK;
}

static void write_histogram(FILE *to, const struct tdo_histogram *h)
{
    fprintf(to, "true\tpredicted\tcount\n");
    for (int p = 0; p < TDO_HISTOGRAM_ROWS; p++) {
        for (int d = 0; d < TDO_HISTOGRAM_COLUMNS; d++) {
            fprintf(to, "%.9g\t%.9g\t%" PRIu64 "\n",
                    tdo_histogram_middle(h, d, TDO_HISTOGRAM_D),
                    tdo_histogram_middle(h, p, TDO_HISTOGRAM_P),
                    h->count[p * TDO_HISTOGRAM_COLUMNS + d]);
        }
    }
}

/* denoising.tsv comes last: it says that the part is done. */
static tdo_err write_tables(const struct set *s)
{
    struct tdo_page losses = {0}, layers = {0}, pairs = {0};
    const struct tdo_run *run = &s->e->run;
    TDO_TRY(tdo_page_open(&losses));
    tdo_err err = tdo_page_open(&layers);
    if (err == TDO_OK) {
        err = write_totals(s, losses.to, layers.to);
        err = tdo_page_save(&layers, run, "layers.tsv", err);
    }
    if (err == TDO_OK && s->denoise) {
        err = tdo_page_open(&pairs);
        if (err == TDO_OK) {
            write_histogram(pairs.to, s->histogram);
            err = tdo_page_save(&pairs, run, "perturbation.tsv", TDO_OK);
        }
    }
    return tdo_page_save(&losses, run, "denoising.tsv", err);
}

/* ---- some images ---------------------------------------------------------------------------------- */

/* Of the images that were changed (of all, where none was) those evenly spread, into at [samples]. */
static void choose_samples(const struct set *s, int64_t samples, int64_t *at)
{
    int64_t changed = 0, seen = 0;
    for (int64_t i = 0; i < s->n; i++) {
        changed += record_of(s, i)->sums.before > 0;
    }
    const bool all = changed < samples;
    for (int64_t i = 0, k = 0; k < samples; i++) {
        if (all || record_of(s, i)->sums.before > 0) {
            while (k < samples && k * (all ? s->n : changed) / samples == seen) {
                at[k++] = i;
            }
            seen++;
        }
    }
}

static tdo_err copy_samples(struct set *s, int64_t samples, float *x, int32_t *y)
{
    static const int forms[] = {CLEAN, CHANGED, DENOISED};
    int64_t from[SAMPLES] = {0};
    choose_samples(s, samples, from);
    for (int64_t k = 0; k < samples; k++) {
        TDO_TRY(make_forms(s, from[k], 1));
        for (int f = 0; f < (s->denoise ? 3 : 2); f++) {
            const int64_t at = f * samples + k;
            memcpy(x + at * s->size, s->pixels[forms[f]], (size_t)s->size * sizeof *x);
            y[at] = s->label[0];
        }
    }
    return TDO_OK;
}

/* samples.h5. Ranks: collective; the root writes. */
static tdo_err write_samples(struct set *s)
{
    const struct tdo_dataset_info *data = tdo_dataset_info(s->e->data);
    tdo_comm *comm = s->e->run.comm;
    const int64_t samples = s->n < SAMPLES ? s->n : SAMPLES;
    const int64_t rows = (s->denoise ? 3 : 2) * samples;
    const struct tdo_dataset_info info = {.height = data->height,
                                          .width = data->width,
                                          .channels = data->channels,
                                          .classes = data->classes,
                                          .stored = true,
                                          .rows = {[TDO_SPLIT_TEST] = rows}};
    char path[1024];
    float *x = NULL;
    int32_t *y = NULL;
    tdo_dataset_writer *w = NULL;
    tdo_err err = tdo_memory_new(rows * s->size, &x);
    err = err == TDO_OK ? tdo_memory_new(rows, &y) : err;
    err = err == TDO_OK ? tdo_run_path(&s->e->run, "samples.h5", path, sizeof path) : err;
    TDO_GOTO(tdo_comm_agree(comm, err));
    TDO_GOTO(tdo_dataset_create(comm, path, &info, &w));
    if (tdo_comm_rank(comm) == 0) {
        err = copy_samples(s, samples, x, y);
        err = err == TDO_OK ? tdo_dataset_write(w, TDO_SPLIT_TEST, 0, rows, x, y) : err;
    }
    TDO_GOTO(tdo_comm_agree(comm, err));
    err = tdo_dataset_finish(w);
done:
    tdo_dataset_writer_free(&w);
    tdo_memory_free(&x);
    tdo_memory_free(&y);
    return err;
}

tdo_err tdo_evaluate_set(struct tdo_evaluating *e)
{
    tdo_comm *comm = e->run.comm;
    struct set *s = NULL;
    tdo_err err = TDO_OK;
    TDO_GOTO(tdo_comm_agree(comm, tdo_memory_new(1, &s)));
    s->e = e;
    TDO_GOTO(open_set(s));
    TDO_GOTO(tdo_comm_agree(comm, measure(s)));
    gather(s);
    TDO_GOTO(write_samples(s));
    err = tdo_comm_agree(comm, tdo_comm_rank(comm) == 0 ? write_tables(s) : TDO_OK);
done:
    if (s) {
        close_set(s);
    }
    tdo_memory_free(&s);
    return err;
}
