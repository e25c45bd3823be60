"""The words of payments: states and the moves between them, what is paid and given back, refusals. No I/O here."""

from datetime import date, datetime
from enum import StrEnum
from typing import NewType
from uuid import UUID

import msgspec

from laotie.base.ids import AccountId, OrderId, PaymentId, ShopId
from laotie.base.money import Money
from laotie.base.refusals import Conflict, Invalid, NotFound, Refusal, TooBusy, Unauthenticated

RefundId = NewType("RefundId", UUID)
DisputeId = NewType("DisputeId", UUID)
StatementId = NewType("StatementId", UUID)
SellerId = NewType("SellerId", UUID)
ReleaseId = NewType("ReleaseId", UUID)
ResolutionId = NewType("ResolutionId", UUID)

CALL_ATTEMPTS_MAX = 10
REFUND_FAILURES_MAX = 5
EVIDENCE_LENGTH_MAX = 10_000
REASON_LENGTH_MAX = 500
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

    @property
    def left_amount(self) -> int:
        """What of it has neither gone back nor is on its way there."""
        return self.taken - self.refunding_amount - self.refunded_amount - self.reversed_amount


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


class SellerKind(StrEnum):
    """Whose account at a provider it is."""

    shop = "shop"
    streamer = "streamer"


class SellerState(StrEnum):
    """Where a seller's account at a provider stands."""

    asked = "asked"
    """Written down; the provider has not answered yet."""
    pending = "pending"
    """The provider waits for the seller, or looks at what it was given."""
    ready = "ready"
    """Money can be let go into it."""
    limited = "limited"
    """It exists, but the provider wants something before more may go into it."""
    refused = "refused"
    """The provider does not want this seller."""


class Seller(msgspec.Struct, frozen=True, kw_only=True):
    """The account of a shop or streamer (`owner_id`) at a provider, in whose books it is `provider_ref`."""

    id: SellerId
    provider: str
    owner_id: UUID
    kind: SellerKind
    name: str
    country: str
    provider_ref: str | None
    state: SellerState
    reason: str
    asked_by: AccountId
    asked_at: datetime
    changed_at: datetime


class ReleaseState(StrEnum):
    """Where money for a seller's own account stands."""

    asked = "asked"
    sent = "sent"
    """The provider knows of it and has not said yet whether it does it."""
    done = "done"
    failed = "failed"


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """Money that a provider is to let go into a seller's own account there."""

    id: ReleaseId
    provider: str
    owner_id: UUID
    amount: int
    currency: str
    state: ReleaseState
    provider_ref: str | None
    reason: str
    attempts: int
    asked_at: datetime
    settled_at: datetime | None


class Discrepancy(msgspec.Struct, frozen=True, kw_only=True):
    """A message of a provider that does not fit our books; nothing moved by it."""

    id: UUID
    provider: str
    event_id: str
    kind: str
    payment_id: PaymentId | None
    expected: str
    found: str
    found_at: datetime


class ResolutionState(StrEnum):
    """Where the settling of a difference stands."""

    proposed = "proposed"
    settled = "settled"
    dropped = "dropped"


class Resolution(msgspec.Struct, frozen=True, kw_only=True):
    """What operators say of a difference: the one proposes, another settles or drops it.

    `amount`: by how much our books of the provider's money are corrected with it (minor units).
    """

    id: ResolutionId
    discrepancy_id: UUID | None
    statement_id: StatementId | None
    mark: str | None
    provider: str
    kind: str
    reference: str
    expected: str
    found: str
    reason: str
    amount: int | None
    currency: str | None
    state: ResolutionState
    proposed_by: AccountId
    proposed_at: datetime
    decided_by: AccountId | None
    decided_at: datetime | None


class Fee(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider took for one service, or gave back of it (negative)."""

    id: UUID
    statement_id: StatementId
    amount: int
    currency: str


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider took for its services, and of how much that came in through it."""

    provider: str
    currency: str
    line_count: int
    fee_amount: int
    captured_amount: int


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
    release = "release"
    """Money let go into a seller's own account."""
    fee = "fee"
    own = "own"
    """The house's own money on its way between its accounts, such as to its bank: no change to the books."""
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
    resolution_id: ResolutionId | None = None
    """What operators say of it: proposed, or settled."""
    settled: bool = False


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """A statement that was brought: when it was last matched, and how many differences there were."""

    id: StatementId
    provider: str
    stated_on: date
    digest: str
    name: str
    line_count: int
    difference_count: int
    open_count: int
    """Differences that nobody has settled."""
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
    """Messages that differ from our books and that nobody has settled."""
    differences: int
    """Differences from providers' statements that nobody has settled."""
    resolutions: int
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


class PoolingOff(Conflict, code="pooling-off"):
    """This provider cannot split payments, so the money of other people's sales would lie with the house.

    Holding other people's money is a regulated business in most places, so it is off. Use a provider that splits, mark a
    shop that is the house's own as such, or, having the licence, set `LAOTIE_POOLING`.
    """

    provider: str
    shop_ids: list[ShopId]
    """Whose money it would be; empty: people's wallets."""
    why: str
    instead: list[str]
    """The ways to pay that can be used."""


class SellerNotOpen(Conflict, code="seller-not-open"):
    """The provider has refused this seller, or does not know it yet."""

    state: SellerState
    reason: str


class AlreadyResolved(Conflict, code="already-resolved"):
    """Somebody has proposed or decided this already."""

    state: ResolutionState


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
