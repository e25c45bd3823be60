"""Shipping, tax, crossed-out prices, price protection and invoices over HTTP: whole answers."""

import csv
import io
from collections.abc import AsyncIterator
from typing import Any
from unittest.mock import ANY
from uuid import UUID

import pytest

from laotie import identity
from laotie.base.db import Database
from laotie.base.ids import OrderId, new_id
from laotie.base.signer import Signer
from market import Market, open_market
from people import Browser, People
from world import ADDRESS, made

DAY = 86_400


def cny(amount: int) -> dict[str, Any]:
    return {"amount": amount, "currency": "CNY"}


@pytest.fixture
async def market(db: Database, signer: Signer) -> AsyncIterator[Market]:
    async with open_market(db, signer) as opened:
        yield opened


@pytest.fixture
async def shop(people: People) -> dict[str, Any]:
    """A shop with one listed product, its owner's browser and a buyer's."""
    owner, buyer = await people.viewer("olga"), await people.viewer("anna")
    ids = {name: str(new_id()) for name in ("shop", "product", "sku", "address")}
    await made(owner.post("/api/shops", json={"id": ids["shop"], "name": "海边人家", "currency": "CNY"}))
    product = {"id": ids["product"], "title": "海参", "tax_bps": 1_300}
    await made(owner.post(f"/api/shops/{ids['shop']}/products", json=product))
    sku = {"id": ids["sku"], "code": "HS", "price": cny(11_300), "list_price": cny(19_900), "stock": 9, "weight_grams": 600}
    await made(owner.post(f"/api/products/{ids['product']}/skus", json=sku))
    await made(owner.patch(f"/api/products/{ids['product']}", json={"state": "listed"}))
    address = {"id": ids["address"], **ADDRESS, "region": "辽宁省"}
    await made(buyer.post("/api/me/addresses", json=address))
    return {**ids, "owner": owner, "buyer": buyer}


async def template(shop: dict[str, Any], rules: list[dict[str, Any]], **said: Any) -> dict[str, Any]:
    body = {"name": "普通快递", "measure": "weight", "rules": rules, "is_default": True} | said
    url = f"/api/shops/{shop['shop']}/shipping-templates/{said.pop('id', new_id())}"
    return dict(await made(shop["owner"].put(url, json={k: v for k, v in body.items() if k != "id"})))


def order_of(shop: dict[str, Any], quantity: int = 1, **changes: Any) -> dict[str, Any]:
    line = {"sku_id": shop["sku"], "quantity": quantity, "unit_price": cny(changes.pop("price", 11_300))}
    return {"id": str(new_id()), "lines": [line], "address_id": shop["address"]} | changes


