"""Where what was sold came from: the batches of an order, and for a recall the orders of a batch."""

from datetime import datetime

import msgspec

from laotie import catalog, identity
from laotie.base.db import Tx
from laotie.base.ids import OrderId
from laotie.base.refusals import NotFound
from laotie.catalog import BatchId
from laotie.identity import Actor
from laotie.orders.listing import Line, find_orders

PAGE_SIZE_MAX = 100


class BatchOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order with pieces of a batch; `kept_quantity` have not come back."""

    order_id: OrderId
    state: str
    quantity: int
    kept_quantity: int
    placed_at: datetime


async def list_sold_batches(tx: Tx, actor: Actor, order_id: OrderId) -> list[tuple[Line, catalog.brand_model.Batch]]:
    """The lines of an order that have a batch, with it. For the buyer, and staff of the shop with the scope `orders`."""
    order = (await find_orders(tx, [order_id])).get(order_id)
    if order is None:
        raise NotFound()
    if order.buyer_id != actor.account_id:
        await identity.require_seat(tx, actor, order.shop_id, identity.Scope.orders)
    batches = await catalog.batches.find_batches(
        tx, {BatchId(line.batch_id) for line in order.lines if line.batch_id is not None}
    )
    return [
        (line, batches[BatchId(line.batch_id)])
        for line in order.lines
        if line.batch_id is not None and BatchId(line.batch_id) in batches
    ]


async def list_orders_of_batch(
    tx: Tx, actor: Actor, batch_id: BatchId, *, after: OrderId | None = None, limit: int = 50
) -> catalog.Page[BatchOrder]:
    """Which orders have pieces of a batch, newest first: whom a recall reaches. Needs the scope `orders`."""
    batch = (await catalog.batches.find_batches(tx, [batch_id])).get(batch_id)
    if batch is None:
        raise NotFound()
    await identity.require_seat(tx, actor, batch.shop_id, identity.Scope.orders)
    limit = min(limit, PAGE_SIZE_MAX)
    rows = await tx.all(
        BatchOrder,
        """
        SELECT o.id AS order_id, o.state, sum(l.quantity)::bigint AS quantity,
               sum(l.quantity - l.refunded_quantity)::bigint AS kept_quantity, o.placed_at
        FROM orders.line AS l JOIN orders."order" AS o ON o.id = l.order_id
        WHERE l.batch_id = %(batch_id)s AND o.state <> 'cancelled' AND (%(after)s::uuid IS NULL OR o.id < %(after)s)
        GROUP BY o.id ORDER BY o.id DESC LIMIT %(limit)s
        """,
        batch_id=batch_id,
        after=after,
        limit=limit + 1,
    )
    return catalog.Page(rows[:limit], rows[limit - 1].order_id if len(rows) > limit else None)
