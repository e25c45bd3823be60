"""What the lake holds, and whether it is all there: files missing or cut, days missing, rows twice or in the wrong hour.

Reads, and changes nothing. `look` opens no file; `verify` reads each file's end (which tells of rows and instants), and with
`deep` every row, of watching also whether connections keep the order that figures build on.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from pathlib import Path
from uuid import UUID

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from laotie.base.holding import AlreadyRunning, hold
from laotie.lake.manifest import read_manifest
from laotie.lake.model import ALL_DAY, TOPICS, Part
from laotie.lake.parts import Lake, group_parts, list_days, list_files, list_parts, path_in_day, read_ids, version_of
from laotie.lake.quarantine import Held, list_held
from laotie.lake.segments import LOCK, list_processes, list_segments

PROBLEMS_MAX = 1_000
STAY = ("viewer_id", "show_id", "source", "is_fan")
SPAN = ("connection_id", "since_us", "at_us", *STAY)


class TopicLook(msgspec.Struct, frozen=True):
    """A topic at a glance."""

    topic: str
    first_day: date | None
    last_day: date | None
    days: int
    parts: int
    bytes: int
    waiting_for_deletion: int


class ProcessLook(msgspec.Struct, frozen=True):
    """What a process has on its disk that is not in the lake yet."""

    name: str
    is_alive: bool
    segments: int
    bytes: int


class Look(msgspec.Struct, frozen=True):
    """The lake at a glance."""

    url: str
    topics: list[TopicLook]
    processes: list[ProcessLook]
    quarantine: list[Held]


class Problem(msgspec.Struct, frozen=True):
    """Something that is not as it must be."""

    what: str
    topic: str
    day: date | None = None
    path: str | None = None
    detail: str | None = None


class Verdict(msgspec.Struct, frozen=True):
    """What was looked at, and what is wrong (the first thousand)."""

    parts: int
    rows: int
    bytes: int
    problem_count: int
    problems: list[Problem]
    quarantine: list[Held]

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong. What lies in quarantine was dealt with."""
        return not self.problem_count


def look(lake: Lake, segments: Path | None = None) -> Look:
    """What there is. `segments` is where this machine's processes write."""
    topics = []
    for name in TOPICS:
        days = list_days(lake, name)
        parts = list_parts(lake, name)
        gone = sum(len(read_manifest(lake.fs, lake.root, name, day).gone) for day in days)
        first, last = (days[0], days[-1]) if days else (None, None)
        topics.append(TopicLook(name, first, last, len(days), len(parts), sum(part.bytes for part in parts), gone))
    places = list_processes(segments) if segments is not None else []
    return Look(str(lake), topics, [_look_at(place) for place in places], list_held(lake))


def verify(lake: Lake, *, deep: bool = False) -> Verdict:
    """Everything that is wrong."""
    problems: list[Problem] = []
    parts = rows = size = 0
    for topic in TOPICS:
        for day in list_days(lake, topic):
            live = list_parts(lake, topic, day, lake.next_day(day))
            problems += _check_manifest(lake, topic, day, live)
            sound = []
            for part in live:
                count, wrong = _check_part(lake, part, deep=deep)
                problems += wrong
                rows += count
                size += part.bytes
                if not wrong:
                    sound.append(part)
            parts += len(live)
            if deep:
                problems += _find_duplicates(lake, sound)
                problems += _find_disorder(lake, sound) if topic == "watch" else ()
    problems += _find_missing_days(lake)
    return Verdict(parts, rows, size, len(problems), problems[:PROBLEMS_MAX], list_held(lake))


def _look_at(place: Path) -> ProcessLook:
    try:
        hold(place, LOCK).close()
        is_alive = False
    except AlreadyRunning:
        is_alive = True
    sizes = [path.stat().st_size for path in list_segments(place)]
    return ProcessLook(place.name, is_alive, len(sizes), sum(sizes))


def _check_manifest(lake: Lake, topic: str, day: date, live: Sequence[Part]) -> Iterator[Problem]:
    told = read_manifest(lake.fs, lake.root, topic, day)
    found = {path_in_day(part): part for part in live}
    for path, size in sorted(told.kept.items()):
        if path not in found:
            yield Problem("file missing", topic, day, f"{topic}/day={day}/{path}")
        elif found[path].bytes != size:
            yield Problem("file of another size", topic, day, found[path].path, f"{found[path].bytes} bytes, not {size}")
    for part in list_files(lake, topic, day):
        if not told.counts(path_in_day(part)) and path_in_day(part) not in told.gone:
            yield Problem("file left over", topic, day, part.path, "a merge was not finished; compaction deletes it")


