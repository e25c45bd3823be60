"""Writing reviews: by whoever bought, once a line; a follow-up, the shop's answer, reports, and an operator's judgement.

Sums of a product and of a shop are moved in the transaction that shows or hides a review, under its row's lock, and so
are exact at any instant. Lock order: the review, its product's sum, its shop's sum.
"""

from datetime import datetime
from uuid import UUID

import msgspec
from psycopg.types.json import Jsonb

from laotie import identity, messages, orders, uploads, words
from laotie.aftersales.reviews_model import (
    FOLLOW_UP_WITHIN,
    NOTE_LENGTH_MAX,
    PICTURES_MAX,
    REPORTS_PER_DAY_MAX,
    REVIEW_WITHIN,
    AnsweredAlready,
    Draft,
    FollowUpRefused,
    NotBought,
    ReviewedAlready,
    ReviewEmpty,
    ReviewId,
    ReviewRefused,
    ReviewReportReason,
    ReviewTooLong,
    Words,
    clean_words,
)
from laotie.base.db import Tx
from laotie.base.ids import AccountId, OrderId, ProductId, ShopId, ViewerId
from laotie.base.refusals import IdReused, NotFound, TooFast
from laotie.catalog import digest_of
from laotie.events.reviews import ReviewAnswered, ReviewFollowedUp, ReviewHidden, ReviewReported, ReviewWritten
from laotie.identity import Actor, Scope


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A review's row, locked."""

    id: ReviewId
    order_id: OrderId
    product_id: ProductId
    shop_id: ShopId
    buyer_id: AccountId
    title: str
    goods: int
    service: int
    shipping: int
    pictures: list[str]
    follow_pictures: list[str]
    follow_is_held: bool
    is_held: bool
    is_shown: bool
    has_pictures: bool
    digest: bytes
    written_at: datetime
    followed_at: datetime | None
    follow_text: str | None
    answered_at: datetime | None
    answer_text: str | None
    hidden_at: datetime | None


async def write(tx: Tx, actor: Actor, order_id: OrderId, line_no: int, review_id: ReviewId, draft: Draft) -> None:
    """Review a line of one's own completed order, within 180 days; the same again is the same review.

    An order of which money went back later was bought all the same. Tells `ReviewWritten` for one that is shown.
    Refuses `NotBought`, `ReviewedAlready`, `ReviewRefused`, `ReviewTooLong`, `uploads.PictureGone`, `IdReused`.
    """
    buyer_id = actor.signed_in()
    order = await orders.get_own(tx, actor, order_id)
    line = next((line for line in order.lines if line.no == line_no), None)
    if line is None:
        raise NotFound()
    digest = digest_of(order_id, line_no, draft)
    known = await _find(tx, review_id)
    if known is not None:
        if known.buyer_id != buyer_id or known.digest != digest:
            raise IdReused()
        return
    if order.completed_at is None or order.completed_at + REVIEW_WITHIN < tx.now:
        raise NotBought()
    said, is_held = _judge(draft.words)
    fresh = await tx.run(
        """
        INSERT INTO aftersales.review (id, order_id, line_no, product_id, shop_id, buyer_id, title, options, goods,
                                       service, shipping, text, pictures, is_anonymous, is_held, digest, bought_at,
                                       written_at)
        VALUES (%(id)s, %(order_id)s, %(line_no)s, %(product_id)s, %(shop_id)s, %(buyer_id)s, %(title)s, %(options)s,
                %(goods)s, %(service)s, %(shipping)s, %(text)s, %(pictures)s, %(is_anonymous)s, %(is_held)s, %(digest)s,
                %(bought_at)s, %(now)s)
        ON CONFLICT DO NOTHING
        """,
        id=review_id,
        order_id=order_id,
        line_no=line_no,
        product_id=line.product_id,
        shop_id=order.shop_id,
        buyer_id=buyer_id,
        title=line.title,
        options=Jsonb(line.options),
        goods=draft.goods,
        service=draft.service,
        shipping=draft.shipping,
        text=said.text,
        pictures=Jsonb(said.pictures),
        is_anonymous=draft.is_anonymous,
        is_held=is_held,
        digest=digest,
        bought_at=order.placed_at,
        now=tx.now,
    )
    if not fresh:
        raise ReviewedAlready()
    await _show_pictures(tx, buyer_id, review_id, said.pictures)
    review = await hold(tx, review_id)
    if review.is_shown:
        await _appear(tx, review)


