"""A shop's promise at the desk, on the phone and on the order; a review, and the shop's answer to it."""

from uuid import uuid4

from cinema import Cinema, Show, did
from playwright.async_api import expect

from people import Browser as Person

TITLE = "即食海参 开袋即食"


async def receive(show: Show, buyer: Person) -> str:
    """Bought, paid, sent and received; the order's id."""
    order_id = await show.buy_and_pay(buyer, TITLE)
    parcel = {"id": str(uuid4()), "carrier": "other", "number": order_id[-10:]}
    await did(show.streamer.post(f"/api/shops/{show.shop}/orders/{order_id}/parcels", json=parcel))
    await did(buyer.post(f"/api/orders/{order_id}/receipt", json={}))
    return order_id


async def test_a_promise_reaches_the_buyer_and_a_review_the_shop(cinema: Cinema, show: Show) -> None:
    desk = await cinema.desk("/guarantees", show.streamer)
    await desk.get_by_test_id("promise-authentic_ninefold").click()
    await desk.get_by_test_id("pledge-save").click()
    await expect(desk.get_by_test_id("deposit-required")).to_have_text("¥3,000.00")
    await expect(desk.get_by_test_id("deposit-alarm")).to_contain_text("差 ¥3,000")

    buyer = await cinema.person("小雨")
    order_id = await receive(show, buyer)
    page = await cinema.phone(f"/orders/{order_id}", buyer)
    await expect(page.get_by_test_id("order-guarantees")).to_contain_text("假一赔九")
    await page.get_by_test_id("order-review").click()
    for aspect, stars in (("goods", 4), ("service", 5), ("shipping", 5)):
        await page.get_by_test_id(f"stars-{aspect}").locator("label").nth(stars - 1).click()
    await page.get_by_test_id("review-text").fill("个头很匀")
    await page.get_by_test_id("review-send").click()
    await expect(page.get_by_test_id("review")).to_contain_text("个头很匀")

    await desk.goto(f"{cinema.server.url}/console/reviews")
    await expect(desk.get_by_test_id("shop-score")).to_contain_text("4.00")
    await desk.locator("[data-testid^='answer-']").first.click()
    await desk.get_by_test_id("answer-text").fill("谢谢，欢迎再来")
    await desk.get_by_test_id("answer-send").click()
    await expect(desk.locator(".answer")).to_contain_text("谢谢，欢迎再来")

    product = (await did(buyer.get(f"/api/orders/{order_id}")))["lines"][0]["product_id"]
    await page.goto(f"{cinema.server.url}/products/{product}")
    await expect(page.get_by_test_id("product-reviews")).to_contain_text("谢谢，欢迎再来")
    await page.get_by_test_id("guarantees").click()
    await expect(page.get_by_test_id("guarantee-sheet")).to_contain_text("九倍")
