"""Pictures of the pages, to be looked at: room, desk and review in `bin/prove`, all pages in every form with KEEP_PICTURES=1.

They go to build/screenshots. With KEEP_PICTURES=1 those of the README are taken anew, after some minutes of show.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import pytest
import pytest_asyncio
from cinema import DESK, PHONE, ROOT, TABLET, Cinema, did, in_room, until
from PIL import Image
from playwright.async_api import Page, expect

from laotie.bench.server import ServerUnderTest
from laotie.demo.client import Person as Streaming
from laotie.demo.goods import PERSONAS
from laotie.demo.market import PASSWORD, VIEWER
from laotie.demo.show import Fan

SHOTS = ROOT / "build" / "screenshots"
README = ROOT / "docs" / "pictures"
README_BYTES_MAX = 350_000
KEEP = os.environ.get("KEEP_PICTURES") == "1"
LIVELY_S = 200
"""How long the fans have the show to themselves before its pictures are taken: the desk's curve is a minute a point."""


class View(NamedTuple):
    """A page, how to get there, and the test id that tells that it is drawn."""

    name: str
    path: str
    ready: str
    press: str = ""


@pytest.mark.prove
async def test_room_and_desk_look_like_a_show(cinema: Cinema, lively: str) -> None:
    viewer = await cinema.known(VIEWER, PASSWORD)
    room = await cinema.phone(f"/shows/{lively}", viewer)
    desk = await cinema.desk(f"/shows/{lively}", await cinema.known(PERSONAS[0].handle, PASSWORD))
    await in_room(room)
    await until(room, "() => document.querySelector('[data-testid=video]')?.currentTime > 3")
    await expect(room.get_by_test_id("chat-line").nth(4 if KEEP else 0)).to_be_visible()
    await expect(room.get_by_test_id("pinned")).to_be_visible()
    await expect(room.get_by_test_id("status")).to_have_count(0)
    await until(desk, "() => document.querySelector('[data-testid=preview]')?.currentTime > 1")
    await expect(desk.get_by_test_id("sales").get_by_role("listitem").first).to_be_visible()
    review = await cinema.desk(f"/shows/{lively}/review", await cinema.known(PERSONAS[0].handle, PASSWORD))
    await expect(review.get_by_test_id("factor-gmv")).to_be_visible()
    await expect(review.get_by_test_id("minutes").locator("canvas")).to_be_visible()
    for name, page in (("room", room), ("desk", desk), ("review", review)):
        picture = await shoot(page, SHOTS / f"{name}.png")
        if KEEP:
            await asyncio.to_thread(compress, picture, README / f"{name}.webp")


