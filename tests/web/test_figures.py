"""Figures are computed by a few threads; who comes beyond their number is sent away at once, and nobody's place is lost."""

import asyncio
from collections.abc import Callable
from threading import Event

import pytest

from laotie.base.db import Database
from laotie.base.refusals import TooBusy
from laotie.base.settings import Settings
from laotie.insight import Engine
from laotie.web.figures import ASKED_MAX, Figures

Wait = Callable[[Engine], int]


@pytest.fixture
def figures(db: Database, settings: Settings) -> Figures:
    return Figures(db, settings)


def waiting(gate: Event) -> Wait:
    """A figure that is there when the gate opens."""

    def compute(_: Engine) -> int:
        assert gate.wait(30)
        return 1

    return compute


async def begin(figures: Figures, gate: Event, count: int) -> list[asyncio.Task[object]]:
    """So many that have their place."""
    tasks: list[asyncio.Task[object]] = [asyncio.create_task(figures.run(waiting(gate))) for _ in range(count)]
    await asyncio.sleep(0)
    return tasks


async def test_one_more_than_there_is_room_for_is_refused_with_a_hint_when_to_come_back(figures: Figures) -> None:
    gate = Event()
    tasks = await begin(figures, gate, ASKED_MAX)
    try:
        with pytest.raises(TooBusy) as refused:
            await figures.run(waiting(gate))
        assert refused.value.retry_after_s > 0
    finally:
        gate.set()
    assert [answer.answer for answer in await asyncio.gather(*tasks)] == [1] * ASKED_MAX  # type: ignore[attr-defined]
    assert (await figures.run(lambda _: 2)).answer == 2


async def test_a_figure_that_fails_and_one_that_nobody_waits_for_give_their_places_back(figures: Figures) -> None:
    def fail(_: Engine) -> int:
        raise ZeroDivisionError

    for _ in range(ASKED_MAX + 1):
        with pytest.raises(ZeroDivisionError):
            await figures.run(fail)
    gate = Event()
    tasks = await begin(figures, gate, ASKED_MAX)
    for task in tasks:
        task.cancel()
    gate.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    found = None
    while found is None:  # those that a thread had begun end in their own time
        try:
            found = await figures.run(lambda _: 3)
        except TooBusy:
            await asyncio.sleep(0.01)
    assert found.answer == 3


async def test_an_answer_says_up_to_when_everything_is_in_it(figures: Figures, db: Database) -> None:
    before = db.clock.now()
    found = await figures.run(lambda engine: len(engine.run(engine.read("visit"))))
    assert found.answer == 0
    assert abs((found.as_of - before).total_seconds()) < 60
