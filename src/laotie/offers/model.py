"""The words of offers: coupons, claims, the rule of stacking, why one applies or not, and what is refused. No I/O."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple, NewType
from uuid import UUID

import msgspec

from laotie.base.ids import AccountId, ProductId, ShopId, ShowId
from laotie.base.refusals import Conflict, Invalid

CouponId = NewType("CouponId", UUID)
ClaimId = NewType("ClaimId", UUID)

TITLE_LENGTH_MAX = 60
PRODUCTS_MAX = 200
STEPS_MAX = 10
QUANTITY_MAX = 10_000_000
PER_PERSON_MAX = 100
BUDGET_MAX = 10**13
DAYS_MAX = 366
RUNNING_MAX = 200
"""Coupons that one shop, or the platform, may have running at a time."""
COUPONS_PER_PURCHASE_MAX = 20
HELD_CONSIDERED_MAX = 100
"""Of one's unused claims, those that end first are considered for the best choice."""
PLATFORM = UUID(int=0)
"""Stands for the platform where a shop stands for itself."""


class Layer(StrEnum):
    """Coupons of a purchase count one layer after the other, in this order."""

    show = "show"
    shop = "shop"
    platform = "platform"


LAYERS = tuple(Layer)


class CouponKind(StrEnum):
    """How a coupon reckons."""

    fixed = "fixed"
    """An amount off."""
    percent = "percent"
    """A share off, up to a cap."""
    steps = "steps"
    """Spend so much, save so much; the highest step reached counts."""


class CouponState(StrEnum):
    """A stopped coupon is neither given out nor taken any more."""

    running = "running"
    stopped = "stopped"


class Step(msgspec.Struct, frozen=True):
    """Who spends so much saves so much."""

    threshold_amount: int
    off_amount: int


class Coupon(msgspec.Struct, frozen=True, kw_only=True):
    """A coupon and how far it is used up. Without `shop_id` it is the platform's."""

    id: CouponId
    shop_id: ShopId | None
    layer: Layer
    title: str
    kind: CouponKind
    currency: str
    threshold_amount: int
    off_amount: int | None
    bps: int | None
    cap_amount: int | None
    steps: tuple[Step, ...] | None
    product_ids: tuple[ProductId, ...] | None
    show_id: ShowId | None
    streamer_id: AccountId | None
    fan_level: int
    new_buyer: bool
    alone: bool
    quantity: int
    per_person: int
    budget_amount: int
    claimed_count: int
    used_count: int
    spent_amount: int
    starts_at: datetime
    ends_at: datetime
    valid_days: int | None
    state: CouponState
    created_at: datetime


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """What is said to make a coupon."""

    title: str
    kind: CouponKind
    currency: str
    threshold_amount: int = 0
    off_amount: int | None = None
    bps: int | None = None
    cap_amount: int | None = None
    steps: tuple[Step, ...] | None = None
    product_ids: tuple[ProductId, ...] | None = None
    show_id: ShowId | None = None
    streamer_id: AccountId | None = None
    fan_level: int = 0
    new_buyer: bool = False
    alone: bool = False
    quantity: int
    per_person: int = 1
    budget_amount: int
    starts_at: datetime
    ends_at: datetime
    valid_days: int | None = None


class ClaimState(StrEnum):
    """Whether a claim can be spent."""

    usable = "usable"
    used = "used"
    over = "over"


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A coupon in somebody's hand."""

    id: ClaimId
    coupon: Coupon
    claimed_at: datetime
    valid_until: datetime
    order_ids: tuple[UUID, ...] | None
    used_at: datetime | None

    def state_at(self, now: datetime) -> ClaimState:
        """Whether it can be spent at an instant."""
        if self.order_ids is not None:
            return ClaimState.used
        over = self.valid_until <= now or self.coupon.state is CouponState.stopped
        return ClaimState.over if over else ClaimState.usable


class Rule(msgspec.Struct, frozen=True):
    """What may be combined: most of each layer, and layers that do not go together.

    Show and shop coupons are counted within one shop's order, the platform's over the whole purchase.
    """

    version: int
    most: dict[Layer, int]
    exclusions: tuple[tuple[Layer, Layer], ...] = ()


