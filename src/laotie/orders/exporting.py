"""All of a shop's orders, to take away: orders, their lines, what was given back of them, parcels, and shows' sums.

Newest first, a page a snapshot: no transaction lasts longer than a page and memory stays flat; orders made after the
first page are left out. A buyer's address is part of it while the parcel is still to arrive, and no longer: beyond that
the shop has no use for it that the law knows. Who may have it, the caller has asked.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from laotie import identity, live, offers
from laotie.base.db import Database, Tx
from laotie.base.ids import AccountId, OrderId, ProductId, ShopId, ShowId, SkuId
from laotie.orders import feed
from laotie.orders.model import OrderState
from laotie.orders.packing import ParcelId

PAGE_SIZE = 500
ON_ITS_WAY = (OrderState.paid, OrderState.shipped)


class OrderRow(msgspec.Struct, frozen=True, kw_only=True):
    """An order. `total` = goods - `discount` + `shipping`; `refunded` and `reversed` went back of it."""

    id: OrderId
    purchase_id: OrderId | None
    buyer_id: AccountId
    buyer_name: str
    show_id: ShowId | None
    state: str
    currency: str
    total_amount: int
    discount_amount: int
    subsidy_amount: int
    shipping_amount: int
    refunded_amount: int
    reversed_amount: int
    source: str
    placement: str
    note: str | None
    address: dict[str, Any] | None
    """While the parcel is still to arrive."""
    placed_at: datetime
    paid_at: datetime | None
    shipped_at: datetime | None
    delivered_at: datetime | None
    completed_at: datetime | None
    ended_at: datetime | None
    end_reason: str | None


class OrderLineRow(msgspec.Struct, frozen=True, kw_only=True):
    """A line of an order, as sold."""

    order_id: OrderId
    no: int
    sku_id: SkuId
    product_id: ProductId
    title: str
    options: dict[str, str]
    currency: str
    quantity: int
    unit_price_amount: int
    discount_amount: int
    subsidy_amount: int
    tax_bps: int
    tax_amount: int
    shipped_quantity: int
    refunded_quantity: int
    refunded_amount: int


class RefundRow(msgspec.Struct, frozen=True, kw_only=True):
    """What was given back of a paid order, and of which lines."""

    id: UUID
    order_id: OrderId
    reason: str
    currency: str
    amount: int
    shipping_amount: int
    subsidy_amount: int
    lines: list[dict[str, Any]]
    given_at: datetime


class ParcelRow(msgspec.Struct, frozen=True, kw_only=True):
    """A parcel and what is in it."""

    id: ParcelId
    order_id: OrderId
    carrier: str
    number: str
    state: str
    pieces: dict[str, int]
    """Pieces by the order's line."""
    made_at: datetime
    moved_at: datetime | None
    delivered_at: datetime | None


class ShowRow(msgspec.Struct, frozen=True, kw_only=True):
    """A show and what it sold, up to a few seconds ago."""

    id: ShowId
    streamer_id: AccountId
    title: str
    state: str
    planned_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    most_viewers: int
    orders: int = 0
    paid_orders: int = 0
    units: int = 0
    paid_units: int = 0
    currency: str | None = None
    placed_amount: int | None = None
    paid_amount: int | None = None


class _Sum(msgspec.Struct, frozen=True, kw_only=True):
    show_id: ShowId
    orders: int
    paid_orders: int
    units: int
    paid_units: int
    currency: str | None
    placed_amount: int
    paid_amount: int


async def page_orders(db: Database, shop_id: ShopId) -> AsyncIterator[tuple[Tx, list[OrderId]]]:
    """The shop's orders, newest first, each page with the snapshot to read it in."""
    after: OrderId | None = None
    while True:
        async with db.read() as tx:
            ids = await feed.find_of_shop(tx, shop_id, states=list(OrderState), after=after, limit=PAGE_SIZE)
            if ids:
                yield tx, ids
        if len(ids) < PAGE_SIZE:
            return
        after = ids[-1]


async def export_orders(db: Database, shop_id: ShopId, _as_of: datetime) -> AsyncIterator[list[OrderRow]]:
    """The shop's orders."""
    async for tx, ids in page_orders(db, shop_id):
        rows = await tx.all(
            OrderRow,
            """
            SELECT id, purchase_id, buyer_id, '' AS buyer_name, show_id, state, currency, total_amount,
                   discount_amount, subsidy_amount, shipping_amount, refunded_amount, reversed_amount, source, placement,
                   note, CASE WHEN state = ANY(%(on_its_way)s) AND delivered_at IS NULL THEN address END AS address,
                   placed_at, paid_at, shipped_at, delivered_at, completed_at, ended_at, end_reason
            FROM orders."order" WHERE id = ANY(%(ids)s) ORDER BY id DESC
            """,
            ids=ids,
            on_its_way=list(ON_ITS_WAY),
        )
        names = await identity.find_profiles(tx, {row.buyer_id for row in rows})
        yield [
            msgspec.structs.replace(row, buyer_name=names[row.buyer_id].name) if row.buyer_id in names else row
            for row in rows
        ]


