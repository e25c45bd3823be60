"""The words of payments: states and the moves between them, what is paid and given back, refusals. No I/O here."""

from datetime import datetime
from enum import StrEnum
from typing import NewType
from uuid import UUID

import msgspec

from laotie.base.ids import AccountId, OrderId, PaymentId
from laotie.base.refusals import Conflict, NotFound, TooBusy, Unauthenticated

RefundId = NewType("RefundId", UUID)

CALL_ATTEMPTS_MAX = 10
PAUSE_MAX_S = 3_600
WEBHOOK_BODY_BYTES_MAX = 65_536


class PaymentState(StrEnum):
    """Where a payment stands."""

    created = "created"
    """Written down; the provider has not answered yet."""
    pending = "pending"
    """The provider waits for the buyer."""
    failed = "failed"
    """Declined, or the provider could not be reached."""
    captured = "captured"
    """The money is there."""
    refunding = "refunding"
    """Some of it is on its way back."""
    refunded = "refunded"
    """All of it went back."""


MOVES: dict[PaymentState, frozenset[PaymentState]] = {
    PaymentState.created: frozenset({PaymentState.pending, PaymentState.failed, PaymentState.captured}),
    PaymentState.pending: frozenset({PaymentState.failed, PaymentState.captured}),
    PaymentState.failed: frozenset({PaymentState.captured}),
    PaymentState.captured: frozenset({PaymentState.refunding}),
    PaymentState.refunding: frozenset({PaymentState.captured, PaymentState.refunded}),
    PaymentState.refunded: frozenset(),
}
"""The whole state machine. What is not listed is old news and changes nothing, so the order in which a provider's
messages arrive does not matter: money that arrived after a decline has still arrived, a decline heard after the money
has not undone it.
"""


class Purpose(StrEnum):
    """What is paid for."""

    order = "order"
    topup = "topup"
    """Money for a wallet; `order_id` is then the payment's own id."""


class RefundState(StrEnum):
    """Where a refund stands."""

    asked = "asked"
    sent = "sent"
    done = "done"
    failed = "failed"


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt to pay an order. `amount` in minor units."""

    id: PaymentId
    order_id: OrderId
    buyer_id: AccountId
    provider: str
    provider_ref: str | None
    amount: int
    currency: str
    state: PaymentState
    next_url: str | None
    failure: str | None
    refunding_amount: int
    refunded_amount: int
    created_at: datetime
    captured_at: datetime | None
    purpose: Purpose = Purpose.order
    wallet_id: UUID | None = None


class Refund(msgspec.Struct, frozen=True, kw_only=True):
    """Money on its way back, or returned."""

    id: RefundId
    payment_id: PaymentId
    amount: int
    reason: str
    state: RefundState
    attempts: int


class Verdict(StrEnum):
    """What became of a provider's message."""

    applied = "applied"
    repeated = "repeated"
    stale = "stale"
    not_understood = "not_understood"
    discrepancy = "discrepancy"


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """What the audit reads: counts, and the differences that must all be zero."""

    payments: int
    captured: int
    refunds_open: int
    refund_sums_off: int
    """Payments whose refunded or refunding amount is not the sum of their refund rows."""
    states_off: int
    """Payments whose state does not follow from their amounts."""
    discrepancies: int


class ProviderDown(TooBusy, code="provider-down"):
    """The payment provider does not answer; it is tried again by itself."""

    provider: str


class ProviderRefused(Conflict, code="provider-refused"):
    """The payment provider refuses this payment."""

    reason: str


class CannotDo(Conflict, code="provider-cannot"):
    """This payment provider has no such service."""

    provider: str
    capability: str


class NoSuchProvider(NotFound, code="no-such-provider"):
    """Payments are not taken that way here."""


class SignatureRefused(Unauthenticated, code="signature-refused"):
    """The message is not signed as agreed, or too old."""

    reason: str


class RefundTooMuch(Conflict, code="refund-too-much"):
    """More than what is left of the payment cannot be given back."""

    payment_id: PaymentId


def may_move(state: PaymentState, to: PaymentState) -> bool:
    """Whether news of `to` still changes a payment that stands at `state`."""
    return to in MOVES[state]


def state_after_refunds(amount: int, *, refunding: int, refunded: int) -> PaymentState:
    """Where a captured payment stands, by what has gone back and what is on its way."""
    if refunding > 0:
        return PaymentState.refunding
    return PaymentState.refunded if refunded == amount else PaymentState.captured


def pause_s(attempts: int) -> int:
    """Seconds until the next try after that many: 1, 2, 4 … an hour at most."""
    return min(PAUSE_MAX_S, 1 << min(attempts, 12))