class CouponReason(StrEnum):
    """Why a coupon counts, or why not."""

    applied = "applied"
    unknown = "unknown"
    used = "used"
    stopped = "stopped"
    not_begun = "not-begun"
    expired = "expired"
    other_currency = "other-currency"
    other_shop = "other-shop"
    other_show = "other-show"
    other_goods = "other-goods"
    not_new_buyer = "not-new-buyer"
    level_too_low = "level-too-low"
    below_threshold = "below-threshold"
    budget_gone = "budget-gone"
    excluded = "excluded"
    layer_full = "layer-full"
    better_chosen = "better-chosen"
    nothing_left = "nothing-left"


Facts = dict[str, Any]


class Good(NamedTuple):
    """A line of a purchase as coupons see it: what its pieces cost together before any coupon."""

    shop_id: ShopId
    product_id: ProductId
    show_id: ShowId | None
    """The show whose cart it is bought from."""
    amount: int


class Held(NamedTuple):
    """A claim as the pricing judges it."""

    id: ClaimId
    holder_id: AccountId
    valid_until: datetime
    order_id: UUID | None
    """The first order that it was spent on."""
    coupon: Coupon


class Buyer(NamedTuple):
    """What is known of who buys: of whom they have bought before (`PLATFORM`: of anybody), whose fan of what level.

    Only what the coupons at hand ask for need be in it.
    """

    id: AccountId
    bought_from: frozenset[UUID] = frozenset()
    levels: Mapping[UUID, int] = {}


class Applied(NamedTuple):
    """What a claim takes off, line by line in the order of the goods, and what it was reckoned on."""

    id: ClaimId
    coupon: Coupon
    amount: int
    parts: tuple[int, ...]
    base_amount: int

    @property
    def subsidy_amount(self) -> int:
        """The part that the platform bears."""
        return self.amount if self.coupon.shop_id is None else 0


class Refused(NamedTuple):
    """Why a claim takes nothing off."""

    id: ClaimId
    coupon: Coupon | None
    reason: CouponReason
    facts: Facts


class Priced(NamedTuple):
    """Discounts and the platform's part in them, a figure a good, and what became of every claim."""

    discounts: tuple[int, ...]
    subsidies: tuple[int, ...]
    applied: list[Applied]
    refused: list[Refused]

    @property
    def total(self) -> int:
        """All that is taken off."""
        return sum(self.discounts)


class Redeemed(NamedTuple):
    """A claim spent on an order: a part a line that has one."""

    claim_id: ClaimId
    coupon: Coupon
    buyer_id: AccountId
    order_id: UUID
    amount: int
    subsidy_amount: int
    parts: tuple[tuple[int, int], ...]
    """Line number and amount."""
    base_amount: int


class Application(msgspec.Struct, frozen=True, kw_only=True):
    """What a claim took off an order; `ended_at` when the order came to nothing."""

    order_id: UUID
    claim_id: ClaimId
    coupon_id: CouponId
    title: str
    layer: Layer
    currency: str
    amount: int
    subsidy_amount: int
    lines: list[tuple[int, int]]
    base_amount: int
    rule_version: int
    ended_at: datetime | None


class Tally(msgspec.Struct, frozen=True):
    """What the coupons say against what was done with them; all of these are zero, or something is wrong."""

    coupons: int
    claims_off: int
    uses_off: int
    spent_off: int
    spent_twice: int

    @property
    def is_sound(self) -> bool:
        """Whether counts, uses and sums agree."""
        return not (self.claims_off or self.uses_off or self.spent_off or self.spent_twice)


class CouponRefused(Conflict, code="coupon-refused"):
    """A coupon does not count for this purchase; nothing was bought."""

    claim_id: ClaimId
    reason: CouponReason
    reason_facts: dict[str, Any]


class CouponGone(Conflict, code="coupon-gone"):
    """There is none left of this coupon, or its time is over or has not begun."""

    reason: str


class ClaimsReached(Conflict, code="claims-reached"):
    """Each person may have only so many of this coupon."""

    per_person: int


class NotEntitled(Conflict, code="not-entitled"):
    """This coupon is for others: for new buyers, or for a streamer's closer fans."""

    reason: CouponReason
    reason_facts: dict[str, Any]


class CouponDraftRefused(Invalid, code="coupon-draft-refused"):
    """A coupon cannot be made like that."""

    field: str


class TooManyCoupons(Conflict, code="too-many-coupons"):
    """So many coupons at a time are enough; stop one first."""

    count_max: int


class RuleRefused(Invalid, code="rule-refused"):
    """A rule of stacking names layers, and allows between none and twenty coupons of each."""
