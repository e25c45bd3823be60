"""Orders as people read them: one, a buyer's, a shop's, and a show's sales."""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from laotie import catalog, identity, live, payments
from laotie.base.db import Tx
from laotie.base.ids import AccountId, CartItemId, OrderId, PaymentId, ProductId, ShopId, ShowId, SkuId
from laotie.base.refusals import NotFound
from laotie.identity import Actor
from laotie.orders import feed
from laotie.orders.model import OrderState

EXPORTED_MAX = 10_000
PAGE_SIZE_MAX = 100


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line of an order, as sold."""

    no: int
    sku_id: SkuId
    product_id: ProductId
    cart_item_id: CartItemId | None
    title: str
    image: str
    options: dict[str, str]
    quantity: int
    unit_price_amount: int


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """An order with its lines, its shop's name and the payment that counts: the one that paid it, else the last."""

    id: OrderId
    client_id: UUID
    buyer_id: AccountId
    shop_id: ShopId
    shop_name: str
    show_id: ShowId | None
    state: OrderState
    currency: str
    total_amount: int
    source: str
    note: str | None
    address: dict[str, Any] | None
    placed_at: datetime
    pay_by: datetime
    paid_at: datetime | None
    ended_at: datetime | None
    end_reason: str | None
    lines: list[Line]
    payment: payments.Payment | None


class Page(NamedTuple):
    """A part of a list, newest first, and the id after which the next part begins."""

    items: list[Order]
    next: OrderId | None


class Sales(NamedTuple):
    """A show's sales, with what its products are called and which item of the cart they are now, if any."""

    sales: feed.ShowSales
    titles: dict[ProductId, str]
    items: dict[ProductId, CartItemId]
    currency: str


class _Row(msgspec.Struct, frozen=True, kw_only=True):
    id: OrderId
    client_id: UUID
    buyer_id: AccountId
    shop_id: ShopId
    show_id: ShowId | None
    state: OrderState
    currency: str
    total_amount: int
    source: str
    note: str | None
    address: dict[str, Any] | None
    placed_at: datetime
    pay_by: datetime
    paid_at: datetime | None
    payment_id: PaymentId | None
    ended_at: datetime | None
    end_reason: str | None


class _LineRow(msgspec.Struct, frozen=True, kw_only=True):
    order_id: OrderId
    no: int
    sku_id: SkuId
    product_id: ProductId
    cart_item_id: CartItemId | None
    title: str
    options: dict[str, str]
    quantity: int
    unit_price_amount: int


async def get_own(tx: Tx, actor: Actor, order_id: OrderId) -> Order:
    """The buyer's own order; anyone else's is not there."""
    buyer_id = actor.signed_in()
    for order in await _read_many(tx, [order_id]):
        if order.buyer_id == buyer_id:
            return order
    raise NotFound()


async def get_of_shop(tx: Tx, actor: Actor, shop_id: ShopId, order_id: OrderId) -> Order:
    """An order of the shop. Needs the scope `orders`."""
    await identity.require_seat(tx, actor, shop_id, identity.Scope.orders)
    for order in await _read_many(tx, [order_id]):
        if order.shop_id == shop_id:
            return order
    raise NotFound()


async def export(tx: Tx, account_id: AccountId) -> list[Order]:
    """What this room holds about a person, newest first (for their export)."""
    ids = await tx.all(
        OrderId,
        """
        WITH own AS MATERIALIZED (SELECT id FROM orders."order" WHERE buyer_id = %(buyer_id)s)
        SELECT id FROM own ORDER BY id DESC LIMIT %(limit)s
        """,
        buyer_id=account_id,
        limit=EXPORTED_MAX,
    )
    found: list[Order] = []
    for start in range(0, len(ids), PAGE_SIZE_MAX):
        found += (await _page(tx, ids[start : start + PAGE_SIZE_MAX], PAGE_SIZE_MAX)).items
    return found


