"""What a show sells by the minute and by the mark. Folded with `feed`, under its lock and up to its place.

An order counts in the minute in which it was placed and, once paid, in the minute of the payment. It counts for the mark
that was open when it was placed: by then the mark is final, since the fold stays behind every transaction that is still
under way (`horizon`), a pin's as well as a till's.
"""

from datetime import UTC, datetime
from uuid import UUID

import msgspec

from laotie import live
from laotie.base.db import Tx
from laotie.base.ids import OrderId, ShowId
from laotie.orders.model import LATER_STATES

NO_MARK = UUID(int=0)
"""Nothing was being explained."""
STILL_OPEN = datetime.max.replace(tzinfo=UTC)


class SoldMinute(msgspec.Struct, frozen=True, kw_only=True):
    """A show's sales of one minute in one currency: placed then, and paid then."""

    at: datetime
    currency: str
    orders: int
    units: int
    amount: int
    paid_orders: int
    paid_units: int
    paid_amount: int


class MarkSales(msgspec.Struct, frozen=True, kw_only=True):
    """What was ordered while a mark was open (`own`: of the product explained), and what of that is paid by now."""

    mark_id: UUID
    orders: int
    units: int
    amount: int
    own_units: int
    own_amount: int
    paid_orders: int
    paid_units: int
    paid_amount: int


class _Span(msgspec.Struct, frozen=True):
    show_id: ShowId
    from_at: datetime
    to_at: datetime


async def enter_folded(tx: Tx, *, after: UUID, to: UUID) -> None:
    """Enter the orders that the fold has just passed: `after` < id <= `to`. The caller has the fold to itself."""
    spans = await tx.all(
        _Span,
        """
        SELECT show_id, min(placed_at) AS from_at, max(placed_at) AS to_at FROM orders."order"
        WHERE id > %(after)s AND id <= %(to)s AND show_id IS NOT NULL GROUP BY show_id
        """,
        after=after,
        to=to,
    )
    if not spans:
        return
    await tx.run(
        """
        WITH page AS MATERIALIZED (
            SELECT o.id, o.show_id, o.currency, o.placed_at,
                   CASE WHEN o.state = ANY(%(paid)s) THEN coalesce(o.paid_at, o.placed_at) END AS paid_at,
                   sum(l.quantity) AS units, sum(l.quantity * l.unit_price_amount) AS amount
            FROM orders."order" AS o JOIN orders.line AS l ON l.order_id = o.id
            WHERE o.id > %(after)s AND o.id <= %(to)s AND o.show_id IS NOT NULL GROUP BY o.id
        )
        INSERT INTO orders.show_minute AS m
            (show_id, at, currency, orders, units, amount, paid_orders, paid_units, paid_amount)
        SELECT show_id, at, currency, sum(orders), sum(units), sum(amount), sum(paid_orders), sum(paid_units),
               sum(paid_amount)
        FROM (SELECT show_id, date_trunc('minute', placed_at, 'UTC') AS at, currency, 1 AS orders, units, amount,
                     0 AS paid_orders, 0 AS paid_units, 0 AS paid_amount FROM page
              UNION ALL
              SELECT show_id, date_trunc('minute', paid_at, 'UTC'), currency, 0, 0, 0, 1, units, amount
              FROM page WHERE paid_at IS NOT NULL) AS part
        GROUP BY show_id, at, currency ORDER BY show_id, at, currency
        ON CONFLICT (show_id, at, currency) DO UPDATE SET
            orders = m.orders + excluded.orders, units = m.units + excluded.units, amount = m.amount + excluded.amount,
            paid_orders = m.paid_orders + excluded.paid_orders, paid_units = m.paid_units + excluded.paid_units,
            paid_amount = m.paid_amount + excluded.paid_amount
        """,
        after=after,
        to=to,
        paid=list(LATER_STATES),
    )
    marks = await _find_marks(tx, spans)
    await tx.run(
        """
        WITH mark AS MATERIALIZED (
            SELECT * FROM unnest(%(marks)s::uuid[], %(shows)s::uuid[], %(products)s::uuid[], %(begins)s::timestamptz[],
                                 %(ends)s::timestamptz[]) AS mark (id, show_id, product_id, begins_at, ends_at)
        )
        INSERT INTO orders.show_mark AS m (show_id, mark_id, orders, units, amount, own_units, own_amount, paid_orders,
                                           paid_units, paid_amount)
        SELECT o.show_id, coalesce(mark.id, %(none)s), count(DISTINCT o.id), sum(l.quantity),
               sum(l.quantity * l.unit_price_amount),
               coalesce(sum(l.quantity) FILTER (WHERE l.product_id = mark.product_id), 0),
               coalesce(sum(l.quantity * l.unit_price_amount) FILTER (WHERE l.product_id = mark.product_id), 0),
               count(DISTINCT o.id) FILTER (WHERE o.state = ANY(%(paid)s)),
               coalesce(sum(l.quantity) FILTER (WHERE o.state = ANY(%(paid)s)), 0),
               coalesce(sum(l.quantity * l.unit_price_amount) FILTER (WHERE o.state = ANY(%(paid)s)), 0)
        FROM orders."order" AS o JOIN orders.line AS l ON l.order_id = o.id
        LEFT JOIN mark ON mark.show_id = o.show_id AND o.placed_at >= mark.begins_at AND o.placed_at < mark.ends_at
        WHERE o.id > %(after)s AND o.id <= %(to)s AND o.show_id IS NOT NULL
        GROUP BY o.show_id, mark.id
        ON CONFLICT (show_id, mark_id) DO UPDATE SET
            orders = m.orders + excluded.orders, units = m.units + excluded.units, amount = m.amount + excluded.amount,
            own_units = m.own_units + excluded.own_units, own_amount = m.own_amount + excluded.own_amount,
            paid_orders = m.paid_orders + excluded.paid_orders, paid_units = m.paid_units + excluded.paid_units,
            paid_amount = m.paid_amount + excluded.paid_amount
        """,
        after=after,
        to=to,
        paid=list(LATER_STATES),
        none=NO_MARK,
        **_as_arrays(marks),
    )


