"""axe-core finds nothing serious on the pages that matter, in light and in dark."""

import json
from typing import Any, Literal

from cinema import ROOT, Cinema, Show, did, in_room, until
from playwright.async_api import Page, expect

from laotie.demo.goods import PERSONAS
from laotie.demo.market import PASSWORD, VIEWER

AXE = ROOT / "ui" / "node_modules" / "axe-core" / "axe.min.js"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
GRAVE = """async (tags) => (await axe.run({ runOnly: tags, resultTypes: ['violations'] })).violations
  .filter((one) => ['serious', 'critical'].includes(one.impact))
  .map(({ id, nodes }) => ({ id, nodes: nodes.map((node) => [node.html.slice(0, 240), node.failureSummary]) }))"""
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
IN_THEME = "theme => document.documentElement.classList.contains('dark') === (theme === 'dark')"
AT_REST = """() => document.getAnimations().every(
  (one) => one.playState !== 'running' || one.effect.getTiming().iterations === Infinity)"""


async def test_the_viewers_pages_can_be_used_by_everybody(cinema: Cinema, on_air: str) -> None:
    page = await cinema.phone("/discover", await cinema.known(VIEWER, PASSWORD))
    await expect(page.get_by_test_id("show-card").first).to_be_visible()
    await check(page, "discover")
    await page.goto(f"{cinema.server.url}/shows/{on_air}")
    await in_room(page)
    await expect(page.get_by_test_id("pinned")).to_be_visible()
    await check(page, "room")
    await page.get_by_test_id("cart").click()
    await expect(page.get_by_test_id("cart-item").first).to_be_visible()
    await check(page, "cart")
    await page.get_by_test_id("sheet-close").filter(visible=True).click()
    await page.get_by_test_id("more").click()
    await check(page, "more")


async def test_checkout_and_orders_can_be_used_by_everybody(cinema: Cinema, show: Show) -> None:
    buyer = await cinema.person("大刘")
    page = await cinema.phone(f"/shows/{show.id}", buyer)
    await in_room(page)
    await page.get_by_test_id("pinned-buy").click()
    await page.get_by_test_id("sku-option").filter(has_text="1000g").click()
    await check(page, "buy")
    await page.get_by_test_id("buy-submit").click()
    await expect(page.get_by_test_id("address-form")).to_be_visible()
    await expect(page.get_by_test_id("checkout-pay")).to_be_enabled()
    await check(page, "checkout")
    await show.give_address(buyer)
    await page.goto(f"{cinema.server.url}/orders")
    await expect(page.get_by_test_id("order-card")).to_be_visible()
    await check(page, "orders")
    await page.get_by_test_id("order-card").click()
    await expect(page.get_by_test_id("order-id")).to_be_visible()
    await check(page, "order")
    sku = show.skus["头茬海带结"][0]
    await did(buyer.put(f"/api/basket/lines/{sku}", json={"quantity": 2}))
    await page.goto(f"{cinema.server.url}/basket")
    await expect(page.get_by_test_id("basket-line")).to_be_visible()
    await check(page, "basket")
    await page.get_by_test_id("basket-checkout").click()
    await expect(page.get_by_test_id("bill")).to_be_visible()
    await check(page, "purchase")


async def test_the_console_can_be_used_by_everybody(cinema: Cinema, on_air: str) -> None:
    desk = await cinema.desk(f"/shows/{on_air}", await cinema.known(PERSONAS[0].handle, PASSWORD))
    await expect(desk.get_by_test_id("cart").get_by_test_id("pin").first).to_be_visible()
    await expect(desk.get_by_test_id("link")).to_have_class("link-state open")
    await until(desk, "() => document.querySelector('[data-testid=preview]')?.currentTime > 1")
    await check(desk, "desk")
    for path, thing in (("products", "products"), ("orders", "orders-find"), ("", "home-show")):
        await desk.goto(f"{cinema.server.url}/console/{path}")
        await expect(desk.get_by_test_id(thing).first).to_be_visible()
        await check(desk, path or "home")


async def check(page: Page, what: str) -> None:
    """No serious and no critical finding in either theme, once the page has come to rest."""
    await page.evaluate(AXE.read_text())
    for theme in THEMES:
        await page.emulate_media(color_scheme=theme)
        await until(page, IN_THEME, theme)
        await until(page, AT_REST)
        found: list[dict[str, Any]] = await page.evaluate(GRAVE, TAGS)
        assert not found, f"{what}, {theme}: {json.dumps(found, ensure_ascii=False, indent=1)}"
