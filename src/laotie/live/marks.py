"""Marks: what was explained in a show, from which instant to which. Kept as history, also of items long gone.

A mark begins when an item is pinned in a live show (or with the show, for what was pinned before) and ends with the
next pin, with none, with the item, or with the show. At most one is open a show. Acts hold the show's row.
"""

from datetime import datetime
from uuid import UUID

import msgspec

from laotie.base.db import Tx
from laotie.base.ids import CartItemId, ProductId, ShowId, new_id

MARKS_LISTED_MAX = 5_000


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """One time that an item was explained. No end: it still is."""

    id: UUID
    show_id: ShowId
    item_id: CartItemId
    product_id: ProductId
    begins_at: datetime
    ends_at: datetime | None


async def list_marks(tx: Tx, show_id: ShowId) -> list[Mark]:
    """What was explained in a show, in the order of time; the first `MARKS_LISTED_MAX`."""
    return await tx.all(
        Mark,
        """
        SELECT id, show_id, item_id, product_id, begins_at, ends_at FROM live.mark
        WHERE show_id = %(show_id)s ORDER BY begins_at, id LIMIT %(limit)s
        """,
        show_id=show_id,
        limit=MARKS_LISTED_MAX,
    )


async def find_marks(tx: Tx, show_id: ShowId, *, from_at: datetime, to_at: datetime) -> list[Mark]:
    """Marks of a show that were open at some instant from the one to the other."""
    return await tx.all(
        Mark,
        """
        SELECT id, show_id, item_id, product_id, begins_at, ends_at FROM live.mark
        WHERE show_id = %(show_id)s AND begins_at <= %(to_at)s AND coalesce(ends_at, 'infinity') >= %(from_at)s
        ORDER BY begins_at, id LIMIT %(limit)s
        """,
        show_id=show_id,
        from_at=from_at,
        to_at=to_at,
        limit=MARKS_LISTED_MAX,
    )


async def mark_only(tx: Tx, show_id: ShowId, item_id: CartItemId | None) -> None:
    """End the open mark, if there is one, and begin one of this item, or none. The caller holds the show's row."""
    await tx.run(
        """
        UPDATE live.mark SET ends_at = greatest(begins_at, %(now)s) WHERE show_id = %(show_id)s AND ends_at IS NULL
        """,
        show_id=show_id,
        now=tx.now,
    )
    if item_id is not None:
        await tx.run(
            """
            INSERT INTO live.mark (id, show_id, item_id, product_id, begins_at)
            SELECT %(id)s, show_id, id, product_id, %(now)s FROM live.cart_item
            WHERE id = %(item_id)s AND show_id = %(show_id)s
            """,
            id=new_id(),
            show_id=show_id,
            item_id=item_id,
            now=tx.now,
        )