async def add_paid(tx: Tx, order_ids: list[OrderId]) -> None:
    """These orders were paid in this transaction: raise what is folded. The caller keeps the fold out.

    Locks the minutes by show, then the marks by show and id.
    """
    await tx.run(
        """
        INSERT INTO orders.show_minute AS m
            (show_id, at, currency, orders, units, amount, paid_orders, paid_units, paid_amount)
        SELECT o.show_id, date_trunc('minute', %(now)s::timestamptz, 'UTC'), o.currency, 0, 0, 0, count(DISTINCT o.id),
               sum(l.quantity), sum(l.quantity * l.unit_price_amount)
        FROM orders."order" AS o JOIN orders.line AS l ON l.order_id = o.id
        WHERE o.id = ANY(%(ids)s) AND o.show_id IS NOT NULL AND o.id <= (SELECT folded_to FROM orders.fold)
        GROUP BY o.show_id, o.currency ORDER BY o.show_id, o.currency
        ON CONFLICT (show_id, at, currency) DO UPDATE SET
            paid_orders = m.paid_orders + excluded.paid_orders, paid_units = m.paid_units + excluded.paid_units,
            paid_amount = m.paid_amount + excluded.paid_amount
        """,
        ids=order_ids,
        now=tx.now,
    )
    spans = await tx.all(
        _Span,
        """
        SELECT show_id, min(placed_at) AS from_at, max(placed_at) AS to_at FROM orders."order"
        WHERE id = ANY(%(ids)s) AND show_id IS NOT NULL GROUP BY show_id
        """,
        ids=order_ids,
    )
    if not spans:
        return
    marks = await _find_marks(tx, spans)
    await tx.run(
        """
        WITH mark AS MATERIALIZED (
            SELECT * FROM unnest(%(marks)s::uuid[], %(shows)s::uuid[], %(products)s::uuid[], %(begins)s::timestamptz[],
                                 %(ends)s::timestamptz[]) AS mark (id, show_id, product_id, begins_at, ends_at)
        ), counted AS MATERIALIZED (
            SELECT o.show_id, coalesce(mark.id, %(none)s) AS mark_id, count(DISTINCT o.id) AS orders,
                   sum(l.quantity) AS units, sum(l.quantity * l.unit_price_amount) AS amount
            FROM orders."order" AS o JOIN orders.line AS l ON l.order_id = o.id
            LEFT JOIN mark ON mark.show_id = o.show_id AND o.placed_at >= mark.begins_at AND o.placed_at < mark.ends_at
            WHERE o.id = ANY(%(ids)s) AND o.show_id IS NOT NULL AND o.id <= (SELECT folded_to FROM orders.fold)
            GROUP BY o.show_id, mark.id
        ), held AS MATERIALIZED (
            SELECT show_id, mark_id FROM orders.show_mark JOIN counted USING (show_id, mark_id)
            ORDER BY show_id, mark_id FOR UPDATE OF show_mark
        )
        UPDATE orders.show_mark AS m
        SET paid_orders = m.paid_orders + counted.orders, paid_units = m.paid_units + counted.units,
            paid_amount = m.paid_amount + counted.amount
        FROM held JOIN counted USING (show_id, mark_id)
        WHERE m.show_id = held.show_id AND m.mark_id = held.mark_id
        """,
        ids=order_ids,
        none=NO_MARK,
        **_as_arrays(marks),
    )


