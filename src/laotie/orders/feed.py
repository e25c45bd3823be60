"""What shops and shows see of many orders: a shop's list by state, a show's sales. Folded, so the till writes neither.

The fold walks the order key once, behind the till, and enters each order into `shop_feed` and the sums of its show.
Later changes of state move the entries of orders that are folded already; what is not folded yet (the last few
seconds) is read from the orders themselves. An advisory lock keeps the fold and the changes apart: changes share it,
the fold has it alone, so an order is either entered as it is now or moved when it changes, never neither.
"""

from uuid import UUID

import msgspec

from laotie.base.db import Database, Tx
from laotie.base.ids import OrderId, ProductId, ShopId, ShowId
from laotie.orders import minutes
from laotie.orders.horizon import SKEW_S, find_horizon
from laotie.orders.model import LATER_STATES, OrderState

FEED_LOCK = 0x0DE2FEED
FOLD_SIZE_MAX = 5_000
LAST_ID = UUID(int=2**128 - 1)


class ItemSales(msgspec.Struct, frozen=True, kw_only=True):
    """What a show sold of one product. Amounts in minor units of the show's currency."""

    product_id: ProductId
    orders: int
    units: int
    amount: int
    paid_units: int
    paid_amount: int


class ShowSales(msgspec.Struct, frozen=True, kw_only=True):
    """What a show sold: placed (cancelled orders included) and, of that, paid."""

    currency: str | None
    orders: int
    paid_orders: int
    items: list[ItemSales]


class _Total(msgspec.Struct, frozen=True):
    currency: str | None
    orders: int
    paid_orders: int


async def fold_orders(db: Database, *, size: int = FOLD_SIZE_MAX, skew_s: float = SKEW_S) -> int:
    """Enter the next orders; returns how many. One process at a time folds, the others return 0 at once."""
    async with db.tx() as tx:
        folded_to = await tx.maybe(UUID, "SELECT folded_to FROM orders.fold FOR UPDATE SKIP LOCKED")
        if folded_to is None:
            return 0
        horizon = await find_horizon(tx, skew_s=skew_s)
        await tx.run("SELECT pg_advisory_xact_lock(%(key)s)", key=FEED_LOCK)
        passed = await tx.one(
            int,
            """
            WITH page AS MATERIALIZED (
                SELECT id, shop_id, show_id, state, currency, state = ANY(%(paid)s) AS is_paid FROM orders."order"
                WHERE id > %(folded_to)s AND id <= %(horizon)s ORDER BY id LIMIT %(size)s
            ), entered AS (
                INSERT INTO orders.shop_feed (shop_id, state, order_id) SELECT shop_id, state, id FROM page
            ), totalled AS (
                INSERT INTO orders.show_total AS t (show_id, currency, orders, paid_orders)
                SELECT show_id, min(currency), count(*), count(*) FILTER (WHERE is_paid)
                FROM page WHERE show_id IS NOT NULL GROUP BY show_id
                ON CONFLICT (show_id) DO UPDATE SET
                    orders = t.orders + excluded.orders, paid_orders = t.paid_orders + excluded.paid_orders
            ), sold AS (
                INSERT INTO orders.show_sale AS s
                    (show_id, product_id, orders, units, amount, paid_units, paid_amount)
                SELECT page.show_id, line.product_id, count(DISTINCT page.id), sum(quantity),
                       sum(quantity * unit_price_amount),
                       coalesce(sum(quantity) FILTER (WHERE is_paid), 0),
                       coalesce(sum(quantity * unit_price_amount) FILTER (WHERE is_paid), 0)
                FROM page JOIN orders.line ON line.order_id = page.id
                WHERE page.show_id IS NOT NULL GROUP BY page.show_id, line.product_id
                ON CONFLICT (show_id, product_id) DO UPDATE SET
                    orders = s.orders + excluded.orders, units = s.units + excluded.units,
                    amount = s.amount + excluded.amount,
                    paid_units = s.paid_units + excluded.paid_units, paid_amount = s.paid_amount + excluded.paid_amount
            ), moved AS (
                UPDATE orders.fold SET folded_to = (SELECT id FROM page ORDER BY id DESC LIMIT 1)
                WHERE EXISTS (SELECT FROM page)
            )
            SELECT count(*) FROM page
            """,
            folded_to=folded_to,
            horizon=horizon,
            size=size,
            paid=list(LATER_STATES),
        )
        if passed:
            await minutes.enter_folded(tx, after=folded_to, to=await _folded_to(tx))
        return passed


async def keep_fold_out(tx: Tx) -> None:
    """Before a transaction changes the state of orders: the first lock it takes."""
    await tx.run("SELECT pg_advisory_xact_lock_shared(%(key)s)", key=FEED_LOCK)


async def move_many(tx: Tx, orders: list[tuple[ShopId, OrderId]], *, before: OrderState, now: OrderState) -> None:
    """These orders changed their state. The caller holds their rows and has called `keep_fold_out`."""
    await tx.run(
        """
        UPDATE orders.shop_feed AS feed SET state = %(now)s
        FROM unnest(%(shops)s::uuid[], %(orders)s::uuid[]) AS moved (shop_id, order_id)
        WHERE feed.shop_id = moved.shop_id AND feed.state = %(before)s AND feed.order_id = moved.order_id
        """,
        shops=[shop_id for shop_id, _ in orders],
        orders=[order_id for _, order_id in orders],
        before=before,
        now=now,
    )


