"""Baskets: what a person means to buy, kept with their account so that it is there on every device.

A line a SKU. A line that was put in from a show's cart is sold at the show's price as long as the show is on and offers it,
then at the shelf's. A basket keeps nothing for anybody: stock and prices are decided by the till alone. What was bought
leaves the basket when its page says so; a purchase past the basket does not touch it.
"""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec

from laotie import catalog, live
from laotie.base.db import Tx
from laotie.base.ids import AccountId, CartItemId, ProductId, ShopId, ShowId, SkuId
from laotie.base.money import Money
from laotie.base.refusals import Conflict
from laotie.catalog import ProductState, SkuState
from laotie.identity import Actor
from laotie.orders.model import QUANTITY_MAX, OffShelf, QuantityRefused

LINES_MAX = 100


class Trouble(StrEnum):
    """Why a line cannot be bought as it stands."""

    off_shelf = "off-shelf"
    sold_out = "sold-out"
    too_few = "too-few"
    waits = "between-waves"


class BasketLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line as it could be bought now. `seen_price` is what it cost when it was put in.

    With `cart_item_id` the price is the show's, and the order has to name item and show.
    """

    sku_id: SkuId
    product_id: ProductId
    shop_id: ShopId
    shop_name: str
    title: str
    image: str
    options: dict[str, str]
    quantity: int
    available: int
    price: Money
    seen_price: Money
    show_id: ShowId | None
    cart_item_id: CartItemId | None
    limit_per_person: int | None
    trouble: Trouble | None


class BasketFull(Conflict, code="basket-full"):
    """The basket is full; take something out first."""

    lines_max: int


class _Row(msgspec.Struct, frozen=True):
    sku_id: SkuId
    quantity: int
    show_id: ShowId | None
    cart_item_id: CartItemId | None
    seen_amount: int
    added_at: datetime


async def put_line(
    tx: Tx,
    actor: Actor,
    sku_id: SkuId,
    quantity: int,
    *,
    show_id: ShowId | None = None,
    cart_item_id: CartItemId | None = None,
) -> int:
    """Have so many pieces of a SKU in the basket, in all. Refuses `OffShelf`, `QuantityRefused`, `BasketFull`.

    Without a show, a line that came from one keeps it. Returns how many more there are than before (less: negative).
    """
    buyer_id = actor.signed_in()
    if not 1 <= quantity <= QUANTITY_MAX:
        raise QuantityRefused(sku_id=sku_id, quantity=quantity, quantity_max=QUANTITY_MAX)
    sku = (await catalog.find_skus(tx, [sku_id])).get(sku_id)
    if sku is None or sku.state is not SkuState.active:
        raise OffShelf(sku_id=sku_id)
    item = await live.cart_item_view(tx, cart_item_id) if cart_item_id is not None and show_id is not None else None
    tag = next((one for one in item.skus if one.sku_id == sku_id), None) if item is not None else None
    before = await tx.all(
        int,
        """
        WITH before AS (
            SELECT quantity FROM orders.basket_line WHERE buyer_id = %(buyer_id)s AND sku_id = %(sku_id)s
        )
        INSERT INTO orders.basket_line (buyer_id, sku_id, quantity, show_id, cart_item_id, seen_amount, added_at)
        SELECT %(buyer_id)s, %(sku_id)s, %(quantity)s, %(show_id)s, %(item_id)s, %(seen)s, %(now)s
        WHERE EXISTS (SELECT FROM orders.basket_line WHERE buyer_id = %(buyer_id)s AND sku_id = %(sku_id)s)
           OR (SELECT count(*) FROM orders.basket_line WHERE buyer_id = %(buyer_id)s) < %(lines_max)s
        ON CONFLICT (buyer_id, sku_id) DO UPDATE
        SET quantity = excluded.quantity, show_id = coalesce(excluded.show_id, basket_line.show_id),
            cart_item_id = coalesce(excluded.cart_item_id, basket_line.cart_item_id),
            seen_amount = CASE WHEN excluded.show_id IS NULL THEN basket_line.seen_amount ELSE excluded.seen_amount END
        RETURNING coalesce((SELECT quantity FROM before), 0)
        """,
        buyer_id=buyer_id,
        sku_id=sku_id,
        quantity=quantity,
        show_id=show_id if tag is not None else None,
        item_id=cart_item_id if tag is not None else None,
        seen=tag.price.amount if tag is not None else sku.price_amount,
        now=tx.now,
        lines_max=LINES_MAX,
    )
    if not before:
        raise BasketFull(lines_max=LINES_MAX)
    return quantity - before[0]


async def take_out(tx: Tx, actor: Actor, sku_ids: list[SkuId]) -> None:
    """These are not in the basket (any more)."""
    await tx.run(
        "DELETE FROM orders.basket_line WHERE buyer_id = %(buyer_id)s AND sku_id = ANY(%(ids)s::uuid[])",
        buyer_id=actor.signed_in(),
        ids=sku_ids,
    )


async def list_basket(tx: Tx, actor: Actor) -> list[BasketLine]:
    """The basket, what was put in last first, with prices and stock of this instant."""
    return await _view(tx, await _read(tx, actor.signed_in()))


async def export_basket(tx: Tx, account_id: AccountId) -> list[BasketLine]:
    """The same for a person's export."""
    return await _view(tx, await _read(tx, account_id))


