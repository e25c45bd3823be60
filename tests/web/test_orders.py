"""Buying, paying and calling off over HTTP, for buyers, staff and nobody else."""

from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest

from laotie import identity, live
from laotie.base.entry import Source, Visit, sign_visit
from laotie.base.ids import PaymentId, ShowId, ViewerId, VisitId, new_id
from laotie.base.settings import Settings
from laotie.base.signer import Signer
from laotie.payments import signature
from laotie.web.house import House
from market import SECRET, Market, furnish
from people import Browser, People

ADDRESS = {"name": "王小明", "phone": "13800000000", "country": "CN", "city": "青岛", "street": "海边路 1 号"}


@pytest.fixture
def settings() -> Settings:
    return Settings(registrations_per_hour=10_000, sandbox_secret=SECRET)


@pytest.fixture
async def market(house: House) -> Market:
    return await furnish(house)


def captured(market: Market, payment_id: str, number: str | None, **changes: Any) -> tuple[bytes, dict[str, str]]:
    """The sandbox's message that a payment of 19800 was captured, signed."""
    message = {
        "type": "payment.captured",
        "payment": payment_id,
        "number": number,
        "amount": 19800,
        "currency": "CNY",
    } | changes
    body = msgspec.json.encode(message)
    headers = signature.sign([SECRET.encode()], str(new_id()), at=market.db.clock.now(), body=body)
    return body, headers | {"content-type": "application/json"}


def _body(market: Market, item: live.CartItem, **changes: Any) -> dict[str, Any]:
    sku = item.skus[0]
    line = {
        "sku_id": str(sku.sku_id),
        "cart_item_id": str(item.id),
        "quantity": 1,
        "unit_price": {"amount": sku.price.amount, "currency": "CNY"},
    }
    return {"id": str(new_id()), "show_id": str(market.show_id), "lines": [line | changes.pop("line", {})]} | changes


async def _address(browser: Browser) -> str:
    answer = await browser.post("/api/me/addresses", json={"id": str(new_id()), **ADDRESS})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def _buy(browser: Browser, market: Market, item: live.CartItem, **changes: Any) -> dict[str, Any]:
    answer = await browser.post("/api/orders", json=_body(market, item, **changes))
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def _problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    problem = dict(answer.json())
    assert problem["type"] == f"/problems/{code}", problem
    return problem


async def test_a_purchase_from_the_ask_to_the_paid_order(people: People, market: Market) -> None:
    item = await market.add_item("海参", price=9900, stock=5)
    anna = await people.viewer("anna")
    body = _body(market, item, line={"quantity": 2}, note="轻拿轻放")
    answer = await anna.post("/api/orders", json=body)
    assert answer.status_code == 201, answer.text
    placed = answer.json()
    order_id = placed["id"]
    assert placed == {
        "id": order_id,
        "client_id": body["id"],
        "state": "placed",
        "total": {"amount": 19800, "currency": "CNY"},
        "placed_at": placed["placed_at"],
        "pay_by": placed["pay_by"],
        "orders": [order_id],
    }
    again = await anna.post("/api/orders", json=body)
    assert (again.status_code, again.json()) == (200, placed)
    address_id = await _address(anna)
    addressed = await anna.put(f"/api/orders/{order_id}/address", json={"address_id": address_id})
    assert addressed.json()["address"]["street"] == "海边路 1 号"
    payment_id = str(new_id())
    paying = await anna.post(f"/api/orders/{order_id}/payments", json={"id": payment_id, "method": "sandbox"})
    assert paying.status_code == 201, paying.text
    assert paying.json() == {
        "id": payment_id,
        "order_id": order_id,
        "purpose": "order",
        "method": "sandbox",
        "state": "pending",
        "amount": {"amount": 19800, "currency": "CNY"},
        "captured": None,
        "reversed": {"amount": 0, "currency": "CNY"},
        "next": {"kind": "redirect", "url": f"/sandbox-pay/{payment_id}"},
        "failure": None,
        "refunded": {"amount": 0, "currency": "CNY"},
        "created_at": paying.json()["created_at"],
        "captured_at": None,
    }
    body_, headers = captured(market, payment_id, (await market.payment(PaymentId(UUID(payment_id)))).provider_ref)
    heard = await people.stranger().post("/webhooks/sandbox", content=body_, headers=headers)
    assert (heard.status_code, heard.json()) == (200, {"verdict": "applied"})
    await market.settle()
    order = (await anna.get(f"/api/orders/{order_id}")).json()
    sku = item.skus[0]
    total, zero = {"amount": 19800, "currency": "CNY"}, {"amount": 0, "currency": "CNY"}
    assert order == {
        "id": order_id,
        "client_id": body["id"],
        "state": "paid",
        "shop": {"id": str(market.shop_id), "name": "海边人家"},
        "show_id": str(market.show_id),
        "lines": [
            {
                "no": 1,
                "sku_id": str(sku.sku_id),
                "product_id": str(item.product_id),
                "cart_item_id": str(item.id),
                "title": "海参",
                "image": f"/media/pictures/{item.product_id}.svg",
                "options": {},
                "quantity": 2,
                "unit_price": {"amount": 9900, "currency": "CNY"},
                "discount": zero,
                "paid": total,
                "tax": zero,
                "tax_bps": 0,
                "shipped_quantity": 0,
                "refunded_quantity": 0,
                "refunded": zero,
                "pledge_id": None,
                "batch_id": None,
                "promise": None,
            }
        ],
        "total": total,
        "bill": {
            "goods": total,
            "discount": zero,
            "subsidy": zero,
            "shipping": zero,
            "tax": zero,
            "total": total,
            "refunded": zero,
        },
        "purchase": {"id": order_id, "orders": [order_id], "total": total},
        "source": "direct",
        "placement": "direct",
        "note": "轻拿轻放",
        "address": {"id": address_id, "region": "", "district": "", "postcode": "", "is_default": True, **ADDRESS},
        "payment": {"id": payment_id, "state": "captured"},
        "placed_at": placed["placed_at"],
        "pay_by": placed["pay_by"],
        "paid_at": order["paid_at"],
        "shipped_at": None,
        "delivered_at": None,
        "completed_at": None,
        "ended_at": None,
        "end_reason": None,
    }