async def export_lines(db: Database, shop_id: ShopId, _as_of: datetime) -> AsyncIterator[list[OrderLineRow]]:
    """The lines of the shop's orders."""
    async for tx, ids in page_orders(db, shop_id):
        yield await tx.all(
            OrderLineRow,
            """
            SELECT l.order_id, l.no, l.sku_id, l.product_id, l.title, l.options, o.currency, l.quantity,
                   l.unit_price_amount, l.discount_amount, l.subsidy_amount, l.tax_bps, l.tax_amount,
                   l.shipped_quantity, l.refunded_quantity, l.refunded_amount
            FROM orders.line AS l JOIN orders."order" AS o ON o.id = l.order_id
            WHERE l.order_id = ANY(%(ids)s) ORDER BY l.order_id DESC, l.no
            """,
            ids=ids,
        )


async def export_refunds(db: Database, shop_id: ShopId, _as_of: datetime) -> AsyncIterator[list[RefundRow]]:
    """What was given back of the shop's orders."""
    async for tx, ids in page_orders(db, shop_id):
        yield await tx.all(
            RefundRow,
            """
            SELECT g.id, g.order_id, g.reason, o.currency, g.amount, g.shipping_amount, g.subsidy_amount, g.lines,
                   g.given_at
            FROM orders.given_back AS g JOIN orders."order" AS o ON o.id = g.order_id
            WHERE g.order_id = ANY(%(ids)s) ORDER BY g.order_id DESC, g.id
            """,
            ids=ids,
        )


async def export_parcels(db: Database, shop_id: ShopId, _as_of: datetime) -> AsyncIterator[list[ParcelRow]]:
    """The parcels of the shop's orders."""
    async for tx, ids in page_orders(db, shop_id):
        yield await tx.all(
            ParcelRow,
            """
            SELECT id, order_id, carrier, number, state,
                   coalesce((SELECT jsonb_object_agg(line_no::text, quantity) FROM orders.parcel_line
                             WHERE parcel_id = parcel.id), '{}') AS pieces,
                   made_at, moved_at, delivered_at
            FROM orders.parcel WHERE order_id = ANY(%(ids)s) ORDER BY order_id DESC, id
            """,
            ids=ids,
        )


async def export_coupon_uses(
    db: Database, shop_id: ShopId, _as_of: datetime
) -> AsyncIterator[list[offers.exporting.CouponUseRow]]:
    """What coupons took off the shop's orders."""
    async for tx, ids in page_orders(db, shop_id):
        yield await offers.exporting.list_uses(tx, ids)


async def export_shows(db: Database, shop_id: ShopId, as_of: datetime) -> AsyncIterator[list[ShowRow]]:
    """The shop's shows with what they sold."""
    async for tx, shows in live.exporting.page_shows(db, shop_id, as_of):
        sums = await tx.all(
            _Sum,
            """
            SELECT t.show_id, t.orders, t.paid_orders, t.currency, coalesce(s.units, 0)::bigint AS units,
                   coalesce(s.paid_units, 0)::bigint AS paid_units, coalesce(s.placed, 0)::bigint AS placed_amount,
                   coalesce(s.paid, 0)::bigint AS paid_amount
            FROM orders.show_total AS t
            LEFT JOIN (SELECT show_id, sum(units) AS units, sum(amount) AS placed, sum(paid_units) AS paid_units,
                              sum(paid_amount) AS paid
                       FROM orders.show_sale WHERE show_id = ANY(%(ids)s) GROUP BY show_id) AS s USING (show_id)
            WHERE t.show_id = ANY(%(ids)s)
            """,
            ids=[show.id for show in shows],
        )
        sold = {one.show_id: one for one in sums}
        yield [_show_row(show, sold.get(show.id)) for show in shows]


def _show_row(show: live.exporting.ShowRow, sold: _Sum | None) -> ShowRow:
    fields = msgspec.structs.asdict(show)
    if sold is not None:
        fields |= {name: value for name, value in msgspec.structs.asdict(sold).items() if name != "show_id"}
    return ShowRow(**fields)
