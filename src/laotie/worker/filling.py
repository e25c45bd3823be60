"""The lake fills itself: with the facts that the books know of and the lake does not, in the background.

That is so after an upgrade from a release without a lake (`lake.complete` says from when on it has everything), and when it
lies in a new place, where it has no money at all though there are orders. Each topic is told again in pieces
(`lake.rebuild`), between which the drain works and a sale has the processor; killed, it goes on where it stopped.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from laotie import lake, orders
from laotie.base.db import Database
from laotie.base.logs import log
from laotie.fans import exporting as of_fans
from laotie.identity import guests
from laotie.lake import Lake, list_days
from laotie.lake.facts import Drain
from laotie.lake.model import FACTS
from laotie.lake.rebuild import Rebuilt, Source, filling, rebuild
from laotie.live import exporting as of_shows
from laotie.orders import facts

SOURCES = {
    "money": (Source(facts.export, facts.FIRST), Source(facts.export_returns, facts.FIRST)),
    "show": (Source(of_shows.tell_again, facts.FIRST),),
    "follow": (Source(of_fans.tell_again, 0),),
    "person": (Source(guests.tell_again, facts.FIRST),),
}
"""Where each topic's facts are told from again."""
SETTLED = timedelta(hours=1)
"""An order that is older has its fact in the lake, or the lake has lost it."""


async def list_lacking(db: Database, place: Lake) -> list[str]:
    """The topics of facts that the lake has not all of."""
    async with db.read() as tx:
        since = await lake.facts.list_complete(tx)
        if any(one > lake.facts.EPOCH for one in since.values()):
            return [topic for topic, one in since.items() if one > lake.facts.EPOCH]
        if await lake.facts.count_waiting(tx) or not await orders.facts.exists_before(tx, tx.now - SETTLED):
            return []
    return await asyncio.to_thread(_list_empty, place)


def _list_empty(place: Lake) -> list[str]:
    return [] if list_days(place, "money") else [one.name for one in FACTS if not list_days(place, one.name)]


async def fill(db: Database, place: Lake, *, give_way: Callable[[], Awaitable[None]]) -> list[Rebuilt]:
    """Bring in what is lacking; nothing where another process is at it. `give_way` is awaited after every piece."""
    async with filling(db) as is_ours:
        lacking = await list_lacking(db, place) if is_ours else []
        if not lacking:
            return []
        log.info("the lake lacks what the books know; it is filled in the background", topics=lacking)
        if "money" in lacking:
            await orders.facts.tell_imports(db)
        return [await _fill_topic(db, place, topic, give_way) for topic in lacking]


async def _fill_topic(db: Database, place: Lake, topic: str, give_way: Callable[[], Awaitable[None]]) -> Rebuilt:
    drain = Drain(db, place)

    async def breathe() -> None:
        await give_way()
        await drain.turn()

    done = await rebuild(
        db, place, topic, SOURCES[topic], breathe=breathe,
        progress=lambda rows: log.info("the lake is being filled", topic=topic, rows=rows),
    )  # fmt: skip
    log.info("the lake has all of a topic", topic=topic, rows=done.rows, files=done.parts_after)
    return done
