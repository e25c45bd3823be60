"""`laotie audit`: compare the books of all rooms and say what is not as promised."""

import asyncio
import sys

import msgspec
from rich.console import Console
from rich.table import Table

from laotie.audit import Report, take_tallies
from laotie.audit import document as write_promises
from laotie.base import settings as settings_module
from laotie.base.db import Database
from laotie.base.postgres import EmbeddedPostgres
from laotie.lake import Lake


def audit(*, json: bool = False, document: bool = False) -> None:
    """Check every promise of the books over all rows; ends with 1 when one is broken.

    Reads one snapshot and changes nothing, so it may run beside a running service, which does the same by itself (see
    `/status`). `--document` prints docs/invariants.md instead.
    """
    if document:
        print(write_promises(), end="")
        return
    settings = settings_module.load()
    embedded = None if settings.database_url else EmbeddedPostgres.of(settings)
    url = settings.database_url or (embedded.start() if embedded else "")
    try:
        report = asyncio.run(_take(url, Lake.of(settings)))
    finally:
        if embedded is not None and not embedded.took_over:
            embedded.stop()
    if json:
        print(msgspec.json.encode({"sound": report.sound, **msgspec.to_builtins(report)}).decode())
    else:
        _print(report)
    sys.exit(0 if report.sound else 1)


async def _take(url: str, lake: Lake) -> Report:
    db = await Database.open(url, pool_max=4)
    try:
        return await take_tallies(db, lake)
    finally:
        await db.close()


def _print(report: Report) -> None:
    console = Console()
    table = Table("promise", "checked", "broken", title=f"Books of {report.checked_at:%Y-%m-%d %H:%M:%S} UTC")
    for tally in report.tallies:
        table.add_row(tally.name, f"{tally.checked:,}", f"[red]{tally.found:,}" if tally.found else "0")
    console.print(table)
    for finding in report.findings:
        console.print(f"[red]{finding.tally}[/red]: {finding.subject}: {finding.expected}; {finding.found}")
    console.print("Everything agrees." if report.sound else "[red]The books do not agree.")
