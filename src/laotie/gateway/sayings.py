"""What the rooms of this process said, on its way to the database: about once a second, set-based, bounded.

Chat never waits for it: beyond a cap a show and second, or while the database is away, texts are shown all the same
and what could not be kept is counted.
"""

import asyncio
from contextlib import suppress
from uuid import UUID

from laotie import live
from laotie.base import metrics
from laotie.base.db import Database
from laotie.base.ids import ShowId, ViewerId
from laotie.base.logs import log
from laotie.base.refusals import Unavailable

WRITE_EVERY_S = 1.0
HELD_PAUSE_S = 0.05
"""What waits for review is written sooner."""
SAID_PER_WRITE_MAX = 500
"""Of one show."""
HELD_PER_WRITE_MAX = 50
WAITING_WRITES_MAX = 10
"""How many seconds' worth is kept while the database is away."""
SHOWS_MAX = 20_000
SPEAKERS_MAX = 2_000


class _Waiting:
    __slots__ = ("held", "said", "speakers", "turns")

    def __init__(self) -> None:
        self.said: list[live.Saying] = []
        self.held: list[live.HeldSaying] = []
        self.speakers: dict[ViewerId, live.Speaker] = {}
        self.turns = 1


class SayingStore:
    """Collects by show; `start` writes until `stop`."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._waiting: dict[ShowId, _Waiting] = {}
        self._known: dict[tuple[ShowId, ViewerId], tuple[UUID | None, str]] = {}
        self._writing: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._stopping = False
        self.lost = 0

    def start(self) -> None:
        """Begin to write."""
        self._writing = asyncio.get_running_loop().create_task(self._write_on())

    async def stop(self) -> None:
        """Write what is left, once."""
        self._stopping = True
        self._wake.set()
        if self._writing is not None:
            await self._writing
        await self.write()

    def keep(self, show_id: ShowId, saying: live.Saying) -> None:
        """The room was shown this."""
        waiting = self._of(show_id)
        if waiting is None or len(waiting.said) >= SAID_PER_WRITE_MAX * waiting.turns:
            self._lose(1)
        else:
            waiting.said.append(saying)

    def hold(self, show_id: ShowId, held: live.HeldSaying) -> bool:
        """This waits for review; not when too much does already."""
        waiting = self._of(show_id)
        if waiting is None or len(waiting.held) >= HELD_PER_WRITE_MAX:
            return False
        waiting.held.append(held)
        self._wake.set()  # a moderator may decide as soon as they see it
        return True

    def place(self, show_id: ShowId, speaker: live.Speaker) -> None:
        """Somebody speaks from here; written when that is news."""
        key, where = (show_id, speaker.viewer_id), (speaker.device_id, speaker.address or "")
        if self._known.get(key) == where:
            return
        waiting = self._of(show_id)
        if waiting is not None and len(waiting.speakers) < SPEAKERS_MAX:
            if len(self._known) >= SHOWS_MAX:
                self._known.clear()
            self._known[key] = where
            waiting.speakers[speaker.viewer_id] = speaker

    async def write(self) -> None:
        """Write what waits, a transaction a show."""
        waiting, self._waiting = self._waiting, {}
        for show_id, one in waiting.items():
            try:
                async with self._db.tx() as tx:
                    await live.store_sayings(
                        tx, show_id, said=one.said, held=one.held, speakers=list(one.speakers.values())
                    )
            except Unavailable:
                self._put_back(show_id, one)
            except Exception:
                log.exception("what was said could not be kept", show_id=str(show_id), count=len(one.said))
                self._lose(len(one.said) + len(one.held))

    def _put_back(self, show_id: ShowId, one: _Waiting) -> None:
        newer = self._waiting.get(show_id)
        if one.turns >= WAITING_WRITES_MAX:
            self._lose(len(one.said) + len(one.held))
            return
        one.turns += 1
        if newer is not None:
            one.said += newer.said
            one.held += newer.held
            one.speakers |= newer.speakers
        self._waiting[show_id] = one

    def _of(self, show_id: ShowId) -> _Waiting | None:
        waiting = self._waiting.get(show_id)
        if waiting is None and len(self._waiting) < SHOWS_MAX:
            waiting = self._waiting[show_id] = _Waiting()
        return waiting

    def _lose(self, count: int) -> None:
        self.lost += count
        metrics.SAYINGS_LOST.inc(count)

    async def _write_on(self) -> None:
        while not self._stopping:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), WRITE_EVERY_S)
                await asyncio.sleep(HELD_PAUSE_S)
            self._wake.clear()
            if self._waiting:
                await self.write()
