"""One encoder's way into a channel: RTMP media in, FLV on the channel's own timeline into ffmpeg.

Starts with a key frame, paces what comes faster than time, bridges clock jumps, and starts ffmpeg again when it dies or
when the encoder changes its set-up in mid-stream.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from functools import partial

import msgspec

from laotie.base.logs import log
from laotie.media import flv, metrics
from laotie.media.encoder import Encoder, Recipe, packaging_arguments
from laotie.media.flv import TagKind
from laotie.media.model import EncoderFailed, Limits
from laotie.media.packager import Packager

JUMP_MS = 10_000
"""A clock that moves this far at once has been set anew."""
AHEAD_MS = 2_000
"""Media may run ahead of time by this much; then the encoder is made to wait."""
SECOND_TRACK_MS = 2_000
"""How long a promised but missing second track is waited for."""
SCRIPT_BYTES_MAX = 64 * 1024
RATE_WINDOW_S = 5


class Timeline:
    """The channel's clock: milliseconds since it was opened."""

    def __init__(self) -> None:
        self._zero = time.monotonic()
        self.last_ms = 0
        """The latest time given to any media."""

    def now_ms(self) -> int:
        """The present."""
        return round((time.monotonic() - self._zero) * 1000)


class Rates:
    """Bytes and frames by second, of the last few seconds."""

    def __init__(self) -> None:
        self._seconds: deque[tuple[int, int, int]] = deque(maxlen=RATE_WINDOW_S + 1)

    def add(self, size: int, frames: int) -> None:
        """Count one message."""
        second = int(time.monotonic())
        if self._seconds and self._seconds[-1][0] == second:
            _, sizes, counts = self._seconds.pop()
            size, frames = size + sizes, frames + counts
        self._seconds.append((second, size, frames))

    def per_second(self) -> tuple[int, float]:
        """Bits and frames a second, over the whole seconds in the window."""
        now = int(time.monotonic())
        whole = [entry for entry in self._seconds if now - RATE_WINDOW_S <= entry[0] < now]
        if not whole:
            return 0, 0.0
        span = max(1, now - whole[0][0])
        return round(8 * sum(entry[1] for entry in whole) / span), round(sum(entry[2] for entry in whole) / span, 1)


class Setup(msgspec.Struct):
    """What an encoder says of itself before and between its pictures."""

    script: bytes = b""
    video: bytes = b""
    audio: bytes = b""


