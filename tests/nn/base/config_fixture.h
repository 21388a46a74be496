#ifndef TDO_TESTS_CONFIG_FIXTURE_H
#define TDO_TESTS_CONFIG_FIXTURE_H
/* What the suites of options and of the config share: a small schema with every type of option
 * and two lists, a config over it, and "this file or argument is refused with these words". */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "nn/base/config.h"
#include "nn/base/file.h"
#include "nn/base/options.h"
#include "tests/runner.h"

enum { TRAIN = 1, CERTIFY = 2, PLAN = 4 };

static const struct tdo_option options[] = {
    {"run.dir", TDO_OPTION_TEXT, 0, 0, NULL, "", NULL, "where results go", TRAIN | CERTIFY, 0},
    {"run.seed", TDO_OPTION_INT, 0, 4294967295.0, NULL, "1", NULL, "seed of every draw",
     TRAIN | CERTIFY, 0},
    {"data.file", TDO_OPTION_TEXT, 0, 0, NULL, NULL, NULL, "the data set", TRAIN | PLAN, PLAN},
    {"train.batch", TDO_OPTION_INT, 1, 65536, NULL, "128", "rows", "size of a batch", TRAIN, 0},
    {"train.lr", TDO_OPTION_REAL, -HUGE_VAL, HUGE_VAL, NULL, "0.05", NULL, "learning rate",
     TRAIN, 0},
    {"train.noise", TDO_OPTION_CHOICE, 0, 0, "real|rounded|rounded2", "real", NULL, "noise law",
     TRAIN, 0},
    {"train.drop", TDO_OPTION_REALS, 0, 1000, NULL, "30,60.5", "epochs", "when lr drops", TRAIN,
     0},
    {"certify.n", TDO_OPTION_INT, 1, HUGE_VAL, NULL, "100000", "draws", "draws an image",
     CERTIFY, 0},
    {"certify.sigma", TDO_OPTION_REAL, 0.001, 16, NULL, "0.5", "pixels in 0..1", "noise level",
     CERTIFY, 0},
    {"certify.hash", TDO_OPTION_BOOL, 0, 0, NULL, "false", NULL, "hash the logits", CERTIFY, 0},
    {NULL, TDO_OPTION_INT, 0, 0, NULL, NULL, NULL, NULL, 0, 0}};

static const struct tdo_option gaussian_options[] = {
    {"sigma", TDO_OPTION_REAL, 0, 16, NULL, "0.25", "pixels in 0..1", "noise level", 0, 0},
    {"noise", TDO_OPTION_CHOICE, 0, 0, "real|rounded", "real", NULL, "noise law", 0, 0},
    {NULL, TDO_OPTION_INT, 0, 0, NULL, NULL, NULL, NULL, 0, 0}};
static const struct tdo_option adversarial_options[] = {
    {"steps", TDO_OPTION_INT, 1, 1000, NULL, "10", "steps", "attack steps", 0, 0},
    {"eps", TDO_OPTION_REAL, 0, 1, NULL, NULL, NULL, "radius", 0, 0}, /* required */
    {"weights", TDO_OPTION_REALS, 0, 1, NULL, "", NULL, "weights", 0, 0},
    {NULL, TDO_OPTION_INT, 0, 0, NULL, NULL, NULL, NULL, 0, 0}};

static const char *defense_name(int i)
{
    static const char *const names[] = {"gaussian", "brelu", "adversarial"};
    return i < 3 ? names[i] : NULL;
}

static const struct tdo_option *defense_options(int i)
{
    return i == 0 ? gaussian_options : i == 2 ? adversarial_options : NULL;
}

static const struct tdo_option_list lists[] = {
    {"defense", "what the network is trained with", TRAIN, defense_name, defense_options},
    {"plan.steps", "a list with a dot in its key", PLAN, defense_name, defense_options},
    {NULL, NULL, 0, NULL, NULL}};

static const struct tdo_schema schema = {options, lists};

static char path[64], other_path[64]; /* of config files, made by setup */

static inline void make_paths(void)
{
    if (!path[0]) {
        snprintf(path, sizeof path, "/tmp/testudo-options-%ld.cfg", (long)getpid());
        snprintf(other_path, sizeof other_path, "/tmp/testudo-included-%ld.cfg",
                 (long)getpid());
    }
}

static inline tdo_config *fresh(void)
{
    tdo_config *c = NULL;
    make_paths();
    ASSERT_OK_FATAL(tdo_config_new(&schema, &c));
    return c;
}

static inline tdo_err load(tdo_config *c, const char *text)
{
    ASSERT_OK_FATAL(tdo_file_write(path, text, (int64_t)strlen(text)));
    tdo_err err = tdo_config_load(c, path);
    unlink(path);
    return err;
}

/* The text is refused with TDO_ERR_CONFIG at that line of the file, and the message holds both
 * parts. */
static inline bool file_refused(const char *text, int line, const char *a, const char *b)
{
    char place[100];
    tdo_config *c = fresh();
    tdo_err err = load(c, text);
    const char *m = tdo_error_last()->message;
    snprintf(place, sizeof place, "%s:%d: ", path, line);
    bool ok = err == TDO_ERR_CONFIG && strncmp(m, place, strlen(place)) == 0 && strstr(m, a) &&
              strstr(m, b) && !strchr(m, '\n');
    if (!ok) {
        fprintf(stderr, "code %d, message '%s', wanted %d: '%s' '%s'\n", (int)err, m, line, a,
                b);
    }
    tdo_config_free(&c);
    return ok;
}

static inline bool argument_refused(tdo_config *c, const char *argument, const char *a,
                                    const char *b)
{
    tdo_err err = tdo_config_set(c, argument);
    const char *m = tdo_error_last()->message;
    bool ok = err == TDO_ERR_CONFIG && strncmp(m, "command line: ", 14) == 0 && strstr(m, a) &&
              strstr(m, b);
    if (!ok) {
        fprintf(stderr, "code %d, message '%s', wanted '%s' '%s'\n", (int)err, m, a, b);
    }
    return ok;
}

#endif
