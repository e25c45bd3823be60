"""`laotie bench soak`: one long show at a small bit rate, with the mishaps of a long evening, and what it leaves behind.

A real `laotie serve`, a real ffmpeg pushing a picture that flashes and a tone that beeps with it, players that follow the
live edge. On the way the encoder is dropped twice and comes back, and the server's ffmpeg is killed. Measured every few
seconds: the server's memory and open files, what its data directory holds (PostgreSQL's own files aside, nothing is
recorded), and from what players get, how far sound and picture are apart.
"""

import asyncio
import contextlib
import os
import re
import signal
import statistics
import struct
import subprocess
import time
from pathlib import Path
from typing import Annotated, Any

import httpx
import msgspec
from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from laotie import identity, live
from laotie.base.db import Database
from laotie.base.ids import ShowId, ViewerId, new_id
from laotie.bench.market import open_sale
from laotie.bench.server import ServerUnderTest, free_port
from laotie.media import boxes
from laotie.media.encoder import find_ffmpeg

console = Console(stderr=True)

WARM_SHARE = 0.25
"""Of the samples at the beginning that no slope is taken of: caches fill."""
SAMPLES_MAX = 400
OFFSETS_MAX = 60
PLAYERS = 6
RATE, SAMPLE_RATE, SIDE = 25, 8_000, 16
AWAY_S = 4.0
GROWTH_MAX = {"memory_mb": (24.0, 48.0), "files": (12.0, 6.0), "disk_mb": (12.0, 6.0)}
"""By the hour; and in a run too short for slopes, altogether."""
OFFSET_MS_MAX = 120.0
"""Sound and picture: within what nobody sees (ITU-R BT.1359: 125 ms late, 45 ms early; a frame is 40 ms here)."""


class Sample(msgspec.Struct, frozen=True):
    """The server at one moment."""

    at_s: float
    memory_mb: float
    files: int
    disk_mb: float


class Watched(msgspec.Struct):
    """What the players saw."""

    parts: int = 0
    stalls: int = 0
    """Times that the live edge stood still for more than two seconds while an encoder was sending."""
    discontinuities: int = 0
    offsets_ms: list[float] = []


def main(
    *,
    minutes: Annotated[float, Parameter(help="How long, in real minutes.")] = 30.0,
    json: Annotated[bool, Parameter(help="Print figures only.")] = False,
) -> None:
    """Run a long show with mishaps; ends with 1 when memory, files or disk grow, or sound and picture part."""
    figures = asyncio.run(_measure(max(minutes, 0.25) * 60))
    if json:
        print(msgspec.json.encode(figures).decode())
    else:
        _show(figures)
    raise SystemExit(0 if figures["ok"] else 1)


async def _measure(seconds: float) -> dict[str, Any]:
    rtmp_port = free_port()
    with ServerUnderTest(rtmp_port=str(rtmp_port), embedded_shared_buffers_mb="64") as server:
        show_id, key = await _open_show(server)
        samples: list[Sample] = []
        watched = Watched()
        async with (
            _Encoder(f"rtmp://127.0.0.1:{rtmp_port}/live", key) as encoder,
            httpx.AsyncClient(base_url=f"{server.url}/media/{show_id}", timeout=10) as player,
        ):
            await _until_live(player)
            began = time.monotonic()
            tasks = [asyncio.create_task(_watch(player, encoder, watched)) for _ in range(PLAYERS)]
            tasks.append(asyncio.create_task(_sample(server, samples, began, seconds)))
            tasks.append(asyncio.create_task(_compare(player, watched, seconds)))
            mishaps = await _mishaps(server, encoder, began, seconds)
            await asyncio.sleep(max(0.0, began + seconds - time.monotonic()))
            for task in tasks:
                task.cancel()
            failures = [one for one in await asyncio.gather(*tasks, return_exceptions=True) if _is_bug(one)]
            for failure in failures:
                console.print(f"[red]{failure!r}[/]")
        return _sum_up(seconds, samples, watched, mishaps, len(failures))