async def add_paid(tx: Tx, order_ids: list[OrderId]) -> None:
    """These orders were paid: raise their shows' sums. Locks the sums by show and product."""
    await tx.run(
        """
        WITH counted AS MATERIALIZED (
            SELECT o.show_id, l.product_id, sum(l.quantity)::bigint AS units,
                   sum(l.quantity * l.unit_price_amount)::bigint AS amount
            FROM orders."order" AS o JOIN orders.line AS l ON l.order_id = o.id
            WHERE o.id = ANY(%(ids)s) AND o.show_id IS NOT NULL AND o.id <= (SELECT folded_to FROM orders.fold)
            GROUP BY o.show_id, l.product_id
        ), held AS MATERIALIZED (
            SELECT show_id, product_id FROM orders.show_sale JOIN counted USING (show_id, product_id)
            ORDER BY show_id, product_id FOR UPDATE OF show_sale
        )
        UPDATE orders.show_sale AS s
        SET paid_units = s.paid_units + counted.units, paid_amount = s.paid_amount + counted.amount
        FROM held JOIN counted USING (show_id, product_id)
        WHERE s.show_id = held.show_id AND s.product_id = held.product_id
        """,
        ids=order_ids,
    )
    await tx.run(
        """
        WITH counted AS MATERIALIZED (
            SELECT show_id, count(*) AS orders FROM orders."order"
            WHERE id = ANY(%(ids)s) AND show_id IS NOT NULL AND id <= (SELECT folded_to FROM orders.fold)
            GROUP BY show_id
        ), held AS MATERIALIZED (
            SELECT show_id FROM orders.show_total JOIN counted USING (show_id) ORDER BY show_id FOR UPDATE OF show_total
        )
        UPDATE orders.show_total AS t SET paid_orders = t.paid_orders + counted.orders
        FROM held JOIN counted USING (show_id) WHERE t.show_id = held.show_id
        """,
        ids=order_ids,
    )
    await minutes.add_paid(tx, order_ids)


async def find_of_shop(
    tx: Tx, shop_id: ShopId, *, states: list[OrderState], after: OrderId | None, limit: int
) -> list[OrderId]:
    """The shop's next orders in one of the states, newest first. Call it in a snapshot (`db.read`)."""
    return await tx.all(
        OrderId,
        """
        WITH tail AS (
            SELECT id FROM orders."order"
            WHERE id > %(folded_to)s AND id < %(before)s AND shop_id = %(shop_id)s
              AND state = ANY(%(states)s)
            ORDER BY id DESC LIMIT %(limit)s
        ), folded AS (
            SELECT entry.order_id AS id FROM unnest(%(states)s::text[]) AS wanted (state)
            CROSS JOIN LATERAL (
                SELECT order_id FROM orders.shop_feed AS feed
                WHERE feed.shop_id = %(shop_id)s AND feed.state = wanted.state AND feed.order_id < %(before)s
                ORDER BY order_id DESC LIMIT %(limit)s
            ) AS entry
        )
        SELECT id FROM (SELECT id FROM tail UNION ALL SELECT id FROM folded) AS found
        ORDER BY id DESC LIMIT %(limit)s
        """,
        folded_to=await _folded_to(tx),
        shop_id=shop_id,
        states=states,
        before=after or LAST_ID,
        limit=limit,
    )


async def sum_show(tx: Tx, show_id: ShowId) -> ShowSales:
    """A show's sales to this instant: the folded sums and what came since. Call it in a snapshot (`db.read`)."""
    folded_to = await _folded_to(tx)
    total = await tx.one(
        _Total,
        """
        WITH tail AS (
            SELECT currency, state = ANY(%(paid)s) AS is_paid FROM orders."order"
            WHERE id > %(folded_to)s AND show_id = %(show_id)s
        )
        SELECT min(currency) AS currency, coalesce(sum(orders), 0)::bigint AS orders,
               coalesce(sum(paid_orders), 0)::bigint AS paid_orders
        FROM (SELECT currency, orders, paid_orders FROM orders.show_total WHERE show_id = %(show_id)s
              UNION ALL
              SELECT min(currency), count(*), count(*) FILTER (WHERE is_paid) FROM tail) AS part
        """,
        folded_to=folded_to,
        show_id=show_id,
        paid=list(LATER_STATES),
    )
    items = await tx.all(
        ItemSales,
        """
        WITH tail AS (
            SELECT o.id, l.product_id, l.quantity, l.quantity * l.unit_price_amount AS amount,
                   o.state = ANY(%(paid)s) AS is_paid
            FROM orders."order" AS o JOIN orders.line AS l ON l.order_id = o.id
            WHERE o.id > %(folded_to)s AND o.show_id = %(show_id)s
        )
        SELECT product_id, sum(orders)::bigint AS orders, sum(units)::bigint AS units, sum(amount)::bigint AS amount,
               sum(paid_units)::bigint AS paid_units, sum(paid_amount)::bigint AS paid_amount
        FROM (SELECT product_id, orders, units, amount, paid_units, paid_amount
              FROM orders.show_sale WHERE show_id = %(show_id)s
              UNION ALL
              SELECT product_id, count(DISTINCT id), sum(quantity), sum(amount),
                     coalesce(sum(quantity) FILTER (WHERE is_paid), 0), coalesce(sum(amount) FILTER (WHERE is_paid), 0)
              FROM tail GROUP BY product_id) AS part
        GROUP BY product_id ORDER BY amount DESC, product_id
        """,
        folded_to=folded_to,
        show_id=show_id,
        paid=list(LATER_STATES),
    )
    return ShowSales(currency=total.currency, orders=total.orders, paid_orders=total.paid_orders, items=items)


async def _folded_to(tx: Tx) -> UUID:
    """Read by itself: of a value the planner knows how few orders lie beyond it, of a sub-select it guesses a third."""
    return await tx.one(UUID, "SELECT folded_to FROM orders.fold")
