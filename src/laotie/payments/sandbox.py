"""The sandbox provider: moves no money and behaves like one that does, its faults included.

It keeps books of its own (the tables `payments.sandbox_*`, which nothing else touches), has a page on which the buyer
approves or declines, and tells what happened by signed messages over real HTTP, later and again if need be. Everything
survives a restart. Trouble can be asked for by name, or left to chance with the setting `sandbox_trouble_bps`.
"""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

import msgspec

from laotie.base.db import Database, Tx
from laotie.base.ids import AccountId, OrderId, PaymentId, new_id
from laotie.base.money import Money
from laotie.base.refusals import Conflict, IdReused, NotFound
from laotie.base.settings import Settings
from laotie.payments import sandbox_sellers, signature
from laotie.payments.model import ProviderDown, ProviderRefused
from laotie.payments.provider import (
    Applicant,
    Capability,
    Charge,
    Handed,
    Handover,
    Repaid,
    Repayment,
    Report,
    ReportKind,
    Standing,
    Started,
    Unable,
)
from laotie.payments.sandbox_post import DELIVERIES_MAX, TROUBLE_S, Message, Trouble, Word, secrets, tell


class Outcome(StrEnum):
    """What the buyer does on the approval page."""

    approve = "approve"
    decline = "decline"


class Decline(StrEnum):
    """Why a payment is declined."""

    buyer = "declined-by-buyer"
    insufficient_funds = "insufficient-funds"
    card_expired = "card-expired"
    suspected_fraud = "suspected-fraud"
    authentication_failed = "authentication-failed"
    timed_out = "timed-out"


class SandboxPayment(msgspec.Struct, frozen=True, kw_only=True):
    """A payment as the approval page shows it."""

    id: PaymentId
    number: str
    state: str
    amount: int
    currency: str
    order_id: OrderId
    description: str
    return_url: str
    captured_amount: int | None
    refunded_amount: int
    disputed_amount: int
    refund_failures: int
    decline_reason: str | None
    code: str | None
    """The second factor, as the bank's message would tell it to its customer alone."""


class CodeWrong(Conflict, code="code-wrong"):
    """That is not the code."""

    tries_left: int


class AlreadyDecided(Conflict, code="already-decided"):
    """This payment was already approved or declined."""

    state: str


KINDS = {
    "payment.processing": ReportKind.pending,
    "payment.authorised": ReportKind.authorised,
    "payment.captured": ReportKind.captured,
    "payment.declined": ReportKind.failed,
    "refund.succeeded": ReportKind.refunded,
    "refund.failed": ReportKind.refund_failed,
    "dispute.opened": ReportKind.reversed,
    "dispute.won": ReportKind.restored,
    "dispute.lost": ReportKind.lost,
}
WORDS = {
    "account.updated": ReportKind.seller,
    "transfer.succeeded": ReportKind.released,
    "transfer.failed": ReportKind.release_failed,
}

STANDS = {"authorised": "payment.authorised", "approved": "payment.captured", "declined": "payment.declined"}
"""Which message tells of a payment that stands so."""
CODE_TRIES_MAX = 3
REFUND_FAILURE = "card-closed"


