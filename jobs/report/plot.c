/* Data and scripts for gnuplot. See plot.h; gnuplot is started in gnuplot.c. */
#include "jobs/report/plot.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "jobs/page.h"
#include "nn/base/memory.h"

struct series {
    struct tdo_plot_series is;
    int64_t first, end; /* of the points */
};

struct point {
    double x, y;
};

struct tick {
    double x;
    const char *name;
};

struct tdo_plot {
    tdo_arena *arena;
    struct tdo_plot_frame frame;
    int64_t many, points, ticks, series_room, points_room, ticks_room;
    struct series *series;
    struct point *point;
    struct tick *tick;
    tdo_err err;
};

/* ---- filling ------------------------------------------------------------------------------------ */

static const char *keep(tdo_plot *p, const char *text)
{
    const char *copy = tdo_arena_string(p->arena, text);
    if (!copy) {
        p->err = TDO_ERR_MEMORY;
        return "";
    }
    return copy;
}

tdo_err tdo_plot_new(const struct tdo_plot_frame *frame, tdo_plot **out)
{
    tdo_err err = tdo_memory_new(1, out);
    if (err == TDO_OK) {
        err = tdo_arena_new(&(*out)->arena);
    }
    if (err != TDO_OK) {
        tdo_plot_free(out);
        return err;
    }
    tdo_plot *p = *out;
    p->frame = *frame;
    p->frame.name = keep(p, frame->name);
    p->frame.title = keep(p, frame->title);
    p->frame.x = keep(p, frame->x);
    p->frame.y = keep(p, frame->y);
    return TDO_OK;
}

void tdo_plot_free(tdo_plot **p)
{
    if (*p) {
        tdo_arena_free(&(*p)->arena);
        tdo_memory_free(&(*p)->series);
        tdo_memory_free(&(*p)->point);
        tdo_memory_free(&(*p)->tick);
    }
    tdo_memory_free(p);
}

/* Room for one more in an array of `n`. */
#define GROW(p, n, room, array)                                                                \
    do {                                                                                       \
        if ((p)->err == TDO_OK && (n) == (room)) {                                             \
            (p)->err = tdo_memory_grow((room), (room) + 256, (array));                         \
            (room) += (p)->err == TDO_OK ? 256 : 0;                                            \
        }                                                                                      \
        if ((p)->err != TDO_OK) {                                                              \
            return;                                                                            \
        }                                                                                      \
    } while (0)

void tdo_plot_series(tdo_plot *p, const struct tdo_plot_series *series)
{
    GROW(p, p->many, p->series_room, &p->series);
    struct series *s = &p->series[p->many++];
    s->is = *series;
    s->is.label = keep(p, series->label);
    s->first = s->end = p->points;
}

void tdo_plot_point(tdo_plot *p, double x, double y)
{
    GROW(p, p->points, p->points_room, &p->point);
    TDO_ASSERT(p->many > 0);
    p->point[p->points++] = (struct point){x, y};
    p->series[p->many - 1].end = p->points;
}

void tdo_plot_tick(tdo_plot *p, double x, const char *name)
{
    GROW(p, p->ticks, p->ticks_room, &p->tick);
    p->tick[p->ticks++] = (struct tick){x, keep(p, name)};
}

bool tdo_plot_empty(const tdo_plot *p)
{
    return p->points == 0;
}

/* ---- NAME.dat ----------------------------------------------------------------------------------- */

/* A block for each series, with two empty lines between them, as gnuplot's `index` wants it. */
static void write_data(const tdo_plot *p, FILE *to)
{
    int64_t block = 0;
    for (int64_t k = 0; k < p->many; k++) {
        const struct series *s = &p->series[k];
        if (s->first == s->end) {
            continue;
        }
        fprintf(to, "%s# ", block++ ? "\n\n" : "");
        tdo_page_name(to, s->is.label);
        fputc('\n', to);
        for (int64_t i = s->first; i < s->end; i++) {
            fprintf(to, "%.9g %.9g\n", p->point[i].x, p->point[i].y);
        }
    }
}

/* ---- NAME.gp ------------------------------------------------------------------------------------ */

/* Okabe and Ito's colours but yellow, which is lost on white. */
static const char *const palette[] = {"#0072B2", "#D55E00", "#009E73", "#CC79A7",
                                      "#E69F00", "#56B4E9", "#000000"};
enum { COLORS = sizeof palette / sizeof *palette, DASHES = 5, MARKS = 6 };

void tdo_plot_quote(FILE *to, const char *text)
{
    fputc('\'', to);
    for (const char *c = text; *c; c++) {
        if (*c == '\'') {
            fputc('\'', to);
        }
        fputc((unsigned char)*c < ' ' || *c == 0x7f ? '?' : *c, to);
    }
    fputc('\'', to);
}

void tdo_plot_head(FILE *to, const char *name, const struct tdo_plot_size *size)
{
    fprintf(to, "# gnuplot %s.gp draws %s.svg; gnuplot -e png=1 %s.gp draws %s.png.\n", name,
            name, name, name);
    fprintf(to,
            "if (exists('png')) {\n"
            "    set terminal pngcairo noenhanced size %d,%d font 'sans,%d' linewidth 2 "
            "pointscale 2\n"
            "    set output '%s.png'\n"
            "} else {\n"
            "    set terminal svg noenhanced size %d,%d font 'sans-serif,%d' "
            "background '#ffffff'\n"
            "    set output '%s.svg'\n"
            "}\n"
            "set encoding utf8\n",
            2 * size->width, 2 * size->height, size->png_font, name, size->width, size->height,
            size->font, name);
}

