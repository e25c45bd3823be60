"""The words of guarantees: promises, pledges, deposits, payouts, and what is refused. No I/O here."""

from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

import msgspec

from laotie.base.ids import AccountId, OrderId, ShopId
from laotie.base.money import Money, exponent
from laotie.base.refusals import Conflict, Invalid

AMOUNT_MAX = 10**11
RETURN_DAYS_MIN = 7
RETURN_DAYS_MAX = 90
PAGE_SIZE_MAX = 100
PLEDGES_MAX = 1_000
SETTLED_AT_ONCE_MAX = 200


class PromiseKind(StrEnum):
    """What a shop may promise."""

    refund_without_return = "refund_without_return"
    """Money back and the goods stay with the buyer, up to a cap an order."""
    return_freight = "return_freight"
    """The way back is paid, up to a cap an order."""
    authentic_ninefold = "authentic_ninefold"
    """Not authentic: nine times the price."""
    seven_days = "seven_days"
    """Back without giving a reason, within `days`."""


CAPPED = (PromiseKind.refund_without_return, PromiseKind.return_freight)


class Guarantee(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One promise. `cap_amount` (minor units, an order) is for the capped kinds, `days` for returns without a reason."""

    kind: PromiseKind
    cap_amount: int | None = None
    days: int | None = None


class Pledge(msgspec.Struct, frozen=True, kw_only=True):
    """What a shop promises, in one immutable row: orders name the one that they were placed under."""

    id: UUID
    shop_id: ShopId
    currency: str
    promises: list[Guarantee]
    made_at: datetime

    def find(self, kind: PromiseKind) -> Guarantee | None:
        """The promise of a kind."""
        return next((promise for promise in self.promises if promise.kind is kind), None)


class Offered(NamedTuple):
    """The pledge that a product is sold under, and whether it is its own (not its shop's)."""

    pledge: Pledge
    is_own: bool


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """A version of the rule, in minor units: what a deposit must hold, and what a buyer may get in a month."""

    version: int
    base: int
    required: dict[PromiseKind, int]
    monthly: dict[PromiseKind, int]
    grace_h: int
    tail_days: int

    def need(self, kinds: set[PromiseKind]) -> int:
        """What a deposit behind these promises must hold; nothing promised, nothing needed."""
        return self.base + sum(self.required.get(kind, 0) for kind in kinds) if kinds else 0

    @property
    def grace(self) -> timedelta:
        """How long a deposit may be short before its shop is limited."""
        return timedelta(hours=self.grace_h)

    @property
    def tail(self) -> timedelta:
        """How long a promise counts after it was last on offer: its orders are still under way."""
        return timedelta(days=self.tail_days)


class WrittenTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The same as the rule's row has it: amounts in whole units of the currency."""

    base: int
    required: dict[PromiseKind, int]
    monthly: dict[PromiseKind, int]
    grace_h: int
    tail_days: int

    def scaled(self, version: int, currency: str) -> Terms:
        """In minor units of a currency."""
        unit = 10 ** exponent(currency)
        return Terms(
            version=version,
            base=self.base * unit,
            required={kind: amount * unit for kind, amount in self.required.items()},
            monthly={kind: amount * unit for kind, amount in self.monthly.items()},
            grace_h=self.grace_h,
            tail_days=self.tail_days,
        )


class Obligation(msgspec.Struct, frozen=True):
    """A kind that the deposit stands for; `ends_at` when it is no longer promised to anybody new."""

    kind: PromiseKind
    ends_at: datetime | None


class Deposit(msgspec.Struct, frozen=True, kw_only=True):
    """A shop's deposit as its row has it."""

    shop_id: ShopId
    currency: str
    required_amount: int
    rule_version: int
    put_in_amount: int
    paid_amount: int
    taken_back_amount: int
    owed_amount: int
    short_since: datetime | None
    limited_at: datetime | None
    look_again_at: datetime | None

    @property
    def balance_amount(self) -> int:
        """What is in it."""
        return self.put_in_amount - self.paid_amount - self.taken_back_amount

    @property
    def missing_amount(self) -> int:
        """What would have to be put in for everything to be in order."""
        return max(0, self.required_amount + self.owed_amount - self.balance_amount)

    @property
    def free_amount(self) -> int:
        """What may be taken back."""
        return max(0, self.balance_amount - self.required_amount - self.owed_amount)


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A deposit, the rule it goes by, and what it stands for."""

    deposit: Deposit
    terms: Terms
    obligations: list[Obligation]
    limited_from: datetime | None


class Payout(msgspec.Struct, frozen=True, kw_only=True):
    """A claim under a pledge: `asked_amount`, the `amount` that promise and month allow, what of it was paid."""

    id: UUID
    pledge_id: UUID
    kind: PromiseKind
    order_id: OrderId
    line_no: int
    shop_id: ShopId
    buyer_id: AccountId
    currency: str
    asked_amount: int
    amount: int
    paid_amount: int
    made_at: datetime

    @property
    def owed_amount(self) -> int:
        """What is paid when the shop fills its deposit."""
        return self.amount - self.paid_amount


class GuaranteeRefused(Invalid, code="guarantee-refused"):
    """A promise is made once, with the cap or the days that its kind needs, and no other."""

    kind: str


class NotPledged(Conflict, code="not-pledged"):
    """This was not promised when the order was placed."""

    kind: str


class DepositNeeded(Conflict, code="deposit-needed"):
    """The deposit stands for the shop's promises; only what is above the requirement can be taken back."""

    free: Money


class DepositAmountRefused(Invalid, code="deposit-amount-refused"):
    """An amount above zero, in the shop's currency."""

    currency: str


def check_promises(promises: list[Guarantee]) -> list[Guarantee]:
    """The promises in the order of their kinds, or `GuaranteeRefused`."""
    kinds = list(PromiseKind)
    for promise in promises:
        capped, timed = promise.kind in CAPPED, promise.kind is PromiseKind.seven_days
        twice = sum(other.kind is promise.kind for other in promises) > 1
        if twice or capped != (promise.cap_amount is not None) or timed != (promise.days is not None):
            raise GuaranteeRefused(kind=promise.kind)
        if capped and not 0 < (promise.cap_amount or 0) <= AMOUNT_MAX:
            raise GuaranteeRefused(kind=promise.kind)
        if timed and not RETURN_DAYS_MIN <= (promise.days or 0) <= RETURN_DAYS_MAX:
            raise GuaranteeRefused(kind=promise.kind)
    return sorted(promises, key=lambda promise: kinds.index(promise.kind))


def month_of(instant: datetime) -> date:
    """The first day of its calendar month (UTC)."""
    return instant.date().replace(day=1)