async def follow_up(tx: Tx, actor: Actor, review_id: ReviewId, added: Words) -> None:
    """Add to one's own review, once, within 180 days; the same again changes nothing. Tells `ReviewFollowedUp`.

    Refuses `FollowUpRefused`, `ReviewEmpty`, `ReviewRefused`, `ReviewTooLong`, `uploads.PictureGone`.
    """
    buyer_id = actor.signed_in()
    review = await hold(tx, review_id)
    if review.buyer_id != buyer_id:
        raise NotFound()
    said, is_held = _judge(added)
    if not said.text and not said.pictures:
        raise ReviewEmpty()
    if review.followed_at is not None and (review.follow_text, review.follow_pictures) == (said.text, said.pictures):
        return
    too_late = review.written_at + FOLLOW_UP_WITHIN < tx.now
    if review.followed_at is not None or review.hidden_at is not None or too_late:
        raise FollowUpRefused()
    await _show_pictures(tx, buyer_id, review_id, [*review.pictures, *said.pictures])
    await tx.run(
        """
        UPDATE aftersales.review
        SET follow_text = %(text)s, follow_pictures = %(pictures)s, follow_is_held = %(is_held)s, followed_at = %(now)s
        WHERE id = %(id)s
        """,
        id=review_id,
        text=said.text,
        pictures=Jsonb(said.pictures),
        is_held=is_held,
        now=tx.now,
    )
    await _recount(tx, review, await hold(tx, review_id))
    if not is_held and review.is_shown:
        tx.tell(ReviewFollowedUp(review_id=review_id, product_id=review.product_id, shop_id=review.shop_id))


async def answer(tx: Tx, actor: Actor, review_id: ReviewId, text: str) -> None:
    """The shop's one answer; needs the scope `orders`. The same again changes nothing. Tells `ReviewAnswered`.

    Refuses `AnsweredAlready`, `ReviewEmpty`, `ReviewRefused`, `ReviewTooLong`.
    """
    review = await hold(tx, review_id)
    await identity.require_seat(tx, actor, review.shop_id, Scope.orders)
    if not review.is_shown:
        raise NotFound()
    said, is_held = _judge(Words(text=text))
    if is_held:
        raise ReviewRefused(words=[])
    if not said.text:
        raise ReviewEmpty()
    if review.answer_text == said.text:
        return
    if review.answered_at is not None:
        raise AnsweredAlready()
    await tx.run(
        "UPDATE aftersales.review SET answer_text = %(text)s, answered_at = %(now)s WHERE id = %(id)s",
        id=review_id,
        text=said.text,
        now=tx.now,
    )
    tx.tell(
        ReviewAnswered(
            review_id=review_id, product_id=review.product_id, shop_id=review.shop_id, buyer_id=review.buyer_id
        )
    )
    facts = {"title": review.title[:80]}
    await messages.notify_many(
        tx, [ViewerId(review.buyer_id)], "review_answered", facts, f"/orders/{review.order_id}/review", once=review_id
    )