async def test_refusals_of_the_till_carry_their_facts(people: People, market: Market) -> None:
    item = await market.add_item(price=9900, stock=2, limit=1)
    plenty = await market.add_item(price=100, stock=1)
    anna = await people.viewer("anna")
    ask = anna.post

    async def order(**changes: Any) -> httpx.Response:
        return await ask("/api/orders", json=_body(market, changes.pop("item", item), **changes))

    price = {"amount": 1, "currency": "CNY"}
    assert _problem(await order(line={"unit_price": price}), 409, "price-changed")["price"] == {
        "amount": 9900,
        "currency": "CNY",
    }
    assert _problem(await order(line={"quantity": 2}), 409, "limit-reached")["limit"] == 1
    assert _problem(await order(item=plenty, line={"quantity": 2}), 409, "sold-out")["available"] == 1
    _problem(await order(line={"quantity": 0}), 422, "quantity-refused")
    _problem(await order(line={"quantity": 2**40}), 422, "malformed")
    _problem(await order(lines=[]), 422, "order-empty")
    _problem(await order(gift=True), 422, "malformed")
    _problem(await order(show_id=str(new_id())), 409, "off-shelf")
    _problem(await order(address_id=str(new_id())), 404, "not-found")
    first = _body(market, item)
    assert (await ask("/api/orders", json=first)).status_code == 201
    _problem(await ask("/api/orders", json=first | {"note": "other"}), 409, "id-reused")


async def test_who_may_not_buy(people: People, market: Market) -> None:
    body = _body(market, await market.add_item())
    _problem(await (await people.guest()).post("/api/orders", json=body), 401, "unauthenticated")
    anna = await people.viewer("anna")
    _problem(await anna.post("/api/orders", json=body, headers={"X-CSRF-Token": "no"}), 403, "cross-site")


async def test_another_person_s_order_and_payment_are_not_there(people: People, market: Market) -> None:
    item = await market.add_item()
    anna, ben = await people.viewer("anna"), await people.viewer("ben")
    address_id = await _address(anna)
    order_id = (await _buy(anna, market, item, address_id=address_id))["id"]
    payment_id = str(new_id())
    begun = await anna.post(f"/api/orders/{order_id}/payments", json={"id": payment_id, "method": "sandbox"})
    assert begun.status_code == 201, begun.text
    bens = await _address(ben)
    for method, path, body in (
        ("GET", f"/api/orders/{order_id}", None),
        ("PUT", f"/api/orders/{order_id}/address", {"address_id": bens}),
        ("POST", f"/api/orders/{order_id}/cancellation", {}),
        ("POST", f"/api/orders/{order_id}/payments", {"id": str(new_id()), "method": "sandbox"}),
        ("GET", f"/api/payments/{payment_id}", None),
        ("GET", f"/api/sandbox/payments/{payment_id}", None),
        ("POST", f"/api/sandbox/payments/{payment_id}/outcome", {"outcome": "approve"}),
        ("GET", f"/api/shops/{market.shop_id}/orders", None),
        ("GET", f"/api/shops/{market.shop_id}/orders/{order_id}", None),
        ("GET", f"/api/shows/{market.show_id}/sales", None),
    ):
        _problem(await ben.request(method, path, json=body), 404, "not-found")
        _problem(await people.stranger().request(method, path, json=body), 401, "unauthenticated")
    assert (await ben.get("/api/orders")).json() == {"items": [], "next": None}