async def _open_show(server: ServerUnderTest) -> tuple[ShowId, str]:
    db = await Database.open(server.database_url, pool_max=4)
    try:
        sale = await open_sale(db, stock=10, limit=None, http_buyers=0)
        owner = identity.Actor(
            viewer_id=ViewerId(sale.owner_id), account_id=sale.owner_id, seat_holder_id=sale.owner_id
        )
        async with db.tx() as tx:
            await live.end_show(tx, owner, sale.show_id)
            await live.change_room(tx, owner, live.RoomChange(records=False))
            show_id = ShowId(new_id())
            await live.plan_show(tx, owner, live.ShowDraft(id=show_id, title="Soak"))
            await live.start_show(tx, owner, show_id)
            return show_id, await live.rotate_ingest_key(tx, server.signer, owner)
    finally:
        await db.close()


class _Encoder:
    """ffmpeg as somebody's OBS: a flash and a beep in the middle of each second, a hundred kilobits."""

    def __init__(self, url: str, key: str) -> None:
        self._address = f"{url}/{key}"
        self._process: subprocess.Popen[bytes] | None = None
        self.sending_since = 0.0

    @property
    def is_sending(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def begin(self) -> None:
        picture = f"color=black:s=128x224:r={RATE},geq=lum='if(lt(mod(T+0.5,1),0.12),235,16)':cb=128:cr=128"
        sound = f"aevalsrc='0.8*sin(2*PI*880*t)*lt(mod(t+0.5,1),0.12)':s={SAMPLE_RATE * 2}"
        self._process = subprocess.Popen(  # noqa: S603  our own words
            [
                *(find_ffmpeg(), "-v", "error", "-nostdin", "-threads", "1"),
                *("-re", "-f", "lavfi", "-i", picture, "-re", "-f", "lavfi", "-i", sound),
                *("-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", str(RATE)),
                *("-pix_fmt", "yuv420p", "-b:v", "64k", "-c:a", "aac", "-b:a", "48k", "-f", "flv", self._address),
            ],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.sending_since = time.monotonic()

    def drop(self) -> None:
        """As a network that breaks."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    async def __aenter__(self) -> "_Encoder":
        self.begin()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.drop()


async def _until_live(player: httpx.AsyncClient) -> None:
    async with asyncio.timeout(90):
        while (await player.get("/live.m3u8")).status_code != 200:
            await asyncio.sleep(0.2)


async def _mishaps(server: ServerUnderTest, encoder: _Encoder, began: float, seconds: float) -> dict[str, int]:
    """A fifth in, the encoder is lost; half way, the server's ffmpeg is killed; three quarters in, the encoder again."""
    done = {"encoder_drops": 0, "ffmpeg_kills": 0}
    for share, kind in ((0.2, "encoder_drops"), (0.5, "ffmpeg_kills"), (0.75, "encoder_drops")):
        await asyncio.sleep(max(0.0, began + share * seconds - time.monotonic()))
        if kind == "encoder_drops":
            encoder.drop()
            await asyncio.sleep(min(AWAY_S, seconds / 20))
            encoder.begin()
        else:
            for pid in _programs_of(server.pid, "ffmpeg"):
                os.kill(pid, signal.SIGKILL)
            encoder.sending_since = time.monotonic()
        done[kind] += 1
    return done


async def _watch(player: httpx.AsyncClient, encoder: _Encoder, watched: Watched) -> None:
    """Follow the live edge as a player with low latency does: ask for the part to come, fetch it, ask again."""
    moved_at, edge = time.monotonic(), (0, 0)
    query: dict[str, str] = {}
    seen: set[tuple[int, int]] = set()
    while True:
        try:
            text = (await player.get("/live.m3u8", params=query)).text
            parts = [(int(a), int(b)) for a, b in re.findall(r'#EXT-X-PART:[^\n]*URI="s(\d+)\.(\d+)\.m4s"', text)]
            for number, part in parts[-2:]:
                if (number, part) not in seen:
                    seen.add((number, part))
                    answer = await player.get(f"/s{number}.{part}.m4s")
                    watched.parts += answer.status_code == 200
        except httpx.HTTPError:
            await asyncio.sleep(0.5)
            continue
        now = time.monotonic()
        if parts and parts[-1] != edge:
            edge, moved_at = parts[-1], now
            query = {"_HLS_msn": str(edge[0]), "_HLS_part": str(edge[1] + 1)}
            seen = set(parts)
        elif now - moved_at > 2:
            watched.stalls += encoder.is_sending and now - encoder.sending_since > 5
            moved_at = now
        watched.discontinuities = max(watched.discontinuities, text.count("#EXT-X-DISCONTINUITY\n"))
        await asyncio.sleep(0.02)


async def _sample(server: ServerUnderTest, samples: list[Sample], began: float, seconds: float) -> None:
    every_s = max(1.0, seconds / SAMPLES_MAX)
    while True:
        pids = [server.pid, *_programs_of(server.pid, "ffmpeg")]
        memory = sum(_memory_mb(pid) for pid in pids)
        files = _open_files(server.pid)
        disk = await asyncio.to_thread(_disk_mb, server.data)
        samples.append(Sample(time.monotonic() - began, memory, files, disk))
        await asyncio.sleep(every_s)


async def _compare(player: httpx.AsyncClient, watched: Watched, seconds: float) -> None:
    """Every now and then, decode a segment and find how far the beep is from the flash."""
    while True:
        await asyncio.sleep(max(2.0, seconds / OFFSETS_MAX))
        with contextlib.suppress(httpx.HTTPError):
            text = (await player.get("/live.m3u8")).text
            whole = re.findall(r'(?:MAP:URI="(init\.\d+\.mp4)")|^(s\d+\.m4s)$', text, re.MULTILINE)
            init, last = "", ("", "")
            for named, segment in whole:
                init = named or init
                last = (init, segment) if segment else last
            if not last[1]:
                continue
            head, body = (await player.get(f"/{last[0]}")).content, (await player.get(f"/{last[1]}")).content
            offset = await offset_ms(head, body)
            if offset is not None:
                watched.offsets_ms.append(offset)


async def offset_ms(init: bytes, segment: bytes) -> float | None:
    """How much later the beep comes than the flash; nothing when the segment has not both."""
    tracks = {track.track_id: track for track in boxes.tracks(_box(init, b"moov"))}
    begins: dict[str, float] = {}
    for kind, box in boxes.BoxReader().feed(segment):
        if kind == b"moof":
            for run in boxes.runs(box):
                track = tracks[run.track_id]
                begins.setdefault(track.kind, run.decode_time / track.timescale)
    if len(begins) < 2:
        return None
    gray = await _decode(init + segment, "-an", "-vf", f"scale={SIDE}:{SIDE},format=gray", "-f", "rawvideo", "-")
    pcm = await _decode(init + segment, "-vn", "-ar", str(SAMPLE_RATE), "-ac", "1", "-f", "s16le", "-")
    light = [statistics.fmean(gray[at : at + SIDE * SIDE]) for at in range(0, len(gray) - SIDE * SIDE + 1, SIDE * SIDE)]
    loud = [abs(value) for (value,) in struct.iter_unpack("<h", pcm[: len(pcm) // 2 * 2])]
    flashes = [index for index in range(1, len(light)) if light[index] > 120 > light[index - 1]]
    quiet = SAMPLE_RATE // 50
    beeps = [at for at in range(quiet, len(loud)) if loud[at] > 6_000 and max(loud[at - quiet : at]) < 3_000]
    if not flashes or not beeps:
        return None
    flash_s = begins["vide"] + flashes[0] / RATE
    return min((begins["soun"] + at / SAMPLE_RATE - flash_s for at in beeps), key=abs) * 1000


async def _decode(data: bytes, *arguments: str) -> bytes:
    process = await asyncio.create_subprocess_exec(
        *(find_ffmpeg(), "-v", "quiet", "-threads", "1", "-i", "-", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    return (await process.communicate(data))[0]


def _box(data: bytes, wanted: bytes) -> bytes:
    return next(bytes(box) for kind, box in boxes.BoxReader().feed(data) if kind == wanted)


def _programs_of(pid: int, name: str) -> list[int]:
    """The children of a process that run a program of this name."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    found = []
    for child in map(int, children):
        with contextlib.suppress(OSError):
            if name in Path(f"/proc/{child}/exe").readlink().name:
                found.append(child)
    return found


def _memory_mb(pid: int) -> float:
    with contextlib.suppress(OSError):
        resident = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
        return int(resident[1]) / 1024 if resident else 0.0
    return 0.0


def _open_files(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def _disk_mb(directory: Path) -> float:
    total = 0
    for place, folders, names in os.walk(directory):
        folders[:] = [name for name in folders if not name.startswith("postgres")]
        for name in names:
            with contextlib.suppress(OSError):
                total += (Path(place) / name).stat().st_size
    return total / 2**20


def _is_bug(result: object) -> bool:
    return isinstance(result, Exception) and not isinstance(result, asyncio.CancelledError)


def _sum_up(
    seconds: float, samples: list[Sample], watched: Watched, mishaps: dict[str, int], failures: int
) -> dict[str, Any]:
    """The figures, and whether all is well."""
    warm = samples[int(len(samples) * WARM_SHARE) :]
    figures: dict[str, Any] = {"minutes": round(seconds / 60, 2), **mishaps, "samples": len(samples)}
    ok = len(warm) > 2 and not failures
    for name, (per_h_max, altogether_max) in GROWTH_MAX.items():
        values = [float(getattr(sample, name)) for sample in warm]
        slope = _slope_per_h([sample.at_s for sample in warm], values)
        figures[name] = {
            "start": round(values[0], 2),
            "middle": round(values[len(values) // 2], 2),
            "end": round(values[-1], 2),
            "slope_per_h": round(slope, 2),
        }
        ok = ok and (slope <= per_h_max or slope * seconds / 3600 <= altogether_max)
    offsets = sorted(abs(offset) for offset in watched.offsets_ms)
    figures["av_offset_ms"] = {
        "measured": len(offsets),
        "median": round(statistics.median(watched.offsets_ms), 1) if offsets else None,
        "worst": round(offsets[-1], 1) if offsets else None,
        "first": round(watched.offsets_ms[0], 1) if offsets else None,
        "last": round(watched.offsets_ms[-1], 1) if offsets else None,
    }
    figures |= {
        "parts_played": watched.parts,
        "stalls": watched.stalls,
        "discontinuities_seen": watched.discontinuities,
    }
    ok = ok and bool(offsets) and offsets[-1] <= OFFSET_MS_MAX and watched.stalls == 0 and watched.parts > seconds
    return {**figures, "ok": ok}


def _slope_per_h(at_s: list[float], values: list[float]) -> float:
    """Of the straight line through the points, least squares."""
    slope: float = statistics.linear_regression(at_s, values).slope * 3600
    return slope


def _show(figures: dict[str, Any]) -> None:
    table = Table("", "start", "middle", "end", "per hour", title=f"{figures['minutes']} minutes on air")
    for name, words in (("memory_mb", "memory, MB"), ("files", "open files"), ("disk_mb", "disk, MB")):
        of = figures[name]
        table.add_row(words, *(str(of[key]) for key in ("start", "middle", "end", "slope_per_h")))
    console.print(table)
    offset = figures["av_offset_ms"]
    console.print(f"sound after picture: {offset['median']} ms, at worst {offset['worst']} ms off")
    console.print(f"parts played {figures['parts_played']}, stalls {figures['stalls']}")
    console.print("[green]flat[/]" if figures["ok"] else "[red]not flat[/]")
