"""Micro-batches: asks that arrive together are answered together.

A batch is whatever came while the last one was being decided, at most `batch_max`. There is no waiting: an ask that
comes alone is decided alone. A second batch starts while the first commits once it has half the first one's size, so
that the database and this process work at the same time.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from laotie.base.logs import log
from laotie.base.refusals import Refusal, TooBusy

Ask = TypeVar("Ask")
Answer = TypeVar("Answer")

BATCHES_IN_FLIGHT_MAX = 2
BUSY_SIZE = 8


class Batcher(Generic[Ask, Answer]):
    """Collects asks and hands them to `decide`, which answers in the order of the asks.

    A refusal is a value beside its ask. An exception out of `decide` reaches every ask of that batch.
    """

    def __init__(
        self,
        decide: Callable[[list[Ask]], Awaitable[list[Answer | Refusal]]],
        *,
        batch_max: int,
        waiting_max: int,
    ) -> None:
        self._decide = decide
        self._batch_max = batch_max
        self._waiting_max = waiting_max
        self._waiting: deque[tuple[Ask, Callable[[Answer | BaseException], None]]] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self._last_size = 0
        self._woken = False
        self._closed = False
        self.batches = 0
        self.asks = 0

    @property
    def waiting(self) -> int:
        """How many asks wait for their batch."""
        return len(self._waiting)

    @property
    def is_busy(self) -> bool:
        """Whether asks come faster than one at a time: some wait, or a batch of several is being decided."""
        return bool(self._waiting) or (bool(self._running) and self._last_size >= BUSY_SIZE)

    def submit(self, ask: Ask, reply: Callable[[Answer | BaseException], None]) -> None:
        """Queue an ask; `reply` is called once, with the answer or with the exception that stands for it."""
        if self._closed or len(self._waiting) >= self._waiting_max:
            reply(TooBusy())
            return
        self._waiting.append((ask, reply))
        if not self._woken:
            self._woken = True
            asyncio.get_running_loop().call_soon(self._start)

    async def ask(self, ask: Ask) -> Answer:
        """Queue an ask and wait for its answer; a refusal is raised."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        def settle(answer: Answer | BaseException) -> None:
            if future.done():
                return
            if isinstance(answer, BaseException):
                future.set_exception(answer)
            else:
                future.set_result(answer)

        self.submit(ask, settle)
        return await future

    async def close(self) -> None:
        """Take nothing new, answer what is waiting, and return."""
        self._closed = True
        while self._running or self._waiting:
            self._start()
            await asyncio.gather(*self._running, return_exceptions=True)

    def _start(self) -> None:
        self._woken = False
        while self._waiting and len(self._running) < BATCHES_IN_FLIGHT_MAX:
            if self._running and len(self._waiting) < min(self._batch_max, max(1, self._last_size // 2)):
                return
            size = min(len(self._waiting), self._batch_max)
            batch = [self._waiting.popleft() for _ in range(size)]
            self._last_size = size
            task = asyncio.get_running_loop().create_task(self._run(batch))
            self._running.add(task)
            task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._start()

    async def _run(self, batch: list[tuple[Ask, Callable[[Answer | BaseException], None]]]) -> None:
        answers: Sequence[Answer | BaseException]
        try:
            answers = await self._decide([ask for ask, _ in batch])
            assert len(answers) == len(batch)
        except Refusal as refusal:
            answers = [refusal] * len(batch)
        except asyncio.CancelledError:
            answers = [TooBusy()] * len(batch)
        except Exception as bug:
            log.exception("a batch failed", size=len(batch))
            answers = [bug] * len(batch)
        self.batches += 1
        self.asks += len(batch)
        for (_, reply), answer in zip(batch, answers, strict=True):
            try:
                reply(answer)
            except Exception:
                log.exception("a reply could not be given")
