"""What the books must hold of each order, for the audit.

Compared between rooms as sums of hashes, and listed only where those differ.
"""

from datetime import datetime
from uuid import UUID

import msgspec

from laotie.base.db import Tx
from laotie.base.ids import OrderId, lowest_id_at
from laotie.orders.model import LATER_STATES, OrderState

SHOWN_MAX = 100
STUCK_ATTEMPTS = 8
"""An entry of the agenda that failed so often (some twenty minutes) is stuck."""


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


class Off(msgspec.Struct, frozen=True):
    """An order (or a show, a shop, a buyer) that is not as it must be, in words."""

    id: UUID
    expected: str
    found: str


async def list_facts_of(tx: Tx, topic: str, order_ids: list[UUID]) -> set[tuple[OrderId, str]]:
    """The facts of these orders, in words. Of a purchase, its first order has what is one fact for all of it."""
    rows = await tx.tuples(
        "SELECT order_id, fact FROM orders.order_fact WHERE topic = %(topic)s AND order_id = ANY(%(ids)s::uuid[])",
        topic=topic,
        ids=order_ids,
    )
    return {(order_id, fact) for order_id, fact in rows}


async def find_purchases(tx: Tx, order_ids: list[UUID]) -> set[UUID]:
    """All orders of the purchases that these are of (orders, or purchases by their first order)."""
    return set(
        await tx.all(
            UUID,
            """
            SELECT id FROM orders."order" WHERE id = ANY(%(ids)s::uuid[])
            UNION
            SELECT part.id FROM orders."order" AS named
            JOIN orders."order" AS part ON part.purchase_id = named.purchase_id
            WHERE named.id = ANY(%(ids)s::uuid[])
            """,
            ids=order_ids,
        )
    )


async def find_changed(tx: Tx, since: datetime) -> set[UUID]:
    """Orders that were placed, paid, sent, completed or ended since, and those of which a parcel was made or moved."""
    return set(
        await tx.all(
            UUID,
            """
            SELECT id FROM orders."order"
            WHERE id >= %(lowest)s OR greatest(paid_at, shipped_at, delivered_at, completed_at, ended_at) >= %(since)s
            UNION
            SELECT order_id FROM orders.parcel WHERE greatest(made_at, moved_at) >= %(since)s
            """,
            lowest=lowest_id_at(since),
            since=since,
        )
    )


async def count_states(tx: Tx) -> dict[str, int]:
    """How many orders there are in each state."""
    return dict(await tx.tuples('SELECT state, count(*) FROM orders."order" GROUP BY state'))


async def list_total_off(tx: Tx, order_ids: list[UUID] | None = None) -> list[OrderId]:
    """Orders whose total is not lines less discounts plus shipping, or whose sums are not those of their lines."""
    return await tx.all(
        OrderId,
        """
        SELECT o.id FROM orders."order" AS o LEFT JOIN (
            SELECT order_id, sum(quantity * unit_price_amount) AS amount, sum(discount_amount) AS discount,
                   sum(subsidy_amount) AS subsidy, sum(refunded_amount) AS refunded
            FROM orders.line WHERE %(ids)s::uuid[] IS NULL OR order_id = ANY(%(ids)s::uuid[]) GROUP BY order_id
        ) AS l ON l.order_id = o.id
        WHERE (l.amount - l.discount + o.shipping_amount, l.discount, l.subsidy,
               l.refunded + o.refunded_shipping_amount)
              IS DISTINCT FROM (o.total_amount, o.discount_amount, o.subsidy_amount, o.refunded_amount)
          AND o.source <> 'imported' AND (%(ids)s::uuid[] IS NULL OR o.id = ANY(%(ids)s::uuid[]))
        ORDER BY o.id LIMIT %(limit)s
        """,
        ids=order_ids,
        limit=SHOWN_MAX,
    )


