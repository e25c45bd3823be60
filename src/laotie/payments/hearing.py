"""Hearing a provider: each message takes effect once, whenever and in whatever order it comes.

The message is kept as it came; its id makes a repetition a no-op, the table `model.MOVES` makes old news one. Sums are
compared, never taken over: what differs from what we asked for is written down as a discrepancy and moves nothing.
"""

from collections.abc import Mapping

import msgspec

from laotie.base.db import Database, Tx
from laotie.base.ids import PaymentId, new_id
from laotie.base.logs import log
from laotie.base.money import Money
from laotie.base.settings import Settings
from laotie.events.payments import PaymentCaptured, PaymentFailed, PaymentRefunded
from laotie.payments.model import Payment, PaymentState, RefundState, Verdict, may_move, state_after_refunds
from laotie.payments.provider import Report, ReportKind
from laotie.payments.providers import open_provider


class _Refund(msgspec.Struct, frozen=True):
    amount: int
    reason: str
    state: RefundState


async def hear(
    db: Database, settings: Settings, *, provider: str, headers: Mapping[str, str], body: bytes
) -> Verdict:
    """Check, keep and apply one message of a provider; returns once it is durable.

    Refuses with `SignatureRefused` or `NoSuchProvider`. Header names are in lower case.
    """
    report = open_provider(provider, db=db, settings=settings).parse_webhook(headers, body, now=db.clock.now())
    async with db.tx() as tx:
        verdict = await take_in(tx, provider, report, body)
    log.info("webhook", provider=provider, event_id=report.event_id, kind=report.name, verdict=verdict)
    return verdict


async def take_in(tx: Tx, provider: str, report: Report, body: bytes) -> Verdict:
    """Apply a checked message, once. Locks the payment; tells what changed."""
    fresh = await tx.run(
        """
        INSERT INTO payments.webhook_inbox (provider, event_id, kind, payment_id, verdict, body, heard_at)
        VALUES (%(provider)s, %(event_id)s, %(kind)s, %(payment_id)s, 'applied', %(body)s, %(now)s)
        ON CONFLICT (provider, event_id) DO NOTHING
        """,
        provider=provider,
        event_id=report.event_id,
        kind=report.name[:100],
        payment_id=report.payment_id,
        body=body,
        now=tx.now,
    )
    if not fresh:
        return Verdict.repeated
    verdict = await _apply(tx, provider, report)
    if verdict is not Verdict.applied:
        await tx.run(
            """
            UPDATE payments.webhook_inbox SET verdict = %(verdict)s
            WHERE provider = %(provider)s AND event_id = %(event_id)s
            """,
            verdict=verdict,
            provider=provider,
            event_id=report.event_id,
        )
    return verdict


async def _apply(tx: Tx, provider: str, report: Report) -> Verdict:
    if report.kind is ReportKind.other:
        return Verdict.not_understood
    payment = await _lock(tx, provider, report.payment_id)
    if payment is None:
        return await _differ(tx, provider, report, expected="a payment of ours", found=str(report.payment_id))
    if payment.provider_ref is not None and report.provider_ref not in (None, payment.provider_ref):
        return await _differ(tx, provider, report, expected=payment.provider_ref, found=str(report.provider_ref))
    if report.kind in (ReportKind.refunded, ReportKind.refund_failed):
        return await _settle_refund(tx, payment, report)
    if report.kind is ReportKind.captured and report.money != Money(payment.amount, payment.currency):
        expected = str(Money(payment.amount, payment.currency))
        return await _differ(tx, provider, report, expected=expected, found=str(report.money))
    state = PaymentState(report.kind)
    if not may_move(payment.state, state):
        return Verdict.stale
    await _move(tx, payment, state, report)
    return Verdict.applied


async def _lock(tx: Tx, provider: str, payment_id: PaymentId | None) -> Payment | None:
    return await tx.maybe(
        Payment,
        """
        SELECT id, order_id, buyer_id, provider, provider_ref, amount, currency, state, next_url, failure,
               refunding_amount, refunded_amount, created_at, captured_at, purpose, wallet_id
        FROM payments.payment WHERE id = %(id)s AND provider = %(provider)s FOR UPDATE
        """,
        id=payment_id,
        provider=provider,
    )


