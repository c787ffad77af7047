// Attention of a step: every token of the flat batch attends to the keys of its own sequence.
//
// A query's arithmetic is a fixed sequence: its sequence's shared keys (the prompt), then its own
// (what the row has generated), in tiles of TILE keys that start at multiples of TILE, with a
// running maximum and sum (online softmax; Milakov and Gimelshein, arXiv 1805.02867). Neighbours
// share only the loading of keys. So its bits depend on its own keys and on nothing else.
//
// Queries that read the same shared keys come in groups: a prompt is read once for all its rows. The
// shared keys lie in pages of a tile each, anywhere in memory, so that prompts that begin alike can
// have pages in common.
//
// Under a window a query passes the tiles that are wholly before it, and the first that is not is
// masked. The tiles stay where they are, so a window that hides nothing changes no bits.

#include "tile.h"

#include <algorithm>
#include <atomic>
#include <new>
#include <optional>
#include <vector>

namespace {

constexpr int TOGETHER = 4;  // queries whose sums are kept in registers at once

struct Shape {
    int64_t num_heads, num_kv_heads, head_dim;
    int64_t q_stride, k_stride, v_stride;  // floats from token to token
    int64_t window;                        // a query sees so many keys at most, the newest ones
    float scale, softcap;                  // no cap where it is 0
};

// Keys, in one layer, of a tile or of a sequence: token after token for each key/value head; values
// alike, at `values` floats from the keys. There is room for a multiple of LANES tokens: keys are
// loaded so many at a time, and those beyond the ones that are there are left out by selection.
struct Keys {
    float* first;
    int64_t head_stride, values;
};

// A query of the batch and the keys before it: the first `num_shared` of its group's, and `num_own`
// of its own, the newest included. Which of them it sees is the window's matter.
struct Query {
    int64_t token, num_shared, num_own;
    float* own;
    int64_t own_head_stride, own_values, own_layer_stride;
};

// Queries `first` to `first + count` read the same shared keys: page n has those of tile n.
struct Group {
    int64_t first, count;
    float* const* pages;
    int64_t head_stride, values, layer_stride;
};

static INLINE Keys keys_of(const Group& group, int64_t tile, int64_t layer) {
    return {group.pages[tile] + layer * group.layer_stride, group.head_stride, group.values};
}

static INLINE Keys own_keys_of(const Query& query, int64_t layer) {
    return {query.own + layer * query.own_layer_stride, query.own_head_stride, query.own_values};
}

// Keys `begin` to `end` of some.
struct Span {
    int64_t begin, end;
    bool is_empty() const { return begin >= end; }
};

// Those of a group's keys, and of a query's own, that the query sees.
static INLINE Span seen_shared(const Query& query, int64_t window) {
    return {std::max<int64_t>(query.num_shared + query.num_own - window, 0), query.num_shared};
}

static INLINE Span seen_own(const Query& query, int64_t window) {
    return {std::max<int64_t>(query.num_own - window, 0), query.num_own};
}

// The running state of one query head.
struct State {
    float maximum;
    float sums[LANES];  // of the weights, by lane
};

// Buffers of one thread, for queries of width `width` (head_dim rounded up to whole vectors). All
// that a kernel allocates is allocated here: std::bad_alloc must not leave a parallel region.
struct Scratch {
    int64_t width;
    std::vector<float> keys, values, queries, weights, sums;
    std::vector<State> states;
    std::vector<Span> seen;

