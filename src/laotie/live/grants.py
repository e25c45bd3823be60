"""Prices of one's own: one piece of a cart item, for one viewer, until an instant, spent by the order that bears it.

The till locks the grants that its asks name (after the cart items, by id) and marks those it took in the same
transaction, so each is spent once; asks without a grant cost nothing more than before.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from laotie.base.db import Tx
from laotie.base.ids import AccountId, CartItemId, OrderId, ShowId, SkuId
from laotie.base.money import Money


class PriceGrant(NamedTuple):
    """What somebody may buy one piece for."""

    id: UUID
    viewer_id: AccountId
    item_id: CartItemId
    sku_id: SkuId
    price_amount: int
    currency: str
    valid_until: datetime
    order_id: OrderId | None


async def grant_price(
    tx: Tx,
    grant_id: UUID,
    viewer_id: AccountId,
    *,
    show_id: ShowId,
    item_id: CartItemId,
    sku_id: SkuId,
    price: Money,
    reason_id: UUID,
    valid_until: datetime,
) -> None:
    """Give a viewer a price; one a viewer and reason."""
    await tx.run(
        """
        INSERT INTO live.price_grant (id, viewer_id, show_id, item_id, sku_id, price_amount, currency, reason_id,
                                      granted_at, valid_until)
        VALUES (%(id)s, %(viewer_id)s, %(show_id)s, %(item_id)s, %(sku_id)s, %(amount)s, %(currency)s, %(reason_id)s,
                %(now)s, %(valid_until)s)
        """,
        id=grant_id,
        viewer_id=viewer_id,
        show_id=show_id,
        item_id=item_id,
        sku_id=sku_id,
        amount=price.amount,
        currency=price.currency,
        reason_id=reason_id,
        now=tx.now,
        valid_until=valid_until,
    )


async def find_grants(tx: Tx, grant_ids: list[UUID]) -> dict[UUID, PriceGrant]:
    """Those of the grants that exist, as they stand."""
    rows = await tx.tuples(
        """
        SELECT id, viewer_id, item_id, sku_id, price_amount, currency, valid_until, order_id FROM live.price_grant
        WHERE id = ANY(%(ids)s::uuid[])
        """,
        ids=grant_ids,
    )
    return {row[0]: PriceGrant(*row) for row in rows}


async def send_grants(tx: Tx, grant_ids: list[UUID]) -> Callable[[], Awaitable[dict[int, PriceGrant]]]:
    """Lock and read grants inside a pipeline of the caller's: call what it returns after the block. Keys are whole ids."""
    sent = await tx.send(
        """
        SELECT id, viewer_id, item_id, sku_id, price_amount, currency, valid_until, order_id FROM live.price_grant
        WHERE id = ANY(%(ids)s::uuid[]) ORDER BY id FOR UPDATE
        """,
        ids=grant_ids,
    )

    async def finish() -> dict[int, PriceGrant]:
        return {row[0].int: PriceGrant(*row) for row in await sent.tuples()}

    return finish


async def spend_grants(tx: Tx, spent: list[tuple[UUID, OrderId]]) -> None:
    """Mark locked grants as spent by the orders that took them."""
    await tx.run(
        """
        UPDATE live.price_grant SET order_id = spent.order_id
        FROM unnest(%(ids)s::uuid[], %(orders)s::uuid[]) AS spent (id, order_id)
        WHERE price_grant.id = spent.id AND price_grant.order_id IS NULL
        """,
        ids=[grant_id for grant_id, _ in spent],
        orders=[order_id for _, order_id in spent],
    )
