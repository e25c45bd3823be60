"""Which pledge stands on the shelf: a product's own, else its shop's; and whether a shop may sell at all.

Pledges themselves are `trust`'s, which decides and calls; here are the pointers that the till reads with the stock.
"""

from uuid import UUID

from laotie import search
from laotie.base.db import Tx
from laotie.base.ids import ProductId, ShopId
from laotie.base.refusals import NotFound
from laotie.catalog.finding import note_shop


async def set_pledge(tx: Tx, shop_id: ShopId, pledge_id: UUID | None, *, product_id: ProductId | None = None) -> None:
    """Let new orders be placed under this pledge: of one product, or of all that have none of their own."""
    if product_id is None:
        changed = await tx.run(
            "UPDATE catalog.shop SET pledge_id = %(pledge_id)s WHERE id = %(id)s", id=shop_id, pledge_id=pledge_id
        )
    else:
        changed = await tx.run(
            "UPDATE catalog.product SET pledge_id = %(pledge_id)s WHERE id = %(id)s AND shop_id = %(shop_id)s",
            id=product_id,
            shop_id=shop_id,
            pledge_id=pledge_id,
        )
    if not changed:
        raise NotFound()
    if product_id is None:
        await note_shop(tx, shop_id)
    else:
        await search.note_changed(tx, [product_id])


async def list_pledge_ids(tx: Tx, shop_id: ShopId) -> list[UUID]:
    """All pledges that stand on the shop's shelf."""
    return await tx.all(
        UUID,
        """
        SELECT pledge_id FROM catalog.shop WHERE id = %(id)s AND pledge_id IS NOT NULL
        UNION SELECT pledge_id FROM catalog.product WHERE shop_id = %(id)s AND pledge_id IS NOT NULL
        """,
        id=shop_id,
    )


async def find_shop_pledge(tx: Tx, shop_id: ShopId) -> UUID | None:
    """The pledge of the shop itself."""
    rows = await tx.tuples("SELECT pledge_id FROM catalog.shop WHERE id = %(id)s", id=shop_id)
    if not rows:
        raise NotFound()
    found: UUID | None = rows[0][0]
    return found


async def find_pledge_ids(tx: Tx, product_ids: list[ProductId]) -> dict[ProductId, tuple[UUID, bool]]:
    """The pledge that whoever orders these gets, and whether it is the product's own; without one, left out."""
    rows = await tx.tuples(
        """
        SELECT product.id, coalesce(product.pledge_id, shop.pledge_id), product.pledge_id IS NOT NULL
        FROM catalog.product JOIN catalog.shop ON shop.id = product.shop_id
        WHERE product.id = ANY(%(ids)s) AND coalesce(product.pledge_id, shop.pledge_id) IS NOT NULL
        """,
        ids=product_ids,
    )
    return {product_id: (pledge_id, is_own) for product_id, pledge_id, is_own in rows}


async def limit_shop(tx: Tx, shop_id: ShopId, *, is_limited: bool) -> None:
    """Stop a shop from selling anything new, or let it sell again; one that is closed stays closed."""
    changed = await tx.run(
        "UPDATE catalog.shop SET state = %(then)s WHERE id = %(id)s AND state = %(now)s",
        id=shop_id,
        now="open" if is_limited else "limited",
        then="limited" if is_limited else "open",
    )
    if changed:
        await note_shop(tx, shop_id)
