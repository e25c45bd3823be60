"""Payments over HTTP: how one stands, the sandbox provider's approval page, and the messages of providers."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
from litestar import Request, get, post

from laotie import payments
from laotie.base.db import Database
from laotie.base.ids import OrderId, PaymentId
from laotie.base.money import Money
from laotie.base.settings import Settings
from laotie.identity import Actor
from laotie.payments import sandbox
from laotie.web.given import FromPath, Given, JSONBody
from laotie.web.problems import BodyTooLarge


class NextStep(msgspec.Struct):
    """Where the buyer goes to approve the payment."""

    kind: Literal["redirect"]
    url: str


class PaymentView(msgspec.Struct, kw_only=True):
    """One attempt to pay an order, or to put money into a wallet (then `order_id` is the payment's own)."""

    id: PaymentId
    purpose: payments.Purpose
    order_id: OrderId
    state: payments.PaymentState
    amount: Money
    next: NextStep | None
    failure: str | None
    refunded: Money
    created_at: datetime
    captured_at: datetime | None


class SandboxPaymentView(msgspec.Struct, kw_only=True):
    """A payment as the sandbox provider's page shows it."""

    id: PaymentId
    order_id: OrderId
    number: str
    state: str
    amount: Money
    description: str
    return_url: str
    next: None = None


class Decision(msgspec.Struct, forbid_unknown_fields=True):
    """What the buyer does, and (to try things out) how the provider's messages go astray."""

    outcome: sandbox.Outcome
    trouble: sandbox.Trouble | None = None


class Heard(msgspec.Struct):
    """What became of a message: `applied`, or why it changed nothing."""

    verdict: payments.Verdict


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
    async with db.read() as tx:
        return _sandbox_view(await sandbox.get_payment(tx, actor.signed_in(), PaymentId(payment_id)))


@post("/api/sandbox/payments/{payment_id:uuid}/outcome", status_code=200)
async def decide_sandbox_payment(
    payment_id: FromPath[UUID],
    data: JSONBody[Decision],
    actor: Given[Actor],
    db: Given[Database],
    settings: Given[Settings],
) -> SandboxPaymentView:
    """Approve or decline, as on the provider's page. The shop hears of it by a signed message."""
    payments.open_provider("sandbox", db=db, settings=settings)
    async with db.tx() as tx:
        payment = await sandbox.decide(
            tx, settings, actor.signed_in(), PaymentId(payment_id), outcome=data.outcome, trouble=data.trouble
        )
    return _sandbox_view(payment)


@post("/webhooks/{provider:str}", status_code=200)
async def hear_provider(
    provider: FromPath[str], request: Request[Any, Any, Any], db: Given[Database], settings: Given[Settings]
) -> Heard:
    """A provider's signed message. Whatever is signed is kept and answered with 200, known to us or not."""
    body = await request.body()
    if len(body) > payments.WEBHOOK_BODY_BYTES_MAX:
        raise BodyTooLarge(bytes_max=payments.WEBHOOK_BODY_BYTES_MAX)
    headers = {name.lower(): value for name, value in request.headers.items()}
    return Heard(await payments.hear(db, settings, provider=provider, headers=headers, body=body))


def view_of_payment(payment: payments.Payment) -> PaymentView:
    """A payment as its buyer sees it; once it is decided there is nowhere to go."""
    open_ = payment.state in (payments.PaymentState.created, payments.PaymentState.pending)
    return PaymentView(
        id=payment.id,
        purpose=payment.purpose,
        order_id=payment.order_id,
        state=payment.state,
        amount=Money(payment.amount, payment.currency),
        next=NextStep("redirect", payment.next_url) if payment.next_url is not None and open_ else None,
        failure=payment.failure,
        refunded=Money(payment.refunded_amount, payment.currency),
        created_at=payment.created_at,
        captured_at=payment.captured_at,
    )


def _sandbox_view(payment: sandbox.SandboxPayment) -> SandboxPaymentView:
    return SandboxPaymentView(
        id=payment.id,
        order_id=payment.order_id,
        number=payment.number,
        state=payment.state,
        amount=Money(payment.amount, payment.currency),
        description=payment.description,
        return_url=payment.return_url,
    )


ROUTES = [get_payment, get_sandbox_payment, decide_sandbox_payment, hear_provider]
