"""The media program: finds ffmpeg and runs one process of it, bounded, watched, and never left behind.

What it is fed and what becomes of its output are the caller's; when to start another is `channel`'s.
"""

import asyncio
import contextlib
import os
import resource
import shutil
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import IO

import msgspec

from laotie.base.logs import log
from laotie.media.model import EncoderFailed, FFmpegMissing, Limits, MediaBroken

CONFINE = Path(__file__).with_name("confine.py")
READ_BYTES = 256 * 1024
# One arena and one thread: on a machine with many cores, idle ones would fill the address space.
ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "AV_LOG_FORCE_NOCOLOR": "1",
    "MALLOC_ARENA_MAX": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
DECODERS = (
    "h264,hevc,libdav1d,vp8,vp9,flv,vp6f,vp6a,flashsv,flashsv2,aac,mp3float,mp3,opus,vorbis,flac,ac3,eac3,libspeex,speex,"
    "nellymoser,adpcm_swf,pcm_alaw,pcm_mulaw,pcm_s16le,pcm_u8"
)
"""What may be sent here, and nothing else of the hundreds of decoders that ffmpeg has."""
LAST_LINES = 12
LINE_CHARACTERS_MAX = 400


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """What goes in and how it comes out; fragmented MP4 in every case."""

    container: str = "flv"
    """Name of the demuxer; no other is ever tried on the input."""
    video: str | None = "copy"
    """`copy`, `libx264`, or nothing."""
    audio: str | None = "copy"
    """`copy`, `aac`, or nothing."""
    offset_s: float = 0.0
    """Added to every timestamp, for input whose clock begins at zero."""
    optional: bool = False
    """The input may lack one of the two tracks."""

    @property
    def transcodes(self) -> bool:
        """Whether pictures are decoded and encoded; sound costs next to nothing."""
        return self.video == "libx264"


@cache
def find_ffmpeg(path: str = "") -> str:
    """The program's path: the one named, else the wheel's, else the PATH's."""
    tried = [path] if path else []
    if path:
        found = shutil.which(path)
    else:
        try:
            import imageio_ffmpeg

            found = str(imageio_ffmpeg.get_ffmpeg_exe())
        except (ImportError, RuntimeError):
            tried = ["imageio-ffmpeg", "ffmpeg"]
            found = shutil.which("ffmpeg")
    if found is None:
        raise FFmpegMissing(tried=tried)
    return found


def packaging_arguments(recipe: Recipe, limits: Limits) -> list[str]:
    """The command line from a pipe of `recipe.container` to a pipe of fragmented MP4.

    `fpsprobesize 0` saves the 1.5 s that ffmpeg otherwise spends guessing the frame rate; `nobuffer` would save it too
    but throws the probed frames away. `copyts` with `frag_discont` and no edit list puts the input's own clock into
    every fragment's decode time, so that what follows a restart lies where it belongs on the channel's timeline.
    """
    arguments = ["-hide_banner", "-nostdin", "-loglevel", "warning", "-threads", "1", "-filter_threads", "1"]
    arguments += ["-protocol_whitelist", "pipe", "-codec_whitelist", DECODERS]
    arguments += ["-analyzeduration", "200000", "-fpsprobesize", "0"]
    arguments += ["-itsoffset", f"{recipe.offset_s:.3f}"] if recipe.offset_s else []
    arguments += ["-f", recipe.container, "-i", "pipe:0", "-copyts", "-avoid_negative_ts", "disabled", "-dn", "-sn"]
    some = "?" if recipe.optional else ""
    if recipe.video is not None:
        arguments += ["-map", f"0:v:0{some}", "-c:v", recipe.video]
        arguments += _picture_arguments(limits) if recipe.transcodes else []
    if recipe.audio is not None:
        arguments += ["-map", f"0:a:0{some}", "-c:a", recipe.audio]
        arguments += SOUND if recipe.audio == "aac" else []
    flags = "+frag_keyframe+empty_moov+default_base_moof+frag_discont+skip_trailer"
    arguments += ["-map_metadata", "-1", "-flush_packets", "1", "-max_interleave_delta", "500000"]
    arguments += ["-f", "mp4", "-movflags", flags, "-use_editlist", "0"]
    return [*arguments, "-frag_duration", str(round(limits.part_s * 1e6)), "pipe:1"]


SOUND = ["-b:a", "128k", "-ac", "2", "-af", "aresample=48000:async=1"]
"""Holes in the sound are filled with silence, so that it stays with the picture."""


