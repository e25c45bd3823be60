"""Orders that change their state, many at once: paid, or cancelled.

Locks, in the order of the house: the fold is kept out, orders by id, (cart items, teams by id), SKUs, coupons by id, the hottest
last and only after everything else is written, since a till may be waiting for them. Whoever comes second finds the order
changed and leaves it alone.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from laotie import catalog, ledger, live, offers
from laotie.base.db import Tx
from laotie.base.ids import (
    AccountId,
    CartItemId,
    OrderId,
    PaymentId,
    ShopId,
    ShowId,
    SkuId,
    TransferId,
    new_id,
)
from laotie.events.orders import Amounts, OrderCancelled, OrderPaid
from laotie.orders import feed
from laotie.orders.model import NO_WAVE, Credited, EndReason, OrderState


class Held(Credited, frozen=True, kw_only=True):
    """An order whose row this transaction holds."""

    id: OrderId
    purchase_id: OrderId
    """The first order of the purchase: the order itself when it is the only one."""
    buyer_id: AccountId
    shop_id: ShopId
    show_id: ShowId | None
    state: OrderState
    currency: str
    total_amount: int
    discount_amount: int
    subsidy_amount: int
    shipping_amount: int
    shipping_hold_id: TransferId | None
    payment_id: PaymentId | None
    pay_by: datetime

    def amounts(self, tax_amount: int) -> Amounts:
        """What its total is made of, with the tax of its lines."""
        return Amounts(
            goods=self.total_amount + self.discount_amount - self.shipping_amount,
            shipping=self.shipping_amount,
            tax=tax_amount,
            shop_discount=self.discount_amount - self.subsidy_amount,
            platform_discount=self.subsidy_amount,
        )


class _Line(NamedTuple):
    order_id: OrderId
    sku_id: SkuId
    cart_item_id: CartItemId | None
    wave_id: UUID | None
    quantity: int
    team_id: UUID | None
    tax_amount: int


async def hold_many(tx: Tx, order_ids: Iterable[OrderId]) -> dict[OrderId, Held]:
    """Keep the fold out, then lock the orders, and all others of their purchases, by id and read them."""
    await feed.keep_fold_out(tx)
    held = await tx.all(
        Held,
        """
        SELECT id, coalesce(purchase_id, id) AS purchase_id, buyer_id, shop_id, show_id, state, currency, total_amount,
               discount_amount, subsidy_amount, shipping_amount, shipping_hold_id, payment_id, pay_by, source, placement,
               visit_id, campaign, streamer_id, is_fan, rule_version
        FROM orders."order"
        WHERE id = ANY(%(ids)s::uuid[] || ARRAY(
            SELECT part.id FROM orders."order" AS named
            JOIN orders."order" AS part ON part.purchase_id = named.purchase_id
            WHERE named.id = ANY(%(ids)s::uuid[])))
        ORDER BY id FOR NO KEY UPDATE
        """,
        ids=list(order_ids),
    )
    return {order.id: order for order in held}


async def change_many(tx: Tx, *, paid: list[tuple[Held, PaymentId]], cancelled: list[tuple[Held, EndReason]]) -> None:
    """Pay these and cancel those. All are placed and held (`hold_many`), each is named once.

    Paid: stock put aside is sold, the holds are posted, the platform adds its part of the discounts, `OrderPaid` is told.
    Cancelled: stock, limits and coupons are given back, the holds are voided, `OrderCancelled` is told.
    """
    orders = [order for order, _ in paid] + [order for order, _ in cancelled]
    if not orders:
        return
    assert all(order.state is OrderState.placed for order in orders)
    assert len({order.id for order in orders}) == len(orders)
    lines = await _read_lines(tx, [order.id for order in orders])
    taxes: dict[OrderId, int] = {}
    for line in lines:
        taxes[line.order_id] = taxes.get(line.order_id, 0) + line.tax_amount
    await _write_paid(tx, paid, taxes)
    await _write_cancelled(tx, cancelled, taxes)
    await tx.flush()
    free = {order.id for order, _ in cancelled}
    released = [line for line in lines if line.order_id in free]
    limited = await _hold_limited_items(tx, released)
    await _move_seats(tx, lines, free)
    await catalog.lock_many(tx, sorted({line.sku_id for line in lines}))
    if paid:
        await catalog.sell_many(tx, [_stock_line(line) for line in lines if line.order_id not in free])
    if released:
        await catalog.release_many(tx, [_stock_line(line) for line in released])
    if limited:
        await _lower_bought(tx, released, {order.id: order.buyer_id for order, _ in cancelled}, limited)
    discounted = [order.id for order, _ in cancelled if order.discount_amount]
    if discounted:
        await offers.give_back_many(tx, discounted)


async def _read_lines(tx: Tx, order_ids: list[OrderId]) -> list[_Line]:
    rows = await tx.tuples(
        """
        SELECT order_id, sku_id, cart_item_id, wave_id, quantity, team_id, tax_amount FROM orders.line
        WHERE order_id = ANY(%(ids)s)
        """,
        ids=order_ids,
    )
    return [_Line._make(row) for row in rows]


async def _write_paid(tx: Tx, paid: list[tuple[Held, PaymentId]], taxes: dict[OrderId, int]) -> None:
    if not paid:
        return
    ids = [order.id for order, _ in paid]
    await tx.run(
        """
        UPDATE orders."order" AS o SET state = 'paid', paid_at = %(now)s, payment_id = paid.payment_id
        FROM unnest(%(ids)s::uuid[], %(payments)s::uuid[]) AS paid (id, payment_id)
        WHERE o.id = paid.id
        """,
        ids=ids,
        payments=[payment_id for _, payment_id in paid],
        now=tx.now,
    )
    moved = [(order.shop_id, order.id) for order, _ in paid]
    await feed.move_many(tx, moved, before=OrderState.placed, now=OrderState.paid)
    await feed.add_paid(tx, ids)
    await ledger.post_many(tx, _holds_of(order for order, _ in paid), reason="paid")
    await ledger.transfer_many(tx, [_subsidy(order) for order, _ in paid if order.subsidy_amount])
    for order, _ in paid:
        tx.tell(
            OrderPaid(
                order_id=order.id,
                buyer_id=order.buyer_id,
                shop_id=order.shop_id,
                show_id=order.show_id,
                currency=order.currency,
                total_amount=order.total_amount,
                paid_at=tx.now,
                credit=order.credit,
                amounts=order.amounts(taxes[order.id]),
            )
        )


def _holds_of(orders: Iterable[Held]) -> list[TransferId]:
    """The order's own hold, and that of its shipping."""
    return [
        hold for order in orders for hold in (TransferId(order.id), order.shipping_hold_id) if hold is not None
    ]


