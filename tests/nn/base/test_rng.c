/* The generator against published vectors, the packing of its counter, the bits and the quality
 * of what is made from its words, and the permutation. */
#include "nn/base/rng.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "nn/base/memory.h"
#include "tests/runner.h"

static const double PI = 3.14159265358979323846;

/* FNV-1a over bytes: its result names a stream. */
static uint64_t hash(const void *data, size_t bytes)
{
    const unsigned char *c = data;
    uint64_t h = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < bytes; i++) {
        h = (h ^ c[i]) * UINT64_C(1099511628211);
    }
    return h;
}

static void philox_matches_published_vectors(void)
{
    static const uint32_t vector[][10] = {
        /* counter, key, output: kat_vectors of Random123 */
        {0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
        {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0x408f276d,
         0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
        {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0, 0xd16cfe09,
         0x94fdcceb, 0x5001e420, 0x24126ea1},
    };
    for (int i = 0; i < 3; i++) {
        uint32_t out[4];
        tdo_philox(vector[i], vector[i] + 4, out);
        CU_ASSERT_EQUAL(memcmp(out, vector[i] + 6, sizeof out), 0);
    }
}

static void words_are_philox_at_the_documented_counter(void)
{
    const struct tdo_stream s = {0xdeadbeef, 0xAB, 0xCDEF01};
    const struct tdo_key k = {UINT64_C(0x9876543210), 0xfedcba98, 0x765432, 0};
    const uint32_t key[2] = {0xdeadbeef, 0xCDEF01AB};
    const int64_t first[] = {0, 4, 4092, (INT64_C(1) << 34) - 2048};
    uint32_t out[2047], want[4];
    for (int f = 0; f < 4; f++) {
        tdo_rng_words(&s, &k, first[f], 2047, out);
        int wrong = 0;
        for (int i = 0; i < 2047; i++) {
            const uint32_t counter[4] = {(uint32_t)((first[f] + i) / 4), 0x76543210, 0xdcba9898,
                                         0x765432fe};
            tdo_philox(counter, key, want);
            wrong += out[i] != want[i % 4];
        }
        CU_ASSERT_EQUAL(wrong, 0);
    }
}

static void every_field_of_key_and_counter_changes_the_stream(void)
{
    struct tdo_stream s[8];
    struct tdo_key k[8];
    uint32_t out[8][4];
    for (int i = 0; i < 8; i++) {
        s[i] = (struct tdo_stream){1, TDO_PURPOSE_TEST, 0};
        k[i] = (struct tdo_key){0, 0, 0, 0};
    }
    s[1].seed = 2;
    s[2].purpose |= TDO_PURPOSE_REFINE;
    s[3].layer = 1;
    k[4].sample = UINT64_C(1) << 39;
    k[5].draw = UINT32_C(1) << 31;
    k[6].step = UINT32_C(1) << 23;
    k[7].sample = 1;
    for (int i = 0; i < 8; i++) {
        tdo_rng_words(&s[i], &k[i], 0, 4, out[i]);
        for (int j = 0; j < i; j++) {
            CU_ASSERT_NOT_EQUAL(memcmp(out[i], out[j], sizeof out[i]), 0);
        }
    }
}

static void the_purpose_of_a_key_takes_the_place_of_the_streams(void)
{
    static const struct {
        uint32_t stream, key, want;
    } cases[] = {
        {TDO_PURPOSE_ESTIMATE, 0, TDO_PURPOSE_ESTIMATE},
        {TDO_PURPOSE_ESTIMATE, TDO_PURPOSE_SELECT, TDO_PURPOSE_SELECT},
        {TDO_PURPOSE_ESTIMATE, TDO_PURPOSE_ESTIMATE, TDO_PURPOSE_ESTIMATE},
        {TDO_PURPOSE_ESTIMATE | TDO_PURPOSE_REFINE, 0,
         TDO_PURPOSE_ESTIMATE | TDO_PURPOSE_REFINE},
        {TDO_PURPOSE_ESTIMATE | TDO_PURPOSE_REFINE, TDO_PURPOSE_SELECT,
         TDO_PURPOSE_SELECT | TDO_PURPOSE_REFINE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct tdo_stream s = {7, cases[i].stream, 5};
        const struct tdo_key k = {11, 2, 3, cases[i].key};
        const uint32_t key[2] = {7, cases[i].want | 5 << 8},
                       counter[4] = {0, 11, 2 << 8, 3 << 8};
        uint32_t out[4], want[4];
        tdo_rng_words(&s, &k, 0, 4, out);
        tdo_philox(counter, key, want);
        CU_ASSERT_EQUAL(memcmp(out, want, sizeof out), 0);
    }
}

static void a_field_that_is_too_wide_is_refused_by_name(void)
{
    const struct tdo_stream s = {UINT32_MAX, 0xFF, 0xFFFFFF};
    const struct tdo_key k = {TDO_SAMPLE_BATCH, UINT32_MAX, 0xFFFFFF, 0};
    ASSERT_OK(tdo_rng_check(&s, &k));
    const struct tdo_stream purpose = {1, 256, 0}, layer = {1, 1, 1 << 24};
    const struct tdo_key sample = {UINT64_C(1) << 40, 0, 0, 0}, step = {0, 0, 1 << 24, 0};
    CU_ASSERT_EQUAL(tdo_rng_check(&purpose, &k), TDO_ERR_CONFIG);
    CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, "purpose"));
    const struct tdo_key wide = {0, 0, 0, 256};
    CU_ASSERT_EQUAL(tdo_rng_check(&s, &wide), TDO_ERR_CONFIG);
    CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, "purpose of the key"));
    CU_ASSERT_EQUAL(tdo_rng_check(&layer, &k), TDO_ERR_CONFIG);
    CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, "layer"));
    CU_ASSERT_EQUAL(tdo_rng_check(&s, &sample), TDO_ERR_CONFIG);
    CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, "sample"));
    CU_ASSERT_EQUAL(tdo_rng_check(&s, &step), TDO_ERR_CONFIG);
    CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, "step"));
}

