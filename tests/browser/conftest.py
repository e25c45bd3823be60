"""A real server with a picture on the air, and real Chromium. Errors and broken policies on any page fail the test."""

import asyncio
import fcntl
import os
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from cinema import ROOT, Cinema, Encoder, Goods, Profiles, Show, did, open_show
from playwright.async_api import Browser, async_playwright

from laotie.base.db import Database
from laotie.bench.server import ServerUnderTest, free_port
from laotie.demo.client import Person as Streaming
from laotie.demo.goods import PERSONAS
from laotie.demo.market import PASSWORD, open_market
from laotie.demo.show import Streamer
from laotie.media import Scene, draw

CHROMIUM = next(
    (
        found
        for name in (os.environ.get("CHROMIUM"), "chromium", "chromium-browser", "google-chrome")
        if name and (found := shutil.which(name))
    ),
    None,
)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-device-for-media-stream",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
PICTURE_WAIT_S = 120


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser and pages live in one loop; what takes pictures comes last, when there is most to see."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
    items.sort(key=lambda item: item.path.name == "test_pictures.py")


@pytest.fixture(scope="session")
def server() -> Iterator[ServerUnderTest]:
    """The product, started for these tests on ports of its own."""
    with ServerUnderTest(
        rtmp_port=str(free_port()),
        registrations_per_hour="10000",
        push_private="true",
        webhook_private="true",
        recording_reserve_mb="1",
        figure_s_max="300",
    ) as server:
        yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def market(server: ServerUnderTest) -> list[str]:
    """The demonstration's market, both of its shows live with filled carts; their ids."""
    db = await Database.open(server.database_url, pool_max=2)
    try:
        await open_market(db, lambda _: None)
    finally:
        await db.close()
    shows = []
    for persona in PERSONAS:
        async with Streaming(server.url) as streamer:
            shows.append(await Streamer(server.url, persona, ROOT / "build").open(streamer))
    return shows


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def on_air(server: ServerUnderTest, market: list[str]) -> AsyncIterator[str]:
    """The show by the shore, with the drawn scene coming in through the RTMP door; its id."""
    persona, show_id = PERSONAS[0], market[0]
    (ROOT / "build").mkdir(exist_ok=True)
    with (ROOT / "build" / "drawing.lock").open("w") as lock:  # of several sessions one draws, for half a minute
        await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
        await draw(Scene(persona.scene), ROOT / "build")
    async with Streaming(server.url) as streamer:
        await streamer.sign_in(persona.handle, PASSWORD)
        ingest = await streamer.call("POST", "/api/rooms/mine/ingest-key", {})
        cart = await streamer.call("GET", f"/api/shows/{show_id}/cart")
        await streamer.call("PUT", f"/api/shows/{show_id}/pin", {"item_id": cart["items"][0]["id"]})
        encoder = Encoder(ingest["rtmp_url"], ingest["key"], Scene(persona.scene), ROOT / "build")
        try:
            deadline = time.monotonic() + PICTURE_WAIT_S
            while not (await streamer.call("GET", f"/api/shows/{show_id}"))["playback"]:
                assert time.monotonic() < deadline, "no picture came through the RTMP door"
                await asyncio.sleep(0.2)
            yield show_id
        finally:
            encoder.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """One Chromium for all tests."""
    assert CHROMIUM, "bin/ensure-chromium installs one"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def profiles(chromium: Browser) -> Profiles:
    """Every page has a profile of its own, which other tests had before."""
    return Profiles(chromium)


@pytest_asyncio.fixture(loop_scope="session")
async def cinema(server: ServerUnderTest, profiles: Profiles) -> AsyncIterator[Cinema]:
    """Pages for one test. At its end none may have logged an error, broken the policy or asked another machine."""
    cinema = Cinema(server, profiles)
    yield cinema
    await cinema.close()
    assert not cinema.unexpected()


@pytest_asyncio.fixture(loop_scope="session")
async def show(cinema: Cinema) -> AsyncIterator[Show]:
    """A show of this test's own: two sizes of one thing, a single thing, and two last pieces."""
    show = await open_show(
        cinema,
        Goods("即食海参 开袋即食", prices=(19_900, 37_900)),
        Goods("头茬海带结", prices=(3_900,)),
        Goods("现开海胆黄", prices=(12_800,), stock=2),
    )
    yield show
    if (await did(show.streamer.get(f"/api/shows/{show.id}")))["state"] == "live":
        await show.end()
