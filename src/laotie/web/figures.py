"""Figures: what insight computes, asked from handlers. A few threads, each with an engine; beyond that, `TooBusy`."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from laotie.base.db import Database
from laotie.base.refusals import TooBusy
from laotie.base.settings import Settings
from laotie.insight import Engine
from laotie.lake import Lake, watermark
from laotie.lake.facts import EPOCH

if TYPE_CHECKING:
    from laotie.web.house import House

AT_ONCE_MAX = 2
"""Figures computed at the same moment in one process; each may use every core."""
ASKED_MAX = 16
"""Those and the ones that wait."""
RETRY_AFTER_S = 2

T = TypeVar("T")


class Figure(NamedTuple, Generic[T]):
    """An answer, and the instant up to which everything that happened is in it."""

    answer: T
    as_of: datetime


class Figures:
    """The threads that compute. They begin with the first figure and end with the process."""

    def __init__(self, db: Database, settings: Settings) -> None:
        self.lake = Lake.of(settings)
        self._db = db
        self._settings = settings
        self._threads = ThreadPoolExecutor(AT_ONCE_MAX, thread_name_prefix="figures")
        self._places = BoundedSemaphore(ASKED_MAX)

    async def run(self, ask: Callable[[Engine], T]) -> Figure[T]:
        """Have `ask` called with an open engine, in a thread. It must not touch the loop or the database."""
        if not self._places.acquire(blocking=False):
            raise TooBusy(retry_after_s=RETRY_AFTER_S)
        try:
            as_of = await self.as_of()
            computed = self._threads.submit(self._compute, ask)
        except BaseException:
            self._places.release()
            raise
        computed.add_done_callback(self._release)  # also when whoever asked has gone away meanwhile
        return Figure(await asyncio.wrap_future(computed), as_of)

    async def as_of(self) -> datetime:
        """Everything that happened before this instant is in the lake."""
        async with self._db.tx() as tx:
            return EPOCH + timedelta(microseconds=await watermark(tx, self.lake))

    def _compute(self, ask: Callable[[Engine], T]) -> T:
        with Engine.of(self.lake, self._settings) as engine:
            return ask(engine)

    def _release(self, _: Future[T]) -> None:
        self._places.release()


def figures(house: "House") -> Figures:
    """The house's desk for figures."""
    return house.figures
