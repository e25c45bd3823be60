"""A broadcast's poster: one frame of its own picture as a JPEG, made anew every quarter of a minute at most.

Made when somebody asks, by a confined ffmpeg out of what players fetch anyway; kept until it is stale.
"""

import asyncio
import time

from laotie.base.logs import log
from laotie.media.encoder import end, find_ffmpeg, spawn
from laotie.media.model import EncoderFailed, Limits
from laotie.media.packager import Packager

KEY_FRAME_BYTES_MAX = 4 * 1024 * 1024
"""More is not decoded for a poster; a 4K key frame has a quarter of it."""


class Studio:
    """Where posters are made: few at once over all channels, each within bounds."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._places = asyncio.Semaphore(limits.posters_at_once_max)

    async def develop(self, media: bytes) -> bytes:
        """The first picture in fragmented MP4 as a JPEG; refuses with `EncoderFailed`."""
        async with self._places:
            process = await spawn(
                [find_ffmpeg(self._limits.ffmpeg), *_arguments(self._limits)],
                self._limits,
                cpu_s=round(self._limits.poster_s_max),
                niceness=10,
            )
            try:
                async with asyncio.timeout(self._limits.poster_s_max):
                    picture, said = await process.communicate(media)
            except TimeoutError:
                raise EncoderFailed(reason="no poster in time") from None
            finally:
                await asyncio.shield(end(process))
        if not picture.startswith(b"\xff\xd8") or len(picture) > self._limits.poster_bytes_max:
            raise EncoderFailed(reason=said.decode("utf-8", "replace")[-200:] or "no poster")
        return picture


class Poster:
    """One channel's: made once however many ask, and not tried again before it would be stale."""

    def __init__(self, packager: Packager, studio: Studio, limits: Limits) -> None:
        self._packager = packager
        self._studio = studio
        self._limits = limits
        self._picture: bytes | None = None
        self._stale_at = 0.0
        self._making: asyncio.Task[None] | None = None

    async def find(self) -> bytes | None:
        """The picture; nothing when there is none (sound alone, or not yet)."""
        if self._making is None and time.monotonic() >= self._stale_at:
            media = self._latest()
            if media is None:
                return self._picture
            self._making = asyncio.create_task(self._make(media))
        if self._making is not None:
            await asyncio.wait({self._making}, timeout=self._limits.poster_s_max)
        return self._picture

    async def close(self) -> None:
        """No ffmpeg is left when this returns."""
        if self._making is not None:
            self._making.cancel()
            await asyncio.gather(self._making, return_exceptions=True)

    def _latest(self) -> bytes | None:
        """The latest key frame in the window, with what it takes to decode it: a segment's first part has it whole."""
        for segment in reversed(self._packager.segments):
            if segment.independent and segment.init.picture is not None:
                media = segment.init.data + segment.parts[0].data
                return media if len(media) <= KEY_FRAME_BYTES_MAX else None
        return None

    async def _make(self, media: bytes) -> None:
        try:
            self._picture = await self._studio.develop(media)
        except EncoderFailed as failure:
            log.warning("media.no_poster", reason=failure.reason)
        finally:
            self._stale_at = time.monotonic() + self._limits.poster_fresh_s
            self._making = None


def _arguments(limits: Limits) -> list[str]:
    """From a pipe of fragmented MP4 to one JPEG on a pipe; the picture keeps its shape."""
    size = f"scale='min({limits.poster_width_max},iw)':'min({limits.poster_width_max * 4},ih)'"
    return [
        *("-hide_banner", "-nostdin", "-loglevel", "fatal", "-protocol_whitelist", "pipe", "-threads", "1"),
        *("-f", "mp4", "-i", "pipe:0", "-map", "0:v:0", "-frames:v", "1", "-filter_threads", "1"),
        *("-vf", f"{size}:force_original_aspect_ratio=decrease", "-c:v", "mjpeg", "-q:v", "4", "-threads", "1"),
        *("-map_metadata", "-1", "-f", "image2pipe", "pipe:1"),
    ]
