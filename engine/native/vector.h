// Sixteen floats at a time, in arithmetic that is the same on every CPU that fuses multiplication
// and addition.
//
// Written in the vector extensions of GCC and Clang: the compiler maps a Floats onto whatever
// registers there are (one of AVX-512, two of AVX2, four of NEON), lane by lane, so which lanes are
// added to which does not depend on the machine.

#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#define INLINE inline __attribute__((always_inline))

constexpr int LANES = 16;

typedef float Floats __attribute__((vector_size(4 * LANES)));
typedef int32_t Ints __attribute__((vector_size(4 * LANES)));

static INLINE Floats load(const float* from) {
    Floats x;
    std::memcpy(&x, from, sizeof x);
    return x;
}

static INLINE void store(float* to, Floats x) { std::memcpy(to, &x, sizeof x); }

static INLINE Floats splat(float x) {
    return Floats{x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x};
}

static INLINE Floats largest(Floats a, Floats b) { return a > b ? a : b; }

static INLINE float reduced_sum(Floats x) {
    for (int half = LANES / 2; half; half /= 2)
        for (int lane = 0; lane < half; lane++) x[lane] += x[lane + half];
    return x[0];
}

static INLINE float reduced_max(Floats x) {
    for (int half = LANES / 2; half; half /= 2)
        for (int lane = 0; lane < half; lane++)
            x[lane] = x[lane] > x[lane + half] ? x[lane] : x[lane + half];
    return x[0];
}

// e^x for x <= 0, within two units in the last place; 0 below -87. The range is reduced to
// |r| <= ln(2) / 2 and a polynomial of degree 6 taken, as in Cephes' expf.
static INLINE Floats exp_of_negative(Floats x) {
    const Floats low = splat(-87.0f);
    Floats bounded = x < low ? low : x;
    const float round = 12582912.0f;  // 1.5 * 2^23: adding it leaves the nearest integer
    Floats shifted = bounded * 1.44269504088896341f + round;
    Floats n = shifted - round;
    Floats r = bounded - n * 0.693359375f;
    r = r + n * 2.12194440e-4f;
    Floats p = splat(1.9875691500e-4f);
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
    Ints exponent = __builtin_convertvector(n, Ints);
    Ints bits;
    std::memcpy(&bits, &p, sizeof bits);
    bits += exponent << 23;
    std::memcpy(&p, &bits, sizeof p);
    return x < low ? Floats{} : p;
}

// The hyperbolic tangent. Below 0.625 a polynomial, as in Cephes' tanhf, so that small numbers keep
// all their bits.
static INLINE Floats tanh_of(Floats x) {
    Floats size = x < 0.0f ? -x : x;
    Floats power = exp_of_negative(-2.0f * size);
    Floats large = (1.0f - power) / (1.0f + power);
    Floats square = x * x;
    Floats p = splat(-5.70498872745e-3f);
    p = p * square + 2.06390887954e-2f;
    p = p * square - 5.37397155531e-2f;
    p = p * square + 1.33314422036e-1f;
    p = p * square - 3.33332819422e-1f;
    return size < 0.625f ? p * square * x + x : (x < 0.0f ? -large : large);
}
