"""Figures: what insight computes, asked from handlers. A few threads, each with an engine; beyond that, `TooBusy`.

A figure has a limit (`figure_s_max`), and nobody computes for somebody who has gone away: then the engine is told to stop, again
and again until the thread is free, and who still waits is refused with `FigureTooLong`.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import ContextVar
from datetime import datetime, timedelta
from threading import BoundedSemaphore, Thread
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from laotie.base.db import Database
from laotie.base.logs import log
from laotie.base.refusals import Refusal, TooBusy
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
STOP_EVERY_S = 0.05
"""An engine that is told to stop between two steps does not hear it; so it is told again."""

T = TypeVar("T")
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

LISTENING: ContextVar[Receive | None] = ContextVar("LISTENING", default=None)
"""Where it is heard that whoever asks has gone away; the door says it once the body was read."""


class FigureTooLong(Refusal, code="figure-too-long", status=504):
    """The figure would take longer than it may; ask for fewer days, or for a single shop, streamer or show."""

    limit_s: float


class AskerGone(Refusal, code="asker-gone", status=499):
    """Whoever asked has gone away, so nothing is computed for them any more."""


class Figure(NamedTuple, Generic[T]):
    """An answer, and the instant up to which everything that happened is in it."""

    answer: T
    as_of: datetime


class _Turn:
    """One figure's turn in a thread: when it came, and with which engine."""

    def __init__(self) -> None:
        self.came: Future[None] = Future()
        self.engine: Engine | None = None


class Figures:
    """The threads that compute. They begin with the first figure and end with the process."""

    def __init__(self, db: Database, settings: Settings) -> None:
        self.lake = Lake.of(settings)
        self._db = db
        self._settings = settings
        self._threads = ThreadPoolExecutor(AT_ONCE_MAX, thread_name_prefix="figures")
        self._places = BoundedSemaphore(ASKED_MAX)

    async def run(self, ask: Callable[[Engine], T]) -> Figure[T]:
        """Have `ask` called with an open engine, in a thread. It must not touch the loop or the database.

        Refuses `TooBusy` where there is no room, or no thread in time; `FigureTooLong` when it computed for too long.
        """
        if not self._places.acquire(blocking=False):
            raise TooBusy(retry_after_s=RETRY_AFTER_S)
        turn = _Turn()
        try:
            as_of = await self.as_of()
            computed = self._threads.submit(self._compute, ask, turn)
        except BaseException:
            self._places.release()
            raise
        computed.add_done_callback(self._release)  # also when whoever asked has gone away meanwhile
        try:
            return Figure(await self._wait(turn, computed), as_of)
        finally:
            if not computed.done():
                Thread(target=_stop, args=(turn, computed), name="figures-stop", daemon=True).start()

    async def as_of(self) -> datetime:
        """Everything that happened before this instant is in the lake."""
        async with self._db.tx() as tx:
            return EPOCH + timedelta(microseconds=await watermark(tx, self.lake))

    async def _wait(self, turn: _Turn, computed: Future[T]) -> T:
        """As long as a figure may wait for its turn, and again as long as it may take."""
        limit_s = self._settings.figure_s_max
        gone = asyncio.ensure_future(_hear_going())
        came, answer = asyncio.wrap_future(turn.came), asyncio.wrap_future(computed)
        try:
            for step, late in ((came, TooBusy(retry_after_s=RETRY_AFTER_S)), (answer, FigureTooLong(limit_s=limit_s))):
                await asyncio.wait((step, gone), timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
                if gone.done() and not step.done():
                    raise AskerGone()
                if not step.done():
                    log.warning("a figure took too long", limit_s=limit_s, begun=came.done())
                    raise late
            return await answer
        finally:
            for waiting in (gone, came, answer):
                waiting.cancel()

    def _compute(self, ask: Callable[[Engine], T], turn: _Turn) -> T:
        if turn.came.set_running_or_notify_cancel():
            turn.came.set_result(None)
        with Engine.of(self.lake, self._settings) as engine:
            turn.engine = engine
            return ask(engine)

    def _release(self, _: Future[T]) -> None:
        self._places.release()


async def _hear_going() -> None:
    """Ends when whoever asks has gone away."""
    receive = LISTENING.get()
    if receive is None:
        await asyncio.Future[None]()
        return
    while (await receive())["type"] != "http.disconnect":
        pass


def _stop(turn: _Turn, computed: Future[T]) -> None:
    """Until the thread is free; in a thread of its own, since a cluster may be slow to hear."""
    while not wait((computed,), timeout=STOP_EVERY_S).done:
        if turn.engine is not None:
            turn.engine.stop()


def figures(house: "House") -> Figures:
    """The house's desk for figures."""
    return house.figures
