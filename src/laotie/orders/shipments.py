"""What a shop has to ship, ships, and has shipped: the console's page, its figures, and the packing list.

Oldest first while something waits, newest first afterwards. Addresses are in the packing list alone, and that they were
read is on record.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from laotie import catalog, identity
from laotie.base.db import Tx
from laotie.base.ids import AccountId, OrderId, ProductId, ShopId, SkuId
from laotie.base.refusals import NotFound
from laotie.identity import Actor
from laotie.orders import feed
from laotie.orders.delivery import Delivery, Stage, find_delivery
from laotie.orders.model import OrderState
from laotie.orders.packing import Piece
from laotie.orders.parcels import Parcel, list_parcels, list_parcels_of

PAGE_SIZE_MAX = 100
COUNTED_MAX = 10_000
BROKEN_OVER = timedelta(days=30)


class Tab(StrEnum):
    """Which orders the page shows."""

    waiting = "waiting"
    partly = "partly"
    late = "late"
    """Not all on their way by the time that was promised."""
    gathering = "gathering"
    shipped = "shipped"
    delivered = "delivered"


STAGES = {
    Tab.waiting: [Stage.waiting],
    Tab.partly: [Stage.partly],
    Tab.late: [Stage.waiting, Stage.partly],
    Tab.gathering: [Stage.gathering],
    Tab.shipped: [Stage.shipped],
    Tab.delivered: [Stage.delivered],
}


class ShipmentLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line with what of it is still to be shipped."""

    no: int
    sku_id: SkuId
    product_id: ProductId
    title: str
    options: dict[str, str]
    image: str
    quantity: int
    shipped: int
    left: int


class Shipment(msgspec.Struct, frozen=True, kw_only=True):
    """An order on its way out."""

    order_id: OrderId
    buyer_id: AccountId
    state: OrderState
    stage: Stage
    note: str | None
    address: dict[str, Any] | None
    paid_at: datetime | None
    ship_by: datetime | None
    broken_at: datetime | None
    confirm_by: datetime | None
    lines: list[ShipmentLine]
    parcels: list[Parcel]


class ShipmentPage(NamedTuple):
    """A part of the list and the id after which the next part begins."""

    items: list[Shipment]
    next: OrderId | None


class ShipmentCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many orders stand where (at most ten thousand are counted), and promises broken in the last 30 days."""

    waiting: int
    partly: int
    late: int
    gathering: int
    shipped: int
    delivered: int
    broken: int


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How far one order is: `delivery` once it is paid, what is left to ship, its parcels."""

    order_id: OrderId
    state: OrderState
    delivery: Delivery | None
    left: list[Piece]
    parcels: list[Parcel]


class _Row(msgspec.Struct, frozen=True, kw_only=True):
    order_id: OrderId
    buyer_id: AccountId
    state: OrderState
    stage: Stage
    note: str | None
    address: dict[str, Any] | None
    paid_at: datetime | None
    ship_by: datetime | None
    broken_at: datetime | None
    confirm_by: datetime | None


async def list_shipments(
    tx: Tx, actor: Actor, shop_id: ShopId, tab: Tab, *, after: OrderId | None, limit: int
) -> ShipmentPage:
    """The shop's orders of one tab, without addresses. Needs the scope `orders`."""
    await identity.require_seat(tx, actor, shop_id, identity.Scope.orders)
    limit = min(limit, PAGE_SIZE_MAX)
    ids = await find_ids(tx, shop_id, tab, after=after, limit=limit + 1)
    items = await _read_many(tx, ids[:limit])
    return ShipmentPage(
        [msgspec.structs.replace(one, address=None) for one in items], ids[limit - 1] if len(ids) > limit else None
    )


async def list_packing(tx: Tx, actor: Actor, shop_id: ShopId, order_ids: list[OrderId]) -> list[Shipment]:
    """These orders with their addresses, to be packed; each reading is on record. Needs the scope `orders`."""
    await identity.require_seat(tx, actor, shop_id, identity.Scope.orders)
    own = await tx.all(
        OrderId,
        "SELECT order_id FROM orders.delivery WHERE shop_id = %(shop_id)s AND order_id = ANY(%(ids)s) ORDER BY order_id",
        shop_id=shop_id,
        ids=order_ids[:PAGE_SIZE_MAX],
    )
    for order_id in own:
        await identity.record(tx, actor, "order.address_read", subject=str(order_id))
    return await _read_many(tx, own)


async def count_shipments(tx: Tx, actor: Actor, shop_id: ShopId) -> ShipmentCounts:
    """The page's figures. Needs the scope `orders`."""
    await identity.require_seat(tx, actor, shop_id, identity.Scope.orders)
    counts: dict[Tab, int] = {}
    for tab, stages in STAGES.items():
        counts[tab] = await tx.one(
            int,
            """
            SELECT count(*) FROM (
                SELECT FROM orders.delivery
                WHERE shop_id = %(shop_id)s AND stage = ANY(%(stages)s) AND (NOT %(late)s OR broken_at IS NOT NULL)
                LIMIT %(limit)s
            ) AS counted
            """,
            shop_id=shop_id,
            stages=stages,
            late=tab is Tab.late,
            limit=COUNTED_MAX,
        )
    broken = await tx.one(
        int,
        "SELECT count(*) FROM orders.delivery WHERE shop_id = %(shop_id)s AND broken_at > %(since)s",
        shop_id=shop_id,
        since=tx.now - BROKEN_OVER,
    )
    return ShipmentCounts(broken=broken, **{tab.value: count for tab, count in counts.items()})


