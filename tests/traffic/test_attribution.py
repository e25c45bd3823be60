"""The rule of attribution: which touch is credited, from when on, within how long, and for whom."""

from datetime import timedelta
from uuid import UUID

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from laotie import fans, traffic
from laotie.base.clock import Clock
from laotie.base.db import Database
from laotie.base.entry import Source, Visit, mint_entry
from laotie.base.ids import AccountId, ShopId, ViewerId, VisitId, new_id
from laotie.base.refusals import TooFast
from laotie.base.signer import Signer
from laotie.events.identity import AccountErased
from laotie.identity import Actor
from laotie.identity.guests import merge_guest
from laotie.traffic import RuleKind, Touch, attribution, choose
from laotie.traffic.model import bound_entry
from laotie.traffic.reactions import forget
from stage import Host, guest, host, join, product

OPERATOR = AccountId(UUID(int=9))


async def touch(db: Database, signer: Signer, viewer: Actor, one: Host, source: Source) -> Visit:
    """Come to the show by a placement of this source."""
    async with db.tx() as tx:
        entry = None
        if source is not Source.direct:
            entry = mint_entry(signer, bound_entry(source, source.value, viewer.viewer_id, one.show_id, at=tx.now))
        token = (await traffic.enter(tx, signer, viewer, one.show_id, entry=entry)).visit
    return signer.open("visit", token, Visit, age_max_s=None)


async def credited(db: Database, viewer: Actor, one: Host) -> tuple[Source, int]:
    """What an order that names no visit is credited with, and by which rule."""
    async with db.read() as tx:
        credit = (await traffic.credit(tx, viewer, [one.shop_id], source=Source.shelf))[one.shop_id]
    return credit.source, credit.rule_version


async def rule(db: Database, clock: Clock, kind: RuleKind, window_h: int = 168) -> int:
    async with db.tx() as tx:
        added = await traffic.add_rule(
            tx, OPERATOR, kind, window_h=window_h, valid_from=tx.now + timedelta(minutes=2), note="because"
        )
    clock.advance(seconds=121)
    return added.version


CASES = {
    RuleKind.last_touch: ("private direct", Source.direct, Source.direct),
    RuleKind.first_touch: ("private slot direct", Source.private, Source.private),
    RuleKind.last_non_direct: ("private slot direct", Source.slot, Source.slot),
}


@pytest.mark.parametrize("kind", list(RuleKind))
async def test_each_rule_credits_its_touch_to_the_visit_and_to_the_order_without_one(
    db: Database, signer: Signer, clock: Clock, kind: RuleKind
) -> None:
    one, viewer = await host(db), guest()
    version = await rule(db, clock, kind) if kind is not RuleKind.last_touch else 1
    words, of_visit, of_order = CASES[kind]
    visits = []
    for word in words.split():
        visits.append(await touch(db, signer, viewer, one, Source(word)))
        clock.advance(seconds=7200)
    assert (visits[-1].source, visits[-1].rule_version) == (of_visit, version)
    assert visits[0].source is Source.private
    assert await credited(db, viewer, one) == (of_order, version)


async def test_the_window_ends(db: Database, signer: Signer, clock: Clock) -> None:
    one, viewer = await host(db), guest()
    await touch(db, signer, viewer, one, Source.private)
    clock.advance(seconds=168 * 3600 - 300)
    assert (await credited(db, viewer, one))[0] is Source.private
    clock.advance(seconds=300)
    assert (await credited(db, viewer, one))[0] is Source.shelf


async def test_what_was_only_direct_stays_direct_under_the_last_that_was_not(
    db: Database, signer: Signer, clock: Clock
) -> None:
    one, viewer = await host(db), guest()
    await rule(db, clock, RuleKind.last_non_direct, window_h=1)
    assert (await touch(db, signer, viewer, one, Source.slot)).source is Source.slot
    clock.advance(seconds=3601)
    assert (await touch(db, signer, viewer, one, Source.direct)).source is Source.direct, "the slot is out of the window"
    assert (await credited(db, viewer, one))[0] is Source.direct


