"""Reviews as people read them: a product's, a shop's, one's own, and what waits for an operator."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from laotie import identity, orders
from laotie.aftersales.reviews_model import (
    FOLLOW_UP_WITHIN,
    PAGE_SIZE_MAX,
    REPORTS_SHOWN_MAX,
    REVIEW_WITHIN,
    JudgedReview,
    ProductReview,
    ReviewAnswer,
    ReviewAuthor,
    ReviewFollowUp,
    ReviewId,
    ReviewOrder,
    ReviewReport,
    ReviewReportReason,
    ReviewSummary,
    outline,
)
from laotie.base.db import Tx
from laotie.base.ids import AccountId, OrderId, ProductId, ShopId
from laotie.base.refusals import NotFound
from laotie.catalog import Page
from laotie.identity import Actor, Scope

EXPORTED_MAX = 10_000
NO_REVIEWS = ReviewSummary(
    review_count=0, picture_count=0, goods_sum=0, service_sum=0, shipping_sum=0, star_counts=[0] * 5
)


class _Row(msgspec.Struct, frozen=True, kw_only=True):
    id: ReviewId
    order_id: OrderId
    line_no: int
    product_id: ProductId
    shop_id: ShopId
    buyer_id: AccountId
    title: str
    options: dict[str, str]
    goods: int
    service: int
    shipping: int
    text: str
    pictures: list[str]
    is_anonymous: bool
    is_held: bool
    bought_at: datetime
    written_at: datetime
    follow_text: str | None
    follow_pictures: list[str]
    follow_is_held: bool
    followed_at: datetime | None
    answer_text: str | None
    answered_at: datetime | None
    hidden_reason: str | None
    open_report_count: int


class LineReview(msgspec.Struct, frozen=True, kw_only=True):
    """What a buyer said of a line, or until when they may."""

    line_no: int
    review: ProductReview | None
    may_review: bool
    until: datetime | None


async def list_of_product(
    tx: Tx,
    actor: Actor,
    product_id: ProductId,
    *,
    order: ReviewOrder = ReviewOrder.newest,
    with_pictures: bool = False,
    after: ReviewId | None = None,
    limit: int = 20,
) -> Page[ProductReview]:
    """What everybody reads of a product: the newest first, or those with the fewest stars."""
    limit = min(limit, PAGE_SIZE_MAX)
    rows = await tx.all(
        _Row,
        """
        SELECT id, order_id, line_no, product_id, shop_id, buyer_id, title, options, goods, service, shipping, text,
               pictures, is_anonymous, is_held, bought_at, written_at, follow_text, follow_pictures, follow_is_held,
               followed_at, answer_text, answered_at, hidden_reason, open_report_count
        FROM aftersales.review
        WHERE product_id = %(product_id)s AND is_shown AND (has_pictures OR NOT %(with_pictures)s)
          AND (%(after)s::uuid IS NULL OR NOT %(low)s AND (written_at, id) < (
                   SELECT written_at, id FROM aftersales.review WHERE id = %(after)s)
               OR %(low)s AND (-goods, written_at, id) < (
                   SELECT -goods, written_at, id FROM aftersales.review WHERE id = %(after)s))
        ORDER BY CASE WHEN %(low)s THEN goods END, written_at DESC, id DESC LIMIT %(limit)s
        """,
        product_id=product_id,
        with_pictures=with_pictures,
        low=order is ReviewOrder.low,
        after=after,
        limit=limit + 1,
    )
    return _page(await _view(tx, actor, rows[:limit]), len(rows) > limit)


async def list_of_shop(
    tx: Tx,
    actor: Actor,
    shop_id: ShopId,
    *,
    unanswered: bool = False,
    low: bool = False,
    after: ReviewId | None = None,
    limit: int = 20,
) -> Page[ProductReview]:
    """The shop's reviews, newest first. Needs the scope `orders`. `low`: three stars or fewer for the goods."""
    await identity.require_seat(tx, actor, shop_id, Scope.orders)
    limit = min(limit, PAGE_SIZE_MAX)
    rows = await tx.all(
        _Row,
        """
        SELECT id, order_id, line_no, product_id, shop_id, buyer_id, title, options, goods, service, shipping, text,
               pictures, is_anonymous, is_held, bought_at, written_at, follow_text, follow_pictures, follow_is_held,
               followed_at, answer_text, answered_at, hidden_reason, open_report_count
        FROM aftersales.review
        WHERE shop_id = %(shop_id)s AND is_shown AND (answered_at IS NULL OR NOT %(unanswered)s)
          AND (goods <= 3 OR NOT %(low)s)
          AND (%(after)s::uuid IS NULL OR (written_at, id) < (
                   SELECT written_at, id FROM aftersales.review WHERE id = %(after)s))
        ORDER BY written_at DESC, id DESC LIMIT %(limit)s
        """,
        shop_id=shop_id,
        unanswered=unanswered,
        low=low,
        after=after,
        limit=limit + 1,
    )
    return _page(await _view(tx, actor, rows[:limit], for_shop=True), len(rows) > limit)


