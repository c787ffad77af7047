"""What a job says becomes a request, or an error that tells what was wrong with it."""

from __future__ import annotations

import contextlib
import dataclasses
import pickle
import zlib
from typing import Any

import msgpack
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine import Engine, Request, RequestError, RequestResult, RowResult, SamplingParams
from engine.models import load_model
from jobs import FUNCTION_NAME, GenerateJob, InvalidJobError, MsgpackSerializer, WireError
from jobs.job_options import MAX_PAYLOAD_BYTES
from jobs.payload import read_job
from worker.claim import Claim
from worker.translate import to_job, to_request, to_wire

FIELDS: dict[str, Any] = {
    "prompt_tokens": [1, 2, 3],
    "num_samples": 4,
    "first_row": 9,
    "max_tokens": 5,
    "temperature": 0.5,
    "top_k": 6,
    "top_p": 0.75,
    "min_p": 0.25,
    "seed": 2**64 - 1,
    "min_tokens": 2,
    "stop": ["a", "\n\n"],
    "stop_token_ids": [3, 4],
    "ignore_eos": True,
    "repetition_penalty": 1.25,
    "presence_penalty": -0.5,
    "frequency_penalty": 0.25,
    "logit_bias": {"7": -100.0, "2": 1.5},
    "bad_words": ["b", [5, 6]],
    "logprobs": True,
    "top_logprobs": 3,
    "logprobs_mode": "processed",
    "return_prompt_logprobs": True,
}
KEPT: dict[str, Any] = {
    "prompt_tokens": (1, 2, 3),
    "stop": ("a", "\n\n"),
    "stop_token_ids": (3, 4),
    "logit_bias": ((2, 1.5), (7, -100.0)),
    "bad_words": ("b", (5, 6)),
}

wire_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=10,
)


def claim(payload: bytes, *callbacks: str, queue: str = "rowmill") -> Claim:
    return Claim(
        queue=queue,
        job_id="job",
        execution_id="execution",
        payload=payload,
        timeout=None,
        deadline=None,
        created_at=None,
        claimed_at=0.0,
        is_alone=False,
        callbacks=callbacks,
    )


def read(claimed: Claim) -> Request:
    return to_request(to_job(claimed, MAX_PAYLOAD_BYTES), claimed.execution_id)


def call(function: object = FUNCTION_NAME, *, args: object = (), kwargs: object = None) -> bytes:
    """RQ's `data` field, before it is compressed."""
    fields = FIELDS if kwargs is None else kwargs
    return MsgpackSerializer.dumps([function, None, args, fields])


@pytest.mark.parametrize("payload", [call(), zlib.compress(call())], ids=["plain", "compressed"])
def test_every_field_of_a_job_reaches_the_engine(payload: bytes) -> None:
    request = read(claim(payload))

    assert request.id == "execution"
    for name in FIELDS:
        owner = request if hasattr(request, name) else request.params
        assert getattr(owner, name) == {**FIELDS, **KEPT}[name], name


@pytest.mark.parametrize("name", ["json_schema", "regex", "grammar"])
def test_a_structure_reaches_the_engine(name: str) -> None:
    params = read(claim(call(kwargs={"prompt_tokens": [1], name: "{}"}))).params
    assert params.is_structured
    assert getattr(params, name) == "{}"


def test_what_a_job_leaves_out_is_the_engines_default() -> None:
    request = read(claim(call(kwargs={"prompt_tokens": [1]})))

    assert (request.num_samples, request.first_row, request.params.seed) == (1, 0, 0)
    assert request.params == SamplingParams()


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "empty"),
        (call()[:-1], "msgpack"),
        (zlib.compress(call())[:-8], "one zlib stream"),
        (zlib.compress(call())[:-1], "one zlib stream"),
        (zlib.compress(call()) + b"x", "one zlib stream"),
        (pickle.dumps(("jobs.generate", None, (), FIELDS)), "pickle"),
        (zlib.compress(bytes(65 * 2**20)), "inflates"),
        (MsgpackSerializer.dumps("jobs.generate"), "four parts"),
        (MsgpackSerializer.dumps([FUNCTION_NAME, None, {}]), "four parts"),
    ],
    ids=[
        *("empty", "cut off", "zlib cut off", "without its checksum", "tail", "pickle", "bomb"),
        *("no call", "three parts"),
    ],
)
def test_what_is_not_rowmills_format_is_a_wire_error(payload: bytes, reason: str) -> None:
    with pytest.raises(WireError, match=reason):
        read(claim(payload))


def test_a_payload_may_be_as_large_as_the_limit_as_it_comes_and_inflated() -> None:
    plain = call()
    packed = zlib.compress(plain)
    assert len(packed) < len(plain)

    assert read_job(plain, len(plain)) == read_job(packed, len(plain)) == GenerateJob(**FIELDS)
    with pytest.raises(WireError, match=f"{len(plain)} bytes, of at most {len(plain) - 1}"):
        read_job(plain, len(plain) - 1)
    with pytest.raises(WireError, match=f"inflates to more than {len(plain) - 1} bytes"):
        read_job(packed, len(plain) - 1)
    with pytest.raises(WireError, match=f"{len(packed)} bytes, of at most {len(packed) - 1}"):
        to_job(claim(packed), len(packed) - 1)


