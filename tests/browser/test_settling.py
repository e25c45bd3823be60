"""Money from the agreement to the statement: set at the desk, settled by itself, followed to its order, printed."""

import asyncio
from uuid import uuid4

from cinema import Cinema, Show, did
from playwright.async_api import expect
from test_access import check
from test_trusting import receive

from laotie import identity
from laotie.base.db import Database
from laotie.identity import Role
from people import PASSWORD
from people import Browser as Person

TITLE = "即食海参 开袋即食"


async def _operator(cinema: Cinema) -> Person:
    """Somebody who runs the platform."""
    person = await cinema.person("小台")
    me = await did(person.get("/api/me"))
    db = await Database.open(cinema.server.database_url, pool_max=1)
    async with db.tx() as tx:
        await identity.give_role(tx, me["account"]["id"], Role.operator)
    await db.close()
    return await cinema.known(me["account"]["handle"], PASSWORD)


def yuan(amount: int) -> str:
    """As the console writes sums."""
    return f"¥{amount // 100:,}.{amount % 100:02d}"


async def test_a_share_is_agreed_an_order_settled_and_its_statement_read(cinema: Cinema, show: Show) -> None:
    operator = await _operator(cinema)
    house = {"kind": "platform", "shop_id": show.shop, "bps": 500, "note": "海鲜类目标准费率"}
    await did(operator.post("/api/rates", json={"id": str(uuid4()), **house}))
    term = {"id": str(uuid4()), "shop_id": show.shop, "delay_h": 0, "note": "老店，完成即结"}
    await did(operator.post("/api/terms", json=term))

    desk = await cinema.desk("/money", show.streamer)
    await expect(desk.get_by_test_id("balance-payable")).to_have_text("¥0.00")
    cinema.tolerate(r"409 \(Conflict\) .*/streamer-rates")  # a share that is too much
    await desk.get_by_test_id("tab-agreement").click()
    await expect(desk.get_by_test_id("preview-left")).to_have_text("95%")
    await desk.get_by_test_id("new-rate").click()
    percent = desk.get_by_test_id("rate-percent").locator("input")
    await percent.fill("96")
    await desk.get_by_test_id("rate-note").fill("双十一专场")
    await desk.get_by_test_id("rate-go").click()
    await expect(desk.get_by_test_id("rate-refusal")).to_contain_text("超过 100%")
    await percent.fill("20")
    await desk.get_by_test_id("rate-go").click()
    await expect(desk.get_by_test_id("rates")).to_contain_text("双十一专场")

    buyer = await cinema.person("小雨")
    order_id = await receive(show, buyer)
    total = (await did(buyer.get(f"/api/orders/{order_id}")))["total"]["amount"]  # of either size
    platform, share = total * 500 // 10_000, total * 2_000 // 10_000
    net = yuan(total - platform - share)
    async with asyncio.timeout(60):
        while not (await did(show.streamer.get(f"/api/shops/{show.shop}/statements")))["items"]:
            await asyncio.sleep(0.2)
    await desk.goto(f"{cinema.server.url}/console/money")
    await expect(desk.get_by_test_id("balance-payable")).to_have_text(net)
    await desk.locator("[data-testid^='month-']").click()
    await expect(desk.get_by_test_id("statement-closing")).to_have_text(net)
    await expect(desk.get_by_test_id("statement-sound")).to_be_visible()
    await check(desk, "statement")
    row = desk.get_by_test_id("lines").locator("tbody tr")
    await expect(row).to_contain_text(f"-{yuan(platform)}")
    async with desk.expect_download() as coming:
        await desk.get_by_test_id("statement-pdf").click()
    assert (await coming.value).suggested_filename.endswith("-CNY.pdf")
    await row.locator("a").click()
    await expect(desk.get_by_test_id("order-detail")).to_contain_text(order_id.replace("-", "")[-10:].upper())

    await desk.goto(f"{cinema.server.url}/console/earnings")
    await expect(desk.get_by_test_id("balance-payable")).to_have_text(yuan(share))
    office = await cinema.desk("/rates", operator, locale="en")
    await expect(office.get_by_test_id("rates")).to_contain_text("海鲜类目标准费率")
    await office.get_by_test_id("tab-terms").click()
    await expect(office.get_by_test_id("terms")).to_contain_text("0 hours")
