"""Reads for screens: the shelf, a shop's own list, one product, a SKU's stock ledger.

The search is a plain one: every word must occur in the folded title or category. It reads the table, so it is honest
and unhurried; a shelf of a million products needs the index that a later search brings.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from laotie import identity
from laotie.base.db import Tx
from laotie.base.ids import ProductId, ShopId, SkuId
from laotie.base.refusals import NotFound
from laotie.catalog.model import (
    DRAWN_PATH,
    LENGTH_MAX,
    PAGE_SIZE_MAX,
    Card,
    Movement,
    Page,
    Product,
    ProductState,
    Sku,
    SkuState,
    fold,
)
from laotie.catalog.prices import find_references
from laotie.catalog.sandboxes import find_sandboxes


class _Row(msgspec.Struct, frozen=True, kw_only=True):
    id: ProductId
    shop_id: ShopId
    code: str | None
    title: str
    description: str
    images: list[str]
    category: str
    state: ProductState
    version: int
    created_at: datetime
    updated_at: datetime
    tax_bps: int
    shipping_template_id: UUID | None
    brand_id: UUID | None
    batch_id: UUID | None
    delisted_why: str | None


async def list_products(
    tx: Tx,
    *,
    query: str = "",
    category: str | None = None,
    shop_id: ShopId | None = None,
    after: ProductId | None = None,
    limit: int = 20,
) -> Page[Product]:
    """What is on the shelf: listed products of open shops with something to choose, newest first."""
    rows = await tx.all(
        _Row,
        """
        SELECT id, shop_id, code, title, description, images, category, state, version, created_at, updated_at,
               tax_bps, shipping_template_id, brand_id, batch_id, delisted_why
        FROM catalog.product
        WHERE state = 'listed'
          AND (%(shop_id)s::uuid IS NULL OR shop_id = %(shop_id)s)
          AND (%(category)s::text IS NULL OR category = %(category)s)
          AND (%(after)s::uuid IS NULL OR (created_at, id) <
               (SELECT created_at, id FROM catalog.product WHERE id = %(after)s))
          AND search_text LIKE ALL (%(patterns)s::text[])
          AND EXISTS (SELECT FROM catalog.sku WHERE sku.product_id = product.id AND sku.state = 'active')
          AND EXISTS (SELECT FROM catalog.shop WHERE shop.id = product.shop_id AND shop.state = 'open'
                      AND NOT shop.is_sandbox)
        ORDER BY created_at DESC, id DESC LIMIT %(limit)s
        """,
        shop_id=shop_id,
        category=category or None,
        after=after,
        patterns=_patterns(query),
        limit=min(limit, PAGE_SIZE_MAX) + 1,
    )
    page = await _page(tx, rows, limit)
    return Page([_without_retired(product) for product in page.items], page.next)


async def list_own_products(
    tx: Tx,
    actor: identity.Actor,
    shop_id: ShopId,
    *,
    query: str = "",
    state: ProductState | None = None,
    after: ProductId | None = None,
    limit: int = 20,
) -> Page[Product]:
    """A shop's products in every state, newest first; the query also finds SKU codes. Needs the scope `catalog`."""
    await identity.require_seat(tx, actor, shop_id, identity.Scope.catalog)
    rows = await tx.all(
        _Row,
        """
        SELECT id, shop_id, code, title, description, images, category, state, version, created_at, updated_at,
               tax_bps, shipping_template_id, brand_id, batch_id, delisted_why
        FROM catalog.product
        WHERE shop_id = %(shop_id)s
          AND (%(state)s::text IS NULL OR state = %(state)s)
          AND (%(after)s::uuid IS NULL OR (created_at, id) <
               (SELECT created_at, id FROM catalog.product WHERE id = %(after)s))
          AND (search_text LIKE ALL (%(patterns)s::text[])
               OR EXISTS (SELECT FROM catalog.sku
                          WHERE sku.product_id = product.id AND lower(sku.code) LIKE ALL (%(patterns)s::text[])))
        ORDER BY created_at DESC, id DESC LIMIT %(limit)s
        """,
        shop_id=shop_id,
        state=state,
        after=after,
        patterns=_patterns(query),
        limit=min(limit, PAGE_SIZE_MAX) + 1,
    )
    return await _page(tx, rows, limit)


async def get_product(tx: Tx, actor: identity.Actor | None, product_id: ProductId) -> Product:
    """One product: what is or was listed for everybody, drafts and retired SKUs for the shop alone."""
    product = (await find_products(tx, [product_id])).get(product_id)
    if product is None:
        raise NotFound()
    if await identity.may(tx, actor, product.shop_id, identity.Scope.catalog):
        return product
    if actor is not None and actor.seat_holder_id is not None:
        seat = await identity.find_seat(tx, actor, product.shop_id)
        if seat is not None and product.state is not ProductState.draft:
            return _without_retired(product)
    if product.state is ProductState.draft or await find_sandboxes(tx, [product.shop_id]):
        raise NotFound()
    return _without_retired(product)


async def find_products(tx: Tx, product_ids: list[ProductId]) -> dict[ProductId, Product]:
    """Those of the products that exist, by id, in whatever state, with all their SKUs (for other rooms)."""
    rows = await tx.all(
        _Row,
        """
        SELECT id, shop_id, code, title, description, images, category, state, version, created_at, updated_at,
               tax_bps, shipping_template_id, brand_id, batch_id, delisted_why
        FROM catalog.product WHERE id = ANY(%(ids)s)
        """,
        ids=product_ids,
    )
    return {product.id: product for product in await _with_skus(tx, rows)}