async def list_own(
    tx: Tx, actor: Actor, *, state: OrderState | None, after: OrderId | None, limit: int
) -> Page:
    """The buyer's orders, newest first.

    All of the buyer's rows are found through the unique (buyer, client id) index and sorted; the CTE is MATERIALIZED
    lest the planner walk everybody's orders backwards until it has met enough of this buyer's.
    """
    limit = min(limit, PAGE_SIZE_MAX)
    ids = await tx.all(
        OrderId,
        """
        WITH own AS MATERIALIZED (
            SELECT id, state FROM orders."order" WHERE buyer_id = %(buyer_id)s
        )
        SELECT id FROM own WHERE id < %(before)s AND (%(state)s::text IS NULL OR state = %(state)s)
        ORDER BY id DESC LIMIT %(limit)s
        """,
        buyer_id=actor.signed_in(),
        before=after or feed.LAST_ID,
        state=state,
        limit=limit + 1,
    )
    return await _page(tx, ids, limit)


async def list_of_shop(
    tx: Tx, actor: Actor, shop_id: ShopId, *, state: OrderState | None, after: OrderId | None, limit: int
) -> Page:
    """The shop's orders, newest first. Needs the scope `orders`."""
    await identity.require_seat(tx, actor, shop_id, identity.Scope.orders)
    limit = min(limit, PAGE_SIZE_MAX)
    states = [state] if state is not None else list(OrderState)
    return await _page(tx, await feed.find_of_shop(tx, shop_id, states=states, after=after, limit=limit + 1), limit)


async def get_sales(tx: Tx, actor: Actor, show_id: ShowId) -> Sales:
    """What a show sold, for its shop's staff (scope `orders`) and its streamer. Call it in a snapshot."""
    show = await live.get_show(tx, show_id)
    if actor.account_id is None or actor.account_id != show.streamer.id:
        await identity.require_seat(tx, actor, show.shop_id, identity.Scope.orders)
    sales = await feed.sum_show(tx, show_id)
    products = await catalog.find_products(tx, [item.product_id for item in sales.items])
    return Sales(
        sales,
        {product.id: product.title for product in products.values()},
        {item.product_id: item.id for item in await live.list_cart(tx, show_id)},
        sales.currency or (await catalog.get_shop(tx, show.shop_id)).currency,
    )


async def _page(tx: Tx, ids: list[OrderId], limit: int) -> Page:
    orders = await _read_many(tx, ids[:limit])
    return Page(orders, ids[limit - 1] if len(ids) > limit else None)


async def _read_many(tx: Tx, order_ids: list[OrderId]) -> list[Order]:
    """The orders, newest first, with what other rooms know of them."""
    if not order_ids:
        return []
    rows = await tx.all(
        _Row,
        """
        SELECT id, client_id, buyer_id, shop_id, show_id, state, currency, total_amount, source, note, address,
               placed_at, pay_by, paid_at, payment_id, ended_at, end_reason
        FROM orders."order" WHERE id = ANY(%(ids)s) ORDER BY id DESC
        """,
        ids=order_ids,
    )
    line_rows = await tx.all(
        _LineRow,
        """
        SELECT order_id, no, sku_id, product_id, cart_item_id, title, options, quantity, unit_price_amount
        FROM orders.line WHERE order_id = ANY(%(ids)s) ORDER BY order_id, no
        """,
        ids=order_ids,
    )
    products = await catalog.find_products(tx, list({line.product_id for line in line_rows}))
    shops = await catalog.find_shops(tx, list({row.shop_id for row in rows}))
    payments_of = await payments.list_of_orders(tx, order_ids)
    lines: dict[OrderId, list[Line]] = {}
    for line in line_rows:
        product = products.get(line.product_id)
        image = catalog.picture_of(line.product_id, product.images if product is not None else [])
        fields = {name: getattr(line, name) for name in Line.__struct_fields__ if name != "image"}
        lines.setdefault(line.order_id, []).append(Line(image=image, **fields))
    return [
        Order(
            shop_name=shops[row.shop_id].name if row.shop_id in shops else "",
            lines=lines.get(row.id, []),
            payment=_payment_that_counts(payments_of.get(row.id, []), row.payment_id),
            **{name: getattr(row, name) for name in _Row.__struct_fields__ if name != "payment_id"},
        )
        for row in rows
    ]


def _payment_that_counts(made: list[payments.Payment], paid_by: PaymentId | None) -> payments.Payment | None:
    for payment in made:
        if payment.id == paid_by:
            return payment
    return made[-1] if made else None
