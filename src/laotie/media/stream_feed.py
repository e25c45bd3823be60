"""A browser's way into a channel: the bytes of a MediaRecorder (WebM, Matroska, fragmented MP4) into ffmpeg as they come.

Nothing of the container is read here but the first bytes, by which a recording's beginning is known. A recording cannot
be entered in its middle, so when ffmpeg dies the page is asked to begin anew, and what comes until it does is dropped;
it may do so of itself, as after a change of camera. Its clock starts at zero each time and is put onto the channel's.
"""

import time
from collections.abc import Callable

from laotie.base.logs import log
from laotie.media import metrics
from laotie.media.encoder import Recipe
from laotie.media.feed import Feed, Timeline
from laotie.media.model import CodecUnsupported, Door, EncoderFailed, Limits, MediaBroken
from laotie.media.packager import Packager

DEMUXERS = {"webm": "matroska", "x-matroska": "matroska", "mp4": "mov"}
OFFSET_MS_MIN = 100
"""Encoders of sound begin a little before zero, where no fragment can."""
MIME_LENGTH_MAX = 200


def recipe_of(mime: str) -> Recipe:
    """How a recording of this type is taken in; refuses what is none with `CodecUnsupported`.

    H.264 is copied when the type says so. Sound in a recording is Opus, which phones don't play in HLS: it becomes AAC.
    """
    kind, _, parameters = mime[:MIME_LENGTH_MAX].strip().lower().partition(";")
    family, _, container = kind.strip().partition("/")
    if family not in ("video", "audio") or container not in DEMUXERS:
        raise CodecUnsupported(codec=kind[:40])
    named = parameters.partition("codecs=")[2].strip().strip("\"'")
    codecs = [one.strip() for one in named.split(",")]
    copied = any(codec.startswith(("avc1", "avc3", "h264")) for codec in codecs)
    video = None if family == "audio" else "copy" if copied else "libx264"
    return Recipe(container=DEMUXERS[container], video=video, audio="aac", optional=True)


class StreamFeed(Feed):
    """From a browser's first recording to its last."""

    door = Door.BROWSER

    def __init__(
        self,
        packager: Packager,
        timeline: Timeline,
        limits: Limits,
        on_cut: Callable[[str], None],
        *,
        recipe: Recipe,
        on_restart: Callable[[str], None],
    ) -> None:
        super().__init__(packager, timeline, limits, on_cut)
        self._recipe = recipe
        self.transcoding = recipe.transcodes
        self._on_restart = on_restart
        self._asked_at: float | None = None
        self._pictures = packager.picture_count

    async def take(self, chunk: bytes, *, first: bool) -> None:
        """Some bytes of a recording; `first` when a message of the page begins with them.

        Refuses with `MediaBroken`, or `EncoderFailed` when nothing playable comes of it or the page does not begin anew.
        """
        self._hear()
        pictures, self._pictures = self._pictures, self._packager.picture_count
        self.rates.add(len(chunk), self._pictures - pictures)
        metrics.INGEST_BYTES.inc(len(chunk))
        self._look_at_clock()
        if first and _begins(self._recipe.container, chunk) and time.monotonic() >= self._start_not_before:
            await self._begin()
        if self._encoder is None or not self._encoder.alive:
            self._drop()
            await self._ask_anew()
            return
        try:
            await self._encoder.write(chunk)
        except EncoderFailed:
            self._drop()
            await self._ask_anew()

    async def _begin(self) -> None:
        """A recording starts: a new ffmpeg, its clock put after everything that was given out for this channel."""
        await self._stop_encoder()
        self._asked_at = None
        offset_ms = max(self._timeline.now_ms(), self._timeline.last_ms + 1, OFFSET_MS_MIN)
        recipe = self._recipe
        await self._spawn_encoder(
            Recipe(
                container=recipe.container,
                video=recipe.video,
                audio=recipe.audio,
                optional=recipe.optional,
                offset_s=offset_ms / 1000,
            )
        )
        self._start_not_before = time.monotonic() + self._limits.restart_pause_s

    async def _ask_anew(self) -> None:
        """Have the page begin its recording anew, once it makes sense; refuses when it was asked and did not."""
        now = time.monotonic()
        if self._encoder is not None and self._asked_at is None:
            words = self._encoder.last_words
            await self._mourn()
            self._encoder = None
            log.info("media.recording_lost", reason=words)
        if self._asked_at is None and now >= self._start_not_before:
            self._asked_at = now
            self._on_restart("the recording could not be read on")
        elif self._asked_at is not None and now - self._asked_at > self._limits.begin_anew_s_max:
            raise EncoderFailed(reason="the page did not begin its recording anew")

    def _look_at_clock(self) -> None:
        """Follow the recording's clock by what came of it."""
        packager = self._packager
        self._timeline.last_ms = max(self._timeline.last_ms, round(packager.end_s * 1000))
        if packager.end_s - self._timeline.now_ms() / 1000 > self._limits.ahead_s_max:
            raise MediaBroken(reason="its clock runs ahead of time")
        if len(packager.segments) > 1:
            self.key_frame_interval_s = round(packager.segments[-2].duration_s, 2)


def _begins(container: str, chunk: bytes) -> bool:
    """Whether a recording starts here."""
    return chunk[4:8] == b"ftyp" if container == "mov" else chunk[:4] == b"\x1a\x45\xdf\xa3"
