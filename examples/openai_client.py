"""Four answers to a question, side by side as they are sampled, by OpenAI's own client.

rowmill worker --model demo &
rowmill gateway --model demo &
python examples/openai_client.py "What is 12 + 30?"
"""

from __future__ import annotations

import argparse

from openai import OpenAI
from rich.live import Live
from rich.text import Text


def main() -> None:
    parser = argparse.ArgumentParser(description="Ask a gateway, and print answers as they come.")
    parser.add_argument("question", nargs="?", default="What is 12 + 30?")
    parser.add_argument("--url", default="http://127.0.0.1:8000/v1", help="(%(default)s)")
    parser.add_argument("--key", default="none", help="an API key, where the gateway asks for one")
    parser.add_argument("--seed", type=int, default=7, help="the same seed, the same answers")
    arguments = parser.parse_args()

    client = OpenAI(base_url=arguments.url, api_key=arguments.key)
    (model,) = client.models.list()
    stream = client.chat.completions.create(
        model=model.id,
        messages=[{"role": "user", "content": arguments.question}],
        n=4,
        seed=arguments.seed,
        max_tokens=96,
        stream=True,
    )
    answers: dict[int, str] = {}
    with Live(transient=True) as live:
        for chunk in stream:
            for choice in chunk.choices:
                said = choice.delta.content or ""
                answers[choice.index] = answers.get(choice.index, "") + said
            live.update(Text(shown(answers)))
    print(shown(answers))


def shown(answers: dict[int, str]) -> str:
    return "\n".join(f"{index}  {answers[index]}" for index in sorted(answers))


if __name__ == "__main__":
    main()
