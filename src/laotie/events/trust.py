"""What happens to guarantees and the deposits behind them."""

from datetime import datetime
from typing import Any
from uuid import UUID

from laotie.base.events import Event
from laotie.base.ids import AccountId, OrderId, ProductId, ShopId


class PledgeChanged(Event, tag="trust.pledge_changed", frozen=True, kw_only=True):
    """A shop, or one of its products, promises something else to whoever orders from now on."""

    shop_id: ShopId
    product_id: ProductId | None
    pledge_id: UUID | None


class GuaranteePaid(Event, tag="trust.guarantee_paid", frozen=True, kw_only=True):
    """A buyer got money from a shop's deposit; `owed_amount` of the same claim follows when the deposit is filled."""

    payout_id: UUID
    shop_id: ShopId
    buyer_id: AccountId
    order_id: OrderId
    line_no: int
    kind: str
    amount: int
    owed_amount: int
    currency: str
    paid_at: datetime


class GuaranteeCapReached(Event, tag="trust.guarantee_cap_reached", frozen=True, kw_only=True):
    """A claim was cut, because the promise or the buyer's month allows no more."""

    payout_id: UUID
    shop_id: ShopId
    buyer_id: AccountId
    order_id: OrderId
    kind: str
    asked_amount: int
    granted_amount: int
    currency: str
    limit: str
    """`promise` (per order) or `month` (per buyer and month)."""


class GuaranteeAbuseSuspected(Event, tag="trust.guarantee_abuse_suspected", frozen=True, kw_only=True):
    """A buyer's claims look unlike others'. A signal for whoever judges, once a month and signal; nothing is withheld."""

    buyer_id: AccountId
    signal: str
    facts: dict[str, Any]
    suspected_at: datetime


class DepositMoved(Event, tag="trust.deposit_moved", frozen=True, kw_only=True):
    """A shop put money into its deposit, or took some back (then `amount` is negative)."""

    shop_id: ShopId
    movement_id: UUID
    amount: int
    currency: str


class DepositShort(Event, tag="trust.deposit_short", frozen=True, kw_only=True):
    """A deposit holds less than its shop's promises need, or owes buyers. The shop has until `limited_from`."""

    shop_id: ShopId
    missing_amount: int
    owed_amount: int
    currency: str
    limited_from: datetime


class ShopLimited(Event, tag="trust.shop_limited", frozen=True, kw_only=True):
    """A shop sells nothing new until its deposit is filled."""

    shop_id: ShopId
    missing_amount: int
    owed_amount: int
    currency: str


class ShopFreed(Event, tag="trust.shop_freed", frozen=True, kw_only=True):
    """A shop sells again: it owes nothing, and its deposit is full or has its grace."""

    shop_id: ShopId
