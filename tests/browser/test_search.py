"""The shelf in real pages: typed, completed, narrowed, found by its sound, bought, and credited to the search."""

from cinema import ROOT, Cinema, Show, did
from playwright.async_api import expect

SHOTS = ROOT / "build" / "screenshots"


async def test_somebody_searches_narrows_buys_and_the_order_says_so(cinema: Cinema, show: Show) -> None:
    buyer = await cinema.person("老客")
    await show.give_address(buyer)
    page = await cinema.phone("/search", buyer)
    await page.get_by_test_id("search-input").fill("haidai")
    await page.get_by_test_id("suggestion").filter(has_text="海带").first.click()
    kelp = page.get_by_test_id("product-card").filter(has_text="头茬海带结").first
    await expect(kelp).to_be_visible()
    await page.screenshot(path=SHOTS / "search.png")
    await page.get_by_test_id("open-filter").click()
    await page.get_by_test_id("filter-in_stock").click()
    await page.get_by_test_id("price-max").fill("1")
    await page.get_by_test_id("filter-apply").click()
    await expect(page.get_by_test_id("empty")).to_be_visible()
    await page.goto(f"{cinema.server.url}/categories/海鲜")
    await expect(page.get_by_test_id("shelf-title")).to_have_text("海鲜")
    await page.get_by_test_id("sort-price_up").click()
    await page.get_by_test_id("search-input").fill("haidaijie")
    await page.get_by_test_id("search-go").click()
    await kelp.click()
    await page.get_by_test_id("product-buy").click()
    await page.get_by_test_id("buy-submit").click()
    await page.get_by_test_id("sandbox-approve").click()
    await expect(page.get_by_test_id("result")).to_have_attribute("data-state", "paid")
    order = (await did(buyer.get("/api/orders")))["items"][0]
    assert (order["source"], order["placement"], order["show_id"]) == ("shelf", "search", None)
