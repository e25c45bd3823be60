"""What live does on hearing that a product changed (its carts show it anew), or that an explanation ended (a clip)."""

import msgspec

from laotie.base.db import Tx
from laotie.base.ids import CartItemId, ShowId
from laotie.base.outbox import on
from laotie.events.catalog import ProductChanged
from laotie.events.identity import AccountErased
from laotie.events.live import CartItemChanged, ItemPinned, ShowEnded
from laotie.live import clips
from laotie.live.ingest import forget_refusals
from laotie.live.sayings import forget_person


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


async def cut_clips(tx: Tx, event: ItemPinned | ShowEnded) -> None:
    """What was explained until now becomes a clip, when the show is recorded."""
    await clips.cut_explained(tx, event.show_id)


REACTIONS = [
    on(ProductChanged, show_anew),
    on(AccountErased, forget_person),
    on(AccountErased, forget_refusals),
    on(ItemPinned, cut_clips),
    on(ShowEnded, cut_clips),
]
