"""Small Hugging Face tokenizers, made on the spot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

BOS, EOS, TURN, THINK = "<|begin|>", "<|end|>", "<|turn|>", "<think>"
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ '<|turn|>' + message.role + '\n' }}"
    "{{ message.content | trim }}{{ eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|turn|>assistant\n' }}{% endif %}"
)


def write_tokenizer(
    folder: Path, *, template: str | None = TEMPLATE, has_bos: bool = True, **settings: Any
) -> Path:
    """A byte-level BPE of 256 bytes, one merge, and four tokens beside them."""
    from tokenizers import AddedToken, Tokenizer
    from tokenizers.decoders import ByteLevel as Decoder
    from tokenizers.models import BPE
    from tokenizers.pre_tokenizers import ByteLevel
    from tokenizers.processors import TemplateProcessing

    letters = sorted(ByteLevel.alphabet())
    numbers = {letter: number for number, letter in enumerate([*letters, "he"])}
    tokenizer = Tokenizer(BPE(vocab=numbers, merges=[("h", "e")]))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = Decoder()
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in (BOS, EOS, TURN)])
    tokenizer.add_tokens([THINK])
    if has_bos:
        tokenizer.post_processor = TemplateProcessing(
            single=f"{BOS} $A", special_tokens=[(BOS, tokenizer.token_to_id(BOS))]
        )
    folder.mkdir(exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    fields = {
        "bos_token": BOS,
        "eos_token": {"__type": "AddedToken", "content": EOS},
        "chat_template": template,
    }
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"} | fields | settings)
    )
    return folder


def write_fallback_tokenizer(folder: Path) -> Path:
    """As SentencePiece's are: a few pieces, and a token for each byte of what they don't spell."""
    from tokenizers import Tokenizer
    from tokenizers.decoders import ByteFallback, Fuse, Replace, Sequence, Strip
    from tokenizers.models import BPE

    pieces = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), "\u2581", "h", "i", "hi"]
    numbers = {piece: number for number, piece in enumerate(pieces)}
    model = BPE(vocab=numbers, merges=[("h", "i")], byte_fallback=True, unk_token="<unk>")
    tokenizer = Tokenizer(model)
    tokenizer.decoder = Sequence([Replace("\u2581", " "), ByteFallback(), Fuse(), Strip(" ", 1, 0)])
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder
