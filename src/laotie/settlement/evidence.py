"""What settlement's books must hold, for the audit: lines against the ledger, claims and lines against the orders."""

from datetime import datetime
from uuid import UUID

import msgspec

from laotie.base.db import Tx
from laotie.base.ids import OrderId
from laotie.settlement.model import LineId

SHOWN_MAX = 100


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """Counts, what each owner's lines add up to, and lines that are not divided by their own rates."""

    lines: int
    claims: int
    owed: dict[tuple[str, str], int]
    """By owner and currency: the sum of the owner's lines; the ledger's `payable` must be the same."""
    platform: dict[str, int]
    """By currency: what the platform has of all lines; the ledger's `commission` must be the same."""
    payment: dict[str, int]
    """By currency; the ledger's `payment_fee` must be the same."""
    split_off: list[LineId]
    """Sales that are not divided as their own rates say."""
    twice: list[OrderId]
    """Orders that have lines and claims, or are settled twice."""
    late: int
    """Claims that were due an hour ago and nothing holds back: 0 while the worker runs."""


async def tally(tx: Tx) -> Tally:
    """The room's own audit: a full read, in the caller's snapshot."""
    owed = await tx.tuples(
        """
        SELECT owner_id::text, currency, sum(amount)::bigint FROM (
            SELECT shop_id AS owner_id, currency, net_amount AS amount FROM settlement.line WHERE shop_id IS NOT NULL
            UNION ALL
            SELECT streamer_id, currency, streamer_amount FROM settlement.line WHERE streamer_id IS NOT NULL
        ) AS part GROUP BY 1, 2 HAVING sum(amount) <> 0
        """
    )
    house = await tx.tuples(
        """
        SELECT currency, sum(platform_amount)::bigint, sum(payment_amount)::bigint FROM settlement.line GROUP BY 1
        """
    )
    counts = await tx.tuples(
        """
        SELECT (SELECT count(*) FROM settlement.line), (SELECT count(*) FROM settlement.due),
               (SELECT count(*) FROM settlement.due WHERE NOT paused AND due_at < %(now)s - interval '1 hour')
        """,
        now=tx.now,
    )
    lines, claims, late = counts[0]
    return Tally(
        lines=lines,
        claims=claims,
        owed={(owner_id, currency): amount for owner_id, currency, amount in owed},
        platform={currency: amount for currency, amount, _ in house if amount},
        payment={currency: amount for currency, _, amount in house if amount},
        split_off=await tx.all(
            LineId,
            """
            SELECT id FROM settlement.line
            WHERE kind = 'sale' AND (
                platform_amount <> trunc((goods_amount + subsidy_amount)::numeric * platform_bps / 10000)
                OR payment_amount <> trunc((goods_amount + shipping_amount)::numeric * payment_bps / 10000)
                OR streamer_amount <> trunc((goods_amount + subsidy_amount)::numeric * streamer_bps / 10000))
            ORDER BY id LIMIT %(limit)s
            """,
            limit=SHOWN_MAX,
        ),
        twice=await tx.all(
            OrderId,
            """
            SELECT order_id FROM settlement.due WHERE EXISTS (
                SELECT FROM settlement.line WHERE line.order_id = due.order_id AND line.no = due.no AND kind = 'sale')
            UNION
            SELECT order_id FROM settlement.line WHERE kind = 'sale' GROUP BY order_id, no HAVING count(*) > 1
            LIMIT %(limit)s
            """,
            limit=SHOWN_MAX,
        ),
        late=late,
    )


async def sum_facts(tx: Tx, topic: str) -> dict[int, int]:
    """By the last byte of the order's id, the sum of the hashes of its facts on a topic."""
    rows = await tx.tuples(
        """
        SELECT get_byte(uuid_send(order_id), 15), sum(hashtextextended(order_id || ' ' || fact, 0)::numeric)
        FROM settlement.order_fact WHERE topic = %(topic)s GROUP BY 1
        """,
        topic=topic,
    )
    return {bucket: int(total) for bucket, total in rows}


async def list_facts(tx: Tx, topic: str, bucket: int) -> set[tuple[OrderId, str]]:
    """The facts of one bucket, in words."""
    rows = await tx.tuples(
        """
        SELECT order_id, fact FROM settlement.order_fact
        WHERE topic = %(topic)s AND get_byte(uuid_send(order_id), 15) = %(bucket)s
        """,
        topic=topic,
        bucket=bucket,
    )
    return {(order_id, fact) for order_id, fact in rows}


async def find_in_flight(tx: Tx) -> set[OrderId]:
    """Orders that something happened to which settlement has heard of and not looked at yet."""
    return set(await tx.all(OrderId, "SELECT DISTINCT order_id FROM settlement.look"))


async def list_facts_of(tx: Tx, topic: str, order_ids: list[UUID]) -> set[tuple[OrderId, str]]:
    """The facts of these orders, in words."""
    rows = await tx.tuples(
        "SELECT order_id, fact FROM settlement.order_fact WHERE topic = %(topic)s AND order_id = ANY(%(ids)s::uuid[])",
        topic=topic,
        ids=order_ids,
    )
    return {(order_id, fact) for order_id, fact in rows}


async def sum_taken(tx: Tx) -> dict[tuple[UUID, str], int]:
    """By shop and currency, what lines about orders took out of what buyers had paid for the shop's orders."""
    rows = await tx.tuples(
        """
        SELECT shop_id, currency, sum(net_amount + platform_amount + payment_amount
                                      + CASE WHEN streamer_id IS NULL THEN 0 ELSE streamer_amount END)::bigint
        FROM settlement.line WHERE kind IN ('sale', 'refund', 'freight') GROUP BY shop_id, currency
        """
    )
    return {(shop_id, currency): amount for shop_id, currency, amount in rows}


async def find_changed(tx: Tx, since: datetime) -> set[UUID]:
    """Orders of which something was due, or was settled, since."""
    return set(
        await tx.all(
            UUID,
            """
            SELECT order_id FROM settlement.due WHERE completed_at >= %(since)s
            UNION
            SELECT order_id FROM settlement.line WHERE booked_at >= %(since)s AND order_id IS NOT NULL
            """,
            since=since,
        )
    )


async def sum_payouts(tx: Tx) -> dict[tuple[UUID, str], int]:
    """By owner and currency, what payouts have taken and not brought anywhere yet."""
    rows = await tx.tuples(
        """
        SELECT owner_id, currency, sum(amount)::bigint FROM settlement.payout WHERE state IN ('drafted', 'sent')
        GROUP BY owner_id, currency
        """
    )
    return {(owner_id, currency): amount for owner_id, currency, amount in rows}


async def count_payouts(tx: Tx) -> int:
    """All payouts there ever were."""
    return await tx.one(int, "SELECT count(*) FROM settlement.payout")


async def sum_corrections(tx: Tx) -> dict[str, int]:
    """By currency, what corrections by hand that were approved gave to owners, less what they took."""
    return dict(
        await tx.tuples(
            """
            SELECT currency, sum(amount)::bigint FROM settlement.correction WHERE state = 'approved' GROUP BY currency
            """
        )
    )
