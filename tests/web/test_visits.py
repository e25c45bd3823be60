"""Where people come from, over HTTP: credited to orders and follows, told to the lake, and counted once (E8)."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from doors import open_door
from lakes import Tale, named
from laotie import catalog
from laotie.base.db import Database
from laotie.base.entry import Source, Visit
from laotie.base.ids import new_id
from laotie.base.outbox import Relay
from laotie.base.settings import Settings
from laotie.lake import Act, Carted, Clicked, Entered, Lake, Searched, Shared
from laotie.web.house import House
from laotie.web.middleware import Door
from market import Market, furnish
from people import Browser, People, problem
from world import made


class Kept:
    """A sink that remembers."""

    def __init__(self) -> None:
        self.acts: list[Act] = []

    def append(self, act: Act) -> None:
        self.acts.append(act)

    def of(self, kind: type[Act]) -> list[Any]:
        return [act for act in self.acts if type(act) is kind]


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def app(house: House, kept: Kept) -> Iterator[Door]:
    with open_door(replace(house, sink=kept)) as opened:
        yield opened


@pytest.fixture
async def market(house: House) -> Market:
    return await furnish(house)


async def on_shelf(market: Market, **more: Any) -> dict[str, Any]:
    sku = await market.add_to_shelf(market.owner, market.shop_id, price=2500, **more)
    async with market.db.read() as tx:
        found = (await catalog.find_skus(tx, [sku.sku_id]))[sku.sku_id]
    return {"product": str(found.product_id), "sku": str(found.id), "shop": str(found.shop_id)}


def ask(*goods: dict[str, Any], **more: Any) -> dict[str, Any]:
    lines = [{"sku_id": one["sku"], "quantity": 1, "unit_price": {"amount": 2500, "currency": "CNY"}} for one in goods]
    return {"id": str(new_id()), "lines": lines, **more}


async def credited(db: Database, order_ids: list[str]) -> list[tuple[Any, ...]]:
    async with db.read() as tx:
        return await tx.tuples(
            """
            SELECT source, placement, visit_id, is_fan, streamer_id, rule_version FROM orders."order"
            WHERE id = ANY(%(ids)s::uuid[]) ORDER BY array_position(%(ids)s::uuid[], id)
            """,
            ids=[UUID(one) for one in order_ids],
        )


async def enter(browser: Browser, market: Market, **came: Any) -> Visit:
    answer = await made(browser.post(f"/api/shows/{market.show_id}/tickets", json=came))
    return market.house.signer.open("visit", answer["visit"], Visit, age_max_s=None)


async def follow_and_enter(browser: Browser, market: Market) -> Visit:
    host = market.owner.account_id
    await made(browser.put(f"/api/follows/{host}", json={}))
    followed = (await made(browser.get("/api/feed/following")))["items"][0]
    return await enter(browser, market, entry=followed["entry"])


async def test_what_lies_in_the_basket_till_tomorrow_is_credited_to_what_brought_the_buyer(
    people: People, market: Market
) -> None:
    goods = await on_shelf(market)
    anna = await people.viewer("anna")
    visit = await follow_and_enter(anna, market)
    assert (visit.source, visit.is_fan) == (Source.private, True)
    replayed = await made(anna.put(f"/api/basket/lines/{goods['sku']}", json={"quantity": 1}))
    assert len(replayed["lines"]) == 1
    market.db.clock.advance(seconds=20 * 3600)
    order = await made(anna.post("/api/orders", json=ask(goods)))
    assert await credited(market.db, [order["id"]]) == [
        ("private", "follow-page", visit.id, True, market.owner.account_id, 1)
    ]
    market.db.clock.advance(seconds=200 * 3600)
    late = await made(anna.post("/api/orders", json=ask(goods)))
    assert await credited(market.db, [late["id"]]) == [("shelf", "shelf", None, True, None, 1)]


async def test_a_purchase_in_two_shops_credits_each_to_its_own(people: People, market: Market) -> None:
    owner, shop_id = await market.open_shop()
    sku = await market.add_to_shelf(owner, shop_id, price=2500)
    here, there = await on_shelf(market), {"sku": str(sku.sku_id)}
    anna = await people.viewer("anna")
    visit = await follow_and_enter(anna, market)
    order = await made(anna.post("/api/orders", json=ask(here, there)))
    rows = {row[0]: row for row in await credited(market.db, order["orders"])}
    assert len(order["orders"]) == 2 and rows.keys() == {"private", "shelf"}
    assert rows["private"][2] == visit.id and rows["shelf"][2:4] == (None, False)


async def test_a_guest_who_signs_in_to_buy_is_credited_to_what_brought_the_guest(
    people: People, market: Market
) -> None:
    goods = await on_shelf(market)
    browser = await people.guest()
    link = await made((await people.viewer("sharer")).post(f"/api/shows/{market.show_id}/share-links", json={}))
    visit = await enter(browser, market, entry=link["entry"])
    assert visit.source is Source.share
    anna = await people.viewer("anna", browser=browser)
    order = await made(anna.post("/api/orders", json=ask(goods)))
    assert (await credited(market.db, [order["id"]]))[0][:3] == ("share", "share-link", visit.id)


async def test_a_follow_bears_the_visit_it_was_made_in(people: People, market: Market, relay: Relay) -> None:
    anna = await people.viewer("anna")
    link = await made(anna.post(f"/api/shows/{market.show_id}/share-links", json={}))
    answer = await made(anna.post(f"/api/shows/{market.show_id}/tickets", json={"entry": link["entry"]}))
    await made(anna.put(f"/api/follows/{market.owner.account_id}", json={"visit": answer["visit"]}))
    async with market.db.read() as tx:
        (row,) = await tx.tuples(
            "SELECT source, placement, show_id, is_fan FROM fans.follow_change WHERE viewer_id = %(id)s", id=anna.account_id
        )
    assert row == ("share", "share-link", market.show_id, False)


async def test_the_shelf_is_one_visit_however_many_pages_are_seen(
    people: People, market: Market, kept: Kept
) -> None:
    first, second = await on_shelf(market), await on_shelf(market)
    browser = await people.guest()
    for goods in (first, second, first):
        opened = await made(browser.post(f"/api/products/{goods['product']}/visits", json={}))
        assert opened["visit"]
    (came,) = kept.of(Entered)
    assert (came.stay.source, came.placement, came.show_id, str(came.shop_id)) == ("shelf", "product", None, first["shop"])
    assert came.is_guest and came.visit_id == came.stay.connection_id
    assert [str(act.product_id) for act in kept.of(Clicked)] == [first["product"], second["product"], first["product"]]
    assert {act.visit_id for act in kept.acts} == {came.visit_id}
    market.db.clock.advance(seconds=1900)
    await made(browser.post(f"/api/products/{first['product']}/visits", json={}))
    assert len(kept.of(Entered)) == 2
    missing = await browser.post(f"/api/products/{new_id()}/visits", json={})
    assert missing.status_code == 404


async def test_searching_and_a_shops_own_shelf_are_visits_and_reading_on_is_none(
    people: People, market: Market, kept: Kept
) -> None:
    goods = await on_shelf(market)
    browser = await people.guest()
    await made(browser.get("/api/search"))
    await made(browser.get("/api/search?q=nothing-like-it"))
    await made(browser.get(f"/api/search?shop_id={goods['shop']}"))
    await made(browser.get(f"/api/search?shop_id={new_id()}"))
    await made(browser.get(f"/api/products/{goods['product']}"))
    assert [(act.placement, act.shop_id and str(act.shop_id)) for act in kept.of(Entered)] == [
        ("category", None),
        ("shop", goods["shop"]),
    ]
    (search,) = kept.of(Searched)
    assert (search.hits, search.stay.source) == (0, "shelf")
    assert not kept.of(Clicked), "who reads an address has seen no page"
    await made(people.stranger().get("/api/search"))
    assert len(kept.of(Entered)) == 2, "a stranger is nobody whom one would know again"


async def test_what_goes_into_the_basket_and_what_is_shared_say_where_from(
    people: People, market: Market, kept: Kept
) -> None:
    goods = await on_shelf(market)
    anna = await people.viewer("anna")
    visit = await follow_and_enter(anna, market)
    for quantity in (2, 5, 1):
        await made(anna.put(f"/api/basket/lines/{goods['sku']}", json={"quantity": quantity}))
    carted = kept.of(Carted)
    assert [act.quantity for act in carted] == [2, 3], "taking out is no act"
    assert {(act.stay.source, act.visit_id, act.stay.is_fan) for act in carted} == {("private", visit.id, True)}
    await made(anna.post(f"/api/shows/{market.show_id}/share-links", json={}))
    (shared,) = kept.of(Shared)
    assert (shared.placement, shared.stay.source, shared.show_id) == ("share-link", "private", market.show_id)


async def test_the_shops_own_people_are_nobodys_visitors(people: People, market: Market, kept: Kept) -> None:
    goods = await on_shelf(market)
    olga = await people.owner("olga", market.shop_id)
    await made(olga.post(f"/api/products/{goods['product']}/visits", json={}))
    await made(olga.get(f"/api/search?shop_id={goods['shop']}"))
    await made(olga.put(f"/api/basket/lines/{goods['sku']}", json={"quantity": 1}))
    await made(olga.post(f"/api/shows/{market.show_id}/share-links", json={}))
    assert kept.acts == []


async def test_operators_see_the_rules_and_add_the_next(people: People, market: Market) -> None:
    operator = await people.operator()
    rules = await made(operator.get("/api/attribution-rules"))
    first = rules["items"][0]
    assert rules == {
        "items": [
            {
                "version": 1, "kind": "last_touch", "window_h": 168, "valid_from": "2000-01-01T00:00:00Z", "note": "",
                "made_by": None, "made_at": first["made_at"],
            }
        ],
        "current": 1,
    }  # fmt: skip
    clock = market.db.clock
    soon = {"kind": "first_touch", "window_h": 24, "valid_from": clock.now().isoformat(), "note": " try it "}
    early = await operator.post("/api/attribution-rules", json=soon)
    assert problem(early)["type"] == "/problems/rule-too-early"
    soon["valid_from"] = (clock.now() + timedelta(minutes=5)).isoformat()
    added = await made(operator.post("/api/attribution-rules", json=soon))
    assert (added["version"], added["note"], added["made_by"]) == (2, "try it", str(operator.account_id))
    assert (await made(operator.get("/api/attribution-rules")))["current"] == 1
    clock.advance(seconds=301)
    assert (await made(operator.get("/api/attribution-rules")))["current"] == 2
    assert (await operator.post("/api/attribution-rules", json=soon | {"kind": "guess"})).status_code == 422


async def test_an_export_says_what_the_lake_knows_of_the_person_and_nothing_of_others(
    people: People, market: Market, settings: Settings, tmp_path: Path
) -> None:
    anna = await people.viewer("anna")
    tale = Tale()
    tale.visit(30_000, "anna", "visit")
    tale.visit(30_001, "bob", "visit of bob")
    tale.watch(30_010, 30_020, "anna", "visit")
    tale.money(30_100, "paid", "order", "anna", 500)
    lake = Lake.of(settings)
    for rows in tale.rows.values():
        for row in rows:
            for column in ("viewer_id", "buyer_id"):
                if row.get(column) == named("anna").bytes:
                    row[column] = anna.account_id.bytes
    tale.write(lake)
    told = (await made(anna.get("/api/me/export")))["lake"]
    assert {topic: len(rows) for topic, rows in told.items()} == {"visit": 1, "watch": 1, "money": 1}
    assert told["money"][0]["amount"] == 500 and told["visit"][0]["viewer_id"] == str(anna.account_id)
    assert told["visit"][0]["at_us"].startswith("2026-11-0")
