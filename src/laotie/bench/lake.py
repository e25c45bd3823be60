"""`laotie bench lake`: behaviour from decoded client frames to fsync, against DuckDB's appender; and on to merged Parquet.

Product: each frame becomes the act that a room's socket makes of it, goes to the sink (`SegmentLog.append`), and is on the
disk (columns with a checksum, `fdatasync`) every `batch` acts, which is what a quarter of a second brings at this rate. Peer:
the same frames of the same list into a DuckDB file, with the same instants from the same clock, committed (its WAL synced)
every `batch` rows, in the quickest of the ways that DuckDB's Python client offers for it: `Appender.append_rows`, and Arrow
tables inserted by `INSERT … SELECT`, built from columns as the product builds its own. It keeps what the product keeps, in
as narrow rows: number, stay, instant and what is particular to a kind, a table each, the stays in a table beside; no index,
no checkpoint (its threshold is out of reach), one thread.

Both are pinned to one core and take turns. `…_per_core` are events per second of the processor's time, which other work on the
machine lengthens less than the clock on the wall; `wall` are by that clock. Afterwards the segments become parts and the
hour is merged: `parquet_…` is that part alone, `whole_…` all from frame to merged Parquet.
"""

import asyncio
import json
import os
import random
import resource
import statistics
import tempfile
import time
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import duckdb
import numpy as np
import pyarrow as pa
from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from laotie.base.clock import Clock
from laotie.base.ids import CartItemId, ShowId, ViewerId, VisitId, new_id
from laotie.gateway.frames import Beat, Chat, Click, Like
from laotie.lake import Act, Chatted, Clicked, Lake, Liked, Stay, Watched, list_parts, open_sink
from laotie.lake.batches import write_batch
from laotie.lake.compaction import compact

console = Console(stderr=True)

Frame = tuple[Stay, Beat | Like | Click | Chat]

VIEWERS = 2_000
FRAMES = 200_000
MIX = ((Beat, 60), (Like, 20), (Click, 12), (Chat, 8))
"""Of a hundred frames. A beat says that ten seconds were watched."""
ROUNDS = 3
BEAT_US = 10_000_000
HOUR_US = 3_600_000_000


class Spent(NamedTuple):
    """Seconds of the processor and of the clock on the wall, for so many events."""

    events: int
    cpu_s: float
    wall_s: float

    @property
    def per_core(self) -> float:
        """Events a second of one core."""
        return self.events / self.cpu_s


