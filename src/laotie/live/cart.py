"""The show's cart: what is sold in it, at which price, in which order, what is being explained and promised.

Every act holds the show's row, so acts on one cart follow one another, and then the items it touches by id, which is
where it meets the till. What changes gets a higher version, and is told.
"""

from datetime import datetime
from uuid import UUID

import msgspec
from msgspec import UNSET

from laotie import catalog
from laotie.base.db import Tx
from laotie.base.ids import CartItemId, ProductId, ShopId, ShowId
from laotie.base.refusals import IdReused, NotFound
from laotie.catalog import Product, ProductState, Sku, SkuState
from laotie.events import live as news
from laotie.identity import Actor
from laotie.live.endings import end_waves_of_item
from laotie.live.marks import mark_only
from laotie.live.model import (
    CART_SIZE_MAX,
    AlreadyInCart,
    CartFull,
    CartItem,
    CartItemChange,
    CartItemDraft,
    NotOnSale,
    PricesRefused,
    PriceTag,
    Promise,
    PromiseDraft,
    ShowState,
    WaveEnd,
    check_limit,
    check_sale_end,
    moved,
)
from laotie.live.promises import check_bound, write_promise
from laotie.live.replay import note_pinned_price
from laotie.live.shows import hold_show
from laotie.live.stage import cart_item_view


class _Item(msgspec.Struct, frozen=True):
    id: CartItemId
    product_id: ProductId
    position: int
    on_shelf: bool
    limit_per_person: int | None
    sale_ends_at: datetime | None
    version: int
    digest: bytes


async def add_item(tx: Tx, actor: Actor, show_id: ShowId, draft: CartItemDraft) -> CartItem:
    """Put a listed product of the show's shop last in the cart. Tells `CartItemChanged`.

    The same draft again gives the same item; another one under its id is `IdReused`. Refuses `AlreadyInCart`,
    `CartFull`, `NotOnSale`, `PricesRefused`, `ShowEnded`.
    """
    held = await hold_show(tx, actor, show_id)
    digest = catalog.digest_of(show_id, draft)
    items = await _list_items(tx, show_id)
    known = next((item for item in items if item.id == draft.id), None)
    if known is not None:
        if known.digest != digest:
            raise IdReused()
        return await _view(tx, known.id)
    twin = next((item for item in items if item.product_id == draft.product_id), None)
    if twin is not None:
        raise AlreadyInCart(item_id=twin.id)
    if len(items) >= CART_SIZE_MAX:
        raise CartFull(count_max=CART_SIZE_MAX)
    tags = await _check_prices(tx, held.shop_id, draft.product_id, draft.prices, or_own_prices=True)
    added = await tx.run(
        """
        INSERT INTO live.cart_item
            (id, show_id, product_id, position, on_shelf, limit_per_person, sale_ends_at, digest)
        VALUES (%(id)s, %(show_id)s, %(product_id)s, %(position)s, %(on_shelf)s, %(limit)s, %(sale_ends_at)s,
                %(digest)s)
        ON CONFLICT (id) DO NOTHING
        """,
        id=draft.id,
        show_id=show_id,
        product_id=draft.product_id,
        position=max((item.position for item in items), default=-1) + 1,
        on_shelf=draft.on_shelf,
        limit=check_limit(draft.limit_per_person),
        sale_ends_at=check_sale_end(draft.sale_ends_at, now=tx.now),
        digest=digest,
    )
    if not added:
        raise IdReused()
    await _put_prices(tx, draft.id, tags)
    tx.tell(news.CartItemChanged(show_id=show_id, item_id=draft.id, version=1))
    return await _view(tx, draft.id)


