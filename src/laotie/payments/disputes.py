"""Chargebacks: the provider takes money back, hears our evidence, and brings it again or keeps it.

The money moves when the provider says so, at most once each way. The house answers with evidence inside the window.
"""

from uuid import UUID

import msgspec

from laotie.base import jobs
from laotie.base.db import Tx
from laotie.base.ids import new_id
from laotie.base.logs import log
from laotie.base.refusals import NotFound
from laotie.events.payments import PaymentRestored, PaymentReversed
from laotie.payments.model import (
    Dispute,
    DisputeClosed,
    DisputeId,
    DisputeState,
    Payment,
    ProviderRefused,
    Verdict,
    state_after,
)
from laotie.payments.provider import Report, ReportKind
from laotie.payments.providers import open_provider

OPEN = (DisputeState.open, DisputeState.answered)


class _Known(msgspec.Struct, frozen=True):
    id: DisputeId
    amount: int
    state: DisputeState
    money: str


async def take_in(tx: Tx, payment: Payment, report: Report) -> Verdict:
    """What a provider says of a chargeback; the payment is locked. Tells `PaymentReversed`, `PaymentRestored`.

    `early` while the payment, its chargeback or the money it concerns is not there yet; `discrepancy` when the sum does
    not fit.
    """
    assert report.dispute_ref is not None
    if payment.captured_at is None:
        return Verdict.early
    known = await tx.maybe(
        _Known,
        """
        SELECT id, amount, state, money FROM payments.dispute
        WHERE provider = %(provider)s AND provider_ref = %(ref)s AND payment_id = %(payment_id)s FOR UPDATE
        """,
        provider=payment.provider,
        ref=report.dispute_ref,
        payment_id=payment.id,
    )
    if report.kind is ReportKind.reversed:
        return Verdict.stale if known is not None else await _reverse(tx, payment, report)
    if known is None:
        return Verdict.early
    if report.kind is ReportKind.restored:
        return await _restore(tx, payment, known)
    if known.state not in OPEN:
        return Verdict.stale
    await tx.run(
        "UPDATE payments.dispute SET state = 'lost', changed_at = %(now)s WHERE id = %(id)s", id=known.id, now=tx.now
    )
    return Verdict.applied


async def _reverse(tx: Tx, payment: Payment, report: Report) -> Verdict:
    """While money is on its way back to the buyer nobody knows what will be left, so the message waits for that."""
    money = report.money
    if money is None or money.currency != payment.currency or money.amount <= 0:
        return Verdict.discrepancy
    left = payment.taken - payment.refunded_amount - payment.reversed_amount
    if money.amount > left:
        return Verdict.discrepancy
    if money.amount > left - payment.refunding_amount:
        return Verdict.early
    dispute_id = DisputeId(new_id())
    await tx.run(
        """
        INSERT INTO payments.dispute (id, provider, provider_ref, payment_id, amount, currency, reason, state, money,
                                      evidence_until, opened_at, changed_at)
        VALUES (%(id)s, %(provider)s, %(ref)s, %(payment_id)s, %(amount)s, %(currency)s, %(reason)s, 'open', 'taken',
                %(until)s, %(now)s, %(now)s)
        """,
        id=dispute_id,
        provider=payment.provider,
        ref=report.dispute_ref,
        payment_id=payment.id,
        amount=money.amount,
        currency=money.currency,
        reason=report.reason[:200],
        until=report.evidence_until,
        now=tx.now,
    )
    await _move(tx, payment, reversed_amount=payment.reversed_amount + money.amount)
    tx.tell(
        PaymentReversed(
            payment_id=payment.id,
            order_id=payment.order_id,
            dispute_id=dispute_id,
            amount=money.amount,
            currency=money.currency,
            reason=report.reason[:200],
            reversed_at=tx.now,
            purpose=payment.purpose,
            wallet_id=payment.wallet_id,
        )
    )
    return Verdict.applied


