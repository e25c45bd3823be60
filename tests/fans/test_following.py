"""Following, counting, merging, leaving."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from laotie import fans, identity
from laotie.base.bus import LocalBus
from laotie.base.clock import Clock
from laotie.base.db import Database
from laotie.base.entry import Source, Visit
from laotie.base.ids import AccountId, ShowId, ViewerId, VisitId, new_id
from laotie.base.outbox import Relay, list_waiting
from laotie.base.refusals import NotFound
from laotie.events.fans import Followed, Unfollowed
from laotie.events.identity import AccountErased, GuestMerged
from laotie.fans import reactions
from laotie.fans.model import decayed
from stage import guest, join


async def streamer(db: Database, handle: str = "streamer") -> AccountId:
    account_id = (await join(db, handle)).account_id
    assert account_id is not None
    return account_id


def visit(viewer_id: ViewerId, source: Source = Source.share) -> Visit:
    return Visit(
        id=VisitId(new_id()),
        viewer_id=viewer_id,
        show_id=ShowId(new_id()),
        source=source,
        placement="share-link",
        at=Clock().now(),
    )


async def is_sound(db: Database) -> bool:
    async with db.read() as tx:
        return (await fans.tally(tx)).is_sound


async def test_following_twice_is_following_once_from_the_first_source(db: Database) -> None:
    followed, viewer_id = await streamer(db), guest().viewer_id
    came = visit(viewer_id)
    async with db.tx() as tx:
        assert await fans.follow(tx, viewer_id, followed, visit=came)
        assert not await fans.follow(tx, viewer_id, followed)
        (only,) = await fans.list_follows(tx, viewer_id)
        assert only == fans.Follow(
            viewer_id=viewer_id,
            streamer_id=followed,
            since=tx.now,
            source=Source.share,
            placement="share-link",
            visit_id=came.id,
        )
        assert await fans.count_followers(tx, [followed]) == {followed: 1}
    async with db.read() as tx:
        told = [one.event for one in await list_waiting(tx) if isinstance(one.event, Followed)]
    assert [(event.source, event.visit_id) for event in told] == [("share", came.id)]


async def test_unfollowing_is_counted_and_the_history_stays(db: Database) -> None:
    viewer, followed = await join(db, "viewer"), await streamer(db)
    async with db.tx() as tx:
        await fans.follow(tx, viewer.viewer_id, followed)
        assert await fans.unfollow(tx, viewer.viewer_id, followed)
        assert not await fans.unfollow(tx, viewer.viewer_id, followed)
        assert await fans.count_followers(tx, [followed]) == {followed: 0}
        assert viewer.account_id is not None
        kept = await fans.export(tx, viewer.account_id)
    assert [change.kind for change in kept.history] == ["unfollowed", "followed"]
    assert kept.follows == []
    async with db.read() as tx:
        told = [one.event for one in await list_waiting(tx)]
    assert sum(isinstance(event, Unfollowed) for event in told) == 1
    assert await is_sound(db)


async def test_nobody_follows_themselves_or_nobody(db: Database) -> None:
    viewer = await join(db, "viewer")
    assert viewer.account_id is not None
    async with db.tx() as tx:
        with pytest.raises(fans.SelfFollow):
            await fans.follow(tx, viewer.viewer_id, viewer.account_id)
        with pytest.raises(NotFound):
            await fans.follow(tx, viewer.viewer_id, AccountId(uuid4()))


async def test_is_following_many_answers_in_the_order_asked(db: Database) -> None:
    first, second, viewer_id = await streamer(db, "first"), await streamer(db, "second"), guest().viewer_id
    async with db.tx() as tx:
        await fans.follow(tx, viewer_id, second)
        pairs = [(viewer_id, first), (viewer_id, second), (guest().viewer_id, second), (viewer_id, second)]
        assert await fans.is_following_many(tx, pairs) == [False, True, False, True]
        assert await fans.is_following(tx, viewer_id, second)
        assert await fans.is_following_many(tx, []) == []


async def test_a_storm_of_follows_and_unfollows_is_counted_exactly(db: Database) -> None:
    followed = await streamer(db)
    viewers = [ViewerId(uuid4()) for _ in range(120)]

    async def act(number: int, viewer_id: ViewerId) -> None:
        async with db.tx() as tx:
            await fans.follow(tx, viewer_id, followed)
        if number % 3 == 0:
            async with db.tx() as tx:
                await fans.unfollow(tx, viewer_id, followed)
        async with db.tx() as tx:
            await fans.follow(tx, viewers[0], followed)

    await asyncio.gather(*(act(number, viewer_id) for number, viewer_id in enumerate(viewers)))
    async with db.read() as tx:
        assert (await fans.count_followers(tx, [followed]))[followed] == 80 + await fans.is_following(
            tx, viewers[0], followed
        )
    assert await is_sound(db)


async def test_what_a_guest_followed_the_account_follows_since_the_earlier_day(db: Database, clock: Clock) -> None:
    account, someone = await join(db, "viewer"), guest()
    both, guests_own, own = await streamer(db, "both"), await streamer(db, "theirs"), await streamer(db, "own")
    assert account.account_id is not None
    async with db.tx() as tx:
        early = tx.now
        await fans.follow(tx, someone.viewer_id, both, visit=visit(someone.viewer_id))
        await fans.follow(tx, someone.viewer_id, guests_own)
        await fans.follow(tx, someone.viewer_id, account.account_id)
    clock.advance(seconds=3600)
    async with db.tx() as tx:
        await fans.follow(tx, account.viewer_id, both)
        await fans.follow(tx, account.viewer_id, own)
        tx.tell(GuestMerged(guest_id=someone.viewer_id, account_id=account.account_id))
    await Relay(db, LocalBus(), reactions.REACTIONS).drain()
    async with db.tx() as tx:
        follows = {one.streamer_id: one for one in await fans.list_follows(tx, account.viewer_id)}
        assert follows.keys() == {both, guests_own, own}
        assert (follows[both].since, follows[both].source) == (early, Source.share)
        assert await fans.list_follows(tx, someone.viewer_id) == []
        counts = await fans.count_followers(tx, [both, guests_own, own, account.account_id])
        assert counts == {both: 1, guests_own: 1, own: 1, account.account_id: 0}
        await fans.merge(tx, someone.viewer_id, account.account_id)
    assert await is_sound(db)


async def test_a_person_who_left_follows_nobody_and_is_followed_by_nobody(db: Database) -> None:
    leaving, followed, fan = await join(db, "leaving"), await streamer(db), await join(db, "fan")
    assert leaving.account_id is not None
    async with db.tx() as tx:
        await fans.follow(tx, leaving.viewer_id, followed)
        await fans.follow(tx, fan.viewer_id, leaving.account_id)
        await fans.follow(tx, fan.viewer_id, followed)
        tx.tell(AccountErased(account_id=leaving.account_id))
    await Relay(db, LocalBus(), reactions.REACTIONS).drain()
    async with db.read() as tx:
        assert await fans.list_follows(tx, leaving.viewer_id) == []
        assert [one.streamer_id for one in await fans.list_follows(tx, fan.viewer_id)] == [followed]
        assert await fans.count_followers(tx, [followed, leaving.account_id]) == {followed: 1, leaving.account_id: 0}
    assert await is_sound(db)


async def test_the_export_of_an_account_has_its_follows(db: Database) -> None:
    viewer, followed = await join(db, "viewer"), await streamer(db)
    async with db.tx() as tx:
        await fans.follow(tx, viewer.viewer_id, followed)
        whole = await identity.export_account(tx, viewer)
    part = whole["fans"]
    assert isinstance(part, fans.Export) and part.follows[0].streamer_id == followed


async def test_as_many_as_one_may_follow_and_no_more(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("laotie.fans.following.FOLLOWS_MAX", 2)
    followed = [await streamer(db, f"streamer-{n}") for n in range(3)]
    viewer_id = guest().viewer_id
    async with db.tx() as tx:
        await fans.follow(tx, viewer_id, followed[0])
        await fans.follow(tx, viewer_id, followed[1])
    with pytest.raises(fans.FollowsFull):
        async with db.tx() as tx:
            await fans.follow(tx, viewer_id, followed[2])
    assert await is_sound(db)


async def test_purchases_bring_closer_and_time_takes_away(db: Database, clock: Clock) -> None:
    buyer_of, old_love, viewer_id = await streamer(db, "near"), await streamer(db, "far"), guest().viewer_id
    async with db.tx() as tx:
        await fans.follow(tx, viewer_id, old_love)
        await fans.warm(tx, viewer_id, old_love, fans.PURCHASE_WARMTH, at=tx.now)
        await fans.follow(tx, viewer_id, buyer_of)
        assert [bond.streamer_id for bond in await fans.list_bonds(tx, viewer_id)] == [old_love, buyer_of]
    clock.advance(seconds=90 * 24 * 3600)
    async with db.tx() as tx:
        await fans.warm(tx, viewer_id, buyer_of, fans.PURCHASE_WARMTH, at=tx.now)
        bonds = await fans.list_bonds(tx, viewer_id)
    assert [bond.streamer_id for bond in bonds] == [buyer_of, old_love]
    assert bonds[1].closeness == pytest.approx(6 / 8)
    assert bonds[0].closeness == pytest.approx(5 + 1 / 8)


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(days=st.lists(st.integers(0, 40_000), min_size=1, max_size=5), seed=st.randoms(use_true_random=False))
async def test_the_order_in_which_news_arrives_does_not_change_a_bond(
    db: Database, days: list[int], seed: "st.DataObject"
) -> None:
    start = Clock().now() - timedelta(days=40_000)
    instants = [start + timedelta(days=day) for day in days]
    shuffled = list(instants)
    seed.shuffle(shuffled)  # type: ignore[attr-defined]
    scores = []
    for order in (instants, shuffled):
        viewer_id, streamer_id = ViewerId(uuid4()), AccountId(uuid4())
        async with db.tx() as tx:
            for at in order:
                await fans.warm(tx, viewer_id, streamer_id, 1.0, at=at)
            ((score, scored_at),) = await tx.tuples(
                "SELECT score, scored_at FROM fans.relationship WHERE viewer_id = %(id)s", id=viewer_id
            )
        assert scored_at == max(instants)
        scores.append(score)
    assert scores[0] == pytest.approx(scores[1])
    assert scores[0] == pytest.approx(sum(decayed(1.0, since=at, now=max(instants)) for at in instants))
