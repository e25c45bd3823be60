"""What happens to payments."""

from datetime import datetime
from uuid import UUID

from laotie.base.events import Event
from laotie.base.ids import OrderId, PaymentId


class PaymentCaptured(Event, tag="payment.captured", frozen=True, kw_only=True):
    """The provider has the buyer's money, all of it, in the right currency."""

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
    """The provider has given money back; `whole` when nothing of the payment is left."""

    payment_id: PaymentId
    order_id: OrderId
    refund_id: UUID
    amount: int
    currency: str
    reason: str
    whole: bool
    refunded_at: datetime
