"""What the ledger holds of each order, for the audit.

Compared between rooms as sums of hashes, and listed only where those differ.
"""

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
