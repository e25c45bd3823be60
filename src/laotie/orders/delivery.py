"""A paid order's time: by when it must be on its way, and when it completes by itself.

What the shop promised is written down when the order is paid (an insert, by a reaction) and never changes. The clock of
completion runs from the moment at which the buyer could know: from shipping, then anew, and shorter, from delivery. It
stands still while a case is open, and what it lost is added afterwards. Whatever time brings is done by
`work_deliveries`, in bounded batches, each under the order's lock and guarded by its statement, so once.

Locks: orders by id (`hold_many`), then delivery rows by id. That `ship_by` has passed is noted under the delivery row's
lock alone: it changes nothing else.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

import msgspec
from psycopg.types.json import Jsonb

from laotie import catalog, messages
from laotie.base.db import Database, Tx
from laotie.base.ids import AccountId, OrderId, ProductId, ShopId, ViewerId
from laotie.base.refusals import Conflict, NotFound
from laotie.base.settings import Settings
from laotie.events.orders import DeliveryPromiseBroken, OrderCompleted, OrderPaid, OrderShipped
from laotie.identity import Actor
from laotie.orders import feed
from laotie.orders.changes import Held, hold_many
from laotie.orders.model import OrderState
from laotie.orders.teams import may_ship

BATCH_SIZE_MAX = 200


class Stage(StrEnum):
    """How far an order is on its way."""

    gathering = "gathering"
    """Paid, but its team is not complete: it may not be shipped yet."""
    waiting = "waiting"
    partly = "partly"
    shipped = "shipped"
    delivered = "delivered"
    closed = "closed"
    """Complete, or nothing of it is left."""


class Terms(msgspec.Struct, frozen=True):
    """The house's days; a shop's own, frozen into the order, go before `after_delivery`."""

    after_delivery: int
    after_shipping: int
    extension: int


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """Where a paid order stands. `ship_by` was promised, at `confirm_by` it completes by itself."""

    order_id: OrderId
    shop_id: ShopId
    stage: Stage
    promised_h: int | None
    confirm_days: int | None
    ship_by: datetime | None
    broken_at: datetime | None
    confirm_by: datetime | None
    extended_at: datetime | None
    paused_at: datetime | None


class NotUnderWay(Conflict, code="not-under-way"):
    """This can only be done while the order is on its way to you or has just arrived."""

    state: OrderState


class ExtendedBefore(Conflict, code="extended-before"):
    """The time to confirm can be extended once."""


class CompletionPaused(Conflict, code="completion-paused"):
    """A case about this order is open; settle or withdraw it first."""


def terms_of(settings: Settings) -> Terms:
    """The house's days, from the settings."""
    return Terms(
        settings.confirm_after_delivery_days, settings.confirm_after_shipping_days, settings.confirm_extension_days
    )


async def begin(tx: Tx, event: OrderPaid) -> None:
    """Write down what was promised when the order was paid, once. Inserts, save where the shop shipped before the news."""
    products = await tx.all(
        ProductId, "SELECT DISTINCT product_id FROM orders.line WHERE order_id = %(id)s", id=event.order_id
    )
    dispatches = (await catalog.find_dispatch(tx, products)).values()
    promised = [one.ship_within_h for one in dispatches]
    hours = None if None in promised or not promised else max(one for one in promised if one is not None)
    days = next((one.confirm_days for one in dispatches), None)
    categories = {str(id_): card.category for id_, card in (await catalog.find_cards(tx, products)).items()}
    is_ready = bool(await may_ship(tx, [event.order_id]))
    ship_by = event.paid_at + timedelta(hours=hours) if is_ready and hours is not None else None
    await tx.run(
        """
        INSERT INTO orders.delivery (order_id, shop_id, stage, promised_h, confirm_days, categories, began_at, ship_by)
        VALUES (%(order_id)s, %(shop_id)s, %(stage)s, %(hours)s, %(days)s, %(categories)s, %(began_at)s, %(ship_by)s)
        ON CONFLICT (order_id) DO UPDATE
        SET promised_h = excluded.promised_h, confirm_days = excluded.confirm_days, categories = excluded.categories,
            began_at = excluded.began_at, ship_by = excluded.ship_by
        WHERE delivery.began_at IS NULL AND delivery.promised_h IS NULL
        """,
        order_id=event.order_id,
        shop_id=event.shop_id,
        stage=Stage.waiting if is_ready else Stage.gathering,
        hours=hours,
        days=days,
        categories=Jsonb(categories),
        began_at=event.paid_at if is_ready else None,
        ship_by=ship_by,
    )


