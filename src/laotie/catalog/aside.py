"""Pieces set aside: off the shelf, for one owner (a wave of a show) to sell, and back on the shelf when it is over.

    set_aside   available → aside          put_back   aside → available, once

In between, orders reserve from what was set aside, and unpaid ones give back to it (`catalog.stock`). An aside is known
by its owner's id, a row a SKU; a closed one stays closed, and what comes back later goes to the shelf. The rows change
only under the locks of their SKUs, which are taken by ascending id.
"""

from collections.abc import Awaitable, Callable
from typing import NamedTuple
from uuid import UUID

import msgspec

from laotie.base.db import Tx
from laotie.base.ids import ProductId, ShopId, SkuId, new_id
from laotie.base.refusals import IdReused
from laotie.catalog.model import STOCK_MAX, AsideShort, MovementRefused
from laotie.events.catalog import AsideChanged, StockChanged


class Aside(msgspec.Struct, frozen=True):
    """Pieces of a SKU set aside for one owner: put there in all, there now, and gone back when it was closed."""

    id: UUID
    sku_id: SkuId
    put: int
    remaining: int
    returned: int | None


class Portion(NamedTuple):
    """Pieces of a SKU to set aside. The movement's id makes saying it twice safe."""

    sku_id: SkuId
    quantity: int
    movement_id: UUID


class _Held(msgspec.Struct, frozen=True):
    id: SkuId
    product_id: ProductId
    shop_id: ShopId
    available: int


async def set_aside(tx: Tx, aside_id: UUID, portions: list[Portion]) -> None:
    """Take these pieces (each SKU once) off the shelf for this owner. The caller has judged the right to.

    Tells `StockChanged` and `AsideChanged`. Refuses `AsideShort`, `MovementRefused`, `IdReused`. The aside is not closed.
    """
    if any(not 0 < one.quantity <= STOCK_MAX for one in portions):
        raise MovementRefused(quantity_max=STOCK_MAX)
    held = await _hold(tx, [one.sku_id for one in portions])
    fresh = [one for one in portions if not await _is_known(tx, aside_id, one)]
    for one in fresh:
        sku = held[one.sku_id]
        if sku.available < one.quantity:
            raise AsideShort(sku_id=one.sku_id, available=sku.available)
    if not fresh:
        return
    rows = await tx.tuples(
        """
        WITH line AS (
            SELECT * FROM unnest(%(ids)s::uuid[], %(skus)s::uuid[], %(quantities)s::bigint[])
              AS line (id, sku_id, quantity)
        ), written AS (
            INSERT INTO catalog.stock_movement (id, sku_id, kind, quantity, aside_id, moved_at)
            SELECT id, sku_id, 'set_aside', quantity, %(aside_id)s, %(now)s FROM line
        ), put AS (
            INSERT INTO catalog.aside AS there (id, sku_id, put, remaining)
            SELECT %(aside_id)s, sku_id, quantity, quantity FROM line
            ON CONFLICT (id, sku_id) DO UPDATE
            SET put = there.put + excluded.put, remaining = there.remaining + excluded.remaining
            WHERE there.returned IS NULL
            RETURNING sku_id, remaining
        )
        UPDATE catalog.sku SET available = available - line.quantity, aside = aside + line.quantity
        FROM line JOIN put ON put.sku_id = line.sku_id WHERE sku.id = line.sku_id
        RETURNING sku.id, sku.product_id, sku.shop_id, sku.available, put.remaining
        """,
        aside_id=aside_id,
        ids=[one.movement_id for one in fresh],
        skus=[one.sku_id for one in fresh],
        quantities=[one.quantity for one in fresh],
        now=tx.now,
    )
    assert len(rows) == len(fresh), "a closed aside takes nothing more"
    for sku_id, product_id, shop_id, available, remaining in rows:
        tx.tell(StockChanged(sku_id=sku_id, product_id=product_id, shop_id=shop_id, available=available))
        tx.tell(AsideChanged(aside_id=aside_id, sku_id=sku_id, available=remaining))


