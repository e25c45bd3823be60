"""`laotie bench gmv`: a month's GMV taken apart for every source, show and day, against a bare scan of the same columns.

Product: `Rollups.refresh` over a lake of that many behaviour events as the worker calls it (tabs and devices of each person
merged, guests and accounts made one, exact sets of viewers and orders written), then the identity 2.0 by day, show and
source over these. Peer: DuckDB reads the very columns that were used, of the same files, and sums them: numbers, and the
lengths of ids and words. Both have the same threads and memory; scans go before and after, the fastest counts.

`difference_minor_units` is against the ledger that the generator kept for itself (placed, paid and net, each day), and
`watch_difference_us` against its own merging of all tabs. Then one more day comes: `more_day_s`, and how many files of
behaviour and money that read, of which `more_day_files_older` are not that day's (who watches over midnight has begun
the day before). `ratio_of_cpu` is the same ratio in the processors' time.
"""

import json
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import date, timedelta
from fractions import Fraction
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import duckdb
import ibis.expr.types as ir
from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from laotie.bench.month import BEGINS_ON, DAYS, SHARES, Made, make_month
from laotie.insight import Engine
from laotie.insight.identities import Level, Row, decompose, read_rows
from laotie.insight.rollups import Rollups
from laotie.insight.terms import COMPONENTS, Kind
from laotie.lake import Lake, Part

console = Console(stderr=True)

CURVE = (1_000_000, 10_000_000, 100_000_000)
WARM_UP_EVENTS = 20_000
ZONE = "Asia/Shanghai"
MEMORY_MB = 2_048
SCANS = 2
IDS, WORDS = ("viewer_id", "show_id"), ("source",)
SCANNED: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "watch": ((*IDS, "connection_id", *WORDS), ("since_us", "at_us"), ("is_fan",)),
    "visit": ((*IDS, "shop_id", "streamer_id", *WORDS), (), ("is_fan",)),
    "money": (
        ("kind", "order_id", "buyer_id", "show_id", "shop_id", "streamer_id", *WORDS, "currency"), ("amount", *COMPONENTS),
        ("is_fan",),
    ),
    "person": (("guest_id", "account_id"), (), ()),
}  # fmt: skip
"""What the measured figures read of each topic: ids and words, numbers, flags."""
BY = ("day", "show_id", "source")


def main(
    *,
    as_json: Annotated[bool, Parameter(name="--json")] = False,
    events: int = 10_000_000,
    curve: Annotated[bool, Parameter(help="At 1, 10 and 100 million events (up to `events`).")] = False,
    threads: int = 2,
    place: Annotated[Path | None, Parameter(help="Where the lake is made; it needs about 45 bytes an event.")] = None,
) -> None:
    """Measure over so many events; a table and, with --json, one JSON object last."""
    sizes = [size for size in CURVE if size < events] * curve + [events]
    points = [_measure_at(size, threads, place) for size in sizes]
    _show(points)
    if as_json:
        print(json.dumps(points[-1] | ({"curve": points} if curve else {})))


def _measure_at(events: int, threads: int, place: Path | None) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="laotie-bench-", dir=place) as folder:
        console.print(f"a month of {events:,} events …")
        started = time.perf_counter()
        made, make_mb = _alone(make, folder, events)
        make_s = time.perf_counter() - started
        console.print(f"measuring {made.events:,} events, {made.bytes // 1024**2:,} MB …")
        figures, peak_mb = _alone(measure, folder, made, threads)
    return {
        "events": made.events,
        **figures,
        "peak_mb": peak_mb,
        "lake_mb": made.bytes // 1024**2,
        "orders": made.orders,
        "shows": made.shows,
        "watch_rows": made.watch_rows,
        "watch_rows_of_several_connections": made.shared_share,
        "shares": SHARES,
        "threads": threads,
        "make_s": round(make_s, 1),
        "make_peak_mb": make_mb,
    }


