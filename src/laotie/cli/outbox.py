"""`laotie outbox`: facts that could not be carried, and trying them again."""

import asyncio
from typing import Annotated
from uuid import UUID

import msgspec
from cyclopts import App, Parameter
from rich.console import Console
from rich.table import Table

from laotie import identity
from laotie.base import settings as settings_module
from laotie.base.outbox import Waiting, list_parked, retry_parked
from laotie.cli.lake_lost import open_database

app = App(name="outbox", help="Facts on their way: those that failed too often, and trying them again.")


@app.command
def parked(*, as_json: Annotated[bool, Parameter(name="--json")] = False) -> None:
    """List the facts that failed twenty times and are not tried again by themselves, with the last error."""
    found = asyncio.run(_list())
    if as_json:
        print(msgspec.json.encode(found).decode())
        return
    table = Table("id", "fact", "told", "tries", "last error")
    for one in found:
        table.add_row(str(one.id), one.tag, f"{one.told_at:%Y-%m-%d %H:%M:%S}", str(one.attempts), one.error or "")
    Console().print(table if found else "Nothing is parked.")


@app.command
def retry(*ids: UUID, everything: Annotated[bool, Parameter(name="--all")] = False) -> None:
    """Have parked facts tried again, once what they failed by is mended: these, or `--all`.

    The service does it within a second or so; a fact that fails again is parked again after twenty tries.
    """
    if not ids and not everything:
        Console(stderr=True).print("Name the facts (`laotie outbox parked` lists them), or say --all.")
        raise SystemExit(2)
    again = asyncio.run(_retry(None if everything else list(ids)))
    Console().print(f"{len(again):,} facts are tried again.", highlight=False)


async def _list() -> list[Waiting]:
    async with open_database(settings_module.load()) as db, db.read() as tx:
        return await list_parked(tx)


async def _retry(ids: list[UUID] | None) -> list[Waiting]:
    async with open_database(settings_module.load()) as db, db.tx() as tx:
        again = await retry_parked(tx, ids)
        for one in again:
            await identity.record(tx, None, "outbox.fact_retried", subject=str(one.id), tag=one.tag)
        return again
