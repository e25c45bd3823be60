"""My basket over HTTP."""

from typing import Annotated
from uuid import UUID

import msgspec
from litestar import get, post, put

from laotie import orders, traffic
from laotie.base.db import Database
from laotie.base.entry import Source
from laotie.base.ids import CartItemId, ShowId, SkuId
from laotie.identity import Actor
from laotie.orders import BasketLine
from laotie.web import acts
from laotie.web.given import FromPath, Given, JSONBody
from laotie.web.house import House


class Basket(msgspec.Struct):
    """What I mean to buy, what was put in last first."""

    lines: list[BasketLine]


class Wanted(msgspec.Struct, forbid_unknown_fields=True):
    """So many pieces in all. `show_id` and `cart_item_id` say in which show's cart it was found."""

    quantity: Annotated[int, msgspec.Meta(ge=-(2**31), lt=2**31)]
    show_id: ShowId | None = None
    cart_item_id: CartItemId | None = None


class TakenOut(msgspec.Struct, forbid_unknown_fields=True):
    """These leave the basket."""

    sku_ids: Annotated[list[SkuId], msgspec.Meta(max_length=100)]


@get("/api/basket")
async def get_basket(actor: Given[Actor], db: Given[Database]) -> Basket:
    """My basket, with the prices and the stock of this instant."""
    async with db.read() as tx:
        return Basket(await orders.list_basket(tx, actor))


@put("/api/basket/lines/{sku_id:uuid}")
async def put_basket_line(
    sku_id: FromPath[UUID], data: JSONBody[Wanted], actor: Given[Actor], db: Given[Database], house: Given[House]
) -> Basket:
    """Have so many pieces of a SKU in my basket."""
    async with db.tx() as tx:
        more = await orders.put_line(
            tx, actor, SkuId(sku_id), data.quantity, show_id=data.show_id, cart_item_id=data.cart_item_id
        )
        basket = Basket(await orders.list_basket(tx, actor))
        line = next((line for line in basket.lines if line.sku_id == sku_id), None)
        came = await traffic.credit_at(tx, actor, line.shop_id, source=Source.shelf) if line is not None else None
    if line is not None:
        acts.tell_cart(house, actor, came, line, more)
    return basket


@post("/api/basket/removals", status_code=200)
async def take_out_of_basket(data: JSONBody[TakenOut], actor: Given[Actor], db: Given[Database]) -> Basket:
    """Take lines out of my basket; those that are not in it do not matter."""
    async with db.tx() as tx:
        await orders.take_out(tx, actor, data.sku_ids)
        return Basket(await orders.list_basket(tx, actor))


ROUTES = [get_basket, put_basket_line, take_out_of_basket]
