"""What every way into a channel has in common: one ffmpeg at work, its end, its successor, and what is counted.

How media becomes ffmpeg's input is `rtmp_feed`'s (messages of an encoder) and `stream_feed`'s (a browser's recording).
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from functools import partial

from laotie.media import metrics
from laotie.media.encoder import Encoder, Recipe, packaging_arguments
from laotie.media.model import Door, EncoderFailed, Limits
from laotie.media.packager import Packager

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


class Feed:
    """One publisher, from the first byte to the last. What it sends is taken by the kind of feed it is."""

    door: Door

    def __init__(self, packager: Packager, timeline: Timeline, limits: Limits, on_cut: Callable[[str], None]) -> None:
        self._packager = packager
        self._timeline = timeline
        self._limits = limits
        self._on_cut = on_cut
        self._encoder: Encoder | None = None
        self._stopping = asyncio.Lock()
        self._source = 0
        self._parts_at_start = 0
        self._fruitless = 0
        self._start_not_before = 0.0
        self.rates = Rates()
        self.began_at = self.heard_at = time.monotonic()
        self.key_frame_interval_s: float | None = None
        self.dropped_count = 0
        self.restarts = 0
        self.transcoding = False
        self.closed = False

    async def close(self) -> None:
        """The publisher has gone; what ffmpeg still holds comes out."""
        self.closed = True
        await self._stop_encoder()

    def cut(self, reason: str) -> None:
        """Send the publisher away."""
        self.closed = True
        self._on_cut(reason)

    @property
    def encoder_pid(self) -> int | None:
        """Of the running ffmpeg."""
        return self._encoder.pid if self._encoder is not None and self._encoder.alive else None

    def _hear(self) -> None:
        """Something came; refuses with `EncoderFailed` when nothing playable was made of it in time."""
        if self.closed:
            raise EncoderFailed(reason="cut off")
        self.heard_at = time.monotonic()
        if not self._packager.part_count and self.heard_at - self.began_at > self._limits.first_picture_s:
            words = self._encoder.last_words if self._encoder is not None else "no key frame or no codec set-up came"
            raise EncoderFailed(reason=f"no picture: {words}")

    async def _spawn_encoder(self, recipe: Recipe) -> None:
        """Start ffmpeg; one that decodes and encodes has a larger share of the processor than one that copies."""
        self._source = source = self._packager.begin()
        self._parts_at_start = self._packager.part_count
        self.transcoding = recipe.transcodes
        self._encoder = await Encoder.start(
            packaging_arguments(recipe, self._limits),
            partial(self._packager.feed, source),
            self._limits,
            cpu_share_max=self._limits.transcode_cpu_share_max if recipe.transcodes else None,
        )

    async def _mourn(self) -> None:
        """Count the ffmpeg that died, see that it did, and think twice about the next."""
        assert self._encoder is not None
        await self._encoder.kill()
        self.restarts += 1
        metrics.ENCODER_RESTARTS.inc()
        fruitful = self._packager.part_count > self._parts_at_start
        self._fruitless = 0 if fruitful else self._fruitless + 1
        if self._fruitless > self._limits.restarts_max:
            raise EncoderFailed(reason=self._encoder.last_words)
        pause_s = min(self._limits.restart_pause_s * 2**self._fruitless, self._limits.restart_pause_s_max)
        self._start_not_before = time.monotonic() + pause_s

    async def _stop_encoder(self) -> None:
        async with self._stopping:  # who comes second returns when it is done, too
            if self._encoder is not None:
                await self._encoder.finish()
                self._packager.finish(self._source)
            self._encoder = None

    def _drop(self) -> None:
        self.dropped_count += 1
        metrics.DROPPED.inc()
