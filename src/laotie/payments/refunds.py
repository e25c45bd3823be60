"""Giving money back: reserved in the caller's transaction, sent by a job, done when the provider says so.

A provider that is down is asked again for as long as it takes: money that is owed is never given up.
"""

from datetime import timedelta
from uuid import UUID

import msgspec

from laotie.base import jobs
from laotie.base.db import Tx
from laotie.base.ids import PaymentId
from laotie.base.logs import log
from laotie.base.money import Money
from laotie.base.refusals import IdReused
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
from laotie.payments.provider import Repayment
from laotie.payments.providers import open_provider


class _Due(msgspec.Struct, frozen=True):
    """A refund with what the provider needs to know of its payment."""

    payment_id: PaymentId
    amount: int
    reason: str
    state: RefundState
    currency: str
    provider: str
    provider_ref: str


async def refund(tx: Tx, *, refund_id: RefundId, payment_id: PaymentId, amount: int, reason: str) -> Refund:
    """Give `amount` (minor units) of a captured payment back; `PaymentRefunded` is told when it has happened.

    The same id again gives the refund there is. Refuses with `RefundTooMuch` what the payment does not have left.
    Locks the payment.
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
        WHERE id = %(id)s AND captured_at IS NOT NULL AND refunding_amount + refunded_amount + %(amount)s <= amount
        """,
        id=payment_id,
        amount=amount,
        now=tx.now,
    )
    if not reserved:
        raise RefundTooMuch(payment_id=payment_id)
    await tx.run(
        """
        INSERT INTO payments.refund (id, payment_id, amount, reason, state, asked_at)
        VALUES (%(id)s, %(payment_id)s, %(amount)s, %(reason)s, 'asked', %(now)s)
        """,
        id=refund_id,
        payment_id=payment_id,
        amount=amount,
        reason=reason,
        now=tx.now,
    )
    await jobs.defer(tx, "payments.refund", {"refund_id": refund_id})
    return Refund(
        id=refund_id, payment_id=payment_id, amount=amount, reason=reason, state=RefundState.asked, attempts=0
    )


async def find_refund(tx: Tx, refund_id: RefundId) -> Refund | None:
    """The refund of that id, if there is one."""
    return await tx.maybe(
        Refund,
        "SELECT id, payment_id, amount, reason, state, attempts FROM payments.refund WHERE id = %(id)s",
        id=refund_id,
    )


@jobs.task("payments.refund")
async def _send(context: jobs.Context, refund_id: str) -> None:
    id_ = RefundId(UUID(refund_id))
    async with context.db.tx() as tx:
        due = await tx.one(
            _Due,
            """
            SELECT r.payment_id, r.amount, r.reason, r.state, p.currency, p.provider, p.provider_ref
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
    )
    try:
        provider_ref = await open_provider(due.provider, db=context.db, settings=context.settings).refund(repayment)
    except (NoSuchProvider, ProviderDown, ProviderRefused) as refusal:
        log.warning("a refund could not be sent; it is tried again", refund_id=refund_id, refusal=str(refusal))
        await _try_later(context, id_)
        return
    async with context.db.tx() as tx:
        await tx.run(
            """
            UPDATE payments.refund SET provider_ref = %(provider_ref)s,
                state = CASE WHEN state = 'asked' THEN 'sent' ELSE state END
            WHERE id = %(id)s
            """,
            id=id_,
            provider_ref=provider_ref,
        )


async def _try_later(context: jobs.Context, refund_id: RefundId) -> None:
    async with context.db.tx() as tx:
        attempts = await tx.one(
            int,
            "UPDATE payments.refund SET attempts = attempts + 1 WHERE id = %(id)s RETURNING attempts",
            id=refund_id,
        )
        later = tx.now + timedelta(seconds=pause_s(attempts))
        await jobs.defer(tx, "payments.refund", {"refund_id": refund_id}, at=later)
