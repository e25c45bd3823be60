"""The lake's files: where they lie, how one comes into being, which make up some days.

Any store will do (`stores`: `file:///…`, `s3://bucket/…`, `memory://…`). A part appears whole or not at all, and is on
the disk when its writer goes on: it is written beside, synced and renamed where the store is a disk, and object stores show
an object when it is complete. Parts are never changed; `swap_parts` has others count in their place, in one step.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from laotie.base.ids import new_id
from laotie.base.settings import Settings
from laotie.lake import manifest
from laotie.lake.model import ALL_DAY, TOPICS, Part
from laotie.lake.stores import is_disk, is_s3, make_place, open_store, sync_directory

HOUR_US = 3_600_000_000
COMPRESSION = "zstd"
ROW_GROUP_ROWS = 256 * 1024
BESIDE = ".tmp"
"""Ends the name of a file that is being written on a disk."""


class Lake:
    """A lake's place, the zone of its days, and how far it may be behind. Opening makes nothing; the first part does."""

    behind_s_max = 3_600

    def __init__(self, url: str, zone: str, **options: Any) -> None:
        self.url = url.rstrip("/")
        self.zone = ZoneInfo(zone)
        self.fs, self.root = open_store(self.url, **options)

    @classmethod
    def of(cls, settings: Settings) -> "Lake":
        """The lake of these settings: `lake_url`, or `lake/` in the data directory."""
        lake = cls(settings.lake_url or (settings.data_path / "lake").absolute().as_uri(), settings.books_zone)
        lake.behind_s_max = settings.lake_behind_s_max
        return lake

    def __str__(self) -> str:
        return self.url

    def day_of(self, at_us: int) -> date:
        """The day in the books' zone that an instant belongs to."""
        return datetime.fromtimestamp(at_us / 1_000_000, UTC).astimezone(self.zone).date()

    def hour_of(self, at_us: int) -> tuple[date, int]:
        """The day and the hour of an instant, as paths tell them."""
        local = datetime.fromtimestamp(at_us / 1_000_000, UTC).astimezone(self.zone)
        return local.date(), local.hour

    def next_day(self, day: date) -> date:
        """The day after."""
        return day + timedelta(days=1)

    def bounds_of(self, day: date) -> tuple[int, int]:
        """The first instant of a day and of the next, in microseconds."""
        return self._begin_of(day), self._begin_of(day + timedelta(days=1))

    def _begin_of(self, day: date) -> int:
        return int(datetime(day.year, day.month, day.day, tzinfo=self.zone).timestamp()) * 1_000_000


def write_parts(
    lake: Lake, topic: str, table: pa.Table, *, name: str | None = None, again: bool = False
) -> list[Part]:
    """Write rows as one part an hour, sorted by viewer (where there is one) and time. The schema must be the topic's.

    Under the same name the same rows are the same files: who does not know whether they were written writes them `again`,
    but for those that a manifest knows of: they were written, and whether they count is settled.
    """
    table = table.cast(TOPICS[topic].schema)
    written = []
    for day, hour, rows in _by_hour(lake, table):
        if not (again and name is not None and _is_known(lake, topic, day, f"{_hour_place(hour)}/{name}.parquet")):
            written.append(write_part(lake, topic, day, hour, sort_rows(rows), name=name))
    return written


def _is_known(lake: Lake, topic: str, day: date, path: str) -> bool:
    told = manifest.read_manifest(lake.fs, lake.root, topic, day)
    return path in told.gone or (path in told.kept and bool(lake.fs.exists(f"{lake.root}/{topic}/day={day}/{path}")))


