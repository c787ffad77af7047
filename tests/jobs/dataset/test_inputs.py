"""A line becomes the job that it asks for, or says what is wrong with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs import GenerateJob, InvalidJobError
from jobs.dataset.errors import InputFileError
from jobs.dataset.inputs import BadLine, Input
from jobs.dataset.seeds import derive_seed
from jobs.dataset.source import Source
from tests.jobs.dataset.files import SUFFIXES, write_lines, write_records
from tests.jobs.dataset.readers import TOKENIZER, input_of, outcomes, reader, reason_of
from vocab import ByteTokenizer
from vocab.conversation import render_messages, render_question

BOS = TOKENIZER.get_bos_token_id()
MESSAGES = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
TOKENS = {"prompt_tokens": [1, 2]}


@pytest.mark.parametrize(
    ("record", "options", "tokens"),
    [
        (TOKENS, {}, [1, 2]),
        ({"prompt": "ab"}, {}, [BOS, 97, 98]),
        ({"prompt": "ab"}, {"is_chat": True}, render_question("ab", TOKENIZER)),
        ({"messages": MESSAGES}, {}, render_messages(MESSAGES, TOKENIZER)),
        ({"prompt": MESSAGES}, {}, render_messages(MESSAGES, TOKENIZER)),
        ({"prompt": [3]}, {"is_chat": True}, [3]),
        ({"prompt": "", "messages": None}, {}, [BOS]),
        ({"question": "ab", "prompt": "c"}, {"prompt_column": "question"}, [BOS, 97, 98]),
        ({"question": [5], "messages": 1}, {"prompt_column": "question"}, [5]),
    ],
)
def test_the_type_of_a_prompt_says_how_it_is_read(
    tmp_path: Path, record: dict[str, Any], options: dict[str, Any], tokens: list[int]
) -> None:
    assert list(input_of(tmp_path, record, **options).job.prompt_tokens) == tokens


def test_a_line_overrides_the_run_and_null_does_not(tmp_path: Path) -> None:
    defaults = {"num_samples": 4, "max_tokens": 9, "temperature": 0.5, "top_k": 3, "top_p": None}
    own = {"num_samples": 8, "temperature": 0, "top_p": 0.25, "min_p": 0.1, "seed": 7}
    job = input_of(tmp_path, {**TOKENS, **own, "top_k": None, "answer": 1}, defaults=defaults).job
    expected = {**TOKENS, **own, "prompt_tokens": (1, 2), "max_tokens": 9, "top_k": 3}
    assert job == GenerateJob(**expected)


CONTROLS: dict[str, Any] = {
    "min_tokens": 2,
    "stop": ["\n", "END"],
    "stop_token_ids": [5, 6],
    "ignore_eos": True,
    "repetition_penalty": 1.5,
    "presence_penalty": 0.5,
    "frequency_penalty": -0.5,
    "bad_words": ["a", "b"],
}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_line_may_have_controls_of_its_own(tmp_path: Path, suffix: str) -> None:
    records = [{**TOKENS, **CONTROLS}, {**TOKENS, "stop": ["x"]}, {**TOKENS, "regex": "a+"}]
    every = {**dict.fromkeys([*CONTROLS, "regex"]), **TOKENS}
    path = write_records(tmp_path / f"a{suffix}", [{**every, **record} for record in records])
    jobs = [
        outcome.job.model_copy(update={"seed": 0})
        for outcome in outcomes([path], reader(defaults={"stop": ("y",), "presence_penalty": 1.0}))
        if isinstance(outcome, Input)
    ]
    run = {**TOKENS, "stop": ["y"], "presence_penalty": 1.0}
    assert jobs == [GenerateJob(**{**run, **record}) for record in records]


def test_a_line_may_have_biases(tmp_path: Path) -> None:
    job = input_of(tmp_path, {**TOKENS, "logit_bias": {"7": -1, "3": 2.5}}).job
    assert job.logit_bias == ((3, 2.5), (7, -1.0))


def test_a_line_does_not_say_which_columns_there_are(tmp_path: Path) -> None:
    line = {**TOKENS, "logprobs": True, "top_logprobs": 3, "return_prompt_logprobs": True}
    job = input_of(tmp_path, line).job
    assert not job.logprobs and not job.top_logprobs and not job.return_prompt_logprobs


def test_a_prompt_is_no_control_whatever_its_column_is_called(tmp_path: Path) -> None:
    job = input_of(tmp_path, {"regex": "ab"}, prompt_column="regex").job
    assert job.prompt_tokens == (BOS, 97, 98)
    assert job.regex is None


def test_a_conflict_with_the_run_is_a_bad_line(tmp_path: Path) -> None:
    reason = reason_of(tmp_path, {**TOKENS, "regex": "a"}, defaults={"min_tokens": 2})
    assert "min_tokens: 2 is not allowed; it must be 0 beside regex" in reason


def test_seeds_are_the_lines_own_or_derived(tmp_path: Path) -> None:
    records = [TOKENS, {**TOKENS, "id": "a"}, {**TOKENS, "id": 3}, {**TOKENS, "seed": 2**64 - 1}]
    path = write_records(tmp_path / "a.jsonl", records)
    inputs = outcomes([path], reader(seed=5))
    assert [outcome.job.seed for outcome in inputs if isinstance(outcome, Input)] == [
        derive_seed(5, 0, None),
        derive_seed(5, 1, "a"),
        derive_seed(5, 2, "3"),
        2**64 - 1,
    ]
    assert [outcome.id for outcome in inputs] == [None, "a", "3", None]


records = st.lists(
    st.fixed_dictionaries(
        {"prompt": st.text(st.characters(codec="utf-8"), max_size=20)},
        optional={
            "id": st.text(st.characters(codec="utf-8"), max_size=4),
            "num_samples": st.integers(-1, 5),
            "temperature": st.floats(0, 2),
            "seed": st.integers(0, 2**63 - 1),
            "answer": st.integers(0, 9),
        },
    ),
    min_size=1,
    max_size=8,
)


@given(records)
def test_every_kind_of_file_gives_the_same_inputs(
    tmp_path_factory: pytest.TempPathFactory, records: list[dict[str, Any]]
) -> None:
    folder = tmp_path_factory.mktemp("kinds")
    its_reader = reader(seed=1)
    first, *others = [
        [
            (outcome.id, outcome.job if isinstance(outcome, Input) else outcome.reason)
            for outcome in outcomes([write_records(folder / f"a{suffix}", records)], its_reader)
        ]
        for suffix in SUFFIXES
    ]
    assert all(other == first for other in others)


def test_messages_and_tokens_of_parquet_are_read(tmp_path: Path) -> None:
    records = [{"messages": MESSAGES, "prompt_tokens": None}, {"messages": None, **TOKENS}]
    path = write_records(tmp_path / "a.parquet", records)
    chat, tokens = outcomes([path], reader())
    assert isinstance(chat, Input) and isinstance(tokens, Input)
    assert list(chat.job.prompt_tokens) == render_messages(MESSAGES, TOKENIZER)
    assert tokens.job.prompt_tokens == (1, 2)


def test_integers_that_pandas_made_floats_are_integers(tmp_path: Path) -> None:
    frame = pandas.DataFrame(
        {
            "prompt": ["a", "b"],
            "id": [1, None],
            "num_samples": [8, None],
            "seed": [2**53, None],
            "top_k": [None, 5],
        }
    )
    assert frame["num_samples"].dtype == "float64"
    frame.to_parquet(tmp_path / "a.parquet")
    first, second = outcomes([tmp_path / "a.parquet"], reader(defaults={"num_samples": 2}))
    assert isinstance(first, Input) and isinstance(second, Input)
    assert (first.id, first.job.num_samples, first.job.seed) == ("1", 8, 2**53)
    assert (second.id, second.job.num_samples, second.job.top_k) == (None, 2, 5)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"text": "a"}, "no prompt: none of prompt_tokens, prompt, messages"),
        ({"prompt": None}, "no prompt"),
        ({"prompt": "a", "messages": MESSAGES}, "prompt and messages: name one with --prompt-col"),
        ({"prompt": 5}, "prompt: 5 is not allowed; it must be text"),
        ({"prompt": {"a": 1}}, "it must be text"),
        ({"prompt": []}, "prompt: is empty"),
        ({"prompt_tokens": [1, -1]}, "prompt_tokens: -1 at index 1"),
        ({"prompt_tokens": [1.0]}, "prompt_tokens: 1.0 at index 0"),
        ({"prompt_tokens": [1, "a"]}, "prompt_tokens: 'a' at index 1"),
        ({"prompt": ["a"]}, "prompt: 'a' at index 0"),
        ({"messages": MESSAGES[:1]}, "messages: message 1: there is none"),
        ({"messages": [*MESSAGES, 5]}, "messages: message 2: it is int"),
        ({**TOKENS, "num_samples": 0}, "num_samples: 0"),
        ({**TOKENS, "num_samples": 1.5}, "num_samples: 1.5"),
        ({**TOKENS, "num_samples": True}, "num_samples: True"),
        ({**TOKENS, "num_samples": 10**400}, "num_samples: 1"),
        ({**TOKENS, "seed": -1}, "seed: -1"),
        ({**TOKENS, "seed": 2.0**60}, "seed: 1.15"),
        ({**TOKENS, "seed": "a"}, "seed: 'a'"),
        ({**TOKENS, "temperature": "hot"}, "temperature: 'hot'"),
        ({**TOKENS, "temperature": 1e999}, "Infinity is no number"),
        ({**TOKENS, "id": ""}, "id: '' is not allowed; it must be a string of 1 to 512"),
        ({**TOKENS, "id": "x" * 513}, "id: 'xxx"),
        ({**TOKENS, "id": True}, "id: True"),
        ({**TOKENS, "id": 1.5}, "id: 1.5"),
        ({**TOKENS, "id": 2**70}, "id: 1180591620717411303424"),
        ({**TOKENS, "id": ["a"]}, "id: ['a']"),
    ],
)
def test_a_bad_line_says_what_is_wrong(tmp_path: Path, record: dict[str, Any], reason: str) -> None:
    assert reason in reason_of(tmp_path, record)


def test_a_bad_line_keeps_its_place_and_its_id(tmp_path: Path) -> None:
    path = write_records(tmp_path / "a.jsonl", [TOKENS, {"id": 7, **TOKENS, "top_p": 2}])
    limit = "None or a number above 0 and at most 1"
    assert outcomes([path], reader())[1] == BadLine(
        index=1,
        location="a.jsonl line 2",
        id="7",
        reason=f"top_p: 2 is not allowed; it must be {limit}",
    )


def test_the_prompt_column_is_called_by_its_name(tmp_path: Path) -> None:
    options = {"prompt_column": "question"}
    assert "nothing in 'question'" in reason_of(tmp_path, {"prompt": "a"}, **options)
    assert reason_of(tmp_path, {"question": [-1]}, **options).startswith("question: -1 at index 0")


def test_an_id_may_be_in_another_column(tmp_path: Path) -> None:
    record = {**TOKENS, "id": "a", "key": "b"}
    assert input_of(tmp_path, record, id_column="key").id == "b"


def test_text_without_a_tokenizer_stops_the_run(tmp_path: Path) -> None:
    assert input_of(tmp_path, TOKENS, tokenizer=None).job.prompt_tokens == (1, 2)
    for record in ({"prompt": "a"}, {"messages": MESSAGES}):
        path = write_records(tmp_path / "a.jsonl", [TOKENS, record])
        with pytest.raises(InputFileError, match=r"^a\.jsonl line 2: text needs.* give --model"):
            outcomes([path], reader(tokenizer=None))


def test_a_tokenizer_without_the_tokens_of_a_chat_is_named(tmp_path: Path) -> None:
    tokenizer = ByteTokenizer(special_tokens=("<|bos|>",))
    reason = reason_of(tmp_path, {"messages": MESSAGES}, tokenizer=tokenizer)
    assert "the tokenizer has no '<|user_start|>'" in reason


@pytest.mark.parametrize("bad", [{"num_samples": 0}, {"top": 1}, {"temperature": "1"}])
def test_bad_defaults_are_refused_at_once(bad: dict[str, Any]) -> None:
    with pytest.raises(InvalidJobError, match=next(iter(bad))):
        reader(defaults=bad)
    with pytest.raises(InvalidJobError, match="seed"):
        reader(seed=2**64)


def test_checking_a_line_is_reading_it_without_its_text(tmp_path: Path) -> None:
    lines = [b'{"prompt": "abc", "num_samples": 3, "id": 1}', b'{"prompt": 1}', b"{"]
    path = write_lines(tmp_path / "a.jsonl", lines)
    its_reader = reader()
    with Source([path]).lines() as source_lines:
        for line in source_lines:
            read, checked = its_reader.read(line), its_reader.check(line)
            if isinstance(read, Input) and isinstance(checked, Input):
                assert checked.id == read.id
                assert checked.job.fields() == {**read.job.fields(), "prompt_tokens": (0,)}
            else:
                assert checked == read


COLUMNS = ("prompt", "prompt_tokens", "messages", "id", "num_samples", "seed", "top_p", "custom_id")
BODY = ("prompt", "messages", "n", "seed", "stream", "best_of", "max_tokens", "logprobs")
NESTED = ("role", "content", "type", "text", "user", "system")
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NESTED), inner, max_size=3)
    ),
    max_leaves=6,
)
lines = (
    st.binary(max_size=30)
    | st.dictionaries(st.sampled_from(COLUMNS), values, max_size=4)
    | st.fixed_dictionaries(
        {"custom_id": values, "body": st.dictionaries(st.sampled_from(BODY), values, max_size=4)},
        optional={"url": values, "method": values},
    )
)


@given(st.lists(lines, max_size=6), st.booleans())
def test_any_line_is_an_input_or_bad(
    tmp_path_factory: pytest.TempPathFactory, hostile: list[Any], is_chat: bool
) -> None:
    folder = tmp_path_factory.mktemp("hostile")
    texts = [
        line.replace(b"\n", b"") if isinstance(line, bytes) else json.dumps(line).encode()
        for line in hostile
    ]
    path = write_lines(folder / "a.jsonl", [b"{}", *texts, json.dumps(TOKENS).encode()])
    *_, last = outcomes([path], reader(is_chat=is_chat))
    assert isinstance(last, Input) and last.job.prompt_tokens == (1, 2)
