#ifndef TDO_TESTS_JOBS_MADE_OUTCOMES_H
#define TDO_TESTS_JOBS_MADE_OUTCOMES_H
/* Outcomes made by hand, for the suites about them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "jobs/outcomes/outcomes.h"
#include "nn/base/memory.h"
#include "tests/runner.h"

/* Attacks on images 0, 3, 6, ... of ten classes; `attacks` is the list as JSON. */
static inline void made_about(struct tdo_outcomes *o, const char *data, const char *attacks)
{
    char text[4096];
    snprintf(text, sizeof text,
             "{\"model\":\"m\",\"network\":\"00\",\"precision\":\"f32\",\"data\":\"%s\","
             "\"split\":\"test\",\"skip\":3,\"images\":%lld,\"classes\":10,\"attacks\":%s}",
             data, (long long)o->images, attacks);
    ASSERT_OK_FATAL(tdo_json_parse(text, strlen(text), "made", &o->about));
    for (int a = 0; a < o->attacks; a++) {
        for (int64_t i = 0; i < o->images; i++) {
            *tdo_outcomes_at(o, a, i) = (struct tdo_outcome){
                .row = 3 * i, .target = -1, .draws = 1, .x2 = 1, .xinf = 1};
        }
    }
}

static inline struct tdo_outcomes made_outcomes(int count, int64_t images, const char *attacks)
{
    struct tdo_outcomes o;
    ASSERT_OK_FATAL(tdo_outcomes_new(count, images, &o));
    made_about(&o, "d", attacks);
    return o;
}

/* A fresh directory, and its end. */
static inline void made_dir(char dir[64])
{
    snprintf(dir, 64, "/tmp/testudo-outcomes-XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
}

static inline void made_remove(const char *dir)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf -- '%s'", dir);
    CU_ASSERT_EQUAL(system(command), 0);
}

#endif
