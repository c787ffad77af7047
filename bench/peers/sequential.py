"""A sequential engine, as the seed of this project describes it: one request at a time.

The prompt is prefilled once, its keys and values are copied to every row, and the rows advance in
lockstep until the last of them has ended. Source of the design: `Engine.generate` of nanochat's
engine.py at commit 8f979a8bda; written anew, without the head's product over the whole prompt
and without the forward after the last token.
"""

from __future__ import annotations

from collections import deque

import torch
from torch import Tensor

from bench.model import BenchModel
from bench.names import SEQUENTIAL
from bench.peers.lockstep_model import LockstepModel
from bench.workload import BenchRequest, Workload
from engine.tool_use import Tool, ToolCall, terminal_tokens


class Sequential:
    name = SEQUENTIAL

    def __init__(self, model: BenchModel, *, temperature: float = 1.0) -> None:
        self._model = LockstepModel(model)
        self._temperature = temperature
        self._tool = Tool.of(model.tokenizer)
        self._terminal = terminal_tokens(model.tokenizer)

    def run(self, workload: Workload) -> int:
        return sum(len(tokens) for rows in self.rows(workload) for tokens in rows)

    def rows(self, workload: Workload) -> list[list[list[int]]]:
        """The tokens of every request's rows, in the workload's order."""
        return [self._generate(request, seed) for seed, request in enumerate(workload.requests)]

    @torch.inference_mode()
    def _generate(self, request: BenchRequest, seed: int) -> list[list[int]]:
        model = self._model
        generator = torch.Generator(device=model.device).manual_seed(seed)
        num_prompt_tokens = len(request.prompt_tokens)
        prompt_cache = model.new_cache(1, num_prompt_tokens)
        prompt_1T = torch.tensor([request.prompt_tokens], device=model.device)
        logits_BV = model.forward(prompt_1T, prompt_cache).expand(request.num_samples, -1)
        kv_cache = model.new_cache(request.num_samples, num_prompt_tokens + request.max_tokens)
        kv_cache.prefill(prompt_cache)
        del prompt_cache
        rows = [_Row(self._tool, self._terminal) for _ in range(request.num_samples)]
        for num_left in reversed(range(request.max_tokens)):
            sampled = self._sample(logits_BV, generator).tolist()
            column = [row.append(token) for row, token in zip(rows, sampled, strict=True)]
            if num_left == 0 or all(row.has_ended for row in rows):
                break
            ids_B1 = torch.tensor(column, device=model.device).unsqueeze(1)
            logits_BV = model.forward(ids_B1, kv_cache)
        return [row.tokens for row in rows]

    def _sample(self, logits_BV: Tensor, generator: torch.Generator) -> Tensor:
        if self._temperature == 0.0:
            return logits_BV.argmax(-1)
        probs_BV = torch.softmax(logits_BV / self._temperature, dim=-1)
        return torch.multinomial(probs_BV, num_samples=1, generator=generator).squeeze(1)


class _Row:
    """A row's tokens; once it has ended, it only fills its place in the batch."""

    def __init__(self, tool: Tool | None, terminal: frozenset[int]) -> None:
        self.tokens: list[int] = []
        self.has_ended = False
        self._tool_call = None if tool is None else ToolCall(tool)
        self._terminal = terminal
        self._forced: deque[int] = deque()

    def append(self, sampled: int) -> int:
        """Take the next token, a forced one where the tool owes it; returns which it was."""
        if self.has_ended:
            return sampled
        token = self._forced.popleft() if self._forced else sampled
        self.tokens.append(token)
        self.has_ended = token in self._terminal
        if self._tool_call is not None:
            self._forced.extend(self._tool_call.observe(token))
        return token
