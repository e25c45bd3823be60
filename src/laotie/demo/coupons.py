"""The demonstration's coupons: each shop's and the platform's, some of them in the viewer's hand already."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid5

from laotie import identity, offers, orders
from laotie.base.db import Database, Tx
from laotie.base.ids import AccountId, ShopId
from laotie.base.refusals import NotFound, Refusal
from laotie.demo.goods import PERSONAS, Persona

NAMESPACE = UUID("0a6a8a3e-4c2b-5f0e-8a51-7d4b0d1f2c9e")
RUNNING = timedelta(days=300)


async def give_coupons(
    db: Database, shops: dict[str, ShopId], *, operator: identity.Actor, owners: dict[str, identity.Actor]
) -> None:
    """Make what is missing. By persona's handle: the shop and who owns it."""
    async with db.tx() as tx:
        for persona in PERSONAS:
            for number, draft in enumerate(_of_shop(tx, persona, owners[persona.handle].signed_in()), start=1):
                await _make(tx, owners[persona.handle], shops[persona.handle], _id(persona.handle, number), draft)
        for number, draft in enumerate(_of_platform(tx), start=1):
            await _make(tx, operator, None, _id("platform", number), draft)


async def take_coupons(db: Database, viewer: identity.Actor) -> None:
    """The viewer has some of them, so that the first purchase shows what coupons do."""
    for words in ((PERSONAS[0].handle, 1), ("platform", 1)):
        try:
            async with db.tx() as tx:
                claim_id = offers.ClaimId(_id("claim", *words))
                await orders.claim_coupon(tx, viewer, _id(*words), claim_id)
        except Refusal:
            continue  # taken and used, or over: this is a demonstration's second day


def _id(*words: object) -> offers.CouponId:
    return offers.CouponId(uuid5(NAMESPACE, "/".join(map(str, words))))


async def _make(
    tx: Tx, actor: identity.Actor, shop_id: ShopId | None, coupon_id: offers.CouponId, draft: offers.Draft
) -> None:
    try:
        await offers.get_coupon(tx, coupon_id)
    except NotFound:
        await offers.make_coupon(tx, actor, shop_id, coupon_id, draft)


def _of_shop(tx: Tx, persona: Persona, streamer_id: AccountId) -> list[offers.Draft]:
    steps = (offers.Step(9_900, 1_000), offers.Step(19_900, 2_500), offers.Step(39_900, 6_000))
    return [
        _draft(tx, f"{persona.shop}满减", kind=offers.CouponKind.steps, steps=steps, quantity=5_000, per_person=3),
        _draft(tx, "新朋友见面礼", off_amount=800, threshold_amount=2_000, new_buyer=True, quantity=2_000),
        _draft(
            tx,
            "老铁粉丝价",
            kind=offers.CouponKind.percent,
            bps=1_200,
            cap_amount=3_000,
            streamer_id=streamer_id,
            fan_level=1,
            quantity=1_000,
        ),
    ]


def _of_platform(tx: Tx) -> list[offers.Draft]:
    return [
        _draft(tx, "平台补贴券", off_amount=500, threshold_amount=5_000, quantity=10_000, per_person=2),
        _draft(tx, "首单立减", off_amount=600, threshold_amount=1_000, new_buyer=True, quantity=5_000),
    ]


def _draft(tx: Tx, title: str, **said: Any) -> offers.Draft:
    plain: dict[str, Any] = {
        "kind": offers.CouponKind.fixed,
        "currency": "CNY",
        "budget_amount": 5_000_000,
        "starts_at": tx.now,
        "ends_at": tx.now + RUNNING,
    }
    return offers.Draft(**(plain | {"title": title} | said))
