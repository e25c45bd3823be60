"""What the audit reads of guarantees: deposits as the rows have them, and whatever does not add up."""

from uuid import UUID

import msgspec

from laotie.base.db import Tx

SHOWN_MAX = 100


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """Deposits by shop in minor units (empty ones left out), and what is off; everything in the lists is a fault."""

    deposits: int
    payouts: int
    held: dict[UUID, int]
    sums_off: list[UUID]
    """Shops whose sums are not those of their movements and payouts."""
    months_off: list[UUID]
    """Buyers whose month is not the sum of what they were paid in it (small refunds are counted there without payout)."""
    caps_off: list[UUID]
    """Orders that were granted more than their pledge's cap."""


async def tally(tx: Tx) -> Tally:
    """Compare all rows."""
    held = await tx.tuples(
        """
        SELECT shop_id, put_in_amount - paid_amount - taken_back_amount FROM trust.deposit
        WHERE put_in_amount <> paid_amount + taken_back_amount
        """
    )
    return Tally(
        deposits=await tx.one(int, "SELECT count(*) FROM trust.deposit"),
        payouts=await tx.one(int, "SELECT count(*) FROM trust.payout"),
        held=dict(held),
        sums_off=await tx.all(
            UUID,
            """
            SELECT shop_id FROM trust.deposit AS d
            LEFT JOIN (SELECT shop_id, sum(greatest(amount, 0)) AS put_in, -sum(least(amount, 0)) AS taken
                       FROM trust.movement GROUP BY shop_id) AS moved USING (shop_id)
            LEFT JOIN (SELECT shop_id, sum(paid_amount) AS paid, sum(amount - paid_amount) AS owed
                       FROM trust.payout GROUP BY shop_id) AS claimed USING (shop_id)
            WHERE (put_in_amount, taken_back_amount, d.paid_amount, owed_amount) <> (
                coalesce(put_in, 0), coalesce(taken, 0), coalesce(paid, 0), coalesce(owed, 0))
            LIMIT %(limit)s
            """,
            limit=SHOWN_MAX,
        ),
        months_off=await tx.all(
            UUID,
            """
            SELECT buyer_id FROM trust.month
            FULL JOIN (SELECT buyer_id, month_on, kind, currency, sum(amount) AS granted FROM trust.payout
                       GROUP BY buyer_id, month_on, kind, currency) AS told
                USING (buyer_id, month_on, kind, currency)
            WHERE granted_amount > cap_amount
               OR coalesce(granted, 0) <> coalesce(granted_amount, 0) AND kind <> 'refund_without_return'
            LIMIT %(limit)s
            """,
            limit=SHOWN_MAX,
        ),
        caps_off=await tx.all(
            UUID,
            """
            SELECT order_id FROM (
                SELECT order_id, kind, sum(amount) AS granted,
                       max((SELECT (promise ->> 'cap_amount')::bigint FROM trust.pledge,
                                   jsonb_array_elements(promises) AS promise
                            WHERE pledge.id = pledge_id AND promise ->> 'kind' = payout.kind)) AS cap
                FROM trust.payout GROUP BY order_id, shop_id, kind
            ) AS claimed WHERE granted > cap LIMIT %(limit)s
            """,
            limit=SHOWN_MAX,
        ),
    )
