"""The sandbox's bank: a customer takes money back, evidence is heard or not, and a daily statement lists what moved.

Reads and writes the sandbox's own books alone, like `sandbox`.
"""

import csv
import io
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from uuid import UUID

import msgspec

from laotie.base import jobs
from laotie.base.db import Tx
from laotie.base.ids import AccountId, PaymentId, new_id
from laotie.base.money import Money, share
from laotie.base.refusals import Conflict, NotFound
from laotie.payments.sandbox import Message, Trouble, tell

EVIDENCE_S = 7 * 86_400
DISPUTES_MAX = 10
STATEMENT_NAME = "laotie sandbox statement"
STATEMENT_COLUMNS = ("kind", "number", "merchant_id", "amount", "fee", "currency", "moved_at")


class DisputeReason(StrEnum):
    """Why a customer wants the money back."""

    fraudulent = "fraudulent"
    not_received = "not-received"
    not_as_described = "not-as-described"
    duplicate = "duplicate"


class SandboxDispute(msgspec.Struct, frozen=True, kw_only=True):
    """A chargeback as the bank's page shows it."""

    id: UUID
    number: str
    payment_id: PaymentId
    amount: int
    currency: str
    reason: DisputeReason
    state: str
    evidence: str | None
    evidence_until: datetime


class NothingToDispute(Conflict, code="nothing-to-dispute"):
    """There is not that much left of the payment."""


class DisputeDecided(Conflict, code="dispute-decided"):
    """This chargeback is decided already."""

    state: str


async def open_dispute(
    tx: Tx,
    customer_id: AccountId,
    payment_id: PaymentId,
    dispute_id: UUID,
    *,
    reason: DisputeReason,
    amount: int | None = None,
    evidence_s: int = EVIDENCE_S,
) -> SandboxDispute:
    """The customer wants `amount`, or all that is left, back. Unanswered in time, it is lost. The same id: the same."""
    before = await _find(tx, customer_id, dispute_id)
    if before is not None:
        return before
    number = f"sbd_{new_id().hex}"
    taken = await tx.maybe(
        _Taken,
        """
        WITH rest AS (
            SELECT reference, coalesce(%(amount)s::bigint, captured_amount - refunded_amount - disputed_amount) AS amount
            FROM payments.sandbox_payment
            WHERE reference = %(id)s AND customer_id = %(customer_id)s AND state = 'approved' FOR UPDATE
        )
        UPDATE payments.sandbox_payment AS p SET disputed_amount = disputed_amount + rest.amount
        FROM rest WHERE p.reference = rest.reference AND rest.amount > 0
          AND refunded_amount + disputed_amount + rest.amount <= captured_amount
          AND (SELECT count(*) FROM payments.sandbox_dispute WHERE payment_reference = %(id)s) < %(disputes_max)s
        RETURNING rest.amount, p.currency, p.number
        """,
        amount=amount,
        id=payment_id,
        customer_id=customer_id,
        disputes_max=DISPUTES_MAX,
    )
    if taken is None:
        raise NothingToDispute()
    until = tx.now + timedelta(seconds=evidence_s)
    await tx.run(
        """
        INSERT INTO payments.sandbox_dispute
            (id, number, payment_reference, amount, reason, state, evidence_until, opened_at)
        VALUES (%(id)s, %(number)s, %(payment_id)s, %(amount)s, %(reason)s, 'open', %(until)s, %(now)s)
        """,
        id=dispute_id,
        number=number,
        payment_id=payment_id,
        amount=taken.amount,
        reason=reason,
        until=until,
        now=tx.now,
    )
    await _say(tx, "dispute.opened", payment_id, taken, number, reason=reason, until=until)
    await jobs.defer(tx, "payments.sandbox_dispute_due", {"dispute_id": dispute_id}, at=until)
    return await get_dispute(tx, customer_id, dispute_id)


class _Taken(msgspec.Struct, frozen=True):
    amount: int
    currency: str
    number: str


async def decide_dispute(tx: Tx, customer_id: AccountId, dispute_id: UUID, *, won: bool) -> SandboxDispute:
    """The bank decides for the merchant (`won`: the money goes back to it) or for its customer."""
    dispute = await get_dispute(tx, customer_id, dispute_id)
    wanted = "won" if won else "lost"
    if dispute.state in ("won", "lost"):
        if dispute.state != wanted:
            raise DisputeDecided(state=dispute.state)
        return dispute
    await _decide(tx, dispute_id, wanted)
    return await get_dispute(tx, customer_id, dispute_id)


async def list_disputes(tx: Tx, customer_id: AccountId, payment_id: PaymentId) -> list[SandboxDispute]:
    """The chargebacks of a payment, oldest first."""
    return await tx.all(
        SandboxDispute,
        """
        SELECT d.id, d.number, d.payment_reference AS payment_id, d.amount, p.currency, d.reason, d.state, d.evidence,
               d.evidence_until
        FROM payments.sandbox_dispute AS d JOIN payments.sandbox_payment AS p ON p.reference = d.payment_reference
        WHERE d.payment_reference = %(id)s AND p.customer_id = %(customer_id)s ORDER BY d.opened_at, d.id
        """,
        id=payment_id,
        customer_id=customer_id,
    )