async def put_back(tx: Tx, aside_ids: list[UUID]) -> None:
    """Close these asides: what is left goes back to the shelf. A closed one is left alone. Tells `StockChanged`."""
    skus = await tx.all(
        SkuId, "SELECT DISTINCT sku_id FROM catalog.aside WHERE id = ANY(%(ids)s) AND returned IS NULL", ids=aside_ids
    )
    if not skus:
        return
    await _hold(tx, skus)
    open_rows = await tx.tuples(
        "SELECT id, sku_id FROM catalog.aside WHERE id = ANY(%(ids)s) AND returned IS NULL", ids=aside_ids
    )
    rows = await tx.tuples(
        """
        WITH closed AS (
            UPDATE catalog.aside SET returned = remaining, remaining = 0
            FROM unnest(%(ids)s::uuid[], %(skus)s::uuid[], %(movements)s::uuid[]) AS due (id, sku_id, movement_id)
            WHERE aside.id = due.id AND aside.sku_id = due.sku_id AND aside.returned IS NULL
            RETURNING aside.id, aside.sku_id, aside.returned, due.movement_id
        ), written AS (
            INSERT INTO catalog.stock_movement (id, sku_id, kind, quantity, aside_id, moved_at)
            SELECT movement_id, sku_id, 'put_back', returned, id, %(now)s FROM closed WHERE returned > 0
        )
        UPDATE catalog.sku SET available = available + back.quantity, aside = aside - back.quantity
        FROM (SELECT sku_id, sum(returned)::bigint AS quantity FROM closed GROUP BY sku_id) AS back
        WHERE sku.id = back.sku_id
        RETURNING sku.id, sku.product_id, sku.shop_id, sku.available
        """,
        ids=[row[0] for row in open_rows],
        skus=[row[1] for row in open_rows],
        movements=[new_id() for _ in open_rows],
        now=tx.now,
    )
    for sku_id, product_id, shop_id, available in rows:
        tx.tell(StockChanged(sku_id=sku_id, product_id=product_id, shop_id=shop_id, available=available))


async def find_asides(tx: Tx, aside_ids: list[UUID]) -> dict[UUID, dict[SkuId, Aside]]:
    """What was set aside for these owners, by owner and SKU."""
    if not aside_ids:
        return {}
    found: dict[UUID, dict[SkuId, Aside]] = {}
    for one in await tx.all(
        Aside,
        "SELECT id, sku_id, put, remaining, returned FROM catalog.aside WHERE id = ANY(%(ids)s) ORDER BY id, sku_id",
        ids=aside_ids,
    ):
        found.setdefault(one.id, {})[one.sku_id] = one
    return found


async def send_asides(tx: Tx, sku_ids: list[SkuId]) -> Callable[[], Awaitable[dict[tuple[int, int], int]]]:
    """What can be bought of the open asides of these SKUs, by the whole numbers of owner and SKU.

    Inside a pipeline of the caller's, after `send_locks`: a statement of its own, so that it sees what the one before
    had waited for.
    """
    sent = await tx.send(
        "SELECT id, sku_id, remaining FROM catalog.aside WHERE sku_id = ANY(%(ids)s::uuid[]) AND returned IS NULL",
        ids=sku_ids,
    )

    async def finish() -> dict[tuple[int, int], int]:
        return {(row[0].int, row[1].int): row[2] for row in await sent.tuples()}

    return finish


async def _hold(tx: Tx, sku_ids: list[SkuId]) -> dict[SkuId, _Held]:
    held = await tx.all(
        _Held,
        """
        SELECT id, product_id, shop_id, available FROM catalog.sku WHERE id = ANY(%(ids)s)
        ORDER BY id FOR NO KEY UPDATE
        """,
        ids=sku_ids,
    )
    return {sku.id: sku for sku in held}


async def _is_known(tx: Tx, aside_id: UUID, one: Portion) -> bool:
    known = await tx.tuples(
        """
        SELECT kind, quantity, aside_id FROM catalog.stock_movement WHERE sku_id = %(sku_id)s AND id = %(id)s
        """,
        sku_id=one.sku_id,
        id=one.movement_id,
    )
    if known and known[0] != ("set_aside", one.quantity, aside_id):
        raise IdReused()
    return bool(known)
