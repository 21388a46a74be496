#ifndef TDO_JOBS_MANUAL_H
#define TDO_JOBS_MANUAL_H
/* What is generated for users from the tables of jobs, options and rows, so that none of it can
 * fall behind: a manual page and a completion for the shell. The bytes depend on the program
 * alone. */
#include <stdio.h>

/* testudo.1 for man(1), in the macros of man(7), plain ASCII. */
void tdo_manual_print(FILE *to);

/* A script for bash(1): jobs, keys, values of choices, names of rows, files. */
void tdo_completion_print(FILE *to);

/* What a text option names: name i of the table that its values come from, NULL past the end.
 * Returns NULL for an option that names a file or anything else. */
typedef const char *tdo_manual_names(int i);
tdo_manual_names *tdo_manual_names_of(const char *key);

#endif
