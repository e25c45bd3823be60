"""Hearing a provider: each message takes effect once, whenever and in whatever order it comes.

The message is kept as it came; its id makes a repetition a no-op, the table `model.MOVES` makes old news one. One that
comes before the message it follows (a chargeback before the capture) waits, and is applied when that is here. Sums are
compared: a capture may be of less than was asked for and says so; whatever else differs is written down as a
discrepancy and moves nothing.
"""

from collections.abc import Mapping
from datetime import timedelta

import msgspec
from psycopg.types.json import Jsonb

from laotie.base import jobs
from laotie.base.db import Database, Tx
from laotie.base.ids import OrderId, new_id
from laotie.base.logs import log
from laotie.base.money import Money
from laotie.base.settings import Settings
from laotie.events.payments import PaymentCaptured, PaymentFailed, PaymentRefunded
from laotie.payments import disputes, releases, sellers
from laotie.payments.model import (
    REFUND_FAILURES_MAX,
    Payment,
    PaymentState,
    RefundState,
    Verdict,
    is_partial,
    may_move,
    pause_s,
    state_after,
)
from laotie.payments.provider import Report, ReportKind
from laotie.payments.providers import open_provider

REFUND_PAUSE = 6
"""The first new attempt at a refund that failed comes after 2^6 seconds."""


class _Refund(msgspec.Struct, frozen=True):
    amount: int
    reason: str
    state: RefundState
    order_id: OrderId | None
    failures: int


