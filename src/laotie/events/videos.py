"""What happens to videos."""

from datetime import datetime
from uuid import UUID

from laotie.base.events import Event
from laotie.base.ids import AccountId, ShopId, ShowId


class VideoPublished(Event, tag="video.published", frozen=True, kw_only=True):
    """A video can be seen for the first time."""

    video_id: UUID
    shop_id: ShopId
    streamer_id: AccountId
    title: str
    warms_up: ShowId | None
    published_at: datetime


class VideoWithdrawn(Event, tag="video.withdrawn", frozen=True, kw_only=True):
    """A video can't be seen any more: hidden, or removed for good."""

    video_id: UUID
    streamer_id: AccountId
    is_removed: bool


class VideoCommented(Event, tag="video.commented", frozen=True, kw_only=True):
    """Something was said under a video. `answers_id` is who is answered."""

    video_id: UUID
    comment_id: UUID
    author_id: AccountId
    answers_id: AccountId | None
    commented_at: datetime
