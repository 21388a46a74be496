/* The error record of each thread, and the words for it. See error.h. */
#include "nn/base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static _Thread_local struct tdo_error_record last;

tdo_err tdo_error_set(tdo_err code, const char *file, int line, const char *function,
                      const char *format, ...)
{
    TDO_ASSERT(code != TDO_OK);
    last.code = code;
    last.file = file;
    last.line = line;
    last.function = function;
    va_list args;
    va_start(args, format);
    vsnprintf(last.message, sizeof last.message, format, args);
    va_end(args);
    return code;
}

const struct tdo_error_record *tdo_error_last(void)
{
    return &last;
}

void tdo_error_adopt(const struct tdo_error_record *record)
{
    last = *record;
}

void tdo_error_clear(void)
{
    last = (struct tdo_error_record){.code = TDO_OK};
}

const char *tdo_error_text(tdo_err code)
{
    static const char *const text[] = {
#define X(id, sentence) [id] = (sentence),
        TDO_ERRORS(X)
#undef X
    };
    return code >= 0 && code < TDO_ERR_COUNT ? text[code] : "unknown error";
}

int tdo_error_exit_code(tdo_err code)
{
    switch (code) {
    case TDO_OK:
        return 0;
    case TDO_ERR_USAGE:
    case TDO_ERR_CONFIG:
        return 2;
    case TDO_ERR_STOPPED:
        return 3;
    default:
        return 1;
    }
}

void tdo_error_bug(const char *file, int line, const char *condition)
{
    fprintf(stderr, "testudo: bug at %s:%d: %s does not hold\n", file, line, condition);
    abort();
}
