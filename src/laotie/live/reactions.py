"""What live does on hearing that a product changed: the carts it lies in show it anew."""

import msgspec

from laotie.base.db import Tx
from laotie.base.ids import CartItemId, ShowId
from laotie.base.outbox import on
from laotie.events.catalog import ProductChanged
from laotie.events.live import CartItemChanged


class _Lying(msgspec.Struct, frozen=True):
    id: CartItemId
    show_id: ShowId
    version: int


async def show_anew(tx: Tx, event: ProductChanged) -> None:
    """Tell `CartItemChanged` for the product's place in every show that is not over."""
    lying = await tx.all(
        _Lying,
        """
        SELECT item.id, item.show_id, item.version FROM live.cart_item AS item
        JOIN live.show ON show.id = item.show_id
        WHERE item.product_id = %(product_id)s AND show.state <> 'ended'
        """,
        product_id=event.product_id,
    )
    for item in lying:
        tx.tell(CartItemChanged(show_id=item.show_id, item_id=item.id, version=item.version))


REACTIONS = [on(ProductChanged, show_anew)]
