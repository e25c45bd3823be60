"""The room of one show: what happens becomes versioned frames, and every socket gets the same bytes.

Everything that happens within a window (about 50 ms) leaves as one batch, encoded once, its WebSocket frame built
once. The first thing after a quiet time leaves at once. Commerce (stock, items, pin, state) is never dropped; stock and
items are absolute, so within a window the last one wins. Chat is sampled, hearts, joins and purchases are merged. A
short history lets a returning client have just what it missed. The room knows nothing of the database.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, Protocol
from uuid import UUID

from laotie.base import metrics
from laotie.base.ids import CartItemId, ShowId, SkuId, ViewerId
from laotie.base.logs import log
from laotie.gateway import frames
from laotie.gateway.chat import Sample
from laotie.gateway.keeper import Keeper
from laotie.gateway.limits import Limits
from laotie.live import ChatRules

LOUD_S = 1.5
"""Who spoke so shortly before is heard only where others leave room: a flood crowds out itself."""
SPEAKERS_KEPT_MAX = 5_000
"""Whose last texts a room remembers, for slow mode and for ids used twice."""
MISSED_MAX = 8
"""Catch-up batches kept until the next window, for many clients that return at once."""


class Member(Protocol):
    """A socket as its room sees it."""

    lean: bool
    moderates: bool
    write: Callable[[bytes], None]

    def write_lean(self, frame: bytes) -> None:
        """Write to a socket that does not keep up, or close it."""

    def regulate(self) -> None:
        """The room's order is another one: go if that is so, or hear what one may do now."""


class Picture(NamedTuple):
    """The shared part of a welcome, encoded, with the version from which frames continue it."""

    version: int
    body: bytes
    at: float


class Mark(NamedTuple):
    """Where a room stood when reading its snapshot began."""

    version: int
    chat: tuple[bytes, ...]


class _Window(NamedTuple):
    start: int
    end: int
    frames: tuple[bytes, ...]
    size: int


class Abroad(Protocol):
    """Tells the other gateways that share this room what was said and liked here."""

    def __call__(self, room: "Room", said: list[bytes], likes: int) -> None: ...


