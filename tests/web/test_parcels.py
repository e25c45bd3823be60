"""Shipping over HTTP: whole answers, for the shop, the buyer and a carrier."""

from typing import Any
from uuid import UUID

import msgspec
import pytest

from laotie import identity, orders
from laotie.base.ids import OrderId, PaymentId, new_id
from laotie.base.settings import Settings
from laotie.orders import OrderState
from laotie.orders.changes import change_many, hold_many
from laotie.payments import signature
from laotie.web.house import House
from market import Market, furnish
from people import Browser, People, problem

SF = {"code": "sf", "zh": "顺丰速运", "en": "SF Express", "example": "SF1234567890123"}


@pytest.fixture
def settings() -> Settings:
    return Settings(registrations_per_hour=10_000, carrier_secrets="sf=a secret of the carrier")


@pytest.fixture
async def market(house: House) -> Market:
    return await furnish(house)


async def staff_of(people: People, market: Market) -> Browser:
    """Somebody of the shop who ships."""
    browser = await people.viewer("staff")
    async with market.db.tx() as tx:
        await identity.grant_seat(tx, market.owner, market.shop_id, "staff", scopes=[identity.Scope.orders])
    return browser


async def paid(market: Market, buyer: Browser, *, quantity: int = 2) -> OrderId:
    """An order that is paid, without the provider."""
    item = await market.add_item("海参", stock=9)
    placed = await market.till.place(market.ask(buyer.actor, item, quantity=quantity))
    address = await buyer.post(
        "/api/me/addresses",
        json={"id": str(new_id()), "name": "王小明", "phone": "13800000000", "country": "CN", "city": "青岛",
              "street": "海边路 1 号"},
    )  # fmt: skip
    await buyer.put(f"/api/orders/{placed.id}/address", json={"address_id": address.json()["id"]})
    async with market.db.tx() as tx:
        held = await hold_many(tx, [placed.id])
        await change_many(tx, paid=[(held[placed.id], PaymentId(new_id()))], cancelled=[])
    await market.settle()
    return placed.id


async def test_an_order_is_shipped_in_parts_moves_arrives_and_is_confirmed(people: People, market: Market) -> None:
    staff, anna = await staff_of(people, market), await people.viewer("anna")
    word = await staff.put(f"/api/shops/{market.shop_id}/dispatch", json={"ship_within_h": 48, "confirm_days": 10})
    assert (word.status_code, word.json()) == (200, {"ship_within_h": 48, "confirm_days": 10})
    order_id = await paid(market, anna)
    mine, ours = f"/api/orders/{order_id}", f"/api/shops/{market.shop_id}/orders/{order_id}"
    before = (await anna.get(f"{mine}/parcels")).json()
    assert before == {
        "order_id": str(order_id), "state": "paid", "stage": "waiting", "promised_h": 48, "ship_by": before["ship_by"],
        "is_late": False, "broken_at": None, "confirm_by": None, "is_paused": False, "may_confirm": False,
        "may_extend": False, "extension_days": 3, "left": [{"no": 1, "quantity": 2}], "parcels": [],
    }  # fmt: skip
    parcel = {"id": str(new_id()), "carrier": "顺丰", "number": "sf 1234567890123", "lines": [{"no": 1, "quantity": 1}]}
    shipped = await staff.post(f"{ours}/parcels", json=parcel)
    assert shipped.status_code == 201, shipped.text
    assert (await staff.post(f"{ours}/parcels", json=parcel)).json() == shipped.json()
    view = shipped.json()["parcels"][0]
    assert view == {
        "id": parcel["id"], "carrier": SF, "number": "SF1234567890123", "state": "registered",
        "lines": [{"no": 1, "quantity": 1}], "events": [], "made_at": view["made_at"], "delivered_at": None,
    }  # fmt: skip
    assert (shipped.json()["stage"], shipped.json()["left"]) == ("partly", [{"no": 1, "quantity": 1}])
    short = await staff.post(f"{ours}/parcels", json=parcel | {"id": str(new_id()), "number": "SF1234567890124",
                                                               "lines": [{"no": 1, "quantity": 2}]})  # fmt: skip
    assert problem(short) == {
        "type": "/problems/pieces-short",
        "title": "So many pieces of this line are not there to be shipped any more.",
        "status": 409,
        "detail": short.json()["detail"],
        "line_no": 1,
        "left": 1,
    }
    rest = await staff.post(f"{ours}/parcels", json={"id": str(new_id()), "carrier": "other", "number": "BOX-17"})
    assert (rest.json()["state"], rest.json()["stage"]) == ("shipped", "shipped")
    for one in rest.json()["parcels"]:
        noted = await staff.post(
            f"/api/shops/{market.shop_id}/parcels/{one['id']}/events",
            json={"id": str(new_id()), "kind": "delivered", "place": "青岛", "note": "本人签收"},
        )
        assert noted.status_code == 201, noted.text
        assert noted.json()["state"] == "delivered"
        assert [event["kind"] for event in noted.json()["events"]] == ["delivered"]
    arrived = (await anna.get(f"{mine}/parcels")).json()
    assert (arrived["stage"], arrived["may_confirm"], arrived["may_extend"]) == ("delivered", True, True)
    extended = (await anna.post(f"{mine}/extension", json={})).json()
    assert extended["confirm_by"] > arrived["confirm_by"] and not extended["may_extend"]
    again = await anna.post(f"{mine}/extension", json={})
    assert problem(again)["type"] == "/problems/extended-before"
    confirmed = await anna.post(f"{mine}/receipt", json={})
    assert (confirmed.json()["state"], confirmed.json()["stage"]) == ("completed", "closed")
    kinds = [notice["kind"] for notice in (await anna.get("/api/me/notices")).json()["items"]]
    assert sorted(kinds) == ["parcel_delivered", "parcel_delivered", "parcel_shipped", "parcel_shipped"]


