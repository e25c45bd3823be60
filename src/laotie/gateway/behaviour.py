"""Behaviour: what viewers do in a room, in high volume, past PostgreSQL, appended to a log.

The sink keeps the newest acts in memory and writes all of them to segment files of JSON lines, synced several times a
second: a kill -9 loses less than a second of behaviour. Money facts never come this way. A disk that is full loses
behaviour, counted, and nothing else.
"""

import asyncio
import os
from collections import deque
from datetime import datetime
from pathlib import Path
from typing import Protocol

import msgspec

from laotie.base.ids import CartItemId, ShowId, ViewerId, VisitId
from laotie.base.logs import log


class Act(msgspec.Struct, frozen=True, kw_only=True, tag_field="act"):
    """One thing that one viewer did on one visit."""

    at: datetime
    show_id: ShowId
    viewer_id: ViewerId
    visit_id: VisitId


class Entered(Act, tag="entered", frozen=True, kw_only=True):
    """Came into the room; the visit carries the source."""

    source: str
    placement: str
    guest: bool


class Watched(Act, tag="watched", frozen=True, kw_only=True):
    """Had the picture in sight, acknowledged, from `since` to `at`."""

    since: datetime
    watched_ms: int


class Left(Act, tag="left", frozen=True, kw_only=True):
    """Went away, having watched so long on this connection."""

    watched_ms: int


class Liked(Act, tag="liked", frozen=True, kw_only=True):
    """Sent hearts."""

    n: int


class Chatted(Act, tag="chatted", frozen=True, kw_only=True):
    """Said something (the text is not behaviour)."""

    length: int


class Clicked(Act, tag="clicked", frozen=True, kw_only=True):
    """Looked at an item of the cart."""

    item_id: CartItemId


class Sink(Protocol):
    """Where acts go. Appending never waits and never fails."""

    def append(self, act: Act) -> None:
        """Keep this."""

    async def close(self) -> None:
        """Write what is left."""


SEGMENT_BYTES_MAX = 16 * 1024 * 1024
SEGMENTS_MAX = 128
WAITING_MAX = 200_000
RECENT_MAX = 10_000
SYNC_EVERY_S = 0.25

_encode = msgspec.json.Encoder().encode


class SegmentLog:
    """A sink on the local disk. `recent` is the ring of the newest acts."""

    def __init__(
        self, directory: Path, *, segment_bytes_max: int = SEGMENT_BYTES_MAX, segments_max: int = SEGMENTS_MAX
    ) -> None:
        self._directory = directory
        self._segment_bytes_max = segment_bytes_max
        self._segments_max = segments_max
        self._waiting: list[Act] = []
        self._writing: asyncio.Task[None] | None = None
        self._descriptor: int | None = None
        self._size = 0
        self._number = 0
        self._ailing = False
        self.recent: deque[Act] = deque(maxlen=RECENT_MAX)
        self.lost = 0

    def append(self, act: Act) -> None:
        self.recent.append(act)
        if len(self._waiting) >= WAITING_MAX:
            self.lost += 1
            return
        self._waiting.append(act)
        if self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._write_soon())

    async def close(self) -> None:
        if self._writing is not None:
            await self._writing
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    async def _write_soon(self) -> None:
        try:
            while self._waiting:
                await asyncio.sleep(SYNC_EVERY_S)
                acts, self._waiting = self._waiting, []
                try:
                    await asyncio.to_thread(self._write, acts)
                    self._ailing = False
                except OSError as error:
                    self.lost += len(acts)
                    self._size = self._segment_bytes_max  # a torn line ends its segment
                    if not self._ailing:
                        log.error("behaviour is not being written", error=str(error), lost=self.lost)
                    self._ailing = True
        finally:
            self._writing = None

    def _write(self, acts: list[Act]) -> None:
        if self._descriptor is None or self._size >= self._segment_bytes_max:
            self._next_segment()
        assert self._descriptor is not None
        lines = memoryview(b"".join(_encode(act) + b"\n" for act in acts))
        while lines:
            written = os.write(self._descriptor, lines)
            self._size += written
            lines = lines[written:]
        os.fdatasync(self._descriptor)

    def _next_segment(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        self._directory.mkdir(parents=True, exist_ok=True)
        kept = sorted(self._directory.glob("*.jsonl"))
        for old in kept[: max(0, len(kept) + 1 - self._segments_max)]:
            old.unlink(missing_ok=True)
        self._number = max(self._number, int(kept[-1].stem) if kept else 0) + 1
        path = self._directory / f"{self._number:012d}.jsonl"
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        self._size = 0
