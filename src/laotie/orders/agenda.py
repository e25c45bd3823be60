"""The agenda: what time and payments bring to orders, worked off in batches of their own.

A reaction runs in the relay's transaction, which is long and wide and must never hold an order or a hot SKU. So
reactions and the sweep only write entries here; `work_agenda` takes what is due, locks the orders, judges each entry
against its order in a pure function, and changes all orders of the batch set-based in one short transaction. Any
number of workers may do so. An entry that fails is tried again alone, later, and holds nobody up.

The sweep walks the order key once. Everything unpaid that it passes is entered with its deadline; it stops before the
first order that is still young, and never passes an order that has not been committed yet (`horizon`).
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

import msgspec

from laotie import ledger, payments
from laotie.base.db import Database, Tx
from laotie.base.ids import OrderId, PaymentId, TransferId, new_id
from laotie.base.logs import log
from laotie.base.refusals import Unavailable
from laotie.events.orders import OrderRefunded
from laotie.lake.facts import MoneyKind
from laotie.orders import facts, reversals
from laotie.orders.changes import Held, change_many, hold_many
from laotie.orders.horizon import SKEW_S, find_horizon
from laotie.orders.model import EndReason, OrderState, RefundReason
from laotie.orders.reversals import Reversal

BATCH_SIZE_MAX = 250
"""A turn holds its SKUs for its last statements; a till that wants them waits that long."""
SWEEP_SIZE_MAX = 2_000
PAUSE_MAX_S = 3_600


class Kind(StrEnum):
    """What is to be looked into."""

    overdue = "overdue"
    captured = "captured"
    refunded = "refunded"
    reversed = "reversed"
    """A chargeback; `id` is the dispute's."""
    restored = "restored"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened, or one deadline. `id`: the order, the payment, the refund or the dispute."""

    kind: Kind
    id: UUID
    order_id: OrderId
    payment_id: PaymentId | None = None
    amount: int | None = None
    currency: str | None = None
    reason: str | None = None
    attempts: int = 0


class Incoming(NamedTuple):
    """Money that the purchase has no place for; `order` is its first."""

    order: Held
    payment_id: PaymentId
    amount: int
    reason: RefundReason


class Outgoing(NamedTuple):
    """Money that went back."""

    order: Held
    entry: Entry


class Plan(NamedTuple):
    """What a batch of entries comes to."""

    paid: list[tuple[Held, PaymentId]]
    cancelled: list[tuple[Held, EndReason]]
    sent_back: list[Incoming]
    went_back: list[Outgoing]
    reversed: list[Reversal]


async def enter_many(tx: Tx, entries: list[Entry], *, due_at: list[datetime]) -> None:
    """Put entries on the agenda; one that is there already stays as it is."""
    await tx.run(
        """
        INSERT INTO orders.agenda (kind, id, order_id, payment_id, amount, currency, reason, due_at)
        SELECT * FROM unnest(%(kinds)s::text[], %(ids)s::uuid[], %(orders)s::uuid[], %(payments)s::uuid[],
                             %(amounts)s::bigint[], %(currencies)s::text[], %(reasons)s::text[], %(due)s::timestamptz[])
        ON CONFLICT (kind, id) DO NOTHING
        """,
        kinds=[entry.kind for entry in entries],
        ids=[entry.id for entry in entries],
        orders=[entry.order_id for entry in entries],
        payments=[entry.payment_id for entry in entries],
        amounts=[entry.amount for entry in entries],
        currencies=[entry.currency for entry in entries],
        reasons=[entry.reason for entry in entries],
        due=due_at,
    )


async def sweep_unpaid(
    db: Database, *, payment_timeout_s: int, size: int = SWEEP_SIZE_MAX, skew_s: float = SKEW_S
) -> int:
    """Walk on and enter what is unpaid; returns how many orders it passed. One process at a time walks."""
    async with db.tx() as tx:
        swept_to = await tx.maybe(UUID, "SELECT swept_to FROM orders.sweep FOR UPDATE SKIP LOCKED")
        if swept_to is None:
            return 0
        horizon = await find_horizon(tx, skew_s=skew_s)
        rows = await tx.tuples(
            """
            SELECT id, state = 'placed', pay_by, placed_at FROM orders."order"
            WHERE id > %(swept_to)s AND id <= %(horizon)s ORDER BY id LIMIT %(size)s
            """,
            swept_to=swept_to,
            horizon=horizon,
            size=size,
        )
        young = tx.now - timedelta(seconds=payment_timeout_s)
        passed = 0
        unpaid: list[tuple[OrderId, datetime]] = []
        for order_id, is_open, pay_by, placed_at in rows:
            if is_open and pay_by > tx.now and placed_at > young:
                break
            if is_open:
                unpaid.append((order_id, pay_by))
            passed += 1
        if not passed:
            return 0
        entries = [Entry(kind=Kind.overdue, id=order_id, order_id=order_id) for order_id, _ in unpaid]
        await enter_many(tx, entries, due_at=[pay_by for _, pay_by in unpaid])
        await tx.run("UPDATE orders.sweep SET swept_to = %(swept_to)s", swept_to=rows[passed - 1][0])
        return passed


async def work_agenda(db: Database, *, size: int = BATCH_SIZE_MAX) -> int:
    """Work off what is due, `size` entries at most; returns how many were taken up."""
    async with db.tx() as tx:
        entries = await tx.all(
            Entry,
            """
            SELECT kind, id, order_id, payment_id, amount, currency, reason, attempts FROM orders.agenda
            WHERE due_at <= %(now)s AND (kind NOT IN ('reversed', 'restored') OR NOT (
                EXISTS (SELECT FROM orders.agenda AS first
                        WHERE first.kind = 'captured' AND first.id = agenda.payment_id)
                OR kind = 'restored' AND EXISTS (SELECT FROM orders.agenda AS first
                                                 WHERE first.kind = 'reversed' AND first.id = agenda.id)))
            ORDER BY due_at LIMIT %(size)s FOR UPDATE SKIP LOCKED
            """,
            now=tx.now,
            size=size,
        )
        if not entries:
            return 0
        failed = await _settle_or_isolate(tx, entries)
        done = [entry for entry in entries if entry not in failed]
        await tx.run(
            """
            DELETE FROM orders.agenda USING unnest(%(kinds)s::text[], %(ids)s::uuid[]) AS done (kind, id)
            WHERE agenda.kind = done.kind AND agenda.id = done.id
            """,
            kinds=[entry.kind for entry in done],
            ids=[entry.id for entry in done],
        )
        return len(entries)


def judge(entries: list[Entry], orders: Mapping[OrderId, Held]) -> Plan:
    """What each entry comes to; a purchase's later entries see what its earlier ones did. Pure.

    The orders of a purchase are paid together and lapse together. Deadlines are judged last: money that is here by the
    time we look is in time.
    """
    plan = Plan([], [], [], [], [])
    purchases: dict[OrderId, list[Held]] = {}
    for order in orders.values():
        purchases.setdefault(order.purchase_id, []).append(order)
    paid_by = {key: parts[0].payment_id for key, parts in purchases.items()}
    is_open = {key: parts[0].state is OrderState.placed for key, parts in purchases.items()}
    for entry in sorted(entries, key=lambda one: one.kind is Kind.overdue):
        order = orders[entry.order_id]
        key = order.purchase_id
        parts = purchases[key]
        if entry.kind is Kind.overdue:
            if is_open[key]:
                plan.cancelled.extend((part, EndReason.unpaid) for part in parts)
                is_open[key] = False
            continue
        assert entry.payment_id is not None and entry.amount is not None
        if entry.kind is Kind.refunded:
            plan.went_back.append(Outgoing(order, entry))
        elif entry.kind in (Kind.reversed, Kind.restored):
            plan.reversed.append(_reversal(order, entry))
        elif paid_by[key] == entry.payment_id:
            continue
        elif (entry.amount, entry.currency) != (sum(part.total_amount for part in parts), order.currency):
            plan.sent_back.append(Incoming(order, entry.payment_id, entry.amount, RefundReason.amount_differs))
        elif is_open[key]:
            plan.paid.extend((part, entry.payment_id) for part in parts)
            is_open[key] = False
            paid_by[key] = entry.payment_id
        else:
            reason = RefundReason.late_payment if paid_by[key] is None else RefundReason.second_payment
            plan.sent_back.append(Incoming(order, entry.payment_id, entry.amount, reason))
    return plan


def _reversal(order: Held, entry: Entry) -> Reversal:
    assert entry.payment_id is not None and entry.amount is not None
    return Reversal(
        order, entry.id, entry.payment_id, entry.amount, entry.reason or "", entry.kind is Kind.restored
    )


async def _settle_or_isolate(tx: Tx, entries: list[Entry]) -> list[Entry]:
    """All at once; when that fails, each alone, and those that fail alone are put off and returned."""
    if len(entries) > 1:
        try:
            async with tx.savepoint():
                await _settle(tx, entries)
            return []
        except Unavailable:
            raise
        except Exception as cause:
            log.warning("a batch failed; each entry is tried alone", entries=len(entries), cause=repr(cause)[:300])
    failed: list[Entry] = []
    for entry in sorted(entries, key=lambda one: one.order_id):
        try:
            async with tx.savepoint():
                await _settle(tx, [entry])
        except Unavailable:
            raise
        except Exception:
            log.exception("an order could not be settled", kind=entry.kind, order_id=str(entry.order_id))
            failed.append(entry)
    for entry in failed:
        await tx.run(
            """
            UPDATE orders.agenda SET attempts = attempts + 1, due_at = %(due_at)s
            WHERE kind = %(kind)s AND id = %(id)s
            """,
            due_at=tx.now + timedelta(seconds=min(PAUSE_MAX_S, 5 << min(entry.attempts, 12))),
            kind=entry.kind,
            id=entry.id,
        )
    return failed


async def _settle(tx: Tx, entries: list[Entry]) -> None:
    held = await hold_many(tx, {entry.order_id for entry in entries})
    plan = judge(entries, held)
    await _send_back(tx, plan.sent_back)
    await _record_return(tx, plan.went_back)
    await reversals.record_many(tx, plan.reversed, held.values())
    await change_many(tx, paid=plan.paid, cancelled=plan.cancelled)


async def _send_back(tx: Tx, incoming: list[Incoming]) -> None:
    """Money without a place is entered as unallocated and its refund asked for. Ledger ids: payment in, refund out."""
    await ledger.transfer_many(
        tx,
        [
            ledger.Transfer(
                TransferId(one.payment_id),
                debit=ledger.Account(ledger.AccountKind.provider, one.order.currency),
                credit=ledger.Account(ledger.AccountKind.unallocated, one.order.currency),
                amount=one.amount,
                reason=one.reason,
                subject_id=one.order.purchase_id,
            )
            for one in incoming
        ],
    )
    for one in incoming:
        left = one.amount - (await payments.get(tx, one.payment_id)).reversed_amount
        if left > 0:  # what a chargeback took is back with the buyer already
            await payments.refund(
                tx,
                refund_id=payments.RefundId(new_id()),
                payment_id=one.payment_id,
                amount=left,
                reason=one.reason,
            )


async def _record_return(tx: Tx, outgoing: list[Outgoing]) -> None:
    """Money that went back leaves the ledger: from the shop when it had paid the order, else from unallocated."""
    transfers = []
    of_orders = [
        (entry.id, order.id, entry.amount or 0) for order, entry in outgoing if order.payment_id == entry.payment_id
    ]
    asked = await facts.find_refunds(tx, of_orders) if of_orders else {}
    moved: list[facts.Fact] = []
    for order, entry in outgoing:
        assert entry.amount is not None
        of_shop = order.payment_id == entry.payment_id
        fact = None
        if of_shop:
            fact = facts.fact_of(order.id, MoneyKind.refunded, entry.id, asked[entry.id])
            moved.append(fact)
        transfers.append(
            ledger.Transfer(
                TransferId(entry.id),
                debit=ledger.Account(ledger.AccountKind.shop_held, order.currency, order.shop_id)
                if of_shop
                else ledger.Account(ledger.AccountKind.unallocated, order.currency),
                credit=ledger.Account(ledger.AccountKind.provider, order.currency),
                amount=entry.amount,
                reason=entry.reason or "refund",
                subject_id=order.purchase_id,
            )
        )
        tx.tell(
            OrderRefunded(
                order_id=order.id,
                buyer_id=order.buyer_id,
                shop_id=order.shop_id,
                show_id=order.show_id,
                currency=order.currency,
                amount=entry.amount,
                reason=entry.reason or "refund",
                refunded_at=tx.now,
                refund_id=entry.id,
                fact_id=fact and fact.id,
                credit=order.credit if fact else None,
                amounts=fact and fact.amounts,
            )
        )
    await facts.record_many(tx, moved)
    await ledger.transfer_many(tx, transfers)