async def report(tx: Tx, actor: Actor, review_id: ReviewId, reason: ReviewReportReason, note: str) -> None:
    """Say that a review should not stand: once a person and review. Tells `ReviewReported`. Refuses `TooFast`."""
    reporter_id = actor.signed_in()
    review = await hold(tx, review_id)
    if not review.is_shown:
        raise NotFound()
    today = await tx.one(
        int,
        """
        SELECT count(*) FROM aftersales.review_report
        WHERE reporter_id = %(id)s AND reported_at > %(now)s::timestamptz - interval '1 day'
        """,
        id=reporter_id,
        now=tx.now,
    )
    if today >= REPORTS_PER_DAY_MAX:
        raise TooFast(retry_after_s=3_600)
    fresh = await tx.run(
        """
        INSERT INTO aftersales.review_report (review_id, reporter_id, reason, note, reported_at)
        VALUES (%(review_id)s, %(reporter_id)s, %(reason)s, %(note)s, %(now)s) ON CONFLICT DO NOTHING
        """,
        review_id=review_id,
        reporter_id=reporter_id,
        reason=reason,
        note=clean_words(note)[:NOTE_LENGTH_MAX],
        now=tx.now,
    )
    if fresh:
        await tx.run(
            "UPDATE aftersales.review SET open_report_count = open_report_count + 1 WHERE id = %(id)s", id=review_id
        )
        tx.tell(ReviewReported(review_id=review_id, reporter_id=reporter_id, reason=reason))


async def judge(tx: Tx, actor: Actor, review_id: ReviewId, *, hide: bool, reason: str) -> None:
    """An operator's word on a review: hidden, or shown (again), with a reason. What was held or reported is settled.

    Tells `ReviewHidden`, and `ReviewWritten` for one that is shown for the first time.
    """
    actor.require_operator()
    before = await hold(tx, review_id)
    reason = clean_words(reason)[:NOTE_LENGTH_MAX]
    if not reason:
        raise ReviewEmpty()
    await tx.run(
        """
        UPDATE aftersales.review
        SET is_held = is_held AND %(hide)s, follow_is_held = follow_is_held AND %(hide)s, open_report_count = 0,
            hidden_at = CASE WHEN %(hide)s THEN coalesce(hidden_at, %(now)s) END,
            hidden_reason = CASE WHEN %(hide)s THEN %(reason)s END
        WHERE id = %(id)s
        """,
        id=review_id,
        hide=hide,
        reason=reason,
        now=tx.now,
    )
    await tx.run(
        "UPDATE aftersales.review_report SET settled_at = %(now)s WHERE review_id = %(id)s AND settled_at IS NULL",
        id=review_id,
        now=tx.now,
    )
    after = await hold(tx, review_id)
    await identity.record(tx, actor, "review.judged", subject=str(review_id), hidden=hide, reason=reason)
    if before.is_held and after.is_shown:
        await _appear(tx, after)
    else:
        await _recount(tx, before, after)
    if (before.hidden_at is None) is (after.hidden_at is None):
        return
    tx.tell(
        ReviewHidden(
            review_id=review_id,
            product_id=after.product_id,
            shop_id=after.shop_id,
            buyer_id=after.buyer_id,
            is_hidden=hide,
            reason=reason,
        )
    )
    if hide:
        facts = {"title": after.title[:80], "reason": reason}
        link = f"/orders/{after.order_id}/review"
        await messages.notify_many(tx, [ViewerId(after.buyer_id)], "review_hidden", facts, link)


async def erase(tx: Tx, account_id: AccountId) -> None:
    """A person left: stars stay, for sums are about goods; words, pictures and name do not."""
    ids = await tx.all(UUID, "SELECT id FROM aftersales.review WHERE buyer_id = %(id)s ORDER BY id", id=account_id)
    for review_id in ids:
        before = await hold(tx, ReviewId(review_id))
        await tx.run(
            """
            UPDATE aftersales.review SET text = '', pictures = '[]', is_anonymous = true, follow_pictures = '[]',
                   follow_text = CASE WHEN followed_at IS NULL THEN NULL ELSE '' END
            WHERE id = %(id)s
            """,
            id=review_id,
        )
        await uploads.show_pictures(tx, _holder(ReviewId(review_id)), [])
        await _recount(tx, before, await hold(tx, ReviewId(review_id)))
    await tx.run("UPDATE aftersales.review_report SET note = '' WHERE reporter_id = %(id)s", id=account_id)


