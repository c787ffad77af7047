"""API keys: what the file may say, and that it is read again."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.access.api_key import ApiKey, hash_of, new_key
from gateway.access.gatekeeper import caller_of
from gateway.access.keys_file import KeysFile
from gateway.caller import Caller
from gateway.config import GatewayConfig, GatewayConfigError
from gateway.errors import ApiError

CONFIG = GatewayConfig(redis_url="unix:///nowhere", queue="common")
KEY = new_key()


def entry(name: str, key: str, *lines: str) -> str:
    return "\n".join(["[[keys]]", f'name = "{name}"', f'sha256 = "{hash_of(key)}"', *lines, ""])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.toml"


def test_a_key_leads_to_its_caller(path: Path) -> None:
    other = new_key()
    path.write_text(
        entry("acme", KEY, 'queue = "urgent"', "priority = 4", "rows_per_minute = 60")
        + entry("b", other, "tokens_per_minute = 1000")
    )
    keys = KeysFile(path)
    assert caller_of(CONFIG, keys, KEY) == Caller(
        tenant="acme", queue="urgent", priority=4, rows_per_minute=60
    )
    assert caller_of(CONFIG, keys, other) == Caller(
        tenant="b", queue="common", tokens_per_minute=1000
    )


def test_a_tenant_may_have_two_keys_while_it_changes_from_one_to_the_other(path: Path) -> None:
    other = new_key()
    path.write_text(entry("acme", KEY) + entry("acme", other))
    keys = KeysFile(path)
    assert caller_of(CONFIG, keys, KEY) == caller_of(CONFIG, keys, other)


OTHERS = {
    "none": None,
    "empty": "",
    "a prefix": "rk-",
    "another": new_key(),
    "the hash": hash_of(KEY),
    "a longer one": KEY + "x",
    "no text": "\ud800",
}


@pytest.mark.parametrize("key", OTHERS.values(), ids=list(OTHERS))
def test_no_other_key_opens(path: Path, key: str | None) -> None:
    path.write_text(entry("acme", KEY))
    with pytest.raises(ApiError) as caught:
        caller_of(CONFIG, KeysFile(path), key)
    assert caught.value.status == 401
    assert not key or len(key) < 4 or key not in str(caught.value.body())


@pytest.mark.parametrize("line", ["disabled = true", "expires = 2020-01-01T00:00:00Z"])
def test_a_key_that_was_withdrawn_or_has_expired_does_not_count(path: Path, line: str) -> None:
    path.write_text(entry("acme", KEY, line))
    with pytest.raises(ApiError, match=r"withdrawn|expired"):
        caller_of(CONFIG, KeysFile(path), KEY)


def test_a_key_counts_until_it_expires() -> None:
    soon = datetime.now(UTC) + timedelta(hours=1)
    assert not ApiKey(name="a", sha256=hash_of(KEY), expires=soon).is_expired


def test_without_keys_everybody_is_one_caller() -> None:
    assert caller_of(CONFIG, None, None) == caller_of(CONFIG, None, KEY) == Caller(queue="common")


def test_the_file_is_read_again_when_it_changes(path: Path) -> None:
    path.write_text(entry("acme", KEY))
    keys = KeysFile(path)
    other = new_key()
    path.write_text(entry("other", other))
    assert keys.find(KEY) is None
    found = keys.find(other)
    assert found is not None and found.name == "other"


@pytest.mark.parametrize("broken", ["[[keys]", "[[keys]]\nname = 3\n", None])
def test_a_bad_state_of_the_file_changes_nothing_and_is_told_once(
    path: Path, broken: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_text(entry("acme", KEY))
    keys = KeysFile(path)
    if broken is None:
        path.unlink()
    else:
        path.write_text(broken)
    with caplog.at_level(logging.ERROR):
        assert keys.find(KEY) is not None and keys.find(KEY) is not None
    assert len(caplog.records) == 1 and "keys_file" in caplog.text
    path.write_text(entry("b", KEY))
    found = keys.find(KEY)
    assert found is not None and found.name == "b", "and the next good one counts"


BAD = {
    "no TOML": ("[[keys]", "is not TOML"),
    "not UTF-8": ("caf\udce9", "is not TOML"),
    "another table": ("[key]\nname = 1", r"'key' is not \[\[keys\]\]"),
    "one table": ("[keys]\nname = 1", "keys must be tables"),
    "no tables": ("keys = [1]", "key 1 is no table"),
    "no name": (f'[[keys]]\nsha256 = "{hash_of(KEY)}"', "name: leaving it out"),
    "a bad name": (entry("a b", KEY), "letters, digits"),
    "the name of batches": (entry("rowmill.batches", KEY), "not beginning with rowmill."),
    "a bad queue": (entry("a", KEY, 'queue = "a@b"'), "letters, digits"),
    "an unknown field": (entry("a", KEY, "rows = 1"), "rows: this field"),
    "priority 0": (entry("a", KEY, "priority = 0"), "priority: 0 is not allowed"),
    "priority 101": (entry("a", KEY, "priority = 101"), "from 1 to 100"),
    "priority true": (entry("a", KEY, "priority = true"), "priority: True"),
    "no rows": (entry("a", KEY, "rows_per_minute = 0"), "rows_per_minute: 0"),
    "a quota as text": (entry("a", KEY, 'tokens_per_minute = "1"'), "tokens_per_minute: '1'"),
    "no zone": (entry("a", KEY, "expires = 2027-01-01T00:00:00"), "with its zone"),
    "one key twice": (entry("a", KEY) + entry("b", KEY), "2 entries have one key: a, b"),
}


@pytest.mark.parametrize(("content", "told"), BAD.values(), ids=list(BAD))
def test_a_bad_entry_is_told_by_its_field_and_limit(path: Path, content: str, told: str) -> None:
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(GatewayConfigError, match=told):
        KeysFile(path)


def test_a_key_in_the_place_of_its_hash_is_not_shown(path: Path) -> None:
    path.write_text(f'[[keys]]\nname = "a"\nsha256 = "{KEY}"\n')
    with pytest.raises(GatewayConfigError, match="sha256: this value is not allowed") as caught:
        KeysFile(path)
    assert KEY not in repr(caught.value) and caught.value.__cause__ is None


def test_a_file_that_is_missing_is_told(path: Path) -> None:
    with pytest.raises(GatewayConfigError, match="No such file"):
        KeysFile(path)


def test_keys_differ_and_are_known_by_their_beginning() -> None:
    keys = {new_key() for _ in range(100)}
    assert len(keys) == 100 and all(key.startswith("rk-") and len(key) >= 46 for key in keys)