@pytest.mark.skipif(not KEEP, reason="every page in every form takes minutes: KEEP_PICTURES=1")
@pytest.mark.parametrize("locale", ["zh-CN", "en"])
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, TABLET, DESK], ids=lambda size: f"{size[0]}")
async def test_every_page_in_every_form(
    cinema: Cinema, lively: str, size: tuple[int, int], theme: str, locale: str
) -> None:
    fan, streamer = await cinema.known(VIEWER, PASSWORD), await cinema.known(PERSONAS[0].handle, PASSWORD)
    show = await did(fan.get(f"/api/shows/{lively}"))
    orders = (await did(fan.get("/api/orders")))["items"]
    shelf = (await did(fan.get(f"/api/products?shop_id={show['shop_id']}")))["items"]
    views = [
        View("discover", "/discover", "show-card"),
        View("following", "/following", "tab-following"),
        View("search", "/search", "product-card"),
        View("product", f"/products/{shelf[0]['id']}", "product-buy"),
        View("streamer", f"/streamers/{show['streamer']['id']}", "follower-count"),
        View("room", f"/shows/{lively}", "pinned"),
        View("buy", f"/shows/{lively}", "buy-submit", press="pinned-buy"),
        View("orders", "/orders", "orders-all"),
        *[View("order", f"/orders/{order['id']}", "order-id") for order in orders[:1]],
        View("me", "/me", "me-name"),
        View("console-home", "/console/", "home-show"),
        View("console-desk", f"/console/shows/{lively}", "counters"),
        View("console-products", "/console/products", "products"),
        View("console-orders", "/console/orders", "orders-find"),
        View("console-shows", "/console/shows", "shows"),
        View("console-board", f"/console/shows/{lively}/board", "live-factors"),
        View("console-review", f"/console/shows/{lively}/review", "factor-gmv"),
        View("console-insight", "/console/insight/overview", "factor-gmv"),
        View("console-why", "/console/insight/why", "why-sentence"),
        View("console-people", "/console/insight/people", "deposition"),
        View("console-repurchase", "/console/insight/repurchase", "repurchase"),
        View("console-money", "/console/money", "balance"),
        View("console-staff", "/console/staff", "seats"),
        View("console-exports", "/console/exports", "exports"),
        View("console-keys", "/console/keys", "sandbox"),
        View("console-reference", "/console/keys/reference?op=add_product", "reference-answer"),
    ]
    if size == PHONE:
        views.insert(7, View("cart", f"/shows/{lively}", "cart-item", press="cart"))
    look: dict[str, Any] = {"size": size, "theme": theme, "locale": locale, "touch": size == PHONE}
    pages = {False: await cinema.open("/me", fan, **look), True: await cinema.open("/console/", streamer, **look)}
    for view in views:
        page = pages[view.path.startswith("/console")]
        await page.goto(f"{cinema.server.url}{view.path}")
        if view.press:
            await in_room(page)
            await page.get_by_test_id(view.press).click()
        await expect(page.get_by_test_id(view.ready).first).to_be_visible()
        if "room" in view.name or view.press:
            await until(page, "() => document.querySelector('[data-testid=video]')?.currentTime > 1")
        await shoot(page, SHOTS / f"{size[0]}" / f"{view.name}.{theme}.{locale}.png")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def lively(server: ServerUnderTest, on_air: str) -> AsyncIterator[str]:
    """The show on the air with fans in it, who talk, like, follow, buy and pay."""
    await _has_been_here(server.url, on_air)
    fans = [asyncio.create_task(Fan(server.url, number).run()) for number in range(2, 18 if KEEP else 8)]
    if KEEP:
        await _present(server.url, on_air)
    yield on_air
    for fan in fans:
        fan.cancel()
    await asyncio.gather(*fans, return_exceptions=True)


async def _has_been_here(url: str, show_id: str) -> None:
    """The viewer of the pictures follows the streamer and has an order that waits for payment."""
    async with Streaming(url) as viewer:
        await viewer.sign_in(VIEWER, PASSWORD)
        show = await viewer.call("GET", f"/api/shows/{show_id}")
        await viewer.call("PUT", f"/api/follows/{show['streamer']['id']}", {})
        item = (await viewer.call("GET", f"/api/shows/{show_id}/cart"))["items"][1]
        line = {"sku_id": item["skus"][0]["sku_id"], "cart_item_id": item["id"], "quantity": 1}
        line["unit_price"] = item["skus"][0]["price"]
        await viewer.call("POST", "/api/orders", {"id": str(uuid4()), "show_id": show_id, "lines": [line]})


async def _present(url: str, show_id: str) -> None:
    """The streamer talks for a while and explains one thing after the other, ending with the first."""
    persona = PERSONAS[0]
    async with Streaming(url) as streamer:
        await streamer.sign_in(persona.handle, PASSWORD)
        seat = await streamer.enter(show_id, None, lambda _: None)
        items = (await streamer.call("GET", f"/api/shows/{show_id}/cart"))["items"]
        for line, item in zip(persona.lines, [*reversed(items[: len(persona.lines)])], strict=True):
            await streamer.call("PUT", f"/api/shows/{show_id}/pin", {"item_id": item["id"]})
            await asyncio.sleep(LIVELY_S / len(persona.lines))
            seat.send({"t": "chat", "id": str(uuid4()), "text": line})
        seat.leave()


async def shoot(page: Page, path: Path) -> Path:
    """The window as it is, when nothing on it moves any more."""
    await page.evaluate("document.fonts.ready")
    path.parent.mkdir(parents=True, exist_ok=True)
    await page.screenshot(path=path, animations="disabled")
    return path


def compress(picture: Path, path: Path) -> None:
    """As good as fits into the repository."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(picture) as image:
        for quality in (92, 86, 80, 70):
            image.convert("RGB").save(path, quality=quality, method=6)
            if path.stat().st_size <= README_BYTES_MAX:
                return
    raise AssertionError(f"{path.name} is {path.stat().st_size} bytes")
