/* What sections share. See report.h. */
#include "jobs/report/report.h"

#include <string.h>

#include "jobs/page.h"

tdo_err tdo_report_table(struct tdo_report *r, const tdo_table *t, const char *name)
{
    const struct tdo_run where = {.dir = r->out};
    struct tdo_page page;
    char file[64];
    if (tdo_table_rows(t) > 0) {
        TDO_TRY(tdo_table_markdown(t, r->page));
    }
    snprintf(file, sizeof file, "%s.tsv", name);
    TDO_TRY(tdo_page_open(&page));
    return tdo_page_save(&page, &where, file, tdo_table_tsv(t, page.to));
}

void tdo_report_file(const struct tdo_report *r, const struct tdo_results *run,
                     const char *stem, char name[160])
{
    snprintf(name, 160, r->runs > 1 ? "%.30s_%.120s" : "%.30s", stem, run->name);
    for (char *c = name; *c; c++) {
        if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._", *c)) {
            *c = '_';
        }
    }
}

void tdo_report_picture(struct tdo_report *r, const char *name, const char *title)
{
    TDO_ASSERT(r->plots < TDO_REPORT_PLOTS);
    snprintf(r->plot[r->plots++], sizeof r->plot[0], "%s", name);
    fprintf(r->page, "![%s](%s.svg)\n\n", title, name);
}

tdo_err tdo_report_plot(struct tdo_report *r, const tdo_plot *p,
                        const struct tdo_plot_frame *frame)
{
    if (tdo_plot_empty(p)) {
        return TDO_OK;
    }
    tdo_report_picture(r, frame->name, frame->title);
    return tdo_plot_write(p, r->out);
}
