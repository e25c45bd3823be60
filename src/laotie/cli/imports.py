"""`laotie import`: another house's books, or a sheet of products."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from laotie import catalog, identity, imports
from laotie.base import settings as settings_module
from laotie.base.cells import write_line
from laotie.base.db import Database
from laotie.base.ids import ShopId, new_id
from laotie.base.migrate import migrate
from laotie.base.postgres import EmbeddedPostgres
from laotie.base.refusals import Invalid
from laotie.lake import Lake
from laotie.lake.facts import Drain

app = App(name="import", help="Bring products, customers and history in from files.")
screen = Console(stderr=True)


class NoSuchShop(Invalid, code="no-such-shop"):
    """There is no shop of this name or id, or there are several; name it by its id."""

    shop: str


class OwnerMissing(Invalid, code="owner-missing"):
    """The shop does not exist yet; say who is to own it with --owner and an existing sign-in name."""

    shop: str


class FileMissing(Invalid, code="file-missing"):
    """There is no such file."""

    file: str


@app.command(name="online-retail")
def online_retail(
    file: Path,
    *,
    shop: str = "Online Retail",
    owner: str | None = None,
    stock: Annotated[int, Parameter(help="Pieces of each new product to begin with.")] = 0,
    report: Annotated[Path | None, Parameter(help="Where the refused rows go; default: NAME.refused.csv here.")] = None,
) -> None:
    """Import UCI Online Retail (CSV, gzip or plain): products, customers and order history.

    Interrupt it whenever you like: the next time it goes on where it stopped. History is a record; the ledger, which
    holds what went through this house, does not know it.
    """
    _check_file(file)
    asyncio.run(_online_retail(file, shop, owner, stock, report))


@app.command(name="products")
def products(
    file: Path | None = None,
    *,
    shop: str = "",
    dry_run: Annotated[bool, Parameter(help="Report what would happen and change nothing.")] = False,
    set_stock: Annotated[bool, Parameter(help="Correct the stock of SKUs that are there to the sheet's.")] = False,
    template: Annotated[bool, Parameter(help="Print an example sheet and stop.")] = False,
    columns: Annotated[bool, Parameter(help="Explain the columns and stop.")] = False,
    report: Annotated[Path | None, Parameter(help="Where the refused rows go; default: NAME.refused.csv here.")] = None,
) -> None:
    """Import a sheet of products (CSV, UTF-8): made or brought up to date by SKU code, so twice is as good as once."""
    if template:
        sys.stdout.write(catalog.template())
        return
    if columns:
        for name, meaning in catalog.COLUMNS.items():
            print(f"{name:<12} {meaning}")
        print(f"{'option:NAME':<12} The SKU's value of that option, like `option:颜色`; at most five.")
        return
    if file is None:
        raise FileMissing(file="(none named)")
    _check_file(file)
    asyncio.run(_products(file, shop, report, dry_run=dry_run, set_stock=set_stock))


async def _online_retail(file: Path, name: str, owner: str | None, stock: int, report: Path | None) -> None:
    async with _database() as db:
        shop = await _find_or_open(db, name, owner)
        with _bar() as bar:
            tasks = {what: bar.add_task(what, total=None, start=False) for what in ("reading", "products", "importing")}

            def show(what: str, done: int, of: int | None) -> None:
                bar.start_task(tasks[what])
                bar.update(tasks[what], completed=done, total=of)

            summary = await imports.import_online_retail(db, file, shop.id, opening_stock=stock, progress=show)
            await Drain(db, Lake.of(settings_module.load())).empty()
        report = report or Path(f"{file.name.removesuffix('.gz').removesuffix('.csv')}.refused.csv")
        if summary.refused:
            await imports.write_report(db, summary, report)
    _tell(summary, report)
    if not summary.sound:
        sys.exit(1)


async def _products(file: Path, name: str, report: Path | None, *, dry_run: bool, set_stock: bool) -> None:
    refused: list[catalog.RowError] = []
    async with _database() as db:
        async with db.read() as tx:
            found = await catalog.find_shops_named(tx, name)
        if len(found) != 1:
            raise NoSuchShop(shop=name)
        with _bar() as bar, file.open("rb") as sheet:
            task = bar.add_task("rows", total=None)
            result = await catalog.import_sheet(
                db,
                None,
                found[0].id,
                sheet,
                dry_run=dry_run,
                set_stock=set_stock,
                refused=refused.append,
                progress=lambda done: bar.update(task, completed=done),
            )
    table = Table("read", "created", "updated", "unchanged", "refused", title="dry run" if dry_run else None)
    table.add_row(*map(str, (result.read, result.created, result.updated, result.unchanged, result.refused)))
    screen.print(table)
    for error in refused[:20]:
        screen.print(f"line {error.line}: {error.field or error.code}: {error.reason}", highlight=False, markup=False)
    if refused:
        report = report or Path(f"{file.name.removesuffix('.csv')}.refused.csv")
        with report.open("w", encoding="utf-8-sig", newline="") as out:
            out.write(write_line(["line", "column", "code", "reason"]))
            out.writelines(write_line([e.line, e.field, e.code, e.reason]) for e in refused)
        screen.print(f"every refused row is in {report}", highlight=False)
        sys.exit(1)


def _tell(summary: imports.Summary, report: Path) -> None:
    counts = summary.counts
    table = Table("what", "how many")
    table.add_row("products", str(summary.products))
    table.add_row("customers", str(counts.customers))
    table.add_row("orders", f"{summary.kept.orders} with {counts.order_lines} lines")
    table.add_row("returns", f"{summary.kept.returns} with {counts.return_lines} lines")
    table.add_row("rows without customer", str(counts.without_customer))
    table.add_row("rows repeated on one invoice (kept)", str(counts.repeated))
    for reason, count in sorted(counts.refused.items(), key=lambda item: -item[1]):
        table.add_row(f"refused: {reason}", str(count))
    screen.print(table)
    for words, holds in summary.equations:
        screen.print(f"{'[green]✓[/]' if holds else '[bold red]✗[/]'} {words}", highlight=False)
    if summary.resumed_at:
        screen.print(f"went on after row {summary.resumed_at}", highlight=False)
    if summary.refused:
        screen.print(f"every refused row is in {report}", highlight=False)
    screen.print("history is not posted to the ledger: its money did not pass through this house", highlight=False)
    screen.print("the lake has it too, so the figures do", highlight=False)


def _bar() -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=screen,
    )


async def _find_or_open(db: Database, name: str, owner: str | None) -> catalog.Shop:
    async with db.tx() as tx:
        found = await catalog.find_shops_named(tx, name)
        if len(found) == 1:
            return found[0]
        if found:
            raise NoSuchShop(shop=name)
        owner_id = await identity.find_by_handle(tx, owner) if owner else None
        if owner_id is None:
            raise OwnerMissing(shop=name)
        return await catalog.open_shop(
            tx, owner_id, ShopId(new_id()), catalog.ShopDraft(name=name, currency="GBP", about="")
        )


@asynccontextmanager
async def _database() -> AsyncIterator[Database]:
    """The database of the settings, current; the embedded one is started when it is not running."""
    settings = settings_module.load()
    embedded = None if settings.database_url else EmbeddedPostgres.of(settings)
    url = settings.database_url or (embedded.start() if embedded else "")
    try:
        await asyncio.to_thread(migrate, url)
        db = await Database.open(url, pool_max=4)
        try:
            yield db
        finally:
            await db.close()
    finally:
        if embedded is not None and not embedded.took_over:
            embedded.stop()


def _check_file(file: Path) -> None:
    if not file.is_file():
        raise FileMissing(file=str(file))
