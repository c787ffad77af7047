"""The kernels of attention and of drawing do what plain float64 does.

Shape suffixes: T tokens, H query heads, K key/value heads, S keys, D head width; R rows, V
vocabulary.
"""

from __future__ import annotations

import ctypes
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.kv_cache import KVCache
from engine.models.packed import ModelShape
from engine.native import library as library_module
from engine.native.library import Library
from engine.native_attention import NativeAttention
from engine.row_state import RowState
from engine.runner import Chunk
from engine.state import RequestState
from tests.engine.caches import fill, new_pages, open_pages, write, write_pages
from tests.engine.kernels import kernels, needs_kernels
from tests.engine.runs import prompt_of, request

pytestmark = needs_kernels

LAYER, NUM_LAYERS = 1, 3
# About the sizes of vectors (16) and of tiles (64).
LENGTHS = (1, 2, 15, 16, 17, 31, 33, 63, 64, 65, 79, 127, 128, 129, 200)
# (query heads, key/value heads, head width)
HEADS = [(1, 1, 1), (4, 4, 16), (6, 2, 10), (6, 1, 17), (4, 2, 32), (2, 1, 64), (3, 3, 72)]
HEADS += [(8, 2, 128), (2, 2, 130)]


class Step:
    """Rows, then chunks of prompts, whose caches hold NaN where nothing was written."""

    def __init__(self, shape: ModelShape, seed: int) -> None:
        self.shape = shape
        self.generator = torch.Generator().manual_seed(seed)
        self.pages = new_pages(shape)
        self.suffixes = KVCache(0, shape.num_kv_heads, 0, shape.head_dim, NUM_LAYERS)
        self.rows: list[RowState] = []
        self.chunks: list[Chunk] = []
        self.keys: list[Tensor] = []
        """Per token of the batch the keys and values `[2, S, K, D]` that it sees."""

    def random(self, *sizes: int) -> Tensor:
        return torch.randn(*sizes, self.shape.head_dim, generator=self.generator)

    def open(self, num_tokens: list[int]) -> list[RequestState]:
        """Requests with prompts of these lengths, nothing of them written yet."""
        requests = [RequestState(request("a", prompt_of(n, n), 16), 400) for n in num_tokens]
        for each in requests:
            open_pages(self.pages, each)
        return requests

    def prefill(self, its: RequestState, num_tokens: int) -> Tensor:
        kv_2SKD = self.random(2, num_tokens, self.shape.num_kv_heads)
        write_pages(its, LAYER, kv_2SKD)
        its.prefix.num_tokens = num_tokens
        return kv_2SKD

    def add_rows(self, rows: list[tuple[RequestState, Tensor, int]]) -> None:
        """Each with its request, the prompt's keys and values, and how many are its own."""
        self.suffixes.resize(len(rows) + 1, 256)
        fill(self.suffixes, math.nan)
        for slot, (its, prompt_2SKD, num_own) in enumerate(rows):
            row = RowState(its, slot, None)
            row.tokens += [0] * num_own
            own_2SKD = self.random(2, num_own, self.shape.num_kv_heads)
            write(self.suffixes, LAYER, slot, own_2SKD[:, :-1])
            self.rows.append(row)
            self.keys.append(torch.cat([prompt_2SKD, own_2SKD], 1))

    def add_chunk(self, its: RequestState, start: int, end: int) -> None:
        before_2SKD = self.prefill(its, start)
        kv_2SKD = torch.cat([before_2SKD, self.random(2, end - start, self.shape.num_kv_heads)], 1)
        self.chunks.append(Chunk(its, start, end))
        self.keys += [kv_2SKD[:, : position + 1] for position in range(start, end)]

    def differences(self) -> float:
        """The largest from float64, relative to the values' size; twice padding goes unharmed."""
        num_tokens, heads = len(self.keys), self.shape.num_heads
        q_THD = self.random(num_tokens + 2, heads)
        newest_2TKD = torch.stack([its[:, -1] for its in [*self.keys, *self.keys[:2]]], 1)
        attend = NativeAttention(kernels(), self.shape, self.rows, self.chunks, self.suffixes)
        out_THD = attend(LAYER, q_THD, *newest_2TKD)
        assert out_THD.shape == q_THD.shape
        return max(
            float((out_THD[token] - attended(q_THD[token], its)).abs().max() / its[1].abs().max())
            for token, its in enumerate(self.keys)
        )


