"""A coupon from the console's form into a buyer's hand, and stopped again."""

from cinema import Cinema
from playwright.async_api import expect

from laotie.demo.goods import PERSONAS
from laotie.demo.market import PASSWORD as DEMO_PASSWORD
from laotie.demo.market import demo_id

TITLE = "试一试立减"


async def test_a_shop_gives_a_coupon_and_a_buyer_takes_it(cinema: Cinema, market: list[str]) -> None:
    persona = PERSONAS[0]
    desk = await cinema.desk("/coupons", await cinema.known(persona.handle, DEMO_PASSWORD))
    await desk.get_by_test_id("new-coupon").click()
    form = desk.get_by_test_id("coupon-form")
    await desk.get_by_test_id("coupon-make").click()
    await expect(form.get_by_role("alert")).to_contain_text("名称")
    await form.get_by_test_id("coupon-title").fill(TITLE)
    await form.get_by_test_id("coupon-off").get_by_role("textbox").or_(form.get_by_test_id("coupon-off")).last.fill("5")
    await (
        form.get_by_test_id("coupon-budget")
        .get_by_role("textbox")
        .or_(form.get_by_test_id("coupon-budget"))
        .last.fill("100")
    )
    await desk.get_by_test_id("coupon-make").click()
    row = desk.get_by_test_id("coupons").get_by_role("row").filter(has_text=TITLE)
    await expect(row).to_contain_text("进行中")

    page = await cinema.phone(f"/products/{demo_id('product', persona.goods[0].code)}", await cinema.person("领券的人"))
    await page.get_by_test_id("coupon-strip").click()
    ticket = page.get_by_test_id("coupons-sheet").get_by_test_id("ticket").filter(has_text=TITLE)
    await ticket.get_by_test_id("claim").click()
    await expect(ticket.get_by_test_id("claimed")).to_be_visible()
    await page.goto(f"{cinema.server.url}/me/coupons")
    await expect(page.get_by_test_id("ticket").filter(has_text=TITLE)).to_contain_text("¥5")

    await row.get_by_test_id("end-coupon").click()
    await desk.get_by_role("button", name="停用", exact=True).last.click()
    await expect(row).to_contain_text("已停用")
    await page.get_by_test_id("coupons-over").click()
    await expect(page.get_by_test_id("ticket").filter(has_text=TITLE)).to_be_visible()
