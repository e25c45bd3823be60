"""All of a shop's catalogue, to take away: products, SKUs and every stock movement, a page a snapshot.

No transaction lasts longer than a page, so nothing is held up and memory stays flat; what was made after `as_of` is left
out, what changed meanwhile is as it was when its page was read. Who may have it, the caller has asked.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from uuid import UUID

import msgspec

from laotie.base.db import Database
from laotie.base.ids import OrderId, ProductId, ShopId, SkuId

PAGE_SIZE = 500


class ProductRow(msgspec.Struct, frozen=True, kw_only=True):
    """A product, without its SKUs."""

    id: ProductId
    code: str | None
    title: str
    description: str
    category: str
    images: list[str]
    state: str
    tax_bps: int
    brand_id: UUID | None
    shipping_template_id: UUID | None
    version: int
    created_at: datetime
    updated_at: datetime


class SkuRow(msgspec.Struct, frozen=True, kw_only=True):
    """A SKU with its stock. `available` + `aside` + `reserved` + `sold` = `received`."""

    id: SkuId
    product_id: ProductId
    code: str
    options: dict[str, str]
    price_amount: int
    list_price_amount: int | None
    currency: str
    state: str
    weight_grams: int
    available: int
    aside: int
    reserved: int
    sold: int
    received: int


class MovementRow(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a SKU's stock ledger."""

    id: UUID
    sku_id: SkuId
    sku_code: str
    kind: str
    quantity: int
    order_id: OrderId | None
    note: str | None
    moved_at: datetime


async def export_products(db: Database, shop_id: ShopId, as_of: datetime) -> AsyncIterator[list[ProductRow]]:
    """The shop's products, oldest first."""
    last: ProductRow | None = None
    while True:
        async with db.read() as tx:
            page = await tx.all(
                ProductRow,
                """
                SELECT id, code, title, description, category, images, state, tax_bps, brand_id, shipping_template_id,
                       version, created_at, updated_at
                FROM catalog.product
                WHERE shop_id = %(shop_id)s AND created_at <= %(as_of)s
                  AND (%(id)s::uuid IS NULL OR (created_at, id) > (%(at)s, %(id)s))
                ORDER BY created_at, id LIMIT %(limit)s
                """,
                shop_id=shop_id,
                as_of=as_of,
                at=as_of if last is None else last.created_at,
                id=None if last is None else last.id,
                limit=PAGE_SIZE,
            )
        yield page
        if len(page) < PAGE_SIZE:
            return
        last = page[-1]


async def export_skus(db: Database, shop_id: ShopId, _as_of: datetime) -> AsyncIterator[list[SkuRow]]:
    """The shop's SKUs by code."""
    last = ""
    while True:
        async with db.read() as tx:
            page = await tx.all(
                SkuRow,
                """
                SELECT id, product_id, code, options, price_amount, list_price_amount, currency, state, weight_grams,
                       available, aside, reserved, sold, received
                FROM catalog.sku WHERE shop_id = %(shop_id)s AND code > %(last)s ORDER BY code LIMIT %(limit)s
                """,
                shop_id=shop_id,
                last=last,
                limit=PAGE_SIZE,
            )
        yield page
        if len(page) < PAGE_SIZE:
            return
        last = page[-1].code


async def export_movements(db: Database, shop_id: ShopId, as_of: datetime) -> AsyncIterator[list[MovementRow]]:
    """Every stock movement, by SKU code, oldest first."""
    code, last = "", UUID(int=0)
    while True:
        async with db.read() as tx:
            page = await tx.all(
                MovementRow,
                """
                SELECT m.id, m.sku_id, s.code AS sku_code, m.kind, m.quantity, m.order_id, m.note, m.moved_at
                FROM (SELECT id, code FROM catalog.sku
                      WHERE shop_id = %(shop_id)s AND code >= %(code)s ORDER BY code) AS s
                CROSS JOIN LATERAL (
                    SELECT id, sku_id, kind, quantity, order_id, note, moved_at FROM catalog.stock_movement
                    WHERE sku_id = s.id AND moved_at <= %(as_of)s AND (s.code > %(code)s OR id > %(last)s)
                    ORDER BY id LIMIT %(limit)s
                ) AS m
                ORDER BY s.code, m.id LIMIT %(limit)s
                """,
                shop_id=shop_id,
                as_of=as_of,
                code=code,
                last=last,
                limit=PAGE_SIZE,
            )
        yield page
        if len(page) < PAGE_SIZE:
            return
        code, last = page[-1].sku_code, page[-1].id
