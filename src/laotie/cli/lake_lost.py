"""`laotie lake declare-lost`: let go of what a process had on a disk that is gone; and who holds the watermark."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated

import msgspec
from cyclopts import Parameter
from rich.console import Console

from laotie import identity
from laotie.base import settings as settings_module
from laotie.base.db import Database
from laotie.base.migrate import migrate
from laotie.base.postgres import EmbeddedPostgres
from laotie.base.settings import Settings
from laotie.lake import SEGMENTS, watermark
from laotie.lake.facts import EPOCH, MICROSECOND
from laotie.lake.holders import Holder, advise, list_holders
from laotie.lake.holders import declare_lost as let_go

HOLDERS_SHOWN_MAX = 5


class Mark(msgspec.Struct, frozen=True):
    """Up to where everything is in the lake, and who may still bring in something older than now."""

    as_of: datetime
    behind_s: float
    holders: list[Holder]


def declare_lost(
    name: Annotated[str, Parameter(help="The process, as `laotie lake inspect` names it.")],
    *,
    reason: Annotated[str, Parameter(help="What has happened; it is kept in the audit log.")],
) -> None:
    """Give up what a process that is gone had not brought into the lake, because its disk is lost.

    The watermark goes on, and figures of that time lack what was lost. Refused while the process lives, and while its
    directory is to be seen from here. Were it found later: copied to `<data>/lake-segments/`, it is brought in after all.
    """
    lost, at = asyncio.run(_declare_lost(name, reason))
    Console().print(
        f"Process {lost.name} of {lost.of or 'a host unknown'} holds the watermark no more. What it had noted since"
        f" {lost.since:%Y-%m-%d %H:%M:%S} UTC is lost, as of {at:%Y-%m-%d %H:%M:%S}.",
        highlight=False,
        soft_wrap=True,
    )


async def _declare_lost(name: str, reason: str) -> tuple[Holder, datetime]:
    settings = settings_module.load()
    async with open_database(settings) as db, db.tx() as tx:
        lost = await let_go(tx, name, directory=settings.data_path / SEGMENTS)
        facts = {"host": lost.of, "place": lost.place, "since": lost.since.isoformat()}
        await identity.record(tx, None, "lake.process_lost", subject=name, reason=reason, **facts)
        return lost, tx.now


async def ask_watermark(settings: Settings) -> Mark | None:
    """Where it stands and who holds it; nothing when the database does not run (it is not started for this)."""
    if settings.database_url is None and not EmbeddedPostgres.of(settings).is_running:
        return None
    url = settings.database_url or EmbeddedPostgres.of(settings).url()
    db = await Database.open(url, pool_max=1)
    try:
        async with db.tx() as tx:
            as_of = EPOCH + await watermark(tx) * MICROSECOND
            return Mark(as_of, (tx.now - as_of).total_seconds(), await list_holders(tx))
    finally:
        await db.close()


def print_watermark(console: Console, mark: Mark | None) -> None:
    """For people: who holds it longest, and what to do."""
    if mark is None:
        console.print("The database stands still, so who holds the watermark is not known.")
        return
    console.print(
        f"Everything before {mark.as_of:%Y-%m-%d %H:%M:%S} UTC is in, {mark.behind_s:,.0f} s ago.", highlight=False
    )
    for one in mark.holders[:HOLDERS_SHOWN_MAX]:
        heard = f", last heard of {one.heard_at:%Y-%m-%d %H:%M:%S}" if one.heard_at else ""
        console.print(
            f"Since {one.since.astimezone(UTC):%Y-%m-%d %H:%M:%S} held by {one.kind} {one.name} ({one.of or 'unknown'}{heard}):"
            f" {advise(one)}" + (f" ({one.error})" if one.error else ""),
            highlight=False,
            soft_wrap=True,
            markup=False,
        )


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[Database]:
    """The service's database, which is started for it where it is ours and stands still."""
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
