// Which of the builds of these kernels this CPU can run, and which one this is.

#include <cstdint>

#if defined(__AVX512F__)
#define LEVEL "v4"
#elif defined(__AVX2__)
#define LEVEL "v3"
#else
#define LEVEL "any"
#endif

#if defined(__clang__)
#define COMPILER "Clang " __clang_version__
#else
#define COMPILER "GCC " __VERSION__
#endif

// To be raised, here and in library.py, with every change of what a kernel takes: kernels that were
// built from older sources would read other memory than they are given.
extern "C" int32_t rowmill_interface() { return 1; }

// What may change a last bit: the instructions, and the compiler that chose them.
extern "C" const char* rowmill_build() { return LEVEL " " COMPILER; }

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