async def test_each_shop_has_touches_of_its_own(db: Database, signer: Signer) -> None:
    one, other, viewer = await host(db), await host(db, "other"), guest()
    await touch(db, signer, viewer, one, Source.private)
    await touch(db, signer, viewer, other, Source.slot)
    assert (await credited(db, viewer, one))[0] is Source.private
    assert (await credited(db, viewer, other))[0] is Source.slot
    assert (await credited(db, guest(), one))[0] is Source.shelf


async def test_a_guest_who_signs_in_brings_their_touches(db: Database, signer: Signer) -> None:
    one, before, account = await host(db), guest(), await join(db, "anna")
    await touch(db, signer, before, one, Source.private)
    assert (await credited(db, account, one))[0] is Source.shelf
    async with db.tx() as tx:
        assert account.account_id is not None
        await merge_guest(tx, before.viewer_id, account.account_id)
    assert (await credited(db, account, one))[0] is Source.private


async def test_a_new_rule_holds_from_its_instant_and_leaves_what_was_credited(
    db: Database, signer: Signer, clock: Clock
) -> None:
    one, viewer = await host(db), guest()
    await touch(db, signer, viewer, one, Source.private)
    clock.advance(seconds=3600)
    before = await touch(db, signer, viewer, one, Source.slot)
    async with db.tx() as tx:
        begins_at = tx.now + timedelta(minutes=5)
        await traffic.add_rule(tx, OPERATOR, RuleKind.first_touch, window_h=24, valid_from=begins_at, note="")
    clock.advance(seconds=60)
    assert await credited(db, viewer, one) == (Source.slot, 1)
    clock.advance(seconds=240)
    assert await credited(db, viewer, one) == (Source.private, 2)
    assert (before.source, before.rule_version) == (Source.slot, 1)


async def test_rules_are_added_ahead_and_never_changed(db: Database, clock: Clock) -> None:
    async with db.tx() as tx:
        for late in (timedelta(seconds=-1), timedelta(seconds=59)):
            with pytest.raises(attribution.RuleTooEarly):
                await traffic.add_rule(
                    tx, OPERATOR, RuleKind.first_touch, window_h=1, valid_from=tx.now + late, note=""
                )
        for window_h, note in ((0, ""), (2161, ""), (1, "x" * 501), (1, "\x00")):
            with pytest.raises(attribution.AttributionRefused):
                await traffic.add_rule(
                    tx, OPERATOR, RuleKind.first_touch, window_h=window_h, valid_from=tx.now + timedelta(days=1), note=note
                )
        second = await traffic.add_rule(
            tx, OPERATOR, RuleKind.first_touch, window_h=1, valid_from=tx.now + timedelta(days=1), note="try"
        )
        with pytest.raises(attribution.RuleTooEarly):  # before another that is still to come
            await traffic.add_rule(
                tx, OPERATOR, RuleKind.last_touch, window_h=1, valid_from=tx.now + timedelta(hours=1), note=""
            )
        assert [one.version for one in await traffic.list_rules(tx)] == [2, 1] == [second.version, 1]
        assert (await traffic.find_rule(tx)).version == 1
    for statement in ("UPDATE traffic.attribution_rule SET window_h = 2", "DELETE FROM traffic.attribution_rule"):
        with pytest.raises(psycopg.errors.RaiseException):
            async with db.tx() as tx:
                await tx.run(statement)


async def test_on_the_shelf_half_an_hour_is_one_visit_and_follows_what_brought_one_to_the_shop(
    db: Database, signer: Signer, clock: Clock
) -> None:
    one, viewer = await host(db), guest()
    goods, more = await product(db, one), await product(db, one, title="Powder")

    async def look(at: UUID) -> tuple[Visit, bool]:
        async with db.tx() as tx:
            opened = await traffic.open_shelf_visit(tx, signer, viewer, at)  # type: ignore[arg-type]
            return opened.visit, opened.is_new

    first, is_new = await look(goods.id)
    assert (first.source, first.placement, first.show_id, is_new) == (Source.shelf, "product", None, True)
    second, is_new = await look(more.id)
    assert (second.id, is_new) == (first.id, False)
    clock.advance(seconds=1801)
    await touch(db, signer, viewer, one, Source.private)
    third, is_new = await look(goods.id)
    assert (third.source, third.streamer_id, is_new) == (Source.private, one.id, False)
    clock.advance(seconds=1801)
    assert (await look(goods.id))[0].source is Source.shelf


