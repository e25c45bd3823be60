"""A show again: recorded while it was live, played, talked along, jumped in, and sold from."""

import asyncio
import re
import sys
import time
from pathlib import Path

from cinema import Cinema, Goods, did, in_room, open_show, say, until
from playwright.async_api import Page, expect

sys.path.insert(0, str(Path(__file__).parent.parent / "media"))

from on_air import pushing

TIME = "(document.querySelector('[data-testid=video]')?.currentTime ?? 0)"
EXPLAINED_S = 7.0


async def test_an_ended_show_is_played_again_and_sells_from_its_clip(cinema: Cinema) -> None:
    show = await open_show(cinema, Goods("即食海参"), Goods("头茬海带结", prices=(3_900,)))
    ingest = await did(show.streamer.post("/api/rooms/mine/ingest-key", json={}))
    async with pushing(f"{ingest['rtmp_url']}/{ingest['key']}", size="360x640"):
        viewer = await cinema.phone(f"/shows/{show.id}", await cinema.person("小雨"))
        await in_room(viewer)
        await until(viewer, f"() => {TIME} > 0.5")
        live_at = time.monotonic()
        await asyncio.sleep(1)
        await say(viewer, "这个怎么化冻")
        await asyncio.sleep(max(0.0, EXPLAINED_S - (time.monotonic() - live_at)))
        await show.pin("头茬海带结")
        desk = await cinema.desk(f"/shows/{show.id}", show.streamer)
        await expect(desk.get_by_test_id("recording-note")).to_have_attribute("data-state", "recording")
        await viewer.get_by_test_id("cart").click()
        await expect(viewer.get_by_test_id("watch-clip")).to_be_visible()
        await asyncio.sleep(1)
        await show.end()
    await expect(viewer.get_by_test_id("ended")).to_be_visible()

    buyer = await cinema.person("老客")
    await show.give_address(buyer)
    page = await cinema.phone(f"/shows/{show.id}", buyer)
    await expect(page.get_by_test_id("ended")).to_be_visible()
    await page.get_by_test_id("to-replay").click()
    await advances(page)
    line = page.get_by_test_id("chat-line").filter(has_text="这个怎么化冻")
    first_s = await page.evaluate(f"() => {TIME}")
    assert first_s < 3, "the chat comes at its moment, not with the page"
    await expect(line).to_be_visible(timeout=20_000)
    replay = await did(buyer.get(f"/api/shows/{show.id}/replay"))
    said = (await did(buyer.get(f"/api/shows/{show.id}/replay/chat")))["items"][0]
    assert await page.evaluate(f"() => {TIME}") >= said["at_s"] - 0.3

    mark = replay["marks"][1]
    await page.get_by_test_id("replay-list").click()
    await page.get_by_test_id("explained").filter(has_text="头茬海带结").get_by_test_id("mark").click()
    await until(page, f"from => {TIME} >= from && {TIME} < from + 3", mark["from_s"])
    await expect(page.get_by_test_id("replay-explained")).to_contain_text("头茬海带结")
    await page.goto(f"{cinema.server.url}/replay/{show.id}?at={mark['from_at']}")
    await until(page, f"from => {TIME} >= from - 0.1 && {TIME} < from + 3", mark["from_s"])

    clip = next(one for one in replay["clips"] if one["title"] == "即食海参")
    await page.goto(f"{cinema.server.url}/products/{clip['product_id']}")
    await page.get_by_test_id("product-clips").get_by_test_id("clip-link").click()
    await expect(page).to_have_url(re.compile(f"/clips/{clip['id']}"))
    await advances(page)
    await page.get_by_test_id("clip-buy").click()
    await expect(page.get_by_test_id("buy-address")).to_contain_text("海边路")
    await page.get_by_test_id("buy-submit").click()
    await expect(page.get_by_test_id("sandbox-amount")).to_contain_text("99")

    order = (await did(buyer.get("/api/orders")))["items"][0]
    seen = await did(show.streamer.get(f"/api/shops/{show.shop}/orders/{order['id']}"))
    assert (seen["placement"], seen["source"], seen["show_id"]) == (f"clip:{clip['id']}", "direct", None)
    desk = await cinema.desk(f"/shows/{show.id}/replay", show.streamer)
    await expect(desk.get_by_test_id(f"clip-{clip['id']}").get_by_test_id("clip-sold")).to_contain_text("1 · ¥99")
    await desk.get_by_test_id(f"clip-{clip['id']}").get_by_test_id("clip-toggle").click()
    await expect(desk.get_by_test_id(f"clip-{clip['id']}").get_by_test_id("clip-toggle")).to_have_text("公开")
    assert (await buyer.get(f"/api/clips/{clip['id']}")).status_code == 404


async def advances(page: Page) -> None:
    """Until the picture moves."""
    await until(page, f"() => {TIME} > 0")
    first = await page.evaluate(f"() => {TIME}")
    await until(page, f"from => {TIME} > from + 1", first)
