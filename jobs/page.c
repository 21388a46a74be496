/* Tables of results. See page.h. */
#include "jobs/page.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "nn/base/file.h"

tdo_err tdo_page_open(struct tdo_page *p)
{
    *p = (struct tdo_page){0};
    p->to = open_memstream(&p->text, &p->size);
    return p->to ? TDO_OK : TDO_FAIL(TDO_ERR_MEMORY, "out of memory for a table");
}

tdo_err tdo_page_save(struct tdo_page *p, const struct tdo_run *run, const char *name,
                      tdo_err err)
{
    char path[1024];
    const bool whole = fclose(p->to) == 0;
    if (err == TDO_OK && !whole) {
        err = TDO_FAIL(TDO_ERR_MEMORY, "out of memory for %s", name);
    }
    if (err == TDO_OK) {
        err = tdo_run_path(run, name, path, sizeof path);
    }
    if (err == TDO_OK) {
        err = tdo_file_write(path, p->text, (int64_t)p->size);
    }
    free(p->text);
    return err;
}

tdo_err tdo_page_take(struct tdo_page *p, char **text)
{
    const bool whole = fclose(p->to) == 0;
    tdo_err err = whole ? tdo_memory_new((int64_t)p->size + 1, text)
                        : TDO_FAIL(TDO_ERR_MEMORY, "out of memory for a table");
    if (err == TDO_OK) {
        memcpy(*text, p->text, p->size);
    }
    free(p->text);
    return err;
}

void tdo_page_counts(FILE *to, const uint64_t *counts, int classes)
{
    for (int k = 0; k < classes; k++) {
        fprintf(to, "%s%" PRIu64, k ? "," : "", counts[k]);
    }
}

void tdo_page_name(FILE *to, const char *name)
{
    for (const char *c = name ? name : "-"; *c; c++) {
        if ((unsigned char)*c < ' ' || *c == '\\' || *c == 0x7f) {
            fprintf(to, "\\x%02x", (unsigned)(unsigned char)*c);
        } else {
            fputc(*c, to);
        }
    }
}
