"""Compaction: many small parts of an hour, and of a day long past, become few large ones, each row once, under readers' eyes.

An hour that is over is merged into parts of at most `PART_ROWS_MAX` rows; an hour that goes on only when it has many small
ones. What comes late into an hour that was merged is merged again. A row is known by its id: the first one stays, and one
that says something else under the same id is put into quarantine. A file that nobody can read is put aside, and said.
The hours of a day long past become one (`ALL_DAY`), unless that would be large: then they are large enough themselves.

Memory is bounded by the largest part, not by the hour: a large hour is read as often as it makes parts, each time another
share of the ids. New files count in one step (`swap_parts`); the old ones are deleted when nobody can be reading them.
"""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import date, timedelta

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from laotie.base.db import Database
from laotie.base.ids import new_id
from laotie.base.logs import log
from laotie.lake import manifest
from laotie.lake.late import RECENT_DAYS, is_past, note, take_notes
from laotie.lake.manifest import REPLACING, PartsMoved, read_manifest
from laotie.lake.model import ALL_DAY, TOPICS, Part
from laotie.lake.parts import (
    BESIDE,
    Lake,
    conform,
    group_parts,
    list_days,
    list_files,
    list_parts,
    path_in_day,
    sort_rows,
    swap_parts,
    version_of,
    write_part,
)
from laotie.lake.quarantine import Bad, is_readable, put_aside, tell_rows
from laotie.lake.quarantine import sweep as sweep_quarantine

PART_ROWS_MAX = 1_000_000
SMALL_BYTES = 8 * 1024 * 1024
DAY_BYTES_MAX = 64 * 1024 * 1024
"""A larger day keeps its hours."""
SMALL_MAX = 30
"""So many small parts of an hour that goes on, and they are merged."""
SETTLE_US = 120_000_000
"""An hour is over when the processes have had time to ship it."""
GRACE_US = 600_000_000
"""How long a file that no longer counts lies there for those who are reading it."""
STRAY_S = 3_600
"""A file that was written to replace others and never did: whoever wrote it was killed."""
QUIET_HOUR = 4
HOURS_A_TURN = 8
DAYS_A_TURN = 64
"""Days long past, which are small."""
MERGE_LOCK = 0x1A4E_3E69
FOR_NOW = "-h"
"""Ends the name of what was merged while its hour went on."""


class Work(msgspec.Struct, frozen=True):
    """The parts of one hour, or of one day (`ALL_DAY`), that are to become one."""

    topic: str
    day: date
    hour: int
    parts: tuple[Part, ...]
    is_over: bool


class Compacted(msgspec.Struct, frozen=True):
    """What merging came to. `hours`: how often, be it an hour or a whole day."""

    hours: int = 0
    parts_before: int = 0
    parts_after: int = 0
    rows: int = 0
    duplicates: int = 0
    quarantined: int = 0
    unreadable: int = 0
    deleted: int = 0

    def __add__(self, other: "Compacted") -> "Compacted":
        return Compacted(
            *(a + b for a, b in zip(msgspec.structs.astuple(self), msgspec.structs.astuple(other), strict=True))
        )


def compact(lake: Lake, *, now_us: int, since: date | None = None, hours_max: int | None = None) -> Compacted:
    """Merge what there is to merge on the days from `since` on (all days without it), and delete what was replaced long ago.

    The caller is alone in doing so: the worker holds an advisory lock, the command the data directory.
    """
    total = _tidy_late(lake, now_us=now_us, days_max=hours_max and DAYS_A_TURN)
    for done, work in enumerate(list_work(lake, now_us=now_us, since=since)):
        if done == hours_max:
            return total
        total += _try_merge(lake, work, now_us=now_us)
    sweep_quarantine(lake, today=lake.day_of(now_us))
    return total + Compacted(deleted=sweep(lake, now_us=now_us, since=since))