class _Waiting(msgspec.Struct, frozen=True):
    """A message that came too early."""

    event_id: str
    report: Report


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
        INSERT INTO payments.webhook_inbox (provider, event_id, kind, payment_id, charge_ref, verdict, body, heard_at)
        VALUES (%(provider)s, %(event_id)s, %(kind)s, %(payment_id)s, %(charge_ref)s, 'applied', %(body)s, %(now)s)
        ON CONFLICT (provider, event_id) DO NOTHING
        """,
        provider=provider,
        event_id=report.event_id,
        kind=report.name[:100],
        payment_id=report.payment_id,
        charge_ref=report.charge_ref,
        body=body,
        now=tx.now,
    )
    if not fresh:
        return Verdict.repeated
    verdict = await _apply(tx, provider, report)
    if verdict is not Verdict.applied:
        await _note(tx, provider, report, verdict)
    elif report.payment_id is not None or report.charge_ref is not None:
        await _catch_up(tx, provider, report)
    return verdict


async def _note(tx: Tx, provider: str, report: Report, verdict: Verdict) -> None:
    await tx.run(
        """
        UPDATE payments.webhook_inbox SET verdict = %(verdict)s, report = %(report)s
        WHERE provider = %(provider)s AND event_id = %(event_id)s
        """,
        verdict=verdict,
        report=Jsonb(report) if verdict is Verdict.early else None,
        provider=provider,
        event_id=report.event_id,
    )


async def _catch_up(tx: Tx, provider: str, heard: Report) -> None:
    """Apply what came too early, in the order in which it came, until nothing fits any more."""
    payment = await _lock(tx, provider, heard)
    moved = payment is not None
    while moved and payment is not None:
        moved = False
        for one in await tx.all(
            _Waiting,
            """
            SELECT event_id, report FROM payments.webhook_inbox
            WHERE provider = %(provider)s AND verdict = 'early'
              AND (payment_id = %(payment_id)s OR charge_ref = %(charge_ref)s)
            ORDER BY heard_at, event_id
            """,
            provider=provider,
            payment_id=payment.id,
            charge_ref=payment.charge_ref,
        ):
            verdict = await _apply(tx, provider, one.report)
            if verdict is not Verdict.early:
                await _note(tx, provider, one.report, verdict)
                moved = moved or verdict is Verdict.applied


async def _apply(tx: Tx, provider: str, report: Report) -> Verdict:
    if report.kind is ReportKind.other:
        return Verdict.not_understood
    if report.kind is ReportKind.seller:
        known = report.seller_ref is not None and await sellers.hear(tx, provider, report.seller_ref)
        return Verdict.applied if known else Verdict.not_understood
    if report.kind in (ReportKind.released, ReportKind.release_failed):
        verdict = await releases.take_in(tx, provider, report)
        if verdict is Verdict.discrepancy:
            return await _differ(tx, provider, report, expected="a release of ours", found=str(report.money))
        return verdict
    payment = await _lock(tx, provider, report)
    if payment is None and report.payment_id is None and report.charge_ref is not None:
        return Verdict.early
    if payment is None:
        return await _differ(tx, provider, report, expected="a payment of ours", found=str(report.payment_id))
    if payment.provider_ref is not None and report.provider_ref not in (None, payment.provider_ref):
        return await _differ(tx, provider, report, expected=payment.provider_ref, found=str(report.provider_ref))
    if payment.charge_ref is not None and report.charge_ref not in (None, payment.charge_ref):
        return await _differ(tx, provider, report, expected=payment.charge_ref, found=str(report.charge_ref))
    if report.kind in (ReportKind.refunded, ReportKind.refund_failed):
        return await _settle_refund(tx, payment, report)
    if report.kind in (ReportKind.reversed, ReportKind.restored, ReportKind.lost):
        verdict = await disputes.take_in(tx, payment, report)
        if verdict is Verdict.discrepancy:
            return await _differ(tx, provider, report, expected="what is left of the payment", found=str(report.money))
        return verdict
    asked = Money(payment.amount, payment.currency)
    whole = report.money == asked or (report.kind is ReportKind.captured and is_partial(asked, report.money))
    if report.kind in (ReportKind.captured, ReportKind.authorised) and not whole:
        return await _differ(tx, provider, report, expected=str(asked), found=str(report.money))
    state = PaymentState(report.kind)
    if payment.captured_at is not None or not may_move(payment.state, state):  # told anew, also after it was taken back
        return Verdict.stale
    await _move(tx, payment, state, report)
    return Verdict.applied


async def _lock(tx: Tx, provider: str, report: Report) -> Payment | None:
    return await tx.maybe(
        Payment,
        """
        SELECT id, order_id, buyer_id, provider, provider_ref, amount, currency, state, next_url, failure,
               refunding_amount, refunded_amount, created_at, captured_at, purpose, wallet_id, captured_amount,
               reversed_amount, charge_ref, next_kind
        FROM payments.payment
        WHERE provider = %(provider)s
          AND (id = %(id)s OR (%(id)s::uuid IS NULL AND charge_ref = %(charge_ref)s))
        FOR UPDATE
        """,
        id=report.payment_id,
        charge_ref=report.charge_ref,
        provider=provider,
    )


async def _move(tx: Tx, payment: Payment, state: PaymentState, report: Report) -> None:
    captured = report.money if state is PaymentState.captured else None
    await tx.run(
        """
        UPDATE payments.payment
        SET state = %(state)s, failure = %(failure)s, provider_ref = coalesce(provider_ref, %(provider_ref)s),
            charge_ref = coalesce(charge_ref, %(charge_ref)s), attempts = 0,
            captured_amount = nullif(%(captured)s::bigint, amount),
            captured_at = CASE WHEN %(state)s = 'captured' THEN %(now)s::timestamptz END, changed_at = %(now)s
        WHERE id = %(id)s
        """,
        id=payment.id,
        state=state,
        failure=report.reason[:200] if state is PaymentState.failed else None,
        provider_ref=report.provider_ref,
        charge_ref=report.charge_ref,
        captured=captured.amount if captured is not None else None,
        now=tx.now,
    )
    if captured is not None:
        tx.tell(
            PaymentCaptured(
                payment_id=payment.id,
                order_id=payment.order_id,
                amount=captured.amount,
                currency=payment.currency,
                captured_at=tx.now,
                purpose=payment.purpose,
                wallet_id=payment.wallet_id,
            )
        )
    elif state is PaymentState.authorised:
        await jobs.defer(tx, "payments.capture", {"payment_id": payment.id})
    elif state is PaymentState.failed:
        tx.tell(PaymentFailed(payment_id=payment.id, order_id=payment.order_id, reason=report.reason[:200]))


async def _settle_refund(tx: Tx, payment: Payment, report: Report) -> Verdict:
    refund = await tx.maybe(
        _Refund,
        """
        SELECT amount, reason, state, order_id, failures FROM payments.refund
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
    if refund.state is RefundState.done and report.kind is ReportKind.refunded:
        return Verdict.stale
    if report.kind is ReportKind.refund_failed:
        return await _note_failure(tx, payment, refund, report)
    refunding = payment.refunding_amount - refund.amount
    refunded = payment.refunded_amount + refund.amount
    state = state_after(payment.taken, refunding=refunding, refunded=refunded, reversed_=payment.reversed_amount)
    await tx.run(
        """
        WITH settled AS (
            UPDATE payments.refund SET state = 'done', settled_at = %(now)s WHERE id = %(refund_id)s
        )
        UPDATE payments.payment SET refunding_amount = %(refunding)s, refunded_amount = %(refunded)s,
            state = %(state)s, changed_at = %(now)s
        WHERE id = %(id)s
        """,
        refund_id=report.refund_id,
        refunding=refunding,
        refunded=refunded,
        state=state,
        id=payment.id,
        now=tx.now,
    )
    assert report.refund_id is not None
    tx.tell(
        PaymentRefunded(
            payment_id=payment.id,
            order_id=refund.order_id or payment.order_id,
            refund_id=report.refund_id,
            amount=refund.amount,
            currency=payment.currency,
            reason=refund.reason,
            whole=state is PaymentState.refunded,
            refunded_at=tx.now,
        )
    )
    return Verdict.applied


async def _note_failure(tx: Tx, payment: Payment, refund: _Refund, report: Report) -> Verdict:
    """The provider could not pay it out. The money is still owed: another attempt, or in the end a person's case."""
    if refund.state is RefundState.failed or report.refund_attempt not in (None, refund.failures):
        return Verdict.stale
    if refund.state is RefundState.done:
        return await _differ(tx, payment.provider, report, expected="the refund stays paid", found=report.reason)
    failures = refund.failures + 1
    given_up = failures >= REFUND_FAILURES_MAX
    await tx.run(
        """
        UPDATE payments.refund SET state = %(state)s, failures = %(failures)s, failure = %(failure)s WHERE id = %(id)s
        """,
        state=RefundState.failed if given_up else RefundState.asked,
        failures=failures,
        failure=report.reason[:200],
        id=report.refund_id,
    )
    if given_up:
        return await _differ(tx, payment.provider, report, expected="the refund is paid", found=report.reason)
    later = tx.now + timedelta(seconds=pause_s(REFUND_PAUSE + failures))
    await jobs.defer(tx, "payments.refund", {"refund_id": report.refund_id}, at=later)
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