def problem(answer: Any, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    body = dict(answer.json())
    assert body["type"] == f"/problems/{code}", body
    return body


async def test_a_template_is_made_replaced_listed_and_removed(shop: dict[str, Any]) -> None:
    owner: Browser = shop["owner"]
    place = {"country": "CN", "region": "辽宁"}
    rule: dict[str, Any] = {"places": [place], "first": 1_000, "first_fee": 600, "further": 500}
    rules: list[dict[str, Any]] = [{}, rule]
    made_one = await template(shop, rules)
    whole = {
        "places": [],
        "delivered": True,
        "first": 1,
        "first_fee": 0,
        "further": 1,
        "further_fee": 0,
        "free_from_amount": None,
        "free_from_pieces": None,
    }
    assert made_one == {
        "id": made_one["id"],
        "shop_id": shop["shop"],
        "name": "普通快递",
        "measure": "weight",
        "rules": [whole, whole | rule | {"places": [{"country": "CN", "region": "辽宁", "city": ""}]}],
        "is_default": True,
        "version": 1,
        "updated_at": made_one["updated_at"],
        "product_count": 0,
    }
    url = f"/api/shops/{shop['shop']}/shipping-templates"
    stale = {"name": "x", "measure": "weight", "rules": [{}], "expected_version": 7}
    assert problem(await owner.put(f"{url}/{made_one['id']}", json=stale), 409, "changed-meanwhile")["version"] == 1
    nothing = {"name": "x", "measure": "weight", "rules": []}
    assert problem(await owner.put(f"{url}/{new_id()}", json=nothing), 422, "shipping-rules-refused")["reason"] == "count"
    product = await made(
        owner.patch(f"/api/products/{shop['product']}", json={"shipping_template_id": made_one["id"], "tax_bps": 900})
    )
    assert (product["shipping_template_id"], product["tax_bps"]) == (made_one["id"], 900)
    assert (await made(owner.get(url)))["items"] == [made_one | {"product_count": 1}]
    assert (await owner.delete(f"{url}/{made_one['id']}")).status_code == 204
    assert (await made(owner.get(url)))["items"] == []
    assert (await made(owner.get(f"/api/products/{shop['product']}")))["shipping_template_id"] is None


async def test_an_order_with_its_address_has_its_fee_in_one_request(shop: dict[str, Any]) -> None:
    buyer: Browser = shop["buyer"]
    rules = [
        {"first": 1_000, "first_fee": 1_000, "further": 500, "further_fee": 300},
        {"places": [{"country": "CN", "region": "西藏"}], "delivered": False},
    ]
    await template(shop, rules)
    body = order_of(shop, 3, note="轻拿轻放")
    placed = await buyer.post("/api/orders", json=body)
    assert (placed.status_code, placed.json()["total"]) == (201, cny(33_900 + 1_600))
    again = await buyer.post("/api/orders", json=body)
    assert (again.status_code, again.json()) == (200, placed.json())
    order = await made(buyer.get(f"/api/orders/{placed.json()['id']}"))
    assert (order["note"], order["bill"]) == (
        "轻拿轻放",
        {
            "goods": cny(33_900),
            "discount": cny(0),
            "subsidy": cny(0),
            "shipping": cny(1_600),
            "tax": cny(3_900),
            "total": cny(35_500),
            "refunded": cny(0),
        },
    )
    assert (order["lines"][0]["tax"], order["lines"][0]["tax_bps"]) == (cny(3_900), 1_300)
    far = str(new_id())
    await made(buyer.post("/api/me/addresses", json={"id": far, **ADDRESS, "region": "西藏自治区"}))
    moved = await buyer.put(f"/api/orders/{order['id']}/address", json={"address_id": far})
    assert problem(moved, 409, "not-delivered")["region"] == "西藏自治区"
    refused = order_of(shop, address_id=far)
    problem(await buyer.post("/api/orders", json=refused), 409, "not-delivered")
    assert len((await made(buyer.get("/api/orders")))["items"]) == 1
    payment = {"id": str(new_id()), "method": "sandbox"}
    paying = await made(buyer.post(f"/api/orders/{order['id']}/payments", json=payment))
    assert paying["amount"] == cny(35_500)
    await made(shop["owner"].patch(f"/api/skus/{shop['sku']}", json={"weight_grams": 10}))
    here = {"address_id": shop["address"]}
    problem(await buyer.put(f"/api/orders/{order['id']}/address", json=here), 409, "payment-under-way")


async def test_only_the_shop_is_told_what_it_typed_and_why_it_is_not_shown(db: Database, shop: dict[str, Any]) -> None:
    def list_prices(product: dict[str, Any]) -> tuple[Any, Any]:
        [sku] = product["skus"]
        return sku["list_price"], sku["own_list_price"]

    url = f"/api/products/{shop['product']}"
    typed = {"typed": cny(19_900), "gap": "no-history"}
    assert list_prices(await made(shop["owner"].get(url))) == (None, typed)
    assert list_prices(await made(shop["buyer"].get(url))) == (None, None)
    db.clock.advance(seconds=8 * DAY)
    await made(shop["owner"].patch(f"/api/skus/{shop['sku']}", json={"price": cny(9_900)}))
    typed = {"typed": cny(19_900), "gap": "above-reference"}
    assert list_prices(await made(shop["owner"].get(url))) == (cny(11_300), typed)
    assert list_prices(await made(shop["buyer"].get(url))) == (cny(11_300), None)
    [listed] = (await made(shop["buyer"].get("/api/products")))["items"]
    assert list_prices(listed) == (cny(11_300), None)


async def sign_in(market: Market, people: People) -> tuple[Browser, Browser, str, str]:
    """A shop's owner and a buyer with a paid order of the market's one item."""
    owner, buyer = await people.viewer("olga"), await people.viewer("anna")
    async with market.db.tx() as tx:
        await identity.grant_seat(tx, market.owner, market.shop_id, "olga", scopes=list(identity.Scope))
    item = await market.add_item(price=11_300)
    await made(owner.patch(f"/api/products/{item.product_id}", json={"tax_bps": 1_300}))
    address = str(new_id())
    await made(buyer.post("/api/me/addresses", json={"id": address, **ADDRESS}))
    sku_id = str(item.skus[0].sku_id)
    line = {"sku_id": sku_id, "quantity": 1, "unit_price": cny(11_300)}
    body = {"id": str(new_id()), "lines": [line], "address_id": address}
    order_id = (await made(buyer.post("/api/orders", json=body)))["id"]
    await market.pay(buyer.actor, OrderId(UUID(order_id)))
    return owner, buyer, order_id, sku_id


async def test_an_invoice_from_the_request_to_the_credit_note(people: People, market: Market) -> None:
    owner, buyer, order_id, _ = await sign_in(market, people)
    url = f"/api/orders/{order_id}/invoice"
    assert await made(buyer.get(url)) == {"may_ask": True, "invoice": None, "credit_notes": []}
    bad = {"kind": "company", "title": "青岛海货", "tax_number": "1"}
    assert problem(await buyer.put(url, json=bad), 422, "recipient-refused")["field"] == "tax_number"
    recipient = {"kind": "company", "title": "青岛海货", "tax_number": "91370200MA3C1234X5", "email": "a@b.cn"}
    asked = (await made(buyer.put(url, json=recipient)))["invoice"]
    assert asked == {
        "id": asked["id"],
        "order_id": order_id,
        "credits_id": None,
        "number": None,
        "recipient": recipient,
        "content": None,
        "asked_at": asked["asked_at"],
        "issued_at": None,
    }
    desk = f"/api/shops/{market.shop_id}/invoices"
    assert (await made(owner.get(f"{desk}?issued=false"))) == {"items": [asked], "next": None}
    issued = await made(owner.post(f"{desk}/{asked['id']}/number", json={}))
    line = {
        "no": 1,
        "title": "海参",
        "options": {},
        "quantity": 1,
        "unit_price": cny(11_300),
        "discount": cny(0),
        "paid": cny(11_300),
        "tax_bps": 1_300,
        "tax": cny(1_300),
    }
    content = {
        "seller": "海边人家",
        "placed_at": ANY,
        "lines": [line],
        "goods": cny(11_300),
        "discount": cny(0),
        "shipping": cny(0),
        "total": cny(11_300),
        "tax": cny(1_300),
    }
    assert issued == asked | {"number": 1, "content": content, "issued_at": ANY}
    problem(await buyer.put(url, json=recipient | {"title": "x"}), 409, "invoice-issued")
    cancelled = await made(buyer.post(f"/api/orders/{order_id}/cancellation", json={}))
    assert (cancelled["state"], cancelled["bill"]["refunded"]) == ("refunded", cny(11_300))
    await market.settle()
    found = await made(buyer.get(url))
    assert (found["may_ask"], found["invoice"]) == (False, issued)
    [note] = found["credit_notes"]
    assert (note["number"], note["credits_id"], note["content"]) == (2, asked["id"], content)
    sheet = (await owner.get(f"{desk}.csv")).content.decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(sheet)))
    assert [(row["number"], row["kind"], row["credits"], row["total"], row["tax"]) for row in rows] == [
        ("1", "invoice", "", "113.00", "13.00"),
        ("2", "credit-note", "1", "-113.00", "-13.00"),
    ]


