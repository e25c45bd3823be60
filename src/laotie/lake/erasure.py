"""Erasure: a person's rows lose the person. Every figure of the past stays what it was; whose it was cannot be found.

A person who left is one random id from then on (`aliases`), the same in all rows, so that distinct counts, money and what
follows over time stay exact to the last unit. Each file that names the person is written anew and put in the old one's place
(`swap_parts`), in the roll-ups as well; who became whom is dropped, and what lies in quarantine goes. All who left lately
are erased in one pass over the lake, a topic's day at a time; where it stands is kept, so a pass goes on where it was broken
off. Three passes, a day apart at the last: what was on its way in the first time is met by the second, and the old files are
deleted.
"""

import asyncio
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from uuid import UUID, uuid5

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from laotie.base.db import Database, Tx
from laotie.base.ids import AccountId, new_id
from laotie.base.logs import log
from laotie.lake import manifest, quarantine
from laotie.lake.compaction import FOR_NOW, GRACE_US, MERGE_LOCK
from laotie.lake.manifest import REPLACING, PartsMoved, read_manifest
from laotie.lake.model import FACTS, ID, PERSON, TOPICS, Part
from laotie.lake.parts import COMPRESSION, Lake, list_days, list_parts, path_in_day, sort_rows, swap_parts, write_part
from laotie.lake.stores import put_file

PEOPLE_AT_ONCE = 100
PASSES_AFTER = (timedelta(), timedelta(hours=1), timedelta(hours=25))
"""When each pass is due: at once; when whoever was connected has gone; when no visit is good any more."""
PEOPLE = ("viewer_id", "buyer_id", "sharer_id", "guest_id", "account_id")
"""The columns that name a person who is not a seller."""
ROLLUPS = "rollup"


class Erasure(msgspec.Struct, frozen=True):
    """Somebody who left, and how far it is done. `due_at` is missing when it is."""

    account_id: AccountId
    asked_at: datetime
    due_at: datetime | None
    passes: int
    done_at: datetime | None


class Progress(msgspec.Struct, frozen=True):
    """Where a pass stands: the topic's day that was done last."""

    people: list[AccountId]
    topic: str | None
    day: date | None
    rows: int
    files: int
    began_at: datetime


class Changed(msgspec.Struct, frozen=True):
    """What a day's rewriting came to. `people`: the aliases that were met."""

    rows: int = 0
    files: int = 0
    people: frozenset[UUID] = frozenset()


async def list_erasures(tx: Tx, *, limit: int = 100) -> list[Erasure]:
    """People who left and of whom the lake still knows the alias, the latest first."""
    return await tx.all(
        Erasure,
        """
        SELECT account_id, asked_at, due_at, passes, done_at FROM lake.erasure ORDER BY asked_at DESC, account_id
        LIMIT %(limit)s
        """,
        limit=limit,
    )


async def find_progress(tx: Tx) -> Progress | None:
    """The pass that is under way."""
    return await tx.maybe(Progress, "SELECT people, topic, day, rows, files, began_at FROM lake.erasing")


async def work_erasures(db: Database, lake: Lake) -> int:
    """One step of a pass: begin one if somebody is due, or rewrite the next day. One process at a time, and nobody merges or
    rebuilds meanwhile (the compaction's advisory lock). Returns how much was done; 0: there is nothing to do.
    """
    async with db.tx() as guard:
        if not await guard.one(bool, "SELECT pg_try_advisory_xact_lock(%(key)s)", key=MERGE_LOCK):
            return 0
        async with db.tx() as tx:
            progress = await find_progress(tx) or await _begin(tx)
            if progress is None:
                return 0
            aliases = await _read_aliases(tx, progress.people)
        step = await asyncio.to_thread(_next_step, lake, progress)
        now_us = db.clock.now_us()
        if step is None:
            await asyncio.to_thread(_finish_files, lake, aliases)
            async with db.tx() as tx:
                await _finish(tx, progress)
            return 1
        try:
            changed = await asyncio.to_thread(rewrite_day, lake, *step, aliases, now_us=now_us)
        except PartsMoved:
            return 1  # they are being merged; again
        async with db.tx() as tx:
            await _advance(tx, step, changed)
        return 1


