#ifndef TDO_BASE_CLONES_H
#define TDO_BASE_CLONES_H
/* One binary for every node: hot loops are compiled for several instruction sets and the loader
 * takes the best one that the processor has (function multiversioning).
 *
 * TDO_CLONES stands before such a function, TDO_INLINE before the helpers that must become part
 * of each version. Both change speed only: all versions compute the same bits (no contraction,
 * no re-association). The loader's choice runs before the sanitizers are ready, so under those,
 * and where the compiler lacks the attribute, there is only the plain version; -DTDO_CLONES=
 * asks for that. */

#if defined(__has_feature)
#define TDO_CLONES_HAS_FEATURE(x) __has_feature(x)
#else
#define TDO_CLONES_HAS_FEATURE(x) 0
#endif

#ifndef TDO_CLONES
#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__has_attribute) &&               \
    !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) &&  \
    !TDO_CLONES_HAS_FEATURE(address_sanitizer) && !TDO_CLONES_HAS_FEATURE(memory_sanitizer) && \
    !TDO_CLONES_HAS_FEATURE(thread_sanitizer)
#if __has_attribute(target_clones)
#define TDO_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#endif
#endif
#endif

#ifndef TDO_CLONES
#define TDO_CLONES
#endif

#define TDO_INLINE static inline __attribute__((always_inline))

#endif