async def look_again(tx: Tx, order_id: OrderId, cause_id: UUID) -> None:
    """Something of the order was given back: what is left of it may all be on its way now. Inserts only."""
    await tx.run(
        """
        INSERT INTO orders.delivery_look (cause_id, order_id) VALUES (%(cause_id)s, %(order_id)s)
        ON CONFLICT DO NOTHING
        """,
        cause_id=cause_id,
        order_id=order_id,
    )


async def find_delivery(tx: Tx, order_id: OrderId) -> Delivery | None:
    """Where a paid order stands; nothing for one that was never paid."""
    return await tx.maybe(
        Delivery,
        """
        SELECT order_id, shop_id, stage, promised_h, confirm_days, ship_by, broken_at, confirm_by, extended_at, paused_at
        FROM orders.delivery WHERE order_id = %(id)s
        """,
        id=order_id,
    )


async def find_categories(tx: Tx, order_id: OrderId) -> dict[ProductId, str]:
    """The categories that an order's products had when it was paid; nothing until the payment's news has been heard."""
    rows = await tx.tuples("SELECT categories FROM orders.delivery WHERE order_id = %(id)s", id=order_id)
    return {ProductId(UUID(product_id)): category for (said,) in rows for product_id, category in said.items()}


async def is_promise_broken(tx: Tx, order_id: OrderId) -> bool:
    """Whether the time that the shop promised is over and something has still not been shipped."""
    return await tx.one(
        bool,
        """
        SELECT EXISTS (SELECT FROM orders.delivery WHERE order_id = %(id)s AND stage IN ('waiting', 'partly')
                       AND (broken_at IS NOT NULL OR ship_by <= %(now)s))
        """,
        id=order_id,
        now=tx.now,
    )


async def pause_completion(tx: Tx, order_id: OrderId, case_id: UUID) -> None:
    """The order does not complete by itself while this case is open. The caller holds the order. Safe to repeat."""
    await tx.run(
        """
        INSERT INTO orders.completion_pause (order_id, case_id, at) VALUES (%(order_id)s, %(case_id)s, %(now)s)
        ON CONFLICT DO NOTHING
        """,
        order_id=order_id,
        case_id=case_id,
        now=tx.now,
    )
    await tx.run(
        "UPDATE orders.delivery SET paused_at = %(now)s WHERE order_id = %(id)s AND paused_at IS NULL",
        id=order_id,
        now=tx.now,
    )


async def resume_completion(tx: Tx, order_id: OrderId, case_id: UUID) -> None:
    """This case is closed. With the last one the clock goes on; the buyer has lost no time. Safe to repeat."""
    await tx.run(
        "DELETE FROM orders.completion_pause WHERE order_id = %(order_id)s AND case_id = %(case_id)s",
        order_id=order_id,
        case_id=case_id,
    )
    await tx.run(
        """
        UPDATE orders.delivery
        SET confirm_by = confirm_by + (%(now)s - greatest(paused_at, confirm_from)), paused_at = NULL
        WHERE order_id = %(id)s AND paused_at IS NOT NULL
          AND NOT EXISTS (SELECT FROM orders.completion_pause AS p WHERE p.order_id = delivery.order_id)
        """,
        id=order_id,
        now=tx.now,
    )


async def is_completion_paused(tx: Tx, order_id: OrderId) -> bool:
    """Whether a case about the order is open. The caller holds the order."""
    return await tx.one(
        bool, "SELECT EXISTS (SELECT FROM orders.completion_pause WHERE order_id = %(id)s)", id=order_id
    )


async def confirm_receipt(tx: Tx, actor: Actor, order_id: OrderId) -> None:
    """The buyer has it: the order is complete. Again: nothing more happens.

    Refuses `NotUnderWay`, `CompletionPaused` while a case is open.
    """
    order = await hold_own(tx, actor, order_id)
    if order.state is OrderState.completed:
        return
    await _check_under_way(tx, order)
    await _complete_many(tx, [order], by="buyer")


async def extend_time(tx: Tx, actor: Actor, terms: Terms, order_id: OrderId) -> None:
    """The buyer asks for more time, once an order. Refuses `NotUnderWay`, `ExtendedBefore`, `CompletionPaused`."""
    order = await hold_own(tx, actor, order_id)
    await _check_under_way(tx, order)
    extended = await tx.run(
        """
        UPDATE orders.delivery SET confirm_by = confirm_by + %(more)s, extended_at = %(now)s
        WHERE order_id = %(id)s AND extended_at IS NULL AND confirm_by IS NOT NULL
        """,
        id=order_id,
        more=timedelta(days=terms.extension),
        now=tx.now,
    )
    if not extended:
        raise ExtendedBefore()


