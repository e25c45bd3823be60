"""What happens in shows and their carts."""

from datetime import datetime
from uuid import UUID

from laotie.base.events import Event
from laotie.base.ids import AccountId, CartItemId, RoomId, ShopId, ShowId, ViewerId


class ShowScheduled(Event, tag="show.scheduled", frozen=True, kw_only=True):
    """A show is planned."""

    show_id: ShowId
    room_id: RoomId
    shop_id: ShopId
    streamer_id: AccountId
    title: str
    planned_at: datetime | None


class ShowChanged(Event, tag="show.changed", frozen=True, kw_only=True):
    """A show's title, cover or plan is different. `streamer_id` is missing in facts of the first releases."""

    show_id: ShowId
    version: int
    streamer_id: AccountId | None = None
    title: str = ""
    planned_at: datetime | None = None


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
    title: str = ""


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


class RegulationsChanged(Event, tag="room.regulations_changed", frozen=True, kw_only=True):
    """Rules, rights or sanctions of a room (of all rooms, without one) are different; gateways read them anew."""

    room_id: RoomId | None


class SayingDeleted(Event, tag="show.saying_deleted", frozen=True, kw_only=True):
    """Something that was said is taken back everywhere."""

    show_id: ShowId
    saying_id: UUID


class SayingReviewed(Event, tag="show.saying_reviewed", frozen=True, kw_only=True):
    """A text that waited for review is let through from `at` on, or is not."""

    show_id: ShowId
    saying_id: UUID
    viewer_id: ViewerId
    name: str
    level: int
    text: str
    approved: bool
    at: datetime


class IngestKeyRotated(Event, tag="room.ingest_key_rotated", frozen=True, kw_only=True):
    """A room's stream key was replaced: an encoder that came in by the old one has to go."""

    room_id: RoomId
    show_ids: list[ShowId]
    """Of the shows that it may have been feeding."""
    at: datetime


class IngestRefused(Event, tag="room.ingest_refused", frozen=True, kw_only=True):
    """Somebody who wanted to send a room's picture was refused. The key is masked."""

    room_id: RoomId
    show_id: ShowId | None
    door: str
    code: str
    title: str
    key: str
    address: str
    at: datetime