async def find_cards(tx: Tx, product_ids: Iterable[ProductId]) -> dict[ProductId, Card]:
    """The same as lists show them: one statement, no SKUs and no price history."""
    rows = await tx.tuples(
        "SELECT id, title, category, images FROM catalog.product WHERE id = ANY(%(ids)s)", ids=list(set(product_ids))
    )
    return {
        id_: Card(id=id_, title=title, category=category, image=picture_of(id_, images))
        for id_, title, category, images in rows
    }


async def find_skus(tx: Tx, sku_ids: list[SkuId]) -> dict[SkuId, Sku]:
    """Those of the SKUs that exist, by id (for other rooms)."""
    skus = await tx.all(
        Sku,
        """
        SELECT id, product_id, shop_id, code, options, price_amount, list_price_amount, currency, state, available,
               aside, reserved, sold, received, weight_grams
        FROM catalog.sku WHERE id = ANY(%(ids)s)
        """,
        ids=sku_ids,
    )
    return {sku.id: sku for sku in skus}


async def list_codes(tx: Tx, shop_id: ShopId) -> dict[str, tuple[SkuId, ProductId, str]]:
    """Every SKU code of a shop with its SKU, its product and the product's title (for imports)."""
    rows = await tx.tuples(
        """
        SELECT sku.code, sku.id, product.id, product.title
        FROM catalog.sku JOIN catalog.product ON product.id = sku.product_id
        WHERE sku.shop_id = %(shop_id)s
        """,
        shop_id=shop_id,
    )
    return {code: (sku_id, product_id, title) for code, sku_id, product_id, title in rows}


async def list_categories(tx: Tx, shop_id: ShopId | None = None) -> list[str]:
    """The categories on the shelf, most products first."""
    return await tx.all(
        str,
        """
        SELECT category FROM catalog.product
        WHERE state = 'listed' AND category <> '' AND (%(shop_id)s::uuid IS NULL OR shop_id = %(shop_id)s)
          AND shop_id NOT IN (SELECT id FROM catalog.shop WHERE is_sandbox)
        GROUP BY category ORDER BY count(*) DESC, category LIMIT %(limit)s
        """,
        shop_id=shop_id,
        limit=PAGE_SIZE_MAX,
    )


async def list_movements(
    tx: Tx, actor: identity.Actor, sku_id: SkuId, *, after: Any = None, limit: int = 50
) -> Page[Movement]:
    """A SKU's stock ledger, newest first. Needs the scope `catalog`."""
    sku = (await find_skus(tx, [sku_id])).get(sku_id)
    if sku is None:
        raise NotFound()
    await identity.require_seat(tx, actor, sku.shop_id, identity.Scope.catalog)
    limit = min(limit, PAGE_SIZE_MAX)
    rows = await tx.all(
        Movement,
        """
        SELECT id, kind, quantity, order_id, note, moved_at FROM catalog.stock_movement
        WHERE sku_id = %(sku_id)s AND (%(after)s::uuid IS NULL OR id < %(after)s)
        ORDER BY id DESC LIMIT %(limit)s
        """,
        sku_id=sku_id,
        after=after,
        limit=limit + 1,
    )
    return Page(rows[:limit], rows[limit - 1].id if len(rows) > limit else None)


def picture_of(product_id: ProductId, images: list[str]) -> str:
    """The address of the product's first image, or of the picture that is drawn for it."""
    return images[0] if images else f"{DRAWN_PATH}{product_id}.svg"


def _patterns(query: str) -> list[str]:
    shown = query[: LENGTH_MAX["query"]].encode("utf-8", "ignore").decode().replace("\x00", " ")
    words = fold(shown).split()
    return ["%" + word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%" for word in words]


async def _page(tx: Tx, rows: list[_Row], limit: int) -> Page[Product]:
    limit = min(limit, PAGE_SIZE_MAX)
    more = len(rows) > limit
    return Page(await _with_skus(tx, rows[:limit]), rows[limit - 1].id if more else None)


async def _with_skus(tx: Tx, rows: list[_Row]) -> list[Product]:
    skus: dict[ProductId, list[Sku]] = {}
    found = await tx.all(
        Sku,
        """
        SELECT id, product_id, shop_id, code, options, price_amount, list_price_amount, currency, state, available,
               aside, reserved, sold, received, weight_grams
        FROM catalog.sku WHERE product_id = ANY(%(ids)s) ORDER BY id
        """,
        ids=[row.id for row in rows],
    )
    references = await find_references(tx, [sku.id for sku in found])
    for sku in found:
        known = references.get(sku.id)
        if known is not None:
            sku = msgspec.structs.replace(sku, reference_amount=known.of_shelf, recent_amount=known.of_now)
        skus.setdefault(sku.product_id, []).append(sku)
    return [Product(**msgspec.structs.asdict(row), skus=skus.get(row.id, [])) for row in rows]


def _without_retired(product: Product) -> Product:
    if all(sku.state is SkuState.active for sku in product.skus):
        return product
    return msgspec.structs.replace(product, skus=[sku for sku in product.skus if sku.state is SkuState.active])
