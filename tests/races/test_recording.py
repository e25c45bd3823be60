"""kill -9 while a show is being recorded: what was kept stays, the rest of the show is added, the gap is told."""

import asyncio
import re
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "media"))

from on_air import pushing

from laotie.bench.server import ServerUnderTest, free_port
from laotie.media import Archive
from laotie.media.encoder import find_ffmpeg

WAIT_S = 40


class Streamer(httpx.AsyncClient):
    """Somebody who goes live over HTTP."""

    async def do(self, method: str, path: str, body: Any = None) -> Any:
        answer = await self.request(method, path, json=body)
        assert answer.is_success, f"{method} {path} {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    async def open_show(self) -> tuple[str, str]:
        """A show of their own, live, and where its encoder sends."""
        account = {"id": str(uuid4()), "handle": f"s{uuid4().hex[:8]}", "password": "correct horse", "name": "Sven"}
        self.headers["x-csrf-token"] = (await self.do("POST", "/api/accounts", account))["csrf_token"]
        shop, room, show = (str(uuid4()) for _ in range(3))
        await self.do("POST", "/api/shops", {"id": shop, "name": "店", "currency": "CNY"})
        await self.do("POST", "/api/rooms/mine", {"id": room, "shop_id": shop, "title": "房间"})
        await self.do("POST", "/api/shows", {"id": show, "room_id": room, "title": "今晚"})
        await self.do("POST", f"/api/shows/{show}/start", {})
        ingest = await self.do("POST", "/api/rooms/mine/ingest-key", {})
        return show, f"{ingest['rtmp_url']}/{ingest['key']}"

    async def until_recorded(self, show: str, seconds: float) -> Any:
        deadline = time.monotonic() + WAIT_S
        while True:
            recording = await self.do("GET", f"/api/shows/{show}/recording")
            if recording["duration_s"] >= seconds:
                return recording
            assert time.monotonic() < deadline, recording
            await asyncio.sleep(0.2)


@pytest.mark.prove
async def test_kill_9_while_recording_loses_at_most_the_last_segment(tmp_path: Path) -> None:
    with ServerUnderTest(rtmp_port=str(free_port()), recording_reserve_mb="1") as server:
        async with Streamer(base_url=server.url, timeout=20) as streamer:
            show, address = await streamer.open_show()
            async with pushing(address):
                before = (await streamer.until_recorded(show, 4))["duration_s"]
                server.kill()
            killed_at = time.time()
            index = server.data / "recordings" / show / "index"
            index.write_bytes(index.read_bytes() + b'["s",12')  # as if the kill had hit a write
            server.start()
            assert (await streamer.do("GET", f"/api/shows/{show}/replay"))["duration_s"] >= before
            async with pushing(address):
                await streamer.until_recorded(show, before + 3)
                await streamer.do("POST", f"/api/shows/{show}/end", {})
            replay = await streamer.do("GET", f"/api/shows/{show}/replay")
            (gap,) = replay["gaps"]
            assert gap["why"] == "server"
            assert gap["at_s"] >= before
            assert killed_at - datetime.fromisoformat(gap["begins_at"]).timestamp() < 2.5, "a segment, and its way here"
            deadline = time.monotonic() + WAIT_S
            while (await streamer.do("GET", f"/api/shows/{show}/recording"))["state"] != "kept":
                assert time.monotonic() < deadline
                await asyncio.sleep(0.1)
            playlist = (await streamer.get(replay["hls_url"])).text
            assert playlist.endswith("#EXT-X-ENDLIST\n") and playlist.count("#EXT-X-DISCONTINUITY\n") == 1
            for run in playlist.split("#EXT-X-DISCONTINUITY\n"):
                names = re.findall(r"i\d+\.mp4|s\d+\.\d+\.m4s", run)
                media = [(await streamer.get(f"/recordings/{show}/{name}")).content for name in names]
                file = tmp_path / "run.mp4"
                file.write_bytes(b"".join(media))
                decoding = [find_ffmpeg(), "-v", "error", "-xerror", "-i", str(file), "-f", "null", "-"]
                await asyncio.to_thread(subprocess.run, decoding, check=True)
        assert Archive(server.data / "recordings").find(show) is not None


@pytest.mark.prove
async def test_without_room_on_the_disk_the_show_goes_on_unrecorded_and_says_so() -> None:
    with ServerUnderTest(rtmp_port=str(free_port()), recording_reserve_mb=str(10**9)) as server:
        async with Streamer(base_url=server.url, timeout=20) as streamer:
            show, address = await streamer.open_show()
            async with pushing(address):
                deadline = time.monotonic() + WAIT_S
                while (told := await streamer.do("GET", f"/api/shows/{show}/recording"))["state"] != "paused":
                    assert time.monotonic() < deadline, told
                    await asyncio.sleep(0.2)
                assert told["why"] == "disk_full" and told["free_bytes"] > 0
                shown = await streamer.do("GET", f"/api/shows/{show}")
                first = (await streamer.get(shown["playback"]["hls"].replace("master", "live"))).text
                await asyncio.sleep(2)
                later = (await streamer.get(shown["playback"]["hls"].replace("master", "live"))).text
                assert first != later and "ENDLIST" not in later, "the picture moves on"
            await streamer.do("POST", f"/api/shows/{show}/end", {})
            assert (await streamer.get(f"/api/shows/{show}/replay")).status_code == 404
