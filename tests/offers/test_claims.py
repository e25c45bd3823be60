"""Coupons made and claimed: never more than there are, never more than a person may have."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from laotie import fans, identity, offers, orders
from laotie.base.db import Database
from laotie.base.ids import AccountId, ProductId, ViewerId, new_id
from laotie.base.refusals import Forbidden, IdReused, NotFound, Refusal
from laotie.offers import ClaimId, CouponId
from market import Market
from vouchers import find, is_sound, make, take


async def claim_or_refusal(market: Market, buyer: identity.Actor, coupon_id: CouponId) -> str:
    try:
        await take(market, buyer, coupon_id)
    except Refusal as refusal:
        return refusal.code
    return "claimed"


async def test_a_rush_gets_as_many_as_there_are(market: Market) -> None:
    coupon = await make(market, off_amount=100, quantity=7)
    buyers = [await market.buyer() for _ in range(20)]
    answers = await asyncio.gather(*(claim_or_refusal(market, buyer, coupon.id) for buyer in buyers))
    assert sorted(answers) == ["claimed"] * 7 + ["coupon-gone"] * 13
    assert (await find(market.db, coupon.id)).claimed_count == 7
    assert await is_sound(market.db)


async def test_a_person_gets_as_many_as_a_person_may_have_however_fast(market: Market) -> None:
    coupon = await make(market, off_amount=100, per_person=2)
    buyer = await market.buyer()
    answers = await asyncio.gather(*(claim_or_refusal(market, buyer, coupon.id) for _ in range(8)))
    assert sorted(answers) == ["claimed"] * 2 + ["claims-reached"] * 6
    assert await is_sound(market.db)


async def test_the_same_wish_twice_is_one_claim(market: Market) -> None:
    coupon, other = await make(market, off_amount=100, per_person=5), await make(market, off_amount=50)
    buyer, claim_id = await market.buyer(), ClaimId(new_id())
    async with market.db.tx() as tx:
        first = await orders.claim_coupon(tx, buyer, coupon.id, claim_id)
        again = await orders.claim_coupon(tx, buyer, coupon.id, claim_id)
        with pytest.raises(IdReused):
            await orders.claim_coupon(tx, buyer, other.id, claim_id)
    assert (first[1], again[1]) == (True, False)
    assert first[0].id == again[0].id
    assert (await find(market.db, coupon.id)).claimed_count == 1


async def test_a_claim_lasts_its_days_but_not_beyond_the_coupon(market: Market) -> None:
    short = await make(market, off_amount=100, valid_days=3)
    long = await make(market, off_amount=100, valid_days=30)
    buyer = await market.buyer()
    for coupon in (short, long):
        await take(market, buyer, coupon.id)
    async with market.db.read() as tx:
        page = await offers.list_claims(tx, buyer.signed_in(), state=None, after=None, limit=10)
        assert [claim.valid_until for claim in page.items] == [long.ends_at, tx.now + timedelta(days=3)] or (
            abs(page.items[1].valid_until - tx.now - timedelta(days=3)) < timedelta(minutes=1)
        )
    market.db.clock.advance(seconds=4 * 86_400)
    async with market.db.read() as tx:
        states = [
            [
                claim.coupon.id
                for claim in (await offers.list_claims(tx, buyer.signed_in(), state=state, after=None, limit=10)).items
            ]
            for state in offers.ClaimState
        ]
    assert states == [[long.id], [], [short.id]]


async def test_nobody_claims_before_it_begins_after_it_ends_or_once_it_is_stopped(market: Market) -> None:
    now = market.db.clock.now()
    later = await make(market, off_amount=1, starts_at=now + timedelta(hours=1))
    coupon = await make(market, off_amount=1)
    buyer = await market.buyer()
    assert await claim_or_refusal(market, buyer, later.id) == "coupon-gone"
    async with market.db.tx() as tx:
        await offers.end_coupon(tx, market.owner, coupon.id)
    assert await claim_or_refusal(market, buyer, coupon.id) == "coupon-gone"
    market.db.clock.advance(seconds=8 * 86_400)
    assert await claim_or_refusal(market, buyer, later.id) == "coupon-gone"
    assert await claim_or_refusal(market, buyer, CouponId(new_id())) == "not-found"


async def test_new_buyers_coupons_are_for_new_buyers(market: Market) -> None:
    of_shop = await make(market, off_amount=1, new_buyer=True)
    of_platform = await make(market, off_amount=1, new_buyer=True, shop_id=None)
    item, buyer = await market.add_item(), await market.buyer()
    order_id = await market.place(buyer, item)
    assert await claim_or_refusal(market, buyer, of_shop.id) == "not-entitled"
    assert await claim_or_refusal(market, buyer, of_platform.id) == "not-entitled"
    await market.cancel(buyer, order_id)
    assert await claim_or_refusal(market, buyer, of_shop.id) == "claimed"
    assert await claim_or_refusal(market, buyer, of_platform.id) == "claimed"


async def test_fans_coupons_ask_for_a_level(market: Market) -> None:
    streamer_id = market.owner.signed_in()
    followers = await make(market, off_amount=1, streamer_id=streamer_id, fan_level=1)
    closer = await make(market, off_amount=1, streamer_id=streamer_id, fan_level=2)
    buyer = await market.buyer()
    assert await claim_or_refusal(market, buyer, followers.id) == "not-entitled"
    viewer_id = ViewerId(buyer.signed_in())
    async with market.db.tx() as tx:
        await fans.follow(tx, viewer_id, streamer_id)
    assert await claim_or_refusal(market, buyer, followers.id) == "claimed"
    with pytest.raises(offers.NotEntitled) as refused:
        await take(market, buyer, closer.id)
    assert refused.value.reason_facts == {"level": 1, "needed": 2, "streamer_id": streamer_id}
    async with market.db.tx() as tx:
        await fans.warm(tx, viewer_id, streamer_id, fans.PURCHASE_WARMTH, at=tx.now)
    assert await claim_or_refusal(market, buyer, closer.id) == "claimed"
    market.db.clock.advance(seconds=60 * 86_400)
    async with market.db.read() as tx:
        assert await fans.find_levels(tx, [(viewer_id, streamer_id)]) == {(viewer_id, streamer_id): 1}


async def test_a_coupon_that_cannot_hold_is_not_made(market: Market) -> None:
    stairs = (offers.Step(100, 10), offers.Step(90, 20))
    cases: list[tuple[dict[str, Any], str]] = [
        ({"off_amount": None}, "off"),
        ({"off_amount": 5, "bps": 100}, "bps"),
        ({"kind": offers.CouponKind.percent, "bps": 10_000}, "bps"),
        ({"kind": offers.CouponKind.steps, "steps": ()}, "steps"),
        ({"kind": offers.CouponKind.steps, "steps": (offers.Step(100, 100),)}, "steps"),
        ({"kind": offers.CouponKind.steps, "steps": stairs}, "steps"),
        ({"off_amount": 5, "fan_level": 1}, "fan_level"),
        ({"off_amount": 5, "quantity": 1, "per_person": 2}, "per_person"),
        ({"off_amount": 5, "currency": "USD"}, "currency"),
        ({"off_amount": 5, "product_ids": (ProductId(new_id()),)}, "product_ids"),
        ({"off_amount": 5, "budget_amount": 0}, "budget"),
    ]
    for said, field in cases:
        with pytest.raises(offers.CouponDraftRefused) as refused:
            await make(market, **said)
        assert refused.value.field == field


async def test_making_is_for_those_who_pay_and_may_be_repeated(market: Market) -> None:
    stranger = await market.buyer()
    with pytest.raises(NotFound):
        await make(market, off_amount=5, owner=stranger)
    now = market.db.clock.now()
    draft = offers.Draft(
        title="一样的", kind=offers.CouponKind.fixed, currency="CNY", off_amount=5, quantity=5, budget_amount=25,
        starts_at=now, ends_at=now + timedelta(days=1),
    )  # fmt: skip
    coupon_id = CouponId(new_id())
    async with market.db.tx() as tx:
        first = await offers.make_coupon(tx, market.owner, market.shop_id, coupon_id, draft)
        assert await offers.make_coupon(tx, market.owner, market.shop_id, coupon_id, draft) == first
        with pytest.raises(Forbidden):
            await offers.make_coupon(tx, market.owner, None, CouponId(new_id()), draft)
    async with market.db.tx() as tx:
        with pytest.raises(IdReused):
            await offers.make_coupon(
                tx, market.owner, market.shop_id, coupon_id, offers.Draft(**{**_fields(draft), "off_amount": 6})
            )


def _fields(draft: offers.Draft) -> dict[str, Any]:
    return {name: getattr(draft, name) for name in offers.Draft.__struct_fields__}


async def test_the_rule_has_versions_and_keeps_them(market: Market, db: Database) -> None:
    operator = identity.Actor(
        viewer_id=market.owner.viewer_id,
        account_id=market.owner.account_id,
        seat_holder_id=AccountId(market.owner.signed_in()),
        roles=frozenset({identity.Role.operator}),
    )
    most = {offers.Layer.show: 2, offers.Layer.shop: 1, offers.Layer.platform: 0}
    async with db.tx() as tx:
        rule = await offers.set_rule(tx, operator, most=most, exclusions=[(offers.Layer.shop, offers.Layer.show)])
        assert (rule.version, rule.most) == (2, most)
        assert (
            await offers.set_rule(tx, operator, most=most, exclusions=[(offers.Layer.show, offers.Layer.shop)]) == rule
        )
        with pytest.raises(Forbidden):
            await offers.set_rule(tx, market.owner, most=most, exclusions=[])
