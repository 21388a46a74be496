/* What libconfig gets wrong, found before it parses. See config_scan.h.
 *
 * One walk over the characters: comments and texts are stepped over, names too (a digit in one
 * opens no number), and what is left is numbers, includes and punctuation. */
#include "nn/base/config_scan.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/base/file.h"
#include "nn/base/memory.h"

enum {
    MAX_NUMBER = 64,    /* bytes of a number in text */
    MAX_INCLUDES = 10,  /* files inside files, as in libconfig */
    MAX_FILE = 16 << 20 /* bytes of a config file */
};

struct scan {
    const char *path; /* of the file, for messages */
    const char *at;
    int line, depth;
};

static tdo_err scan_text(const char *path, const char *text, int depth);

static tdo_err read_text(const char *path, char **text)
{
    int64_t bytes = 0;
    TDO_TRY(tdo_file_read(path, MAX_FILE, text, &bytes));
    if ((int64_t)strlen(*text) != bytes) {
        tdo_memory_free(text);
        return TDO_FAIL(TDO_ERR_CONFIG, "%s: not a config file: it holds a zero byte", path);
    }
    return TDO_OK;
}

/* Step over n bytes and count their lines. */
static void skip(struct scan *s, size_t n)
{
    for (; n > 0 && *s->at; n--) {
        s->line += *s->at++ == '\n';
    }
}

/* The length of the comment or string that starts here, -1 if it has no end, 0 if none does. */
static ptrdiff_t quiet_length(const char *at)
{
    if (*at == '#' || strncmp(at, "//", 2) == 0) {
        return (ptrdiff_t)strcspn(at, "\n");
    }
    if (strncmp(at, "/*", 2) == 0) {
        const char *end = strstr(at + 2, "*/");
        return end ? end + 2 - at : -1;
    }
    ptrdiff_t n = *at == '"';
    while (n > 0 && at[n] != '"') {
        if (at[n] == '\0' || (at[n] == '\\' && at[n + 1] == '\0')) {
            return -1;
        }
        n += at[n] == '\\' ? 2 : 1;
    }
    return n > 0 ? n + 1 : 0;
}

/* Check an integer literal; anything else that starts like a number is left to libconfig. */
static tdo_err scan_number(struct scan *s)
{
    char token[MAX_NUMBER], *end = NULL;
    size_t n = strspn(s->at, "+-");
    n += strspn(s->at + n, "0123456789abcdefABCDEFxXL.");
    snprintf(token, sizeof token, "%.*s", (int)(n < sizeof token ? n : sizeof token - 1),
             s->at);
    bool hex = token[0] == '0' && (token[1] == 'x' || token[1] == 'X');
    size_t digits = strcspn(token, "L");
    bool wide = token[digits] == 'L';
    errno = 0;
    long long value = strtoll(token, &end, hex ? 16 : 10);
    bool whole = end == token + digits && digits > 0;
    if (whole && errno != 0) {
        return TDO_FAIL(TDO_ERR_CONFIG, "%s:%d: the integer %s does not fit into 64 bits",
                        s->path, s->line, token);
    }
    if (whole && !wide && (value > INT_MAX || value < INT_MIN)) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "%s:%d: the integer %s is too large without an L behind it: write %sL",
                        s->path, s->line, token, token);
    }
    skip(s, n);
    return TDO_OK;
}

/* `@include "path"` at the start of a line. */
static tdo_err scan_include(struct scan *s)
{
    char path[PATH_MAX], *text = NULL;
    const char *from = strchr(s->at, '"');
    size_t gap = from ? (size_t)(from - s->at) : 0, n = from ? strcspn(from + 1, "\"\\\n") : 0;
    if (!from || strspn(s->at + 8, " \t") + 8 != gap || n == 0 || n >= sizeof path ||
        from[n + 1] != '"' || s->depth >= MAX_INCLUDES) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "%s:%d: expected @include \"path\", at most %d files inside each other",
                        s->path, s->line, MAX_INCLUDES);
    }
    snprintf(path, sizeof path, "%.*s", (int)n, from + 1);
    TDO_TRY(read_text(path, &text));
    tdo_err err = scan_text(path, text, s->depth + 1);
    tdo_memory_free(&text);
    skip(s, gap + n + 2);
    return err;
}

/* Check what starts here, and step over it. */
static tdo_err scan_one(struct scan *s)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ*";
    static const char others[] = "-_0123456789";
    ptrdiff_t quiet = quiet_length(s->at);
    if (quiet < 0) {
        return TDO_FAIL(TDO_ERR_CONFIG, "%s:%d: this %s has no end", s->path, s->line,
                        *s->at == '"' ? "text" : "comment");
    }
    if (quiet > 0) {
        skip(s, (size_t)quiet);
    } else if (strncmp(s->at, "@include", 8) == 0) {
        return scan_include(s);
    } else if (strchr("+-.0123456789", *s->at)) {
        return scan_number(s);
    } else if (strchr(letters, *s->at)) {
        while (*s->at && (strchr(letters, *s->at) || strchr(others, *s->at))) {
            skip(s, 1);
        }
    } else {
        skip(s, 1);
    }
    return TDO_OK;
}

static tdo_err scan_text(const char *path, const char *text, int depth)
{
    struct scan s = {.path = path, .at = text, .line = 1, .depth = depth};
    while (*s.at) {
        TDO_TRY(scan_one(&s));
    }
    return TDO_OK;
}

tdo_err tdo_config_scan(const char *path, char **text)
{
    TDO_TRY(read_text(path, text));
    tdo_err err = scan_text(path, *text, 0);
    if (err != TDO_OK) {
        tdo_memory_free(text);
    }
    return err;
}
