"""The outbox and its relay: facts told in a transaction reach reactions and the bus, and nothing is lost between.

`Tx.tell` writes rows; the relay takes them in order, runs every room's reactions in the transaction that deletes the
rows (so each reaction takes effect exactly once in the database), and publishes each fact on the bus as
`events.<tag>` before that commit (at least once, in order per relay). A fact whose reaction fails is tried again with
growing pauses, alone, and is parked after `attempts_max`; it is never dropped.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import msgspec
import structlog

from laotie.base.bus import Bus
from laotie.base.db import Database, Tx
from laotie.base.events import Event, Told, decode, tag_of
from laotie.base.ids import EventId
from laotie.base.logs import log
from laotie.base.refusals import Unavailable

E = TypeVar("E", bound=Event)

Reaction = tuple[str, Callable[[Tx, Any], Awaitable[None]]]


@dataclass(frozen=True)
class Together:
    """A room's answer to all facts of some kinds that one turn carries: one call a turn, in order, not one a fact."""

    tags: frozenset[str]
    handler: Callable[[Tx, list[Told]], Awaitable[None]]


TURN_SIZE_MAX = 500
TURN_SIZE_URGENT = 50
STAND_BACK_S = 0.1
ATTEMPTS_MAX = 20
PAUSE_MAX_S = 3_600
ERROR_CHARS_MAX = 500


class _Row(msgspec.Struct, frozen=True):
    id: UUID
    tag: str
    body: bytes
    told_at: datetime
    request_id: str | None
    attempts: int


def on(kind: type[E], handler: Callable[[Tx, E], Awaitable[None]]) -> Reaction:
    """A room's answer to an event, listed in its `reactions.REACTIONS`."""
    return tag_of(kind), handler


def together(kinds: Iterable[type[Event]], handler: Callable[[Tx, list[Told]], Awaitable[None]]) -> Together:
    """For a room that hears of much and does little: it pays a statement a turn. Never told of nothing."""
    return Together(frozenset(tag_of(kind) for kind in kinds), handler)


class Relay:
    """Carries facts from the outbox to reactions and bus until stopped. Any number may run on one database."""

    def __init__(
        self,
        db: Database,
        bus: Bus,
        reactions: Iterable[Reaction | Together],
        *,
        idle_s: float = 1.0,
        stand_back: Callable[[], bool] = lambda: False,
    ) -> None:
        """`stand_back` says that something more urgent is under way: turns become small and rare, never none."""
        self._stand_back = stand_back
        self._db = db
        self._bus = bus
        self._idle_s = idle_s
        self._reactions: dict[str, list[Callable[[Tx, Any], Awaitable[None]]]] = {}
        self._together: list[Together] = []
        for reaction in reactions:
            if isinstance(reaction, Together):
                self._together.append(reaction)
            else:
                self._reactions.setdefault(reaction[0], []).append(reaction[1])
        self._heard = frozenset(self._reactions).union(*(one.tags for one in self._together))
        self._wake = asyncio.Event()
        self.carried = 0

    def wake(self, _told: list[Event] | None = None) -> None:
        """There is something to carry."""
        self._wake.set()

    async def run(self) -> None:
        """Carry until cancelled; a database that is gone is waited for."""
        self._db.on_told(self.wake)
        while True:
            self._wake.clear()
            urgent = self._stand_back()
            try:
                carried = await self.turn(TURN_SIZE_URGENT if urgent else TURN_SIZE_MAX)
            except Unavailable:
                carried = 0
                await asyncio.sleep(self._idle_s)
            if urgent:
                await asyncio.sleep(STAND_BACK_S)
            elif carried < TURN_SIZE_MAX // 2:
                try:
                    await asyncio.wait_for(self._wake.wait(), self._idle_s)
                    await asyncio.sleep(0.02)
                except TimeoutError:
                    continue

    async def drain(self) -> int:
        """Carry until the outbox has nothing left that is due (tests, shutdown)."""
        total = 0
        while carried := await self.turn():
            total += carried
        return total

    async def turn(self, size: int = TURN_SIZE_MAX) -> int:
        """Carry one batch; returns how many facts were taken up."""
        async with self._db.tx() as tx:
            rows = await tx.all(
                _Row,
                """
                SELECT id, tag, body, told_at, request_id, attempts FROM base.outbox
                WHERE due_at <= %(now)s AND NOT parked ORDER BY id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
                """,
                now=tx.now,
                limit=size,
            )
            if not rows:
                return 0
            done = await self._react(tx, rows)
            await tx.run("DELETE FROM base.outbox WHERE id = ANY(%(ids)s)", ids=[row.id for row in done])
            for row in done:
                await self._bus.publish(f"events.{row.tag}", row.body)
        self.carried += len(done)
        return len(rows)

    async def _react(self, tx: Tx, rows: list[_Row]) -> list[_Row]:
        concerned = [row for row in rows if row.tag in self._heard]
        if not concerned:
            return rows
        try:
            async with tx.savepoint():
                await self._react_to(tx, concerned)
            return rows
        except Unavailable:
            raise
        except Exception:
            if len(concerned) > 1:
                log.info("a reaction failed; each fact is tried alone", facts=len(concerned))
        failed: set[UUID] = set()
        for row in concerned:
            try:
                async with tx.savepoint():
                    await self._react_to(tx, [row])
            except Unavailable:
                raise
            except Exception as error:
                failed.add(row.id)
                log.exception("a reaction failed", tag=row.tag, event_id=str(row.id), attempts=row.attempts + 1)
                await self._postpone(tx, row, repr(error)[:ERROR_CHARS_MAX])
        return [row for row in rows if row.id not in failed]

    async def _react_to(self, tx: Tx, rows: list[_Row]) -> None:
        """Each fact is read once, for those who hear it alone and those who hear all of a turn together."""
        told = [
            Told(EventId(row.id), row.told_at, row.request_id, event)
            for row in rows
            if (event := decode(row.tag, row.body)) is not None
        ]
        for one in told:
            tx.cause = one.id
            with structlog.contextvars.bound_contextvars(request_id=one.request_id):
                for handler in self._reactions.get(tag_of(type(one.event)), ()):
                    await handler(tx, one.event)
            tx.cause = None
        for group in self._together:
            heard = [one for one in told if tag_of(type(one.event)) in group.tags]
            if heard:
                await group.handler(tx, heard)

    async def _postpone(self, tx: Tx, row: _Row, error: str) -> None:
        pause = timedelta(seconds=min(PAUSE_MAX_S, 2 ** min(row.attempts, 12)))
        await tx.run(
            """
            UPDATE base.outbox
            SET attempts = attempts + 1, due_at = %(due_at)s, parked = attempts + 1 >= %(max)s, error = %(error)s
            WHERE id = %(id)s
            """,
            error=error,
            id=row.id,
            due_at=tx.now + pause,
            max=ATTEMPTS_MAX,
        )


