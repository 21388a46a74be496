/* testudo check [config] [key=value ...]: before a long job waits in a queue.
 *
 * Reads the configuration as any job would, so a key or value that is wrong shows at once, and
 * prints it as it is resolved, a line `key=value` for each key that has a value: what scripts read.
 * Under a launcher it also says what the launcher made of it: ranks, nodes, cores. */
#include <inttypes.h>
#include <stdio.h>

#include "jobs/job.h"
#include "jobs/launch.h"
#include "nn/base/log.h"

enum { KEY = 256 };

static void print_object(const char *prefix, const tdo_json *object);

/* "prefix.key"; keys of the tables are far shorter than there is room. */
static void join(char name[KEY], const char *prefix, const char *key)
{
    int n = snprintf(name, KEY, "%s%s%s", prefix, prefix[0] ? "." : "", key);
    TDO_ASSERT(n > 0 && n < KEY);
}

/* A list of rows, or a list of values. */
static void print_array(const char *key, const tdo_json *array)
{
    char name[KEY], index[24];
    bool values = false;
    tdo_json *item = NULL;
    for (int64_t i = 0; tdo_json_at(array, i, &item); i++) {
        const char *text = NULL;
        double number = 0;
        if (tdo_json_is_object(item)) {
            snprintf(index, sizeof index, "%" PRId64, i);
            join(name, key, index);
            print_object(name, item);
        } else if (tdo_json_text_of(item, &text)) {
            printf("%s%s%s", i ? "" : key, i ? "," : "=", text);
        } else if (tdo_json_real(item, &number)) {
            printf("%s%s%.9g", i ? "" : key, i ? "," : "=", number);
        }
        values = values || !tdo_json_is_object(item);
        tdo_json_free(&item);
    }
    if (values) {
        putchar('\n');
    }
}

static void print_member(const char *name, const tdo_json *object, const char *key)
{
    const char *text = NULL;
    int64_t whole = 0;
    double real = 0;
    bool flag = false;
    tdo_json *inner = NULL;
    if (tdo_json_get_text(object, key, &text)) {
        printf("%s=%s\n", name, text);
    } else if (tdo_json_get_int(object, key, &whole)) {
        printf("%s=%" PRId64 "\n", name, whole);
    } else if (tdo_json_get_real(object, key, &real)) {
        printf("%s=%.9g\n", name, real);
    } else if (tdo_json_get_bool(object, key, &flag)) {
        printf("%s=%s\n", name, flag ? "true" : "false");
    } else if (tdo_json_get(object, key, &inner)) {
        if (tdo_json_is_object(inner)) {
            print_object(name, inner);
        } else {
            print_array(name, inner);
        }
        tdo_json_free(&inner);
    }
}

static void print_object(const char *prefix, const tdo_json *object)
{
    char name[KEY];
    const char *key = NULL;
    for (int64_t i = 0; tdo_json_key(object, i, &key); i++) {
        join(name, prefix, key);
        print_member(name, object, key);
    }
}

static tdo_err check(struct tdo_job_context *c)
{
    struct tdo_launch launch;
    tdo_json *config = NULL;
    tdo_launch_look(c->comm, &launch);
    tdo_log_root(TDO_LOG_INFO, "%d %s on %d %s, %d %s each", launch.ranks,
                 launch.ranks == 1 ? "rank" : "ranks", launch.nodes,
                 launch.nodes == 1 ? "node" : "nodes", launch.cores,
                 launch.cores == 1 ? "core" : "cores");
    tdo_launch_warn(c->comm, (int)tdo_config_int(c->config, "run.threads"));
    if (tdo_comm_rank(c->comm) != 0) {
        return TDO_OK;
    }
    TDO_TRY(tdo_config_json(c->config, TDO_JOB_ALL, &config));
    print_object("", config);
    tdo_json_free(&config);
    return TDO_OK;
}

const struct tdo_job tdo_job_check = {
    .name = "check",
    .help = "the configuration as it is resolved, and the ranks, nodes and cores of the launch",
    .word = "config",
    .bit = TDO_JOB_check,
    .run = check,
};