async def change_item(tx: Tx, actor: Actor, item_id: CartItemId, change: CartItemChange) -> CartItem:
    """Change an item's prices, limit, shelf, end of sale or place. Tells `CartItemChanged` for every item that differs.

    Off the shelf, its waves end. Refuses `ChangedMeanwhile` when the item is no longer of the version that the caller
    saw, and `PromiseStands` for prices above what is promised.
    """
    show_id = await _show_of(tx, item_id)
    held = await hold_show(tx, actor, show_id)
    items = await _list_items(tx, show_id)
    item = next((item for item in items if item.id == item_id), None)
    if item is None:
        raise NotFound()
    if change.expected_version not in (None, item.version):
        raise catalog.ChangedMeanwhile(version=item.version)
    await _hold(tx, [item_id] if change.position is UNSET else [item.id for item in items])
    if change.prices is not UNSET:
        tags = await _check_prices(tx, held.shop_id, item.product_id, change.prices)
        await check_bound(tx, item_id, [tag.price for tag in tags])
        await tx.run("DELETE FROM live.cart_price WHERE item_id = %(id)s", id=item_id)
        await _put_prices(tx, item_id, tags)
        await note_pinned_price(tx, show_id)
    sale_ends_at = item.sale_ends_at if change.sale_ends_at is UNSET else change.sale_ends_at
    if sale_ends_at != item.sale_ends_at:
        check_sale_end(sale_ends_at, now=tx.now)
    version = await tx.one(
        int,
        """
        UPDATE live.cart_item
        SET on_shelf = %(on_shelf)s, limit_per_person = %(limit)s, sale_ends_at = %(sale_ends_at)s,
            version = version + 1
        WHERE id = %(id)s RETURNING version
        """,
        id=item_id,
        on_shelf=item.on_shelf if change.on_shelf is UNSET else change.on_shelf,
        limit=item.limit_per_person if change.limit_per_person is UNSET else check_limit(change.limit_per_person),
        sale_ends_at=sale_ends_at,
    )
    tx.tell(news.CartItemChanged(show_id=show_id, item_id=item_id, version=version))
    if item.on_shelf and change.on_shelf is False:
        await end_waves_of_item(tx, show_id, item_id, WaveEnd.off_shelf)
    if change.position is not UNSET:
        order = moved([other.id for other in items], item_id, change.position)
        await _put_in_order(tx, show_id, order, but=item_id)
    return await _view(tx, item_id)


async def remove_item(tx: Tx, actor: Actor, item_id: CartItemId) -> None:
    """Take an item out of the cart, and off the pin; its waves end.

    Tells `CartItemRemoved`, and `ItemPinned` when it was pinned.
    """
    show_id = await _show_of(tx, item_id)
    await hold_show(tx, actor, show_id)
    await end_waves_of_item(tx, show_id, item_id, WaveEnd.removed)
    if not await tx.run("DELETE FROM live.cart_item WHERE id = %(id)s", id=item_id):
        raise NotFound()
    version = await tx.maybe(
        int,
        """
        UPDATE live.show SET pinned_item_id = NULL, version = version + 1
        WHERE id = %(show_id)s AND pinned_item_id = %(id)s RETURNING version
        """,
        show_id=show_id,
        id=item_id,
    )
    if version is not None:
        await mark_only(tx, show_id, None)
        tx.tell(news.ItemPinned(show_id=show_id, item_id=None, at=tx.now, version=version))
    tx.tell(news.CartItemRemoved(show_id=show_id, item_id=item_id))


async def pin_item(tx: Tx, actor: Actor, show_id: ShowId, item_id: CartItemId | None) -> None:
    """Explain this item from now on, or none. Pinning what is pinned changes nothing, so the clock runs on.

    While the show is live a mark of the one before ends, and one of this item begins.
    Tells `ItemPinned`, and `CartItemChanged` for the item that is explained and the one that no longer is.
    """
    held = await hold_show(tx, actor, show_id)
    if item_id is not None and not await tx.maybe(
        bool, "SELECT true FROM live.cart_item WHERE id = %(id)s AND show_id = %(show_id)s", id=item_id, show_id=show_id
    ):
        raise NotFound()
    version = await tx.maybe(
        int,
        """
        UPDATE live.show SET pinned_item_id = %(item_id)s, version = version + 1
        WHERE id = %(show_id)s AND pinned_item_id IS DISTINCT FROM %(item_id)s RETURNING version
        """,
        show_id=show_id,
        item_id=item_id,
    )
    if version is None:
        return
    changed = await tx.all(
        _Changed,
        """
        WITH held AS (
            SELECT id FROM live.cart_item
            WHERE show_id = %(show_id)s AND (id = %(item_id)s OR explaining_since IS NOT NULL)
            ORDER BY id FOR NO KEY UPDATE
        )
        UPDATE live.cart_item AS item
        SET explaining_since = CASE WHEN item.id = %(item_id)s THEN %(now)s END, version = version + 1
        FROM held WHERE item.id = held.id RETURNING item.id, item.version
        """,
        show_id=show_id,
        item_id=item_id,
        now=tx.now,
    )
    if held.state is ShowState.live:
        await mark_only(tx, show_id, item_id)
        await note_pinned_price(tx, show_id)
    tx.tell(news.ItemPinned(show_id=show_id, item_id=item_id, at=tx.now, version=version))
    _tell_changed(tx, show_id, changed)


