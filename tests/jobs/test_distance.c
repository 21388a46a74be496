/* Nearest training images against a search over all pairs in double that knows nothing of products,
 * blocks and ranks; the same bits on any number of ranks. */
#include "jobs/evaluate/distance.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/base/memory.h"
#include "tests/mpi/runner.h"
#include "tests/nn/support.h"

const char suite_name[] = "distance";

/* Images in memory: `of` rows of size floats, or of 8-bit values. */
struct made {
    const float *f32;
    const uint8_t *u8;
};

static tdo_err read_made(const struct tdo_images *im, const int64_t *rows, int64_t n, void *x,
                         int32_t *y)
{
    const struct made *m = im->self;
    const int64_t size = tdo_images_pixels(im), bytes = tdo_images_row_bytes(im);
    for (int64_t i = 0; i < n; i++) {
        if (y) {
            y[i] = 0;
        }
        if (rows[i] < 0 || rows[i] >= im->rows) {
            return TDO_FAIL(TDO_ERR_FILE, "%s has no row %lld", im->from, (long long)rows[i]);
        }
        const void *from = im->u8 ? (const void *)(m->u8 + rows[i] * size)
                                  : (const void *)(m->f32 + rows[i] * size);
        memcpy((uint8_t *)x + i * bytes, from, (size_t)bytes);
    }
    return TDO_OK;
}

static struct tdo_images images(const char *name, const struct made *m, int64_t rows,
                                int64_t side)
{
    return (struct tdo_images){.rows = rows,
                               .height = side,
                               .width = side,
                               .channels = 1,
                               .u8 = m->u8 != NULL,
                               .from = name,
                               .skip = 1,
                               .count = rows,
                               .self = m,
                               .read = read_made};
}

/* n numbers in [0,1). */
static float *numbers(uint32_t seed, int64_t n)
{
    float *x = NULL;
    ASSERT_OK_FATAL(tdo_memory_new(n, &x));
    for (int64_t i = 0; i < n; i++) {
        x[i] = (float)((probe_number(seed, i) + 1) / 2);
    }
    return x;
}

static double pair(const float *a, const float *b, int64_t size)
{
    double sum = 0;
    for (int64_t p = 0; p < size; p++) {
        const double d = (double)a[p] - (double)b[p];
        sum += d * d;
    }
    return sum;
}

static double nearest(const float *point, const float *train, int64_t rows, int64_t size)
{
    double least = HUGE_VAL;
    for (int64_t j = 0; j < rows; j++) {
        const double d = pair(point, train + j * size, size);
        least = d < least ? d : least;
    }
    return least;
}

/* Every row of both sets; nearness within the roundings of one sum in double. */
static void compare(const float *point, int64_t points, const float *train, int64_t rows,
                    int64_t side)
{
    const int64_t size = side * side;
    const struct made a = {.f32 = point}, b = {.f32 = train};
    const struct tdo_images from = images("points", &a, points, side);
    const struct tdo_images to = images("train", &b, rows, side);
    int64_t *row = NULL;
    double *got = NULL;
    ASSERT_OK_FATAL(tdo_memory_new(points, &row));
    ASSERT_OK_FATAL(tdo_memory_new(points, &got));
    for (int64_t i = 0; i < points; i++) {
        row[i] = points - 1 - i;
    }
    ASSERT_OK(tdo_distance_nearest(runner_comm, &to, &from, row, points, NULL, got));
    for (int64_t i = 0; i < points; i++) {
        const double want = nearest(point + row[i] * size, train, rows, size);
        CU_ASSERT_TRUE(fabs(got[i] - want) <= 1e-13 * want);
    }
    tdo_memory_free(&row);
    tdo_memory_free(&got);
}

/* More rows than a block holds, more pixels than one f32 sum takes. */
static void test_all_pairs(void)
{
    static const struct {
        int64_t points, rows, side;
    } cases[] = {{7, 2500, 6}, {1100, 40, 5}, {5, 30, 50}, {3, 1, 3}, {4, 2, 8}};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        const int64_t size = cases[k].side * cases[k].side;
        float *a = numbers(1, cases[k].points * size), *b = numbers(2, cases[k].rows * size);
        compare(a, cases[k].points, b, cases[k].rows, cases[k].side);
        tdo_memory_free(&a);
        tdo_memory_free(&b);
    }
}

