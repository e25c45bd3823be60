"""The shelf over HTTP: whole bodies, filters, suggestions, and the order that is credited to it."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from laotie.base.bus import LocalBus
from laotie.base.db import Database
from laotie.base.ids import new_id
from laotie.base.outbox import Relay
from laotie.search import Shelf
from laotie.search.reactions import REACTIONS
from laotie.web.app import build_app
from laotie.web.house import House
from laotie.worker.shelf import open_shelf
from people import People
from world import PRICE, World, made, make_world


@pytest.fixture
async def shelf(db: Database, tmp_path: Path) -> AsyncIterator[Shelf]:
    opened = open_shelf(db, tmp_path)
    yield opened
    await opened.close()


@pytest.fixture
async def world(house: House, shelf: Shelf, db: Database) -> AsyncIterator[World]:
    """A world whose product has been indexed; its 海参 lies in a show that has not begun."""
    people = People(build_app(replace(house, shelf=shelf)), db)
    made_world = await make_world(people)
    change = {"category": "海味", "description": "Dried sea cucumber"}
    await made(made_world["owner"].patch(f"/api/products/{made_world.product}", json=change))
    await index(db, shelf)
    yield made_world
    await people.leave()


async def index(db: Database, shelf: Shelf) -> None:
    await Relay(db, LocalBus(), REACTIONS).drain()
    await shelf.catch_up()


async def test_the_shelf_answers_with_products_as_they_are_and_refuses_nonsense(world: World) -> None:
    page = await made(world["viewer"].get("/api/search?q=海参"))
    hit = page["items"][0]
    assert page == {
        "items": [
            {
                "product": {
                    "id": world.product,
                    "shop_id": world.shop,
                    "shop_name": "海边人家",
                    "title": "海参",
                    "category": "海味",
                    "brand": "",
                    "image": f"/media/pictures/{world.product}.svg",
                    "price": PRICE,
                    "varies": False,
                    "in_stock": True,
                    "sold_count": hit["product"]["sold_count"],
                    "is_guaranteed": False,
                },
                "entry": hit["entry"],
                "live": None,
            }
        ],
        "next": None,
        "query_id": page["query_id"],
        "instead": None,
        "is_complete": True,
    }
    for query in ("haishen", "cucumber", "海味", ""):
        found = await made(world["guest"].get("/api/search", params={"q": query}))
        assert [one["product"]["id"] for one in found["items"]] == [world.product], query
    nothing = await made(world["guest"].get("/api/search?q=海参&in_stock=true&guaranteed=true"))
    assert nothing["items"] == [] and nothing["is_complete"]
    assert (await made(world["guest"].get("/api/search?q=海参&live=true")))["items"] == []
    facets = await made(world["guest"].get("/api/search/facets?q=海参"))
    assert facets == {
        "total": 1,
        "categories": [{"name": "海味", "count": 1, "id": None}],
        "shops": [{"name": "海边人家", "count": 1, "id": world.shop}],
        "brands": [],
        "currencies": [{"name": "CNY", "count": 1, "id": None}],
    }
    assert set((await made(world["guest"].get("/api/search/suggestions?q=hai")))["items"]) >= {"海味", "海参"}
    assert (await made(world["guest"].get("/api/search/suggestions?q=")))["items"] == []
    for query, problem in (
        ("price_min=1", "currency-missing"),
        ("sort=price_up", "currency-missing"),
        ("after=nowhere", "cursor-refused"),
    ):
        assert (await world["guest"].get(f"/api/search?{query}")).json()["type"] == f"/problems/{problem}"
    for query in ("q=" + "a" * 201, "sort=best", "price_min=-1&currency=CNY", "limit=51", "currency=yuan"):
        assert (await world["guest"].get(f"/api/search?{query}")).status_code == 422, query
    assert (await world["guest"].get("/api/search?q=" + "口" * 200)).status_code == 200


async def test_an_order_after_a_search_is_the_shelf_s_and_a_stolen_entry_is_nobody_s(world: World) -> None:
    viewer, other = world["viewer"], world["other"]
    url = f"/api/products/{world.product}/visits"

    async def bought(path: str) -> dict[str, str | None]:
        hit = (await made(viewer.get(path)))["items"][0]
        assert (await other.post(url, json={"entry": hit["entry"]})).json()["type"] == "/problems/entry-not-yours"
        visit = (await made(viewer.post(url, json={"entry": hit["entry"]})))["visit"]
        line = {"sku_id": world.sku, "quantity": 1, "unit_price": PRICE}
        stolen = {"id": str(new_id()), "lines": [line], "visit": visit}
        assert (await other.post("/api/orders", json=stolen)).json()["type"] == "/problems/entry-not-yours"
        order = await made(viewer.post("/api/orders", json={"id": str(new_id()), "lines": [line], "visit": visit}))
        read: dict[str, str | None] = await made(viewer.get(f"/api/orders/{order['id']}"))
        return read

    searched = await bought("/api/search?q=海参")
    assert (searched["source"], searched["placement"], searched["show_id"]) == ("shelf", "search", None)
    browsed = await bought("/api/search?category=海味")
    assert (browsed["source"], browsed["placement"]) == ("shelf", "category")
    forged = await viewer.post(url, json={"entry": "made up"})
    assert forged.json()["type"] == "/problems/token-invalid"


async def test_an_operator_says_which_words_mean_the_same(world: World, db: Database, shelf: Shelf) -> None:
    operator, group = world["operator"], str(new_id())
    assert (await made(world["guest"].get("/api/search?q=trepang")))["items"] == []
    put = await made(operator.put(f"/api/synonyms/{group}", json={"words": ["海参", "Trepang"]}))
    assert put == {"id": group, "words": ["海参", "Trepang"], "changed_at": put["changed_at"]}
    await index(db, shelf)
    assert len((await made(world["guest"].get("/api/search?q=trepang")))["items"]) == 1
    assert (await made(operator.get("/api/synonyms")))["items"][0] == put
    taken = await operator.put(f"/api/synonyms/{new_id()}", json={"words": ["海参", "Holothuria"]})
    assert (taken.json()["type"], taken.json()["word"]) == ("/problems/synonyms-refused", "海参")
    assert (await operator.delete(f"/api/synonyms/{group}")).status_code == 204
    log = (await made(operator.get(f"/api/audit-log?subject={group}")))["items"]
    assert [entry["act"] for entry in log] == ["search.synonyms_dropped", "search.synonyms_put"]
