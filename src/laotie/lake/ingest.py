"""The way in: what a process's doors append is on its disk within a second, and in the lake some seconds later.

Acts wait in memory for a quarter of a second, then a thread writes and syncs them all: a kill -9 loses less than a second
of behaviour. Every few seconds the segments become parts, also those that processes left which are gone. A disk that is
full, or a lake that takes nothing, loses behaviour in the end, counted, and nothing else.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from socket import gethostname

import pyarrow as pa

from laotie.base import metrics
from laotie.base.clock import Clock
from laotie.base.db import Database
from laotie.base.logs import log
from laotie.base.refusals import Refusal
from laotie.lake.acts import Act
from laotie.lake.parts import Lake
from laotie.lake.segments import Segments, discard, list_dead, list_segments
from laotie.lake.shipping import Shipped, ship
from laotie.lake.stores import describe, note_ailing

WAITING_MAX = 200_000
SYNC_EVERY_S = 0.25
PART_EVERY_S = 10.0
SEGMENTS = "lake-segments"
"""Where processes write, in the data directory."""

Note = Callable[[str, int | None], Awaitable[None]]
"""Hears up to which instant (µs) a process's acts are in the lake; `None`: all of them, and no more come."""


class SegmentLog:
    """A sink on the local disk, and its way into the lake once it is started."""

    def __init__(self, lake: Lake, segments: Segments, *, clock: Clock, part_every_s: float, note: Note | None) -> None:
        self.segments = segments
        self.lost = 0
        self._lake = lake
        self._clock = clock
        self._part_every_s = part_every_s
        self._note = note
        self._waiting: list[Act] = []
        self._in_hand = 0
        self._writing: asyncio.Task[None] | None = None
        self._shipping: asyncio.Task[None] | None = None
        self._one_writer = asyncio.Lock()
        self._one_shipper = asyncio.Lock()
        self._ails: set[str] = set()
        self._told_us: int | None = None
        self._is_closed = False
        metrics.LAKE_WAITING.set_function(lambda: len(self._waiting) + self._in_hand)

    @property
    def name(self) -> str:
        """What the other processes know this one by."""
        return self.segments.place.name

    def append(self, act: Act) -> None:
        """Keep this act. Never waits and never fails: what has no room is lost and counted."""
        if len(self._waiting) >= WAITING_MAX or self._is_closed:
            self._lose(1)
            return
        self._waiting.append(act)
        if self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._write_soon())

    async def start(self) -> None:
        """Have segments become parts from now on."""
        await asyncio.to_thread(pa.array, [])  # which imports pandas, half a second that no sale should meet
        try:
            await asyncio.to_thread(self.segments.settle)
            await self._tell(self.name, self._clock.now_us())
        except OSError as error:
            self._ail("shipping", "behaviour does not get into the lake", error)
        self._shipping = asyncio.get_running_loop().create_task(self._ship_now_and_then())

    async def close(self) -> None:
        """Write and ship what is left, and let go. What comes later is lost."""
        self._is_closed = True
        if self._shipping is not None:
            self._shipping.cancel()
            await asyncio.gather(self._shipping, return_exceptions=True)
        if self._writing is not None:
            await self._writing
        if self._shipping is not None and await self.ship():
            await self._tell(self.name, None)  # before its directory goes: whoever finds one tells it again
        self.segments.close()

    async def flush(self) -> None:
        """Have everything appended until now on the disk when this returns."""
        async with self._one_writer:
            acts, self._waiting = self._waiting, []
            if not acts:
                return
            self._in_hand = len(acts)
            try:
                await asyncio.to_thread(self.segments.write, acts)
                self._well("writing")
            except Exception as error:
                self._lose(len(acts))
                self._ail("writing", "behaviour is not being written", error)
            self._in_hand = 0

    async def ship(self) -> bool:
        """Bring everything appended until now into the lake, and what the dead have left. Returns whether it is there."""
        async with self._one_shipper:
            return await self._ship_all()

    async def _ship_all(self) -> bool:
        until_us = self._clock.now_us()
        await self.flush()
        try:
            dead = await asyncio.to_thread(self._ship_here)
        except Exception as error:
            self._ail("shipping", "behaviour does not get into the lake", error)
            if self._told_us is not None:
                await self._tell(self.name, self._told_us)  # it lives, and is no further
            return False
        self._well("shipping")
        for place in dead:
            if await self._tell(place.name, None):
                await asyncio.to_thread(discard, place)
        await self._tell(self.name, until_us)
        return True

    async def _ship_now_and_then(self) -> None:
        while True:
            await asyncio.shield(self.ship())
            await asyncio.sleep(self._part_every_s)

    def _ship_here(self) -> list[Path]:
        self.segments.settle()
        ship(self._lake, self.segments.place, self.segments.end(), now_us=self._clock.now_us())
        return take_over(self._lake, self.segments.place.parent, now_us=self._clock.now_us())[0]

    async def _write_soon(self) -> None:
        try:
            while self._waiting:
                await asyncio.sleep(SYNC_EVERY_S)
                await self.flush()
        finally:
            self._writing = None

    async def _tell(self, name: str, until_us: int | None) -> bool:
        try:
            if self._note is not None:
                await self._note(name, until_us)
                if name == self.name:
                    self._told_us = until_us
        except Refusal as refusal:
            log.info("how far the lake has got is told the next time", why=refusal.code)
            return False
        return True

    def _lose(self, count: int) -> None:
        self.lost += count
        metrics.LAKE_LOST.inc(count)

    def _well(self, what: str) -> None:
        self._ails.discard(what)
        note_ailing(f"lake behaviour ({what})", None)

    def _ail(self, what: str, message: str, error: Exception) -> None:
        """Say it once, until it is well again."""
        note_ailing(f"lake behaviour ({what})", error)
        if what not in self._ails:
            self._ails.add(what)
            log.error(message, error=describe(error), lost=self.lost)


def note_in(db: Database, directory: Path | None = None) -> Note:
    """Put down for all processes how far each has got, and where (in `directory`) it keeps what is not in yet."""
    host = gethostname()

    async def note(name: str, until_us: int | None) -> None:
        async with db.tx() as tx:
            if until_us is None:
                await tx.run("DELETE FROM lake.process WHERE name = %(name)s", name=name)
                return
            await tx.run(
                """
                INSERT INTO lake.process (name, until_at, told_at, host, place)
                VALUES (%(name)s, %(until_at)s, %(now)s, %(host)s, %(place)s)
                ON CONFLICT (name) DO UPDATE SET until_at = excluded.until_at, told_at = excluded.told_at
                """,
                name=name,
                now=tx.now,
                host=host,
                place="" if directory is None else str((directory / name).absolute()),
                until_at=datetime.fromtimestamp(until_us / 1_000_000, UTC),
            )

    return note


def open_sink(
    lake: Lake,
    directory: Path,
    *,
    clock: Clock | None = None,
    part_every_s: float = PART_EVERY_S,
    note: Note | None = None,
) -> SegmentLog:
    """Where this process's acts go on their way into the lake. `start` it, and `close` it when nobody appends any more."""
    return SegmentLog(lake, Segments(directory), clock=clock or Clock(), part_every_s=part_every_s, note=note)


def take_over(lake: Lake, directory: Path, *, now_us: int) -> tuple[list[Path], Shipped]:
    """Ship what processes have left that are gone. Their directories, which are empty now, stay until it is told."""
    total = Shipped()
    places = []
    for place in list_dead(directory):
        total += ship(lake, place, list_segments(place), now_us=now_us)
        places.append(place)
    return places, total
