"""Payments over HTTP: ways to pay, how a payment stands, the sandbox provider's page, and the messages of providers."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.params import QueryParameter
from msgspec import Meta

from laotie import catalog, payments
from laotie.base.db import Database
from laotie.base.ids import OrderId, PaymentId, ShopId
from laotie.base.money import Money
from laotie.base.settings import Settings
from laotie.identity import Actor
from laotie.payments import sandbox, sandbox_bank
from laotie.web.given import FromPath, Given, JSONBody
from laotie.web.problems import BodyTooLarge

InCurrency = Annotated[
    str | None, QueryParameter(name="currency", pattern="^[A-Z]{3}$", description="Only those that take this currency.")
]

OfShops = Annotated[
    list[UUID] | None, QueryParameter(name="shop_id", max_items=50, description="Only those that may take these shops' money.")
]
ForWallet = Annotated[bool, QueryParameter(name="wallet", description="Only those that may take money for wallets.")]


class NextStep(msgspec.Struct):
    """Where the buyer goes to approve the payment, or what the code says that is to be scanned."""

    kind: Literal["redirect", "qr"]
    url: str


class PaymentMethods(msgspec.Struct):
    """The ways to pay that this installation offers, in the order in which buyers see them."""

    items: list[payments.PaymentMethod]


class PaymentView(msgspec.Struct, kw_only=True):
    """One attempt to pay an order, or to put money into a wallet (then `order_id` is the payment's own)."""

    id: PaymentId
    purpose: payments.Purpose
    order_id: OrderId
    method: str
    state: payments.PaymentState
    amount: Money
    captured: Money | None
    """What came in; it may be less than `amount`."""
    next: NextStep | None
    failure: str | None
    refunded: Money
    reversed: Money
    created_at: datetime
    captured_at: datetime | None


class SandboxDisputeView(msgspec.Struct, kw_only=True):
    """A chargeback as the sandbox provider's page shows it."""

    id: UUID
    state: str
    amount: Money
    reason: sandbox_bank.DisputeReason
    evidence: str | None
    evidence_until: datetime


class SandboxPaymentView(msgspec.Struct, kw_only=True):
    """A payment as the sandbox provider's page shows it."""

    id: PaymentId
    order_id: OrderId
    number: str
    state: str
    amount: Money
    captured: Money | None
    refunded: Money
    decline_reason: str | None
    code: str | None
    """The second factor, as the bank would send it to its customer's phone."""
    description: str
    return_url: str
    disputes: list[SandboxDisputeView]
    next: None = None


class SandboxDecision(msgspec.Struct, forbid_unknown_fields=True):
    """What the buyer does, and (to try things out) what goes wrong on the way."""

    outcome: sandbox.Outcome
    trouble: sandbox.Trouble | None = None
    reason: sandbox.Decline = sandbox.Decline.buyer
    second_factor: bool = False
    part_amount: Annotated[int, Meta(ge=1, le=10**15)] | None = None
    """No more than this is captured (minor units)."""
    refund_failures: Annotated[int, Meta(ge=0, le=20)] = 0
    """So many refunds cannot be paid out."""
    delay_s: Annotated[int, Meta(ge=0, le=86_400)] = 0


class SecondFactor(msgspec.Struct, forbid_unknown_fields=True):
    """The code that the bank sent."""

    code: Annotated[str, Meta(max_length=20)]


class NewSandboxDispute(msgspec.Struct, forbid_unknown_fields=True):
    """The buyer wants money back from the bank: `amount` in minor units, or all that is left."""

    id: UUID
    reason: sandbox_bank.DisputeReason = sandbox_bank.DisputeReason.fraudulent
    amount: Annotated[int, Meta(ge=1, le=10**15)] | None = None
    evidence_s: Annotated[int, Meta(ge=1, le=10**7)] = sandbox_bank.EVIDENCE_S


class SandboxDisputeDecision(msgspec.Struct, forbid_unknown_fields=True):
    """How the bank decides: for the merchant (`won`) or for its customer."""

    won: bool


class Heard(msgspec.Struct):
    """What became of a message: `applied`, or why it changed nothing."""

    verdict: payments.Verdict


@get("/api/payment-methods")
async def list_payment_methods(
    db: Given[Database],
    settings: Given[Settings],
    currency: InCurrency = None,
    shop_ids: OfShops = None,
    for_wallet: ForWallet = False,
) -> PaymentMethods:
    """The ways to pay that a buyer may choose from, and what each provider can do.

    Money of shops that are not the house's own, and of wallets, is taken only by providers that split it, unless
    pooling is on.
    """
    others = for_wallet
    if shop_ids and not others:
        wanted = [ShopId(one) for one in shop_ids]
        async with db.read() as tx:
            others = bool(set(wanted) - await catalog.find_own_shops(tx, wanted))
    return PaymentMethods(payments.list_usable(db, settings, currency=currency, others=others))


@get("/api/payments/{payment_id:uuid}")
async def get_payment(payment_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]) -> PaymentView:
    """One of my payments."""
    async with db.read() as tx:
        return view_of_payment(await payments.get(tx, PaymentId(payment_id), buyer_id=actor.signed_in()))


