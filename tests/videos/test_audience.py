"""Plays by the server's clock, likes once a viewer, comments and who may take them away, sales."""

import asyncio
from typing import Any

import pytest

from laotie import videos
from laotie.base.clock import Clock
from laotie.base.ids import AccountId, OrderId, ProductId, ShopId, SkuId, ViewerId, new_id
from laotie.base.outbox import Relay
from laotie.base.refusals import IdReused, NotFound, TooFast
from laotie.events.identity import AccountErased, GuestMerged
from laotie.events.orders import OrderPaid, OrderPlaced, PlacedLine
from laotie.identity import Actor
from laotie.videos import CommentId
from laotie.videos.reactions import REACTIONS
from stage import join
from studio import Studio


def guest() -> ViewerId:
    return ViewerId(new_id())


async def test_a_play_counts_once_it_was_watched_long_enough_by_our_clock(studio: Studio, clock: Clock) -> None:
    video = await studio.publish()  # two seconds long: half of it counts
    viewer, play = guest(), new_id()
    first = await studio.watch(viewer, video.id, play, 0)
    assert first == videos.Played(0, False)
    hasty = await studio.watch(viewer, video.id, play, 60_000)
    assert hasty.watched_ms <= 1_600, "no more is believed than time has passed"
    clock.advance(seconds=5)
    assert await studio.watch(viewer, video.id, play, 5_000) == videos.Played(5_000, True)
    assert await studio.watch(viewer, video.id, play, 3_000) == videos.Played(5_000, True), "a straggler"
    figures = (await studio.see(video.id)).figures
    assert (figures.plays, figures.plays_filtered, figures.watched_ms) == (1, None, 5_000)


async def test_a_glance_does_not_count_and_another_play_does(studio: Studio, clock: Clock) -> None:
    video = await studio.publish()
    viewer = guest()
    await studio.watch(viewer, video.id, new_id(), 400)
    for _ in range(2):
        play = new_id()
        await studio.watch(viewer, video.id, play, 0)
        clock.advance(seconds=4)
        await studio.watch(viewer, video.id, play, 4_000)
    assert (await studio.see(video.id)).figures.plays == 2


async def test_anothers_play_cannot_be_acknowledged_and_nobody_begins_plays_without_end(studio: Studio) -> None:
    video = await studio.publish()
    play = new_id()
    await studio.watch(guest(), video.id, play, 0)
    with pytest.raises(IdReused):
        await studio.watch(guest(), video.id, play, 9)
    bot = guest()
    with pytest.raises(TooFast):
        for _ in range(130):
            await studio.watch(bot, video.id, new_id(), 0)


async def test_a_viewer_likes_once_however_often_and_at_once(studio: Studio) -> None:
    video = await studio.publish()
    viewer = guest()

    async def like() -> None:
        async with studio.db.tx() as tx:
            await videos.like(tx, viewer, video.id)

    await asyncio.gather(*(like() for _ in range(6)))
    assert (await studio.see(video.id)).figures.likes == 1
    for _ in range(2):
        async with studio.db.tx() as tx:
            await videos.unlike(tx, viewer, video.id)
    assert (await studio.see(video.id)).figures.likes == 0


async def hear(studio: Studio, *events: Any) -> None:
    async with studio.db.tx() as tx:
        for event in events:
            tx.tell(event)
    await Relay(studio.db, studio.context.bus, REACTIONS).drain()


async def test_what_a_guest_liked_the_account_likes_once(studio: Studio) -> None:
    video = await studio.publish()
    account, before = await join(studio.db, "anna"), guest()
    for viewer in (before, account.viewer_id):
        async with studio.db.tx() as tx:
            await videos.like(tx, viewer, video.id)
    await hear(studio, GuestMerged(guest_id=before, account_id=account.signed_in()))
    assert (await studio.see(video.id)).figures.likes == 1


async def say(studio: Studio, actor: Actor, video: Any, text: str, parent: Any = None) -> videos.Comment:
    async with studio.db.tx() as tx:
        return await videos.add_comment(
            tx, actor, video.id, CommentId(new_id()), text=text, parent_id=parent.id if parent else None
        )


