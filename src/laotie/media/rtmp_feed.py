"""An RTMP encoder's way into a channel: its messages in, FLV on the channel's own timeline into ffmpeg.

Starts with a key frame, paces what comes faster than time, bridges clock jumps, and starts ffmpeg again when it dies or
when the encoder changes its set-up in mid-stream. H.264 and AAC are copied; what else ffmpeg can read is transcoded.
"""

import asyncio
import time
from collections.abc import Callable

import msgspec

from laotie.base.logs import log
from laotie.media import flv, metrics
from laotie.media.encoder import Recipe
from laotie.media.feed import Feed, Timeline
from laotie.media.flv import TagKind
from laotie.media.model import Door, EncoderFailed, Limits
from laotie.media.packager import Packager

JUMP_MS = 10_000
"""A clock that moves this far at once has been set anew."""
AHEAD_MS = 2_000
"""Media may run ahead of time by this much; then the encoder is made to wait."""
SECOND_TRACK_MS = 2_000
"""How long a promised but missing second track is waited for."""
SCRIPT_BYTES_MAX = 64 * 1024


class Setup(msgspec.Struct):
    """What an encoder says of itself before and between its pictures. A codec is known once it can be decoded."""

    script: bytes = b""
    video: bytes = b""
    audio: bytes = b""
    video_codec: str = ""
    audio_codec: str = ""


class RtmpFeed(Feed):
    """From the first message of an encoder to its last."""

    door = Door.RTMP

    def __init__(self, packager: Packager, timeline: Timeline, limits: Limits, on_cut: Callable[[str], None]) -> None:
        super().__init__(packager, timeline, limits, on_cut)
        self._setup = Setup()
        self._shift_ms: int | None = None
        self._last_in_ms: int | None = None
        self._first_in_ms: int | None = None
        self._key_at_ms: int | None = None

    async def take(self, kind: int, timestamp: int, payload: bytes) -> None:
        """One audio, video or script message; returns when there is room for the next.

        Refuses with `CodecUnsupported`, `MediaBroken`, or `EncoderFailed` when ffmpeg cannot be brought to make a part.
        """
        self._hear()
        if kind == TagKind.SCRIPT:
            self._setup.script = payload if len(payload) <= SCRIPT_BYTES_MAX else b""
            return
        if not payload:
            return
        frame = flv.frame(kind, payload)
        self.rates.add(len(payload), int(kind == TagKind.VIDEO and not frame.header))
        metrics.INGEST_BYTES.inc(len(payload))
        await self._set_up(kind, frame, payload)
        if frame.header or frame.idle:
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

    @property
    def _running(self) -> bool:
        return self._encoder is not None and self._encoder.alive and self._shift_ms is not None

    async def _set_up(self, kind: int, frame: flv.Frame, payload: bytes) -> None:
        """Keep the codec and its set-up; other ones in mid-stream need a new ffmpeg: its init segment is written."""
        setup = self._setup
        known = (setup.video, setup.video_codec) if kind == TagKind.VIDEO else (setup.audio, setup.audio_codec)
        if frame.idle or (not frame.header and (frame.codec in flv.WITH_HEADER or frame.codec == known[1])):
            return
        told = (payload if frame.header else b"", frame.codec)
        if kind == TagKind.VIDEO:
            setup.video, setup.video_codec = told
        else:
            setup.audio, setup.audio_codec = told
        if self._encoder is not None and told != known:
            await self._stop_encoder()

    async def _start_encoder(self, kind: int, timestamp: int, *, key: bool) -> bool:
        """Start ffmpeg at a moment from which everything can be decoded; tells whether this message is the first."""
        setup, waited_ms = self._setup, timestamp - (self._first_in_ms or 0)
        if setup.video_codec:
            if kind != TagKind.VIDEO or not key:
                return False
            if not setup.audio_codec and b"audiocodecid" in setup.script and waited_ms < SECOND_TRACK_MS:
                return False
        elif not setup.audio_codec or waited_ms < SECOND_TRACK_MS:
            return False
        if time.monotonic() < self._start_not_before:
            return False
        if self._encoder is not None:
            await self._mourn()
        await self._spawn_encoder(_recipe(setup))
        # Never back in time: what was already given out for this channel ends before what begins now.
        self._shift_ms = max(self._timeline.now_ms(), self._timeline.last_ms + 1) - timestamp
        preamble = [flv.header(video=bool(setup.video_codec), audio=bool(setup.audio_codec))]
        at = timestamp + self._shift_ms
        for one, body in ((TagKind.SCRIPT, setup.script), (TagKind.VIDEO, setup.video), (TagKind.AUDIO, setup.audio)):
            preamble += [flv.tag(one, at, body)] if body else []
        return await self._write(b"".join(preamble))

    async def _stop_encoder(self) -> None:
        await super()._stop_encoder()
        self._shift_ms = None

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

    def _note_key_frame(self, timestamp: int) -> None:
        if self._key_at_ms is not None and 0 < timestamp - self._key_at_ms < JUMP_MS * 3:
            self.key_frame_interval_s = round((timestamp - self._key_at_ms) / 1000, 2)
        self._key_at_ms = timestamp


def _recipe(setup: Setup) -> Recipe:
    """Copied when it can be played everywhere as it is, else transcoded."""
    video = audio = None
    if setup.video_codec:
        video = "copy" if setup.video_codec == "h264" and flv.plays_everywhere(setup.video) else "libx264"
    if setup.audio_codec:
        audio = "copy" if setup.audio_codec == "aac" else "aac"
    return Recipe(video=video, audio=audio)
