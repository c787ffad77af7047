"""What many want to know at once is asked once."""

from __future__ import annotations

import asyncio

from gateway.fresh import Fresh
from gateway.known_workers import KnownWorkers
from jobs import ModelCard


def test_requests_that_come_together_ask_once_for_each_queue() -> None:
    asked = []

    async def ask(queue: str) -> dict[str, ModelCard]:
        asked.append(queue)
        await asyncio.sleep(0)
        return {"w1": ModelCard(name=queue)}

    async def wanted() -> list[str | None]:
        workers = KnownWorkers(ask)
        cards = await asyncio.gather(*(workers.cards(queue) for queue in "abab" * 8))
        return [card.name for (card,) in cards]

    assert asyncio.run(wanted()) == ["a", "b"] * 16
    assert asked == ["a", "b"]


def test_who_leaves_while_he_asks_keeps_nobody_from_the_answer() -> None:
    asked = []

    async def ask(key: str) -> str:
        asked.append(key)
        await asyncio.sleep(3600 if len(asked) == 1 else 0)
        return key

    async def left() -> str:
        fresh = Fresh(ask, 3600)
        first, second = (asyncio.create_task(fresh.of("a")) for _ in range(2))
        while not asked:
            await asyncio.sleep(0)
        first.cancel()
        return await second

    assert asyncio.run(left()) == "a"
    assert asked == ["a", "a"]
