// Which of the builds of these kernels this CPU can run.

#include <cstdint>

// The x86-64 level by which a build is named: 4 has AVX-512, 3 has AVX2 and FMA, 0 is any CPU.
extern "C" int32_t rowmill_cpu_level() {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma"))
        return 4;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
        __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2"))
        return 3;
#endif
    return 0;
}
