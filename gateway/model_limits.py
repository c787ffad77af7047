"""Whether a queue's workers can run a job: what would fail there is refused before it is queued."""

from __future__ import annotations

from collections.abc import Sequence

from jobs import GenerateJob, InvalidJobError, ModelCard


def check_against(cards: Sequence[ModelCard], jobs: Sequence[GenerateJob]) -> None:
    """Raises InvalidJobError for a job that none of the workers takes, as each says of itself.

    The error's note says which of many it is. Without a card the worker that takes the job checks
    it.
    """
    for index, job in enumerate(jobs):
        problems = [_problem(card, job) for card in cards]
        if problems and all(problems):
            problem = problems[0]
            assert problem is not None
            if len(jobs) > 1:
                problem.add_note(f"in the job at index {index}")
            raise problem


def most_new_tokens(cards: Sequence[ModelCard], job: GenerateJob) -> int | None:
    """How many tokens a row of the job may get at most; None where nobody knows."""
    if job.max_tokens is not None:
        return job.max_tokens
    lengths = [card.context_length for card in cards if card.context_length is not None]
    return max(max(lengths) - len(job.prompt_tokens), 1) if lengths else None


def _problem(card: ModelCard, job: GenerateJob) -> InvalidJobError | None:
    num_prompt, context = len(job.prompt_tokens), card.context_length
    if context is not None and num_prompt >= context:
        limit = f"at most {context - 1} tokens for the model's context of {context}"
        return InvalidJobError("prompt_tokens", f"a prompt of {num_prompt} tokens", limit)
    highest = max(job.prompt_tokens)
    if card.vocab_size is not None and highest >= card.vocab_size:
        limit = f"of tokens from 0 to {card.vocab_size - 1}, the model's vocabulary"
        return InvalidJobError("prompt_tokens", f"token {highest}", limit)
    most = card.max_num_samples
    if most is not None and job.num_samples > most:
        return InvalidJobError("num_samples", str(job.num_samples), f"at most {most}")
    room = None if context is None else context - num_prompt
    if card.max_new_tokens is not None and (room is None or card.max_new_tokens < room):
        room = card.max_new_tokens
        if job.max_tokens is None:
            return InvalidJobError("max_tokens", "leaving it out", f"given here, from 1 to {room}")
    if room is not None and job.max_tokens is not None and job.max_tokens > room:
        limit = f"at most {room} after this prompt, for this model"
        return InvalidJobError("max_tokens", str(job.max_tokens), limit)
    return None
