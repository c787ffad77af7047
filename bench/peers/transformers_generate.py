"""transformers' `generate` on all prompts at once, padded on the left to the longest."""

from __future__ import annotations

import torch

from bench.model import BenchModel
from bench.names import GENERATE
from bench.peers.transformers_model import transformers_model
from bench.peers.transformers_requests import entries, generation_config, kept
from bench.workload import Workload
from engine.tool_use import terminal_tokens


class TransformersGenerate:
    """It knows no tool, so the shipped model makes up the calculator's values. Rows run until the
    last of the batch has ended; what goes beyond a row's own length is not counted."""

    name = GENERATE

    def __init__(self, model: BenchModel, *, temperature: float = 1.0) -> None:
        self._model = transformers_model(model)
        self._device = model.device
        self._temperature = temperature
        self._ends = terminal_tokens(model.tokenizer)

    def run(self, workload: Workload) -> int:
        return sum(map(len, self.rows(workload)))

    @torch.inference_mode()
    def rows(self, workload: Workload) -> list[list[int]]:
        """All rows' tokens, request by request."""
        requests, num_return_sequences = entries(workload)
        longest = max(len(request.prompt_tokens) for request in requests)
        padding = [longest - len(request.prompt_tokens) for request in requests]
        prompts = [
            [0] * pad + list(request.prompt_tokens)
            for pad, request in zip(padding, requests, strict=True)
        ]
        ids_BT = torch.tensor(prompts, device=self._device)
        first_B1 = torch.tensor(padding, device=self._device).unsqueeze(1)
        mask_BT = (torch.arange(longest, device=self._device) >= first_B1).long()
        max_new_tokens = max(request.max_tokens for request in requests)
        config = generation_config(
            self._temperature,
            self._ends,
            max_new_tokens=max_new_tokens,
            num_return_sequences=num_return_sequences,
        )
        out_BT = self._model.generate(ids_BT, attention_mask=mask_BT, generation_config=config)
        limits = [request.max_tokens for request in requests for _ in range(num_return_sequences)]
        return [
            kept(row, limit, self._ends)
            for row, limit in zip(out_BT[:, longest:].tolist(), limits, strict=True)
        ]
