"""Structured output: rows that follow a JSON schema, a regular expression or a grammar.

llguidance tells which tokens may come next, as bits: those that can still lead to a text of the
structure. Once the structure is complete, and nothing can follow, they are the tokens that end a
row. What it tells follows from the structure and the row's tokens alone.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from engine.checks import shown
from engine.controls.structure_tokens import StructureTokens
from engine.errors import RequestError
from engine.sampling_params import SamplingParams
from vocab.tokenizer import TellsBytes, Tokenizer, WritesJson

if TYPE_CHECKING:  # an extra; it is loaded by the first request that wants it
    from llguidance import LLMatcher, LLTokenizer

_MOST_COMPILED = 64
_WORD_BITS = 32
_WHITESPACE = r"[\x20\x0A\x0D\x09]{1,20}"
"""Between JSON's parts, where there is any: some models would go on with it for ever. A schema may
say otherwise under llguidance's own "x-guidance"."""
_SHOWN = 400


class Structure:
    """What `Structures.compile` makes of a request's schema, expression or grammar."""

    def __init__(self, field: str, matcher: LLMatcher, vocabulary: Vocabulary) -> None:
        self._field = field
        self._matcher = matcher
        self._vocabulary = vocabulary

    def new_row(self) -> RowStructure:
        return RowStructure(self._field, self._matcher.deep_copy(), self._vocabulary)


class RowStructure:
    """How far one row has come in its structure."""

    __slots__ = ("_field", "matcher", "vocabulary")

    def __init__(self, field: str, matcher: LLMatcher, vocabulary: Vocabulary) -> None:
        self.matcher = matcher
        self.vocabulary = vocabulary
        """The same for all rows of an engine."""
        self._field = field

    def observe(self, token: int) -> None:
        """Follow the row's next token."""
        self.matcher.consume_token(token)

    @property
    def error(self) -> str | None:
        """Why no token may follow, where the structure turned out to be too complex."""
        if not self.matcher.is_error():
            return None
        return f"{self._field}: {_brief(self.matcher.get_error())}"


class Structures:
    """Compiles the structures of an engine's requests."""

    def __init__(
        self, tokenizer: Tokenizer | None, vocab_size: int | None, terminal: frozenset[int]
    ) -> None:
        """`terminal`: the tokens that end a row."""
        self._tokenizer = tokenizer
        self._vocab_size = vocab_size
        self._terminal = terminal
        self._compiled: OrderedDict[tuple[str, str], Structure] = OrderedDict()
        """The latest ones: a dataset's requests all have the same."""
        self._vocabulary: Vocabulary | None = None

    def compile(self, params: SamplingParams) -> Structure | None:
        """None for a request that has no structure.

        Raises RequestError where it can't be compiled, allows no text at all, or the engine lacks
        what it takes.
        """
        for field in ("json_schema", "regex", "grammar"):
            text: str | None = getattr(params, field)
            if text is not None:
                return self._latest(field, text)
        return None

    def _latest(self, field: str, text: str) -> Structure:
        key = field, text
        structure = self._compiled.pop(key, None) or self._compile(field, text)
        self._compiled[key] = structure
        if len(self._compiled) > _MOST_COMPILED:
            self._compiled.popitem(last=False)
        return structure

    def _compile(self, field: str, text: str) -> Structure:
        vocabulary = self._prepared(field)
        matcher = vocabulary.matcher(_grammar(field, text))
        if matcher.is_error():
            raise RequestError(field, f"does not compile: {_brief(matcher.get_error())}")
        structure = Structure(field, matcher, vocabulary)
        if not allowed_tokens([structure.new_row()]).any():
            raise RequestError(field, "allows no text at all")
        return structure

    def _prepared(self, field: str) -> Vocabulary:
        if self._vocabulary is not None:
            return self._vocabulary
        if self._tokenizer is None or not self._terminal:
            raise RequestError(field, "needs a model with a tokenizer and a token that ends rows")
        if not isinstance(self._tokenizer, TellsBytes | WritesJson):
            raise RequestError(field, "needs a tokenizer that tells the bytes of its tokens")
        if self._vocab_size is None:
            raise RequestError(field, "needs a model that tells the size of its vocabulary")
        try:
            self._vocabulary = Vocabulary(self._tokenizer, self._vocab_size, self._terminal)
        except ImportError as error:
            hint = "needs llguidance where the model runs: pip install 'rowmill[structured]'"
            raise RequestError(field, hint) from error
        except ValueError as error:  # it knows few of the ways in which tokens become text
            reason = f"llguidance can't read this model's tokenizer: {_brief(str(error))}"
            raise RequestError(field, reason) from error
        return self._vocabulary


class Vocabulary:
    """A model's tokens as llguidance knows them. Takes up to a second where there are many."""

    def __init__(self, tokenizer: Tokenizer, size: int, terminal: frozenset[int]) -> None:
        from llguidance import LLExecutor, LLParserLimits

        self.size = size
        self.executor = LLExecutor(torch.get_num_threads())
        self._tokens = _llguidance_tokenizer(tokenizer, size, sorted(terminal))
        self._limits = LLParserLimits(verbose_errors=False)

    def matcher(self, grammar: str) -> LLMatcher:
        from llguidance import LLMatcher

        return LLMatcher(self._tokens, grammar, log_level=0, limits=self._limits)


def allowed_tokens(rows: Sequence[RowStructure]) -> torch.Tensor:
    """Bool `[rows, vocab]`, on the CPU: which tokens may come next; none after an error.

    The rows, at least one, are of one engine.
    """
    vocabulary = rows[0].vocabulary
    words = np.zeros((len(rows), -(-vocabulary.size // _WORD_BITS)), dtype=np.int32)
    vocabulary.executor.unsafe_compute_mask_ptr(
        [(row.matcher, place) for place, row in enumerate(rows)],
        words.ctypes.data,
        words.strides[0],
        len(rows),
    )
    for row, its in zip(rows, words, strict=True):
        if row.error is not None:  # its mask lets it end as if it were complete
            its[:] = 0
    bits = np.unpackbits(words.view(np.uint8), axis=1, bitorder="little")
    return torch.from_numpy(bits[:, : vocabulary.size].view(np.bool_))


def _grammar(field: str, text: str) -> str:
    """In llguidance's own notation."""
    from llguidance import LLMatcher

    if field == "regex":
        return LLMatcher.grammar_from_regex(text)
    if field == "grammar":
        return LLMatcher.grammar_from_lark(text)
    try:
        schema = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RequestError(field, f"is no JSON: {error}") from error
    if not isinstance(schema, dict):
        raise RequestError(field, f"must be a JSON object, not {shown(schema)}")
    options: Any = {"whitespace_pattern": _WHITESPACE}
    try:
        return LLMatcher.grammar_from_json_schema(json.dumps(schema), defaults=options)
    except ValueError as error:  # its JSON is stricter than Python's, and not as deep
        raise RequestError(field, f"is no JSON for llguidance: {_brief(str(error))}") from error


def _llguidance_tokenizer(tokenizer: Any, vocab_size: int, ends: list[int]) -> LLTokenizer:
    from llguidance import LLTokenizer

    if isinstance(tokenizer, WritesJson):
        return LLTokenizer(tokenizer.to_json(), n_vocab=vocab_size, eos_token=ends)
    wrapper: Any = StructureTokens(tokenizer, vocab_size, ends[0])
    return LLTokenizer(wrapper, n_vocab=vocab_size, eos_token=ends)


def _brief(message: str) -> str:
    """What matters of a message that may quote the whole grammar, in one line."""
    line = " ".join(message.partition("<state>")[0].split())
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}..."
