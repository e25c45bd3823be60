"""Waves and promises, as the streamer runs them at the desk and viewers live through them."""

import os
import re
from pathlib import Path

from cinema import Cinema, Goods, in_room, open_show
from playwright.async_api import Page, expect

TITLE = "头茬海带结"


async def test_a_wave_with_a_promise_is_bought_and_the_order_tells_what_was_promised(cinema: Cinema) -> None:
    show = await open_show(cinema, Goods(TITLE, prices=(3_900,)), Goods("即食海参 开袋即食", prices=(19_900, 37_900)))
    buyer = await cinema.person("老客")
    await show.give_address(buyer)
    page = await cinema.phone(f"/shows/{show.id}", buyer)
    desk = await cinema.desk(f"/shows/{show.id}", show.streamer)
    row = desk.get_by_test_id(f"cart-item-{show.items[TITLE]}")
    pinned = page.get_by_test_id("pinned")
    await in_room(page)

    # One click says a usual guarantee of what is being explained.
    await row.get_by_test_id("promise-preset").first.click()
    await expect(pinned.get_by_test_id("promise")).to_contain_text("7天无理由退换")

    await row.get_by_test_id("unfold").click()
    await row.get_by_test_id("wave-pieces").fill("3")
    await row.get_by_test_id("wave-price").fill("29.90")
    await row.get_by_test_id("wave-limit").fill("2")
    await row.get_by_test_id("wave-promise").click()
    wave = row.get_by_test_id("wave-box")
    await wave.get_by_test_id("promise-gift").fill("海带芽一包")
    await picture(desk, "desk-wave-form")
    await wave.get_by_test_id("wave-start").click()
    await expect(row.get_by_test_id("wave-line")).to_contain_text("剩 3 / 3")
    await expect(row.get_by_test_id("wave-countdown")).to_have_text(re.compile(r"[34]:\d\d|5:00"))

    await expect(pinned.get_by_test_id("wave")).to_contain_text("第 1 波")
    await expect(pinned.get_by_test_id("wave")).to_have_text(re.compile(r"[34]:\d\d|5:00"))
    await expect(pinned.get_by_test_id("promise")).to_have_text("赠品：海带芽一包 · 7天无理由退换")
    await expect(pinned).to_contain_text("29.9")
    await picture(page, "phone-wave")
    await page.get_by_test_id("pinned-buy").click()
    sheet = page.get_by_test_id("buy-sheet")
    await expect(sheet.get_by_test_id("promise")).to_contain_text("海带芽一包")
    await expect(sheet.get_by_test_id("buy-stock")).to_contain_text("2")
    await sheet.get_by_test_id("quantity-more").click()
    await picture(page, "phone-wave-sheet")
    await page.get_by_test_id("buy-submit").click()
    await page.get_by_test_id("sandbox-approve").click()
    await expect(page.get_by_test_id("result")).to_have_attribute("data-state", "paid")
    await expect(row.get_by_test_id("wave-line")).to_contain_text("剩 1 / 3")
    await page.get_by_test_id("to-order").click()
    promises = page.get_by_test_id("order-promises")
    await expect(promises).to_contain_text("赠品：海带芽一包")
    replay = promises.get_by_test_id("promise-replay")
    await expect(replay).to_have_attribute("href", re.compile(rf"^/replay/{show.id}\?at=20\d\d-.*Z$"))
    await picture(page, "phone-order-promise")

    # The next one waits for its call; until then nothing is sold.
    await row.get_by_test_id("wave-close").click()
    await row.get_by_test_id("wave-pieces").fill("5")
    await row.get_by_test_id("wave-prepare").click()
    await expect(row.get_by_test_id("wave-line")).to_contain_text("已备货 5 件")
    await page.goto(f"{cinema.server.url}/shows/{show.id}")
    await expect(pinned.get_by_test_id("next-wave")).to_be_visible()
    await expect(page.get_by_test_id("pinned-buy")).to_be_disabled()
    await picture(page, "phone-next-wave")
    await row.get_by_test_id("wave-open").click()
    await expect(page.get_by_test_id("pinned-buy")).to_be_enabled()
    await expect(pinned.get_by_test_id("wave")).to_contain_text("第 2 波")
    await row.get_by_test_id("wave-add").click()
    await expect(row.get_by_test_id("wave-line")).to_contain_text("剩 15 / 15")
    await picture(desk, "desk-wave-open")
    await show.end()


async def picture(page: Page, name: str) -> None:
    """What it looks like, where somebody wants to see it."""
    where = os.environ.get("TEST_PICTURES")
    if where:
        await page.screenshot(path=Path(where) / f"{name}.png")
