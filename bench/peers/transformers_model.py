"""A BenchModel in Hugging Face's format: transformers' own NanoChat, with the same weights.

Its logits differ from nanochat's by up to a hundredth, as it does not round its rotary tables to
bfloat16.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import NanoChatConfig, NanoChatForCausalLM

from bench.model import BenchModel

_LAYER_NAMES = {
    "self_attn.q_proj": "attn.c_q",
    "self_attn.k_proj": "attn.c_k",
    "self_attn.v_proj": "attn.c_v",
    "self_attn.o_proj": "attn.c_proj",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}


def transformers_model(model: BenchModel) -> Any:
    """A NanoChatForCausalLM with torch's fused attention, in evaluation mode."""
    config = model.config
    hf_config = NanoChatConfig(
        vocab_size=config.vocab_size,
        hidden_size=config.n_embd,
        intermediate_size=4 * config.n_embd,
        num_hidden_layers=config.n_layer,
        num_attention_heads=config.n_head,
        num_key_value_heads=config.n_kv_head,
        max_position_embeddings=config.sequence_len,
        rms_norm_eps=torch.finfo(model.dtype).eps,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
        final_logit_softcapping=15.0,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
        attn_implementation="sdpa",
    )
    hf_model = NanoChatForCausalLM(hf_config)
    hf_model.load_state_dict(_renamed(model))
    return hf_model.to(device=model.device, dtype=model.dtype).requires_grad_(False).eval()


def _renamed(model: BenchModel) -> dict[str, Tensor]:
    ours, vocab_size = model.weights, model.config.vocab_size  # less than nanochat's padded one
    theirs = {
        "model.embed_tokens.weight": ours["transformer.wte.weight"][:vocab_size],
        "lm_head.weight": ours["lm_head.weight"][:vocab_size],
    }
    for layer in range(model.config.n_layer):
        for to_name, name in _LAYER_NAMES.items():
            weight = ours[f"transformer.h.{layer}.{name}.weight"]
            theirs[f"model.layers.{layer}.{to_name}.weight"] = weight
    return theirs
