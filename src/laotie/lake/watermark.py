"""The watermark: everything that happened in the house before this instant is in the lake.

It is held back by transactions that are not over, by facts in the outbox and in `lake.waiting`, and by each process's acts
that are not parts yet (`lake.process`; what a dead process left counts until somebody has taken it over). History that is
imported is old when it comes and is not waited for.

Whoever settles on a figure asks for it: `require`, or `await_watermark`.
"""

import asyncio
from datetime import datetime, timedelta

import msgspec

from laotie.base.db import Database, Tx
from laotie.base.outbox import find_oldest
from laotie.base.refusals import TooBusy
from laotie.lake.facts import EPOCH, TAGS, microseconds
from laotie.lake.parts import Lake

SKEW = timedelta(seconds=2)
"""Clocks of application servers differ by less; and no transaction that tells something reads for so long before it writes."""
LOOK_EVERY_S = 1.0


class LakeBehind(TooBusy, code="lake-behind"):
    """Not everything that belongs to this figure is in yet; try again shortly."""

    as_of: datetime


class _Look(msgspec.Struct, frozen=True):
    isolation: str
    known: bool
    oldest_s: float


async def watermark(tx: Tx, lake: Lake | None = None) -> int:
    """The instant in microseconds. `tx` is READ COMMITTED, and this its first look at anything.

    (In a snapshot, what commits between the snapshot and the look at other transactions would be in neither.)
    """
    look = await tx.one(
        _Look,
        """
        SELECT current_setting('transaction_isolation') AS isolation, coalesce(bool_and(xact_start IS NOT NULL), true) AS known,
               coalesce(extract(epoch FROM clock_timestamp() - min(xact_start)), 0)::float8 AS oldest_s
        FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()
          AND (backend_xid IS NOT NULL OR wait_event_type = 'Lock')
        """,
    )
    assert look.isolation == "read committed"
    until = tx.now - SKEW - timedelta(seconds=max(0.0, look.oldest_s))
    if not look.known:  # somebody else's transactions: PostgreSQL hides when they began
        until = min(until, tx.now - timedelta(hours=1))
    held_back = [await find_oldest_fact(tx), *(await list_processes(tx)).values()]
    return microseconds(min([until, *(at for at in held_back if at is not None)]))


async def find_oldest_fact(tx: Tx) -> datetime | None:
    """The oldest instant of any fact that is told and not in the lake; `None` when there is none."""
    waiting = await tx.one(datetime, "SELECT min(told_at) FROM lake.waiting")
    told = await find_oldest(tx, TAGS)
    return min((at for at in (waiting, told) if at is not None), default=None)


async def require(db: Database, until: datetime) -> None:
    """Refuse with `LakeBehind` unless everything before `until` is in."""
    async with db.tx() as tx:
        as_of = EPOCH + timedelta(microseconds=await watermark(tx))
    if as_of < until:
        raise LakeBehind(as_of=as_of)


async def await_watermark(db: Database, until: datetime, *, timeout_s: float) -> None:
    """Wait until everything before `until` is in; refuse with `LakeBehind` when that takes longer."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while True:
        try:
            await require(db, until)
            return
        except LakeBehind:
            if asyncio.get_running_loop().time() >= deadline:
                raise
        await asyncio.sleep(min(LOOK_EVERY_S, timeout_s))


async def list_processes(tx: Tx) -> dict[str, datetime]:
    """How far each process is."""
    return dict(await tx.tuples("SELECT name, until_at FROM lake.process ORDER BY name"))
