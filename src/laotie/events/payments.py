"""What happens to payments."""

from datetime import datetime
from uuid import UUID

from laotie.base.events import Event
from laotie.base.ids import OrderId, PaymentId


class PaymentCaptured(Event, tag="payment.captured", frozen=True, kw_only=True):
    """The provider has the buyer's money: `amount`, which may be less than was asked for (a partial capture)."""

    payment_id: PaymentId
    order_id: OrderId
    amount: int
    currency: str
    captured_at: datetime
    purpose: str = "order"
    """`order`, or `topup`: money for the wallet `wallet_id`; then `order_id` is the payment's own id."""
    wallet_id: UUID | None = None


class PaymentFailed(Event, tag="payment.failed", frozen=True, kw_only=True):
    """This attempt to pay came to nothing; the buyer may make another."""

    payment_id: PaymentId
    order_id: OrderId
    reason: str


class PaymentRefunded(Event, tag="payment.refunded", frozen=True, kw_only=True):
    """The provider has given money back; `whole` when nothing of the payment is left.

    `order_id`: the order it is for; of a purchase in several shops, that shop's.
    """

    payment_id: PaymentId
    order_id: OrderId
    refund_id: UUID
    amount: int
    currency: str
    reason: str
    whole: bool
    refunded_at: datetime


class PaymentReversed(Event, tag="payment.reversed", frozen=True, kw_only=True):
    """A chargeback: the provider took money back out of a captured payment."""

    payment_id: PaymentId
    order_id: OrderId
    dispute_id: UUID
    amount: int
    currency: str
    reason: str
    reversed_at: datetime
    purpose: str = "order"
    wallet_id: UUID | None = None
    """Of a `topup`: the wallet that it had filled."""


class PaymentRestored(Event, tag="payment.restored", frozen=True, kw_only=True):
    """A chargeback was won: what `PaymentReversed` of the same dispute told of is back."""

    payment_id: PaymentId
    order_id: OrderId
    dispute_id: UUID
    amount: int
    currency: str
    restored_at: datetime
    purpose: str = "order"
    wallet_id: UUID | None = None


class SellerChanged(Event, tag="payment.seller_changed", frozen=True, kw_only=True):
    """A shop's or streamer's account at a provider stands otherwise: `pending`, `ready`, `limited` or `refused`."""

    provider: str
    owner_id: UUID
    kind: str
    """`shop` or `streamer`."""
    state: str
    reason: str
    changed_at: datetime


class ReleaseDone(Event, tag="payment.release_done", frozen=True, kw_only=True):
    """The provider has let money go into the seller's own account there."""

    release_id: UUID
    provider: str
    owner_id: UUID
    amount: int
    currency: str
    released_at: datetime


class ReleaseFailed(Event, tag="payment.release_failed", frozen=True, kw_only=True):
    """The provider will not let the money go, for good; it is where it was."""

    release_id: UUID
    provider: str
    owner_id: UUID
    amount: int
    currency: str
    reason: str
    failed_at: datetime
