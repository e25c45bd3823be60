"""Group buys and the basket over HTTP: whole answers."""

from datetime import timedelta
from typing import Any

from laotie.base.ids import new_id
from people import People
from world import PRICE, World, made, make_world


async def open_offer(world: World) -> dict[str, Any]:
    price = {"amount": 6900, "currency": "CNY"}
    offer = {
        "id": str(new_id()),
        "product_id": world.product,
        "size": 2,
        "prices": [{"sku_id": world.sku, "price": price}],
        "ends_at": (world.people.db.clock.now() + timedelta(days=2)).isoformat(),
    }
    opened: dict[str, Any] = await made(world["owner"].post(f"/api/shops/{world.shop}/group-offers", json=offer))
    again = await world["owner"].post(f"/api/shops/{world.shop}/group-offers", json=offer)
    assert (again.status_code, again.json()) == (201, opened)
    return opened


async def test_a_team_shows_its_people_by_half_a_name_and_me_my_place(people: People) -> None:
    world = await make_world(people)
    anna, bob, owner = world["viewer"], world["other"], world["owner"]
    offer = await open_offer(world)
    assert offer["skus"] == [
        {
            "sku_id": world.sku,
            "options": {},
            "price": {"amount": 6900, "currency": "CNY"},
            "shelf_price": PRICE,
            "list_price": None,
            "available": 999,
        }
    ]
    team = await made(anna.post("/api/teams", json={"id": str(new_id()), "offer_id": offer["id"]}))
    line = {"sku_id": world.sku, "quantity": 1, "unit_price": offer["skus"][0]["price"], "team_id": team["id"]}
    ask = {"id": str(new_id()), "lines": [line], "address_id": world.address}
    order = await made(anna.post("/api/orders", json=ask))
    assert (await anna.post("/api/orders", json=ask)).json()["id"] == order["id"]
    seen = (await bob.get(f"/api/teams/{team['id']}")).json()
    (member,) = seen["members"]
    assert (member["is_opener"], member["is_me"], member["paid"]) == (True, False, False)
    assert member["name"].endswith("**") and len(member["name"]) == 3
    assert (seen["state"], seen["size"], seen["free"], seen["paid"], seen["mine"]) == ("gathering", 2, 1, 0, None)
    mine = (await anna.get(f"/api/orders/{order['id']}/team")).json()["team"]
    assert mine["mine"] == {"order_id": order["id"], "state": "held"}
    assert (await anna.get(f"/api/orders/{world.order}/team")).json() == {"team": None}
    refused = await anna.post("/api/orders", json={"id": str(new_id()), "lines": [line]})
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/already-in-team")
    assert refused.json()["order_id"] == order["id"]
    groups = (await bob.get(f"/api/products/{world.product}/groups")).json()
    assert (groups["offer"]["id"], groups["teams"]) == (offer["id"], []), "nobody has paid yet"
    (listed,) = (await owner.get(f"/api/shops/{world.shop}/group-offers")).json()["items"]
    assert listed["figures"] == {"gathering": 1, "complete": 0, "failed": 0, "paid_seats": 0}
    closed = (await owner.post(f"/api/group-offers/{offer['id']}/closure")).json()
    assert closed["state"] == "closed"
    assert (await bob.get(f"/api/products/{world.product}/groups")).json() == {"offer": None, "teams": []}


async def test_a_basket_holds_what_was_put_in_and_no_more(people: People) -> None:
    world = await make_world(people)
    anna = world["viewer"]
    (line,) = (await anna.put(f"/api/basket/lines/{world.sku}", json={"quantity": 2})).json()["lines"]
    assert (line["sku_id"], line["quantity"], line["price"], line["trouble"]) == (world.sku, 2, PRICE, None)
    refused = await anna.put(f"/api/basket/lines/{new_id()}", json={"quantity": 1})
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/off-shelf")
    assert (await world["other"].get("/api/basket")).json() == {"lines": []}
    assert (await anna.post("/api/basket/removals", json={"sku_ids": [world.sku]})).json() == {"lines": []}