def main(
    *, as_json: Annotated[bool, Parameter(name="--json")] = False, events: int = 3_000_000, batch: int = 100_000
) -> None:
    """Take in so many events, and have DuckDB take in the same; a table and, with --json, one JSON object last."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    pa.set_cpu_count(1)
    try:
        figures = asyncio.run(_measure(events, batch))
    finally:
        os.sched_setaffinity(0, cores)
    _show(figures)
    if as_json:
        print(json.dumps(figures))


async def _measure(events: int, batch: int) -> dict[str, Any]:
    frames = make_frames()
    with tempfile.TemporaryDirectory(prefix="laotie-bench-", dir=Path.cwd()) as folder:
        place = Path(folder)
        await _take_in(Lake((place / "warm").as_uri(), "UTC"), place / "warm-up", frames, FRAMES, batch)
        each = events // ROUNDS
        product, peers = [], {name: [] for name in PEERS}  # type: ignore[var-annotated]
        lake = Lake((place / "lake").as_uri(), "UTC")
        peak_mb: list[int] = []
        for number in range(ROUNDS):
            product.append(await _take_in(lake, place / "segments", frames, each, batch))
            peak_mb.append(_peak_mb())
            for name, make in PEERS.items():
                peers[name].append(_append(make(duckdb_file(place / f"{name}-{number}")), frames, each, batch))
        size = sum(path.stat().st_size for path in (place / "segments").glob("*/*"))
        before_mb = _peak_mb()
        parquet, rows = await _make_parquet(lake, place / "segments")
        parts = [part for topic in ("watch", "like", "click", "chat") for part in list_parts(lake, topic)]
    ours = statistics.median(one.per_core for one in product)
    best = max(PEERS, key=lambda name: statistics.median(one.per_core for one in peers[name]))
    peer = statistics.median(one.per_core for one in peers[best])
    done = sum(one.events for one in product)
    assert rows == done, "every act is a row"
    return {
        "events": done,
        "events_per_s_per_core": round(ours),
        "duckdb_appender_events_per_s": round(peer),
        "ratio": round(ours / peer, 3),
        "bytes_per_event": round(size / done, 1),
        "wall_events_per_s": round(statistics.median(one.events / one.wall_s for one in product)),
        "duckdb_wall_events_per_s": round(statistics.median(one.events / one.wall_s for one in peers[best])),
        "duckdb_way": best,
        **{f"duckdb_{name}_events_per_s": round(statistics.median(o.per_core for o in of)) for name, of in peers.items()},
        "parquet_events_per_s_per_core": round(parquet.per_core),
        "whole_events_per_s_per_core": round(1 / (1 / ours + 1 / parquet.per_core)),
        "parquet_bytes_per_event": round(sum(part.bytes for part in parts) / done, 1),
        "bytes_per_event_in_small_batches": _size_in_small_batches(frames),
        "peak_mb_by_round": peak_mb,
        "peak_mb_parquet": max(_peak_mb(), before_mb),
        "batch": batch,
        "viewers": VIEWERS,
        "of_100_frames": {kind.__name__.lower(): share for kind, share in MIX},
    }


def make_frames() -> list[Frame]:
    """What clients of one show sent, decoded, each with the stay that its connection has."""
    rng = random.Random("frames")  # noqa: S311
    show_id = ShowId(new_id())
    sources = ("private", "public_organic", "public_paid", "slot", "share", "direct")
    stays = [
        Stay(ViewerId(new_id()), VisitId(new_id()), rng.choice(sources), rng.random() < 0.3, show_id, new_id())
        for _ in range(VIEWERS)
    ]
    items = [CartItemId(new_id()) for _ in range(60)]
    make: dict[type, Callable[[], Any]] = {
        Beat: lambda: Beat(visible=True, v=rng.randrange(10_000)),
        Like: lambda: Like(n=rng.randrange(1, 20)),
        Click: lambda: Click(item=rng.choice(items)),
        Chat: lambda: Chat(id=new_id(), text="多少钱" * rng.randrange(1, 5)),
    }
    kinds = rng.choices([kind for kind, _ in MIX], [share for _, share in MIX], k=FRAMES)
    return [(rng.choice(stays), make[kind]()) for kind in kinds]


ACTS: dict[type, Callable[[Stay, Any, int], Act]] = {
    Beat: lambda stay, _frame, at_us: Watched(stay, at_us, at_us - BEAT_US),
    Like: lambda stay, frame, at_us: Liked(stay, at_us, frame.n),
    Click: lambda stay, frame, at_us: Clicked(stay, at_us, frame.item),
    Chat: lambda stay, frame, at_us: Chatted(stay, at_us, len(frame.text)),
}


async def _take_in(lake: Lake, segments: Path, frames: list[Frame], events: int, batch: int) -> Spent:
    """The product's way, to the disk. The sink does not ship: what is measured apart."""
    clock = Clock()
    sink = open_sink(lake, segments, clock=clock)
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    append, now_us = sink.append, clock.now_us
    for some in _batches(frames, events, batch):
        for stay, frame in some:
            append(ACTS[type(frame)](stay, frame, now_us()))
        await sink.flush()
    await sink.close()
    assert not sink.lost
    return Spent(events, time.process_time() - cpu_s, time.perf_counter() - wall_s)


async def _make_parquet(lake: Lake, segments: Path) -> tuple[Spent, int]:
    """All segments into parts, and these merged, as the worker does it when the hour is over."""
    sink = open_sink(lake, segments)
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    assert await sink.ship()
    merged = compact(lake, now_us=Clock().now_us() + 2 * HOUR_US)
    await sink.close()
    return Spent(merged.rows, time.process_time() - cpu_s, time.perf_counter() - wall_s), merged.rows


def _batches(frames: list[Frame], events: int, batch: int) -> Any:
    """The list again and again, in batches, until there were so many."""
    left = events
    while left:
        for begin in range(0, len(frames), batch):
            some = frames[begin : min(begin + batch, begin + left)]
            left -= len(some)
            yield some
            if not left:
                return


