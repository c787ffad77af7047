"""Train the shipped arithmetic model and write it as a nanochat checkpoint.

    python scripts/train_demo.py --out engine/models/demo

The model has nanochat's architecture at the size of a toy (4 layers, width 128, byte tokens). It
learns to call the calculator: a question is answered by an expression between `<|python_start|>`
and `<|python_end|>`, the calculator's value (which is never trained on, as it is forced when
sampling), and a sentence that states it. Everything is seeded; the same machine and torch give
the same weights. The defaults take about half an hour on two cores.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.models.nanochat import GPT, GPTConfig
from vocab import ByteTokenizer
from vocab.conversation import render_question
from vocab.special import ASSISTANT_END, OUTPUT_END, OUTPUT_START, PYTHON_END, PYTHON_START
from worker.arithmetic import Question, arithmetic_question, spelling_question

TOKENIZER = ByteTokenizer()
CONFIG = GPTConfig(
    sequence_len=256,
    vocab_size=TOKENIZER.get_vocab_size(),
    n_layer=4,
    n_head=4,
    n_kv_head=4,
    n_embd=128,
)
IGNORED = -1  # a target that the loss passes over


def render(question: Question) -> tuple[list[int], list[int]]:
    """The tokens of a question with its answer, and which of them are learned (1) or given (0)."""
    special, encode = TOKENIZER.encode_special, TOKENIZER.encode
    prompt = render_question(question.text, TOKENIZER)
    call = [special(PYTHON_START), *encode(question.expression), special(PYTHON_END)]
    output = [special(OUTPUT_START), *encode(question.value), special(OUTPUT_END)]
    answer = [*encode(question.answer), special(ASSISTANT_END)]
    mask = [0] * len(prompt) + [1] * len(call) + [0] * len(output) + [1] * len(answer)
    return prompt + call + output + answer, mask


def make_batch(rng: random.Random, size: int) -> tuple[Tensor, Tensor]:
    """Inputs and targets, both [size, longest]; targets that are not learned are IGNORED."""
    questions = [
        spelling_question(rng) if rng.random() < 0.15 else arithmetic_question(rng)
        for _ in range(size)
    ]
    rendered = [render(question) for question in questions]
    longest = max(len(tokens) for tokens, _ in rendered) - 1
    inputs = torch.zeros(size, longest, dtype=torch.long)
    targets = torch.full((size, longest), IGNORED)
    for row, (tokens, mask) in enumerate(rendered):
        length = len(tokens) - 1
        inputs[row, :length] = torch.tensor(tokens[:-1])
        learned = [t if m else IGNORED for t, m in zip(tokens[1:], mask[1:], strict=True)]
        targets[row, :length] = torch.tensor(learned)
    return inputs, targets


def logits_of(model: GPT, inputs_BT: Tensor) -> Tensor:
    """Logits [B, T, V] of whole sequences through the packed forward."""
    batch, length = inputs_BT.shape

    def attend(layer: int, q_THD: Tensor, k_TKD: Tensor, v_TKD: Tensor) -> Tensor:
        q, k, v = (
            x.view(batch, length, *x.shape[1:]).transpose(1, 2) for x in (q_THD, k_TKD, v_TKD)
        )
        out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return out.transpose(1, 2).flatten(0, 1)

    positions = torch.arange(length).repeat(batch)
    logits: Tensor = model(inputs_BT.flatten(), positions, attend)
    return logits.view(batch, length, -1)


def initialize(model: GPT, generator: torch.Generator) -> None:
    for name, parameter in model.named_parameters():
        if name.endswith("c_proj.weight"):
            torch.nn.init.zeros_(parameter)
        elif name == "transformer.wte.weight":
            torch.nn.init.normal_(parameter, std=1.0, generator=generator)
        else:
            torch.nn.init.normal_(parameter, std=parameter.size(1) ** -0.5, generator=generator)


def learning_rate(step: int, num_steps: int, peak: float, warmup: int = 100) -> float:
    return peak * min((step + 1) / warmup, (num_steps - step) / (num_steps - warmup))


@torch.no_grad()
def answer_probability(model: GPT, rng: random.Random, size: int = 512) -> float:
    """Mean probability that a row sampled at temperature 1 is right to the letter."""
    inputs, targets = make_batch(rng, size)
    losses = F.cross_entropy(
        logits_of(model, inputs).flatten(0, 1),
        targets.flatten(),
        ignore_index=IGNORED,
        reduction="none",
    )
    return float((-losses.view(targets.shape).sum(1)).exp().mean())


def train(num_steps: int, batch_size: int, peak: float, seed: int) -> tuple[GPT, float]:
    rng, held_out = random.Random(seed), random.Random(seed + 1)
    model = GPT(CONFIG)
    initialize(model, torch.Generator().manual_seed(seed))
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.95), weight_decay=0.01)
    started = time.monotonic()
    for step in range(num_steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, num_steps, peak)
        inputs, targets = make_batch(rng, batch_size)
        loss = F.cross_entropy(
            logits_of(model, inputs).flatten(0, 1), targets.flatten(), ignore_index=IGNORED
        )
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 100 == 99:
            probability = answer_probability(model, held_out)
            seconds = time.monotonic() - started
            print(
                f"{step + 1:5d} loss {loss:.5f} right {probability:.4f} {seconds:.0f} s", flush=True
            )
    return model, answer_probability(model, held_out, size=4096)


def save(model: GPT, folder: Path, step: int, meta: dict[str, object]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(model.state_dict(), folder / f"model_{step:06d}.pt")
    (folder / f"meta_{step:06d}.json").write_text(json.dumps(meta, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--batch-size", type=int, default=96)
    parser.add_argument("--peak", type=float, default=3e-3, help="peak learning rate")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    model, probability = train(options.steps, options.batch_size, options.peak, options.seed)
    print(f"probability of a right row at temperature 1: {probability:.4f}")
    model_config = {name: getattr(CONFIG, name) for name in CONFIG.__slots__}
    meta = {
        "step": options.steps,
        "model_config": model_config,
        "tokenizer": "byte",
        "seed": options.seed,
        "right_at_temperature_1": round(probability, 4),
    }
    save(model, options.out, options.steps, meta)


if __name__ == "__main__":
    main()
