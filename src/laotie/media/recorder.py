"""The recorder: keeps what the packager cuts, in a thread of its own, and never stands in the show's way.

Segments wait in a bounded queue; a disk that is slow, full or broken costs the recording a marked gap and nothing else.
It stops before the disk is full (`reserve_bytes`), because the database may live there too, and goes on by itself.
"""

import asyncio
import math
import os
import queue
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from io import FileIO
from pathlib import Path

import msgspec

from laotie.base.logs import log
from laotie.media import metrics
from laotie.media.model import ChannelId
from laotie.media.packager import Segment
from laotie.media.recording import (
    GAP_MIN_US,
    SLIP_US,
    Ending,
    Line,
    Opening,
    Piece,
    Recording,
    Why,
    encode_line,
    mend,
    microseconds,
)


class RecordingLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Every bound of the recorder."""

    reserve_bytes: int = 1024 * 1024 * 1024
    """Room that is left to others on the disk."""
    queue_bytes_max: int = 96 * 1024 * 1024
    """Media that waits for the disk, over all channels."""
    sync_s: float = 5.0
    """What was written is on the disk itself after this long; a power cut loses no more."""
    look_s: float = 1.0
    """How often the room left is looked at, and a full disk tried again."""


class RecordingState(StrEnum):
    """Of a recording in this process."""

    on = "on"
    paused = "paused"
    """Nothing is being kept, see `why`; the show goes on."""


class RecordingStats(msgspec.Struct, frozen=True):
    """How a recording is doing, for its streamer."""

    state: RecordingState
    why: Why | None
    duration_s: float
    size_bytes: int
    dropped_count: int
    """Segments that were not kept because of the disk."""
    free_bytes: int


class _Tape:
    """One channel's recording while it is being written; belongs to the thread."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.recording = mend(directory)
        self.media = (directory / "media").open("ab", buffering=0)
        self.index = (directory / "index").open("ab", buffering=0)
        self.index_size = os.fstat(self.index.fileno()).st_size
        self.why: Why | None = None
        self.lost: Why | None = Why.server if self.recording.pieces else None
        """Why the piece that comes next does not follow the last one."""
        self.dropped = 0
        self.initial: dict[int, int] = {}
        """Where init segments of this run are, by their number."""
        self.sync_at = 0.0

    def keep(self, segment: Segment) -> None:
        """Append a segment, and the init segment it needs; what a failed write left behind is cut off again."""
        try:
            self._append(segment)
        except OSError:
            os.ftruncate(self.index.fileno(), self.index_size)
            os.ftruncate(self.media.fileno(), self.recording.media_size)
            raise

    def _append(self, segment: Segment) -> None:
        last = self.recording.pieces[-1] if self.recording.pieces else None
        begins_us = microseconds(segment.begins_at)
        broken = last is not None and (segment.discontinuous or self.lost is not None)
        if last is not None:
            if abs(begins_us - last.ends_us) < SLIP_US:
                begins_us = last.ends_us
            broken = broken or begins_us - last.ends_us >= GAP_MIN_US
            begins_us = max(begins_us, last.ends_us)  # an encoder's clock may run ahead of ours
        opening = self._opening(segment)
        data = segment.data()
        piece = Piece(
            at=self.recording.media_size,
            size=len(data),
            sum=zlib.crc32(data),
            opening=opening,
            begins_us=begins_us,
            duration_us=round(segment.duration_s * 1e6),
            key=segment.independent,
            broken=broken,
            why=(self.lost or Why.encoder) if broken else "",
        )
        self._write(piece, data)
        self.lost = None

    def _opening(self, segment: Segment) -> int:
        init = segment.init
        if init.number not in self.initial:
            picture = init.picture
            opening = Opening(
                at=self.recording.media_size,
                size=len(init.data),
                sum=zlib.crc32(init.data),
                codecs=init.codecs,
                width=picture.width if picture else 0,
                height=picture.height if picture else 0,
            )
            self._write(opening, init.data)
            self.initial[init.number] = opening.at
        return self.initial[init.number]

    def finish(self) -> None:
        """Say that nothing more is to come."""
        if self.recording.pieces and self.recording.ended is None:
            self._write(Ending(microseconds(datetime.now(UTC)), self.why or ""), b"")

    def sync(self) -> None:
        """Have it on the disk itself."""
        os.fdatasync(self.media.fileno())
        os.fdatasync(self.index.fileno())

    def close(self) -> None:
        """Give the files back."""
        self.media.close()
        self.index.close()

    def _write(self, line: Line, data: bytes) -> None:
        """The bytes first, then the line that says they are there."""
        _write_all(self.media, data)
        text = encode_line(line) + b"\n"
        _write_all(self.index, text)
        assert self.recording.add(line), "a line of our own fits"
        self.index_size += len(text)


