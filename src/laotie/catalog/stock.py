"""Stock: an append-only ledger of movements, and beside it a guarded balance on the SKU's row.

    received, corrected   into (out of) available     reserved   available (or aside) → reserved
    sold                  reserved → sold             released   reserved → available (or aside)
    returned              sold → available            set_aside  available → aside, and put_back: see `catalog.aside`

Every statement writes the movements and the balance together, so `received = available + aside + reserved + sold`, and
all equal the sums of the movements; no figure ever falls below zero (a `CHECK` stands behind the guards). Rows are locked
by ascending id. The batch forms are one statement each and serve the till and the life of orders.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from laotie import identity
from laotie.base.db import Tx
from laotie.base.ids import OrderId, ShopId, SkuId, new_id
from laotie.base.refusals import IdReused, NotFound
from laotie.catalog.model import STOCK_MAX, Movement, MovementKind, MovementRefused, Shelf, Sku, StockShort, clean_text
from laotie.events.catalog import AsideChanged, StockChanged

Line = tuple[SkuId, int, OrderId, UUID | None]
"""Pieces of a SKU for an order, and the aside that they were sold from, if not from the shelf."""


async def lock_many(tx: Tx, sku_ids: list[SkuId]) -> dict[SkuId, Shelf]:
    """Lock the SKU rows by ascending id and read what a sale needs to know; unknown ids are left out."""
    async with tx.pipelined():
        finish = await send_locks(tx, sku_ids)
    return await finish()


async def send_locks(tx: Tx, sku_ids: list[SkuId]) -> Callable[[], Awaitable[dict[SkuId, Shelf]]]:
    """The same inside a pipeline of the caller's: call what it returns after the block, for the answer."""
    sent = await tx.send(
        """
        SELECT sku.id, sku.product_id, sku.shop_id, sku.available, sku.price_amount, sku.currency,
               sku.state = 'active' AND product.state = 'listed' AND shop.state = 'open',
               product.title, sku.options::text,
               coalesce(product.images ->> 0, '/media/pictures/' || product.id || '.svg'),
               product.tax_bps, coalesce(product.pledge_id, shop.pledge_id), product.batch_id,
               shop.is_sandbox
        FROM catalog.sku
        JOIN catalog.product ON product.id = sku.product_id
        JOIN catalog.shop ON shop.id = sku.shop_id
        WHERE sku.id = ANY(%(ids)s::uuid[])
        ORDER BY sku.id
        FOR NO KEY UPDATE OF sku
        """,
        ids=sku_ids,
    )

    async def finish() -> dict[SkuId, Shelf]:
        return {row[0]: Shelf._make(row) for row in await sent.tuples()}

    return finish


async def find_shelves(tx: Tx, sku_ids: list[SkuId]) -> dict[SkuId, Shelf]:
    """The same without any lock, for a page that shows what a purchase would come to."""
    found = await tx.tuples(
        """
        SELECT sku.id, sku.product_id, sku.shop_id, sku.available, sku.price_amount, sku.currency,
               sku.state = 'active' AND product.state = 'listed' AND shop.state = 'open',
               product.title, sku.options::text,
               coalesce(product.images ->> 0, '/media/pictures/' || product.id || '.svg'),
               product.tax_bps, coalesce(product.pledge_id, shop.pledge_id), product.batch_id,
               shop.is_sandbox
        FROM catalog.sku
        JOIN catalog.product ON product.id = sku.product_id
        JOIN catalog.shop ON shop.id = sku.shop_id
        WHERE sku.id = ANY(%(ids)s::uuid[])
        """,
        ids=sku_ids,
    )
    return {row[0]: Shelf._make(row) for row in found}


async def reserve_many(tx: Tx, taken: list[Line]) -> None:
    """Keep pieces for orders, from the shelf or from asides.

    The caller holds the rows (`lock_many`), has decided, and tells `stock_changed` and `aside_changed`.
    """
    await tx.run(
        """
        WITH line AS (
            SELECT * FROM unnest(%(ids)s::uuid[], %(skus)s::uuid[], %(quantities)s::bigint[], %(orders)s::uuid[],
                                 %(asides)s::uuid[])
              AS line (id, sku_id, quantity, order_id, aside_id)
        ), moved AS (
            UPDATE catalog.sku
            SET available = available - (taken.quantity - taken.of_aside), aside = aside - taken.of_aside,
                reserved = reserved + taken.quantity
            FROM (
                SELECT sku_id, sum(quantity)::bigint AS quantity,
                       coalesce(sum(quantity) FILTER (WHERE aside_id IS NOT NULL), 0)::bigint AS of_aside
                FROM line GROUP BY sku_id
            ) AS taken
            WHERE sku.id = taken.sku_id
        )
        INSERT INTO catalog.stock_movement (id, sku_id, kind, quantity, order_id, aside_id, moved_at)
        SELECT id, sku_id, 'reserved', quantity, order_id, aside_id, %(now)s FROM line
        """,
        **_arrays(taken),
        now=tx.now,
    )
    of_asides = [line for line in taken if line[3] is not None]
    if of_asides:
        await tx.run(
            """
            UPDATE catalog.aside SET remaining = remaining - taken.quantity
            FROM (
                SELECT aside_id, sku_id, sum(quantity)::bigint AS quantity
                FROM unnest(%(asides)s::uuid[], %(skus)s::uuid[], %(quantities)s::bigint[])
                  AS line (aside_id, sku_id, quantity)
                GROUP BY aside_id, sku_id
            ) AS taken
            WHERE aside.id = taken.aside_id AND aside.sku_id = taken.sku_id
            """,
            asides=[line[3] for line in of_asides],
            skus=[line[0] for line in of_asides],
            quantities=[line[1] for line in of_asides],
        )