def rewrite_day(lake: Lake, topic: str, day: date, aliases: Mapping[UUID, UUID], *, now_us: int) -> Changed:
    """Have a topic's day know these people by their aliases alone, and delete its files that no longer count.

    Refuses with `PartsMoved` when it is being merged meanwhile.
    """
    names = _Names(aliases)
    kept = read_manifest(lake.fs, lake.root, topic, day).kept
    total = Changed()
    for part in list_parts(lake, topic, day, lake.next_day(day)):
        met = _meet(lake, part, names)
        if not met:
            continue
        with lake.fs.open(f"{lake.root}/{part.path}", "rb") as file:
            table = pq.read_table(file)
        rows, count = rename(table, names, topic=topic)
        for_now = path_in_day(part) not in kept or part.path.endswith(f"{FOR_NOW}.parquet")
        name = f"{REPLACING}{new_id().hex}{FOR_NOW if for_now else ''}"
        come = [write_part(lake, topic, day, part.hour, sort_rows(rows), name=name)] if rows.num_rows else []
        swap_parts(lake, [part], come, now_us=now_us)
        total = Changed(total.rows + count, total.files + 1, total.people | met)
    manifest.forget_gone(lake.fs, lake.root, topic, day, before_us=now_us - GRACE_US)
    return total


class _Names:
    """Ids and what replaces them, as Arrow looks them up."""

    def __init__(self, aliases: Mapping[UUID, UUID]) -> None:
        self.ids = pa.array([one.bytes for one in aliases], ID)
        self.aliases = pa.array([one.bytes for one in aliases.values()], ID)


def rename(table: pa.Table, names: _Names, *, topic: str | None) -> tuple[pa.Table, int]:
    """The rows without these people, and how many rows were changed. Who became whom is dropped."""
    touched = np.zeros(table.num_rows, bool)
    for column in [name for name in PEOPLE if name in table.column_names]:
        at = table.column_names.index(column)
        field, ids = table.schema.field(at), _plain(table.column(at))
        place = pc.index_in(ids, names.ids)
        touched |= pc.is_valid(place).to_numpy(zero_copy_only=False)
        table = table.set_column(at, field, pc.coalesce(names.aliases.take(place), ids).cast(field.type))
    if topic == PERSON.name:
        return table.filter(pa.array(~touched)), int(touched.sum())
    if topic == "follow" and touched.any():
        table = _with_new_ids(table, touched)
    return table, int(touched.sum())


def _plain(column: pa.ChunkedArray) -> pa.Array:
    array = column.combine_chunks()
    return array.cast(ID) if array.type != ID else array


def _with_new_ids(table: pa.Table, touched: npt.NDArray[np.bool_]) -> pa.Table:
    """A follow's id is made of who follows: made anew of the alias, as the way in makes it."""
    rows = table.select(["id", "viewer_id", "streamer_id", "begins", "at_us"]).to_pylist()
    ids = [
        uuid5(
            UUID(bytes=row["viewer_id"]),
            f"{UUID(bytes=row['streamer_id'])} {'followed' if row['begins'] else 'unfollowed'} {row['at_us']}",
        ).bytes
        if is_touched
        else row["id"]
        for row, is_touched in zip(rows, touched.tolist(), strict=True)
    ]
    return table.set_column(0, table.schema.field("id"), pa.array(ids, ID))


