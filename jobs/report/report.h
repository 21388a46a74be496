#ifndef TDO_JOBS_REPORT_REPORT_H
#define TDO_JOBS_REPORT_REPORT_H
/* A report: results of some runs side by side, one section a kind.
 *
 * A section is a function that writes its part of the page, saves its tables as TSV and the data
 * and scripts of its pictures; of what no run has it writes nothing. The pictures are drawn when
 * all of that is on disk. The same results give the same bytes. */
#include <stdio.h>

#include "jobs/report/plot.h"
#include "jobs/report/results.h"
#include "jobs/report/table.h"
#include "mpi/comm.h"
#include "nn/base/config.h"

enum { TDO_REPORT_PLOTS = 16, TDO_REPORT_GRID = 64 };

struct tdo_report {
    const char *out, *title;  /* directory, heading; borrowed */
    const tdo_config *config; /* how the images of data are read; borrowed */
    const char *data; /* data set of the contact sheet; NULL: the one that was attacked */
    int columns;      /* of a contact sheet; 0: none */
    int runs;
    struct tdo_results *run; /* [runs] */
    int grid;
    double eps[TDO_REPORT_GRID]; /* [grid], 0 of them: those of the attacks */
    FILE *page;
    int sheets; /* contact sheets so far */
    int plots;
    char plot[TDO_REPORT_PLOTS][32]; /* names of pictures to draw */
};

/* Put a table on the page and save it as NAME.tsv; one without rows is left out. */
TDO_MUST tdo_err tdo_report_table(struct tdo_report *r, const tdo_table *t, const char *name);
/* Write data and script of a picture, put a link on the page; one without points is left out. */
TDO_MUST tdo_err tdo_report_plot(struct tdo_report *r, const tdo_plot *p,
                                 const struct tdo_plot_frame *frame);

/* How a file of a run is called: `stem` of one run, stem_<run> of several; what is odd in a file name
 * becomes `_`. */
void tdo_report_file(const struct tdo_report *r, const struct tdo_results *run,
                     const char *stem, char name[160]);

/* Have NAME.gp drawn in the end, and put a link on the page. */
void tdo_report_picture(struct tdo_report *r, const char *name, const char *title);

/* Call attacks that were taken over from a file by what they were there, and in which run; before
 * the sections. */
void tdo_report_sources(struct tdo_report *r);

/* The sections, in their order on the page. Ranks: root only. */
TDO_MUST tdo_err tdo_report_summary(struct tdo_report *r);
TDO_MUST tdo_err tdo_report_clean(struct tdo_report *r);
TDO_MUST tdo_err tdo_report_regions(struct tdo_report *r);
TDO_MUST tdo_err tdo_report_attacks(struct tdo_report *r);
TDO_MUST tdo_err tdo_report_curves(struct tdo_report *r);
TDO_MUST tdo_err tdo_report_denoising(struct tdo_report *r);
TDO_MUST tdo_err tdo_report_certified(struct tdo_report *r);
TDO_MUST tdo_err tdo_report_training(struct tdo_report *r);
TDO_MUST tdo_err tdo_report_series(struct tdo_report *r);
TDO_MUST tdo_err tdo_report_votes(struct tdo_report *r);

/* Contact sheets of runs that stored adversarial images: contact.png (contact_<run>.png of
 * several), and on the page what they show. Ranks: collective, r->page and what was read on the
 * root only; errors are agreed. */
TDO_MUST tdo_err tdo_report_images(struct tdo_report *r, tdo_comm *comm);

/* Pictures of images as they were, attacked and denoised, of runs that have samples.h5: samples.png
 * (samples_<run>.png of several). Ranks: as tdo_report_images. */
TDO_MUST tdo_err tdo_report_samples(struct tdo_report *r, tdo_comm *comm);

/* The radius at which certificates of these runs are compared in one number. */
double tdo_report_radius(const struct tdo_report *r);

#endif
