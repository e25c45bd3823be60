"""Which shows are recorded: those that are live, in rooms that wish it, whose picture comes in here.

Recordings lie beside the picture: where media runs in several processes, each has a keeper for its own shows, and what
is fetched of a replay is asked of the process (or the shared directory) that recorded it.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import msgspec

from laotie import live
from laotie.base.bus import Bus, Subscription
from laotie.base.db import Database
from laotie.base.ids import ShowId
from laotie.base.logs import log
from laotie.base.refusals import Unavailable
from laotie.events.live import ShowEnded, ShowStarted
from laotie.media import Archive, Change, ChannelId, MediaServer, finish_recording

SWEEP_EVERY_S = 3600.0
TRY_AGAIN_S = 5.0


class RecordingKeeper:
    """Begins and ends recordings on the house's news; `start` and `stop`."""

    def __init__(self, db: Database, bus: Bus, media: MediaServer, archive: Archive, *, keep_days: int) -> None:
        self._db = db
        self._bus = bus
        self._media = media
        self._archive = archive
        self._keep_days = keep_days
        self._subscriptions: list[Subscription] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Listen, end what an earlier process left open, and remove what is over its term."""
        listen = self._bus.subscribe
        self._subscriptions = [
            listen("events.show.started", lambda _, told: self._spawn(self._begin(_decode(told, ShowStarted).show_id))),
            listen("events.show.ended", lambda _, told: self._spawn(self._end(_decode(told, ShowEnded).show_id))),
            listen(
                "events.media.channel_live",
                lambda _, told: self._spawn(self._begin(ShowId(_decode(told, Change).channel_id))),
            ),
        ]
        self._spawn(self._sweep_for_ever())

    async def stop(self) -> None:
        """Hear no more. Recordings of live shows are gone on with by the next process."""
        for subscription in self._subscriptions:
            subscription.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _begin(self, show_id: ShowId) -> None:
        """Record the show when it is live, is to be recorded, and its picture is here; whichever came last."""
        async with self._db.read() as tx:
            since = await live.replay.find_start(tx, show_id)
        if since is None or self._media.find_state(ChannelId(show_id)) is None:
            return
        async with self._db.tx() as tx:
            await live.replay.begin(tx, show_id)
        if self._media.begin_recording(ChannelId(show_id), since=since):
            log.info("recording", show_id=str(show_id))

    async def _end(self, show_id: ShowId) -> None:
        """End the picture, so that its last second is whole, and then the recording."""
        self._media.end(ChannelId(show_id), "the show is over")
        if await self._media.end_recording(ChannelId(show_id)):
            await self._finish(show_id)
        else:
            await self._end_left_open(show_id)

    async def _end_left_open(self, show_id: ShowId) -> None:
        """A recording that an earlier process began, and no picture came since."""
        if (self._archive.directory(str(show_id)) / "index").exists():
            await asyncio.to_thread(finish_recording, self._archive.root, ChannelId(show_id))
            await self._finish(show_id)

    async def _finish(self, show_id: ShowId) -> None:
        recording = await asyncio.to_thread(self._archive.find, str(show_id))
        async with self._db.tx() as tx:
            await live.replay.finish(
                tx,
                show_id,
                duration_ms=recording.duration_us // 1000 if recording else 0,
                size_bytes=recording.media_size if recording else 0,
                keep_days=self._keep_days,
            )

    async def _sweep_for_ever(self) -> None:
        while True:
            try:
                await self.sweep()
                pause_s = SWEEP_EVERY_S
            except (Unavailable, OSError) as error:
                log.warning("recordings are swept later", error=str(error)[:200])
                pause_s = TRY_AGAIN_S
            await asyncio.sleep(pause_s)

    async def sweep(self) -> None:
        """End what nobody ended, remove what is over its term."""
        async with self._db.read() as tx:
            unfinished = await live.replay.list_unfinished(tx)
        for show_id in unfinished:
            await self._end_left_open(show_id)
        while True:
            async with self._db.tx() as tx:
                over = await live.replay.list_over_term(tx)
                for show_id in over:
                    await live.replay.mark_removed(tx, show_id)
            for show_id in over:
                await asyncio.to_thread(self._archive.remove, str(show_id))
                log.info("a recording was removed after its term", show_id=str(show_id))
            if not over:
                break
        await asyncio.to_thread(self._archive.disk_use)  # for the metrics

    def _spawn(self, act: Coroutine[Any, Any, None]) -> None:
        async def run() -> None:
            try:
                await act
            except Exception:
                log.exception("a recording could not be begun or ended")

        task = asyncio.get_running_loop().create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


T = TypeVar("T")


def _decode(told: bytes, kind: type[T]) -> T:
    return msgspec.json.decode(told, type=kind)
