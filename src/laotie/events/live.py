"""What happens in shows and their carts."""

from datetime import datetime

from laotie.base.events import Event
from laotie.base.ids import AccountId, CartItemId, RoomId, ShopId, ShowId


class ShowScheduled(Event, tag="show.scheduled", frozen=True, kw_only=True):
    """A show is planned."""

    show_id: ShowId
    room_id: RoomId
    shop_id: ShopId
    streamer_id: AccountId
    title: str
    planned_at: datetime | None


class ShowChanged(Event, tag="show.changed", frozen=True, kw_only=True):
    """A show's title, cover or plan is different."""

    show_id: ShowId
    version: int


class ShowStarted(Event, tag="show.started", frozen=True, kw_only=True):
    """A show is live; its cart sells."""

    show_id: ShowId
    room_id: RoomId
    shop_id: ShopId
    streamer_id: AccountId
    title: str
    at: datetime
    version: int


class ShowEnded(Event, tag="show.ended", frozen=True, kw_only=True):
    """A show is over for good. `started_at` is missing when it was called off before it began."""

    show_id: ShowId
    room_id: RoomId
    shop_id: ShopId
    streamer_id: AccountId
    started_at: datetime | None
    at: datetime
    version: int


class CartItemChanged(Event, tag="show.cart_item_changed", frozen=True, kw_only=True):
    """An item of the cart is new or different; who shows it reads it again."""

    show_id: ShowId
    item_id: CartItemId
    version: int


class CartItemRemoved(Event, tag="show.cart_item_removed", frozen=True, kw_only=True):
    """An item left the cart."""

    show_id: ShowId
    item_id: CartItemId


class ItemPinned(Event, tag="show.item_pinned", frozen=True, kw_only=True):
    """The streamer explains this item from now on, or none."""

    show_id: ShowId
    item_id: CartItemId | None
    at: datetime
    version: int
