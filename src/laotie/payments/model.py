"""The words of payments: states and the moves between them, what is paid and given back, refusals. No I/O here."""

from datetime import date, datetime
from enum import StrEnum
from typing import NewType
from uuid import UUID

import msgspec

from laotie.base.ids import AccountId, OrderId, PaymentId
from laotie.base.money import Money
from laotie.base.refusals import Conflict, Invalid, NotFound, Refusal, TooBusy, Unauthenticated

RefundId = NewType("RefundId", UUID)
DisputeId = NewType("DisputeId", UUID)
StatementId = NewType("StatementId", UUID)

CALL_ATTEMPTS_MAX = 10
REFUND_FAILURES_MAX = 5
EVIDENCE_LENGTH_MAX = 10_000
STATEMENT_BYTES_MAX = 32 * 1024**2
STATEMENT_LINES_MAX = 500_000
PAUSE_MAX_S = 3_600
WEBHOOK_BODY_BYTES_MAX = 65_536


class PaymentState(StrEnum):
    """Where a payment stands."""

    created = "created"
    """Written down; the provider has not answered yet."""
    pending = "pending"
    """The provider waits for the buyer."""
    authorised = "authorised"
    """The buyer has agreed and the provider keeps the money ready; it is not taken yet."""
    failed = "failed"
    """Declined, or the provider could not be reached."""
    captured = "captured"
    """The money is there."""
    refunding = "refunding"
    """Some of it is on its way back."""
    refunded = "refunded"
    """All of it went back."""
    reversed = "reversed"
    """Nothing is left, because the provider took some or all of it back (a chargeback)."""