async def merge_hours(db: Database, lake: Lake) -> int:
    """One turn of the worker's: at most `HOURS_A_TURN` hours of the last days, and days long past into which something came.
    One process at a time (an advisory lock). Early in the morning every day there is is looked at. Returns how many were merged.
    """
    now_us = db.clock.now_us()
    _, hour = lake.hour_of(now_us)
    since = lake.day_of(now_us) - timedelta(days=RECENT_DAYS) if hour != QUIET_HOUR else None
    async with db.tx() as guard:
        if not await guard.one(bool, "SELECT pg_try_advisory_xact_lock(%(key)s)", key=MERGE_LOCK):
            return 0
        done = await asyncio.to_thread(compact, lake, now_us=now_us, since=since, hours_max=HOURS_A_TURN)
    return done.hours


def list_work(lake: Lake, *, now_us: int, since: date | None = None) -> Iterator[Work]:
    """The hours and days that have something to merge, oldest first."""
    for topic in TOPICS:
        for day in list_days(lake, topic):
            if since is None or day >= since:
                yield from _list_day_work(lake, topic, day, now_us=now_us)


def merge(lake: Lake, work: Work, *, now_us: int) -> Compacted:
    """Make one part of some, or as many as it needs; each row of them once. What a later release wrote is left as it is."""
    parts = [part for part in work.parts if is_readable(lake, part)]
    unreadable = len(work.parts) - len(parts)
    if not parts:
        return Compacted(1, unreadable=unreadable)
    ends = [_read_end(lake, part) for part in parts]
    if any(version > TOPICS[work.topic].version for _, version in ends):
        return Compacted()
    rows = sum(count for count, _ in ends)
    shares = max(1, -(-rows // PART_ROWS_MAX))
    come: list[Part] = []
    bad: list[Bad] = []
    left = 0
    if len(parts) == 1 and shares == 1 and not _has_duplicates(lake, parts[0]):
        swap_parts(lake, [], parts, now_us=now_us)  # it stays as it is, and is known from now on
        return Compacted(1, 1, 1, rows, unreadable=unreadable)
    for share in range(shares):
        table, wrong = _distinct(work.topic, _read_share(lake, parts, share, shares))
        bad += wrong
        left += table.num_rows
        if table.num_rows:
            name = f"{REPLACING}{new_id().hex}{'' if work.is_over else FOR_NOW}"
            come.append(write_part(lake, work.topic, work.day, work.hour, sort_rows(table), name=name))
    put_aside(lake, f"{REPLACING}{new_id().hex}", bad, now_us=now_us)
    swap_parts(lake, parts, come, now_us=now_us)
    return Compacted(1, len(parts), len(come), left, rows - left - len(bad), len(bad), unreadable)


def sweep(lake: Lake, *, now_us: int, since: date | None = None) -> int:
    """Delete what has not counted for some minutes, and what a writer that was killed has left. Returns how many files."""
    deleted, old_s = 0, now_us / 1_000_000 - STRAY_S
    for topic in TOPICS:
        for day in list_days(lake, topic):
            if since is not None and day < since:
                continue
            deleted += manifest.forget_gone(lake.fs, lake.root, topic, day, before_us=now_us - GRACE_US)
            told = read_manifest(lake.fs, lake.root, topic, day)
            for part in list_files(lake, topic, day):
                path, place = path_in_day(part), f"{lake.root}/{part.path}"
                is_stray = not told.counts(path) and path not in told.gone
                if is_stray and lake.fs.modified(place).timestamp() < old_s:
                    lake.fs.rm_file(place)
                    deleted += 1
            for place in lake.fs.glob(f"{lake.root}/{topic}/day={day}/*/*{BESIDE}"):
                if lake.fs.modified(place).timestamp() < old_s:
                    lake.fs.rm_file(place)
                    deleted += 1
    return deleted


def _tidy_late(lake: Lake, *, now_us: int, days_max: int | None) -> Compacted:
    """Merge the days that were noted, and delete what they were. One that is not tidy is noted again."""
    total = Compacted()
    for topic, day in take_notes(lake):
        for work in list(_list_day_work(lake, topic, day, now_us=now_us)):
            total += _try_merge(lake, work, now_us=now_us)
        deleted = manifest.forget_gone(lake.fs, lake.root, topic, day, before_us=now_us - GRACE_US)
        total += Compacted(deleted=deleted)
        if read_manifest(lake.fs, lake.root, topic, day).gone:
            note(lake, topic, day)
        if total.hours == days_max:
            break
    return total


def _list_day_work(lake: Lake, topic: str, day: date, *, now_us: int) -> Iterator[Work]:
    parts = list_parts(lake, topic, day, lake.next_day(day))
    kept = read_manifest(lake.fs, lake.root, topic, day).kept
    small = is_past(lake, day, now_us=now_us) and sum(part.bytes for part in parts) <= DAY_BYTES_MAX
    whole = [part for part in parts if part.hour == ALL_DAY]
    if (small or whole) and len(parts) > max(1, len(whole)):
        yield Work(topic, day, ALL_DAY, tuple(parts), True)
        return
    for of in group_parts(parts):
        hour = of[0].hour
        is_over = (day, hour) < lake.hour_of(now_us - SETTLE_US)
        chosen = _choose(of, kept, is_over=is_over)
        if chosen:
            yield Work(topic, day, hour, tuple(chosen), is_over)


def _try_merge(lake: Lake, work: Work, *, now_us: int) -> Compacted:
    try:
        return merge(lake, work, now_us=now_us)
    except PartsMoved:
        log.info("an hour has changed while it was merged; the next turn will", topic=work.topic, day=str(work.day))
    except pa.ArrowException as error:
        log.error("an hour cannot be merged", topic=work.topic, day=str(work.day), hour=work.hour, error=str(error)[:200])
    return Compacted()


def _choose(parts: Sequence[Part], kept: dict[str, int], *, is_over: bool) -> list[Part]:
    """What of an hour is to be merged now: when it is over, everything, once; before that the small ones, when they are many."""
    if not is_over:
        small = [part for part in parts if part.bytes < SMALL_BYTES]
        return small if len(small) >= SMALL_MAX else []
    is_done = all(path_in_day(part) in kept and not part.path.endswith(f"{FOR_NOW}.parquet") for part in parts)
    return [] if is_done else list(parts)


def _read_end(lake: Lake, part: Part) -> tuple[int, int]:
    """How many rows a file has, and of which version."""
    with lake.fs.open(f"{lake.root}/{part.path}", "rb") as file:
        parquet = pq.ParquetFile(file)
        return parquet.metadata.num_rows, version_of(parquet)


def _has_duplicates(lake: Lake, part: Part) -> bool:
    with lake.fs.open(f"{lake.root}/{part.path}", "rb") as file:
        ids = pq.read_table(file, columns=["id"])["id"]
    return len(pc.unique(ids)) < len(ids)


def _read_share(lake: Lake, parts: Sequence[Part], share: int, shares: int) -> pa.Table:
    """The rows whose ids belong to this share, in the order of the parts."""
    tables = []
    for part in parts:
        schema = TOPICS[part.topic].schema
        with lake.fs.open(f"{lake.root}/{part.path}", "rb") as file:
            for batch in pq.ParquetFile(file).iter_batches():
                table = conform(pa.Table.from_batches([batch]), schema)
                tables.append(table.filter(_is_of_share(table["id"], share, shares)) if shares > 1 else table)
    return pa.concat_tables(tables).unify_dictionaries()


def _is_of_share(ids: pa.ChunkedArray, share: int, shares: int) -> pa.Array:
    """By the end of the id: of acts a running number, of facts a digest."""
    ends = np.frombuffer(pa.concat_arrays(ids.chunks).cast(pa.binary()).buffers()[2], np.uint8)
    return pa.array(ends.reshape(-1, 16)[:, 14:].copy().view(">u2").reshape(-1) % shares == share)


def _distinct(topic: str, rows: pa.Table) -> tuple[pa.Table, list[Bad]]:
    """Each row once. Another row under an id that is taken is not a duplicate; it is wrong."""
    if len(pc.unique(rows["id"])) == rows.num_rows:
        return rows, []
    ids = pc.dictionary_encode(rows["id"].cast(pa.binary())).combine_chunks().indices.to_numpy()
    _, first, inverse = np.unique(ids, return_index=True, return_inverse=True)
    again = np.setdiff1d(np.arange(len(ids)), first)
    stays = first[inverse[again]]
    differs = [one != other for one, other in zip(rows.take(again).to_pylist(), rows.take(stays).to_pylist(), strict=True)]
    wrong = rows.take(again[np.array(differs, bool)])
    return rows.take(np.sort(first)), tell_rows(topic, "another row of the same id", wrong)