async def release_many(tx: Tx, lines: list[Line]) -> None:
    """Give back what was kept for orders that ended unpaid, and tell the new figures.

    To the aside that it came from while that is open, else to the shelf. Locks the SKUs by id.
    """
    lines = await _to_open_asides(tx, lines)
    _tell(
        tx,
        await tx.tuples(
            """
            WITH line AS (
                SELECT * FROM unnest(%(ids)s::uuid[], %(skus)s::uuid[], %(quantities)s::bigint[], %(orders)s::uuid[],
                                     %(asides)s::uuid[])
                  AS line (id, sku_id, quantity, order_id, aside_id)
            ), held AS MATERIALIZED (
                SELECT id FROM catalog.sku WHERE id = ANY(%(skus)s) ORDER BY id FOR NO KEY UPDATE
            ), written AS (
                INSERT INTO catalog.stock_movement (id, sku_id, kind, quantity, order_id, aside_id, moved_at)
                SELECT id, sku_id, 'released', quantity, order_id, aside_id, %(now)s FROM line
            )
            UPDATE catalog.sku
            SET available = available + (given.quantity - given.to_aside), aside = aside + given.to_aside,
                reserved = reserved - given.quantity
            FROM (
                SELECT sku_id, sum(quantity)::bigint AS quantity,
                       coalesce(sum(quantity) FILTER (WHERE aside_id IS NOT NULL), 0)::bigint AS to_aside
                FROM line GROUP BY sku_id
            ) AS given
            JOIN held ON held.id = given.sku_id
            WHERE sku.id = held.id
            RETURNING sku.id, sku.product_id, sku.shop_id, sku.available
            """,
            **_arrays(lines),
            now=tx.now,
        ),
    )
    to_asides = [line for line in lines if line[3] is not None]
    if to_asides:
        for aside_id, sku_id, remaining in await tx.tuples(
            """
            UPDATE catalog.aside SET remaining = remaining + given.quantity
            FROM (
                SELECT aside_id, sku_id, sum(quantity)::bigint AS quantity
                FROM unnest(%(asides)s::uuid[], %(skus)s::uuid[], %(quantities)s::bigint[])
                  AS line (aside_id, sku_id, quantity)
                GROUP BY aside_id, sku_id
            ) AS given
            WHERE aside.id = given.aside_id AND aside.sku_id = given.sku_id
            RETURNING aside.id, aside.sku_id, aside.remaining
            """,
            asides=[line[3] for line in to_asides],
            skus=[line[0] for line in to_asides],
            quantities=[line[1] for line in to_asides],
        ):
            tx.tell(AsideChanged(aside_id=aside_id, sku_id=sku_id, available=remaining))


async def _to_open_asides(tx: Tx, lines: list[Line]) -> list[Line]:
    """The lines with the asides that are open still; under the SKUs' locks, so that none closes meanwhile."""
    if all(line[3] is None for line in lines):
        return lines
    await lock_many(tx, sorted({line[0] for line in lines}))
    rows = await tx.tuples(
        "SELECT id, sku_id FROM catalog.aside WHERE id = ANY(%(ids)s) AND returned IS NULL",
        ids=list({line[3] for line in lines if line[3] is not None}),
    )
    there = {(row[0], row[1]) for row in rows}
    return [(line[0], line[1], line[2], line[3] if (line[3], line[0]) in there else None) for line in lines]


