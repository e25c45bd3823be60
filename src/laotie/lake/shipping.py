"""From segments to parts: acts become rows of their topics, in the hour in which they were done, however late they come.

A segment that was begun before (its name ends in `.shipping`) may lie in the lake already, in part, even merged with others:
its rows are compared with what is there.
What cannot be true goes into quarantine: acts from the future, from before there was a lake, with less than no duration.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from laotie.base import metrics
from laotie.base.ids import new_id
from laotie.lake.acts import TOPIC_OF
from laotie.lake.batches import KIND_OF, WHOLE, Batch, Columns, Unreadable, read_batches
from laotie.lake.late import note_late
from laotie.lake.model import ID, TOPICS, WORD
from laotie.lake.parts import Lake, list_hour, read_ids, write_parts
from laotie.lake.quarantine import Bad, is_readable, put_aside, tell_rows
from laotie.lake.segments import SHIPPING
from laotie.lake.stores import sync_directory

FUTURE_US_MAX = 60_000_000
"""Clocks of several machines may differ so much."""
OLDEST_US = 1_577_836_800_000_000
"""2020: before it there was no lake, but there are machines that lost their clock."""
WATCH_US_MAX = 300_000_000
"""A watched stretch lies between two beats, which come every ten seconds."""
STAY_MS_MAX = 48 * 3600 * 1000
COUNT_MAX = 1_000_000

Rule = tuple[str, Callable[[pa.Table], Any]]

_SPAN: list[Rule] = [
    ("negative duration", lambda rows: pc.greater(rows["since_us"], rows["at_us"])),
    ("overlong duration", lambda rows: pc.greater(pc.subtract(rows["at_us"], rows["since_us"]), WATCH_US_MAX)),
]
RULES: dict[str, list[Rule]] = {
    "watch": _SPAN,
    "play": _SPAN,
    "leave": [
        ("negative duration", lambda rows: pc.less(rows["watched_ms"], 0)),
        ("overlong duration", lambda rows: pc.greater(rows["watched_ms"], STAY_MS_MAX)),
    ],
    "like": [("impossible count", lambda rows: _outside(rows["count"], 1, COUNT_MAX))],
    "chat": [("impossible count", lambda rows: _outside(rows["length"], 0, COUNT_MAX))],
    "cart": [("impossible count", lambda rows: _outside(rows["quantity"], 1, COUNT_MAX))],
    "search": [("impossible count", lambda rows: _outside(rows["hits"], 0, 2**31 - 1))],
}


class Shipped(msgspec.Struct, frozen=True):
    """What became of some segments."""

    segments: int = 0
    rows: int = 0
    quarantined: int = 0
    duplicates: int = 0
    parts: int = 0

    def __add__(self, other: "Shipped") -> "Shipped":
        return Shipped(*(a + b for a, b in zip(msgspec.structs.astuple(self), msgspec.structs.astuple(other), strict=True)))


def ship(lake: Lake, place: Path, segments: Iterable[Path], *, now_us: int) -> Shipped:
    """Make parts of ended segments (of the process whose directory is `place`), and delete each when it is one."""
    total = Shipped()
    for segment in segments:
        begun = segment.suffix == SHIPPING
        if not begun:
            segment = segment.rename(segment.with_suffix(SHIPPING))
            sync_directory(str(place))
        total += _ship_one(lake, f"{place.name}-{segment.stem}", segment.read_bytes(), is_new=not begun, now_us=now_us)
        segment.unlink()
    return total


def _ship_one(lake: Lake, name: str, content: bytes, *, is_new: bool, now_us: int) -> Shipped:
    tables, bad = read_segment(content)
    rows = duplicates = parts = 0
    for topic, table in sorted(tables.items()):
        distinct = drop_duplicates(table)
        duplicates += table.num_rows - distinct.num_rows
        good, wrong = judge(topic, distinct, now_us=now_us)
        bad += wrong
        if not is_new:
            fresh = _drop_known(lake, topic, good)
            duplicates += good.num_rows - fresh.num_rows
            good = fresh
        if good.num_rows:
            written = write_parts(lake, topic, good, name=name if is_new else f"{name}-{new_id().hex}")
            note_late(lake, written, now_us=now_us)
            parts += len(written)
            rows += good.num_rows
            metrics.LAKE_SHIPPED.labels(topic).inc(good.num_rows)
    put_aside(lake, name, bad, now_us=now_us)
    return Shipped(1, rows, len(bad), duplicates, parts)


def read_segment(content: bytes) -> tuple[dict[str, pa.Table], list[Bad]]:
    """A segment's rows by topic, as they came (whole numbers still wide), and what is not rows."""
    found: dict[str, list[pa.Table]] = {}
    bad = []
    for batch in read_batches(content):
        if isinstance(batch, Unreadable):
            bad.append(Bad("", batch.reason, batch.content))
            continue
        number = batch.first
        for columns in batch.columns:
            try:
                topic, table = _table_of(batch, columns, number)
                found.setdefault(topic, []).append(table)
            except (KeyError, ValueError, TypeError, IndexError, OverflowError, pa.ArrowInvalid) as error:
                reason = f"unknown kind: {columns.kind}" if columns.kind not in KIND_OF else f"unreadable act: {error}"
                bad.append(Bad("", reason[:200], msgspec.msgpack.encode((batch.stays, columns))))
            number += columns.count
    return {topic: pa.concat_tables(tables) for topic, tables in found.items()}, bad


