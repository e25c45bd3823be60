"""Coupons for tests: made by the market's owner or an operator, claimed by buyers.

coupon = await make(market, off_amount=500)
claim_id = await take(market, buyer, coupon.id)
placed = await market.till.place(market.ask(buyer, item, coupons=(claim_id,)))
"""

from datetime import timedelta
from typing import Any

from laotie import identity, offers, orders
from laotie.base.db import Database
from laotie.base.ids import ShopId, new_id
from laotie.identity import Role
from market import Market

OPERATOR = frozenset({Role.viewer, Role.operator})


async def make(market: Market, **said: Any) -> offers.Coupon:
    """A coupon of the market's shop; `shop_id=None` for one of the platform's."""
    owner, shop_id = said.pop("owner", market.owner), said.pop("shop_id", market.shop_id)
    return await make_for(market.db, owner, shop_id, **said)


async def make_for(db: Database, owner: identity.Actor, shop_id: ShopId | None, **said: Any) -> offers.Coupon:
    """The same without a market."""
    now = db.clock.now()
    plain: dict[str, Any] = {
        "title": "立减",
        "kind": offers.CouponKind.fixed,
        "currency": "CNY",
        "quantity": 1_000_000,
        "budget_amount": 10**12,
        "starts_at": now - timedelta(minutes=1),
        "ends_at": now + timedelta(days=7),
    }
    actor = owner
    if shop_id is None:
        actor = identity.Actor(
            viewer_id=owner.viewer_id,
            account_id=owner.account_id,
            seat_holder_id=owner.seat_holder_id,
            roles=OPERATOR,
        )
    async with db.tx() as tx:
        coupon_id = offers.CouponId(new_id())
        return await offers.make_coupon(tx, actor, shop_id, coupon_id, offers.Draft(**plain | said))


async def take(market: Market, buyer: identity.Actor, coupon_id: offers.CouponId) -> offers.ClaimId:
    """A coupon in the buyer's hand."""
    claim_id = offers.ClaimId(new_id())
    async with market.db.tx() as tx:
        await orders.claim_coupon(tx, buyer, coupon_id, claim_id)
    return claim_id


async def find(db: Database, coupon_id: offers.CouponId) -> offers.Coupon:
    async with db.read() as tx:
        return await offers.get_coupon(tx, coupon_id)


async def used(db: Database, coupon_id: offers.CouponId) -> tuple[int, int]:
    """How often it has been used, and what it has cost."""
    coupon = await find(db, coupon_id)
    return coupon.used_count, coupon.spent_amount


async def is_sound(db: Database) -> bool:
    """Whether the room's own audit finds nothing."""
    async with db.read() as tx:
        return (await offers.tally(tx)).is_sound