async def sell_many(tx: Tx, lines: list[Line]) -> None:
    """What was put aside is sold: the orders are paid. What can be bought does not change."""
    await tx.run(
        """
        WITH line AS (
            SELECT * FROM unnest(%(ids)s::uuid[], %(skus)s::uuid[], %(quantities)s::bigint[], %(orders)s::uuid[])
              AS line (id, sku_id, quantity, order_id)
        ), held AS MATERIALIZED (
            SELECT id FROM catalog.sku WHERE id = ANY(%(skus)s) ORDER BY id FOR NO KEY UPDATE
        ), moved AS (
            UPDATE catalog.sku SET reserved = reserved - gone.quantity, sold = sold + gone.quantity
            FROM (SELECT sku_id, sum(quantity)::bigint AS quantity FROM line GROUP BY sku_id) AS gone
            JOIN held ON held.id = gone.sku_id
            WHERE sku.id = held.id
        )
        INSERT INTO catalog.stock_movement (id, sku_id, kind, quantity, order_id, moved_at)
        SELECT id, sku_id, 'sold', quantity, order_id, %(now)s FROM line
        """,
        **_arrays(lines),
        now=tx.now,
    )


async def return_many(tx: Tx, lines: list[Line]) -> None:
    """Sold pieces came back and can be bought again; tells the new figures."""
    _tell(
        tx,
        await tx.tuples(
            """
            WITH line AS (
                SELECT * FROM unnest(%(ids)s::uuid[], %(skus)s::uuid[], %(quantities)s::bigint[], %(orders)s::uuid[])
                  AS line (id, sku_id, quantity, order_id)
            ), held AS MATERIALIZED (
                SELECT id FROM catalog.sku WHERE id = ANY(%(skus)s) ORDER BY id FOR NO KEY UPDATE
            ), written AS (
                INSERT INTO catalog.stock_movement (id, sku_id, kind, quantity, order_id, moved_at)
                SELECT id, sku_id, 'returned', quantity, order_id, %(now)s FROM line
            )
            UPDATE catalog.sku SET available = available + back.quantity, sold = sold - back.quantity
            FROM (SELECT sku_id, sum(quantity)::bigint AS quantity FROM line GROUP BY sku_id) AS back
            JOIN held ON held.id = back.sku_id
            WHERE sku.id = held.id
            RETURNING sku.id, sku.product_id, sku.shop_id, sku.available
            """,
            **_arrays(lines),
            now=tx.now,
        ),
    )


async def record_past_sales(tx: Tx, pieces: dict[SkuId, int], *, note: str) -> None:
    """Pieces that came and went before this house kept the books: received, reserved and sold in one step.

    One movement of each kind a SKU; what can be bought does not change.
    """
    await tx.run(
        """
        WITH line AS (
            SELECT * FROM unnest(%(skus)s::uuid[], %(quantities)s::bigint[], %(first)s::uuid[], %(second)s::uuid[],
                                 %(third)s::uuid[]) AS line (sku_id, quantity, first, second, third)
        ), held AS MATERIALIZED (
            SELECT id FROM catalog.sku WHERE id = ANY(%(skus)s) ORDER BY id FOR NO KEY UPDATE
        ), moved AS (
            UPDATE catalog.sku SET received = received + line.quantity, sold = sold + line.quantity
            FROM line JOIN held ON held.id = line.sku_id
            WHERE sku.id = held.id
        )
        INSERT INTO catalog.stock_movement (id, sku_id, kind, quantity, note, moved_at)
        SELECT step.id, line.sku_id, step.kind, line.quantity, %(note)s, %(now)s
        FROM line
        CROSS JOIN LATERAL (VALUES (line.first, 'received'), (line.second, 'reserved'), (line.third, 'sold'))
          AS step (id, kind)
        """,
        skus=list(pieces),
        quantities=list(pieces.values()),
        first=[new_id() for _ in pieces],
        second=[new_id() for _ in pieces],
        third=[new_id() for _ in pieces],
        note=note,
        now=tx.now,
    )


