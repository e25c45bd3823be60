"""Giving money back: reserved in the caller's transaction, sent by a job, done when the provider says so.

A provider that is down is asked again for as long as it takes: money that is owed is never given up. One that cannot pay
out (a card that is closed) is asked again some times, and then a person looks into it; the money stays owed.
"""

from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from laotie.base import jobs
from laotie.base.db import Tx
from laotie.base.ids import OrderId, PaymentId
from laotie.base.logs import log
from laotie.base.money import Money
from laotie.base.refusals import IdReused, NotFound
from laotie.payments.hearing import take_in
from laotie.payments.model import (
    NoSuchProvider,
    ProviderDown,
    ProviderRefused,
    Refund,
    RefundId,
    RefundState,
    RefundTooMuch,
    pause_s,
)
from laotie.payments.provider import Repayment, Report, ReportKind
from laotie.payments.providers import notify_url, open_provider


class _Due(msgspec.Struct, frozen=True):
    """A refund with what the provider needs to know of its payment."""

    payment_id: PaymentId
    amount: int
    reason: str
    state: RefundState
    currency: str
    provider: str
    provider_ref: str
    charge_ref: str | None
    taken: int
    failures: int


class OpenRefund(msgspec.Struct, frozen=True, kw_only=True):
    """Money that is owed to a buyer and has not arrived, for operators."""

    id: RefundId
    payment_id: PaymentId
    order_id: OrderId
    provider: str
    amount: int
    currency: str
    reason: str
    state: RefundState
    attempts: int
    failures: int
    failure: str | None
    asked_at: datetime


async def refund(
    tx: Tx,
    *,
    refund_id: RefundId,
    payment_id: PaymentId,
    amount: int,
    reason: str,
    order_id: OrderId | None = None,
) -> Refund:
    """Give `amount` (minor units) of a captured payment back; `PaymentRefunded` is told when it has happened.

    `order_id`: of which order of a purchase, when it is not the payment's own. The same id again gives the refund there
    is. Refuses with `RefundTooMuch` what the payment does not have left. Locks the payment.
    """
    assert amount > 0
    before = await find_refund(tx, refund_id)
    if before is not None:
        if (before.payment_id, before.amount) != (payment_id, amount):
            raise IdReused()
        return before
    reserved = await tx.run(
        """
        UPDATE payments.payment
        SET refunding_amount = refunding_amount + %(amount)s, state = 'refunding', changed_at = %(now)s
        WHERE id = %(id)s AND captured_at IS NOT NULL
          AND refunding_amount + refunded_amount + reversed_amount + %(amount)s <= coalesce(captured_amount, amount)
        """,
        id=payment_id,
        amount=amount,
        now=tx.now,
    )
    if not reserved:
        raise RefundTooMuch(payment_id=payment_id)
    await tx.run(
        """
        INSERT INTO payments.refund (id, payment_id, order_id, amount, reason, state, asked_at)
        VALUES (%(id)s, %(payment_id)s, %(order_id)s, %(amount)s, %(reason)s, 'asked', %(now)s)
        """,
        id=refund_id,
        payment_id=payment_id,
        order_id=order_id,
        amount=amount,
        reason=reason,
        now=tx.now,
    )
    await jobs.defer(tx, "payments.refund", {"refund_id": refund_id})
    return Refund(
        id=refund_id,
        payment_id=payment_id,
        order_id=order_id,
        amount=amount,
        reason=reason,
        state=RefundState.asked,
        attempts=0,
    )


async def find_refund(tx: Tx, refund_id: RefundId) -> Refund | None:
    """The refund of that id, if there is one."""
    return await tx.maybe(
        Refund,
        "SELECT id, payment_id, order_id, amount, reason, state, attempts FROM payments.refund WHERE id = %(id)s",
        id=refund_id,
    )