async def _restore(tx: Tx, payment: Payment, known: _Known) -> Verdict:
    if known.money != "taken":
        return Verdict.stale
    await tx.run(
        "UPDATE payments.dispute SET state = 'won', money = 'returned', changed_at = %(now)s WHERE id = %(id)s",
        id=known.id,
        now=tx.now,
    )
    await _move(tx, payment, reversed_amount=payment.reversed_amount - known.amount)
    tx.tell(
        PaymentRestored(
            payment_id=payment.id,
            order_id=payment.order_id,
            dispute_id=known.id,
            amount=known.amount,
            currency=payment.currency,
            restored_at=tx.now,
            purpose=payment.purpose,
            wallet_id=payment.wallet_id,
        )
    )
    return Verdict.applied


async def _move(tx: Tx, payment: Payment, *, reversed_amount: int) -> None:
    state = state_after(
        payment.taken,
        refunding=payment.refunding_amount,
        refunded=payment.refunded_amount,
        reversed_=reversed_amount,
    )
    await tx.run(
        """
        UPDATE payments.payment SET reversed_amount = %(reversed)s, state = %(state)s, changed_at = %(now)s
        WHERE id = %(id)s
        """,
        reversed=reversed_amount,
        state=state,
        id=payment.id,
        now=tx.now,
    )


async def list_disputes(tx: Tx, *, after: DisputeId | None = None, limit: int = 50) -> list[Dispute]:
    """Chargebacks, newest first."""
    return await tx.all(
        Dispute,
        """
        SELECT d.id, d.provider, d.provider_ref, d.payment_id, p.order_id, d.amount, d.currency, d.reason, d.state,
               d.money, d.evidence_until, d.evidence, d.opened_at
        FROM payments.dispute AS d JOIN payments.payment AS p ON p.id = d.payment_id
        WHERE %(after)s::uuid IS NULL OR d.id < %(after)s ORDER BY d.id DESC LIMIT %(limit)s
        """,
        after=after,
        limit=limit,
    )


async def get_dispute(tx: Tx, dispute_id: DisputeId) -> Dispute:
    """One chargeback. Absent: `NotFound`."""
    dispute = await tx.maybe(
        Dispute,
        """
        SELECT d.id, d.provider, d.provider_ref, d.payment_id, p.order_id, d.amount, d.currency, d.reason, d.state,
               d.money, d.evidence_until, d.evidence, d.opened_at
        FROM payments.dispute AS d JOIN payments.payment AS p ON p.id = d.payment_id WHERE d.id = %(id)s
        """,
        id=dispute_id,
    )
    if dispute is None:
        raise NotFound()
    return dispute


async def answer_dispute(tx: Tx, dispute_id: DisputeId, evidence: str) -> Dispute:
    """Answer a chargeback, once and inside its window; a job carries it to the provider. The same again: nothing more.

    Refuses `DisputeClosed`.
    """
    answered = await tx.run(
        """
        UPDATE payments.dispute SET state = 'answered', evidence = %(evidence)s, changed_at = %(now)s
        WHERE id = %(id)s AND state = 'open' AND (evidence_until IS NULL OR evidence_until > %(now)s)
        """,
        id=dispute_id,
        evidence=evidence,
        now=tx.now,
    )
    dispute = await get_dispute(tx, dispute_id)
    if answered:
        await jobs.defer(tx, "payments.defend", {"dispute_id": dispute_id})
    elif dispute.evidence != evidence:
        raise DisputeClosed(state=dispute.state, evidence_until=dispute.evidence_until)
    return dispute


@jobs.task("payments.defend")
async def _defend(context: jobs.Context, dispute_id: str) -> None:
    """The provider is called; one that is down makes the job fail, and jobs come again."""
    async with context.db.tx() as tx:
        dispute = await get_dispute(tx, DisputeId(UUID(dispute_id)))
    if dispute.state is not DisputeState.answered or dispute.evidence is None:
        return
    provider = open_provider(dispute.provider, db=context.db, settings=context.settings)
    try:
        await provider.defend(dispute.provider_ref, evidence=dispute.evidence)
    except ProviderRefused as refusal:
        log.error("the provider refuses our evidence", dispute_id=dispute_id, reason=refusal.reason)


