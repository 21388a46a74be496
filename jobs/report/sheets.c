/* The section on images: a contact sheet for each run that stored what its attacks made. See
 * report.h and contact.h.
 *
 * adversarial.h5 is a stored set of the split that was attacked; tdo_outcomes_places says where it has
 * what attack a made of image i. An image that an attack did not take is shown as it was. The images
 * themselves come from the data set that was attacked. */
#include <inttypes.h>
#include <string.h>

#include "jobs/images.h"
#include "jobs/photos.h"
#include "jobs/report/contact.h"
#include "jobs/report/report.h"
#include "nn/base/file.h"
#include "nn/base/log.h"
#include "nn/base/memory.h"

enum { MOST_BLOCKS = 16 };

/* What a sheet is made of. Paths and `wanted` are the same on all ranks, the rest is the root's. */
struct sheet {
    char stored[1024], data[1024]; /* adversarial.h5, and the data set that was attacked */
    int64_t wanted;                /* are both there? */
    const struct tdo_results *run;
    tdo_dataset *of_attacks, *of_images;
    enum tdo_split split;
    int columns, blocks;
    int64_t *image; /* [columns] of the choice */
    int *attack;    /* [blocks] */
    int64_t *place; /* [attacks, images] in of_attacks */
    float *x;       /* [1 + blocks, columns, pixels]: clean images first */
    double *factor; /* [blocks] */
};

/* ---- what is shown ------------------------------------------------------------------------------ */

static bool is_clean(const struct tdo_results *run, int a)
{
    return strcmp(run->robustness->row[a].attack.name, "clean") == 0;
}

/* Right at first, and taken in by some attack: worth a look. */
static bool interesting(const struct tdo_results *run, int64_t i)
{
    for (int a = 0; a < run->outcomes.attacks; a++) {
        const struct tdo_outcome *of = tdo_outcomes_at(&run->outcomes, a, i);
        if (!is_clean(run, a) && tdo_outcome_taken(of) && of->clean == of->label &&
            of->success) {
            return true;
        }
    }
    return false;
}

/* Was image i chosen, or one of its label? */
static bool chosen(const struct sheet *s, int64_t i, bool label)
{
    const struct tdo_outcomes *o = &s->run->outcomes;
    for (int k = 0; k < s->columns; k++) {
        if (s->image[k] == i || (label && tdo_outcomes_at(o, 0, s->image[k])->label ==
                                              tdo_outcomes_at(o, 0, i)->label)) {
            return true;
        }
    }
    return false;
}

/* Interesting images of different labels first, then interesting ones, then any; in their order. */
static tdo_err choose_images(struct sheet *s, int columns)
{
    const int64_t images = s->run->outcomes.images;
    TDO_TRY(tdo_memory_new(columns, &s->image));
    for (int pass = 0; pass < 3; pass++) {
        for (int64_t i = 0; i < images && s->columns < columns; i++) {
            const bool any = tdo_outcomes_at(&s->run->outcomes, 0, i)->label >= 0;
            if (any && (pass == 2 || interesting(s->run, i)) && !chosen(s, i, pass == 0)) {
                s->image[s->columns++] = i;
            }
        }
    }
    for (int k = 1; k < s->columns; k++) { /* by insertion */
        const int64_t i = s->image[k];
        int at = k;
        while (at > 0 && s->image[at - 1] > i) {
            s->image[at] = s->image[at - 1];
            at--;
        }
        s->image[at] = i;
    }
    return TDO_OK;
}

static tdo_err choose_attacks(struct sheet *s)
{
    TDO_TRY(tdo_memory_new(MOST_BLOCKS, &s->attack));
    for (int a = 0; a < s->run->outcomes.attacks && s->blocks < MOST_BLOCKS; a++) {
        if (!is_clean(s->run, a)) {
            s->attack[s->blocks++] = a;
        }
    }
    return TDO_OK;
}

/* ---- reading ------------------------------------------------------------------------------------ */

/* Rows of a data set as floats in 0..1. */
static tdo_err read_rows(const tdo_dataset *d, enum tdo_split split, const int64_t *rows,
                         int64_t n, float *to)
{
    const struct tdo_images images = tdo_images_split(d, split);
    const int64_t values = n * tdo_images_pixels(&images);
    char *raw = NULL;
    TDO_TRY(tdo_memory_new(n * tdo_images_row_bytes(&images), &raw));
    tdo_err err = tdo_images_read(&images, rows, n, raw, NULL);
    if (err == TDO_OK) {
        tdo_images_widen(&images, raw, values, to);
    }
    for (int64_t i = 0; err == TDO_OK && images.u8 && i < values; i++) {
        to[i] /= 255;
    }
    tdo_memory_free(&raw);
    return err;
}

