"""A transformers model behind the engine's packed forward.

Shape suffixes: T tokens of the flat batch, N tokens whose logits are wanted, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from engine.generation_defaults import GenerationDefaults
from engine.models.hf.attention import KEYWORD, AttentionCalls, LayerCalls
from engine.models.packed import Attend, ModelShape


class TransformersModel(nn.Module):
    """A causal language model whose attention was found to be what `shape` says."""

    def __init__(
        self,
        model: Any,
        shape: ModelShape,
        value_dim: int,
        dtype: torch.dtype,
        generation_defaults: GenerationDefaults,
        end_tokens: frozenset[int],
    ) -> None:
        """`dtype` and `value_dim` are those of the values that it hands to attention.

        `end_tokens` end a row; where there are none, that is left to the tokenizer.
        """
        super().__init__()
        self.model = model
        self.shape = shape
        self.dtype = dtype
        self.generation_defaults = generation_defaults
        self.end_tokens = end_tokens
        self._value_dim = value_dim

    @property
    def config(self) -> dict[str, Any]:
        """As in config.json, but for what tells of files and versions."""
        fields: dict[str, Any] = self.model.config.to_diff_dict()
        return {name: value for name, value in fields.items() if name not in _ABOUT_FILES}

    @property
    def versions(self) -> dict[str, str]:
        """Of what computes its rows, beside torch."""
        import transformers

        return {"transformers": str(transformers.__version__)}

    def get_device(self) -> torch.device:
        return next(self.parameters()).device

    def forward(
        self,
        tokens_T: Tensor,
        positions_T: Tensor,
        attend: Attend,
        logit_index_N: Tensor | None = None,
    ) -> Tensor:
        """See `engine.models.nanochat.GPT.forward`."""
        if not len(tokens_T):  # a step in which rows only start; transformers can't count to 0
            return torch.empty(0, self.shape.vocab_size or 0, device=tokens_T.device)
        calls = LayerCalls(attend, self.shape.head_dim, self._value_dim)
        logits_NV = packed_logits(self.model, tokens_T, positions_T, calls, logit_index_N)
        return logits_NV[:, : self.shape.vocab_size]


_ABOUT_FILES = frozenset({"_name_or_path", "transformers_version", "dtype", "architectures"})


def packed_logits(
    model: Any,
    tokens_T: Tensor,
    positions_T: Tensor,
    calls: AttentionCalls,
    logit_index_N: Tensor | None = None,
) -> Tensor:
    """The logits [N, V] in float32 of a flat batch, by a model whose attention is the engine's."""
    output = model(
        input_ids=tokens_T.unsqueeze(0),
        position_ids=positions_T.unsqueeze(0),
        use_cache=False,
        logits_to_keep=0 if logit_index_N is None else logit_index_N,
        **{KEYWORD: calls},
    )
    logits_NV: Tensor = output.logits[0].float()
    return logits_NV