async def test_calling_an_order_off_and_what_can_no_longer_be_done(people: People, market: Market) -> None:
    item = await market.add_item(stock=1)
    anna = await people.viewer("anna")
    order_id = (await _buy(anna, market, item))["id"]
    pay = {"id": str(new_id()), "method": "sandbox"}
    _problem(await anna.post(f"/api/orders/{order_id}/payments", json=pay), 409, "address-missing")
    for _ in range(2):
        ended = await anna.post(f"/api/orders/{order_id}/cancellation", json={})
        assert (ended.status_code, ended.json()["state"], ended.json()["end_reason"]) == (200, "cancelled", "buyer")
    address = {"address_id": await _address(anna)}
    refused = _problem(await anna.put(f"/api/orders/{order_id}/address", json=address), 409, "order-not-open")
    title = "This can only be done while the order waits for its payment."
    assert refused == {
        "type": "/problems/order-not-open",
        "title": title,
        "status": 409,
        "detail": title,
        "state": "cancelled",
        "request_id": refused["request_id"],
    }
    _problem(await anna.post(f"/api/orders/{order_id}/payments", json=pay), 409, "order-not-open")
    assert await market.stock(item) == (1, 0, 0)


async def test_a_shop_s_staff_see_its_orders_and_sales(people: People, market: Market) -> None:
    item = await market.add_item("童装", price=5900, stock=9)
    anna = await people.viewer("anna")
    ids = [(await _buy(anna, market, item, line={"quantity": n}))["id"] for n in (1, 2, 3)]
    await anna.post(f"/api/orders/{ids[0]}/cancellation", json={})
    packer = await people.viewer("packer")
    async with market.db.tx() as tx:
        await identity.grant_seat(tx, market.owner, market.shop_id, "packer", scopes=[identity.Scope.orders])
    path = f"/api/shops/{market.shop_id}/orders"
    first = (await packer.get(path, params={"limit": 2})).json()
    assert [order["id"] for order in first["items"]] == [ids[2], ids[1]]
    assert first["items"][0]["buyer"] == {"id": str(anna.account_id), "name": "Anna"}
    rest = (await packer.get(path, params={"limit": 2, "after": first["next"]})).json()
    assert ([order["id"] for order in rest["items"]], rest["next"]) == ([ids[0]], None)
    open_orders = (await packer.get(path, params={"state": "placed"})).json()["items"]
    assert [order["id"] for order in open_orders] == [ids[2], ids[1]]
    assert (await packer.get(f"{path}/{ids[0]}")).json()["state"] == "cancelled"
    assert (await packer.get(path, params={"state": "lost"})).status_code in (400, 422)
    sales = (await packer.get(f"/api/shows/{market.show_id}/sales")).json()
    zero, placed = {"amount": 0, "currency": "CNY"}, {"amount": 35400, "currency": "CNY"}
    assert sales == {
        "orders": 3,
        "paid": 0,
        "units": 6,
        "gmv": {"placed": placed, "paid": zero},
        "per_item": [
            {
                "item_id": str(item.id),
                "product_id": str(item.product_id),
                "title": "童装",
                "orders": 3,
                "units": 6,
                "gmv": placed,
                "paid_units": 0,
                "paid": zero,
            }
        ],
    }


async def test_where_the_buyer_came_from_goes_with_the_order(
    people: People, market: Market, signer: Signer
) -> None:
    item = await market.add_item(stock=20)
    anna, ben = await people.viewer("anna"), await people.viewer("ben")

    def visit(viewer: Browser, show_id: ShowId = market.show_id) -> str:
        seen = Visit(
            id=VisitId(new_id()),
            viewer_id=ViewerId(viewer.account_id),
            show_id=show_id,
            source=Source.slot,
            placement="follow-page",
            at=market.db.clock.now(),
        )
        return sign_visit(signer, seen)

    async def source(**changes: Any) -> str:
        order = await _buy(anna, market, item, **changes)
        return str((await anna.get(f"/api/orders/{order['id']}")).json()["source"])

    assert await source() == "direct"
    assert await source(visit=visit(anna)) == "slot"
    assert await source(visit=visit(anna, ShowId(new_id()))) == "direct"
    old = visit(anna)
    market.db.clock.advance(seconds=25 * 3600)
    assert await source(visit=old) == "direct"
    _problem(await anna.post("/api/orders", json=_body(market, item, visit=visit(ben))), 403, "entry-not-yours")
    _problem(await anna.post("/api/orders", json=_body(market, item, visit="forged")), 401, "token-invalid")
