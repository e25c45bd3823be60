"""Acts for the lake's tests, and what the lake has of them afterwards."""

import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from laotie.base.ids import ShowId, ViewerId, VisitId, new_id
from laotie.lake import TOPICS, Lake, Liked, Stay, list_parts

HOUR_US = 3_600_000_000


def make_stay(*, is_fan: bool = False, source: str = "direct") -> Stay:
    """Somebody in some show."""
    return Stay(ViewerId(new_id()), VisitId(new_id()), source, is_fan, ShowId(new_id()), new_id())


def now_us() -> int:
    return time.time_ns() // 1_000


def likes(first: int, count: int, *, at_us: int | None = None, stay: Stay | None = None) -> list[Liked]:
    """Acts that are told apart by how many hearts they sent."""
    at_us, stay = at_us or now_us(), stay or make_stay()
    return [Liked(stay, at_us, 1 + number) for number in range(first, first + count)]


def read(lake: Lake, topic: str) -> pa.Table:
    """The rows of a topic that count, as a reader finds them."""
    tables = [TOPICS[topic].schema.empty_table()]
    for part in list_parts(lake, topic):
        with lake.fs.open(f"{lake.root}/{part.path}", "rb") as file:
            tables.append(pq.read_table(file))
    return pa.concat_tables(tables)


def hearts(lake: Lake) -> list[int]:
    """Which `likes` the lake has, as often as it has them."""
    return sorted(count - 1 for count in read(lake, "like")["count"].to_pylist())


def segment_files(directory: Path) -> list[Path]:
    return sorted(directory.glob("*/*.segment"))
