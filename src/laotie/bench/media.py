"""`laotie bench media`: from the lens to the screen, and how many screens one process fills while it sells.

A real `laotie serve`, a 720p picture with a clock in it (`barcode`), sent in two ways: `browser`, by the studio of the
console's live desk in a real Chromium whose camera is a canvas; `rtmp`, by ffmpeg as OBS would. A real Chromium watches
the room's page and reads the clock out of the played frames, so latency is drawing to showing, on one machine's clock.
Startup is from opening the room's address to the first frame (median of several); rebuffering is the share of watching
in which the player ran dry.

Then plain HTTP viewers fetch playlist and parts as a low-latency player does (each one blocking reload and one part
after another over its own connection), in growing numbers, while buyers buy over sockets. A viewer is served when 99 %
of its parts arrive within `LATE_S` of the calm median: a player that keeps the playlist's 0.9 s would else run dry. A
step holds when 99 % of its viewers are served; the first that doesn't ends the run, and `viewers_served` is the last
that did. Viewers, buyers, encoder, server and database share the machine.
"""

import asyncio
import contextlib
import json
import re
import shutil
import statistics
import time
from collections.abc import AsyncIterator
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import httptools
import httpx
import uvloop
from cyclopts import Parameter
from picows import ws_connect
from rich.console import Console
from rich.table import Table

from laotie import identity
from laotie.base.db import Database
from laotie.bench import barcode
from laotie.bench.market import HotSale, open_sale, ticket_for
from laotie.bench.sale import Results, SocketBuyer
from laotie.bench.server import ServerUnderTest, free_port
from laotie.media.encoder import find_ffmpeg

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

console = Console(stderr=True)

DOORS = ("browser", "rtmp")
PASSWORD = "bench-the-picture-2026"  # noqa: S105 (of an account that lives as long as the run)
STARTUPS = 3
SETTLE_S = 6.0
"""A player that has just begun comes nearer to the edge for a few seconds; not counted."""
PICTURE_WAIT_S = 60.0

VIEWER_STEPS = (25, 50, 100, 150, 200, 300, 400, 600, 800, 1200)
STEP_S = 5.0
LATE_S = 0.7
SERVED_SHARE = 0.99
BUYERS = 16
BUYS_PER_S = 40

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding", "--autoplay-policy=no-user-gesture-required", "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]  # fmt: skip


def main(
    *,
    as_json: Annotated[bool, Parameter(name="--json")] = False,
    seconds: float = 30.0,
    viewers: bool = True,
    doors: tuple[str, ...] = DOORS,
) -> None:
    """Measure latency, startup, rebuffering and viewers; a table, and with --json one JSON object last."""
    figures = uvloop.run(_measure(seconds=seconds, viewers=viewers, doors=doors))
    _show(figures)
    if as_json:
        print(json.dumps(figures, ensure_ascii=False))


async def _measure(*, seconds: float, viewers: bool, doors: tuple[str, ...]) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    with ServerUnderTest(rtmp_port=str(free_port()), viewer_buys_per_s="1000000") as server:
        async with _chromium() as browser:
            for door in doors:
                sale, streamer = await _open(server)
                send = _send_from_browser if door == "browser" else _send_over_rtmp
                async with contextlib.aclosing(streamer), send(server, browser, sale, streamer) as desk:
                    console.log(f"{door}: on the air")
                    figures[door] = await _watch(server, browser, sale, seconds=seconds)
                    if desk is not None:
                        shown = await desk.get_by_test_id("latency").inner_text()
                        figures[door]["latency_on_the_desk"] = shown
                    if viewers:
                        figures[door] |= await _serve_viewers(server, sale)
                    console.log(f"{door}: {figures[door]}")
                    figures[door]["encoder"] = await _stats(streamer, sale)
    return figures