static tdo_err read_all(struct sheet *s)
{
    const struct tdo_outcomes *o = &s->run->outcomes;
    const int64_t part = s->columns * tdo_dataset_pixels(s->of_images);
    int64_t *rows = NULL;
    tdo_err err = TDO_OK;
    TDO_GOTO(tdo_memory_new((1 + s->blocks) * part, &s->x));
    TDO_GOTO(tdo_memory_new(s->columns, &rows));
    for (int k = 0; k < s->columns; k++) {
        rows[k] = tdo_outcomes_at(o, 0, s->image[k])->row;
    }
    TDO_GOTO(read_rows(s->of_images, s->split, rows, s->columns, s->x));
    for (int b = 0; b < s->blocks; b++) {
        const int64_t *place = s->place + s->attack[b] * o->images;
        float *to = s->x + (1 + b) * part;
        memcpy(to, s->x, (size_t)part * sizeof *to);
        for (int k = 0; k < s->columns; k++) {
            const int64_t at = place[s->image[k]];
            if (at >= 0) {
                TDO_GOTO(
                    read_rows(s->of_attacks, s->split, &at, 1, to + k * part / s->columns));
            }
        }
    }
done:
    tdo_memory_free(&rows);
    return err;
}

/* Do the files belong to the outcomes? */
static tdo_err check_files(struct sheet *s)
{
    const struct tdo_outcomes *o = &s->run->outcomes;
    const struct tdo_dataset_info *a = tdo_dataset_info(s->of_attacks);
    const struct tdo_dataset_info *x = tdo_dataset_info(s->of_images);
    const char *split = "test", *hash = NULL;
    char text[24];
    int64_t stored = 0;
    (void)tdo_json_get_text(o->about, "split", &split);
    for (int k = 0; k < TDO_SPLITS; k++) {
        if (strcmp(tdo_dataset_split_name((enum tdo_split)k), split) == 0) {
            s->split = (enum tdo_split)k;
        }
    }
    snprintf(text, sizeof text, "%016" PRIx64, x->hash);
    if (tdo_json_get_text(o->about, "data", &hash) && strcmp(hash, text) != 0) {
        return TDO_FAIL(
            TDO_ERR_FORMAT,
            "%s has the hash %s, but %s was attacked in %s: name the right data set "
            "as data.file",
            s->data, text, hash, s->run->dir);
    }
    TDO_TRY(tdo_memory_new(o->attacks * o->images, &s->place));
    TDO_TRY(tdo_outcomes_places(o, s->place, &stored));
    if (a->rows[s->split] != stored ||
        tdo_outcomes_at(o, 0, o->images - 1)->row >= x->rows[s->split] ||
        a->height != x->height || a->width != x->width || a->channels != x->channels) {
        return TDO_FAIL(TDO_ERR_FORMAT,
                        "%s does not hold %d attacks on %" PRId64 " images as those of %s (%s)",
                        s->stored, o->attacks, o->images, s->data, split);
    }
    return TDO_OK;
}

/* ---- writing ------------------------------------------------------------------------------------ */

static void write_table(const struct sheet *s, tdo_table *t)
{
    const struct tdo_outcomes *o = &s->run->outcomes;
    tdo_table_column(t, false, "image");
    tdo_table_column(t, true, "difference x");
    for (int k = 0; k < s->columns; k++) {
        tdo_table_column(t, true, "%" PRId64, tdo_outcomes_at(o, 0, s->image[k])->row);
    }
    tdo_table_cell(t, "label");
    tdo_table_cell(t, "-");
    for (int k = 0; k < s->columns; k++) {
        tdo_table_cell(t, "%d", tdo_outcomes_at(o, 0, s->image[k])->label);
    }
    tdo_table_cell(t, "predicted, clean");
    tdo_table_cell(t, "-");
    for (int k = 0; k < s->columns; k++) {
        tdo_table_cell(t, "%d", tdo_outcomes_at(o, 0, s->image[k])->clean);
    }
    for (int b = 0; b < s->blocks; b++) {
        tdo_table_cell(t, "%s", s->run->label[s->attack[b]]);
        tdo_table_cell(t, "%g", s->factor[b]);
        for (int k = 0; k < s->columns; k++) {
            const struct tdo_outcome *of = tdo_outcomes_at(o, s->attack[b], s->image[k]);
            if (tdo_outcome_taken(of)) {
                tdo_table_cell(t, "%d", of->predict);
            } else {
                tdo_table_cell(t, "-");
            }
        }
    }
}

/* Of the section, over the first sheet. */
static void write_heading(struct tdo_report *r)
{
    if (r->sheets++ > 0) {
        return;
    }
    fprintf(
        r->page,
        "## Images\n\n"
        "A column is an image; each attack has three rows: the image, the adversarial one, and "
        "their difference around grey, times the factor of the table.\n"
        "The table names each image by its number, and has its label and the class that the "
        "network sees in it, attack by attack, from top to bottom.\n\n");
}