enum { WHOLE = 6000 };

static void an_element_does_not_depend_on_first_and_n(void)
{
    static uint32_t w[WHOLE], w2[WHOLE];
    static float u[WHOLE], z[WHOLE], f2[WHOLE];
    const struct tdo_stream s = {3, TDO_PURPOSE_TEST, 1};
    const struct tdo_key k = {17, 4, 2, 0};
    tdo_rng_words(&s, &k, 0, WHOLE, w);
    tdo_rng_uniforms(&s, &k, 0, WHOLE, u);
    tdo_rng_normals(&s, &k, 0, WHOLE, z);
    int wrong = 0;
    for (int first = 0; first < 2100; first += 4 * (1 + first % 7)) {
        for (int n = 0; n < WHOLE - first; n += 1 + n / 3) {
            size_t bytes = 4 * (size_t)n;
            w2[n] = 99;
            f2[n] = 99.0F;
            tdo_rng_words(&s, &k, first, n, w2);
            wrong += memcmp(w2, w + first, bytes) != 0 || w2[n] != 99;
            tdo_rng_uniforms(&s, &k, first, n, f2);
            wrong += memcmp(f2, u + first, bytes) != 0;
            tdo_rng_normals(&s, &k, first, n, f2);
            wrong += memcmp(f2, z + first, bytes) != 0 || f2[n] < 99.0F;
        }
    }
    CU_ASSERT_EQUAL(wrong, 0);
}

static void the_streams_have_their_stored_bits(void)
{
    enum { N = 100000 };
    const struct tdo_stream s = {7, TDO_PURPOSE_TEST, 3};
    const struct tdo_key k = {UINT64_C(123456789012), 0x89abcdef, 0x123456, 0};
    static float f[N];
    static uint32_t w[N];
    tdo_rng_words(&s, &k, 0, N, w);
    CU_ASSERT_EQUAL(hash(w, sizeof w), UINT64_C(0x030cde32856a1f8e));
    tdo_rng_uniforms(&s, &k, 0, N, f);
    CU_ASSERT_EQUAL(hash(f, sizeof f), UINT64_C(0xbf915999e1028ef2));
    tdo_rng_normals(&s, &k, 0, N, f);
    CU_ASSERT_EQUAL(hash(f, sizeof f), UINT64_C(0xf396c2b856e7c9d8));
}

static void uniforms_are_the_upper_24_bits(void)
{
    enum { N = 4096 };
    const struct tdo_stream s = {8, TDO_PURPOSE_TEST, 0};
    const struct tdo_key k = {1, 2, 3, 0};
    static uint32_t w[N];
    static float u[N];
    tdo_rng_words(&s, &k, 0, N, w);
    tdo_rng_uniforms(&s, &k, 0, N, u);
    int wrong = 0;
    for (int i = 0; i < N; i++) {
        wrong += (double)u[i] * 16777216.0 != (double)(w[i] >> 8);
    }
    CU_ASSERT_EQUAL(wrong, 0);
}

/* The largest error of a pair against Box-Muller in double on the same words, and of its radius
 * relative to the exact one. */
static void pair_error(const uint32_t *w, const float *z, double *normal, double *radius)
{
    double r = sqrt(-2.0 * log((double)((w[0] >> 8) + 1) / 16777216.0));
    double angle = 2.0 * PI * (double)(w[1] >> 8) / 16777216.0;
    *normal = fmax(*normal, fabs((double)z[0] - r * cos(angle)));
    *normal = fmax(*normal, fabs((double)z[1] - r * sin(angle)));
    if (r > 0.0) {
        *radius = fmax(*radius, fabs(hypot((double)z[0], (double)z[1]) / r - 1.0));
    }
}

