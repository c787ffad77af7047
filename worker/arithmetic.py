"""Generated questions with known answers: what the shipped model was trained on and is asked."""

from __future__ import annotations

import dataclasses
import random
import string
from collections.abc import Sequence

from vocab import Tokenizer
from vocab.special import OUTPUT_END

_TEMPLATES = (
    "What is {}?",
    "What is {}?",
    "What's {}?",
    "Calculate {}.",
    "Compute {}.",
    "How much is {}?",
    "{} = ?",
    "{}",
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question, the expression that the calculator is to evaluate, and the answer in words."""

    text: str
    expression: str
    value: str
    answer: str


def arithmetic_question(rng: random.Random) -> Question:
    """One question about numbers of up to four digits and one to two operations."""
    expression, value = rng.choice((_sum, _product, _quotient, _chain))(rng)
    if rng.random() < 0.2:
        expression = expression.replace(" ", "")
    return Question(
        text=rng.choice(_TEMPLATES).format(expression),
        expression=expression,
        value=value,
        answer=f"{expression} = {value}.",
    )


def spelling_question(rng: random.Random) -> Question:
    """One question about how often a letter stands in a made-up word."""
    letters = rng.sample(string.ascii_lowercase, rng.randint(2, 6))
    word = "".join(rng.choice(letters) for _ in range(rng.randint(3, 10)))
    letter = rng.choice(letters)
    return Question(
        text=f"How many {letter} are in {word}?",
        expression=f'"{word}".count("{letter}")',
        value=str(word.count(letter)),
        answer=f"{word} has {word.count(letter)} {letter}.",
    )


def stated_answer(tokens: Sequence[int], tokenizer: Tokenizer) -> str:
    """What a row of the shipped model says after the calculator's output, to be held against a
    question's `answer`; nothing where the model did not call the calculator."""
    output_end = tokenizer.encode_special(OUTPUT_END)
    if output_end not in tokens:
        return ""
    return tokenizer.decode(tokens[tokens.index(output_end) + 1 :])


def _number(rng: random.Random) -> int:
    return rng.randint(0 if rng.random() < 0.1 else 1, 10 ** rng.randint(1, 4) - 1)


def _sum(rng: random.Random) -> tuple[str, str]:
    a, b = _number(rng), _number(rng)
    return (f"{a} + {b}", str(a + b)) if rng.random() < 0.5 else (f"{a} - {b}", str(a - b))


def _product(rng: random.Random) -> tuple[str, str]:
    a, b = _number(rng), _number(rng)
    return f"{a} * {b}", str(a * b)


def _quotient(rng: random.Random) -> tuple[str, str]:
    a, b = rng.randint(1, 999), rng.randint(1, 99)
    return f"{a * b} / {b}", str(float(a))


def _chain(rng: random.Random) -> tuple[str, str]:
    a, b, c = (rng.randint(1, 999) for _ in range(3))
    return rng.choice(
        (
            (f"({a} + {b}) * {c}", str((a + b) * c)),
            (f"{a} * ({b} - {c})", str(a * (b - c))),
            (f"{a} + {b} * {c}", str(a + b * c)),
            (f"{a} + {b} - {c}", str(a + b - c)),
        )
    )
