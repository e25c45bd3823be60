"""What happens to orders."""

from datetime import datetime
from uuid import UUID

import msgspec

from laotie.base.events import Event
from laotie.base.ids import AccountId, CartItemId, OrderId, ProductId, ShopId, ShowId, SkuId, VisitId


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


class OrderPaid(Event, tag="order.paid", frozen=True, kw_only=True):
    """The payment was captured; the goods are the buyer's."""

    order_id: OrderId
    buyer_id: AccountId
    shop_id: ShopId
    show_id: ShowId | None
    currency: str
    total_amount: int
    paid_at: datetime


class OrderCancelled(Event, tag="order.cancelled", frozen=True, kw_only=True):
    """An unpaid order ended; its stock is free again."""

    order_id: OrderId
    buyer_id: AccountId
    shop_id: ShopId
    show_id: ShowId | None
    reason: str
    cancelled_at: datetime


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
