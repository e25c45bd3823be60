"""A clip as one file: pieces of a recording in an MP4 that any program plays. Nothing is encoded again.

It begins and ends on key frames, so it is up to a second longer than asked at each end. What lies on both sides of a
gap is joined; each side keeps its own decoder settings in its pictures, as a transport stream carries them.
"""

import asyncio
import contextlib
from asyncio.subprocess import Process
from pathlib import Path

from laotie.base.logs import log
from laotie.media.encoder import end, find_ffmpeg, spawn
from laotie.media.model import EncoderFailed, Limits
from laotie.media.recording import Archive, Group, Recording, group_window

CUT_S_MAX = 120.0
CUT_CPU_S = 60
COPY_BYTES = 256 * 1024
HEAD = ("-hide_banner", "-nostdin", "-loglevel", "error", "-protocol_whitelist", "pipe", "-threads", "1")


async def cut(archive: Archive, name: str, first: int, count: int, target: Path, limits: Limits) -> None:
    """Write these pieces to `target`, which is there whole or not at all; refuses with `EncoderFailed`."""
    recording = await asyncio.to_thread(archive.find, name)
    if recording is None or count < 1 or first + count > len(recording.pieces):
        raise EncoderFailed(reason="nothing was kept there")
    runs = _runs(recording, first, count)
    size = sum(piece.size for piece in recording.pieces[first : first + count])
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_suffix(".part")
    joined = len(runs) > 1
    source = ("-f", "mpegts" if joined else "mp4", "-i", "pipe:0")
    filters = ("-bsf:a", "aac_adtstoasc") if joined else ()
    writer = await spawn(
        [
            *(find_ffmpeg(limits.ffmpeg), *HEAD, *source, "-map", "0", "-c", "copy", *filters, "-map_metadata", "-1"),
            *("-avoid_negative_ts", "make_zero", "-movflags", "+faststart", "-f", "mp4", "-y", str(unfinished)),
        ],
        limits,
        cpu_s=CUT_CPU_S,
        file_bytes=size * 2 + 4 * 1024 * 1024,
    )
    said = asyncio.create_task(_errors(writer))
    try:
        async with asyncio.timeout(CUT_S_MAX):
            offset_s = 0.0
            for run in runs:
                await (
                    _join(archive, name, recording, run, offset_s, writer, limits)
                    if joined
                    else _feed(archive, name, recording, run, writer)
                )
                offset_s += sum(group.duration_us for group in run) / 1e6
            _close(writer)
            code = await writer.wait()
        if code != 0:
            raise EncoderFailed(reason=(await said)[-200:] or "no clip")
        unfinished.rename(target)
    except TimeoutError:
        raise EncoderFailed(reason="no clip in time") from None
    finally:
        await asyncio.shield(end(writer))
        await said
        unfinished.unlink(missing_ok=True)


def _runs(recording: Recording, first: int, count: int) -> list[list[Group]]:
    """The window's groups, by stretches whose timestamps go on."""
    runs: list[list[Group]] = []
    for group in group_window(recording, first, count):
        piece = recording.pieces[group.first]
        before = runs[-1][-1] if runs else None
        if before is None or piece.broken or piece.opening != recording.pieces[before.first].opening:
            runs.append([])
        runs[-1].append(group)
    return runs


async def _feed(archive: Archive, name: str, recording: Recording, run: list[Group], process: Process) -> None:
    """Give a process one run as fragmented MP4."""
    opening = await asyncio.to_thread(archive.fetch_opening, name, recording.pieces[run[0].first].opening)
    await _write(process, opening or b"")
    for group in run:
        media = await asyncio.to_thread(archive.fetch_pieces, name, group.first, group.count)
        await _write(process, media or b"")


async def _join(
    archive: Archive,
    name: str,
    recording: Recording,
    run: list[Group],
    offset_s: float,
    writer: Process,
    limits: Limits,
) -> None:
    """Give the writer one run as a transport stream that begins at `offset_s`."""
    reader = await spawn(
        [
            *(find_ffmpeg(limits.ffmpeg), *HEAD, "-f", "mp4", "-i", "pipe:0", "-map", "0", "-c", "copy"),
            *("-output_ts_offset", f"{offset_s:.6f}", "-muxdelay", "0", "-muxpreload", "0", "-f", "mpegts", "pipe:1"),
        ],
        limits,
        cpu_s=CUT_CPU_S,
    )
    said = asyncio.create_task(_errors(reader))
    feeding = asyncio.create_task(_feed_all(archive, name, recording, run, reader))
    try:
        assert reader.stdout is not None
        while data := await reader.stdout.read(COPY_BYTES):
            await _write(writer, data)
        await feeding
        if await reader.wait() != 0:
            raise EncoderFailed(reason=(await said)[-200:] or "no clip")
    finally:
        feeding.cancel()
        await asyncio.shield(end(reader))
        await asyncio.gather(feeding, said, return_exceptions=True)


async def _feed_all(archive: Archive, name: str, recording: Recording, run: list[Group], process: Process) -> None:
    await _feed(archive, name, recording, run, process)
    _close(process)


async def _write(process: Process, data: bytes) -> None:
    assert process.stdin is not None
    try:
        process.stdin.write(data)
        await process.stdin.drain()
    except (ConnectionError, RuntimeError):
        log.warning("media.cut_broke_off", pid=process.pid)
        raise EncoderFailed(reason="the program did not take its input") from None


def _close(process: Process) -> None:
    assert process.stdin is not None
    with contextlib.suppress(ConnectionError, RuntimeError):
        process.stdin.close()


async def _errors(process: Process) -> str:
    assert process.stderr is not None
    return (await process.stderr.read(64 * 1024)).decode("utf-8", "replace").strip()