async def get_dispute(tx: Tx, customer_id: AccountId, dispute_id: UUID) -> SandboxDispute:
    """One chargeback of that customer's; `NotFound` for anyone else."""
    dispute = await _find(tx, customer_id, dispute_id)
    if dispute is None:
        raise NotFound()
    return dispute


async def _find(tx: Tx, customer_id: AccountId, dispute_id: UUID) -> SandboxDispute | None:
    return await tx.maybe(
        SandboxDispute,
        """
        SELECT d.id, d.number, d.payment_reference AS payment_id, d.amount, p.currency, d.reason, d.state, d.evidence,
               d.evidence_until
        FROM payments.sandbox_dispute AS d JOIN payments.sandbox_payment AS p ON p.reference = d.payment_reference
        WHERE d.id = %(id)s AND p.customer_id = %(customer_id)s
        """,
        id=dispute_id,
        customer_id=customer_id,
    )


class _Decided(msgspec.Struct, frozen=True):
    payment_reference: PaymentId
    number: str
    amount: int


async def _decide(tx: Tx, dispute_id: UUID, outcome: str, *, only_open: bool = False) -> None:
    decided = await tx.maybe(
        _Decided,
        """
        UPDATE payments.sandbox_dispute SET state = %(outcome)s, decided_at = %(now)s
        WHERE id = %(id)s AND (state = 'open' OR (state = 'answered' AND NOT %(only_open)s))
        RETURNING payment_reference, number, amount
        """,
        outcome=outcome,
        id=dispute_id,
        only_open=only_open,
        now=tx.now,
    )
    if decided is None:
        return
    payment = await tx.one(
        _Taken,
        """
        UPDATE payments.sandbox_payment
        SET disputed_amount = disputed_amount - CASE WHEN %(won)s THEN %(amount)s ELSE 0 END
        WHERE reference = %(id)s RETURNING %(amount)s::bigint AS amount, currency, number
        """,
        won=outcome == "won",
        amount=decided.amount,
        id=decided.payment_reference,
    )
    await _say(tx, f"dispute.{outcome}", decided.payment_reference, payment, decided.number)


async def _say(
    tx: Tx,
    name: str,
    payment_id: PaymentId,
    payment: _Taken,
    number: str,
    *,
    reason: str = "",
    until: datetime | None = None,
) -> None:
    message = Message(
        type=name,
        payment=payment_id,
        number=payment.number,
        amount=payment.amount,
        currency=payment.currency,
        dispute=number,
        evidence_until=until,
        reason=reason,
    )
    await tell(tx, [message], Trouble.none)


@jobs.task("payments.sandbox_dispute_due")
async def _close_unanswered(context: jobs.Context, dispute_id: str) -> None:
    async with context.db.tx() as tx:
        await _decide(tx, UUID(dispute_id), "lost", only_open=True)


async def write_statement(tx: Tx, day: date) -> str:
    """What moved on a day (UTC), as the sandbox's own books say, in the form of a provider's daily file."""
    since = datetime.combine(day, time.min, UTC)
    rows = await tx.tuples(
        """
        SELECT kind, number, merchant_id, amount, fee_bps, currency, moved_at FROM (
            SELECT 'payment' AS kind, number, reference::text AS merchant_id, captured_amount AS amount, fee_bps,
                   currency, captured_at AS moved_at
            FROM payments.sandbox_payment WHERE captured_at IS NOT NULL
            UNION ALL
            SELECT 'refund', r.number, r.reference::text, -r.amount, 0, p.currency, r.made_at
            FROM payments.sandbox_refund AS r JOIN payments.sandbox_payment AS p ON p.reference = r.payment_reference
            WHERE NOT r.failed
            UNION ALL
            SELECT 'reversal', d.number, p.reference::text, -d.amount, 0, p.currency, d.opened_at
            FROM payments.sandbox_dispute AS d JOIN payments.sandbox_payment AS p ON p.reference = d.payment_reference
            UNION ALL
            SELECT 'restoration', d.number, p.reference::text, d.amount, 0, p.currency, d.decided_at
            FROM payments.sandbox_dispute AS d JOIN payments.sandbox_payment AS p ON p.reference = d.payment_reference
            WHERE d.state = 'won'
            UNION ALL
            SELECT 'release', number, reference::text, -amount, 0, currency, decided_at
            FROM payments.sandbox_transfer WHERE state = 'done'
        ) AS moved
        WHERE moved_at >= %(since)s AND moved_at < %(until)s ORDER BY moved_at, number
        """,
        since=since,
        until=since + timedelta(days=1),
    )
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([STATEMENT_NAME, day.isoformat()])
    writer.writerow(STATEMENT_COLUMNS)
    for kind, number, merchant_id, amount, fee_bps, currency, moved_at in rows:
        plain = str(Money(amount, currency)).removesuffix(f" {currency}")
        fee = str(Money(share(amount, bps=fee_bps), currency)).removesuffix(f" {currency}")
        at = moved_at.astimezone(UTC).isoformat(timespec="seconds")
        writer.writerow([kind, number, merchant_id, plain, fee, currency, at])
    writer.writerow(["lines", len(rows)])
    return file.getvalue()