def _subsidy(order: Held) -> ledger.Transfer:
    """What the platform's coupons took off, it pays to the shop."""
    return ledger.Transfer(
        TransferId(new_id()),
        debit=ledger.Account(ledger.AccountKind.subsidy, order.currency),
        credit=ledger.Account(ledger.AccountKind.shop_held, order.currency, order.shop_id),
        amount=order.subsidy_amount,
        reason="subsidy",
        subject_id=order.purchase_id,
    )


async def _write_cancelled(
    tx: Tx, cancelled: list[tuple[Held, EndReason]], taxes: dict[OrderId, int]
) -> None:
    if not cancelled:
        return
    ids = [order.id for order, _ in cancelled]
    await tx.run(
        """
        UPDATE orders."order" AS o SET state = 'cancelled', ended_at = %(now)s, end_reason = ended.reason
        FROM unnest(%(ids)s::uuid[], %(reasons)s::text[]) AS ended (id, reason)
        WHERE o.id = ended.id
        """,
        ids=ids,
        reasons=[reason for _, reason in cancelled],
        now=tx.now,
    )
    moved = [(order.shop_id, order.id) for order, _ in cancelled]
    await feed.move_many(tx, moved, before=OrderState.placed, now=OrderState.cancelled)
    await ledger.void_many(tx, _holds_of(order for order, _ in cancelled), reason="cancelled")
    for order, reason in cancelled:
        tx.tell(
            OrderCancelled(
                order_id=order.id,
                buyer_id=order.buyer_id,
                shop_id=order.shop_id,
                show_id=order.show_id,
                reason=reason,
                cancelled_at=tx.now,
                currency=order.currency,
                credit=order.credit,
                amounts=-order.amounts(taxes[order.id]),
            )
        )


async def _move_seats(tx: Tx, lines: list[_Line], free: set[OrderId]) -> None:
    """A paid order keeps its seat in its team, a cancelled one gives it up."""
    seated = [line for line in lines if line.team_id is not None]
    if seated:
        await offers.move_seats(
            tx,
            sorted({line.team_id for line in seated if line.team_id is not None}),
            paid=[line.order_id for line in seated if line.order_id not in free],
            cancelled=[line.order_id for line in seated if line.order_id in free],
        )


async def _hold_limited_items(tx: Tx, lines: list[_Line]) -> set[CartItemId]:
    """The cart items on which a limit per person was counted, locked: the till counts under the same lock."""
    items = {line.cart_item_id for line in lines if line.cart_item_id is not None}
    if not items:
        return set()
    limited = {
        row[0]
        for row in await tx.tuples(
            """
            SELECT item_id FROM unnest(%(items)s::uuid[]) AS asked (item_id)
            WHERE EXISTS (SELECT FROM orders.bought WHERE bought.cart_item_id = asked.item_id)
            """,
            items=sorted(items),
        )
    }
    pairs = sorted({(line.cart_item_id, line.sku_id) for line in lines if line.cart_item_id in limited})
    if pairs:
        await live.quote_many(tx, [], pairs)  # type: ignore[arg-type]
    return limited


async def _lower_bought(
    tx: Tx, lines: list[_Line], buyers: dict[OrderId, AccountId], limited: set[CartItemId]
) -> None:
    """What was bought before the item had a limit was never counted, so the count stops at zero."""
    counts: dict[tuple[CartItemId, AccountId, UUID], int] = {}
    for line in lines:
        if line.cart_item_id is not None and line.cart_item_id in limited:
            key = (line.cart_item_id, buyers[line.order_id], line.wave_id or NO_WAVE)
            counts[key] = counts.get(key, 0) + line.quantity
    await tx.run(
        """
        UPDATE orders.bought SET quantity = greatest(0, bought.quantity - given.quantity)
        FROM unnest(%(items)s::uuid[], %(buyers)s::uuid[], %(waves)s::uuid[], %(quantities)s::integer[])
          AS given (cart_item_id, buyer_id, wave_id, quantity)
        WHERE bought.cart_item_id = given.cart_item_id AND bought.buyer_id = given.buyer_id
          AND bought.wave_id = given.wave_id
        """,
        items=[item_id for item_id, _, _ in counts],
        buyers=[buyer_id for _, buyer_id, _ in counts],
        waves=[wave_id for _, _, wave_id in counts],
        quantities=list(counts.values()),
    )


def _stock_line(line: _Line) -> catalog.Line:
    return line.sku_id, line.quantity, line.order_id, line.wave_id
