"""What a job says becomes a request, or an error that tells what was wrong with it."""

from __future__ import annotations

import contextlib
import dataclasses
import pickle
import zlib
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine import Engine, RequestError, RequestResult, RowResult
from engine.models import load_model
from jobs import FUNCTION_NAME, InvalidJobError, MsgpackSerializer, WireError
from worker.ledger import Claim
from worker.translate import to_request, to_wire

FIELDS: dict[str, Any] = {
    "prompt_tokens": [1, 2, 3],
    "num_samples": 4,
    "max_tokens": 5,
    "temperature": 0.5,
    "top_k": 6,
    "top_p": 0.75,
    "min_p": 0.25,
    "seed": 2**64 - 1,
}

wire_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=10,
)


def claim(payload: bytes, *extras: str) -> Claim:
    return Claim(
        job_id="job",
        execution_id="execution",
        payload=payload,
        timeout=None,
        extras=extras,
        claimed_at=0.0,
    )


def call(function: object = FUNCTION_NAME, *, args: object = (), kwargs: object = None) -> bytes:
    """RQ's `data` field, before it is compressed."""
    fields = FIELDS if kwargs is None else kwargs
    return MsgpackSerializer.dumps([function, None, args, fields])


@pytest.mark.parametrize("payload", [call(), zlib.compress(call())], ids=["plain", "compressed"])
def test_every_field_of_a_job_reaches_the_engine(payload: bytes) -> None:
    request = to_request(claim(payload))

    assert request.id == "execution"
    for name in FIELDS:
        owner = request if name in ("prompt_tokens", "num_samples") else request.params
        value = FIELDS[name]
        assert getattr(owner, name) == (tuple(value) if isinstance(value, list) else value)


def test_what_a_job_leaves_out_is_the_engines_default() -> None:
    request = to_request(claim(call(kwargs={"prompt_tokens": [1]})))

    assert (request.num_samples, request.params.seed, request.params.temperature) == (1, 0, 1.0)
    assert request.params.max_tokens is None and request.params.top_k is None


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "msgpack"),
        (call()[:-1], "msgpack"),
        (zlib.compress(call())[:-8], "msgpack"),
        (pickle.dumps(("jobs.generate", None, (), FIELDS)), "pickle"),
        (zlib.compress(bytes(65 * 2**20)), "inflates"),
        (MsgpackSerializer.dumps("jobs.generate"), "four parts"),
        (MsgpackSerializer.dumps([FUNCTION_NAME, None, {}]), "four parts"),
    ],
    ids=["empty", "cut off", "zlib cut off", "pickle", "bomb", "no call", "three parts"],
)
def test_what_is_not_rowmills_format_is_a_wire_error(payload: bytes, reason: str) -> None:
    with pytest.raises(WireError, match=reason):
        to_request(claim(payload))


@pytest.mark.parametrize("extra", ["success_callback", "repeat"])
def test_a_job_that_brings_code_or_repeats_is_refused_by_that_name(extra: str) -> None:
    with pytest.raises(InvalidJobError) as caught:
        to_request(claim(call(), extra))
    assert caught.value.field == extra


@pytest.mark.parametrize(
    "payload",
    [
        call("os.system"),
        call(None),
        call(["jobs.generate"]),
        call(args=[1]),
        MsgpackSerializer.dumps([FUNCTION_NAME, "an instance", [], FIELDS]),
    ],
)
def test_only_our_function_with_keywords_is_taken(payload: bytes) -> None:
    with pytest.raises(InvalidJobError) as caught:
        to_request(claim(payload))
    assert caught.value.field == "function"


def test_a_bad_field_is_named() -> None:
    with pytest.raises(InvalidJobError) as caught:
        to_request(claim(call(kwargs={**FIELDS, "temperature": float("nan")})))
    assert caught.value.field == "temperature"


@given(st.binary(max_size=200))
@example(b"\x80")
@example(b"\x78\x9c")
def test_no_bytes_raise_anything_else(payload: bytes) -> None:
    for data in (payload, zlib.compress(payload)):
        with contextlib.suppress(WireError, InvalidJobError, RequestError):
            to_request(claim(data))


@given(
    function=st.just(FUNCTION_NAME) | wire_values,
    args=st.just([]) | wire_values,
    fields=st.dictionaries(st.sampled_from(sorted(FIELDS)) | st.text(), wire_values) | wire_values,
)
def test_no_call_raises_anything_else(function: object, args: object, fields: object) -> None:
    payload = MsgpackSerializer.dumps([function, None, args, fields])
    with contextlib.suppress(WireError, InvalidJobError, RequestError):
        to_request(claim(payload))


def test_rows_keep_their_order_masks_reasons_and_provenance_on_the_wire() -> None:
    provenance = Engine(load_model("demo")[0], None).provenance
    rows = [
        RowResult(tokens=[7, 8], masks=[1, 0], finish_reason="stop"),
        RowResult(tokens=[9], masks=[1], finish_reason="length"),
    ]

    result = RequestResult(request_id="execution", rows=rows, provenance=provenance)
    read = MsgpackSerializer.loads(to_wire(result))

    assert [(list(row.tokens), list(row.masks), row.finish_reason) for row in read.rows] == [
        (row.tokens, row.masks, row.finish_reason) for row in rows
    ]
    assert read.provenance.model_dump() == dataclasses.asdict(provenance)
    assert read.reproducible == result.reproducible == provenance.reproducible


def test_rows_of_unknown_provenance_are_not_called_reproducible() -> None:
    result = RequestResult("execution", [RowResult([7], [1], "stop")])
    read = MsgpackSerializer.loads(to_wire(result))
    assert read.provenance is None and not read.reproducible
