"""Chargebacks on orders: what the provider takes back is divided among the orders that the payment had paid.

Each order bears a part in proportion to what is left of it, exact to the last minor unit (largest remainder), and no
more than that. The parts are kept, so that a chargeback that is won gives each order back what it had borne, and of that
the buyer what was granted meanwhile (`giving_back.give_owed`). Of an order it takes goods, shipping, tax and discounts in
proportion to what is left of them. Money that no order takes goes back to where it came from.
"""

from collections.abc import Iterable
from typing import NamedTuple
from uuid import UUID, uuid5

import msgspec

from laotie import ledger, payments
from laotie.base.db import Tx
from laotie.base.ids import OrderId, PaymentId, ShopId, ShowId, TransferId
from laotie.base.money import apportion
from laotie.events.orders import Amounts, OrderReversed
from laotie.lake.facts import MoneyKind
from laotie.orders import facts
from laotie.orders.changes import Held
from laotie.orders.giving_back import CHARGEBACK_WON, give_owed
from laotie.orders.model import Credited


class Reversal(NamedTuple):
    """A chargeback, or with `restored` its end in our favour; `order` is the first of the purchase."""

    order: Held
    dispute_id: UUID
    payment_id: PaymentId
    amount: int
    reason: str
    restored: bool


class _Part(Credited, frozen=True, kw_only=True):
    order_id: OrderId
    shop_id: ShopId
    amount: int
    show_id: ShowId | None


async def record_many(tx: Tx, reversals: list[Reversal], orders: Iterable[Held]) -> None:
    """Move the money and write what each order bears. `orders`: all of the purchases, which are held (`hold_many`)."""
    held = {order.id: order for order in orders}
    for one in reversals:
        if one.order.payment_id != one.payment_id:
            await _record_unallocated(tx, one)
        elif one.restored:
            await _restore(tx, one)
            for order in held.values():
                if order.purchase_id == one.order.purchase_id:
                    await give_owed(tx, order, refund_id=uuid5(one.dispute_id, f"{order.id} owed"))
        else:
            await _reverse(tx, one)


async def _reverse(tx: Tx, one: Reversal) -> None:
    """Once a chargeback: its parts are written under its id."""
    if await tx.maybe(int, "SELECT 1 FROM orders.reversal WHERE dispute_id = %(id)s LIMIT 1", id=one.dispute_id):
        return
    left = await tx.all(
        _Part,
        """
        SELECT id AS order_id, shop_id, total_amount - refunded_amount - reversed_amount AS amount, show_id, source,
               placement, visit_id, campaign, streamer_id, is_fan, rule_version
        FROM orders."order" WHERE coalesce(purchase_id, id) = %(purchase_id)s ORDER BY id
        """,
        purchase_id=one.order.purchase_id,
    )
    assert one.amount <= sum(part.amount for part in left), "more was taken back than is left"
    shares = apportion(one.amount, [part.amount for part in left])
    parts = [
        msgspec.structs.replace(part, amount=share) for part, share in zip(left, shares, strict=True) if share
    ]
    before = await facts.find_left(tx, [part.order_id for part in parts])
    await tx.run(
        """
        WITH part AS (
            INSERT INTO orders.reversal (dispute_id, order_id, amount, reversed_at)
            SELECT %(dispute_id)s, part.*, %(now)s FROM unnest(%(ids)s::uuid[], %(amounts)s::bigint[]) AS part
            RETURNING order_id, amount
        )
        UPDATE orders."order" AS o SET reversed_amount = reversed_amount + part.amount
        FROM part WHERE o.id = part.order_id
        """,
        dispute_id=one.dispute_id,
        ids=[part.order_id for part in parts],
        amounts=[part.amount for part in parts],
        now=tx.now,
    )
    await _move(tx, one, parts, {part.order_id: -facts.part_of(before[part.order_id], part.amount) for part in parts})


async def _restore(tx: Tx, one: Reversal) -> None:
    parts = await tx.all(
        _Part,
        """
        UPDATE orders."order" AS o SET reversed_amount = o.reversed_amount - part.amount
        FROM orders.reversal AS part
        WHERE part.dispute_id = %(dispute_id)s AND part.restored_at IS NULL AND o.id = part.order_id
        RETURNING part.order_id, o.shop_id, part.amount, o.show_id, o.source, o.placement, o.visit_id, o.campaign,
                  o.streamer_id, o.is_fan, o.rule_version
        """,
        dispute_id=one.dispute_id,
    )
    await tx.run(
        "UPDATE orders.reversal SET restored_at = %(now)s WHERE dispute_id = %(id)s AND restored_at IS NULL",
        now=tx.now,
        id=one.dispute_id,
    )
    taken = await facts.find_reversed(tx, one.dispute_id, [part.order_id for part in parts])
    await _move(tx, one, parts, {order_id: -amounts for order_id, amounts in taken.items()})


async def _move(tx: Tx, one: Reversal, parts: list[_Part], amounts: dict[OrderId, Amounts]) -> None:
    """Out of what the shop holds to the provider, or the other way; each part is told to its shop."""
    currency = one.order.currency
    provider = ledger.Account(ledger.AccountKind.provider, currency)
    held = {part.order_id: ledger.Account(ledger.AccountKind.shop_held, currency, part.shop_id) for part in parts}
    await ledger.transfer_many(
        tx,
        [
            ledger.Transfer(
                TransferId(uuid5(one.dispute_id, f"{part.order_id} {'restored' if one.restored else 'reversed'}")),
                debit=provider if one.restored else held[part.order_id],
                credit=held[part.order_id] if one.restored else provider,
                amount=part.amount,
                reason="restored" if one.restored else "reversed",
                subject_id=one.order.purchase_id,
            )
            for part in parts
        ],
    )
    kind = MoneyKind.restored if one.restored else MoneyKind.reversed
    moved = [facts.fact_of(part.order_id, kind, one.dispute_id, amounts[part.order_id]) for part in parts]
    await facts.record_many(tx, moved)
    for part, fact in zip(parts, moved, strict=True):
        tx.tell(
            OrderReversed(
                order_id=part.order_id,
                buyer_id=one.order.buyer_id,
                shop_id=part.shop_id,
                dispute_id=one.dispute_id,
                amount=part.amount,
                currency=currency,
                reason=one.reason,
                restored=one.restored,
                reversed_at=tx.now,
                show_id=part.show_id,
                fact_id=fact.id,
                credit=part.credit,
                amounts=fact.amounts,
            )
        )


async def _record_unallocated(tx: Tx, one: Reversal) -> None:
    """The payment had paid no order: its money lies unallocated, on its way back."""
    provider = ledger.Account(ledger.AccountKind.provider, one.order.currency)
    waiting = ledger.Account(ledger.AccountKind.unallocated, one.order.currency)
    await ledger.transfer_many(
        tx,
        [
            ledger.Transfer(
                TransferId(uuid5(one.dispute_id, "restored" if one.restored else "reversed")),
                debit=provider if one.restored else waiting,
                credit=waiting if one.restored else provider,
                amount=one.amount,
                reason="restored" if one.restored else "reversed",
                subject_id=one.order.purchase_id,
            )
        ],
    )
    if one.restored and (left := min(one.amount, (await payments.get(tx, one.payment_id)).left_amount)) > 0:
        await payments.refund(
            tx,
            refund_id=payments.RefundId(uuid5(one.dispute_id, "owed")),
            payment_id=one.payment_id,
            amount=left,
            reason=CHARGEBACK_WON,
        )
