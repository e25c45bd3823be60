"""A film that somebody brought: looked into, then made one that every browser plays. All of it by a confined ffmpeg.

The program gets the file as its standard input and may open nothing else (the one protocol allowed is `fd`), tries no
demuxer but the one that the first bytes name, and has bounds on memory, time, pixels and what it writes. What a file
says of itself is not believed: `examine` walks every packet, without decoding any.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from fractions import Fraction
from pathlib import Path

import msgspec

from laotie.base.refusals import Invalid
from laotie.media.encoder import end, find_ffmpeg, spawn
from laotie.media.model import Limits

HEAD_BYTES = 64
EXAMINE_S_MAX = 120
POSTER_S_MAX = 30
POSTER_WIDTH_MAX = 720
STOPPED = 255
"""What ffmpeg ends with when a signal told it to: the one for too much processor time it catches itself."""
LINE_BYTES_MAX = 64 * 1024
BROKEN = re.compile(r"partial file|corrupt|Invalid NAL|error decoding|Invalid data found", re.IGNORECASE)
PIXELS = re.compile(r"Video: .*?\b(yuvj?420p)\b(?!1)")
DECODERS = (
    "h264,hevc,libdav1d,av1,vp8,vp9,mpeg4,mpeg2video,h263,mjpeg,prores,dnxhd,"
    "aac,mp3float,mp3,opus,vorbis,flac,ac3,eac3,alac,pcm_s16le,pcm_s16be,pcm_s24le,pcm_f32le"
)
"""What phones, cameras and editors write, and nothing else of the hundreds of decoders that ffmpeg has."""
COPIED_SIDE_MAX = 1920
FRAMES_PER_S_MAX = 125

Progress = Callable[[float], Awaitable[None]]
"""Told how much of the work is done, from 0 to 1, a few times a second at most."""


class FilmBounds(msgspec.Struct, frozen=True, kw_only=True):
    """What a film may be, and when it is encoded anew although it need not be."""

    seconds_max: int = 600
    side_max: int = 4096
    kbits_max: int = 8_000
    """Of the finished film; one that comes with more is encoded anew."""
    streams_max: int = 8
    cpu_s_max: int = 1_800
    bytes_max: int = 2 * 1024**3
    """Of the finished film: a stop for what grows instead of shrinking."""
    threads: int = 2


class Film(msgspec.Struct, frozen=True, kw_only=True):
    """What is in a file, as counted from its packets."""

    container: str
    video: str
    audio: str | None
    width: int
    height: int
    duration_s: float
    frames: int
    bits_per_s: float
    plain_pixels: bool
    """8-bit 4:2:0, which every browser plays."""


class Finished(msgspec.Struct, frozen=True):
    """A film made ready: an MP4 whose index stands in front, and its poster, which has its shape."""

    film: Path
    poster: Path
    width: int
    height: int
    duration_ms: int
    size_bytes: int


class NotAFilm(Invalid, code="not-a-film"):
    """This is not a video that can be shown; export it as MP4, MOV or WebM and bring that."""


class FilmBroken(Invalid, code="film-broken"):
    """The video cannot be read to its end; export it again and bring the new file."""

    reason: str


class FilmTooLong(Invalid, code="film-too-long"):
    """The video is too long; cut it and try again."""

    seconds_max: int


class FilmTooShort(Invalid, code="film-too-short"):
    """The video is shorter than a second."""


class FilmTooLarge(Invalid, code="film-too-large"):
    """The picture is too large; export it with fewer pixels, 1080p is enough."""

    side_max: int


class FilmTooDense(Invalid, code="film-too-dense"):
    """The video has more pictures a second than anybody can see; export it with 60 or fewer."""


class FilmCrowded(Invalid, code="film-crowded"):
    """The file has too many tracks; export one picture and one sound."""

    streams_max: int


class FilmTooHard(Invalid, code="film-too-hard"):
    """The video could not be prepared within its bounds; export it as MP4 with H.264 and try again."""


def container_of(head: bytes) -> str | None:
    """The demuxer for a file that begins so; nothing for anything that is not a film. Names and labels do not count."""
    if head[4:8] == b"ftyp" and head[:3] == b"\x00\x00\x00":
        return "mov"
    return "matroska" if head.startswith(b"\x1a\x45\xdf\xa3") else None


async def examine(path: Path, bounds: FilmBounds, limits: Limits) -> Film:
    """What is in a file; refuses what is no film, is broken, or is beyond the bounds. Nothing is decoded for it.

    `framecrc` writes a line a packet, so duration, density and bit rate are counted, and a file that ends early, or
    claims a million frames, is found out by reading it.
    """
    with path.open("rb") as file:
        container = container_of(file.read(HEAD_BYTES))
    if container is None:
        raise NotAFilm()
    command = [
        *(find_ffmpeg(limits.ffmpeg), "-hide_banner", "-nostdin", "-loglevel", "level+info", "-threads", "1"),
        *_input(container, bounds),
        *("-map", "0:V?", "-map", "0:a?", "-c", "copy", "-f", "framecrc", "pipe:1"),
    ]
    count = _Count(bounds)
    said = await _run(command, path, limits, count.take, seconds_max=EXAMINE_S_MAX, cpu_s=EXAMINE_S_MAX)
    return count.sum_up(container, said)


async def finish(
    path: Path, film: Film, directory: Path, bounds: FilmBounds, limits: Limits, *, progress: Progress
) -> Finished:
    """Make the film and its poster in `directory`: copied where browsers can play it as it is, encoded where not."""
    out, poster = directory / "film.mp4", directory / "poster.jpg"
    copied = (
        film.video == "h264"
        and film.plain_pixels
        and max(film.width, film.height) <= COPIED_SIDE_MAX
        and film.bits_per_s <= bounds.kbits_max * 1000
    )
    command = [
        *(find_ffmpeg(limits.ffmpeg), "-hide_banner", "-nostdin", "-loglevel", "level+error", "-y"),
        *("-threads", str(bounds.threads), *_input(film.container, bounds)),
        *("-map", "0:V:0", "-map", "0:a:0?", "-map_metadata", "-1", "-map_chapters", "-1", "-dn", "-sn"),
        *(("-c:v", "copy") if copied else _encoding(bounds)),
        *(("-c:a", "copy") if film.audio == "aac" else ("-c:a", "aac", "-b:a", "128k", "-ac", "2")),
        *("-t", str(bounds.seconds_max), "-max_muxing_queue_size", "1024"),
        *("-movflags", "+faststart", "-progress", "pipe:1", "-stats_period", "0.5", "-f", "mp4", out.name),
    ]
    watch = _Watch(film.duration_s, progress)
    await _run(
        *(command, path, limits, watch.take),
        seconds_max=bounds.cpu_s_max * 2,
        cpu_s=bounds.cpu_s_max,
        directory=directory,
        file_bytes=bounds.bytes_max,
    )
    await _run(
        *(_poster_arguments(film, bounds, limits, poster.name), out, limits, _ignore),
        seconds_max=POSTER_S_MAX,
        cpu_s=POSTER_S_MAX,
        directory=directory,
        file_bytes=bounds.bytes_max,
    )
    if not poster.exists():
        raise FilmBroken(reason="no picture in it can be decoded")
    width, height = _jpeg_size(poster.read_bytes())
    return Finished(out, poster, width, height, max(1, round(film.duration_s * 1000)), out.stat().st_size)


def _input(container: str, bounds: FilmBounds) -> list[str]:
    pixels = str(bounds.side_max * bounds.side_max)
    drefs = ["-enable_drefs", "0"] if container == "mov" else []
    return [
        *("-protocol_whitelist", "fd", "-format_whitelist", "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm"),
        *("-codec_whitelist", DECODERS, "-max_pixels", pixels, "-max_streams", str(bounds.streams_max * 8), *drefs, "-f", container),
        *("-fd", "0", "-i", "fd:"),
    ]


def _encoding(bounds: FilmBounds) -> list[str]:
    """H.264 that everything plays, within 1080p, with a key frame every two seconds."""
    fit = "scale=w='min(iw,if(gte(iw,ih),1920,1080))':h='min(ih,if(gte(iw,ih),1080,1920))'"
    return [
        *("-filter_threads", "1", "-vf", f"{fit}:force_original_aspect_ratio=decrease:force_divisible_by=2,setsar=1"),
        *("-c:v", "libx264", "-preset", "veryfast", "-profile:v", "high", "-pix_fmt", "yuv420p", "-crf", "23"),
        *("-maxrate", f"{bounds.kbits_max}k", "-bufsize", f"{bounds.kbits_max * 2}k", "-fpsmax", "60"),
        *("-force_key_frames", "expr:gte(t,n_forced*2)", "-threads", str(bounds.threads)),
    ]


def _poster_arguments(film: Film, bounds: FilmBounds, limits: Limits, name: str) -> list[str]:
    """The picture a second in, as it stands when played: turned upright, square pixels."""
    return [
        *(find_ffmpeg(limits.ffmpeg), "-hide_banner", "-nostdin", "-loglevel", "level+error", "-y", "-threads", "1"),
        *("-ss", f"{min(1.0, film.duration_s / 3):.3f}", *_input("mov", bounds), "-map", "0:v:0", "-frames:v", "1"),
        *("-filter_threads", "1", "-vf", f"scale='min({POSTER_WIDTH_MAX},iw*sar)':-2,setsar=1", "-c:v", "mjpeg"),
        *("-q:v", "4", "-threads", "1", "-map_metadata", "-1", "-f", "image2", "-update", "1", name),
    ]


class _Count:
    """Reads framecrc: a header of `#` lines, then `stream, dts, pts, duration, size, checksum` for each packet."""

    def __init__(self, bounds: FilmBounds) -> None:
        self._bounds = bounds
        self._bases: dict[int, Fraction] = {}
        self._facts: dict[tuple[str, int], str] = {}
        self._ends: dict[int, float] = {}
        self._begins: dict[int, float] = {}
        self._frames: dict[int, int] = {}
        self._bytes = 0

    async def take(self, line: str) -> None:
        if line.startswith("#"):
            self._head(line[1:])
            return
        parts = line.split(",", 5)
        if len(parts) < 5:
            return
        try:
            stream, _, pts, duration, size = (int(part) for part in parts[:5])
        except ValueError:
            return
        base = self._bases.get(stream, Fraction(1, 1000))
        begins, ends = float(pts * base), float((pts + max(0, duration)) * base)
        self._begins[stream] = min(self._begins.get(stream, begins), begins)
        self._ends[stream] = max(self._ends.get(stream, ends), ends)
        self._frames[stream] = self._frames.get(stream, 0) + 1
        self._bytes += size
        if ends - min(0.0, begins) > self._bounds.seconds_max + 1:
            raise FilmTooLong(seconds_max=self._bounds.seconds_max)
        if self._frames[stream] > self._bounds.seconds_max * FRAMES_PER_S_MAX:
            raise FilmTooDense()

    def _head(self, line: str) -> None:
        name, _, value = line.partition(": ")
        word, _, number = name.rpartition(" ")
        if not number.isdecimal():
            return
        stream = int(number)
        if stream >= self._bounds.streams_max:
            raise FilmCrowded(streams_max=self._bounds.streams_max)
        if word == "tb":
            up, _, down = value.partition("/")
            self._bases[stream] = Fraction(int(up), max(1, int(down)))
        elif word == "dimensions":
            width, _, height = value.partition("x")
            self._check_size(int(width), int(height))
        self._facts[word, stream] = value

    def _check_size(self, width: int, height: int) -> None:
        if max(width, height) > self._bounds.side_max:
            raise FilmTooLarge(side_max=self._bounds.side_max)
        if min(width, height) < 2:
            raise FilmBroken(reason="its picture has no size")

    def sum_up(self, container: str, said: list[str]) -> Film:
        """The film; `said` is what the program wrote beside it."""
        complaint = next((line for line in said if BROKEN.search(line)), None)
        picture = next((at for (word, at), kind in self._facts.items() if (word, kind) == ("media_type", "video")), None)
        sound = next((at for (word, at), kind in self._facts.items() if (word, kind) == ("media_type", "audio")), None)
        if complaint is not None:
            raise FilmBroken(reason=_plain(complaint))
        if picture is None or not self._frames.get(picture):
            raise NotAFilm()
        duration_s = self._ends[picture] - min(self._begins[picture], self._ends[picture])
        if duration_s < 1:
            raise FilmTooShort()
        if self._frames[picture] > duration_s * FRAMES_PER_S_MAX:
            raise FilmTooDense()
        width, _, height = self._facts.get(("dimensions", picture), "0x0").partition("x")
        self._check_size(int(width), int(height))
        return Film(
            container=container,
            video=self._facts.get(("codec_id", picture), ""),
            audio=None if sound is None else self._facts.get(("codec_id", sound), ""),
            width=int(width),
            height=int(height),
            duration_s=duration_s,
            frames=self._frames[picture],
            bits_per_s=self._bytes * 8 / duration_s,
            plain_pixels=any(PIXELS.search(line) for line in said),
        )


class _Watch:
    """Reads `-progress`: how far the film has come."""

    def __init__(self, duration_s: float, progress: Progress) -> None:
        self._duration_s = duration_s
        self._progress = progress

    async def take(self, line: str) -> None:
        name, _, value = line.partition("=")
        if name == "out_time_us" and value.lstrip("-").isdecimal():
            await self._progress(max(0.0, min(1.0, int(value) / 1e6 / self._duration_s)))


async def _ignore(_line: str) -> None:
    pass


async def _run(
    command: list[str],
    source: Path,
    limits: Limits,
    take: Callable[[str], Awaitable[None]],
    *,
    seconds_max: float,
    cpu_s: int,
    directory: Path = Path("/"),
    file_bytes: int = 0,
) -> list[str]:
    """Run ffmpeg on one open file; each line of its output goes to `take`, which may refuse. Returns what it said.

    A program that fails refuses with `FilmBroken`, one that runs into its bounds with `FilmTooHard`.
    """
    with source.open("rb") as file:
        process = await spawn(
            command, limits, cpu_s=cpu_s, niceness=10, file_bytes=file_bytes, directory=directory, stdin=file
        )
    assert process.stdout is not None and process.stderr is not None
    said = asyncio.create_task(_listen(process.stderr))
    try:
        async with asyncio.timeout(seconds_max):
            async for line in _lines(process.stdout):
                await take(line)
            words, code = await said, await process.wait()
    except TimeoutError:
        raise FilmTooHard() from None
    finally:
        said.cancel()
        await asyncio.shield(end(process))
    if code < 0 or code == STOPPED:
        raise FilmTooHard()
    if code:
        complaint = next((line for line in words if "[error]" in line or "[fatal]" in line), "")
        raise FilmBroken(reason=_plain(complaint))
    return words


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[str]:
    while True:
        try:
            line = await stream.readline()
        except ValueError:  # longer than the reader's buffer: nothing that we asked for
            continue
        if not line:
            return
        yield line.decode("utf-8", "replace").strip()


async def _listen(stream: asyncio.StreamReader) -> list[str]:
    """The first lines that it says; the rest is read and forgotten, so that it never waits for us."""
    words: list[str] = []
    async for line in _lines(stream):
        if len(words) < 400:
            words.append(line[:400])
        elif BROKEN.search(line):
            words[-1] = line[:400]
    return words


def _plain(complaint: str) -> str:
    """A line of ffmpeg's without its addresses and levels."""
    return re.sub(r"\[[^\]]*\]\s*", "", complaint)[:160] or "it cannot be read"


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Width and height out of a JPEG that we made."""
    at = 2
    while at + 9 < len(data):
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker in (0xC0, 0xC1, 0xC2):
            return int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big")
        at += 2 + length
    raise FilmBroken(reason="its poster cannot be read")
