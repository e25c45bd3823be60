"""`laotie lake rebuild`: money, shows, follows and persons into the lake again, from PostgreSQL."""

import asyncio
from datetime import date
from typing import Annotated

import msgspec
from cyclopts import Parameter
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from laotie import orders
from laotie.base import settings as settings_module
from laotie.base.db import Database
from laotie.base.migrate import migrate
from laotie.base.postgres import EmbeddedPostgres
from laotie.lake import Lake
from laotie.lake.facts import Drain
from laotie.lake.model import BEHAVIOUR, FACTS
from laotie.lake.rebuild import Rebuilt, check_topic
from laotie.lake.rebuild import rebuild as rebuild_topic
from laotie.worker.filling import SOURCES

screen = Console(stderr=True)


def rebuild(
    *,
    topic: Annotated[str | None, Parameter(help="money, show, follow or person; default: all four.")] = None,
    since: Annotated[str | None, Parameter(help="The first day to replace (YYYY-MM-DD, the books' zone); default: all.")] = None,
    json: bool = False,
) -> None:
    """Tell the lake again what PostgreSQL knows, after a loss, or after an upgrade from a release without a lake.

    Old files count until the new ones do, day by day. Killed, it goes on where it stopped. The service may run; what
    happens meanwhile comes into the lake afterwards. What people did (visits, watching, …) is nowhere else.
    """
    if topic is not None:
        check_topic(topic)
    day = date.fromisoformat(since) if since else None
    done = asyncio.run(_rebuild([topic] if topic else [one.name for one in FACTS], day))
    if json:
        print(msgspec.json.encode(done).decode())
        return
    for one in done:
        screen.print(
            f"{one.topic}: {one.rows:,} rows in {one.parts_after:,} files instead of {one.parts_before:,}"
            + (f"; {one.pending:,} more are on their way" if one.pending else ""),
            highlight=False,
        )
    screen.print(f"not rebuilt, because only the lake knows of it: {', '.join(one.name for one in BEHAVIOUR)}", highlight=False)


async def _rebuild(topics: list[str], since: date | None) -> list[Rebuilt]:
    settings = settings_module.load()
    embedded = None if settings.database_url else EmbeddedPostgres.of(settings)
    url = settings.database_url or (embedded.start() if embedded else "")
    try:
        await asyncio.to_thread(migrate, url)
        db = await Database.open(url, pool_max=4)
        try:
            lake = Lake.of(settings)
            if "money" in topics:
                await orders.facts.tell_imports(db)
            await Drain(db, lake).empty()  # what waits now need not wait for the end
            return [await _with_bar(db, lake, topic, since) for topic in topics]
        finally:
            await db.close()
    finally:
        if embedded is not None and not embedded.took_over:
            embedded.stop()


async def _with_bar(db: Database, lake: Lake, topic: str, since: date | None) -> Rebuilt:
    columns = (SpinnerColumn(), TextColumn(f"{topic:<6}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=screen) as bar:
        task = bar.add_task(topic, total=None)
        done = await rebuild_topic(
            db, lake, topic, SOURCES[topic], since=since, progress=lambda rows: bar.update(task, completed=rows)
        )
        bar.update(task, completed=done.rows, total=done.rows)
    return done
