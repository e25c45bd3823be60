"""The playback door: what a browser fetches of a show on air."""

import re
import sys
from pathlib import Path
from uuid import uuid4

import httpx
import msgspec
from litestar import Litestar
from litestar.di import Provide

sys.path.insert(0, str(Path(__file__).parent.parent / "media"))

from on_air import on_stage, pushing, until

from laotie.base.ids import AccountId, ShowId
from laotie.base.refusals import Refusal
from laotie.live import Person, ShowCard, ShowState
from laotie.media import MediaServer
from laotie.web import media as door
from laotie.web.live import with_cover
from laotie.web.problems import answer_refusal


def visitor(media: MediaServer | None) -> httpx.AsyncClient:
    """A browser at the door alone, on the loop that the media server runs on."""
    given = {"media": Provide(lambda: media, sync_to_thread=False)}
    refusals = {Refusal: answer_refusal}
    app = Litestar(door.ROUTES, dependencies=given, exception_handlers=refusals, openapi_config=None)  # type: ignore[arg-type]
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


async def test_a_show_on_air_has_a_poster_and_is_shown_by_it() -> None:
    async with on_stage() as stage, visitor(stage.media) as client, pushing(stage.url()):
        address = f"/media/{stage.channel_id}/poster.jpg"
        dark = await client.get(address)
        assert (dark.status_code, dark.json()["type"]) == (404, "/problems/channel-unknown")
        show = card(ShowId(stage.channel_id))
        assert with_cover(show, stage.media) == show
        await until(lambda: stage.news == ["live"])
        poster = await client.get(address)
        assert poster.status_code == 200
        assert poster.headers["content-type"] == "image/jpeg"
        assert poster.headers["cache-control"] == "public, max-age=15"
        assert poster.content.startswith(b"\xff\xd8")
        assert with_cover(show, stage.media).cover == address
        own = msgspec.structs.replace(show, cover="https://example.org/cover.jpg")
        assert with_cover(own, stage.media) == own
        planned = msgspec.structs.replace(show, state=ShowState.scheduled)
        assert with_cover(planned, stage.media) == planned


def card(show_id: ShowId) -> ShowCard:
    """A live show that has no cover."""
    return ShowCard(
        show_id=show_id,
        streamer=Person(AccountId(uuid4()), "Anna", None),
        title="Fresh from the sea",
        cover=None,
        state=ShowState.live,
        viewer_count=0,
        planned_at=None,
        started_at=None,
        ended_at=None,
        pinned=None,
    )


async def test_what_is_not_on_air_is_not_found() -> None:
    async with on_stage() as stage, visitor(stage.media) as client:
        for path in (
            f"{uuid4()}/master.m3u8",
            "no-id/master.m3u8",
            "no-id/poster.jpg",
            f"{stage.channel_id}/../secret",
        ):
            assert (await client.get(f"/media/{path}")).status_code == 404
        assert (await client.get(f"/media/{uuid4()}/{'x' * 65}")).status_code == 400
    async with visitor(None) as client:
        for name in ("master.m3u8", "poster.jpg"):
            assert (await client.get(f"/media/{uuid4()}/{name}")).status_code == 404
