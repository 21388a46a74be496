/* Peak multiply-adds. See peak.h. */
#include "nn/kernels/peak.h"

#include "nn/base/log.h"

#if defined(__x86_64__)
#include <immintrin.h>

/* Sixteen chains hide the latency of two units. */
#define PEAK(name, isa, vector, set, fma, first, lanes)                                        \
    __attribute__((target(isa))) static double name(void)                                      \
    {                                                                                          \
        enum { TURNS = 300000, ROUNDS = 10, CHAINS = 16 };                                     \
        vector a[CHAINS];                                                                      \
        const vector b = set(0.999F), c = set(0.001F);                                         \
        double best = 0;                                                                       \
        for (int k = 0; k < CHAINS; k++) {                                                     \
            a[k] = set((float)k);                                                              \
        }                                                                                      \
        for (int round = 0; round < ROUNDS; round++) {                                         \
            const double begin = tdo_log_now();                                                \
            for (int i = 0; i < TURNS; i++) {                                                  \
                for (int k = 0; k < CHAINS; k++) {                                             \
                    a[k] = fma(a[k], b, c);                                                    \
                }                                                                              \
            }                                                                                  \
            const double rate =                                                                \
                2.0 * TURNS * CHAINS * (lanes) / (tdo_log_now() - begin) * 1e-9;               \
            best = rate > best ? rate : best;                                                  \
        }                                                                                      \
        for (int k = 1; k < CHAINS; k++) {                                                     \
            a[0] = fma(a[k], b, a[0]);                                                         \
        }                                                                                      \
        volatile float sink = first(a[0]);                                                     \
        (void)sink;                                                                            \
        return best;                                                                           \
    }
PEAK(peak_avx512, "avx512f", __m512, _mm512_set1_ps, _mm512_fmadd_ps, _mm512_cvtss_f32, 16)
PEAK(peak_avx2, "avx2,fma", __m256, _mm256_set1_ps, _mm256_fmadd_ps, _mm256_cvtss_f32, 8)

double tdo_peak_gflops(void)
{
    if (__builtin_cpu_supports("avx512f")) {
        return peak_avx512();
    }
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? peak_avx2() : 0;
}
#else
double tdo_peak_gflops(void)
{
    return 0;
}
#endif
