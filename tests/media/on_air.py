"""A real encoder (ffmpeg) and a plain player for the media tests."""

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from uuid import uuid4

from laotie.gateway.rtmp import RtmpDoor, RtmpLimits, WrongKey
from laotie.media import Action, Change, ChannelId, Grant, Limits, MediaServer
from laotie.media.encoder import find_ffmpeg

KEY = "room-key-0123456789abcdef"
BRISK = Limits(grace_s=20, afterglow_s=1, wait_s_max=2)


class Stage:
    """A media server with its RTMP door, one valid key, and a memory of what was told."""

    def __init__(self, limits: Limits = BRISK, rtmp_limits: RtmpLimits | None = None) -> None:
        self.channel_id = ChannelId(uuid4())
        self.keys = {KEY: self.channel_id}
        self.changes: list[Change] = []
        self.asked: list[tuple[str, str, str]] = []
        self.media = MediaServer(limits, on_change=self._note)
        limits_of_door = rtmp_limits or RtmpLimits(refusal_pause_s=0.05)
        self.door = RtmpDoor(self.media, self._authorize, host="127.0.0.1", port=0, limits=limits_of_door)

    async def _note(self, change: Change) -> None:
        self.changes.append(change)

    async def _authorize(self, action: Action, room: str, key: str, address: str) -> Grant:
        self.asked.append((action, room, address))
        if key not in self.keys:
            raise WrongKey()
        return Grant(self.keys[key])

    @property
    def news(self) -> list[str]:
        """What happened to the channel, in order."""
        return [change.news.value for change in self.changes]

    async def get(self, path: str, **query: str) -> bytes:
        """A player's request that must succeed."""
        answer = await self.media.playback(self.channel_id, path, query)
        assert answer.status == 200, (path, query, answer)
        return answer.body

    async def playlist(self) -> str:
        """The media playlist as it stands."""
        return (await self.get("live.m3u8")).decode()

    def url(self, key: str = KEY) -> str:
        """Where an encoder sends."""
        return f"rtmp://127.0.0.1:{self.door.port}/live/{key}"


@contextlib.asynccontextmanager
async def on_stage(limits: Limits = BRISK, rtmp_limits: RtmpLimits | None = None) -> AsyncIterator[Stage]:
    """A stage for one test."""
    stage = Stage(limits, rtmp_limits)
    async with stage.media, stage.door:
        yield stage


@contextlib.asynccontextmanager
async def pushing(
    url: str,
    *,
    rate: int = 25,
    seconds: int = 60,
    size: str = "180x320",
    video: tuple[str, ...] = (),
    audio: bool = True,
    sound: str = "aac",
) -> AsyncIterator[subprocess.Popen[bytes]]:
    """ffmpeg sending a test picture in real time, as any encoder would."""
    tone = ["-re", "-f", "lavfi", "-i", f"sine=440:r=48000:d={seconds}"] if audio else []
    codec = video or (
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-tune",
        "zerolatency",
        "-g",
        str(rate),
        "-b:v",
        "200k",
    )
    process = subprocess.Popen(
        [
            *(find_ffmpeg(), "-v", "error", "-nostdin", "-threads", "1"),
            *("-re", "-f", "lavfi", "-i", f"testsrc2=s={size}:r={rate}:d={seconds}", *tone),
            *(*([] if "-pix_fmt" in codec else ["-pix_fmt", "yuv420p"]), *codec),
            *(*(["-c:a", sound] if audio else []), "-f", "flv", url),
        ],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.kill()
        await asyncio.to_thread(process.wait)
        assert process.stderr is not None
        process.stderr.close()


async def until(condition: Callable[[], bool], *, timeout_s: float = 60) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.02)


def decode(data: bytes, directory: Path) -> tuple[int, int, list[float]]:
    """Decode with ffmpeg, errors being fatal: pictures, sound packets, and the pictures' decode times in seconds."""
    file = directory / f"{uuid4()}.mp4"
    file.write_bytes(data)
    said = subprocess.run(
        [find_ffmpeg(), "-v", "error", "-xerror", "-i", str(file), "-f", "null", "-"], capture_output=True, check=False
    )
    assert said.returncode == 0, said.stderr.decode()
    copied = subprocess.run(
        [find_ffmpeg(), "-v", "error", "-copyts", "-i", str(file), "-c", "copy", "-f", "framecrc", "-"],
        capture_output=True,
        check=True,
    ).stdout.decode()
    bases = {int(index): eval_ratio(base) for index, base in re.findall(r"#tb (\d): (\S+)", copied)}
    kinds = dict(re.findall(r"#media_type (\d): (\w+)", copied))
    rows = [line.split(",") for line in copied.splitlines() if line and not line.startswith("#")]
    by_kind: dict[str, list[float]] = {"video": [], "audio": []}
    for row in rows:
        by_kind[kinds[row[0]]].append(int(row[1]) * bases[int(row[0])])
    return len(by_kind["video"]), len(by_kind["audio"]), by_kind["video"]


def eval_ratio(text: str) -> float:
    """`1/16000` as a number."""
    above, below = text.split("/")
    return int(above) / int(below)


def exists(pid: int) -> bool:
    """A process of this id runs (a zombie does not)."""
    try:
        os.kill(pid, 0)
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False


def stop_hard(pid: int) -> None:
    """kill -9."""
    os.kill(pid, signal.SIGKILL)
