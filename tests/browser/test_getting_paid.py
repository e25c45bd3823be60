"""A shop opens its own account with a provider; operators see whose money may be taken, and settle what differs by two."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

from cinema import Cinema, did
from playwright.async_api import expect

from laotie import identity
from laotie.base.db import Database
from laotie.base.ids import AccountId, PaymentId, new_id
from laotie.base.money import Money
from laotie.identity import Role
from laotie.payments.hearing import take_in
from laotie.payments.provider import Report, ReportKind
from people import PASSWORD
from people import Browser as Person


async def _operator(cinema: Cinema, db: Database, name: str) -> Person:
    me = (await did((await cinema.person(name)).get("/api/me")))["account"]
    async with db.tx() as tx:
        await identity.give_role(tx, AccountId(UUID(me["id"])), Role.operator)
    return await cinema.known(me["handle"], PASSWORD)  # a session is known for some seconds as it was


async def test_a_shop_s_money_gets_an_account_of_its_own(cinema: Cinema) -> None:
    cinema.tolerate("rooms/mine")  # a shop without a room
    owner, shop = await cinema.person("老板"), str(uuid4())
    await did(owner.post("/api/shops", json={"id": shop, "name": "渔家小铺", "currency": "CNY"}))
    page = await cinema.desk("/getting-paid", owner)
    sandbox = page.locator("[data-testid=channel][data-provider=sandbox]")
    await expect(page.get_by_test_id("not-ready")).to_be_visible()
    await expect(sandbox).to_have_attribute("data-state", "none")
    await sandbox.get_by_test_id("go-on").click()
    await expect(page.get_by_test_id("sandbox-account-state")).to_have_attribute("data-state", "pending")
    await page.get_by_test_id("sandbox-account-reason").fill("营业执照已过期")
    await page.get_by_test_id("sandbox-account-limited").click()
    await expect(page.get_by_test_id("sandbox-account-state")).to_have_attribute("data-state", "limited")
    await page.get_by_role("link", name="返回工作台").click()
    await expect(sandbox).to_have_attribute("data-state", "limited")
    await expect(sandbox).to_contain_text("营业执照已过期")
    await sandbox.get_by_test_id("go-on").click()
    await page.get_by_test_id("sandbox-account-ready").click()
    await expect(page.get_by_test_id("sandbox-account-state")).to_have_attribute("data-state", "ready")
    await page.get_by_role("link", name="返回工作台").click()
    await expect(sandbox).to_have_attribute("data-state", "ready")
    await expect(page.get_by_test_id("not-ready")).to_be_hidden()

    db = await Database.open(cinema.server.database_url, pool_max=2)
    try:
        one, two = await _operator(cinema, db, "小周"), await _operator(cinema, db, "小吴")
        async with db.tx() as tx:
            report = Report(
                event_id=str(new_id()), kind=ReportKind.captured, name="payment.captured",
                payment_id=PaymentId(new_id()), money=Money(9_900, "CNY"),
            )  # fmt: skip
            await take_in(tx, "sandbox", report, b"")
    finally:
        await db.close()
    page = await cinema.desk("/providers", one)
    await expect(page.get_by_test_id("pooling")).to_have_attribute("data-on", "false")
    await expect(page.locator("[data-provider=sandbox]")).to_have_attribute("data-splits", "true")
    seller = page.get_by_test_id("sellers").get_by_role("row").filter(has_text="渔家小铺")
    await expect(seller).to_have_attribute("data-state", "ready")
    await page.get_by_test_id("own-shop-id").fill(shop)
    await page.get_by_test_id("own-shop-mark").click()
    await expect(page.get_by_test_id("own-shop")).to_contain_text("渔家小铺")

    page = await cinema.desk("/reconciliation", one)
    await page.get_by_test_id("tab-settling").click()
    await page.get_by_test_id("discrepancies").get_by_test_id("settle").first.click()
    await page.get_by_test_id("settle-reason").fill(f"沙盒里的测试付款，{datetime.now(UTC):%Y-%m-%d} 已核对")
    await page.get_by_test_id("settle-send").click()
    await expect(page.get_by_test_id("resolutions").locator("[data-state=proposed]")).to_be_visible()
    await expect(page.get_by_test_id("resolution-settle")).to_be_disabled()

    page = await cinema.desk("/reconciliation", two)
    await page.get_by_test_id("tab-settling").click()
    await page.get_by_test_id("resolution-settle").click()
    await expect(page.get_by_test_id("resolutions").locator("[data-state=settled]")).to_contain_text("小吴")
