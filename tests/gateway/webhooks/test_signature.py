"""Whoever knows the scheme can check what we sign, and nobody else's secret fits."""

from __future__ import annotations

from base64 import b64decode, b64encode
from email.message import Message

from hypothesis import given
from hypothesis import strategies as st

from gateway.webhooks.signature import signed_headers
from tests.gateway.webhooks.receiver import Post, is_signed

KEYS = st.binary(min_size=24, max_size=64)


def test_the_scheme_s_published_example_has_the_published_signature() -> None:
    secret = b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    headers = signed_headers([secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def posted(headers: dict[str, str], body: bytes) -> Post:
    message = Message()
    for name, value in headers.items():
        message[name] = value
    return Post(path="/", headers=message, body=body)


def written(key: bytes) -> str:
    return f"whsec_{b64encode(key).decode()}"


@given(
    st.lists(KEYS, min_size=1, max_size=3, unique_by=lambda key: key.rstrip(b"\0")),
    st.binary(max_size=100),
    st.integers(0, 2**33),
)
def test_each_of_several_secrets_signs_and_a_changed_body_time_or_id_does_not_fit(
    keys: list[bytes], body: bytes, timestamp: int
) -> None:
    headers = signed_headers(keys, "msg_a", timestamp, body)
    for key in keys:
        secret = written(key)
        assert is_signed(posted(headers, body), secret)
        assert not is_signed(posted(headers, body + b" "), secret)
        assert not is_signed(posted({**headers, "webhook-id": "msg_b"}, body), secret)
        assert not is_signed(posted({**headers, "webhook-timestamp": "1"}, body), secret) or (
            timestamp == 1
        )
    assert not is_signed(posted(headers, body), written(b"\x01" * 24)) or b"\x01" * 24 in keys
