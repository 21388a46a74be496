/* Crops and flips: every image that comes out is one of those that can, each of them about as
 * often as it should. */
#include <string.h>

#include "nn/augment.h"
#include "tests/runner.h"

const char suite_name[] = "augment";

enum { H = 3, W = 4, C = 2, PAD = 1, SHIFTS = 2 * PAD + 1, CASES = 2 * SHIFTS * SHIFTS };

/* Image values 1, 2, ...; black is 0. Case = (flip, dy, dx), by the definition: a window of the
 * padded image, then mirrored. */
static void expected(int number, float out[H * W * C])
{
    const int flip = number / (SHIFTS * SHIFTS);
    const int dy = number / SHIFTS % SHIFTS - PAD, dx = number % SHIFTS - PAD;
    for (int y = 0; y < H; y++) {
        for (int x = 0; x < W; x++) {
            for (int c = 0; c < C; c++) {
                const int fy = y + dy, fx = (flip ? W - 1 - x : x) + dx;
                const bool in = fy >= 0 && fy < H && fx >= 0 && fx < W;
                out[(y * W + x) * C + c] = in ? (float)((fy * W + fx) * C + c + 1) : 0;
            }
        }
    }
}

static int which(const float *out)
{
    float want[H * W * C];
    for (int k = 0; k < CASES; k++) {
        expected(k, want);
        if (memcmp(out, want, sizeof want) == 0) {
            return k;
        }
    }
    return -1;
}

static void counts(const struct tdo_augment *a, int draws, int count[CASES])
{
    float in[H * W * C], out[H * W * C];
    memset(count, 0, CASES * sizeof *count);
    for (int i = 0; i < H * W * C; i++) {
        in[i] = (float)(i + 1);
    }
    for (int i = 0; i < draws; i++) {
        const struct tdo_key key = {.sample = (uint64_t)(i % 100), .step = (uint32_t)(i / 100)};
        tdo_augment_image(a, &key, H, W, C, in, out);
        const int k = which(out);
        CU_ASSERT_TRUE_FATAL(k >= 0);
        count[k]++;
    }
}

/* 18,000 draws over 18 cases: 1000 each, standard deviation 31. */
static void every_case(void)
{
    int count[CASES];
    counts(&(struct tdo_augment){.pad = PAD, .flip = true, .seed = 3}, 1000 * CASES, count);
    for (int k = 0; k < CASES; k++) {
        CU_ASSERT_TRUE(count[k] > 850 && count[k] < 1150);
    }
}

static void one_of_two(void)
{
    int count[CASES];
    const int still = PAD * SHIFTS + PAD, mirrored = SHIFTS * SHIFTS + still;
    counts(&(struct tdo_augment){.flip = true}, 1000, count);
    CU_ASSERT_TRUE(count[still] > 400 && count[mirrored] > 400);
    CU_ASSERT_EQUAL(count[still] + count[mirrored], 1000);
    counts(&(struct tdo_augment){0}, 100, count);
    CU_ASSERT_EQUAL(count[still], 100);
}

CU_TestInfo suite_tests[] = {
    {"crops and flips come out as defined, all of them equally often", every_case},
    {"without a crop images are mirrored or stay as they are", one_of_two},
    CU_TEST_INFO_NULL,
};