async def test_a_difference_is_shown_and_had_back_over_http(people: People, market: Market) -> None:
    owner, buyer, order_id, sku_id = await sign_in(market, people)
    url = f"/api/orders/{order_id}/price-protection"
    none = {"no": 1, "shelf_price": None, "amount": cny(0), "given_at": None}
    assert await made(buyer.get(url)) == {"until": None, "lines": [none]}
    changed = await made(owner.patch(f"/api/shops/{market.shop_id}", json={"price_protection_days": 7}))
    assert changed["price_protection_days"] == 7
    problem(await buyer.post(url, json={}), 409, "price-not-lower")
    await made(owner.patch(f"/api/skus/{sku_id}", json={"price": cny(10_000)}))
    offer = {"no": 1, "shelf_price": cny(10_000), "amount": cny(1_300), "given_at": None}
    assert await made(buyer.get(url)) == {"until": ANY, "lines": [offer]}
    assert await made(buyer.post(url, json={})) == {"until": ANY, "lines": [offer | {"given_at": ANY}]}
    problem(await buyer.post(url, json={}), 409, "price-not-lower")
    await market.settle()
    assert (await made(buyer.get(f"/api/orders/{order_id}")))["bill"]["refunded"] == cny(1_300)
    too_long = await owner.patch(f"/api/shops/{market.shop_id}", json={"price_protection_days": 91})
    assert problem(too_long, 422, "number-refused")["number_max"] == 90