async def complete_order(tx: Tx, order_id: OrderId, *, by: str) -> bool:
    """Complete a shipped order for whoever may decide so (an arbitration); whether it was not complete before."""
    order = (await hold_many(tx, [order_id])).get(order_id)
    if order is None:
        raise NotFound()
    if order.state is not OrderState.shipped:
        return False
    await _complete_many(tx, [order], by=by)
    return True


async def hold_own(tx: Tx, actor: Actor, order_id: OrderId) -> Held:
    """The buyer's own order, locked; anyone else's is not there."""
    buyer_id = actor.signed_in()
    order = (await hold_many(tx, [order_id])).get(order_id)
    if order is None or order.buyer_id != buyer_id:
        raise NotFound()
    return order


async def _check_under_way(tx: Tx, order: Held) -> None:
    if order.state is not OrderState.shipped:
        raise NotUnderWay(state=order.state)
    if await tx.one(
        bool, "SELECT EXISTS (SELECT FROM orders.completion_pause WHERE order_id = %(id)s)", id=order.id
    ):
        raise CompletionPaused()


async def _complete_many(tx: Tx, orders: list[Held], *, by: str) -> None:
    """These are shipped and held."""
    ids = [order.id for order in orders]
    await tx.run(
        """
        UPDATE orders."order" SET state = 'completed', completed_at = %(now)s WHERE id = ANY(%(ids)s)
        """,
        ids=ids,
        now=tx.now,
    )
    await tx.run(
        """
        UPDATE orders.delivery SET stage = 'closed', confirm_by = NULL, confirm_from = NULL WHERE order_id = ANY(%(ids)s)
        """,
        ids=ids,
    )
    moved = [(order.shop_id, order.id) for order in orders]
    await feed.move_many(tx, moved, before=OrderState.shipped, now=OrderState.completed)
    for order in orders:
        tx.tell(
            OrderCompleted(
                order_id=order.id,
                buyer_id=order.buyer_id,
                shop_id=order.shop_id,
                show_id=order.show_id,
                by=by,
                completed_at=tx.now,
            )
        )


class _Count(msgspec.Struct, frozen=True, kw_only=True):
    """What an order's lines and parcels come to."""

    order_id: OrderId
    waiting: int
    """Pieces still to ship."""
    shipped: int
    under_way: int
    """Parcels."""
    delivered_at: datetime | None


class _Row(msgspec.Struct, frozen=True, kw_only=True):
    order_id: OrderId
    stage: Stage
    confirm_days: int | None
    confirm_by: datetime | None
    extended_at: datetime | None


def stage_of(state: OrderState, now: Stage, count: _Count) -> Stage:
    """Where an order with these counts stands. Pure."""
    if state not in (OrderState.paid, OrderState.shipped):
        return Stage.closed
    if count.waiting:
        return Stage.partly if count.shipped else Stage.gathering if now is Stage.gathering else Stage.waiting
    if not count.shipped:
        return Stage.closed
    return Stage.shipped if count.under_way or count.delivered_at is None else Stage.delivered


async def settle_many(tx: Tx, terms: Terms, orders: list[Held]) -> None:
    """Bring orders and their clocks in line with what lines and parcels say. These are held. Tells `OrderShipped`.

    An order whose pieces are all on their way is shipped; when a parcel is called off or comes back, it is paid again.
    """
    orders = [order for order in orders if order.state not in (OrderState.placed, OrderState.cancelled)]
    if not orders:
        return
    ids = [order.id for order in orders]
    counts = {one.order_id: one for one in await _count_many(tx, ids)}
    rows = {
        row.order_id: row
        for row in await tx.all(
            _Row,
            """
            SELECT order_id, stage, confirm_days, confirm_by, extended_at FROM orders.delivery
            WHERE order_id = ANY(%(ids)s) ORDER BY order_id FOR NO KEY UPDATE
            """,
            ids=ids,
        )
    }
    for order in orders:
        row = rows.get(order.id)
        if row is None:
            await _insert_plain(tx, order)
            row = _Row(
                order_id=order.id, stage=Stage.waiting, confirm_days=None, confirm_by=None, extended_at=None
            )
        await _settle(tx, terms, order, row, counts[order.id])


