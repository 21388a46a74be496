/* Contact sheets of what a denoiser made of images: samples.png. See report.h and contact.h.
 *
 * `evaluate` left samples.h5: some images as they were, then all of them attacked, then, if there
 * was a denoiser (perturbation.tsv is there too), all of them denoised. Both are drawn beside the image
 * and their difference from it. Source of the form: Liao et al. 2018, figure 6. */
#include <stdio.h>

#include "jobs/images.h"
#include "jobs/report/contact.h"
#include "jobs/report/report.h"
#include "nn/base/file.h"
#include "nn/base/memory.h"

enum { MOST_FORMS = 3 };

static bool is_there(const struct tdo_results *run, const char *name, char path[1100])
{
    snprintf(path, 1100, "%s/%s", run->dir, name);
    return tdo_file_exists(path);
}

static tdo_err draw(const struct tdo_report *r, const tdo_dataset *d, const float *x, int forms,
                    const char *path)
{
    const struct tdo_dataset_info *info = tdo_dataset_info(d);
    const int columns = (int)(info->rows[TDO_SPLIT_TEST] / forms);
    const struct tdo_contact contact = {.height = info->height,
                                        .width = info->width,
                                        .channels = info->channels,
                                        .columns = columns,
                                        .blocks = forms - 1,
                                        .clean = x,
                                        .changed = x + columns * tdo_dataset_pixels(d)};
    struct tdo_canvas canvas = {0};
    double factor[MOST_FORMS];
    tdo_err err = tdo_contact_draw(&contact, factor, &canvas);
    err = err == TDO_OK ? tdo_canvas_save(&canvas, path) : err;
    tdo_canvas_free(&canvas);
    if (err == TDO_OK) {
        fprintf(r->page,
                "Three rows each: the image, the adversarial one, and their difference times "
                "%g",
                factor[0]);
        if (forms == MOST_FORMS) {
            fprintf(r->page,
                    "; then the image, the denoised one, and their difference times %g",
                    factor[1]);
        }
        fprintf(r->page, ".\n\n");
    }
    return err;
}

/* Root. */
static tdo_err make_sheet(struct tdo_report *r, const struct tdo_results *run,
                          const tdo_dataset *d, int forms)
{
    const struct tdo_dataset_info *info = tdo_dataset_info(d);
    const int64_t rows = info->rows[TDO_SPLIT_TEST];
    char name[160], path[1300];
    int64_t *row = NULL;
    float *x = NULL;
    tdo_err err = TDO_OK;
    if (rows == 0 || rows % forms != 0 || info->is_u8) {
        return TDO_FAIL(TDO_ERR_FORMAT, "%s: %d forms of some images in f32 expected",
                        tdo_dataset_path(d), forms);
    }
    if (info->channels != 1 && info->channels != 3) {
        return TDO_OK; /* points of a plane are no pictures */
    }
    TDO_GOTO(tdo_memory_new(rows, &row));
    TDO_GOTO(tdo_memory_new(rows * tdo_dataset_pixels(d), &x));
    for (int64_t i = 0; i < rows; i++) {
        row[i] = i;
    }
    TDO_GOTO(tdo_dataset_read(d, TDO_SPLIT_TEST, row, rows, x, NULL));
    tdo_report_file(r, run, "samples", name);
    snprintf(path, sizeof path, "%s/%s.png", r->out, name);
    fprintf(r->page, "### Images of an adversarial set: ");
    tdo_table_escape(r->page, run->name);
    fprintf(r->page, "\n\n![Images, adversarial and denoised](%s.png)\n\n", name);
    err = draw(r, d, x, forms, path);
    r->sheets++;
done:
    tdo_memory_free(&row);
    tdo_memory_free(&x);
    return err;
}

/* run: NULL but on the root. */
static tdo_err sheet_of(struct tdo_report *r, tdo_comm *comm, const struct tdo_results *run)
{
    char path[1100] = "", other[1100];
    int64_t forms = 0;
    tdo_dataset *d = NULL;
    if (run && is_there(run, "samples.h5", path)) {
        forms = is_there(run, "perturbation.tsv", other) ? MOST_FORMS : 2;
    }
    tdo_comm_broadcast(comm, &forms, sizeof forms);
    tdo_comm_broadcast(comm, path, sizeof path);
    if (forms == 0) {
        return TDO_OK;
    }
    tdo_err err = tdo_dataset_open(comm, path, &d);
    if (err == TDO_OK) {
        err = tdo_comm_agree(comm, run ? make_sheet(r, run, d, (int)forms) : TDO_OK);
    }
    tdo_dataset_free(&d);
    return err;
}

tdo_err tdo_report_samples(struct tdo_report *r, tdo_comm *comm)
{
    for (int k = 0; r->columns > 0 && k < r->runs; k++) {
        TDO_TRY(sheet_of(r, comm, tdo_comm_rank(comm) == 0 ? &r->run[k] : NULL));
    }
    return TDO_OK;
}
