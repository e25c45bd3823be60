"""A lake by hand: rows said one by one, written as the product writes them. Instants are seconds since a day began."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

import pyarrow as pa

from laotie.lake import TOPICS, Lake, write_parts
from laotie.lake.model import Part

ZONE = "Asia/Shanghai"
DAY = date(2026, 11, 2)
SPACE = UUID("5b1de0a8-7a0b-4f6e-8a50-2f5d3c1b9e77")


def named(name: str) -> UUID:
    """The same id for the same name, always."""
    return uuid5(SPACE, name)


class Tale:
    """What happened, to be told to a lake."""

    def __init__(self) -> None:
        self.rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.count = 0

    def at(self, second: float, day: date = DAY) -> int:
        """Microseconds of UTC of this second of the day in the books' zone."""
        return int(datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(ZONE)).timestamp() * 1_000_000 + second * 1_000_000)

    def add(self, topic: str, second: float, day: date = DAY, **columns: Any) -> None:
        """One row. Names (str) stand for ids; what is left out is null, or what is usual."""
        self.count += 1
        row: dict[str, Any] = {"id": named(f"{topic} {self.count}").bytes, "at_us": self.at(second, day)}
        for field in TOPICS[topic].schema:
            if field.name in row:
                continue
            value = columns.pop(field.name, None)
            if pa.types.is_fixed_size_binary(field.type) and isinstance(value, str):
                value = named(value).bytes
            if value is None and not field.nullable:
                value = USUAL[field.name] if field.name in USUAL else _zero(field.type)
            row[field.name] = value
        assert not columns, f"{topic} has no {', '.join(columns)}"
        self.rows[topic].append(row)

    def visit(self, second: float, viewer: str, visit: str, *, day: date = DAY, source: str = "direct", **more: Any) -> None:
        """Somebody came."""
        self.add("visit", second, day, viewer_id=viewer, visit_id=visit, source=source, connection_id=visit, **more)

    def watch(
        self, since: float, until: float, viewer: str, visit: str, *, day: date = DAY, source: str = "direct", **more: Any
    ) -> None:
        """Watched from a second to another."""
        more.setdefault("connection_id", visit)
        self.add("watch", until, day, viewer_id=viewer, visit_id=visit, source=source, since_us=self.at(since, day), **more)

    def money(self, second: float, kind: str, order: str, buyer: str, amount: int, *, day: date = DAY, **more: Any) -> None:
        """Money of an order moved."""
        more.setdefault("goods_amount", amount)
        self.add("money", second, day, kind=kind, order_id=order, buyer_id=buyer, amount=amount, **more)

    def write(self, lake: Lake) -> list[Part]:
        """Into the lake, a part an hour."""
        return [
            part
            for topic, rows in self.rows.items()
            for part in write_parts(lake, topic, pa.Table.from_pylist(rows, schema=TOPICS[topic].schema))
        ]


USUAL: Mapping[str, Any] = {"source": "direct", "placement": "direct", "currency": "CNY", "is_fan": False, "rule_version": 1}


def _zero(kind: pa.DataType) -> Any:
    if pa.types.is_fixed_size_binary(kind):
        return bytes(16)
    if pa.types.is_boolean(kind):
        return False
    return "" if pa.types.is_dictionary(kind) or pa.types.is_string(kind) else 0


def open_lake(directory: Path) -> Lake:
    """An empty lake in a directory."""
    return Lake(directory.absolute().as_uri(), ZONE)