static void set(FILE *to, const char *what, const char *text)
{
    fprintf(to, "set %s ", what);
    tdo_plot_quote(to, text);
    fputc('\n', to);
}

/* The legend stands under the picture, in as many columns as its labels let fit. */
static int legend_columns(const tdo_plot *p)
{
    size_t longest = 0;
    for (int64_t k = 0; k < p->many; k++) {
        const size_t length = strlen(p->series[k].is.label);
        longest = length > longest ? length : longest;
    }
    const int64_t columns = 720 / (70 + 8 * (int64_t)(longest > 80 ? 80 : longest));
    return columns > 4 ? 4 : columns < 1 ? 1 : (int)columns;
}

static void write_frame(const tdo_plot *p, FILE *to)
{
    const struct tdo_plot_frame *f = &p->frame;
    const int columns = legend_columns(p);
    const int lines = (int)((p->many + columns - 1) / columns), height = 460 + 22 * lines;
    const struct tdo_plot_size size = {
        .width = 800, .height = height, .font = 14, .png_font = 26};
    tdo_plot_head(to, f->name, &size);
    fprintf(
        to,
        "set key outside bottom center horizontal Left reverse samplen 3 maxcols %d title ' '\n"
        "set border 3 linecolor '#404040'\n"
        "set tics nomirror out\n"
        "set grid linetype 1 linecolor '#e0e0e0' linewidth 1\n",
        columns);
    set(to, "title", f->title);
    set(to, "xlabel", f->x);
    set(to, "ylabel", f->y);
}

static void write_axes(const tdo_plot *p, FILE *to)
{
    const struct tdo_plot_frame *f = &p->frame;
    if (f->x_high > 0) {
        fprintf(to, "set xrange [0:%.9g]\n", f->x_high);
    }
    if (f->y_free) {
        fprintf(to, "set autoscale y\n");
    } else if (f->y_high > 0) {
        fprintf(to, "set yrange [0:%.9g]\n", f->y_high);
    } else {
        fprintf(to, "set yrange [0:*]\n");
    }
    if (p->ticks == 0) {
        return;
    }
    const double first = p->tick[0].x, last = p->tick[p->ticks - 1].x;
    const double margin = last - first < 2 ? 1.6 - 0.5 * (last - first) : 0.6; /* no fat bars */
    fprintf(to, "set xrange [%.9g:%.9g]\n", first - margin, last + margin);
    fprintf(to, "set xtics scale 0%s (", p->ticks > 5 ? " rotate by -30" : "");
    for (int64_t i = 0; i < p->ticks; i++) {
        fputs(i ? ", " : "", to);
        tdo_plot_quote(to, p->tick[i].name);
        fprintf(to, " %.9g", p->tick[i].x);
    }
    fprintf(
        to,
        ")\nset grid noxtics\nset boxwidth %.9g absolute\nset style fill solid 1 noborder\n",
        f->bar);
}

static void write_line(const struct tdo_plot_series *s, int64_t points, FILE *to)
{
    static const int marks[MARKS] = {7, 5, 9, 13, 4, 6};
    const char *color = palette[s->color % COLORS];
    if (s->wide) { /* a colour may begin with how transparent it is */
        fprintf(to, "with %s linewidth 7 dashtype 1 linecolor '#a0%s' title ",
                s->style == TDO_PLOT_STEPS ? "steps" : "lines", color + 1);
    } else if (s->style == TDO_PLOT_STEPS) {
        fprintf(to, "with steps linewidth 2 dashtype %d linecolor '%s' title ",
                s->dash % DASHES + 1, color);
    } else {
        fprintf(to,
                "with linespoints linewidth 2 dashtype %d pointtype %d pointsize %s linecolor "
                "'%s' title ",
                s->dash % DASHES + 1, marks[s->dash % MARKS], points > 40 ? "0" : "0.9", color);
    }
}

static void write_series(const tdo_plot *p, const struct series *s, int64_t block, FILE *to)
{
    fprintf(to, "'%s.dat' index %lld using 1:2 ", p->frame.name, (long long)block);
    if (s->is.style == TDO_PLOT_BARS) {
        fprintf(to, "with boxes linecolor '%s' title ", palette[s->is.color % COLORS]);
    } else {
        write_line(&s->is, s->end - s->first, to);
    }
    tdo_plot_quote(to, s->is.label);
    if (s->is.style == TDO_PLOT_BARS && p->ticks <= 6) { /* numbers of more would overlap */
        fprintf(to,
                ", \\\n     '' index %lld using 1:2:(sprintf('%%.1f', $2)) with labels offset "
                "0,0.7 notitle",
                (long long)block);
    }
}

static void write_script(const tdo_plot *p, FILE *to)
{
    int64_t block = 0;
    write_frame(p, to);
    write_axes(p, to);
    fputs("plot ", to);
    for (int64_t k = 0; k < p->many; k++) {
        if (p->series[k].first < p->series[k].end) {
            fputs(block ? ", \\\n     " : "", to);
            write_series(p, &p->series[k], block++, to);
        }
    }
    fputc('\n', to);
}

tdo_err tdo_plot_write(const tdo_plot *p, const char *dir)
{
    const struct tdo_run where = {.dir = dir};
    char name[128];
    struct tdo_page page;
    TDO_TRY(p->err);
    TDO_TRY(tdo_page_open(&page));
    write_data(p, page.to);
    snprintf(name, sizeof name, "%s.dat", p->frame.name);
    TDO_TRY(tdo_page_save(&page, &where, name, TDO_OK));
    TDO_TRY(tdo_page_open(&page));
    write_script(p, page.to);
    snprintf(name, sizeof name, "%s.gp", p->frame.name);
    return tdo_page_save(&page, &where, name, TDO_OK);
}
