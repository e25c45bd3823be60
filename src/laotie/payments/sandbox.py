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
from laotie.payments.provider import Capability, Charge, Repayment, Report, ReportKind, Started, Unable

DELIVERIES_MAX = 14
DELIVERY_TIMEOUT_S = 10
TROUBLE_S = 5
LOSSES = 2


class Outcome(StrEnum):
    """What the buyer does on the approval page."""

    approve = "approve"
    decline = "decline"


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


class AlreadyDecided(Conflict, code="already-decided"):
    """This payment was already approved or declined."""

    state: str


class _Message(msgspec.Struct, frozen=True, kw_only=True):
    """What a sandbox message says."""

    type: str
    payment: PaymentId
    number: str
    amount: int
    currency: str
    refund: RefundId | None = None
    reason: str = ""


KINDS = {
    "payment.processing": ReportKind.pending,
    "payment.captured": ReportKind.captured,
    "payment.declined": ReportKind.failed,
    "refund.succeeded": ReportKind.refunded,
}


class Sandbox(Unable):
    """The adapter: what the house calls. Approval captures at once."""

    name = "sandbox"
    can = frozenset({Capability.authorise, Capability.refund})

    def __init__(self, db: Database, settings: Settings) -> None:
        self._db = db
        self._settings = settings

    async def authorise(self, charge: Charge) -> Started:
        async with self._db.tx() as tx:
            await _check_up(tx)
            number = await _open(tx, charge)
        return Started(number, f"/sandbox-pay/{charge.payment_id}")

    async def refund(self, repayment: Repayment) -> str:
        async with self._db.tx() as tx:
            await _check_up(tx)
            return await _give_back(tx, repayment, self._settings)

    def parse_webhook(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> Report:
        event_id = signature.verify(_secrets(self._settings), headers, body, now=now)
        try:
            name = msgspec.json.decode(body, type=_Named).type
            if name not in KINDS:
                return Report(event_id=event_id, kind=ReportKind.other, name=name)
            message = msgspec.json.decode(body, type=_Message)
        except msgspec.MsgspecError:
            return Report(event_id=event_id, kind=ReportKind.other, name="unreadable")
        return Report(
            event_id=event_id,
            kind=KINDS[name],
            name=name,
            payment_id=message.payment,
            provider_ref=message.number,
            refund_id=message.refund,
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
        SELECT reference AS id, number, state, amount, currency, order_id, description, return_url
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
) -> SandboxPayment:
    """The customer approves or declines, once; the messages follow by jobs, with the trouble that is asked for."""
    wanted = "approved" if outcome is Outcome.approve else "declined"
    decided = await tx.run(
        """
        UPDATE payments.sandbox_payment SET state = %(wanted)s, decided_at = %(now)s
        WHERE reference = %(id)s AND customer_id = %(customer_id)s AND state = 'open'
        """,
        wanted=wanted,
        id=payment_id,
        customer_id=customer_id,
        now=tx.now,
    )
    payment = await get_payment(tx, customer_id, payment_id)
    if not decided:
        if payment.state != wanted:
            raise AlreadyDecided(state=payment.state)
        return payment
    if trouble is None:
        trouble = _chance(payment_id, settings.sandbox_trouble_bps)
    told = ["payment.processing", "payment.captured"] if outcome is Outcome.approve else ["payment.declined"]
    messages = [
        _Message(
            type=name,
            payment=payment_id,
            number=payment.number,
            amount=payment.amount,
            currency=payment.currency,
            reason="declined by the buyer" if name == "payment.declined" else "",
        )
        for name in told
    ]
    await _tell(tx, messages, trouble)
    return payment


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
            (reference, number, customer_id, order_id, amount, currency, description, return_url, state, made_at)
        VALUES (%(reference)s, %(number)s, %(customer_id)s, %(order_id)s, %(amount)s, %(currency)s, %(description)s,
                %(return_url)s, 'open', %(now)s)
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
        now=tx.now,
    )
    payment = await get_payment(tx, charge.buyer_id, charge.payment_id)
    if (payment.amount, payment.currency) != (charge.money.amount, charge.money.currency):
        raise IdReused()
    return payment.number


async def _give_back(tx: Tx, repayment: Repayment, settings: Settings) -> str:
    """A refund in the sandbox's books, and its message; the merchant's id is the idempotency key."""
    number = f"sbr_{new_id().hex}"
    fresh = await tx.run(
        """
        INSERT INTO payments.sandbox_refund (reference, number, payment_reference, amount, made_at)
        SELECT %(reference)s, %(number)s, reference, %(amount)s, %(now)s FROM payments.sandbox_payment
        WHERE number = %(payment_number)s AND reference = %(payment_id)s
        ON CONFLICT (reference) DO NOTHING
        """,
        reference=repayment.refund_id,
        number=number,
        amount=repayment.money.amount,
        payment_number=repayment.provider_ref,
        payment_id=repayment.payment_id,
        now=tx.now,
    )
    if not fresh:
        known = await tx.maybe(
            str, "SELECT number FROM payments.sandbox_refund WHERE reference = %(id)s", id=repayment.refund_id
        )
        if known is None:
            raise ProviderRefused(reason="there is no such payment")
        return known
    taken = await tx.run(
        """
        UPDATE payments.sandbox_payment SET refunded_amount = refunded_amount + %(amount)s
        WHERE reference = %(payment_id)s AND state = 'approved' AND currency = %(currency)s
          AND refunded_amount + %(amount)s <= amount
        """,
        amount=repayment.money.amount,
        currency=repayment.money.currency,
        payment_id=repayment.payment_id,
    )
    if not taken:
        raise ProviderRefused(reason="more than what was paid")
    message = _Message(
        type="refund.succeeded",
        payment=repayment.payment_id,
        number=repayment.provider_ref,
        amount=repayment.money.amount,
        currency=repayment.money.currency,
        refund=repayment.refund_id,
    )
    await _tell(tx, [message], _chance(repayment.payment_id, settings.sandbox_trouble_bps))
    return number


async def _tell(tx: Tx, messages: list[_Message], trouble: Trouble) -> None:
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
        at = tx.now + timedelta(seconds=TROUBLE_S) if late else None
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
    "Outcome",
    "Sandbox",
    "SandboxPayment",
    "Trouble",
    "break_down",
    "decide",
    "get_payment",
]
