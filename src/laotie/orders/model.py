"""The words of a purchase: what is asked, what is answered, and every reason to refuse."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec

from laotie.base.entry import Credit, Source
from laotie.base.ids import AccountId, CartItemId, OrderId, ShopId, ShowId, SkuId, VisitId
from laotie.base.money import Money
from laotie.base.refusals import Conflict, Invalid

LINES_MAX = 50
QUANTITY_MAX = 9_999
NOTE_LENGTH_MAX = 200
NO_WAVE = UUID(int=0)
"""Under this id a buyer's pieces outside any wave are counted."""


class OrderState(StrEnum):
    """Where an order stands."""

    placed = "placed"
    paid = "paid"
    shipped = "shipped"
    completed = "completed"
    cancelled = "cancelled"
    refunded = "refunded"


LATER_STATES = (OrderState.paid, OrderState.shipped, OrderState.completed, OrderState.refunded)
"""States that only a paid order has."""


class EndReason(StrEnum):
    """Why an order came to nothing."""

    buyer = "buyer"
    """The buyer cancelled it."""
    unpaid = "unpaid"
    """Its time to pay was over."""
    team_failed = "team-failed"
    """The team that it was bought in did not come together."""


class RefundReason(StrEnum):
    """Why money that came for a purchase went back by itself."""

    late_payment = "late-payment"
    """The order had ended before the money came."""
    second_payment = "second-payment"
    """The order was paid already."""
    amount_differs = "amount-differs"
    """It was not the order's total."""


class AskLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing wanted, at the price that the buyer saw (minor units of the shop's currency).

    With `grant_id`, one piece at the price of one's own that was granted; with `team_id`, a seat at a team's price.
    """

    sku_id: SkuId
    cart_item_id: CartItemId | None
    quantity: int
    price_amount: int
    grant_id: UUID | None = None
    team_id: UUID | None = None


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """A purchase as it arrives. `client_id` is the client's own id for it and makes repeating safe.

    `currency` is the one that the buyer saw the prices in; a socket's buyer saw the cart's and does not say.
    """

    buyer_id: AccountId
    client_id: UUID
    show_id: ShowId | None
    lines: tuple[AskLine, ...]
    source: Source
    placement: str
    visit_id: VisitId | None = None
    note: str | None = None
    notes: tuple[tuple[ShopId, str], ...] = ()
    """What is said to one shop of several; to the others, `note`."""
    currency: str | None = None
    request_id: str | None = None
    coupons: tuple[UUID, ...] = ()
    """Claims of coupons to redeem: all of them, or nothing is bought."""
    total_amount: int | None = None
    """What the buyer saw as the total without shipping, if they did; at another total nothing is bought."""
    campaign: str | None = None
    streamer_id: AccountId | None = None
    is_fan: bool = False
    rule_version: int = 1
    credits: tuple[tuple[ShopId, Credit], ...] = ()
    """What single shops' parts are credited with; the others, with the fields above."""
    is_simulated: bool = False
    """Asked by a developer in a sandbox shop, whose goods nobody else can buy."""

    def credit_for(self, shop_id: ShopId) -> Credit:
        """What this shop's part is credited with."""
        for one, credit in self.credits:
            if one == shop_id:
                return credit
        return Credit(
            source=self.source,
            placement=self.placement,
            visit_id=self.visit_id,
            campaign=self.campaign,
            streamer_id=self.streamer_id,
            is_fan=self.is_fan,
            rule_version=self.rule_version,
        )


class Credited(msgspec.Struct, frozen=True, kw_only=True):
    """A row that bears the columns of a credit; each is named in its `SELECT`."""

    source: str
    placement: str
    visit_id: VisitId | None
    campaign: str | None
    streamer_id: AccountId | None
    is_fan: bool
    rule_version: int

    @property
    def credit(self) -> Credit:
        """What it is credited with."""
        return Credit(
            source=Source(self.source),
            placement=self.placement,
            visit_id=self.visit_id,
            campaign=self.campaign,
            streamer_id=self.streamer_id,
            is_fan=self.is_fan,
            rule_version=self.rule_version,
        )


class Placed(msgspec.Struct, frozen=True):
    """The accepted purchase. `again` says that this id had been answered before with this same order.

    Goods of several shops make an order each: `id` is the first one's and the purchase's, `others` are the rest. They
    are paid together; `total_amount` is of all.
    """

    id: OrderId
    client_id: UUID
    state: OrderState
    currency: str
    total_amount: int
    placed_at: datetime
    pay_by: datetime
    again: bool
    others: tuple[OrderId, ...] = ()

    @property
    def order_ids(self) -> tuple[OrderId, ...]:
        """All orders of the purchase."""
        return (self.id, *self.others)


class SoldOut(Conflict, code="sold-out"):
    """Not enough pieces are left."""

    sku_id: SkuId
    available: int


class PriceChanged(Conflict, code="price-changed"):
    """The price is no longer the one you saw; nothing was bought."""

    sku_id: SkuId
    price: Money


class GrantSpent(Conflict, code="grant-spent"):
    """This price of your own has been used."""

    grant_id: UUID


class GrantOver(Conflict, code="grant-over"):
    """This price of your own does not hold: it is for one piece of one thing, for one person, for a time."""

    grant_id: UUID


class OffShelf(Conflict, code="off-shelf"):
    """This is not for sale at the moment."""

    sku_id: SkuId


class SaleOver(Conflict, code="sale-over"):
    """The time of this offer is over."""

    sku_id: SkuId
    ended_at: datetime


class BetweenWaves(Conflict, code="between-waves"):
    """This is sold in waves, and the next one has not begun."""

    sku_id: SkuId


class PromiseBroken(Conflict, code="promise-broken"):
    """The price is above what the streamer promised; nothing is sold at it."""

    sku_id: SkuId
    price_max: Money


class LimitReached(Conflict, code="limit-reached"):
    """Each person may buy only so many of this."""

    sku_id: SkuId
    limit: int
    bought: int


class MixedCurrencies(Invalid, code="mixed-currencies"):
    """One purchase is in one currency; buy what is priced in another by itself."""


class TotalChanged(Conflict, code="total-changed"):
    """The total is no longer the one you saw; nothing was bought."""

    total: Money


class RefundExceeds(Conflict, code="refund-exceeds"):
    """More than what is left of the order cannot be given back."""

    order_id: OrderId
    left: Money


class NothingPaid(Conflict, code="nothing-paid"):
    """Only what was paid can be given back."""

    state: OrderState


class OrderEmpty(Invalid, code="order-empty"):
    """An order has between one line and fifty."""

    lines_max: int


class QuantityRefused(Invalid, code="quantity-refused"):
    """The quantity must be a whole number in range."""

    sku_id: SkuId
    quantity: int
    quantity_max: int


class TotalRefused(Invalid, code="total-refused"):
    """The total is larger than any order may be."""


class OrderNotOpen(Conflict, code="order-not-open"):
    """This can only be done while the order waits for its payment."""

    state: OrderState


class AddressMissing(Conflict, code="address-missing"):
    """Say where the parcel goes first."""


class PaymentUnderWay(Conflict, code="payment-under-way"):
    """A payment of the present sum is under way; sending it there costs another one. Wait for it, or cancel the order."""


class PayTimeOver(Conflict, code="pay-time-over"):
    """The time to pay this order is over."""

    pay_by: datetime


class TooManyPayments(Conflict, code="too-many-payments"):
    """So many attempts to pay one order are enough; place it anew."""

    payments_max: int