@get("/api/sandbox/payments/{payment_id:uuid}")
async def get_sandbox_payment(
    payment_id: FromPath[UUID], actor: Given[Actor], db: Given[Database], settings: Given[Settings]
) -> SandboxPaymentView:
    """What the sandbox provider's page shows me of a payment of mine."""
    payments.open_provider("sandbox", db=db, settings=settings)
    return await _sandbox_view(db, actor, PaymentId(payment_id))


@post("/api/sandbox/payments/{payment_id:uuid}/outcome", status_code=200)
async def decide_sandbox_payment(
    payment_id: FromPath[UUID],
    data: JSONBody[SandboxDecision],
    actor: Given[Actor],
    db: Given[Database],
    settings: Given[Settings],
) -> SandboxPaymentView:
    """Approve or decline, as on the provider's page. The shop hears of it by a signed message."""
    payments.open_provider("sandbox", db=db, settings=settings)
    async with db.tx() as tx:
        await sandbox.decide(
            tx,
            settings,
            actor.signed_in(),
            PaymentId(payment_id),
            outcome=data.outcome,
            trouble=data.trouble,
            reason=data.reason,
            second_factor=data.second_factor,
            part_amount=data.part_amount,
            refund_failures=data.refund_failures,
            delay_s=data.delay_s,
        )
    return await _sandbox_view(db, actor, PaymentId(payment_id))


@post("/api/sandbox/payments/{payment_id:uuid}/code", status_code=200)
async def enter_sandbox_code(
    payment_id: FromPath[UUID],
    data: JSONBody[SecondFactor],
    actor: Given[Actor],
    db: Given[Database],
    settings: Given[Settings],
) -> SandboxPaymentView:
    """The second factor. A wrong code is refused with the tries that are left; after the last the payment is declined."""
    payments.open_provider("sandbox", db=db, settings=settings)
    async with db.tx() as tx:
        tries_left = await sandbox.enter_code(tx, actor.signed_in(), PaymentId(payment_id), data.code)
    if tries_left is not None:
        raise sandbox.CodeWrong(tries_left=tries_left)
    return await _sandbox_view(db, actor, PaymentId(payment_id))


@post("/api/sandbox/payments/{payment_id:uuid}/disputes", status_code=201)
async def open_sandbox_dispute(
    payment_id: FromPath[UUID],
    data: JSONBody[NewSandboxDispute],
    actor: Given[Actor],
    db: Given[Database],
    settings: Given[Settings],
) -> SandboxPaymentView:
    """Ask the sandbox's bank for money back (a chargeback). The same id again: nothing more happens."""
    payments.open_provider("sandbox", db=db, settings=settings)
    async with db.tx() as tx:
        await sandbox.get_payment(tx, actor.signed_in(), PaymentId(payment_id))
        await sandbox_bank.open_dispute(
            tx,
            actor.signed_in(),
            PaymentId(payment_id),
            data.id,
            reason=data.reason,
            amount=data.amount,
            evidence_s=data.evidence_s,
        )
    return await _sandbox_view(db, actor, PaymentId(payment_id))


