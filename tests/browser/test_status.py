"""Whether the books add up, as everybody may read it; what was found, and having it checked, for operators."""

from uuid import UUID

from cinema import Cinema, did
from playwright.async_api import expect

from laotie import audit, identity
from laotie.base.db import Database
from laotie.base.ids import AccountId
from laotie.base.settings import Settings
from laotie.lake import Lake
from people import PASSWORD


async def test_everybody_reads_whether_the_books_add_up_and_operators_what_was_found(cinema: Cinema) -> None:
    db = await Database.open(cinema.server.database_url, pool_max=3)
    lake = Lake.of(cinema.server.settings)
    try:
        await audit.check_now(db, audit.Terms.of(Settings()), lake=lake)
        page = await cinema.phone("/status")
        await expect(page.get_by_test_id("verdict")).to_contain_text("都对得上")
        await expect(page.get_by_test_id("promise-ledger-balances")).to_contain_text("余额都有来历")
        await expect(page.get_by_test_id("days").locator("i")).to_have_count(90)

        async with db.tx() as tx:  # a star nobody gave
            await tx.run("INSERT INTO aftersales.review_sum (subject_id, review_count) VALUES (gen_random_uuid(), 1)")
        account = (await did((await cinema.person("巡查")).get("/api/me")))["account"]
        async with db.tx() as tx:
            await identity.give_role(tx, AccountId(UUID(account["id"])), identity.Role.operator)
        operator = await cinema.known(account["handle"], PASSWORD)  # a session is known for some seconds as it was
        desk = await cinema.desk("/checks", operator)
        await desk.get_by_test_id("check-now").click()
        await expect(desk.get_by_test_id("verdict")).to_contain_text("1 项不符", timeout=60_000)
        await desk.get_by_role("tab", name="异常").click()
        await expect(desk.get_by_test_id("incident").filter(has_text="未恢复")).to_contain_text("评分如实")
        await page.reload()
        await expect(page.get_by_test_id("verdict")).to_contain_text("有 1 项不符")
        await expect(page.get_by_test_id("open-incidents")).to_contain_text("评分如实")
    finally:
        async with db.tx() as tx:
            await tx.run("DELETE FROM aftersales.review_sum WHERE review_count > 0 AND goods_sum = 0")
        await audit.check_now(db, audit.Terms.of(Settings()), lake=lake)
        await db.close()
