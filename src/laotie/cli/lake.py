"""`laotie lake inspect`, `verify`, `compact`: what the lake holds, whether it is all there, fewer and larger files."""

import asyncio
import sys
import time
from typing import Annotated, Any

import msgspec
from cyclopts import App, Parameter
from rich.console import Console
from rich.table import Table

from laotie.base import logs
from laotie.base import settings as settings_module
from laotie.base.holding import hold
from laotie.cli.lake_lost import ask_watermark, print_watermark
from laotie.lake import Lake
from laotie.lake import compaction as merging
from laotie.lake import verify as verifying
from laotie.lake.ingest import SEGMENTS, take_over
from laotie.lake.quarantine import Held

app = App(name="lake", help="The event lake: what happened, as Parquet files by day and hour.")
app.command("laotie.cli.lake_rebuild:rebuild", name="rebuild")
app.command("laotie.cli.lake_erase:erase", name="erase")
app.command("laotie.cli.lake_lost:declare_lost", name="declare-lost")

AsJson = Annotated[bool, Parameter(name="--json")]


@app.command
def inspect(*, as_json: AsJson = False) -> None:
    """List topics with their days and sizes, what is not brought in yet, who holds the watermark, and the quarantine."""
    settings = settings_module.load()
    found = verifying.look(Lake.of(settings), settings.data_path / SEGMENTS)
    mark = asyncio.run(ask_watermark(settings))
    if as_json:
        _print_json(msgspec.to_builtins(found) | {"watermark": msgspec.to_builtins(mark)})
        return
    console = Console()
    table = Table("topic", "first day", "last day", "days", "files", "bytes", title=found.url)
    for one in found.topics:
        days = (str(one.first_day), str(one.last_day)) if one.days else ("", "")
        table.add_row(one.topic, *days, f"{one.days:,}", f"{one.parts:,}", f"{one.bytes:,}")
    console.print(table)
    for process in found.processes:
        state = "runs" if process.is_alive else "is gone; the next start, or `laotie lake compact`, brings it in"
        console.print(f"{process.bytes:,} bytes in {process.segments} segments of process {process.name}, which {state}")
    print_watermark(console, mark)
    _print_quarantine(console, found.quarantine)


@app.command
def verify(*, deep: bool = False, as_json: AsJson = False) -> None:
    """Check every file and day; ends with 1 when something is wrong.

    Looks at each file's end, which tells of its rows and instants; with `--deep` at every row. Changes nothing, so it may run
    beside a running service.
    """
    settings = settings_module.load()
    began = time.monotonic()
    verdict = verifying.verify(Lake.of(settings), deep=deep)
    if as_json:
        facts = {"sound": verdict.is_sound, "seconds": round(time.monotonic() - began, 2)}
        _print_json(facts | msgspec.to_builtins(verdict))
    else:
        _print_verdict(verdict)
    sys.exit(0 if verdict.is_sound else 1)


@app.command
def compact(*, as_json: AsJson = False) -> None:
    """Bring in what stopped processes have left, merge what there is to merge, delete what was replaced.

    A running service does so by itself; this is for one that stands still.
    """
    settings = settings_module.load()
    logs.set_up(level=settings.log_level, form=settings.log_form)
    lake = Lake.of(settings)
    with hold(settings.data_path):
        now_us = time.time_ns() // 1_000
        _, shipped = take_over(lake, settings.data_path / SEGMENTS, now_us=now_us)
        merged = merging.compact(lake, now_us=now_us)
    if as_json:
        _print_json({"shipped": shipped, "merged": merged})
        return
    console = Console()
    console.print(f"{shipped.rows:,} rows of {shipped.segments:,} segments came in", highlight=False)
    console.print(
        f"{merged.parts_before:,} files of {merged.hours:,} hours became {merged.parts_after:,}; {merged.duplicates:,}"
        f" duplicates dropped, {merged.quarantined + shipped.quarantined:,} rows and {merged.unreadable:,} files into quarantine",
        highlight=False,
    )


def _print_json(facts: Any) -> None:
    print(msgspec.json.encode(facts).decode())


def _print_verdict(verdict: verifying.Verdict) -> None:
    console = Console()
    console.print(f"{verdict.rows:,} rows in {verdict.parts:,} files, {verdict.bytes:,} bytes", highlight=False)
    _print_quarantine(console, verdict.quarantine)
    if verdict.is_sound:
        console.print("Everything is there.")
        return
    table = Table("what", "of", "day", "file", "", title=f"{verdict.problem_count:,} problems")
    for one in verdict.problems:
        table.add_row(f"[red]{one.what}", one.topic, str(one.day or ""), one.path or "", one.detail or "")
    console.print(table)


def _print_quarantine(console: Console, quarantine: list[Held]) -> None:
    for one in quarantine:
        console.print(f"In quarantine: {one.rows:,} × {one.reason} ({one.topic or 'no topic'})", highlight=False)
