"""Stripe: its hosted Checkout page over a PaymentIntent, through Stripe's own library.

The buyer is sent to Stripe's page and comes back; the PaymentIntent under it captures at once or when we say so. Its id
is the money's name (`charge_ref`), by which refunds, disputes and statements call it; our ids travel in its metadata.
Sellers have connected accounts, into which money goes by transfers ("separate charges and transfers").
https://docs.stripe.com/api, https://docs.stripe.com/webhooks/signature, https://docs.stripe.com/connect/separate-charges-and-transfers.
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import stripe

from laotie.base.db import Database
from laotie.base.ids import PaymentId
from laotie.base.money import EXPONENTS, Money
from laotie.base.settings import Settings
from laotie.payments.model import (
    ProviderDown,
    ProviderNotReady,
    ProviderRefused,
    RefundId,
    SellerState,
    SignatureRefused,
)
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

TIMEOUT_S = 15
TOLERANCE_S = 300
RETRIES = 1
REQUIREMENTS_SHOWN = 5


class _Object(msgspec.Struct, frozen=True):
    """What we read of a PaymentIntent, Refund, Dispute or Checkout Session."""

    id: str
    object: str = ""
    amount: int | None = None
    amount_received: int | None = None
    amount_total: int | None = None
    currency: str | None = None
    metadata: dict[str, str] | None = None
    payment_intent: str | None = None
    client_reference_id: str | None = None
    status: str | None = None
    reason: str | None = None
    failure_reason: str | None = None
    cancellation_reason: str | None = None
    last_payment_error: dict[str, Any] | None = None
    evidence_details: dict[str, Any] | None = None


class _Session(msgspec.Struct, frozen=True):
    """A Checkout Session with its PaymentIntent in it."""

    status: str | None = None
    amount_total: int | None = None
    currency: str | None = None
    payment_intent: _Object | None = None


class _Requirements(msgspec.Struct, frozen=True):
    disabled_reason: str | None = None
    currently_due: list[str] = []


class _Granted(msgspec.Struct, frozen=True):
    transfers: str | None = None


class _Account(msgspec.Struct, frozen=True):
    """What we read of a connected account."""

    details_submitted: bool = False
    capabilities: _Granted = _Granted()
    requirements: _Requirements = _Requirements()


INTENTS: dict[str, tuple[ReportKind, str]] = {
    "succeeded": (ReportKind.captured, "amount_received"),
    "requires_capture": (ReportKind.authorised, "amount"),
    "canceled": (ReportKind.failed, "amount"),
}
"""What a PaymentIntent's state is to us, and which of its amounts counts; in any other there is no news."""


class _Data(msgspec.Struct, frozen=True):
    object: _Object


class _Event(msgspec.Struct, frozen=True):
    id: str
    type: str
    data: _Data


