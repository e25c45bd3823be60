"""What happens to after-sales cases."""

from datetime import datetime
from uuid import UUID

from laotie.base.events import Event
from laotie.base.ids import AccountId, OrderId, ShopId


class CaseOpened(Event, tag="case.opened", frozen=True, kw_only=True):
    """A buyer claims something of an order."""

    case_id: UUID
    order_id: OrderId
    shop_id: ShopId
    buyer_id: AccountId
    kind: str
    reason: str
    currency: str
    amount: int
    opened_at: datetime


class CaseMoved(Event, tag="case.moved", frozen=True, kw_only=True):
    """Somebody, or time, moved a case on. `act` and `party` are of the table in docs/aftersales.md."""

    case_id: UUID
    order_id: OrderId
    shop_id: ShopId
    buyer_id: AccountId
    act: str
    party: str
    state_before: str
    state: str
    due_at: datetime | None
    moved_at: datetime


class CaseDecided(Event, tag="case.decided", frozen=True, kw_only=True):
    """The platform decided a dispute: for the `buyer`, for the `shop`, or `split`. By itself when `overdue`."""

    case_id: UUID
    order_id: OrderId
    shop_id: ShopId
    buyer_id: AccountId
    reason: str
    verdict: str
    amount: int
    currency: str
    overdue: bool
    decided_at: datetime


class CaseClosed(Event, tag="case.closed", frozen=True, kw_only=True):
    """A case came to its end; `refunded_amount` is on its way to the buyer."""

    case_id: UUID
    order_id: OrderId
    shop_id: ShopId
    buyer_id: AccountId
    kind: str
    reason: str
    state: str
    currency: str
    refunded_amount: int
    closed_at: datetime


class ReturnFreightPaid(Event, tag="case.freight_paid", frozen=True, kw_only=True):
    """The way back of a return was paid to the buyer out of what the shop's orders had brought."""

    case_id: UUID
    order_id: OrderId
    shop_id: ShopId
    buyer_id: AccountId
    currency: str
    amount: int
    paid_at: datetime
