"""Acts: what people do, in high volume, as the doors tell it to a sink. Money never comes this way.

An act is its stay (who, in which show, come from where) and what is particular to it. Its class belongs to one topic, and
its fields are the topic's columns.
"""

from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID

import msgspec

from laotie.base.entry import Visit
from laotie.base.ids import CartItemId, ProductId, ShopId, ShowId, SkuId, ViewerId, VisitId
from laotie.lake.model import CART, CHAT, CLICK, LEAVE, LIKE, PLAY, SEARCH, SHARE, VISIT, WATCH, Topic


class Stay(msgspec.Struct, frozen=True, eq=False):
    """What all acts of one visit on one connection have in common. Make one and keep it: it is written once a batch.

    Where nothing is connected (a page of the shelf), the connection is the visit.
    """

    viewer_id: ViewerId
    visit_id: VisitId
    source: str
    is_fan: bool
    show_id: ShowId | None
    connection_id: UUID

    @classmethod
    def of(cls, visit: Visit, connection_id: UUID | None = None) -> "Stay":
        """The stay that a visit opens."""
        return cls(visit.viewer_id, visit.id, visit.source, visit.is_fan, visit.show_id, connection_id or visit.id)


class Act(msgspec.Struct, frozen=True, gc=False):
    """One thing that one viewer did."""

    stay: Stay
    at_us: int

    @property
    def at(self) -> datetime:
        """When, as an instant."""
        return datetime.fromtimestamp(self.at_us / 1_000_000, UTC)

    @property
    def viewer_id(self) -> ViewerId:
        """Who."""
        return self.stay.viewer_id

    @property
    def visit_id(self) -> VisitId:
        """On which visit."""
        return self.stay.visit_id

    @property
    def show_id(self) -> ShowId | None:
        """In which show, if in one."""
        return self.stay.show_id


class Entered(Act, frozen=True, gc=False):
    """Came: into a show, onto a surface beside it, onto the shelf."""

    placement: str
    is_guest: bool
    campaign: str | None = None
    position: int | None = None
    sharer_id: ViewerId | None = None
    shop_id: ShopId | None = None
    streamer_id: UUID | None = None


class Watched(Act, frozen=True, gc=False):
    """Had the picture in sight, acknowledged, from `since_us` to `at_us`."""

    since_us: int

    @property
    def watched_ms(self) -> int:
        """For how long."""
        return (self.at_us - self.since_us) // 1_000


class Left(Act, frozen=True, gc=False):
    """Went away, having watched so long on this connection."""

    watched_ms: int


class Liked(Act, frozen=True, gc=False):
    """Sent hearts."""

    count: int


class Chatted(Act, frozen=True, gc=False):
    """Said something (the text is not behaviour)."""

    length: int


class Clicked(Act, frozen=True, gc=False):
    """Looked at a product: an item of the cart, or its page."""

    item_id: CartItemId | None = None
    product_id: ProductId | None = None
    shop_id: ShopId | None = None


class Carted(Act, frozen=True, gc=False):
    """Put something into the basket."""

    product_id: ProductId
    sku_id: SkuId
    shop_id: ShopId
    quantity: int


class Shared(Act, frozen=True, gc=False):
    """Asked for a link to share."""

    placement: str


class Searched(Act, frozen=True, gc=False):
    """Searched the shelf (for what is not behaviour)."""

    hits: int


class Played(Act, frozen=True, gc=False):
    """Had a replay, a clip or a video (`placement`) running in sight, acknowledged, from `since_us` to `at_us`."""

    placement: str
    since_us: int
    shop_id: ShopId | None = None
    streamer_id: UUID | None = None


TOPIC_OF: dict[type[Act], Topic] = {
    Entered: VISIT, Watched: WATCH, Left: LEAVE, Liked: LIKE, Chatted: CHAT, Clicked: CLICK, Carted: CART, Shared: SHARE,
    Searched: SEARCH, Played: PLAY,
}  # fmt: skip


class Sink(Protocol):
    """Where acts go."""

    def append(self, act: Act) -> None:
        """Keep this act. Never waits and never fails."""


class Nowhere:
    """A sink that keeps nothing: for programs that have no lake."""

    def append(self, act: Act) -> None:
        """Let it go."""
