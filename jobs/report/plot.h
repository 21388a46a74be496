#ifndef TDO_JOBS_REPORT_PLOT_H
#define TDO_JOBS_REPORT_PLOT_H
/* A picture of curves or bars, as two files that gnuplot draws it from: NAME.dat, the numbers, and
 * NAME.gp, the script. People who want another picture change the script and draw it again:
 *
 *     gnuplot NAME.gp               NAME.svg
 *     gnuplot -e png=1 NAME.gp      NAME.png
 *
 * Colours are those of Okabe and Ito 2008, which the colour-blind tell apart; lines that share one
 * differ in dashes and marks. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "nn/base/error.h"

enum tdo_plot_style {
    TDO_PLOT_LINE,  /* straight lines between marked points */
    TDO_PLOT_STEPS, /* a value holds up to the next point */
    TDO_PLOT_BARS   /* x is the middle of a bar; of few, the value is written over it */
};

struct tdo_plot_series {
    const char *label;
    enum tdo_plot_style style;
    int color, dash; /* any from 0; the palette repeats itself */
    bool wide;       /* a broad pale line, for others to lie on */
};

/* Texts are copied. */
struct tdo_plot_frame {
    const char *name, *title, *x, *y; /* name of the files, without an ending; axes */
    double x_high;                    /* where the x axis ends; 0: behind the last point */
    double y_high;                    /* the same; the y axis begins at 0, */
    bool y_free;                      /* or where the points do */
    double bar;                       /* width of a bar */
};

typedef struct tdo_plot tdo_plot;

/* Owner: caller, tdo_plot_free. */
TDO_MUST tdo_err tdo_plot_new(const struct tdo_plot_frame *frame, tdo_plot **out);
void tdo_plot_free(tdo_plot **p); /* NULL is fine */

/* Begin a series; points that follow belong to it. A failure is kept until the plot is written. */
void tdo_plot_series(tdo_plot *p, const struct tdo_plot_series *series);
void tdo_plot_point(tdo_plot *p, double x, double y);
/* A name at a place of the x axis, which then has no numbers. */
void tdo_plot_tick(tdo_plot *p, double x, const char *name);

bool tdo_plot_empty(const tdo_plot *p); /* no series with a point */

/* Write both files into the directory. Errors: TDO_ERR_FILE, TDO_ERR_MEMORY. */
TDO_MUST tdo_err tdo_plot_write(const tdo_plot *p, const char *dir);
/* For scripts that are written elsewhere: the beginning of NAME.gp, which says what it draws and how
 * large; a PNG has twice the pixels of the SVG. */
struct tdo_plot_size {
    int width, height;  /* of the SVG */
    int font, png_font; /* points */
};
void tdo_plot_head(FILE *to, const char *name, const struct tdo_plot_size *size);
/* A text between single quotes, where only they have a meaning. */
void tdo_plot_quote(FILE *to, const char *text);

/* Have gnuplot draw NAME.svg, and NAME.png if asked, in that directory. Errors: TDO_ERR_LIBRARY
 * when gnuplot is not there or fails, with what it said. Ranks: not collective. */
TDO_MUST tdo_err tdo_plot_draw(const char *dir, const char *name, bool png);

#endif
