"""What happens to reviews."""

from uuid import UUID

from laotie.base.events import Event
from laotie.base.ids import AccountId, OrderId, ProductId, ShopId


class ReviewWritten(Event, tag="review.written", frozen=True, kw_only=True):
    """A buyer's review is there for everybody to read (one that was held, from when it was let pass)."""

    review_id: UUID
    order_id: OrderId
    product_id: ProductId
    shop_id: ShopId
    buyer_id: AccountId
    goods: int
    service: int
    shipping: int
    has_pictures: bool


class ReviewFollowedUp(Event, tag="review.followed_up", frozen=True, kw_only=True):
    """A buyer added to their review after a while of use."""

    review_id: UUID
    product_id: ProductId
    shop_id: ShopId


class ReviewAnswered(Event, tag="review.answered", frozen=True, kw_only=True):
    """The shop answered a review."""

    review_id: UUID
    product_id: ProductId
    shop_id: ShopId
    buyer_id: AccountId


class ReviewReported(Event, tag="review.reported", frozen=True, kw_only=True):
    """Somebody says that a review should not stand."""

    review_id: UUID
    reporter_id: AccountId
    reason: str


class ReviewHidden(Event, tag="review.hidden", frozen=True, kw_only=True):
    """An operator hid a review, or (`is_hidden` false) let it stand again."""

    review_id: UUID
    product_id: ProductId
    shop_id: ShopId
    buyer_id: AccountId
    is_hidden: bool
    reason: str