async def list_waiting(tx: Tx, *, limit: int = 100) -> list[Told]:
    """What the relay has not carried yet, oldest first (tests and the operator's eye)."""
    rows = await tx.all(
        _Row,
        "SELECT id, tag, body, told_at, request_id, attempts FROM base.outbox ORDER BY id LIMIT %(limit)s",
        limit=limit,
    )
    decoded = [(row, decode(row.tag, row.body)) for row in rows]
    return [Told(EventId(row.id), row.told_at, row.request_id, event) for row, event in decoded if event is not None]


async def list_waiting_of(tx: Tx, tags: list[str]) -> list[Told]:
    """The same of some kinds, all of them (whoever must not miss one)."""
    rows = await tx.all(
        _Row,
        """
        SELECT id, tag, body, told_at, request_id, attempts FROM base.outbox WHERE tag = ANY(%(tags)s) ORDER BY id
        """,
        tags=tags,
    )
    decoded = [(row, decode(row.tag, row.body)) for row in rows]
    return [Told(EventId(row.id), row.told_at, row.request_id, event) for row, event in decoded if event is not None]


async def find_oldest(tx: Tx, tags: list[str]) -> datetime | None:
    """When the oldest of some kinds was told that the relay has not carried yet."""
    return await tx.one(datetime, "SELECT min(told_at) FROM base.outbox WHERE tag = ANY(%(tags)s)", tags=tags)


class Waiting(msgspec.Struct, frozen=True):
    """A fact that is not carried yet. `error`: why it was not the last time; `parked`: it is not tried by itself any more."""

    id: EventId
    tag: str
    told_at: datetime
    attempts: int
    parked: bool
    error: str | None


async def find_oldest_of(tx: Tx, tags: list[str]) -> Waiting | None:
    """The oldest fact of some kinds."""
    return await tx.maybe(
        Waiting,
        """
        SELECT id, tag, told_at, attempts, parked, error FROM base.outbox WHERE tag = ANY(%(tags)s)
        ORDER BY told_at, id LIMIT 1
        """,
        tags=tags,
    )


async def list_parked(tx: Tx, *, limit: int = 100) -> list[Waiting]:
    """The facts that failed too often to be tried again by themselves, oldest first."""
    return await tx.all(
        Waiting,
        "SELECT id, tag, told_at, attempts, parked, error FROM base.outbox WHERE parked ORDER BY id LIMIT %(limit)s",
        limit=limit,
    )


async def retry_parked(tx: Tx, ids: Iterable[UUID] | None = None) -> list[Waiting]:
    """Have these parked facts (or all) tried again, from now on and as often as new ones; which they were."""
    return await tx.all(
        Waiting,
        """
        WITH again AS (
            UPDATE base.outbox SET parked = false, attempts = 0, due_at = %(now)s
            WHERE parked AND (%(ids)s::uuid[] IS NULL OR id = ANY(%(ids)s::uuid[]))
            RETURNING id, tag, told_at, attempts, parked, error
        )
        SELECT * FROM again ORDER BY id
        """,
        ids=None if ids is None else list(ids),
        now=tx.now,
    )


class Backlog(msgspec.Struct, frozen=True):
    """How far behind the relay is."""

    waiting: int
    parked: int
    oldest_at: datetime | None


async def measure_backlog(tx: Tx) -> Backlog:
    """Facts waiting and parked, and the age of the oldest."""
    return await tx.one(
        Backlog,
        """
        SELECT count(*) FILTER (WHERE NOT parked) AS waiting, count(*) FILTER (WHERE parked) AS parked,
               min(told_at) AS oldest_at
        FROM base.outbox
        """,
    )
