// A tile of keys, turned so that a vector holds one dimension of LANES keys.

#pragma once

#include "vector.h"

constexpr int TILE = 64;  // keys
constexpr int TILE_VECTORS = TILE / LANES;

// `to[d * TILE + key] = from[key * dim + d]` for LANES keys and dimensions.
static INLINE void transpose_block(const float* from, int64_t dim, float* to) {
    Floats row[LANES], next[LANES];
    for (int i = 0; i < LANES; i++) row[i] = load(from + i * dim);
    for (int i = 0; i < LANES; i += 2) {
        next[i] = __builtin_shufflevector(row[i], row[i + 1], 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10,
                                          26, 12, 28, 14, 30);
        next[i + 1] = __builtin_shufflevector(row[i], row[i + 1], 1, 17, 3, 19, 5, 21, 7, 23, 9, 25,
                                              11, 27, 13, 29, 15, 31);
    }
    for (int i = 0; i < LANES; i += 4)
        for (int j = i; j < i + 2; j++) {
            row[j] = __builtin_shufflevector(next[j], next[j + 2], 0, 1, 16, 17, 4, 5, 20, 21, 8, 9,
                                             24, 25, 12, 13, 28, 29);
            row[j + 2] = __builtin_shufflevector(next[j], next[j + 2], 2, 3, 18, 19, 6, 7, 22, 23,
                                                 10, 11, 26, 27, 14, 15, 30, 31);
        }
    for (int i = 0; i < LANES; i += 8)
        for (int j = i; j < i + 4; j++) {
            next[j] = __builtin_shufflevector(row[j], row[j + 4], 0, 1, 2, 3, 16, 17, 18, 19, 8, 9,
                                              10, 11, 24, 25, 26, 27);
            next[j + 4] = __builtin_shufflevector(row[j], row[j + 4], 4, 5, 6, 7, 20, 21, 22, 23, 12,
                                                  13, 14, 15, 28, 29, 30, 31);
        }
    for (int j = 0; j < 8; j++) {
        store(to + j * TILE, __builtin_shufflevector(next[j], next[j + 8], 0, 1, 2, 3, 4, 5, 6, 7,
                                                     16, 17, 18, 19, 20, 21, 22, 23));
        store(to + (j + 8) * TILE,
              __builtin_shufflevector(next[j], next[j + 8], 8, 9, 10, 11, 12, 13, 14, 15, 24, 25,
                                      26, 27, 28, 29, 30, 31));
    }
}

// The first `num_blocks` blocks of keys: `to[d * TILE + key] = from[key * dim + d]`.
static INLINE void transpose(const float* from, int64_t num_blocks, int64_t dim, float* to) {
    int64_t num_keys = num_blocks * LANES, d = 0;
    for (int64_t key = 0; key < num_keys; key += LANES)
        for (d = 0; d + LANES <= dim; d += LANES)
            transpose_block(from + key * dim + d, dim, to + d * TILE + key);
    for (; d < dim; d++)
        for (int64_t key = 0; key < num_keys; key++) to[d * TILE + key] = from[key * dim + d];
}
