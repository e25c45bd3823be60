"""After-sales over HTTP: the whole answer of a case, evidence that only its sides see, many cases accepted at once."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from claims import Desk
from doors import open_door
from films import film, picture
from laotie import identity
from laotie.base.db import Database
from laotie.base.ids import OrderId, new_id
from laotie.base.signer import Signer
from laotie.identity import Scope
from laotie.web.middleware import Door
from market import Market, open_market
from people import Browser, People
from world import made

CNY = "CNY"
BYTES = {"content-type": "application/octet-stream"}


@pytest.fixture
async def desk(db: Database, signer: Signer, tmp_path: Path) -> AsyncIterator[Desk]:
    async with open_market(db, signer, data_dir=str(tmp_path), registrations_per_hour=10_000) as market:
        yield Desk(market, tmp_path)


@pytest.fixture
def app(desk: Desk) -> Iterator[Door]:
    """The application of the market's own house."""
    with open_door(desk.market.house) as opened:
        yield opened


async def _bought(desk: Desk, people: People, buyer: Browser, *, quantity: int = 1) -> str:
    """An order of this browser's that has arrived."""
    market: Market = desk.market
    item = await market.add_item(stock=10, price=9900)
    line = {
        "sku_id": str(item.skus[0].sku_id),
        "cart_item_id": str(item.id),
        "quantity": quantity,
        "unit_price": {"amount": 9900, "currency": CNY},
    }
    order = await made(
        buyer.post("/api/orders", json={"id": str(new_id()), "show_id": str(market.show_id), "lines": [line]})
    )
    address = {"id": str(new_id()), "name": "Anna", "phone": "13800000000", "country": "CN", "city": "大连", "street": "1"}
    await made(buyer.post("/api/me/addresses", json=address))
    await made(buyer.put(f"/api/orders/{order['id']}/address", json={"address_id": address["id"]}))
    desk.buyers[OrderId(UUID(order["id"]))] = buyer.actor
    await market.pay(buyer.actor, OrderId(UUID(order["id"])))
    await desk.send(OrderId(UUID(order["id"])))
    return str(order["id"])


def _claim(**changes: Any) -> dict[str, Any]:
    line = {"no": 1, "quantity": 1}
    return {"id": str(new_id()), "kind": "return_refund", "reason": "damaged", "lines": [line], **changes}


async def test_a_case_as_its_buyer_reads_it(desk: Desk, people: People) -> None:
    anna = await people.viewer("anna")
    order = await _bought(desk, people, anna)
    rights = await made(anna.get(f"/api/orders/{order}/claimable"))
    [line] = rights["lines"]
    assert (line["left"], line["unsent"], line["amount"]) == (1, 0, {"amount": 9900, "currency": CNY})
    assert (line["withdrawal"]["statute"], line["withdrawal"]["days"], line["withdrawal"]["ground"]) == ("cn", 7, None)
    assert rights["kinds"]["withdrawal"] == ["changed_mind"]
    claim = _claim(text=" It came in pieces. ")
    case = await made(anna.post(f"/api/orders/{order}/cases", json=claim))
    again = await made(anna.post(f"/api/orders/{order}/cases", json=claim))
    assert again == case
    [entry], [line] = case.pop("entries"), case.pop("lines")
    due = case.pop("due_at")
    assert {name: case[name] for name in ("id", "order_id", "kind", "reason", "state", "then", "party", "acts")} == {
        "id": claim["id"],
        "order_id": order,
        "kind": "return_refund",
        "reason": "damaged",
        "state": "requested",
        "then": "returning",
        "party": "buyer",
        "acts": ["call_off"],
    }
    assert due is not None
    assert (case["amount"], case["refunded"]) == ({"amount": 9900, "currency": CNY}, {"amount": 0, "currency": CNY})
    assert (line["no"], line["quantity"], line["bought_quantity"], line["amount"]["amount"]) == (1, 1, 1, 9900)
    assert (entry["party"], entry["act"], entry["text"], entry["state"]) == (
        "buyer", "open", "It came in pieces.", "requested",
    )  # fmt: skip
    listed = await made(anna.get(f"/api/orders/{order}/cases"))
    assert [one["id"] for one in listed["items"]] == [claim["id"]]
    assert [one["id"] for one in (await made(anna.get("/api/cases")))["items"]] == [claim["id"]]