async def _count_many(tx: Tx, order_ids: list[OrderId]) -> list[_Count]:
    return await tx.all(
        _Count,
        """
        SELECT order_id, waiting, shipped, coalesce(under_way, 0) AS under_way, delivered_at FROM (
            SELECT order_id,
                   sum(greatest(0, quantity - shipped_quantity
                                   - greatest(0, refunded_quantity - returned_quantity)))::bigint AS waiting,
                   sum(shipped_quantity)::bigint AS shipped
            FROM orders.line WHERE order_id = ANY(%(ids)s) GROUP BY order_id
        ) AS of_lines LEFT JOIN (
            SELECT order_id, count(*) FILTER (WHERE state IN ('registered', 'moving')) AS under_way,
                   max(delivered_at) AS delivered_at
            FROM orders.parcel WHERE order_id = ANY(%(ids)s) GROUP BY order_id
        ) AS of_parcels USING (order_id)
        """,
        ids=order_ids,
    )


async def _insert_plain(tx: Tx, order: Held) -> None:
    """An order whose payment the relay has not carried yet, or one from before there were promises."""
    await tx.run(
        """
        INSERT INTO orders.delivery (order_id, shop_id, stage) VALUES (%(id)s, %(shop_id)s, 'waiting')
        ON CONFLICT DO NOTHING
        """,
        id=order.id,
        shop_id=order.shop_id,
    )


async def _settle(tx: Tx, terms: Terms, order: Held, row: _Row, count: _Count) -> None:
    stage = stage_of(order.state, row.stage, count)
    if stage is row.stage:
        return
    under_way = stage in (Stage.shipped, Stage.delivered)
    confirm_by = _confirm_by(tx.now, terms, row, stage) if under_way else None
    await tx.run(
        """
        UPDATE orders.delivery
        SET stage = %(stage)s, confirm_by = %(confirm_by)s,
            confirm_from = CASE WHEN %(under_way)s THEN %(now)s END,
            extended_at = CASE WHEN %(under_way)s THEN extended_at END
        WHERE order_id = %(id)s
        """,
        id=order.id,
        stage=stage,
        confirm_by=confirm_by,
        under_way=under_way,
        now=tx.now,
    )
    if under_way:
        await tx.run(
            """
            UPDATE orders."order"
            SET state = 'shipped', shipped_at = coalesce(shipped_at, %(now)s), delivered_at = %(delivered_at)s
            WHERE id = %(id)s
            """,
            id=order.id,
            now=tx.now,
            delivered_at=count.delivered_at if stage is Stage.delivered else None,
        )
    elif order.state is OrderState.shipped and stage is not Stage.closed:
        await tx.run(
            """
            UPDATE orders."order" SET state = 'paid', shipped_at = NULL, delivered_at = NULL WHERE id = %(id)s
            """,
            id=order.id,
        )
    await _tell_move(tx, order, stage, confirm_by)


def _confirm_by(now: datetime, terms: Terms, row: _Row, stage: Stage) -> datetime:
    """When it completes by itself; a time that was extended is never shortened by the delivery."""
    if stage is Stage.delivered:
        by = now + timedelta(days=row.confirm_days or terms.after_delivery)
        return max(by, row.confirm_by) if row.extended_at is not None and row.confirm_by is not None else by
    return now + timedelta(days=terms.after_shipping)


async def _tell_move(tx: Tx, order: Held, stage: Stage, confirm_by: datetime | None) -> None:
    before, now = order.state, OrderState.shipped if confirm_by is not None else OrderState.paid
    if before is now or stage is Stage.closed:
        return
    await feed.move_many(tx, [(order.shop_id, order.id)], before=before, now=now)
    if confirm_by is not None:
        tx.tell(
            OrderShipped(
                order_id=order.id,
                buyer_id=order.buyer_id,
                shop_id=order.shop_id,
                show_id=order.show_id,
                confirm_by=confirm_by,
                shipped_at=tx.now,
            )
        )


async def begin_anew(tx: Tx, order_ids: list[OrderId]) -> None:
    """Parcels of these came back to the shop: what it promised begins anew. The caller holds the orders."""
    await tx.run(
        """
        UPDATE orders.delivery SET began_at = %(now)s, ship_by = %(now)s + promised_h * interval '1 hour'
        WHERE order_id = ANY(%(ids)s) AND broken_at IS NULL AND promised_h IS NOT NULL
        """,
        ids=order_ids,
        now=tx.now,
    )


async def work_deliveries(db: Database, terms: Terms, *, size: int = BATCH_SIZE_MAX) -> int:
    """Do what time has brought, one bounded batch of each kind; how many orders were taken up."""
    return (
        await _begin_gathered(db, size)
        + await _look(db, terms, size)
        + await _break_promises(db, size)
        + await _complete_due(db, size)
    )