async def _move(tx: Tx, payment: Payment, state: PaymentState, report: Report) -> None:
    await tx.run(
        """
        UPDATE payments.payment
        SET state = %(state)s, failure = %(failure)s, provider_ref = coalesce(provider_ref, %(provider_ref)s),
            captured_at = CASE WHEN %(state)s = 'captured' THEN %(now)s::timestamptz END, changed_at = %(now)s
        WHERE id = %(id)s
        """,
        id=payment.id,
        state=state,
        failure=report.reason[:200] if state is PaymentState.failed else None,
        provider_ref=report.provider_ref,
        now=tx.now,
    )
    if state is PaymentState.captured:
        tx.tell(
            PaymentCaptured(
                payment_id=payment.id,
                order_id=payment.order_id,
                amount=payment.amount,
                currency=payment.currency,
                captured_at=tx.now,
                purpose=payment.purpose,
                wallet_id=payment.wallet_id,
            )
        )
    elif state is PaymentState.failed:
        tx.tell(PaymentFailed(payment_id=payment.id, order_id=payment.order_id, reason=report.reason[:200]))


async def _settle_refund(tx: Tx, payment: Payment, report: Report) -> Verdict:
    refund = await tx.maybe(
        _Refund,
        """
        SELECT amount, reason, state FROM payments.refund
        WHERE id = %(id)s AND payment_id = %(payment_id)s FOR UPDATE
        """,
        id=report.refund_id,
        payment_id=payment.id,
    )
    if refund is None:
        return await _differ(tx, payment.provider, report, expected="a refund of ours", found=str(report.refund_id))
    if report.money != Money(refund.amount, payment.currency):
        expected = str(Money(refund.amount, payment.currency))
        return await _differ(tx, payment.provider, report, expected=expected, found=str(report.money))
    if refund.state in (RefundState.done, RefundState.failed):
        return Verdict.stale
    done = report.kind is ReportKind.refunded
    refunding = payment.refunding_amount - refund.amount
    refunded = payment.refunded_amount + (refund.amount if done else 0)
    state = state_after_refunds(payment.amount, refunding=refunding, refunded=refunded)
    await tx.run(
        """
        WITH settled AS (
            UPDATE payments.refund SET state = %(refund_state)s, settled_at = %(now)s WHERE id = %(refund_id)s
        )
        UPDATE payments.payment SET refunding_amount = %(refunding)s, refunded_amount = %(refunded)s,
            state = %(state)s, changed_at = %(now)s
        WHERE id = %(id)s
        """,
        refund_state=RefundState.done if done else RefundState.failed,
        refund_id=report.refund_id,
        refunding=refunding,
        refunded=refunded,
        state=state,
        id=payment.id,
        now=tx.now,
    )
    if not done:
        return await _differ(tx, payment.provider, report, expected="the refund is paid", found=report.reason)
    assert report.refund_id is not None
    tx.tell(
        PaymentRefunded(
            payment_id=payment.id,
            order_id=payment.order_id,
            refund_id=report.refund_id,
            amount=refund.amount,
            currency=payment.currency,
            reason=refund.reason,
            whole=state is PaymentState.refunded,
            refunded_at=tx.now,
        )
    )
    return Verdict.applied


async def _differ(tx: Tx, provider: str, report: Report, *, expected: str, found: str) -> Verdict:
    log.error("a provider's message differs from our books", event_id=report.event_id, expected=expected, found=found)
    await tx.run(
        """
        INSERT INTO payments.discrepancy (id, provider, event_id, kind, payment_id, expected, found, found_at)
        VALUES (%(id)s, %(provider)s, %(event_id)s, %(kind)s, %(payment_id)s, %(expected)s, %(found)s, %(now)s)
        """,
        id=new_id(),
        provider=provider,
        event_id=report.event_id,
        kind=report.name[:100],
        payment_id=report.payment_id,
        expected=expected[:200],
        found=found[:200],
        now=tx.now,
    )
    return Verdict.discrepancy