async def list_of_order(tx: Tx, actor: Actor, order_id: OrderId) -> list[LineReview]:
    """Line by line, what the buyer said of their order or may still say."""
    order = await orders.get_own(tx, actor, order_id)
    rows = await tx.all(
        _Row,
        """
        SELECT id, order_id, line_no, product_id, shop_id, buyer_id, title, options, goods, service, shipping, text,
               pictures, is_anonymous, is_held, bought_at, written_at, follow_text, follow_pictures, follow_is_held,
               followed_at, answer_text, answered_at, hidden_reason, open_report_count
        FROM aftersales.review WHERE order_id = %(order_id)s ORDER BY line_no
        """,
        order_id=order_id,
    )
    said = {review.line_no: review for review in await _view(tx, actor, rows)}
    until = order.completed_at + REVIEW_WITHIN if order.completed_at is not None else None
    return [
        LineReview(
            line_no=line.no,
            review=said.get(line.no),
            may_review=line.no not in said and until is not None and tx.now <= until,
            until=until,
        )
        for line in order.lines
    ]


async def get_review(tx: Tx, actor: Actor, review_id: ReviewId) -> ProductReview:
    """One review, if it is shown or one's own (operators see all)."""
    rows = await tx.all(
        _Row,
        """
        SELECT id, order_id, line_no, product_id, shop_id, buyer_id, title, options, goods, service, shipping, text,
               pictures, is_anonymous, is_held, bought_at, written_at, follow_text, follow_pictures, follow_is_held,
               followed_at, answer_text, answered_at, hidden_reason, open_report_count
        FROM aftersales.review WHERE id = %(id)s AND (is_shown OR buyer_id = %(mine)s OR %(operator)s)
        """,
        id=review_id,
        mine=actor.account_id,
        operator=identity.Role.operator in actor.roles,
    )
    if not rows:
        raise NotFound()
    return (await _view(tx, actor, rows))[0]


async def list_to_judge(tx: Tx, actor: Actor, *, after: ReviewId | None = None, limit: int = 20) -> Page[JudgedReview]:
    """What was reported or is held by the word lists, the oldest first. For operators."""
    actor.require_operator()
    limit = min(limit, PAGE_SIZE_MAX)
    rows = await tx.all(
        _Row,
        """
        SELECT id, order_id, line_no, product_id, shop_id, buyer_id, title, options, goods, service, shipping, text,
               pictures, is_anonymous, is_held, bought_at, written_at, follow_text, follow_pictures, follow_is_held,
               followed_at, answer_text, answered_at, hidden_reason, open_report_count
        FROM aftersales.review
        WHERE hidden_at IS NULL AND (is_held OR follow_is_held OR open_report_count > 0)
          AND (%(after)s::uuid IS NULL OR (written_at, id) > (
                   SELECT written_at, id FROM aftersales.review WHERE id = %(after)s))
        ORDER BY written_at, id LIMIT %(limit)s
        """,
        after=after,
        limit=limit + 1,
    )
    reports: dict[UUID, list[ReviewReport]] = {}
    for review_id, reason, note, at in await tx.tuples(
        """
        SELECT review_id, reason, note, reported_at FROM aftersales.review_report
        WHERE review_id = ANY(%(ids)s) AND settled_at IS NULL ORDER BY reported_at, reporter_id
        """,
        ids=[row.id for row in rows[:limit]],
    ):
        reports.setdefault(review_id, []).append(ReviewReport(ReviewReportReason(reason), note, at))
    shown = await _view(tx, actor, rows[:limit])
    found = [
        JudgedReview(review, reports.get(review.id, [])[:REPORTS_SHOWN_MAX], row.open_report_count)
        for review, row in zip(shown, rows, strict=False)
    ]
    return Page(found, found[-1].review.id if len(rows) > limit else None)


