"""`laotie payments`: match a provider's daily statement with the books; write the sandbox's; say what providers can do."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import date
from pathlib import Path
from typing import TypeVar

import msgspec
from cyclopts import App
from rich.console import Console
from rich.table import Table

from laotie import audit, payments
from laotie.base import settings as settings_module
from laotie.base.db import Database
from laotie.base.postgres import EmbeddedPostgres
from laotie.base.settings import Settings

app = App(name="payments", help="Payment providers: what they can do, and their statements against the books.")

T = TypeVar("T")


@app.command
def methods() -> None:
    """List the ways to pay that are set, and what each can do."""
    settings = settings_module.load()

    async def look(db: Database) -> list[payments.PaymentMethod]:
        payments.check_providers(db, settings)
        return payments.list_methods(db, settings)

    table = Table("method", "step", "currencies", "can")
    for one in _with_database(settings, look):
        table.add_row(one.method, one.step, " ".join(one.currencies) or "any", " ".join(one.can))
    Console().print(table)


@app.command
def reconcile(*, provider: str, statement: Path, date: date | None = None, json: bool = False) -> None:
    """Match a provider's daily statement with payments, refunds, chargebacks and the ledger; ends with 1 on differences.

    What two operators have settled is no difference any more.

    The file is kept with its digest; the same file again is matched with the books as they then stand.
    """
    settings = settings_module.load()
    content = statement.read_bytes()

    async def match(db: Database) -> tuple[payments.Statement, list[payments.Difference]]:
        kept = await audit.reconcile(db, provider, content, name=statement.name, day=date)
        async with db.read() as tx:
            found = await payments.list_differences(tx, kept.id, limit=kept.difference_count + 1)
        return kept, [difference for _, difference in found if not difference.settled]

    kept, differences = _with_database(settings, match)
    if json:
        print(msgspec.json.encode({"statement": kept, "differences": differences}).decode())
    else:
        _print(kept, differences)
    sys.exit(1 if differences else 0)


@app.command
def statement(day: date) -> None:
    """Print the sandbox's own statement of a day (UTC)."""

    async def write(db: Database) -> str:
        async with db.read() as tx:
            return await payments.sandbox_bank.write_statement(tx, day)

    print(_with_database(settings_module.load(), write), end="")


def _with_database(settings: Settings, act: Callable[[Database], Awaitable[T]]) -> T:
    embedded = None if settings.database_url else EmbeddedPostgres.of(settings)
    url = settings.database_url or (embedded.start() if embedded else "")

    async def run() -> T:
        db = await Database.open(url, pool_max=4)
        try:
            return await act(db)
        finally:
            await db.close()

    try:
        return asyncio.run(run())
    finally:
        if embedded is not None and not embedded.took_over:
            embedded.stop()


def _print(kept: payments.Statement, differences: list[payments.Difference]) -> None:
    console = Console()
    console.print(f"{kept.provider}, {kept.stated_on}: {kept.line_count} lines, sha256 {kept.digest[:16]}…")
    if not differences:
        console.print("Everything agrees.")
        return
    table = Table("difference", "line", "reference", "our books", "the statement")
    for one in differences:
        table.add_row(one.kind, str(one.line_no or ""), one.reference, one.expected, one.found)
    console.print(table)