async def hold(tx: Tx, review_id: ReviewId) -> Held:
    """Lock a review, or `NotFound`."""
    held = await _find(tx, review_id)
    if held is None:
        raise NotFound()
    return held


async def _find(tx: Tx, review_id: ReviewId) -> Held | None:
    return await tx.maybe(
        Held,
        """
        SELECT id, order_id, product_id, shop_id, buyer_id, title, goods, service, shipping, pictures, follow_pictures,
               follow_is_held, is_held, is_shown, has_pictures, digest, written_at, followed_at, follow_text, answered_at,
               answer_text, hidden_at
        FROM aftersales.review WHERE id = %(id)s FOR UPDATE
        """,
        id=review_id,
    )


def _judge(said: Words) -> tuple[Words, bool]:
    """The words as they are shown, and whether somebody looks at them first."""
    text = clean_words(said.text)
    if len(said.pictures) > PICTURES_MAX:
        raise ReviewTooLong(length_max=len(text), pictures_max=PICTURES_MAX)
    verdict = words.judge_text(text)
    if verdict.action is words.Action.block:
        raise ReviewRefused(words=[found.seen for found in verdict.found])
    return Words(text=verdict.text, pictures=said.pictures), verdict.action is words.Action.hold


async def _show_pictures(tx: Tx, buyer_id: AccountId, review_id: ReviewId, images: list[str]) -> None:
    """Pictures are the buyer's own, brought for a review."""
    for image in images:
        picture_id = uploads.picture_id_in(image)
        try:
            picture = await uploads.get_picture(tx, picture_id) if picture_id is not None else None
        except NotFound:
            picture = None
        if picture is None or picture.owner_id != buyer_id or picture.purpose is not uploads.Purpose.review:
            raise uploads.PictureGone(image=image[:200])
    await uploads.show_pictures(tx, _holder(review_id), images)


def _holder(review_id: ReviewId) -> str:
    return f"review:{review_id}"


async def _appear(tx: Tx, review: Held) -> None:
    await _count(tx, review, sign=1)
    tx.tell(
        ReviewWritten(
            review_id=review.id,
            order_id=review.order_id,
            product_id=review.product_id,
            shop_id=review.shop_id,
            buyer_id=review.buyer_id,
            goods=review.goods,
            service=review.service,
            shipping=review.shipping,
            has_pictures=review.has_pictures,
        )
    )


async def _recount(tx: Tx, before: Held, after: Held) -> None:
    """Move the sums from what the review was to what it is."""
    if (before.is_shown, before.has_pictures) == (after.is_shown, after.has_pictures):
        return
    if before.is_shown:
        await _count(tx, before, sign=-1)
    if after.is_shown:
        await _count(tx, after, sign=1)


async def _count(tx: Tx, review: Held, *, sign: int) -> None:
    stars = [sign * (star == review.goods) for star in range(1, 6)]
    for subject_id in (review.product_id, review.shop_id):
        await tx.run(
            "INSERT INTO aftersales.review_sum (subject_id) VALUES (%(id)s) ON CONFLICT DO NOTHING", id=subject_id
        )
        await tx.run(
            """
            UPDATE aftersales.review_sum
            SET review_count = review_count + %(sign)s, picture_count = picture_count + %(pictures)s,
                goods_sum = goods_sum + %(goods)s, service_sum = service_sum + %(service)s,
                shipping_sum = shipping_sum + %(shipping)s,
                star_counts = ARRAY(SELECT had + more FROM unnest(star_counts, %(stars)s::integer[])
                                    WITH ORDINALITY AS star (had, more, no) ORDER BY no)
            WHERE subject_id = %(id)s
            """,
            id=subject_id,
            sign=sign,
            pictures=sign * review.has_pictures,
            goods=sign * review.goods,
            service=sign * review.service,
            shipping=sign * review.shipping,
            stars=stars,
        )