class Sandbox(Unable):
    """The adapter: what the house calls. Approval captures at once, unless it was asked to keep the money ready."""

    name = "sandbox"
    can = frozenset(
        {
            Capability.authorise,
            Capability.capture,
            Capability.partial_capture,
            Capability.refund,
            Capability.partial_refund,
            Capability.dispute,
            Capability.onboard,
            Capability.split,
            Capability.release,
            Capability.look_up,
        }
    )

    def __init__(self, db: Database, settings: Settings) -> None:
        self._db = db
        self._settings = settings

    async def authorise(self, charge: Charge) -> Started:
        async with self._db.tx() as tx:
            await _check_up(tx)
            number = await _open(tx, charge, fee_bps=self._settings.sandbox_fee_bps)
        return Started(number, f"/sandbox-pay/{charge.payment_id}")

    async def capture(self, payment_id: PaymentId, provider_ref: str, *, money: Money) -> None:
        async with self._db.tx() as tx:
            await _check_up(tx)
            await _take(tx, payment_id, provider_ref, money)

    async def refund(self, repayment: Repayment) -> Repaid:
        async with self._db.tx() as tx:
            await _check_up(tx)
            return Repaid(await _give_back(tx, repayment, self._settings))

    async def defend(self, dispute_ref: str, *, evidence: str) -> None:
        async with self._db.tx() as tx:
            await _check_up(tx)
            answered = await tx.run(
                """
                UPDATE payments.sandbox_dispute SET state = 'answered', evidence = %(evidence)s
                WHERE number = %(number)s AND state IN ('open', 'answered') AND evidence_until > %(now)s
                """,
                evidence=evidence,
                number=dispute_ref,
                now=tx.now,
            )
        if not answered:
            raise ProviderRefused(reason="the time for evidence is over")

    async def onboard(self, applicant: Applicant) -> str:
        async with self._db.tx() as tx:
            await _check_up(tx)
            return await sandbox_sellers.open_account(tx, applicant)

    async def link(self, seller_ref: str, *, return_url: str) -> str | None:
        async with self._db.read() as tx:
            account = await sandbox_sellers.find_by_number(tx, seller_ref)
        return f"/sandbox-account/{account.id}" if account is not None else None

    async def find_seller(self, seller_ref: str) -> Standing:
        async with self._db.read() as tx:
            await _check_up(tx)
            account = await sandbox_sellers.find_by_number(tx, seller_ref)
        if account is None:
            raise ProviderRefused(reason="there is no such account")
        return Standing(account.state, account.reason)

    async def release(self, handover: Handover) -> Handed:
        async with self._db.tx() as tx:
            await _check_up(tx)
            return Handed(await sandbox_sellers.transfer(tx, handover))

    async def find_payment(self, payment_id: PaymentId, provider_ref: str) -> Report | None:
        """As the message would have said it that tells how the payment stands."""
        async with self._db.read() as tx:
            await _check_up(tx)
            row = await tx.maybe(
                _Stand,
                """
                SELECT reference, number, amount, currency, state, captured_amount, trouble, delay_s, decline_reason
                FROM payments.sandbox_payment WHERE reference = %(id)s AND number = %(number)s
                """,
                id=payment_id,
                number=provider_ref,
            )
        if row is None or row.state not in STANDS:
            return None
        name = STANDS[row.state]
        return _report(f"asked:{payment_id}:{row.state}", _message(name, row, reason=row.decline_reason or ""))

    async def find_refund(self, repayment: Repayment, provider_ref: str) -> Report | None:
        async with self._db.read() as tx:
            await _check_up(tx)
            failed = await tx.maybe(
                bool,
                "SELECT failed FROM payments.sandbox_refund WHERE reference = %(id)s AND attempt = %(attempt)s",
                id=repayment.refund_id,
                attempt=repayment.attempt,
            )
        if failed is None:
            return None
        return _report(f"asked:{repayment.refund_id}:{repayment.attempt}", _refund_message(repayment, failed=failed))

    async def find_release(self, handover: Handover) -> Report | None:
        async with self._db.read() as tx:
            await _check_up(tx)
            word = await sandbox_sellers.find_word(tx, handover.release_id)
        return _report_word(f"asked:{handover.release_id}", word.type, word) if word is not None else None

    def parse_webhook(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> Report:
        event_id = signature.verify(secrets(self._settings), headers, body, now=now)
        try:
            name = msgspec.json.decode(body, type=_Named).type
            if name in WORDS:
                return _report_word(event_id, name, msgspec.json.decode(body, type=Word))
            if name not in KINDS:
                return Report(event_id=event_id, kind=ReportKind.other, name=name)
            message = msgspec.json.decode(body, type=Message)
        except msgspec.MsgspecError:
            return Report(event_id=event_id, kind=ReportKind.other, name="unreadable")
        return _report(event_id, message)


def _report(event_id: str, message: Message) -> Report:
    return Report(
        event_id=event_id,
        kind=KINDS[message.type],
        name=message.type,
        payment_id=message.payment,
        provider_ref=message.number,
        refund_id=message.refund,
        refund_attempt=message.attempt,
        dispute_ref=message.dispute,
        evidence_until=message.evidence_until,
        money=Money(message.amount, message.currency),
        reason=message.reason,
    )


def _report_word(event_id: str, name: str, word: Word) -> Report:
    return Report(
        event_id=event_id,
        kind=WORDS[name],
        name=name,
        seller_ref=word.account,
        release_id=word.release,
        provider_ref=word.number or None,
        money=Money(word.amount, word.currency) if word.currency else None,
        reason=word.reason,
    )


class _Named(msgspec.Struct, frozen=True):
    type: str


async def get_payment(tx: Tx, customer_id: AccountId, payment_id: PaymentId) -> SandboxPayment:
    """What the approval page shows its customer; `NotFound` for anyone else."""
    payment = await tx.maybe(
        SandboxPayment,
        """
        SELECT reference AS id, number, state, amount, currency, order_id, description, return_url, captured_amount,
               refunded_amount, disputed_amount, refund_failures, decline_reason,
               CASE WHEN state = 'challenged' THEN code END AS code
        FROM payments.sandbox_payment WHERE reference = %(id)s AND customer_id = %(customer_id)s
        """,
        id=payment_id,
        customer_id=customer_id,
    )
    if payment is None:
        raise NotFound()
    return payment


async def decide(
    tx: Tx,
    settings: Settings,
    customer_id: AccountId,
    payment_id: PaymentId,
    *,
    outcome: Outcome,
    trouble: Trouble | None = None,
    reason: Decline = Decline.buyer,
    second_factor: bool = False,
    part_amount: int | None = None,
    refund_failures: int = 0,
    delay_s: int = 0,
) -> SandboxPayment:
    """The customer approves or declines, once; the messages follow by jobs, with the trouble that is asked for.

    `second_factor`: an approval waits for `enter_code`. `part_amount`: no more than that is captured.
    `refund_failures`: as many refunds cannot be paid out. `delay_s`: all messages come that much later.
    """
    before = await get_payment(tx, customer_id, payment_id)
    if part_amount is not None and part_amount >= before.amount:
        part_amount = None
    fresh = await tx.run(
        """
        UPDATE payments.sandbox_payment
        SET trouble = %(trouble)s, delay_s = %(delay_s)s, part_amount = %(part)s, refund_failures = %(failures)s,
            state = CASE WHEN %(challenged)s THEN 'challenged' ELSE state END, code = %(code)s
        WHERE reference = %(id)s AND customer_id = %(customer_id)s AND state = 'open'
        """,
        trouble=_chance(payment_id, settings.sandbox_trouble_bps) if trouble is None else trouble,
        delay_s=delay_s,
        part=part_amount,
        failures=refund_failures,
        challenged=second_factor and outcome is Outcome.approve,
        code=_code(payment_id, settings) if second_factor else None,
        id=payment_id,
        customer_id=customer_id,
    )
    if not fresh:
        payment = await get_payment(tx, customer_id, payment_id)
        if (payment.state == "declined") != (outcome is Outcome.decline):
            raise AlreadyDecided(state=payment.state)
        return payment
    if outcome is Outcome.decline:
        await _decline(tx, payment_id, reason)
    elif not second_factor:
        await _agree(tx, payment_id)
    return await get_payment(tx, customer_id, payment_id)


async def enter_code(tx: Tx, customer_id: AccountId, payment_id: PaymentId, code: str) -> int | None:
    """The second factor. `None`: it was right, and what was approved goes on. Else how many tries are left; none: declined.

    Returns instead of refusing, so that a wrong try is counted. Refuses `AlreadyDecided`.
    """
    row = await tx.maybe(
        _Challenge,
        """
        UPDATE payments.sandbox_payment SET code_tries = code_tries + 1
        WHERE reference = %(id)s AND customer_id = %(customer_id)s AND state = 'challenged' RETURNING code, code_tries
        """,
        id=payment_id,
        customer_id=customer_id,
    )
    if row is None:
        raise AlreadyDecided(state=(await get_payment(tx, customer_id, payment_id)).state)
    if hmac.compare_digest(row.code.encode(), code.encode()):
        await _agree(tx, payment_id)
        return None
    if row.code_tries >= CODE_TRIES_MAX:
        await _decline(tx, payment_id, Decline.authentication_failed)
    return max(0, CODE_TRIES_MAX - row.code_tries)


class _Challenge(msgspec.Struct, frozen=True):
    code: str
    code_tries: int


class _Row(msgspec.Struct, frozen=True):
    """What a payment's messages need to know."""

    reference: PaymentId
    number: str
    amount: int
    currency: str
    state: str
    captured_amount: int | None
    trouble: Trouble
    delay_s: int


class _Stand(_Row, frozen=True):
    decline_reason: str | None


async def _decline(tx: Tx, payment_id: PaymentId, reason: Decline) -> None:
    row = await tx.one(
        _Row,
        """
        UPDATE payments.sandbox_payment SET state = 'declined', decided_at = %(now)s, decline_reason = %(reason)s
        WHERE reference = %(id)s
        RETURNING reference, number, amount, currency, state, captured_amount, trouble, delay_s
        """,
        id=payment_id,
        reason=reason,
        now=tx.now,
    )
    await tell(tx, [_message("payment.declined", row, reason=reason)], row.trouble, delay_s=row.delay_s)


async def _agree(tx: Tx, payment_id: PaymentId) -> None:
    """Approved: captured at once, or kept ready."""
    row = await tx.one(
        _Row,
        """
        UPDATE payments.sandbox_payment
        SET state = CASE WHEN captures_later THEN 'authorised' ELSE 'approved' END, decided_at = %(now)s,
            captured_at = CASE WHEN captures_later THEN NULL ELSE %(now)s::timestamptz END,
            captured_amount = CASE WHEN captures_later THEN NULL ELSE coalesce(part_amount, amount) END
        WHERE reference = %(id)s
        RETURNING reference, number, amount, currency, state, captured_amount, trouble, delay_s
        """,
        id=payment_id,
        now=tx.now,
    )
    last = "payment.authorised" if row.state == "authorised" else "payment.captured"
    await tell(tx, [_message("payment.processing", row), _message(last, row)], row.trouble, delay_s=row.delay_s)


async def _take(tx: Tx, payment_id: PaymentId, number: str, money: Money) -> None:
    """Capture what is kept ready, once; no more than the customer's bank gives."""
    row = await tx.maybe(
        _Row,
        """
        UPDATE payments.sandbox_payment
        SET state = 'approved', captured_at = %(now)s, captured_amount = least(%(amount)s, part_amount, amount)
        WHERE reference = %(id)s AND number = %(number)s AND state = 'authorised' AND currency = %(currency)s
        RETURNING reference, number, amount, currency, state, captured_amount, trouble, delay_s
        """,
        id=payment_id,
        number=number,
        amount=money.amount,
        currency=money.currency,
        now=tx.now,
    )
    if row is not None:
        await tell(tx, [_message("payment.captured", row)], row.trouble)
    elif not await tx.maybe(
        int, "SELECT 1 FROM payments.sandbox_payment WHERE reference = %(id)s AND state = 'approved'", id=payment_id
    ):
        raise ProviderRefused(reason="there is nothing to capture")


def _message(name: str, row: _Row, *, reason: str = "") -> Message:
    captured = row.captured_amount if name == "payment.captured" else None
    return Message(
        type=name,
        payment=row.reference,
        number=row.number,
        amount=row.amount if captured is None else captured,
        currency=row.currency,
        reason=reason,
    )


def _code(payment_id: PaymentId, settings: Settings) -> str:
    digest = hmac.new(secrets(settings)[0], b"code" + payment_id.bytes, hashlib.sha256).digest()
    return f"{int.from_bytes(digest[:8], 'big') % 1_000_000:06d}"


async def break_down(tx: Tx, *, until: datetime) -> None:
    """Be unreachable for the merchant until then (tests, and whoever wants to see what happens)."""
    await tx.run(
        """
        INSERT INTO payments.sandbox_outage (down_until) VALUES (%(until)s)
        ON CONFLICT (id) DO UPDATE SET down_until = excluded.down_until
        """,
        until=until,
    )


async def _check_up(tx: Tx) -> None:
    if await tx.maybe(int, "SELECT 1 FROM payments.sandbox_outage WHERE down_until > %(now)s", now=tx.now):
        raise ProviderDown(provider="sandbox")


async def _open(tx: Tx, charge: Charge, *, fee_bps: int) -> str:
    """A payment in the sandbox's books; the merchant's id is the idempotency key."""
    await tx.run(
        """
        INSERT INTO payments.sandbox_payment
            (reference, number, customer_id, order_id, amount, currency, description, return_url, state, made_at,
             captures_later, fee_bps)
        VALUES (%(reference)s, %(number)s, %(customer_id)s, %(order_id)s, %(amount)s, %(currency)s, %(description)s,
                %(return_url)s, 'open', %(now)s, %(captures_later)s, %(fee_bps)s)
        ON CONFLICT (reference) DO NOTHING
        """,
        reference=charge.payment_id,
        number=f"sbp_{new_id().hex}",
        customer_id=charge.buyer_id,
        order_id=charge.order_id,
        amount=charge.money.amount,
        currency=charge.money.currency,
        description=f"Order {charge.order_id}",
        return_url=charge.return_url,
        captures_later=not charge.capture,
        fee_bps=fee_bps,
        now=tx.now,
    )
    payment = await get_payment(tx, charge.buyer_id, charge.payment_id)
    if (payment.amount, payment.currency) != (charge.money.amount, charge.money.currency):
        raise IdReused()
    return payment.number


async def _give_back(tx: Tx, repayment: Repayment, settings: Settings) -> str:
    """A refund in the sandbox's books, and its message; the merchant's id and attempt are the idempotency key."""
    known = await tx.maybe(
        str,
        "SELECT number FROM payments.sandbox_refund WHERE reference = %(id)s AND attempt = %(attempt)s",
        id=repayment.refund_id,
        attempt=repayment.attempt,
    )
    if known is not None:
        return known
    fails = await tx.maybe(
        bool,
        """
        SELECT refund_failures > 0 FROM payments.sandbox_payment
        WHERE number = %(number)s AND reference = %(id)s FOR UPDATE
        """,
        number=repayment.provider_ref,
        id=repayment.payment_id,
    )
    if fails is None:
        raise ProviderRefused(reason="there is no such payment")
    taken = await tx.run(
        """
        UPDATE payments.sandbox_payment
        SET refunded_amount = refunded_amount + CASE WHEN %(fails)s THEN 0 ELSE %(amount)s END,
            refund_failures = refund_failures - %(fails)s::integer
        WHERE reference = %(payment_id)s AND state = 'approved' AND currency = %(currency)s
          AND refunded_amount + disputed_amount + %(amount)s <= captured_amount
        """,
        fails=fails,
        amount=repayment.money.amount,
        currency=repayment.money.currency,
        payment_id=repayment.payment_id,
    )
    if not taken:
        raise ProviderRefused(reason="more than what was paid")
    number = f"sbr_{new_id().hex}"
    await tx.run(
        """
        INSERT INTO payments.sandbox_refund (reference, attempt, number, payment_reference, amount, failed, made_at)
        VALUES (%(reference)s, %(attempt)s, %(number)s, %(payment_id)s, %(amount)s, %(failed)s, %(now)s)
        """,
        reference=repayment.refund_id,
        attempt=repayment.attempt,
        number=number,
        payment_id=repayment.payment_id,
        amount=repayment.money.amount,
        failed=fails,
        now=tx.now,
    )
    message = _refund_message(repayment, failed=fails)
    await tell(tx, [message], _chance(repayment.payment_id, settings.sandbox_trouble_bps))
    return number


def _refund_message(repayment: Repayment, *, failed: bool) -> Message:
    return Message(
        type="refund.failed" if failed else "refund.succeeded",
        payment=repayment.payment_id,
        number=repayment.provider_ref,
        amount=repayment.money.amount,
        currency=repayment.money.currency,
        refund=repayment.refund_id,
        attempt=repayment.attempt,
        reason=REFUND_FAILURE if failed else "",
    )


def _chance(payment_id: PaymentId, trouble_bps: int) -> Trouble:
    """Trouble by the payment's id, so that a repetition has the same luck."""
    number = int.from_bytes(hashlib.blake2b(payment_id.bytes, digest_size=8).digest(), "big")
    if number % 10_000 >= trouble_bps:
        return Trouble.none
    kinds = [Trouble.delay, Trouble.duplicate, Trouble.reorder, Trouble.lost]
    return kinds[number // 10_000 % len(kinds)]


__all__ = [
    "DELIVERIES_MAX",
    "TROUBLE_S",
    "AlreadyDecided",
    "CodeWrong",
    "Decline",
    "Message",
    "Outcome",
    "Sandbox",
    "SandboxPayment",
    "Trouble",
    "break_down",
    "decide",
    "enter_code",
    "get_payment",
    "tell",
]
