"""A shop's statement lines, to take away, a page a snapshot. Who may have them, the caller has asked."""

from collections.abc import AsyncIterator
from datetime import date, datetime
from uuid import UUID

import msgspec

from laotie.base.db import Database
from laotie.base.ids import AccountId, OrderId, ShopId

PAGE_SIZE = 500


class StatementLineRow(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the shop's statement. `net` is what the shop's balance changed by."""

    id: UUID
    kind: str
    booked_on: str
    booked_at: datetime
    order_id: OrderId | None
    streamer_id: AccountId | None
    currency: str
    goods_amount: int
    shipping_amount: int
    subsidy_amount: int
    platform_amount: int
    payment_amount: int
    streamer_amount: int
    net_amount: int
    subject_id: UUID


async def export_lines(db: Database, shop_id: ShopId, as_of: datetime) -> AsyncIterator[list[StatementLineRow]]:
    """The shop's statement lines by the day they were booked on."""
    day, last = date.min.isoformat(), UUID(int=0)
    while True:
        async with db.read() as tx:
            page = await tx.all(
                StatementLineRow,
                """
                SELECT id, kind, booked_on::text AS booked_on, booked_at, order_id, streamer_id, currency, goods_amount,
                       shipping_amount, subsidy_amount, platform_amount, payment_amount, streamer_amount, net_amount,
                       subject_id
                FROM settlement.line AS l
                WHERE shop_id = %(shop_id)s AND booked_at <= %(as_of)s AND (l.booked_on, id) > (%(day)s::date, %(last)s)
                ORDER BY l.booked_on, id LIMIT %(limit)s
                """,
                shop_id=shop_id,
                as_of=as_of,
                day=day,
                last=last,
                limit=PAGE_SIZE,
            )
        yield page
        if len(page) < PAGE_SIZE:
            return
        day, last = page[-1].booked_on, page[-1].id