async def list_given_back_off(tx: Tx, order_ids: list[UUID] | None = None) -> list[OrderId]:
    """Orders of which not what was written down was given back, or of which a chargeback took what no row tells of."""
    return await tx.all(
        OrderId,
        """
        SELECT o.id FROM orders."order" AS o
        LEFT JOIN (SELECT order_id, sum(amount) AS amount, sum(shipping_amount) AS shipping FROM orders.given_back
                   WHERE %(ids)s::uuid[] IS NULL OR order_id = ANY(%(ids)s::uuid[]) GROUP BY order_id
                  ) AS g ON g.order_id = o.id
        LEFT JOIN (SELECT order_id, sum(amount) AS amount FROM orders.reversal
                   WHERE restored_at IS NULL AND (%(ids)s::uuid[] IS NULL OR order_id = ANY(%(ids)s::uuid[]))
                   GROUP BY order_id) AS r ON r.order_id = o.id
        WHERE (coalesce(g.amount, 0), coalesce(g.shipping, 0), coalesce(r.amount, 0))
           <> (o.refunded_amount, o.refunded_shipping_amount, o.reversed_amount)
          AND o.source <> 'imported' AND (%(ids)s::uuid[] IS NULL OR o.id = ANY(%(ids)s::uuid[]))
        ORDER BY o.id LIMIT %(limit)s
        """,
        ids=order_ids,
        limit=SHOWN_MAX,
    )


async def list_never_due(tx: Tx) -> list[OrderId]:
    """Unpaid, the sweep has passed it, and it is not on the agenda: nothing would ever end it."""
    return await tx.all(
        OrderId,
        """
        SELECT id FROM orders."order" AS o
        WHERE state = 'placed' AND id <= (SELECT swept_to FROM orders.sweep)
          AND NOT EXISTS (SELECT FROM orders.agenda AS a WHERE a.kind = 'overdue' AND a.id = o.id)
        ORDER BY id LIMIT %(limit)s
        """,
        limit=SHOWN_MAX,
    )


async def list_overdue(tx: Tx, before: datetime) -> list[Off]:
    """Orders (and with each its hold) that should have ended before an instant and are still unpaid; and agenda stuck."""
    return await tx.all(
        Off,
        """
        SELECT order_id AS id, 'done by ' || due_at AS expected, kind || ' waits' AS found
        FROM orders.agenda WHERE due_at < %(before)s OR attempts >= %(attempts)s
        UNION ALL
        SELECT id, 'paid or cancelled by ' || pay_by, 'still held' FROM orders."order"
        WHERE state = 'placed' AND pay_by < %(before)s AND id > (SELECT swept_to FROM orders.sweep)
        ORDER BY 1 LIMIT %(limit)s
        """,
        before=before,
        attempts=STUCK_ATTEMPTS,
        limit=SHOWN_MAX,
    )


async def list_feed_off(tx: Tx, order_ids: list[UUID] | None = None) -> list[OrderId]:
    """Folded, but its shop's list does not show it in its present state (or shows it twice)."""
    if order_ids is not None:
        return await tx.all(
            OrderId,
            """
            SELECT o.id FROM orders."order" AS o
            LEFT JOIN orders.shop_feed AS f ON f.shop_id = o.shop_id AND f.order_id = o.id AND f.state = ANY(%(states)s)
            WHERE o.id = ANY(%(ids)s::uuid[]) AND o.id <= (SELECT folded_to FROM orders.fold)
            GROUP BY o.id HAVING count(f.order_id) <> 1 OR max(f.state) <> o.state
            ORDER BY o.id LIMIT %(limit)s
            """,
            ids=order_ids,
            states=[state.value for state in OrderState],
            limit=SHOWN_MAX,
        )
    return await tx.all(
        OrderId,
        """
        SELECT DISTINCT coalesce(o.id, f.order_id) FROM orders."order" AS o
        FULL JOIN orders.shop_feed AS f ON f.order_id = o.id AND f.shop_id = o.shop_id AND f.state = o.state
        WHERE (o.id IS NULL OR f.order_id IS NULL)
          AND coalesce(o.id, f.order_id) <= (SELECT folded_to FROM orders.fold)
        ORDER BY 1 LIMIT %(limit)s
        """,
        limit=SHOWN_MAX,
    )


