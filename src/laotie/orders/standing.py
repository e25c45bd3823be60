"""What a buyer is to shops and streamers, as far as coupons ask: have they bought there before, whose fan are they.

A purchase counts from the moment it is placed until it comes to nothing: who got everything back has not bought.
"""

from collections.abc import Iterable, Mapping
from uuid import UUID

from laotie import fans, offers
from laotie.base.db import Tx
from laotie.base.ids import AccountId, ViewerId
from laotie.identity import Actor


async def find_buyers(tx: Tx, wanted: Mapping[AccountId, Iterable[offers.Coupon]]) -> dict[int, offers.Buyer]:
    """What is known of each buyer, as far as the coupons that they hold ask for it; by the account's whole id."""
    new = [buyer_id for buyer_id, coupons in wanted.items() if any(coupon.new_buyer for coupon in coupons)]
    pairs = sorted(
        {
            (ViewerId(buyer_id), coupon.streamer_id)
            for buyer_id, coupons in wanted.items()
            for coupon in coupons
            if coupon.streamer_id is not None
        }
    )
    bought: dict[UUID, set[UUID]] = {}
    for buyer_id, shop_id in await _find_bought(tx, new) if new else ():
        bought.setdefault(buyer_id, {offers.PLATFORM}).add(shop_id)
    levels: dict[UUID, dict[UUID, int]] = {}
    for (viewer_id, streamer_id), level in (await fans.find_levels(tx, pairs)).items() if pairs else ():
        levels.setdefault(viewer_id, {})[streamer_id] = level
    return {
        buyer_id.int: offers.Buyer(buyer_id, frozenset(bought.get(buyer_id, ())), levels.get(buyer_id, {}))
        for buyer_id in wanted
    }


async def claim_coupon(
    tx: Tx, actor: Actor, coupon_id: offers.CouponId, claim_id: offers.ClaimId
) -> tuple[offers.Claim, bool]:
    """Take a coupon, under the client's own id; the same id again is the same claim (and `False`).

    Refuses `offers.CouponGone`, `offers.ClaimsReached`, `offers.NotEntitled`.
    """
    buyer = await find_buyer(tx, actor.signed_in(), [await offers.get_coupon(tx, coupon_id)])
    return await offers.claim(tx, buyer, coupon_id, claim_id)


async def find_buyer(tx: Tx, buyer_id: AccountId, coupons: Iterable[offers.Coupon]) -> offers.Buyer:
    """The same for one."""
    return (await find_buyers(tx, {buyer_id: list(coupons)}))[buyer_id.int]


async def _find_bought(tx: Tx, buyer_ids: list[AccountId]) -> list[tuple[UUID, UUID]]:
    return await tx.tuples(
        """
        SELECT DISTINCT buyer_id, shop_id FROM orders."order"
        WHERE buyer_id = ANY(%(ids)s::uuid[]) AND state NOT IN ('cancelled', 'refunded')
        """,
        ids=buyer_ids,
    )