async def move_stock(
    tx: Tx,
    actor: identity.Actor,
    sku_id: SkuId,
    movement_id: UUID,
    *,
    kind: MovementKind,
    quantity: int,
    note: str | None = None,
) -> tuple[Movement, int]:
    """Receive or correct stock by hand; returns the movement and what can be bought now.

    The same id with the same content returns the first movement. Needs the scope `catalog`. Refuses
    `MovementRefused`, `StockShort`, `IdReused`.
    """
    shop_id = await tx.maybe(ShopId, "SELECT shop_id FROM catalog.sku WHERE id = %(id)s", id=sku_id)
    if shop_id is None:
        raise NotFound()
    await identity.require_seat(tx, actor, shop_id, identity.Scope.catalog)
    sku = await _hold(tx, sku_id)
    by_hand = kind is MovementKind.corrected or (kind is MovementKind.received and quantity > 0)
    if not by_hand or quantity == 0 or abs(quantity) > STOCK_MAX:
        raise MovementRefused(quantity_max=STOCK_MAX)
    note = clean_text("note", note or "") or None
    known = await tx.maybe(
        Movement,
        """
        SELECT id, kind, quantity, order_id, note, moved_at FROM catalog.stock_movement
        WHERE sku_id = %(sku_id)s AND id = %(id)s
        """,
        sku_id=sku_id,
        id=movement_id,
    )
    if known is not None:
        if (known.kind, known.quantity, known.note) != (kind, quantity, note):
            raise IdReused()
        return known, sku.available
    if sku.available + quantity < 0:
        raise StockShort(available=sku.available)
    if sku.received + quantity > 10 * STOCK_MAX:
        raise MovementRefused(quantity_max=STOCK_MAX)
    await tx.run(
        """
        WITH moved AS (
            UPDATE catalog.sku SET available = available + %(quantity)s, received = received + %(quantity)s
            WHERE id = %(sku_id)s
        )
        INSERT INTO catalog.stock_movement (id, sku_id, kind, quantity, note, moved_at)
        VALUES (%(id)s, %(sku_id)s, %(kind)s, %(quantity)s, %(note)s, %(now)s)
        """,
        id=movement_id,
        sku_id=sku_id,
        kind=kind,
        quantity=quantity,
        note=note,
        now=tx.now,
    )
    available = sku.available + quantity
    tx.tell(StockChanged(sku_id=sku_id, product_id=sku.product_id, shop_id=sku.shop_id, available=available))
    return Movement(
        id=movement_id, kind=kind, quantity=quantity, order_id=None, note=note, moved_at=tx.now
    ), available


async def set_many(tx: Tx, counted: dict[SkuId, int], *, note: str) -> set[SkuId]:
    """Correct each SKU to the number of pieces counted, and tell the new figures; returns those that differed."""
    changed = await tx.tuples(
        """
        WITH held AS MATERIALIZED (
            SELECT id, available FROM catalog.sku WHERE id = ANY(%(skus)s) ORDER BY id FOR NO KEY UPDATE
        ), step AS (
            SELECT held.id, counted.available - held.available AS quantity, counted.movement_id
            FROM unnest(%(skus)s::uuid[], %(counts)s::bigint[], %(ids)s::uuid[])
              AS counted (sku_id, available, movement_id)
            JOIN held ON held.id = counted.sku_id
            WHERE counted.available <> held.available
        ), written AS (
            INSERT INTO catalog.stock_movement (id, sku_id, kind, quantity, note, moved_at)
            SELECT movement_id, id, CASE WHEN quantity > 0 THEN 'received' ELSE 'corrected' END, quantity, %(note)s,
                   %(now)s
            FROM step
        )
        UPDATE catalog.sku SET available = available + step.quantity, received = received + step.quantity
        FROM step WHERE sku.id = step.id
        RETURNING sku.id, sku.product_id, sku.shop_id, sku.available
        """,
        skus=list(counted),
        counts=list(counted.values()),
        ids=[new_id() for _ in counted],
        note=note,
        now=tx.now,
    )
    _tell(tx, changed)
    return {row[0] for row in changed}


def stock_changed(shelf: Shelf, available: int, *, at: datetime | None = None) -> StockChanged:
    """The news of a SKU's new figure, from what the till read."""
    return StockChanged(
        sku_id=shelf.sku_id, product_id=shelf.product_id, shop_id=shelf.shop_id, available=available, at=at
    )


def aside_changed(aside_id: UUID, sku_id: SkuId, available: int, *, at: datetime | None = None) -> AsideChanged:
    """The news of an aside's new figure."""
    return AsideChanged(aside_id=aside_id, sku_id=sku_id, available=available, at=at)


def stock_changed_of(sku: Sku) -> StockChanged:
    """The same from a SKU as it is now."""
    return StockChanged(sku_id=sku.id, product_id=sku.product_id, shop_id=sku.shop_id, available=sku.available)


def _arrays(lines: list[Line]) -> dict[str, list[Any]]:
    return {
        "ids": [new_id() for _ in lines],
        "skus": [line[0] for line in lines],
        "quantities": [line[1] for line in lines],
        "orders": [line[2] for line in lines],
        # A shorter array is padded with nulls: most sales are of the shelf, and sending nothing costs nothing.
        "asides": [line[3] for line in lines] if any(line[3] is not None for line in lines) else [],
    }


def _tell(tx: Tx, rows: list[tuple[Any, ...]]) -> None:
    for sku_id, product_id, shop_id, available in rows:
        tx.tell(StockChanged(sku_id=sku_id, product_id=product_id, shop_id=shop_id, available=available))


async def _hold(tx: Tx, sku_id: SkuId) -> Sku:
    return await tx.one(
        Sku,
        """
        SELECT id, product_id, shop_id, code, options, price_amount, list_price_amount, currency, state, available,
               aside, reserved, sold, received, weight_grams
        FROM catalog.sku WHERE id = %(id)s FOR NO KEY UPDATE
        """,
        id=sku_id,
    )
