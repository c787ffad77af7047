"""From a request's parameters to its Controls, checked against the model and the tokenizer."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

import numpy as np

from engine.checks import shown
from engine.controls.bad_words import BadWords
from engine.controls.logit_controls import IntArray, LogitControls, as_tokens
from engine.controls.stop_strings import StopStrings
from engine.controls.structure import Structures
from engine.errors import RequestError
from engine.request import Request
from engine.sampling_params import SamplingParams
from vocab.tokenizer import Tokenizer

_HIDDEN_SIZE = "needs a model that tells the size of its vocabulary"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Controls:
    """Of one request, the same for all of its rows."""

    end_tokens: frozenset[int] = frozenset()
    """A row that takes one of them ends."""
    min_tokens: int = 0
    """A row ends by no token and no stop string that begins before it has so many tokens."""
    stops: StopStrings | None = None
    """None where nobody asks what the rows say: neither for stop strings nor for a structure."""
    logits: LogitControls | None = None
    """None where nothing changes the logits."""


UNCONTROLLED = Controls()


class ControlsCompiler:
    """Compiles the requests of one engine.

    `vocab_size` is the model's, None where it does not tell; `models_ends` are the tokens that end
    rows by themselves.
    """

    def __init__(
        self, vocab_size: int | None, tokenizer: Tokenizer | None, models_ends: frozenset[int]
    ) -> None:
        self._vocab_size = vocab_size
        self._tokenizer = tokenizer
        self._models_ends = models_ends
        self._structures = Structures(tokenizer, vocab_size, models_ends)

    def compile(self, request: Request, max_new_tokens: int) -> Controls:
        """Raises RequestError where a control can't act on this model, and says why."""
        params = request.params
        if params.min_tokens > max_new_tokens:
            raise RequestError(
                "min_tokens", f"must be at most {max_new_tokens} here, not {params.min_tokens}"
            )
        _check_vocabulary(params, self._vocab_size)
        ends = frozenset(params.stop_token_ids)
        if not params.ignore_eos:
            ends |= self._models_ends
        return Controls(
            end_tokens=ends,
            min_tokens=params.min_tokens,
            stops=_stops(params, self._tokenizer),
            logits=self._logit_controls(request, ends),
        )

    def _logit_controls(self, request: Request, ends: frozenset[int]) -> LogitControls | None:
        params = request.params
        repetition = 1.0 if params.repetition_penalty is None else params.repetition_penalty
        words = list(dict.fromkeys(_words(params, self._tokenizer)))
        biases = [(token, bias) for token, bias in _biases(params) if bias]
        penalties = (repetition, params.frequency_penalty, params.presence_penalty)
        compiled = LogitControls(
            prompt_tokens=request.prompt_tokens,
            bias_tokens=as_tokens(token for token, _ in biases),
            biases=np.array([bias for _, bias in biases], dtype=np.float32),
            penalties=None if penalties == (1, 0, 0) else penalties,
            seen_tokens=_distinct(request.prompt_tokens if repetition != 1 else ()),
            banned_tokens=as_tokens(word[0] for word in words if len(word) == 1),
            bad_words=BadWords(word for word in words if len(word) > 1),
            end_tokens=as_tokens(sorted(ends)),
            min_tokens=params.min_tokens if ends else 0,
            structure=self._structures.compile(params),
        )
        acting = compiled.first_field
        if acting is None:
            return None
        if self._vocab_size is None:
            raise RequestError(acting, _HIDDEN_SIZE)
        return compiled


def _check_vocabulary(params: SamplingParams, vocab_size: int | None) -> None:
    if vocab_size is None:
        if params.top_logprobs:
            raise RequestError("top_logprobs", _HIDDEN_SIZE)
        return
    words = (word for word in params.bad_words if not isinstance(word, str))
    named: dict[str, Iterable[int]] = {
        "stop_token_ids": params.stop_token_ids,
        "logit_bias": (token for token, _ in _biases(params)),
        "bad_words": (token for word in words for token in word),
    }
    for field, tokens in named.items():
        if (highest := max(tokens, default=-1)) >= vocab_size:
            raise RequestError(
                field, f"holds token {highest}, and the model's last is {vocab_size - 1}"
            )
    if params.top_logprobs > vocab_size:
        raise RequestError(
            "top_logprobs", f"must be at most {vocab_size} for this model's vocabulary"
        )


def _stops(params: SamplingParams, tokenizer: Tokenizer | None) -> StopStrings | None:
    if not params.stop and not params.is_structured:
        return None
    if tokenizer is None:
        if not params.stop:
            return None  # the structure needs one, too, and says so
        raise RequestError("stop", "needs a tokenizer, and this engine has none")
    return StopStrings(params.stop, params.min_tokens, tokenizer)


def _biases(params: SamplingParams) -> Iterator[tuple[int, float]]:
    for pair in params.logit_bias:
        assert isinstance(pair, tuple), "SamplingParams keeps them as pairs"
        yield pair


def _words(params: SamplingParams, tokenizer: Tokenizer | None) -> Iterator[tuple[int, ...]]:
    for word in params.bad_words:
        if isinstance(word, str):
            yield from _spellings(word, tokenizer)
        else:
            yield tuple(word)


def _spellings(word: str, tokenizer: Tokenizer | None) -> Iterator[tuple[int, ...]]:
    """The tokens of a word where it begins a text, and where it comes after another word."""
    if tokenizer is None:
        raise RequestError("bad_words", "text needs a tokenizer, and this engine has none")
    for text in (word, f" {word}"):
        tokens = tuple(tokenizer.encode(text))
        if not tokens:
            raise RequestError("bad_words", f"{shown(word)} has no tokens here")
        yield tokens


def _distinct(tokens: Iterable[int]) -> IntArray:
    return as_tokens(dict.fromkeys(tokens))
