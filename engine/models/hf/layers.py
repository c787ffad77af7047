"""Layers of the engine in the place of transformers' own, whose bits don't depend on the batch."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from engine.models.hf.elementwise import Elementwise
from engine.models.linear import Linear


def replace_layers(model: nn.Module) -> None:
    """Give a model the engine's layers; they take over the parameters, shared ones too."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if (layer := _replacement(child)) is not None:
                setattr(parent, name, layer)


def _replacement(layer: Any) -> nn.Module | None:
    from transformers.pytorch_utils import Conv1D

    if type(layer) is nn.Linear:
        return Linear.of(layer.weight, layer.bias)
    if type(layer) is Conv1D:  # a linear layer whose weights are the other way round
        weight = nn.Parameter(layer.weight.t().contiguous(), requires_grad=False)
        return Linear.of(weight, layer.bias)
    if type(layer) in _activations():
        return Elementwise(layer)
    return Experts(layer) if _is_plain_experts(layer) else None


def _activations() -> frozenset[type]:
    """Transformers' modules for the function between two linear layers."""
    from transformers.activations import ACT2CLS

    classes = (its[0] if isinstance(its, tuple) else its for its in ACT2CLS.values())
    return frozenset(its for its in classes if isinstance(its, type))


class Experts(nn.Module):
    """The experts of a layer, each two linear layers, whose weights stay in one tensor.

    A token's outputs are summed in the order of its experts, so that what other tokens of the
    batch go to changes nothing.
    """

    def __init__(self, experts: Any) -> None:
        super().__init__()
        self.gate_up = _layers_of(experts.gate_up_proj)
        self.down = _layers_of(experts.down_proj)
        self._apply_gate = experts._apply_gate

    def forward(self, x_TC: Tensor, chosen_TE: Tensor, weights_TE: Tensor) -> Tensor:
        """As transformers' experts: `chosen` are the numbers of each token's experts."""
        out_TC = x_TC.new_zeros(x_TC.shape)
        for expert in sorted(set(chosen_TE.flatten().tolist())):
            if expert >= len(self.down):  # a token that has fewer
                continue
            tokens, place = (chosen_TE == expert).nonzero(as_tuple=True)
            inner = self._apply_gate(self.gate_up[expert](x_TC[tokens]))
            out = self.down[expert](inner) * weights_TE[tokens, place, None]
            out_TC.index_add_(0, tokens, out.to(out_TC.dtype))
        return out_TC


def _layers_of(weights: Tensor) -> nn.ModuleList:
    return nn.ModuleList(
        Linear.of(nn.Parameter(weight, requires_grad=False), None) for weight in weights.detach()
    )


def _is_plain_experts(module: Any) -> bool:
    """Whether these are experts of the commonest form; others stay as they are."""
    return (
        hasattr(module, "_apply_gate")
        and isinstance(getattr(module, "gate_up_proj", None), nn.Parameter)
        and isinstance(getattr(module, "down_proj", None), nn.Parameter)
        and module.has_gate
        and not (module.has_bias or module.has_post_expert_norm or module.is_transposed)
    )
