"""What happens to money that is owed to shops and streamers."""

from datetime import datetime
from uuid import UUID

from laotie.base.events import Event
from laotie.base.ids import AccountId, ShopId


class SettlementBooked(Event, tag="settlement.booked", frozen=True, kw_only=True):
    """Orders of a shop were settled, in one batch: `net_amount` is the shop's."""

    batch_id: UUID
    shop_id: ShopId
    currency: str
    order_count: int
    net_amount: int
    booked_at: datetime


class PayoutSent(Event, tag="payout.sent", frozen=True, kw_only=True):
    """Money is on its way to a shop or a streamer."""

    payout_id: UUID
    batch_id: UUID
    shop_id: ShopId | None
    streamer_id: AccountId | None
    amount: int
    currency: str
    sent_at: datetime


class PayoutPaid(Event, tag="payout.paid", frozen=True, kw_only=True):
    """The bank, or the provider, says that it has arrived."""

    payout_id: UUID
    batch_id: UUID
    shop_id: ShopId | None
    streamer_id: AccountId | None
    amount: int
    currency: str
    paid_at: datetime


class PayoutReturned(Event, tag="payout.returned", frozen=True, kw_only=True):
    """It came back; the amount is owed again."""

    payout_id: UUID
    batch_id: UUID
    shop_id: ShopId | None
    streamer_id: AccountId | None
    amount: int
    currency: str
    reason: str
    returned_at: datetime
