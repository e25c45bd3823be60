"""`laotie ledger verify`: play every transfer again from the first one, and say what does not fit."""

import asyncio
import sys
import time

import msgspec
from cyclopts import App
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from laotie import audit
from laotie.base import settings as settings_module
from laotie.base.db import Database
from laotie.base.postgres import EmbeddedPostgres
from laotie.ledger.replay import Verdict

app = App(name="ledger", help="The money ledger.")


@app.command
def verify(*, json: bool = False) -> None:
    """Recompute every balance from the first transfer on, in order; ends with 1 when something does not fit.

    Checks currencies, holds (settled once, exactly), wallets at every instant, balances as they are kept, and the seals
    of old transfers. Reads one snapshot and changes nothing, so it may run beside a running service; its memory does not
    grow with the number of transfers (PostgreSQL sorts them, on disk).
    """
    settings = settings_module.load()
    embedded = None if settings.database_url else EmbeddedPostgres.of(settings)
    url = settings.database_url or (embedded.start() if embedded else "")
    began = time.monotonic()
    try:
        verdict = asyncio.run(_verify(url, quiet=json))
    finally:
        if embedded is not None and not embedded.took_over:
            embedded.stop()
    rows_per_s = round(verdict.transfers / max(time.monotonic() - began, 0.001))
    if json:
        facts = {"sound": not verdict.fault_count, "rows_per_s": rows_per_s, **msgspec.to_builtins(verdict)}
        print(msgspec.json.encode(facts).decode())
    else:
        _print(verdict, rows_per_s)
    sys.exit(1 if verdict.fault_count else 0)


async def _verify(url: str, *, quiet: bool) -> Verdict:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    db = await Database.open(url, pool_max=2)
    try:
        with Progress(*columns, console=Console(stderr=True), disable=quiet) as progress:
            task = progress.add_task("transfers", total=None)
            return await audit.verify_ledger(
                db, lambda done, total: progress.update(task, completed=done, total=total)
            )
    finally:
        await db.close()


def _print(verdict: Verdict, rows_per_s: int) -> None:
    console = Console()
    console.print(
        f"{verdict.transfers:,} transfers over {verdict.accounts:,} accounts, {verdict.holds_open:,} holds open,"
        f" {verdict.seals:,} seals; {rows_per_s:,} transfers a second",
        highlight=False,
    )
    if not verdict.fault_count:
        console.print("Everything adds up.")
        return
    table = Table("what", "of", "must be", "is", title=f"{verdict.fault_count:,} faults")
    for fault in verdict.faults:
        table.add_row(f"[red]{fault.kind}", fault.subject, fault.expected, fault.found)
    console.print(table)