async def list_open_refunds(tx: Tx, *, after: RefundId | None = None, limit: int = 50) -> list[OpenRefund]:
    """Refunds that have not arrived, by id."""
    return await tx.all(
        OpenRefund,
        """
        SELECT r.id, r.payment_id, coalesce(r.order_id, p.order_id) AS order_id, p.provider, r.amount, p.currency,
               r.reason, r.state, r.attempts, r.failures, r.failure, r.asked_at
        FROM payments.refund AS r JOIN payments.payment AS p ON p.id = r.payment_id
        WHERE r.state <> 'done' AND (%(after)s::uuid IS NULL OR r.id > %(after)s) ORDER BY r.id LIMIT %(limit)s
        """,
        after=after,
        limit=limit,
    )


async def retry_refund(tx: Tx, refund_id: RefundId) -> Refund:
    """Try a refund again that was given up; one that is on its way stays as it is. Absent: `NotFound`."""
    again = await tx.run(
        "UPDATE payments.refund SET state = 'asked' WHERE id = %(id)s AND state = 'failed'", id=refund_id
    )
    if again:
        await jobs.defer(tx, "payments.refund", {"refund_id": refund_id})
    found = await find_refund(tx, refund_id)
    if found is None:
        raise NotFound()
    return found


@jobs.task("payments.refund")
async def _send(context: jobs.Context, refund_id: str) -> None:
    id_ = RefundId(UUID(refund_id))
    async with context.db.tx() as tx:
        due = await tx.one(
            _Due,
            """
            SELECT r.payment_id, r.amount, r.reason, r.state, p.currency, p.provider,
                   coalesce(p.provider_ref, '') AS provider_ref, p.charge_ref,
                   coalesce(p.captured_amount, p.amount) AS taken, r.failures
            FROM payments.refund AS r JOIN payments.payment AS p ON p.id = r.payment_id WHERE r.id = %(id)s
            """,
            id=id_,
        )
    if due.state is not RefundState.asked:
        return
    repayment = Repayment(
        refund_id=id_,
        payment_id=due.payment_id,
        provider_ref=due.provider_ref,
        money=Money(due.amount, due.currency),
        reason=due.reason,
        charge_ref=due.charge_ref,
        total=Money(due.taken, due.currency),
        attempt=due.failures,
        notify_url=notify_url(context.settings, due.provider),
    )
    try:
        repaid = await open_provider(due.provider, db=context.db, settings=context.settings).refund(repayment)
    except (NoSuchProvider, ProviderDown, ProviderRefused) as refusal:
        log.warning("a refund could not be sent; it is tried again", refund_id=refund_id, refusal=str(refusal))
        await _try_later(context, id_)
        return
    async with context.db.tx() as tx:
        await tx.run(
            """
            UPDATE payments.refund SET provider_ref = %(provider_ref)s, polls = 0, poll_at = %(poll_at)s,
                state = CASE WHEN state = 'asked' THEN 'sent' ELSE state END
            WHERE id = %(id)s
            """,
            id=id_,
            provider_ref=repaid.provider_ref,
            poll_at=tx.now + timedelta(seconds=context.settings.payment_poll_after_s),
        )
        if repaid.done:
            report = Report(
                event_id=f"answer:{id_}:{due.failures}",
                kind=ReportKind.refunded,
                name="refund",
                payment_id=due.payment_id,
                refund_id=id_,
                refund_attempt=due.failures,
                money=repayment.money,
            )
            await take_in(tx, due.provider, report, b"")


async def _try_later(context: jobs.Context, refund_id: RefundId) -> None:
    async with context.db.tx() as tx:
        attempts = await tx.one(
            int,
            "UPDATE payments.refund SET attempts = attempts + 1 WHERE id = %(id)s RETURNING attempts",
            id=refund_id,
        )
        later = tx.now + timedelta(seconds=pause_s(attempts))
        await jobs.defer(tx, "payments.refund", {"refund_id": refund_id}, at=later)
