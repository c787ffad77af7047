// What the sampler's filters keep, and the largest of a row's numbers. Every row is done alone.

#include "vector.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <new>
#include <vector>

namespace {

constexpr int DIGIT = 10;  // bits; weights, of at most 1.0, have three such digits
constexpr int BINS = 1 << DIGIT;

// Floats as integers in the same order; 0 and -0 are the same.
static INLINE uint32_t ordered(float value) {
    value += 0.0f;
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

static INLINE uint32_t bits_of(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

// The k-th largest of the values, digit by digit: the digit of it is found by counting, and the
// values with that digit are looked at further.
float kth_largest(const float* values, int64_t size, int64_t k, uint32_t* buffer) {
    constexpr int SHIFTS[] = {21, 10, 0};
    for (int64_t i = 0; i < size; i++) buffer[i] = ordered(values[i]);
    for (int shift : SHIFTS) {
        constexpr uint32_t LAST = (1 << 11) - 1;
        int32_t counts[LAST + 1] = {};
        for (int64_t i = 0; i < size; i++) counts[buffer[i] >> shift & LAST]++;
        uint32_t digit = LAST;
        for (; counts[digit] < k; digit--) k -= counts[digit];
        int64_t num_left = 0;
        for (int64_t i = 0; i < size; i++) {
            uint32_t value = buffer[i];
            buffer[num_left] = value;
            num_left += (value >> shift & LAST) == digit;
        }
        size = num_left;
    }
    uint32_t bits = buffer[0] & 0x80000000u ? buffer[0] & 0x7fffffffu : ~buffer[0];
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

// The weights but for those of 0, largest first: a radix sort. They are from 0 to 1, or NaN.
int64_t descending(const float* weights, int64_t size, float* sorted, float* buffer) {
    int32_t places[3][BINS] = {};
    int64_t num_found = 0;
    for (int64_t i = 0; i < size; i++) {
        sorted[num_found] = weights[i];
        num_found += weights[i] != 0.0f;
    }
    for (int64_t i = 0; i < num_found; i++)
        for (int digit = 0; digit < 3; digit++)
            places[digit][bits_of(sorted[i]) >> digit * DIGIT & (BINS - 1)]++;
    float *from = sorted, *to = buffer;
    for (int digit = 0; digit < 3; digit++) {
        int32_t* place = places[digit];
        int32_t so_far = 0;
        for (int bin = BINS - 1; bin >= 0; bin--) {
            int32_t count = place[bin];
            place[bin] = so_far;
            so_far += count;
        }
        for (int64_t i = 0; i < num_found; i++)
            to[place[bits_of(from[i]) >> digit * DIGIT & (BINS - 1)]++] = from[i];
        std::swap(from, to);
    }
    std::copy(from, from + num_found, sorted);
    return num_found;
}

// The first of the descending weights at which their running sum has the share of the whole.
float top_p_floor(const float* sorted, int64_t num_sorted, double share) {
    double total = 0.0, sum = 0.0;
    for (int64_t i = 0; i < num_sorted; i++) total += sorted[i];
    double target = share * total;
    for (int64_t i = 0; i < num_sorted; i++) {
        sum += sorted[i];
        if (sum >= target) return sorted[i];
    }
    return 0.0f;  // where weights are NaN
}

// Zeroes the weights whose values are below the floor.
void zero_below(const float* values, float floor, float* weights, int64_t size) {
    for (int64_t i = 0; i < size; i++) weights[i] = values[i] < floor ? 0.0f : weights[i];
}

// The indices of the largest scores, the largest first, the lowest index on ties.
void largest(const float* scores, int64_t size, int64_t* tokens, int64_t num_top) {
    int64_t num_found = 0;
    for (int64_t i = 0; i < size; i += LANES) {
        int64_t end = std::min(size, i + LANES);
        if (num_found == num_top && end == i + LANES) {
            Floats block = load(scores + i), least = splat(scores[tokens[num_top - 1]]);
            Ints is_above = block > least;
            int32_t any = 0;
            for (int lane = 0; lane < LANES; lane++) any |= is_above[lane];
            if (!any) continue;
        }
        for (int64_t token = i; token < end; token++) {
            bool is_full = num_found == num_top;
            if (is_full && !(scores[token] > scores[tokens[num_top - 1]])) continue;
            int64_t place = is_full ? num_top - 1 : num_found++;
            for (; place && scores[token] > scores[tokens[place - 1]]; place--)
                tokens[place] = tokens[place - 1];
            tokens[place] = token;
        }
    }
}

// Calls `work(row, buffers)` for every row, each thread with buffers of its own; 1 where there was
// no memory for them.
template <typename Number, typename Work>
int32_t for_rows(int64_t num_rows, int64_t buffer_size, int32_t num_threads, Work work) {
    std::atomic<int32_t> is_out_of_memory{0};
#pragma omp parallel num_threads(num_threads)
    {
        std::vector<Number> buffers;
        try {
            buffers.resize(buffer_size);
        } catch (const std::bad_alloc&) {  // which must not leave a parallel region
            is_out_of_memory = 1;
        }
#pragma omp for schedule(dynamic)
        for (int64_t row = 0; row < num_rows; row++)
            if (!buffers.empty()) work(row, buffers.data());
    }
    return is_out_of_memory;
}

}  // namespace

// In each row, the weights of values below the limit-th largest become 0; none does where the limit
// is the row's size or more. Returns 1 where there was no memory for it, else 0.
extern "C" int32_t rowmill_keep_top_k(const float* values, float* weights, const int64_t* limits,
                                      int64_t num_rows, int64_t size, int32_t num_threads) {
    return for_rows<uint32_t>(num_rows, size, num_threads, [=](int64_t row, uint32_t* buffer) {
        if (limits[row] >= size) return;
        const float* its = values + row * size;
        zero_below(its, kth_largest(its, size, limits[row], buffer), weights + row * size, size);
    });
}

// In each row the largest weights stay until their sum has the share of the whole, and those equal
// to the last of them; the others become 0. Nothing does where the share is 1 or more. Returns 1
// where there was no memory for it, else 0.
extern "C" int32_t rowmill_keep_top_p(float* weights, const double* shares, int64_t num_rows,
                                      int64_t size, int32_t num_threads) {
    return for_rows<float>(num_rows, 2 * size, num_threads, [=](int64_t row, float* buffers) {
        if (shares[row] >= 1.0) return;
        float* its = weights + row * size;
        int64_t num_sorted = descending(its, size, buffers, buffers + size);
        zero_below(its, top_p_floor(buffers, num_sorted, shares[row]), its, size);
    });
}

// Per row the `num_top` tokens of the largest scores, the largest first, the lowest token on ties.
extern "C" void rowmill_top_tokens(const float* scores, int64_t* tokens, int64_t num_rows,
                                   int64_t size, int64_t num_top, int32_t num_threads) {
#pragma omp parallel for num_threads(num_threads) schedule(dynamic)
    for (int64_t row = 0; row < num_rows; row++)
        largest(scores + row * size, size, tokens + row * num_top, num_top);
}
