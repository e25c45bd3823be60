"""Reviews over HTTP: writing and adding to one's own, reading, the shop's answers, reports and their judgement."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import get, post, put
from litestar.params import QueryParameter

from laotie.aftersales import reviews, reviews_listing
from laotie.aftersales.reviews_model import (
    NOTE_LENGTH_MAX,
    PICTURES_MAX,
    Draft,
    JudgedReview,
    ProductReview,
    ReviewId,
    ReviewOrder,
    ReviewReportReason,
    ReviewSummary,
    Stars,
    Words,
)
from laotie.base.db import Database
from laotie.base.ids import OrderId, ProductId, ShopId
from laotie.catalog import Page as RoomPage
from laotie.identity import Actor
from laotie.web.given import FromPath, Given, JSONBody
from laotie.web.paging import LIMIT_DEFAULT, After, Limit, Page

InOrder = Annotated[
    ReviewOrder, QueryParameter(name="order", description="The newest first, or the fewest stars first.")
]
WithPictures = Annotated[bool, QueryParameter(name="with_pictures", description="Only those with pictures.")]
Unanswered = Annotated[bool, QueryParameter(name="unanswered", description="Only those without an answer.")]
Low = Annotated[bool, QueryParameter(name="low", description="Only those with three stars or fewer.")]

Text = Annotated[str, msgspec.Meta(max_length=4_000)]
Pictures = Annotated[list[Annotated[str, msgspec.Meta(max_length=500)]], msgspec.Meta(max_length=PICTURES_MAX)]


class NewReview(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Stars for goods as described, service and shipping; words; pictures that I brought for it."""

    id: ReviewId
    line_no: Annotated[int, msgspec.Meta(ge=1, le=1_000)]
    goods: Stars
    service: Stars
    shipping: Stars
    text: Text = ""
    pictures: Pictures = []
    is_anonymous: bool = False


class NewFollowUp(msgspec.Struct, forbid_unknown_fields=True):
    """What I add after a while."""

    text: Text = ""
    pictures: Pictures = []


class NewReviewAnswer(msgspec.Struct, forbid_unknown_fields=True):
    """What the shop says to it."""

    text: Text


class NewReviewReport(msgspec.Struct, forbid_unknown_fields=True):
    """Why it should not stand."""

    reason: ReviewReportReason
    note: Annotated[str, msgspec.Meta(max_length=NOTE_LENGTH_MAX)] = ""


class ReviewJudgement(msgspec.Struct, forbid_unknown_fields=True):
    """An operator's word: hide it, or let it stand, and why."""

    hide: bool
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=NOTE_LENGTH_MAX)]


class LineReviewView(msgspec.Struct, kw_only=True):
    """What I said of a line, or until when I may."""

    line_no: int
    review: ProductReview | None
    may_review: bool
    until: datetime | None


class OrderReviews(msgspec.Struct, kw_only=True):
    """Line by line."""

    items: list[LineReviewView]


@get("/api/orders/{order_id:uuid}/reviews")
async def list_order_reviews(order_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]) -> OrderReviews:
    """What I said of my order, and what I may still say."""
    async with db.read() as tx:
        found = await reviews_listing.list_of_order(tx, actor, OrderId(order_id))
    return OrderReviews(items=[msgspec.convert(one, LineReviewView, from_attributes=True) for one in found])


@post("/api/orders/{order_id:uuid}/reviews", status_code=201)
async def write_review(
    order_id: FromPath[UUID], data: JSONBody[NewReview], actor: Given[Actor], db: Given[Database]
) -> ProductReview:
    """Review a line of my completed order. Said again, it is the same review."""
    draft = Draft(
        goods=data.goods,
        service=data.service,
        shipping=data.shipping,
        words=Words(text=data.text, pictures=data.pictures),
        is_anonymous=data.is_anonymous,
    )
    async with db.tx() as tx:
        await reviews.write(tx, actor, OrderId(order_id), data.line_no, data.id, draft)
        return await reviews_listing.get_review(tx, actor, data.id)


@get("/api/reviews/{review_id:uuid}")
async def get_review(review_id: FromPath[UUID], actor: Given[Actor], db: Given[Database]) -> ProductReview:
    """One review."""
    async with db.read() as tx:
        return await reviews_listing.get_review(tx, actor, ReviewId(review_id))