class Feed:
    """From the first message of an encoder to its last."""

    def __init__(self, packager: Packager, timeline: Timeline, limits: Limits, on_cut: Callable[[str], None]) -> None:
        self._packager = packager
        self._timeline = timeline
        self._limits = limits
        self._on_cut = on_cut
        self._setup = Setup()
        self._encoder: Encoder | None = None
        self._stopping = asyncio.Lock()
        self._source = 0
        self._shift_ms: int | None = None
        self._last_in_ms: int | None = None
        self._first_in_ms: int | None = None
        self._key_at_ms: int | None = None
        self._parts_at_start = 0
        self._fruitless = 0
        self._start_not_before = 0.0
        self.rates = Rates()
        self.began_at = self.heard_at = time.monotonic()
        self.key_frame_interval_s: float | None = None
        self.dropped_count = 0
        self.restarts = 0
        self.closed = False

    async def take(self, kind: int, timestamp: int, payload: bytes) -> None:
        """One audio, video or script message; returns when there is room for the next.

        Refuses with `CodecUnsupported`, `MediaBroken`, or `EncoderFailed` when ffmpeg cannot be brought to make a part.
        """
        if self.closed:
            raise EncoderFailed(reason="cut off")
        self.heard_at = time.monotonic()
        self._check_progress()
        if kind == TagKind.SCRIPT:
            self._setup.script = payload if len(payload) <= SCRIPT_BYTES_MAX else b""
            return
        if not payload:
            return
        frame = flv.frame(kind, payload)
        self.rates.add(len(payload), int(kind == TagKind.VIDEO and not frame.header))
        metrics.INGEST_BYTES.inc(len(payload))
        if frame.header:
            await self._set_up(kind, payload)
            return
        if frame.end:
            return
        if self._last_in_ms is not None and abs(timestamp - self._last_in_ms) > JUMP_MS:
            log.info("media.clock_jump", by_ms=timestamp - self._last_in_ms)
            await self._stop_encoder()
        self._last_in_ms = timestamp
        if self._first_in_ms is None:
            self._first_in_ms = timestamp
        if frame.key:
            self._note_key_frame(timestamp)
        if not self._running and not await self._start_encoder(kind, timestamp, key=frame.key):
            self._drop()
            return
        await self._send(kind, timestamp, payload)

    async def close(self) -> None:
        """The encoder has gone; what ffmpeg still holds comes out."""
        self.closed = True
        await self._stop_encoder()

    def cut(self, reason: str) -> None:
        """Send the encoder away."""
        self.closed = True
        self._on_cut(reason)

    @property
    def encoder_pid(self) -> int | None:
        """Of the running ffmpeg."""
        return self._encoder.pid if self._encoder is not None and self._encoder.alive else None

    @property
    def _running(self) -> bool:
        return self._encoder is not None and self._encoder.alive and self._shift_ms is not None

    async def _set_up(self, kind: int, payload: bytes) -> None:
        """Keep the codec's set-up; a new one in mid-stream needs a new ffmpeg, since its init segment is written."""
        known = self._setup.video if kind == TagKind.VIDEO else self._setup.audio
        if kind == TagKind.VIDEO:
            self._setup.video = payload
        else:
            self._setup.audio = payload
        if self._encoder is not None and payload != known:
            await self._stop_encoder()

    async def _start_encoder(self, kind: int, timestamp: int, *, key: bool) -> bool:
        """Start ffmpeg at a moment from which everything can be decoded; tells whether this message is the first."""
        setup, waited_ms = self._setup, timestamp - (self._first_in_ms or 0)
        if setup.video:
            if kind != TagKind.VIDEO or not key:
                return False
            if not setup.audio and b"audiocodecid" in setup.script and waited_ms < SECOND_TRACK_MS:
                return False
        elif not setup.audio or waited_ms < SECOND_TRACK_MS:
            return False
        if time.monotonic() < self._start_not_before:
            return False
        if self._encoder is not None:
            self._mourn()
        recipe = Recipe(video="copy" if setup.video else None, audio="copy" if setup.audio else None)
        self._source = source = self._packager.begin()
        self._parts_at_start = self._packager.part_count
        arguments = packaging_arguments(recipe, self._limits)
        self._encoder = await Encoder.start(arguments, partial(self._packager.feed, source), self._limits)
        # Never back in time: what was already given out for this channel ends before what begins now.
        self._shift_ms = max(self._timeline.now_ms(), self._timeline.last_ms + 1) - timestamp
        preamble = [flv.header(video=bool(setup.video), audio=bool(setup.audio))]
        at = timestamp + self._shift_ms
        for one, body in ((TagKind.SCRIPT, setup.script), (TagKind.VIDEO, setup.video), (TagKind.AUDIO, setup.audio)):
            preamble += [flv.tag(one, at, body)] if body else []
        return await self._write(b"".join(preamble))

    def _mourn(self) -> None:
        """Count the ffmpeg that died, and think twice about the next."""
        self.restarts += 1
        metrics.ENCODER_RESTARTS.inc()
        fruitful = self._packager.part_count > self._parts_at_start
        self._fruitless = 0 if fruitful else self._fruitless + 1
        if self._fruitless > self._limits.restarts_max:
            assert self._encoder is not None
            raise EncoderFailed(reason=self._encoder.last_words)
        pause_s = min(self._limits.restart_pause_s * 2**self._fruitless, self._limits.restart_pause_s_max)
        self._start_not_before = time.monotonic() + pause_s

    def _check_progress(self) -> None:
        if not self._packager.part_count and self.heard_at - self.began_at > self._limits.first_picture_s:
            words = self._encoder.last_words if self._encoder is not None else "no key frame or no codec set-up came"
            raise EncoderFailed(reason=f"no picture: {words}")

    async def _stop_encoder(self) -> None:
        async with self._stopping:  # who comes second returns when it is done, too
            if self._encoder is not None:
                await self._encoder.finish()
                self._packager.finish(self._source)
            self._encoder, self._shift_ms = None, None

    async def _send(self, kind: int, timestamp: int, payload: bytes) -> None:
        assert self._shift_ms is not None
        at = max(0, timestamp + self._shift_ms)
        ahead_ms = at - self._timeline.now_ms()
        if ahead_ms > AHEAD_MS:
            await asyncio.sleep(min(ahead_ms - AHEAD_MS, 1000) / 1000)
        self._timeline.last_ms = max(self._timeline.last_ms, at)
        if not await self._write(flv.tag(kind, at, payload)):
            self._drop()

    async def _write(self, data: bytes) -> bool:
        """Whether ffmpeg took it; if it died, the next key frame starts another."""
        assert self._encoder is not None
        try:
            await self._encoder.write(data)
        except EncoderFailed:
            self._shift_ms = None
            return False
        return True

    def _drop(self) -> None:
        self.dropped_count += 1
        metrics.DROPPED.inc()

    def _note_key_frame(self, timestamp: int) -> None:
        if self._key_at_ms is not None and 0 < timestamp - self._key_at_ms < JUMP_MS * 3:
            self.key_frame_interval_s = round((timestamp - self._key_at_ms) / 1000, 2)
        self._key_at_ms = timestamp
