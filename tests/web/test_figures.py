"""Figures are computed by a few threads, for so long; who comes beyond their number is sent away at once, and nobody's place
or thread is lost.
"""

import asyncio
from collections.abc import Callable, MutableMapping
from threading import Barrier, Event
from typing import Any

import ibis
import msgspec
import pytest

from laotie.base.db import Database
from laotie.base.refusals import TooBusy
from laotie.base.settings import Settings
from laotie.insight import Engine
from laotie.insight.engine import Stopped
from laotie.web.figures import ASKED_MAX, AT_ONCE_MAX, LISTENING, AskerGone, Figures, FigureTooLong

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


def compute_for_ever(engine: Engine) -> int:
    """Millions of millions of rows."""
    many = ibis.range(3_000_000).unnest().name("one").as_table()
    found = engine.run(many.cross_join(many.view()).agg(n=ibis._.one.max() + ibis._.one_right.max()))
    return len(found)


async def have_all_threads(figures: Figures) -> bool:
    """Whether all threads come free, to be held at the same moment."""
    there = Barrier(AT_ONCE_MAX)
    held = [figures._threads.submit(there.wait, 20) for _ in range(AT_ONCE_MAX)]
    return sorted([await asyncio.wrap_future(one) for one in held]) == list(range(AT_ONCE_MAX))


async def test_figures_that_take_too_long_are_broken_off_and_leave_their_threads_to_others(
    db: Database, settings: Settings
) -> None:
    figures = Figures(db, msgspec.structs.replace(settings, figure_s_max=0.3))
    asked = await asyncio.gather(*(figures.run(compute_for_ever) for _ in range(AT_ONCE_MAX)), return_exceptions=True)
    assert [(type(one), one.facts()) for one in asked if isinstance(one, FigureTooLong)] == [
        (FigureTooLong, {"limit_s": 0.3})
    ] * AT_ONCE_MAX
    assert await have_all_threads(figures)


async def test_a_figure_that_gets_no_thread_in_time_is_told_to_come_again(db: Database, settings: Settings) -> None:
    figures, gate = Figures(db, msgspec.structs.replace(settings, figure_s_max=0.2)), Event()
    tasks = await begin(figures, gate, AT_ONCE_MAX + 1)
    asked = await asyncio.gather(*tasks, return_exceptions=True)
    gate.set()
    assert sorted(type(one).__name__ for one in asked) == ["FigureTooLong"] * AT_ONCE_MAX + ["TooBusy"]
    assert await have_all_threads(figures)


async def test_nobody_computes_for_who_has_gone_away(figures: Figures) -> None:
    begun, said = asyncio.Event(), iter(("http.request", "http.disconnect"))
    loop = asyncio.get_running_loop()

    async def receive() -> MutableMapping[str, Any]:
        await begun.wait()
        return {"type": next(said)}

    def ask(engine: Engine) -> int:
        loop.call_soon_threadsafe(begun.set)
        return compute_for_ever(engine)

    LISTENING.set(receive)
    with pytest.raises(AskerGone):
        await figures.run(ask)
    LISTENING.set(None)
    assert await have_all_threads(figures)


async def test_an_engine_that_was_stopped_reads_and_computes_no_more(figures: Figures) -> None:
    def ask(engine: Engine) -> int:
        engine.stop()
        with pytest.raises(Stopped):
            engine.read("visit")
        with pytest.raises(Stopped):
            engine.run(ibis.range(3).unnest().name("one").as_table())
        return 1

    assert (await figures.run(ask)).answer == 1


async def test_an_answer_says_up_to_when_everything_is_in_it(figures: Figures, db: Database) -> None:
    before = db.clock.now()
    found = await figures.run(lambda engine: len(engine.run(engine.read("visit"))))
    assert found.answer == 0
    assert abs((found.as_of - before).total_seconds()) < 60