async def forget_basket(tx: Tx, account_id: AccountId) -> None:
    """The person left."""
    await tx.run("DELETE FROM orders.basket_line WHERE buyer_id = %(id)s", id=account_id)


async def _read(tx: Tx, buyer_id: AccountId) -> list[_Row]:
    return await tx.all(
        _Row,
        """
        SELECT sku_id, quantity, show_id, cart_item_id, seen_amount, added_at FROM orders.basket_line
        WHERE buyer_id = %(buyer_id)s ORDER BY added_at DESC, sku_id
        """,
        buyer_id=buyer_id,
    )


async def _view(tx: Tx, rows: list[_Row]) -> list[BasketLine]:
    skus = await catalog.find_skus(tx, [row.sku_id for row in rows])
    products = await catalog.find_products(tx, list({sku.product_id for sku in skus.values()}))
    shops = await catalog.find_shops(tx, list({sku.shop_id for sku in skus.values()}))
    items = await _find_offered(tx, {row.show_id for row in rows if row.show_id is not None})
    lines = []
    for row in rows:
        sku = skus.get(row.sku_id)
        if sku is None:
            continue
        product, shop = products[sku.product_id], shops[sku.shop_id]
        item = items.get(row.cart_item_id) if row.cart_item_id is not None else None
        tag = next((one for one in item.skus if one.sku_id == sku.id), None) if item is not None else None
        sold = sku.state is SkuState.active and product.state is ProductState.listed and shop.state == "open"
        available = sku.available if tag is None else tag.available
        lines.append(
            BasketLine(
                sku_id=sku.id,
                product_id=product.id,
                shop_id=shop.id,
                shop_name=shop.name,
                title=product.title,
                image=catalog.picture_of(product.id, product.images),
                options=sku.options,
                quantity=row.quantity,
                available=available,
                price=sku.price if tag is None else tag.price,
                seen_price=Money(row.seen_amount, sku.currency),
                show_id=None if tag is None else row.show_id,
                cart_item_id=None if tag is None else row.cart_item_id,
                limit_per_person=None if item is None else _limit(item),
                trouble=_trouble(row, sold, item, available),
            )
        )
    return lines


async def _find_offered(tx: Tx, show_ids: set[ShowId]) -> dict[UUID, live.CartItem]:
    """The items of these shows that can be bought from their carts now."""
    shows = await live.find_shows(tx, list(show_ids))
    return {
        item.id: item
        for show in shows.values()
        if show.state is live.ShowState.live
        for item in await live.list_cart(tx, show.id)
        if item.on_shelf and (item.sale_ends_at is None or item.sale_ends_at > tx.now)
    }


def _limit(item: live.CartItem) -> int | None:
    return item.wave.limit_per_person if item.wave is not None else item.limit_per_person


def _trouble(row: _Row, sold: bool, item: live.CartItem | None, available: int) -> Trouble | None:
    if not sold:
        return Trouble.off_shelf
    if item is not None and item.wave is not None and item.wave.state is not live.WaveState.open:
        return Trouble.waits
    if available == 0:
        return Trouble.sold_out
    return Trouble.too_few if available < row.quantity else None

