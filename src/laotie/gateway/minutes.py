"""What happens in this gateway's rooms, counted by the minute for the board, and put down every few seconds.

Hangs before the behaviour log and hears every act; once a second it looks at how many are there. What is put down is the
minute as counted so far, so writing it again changes nothing, and a minute is kept in memory until late news of it (a
beat tells of the seconds before it) cannot come any more. A crash loses what was counted since the last writing.
"""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from uuid import UUID

from laotie import live
from laotie.base.db import Database
from laotie.base.ids import CartItemId, ShowId
from laotie.base.logs import log
from laotie.base.refusals import Unavailable
from laotie.gateway.room import Room
from laotie.lake import Act, Chatted, Clicked, Entered, Liked, Sink, Watched

MINUTE = timedelta(minutes=1)
LATE = timedelta(minutes=3)
WRITTEN_AT_ONCE_MAX = 2_000
KEPT_MAX = 100_000
"""Minutes of shows in memory; beyond it (a database long gone) the oldest are given up, and it is said."""


class _Minute:
    """One show's minute so far."""

    __slots__ = (
        "chats_sent", "chats_shown", "clicks", "is_new", "joins", "likes", "viewer_ms", "viewers_max", "watch_ms"
    )  # fmt: skip

    def __init__(self) -> None:
        self.viewers_max = self.viewer_ms = self.watch_ms = 0
        self.joins = self.likes = self.chats_sent = self.chats_shown = 0
        self.clicks: dict[CartItemId, int] = {}
        self.is_new = True


class Minutes:
    """A sink before the sink. `look` once a second, `write` every few, and once more at the end."""

    def __init__(self, sink: Sink, gateway_id: UUID, *, find_room: Callable[[ShowId], Room | None]) -> None:
        self.sink = sink
        self._gateway_id = gateway_id
        self._find_room = find_room
        self._kept: dict[tuple[datetime, ShowId], _Minute] = {}
        self._looked_at: datetime | None = None

    def append(self, act: Act) -> None:
        """Count an act, and hand it on."""
        self.sink.append(act)
        self.count(act)

    def count(self, act: Act) -> None:
        """Count an act of somebody who is no visitor (the shop's own people): it is the board's alone."""
        if type(act) is Watched:
            self._add_watched(act)
            return
        assert act.show_id is not None
        minute = self._at(act.show_id, act.at)
        if type(act) is Entered:
            room = self._find_room(act.show_id)
            if room is not None and room.sockets_of(act.viewer_id) == 1:
                minute.joins += 1
            if room is not None:
                minute.viewers_max = max(minute.viewers_max, room.viewer_count)
        elif type(act) is Liked:
            minute.likes += act.count
        elif type(act) is Chatted:
            minute.chats_sent += 1
        elif type(act) is Clicked:
            room = self._find_room(act.show_id)
            item_id = act.item_id
            if room is not None and item_id is not None and item_id in room.skus:  # anything may be sent; only what is there counts
                minute.clicks[item_id] = minute.clicks.get(item_id, 0) + 1

    def look(self, rooms: Iterable[Room], now: datetime) -> None:
        """Who is there now has been there since the last look."""
        since, self._looked_at = self._looked_at or now, now
        spent_ms = min(60_000, max(0, (now - since) // timedelta(milliseconds=1)))
        for room in rooms:
            shown, room.chats_shown = room.chats_shown, 0
            if not room.viewer_count and not shown:
                continue
            minute = self._at(room.show_id, now)
            minute.viewers_max = max(minute.viewers_max, room.viewer_count)
            minute.viewer_ms += spent_ms * room.viewer_count
            minute.chats_shown += shown

    async def write(self, db: Database) -> None:
        """Put down what has changed; what cannot be put down now is tried again the next time."""
        changed = [(key, minute) for key, minute in self._kept.items() if minute.is_new][:WRITTEN_AT_ONCE_MAX]
        if changed:
            rows = [_row(key, minute) for key, minute in changed]
            for _, minute in changed:
                minute.is_new = False
            try:
                async with db.tx() as tx:
                    await live.record_minutes(tx, self._gateway_id, rows)
            except BaseException as error:
                for _, minute in changed:
                    minute.is_new = True
                if not isinstance(error, Unavailable):
                    raise
                log.info("minutes could not be put down; the next turn will")
        self._forget(db.clock.now())

    def _forget(self, now: datetime) -> None:
        for key, minute in list(self._kept.items()):
            if key[0] + MINUTE + LATE < now and not minute.is_new:
                del self._kept[key]
        if len(self._kept) > KEPT_MAX:
            lost = sorted(self._kept)[: len(self._kept) - KEPT_MAX]
            for key in lost:
                del self._kept[key]
            log.error("minutes of the board are lost", minutes=len(lost))

    def _add_watched(self, act: Watched) -> None:
        """Watch time belongs to the minutes in which it was spent."""
        assert act.show_id is not None
        left_ms = act.watched_ms
        begins_at = act.at - timedelta(milliseconds=left_ms)
        while left_ms:
            ends_at = _floor(begins_at) + MINUTE
            part_ms = min(left_ms, -(-(ends_at - begins_at) // timedelta(milliseconds=1)))
            self._at(act.show_id, begins_at).watch_ms += part_ms
            left_ms -= part_ms
            begins_at = ends_at

    def _at(self, show_id: ShowId, at: datetime) -> _Minute:
        key = (_floor(at), show_id)
        minute = self._kept.get(key)
        if minute is None:
            minute = self._kept[key] = _Minute()
        minute.is_new = True
        return minute


def _row(key: tuple[datetime, ShowId], minute: _Minute) -> live.GatewayMinute:
    return live.GatewayMinute(
        show_id=key[1],
        at=key[0],
        viewers_max=minute.viewers_max,
        viewer_ms=minute.viewer_ms,
        watch_ms=minute.watch_ms,
        joins=minute.joins,
        likes=minute.likes,
        chats_sent=minute.chats_sent,
        chats_shown=minute.chats_shown,
        clicks=dict(minute.clicks),
    )


def _floor(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)
