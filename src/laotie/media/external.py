"""A channel whose picture another media server has (nginx with its RTMP module): what its hooks tell of it.

Publishing and losing come as news, and a pulse every few seconds; one that stays out means that the server is gone. The
grace time of a lost encoder runs here as it does for channels of our own.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from laotie.base.logs import log
from laotie.media.model import Change, ChannelBusy, ChannelId, Door, Limits, News, State, Stats


class ExternalChannel:
    """The state of a broadcast elsewhere. Tells its listener what a channel of our own would."""

    def __init__(self, channel_id: ChannelId, limits: Limits, listener: Callable[[Change], None]) -> None:
        self.channel_id = channel_id
        self.state = State.IDLE
        self.live_since: datetime | None = None
        self.away_since: datetime | None = None
        self.interruptions = 0
        self._limits = limits
        self._listener = listener
        self._publisher: str | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._silence: asyncio.TimerHandle | None = None

    @property
    def fed(self) -> bool:
        """Whether somebody is sending."""
        return self._publisher is not None

    def hear(self, publisher: str) -> None:
        """This encoder sends (it begins, or its pulse came); refuses with `ChannelBusy` while another does."""
        assert self.state != State.ENDED
        if self._publisher not in (None, publisher):
            raise ChannelBusy()
        later = asyncio.get_running_loop().call_later
        if self._publisher is None:
            self._publisher = publisher
            self._restart_timer(self._limits.external_ready_s, self._show)
        if self._silence is not None:
            self._silence.cancel()
        self._silence = later(self._limits.external_silence_s, self.lose, publisher, "the media server fell silent")

    def lose(self, publisher: str, reason: str) -> None:
        """This encoder is gone: the grace time begins. One that was replaced changes nothing."""
        if self._publisher != publisher:
            return
        self._publisher = None
        self._cancel()
        if self.state == State.LIVE:
            self.interruptions += 1
            self._turn(State.AWAY, News.AWAY, reason)
        if self.state != State.ENDED:
            self._restart_timer(self._limits.grace_s, self.end, "the encoder did not return")

    def end(self, reason: str) -> None:
        """The broadcast is over."""
        if self.state == State.ENDED:
            return
        self._cancel()
        self._publisher = None
        self._turn(State.ENDED, News.ENDED, reason)

    def stats(self) -> Stats:
        """What is known from here."""
        return Stats(
            channel_id=self.channel_id,
            state=self.state,
            door=Door.EXTERNAL,
            interruptions=self.interruptions,
            live_since=self.live_since,
            away_since=self.away_since,
        )

    def _show(self) -> None:
        """The other server has made its first segments by now."""
        self._timer = None
        if self.live_since is None:
            self.live_since = datetime.now(UTC)
        if self.state != State.LIVE:
            self._turn(State.LIVE, News.LIVE if self.state == State.IDLE else News.BACK, "")

    def _turn(self, state: State, news: News, reason: str) -> None:
        self.state = state
        now = datetime.now(UTC)
        self.away_since = now if state == State.AWAY else None
        log.info(f"media.{news}", channel_id=str(self.channel_id), reason=reason, door=Door.EXTERNAL)
        self._listener(Change(self.channel_id, news, now, reason))

    def _restart_timer(self, seconds: float, call: Callable[..., None], *arguments: str) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, call, *arguments)

    def _cancel(self) -> None:
        for timer in (self._timer, self._silence):
            if timer is not None:
                timer.cancel()
        self._timer = self._silence = None
