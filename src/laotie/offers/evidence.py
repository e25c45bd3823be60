"""What offers must hold, for the audit: counts, uses and sums of every coupon are those of its claims and uses."""

from laotie.base.db import Tx
from laotie.offers.model import Tally


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
