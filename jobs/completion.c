/* testudo help bash: a completion script, from the tables of jobs and options.
 *
 * The script asks three questions of itself, each a `case` that is printed here: which words a
 * job takes, which keys, and which values a key has. Bash splits words at `=`, so the word under
 * the cursor is taken from the line, and an answer is only what follows the `=`. */
#include <string.h>

#include "jobs/job.h"
#include "jobs/manual.h"

static const char head[] = "# Completion of testudo " TDO_VERSION " for bash, printed by: "
                           "testudo help bash\n# shellcheck shell=bash\n\n";

static const char tail[] =
    "# Answers of compgen, one a line, into COMPREPLY; each begins with $_testudo_head.\n"
    "_testudo_reply() {\n"
    "    local answer\n"
    "    while IFS= read -r answer; do\n"
    "        COMPREPLY+=(\"$_testudo_head$answer\")\n"
    "    done < <(compgen \"$@\")\n"
    "}\n"
    "\n"
    "_testudo() {\n"
    "    local line=${COMP_LINE:0:COMP_POINT} job=${COMP_WORDS[1]:-} _testudo_head='' values\n"
    "    local cur=${line##*[[:space:]]}\n"
    "    COMPREPLY=()\n"
    "    if [[ $COMP_CWORD -eq 1 ]]; then\n"
    "        _testudo_reply -W \"$_testudo_jobs\" -- \"$cur\"\n"
    "    elif [[ $cur == *=* ]]; then\n"
    "        [[ $COMP_WORDBREAKS == *=* ]] || _testudo_head=${cur%%=*}=\n"
    "        values=$(_testudo_values \"${cur%%=*}\")\n"
    "        cur=${cur#*=}\n"
    "        if [[ $values == '<file>' ]]; then\n"
    "            compopt -o filenames 2>/dev/null\n"
    "            _testudo_reply -f -- \"$cur\"\n"
    "        else\n"
    "            _testudo_reply -W \"$values\" -- \"$cur\"\n"
    "        fi\n"
    "    elif [[ -n $(_testudo_words \"$job\") ]]; then\n"
    "        _testudo_reply -W \"$(_testudo_words \"$job\")\" -- \"$cur\"\n"
    "    else\n"
    "        _testudo_reply -W \"$(_testudo_keys \"$job\" \"$cur\")\" -- \"$cur\"\n"
    "        _testudo_reply -f -X '!*.cfg' -- \"$cur\"\n"
    "        _testudo_reply -S / -d -- \"$cur\"\n"
    "        if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[=/] ]]; then\n"
    "            compopt -o nospace 2>/dev/null\n"
    "        fi\n"
    "    fi\n"
    "}\n"
    "complete -F _testudo testudo\n";

static void names(FILE *to, tdo_manual_names *name)
{
    for (int i = 0; name(i); i++) {
        fprintf(to, "%s%s", i ? " " : "", name(i));
    }
}

/* What the argument without `=` can be, where it is not a file. */
static void words_case(FILE *to)
{
    fputs("_testudo_jobs='", to);
    names(to, tdo_job_name);
    fputs("'\n\n# Words that job $1 takes.\n_testudo_words() {\n    case $1 in\n", to);
    for (int i = 0; tdo_job_table[i]; i++) {
        if (tdo_job_table[i]->words) {
            fprintf(to, "    %s) echo '", tdo_job_table[i]->name);
            names(to, tdo_job_table[i]->words);
            fputs("' ;;\n", to);
        }
    }
    fputs("    esac\n}\n\n", to);
}

/* Has a row before this one an option of that key? */
static bool seen_in_rows(const struct tdo_option_list *list, int row, const char *key)
{
    for (int i = 0; i < row; i++) {
        if (tdo_option_at(list->options(i), key) >= 0) {
            return true;
        }
    }
    return false;
}

static void row_keys(FILE *to, const struct tdo_option_list *list)
{
    fprintf(to, "    if [[ $2 =~ ^%s\\.[0-9]+\\. ]]; then\n        printf '%%s ' ", list->key);
    for (int i = 0; list->name(i); i++) {
        for (const struct tdo_option *o = list->options(i); o && o->key; o++) {
            if (!seen_in_rows(list, i, o->key)) {
                fprintf(to, "\"${BASH_REMATCH[0]}%s=\" ", o->key);
            }
        }
    }
    fputs("\n    fi\n", to);
}

static void keys_case(FILE *to)
{
    fputs("# Keys of job $1; $2 is what there is of the key.\n"
          "_testudo_keys() {\n    case $1 in\n",
          to);
    for (int i = 0; tdo_job_table[i]; i++) {
        const unsigned bit = tdo_job_table[i]->bit;
        fprintf(to, "    %s) printf '%%s ' '", tdo_job_table[i]->name);
        for (const struct tdo_option *o = tdo_job_schema.options; o->key; o++) {
            if (o->jobs & bit) {
                fprintf(to, "%s= ", o->key);
            }
        }
        for (const struct tdo_option_list *l = tdo_job_schema.lists; l->key; l++) {
            if (l->jobs & bit) {
                fprintf(to, "%s= ", l->key);
            }
        }
        fputs("' ;;\n", to);
    }
    fputs("    esac\n", to);
    for (const struct tdo_option_list *l = tdo_job_schema.lists; l->key; l++) {
        row_keys(to, l);
    }
    fputs("}\n\n", to);
}

/* What an option can be: its choices, the names that it is one of, a file, else its default. */
static void values(FILE *to, const struct tdo_option *o)
{
    if (o->type == TDO_OPTION_CHOICE) {
        for (const char *c = o->choices; *c; c++) {
            fputc(*c == '|' ? ' ' : *c, to);
        }
    } else if (o->type == TDO_OPTION_BOOL) {
        fputs("true false", to);
    } else if (o->type == TDO_OPTION_TEXT && tdo_manual_names_of(o->key)) {
        names(to, tdo_manual_names_of(o->key));
    } else if (o->type == TDO_OPTION_TEXT) {
        fputs("<file>", to);
    } else if (o->value) {
        fputs(o->value, to);
    }
}

/* Options of a row; a key that several rows have is answered by the first. */
static void row_values(FILE *to, const struct tdo_option_list *list, int row)
{
    for (const struct tdo_option *o = list->options(row); o && o->key; o++) {
        if (!seen_in_rows(list, row, o->key)) {
            fprintf(to, "    %s.*.%s) echo '", list->key, o->key);
            values(to, o);
            fputs("' ;;\n", to);
        }
    }
}

static void values_case(FILE *to)
{
    fputs("# Values of key $1.\n_testudo_values() {\n    case $1 in\n", to);
    for (const struct tdo_option *o = tdo_job_schema.options; o->key; o++) {
        fprintf(to, "    %s) echo '", o->key);
        values(to, o);
        fputs("' ;;\n", to);
    }
    for (const struct tdo_option_list *l = tdo_job_schema.lists; l->key; l++) {
        fprintf(to, "    %s) echo '", l->key);
        names(to, l->name);
        fputs("' ;;\n", to);
        for (int i = 0; l->name(i); i++) {
            row_values(to, l, i);
        }
    }
    fputs("    esac\n}\n\n", to);
}

void tdo_completion_print(FILE *to)
{
    fputs(head, to);
    words_case(to);
    keys_case(to);
    values_case(to);
    fputs(tail, to);
}
