"""What payments hold, for the audit: of each order, and what differs from refunds, from providers and their statements.

Facts of orders are compared between rooms as sums of hashes, and listed only where those differ.
"""

from datetime import datetime
from uuid import UUID

import msgspec

from laotie.base.db import Tx
from laotie.base.ids import OrderId

SHOWN_MAX = 100


class Off(msgspec.Struct, frozen=True):
    """A payment, a message or a line of a statement that does not agree, in words."""

    id: UUID
    expected: str
    found: str


class Counts(msgspec.Struct, frozen=True):
    """How much there is."""

    payments: int
    captured: int
    refunds_open: int
    statement_lines: int


async def sum_facts(tx: Tx, topic: str) -> dict[int, int]:
    """By the last byte of the order's id, the sum of the hashes of its facts on a topic."""
    rows = await tx.tuples(
        """
        SELECT get_byte(uuid_send(order_id), 15), sum(hashtextextended(order_id || ' ' || fact, 0)::numeric)
        FROM payments.order_fact WHERE topic = %(topic)s GROUP BY 1
        """,
        topic=topic,
    )
    return {bucket: int(total) for bucket, total in rows}


async def list_facts(tx: Tx, topic: str, bucket: int) -> set[tuple[OrderId, str]]:
    """The facts of one bucket, in words."""
    rows = await tx.tuples(
        """
        SELECT order_id, fact FROM payments.order_fact
        WHERE topic = %(topic)s AND get_byte(uuid_send(order_id), 15) = %(bucket)s
        """,
        topic=topic,
        bucket=bucket,
    )
    return {(order_id, fact) for order_id, fact in rows}


async def list_facts_of(tx: Tx, topic: str, order_ids: list[UUID]) -> set[tuple[OrderId, str]]:
    """The facts of these orders, in words."""
    rows = await tx.tuples(
        "SELECT order_id, fact FROM payments.order_fact WHERE topic = %(topic)s AND order_id = ANY(%(ids)s::uuid[])",
        topic=topic,
        ids=order_ids,
    )
    return {(order_id, fact) for order_id, fact in rows}


async def find_changed(tx: Tx, since: datetime) -> tuple[set[UUID], set[UUID]]:
    """Payments that have changed since, and what they are for."""
    rows = await tx.tuples(
        "SELECT id, order_id FROM payments.payment WHERE changed_at >= %(since)s OR created_at >= %(since)s", since=since
    )
    return {row[0] for row in rows}, {row[1] for row in rows}


async def count_rows(tx: Tx) -> Counts:
    """Read all payments."""
    return await tx.one(
        Counts,
        """
        SELECT (SELECT count(*) FROM payments.payment) AS payments,
               (SELECT count(*) FROM payments.payment WHERE captured_at IS NOT NULL) AS captured,
               (SELECT count(*) FROM payments.refund WHERE state <> 'done') AS refunds_open,
               (SELECT count(*) FROM payments.statement_line) AS statement_lines
        """,
    )


async def list_payments_off(tx: Tx, payment_ids: list[UUID] | None = None) -> list[Off]:
    """Payments whose amounts are not the sums of their refunds and chargebacks, or whose state does not follow."""
    return await tx.all(
        Off,
        """
        WITH sums AS (
            SELECT payment_id, coalesce(sum(amount) FILTER (WHERE state = 'done'), 0) AS done,
                   coalesce(sum(amount) FILTER (WHERE state <> 'done'), 0) AS open
            FROM payments.refund WHERE %(ids)s::uuid[] IS NULL OR payment_id = ANY(%(ids)s::uuid[]) GROUP BY payment_id
        ), taken AS (
            SELECT payment_id, sum(amount) AS amount FROM payments.dispute
            WHERE money = 'taken' AND (%(ids)s::uuid[] IS NULL OR payment_id = ANY(%(ids)s::uuid[])) GROUP BY payment_id
        ), judged AS (
            SELECT id, refunded_amount, refunding_amount, reversed_amount, state, coalesce(done, 0) AS done,
                   coalesce(open, 0) AS open, coalesce(taken.amount, 0) AS taken,
                   CASE WHEN captured_at IS NULL THEN state
                        WHEN refunding_amount > 0 THEN 'refunding'
                        WHEN refunded_amount + reversed_amount < coalesce(captured_amount, payment.amount) THEN 'captured'
                        WHEN reversed_amount > 0 THEN 'reversed'
                        ELSE 'refunded' END AS follows
            FROM payments.payment LEFT JOIN sums ON sums.payment_id = id LEFT JOIN taken ON taken.payment_id = id
            WHERE %(ids)s::uuid[] IS NULL OR id = ANY(%(ids)s::uuid[])
        )
        SELECT id, concat_ws(' ', follows, done, open, taken) AS expected,
               concat_ws(' ', state, refunded_amount, refunding_amount, reversed_amount) AS found
        FROM judged
        WHERE (follows, done, open, taken) <> (state, refunded_amount, refunding_amount, reversed_amount)
        ORDER BY id LIMIT %(limit)s
        """,
        ids=payment_ids,
        limit=SHOWN_MAX,
    )


async def list_unresolved(tx: Tx) -> list[Off]:
    """Differences from providers, by message or by statement, that nobody has settled."""
    return await tx.all(
        Off,
        """
        SELECT discrepancy.id, provider || ' ' || kind || ': ' || expected AS expected, found
        FROM payments.discrepancy
        WHERE NOT EXISTS (SELECT FROM payments.resolution AS r WHERE r.discrepancy_id = discrepancy.id AND state = 'settled')
        UNION ALL
        SELECT d.statement_id, d.kind || ' ' || d.reference || ': ' || d.expected, d.found
        FROM payments.statement_difference AS d
        WHERE NOT EXISTS (SELECT FROM payments.resolution AS r
                          WHERE r.statement_id = d.statement_id AND r.mark = d.mark AND r.state = 'settled')
        LIMIT %(limit)s
        """,
        limit=SHOWN_MAX,
    )


async def list_open_refunds(tx: Tx) -> list[tuple[OrderId, UUID, int]]:
    """Refunds that are asked for and have not arrived: (order, payment, amount)."""
    return [
        (order_id, payment_id, amount)
        for order_id, payment_id, amount in await tx.tuples(
            """
            SELECT coalesce(refund.order_id, payment.order_id), payment.id, refund.amount
            FROM payments.refund JOIN payments.payment ON payment.id = payment_id WHERE refund.state <> 'done'
            """
        )
    ]


async def sum_fees(tx: Tx) -> dict[str, int]:
    """By currency, what providers took for their services, as their statements say."""
    return dict(await tx.tuples("SELECT currency, sum(amount)::bigint FROM payments.fee GROUP BY currency"))


async def sum_resolutions(tx: Tx) -> dict[str, int]:
    """By currency, by how much our books of the providers' money were corrected, by differences that are settled."""
    return dict(
        await tx.tuples(
            """
            SELECT currency, sum(amount)::bigint FROM payments.resolution
            WHERE state = 'settled' AND amount IS NOT NULL GROUP BY currency
            """
        )
    )
