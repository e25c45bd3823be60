"""Bank accounts, the payouts desk and corrections over HTTP, whole answers."""

from typing import Any
from uuid import UUID

from bursary import CARD, Bursary
from laotie.base.clock import Clock
from laotie.base.db import Database
from laotie.base.ids import new_id
from laotie.base.settings import Settings
from laotie.base.signer import Signer
from laotie.settlement import Owner
from people import PASSWORD, Browser, People, problem
from world import made

SHOP = {"name": "渔家小铺", "currency": "CNY"}
ACCOUNT = {
    "form": "card", "currency": "CNY", "holder": "王小明", "number": CARD, "bank": "工商银行", "branch": "青岛分行",
    "password": PASSWORD,
}  # fmt: skip


async def open_shop(people: People) -> tuple[Browser, str]:
    owner, shop = await people.viewer("olga"), str(new_id())
    await made(owner.post("/api/shops", json={"id": shop, **SHOP}))
    return owner, shop


async def test_an_account_is_written_down_shown_in_part_and_stopped(people: People, clock: Clock) -> None:
    owner, shop = await open_shop(people)
    url = f"/api/shops/{shop}/bank-accounts"
    account_id = str(new_id())
    wrong = await owner.post(url, json={"id": account_id, **ACCOUNT, "password": "not the password"})
    assert problem(wrong)["type"] == "/problems/password-wrong"
    wrong = await owner.post(url, json={"id": account_id, **ACCOUNT, "number": CARD[:-1] + "0"})
    assert problem(wrong)["part"] == "number" and CARD[:-1] not in wrong.text
    answer = await made(owner.post(url, json={"id": account_id, **ACCOUNT}))
    assert CARD not in str(answer)
    assert answer == {
        "id": account_id, "form": "card", "currency": "CNY", "holder": "王小明", "bank": "工商银行", "branch": "青岛分行",
        "bic": None, "last_digits": CARD[-4:], "made_at": answer["made_at"], "usable_at": answer["usable_at"],
        "stopped_at": None, "standing": "cooling",
    }  # fmt: skip
    assert await made(owner.get(url)) == {"items": [answer], "cooling_h": 72}
    notices = (await made(owner.get("/api/me/notices")))["items"]
    assert [(one["kind"], one["link"]) for one in notices] == [("bank_account_changed", "/console/payouts")]
    stopped = await made(owner.post(f"/api/bank-accounts/{account_id}/cancellation"))
    assert stopped["standing"] == "stopped"
    second = await made(owner.post(url, json={"id": str(new_id()), **ACCOUNT}))
    clock.advance(seconds=72 * 3600)
    late = await owner.post(f"/api/bank-accounts/{second['id']}/cancellation")
    assert problem(late)["type"] == "/problems/bank-account-not-cooling"
    assert [one["standing"] for one in (await made(owner.get(url)))["items"]] == ["current", "stopped"]


async def test_the_desk_takes_money_from_a_balance_to_the_bank(
    people: People, db: Database, signer: Signer, settings: Settings, clock: Clock
) -> None:
    owner, shop = await open_shop(people)
    await made(owner.post(f"/api/shops/{shop}/bank-accounts", json={"id": str(new_id()), **ACCOUNT}))
    clock.advance(seconds=72 * 3600)
    await Bursary(db, settings, signer).owe(Owner(UUID(shop), True), 123_456)
    one, two = await people.operator("one"), await people.operator("two")
    payee = {
        "owner_id": shop, "owner_name": "渔家小铺", "is_shop": True, "amount": yuan(123_456), "waiting": "ready",
        "channel": "cn", "usable_at": None, "held_because": None,
    }  # fmt: skip
    found = await made(one.get("/api/payees?currency=CNY"))
    payee["usable_at"] = found["items"][0]["usable_at"]
    assert found == {"items": [payee], "next": None, "currencies": ["CNY"], "minimum": yuan(1_000)}
    batch_id = str(new_id())
    batch = await made(one.post("/api/payout-batches", json={"id": batch_id, "channel": "cn", "currency": "CNY"}))
    assert batch == {
        "id": batch_id, "route": "bank", "channel": "cn", "state": "drafted", "minimum": yuan(1_000),
        "drafted_by": {"id": str(one.account_id), "name": "One"}, "drafted_at": batch["drafted_at"], "changed_by": [],
        "approved_by": None, "approved_at": None, "sent_by": None, "sent_at": None, "ended_at": None,
        "counts": {"drafted": 1}, "amounts": {"drafted": yuan(123_456)}, "may_approve": False, "may_send": False,
    }  # fmt: skip
    url = f"/api/payout-batches/{batch_id}"
    assert problem(await one.post(f"{url}/approval"))["type"] == "/problems/second-person-needed"
    assert (await made(two.get(url)))["may_approve"]
    assert not (await made(two.post(f"{url}/approval")))["may_send"]
    assert problem(await two.post(f"{url}/dispatch"))["type"] == "/problems/second-person-needed"
    assert problem(await one.get(f"{url}/file"))["type"] == "/problems/batch-moved"
    assert (await made(one.post(f"{url}/dispatch")))["state"] == "sent"
    file = await one.get(f"{url}/file?form=csv")
    assert file.headers["content-type"].startswith("text/csv") and CARD in file.text
    assert file.headers["cache-control"] == "no-store"
    (payout,) = (await made(one.get(f"{url}/payouts")))["items"]
    assert (payout["amount"], payout["last_digits"], payout["state"]) == (yuan(123_456), CARD[-4:], "sent")
    results = f"reference,outcome\n{payout['id']},paid\nwhat,paid\n"
    brought = await made(
        two.post(f"{url}/payout-results.csv?name=a.csv", content=results.encode(), headers={"content-type": "text/csv"})
    )
    assert (brought["row_count"], brought["refused"]) == (2, [{"line_no": 3, "reference": "what", "why": "unknown"}])
    assert brought["batch"]["state"] == "closed"
    (own,) = (await made(owner.get(f"/api/shops/{shop}/settlement-payouts")))["items"]
    assert own == {
        "id": payout["id"], "amount": yuan(123_456), "state": "paid", "reason": None, "bank": "工商银行",
        "last_digits": CARD[-4:], "drafted_at": own["drafted_at"], "sent_at": own["sent_at"], "ended_at": own["ended_at"],
    }  # fmt: skip
    log = (await made(one.get(f"/api/audit-log?subject={batch_id}")))["items"]
    assert [entry["act"] for entry in reversed(log)] == [
        "payout_batch.drafted", "payout_batch.approved", "payout_batch.sent", "payout_file.downloaded",
        "payout_results.brought",
    ]  # fmt: skip