async def list_minutes(tx: Tx, show_id: ShowId) -> list[SoldMinute]:
    """Minutes in which a show sold or was paid, in the order of time, to this instant. Call it in a snapshot."""
    return await tx.all(
        SoldMinute,
        """
        WITH tail AS (
            SELECT o.id, o.currency, o.placed_at,
                   CASE WHEN o.state = ANY(%(paid)s) THEN coalesce(o.paid_at, o.placed_at) END AS paid_at,
                   sum(l.quantity) AS units, sum(l.quantity * l.unit_price_amount) AS amount
            FROM orders."order" AS o JOIN orders.line AS l ON l.order_id = o.id
            WHERE o.id > %(folded_to)s AND o.show_id = %(show_id)s GROUP BY o.id
        )
        SELECT at, currency, sum(orders)::bigint AS orders, sum(units)::bigint AS units,
               sum(amount)::bigint AS amount, sum(paid_orders)::bigint AS paid_orders,
               sum(paid_units)::bigint AS paid_units, sum(paid_amount)::bigint AS paid_amount
        FROM (SELECT at, currency, orders, units, amount, paid_orders, paid_units, paid_amount
              FROM orders.show_minute WHERE show_id = %(show_id)s
              UNION ALL
              SELECT date_trunc('minute', placed_at, 'UTC'), currency, 1, units, amount, 0, 0, 0 FROM tail
              UNION ALL
              SELECT date_trunc('minute', paid_at, 'UTC'), currency, 0, 0, 0, 1, units, amount FROM tail
              WHERE paid_at IS NOT NULL) AS part
        GROUP BY at, currency ORDER BY at, currency
        """,
        show_id=show_id,
        folded_to=await _folded_to(tx),
        paid=list(LATER_STATES),
    )


