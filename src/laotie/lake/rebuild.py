"""Rebuilding: a topic of facts told again from PostgreSQL, in place of what the lake has (or has lost) of it.

While rows are told the drain stands still (and the compaction, to the end), so what happens meanwhile waits and comes by
itself. Rows that wait, or are in the outbox, are therefore left out here, and so are those that came between two writes:
read in the snapshot that they were told in, no row is missing and none is there twice. New files count day by day, each
day in one step. Where it stopped is in the lake (`_rebuild/<topic>.json`): killed, it goes on there. Behaviour cannot be
rebuilt: nothing else knows of it.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from typing import Any

import msgspec
import pyarrow.parquet as pq

from laotie.base.db import Database, Tx
from laotie.base.ids import new_id
from laotie.base.refusals import Conflict
from laotie.lake.compaction import MERGE_LOCK
from laotie.lake.facts import DRAIN_LOCK, Row, find_pending, mark_complete, microseconds, take_aliases, write_rows
from laotie.lake.manifest import REPLACING
from laotie.lake.model import FACTS, TOPICS, Part
from laotie.lake.parts import Lake, list_files, list_parts, path_in_day, swap_parts
from laotie.lake.stores import make_place, put_file

PAGE_SIZE = 2_000
ROWS_A_WRITE = 50_000
FILL_LOCK = 0x1A4E_F111
ALWAYS = datetime(1, 1, 1, tzinfo=UTC)

Teller = Callable[[Tx, Any, int], Awaitable[tuple[Sequence[Row], Any]]]
"""Tells the next rows after a place in one table, and where to go on (`None`: there is no more)."""
Progress = Callable[[int], None]
Breath = Callable[[], Awaitable[object]]


class NotRebuilt(Conflict, code="not-rebuilt"):
    """Only what PostgreSQL knows can be told again; what people did is nowhere else."""

    topic: str
    rebuilt: list[str]


class Source(msgspec.Struct, frozen=True):
    """A table that rows are told from, and the place before its first."""

    tell: Teller
    first: Any


class Rebuilt(msgspec.Struct, frozen=True):
    """What a rebuild came to. `pending` rows were left out: they come by themselves."""

    topic: str
    rows: int
    pending: int
    parts_before: int
    parts_after: int


class _Plan(msgspec.Struct, frozen=True):
    """`listed` is what is to be replaced; what came after it stays."""

    name: str
    since: date | None
    listed: list[Part]
    source: int = 0
    after: Any = None
    writes: int = 0
    staged: int = 0
    rows: int = 0
    pending: int = 0
    is_told: bool = False


def check_topic(topic: str) -> None:
    """Refuse `NotRebuilt` for what people did."""
    if topic not in {one.name for one in FACTS}:
        raise NotRebuilt(topic=topic, rebuilt=[one.name for one in FACTS])


async def rebuild(
    db: Database,
    lake: Lake,
    topic: str,
    sources: Sequence[Source],
    *,
    since: date | None = None,
    progress: Progress = lambda rows: None,
    page: int = PAGE_SIZE,
    breathe: Breath | None = None,
) -> Rebuilt:
    """Tell a topic again from the day `since` on, or all of it. Refuses `NotRebuilt`.

    With `breathe` it is called after every write, and the drain may work meanwhile; otherwise it stands still to the end.
    """
    check_topic(topic)
    async with db.tx() as guard:
        await guard.run("SELECT pg_advisory_xact_lock(%(key)s)", key=MERGE_LOCK)
        async with db.tx() as still:
            await still.run("SELECT pg_advisory_xact_lock(%(key)s)", key=DRAIN_LOCK)
            await still.run("DELETE FROM lake.drain")  # what it has written may be replaced, so its rows come under another name
            plan = await asyncio.to_thread(_take_up, lake, topic, since)
        while not plan.is_told:
            async with db.tx() as still:
                await still.run("SELECT pg_advisory_xact_lock(%(key)s)", key=DRAIN_LOCK)
                plan = await _tell(db, lake, topic, sources, plan, progress, page, in_pieces=breathe is not None)
            if breathe is not None:
                await breathe()
        come = await asyncio.to_thread(_swap, lake, topic, plan, db.clock.now_us())
        async with db.tx() as tx:
            await mark_complete(
                tx, topic, ALWAYS if since is None else datetime.fromtimestamp(lake.bounds_of(since)[0] / 1_000_000, UTC)
            )
        await asyncio.to_thread(lake.fs.rm_file, _place(lake, topic))
    return Rebuilt(topic, plan.rows, plan.pending, len(plan.listed), come)


@asynccontextmanager
async def filling(db: Database) -> AsyncIterator[bool]:
    """Whether this process is the one that fills the lake, for as long as it does."""
    async with db.tx() as guard:
        yield await guard.one(bool, "SELECT pg_try_advisory_xact_lock(%(key)s)", key=FILL_LOCK)


async def _tell(
    db: Database,
    lake: Lake,
    topic: str,
    sources: Sequence[Source],
    plan: _Plan,
    progress: Progress,
    page: int,
    *,
    in_pieces: bool,
) -> _Plan:
    """Write all rows, or those of the next write, into files that do not count yet."""
    known = await asyncio.to_thread(_read_newcomers, lake, topic, plan)
    since_us = -(1 << 62) if plan.since is None else lake.bounds_of(plan.since)[0]
    waiting: list[Row] = []
    for number in range(plan.source, len(sources)):
        after = plan.after if number == plan.source and plan.after is not None else sources[number].first
        while after is not None:
            async with db.read() as tx:
                rows, after = await sources[number].tell(tx, after, page)
                pending = await find_pending(tx, rows)
                wanted = [row for row in rows if microseconds(row.at) >= since_us]
                fresh = await take_aliases(tx, [row for row in wanted if row.id not in pending])
            waiting += [row for row in fresh if row.id.bytes not in known]
            plan = msgspec.structs.replace(plan, pending=plan.pending + sum(row.id in pending for row in wanted))
            if len(waiting) >= ROWS_A_WRITE:
                place = (number, after) if after is not None else (number + 1, None)
                plan = await asyncio.to_thread(_write, lake, topic, plan, waiting, *place)
                progress(plan.rows)
                if in_pieces:
                    return plan
                waiting = []
    plan = await asyncio.to_thread(_write, lake, topic, plan, waiting, len(sources), None)
    plan = msgspec.structs.replace(plan, is_told=True)
    await asyncio.to_thread(_put, lake, topic, plan)
    progress(plan.rows)
    return plan


def _write(lake: Lake, topic: str, plan: _Plan, rows: list[Row], source: int, after: Any) -> _Plan:
    parts = write_rows(lake, rows, name=f"{plan.name}-{plan.writes:06}") if rows else []
    plan = msgspec.structs.replace(
        plan,
        source=source,
        after=msgspec.to_builtins(after),
        writes=plan.writes + 1,
        staged=plan.staged + len(parts),
        rows=plan.rows + len(rows),
    )
    _put(lake, topic, plan)
    return plan


def _take_up(lake: Lake, topic: str, since: date | None) -> _Plan:
    """What was begun for the same days and can go on, or a new plan."""
    try:
        begun = msgspec.json.decode(lake.fs.cat_file(_place(lake, topic)), type=_Plan)
    except FileNotFoundError:
        begun = None
    if begun is not None and begun.since == since and _can_go_on(lake, topic, begun):
        return begun
    plan = _Plan(f"{REPLACING}r{new_id().hex}", since, list_parts(lake, topic, since))
    _put(lake, topic, plan)
    return plan


def _can_go_on(lake: Lake, topic: str, plan: _Plan) -> bool:
    """All that was written is there, and nobody has merged what is to be replaced (unless we were at replacing it).

    What was written and not put down in the plan is written again, perhaps without what has been drained since.
    """
    staged = _list_staged(lake, topic, plan)
    for part in staged if not plan.is_told else ():
        if int(part.path.removesuffix(".parquet").rpartition("-")[2]) >= plan.writes:
            lake.fs.rm_file(f"{lake.root}/{part.path}")
            staged = [one for one in staged if one != part]
    here = {part.path for part in list_parts(lake, topic, plan.since)}
    return len(staged) >= plan.staged and (plan.is_told or all(part.path in here for part in plan.listed))


def _read_newcomers(lake: Lake, topic: str, plan: _Plan) -> set[bytes]:
    """The rows that came by themselves since the plan was made: only one that was interrupted has any."""
    listed = {part.path for part in plan.listed}
    known: set[bytes] = set()
    for part in list_parts(lake, topic, plan.since):
        if part.path not in listed:
            with lake.fs.open(f"{lake.root}/{part.path}", "rb") as file:
                known.update(pq.read_table(file, columns=["id"])["id"].to_pylist())
    return known


def _swap(lake: Lake, topic: str, plan: _Plan, now_us: int) -> int:
    """Day by day; a day that was done before the interruption is known by its new files' counting."""
    staged = _list_staged(lake, topic, plan)
    for day in sorted({part.day for part in (*plan.listed, *staged)}):
        counting = {path_in_day(part) for part in list_parts(lake, topic, day, lake.next_day(day))}
        come = [part for part in staged if part.day == day]
        gone = [part for part in plan.listed if part.day == day and path_in_day(part) in counting]
        if gone or not all(path_in_day(part) in counting for part in come):
            swap_parts(lake, gone, come, now_us=now_us)
    return len(staged)


def _list_staged(lake: Lake, topic: str, plan: _Plan) -> list[Part]:
    place = f"{lake.root}/{topic}"
    if not lake.fs.exists(place):
        return []
    days = [str(path).rstrip("/").rpartition("day=")[2] for path in lake.fs.ls(place, detail=False) if "day=" in str(path)]
    return [
        part
        for day in sorted(days)
        for part in list_files(lake, topic, date.fromisoformat(day))
        if part.path.rpartition("/")[2].startswith(plan.name)
    ]


def _put(lake: Lake, topic: str, plan: _Plan) -> None:
    make_place(lake.fs, f"{lake.root}/_rebuild")
    put_file(lake.fs, _place(lake, topic), msgspec.json.encode(plan))


def _place(lake: Lake, topic: str) -> str:
    assert topic in TOPICS
    return f"{lake.root}/_rebuild/{topic}.json"