async def test_a_correction_takes_two_operators(people: People) -> None:
    owner, shop = await open_shop(people)
    one, two = await people.operator("one"), await people.operator("two")
    new = {
        "id": str(new_id()), "owner_id": shop, "is_shop": True, "amount": yuan(-500), "reason": "重复补贴",
        "evidence": "工单 1",
    }  # fmt: skip
    proposed = await made(one.post("/api/corrections", json=new))
    assert proposed == {
        **new, "owner_name": "渔家小铺", "state": "proposed", "note": None,
        "proposed_by": {"id": str(one.account_id), "name": "One"}, "proposed_at": proposed["proposed_at"],
        "decided_by": None, "decided_at": None, "may_decide": False, "is_mine": True,
    }  # fmt: skip
    url = f"/api/corrections/{new['id']}"
    assert problem(await one.post(f"{url}/approval"))["type"] == "/problems/second-person-needed"
    assert (await made(two.get("/api/corrections?open=true")))["items"][0]["may_decide"]
    assert (await made(two.post(f"{url}/approval")))["state"] == "approved"
    assert problem(await two.post(f"{url}/refusal", json={"note": "晚了"}))["type"] == "/problems/correction-moved"
    (seen,) = (await made(owner.get(f"/api/shops/{shop}/corrections")))["items"]
    assert (seen["amount"], seen["reason"]) == (yuan(-500), "重复补贴")
    other = f"/api/corrections/{(await made(one.post('/api/corrections', json={**new, 'id': str(new_id())})))['id']}"
    refused = await made(two.post(f"{other}/refusal", json={"note": "没有依据"}))
    assert (refused["state"], refused["note"]) == ("refused", "没有依据")
    third = f"/api/corrections/{(await made(one.post('/api/corrections', json={**new, 'id': str(new_id())})))['id']}"
    assert problem(await two.post(f"{third}/withdrawal"))["status"] == 404
    assert (await made(one.post(f"{third}/withdrawal")))["state"] == "withdrawn"


async def test_what_the_bank_says_is_written_down_by_hand_and_a_batch_can_be_given_up(
    people: People, db: Database, signer: Signer, settings: Settings, clock: Clock
) -> None:
    olga, shop = await open_shop(people)
    bursary, owner = Bursary(db, settings, signer), Owner(UUID(shop), True)
    one, two = await people.operator("one"), await people.operator("two")
    await made(olga.post(f"/api/shops/{shop}/bank-accounts", json={"id": str(new_id()), **ACCOUNT}))
    clock.advance(seconds=72 * 3600)
    await bursary.owe(owner, 5_000)
    new = {"channel": "cn", "currency": "CNY"}

    async def drafted() -> tuple[str, dict[str, Any]]:
        batch = f"/api/payout-batches/{(await made(one.post('/api/payout-batches', json={**new, 'id': str(new_id())})))['id']}"
        (payout,) = (await made(one.get(f"{batch}/payouts")))["items"]
        return batch, payout

    batch, _ = await drafted()
    assert (await made(two.post(f"{batch}/cancellation")))["state"] == "discarded"
    batch, payout = await drafted()
    withheld = await made(one.post(f"/api/settlement-payouts/{payout['id']}/withholding", json={"reason": "待核实"}))
    assert (withheld["state"], withheld["reason"]) == ("withheld", "待核实")
    batch, payout = await drafted()
    await made(two.post(f"{batch}/approval"))
    await made(one.post(f"{batch}/dispatch"))
    url = f"/api/settlement-payouts/{payout['id']}/result"
    for _ in range(2):
        paid = await made(two.post(url, json={"outcome": "paid", "bank_reference": "B1"}))
        assert (paid["state"], paid["amount"]) == ("paid", yuan(5_000))
    back = await made(two.post(url, json={"outcome": "returned", "reason": "账户已销"}))
    assert (back["state"], back["reason"]) == ("returned", "账户已销")
    assert problem(await two.post(url, json={"outcome": "paid"}))["type"] == "/problems/payout-moved"


def yuan(amount: int) -> dict[str, Any]:
    return {"amount": amount, "currency": "CNY"}