    Scratch(int64_t head_dim, int64_t most_queries)
        : width((head_dim + LANES - 1) / LANES * LANES),
          keys(width * TILE),
          values(width * TILE),
          queries(most_queries * width),
          weights(TOGETHER * TILE),
          sums(most_queries * width),
          states(most_queries),
          seen(most_queries) {}
};

// Scores of N queries with the keys of a tile: one after the other, dimension by dimension.
template <int N, int B>
static INLINE void score(const float* queries, int64_t width, int64_t dim, const float* keys,
                         float* scores) {
    Floats sum[N][B] = {};
    for (int64_t d = 0; d < dim; d++) {
        Floats key[B];
        for (int c = 0; c < B; c++) key[c] = load(keys + d * TILE + c * LANES);
        for (int i = 0; i < N; i++) {
            Floats x = splat(queries[i * width + d]);
            for (int c = 0; c < B; c++) sum[i][c] += x * key[c];
        }
    }
    for (int i = 0; i < N; i++)
        for (int c = 0; c < B; c++) store(scores + i * TILE + c * LANES, sum[i][c]);
}

template <int N>
static INLINE void score_blocks(int64_t num_blocks, const float* queries, int64_t width,
                                int64_t dim, const float* keys, float* scores) {
    switch (num_blocks) {
        case 1: return score<N, 1>(queries, width, dim, keys, scores);
        case 2: return score<N, 2>(queries, width, dim, keys, scores);
        case 3: return score<N, 3>(queries, width, dim, keys, scores);
        default: return score<N, 4>(queries, width, dim, keys, scores);
    }
}

static INLINE void cap(float* scores, int64_t num_blocks, float softcap) {
    for (int64_t c = 0; c < num_blocks; c++)
        store(scores + c * LANES, softcap * tanh_of(load(scores + c * LANES) / softcap));
}

// Turn one query's scores into weights, 0 but for the keys seen; returns what its sums shrink by.
static INLINE float weigh(float* scores, Span seen, State& state) {
    const Ints lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const Floats hidden = splat(-INFINITY);
    std::fill_n(scores, seen.begin, -INFINITY);
    Floats x[TILE_VECTORS], top = hidden;
    for (int c = 0; c < TILE_VECTORS; c++) {
        x[c] = load(scores + c * LANES);
        x[c] = lane + c * LANES < (int32_t)seen.end ? x[c] : hidden;
        top = largest(top, x[c]);
    }
    float maximum = std::max(state.maximum, reduced_max(top));
    float shrink = exp_of_negative(splat(state.maximum - maximum))[0];
    Floats sums = load(state.sums) * shrink;
    for (int c = 0; c < TILE_VECTORS; c++) {
        x[c] = exp_of_negative(x[c] - maximum);
        sums += x[c];
        store(scores + c * LANES, x[c]);
    }
    state.maximum = maximum;
    store(state.sums, sums);
    return shrink;
}

// Add the weighted values of a tile to the sums of N queries, V vectors of their width.
template <int N, int V>
static INLINE void accumulate(const float* weights, const float* shrink, const float* values,
                              int64_t stride, int64_t count, float* sums, int64_t width) {
    Floats sum[N][V];
    for (int i = 0; i < N; i++)
        for (int c = 0; c < V; c++) sum[i][c] = load(sums + i * width + c * LANES) * shrink[i];
    for (int64_t key = 0; key < count; key++) {
        Floats value[V];
        for (int c = 0; c < V; c++) value[c] = load(values + key * stride + c * LANES);
        for (int i = 0; i < N; i++) {
            Floats weight = splat(weights[i * TILE + key]);
            for (int c = 0; c < V; c++) sum[i][c] += weight * value[c];
        }
    }
    for (int i = 0; i < N; i++)
        for (int c = 0; c < V; c++) store(sums + i * width + c * LANES, sum[i][c]);
}

template <int N>
static INLINE void accumulate_all(const float* weights, const float* shrink, const float* values,
                                  int64_t stride, int64_t count, float* sums, int64_t width) {
    int64_t d = 0;
    for (; d + 4 * LANES <= width; d += 4 * LANES)
        accumulate<N, 4>(weights, shrink, values + d, stride, count, sums + d, width);
    for (; d < width; d += LANES)
        accumulate<N, 1>(weights, shrink, values + d, stride, count, sums + d, width);
}

// N query heads meet a tile of keys; query i sees `seen[i]` of them.
template <int N>
static INLINE void meet(Scratch& scratch, int64_t first, const Span* seen, int64_t num_blocks,
                        int64_t dim, const float* values, float softcap) {
    float* weights = scratch.weights.data();
    float* sums = &scratch.sums[first * scratch.width];
    int64_t width = scratch.width;
    float shrink[N];
    Span common = seen[0];
    score_blocks<N>(num_blocks, &scratch.queries[first * width], width, dim, scratch.keys.data(),
                    weights);
    for (int i = 0; i < N; i++) {
        if (softcap > 0) cap(weights + i * TILE, num_blocks, softcap);
        shrink[i] = weigh(weights + i * TILE, seen[i], scratch.states[first + i]);
        common = {std::max(common.begin, seen[i].begin), std::max(common.end, seen[i].end)};
    }
    for (int i = 0; i < N; i++) {  // what the windows of the others hide is for a query alone
        int64_t begin = seen[i].begin, end = std::min(common.begin, seen[i].end);
        if (begin >= end) continue;
        accumulate_all<1>(weights + i * TILE + begin, shrink + i, values + begin * width, width,
                          end - begin, sums + i * width, width);
        shrink[i] = 1.0f;
    }
    accumulate_all<N>(weights + common.begin, shrink, values + common.begin * width, width,
                      common.end - common.begin, sums, width);
}

// Ask for `count` floats before they are needed: tiles are too short for the CPU to see them coming.
static INLINE void prefetch(const float* from, int64_t count) {
    for (int64_t i = 0; i < count; i += LANES) __builtin_prefetch(from + i);
}

// Query heads `first` to `first + count` meet keys of one key/value head, query i those of
// `scratch.seen[i]`. `tile_at(n)` is where the keys of tile n are; values lie `to_values` from them.
template <typename TileAt>
static INLINE void meet_all(Scratch& scratch, int64_t first, int64_t count, TileAt tile_at,
                            int64_t to_values, int64_t dim, float softcap) {
    const Span* seen = scratch.seen.data();
    Span all = {INT64_MAX, 0};
    for (int64_t i = 0; i < count; i++)
        if (!seen[i].is_empty())
            all = {std::min(all.begin, seen[i].begin), std::max(all.end, seen[i].end)};
    for (int64_t start = all.begin / TILE * TILE; start < all.end; start += TILE) {
        int64_t num_keys = std::min<int64_t>(TILE, all.end - start);
        int64_t num_blocks = (num_keys + LANES - 1) / LANES;
        const float* keys = tile_at(start / TILE);
        const float* tile = keys + to_values;
        prefetch(tile, num_keys * dim);
        if (start + TILE < all.end)
            prefetch(tile_at(start / TILE + 1),
                     std::min<int64_t>(TILE, all.end - start - TILE) * dim);
        transpose(keys, num_blocks, dim, scratch.keys.data());
        if (scratch.width != dim) {  // padded, so that whole vectors may be read
            for (int64_t key = 0; key < num_keys; key++)
                std::copy_n(tile + key * dim, dim, &scratch.values[key * scratch.width]);
            tile = scratch.values.data();
        }
        Span here[TOGETHER];
        auto see = [&](int64_t query, Span& its) {
            its = {std::max<int64_t>(seen[query].begin - start, 0),
                   std::min<int64_t>(seen[query].end - start, num_keys)};
            return !its.is_empty();
        };
        for (int64_t i = 0; i < count;) {
            int64_t n = 0;
            while (n < TOGETHER && i + n < count && see(i + n, here[n])) n++;
            if (n == TOGETHER) {
                meet<TOGETHER>(scratch, first + i, here, num_blocks, dim, tile, softcap);
            } else {
                for (int64_t j = 0; j < n; j++)
                    meet<1>(scratch, first + i + j, here + j, num_blocks, dim, tile, softcap);
            }
            i += n < TOGETHER && i + n < count ? n + 1 : n;  // one that sees nothing here is passed
        }
    }
}

// One key/value head of one group.
void attend_group(const Shape& shape, const Group& group, const Query* queries,
                          int64_t layer, int64_t kv_head, const float* q, float* out,
                          Scratch& scratch) {
    int64_t dim = shape.head_dim, width = scratch.width;
    int64_t per_kv = shape.num_heads / shape.num_kv_heads;
    int64_t num_states = group.count * per_kv;
    std::fill_n(scratch.sums.begin(), num_states * width, 0.0f);
    for (int64_t i = 0; i < num_states; i++) {
        const Query& query = queries[group.first + i / per_kv];
        const float* from =
            q + query.token * shape.q_stride + (kv_head * per_kv + i % per_kv) * dim;
        for (int64_t d = 0; d < dim; d++) scratch.queries[i * width + d] = from[d] * shape.scale;
        scratch.states[i] = {-INFINITY, {}};
        scratch.seen[i] = seen_shared(query, shape.window);
    }
    auto prefetch_own = [&](int64_t i) {
        if (i >= group.count) return;
        const Query& query = queries[group.first + i];
        Span seen = seen_own(query, shape.window);
        int64_t start = seen.begin / TILE * TILE;
        const float* keys = own_keys_of(query, layer).first + kv_head * query.own_head_stride;
        prefetch(keys + start * dim, std::min<int64_t>(TILE, seen.end - start) * dim);
    };
    prefetch_own(0);
    auto page_at = [&](int64_t tile) {
        return keys_of(group, tile, layer).first + kv_head * group.head_stride;
    };
    meet_all(scratch, 0, num_states, page_at, group.values, dim, shape.softcap);
    for (int64_t i = 0; i < group.count; i++) {
        const Query& query = queries[group.first + i];
        if (query.num_own == 0) continue;
        prefetch_own(i + 1);
        std::fill_n(scratch.seen.begin(), per_kv, seen_own(query, shape.window));
        Keys own = own_keys_of(query, layer);
        auto own_at = [&](int64_t tile) {
            return own.first + kv_head * own.head_stride + tile * TILE * dim;
        };
        meet_all(scratch, i * per_kv, per_kv, own_at, own.values, dim, shape.softcap);
    }
    for (int64_t i = 0; i < num_states; i++) {
        const Query& query = queries[group.first + i / per_kv];
        float* to = out + (query.token * shape.num_heads + kv_head * per_kv + i % per_kv) * dim;
        float total = reduced_sum(load(scratch.states[i].sums));
        for (int64_t d = 0; d < dim; d++) to[d] = scratch.sums[i * width + d] / total;
    }
}

// Put the token's key and value where its query's newest key belongs.
void append(const Shape& shape, const Group& group, const Query& query, int64_t layer,
            const float* k, const float* v) {
    bool is_own = query.num_own > 0;
    int64_t place = (is_own ? query.num_own : query.num_shared) - 1;
    Keys keys = is_own ? own_keys_of(query, layer) : keys_of(group, place / TILE, layer);
    if (!is_own) place %= TILE;
    for (int64_t head = 0; head < shape.num_kv_heads; head++) {
        float* to = keys.first + head * keys.head_stride + place * shape.head_dim;
        std::copy_n(k + query.token * shape.k_stride + head * shape.head_dim, shape.head_dim, to);
        std::copy_n(v + query.token * shape.v_stride + head * shape.head_dim, shape.head_dim,
                    to + keys.values);
    }
}

}  // namespace

