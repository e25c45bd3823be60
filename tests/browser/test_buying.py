"""From the video to the paid order, and what the streamer sees of it."""

from cinema import Cinema, Show, in_room, say, sign_in, until
from playwright.async_api import Page, expect

from laotie.demo.goods import PERSONAS
from laotie.demo.market import PASSWORD as DEMO_PASSWORD
from people import PASSWORD

ADDRESS = {
    "name": "王小雨",
    "phone": "13800138000",
    "region": "辽宁省",
    "city": "大连市",
    "district": "中山区",
    "street": "人民路 1 号",
}


async def test_a_viewer_watches_buys_and_pays_and_the_streamer_sees_it_arrive(cinema: Cinema, on_air: str) -> None:
    desk = await cinema.desk(f"/shows/{on_air}", await cinema.known(PERSONAS[0].handle, DEMO_PASSWORD))
    await expect(desk.get_by_test_id("link")).to_have_class("link-state open")
    page = await cinema.phone(f"/shows/{on_air}", await cinema.person("王小雨"))
    await in_room(page)
    await until(page, "() => document.querySelector('[data-testid=video]').currentTime > 0.5")
    await say(page, "来了来了")
    await expect(desk.get_by_test_id("desk-chat")).to_contain_text("来了来了")
    await page.get_by_test_id("follow").click()
    await expect(page.get_by_test_id("follow")).to_have_attribute("aria-pressed", "true")

    await page.get_by_test_id("cart").click()
    goods = PERSONAS[0].goods[0]
    await page.get_by_test_id("cart-item").filter(has_text=goods.title).get_by_test_id("cart-buy").click()
    await page.get_by_test_id("sku-option").filter(has_text=goods.values[1]).click()
    price = await page.get_by_test_id("buy-price").inner_text()
    await page.get_by_test_id("buy-submit").click()
    await fill_address(page)
    await page.get_by_test_id("checkout-pay").click()

    amount = await page.get_by_test_id("sandbox-amount").inner_text()
    assert amount.replace(",", "") in price.replace(",", "").replace("\n", "")
    sale = desk.get_by_test_id("sales").get_by_role("listitem").filter(has_text=goods.title).filter(has_text=amount)
    await expect(sale).to_contain_text("待付款")
    await page.get_by_test_id("sandbox-approve").click()
    await expect(page.get_by_test_id("result")).to_have_attribute("data-state", "paid")
    await expect(sale).to_contain_text("已付款")
    await page.get_by_test_id("to-order").click()
    await expect(page.get_by_test_id("order-state")).to_have_attribute("data-state", "paid")
    await expect(page.get_by_role("main")).to_contain_text(ADDRESS["street"])
    await page.goto(f"{cinema.server.url}/orders")
    await expect(page.get_by_test_id("order-card")).to_have_attribute("data-state", "paid")


async def test_a_guest_is_asked_to_sign_in_only_when_buying_and_goes_on_from_there(cinema: Cinema, show: Show) -> None:
    page = await cinema.phone(f"/shows/{show.id}")
    await in_room(page)
    await page.get_by_test_id("like").click()
    await page.get_by_test_id("pinned-buy").click()
    await page.get_by_test_id("sku-option").filter(has_text="1000g").click()
    await expect(page.get_by_test_id("sign-in-sheet")).to_be_hidden()
    await page.get_by_test_id("buy-submit").click()
    await expect(page.get_by_test_id("sign-in-sheet")).to_be_visible()
    await page.get_by_test_id("sign-in-switch").click()
    await page.get_by_test_id("sign-in-name").fill("新来的")
    await sign_in(page, f"guest-{show.id[:8]}", PASSWORD)
    await fill_address(page)
    await page.get_by_test_id("checkout-pay").click()
    await expect(page.get_by_test_id("sandbox-amount")).to_contain_text("379")
    await page.get_by_test_id("sandbox-approve").click()
    await page.get_by_test_id("back-to-show").click()
    await in_room(page)


async def test_a_returning_buyer_needs_two_taps_and_may_pay_again_when_declined(cinema: Cinema, show: Show) -> None:
    buyer = await cinema.person("老客")
    await show.give_address(buyer)
    page = await cinema.phone(f"/shows/{show.id}", buyer)
    await in_room(page)
    await show.pin("头茬海带结")
    await expect(page.get_by_test_id("pinned")).to_contain_text("头茬海带结")
    await page.get_by_test_id("pinned-buy").click()
    await expect(page.get_by_test_id("buy-address")).to_contain_text("海边路")
    await page.get_by_test_id("buy-submit").click()
    await page.get_by_test_id("sandbox-decline").click()
    await expect(page.get_by_test_id("result")).to_have_attribute("data-state", "failed")
    await page.get_by_test_id("pay-again").click()
    await page.get_by_test_id("checkout-pay").click()
    await page.get_by_test_id("sandbox-approve").click()
    await expect(page.get_by_test_id("result")).to_have_attribute("data-state", "paid")


async def test_pin_and_price_set_at_the_desk_reach_the_viewer(cinema: Cinema, show: Show) -> None:
    page = await cinema.phone(f"/shows/{show.id}", await cinema.person("桃子"))
    desk = await cinema.desk(f"/shows/{show.id}", show.streamer)
    await expect(page.get_by_test_id("pinned")).to_contain_text("即食海参")
    row = desk.get_by_test_id(f"cart-item-{show.items['头茬海带结']}")
    await row.get_by_test_id("pin").click()
    await expect(page.get_by_test_id("pinned")).to_contain_text("头茬海带结")
    await expect(page.get_by_test_id("pinned")).to_contain_text("39")
    await page.get_by_test_id("pinned-buy").click()
    await expect(page.get_by_test_id("buy-price")).to_contain_text("39")
    await row.get_by_test_id("price").click()
    await row.get_by_test_id("price-field").fill("29.90")
    await row.get_by_test_id("price-field").press("Enter")
    await expect(page.get_by_test_id("buy-price")).to_contain_text("29.9")
    await expect(page.get_by_test_id("buy-submit")).to_contain_text("29.9")
    await page.get_by_test_id("buy-submit").click()
    await expect(page.get_by_test_id("checkout-pay")).to_contain_text("29.9")


async def test_the_streamer_ends_the_show_at_the_desk(cinema: Cinema, show: Show) -> None:
    desk = await cinema.desk(f"/shows/{show.id}", show.streamer)
    page = await cinema.phone(f"/shows/{show.id}")
    await in_room(page)
    await desk.get_by_test_id("end-show").click()
    await expect(desk.get_by_role("dialog")).to_contain_text("今早的潮水")
    await desk.get_by_role("dialog").get_by_role("button", name="结束直播").click()
    await expect(desk.get_by_test_id("show-state")).to_have_text("已结束")
    await expect(page.get_by_test_id("ended")).to_be_visible()


async def fill_address(page: Page) -> None:
    """The form that stands in the checkout sheet of who has no address."""
    for field, value in ADDRESS.items():
        await page.get_by_test_id(f"address-{field}").fill(value)
    await page.get_by_test_id("address-save").click()
    await expect(page.get_by_test_id("address-current")).to_contain_text(ADDRESS["street"])
