"""What the stock holds, for the audit: of each order, and each SKU against its movements.

Facts of orders are compared between rooms as sums of hashes, and listed only where those differ.
"""

from datetime import datetime
from uuid import UUID

import msgspec

from laotie.base.db import Tx
from laotie.base.ids import OrderId, SkuId

DIFFERENCES_SHOWN_MAX = 100


async def sum_facts(tx: Tx, topic: str) -> dict[int, int]:
    """By the last byte of the order's id, the sum of the hashes of its facts on a topic."""
    rows = await tx.tuples(
        """
        SELECT get_byte(uuid_send(order_id), 15), sum(hashtextextended(order_id || ' ' || fact, 0)::numeric)
        FROM catalog.order_fact WHERE topic = %(topic)s GROUP BY 1
        """,
        topic=topic,
    )
    return {bucket: int(total) for bucket, total in rows}


async def list_facts(tx: Tx, topic: str, bucket: int) -> set[tuple[OrderId, str]]:
    """The facts of one bucket, in words."""
    rows = await tx.tuples(
        """
        SELECT order_id, fact FROM catalog.order_fact
        WHERE topic = %(topic)s AND get_byte(uuid_send(order_id), 15) = %(bucket)s
        """,
        topic=topic,
        bucket=bucket,
    )
    return {(order_id, fact) for order_id, fact in rows}


async def list_facts_of(tx: Tx, topic: str, order_ids: list[UUID]) -> set[tuple[OrderId, str]]:
    """The facts of these orders, in words."""
    rows = await tx.tuples(
        """
        SELECT order_id, fact FROM catalog.order_fact WHERE topic = %(topic)s AND order_id = ANY(%(ids)s::uuid[])
        """,
        topic=topic,
        ids=order_ids,
    )
    return {(order_id, fact) for order_id, fact in rows}


async def find_moved(tx: Tx, since: datetime) -> tuple[set[SkuId], set[UUID]]:
    """SKUs of which something has moved since, and the orders (or cases) that it moved for."""
    rows = await tx.tuples(
        "SELECT DISTINCT sku_id, order_id FROM catalog.stock_movement WHERE moved_at >= %(since)s", since=since
    )
    return {row[0] for row in rows}, {row[1] for row in rows if row[1] is not None}


class Difference(msgspec.Struct, frozen=True):
    """A SKU whose balance is not what its movements add up to. This must never be seen."""

    sku_id: SkuId
    available: int
    aside: int
    reserved: int
    sold: int
    received: int
    available_moved: int
    aside_moved: int
    reserved_moved: int
    sold_moved: int
    received_moved: int


class AsideDifference(msgspec.Struct, frozen=True):
    """Pieces set aside that are not what their movements add up to, for one owner and SKU (or all of a SKU's)."""

    sku_id: SkuId
    aside_id: UUID | None
    remaining: int
    remaining_moved: int


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """The stock's own audit: SKUs compared with their movements, the totals, and the first of what differs."""

    sku_count: int
    movement_count: int
    available: int
    aside: int
    reserved: int
    sold: int
    received: int
    difference_count: int
    differences: list[Difference]
    aside_count: int
    asides_off: list[AsideDifference]


async def tally(tx: Tx) -> Tally:
    """Compare every SKU's balance with the sums of its movements (a full read: call it in a snapshot)."""
    totals = await tx.tuples(
        """
        SELECT count(*), coalesce(sum(available), 0)::bigint, coalesce(sum(aside), 0)::bigint,
               coalesce(sum(reserved), 0)::bigint, coalesce(sum(sold), 0)::bigint,
               coalesce(sum(received), 0)::bigint, (SELECT count(*) FROM catalog.stock_movement),
               (SELECT count(*) FROM catalog.aside)
        FROM catalog.sku
        """
    )
    sku_count, available, aside, reserved, sold, received, movement_count, aside_count = totals[0]
    differences = await list_stock_off(tx)
    return Tally(
        sku_count=sku_count,
        movement_count=movement_count,
        available=available,
        aside=aside,
        reserved=reserved,
        sold=sold,
        received=received,
        difference_count=len(differences),
        differences=differences,
        aside_count=aside_count,
        asides_off=await list_asides_off(tx),
    )