async def _begin_gathered(db: Database, size: int) -> int:
    """Orders whose team is complete: the promise begins."""
    begun = 0
    after = OrderId(UUID(int=0))
    while True:
        async with db.tx() as tx:
            ids = await tx.all(
                OrderId,
                """
                SELECT order_id FROM orders.delivery WHERE stage = 'gathering' AND order_id > %(after)s
                ORDER BY order_id LIMIT %(size)s
                """,
                after=after,
                size=size,
            )
            if not ids:
                return begun
            after = ids[-1]
            ready = await may_ship(tx, ids)
            begun += await begin_promises(tx, sorted(ready)) if ready else 0


async def begin_promises(tx: Tx, order_ids: list[OrderId]) -> int:
    """The teams of these orders are complete: their shops' time to ship begins now."""
    return await tx.run(
        """
        UPDATE orders.delivery
        SET stage = 'waiting', began_at = %(now)s, ship_by = %(now)s + promised_h * interval '1 hour'
        WHERE order_id = ANY(%(ids)s) AND stage = 'gathering'
        """,
        ids=order_ids,
        now=tx.now,
    )


async def _look(db: Database, terms: Terms, size: int) -> int:
    """Orders of which something was given back."""
    async with db.tx() as tx:
        rows = await tx.tuples(
            "SELECT cause_id, order_id FROM orders.delivery_look ORDER BY cause_id LIMIT %(size)s", size=size
        )
        if not rows:
            return 0
        wanted = {order_id for _, order_id in rows}
        held = await hold_many(tx, wanted)
        await settle_many(tx, terms, [order for order in held.values() if order.id in wanted])
        await tx.run(
            "DELETE FROM orders.delivery_look WHERE cause_id = ANY(%(ids)s)", ids=[cause_id for cause_id, _ in rows]
        )
        return len(rows)


async def _break_promises(db: Database, size: int) -> int:
    """Orders that are late: written down once, told, and counted against the shop."""
    async with db.tx() as tx:
        late = await tx.all(
            _Late,
            """
            WITH late AS (
                SELECT d.order_id FROM orders.delivery AS d
                WHERE d.ship_by <= %(now)s AND d.broken_at IS NULL AND d.stage IN ('waiting', 'partly')
                  AND EXISTS (SELECT FROM orders."order" AS o WHERE o.id = d.order_id AND o.state = 'paid')
                ORDER BY d.ship_by LIMIT %(size)s FOR NO KEY UPDATE OF d SKIP LOCKED
            )
            UPDATE orders.delivery AS d SET broken_at = %(now)s
            FROM late JOIN orders."order" AS o ON o.id = late.order_id
            WHERE d.order_id = late.order_id
            RETURNING d.order_id, o.buyer_id, d.shop_id, d.promised_h, d.ship_by
            """,
            now=tx.now,
            size=size,
        )
        for one in late:
            tx.tell(
                DeliveryPromiseBroken(
                    order_id=one.order_id,
                    buyer_id=one.buyer_id,
                    shop_id=one.shop_id,
                    promised_h=one.promised_h,
                    ship_by=one.ship_by,
                    broken_at=tx.now,
                )
            )
            await messages.notify_many(
                tx,
                [ViewerId(one.buyer_id)],
                "order_late",
                {"hours": one.promised_h},
                f"/orders/{one.order_id}",
                once=one.order_id,
            )
        return len(late)


class _Late(msgspec.Struct, frozen=True, kw_only=True):
    order_id: OrderId
    buyer_id: AccountId
    shop_id: ShopId
    promised_h: int
    ship_by: datetime


async def _complete_due(db: Database, size: int) -> int:
    """Orders that nobody objected to in time. Found without a lock, looked at again under it."""
    async with db.tx() as tx:
        due = await _find_due(tx, size)
        if not due:
            return 0
        held = await hold_many(tx, due)
        still_due = set(await _find_due(tx, size, among=due))
        await _complete_many(
            tx,
            [order for order in held.values() if order.id in still_due and order.state is OrderState.shipped],
            by="time",
        )
        return len(still_due)


async def _find_due(tx: Tx, size: int, *, among: list[OrderId] | None = None) -> list[OrderId]:
    return await tx.all(
        OrderId,
        """
        SELECT order_id FROM orders.delivery
        WHERE confirm_by <= %(now)s AND paused_at IS NULL AND (%(among)s::uuid[] IS NULL OR order_id = ANY(%(among)s))
        ORDER BY confirm_by LIMIT %(size)s
        """,
        now=tx.now,
        among=among,
        size=size,
    )
