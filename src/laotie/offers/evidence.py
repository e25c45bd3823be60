"""What offers must hold, for the audit: coupons' counts and sums are those of their claims, teams' those of their seats."""

from datetime import datetime
from uuid import UUID

import msgspec

from laotie.base.db import Tx
from laotie.base.ids import OrderId
from laotie.offers.model import Tally

SHOWN_MAX = 100


class Off(msgspec.Struct, frozen=True):
    """A coupon, a claim or a team that is not as it must be, in words."""

    id: UUID
    expected: str
    found: str


async def tally(tx: Tx) -> Tally:
    """The room's own audit: a full read, in the caller's snapshot. Figures that are off are counts of coupons."""
    return await tx.one(
        Tally,
        """
        WITH claimed AS (
            SELECT coupon_id, count(*) AS claims, count(order_ids) AS uses FROM offers.claim GROUP BY coupon_id
        ), spent AS (
            SELECT coupon_id, sum(amount) AS amount FROM offers.application WHERE ended_at IS NULL GROUP BY coupon_id
        )
        SELECT count(*) AS coupons,
               count(*) FILTER (WHERE claimed_count <> coalesce(claims, 0)) AS claims_off,
               count(*) FILTER (WHERE used_count <> coalesce(uses, 0)) AS uses_off,
               count(*) FILTER (WHERE spent_amount <> coalesce(spent.amount, 0)) AS spent_off,
               (SELECT count(*) FROM offers.application JOIN offers.claim ON claim.id = application.claim_id
                WHERE ended_at IS NULL AND order_id <> ALL (coalesce(order_ids, '{}'))) AS spent_twice
        FROM offers.coupon LEFT JOIN claimed ON claimed.coupon_id = coupon.id
        LEFT JOIN spent ON spent.coupon_id = coupon.id
        """,
    )


async def sum_applied(tx: Tx) -> tuple[int, int, int]:
    """Orders that coupons were spent on, what they took off all of them, and what of it the platform bears."""
    rows = await tx.tuples(
        """
        SELECT count(DISTINCT order_id), coalesce(sum(amount), 0)::bigint, coalesce(sum(subsidy_amount), 0)::bigint
        FROM offers.application
        """
    )
    orders, amount, subsidy = rows[0]
    return orders, amount, subsidy


async def list_coupons_off(tx: Tx) -> list[Off]:
    """Coupons whose counts and sums are not those of their claims and uses, and claims spent on what they do not name."""
    return await tx.all(
        Off,
        """
        WITH claimed AS (
            SELECT coupon_id, count(*) AS claims, count(order_ids) AS uses FROM offers.claim GROUP BY coupon_id
        ), spent AS (
            SELECT coupon_id, sum(amount) AS amount FROM offers.application WHERE ended_at IS NULL GROUP BY coupon_id
        )
        SELECT coupon.id, concat_ws(' ', coalesce(claims, 0), coalesce(uses, 0), coalesce(spent.amount, 0)) AS expected,
               concat_ws(' ', claimed_count, used_count, spent_amount) AS found
        FROM offers.coupon LEFT JOIN claimed ON claimed.coupon_id = coupon.id
        LEFT JOIN spent ON spent.coupon_id = coupon.id
        WHERE (claimed_count, used_count, spent_amount)
           <> (coalesce(claims, 0), coalesce(uses, 0), coalesce(spent.amount, 0))
        UNION ALL
        SELECT claim.id, 'spent on ' || order_id, 'it names other orders'
        FROM offers.application JOIN offers.claim ON claim.id = application.claim_id
        WHERE ended_at IS NULL AND order_id <> ALL (coalesce(order_ids, '{}'))
        LIMIT %(limit)s
        """,
        limit=SHOWN_MAX,
    )


async def list_teams_off(tx: Tx, before: datetime) -> list[Off]:
    """Teams whose counts are not those of their seats; and whose deadline, or what follows it, was before and is not done."""
    return await tx.all(
        Off,
        """
        SELECT team.id, coalesce(held, 0) || ' held, ' || coalesce(paid, 0) || ' paid' AS expected,
               held_count || ' held, ' || paid_count || ' paid' AS found
        FROM offers.team LEFT JOIN (
            SELECT team_id, count(*) FILTER (WHERE state = 'held') AS held,
                   count(*) FILTER (WHERE state <> 'held') AS paid
            FROM offers.seat GROUP BY team_id
        ) AS taken ON team_id = team.id
        WHERE (held_count, paid_count) <> (coalesce(held, 0), coalesce(paid, 0))
        UNION ALL
        SELECT id, CASE state WHEN 'gathering' THEN 'ended' ELSE 'given back' END || ' by ' || deadline_at, state
        FROM offers.team
        WHERE deadline_at < %(before)s
          AND (state = 'gathering' OR state = 'failed' AND settled_at IS NULL AND held_count = 0)
        LIMIT %(limit)s
        """,
        before=before,
        limit=SHOWN_MAX,
    )


async def count_teams(tx: Tx) -> int:
    """Teams that were ever opened."""
    return await tx.one(int, "SELECT count(*) FROM offers.team")


async def list_seated(tx: Tx, *, after: OrderId | None = None, limit: int = 1_000) -> list[tuple[OrderId, str]]:
    """The orders that seats were taken with, and how the seats stand; in the order of the orders' ids."""
    rows = await tx.tuples(
        """
        SELECT order_id, state FROM offers.seat WHERE %(after)s::uuid IS NULL OR order_id > %(after)s
        ORDER BY order_id LIMIT %(limit)s
        """,
        after=after,
        limit=limit,
    )
    return [(order_id, state) for order_id, state in rows]