def duckdb_file(path: Path) -> duckdb.DuckDBPyConnection:
    """An empty database with the peer's tables."""
    path.mkdir()
    connection = duckdb.connect(str(path / "peer.duckdb"), config={"threads": 1})
    connection.execute("SET wal_autocheckpoint = '1TB'")
    ids = "viewer_id UUID, visit_id UUID, show_id UUID, connection_id UUID"
    connection.execute(f"CREATE TABLE stay (no INTEGER, source VARCHAR, is_fan BOOLEAN, {ids})")
    for name, column in zip(Peer.tables, ("since_us BIGINT", "count INTEGER", "item_id UUID", "length INTEGER"), strict=True):
        connection.execute(f"CREATE TABLE {name} (no BIGINT, stay INTEGER, at_us BIGINT, {column})")
    return connection


class Peer:
    """DuckDB, given batches of frames. What a way does with rows is all that differs."""

    tables = ("watch", "likes", "click", "chat")

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection
        self.stays: dict[Stay, int] = {}
        self.number = 0

    def take(self, frames: Sequence[Frame], now_us: Callable[[], int]) -> None:
        """One transaction."""
        stays, known, number = self.stays, len(self.stays), self.number
        rows: tuple[list[Any], ...] = ([], [], [], [])
        watch, likes, click, chat = (of.append for of in rows)
        for stay, frame in frames:
            at_us, no = now_us(), stays.setdefault(stay, len(stays))
            number += 1
            if type(frame) is Beat:
                watch((number, no, at_us, at_us - BEAT_US))
            elif type(frame) is Like:
                likes((number, no, at_us, frame.n))
            elif type(frame) is Click:
                click((number, no, at_us, frame.item))
            else:
                chat((number, no, at_us, len(frame.text)))  # type: ignore[union-attr]
        self.number = number
        new = [
            (no, one.source, one.is_fan, one.viewer_id, one.visit_id, one.show_id, one.connection_id)
            for one, no in list(stays.items())[known:]
        ]
        self.connection.begin()
        if new:
            self.connection.executemany("INSERT INTO stay VALUES (?, ?, ?, ?, ?, ?, ?)", new)
        for name, of in zip(self.tables, rows, strict=True):
            if of:
                self.put(name, of)
        self.connection.commit()

    def put(self, table: str, rows: list[Any]) -> None:
        """Rows into a table."""
        raise NotImplementedError


class ByAppender(Peer):
    """`Appender.append_rows`."""

    def put(self, table: str, rows: list[Any]) -> None:
        appender = self.connection.appender(table)
        appender.append_rows(rows)
        appender.flush()


class ByArrow(Peer):
    """An Arrow table, built column by column."""

    def put(self, table: str, rows: list[Any]) -> None:
        no, stay, at_us, value = zip(*rows, strict=True)
        numbers = [pa.array(np.frombuffer(array("q", column), np.int64)) for column in (no, stay, at_us)]
        if table == "click":
            values = pa.array([one.bytes for one in value], pa.uuid())
        else:
            values = pa.array(np.frombuffer(array("q", value), np.int64))
        self.connection.register("batch", pa.table([*numbers, values], names=["no", "stay", "at_us", "value"]))
        self.connection.execute(f"INSERT INTO {table} SELECT * FROM batch")  # noqa: S608
        self.connection.unregister("batch")


PEERS: dict[str, Callable[[duckdb.DuckDBPyConnection], Peer]] = {"appender": ByAppender, "arrow": ByArrow}


def _append(peer: Peer, frames: list[Frame], events: int, batch: int) -> Spent:
    clock = Clock()
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    for some in _batches(frames, events, batch):
        peer.take(some, clock.now_us)
    spent = Spent(events, time.process_time() - cpu_s, time.perf_counter() - wall_s)
    count = sum(peer.connection.sql(f"SELECT count(*) FROM {name}").fetchall()[0][0] for name in peer.tables)  # noqa: S608
    assert count == events
    peer.connection.close()
    return spent


def _size_in_small_batches(frames: list[Frame], acts: int = 50) -> float:
    """When a quarter of a second brings so few, each names its stay anew."""
    made = [ACTS[type(frame)](stay, frame, BEAT_US) for stay, frame in frames[:acts]]
    return round(len(write_batch(bytes(8), 0, made)) / acts, 1)


def _peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _show(figures: dict[str, Any]) -> None:
    table = Table("", "", title="Behaviour from decoded frame to fsync, one core")
    for name, value in figures.items():
        table.add_row(name, f"{value:,}" if isinstance(value, int) else str(value))
    console.print(table)
