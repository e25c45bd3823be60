"""A small world on the platform: a shop with a show in it, somebody who buys there, people with no business there.

Made over HTTP, as people would make it.
"""

from collections.abc import Awaitable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx

from laotie.base.ids import new_id
from laotie.identity import Scope, TokenScope
from people import PASSWORD, Browser, People

PRICE = {"amount": 9900, "currency": "CNY"}
IN_A_MONTH = (datetime.now(UTC) + timedelta(days=30)).isoformat()
ADDRESS = {"name": "Anna", "phone": "13800000000", "country": "CN", "city": "大连", "street": "海边路 1 号"}


@dataclass
class World:
    """A shop with a show in it, somebody who buys there, and everybody who has no business with either."""

    people: People
    shop: str = ""
    room: str = ""
    show: str = ""
    product: str = ""
    sku: str = ""
    item: str = ""
    order: str = ""
    payment: str = ""
    address: str = ""
    token: str = ""
    session: str = ""
    by_role: dict[str, Browser] = field(default_factory=dict)

    def __getitem__(self, role: str) -> Browser:
        return self.by_role[role]

    async def throwaway(self) -> Browser:
        """Somebody of whom nothing is left afterwards."""
        return await self.people.viewer(f"throwaway-{new_id().hex[-10:]}")


async def make_world(people: People) -> World:
    """Everybody and everything the table names, made over HTTP as they would be."""
    world = World(people)
    roles = world.by_role
    roles["owner"] = owner = await people.viewer("olga")
    roles["guest"] = await people.guest()
    roles["viewer"] = anna = await people.viewer("anna")
    roles["other"] = await people.viewer("bob")
    roles["operator"] = await people.operator()
    world.shop = await _shop(owner, "海边人家")
    world.room, world.show = await _stage(owner, world.shop)
    roles["streamer"] = await people.viewer("sven")
    await _stage(roles["streamer"], await _shop(roles["streamer"], "别家"))
    await _seats(world, people)
    await _goods(world, owner)
    await _purchase(world, anna)
    roles["token"] = await people.api_client(anna, TokenScope.catalog)
    roles["token of operator"] = await people.api_client(roles["operator"], TokenScope.account)
    return world


async def _shop(owner: Browser, name: str) -> str:
    shop = str(new_id())
    await made(owner.post("/api/shops", json={"id": shop, "name": name, "currency": "CNY"}))
    return shop


async def _stage(owner: Browser, shop: str) -> tuple[str, str]:
    room, show = str(new_id()), str(new_id())
    await made(owner.post("/api/rooms/mine", json={"id": room, "shop_id": shop, "title": "房间"}))
    await made(owner.post("/api/shows", json={"id": show, "room_id": room, "title": "今天"}))
    return room, show


async def _seats(world: World, people: People) -> None:
    for scope in Scope:
        for role, scopes in (("staff", [scope]), ("staff_without", [one for one in Scope if one != scope])):
            browser = await people.staff(f"{role}-{scope}", UUID(world.shop), world["owner"], *scopes)
            world.by_role[f"{role} {scope}"] = browser
        world.by_role[f"token {scope}"] = await people.api_client(world[f"staff {scope}"], TokenScope.account)
    world.by_role["staff"] = world[f"staff {Scope.orders}"]
    world.by_role["staff_without"] = world[f"staff_without {Scope.orders}"]


async def _goods(world: World, owner: Browser) -> None:
    world.product, world.sku, world.item = str(new_id()), str(new_id()), str(new_id())
    await made(owner.post(f"/api/shops/{world.shop}/products", json={"id": world.product, "title": "海参"}))
    sku = {"id": world.sku, "code": "HS-1", "price": PRICE, "stock": 1000}
    await made(owner.post(f"/api/products/{world.product}/skus", json=sku))
    await made(owner.patch(f"/api/products/{world.product}", json={"state": "listed"}))
    item = {"id": world.item, "product_id": world.product}
    await made(owner.post(f"/api/shows/{world.show}/cart", json=item))


async def _purchase(world: World, buyer: Browser) -> None:
    world.address, world.payment, world.token = str(new_id()), str(new_id()), str(new_id())
    await made(buyer.post("/api/me/addresses", json={"id": world.address, **ADDRESS}))
    world.order = (await place_order(world))["order_id"]
    pay = {"id": world.payment, "method": "sandbox"}
    await made(buyer.post(f"/api/orders/{world.order}/payments", json=pay))
    token = {"id": world.token, "name": "t", "scopes": ["account"], "expires_at": IN_A_MONTH}
    await made(buyer.post("/api/tokens", json=token))
    await made(world.people.stranger().post("/api/sessions", json={"handle": "anna", "password": PASSWORD}))
    sessions = (await buyer.get("/api/sessions")).json()["items"]
    world.session = next(one["id"] for one in sessions if not one["current"])


async def place_order(world: World) -> dict[str, str]:
    line = {"sku_id": world.sku, "quantity": 1, "unit_price": {"amount": 9900, "currency": "CNY"}}
    answer = await made(world["viewer"].post("/api/orders", json={"id": str(new_id()), "lines": [line]}))
    where = {"address_id": world.address}
    await made(world["viewer"].put(f"/api/orders/{answer['id']}/address", json=where))
    return {"order_id": answer["id"]}


async def made(request: Awaitable[httpx.Response]) -> Any:
    answer = await request
    assert answer.status_code < 300, f"{answer.request.method} {answer.request.url} {answer.status_code} {answer.text}"
    return answer.json() if answer.content else None