static void normals_are_box_muller_to_single_precision(void)
{
    enum { N = 1 << 16, TIMES = 32 };
    const struct tdo_stream s = {9, TDO_PURPOSE_TEST, 0};
    static uint32_t w[N];
    static float z[N];
    double normal = 0.0, radius = 0.0;
    for (uint32_t draw = 0; draw < TIMES; draw++) {
        const struct tdo_key k = {0, draw, 0, 0};
        tdo_rng_words(&s, &k, 0, N, w);
        tdo_rng_normals(&s, &k, 0, N, z);
        for (int i = 0; i < N; i += 2) {
            pair_error(w + i, z + i, &normal, &radius);
        }
    }
    CU_ASSERT_TRUE(normal < 1e-6);
    CU_ASSERT_TRUE(radius < 3e-7);
}

static void extreme_words_give_the_right_normals(void)
{
    /* where this stream holds the extreme radii and the angles between octants */
    static const struct {
        int64_t element;
        int word; /* 0 radius, 1 angle */
        uint32_t value;
    } at[] = {
        {9121196, 0, 0},         {25157292, 0, 0xffffff}, {138770768, 1, 0},
        {12998002, 1, 0x200000}, {45187052, 1, 0x400000}, {6650858, 1, 0x600000},
        {15821212, 1, 0x800000}, {31674380, 1, 0xa00000}, {32900532, 1, 0xc00000},
        {16767324, 1, 0xe00000}, {5948672, 1, 0xffffff},  {7372302, 1, 0x1fffff},
    };
    const struct tdo_stream s = {1, TDO_PURPOSE_TEST, 0};
    const struct tdo_key k = {0, 0, 0, 0};
    for (size_t i = 0; i < sizeof at / sizeof at[0]; i++) {
        uint32_t w[4];
        float z[4];
        int64_t first = at[i].element / 4 * 4, pair = at[i].element % 4;
        double normal = 0.0, radius = 0.0;
        tdo_rng_words(&s, &k, first, 4, w);
        tdo_rng_normals(&s, &k, first, 4, z);
        CU_ASSERT_EQUAL(w[pair + at[i].word] >> 8, at[i].value);
        pair_error(w + pair, z + pair, &normal, &radius);
        CU_ASSERT_TRUE(normal < 1e-6 && radius < 3e-7);
        if (i == 0) { /* sqrt(2 log 2^24), the largest there is */
            CU_ASSERT_DOUBLE_EQUAL(hypot((double)z[pair], (double)z[pair + 1]), 5.7681, 1e-4);
        }
        if (i == 1) { /* log 1 */
            CU_ASSERT_TRUE(z[pair] == 0.0F && z[pair + 1] == 0.0F);
        }
    }
}

static void normals_have_the_normal_distribution(void)
{
    enum { BINS = 64, N = 1 << 16, TIMES = 64 };
    const struct tdo_stream s = {10, TDO_PURPOSE_TEST, 0};
    static float z[N];
    double count[BINS] = {0}, sum = 0.0, square = 0.0, fourth = 0.0, lag[3] = {0};
    for (uint32_t sample = 0; sample < TIMES; sample++) {
        const struct tdo_key k = {sample, 5, 0, 0};
        tdo_rng_normals(&s, &k, 0, N, z);
        for (int i = 0; i < N; i++) {
            double x = (double)z[i];
            count[(int)(BINS * 0.5 * erfc(-x / sqrt(2.0)))]++;
            sum += x;
            square += x * x;
            fourth += x * x * x * x;
            for (int j = 1; j <= 3 && i + j < N; j++) {
                lag[j - 1] += x * (double)z[i + j];
            }
        }
    }
    const double total = (double)N * TIMES;
    double chi = 0.0;
    for (int b = 0; b < BINS; b++) {
        chi += pow(count[b] - total / BINS, 2.0) / (total / BINS);
    }
    CU_ASSERT_TRUE(chi > 25.0 && chi < 120.0); /* 63 degrees of freedom */
    /* five standard errors each */
    CU_ASSERT_DOUBLE_EQUAL(sum / total, 0.0, 5.0 / sqrt(total));
    CU_ASSERT_DOUBLE_EQUAL(square / total, 1.0, 5.0 * sqrt(2.0 / total));
    CU_ASSERT_DOUBLE_EQUAL(fourth / total, 3.0, 5.0 * sqrt(96.0 / total));
    for (int j = 0; j < 3; j++) {
        CU_ASSERT_DOUBLE_EQUAL(lag[j] / total, 0.0, 5.0 / sqrt(total));
    }
}

