"""Fragments in, a moving window of LL-HLS segments and parts out; in memory, bounded in time and bytes.

Knows MP4 time and what HLS asks of parts; text and answers are `playlist`'s.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from laotie.media import boxes
from laotie.media.model import Limits, MediaBroken

MEDIA_S_MAX = 60 * 24 * 3600
"""No broadcast is longer; a fragment beyond is damaged."""
LISTED_SEGMENTS_MIN = 3
LISTED_SHARE = 0.6
"""Of the window, in the playlist; the rest stays fetchable for players that are behind."""


class Part(msgspec.Struct, frozen=True):
    """The smallest thing a player fetches."""

    duration_s: float
    independent: bool
    data: bytes


class Init(msgspec.Struct, frozen=True):
    """How to decode what follows; named by the first segment that needs it."""

    number: int
    data: bytes
    tracks: list[boxes.Track]

    @property
    def codecs(self) -> str:
        """As CODECS wants them."""
        return ",".join(track.codec for track in self.tracks)

    @property
    def picture(self) -> boxes.Track | None:
        """The video track, if there is one."""
        return next((track for track in self.tracks if track.kind == "vide"), None)


class Segment:
    """Parts from one key frame to a later one."""

    def __init__(
        self, number: int, init: Init, begins_at: datetime, *, discontinuous: bool, discontinuities: int
    ) -> None:
        self.number = number
        self.init = init
        self.begins_at = begins_at
        self.discontinuous = discontinuous
        self.discontinuities = discontinuities
        """Breaks on the timeline up to here, its own included."""
        self.parts: list[Part] = []
        self.duration_s = 0.0
        self.size = 0
        self.open = True

    @property
    def independent(self) -> bool:
        """Decoding can start at its beginning."""
        return bool(self.parts) and self.parts[0].independent

    def data(self) -> bytes:
        """All of it."""
        return b"".join(part.data for part in self.parts)


class Packager:
    """The window of one channel.

    `zero_at` is the instant of media time 0. Numbers begin at the clock, so that a channel opened again
    after a restart goes on upwards and no cache ever sees two segments of one name.
    """

    def __init__(
        self,
        limits: Limits,
        zero_at: datetime,
        *,
        on_part: Callable[[], None] = lambda: None,
        on_segment: Callable[[Segment], None] = lambda _: None,
    ) -> None:
        self._limits = limits
        self._zero_at = zero_at
        self._on_part = on_part
        self._on_segment = on_segment
        self.segments: deque[Segment] = deque()
        self.inits: dict[int, Init] = {}
        self.part_target_s = limits.part_target_s
        self.target_s = 2
        self.size = 0
        self.part_count = 0
        self.picture_count = 0
        self.end_s = 0.0
        """Media time at which the newest part ends."""
        self.over = False
        self.version = 0
        self._next_number = int(time.time() * 2)  # segments last longer than half a second
        self._discontinuities = 0
        self._changed: asyncio.Future[None] | None = None
        self._source = 0
        self._reader = boxes.BoxReader()
        self._head = b""
        self._tracks: dict[int, boxes.Track] = {}
        self._init_data: bytes | None = None
        self._init: Init | None = None
        self._moof: bytearray | None = None
        self._pending: list[tuple[float, bool, float, bytes]] = []

    def begin(self) -> int:
        """Another ffmpeg starts: what it sends is a new init segment and a break on the timeline.

        Returns the number to feed under; what an earlier ffmpeg still says is not heard any more.
        """
        self.finish(self._source)
        self._source += 1
        self._reader = boxes.BoxReader()
        self._head, self._tracks, self._moof, self._init, self._init_data = b"", {}, None, None, None
        return self._source

    def feed(self, source: int, data: bytes) -> None:
        """Take what ffmpeg wrote; raises `MediaBroken` when it isn't fragmented MP4."""
        if source != self._source or self.over:
            return
        for kind, box in self._reader.feed(data):
            if kind in (b"ftyp", b"styp"):
                self._head = bytes(box)
            elif kind == b"moov":
                self._tracks = {track.track_id: track for track in boxes.tracks(box)}
                self._init_data = self._head + bytes(box)
            elif kind == b"moof":
                self._moof = box
            elif kind == b"mdat":
                if self._moof is None or self._init_data is None:
                    raise MediaBroken(reason="media before its description")
                self._fragment(self._moof, box)
                self._moof = None

    def finish(self, source: int) -> None:
        """That ffmpeg ended: close the open segment."""
        if source != self._source or self.over:
            return
        self._flush()
        if self.segments and self.segments[-1].open:
            self._close(self.segments[-1])
            self._tell()

    def end(self) -> None:
        """Nothing more will come."""
        self.finish(self._source)
        self.over = True
        self._tell()

    @property
    def ready(self) -> bool:
        """There is enough to start a player."""
        return bool(self.segments) and (not self.segments[0].open or self.over)

    def listed(self) -> list[Segment]:
        """What belongs into the playlist: the newest segments, three at least where there are as many."""
        listed: list[Segment] = []
        total_s = 0.0
        for segment in reversed(self.segments):
            total_s += segment.duration_s
            if len(listed) > LISTED_SEGMENTS_MIN and total_s > self._limits.window_s * LISTED_SHARE:
                break
            listed.append(segment)
        return listed[::-1]

    def segment(self, number: int) -> Segment | None:
        """By its number, if still in memory."""
        if not self.segments:
            return None
        index = number - self.segments[0].number
        return self.segments[index] if 0 <= index < len(self.segments) else None

    @property
    def next(self) -> tuple[int, int]:
        """Number of segment and part that come next."""
        if self.segments and self.segments[-1].open:
            return self.segments[-1].number, len(self.segments[-1].parts)
        return self._next_number, 0

    async def change(self) -> None:
        """Wait for the next part, closing or end; all who wait share one future."""
        if self._changed is None:
            self._changed = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._changed)

    def _fragment(self, moof: bytearray, mdat: bytearray) -> None:
        """Take one fragment: its time is the picture's, or the sound's where there is no picture."""
        runs = [run for run in boxes.runs(moof) if run.sample_count and run.track_id in self._tracks]
        if not runs:
            return
        pictures = [run for run in runs if self._tracks[run.track_id].kind == "vide"]
        has_picture_track = any(track.kind == "vide" for track in self._tracks.values())
        lead = (pictures or runs)[0]
        timescale = self._tracks[lead.track_id].timescale or 1
        begin_s, duration_s = lead.decode_time / timescale, lead.duration / timescale
        self.picture_count += lead.sample_count if pictures else 0
        if begin_s > MEDIA_S_MAX or duration_s > self._limits.segment_s_max * 2:
            raise MediaBroken(reason="a fragment lies out of all time")
        independent = lead.sync and (bool(pictures) or not has_picture_track)
        data = bytes(moof) + bytes(mdat)

        current = self.segments[-1] if self.segments and self.segments[-1].open else None
        pending_s = sum(piece[0] for piece in self._pending)
        length_s = (current.duration_s if current else 0.0) + pending_s
        cut = current is not None and (
            (independent and length_s >= self._limits.segment_s * 0.95)
            or length_s >= self._limits.segment_s_max
            or current.size >= self._limits.window_bytes_max // 4
        )
        if cut or (self._pending and pending_s + duration_s > self.part_target_s):
            self._flush()
            pending_s = 0.0
        if cut and current is not None:
            self._close(current)
        self._pending.append((duration_s, independent, begin_s, data))
        # A short piece waits for the next one: all but a segment's last part must come close to the target.
        if pending_s + duration_s >= self._limits.part_s * 0.99 or len(self._pending) > 64:
            self._flush()

    def _flush(self) -> None:
        """Make one part of the pieces that wait."""
        if not self._pending:
            return
        pieces, self._pending = self._pending, []
        part = Part(sum(piece[0] for piece in pieces), pieces[0][1], b"".join(piece[3] for piece in pieces))
        if not self.segments or not self.segments[-1].open:
            self._open(begin_s=pieces[0][2])
        segment = self.segments[-1]
        segment.parts.append(part)
        segment.duration_s += part.duration_s
        segment.size += len(part.data)
        self.size += len(part.data)
        self.part_count += 1
        self.end_s = pieces[-1][2] + pieces[-1][0]
        if part.duration_s > self.part_target_s:
            self.part_target_s = -(-part.duration_s * 1000 // 5) * 5 / 1000
        self._trim()
        self._tell()
        self._on_part()

    def _open(self, *, begin_s: float) -> None:
        number = self._next_number
        discontinuous = False
        if self._init is None:
            assert self._init_data is not None
            self._init = Init(number, self._init_data, list(self._tracks.values()))
            self.inits[number] = self._init
            discontinuous = bool(self.segments)
            self._discontinuities += discontinuous
        begins_at = self._zero_at + timedelta(seconds=begin_s)
        self._next_number += 1
        self.segments.append(
            Segment(
                number,
                self._init,
                begins_at,
                discontinuous=discontinuous,
                discontinuities=self._discontinuities,
            )
        )

    def _close(self, segment: Segment) -> None:
        segment.open = False
        self._on_segment(segment)
        self.target_s = max(self.target_s, round(segment.duration_s + 0.499))

    def _trim(self) -> None:
        """Forget what is out of the window, and everything but the open segment when memory is short."""
        total_s = sum(segment.duration_s for segment in self.segments)
        while len(self.segments) > 1:
            oldest = self.segments[0]
            roomy = self.size <= self._limits.window_bytes_max
            if roomy and (total_s - oldest.duration_s < self._limits.window_s or len(self.segments) <= 4):
                break
            self.segments.popleft()
            self.size -= oldest.size
            total_s -= oldest.duration_s
        for number in [number for number in self.inits if number < self.segments[0].init.number]:
            del self.inits[number]

    def _tell(self) -> None:
        self.version += 1
        changed, self._changed = self._changed, None
        if changed is not None and not changed.done():
            changed.set_result(None)