def attended(q_HD: Tensor, kv_2SKD: Tensor) -> Tensor:
    per_kv_head = q_HD.size(0) // kv_2SKD.size(2)
    k_SHD, v_SHD = kv_2SKD.double().repeat_interleave(per_kv_head, 2)
    scores_HS = torch.einsum("hd,shd->hs", q_HD.double(), k_SHD) / q_HD.size(-1) ** 0.5
    return torch.einsum("hs,shd->hd", scores_HS.softmax(-1), v_SHD)


def new_step(heads: tuple[int, int, int]) -> Step:
    num_heads, num_kv_heads, head_dim = heads
    return Step(
        ModelShape(
            num_layers=NUM_LAYERS,
            num_heads=num_heads,
            num_kv_heads=num_kv_heads,
            head_dim=head_dim,
            vocab_size=64,
            max_seq_len=512,
        ),
        seed=sum(heads),
    )


@pytest.mark.parametrize("heads", HEADS)
def test_rows_attend_to_their_prompt_and_to_what_is_their_own(heads: tuple[int, int, int]) -> None:
    """Prompts of each length have rows of each length: more than a group of queries has room for,
    and not in the order of the prompts."""
    step = new_step(heads)
    requests = step.open(list(LENGTHS))
    prompts = [step.prefill(each, each.num_prompt_tokens) for each in requests]
    step.add_rows(
        [
            (requests[n % len(LENGTHS)], prompts[n % len(LENGTHS)], LENGTHS[n // len(LENGTHS)])
            for n in range(len(LENGTHS) ** 2)
        ]
    )
    assert step.differences() < 1e-6


@pytest.mark.parametrize("heads", HEADS)
def test_chunks_attend_to_their_prompt_up_to_each_token(heads: tuple[int, int, int]) -> None:
    step = new_step(heads)
    bounds = [(0, 1), (0, 3), (0, 16), (0, 65), (64, 130), (100, 197), (128, 129)]
    for its, (start, end) in zip(step.open([end for _, end in bounds]), bounds, strict=True):
        step.add_chunk(its, start, end)
    assert step.differences() < 1e-6


@pytest.mark.parametrize("heads", HEADS)
def test_rows_and_chunks_share_a_batch(heads: tuple[int, int, int]) -> None:
    step = new_step(heads)
    requests = step.open([70, 40, 20, 90])
    prompts = [step.prefill(each, each.num_prompt_tokens) for each in requests[:2]]
    step.add_rows([(requests[n % 2], prompts[n % 2], 1 + 9 * n) for n in range(9)])
    step.add_chunk(requests[2], 0, 20)
    step.add_chunk(requests[3], 64, 90)
    assert step.differences() < 1e-6


def test_what_is_new_is_appended_and_nothing_else_is_written() -> None:
    step = new_step((4, 2, 10))
    with_rows, with_chunk = step.open([33, 40])
    prompt_2SKD = step.prefill(with_rows, 33)
    step.add_rows([(with_rows, prompt_2SKD, 1), (with_rows, prompt_2SKD, 18)])
    step.add_chunk(with_chunk, 16, 40)
    step.differences()
    suffixes = step.suffixes.kv_cache
    assert suffixes is not None
    for kv_L2KSD, its in [
        (suffixes[:, :, 0], step.keys[0][:, 33:]),
        (suffixes[:, :, 1], step.keys[1][:, 33:]),
        (with_rows.prefix.pages[0].kv, prompt_2SKD),
        (with_chunk.prefix.pages[0].kv, step.keys[-1]),
    ]:
        assert torch.equal(kv_L2KSD[LAYER, :, :, : its.size(1)], its.transpose(1, 2))
        assert kv_L2KSD[LAYER, :, :, its.size(1) :].isnan().all()
        others = [layer for layer in range(NUM_LAYERS) if layer != LAYER]
        assert kv_L2KSD[others].isnan().all()


def test_scores_far_apart_overflow_nothing() -> None:
    """Weights of all but one key vanish, whichever tile has it."""
    step = new_step((2, 1, 16))
    (its,) = step.open([150])
    prompt_2SKD = step.prefill(its, 150)
    step.add_rows([(its, prompt_2SKD, 1)])
    for place in (0, 63, 64, 149):
        kv_2SKD = torch.cat([prompt_2SKD, step.random(2, 1, 1)], 1)
        kv_2SKD[0] = -1e4
        kv_2SKD[0, place] = 1e4
        write_pages(its, LAYER, kv_2SKD[:, :150])
        attend = NativeAttention(kernels(), step.shape, step.rows, [], step.suffixes)
        out_1HD = attend(LAYER, torch.ones(1, 2, 16), *kv_2SKD[:, -1:])
        assert torch.equal(out_1HD[0], kv_2SKD[1, place].expand(2, -1))


def test_a_nan_stays_with_its_row() -> None:
    step = new_step((4, 2, 16))
    (its,) = step.open([20])
    prompt_2SKD = step.prefill(its, 20)
    step.add_rows([(its, prompt_2SKD, 3 + n) for n in range(5)])
    q_THD = step.random(5, 4)
    newest_2TKD = torch.stack([keys[:, -1] for keys in step.keys], 1)
    attend = NativeAttention(kernels(), step.shape, step.rows, [], step.suffixes)
    expected = attend(LAYER, q_THD, *newest_2TKD).clone()
    q_THD[1], newest_2TKD[1, 3] = math.nan, math.nan
    out_THD = attend(LAYER, q_THD, *newest_2TKD)
    assert out_THD[[1, 3]].isnan().all()
    assert torch.equal(out_THD[[0, 2, 4]], expected[[0, 2, 4]])


def drawn(weights_RV: Tensor, uniforms_R: Tensor, num_threads: int) -> list[int]:
    tokens_R = torch.full(uniforms_R.shape, -1)
    totals_R = torch.full_like(uniforms_R, -1.0)
    kernels().draw(
        weights_RV.data_ptr(),
        uniforms_R.data_ptr(),
        tokens_R.data_ptr(),
        totals_R.data_ptr(),
        *weights_RV.shape,
        num_threads,
    )
    expected_R = weights_RV.cumsum(-1, dtype=torch.float64)[:, -1]
    assert torch.equal(totals_R.nan_to_num(-2), expected_R.nan_to_num(-2))
    return tokens_R.tolist()


def drawn_by_numpy(weights_RV: Tensor, uniforms_R: Tensor) -> list[int]:
    cumulative_RV = np.cumsum(weights_RV.numpy(), axis=-1, dtype=np.float64)
    found = [
        int(np.searchsorted(sums_V, uniform * sums_V[-1], side="right"))
        for sums_V, uniform in zip(cumulative_RV, uniforms_R.numpy(), strict=True)
    ]
    return [min(token, weights_RV.size(-1) - 1) for token in found]


ALMOST_1 = math.nextafter(1.0, 0.0)


@pytest.mark.parametrize("num_threads", [1, 2, 5])
@pytest.mark.parametrize("size", [1, 2, 63, 64, 65, 127, 128, 129, 1000, 5003])
def test_tokens_are_drawn_by_the_running_sum(size: int, num_threads: int) -> None:
    """At the sum's own steps too, where one bit decides between two tokens."""
    generator = torch.Generator().manual_seed(size)
    weights_RV = (torch.randn(61, size, generator=generator) * 8).exp()
    weights_RV[::3] *= torch.rand(weights_RV[::3].shape, generator=generator) < 0.1
    weights_RV[::7] *= 1e-40
    weights_RV[:, 0] += weights_RV.sum(-1) == 0
    uniforms_R = torch.rand(61, generator=generator, dtype=torch.float64)
    sums_RV = weights_RV.cumsum(-1, dtype=torch.float64)
    edges_R = sums_RV[:, size // 2] / sums_RV[:, -1]
    uniforms_R[10:] = edges_R[10:].clamp(max=ALMOST_1)
    uniforms_R[20:30] = uniforms_R[20:30].nextafter(torch.zeros(10, dtype=torch.float64))
    uniforms_R[:2] = torch.tensor([0.0, ALMOST_1], dtype=torch.float64)
    for num_rows in (1, 7, 8, 9, 61):
        its = weights_RV[:num_rows], uniforms_R[:num_rows]
        assert drawn(*its, num_threads) == drawn_by_numpy(*its)


@pytest.mark.parametrize("size", [1, 63, 64, 65, 130])
@pytest.mark.parametrize("uniform", [0.0, 0.5, ALMOST_1])
def test_a_token_without_weight_is_not_drawn(size: int, uniform: float) -> None:
    for place in {0, size // 2, size - 1}:
        weights_RV = torch.zeros(9, size)
        weights_RV[:, place] = 0.3
        assert drawn(weights_RV, torch.full((9,), uniform, dtype=torch.float64), 1) == [place] * 9


@pytest.mark.parametrize("size", [1, 63, 64, 65, 130])
@pytest.mark.parametrize("weight", [math.nan, 0.0])
def test_where_no_token_can_be_drawn_it_is_the_last_and_neighbours_are_unharmed(
    size: int, weight: float
) -> None:
    weights_RV = torch.rand(17, size, generator=torch.Generator().manual_seed(size))
    uniforms_R = torch.linspace(0, 0.99, 17, dtype=torch.float64)
    expected = drawn_by_numpy(weights_RV, uniforms_R)
    for row in (2, 16):
        weights_RV[row] = torch.rand(size) if math.isnan(weight) else 0.0
        weights_RV[row, size // 2] = weight
        expected[row] = size - 1
    assert drawn(weights_RV, uniforms_R, 2) == expected


TOO_MANY = 2**50  # more than an address space holds, less than what a vector refuses to try


@pytest.mark.parametrize("num_threads", [1, 3])
def test_where_there_is_no_memory_the_kernels_raise(num_threads: int) -> None:
    """Else the process would end without a word: C++ may throw nothing at its callers."""
    shape = (ctypes.c_int64 * 8)(1, 1, 1, 1, 1, 1, 1, 0)
    with pytest.raises(MemoryError, match="rowmill_attend"):
        kernels().attend(ctypes.addressof(shape), 0, 0, 0, 0, 0, 0, 0, 0, TOO_MANY, num_threads)
    with pytest.raises(MemoryError, match="rowmill_draw"):
        kernels().draw(0, 0, 0, 0, 0, TOO_MANY, num_threads)
    with pytest.raises(MemoryError, match="rowmill_keep_top_k"):
        kernels().keep_top_k(0, 0, 0, 0, TOO_MANY, num_threads)
    with pytest.raises(MemoryError, match="rowmill_keep_top_p"):
        kernels().keep_top_p(0, 0, 0, TOO_MANY, num_threads)


def test_kernels_of_other_sources_are_not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after an update of the sources alone."""
    path = library_module._best_build()
    assert path is not None
    Library(path)
    monkeypatch.setattr(library_module, "_INTERFACE", -1)
    with pytest.raises(OSError, match="built from other sources"):
        Library(path)
