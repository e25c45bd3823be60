"""A basket from two shops, a coupon and why another does not count, one payment, and a team that comes together."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from cinema import Cinema, Goods, Show, did, in_room, open_show
from playwright.async_api import Page, expect

from people import Browser as Person


async def give_coupon(show: Show, buyer: Person, title: str, *, threshold: int, off: int) -> None:
    """A coupon of the show's shop, claimed by the buyer."""
    now = datetime.now(UTC)
    coupon: dict[str, Any] = {"id": str(uuid4()), "title": title, "kind": "fixed", "currency": "CNY", "quantity": 10}
    coupon |= {"threshold_amount": threshold, "off_amount": off, "budget_amount": 100_000}
    coupon |= {"starts_at": (now - timedelta(hours=1)).isoformat(), "ends_at": (now + timedelta(days=1)).isoformat()}
    await did(show.streamer.post(f"/api/shops/{show.shop}/coupons", json=coupon))
    await did(buyer.post(f"/api/coupons/{coupon['id']}/claims", json={"id": str(uuid4())}))


async def product_of(show: Show, title: str) -> str:
    cart = await did(show.streamer.get(f"/api/shows/{show.id}/cart"))
    return str(next(one["product_id"] for one in cart["items"] if one["title"] == title))


async def keep(page: Page, path: str) -> None:
    """Put a product into the basket from its own page."""
    await page.goto(path)
    await page.get_by_test_id("product-buy").click()
    await page.get_by_test_id("buy-keep").click()
    await expect(page.get_by_test_id("buy-sheet")).to_be_hidden()


async def approve(page: Page) -> None:
    await page.get_by_test_id("sandbox-approve").click()
    await expect(page.get_by_test_id("result")).to_have_attribute("data-state", "paid")


async def test_a_basket_of_two_shops_is_bought_with_a_coupon_and_paid_once(cinema: Cinema, show: Show) -> None:
    other = await open_show(cinema, Goods("手炒绿茶 明前", prices=(8_800,)), name="老林")
    buyer = await cinema.person("王小雨")
    await show.give_address(buyer)
    await give_coupon(show, buyer, "满200减20", threshold=20_000, off=2_000)
    await give_coupon(other, buyer, "满300减50", threshold=30_000, off=5_000)
    page = await cinema.phone(f"/shows/{show.id}", buyer)
    await in_room(page)
    await page.get_by_test_id("pinned-buy").click()
    await page.get_by_test_id("sku-option").filter(has_text="1000g").click()
    await page.get_by_test_id("buy-keep").click()
    await expect(page.get_by_test_id("buy-sheet")).to_be_hidden()
    await keep(page, f"{cinema.server.url}/products/{await product_of(other, '手炒绿茶 明前')}")
    await expect(page.get_by_test_id("basket-count").first).to_have_text("2")

    elsewhere = await cinema.phone("/basket", buyer)  # another device of hers
    await expect(elsewhere.get_by_test_id("basket-shop")).to_have_count(2)
    await elsewhere.get_by_test_id("basket-line").filter(has_text="绿茶").get_by_test_id("basket-more").click()
    await expect(elsewhere.get_by_test_id("basket-total")).to_contain_text("555")
    await elsewhere.get_by_test_id("basket-checkout").click()
    await expect(elsewhere.get_by_test_id("checkout-shop")).to_have_count(2)
    await expect(elsewhere.get_by_test_id("checkout-total")).to_contain_text("535")
    await elsewhere.get_by_test_id("open-coupons").click()
    await expect(elsewhere.get_by_test_id("coupon").filter(has_text="满200减20")).to_have_attribute("data-reason", "applied")
    lacking = elsewhere.get_by_test_id("coupon").filter(has_text="满300减50")
    await expect(lacking).to_have_attribute("data-reason", "below-threshold")
    await expect(lacking).to_contain_text("124")
    await elsewhere.get_by_test_id("coupons-done").click()
    await elsewhere.get_by_test_id("note-open").first.click()
    await elsewhere.get_by_test_id("note").fill("放在门口")

    tea = other.skus["手炒绿茶 明前"][0]
    cheaper = {"price": {"amount": 8_000, "currency": "CNY"}}
    await did(other.streamer.patch(f"/api/skus/{tea}", json=cheaper))
    cinema.tolerate("409")
    await elsewhere.get_by_test_id("place").click()
    await expect(elsewhere.get_by_test_id("checkout-changed")).to_contain_text("80")
    await expect(elsewhere.get_by_test_id("checkout-total")).to_contain_text("519")
    await elsewhere.get_by_test_id("place").click()
    await expect(elsewhere.get_by_test_id("sandbox-amount")).to_contain_text("519")
    await approve(elsewhere)
    await expect(elsewhere.get_by_test_id("result-order")).to_have_count(2)
    orders = (await did(buyer.get("/api/orders")))["items"]
    assert sorted((one["state"], one["total"]["amount"]) for one in orders) == [("paid", 16_000), ("paid", 35_900)]
    assert "放在门口" in {one["note"] for one in orders} and len({one["note"] for one in orders}) == 2
    assert (await did(buyer.get("/api/basket")))["lines"] == []


async def test_two_people_come_together_for_a_lower_price(cinema: Cinema, show: Show) -> None:
    product, sku = await product_of(show, "头茬海带结"), show.skus["头茬海带结"][0]
    offer: dict[str, Any] = {"id": str(uuid4()), "product_id": product, "size": 2}
    offer["prices"] = [{"sku_id": sku, "price": {"amount": 2_900, "currency": "CNY"}}]
    offer["ends_at"] = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    desk = await cinema.desk("/groups", show.streamer)
    await did(show.streamer.post(f"/api/shops/{show.shop}/group-offers", json=offer))
    await desk.reload()
    await expect(desk.get_by_test_id(f"group-{offer['id']}")).to_contain_text("进行中")
    anna, ben = await cinema.person("安娜"), await cinema.person("小本")
    for one in (anna, ben):
        await show.give_address(one)
    page = await cinema.phone(f"/products/{product}", anna)
    await expect(page.get_by_test_id("group")).to_contain_text("29")
    await page.get_by_test_id("open-team").click()
    await page.get_by_test_id("team-join").click()
    await page.get_by_test_id("buy-submit").click()
    await expect(page.get_by_test_id("sandbox-amount")).to_contain_text("29")
    await approve(page)
    await page.get_by_test_id("to-team").click()
    await expect(page.get_by_test_id("team-member")).to_have_count(1)
    link = page.url

    friend = await cinema.phone(f"/products/{product}", ben)
    await expect(friend.get_by_test_id("join-team")).to_be_visible()
    await friend.goto(link)
    await friend.get_by_test_id("team-join").click()
    await friend.get_by_test_id("buy-submit").click()
    await approve(friend)
    await expect(page.get_by_test_id("team")).to_have_attribute("data-state", "complete")
    await page.get_by_test_id("team-order").click()
    await expect(page.get_by_test_id("order-team")).to_be_visible()
