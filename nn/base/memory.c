/* Checked allocation, its fault injector, and the arena. See memory.h. */
#include "nn/base/memory.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "nn/base/log.h"

enum { ALIGNMENT = 64 };

static atomic_llong counted;
static atomic_llong fail_at; /* the count at which to fail, 0 never */

void tdo_memory_fail_after(int64_t k)
{
    atomic_store(&fail_at, k > 0 ? atomic_load(&counted) + k : 0);
}

int64_t tdo_memory_count(void)
{
    return atomic_load(&counted);
}

int64_t tdo_memory_peak(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (int64_t)usage.ru_maxrss * 1024 : 0;
}

int64_t tdo_memory_now(void)
{
    char line[128]; /* pages: of the address space, resident, ... */
    long long resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f) {
        const char *second = fgets(line, sizeof line, f) ? strchr(line, ' ') : NULL;
        resident = second ? strtoll(second, NULL, 10) : 0;
        (void)fclose(f);
    }
    return (int64_t)resident * sysconf(_SC_PAGESIZE);
}

static void read_environment(void)
{
    static atomic_flag done = ATOMIC_FLAG_INIT;
    if (atomic_flag_test_and_set(&done)) {
        return;
    }
    const char *k = getenv("TESTUDO_FAIL_ALLOC"), *rank = getenv("TESTUDO_FAIL_RANK");
    const int me = tdo_log_launched_rank();
    if (k && (!rank || (me >= 0 && strtol(rank, NULL, 10) == me))) {
        tdo_memory_fail_after(strtoll(k, NULL, 10));
    }
}

tdo_err tdo_memory_new_(int64_t count, size_t size, void **out)
{
    *out = NULL;
    read_environment();
    size_t bytes = 0;
    long long now = atomic_fetch_add(&counted, 1) + 1;
    if (count < 0 || __builtin_mul_overflow((size_t)count, size, &bytes) ||
        bytes > PTRDIFF_MAX - ALIGNMENT || now == atomic_load(&fail_at)) {
        return TDO_FAIL(TDO_ERR_MEMORY, "out of memory: %lld elements of %zu bytes wanted",
                        (long long)count, size);
    }
    size_t rounded = (bytes + ALIGNMENT) & ~(size_t)(ALIGNMENT - 1); /* never zero */
    void *p = aligned_alloc(ALIGNMENT, rounded);
    if (!p) {
        return TDO_FAIL(TDO_ERR_MEMORY, "out of memory: %zu bytes wanted", bytes);
    }
    memset(p, 0, rounded);
    *out = p;
    return TDO_OK;
}

tdo_err tdo_memory_grow_(int64_t old, int64_t count, size_t size, void **out)
{
    void *bigger = NULL;
    TDO_TRY(tdo_memory_new_(count, size, &bigger));
    if (*out && old > 0) {
        memcpy(bigger, *out, (size_t)(old < count ? old : count) * size);
    }
    free(*out);
    *out = bigger;
    return TDO_OK;
}

void tdo_memory_free_(void **out)
{
    free(*out);
    *out = NULL;
}

struct block {
    struct block *next;
    size_t used, size;
    _Alignas(ALIGNMENT) unsigned char data[];
};

struct tdo_arena {
    struct block *first;
};

tdo_err tdo_arena_new(tdo_arena **out)
{
    return tdo_memory_new(1, out);
}

/* A new first block with room for `bytes`. */
static tdo_err arena_grow(tdo_arena *a, size_t bytes)
{
    void *p = NULL;
    struct block *b = NULL;
    size_t size = bytes > 65536 ? bytes : 65536;
    if (size > PTRDIFF_MAX - sizeof *b) {
        return TDO_FAIL(TDO_ERR_MEMORY, "out of memory: %zu bytes wanted", bytes);
    }
    TDO_TRY(tdo_memory_new_((int64_t)(sizeof *b + size), 1, &p));
    b = p;
    b->size = size;
    b->next = a->first;
    a->first = b;
    return TDO_OK;
}

void *tdo_arena_get(tdo_arena *a, size_t bytes)
{
    /* Rounded up, but never around: what is that large is refused by arena_grow. */
    size_t want = bytes <= SIZE_MAX - 15 ? (bytes + 15) & ~(size_t)15 : bytes;
    if ((!a->first || a->first->size - a->first->used < want) &&
        arena_grow(a, want) != TDO_OK) {
        return NULL;
    }
    void *p = a->first->data + a->first->used;
    a->first->used += want;
    return p;
}

char *tdo_arena_string(tdo_arena *a, const char *s)
{
    size_t n = strlen(s) + 1;
    char *copy = tdo_arena_get(a, n);
    return copy ? memcpy(copy, s, n) : NULL;
}

char *tdo_arena_printf(tdo_arena *a, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    char *text = tdo_arena_get(a, n < 0 ? SIZE_MAX : (size_t)n + 1); /* < 0: over INT_MAX */
    if (text) {
        vsnprintf(text, (size_t)n + 1, format, again);
    }
    va_end(again);
    va_end(args);
    return text;
}

void tdo_arena_free(tdo_arena **a)
{
    if (!*a) {
        return;
    }
    for (struct block *b = (*a)->first, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    tdo_memory_free(a);
}
