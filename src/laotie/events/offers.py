"""What happens to offers: people find together, or they do not."""

from datetime import datetime
from uuid import UUID

from laotie.base.events import Event
from laotie.base.ids import AccountId, OrderId, ProductId, ShopId


class TeamOpened(Event, tag="offers.team_opened", frozen=True, kw_only=True):
    """Somebody opened a team of a group offer."""

    team_id: UUID
    offer_id: UUID
    shop_id: ShopId
    product_id: ProductId
    opened_by: AccountId
    size: int
    deadline_at: datetime


class TeamCompleted(Event, tag="offers.team_completed", frozen=True, kw_only=True):
    """All seats of a team are paid; its orders may be shipped."""

    team_id: UUID
    offer_id: UUID
    shop_id: ShopId
    product_id: ProductId
    buyer_ids: tuple[AccountId, ...]
    order_ids: tuple[OrderId, ...]


class TeamFailed(Event, tag="offers.team_failed", frozen=True, kw_only=True):
    """A team's time is over and it is not complete; what these had paid goes back by itself."""

    team_id: UUID
    offer_id: UUID
    shop_id: ShopId
    product_id: ProductId
    buyer_ids: tuple[AccountId, ...]
    order_ids: tuple[OrderId, ...]