/* Training images that differ by less than f32 sums can tell: the product alone would pick any. */
static void test_near_ties(void)
{
    enum { SIDE = 40, SIZE = SIDE * SIDE, ROWS = 300, POINTS = 20 };
    float *point = numbers(3, POINTS * SIZE), *train = numbers(4, ROWS * SIZE);
    for (int j = 0; j < ROWS; j++) { /* all close to point j % POINTS, one pixel apart */
        memcpy(train + j * SIZE, point + j % POINTS * SIZE, SIZE * sizeof *train);
        train[j * SIZE + j] += 1e-4F * (float)(1 + (j * 7919) % ROWS);
    }
    compare(point, POINTS, train, ROWS, SIDE);
    tdo_memory_free(&point);
    tdo_memory_free(&train);
}

/* An image of the set is at distance 0, exactly, also where 8-bit values stand for it. */
static void test_zero(void)
{
    enum { SIDE = 9, SIZE = SIDE * SIDE, ROWS = 64 };
    static uint8_t u8[ROWS * SIZE];
    static float f32[ROWS * SIZE];
    int64_t row[ROWS];
    double got[ROWS];
    for (int i = 0; i < ROWS * SIZE; i++) {
        u8[i] = (uint8_t)(255 * (probe_number(5, i) + 1) / 2);
        f32[i] = (float)u8[i] / 255.0F;
    }
    const struct made a = {.f32 = f32}, b = {.u8 = u8};
    const struct tdo_images from = images("points", &a, ROWS, SIDE);
    const struct tdo_images to = images("train", &b, ROWS, SIDE);
    for (int i = 0; i < ROWS; i++) {
        row[i] = i * 5 % ROWS;
    }
    ASSERT_OK(tdo_distance_nearest(runner_comm, &to, &from, row, ROWS, NULL, got));
    for (int i = 0; i < ROWS; i++) {
        CU_ASSERT_EQUAL(got[i], 0);
    }
}

/* What a rank alone finds is what all of them find together. */
static void test_bits(void)
{
    enum { SIDE = 30, SIZE = SIDE * SIDE, ROWS = 200, POINTS = 50 };
    float *point = numbers(6, POINTS * SIZE), *train = numbers(7, ROWS * SIZE);
    const struct made a = {.f32 = point}, b = {.f32 = train};
    const struct tdo_images from = images("points", &a, POINTS, SIDE);
    int64_t row[POINTS];
    double all[POINTS], part[POINTS], least[POINTS];
    for (int i = 0; i < POINTS; i++) {
        row[i] = i;
        least[i] = HUGE_VAL;
    }
    const struct tdo_images whole = images("train", &b, ROWS, SIDE);
    ASSERT_OK(tdo_distance_nearest(runner_comm, &whole, &from, row, POINTS, NULL, all));
    for (int k = 0; k < 8; k++) { /* in eight sets of 25 */
        const struct made c = {.f32 = train + (int64_t)k * 25 * SIZE};
        const struct tdo_images some = images("part", &c, 25, SIDE);
        ASSERT_OK(tdo_distance_nearest(runner_comm, &some, &from, row, POINTS, NULL, part));
        for (int i = 0; i < POINTS; i++) {
            least[i] = part[i] < least[i] ? part[i] : least[i];
        }
    }
    CU_ASSERT_EQUAL(memcmp(all, least, sizeof all), 0);
    memcpy(part, all, sizeof part);
    tdo_comm_broadcast(runner_comm, part, (int64_t)sizeof part);
    CU_ASSERT_EQUAL(memcmp(all, part, sizeof all), 0);
    tdo_memory_free(&point);
    tdo_memory_free(&train);
}

static void test_refused(void)
{
    const float x[16] = {0};
    const struct made m = {.f32 = x};
    const struct tdo_images four = images("four", &m, 1, 4), two = images("two", &m, 4, 2);
    const struct tdo_images none = images("none", &m, 0, 2);
    const int64_t row[] = {0, 4};
    double got[2];
    CU_ASSERT_EQUAL(tdo_distance_nearest(runner_comm, &four, &two, row, 1, NULL, got),
                    TDO_ERR_CONFIG);
    CU_ASSERT_EQUAL(tdo_distance_nearest(runner_comm, &none, &two, row, 1, NULL, got),
                    TDO_ERR_CONFIG);
    CU_ASSERT_EQUAL(tdo_distance_nearest(runner_comm, &two, &two, row, 2, NULL, got),
                    TDO_ERR_FILE);
    ASSERT_OK(tdo_distance_nearest(runner_comm, &two, &two, row, 0, NULL, got));
}

CU_TestInfo suite_tests[] = {
    {"the nearest is that of a search over all pairs", test_all_pairs},
    {"near ties are told apart pixel by pixel", test_near_ties},
    {"an image of the set is at distance 0", test_zero},
    {"the same bits on any number of ranks, and for the set in parts", test_bits},
    {"other sizes, no training images and missing rows are errors on all ranks", test_refused},
    CU_TEST_INFO_NULL};
