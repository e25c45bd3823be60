"""The demonstration broadcast: a drawn scene with the time of day burnt in, sent through the RTMP door like any other.

The loop is drawn once (`scenery`, in a process of its own) and kept under the data directory; what is live is the
clock, so each picture is decoded, written on and encoded again: cheap at this size, and honest.
"""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from laotie.base.logs import log
from laotie.media.encoder import end, find_ffmpeg, spawn
from laotie.media.model import EncoderFailed, Limits, Scene, TestCard
from laotie.media.sender import send

HERE = Path(__file__).parent
EDITION = 1
"""Raised when the drawing changes, so that old loops are drawn anew."""
DRAWING_S_MAX = 600
LOOP_BYTES_MAX = 256 * 1024 * 1024
PAUSE_S, PAUSE_S_MAX = 1.0, 15.0


async def broadcast(card: TestCard, limits: Limits | None = None) -> None:
    """Send the card until cancelled; a lost connection or a dead ffmpeg is tried again, a little later each time."""
    limits = limits or Limits()
    picture, sound = await draw(card.scene, card.data, limits)
    pause_s = PAUSE_S
    while True:
        loop = asyncio.get_running_loop()
        began = loop.time()
        process = await spawn(_arguments(card, picture, sound, limits), limits, niceness=2, directory=HERE)
        try:
            assert process.stdout is not None
            await send(card.url, card.key, _pieces(process.stdout))
            log.warning("testcard.ended", scene=card.scene)
        except (EncoderFailed, OSError, TimeoutError) as failure:
            log.warning("testcard.interrupted", scene=card.scene, reason=str(failure))
        finally:
            await asyncio.shield(end(process))
        pause_s = PAUSE_S if loop.time() - began > PAUSE_S_MAX else min(pause_s * 2, PAUSE_S_MAX)
        await asyncio.sleep(pause_s)


async def draw(scene: Scene, data: Path, limits: Limits | None = None) -> tuple[Path, Path]:
    """The files with picture and sound of a scene, drawn now if they are not there yet (about half a minute)."""
    directory = data / "testcard"
    picture, sound = (directory / f"{scene}-{EDITION}{suffix}" for suffix in (".mp4", ".m4a"))
    if picture.exists() and sound.exists():
        return picture, sound
    directory.mkdir(parents=True, exist_ok=True)
    log.info("testcard.drawing", scene=scene)
    drafts = [path.with_name(f"{os.getpid()}-{path.name}") for path in (picture, sound)]
    command = [sys.executable, "-m", "laotie.media.scenery", scene, *map(str, drafts)]
    process = await spawn(
        command, limits or Limits(), niceness=10, file_bytes=LOOP_BYTES_MAX, directory=HERE.parent.parent
    )
    try:
        async with asyncio.timeout(DRAWING_S_MAX):
            _, said = await process.communicate()
        if process.returncode:
            raise EncoderFailed(part="scenery", reason=said.decode("utf-8", "replace")[-400:])
        for draft, path in zip(drafts, (picture, sound), strict=True):
            draft.rename(path)
    finally:
        await asyncio.shield(end(process))
        for draft in drafts:
            with contextlib.suppress(FileNotFoundError):
                draft.unlink()
    return picture, sound


async def cut(scene: Scene, data: Path, number: int, limits: Limits | None = None) -> Path:
    """A short film out of a scene's loop, with DEMO burnt in; made once, another place and framing for each number."""
    limits = limits or Limits()
    picture, sound = await draw(scene, data, limits)
    path = picture.with_name(f"{scene}-{EDITION}-cut-{number}.mp4")
    if path.exists():
        return path
    draft = path.with_name(f"{os.getpid()}-{path.name}")
    process = await spawn(
        _cut_arguments(picture, sound, draft, number, limits),
        limits,
        niceness=10,
        file_bytes=LOOP_BYTES_MAX,
        directory=HERE,
    )
    try:
        async with asyncio.timeout(DRAWING_S_MAX):
            _, said = await process.communicate()
        if process.returncode:
            raise EncoderFailed(part="cut", reason=said.decode("utf-8", "replace")[-400:])
        draft.rename(path)
    finally:
        await asyncio.shield(end(process))
        with contextlib.suppress(FileNotFoundError):
            draft.unlink()
    return path


def _cut_arguments(picture: Path, sound: Path, out: Path, number: int, limits: Limits) -> list[str]:
    """ffmpeg's: ten seconds from another place of the loop, the closer the higher the number."""
    zoom, begin_s = 1 + 0.22 * (number - 1), 4 * number
    ink = "fontfile=clock.ttf:fontsize=22:fontcolor=white@0.95:box=1:boxcolor=black@0.22:boxborderw=9|14"
    label = f"drawtext={ink}:x=(w-tw)/2:y=h*0.12:text='DEMO'"
    frame = f"crop=iw/{zoom:.2f}:ih/{zoom:.2f}:(iw-ow)/2:(ih-oh)*0.4,scale=540:960,setsar=1"
    return [
        *(find_ffmpeg(limits.ffmpeg), "-hide_banner", "-nostdin", "-loglevel", "error", "-y"),
        *("-protocol_whitelist", "file", "-threads", "1", "-ss", str(begin_s), "-i", str(picture)),
        *("-protocol_whitelist", "file", "-ss", str(begin_s), "-i", str(sound), "-t", "10"),
        *("-map", "0:v:0", "-map", "1:a:0", "-filter_threads", "1", "-vf", f"{frame},{label}"),
        *("-c:v", "libx264", "-preset", "veryfast", "-threads", "1", "-pix_fmt", "yuv420p", "-crf", "25"),
        *("-c:a", "copy", "-f", "mp4", str(out)),
    ]


def _arguments(card: TestCard, picture: Path, sound: Path, limits: Limits) -> list[str]:
    """ffmpeg's, from the two loops to FLV on standard output; its directory is this one, where the font lies."""
    # Tenths of a second, so that latency can be read from a screenshot.
    label = "".join(letter for letter in card.label if letter.isalnum() or letter in " -")[:16]
    ink = "fontfile=clock.ttf:fontsize=22:fontcolor=white@0.95:box=1:boxcolor=black@0.22:boxborderw=9|14"
    clock = rf"drawtext={ink}:x=(w-tw)/2:y=h*0.17:text='{label}  %{{localtime\:%T.%1N}}'"
    return [
        *(find_ffmpeg(limits.ffmpeg), "-hide_banner", "-nostdin", "-loglevel", "error"),
        *("-protocol_whitelist", "file,pipe", "-threads", "1"),
        *("-re", "-stream_loop", "-1", "-i", str(picture)),
        *("-re", "-stream_loop", "-1", "-i", str(sound)),
        *("-map", "0:v:0", "-map", "1:a:0", "-filter_threads", "1", "-vf", clock),
        *("-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-threads", "1", "-pix_fmt", "yuv420p"),
        *("-g", "25", "-keyint_min", "25", "-sc_threshold", "0", "-crf", "24", "-maxrate", "1800k", "-bufsize", "900k"),
        *("-c:a", "copy", "-flvflags", "no_duration_filesize", "-flush_packets", "1", "-f", "flv", "pipe:1"),
    ]


async def _pieces(stream: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while data := await stream.read(64 * 1024):
        yield data