def _picture_arguments(limits: Limits) -> list[str]:
    """H.264 as every phone plays it: 8 bits, 4:2:0, a steady 30 pictures a second, a key frame a second."""
    side, rate = limits.transcode_side_max, limits.transcode_bits_per_s
    fit = f"scale='min({side},iw)':'min({side},ih)':force_original_aspect_ratio=decrease:force_divisible_by=2"
    return [
        *("-vf", f"{fit},fps=30", "-preset", "veryfast", "-tune", "zerolatency", "-profile:v", "high"),
        *("-pix_fmt", "yuv420p", "-threads:v", "2", "-b:v", str(rate), "-maxrate", str(rate * 6 // 5)),
        *("-bufsize", str(rate * 3 // 5), "-g", "30", "-sc_threshold", "0"),
    ]


async def spawn(
    command: list[str],
    limits: Limits,
    *,
    cpu_s: int = -1,
    niceness: int | None = None,
    file_bytes: int = 0,
    directory: Path = Path("/"),
    stdin: int | IO[bytes] = PIPE,
) -> Process:
    """Run a program within bounds (unlimited CPU by default, no files written) and with pipes at its three ends.

    It ends with this process however that ends, knows nothing of its environment, and leads a process group.
    """
    bounds = [
        os.getpid(),
        limits.memory_bytes_max,
        cpu_s,
        limits.niceness if niceness is None else niceness,
        file_bytes,
    ]
    try:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", str(CONFINE), *map(str, bounds), *command),
            stdin=stdin,
            stdout=PIPE,
            stderr=PIPE,
            cwd=directory,
            env={**ENVIRONMENT, **({"TZ": os.environ["TZ"]} if "TZ" in os.environ else {})},
            start_new_session=True,
        )
    except OSError as failure:
        raise EncoderFailed(reason=str(failure)) from failure


async def end(process: Process) -> None:
    """Kill a spawned program and whatever it started, and reap it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


class Encoder:
    """One ffmpeg process, from its start to its certain end."""

    def __init__(self, process: Process, take: Callable[[bytes], None], limits: Limits) -> None:
        self._process = process
        self._take = take
        self._limits = limits
        self._lines: deque[str] = deque(maxlen=LAST_LINES)
        self._stopping = False
        self._readers = [asyncio.create_task(self._read_output()), asyncio.create_task(self._read_errors())]
        self._over = asyncio.create_task(self._watch())

    @classmethod
    async def start(
        cls, arguments: list[str], take: Callable[[bytes], None], limits: Limits, *, cpu_share_max: float | None = None
    ) -> "Encoder":
        """Start ffmpeg; `take` gets its output piece by piece and may raise `MediaBroken` to have it killed."""
        share = limits.cpu_share_max if cpu_share_max is None else cpu_share_max
        limits = msgspec.structs.replace(limits, cpu_share_max=share)
        command = [find_ffmpeg(limits.ffmpeg), *arguments]
        return cls(await spawn(command, limits, cpu_s=_cpu_budget_s(limits)), take, limits)

    @property
    def alive(self) -> bool:
        """Whether the process runs and may be fed."""
        return self._process.returncode is None and not self._stopping

    @property
    def pid(self) -> int:
        """Of ffmpeg, which is also its process group."""
        return self._process.pid

    async def write(self, data: bytes) -> None:
        """Feed the process; waits while its pipe is full, and kills it when it does not read at all."""
        stdin = self._process.stdin
        assert stdin is not None
        if not self.alive:
            raise EncoderFailed(reason=self.last_words)
        try:
            stdin.write(data)
            async with asyncio.timeout(self._limits.write_s_max):
                await stdin.drain()
        except TimeoutError:
            self._lines.append("did not take its input in time")
            await self.kill()
            raise EncoderFailed(reason=self.last_words) from None
        except (ConnectionError, RuntimeError):
            raise EncoderFailed(reason=self.last_words) from None

    async def finish(self) -> None:
        """End the input and wait for the rest of the output; killed when that takes too long."""
        self._stopping = True
        stdin = self._process.stdin
        assert stdin is not None
        with contextlib.suppress(ConnectionError, RuntimeError):
            stdin.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._limits.stop_s_max):
                await asyncio.shield(self._over)
        await self.kill()

    async def kill(self) -> None:
        """End it now, and everything it may have started."""
        self._stopping = True
        self._kill_group()
        await asyncio.shield(self._over)

    async def wait(self) -> None:
        """Return when the process is over and its output taken."""
        await asyncio.shield(self._over)

    @property
    def last_words(self) -> str:
        """The last line it wrote to standard error."""
        return self._lines[-1] if self._lines else "ended without a word"

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    async def _watch(self) -> None:
        """Renew the CPU budget until the process ends, then reap it and tell why it went."""
        ended = asyncio.create_task(self._process.wait())
        while not (await asyncio.wait({ended}, timeout=self._limits.cpu_period_s / 2))[0]:
            _renew_cpu_budget(self._process.pid, self._limits)
        code = ended.result()
        self._kill_group()
        await asyncio.wait(self._readers, timeout=self._limits.stop_s_max)
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)
        if code != 0 and not self._stopping:
            log.warning("media.ffmpeg_died", pid=self._process.pid, code=code, lines=list(self._lines))

    async def _read_output(self) -> None:
        stdout = self._process.stdout
        assert stdout is not None
        while data := await stdout.read(READ_BYTES):
            try:
                self._take(data)
            except MediaBroken as broken:
                self._lines.append(f"output unusable: {broken.reason}")
                self._kill_group()
                return

    async def _read_errors(self) -> None:
        stderr = self._process.stderr
        assert stderr is not None
        while True:
            try:
                line = await stderr.readline()
            except ValueError:  # a line longer than the reader's buffer
                continue
            if not line:
                return
            self._lines.append(line.decode("utf-8", "replace").strip()[:LINE_CHARACTERS_MAX])


def _cpu_budget_s(limits: Limits) -> int:
    return max(5, round(limits.cpu_share_max * limits.cpu_period_s))


def _renew_cpu_budget(pid: int, limits: Limits) -> None:
    """Let the process use its share for one more period: a runaway is stopped, a nine-hour show is not."""
    if sys.platform != "linux":
        return
    with contextlib.suppress(OSError, ValueError, IndexError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        used_s = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        hard = resource.prlimit(pid, resource.RLIMIT_CPU)[1]
        resource.prlimit(pid, resource.RLIMIT_CPU, (round(used_s) + _cpu_budget_s(limits), hard))
