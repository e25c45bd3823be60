"""The words of reviews: what a buyer says, sums of it, and what is refused. No I/O here."""

import re
import unicodedata
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, NewType
from uuid import UUID

import msgspec

from laotie.base.ids import AccountId, OrderId, ProductId, ShopId
from laotie.base.refusals import Conflict, Invalid

ReviewId = NewType("ReviewId", UUID)

REVIEW_WITHIN = timedelta(days=180)
FOLLOW_UP_WITHIN = timedelta(days=180)
TEXT_LENGTH_MAX = 1_000
NOTE_LENGTH_MAX = 500
PICTURES_MAX = 9
PAGE_SIZE_MAX = 100
REPORTS_PER_DAY_MAX = 50
REPORTS_SHOWN_MAX = 20

Stars = Annotated[int, msgspec.Meta(ge=1, le=5)]


class ReviewReportReason(StrEnum):
    """Why somebody says that a review should not stand."""

    spam = "spam"
    abuse = "abuse"
    personal_data = "personal_data"
    not_about_goods = "not_about_goods"
    false_claim = "false_claim"
    other = "other"


class ReviewOrder(StrEnum):
    """How a product's reviews are listed."""

    newest = "newest"
    low = "low"


class Words(msgspec.Struct, frozen=True, kw_only=True):
    """A text with pictures."""

    text: str = ""
    pictures: list[str] = []


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """What a buyer says of a line: stars for goods as described, service and shipping; words; whether by name."""

    goods: int
    service: int
    shipping: int
    words: Words
    is_anonymous: bool = False


class ReviewAuthor(msgspec.Struct, frozen=True):
    """Who wrote it; of somebody anonymous only the outline of a name."""

    id: AccountId | None
    name: str
    avatar: str | None


class ReviewFollowUp(msgspec.Struct, frozen=True, kw_only=True):
    """What the buyer added later."""

    text: str
    pictures: list[str]
    is_held: bool
    at: datetime
    days_after: int


class ReviewAnswer(msgspec.Struct, frozen=True):
    """What the shop says to it."""

    text: str
    at: datetime


class ProductReview(msgspec.Struct, frozen=True, kw_only=True):
    """A review as the asking person may see it. `is_held`: only its author and operators see it yet."""

    id: ReviewId
    order_id: OrderId | None
    """For its author, and for the shop when it is not anonymous."""
    line_no: int
    product_id: ProductId
    shop_id: ShopId
    title: str
    options: dict[str, str]
    author: ReviewAuthor
    goods: int
    service: int
    shipping: int
    text: str
    pictures: list[str]
    is_anonymous: bool
    is_held: bool
    is_mine: bool
    bought_at: datetime
    written_at: datetime
    follow_up: ReviewFollowUp | None
    may_follow_up: bool
    answer: ReviewAnswer | None
    hidden_reason: str | None


class ReviewReport(msgspec.Struct, frozen=True):
    """Somebody's complaint about a review."""

    reason: ReviewReportReason
    note: str
    at: datetime


class JudgedReview(msgspec.Struct, frozen=True):
    """A review that waits for an operator, with why."""

    review: ProductReview
    reports: list[ReviewReport]
    report_count: int


class ReviewSummary(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over the shown reviews of a product or a shop. `star_counts`: how many have one star, two, … five."""

    review_count: int
    picture_count: int
    goods_sum: int
    service_sum: int
    shipping_sum: int
    star_counts: list[int]


class NotBought(Conflict, code="not-bought"):
    """Reviews are written by who bought it, once the order is complete, within 180 days."""


class ReviewedAlready(Conflict, code="reviewed-already"):
    """You reviewed this already; you can add to it once."""


class FollowUpRefused(Conflict, code="follow-up-refused"):
    """A review is added to once, by its author, within 180 days."""


class AnsweredAlready(Conflict, code="answered-already"):
    """The shop answered this already."""


class ReviewRefused(Invalid, code="review-refused"):
    """These words are not allowed here."""

    words: list[str]


class ReviewTooLong(Invalid, code="review-too-long"):
    """That is too much for a review: a thousand characters and nine pictures."""

    length_max: int
    pictures_max: int


class ReviewEmpty(Invalid, code="review-empty"):
    """Say something, or give a picture."""


# Controls but the line break, surrogates, and the marks that turn the direction of the text around them.
_UNSHOWABLE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


def clean_words(text: str) -> str:
    """The text as it is shown: no stray blanks, at most one empty line in a row."""
    text = _UNSHOWABLE.sub("", unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n")))
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(" ".join(line.split()) for line in text.split("\n"))).strip()
    if len(text) > TEXT_LENGTH_MAX:
        raise ReviewTooLong(length_max=TEXT_LENGTH_MAX, pictures_max=PICTURES_MAX)
    return text


def outline(name: str) -> str:
    """A name of which only its ends are told: 王**明, A***a."""
    name = name.strip() or "?"
    return f"{name[0]}***{name[-1]}" if len(name) > 2 else f"{name[0]}***"