async def find_summary(tx: Tx, subject_id: UUID) -> ReviewSummary:
    """Sums of a product or a shop; nothing was said, nothing is summed."""
    found = await tx.maybe(
        ReviewSummary,
        """
        SELECT review_count, picture_count, goods_sum, service_sum, shipping_sum, star_counts
        FROM aftersales.review_sum WHERE subject_id = %(id)s
        """,
        id=subject_id,
    )
    return found or NO_REVIEWS


async def find_goods_sums(tx: Tx, product_ids: Iterable[UUID]) -> dict[UUID, tuple[int, int]]:
    """Of each product that was reviewed, how many reviews there are and the sum of their stars for the goods."""
    rows = await tx.tuples(
        "SELECT subject_id, review_count, goods_sum FROM aftersales.review_sum WHERE subject_id = ANY(%(ids)s)",
        ids=list(product_ids),
    )
    return {subject_id: (count, stars) for subject_id, count, stars in rows}


async def export(tx: Tx, account_id: AccountId) -> list[Any]:
    """What a person wrote, newest first (for their export)."""
    rows = await tx.all(
        _Row,
        """
        SELECT id, order_id, line_no, product_id, shop_id, buyer_id, title, options, goods, service, shipping, text,
               pictures, is_anonymous, is_held, bought_at, written_at, follow_text, follow_pictures, follow_is_held,
               followed_at, answer_text, answered_at, hidden_reason, open_report_count
        FROM aftersales.review WHERE buyer_id = %(id)s ORDER BY written_at DESC, id DESC LIMIT %(limit)s
        """,
        id=account_id,
        limit=EXPORTED_MAX,
    )
    return list(rows)


def _page(items: list[ProductReview], goes_on: bool) -> Page[ProductReview]:
    return Page(items, items[-1].id if goes_on else None)


async def _view(tx: Tx, actor: Actor, rows: list[_Row], *, for_shop: bool = False) -> list[ProductReview]:
    profiles = await identity.find_profiles(tx, {row.buyer_id for row in rows})
    sees_all = identity.Role.operator in actor.roles
    views = []
    for row in rows:
        profile = profiles.get(row.buyer_id)
        name = profile.name if profile is not None else ""
        is_mine = row.buyer_id == actor.account_id
        follow_up = None
        if row.followed_at is not None and (not row.follow_is_held or is_mine or sees_all):
            follow_up = ReviewFollowUp(
                text=row.follow_text or "",
                pictures=row.follow_pictures,
                is_held=row.follow_is_held,
                at=row.followed_at,
                days_after=(row.followed_at - row.written_at).days,
            )
        views.append(
            ProductReview(
                id=row.id,
                order_id=row.order_id if is_mine or (for_shop and not row.is_anonymous) else None,
                line_no=row.line_no,
                product_id=row.product_id,
                shop_id=row.shop_id,
                title=row.title,
                options=row.options,
                author=ReviewAuthor(None, outline(name), None)
                if row.is_anonymous
                else ReviewAuthor(row.buyer_id, name, profile.avatar if profile is not None else None),
                goods=row.goods,
                service=row.service,
                shipping=row.shipping,
                text=row.text,
                pictures=row.pictures,
                is_anonymous=row.is_anonymous,
                is_held=row.is_held,
                is_mine=is_mine,
                bought_at=row.bought_at,
                written_at=row.written_at,
                follow_up=follow_up,
                may_follow_up=is_mine
                and row.followed_at is None
                and row.hidden_reason is None
                and tx.now <= row.written_at + FOLLOW_UP_WITHIN,
                answer=ReviewAnswer(row.answer_text, row.answered_at) if row.answer_text and row.answered_at else None,
                hidden_reason=row.hidden_reason if is_mine or sees_all else None,
            )
        )
    return views