class Stripe(Unable):
    """The adapter. Takes every currency of the platform."""

    name = "stripe"
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
    currencies = tuple(EXPONENTS)

    def __init__(self, db: Database, settings: Settings) -> None:
        missing = [name for name in ("stripe_api_key", "stripe_webhook_secret") if not getattr(settings, name)]
        if missing:
            raise ProviderNotReady(provider=self.name, missing=missing)
        self._secrets = [one.strip() for one in (settings.stripe_webhook_secret or "").split(",") if one.strip()]
        addresses: Any = {"api": settings.stripe_api_url} if settings.stripe_api_url else None
        self._client = stripe.StripeClient(
            settings.stripe_api_key or "",
            base_addresses=addresses,
            http_client=stripe.RequestsClient(timeout=TIMEOUT_S),
            max_network_retries=RETRIES,
        ).v1

    async def authorise(self, charge: Charge) -> Started:
        metadata = {"payment": str(charge.payment_id), "order": str(charge.order_id)}
        session = await _ask(
            self._client.checkout.sessions.create,
            {
                "mode": "payment",
                "client_reference_id": str(charge.payment_id),
                "metadata": metadata,
                "payment_intent_data": {
                    "metadata": metadata,
                    "capture_method": "automatic" if charge.capture else "manual",
                },
                "line_items": [
                    {
                        "quantity": 1,
                        "price_data": {
                            "currency": charge.money.currency.lower(),
                            "unit_amount": charge.money.amount,
                            "product_data": {"name": f"Order {charge.order_id}"},
                        },
                    }
                ],
                "success_url": charge.return_url,
                "cancel_url": charge.return_url,
            },
            {"idempotency_key": f"pay-{charge.payment_id}"},
        )
        return Started(session.id, session.url)

    async def capture(self, payment_id: PaymentId, provider_ref: str, *, money: Money) -> None:
        await _ask(
            self._client.payment_intents.capture,
            await self._intent(provider_ref),
            {"amount_to_capture": money.amount},
            {"idempotency_key": f"capture-{payment_id}"},
        )

    async def refund(self, repayment: Repayment) -> Repaid:
        refund = await _ask(
            self._client.refunds.create,
            {
                "payment_intent": repayment.charge_ref or await self._intent(repayment.provider_ref),
                "amount": repayment.money.amount,
                "metadata": {
                    "payment": str(repayment.payment_id),
                    "refund": str(repayment.refund_id),
                    "attempt": str(repayment.attempt),
                },
            },
            {"idempotency_key": f"refund-{repayment.refund_id}-{repayment.attempt}"},
        )
        return Repaid(refund.id, done=refund.status == "succeeded")

    async def defend(self, dispute_ref: str, *, evidence: str) -> None:
        await _ask(
            self._client.disputes.update,
            dispute_ref,
            {"evidence": {"uncategorized_text": evidence}, "submit": True},
        )

    async def onboard(self, applicant: Applicant) -> str:
        """A connected account with Stripe's own pages; Stripe asks the seller for what the law wants, not we."""
        account = await _ask(
            self._client.accounts.create,
            {
                "country": applicant.country,
                "controller": {
                    "stripe_dashboard": {"type": "express"},
                    "fees": {"payer": "application"},
                    "losses": {"payments": "application"},
                },
                "capabilities": {"transfers": {"requested": True}},
                "business_profile": {"name": applicant.name},
                "metadata": {"seller": str(applicant.seller_id)},
            },
            {"idempotency_key": f"seller-{applicant.seller_id}"},
        )
        return str(account.id)

    async def link(self, seller_ref: str, *, return_url: str) -> str | None:
        """Good once and for some minutes, so it is never kept."""
        link = await _ask(
            self._client.account_links.create,
            {
                "account": seller_ref,
                "type": "account_onboarding",
                "return_url": return_url,
                "refresh_url": f"{return_url}?again=stripe",
            },
        )
        return str(link.url)

    async def find_seller(self, seller_ref: str) -> Standing:
        """https://docs.stripe.com/api/accounts/object: `capabilities.transfers` and `requirements`."""
        found = await _ask(self._client.accounts.retrieve, seller_ref)
        account = msgspec.convert(found.to_dict(), _Account)
        disabled = account.requirements.disabled_reason or ""
        if disabled.startswith("rejected."):
            return Standing(SellerState.refused, disabled)
        if account.capabilities.transfers == "active":
            return Standing(SellerState.ready)
        missing = ", ".join(account.requirements.currently_due[:REQUIREMENTS_SHOWN])
        if not account.details_submitted or disabled == "requirements.pending_verification":
            return Standing(SellerState.pending, missing)
        return Standing(SellerState.limited, disabled or missing)

    async def release(self, handover: Handover) -> Handed:
        """A transfer. Stripe forgets idempotency keys after a day, so one that is tried again is looked for first."""
        known = await self._transfer(handover) if handover.attempt else None
        if known is not None:
            return Handed(known, done=True)
        made = await _ask(
            self._client.transfers.create,
            {
                "amount": handover.money.amount,
                "currency": handover.money.currency.lower(),
                "destination": handover.seller_ref,
                "transfer_group": f"release-{handover.release_id}",
                "metadata": {"release": str(handover.release_id)},
            },
            {"idempotency_key": f"release-{handover.release_id}"},
        )
        return Handed(str(made.id), done=True)

    async def find_payment(self, payment_id: PaymentId, provider_ref: str) -> Report | None:
        session = await _ask(
            self._client.checkout.sessions.retrieve, provider_ref, {"expand": ["payment_intent"]}
        )
        found = msgspec.convert(session.to_dict(), _Session)
        name = f"asked:{payment_id}"
        if found.payment_intent is not None:
            thing = found.payment_intent
            kind, amount = INTENTS.get(thing.status or "", (None, ""))
            if kind is not None:
                return Report(
                    event_id=f"{name}:{thing.status}",
                    kind=kind,
                    name=f"asked {thing.status}",
                    payment_id=payment_id,
                    charge_ref=thing.id,
                    money=_money(getattr(thing, amount), thing.currency),
                    reason=(thing.cancellation_reason or "canceled") if kind is ReportKind.failed else "",
                )
        if found.status == "expired":
            return Report(
                event_id=f"{name}:expired",
                kind=ReportKind.failed,
                name="asked expired",
                payment_id=payment_id,
                money=_money(found.amount_total, found.currency),
                reason="timed-out",
            )
        return None

    async def find_refund(self, repayment: Repayment, provider_ref: str) -> Report | None:
        refund = await _ask(self._client.refunds.retrieve, provider_ref)
        thing = msgspec.convert(refund.to_dict(), _Object)
        found = _of_refund(_Event(f"asked:{provider_ref}:{thing.status}", f"asked {thing.status}", _Data(thing)))
        return None if found.kind is ReportKind.other else found

    async def find_release(self, handover: Handover) -> Report | None:
        known = await self._transfer(handover)
        if known is None:
            return None
        return Report(
            event_id=f"asked:{handover.release_id}",
            kind=ReportKind.released,
            name="asked transfer",
            release_id=handover.release_id,
            provider_ref=known,
            money=handover.money,
        )

    async def _transfer(self, handover: Handover) -> str | None:
        found = await _ask(
            self._client.transfers.list,
            {"transfer_group": f"release-{handover.release_id}", "destination": handover.seller_ref, "limit": 1},
        )
        return str(found.data[0].id) if found.data else None

    async def _intent(self, session_id: str) -> str:
        session = await _ask(self._client.checkout.sessions.retrieve, session_id)
        if not isinstance(session.payment_intent, str):
            raise ProviderRefused(reason="nothing was paid")
        return session.payment_intent

    def parse_webhook(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> Report:
        given = headers.get("stripe-signature", "")
        try:
            text = body.decode()
        except UnicodeDecodeError:
            raise SignatureRefused(reason="the body is no text") from None
        if not any(_fits(text, given, secret) for secret in self._secrets):
            raise SignatureRefused(reason="no signature fits")
        if abs(_signed_at(given) - now.timestamp()) > TOLERANCE_S:
            raise SignatureRefused(reason="the time is out of tolerance")
        try:
            event = msgspec.json.decode(body, type=_Event)
        except msgspec.MsgspecError:
            known = _name_of(body)
            return Report(event_id=known, kind=ReportKind.other, name="unreadable")
        return _report(event)


class _Named(msgspec.Struct, frozen=True):
    id: str = "unreadable"


def _name_of(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=_Named).id
    except msgspec.MsgspecError:
        return "unreadable"


async def _ask(call: Callable[..., Any], *given: Any) -> Any:
    """One call, in a thread, since the library waits.

    Its errors in our words: what may pass by itself is `ProviderDown`, what will not is `ProviderRefused`.
    """
    try:
        return await asyncio.to_thread(call, *given)
    except (stripe.APIConnectionError, stripe.RateLimitError) as error:
        raise ProviderDown(provider="stripe") from error
    except stripe.StripeError as error:
        if error.http_status is None or error.http_status >= 500 or error.http_status in (401, 403, 409):
            raise ProviderDown(provider="stripe") from error
        raise ProviderRefused(reason=(error.code or error.user_message or "refused")[:200]) from error


def _fits(text: str, given: str, secret: str) -> bool:
    """By Stripe's library; the time is compared with the house's clock instead."""
    try:
        return bool(stripe.WebhookSignature.verify_header(text, given, secret))
    except stripe.SignatureVerificationError:
        return False


def _signed_at(given: str) -> float:
    pairs = dict(part.split("=", 1) for part in given.split(",") if "=" in part)
    return float(pairs["t"])


def _report(event: _Event) -> Report:
    """Stripe's events in our words: https://docs.stripe.com/api/events/types."""
    thing = event.data.object
    match event.type:
        case "payment_intent.processing":
            return _of_intent(event, ReportKind.pending, thing.amount)
        case "payment_intent.amount_capturable_updated":
            return _of_intent(event, ReportKind.authorised, thing.amount)
        case "payment_intent.succeeded":
            return _of_intent(event, ReportKind.captured, thing.amount_received)
        case "payment_intent.payment_failed":
            # The buyer may try another card on the same page, so this alone decides nothing.
            return _of_intent(event, ReportKind.other, thing.amount)
        case "payment_intent.canceled":
            return _of_intent(event, ReportKind.failed, thing.amount, thing.cancellation_reason or "canceled")
        case "checkout.session.expired":
            return _of_intent(event, ReportKind.failed, thing.amount_total, "timed-out", intent=False)
        case "refund.created" | "refund.updated" | "refund.failed" | "charge.refund.updated":
            return _of_refund(event)
        case "charge.dispute.funds_withdrawn":
            return _of_dispute(event, ReportKind.reversed)
        case "charge.dispute.funds_reinstated":
            return _of_dispute(event, ReportKind.restored)
        case "charge.dispute.closed" if thing.status == "lost":
            return _of_dispute(event, ReportKind.lost)
        case "account.updated":
            return Report(event_id=event.id, kind=ReportKind.seller, name=event.type, seller_ref=thing.id)
    return Report(event_id=event.id, kind=ReportKind.other, name=event.type)


def _of_intent(
    event: _Event, kind: ReportKind, amount: int | None, reason: str = "", *, intent: bool = True
) -> Report:
    thing = event.data.object
    payment_id = _uuid(thing.metadata, "payment")
    if payment_id is None or kind is ReportKind.other:
        return Report(event_id=event.id, kind=ReportKind.other, name=event.type)
    return Report(
        event_id=event.id,
        kind=kind,
        name=event.type,
        payment_id=PaymentId(payment_id),
        charge_ref=thing.id if intent else None,
        money=_money(amount, thing.currency),
        reason=reason,
    )


def _of_refund(event: _Event) -> Report:
    thing = event.data.object
    refund_id, payment_id = _uuid(thing.metadata, "refund"), _uuid(thing.metadata, "payment")
    kinds = {"succeeded": ReportKind.refunded, "failed": ReportKind.refund_failed, "canceled": ReportKind.refund_failed}
    kind = kinds.get(thing.status or "")
    if refund_id is None or payment_id is None or kind is None:
        return Report(event_id=event.id, kind=ReportKind.other, name=event.type)
    attempt = (thing.metadata or {}).get("attempt", "")
    return Report(
        event_id=event.id,
        kind=kind,
        name=event.type,
        payment_id=PaymentId(payment_id),
        refund_id=RefundId(refund_id),
        refund_attempt=int(attempt) if attempt.isdecimal() else None,
        money=_money(thing.amount, thing.currency),
        reason=thing.failure_reason or "",
    )


def _of_dispute(event: _Event, kind: ReportKind) -> Report:
    """A dispute names the PaymentIntent and carries no metadata of ours."""
    thing = event.data.object
    if thing.payment_intent is None:
        return Report(event_id=event.id, kind=ReportKind.other, name=event.type)
    due_by = (thing.evidence_details or {}).get("due_by")
    return Report(
        event_id=event.id,
        kind=kind,
        name=event.type,
        charge_ref=thing.payment_intent,
        dispute_ref=thing.id,
        evidence_until=datetime.fromtimestamp(due_by, UTC) if isinstance(due_by, int) else None,
        money=_money(thing.amount, thing.currency),
        reason=thing.reason or "",
    )


def _money(amount: int | None, currency: str | None) -> Money | None:
    return Money(amount, currency.upper()) if amount is not None and currency is not None else None


def _uuid(metadata: dict[str, str] | None, key: str) -> UUID | None:
    try:
        return UUID((metadata or {})[key])
    except (KeyError, ValueError):
        return None
