"""What the lake knows of a person, for their export: their rows of every topic, the latest first, so many of each."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pyarrow.compute as pc
import pyarrow.parquet as pq

from laotie.lake.erasure import PEOPLE
from laotie.lake.model import TOPICS, Part
from laotie.lake.parts import Lake, id_bytes, list_days, list_parts

ROWS_MAX = 10_000


def tell_person(lake: Lake, ids: Iterable[UUID], *, rows_max: int = ROWS_MAX) -> dict[str, list[dict[str, object]]]:
    """By topic, what there is of these ids (an account's and those of guests that became it). Reads the lake: not in the loop."""
    asked = list(ids)
    return {topic: rows for topic in TOPICS if (rows := _tell_topic(lake, topic, asked, rows_max))}


def _tell_topic(lake: Lake, topic: str, ids: list[UUID], rows_max: int) -> list[dict[str, object]]:
    columns = [name for name in PEOPLE if name in TOPICS[topic].schema.names and name != "sharer_id"]
    rows: list[dict[str, Any]] = []
    if not columns:
        return rows
    for day in reversed(list_days(lake, topic)):
        found = [row for part in list_parts(lake, topic, day, lake.next_day(day)) for row in _read(lake, part, columns, ids)]
        rows += sorted(found, key=_instant_of, reverse=True)
        if len(rows) >= rows_max:
            break
    return [{name: _plain(name, value) for name, value in row.items()} for row in rows[:rows_max]]


def _read(lake: Lake, part: Part, columns: list[str], ids: list[UUID]) -> list[dict[str, Any]]:
    """Row groups that cannot have one of the ids are passed over by their statistics."""
    wanted = id_bytes(ids)
    condition = pc.is_in(pc.field(columns[0]), value_set=wanted)
    for name in columns[1:]:
        condition |= pc.is_in(pc.field(name), value_set=wanted)
    with lake.fs.open(f"{lake.root}/{part.path}", "rb") as file:
        rows: list[dict[str, Any]] = pq.read_table(file, filters=condition).to_pylist()
    return rows


def _instant_of(row: dict[str, Any]) -> int:
    return int(row["at_us"])


def _plain(name: str, value: object) -> object:
    if isinstance(value, bytes):
        return UUID(bytes=value) if any(value) else None
    if name.endswith("_us") and isinstance(value, int):
        return datetime.fromtimestamp(value / 1_000_000, UTC)
    return value