async def say_promise(tx: Tx, actor: Actor, item_id: CartItemId, draft: PromiseDraft) -> Promise:
    """Promise something of an item from now on; while a wave of it is open, for that wave. See `live.promises`."""
    await hold_show(tx, actor, await _show_of(tx, item_id))
    await _hold(tx, [item_id])
    wave_id = await tx.maybe(UUID, "SELECT id FROM live.wave WHERE item_id = %(id)s AND state = 'open'", id=item_id)
    return await write_promise(tx, actor, item_id, draft, wave_id=wave_id)


class _Changed(msgspec.Struct, frozen=True):
    id: CartItemId
    version: int


def _tell_changed(tx: Tx, show_id: ShowId, changed: list[_Changed]) -> None:
    for item in changed:
        tx.tell(news.CartItemChanged(show_id=show_id, item_id=item.id, version=item.version))


async def _put_in_order(tx: Tx, show_id: ShowId, order: list[CartItemId], *, but: CartItemId) -> None:
    """Number the items as ordered. `but` has its new version and its news already."""
    changed = await tx.all(
        _Changed,
        """
        UPDATE live.cart_item AS item
        SET position = wanted.number - 1, version = version + CASE WHEN item.id = %(but)s THEN 0 ELSE 1 END
        FROM unnest(%(order)s::uuid[]) WITH ORDINALITY AS wanted (id, number)
        WHERE item.id = wanted.id AND item.position <> wanted.number - 1
        RETURNING item.id, item.version
        """,
        order=order,
        but=but,
    )
    _tell_changed(tx, show_id, [item for item in changed if item.id != but])


async def _show_of(tx: Tx, item_id: CartItemId) -> ShowId:
    show_id = await tx.maybe(ShowId, "SELECT show_id FROM live.cart_item WHERE id = %(id)s", id=item_id)
    if show_id is None:
        raise NotFound()
    return show_id


async def _list_items(tx: Tx, show_id: ShowId) -> list[_Item]:
    """The cart in its order. Who holds the show's row may rely on it: only such acts change items."""
    return await tx.all(
        _Item,
        """
        SELECT id, product_id, position, on_shelf, limit_per_person, sale_ends_at, version, digest
        FROM live.cart_item WHERE show_id = %(show_id)s ORDER BY position, id
        """,
        show_id=show_id,
    )


async def _hold(tx: Tx, item_ids: list[CartItemId]) -> None:
    """Wait for the till to be done with these items, and keep it waiting."""
    await tx.run(
        "SELECT FROM live.cart_item WHERE id = ANY(%(ids)s) ORDER BY id FOR NO KEY UPDATE", ids=item_ids
    )


async def _view(tx: Tx, item_id: CartItemId) -> CartItem:
    view = await cart_item_view(tx, item_id)
    assert view is not None, "the item is held, and products are never deleted"
    return view


async def _check_prices(
    tx: Tx, shop_id: ShopId, product_id: ProductId, prices: list[PriceTag], *, or_own_prices: bool = False
) -> list[PriceTag]:
    """Prices of SKUs that are sold, of a listed product of this shop, in its currency; or a refusal."""
    product = (await catalog.find_products(tx, [product_id])).get(product_id)
    if product is None or product.shop_id != shop_id or product.state is not ProductState.listed:
        raise NotOnSale(product_id=product_id)
    sold = _sold(product)
    if not prices and or_own_prices:
        return [PriceTag(sku.id, sku.price) for sku in sold.values()]
    named = [tag.sku_id for tag in prices]
    if not named or len(set(named)) < len(named) or any(sku_id not in sold for sku_id in named):
        raise PricesRefused()
    for tag in prices:
        catalog.check_price(tag.price, currency=sold[tag.sku_id].currency)
    return prices


def _sold(product: Product) -> dict[object, Sku]:
    return {sku.id: sku for sku in product.skus if sku.state is SkuState.active}


async def _put_prices(tx: Tx, item_id: CartItemId, tags: list[PriceTag]) -> None:
    await tx.run(
        """
        INSERT INTO live.cart_price (item_id, sku_id, price_amount, currency)
        SELECT %(item_id)s, tag.sku_id, tag.amount, tag.currency
        FROM unnest(%(sku_ids)s::uuid[], %(amounts)s::bigint[], %(currencies)s::text[])
          AS tag (sku_id, amount, currency)
        """,
        item_id=item_id,
        sku_ids=[tag.sku_id for tag in tags],
        amounts=[tag.price.amount for tag in tags],
        currencies=[tag.price.currency for tag in tags],
    )