@put("/api/reviews/{review_id:uuid}/follow-up")
async def follow_up_review(
    review_id: FromPath[UUID], data: JSONBody[NewFollowUp], actor: Given[Actor], db: Given[Database]
) -> ProductReview:
    """Add to my review, once."""
    async with db.tx() as tx:
        await reviews.follow_up(tx, actor, ReviewId(review_id), Words(text=data.text, pictures=data.pictures))
        return await reviews_listing.get_review(tx, actor, ReviewId(review_id))


@put("/api/reviews/{review_id:uuid}/answer")
async def answer_review(
    review_id: FromPath[UUID], data: JSONBody[NewReviewAnswer], actor: Given[Actor], db: Given[Database]
) -> ProductReview:
    """Answer a review of the shop's goods, once."""
    async with db.tx() as tx:
        await reviews.answer(tx, actor, ReviewId(review_id), data.text)
        return await reviews_listing.get_review(tx, actor, ReviewId(review_id))


@post("/api/reviews/{review_id:uuid}/reports", status_code=204)
async def report_review(
    review_id: FromPath[UUID], data: JSONBody[NewReviewReport], actor: Given[Actor], db: Given[Database]
) -> None:
    """Say that a review should not stand. Once a person; again changes nothing."""
    async with db.tx() as tx:
        await reviews.report(tx, actor, ReviewId(review_id), data.reason, data.note)


@put("/api/reviews/{review_id:uuid}/judgement")
async def judge_review(
    review_id: FromPath[UUID], data: JSONBody[ReviewJudgement], actor: Given[Actor], db: Given[Database]
) -> ProductReview:
    """Hide a review, or let it stand (again). For operators."""
    async with db.tx() as tx:
        await reviews.judge(tx, actor, ReviewId(review_id), hide=data.hide, reason=data.reason)
        return await reviews_listing.get_review(tx, actor, ReviewId(review_id))


@get("/api/review-reports")
async def list_reported_reviews(
    actor: Given[Actor], db: Given[Database], after: After = None, limit: Limit = LIMIT_DEFAULT
) -> Page[JudgedReview]:
    """Reviews that were reported, or that the word lists hold, the oldest first. For operators."""
    async with db.read() as tx:
        found = await reviews_listing.list_to_judge(tx, actor, after=ReviewId(after) if after else None, limit=limit)
    return Page(items=found.items, next=str(found.next) if found.next else None)


@get("/api/products/{product_id:uuid}/reviews")
async def list_product_reviews(
    product_id: FromPath[UUID],
    actor: Given[Actor],
    db: Given[Database],
    order: InOrder = ReviewOrder.newest,
    with_pictures: WithPictures = False,
    after: After = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[ProductReview]:
    """What buyers say of a product."""
    async with db.read() as tx:
        found = await reviews_listing.list_of_product(
            tx,
            actor,
            ProductId(product_id),
            order=order,
            with_pictures=with_pictures,
            after=ReviewId(after) if after else None,
            limit=limit,
        )
    return _page(found)


@get("/api/products/{product_id:uuid}/review-summary")
async def get_product_summary(product_id: FromPath[UUID], db: Given[Database]) -> ReviewSummary:
    """How many reviews a product has, and their stars."""
    async with db.read() as tx:
        return await reviews_listing.find_summary(tx, product_id)


@get("/api/shops/{shop_id:uuid}/review-summary")
async def get_shop_summary(shop_id: FromPath[UUID], db: Given[Database]) -> ReviewSummary:
    """How many reviews a shop has, and their stars."""
    async with db.read() as tx:
        return await reviews_listing.find_summary(tx, shop_id)


@get("/api/shops/{shop_id:uuid}/reviews")
async def list_shop_reviews(
    shop_id: FromPath[UUID],
    actor: Given[Actor],
    db: Given[Database],
    unanswered: Unanswered = False,
    low: Low = False,
    after: After = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[ProductReview]:
    """What buyers say of the shop's goods, for its people."""
    async with db.read() as tx:
        found = await reviews_listing.list_of_shop(
            tx,
            actor,
            ShopId(shop_id),
            unanswered=unanswered,
            low=low,
            after=ReviewId(after) if after else None,
            limit=limit,
        )
    return _page(found)


def _page(found: RoomPage[ProductReview]) -> Page[ProductReview]:
    return Page(items=found.items, next=str(found.next) if found.next else None)


ROUTES = [
    list_order_reviews,
    write_review,
    get_review,
    follow_up_review,
    answer_review,
    report_review,
    judge_review,
    list_reported_reviews,
    list_product_reviews,
    get_product_summary,
    get_shop_summary,
    list_shop_reviews,
]
