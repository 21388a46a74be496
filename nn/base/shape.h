#ifndef TDO_BASE_SHAPE_H
#define TDO_BASE_SHAPE_H
/* Shapes: up to five dimensions, row-major, the last one contiguous. Images are N,H,W,C. */
#include <stdbool.h>
#include <stdint.h>

enum { TDO_MAX_RANK = 5 };

typedef struct {
    int rank;
    int zero; /* no padding: trimmed shapes can be compared by their bytes */
    int64_t dim[TDO_MAX_RANK];
} tdo_shape;

/* A shape from its dimensions: tdo_shape_of(4, n, h, w, c). */
#define TDO_SHAPE(...)                                                                         \
    ((tdo_shape){.rank = (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)),            \
                 .dim = {__VA_ARGS__}})

int64_t tdo_shape_count(const tdo_shape *s); /* number of elements; 1 for rank 0 */
tdo_shape tdo_shape_trim(tdo_shape s);       /* dimensions beyond the rank set to 0 */
bool tdo_shape_equal(const tdo_shape *a, const tdo_shape *b);
/* True if every dimension of `small` is 1 or that of `large`, at equal rank. */
bool tdo_shape_broadcasts(const tdo_shape *small, const tdo_shape *large);

struct tdo_shape_text {
    char s[96];
};
/* "[2,28,28,1]", by value, for messages: tdo_shape_print(&s).s */
struct tdo_shape_text tdo_shape_print(const tdo_shape *s);

#endif