async def test_a_fan_on_the_shelf_follows_one_of_the_shops_streamers(db: Database, signer: Signer) -> None:
    one, viewer = await host(db), guest()
    goods = await product(db, one)
    async with db.tx() as tx:
        assert not (await traffic.open_shelf_visit(tx, signer, viewer, goods.id)).visit.is_fan
        await fans.follow(tx, viewer.viewer_id, one.id)
        assert (await traffic.open_shelf_visit(tx, signer, viewer, goods.id)).visit.is_fan
        credit = (await traffic.credit(tx, viewer, [one.shop_id, ShopId(new_id())], source=Source.shelf)).values()
    assert [one.is_fan for one in credit] == [False, False], "the touch says who came; nobody else is asked"


async def test_a_script_opens_no_more_visits_than_anybody_could(db: Database, signer: Signer, clock: Clock) -> None:
    one, viewer = await host(db), guest()
    async with db.tx() as tx:
        for number in range(attribution.TOUCHES_PER_SESSION_MAX):
            made = Touch(
                shop_id=one.shop_id, at=tx.now, visit_id=VisitId(new_id()), source=Source.private, placement=f"{number}"
            )
            await attribution.keep_touch(tx, viewer.viewer_id, made)
    for source in (Source.slot, Source.direct):
        with pytest.raises(TooFast):
            await touch(db, signer, viewer, one, source)
    await touch(db, signer, guest(), one, Source.slot)
    clock.advance(seconds=1801)
    await touch(db, signer, viewer, one, Source.slot)


async def test_touches_are_forgotten_after_the_longest_window_and_with_the_person(
    db: Database, signer: Signer, clock: Clock
) -> None:
    one, anna, was = await host(db), await join(db, "anna"), guest()
    for viewer in (anna, was, guest()):
        await touch(db, signer, viewer, one, Source.private)
    assert anna.account_id is not None
    async with db.tx() as tx:
        await merge_guest(tx, was.viewer_id, anna.account_id)
        assert len(await attribution.export_touches(tx, anna.account_id)) == 2
        await forget(tx, AccountErased(account_id=anna.account_id))
        assert await attribution.export_touches(tx, anna.account_id) == []
        assert await traffic.forget_touches(tx) == 0
    clock.advance(seconds=2160 * 3600 + 1)
    async with db.tx() as tx:
        assert await traffic.forget_touches(tx) == 1


sources = st.sampled_from([Source.direct, Source.private, Source.slot])


@given(st.lists(st.tuples(st.integers(0, 50), sources), min_size=1, max_size=12))
def test_the_choice_is_what_reading_the_touches_aloud_says(told: list[tuple[int, Source]]) -> None:
    began = Clock().now()
    touches = [
        Touch(
            shop_id=ShopId(UUID(int=1)), at=began + timedelta(seconds=at), visit_id=VisitId(UUID(int=number)), source=source,
            placement="x", sharer_id=ViewerId(UUID(int=number)),
        )
        for number, (at, source) in enumerate(told)
    ]  # fmt: skip
    first = last = last_other = touches[0]
    for one in touches:
        if one.at < first.at:
            first = one
        if one.at >= last.at:
            last = one
        if one.source is not Source.direct and (last_other.source is Source.direct or one.at >= last_other.at):
            last_other = one
    if last_other.source is Source.direct:
        last_other = last
    assert choose(RuleKind.first_touch, touches) == first
    assert choose(RuleKind.last_touch, touches) == last
    assert choose(RuleKind.last_non_direct, touches) == last_other
    assert choose(RuleKind.last_touch, []) is None