def conform(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Rows of an earlier version in the present schema: columns that came since are null."""
    columns = [
        rows[field.name] if field.name in rows.column_names else pa.nulls(rows.num_rows, field.type) for field in schema
    ]
    return pa.table(columns, names=schema.names).cast(schema)


def sort_rows(rows: pa.Table) -> pa.Table:
    """In the order that the lake's files have."""
    keys = [name for name in ("viewer_id", "order_id") if name in rows.column_names]
    return rows.sort_by([(name, "ascending") for name in (*keys, "at_us")])


def write_part(lake: Lake, topic: str, day: date, hour: int, rows: pa.Table, *, name: str | None = None) -> Part:
    """Write one file of one hour (or `ALL_DAY`), whole or not at all. One that is called `m-…` counts when it is swapped in."""
    path = f"{topic}/day={day}/{_hour_place(hour)}/{name or new_id().hex}.parquet"
    place = f"{lake.root}/{path}"
    hour_place = place.rpartition("/")[0]
    is_new = not is_s3(lake.fs) and not lake.fs.exists(hour_place)
    make_place(lake.fs, hour_place)
    if is_disk(lake.fs):
        _write_to_disk(place, rows)
        for above in (1, 2, 3) if is_new else ():
            sync_directory(place.rsplit("/", above + 1)[0])
    else:
        whole = pa.BufferOutputStream()  # a file that is closed by an exception would be there, cut
        pq.write_table(rows, whole, compression=COMPRESSION, row_group_size=ROW_GROUP_ROWS)
        content = whole.getvalue().to_pybytes()
        lake.fs.pipe_file(place, content)
        return Part(topic, day, hour, path, len(content))
    return Part(topic, day, hour, path, lake.fs.size(place))


def _hour_place(hour: int) -> str:
    return f"hour={'all' if hour == ALL_DAY else f'{hour:02}'}"


def _write_to_disk(place: str, rows: pa.Table) -> None:
    beside = Path(f"{place}{BESIDE}")
    try:
        with beside.open("wb") as file:
            pq.write_table(rows, file, compression=COMPRESSION, row_group_size=ROW_GROUP_ROWS)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        beside.unlink(missing_ok=True)  # the disk may be full
        raise
    beside.rename(place)
    sync_directory(place.rpartition("/")[0])


def list_parts(lake: Lake, topic: str, since: date | None = None, until: date | None = None) -> list[Part]:
    """The files that count of a topic from the day `since` to the day before `until`, in order."""
    found: list[Part] = []
    for day in list_days(lake, topic):
        if (since is None or day >= since) and (until is None or day < until):
            found += _list_day(lake, topic, day)
    return sorted(found)


def list_hour(lake: Lake, topic: str, day: date, hour: int) -> list[Part]:
    """The files that count and may hold rows of one hour."""
    if day not in list_days(lake, topic):
        return []
    return sorted(part for part in _list_day(lake, topic, day) if part.hour in (hour, ALL_DAY))


def group_parts(parts: Iterable[Part]) -> list[list[Part]]:
    """Parts that may hold the same row, together: those of an hour, or of a day of which any part holds the whole."""
    parts = list(parts)
    whole = {(part.topic, part.day) for part in parts if part.hour == ALL_DAY}
    groups: dict[tuple[str, date, int], list[Part]] = {}
    for part in parts:
        hour = ALL_DAY if (part.topic, part.day) in whole else part.hour
        groups.setdefault((part.topic, part.day, hour), []).append(part)
    return [groups[key] for key in sorted(groups)]


def version_of(parquet: pq.ParquetFile) -> int:
    """The version of its topic that a file was written by."""
    return int((parquet.schema_arrow.metadata or {}).get(b"laotie.version", b"1"))


def path_in_day(part: Part) -> str:
    """A part's path below its day."""
    return part.path.split("/", 2)[2]


def read_ids(lake: Lake, part: Part) -> pa.Array:
    """The ids of a file's rows."""
    with lake.fs.open(f"{lake.root}/{part.path}", "rb") as file:
        return pq.read_table(file, columns=["id"]).column("id").combine_chunks()


def list_days(lake: Lake, topic: str) -> list[date]:
    """The days that a topic has anything of."""
    try:
        paths = lake.fs.ls(f"{lake.root}/{topic}", detail=False)
    except FileNotFoundError:
        return []
    names = (str(path).rstrip("/").rpartition("/")[2] for path in paths)
    return sorted(date.fromisoformat(name.removeprefix("day=")) for name in names if name.startswith("day="))


def swap_parts(lake: Lake, gone: Sequence[Part], come: Sequence[Part], *, now_us: int) -> None:
    """Have `come` count instead of `gone` (of one topic's day), at once, or refuse with `PartsMoved`.

    The files that come bear names that begin with `m-`: until now they did not count. What is gone lies there for some
    minutes more, for those who are reading it.
    """
    one = next(iter((*gone, *come)))
    manifest.swap_parts(lake.fs, lake.root, one.topic, one.day, gone=gone, come=come, now_us=now_us)


def list_files(lake: Lake, topic: str, day: date) -> list[Part]:
    """Every file of a day, whether it counts or not."""
    place = f"{lake.root}/{topic}/day={day}"
    found = []
    for path, size in _scan(place) if is_disk(lake.fs) else _find(lake.fs, place):
        hour, _, name = path[path.index("/hour=", path.rindex("/day=")) + 6 :].partition("/")
        found.append(Part(topic, day, ALL_DAY if hour == "all" else int(hour), f"{topic}/day={day}/hour={hour}/{name}", size))
    return found


def _find(fs: Any, place: str) -> Iterator[tuple[str, int]]:
    for path, info in fs.find(place, detail=True).items():
        if path.endswith(".parquet"):
            yield path, info["size"]


def _scan(place: str) -> Iterator[tuple[str, int]]:
    """On a disk a file may vanish between its name and its size: only one that had not counted for long."""
    for hour in os.scandir(place):
        if hour.name.startswith("hour="):
            for file in os.scandir(hour.path):
                if file.name.endswith(".parquet"):
                    with suppress(FileNotFoundError):
                        yield file.path, file.stat().st_size


def _list_day(lake: Lake, topic: str, day: date) -> Iterator[Part]:
    told = manifest.read_manifest(lake.fs, lake.root, topic, day)
    prefix = len(f"{topic}/day={day}/")
    return (part for part in list_files(lake, topic, day) if told.counts(part.path[prefix:]))


def _by_hour(lake: Lake, table: pa.Table) -> Iterator[tuple[date, int, pa.Table]]:
    """Rows of the same UTC hour share an offset in every zone whose offset is whole hours; others are asked quarter by quarter."""
    quarters = table.column("at_us").to_numpy() // (HOUR_US // 4)
    keys: dict[tuple[date, int], list[int]] = {}
    for quarter in np.unique(quarters).tolist():
        local = datetime.fromtimestamp(quarter * 900, UTC).astimezone(lake.zone)
        keys.setdefault((local.date(), local.hour), []).append(quarter)
    for (day, hour), members in sorted(keys.items()):
        yield day, hour, table.filter(pa.array(np.isin(quarters, members)))


def id_bytes(ids: Iterable[UUID | None]) -> pa.Array:
    """Ids as the lake keeps them."""
    return pa.array([one.bytes if one is not None else None for one in ids], pa.binary(16))