static void the_permutation_is_a_bijection(void)
{
    static const uint64_t size[] = {1, 2, 3, 4, 5, 16, 17, 1000, 60000, 65537};
    for (size_t s = 0; s < sizeof size / sizeof size[0]; s++) {
        unsigned char *seen = NULL;
        ASSERT_OK_FATAL(tdo_memory_new((int64_t)size[s], &seen));
        int wrong = 0;
        for (uint64_t i = 0; i < size[s]; i++) {
            uint64_t to = tdo_rng_permute(11, 3, size[s], i);
            if (to < size[s]) {
                wrong += seen[to]++ != 0;
            } else {
                wrong++;
            }
        }
        CU_ASSERT_EQUAL(wrong, 0);
        tdo_memory_free(&seen);
    }
}

static void the_permutation_reaches_past_32_bits(void)
{
    const uint64_t n = (UINT64_C(1) << 40) - 1;
    int wrong = 0, wide = 0;
    uint64_t last = n;
    for (uint64_t i = 0; i < 1000; i++) {
        uint64_t to = tdo_rng_permute(1, 1, n, n - 1 - i);
        wrong += to >= n || to == last;
        wide += to >> 39 != 0;
        last = to;
    }
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_TRUE(wide > 400 && wide < 600);
}

static void permutations_of_other_epochs_and_seeds_differ(void)
{
    int epoch = 0, seed = 0, still = 0;
    for (uint64_t i = 0; i < 1000; i++) {
        uint64_t to = tdo_rng_permute(1, 0, 1000, i);
        still += to == i;
        epoch += to == tdo_rng_permute(1, 1, 1000, i);
        seed += to == tdo_rng_permute(2, 0, 1000, i);
    }
    /* two random permutations agree in one place on average */
    CU_ASSERT_TRUE(still < 8 && epoch < 8 && seed < 8);
}

static void permutations_are_uniform_over_epochs(void)
{
    enum { EPOCHS = 24000 };
    /* all 24 orders of four; each is met 1000 times on average */
    double count[256] = {0}, chi = 0.0;
    for (uint32_t epoch = 0; epoch < EPOCHS; epoch++) {
        uint64_t code = 0;
        for (uint64_t i = 0; i < 4; i++) {
            code = code << 2 | tdo_rng_permute(5, epoch, 4, i);
        }
        count[code]++;
    }
    int met = 0;
    for (int c = 0; c < 256; c++) {
        met += count[c] > 0.0;
        chi += count[c] > 0.0 ? pow(count[c] - 1000.0, 2.0) / 1000.0 : 0.0;
    }
    CU_ASSERT_EQUAL(met, 24);
    CU_ASSERT_TRUE(chi < 60.0); /* 23 degrees of freedom */
    /* place of each of ten elements, where the walk leaves a set of 16 */
    double place[10][10] = {{0}};
    chi = 0.0;
    for (uint32_t epoch = 0; epoch < 10000; epoch++) {
        for (uint64_t i = 0; i < 10; i++) {
            place[i][tdo_rng_permute(6, epoch, 10, i)]++;
        }
    }
    for (int i = 0; i < 100; i++) {
        chi += pow(place[i / 10][i % 10] - 1000.0, 2.0) / 1000.0;
    }
    CU_ASSERT_TRUE(chi < 150.0); /* 81 degrees of freedom */
}

const char suite_name[] = "rng";
CU_TestInfo suite_tests[] = {
    {"Philox gives the published vectors", philox_matches_published_vectors},
    {"words are Philox at the documented counter", words_are_philox_at_the_documented_counter},
    {"every field of key and counter changes the stream",
     every_field_of_key_and_counter_changes_the_stream},
    {"the purpose of a key takes the place of the stream's",
     the_purpose_of_a_key_takes_the_place_of_the_streams},
    {"a field that is too wide is refused by name",
     a_field_that_is_too_wide_is_refused_by_name},
    {"an element does not depend on first and n", an_element_does_not_depend_on_first_and_n},
    {"the streams have their stored bits", the_streams_have_their_stored_bits},
    {"uniforms are the upper 24 bits", uniforms_are_the_upper_24_bits},
    {"normals are Box-Muller to single precision", normals_are_box_muller_to_single_precision},
    {"extreme words give the right normals", extreme_words_give_the_right_normals},
    {"normals have the normal distribution", normals_have_the_normal_distribution},
    {"the permutation is a bijection", the_permutation_is_a_bijection},
    {"the permutation reaches past 32 bits", the_permutation_reaches_past_32_bits},
    {"permutations of other epochs and seeds differ",
     permutations_of_other_epochs_and_seeds_differ},
    {"permutations are uniform over epochs", permutations_are_uniform_over_epochs},
    CU_TEST_INFO_NULL,
};