async def test_a_parcel_is_corrected_and_called_off(people: People, market: Market) -> None:
    staff, anna = await staff_of(people, market), await people.viewer("anna")
    order_id = await paid(market, anna)
    parcel = {"id": str(new_id()), "carrier": "sf", "number": "SF1234567890123"}
    await staff.post(f"/api/shops/{market.shop_id}/orders/{order_id}/parcels", json=parcel)
    path = f"/api/shops/{market.shop_id}/parcels/{parcel['id']}"
    corrected = await staff.patch(path, json={"carrier": "zto", "number": "75312345678901"})
    assert (corrected.json()["carrier"]["code"], corrected.json()["number"]) == ("zto", "75312345678901")
    cancelled = await staff.post(f"{path}/cancellation", json={})
    assert cancelled.json()["state"] == "cancelled"
    assert (await anna.get(f"/api/orders/{order_id}/parcels")).json()["stage"] == "waiting"


async def test_the_shipping_page_its_packing_list_and_its_sheet(people: People, market: Market) -> None:
    staff, anna = await staff_of(people, market), await people.viewer("anna")
    order_id = await paid(market, anna)
    base = f"/api/shops/{market.shop_id}"
    page = (await staff.get(f"{base}/shipments?tab=waiting")).json()
    assert page["next"] is None
    shown = page["items"][0]
    line = shown["lines"][0]
    assert shown == {
        "order_id": str(order_id), "buyer": "Anna", "state": "paid", "stage": "waiting", "note": None, "address": None,
        "paid_at": shown["paid_at"], "ship_by": None, "broken_at": None, "confirm_by": None, "parcels": [],
        "lines": [{"no": 1, "sku_id": line["sku_id"], "product_id": line["product_id"], "title": "海参", "options": {},
                   "image": line["image"], "quantity": 2, "shipped": 0, "left": 2}],
    }  # fmt: skip
    packed = (await staff.get(f"{base}/packing-list?order={order_id}&order={new_id()}")).json()
    assert [one["address"]["street"] for one in packed] == ["海边路 1 号"]
    sheet = await staff.get(f"{base}/shipments.csv?language=en")
    assert sheet.headers["content-type"] == "text/csv; charset=utf-8"
    assert sheet.text.startswith("\ufeffOrder number,Line,Product,")
    filled = f"Order number,Carrier,Tracking number\n{order_id},sf,SF1234567890123\n{new_id()},sf,SF1234567890124\n"
    report = await staff.post(
        f"{base}/shipments.csv", content=filled.encode(), headers={"content-type": "text/csv"}
    )
    assert report.status_code == 200, report.text
    told = report.json()
    assert told == {
        "read": 2, "shipped": 1, "unchanged": 0, "refused": 1, "waiting": 0, "parcels": 1,
        "refused_by_code": {"not-found": 1},
        "problems": [{"line": 3, "order": told["problems"][0]["order"], "carrier": "sf", "number": "SF1234567890124",
                      "code": "not-found", "reason": "There is no such thing, or it is not yours to see"}],
    }  # fmt: skip
    assert (await staff.get(f"{base}/shipment-counts")).json() == {
        "waiting": 0, "partly": 0, "late": 0, "gathering": 0, "shipped": 1, "delivered": 0, "broken": 0,
    }  # fmt: skip
    assert [one["order_id"] for one in (await staff.get(f"{base}/shipments?tab=shipped")).json()["items"]] == [
        str(order_id)
    ]


