"""Price history: what each SKU stood on the shelf at, and since when; append-only.

Whoever writes a SKU's price or state, or a product's state, calls `record` in the same transaction (a test of the house
insists). From these steps, and from nothing else, comes the price that may be crossed out.

The rule. A price may be called reduced only from the *lowest* price that was really asked in the 30 days before the
reduction (EU: Directive 98/6/EC Art. 6a as inserted by Directive (EU) 2019/2161; Court of Justice C-330/23; guidance OJ
C 526, 29.12.2021, p. 130). China's 明码标价和禁止价格欺诈规定 (2022) likewise forbids comparing with a price that was
never asked or was raised for the occasion. Only time on the shelf counts, and in these 30 days it must come to seven at
least: goods that are newer have no earlier price. What a seller types as list price is therefore shown only up to that.

Prices of shows, coupons and grants are not steps: the history is of the shelf.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from laotie.base.db import Tx
from laotie.base.ids import ProductId, SkuId

WINDOW = timedelta(days=30)
IN_FORCE_MIN = timedelta(days=7)
STEPS_READ_MAX = 200
"""A SKU with more steps within the window than are read has no reference: nobody could say that it is the lowest."""


class Step(NamedTuple):
    """From `at` on: the price, and whether the SKU stood on the shelf."""

    at: datetime
    price_amount: int
    on_shelf: bool


class Reference(NamedTuple):
    """What may be crossed out beside the shelf's price, and beside a lower one that is asked now (a show's)."""

    of_shelf: int | None
    of_now: int | None


def lowest_before(steps: Sequence[Step], until: datetime) -> int | None:
    """The lowest price on the shelf in the 30 days before `until`, or `None` with less than seven days there. Pure.

    `steps` in the order they happened; the last one before the window says how it began.
    """
    since = until - WINDOW
    prices: list[int] = []
    in_force = timedelta()
    for step, next_at in zip(steps, [*(step.at for step in steps[1:]), until], strict=True):
        lasted = min(next_at, until) - max(step.at, since)
        if step.on_shelf and lasted > timedelta():
            prices.append(step.price_amount)
            in_force += lasted
    return min(prices) if prices and in_force >= IN_FORCE_MIN else None


def began_at(steps: Sequence[Step]) -> datetime:
    """When the present price began: however often the SKU left the shelf and came back at it. Pure."""
    began = steps[-1].at
    for step in reversed(steps):
        if step.price_amount != steps[-1].price_amount:
            break
        began = step.at
    return began


async def record(tx: Tx, product_ids: Sequence[ProductId]) -> None:
    """Note where the SKUs of these products stand now, as far as that is new. Call it after every write."""
    await tx.run(
        """
        INSERT INTO catalog.price_step (sku_id, at, price_amount, on_shelf)
        SELECT sku.id, greatest(%(now)s, last.at), sku.price_amount, now.on_shelf
        FROM catalog.sku JOIN catalog.product ON product.id = sku.product_id
        CROSS JOIN LATERAL (SELECT sku.state = 'active' AND product.state = 'listed' AS on_shelf) AS now
        LEFT JOIN LATERAL (
            SELECT at, price_amount, on_shelf FROM catalog.price_step
            WHERE sku_id = sku.id ORDER BY at DESC, no DESC LIMIT 1
        ) AS last ON true
        WHERE product.id = ANY(%(ids)s)
          AND (last.price_amount, last.on_shelf) IS DISTINCT FROM (sku.price_amount, now.on_shelf)
        ORDER BY sku.id
        """,
        ids=list(product_ids),
        now=tx.now,
    )


async def bring_history(tx: Tx, told: dict[SkuId, list[Step]]) -> None:
    """Steps from before this house kept them (a demo's, another system's), marked as told.

    Only before what was observed here: what is later than a SKU's own first step is left out.
    """
    rows = [(sku_id, step) for sku_id, steps in told.items() for step in steps]
    await tx.run(
        """
        INSERT INTO catalog.price_step (sku_id, at, price_amount, on_shelf, brought)
        SELECT sku_id, at, price_amount, on_shelf, true
        FROM unnest(%(skus)s::uuid[], %(ats)s::timestamptz[], %(prices)s::bigint[], %(shelves)s::boolean[])
          WITH ORDINALITY AS told (sku_id, at, price_amount, on_shelf, place)
        WHERE at < coalesce((SELECT min(step.at) FROM catalog.price_step AS step WHERE step.sku_id = told.sku_id),
                            %(now)s)
        ORDER BY place
        """,
        skus=[sku_id for sku_id, _ in rows],
        ats=[step.at for _, step in rows],
        prices=[step.price_amount for _, step in rows],
        shelves=[step.on_shelf for _, step in rows],
        now=tx.now,
    )


async def find_reference_prices(tx: Tx, sku_ids: Sequence[SkuId]) -> dict[SkuId, int]:
    """For each SKU that has one: the lowest price on the shelf in the 30 days before its present price began.

    The only source of a price crossed out beside the shelf's own; see the module for the rule.
    """
    found = await find_references(tx, sku_ids)
    return {sku_id: one.of_shelf for sku_id, one in found.items() if one.of_shelf is not None}


async def find_references(tx: Tx, sku_ids: Sequence[SkuId]) -> dict[SkuId, Reference]:
    """Both references of each SKU that has a history."""
    steps: dict[SkuId, list[Step]] = {}
    for sku_id, at, price_amount, on_shelf in await tx.tuples(
        """
        SELECT asked.sku_id, step.at, step.price_amount, step.on_shelf
        FROM unnest(%(ids)s::uuid[]) AS asked (sku_id)
        CROSS JOIN LATERAL (
            SELECT at, no, price_amount, on_shelf FROM catalog.price_step
            WHERE sku_id = asked.sku_id ORDER BY at DESC, no DESC LIMIT %(limit)s
        ) AS step
        ORDER BY asked.sku_id, step.at, step.no
        """,
        ids=list(sku_ids),
        limit=STEPS_READ_MAX,
    ):
        steps.setdefault(sku_id, []).append(Step(at, price_amount, on_shelf))
    return {
        sku_id: Reference(_lowest_known(history, began_at(history)), _lowest_known(history, tx.now))
        for sku_id, history in steps.items()
    }


def _lowest_known(history: list[Step], until: datetime) -> int | None:
    if len(history) == STEPS_READ_MAX and history[0].at > until - WINDOW:
        return None
    return lowest_before(history, until)
