"""All of a shop's after-sales cases and of what buyers wrote of its goods, to take away, a page a snapshot.

Who may have it, the caller has asked. A review without a name stays without one.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from uuid import UUID

import msgspec

from laotie import orders
from laotie.base.db import Database
from laotie.base.ids import AccountId, OrderId, ProductId, ShopId

PAGE_SIZE = 500


class CaseRow(msgspec.Struct, frozen=True, kw_only=True):
    """A case: what was asked for, where it stands, what was paid."""

    id: UUID
    order_id: OrderId
    buyer_id: AccountId
    kind: str
    reason: str
    state: str
    currency: str
    amount: int
    refunded_amount: int
    freight_amount: int
    freight_by: str
    guarantee_amount: int
    lines: list[dict[str, object]]
    opened_at: datetime
    changed_at: datetime
    due_at: datetime | None
    closed_at: datetime | None


class ReviewRow(msgspec.Struct, frozen=True, kw_only=True):
    """A review as everybody sees it, with its order."""

    id: UUID
    order_id: OrderId
    line_no: int
    product_id: ProductId
    buyer_id: AccountId | None
    title: str
    options: dict[str, str]
    goods: int
    service: int
    shipping: int
    text: str
    follow_text: str | None
    answer_text: str | None
    written_at: datetime
    followed_at: datetime | None
    answered_at: datetime | None


async def export_cases(db: Database, shop_id: ShopId, _as_of: datetime) -> AsyncIterator[list[CaseRow]]:
    """The cases of the shop's orders, those of the newest order first."""
    async for tx, order_ids in orders.exporting.page_orders(db, shop_id):
        yield await tx.all(
            CaseRow,
            """
            SELECT id, order_id, buyer_id, kind, reason, state, currency, amount, refunded_amount, freight_amount,
                   freight_by, guarantee_amount, opened_at, changed_at, due_at, closed_at,
                   (SELECT coalesce(jsonb_agg(jsonb_build_object('no', no, 'sku_id', sku_id, 'quantity', quantity,
                                                                 'amount', amount) ORDER BY no), '[]')
                    FROM aftersales.line WHERE case_id = c.id) AS lines
            FROM aftersales.case AS c WHERE order_id = ANY(%(ids)s) ORDER BY order_id DESC, id
            """,
            ids=order_ids,
        )


async def export_reviews(db: Database, shop_id: ShopId, as_of: datetime) -> AsyncIterator[list[ReviewRow]]:
    """The reviews of the shop's goods that are shown, oldest first."""
    last: ReviewRow | None = None
    while True:
        async with db.read() as tx:
            page = await tx.all(
                ReviewRow,
                """
                SELECT id, order_id, line_no, product_id, CASE WHEN NOT is_anonymous THEN buyer_id END AS buyer_id,
                       title, options, goods, service, shipping, text,
                       CASE WHEN NOT follow_is_held THEN follow_text END AS follow_text, answer_text, written_at,
                       followed_at, answered_at
                FROM aftersales.review
                WHERE shop_id = %(shop_id)s AND is_shown AND written_at <= %(as_of)s
                  AND (%(id)s::uuid IS NULL OR (written_at, id) > (%(at)s, %(id)s))
                ORDER BY written_at, id LIMIT %(limit)s
                """,
                shop_id=shop_id,
                as_of=as_of,
                at=as_of if last is None else last.written_at,
                id=None if last is None else last.id,
                limit=PAGE_SIZE,
            )
        yield page
        if len(page) < PAGE_SIZE:
            return
        last = page[-1]