def _alone(act: Callable[..., Any], *arguments: Any) -> tuple[Any, int]:
    """In a process of its own: what it gives, and the most memory that process ever had (MB)."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(_with_peak, act, arguments).result()


def _with_peak(act: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[Any, int]:
    answer = act(*arguments)
    return answer, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def make(folder: str, events: int) -> Made:
    """The lake of a month, one more day aside, and a small lake to warm up with."""
    make_month(_lake(folder, "warm"), WARM_UP_EVENTS, days=2)
    made = make_month(_lake(folder, "lake"), events, more_days=1)
    for path in sorted(Path(folder, "lake").glob(f"*/day={_more_day()}")):
        aside = Path(folder, "aside", path.parent.name)
        aside.mkdir(parents=True)
        path.rename(aside / path.name)
    return made


def measure(folder: str, made: Made, threads: int) -> dict[str, Any]:
    """All figures of one lake."""
    with Counting(_lake(folder, "warm"), memory_mb=MEMORY_MB, threads=threads) as engine:
        Rollups(engine.lake).refresh(engine)
        _identity(engine, Kind.paid)
    lake = _lake(folder, "lake")
    scans = [_timed(lambda: _scan(lake, threads)) for _ in range(SCANS)]
    with Counting(lake, memory_mb=MEMORY_MB, threads=threads) as engine:
        merging, _ = _timed(lambda: Rollups(lake).refresh(engine))
        taking_apart, rows = _timed(lambda: _identity(engine, Kind.paid))
        scans += [_timed(lambda: _scan(lake, threads)) for _ in range(SCANS)]
        off = sum(_identity_off(engine, kind, made.money[kind][:DAYS]) for kind in Kind)
        viewers = Rollups(lake).viewer_days(engine)
        totals = engine.run(viewers.agg(rows=viewers.count(), watch_us=viewers.watch_us.sum())).to_pylist()[0]
        more = _measure_more_day(engine, Path(folder))
    scanning = min(took for took, _ in scans)
    scan_cpu_s = min(took.cpu_s for took, _ in scans)
    return {
        "merge_s": round(merging.wall_s, 2),
        "identity_s": round(taking_apart.wall_s, 2),
        "scan_s": round(scanning.wall_s, 2),
        "ratio": round((merging.wall_s + taking_apart.wall_s) / scanning.wall_s, 2),
        "ratio_of_cpu": round((merging.cpu_s + taking_apart.cpu_s) / scan_cpu_s, 2),
        "merge_cpu_s": round(merging.cpu_s, 2),
        "identity_cpu_s": round(taking_apart.cpu_s, 2),
        "scan_cpu_s": round(scan_cpu_s, 2),
        "difference_minor_units": off,
        "watch_difference_us": abs(int(totals["watch_us"]) - made.watch_us),
        "identity_rows": len(rows),
        "viewer_days": totals["rows"],
        "hours_watched": round(made.watch_us / 3_600_000_000),
        **more,
    }


class Counting(Engine):
    """An engine that knows which parts it was asked to read."""

    def __init__(self, lake: Lake, **options: Any) -> None:
        super().__init__(lake, **options)
        self.parts: set[Part] = set()

    def read_parts(self, topic: str, parts: Sequence[Part]) -> ir.Table:
        self.parts.update(parts)
        return super().read_parts(topic, parts)


def _identity(engine: Engine, kind: Kind) -> list[Any]:
    """The whole numbers of every day, show and source, of which the factors are quotients."""
    rollups = Rollups(engine.lake)
    found = engine.run(
        decompose(rollups.viewer_days(engine), rollups.order_days(engine), level=Level.platform, kind=kind, by=BY)
    )
    return list(found.to_pylist())


def _identity_off(engine: Engine, kind: Kind, ledger: Sequence[int]) -> int:
    """By how much the products of all factors differ from the ledger, day by day."""
    rollups = Rollups(engine.lake)
    rows: list[Row] = read_rows(
        engine.run(decompose(rollups.viewer_days(engine), rollups.order_days(engine), level=Level.platform, kind=kind, by=BY))
    )
    of_day = dict.fromkeys(range(len(ledger)), Fraction(0))
    for row in rows:
        assert row.day is not None
        of_day[(row.day - BEGINS_ON).days] += row.factors().product()
    return int(sum(abs(of_day[number] - amount) for number, amount in enumerate(ledger)))


def _measure_more_day(engine: Counting, folder: Path) -> dict[str, Any]:
    """One more day comes; what is not known yet is worked out."""
    for path in sorted((folder / "aside").glob("*/day=*")):
        path.rename(folder / "lake" / path.parent.name / path.name)
    engine.parts.clear()
    took, days = _timed(lambda: Rollups(engine.lake).refresh(engine))
    read = [part for part in engine.parts if part.topic not in ("person", "show")]
    assert days == [_more_day()], f"worked out {days}"
    return {
        "more_day_s": round(took.wall_s, 2),
        "more_day_files": len(read),
        "more_day_files_older": sum(part.day != _more_day() for part in read),
    }


def _scan(lake: Lake, threads: int) -> None:
    """Read the columns and sum them, nothing else."""
    connection = duckdb.connect(config={"threads": threads, "memory_limit": f"{MEMORY_MB}MB"})
    for topic, (texts, numbers, flags) in SCANNED.items():
        sums = [f"sum(octet_length({name}::BLOB))" for name in texts if name.endswith("_id")]
        sums += [f"sum(length({name}))" for name in texts if not name.endswith("_id")]
        sums += [f"sum({name})" for name in numbers] + [f"count_if({name})" for name in flags]
        files = f"read_parquet('{lake.root}/{topic}/*/*/*.parquet', hive_partitioning = true)"
        connection.execute(f"SELECT {', '.join(sums)} FROM {files}").fetchall()  # noqa: S608
    connection.close()


class Took(NamedTuple):
    """How long by the clock, and how much of the processors, which other work on the machine does not lengthen."""

    wall_s: float
    cpu_s: float


def _timed(act: Callable[[], Any]) -> tuple[Took, Any]:
    wall, cpu = time.perf_counter(), time.process_time()
    answer = act()
    return Took(time.perf_counter() - wall, time.process_time() - cpu), answer


def _lake(folder: str, name: str) -> Lake:
    return Lake(Path(folder, name).absolute().as_uri(), ZONE)


def _more_day() -> date:
    return BEGINS_ON + timedelta(days=DAYS)


def _show(points: Sequence[dict[str, Any]]) -> None:
    shares = ", ".join(f"{name} {share:.0%}" for name, share in SHARES.items())
    table = Table(title="the five factors of GMV for every day, show and source", caption=shares)
    columns = (
        "events", "lake_mb", "merge_s", "identity_s", "scan_s", "ratio", "ratio_of_cpu", "peak_mb", "difference_minor_units",
        "more_day_s",
    )  # fmt: skip
    for column in columns:
        table.add_column(column, justify="right")
    for point in points:
        table.add_row(*(f"{point[column]:,}" for column in columns))
    console.print(table)