@pytest.mark.parametrize("callback", ["success_callback", "stopped_callback"])
def test_a_job_that_brings_code_is_refused_by_that_name(callback: str) -> None:
    with pytest.raises(InvalidJobError) as caught:
        read(claim(call(), callback))
    assert caught.value.field == callback


@pytest.mark.parametrize(
    "payload",
    [
        call("os.system"),
        call(None),
        call(["jobs.generate"]),
        MsgpackSerializer.dumps([FUNCTION_NAME, "an instance", [], FIELDS]),
    ],
)
def test_only_our_function_with_keywords_is_taken(payload: bytes) -> None:
    with pytest.raises(InvalidJobError) as caught:
        read(claim(payload))
    assert caught.value.field == "function"


def test_positional_arguments_are_refused_as_what_they_are() -> None:
    with pytest.raises(InvalidJobError) as caught:
        read(claim(call(args=[1])))
    assert caught.value.field == "args"


def test_a_tenant_s_job_stands_in_the_tenant_s_queue() -> None:
    payload = call(kwargs={**FIELDS, "tenant": "acme"})

    assert read(claim(payload, queue="rowmill@acme")).num_samples == 4
    for queue in ("rowmill", "rowmill@other"):
        with pytest.raises(InvalidJobError) as caught:
            read(claim(payload, queue=queue))
        assert caught.value.field == "tenant"


@pytest.mark.parametrize("field", [("reply_to", "mine"), ("webhook_url", "https://example.com")])
def test_what_the_server_does_not_know_to_tell_is_no_loss_in_silence(
    field: tuple[str, str],
) -> None:
    payload = call(kwargs={**FIELDS, **dict([field])})
    with pytest.raises(InvalidJobError) as caught:
        read(claim(payload))
    assert caught.value.field == field[0]
    known = dataclasses.replace(claim(payload), has_reply_list=True, has_webhook=True)
    assert read(known).num_samples == 4


def test_a_bad_field_is_named() -> None:
    with pytest.raises(InvalidJobError) as caught:
        read(claim(call(kwargs={**FIELDS, "temperature": float("nan")})))
    assert caught.value.field == "temperature"


@given(st.binary(max_size=200))
@example(b"\x80")
@example(b"\x78\x9c")
def test_no_bytes_raise_anything_else(payload: bytes) -> None:
    for data in (payload, zlib.compress(payload)):
        with contextlib.suppress(WireError, InvalidJobError, RequestError):
            read(claim(data))


@given(st.data())
def test_a_damaged_payload_is_a_job_or_a_short_reason(data: st.DataObject) -> None:
    payload = bytearray(call())
    for _ in range(data.draw(st.integers(1, 4))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(payload)))
    for damaged in (payload, zlib.compress(payload), payload[:end]):
        try:
            read(claim(bytes(damaged)))
        except (WireError, InvalidJobError, RequestError) as error:
            assert 0 < len(str(error)) < 1000


@given(
    function=st.just(FUNCTION_NAME) | wire_values,
    args=st.just([]) | wire_values,
    fields=st.dictionaries(st.sampled_from(sorted(FIELDS)) | st.text(), wire_values) | wire_values,
)
def test_no_call_raises_anything_else(function: object, args: object, fields: object) -> None:
    payload = MsgpackSerializer.dumps([function, None, args, fields])
    with contextlib.suppress(WireError, InvalidJobError, RequestError):
        read(claim(payload))


def test_rows_keep_all_that_the_engine_tells_of_them_on_the_wire() -> None:
    provenance = Engine(load_model("demo")[0], None).provenance
    rows = [
        RowResult(
            tokens=[7, 8],
            masks=[1, 0],
            finish_reason="stop",
            logprobs=[-0.5, -0.25],
            top_tokens=[7, 9, 8, 7],
            top_logprobs=[-0.5, -1.0, -0.25, -2.0],
            text="so far",
        ),
        RowResult(
            tokens=[9],
            masks=[1],
            finish_reason="length",
            logprobs=[0.0],
            top_tokens=[9, 3],
            top_logprobs=[0.0, -4.0],
            text="",
        ),
    ]

    result = RequestResult(
        request_id="execution", rows=rows, provenance=provenance, prompt_logprobs=[-0.75, -3.0]
    )
    rows_read = MsgpackSerializer.loads(to_wire(result))

    assert [row.model_dump(mode="json") for row in rows_read.rows] == [
        dataclasses.asdict(row) for row in rows
    ]
    assert rows_read.prompt_logprobs == (-0.75, -3.0)
    assert rows_read.provenance.model_dump() == dataclasses.asdict(provenance)
    assert rows_read.reproducible == result.reproducible == provenance.reproducible


def test_rows_of_unknown_provenance_are_not_called_reproducible() -> None:
    result = RequestResult("execution", [RowResult([7], [1], "stop")])
    rows_read = MsgpackSerializer.loads(to_wire(result))
    assert rows_read.provenance is None and not rows_read.reproducible


def test_rows_of_which_nothing_more_was_asked_are_the_bytes_that_they_were() -> None:
    result = RequestResult("execution", [RowResult([7, 8], [1, 0], "stop")])
    (_, content) = msgpack.unpackb(to_wire(result))["body"]
    assert len(msgpack.unpackb(content)) == 5
