/* testudo list [table]: what there is, printed from the tables themselves. */
#include <stdio.h>
#include <string.h>

#include "attacks/attack.h"
#include "defenses/certifier.h"
#include "defenses/defense.h"
#include "jobs/formats/formats.h"
#include "jobs/job.h"
#include "nn/models/models.h"

static void print_row(const char *name, const char *help, const char *cite)
{
    printf("%-12s %s", name, help);
    if (cite && cite[0]) {
        printf(" [%s]", cite);
    }
    putchar(10);
}

static void list_defenses(void)
{
    for (int i = 0; tdo_defense_table[i]; i++) {
        const struct tdo_defense *d = tdo_defense_table[i];
        print_row(d->name, d->help, d->cite);
        tdo_option_print_rows(stdout, d->options, "    ");
    }
}

/* With the options that they have in the list `attack`. */
static void list_attacks(void)
{
    const struct tdo_option_list *list = tdo_job_schema.lists;
    while (strcmp(list->key, "attack") != 0) {
        list++;
    }
    for (int i = 0; tdo_attack_table[i]; i++) {
        const struct tdo_attack *a = tdo_attack_table[i];
        print_row(a->name, a->help, a->cite);
        tdo_option_print_rows(stdout, list->options(i), "    ");
    }
}

static void list_certifiers(void)
{
    for (int i = 0; tdo_certifier_table[i]; i++) {
        const struct tdo_certifier *c = tdo_certifier_table[i];
        print_row(c->name, c->help, c->cite);
    }
}

static void list_models(void)
{
    for (int i = 0; tdo_model_table[i]; i++) {
        const struct tdo_model *m = tdo_model_table[i];
        print_row(m->name, m->help, m->cite);
    }
}

static void list_formats(void)
{
    for (int i = 0; tdo_format_at(i); i++) {
        const struct tdo_format *f = tdo_format_at(i);
        print_row(f->name, f->help, f->cite);
    }
}

static void list_options(void)
{
    tdo_option_print(stdout, &tdo_job_schema, TDO_JOB_ALL);
}

static const struct table {
    const char *name, *help;
    void (*print)(void);
} tables[] = {
    {"models", "architectures, for model.name", list_models},
    {"defenses", "what training and networks can be given, for the list defense",
     list_defenses},
    {"attacks", "how networks are attacked, for the list attack", list_attacks},
    {"certifiers", "how votes become a certificate, for certify.certifier", list_certifiers},
    {"formats", "what import reads, for import.format", list_formats},
    {"options", "every key of a config", list_options},
};
enum { TABLES = sizeof tables / sizeof *tables };

static const char *table_name(const void *context, int i)
{
    (void)context;
    return tables[i].name;
}

static const char *table_or_end(int i)
{
    return i < TABLES ? tables[i].name : NULL;
}

static tdo_err list(struct tdo_job_context *c)
{
    for (int i = 0; i < TABLES; i++) {
        if (c->word && strcmp(tables[i].name, c->word) == 0) {
            tables[i].print();
            return TDO_OK;
        }
    }
    if (c->word) {
        const char *near = tdo_option_nearest(c->word, table_name, NULL, TABLES);
        return TDO_FAIL(TDO_ERR_USAGE, "no table is called '%s'%s%s%s; testudo list names them",
                        c->word, near ? ", did you mean '" : "", near ? near : "",
                        near ? "'" : "");
    }
    for (int i = 0; i < TABLES; i++) {
        print_row(tables[i].name, tables[i].help, NULL);
    }
    return TDO_OK;
}

const struct tdo_job tdo_job_list = {
    .name = "list",
    .help = "print a table: models, defenses, attacks, certifiers, formats, options",
    .word = "table",
    .words = table_or_end,
    .bit = TDO_JOB_list,
    .alone = true,
    .run = list,
};