async def _open(server: ServerUnderTest) -> tuple[HotSale, httpx.AsyncClient]:
    """A show on the air, and its streamer signed in."""
    db = await Database.open(server.database_url)
    try:
        secret = await identity.hash_password(PASSWORD)
        sale = await open_sale(db, stock=10_000_000, limit=10_000, http_buyers=0, password_hash=secret)
        async with db.read() as tx:
            handle = await tx.one(str, "SELECT handle FROM identity.account WHERE id = %(id)s", id=sale.owner_id)
    finally:
        await db.close()
    streamer = httpx.AsyncClient(base_url=server.url, timeout=20)
    answer = await streamer.post("/api/sessions", json={"handle": handle, "password": PASSWORD})
    answer.raise_for_status()
    streamer.headers["X-CSRF-Token"] = answer.json()["csrf_token"]
    return sale, streamer


async def _stats(streamer: httpx.AsyncClient, sale: HotSale) -> dict[str, Any]:
    answer = await streamer.get(f"/api/shows/{sale.show_id}/ingest")
    return {name: answer.json()[name] for name in ("bits_per_s", "frames_per_s", "width", "height", "codecs")}


# --- sending ------------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def _chromium() -> AsyncIterator["Browser"]:
    try:
        from playwright.async_api import async_playwright
    except ImportError:
        raise SystemExit("laotie bench media needs playwright (uv sync) and Chromium (bin/ensure-chromium)") from None
    found = next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
    )
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=found, args=FLAGS)
        try:
            yield browser
        finally:
            await browser.close()


@contextlib.asynccontextmanager
async def _send_from_browser(
    server: ServerUnderTest, browser: "Browser", sale: HotSale, streamer: httpx.AsyncClient
) -> AsyncIterator["Page"]:
    """The streamer's desk, its studio, and a camera with a clock."""
    context = await browser.new_context(viewport={"width": 1440, "height": 900})
    try:
        await context.add_cookies(
            [{"name": one.name, "value": one.value or "", "url": server.url} for one in streamer.cookies.jar]
        )
        await context.add_init_script(barcode.page("media-camera.js"))
        await context.add_init_script("localStorage.setItem('laotie.studio', '{\"size\":720,\"upright\":false}')")
        desk = await context.new_page()
        await desk.goto(f"{server.url}/console/shows/{sale.show_id}")
        await desk.get_by_test_id("open-camera").click()
        await desk.get_by_test_id("send").click()
        await _until_live(streamer, sale)
        yield desk
    finally:
        await context.close()


@contextlib.asynccontextmanager
async def _send_over_rtmp(
    server: ServerUnderTest, browser: "Browser", sale: HotSale, streamer: httpx.AsyncClient
) -> AsyncIterator[None]:
    """ffmpeg's test card, pushed with the room's key."""
    ingest = (await streamer.post("/api/rooms/mine/ingest-key", json={})).json()
    url = f"rtmp://127.0.0.1:{server.settings.rtmp_port}{urlsplit(ingest['rtmp_url']).path}/{ingest['key']}"
    encoder = await asyncio.create_subprocess_exec(
        *barcode.push_arguments(find_ffmpeg(), url), stdin=asyncio.subprocess.DEVNULL
    )
    try:
        await _until_live(streamer, sale)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            encoder.kill()
        await encoder.wait()


async def _until_live(streamer: httpx.AsyncClient, sale: HotSale) -> None:
    deadline = time.monotonic() + PICTURE_WAIT_S
    while not (await streamer.get(f"/api/shows/{sale.show_id}")).json()["playback"]:
        if time.monotonic() > deadline:
            raise RuntimeError("no picture reached the server")
        await asyncio.sleep(0.1)
    await asyncio.sleep(2)


# --- one real viewer ----------------------------------------------------------------------------------------------


async def _watch(server: ServerUnderTest, browser: "Browser", sale: HotSale, *, seconds: float) -> dict[str, Any]:
    """Open the room several times; stay the last time."""
    startups = []
    for number in range(STARTUPS):
        context = await browser.new_context(viewport={"width": 390, "height": 844})
        try:
            await context.add_init_script(barcode.page("media-viewer.js"))
            page = await context.new_page()
            await page.goto(f"{server.url}/shows/{sale.show_id}")
            startups.append((await _seen(page, "seen.first_s !== null"))["first_s"])
            if number == STARTUPS - 1:
                return {**await _stay(page, seconds), "startup_s": round(statistics.median(startups), 2)}
        finally:
            await context.close()
    raise AssertionError