MOVES: dict[PaymentState, frozenset[PaymentState]] = {
    PaymentState.created: frozenset(
        {PaymentState.pending, PaymentState.authorised, PaymentState.failed, PaymentState.captured}
    ),
    PaymentState.pending: frozenset({PaymentState.authorised, PaymentState.failed, PaymentState.captured}),
    PaymentState.authorised: frozenset({PaymentState.failed, PaymentState.captured}),
    PaymentState.failed: frozenset({PaymentState.authorised, PaymentState.captured}),
    PaymentState.captured: frozenset({PaymentState.refunding, PaymentState.reversed}),
    PaymentState.refunding: frozenset({PaymentState.captured, PaymentState.refunded, PaymentState.reversed}),
    PaymentState.refunded: frozenset(),
    PaymentState.reversed: frozenset({PaymentState.captured}),
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
    captured_amount: int | None = None
    """What was captured, when that is less than was asked for."""
    reversed_amount: int = 0
    charge_ref: str | None = None
    next_kind: str = "redirect"

    @property
    def taken(self) -> int:
        """What came in (minor units), before anything went back; of a payment that is not captured, what was asked."""
        return self.amount if self.captured_amount is None else self.captured_amount


class Refund(msgspec.Struct, frozen=True, kw_only=True):
    """Money on its way back, or returned."""

    id: RefundId
    payment_id: PaymentId
    amount: int
    reason: str
    state: RefundState
    attempts: int
    order_id: OrderId | None = None
    """The order of a purchase that it is for; missing: the payment's own."""


class DisputeState(StrEnum):
    """Where a chargeback stands."""

    open = "open"
    """The buyer's bank wants the money back; until the deadline there may be evidence."""
    answered = "answered"
    won = "won"
    lost = "lost"


class Dispute(msgspec.Struct, frozen=True, kw_only=True):
    """A chargeback: the provider took money back, and may bring it again when the evidence convinces."""

    id: DisputeId
    provider: str
    provider_ref: str
    payment_id: PaymentId
    order_id: OrderId
    amount: int
    currency: str
    reason: str
    state: DisputeState
    money: str
    """`kept`: nothing moved yet, `taken`, or `returned`."""
    evidence_until: datetime | None
    evidence: str | None
    opened_at: datetime


class PaymentMethod(msgspec.Struct, frozen=True, kw_only=True):
    """A way to pay that a buyer may choose."""

    method: str
    can: list[str]
    currencies: list[str]
    """Empty: any that the platform settles in."""
    step: str
    """`redirect` to the provider's page, or a `qr` code to scan."""


class LineKind(StrEnum):
    """What a line of a provider's statement is of."""

    payment = "payment"
    refund = "refund"
    reversal = "reversal"
    restoration = "restoration"
    fee = "fee"
    other = "other"


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a provider's statement, in our words. Amounts in minor units; what went out is negative."""

    no: int
    """Its line in the file."""
    kind: LineKind
    reference: str
    """The provider's name of it."""
    ours: str = ""
    """Our name of it, as the file has it."""
    amount: int
    fee: int
    currency: str
    moved_at: datetime | None


class Sheet(msgspec.Struct, frozen=True, kw_only=True):
    """A provider's statement of one day, read."""

    day: date | None
    lines: list[Line]


class DifferenceKind(StrEnum):
    """How a provider's statement and our books differ."""

    missing_here = "missing-here"
    missing_there = "missing-there"
    amount_differs = "amount-differs"
    currency_differs = "currency-differs"
    twice = "twice"
    fee = "fee"
    ledger_differs = "ledger-differs"


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One difference, for a person to look into."""

    kind: DifferenceKind
    line_no: int | None
    subject_id: UUID | None
    """The payment, refund or chargeback."""
    order_id: OrderId | None
    reference: str
    expected: str
    found: str


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """A statement that was brought: when it was last matched, and how many differences there were."""

    id: StatementId
    provider: str
    stated_on: date
    digest: str
    name: str
    line_count: int
    difference_count: int
    brought_at: datetime
    matched_at: datetime


class Verdict(StrEnum):
    """What became of a provider's message."""

    applied = "applied"
    repeated = "repeated"
    stale = "stale"
    early = "early"
    """It came before the message that it follows, and is kept until that is here."""
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
    disputes_open: int
    early: int
    """Messages that still wait for the one before them."""


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


class ProviderNotInstalled(Refusal, code="provider-not-installed", status=503):
    """The library of this payment provider is not installed."""

    provider: str
    install: str


class ProviderNotReady(Refusal, code="provider-not-ready", status=503):
    """This payment provider lacks settings; see docs/settings.md."""

    provider: str
    missing: list[str]


class CurrencyNotTaken(Conflict, code="currency-not-taken"):
    """This way to pay does not take that currency."""

    provider: str
    currencies: list[str]


class DisputeClosed(Conflict, code="dispute-closed"):
    """The time for evidence is over, or the chargeback is decided."""

    state: DisputeState
    evidence_until: datetime | None


class StatementUnreadable(Invalid, code="statement-unreadable"):
    """The file is not a statement of that provider, or a line of it cannot be read."""

    reason: str
    line: int | None = None


class SignatureRefused(Unauthenticated, code="signature-refused"):
    """The message is not signed as agreed, or too old."""

    reason: str


class RefundTooMuch(Conflict, code="refund-too-much"):
    """More than what is left of the payment cannot be given back."""

    payment_id: PaymentId


def may_move(state: PaymentState, to: PaymentState) -> bool:
    """Whether news of `to` still changes a payment that stands at `state`."""
    return to in MOVES[state]


def state_after(taken: int, *, refunding: int, refunded: int, reversed_: int) -> PaymentState:
    """Where a captured payment stands, by what has gone back, is on its way back, or was taken back."""
    if refunding > 0:
        return PaymentState.refunding
    if refunded + reversed_ < taken:
        return PaymentState.captured
    return PaymentState.reversed if reversed_ else PaymentState.refunded


def is_partial(asked: Money, found: Money | None) -> bool:
    """Less than was asked for, in the currency that was asked for."""
    return found is not None and found.currency == asked.currency and 0 < found.amount < asked.amount


def pause_s(attempts: int) -> int:
    """Seconds until the next try after that many: 1, 2, 4 … an hour at most."""
    return min(PAUSE_MAX_S, 1 << min(attempts, 12))
