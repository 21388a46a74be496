/* The inner loop of a certification, alone: noise, forward pass, argmax, count.
 *
 *   certify_loop [model] [batch] [seconds]      resnet20 64 5
 *
 * Random weights and one image; prints samples a second, the share of the noise, GFLOP/s beside
 * the core's measured FMA peak, and every node's time. A benchmark, not a test. */
#include <immintrin.h>
#include <stdio.h>
#include <stdlib.h>

#include "defenses/noise.h"
#include "nn/base/log.h"
#include "nn/graph/plan.h"
#include "nn/kernels/threads.h"
#include "nn/models/models.h"

/* Multiply-adds of one core: 16 independent chains of vectors. */
#define PEAK(name, isa, vector, set, fma, first, lanes)                                        \
    __attribute__((target(isa))) static double name(void)                                      \
    {                                                                                          \
        enum { TURNS = 1000000, CHAINS = 16 };                                                 \
        vector a[CHAINS];                                                                      \
        const vector b = set(0.999F), c = set(0.001F);                                         \
        double best = 0;                                                                       \
        for (int k = 0; k < CHAINS; k++) {                                                     \
            a[k] = set((float)k);                                                              \
        }                                                                                      \
        for (int round = 0; round < 50; round++) {                                             \
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

static double fma_peak(void)
{
    return __builtin_cpu_supports("avx512f") ? peak_avx512() : peak_avx2();
}

static tdo_err measure(const char *name, int64_t batch, double seconds)
{
    const struct tdo_model *m = tdo_model_find(name);
    if (!m) {
        return TDO_FAIL(TDO_ERR_USAGE, "no model is called %s", name);
    }
    const struct tdo_model_spec spec = {.height = m->usual[0],
                                        .width = m->usual[1],
                                        .channels = m->usual[2],
                                        .classes = 10,
                                        .shortcut = 'B'};
    const int64_t pixels = spec.height * spec.width * spec.channels;
    static struct tdo_build b;
    tdo_graph *g = NULL;
    tdo_params *params = NULL;
    tdo_rounded *table = NULL;
    tdo_plan *plan = NULL;
    tdo_err err = TDO_OK;
    TDO_GOTO(tdo_graph_new(&g));
    TDO_GOTO(tdo_params_new(&params));
    TDO_GOTO(tdo_rounded_new(0.25, &table));
    b = (struct tdo_build){.g = g, .params = params, .norm = TDO_NORM_RUNNING};
    tdo_node raw =
        tdo_op_input(g, "raw", TDO_SHAPE(batch, spec.height, spec.width, spec.channels));
    tdo_node keys = tdo_op_key(g, "keys", batch);
    const struct tdo_noise noise = {.law = TDO_NOISE_ROUNDED,
                                    .sigma = 0.25,
                                    .stream = {.seed = 1, .purpose = TDO_PURPOSE_ESTIMATE},
                                    .table = table};
    tdo_node x = tdo_noise_add(g, &noise, raw, true, keys);
    tdo_node logits = tdo_model_build(&b, m, &spec, x);
    TDO_GOTO(tdo_graph_check(g));
    TDO_GOTO(tdo_params_init(params, 1));
    const struct tdo_plan_options o = {
        .fast = true, .param = tdo_params_for_plan, .context = params};
    TDO_GOTO(tdo_plan_new(g, 1, &logits, &o, &plan));
    float *input = tdo_plan_input(plan, raw);
    struct tdo_key *key = tdo_plan_input(plan, keys);
    for (int64_t i = 0; i < batch * pixels; i++) {
        input[i] = (float)(i % pixels % 251);
    }
    int64_t samples = 0, votes[10] = {0};
    TDO_GOTO(tdo_plan_run(plan));
    const double begin = tdo_log_now();
    while (tdo_log_now() - begin < seconds) {
        for (int64_t i = 0; i < batch; i++) {
            key[i].draw = (uint32_t)samples++;
        }
        TDO_GOTO(tdo_plan_run(plan));
        const float *z = tdo_plan_output(plan, 0);
        for (int64_t i = 0; i < batch; i++) {
            int best = 0;
            for (int k = 1; k < 10; k++) {
                best = z[10 * i + k] > z[10 * i + best] ? k : best;
            }
            votes[best]++;
        }
    }
    printf("%s, batch %lld: %.0f samples/s\n", name, (long long)batch,
           (double)samples / (tdo_log_now() - begin));
    tdo_plan_time(plan, true);
    for (int i = 0; i < 50; i++) {
        TDO_GOTO(tdo_plan_run(plan));
    }
    tdo_plan_print(plan, stdout);
done:
    tdo_plan_free(&plan);
    tdo_rounded_free(&table);
    tdo_params_free(&params);
    tdo_graph_free(&g);
    return err;
}

int main(int argc, char **argv)
{
    tdo_threads_set(1);
    printf("FMA peak of this core: %.0f GFLOP/s\n", fma_peak());
    tdo_err err = measure(argc > 1 ? argv[1] : "resnet20", argc > 2 ? atoll(argv[2]) : 64,
                          argc > 3 ? atof(argv[3]) : 5);
    if (err != TDO_OK) {
        tdo_log_error();
    }
    return tdo_error_exit_code(err);
}
