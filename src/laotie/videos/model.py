"""The words of videos: a video, its film, plays, comments, their bounds, and what is refused. No I/O here."""

from datetime import datetime
from enum import StrEnum
from typing import NewType
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from laotie.base.ids import AccountId, ProductId, ShopId, ShowId, ViewerId
from laotie.base.money import Money
from laotie.base.refusals import Conflict, Forbidden, Invalid
from laotie.base.texts import plain_line
from laotie.uploads import UploadId

VideoId = NewType("VideoId", UUID)
PlayId = NewType("PlayId", UUID)
CommentId = NewType("CommentId", UUID)

PRODUCTS_MAX = 20
COMMENT_LENGTH_MAX = 300
COMMENTS_PER_MINUTE_MAX = 10
PLAYS_PER_MINUTE_MAX = 120
PLAY_MS_MAX = 3_600_000
PLAY_SLACK_MS = 1_500
"""A player's clock and the way here may be this far ahead of ours."""
PLAY_COUNTS_AT_MS = 3_000
PAGE_SIZE_MAX = 50
SLOTS = 16
ATTEMPTS_MAX = 5
VIDEOS_WEIGHED_MAX = 500
PREVIEW_AGE_MAX_S = 24 * 3600

FILM_PATH = "/media/videos/"


class VideoState(StrEnum):
    """Where a video stands with its streamer. A removed one does not come back."""

    draft = "draft"
    published = "published"
    hidden = "hidden"
    removed = "removed"


class FilmState(StrEnum):
    """Where the film of a video stands. It is seen when the video is published and its film ready."""

    processing = "processing"
    ready = "ready"
    failed = "failed"


class VideoStreamer(msgspec.Struct, frozen=True):
    """Whose video it is, as a card shows them."""

    id: AccountId
    name: str
    avatar: str | None


class VideoProduct(msgspec.Struct, frozen=True, kw_only=True):
    """Something that can be bought from the video, at the shelf's price: the lowest of its choices."""

    id: ProductId
    title: str
    image: str
    price: Money
    list_price: Money | None
    available: int


class Video(msgspec.Struct, frozen=True, kw_only=True):
    """A video as everybody sees it. `plays` is the raw count; one without bought plays will stand beside it."""

    id: VideoId
    shop_id: ShopId
    streamer: VideoStreamer
    title: str
    cover: str
    film: str
    duration_ms: int
    width: int
    height: int
    products: list[VideoProduct]
    warms_up: ShowId | None
    plays: int
    likes: int
    comments: int
    is_liked: bool
    published_at: datetime


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a video. `plays_filtered` has nothing to say until bought plays are told apart."""

    plays: int
    plays_filtered: int | None
    watched_ms: int
    likes: int
    comments: int
    orders: int
    paid_orders: int
    gmv: Money
    gmv_paid: Money


class OwnVideo(msgspec.Struct, frozen=True, kw_only=True):
    """A video as its shop's people see it. `problem` is the code of what is wrong with the film."""

    id: VideoId
    shop_id: ShopId
    streamer: VideoStreamer
    title: str
    cover: str | None
    film: str | None
    state: VideoState
    film_state: FilmState
    progress_bps: int
    problem: str | None
    duration_ms: int | None
    width: int | None
    height: int | None
    product_ids: list[ProductId]
    warms_up: ShowId | None
    figures: Figures
    created_at: datetime
    published_at: datetime | None


class VideoDraft(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is said to make a video of an upload. Published at once, it is seen when its film is ready."""

    id: VideoId
    upload_id: UploadId
    title: str
    cover: str | None = None
    product_ids: list[ProductId] = []
    warms_up: ShowId | None = None
    is_published: bool = False


class VideoChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be different about a video; what is left out stays."""

    title: str | UnsetType = UNSET
    cover: str | UnsetType | None = UNSET
    product_ids: list[ProductId] | UnsetType = UNSET
    warms_up: ShowId | UnsetType | None = UNSET
    state: VideoState | UnsetType = UNSET


class Merits(msgspec.Struct, frozen=True, kw_only=True):
    """What a feed weighs a video by."""

    id: VideoId
    streamer_id: AccountId
    warms_up: ShowId | None
    plays: int
    likes: int
    comments: int
    orders: int
    published_at: datetime


class Played(msgspec.Struct, frozen=True):
    """What is held of a play: how much was watched, and whether that counts."""

    watched_ms: int
    is_counted: bool


class Comment(msgspec.Struct, frozen=True, kw_only=True):
    """Something said under a video. A held one is seen by its author and by those who may let it pass."""

    id: CommentId
    video_id: VideoId
    parent_id: CommentId | None
    author: VideoStreamer
    text: str
    is_held: bool
    is_by_streamer: bool
    is_liked: bool
    may_remove: bool
    likes: int
    replies: int
    said_at: datetime


class VideoGone(Conflict, code="video-gone"):
    """A removed video does not come back; bring it again."""


class FilmNotReady(Conflict, code="film-not-ready"):
    """The film of this video could not be prepared; bring another file."""

    problem: str | None


class VideoProductsRefused(Invalid, code="video-products-refused"):
    """A video sells products of its own shop that are on the shelf, and not too many."""

    products_max: int


class VideoTitleRefused(Invalid, code="video-title-refused"):
    """The house's rules do not let this be a title."""

    words: list[str]


class WarmUpRefused(Invalid, code="warm-up-refused"):
    """A video warms up a planned show of its own shop."""


class CommentEmpty(Invalid, code="comment-empty"):
    """There is nothing in this comment."""


class CommentTooLong(Invalid, code="comment-too-long"):
    """The comment is too long."""

    length_max: int


class CommentRefused(Forbidden, code="comment-refused"):
    """The house's rules do not let this be said."""

    words: list[str]


def clean_comment(text: str) -> str:
    """The text as it is shown, or a refusal."""
    cleaned = plain_line(text)
    if not cleaned:
        raise CommentEmpty()
    if len(cleaned) > COMMENT_LENGTH_MAX:
        raise CommentTooLong(length_max=COMMENT_LENGTH_MAX)
    return cleaned


def counts_at_ms(duration_ms: int) -> int:
    """How long a play must be watched to count: three seconds, or half of a video that is shorter than six."""
    return min(PLAY_COUNTS_AT_MS, duration_ms // 2)


def credit_ms(said_ms: int, *, elapsed_ms: int) -> int:
    """How much of what a player says it showed is believed: no more than time has passed here."""
    return max(0, min(said_ms, elapsed_ms + PLAY_SLACK_MS, PLAY_MS_MAX))


def placement_of(video_id: UUID) -> str:
    """What a visit, and an order, from this video bears."""
    return f"video:{video_id}"


def slot_of(viewer_id: ViewerId) -> int:
    """Which of a video's counters a viewer belongs to: by the random end of the id."""
    return viewer_id.bytes[15] % SLOTS


def video_in(placement: str) -> VideoId | None:
    """The video that a placement names, if it names one."""
    kind, _, named = placement.partition(":")
    try:
        return VideoId(UUID(named)) if kind == "video" else None
    except ValueError:
        return None
