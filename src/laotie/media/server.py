"""Every channel on air in this process: admits encoders, answers players, tells its listener, stops cleanly."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Self

from laotie.base.logs import log
from laotie.media import metrics
from laotie.media.channel import Channel
from laotie.media.encoder import find_ffmpeg
from laotie.media.external import ExternalChannel
from laotie.media.feed import Feed
from laotie.media.model import (
    Answer,
    Change,
    ChannelBusy,
    ChannelId,
    ChannelUnknown,
    Door,
    Limits,
    News,
    ServerFull,
    State,
    Stats,
)
from laotie.media.packager import Segment
from laotie.media.playlist import Waiters, missing
from laotie.media.poster import Studio
from laotie.media.recorder import Recorder
from laotie.media.rtmp_feed import RtmpFeed
from laotie.media.stream_feed import StreamFeed, recipe_of

Listener = Callable[[Change], Awaitable[None]]
"""Told of every change, one at a time and in order; what it raises is logged."""


class MediaServer:
    """The media engine of one process; `async with MediaServer(...)`, or `start` and `stop`."""

    def __init__(
        self, limits: Limits | None = None, *, on_change: Listener | None = None, recorder: Recorder | None = None
    ) -> None:
        self.limits = limits or Limits()
        self.recorder = recorder
        self._on_change = on_change
        self._feeds: set[Feed] = set()
        self._channels: dict[ChannelId, Channel] = {}
        self._external: dict[ChannelId, ExternalChannel] = {}
        self._waiters = Waiters(self.limits.waiters_max)
        self._studio = Studio(self.limits)
        self._changes: asyncio.Queue[Change] = asyncio.Queue()
        self._teller: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Make sure that ffmpeg is there; refuses with `FFmpegMissing`."""
        find_ffmpeg(self.limits.ffmpeg)
        if self.recorder is not None:
            self.recorder.start()
        self._teller = asyncio.create_task(self._tell())
        for state in State:
            metrics.CHANNELS.labels(state).set_function(partial(self._count, state))
        metrics.WAITERS.set_function(lambda: self._waiters.count)
        metrics.MEMORY.set_function(lambda: sum(channel.stats().memory_bytes for channel in self._channels.values()))

    async def stop(self) -> None:
        """End every channel and tell so; no ffmpeg is left when this returns."""
        for channel in self._all():
            channel.end("the server closes")
        posters = [channel.poster.close() for channel in self._channels.values()]
        await asyncio.gather(*posters, *(feed.close() for feed in self._feeds))
        if self._teller is not None:
            await self._changes.join()
            self._teller.cancel()
            await asyncio.gather(self._teller, return_exceptions=True)
        self._channels.clear()
        if self.recorder is not None:
            await self.recorder.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def admit(self, channel_id: ChannelId, *, on_cut: Callable[[str], None]) -> RtmpFeed:
        """Let an encoder feed a channel, opening it when it is dark; refuses with `ChannelBusy` or `ServerFull`.

        `on_cut` is called when the encoder has to go; the door then closes its connection and calls `leave`.
        """
        feed = self._open(channel_id).admit(on_cut)
        self._feeds.add(feed)
        return feed

    def admit_stream(
        self, channel_id: ChannelId, mime: str, *, on_cut: Callable[[str], None], on_restart: Callable[[str], None]
    ) -> StreamFeed:
        """The same for a browser's recording of a type; refuses with `CodecUnsupported`, too.

        `on_restart` is called when the page has to begin its recording anew.
        """
        recipe = recipe_of(mime)
        feed = self._open(channel_id).admit_stream(recipe, on_cut, on_restart)
        self._feeds.add(feed)
        return feed

    def _open(self, channel_id: ChannelId) -> Channel:
        elsewhere = self._external.get(channel_id)
        if elsewhere is not None and elsewhere.fed:
            raise ChannelBusy()
        channel = self._channels.get(channel_id)
        if channel is None or channel.state == State.ENDED:
            if len(self._channels) - (channel is not None) >= self.limits.channels_max:
                raise ServerFull()
            channel = self._channels[channel_id] = Channel(
                channel_id, self.limits, self._waiters, self._studio, self._changed, partial(self._record, channel_id)
            )
        if elsewhere is not None:
            elsewhere.end("its encoder came here")
        return channel

    def hear_external(self, channel_id: ChannelId, publisher: str) -> None:
        """Another media server has this channel's picture: it begins, or still has it (its pulse).

        Refuses with `ChannelBusy` while somebody else sends, here or there, and with `ServerFull`.
        """
        own, elsewhere = self._channels.get(channel_id), self._external.get(channel_id)
        if own is not None and own.fed:
            raise ChannelBusy()
        if elsewhere is None or elsewhere.state == State.ENDED:
            if len(self._external) >= self.limits.external_channels_max:
                raise ServerFull()
            elsewhere = self._external[channel_id] = ExternalChannel(channel_id, self.limits, self._changed_elsewhere)
        if own is not None:
            own.end("its encoder went to another server")
        elsewhere.hear(publisher)

    def lose_external(self, publisher: str, reason: str) -> None:
        """The other media server has lost this publisher."""
        for elsewhere in list(self._external.values()):
            elsewhere.lose(publisher, reason)

    async def leave(self, channel_id: ChannelId, feed: Feed, reason: str) -> None:
        """The encoder behind this feed is gone."""
        try:
            channel = self._channels.get(channel_id)
            await (channel.leave(feed, reason) if channel is not None else feed.close())
        finally:
            self._feeds.discard(feed)

    def cut(self, channel_id: ChannelId, reason: str, *, door: Door | None = None) -> None:
        """Send a channel's publisher away (or only one of this door), as when its key was revoked; grace time runs."""
        if (channel := self._channels.get(channel_id)) is not None:
            channel.cut(reason, door=door)

    def end(self, channel_id: ChannelId, reason: str = "") -> None:
        """The broadcast is over; nothing happens if it isn't on air."""
        for channel in (self._channels.get(channel_id), self._external.get(channel_id)):
            if channel is not None:
                channel.end(reason)

    async def playback(self, channel_id: ChannelId, path: str, query: Mapping[str, str]) -> Answer:
        """What a player gets: `master.m3u8`, `live.m3u8`, and what these name."""
        channel = self._channels.get(channel_id)
        answer = await channel.answer(path, query) if channel is not None else missing()
        metrics.ANSWERS.labels(answer.status).inc()
        metrics.ANSWER_BYTES.inc(len(answer.body))
        return answer

    def has_poster(self, channel_id: ChannelId) -> bool:
        """Whether a picture is at hand here to make one of."""
        channel = self._channels.get(channel_id)
        return channel is not None and channel.state in (State.LIVE, State.AWAY)

    async def poster(self, channel_id: ChannelId) -> bytes:
        """A frame of what is on air, as a JPEG at most `poster_fresh_s` old; refuses with `ChannelUnknown`."""
        channel = self._channels.get(channel_id)
        on_air = channel is not None and channel.state in (State.LIVE, State.AWAY)
        picture = await channel.poster.find() if channel is not None and on_air else None
        if picture is None:
            raise ChannelUnknown()
        return picture

    def begin_recording(self, channel_id: ChannelId, *, since: datetime) -> bool:
        """Keep what the channel shows, from that instant as far as it is in memory; says whether there is a picture.

        A recording that exists is gone on with. It ends by `end_recording`, never by an encoder's absence.
        """
        channel = self._channels.get(channel_id)
        if self.recorder is None or channel is None or channel.state not in (State.LIVE, State.AWAY):
            return False
        segments = channel.whole_segments()
        self.recorder.begin(
            channel_id, [one for one in segments if one.begins_at + timedelta(seconds=one.duration_s) > since]
        )
        return True

    async def end_recording(self, channel_id: ChannelId) -> bool:
        """Keep nothing more, and return when what was shown is on the disk; says whether it was being recorded."""
        if self.recorder is None or not self.recorder.is_recording(channel_id):
            return False
        self.recorder.end(channel_id)
        await self.recorder.settle()
        return True

    def _record(self, channel_id: ChannelId, segment: Segment) -> None:
        if self.recorder is not None:
            self.recorder.take(channel_id, segment)

    def find_away_since(self, channel_id: ChannelId) -> datetime | None:
        """Since when the channel's encoder is lost; nothing while it sends."""
        channel = self._find(channel_id)
        return channel.away_since if channel is not None else None

    def find_state(self, channel_id: ChannelId) -> State | None:
        """The channel's state; nothing when there is no such channel."""
        channel = self._find(channel_id)
        return channel.state if channel is not None else None

    def find_playback(self, channel_id: ChannelId) -> str | None:
        """Where players find the channel's playlist, while it is on air or its encoder is expected back."""
        channel = self._find(channel_id)
        if channel is None or channel.state not in (State.LIVE, State.AWAY):
            return None
        if isinstance(channel, ExternalChannel):
            return f"{self.limits.external_hls_url}/{channel_id}.m3u8"
        return f"/media/{channel_id}/master.m3u8"

    def stats(self, channel_id: ChannelId) -> Stats:
        """How a channel is doing; refuses with `ChannelUnknown`."""
        channel = self._find(channel_id)
        if channel is None:
            raise ChannelUnknown()
        return channel.stats()

    def list_stats(self) -> list[Stats]:
        """How all channels are doing."""
        return [channel.stats() for channel in self._all()]

    def _all(self) -> list[Channel | ExternalChannel]:
        return [*self._channels.values(), *self._external.values()]

    def _find(self, channel_id: ChannelId) -> Channel | ExternalChannel | None:
        return self._external.get(channel_id) or self._channels.get(channel_id)

    def _count(self, state: State) -> int:
        return sum(channel.state == state for channel in self._channels.values())

    def _changed(self, change: Change) -> None:
        channel = self._channels[change.channel_id]
        if channel.live_since is not None:
            self._changes.put_nowait(change)
        if change.news == News.ENDED:
            asyncio.get_running_loop().call_later(self.limits.afterglow_s, self._forget, channel)

    def _changed_elsewhere(self, change: Change) -> None:
        if self._external[change.channel_id].live_since is not None:
            self._changes.put_nowait(change)
        if change.news == News.ENDED:
            del self._external[change.channel_id]

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