class Recorder:
    """Writes the recordings of one process; `start` before the first call of anything, `close` at the end."""

    def __init__(self, root: Path, limits: RecordingLimits | None = None) -> None:
        self.root = root
        self.limits = limits or RecordingLimits()
        self._queue: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._waiting_bytes = 0
        self._lock = threading.Lock()
        self._taken: dict[ChannelId, int] = {}
        """Channels that are recorded, with the number of the last segment that was taken."""
        self._overrun: Counter[ChannelId] = Counter()
        self._stats: dict[ChannelId, RecordingStats] = {}
        self._tapes: dict[ChannelId, _Tape] = {}
        self._free = 0
        self._looked_at = -math.inf
        self._thread: threading.Thread | None = None

    # From the event loop; nothing here waits for the disk.

    def start(self) -> None:
        """Begin to work."""
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """Write what waits, end nothing: a show that is still live is gone on with by the next process."""
        if self._thread is not None:
            self._queue.put(None)
            await asyncio.to_thread(self._thread.join)
            self._thread = None

    def begin(self, channel_id: ChannelId, segments: Iterable[Segment] = ()) -> None:
        """Record this channel from now on, these segments first; nothing happens when it is recorded already."""
        if channel_id in self._taken:
            return
        self._taken[channel_id] = -1
        self._queue.put(partial(self._begin, channel_id))
        for segment in segments:
            self.take(channel_id, segment)

    def take(self, channel_id: ChannelId, segment: Segment) -> None:
        """A segment is whole: keep it when its channel is recorded."""
        if segment.number <= self._taken.get(channel_id, segment.number):
            return
        self._taken[channel_id] = segment.number
        with self._lock:
            if self._waiting_bytes + segment.size > self.limits.queue_bytes_max:
                self._overrun[channel_id] += 1
                return
            self._waiting_bytes += segment.size
        self._queue.put(partial(self._keep, channel_id, segment, self._overrun.pop(channel_id, 0)))

    def end(self, channel_id: ChannelId) -> None:
        """The show is over; what waits is still written."""
        if self._taken.pop(channel_id, None) is not None:
            self._queue.put(partial(self._end, channel_id))

    def is_recording(self, channel_id: ChannelId) -> bool:
        """Whether this process records the channel."""
        return channel_id in self._taken

    def stats(self, channel_id: ChannelId) -> RecordingStats | None:
        """How a channel's recording is doing; None when it is not being recorded here."""
        return self._stats.get(channel_id)

    async def settle(self) -> None:
        """Return when everything asked so far is done."""
        done = threading.Event()
        self._queue.put(done.set)
        await asyncio.to_thread(done.wait)

    # In the thread.

    def _run(self) -> None:
        while (act := self._queue.get()) is not None:
            try:
                act()
            except Exception:
                log.exception("media.recorder_failed")
        for tape in self._tapes.values():
            tape.close()

    def _begin(self, channel_id: ChannelId) -> None:
        self._tell(channel_id, self._tape(channel_id))

    def _tape(self, channel_id: ChannelId) -> _Tape | None:
        """The channel's tape; none while the disk does not even let it begin."""
        tape = self._tapes.get(channel_id)
        if tape is None and self._has_room():
            try:
                tape = self._tapes[channel_id] = _Tape(self.root / str(channel_id))
            except OSError as error:
                self._suffer(channel_id, error)
        return tape

    def _keep(self, channel_id: ChannelId, segment: Segment, overrun: int) -> None:
        """`overrun` segments before this one found no place in the queue."""
        with self._lock:
            self._waiting_bytes -= segment.size
        tape = self._tape(channel_id)
        if tape is not None and overrun:
            tape.lost = Why.disk_slow
            tape.dropped += overrun
            metrics.RECORDING_DROPPED.inc(overrun)
        if tape is not None and not self._write(channel_id, tape, segment):
            tape.lost = Why.disk_full
            tape.dropped += 1
            metrics.RECORDING_DROPPED.inc()
        self._tell(channel_id, tape)

    def _write(self, channel_id: ChannelId, tape: _Tape, segment: Segment) -> bool:
        """Whether the segment was kept."""
        if not self._has_room():
            if tape.why is None:
                log.warning("media.recording_paused", channel_id=str(channel_id), free_bytes=self._free)
            tape.why = Why.disk_full
            return False
        try:
            tape.keep(segment)
            if time.monotonic() >= tape.sync_at:
                tape.sync()
                tape.sync_at = time.monotonic() + self.limits.sync_s
        except OSError as error:
            self._suffer(channel_id, error)
            tape.why = Why.disk_full
            return False
        metrics.RECORDED_BYTES.inc(segment.size)
        if tape.why is not None:
            log.info("media.recording_goes_on", channel_id=str(channel_id))
            tape.why = None
        return True

    def _suffer(self, channel_id: ChannelId, error: OSError) -> None:
        """Nothing is tried again before the next look at the disk."""
        self._free = 0
        self._looked_at = time.monotonic()
        log.warning("media.recording_failed", channel_id=str(channel_id), error=str(error))

    def _end(self, channel_id: ChannelId) -> None:
        tape = self._tapes.pop(channel_id, None)
        self._stats.pop(channel_id, None)
        if tape is None:
            return
        try:
            tape.finish()
            tape.sync()
        except OSError as error:
            self._suffer(channel_id, error)  # the next to open it ends it
        tape.close()

    def _tell(self, channel_id: ChannelId, tape: _Tape | None) -> None:
        paused = tape is None or tape.why is not None
        self._stats[channel_id] = RecordingStats(
            state=RecordingState.paused if paused else RecordingState.on,
            why=Why.disk_full if tape is None else tape.why,
            duration_s=0.0 if tape is None else tape.recording.duration_us / 1e6,
            size_bytes=0 if tape is None else tape.recording.media_size,
            dropped_count=0 if tape is None else tape.dropped,
            free_bytes=self._free,
        )

    def _has_room(self) -> bool:
        """Whether the reserve is still free, as of a moment ago."""
        if time.monotonic() - self._looked_at >= self.limits.look_s:
            self._looked_at = time.monotonic()
            try:
                self.root.mkdir(parents=True, exist_ok=True)
                room = os.statvfs(self.root)
                self._free = room.f_bavail * room.f_frsize
            except OSError as error:
                self._free = 0
                log.warning("media.recording_failed", error=str(error))
        return self._free > self.limits.reserve_bytes


def finish(root: Path, channel_id: ChannelId) -> Recording:
    """End a recording that no process goes on with: its last words are missing, its pieces are whole. Blocks."""
    tape = _Tape(root / str(channel_id))
    try:
        tape.finish()
        tape.sync()
    finally:
        tape.close()
    return tape.recording


def _write_all(file: FileIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) or 0 :]
