"""Every channel on air in this process: admits encoders, answers players, tells its listener, stops cleanly."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Self

from laotie.base.logs import log
from laotie.media import metrics
from laotie.media.channel import Channel
from laotie.media.encoder import find_ffmpeg
from laotie.media.feed import Feed
from laotie.media.model import Answer, Change, ChannelId, ChannelUnknown, Limits, News, ServerFull, State, Stats
from laotie.media.playlist import Waiters, missing
from laotie.media.poster import Studio

Listener = Callable[[Change], Awaitable[None]]
"""Told of every change, one at a time and in order; what it raises is logged."""


class MediaServer:
    """The media engine of one process; `async with MediaServer(...)`, or `start` and `stop`."""

    def __init__(self, limits: Limits | None = None, *, on_change: Listener | None = None) -> None:
        self.limits = limits or Limits()
        self._on_change = on_change
        self._feeds: set[Feed] = set()
        self._channels: dict[ChannelId, Channel] = {}
        self._waiters = Waiters(self.limits.waiters_max)
        self._studio = Studio(self.limits)
        self._changes: asyncio.Queue[Change] = asyncio.Queue()
        self._teller: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Make sure that ffmpeg is there; refuses with `FFmpegMissing`."""
        find_ffmpeg(self.limits.ffmpeg)
        self._teller = asyncio.create_task(self._tell())
        for state in State:
            metrics.CHANNELS.labels(state).set_function(partial(self._count, state))
        metrics.WAITERS.set_function(lambda: self._waiters.count)
        metrics.MEMORY.set_function(lambda: sum(channel.stats().memory_bytes for channel in self._channels.values()))

    async def stop(self) -> None:
        """End every channel and tell so; no ffmpeg is left when this returns."""
        for channel in list(self._channels.values()):
            channel.end("the server closes")
        posters = [channel.poster.close() for channel in self._channels.values()]
        await asyncio.gather(*posters, *(feed.close() for feed in self._feeds))
        if self._teller is not None:
            await self._changes.join()
            self._teller.cancel()
            await asyncio.gather(self._teller, return_exceptions=True)
        self._channels.clear()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def admit(self, channel_id: ChannelId, *, on_cut: Callable[[str], None]) -> Feed:
        """Let an encoder feed a channel, opening it when it is dark; refuses with `ChannelBusy` or `ServerFull`.

        `on_cut` is called when the encoder has to go; the door then closes its connection and calls `leave`.
        """
        channel = self._channels.get(channel_id)
        if channel is None or channel.state == State.ENDED:
            if len(self._channels) - (channel is not None) >= self.limits.channels_max:
                raise ServerFull()
            channel = self._channels[channel_id] = Channel(
                channel_id, self.limits, self._waiters, self._studio, self._changed
            )
        feed = channel.admit(on_cut)
        self._feeds.add(feed)
        return feed

    async def leave(self, channel_id: ChannelId, feed: Feed, reason: str) -> None:
        """The encoder behind this feed is gone."""
        try:
            channel = self._channels.get(channel_id)
            await (channel.leave(feed, reason) if channel is not None else feed.close())
        finally:
            self._feeds.discard(feed)

    def cut(self, channel_id: ChannelId, reason: str) -> None:
        """Send a channel's encoder away, as when its key was revoked; the grace time runs."""
        if (channel := self._channels.get(channel_id)) is not None:
            channel.cut(reason)

    def end(self, channel_id: ChannelId, reason: str = "") -> None:
        """The broadcast is over; nothing happens if it isn't on air."""
        if (channel := self._channels.get(channel_id)) is not None:
            channel.end(reason)

    async def playback(self, channel_id: ChannelId, path: str, query: Mapping[str, str]) -> Answer:
        """What a player gets: `master.m3u8`, `live.m3u8`, and what these name."""
        channel = self._channels.get(channel_id)
        answer = await channel.answer(path, query) if channel is not None else missing()
        metrics.ANSWERS.labels(answer.status).inc()
        metrics.ANSWER_BYTES.inc(len(answer.body))
        return answer

    async def poster(self, channel_id: ChannelId) -> bytes:
        """A frame of what is on air, as a JPEG at most `poster_fresh_s` old; refuses with `ChannelUnknown`."""
        channel = self._channels.get(channel_id)
        on_air = channel is not None and channel.state in (State.LIVE, State.AWAY)
        picture = await channel.poster.find() if channel is not None and on_air else None
        if picture is None:
            raise ChannelUnknown()
        return picture

    def find_state(self, channel_id: ChannelId) -> State | None:
        """The channel's state; nothing when there is no such channel."""
        channel = self._channels.get(channel_id)
        return channel.state if channel is not None else None

    def stats(self, channel_id: ChannelId) -> Stats:
        """How a channel is doing; refuses with `ChannelUnknown`."""
        channel = self._channels.get(channel_id)
        if channel is None:
            raise ChannelUnknown()
        return channel.stats()

    def list_stats(self) -> list[Stats]:
        """How all channels are doing."""
        return [channel.stats() for channel in self._channels.values()]

    def _count(self, state: State) -> int:
        return sum(channel.state == state for channel in self._channels.values())

    def _changed(self, change: Change) -> None:
        channel = self._channels[change.channel_id]
        if channel.live_since is not None:
            self._changes.put_nowait(change)
        if change.news == News.ENDED:
            asyncio.get_running_loop().call_later(self.limits.afterglow_s, self._forget, channel)

    def _forget(self, channel: Channel) -> None:
        if self._channels.get(channel.channel_id) is channel:
            del self._channels[channel.channel_id]

    async def _tell(self) -> None:
        while True:
            change = await self._changes.get()
            try:
                if self._on_change is not None:
                    await self._on_change(change)
            except Exception:
                log.exception("media.listener_failed", channel_id=str(change.channel_id), news=change.news)
            finally:
                self._changes.task_done()