async def list_parcels_off(tx: Tx, order_ids: list[UUID] | None = None) -> list[Off]:
    """Orders of which other pieces were sent than their parcels hold."""
    return await tx.all(
        Off,
        """
        SELECT id, expected::text, found::text FROM (
            SELECT coalesce(l.order_id, p.order_id) AS id, coalesce(p.quantity, 0) AS expected,
                   coalesce(l.shipped_quantity, 0) AS found
            FROM (SELECT order_id, no, shipped_quantity FROM orders.line
                  WHERE shipped_quantity > 0 AND (%(ids)s::uuid[] IS NULL OR order_id = ANY(%(ids)s::uuid[]))) AS l
            FULL JOIN (
                SELECT parcel.order_id, line_no, sum(quantity) AS quantity FROM orders.parcel
                JOIN orders.parcel_line ON parcel_id = parcel.id
                WHERE state <> 'cancelled' AND (%(ids)s::uuid[] IS NULL OR parcel.order_id = ANY(%(ids)s::uuid[]))
                GROUP BY parcel.order_id, line_no
            ) AS p ON p.order_id = l.order_id AND p.line_no = l.no
        ) AS compared WHERE expected <> found ORDER BY id LIMIT %(limit)s
        """,
        ids=order_ids,
        limit=SHOWN_MAX,
    )


async def count_parcels(tx: Tx) -> int:
    """Parcels that were not taken back."""
    return await tx.one(int, "SELECT count(*) FROM orders.parcel WHERE state <> 'cancelled'")


async def list_shows_off(tx: Tx) -> list[Off]:
    """Shows whose folded counts of orders and amounts are not those of their folded orders."""
    return await tx.all(
        Off,
        """
        WITH folded AS MATERIALIZED (
            SELECT id, show_id, state = ANY(%(paid)s) AS is_paid FROM orders."order"
            WHERE show_id IS NOT NULL AND id <= (SELECT folded_to FROM orders.fold)
        ), counted AS (
            SELECT show_id, count(*) AS orders, count(*) FILTER (WHERE is_paid) AS paid FROM folded GROUP BY show_id
        ), sold AS (
            SELECT show_id, sum(quantity) AS units, sum(quantity * unit_price_amount) AS amount,
                   coalesce(sum(quantity * unit_price_amount) FILTER (WHERE is_paid), 0) AS paid
            FROM folded JOIN orders.line ON order_id = folded.id GROUP BY show_id
        ), listed AS (
            SELECT show_id, sum(units) AS units, sum(amount) AS amount, sum(paid_amount) AS paid
            FROM orders.show_sale GROUP BY show_id
        )
        SELECT show_id AS id, concat_ws(' ', counted.orders, counted.paid, sold.units, sold.amount, sold.paid) AS expected,
               concat_ws(' ', total.orders, total.paid_orders, listed.units, listed.amount, listed.paid) AS found
        FROM counted JOIN sold USING (show_id) FULL JOIN orders.show_total AS total USING (show_id)
        FULL JOIN listed USING (show_id)
        WHERE (counted.orders, counted.paid, sold.units, sold.amount, sold.paid) IS DISTINCT FROM
              (total.orders, total.paid_orders, listed.units, listed.amount, listed.paid)
        ORDER BY show_id LIMIT %(limit)s
        """,
        paid=list(LATER_STATES),
        limit=SHOWN_MAX,
    )


async def count_shows(tx: Tx) -> int:
    """Shows that have sold something."""
    return await tx.one(int, "SELECT count(*) FROM orders.show_total")