async def test_both_sides_and_an_operator_bring_a_case_to_its_end(desk: Desk, people: People) -> None:
    anna, market = await people.viewer("anna"), desk.market
    order = await _bought(desk, people, anna)
    owner = await people.viewer("staff")
    async with desk.market.db.tx() as tx:
        await identity.grant_seat(tx, market.owner, market.shop_id, "staff", scopes=[Scope.orders])
    arbiter = await people.operator()
    case = (await made(anna.post(f"/api/orders/{order}/cases", json=_claim())))["id"]

    async def step(who: Browser, act: str, **fields: Any) -> dict[str, Any]:
        body = {"id": str(new_id()), "act": act, **fields}
        return dict(await made(who.post(f"/api/cases/{case}/entries", json=body)))

    queue = await made(owner.get(f"/api/shops/{market.shop_id}/cases"))
    assert ([one["id"] for one in queue["items"]], queue["waiting"], queue["open"]) == ([case], 1, 1)
    seen = await step(owner, "refuse", text="We packed it well.")
    assert (seen["state"], seen["party"], seen["acts"]) == ("refused", "shop", ["accept"])
    refused = await anna.post(f"/api/cases/{case}/entries", json={"id": str(new_id()), "act": "accept"})
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/act-refused")
    assert (await step(anna, "escalate", text="Look at it."))["state"] == "arbitration"
    waiting = await made(arbiter.get("/api/arbitration"))
    assert [one["id"] for one in waiting["items"]] == [case]
    await step(arbiter, "decide_for_buyer", text="The film shows it.", freight_by="shop")
    sent = await step(
        anna, "send_back", carrier="SF", number="SF1", freight={"amount": 800, "currency": CNY}
    )
    assert sent["sent_back"] == {"carrier": "SF", "number": "SF1"}
    done = await step(owner, "approve_goods", inspected=[{"no": 1, "restock": 0}])
    assert (done["state"], done["acts"], done["due_at"], done["then"]) == ("refunded", [], None, None)
    assert done["refunded"] == {"amount": 9900, "currency": CNY}
    assert done["freight"] == {
        "amount": {"amount": 800, "currency": CNY}, "by": "shop", "paid": {"amount": 800, "currency": CNY},
    }  # fmt: skip
    assert (done["lines"][0]["restocked_quantity"], done["lines"][0]["written_off_quantity"]) == (0, 1)
    log = (await made(arbiter.get(f"/api/audit-log?subject={case}")))["items"]
    assert {"case.read", "case.decided"} <= {one["act"] for one in log}


async def test_evidence_is_seen_by_the_sides_alone(desk: Desk, people: People) -> None:
    anna, bob = await people.viewer("anna"), await people.viewer("bob")
    order = await _bought(desk, people, anna)
    photo, clip = str(new_id()), str(new_id())
    brought = await made(anna.put(f"/api/pictures/{photo}?purpose=evidence", content=picture(), headers=BYTES))
    assert (await anna.get(brought["url"])).status_code == 404, "it is not where everybody finds pictures"
    data = film(seconds=1)
    await made(anna.post("/api/evidence-films", json={"id": clip, "size_bytes": len(data)}))
    await made(anna.patch(f"/api/uploads/{clip}?offset=0", content=data, headers=BYTES))
    theirs = _claim(exhibits=[photo])
    refused = await bob.post(f"/api/orders/{await _bought(desk, people, bob)}/cases", json=theirs)
    assert refused.json()["type"] == "/problems/exhibit-refused"
    case = await made(anna.post(f"/api/orders/{order}/cases", json=_claim(exhibits=[photo, clip])))
    exhibits = {one["kind"]: one for one in case["entries"][0]["exhibits"]}
    assert (exhibits["film"]["state"], exhibits["film"]["url"]) == ("processing", None)
    await desk.market.run_jobs()
    case = await made(anna.get(f"/api/cases/{case['id']}"))
    exhibits = {one["kind"]: one for one in case["entries"][0]["exhibits"]}
    for kind, media_type in (("picture", "image/webp"), ("film", "video/mp4")):
        answer = await anna.get(exhibits[kind]["url"])
        assert (answer.status_code, answer.headers["content-type"]) == (200, media_type)
        assert answer.headers["cache-control"].startswith("private")
        assert (await bob.get(exhibits[kind]["url"])).status_code == 404
        assert (await people.stranger().get(exhibits[kind]["url"])).status_code == 401
    assert (await anna.get(exhibits["film"]["poster"])).headers["content-type"] == "image/jpeg"
    twice = await anna.post(
        f"/api/cases/{case['id']}/entries", json={"id": str(new_id()), "act": "say", "exhibits": [photo]}
    )
    assert twice.json()["type"] == "/problems/exhibit-refused"


async def test_many_are_accepted_at_once_and_one_that_moved_on_keeps_nobody(desk: Desk, people: People) -> None:
    anna, owner, market = await people.viewer("anna"), await people.viewer("staff"), desk.market
    async with market.db.tx() as tx:
        await identity.grant_seat(tx, market.owner, market.shop_id, "staff", scopes=[Scope.orders])
    order = await _bought(desk, people, anna, quantity=2)
    one = (await made(anna.post(f"/api/orders/{order}/cases", json=_claim(kind="refund_only"))))["id"]
    other = (await made(anna.post(f"/api/orders/{order}/cases", json=_claim())))["id"]
    await made(anna.post(f"/api/cases/{other}/entries", json={"id": str(new_id()), "act": "call_off"}))
    items = [{"case_id": case, "entry_id": str(new_id())} for case in (other, one, str(new_id()))]
    answer = await made(owner.post(f"/api/shops/{market.shop_id}/case-acceptances", json={"items": items}))
    assert [(found["state"], found["refusal"]) for found in answer["items"]] == [
        (None, "act-refused"),
        ("refunded", None),
        (None, "not-found"),
    ]