def _check_part(lake: Lake, part: Part, *, deep: bool) -> tuple[int, list[Problem]]:
    try:
        with lake.fs.open(f"{lake.root}/{part.path}", "rb") as file:
            parquet = pq.ParquetFile(file)
            if deep:
                for _ in parquet.iter_batches():
                    pass
            return parquet.metadata.num_rows, list(_check_rows(lake, part, parquet))
    except (OSError, pa.ArrowException) as error:
        return 0, [Problem("file unreadable", part.topic, part.day, part.path, str(error)[:200])]


def _check_rows(lake: Lake, part: Part, parquet: pq.ParquetFile) -> Iterator[Problem]:
    version = version_of(parquet)
    if version > TOPICS[part.topic].version:
        yield Problem("unknown version", part.topic, part.day, part.path, f"version {version}")
    lacking = [name for name in parquet.schema_arrow.names if name not in TOPICS[part.topic].schema.names]
    if lacking:
        yield Problem("unknown column", part.topic, part.day, part.path, ", ".join(lacking))
    place = parquet.schema_arrow.get_field_index("at_us")
    for group in range(parquet.metadata.num_row_groups if place >= 0 else 0):
        bounds = parquet.metadata.row_group(group).column(place).statistics
        hours = {lake.hour_of(bounds.min), lake.hour_of(bounds.max)} if bounds is not None and bounds.has_min_max else set()
        if any(day != part.day or part.hour not in (hour, ALL_DAY) for day, hour in hours):
            yield Problem("rows of another hour", part.topic, part.day, part.path)


def _find_duplicates(lake: Lake, parts: Iterable[Part]) -> Iterator[Problem]:
    for of in group_parts(parts):
        ids = pa.chunked_array([read_ids(lake, part) for part in of])
        twice = len(ids) - len(pc.unique(ids))
        if twice:
            of_hour = "the day" if any(part.hour == ALL_DAY for part in of) else f"hour {of[0].hour:02}"
            detail = f"{twice} rows of {of_hour}; compaction drops them"
            yield Problem("rows twice", of[0].topic, of[0].day, None, detail)


def _find_disorder(lake: Lake, parts: Sequence[Part]) -> Iterator[Problem]:
    """What figures of watch time build on, in a day: a connection is one viewer's in one show by one source, and its spans
    come one after another.
    """
    if not parts:
        return
    rows = pa.concat_tables([_read_spans(lake, part) for part in parts])
    rows = rows.filter(pc.greater(rows["at_us"], rows["since_us"]))
    if len(pc.unique(rows["id"])) < rows.num_rows:
        rows = rows.group_by("id", use_threads=False).aggregate([(name, "first") for name in SPAN]).rename_columns(["id", *SPAN])
    connection, since_us, until_us = (_numbers_of(rows[name]) for name in ("connection_id", "since_us", "at_us"))
    order = np.lexsort((since_us, connection))
    again = connection[order][1:] == connection[order][:-1]
    found = {"spans overlap": again & (since_us[order][1:] < until_us[order][:-1])}
    who = np.zeros(len(again), bool)
    for name in STAY:
        value = _numbers_of(rows[name])[order]
        who |= value[1:] != value[:-1]
    found["connection of several"] = again & who
    for what, which in found.items():
        if which.any():
            first = UUID(bytes=rows["connection_id"][int(order[1:][which][0])].as_py())
            detail = f"{which.sum()} spans, the first of connection {first}; watch time is not what it should be"
            yield Problem(what, parts[0].topic, parts[0].day, None, detail)


def _read_spans(lake: Lake, part: Part) -> pa.Table:
    with lake.fs.open(f"{lake.root}/{part.path}", "rb") as file:
        rows = pq.read_table(file, columns=["id", *SPAN])
    return rows.set_column(rows.column_names.index("source"), "source", rows["source"].cast(pa.string()))


def _numbers_of(column: pa.ChunkedArray) -> np.ndarray:
    """Whole numbers as they are; of anything else a number for each value."""
    is_whole = pa.types.is_integer(column.type)
    numbers: np.ndarray = (
        column if is_whole else pc.dictionary_encode(column, null_encoding="encode").combine_chunks().indices
    ).to_numpy()
    return numbers


def _find_missing_days(lake: Lake) -> Iterator[Problem]:
    """Between the first day on which anybody came and the last, somebody comes every day."""
    days = list_days(lake, "visit")
    day = days[0] if days else date.max
    while days and day < days[-1]:
        if day not in days:
            yield Problem("day missing", "visit", day)
        day = lake.next_day(day)
