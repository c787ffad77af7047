"""Quotas: rows and tokens per minute, counted in the server for all gateways."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any
from uuid import uuid4

import redis
from hypothesis import given
from hypothesis import strategies as st

from gateway.access.quotas import Quotas
from gateway.caller import Caller
from gateway.errors import ApiError
from gateway.server import Server


def caller(rows: int | None = None, tokens: int | None = None, tenant: str = "") -> Caller:
    return Caller(
        tenant=tenant or f"t-{uuid4().hex[:8]}", rows_per_minute=rows, tokens_per_minute=tokens
    )


def charged(url: str, *charges: tuple[Caller, int, int]) -> list[ApiError | None]:
    """What becomes of charges of rows and tokens, one after the other."""

    async def charge_all() -> list[ApiError | None]:
        server = Server(url)
        quotas = Quotas(server)
        outcomes: list[ApiError | None] = []
        for its_caller, rows, tokens in charges:
            try:
                await quotas.charge(its_caller, rows=rows, tokens=tokens)
                outcomes.append(None)
            except ApiError as error:
                outcomes.append(error)
        await server.close()
        return outcomes

    return run(charge_all())


def run(coroutine: Coroutine[Any, Any, list[ApiError | None]]) -> list[ApiError | None]:
    return asyncio.run(coroutine)


def test_a_minute_s_worth_may_be_had_at_once_and_then_one_waits(url: str) -> None:
    one = caller(rows=60)
    *well, short = charged(url, (one, 30, 0), (one, 29, 0), (one, 30, 0))
    assert well == [None, None]
    assert short is not None and short.status == 429
    assert short.code == "rows_quota_used_up" and "rows_per_minute" in short.message
    assert short.retry_after is not None and 20 < short.retry_after <= 29


def test_who_may_not_have_one_thing_is_charged_for_nothing(url: str) -> None:
    one = caller(rows=100, tokens=1000)
    outcomes = charged(url, (one, 1, 900), (one, 1, 900), (one, 99, 100))
    assert outcomes[0] is None and outcomes[2] is None
    assert outcomes[1] is not None and outcomes[1].code == "tokens_quota_used_up"


def test_more_than_a_minute_s_worth_can_never_be_had(url: str) -> None:
    one = caller(rows=10, tokens=100)
    rows, tokens = charged(url, (one, 11, 1), (one, 1, 101))
    assert rows is not None and (rows.status, rows.param) == (400, "num_samples")
    assert tokens is not None and (tokens.status, tokens.param) == (400, "max_tokens")
    assert "10 per minute" in rows.message and rows.retry_after is None


def test_a_bucket_fills_as_time_goes_by(url: str, connection: redis.Redis) -> None:
    one = caller(rows=60)
    assert charged(url, (one, 60, 0))[0] is None
    key = f"rowmill:quota:{one.tenant}"
    at = float(connection.hget(key, "at") or 0)
    connection.hset(key, "at", str(at - 30))  # half a minute later
    outcomes = charged(url, (one, 29, 0), (one, 29, 0))
    assert outcomes[0] is None and outcomes[1] is not None
    assert 0 < connection.ttl(key) <= 61, "a tenant that rests leaves nothing behind"


def test_quotas_are_a_tenant_s_own_and_no_key_needs_one(url: str, connection: redis.Redis) -> None:
    first, second, free = caller(rows=5), caller(rows=5), caller()
    assert charged(url, (first, 5, 0), (second, 5, 0), (free, 10**9, 10**9)) == [None] * 3
    assert not connection.exists(f"rowmill:quota:{free.tenant}")


def test_a_quota_that_was_made_smaller_counts_at_once(url: str) -> None:
    large, small = caller(rows=1000, tenant="changed"), caller(rows=10, tenant="changed")
    outcomes = charged(url, (large, 1, 0), (small, 10, 0), (small, 1, 0))
    assert outcomes[:2] == [None, None] and outcomes[2] is not None


@given(charges=st.lists(st.tuples(st.integers(1, 40), st.integers(1, 400)), max_size=30))
def test_nobody_gets_more_than_the_quotas(url: str, charges: list[tuple[int, int]]) -> None:
    one = caller(rows=40, tokens=400)
    outcomes = charged(url, *((one, rows, tokens) for rows, tokens in charges))
    had = [its for its, outcome in zip(charges, outcomes, strict=True) if outcome is None]
    # What fills up in the seconds that this takes is not more than what is there at the start.
    assert sum(rows for rows, _ in had) <= 2 * 40
    assert sum(tokens for _, tokens in had) <= 2 * 400
