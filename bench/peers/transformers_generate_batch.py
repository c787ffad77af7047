"""transformers' continuous batching: `generate_batch`."""

from __future__ import annotations

from typing import Any

import torch
from transformers import ContinuousBatchingConfig

from bench.errors import BenchError
from bench.model import BenchModel
from bench.names import GENERATE_BATCH
from bench.peers.transformers_model import transformers_model
from bench.peers.transformers_requests import entries, generation_config
from bench.workload import BenchRequest, Workload
from engine.invariance import round_up
from engine.tool_use import terminal_tokens

_PAGE = 64
_HEADROOM = 1.25  # its scheduler takes no prompt while less than 15 % of the pages are free
_TOKENS_PER_STEP_ON_A_CPU = 256  # its masks grow with the square of this: with 2048 it was slower


class TransformersGenerateBatch:
    """Its cache is sized to the workload: by default it takes 60 % of a machine's memory, which
    made it slower. It knows no tool, as `TransformersGenerate`."""

    name = GENERATE_BATCH

    def __init__(self, model: BenchModel, *, temperature: float = 1.0) -> None:
        self._model = transformers_model(model)
        self._temperature = temperature
        self._ends = terminal_tokens(model.tokenizer)
        self._is_on_cpu = model.device.type == "cpu"

    def run(self, workload: Workload) -> int:
        return sum(map(len, self.rows(workload)))

    @torch.inference_mode()
    def rows(self, workload: Workload) -> list[list[int]]:
        """All rows' tokens, request by request. Raises BenchError where one failed."""
        requests, num_return_sequences = entries(workload)
        options = {
            "generation_config": generation_config(
                self._temperature,
                self._ends or {-1},  # None makes it complain
                max_new_tokens=max(request.max_tokens for request in requests),
                num_return_sequences=num_return_sequences,
            ),
            "continuous_batching_config": self._cache_config(workload),
        }
        try:
            if workload.is_uniform:
                prompts = [list(request.prompt_tokens) for request in requests]
                results = list(self._model.generate_batch(prompts, **options).values())
            else:
                results = self._results_of_each(requests, options)
        except MemoryError as error:
            raise BenchError(f"its cache does not fit: {error}") from error
        failed = [result.error for result in results if result.error is not None]
        if failed or len(results) < workload.num_rows:
            raise BenchError(failed[0] if failed else "some rows are missing")
        return [list(result.generated_tokens) for result in results]

    def _results_of_each(self, requests: list[BenchRequest], options: dict[str, Any]) -> list[Any]:
        """What `generate_batch` does, but with a `max_new_tokens` for each request."""
        results: dict[str, Any] = {}
        with self._model.continuous_batching_context_manager(**options) as manager:
            for index, request in enumerate(requests):
                manager.add_request(
                    list(request.prompt_tokens), str(index), max_new_tokens=request.max_tokens
                )
            while len(results) < len(requests) and manager.is_running():
                result = manager.get_result(timeout=1)
                if result is not None and result.is_finished():
                    results[result.request_id] = result
        return [results[name] for name in map(str, range(len(requests))) if name in results]

    def _cache_config(self, workload: Workload) -> Any:
        pages = sum(_num_pages(request, workload.is_uniform) for request in workload.requests)
        return ContinuousBatchingConfig(
            page_size=_PAGE,
            num_blocks=int(_HEADROOM * pages),
            max_batch_tokens=_TOKENS_PER_STEP_ON_A_CPU if self._is_on_cpu else None,
        )


def _num_pages(request: BenchRequest, is_forked: bool) -> int:
    """Rows that are forked share the full pages of their prompt; each has one to spare."""
    shared = len(request.prompt_tokens) // _PAGE if is_forked else 0
    own = round_up(request.num_tokens - shared * _PAGE, _PAGE) // _PAGE + 1
    return shared + request.num_samples * own
