"""Tiny random checkpoints of many families, made on the spot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

VOCAB_SIZE = 97
CONTEXT = 128
WINDOW = 6

_COMMON: dict[str, Any] = {
    "vocab_size": VOCAB_SIZE,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": CONTEXT,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_GPT = {
    "vocab_size": VOCAB_SIZE,
    "n_embd": 32,
    "n_head": 4,
    "n_layer": 2,
    "n_positions": CONTEXT,
    "n_inner": 64,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_MOE = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
_WINDOW = {"sliding_window": WINDOW}


def _without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in _COMMON.items() if name not in names}


FAMILIES: dict[str, dict[str, Any]] = {
    "llama": _COMMON,
    "mistral": _COMMON | _WINDOW,
    "mixtral": _COMMON | {"num_local_experts": 4, "num_experts_per_tok": 2},
    "qwen2": _COMMON,
    "qwen3": _COMMON,
    "qwen3_moe": _COMMON | _MOE,
    "gemma": _COMMON,
    "gemma2": _COMMON
    | _WINDOW
    | {
        "query_pre_attn_scalar": 8,
        "attn_logit_softcapping": 2.0,
        "final_logit_softcapping": 3.0,
    },
    "gemma3_text": _COMMON | _WINDOW | {"layer_types": ["sliding_attention", "full_attention"]},
    "gpt2": _GPT,
    "gpt_bigcode": _GPT,
    "gpt_neox": _without("num_key_value_heads"),
    "opt": {
        **_without("intermediate_size", "num_key_value_heads", "head_dim"),
        "ffn_dim": 64,
        "word_embed_proj_dim": 32,
    },
    "phi": _COMMON,
    "phi3": _COMMON,
    "olmo2": _COMMON,
    "granite": _COMMON
    | {
        "attention_multiplier": 0.2,
        "residual_multiplier": 0.5,
        "embedding_multiplier": 2.0,
        "logits_scaling": 2.0,
    },
    "starcoder2": _COMMON | _WINDOW,
    "cohere": _COMMON,
    "cohere2": _COMMON | _WINDOW,
    "deepseek_v3": {
        **_without("head_dim"),
        "num_key_value_heads": 4,
        "n_routed_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 16,
        "q_lora_rank": 16,
        "kv_lora_rank": 16,
        "qk_nope_head_dim": 8,
        "qk_rope_head_dim": 4,
        "v_head_dim": 8,
        "first_k_dense_replace": 1,
        "n_group": 1,
        "topk_group": 1,
    },
    "glm": _COMMON,
    "smollm3": _COMMON,
    "nanochat": _COMMON,
}
"""What Rowmill runs."""

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "bloom": (
        {"vocab_size": VOCAB_SIZE, "hidden_size": 32, "n_layer": 2, "n_head": 4},
        "computes its attention by itself",
    ),
    "mpt": (
        {"vocab_size": VOCAB_SIZE, "d_model": 32, "n_heads": 4, "n_layers": 2, "max_seq_len": 128},
        "computes its attention by itself",
    ),
    "falcon": (
        {**_without("head_dim", "num_key_value_heads", "intermediate_size"), "alibi": True},
        "alibi",
    ),
    "gpt_neo": (
        {
            "vocab_size": VOCAB_SIZE,
            "hidden_size": 32,
            "num_layers": 2,
            "num_heads": 4,
            "attention_types": [[["global", "local"], 1]],
            "max_position_embeddings": CONTEXT,
        },
        "computes its attention by itself",
    ),
    "gpt_oss": (
        _COMMON | _WINDOW | {"num_local_experts": 4, "num_experts_per_tok": 2},
        "s_aux",
    ),
    "diffllama": (_COMMON, "called attention 4 times"),
    "stablelm": (_COMMON, "does not hand arguments on"),
    "llama4_text": (
        _COMMON | {"attention_chunk_size": 8, "num_local_experts": 2, "intermediate_size_mlp": 32},
        "chunked_attention",
    ),
    "qwen3_next": (
        {
            **_COMMON,
            **_MOE,
            "layer_types": ["linear_attention", "full_attention"],
            "linear_num_value_heads": 4,
            "linear_num_key_heads": 2,
            "linear_key_head_dim": 8,
            "linear_value_head_dim": 8,
            "shared_expert_intermediate_size": 16,
        },
        "linear_attention",
    ),
    "lfm2": (_COMMON | {"layer_types": ["conv", "full_attention"]}, "conv"),
    "mamba": (
        {"vocab_size": VOCAB_SIZE, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 4},
        "linear_attention",
    ),
    "rwkv": (
        {"vocab_size": VOCAB_SIZE, "hidden_size": 32, "num_hidden_layers": 2},
        "computes its attention by itself",
    ),
}
"""What it does not run, and a word of the reason."""


def write_checkpoint(family: str, fields: dict[str, Any], folder: Path, seed: int = 0) -> Path:
    """Save a random model whose logits are far apart, in safetensors; greedy rows have no ties."""
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(family, **fields)
    model = AutoModelForCausalLM.from_config(config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=0.3, generator=generator)
    model.save_pretrained(folder)
    return folder


def reference(folder: Path) -> Any:
    """The checkpoint as transformers runs it, with eager attention."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager")
    return model.eval()
