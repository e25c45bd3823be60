"""What the ledger holds of each order, for the audit.

Compared between rooms as sums of hashes, and listed only where those differ.
"""

from datetime import date, datetime
from uuid import UUID

from laotie.base.db import Tx
from laotie.base.ids import OrderId


async def sum_facts(tx: Tx, topic: str) -> dict[int, int]:
    """By the last byte of the order's id, the sum of the hashes of its facts on a topic."""
    rows = await tx.tuples(
        """
        SELECT get_byte(uuid_send(order_id), 15), sum(hashtextextended(order_id || ' ' || fact, 0)::numeric)
        FROM ledger.order_fact WHERE topic = %(topic)s GROUP BY 1
        """,
        topic=topic,
    )
    return {bucket: int(total) for bucket, total in rows}


async def list_facts(tx: Tx, topic: str, bucket: int) -> set[tuple[OrderId, str]]:
    """The facts of one bucket, in words."""
    rows = await tx.tuples(
        """
        SELECT order_id, fact FROM ledger.order_fact
        WHERE topic = %(topic)s AND get_byte(uuid_send(order_id), 15) = %(bucket)s
        """,
        topic=topic,
        bucket=bucket,
    )
    return {(order_id, fact) for order_id, fact in rows}


async def list_facts_of(tx: Tx, topic: str, order_ids: list[UUID]) -> set[tuple[OrderId, str]]:
    """The facts of these orders, in words."""
    rows = await tx.tuples(
        "SELECT order_id, fact FROM ledger.order_fact WHERE topic = %(topic)s AND order_id = ANY(%(ids)s::uuid[])",
        topic=topic,
        ids=order_ids,
    )
    return {(order_id, fact) for order_id, fact in rows}


async def sum_days(tx: Tx, since: datetime, until: datetime, *, zone: str) -> dict[tuple[date, str, str], int]:
    """What moved between providers and what is held for shops in [since, until), by day, currency and what it was.

    `held` is what was reserved and not given up; `refunded` and `reversed` are negative.
    """
    rows = await tx.tuples(
        """
        SELECT (t.made_at AT TIME ZONE %(zone)s)::date, t.currency,
               CASE WHEN t.phase <> 'posted' THEN 'held' WHEN t.settles_id IS NOT NULL THEN 'paid'
                    WHEN t.reason IN ('reversed', 'restored') THEN t.reason ELSE 'refunded' END,
               sum(CASE WHEN t.phase = 'voided' OR debit.kind = 'shop_held' THEN -t.amount ELSE t.amount END)::bigint
        FROM ledger.transfer AS t
        JOIN ledger.account AS debit ON debit.id = t.debit_id JOIN ledger.account AS credit ON credit.id = t.credit_id
        WHERE t.made_at >= %(since)s AND t.made_at < %(until)s
          AND (debit.kind = 'provider' AND credit.kind = 'shop_held' OR debit.kind = 'shop_held' AND credit.kind = 'provider')
        GROUP BY 1, 2, 3
        """,
        since=since,
        until=until,
        zone=zone,
    )
    return {(day, currency, what): amount for day, currency, what, amount in rows}