async def list_stock_off(tx: Tx, sku_ids: list[SkuId] | None = None) -> list[Difference]:
    """SKUs, of these or of all, whose balance is not the sum of their movements; `DIFFERENCES_SHOWN_MAX` at most."""
    rows = await tx.tuples(
        """
        SELECT id, available, aside, reserved, sold, received, available_moved, aside_moved, reserved_moved,
               sold_moved, received_moved
        FROM (
            SELECT sku.id, sku.available, sku.aside, sku.reserved, sku.sold, sku.received,
                   coalesce(moved.entered - moved.set_off - moved.taken + moved.given + moved.back, 0)::bigint
                     AS available_moved,
                   coalesce(moved.set_off - moved.taken_off + moved.given_off, 0)::bigint AS aside_moved,
                   coalesce(moved.taken + moved.taken_off - moved.given - moved.given_off - moved.gone, 0)::bigint
                     AS reserved_moved,
                   coalesce(moved.gone - moved.back, 0)::bigint AS sold_moved,
                   coalesce(moved.entered, 0)::bigint AS received_moved
            FROM catalog.sku
            LEFT JOIN (
                SELECT sku_id,
                       coalesce(sum(quantity) FILTER (WHERE kind IN ('received', 'corrected')), 0) AS entered,
                       coalesce(sum(quantity) FILTER (WHERE kind = 'set_aside'), 0)
                         - coalesce(sum(quantity) FILTER (WHERE kind = 'put_back'), 0) AS set_off,
                       coalesce(sum(quantity) FILTER (WHERE kind = 'reserved' AND aside_id IS NULL), 0) AS taken,
                       coalesce(sum(quantity) FILTER (WHERE kind = 'reserved' AND aside_id IS NOT NULL), 0) AS taken_off,
                       coalesce(sum(quantity) FILTER (WHERE kind = 'released' AND aside_id IS NULL), 0) AS given,
                       coalesce(sum(quantity) FILTER (WHERE kind = 'released' AND aside_id IS NOT NULL), 0) AS given_off,
                       coalesce(sum(quantity) FILTER (WHERE kind = 'sold'), 0) AS gone,
                       coalesce(sum(quantity) FILTER (WHERE kind = 'returned'), 0) AS back
                FROM catalog.stock_movement
                WHERE %(ids)s::uuid[] IS NULL OR sku_id = ANY(%(ids)s::uuid[]) GROUP BY sku_id
            ) AS moved ON moved.sku_id = sku.id
            WHERE %(ids)s::uuid[] IS NULL OR sku.id = ANY(%(ids)s::uuid[])
        ) AS compared
        WHERE (available, aside, reserved, sold, received)
              IS DISTINCT FROM (available_moved, aside_moved, reserved_moved, sold_moved, received_moved)
        ORDER BY id LIMIT %(limit)s
        """,
        ids=sku_ids,
        limit=DIFFERENCES_SHOWN_MAX,
    )
    return [Difference(*row) for row in rows]


async def list_asides_off(tx: Tx) -> list[AsideDifference]:
    """Asides that differ from their movements, and SKUs whose asides do not add up to what they say is aside."""
    return [
        AsideDifference(*row)
        for row in await tx.tuples(
            """
            SELECT sku_id, id, remaining, moved FROM (
                SELECT coalesce(aside.sku_id, movement.sku_id) AS sku_id, coalesce(aside.id, movement.aside_id) AS id,
                       coalesce(aside.remaining, 0) AS remaining, coalesce(movement.moved, 0)::bigint AS moved
                FROM catalog.aside
                FULL JOIN (
                    SELECT sku_id, aside_id,
                           sum(CASE WHEN kind IN ('set_aside', 'released') THEN quantity ELSE -quantity END) AS moved
                    FROM catalog.stock_movement WHERE aside_id IS NOT NULL GROUP BY sku_id, aside_id
                ) AS movement ON movement.sku_id = aside.sku_id AND movement.aside_id = aside.id
            ) AS compared WHERE remaining <> moved
            UNION ALL
            SELECT sku.id, NULL, sku.aside, coalesce(sum(aside.remaining), 0)::bigint
            FROM catalog.sku LEFT JOIN catalog.aside ON aside.sku_id = sku.id AND aside.returned IS NULL
            GROUP BY sku.id HAVING sku.aside <> coalesce(sum(aside.remaining), 0)
            LIMIT %(limit)s
            """,
            limit=DIFFERENCES_SHOWN_MAX,
        )
    ]


async def list_asides(tx: Tx) -> dict[UUID, bool]:
    """Everything that was ever set aside, by its owner (a wave), and whether all of it was put back or sold."""
    rows = await tx.tuples("SELECT id, bool_and(returned IS NOT NULL) FROM catalog.aside GROUP BY id")
    return dict(rows)
