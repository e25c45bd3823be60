"""The sandbox provider: moves no money and behaves like one that does, its faults included.

It keeps books of its own (the tables `payments.sandbox_*`, which nothing else touches), has a page on which the buyer
approves or declines, and tells what happened by signed messages over real HTTP, later and again if need be. Everything
survives a restart. Trouble can be asked for by name, or left to chance with the setting `sandbox_trouble_bps`.
"""

import hashlib
import hmac
import ssl
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from uuid import UUID

import httpx
import msgspec

from laotie.base import jobs
from laotie.base.db import Database, Tx
from laotie.base.ids import AccountId, OrderId, PaymentId, new_id
from laotie.base.logs import log
from laotie.base.money import Money
from laotie.base.refusals import Conflict, IdReused, NotFound
from laotie.base.settings import Settings
from laotie.payments import signature
from laotie.payments.model import ProviderDown, ProviderRefused, RefundId, pause_s
from laotie.payments.provider import Capability, Charge, Repaid, Repayment, Report, ReportKind, Started, Unable

DELIVERIES_MAX = 14
DELIVERY_TIMEOUT_S = 10
TROUBLE_S = 5
LOSSES = 2


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


class Trouble(StrEnum):
    """How the provider misbehaves in telling of a payment."""

    none = "none"
    delay = "delay"
    """Messages come some seconds late."""
    duplicate = "duplicate"
    """Each message comes three times."""
    reorder = "reorder"
    """The last message comes first."""
    lost = "lost"
    """Each message is lost twice on its way before it comes."""


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


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """What a sandbox message says."""

    type: str
    payment: PaymentId
    number: str
    amount: int
    currency: str
    refund: RefundId | None = None
    attempt: int | None = None
    dispute: str | None = None
    evidence_until: datetime | None = None
    reason: str = ""


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
        }
    )

    def __init__(self, db: Database, settings: Settings) -> None:
        self._db = db
        self._settings = settings

    async def authorise(self, charge: Charge) -> Started:
        async with self._db.tx() as tx:
            await _check_up(tx)
            number = await _open(tx, charge)
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

    def parse_webhook(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> Report:
        event_id = signature.verify(_secrets(self._settings), headers, body, now=now)
        try:
            name = msgspec.json.decode(body, type=_Named).type
            if name not in KINDS:
                return Report(event_id=event_id, kind=ReportKind.other, name=name)
            message = msgspec.json.decode(body, type=Message)
        except msgspec.MsgspecError:
            return Report(event_id=event_id, kind=ReportKind.other, name="unreadable")
        return Report(
            event_id=event_id,
            kind=KINDS[name],
            name=name,
            payment_id=message.payment,
            provider_ref=message.number,
            refund_id=message.refund,
            refund_attempt=message.attempt,
            dispute_ref=message.dispute,
            evidence_until=message.evidence_until,
            money=Money(message.amount, message.currency),
            reason=message.reason,
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
    digest = hmac.new(_secrets(settings)[0], b"code" + payment_id.bytes, hashlib.sha256).digest()
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


async def _open(tx: Tx, charge: Charge) -> str:
    """A payment in the sandbox's books; the merchant's id is the idempotency key."""
    await tx.run(
        """
        INSERT INTO payments.sandbox_payment
            (reference, number, customer_id, order_id, amount, currency, description, return_url, state, made_at,
             captures_later)
        VALUES (%(reference)s, %(number)s, %(customer_id)s, %(order_id)s, %(amount)s, %(currency)s, %(description)s,
                %(return_url)s, 'open', %(now)s, %(captures_later)s)
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
    message = Message(
        type="refund.failed" if fails else "refund.succeeded",
        payment=repayment.payment_id,
        number=repayment.provider_ref,
        amount=repayment.money.amount,
        currency=repayment.money.currency,
        refund=repayment.refund_id,
        attempt=repayment.attempt,
        reason=REFUND_FAILURE if fails else "",
    )
    await tell(tx, [message], _chance(repayment.payment_id, settings.sandbox_trouble_bps))
    return number


async def tell(tx: Tx, messages: list[Message], trouble: Trouble, *, delay_s: int = 0) -> None:
    """Put messages on their way to the merchant, with that trouble."""
    for index, message in enumerate(messages):
        event_id = new_id()
        await tx.run(
            """
            INSERT INTO payments.sandbox_event (id, payment_reference, body, losses, made_at)
            VALUES (%(id)s, %(payment_id)s, %(body)s, %(losses)s, %(now)s)
            """,
            id=event_id,
            payment_id=message.payment,
            body=msgspec.json.encode(message),
            losses=LOSSES if trouble is Trouble.lost else 0,
            now=tx.now,
        )
        late = trouble is Trouble.delay or (trouble is Trouble.reorder and index < len(messages) - 1)
        wait_s = delay_s + (TROUBLE_S if late else 0)
        at = tx.now + timedelta(seconds=wait_s) if wait_s else None
        for copy in range(3 if trouble is Trouble.duplicate else 1):
            await jobs.defer(tx, "payments.sandbox_deliver", {"event_id": event_id, "again": copy > 0}, at=at)


@jobs.task("payments.sandbox_deliver")
async def _deliver(context: jobs.Context, event_id: str, again: bool) -> None:
    """Send one message; one that is not answered with 2xx is sent again, `DELIVERIES_MAX` times at most."""
    id_ = UUID(event_id)
    async with context.db.tx() as tx:
        event = await tx.one(
            _Event,
            """
            UPDATE payments.sandbox_event SET attempts = attempts + 1 WHERE id = %(id)s
            RETURNING body, losses, attempts, delivered_at
            """,
            id=id_,
        )
    if event.delivered_at is not None and not again:
        return
    delivered = event.attempts > event.losses and await _post(context.settings, id_, event.body, context.db.clock.now())
    async with context.db.tx() as tx:
        if delivered:
            await tx.run(
                "UPDATE payments.sandbox_event SET delivered_at = %(now)s WHERE id = %(id)s", id=id_, now=tx.now
            )
        elif event.attempts < DELIVERIES_MAX:
            later = tx.now + timedelta(seconds=pause_s(event.attempts - 1))
            await jobs.defer(tx, "payments.sandbox_deliver", {"event_id": id_, "again": again}, at=later)
        else:
            log.error("the sandbox gives up telling", event_id=event_id)
            await tx.run(
                "UPDATE payments.sandbox_event SET given_up_at = %(now)s WHERE id = %(id)s", id=id_, now=tx.now
            )


class _Event(msgspec.Struct, frozen=True):
    body: bytes
    losses: int
    attempts: int
    delivered_at: datetime | None


async def _post(settings: Settings, event_id: UUID, body: bytes, now: datetime) -> bool:
    headers = signature.sign(_secrets(settings), str(event_id), at=now, body=body)
    url = f"{settings.base_url}/webhooks/sandbox"
    try:
        async with httpx.AsyncClient(
            verify=_tls(settings.tls_certificate), timeout=DELIVERY_TIMEOUT_S, trust_env=False
        ) as client:
            answer = await client.post(url, content=body, headers={**headers, "content-type": "application/json"})
    except httpx.HTTPError as error:
        log.info("a sandbox message did not arrive", event_id=str(event_id), url=url, error=repr(error)[:200])
        return False
    return answer.is_success


@lru_cache(maxsize=8)
def _tls(certificate: str | None) -> ssl.SSLContext:
    """Reading the authorities costs 20 ms, so it is done once; our own certificate is believed too."""
    context = ssl.create_default_context()
    if certificate is not None:
        context.load_verify_locations(certificate)
    return context


@lru_cache(maxsize=8)
def _secrets(settings: Settings) -> tuple[bytes, ...]:
    """Every secret in use: messages carry a signature by each, and one that fits is enough."""
    if settings.sandbox_secret:
        return tuple(secret.strip().encode() for secret in settings.sandbox_secret.split(",") if secret.strip())
    return tuple(
        hmac.new(key.encode(), b"laotie.sandbox-webhook", hashlib.sha256).digest() for key in settings.signing_keys()
    )


def _chance(payment_id: PaymentId, trouble_bps: int) -> Trouble:
    """Trouble by the payment's id, so that a repetition has the same luck."""
    number = int.from_bytes(hashlib.blake2b(payment_id.bytes, digest_size=8).digest(), "big")
    if number % 10_000 >= trouble_bps:
        return Trouble.none
    kinds = [Trouble.delay, Trouble.duplicate, Trouble.reorder, Trouble.lost]
    return kinds[number // 10_000 % len(kinds)]


__all__ = [
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