async def _stay(page: "Page", seconds: float) -> dict[str, Any]:
    await asyncio.sleep(SETTLE_S)
    await page.evaluate("() => { benchSeen.ages.length = 0; benchSeen.dry_s = benchSeen.unreadable = 0 }")
    await asyncio.sleep(seconds)
    seen = await _seen(page, "true")
    ages = sorted(age for _, age in seen["ages"])
    if len(ages) < seconds:
        raise RuntimeError(f"the clock could not be read: {len(ages)} of {len(ages) + seen['unreadable']} pictures")
    return {
        "latency_p50_s": round(ages[len(ages) // 2], 2),
        "latency_p95_s": round(ages[int(len(ages) * 0.95)], 2),
        "rebuffer_ratio": round(seen["dry_s"] / seconds, 4),
        "pictures_read": len(ages),
        "pictures_unreadable": seen["unreadable"],
    }


async def _seen(page: "Page", holds: str) -> dict[str, Any]:
    deadline = time.monotonic() + PICTURE_WAIT_S
    while not await page.evaluate(f"() => {{ const seen = benchSeen; return {holds} }}"):
        if time.monotonic() > deadline:
            raise RuntimeError("the room's page shows no picture")
        await asyncio.sleep(0.1)
    found: dict[str, Any] = await page.evaluate("() => benchSeen")
    return found


# --- many plain viewers, and buyers -------------------------------------------------------------------------------


class PlainViewer(asyncio.Protocol):
    """One connection: a blocking reload of the playlist, the part it brought, and again."""

    TAIL = re.compile(rb"DURATION=([\d.]+)")
    HINT = re.compile(rb'PRELOAD-HINT:TYPE=PART,URI="s(\d+)\.(\d+)\.m4s"')
    PART = re.compile(rb'URI="(s\d+\.\d+\.m4s)"')

    def __init__(self, path: str) -> None:
        self._path = path
        self._parser = httptools.HttpResponseParser(self)
        self._body: list[bytes] = []
        self._hint: tuple[int, int] | None = None
        self._wants_part = False
        self._ended_at = 0.0
        self.delays: list[float] = []
        """Of each part: from its end by PROGRAM-DATE-TIME to its arrival here."""
        self.failures = 0
        self.stopped = False

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._ask("live.m3u8")

    def connection_lost(self, error: Exception | None) -> None:
        self.failures += not self.stopped

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        body, self._body = b"".join(self._body), []
        status = self._parser.get_status_code()
        self._parser = httptools.HttpResponseParser(self)
        if self.stopped:
            return
        if status != 200:
            self.failures += 1
            asyncio.get_running_loop().call_later(0.5, self._ask_playlist)
        elif self._wants_part:
            self._wants_part = False
            self.delays.append(time.time() - self._ended_at)
            self._ask_playlist()
        else:
            self._read(body)

    def stop(self) -> None:
        """Go away."""
        self.stopped = True
        self._transport.abort()

    def _read(self, playlist: bytes) -> None:
        hint = self.HINT.search(playlist, max(0, len(playlist) - 200))
        begins = playlist.rfind(b"PROGRAM-DATE-TIME:") + 18
        assert hint is not None
        instant = datetime.fromisoformat(playlist[begins : playlist.index(b"\n", begins)].decode())
        self._ended_at = instant.timestamp() + sum(float(one) for one in self.TAIL.findall(playlist, begins))
        newest = self.PART.search(playlist, playlist.rfind(b"#EXT-X-PART:"))
        assert newest is not None
        self._hint = int(hint[1]), int(hint[2])
        self._wants_part = True
        self._ask(newest[1].decode())

    def _ask_playlist(self) -> None:
        wanted = f"?_HLS_msn={self._hint[0]}&_HLS_part={self._hint[1]}" if self._hint else ""
        self._wants_part = False
        self._ask(f"live.m3u8{wanted}")

    def _ask(self, name: str) -> None:
        if not self._transport.is_closing():
            self._transport.write(f"GET {self._path}/{name} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())


async def _serve_viewers(server: ServerUnderTest, sale: HotSale) -> dict[str, Any]:
    """More viewers step by step, until a step does not hold."""
    people = await _buyers(server, sale)
    viewers: list[PlainViewer] = []
    steps: list[dict[str, Any]] = []
    calm_s, calm_p99_ms = 0.0, (await _step(people, [], None))["buy_p99_ms"]
    try:
        for count in VIEWER_STEPS:
            loop = asyncio.get_running_loop()
            while len(viewers) < count:
                _, viewer = await loop.create_connection(
                    lambda: PlainViewer(f"/media/{sale.show_id}"), "127.0.0.1", server.port
                )
                viewers.append(viewer)
                await asyncio.sleep(0.002)
            step = await _step(people, viewers, calm_s or None)
            calm_s = calm_s or step["delay_p50_s"]
            steps.append({"viewers": count, **step})
            console.log(f"  {steps[-1]}")
            if step["served_share"] < SERVED_SHARE:
                break
    finally:
        for viewer in viewers:
            viewer.stop()
        for person in people:
            person.transport.disconnect()
    held = [step for step in steps if step["served_share"] >= SERVED_SHARE]
    return {
        "viewers_served": held[-1]["viewers"] if held else 0,
        "buy_p99_ms_while_serving": held[-1]["buy_p99_ms"] if held else None,
        "buy_p99_ms_before": calm_p99_ms,
        "steps": steps,
    }


async def _step(people: list[SocketBuyer], viewers: list[PlainViewer], calm_s: float | None) -> dict[str, Any]:
    await asyncio.sleep(1)
    results = people[0]._results
    results.latencies.clear()
    for viewer in viewers:
        viewer.delays.clear()
        viewer.failures = 0
    began = time.perf_counter()
    bought = 0
    while (gone := time.perf_counter() - began) < STEP_S:
        for person in people:
            if bought < gone * BUYS_PER_S and person.idle.is_set():
                person.buy()
                bought += 1
        await asyncio.sleep(0.004)
    delays = sorted(delay for viewer in viewers for delay in viewer.delays)
    calm_s = calm_s or (delays[len(delays) // 2] if delays else 0.0)
    served = sum(_is_served(viewer, calm_s) for viewer in viewers)
    return {
        "served_share": round(served / len(viewers), 3) if viewers else 1.0,
        "delay_p50_s": round(delays[len(delays) // 2], 3) if delays else None,
        "delay_p99_s": round(delays[int(len(delays) * 0.99)], 3) if delays else None,
        "parts_per_s": round(len(delays) / STEP_S),
        "failures": sum(viewer.failures for viewer in viewers),
        "buy_p99_ms": results.percentile_ms(0.99),
    }


def _is_served(viewer: PlainViewer, calm_s: float) -> bool:
    """Parts came at their pace, and 99 % in time."""
    in_time = sum(delay - calm_s <= LATE_S for delay in viewer.delays)
    return not viewer.failures and len(viewer.delays) >= STEP_S * 3 and in_time >= 0.99 * len(viewer.delays) - 1


async def _buyers(server: ServerUnderTest, sale: HotSale) -> list[SocketBuyer]:
    results = Results()
    people: list[SocketBuyer] = []
    for _ in range(BUYERS):
        person = SocketBuyer(sale, ticket_for(server.signer, sale), results)
        await ws_connect(lambda one=person: one, f"ws://127.0.0.1:{server.port}/ws")
        people.append(person)
    await asyncio.gather(*(person.welcome for person in people))
    return people


def _show(figures: dict[str, Any]) -> None:
    table = Table(title="From the lens to the screen, 720p")
    for column in ("door", "p50 s", "p95 s", "startup s", "rebuffering", "viewers", "buy p99 ms, serving"):
        table.add_column(column, justify="left" if column == "door" else "right")
    for door, row in figures.items():
        names = (
            "latency_p50_s",
            "latency_p95_s",
            "startup_s",
            "rebuffer_ratio",
            "viewers_served",
            "buy_p99_ms_while_serving",
        )
        table.add_row(door, *(str(row.get(name, "–")) for name in names))
    console.print(table)