async def test_a_carrier_is_heard_when_it_signs(people: People, market: Market) -> None:
    staff, anna = await staff_of(people, market), await people.viewer("anna")
    order_id = await paid(market, anna)
    await staff.post(
        f"/api/shops/{market.shop_id}/orders/{order_id}/parcels",
        json={"id": str(new_id()), "carrier": "sf", "number": "SF1234567890123"},
    )
    at = market.db.clock.now()
    news: list[dict[str, Any]] = [
        {"number": number, "key": "1", "kind": "delivered", "at": at.isoformat(), "place": "青岛"}
        for number in ("SF1234567890123", "SF1234567890199", "12")
    ]
    body = msgspec.json.encode({"events": news})
    signed = signature.sign([b"a secret of the carrier"], "m1", at=at, body=body) | {"content-type": "application/json"}
    carrier = people.stranger()
    heard = await carrier.post("/webhooks/carriers/sf", content=body, headers=signed)
    assert (heard.status_code, heard.json()) == (200, {"verdicts": ["applied", "unknown", "refused"]})
    forged = await carrier.post("/webhooks/carriers/sf", content=body, headers=signed | {"webhook-id": "m2"})
    assert problem(forged)["type"] == "/problems/signature-refused"
    nobody = await carrier.post("/webhooks/carriers/zto", content=body, headers=signed)
    assert problem(nobody)["type"] == "/problems/no-such-carrier"
    assert (await anna.get(f"/api/orders/{order_id}")).json()["state"] == "shipped"


async def test_what_is_promised_of_a_product_is_there_before_it_is_bought(people: People, market: Market) -> None:
    item = await market.add_item()
    owner = await people.owner("olga", UUID(str(market.shop_id)))
    path = f"/api/products/{item.product_id}/dispatch"
    await owner.put(f"/api/shops/{market.shop_id}/dispatch", json={"ship_within_h": 24, "confirm_days": None})
    assert (await people.stranger().get(path)).json() == {"own_h": None, "ship_within_h": 24}
    assert (await owner.put(path, json={"ship_within_h": 72})).json() == {"own_h": 72, "ship_within_h": 72}
    refused = await owner.put(path, json={"ship_within_h": 0})
    assert problem(refused)["type"] == "/problems/dispatch-refused"
    known = (await people.stranger().get("/api/carriers")).json()
    assert SF in known and "sandbox" not in [one["code"] for one in known]


async def test_a_late_order_says_so_to_its_buyer(people: People, market: Market) -> None:
    staff, anna = await staff_of(people, market), await people.viewer("anna")
    await staff.put(f"/api/shops/{market.shop_id}/dispatch", json={"ship_within_h": 1, "confirm_days": None})
    order_id = await paid(market, anna)
    market.db.clock.advance(seconds=3_700)
    view = (await anna.get(f"/api/orders/{order_id}/parcels")).json()
    assert (view["is_late"], view["broken_at"]) == (True, None)
    await orders.work_deliveries(market.db, orders.delivery.terms_of(market.settings))
    assert (await anna.get(f"/api/orders/{order_id}/parcels")).json()["broken_at"] is not None
    async with market.db.read() as tx:
        assert (await orders.get_own(tx, anna.actor, order_id)).state is OrderState.paid
    notices = (await anna.get("/api/me/notices")).json()["items"]
    assert [(one["kind"], one["facts"], one["link"]) for one in notices] == [
        ("order_late", {"hours": 1}, f"/orders/{order_id}")
    ]
