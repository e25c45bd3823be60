"""Recordings to test with: real pictures, kept as the recorder keeps them."""

import subprocess
from datetime import datetime
from functools import cache
from pathlib import Path

from laotie import live
from laotie.base.db import Database
from laotie.base.ids import ShowId
from laotie.media import Archive, ChannelId, Limits, Recorder, RecordingLimits
from laotie.media.encoder import Recipe, find_ffmpeg, packaging_arguments
from laotie.media.packager import Packager, Segment

LIMITS = Limits(window_s=1000)


def film(begins_at: datetime, *, seconds: int, colour: str = "red") -> list[Segment]:
    """Whole segments of a second each, of one colour, with sound."""
    packager = Packager(LIMITS, begins_at)
    packager.feed(packager.begin(), _shot(seconds + 1, colour))
    packager.end()
    return list(packager.segments)[:seconds]


@cache
def _shot(seconds: int, colour: str) -> bytes:
    command = [find_ffmpeg(), "-v", "error", "-f", "lavfi", "-i", f"color={colour}:s=90x160:r=25:d={seconds}"]
    command += ["-f", "lavfi", "-i", f"sine=440:r=44100:d={seconds}", "-c:v", "libx264", "-preset", "ultrafast"]
    command += ["-g", "25", "-pix_fmt", "yuv420p", "-c:a", "aac", "-f", "flv", "-"]
    flv = subprocess.run(command, capture_output=True, check=True).stdout
    packing = [find_ffmpeg(), *packaging_arguments(Recipe(), LIMITS)]
    return subprocess.run(packing, input=flv, capture_output=True, check=True).stdout


async def keep(db: Database, root: Path, show_id: ShowId, segments: list[Segment], *, over: bool = False) -> None:
    """Record these segments of a show as the house does; `over` says that nothing more comes."""
    async with db.tx() as tx:
        await live.replay.begin(tx, show_id)
    recorder = Recorder(root, RecordingLimits(reserve_bytes=0))
    recorder.start()
    recorder.begin(ChannelId(show_id), segments)
    if over:
        recorder.end(ChannelId(show_id))
    await recorder.close()
    if over:
        await finish(db, root, show_id)


async def finish(db: Database, root: Path, show_id: ShowId, *, keep_days: int = 1095) -> None:
    """Enter that a recording is whole."""
    tape = Archive(root).find(str(show_id))
    assert tape is not None
    async with db.tx() as tx:
        await live.replay.finish(
            tx,
            show_id,
            duration_ms=tape.duration_us // 1000,
            size_bytes=tape.media_size,
            keep_days=keep_days,
        )
