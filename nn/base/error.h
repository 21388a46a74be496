#ifndef TDO_BASE_ERROR_H
#define TDO_BASE_ERROR_H
/* Errors: one list, one check, one message.
 *
 * A function that can fail returns a tdo_err and hands results out through pointers. The
 * place where things go wrong says so once, with TDO_FAIL: that records code, file, line,
 * function and a sentence (what was read, what was expected, which config key). Callers pass
 * the code on with TDO_TRY, or jump to their clean-up with TDO_GOTO. Whoever ends the program
 * prints the record (log.h); over several ranks, mpi/comm.h chooses the one rank that prints
 * it.
 *
 * The record is one per thread. Checks are never compiled out. TDO_ASSERT is for our own bugs
 * only; its argument must have no side effect. */

#define TDO_ERRORS(X)                                                                          \
    X(TDO_OK, "success")                                                                       \
    X(TDO_ERR_USAGE, "the command line is wrong")                                              \
    X(TDO_ERR_CONFIG, "a configuration value is missing or out of range")                      \
    X(TDO_ERR_FILE, "a file cannot be opened, read or written")                                \
    X(TDO_ERR_FORMAT, "a file does not hold what its format demands")                          \
    X(TDO_ERR_SHAPE, "shapes do not agree")                                                    \
    X(TDO_ERR_NUMERIC, "a result is not finite")                                               \
    X(TDO_ERR_MEMORY, "out of memory")                                                         \
    X(TDO_ERR_LIBRARY, "a library refused a call")                                             \
    X(TDO_ERR_COMM, "the ranks could not talk to each other")                                  \
    X(TDO_ERR_REMOTE, "another rank failed")                                                   \
    X(TDO_ERR_STOPPED, "stopped early, start again to go on")                                  \
    X(TDO_ERR_BUG, "a broken invariant, please report")

typedef enum {
#define X(id, text) id,
    TDO_ERRORS(X)
#undef X
        TDO_ERR_COUNT
} tdo_err;

#define TDO_MUST              __attribute__((warn_unused_result))
#define TDO_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

struct tdo_error_record {
    tdo_err code;
    int line;
    const char *file, *function; /* static strings */
    char message[1024];
};

/* Record an error at its origin and return its code, which is not TDO_OK. Use through TDO_FAIL. */
TDO_MUST tdo_err tdo_error_set(tdo_err code, const char *file, int line, const char *function,
                               const char *format, ...) TDO_PRINTF(5, 6);

/* The latest record of this thread; never NULL, code TDO_OK if there was none. Borrowed. */
const struct tdo_error_record *tdo_error_last(void);

/* Copy a record of another thread into this one (a worker's failure, seen by its master). */
void tdo_error_adopt(const struct tdo_error_record *record);

void tdo_error_clear(void);

/* The sentence of a code, a static string. */
const char *tdo_error_text(tdo_err code);

/* The program's exit code: 0 done, 2 wrong command line or config, 3 stopped early, 1 the
 * rest. */
int tdo_error_exit_code(tdo_err code);

/* Print a broken invariant and abort. Use through TDO_ASSERT. */
__attribute__((noreturn)) void tdo_error_bug(const char *file, int line, const char *condition);

/* What a function promises, for compilers and analysers that do not see its body. */
#define TDO_PROMISE(condition)                                                                 \
    do {                                                                                       \
        if (!(condition)) {                                                                    \
            __builtin_unreachable();                                                           \
        }                                                                                      \
    } while (0)

/* The promise of tdo_error_set: a failure is never TDO_OK. */
TDO_MUST static inline tdo_err tdo_error_never_ok_(tdo_err code)
{
    TDO_PROMISE(code != TDO_OK);
    return code;
}

#define TDO_FAIL(code, ...)                                                                    \
    tdo_error_never_ok_(tdo_error_set((code), __FILE__, __LINE__, __func__, __VA_ARGS__))

#define TDO_TRY(call)                                                                          \
    do {                                                                                       \
        tdo_err try_err_ = (call);                                                             \
        if (try_err_ != TDO_OK) {                                                              \
            return try_err_;                                                                   \
        }                                                                                      \
    } while (0)

/* For functions that own something: sets `err` and jumps to `done`. */
#define TDO_GOTO(call)                                                                         \
    do {                                                                                       \
        err = (call);                                                                          \
        if (err != TDO_OK) {                                                                   \
            goto done;                                                                         \
        }                                                                                      \
    } while (0)

#define TDO_ASSERT(condition)                                                                  \
    do {                                                                                       \
        if (!(condition)) {                                                                    \
            tdo_error_bug(__FILE__, __LINE__, #condition);                                     \
        }                                                                                      \
    } while (0)

#endif
