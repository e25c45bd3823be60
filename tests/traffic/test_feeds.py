"""The follow page is complete; the discover list is what its formula says."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from laotie import fans, identity, live, traffic
from laotie.base.bus import LocalBus
from laotie.base.clock import Clock
from laotie.base.db import Database
from laotie.base.entry import Entry, Source
from laotie.base.ids import AccountId, OrderId, ShowId, ViewerId, new_id
from laotie.base.money import Money
from laotie.base.outbox import Relay
from laotie.base.signer import Signer
from laotie.events.orders import OrderPaid
from laotie.fans import Bond
from laotie.identity import Actor
from laotie.live import Audience, OnAir, Person, StreamerBrief
from laotie.traffic import reactions
from laotie.traffic.model import Momentum, arrange, explain, weigh
from stage import Host, guest, host, join, product, put_in_cart

NOW = datetime(2026, 11, 11, 12, 0, tzinfo=UTC)


async def follow(db: Database, viewer: Actor, *hosts: Host) -> None:
    for one in hosts:
        async with db.tx() as tx:
            await fans.follow(tx, viewer.viewer_id, one.id)


async def page(db: Database, signer: Signer, viewer: Actor) -> list[traffic.Followed]:
    async with db.read() as tx:
        return await traffic.list_following(tx, signer, viewer)


async def pay(db: Database, buyer_id: UUID, one: Host) -> None:
    async with db.tx() as tx:
        tx.tell(
            OrderPaid(
                order_id=OrderId(new_id()),
                buyer_id=AccountId(buyer_id),
                shop_id=one.shop_id,
                show_id=one.show_id,
                currency="CNY",
                total_amount=6900,
                paid_at=tx.now,
            )
        )
    await Relay(db, LocalBus(), reactions.REACTIONS).drain()


async def test_the_follow_page_shows_everybody_live_ones_first_then_by_relationship(
    db: Database, signer: Signer
) -> None:
    viewer = await join(db, "viewer")
    live_one, live_two = await host(db, "live-one"), await host(db, "live-two")
    dark_one, dark_two = await host(db, "dark-one", is_live=False), await host(db, "dark-two", is_live=False)
    roomless = await join(db, "roomless")
    assert roomless.account_id is not None
    await follow(db, viewer, dark_one, live_one, live_two, dark_two)
    async with db.tx() as tx:
        await fans.follow(tx, viewer.viewer_id, roomless.account_id)
    await pay(db, viewer.viewer_id, live_one)
    await pay(db, viewer.viewer_id, dark_one)
    shown = await page(db, signer, viewer)
    assert [one.streamer.name for one in shown] == ["live-one", "live-two", "dark-one", "roomless", "dark-two"]
    assert [one.live.show_id if one.live else None for one in shown[:3]] == [live_one.show_id, live_two.show_id, None]
    assert shown[0].headline == "Room of live-one" and shown[0].last_live_at is not None
    assert shown[2].last_live_at is None and shown[2].entry is None
    entry = signer.open("entry", shown[1].entry or "", Entry, age_max_s=60)
    assert (entry.source, entry.placement, entry.position) == (Source.private, "follow-page", 1)
    assert (entry.viewer_id, entry.subject) == (viewer.viewer_id, str(live_two.show_id))


async def test_a_followed_streamer_whose_name_is_gone_is_still_there(db: Database, signer: Signer) -> None:
    viewer, one = guest(), await host(db)
    await follow(db, viewer, one)
    async with db.tx() as tx:
        await tx.run("DELETE FROM identity.seat")
        await tx.run("DELETE FROM identity.account WHERE id = %(id)s", id=one.id)
    (only,) = await page(db, signer, viewer)
    assert (only.streamer, only.live is not None) == (Person(one.id, "", None), True)


bonds = st.builds(
    Bond,
    streamer_id=st.uuids().map(AccountId),
    since=st.datetimes(timezones=st.just(UTC)),
    closeness=st.floats(0, 1e6),
)
states = st.sampled_from(["live", "dark", "unknown"])


@given(st.lists(st.tuples(bonds, states), max_size=60, unique_by=lambda pair: pair[0].streamer_id))
def test_nothing_drops_a_followed_streamer_and_each_part_keeps_its_order(pairs: list[tuple[Bond, str]]) -> None:
    ordered = [bond for bond, _ in pairs]
    briefs = {
        bond.streamer_id: StreamerBrief(
            person=Person(bond.streamer_id, "", None),
            headline="",
            live_show_id=ShowId(uuid4()) if state == "live" else None,
            last_live_at=None,
        )
        for bond, state in pairs
        if state != "unknown"
    }
    arranged = arrange(ordered, briefs)
    live_now = [bond for bond, state in pairs if state == "live"]
    assert arranged == live_now + [bond for bond, state in pairs if state != "live"]


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.data())
async def test_the_follow_page_is_complete_whatever_happens(db: Database, signer: Signer, data: st.DataObject) -> None:
    viewer = Actor(viewer_id=ViewerId(uuid4()), is_known_guest=True)
    async with db.tx() as tx:
        known = await tx.all(UUID, "SELECT id FROM identity.account ORDER BY id")
        missing = [AccountId(new_id()) for _ in range(8 - len(known))]
        for number, account_id in enumerate(missing):
            await identity.create_account(
                tx, account_id, handle=f"streamer-{account_id}", password_hash="unused", name=f"{number}"
            )
    streamers = [*map(AccountId, known), *missing]
    followed: set[AccountId] = set()
    acts = st.tuples(st.sampled_from(["follow", "unfollow", "warm"]), st.sampled_from(streamers))
    for act, streamer_id in data.draw(st.lists(acts, max_size=25)):
        async with db.tx() as tx:
            if act == "follow":
                await fans.follow(tx, viewer.viewer_id, streamer_id)
                followed.add(streamer_id)
            elif act == "unfollow":
                await fans.unfollow(tx, viewer.viewer_id, streamer_id)
                followed.discard(streamer_id)
            else:
                await fans.warm(tx, viewer.viewer_id, streamer_id, 5.0, at=tx.now)
    shown = await page(db, signer, viewer)
    assert len(shown) == len(followed) and {one.streamer.id for one in shown} == followed


def on_air(viewers: int, *, minutes: int = 120) -> OnAir:
    return OnAir(ShowId(new_id()), AccountId(uuid4()), NOW - timedelta(minutes=minutes), viewers)


def test_viewers_orders_and_freshness_raise_a_show() -> None:
    plain, watched, fresh, selling = on_air(5), on_air(50), on_air(5, minutes=1), on_air(5)
    momenta = {selling.show_id: Momentum(selling.show_id, 15, NOW)}
    order = weigh([plain, watched, fresh, selling], momenta, at=NOW)
    assert [merit.show_id for merit in order] == [
        selling.show_id,
        watched.show_id,
        fresh.show_id,
        plain.show_id,
    ]
    assert order[0].value == pytest.approx(2.584963 + 8 + 3 * 2**-6, abs=2e-6)


def test_orders_count_half_after_ten_minutes() -> None:
    show = on_air(0, minutes=10_000)
    (merit,) = weigh([show], {show.show_id: Momentum(show.show_id, 14, NOW - timedelta(minutes=10))}, at=NOW)
    assert merit.orders == pytest.approx(7) and merit.value == pytest.approx(6)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), max_size=30), st.randoms(use_true_random=False))
def test_the_same_figures_give_the_same_list_in_whatever_order_they_come(
    figures: list[tuple[int, int]], random: "st.DataObject"
) -> None:
    shows = [on_air(viewers, minutes=minutes) for viewers, minutes in figures]
    shuffled = list(shows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert weigh(shows, {}, at=NOW) == weigh(shuffled, {}, at=NOW)


def test_why_is_told_in_both_languages() -> None:
    show = on_air(12, minutes=5)
    (merit,) = weigh([show], {show.show_id: Momentum(show.show_id, 3, NOW)}, at=NOW)
    assert explain(merit, locale="zh-CN") == "12人在看 · 刚刚成交3单 · 开播5分钟"
    assert explain(merit, locale="en-GB") == "12 watching · orders just now: 3 · on air for 5 min"
    (idle,) = weigh([on_air(0, minutes=200)], {}, at=NOW)
    assert explain(idle, locale="en") == "on air for 3 h"
    (new,) = weigh([on_air(0, minutes=0)], {}, at=NOW)
    assert explain(new, locale="zh") == "刚刚开播"


async def test_the_discover_list_has_every_live_show_once_with_entry_and_reason(
    db: Database, signer: Signer, clock: Clock
) -> None:
    viewer, hosts = guest(), [await host(db, f"host-{n}") for n in range(5)]
    await host(db, "dark", is_live=False)
    goods = await product(db, hosts[3])
    item = await put_in_cart(db, hosts[3], goods)
    async with db.tx() as tx:
        await live.pin_item(tx, hosts[3].actor, hosts[3].show_id, item.id)
        await live.count_audience(tx, uuid4(), [Audience(hosts[2].show_id, 900, 0), Audience(hosts[1].show_id, 3, 0)])
    for _ in range(8):
        await pay(db, new_id(), hosts[3])
    cards: list[live.ShowCard] = []
    after = None
    for _ in range(4):
        async with db.read() as tx:
            part = await traffic.list_discover(tx, signer, viewer, after=after, limit=2, locale="zh-CN")
        cards += part.items
        after = part.next
        if after is None:
            break
        assert len(after) <= 200
        clock.advance(seconds=20)
    assert after is None
    assert [card.show_id for card in cards[:3]] == [hosts[2].show_id, hosts[3].show_id, hosts[1].show_id]
    assert sorted(card.show_id for card in cards) == sorted(one.show_id for one in hosts)
    assert cards[1].pinned is not None and cards[1].pinned.price == Money(6900, "CNY")
    assert cards[0].why == "900人在看 · 刚刚开播" and cards[1].why == "刚刚成交8单 · 刚刚开播"
    for position, card in enumerate(cards):
        entry = signer.open("entry", card.entry or "", Entry, age_max_s=60)
        assert (entry.source, entry.placement, entry.position) == (Source.public_organic, "discover", position)
        assert (entry.viewer_id, entry.subject) == (viewer.viewer_id, str(card.show_id))


async def test_a_made_up_place_in_the_list_is_refused(db: Database, signer: Signer) -> None:
    for after in ("", "x", "WzEsMiwzXQ.x.y", signer.sign("entry", [1, 2.0, str(uuid4()), 0])):
        async with db.read() as tx:
            with pytest.raises(traffic.CursorRefused):
                await traffic.list_discover(tx, signer, guest(), after=after)


async def test_a_show_that_is_over_has_no_momentum_and_is_not_discovered(db: Database, signer: Signer) -> None:
    one = await host(db)
    await pay(db, new_id(), one)
    async with db.tx() as tx:
        assert await tx.one(int, "SELECT count(*) FROM traffic.momentum") == 1
        await live.end_show(tx, one.actor, one.show_id)
    await Relay(db, LocalBus(), reactions.REACTIONS).drain()
    async with db.read() as tx:
        assert await tx.one(int, "SELECT count(*) FROM traffic.momentum") == 0
        assert (await traffic.list_discover(tx, signer, guest())).items == []


async def test_a_streamers_page_knows_its_visitor(db: Database, signer: Signer) -> None:
    viewer, one = guest(), await host(db)
    await follow(db, viewer, one)
    async with db.read() as tx:
        seen = await traffic.get_streamer_page(tx, signer, viewer, one.id)
        by_other = await traffic.get_streamer_page(tx, signer, guest(), one.id)
    assert (seen.following, by_other.following, seen.follower_count) == (True, False, 1)
    assert seen.live_show is not None
    entry = signer.open("entry", seen.live_show.entry or "", Entry, age_max_s=60)
    assert (entry.source, entry.placement, entry.viewer_id) == (Source.private, "streamer-page", viewer.viewer_id)
