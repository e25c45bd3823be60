"""The words of after-sales: kinds, reasons, states, acts, cases, and what is refused. No I/O here."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NewType
from uuid import UUID

import msgspec

from laotie.base.ids import AccountId, OrderId, ProductId, ShopId, SkuId
from laotie.base.money import Money
from laotie.base.refusals import Conflict, Invalid

CaseId = NewType("CaseId", UUID)
EntryId = NewType("EntryId", UUID)
ExhibitId = NewType("ExhibitId", UUID)

CASES_PER_ORDER_MAX = 20
ENTRIES_PER_CASE_MAX = 200
EXHIBITS_PER_ENTRY_MAX = 9
EXHIBITS_PER_CASE_MAX = 40
TEXT_LENGTH_MAX = 1_000
CARRIER_LENGTH_MAX = 40
NUMBER_LENGTH_MAX = 60
FREIGHT_AMOUNT_MAX = 5_000
"""What sending a parcel back may cost, when no guarantee says more (minor units)."""
AT_ONCE_PER_MONTH_MAX = 5
"""So many small claims of a buyer the guarantee settles by itself in 30 days; the rest a person looks at."""
PAGE_SIZE_MAX = 100
ACCEPTED_AT_ONCE_MAX = 50


class CaseKind(StrEnum):
    """What the buyer asks for."""

    refund_only = "refund_only"
    """Money, the goods stay where they are."""
    return_refund = "return_refund"
    exchange = "exchange"
    repair = "repair"
    withdrawal = "withdrawal"
    """The law's right: no reason, nobody's consent."""


class Reason(StrEnum):
    """Why."""

    not_received = "not_received"
    damaged = "damaged"
    defective = "defective"
    wrong_item = "wrong_item"
    missing_parts = "missing_parts"
    not_as_described = "not_as_described"
    not_as_promised = "not_as_promised"
    """The streamer said otherwise: the recording's second goes with the case."""
    counterfeit = "counterfeit"
    late = "late"
    changed_mind = "changed_mind"
    agreed = "agreed"
    """Shop and buyer have agreed on it."""


class Party(StrEnum):
    """Who acts. The house is time and rule: nobody in person."""

    buyer = "buyer"
    shop = "shop"
    operator = "operator"
    house = "house"


class CaseState(StrEnum):
    """Where a case stands. The table (`aftersales.table`) says what may happen there."""

    requested = "requested"
    refused = "refused"
    countered = "countered"
    returning = "returning"
    sent_back = "sent_back"
    disputed = "disputed"
    preparing = "preparing"
    replacing = "replacing"
    arbitration = "arbitration"
    overdue = "overdue"
    refunded = "refunded"
    replaced = "replaced"
    repaired = "repaired"
    rejected = "rejected"
    withdrawn = "withdrawn"
    expired = "expired"


ENDS = frozenset(
    {CaseState.refunded, CaseState.replaced, CaseState.repaired, CaseState.rejected, CaseState.withdrawn, CaseState.expired}
)


class Act(StrEnum):
    """What somebody does, or time."""

    open = "open"
    open_by_right = "open_by_right"
    open_guaranteed = "open_guaranteed"
    accept = "accept"
    refuse = "refuse"
    counter = "counter"
    take_offer = "take_offer"
    escalate = "escalate"
    call_off = "call_off"
    send_back = "send_back"
    approve_goods = "approve_goods"
    dispute_goods = "dispute_goods"
    send_replacement = "send_replacement"
    confirm = "confirm"
    decide_for_buyer = "decide_for_buyer"
    decide_for_shop = "decide_for_shop"
    decide_split = "decide_split"
    time_over = "time_over"
    say = "say"
    """A message, with files or without: moves nothing."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """Pieces of an order's line that a case is about. `amount`: what was paid for them."""

    no: int
    sku_id: SkuId
    product_id: ProductId
    pledge_id: UUID | None
    title: str
    options: dict[str, str]
    quantity: int
    bought_quantity: int
    amount: int
    restocked_quantity: int = 0
    written_off_quantity: int = 0


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A case as its row holds it.

    `amount` is what the buyer gets for the goods if it goes as asked; `is_part` says that it is less than was paid, and
    the goods stay. `must_return`: the goods are at the buyer's and have to come back first; `is_back`: they have.
    `is_guaranteed`: a guarantee settled it at once. `is_unsent`: its pieces had not left the shop.
    """

    id: CaseId
    digest: bytes
    order_id: OrderId
    shop_id: ShopId
    buyer_id: AccountId
    kind: CaseKind
    reason: Reason
    statute: str | None
    state: CaseState
    currency: str
    amount: int
    is_part: bool
    must_return: bool
    is_back: bool
    is_guaranteed: bool
    is_unsent: bool
    exchange_sku_id: SkuId | None
    offer_kind: CaseKind | None
    offer_amount: int | None
    return_carrier: str | None
    return_number: str | None
    replacement_carrier: str | None
    replacement_number: str | None
    freight_amount: int
    freight_by: Party
    freight_paid_amount: int
    freight_is_pledged: bool
    refunded_amount: int
    guarantee_amount: int
    opened_at: datetime
    changed_at: datetime
    due_at: datetime | None
    closed_at: datetime | None
    entry_count: int


class AskedLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """So many pieces of a line of the order."""

    no: int
    quantity: int


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """What a buyer opens a case with.

    `amount`: less than was paid, when only a part is asked for. `is_unsealed`: the buyer broke a seal of hygiene.
    """

    id: CaseId
    order_id: OrderId
    kind: CaseKind
    reason: Reason
    lines: tuple[AskedLine, ...]
    amount: int | None = None
    exchange_sku_id: SkuId | None = None
    is_unsealed: bool = False
    text: str = ""
    exhibits: tuple[ExhibitId, ...] = ()


class Inspected(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of a line's returned pieces, so many can be sold again; the others are written off."""

    no: int
    restock: int


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What one side does next. Which fields count, the act says; others stay empty.

    `counter`, `dispute_goods`: `kind` and `amount` offered. `send_back`: carrier, number, what it cost (`freight`).
    `approve_goods`: `inspected`, by default all can be sold again. `send_replacement`: carrier and number. Decisions:
    `text` with the reasons, `amount` (split), `freight_by`, and `in_money` when money takes the place of the goods.
    """

    id: EntryId
    act: Act
    text: str = ""
    exhibits: tuple[ExhibitId, ...] = ()
    kind: CaseKind | None = None
    amount: int | None = None
    carrier: str = ""
    number: str = ""
    freight: int = 0
    inspected: tuple[Inspected, ...] = ()
    freight_by: Party | None = None
    in_money: bool = False


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the log: who did what, when, and where the case stood before and after."""

    id: EntryId
    no: int
    at: datetime
    party: Party
    actor_id: AccountId | None
    act: Act
    state_before: CaseState | None
    state: CaseState
    text: str
    facts: dict[str, Any]


