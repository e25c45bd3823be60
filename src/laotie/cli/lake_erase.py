"""`laotie lake erase`: take people out of the lake's files, and see how far it is."""

import asyncio
from typing import Annotated
from uuid import UUID

import msgspec
from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from laotie.base import settings as settings_module
from laotie.base.db import Database
from laotie.base.ids import AccountId
from laotie.base.migrate import migrate
from laotie.base.postgres import EmbeddedPostgres
from laotie.lake import Lake
from laotie.lake.aliases import give_alias
from laotie.lake.erasure import Erasure, find_progress, list_erasures, work_erasures

screen = Console(stderr=True)


def erase(*viewer_ids: UUID, json: Annotated[bool, Parameter(name="--json")] = False) -> None:
    """Erase people from the lake, and go on with what is under way; without an id only the latter.

    Who deletes their account is erased by the running service. An id here is a guest's who asked for it, or an account's
    that was deleted before there was a lake. Figures stay what they were. Killed, it goes on where it stood.
    """
    found = asyncio.run(_erase(list(viewer_ids)))
    if json:
        print(msgspec.json.encode(found).decode())
        return
    table = Table("who", "asked", "passes", "next", "done")
    for one in found:
        table.add_row(str(one.account_id), *(str(value or "") for value in (one.asked_at, one.passes, one.due_at, one.done_at)))
    Console().print(table)


async def _erase(viewer_ids: list[UUID]) -> list[Erasure]:
    settings = settings_module.load()
    embedded = None if settings.database_url else EmbeddedPostgres.of(settings)
    url = settings.database_url or (embedded.start() if embedded else "")
    try:
        await asyncio.to_thread(migrate, url)
        db = await Database.open(url, pool_max=4)
        try:
            async with db.tx() as tx:
                for viewer_id in viewer_ids:
                    await give_alias(tx, AccountId(viewer_id), [], due_at=tx.now)
            await _work(db, Lake.of(settings))
            async with db.read() as tx:
                return await list_erasures(tx)
        finally:
            await db.close()
    finally:
        if embedded is not None and not embedded.took_over:
            embedded.stop()


async def _work(db: Database, lake: Lake) -> None:
    with screen.status("looking") as status:
        while await work_erasures(db, lake):
            async with db.read() as tx:
                progress = await find_progress(tx)
            if progress is not None:
                status.update(
                    f"{progress.topic} {progress.day}: {progress.rows:,} rows in {progress.files:,} files of"
                    f" {len(progress.people)} people"
                )
