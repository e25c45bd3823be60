"""The batcher: whatever came while the last batch was decided, in order, answered once."""

import asyncio

import pytest

from laotie.base.batch import Batcher
from laotie.base.refusals import NotFound, Refusal, TooBusy


async def test_asks_that_arrive_together_are_decided_together_in_order() -> None:
    batches: list[list[int]] = []

    async def decide(asks: list[int]) -> list[int | Refusal]:
        batches.append(asks)
        await asyncio.sleep(0.01)
        return [ask * 2 for ask in asks]

    batcher: Batcher[int, int] = Batcher(decide, batch_max=4, waiting_max=100)
    answers = await asyncio.gather(*(batcher.ask(n) for n in range(10)))
    assert answers == [n * 2 for n in range(10)]
    assert [n for batch in batches for n in batch] == list(range(10))
    assert max(len(batch) for batch in batches) == 4


async def test_a_refusal_stands_beside_its_ask_and_spoils_nobody() -> None:
    async def decide(asks: list[int]) -> list[int | Refusal]:
        return [NotFound() if ask == 2 else ask for ask in asks]

    batcher: Batcher[int, int] = Batcher(decide, batch_max=10, waiting_max=100)
    answers = await asyncio.gather(*(batcher.ask(n) for n in range(4)), return_exceptions=True)
    assert [type(answer) if isinstance(answer, Exception) else answer for answer in answers] == [0, 1, NotFound, 3]


async def test_a_bug_reaches_everyone_of_its_batch_and_the_next_batch_runs() -> None:
    calls = 0

    async def decide(asks: list[int]) -> list[int | Refusal]:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ZeroDivisionError
        return list(asks)

    batcher: Batcher[int, int] = Batcher(decide, batch_max=10, waiting_max=100)
    first = await asyncio.gather(batcher.ask(1), batcher.ask(2), return_exceptions=True)
    assert [type(answer) for answer in first] == [ZeroDivisionError, ZeroDivisionError]
    assert await batcher.ask(3) == 3


async def test_a_full_queue_says_so_at_once() -> None:
    gate = asyncio.Event()

    async def decide(asks: list[int]) -> list[int | Refusal]:
        await gate.wait()
        return list(asks)

    batcher: Batcher[int, int] = Batcher(decide, batch_max=1, waiting_max=2)
    asked = [asyncio.ensure_future(batcher.ask(n)) for n in range(8)]
    await asyncio.sleep(0.01)
    refused = [task for task in asked if task.done()]
    assert len(refused) == 6
    assert all(isinstance(task.exception(), TooBusy) for task in refused)
    gate.set()
    assert sorted(await asyncio.gather(*(task for task in asked if task not in refused))) == [0, 1]


async def test_closing_answers_everyone_who_waits() -> None:
    async def decide(asks: list[int]) -> list[int | Refusal]:
        await asyncio.sleep(0.005)
        return list(asks)

    batcher: Batcher[int, int] = Batcher(decide, batch_max=2, waiting_max=100)
    asked = [asyncio.ensure_future(batcher.ask(n)) for n in range(9)]
    await asyncio.sleep(0)
    await batcher.close()
    assert await asyncio.gather(*asked) == list(range(9))
    with pytest.raises(TooBusy):
        await batcher.ask(1)