def _meet(lake: Lake, part: Part, names: _Names) -> frozenset[UUID]:
    """The aliases of those people whom a file names; only the columns that name somebody are read."""
    columns = [name for name in PEOPLE if name in TOPICS[part.topic].schema.names]
    found: set[UUID] = set()
    if not columns:
        return frozenset()
    with lake.fs.open(f"{lake.root}/{part.path}", "rb") as file:
        table = pq.read_table(file, columns=columns)
    for column in table.columns:
        place = pc.unique(pc.index_in(_plain(column), names.ids).drop_null())
        found |= {UUID(bytes=one) for one in names.aliases.take(place).to_pylist()}
    return frozenset(found)


def _finish_files(lake: Lake, aliases: Mapping[UUID, UUID]) -> None:
    """What is not a topic: quarantine, and the roll-ups, whose days may be all that is left."""
    quarantine.forget(lake, [one.bytes for one in aliases])
    names = _Names(aliases)
    for path in lake.fs.find(f"{lake.root}/{ROLLUPS}"):
        if not path.endswith(".parquet"):
            continue
        with lake.fs.open(path, "rb") as file:
            table = pq.read_table(file)
        renamed, count = rename(table, names, topic=None)
        if count:
            content = pa.BufferOutputStream()
            pq.write_table(renamed, content, compression=COMPRESSION)
            put_file(lake.fs, path, content.getvalue().to_pybytes())


def _next_step(lake: Lake, progress: Progress) -> tuple[str, date] | None:
    """The topic's day after the one that was done last; days that came meanwhile are met by the next pass."""
    topics = list(TOPICS)
    begin = topics.index(progress.topic) if progress.topic is not None else 0
    for topic in topics[begin:]:
        for day in list_days(lake, topic):
            if topic != progress.topic or progress.day is None or day > progress.day:
                return topic, day
    return None


async def _begin(tx: Tx) -> Progress | None:
    people = await tx.all(
        AccountId,
        "SELECT account_id FROM lake.erasure WHERE due_at <= %(now)s ORDER BY due_at, account_id LIMIT %(limit)s",
        now=tx.now,
        limit=PEOPLE_AT_ONCE,
    )
    if not people:
        return None
    await tx.run(
        "INSERT INTO lake.erasing (people, began_at) VALUES (%(people)s::uuid[], %(now)s)", people=people, now=tx.now
    )
    return await find_progress(tx)


async def _read_aliases(tx: Tx, people: list[AccountId]) -> dict[UUID, UUID]:
    return dict(
        await tx.tuples("SELECT id, alias FROM lake.alias WHERE account_id = ANY(%(people)s::uuid[])", people=people)
    )


async def _advance(tx: Tx, step: tuple[str, date], changed: Changed) -> None:
    topic, day = step
    await tx.run(
        """
        UPDATE lake.erasing SET topic = %(topic)s, day = %(day)s, rows = rows + %(rows)s, files = files + %(files)s
        """,
        topic=topic,
        day=day,
        rows=changed.rows,
        files=changed.files,
    )
    if topic in {one.name for one in FACTS} and changed.people:
        await tx.run(
            "UPDATE lake.erasure SET has_facts = true WHERE alias = ANY(%(aliases)s::uuid[])",
            aliases=list(changed.people),
        )


async def _finish(tx: Tx, progress: Progress) -> None:
    """The pass is over: when the next is due, or, after the last, whether the alias is still needed."""
    await tx.run("DELETE FROM lake.erasing")
    await tx.run(
        """
        UPDATE lake.erasure
        SET passes = passes + 1,
            due_at = asked_at + (%(after)s::interval[])[passes + 2],
            done_at = CASE WHEN passes + 1 >= %(passes)s THEN %(now)s END
        WHERE account_id = ANY(%(people)s::uuid[])
        """,
        people=progress.people,
        after=list(PASSES_AFTER),
        passes=len(PASSES_AFTER),
        now=tx.now,
    )
    await tx.run("DELETE FROM lake.erasure WHERE done_at IS NOT NULL AND NOT has_facts")
    log.info("people were erased from the lake", people=len(progress.people), rows=progress.rows, files=progress.files)