class Room:
    """One show's members, state in flight and history."""

    def __init__(
        self,
        show_id: ShowId,
        limits: Limits,
        *,
        tell_abroad: Abroad | None = None,
        keep: Callable[[ShowId, frames.Said], None] | None = None,
    ) -> None:
        self.show_id = show_id
        self.members: dict[Member, None] = {}
        self.staff: dict[Member, None] = {}
        self.keeper: Keeper | None = None
        self.spoke_at: dict[UUID, float] = {}
        self.skus: dict[CartItemId, frozenset[SkuId]] = {}
        self.waves: dict[SkuId, UUID] = {}
        self.likes = 0
        self.liked_here = 0
        self.chats_shown = 0
        """Since the board last looked."""
        self.picture: Picture | None = None
        self.empty_since = 0.0
        # A life of its own in the upper bits: a version of an earlier process, or of another gateway, is a gap.
        self.version = random.randrange(1, 2**20) << 32  # noqa: S311 (not a secret)

        self._loop = asyncio.get_running_loop()
        self._limits = limits
        self._tell_abroad = tell_abroad
        self._viewers: dict[ViewerId, int] = {}
        self._names: dict[ViewerId, str] = {}

        self._commerce: dict[tuple[str, UUID | None], bytes] = {}
        self._sample = Sample(limits.chats_per_window_max, limits.chats_per_sender_max)
        self._loud = Sample(limits.chats_per_window_max, limits.chats_per_sender_max)
        self._abroad: list[bytes] = []
        self._abroad_likes = 0
        self._joined: tuple[str, int] | None = None
        self._bought: tuple[str, str, int] | None = None
        self._counts_stale = False
        self._notices_at = self._counts_at = self._flushed_at = 0.0
        self._flush_timer: asyncio.TimerHandle | asyncio.Handle | None = None
        self._flush_due = 0.0
        self._delivering = False

        self._staff_frames: list[bytes] = []
        self._sales_skipped = 0

        self._history: deque[_Window] = deque()
        self._history_frames = self._history_bytes = 0
        self._missed: dict[int, bytes] = {}
        self._chat: deque[bytes] = deque(maxlen=limits.chat_kept_max)
        self._said: dict[bytes, frames.Said] = {}
        self._unsaid: dict[UUID, bytes] = {}
        self._speakers: dict[UUID, UUID] = {}
        self._keep = keep

    # Who is here.

    @property
    def viewer_count(self) -> int:
        """Distinct viewers, however many sockets each has."""
        return len(self._viewers)

    def sockets_of(self, viewer_id: ViewerId) -> int:
        """How many connections a viewer has here."""
        return self._viewers.get(viewer_id, 0)

    def name_of(self, viewer_id: UUID) -> str | None:
        """The name under which a viewer is here now."""
        return self._names.get(ViewerId(viewer_id))

    def join(self, member: Member, viewer_id: ViewerId, name: str, *, staff: bool) -> None:
        """Frames reach this socket from the next batch on."""
        assert member not in self.members
        self.members[member] = None
        if staff:
            self.staff[member] = None
        count = self._viewers.get(viewer_id, 0)
        self._viewers[viewer_id] = count + 1
        self._names[viewer_id] = name
        if count == 0:
            if not staff:  # the shop's own people come to work, which is no news
                self._joined = (name, self._joined[1] + 1 if self._joined else 1)
            self._counts_stale = True
            self._flush_soon()

    def leave(self, member: Member, viewer_id: ViewerId) -> None:
        """This socket is gone."""
        if self.members.pop(member, member) is member:
            return
        self.staff.pop(member, None)
        count = self._viewers[viewer_id] - 1
        if count:
            self._viewers[viewer_id] = count
        else:
            del self._viewers[viewer_id], self._names[viewer_id]
            self._counts_stale = True
            self._flush_soon()
        if not self.members:
            self.empty_since = self._loop.time()

    # What happens.

    def put(self, key: tuple[str, UUID | None], frame: bytes) -> None:
        """A commerce frame; a later one with the same key takes its place within the window."""
        self._commerce.pop(key, None)
        self._commerce[key] = frame
        self._flush_soon()

    def recall(self, said: list[frames.Said]) -> None:
        """What was said before this process knew the room."""
        self._chat.extend(frames.encode(one) for one in said)

    def speaker_of(self, saying_id: UUID) -> UUID | None:
        """Who used this id for a text a short while ago."""
        return self._speakers.get(saying_id)

    def say(self, viewer_id: UUID, frame: bytes, *, here: bool = True, said: frames.Said | None = None) -> None:
        """Chat; `here` unless another gateway of the same room brought it."""
        quiet = self._loop.time() - self.spoke_at.get(viewer_id, -LOUD_S) >= LOUD_S
        (self._sample if quiet or self._limits.chats_per_window_max is None else self._loud).add(viewer_id, frame)
        if said is not None:
            self._remember_speaker(said)
            if here:
                self._said[frame] = said
        if here and self._tell_abroad is not None:
            most = self._limits.chats_per_window_max
            if most is None or len(self._abroad) < most:
                self._abroad.append(frame)
        self._flush_soon()

    def claim(self, saying_id: UUID, viewer_id: UUID) -> None:
        """This id is taken by a text that waits."""
        if len(self._speakers) >= SPEAKERS_KEPT_MAX:
            del self._speakers[next(iter(self._speakers))]
        self._speakers[saying_id] = viewer_id

    def _remember_speaker(self, said: frames.Said) -> None:
        self.claim(said.id, said.from_.id)
        if len(self.spoke_at) >= SPEAKERS_KEPT_MAX:
            del self.spoke_at[next(iter(self.spoke_at))]
        self.spoke_at.pop(said.from_.id, None)
        self.spoke_at[said.from_.id] = self._loop.time()

    def unsay(self, saying_id: UUID) -> None:
        """Take a text back: from what newcomers are shown, and from every screen. Never dropped."""
        mark = b'"id":"%b"' % str(saying_id).encode()
        for frame in [one for one in self._chat if mark in one[:80]]:
            self._chat.remove(frame)
        self.picture = None
        self._unsaid[saying_id] = frames.encode(frames.Unsay(id=saying_id))
        self._flush_soon()

    def tell_moderators(self, frame: bytes) -> None:
        """A frame for those who keep order here."""
        wrapped = frames.wrap(frame)
        for member in list(self.members):
            if member.moderates:
                member.write(wrapped)

    def like(self, count: int, *, here: bool = True) -> None:
        """Hearts."""
        self.likes += count
        if here:
            self.liked_here += count
            self._abroad_likes += count
        self._counts_stale = True
        self._flush_soon()

    def notice_purchase(self, name: str, title: str) -> None:
        """Somebody bought something; merged with the others of this second."""
        self._bought = (name, title, self._bought[2] + 1 if self._bought else 1)
        self._flush_soon()

    def tell_staff(self, frame: bytes) -> None:
        """A frame for the shop's staff alone: unversioned, bounded a window."""
        if not self.staff:
            return
        if len(self._staff_frames) >= self._limits.sales_per_window_max:
            self._sales_skipped += 1
        else:
            self._staff_frames.append(frame)
        self._flush_soon()

    # How it leaves.

    def mark(self) -> Mark:
        """Take this before reading a snapshot, and hand it to `paint` with what was read."""
        return Mark(self.version, tuple(self._chat))

    def paint(self, mark: Mark, show: bytes, cart: bytes, activities: bytes = b"[]") -> Picture:
        """Keep a snapshot for the next joins."""
        body = b'"beat_s":%d,"show":%b,"cart":%b,"activities":%b,"chat":[%b],"counts":%b,"rules":%b}' % (
            self._limits.beat_s,
            show,
            cart,
            activities,
            b",".join(mark.chat),
            frames.encode(frames.Counts(viewers=self.viewer_count, likes=self.likes)),
            frames.encode(frames.rules_of(self.keeper.rules if self.keeper is not None else ChatRules())),
        )
        self.picture = Picture(mark.version, body, self._loop.time())
        return self.picture

    def fresh_picture(self) -> Picture | None:
        """The kept snapshot, while it is young and the history continues it."""
        picture = self.picture
        if picture is None or self._loop.time() - picture.at > self._limits.snapshot_s:
            return None
        return picture if self.since(picture.version) is not None else None

    def since(self, version: int) -> bytes | None:
        """The one batch that leads from `version` to now, or `None` when the history does not reach back."""
        found = self._missed.get(version)
        if found is not None:
            return found
        if version != self.version and not any(window.start == version for window in self._history):
            return None
        missed = [frame for window in self._history if window.start >= version for frame in window.frames]
        found = frames.batch(version, self.version, missed)
        if len(self._missed) >= MISSED_MAX:
            self._missed.clear()
        self._missed[version] = found
        return found

    def close(self) -> None:
        """No more batches; what was said and not shown any more is kept."""
        if self._flush_timer is not None:
            self._flush_timer.cancel()
        self._keep_said(self._take_said())

    def _flush_soon(self) -> None:
        """Have a batch leave when its window ends: at once after a quiet time."""
        if self._delivering:
            return
        now = self._loop.time()
        due = self._flushed_at + self._limits.window_s
        if not (self._commerce or self._unsaid or len(self._sample) or len(self._loud) or self._staff_frames):
            # Only counts and notices wait: they have slower paces of their own.
            paces = []
            if self._counts_stale:
                paces.append(self._counts_at + self._limits.counts_every_s)
            if self._joined or self._bought:
                paces.append(self._notices_at + self._limits.notices_every_s)
            if not paces:
                return
            due = max(due, min(paces))
        if self._flush_timer is not None:
            if due >= self._flush_due:
                return
            self._flush_timer.cancel()
        self._flush_due = due
        self._flush_timer = (
            self._loop.call_soon(self._flush) if due <= now else self._loop.call_at(due, self._flush)
        )

    def _flush(self) -> None:
        self._flush_timer = None
        self._flushed_at = self._loop.time()
        commerce = list(self._commerce.values())
        said = self._take_said()
        self.chats_shown += len(said)
        self._keep_said(said)
        social = [*self._take_notices(), *said]
        # Last, so that a text said and taken back within one window is gone.
        unsaid, self._unsaid = list(self._unsaid.values()), {}
        self._commerce = {}
        self._chat.extend(said)
        if self._tell_abroad is not None and (self._abroad or self._abroad_likes):
            told, self._abroad = self._abroad, []
            likes, self._abroad_likes = self._abroad_likes, 0
            self._tell_abroad(self, told, likes)
        self._flush_staff()
        if not commerce and not social and not unsaid:
            self._flush_soon()
            return
        everything = [*commerce, *social, *unsaid]
        start, self.version = self.version, self.version + len(everything)
        self._remember(_Window(start, self.version, tuple(everything), sum(map(len, everything))))
        self._delivering = True
        self._deliver(
            list(self.members),
            0,
            frames.batch(start, self.version, everything),
            frames.batch(start, self.version, [*commerce, *unsaid]),
        )

    def _take_said(self) -> list[bytes]:
        """What is shown of this window: the quiet first, the loud in what is left."""
        said = self._sample.take()
        if len(self._loud):
            most = self._limits.chats_per_window_max
            assert most is not None
            loud = self._loud.take()
            self._loud.dropped += max(0, len(loud) - (most - len(said)))
            said += loud[: max(0, most - len(said))]
        dropped = self._sample.dropped + self._loud.dropped
        if dropped:
            metrics.CHAT_SAMPLED_OUT.inc(dropped)
            self._sample.dropped = self._loud.dropped = 0
        return said

    def _keep_said(self, shown: list[bytes]) -> None:
        """Hand on what the room is shown of what was said here."""
        said, self._said = self._said, {}
        if self._keep is not None:
            for frame in shown:
                one = said.get(frame)
                if one is not None and one.id not in self._unsaid:
                    self._keep(self.show_id, one)

    def _take_notices(self) -> list[bytes]:
        found: list[bytes] = []
        now = self._flushed_at
        if self._counts_stale and now - self._counts_at >= self._limits.counts_every_s:
            self._counts_stale = False
            self._counts_at = now
            found.append(frames.encode(frames.Counts(viewers=self.viewer_count, likes=self.likes)))
        if (self._joined or self._bought) and now - self._notices_at >= self._limits.notices_every_s:
            self._notices_at = now
            if self._joined:
                found.append(frames.encode(frames.Joined(name=self._joined[0], n=self._joined[1])))
            if self._bought:
                name, title, count = self._bought
                found.append(frames.encode(frames.Bought(name=name, title=title, n=count)))
            self._joined = self._bought = None
        return found

    def _flush_staff(self) -> None:
        if not self._staff_frames:
            return
        if self._sales_skipped:
            self._staff_frames.append(frames.encode(frames.SalesMore(n=self._sales_skipped)))
        together = b"".join(frames.wrap(frame) for frame in self._staff_frames)
        self._staff_frames = []
        self._sales_skipped = 0
        for member in self.staff:
            member.write(together)

    def _remember(self, window: _Window) -> None:
        self._missed.clear()
        self._history.append(window)
        self._history_frames += len(window.frames)
        self._history_bytes += window.size
        while (
            self._history_frames > self._limits.history_frames_max
            or self._history_bytes > self._limits.history_bytes_max
        ):
            old = self._history.popleft()
            self._history_frames -= len(old.frames)
            self._history_bytes -= old.size

    def _deliver(self, members: list[Member], start: int, full: bytes, lean: bytes) -> None:
        """Write one batch to everyone who was here when it was made, a slice a turn of the loop.

        The next window waits until the last slice is out: when the machine cannot keep up, windows grow.
        """
        part = members[start : start + self._limits.slice_size]
        for member in part:
            try:
                if member.lean:
                    member.write_lean(lean)
                else:
                    member.write(full)
            except RuntimeError:
                continue  # its transport closed a moment ago; `on_ws_disconnected` is on its way
            except Exception:
                log.exception("a batch could not be written to a socket")
        metrics.FRAMES_SENT.inc(len(part))
        start += len(part)
        if start < len(members):
            self._loop.call_soon(self._deliver, members, start, full, lean)
            return
        self._delivering = False
        self._flush_soon()
