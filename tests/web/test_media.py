"""The playback door: what a browser fetches of a show on air."""

import re
import sys
from pathlib import Path
from uuid import uuid4

import httpx
from litestar import Litestar
from litestar.di import Provide

sys.path.insert(0, str(Path(__file__).parent.parent / "media"))

from on_air import on_stage, pushing, until

from laotie.media import MediaServer
from laotie.web import media as door


def visitor(media: MediaServer | None) -> httpx.AsyncClient:
    """A browser at the door alone, on the loop that the media server runs on."""
    given = {"media": Provide(lambda: media, sync_to_thread=False)}
    app = Litestar(door.ROUTES, dependencies=given, openapi_config=None)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here")  # type: ignore[arg-type]


async def test_a_show_is_fetched_with_headers_fit_for_a_cache() -> None:
    async with on_stage() as stage, visitor(stage.media) as client, pushing(stage.url()):
        await until(lambda: stage.news == ["live"])
        base = f"/media/{stage.channel_id}"
        master = await client.get(f"{base}/master.m3u8")
        assert master.status_code == 200
        assert master.headers["content-type"] == "application/vnd.apple.mpegurl"
        live = await client.get(f"{base}/live.m3u8")
        assert live.headers["cache-control"] == "no-store"
        number, part = re.findall(r'HINT:TYPE=PART,URI="s(\d+)\.(\d+)\.m4s"', live.text)[0]
        blocked = await client.get(f"{base}/live.m3u8", params={"_HLS_msn": number, "_HLS_part": part})
        assert blocked.headers["cache-control"] == "public, max-age=1"
        names = re.findall(r"init[.]\d+[.]mp4|s\d+[.]m4s", live.text)
        init = await client.get(f"{base}/{names[0]}")
        assert init.headers["cache-control"] == "public, max-age=3600, immutable"
        assert init.headers["content-type"] == "video/mp4" and init.content[4:8] == b"ftyp"
        segment = await client.get(f"{base}/{names[1]}")
        assert segment.content[4:8] == b"moof"


async def test_what_is_not_on_air_is_not_found() -> None:
    async with on_stage() as stage, visitor(stage.media) as client:
        for path in (f"{uuid4()}/master.m3u8", "no-id/master.m3u8", f"{stage.channel_id}/../secret"):
            assert (await client.get(f"/media/{path}")).status_code == 404
        assert (await client.get(f"/media/{uuid4()}/{'x' * 65}")).status_code == 400
    async with visitor(None) as client:
        answer = await client.get(f"/media/{uuid4()}/master.m3u8")
        assert answer.status_code >= 400  # the house's own problems handler makes it 404
