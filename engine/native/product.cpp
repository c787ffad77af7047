// The matrix product of a linear layer, x times the transpose of its weights.
//
// An output is one chain of sums over the inner dimension, in order, whatever the number of rows:
// batch invariance by construction, at any row count and on every CPU that fuses the multiplication
// and the addition. The weights are packed once into panels of PANEL outputs, each as the kernel
// reads it, dimension by dimension, so that no product packs them again.

#include "vector.h"

#include <algorithm>

namespace {

constexpr int VECTORS = 3;
constexpr int64_t PANEL = VECTORS * LANES;
constexpr int64_t ROWS = 128;  // of x that meet a panel while it is in the cache
#if defined(__AVX512F__)
constexpr int TOGETHER = 8;  // rows at a time: as many as there are registers for their sums
#else
constexpr int TOGETHER = 2;
#endif
constexpr int64_t AHEAD = 64;  // dimensions by which a panel is fetched before its use

// R rows of x meet a panel; the first `count` outputs are kept.
template <int R>
static INLINE void meet(const float* x, const float* panel, int64_t depth, float* out,
                        int64_t stride, int64_t count) {
    Floats sum[R][VECTORS] = {};
    for (int64_t k = 0; k < depth; k++) {
        Floats weight[VECTORS];
        for (int v = 0; v < VECTORS; v++) {
            weight[v] = load(panel + k * PANEL + v * LANES);
            __builtin_prefetch(panel + (k + AHEAD) * PANEL + v * LANES);
        }
        for (int row = 0; row < R; row++) {
            Floats value = splat(x[row * depth + k]);
            for (int v = 0; v < VECTORS; v++) sum[row][v] += value * weight[v];
        }
    }
    for (int row = 0; row < R; row++) {
        float whole[PANEL];
        for (int v = 0; v < VECTORS; v++) store(whole + v * LANES, sum[row][v]);
        std::copy_n(whole, count, out + row * stride);
    }
}

// All rows, R at a time as long as there are so many.
template <int R>
static INLINE void meet_all(const float* x, const float* panel, int64_t depth, float* out,
                            int64_t stride, int64_t count, int64_t num_rows) {
    int64_t row = 0;
    for (; row + R <= num_rows; row += R)
        meet<R>(x + row * depth, panel, depth, out + row * stride, stride, count);
    if constexpr (R > 1)
        meet_all<R - 1>(x + row * depth, panel, depth, out + row * stride, stride, count,
                        num_rows - row);
}

}  // namespace

// Outputs per panel, for those who pack the weights.
extern "C" int64_t rowmill_panel() { return PANEL; }

// out[num_rows, size] = x[num_rows, depth] times the packed weights.
extern "C" void rowmill_product(const float* x, const float* panels, float* out, int64_t num_rows,
                                int64_t depth, int64_t size, int32_t num_threads) {
    int64_t num_panels = (size + PANEL - 1) / PANEL, num_blocks = (num_rows + ROWS - 1) / ROWS;
#pragma omp parallel for num_threads(num_threads) schedule(dynamic)
    for (int64_t item = 0; item < num_panels * num_blocks; item++) {
        int64_t first = item / num_blocks * PANEL, row = item % num_blocks * ROWS;
        meet_all<TOGETHER>(x + row * depth, panels + first * depth, depth,
                           out + row * size + first, size, std::min(PANEL, size - first),
                           std::min(ROWS, num_rows - row));
    }
}
