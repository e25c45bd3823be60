"""Who may set which rate, what it may be, and which would count."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laotie import catalog, identity, messages
from laotie.base.db import Database
from laotie.base.ids import AccountId, ShopId, new_id
from laotie.base.refusals import Forbidden, IdReused, NotFound
from laotie.identity import Actor, Role
from laotie.settlement import RateKind, rates, terms
from laotie.settlement.rates import NewRate, RateId, RateState
from laotie.settlement.rating import Asked, Rate, choose
from laotie.settlement.terms import NewTerm, TermId
from market import make_account

DELAY = timedelta(hours=168)


@dataclass
class House:
    """An operator, a shop with its owner, a streamer, and somebody else."""

    db: Database
    operator: Actor
    owner: Actor
    streamer: Actor
    other: Actor
    shop: ShopId

    async def set(self, actor: Actor, kind: str, bps: int | None, **how: Any) -> rates.SetRate:
        async with self.db.tx() as tx:
            wanted: dict[str, Any] = {"id": RateId(new_id()), "note": "约定", "bps": bps, "kind": RateKind(kind)} | how
            return await rates.set_rate(tx, actor, NewRate(**wanted))

    async def preview(self, *, category: str = "", streamer: Actor | None = None) -> rates.Preview:
        async with self.db.read() as tx:
            return await rates.preview_rates(
                tx,
                self.owner,
                self.shop,
                category=category,
                streamer_id=streamer.signed_in() if streamer else None,
                default_delay=DELAY,
            )


@pytest.fixture
async def house(db: Database) -> AsyncIterator[House]:
    operator, owner, streamer, other = [await make_account(db, name) for name in ("opal", "olga", "sven", "otto")]
    shop = ShopId(new_id())
    async with db.tx() as tx:
        await catalog.open_shop(tx, owner.signed_in(), shop, catalog.ShopDraft(name="海边人家", currency="CNY"))
    as_operator = Actor(
        viewer_id=operator.viewer_id,
        account_id=operator.account_id,
        seat_holder_id=operator.seat_holder_id,
        roles=frozenset({Role.operator}),
    )
    yield House(db, as_operator, owner, streamer, other, shop)


async def test_a_rate_is_listed_with_who_set_it_why_and_whether_it_counts(house: House, db: Database) -> None:
    await house.set(house.operator, "platform", 500, note="开业价")
    db.clock.advance(seconds=60)
    second = await house.set(house.operator, "platform", 300, note="降价")
    planned = await house.set(
        house.operator, "platform", 100, category="海鲜", valid_from=db.clock.now() + timedelta(days=3)
    )
    async with db.read() as tx:
        counting = await rates.list_rates(tx, house.operator)
        all_time = await rates.list_rates(tx, house.operator, all_time=True)
    assert [(one.id, one.state) for one in counting] == [
        (planned.id, RateState.planned), (second.id, RateState.in_force)
    ]  # fmt: skip
    assert [(one.bps, one.note, one.state, one.made_by) for one in all_time][1:] == [
        (300, "降价", RateState.in_force, house.operator.account_id),
        (500, "开业价", RateState.past, house.operator.account_id),
    ]
    assert (await house.preview(category="海鲜")).rates.platform_bps == 300
    db.clock.advance(seconds=4 * 86_400)
    preview = await house.preview(category="海鲜")
    assert (preview.rates.platform_bps, preview.by, preview.delay) == (100, {RateKind.platform: planned.id}, DELAY)


async def test_what_is_set_is_in_the_audit_log_and_the_streamer_is_told(house: House, db: Database) -> None:
    streamer_id = house.streamer.signed_in()
    rate = await house.set(house.owner, "streamer", 2050, shop_id=house.shop, streamer_id=streamer_id, note="双十一")
    async with db.tx() as tx:
        (entry,) = await identity.list_audit_entries(tx, house.operator, subject=str(house.shop), limit=5)
        inbox = await messages.list_notices(tx, house.streamer.viewer_id, after=None, limit=5)
    assert (entry.act, entry.actor_id, entry.detail["bps"], entry.detail["note"]) == (
        "rate.set", house.owner.account_id, 2050, "双十一"
    )  # fmt: skip
    assert entry.detail["rate"] == str(rate.id)
    assert [(one.kind, one.facts) for one in inbox.items] == [
        ("streamer_rate_set", {"shop": "海边人家", "percent": "20.5"})
    ]
    async with db.read() as tx:
        assert [one.id for one in await rates.list_own_rates(tx, house.streamer)] == [rate.id]
        assert await rates.list_own_rates(tx, house.other) == []


async def test_operators_set_the_houses_rates_and_shops_their_streamers(house: House) -> None:
    with pytest.raises(Forbidden):
        await house.set(house.owner, "platform", 0, shop_id=house.shop)
    with pytest.raises(Forbidden):
        await house.set(house.owner, "payment", 0)
    with pytest.raises(NotFound):
        await house.set(house.operator, "streamer", 9000, shop_id=house.shop)
    with pytest.raises(NotFound):
        await house.set(house.other, "streamer", 100, shop_id=house.shop)
    async with house.db.read() as tx:
        with pytest.raises(Forbidden):
            await rates.list_rates(tx, house.owner)
        with pytest.raises(NotFound):
            await rates.list_shop_rates(tx, house.other, house.shop)
        with pytest.raises(NotFound):
            await rates.preview_rates(
                tx, house.other, house.shop, category="", streamer_id=None, default_delay=DELAY
            )


async def test_nothing_counts_backwards_or_without_a_reason(house: House, db: Database) -> None:
    with pytest.raises(rates.RateInThePast):
        await house.set(house.operator, "platform", 1, valid_from=db.clock.now() - timedelta(seconds=1))
    refused: list[dict[str, Any]] = [
        {"note": "  "},
        {"bps": 10_001},
        {"bps": -1},
        {"category": "x" * 61},
        {"valid_from": db.clock.now() + timedelta(days=400)},
        {"shop_id": new_id()},
        {"streamer_id": house.streamer.account_id},
    ]
    for changed in refused:
        with pytest.raises(rates.RateRefused):
            await house.set(house.operator, "platform", **{"bps": 1, **changed})
    with pytest.raises(rates.RateRefused):
        await house.set(house.owner, "streamer", 1, shop_id=house.shop, streamer_id=AccountId(new_id()))
    async with db.read() as tx:
        assert await rates.list_rates(tx, house.operator, all_time=True) == []


async def test_the_same_id_is_the_same_rate_and_never_another(house: House) -> None:
    rate_id = RateId(new_id())
    first = await house.set(house.operator, "payment", 60, id=rate_id)
    assert await house.set(house.operator, "payment", 60, id=rate_id) == first
    with pytest.raises(IdReused):
        await house.set(house.operator, "payment", 61, id=rate_id)


async def test_a_rate_ends_and_the_next_less_specific_one_counts(house: House) -> None:
    await house.set(house.operator, "platform", 500)
    with pytest.raises(rates.NothingToEnd):
        await house.set(house.operator, "platform", None, shop_id=house.shop)
    await house.set(house.operator, "platform", 0, shop_id=house.shop)
    assert (await house.preview()).rates.platform_bps == 0
    ended = await house.set(house.operator, "platform", None, shop_id=house.shop)
    assert ended.state is RateState.ended
    assert (await house.preview()).rates.platform_bps == 500
    with pytest.raises(rates.NothingToEnd):
        await house.set(house.operator, "platform", None, shop_id=house.shop)


async def test_three_rates_that_meet_never_take_more_than_the_whole(house: House) -> None:
    await house.set(house.operator, "platform", 3000)
    await house.set(house.operator, "payment", 100)
    await house.set(house.owner, "streamer", 6900, shop_id=house.shop)
    with pytest.raises(rates.RatesTooHigh) as refused:
        await house.set(house.owner, "streamer", 6901, shop_id=house.shop, category="海鲜")
    assert refused.value.facts() | {"at": None} == {
        "shop_id": house.shop, "category": "海鲜", "streamer_id": None, "at": None,
        "platform_bps": 3000, "payment_bps": 100, "streamer_bps": 6901,
    }  # fmt: skip
    with pytest.raises(rates.RatesTooHigh):
        await house.set(house.operator, "payment", 101)


async def test_a_lower_rate_of_its_own_leaves_a_shop_more_for_its_streamers_until_it_ends(house: House) -> None:
    await house.set(house.operator, "platform", 3000)
    await house.set(house.operator, "platform", 500, shop_id=house.shop)
    await house.set(house.owner, "streamer", 9000, shop_id=house.shop, streamer_id=house.streamer.signed_in())
    with pytest.raises(rates.RatesTooHigh):
        await house.set(house.operator, "platform", None, shop_id=house.shop)
    assert (await house.preview(streamer=house.streamer)).rates.platform_bps == 500


async def test_a_planned_rate_is_held_against_what_counts_then(house: House, db: Database) -> None:
    later = db.clock.now() + timedelta(days=1)
    await house.set(house.owner, "streamer", 8000, shop_id=house.shop)
    await house.set(house.owner, "streamer", 100, shop_id=house.shop, valid_from=later)
    with pytest.raises(rates.RatesTooHigh):
        await house.set(house.operator, "platform", 5000)
    await house.set(house.operator, "platform", 5000, valid_from=later)


async def test_terms_are_the_operators_count_by_shop_and_can_be_ended(house: House, db: Database) -> None:
    async def set_term(actor: Actor, delay_h: int | None, **how: Any) -> terms.SetTerm:
        async with db.tx() as tx:
            wanted = NewTerm(**{"id": TermId(new_id()), "delay_h": delay_h, "note": "信用好", **how})
            return await terms.set_term(tx, actor, wanted)

    with pytest.raises(Forbidden):
        await set_term(house.owner, 0)
    with pytest.raises(rates.RateRefused):
        await set_term(house.operator, 9_000)
    await set_term(house.operator, 72)
    assert (await house.preview()).delay == timedelta(hours=72)
    own = await set_term(house.operator, 24, shop_id=house.shop)
    assert await set_term(house.operator, 24, shop_id=house.shop, id=own.id) == own
    with pytest.raises(IdReused):
        await set_term(house.operator, 25, shop_id=house.shop, id=own.id)
    assert (await house.preview()).delay == timedelta(hours=24)
    tomorrow = db.clock.now() + timedelta(days=1)
    await set_term(house.operator, None, shop_id=house.shop, valid_from=tomorrow)
    for _ in range(2):
        with pytest.raises(rates.NothingToEnd):  # it has an end already
            await set_term(house.operator, None, shop_id=house.shop)
    assert (await house.preview()).delay == timedelta(hours=24)
    db.clock.advance(seconds=86_400)
    assert (await house.preview()).delay == timedelta(hours=72)
    await set_term(house.operator, None)
    assert (await house.preview()).delay == timedelta(hours=168)
    async with db.read() as tx:
        found = [(one.delay_h, str(one.state)) for one in await terms.list_terms(tx, house.operator)]
        acts = await tx.all(str, "SELECT act FROM identity.audit_entry WHERE act LIKE 'term.%%' ORDER BY id")
    assert found == [(None, "ended"), (None, "ended"), (24, "past"), (72, "past")]
    assert acts == ["term.set", "term.set", "term.ended", "term.ended"]


NOW = datetime(2026, 11, 1, tzinfo=UTC)
SHOP, STREAMERS, CATEGORIES = ShopId(new_id()), [AccountId(new_id()) for _ in range(2)], ["a", "b"]


@st.composite
def some_rate(draw: st.DrawFn) -> Rate:
    return Rate(
        id=new_id(),
        kind=draw(st.sampled_from(RateKind)),
        shop_id=draw(st.sampled_from([None, SHOP])),
        category=draw(st.sampled_from([None, *CATEGORIES])),
        streamer_id=draw(st.sampled_from([None, *STREAMERS])),
        bps=draw(st.none() | st.integers(0, 6_000)),
        valid_from=NOW + timedelta(hours=draw(st.integers(-3, 3))),
    )


@settings(max_examples=100, deadline=None)
@given(st.lists(some_rate(), max_size=8))
def test_a_clash_is_found_just_when_an_order_could_meet_it(found: list[Rate]) -> None:
    totals = []
    for hour in range(5):
        for streamer in (None, AccountId(new_id()), *STREAMERS):
            for category in ("", "other", *CATEGORIES):
                chosen = choose(found, Asked(SHOP, category, streamer, NOW + timedelta(hours=hour)))
                totals.append(chosen.platform_bps + chosen.payment_bps + chosen.streamer_bps)
    clash = rates.find_clash(found, SHOP, NOW)
    assert (clash is not None) == (max(totals) > 10_000)