async def list_numbers_off(tx: Tx) -> list[Off]:
    """Shops whose invoices' numbers have gaps, or do not end where the next one begins."""
    return await tx.all(
        Off,
        """
        SELECT coalesce(count.shop_id, made.shop_id) AS id, coalesce(last_number, 0)::text AS expected,
               coalesce(made.number, 0) || ' by ' || coalesce(made.invoices, 0) || ' invoices' AS found
        FROM orders.invoice_count AS count
        FULL JOIN (SELECT shop_id, max(number) AS number, count(*) AS invoices FROM orders.invoice
                   WHERE number IS NOT NULL GROUP BY shop_id) AS made ON made.shop_id = count.shop_id
        WHERE (coalesce(last_number, 0), coalesce(last_number, 0))
           <> (coalesce(made.number, 0), coalesce(made.invoices, 0))
        ORDER BY 1 LIMIT %(limit)s
        """,
        limit=SHOWN_MAX,
    )


async def count_invoices(tx: Tx) -> int:
    """Invoices and credit notes that have a number."""
    return await tx.one(int, "SELECT count(*) FROM orders.invoice WHERE number IS NOT NULL")


async def find_states(tx: Tx, order_ids: list[OrderId]) -> dict[OrderId, OrderState]:
    """The states of these orders."""
    rows = await tx.tuples('SELECT id, state FROM orders."order" WHERE id = ANY(%(ids)s)', ids=order_ids)
    return {order_id: OrderState(state) for order_id, state in rows}


async def sum_held(tx: Tx) -> dict[tuple[UUID, str], int]:
    """By shop and currency, what of its paid orders must be left once all refunds have arrived, subsidies included."""
    rows = await tx.tuples(
        """
        SELECT shop_id, currency,
               sum(total_amount - reversed_amount - refunded_amount + o.subsidy_amount
                   - coalesce(g.subsidy_amount, 0))::bigint
        FROM orders."order" AS o LEFT JOIN (
            SELECT order_id, sum(subsidy_amount) AS subsidy_amount FROM orders.given_back GROUP BY order_id
        ) AS g ON g.order_id = o.id
        WHERE state NOT IN ('placed', 'cancelled') AND source <> 'imported' GROUP BY shop_id, currency
        """
    )
    return {(shop_id, currency): amount for shop_id, currency, amount in rows}


async def sum_subsidies(tx: Tx) -> dict[str, int]:
    """By currency, what the platform's coupons have added to paid orders, less what came back."""
    return dict(
        await tx.tuples(
            """
            SELECT currency, sum(o.subsidy_amount - coalesce(g.subsidy_amount, 0))::bigint
            FROM orders."order" AS o LEFT JOIN (
                SELECT order_id, sum(subsidy_amount) AS subsidy_amount FROM orders.given_back GROUP BY order_id
            ) AS g ON g.order_id = o.id
            WHERE state NOT IN ('placed', 'cancelled') AND source <> 'imported' AND o.subsidy_amount > 0
            GROUP BY currency
            """
        )
    )


async def list_waiting_refunds(tx: Tx) -> list[tuple[OrderId, UUID, int]]:
    """Refunds that have arrived and wait on the agenda: (order, payment, amount)."""
    return [
        (order_id, payment_id, amount)
        for order_id, payment_id, amount in await tx.tuples(
            "SELECT order_id, payment_id, amount FROM orders.agenda WHERE kind = 'refunded'"
        )
    ]


async def find_payers(tx: Tx, order_ids: list[OrderId]) -> dict[OrderId, tuple[UUID, str, UUID | None]]:
    """Of each of these orders: its shop, its currency, and the payment that paid it."""
    rows = await tx.tuples(
        'SELECT id, shop_id, currency, payment_id FROM orders."order" WHERE id = ANY(%(ids)s)', ids=order_ids
    )
    return {order_id: (shop_id, currency, payment_id) for order_id, shop_id, currency, payment_id in rows}


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
