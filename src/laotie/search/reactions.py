"""What search does on hearing that products, their stock or their reviews changed: note it, for all indexes to follow.

Heard together, a turn of the relay at a time: a sale tells of its stock with every batch, and is not to pay for it.
"""

from uuid import UUID

from laotie.base.db import Tx
from laotie.base.events import Told
from laotie.base.outbox import together
from laotie.events.catalog import ProductChanged, StockChanged
from laotie.events.reviews import ReviewHidden, ReviewWritten
from laotie.search.changes import note_changed, note_stock


async def note_all(tx: Tx, told: list[Told]) -> None:
    """Said differently, or thought of differently: anew. Sold or come in: when it sold out, is back, or for its sales."""
    changed: set[UUID] = set()
    stock: dict[UUID, bool] = {}
    for one in told:
        match one.event:
            case ProductChanged() | ReviewWritten() | ReviewHidden() as event:
                changed.add(event.product_id)
            case StockChanged() as event:
                stock[event.product_id] = event.available == 0
    if changed:
        await note_changed(tx, changed)
    if moved := {product_id: short for product_id, short in stock.items() if product_id not in changed}:
        await note_stock(tx, moved)


REACTIONS = [together((ProductChanged, StockChanged, ReviewWritten, ReviewHidden), note_all)]
