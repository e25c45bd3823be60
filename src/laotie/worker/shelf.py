"""Keeps this process's index of the shelf up with the database: what is searched by whoever asks here.

The catalogue tells what is on the shelf, after-sales what buyers thought of it; the index sees both through `read_many`.
"""

import asyncio
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import msgspec
from psycopg import OperationalError

from laotie import catalog
from laotie.aftersales import reviews_listing
from laotie.base.bus import Bus
from laotie.base.db import Database, Tx
from laotie.base.ids import ProductId
from laotie.base.logs import log
from laotie.base.refusals import Unavailable
from laotie.search import Document, Shelf

FOLLOW_EVERY_S = 1.0
GATHER_S = 0.15
"""After the first news of a change, so long for others to come with it."""
RETRY_AFTER_S = 2.0


class ShelfReader:
    """What is on the shelf, with what was thought of it."""

    async def read_many(self, tx: Tx, product_ids: list[UUID]) -> list[Document]:
        """Those of the products that are on the shelf."""
        return await _with_reviews(tx, await catalog.read_documents(tx, [ProductId(one) for one in product_ids]))

    async def read_behind(self, tx: Tx, after: UUID | None, limit: int) -> tuple[list[Document], UUID | None]:
        """The next of all products by id that are on the shelf, and where to go on."""
        start = ProductId(after) if after is not None else None
        documents, last = await catalog.read_documents_behind(tx, start, limit)
        return await _with_reviews(tx, documents), last

    async def find_silent(self, tx: Tx) -> frozenset[UUID]:
        """The shops that sell nothing at the moment."""
        return frozenset(await catalog.find_silent_shops(tx))


async def _with_reviews(tx: Tx, documents: list[Document]) -> list[Document]:
    sums = await reviews_listing.find_goods_sums(tx, [document.id for document in documents])
    return [
        msgspec.structs.replace(document, review_count=sums[document.id][0], star_sum=sums[document.id][1])
        if document.id in sums
        else document
        for document in documents
    ]


def open_shelf(db: Database, data: Path) -> Shelf:
    """The index under this data directory."""
    path = data / "search"
    path.mkdir(parents=True, exist_ok=True)
    return Shelf(db, path, ShelfReader())


class ShelfKeeper:
    """Follows, from `start` to `stop`: once a second, and soon after news of a product."""

    def __init__(self, shelf: Shelf, bus: Bus) -> None:
        self._shelf = shelf
        self._bus = bus
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; the index may take a while to be built, and is asked for from then on."""
        self._task = asyncio.create_task(self._keep(), name="search.keeper")

    async def stop(self) -> None:
        """End; the next process goes on where this one was."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._shelf.close()

    async def _keep(self) -> None:
        heard = asyncio.Event()
        subscription = self._bus.subscribe("events.catalog.*", lambda _subject, _payload: heard.set())
        try:
            while True:
                try:
                    if await self._shelf.follow():
                        continue
                except (Unavailable, OperationalError) as error:
                    log.warning("the index waits for the database", error=str(error)[:200])
                    await asyncio.sleep(RETRY_AFTER_S)
                except Exception:
                    log.exception("the index could not follow")
                    await asyncio.sleep(RETRY_AFTER_S)
                with suppress(TimeoutError):
                    await asyncio.wait_for(heard.wait(), FOLLOW_EVERY_S)
                await asyncio.sleep(GATHER_S)
                heard.clear()
        finally:
            subscription.stop()
