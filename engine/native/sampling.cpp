// The last steps of the sampler's specification: running sums in vocabulary order, and the search.

#include "vector.h"

#include <algorithm>
#include <atomic>
#include <new>
#include <vector>

namespace {

constexpr int64_t TOGETHER = 8;  // rows whose sums are taken side by side: one waits for another
constexpr int64_t STRIDE = 64;   // every so many entries the running sum is kept

// The first index whose running sum exceeds `target`: the sums are taken again from the last one
// kept below it, by the same additions, so they are the same.
int64_t search(const float* weights, const double* kept, int64_t size, double target) {
    int64_t num_kept = (size + STRIDE - 1) / STRIDE;
    int64_t block = std::upper_bound(kept, kept + num_kept, target) - kept;
    if (block == num_kept) return size - 1;
    double sum = block ? kept[block - 1] : 0.0;
    for (int64_t i = block * STRIDE; i < size; i++) {
        sum += weights[i];
        if (sum > target) return i;
    }
    return size - 1;
}

template <int N>
static INLINE void draw(const float* weights, const double* uniforms, int64_t* tokens,
                        double* totals, int64_t size, double* kept) {
    int64_t num_kept = (size + STRIDE - 1) / STRIDE;
    double sum[N] = {};
    for (int64_t block = 0; block < num_kept; block++) {
        int64_t end = std::min(size, (block + 1) * STRIDE);
        for (int64_t i = block * STRIDE; i < end; i++)
            for (int row = 0; row < N; row++) sum[row] += weights[row * size + i];
        for (int row = 0; row < N; row++) kept[row * num_kept + block] = sum[row];
    }
    std::copy(sum, sum + N, totals);
    for (int row = 0; row < N; row++)
        tokens[row] = search(weights + row * size, kept + row * num_kept, size,
                             uniforms[row] * sum[row]);
}

}  // namespace

// Per row the first token at which the running sum of its weights exceeds uniform * total; the last
// one where none does, as where weights are NaN. And the total. Returns 1 where there was no memory
// for it, and `tokens` and `totals` are of no use; else 0.
extern "C" int32_t rowmill_draw(const float* weights, const double* uniforms, int64_t* tokens,
                                double* totals, int64_t num_rows, int64_t size,
                                int32_t num_threads) {
    int64_t num_groups = (num_rows + TOGETHER - 1) / TOGETHER;
    std::atomic<int32_t> is_out_of_memory{0};
#pragma omp parallel num_threads(num_threads)
    {
        std::vector<double> kept;
        try {
            kept.resize(TOGETHER * ((size + STRIDE - 1) / STRIDE));
        } catch (const std::bad_alloc&) {  // which must not leave a parallel region
            is_out_of_memory = 1;
        }
#pragma omp for schedule(dynamic)
        for (int64_t group = 0; group < num_groups; group++) {
            if (kept.empty()) continue;
            int64_t first = group * TOGETHER, row = first;
            if (first + TOGETHER <= num_rows) {
                draw<TOGETHER>(weights + first * size, uniforms + first, tokens + first,
                               totals + first, size, kept.data());
                row = num_rows;
            }
            for (; row < num_rows; row++)
                draw<1>(weights + row * size, uniforms + row, tokens + row, totals + row, size,
                        kept.data());
        }
    }
    return is_out_of_memory;
}