async def list_mark_sales(tx: Tx, show_id: ShowId, marks: list[live.Mark]) -> dict[UUID, MarkSales]:
    """Sales by mark, to this instant; what was ordered while nothing was explained is `NO_MARK`'s. In a snapshot."""
    folded_to = await _folded_to(tx)
    found = await tx.all(
        MarkSales,
        """
        SELECT mark_id, orders, units, amount, own_units, own_amount, paid_orders, paid_units, paid_amount
        FROM orders.show_mark WHERE show_id = %(show_id)s
        """,
        show_id=show_id,
    )
    late = await tx.all(
        _Span,
        """
        SELECT show_id, min(placed_at) AS from_at, max(placed_at) AS to_at FROM orders."order"
        WHERE id > %(folded_to)s AND show_id = %(show_id)s GROUP BY show_id
        """,
        folded_to=folded_to,
        show_id=show_id,
    )
    for span in late:
        recent = [mark for mark in marks if mark.begins_at <= span.to_at and (mark.ends_at or STILL_OPEN) > span.from_at]
        found += await _sum_tail(tx, show_id, recent, folded_to=folded_to)
    by_mark: dict[UUID, list[MarkSales]] = {}
    for one in found:
        by_mark.setdefault(one.mark_id, []).append(one)
    return {mark_id: _add_up(parts) for mark_id, parts in by_mark.items()}


async def _sum_tail(tx: Tx, show_id: ShowId, marks: list[live.Mark], *, folded_to: UUID) -> list[MarkSales]:
    """What is not folded yet, by mark."""
    return await tx.all(
        MarkSales,
        """
        WITH mark AS MATERIALIZED (
            SELECT * FROM unnest(%(marks)s::uuid[], %(shows)s::uuid[], %(products)s::uuid[], %(begins)s::timestamptz[],
                                 %(ends)s::timestamptz[]) AS mark (id, show_id, product_id, begins_at, ends_at)
        ), tail AS (
            SELECT o.id, coalesce(mark.id, %(none)s) AS mark_id, l.quantity AS units,
                   l.quantity * l.unit_price_amount AS amount, o.state = ANY(%(paid)s) AS is_paid,
                   coalesce(l.product_id = mark.product_id, false) AS is_own
            FROM orders."order" AS o JOIN orders.line AS l ON l.order_id = o.id
            LEFT JOIN mark ON o.placed_at >= mark.begins_at AND o.placed_at < mark.ends_at
            WHERE o.id > %(folded_to)s AND o.show_id = %(show_id)s
        )
        SELECT mark_id, count(DISTINCT id) AS orders, sum(units)::bigint AS units, sum(amount)::bigint AS amount,
               coalesce(sum(units) FILTER (WHERE is_own), 0)::bigint AS own_units,
               coalesce(sum(amount) FILTER (WHERE is_own), 0)::bigint AS own_amount,
               count(DISTINCT id) FILTER (WHERE is_paid) AS paid_orders,
               coalesce(sum(units) FILTER (WHERE is_paid), 0)::bigint AS paid_units,
               coalesce(sum(amount) FILTER (WHERE is_paid), 0)::bigint AS paid_amount
        FROM tail GROUP BY mark_id
        """,
        show_id=show_id,
        folded_to=folded_to,
        paid=list(LATER_STATES),
        none=NO_MARK,
        **_as_arrays(marks),
    )


def _add_up(parts: list[MarkSales]) -> MarkSales:
    names = [name for name in MarkSales.__struct_fields__ if name != "mark_id"]
    return MarkSales(mark_id=parts[0].mark_id, **{name: sum(getattr(part, name) for part in parts) for name in names})


async def _find_marks(tx: Tx, spans: list[_Span]) -> list[live.Mark]:
    return [
        mark
        for span in spans
        for mark in await live.find_marks(tx, span.show_id, from_at=span.from_at, to_at=span.to_at)
    ]


def _as_arrays(marks: list[live.Mark]) -> dict[str, list[object]]:
    return {
        "marks": [mark.id for mark in marks],
        "shows": [mark.show_id for mark in marks],
        "products": [mark.product_id for mark in marks],
        "begins": [mark.begins_at for mark in marks],
        "ends": [mark.ends_at or STILL_OPEN for mark in marks],
    }


async def _folded_to(tx: Tx) -> UUID:
    return await tx.one(UUID, "SELECT folded_to FROM orders.fold")
