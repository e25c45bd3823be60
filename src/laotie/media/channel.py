"""One broadcast: idle, live, away and back, ended; whoever feeds it, and what players see of it."""

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from laotie.base.logs import log
from laotie.media import metrics
from laotie.media.encoder import Recipe
from laotie.media.feed import Feed, Timeline
from laotie.media.model import Answer, Change, ChannelBusy, ChannelId, Door, Limits, News, State, Stats
from laotie.media.packager import Packager, Segment
from laotie.media.playlist import Player, Waiters
from laotie.media.poster import Poster, Studio
from laotie.media.rtmp_feed import RtmpFeed
from laotie.media.stream_feed import StreamFeed


class Channel:
    """The window that players see, the feed that fills it, and the state between the two.

    Tells its listener (a plain function, called in order): live with the first part, away when the encoder is lost,
    back with the first part after that, ended once.
    """

    def __init__(
        self,
        channel_id: ChannelId,
        limits: Limits,
        waiters: Waiters,
        studio: Studio,
        listener: Callable[[Change], None],
        on_segment: Callable[[Segment], None] = lambda _: None,
    ) -> None:
        self.channel_id = channel_id
        self.state = State.IDLE
        self.interruptions = 0
        self.live_since: datetime | None = None
        self.away_since: datetime | None = None
        self._limits = limits
        self._listener = listener
        self._timeline = Timeline()
        self._packager = Packager(limits, datetime.now(UTC), on_part=self._on_part, on_segment=on_segment)
        self._player = Player(self._packager, limits, waiters)
        self.poster = Poster(self._packager, studio, limits)
        self._feed: Feed | None = None
        self._grace: asyncio.TimerHandle | None = None
        self._restarts = self._dropped = 0

    async def answer(self, path: str, query: Mapping[str, str]) -> Answer:
        """What a player gets for this request."""
        return await self._player.answer(path, query)

    def admit(self, on_cut: Callable[[str], None]) -> RtmpFeed:
        """Let an encoder in; refuses with `ChannelBusy` while somebody is sending."""
        self._make_room()
        feed = self._feed = RtmpFeed(self._packager, self._timeline, self._limits, on_cut)
        return feed

    def admit_stream(
        self, recipe: Recipe, on_cut: Callable[[str], None], on_restart: Callable[[str], None]
    ) -> StreamFeed:
        """Let a browser in; refuses with `ChannelBusy` while somebody is sending."""
        self._make_room()
        feed = self._feed = StreamFeed(
            self._packager, self._timeline, self._limits, on_cut, recipe=recipe, on_restart=on_restart
        )
        return feed

    def _make_room(self) -> None:
        """Refuse a second publisher; but one that has been silent for `takeover_s` is sent away instead.

        After a network break it comes back before the server can know that its old connection is dead.
        """
        assert self.state != State.ENDED
        rival = self._feed
        if rival is not None and not rival.closed:
            if time.monotonic() - rival.heard_at < self._limits.takeover_s:
                raise ChannelBusy()
            rival.cut("another encoder took over")

    def whole_segments(self) -> list[Segment]:
        """What is in memory, but for the segment that is still growing."""
        return [segment for segment in self._packager.segments if not segment.open]

    async def leave(self, feed: Feed, reason: str) -> None:
        """The encoder is gone: the grace time begins, unless another has taken its place."""
        await feed.close()
        if self._feed is not feed:
            return
        self._restarts += feed.restarts
        self._dropped += feed.dropped_count
        self._feed = None
        if self.state == State.ENDED:
            return
        if self.state == State.LIVE:
            self.interruptions += 1
            self._turn(State.AWAY, News.AWAY, reason)
        if self._grace is None:
            self._grace = asyncio.get_running_loop().call_later(self._limits.grace_s, self._grace_over)

    def cut(self, reason: str, *, door: Door | None = None) -> None:
        """Send the publisher away, or only one that came in by this door; the channel stays and waits."""
        if self._feed is not None and door in (None, self._feed.door):
            self._feed.cut(reason)

    def end(self, reason: str) -> None:
        """The broadcast is over: players are told, the encoder is sent away."""
        if self.state == State.ENDED:
            return
        self._cancel_grace()
        self._turn(State.ENDED, News.ENDED, reason)
        self.cut(reason)
        self._packager.end()

    def stats(self) -> Stats:
        """How it is doing."""
        feed, packager = self._feed, self._packager
        bits, frames = feed.rates.per_second() if feed else (0, 0.0)
        init = packager.segments[-1].init if packager.segments else None
        picture = init.picture if init else None
        return Stats(
            channel_id=self.channel_id,
            state=self.state,
            door=feed.door if feed else "",
            transcoding=bool(feed and feed.transcoding),
            lag_ms=self._timeline.now_ms() - round(packager.end_s * 1000) if packager.part_count else None,
            bits_per_s=bits,
            frames_per_s=frames,
            width=picture.width if picture else 0,
            height=picture.height if picture else 0,
            codecs=init.codecs if init else "",
            key_frame_interval_s=feed.key_frame_interval_s if feed else None,
            last_packet_age_s=round(time.monotonic() - feed.heard_at, 2) if feed else None,
            dropped_count=self._dropped + (feed.dropped_count if feed else 0),
            encoder_restarts=self._restarts + (feed.restarts if feed else 0),
            interruptions=self.interruptions,
            memory_bytes=packager.size,
            live_since=self.live_since,
            away_since=self.away_since,
        )

    @property
    def fed(self) -> bool:
        """Whether somebody is sending."""
        return self._feed is not None and not self._feed.closed

    @property
    def encoder_pid(self) -> int | None:
        """Of the ffmpeg at work."""
        return self._feed.encoder_pid if self._feed else None

    def _on_part(self) -> None:
        metrics.PARTS.inc()
        # The last parts of a lost encoder come out of ffmpeg after it has gone; they are not its return.
        if self._feed is None or self._feed.closed:
            return
        self._cancel_grace()
        if self.state == State.IDLE:
            self.live_since = datetime.now(UTC)
            self._turn(State.LIVE, News.LIVE, "")
        elif self.state == State.AWAY:
            self._turn(State.LIVE, News.BACK, "")

    def _turn(self, state: State, news: News, reason: str) -> None:
        self.state = state
        self.away_since = datetime.now(UTC) if state == State.AWAY else None
        log.info(f"media.{news}", channel_id=str(self.channel_id), reason=reason)
        self._listener(Change(self.channel_id, news, datetime.now(UTC), reason))

    def _grace_over(self) -> None:
        """End, unless an encoder is just coming back and has yet to make its first part."""
        self._grace = None
        if self._feed is not None and not self._feed.closed:
            later = asyncio.get_running_loop().call_later
            self._grace = later(self._limits.first_picture_s, self.end, "the encoder sent no picture")
        else:
            self.end("the encoder did not return")

    def _cancel_grace(self) -> None:
        if self._grace is not None:
            self._grace.cancel()
            self._grace = None
