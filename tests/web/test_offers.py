"""Coupons and quotes over HTTP: what a buyer sees of a coupon, and why each counts or not."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from laotie import catalog
from laotie.base.ids import new_id
from laotie.base.settings import Settings
from laotie.web.house import House
from market import SECRET, Market, furnish
from people import Browser, People
from vouchers import make, take


@pytest.fixture
def settings() -> Settings:
    return Settings(registrations_per_hour=10_000, sandbox_secret=SECRET)


@pytest.fixture
async def market(house: House) -> Market:
    return await furnish(house)


def iso(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")


def cny(amount: int) -> dict[str, Any]:
    return {"amount": amount, "currency": "CNY"}


async def post(browser: Browser, path: str, body: dict[str, Any], status: int = 200) -> Any:
    answer = await browser.post(path, json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


async def test_a_shop_of_another_currency_shows_none_that_could_not_count_there(market: Market, people: People) -> None:
    await make(market, shop_id=None, off_amount=500)
    _, shop_id = await market.open_shop("GBP")
    anna = await people.viewer("anna")
    assert (await anna.get(f"/api/coupons?shop_id={shop_id}")).json()["items"] == []
    assert len((await anna.get(f"/api/coupons?shop_id={market.shop_id}")).json()["items"]) == 1


async def test_a_coupon_is_seen_taken_and_listed(market: Market, people: People) -> None:
    coupon = await make(market, off_amount=500)
    anna = await people.viewer("anna")
    card = (await anna.get(f"/api/coupons?show_id={market.show_id}")).json()["items"][0]
    plain = {
        "id": str(coupon.id),
        "title": "立减",
        "shop_id": str(market.shop_id),
        "shop_name": "海边人家",
        "layer": "shop",
        "kind": "fixed",
        "off": cny(500),
        "bps": None,
        "cap": None,
        "threshold": None,
        "steps": [],
        "product_ids": None,
        "show_id": None,
        "streamer_id": None,
        "fan_level": 0,
        "new_buyer": False,
        "alone": False,
        "per_person": 1,
        "starts_at": iso(coupon.starts_at),
        "ends_at": iso(coupon.ends_at),
        "valid_days": None,
        "currency": "CNY",
        "state": "running",
    }
    can = {"claimed": 0, "usable": 0, "can_claim": True, "why_not": None, "facts": {}}
    assert card == plain | {"left": 1_000_000, "mine": can}
    wish = {"id": str(new_id())}
    claim = await post(anna, f"/api/coupons/{coupon.id}/claims", wish, 201)
    assert claim == {
        "id": wish["id"],
        "coupon": plain,
        "state": "usable",
        "claimed_at": claim["claimed_at"],
        "valid_until": iso(coupon.ends_at),
        "used_at": None,
        "order_id": None,
    }
    assert await post(anna, f"/api/coupons/{coupon.id}/claims", wish, 200) == claim
    more = await anna.post(f"/api/coupons/{coupon.id}/claims", json={"id": str(new_id())})
    assert (more.status_code, more.json()["type"], more.json()["per_person"]) == (409, "/problems/claims-reached", 1)
    assert (await anna.get("/api/me/coupons?state=usable")).json() == {"items": [claim], "next": None}
    assert (await anna.get("/api/me/coupons?state=used")).json() == {"items": [], "next": None}
    mine = (await anna.get("/api/coupons")).json()["items"][0]["mine"]
    assert mine == {"claimed": 1, "usable": 1, "can_claim": False, "why_not": "claimed", "facts": {}}
    guest = await people.guest()
    assert (await guest.get("/api/coupons")).json()["items"][0]["mine"]["why_not"] == "sign-in"


async def test_a_quote_says_what_it_comes_to_and_why(market: Market, people: People) -> None:
    item, gone = await market.add_item(price=10_000), await market.add_item(price=300, stock=0)
    async with market.db.tx() as tx:
        change = catalog.ProductChange(tax_bps=1_300)
        await catalog.edit_product(tx, market.owner, item.product_id, change)
    anna = await people.viewer("anna")
    best = await make(market, title="大的", off_amount=2_000)
    less = await make(market, title="小的", off_amount=500)
    far = await make(market, title="远的", off_amount=900, threshold_amount=20_000, shop_id=None)
    claims = [str(await take(market, anna.actor, one.id)) for one in (best, less, far)]
    lines = [{"sku_id": str(one.skus[0].sku_id), "cart_item_id": str(one.id), "quantity": 1} for one in (item, gone)]
    wanted = {"lines": lines, "show_id": str(market.show_id)}
    quote = await post(anna, "/api/quotes", wanted)
    assert (quote["chosen"], quote["subtotal"], quote["total"]) == ([claims[0]], cny(8_000), cny(8_000))
    assert [
        (one["claim_id"], one["applied"], one["amount"], one["reason"], one["facts"]) for one in quote["coupons"]
    ] == [
        (claims[0], True, cny(2_000), "applied", {"base": cny(10_000)}),
        (claims[2], False, cny(0), "below-threshold", {"threshold": cny(20_000), "short": cny(10_000)}),
        (claims[1], False, cny(0), "better-chosen", {"by": [claims[0]], "more": cny(1_500)}),
    ]
    assert quote["orders"] == [
        {
            "shop": {"id": str(market.shop_id), "name": "海边人家"},
            "lines": [
                {
                    "sku_id": lines[0]["sku_id"],
                    "product_id": str(item.product_id),
                    "cart_item_id": str(item.id),
                    "title": "海参",
                    "image": f"/media/pictures/{item.product_id}.svg",
                    "options": {},
                    "quantity": 1,
                    "available": 10,
                    "unit_price": cny(10_000),
                    "reference_price": None,
                    "amount": cny(10_000),
                    "discount": cny(2_000),
                    "paid": cny(8_000),
                    "tax": cny(920),
                    "problem": None,
                },
                quote["orders"][0]["lines"][1],
            ],
            "goods": cny(10_000),
            "discount": cny(2_000),
            "shipping": None,
            "shipping_problem": None,
            "tax": cny(920),
            "total": cny(8_000),
        }
    ]
    assert quote["orders"][0]["lines"][1]["problem"] == "sold-out"
    exactly = await post(anna, "/api/quotes", wanted | {"coupons": claims[1:]})
    assert [(one["claim_id"], one["reason"]) for one in exactly["coupons"]] == [
        (claims[1], "applied"),
        (claims[2], "below-threshold"),
    ]
    assert (await post(anna, "/api/quotes", wanted | {"coupons": []}))["total"] == cny(10_000)


async def test_an_order_at_the_quoted_total_bears_its_coupons(market: Market, people: People) -> None:
    item = await market.add_item(price=10_000)
    anna = await people.viewer("anna")
    coupon = await make(market, off_amount=2_000, shop_id=None)
    claim = str(await take(market, anna.actor, coupon.id))
    line = {"sku_id": str(item.skus[0].sku_id), "cart_item_id": str(item.id), "quantity": 1}
    quote = await post(anna, "/api/quotes", {"lines": [line], "show_id": str(market.show_id)})
    ask = {
        "id": str(new_id()),
        "show_id": str(market.show_id),
        "lines": [line | {"unit_price": cny(10_000)}],
        "coupons": quote["chosen"],
        "total": quote["subtotal"],
    }
    changed = await anna.post("/api/orders", json=ask | {"total": cny(7_999)})
    assert (changed.json()["type"], changed.json()["total"]) == ("/problems/total-changed", cny(8_000))
    order = await post(anna, "/api/orders", ask, 201)
    assert order["total"] == cny(8_000)
    bill = (await anna.get(f"/api/orders/{order['id']}")).json()["bill"]
    assert (bill["goods"], bill["discount"], bill["subsidy"]) == (cny(10_000), cny(2_000), cny(2_000))
    spent = (await anna.get(f"/api/orders/{order['id']}/coupons")).json()["items"]
    assert spent == [
        {
            "claim_id": claim,
            "coupon_id": str(coupon.id),
            "title": "立减",
            "layer": "platform",
            "off": cny(2_000),
            "subsidy": cny(2_000),
            "base": cny(10_000),
            "lines": [{"no": 1, "off": cny(2_000)}],
            "rule_version": 1,
            "given_back": False,
        }
    ]
    again = await anna.post("/api/orders", json=ask | {"id": str(new_id())})
    assert again.status_code == 409
    problem = again.json()
    assert (problem["type"], problem["claim_id"], problem["reason"]) == ("/problems/coupon-refused", claim, "used")
    assert problem["reason_facts"] == {"order_id": order["id"]}
    used = (await anna.get("/api/me/coupons?state=used")).json()["items"]
    assert [(one["id"], one["order_id"]) for one in used] == [(claim, order["id"])]
    await post(anna, f"/api/orders/{order['id']}/cancellation", {})
    assert (await anna.get(f"/api/orders/{order['id']}/coupons")).json()["items"][0]["given_back"] is True
    assert (await anna.get("/api/me/coupons?state=usable")).json()["items"][0]["id"] == claim


async def test_the_console_makes_lists_and_ends_coupons(market: Market, people: People) -> None:
    operator = await people.operator()
    now = market.db.clock.now()
    draft = {
        "id": str(new_id()),
        "title": "满减",
        "kind": "steps",
        "currency": "CNY",
        "steps": [{"threshold_amount": 10_000, "off_amount": 1_000}, {"threshold_amount": 20_000, "off_amount": 3_000}],
        "quantity": 100,
        "budget_amount": 50_000,
        "starts_at": iso(now),
        "ends_at": iso(now + timedelta(days=1)),
    }
    made = await post(operator, "/api/platform/coupons", draft, 201)
    assert (made["layer"], made["budget"], made["spent"], made["claimed"]) == ("platform", cny(50_000), cny(0), 0)
    assert made["steps"] == [
        {"threshold": cny(10_000), "off": cny(1_000)},
        {"threshold": cny(20_000), "off": cny(3_000)},
    ]
    assert await post(operator, "/api/platform/coupons", draft, 201) == made
    assert (await operator.get("/api/platform/coupons")).json() == {"items": [made], "next": None}
    ended = await post(operator, f"/api/coupons/{made['id']}/end", {})
    assert ended == made | {"state": "stopped"}
    refused = await operator.post("/api/platform/coupons", json=draft | {"id": str(new_id()), "steps": None})
    assert (refused.status_code, refused.json()["field"]) == (422, "steps")
