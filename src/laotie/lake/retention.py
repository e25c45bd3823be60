"""Retention: behaviour is kept for some days (`lake_behaviour_days`), facts for ever.

A whole day goes at once, of every topic of behaviour; its roll-ups stay, so its figures do. Which days have gone is written
down first (`retired.json`): from then on their roll-ups are the only truth about them, and nobody computes them anew.
"""

import asyncio
from collections.abc import Callable
from datetime import date, timedelta

import msgspec

from laotie.base.db import Database
from laotie.base.logs import log
from laotie.lake import manifest
from laotie.lake.compaction import GRACE_US, MERGE_LOCK
from laotie.lake.model import BEHAVIOUR
from laotie.lake.parts import Lake, list_days, list_files, list_parts, swap_parts
from laotie.lake.stores import make_place, put_file

NAME = "retired.json"


class Retired(msgspec.Struct, frozen=True):
    """Behaviour of days before this one is no longer there."""

    before: date | None = None


async def retire_behaviour(
    db: Database, lake: Lake, *, days: int, keep_figures: Callable[[Lake, list[date]], None] = lambda lake, days: None
) -> int:
    """Delete the behaviour that is older than so many days (0: none ever), once `keep_figures` has made its roll-ups.

    It is given the days that go and the first that stays, whose spans may begin on the day before.
    One process at a time, and nobody merges meanwhile. Returns how many files ceased to count.
    """
    if not days:
        return 0
    before = lake.day_of(db.clock.now_us()) - timedelta(days=days)
    async with db.tx() as guard:
        if not await guard.one(bool, "SELECT pg_try_advisory_xact_lock(%(key)s)", key=MERGE_LOCK):
            return 0
        old = await asyncio.to_thread(list_old_days, lake, before)
        if not old:
            return 0
        await asyncio.to_thread(keep_figures, lake, [*old, before])
        ended = await asyncio.to_thread(retire, lake, before, now_us=db.clock.now_us())
    if ended:
        log.info("old behaviour has left the lake", before=str(before), files=ended)
    return ended


def read_retired(lake: Lake) -> date | None:
    """The day from which on there is behaviour; nothing when none was ever deleted."""
    try:
        return msgspec.json.decode(lake.fs.cat_file(f"{lake.root}/{NAME}"), type=Retired).before
    except FileNotFoundError:
        return None


def list_old_days(lake: Lake, before: date) -> list[date]:
    """The days before this one that have any behaviour."""
    return sorted({day for topic in BEHAVIOUR for day in list_days(lake, topic.name) if day < before})


def retire(lake: Lake, before: date, *, now_us: int) -> int:
    """Delete the behaviour of all days before this one. Returns how many files ceased to count.

    Files lie there some minutes longer for whoever reads them; the next call deletes them.
    """
    before = max(before, read_retired(lake) or before)
    make_place(lake.fs, lake.root)
    put_file(lake.fs, f"{lake.root}/{NAME}", msgspec.json.encode(Retired(before)))
    ended = 0
    for topic in BEHAVIOUR:
        for day in list_days(lake, topic.name):
            if day >= before:
                continue
            parts = list_parts(lake, topic.name, day, lake.next_day(day))
            if parts:
                swap_parts(lake, parts, [], now_us=now_us)
                ended += len(parts)
            manifest.forget_gone(lake.fs, lake.root, topic.name, day, before_us=now_us - GRACE_US)
            if not list_files(lake, topic.name, day):
                lake.fs.rm(f"{lake.root}/{topic.name}/day={day}", recursive=True)
    return ended