def drop_duplicates(table: pa.Table) -> pa.Table:
    """The first row of each id, in the order in which they came."""
    if len(pc.unique(table["id"])) == table.num_rows:
        return table
    ids = pc.dictionary_encode(table["id"].cast(pa.binary())).combine_chunks().indices.to_numpy()
    _, first = np.unique(ids, return_index=True)
    return table.take(np.sort(first))


def judge(topic: str, table: pa.Table, *, now_us: int) -> tuple[pa.Table, list[Bad]]:
    """The rows that may be true, in the topic's schema, and the others with the reason."""
    rules: list[Rule] = [
        ("from the future", lambda rows: pc.greater(rows["at_us"], now_us + FUTURE_US_MAX)),
        ("clock was lost", lambda rows: pc.less(rows["at_us"], OLDEST_US)),
        *RULES.get(topic, []),
    ]
    bad: list[Bad] = []
    for reason, rule in rules:
        is_wrong = rule(table)
        if pc.any(is_wrong).as_py():
            bad += tell_rows(topic, reason, table.filter(is_wrong))
            table = table.filter(pc.invert(is_wrong))
    return table.cast(TOPICS[topic].schema), bad


def _outside(column: pa.ChunkedArray, least: int, most: int) -> Any:
    return pc.or_(pc.less(column, least), pc.greater(column, most))


def _drop_known(lake: Lake, topic: str, rows: pa.Table) -> pa.Table:
    """Without what the lake has already, in whatever file it lies now."""
    quarters = pc.unique(pc.divide(rows["at_us"], 900_000_000)).to_pylist()
    for day, hour in sorted({lake.hour_of(quarter * 900_000_000) for quarter in quarters}):
        parts = [part for part in list_hour(lake, topic, day, hour) if is_readable(lake, part)]
        if parts:
            known = pa.concat_arrays([read_ids(lake, part) for part in parts])
            rows = rows.filter(pc.invert(pc.is_in(rows["id"], value_set=known)))
    return rows


def _table_of(batch: Batch, columns: Columns, number: int) -> tuple[str, pa.Table]:
    """One kind's acts of a batch as rows of its topic. Anything that does not fit is a `ValueError` or its like."""
    kind = KIND_OF[columns.kind]
    topic = TOPIC_OF[kind.act]
    count = columns.count
    of_stay = pa.array(np.frombuffer(columns.stays, np.uint32))
    given = {"id": _ids_of(batch.writer, number, count), "at_us": _whole(columns.at_us)}
    for place, (name, type_) in enumerate(_STAY_COLUMNS):
        given[name] = pa.array([stay[place] for stay in batch.stays], type_).take(of_stay)
    for (name, form), values in zip(kind.columns, columns.values, strict=True):
        if form is WHOLE:
            given[name] = _whole(values)
        else:
            given[name] = pa.array(values, _wide(topic.schema.field(name).type))
    arrays = [_dictionary(given[field.name], field.type) for field in topic.schema]
    if any(len(one) != count for one in arrays):
        raise ValueError("columns of different lengths")
    return topic.name, pa.table(arrays, schema=_WIDE[topic.name])


def _ids_of(writer: bytes, number: int, count: int) -> pa.Array:
    ids = np.empty((count, 16), np.uint8)
    ids[:, :8] = np.frombuffer(writer, np.uint8)
    ids[:, 8:] = np.arange(number, number + count, dtype=">u8").view(np.uint8).reshape(count, 8)
    return pa.FixedSizeBinaryArray.from_buffers(ID, count, [None, pa.py_buffer(ids)])


def _whole(content: bytes) -> pa.Array:
    return pa.array(np.frombuffer(content, np.int64))


def _wide(kind: pa.DataType) -> pa.DataType:
    """Before it is judged, a number may be larger than its column."""
    return pa.int64() if kind == pa.int32() else pa.string() if kind == WORD else kind


def _dictionary(array: pa.Array, kind: pa.DataType) -> pa.Array:
    return array.dictionary_encode() if kind == WORD else array


_STAY_COLUMNS = (
    ("viewer_id", ID), ("visit_id", ID), ("source", pa.string()), ("is_fan", pa.bool_()), ("show_id", ID), ("connection_id", ID),
)  # fmt: skip
_WIDE = {
    topic.name: pa.schema([field.with_type(WORD if field.type == WORD else _wide(field.type)) for field in topic.schema])
    for topic in TOPIC_OF.values()
}

