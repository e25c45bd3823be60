"""Coupons in a purchase's transaction: locked, spent, and given back.

Every use of a coupon is judged and written under its row's lock, and its claims change under no other; so no claim is
spent twice and no budget is exceeded, by however many tills. Coupons are locked by id, after SKUs: one coupon may be on
everything that is sold.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple
from uuid import UUID

from laotie.base.db import Tx
from laotie.base.ids import OrderId
from laotie.offers import rows
from laotie.offers.model import PLATFORM, Application, ClaimId, CouponId, Held, Redeemed, Rule


class Claims(NamedTuple):
    """Claims under their coupons' locks, by the whole id, and the rule that stands."""

    held: dict[int, Held]
    rule: Rule


async def send_claims(tx: Tx, claim_ids: Sequence[UUID]) -> Callable[[], Awaitable[Claims]]:
    """Lock the claims' coupons inside a pipeline of the caller's, then read: call what it returns after the block.

    Claims are read by a statement of their own, after the locks, so that what another till has just spent is seen.
    """
    ids = list(claim_ids)
    coupons = await tx.send(
        """
        SELECT id, shop_id, layer, title, kind, currency, threshold_amount, off_amount, bps, cap_amount, steps,
               product_ids, show_id, streamer_id, fan_level, new_buyer, alone, quantity, per_person, budget_amount,
               claimed_count, used_count, spent_amount, starts_at, ends_at, valid_days, state, created_at
        FROM offers.coupon WHERE id = ANY(ARRAY(SELECT coupon_id FROM offers.claim WHERE id = ANY(%(ids)s::uuid[])))
        ORDER BY id FOR NO KEY UPDATE
        """,
        ids=ids,
    )
    claims = await tx.send(
        "SELECT id, holder_id, valid_until, order_ids[1], coupon_id FROM offers.claim WHERE id = ANY(%(ids)s::uuid[])",
        ids=ids,
    )
    rule = await tx.send(rows.LATEST_RULE)

    async def finish() -> Claims:
        by_id = {row[0]: rows.coupon_of(row) for row in await coupons.tuples()}
        held = {row[0].int: Held(row[0], row[1], row[2], row[3], by_id[row[4]]) for row in await claims.tuples()}
        return Claims(held, rows.rule_of((await rule.tuples())[0]))

    return finish


async def redeem_many(tx: Tx, redeemed: list[Redeemed], rule: Rule) -> None:
    """Spend claims on orders. The caller holds their coupons (`send_claims`) and has judged them under that lock.

    A second order on which somebody would be a new buyer of the same seller breaks a key: `UniqueViolation`.
    """
    spent: dict[UUID, tuple[set[ClaimId], int]] = {}
    for one in redeemed:
        claims, amount = spent.setdefault(one.coupon.id, (set(), 0))
        spent[one.coupon.id] = ({*claims, one.claim_id} if one.claim_id not in claims else claims, amount + one.amount)
    await tx.run(
        """
        UPDATE offers.coupon SET used_count = used_count + spent.uses, spent_amount = spent_amount + spent.amount
        FROM unnest(%(ids)s::uuid[], %(uses)s::bigint[], %(amounts)s::bigint[]) AS spent (id, uses, amount)
        WHERE coupon.id = spent.id
        """,
        ids=list(spent),
        uses=[len(claims) for claims, _ in spent.values()],
        amounts=[amount for _, amount in spent.values()],
    )
    await tx.run(
        """
        WITH spent AS (
            SELECT * FROM unnest(%(orders)s::uuid[], %(claims)s::uuid[], %(coupons)s::uuid[], %(amounts)s::bigint[],
                                 %(subsidies)s::bigint[], %(lines)s::text[], %(bases)s::bigint[])
              AS spent (order_id, claim_id, coupon_id, amount, subsidy_amount, lines, base_amount)
        ), marked AS (
            UPDATE offers.claim SET order_ids = taken.order_ids, used_at = %(now)s
            FROM (SELECT claim_id, array_agg(order_id ORDER BY order_id) AS order_ids FROM spent GROUP BY claim_id)
              AS taken
            WHERE claim.id = taken.claim_id
        )
        INSERT INTO offers.application (order_id, claim_id, coupon_id, amount, subsidy_amount, lines, base_amount,
                                        rule_version, applied_at)
        SELECT order_id, claim_id, coupon_id, amount, coalesce(subsidy_amount, 0), lines::jsonb, base_amount, %(rule)s,
               %(now)s
        FROM spent
        """,
        orders=[one.order_id for one in redeemed],
        claims=[one.claim_id for one in redeemed],
        coupons=[one.coupon.id for one in redeemed],
        amounts=[one.amount for one in redeemed],
        subsidies=[one.subsidy_amount for one in redeemed] if any(one.subsidy_amount for one in redeemed) else [],
        lines=["[" + ",".join([f"[{no},{amount}]" for no, amount in one.parts]) + "]" for one in redeemed],
        bases=[one.base_amount for one in redeemed],
        rule=rule.version,
        now=tx.now,
    )
    first = {
        (one.buyer_id, one.coupon.shop_id or PLATFORM): one.order_id
        for one in reversed(redeemed)
        if one.coupon.new_buyer
    }
    if first:
        firsts = sorted((*key, order_id) for key, order_id in first.items())
        await tx.run(
            """
            INSERT INTO offers.first_purchase (buyer_id, seller_id, order_id)
            SELECT * FROM unnest(%(buyers)s::uuid[], %(sellers)s::uuid[], %(orders)s::uuid[])
            """,
            buyers=[row[0] for row in firsts],
            sellers=[row[1] for row in firsts],
            orders=[row[2] for row in firsts],
        )