class ActRefused(Conflict, code="act-refused"):
    """This cannot be done now: somebody else moved the case on, or it is another's turn."""

    state: CaseState
    act: Act


class NoClaim(Conflict, code="no-claim"):
    """Nothing was paid for this order, or it came to nothing."""

    state: str


class PiecesTaken(Conflict, code="pieces-taken"):
    """So many pieces of this line are not left: they were given back, or another case is about them."""

    no: int
    left: int


class ClaimTooLate(Conflict, code="claim-too-late"):
    """The time for this claim is over."""

    until: datetime


class WithdrawalExcluded(Conflict, code="withdrawal-excluded"):
    """The law excludes these goods from withdrawal without a reason."""

    no: int
    ground: str
    law: str


class NotHere(Conflict, code="goods-not-here"):
    """These pieces have not been sent yet, so there is nothing to return: ask for the money."""

    no: int


class PartlySent(Conflict, code="partly-sent"):
    """Some of these pieces are on their way and some are not: open one case for each."""

    no: int


class ClaimRefused(Invalid, code="claim-refused"):
    """A part of the claim does not fit; its name is given."""

    field: str


class ReplacementRefused(Conflict, code="replacement-refused"):
    """Only another piece of the same product at the same price can be taken in exchange, and one that is there."""

    sku_id: SkuId | None


class TooManyCases(Conflict, code="too-many-cases"):
    """So many cases about one order are enough."""

    count_max: int


class CaseFull(Conflict, code="case-full"):
    """This case holds as many entries or files as it may."""

    count_max: int


class StepRefused(Invalid, code="step-refused"):
    """A part of what was sent does not fit this act; its name is given."""

    field: str


class AmountTooHigh(Invalid, code="amount-too-high"):
    """This is more than was paid for these pieces."""

    amount_max: Money


class ExhibitRefused(Invalid, code="exhibit-refused"):
    """This file is not yours, not for evidence, or not here."""

    id: UUID


AT_FAULT = frozenset(
    {
        Reason.not_received,
        Reason.damaged,
        Reason.defective,
        Reason.wrong_item,
        Reason.missing_parts,
        Reason.not_as_described,
        Reason.not_as_promised,
        Reason.counterfeit,
        Reason.late,
    }
)
"""If it is so, the shop is at fault: shipping goes back too, and the shop bears the way back."""

CLAIM_DAYS: dict[Reason, int] = {
    Reason.not_received: 60,
    Reason.damaged: 15,
    Reason.wrong_item: 15,
    Reason.missing_parts: 15,
    Reason.late: 15,
    Reason.changed_mind: 15,
    Reason.agreed: 90,
    Reason.not_as_described: 30,
    Reason.not_as_promised: 30,
    Reason.defective: 365,
    Reason.counterfeit: 365,
}
"""How long after delivery a claim may be made."""

REASONS: dict[CaseKind, frozenset[Reason]] = {
    CaseKind.refund_only: frozenset(Reason),
    CaseKind.return_refund: frozenset(Reason) - {Reason.not_received},
    CaseKind.exchange: frozenset(Reason) - {Reason.not_received, Reason.late},
    CaseKind.repair: frozenset({Reason.damaged, Reason.defective, Reason.missing_parts, Reason.agreed}),
    CaseKind.withdrawal: frozenset({Reason.changed_mind}),
}
"""Which reasons go with which kind."""


def claim_until(reason: Reason, delivered_at: datetime | None) -> datetime | None:
    """Until when a claim may be made; without an end while nothing was delivered."""
    return None if delivered_at is None else delivered_at + timedelta(days=CLAIM_DAYS[reason])
