"""Reviews: who may write one, what others see of it, and sums that are exact."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import msgspec
import pytest

from laotie import live, uploads
from laotie.aftersales import reviews, reviews_listing
from laotie.aftersales.reviews_model import (
    AnsweredAlready,
    Draft,
    FollowUpRefused,
    NotBought,
    ReviewedAlready,
    ReviewId,
    ReviewOrder,
    ReviewRefused,
    ReviewReportReason,
    Words,
)
from laotie.base.bus import LocalBus
from laotie.base.db import Database
from laotie.base.ids import OrderId, new_id
from laotie.base.refusals import Forbidden, IdReused, NotFound
from laotie.base.settings import Settings
from laotie.base.signer import Signer
from laotie.identity import Actor, Role
from laotie.orders import Till
from laotie.web.house import House
from market import Market, furnish, make_account

DAY_S = 86_400
FINE = Draft(goods=5, service=5, shipping=4, words=Words(text="很新鲜"))


@pytest.fixture
async def market(db: Database, signer: Signer) -> AsyncIterator[Market]:
    """A live shop; orders are completed by hand."""
    till = Till(db, payment_timeout_s=900, batch_max=64, waiting_max=10_000)
    yield await furnish(House(db=db, settings=Settings(port=1), signer=signer, bus=LocalBus(), till=till))
    await till.close()


async def buy(market: Market, buyer: Actor, *items: live.CartItem, complete: bool = True) -> OrderId:
    order_id = await market.place(buyer, *items)
    if complete:
        async with market.db.tx() as tx:
            await tx.run(
                """
                UPDATE orders."order" SET state = 'completed', paid_at = %(now)s, completed_at = %(now)s
                WHERE id = %(id)s
                """,
                id=order_id,
                now=tx.now,
            )
    return order_id


async def write(market: Market, buyer: Actor, order_id: OrderId, draft: Draft = FINE, *, no: int = 1) -> ReviewId:
    review_id = ReviewId(new_id())
    async with market.db.tx() as tx:
        await reviews.write(tx, buyer, order_id, no, review_id, draft)
    return review_id


async def picture(db: Database, owner: Actor, purpose: str = "review") -> str:
    """A picture that somebody brought (its file, which takes a program, is only said to be there)."""
    picture_id = new_id()
    async with db.tx() as tx:
        await tx.run(
            """
            INSERT INTO uploads.picture (id, owner_id, purpose, width, height, size_bytes, digest, created_at)
            VALUES (%(id)s, %(owner)s, %(purpose)s, 9, 9, 99, '', %(now)s)
            """,
            id=picture_id,
            owner=owner.account_id,
            purpose=purpose,
            now=tx.now,
        )
    return f"/media/uploads/{picture_id}.webp"


async def shown(market: Market, product_id: Any, **options: Any) -> list[ReviewId]:
    async with market.db.read() as tx:
        found = await reviews_listing.list_of_product(tx, Actor(viewer_id=new_id()), product_id, **options)  # type: ignore[arg-type]
    return [one.id for one in found.items]


async def test_only_who_bought_reviews_once_when_complete_within_180_days(market: Market) -> None:
    item, buyer, other = await market.add_item(), await market.buyer(), await market.buyer()
    unpaid = await buy(market, buyer, item, complete=False)
    with pytest.raises(NotBought):
        await write(market, buyer, unpaid)
    order_id = await buy(market, buyer, item)
    with pytest.raises(NotFound):
        await write(market, other, order_id)
    with pytest.raises(NotFound):
        await write(market, buyer, order_id, no=2)
    review_id = await write(market, buyer, order_id)
    async with market.db.tx() as tx:
        await reviews.write(tx, buyer, order_id, 1, review_id, FINE)
    with pytest.raises(IdReused):
        async with market.db.tx() as tx:
            await reviews.write(tx, buyer, order_id, 1, review_id, msgspec.structs.replace(FINE, goods=1))
    with pytest.raises(ReviewedAlready):
        await write(market, buyer, order_id)
    late = await buy(market, buyer, item)
    market.db.clock.advance(seconds=181 * DAY_S)
    with pytest.raises(NotBought):
        await write(market, buyer, late)
    assert await shown(market, item.product_id) == [review_id]


async def test_a_refund_after_completion_does_not_unmake_the_purchase(market: Market) -> None:
    item, buyer = await market.add_item(), await market.buyer()
    order_id = await buy(market, buyer, item)
    async with market.db.tx() as tx:
        await tx.run("""UPDATE orders."order" SET state = 'refunded' WHERE id = %(id)s""", id=order_id)
    review_id = await write(market, buyer, order_id)
    assert await shown(market, item.product_id) == [review_id]


async def test_the_same_line_at_once_is_reviewed_once(market: Market) -> None:
    item, buyer = await market.add_item(), await market.buyer()
    order_id = await buy(market, buyer, item)
    answers = await asyncio.gather(*(write(market, buyer, order_id) for _ in range(5)), return_exceptions=True)
    assert sum(isinstance(one, ReviewedAlready) for one in answers) == 4
    async with market.db.read() as tx:
        assert (await reviews_listing.find_summary(tx, market.shop_id)).review_count == 1


async def test_pictures_are_ones_own_and_brought_for_a_review(market: Market) -> None:
    item, buyer, other = await market.add_item(), await market.buyer(), await market.buyer()
    order_id = await buy(market, buyer, item)
    for image in (await picture(market.db, other), await picture(market.db, buyer, "avatar"), "https://a.example/b.png"):
        with pytest.raises(uploads.PictureGone):
            await write(market, buyer, order_id, msgspec.structs.replace(FINE, words=Words(pictures=[image])))
    own = Words(text="看图", pictures=[await picture(market.db, buyer)])
    review_id = await write(market, buyer, order_id, msgspec.structs.replace(FINE, words=own))
    assert await shown(market, item.product_id, with_pictures=True) == [review_id]


async def test_somebody_anonymous_is_an_outline_even_for_the_shop(market: Market) -> None:
    item, buyer = await market.add_item(), await market.buyer()
    order_id = await buy(market, buyer, item)
    await write(market, buyer, order_id, msgspec.structs.replace(FINE, is_anonymous=True))
    async with market.db.read() as tx:
        [seen] = (await reviews_listing.list_of_shop(tx, market.owner, market.shop_id)).items
        [own] = await reviews_listing.list_of_order(tx, buyer, order_id)
    assert (seen.author.id, seen.author.avatar, seen.order_id) == (None, None, None)
    assert seen.author.name.startswith("b***")
    assert own.review is not None and own.review.is_mine and own.review.order_id == order_id and not own.may_review


async def test_words_are_judged_before_anybody_reads_them(market: Market) -> None:
    item, buyer = await market.add_item(), await market.buyer()
    order_id = await buy(market, buyer, item)
    with pytest.raises(ReviewRefused):
        await write(market, buyer, order_id, msgspec.structs.replace(FINE, words=Words(text="卖家是王八蛋")))
    held = await write(market, buyer, order_id, msgspec.structs.replace(FINE, words=Words(text="刷单返利加我")))
    assert await shown(market, item.product_id) == []
    judge = msgspec.structs.replace(await make_account(market.db, "judge"), roles=frozenset({Role.operator}))
    async with market.db.tx() as tx:
        [line] = await reviews_listing.list_of_order(tx, buyer, order_id)
        assert line.review is not None and line.review.is_held
        assert [one.review.id for one in (await reviews_listing.list_to_judge(tx, judge)).items] == [held]
        await reviews.judge(tx, judge, held, hide=False, reason="引用")
    assert await shown(market, item.product_id) == [held]
    assert len(await market.told("review.written")) == 1


async def test_a_follow_up_comes_once_and_in_time(market: Market) -> None:
    item, buyer = await market.add_item(), await market.buyer()
    review_id = await write(market, buyer, await buy(market, buyer, item))
    market.db.clock.advance(seconds=30 * DAY_S)
    for _ in range(2):
        async with market.db.tx() as tx:
            await reviews.follow_up(tx, buyer, review_id, Words(text="用了一个月，还是好"))
    with pytest.raises(FollowUpRefused):
        async with market.db.tx() as tx:
            await reviews.follow_up(tx, buyer, review_id, Words(text="又来"))
    async with market.db.read() as tx:
        seen = await reviews_listing.get_review(tx, buyer, review_id)
    assert seen.follow_up is not None and seen.follow_up.days_after == 30
    late = await write(market, buyer, await buy(market, buyer, item))
    market.db.clock.advance(seconds=181 * DAY_S)
    with pytest.raises(FollowUpRefused):
        async with market.db.tx() as tx:
            await reviews.follow_up(tx, buyer, late, Words(text="太晚"))


async def test_the_shop_answers_once_and_the_buyer_hears_of_it(market: Market) -> None:
    item, buyer = await market.add_item(), await market.buyer()
    review_id = await write(market, buyer, await buy(market, buyer, item))
    with pytest.raises(NotFound):
        async with market.db.tx() as tx:
            await reviews.answer(tx, buyer, review_id, "谢谢")
    for _ in range(2):
        async with market.db.tx() as tx:
            await reviews.answer(tx, market.owner, review_id, "谢谢")
    with pytest.raises(AnsweredAlready):
        async with market.db.tx() as tx:
            await reviews.answer(tx, market.owner, review_id, "不谢")
    async with market.db.read() as tx:
        assert await tx.all(str, "SELECT kind FROM messages.message") == ["review_answered"]
        assert (await reviews_listing.list_of_shop(tx, market.owner, market.shop_id, unanswered=True)).items == []


async def test_an_operator_hides_what_was_reported_and_shows_it_again(market: Market) -> None:
    item, buyer, reporter = await market.add_item(), await market.buyer(), await market.buyer()
    review_id = await write(market, buyer, await buy(market, buyer, item))
    for _ in range(2):
        async with market.db.tx() as tx:
            await reviews.report(tx, reporter, review_id, ReviewReportReason.abuse, "骂人")
    judge = await make_account(market.db, "judge")
    judge = msgspec.structs.replace(judge, roles=frozenset({Role.operator}))
    async with market.db.read() as tx:
        [waiting] = (await reviews_listing.list_to_judge(tx, judge)).items
    assert (waiting.review.id, waiting.report_count, waiting.reports[0].note) == (review_id, 1, "骂人")
    with pytest.raises(Forbidden):
        async with market.db.tx() as tx:
            await reviews.judge(tx, market.owner, review_id, hide=True, reason="讨厌")
    async with market.db.tx() as tx:
        await reviews.judge(tx, judge, review_id, hide=True, reason="侮辱他人")
    assert await shown(market, item.product_id) == []
    async with market.db.read() as tx:
        assert (await reviews_listing.find_summary(tx, item.product_id)).review_count == 0
        assert (await reviews_listing.get_review(tx, buyer, review_id)).hidden_reason == "侮辱他人"
        assert (await reviews_listing.list_to_judge(tx, judge)).items == []
        with pytest.raises(NotFound):
            await reviews_listing.get_review(tx, reporter, review_id)
    async with market.db.tx() as tx:
        await reviews.judge(tx, judge, review_id, hide=False, reason="看错了")
    assert await shown(market, item.product_id) == [review_id]
    told = [one["is_hidden"] for one in await market.told("review.hidden")]
    assert told == [True, False]


async def test_lists_go_on_where_they_stopped_in_either_order(market: Market) -> None:
    item, buyer = await market.add_item(stock=100), await market.buyer()
    stars = [5, 1, 3, 1, 4, 5, 2]
    ids = []
    for goods in stars:
        ids.append(await write(market, buyer, await buy(market, buyer, item), msgspec.structs.replace(FINE, goods=goods)))
        market.db.clock.advance(seconds=1)
    for order, expected in (
        (ReviewOrder.newest, ids[::-1]),
        (ReviewOrder.low, [one for _, one in sorted(zip(stars, ids, strict=True), key=lambda pair: (pair[0], -ids.index(pair[1])))]),
    ):
        found: list[ReviewId] = []
        while len(found) < len(ids):
            page = await shown(market, item.product_id, order=order, limit=2, after=found[-1] if found else None)
            assert page
            found += page
        assert found == expected


@pytest.mark.parametrize("seed", range(3))
async def test_sums_equal_a_slow_count_whatever_happens(market: Market, seed: int) -> None:
    chance = random.Random(seed)
    items = [await market.add_item(stock=100), await market.add_item("虾", stock=100)]
    buyer = await market.buyer()
    judge = msgspec.structs.replace(await make_account(market.db, "judge"), roles=frozenset({Role.operator}))
    ids: list[ReviewId] = []
    for _ in range(40):
        act = chance.choice(("write", "write", "hide", "show", "follow"))
        if act == "write":
            images = [await picture(market.db, buyer)] if chance.random() < 0.4 else []
            stars = [chance.randint(1, 5) for _ in range(3)]
            draft = Draft(goods=stars[0], service=stars[1], shipping=stars[2], words=Words(text="好", pictures=images))
            ids.append(await write(market, buyer, await buy(market, buyer, chance.choice(items)), draft))
        elif ids:
            review_id = chance.choice(ids)
            async with market.db.tx() as tx:
                if act == "follow":
                    added = Words(text="再说", pictures=[await picture(market.db, buyer)])
                    try:
                        await reviews.follow_up(tx, buyer, review_id, added)
                    except FollowUpRefused:
                        continue
                else:
                    await reviews.judge(tx, judge, review_id, hide=act == "hide", reason="…")
    async with market.db.tx() as tx:
        await reviews.erase(tx, buyer.signed_in()) if chance.random() < 0.5 else None
    subjects: list[UUID] = [market.shop_id, *(item.product_id for item in items)]
    for subject in subjects:
        await _check_sums(market, subject)


async def _check_sums(market: Market, subject: UUID) -> None:
    async with market.db.read() as tx:
        rows = await tx.tuples(
            """
            SELECT goods, service, shipping, has_pictures FROM aftersales.review
            WHERE is_shown AND %(id)s IN (product_id, shop_id)
            """,
            id=subject,
        )
        kept = await reviews_listing.find_summary(tx, subject)
    stars = Counter(row[0] for row in rows)
    assert kept.review_count == len(rows)
    assert kept.picture_count == sum(row[3] for row in rows)
    assert (kept.goods_sum, kept.service_sum, kept.shipping_sum) == tuple(sum(row[i] for row in rows) for i in range(3))
    assert kept.star_counts == [stars[star] for star in range(1, 6)]


async def test_who_leaves_takes_the_words_and_leaves_the_stars(market: Market) -> None:
    item, buyer = await market.add_item(), await market.buyer()
    await write(market, buyer, await buy(market, buyer, item))
    async with market.db.tx() as tx:
        assert len(await reviews_listing.export(tx, buyer.signed_in())) == 1
        await reviews.erase(tx, buyer.signed_in())
        [left] = (await reviews_listing.list_of_product(tx, market.owner, item.product_id)).items
    assert (left.text, left.author.id, left.goods) == ("", None, 5)