static tdo_err write_sheet(struct tdo_report *r, struct sheet *s)
{
    const struct tdo_dataset_info *info = tdo_dataset_info(s->of_images);
    struct tdo_canvas canvas = {0};
    tdo_table *t = NULL;
    char name[160], path[1300];
    tdo_err err = TDO_OK;
    TDO_GOTO(tdo_memory_new(s->blocks, &s->factor));
    const struct tdo_contact contact = {.height = info->height,
                                        .width = info->width,
                                        .channels = info->channels,
                                        .columns = s->columns,
                                        .blocks = s->blocks,
                                        .clean = s->x,
                                        .changed = s->x + s->columns *
                                                              tdo_dataset_pixels(s->of_images)};
    TDO_GOTO(tdo_contact_draw(&contact, s->factor, &canvas));
    tdo_report_file(r, s->run, "contact", name);
    snprintf(path, sizeof path, "%s/%s.png", r->out, name);
    TDO_GOTO(tdo_canvas_save(&canvas, path));
    TDO_GOTO(tdo_table_new(&t));
    write_table(s, t);
    write_heading(r);
    fprintf(r->page, "### ");
    tdo_table_escape(r->page, s->run->name);
    fprintf(r->page, "\n\n![What attacks made of some images](%s.png)\n\n", name);
    err = tdo_report_table(r, t, name);
done:
    tdo_table_free(&t);
    tdo_canvas_free(&canvas);
    return err;
}

static tdo_err make_sheet(struct tdo_report *r, struct sheet *s)
{
    const int64_t channels = tdo_dataset_info(s->of_images)->channels;
    TDO_TRY(check_files(s));
    if (channels != 1 && channels != 3) {
        return TDO_OK; /* points of a plane are no pictures */
    }
    TDO_TRY(choose_images(s, r->columns));
    TDO_TRY(choose_attacks(s));
    if (s->blocks == 0) {
        return TDO_OK;
    }
    TDO_TRY(read_all(s));
    return write_sheet(r, s);
}

/* ---- over ranks --------------------------------------------------------------------------------- */

/* Root: is there something to show, and from which files? */
static void look(const struct tdo_report *r, const struct tdo_results *run, struct sheet *s)
{
    s->run = run;
    snprintf(s->stored, sizeof s->stored, "%s/adversarial.h5", run->dir);
    snprintf(s->data, sizeof s->data, "%s", r->data ? r->data : run->data);
    if (!run->robustness || !tdo_file_exists(s->stored)) {
        return;
    }
    s->wanted = s->data[0] && tdo_file_exists(s->data);
    if (!s->wanted) {
        tdo_log_root(
            TDO_LOG_WARN,
            "no contact sheet of %s: the data set that was attacked (%s) is not there; "
            "data.file can name it",
            run->dir, s->data[0] ? s->data : "run.json does not name it");
    }
}

/* run: NULL but on the root. */
static tdo_err sheet_of(struct tdo_report *r, tdo_comm *comm, const struct tdo_results *run)
{
    const bool root = tdo_comm_rank(comm) == 0;
    struct sheet *s = NULL;
    tdo_err err = tdo_comm_agree(comm, tdo_memory_new(1, &s));
    if (err != TDO_OK) {
        goto done;
    }
    if (run) {
        look(r, run, s);
    }
    tdo_comm_broadcast(comm, &s->wanted, sizeof s->wanted);
    tdo_comm_broadcast(comm, s->stored, sizeof s->stored);
    tdo_comm_broadcast(comm, s->data, sizeof s->data);
    if (s->wanted) {
        TDO_GOTO(tdo_dataset_open(comm, s->stored, &s->of_attacks));
        TDO_GOTO(tdo_photos_open(comm, r->config, s->data, &s->of_images));
        TDO_GOTO(tdo_comm_agree(comm, root ? make_sheet(r, s) : TDO_OK));
    }
done:
    if (s) {
        tdo_dataset_free(&s->of_attacks);
        tdo_dataset_free(&s->of_images);
        tdo_memory_free(&s->image);
        tdo_memory_free(&s->attack);
        tdo_memory_free(&s->place);
        tdo_memory_free(&s->x);
        tdo_memory_free(&s->factor);
    }
    tdo_memory_free(&s);
    return err;
}

tdo_err tdo_report_images(struct tdo_report *r, tdo_comm *comm)
{
    for (int k = 0; r->columns > 0 && k < r->runs; k++) {
        TDO_TRY(sheet_of(r, comm, tdo_comm_rank(comm) == 0 ? &r->run[k] : NULL));
    }
    return TDO_OK;
}
