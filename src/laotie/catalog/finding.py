"""What of the catalogue is found by searching: what an index is told of products, and what is true of its hits now.

An index knows a product as it was a second ago; whether it is on the shelf, at which price and in stock is read here, for
the hits, in the statement that shows them.
"""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

import msgspec

from laotie import search
from laotie.base.db import Tx
from laotie.base.ids import ProductId, ShopId
from laotie.base.money import Money
from laotie.catalog.listing import picture_of

DESCRIPTION_SHOWN_MAX = 2_000


class ShelfCard(msgspec.Struct, frozen=True, kw_only=True):
    """A product on the shelf as a list of hits shows it. `price` is the lowest; `varies`: other choices cost more."""

    id: ProductId
    shop_id: ShopId
    shop_name: str
    title: str
    category: str
    brand: str
    image: str
    price: Money
    varies: bool
    in_stock: bool
    sold_count: int
    is_guaranteed: bool


class _Row(msgspec.Struct, frozen=True, kw_only=True):
    id: ProductId
    shop_id: ShopId
    shop_name: str
    title: str
    category: str
    description: str
    images: list[str]
    brand_id: UUID | None
    brand: str
    is_guaranteed: bool
    created_at: datetime
    price_amount: int
    price_max: int
    currency: str
    in_stock: bool
    sold: int


async def find_on_shelf(tx: Tx, product_ids: Iterable[ProductId]) -> dict[ProductId, ShelfCard]:
    """Those of the products that are on the shelf at this instant."""
    return {
        row.id: ShelfCard(
            id=row.id,
            shop_id=row.shop_id,
            shop_name=row.shop_name,
            title=row.title,
            category=row.category,
            brand=row.brand,
            image=picture_of(row.id, row.images),
            price=Money(row.price_amount, row.currency),
            varies=row.price_max > row.price_amount,
            in_stock=row.in_stock,
            sold_count=row.sold,
            is_guaranteed=row.is_guaranteed,
        )
        for row in await _read(tx, list(product_ids), text_max=0)
    }


async def read_documents(tx: Tx, product_ids: list[ProductId]) -> list[search.Document]:
    """What an index is told of these, as far as they are on the shelf. Reviews are not the catalogue's to tell."""
    return [_document(row) for row in await _read(tx, product_ids, text_max=DESCRIPTION_SHOWN_MAX)]


async def read_documents_behind(
    tx: Tx, after: ProductId | None, limit: int
) -> tuple[list[search.Document], ProductId | None]:
    """The same of the next products by id, and where to go on; `None` at the end."""
    ids = await tx.all(
        ProductId,
        """
        SELECT id FROM catalog.product WHERE %(after)s::uuid IS NULL OR id > %(after)s ORDER BY id LIMIT %(limit)s
        """,
        after=after,
        limit=limit,
    )
    return await read_documents(tx, ids), ids[-1] if len(ids) == limit else None


async def note_shop(tx: Tx, shop_id: ShopId) -> None:
    """All that the shop has listed is to be indexed anew: its name, its guarantee, or whether it sells is different."""
    listed = await tx.all(
        ProductId, "SELECT id FROM catalog.product WHERE shop_id = %(id)s AND state = 'listed'", id=shop_id
    )
    await search.note_changed(tx, listed)


async def find_silent_shops(tx: Tx) -> frozenset[ShopId]:
    """Shops that sell nothing at the moment: closed, or limited until their deposit is filled."""
    return frozenset(await tx.all(ShopId, "SELECT id FROM catalog.shop WHERE state <> 'open'"))


async def _read(tx: Tx, product_ids: list[ProductId], *, text_max: int) -> list[_Row]:
    return await tx.all(
        _Row,
        """
        SELECT product.id, product.shop_id, shop.name AS shop_name, product.title, product.category,
               left(product.description, %(text_max)s) AS description, product.images, product.brand_id,
               coalesce(concat_ws(' ', nullif(brand.name_zh, ''), nullif(brand.name_en, '')), '') AS brand,
               coalesce(product.pledge_id, shop.pledge_id) IS NOT NULL AS is_guaranteed, product.created_at,
               sku.price_amount, sku.price_max, sku.currency, sku.in_stock, sku.sold
        FROM catalog.product
        JOIN catalog.shop ON shop.id = product.shop_id
        LEFT JOIN catalog.brand ON brand.id = product.brand_id
        JOIN LATERAL (
            SELECT min(price_amount) FILTER (WHERE state = 'active') AS price_amount,
                   max(price_amount) FILTER (WHERE state = 'active') AS price_max,
                   min(currency) AS currency,
                   coalesce(bool_or(available > 0) FILTER (WHERE state = 'active'), false) AS in_stock,
                   coalesce(sum(sold), 0)::bigint AS sold
            FROM catalog.sku WHERE product_id = product.id
        ) AS sku ON sku.price_amount IS NOT NULL
        WHERE product.id = ANY(%(ids)s) AND product.state = 'listed' AND shop.state = 'open' AND NOT shop.is_sandbox
        """,
        ids=product_ids,
        text_max=text_max,
    )


def _document(row: _Row) -> search.Document:
    return search.Document(
        id=row.id,
        shop_id=row.shop_id,
        shop_name=row.shop_name,
        title=row.title,
        category=row.category,
        brand_id=row.brand_id,
        brand=row.brand,
        description=row.description,
        currency=row.currency,
        price_amount=row.price_amount,
        in_stock=row.in_stock,
        is_guaranteed=row.is_guaranteed,
        sold=row.sold,
        created_at=row.created_at,
    )
