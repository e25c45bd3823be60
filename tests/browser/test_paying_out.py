"""A shop says where its money goes; two operators bring it there, and neither can do it alone."""

from datetime import timedelta
from uuid import UUID, uuid4

from cinema import Cinema, did
from playwright.async_api import expect
from test_access import check

from bursary import CARD
from laotie import identity
from laotie.base.db import Database
from laotie.base.ids import AccountId
from laotie.identity import Role
from people import PASSWORD
from people import Browser as Person


async def make_operator(cinema: Cinema, db: Database, name: str) -> Person:
    """Signed in after the role was given: a session is known for some seconds as it was."""
    account = (await did((await cinema.person(name)).get("/api/me")))["account"]
    async with db.tx() as tx:
        await identity.give_role(tx, AccountId(UUID(account["id"])), Role.operator)
    return await cinema.known(account["handle"], PASSWORD)


async def owe(first: Person, second: Person, shop: str, amount: int) -> None:
    """A correction, proposed by one and approved by the other: money in the shop's balance, and books that add up."""
    correction = {
        "id": str(uuid4()), "owner_id": shop, "is_shop": True, "amount": {"amount": amount, "currency": "CNY"},
        "reason": "开业奖励", "evidence": "合同 7",
    }  # fmt: skip
    await did(first.post("/api/corrections", json=correction))
    await did(second.post(f"/api/corrections/{correction['id']}/approval", json={}))


async def cool_off(db: Database, shop: str) -> None:
    """Three days go by for the shop's account."""
    async with db.tx() as tx:
        await tx.run(
            """
            UPDATE settlement.bank_account SET made_at = made_at - %(days)s, usable_at = usable_at - %(days)s
            WHERE owner_id = %(shop)s
            """,
            days=timedelta(days=3),
            shop=UUID(shop),
        )


async def test_money_goes_out_through_two_pairs_of_hands(cinema: Cinema) -> None:
    owner, shop = await cinema.person("老板娘"), str(uuid4())
    await did(owner.post("/api/shops", json={"id": shop, "name": "渔家小铺", "currency": "CNY"}))
    page = await cinema.desk("/payouts", owner)
    await page.get_by_test_id("account-change").click()
    await page.get_by_test_id("account-form-card").click()
    for name, text in (("holder", "王小明"), ("number", "6222021234567890120"), ("bank", "工商银行"), ("password", PASSWORD)):
        await page.get_by_test_id(f"account-{name}").fill(text)
    cinema.tolerate("422", "rooms/mine")  # the number is wrong at first; a shop without a room
    await page.get_by_test_id("account-save").click()
    await expect(page.get_by_test_id("account-refusal")).to_contain_text("账号不对")
    await page.get_by_test_id("account-number").fill(CARD)
    await page.get_by_test_id("account-save").click()
    await expect(page.get_by_test_id("account-cooling")).to_contain_text(CARD[-4:])
    await check(page, "payouts")

    db = await Database.open(cinema.server.database_url, pool_max=2)
    try:
        await cool_off(db, shop)
        one, two = await make_operator(cinema, db, "小周"), await make_operator(cinema, db, "小吴")
    finally:
        await db.close()
    await owe(one, two, shop, 123_456)
    first, second = await cinema.desk("/payout-desk", one), await cinema.desk("/payout-desk", two)
    await first.get_by_test_id("tab-payees").click()
    await expect(first.get_by_test_id("payees")).to_contain_text("渔家小铺")
    await first.get_by_test_id("draft-cn").click()
    await expect(first.get_by_test_id("four-eyes")).to_be_visible()
    await expect(first.get_by_test_id("batch-approve")).to_be_disabled()
    await check(first, "payout-desk")

    await second.reload()
    await second.get_by_test_id("batch-open").first.click()
    await expect(second.get_by_test_id("batch")).to_contain_text("¥1,234.56")
    await second.get_by_test_id("batch-approve").click()
    await expect(second.get_by_test_id("batch-send")).to_be_disabled()

    await first.reload()
    await first.get_by_test_id("batch-open").first.click()
    await first.get_by_test_id("batch-send").click()
    async with first.expect_download() as downloading:
        await first.get_by_test_id("batch-file-csv").click()
    path = await (await downloading.value).path()
    assert CARD in path.read_text(encoding="utf-8-sig")
    await first.get_by_test_id("payout-paid").click()
    await expect(first.get_by_test_id("batch-state")).to_have_text("已完成")

    await page.reload()
    await expect(page.get_by_test_id("own-payouts")).to_contain_text("已到账")
    await expect(page.get_by_test_id("account-current")).to_contain_text(CARD[-4:])