async def give_back_many(tx: Tx, order_ids: Sequence[OrderId]) -> int:
    """Orders came to nothing: their discounts go back to the budgets, and claims that still run to their holders.

    A claim goes back when all orders that it was spent on have ended. Returns how many applications ended; again, and
    nothing happens. The caller holds the orders. Locks the coupons by id.
    """
    ids = list(order_ids)
    coupon_ids = await tx.all(
        CouponId,
        """
        SELECT DISTINCT coupon_id FROM offers.application WHERE order_id = ANY(%(ids)s::uuid[]) AND ended_at IS NULL
        """,
        ids=ids,
    )
    if not coupon_ids:
        return 0
    await rows.hold_many(tx, coupon_ids)
    ended = await tx.tuples(
        """
        UPDATE offers.application SET ended_at = %(now)s
        WHERE order_id = ANY(%(ids)s::uuid[]) AND ended_at IS NULL RETURNING claim_id, coupon_id, amount
        """,
        ids=ids,
        now=tx.now,
    )
    given = await tx.tuples(
        """
        UPDATE offers.claim SET order_ids = NULL, used_at = NULL
        FROM offers.coupon
        WHERE claim.id = ANY(%(ids)s::uuid[]) AND coupon.id = claim.coupon_id
          AND coupon.state = 'running' AND claim.valid_until > %(now)s AND claim.order_ids IS NOT NULL
          AND NOT EXISTS (
              SELECT FROM offers.application AS other
              WHERE other.order_id = ANY(claim.order_ids) AND other.claim_id = claim.id AND other.ended_at IS NULL
          )
        RETURNING claim.coupon_id
        """,
        ids=list({row[0] for row in ended}),
        now=tx.now,
    )
    changed = {coupon_id: [0, 0] for coupon_id in coupon_ids}
    for _, coupon_id, amount in ended:
        changed[coupon_id][1] += amount
    for (coupon_id,) in given:
        changed[coupon_id][0] += 1
    await tx.run(
        """
        UPDATE offers.coupon SET used_count = used_count - given.uses, spent_amount = spent_amount - given.amount
        FROM unnest(%(ids)s::uuid[], %(uses)s::bigint[], %(amounts)s::bigint[]) AS given (id, uses, amount)
        WHERE coupon.id = given.id
        """,
        ids=list(changed),
        uses=[uses for uses, _ in changed.values()],
        amounts=[amount for _, amount in changed.values()],
    )
    await tx.run("DELETE FROM offers.first_purchase WHERE order_id = ANY(%(ids)s::uuid[])", ids=ids)
    return len(ended)


async def list_applications(tx: Tx, order_ids: Sequence[OrderId]) -> list[Application]:
    """What coupons took off these orders, as it was decided."""
    return await tx.all(
        Application,
        """
        SELECT order_id, claim_id, coupon_id, title, layer, currency, amount, subsidy_amount, lines, base_amount,
               rule_version, ended_at
        FROM offers.application JOIN offers.coupon ON coupon.id = application.coupon_id
        WHERE order_id = ANY(%(ids)s::uuid[]) ORDER BY order_id, array_position(%(layers)s::text[], layer), claim_id
        """,
        ids=list(order_ids),
        layers=["show", "shop", "platform"],
    )