async def get_own_standing(tx: Tx, actor: Actor, order_id: OrderId) -> Standing:
    """How far the buyer's own order is; anyone else's is not there."""
    state = await tx.maybe(
        str,
        'SELECT state FROM orders."order" WHERE id = %(id)s AND buyer_id = %(buyer_id)s',
        id=order_id,
        buyer_id=actor.signed_in(),
    )
    return await _stand(tx, order_id, state)


async def get_standing(tx: Tx, actor: Actor, shop_id: ShopId, order_id: OrderId) -> Standing:
    """How far the shop's order is. Needs the scope `orders`."""
    await identity.require_seat(tx, actor, shop_id, identity.Scope.orders)
    state = await tx.maybe(
        str,
        'SELECT state FROM orders."order" WHERE id = %(id)s AND shop_id = %(shop_id)s',
        id=order_id,
        shop_id=shop_id,
    )
    return await _stand(tx, order_id, state)


async def _stand(tx: Tx, order_id: OrderId, state: str | None) -> Standing:
    if state is None:
        raise NotFound()
    lines = (await _read_lines(tx, [order_id])).get(order_id, [])
    return Standing(
        order_id=order_id,
        state=OrderState(state),
        delivery=await find_delivery(tx, order_id),
        left=[Piece(line.no, line.left) for line in lines if line.left],
        parcels=await list_parcels(tx, order_id),
    )


async def find_ids(
    tx: Tx, shop_id: ShopId, tab: Tab, *, after: OrderId | None, limit: int
) -> list[OrderId]:
    """The orders of one tab, in its order."""
    if tab in (Tab.shipped, Tab.delivered):
        return await tx.all(
            OrderId,
            """
            SELECT order_id FROM orders.delivery
            WHERE shop_id = %(shop_id)s AND stage = %(stage)s AND order_id < %(before)s
            ORDER BY order_id DESC LIMIT %(limit)s
            """,
            shop_id=shop_id,
            stage=STAGES[tab][0],
            before=after or feed.LAST_ID,
            limit=limit,
        )
    return await tx.all(
        OrderId,
        """
        SELECT order_id FROM orders.delivery
        WHERE shop_id = %(shop_id)s AND stage = ANY(%(stages)s) AND (NOT %(late)s OR broken_at IS NOT NULL)
          AND (%(after)s::uuid IS NULL OR order_id > %(after)s)
        ORDER BY order_id LIMIT %(limit)s
        """,
        shop_id=shop_id,
        stages=STAGES[tab],
        late=tab is Tab.late,
        after=after,
        limit=limit,
    )


async def list_waiting(tx: Tx, shop_id: ShopId, *, after: OrderId | None, limit: int) -> list[Shipment]:
    """What is still to be shipped, oldest first, with addresses (for the sheet)."""
    ids = await tx.all(
        OrderId,
        """
        SELECT order_id FROM orders.delivery
        WHERE shop_id = %(shop_id)s AND stage IN ('waiting', 'partly')
          AND (%(after)s::uuid IS NULL OR order_id > %(after)s)
        ORDER BY order_id LIMIT %(limit)s
        """,
        shop_id=shop_id,
        after=after,
        limit=limit,
    )
    return await _read_many(tx, ids)


async def _read_many(tx: Tx, order_ids: list[OrderId]) -> list[Shipment]:
    """In the order given."""
    rows = {
        row.order_id: row
        for row in await tx.all(
            _Row,
            """
            SELECT o.id AS order_id, o.buyer_id, o.state, d.stage, o.note, o.address, o.paid_at, d.ship_by, d.broken_at,
                   d.confirm_by
            FROM orders."order" AS o JOIN orders.delivery AS d ON d.order_id = o.id WHERE o.id = ANY(%(ids)s)
            """,
            ids=order_ids,
        )
    }
    lines = await _read_lines(tx, order_ids)
    parcels = await list_parcels_of(tx, order_ids)
    return [
        Shipment(
            lines=lines.get(id_, []),
            parcels=parcels.get(id_, []),
            **{name: getattr(rows[id_], name) for name in _Row.__struct_fields__},
        )
        for id_ in order_ids
        if id_ in rows
    ]


async def _read_lines(tx: Tx, order_ids: list[OrderId]) -> dict[OrderId, list[ShipmentLine]]:
    rows = await tx.tuples(
        """
        SELECT order_id, no, sku_id, product_id, title, options, quantity, shipped_quantity,
               greatest(0, quantity - shipped_quantity - greatest(0, refunded_quantity - returned_quantity))
        FROM orders.line WHERE order_id = ANY(%(ids)s) ORDER BY order_id, no
        """,
        ids=order_ids,
    )
    cards = await catalog.find_cards(tx, [row[3] for row in rows])
    found: dict[OrderId, list[ShipmentLine]] = {}
    for order_id, no, sku_id, product_id, title, options, quantity, shipped, left in rows:
        card = cards.get(product_id)
        found.setdefault(order_id, []).append(
            ShipmentLine(
                no=no,
                sku_id=sku_id,
                product_id=product_id,
                title=title,
                options=options,
                image=card.image if card is not None else catalog.picture_of(product_id, []),
                quantity=quantity,
                shipped=shipped,
                left=left,
            )
        )
    return found
