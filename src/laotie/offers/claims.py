"""Claims: a coupon comes into somebody's hand, once per wish, never more than there are or than one person may have."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import msgspec

from laotie.base.db import Tx
from laotie.base.ids import AccountId
from laotie.base.refusals import IdReused, NotFound
from laotie.offers import rows
from laotie.offers.model import (
    HELD_CONSIDERED_MAX,
    Buyer,
    Claim,
    ClaimId,
    ClaimsReached,
    ClaimState,
    Coupon,
    CouponGone,
    CouponId,
    CouponState,
    Held,
    NotEntitled,
)
from laotie.offers.pricing import judge_holder

EXPORTED_MAX = 10_000
LOOKED_AT_MAX = 1_000
"""Claims of one person that a page looks through."""


class Page(NamedTuple):
    """A part of a list, newest first, and the id after which the next part begins."""

    items: list[Claim]
    next: ClaimId | None


async def claim(tx: Tx, buyer: Buyer, coupon_id: CouponId, claim_id: ClaimId) -> tuple[Claim, bool]:
    """Give somebody a coupon; the same id again is the same claim (and `False`).

    Holds the coupon's row, under which its claims are counted. Refuses `CouponGone`, `ClaimsReached`, `NotEntitled`,
    `IdReused`. `buyer` holds what the coupon asks for.
    """
    coupon = (await rows.hold_many(tx, [coupon_id])).get(coupon_id)
    if coupon is None:
        raise NotFound()
    known = (await _find_many(tx, [claim_id])).get(claim_id)
    if known is not None:
        if (known.coupon_id, known.holder_id) != (coupon_id, buyer.id):
            raise IdReused()
        return _with(coupon, known), False
    had = await tx.one(
        int,
        "SELECT count(*) FROM offers.claim WHERE holder_id = %(holder_id)s AND coupon_id = %(coupon_id)s",
        holder_id=buyer.id,
        coupon_id=coupon_id,
    )
    reason = why_gone(coupon, tx.now)
    if reason is not None:
        raise CouponGone(reason=reason)
    if had >= coupon.per_person:
        raise ClaimsReached(per_person=coupon.per_person)
    barred = judge_holder(coupon, buyer)
    if barred is not None:
        raise NotEntitled(reason=barred[0], reason_facts=barred[1])
    await tx.run(
        """
        WITH counted AS (UPDATE offers.coupon SET claimed_count = claimed_count + 1 WHERE id = %(coupon_id)s)
        INSERT INTO offers.claim (id, coupon_id, holder_id, ordinal, claimed_at, valid_until)
        VALUES (%(id)s, %(coupon_id)s, %(holder_id)s, %(ordinal)s, %(now)s,
                least(%(ends_at)s, %(now)s + make_interval(days => %(days)s::integer)))
        """,
        id=claim_id,
        coupon_id=coupon_id,
        holder_id=buyer.id,
        ordinal=had + 1,
        now=tx.now,
        ends_at=coupon.ends_at,
        days=coupon.valid_days,
    )
    return _with(coupon, (await _find_many(tx, [claim_id]))[claim_id]), True


async def list_claims(
    tx: Tx, holder_id: AccountId, *, state: ClaimState | None, after: ClaimId | None, limit: int
) -> Page:
    """Somebody's coupons, newest first."""
    found = await tx.all(
        _Claim,
        """
        SELECT id, coupon_id, holder_id, claimed_at, valid_until, order_ids, used_at FROM offers.claim
        WHERE holder_id = %(holder_id)s AND (%(after)s::uuid IS NULL OR id < %(after)s)
        ORDER BY id DESC LIMIT %(limit)s
        """,
        holder_id=holder_id,
        after=after,
        limit=LOOKED_AT_MAX,
    )
    coupons = await rows.find_many(tx, list({one.coupon_id for one in found}))
    claims = [_with(coupons[one.coupon_id], one) for one in found]
    fit = [one for one in claims if state is None or one.state_at(tx.now) is state]
    return Page(fit[:limit], fit[limit - 1].id if len(fit) > limit else None)


async def list_usable(tx: Tx, holder_id: AccountId) -> list[Held]:
    """What somebody could spend now, those first that end first (`HELD_CONSIDERED_MAX` at most)."""
    found = await tx.all(
        ClaimId,
        """
        SELECT claim.id FROM offers.claim JOIN offers.coupon ON coupon.id = claim.coupon_id
        WHERE holder_id = %(holder_id)s AND order_ids IS NULL AND valid_until > %(now)s AND state = 'running'
        ORDER BY valid_until, claim.id LIMIT %(limit)s
        """,
        holder_id=holder_id,
        now=tx.now,
        limit=HELD_CONSIDERED_MAX,
    )
    held = await find_held(tx, found)
    return [held[claim_id] for claim_id in found]


async def find_held(tx: Tx, claim_ids: list[ClaimId]) -> dict[ClaimId, Held]:
    """Those of the claims that exist, as they stand."""
    found = await _find_many(tx, claim_ids)
    coupons = await rows.find_many(tx, list({one.coupon_id for one in found.values()}))
    return {
        one.id: Held(
            one.id, one.holder_id, one.valid_until, one.order_ids[0] if one.order_ids else None, coupons[one.coupon_id]
        )
        for one in found.values()
    }


async def count_claims(tx: Tx, holder_id: AccountId, coupon_ids: list[CouponId]) -> dict[CouponId, tuple[int, int]]:
    """How many of each coupon somebody has had, and how many of these they can spend."""
    found = await tx.tuples(
        """
        SELECT coupon_id, count(*), count(*) FILTER (WHERE order_ids IS NULL AND valid_until > %(now)s)
        FROM offers.claim WHERE holder_id = %(holder_id)s AND coupon_id = ANY(%(ids)s::uuid[]) GROUP BY coupon_id
        """,
        holder_id=holder_id,
        ids=coupon_ids,
        now=tx.now,
    )
    return {coupon_id: (had, usable) for coupon_id, had, usable in found}


async def export(tx: Tx, account_id: AccountId) -> list[Claim]:
    """A person's coupons, for their export."""
    return (await list_claims(tx, account_id, state=None, after=None, limit=EXPORTED_MAX)).items


def why_gone(coupon: Coupon, now: datetime) -> str | None:
    """Why nobody can have this coupon now, if so."""
    if coupon.state is CouponState.stopped or coupon.ends_at <= now:
        return "over"
    if now < coupon.starts_at:
        return "not-begun"
    return "none-left" if coupon.claimed_count >= coupon.quantity else None


class _Claim(msgspec.Struct, frozen=True):
    id: ClaimId
    coupon_id: CouponId
    holder_id: AccountId
    claimed_at: datetime
    valid_until: datetime
    order_ids: tuple[UUID, ...] | None
    used_at: datetime | None


async def _find_many(tx: Tx, claim_ids: list[ClaimId]) -> dict[ClaimId, _Claim]:
    found = await tx.all(
        _Claim,
        """
        SELECT id, coupon_id, holder_id, claimed_at, valid_until, order_ids, used_at FROM offers.claim
        WHERE id = ANY(%(ids)s::uuid[])
        """,
        ids=claim_ids,
    )
    return {one.id: one for one in found}


def _with(coupon: Coupon, one: _Claim) -> Claim:
    return Claim(
        id=one.id,
        coupon=coupon,
        claimed_at=one.claimed_at,
        valid_until=one.valid_until,
        order_ids=one.order_ids,
        used_at=one.used_at,
    )
