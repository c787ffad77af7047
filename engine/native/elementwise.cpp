// What a transformer does between its matrix products, one pass over memory each.
//
// A row's arithmetic is a fixed sequence, whatever the other rows are and however many threads.

#include "vector.h"

namespace {

// Work below this many floats is done faster by one thread than shared out.
constexpr int64_t WORTH_SHARING = 1 << 14;
constexpr float EPSILON = 1.1920929e-7f;  // torch's default for float32

// 1 / sqrt(mean of squares + EPSILON)
static INLINE float inverse_rms(const float* x, int64_t width) {
    Floats squares = {};
    int64_t i = 0;
    for (; i + LANES <= width; i += LANES) squares += load(x + i) * load(x + i);
    float sum = reduced_sum(squares);
    for (; i < width; i++) sum += x[i] * x[i];
    return 1.0f / std::sqrt(sum / (float)width + EPSILON);
}

static INLINE void norm(const float* x, float* out, int64_t width) {
    float scale = inverse_rms(x, width);
    for (int64_t i = 0; i < width; i++) out[i] = x[i] * scale;
}

static INLINE void add(float* x, const float* y, int64_t width) {
    for (int64_t i = 0; i < width; i++) x[i] += y[i];
}

// Rotate pairs (i, i + dim / 2) by minus the angle, then norm.
static INLINE void rotate_norm(float* x, const float* cos, const float* sin, int64_t dim) {
    int64_t half = dim / 2;
    for (int64_t i = 0; i < half; i++) {
        float left = x[i], right = x[i + half];
        x[i] = left * cos[i] + right * sin[i];
        x[i + half] = right * cos[i] - left * sin[i];
    }
    norm(x, x, dim);
}

static INLINE void relu_square(float* x, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        float positive = x[i] < 0 ? 0.0f : x[i];  // a NaN stays one
        x[i] = positive * positive;
    }
}

}  // namespace

// out = norm(x), row by row.
extern "C" void rowmill_norm(const float* x, float* out, int64_t num_rows, int64_t width,
                             int32_t num_threads) {
#pragma omp parallel for num_threads(num_threads) if (num_rows * width > WORTH_SHARING)
    for (int64_t row = 0; row < num_rows; row++) norm(x + row * width, out + row * width, width);
}

// x += y; out = norm(x), row by row.
extern "C" void rowmill_add_norm(float* x, const float* y, float* out, int64_t num_rows,
                                 int64_t width, int32_t num_threads) {
#pragma omp parallel for num_threads(num_threads) if (num_rows * width > WORTH_SHARING)
    for (int64_t row = 0; row < num_rows; row++) {
        add(x + row * width, y + row * width, width);
        norm(x + row * width, out + row * width, width);
    }
}

// Rotate and norm the first `num_heads` heads of each row in place; `cos` and `sin` are tables of
// dim / 2 per position.
extern "C" void rowmill_rotate_norm(float* x, int64_t stride, const int64_t* positions,
                                    const float* cos, const float* sin, int64_t num_rows,
                                    int64_t num_heads, int64_t dim, int32_t num_threads) {
#pragma omp parallel for num_threads(num_threads) if (num_rows * num_heads * dim > WORTH_SHARING)
    for (int64_t row = 0; row < num_rows; row++) {
        int64_t angles = positions[row] * (dim / 2);
        for (int64_t head = 0; head < num_heads; head++)
            rotate_norm(x + row * stride + head * dim, cos + angles, sin + angles, dim);
    }
}

// x = max(x, 0)^2 in place, row by row.
extern "C" void rowmill_relu_square(float* x, int64_t num_rows, int64_t width,
                                    int32_t num_threads) {
#pragma omp parallel for num_threads(num_threads) if (num_rows * width > WORTH_SHARING)
    for (int64_t row = 0; row < num_rows; row++) relu_square(x + row * width, width);
}
