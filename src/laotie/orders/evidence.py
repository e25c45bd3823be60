"""What the books must hold of each order, for the audit.

Compared between rooms as sums of hashes, and listed only where those differ.
"""

import msgspec

from laotie.base.db import Tx
from laotie.base.ids import OrderId

SHOWN_MAX = 100


async def sum_facts(tx: Tx, topic: str) -> dict[int, int]:
    """By the last byte of the order's id, the sum of the hashes of its facts on a topic."""
    rows = await tx.tuples(
        """
        SELECT get_byte(uuid_send(order_id), 15), sum(hashtextextended(order_id || ' ' || fact, 0)::numeric)
        FROM orders.order_fact WHERE topic = %(topic)s GROUP BY 1
        """,
        topic=topic,
    )
    return {bucket: int(total) for bucket, total in rows}


async def list_facts(tx: Tx, topic: str, bucket: int) -> set[tuple[OrderId, str]]:
    """The facts of one bucket, in words."""
    rows = await tx.tuples(
        """
        SELECT order_id, fact FROM orders.order_fact
        WHERE topic = %(topic)s AND get_byte(uuid_send(order_id), 15) = %(bucket)s
        """,
        topic=topic,
        bucket=bucket,
    )
    return {(order_id, fact) for order_id, fact in rows}


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """Counts, and orders that break a promise of this room; those lists must be empty (`SHOWN_MAX` are listed)."""

    orders: int
    by_state: dict[str, int]
    total_off: list[OrderId]
    """The total is not the sum of the lines."""
    never_due: list[OrderId]
    """Unpaid, the sweep has passed it, and it is not on the agenda: nothing would ever end it."""
    feed_off: list[OrderId]
    """Folded, but its shop's list does not show it in its present state."""


async def tally(tx: Tx) -> Tally:
    """The room's own audit: a full read, in the caller's snapshot."""
    by_state = dict(await tx.tuples('SELECT state, count(*) FROM orders."order" GROUP BY state'))
    return Tally(
        orders=sum(by_state.values()),
        by_state=by_state,
        total_off=await tx.all(
            OrderId,
            """
            SELECT o.id FROM orders."order" AS o LEFT JOIN (
                SELECT order_id, sum(quantity * unit_price_amount) AS amount FROM orders.line GROUP BY order_id
            ) AS l ON l.order_id = o.id
            WHERE l.amount IS DISTINCT FROM o.total_amount AND o.source <> 'imported' ORDER BY o.id LIMIT %(limit)s
            """,
            limit=SHOWN_MAX,
        ),
        never_due=await tx.all(
            OrderId,
            """
            SELECT id FROM orders."order" AS o
            WHERE state = 'placed' AND id <= (SELECT swept_to FROM orders.sweep)
              AND NOT EXISTS (SELECT FROM orders.agenda AS a WHERE a.kind = 'overdue' AND a.id = o.id)
            ORDER BY id LIMIT %(limit)s
            """,
            limit=SHOWN_MAX,
        ),
        feed_off=await tx.all(
            OrderId,
            """
            SELECT coalesce(o.id, f.order_id) FROM orders."order" AS o
            FULL JOIN orders.shop_feed AS f ON f.order_id = o.id AND f.shop_id = o.shop_id AND f.state = o.state
            WHERE (o.id IS NULL OR f.order_id IS NULL)
              AND coalesce(o.id, f.order_id) <= (SELECT folded_to FROM orders.fold)
            ORDER BY 1 LIMIT %(limit)s
            """,
            limit=SHOWN_MAX,
        ),
    )


async def find_in_flight(tx: Tx) -> set[OrderId]:
    """Orders with a payment or refund on the agenda: payments know of it, the order does not yet."""
    rows = await tx.tuples("SELECT DISTINCT order_id FROM orders.agenda WHERE kind <> 'overdue'")
    return {order_id for (order_id,) in rows}
