"""What happens to orders."""

from datetime import datetime
from uuid import UUID

import msgspec

from laotie.base.entry import Credit
from laotie.base.events import Event
from laotie.base.ids import AccountId, CartItemId, OrderId, ProductId, ShopId, ShowId, SkuId, VisitId


class Amounts(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a change of an order's money is made of, in minor units, signed as it changes what the buyer owes or has paid.

    amount = goods - shop discount - platform discount + shipping. Goods at the price asked, before any coupon; the tax is
    the part of the price (less discounts) that is tax, and no addend.
    """

    goods: int = 0
    shipping: int = 0
    tax: int = 0
    shop_discount: int = 0
    platform_discount: int = 0

    @property
    def amount(self) -> int:
        """What the buyer owes or has paid more."""
        return self.goods - self.shop_discount - self.platform_discount + self.shipping

    def __neg__(self) -> "Amounts":
        return Amounts(-self.goods, -self.shipping, -self.tax, -self.shop_discount, -self.platform_discount)

    def __add__(self, other: "Amounts") -> "Amounts":
        return Amounts(
            self.goods + other.goods,
            self.shipping + other.shipping,
            self.tax + other.tax,
            self.shop_discount + other.shop_discount,
            self.platform_discount + other.platform_discount,
        )


class PlacedLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of an order, as sold."""

    sku_id: SkuId
    product_id: ProductId
    cart_item_id: CartItemId | None
    quantity: int
    unit_price_amount: int
    title: str


class OrderPlaced(Event, tag="order.placed", frozen=True, kw_only=True):
    """Stock and money are held for a buyer."""

    order_id: OrderId
    client_id: UUID
    buyer_id: AccountId
    shop_id: ShopId
    show_id: ShowId | None
    currency: str
    total_amount: int
    lines: tuple[PlacedLine, ...]
    source: str
    placement: str
    visit_id: VisitId | None
    placed_at: datetime
    pay_by: datetime
    purchase_id: OrderId | None = None
    """The first order of a purchase in several shops, when it is one."""
    credit: Credit | None = None
    """Missing, with the amounts, in facts of earlier releases: `laotie lake rebuild` brings those into the lake."""
    amounts: Amounts | None = None


class OrderRepriced(Event, tag="order.repriced", frozen=True, kw_only=True):
    """An unpaid order costs something else, because sending it to its address does.

    `amounts` is the difference.
    """

    order_id: OrderId
    buyer_id: AccountId
    shop_id: ShopId
    show_id: ShowId | None
    currency: str
    total_amount: int
    repriced_at: datetime
    fact_id: UUID
    credit: Credit | None = None
    amounts: Amounts | None = None


class OrderPaid(Event, tag="order.paid", frozen=True, kw_only=True):
    """The payment was captured; the goods are the buyer's."""

    order_id: OrderId
    buyer_id: AccountId
    shop_id: ShopId
    show_id: ShowId | None
    currency: str
    total_amount: int
    paid_at: datetime
    credit: Credit | None = None
    amounts: Amounts | None = None


class OrderCancelled(Event, tag="order.cancelled", frozen=True, kw_only=True):
    """An unpaid order ended; its stock is free again."""

    order_id: OrderId
    buyer_id: AccountId
    shop_id: ShopId
    show_id: ShowId | None
    reason: str
    cancelled_at: datetime
    currency: str = ""
    credit: Credit | None = None
    amounts: Amounts | None = None


class OrderRefundAsked(Event, tag="order.refund_asked", frozen=True, kw_only=True):
    """Part of a paid order is given back; `whole` when nothing of it is left. The money is on its way."""

    order_id: OrderId
    refund_id: UUID
    buyer_id: AccountId
    shop_id: ShopId
    show_id: ShowId | None
    currency: str
    amount: int
    reason: str
    whole: bool
    asked_at: datetime


class OrderRefunded(Event, tag="order.refunded", frozen=True, kw_only=True):
    """Money that came for an order went back."""

    order_id: OrderId
    buyer_id: AccountId
    shop_id: ShopId
    show_id: ShowId | None
    currency: str
    amount: int
    reason: str
    refunded_at: datetime
    refund_id: UUID | None = None
    fact_id: UUID | None = None
    """Missing, with what follows, when the money had not paid the order: it had come late, twice, or not in full."""
    credit: Credit | None = None
    amounts: Amounts | None = None


class OrderShipped(Event, tag="order.shipped", frozen=True, kw_only=True):
    """Everything of an order that was not refunded is on its way."""

    order_id: OrderId
    buyer_id: AccountId
    shop_id: ShopId
    show_id: ShowId | None
    confirm_by: datetime
    shipped_at: datetime


class ParcelDelivered(Event, tag="parcel.delivered", frozen=True, kw_only=True):
    """A parcel reached its buyer. `delivered_at` is what the carrier says; `whole` when nothing else is under way."""

    parcel_id: UUID
    order_id: OrderId
    buyer_id: AccountId
    shop_id: ShopId
    carrier: str
    number: str
    whole: bool
    delivered_at: datetime


class OrderCompleted(Event, tag="order.completed", frozen=True, kw_only=True):
    """The buyer has what was bought: they said so (`buyer`), or the time to object is over (`time`)."""

    order_id: OrderId
    buyer_id: AccountId
    shop_id: ShopId
    show_id: ShowId | None
    by: str
    completed_at: datetime


class DeliveryPromiseBroken(Event, tag="order.promise_broken", frozen=True, kw_only=True):
    """An order is not on its way by the time that its shop had promised."""

    order_id: OrderId
    buyer_id: AccountId
    shop_id: ShopId
    promised_h: int
    ship_by: datetime
    broken_at: datetime


class OrderReversed(Event, tag="order.reversed", frozen=True, kw_only=True):
    """A chargeback took this order's part back out of what its shop holds; with `restored` it is there again."""

    order_id: OrderId
    buyer_id: AccountId
    shop_id: ShopId
    dispute_id: UUID
    amount: int
    currency: str
    reason: str
    restored: bool
    reversed_at: datetime
    show_id: ShowId | None = None
    fact_id: UUID | None = None
    credit: Credit | None = None
    amounts: Amounts | None = None
