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


class PaymentRestored(Event, tag="payment.restored", frozen=True, kw_only=True):
    """A chargeback was won: what `PaymentReversed` of the same dispute told of is back."""

    payment_id: PaymentId
    order_id: OrderId
    dispute_id: UUID
    amount: int
    currency: str
    restored_at: datetime
    purpose: str = "order"
