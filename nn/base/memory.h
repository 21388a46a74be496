#ifndef TDO_BASE_MEMORY_H
#define TDO_BASE_MEMORY_H
/* Memory: checked allocation with a fault injector, and an arena.
 *
 * tdo_memory_new fails with TDO_ERR_MEMORY and says how much was asked; it checks the product
 * for overflow and zeroes the block, which is aligned to 64 bytes. An arena hands out many
 * small blocks that are freed together (graph nodes, config values). */
#include <stddef.h>
#include <stdint.h>

#include "nn/base/error.h"

/* out is a `T **`; count * size bytes, zeroed. Owner: caller, free with tdo_memory_free. */
TDO_MUST tdo_err tdo_memory_new_(int64_t count, size_t size, void **out);
#define tdo_memory_new(count, out)                                                             \
    tdo_memory_new_((count), sizeof **(out), (void **)(void *)(out))

/* Grow *out from `old` to `count` elements, the new ones zeroed; *out is kept on failure. */
TDO_MUST tdo_err tdo_memory_grow_(int64_t old, int64_t count, size_t size, void **out);
#define tdo_memory_grow(old, count, out)                                                       \
    tdo_memory_grow_((old), (count), sizeof **(out), (void **)(void *)(out))

/* Free *out and set it to NULL; NULL is fine. */
void tdo_memory_free_(void **out);
#define tdo_memory_free(out) tdo_memory_free_((void **)(void *)(out))

/* For tests: let the k-th allocation from now fail (1 is the next); 0 switches it off. The
 * environment variable TESTUDO_FAIL_ALLOC=k does the same for a whole program
 * (TESTUDO_FAIL_RANK=r restricts it to one rank, under mpirun and under srun). */
void tdo_memory_fail_after(int64_t k);
/* How many allocations there have been. */
int64_t tdo_memory_count(void);
/* The most memory that this process ever held, in bytes of resident pages; those of files that
 * were read or written without mapping them do not count. */
int64_t tdo_memory_peak(void);
/* What it holds now; 0 where the system does not say. */
int64_t tdo_memory_now(void);

typedef struct tdo_arena tdo_arena;
TDO_MUST tdo_err tdo_arena_new(tdo_arena **out);
/* Zeroed bytes, aligned to 16, that live as long as the arena; NULL when memory is short or the
 * size is impossible (record is set). */
void *tdo_arena_get(tdo_arena *a, size_t bytes);
/* A copy of a string / a formatted string in the arena. */
char *tdo_arena_string(tdo_arena *a, const char *s);
char *tdo_arena_printf(tdo_arena *a, const char *format, ...) TDO_PRINTF(2, 3);
void tdo_arena_free(tdo_arena **a);

#endif