async def test_comments_are_cleaned_answered_and_counted(studio: Studio) -> None:
    video = await studio.publish()
    anna, bob = await join(studio.db, "anna"), await join(studio.db, "bob")
    first = await say(studio, anna, video, "好\u202e看\u200b！\n 真的")
    assert first.text == "好看！ 真的"
    answer = await say(studio, studio.host.actor, video, "谢谢", first)
    assert answer.parent_id == first.id and answer.is_by_streamer
    assert (await say(studio, bob, video, "+1", answer)).parent_id == first.id, "answers are one level deep"
    async with studio.db.read() as tx:
        page = await videos.list_comments(tx, bob, video.id)
        answers = await videos.list_answers(tx, bob, first.id)
    assert [(one.text, one.replies, one.may_remove) for one in page.items] == [("好看！ 真的", 2, False)]
    assert [one.text for one in answers.items] == ["谢谢", "+1"]
    assert (await studio.see(video.id)).figures.comments == 3


@pytest.mark.parametrize("text", ["", " \u200b\u202e ", "\x00\x07"])
async def test_nothing_is_no_comment(studio: Studio, text: str) -> None:
    video = await studio.publish()
    with pytest.raises(videos.CommentEmpty):
        await say(studio, studio.host.actor, video, text)


async def test_long_and_hasty_comments_are_refused(studio: Studio) -> None:
    video = await studio.publish()
    with pytest.raises(videos.CommentTooLong):
        await say(studio, studio.host.actor, video, "长" * 10_000)
    with pytest.raises(TooFast):
        for _ in range(11):
            await say(studio, studio.host.actor, video, "hm")


async def test_what_the_lists_forbid_is_not_said(studio: Studio) -> None:
    video = await studio.publish()
    with pytest.raises(videos.CommentRefused):
        await say(studio, studio.host.actor, video, "come to http://evil.example/buy")


async def test_author_and_shop_may_take_a_comment_away_and_nobody_else(studio: Studio) -> None:
    video = await studio.publish()
    anna, bob = await join(studio.db, "anna"), await join(studio.db, "bob")
    first, second = await say(studio, anna, video, "一"), await say(studio, anna, video, "二")
    await say(studio, bob, video, "答", first)
    for comment, actor in ((first, bob), (second, bob)):
        with pytest.raises(NotFound):
            async with studio.db.tx() as tx:
                await videos.remove_comment(tx, actor, comment.id)
    for comment, actor in ((first, anna), (second, studio.host.actor)):
        async with studio.db.tx() as tx:
            await videos.remove_comment(tx, actor, comment.id)
    async with studio.db.read() as tx:
        assert (await videos.list_comments(tx, anna, video.id)).items == []
    assert (await studio.see(video.id)).figures.comments == 0


async def test_of_who_leaves_nothing_is_left_to_read(studio: Studio) -> None:
    video = await studio.publish()
    anna = await join(studio.db, "anna")
    await say(studio, anna, video, "我在这里")
    await hear(studio, AccountErased(account_id=anna.signed_in()))
    async with studio.db.read() as tx:
        assert await tx.all(str, "SELECT text FROM videos.comment") == [""]
    assert (await studio.see(video.id)).figures.comments == 0


async def test_an_order_that_bears_the_videos_placement_is_its_sale(studio: Studio, clock: Clock) -> None:
    video = await studio.publish()
    order, now = OrderId(new_id()), clock.now()
    line = PlacedLine(
        sku_id=SkuId(new_id()),
        product_id=ProductId(new_id()),
        cart_item_id=None,
        quantity=1,
        unit_price_amount=9900,
        title="海参",
    )
    placed = OrderPlaced(
        order_id=order,
        client_id=new_id(),
        buyer_id=AccountId(new_id()),
        shop_id=ShopId(studio.host.shop_id),
        show_id=None,
        currency="CNY",
        total_amount=9900,
        lines=(line,),
        source="public_organic",
        placement=videos.placement_of(video.id),
        visit_id=None,
        placed_at=now,
        pay_by=now,
    )
    await hear(studio, placed)
    figures = (await studio.see(video.id)).figures
    assert (figures.orders, figures.paid_orders, figures.gmv.amount) == (1, 0, 9900)
    paid = OrderPaid(
        order_id=order,
        buyer_id=placed.buyer_id,
        shop_id=placed.shop_id,
        show_id=None,
        currency="CNY",
        total_amount=9900,
        paid_at=now,
    )
    await hear(studio, paid)
    figures = (await studio.see(video.id)).figures
    assert (figures.orders, figures.paid_orders, figures.gmv_paid.amount) == (1, 1, 9900)
