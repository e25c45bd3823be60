"""What happens in a show's activities."""

from uuid import UUID

from laotie.base.events import Event
from laotie.base.ids import ShowId, ViewerId


class ActivityChanged(Event, tag="fun.activity_changed", frozen=True, kw_only=True):
    """An activity appeared, moved on, or somebody took part; what it is now is to be read."""

    activity_id: UUID
    show_ids: tuple[ShowId, ...]
    """The show, and the rival's where there is one that agreed."""
    state: str
    version: int


class PrizeWon(Event, tag="fun.prize_won", frozen=True, kw_only=True):
    """Somebody won. `amount` in minor units; 0 for a thing."""

    activity_id: UUID
    show_id: ShowId
    viewer_id: ViewerId
    title: str
    prize: str
    amount: int
    currency: str


class BargainHelped(Event, tag="fun.bargain_helped", frozen=True, kw_only=True):
    """Somebody helped a buyer; the price is lower."""

    bargain_id: UUID
    activity_id: UUID
    buyer_id: ViewerId


class WalletFilled(Event, tag="fun.wallet_filled", frozen=True, kw_only=True):
    """A top-up has reached its wallet."""

    payment_id: UUID
    wallet_id: UUID
    amount: int
    currency: str