// Append keys and values of all queries' tokens, then attend. `most_queries` is the largest count
// of a group. Tokens without a query keep what `out` holds. Returns 1 where there was no memory for
// it, and `out` is of no use; else 0.
extern "C" int32_t rowmill_attend(const Shape* shape, const Group* groups, int64_t num_groups,
                                  const Query* queries, int64_t layer, const float* q,
                                  const float* k, const float* v, float* out, int64_t most_queries,
                                  int32_t num_threads) {
    std::atomic<int32_t> is_out_of_memory{0};
#pragma omp parallel num_threads(num_threads)
    {
        std::optional<Scratch> scratch;
        try {
            scratch.emplace(shape->head_dim,
                            most_queries * (shape->num_heads / shape->num_kv_heads));
        } catch (const std::bad_alloc&) {
            is_out_of_memory = 1;
        }
#pragma omp for schedule(static)
        for (int64_t g = 0; g < num_groups; g++)
            for (int64_t i = 0; i < groups[g].count; i++)
                append(*shape, groups[g], queries[groups[g].first + i], layer, k, v);
#pragma omp for schedule(dynamic)
        for (int64_t item = 0; item < num_groups * shape->num_kv_heads; item++)
            if (scratch)
                attend_group(*shape, groups[item / shape->num_kv_heads], queries, layer,
                             item % shape->num_kv_heads, q, out, *scratch);
    }
    return is_out_of_memory;
}
