"""The lake's files: where they lie, how one comes into being, which make up some days.

Any store that fsspec knows will do (`file:///…`, `s3://bucket/…`, `memory://…`). A part appears whole or not at all: it is
written beside and renamed where the store can rename, and object stores show an object when it is complete.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from laotie.base.ids import new_id
from laotie.base.settings import Settings
from laotie.lake.model import TOPICS, Part

HOUR_US = 3_600_000_000
COMPRESSION = "zstd"
ROW_GROUP_ROWS = 256 * 1024


class Lake:
    """A lake's place and the zone of its days. Opening makes nothing; the first part makes the directories."""

    def __init__(self, url: str, zone: str, **options: Any) -> None:
        self.url = url.rstrip("/")
        self.zone = ZoneInfo(zone)
        self.fs, self.root = fsspec.core.url_to_fs(self.url, **options)

    @classmethod
    def of(cls, settings: Settings) -> "Lake":
        """The lake of these settings: `lake_url`, or `lake/` in the data directory."""
        return cls(settings.lake_url or (settings.data_path / "lake").absolute().as_uri(), settings.books_zone)

    def __str__(self) -> str:
        return self.url

    def day_of(self, at_us: int) -> date:
        """The day in the books' zone that an instant belongs to."""
        return datetime.fromtimestamp(at_us / 1_000_000, UTC).astimezone(self.zone).date()

    def bounds_of(self, day: date) -> tuple[int, int]:
        """The first instant of a day and of the next, in microseconds."""
        return self._begin_of(day), self._begin_of(day + timedelta(days=1))

    def _begin_of(self, day: date) -> int:
        return int(datetime(day.year, day.month, day.day, tzinfo=self.zone).timestamp()) * 1_000_000


def write_parts(lake: Lake, topic: str, table: pa.Table, *, writer: str = "") -> list[Part]:
    """Write rows as one part an hour, sorted by viewer (where there is one) and time. The schema must be the topic's."""
    table = table.cast(TOPICS[topic].schema)
    written = []
    for day, hour, rows in _by_hour(lake, table):
        keys = [name for name in ("viewer_id", "order_id") if name in rows.column_names]
        rows = rows.sort_by([(name, "ascending") for name in (*keys, "at_us")])
        written.append(write_part(lake, topic, day, hour, rows, writer=writer))
    return written


def write_part(lake: Lake, topic: str, day: date, hour: int, rows: pa.Table, *, writer: str = "") -> Part:
    """Write one file of one hour, whole or not at all."""
    path = f"{topic}/day={day}/hour={hour:02}/{new_id().hex}{f'-{writer}' if writer else ''}.parquet"
    place = f"{lake.root}/{path}"
    lake.fs.makedirs(place.rpartition("/")[0], exist_ok=True)
    beside = f"{place}.tmp" if "file" in lake.fs.protocol else place
    with lake.fs.open(beside, "wb") as file:
        pq.write_table(rows, file, compression=COMPRESSION, row_group_size=ROW_GROUP_ROWS)
    if beside != place:
        lake.fs.mv(beside, place)
    return Part(topic, day, hour, path, lake.fs.size(place))


def list_parts(lake: Lake, topic: str, since: date | None = None, until: date | None = None) -> list[Part]:
    """The files of a topic from the day `since` to the day before `until`, in order."""
    found: list[Part] = []
    for day in list_days(lake, topic):
        if (since is None or day >= since) and (until is None or day < until):
            found += _list_day(lake, topic, day)
    return sorted(found)


def list_days(lake: Lake, topic: str) -> list[date]:
    """The days that a topic has anything of."""
    place = f"{lake.root}/{topic}"
    if not lake.fs.exists(place):
        return []
    names = (str(path).rstrip("/").rpartition("/")[2] for path in lake.fs.ls(place, detail=False))
    return sorted(date.fromisoformat(name.removeprefix("day=")) for name in names if name.startswith("day="))


def _list_day(lake: Lake, topic: str, day: date) -> Iterator[Part]:
    place = f"{lake.root}/{topic}/day={day}"
    for path, info in lake.fs.find(place, detail=True).items():
        if path.endswith(".parquet"):
            hour, _, name = path[path.index("/hour=", path.rindex("/day=")) + 6 :].partition("/")
            yield Part(topic, day, int(hour), f"{topic}/day={day}/hour={hour}/{name}", info["size"])


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