@post("/api/sandbox/disputes/{dispute_id:uuid}/decision", status_code=200)
async def decide_sandbox_dispute(
    dispute_id: FromPath[UUID],
    data: JSONBody[SandboxDisputeDecision],
    actor: Given[Actor],
    db: Given[Database],
    settings: Given[Settings],
) -> SandboxPaymentView:
    """How the sandbox's bank decides a chargeback of mine."""
    payments.open_provider("sandbox", db=db, settings=settings)
    async with db.tx() as tx:
        dispute = await sandbox_bank.decide_dispute(tx, actor.signed_in(), dispute_id, won=data.won)
    return await _sandbox_view(db, actor, dispute.payment_id)


@post("/webhooks/{provider:str}", status_code=200)
async def hear_provider(
    provider: FromPath[str], request: Request[Any, Any, Any], db: Given[Database], settings: Given[Settings]
) -> Response[Heard | str]:
    """A provider's signed message. Whatever is signed is kept and answered with 200, known to us or not.

    The answer is what became of it; for a provider that wants a word of its own, that word.
    """
    body = await request.body()
    if len(body) > payments.WEBHOOK_BODY_BYTES_MAX:
        raise BodyTooLarge(bytes_max=payments.WEBHOOK_BODY_BYTES_MAX)
    headers = {name.lower(): value for name, value in request.headers.items()}
    verdict = await payments.hear(db, settings, provider=provider, headers=headers, body=body)
    word = payments.open_provider(provider, db=db, settings=settings).answer
    if word is not None:
        return Response(word, media_type="text/plain; charset=utf-8", status_code=200)
    return Response(Heard(verdict), media_type="application/json", status_code=200)


def view_of_payment(payment: payments.Payment) -> PaymentView:
    """A payment as its buyer sees it; once it is decided there is nowhere to go."""
    open_ = payment.state in (payments.PaymentState.created, payments.PaymentState.pending)
    kind: Literal["redirect", "qr"] = "qr" if payment.next_kind == "qr" else "redirect"
    return PaymentView(
        id=payment.id,
        purpose=payment.purpose,
        order_id=payment.order_id,
        method=payment.provider,
        state=payment.state,
        amount=Money(payment.amount, payment.currency),
        captured=Money(payment.taken, payment.currency) if payment.captured_at is not None else None,
        next=NextStep(kind, payment.next_url) if payment.next_url is not None and open_ else None,
        failure=payment.failure,
        refunded=Money(payment.refunded_amount, payment.currency),
        reversed=Money(payment.reversed_amount, payment.currency),
        created_at=payment.created_at,
        captured_at=payment.captured_at,
    )


async def _sandbox_view(db: Database, actor: Actor, payment_id: PaymentId) -> SandboxPaymentView:
    async with db.read() as tx:
        payment = await sandbox.get_payment(tx, actor.signed_in(), payment_id)
        disputes = await sandbox_bank.list_disputes(tx, actor.signed_in(), payment_id)
    captured = payment.captured_amount
    return SandboxPaymentView(
        id=payment.id,
        order_id=payment.order_id,
        number=payment.number,
        state=payment.state,
        amount=Money(payment.amount, payment.currency),
        captured=Money(captured, payment.currency) if captured is not None else None,
        refunded=Money(payment.refunded_amount, payment.currency),
        decline_reason=payment.decline_reason,
        code=payment.code,
        description=payment.description,
        return_url=payment.return_url,
        disputes=[
            SandboxDisputeView(
                id=one.id,
                state=one.state,
                amount=Money(one.amount, one.currency),
                reason=one.reason,
                evidence=one.evidence,
                evidence_until=one.evidence_until,
            )
            for one in disputes
        ],
    )


ROUTES = [
    list_payment_methods,
    get_payment,
    get_sandbox_payment,
    decide_sandbox_payment,
    enter_sandbox_code,
    open_sandbox_dispute,
    decide_sandbox_dispute,
    hear_provider,
]
