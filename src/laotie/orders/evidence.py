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


async def sum_discounts(tx: Tx) -> tuple[int, int, int]:
    """Orders with a discount, what was taken off all of them, and what of it the platform bears."""
    rows = await tx.tuples(
        """
        SELECT count(*), coalesce(sum(discount_amount), 0)::bigint, coalesce(sum(subsidy_amount), 0)::bigint
        FROM orders."order" WHERE discount_amount > 0
        """
    )
    orders, amount, subsidy = rows[0]
    return orders, amount, subsidy


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """Counts, and orders that break a promise of this room; those lists must be empty (`SHOWN_MAX` are listed)."""

    orders: int
    by_state: dict[str, int]
    total_off: list[OrderId]
    """The total is not lines less discounts plus shipping, or what was given back does not add up."""
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
                SELECT order_id, sum(quantity * unit_price_amount) AS amount, sum(discount_amount) AS discount,
                       sum(subsidy_amount) AS subsidy, sum(refunded_amount) AS refunded
                FROM orders.line GROUP BY order_id
            ) AS l ON l.order_id = o.id
            WHERE (l.amount - l.discount + o.shipping_amount, l.discount, l.subsidy,
                   l.refunded + o.refunded_shipping_amount)
                  IS DISTINCT FROM (o.total_amount, o.discount_amount, o.subsidy_amount, o.refunded_amount)
              AND o.source <> 'imported' ORDER BY o.id LIMIT %(limit)s
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


async def find_in_flight(tx: Tx, told: set[OrderId]) -> set[OrderId]:
    """Orders of which payments know something that the order does not yet: `told`, or on the agenda.

    With each its purchase, under whose id its money stands in the books.
    """
    rows = await tx.tuples(
        """
        WITH known AS (
            SELECT order_id FROM orders.agenda WHERE kind <> 'overdue'
            UNION SELECT unnest(%(told)s::uuid[])
        )
        SELECT known.order_id, coalesce(o.purchase_id, known.order_id) FROM known
        LEFT JOIN orders."order" AS o ON o.id = known.order_id
        """,
        told=list(told),
    )
    return {order_id for row in rows for order_id in row}
